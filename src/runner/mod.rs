//! Runs the checks: selection, scheduling, time limits; turns them into a stream of events.

mod beside;
mod config;
mod dial;
mod events;
mod host;
mod known;
mod merge;
mod pace;
mod parts;
mod preflight;
mod rerun;
mod revive;
mod schedule;
mod select;
mod shard;
mod stored;
mod verdict;

use std::collections::HashSet;
use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

pub use crate::client::Header;
pub use crate::scenarios::{CheckInfo, Finding, Omission, Status};
pub use config::{DEFAULT_CRASH_ROUNDS, DEFAULT_DEADLINE, DEFAULT_JOBS, DEFAULT_READY, RunConfig, Target};
pub use events::{CheckResult, Event, Hosted, RunEnd, RunInfo, Summary, Verdict};
pub use known::{Judged, Known, KnownError, LARGEST as LARGEST_KNOWN};
pub use merge::{Judgement, judge_results, missing, together};
pub use rerun::Rerun;
pub use select::{Selection, matches, select};
pub use shard::Shard;
pub use stored::{StoredConfig, judge_stored};

use self::parts::Part;
use self::schedule::{CONTENDING, FINALE_JOBS, Jobs};
use crate::client::{Profile, clock, random};
use crate::scenarios::storage::Storage;
use crate::scenarios::{Abort, Check, Hosting, Phase, World};
pub(crate) use dial::connect;
pub(crate) use preflight::meet;
pub(crate) use verdict::{Ending, Tally, of_results};

/// What `run` calls for every event.
pub type Emit<'a> = &'a mut (dyn FnMut(Event) + Send);

/// Judges a target. `stop` turning true ends the run at once, with the report so far.
///
/// Every path emits [`Event::RunStarted`] first and [`Event::RunFinished`] last.
pub async fn run(mut config: RunConfig, mut stop: watch::Receiver<bool>, emit: Emit<'_>) -> Arc<RunEnd> {
    let started = Instant::now();
    let settled = settle(&mut config, &mut stop).await;
    let seed = config.seed.unwrap_or_else(|| u64::from_le_bytes(random::bytes()));
    let (parts, unusable) = match parts::of(&config) {
        Ok(parts) => (parts, None),
        Err(reason) => (Vec::new(), Some(reason)),
    };
    let chosen = parts::chosen(&parts);
    emit(Event::RunStarted(Arc::new(info(&config, seed, chosen.len()))));
    let ending = match settled {
        Ok(note) => {
            note.into_iter().for_each(|note| emit(Event::Note(note)));
            None
        }
        Err(ending) => Some(ending),
    };
    let mut run = Run {
        config,
        stop,
        emit,
        tally: Tally::default(),
        outcomes: Vec::new(),
        started,
        requests: 0,
        hosted: None,
        title: None,
    };
    for (check, reason) in parts.iter().flat_map(|part| &part.selection.left_out) {
        run.leave_out(check, reason);
    }
    if let Some(reason) = unusable {
        return run.finish(&Ending::Unusable(reason));
    }
    let ending = match ending {
        Some(ending) => run.cut_short(&chosen, ending),
        None => run.judge(seed, &parts).await,
    };
    run.finish(&ending)
}

/// Finds out what an `avp://` address is, before the checks are chosen: they depend on the profile.
async fn settle(config: &mut RunConfig, stop: &mut watch::Receiver<bool>) -> Result<Option<String>, Ending> {
    if let Target::Avp(authority) = config.server.clone() {
        config.target_name.get_or_insert_with(|| format!("avp://{authority}"));
        let (url, beside, note) = tokio::select! {
            settled = dial::settle(config, &authority) => settled.map_err(Ending::Aborted)?,
            () = stopped(stop) => return Err(Ending::Interrupted),
            () = tokio::time::sleep(config.deadline) => return Err(Ending::Deadline),
        };
        config.server = Target::Url(url);
        config.beside = config.beside.take().or(beside);
        note_profile(config);
        return Ok(Some(note));
    }
    note_profile(config);
    Ok(None)
}

fn note_profile(config: &mut RunConfig) {
    if let Target::Url(url) = &config.server {
        config.profile = Profile::of_scheme(url.scheme());
    }
}

fn info(config: &RunConfig, seed: u64, planned: usize) -> RunInfo {
    let target = config.target_name.clone().unwrap_or_else(|| match &config.server {
        Target::Url(url) => url.to_string(),
        Target::Avp(authority) => format!("avp://{authority}"),
    });
    RunInfo {
        version: env!("CARGO_PKG_VERSION"),
        spec: config.spec,
        target,
        rerun: Rerun {
            headers: config.headers.iter().map(|header| header.name.to_string()).collect(),
            ..config.rerun.clone().into()
        },
        seed,
        started_ms: clock::now_ms(),
        planned,
        jobs: config.jobs,
        strict: config.strict,
        shard: config.shard,
    }
}

struct Run<'a> {
    config: RunConfig,
    stop: watch::Receiver<bool>,
    emit: Emit<'a>,
    tally: Tally,
    /// How each check ended.
    outcomes: Vec<(&'static CheckInfo, Status)>,
    started: Instant,
    requests: u64,
    /// What the servers that were started have used.
    hosted: Option<Hosted>,
    /// What is being judged, where there is more than one thing.
    title: Option<&'static str>,
}

impl Run<'_> {
    /// Judges a target that is there, or is being started, part by part.
    async fn judge_there(&mut self, seed: u64, parts: &[Part], hosting: Option<Arc<Hosting>>) -> Ending {
        for (number, part) in parts.iter().enumerate().filter(|(_, part)| !part.selection.chosen.is_empty()) {
            self.title = part.title;
            let ending = self.judge_part(seed, part, hosting.clone()).await;
            if !matches!(ending, Ending::Complete) {
                return self.cut_short(&parts::chosen(&parts[number + 1..]), ending);
            }
        }
        Ending::Complete
    }

    /// When a part that begins now has to be over: each has as long as a run of its own, unless somebody has said how long they all have.
    fn deadline(&self, now: Instant) -> Instant {
        let started = if self.config.fits_deadline { now } else { self.started };
        started + self.config.deadline
    }

    async fn judge_part(&mut self, seed: u64, part: &Part, hosting: Option<Arc<Hosting>>) -> Ending {
        let (config, chosen, started) = (&part.config, part.selection.chosen.as_slice(), Instant::now());
        let deadline = self.deadline(started);
        let mut stop = self.stop.clone();
        let connecting = tokio::select! {
            result = dial::connect(config) => result,
            () = stopped(&mut stop) => return self.cut_short(chosen, Ending::Interrupted),
            () = tokio::time::sleep_until(deadline) => return self.cut_short(chosen, Ending::Deadline),
        };
        let (vault, idp) = match connecting {
            Ok(transports) => transports,
            Err(abort) => return self.cut_short(chosen, Ending::Aborted(abort)),
        };
        let headers: Vec<_> = config.headers.iter().chain(&config.idp_headers).cloned().collect();
        let mut world = World::new(vault, idp, config.spec, seed, &headers);
        (world.asked.nonce_ttl, world.asked.thorough) = (config.nonce_ttl, config.thorough);
        (world.asked.race_budget, world.asked.race_rounds) = (config.race_budget, config.race_rounds);
        let outputs = hosting.as_ref().map(|hosting| hosting.outputs()).unwrap_or_default();
        let sources: Vec<_> = config.storage.iter().cloned().chain(outputs).collect();
        world.seen.secrets.searched = !sources.is_empty() || config.save_canaries.is_some();
        world.seen.storage = Storage::new(sources, config.save_canaries.clone(), config.deadline);
        world.target.hosting = hosting;
        world.asked.crash_rounds = config.crash_rounds;
        match dial::others(config).await {
            Ok((replicas, stranger)) => (world.target.replicas, world.target.stranger) = (replicas, stranger),
            Err(abort) => return self.cut_short(chosen, Ending::Aborted(abort)),
        }
        world.target.profiles = config.beside.is_some();
        world.seen.recording.clone_from(&config.recording);
        match dial::issuer_keys(config).await {
            Ok(Some(keys)) => drop(world.manners.issuer_keys.set(keys)),
            Ok(None) => {}
            Err(abort) => return self.cut_short(chosen, Ending::Aborted(abort)),
        }
        let (traces, trace_events) = mpsc::unbounded_channel();
        world.seen.trace = config.trace.then_some(traces);
        let world = Arc::new(world);
        let ending = self.watch(&world, part, (started, deadline), trace_events).await;
        self.requests += world.requests();
        if world.closes_idle() {
            self.note(
                "the server closed a kept connection while a request was on its way; from then on each had one of its own"
                    .into(),
            );
        }
        world.limits().into_iter().chain(world.losses()).for_each(|note| self.note(note));
        if world.seen.answers.saw_later_revision() && config.spec < crate::requirements::Revision::V0_4 {
            self.note("the server knows shareRefreshTokens, a member of revision 0.4; --spec 0.4 checks it".into());
        }
        ending
    }

    /// Runs preflight and checks, and passes their events on until something ends the run.
    async fn watch(
        &mut self,
        world: &Arc<World>,
        part: &Part,
        (started, mut deadline): (Instant, Instant),
        mut traces: mpsc::UnboundedReceiver<(&'static str, Arc<crate::client::Exchange>)>,
    ) -> Ending {
        let (events, mut received) = mpsc::unbounded_channel();
        let task = tokio::spawn(work(world.clone(), part.selection.chosen.clone(), part.config.clone(), events));
        let mut stop = self.stop.clone();
        let mut done = HashSet::new();
        let ending = loop {
            tokio::select! {
                biased;
                Some((check, exchange)) = traces.recv() => (self.emit)(Event::Exchange(check, exchange)),
                event = received.recv() => match event {
                    Some(event) => {
                        self.pass_on(event, &mut done);
                        if let Some(fitted) = world.course.fitted_deadline.get() {
                            (self.config.deadline, deadline) = (*fitted, started + *fitted);
                        }
                    }
                    None => break world.abort().map_or(Ending::Complete, Ending::Aborted),
                },
                () = stopped(&mut stop) => break Ending::Interrupted,
                () = tokio::time::sleep_until(deadline) => break Ending::Deadline,
                () = world.aborted() => {
                    // The checks under way know best what happened; they get a moment to say so.
                    let grace = tokio::time::sleep(std::time::Duration::from_millis(200));
                    tokio::pin!(grace);
                    loop {
                        tokio::select! {
                            biased;
                            event = received.recv() => match event {
                                Some(event) => self.pass_on(event, &mut done),
                                None => break,
                            },
                            () = &mut grace => break,
                        }
                    }
                    let unknown = || Abort { reason: "the target can't be judged".into(), advice: String::new() };
                    break Ending::Aborted(world.abort().unwrap_or_else(unknown));
                }
            }
        };
        task.abort();
        while let Ok((check, exchange)) = traces.try_recv() {
            (self.emit)(Event::Exchange(check, exchange));
        }
        let rest: Vec<_> =
            part.selection.chosen.iter().copied().filter(|check| !done.contains(check.info.id)).collect();
        if rest.is_empty() { ending } else { self.cut_short(&rest, ending) }
    }

    /// A remark on the part that is being judged.
    fn note(&mut self, text: String) {
        let text = self.title.map_or_else(|| text.clone(), |title| format!("{title}: {text}"));
        (self.emit)(Event::Note(text));
    }

    fn pass_on(&mut self, event: Event, done: &mut HashSet<&'static str>) {
        if let Event::Note(text) = event {
            return self.note(text);
        }
        if let Event::CheckFinished(result) = &event {
            self.tally.count(result);
            self.outcomes.push((result.check, result.status));
            done.insert(result.check.id);
        }
        (self.emit)(event);
    }

    /// Reports the checks that an early end left out.
    fn cut_short(&mut self, rest: &[&'static Check], ending: Ending) -> Ending {
        let reason = match &ending {
            Ending::Complete | Ending::Unusable(_) => "the run ended before its turn came".to_owned(),
            Ending::Interrupted => "interrupted".to_owned(),
            Ending::Deadline => "no time left before --deadline".to_owned(),
            Ending::Aborted(_) => "the target can't be judged (any longer)".to_owned(),
        };
        for check in rest {
            self.leave_out(check, &reason);
        }
        ending
    }

    fn leave_out(&mut self, check: &'static Check, reason: &str) {
        let result = CheckResult::left_out(&check.info, Omission::LeftOut, reason);
        self.tally.count(&result);
        (self.emit)(Event::CheckFinished(Arc::new(result)));
    }

    fn finish(mut self, ending: &Ending) -> Arc<RunEnd> {
        let exists = parts::is_meant;
        let judge = |known: &Known| known.judge(&self.outcomes, self.config.strict, exists);
        let known = self.config.known.as_ref().map(judge).unwrap_or_default();
        self.tally.forgive(&self.outcomes, &known);
        for complaint in &known.stale {
            (self.emit)(Event::Note(complaint.clone()));
        }
        let (verdict, reason, advice, exit_code) = self.tally.judge(ending, &self.config);
        let end = Arc::new(RunEnd {
            verdict,
            reason,
            advice,
            summary: self.tally.summary,
            requests: self.requests,
            duration: self.started.elapsed(),
            interrupted: matches!(ending, Ending::Interrupted),
            exit_code,
            known: known.covered,
            stale: known.stale,
            hosted: self.hosted,
        });
        (self.emit)(Event::RunFinished(end.clone()));
        end
    }
}

/// Preflight, then the checks.
async fn work(world: Arc<World>, chosen: Vec<&'static Check>, config: RunConfig, events: mpsc::UnboundedSender<Event>) {
    let note = |text: String| drop(events.send(Event::Note(text)));
    match preflight::meet(&world).await {
        Ok(notes) => notes.into_iter().for_each(note),
        Err(abort) => return world.give_up(abort.reason, &abort.advice),
    }
    let mut jobs = Jobs {
        usual: config.jobs,
        contending: config.jobs.min(CONTENDING),
        finale: config.jobs.min(FINALE_JOBS),
        nobody_alone: false,
    };
    let of = |phase| chosen.iter().filter(|check| check.phase == phase).count();
    let (parallel, alone, finale) = (of(Phase::Parallel), of(Phase::Contention) + of(Phase::Alone), of(Phase::Finale));
    let checks = pace::Checks { parallel, alone, finale, one_by_one: chosen.len() - parallel - alone - finale };
    if let Some(pace) = preflight::pace(&world, &config, checks).await {
        jobs = Jobs {
            usual: pace.jobs,
            contending: pace.contending,
            finale: pace.finale,
            nobody_alone: pace.contending > CONTENDING,
        };
        let _ = world.course.fitted_deadline.set(pace.deadline);
        note(pace.note());
    }
    jobs.usual = preflight::jobs(&world, jobs.usual).await.max(1);
    if world.serves_few_connections() {
        jobs.contending = 1;
    }
    schedule::run_all(&world, &chosen, jobs, &events).await;
}

/// Waits until `stop` turns true; for ever when it never can.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    if stop.wait_for(|stop| *stop).await.is_err() {
        std::future::pending().await
    }
}
