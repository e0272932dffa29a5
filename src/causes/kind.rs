//! What kind of thing is wrong, and which rules it is a breach of.

use crate::requirements::{self as req, Requirement};
use crate::scenarios::{CheckInfo, UNREADABLE};
use crate::wire::Operation;

/// What kind of thing is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SymptomKind {
    /// The body isn't the message.
    Shape,
    /// A binding signature came back otherwise.
    Binding,
    /// A pull at the current version doesn't say so.
    Unchanged,
    /// Something sealed came back otherwise.
    Blob,
    /// Somebody is in the roster or isn't.
    Roster,
    /// A version or an epoch.
    Counter,
    /// A write is a conflict.
    Conflict,
    /// Somebody is told what he mustn't learn.
    Leak,
    /// A 5xx.
    ServerError,
    /// A 4xx where there should be none.
    Refused,
    /// What must be refused isn't.
    Accepted,
    /// After a request, what is served can't be read any more.
    Unreadable,
    /// Anything else.
    Other,
}

impl SymptomKind {
    /// Whether it is a difference in what is stored.
    pub(super) fn is_state(self) -> bool {
        matches!(self, Self::Roster | Self::Counter | Self::Blob | Self::Binding)
    }
}

/// The rule that is about just such a deviation.
pub(super) fn about(kind: SymptomKind, deviation: &str, operation: Option<&str>) -> Option<&'static Requirement> {
    let removes = operation == Some(Operation::RemoveMember.name());
    match kind {
        SymptomKind::Blob => Some(&req::STORED_VERBATIM),
        SymptomKind::Binding => Some(&req::BINDING_OPAQUE),
        SymptomKind::Leak => Some(&req::REFUSAL_SILENT),
        SymptomKind::Conflict => Some(&req::PUSH_APPLIES),
        SymptomKind::Roster if removes && deviation.contains("shouldn't be") => Some(&req::REMOVE_DROPS),
        SymptomKind::Counter if removes && deviation.contains("keyEpoch") => Some(&req::EPOCH_RISES),
        _ => None,
    }
}

/// The rule that a deviation breaks, of those that the check names: the first, unless another is about just this.
pub(super) fn rule(
    check: &'static CheckInfo,
    kind: SymptomKind,
    deviation: &str,
    operation: Option<&str>,
) -> &'static Requirement {
    let named = |about: &Requirement| check.requirements.iter().copied().find(|rule| rule.id == about.id);
    about(kind, deviation, operation).and_then(named).unwrap_or(check.requirements[0])
}

/// The rule that is broken where a request of this operation was let through, or was refused and carried out all the same, of those
/// that the check names: the first, unless that one is about something that works; then the one of who may do this.
pub(super) fn rule_let_through(check: &'static CheckInfo, operation: Option<&str>) -> &'static Requirement {
    let among = |rules: &[&Requirement], rule: &Requirement| rules.iter().any(|other| other.id == rule.id);
    let first = check.requirements[0];
    let mut may = MEMBERS_ONLY.iter().filter(|(may, _)| operation == Some(may.name())).map(|(_, rule)| *rule);
    let named = may.find(|may| among(check.requirements, may));
    // Who may do something else doesn't say who may do this.
    let of_another = || MEMBERS_ONLY.iter().any(|(_, rule)| rule.id == first.id);
    if !is_that_it_works(first) {
        return named.filter(|_| of_another()).unwrap_or(first);
    }
    named.or_else(|| check.requirements.iter().copied().find(|rule| !is_that_it_works(rule))).unwrap_or(first)
}

/// The same for a request that was refused and had an effect: a refusal leaves everything as it was. Who may do it is another rule.
pub(super) fn rule_of_refused(check: &'static CheckInfo, operation: Option<&str>) -> &'static Requirement {
    let rule = rule_let_through(check, operation);
    let of_state = [&req::REMOVE_DROPS, &req::EPOCH_RISES, &req::VERSION_MONOTONIC, &req::INT64, &req::REMOVE_REPLACES];
    let of_state = is_that_it_works(rule) || of_state.iter().any(|other| other.id == rule.id);
    match operation {
        Some(operation) if of_state && operation == Operation::RemoveMember.name() => &req::REMOVE_ATOMIC,
        Some(operation) if of_state && operation == Operation::Push.name() => &req::PUSH_REFUSED_WHOLE,
        _ => rule,
    }
}

/// Who may do what.
static MEMBERS_ONLY: [(Operation, &Requirement); 5] = [
    (Operation::Pull, &req::PULL_MEMBERS_ONLY),
    (Operation::Push, &req::PUSH_MEMBERS_ONLY),
    (Operation::AddMember, &req::ADD_MEMBERS_ONLY),
    (Operation::RemoveMember, &req::REMOVE_MEMBERS_ONLY),
    (Operation::FetchMemberKey, &req::FETCH_MEMBERS_ONLY),
];

/// Rules whose breach looks in a certain way, with what it looks like.
static LOOKS: &[(&[&Requirement], &[SymptomKind])] = &[
    (&[&req::STORED_VERBATIM], &[SymptomKind::Blob]),
    (&[&req::BINDING_OPAQUE], &[SymptomKind::Binding]),
    (&[&req::FIELD_NAMES], &[SymptomKind::Shape]),
    (&[&req::KEY_ENCODING], &[SymptomKind::Shape, SymptomKind::Roster, SymptomKind::Blob]),
    (
        &[
            &req::REFUSAL_SILENT,
            &req::NOTHING_GIVEN_AWAY,
            &req::UNAUTHENTICATED_SILENCE,
            &req::ZERO_KNOWLEDGE,
            &req::NO_SECRET_ECHO,
            &req::DISCRETION,
        ],
        &[SymptomKind::Leak, SymptomKind::Accepted, SymptomKind::Other],
    ),
    (&[&req::NONCE_ISSUED], &[SymptomKind::Accepted]),
    (&[&req::NONCE_SINGLE_USE], &[SymptomKind::Accepted, SymptomKind::Other]),
    (&[&req::SUBJECT_IS_CALLER], &[SymptomKind::Accepted, SymptomKind::Refused]),
    (
        &[
            &req::TOKEN_REQUIRED,
            &req::TOKEN_VERIFIED,
            &req::PULL_MEMBERS_ONLY,
            &req::PUSH_MEMBERS_ONLY,
            &req::ADD_MEMBERS_ONLY,
            &req::REMOVE_MEMBERS_ONLY,
            &req::FETCH_MEMBERS_ONLY,
            &req::REMOVE_REVOKES,
        ],
        &[SymptomKind::Accepted, SymptomKind::Refused, SymptomKind::ServerError],
    ),
    (
        &[&req::TOKEN_ANSWER, &req::BASE64, &req::DISCOVERY_SHAPE, &req::KEY_SET, &req::ERROR_OBJECT],
        &[
            SymptomKind::Shape,
            SymptomKind::Blob,
            SymptomKind::Refused,
            SymptomKind::ServerError,
            SymptomKind::Accepted,
            SymptomKind::Other,
        ],
    ),
];
/// Rules that say that something works: that something else was let through is no breach of them.
static WORKS: &[&Requirement] = &[
    &req::PUSH_ROTATES,
    &req::PUSH_APPLIES,
    &req::ADD_RECORDS,
    &req::REMOVE_REPLACES,
    &req::PULL_CURRENT,
    &req::CREATE_RETURNS,
    &req::SIGNATURE_RAW,
    &req::NONCE_REDEEMABLE,
    &req::NO_ACCOUNT,
    &req::TOKEN_LASTS,
];
/// Whether a rule says that something works.
fn is_that_it_works(rule: &Requirement) -> bool {
    WORKS.iter().any(|works| works.id == rule.id)
}

/// Rules that a pull at the current version can show to be broken.
static AT_THE_CURRENT_VERSION: &[&Requirement] = &[
    &req::PULL_UNCHANGED,
    &req::READ_YOUR_WRITES,
    &req::INT64,
    &req::ADD_RECORDS,
    &req::CREATE_RETURNS,
    &req::PULL_MEMBERS_ONLY,
];

/// Whether a deviation of this kind is what a breach of the rule looks like.
pub(super) fn is_own(rule: &Requirement, kind: SymptomKind) -> bool {
    let among = |rules: &[&Requirement]| rules.iter().any(|other| other.id == rule.id);
    if kind == SymptomKind::Unreadable {
        return true;
    }
    if let Some((_, kinds)) = LOOKS.iter().find(|(rules, _)| among(rules)) {
        return kinds.contains(&kind);
    }
    match kind {
        // A body that can't be read says nothing about any other rule, and a binding has a rule of its own.
        SymptomKind::Shape | SymptomKind::Binding | SymptomKind::Leak => false,
        SymptomKind::Accepted => !among(WORKS),
        // The epoch of an entry is its own.
        SymptomKind::Roster => !among(&[&req::EPOCH_RISES, &req::VERSION_MONOTONIC]),
        SymptomKind::Unchanged => among(AT_THE_CURRENT_VERSION),
        _ => true,
    }
}

/// The names of counters.
const COUNTERS: [&str; 2] = ["payloadVersion", "keyEpoch"];

/// What readers of JSON and of the schema say of a body that isn't the message.
const SHAPE: [&str; 12] = [
    "missing field",
    "invalid type",
    "invalid value",
    "unknown field",
    "duplicate field",
    "isn't JSON",
    "body is empty",
    "required property",
    "Additional properties",
    "is not of type",
    "does not match",
    "is not valid",
];

/// What kind of thing is wrong; `alone` where the exchange that did it is the one that shows it.
pub(super) fn kind(expected: &str, observed: &str, status: Option<u16>, alone: bool) -> SymptomKind {
    let says = |words: &[&str]| words.iter().any(|word| observed.contains(word));
    // What was done may name a member that isn't the one that is wrong.
    let shown = observed.split_once(" shows: ").map(|(_, shown)| shown);
    let binding = shown.unwrap_or(observed).contains("keyBindingSig");
    if says(&SHAPE) {
        if observed.contains(UNREADABLE) { SymptomKind::Unreadable } else { SymptomKind::Shape }
    } else if let Some(refusal) = status.filter(|status| alone && *status >= 400 && observed.starts_with("status ")) {
        if refusal >= 500 { SymptomKind::ServerError } else { SymptomKind::Refused }
    } else if status.is_some_and(|status| status < 400)
        && ["unchanged is true", "a pull at the current version"].iter().any(|words| expected.contains(words))
    {
        SymptomKind::Unchanged
    } else if observed.starts_with("it holds ") || says(&[": it holds ", " holds a ", " tells a "]) {
        SymptomKind::Leak
    } else if binding || (shown.is_none() && expected.contains("keyBindingSig") && !says(&COUNTERS)) {
        SymptomKind::Binding
    } else if says(&[
        "wrappedDataKey",
        "envelope.iv",
        "envelope.ciphertext",
        "x25519PublicKey",
        "manifest.schemeId is",
        "authentication failed",
        "was never sent",
        "sent under the same key",
        "was sent for repository",
    ]) {
        SymptomKind::Blob
    } else if says(&["is missing from the roster", "in the roster", " twice", "member's keyEpoch is"]) {
        SymptomKind::Roster
    } else if says(&["\"accepted\":false", "accepted is false", "accepted: false"]) {
        SymptomKind::Conflict
    } else if says(&COUNTERS) {
        SymptomKind::Counter
    } else {
        match status {
            Some(500..) => SymptomKind::ServerError,
            Some(400..) => SymptomKind::Refused,
            Some(_) if expected.contains("refused") => SymptomKind::Accepted,
            _ => SymptomKind::Other,
        }
    }
}
