//! What the commands that judge leave behind: reports in files, a summary on the screen.

use std::fs::OpenOptions;
use std::io::Write as _;

use anstream::ColorChoice;
use clap::Args;

use super::shared::ColorArgs;
use super::{USAGE, UsageError, output};
use crate::report::human::{Screen, summary};
use crate::report::{Destination, Format, ReportSpec, Run, step_summary};

/// Where GitHub Actions says that a step may append what its page is to show.
const STEP_SUMMARY: &str = "GITHUB_STEP_SUMMARY";

/// Reports that are asked for.
#[derive(Args, Debug)]
pub(super) struct ReportFiles {
    /// Write a report: html, json, junit, markdown, sarif, tap, github, har or badge; PATH - is standard output; repeatable
    #[arg(long, value_name = "FORMAT=PATH", help_heading = "Output")]
    report: Vec<ReportSpec>,
}

/// Options of every command that judges.
#[derive(Args, Debug)]
pub(super) struct ReportArgs {
    #[command(flatten)]
    pub files: ReportFiles,
    /// Name every check as it ends, and shorten nothing in the summary
    #[arg(short, long, help_heading = "Output")]
    pub verbose: bool,
    #[command(flatten)]
    pub color: ColorArgs,
}

impl ReportFiles {
    /// Whether a report wants what this asks.
    pub(super) fn want(&self, what: fn(Format) -> bool) -> bool {
        self.report.iter().any(|report| what(report.format))
    }

    /// Whether every report has a place of its own that can be written: before the work, not after it.
    pub(super) fn check(&self) -> Result<(), UsageError> {
        for (index, report) in self.report.iter().enumerate() {
            if self.report[..index].iter().any(|other| other.destination == report.destination) {
                return Err("two --report options name the same place".into());
            }
            report.check_writable().map_err(|error| UsageError(format!("--report can't be written: {error}")))?;
        }
        Ok(())
    }

    /// Whether none is asked for.
    pub(super) fn are_none(&self) -> bool {
        self.report.is_empty()
    }

    /// Writes the reports and what the screen is to show, which makes way on standard output for a report there; tells the exit
    /// status.
    pub(super) fn write(&self, run: &Run, screen: &str, color: ColorChoice) -> Result<u8, UsageError> {
        let mut status = run.end.exit_code;
        let (to_stdout, to_files): (Vec<_>, Vec<_>) =
            self.report.iter().partition(|report| report.destination == Destination::Stdout);
        for report in to_files {
            if let Err(error) = report.write(run) {
                let told = format!("error: the report wasn't written: {error}\n");
                output::print_error(&told, color)?;
                status = if status == 0 { USAGE } else { status };
            }
        }
        self.append_step_summary(run, color)?;
        if to_stdout.is_empty() {
            output::print(screen, color)?;
        } else {
            output::print_error(screen, color)?;
            for report in to_stdout {
                output::print_data(&report.format.render(run))?;
            }
        }
        Ok(status)
    }

    /// In a step of GitHub Actions: the run on the page of the job. Nobody asked for it, so that it can't be written is told and
    /// fails nothing.
    fn append_step_summary(&self, run: &Run, color: ColorChoice) -> Result<(), UsageError> {
        let Some(path) = std::env::var_os(STEP_SUMMARY).filter(|path| !path.is_empty()) else { return Ok(()) };
        let asked = Destination::File(path.clone().into());
        if self.report.iter().any(|report| report.destination == asked) {
            return Ok(());
        }
        let written = OpenOptions::new().append(true).create(true).open(&path).and_then(|mut file| {
            let there = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX);
            file.write_all(step_summary(run, there).as_bytes())
        });
        match written {
            Ok(()) => Ok(()),
            Err(error) => {
                let told = format!("note: the job summary {} wasn't written: {error}\n", path.to_string_lossy());
                output::print_error(&told, color)
            }
        }
    }
}

impl ReportArgs {
    /// Whether a report wants what this asks.
    pub(super) fn want(&self, what: fn(Format) -> bool) -> bool {
        self.files.want(what)
    }

    /// Whether every report has a place of its own that can be written: before the work, not after it.
    pub(super) fn check(&self) -> Result<(), UsageError> {
        self.files.check()
    }

    /// Writes the reports and the summary; tells the exit status.
    pub(super) fn write(&self, run: &Run) -> Result<u8, UsageError> {
        let size = output::size();
        let text = summary(run, Screen { columns: size.columns, lines: size.lines, verbose: self.verbose });
        self.files.write(run, &text, self.color.choice())
    }
}
