//! What can be said of a finding only beside all others: whose doing it is, and whether it is direct.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::kind::{SymptomKind, about};
use super::subject::{plain_of, plain_ones};
use super::symptom::{Class, Symptom};
use crate::requirements as req;
use crate::runner::Status;
use crate::wire::Operation;

/// Decides whose doing each finding is, and which findings are direct.
pub(super) fn settle(found: &mut [Symptom<'_>], passed: usize) {
    let run = Found::of(found, passed);
    for symptom in found {
        // What a pull shows is the doing of the request before it, unless that was refused, or it shows the same after requests of
        // several kinds; what it shows right after a creation was created so.
        if symptom.shown_by.is_some() && symptom.operation != Some(Operation::CreateRepo.name()) {
            symptom.operation = match run.deeds.get(&symptom.deviation).map(|deeds| deeds.iter().collect::<Vec<_>>()) {
                Some(deeds) if deeds.len() > 1 => {
                    run.told_by_plain_requests(&deeds, &symptom.deviation).or(symptom.shown_by)
                }
                Some(deeds) => deeds.first().map(|deed| **deed),
                None => symptom.operation,
            };
        }
        // A repository that is nowhere wasn't created.
        if symptom.is_refused_after(Operation::CreateRepo) && run.nothing_is_there {
            symptom.operation = Some(Operation::CreateRepo.name());
        }
        // Whoever isn't let in after he was added wasn't added.
        symptom.situation = run.situation == Some(symptom.check.base());
        if symptom.situation && symptom.check.base() == NEWCOMER {
            symptom.operation = Some(Operation::AddMember.name());
        }
        symptom.plain = symptom.operation.is_some_and(|it| plain_of(symptom.check.base()) == Some(it));
        // What no exchange shows is direct only where one request comes after the other.
        symptom.direct = match symptom.operation {
            Some(operation) => symptom.is_about(operation),
            None => symptom.class != Class::RunWide,
        };
        // A look at the whole run only repeats what the check says in which it was met. Bodies that aren't the message are told
        // best by such a look, unless whole operations come off well: then it is something stored that breaks the message.
        let repeats = symptom.met_in.is_some_and(|check| run.unreadable || run.failing.contains(check));
        symptom.direct &= !repeats || (symptom.kind == SymptomKind::Shape && !run.plain_bodies);
        // Checks of bindings meet whatever else is wrong with an entry or an envelope.
        symptom.direct &= !symptom.check.id.starts_with("binding/") || symptom.kind == SymptomKind::Binding;
        // Where one stored member alone breaks the schema, and comes back otherwise than it was sent, that is what is wrong.
        symptom.direct &= !(symptom.kind == SymptomKind::Shape && run.altered && !symptom.malformed.is_empty());
        // What was refused and carried out all the same is what a breach of any rule about refusals looks like.
        symptom.own |= symptom.refused && symptom.shown_by.is_some() && !run.deeds.contains_key(&symptom.deviation);
        // What gets through in a check of something else breaks a rule whose own checks say so.
        symptom.own &= symptom.rule.id == symptom.check.requirements[0].id
            || !matches!(symptom.kind, SymptomKind::Accepted)
            || run.broken.contains(symptom.rule.id);
        // Where a failing check is about just this deviation, it is no other rule's own.
        symptom.own &= !(run.works && symptom.kind == SymptomKind::Refused && symptom.rule.id == req::SIGNATURE_RAW.id);
        // What is wrong at any size isn't wrong because a number is large.
        symptom.own &= symptom.rule.id != req::INT64.id || !run.at_any_size.contains(&symptom.deviation);
        // Many checks are in a situation that one is about: the others only meet it.
        symptom.own &= symptom.kind != SymptomKind::Refused || run.situation.is_none() || symptom.situation;
        symptom.own &= run.specific.get(&symptom.deviation).is_none_or(|rule| *rule == symptom.rule.id);
    }
}

/// What has to be known of all findings to judge one.
struct Found {
    /// The operations after which a pull shows a deviation: those that were carried out, or else those that were refused.
    deeds: HashMap<String, BTreeSet<&'static str>>,
    /// The rules that are about just this deviation, where a failing check names them.
    specific: HashMap<String, &'static str>,
    /// The writes whose own answers show a deviation.
    answers: HashMap<String, BTreeSet<&'static str>>,
    failing: HashSet<&'static str>,
    /// The deviations that plain requests with small numbers show.
    at_any_size: HashSet<String>,
    /// The rules that failing checks name first.
    broken: HashSet<&'static str>,
    /// Whether all operations on a new repository are refused.
    nothing_is_there: bool,
    /// The check of a situation that others are in as well, where that is what is refused and most checks come off well.
    situation: Option<&'static str>,
    /// Whether most checks come off well: then whoever logs in for the first time gets a token.
    works: bool,
    /// Whether the checks come off well that show the plain bodies.
    plain_bodies: bool,
    /// Whether a check says after which request something can't be read any more.
    unreadable: bool,
    /// Whether one stored member is the only one that breaks the schema, and is seen to come back otherwise than it was sent.
    altered: bool,
}

impl Found {
    /// The one operation that doesn't even do what it is for, or whose own answer shows the deviation: what pulls show after the others,
    /// it has left undone before.
    fn told_by_plain_requests(&self, deeds: &[&&'static str], deviation: &str) -> Option<&'static str> {
        let mut broken = deeds.iter().filter(|deed| plain_ones(deed).any(|check| self.failing.contains(check)));
        match (broken.next(), broken.next()) {
            (Some(only), None) => Some(**only),
            _ => self.told_by_its_answer(deviation),
        }
    }

    /// The one write whose own answer shows a deviation: then pulls after other requests only show what it has left.
    fn told_by_its_answer(&self, deviation: &str) -> Option<&'static str> {
        let writes = self.answers.get(deviation).filter(|writes| writes.len() == 1)?;
        writes.first().copied()
    }

    fn of(found: &[Symptom<'_>], passed: usize) -> Self {
        let (mut specific, mut answers) = (HashMap::new(), HashMap::<_, BTreeSet<_>>::new());
        for symptom in found.iter().filter(|symptom| symptom.status != Status::Error) {
            if let Some(write) = operation(symptom).filter(|it| it.is_write() && symptom.shown_by.is_none()) {
                answers.entry(symptom.deviation.clone()).or_default().insert(write.name());
            }
            let rule = about(symptom.kind, &symptom.deviation, symptom.operation);
            if symptom.status == Status::Fail && rule.is_some_and(|rule| rule.id == symptom.rule.id) {
                specific.insert(symptom.deviation.clone(), symptom.rule.id);
            }
        }
        let failing: HashSet<_> =
            found.iter().filter(|it| it.status == Status::Fail).map(|it| it.check.base()).collect();
        let refused_at = |check: &str, operation: Operation| {
            let here = |it: &&Symptom<'_>| it.check.base() == check && it.operation == Some(operation.name());
            found.iter().filter(here).any(|it| it.kind == SymptomKind::Refused)
        };
        let works = passed > found.len();
        Self {
            nothing_is_there: refused_at("push/applies", Operation::Push)
                && refused_at("add-member/records-entry", Operation::AddMember),
            situation: SITUATIONS.iter().filter(|_| works).map(|(check, refused)| (*check, *refused)).find_map(
                |(check, refused)| refused.iter().any(|operation| refused_at(check, *operation)).then_some(check),
            ),
            plain_bodies: !PLAIN_BODIES.iter().any(|id| failing.contains(id)),
            unreadable: found.iter().any(|it| it.status == Status::Fail && it.kind == SymptomKind::Unreadable),
            altered: one_is_altered(found),
            at_any_size: at_any_size(found),
            works,
            deeds: deeds(found),
            answers,
            specific,
            broken: found.iter().filter(|it| it.status == Status::Fail).map(|it| it.check.requirements[0].id).collect(),
            failing,
        }
    }
}

/// What checks of other rules see, with the small numbers that they use.
fn at_any_size(found: &[Symptom<'_>]) -> HashSet<String> {
    let small = found.iter().filter(|it| it.status == Status::Fail && it.class == Class::Sequential);
    small.filter(|it| !it.large && it.rule.id != req::INT64.id).map(|it| it.deviation.clone()).collect()
}

fn one_is_altered(found: &[Symptom<'_>]) -> bool {
    let malformed: BTreeSet<_> = found.iter().flat_map(|symptom| symptom.malformed.iter().copied()).collect();
    let mut of_one = malformed.iter().filter(|_| malformed.len() == 1);
    let stored = |it: &&Symptom<'_>| {
        it.status == Status::Fail && !it.respelled && matches!(it.kind, SymptomKind::Blob | SymptomKind::Binding)
    };
    of_one.any(|name| found.iter().filter(stored).any(|it| it.deviation.ends_with(&name.replace('/', "."))))
}

/// The checks that show the plain answers of createRepo and pull.
const PLAIN_BODIES: [&str; 3] = ["create-repo/returns-manifest", "pull/older-version-gives-envelope", "pull/unchanged"];
/// The check that whoever was added is let in.
const NEWCOMER: &str = "add-member/newcomer-reads";
/// Checks of a situation that others are in without being about it, and what is refused there: whoever was added isn't let in, logins
/// at the same time get in each other's way, a refusal is remembered for a repository that is created later, only who has logged in
/// before can be added, or who is in a repository can log in.
const SITUATIONS: [(&str, &[Operation]); 5] = [
    (NEWCOMER, &[Operation::Pull]),
    ("auth/logins-side-by-side", &[Operation::Token, Operation::CreateRepo]),
    ("rights/unknown-becomes-known", &[Operation::Pull]),
    ("add-member/of-an-unknown-key", &[Operation::AddMember]),
    ("auth/without-a-repository", &[Operation::Token, Operation::CreateRepo]),
];
/// As many rules can't be broken by one request that is refused and does something all the same: nobody has done it.
const MANY: usize = 3;

fn operation(symptom: &Symptom<'_>) -> Option<Operation> {
    symptom.operation.and_then(|name| Operation::ALL.into_iter().find(|it| it.name() == name))
}

/// The operations after which pulls show each deviation: those that were carried out; or else those that were refused, where checks
/// of many rules show it.
fn deeds(found: &[Symptom<'_>]) -> HashMap<String, BTreeSet<&'static str>> {
    let (mut deeds, mut refused) = (HashMap::<_, BTreeSet<_>>::new(), HashMap::<_, BTreeSet<_>>::new());
    let mut rules: HashMap<_, HashSet<_>> = HashMap::new();
    for symptom in found.iter().filter(|it| it.status != Status::Error && it.shown_by.is_some()) {
        // Only where a check is about what was done: others have done more before.
        let its_own = |it: &Operation| symptom.class != Class::Concurrent && symptom.names(it.name());
        let Some(operation) = operation(symptom).filter(its_own) else { continue };
        let deeds = if symptom.refused { &mut refused } else { &mut deeds };
        deeds.entry(symptom.deviation.clone()).or_default().insert(operation.name());
        rules.entry(symptom.deviation.clone()).or_default().insert(symptom.rule.id);
    }
    for (deviation, operations) in refused.into_iter().filter(|(deviation, _)| rules[deviation].len() >= MANY) {
        deeds.entry(deviation).or_insert(operations);
    }
    deeds
}
