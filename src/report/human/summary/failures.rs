//! What fails the run, by cause: the most fundamental in full, the others a line each, and how much follows from each.

use super::super::super::explain::{Depth, explain, one_line};
use super::super::super::run::Run;
use super::super::super::style::{BOLD, DIM, RED, of_status, paint};
use super::super::super::text::{fit, width, wrap};
use super::{Layout, Section, heading};
use crate::ground::shown::count;
use crate::runner::{CheckResult, Status};

/// Causes that are all shown in full if there is room.
const FULL_IF_FEW: usize = 6;
/// Causes shown in full when there are more.
const FULL_OF_MANY: usize = 3;

/// A check that shows what to repair, and what follows from it.
struct CauseGroup<'a> {
    first: &'a CheckResult,
    explains: Vec<&'a CheckResult>,
}

pub(super) struct Failures<'a> {
    causes: Vec<CauseGroup<'a>>,
    run: &'a Run,
    screen: Layout,
}

impl<'a> Failures<'a> {
    pub(super) fn new(run: &'a Run, screen: Layout) -> Self {
        let causes = run.causes_with(|status| run.is_problem(status)).into_iter();
        Self { causes: causes.map(|(first, explains)| CauseGroup { first, explains }).collect(), run, screen }
    }

    /// The lines of a cause in full.
    fn block(&self, cause: &CauseGroup<'_>) -> Vec<String> {
        let (body_lines, rules, findings, evidence) = match self.screen {
            screen if screen.verbose => (8, 9, 8, 12),
            screen if screen.tight => (1, 0, 1, 0),
            _ => (2, 2, 1, 1),
        };
        let depth = Depth { columns: self.screen.columns, indent: 2, body_lines, rules, findings, evidence };
        let mut lines = explain(self.run, cause.first, depth);
        if !cause.explains.is_empty() {
            let told = wrap(&follow(&cause.explains), self.screen.columns - 2);
            lines.extend(told.into_iter().map(|line| format!("  {}", paint(BOLD, line))));
            if self.screen.verbose {
                lines.extend(cause.explains.iter().flat_map(|result| self.follower(result)));
            }
        }
        lines
    }

    /// A check that follows, and what it saw.
    fn follower(&self, result: &CheckResult) -> Vec<String> {
        let reason = self.run.causes.reason(result.check.id).unwrap_or_default();
        let room = self.screen.columns.saturating_sub(width(result.check.id) + 6);
        let reason = if width(reason) <= room { paint(DIM, reason) } else { String::new() };
        let mut lines = vec![format!("    {}  {reason}", paint(of_status(result.status), result.check.id))];
        lines.extend(wrap(&one_line(result), self.screen.columns - 6).into_iter().map(|line| format!("      {line}")));
        lines
    }

    /// Lines that are kept for the causes that aren't shown in full.
    fn others(&self) -> usize {
        if self.screen.tight { 2 } else { 4 }
    }
}

/// `160 more checks follow from this (118 failed, 40 warned, 2 could not tell)`.
fn follow(explains: &[&CheckResult]) -> String {
    let of = |wanted: Status| explains.iter().filter(|result| result.status == wanted).count();
    let parts = [(of(Status::Fail), "failed"), (of(Status::Warn), "warned"), (of(Status::Error), "could not tell")];
    let parts: Vec<_> =
        parts.iter().filter(|(number, _)| *number > 0).map(|(number, word)| format!("{number} {word}")).collect();
    let verb = if explains.len() == 1 { "follows" } else { "follow" };
    format!("{} {verb} from this ({})", count(explains.len(), "more check"), parts.join(", "))
}

impl Section for Failures<'_> {
    fn least(&self) -> usize {
        if self.causes.is_empty() { 0 } else { 14 }
    }

    fn render(&self, room: usize) -> (Vec<String>, bool) {
        if self.causes.is_empty() {
            return (Vec::new(), false);
        }
        let title = if self.causes.len() == 1 { "Cause" } else { "Causes" };
        let remark = "what to repair, the most fundamental first";
        let mut lines = Vec::from(heading(&paint(RED.bold(), title), self.causes.len(), remark, self.screen.columns));
        let many = self.causes.len() > FULL_IF_FEW && !self.screen.verbose;
        let wanted = if many { FULL_OF_MANY } else { self.causes.len() };
        let mut shown = 0;
        let mut hidden = false;
        for cause in self.causes.iter().take(wanted) {
            let block = self.block(cause);
            let others = self.causes.len() - shown - 1;
            let kept = if others > 0 { 1 + others.min(self.others()) } else { 0 };
            if shown > 0 && lines.len() + block.len() + kept >= room {
                break;
            }
            if shown > 0 || !self.screen.tight {
                lines.push(String::new());
            }
            lines.extend(block);
            hidden |= !cause.explains.is_empty() && !self.screen.verbose;
            shown += 1;
        }
        let others = &self.causes[shown..];
        lines.extend(brief(others, room.saturating_sub(lines.len()).max(self.others() + 1), self.screen.columns));
        (lines, hidden || !others.is_empty())
    }
}

/// A line for each cause; at most `room` lines with the blank one before them.
fn brief(causes: &[CauseGroup<'_>], room: usize, columns: usize) -> Vec<String> {
    if causes.is_empty() {
        return Vec::new();
    }
    let mut lines = vec![String::new()];
    let fits = if causes.len() < room { causes.len() } else { room.saturating_sub(2) };
    for cause in &causes[..fits] {
        let more = if cause.explains.is_empty() { String::new() } else { format!(" (+{})", cause.explains.len()) };
        let id = cause.first.check.id;
        let room = columns.saturating_sub(width(id) + more.len() + 4);
        let text = if room < 16 { String::new() } else { fit(&one_line(cause.first), room) };
        lines.push(format!("  {}{more}  {text}", paint(of_status(cause.first.status), id)).trim_end().to_owned());
    }
    if fits < causes.len() {
        lines.push(paint(DIM, format!("  … and {} more", causes.len() - fits)));
    }
    lines
}
