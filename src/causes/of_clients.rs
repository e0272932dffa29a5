//! The causes of what a client does wrong. Every check of clients looks at runs and scenes of its own, so that little follows from
//! anything: what proves the same rule, and what builds on a rule that is broken.

use crate::client_scenarios;
use crate::requirements::{Party, Requirement, order};
use crate::runner::{CheckResult, Status};

use super::{Causes, rule_of};

/// Whether this is the result of a check of clients.
pub(super) fn is_one(result: &CheckResult) -> bool {
    rule_of(result).binds == Party::Client
}

/// Failures come before warnings, and errors last; of them what builds on nothing else, and of its checks the first.
fn standing(result: &CheckResult) -> (u8, usize, usize) {
    let status = match result.status {
        Status::Fail => 0,
        Status::Warn => 1,
        _ => 2,
    };
    let place = client_scenarios::all().position(|check| check.info.id == result.check.id).unwrap_or(usize::MAX);
    (status, order::rank(rule_of(result).id), place)
}

/// Groups what was found.
pub(super) fn find(mut found: Vec<&CheckResult>) -> Causes {
    found.sort_by_cached_key(|result| standing(result));
    let mut causes = Causes::default();
    while !found.is_empty() {
        let first = found.remove(0);
        let (mut with, mut rest) = (Vec::new(), Vec::new());
        for other in found {
            match follows(other, first) {
                Some(reason) => with.push((other.check.id, reason)),
                None => rest.push(other),
            }
        }
        causes.add((first.check.id, first.status), first.check.requirements.to_vec(), with.into_iter());
        found = rest;
    }
    causes
}

/// Why a finding follows from a cause; `None` where it doesn't.
fn follows(other: &CheckResult, cause: &CheckResult) -> Option<&'static str> {
    // A warning explains no failure.
    if cause.status == Status::Warn && other.status == Status::Fail {
        return None;
    }
    let broken = rule_of(cause);
    let proves =
        |result: &CheckResult, rule: &Requirement| result.check.requirements.iter().any(|each| each.id == rule.id);
    if proves(other, broken) || proves(cause, rule_of(other)) {
        return Some("it proves the broken rule as well");
    }
    if order::builds_on(rule_of(other).id, broken.id) {
        return Some("its rule builds on the broken one");
    }
    (other.status == Status::Error && cause.status == Status::Fail)
        .then_some("it couldn't be set up while something is broken")
}
