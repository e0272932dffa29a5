//! A run without a server: what an earlier run has sent, looked for in what was stored.

use std::sync::Arc;

use tokio::time::Instant;

use super::{CheckResult, Emit, Event, Omission, RunEnd, RunInfo, Status, Tally, Verdict};
use crate::client::clock;
use crate::requirements::{Level, Revision};
use crate::scenarios::CheckInfo;
use crate::scenarios::storage::{Evidence, StorageJudgement, judge_all};

/// How a search is judged and called.
#[derive(Clone, Debug)]
pub struct StoredConfig {
    /// How reports name what was searched.
    pub target: String,
    /// The options that a rerun needs besides `--only`.
    pub rerun: String,
    /// Warnings fail.
    pub strict: bool,
    /// Globs on check ids or sections; empty means all.
    pub only: Vec<globset::Glob>,
}

/// Judges what a search has found by the checks that judge storage in any run, and emits the same events.
pub fn judge_stored(evidence: &Evidence, config: StoredConfig, started: Instant, emit: Emit<'_>) -> Arc<RunEnd> {
    let only: Vec<_> = config.only.iter().map(globset::Glob::compile_matcher).collect();
    let chosen = |info: &CheckInfo| {
        only.is_empty() || only.iter().any(|glob| glob.is_match(info.id) || glob.is_match(info.section))
    };
    let judged: Vec<_> = judge_all(evidence).into_iter().filter(|(info, _)| chosen(info)).collect();
    emit(Event::RunStarted(Arc::new(RunInfo {
        version: env!("CARGO_PKG_VERSION"),
        spec: Revision::default(),
        target: config.target,
        rerun: config.rerun.into(),
        seed: 0,
        started_ms: clock::now_ms(),
        planned: judged.len(),
        jobs: 1,
        strict: config.strict,
        shard: None,
    })));
    let left_out = &evidence.outcome.remarks;
    left_out.iter().for_each(|remark| emit(Event::Note(format!("left out: {remark}"))));
    let mut tally = Tally::default();
    let mut unknown = None;
    for (check, judgement) in judged {
        let mut omission = None;
        let (status, message, findings) = match judgement {
            StorageJudgement::Clean(remark) => (Status::Pass, remark, Vec::new()),
            StorageJudgement::Unknown(reason) => {
                unknown = Some(reason.clone());
                omission = Some(Omission::NotJudged);
                (Status::Skip, reason, Vec::new())
            }
            StorageJudgement::Found(findings) => {
                let status = if check.level == Level::Must { Status::Fail } else { Status::Warn };
                (status, findings.first().map(|finding| finding.observed.clone()).unwrap_or_default(), findings)
            }
        };
        let (exchanges, duration) = (Vec::new(), started.elapsed());
        let result = CheckResult { check, status, omission, message, findings, exchanges, duration };
        tally.count(&result);
        emit(Event::CheckFinished(Arc::new(result)));
    }
    let (verdict, reason, exit_code) = verdict(&tally, unknown, config.strict);
    let end = Arc::new(RunEnd {
        verdict,
        reason,
        advice: String::new(),
        summary: tally.summary,
        requests: 0,
        duration: started.elapsed(),
        interrupted: false,
        exit_code,
        known: Default::default(),
        stale: Vec::new(),
        hosted: None,
    });
    emit(Event::RunFinished(Arc::clone(&end)));
    end
}

/// A search proves only what it finds: without a finding, the best verdict is that nothing was found.
fn verdict(tally: &Tally, unknown: Option<String>, strict: bool) -> (Verdict, String, u8) {
    let summary = &tally.summary;
    if summary.fail > 0 {
        let reason = format!("{} check{} failed", summary.fail, if summary.fail == 1 { "" } else { "s" });
        return (Verdict::NotConformant, reason, 1);
    }
    match unknown {
        Some(reason) if summary.pass == 0 && summary.warn == 0 => (Verdict::NotJudged, reason, 3),
        _ => {
            let reason = "nothing failed, but only what is stored was judged".to_owned();
            (Verdict::Incomplete, reason, u8::from(strict && summary.warn > 0))
        }
    }
}
