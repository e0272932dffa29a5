//! Many cases at once, until time or patience is over, or the target is.

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::finding::{FindingKind, Found, Key, Recorded};
use super::generate;
use super::plan::Step;
use super::play::{Behaviour, Played, play};
use super::shrink::shrink;
use crate::ground::Choices;
use crate::ground::lock;
use crate::runner::{self, RunConfig, connect};
use crate::scenarios::{Abort, World};

/// Time between two looks at how far it is.
const TICK: Duration = Duration::from_millis(200);
/// What is still under way when time is over gets so long to end, shrinking included.
const GRACE: Duration = Duration::from_secs(25);

/// When a campaign ends by itself.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// After so many cases.
    pub cases: Option<u64>,
    /// After so long.
    pub duration: Option<Duration>,
    /// With the first finding that fails the server.
    pub first: bool,
    /// Whether warnings fail it, too.
    pub strict: bool,
}

/// How far a campaign is.
#[derive(Clone, Copy, Debug, Default)]
pub struct CampaignProgress {
    /// Cases played, those of shrinking not counted.
    pub cases: u64,
    /// Requests sent.
    pub requests: u64,
    /// Distinct behaviours seen: operation, mutation, class of answer.
    pub behaviours: usize,
    /// Distinct findings.
    pub findings: usize,
    /// Since the start.
    pub elapsed: Duration,
}

/// A finding with the shortest case that shows it.
#[derive(Clone, Debug)]
pub struct ReportedCase {
    /// What was found.
    pub found: Found,
    /// The case.
    pub steps: Vec<Step>,
    /// What was sent and answered when it was played last.
    pub transcript: Vec<Recorded>,
    /// Number of the case that showed it first.
    pub case: u64,
    /// In how many cases it showed.
    pub times: u64,
    /// How long after the start it showed first; shrinking it comes after that.
    pub since: Duration,
}

/// How a campaign ended.
#[derive(Clone, Debug)]
pub enum End {
    /// By its limits.
    Done,
    /// Somebody wanted it to.
    Interrupted,
    /// The target is gone, or never was there.
    Aborted(Abort),
}

/// What came of a campaign.
#[derive(Clone, Debug)]
pub struct Campaign {
    /// What was found, failures first.
    pub reports: Vec<ReportedCase>,
    /// How far it came.
    pub progress: CampaignProgress,
    /// How it ended.
    pub end: End,
}

/// A finding as a file keeps it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Saved {
    /// The rule that is broken.
    pub rule: String,
    /// What kind of thing.
    pub kind: String,
    /// The operation.
    pub operation: String,
    /// What should have come.
    pub expected: String,
    /// What came.
    pub observed: String,
    /// The case, to be played again.
    pub steps: Vec<Step>,
    /// What was sent and answered; for people.
    #[serde(default)]
    pub transcript: serde_json::Value,
}

impl Saved {
    /// Findings with the same key are one, as within a campaign.
    pub fn key(&self) -> (String, String, String) {
        (self.kind.clone(), self.rule.clone(), self.operation.clone())
    }

    /// Whether it fails a server, as [`Found::fails`] has it.
    pub fn fails(&self) -> bool {
        let must = |rule: &crate::requirements::Requirement| rule.level == crate::requirements::Level::Must;
        self.kind == "dead" || crate::requirements::by_id(&self.rule).is_none_or(must)
    }
}

impl From<&ReportedCase> for Saved {
    fn from(report: &ReportedCase) -> Self {
        let kind = serde_json::to_value(report.found.kind).unwrap_or_default();
        Self {
            rule: report.found.rule.id.into(),
            kind: kind.as_str().unwrap_or_default().into(),
            operation: report.found.operation.into(),
            expected: report.found.expected.clone(),
            observed: report.found.observed.clone(),
            steps: report.steps.clone(),
            transcript: serde_json::to_value(&report.transcript).unwrap_or_default(),
        }
    }
}

/// What the workers share.
struct Shared {
    world: Arc<World>,
    started: Instant,
    seed: u64,
    limits: Limits,
    next: AtomicU64,
    played: AtomicU64,
    over: AtomicBool,
    dead: AtomicBool,
    behaviours: Mutex<HashSet<Behaviour>>,
    reports: Mutex<BTreeMap<Key, ReportedCase>>,
}

/// Fuzzes a target. `stop` turning true ends it, with what was found; `tick` hears how far it is a few times a second.
pub async fn run(
    config: &RunConfig,
    seed: u64,
    limits: Limits,
    stop: watch::Receiver<bool>,
    tick: &mut (dyn FnMut(CampaignProgress) + Send),
) -> Campaign {
    let started = Instant::now();
    let world = match meet(config, seed).await {
        Ok(world) => world,
        Err(abort) => {
            return Campaign { reports: Vec::new(), progress: CampaignProgress::default(), end: End::Aborted(abort) };
        }
    };
    let shared = Arc::new(Shared {
        world,
        started,
        seed,
        limits,
        next: AtomicU64::new(0),
        played: AtomicU64::new(0),
        over: AtomicBool::new(false),
        dead: AtomicBool::new(false),
        behaviours: Mutex::default(),
        reports: Mutex::default(),
    });
    let interrupted = drive(&shared, config.jobs, started, stop, tick).await;
    let progress = shared.progress(started);
    tick(progress);
    let mut reports: Vec<_> = std::mem::take(&mut *lock(&shared.reports)).into_values().collect();
    reports.sort_by_key(|report| !report.found.fails());
    Campaign { reports, progress, end: shared.end(interrupted) }
}

/// Keeps the workers going until time is over or somebody wants an end; whether it was the latter.
async fn drive(
    shared: &Arc<Shared>,
    jobs: usize,
    started: Instant,
    mut stop: watch::Receiver<bool>,
    tick: &mut (dyn FnMut(CampaignProgress) + Send),
) -> bool {
    let mut workers = JoinSet::new();
    for _ in 0..jobs.max(1) {
        workers.spawn(work(Arc::clone(shared)));
    }
    let mut interrupted = false;
    let until = shared.limits.duration.map(|duration| started + duration);
    while !workers.is_empty() {
        tokio::select! {
            _ = workers.join_next() => {}
            () = tokio::time::sleep(TICK) => tick(shared.progress(started)),
            Ok(_) = stop.wait_for(|stop| *stop), if !interrupted => {
                interrupted = true;
                workers.abort_all();
            }
        }
        if until.is_some_and(|until| Instant::now() >= until) {
            shared.over.store(true, Ordering::Relaxed);
        }
        if until.is_some_and(|until| Instant::now() >= until + GRACE) {
            workers.abort_all();
        }
    }
    interrupted
}

/// Plays the cases of a file again: each with what it shows now.
///
/// # Errors
/// [`Abort`] when the target can't be judged.
pub async fn replay(config: &RunConfig, saved: &[Saved]) -> Result<Vec<Played>, Abort> {
    let world = meet(config, 0).await?;
    let mut all = Vec::new();
    for saved in saved {
        all.push(play(&world, &saved.steps, None).await);
    }
    Ok(all)
}

/// Connects and speaks to the target for the first time.
async fn meet(config: &RunConfig, seed: u64) -> Result<Arc<World>, Abort> {
    let (vault, idp) = connect(config).await?;
    let headers: Vec<_> = config.headers.iter().chain(&config.idp_headers).cloned().collect();
    let world = Arc::new(World::new(vault, idp, config.spec, seed, &headers));
    runner::meet(&world).await?;
    Ok(world)
}

async fn work(shared: Arc<Shared>) {
    while !shared.over.load(Ordering::Relaxed) {
        let case = shared.next.fetch_add(1, Ordering::Relaxed);
        if shared.limits.cases.is_some_and(|cases| case >= cases) {
            return;
        }
        let steps = generate::case(&mut Choices::numbered(shared.seed, "fuzz", case));
        let mut played = play(&shared.world, &steps, None).await;
        shared.played.fetch_add(1, Ordering::Relaxed);
        lock(&shared.behaviours).extend(std::mem::take(&mut played.behaviours));
        for found in &played.findings {
            shared.report(case, &steps, &played, found).await;
        }
    }
}

impl Shared {
    /// Takes a finding down; a new one is shrunk first.
    async fn report(&self, case: u64, steps: &[Step], played: &Played, found: &Found) {
        let key = found.key();
        if let Some(known) = lock(&self.reports).get_mut(&key) {
            known.times += 1;
            return;
        }
        if found.kind == FindingKind::Dead {
            self.over.store(true, Ordering::Relaxed);
            // The others find nobody there either: the first tells what happened.
            if self.dead.swap(true, Ordering::Relaxed) {
                return;
            }
        }
        let report = |found: &Found, steps: &[Step], played: &Played| ReportedCase {
            found: found.clone(),
            steps: steps.to_vec(),
            transcript: played.until(found).to_vec(),
            case,
            times: 1,
            since: self.started.elapsed(),
        };
        lock(&self.reports).insert(key, report(found, steps, played));
        if self.limits.first && (self.limits.strict || found.fails()) {
            self.over.store(true, Ordering::Relaxed);
        }
        if found.kind == FindingKind::Dead {
            return;
        }
        let Some((shorter, played)) = shrink(&self.world, &key, steps).await else { return };
        if let (Some(known), Some(found)) = (lock(&self.reports).get_mut(&key), played.finding(&key)) {
            *known = ReportedCase { times: known.times, since: known.since, ..report(found, &shorter, &played) };
        }
    }

    fn progress(&self, started: Instant) -> CampaignProgress {
        CampaignProgress {
            cases: self.played.load(Ordering::Relaxed),
            requests: self.world.requests(),
            behaviours: lock(&self.behaviours).len(),
            findings: lock(&self.reports).len(),
            elapsed: started.elapsed(),
        }
    }

    fn end(&self, interrupted: bool) -> End {
        if self.dead.load(Ordering::Relaxed) {
            return End::Aborted(Abort {
                reason: "the target stopped answering: it is gone".into(),
                advice: "look at the server's log; the last request of the transcript, or one that another case sent at the \
                         same time, is the likely culprit (--jobs 1 tells)"
                    .into(),
            });
        }
        if interrupted { End::Interrupted } else { End::Done }
    }
}
