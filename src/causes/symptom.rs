//! A finding as far as its cause can be told from it.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use serde_json::Value;

use super::kind::{SymptomKind, is_own, kind, rule, rule_let_through, rule_of_refused};
use super::subject::subject;
use crate::client::Exchange;
use crate::requirements::{self as req, Requirement};
use crate::runner::{CheckInfo, CheckResult, Status};
use crate::scenarios::{self, Phase, RESPELLED};
use crate::wire::Operation;

/// How a check looks at a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Class {
    /// One request after the other.
    Sequential,
    /// At a story that goes through all operations.
    Story,
    /// At all that the run has seen, at habits, or at what is stored.
    RunWide,
    /// At the same time, or many rules in one story.
    Concurrent,
}

/// A check that didn't come off well.
#[derive(Debug)]
pub(super) struct Symptom<'a> {
    pub check: &'static CheckInfo,
    pub status: Status,
    /// The rule that the check says is broken.
    pub rule: &'static Requirement,
    pub class: Class,
    pub kind: SymptomKind,
    /// The deviation without what differs from run to run; findings with the same deviation are alike.
    pub deviation: String,
    /// The operation that did it, if one exchange shows it.
    pub operation: Option<&'a str>,
    /// The operation that shows it, where that is another.
    pub shown_by: Option<&'a str>,
    /// Operations that the check is about; `None` if any.
    pub subject: Option<Vec<&'static str>>,
    /// Whether the path of the request that went wrong holds an escape.
    pub escaped: bool,
    /// Whether that request was refused.
    pub refused: bool,
    /// Whether others were served at the same time.
    pub beside_others: bool,
    /// Whether a connection ended without an answer.
    pub unanswered: bool,
    /// Whether the request that went wrong holds a counter of more than 31 bits.
    pub large: bool,
    /// Whether the check is about the situation in which other checks are refused something as well.
    pub situation: bool,
    /// Whether this check does nothing but what its operation is for.
    pub plain: bool,
    /// The check in which a look at the whole run met it.
    pub met_in: Option<&'a str>,
    /// Whether what came back is the same bytes, spelled otherwise.
    pub respelled: bool,
    /// The stored members that break the schema.
    pub malformed: Vec<&'static str>,
    /// Whether the operation that went wrong is one that the check is about.
    pub direct: bool,
    /// Whether the deviation is of the kind that the rule is about.
    pub own: bool,
    /// Place in the catalogue of checks.
    pub place: usize,
}

/// Places of the checks in the catalogue.
static PLACES: LazyLock<HashMap<&str, usize>> =
    LazyLock::new(|| scenarios::all().enumerate().map(|(place, check)| (check.info.id, place)).collect());

/// Whether a check runs beside others, or has several requests under way itself.
fn is_beside_others(check: &str, class: Class) -> bool {
    static IDS: LazyLock<HashSet<&str>> = LazyLock::new(|| {
        let beside =
            |check: &&scenarios::Check| matches!(check.phase, Phase::Parallel | Phase::Contention | Phase::Finale);
        scenarios::all().filter(beside).map(|check| check.info.id).collect()
    });
    class == Class::Concurrent || IDS.contains(check)
}

/// What transports say of a connection that ends without an answer.
pub(super) const UNANSWERED: &str = "the connection was closed";

impl<'a> Symptom<'a> {
    /// What a result tells; `place` stands in for a check that isn't in the catalogue.
    pub(super) fn of(result: &'a CheckResult, place: usize) -> Self {
        let check = result.check;
        let finding = result.findings.first();
        let exchange = finding.and_then(|finding| finding.exchange.as_deref());
        let (expected, observed) = match finding {
            Some(finding) => (finding.expected.as_str(), finding.observed.as_str()),
            None => ("", result.message.as_str()),
        };
        let status = exchange.and_then(|exchange| exchange.status);
        let kind = match check.id.split('/').next() {
            Some("schema") if result.status != Status::Error && rule_is(check, &req::FIELD_NAMES) => SymptomKind::Shape,
            _ => kind(expected, observed, status, finding.is_some_and(|finding| finding.evidence.is_empty())),
        };
        let operation = exchange.map(|exchange| exchange.operation).or_else(|| setting_up(result.status, expected));
        let shown_by = finding.and_then(|finding| finding.evidence.last()).map(|exchange| exchange.operation);
        let deviation = deviation(expected, observed);
        // What was refused did nothing.
        let did = operation.filter(|_| status.is_none_or(|status| status < 400));
        let refused = exchange.is_some_and(did_nothing);
        let rule = match (kind, shown_by) {
            (SymptomKind::Accepted, _) => rule_let_through(check, operation),
            (_, Some(_)) if refused => rule_of_refused(check, operation),
            _ => rule(check, kind, &deviation, did),
        };
        let class = class(check.base(), kind);
        Self {
            check,
            status: result.status,
            rule,
            class,
            kind,
            deviation,
            operation,
            shown_by,
            subject: subject(check),
            escaped: exchange.is_some_and(|exchange| exchange.path.contains('%')),
            refused,
            beside_others: is_beside_others(check.base(), class),
            unanswered: observed.contains(UNANSWERED),
            large: exchange.is_some_and(|exchange| has_large_counter(&exchange.request.text)),
            situation: false,
            plain: false,
            met_in: met_in(observed),
            respelled: observed.contains(RESPELLED),
            malformed: if kind == SymptomKind::Shape { malformed(observed) } else { Vec::new() },
            direct: false,
            own: result.status != Status::Error && is_own(rule, kind),
            place: PLACES.get(check.base()).copied().unwrap_or(PLACES.len() + place),
        }
    }

    /// The rules that the check proves, the broken one first.
    pub(super) fn rules(&self) -> Vec<&'static Requirement> {
        let others = self.check.requirements.iter().copied().filter(|rule| rule.id != self.rule.id);
        std::iter::once(self.rule).chain(others).collect()
    }

    /// Whether it says that no other check can rely on what it is answered: answers are missing everywhere, callers are mixed up, or
    /// connections are out of step after a refusal.
    pub(super) fn shakes_all(&self) -> bool {
        [&req::ANSWERED, &req::CALLERS_KEPT_APART, &req::CONNECTION_IN_STEP].iter().any(|rule| rule.id == self.rule.id)
    }

    /// The worked example and the looks at the end go through everything: whatever else tells of the same says more.
    pub fn goes_through_everything(&self) -> bool {
        ["example/", "later/"].iter().any(|area| self.check.id.starts_with(area))
    }

    /// Whether a look at the state has shown this deviation.
    pub(super) fn is_state(&self, deviation: &str) -> bool {
        self.shown_by.is_some() && self.deviation == deviation
    }

    /// Whether something was refused to a check of an operation.
    pub(super) fn is_refused_after(&self, operation: Operation) -> bool {
        self.kind == SymptomKind::Refused && self.subject.as_ref().is_some_and(|it| it.contains(&operation.name()))
    }

    /// What the check asks, whichever operation it asks it of.
    pub(super) fn question(&self) -> &'static str {
        self.check.base().split_once('/').map_or(self.check.base(), |(_, question)| question)
    }

    /// Whether an operation is among those that the check is about.
    pub(super) fn names(&self, operation: &str) -> bool {
        self.subject.as_ref().is_some_and(|subject| subject.contains(&operation))
    }

    /// Whether the check may be about an operation.
    pub(super) fn is_about(&self, operation: &str) -> bool {
        self.subject.as_ref().is_none_or(|subject| subject.contains(&operation))
    }
}

/// The check that a look at the whole run names: `(met in X)`, `(15 times, first in X)`, `an answer of status 403 in X holds`.
fn met_in(observed: &str) -> Option<&str> {
    if let Some((_, rest)) = ["(met in ", ", first in "].iter().find_map(|words| observed.split_once(words)) {
        return rest.split_once(')').map(|(check, _)| check);
    }
    let (_, rest) = observed.strip_prefix("an answer ")?.split_once(" in ")?;
    rest.split_once(" holds ").map(|(check, _)| check)
}

/// Members in base64 that a server stores as they are, and doesn't read.
const STORED: [&str; 3] = ["envelope/ciphertext", "envelope/iv", "keyBindingSig"];

/// Which of them stand at the end of a path in a violation of the schema: `/envelope/ciphertext: it does not match …`.
pub(super) fn malformed(observed: &str) -> Vec<&'static str> {
    STORED.iter().copied().filter(|name| observed.contains(&format!("/{name}: "))).collect()
}

/// Whether a version or an epoch in a body has more than 31 bits.
fn has_large_counter(body: &str) -> bool {
    ["Version\":", "Epoch\":"].iter().flat_map(|name| body.match_indices(name)).any(|(place, name)| {
        let digits = body[place + name.len()..].trim_start().split(|c: char| !c.is_ascii_digit()).next();
        digits.and_then(|digits| digits.parse::<u64>().ok()).is_some_and(|counter| counter > i32::MAX as u64)
    })
}

/// Whether a request was refused, or was a conflict.
fn did_nothing(exchange: &Exchange) -> bool {
    let conflict = || {
        let answer: Option<Value> = serde_json::from_str(&exchange.response.text).ok();
        exchange.operation == Operation::Push.name() && answer.is_some_and(|answer| answer["accepted"] == false)
    };
    exchange.status.is_some_and(|status| status >= 400) || conflict()
}

/// The step that failed where no exchange shows it: a run without tokens doesn't try again and again.
fn setting_up(status: Status, expected: &str) -> Option<&'static str> {
    let words = [("token", "token"), ("nonce", "challenge")];
    words.iter().find(|(word, _)| status == Status::Error && expected.contains(word)).map(|(_, operation)| *operation)
}

/// What stands in the ids of checks of several processes or profiles at the same time.
const AT_ONCE: [&str; 4] = ["one-winner", "linearizable", "at-once", "against"];

fn class(id: &str, kind: SymptomKind) -> Class {
    match id.split('/').next().unwrap_or_default() {
        // A body that isn't the message is told best by the check that holds every body to the schema.
        "schema" if kind == SymptomKind::Shape => Class::Sequential,
        "race" | "authority" | "hangups" => Class::Concurrent,
        "replica" | "profiles" if AT_ONCE.iter().any(|words| id.contains(words)) => Class::Concurrent,
        "rights" | "rosters" | "later" | "example" => Class::Story,
        "auth"
        | "token"
        | "create-repo"
        | "pull"
        | "push"
        | "add-member"
        | "remove-member"
        | "fetch-member-key"
        | "binding"
        | "discovery"
        | "retries"
        | "paths"
        | "share-refresh-tokens"
        | "refusal"
        | "bad-input" => Class::Sequential,
        // The others go through all operations, habits or spellings.
        _ => Class::RunWide,
    }
}

fn rule_is(check: &CheckInfo, rule: &Requirement) -> bool {
    check.requirements.first().is_some_and(|first| first.id == rule.id)
}

/// Members whose difference is one deviation, whatever their values.
const MEMBERS: [&str; 5] = ["manifest.", "envelope.", "wrappedDataKey.", "member's ", ""];

/// A deviation without the values: the member that differs, or the sentence with quotes, numbers and ids left out. Where one status
/// is expected, another is another deviation.
fn deviation(expected: &str, observed: &str) -> String {
    let shown = observed.split_once(" shows: ").map_or(observed, |(_, difference)| difference);
    if let Some(status) = shown.strip_prefix("status ").and_then(|rest| rest.get(..3)) {
        let instead = expected.strip_prefix("status ").and_then(|rest| rest.get(..3));
        return instead.map_or(format!("status {status}"), |wanted| format!("status {status} for {wanted}"));
    }
    if let Some((name, _)) = shown.split_once(" is ")
        && MEMBERS.iter().any(|lead| name.strip_prefix(lead).is_some_and(is_name))
    {
        return name.to_owned();
    }
    without_values(shown)
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_lowercase()) && text.chars().all(|c| c.is_ascii_alphanumeric())
}

/// Longest deviation that is compared, in characters.
const COMPARED: usize = 120;
/// A word of this length is an id, a key or a ciphertext.
const LONG: usize = 20;

fn without_values(text: &str) -> String {
    let mut out = String::new();
    let mut quoted = false;
    for word in text.split_inclusive([' ', ',', ';', ':']) {
        let marks = word.matches('"').count();
        let inside = quoted || marks > 0;
        quoted ^= marks % 2 == 1;
        if inside || word.len() > LONG {
            out.push_str("… ");
        } else {
            out.extend(word.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }));
        }
        if out.len() > COMPARED {
            break;
        }
    }
    while out.contains("00") {
        out = out.replace("00", "0");
    }
    out
}
