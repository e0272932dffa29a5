//! A run: the client once for every bend that is needed, then the checks. The same events as for a server.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::checks::{ClientCheck, Way, all};
use super::evidence::{ClientJudgement, Evidence};
use super::gather::{Abort, gather};
use super::run::Ran;
use super::subject::Exit;
use super::vault::Bend;
use super::{ClientConfig, evidence::exchange};
use crate::client::clock;
use crate::requirements::Level;
use crate::runner::{self, CheckResult, Emit, Event, Judged, RunEnd, RunInfo, Status, Summary, Verdict};
use crate::scenarios::{CheckInfo, Omission};

/// Judges a client. `stop` turning true ends the run.
pub async fn judge(config: ClientConfig, mut stop: watch::Receiver<bool>, emit: Emit<'_>) -> Arc<RunEnd> {
    let started = Instant::now();
    let (chosen, left_out) = select(&config);
    let only_waiting = left_out.iter().all(|(check, _)| check.waits);
    emit(Event::RunStarted(Arc::new(info(&config, chosen.len()))));
    let mut tally = ClientTally::default();
    for (check, reason) in left_out {
        tally.left_out += usize::from(check.info.level == Level::Must);
        tally.emit(emit, check, (Status::Skip, Some(Omission::LeftOut)), reason, Vec::new(), Duration::ZERO);
    }
    let deadline = tokio::time::sleep(config.deadline);
    let gathered = tokio::select! {
        gathered = gather(&config, &chosen) => gathered,
        () = stopped(&mut stop) => Err(Abort { reason: "interrupted".into(), advice: String::new(), exit: 130 }),
        () = deadline => Err(Abort {
            reason: format!("the run took longer than --deadline {:?}", config.deadline),
            advice: "raise --deadline, lower --timeout, or select checks with --only".into(),
            exit: 3,
        }),
    };
    let mut requests = 0;
    let abort = match gathered {
        Ok(evidence) => {
            requests = evidence.runs.values().map(|ran| ran.records.len() as u64).sum();
            for note in notes(&evidence) {
                emit(Event::Note(note));
            }
            for check in &chosen {
                emit(Event::CheckStarted(&check.info));
                tally.judge(emit, &evidence, check);
            }
            (tally.failed == 0).then(|| fails_anyway(&evidence)).flatten()
        }
        Err(abort) => {
            for check in &chosen {
                let reason = "the client can't be judged".to_owned();
                tally.emit(emit, check, (Status::Skip, Some(Omission::LeftOut)), reason, Vec::new(), Duration::ZERO);
            }
            Some(abort)
        }
    };
    if abort.is_none() {
        tally.forgive(emit, &config);
    }
    let (verdict, reason, advice, exit_code) = tally.verdict(abort, config.strict, only_waiting);
    let end = Arc::new(RunEnd {
        verdict,
        reason,
        advice,
        summary: tally.summary,
        requests,
        duration: started.elapsed(),
        interrupted: exit_code == 130,
        exit_code,
        known: tally.known.covered,
        stale: tally.known.stale,
        hosted: None,
    });
    emit(Event::RunFinished(Arc::clone(&end)));
    end
}

/// A client that fails as it is tells nothing by failing elsewhere, too.
fn fails_anyway(evidence: &Evidence) -> Option<Abort> {
    let honest = evidence.run(Bend::Honest).filter(|honest| honest.exit != Exit::Code(0))?;
    let end = super::bends::last_line(&honest.output);
    Some(Abort {
        reason: format!("with a vault that does nothing unusual the client ends with {}{end}", honest.exit),
        advice: "see that it ends with status 0 when all goes well; -v shows what it has asked for".into(),
        exit: 3,
    })
}

async fn stopped(stop: &mut watch::Receiver<bool>) {
    if stop.wait_for(|stop| *stop).await.is_err() {
        std::future::pending().await
    }
}

pub(super) fn info(config: &ClientConfig, planned: usize) -> RunInfo {
    RunInfo {
        version: env!("CARGO_PKG_VERSION"),
        spec: config.spec,
        target: config.target_name.clone(),
        rerun: config.rerun.clone(),
        seed: config.seed,
        started_ms: clock::now_ms(),
        planned,
        jobs: config.jobs,
        strict: config.strict,
        shard: None,
    }
}

/// A check that isn't run, and why.
pub(super) type LeftOut = (&'static ClientCheck, String);

/// The checks of a run. What another way of judging could tell is no part of this one.
pub(super) fn select(config: &ClientConfig) -> (Vec<&'static ClientCheck>, Vec<LeftOut>) {
    let matchers = |globs: &[globset::Glob]| globs.iter().map(globset::Glob::compile_matcher).collect::<Vec<_>>();
    let (only, skip) = (matchers(&config.only), matchers(&config.skip));
    let hit = |globs: &[globset::GlobMatcher], check: &ClientCheck| {
        globs.iter().any(|glob| glob.is_match(check.info.id) || glob.is_match(check.info.section))
    };
    let (mut chosen, mut left_out) = (Vec::new(), Vec::new());
    let driven = config.subject.is_driven();
    for check in all().filter(|check| check.info.since <= config.spec && (driven || !check.needs_driver())) {
        let reason = if !only.is_empty() && !hit(&only, check) {
            Some("not selected by --only")
        } else if hit(&skip, check) {
            Some("left out by --skip")
        } else if check.waits && !config.slow {
            Some("it waits for a client that hangs: --slow runs it")
        } else {
            None
        };
        match reason {
            Some(reason) => left_out.push((check, reason.to_owned())),
            None => chosen.push(check),
        }
    }
    (chosen, left_out)
}

fn notes(evidence: &Evidence) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(honest) = evidence.run(Bend::Honest) {
        if honest.exit != Exit::Code(0) {
            let end = super::bends::last_line(&honest.output);
            notes.push(format!("with a vault that isn't bent the client ends with {}{end}", honest.exit));
        }
        if !honest.unsupported.is_empty() {
            notes.push(format!("the adapter doesn't support {}", honest.unsupported.join(", ")));
        }
    }
    if let Some(slowest) = evidence.runs.values().filter(|ran| ran.bend != Bend::Hang).max_by_key(|ran| ran.took)
        && slowest.exit == Exit::TimedOut
    {
        notes.push(format!("a run was ended after --timeout, while {}", slowest.bend.what()));
    }
    notes
}

/// Judges checks and counts their results. Unlike the runner's tally, it also counts what the client did nothing to exercise.
#[derive(Default)]
pub(super) struct ClientTally {
    pub summary: Summary,
    failed: usize,
    /// How each check ended.
    outcomes: Vec<(&'static CheckInfo, Status)>,
    /// What the file of known failures says of them.
    pub known: Judged,
    /// MUST checks that were left out, or that nothing exercised.
    left_out: usize,
    unexercised: usize,
}

impl ClientTally {
    pub(super) fn judge(&mut self, emit: Emit<'_>, evidence: &Evidence, check: &'static ClientCheck) {
        let started = Instant::now();
        let mut took = Duration::ZERO;
        let unclear;
        let judgement = match check.way {
            Way::Runs(judge) => {
                unclear = judge(evidence, check.bends);
                &unclear
            }
            Way::Scene(_) => match evidence.scenes.get(check.info.id) {
                Some((judgement, played)) => {
                    took = *played;
                    judgement
                }
                None => {
                    unclear = ClientJudgement::Unclear("the scene ended early".into());
                    &unclear
                }
            },
        };
        let is_must = check.info.level == Level::Must;
        let (status, message, findings) = match judgement {
            ClientJudgement::Holds(remark) => (Status::Pass, remark.clone(), Vec::new()),
            ClientJudgement::Broken(findings) => {
                let message =
                    findings.first().map(|found| format!("{} (expected: {})", found.observed, found.expected));
                let message = message.unwrap_or_default();
                (if is_must { Status::Fail } else { Status::Warn }, message, findings.clone())
            }
            ClientJudgement::NotApplicable(why) => (Status::Skip, why.clone(), Vec::new()),
            ClientJudgement::Shut(finding) => (Status::Error, finding.observed.clone(), Vec::new()),
            ClientJudgement::NotExercised(why) => {
                self.unexercised += usize::from(is_must);
                (Status::Skip, format!("not exercised: {why}"), Vec::new())
            }
            ClientJudgement::Unclear(why) => (Status::Error, why.clone(), Vec::new()),
        };
        let omission = match judgement {
            ClientJudgement::NotExercised(_) => Some(Omission::NotJudged),
            ClientJudgement::NotApplicable(_) => Some(Omission::NotApplicable),
            _ => None,
        };
        self.emit(emit, check, (status, omission), message, findings, took + started.elapsed());
    }

    fn emit(
        &mut self,
        emit: Emit<'_>,
        check: &'static ClientCheck,
        (status, omission): (Status, Option<Omission>),
        message: String,
        findings: Vec<crate::scenarios::Finding>,
        duration: Duration,
    ) {
        self.summary.count(status);
        self.outcomes.push((&check.info, status));
        self.failed += usize::from(status == Status::Fail);
        let exchanges = findings.iter().filter_map(|finding| finding.exchange.clone()).take(3).collect();
        let result = CheckResult { check: &check.info, status, omission, message, findings, exchanges, duration };
        emit(Event::CheckFinished(Arc::new(result)));
    }

    /// Holds the file of known failures to what came of the checks, and says what is wrong with it.
    pub(super) fn forgive(&mut self, emit: Emit<'_>, config: &ClientConfig) {
        let Some(known) = &config.known else { return };
        self.known = known.judge(&self.outcomes, config.strict, |glob| all().any(|check| glob.is_match(check.info.id)));
        for complaint in &self.known.stale {
            emit(Event::Note(complaint.clone()));
        }
    }

    fn verdict(&self, abort: Option<Abort>, strict: bool, only_waiting: bool) -> (Verdict, String, String, u8) {
        if let Some(Abort { reason, advice, exit }) = abort {
            let verdict = if exit == 130 { Verdict::Incomplete } else { Verdict::NotJudged };
            return (verdict, reason, advice, exit);
        }
        let known = self.known.counted(&self.outcomes);
        // What fails breaks a MUST; the rest warns.
        let must_failed = self.summary.fail - known.fail;
        let missing = self.missing(only_waiting);
        let (verdict, reason, advice, exit) = runner::of_results(self.summary, known, must_failed, strict, missing);
        let (reason, exit) = self.known.added_to(reason, exit);
        (verdict, reason, advice, exit)
    }

    /// The MUST checks that a conformant client would have passed as well.
    fn missing(&self, only_waiting: bool) -> Option<String> {
        let checks = |count: usize| match count {
            1 => "1 MUST check was".to_owned(),
            _ => format!("{count} MUST checks were"),
        };
        let how = if only_waiting { " (--slow runs them)" } else { "" };
        match (self.unexercised, self.left_out) {
            (0, 0) => None,
            (0, left) => Some(format!("{} left out{how}", checks(left))),
            (count, 0) => Some(format!("{} not exercised by what the client does", checks(count))),
            (count, left) => Some(format!("{} not exercised, and {left} left out", checks(count))),
        }
    }

    /// Ends a run by hand.
    pub(super) fn end(&self, strict: bool) -> (Verdict, String, String, u8) {
        self.verdict(None, strict, false)
    }
}

/// The exchanges of the last requests, for whoever looks over a client's shoulder.
pub(super) fn recent(ran: &Ran, count: usize) -> Vec<Arc<crate::client::Exchange>> {
    let start = ran.records.len().saturating_sub(count);
    ran.records[start..].iter().map(exchange).collect()
}
