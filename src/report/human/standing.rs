//! Where a run stands.

use std::time::Duration;

use super::super::style::{of_status, paint};
use super::super::text::duration;
use crate::ground::shown::count;
use crate::runner::{Event, Status, Summary};

/// A check that takes longer is told with its time.
const LONG: Duration = Duration::from_secs(2);

/// Where a run stands: what is done, what runs, and what failed so far.
#[derive(Debug, Default)]
pub(super) struct Standing {
    planned: usize,
    done: usize,
    /// What runs, and since when, the longest first.
    running: Vec<(&'static str, Duration)>,
    /// What the run waits for, if for anything else.
    waiting: String,
    sum: Summary,
}

impl Standing {
    /// Counts.
    pub(super) fn event(&mut self, event: &Event, elapsed: Duration) {
        match event {
            Event::RunStarted(info) => self.planned = info.planned,
            Event::Waiting(what) => self.waiting.clone_from(what),
            Event::CheckStarted(check) => self.running.push((check.id, elapsed)),
            Event::CheckFinished(result) => {
                self.sum.count(result.status);
                if let Some(place) = self.running.iter().position(|(id, _)| *id == result.check.id) {
                    self.running.remove(place);
                    self.done += 1;
                }
            }
            Event::Note(_) | Event::Exchange(..) | Event::RunFinished(_) => {}
        }
    }

    /// Checks done, and to be done in all.
    pub(super) fn progress(&self) -> (u64, u64) {
        (self.done as u64, self.planned.max(self.done) as u64)
    }

    /// `45 of 183 checks, 5.21 s, 2 failed, 1 warning`.
    pub(super) fn counts(&self, elapsed: Duration) -> String {
        let mut parts = vec![format!("{}/{} checks", self.done, self.planned.max(self.done)), duration(elapsed)];
        for (number, words, status) in [
            (self.sum.fail, format!("{} failed", self.sum.fail), Status::Fail),
            (self.sum.warn, count(self.sum.warn, "warning"), Status::Warn),
            (self.sum.error, count(self.sum.error, "error"), Status::Error),
        ] {
            if number > 0 {
                parts.push(paint(of_status(status), words));
            }
        }
        parts.join(", ")
    }

    /// What is running: the longest first, and with its time if that is long; or what is being waited for.
    pub(super) fn running(&self, elapsed: Duration) -> String {
        if !self.waiting.is_empty() {
            return format!("waiting for {}", self.waiting);
        }
        let words = self.running.iter().map(|(id, since)| match elapsed.saturating_sub(*since) {
            long if long > LONG => format!("{id} for {}", duration(long)),
            _ => (*id).to_owned(),
        });
        words.collect::<Vec<_>>().join(", ")
    }

    /// Counts and running checks on a line.
    pub(super) fn line(&self, elapsed: Duration) -> String {
        let doing = if self.waiting.is_empty() { "running " } else { "" };
        let running = self.running(elapsed);
        let running = if running.is_empty() { running } else { format!("; {doing}{running}") };
        format!("… {}{running}", self.counts(elapsed))
    }
}
