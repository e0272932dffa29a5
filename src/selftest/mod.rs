//! How well the suite tells a good server from a bad one: it judges the built-in server clean, with every fault, and with
//! every quirk, all in process and over real sockets.

pub mod causes;
mod clients;
mod matrix;
mod recorded;
mod stage;

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

pub use clients::{ClientTrial, client_subjects, run_clients};
pub use matrix::{coverage, json, markdown};
pub use stage::{Around, Stage};

use crate::client::Header;
use crate::faults::{self, Fault, FaultKind, Quirk};
use crate::ground::lock;
use crate::requirements::{self, Level};
use crate::runner::{self, CheckResult, Event, RunConfig, RunEnd, Shard, Status, Target};
use crate::scenarios;
use crate::server::{self, Profile};

/// Nonce and token lifetime of servers whose faults show only when something expires.
const SHORT_LIVED: Duration = Duration::from_secs(2);

/// Bound on each of the runs.
const LONGEST: Duration = Duration::from_secs(90);

/// The same where all checks are to be seen: a busy machine must not cut a run short whose findings are counted.
const LONGEST_WHOLE: Duration = Duration::from_secs(600);

/// Bound on a request to a server whose fault may be that it never answers.
const PATIENCE: Duration = Duration::from_secs(4);

/// One judged server.
#[derive(Clone, Copy, Debug)]
pub enum Subject {
    /// The conformant server: no failure, warning or error.
    Clean,
    /// One rule broken: a check that names the rule must see it.
    Fault(Fault),
    /// One odd but allowed habit: no failure or error, and at most one warning.
    Quirk(Quirk),
    /// Every quirk that goes with the others: no failure or error.
    AllQuirks,
}

impl Subject {
    /// `clean`, the fault's or quirk's name, or `all quirks`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Clean => "clean",
            Self::Fault(fault) => fault.info().name,
            Self::Quirk(quirk) => quirk.info().name,
            Self::AllQuirks => "all quirks",
        }
    }
}

/// How a judged server came off, and whether that is as it should be.
#[derive(Clone, Debug)]
pub struct Trial {
    /// Which server.
    pub subject: Subject,
    /// Checks that saw it, by id. For a fault whose rule is a MUST, warnings don't count.
    pub caught_by: Vec<&'static str>,
    /// Those of them that name the broken rule.
    pub related: Vec<&'static str>,
    /// Whether the suite did what it should.
    pub right: bool,
    /// What is wrong, if something is.
    pub complaint: String,
    /// Wall time of the run.
    pub took: Duration,
}

/// What is to be judged: the built-in server as it is, with every quirk, and with every fault.
pub fn subjects(profile: Profile) -> Vec<Subject> {
    let mut all = vec![Subject::AllQuirks, Subject::Clean];
    all.extend(Quirk::all().iter().filter(|quirk| quirk.exists_in(profile)).copied().map(Subject::Quirk));
    let rule_is_judged = |fault: &Fault| {
        let proves = |check: &&scenarios::Check| {
            check.only != Some(crate::client::Profile::Http)
                && check.info.requirements.iter().any(|rule| rule.id == fault.breaks(profile).0)
        };
        profile == Profile::Http || scenarios::all().any(|check| proves(&check))
    };
    let exists = |fault: &&Fault| {
        fault.info().only.is_none_or(|only| only == profile) && rule_is_judged(fault)
            // Killed are processes of the other profile, and where both are needed, both are judged.
            && (profile == Profile::Http || !matches!(fault.info().kind, FaultKind::Crash | FaultKind::Profiles))
    };
    all.extend(Fault::all().iter().filter(exists).copied().map(Subject::Fault));
    all
}

/// Whether judging it is more waiting than work.
fn mostly_waits(subject: Subject) -> bool {
    match subject {
        Subject::Quirk(quirk) => WAITING_QUIRKS.contains(&quirk.info().name),
        Subject::AllQuirks => true,
        _ => is_slow(subject),
    }
}

/// Servers that answer late, or send the suite away for a while.
const WAITING_QUIRKS: [&str; 8] = [
    "latency-50ms",
    "latency-400ms",
    "occasional-429",
    "occasional-503",
    "warming-up",
    "five-logins-a-key",
    "five-redemptions-a-key",
    "forty-pushes-a-key",
];

/// Judges every subject, `jobs` at a time, and beside them those that mostly wait; `progress` hears of each as it ends.
/// Results are in the order of `subjects`.
pub async fn run(profile: Profile, subjects: &[Subject], jobs: usize, mut progress: impl FnMut(&Trial)) -> Vec<Trial> {
    let (finished, mut trials) = mpsc::unbounded_channel();
    let (waiting, working): (VecDeque<_>, VecDeque<_>) =
        subjects.iter().copied().enumerate().partition(|(_, subject)| mostly_waits(*subject));
    let mut workers = JoinSet::new();
    for (position, subject) in waiting {
        let finished = finished.clone();
        workers.spawn(async move {
            // Nobody listens any more when the selftest is being ended.
            let _ = finished.send((position, judge(profile, subject).await));
        });
    }
    let queue = Arc::new(std::sync::Mutex::new(working));
    for _ in 0..jobs.max(1) {
        let (queue, finished) = (queue.clone(), finished.clone());
        workers.spawn(async move {
            loop {
                let next = lock(&queue).pop_front();
                let Some((position, subject)) = next else { break };
                if finished.send((position, judge(profile, subject).await)).is_err() {
                    break;
                }
            }
        });
    }
    drop(finished);
    let mut results: Vec<Option<Trial>> = vec![None; subjects.len()];
    while let Some((position, trial)) = trials.recv().await {
        progress(&trial);
        results[position] = Some(trial);
    }
    results.into_iter().flatten().collect()
}

/// Starts a server of its own for a subject, judges it, and judges the judgement.
pub async fn judge(profile: Profile, subject: Subject) -> Trial {
    let started = Instant::now();
    let mut trial = assessed(profile, subject, Scope::Rule).await;
    // If a usual run of the checks of the broken rule sees it, that is all there is to know.
    if !trial.right && matches!(subject, Subject::Fault(_)) {
        trial = assessed(profile, subject, Scope::RuleThoroughly).await;
    }
    trial.took = started.elapsed();
    trial
}

async fn assessed(profile: Profile, subject: Subject, scope: Scope) -> Trial {
    let of = parts(subject);
    let runs = (1..=of).map(|part| run_part(profile, subject, scope, Shard { part, of }));
    let (mut ends, mut results) = (Vec::new(), Vec::new());
    for ended in futures_util::future::join_all(runs).await {
        match ended {
            Ok((end, found)) => {
                ends.push(end);
                results.push(found);
            }
            Err(reason) => return wrong(subject, reason),
        }
    }
    // The part that did not end well speaks for all.
    let worst = ends.iter().find(|end| end.exit_code != 0).or(ends.first());
    worst.map_or_else(
        || wrong(subject, "no run".into()),
        |end| assess(profile, subject, end, &runner::together(&results)),
    )
}

/// In how many parts a server is judged, all at once and each with a server of its own: a run that does nothing but wait
/// for answers would outlast all others together.
fn parts(subject: Subject) -> u32 {
    match subject {
        Subject::Quirk(quirk) if quirk.info().name == "latency-400ms" => 8,
        Subject::Quirk(quirk) if quirk.info().name == "latency-50ms" => 2,
        _ => 1,
    }
}

/// The end of one part of a run, and what its checks found.
async fn run_part(
    profile: Profile,
    subject: Subject,
    scope: Scope,
    shard: Shard,
) -> Result<(Arc<RunEnd>, Vec<Arc<CheckResult>>), String> {
    let mut results = Vec::new();
    let mut keep = |event| {
        if let Event::CheckFinished(result) = event {
            results.push(result);
        }
    };
    let end = run_subject(profile, subject, scope, Some(shard), &mut keep).await?;
    Ok((end, results))
}

/// How much of the suite judges a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scope {
    /// A fault by the checks of its rule, all others by all checks.
    Rule,
    /// The same, with `--thorough`.
    RuleThoroughly,
    /// All checks.
    Whole,
}

/// Starts a server of its own for a subject and runs the suite against it.
async fn run_subject(
    profile: Profile,
    subject: Subject,
    scope: Scope,
    shard: Option<Shard>,
    emit: runner::Emit<'_>,
) -> Result<Arc<RunEnd>, String> {
    let around = Around { grpc: profile == Profile::Grpc, ..around(subject) };
    let stage = Stage::set(server_config(profile, subject), around).await;
    let stage = stage.map_err(|reason| format!("the server doesn't start: {reason}"))?;
    let end = run_suite(profile, subject, &stage, scope, shard, emit).await;
    stage.strike().await;
    Ok(end)
}

fn is_slow(subject: Subject) -> bool {
    matches!(subject, Subject::Fault(fault) if fault.info().kind == FaultKind::Slow)
}

/// What is around the server: what a fault takes to be seen, and all of it but the killing where nothing may be seen.
fn around(subject: Subject) -> Around {
    match subject {
        Subject::Clean => {
            Around { searched: true, replica: true, stranger: true, process: None, grpc: false, both: false }
        }
        Subject::Fault(fault) => Around::of(fault.info()),
        Subject::Quirk(_) | Subject::AllQuirks => Around::default(),
    }
}

fn server_config(profile: Profile, subject: Subject) -> server::Config {
    let mut config = server::Config::default();
    match subject {
        Subject::Clean => {}
        Subject::Fault(fault) => config.deviation = faults::deviation(Some(fault), &[]),
        Subject::Quirk(quirk) => config.deviation = faults::deviation(None, &[quirk]),
        Subject::AllQuirks => {
            let all = Quirk::all().iter().copied().filter(|quirk| quirk.exists_in(profile));
            config.deviation = faults::deviation(None, &all.filter(goes_with_others).collect::<Vec<_>>());
        }
    }
    if is_slow(subject) {
        (config.nonce_ttl, config.token_ttl) = (SHORT_LIVED, SHORT_LIVED * 2);
    }
    config
}

/// Some habits are alternatives to each other; of each group one is kept. Limits leave little to be seen of the others.
fn goes_with_others(quirk: &Quirk) -> bool {
    !matches!(
        quirk.info().name,
        "errors-empty"
            | "errors-html"
            | "errors-text"
            | "reject-422"
            | "unknown-repo-403"
            | "close-delimited"
            | "connection-close"
            | "pretty-json"
            | "single-threaded"
            | "one-connection"
            | "latency-400ms"
            | "warming-up"
            | "trailing-newline"
            | "integers-with-fraction"
            | "tokens-of-4-kib"
    ) && !quirk.is_limit()
}

/// Judges the server on a stage.
async fn run_suite(
    profile: Profile,
    subject: Subject,
    stage: &Stage,
    scope: Scope,
    shard: Option<Shard>,
    emit: runner::Emit<'_>,
) -> Arc<RunEnd> {
    let mut config = RunConfig::new(Target::Avp(String::new()));
    stage.apply(&mut config);
    // What waits for the server or the clock may do so many times at once.
    config.jobs = if mostly_waits(subject) { 24 } else { 4 };
    config.shard = shard.filter(|shard| shard.of > 1);
    config.thorough = scope == Scope::RuleThoroughly;
    config.deadline = if scope == Scope::Whole { LONGEST_WHOLE } else { LONGEST };
    let (name, value) = faults::API_KEY;
    config.headers =
        vec![Header { name: http::HeaderName::from_static(name), value: http::HeaderValue::from_static(value) }];
    if is_slow(subject) {
        (config.slow, config.nonce_ttl) = (true, Some(SHORT_LIVED));
        config.timeout = PATIENCE;
    }
    if let Subject::Fault(fault) = subject {
        config.spec = requirements::by_id(fault.breaks(profile).0).map_or(config.spec, |rule| rule.since);
    }
    if let (Subject::Fault(fault), Scope::Rule | Scope::RuleThoroughly) = (subject, scope) {
        let rule = fault.breaks(profile).0;
        let related = scenarios::all().filter(|check| check.info.requirements.iter().any(|each| each.id == rule));
        config.only = related.filter_map(|check| globset::Glob::new(check.info.id).ok()).collect();
    }
    let (_keep, stop) = tokio::sync::watch::channel(false);
    runner::run(config, stop, emit).await
}

fn wrong(subject: Subject, complaint: String) -> Trial {
    Trial { subject, caught_by: Vec::new(), related: Vec::new(), right: false, complaint, took: Duration::ZERO }
}

fn assess(profile: Profile, subject: Subject, end: &RunEnd, results: &[Arc<CheckResult>]) -> Trial {
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
            let (rule, level) = fault.breaks(profile);
            let counts: &[Status] = if level == Level::Must { &[Status::Fail] } else { &[Status::Fail, Status::Warn] };
            let caught = with(counts);
            let names =
                |result: &&Arc<CheckResult>| result.check.requirements.iter().any(|requirement| requirement.id == rule);
            let related: BTreeSet<_> = caught.iter().copied().filter(names).map(|result| result.check.id).collect();
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
            // One habit is worth one warning.
            if matches!(subject, Subject::Quirk(_)) && warned.len() > 1 {
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
