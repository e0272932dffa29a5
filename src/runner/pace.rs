//! How long a run will take, told early: the latency of the target, and what a run makes of it.

use std::time::Duration;

use super::RunConfig;
use crate::scenarios::Ctx;

/// Below this latency every run fits into every bound, and nothing needs to be said.
const SLOW: Duration = Duration::from_millis(45);
/// Requests of a usual check, one after the other.
const PER_CHECK: u32 = 12;
/// Of the checks that run alone, one after the other.
const PER_LONELY_CHECK: u32 = 24;
/// The most checks at once on a slow server.
const MOST_JOBS: usize = 32;
/// Checks that load the server, at once on a slow one: it is its latency that they wait for, and they disturb each other little.
const CONTENDING_JOBS: usize = 6;
/// Checks that judge the whole run, at once on a slow server: all that they do is wait.
const FINALE_JOBS: usize = 16;
/// The longest that a run may take when nobody set `--deadline`.
const LONGEST: Duration = Duration::from_secs(2 * 3600);
/// Requests that are sent together to see whether the target serves them so.
const TOGETHER: u32 = 4;

/// What a run is fitted to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pace {
    /// From a request to its answer.
    pub latency: Duration,
    /// Checks at once.
    pub jobs: usize,
    /// Checks at once of those that load the server.
    pub contending: usize,
    /// Of those that judge the whole run.
    pub finale: usize,
    /// How long the run will take, roughly.
    pub expected: Duration,
    /// When it is ended, from its start.
    pub deadline: Duration,
}

impl Pace {
    /// The pace at a latency; `None` where the target is fast. `serial` is a target that serves one request at a time.
    pub fn of(config: &RunConfig, latency: Duration, serial: bool, checks: Checks) -> Option<Self> {
        if latency < SLOW {
            return None;
        }
        let (jobs, contending) = match config.fits {
            true if !serial => (config.jobs.max(MOST_JOBS), CONTENDING_JOBS),
            _ => (config.jobs, 1),
        };
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let at_once = if serial { 1 } else { count(jobs.min(checks.parallel).max(1)) };
        let steps = count(checks.parallel).saturating_mul(PER_CHECK) / at_once + PER_CHECK;
        let lonely = count(checks.alone).saturating_mul(PER_LONELY_CHECK) / count(contending);
        let finale = if contending > 1 { jobs.min(FINALE_JOBS) } else { 1 };
        let looks = count(checks.finale).saturating_mul(PER_LONELY_CHECK) / count(finale);
        let one_by_one = count(checks.one_by_one).saturating_mul(PER_LONELY_CHECK);
        let expected = latency * steps.saturating_add(lonely).saturating_add(looks).saturating_add(one_by_one);
        let deadline =
            if config.fits_deadline { config.deadline.max(expected * 3).min(LONGEST) } else { config.deadline };
        Some(Self { latency, jobs, contending, finale, expected, deadline })
    }

    /// What a person is told before the first check.
    pub fn note(&self) -> String {
        let Self { latency, jobs, expected, deadline, .. } = self;
        let minutes = expected.as_secs().div_ceil(60);
        let about = if minutes == 1 { "about a minute".to_owned() } else { format!("about {minutes} minutes") };
        format!(
            "an answer takes {} ms: with {jobs} checks at once this run takes {about}, and it is ended after {} s",
            latency.as_millis(),
            deadline.as_secs()
        )
    }
}

/// How many checks a run has.
#[derive(Clone, Copy, Debug)]
pub(super) struct Checks {
    /// Beside others.
    pub parallel: usize,
    /// A few at once.
    pub alone: usize,
    /// Those that judge the whole run.
    pub finale: usize,
    /// One after the other.
    pub one_by_one: usize,
}

/// Whether requests that are sent together are answered one after the other. Only asked of slow targets.
pub(super) async fn is_serial(cx: &Ctx, latency: Duration) -> bool {
    if latency < SLOW {
        return false;
    }
    let started = tokio::time::Instant::now();
    let keys: Vec<_> = (0..TOGETHER).map(|_| cx.identity().id).collect();
    futures_util::future::join_all(keys.iter().map(|key| cx.challenge(key))).await;
    // Opening connections takes a while, too.
    started.elapsed() > latency * (TOGETHER - 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runner::Target;

    const CHECKS: Checks = Checks { parallel: 280, alone: 30, finale: 20, one_by_one: 14 };

    fn config() -> RunConfig {
        RunConfig::new(Target::Avp(String::new()))
    }

    #[test]
    fn a_fast_server_gets_the_usual_run() {
        assert_eq!(Pace::of(&config(), Duration::from_millis(20), false, CHECKS), None);
    }

    #[test]
    fn a_slow_server_gets_more_time_and_more_jobs() {
        let pace = Pace::of(&config(), Duration::from_millis(400), false, CHECKS).unwrap();
        assert!(pace.jobs > config().jobs && pace.deadline > config().deadline, "{pace:?}");
        assert!(pace.expected < pace.deadline);
        assert!(pace.note().contains("400 ms"), "{}", pace.note());
        let serial = Pace::of(&config(), Duration::from_millis(400), true, CHECKS).unwrap();
        assert!(serial.jobs == config().jobs && serial.expected > pace.expected, "{serial:?}");
    }

    #[test]
    fn what_somebody_has_set_stays() {
        let config = RunConfig { fits: false, fits_deadline: false, ..config() };
        let pace = Pace::of(&config, Duration::from_millis(400), false, CHECKS).unwrap();
        assert_eq!((pace.jobs, pace.deadline), (config.jobs, config.deadline));
    }
}
