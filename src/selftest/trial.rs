//! One server, started and judged.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::assess::{assess, catches, wrong};
use super::{Around, Batch, Effort, Stage, Subject, Trial, groups, shown_by};
use crate::client::Header;
use crate::faults::{self, Quirk};
use crate::requirements;
use crate::runner::{self, CheckResult, Event, RunConfig, RunEnd, Shard, Target};
use crate::scenarios;
use crate::server::{self, Profile};

/// Nonce and token lifetime of servers whose faults show only when something expires.
const SHORT_LIVED: Duration = Duration::from_secs(2);

/// Bound on each of the runs.
const LONGEST: Duration = Duration::from_secs(90);

/// The same where all checks are to be seen: a busy machine must not cut a run short whose findings are counted.
const LONGEST_WHOLE: Duration = Duration::from_secs(600);

/// Time and rounds of each contention check where the usual 10 ms and 100 rounds showed nothing: a processor that is busy with other
/// servers leaves room for a round or two in these.
const LONG_RACES: (Duration, u32) = (Duration::from_millis(500), 10_000);

/// Bound on a request to a server whose fault may be that it never answers.
const PATIENCE: Duration = Duration::from_secs(4);

/// Starts a server of its own for a subject, judges it, and judges the judgement.
pub async fn judge(profile: Profile, subject: Subject, effort: Effort) -> Trial {
    let started = Instant::now();
    let Subject::Fault(fault) = subject else {
        let trial = assessed(profile, subject, Scope::Whole, effort).await;
        return Trial { took: started.elapsed(), ..trial };
    };
    let known = shown_by::check(fault).filter(|_| effort == Effort::Quick).map(Scope::Check);
    let by_rule = [Patience::Usual, Patience::Thorough, Patience::Long].map(Scope::Rule);
    let mut trial = wrong(subject, "no run".into());
    // Once a fault is seen there is nothing more to know; a race may take longer to be lost on a busy machine.
    for scope in known.into_iter().chain(by_rule) {
        trial = assessed(profile, subject, scope, effort).await;
        if trial.right {
            break;
        }
    }
    trial.took = started.elapsed();
    trial
}

/// The same for each of a batch, by one run where that says enough.
pub(super) async fn judge_all(profile: Profile, batch: Batch, effort: Effort) -> Vec<(usize, Trial)> {
    if batch.len() > 1
        && let Some(trials) = judge_together(profile, &batch).await
    {
        return trials;
    }
    let mut trials = Vec::new();
    for (place, subject) in batch {
        trials.push((place, judge(profile, subject, effort).await));
    }
    trials
}

/// One run against a server with all quirks of a batch; `None` where it says more than may be said of one of them.
async fn judge_together(profile: Profile, batch: &Batch) -> Option<Vec<(usize, Trial)>> {
    let started = Instant::now();
    let quirks: Vec<Quirk> = batch.iter().filter_map(|(_, subject)| subject.quirk()).collect();
    let (_, first) = *batch.first()?;
    let config = server::Config { deviation: faults::deviation(None, &quirks), ..server::Config::default() };
    let mut results = Vec::new();
    let how = How { scope: Scope::Whole, until_caught: false, shard: Shard { part: 1, of: 1 } };
    let end = run_server(profile, first, config, how, &mut |event| results.extend(event.result())).await.ok()?;
    let warnings = groups::warnings(batch.iter().map(|(_, subject)| *subject));
    let trial = assess(profile, first, warnings, &end, &results);
    let took = started.elapsed() / u32::try_from(batch.len()).unwrap_or(u32::MAX);
    trial.right.then(|| {
        batch.iter().map(|(place, subject)| (*place, Trial { subject: *subject, took, ..trial.clone() })).collect()
    })
}

async fn assessed(profile: Profile, subject: Subject, scope: Scope, effort: Effort) -> Trial {
    let until_caught = effort == Effort::Quick;
    let of = parts(subject);
    let runs = (1..=of).map(|part| run_part(profile, subject, How { scope, until_caught, shard: Shard { part, of } }));
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
        |end| assess(profile, subject, groups::warnings([subject]), end, &runner::together(&results)),
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
    how: How,
) -> Result<(Arc<RunEnd>, Vec<Arc<CheckResult>>), String> {
    let mut results = Vec::new();
    let config = server_config(profile, subject);
    let end = run_server(profile, subject, config, how, &mut |event| results.extend(event.result())).await?;
    Ok((end, results))
}

/// How much of the suite judges a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scope {
    /// This check.
    Check(&'static str),
    /// The checks of the rule that a fault breaks.
    Rule(Patience),
    /// All checks.
    Whole,
}

/// How hard these checks try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Patience {
    /// As in a usual run.
    Usual,
    /// As with `--thorough`.
    Thorough,
    /// With `--thorough` and [`LONG_RACES`].
    Long,
}

/// How a server is judged.
#[derive(Clone, Copy, Debug)]
struct How {
    scope: Scope,
    /// Whether the first check that catches a fault ends the run.
    until_caught: bool,
    shard: Shard,
}

/// Runs all checks against a server of its own.
///
/// # Errors
/// In words, when the server doesn't start.
pub(super) async fn run_whole(
    profile: Profile,
    subject: Subject,
    emit: runner::Emit<'_>,
) -> Result<Arc<RunEnd>, String> {
    let how = How { scope: Scope::Whole, until_caught: false, shard: Shard { part: 1, of: 1 } };
    run_server(profile, subject, server_config(profile, subject), how, emit).await
}

/// Starts a server, runs the suite against it as a subject is judged, and stops it.
async fn run_server(
    profile: Profile,
    subject: Subject,
    server: server::Config,
    how: How,
    emit: runner::Emit<'_>,
) -> Result<Arc<RunEnd>, String> {
    let around = Around { grpc: profile == Profile::Grpc, ..around(subject) };
    let stage = Stage::set(server, around).await;
    let stage = stage.map_err(|reason| format!("the server doesn't start: {reason}"))?;
    let end = run_suite(profile, subject, &stage, how, emit).await;
    stage.strike().await;
    Ok(end)
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
            config.deviation = faults::deviation(None, &all.filter(groups::goes_with_all).collect::<Vec<_>>());
        }
    }
    if subject.is_slow() {
        (config.nonce_ttl, config.token_ttl) = (SHORT_LIVED, SHORT_LIVED * 2);
    }
    config
}

/// Judges the server on a stage.
async fn run_suite(profile: Profile, subject: Subject, stage: &Stage, how: How, emit: runner::Emit<'_>) -> Arc<RunEnd> {
    let mut config = RunConfig::new(Target::Avp(String::new()));
    stage.apply(&mut config);
    // What waits for the server or the clock may do so many times at once.
    config.jobs = if groups::mostly_waits(subject) { 24 } else { 4 };
    config.shard = Some(how.shard).filter(|shard| shard.of > 1);
    config.thorough = matches!(how.scope, Scope::Rule(Patience::Thorough | Patience::Long));
    if how.scope == Scope::Rule(Patience::Long) {
        (config.race_budget, config.race_rounds) = LONG_RACES;
    }
    config.deadline = if how.scope == Scope::Whole { LONGEST_WHOLE } else { LONGEST };
    let (name, value) = faults::API_KEY;
    config.headers =
        vec![Header { name: http::HeaderName::from_static(name), value: http::HeaderValue::from_static(value) }];
    if subject.is_slow() {
        (config.slow, config.nonce_ttl) = (true, Some(SHORT_LIVED));
        config.timeout = PATIENCE;
    }
    if let Subject::Fault(fault) = subject {
        config.spec = requirements::by_id(fault.breaks(profile).0).map_or(config.spec, |rule| rule.since);
    }
    let wanted = |check: &&scenarios::Check| match (how.scope, subject) {
        (Scope::Check(id), _) => check.info.id == id,
        (Scope::Rule(_), Subject::Fault(fault)) => {
            let rule = fault.breaks(profile).0;
            check.info.requirements.iter().any(|each| each.id == rule)
        }
        _ => false,
    };
    let wanted = scenarios::all().filter(wanted).filter_map(|check| globset::Glob::new(check.info.id).ok());
    config.only = wanted.collect();
    let (end, stop) = watch::channel(false);
    let mut watched = |event: Event| {
        if let (Event::CheckFinished(result), Subject::Fault(fault), true) = (&event, subject, how.until_caught)
            && catches(profile, &fault, result)
        {
            end.send_replace(true);
        }
        emit(event);
    };
    runner::run(config, stop, &mut watched).await
}
