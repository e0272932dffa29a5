//! Runs the chosen checks, phase by phase, several at a time.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use futures_util::FutureExt as _;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::{CheckResult, Event, Finding, Omission, Status};
use super::{preflight, revive};
use crate::ground::lock;
use crate::requirements::Level;
use crate::scenarios::{Check, Ctx, Phase, Stop, World};

/// Checks that ask some sixty times and more, most of it one after the other: those that take 26 s and more in
/// `--embedded --quirk latency-400ms -v`, and those that ask most of all. Where answers take long, a run is over when the last of these is, so they begin early.
const LONG: [&str; 45] = [
    "auth/nonce-not-foretold",
    "auth/nonce-reused-after-many-logins",
    "auth/nonce-reused-in-disguise",
    "auth/odd-bytes",
    "auth/signature-after-right-login",
    "bad-input/incomplete-objects",
    "create-repo/malformed-leaves-nothing",
    "disclosure/diagnostics",
    "disclosure/listings",
    "doors/carried-authority",
    "doors/headers",
    "doors/methods",
    "doors/odd-ids",
    "doors/spellings",
    "gates/expected-version",
    "gates/stored-counters",
    "ids/similar-beginnings",
    "ids/similar-ends",
    "ids/similar-forms",
    "ids/similar-letters",
    "ids/similar-parts",
    "ids/similar-to-parsers",
    "push/after-any-sequence",
    "push/applies-after-any-refusal",
    "push/applies-after-many-conflicts",
    "push/bad-entry-changes-nothing",
    "push/conflict-after-any-write",
    "push/refused-changes-nothing",
    "push/refused-comes-with-no-later-write",
    "push/version-never-falls-after-any-write",
    "race/callers-are-kept-apart",
    "refusal/comes-with-no-later-write",
    "remove-member/counters-rise-after-any-write",
    "rights/begin-in-any-sequence",
    "rights/begin-with-add-member",
    "rights/end-in-any-sequence",
    "rights/end-with-removal",
    "rights/many-who-left-stay-out",
    "rights/refused-writes-bring-nobody-in",
    "status/whatever-the-headers",
    "status/without-token",
    "texts/by-removal",
    "texts/wrapped-keys",
    "token/identity-elsewhere",
    "token/jwt-chooses-its-key",
];
/// How many of those that load the server do so at once: each waits half of its time, and every one has repositories of its own.
pub const CONTENDING: usize = 3;
/// How many of those that judge the whole run do so at once. Most of what they do is asking again.
pub const FINALE_JOBS: usize = 4;

fn is_long(check: &Check) -> bool {
    LONG.contains(&check.info.base())
}

/// The same checks, the long ones behind the first sixth: by then it is known what plain requests get.
fn long_ones_early(checks: Vec<&'static Check>) -> Vec<&'static Check> {
    let (long, mut others): (Vec<_>, Vec<_>) = checks.into_iter().partition(|check| is_long(check));
    let place = others.len() / 6;
    others.splice(place..place, long);
    others
}

/// How many checks run at once.
#[derive(Clone, Copy, Debug)]
pub struct Jobs {
    /// Of the usual ones.
    pub usual: usize,
    /// Of those that load the server.
    pub contending: usize,
    /// Of those that judge the whole run.
    pub finale: usize,
    /// Whether those that want the server for themselves share it with the ones that load it: a slow server's answers lie so far
    /// apart that they don't meet, and one check after the other would take minutes.
    pub nobody_alone: bool,
}

/// Runs checks until they are done; `events` gets a start and an end for each.
pub async fn run_all(world: &Arc<World>, checks: &[&'static Check], jobs: Jobs, events: &mpsc::UnboundedSender<Event>) {
    let phases = [
        Phase::Parallel,
        Phase::Contention,
        Phase::Alone,
        Phase::Finale,
        Phase::Dangerous,
        Phase::Storage,
        Phase::Crash,
    ];
    for phase in phases {
        let is_now = |check: &&'static Check| match check.phase {
            Phase::Alone if jobs.nobody_alone => phase == Phase::Contention,
            other => phase == other,
        };
        let mut of_phase: Vec<_> = checks.iter().copied().filter(is_now).collect();
        let workers = match phase {
            Phase::Parallel => jobs.usual.min(of_phase.len()),
            Phase::Contention => jobs.contending.min(of_phase.len()),
            Phase::Finale => jobs.finale.min(of_phase.len()),
            // Which check has killed the server must be clear.
            Phase::Alone | Phase::Dangerous | Phase::Storage | Phase::Crash => 1,
        };
        if workers > 1 {
            of_phase = long_ones_early(of_phase);
        }
        let of_phase: Arc<[&'static Check]> = of_phase.into();
        let next = Arc::new(AtomicUsize::new(0));
        let met = Arc::new(Mutex::new(Vec::new()));
        let mut tasks = JoinSet::new();
        for _ in 0..workers {
            let shared = Shared { next: next.clone(), met: met.clone(), alone: workers == 1 };
            tasks.spawn(worker(world.clone(), of_phase.clone(), shared, events.clone()));
        }
        while tasks.join_next().await.is_some() {}
        let met = std::mem::take(&mut *lock(&met));
        again_alone(world, &met, events).await;
    }
}

/// What the workers of a phase share.
struct Shared {
    next: Arc<AtomicUsize>,
    /// Checks that were running when the server died.
    met: Arc<Mutex<Vec<&'static Check>>>,
    alone: bool,
}

async fn worker(
    world: Arc<World>,
    checks: Arc<[&'static Check]>,
    shared: Shared,
    events: mpsc::UnboundedSender<Event>,
) {
    while let Some(check) = checks.get(shared.next.fetch_add(1, Ordering::Relaxed)) {
        if world.abort().is_some() {
            break;
        }
        // The receiver goes when the run is being ended; then nobody needs the events.
        let _ = events.send(Event::CheckStarted(&check.info));
        match run_one(&world, check, shared.alone, &events).await {
            Some(result) => drop(events.send(Event::CheckFinished(Arc::new(result)))),
            None => lock(&shared.met).push(check),
        }
    }
}

/// One of these has killed the server, which was started again: which one shows when each has it for itself.
async fn again_alone(world: &Arc<World>, met: &[&'static Check], events: &mpsc::UnboundedSender<Event>) {
    let before = world.target.hosting.as_ref().map(|hosting| hosting.generation());
    for check in met {
        if world.abort().is_some() {
            return;
        }
        if let Some(result) = run_one(world, check, true, events).await {
            let _ = events.send(Event::CheckFinished(Arc::new(result)));
        }
    }
    if !met.is_empty() && world.target.hosting.as_ref().map(|hosting| hosting.generation()) == before {
        let names: Vec<_> = met.iter().map(|check| check.info.id).collect();
        let note =
            format!("the server died while {} were running, and not again when each ran alone", names.join(", "));
        let _ = events.send(Event::Note(note));
    }
}

/// Runs a check. `None` when a server died meanwhile, and others were running that may have killed it.
async fn run_one(
    world: &Arc<World>,
    check: &'static Check,
    alone: bool,
    events: &mpsc::UnboundedSender<Event>,
) -> Option<CheckResult> {
    let (started, generation) = (Instant::now(), revive::generation(world));
    let (mut result, cut_off) = try_once(world, check).await;
    // Nobody knows what became of a request on a connection that ended while it was idle. Each has its own by now.
    if cut_off && result.status != Status::Pass && revive::generation(world) == generation {
        result = try_once(world, check).await.0;
    }
    let gone = if check.phase == Phase::Dangerous { preflight::still_there(world).await.err() } else { None };
    match (&world.target.hosting, gone) {
        (Some(hosting), gone) if check.phase != Phase::Crash => {
            if gone.is_some() {
                world.course.suspect.store(true, Ordering::Relaxed);
            }
            let quiet = gone.is_some() || result.status != Status::Pass;
            let death = revive::look_after(world, hosting, quiet).await;
            if (death.is_some() || revive::generation(world) != generation) && !alone {
                return None;
            }
            if let Some(death) = death {
                mark_as_killer(&mut result, &format!("{death}; it was started again"));
                let _ = events
                    .send(Event::Note(format!("{death}, while {} was running; it was started again", check.info.id)));
            }
        }
        (_, Some(abort)) => {
            mark_as_killer(&mut result, &abort.reason);
            world.give_up(
                format!("the server died while {} was running: {}", check.info.id, abort.reason),
                &abort.advice,
            );
        }
        _ => {}
    }
    result.duration = started.elapsed();
    Some(result)
}

/// What comes of a check, and whether the end of an idle connection came in between.
async fn try_once(world: &Arc<World>, check: &'static Check) -> (CheckResult, bool) {
    let cx = Ctx::new(world.clone(), &check.info);
    let outcome = guard((check.body)(&cx)).await;
    (conclude(check, &cx, outcome), cx.was_cut_off())
}

/// A panic is a bug of this suite and no verdict on the server.
async fn guard(body: impl Future<Output = Result<(), Stop>>) -> Result<(), Stop> {
    AssertUnwindSafe(body).catch_unwind().await.unwrap_or_else(|panic| {
        let message = panic
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| panic.downcast_ref::<String>().cloned())
            .unwrap_or_default();
        Err(Stop::SetupFailed(Box::new(Finding {
            expected: "the check to end by itself".into(),
            observed: format!("a bug in this suite, please report it: {message}"),
            exchange: None,
            evidence: Vec::new(),
        })))
    })
}

fn conclude(check: &'static Check, cx: &Ctx, outcome: Result<(), Stop>) -> CheckResult {
    let warnings = cx.take_warnings();
    let missed = if check.info.level == Level::Must { Status::Fail } else { Status::Warn };
    let mut omission = None;
    if matches!(outcome, Err(Stop::Violation(_)))
        && (check.info.id.starts_with("race/")
            || check.info.id.starts_with("replica/")
            || check.info.id.starts_with("profiles/"))
    {
        cx.world.manners.contended.store(true, std::sync::atomic::Ordering::Relaxed);
    }
    let (unsayable, all) = cx.unsayable();
    let (status, mut findings, mut message) = match outcome {
        Ok(()) if all && warnings.is_empty() => {
            omission = Some(Omission::NotApplicable);
            (Status::Skip, Vec::new(), "what it sends can't be said over gRPC".into())
        }
        Ok(()) if warnings.is_empty() => {
            if unsayable > 0 {
                cx.remark(format!("{unsayable} requests left out that can't be said over gRPC"));
            }
            (Status::Pass, Vec::new(), cx.take_remarks())
        }
        Ok(()) => (Status::Warn, Vec::new(), String::new()),
        Err(Stop::Skip(Omission::NotApplicable, reason)) if cx.rounds() > 0 => {
            let text = format!("not provoked in {} rounds; then the server took no more: {reason}", cx.rounds());
            (if warnings.is_empty() { Status::Pass } else { Status::Warn }, Vec::new(), text)
        }
        Err(Stop::Skip(why, reason)) => {
            omission = Some(why);
            (Status::Skip, Vec::new(), reason)
        }
        Err(Stop::Violation(finding)) => (missed, vec![*finding], String::new()),
        Err(Stop::SetupFailed(finding)) => (Status::Error, vec![*finding], String::new()),
    };
    if status != Status::Error {
        findings.extend(warnings);
    }
    if let (true, Some(first)) = (message.is_empty(), findings.first()) {
        message = format!("{} (expected: {})", first.observed, first.expected);
    }
    let exchanges = if status == Status::Pass { Vec::new() } else { cx.exchanges() };
    CheckResult { check: &check.info, status, omission, message, findings, exchanges, duration: Default::default() }
}

fn mark_as_killer(result: &mut CheckResult, reason: &str) {
    result.omission = None;
    result.status = if result.check.level == Level::Must { Status::Fail } else { Status::Warn };
    let exchange = result.exchanges.last().cloned();
    let finding = Finding {
        expected: "the server goes on answering others afterwards".into(),
        observed: format!("it doesn't any more: {reason}"),
        exchange,
        evidence: Vec::new(),
    };
    result.message = format!("{} (expected: {})", finding.observed, finding.expected);
    result.findings.insert(0, finding);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenarios;

    #[test]
    fn long_checks_are_those_that_run_beside_others() {
        let long: Vec<_> = scenarios::all().filter(|check| is_long(check)).collect();
        assert_eq!(long.len(), LONG.len(), "an id of LONG is no check's");
        assert!(long.iter().all(|check| matches!(check.phase, Phase::Parallel | Phase::Contention | Phase::Alone)));
    }

    #[test]
    fn none_is_lost_when_the_long_ones_come_early() {
        let before: Vec<_> = scenarios::all().collect();
        let mut after: Vec<_> = long_ones_early(before.clone()).iter().map(|check| check.info.id).collect();
        assert!(is_long(scenarios::all().find(|check| check.info.id == after[before.len() / 6]).unwrap()));
        let mut ids: Vec<_> = before.iter().map(|check| check.info.id).collect();
        ids.sort_unstable();
        after.sort_unstable();
        assert_eq!(ids, after);
    }
}
