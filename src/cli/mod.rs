//! The command line: one file per command, and what they share.
//!
//! Exit statuses: 0 conformant (or nothing failed), 1 a MUST check failed, 2 usage (options that can't be, a report that can't
//! be written, a server of ours that can't start), 3 the target could not be judged, 130 interrupted.

mod about;
mod agent;
mod args;
mod backend;
mod client;
mod codec;
mod compare;
mod explain;
mod fuzz;
mod history;
mod host;
mod known;
mod list;
mod merge;
mod near;
mod output;
mod reports;
mod run;
mod scan;
mod select;
mod selftest;
mod serve;
mod settings;
mod shared;
mod values;
mod vectors;

use std::process::ExitCode;

use clap::CommandFactory as _;

use crate::report::style::{RED, paint};
use crate::report::text::clean;
use args::{Cli, Command};

/// Exit status for usage, and for anything that keeps a command from starting.
const USAGE: u8 = 2;

/// Why a command didn't start. Its text is for a person and holds no credentials.
#[derive(Debug)]
struct UsageError(String);

impl<T: Into<String>> From<T> for UsageError {
    fn from(text: T) -> Self {
        Self(text.into())
    }
}

/// Reads the command line, carries it out, and tells the exit status.
pub fn main() -> ExitCode {
    let cli = match settings::parse() {
        Ok(cli) => cli,
        Err(settings::Mistake::Setting(text)) => return told(&text),
        Err(settings::Mistake::CommandLine(error)) => {
            // Nobody left to read it, perhaps: that changes nothing.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(USAGE));
        }
    };
    let done = match cli.command {
        None => run::run(&cli.run),
        Some(Command::List(args)) => list::list(&args),
        Some(Command::Serve(args)) => serve::serve(args),
        Some(Command::Selftest(args)) => selftest::selftest(&args),
        Some(Command::Vectors(args)) => vectors::run(&args),
        Some(Command::Scan(args)) => scan::scan(&args),
        Some(Command::Agent(args)) => agent::agent(&args),
        Some(Command::Client(args)) => client::client(&args),
        Some(Command::Codec(args)) => codec::run(args),
        Some(Command::Fuzz(args)) => fuzz::run(&args),
        Some(Command::History(args)) => history::run(&args),
        Some(Command::Explain(args)) => explain::explain(&args),
        Some(Command::Matrix(args)) => compare::matrix(&args),
        Some(Command::Diff(args)) => compare::diff(&args),
        Some(Command::Merge(args)) => merge::merge(&args),
        Some(Command::Completions(args)) => about::completions(&args, Cli::command()),
        Some(Command::Man(args)) => about::man(&args, Cli::command()),
    };
    match done {
        Ok(status) => ExitCode::from(status),
        Err(UsageError(text)) => told(&text),
    }
}

/// Says why nothing was done.
fn told(text: &str) -> ExitCode {
    let error = paint(RED.bold(), "error:");
    let _ = output::print_error(&format!("{error} {}\n", clean(text)), anstream::ColorChoice::Auto);
    ExitCode::from(USAGE)
}

/// A runtime for a command that needs one.
fn runtime() -> Result<tokio::runtime::Runtime, UsageError> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| UsageError(format!("can't start worker threads: {error}")))
}
