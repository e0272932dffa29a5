//! A finding as far as its cause can be told from it.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::LazyLock;

use super::subject::{plain_of, subject};
use crate::requirements::{self as req, Requirement};
use crate::runner::{CheckInfo, CheckResult, Status};
use crate::scenarios::{self, Operation};

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

/// What kind of thing is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
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
    /// Anything else.
    Other,
}

/// A check that didn't come off well.
#[derive(Debug)]
pub(super) struct Symptom<'a> {
    pub check: &'static CheckInfo,
    pub status: Status,
    /// The rule that the check says is broken.
    pub rule: &'static Requirement,
    pub class: Class,
    pub kind: Kind,
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
    /// Whether this check does nothing but what its operation is for.
    pub plain: bool,
    /// The check in which a look at the whole run met it.
    pub met_in: Option<&'a str>,
    /// Whether the operation that went wrong is one that the check is about.
    pub direct: bool,
    /// Whether the deviation is of the kind that the rule is about.
    pub own: bool,
    /// Place in the catalogue of checks.
    pub place: usize,
}

const ALL_OPERATIONS: [Operation; 9] = [
    Operation::Challenge,
    Operation::Token,
    Operation::CreateRepo,
    Operation::Pull,
    Operation::Push,
    Operation::AddMember,
    Operation::RemoveMember,
    Operation::FetchMemberKey,
    Operation::Discovery,
];

/// Places of the checks in the catalogue.
static PLACES: LazyLock<HashMap<&str, usize>> =
    LazyLock::new(|| scenarios::all().enumerate().map(|(place, check)| (check.info.id, place)).collect());

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
            Some("schema") if result.status != Status::Error && rule_is(check, &req::FIELD_NAMES) => Kind::Shape,
            _ => kind(expected, observed, status, finding.is_some_and(|finding| finding.evidence.is_empty())),
        };
        let operation = exchange.map(|exchange| exchange.operation).or_else(|| setting_up(result.status, expected));
        let shown_by = finding.and_then(|finding| finding.evidence.last()).map(|exchange| exchange.operation);
        let deviation = deviation(observed);
        // What was refused did nothing.
        let did = operation.filter(|_| status.is_none_or(|status| status < 400));
        let rule = rule(check, kind, &deviation, did);
        Self {
            check,
            status: result.status,
            rule,
            class: class(check.id, kind),
            kind,
            deviation,
            operation,
            shown_by,
            subject: subject(check),
            escaped: exchange.is_some_and(|exchange| exchange.path.contains('%')),
            refused: status.is_some_and(|status| status >= 400),
            plain: false,
            met_in: met_in(observed),
            direct: false,
            own: result.status != Status::Error && is_own(rule, kind),
            place: PLACES.get(check.id).copied().unwrap_or(PLACES.len() + place),
        }
    }

    /// The rules that the check proves, the broken one first.
    pub(super) fn rules(&self) -> Vec<&'static Requirement> {
        let others = self.check.requirements.iter().copied().filter(|rule| rule.id != self.rule.id);
        std::iter::once(self.rule).chain(others).collect()
    }

    /// Whether something was refused to a check of an operation.
    fn is_refused_after(&self, operation: Operation) -> bool {
        self.kind == Kind::Refused && self.subject.as_ref().is_some_and(|it| it.contains(&operation.name()))
    }

    /// What the check asks, whichever operation it asks it of.
    pub(super) fn question(&self) -> &'static str {
        self.check.id.split_once('/').map_or(self.check.id, |(_, question)| question)
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

/// Decides whose doing each finding is, and which findings are direct.
pub(super) fn settle(found: &mut [Symptom<'_>], passed: usize) {
    let run = Found::of(found, passed);
    for symptom in found {
        // What a pull shows is the doing of the request before it, unless that was refused, or it shows the same after requests of
        // several kinds; what it shows right after a creation was created so.
        if symptom.shown_by.is_some() && symptom.operation != Some(Operation::CreateRepo.name()) {
            symptom.operation = match run.deeds.get(&symptom.deviation).map(|deeds| deeds.iter().collect::<Vec<_>>()) {
                Some(deeds) if deeds.len() > 1 => symptom.shown_by,
                Some(deeds) => deeds.first().map(|deed| **deed),
                None => symptom.operation,
            };
        }
        // A repository that is nowhere wasn't created.
        if symptom.is_refused_after(Operation::CreateRepo) && run.nothing_is_there {
            symptom.operation = Some(Operation::CreateRepo.name());
        }
        symptom.plain = symptom.operation.is_some_and(|it| plain_of(symptom.check.id) == Some(it));
        // What no exchange shows is direct only where one request comes after the other.
        symptom.direct = match symptom.operation {
            Some(operation) => symptom.is_about(operation),
            None => symptom.class != Class::RunWide,
        };
        // A look at the whole run only repeats what the check says in which it was met. Bodies that aren't the message are told
        // best by such a look, unless whole operations come off well: then it is something stored that breaks the message.
        let repeats = symptom.met_in.is_some_and(|check| run.failing.contains(check));
        symptom.direct &= !repeats || (symptom.kind == Kind::Shape && !run.plain_bodies);
        // Where a failing check is about just this deviation, it is no other rule's own.
        symptom.own &= !(run.works && symptom.kind == Kind::Refused && symptom.rule.id == req::SIGNATURE_RAW.id);
        symptom.own &= run.specific.get(&symptom.deviation).is_none_or(|rule| *rule == symptom.rule.id);
    }
}

/// What has to be known of all findings to judge one.
struct Found {
    /// The operations after which a pull shows a deviation: those that were carried out, or else those that were refused.
    deeds: HashMap<String, BTreeSet<&'static str>>,
    /// The rules that are about just this deviation, where a failing check names them.
    specific: HashMap<String, &'static str>,
    failing: HashSet<&'static str>,
    /// Whether all operations on a new repository are refused.
    nothing_is_there: bool,
    /// Whether most checks come off well: then whoever logs in for the first time gets a token.
    works: bool,
    /// Whether the plain checks of createRepo and pull come off well.
    plain_bodies: bool,
}

impl Found {
    fn of(found: &[Symptom<'_>], passed: usize) -> Self {
        let (mut deeds, mut refused): (HashMap<_, BTreeSet<_>>, HashMap<_, BTreeSet<_>>) = Default::default();
        let mut specific = HashMap::new();
        for symptom in found.iter().filter(|symptom| symptom.status != Status::Error) {
            let operation = symptom.operation.and_then(|name| ALL_OPERATIONS.into_iter().find(|it| it.name() == name));
            if symptom.shown_by.is_some() {
                let deeds = if symptom.refused { &mut refused } else { &mut deeds };
                deeds.entry(symptom.deviation.clone()).or_default().extend(operation.map(Operation::name));
            }
            if symptom.status == Status::Fail
                && about(symptom.kind, &symptom.deviation, symptom.operation)
                    .is_some_and(|rule| rule.id == symptom.rule.id)
            {
                specific.insert(symptom.deviation.clone(), symptom.rule.id);
            }
        }
        for (deviation, of_refused) in refused {
            deeds.entry(deviation).or_insert(of_refused);
        }
        let failing: HashSet<_> = found.iter().filter(|it| it.status == Status::Fail).map(|it| it.check.id).collect();
        let nothing_at = |operation: Operation| {
            found.iter().any(|it| {
                it.kind == Kind::Refused
                    && it.operation == Some(operation.name())
                    && plain_of(it.check.id) == Some(operation.name())
            })
        };
        Self {
            nothing_is_there: nothing_at(Operation::Push) && nothing_at(Operation::AddMember),
            plain_bodies: !failing.iter().any(|id| ["createRepo", "pull"].map(Some).contains(&plain_of(id))),
            works: passed > found.len(),
            deeds,
            specific,
            failing,
        }
    }
}

/// The rule that is about just such a deviation.
fn about(kind: Kind, deviation: &str, operation: Option<&str>) -> Option<&'static Requirement> {
    let removes = operation == Some(Operation::RemoveMember.name());
    match kind {
        Kind::Blob => Some(&req::STORED_VERBATIM),
        Kind::Binding => Some(&req::BINDING_OPAQUE),
        Kind::Leak => Some(&req::REFUSAL_SILENT),
        Kind::Roster if removes && deviation.contains("shouldn't be") => Some(&req::REMOVE_DROPS),
        Kind::Counter if removes && deviation.contains("keyEpoch") => Some(&req::EPOCH_RISES),
        _ => None,
    }
}

/// The rule that a deviation breaks, of those that the check names: the first, unless another is about just this.
fn rule(check: &'static CheckInfo, kind: Kind, deviation: &str, operation: Option<&str>) -> &'static Requirement {
    let named = |about: &Requirement| check.requirements.iter().copied().find(|rule| rule.id == about.id);
    about(kind, deviation, operation).and_then(named).unwrap_or(check.requirements[0])
}

/// The check that a look at the whole run names: `(met in X)`, `(15 times, first in X)`, `an answer of status 403 in X holds`.
fn met_in(observed: &str) -> Option<&str> {
    if let Some((_, rest)) = ["(met in ", ", first in "].iter().find_map(|words| observed.split_once(words)) {
        return rest.split_once(')').map(|(check, _)| check);
    }
    let (_, rest) = observed.strip_prefix("an answer ")?.split_once(" in ")?;
    rest.split_once(" holds ").map(|(check, _)| check)
}

/// The step that failed where no exchange shows it: a run without tokens doesn't try again and again.
fn setting_up(status: Status, expected: &str) -> Option<&'static str> {
    let words = [("token", "token"), ("nonce", "challenge")];
    words.iter().find(|(word, _)| status == Status::Error && expected.contains(word)).map(|(_, operation)| *operation)
}

fn class(id: &str, kind: Kind) -> Class {
    match id.split('/').next().unwrap_or_default() {
        // A body that isn't the message is told best by the check that holds every body to the schema.
        "schema" if kind == Kind::Shape => Class::Sequential,
        "race" | "authority" => Class::Concurrent,
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

/// Rules whose breach looks in a certain way, with what it looks like.
static LOOKS: &[(&[&Requirement], &[Kind])] = &[
    (&[&req::STORED_VERBATIM], &[Kind::Blob]),
    (&[&req::BINDING_OPAQUE], &[Kind::Binding]),
    (&[&req::FIELD_NAMES], &[Kind::Shape]),
    (&[&req::KEY_ENCODING], &[Kind::Shape, Kind::Roster, Kind::Blob]),
    (
        &[
            &req::REFUSAL_SILENT,
            &req::NOTHING_GIVEN_AWAY,
            &req::UNAUTHENTICATED_SILENCE,
            &req::ZERO_KNOWLEDGE,
            &req::NO_SECRET_ECHO,
            &req::DISCRETION,
        ],
        &[Kind::Leak, Kind::Accepted, Kind::Other],
    ),
    (&[&req::NONCE_ISSUED], &[Kind::Accepted]),
    (&[&req::NONCE_SINGLE_USE], &[Kind::Accepted, Kind::Other]),
    (&[&req::SUBJECT_IS_CALLER], &[Kind::Accepted, Kind::Refused]),
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
        &[Kind::Accepted, Kind::Refused, Kind::ServerError],
    ),
    (
        &[&req::TOKEN_ANSWER, &req::BASE64, &req::DISCOVERY_SHAPE, &req::KEY_SET, &req::ERROR_OBJECT],
        &[Kind::Shape, Kind::Blob, Kind::Refused, Kind::ServerError, Kind::Accepted, Kind::Other],
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
];
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
fn is_own(rule: &Requirement, kind: Kind) -> bool {
    let among = |rules: &[&Requirement]| rules.iter().any(|other| other.id == rule.id);
    if let Some((_, kinds)) = LOOKS.iter().find(|(rules, _)| among(rules)) {
        return kinds.contains(&kind);
    }
    match kind {
        // A body that can't be read says nothing about any other rule, and a binding has a rule of its own.
        Kind::Shape | Kind::Binding | Kind::Leak => false,
        Kind::Accepted => !among(WORKS),
        Kind::Unchanged => among(AT_THE_CURRENT_VERSION),
        _ => true,
    }
}

fn kind(expected: &str, observed: &str, status: Option<u16>, alone: bool) -> Kind {
    let says = |words: &[&str]| words.iter().any(|word| observed.contains(word));
    if says(&[
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
    ]) {
        Kind::Shape
    } else if let Some(refusal) = status.filter(|status| alone && *status >= 400 && observed.starts_with("status ")) {
        if refusal >= 500 { Kind::ServerError } else { Kind::Refused }
    } else if status.is_some_and(|status| status < 400)
        && ["unchanged is true", "a pull at the current version"].iter().any(|words| expected.contains(words))
    {
        Kind::Unchanged
    } else if observed.starts_with("it holds ") || says(&[": it holds ", " holds a ", " tells a "]) {
        Kind::Leak
    } else if observed.contains("keyBindingSig") || expected.contains("keyBindingSig") {
        Kind::Binding
    } else if says(&[
        "wrappedDataKey",
        "envelope.iv",
        "envelope.ciphertext",
        "x25519PublicKey",
        "authentication failed",
        "was never sent",
        "sent under the same key",
        "was sent for repository",
    ]) {
        Kind::Blob
    } else if says(&["is missing from the roster", "in the roster", " twice"]) {
        Kind::Roster
    } else if says(&["\"accepted\":false", "accepted is false", "accepted: false"]) {
        Kind::Conflict
    } else if says(&["payloadVersion", "keyEpoch"]) {
        Kind::Counter
    } else {
        match status {
            Some(500..) => Kind::ServerError,
            Some(400..) => Kind::Refused,
            Some(_) if expected.contains("refused") => Kind::Accepted,
            _ => Kind::Other,
        }
    }
}

/// Members whose difference is one deviation, whatever their values.
const MEMBERS: [&str; 5] = ["manifest.", "envelope.", "wrappedDataKey.", "member's ", ""];

/// A deviation without the values: the member that differs, or the sentence with quotes, numbers and ids left out.
fn deviation(observed: &str) -> String {
    let shown = observed.split_once(" shows: ").map_or(observed, |(_, difference)| difference);
    if let Some(status) = shown.strip_prefix("status ").and_then(|rest| rest.get(..3)) {
        return format!("status {status}");
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
