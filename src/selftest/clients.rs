//! How well the judge of clients tells a good client from a bad one: it judges the built-in client clean, with every fault, and
//! with every quirk, started as a program is and behind its adapter.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::agent::{Habit, HabitInfo, Habits};
use crate::client_scenarios::{self, ClientConfig, ClientProgress, Subject};
use crate::ground::lock;
use crate::requirements::{Level, Requirement, Revision};
use crate::runner::{CheckResult, Event, Rerun, Status};

/// Bound on a run of a client whose fault may be that it never ends.
const PATIENCE: Duration = Duration::from_secs(10);

/// How one client came off.
#[derive(Clone, Debug)]
pub struct ClientTrial {
    /// `clean`, or the habit's name.
    pub name: &'static str,
    /// The rule that a fault breaks.
    pub breaks: Option<&'static Requirement>,
    /// Checks that saw it and name the rule.
    pub related: Vec<&'static str>,
    /// What is wrong with the judgement, if something is.
    pub complaint: Option<String>,
    /// What whole runs that saw the fault say is to be repaired first: one for each way of judging a client.
    pub told: Vec<FirstCause>,
    /// Wall time.
    pub took: Duration,
}

/// What a run of a faulty client tells its author first.
#[derive(Clone, Debug)]
pub struct FirstCause {
    /// The check of the first cause.
    pub check: &'static str,
    /// Whether that check names the rule that the fault breaks.
    pub named: bool,
    /// How many causes there are.
    pub causes: usize,
}

/// The clients to be judged: `None` is the clean one.
pub fn client_subjects() -> Vec<Option<&'static HabitInfo>> {
    std::iter::once(None).chain(Habit::quirks().map(Some)).chain(Habit::faults().map(Some)).collect()
}

/// Judges every subject, `jobs` at a time: a fault by the checks that name its rule, or, for its causes, by `all`. Results are in their
/// order.
pub async fn run_clients(
    subjects: &[Option<&'static HabitInfo>],
    jobs: usize,
    all: bool,
    mut progress: impl FnMut(&ClientTrial),
) -> Vec<ClientTrial> {
    let queue: VecDeque<_> = subjects.iter().copied().enumerate().collect();
    let queue = Arc::new(Mutex::new(queue));
    let (finished, mut trials) = mpsc::unbounded_channel();
    let mut workers = JoinSet::new();
    for _ in 0..jobs.max(1) {
        let (queue, finished) = (Arc::clone(&queue), finished.clone());
        workers.spawn(async move {
            loop {
                let next = lock(&queue).pop_front();
                let Some((position, subject)) = next else { break };
                if finished.send((position, trial(subject, all).await)).is_err() {
                    break;
                }
            }
        });
    }
    drop(finished);
    let mut results = vec![None; subjects.len()];
    while let Some((position, trial)) = trials.recv().await {
        progress(&trial);
        results[position] = Some(trial);
    }
    results.into_iter().flatten().collect()
}

async fn trial(subject: Option<&'static HabitInfo>, all: bool) -> ClientTrial {
    let started = Instant::now();
    let habits = Habits(subject.map(|info| info.habit).into_iter().collect());
    let ways = [Subject::Embedded(habits.clone()), Subject::EmbeddedDriver(habits)];
    let (name, breaks) = (subject.map_or("clean", |info| info.name), subject.and_then(|info| info.breaks));
    let (mut related, mut told, mut complaint) = (Vec::new(), Vec::new(), None);
    for way in ways {
        let results = judged(way, breaks, all).await;
        match breaks {
            None => complaint = complaint.or_else(|| false_alarm(&results, subject.is_none())),
            Some(rule) => {
                let seen_by = catching(&results, rule);
                if all && !seen_by.is_empty() {
                    told.extend(first_cause(&results, rule));
                }
                related.extend(seen_by);
                if !all && !related.is_empty() {
                    break;
                }
            }
        }
    }
    if breaks.is_some() && related.is_empty() {
        complaint = Some("survives".into());
    }
    ClientTrial { name, breaks, related, complaint, told, took: started.elapsed() }
}

fn first_cause(results: &[Arc<CheckResult>], rule: &'static Requirement) -> Option<FirstCause> {
    let causes = crate::causes::find(results.iter().map(AsRef::as_ref));
    let first = causes.list().first()?;
    let named = first.requirements.iter().any(|each| each.id == rule.id);
    Some(FirstCause { check: first.check, named, causes: causes.list().len() })
}

/// The checks that see a fault and name its rule; for a MUST, warnings don't count.
fn catching(results: &[Arc<CheckResult>], rule: &'static Requirement) -> Vec<&'static str> {
    let counts = |status| status == Status::Fail || (status == Status::Warn && rule.level != Level::Must);
    let names = |result: &&Arc<CheckResult>| result.check.requirements.iter().any(|each| each.id == rule.id);
    results.iter().filter(|result| counts(result.status)).filter(names).map(|result| result.check.id).collect()
}

/// What a client without a fault was wrongly told.
fn false_alarm(results: &[Arc<CheckResult>], clean: bool) -> Option<String> {
    let wrong = |status| matches!(status, Status::Fail | Status::Error) || (clean && status == Status::Warn);
    let mut found = results.iter().filter(|result| wrong(result.status));
    let first = found.next().map(|result| format!("{}: {}", result.check.id, result.message));
    // A clean client exercises everything that it can be asked for.
    let unseen = || {
        let skipped = results.iter().find(|result| clean && result.status == Status::Skip && EXERCISED(result))?;
        Some(format!("{}: {}", skipped.check.id, skipped.message))
    };
    first.or_else(unseen)
}

/// The tour never fetches a key, and has bindings in a scene of its own.
const EXERCISED: fn(&Arc<CheckResult>) -> bool = |result| result.check.id != "client-token/stays-home-get";

async fn judged(subject: Subject, rule: Option<&'static Requirement>, all: bool) -> Vec<Arc<CheckResult>> {
    let related = client_scenarios::all()
        .filter(|check| !all && rule.is_some_and(|rule| check.info.requirements.iter().any(|each| each.id == rule.id)))
        .filter_map(|check| globset::Glob::new(check.info.id).ok());
    let config = ClientConfig {
        subject,
        shows: None,
        timeout: PATIENCE,
        deadline: Duration::from_secs(120),
        jobs: 4,
        only: related.collect(),
        skip: Vec::new(),
        strict: false,
        known: None,
        slow: rule.is_none_or(|rule| rule.id == crate::requirements::CLIENT_BOUNDED.id),
        spec: rule.map_or(Revision::V0_4, |rule| rule.since),
        seed: 0,
        target_name: String::new(),
        rerun: Rerun::default(),
        progress: Arc::new(ClientProgress::default()),
    };
    let (_keep, stop) = watch::channel(false);
    let mut results = Vec::new();
    client_scenarios::judge(config, stop, &mut |event| {
        if let Event::CheckFinished(result) = event {
            results.push(result);
        }
    })
    .await;
    results
}
