//! What a check is about, as its id and its rules say it.

use crate::requirements::{INT64, Requirement};
use crate::scenarios::{CheckInfo, NO_OPERATION};
use crate::wire::Operation;

/// Operations by the words that stand for them in the ids of checks.
const WORDS: [(&str, Operation); 16] = [
    ("challenge", Operation::Challenge),
    ("token", Operation::Token),
    ("create", Operation::CreateRepo),
    ("pull", Operation::Pull),
    ("push", Operation::Push),
    ("rotated", Operation::Push),
    ("conflict", Operation::Push),
    ("add", Operation::AddMember),
    ("remove", Operation::RemoveMember),
    ("rewrapped", Operation::RemoveMember),
    ("fetch", Operation::FetchMemberKey),
    ("member-entry", Operation::FetchMemberKey),
    ("discovery", Operation::Discovery),
    ("issuer", Operation::Discovery),
    ("nonce", Operation::Challenge),
    ("signature", Operation::Token),
];

/// Operations by the beginning of the ids of the rules that are about one of them.
const RULES: [(&str, Operation); 6] = [
    ("AVP-6-create", Operation::CreateRepo),
    ("AVP-6-pull", Operation::Pull),
    ("AVP-6-push", Operation::Push),
    ("AVP-6-add", Operation::AddMember),
    ("AVP-6-remove", Operation::RemoveMember),
    ("AVP-6-fetch", Operation::FetchMemberKey),
];

/// The operation that a rule is about, if it is about one.
fn operation_of(rule: &Requirement) -> Option<&'static str> {
    RULES.iter().find(|(lead, _)| rule.id.starts_with(lead)).map(|(_, operation)| operation.name())
}

/// The operations that a check is about, by its id and its rules; `None` where it may be any.
pub(super) fn subject(check: &CheckInfo) -> Option<Vec<&'static str>> {
    if check.requirements.first().is_some_and(|rule| rule.id == INT64.id) {
        return None;
    }
    let mut subject = by_id(check.base())?;
    subject.extend(check.requirements.iter().copied().filter_map(operation_of));
    Some(subject)
}

fn by_id(id: &str) -> Option<Vec<&'static str>> {
    let (area, rest) = id.split_once('/').unwrap_or((id, ""));
    match area {
        "auth" => return Some(named(&[Operation::Challenge, Operation::Token])),
        "create-repo" => return Some(named(&[Operation::CreateRepo])),
        "pull" => return Some(named(&[Operation::Pull])),
        "push" => return Some(named(&[Operation::Push])),
        "add-member" => return Some(named(&[Operation::AddMember])),
        "remove-member" => return Some(named(&[Operation::RemoveMember])),
        "fetch-member-key" => return Some(named(&[Operation::FetchMemberKey])),
        "discovery" => return Some(vec![Operation::Discovery.name(), NO_OPERATION]),
        _ => {}
    }
    if id == "schema/manifest" {
        return Some(named(&[Operation::CreateRepo, Operation::AddMember, Operation::RemoveMember]));
    }
    let (_, first) = WORDS.iter().filter(|(word, _)| rest.starts_with(word)).max_by_key(|(word, _)| word.len())?;
    // A binding comes with a write, and pulls show it.
    Some(if area == "binding" { named(&[*first, Operation::Pull]) } else { named(&[*first]) })
}

/// The check that does nothing but what an operation is for. While it fails, that operation doesn't work at all.
const PLAIN: [(&str, Operation); 9] = [
    ("auth/nonce-shape", Operation::Challenge),
    ("auth/signature-over-raw-bytes", Operation::Token),
    ("create-repo/returns-manifest", Operation::CreateRepo),
    ("pull/older-version-gives-envelope", Operation::Pull),
    ("push/applies", Operation::Push),
    ("push/rotated-members-replace", Operation::Push),
    ("add-member/records-entry", Operation::AddMember),
    ("remove-member/rotates", Operation::RemoveMember),
    ("fetch-member-key/among-many", Operation::FetchMemberKey),
];

/// The operation that a check is the plain one of.
pub(super) fn plain_of(check: &str) -> Option<&'static str> {
    PLAIN.iter().find(|(id, _)| *id == check).map(|(_, operation)| operation.name())
}

/// The plain checks of an operation.
pub(super) fn plain_ones(operation: &str) -> impl Iterator<Item = &'static str> {
    PLAIN.iter().filter(move |(_, of)| of.name() == operation).map(|(id, _)| *id)
}

/// The operations without which this one can't be tried.
pub(super) fn needs(operation: &str) -> &'static [&'static str] {
    match operation {
        "challenge" | "discovery" | NO_OPERATION => &[],
        "token" => &["challenge"],
        "createRepo" => &["challenge", "token"],
        "pull" | "push" | "addMember" => &["challenge", "token", "createRepo"],
        _ => &["challenge", "token", "createRepo", "addMember"],
    }
}

fn named(operations: &[Operation]) -> Vec<&'static str> {
    operations.iter().map(|operation| operation.name()).collect()
}
