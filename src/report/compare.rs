//! Two reports, the older and the newer: what was fixed, what broke, what is new and what is gone.

use std::collections::BTreeMap;

use super::saved::{Saved, SavedCheck};
use super::style::{BOLD, DIM, GREEN, RED, YELLOW, paint};
use super::text::{clean, fit, width};
use crate::ground::shown::count;
use crate::runner::{Omission, Status, Verdict};

/// Lines of a list that are shown.
const MOST: usize = 60;

/// What is different.
#[derive(Debug, Default)]
pub struct Difference<'a> {
    /// Came off worse than before.
    pub broken: Vec<(&'a SavedCheck, &'a SavedCheck)>,
    /// Came off better.
    pub fixed: Vec<(&'a SavedCheck, &'a SavedCheck)>,
    /// Had a verdict before, and has none now.
    pub lost: Vec<(&'a SavedCheck, &'a SavedCheck)>,
    /// Has a verdict now, and had none, or wasn't there.
    pub new: Vec<&'a SavedCheck>,
    /// Isn't there any more.
    pub gone: Vec<&'a SavedCheck>,
    /// The newer run came to no verdict on something that the older one had judged.
    blind: bool,
}

/// Compares two reports, check by check.
pub fn compare<'a>(old: &'a Saved, new: &'a Saved) -> Difference<'a> {
    let before: BTreeMap<&str, &SavedCheck> = old.checks.iter().map(|check| (check.id.as_str(), check)).collect();
    let after: BTreeMap<&str, &SavedCheck> = new.checks.iter().map(|check| (check.id.as_str(), check)).collect();
    let mut difference = Difference { gone: Vec::new(), ..Difference::default() };
    for (id, now) in &after {
        match before.get(id) {
            None => difference.new.push(now),
            Some(was) => match (rank(was), rank(now)) {
                (None, None) => {}
                (None, Some(_)) => difference.new.push(now),
                (Some(_), None) => difference.lost.push((was, now)),
                (Some(one), Some(other)) if other > one => difference.broken.push((was, now)),
                (Some(one), Some(other)) if other < one => difference.fixed.push((was, now)),
                _ => {}
            },
        }
    }
    // What doesn't apply any more, or was left out on purpose, is no loss.
    let unjudged = |check: &SavedCheck| check.omission == Some(Omission::NotJudged);
    difference.blind = difference.lost.iter().any(|(_, now)| new.verdict == Verdict::NotJudged || unjudged(now));
    difference.gone = before.iter().filter(|(id, _)| !after.contains_key(*id)).map(|(_, check)| *check).collect();
    difference
}

/// How bad a status is; `None` is no verdict.
fn rank(check: &SavedCheck) -> Option<u8> {
    match check.status {
        Status::Skip => None,
        Status::Pass => Some(0),
        Status::Warn => Some(1),
        Status::Error => Some(2),
        Status::Fail => Some(3),
    }
}

impl Difference<'_> {
    /// Whether something got worse. What is new says nothing about before: an older suite didn't look.
    pub fn is_worse(&self) -> bool {
        !self.broken.is_empty() || self.blind
    }

    /// The difference for a terminal, what got worse first.
    pub fn text(&self, old: &Saved, new: &Saved, columns: usize) -> String {
        let mut out = String::new();
        for (word, saved) in [("old", old), ("new", new)] {
            let line = format!("{} · {} · AVP {} · {}", saved.verdict.name(), saved.file, saved.spec, saved.target);
            out += &format!("{}  {}\n", paint(BOLD, word), fit(&clean(&line), columns.saturating_sub(5)));
        }
        let pairs = |list: &[(&SavedCheck, &SavedCheck)]| -> Vec<(String, String)> {
            list.iter()
                .map(|(was, now)| {
                    (
                        format!("{}  {} → {}{}", now.id, was.status.name(), now.status.name(), known(now)),
                        now.message.clone(),
                    )
                })
                .collect()
        };
        let single = |list: &[&SavedCheck]| -> Vec<(String, String)> {
            let head = |check: &SavedCheck| format!("{}  {}{}", check.id, check.status.name(), known(check));
            list.iter().map(|check| (head(check), check.message.clone())).collect()
        };
        section(&mut out, &paint(RED.bold(), "Broken"), &pairs(&self.broken), columns);
        section(&mut out, &paint(GREEN.bold(), "Fixed"), &pairs(&self.fixed), columns);
        section(&mut out, &paint(YELLOW.bold(), "No verdict any more"), &pairs(&self.lost), columns);
        let (bad, good): (Vec<_>, Vec<_>) = self.new.iter().copied().partition(|check| rank(check) > Some(0));
        section(&mut out, &paint(YELLOW.bold(), "New, and not passed"), &single(&bad), columns);
        let counts = [
            (self.broken.len(), "broken"),
            (self.fixed.len(), "fixed"),
            (self.lost.len(), "without a verdict now"),
            (bad.len() + good.len(), "new"),
            (self.gone.len(), "gone"),
        ];
        let counts: Vec<String> = counts.iter().map(|(number, word)| format!("{number} {word}")).collect();
        out += &format!("\n{}\n", counts.join(" · "));
        out
    }
}

fn known(check: &SavedCheck) -> &'static str {
    if check.known.is_some() { ", as known" } else { "" }
}

fn section(out: &mut String, title: &str, rows: &[(String, String)], columns: usize) {
    if rows.is_empty() {
        return;
    }
    *out += &format!("\n{title} {}\n", paint(BOLD, rows.len()));
    for (head, message) in rows.iter().take(MOST) {
        let head = clean(head);
        *out += &format!("  {}\n", fit(&head, columns.saturating_sub(2)));
        if !message.is_empty() && width(message) > 0 {
            *out += &format!("    {}\n", paint(DIM, fit(&clean(message), columns.saturating_sub(4))));
        }
    }
    if rows.len() > MOST {
        *out += &format!("  … and {} more\n", count(rows.len() - MOST, "check"));
    }
}

#[cfg(test)]
mod tests {
    use super::super::Format;
    use super::super::samples;
    use super::*;

    fn saved(run: &super::super::Run, file: &str) -> Saved {
        Saved::parse(file, &Format::Json.render(run)).unwrap()
    }

    #[test]
    fn what_got_worse_is_told_from_the_rest() {
        let (mixed, good) = (saved(&samples::mixed(), "mixed.json"), saved(&samples::conformant(), "good.json"));
        let same = compare(&mixed, &mixed);
        assert!(!same.is_worse() && same.fixed.is_empty() && same.new.is_empty() && same.gone.is_empty());
        let mut broken = mixed.clone();
        for check in &mut broken.checks {
            match check.status {
                Status::Pass => check.status = Status::Fail,
                Status::Fail => check.status = Status::Pass,
                Status::Warn => check.status = Status::Skip,
                Status::Skip | Status::Error => {}
            }
        }
        let worse = compare(&mixed, &broken);
        assert!(worse.is_worse());
        assert_eq!((worse.broken.len(), worse.fixed.len(), worse.lost.len()), (2, 2, 2));
        let gone = compare(&mixed, &good);
        assert!(!gone.is_worse() && gone.gone.len() == mixed.checks.len() - 2);
        let text = worse.text(&mixed, &broken, 80);
        assert!(text.contains("push/stale-is-conflict  fail → pass"), "{text}");
    }

    #[test]
    fn hostile_reports_are_harmless() {
        let hostile = saved(&samples::hostile(), samples::HOSTILE);
        let mut other = hostile.clone();
        other.checks.iter_mut().for_each(|check| check.status = Status::Pass);
        let text = super::super::style::strip(&compare(&other, &hostile).text(&other, &hostile, 80));
        assert!(!text.chars().any(|c| c != '\n' && super::super::text::is_unsafe(c)), "{text:?}");
        assert!(text.lines().all(|line| width(line) <= 80), "{text}");
    }
}
