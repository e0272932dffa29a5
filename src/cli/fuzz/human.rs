//! Findings of the fuzzer for a person: what, why it matters, and the requests that show it, with curl commands.

use std::fmt::Write as _;
use std::io;

use super::super::output;
use super::curl::{self, Bodies};
use crate::client::RecordedBody;
use crate::fuzzing::server::{Campaign, CampaignProgress, End, Found, Played, Recorded, ReportedCase, Saved};
use crate::ground::shown::count;
use crate::report::shell::fold;
use crate::report::style::{BOLD, DIM, GREEN, RED, YELLOW, paint};
use crate::report::text::{clean, wrap, wrap_at_most};
use crate::runner::{Rerun, RunConfig};
use crate::scenarios::Abort;

/// Lines of a body that are shown; the saved file has more.
const SHOWN: usize = 4;
/// Columns before the lines of a request.
const REQUEST: usize = 7;
/// Requests before the last one that are shown.
const REQUESTS: usize = 24;

/// One line: how far it is.
pub(super) fn progress(progress: &CampaignProgress) -> String {
    let seconds = progress.elapsed.as_secs_f64().max(0.001);
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    let rate = progress.requests as f64 / seconds;
    format!(
        "{} cases, {} requests ({rate:.0}/s), {} behaviours, {} · {seconds:.0} s",
        progress.cases,
        progress.requests,
        progress.behaviours,
        count(progress.findings, "finding"),
    )
}

/// A finding in full.
///
/// # Errors
/// A body can't be written to its file.
pub(super) fn report(
    number: usize,
    report: &ReportedCase,
    config: &RunConfig,
    bodies: &mut Bodies,
) -> io::Result<String> {
    let mut out = headline(number, &report.found);
    let times = usize::try_from(report.times).unwrap_or(usize::MAX);
    let (case, seconds) = (report.case, report.since.as_secs_f64());
    let seen = format!("in {}, first in case {case} after {seconds:.1} s", count(times, "case"));
    let _ = writeln!(out, "  {}", paint(DIM, seen));
    Ok(out + &transcript(&report.transcript, config, bodies)? + "\n")
}

fn headline(number: usize, found: &Found) -> String {
    let style = if found.fails() { RED.bold() } else { YELLOW };
    let word = if found.fails() { "failure" } else { "warning" };
    let rule = found.rule;
    let mut out = format!("{}\n", paint(style, format!("{number}. {word}: {} · {}", found.operation, rule.id)));
    out += &labelled("rule", &format!("{} ({}, {})", rule.text, rule.section, rule.level.name()));
    out += &labelled("expected", &clean(&found.expected));
    out + &labelled("observed", &clean(&found.observed))
}

/// Width of the labels of a finding, with what is around them.
const LABEL: usize = 12;

/// A label and what it labels, wrapped beside it.
fn labelled(label: &str, text: &str) -> String {
    let lines = wrap(text, output::size().columns.min(100) - LABEL);
    let labels = std::iter::once(label).chain(std::iter::repeat(""));
    lines.iter().zip(labels).map(|(line, label)| format!("  {label:<10}{line}\n")).collect()
}

/// The requests, numbered; tokens are shell variables that the reader fills in.
fn transcript(recorded: &[Recorded], config: &RunConfig, bodies: &mut Bodies) -> io::Result<String> {
    let mut out = String::new();
    let columns = output::size().columns.min(100);
    let skipped = recorded.len().saturating_sub(REQUESTS);
    if skipped > 0 {
        let _ = writeln!(out, "  {}", paint(DIM, format!("… {} before these", count(skipped, "request"))));
    }
    for (number, recorded) in recorded.iter().enumerate().skip(skipped) {
        let exchange = &recorded.exchange;
        let answer = match (exchange.status, &exchange.error) {
            (Some(status), _) => {
                exchange.grpc.as_ref().and_then(|call| call.status.clone()).unwrap_or_else(|| status.to_string())
            }
            (None, Some(error)) => clean(error).into_owned(),
            (None, None) => "no answer".into(),
        };
        let mutation =
            if recorded.mutation.is_empty() { String::new() } else { format!(" ({})", clean(&recorded.mutation)) };
        let line = format!("{:>3}. {} {}{mutation} → {answer}", number + 1, recorded.by, exchange.operation);
        for (index, line) in wrap(line.trim_start(), columns - REQUEST).iter().enumerate() {
            let indent = if index == 0 { REQUEST - 2 - usize::from(number >= 9) } else { REQUEST };
            let _ = writeln!(out, "{:indent$}{}", "", paint(BOLD, line));
        }
        let command = curl::command(recorded, config, bodies)?;
        let _ = writeln!(out, "{:REQUEST$}{}", "", fold(&command, columns, REQUEST));
        if !exchange.response.text.is_empty() {
            for line in shown(&exchange.response, columns - REQUEST) {
                let _ = writeln!(out, "{:REQUEST$}{}", "", paint(DIM, line));
            }
        }
    }
    Ok(out)
}

fn shown(body: &RecordedBody, columns: usize) -> Vec<String> {
    let end = if body.is_cut() { format!("… ({} bytes)", body.length) } else { String::new() };
    wrap_at_most(&format!("{}{end}", clean(&body.text)), columns, SHOWN)
}

/// How to see saved findings again.
pub(super) fn replay_hint(again: &Rerun) -> String {
    format!("rerun  {}\n", fold(&again.line(), output::size().columns.min(100), REQUEST))
}

/// The verdict.
pub(super) fn ending(campaign: &Campaign, seed: u64) -> String {
    let mut out = String::new();
    if let End::Aborted(abort) = &campaign.end {
        out += &aborted(abort);
        // That nothing was found says nothing where nothing was asked.
        if campaign.reports.is_empty() {
            return out;
        }
    }
    let failures = campaign.reports.iter().filter(|report| report.found.fails()).count();
    let warnings = campaign.reports.len() - failures;
    let said = match (failures, warnings) {
        (0, 0) => paint(GREEN.bold(), "nothing found".to_owned()),
        (0, _) => paint(YELLOW, count(warnings, "warning")),
        (_, 0) => paint(RED.bold(), count(failures, "failure")),
        _ => paint(RED.bold(), format!("{}, {}", count(failures, "failure"), count(warnings, "warning"))),
    };
    let interrupted = if matches!(campaign.end, End::Interrupted) { "interrupted: " } else { "" };
    let _ = writeln!(out, "{interrupted}{said}\n{}, seed {seed}", progress(&campaign.progress));
    out
}

/// Why the target can't be judged.
pub(super) fn aborted(abort: &Abort) -> String {
    let columns = output::size().columns;
    let reason = wrap(&clean(&abort.reason), columns - LABEL);
    let advice = wrap(&clean(&abort.advice), columns - 2);
    let labels = std::iter::once("NOT JUDGED").chain(std::iter::repeat(""));
    let said = reason.iter().zip(labels).map(|(line, label)| paint(RED.bold(), format!("{label:<12}{line}")) + "\n");
    said.chain(advice.into_iter().map(|line| format!("  {line}\n"))).collect()
}

/// What a saved case shows now.
///
/// # Errors
/// A body can't be written to its file.
pub(super) fn replayed(
    number: usize,
    saved: &Saved,
    played: &Played,
    config: &RunConfig,
    bodies: &mut Bodies,
) -> io::Result<String> {
    let same = |found: &&Found| found.rule.id == saved.rule && found.operation == saved.operation;
    Ok(match played.findings.iter().find(same).or(played.findings.last()) {
        Some(found) => format!("{}{}\n", headline(number, found), transcript(played.until(found), config, bodies)?),
        None => {
            let was = format!("{number}. {} · {} doesn't show any more", clean(&saved.operation), clean(&saved.rule));
            format!("{}\n", paint(GREEN, was))
        }
    })
}
