//! What is shown while a run goes on: a progress bar on a terminal, lines in a log.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use anstream::{AutoStream, ColorChoice};

use super::super::style::{of_status, paint};
use super::super::text::{disarm, duration};
use super::bar::Bar;
use super::plain::Plain;
use super::trace;
use crate::ground::shown::count;
use crate::runner::{Event, Status, Summary};

/// A check that takes longer is told with its time.
const LONG: Duration = Duration::from_secs(2);

/// How to show a run.
#[derive(Clone, Copy, Debug)]
pub struct LiveOptions {
    /// Colours on stderr.
    pub color: ColorChoice,
    /// A line for every check.
    pub verbose: bool,
    /// Lines for every exchange.
    pub trace: bool,
    /// Columns of the terminal.
    pub columns: usize,
}

/// Where a run stands.
#[derive(Debug, Default)]
pub(super) struct Tally {
    planned: usize,
    done: usize,
    /// What runs, and since when, the longest first.
    running: Vec<(&'static str, Duration)>,
    /// What the run waits for, if for anything else.
    waiting: String,
    sum: Summary,
}

/// Shows a run on stderr while it goes on. Feed it every event, call [`Live::tick`] a few times a second, and drop it (or
/// call [`Live::finish`]) before anything else is printed.
pub struct Live {
    options: LiveOptions,
    out: AutoStream<std::io::Stderr>,
    started: Instant,
    tally: Tally,
    bar: Option<Bar>,
    plain: Plain,
    printed: bool,
}

impl Live {
    /// Looks at stderr and decides between bar and lines.
    pub fn new(options: LiveOptions) -> Self {
        let colored = match options.color {
            ColorChoice::Auto => AutoStream::choice(&std::io::stderr()) != ColorChoice::Never,
            choice => choice != ColorChoice::Never,
        };
        let bar = if options.trace { None } else { Bar::new(options.columns, colored) };
        let terminal = std::io::stderr().is_terminal().then_some(options.columns);
        Self {
            options,
            out: AutoStream::new(std::io::stderr(), options.color),
            started: Instant::now(),
            tally: Tally::default(),
            bar,
            plain: Plain::new(options.verbose, terminal),
            printed: false,
        }
    }

    /// Shows an event.
    pub fn event(&mut self, event: &Event) {
        let elapsed = self.started.elapsed();
        self.tally.event(event, elapsed);
        let mut lines = match event {
            Event::Exchange(check, exchange) if self.options.trace => trace::lines(check, exchange),
            Event::Exchange(..) => Vec::new(),
            event if self.bar.is_none() || self.options.verbose => self.plain.event(event, elapsed),
            _ => Vec::new(),
        };
        if !lines.is_empty() {
            lines.push(String::new());
            self.print(&lines.join("\n"));
        }
        if let Some(bar) = &self.bar {
            bar.show(&self.tally, elapsed);
        }
    }

    /// Keeps the clock going.
    pub fn tick(&mut self) {
        let elapsed = self.started.elapsed();
        if let Some(bar) = &self.bar {
            bar.show(&self.tally, elapsed);
        } else if let Some(line) = self.plain.tick(&self.tally, elapsed) {
            self.print(&format!("{line}\n"));
        }
    }

    /// Takes the progress bar away, or sets off what follows from the lines.
    pub fn finish(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.clear();
        }
        if self.printed {
            self.print("\n");
            self.printed = false;
        }
    }

    /// A log that can't be written to (a closed pipe, say) is no reason to end a run.
    fn print(&mut self, text: &str) {
        self.printed = true;
        let text = disarm(text);
        let out = &mut self.out;
        let mut write = || {
            let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
        };
        match &self.bar {
            Some(bar) => bar.print(write),
            None => write(),
        }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.finish();
    }
}

impl Tally {
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
