//! The matrix of a selftest as text: JSON, Markdown, and the coverage page.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Value, json};

use super::{Subject, Trial};
use crate::agent::Habit;
use crate::client_scenarios;
use crate::faults::{Fault, FaultKind};
use crate::requirements;
use crate::scenarios;

/// Everything about every trial.
pub fn json(trials: &[Trial]) -> Value {
    let rows: Vec<_> = trials
        .iter()
        .map(|trial| {
            let mut row = json!({
                "name": trial.subject.name(),
                "kind": match trial.subject {
                    Subject::Clean => "clean",
                    Subject::Fault(_) => "fault",
                    Subject::Quirk(_) | Subject::AllQuirks => "quirk",
                },
                "right": trial.right,
                "complaint": trial.complaint,
                "caughtBy": trial.caught_by,
                "related": trial.related,
                "durationMs": trial.took.as_secs_f64() * 1e3,
            });
            if let Subject::Fault(fault) = trial.subject {
                row["requirement"] = fault.info().requirement.into();
                row["level"] = fault.info().level.name().into();
            }
            row
        })
        .collect();
    json!({
        "tool": { "name": "avp-conform", "version": env!("CARGO_PKG_VERSION") },
        "right": trials.iter().all(|trial| trial.right),
        "trials": rows,
    })
}

/// A table of the trials.
pub fn markdown(trials: &[Trial]) -> String {
    let wrong = trials.iter().filter(|trial| !trial.right).count();
    let mut text = format!("# Selftest: {} of {} as they should be\n\n", trials.len() - wrong, trials.len());
    text.push_str("| server | requirement | caught by | time |\n|---|---|---|---|\n");
    for trial in trials {
        let requirement = match trial.subject {
            Subject::Fault(fault) => fault.info().requirement,
            _ => "",
        };
        let caught =
            if trial.right { trial.related.join(", ") } else { format!("**{}**", trial.complaint.replace('|', "\\|")) };
        // Writing to a string can't fail.
        let _ = writeln!(text, "| {} | {requirement} | {caught} | {:.0?} |", trial.subject.name(), trial.took);
    }
    text
}

/// The page `docs/coverage.md`: which checks prove a requirement, and which faults break it. It doesn't depend on a run.
pub fn coverage() -> String {
    let mut faults: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for fault in Fault::all() {
        let info = fault.info();
        let note = match info.kind {
            FaultKind::Storage => " (needs a look at the storage)",
            FaultKind::Replica => " (needs a second process)",
            FaultKind::Stranger => " (needs another deployment)",
            FaultKind::Crash => " (needs a crash)",
            FaultKind::Profiles => " (needs both profiles)",
            FaultKind::Sequential | FaultKind::Slow | FaultKind::Race => "",
        };
        faults.entry(info.requirement).or_default().push(format!("`{}`{note}", info.name));
    }
    for info in Habit::faults() {
        if let Some(rule) = info.breaks {
            faults.entry(rule.id).or_default().push(format!("`{}`", info.name));
        }
    }
    let mut text = String::from(
        "# Coverage\n\nWhich checks prove which requirement, and which faults of the built-in server break it. Written by \
         `avp-conform selftest --coverage docs/coverage.md`; a test fails when it is stale.\n\n\
         | requirement | level | rule | checks | faults |\n|---|---|---|---|---|\n",
    );
    for requirement in requirements::ALL {
        let checks: Vec<_> = scenarios::all()
            .filter(|check| check.info.requirements.iter().any(|proven| proven.id == requirement.id))
            .map(|check| format!("`{}`", check.info.id))
            .chain(
                client_scenarios::all()
                    .filter(|check| check.info.requirements.iter().any(|proven| proven.id == requirement.id))
                    .map(|check| format!("`{}`", check.info.id)),
            )
            .collect();
        let checks = match requirement.unprovable {
            Some(reason) => format!("none: {reason}"),
            None => checks.join(" "),
        };
        let broken_by = faults.remove(requirement.id).unwrap_or_default().join(" ");
        let _ = writeln!(
            text,
            "| {} {} | {} | {} | {checks} | {broken_by} |",
            requirement.section,
            requirement.id,
            requirement.level.name(),
            requirement.text
        );
    }
    text.push_str(
        "\n## Where the first cause is another\n\nFaults that a run sees, and whose rule the first cause doesn't name: measured by \
         `avp-conform selftest --causes`, listed in `docs/selftest-causes.txt`.\n\n| fault | its rule | the first cause |\n\
         |---|---|---|\n",
    );
    for (fault, first) in super::causes::known_misses() {
        let _ = writeln!(text, "| `{}` | {} | `{first}` |", fault.name, fault.requirement);
    }
    text
}
