//! A campaign as a run, so that its findings go into every format of report: a check for each finding.

use std::sync::Arc;
use std::time::Duration;

use crate::client::{Exchange, clock};
use crate::fuzzing::server::{Campaign, End, FindingKind, ReportedCase};
use crate::ground::shown::count;
use crate::report::{Recorder, Run};
use crate::requirements::Level;
use crate::runner::{
    CheckInfo, CheckResult, Event, Finding, Rerun, RunConfig, RunEnd, RunInfo, Status, Summary, Verdict,
};

/// Exchanges before the one that shows a finding, as reports keep them.
const EXCHANGES: usize = 12;

/// The run; `again` plays its findings.
pub(super) fn of_campaign(
    campaign: &Campaign,
    config: &RunConfig,
    again: Rerun,
    seed: u64,
    exit_code: u8,
) -> Option<Run> {
    let mut recorder = Recorder::default();
    recorder.event(&Event::RunStarted(Arc::new(RunInfo {
        version: env!("CARGO_PKG_VERSION"),
        spec: config.spec,
        target: config.target_name.clone().unwrap_or_default(),
        rerun: again,
        seed,
        started_ms: clock::now_ms().saturating_sub(campaign.progress.elapsed.as_millis().try_into().unwrap_or(0)),
        planned: campaign.reports.len(),
        jobs: config.jobs,
        strict: config.strict,
        shard: None,
    })));
    let mut summary = Summary::default();
    for report in &campaign.reports {
        let result = result(report);
        summary.count(result.status);
        recorder.event(&Event::CheckFinished(Arc::new(result)));
    }
    recorder.event(&Event::RunFinished(Arc::new(end(campaign, summary, exit_code))));
    recorder.finish()
}

/// A finding as the result of a check of its own: the rule that is broken, by the operation.
fn result(report: &ReportedCase) -> CheckResult {
    let found = &report.found;
    let exchanges: Vec<Arc<Exchange>> =
        report.transcript.iter().take(found.after).map(|recorded| Arc::new(recorded.exchange.clone())).collect();
    let shown = exchanges.last().cloned();
    let finding = Finding {
        expected: found.expected.clone(),
        observed: found.observed.clone(),
        exchange: shown,
        evidence: Vec::new(),
    };
    let times = usize::try_from(report.times).unwrap_or(usize::MAX);
    let message = format!("{} (in {}, first in case {})", found.observed, count(times, "case"), report.case);
    CheckResult {
        check: check(report),
        status: if found.fails() { Status::Fail } else { Status::Warn },
        omission: None,
        message,
        findings: vec![finding],
        exchanges: exchanges[exchanges.len().saturating_sub(EXCHANGES)..].to_vec(),
        duration: Duration::ZERO,
    }
}

/// What stands for a finding in the list of checks. A campaign has some dozens at most, and the program ends after it.
fn check(report: &ReportedCase) -> &'static CheckInfo {
    let (found, rule) = (&report.found, report.found.rule);
    let kind = serde_json::to_value(found.kind).unwrap_or_default();
    // Ids of checks have no capitals: addMember is add-member there.
    let lower = |c: char| c.is_ascii_uppercase().then_some('-').into_iter().chain([c.to_ascii_lowercase()]);
    let operation: String = found.operation.chars().flat_map(lower).collect();
    let kind = kind.as_str().unwrap_or_default();
    let id = format!("fuzz/{operation}/{}/{kind}", rule.id.to_ascii_lowercase());
    Box::leak(Box::new(CheckInfo {
        id: id.leak(),
        title: rule.text,
        section: rule.section,
        level: if found.kind == FindingKind::Dead { Level::Must } else { rule.level },
        requirements: vec![rule].leak(),
        since: rule.since,
    }))
}

fn end(campaign: &Campaign, summary: Summary, exit_code: u8) -> RunEnd {
    let progress = &campaign.progress;
    let (verdict, reason, advice) = match &campaign.end {
        End::Aborted(abort) => (Verdict::NotJudged, abort.reason.clone(), abort.advice.clone()),
        _ if summary.fail > 0 => (Verdict::NotConformant, String::new(), String::new()),
        // Cases that were not played may show something.
        _ => {
            let cases = usize::try_from(progress.cases).unwrap_or(usize::MAX);
            let said = format!("no failure in {}; what other cases show nobody knows", count(cases, "random case"));
            (Verdict::Incomplete, said, String::new())
        }
    };
    RunEnd {
        verdict,
        reason,
        advice,
        summary,
        requests: progress.requests,
        duration: progress.elapsed,
        interrupted: matches!(campaign.end, End::Interrupted),
        exit_code,
        known: Default::default(),
        stale: Vec::new(),
        hosted: None,
    }
}
