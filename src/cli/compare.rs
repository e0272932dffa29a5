//! `avp-conform diff` and `avp-conform matrix`: reports of earlier runs, set against each other.

use std::path::{Path, PathBuf};

use clap::Args;

use super::shared::ColorArgs;
use super::{UsageError, output};
use crate::report::{Matrix, Saved, compare};

/// Options of `diff`.
#[derive(Args, Debug)]
#[command(after_help = "Exit status: 0 nothing got worse, 1 something did, 2 a file that is no report.")]
pub(super) struct DiffArgs {
    /// JSON report of the earlier run (--report json=FILE)
    old: PathBuf,
    /// JSON report of the later run
    new: PathBuf,
    #[command(flatten)]
    color: ColorArgs,
}

/// Options of `matrix`.
#[derive(Args, Debug)]
pub(super) struct MatrixArgs {
    /// JSON reports (--report json=FILE), a column for each
    #[arg(required = true, value_name = "REPORT.json")]
    reports: Vec<PathBuf>,
    /// Write it as a page to this file
    #[arg(long, value_name = "PATH")]
    html: Option<PathBuf>,
    /// Write it as a Markdown table to this file
    #[arg(long, value_name = "PATH")]
    markdown: Option<PathBuf>,
    /// Show the rows in which all are the same, too
    #[arg(short, long)]
    verbose: bool,
    #[command(flatten)]
    color: ColorArgs,
}

/// Reads a report.
pub(super) fn read(path: &Path) -> Result<Saved, UsageError> {
    Saved::read(path).map_err(|error| UsageError(error.to_string()))
}

/// Compares two reports; 1 when something got worse.
pub(super) fn diff(args: &DiffArgs) -> Result<u8, UsageError> {
    let (old, new) = (read(&args.old)?, read(&args.new)?);
    let difference = compare(&old, &new);
    output::print(&difference.text(&old, &new, output::size().columns.min(100)), args.color.choice())?;
    Ok(u8::from(difference.is_worse()))
}

/// Sets reports side by side.
pub(super) fn matrix(args: &MatrixArgs) -> Result<u8, UsageError> {
    let reports = args.reports.iter().map(|path| read(path)).collect::<Result<Vec<_>, _>>()?;
    let matrix = Matrix::new(&reports);
    let write = |path: &Path, text: String| {
        std::fs::write(path, text).map_err(|error| format!("{} can't be written: {error}", path.display()))
    };
    if let Some(path) = &args.html {
        write(path, matrix.html())?;
    }
    if let Some(path) = &args.markdown {
        write(path, matrix.markdown())?;
    }
    let written = args.html.is_some() || args.markdown.is_some();
    if !written || args.verbose {
        output::print(&matrix.text(output::size().columns.min(100), args.verbose), args.color.choice())?;
    }
    Ok(0)
}
