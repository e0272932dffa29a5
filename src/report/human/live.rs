//! What is shown while a run goes on: a progress bar on a terminal, lines in a log.

use std::io::{IsTerminal, Write};
use std::time::Instant;

use anstream::{AutoStream, ColorChoice};

use super::super::text::disarm;
use super::bar::Bar;
use super::plain::Plain;
use super::standing::Standing;
use super::trace;
use crate::runner::Event;

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

/// Shows a run on stderr while it goes on. Feed it every event, call [`Live::tick`] a few times a second, and drop it (or
/// call [`Live::finish`]) before anything else is printed.
pub struct Live {
    options: LiveOptions,
    out: AutoStream<std::io::Stderr>,
    started: Instant,
    standing: Standing,
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
            standing: Standing::default(),
            bar,
            plain: Plain::new(options.verbose, terminal),
            printed: false,
        }
    }

    /// Shows an event.
    pub fn event(&mut self, event: &Event) {
        let elapsed = self.started.elapsed();
        self.standing.event(event, elapsed);
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
            bar.show(&self.standing, elapsed);
        }
    }

    /// Keeps the clock going.
    pub fn tick(&mut self) {
        let elapsed = self.started.elapsed();
        if let Some(bar) = &self.bar {
            bar.show(&self.standing, elapsed);
        } else if let Some(line) = self.plain.tick(&self.standing, elapsed) {
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
