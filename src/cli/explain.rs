//! `avp-conform explain`: what there is to say of a check or a rule.

use std::path::{Path, PathBuf};

use clap::Args;

use super::near::near_misses;
use super::shared::ColorArgs;
use super::{UsageError, output};
use crate::handbook::{self, Article};
use crate::report::style::{BOLD, CYAN, DIM, paint};
use crate::report::text::wrap;
use crate::requirements;

/// Columns of the labels, with what is around them.
const LABEL: usize = 12;

/// Options of `explain`.
#[derive(Args, Debug)]
pub(super) struct ExplainArgs {
    /// Ids of checks (push/stale-is-conflict) or requirements (AVP-6-push-gated)
    #[arg(value_name = "CHECK|REQUIREMENT", required_unless_present = "pages")]
    ids: Vec<String>,
    /// Write all of it as pages into this folder, and do nothing else
    #[arg(long, value_name = "DIR", conflicts_with = "ids")]
    pages: Option<PathBuf>,
    #[command(flatten)]
    color: ColorArgs,
}

/// Prints the articles.
pub(super) fn explain(args: &ExplainArgs) -> Result<u8, UsageError> {
    if let Some(folder) = &args.pages {
        return write(folder);
    }
    let articles: Vec<String> = args
        .ids
        .iter()
        .map(|id| handbook::by_id(id.trim()).map(|article| shown(&article)).ok_or_else(|| unknown(id)))
        .collect::<Result<_, _>>()?;
    output::print(&articles.join("\n"), args.color.choice())?;
    Ok(0)
}

fn unknown(id: &str) -> UsageError {
    let names = handbook::checks().map(|check| check.id.to_owned());
    let names = names.chain(requirements::ALL.iter().map(|rule| rule.id.to_owned()));
    let near = near_misses(id, names);
    UsageError(format!(
        "there is no check or requirement {id:?}{near} (avp-conform list names the checks, list --requirements the rules)"
    ))
}

fn shown(article: &Article) -> String {
    let columns = output::size().columns.min(100);
    let mut out = format!("{}  {}\n", paint(BOLD, article.id), paint(DIM, &article.place));
    for line in wrap(article.title, columns - 2) {
        out += &format!("  {}\n", paint(BOLD, line));
    }
    for (label, text) in &article.paragraphs {
        out.push('\n');
        // A command is for copying.
        if *label == "run" {
            out += &format!("  {}{}\n", paint(DIM, format!("{label:<10}")), paint(CYAN, text));
            continue;
        }
        let labels = std::iter::once(*label).chain(std::iter::repeat(""));
        for (line, label) in wrap(text, columns - LABEL).iter().zip(labels) {
            out += &format!("  {}{line}\n", paint(DIM, format!("{label:<10}")));
        }
    }
    out
}

/// Writes the pages.
fn write(folder: &Path) -> Result<u8, UsageError> {
    let failed = |error: std::io::Error| UsageError(format!("--pages {}: {error}", folder.display()));
    std::fs::create_dir_all(folder).map_err(failed)?;
    for (name, text) in handbook::pages() {
        std::fs::write(folder.join(name), text).map_err(failed)?;
    }
    Ok(0)
}
