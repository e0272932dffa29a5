//! The run as lines of a log: what is wrong as it comes, and a sign of life now and then. Pure: events and times in,
//! lines out.

use std::time::Duration;

use super::super::explain::one_line;
use super::super::style::{DIM, of_status, paint, strip};
use super::super::text::{clean, duration, fit, wrap};
use super::standing::Standing;
use crate::ground::shown::count;
use crate::runner::{CheckResult, Event, Omission, RunInfo, Status};

/// Silence after which a sign of life is due.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// Results that a log gets as they come; the summary and the reports have all of them.
const MOST: usize = 60;
/// Columns of a line in a log; with `-v` whole sentences find room.
const LOG_COLUMNS: usize = 100;
const VERBOSE_COLUMNS: usize = 200;

/// Lines of a log.
#[derive(Debug)]
pub(super) struct Plain {
    verbose: bool,
    terminal: bool,
    columns: usize,
    shown: usize,
    quiet_since: Duration,
}

impl Plain {
    /// `terminal` are the columns of a terminal, where no sign of life is needed.
    pub(super) fn new(verbose: bool, terminal: Option<usize>) -> Self {
        let columns = terminal.unwrap_or(if verbose { VERBOSE_COLUMNS } else { LOG_COLUMNS });
        Self { verbose, terminal: terminal.is_some(), columns, shown: 0, quiet_since: Duration::ZERO }
    }

    /// The lines for an event, `elapsed` after the start.
    pub(super) fn event(&mut self, event: &Event, elapsed: Duration) -> Vec<String> {
        let lines = match event {
            Event::RunStarted(info) => wrap(&opening(info), self.columns),
            Event::Note(text) => vec![fit(&format!("note: {}", clean(text)), self.columns)],
            Event::CheckFinished(result) => self.result(result),
            Event::Waiting(_) | Event::CheckStarted(_) | Event::Exchange(..) | Event::RunFinished(_) => Vec::new(),
        };
        if !lines.is_empty() {
            self.quiet_since = elapsed;
        }
        lines
    }

    fn result(&mut self, result: &CheckResult) -> Vec<String> {
        let matters = matches!(result.status, Status::Fail | Status::Warn | Status::Error);
        // What the caller has left out was known beforehand; the summary lists it.
        let wanted = matters || self.verbose && result.omission != Some(Omission::LeftOut);
        if !wanted || !self.verbose && self.shown > MOST {
            return Vec::new();
        }
        self.shown += 1;
        if !self.verbose && self.shown > MOST {
            return vec![paint(DIM, "… more results than a log should hold: see the summary and --report")];
        }
        vec![result_line(result, self.columns)]
    }

    /// A sign of life, if one is due.
    pub(super) fn tick(&mut self, standing: &Standing, elapsed: Duration) -> Option<String> {
        if self.terminal || elapsed.saturating_sub(self.quiet_since) < HEARTBEAT {
            return None;
        }
        self.quiet_since = elapsed;
        Some(paint(DIM, fit(&strip(&standing.line(elapsed)), self.columns)))
    }
}

/// `FAIL push/stale-is-conflict: …`
fn result_line(result: &CheckResult, columns: usize) -> String {
    let word = format!("{:5}", result.status.name().to_uppercase());
    let text = one_line(result);
    let remark = match (text.is_empty(), result.status) {
        (_, Status::Pass) => format!(" ({})", duration(result.duration)),
        (true, _) => String::new(),
        (false, _) => format!(": {text}"),
    };
    let line = fit(&format!("{}{remark}", result.check.id), columns.saturating_sub(6));
    format!("{} {line}", paint(of_status(result.status), word))
}

fn opening(info: &RunInfo) -> String {
    let (target, checks) = (clean(&info.target), count(info.planned, "check"));
    format!(
        "avp-conform {} judges {target} by AVP {}: {checks}, {} at a time, seed {}",
        info.version, info.spec, info.jobs, info.seed
    )
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::super::samples;
    use super::super::super::text::is_unsafe;
    use super::*;

    fn lines(plain: &mut Plain, run: &super::super::super::Run) -> Vec<String> {
        let mut lines = plain.event(&Event::RunStarted(Arc::clone(&run.info)), Duration::ZERO);
        for result in &run.results {
            lines.extend(plain.event(&Event::CheckFinished(Arc::clone(result)), Duration::from_secs(1)));
        }
        lines.iter().map(|line| strip(line)).collect()
    }

    #[test]
    fn a_log_gets_what_matters_and_no_more() {
        let log = lines(&mut Plain::new(false, None), &samples::mixed());
        assert!(log[0].contains("judges http://127.0.0.1:8787 by AVP 0.2: 8 checks, 8 at a time, seed"), "{log:#?}");
        assert!(log.iter().all(|line| line.chars().count() <= LOG_COLUMNS), "{log:#?}");
        assert_eq!(log.len(), 2 + 2 + 2 + 1);
        assert!(log.contains(&"WARN  token/claims: the token carries an email claim".to_owned()), "{log:#?}");
        let verbose = lines(&mut Plain::new(true, None), &samples::mixed());
        assert!(verbose.contains(&"PASS  pull/current (3.2 ms)".to_owned()), "{verbose:#?}");
        let run = samples::many();
        let left_out = |result: &&Arc<CheckResult>| result.omission == Some(Omission::LeftOut);
        let mixed = samples::mixed();
        assert!(mixed.results.iter().any(|result| left_out(&result)) && mixed.results.len() > 3);
        assert_eq!(verbose.len(), 1 + mixed.results.iter().filter(|result| !left_out(result)).count());
        assert!(lines(&mut Plain::new(false, None), &run).len() < MOST + 3);
        assert!(lines(&mut Plain::new(true, Some(80)), &run).iter().all(|line| line.chars().count() <= 80));
    }

    #[test]
    fn hostile_text_is_harmless() {
        let log = lines(&mut Plain::new(true, None), &samples::hostile()).concat();
        assert!(!log.chars().any(is_unsafe), "{log}");
    }

    #[test]
    fn a_sign_of_life_after_silence() {
        let mut plain = Plain::new(false, None);
        let mut standing = Standing::default();
        let run = samples::mixed();
        standing.event(&Event::RunStarted(Arc::clone(&run.info)), Duration::ZERO);
        standing.event(&Event::CheckStarted(run.results[0].check), Duration::from_secs(1));
        assert_eq!(plain.tick(&standing, Duration::from_secs(4)), None);
        let line = strip(&plain.tick(&standing, Duration::from_secs(6)).unwrap());
        assert_eq!(line, format!("… 0/8 checks, 6.00 s; running {} for 5.00 s", run.results[0].check.id));
        assert_eq!(plain.tick(&standing, Duration::from_secs(7)), None);
        assert_eq!(Plain::new(false, Some(80)).tick(&standing, Duration::from_secs(99)), None);
    }
}
