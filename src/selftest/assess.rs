//! Whether a run said of a server what it should.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::{Subject, Trial};
use crate::faults::Fault;
use crate::requirements::Level;
use crate::runner::{CheckResult, RunEnd, Status};
use crate::server::Profile;

pub(super) fn wrong(subject: Subject, complaint: String) -> Trial {
    Trial { subject, caught_by: Vec::new(), related: Vec::new(), right: false, complaint, took: Duration::ZERO }
}

/// What counts as seeing a fault: where its rule is a MUST, a warning doesn't.
fn counting(profile: Profile, fault: &Fault) -> &'static [Status] {
    let (_, level) = fault.breaks(profile);
    if level == Level::Must { &[Status::Fail] } else { &[Status::Fail, Status::Warn] }
}

/// Whether a check sees a fault, and names the rule that it breaks.
pub(super) fn catches(profile: Profile, fault: &Fault, result: &CheckResult) -> bool {
    let (rule, _) = fault.breaks(profile);
    counting(profile, fault).contains(&result.status)
        && result.check.requirements.iter().any(|requirement| requirement.id == rule)
}

/// Judges the judgement of a server, which may have so many warnings if it has one odd habit.
pub(super) fn assess(
    profile: Profile,
    subject: Subject,
    warnings: usize,
    end: &RunEnd,
    results: &[Arc<CheckResult>],
) -> Trial {
    let with = |wanted: &[Status]| -> Vec<&Arc<CheckResult>> {
        results.iter().filter(|result| wanted.contains(&result.status)).collect()
    };
    let complain = |found: &[&Arc<CheckResult>]| {
        let lines: Vec<_> =
            found.iter().take(5).map(|result| format!("{}: {}", result.check.id, result.message)).collect();
        wrong(subject, lines.join("; "))
    };
    let fine = |caught: &[&Arc<CheckResult>], related: Vec<&'static str>| Trial {
        subject,
        caught_by: caught.iter().map(|result| result.check.id).collect(),
        related,
        right: true,
        complaint: String::new(),
        took: Duration::ZERO,
    };
    match subject {
        Subject::Fault(fault) => {
            let caught = with(counting(profile, &fault));
            let related = caught.iter().filter(|result| catches(profile, &fault, result));
            let related: BTreeSet<_> = related.map(|result| result.check.id).collect();
            let mut trial = fine(&caught, related.into_iter().collect());
            if trial.related.is_empty() {
                trial.right = false;
                trial.complaint = match (trial.caught_by.is_empty(), end.exit_code) {
                    (false, _) => "caught only by checks that don't name the broken rule".into(),
                    (true, 3) => format!("not judged: {}", end.reason),
                    (true, _) => "survives".into(),
                };
            }
            trial
        }
        Subject::Clean => {
            let found = with(&[Status::Fail, Status::Warn, Status::Error]);
            if found.is_empty() && end.exit_code == 0 { fine(&[], Vec::new()) } else { complain(&found) }
        }
        Subject::Quirk(_) | Subject::AllQuirks => {
            let mut found = with(&[Status::Fail, Status::Error]);
            let warned = with(&[Status::Warn]);
            if matches!(subject, Subject::Quirk(_)) && warned.len() > warnings {
                found.extend(warned);
            }
            if found.is_empty() && end.exit_code == 0 {
                fine(&[], Vec::new())
            } else if found.is_empty() {
                wrong(subject, end.reason.clone())
            } else {
                complain(&found)
            }
        }
    }
}
