//! A run: the client once for every bend that is needed, then the checks. The same events as for a server.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::bends::RARE_WAYS;
use super::checks::{ClientCheck, Way, all};
use super::driver::Adapter;
use super::evidence::{Evidence, Judgement};
use super::scenes::Scene;
use super::subject::{Exit, Ran, Runs, Subject, ca_file};
use super::vault::{Bend, Op};
use super::{ClientConfig, evidence::exchange};
use crate::client::clock;
use crate::requirements::Level;
use crate::runner::{self, CheckResult, Emit, Event, Judged, RunEnd, RunInfo, Status, Summary, Verdict};
use crate::scenarios::{CheckInfo, Omission};

/// Why a run has no verdict on the client.
struct Abort {
    reason: String,
    advice: String,
    exit: u8,
}

/// Judges a client. `stop` turning true ends the run.
pub async fn judge(config: ClientConfig, mut stop: watch::Receiver<bool>, emit: Emit<'_>) -> Arc<RunEnd> {
    let started = Instant::now();
    let (chosen, left_out) = select(&config);
    let only_waiting = left_out.iter().all(|(check, _)| check.waits);
    emit(Event::RunStarted(Arc::new(info(&config, chosen.len()))));
    let mut tally = Tally::default();
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

/// Makes all runs and scenes that the checks need.
async fn gather(config: &ClientConfig, chosen: &[&'static ClientCheck]) -> Result<Evidence, Abort> {
    let trouble = |reason: String| Abort { reason, advice: String::new(), exit: 3 };
    let ca = ca_file().map_err(trouble)?;
    let ca = Arc::new(ca);
    let run = |bend: Bend, reader_joined: bool| {
        let (subject, shows, ca, timeout) =
            (config.subject.clone(), config.shows.clone(), Arc::clone(&ca), config.timeout);
        async move {
            Runs { subject: &subject, shows: shows.as_ref(), ca: ca.path(), timeout, reader_joined }.one(bend).await
        }
    };
    let honest = run(Bend::Honest, true).await;
    usable(&honest)?;
    let joined = reader_joined(&honest);
    let mut wanted: BTreeSet<Bend> = chosen.iter().flat_map(|check| check.bends).copied().collect();
    wanted.insert(Bend::Again);
    wanted.remove(&Bend::Honest);
    let mut waiting: Vec<Bend> = wanted.into_iter().collect();
    // A hanging run takes longest.
    waiting.sort_by_key(|bend| *bend != Bend::Hang);
    waiting.reverse();
    config.progress.total.store(waiting.len() as u64 + 1, Ordering::Relaxed);
    let mut runs = BTreeMap::from([(Bend::Honest, honest)]);
    runs.extend(side_by_side(config, waiting, |bend| run(bend, joined)).await?);
    // Many at once may have been too many for this machine: what took too long gets a second run, alone.
    let honest_ended = runs.get(&Bend::Honest).is_some_and(|ran| ran.exit != Exit::TimedOut);
    let late = |ran: &&Ran| honest_ended && ran.exit == Exit::TimedOut && ran.bend != Bend::Hang;
    for bend in runs.values().filter(late).map(|ran| ran.bend).collect::<Vec<_>>() {
        runs.insert(bend, run(bend, joined).await);
    }
    // Why a client can't read what others write shows in what it does read.
    let evidence = Evidence { runs, scenes: HashMap::new(), shows: config.shows.clone(), driven: false };
    let blind = evidence.works() && evidence.reads() == Some(false);
    let Evidence { mut runs, .. } = evidence;
    if blind {
        config.progress.total.fetch_add(RARE_WAYS.len() as u64, Ordering::Relaxed);
        runs.extend(side_by_side(config, RARE_WAYS.to_vec(), |bend| run(bend, joined)).await?);
    }
    let scenes = play_scenes(config, chosen, &ca).await;
    let mut evidence = Evidence { runs, scenes, shows: config.shows.clone(), driven: config.subject.is_driven() };
    evidence.settle();
    Ok(evidence)
}

/// Runs the client with these bends, the last first, as many at a time as the options say.
async fn side_by_side<F: Future<Output = Ran> + Send + 'static>(
    config: &ClientConfig,
    mut waiting: Vec<Bend>,
    run: impl Fn(Bend) -> F,
) -> Result<Vec<(Bend, Ran)>, Abort> {
    let (mut working, mut runs) = (JoinSet::new(), Vec::new());
    loop {
        while working.len() < config.jobs.max(1)
            && let Some(bend) = waiting.pop()
        {
            working.spawn(run(bend));
        }
        match working.join_next().await {
            Some(Ok(ran)) => {
                config.progress.done.fetch_add(1, Ordering::Relaxed);
                runs.push((ran.bend, ran));
            }
            Some(Err(error)) => {
                let reason = format!("a run ended early: {error}");
                return Err(Abort { reason, advice: String::new(), exit: 3 });
            }
            None => return Ok(runs),
        }
    }
}

/// Plays the scenes that the checks need, several adapters at a time.
async fn play_scenes(
    config: &ClientConfig,
    chosen: &[&'static ClientCheck],
    ca: &Arc<tempfile::NamedTempFile>,
) -> HashMap<&'static str, Judgement> {
    let mut waiting: Vec<(&'static str, Scene)> = chosen
        .iter()
        .filter_map(|check| match check.way {
            Way::Scene(scene) => Some((check.info.id, scene)),
            Way::Runs(_) => None,
        })
        .collect();
    let mut working = JoinSet::new();
    let mut judged = HashMap::new();
    loop {
        while working.len() < config.jobs.max(1)
            && let Some((id, scene)) = waiting.pop()
        {
            let (subject, ca, timeout) = (config.subject.clone(), Arc::clone(ca), config.timeout);
            working.spawn(async move { (id, play(&subject, ca.path(), timeout, scene).await) });
        }
        match working.join_next().await {
            Some(Ok((id, judgement))) => drop(judged.insert(id, judgement)),
            Some(Err(_)) => {}
            None => return judged,
        }
    }
}

async fn play(subject: &Subject, ca: &std::path::Path, timeout: Duration, scene: Scene) -> Judgement {
    match Adapter::start(subject, ca, timeout) {
        Ok(mut adapter) => {
            let judgement = scene(&mut adapter).await;
            adapter.end().await;
            judgement
        }
        Err(exit) => Judgement::Unclear(exit.to_string()),
    }
}

/// Whether the first run says that there is something to judge.
fn usable(honest: &Ran) -> Result<(), Abort> {
    if let Exit::Unusable(reason) = &honest.exit {
        let advice = "run the command by hand; a relative path is relative to here".to_owned();
        return Err(Abort { reason: reason.clone(), advice, exit: 3 });
    }
    if honest.at_vault().next().is_none() {
        let reason = format!(
            "the client sent nothing to the vault ({}{})",
            honest.exit,
            super::bends::last_line(&honest.output)
        );
        let advice = "give it the address: {url} in its arguments is replaced, and AVP_SERVER_URL is set".to_owned();
        return Err(Abort { reason, advice, exit: 3 });
    }
    Ok(())
}

/// Whether somebody who was invited pulls.
fn reader_joined(honest: &Ran) -> bool {
    let creators: BTreeSet<_> = honest.of(Op::Create).filter_map(|record| record.caller.clone()).collect();
    honest.of(Op::Pull).any(|record| {
        let with = record.is_done() && !record.answer["envelope"].is_null();
        with && record.caller.as_ref().is_some_and(|caller| !creators.contains(caller))
    })
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

/// Counts results as they come.
#[derive(Default)]
pub(super) struct Tally {
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

impl Tally {
    pub(super) fn judge(&mut self, emit: Emit<'_>, evidence: &Evidence, check: &'static ClientCheck) {
        let started = Instant::now();
        let unclear;
        let judgement = match check.way {
            Way::Runs(judge) => {
                unclear = judge(evidence, check.bends);
                &unclear
            }
            Way::Scene(_) => match evidence.scenes.get(check.info.id) {
                Some(judgement) => judgement,
                None => {
                    unclear = Judgement::Unclear("the scene ended early".into());
                    &unclear
                }
            },
        };
        let is_must = check.info.level == Level::Must;
        let (status, message, findings) = match judgement {
            Judgement::Holds(remark) => (Status::Pass, remark.clone(), Vec::new()),
            Judgement::Broken(findings) => {
                let message = findings.first().map(|finding| finding.observed.clone()).unwrap_or_default();
                (if is_must { Status::Fail } else { Status::Warn }, message, findings.clone())
            }
            Judgement::NotApplicable(why) => (Status::Skip, why.clone(), Vec::new()),
            Judgement::Shut(finding) => (Status::Error, finding.observed.clone(), Vec::new()),
            Judgement::NotExercised(why) => {
                self.unexercised += usize::from(is_must);
                (Status::Skip, format!("not exercised: {why}"), Vec::new())
            }
            Judgement::Unclear(why) => (Status::Error, why.clone(), Vec::new()),
        };
        let omission = match judgement {
            Judgement::NotExercised(_) => Some(Omission::NotJudged),
            Judgement::NotApplicable(_) => Some(Omission::NotApplicable),
            _ => None,
        };
        self.emit(emit, check, (status, omission), message, findings, started.elapsed());
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
