//! Standard output and error, as far as commands share them.

use std::io::{ErrorKind, IsTerminal, Write};

use anstream::{AutoStream, ColorChoice};

use super::UsageError;
use crate::report::text::disarm;

/// Columns where nobody knows better.
const COLUMNS: usize = 80;
/// Longer lines are hard to read.
const WIDEST: usize = 120;

/// Columns and lines of a terminal.
#[derive(Clone, Copy, Debug)]
pub(super) struct Size {
    /// At least 40.
    pub columns: usize,
    /// `None` if it isn't a terminal.
    pub lines: Option<usize>,
}

/// The size of what standard output, or else standard error, is connected to.
pub(super) fn size() -> Size {
    let found = if std::io::stdout().is_terminal() {
        terminal_size::terminal_size_of(std::io::stdout())
    } else {
        terminal_size::terminal_size_of(std::io::stderr()).filter(|_| std::io::stderr().is_terminal())
    };
    let columns = found.map_or(COLUMNS, |(width, _)| usize::from(width.0)).clamp(40, WIDEST);
    let lines = found.filter(|_| std::io::stdout().is_terminal()).map(|(_, height)| usize::from(height.0));
    Size { columns, lines }
}

/// Prints to standard output. A reader that has had enough (`| head`) is no error.
pub(super) fn print(text: &str, color: ColorChoice) -> Result<(), UsageError> {
    write(AutoStream::new(std::io::stdout(), color), &disarm(text))
}

/// Prints to standard error, likewise.
pub(super) fn print_error(text: &str, color: ColorChoice) -> Result<(), UsageError> {
    write(AutoStream::new(std::io::stderr(), color), &disarm(text))
}

/// Prints a report or a list for programs to standard output as it is.
pub(super) fn print_data(text: &str) -> Result<(), UsageError> {
    write(AutoStream::new(std::io::stdout(), ColorChoice::Never), text)
}

fn write(mut out: impl Write, text: &str) -> Result<(), UsageError> {
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(UsageError(format!("can't print: {error}"))),
        _ => Ok(()),
    }
}
