//! The few colours that reports use. Text is always written with them; the stream at the end strips them when colours
//! are off, so that no renderer needs to know.

use std::fmt::Display;

use anstyle::{AnsiColor, Style};

use crate::runner::{Status, Verdict};

/// Titles and what matters most.
pub const BOLD: Style = Style::new().bold();
/// What one may skip.
pub const DIM: Style = Style::new().dimmed();
/// Good.
pub const GREEN: Style = AnsiColor::Green.on_default();
/// Bad.
pub const RED: Style = AnsiColor::Red.on_default();
/// Not good.
pub const YELLOW: Style = AnsiColor::Yellow.on_default();
/// The suite's own trouble.
pub const MAGENTA: Style = AnsiColor::Magenta.on_default();
/// What one can type.
pub const CYAN: Style = AnsiColor::Cyan.on_default();

/// Text in a style.
pub fn paint(style: Style, text: impl Display) -> String {
    let text = text.to_string();
    if text.is_empty() { text } else { format!("{style}{text}{style:#}") }
}

/// The style of a status.
pub fn of_status(status: Status) -> Style {
    match status {
        Status::Pass => GREEN,
        Status::Fail => RED.bold(),
        Status::Warn => YELLOW,
        Status::Skip => DIM,
        Status::Error => MAGENTA,
    }
}

/// The style of a verdict.
pub fn of_verdict(verdict: Verdict) -> Style {
    match verdict {
        Verdict::Conformant => GREEN.bold(),
        Verdict::NotConformant => RED.bold(),
        Verdict::NotConformantAsKnown | Verdict::Incomplete => YELLOW.bold(),
        Verdict::NotJudged => MAGENTA.bold(),
    }
}

/// The text without its colours, for reports that have none.
pub fn strip(text: &str) -> String {
    anstream::adapter::strip_str(text).to_string()
}
