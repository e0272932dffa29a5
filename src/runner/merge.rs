//! The results of all parts of a run, taken together and judged as one.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::shard::OTHER;
use super::{CheckResult, Ending, Known, RunConfig, Status, Tally, Target, Verdict};
use crate::scenarios::{Abort, Omission};

/// The results of all parts as those of one run: for each check that of the part that ran it; of what every part ran, the worst.
pub fn together(parts: &[Vec<Arc<CheckResult>>]) -> Vec<Arc<CheckResult>> {
    let mut all: BTreeMap<&'static str, Arc<CheckResult>> = BTreeMap::new();
    for result in parts.iter().flatten() {
        match all.get(result.check.id) {
            Some(known) if weight(known) >= weight(result) => {}
            _ => drop(all.insert(result.check.id, Arc::clone(result))),
        }
    }
    all.into_values().collect()
}

/// The checks that no part has run, though one should have.
pub fn missing(results: &[Arc<CheckResult>]) -> Vec<&'static str> {
    let other = |result: &&Arc<CheckResult>| result.status == Status::Skip && result.message == OTHER;
    results.iter().filter(other).map(|result| result.check.id).collect()
}

fn weight(result: &CheckResult) -> u8 {
    match result.status {
        Status::Skip if result.message == OTHER => 0,
        Status::Skip if result.omission == Some(Omission::LeftOut) => 1,
        Status::Skip if result.omission == Some(Omission::NotApplicable) => 2,
        Status::Pass => 3,
        // A part in which it could not be judged is a gap in the whole.
        Status::Skip => 4,
        Status::Warn => 5,
        Status::Error => 6,
        Status::Fail => 7,
    }
}

/// The judgement on results, by the rules of a run.
pub struct Judgement {
    /// The verdict.
    pub verdict: Verdict,
    /// One sentence on it.
    pub reason: String,
    /// What to try next.
    pub advice: String,
    /// The exit status.
    pub exit_code: u8,
    /// Failures that are known.
    pub known: BTreeMap<&'static str, String>,
    /// What is wrong with the file of known failures.
    pub stale: Vec<String>,
}

/// Judges results that are there already. `known` is what the parts said of their file of known failures, which holds where no file is
/// given.
pub fn judge_results(
    results: &[Arc<CheckResult>],
    strict: bool,
    file: Option<&Known>,
    known: super::known::Judged,
    broken: Option<String>,
) -> Judgement {
    let mut tally = Tally::default();
    results.iter().for_each(|result| tally.count(result));
    let outcomes: Vec<_> = results.iter().map(|result| (result.check, result.status)).collect();
    let exists = super::parts::is_meant;
    let judged = match file {
        Some(file) => file.judge(&outcomes, strict, exists),
        None => known,
    };
    tally.forgive(&outcomes, &judged);
    let mut config = RunConfig::new(Target::Avp(String::new()));
    config.strict = strict;
    let ending = match broken {
        Some(reason) => Ending::Aborted(Abort { reason, advice: "run that part again".into() }),
        None => Ending::Complete,
    };
    let (verdict, reason, advice, exit_code) = tally.judge(&ending, &config);
    Judgement { verdict, reason, advice, exit_code, known: judged.covered, stale: judged.stale }
}
