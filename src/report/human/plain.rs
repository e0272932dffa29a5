//! The run as lines of a log: what is wrong as it comes, and a sign of life now and then. Pure: events and times in,
//! lines out.

use std::time::Duration;

use super::super::explain::one_line;
use super::super::style::{BOLD, DIM, of_status, paint, strip};
use super::super::text::{clean, count, duration, fit};
use super::live::Tally;
use crate::runner::{CheckResult, Event, RunInfo, Status};

/// Silence after which a sign of life is due.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// Results that a log gets as they come; the summary and the reports have all of them.
const MOST: usize = 60;
/// Columns of a line, where a log is wide enough.
const COLUMNS: usize = 200;

/// Lines of a log.
#[derive(Debug)]
pub(super) struct Plain {
    verbose: bool,
    heartbeats: bool,
    shown: usize,
    quiet_since: Duration,
}

impl Plain {
    pub(super) fn new(verbose: bool, heartbeats: bool) -> Self {
        Self { verbose, heartbeats, shown: 0, quiet_since: Duration::ZERO }
    }

    /// The lines for an event, `elapsed` after the start.
    pub(super) fn event(&mut self, event: &Event, elapsed: Duration) -> Vec<String> {
        let lines = match event {
            Event::RunStarted(info) => vec![opening(info)],
            Event::Note(text) => vec![fit(&format!("note: {}", clean(text)), COLUMNS)],
            Event::CheckFinished(result) => self.result(result),
            Event::CheckStarted(_) | Event::Exchange(..) | Event::RunFinished(_) => Vec::new(),
        };
        if !lines.is_empty() {
            self.quiet_since = elapsed;
        }
        lines
    }

    fn result(&mut self, result: &CheckResult) -> Vec<String> {
        let matters = matches!(result.status, Status::Fail | Status::Warn | Status::Error);
        if !self.verbose && (!matters || self.shown > MOST) {
            return Vec::new();
        }
        self.shown += 1;
        if !self.verbose && self.shown > MOST {
            return vec![paint(DIM, "… more results than a log should hold: see the summary and --report")];
        }
        vec![result_line(result)]
    }

    /// A sign of life, if one is due.
    pub(super) fn tick(&mut self, tally: &Tally, elapsed: Duration) -> Option<String> {
        if !self.heartbeats || elapsed.saturating_sub(self.quiet_since) < HEARTBEAT {
            return None;
        }
        self.quiet_since = elapsed;
        Some(paint(DIM, fit(&strip(&tally.line(elapsed)), COLUMNS)))
    }
}

/// `FAIL push/stale-is-conflict: …`
pub(super) fn result_line(result: &CheckResult) -> String {
    let word = format!("{:5}", result.status.name().to_uppercase());
    let text = one_line(result);
    let remark = match (text.is_empty(), result.status) {
        (_, Status::Pass) => format!(" ({})", duration(result.duration)),
        (true, _) => String::new(),
        (false, _) => format!(": {text}"),
    };
    let line = fit(&format!("{}{remark}", result.check.id), COLUMNS);
    format!("{} {line}", paint(of_status(result.status), word))
}

fn opening(info: &RunInfo) -> String {
    let target = paint(BOLD, clean(&info.target));
    let checks = count(info.planned, "check");
    format!(
        "avp-conform {} judges {target} by AVP {}: {checks}, {} at a time, seed {}",
        info.version, info.spec, info.jobs, info.seed
    )
}
