//! How well a run says what to repair: for every fault that breaks a MUST, whether the first cause names the rule that the fault
//! breaks, and how much is shown; for pairs of faults, whether both rules are among the first three causes.
//!
//! What the fault's rule is, the fault itself says. All checks judge the server, as they do in the field: the more see a fault, the
//! harder it is to tell which is the cause.

mod goals;

pub use goals::percentile;

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Subject, recorded};
use crate::causes;
use crate::faults::{Fault, FaultInfo};
use crate::ground::Choices;
use crate::report::{Format, Recorder};
use crate::requirements::{Level, order};
use crate::runner::{CheckResult, Status};
use crate::scenarios;
use crate::server::Profile;

/// Causes of which a pair of faults has to be among the first.
const FIRST: usize = 3;
/// Pairs that are drawn.
const PAIRS: usize = 200;
/// Checks of which a whole run skips no more, in percent of all: what it takes a second process, a log or time to see.
const LEAST_TRIED: usize = 80;

/// A faulty server, and all that a whole run found.
pub struct Judged {
    /// What the server does wrong.
    pub fault: &'static FaultInfo,
    results: Vec<Arc<CheckResult>>,
}

/// The faults that are measured: those that break a MUST. `every` takes only one in so many, by its name.
pub fn measured(every: u64) -> Vec<Fault> {
    let is_must = |fault: &&Fault| fault.info().level == Level::Must;
    let is_drawn = |fault: &&Fault| Choices::new(1, fault.info().name).draw().is_multiple_of(every.max(1));
    Fault::all().iter().filter(is_must).filter(is_drawn).copied().collect()
}

/// Whether a fault is kept out while the rules of causes are being worked on: a third, by the hash of its name.
pub fn is_held_out(fault: &FaultInfo) -> bool {
    Choices::new(0, fault.name).draw().is_multiple_of(3)
}

/// Judges a faulty server by all checks; `save` is a folder that gets the run's report.
///
/// # Errors
/// In words, when the server doesn't start or the report can't be written.
pub async fn judge(fault: Fault, save: Option<&Path>) -> Result<Judged, String> {
    let (mut recorder, mut results) = (Recorder::default(), Vec::new());
    super::trial::run_whole(Profile::Http, Subject::Fault(fault), &mut |event| {
        recorder.event(&event);
        results.extend(event.result());
    })
    .await?;
    if let (Some(folder), Some(run)) = (save, recorder.finish()) {
        let path = file(folder, fault.info().name);
        std::fs::write(&path, Format::Json.render(&run)).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(Judged { fault: info(fault), results })
}

/// Reads what [`judge`] has saved; `None` where there is nothing for this fault.
///
/// # Errors
/// In words, when the file isn't a report.
pub fn read(fault: Fault, folder: &Path) -> Result<Option<Judged>, String> {
    let path = file(folder, fault.info().name);
    if !path.exists() {
        return Ok(None);
    }
    Ok(Some(Judged { fault: info(fault), results: recorded::read(&path)? }))
}

fn file(folder: &Path, name: &str) -> std::path::PathBuf {
    folder.join(format!("{name}.json"))
}

/// The information of a fault, for ever.
fn info(fault: Fault) -> &'static FaultInfo {
    let known = Fault::all().iter().find(|known| known.info().name == fault.info().name);
    known.map(Fault::info).unwrap_or_else(|| unreachable!("every fault is one of all"))
}

/// Faults whose rule the first cause is known not to name, with the check that is named instead.
static KNOWN: &str = include_str!("../../docs/selftest-causes.txt");

/// The faults of `docs/selftest-causes.txt`, and the checks that are named instead.
pub fn known_misses() -> Vec<(&'static FaultInfo, &'static str)> {
    let lines = KNOWN.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty());
    let named = lines.filter_map(|line| {
        let (name, first) = line.split_once(char::is_whitespace)?;
        let fault = Fault::all().iter().find(|fault| fault.info().name == name)?;
        Some((fault.info(), first.trim()))
    });
    named.collect()
}

/// What a run says of one server.
#[derive(Clone, Debug)]
pub struct Single {
    /// What the server does wrong.
    pub fault: &'static FaultInfo,
    /// The check of the first cause; `None` where nothing was found.
    pub first: Option<&'static str>,
    /// Whether that check names the rule that the fault breaks.
    pub named: bool,
    /// Whether any check that names it fails: a usual run doesn't see every fault.
    pub seen: bool,
    /// Checks that failed, warned or could not tell.
    pub findings: usize,
    /// What they come down to.
    pub causes: usize,
    /// Errors that no other finding explains.
    pub unexplained: Vec<&'static str>,
    /// The time that grouping took.
    pub took: Duration,
}

/// What a run would say of a server with two faults.
#[derive(Clone, Debug)]
pub struct Pair {
    /// The two faults.
    pub faults: [&'static FaultInfo; 2],
    /// The checks of the first three causes.
    pub first: Vec<&'static str>,
    /// Whether these name both rules.
    pub named: bool,
    /// Of the fault whose rule isn't named, the checks that see it: each with the cause that it stands under, and why.
    pub hidden: Vec<[&'static str; 3]>,
}

/// All that was measured.
#[derive(Debug)]
pub struct Figures {
    /// Every fault alone.
    pub singles: Vec<Single>,
    /// Faults in pairs.
    pub pairs: Vec<Pair>,
}

impl Judged {
    /// Whether the run came to its end: one that was cut short says nothing about what a run says.
    pub fn is_whole(&self) -> bool {
        let tried = self.results.iter().filter(|result| result.status != Status::Skip).count();
        tried * 100 >= scenarios::all().count() * LEAST_TRIED
    }
}

/// Groups what was found, fault by fault and in pairs.
pub fn measure(judged: &[Judged]) -> Figures {
    Figures { singles: judged.iter().map(single).collect(), pairs: pairs(judged) }
}

fn single(judged: &Judged) -> Single {
    let started = Instant::now();
    let causes = causes::find(judged.results.iter().map(AsRef::as_ref));
    let took = started.elapsed();
    let status: HashMap<_, _> = judged.results.iter().map(|result| (result.check.id, result.status)).collect();
    let first = causes.list().first();
    let alone = causes.list().iter().filter(|cause| status.get(cause.check) == Some(&Status::Error));
    Single {
        fault: judged.fault,
        first: first.map(|cause| cause.check),
        named: first.is_some_and(|cause| names(cause, judged.fault)),
        seen: judged.results.iter().any(|result| sees(result, judged.fault)),
        findings: causes.list().iter().map(|cause| 1 + cause.explains.len()).sum(),
        causes: causes.list().len(),
        unexplained: alone.map(|cause| cause.check).collect(),
        took,
    }
}

fn names(cause: &causes::Cause, fault: &FaultInfo) -> bool {
    cause.requirements.iter().any(|rule| rule.id == fault.requirement)
}

/// Whether a check fails that names the rule of a fault.
fn sees(result: &CheckResult, fault: &FaultInfo) -> bool {
    result.status == Status::Fail && result.check.requirements.iter().any(|rule| rule.id == fault.requirement)
}

/// Pairs of faults that have nothing to do with each other, drawn the same way each time.
fn pairs(judged: &[Judged]) -> Vec<Pair> {
    let mut choices = Choices::new(0, "pairs of faults");
    let (mut pairs, mut drawn) = (Vec::new(), HashSet::new());
    for _ in 0..PAIRS * 20 {
        if pairs.len() == PAIRS || judged.len() < 2 {
            break;
        }
        let (one, other) = (choices.below(judged.len()), choices.below(judged.len()));
        if drawn.insert((one.min(other), one.max(other))) {
            pairs.extend(pair(&judged[one], &judged[other]));
        }
    }
    pairs
}

/// What a run would say of both; `None` unless they are independent: neither rule builds on the other, and both can be seen.
fn pair(one: &Judged, other: &Judged) -> Option<Pair> {
    let (first, second) = (one.fault.requirement, other.fault.requirement);
    if first == second || order::builds_on(first, second) || order::builds_on(second, first) {
        return None;
    }
    let results = together(one, other);
    let seen = |judged: &Judged| -> Vec<&'static str> {
        let own = judged.results.iter().filter(|mine| sees(mine, judged.fault));
        let shown = own.filter(|mine| results.iter().any(|shown| std::ptr::eq(mine.as_ref(), *shown)));
        shown.map(|result| result.check.id).collect()
    };
    let seen = [seen(one), seen(other)];
    if seen.iter().any(Vec::is_empty) {
        return None;
    }
    let causes = causes::find(results.iter().copied());
    let shown = &causes.list()[..causes.list().len().min(FIRST)];
    let faults = [one.fault, other.fault];
    let missed = faults.iter().zip(&seen).filter(|(fault, _)| !shown.iter().any(|cause| names(cause, fault)));
    let missed: Vec<_> = missed.flat_map(|(_, checks)| checks).copied().collect();
    let place = |check| {
        let cause = causes.of(check).map_or("", |cause| cause.check);
        [check, cause, causes.reason(check).unwrap_or("it is a cause, but a later one")]
    };
    Some(Pair {
        faults,
        first: shown.iter().map(|cause| cause.check).collect(),
        named: missed.is_empty(),
        hidden: missed.into_iter().map(place).collect(),
    })
}

/// What a server with both faults would show, check by check: where one of them keeps a check from being set up, that; else what
/// fails, else what warns. Where both fail, a check sees the one or the other first, and nobody knows which.
fn together<'a>(one: &'a Judged, other: &'a Judged) -> Vec<&'a CheckResult> {
    let severity = |result: &CheckResult| match result.status {
        Status::Error => 4,
        Status::Fail => 3,
        Status::Warn => 2,
        Status::Pass => 1,
        Status::Skip => 0,
    };
    let others: HashMap<_, _> = other.results.iter().map(|result| (result.check.id, result.as_ref())).collect();
    let worse = |mine: &'a CheckResult| {
        let Some(theirs) = others.get(mine.check.id).copied() else { return mine };
        let toss = u64::from(Choices::new(0, mine.check.id).draw().is_multiple_of(2));
        if (severity(theirs), toss) > (severity(mine), 0) { theirs } else { mine }
    };
    one.results.iter().map(|result| worse(result)).collect()
}

impl Figures {
    /// Faults that a check of their rule fails for.
    fn seen(&self) -> impl Iterator<Item = &Single> {
        self.singles.iter().filter(|single| single.seen)
    }

    /// The share of faults, kept out of the work or not, whose rule the first cause names; in percent.
    pub fn top_1(&self, held_out: bool) -> Option<f64> {
        let part = self.seen().filter(|single| is_held_out(single.fault) == held_out);
        share(part.map(|single| single.named))
    }

    /// The most causes that a server has, and its fault.
    pub fn worst(&self) -> Option<(usize, &'static str)> {
        self.singles.iter().map(|single| (single.causes, single.fault.name)).max()
    }

    /// Faults whose rule the first cause doesn't name.
    pub fn misses(&self) -> impl Iterator<Item = &Single> {
        self.seen().filter(|single| !single.named)
    }

    /// How many faults a usual run doesn't see.
    pub fn unseen(&self) -> usize {
        self.singles.len() - self.seen().count()
    }
}

fn share(outcomes: impl Iterator<Item = bool>) -> Option<f64> {
    let (all, good) = outcomes.fold((0usize, 0usize), |(all, good), right| (all + 1, good + usize::from(right)));
    (all > 0).then(|| good as f64 * 100.0 / all as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_third_is_held_out() {
        let all = measured(1);
        let held_out = all.iter().filter(|fault| is_held_out(fault.info())).count();
        assert!((all.len() / 4..all.len() * 2 / 5).contains(&held_out), "{held_out} of {}", all.len());
    }

    #[test]
    fn what_is_known_is_a_fault_and_a_check() {
        let lines = KNOWN.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty()).count();
        let known = known_misses();
        assert_eq!(known.len(), lines, "a name in docs/selftest-causes.txt is no fault");
        for (fault, first) in known {
            assert!(
                crate::scenarios::all().any(|check| check.info.id == first),
                "{}: there is no check {first}",
                fault.name
            );
        }
    }
}
