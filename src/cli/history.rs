//! `avp-conform history`: judges recorded histories of concurrent operations.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use super::shared::ColorArgs;
use super::{UsageError, output};
use crate::history::{self, Counterexample, History, HistoryError, Linearizability};
use crate::report::text::clean;

const AFTER: &str = "\
Exit status:
  0    there is an order that explains every answer
  1    there is none
  2    the file can't be read, or isn't a history
  3    undecided: too many operations of unknown outcome meet

A history is JSON lines (schema/history.schema.json). avp-conform --save-history FILE
writes one, and so can anybody's load generator.

Examples:
  avp-conform --server \"$URL\" --only 'race/*' --save-history races.jsonl
  avp-conform history check races.jsonl --html races.html";

/// Options of `history`.
#[derive(Args, Debug)]
pub(super) struct HistoryArgs {
    #[command(subcommand)]
    command: HistoryCommand,
}

#[derive(Debug, Subcommand)]
enum HistoryCommand {
    /// Is there an order of the operations that explains every answer?
    #[command(after_help = AFTER)]
    Check(CheckArgs),
}

/// Options of `history check`.
#[derive(Args, Debug)]
struct CheckArgs {
    /// The history; - is standard input
    file: PathBuf,
    /// If there is no order, draw the shortest part that shows it into this file
    #[arg(long, value_name = "OUT")]
    html: Option<PathBuf>,
    #[command(flatten)]
    color: ColorArgs,
}

/// Carries `history` out and tells the exit status.
pub(super) fn run(args: &HistoryArgs) -> Result<u8, UsageError> {
    let HistoryCommand::Check(args) = &args.command;
    let name = args.file.display().to_string();
    let history = read(&args.file, &name).map_err(|error| UsageError(error.to_string()))?;
    let count = history.ops.len();
    let (text, status) = match history::check(&history) {
        Linearizability::Linearizable { repositories } => {
            let repositories = plural(repositories, "repository", "repositories");
            (format!("LINEARIZABLE  {name}\n{} in {repositories}.\n", plural(count, "operation", "operations")), 0)
        }
        Linearizability::NotLinearizable(counterexample) => {
            (report_counterexample(args, &name, &history, &counterexample)?, 1)
        }
        Linearizability::Undecided { repo, op } => {
            let asked = history::describe::call(&history.symbols, &history.ops[op as usize]);
            let repo = history.symbols.text(repo);
            let why = "too many operations of unknown outcome meet to be tried in every order";
            (format!("UNDECIDED  {name}\nRepository {repo}, at {asked}: {why}.\n"), 3)
        }
    };
    let text: String = text.lines().flat_map(|line| [clean(line), "\n".into()]).collect();
    output::print(&text, args.color.choice())?;
    Ok(status)
}

fn read(file: &Path, name: &str) -> Result<History, HistoryError> {
    if name == "-" {
        return history::read("standard input", std::io::stdin().lock());
    }
    let opened = File::open(file).map_err(|source| HistoryError::Read { name: name.to_owned(), source })?;
    history::read(name, BufReader::with_capacity(1 << 20, opened))
}

fn report_counterexample(
    args: &CheckArgs,
    name: &str,
    history: &History,
    counterexample: &Counterexample,
) -> Result<String, UsageError> {
    let count = plural(history.ops.len(), "operation", "operations");
    let repo = history.symbols.text(counterexample.repo);
    let mut text = format!("NOT LINEARIZABLE  {name}\nRepository {repo}: of {count}, these have no order.\n\n");
    text.push_str(&counterexample.text(history));
    for rule in counterexample.rules() {
        text.push_str(&format!("rule  {} ({})\n", rule.text, rule.id));
    }
    if let Some(out) = &args.html {
        std::fs::write(out, history::html(history, counterexample, name))
            .map_err(|error| UsageError(format!("{} can't be written: {error}", out.display())))?;
        text.push_str(&format!("drawn to {}\n", out.display()));
    }
    Ok(text)
}

fn plural(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}
