//! The shorter sections: warnings, errors, and what has no verdict.

use std::collections::BTreeMap;

use super::super::super::explain::one_line;
use super::super::super::run::Run;
use super::super::super::style::{BOLD, DIM, of_status, paint};
use super::super::super::text::{clean, fit, width, wrap, wrap_at_most};
use super::{Layout, Section, heading};
use crate::runner::{CheckResult, Status, Verdict};

/// The causes of one kind, briefly, with what follows from each.
pub(super) struct Brief<'a> {
    causes: Vec<(&'a CheckResult, Vec<&'a CheckResult>)>,
    title: String,
    remark: &'static str,
    /// Where it is said that a failure is known, and why.
    known: Option<&'a BTreeMap<&'static str, String>>,
    screen: Layout,
}

impl<'a> Brief<'a> {
    pub(super) fn new(
        run: &'a Run,
        wanted: impl Fn(Status) -> bool,
        title: String,
        remark: &'static str,
        screen: Layout,
    ) -> Self {
        Self { causes: run.causes_with(wanted), title, remark, known: None, screen }
    }

    /// Known failures, which aren't grouped, with what the file says of each.
    pub(super) fn of_known(run: &'a Run, title: String, remark: &'static str, screen: Layout) -> Self {
        let causes = run.known().into_iter().map(|result| (result, Vec::new())).collect();
        Self { causes, title, remark, known: Some(&run.end.known), screen }
    }

    /// Id and section on a line, and the message below it on up to `lines` lines.
    fn entry(&self, (result, explains): &(&CheckResult, Vec<&CheckResult>), lines: usize) -> Vec<String> {
        let id = paint(of_status(result.status), result.check.id);
        let place = format!("{}{}", result.check.section, more(explains));
        let said = self.known.and_then(|known| known.get(result.check.id)).map(|said| format!(" · {}", clean(said)));
        let room = self.screen.columns.saturating_sub(width(result.check.id) + 4);
        let place = fit(&format!("{place}{}", said.unwrap_or_default()), room);
        let mut entry = vec![format!("  {id}  {}", paint(DIM, place))];
        let text = wrap_at_most(&one_line(result), self.screen.columns - 4, lines);
        entry.extend(text.into_iter().map(|line| format!("    {line}")));
        if self.screen.verbose {
            let ids: Vec<_> = explains.iter().map(|result| result.check.id).collect();
            let wrapped = wrap(&ids.join(", "), self.screen.columns - 4);
            entry.extend(
                wrapped.into_iter().filter(|line| !line.is_empty()).map(|line| format!("    {}", paint(DIM, line))),
            );
        }
        entry
    }

    /// All on one line.
    fn line(&self, (result, explains): &(&CheckResult, Vec<&CheckResult>)) -> String {
        let more = more(explains);
        let room = self.screen.columns.saturating_sub(width(result.check.id) + more.len() + 4);
        let text = if room < 16 { String::new() } else { fit(&one_line(result), room) };
        format!("  {}{more}  {text}", paint(of_status(result.status), result.check.id)).trim_end().to_owned()
    }
}

/// ` (+3)`: how many checks follow.
fn more(explains: &[&CheckResult]) -> String {
    if explains.is_empty() { String::new() } else { format!(" (+{})", explains.len()) }
}

impl Section for Brief<'_> {
    fn least(&self) -> usize {
        if self.causes.is_empty() || self.screen.tight { 0 } else { 2 + self.causes.len().min(2) }
    }

    fn render(&self, room: usize) -> (Vec<String>, bool) {
        if self.causes.is_empty() || room.max(self.least()) < 3 {
            return (Vec::new(), !self.causes.is_empty());
        }
        let head = heading(&self.title, self.causes.len(), self.remark, self.screen.columns);
        for lines in [if self.screen.verbose { 9 } else { 3 }, 2] {
            let full: Vec<_> = self.causes.iter().flat_map(|cause| self.entry(cause, lines)).collect();
            if full.len() + 2 <= room {
                return (head.into_iter().chain(full).collect(), false);
            }
        }
        let room = room.max(self.least()) - 2;
        let fits = if self.causes.len() <= room { room } else { room - 1 };
        let mut lines = Vec::from(head);
        lines.extend(self.causes.iter().take(fits).map(|cause| self.line(cause)));
        if self.causes.len() > fits {
            lines.push(paint(DIM, format!("  … and {} more", self.causes.len() - fits)));
        }
        (lines, true)
    }
}

/// The checks without a verdict, by reason.
pub(super) struct Skipped {
    groups: Vec<(String, Vec<&'static str>)>,
    /// A target that can't be judged leaves everything out: then ids say nothing.
    ids: bool,
    screen: Layout,
}

impl Skipped {
    pub(super) fn new(run: &Run, screen: Layout) -> Self {
        Self { groups: run.skipped(), ids: run.end.verdict != Verdict::NotJudged, screen }
    }

    /// A reason and the ids it holds for, on up to `lines` lines.
    fn entry(&self, reason: &str, ids: &[&str], lines: usize) -> Vec<String> {
        // Whole where there is room for the ids as well.
        let reason = wrap_at_most(&clean(reason), self.screen.columns.saturating_sub(10).max(20), 1 + lines.min(2));
        let mut leads =
            std::iter::once(format!("  {}  ", paint(BOLD, ids.len()))).chain(std::iter::repeat("     ".into()));
        let mut entry: Vec<_> = reason.iter().zip(&mut leads).map(|(line, lead)| format!("{lead}{line}")).collect();
        let columns = self.screen.columns.saturating_sub(4);
        let all = if lines > 0 { wrap(&ids.join(", "), columns) } else { Vec::new() };
        if all.len() <= lines {
            entry.extend(all.into_iter().map(|line| format!("    {}", paint(DIM, line))));
        } else if lines > 0 {
            entry.extend(some(ids, columns, lines).into_iter().map(|line| format!("    {}", paint(DIM, line))));
        }
        entry
    }
}

/// As many ids as fit on `lines` lines with the number of the others.
fn some(ids: &[&str], columns: usize, lines: usize) -> Vec<String> {
    let mut best = vec![format!("… {} checks", ids.len())];
    for kept in 1..ids.len() {
        let text = format!("{}, … and {} more", ids[..kept].join(", "), ids.len() - kept);
        let wrapped = wrap(&text, columns);
        if wrapped.len() > lines {
            break;
        }
        best = wrapped;
    }
    best
}

impl Section for Skipped {
    fn least(&self) -> usize {
        if self.groups.is_empty() || self.screen.tight { 0 } else { 2 + self.groups.len().min(3) }
    }

    fn render(&self, room: usize) -> (Vec<String>, bool) {
        if self.groups.is_empty() || room.max(self.least()) < 3 {
            return (Vec::new(), !self.groups.is_empty());
        }
        let total = self.groups.iter().map(|(_, ids)| ids.len()).sum();
        let head = heading(&paint(BOLD, "Skipped"), total, "", self.screen.columns);
        let room = room.max(self.least());
        let tries: &[usize] = match (self.ids, self.screen.verbose) {
            (false, _) => &[0],
            (true, true) => &[usize::MAX],
            (true, false) => &[2, 1, 0],
        };
        for &lines in tries {
            let body: Vec<_> = self.groups.iter().flat_map(|(reason, ids)| self.entry(reason, ids, lines)).collect();
            if body.len() + 2 <= room {
                return (head.into_iter().chain(body).collect(), false);
            }
        }
        let kept = room.saturating_sub(3).max(1);
        let mut lines = Vec::from(head);
        lines.extend(self.groups.iter().rev().take(kept).flat_map(|(reason, ids)| self.entry(reason, ids, 0)));
        if self.groups.len() > kept {
            lines.push(paint(DIM, format!("  … and {} more reasons", self.groups.len() - kept)));
        }
        (lines, true)
    }
}
