//! From the findings of a run to what has to be repaired: a few causes, and under each what follows from it.
//!
//! A cause is the check that shows most directly which rule is broken. Which one that is, and what follows from it, is decided
//! by rules that can be said in a sentence each:
//!
//! * A finding is **direct** where the operation that went wrong is the one that its check is about, and the deviation is of the
//!   kind that its rule is about (`symptom`). Another check has only stumbled over it.
//! * Of the rules that direct findings are about, the cause is one that **builds on none of the others** (the order stands in
//!   [`crate::requirements::order`]); of several, the one that most checks say is broken; of its checks, the first.
//! * Where answers are missing everywhere, callers who ask at the same moment are mixed up, or connections are out of step after a
//!   refusal, no operation is the cause.
//! * What was seen one request after the other comes before what was seen at the same time, in the worked example or by a look
//!   at the whole run; failures come before warnings, and an error is a cause only where nothing else is.
//! * A finding **follows** from a cause for one of the reasons in `follow`; what follows from none is a cause of its own.
//!
//! Nothing here decides about right or wrong: verdict, counts and exit status are what they were.

mod follow;
mod kind;
mod of_clients;
mod settle;
mod subject;
mod symptom;
#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, HashSet};

use crate::requirements::{self as req, Level, Requirement, order};
use crate::runner::{CheckResult, Status};
use follow::follows;
use symptom::{Class, Symptom};

/// What has to be repaired, as one check shows it.
#[derive(Clone, Debug)]
pub struct Cause {
    /// Id of the check that shows it most directly.
    pub check: &'static str,
    /// The rules that this check proves; the first is the one that is broken most likely.
    pub requirements: Vec<&'static Requirement>,
    /// Ids of the checks whose findings follow from it.
    pub explains: Vec<&'static str>,
    /// Why each of them does, in their order.
    pub reasons: Vec<&'static str>,
}

/// The causes of a run, the most fundamental first.
#[derive(Clone, Debug, Default)]
pub struct Causes {
    list: Vec<Cause>,
    /// Place of the cause of every check that didn't come off well.
    of: HashMap<&'static str, usize>,
    /// Whether a cause fails the run: failures come first.
    has_failure: bool,
}

impl Causes {
    /// The causes, the most fundamental first.
    pub fn list(&self) -> &[Cause] {
        &self.list
    }

    /// The cause of a check's finding; `None` for a check that came off well.
    pub fn of(&self, check: &str) -> Option<&Cause> {
        self.of.get(check).map(|place| &self.list[*place])
    }

    /// Why a check's finding follows from its cause; `None` for a cause itself.
    pub fn reason(&self, check: &str) -> Option<&'static str> {
        let cause = self.of(check)?;
        let place = cause.explains.iter().position(|id| *id == check)?;
        cause.reasons.get(place).copied()
    }

    /// Adds the next cause, with the checks whose findings follow from it, and why.
    fn add(
        &mut self,
        (check, status): (&'static str, Status),
        requirements: Vec<&'static Requirement>,
        with: impl Iterator<Item = (&'static str, &'static str)>,
    ) {
        let (explains, reasons): (Vec<_>, Vec<_>) = with.unzip();
        self.of.extend(explains.iter().chain([&check]).map(|id| (*id, self.list.len())));
        self.has_failure |= status == Status::Fail;
        self.list.push(Cause { check, requirements, explains, reasons });
    }

    /// The cause that a check's finding follows from; `None` for a cause itself.
    pub fn followed_by(&self, check: &str) -> Option<&Cause> {
        self.of(check).filter(|cause| cause.check != check)
    }
}

/// Groups the results of a run.
pub fn find<'a>(results: impl IntoIterator<Item = &'a CheckResult>) -> Causes {
    let results: Vec<_> = results.into_iter().collect();
    if results.iter().any(|result| of_clients::is_one(result)) {
        let bad = |result: &&CheckResult| !matches!(result.status, Status::Pass | Status::Skip);
        return of_clients::find(results.into_iter().filter(bad).collect());
    }
    let mut passed: HashMap<&str, usize> = HashMap::new();
    let mut found = Vec::new();
    for (place, result) in results.into_iter().enumerate() {
        match result.status {
            Status::Pass => *passed.entry(rule_of(result).id).or_default() += 1,
            Status::Skip => {}
            Status::Fail | Status::Warn | Status::Error => found.push(Symptom::of(result, place)),
        }
    }
    settle::settle(&mut found, passed.values().sum());
    let mut causes = Causes::default();
    while let Some(place) = most_fundamental(&found, &passed) {
        // While something is broken, a check that couldn't be set up is no cause: it follows from what is most fundamental.
        if found[place].status == Status::Error && causes.has_failure {
            found.sort_by_key(|symptom| symptom.place);
            causes.of.extend(found.iter().map(|symptom| (symptom.check.id, 0)));
            let first = &mut causes.list[0];
            first.explains.extend(found.iter().map(|symptom| symptom.check.id));
            first.reasons.resize(first.explains.len(), "it couldn't be set up while something is broken");
            break;
        }
        let first = found.swap_remove(place);
        let mut with: Vec<(Symptom<'_>, &'static str)> = Vec::new();
        let mut rest = Vec::new();
        for other in found {
            match follows(&other, &first) {
                Some(reason) => with.push((other, reason)),
                None => rest.push(other),
            }
        }
        with.sort_by_key(|(symptom, _)| symptom.place);
        let with = with.iter().map(|(symptom, reason)| (symptom.check.id, *reason));
        causes.add((first.check.id, first.status), first.rules(), with);
        found = rest;
    }
    causes
}

/// The rule that a check is about: the first that it names.
fn rule_of(result: &CheckResult) -> &'static Requirement {
    result.check.requirements[0]
}

/// Who is heard first. Of the tiers, the first that anybody belongs to.
type Tier = fn(&Symptom<'_>) -> bool;
const TIERS: [Tier; 10] = [
    |it| it.status == Status::Fail && it.shakes_all(),
    |it| it.status == Status::Fail && it.class == Class::Sequential && it.direct && it.own,
    |it| {
        it.status == Status::Fail && it.class <= Class::RunWide && it.direct && it.own && !it.goes_through_everything()
    },
    |it| it.status == Status::Fail && it.class == Class::Sequential && it.direct,
    |it| it.status == Status::Fail && it.class == Class::Sequential,
    |it| it.status == Status::Fail && it.class <= Class::RunWide,
    |it| it.status == Status::Fail,
    |it| it.status == Status::Warn && it.class == Class::Sequential && it.direct && it.own,
    |it| it.status == Status::Warn,
    |_| true,
];

/// The place of the next cause among what nothing has explained yet.
fn most_fundamental(found: &[Symptom<'_>], passed: &HashMap<&str, usize>) -> Option<usize> {
    let tier = TIERS.iter().find(|tier| found.iter().any(tier))?;
    let heard = || found.iter().enumerate().filter(|(_, symptom)| tier(symptom));
    let mut broken: BTreeMap<&str, usize> = BTreeMap::new();
    for (_, symptom) in heard() {
        *broken.entry(symptom.rule.id).or_default() += 1;
    }
    // A rule most of whose checks pass is hardly the one that is broken, while others fail in most of theirs. (A body is right or
    // wrong by itself: that the bodies of other operations are right says nothing.)
    let mostly = |rule: &str| rule == req::FIELD_NAMES.id || broken[rule] >= passed.get(rule).copied().unwrap_or(0);
    let mut mostly: HashSet<&str> = broken.keys().copied().filter(|rule| mostly(rule)).collect();
    // An operation that doesn't do what it is for is heard whatever else comes off well.
    mostly.extend(heard().filter(|(_, symptom)| symptom.plain).map(|(_, symptom)| symptom.rule.id));
    let mut pool: HashSet<&str> = if mostly.is_empty() { broken.keys().copied().collect() } else { mostly };
    let undermost = |pool: &HashSet<&str>| {
        let undermost = heard().filter(|(_, symptom)| {
            pool.contains(symptom.rule.id) && !pool.iter().any(|other| order::builds_on(symptom.rule.id, other))
        });
        undermost.min_by_key(|(_, symptom)| {
            let level = symptom.check.level != Level::Must;
            let votes = Reverse(broken[symptom.rule.id]);
            let aside = symptom.check.requirements[0].id != symptom.rule.id;
            (
                symptom.goes_through_everything(),
                !symptom.plain,
                votes,
                order::rank(symptom.rule.id),
                level,
                aside,
                symptom.place,
            )
        })
    };
    let (mut place, mut first) = undermost(&pool)?;
    // Numbers that are wrong at any size aren't wrong because they are large.
    if first.rule.id == req::INT64.id {
        let of_large = |deviation: &str| found.iter().any(|it| it.rule.id == req::INT64.id && it.is_state(deviation));
        let at_any_size = |it: &&Symptom<'_>| it.shown_by.is_some() && order::builds_on(req::INT64.id, it.rule.id);
        let below = heard().map(|(_, it)| it).filter(at_any_size).filter(|it| of_large(&it.deviation));
        pool.extend(below.map(|it| it.rule.id));
        (place, first) = undermost(&pool)?;
    }
    // The same question with the same answer is told at the most fundamental operation that it is asked of.
    let same = heard().filter(|(_, it)| it.question() == first.question() && it.deviation == first.deviation);
    same.min_by_key(|(_, it)| (order::rank(it.rule.id), it.place)).map(|(place, _)| place).or(Some(place))
}
