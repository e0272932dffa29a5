//! The run as two lines at the bottom of a terminal.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::super::style::{DIM, paint, strip};
use super::super::text::fit;
use super::standing::Standing;

/// Redraws per second.
const HERTZ: u8 = 15;

/// A progress bar on stderr.
#[derive(Debug)]
pub(super) struct Bar {
    bar: ProgressBar,
    columns: usize,
    colored: bool,
}

impl Bar {
    /// `None` where stderr can't show one.
    pub(super) fn new(columns: usize, colored: bool) -> Option<Self> {
        let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr_with_hz(HERTZ));
        if bar.is_hidden() {
            return None;
        }
        let style = ProgressStyle::with_template("{bar:28} {msg}\n{prefix}").ok()?.progress_chars("━━╌");
        bar.set_style(style);
        Some(Self { bar, columns, colored })
    }

    /// Redraws, if it is time to.
    pub(super) fn show(&self, standing: &Standing, elapsed: Duration) {
        let (done, planned) = standing.progress();
        let colors = |text: String| if self.colored { text } else { strip(&text) };
        self.bar.set_length(planned);
        self.bar.set_message(colors(standing.counts(elapsed)));
        self.bar.set_prefix(colors(paint(DIM, fit(&standing.running(elapsed), self.columns.saturating_sub(1)))));
        self.bar.set_position(done);
    }

    /// Puts lines above the bar.
    pub(super) fn print(&self, write: impl FnOnce()) {
        self.bar.suspend(write);
    }

    /// Takes the bar away.
    pub(super) fn clear(&self) {
        self.bar.finish_and_clear();
    }
}
