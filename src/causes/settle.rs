//! What can be said of a finding only beside all others: whose doing it is, and whether it is direct.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::kind::{Kind, about};
use super::subject::plain_of;
use super::symptom::{Class, Symptom};
use crate::requirements as req;
use crate::runner::Status;
use crate::scenarios::Operation;

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

/// Decides whose doing each finding is, and which findings are direct.
pub(super) fn settle(found: &mut [Symptom<'_>], passed: usize) {
    let run = Found::of(found, passed);
    for symptom in found {
        // What a pull shows is the doing of the request before it, unless that was refused, or it shows the same after requests of
        // several kinds; what it shows right after a creation was created so.
        if symptom.shown_by.is_some() && symptom.operation != Some(Operation::CreateRepo.name()) {
            symptom.operation = match run.deeds.get(&symptom.deviation).map(|deeds| deeds.iter().collect::<Vec<_>>()) {
                Some(deeds) if deeds.len() > 1 => run.told_by_its_answer(&symptom.deviation).or(symptom.shown_by),
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
    /// The writes whose own answers show a deviation.
    answers: HashMap<String, BTreeSet<&'static str>>,
    failing: HashSet<&'static str>,
    /// Whether all operations on a new repository are refused.
    nothing_is_there: bool,
    /// Whether most checks come off well: then whoever logs in for the first time gets a token.
    works: bool,
    /// Whether the plain checks of createRepo and pull come off well.
    plain_bodies: bool,
}

impl Found {
    /// The one write whose own answer shows a deviation: then pulls after other requests only show what it has left.
    fn told_by_its_answer(&self, deviation: &str) -> Option<&'static str> {
        let writes = self.answers.get(deviation).filter(|writes| writes.len() == 1)?;
        writes.first().copied()
    }

    fn of(found: &[Symptom<'_>], passed: usize) -> Self {
        let (mut deeds, mut refused): (HashMap<_, BTreeSet<_>>, HashMap<_, BTreeSet<_>>) = Default::default();
        let (mut specific, mut answers) = (HashMap::new(), HashMap::<_, BTreeSet<_>>::new());
        for symptom in found.iter().filter(|symptom| symptom.status != Status::Error) {
            let operation = symptom.operation.and_then(|name| ALL_OPERATIONS.into_iter().find(|it| it.name() == name));
            if symptom.shown_by.is_some() {
                let deeds = if symptom.refused { &mut refused } else { &mut deeds };
                deeds.entry(symptom.deviation.clone()).or_default().extend(operation.map(Operation::name));
            } else if let Some(write) = operation.filter(|it| it.is_write()) {
                answers.entry(symptom.deviation.clone()).or_default().insert(write.name());
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
            answers,
            specific,
            failing,
        }
    }
}
