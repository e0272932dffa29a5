//! What fails the run: the most telling failures in full, the others a line each.

use std::collections::HashMap;

use super::super::super::explain::{Depth, explain, one_line};
use super::super::super::run::Run;
use super::super::super::style::{DIM, RED, of_status, paint};
use super::super::super::text::{fit, section_order, width, wrap_at_most};
use super::{Layout, Section, heading};
use crate::runner::CheckResult;

/// Failures that are all shown in full if there is room.
const FULL_IF_FEW: usize = 6;
/// Failures shown in full when there are more.
const FULL_OF_MANY: usize = 3;

/// Checks that fail in the same way, and are explained once.
struct Group<'a> {
    first: &'a CheckResult,
    same: Vec<&'a CheckResult>,
}

impl<'a> Group<'a> {
    /// The shortest id tends to be the plainest case, and speaks for the others.
    fn join(&mut self, result: &'a CheckResult) {
        let plainer = result.check.id.len() < self.first.check.id.len();
        let other = if plainer { std::mem::replace(&mut self.first, result) } else { result };
        self.same.push(other);
    }
}

pub(super) struct Failures<'a> {
    groups: Vec<Group<'a>>,
    total: usize,
    rerun: &'a str,
    screen: Layout,
}

impl<'a> Failures<'a> {
    pub(super) fn new(run: &'a Run, screen: Layout) -> Self {
        let problems = run.problems();
        let total = problems.len();
        Self { groups: rank(group(problems)), total, rerun: &run.info.rerun, screen }
    }

    /// The lines of a group in full.
    fn block(&self, group: &Group<'_>) -> Vec<String> {
        let (body_lines, rules, findings, evidence) = match self.screen {
            screen if screen.verbose => (8, 9, 8, 12),
            screen if screen.tight => (1, 0, 1, 0),
            _ => (2, 2, 1, 1),
        };
        let depth = Depth { columns: self.screen.columns, indent: 2, body_lines, rules, findings, evidence };
        let mut lines = explain(group.first, self.rerun, depth);
        if !group.same.is_empty() && !self.screen.tight {
            let ids: Vec<_> = group.same.iter().map(|result| result.check.id).collect();
            let limit = if self.screen.verbose { usize::MAX } else { 2 };
            let wrapped = wrap_at_most(&ids.join(", "), self.screen.columns - 12, limit);
            let label = |index: usize| if index == 0 { "likewise" } else { "" };
            lines.extend(wrapped.iter().enumerate().map(|(index, line)| format!("  {:10}{line}", label(index))));
        }
        lines
    }

    /// Lines that are kept for the failures that aren't shown in full.
    fn others(&self) -> usize {
        if self.screen.tight { 2 } else { 4 }
    }
}

impl Section for Failures<'_> {
    fn least(&self) -> usize {
        if self.groups.is_empty() { 0 } else { 14 }
    }

    fn render(&self, room: usize) -> (Vec<String>, bool) {
        if self.groups.is_empty() {
            return (Vec::new(), false);
        }
        let mut lines = Vec::from(heading(&paint(RED.bold(), "Failures"), self.total, "", self.screen.columns));
        let many = self.groups.len() > FULL_IF_FEW && !self.screen.verbose;
        let wanted = if many { FULL_OF_MANY } else { self.groups.len() };
        let mut shown = 0;
        for group in self.groups.iter().take(wanted) {
            let block = self.block(group);
            let others = self.groups.len() - shown - 1;
            let kept = if others > 0 { 1 + others.min(self.others()) } else { 0 };
            if shown > 0 && lines.len() + block.len() + kept >= room {
                break;
            }
            if shown > 0 || !self.screen.tight {
                lines.push(String::new());
            }
            lines.extend(block);
            shown += 1;
        }
        let others = &self.groups[shown..];
        lines.extend(brief(others, room.saturating_sub(lines.len()).max(self.others() + 1), self.screen.columns));
        (lines, !others.is_empty())
    }
}

/// A line for each group; at most `room` lines with the blank one before them.
fn brief(groups: &[Group<'_>], room: usize, columns: usize) -> Vec<String> {
    if groups.is_empty() {
        return Vec::new();
    }
    let mut lines = vec![String::new()];
    let fits = if groups.len() < room { groups.len() } else { room.saturating_sub(2) };
    for group in &groups[..fits] {
        let same = if group.same.is_empty() { String::new() } else { format!(" (+{})", group.same.len()) };
        let id = group.first.check.id;
        let room = columns.saturating_sub(width(id) + same.len() + 4);
        let text = if room < 16 { String::new() } else { fit(&one_line(group.first), room) };
        lines.push(format!("  {}{same}  {text}", paint(of_status(group.first.status), id)).trim_end().to_owned());
    }
    if fits < groups.len() {
        let hidden: usize = groups[fits..].iter().map(|group| 1 + group.same.len()).sum();
        lines.push(paint(DIM, format!("  … and {hidden} more")));
    }
    lines
}

/// Puts checks together whose first finding reads the same.
fn group(problems: Vec<&CheckResult>) -> Vec<Group<'_>> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    let mut places: HashMap<(&str, &str), usize> = HashMap::new();
    for result in problems {
        let key = result.findings.first().map(|finding| (finding.expected.as_str(), finding.observed.as_str()));
        match key.and_then(|key| places.get(&key).copied()) {
            Some(place) => groups[place].join(result),
            None => {
                places.extend(key.map(|key| (key, groups.len())));
                groups.push(Group { first: result, same: Vec::new() });
            }
        }
    }
    groups
}

/// The most telling first: failures before warnings; one of each area before the second of any; those that an answer
/// shows before those without one; then by section.
fn rank(mut groups: Vec<Group<'_>>) -> Vec<Group<'_>> {
    groups.sort_by_cached_key(|group| {
        let answered = group
            .first
            .findings
            .iter()
            .any(|finding| finding.exchange.as_ref().is_some_and(|exchange| exchange.status.is_some()));
        (!answered, section_order(group.first.check.section), group.first.check.id)
    });
    let mut seen: HashMap<&str, usize> = HashMap::new();
    let mut turns = Vec::with_capacity(groups.len());
    for group in &groups {
        let area = group.first.check.id.split('/').next().unwrap_or_default();
        let turn = seen.entry(area).or_default();
        turns.push((group.first.status != crate::runner::Status::Fail, *turn));
        *turn += 1;
    }
    let mut ranked: Vec<_> = turns.into_iter().zip(groups).collect();
    ranked.sort_by_key(|(turn, _)| *turn);
    ranked.into_iter().map(|(_, group)| group).collect()
}
