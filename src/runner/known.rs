//! Failures that are known: a file that names checks which may fail, and is held to them, so that it can't rot.
//!
//! A line is a check id or a glob, then, as one likes, `until:YYYY-MM-DD` and a reason. `#` begins a comment.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use globset::{Glob, GlobMatcher};
use jiff::civil::Date;

use super::{CheckResult, Status, Summary};
use crate::scenarios::CheckInfo;

/// The largest file that is read, in bytes; one line for each check takes some 20 KiB.
pub const LARGEST: u64 = 1 << 20;

/// Failures that are known.
#[derive(Clone, Debug)]
pub struct Known {
    /// How reports name the file.
    file: String,
    /// The day on which the run takes place (UTC).
    today: Date,
    lines: Vec<Line>,
}

#[derive(Clone, Debug)]
struct Line {
    number: usize,
    pattern: String,
    matcher: GlobMatcher,
    until: Option<Date>,
    reason: String,
}

impl Line {
    fn means(&self, check: &CheckInfo) -> bool {
        self.matcher.is_match(check.id) || self.matcher.is_match(check.base())
    }
}

/// A line that can't be understood.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{file}:{line}: {what}")]
pub struct KnownError {
    /// The file as given.
    pub file: String,
    /// Its line, from 1.
    pub line: usize,
    /// What is wrong, and what belongs there.
    pub what: String,
}

/// What the file says of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Judged {
    /// Failures that are known: the check's id, and the line that says so with its reason.
    pub covered: BTreeMap<&'static str, String>,
    /// What is wrong with the file, one sentence a line.
    pub stale: Vec<String>,
}

impl Judged {
    /// How many of these are known to end so.
    pub fn counted(&self, outcomes: &[(&'static CheckInfo, Status)]) -> Summary {
        let mut known = Summary::default();
        let covered = outcomes.iter().filter(|(check, _)| self.covered.contains_key(check.id));
        covered.for_each(|(_, status)| known.count(*status));
        known
    }

    /// The reason and the exit status of a verdict, with what is wrong with the file: that fails a run.
    pub fn added_to(&self, reason: String, exit: u8) -> (String, u8) {
        let Some(first) = self.stale.first() else { return (reason, exit) };
        let more =
            if self.stale.len() > 1 { format!(" (and {} more lines)", self.stale.len() - 1) } else { String::new() };
        let both = if reason.is_empty() { String::new() } else { format!("{reason}; ") };
        (format!("{both}{first}{more}"), exit.max(1))
    }
}

impl Known {
    /// Reads the text of a file. Lines that have passed their date are kept: the run says so.
    ///
    /// # Errors
    /// [`KnownError`] for the first line that can't be understood.
    pub fn parse(file: &str, text: &str, today: Date) -> Result<Self, KnownError> {
        let mut lines = Vec::new();
        for (at, text) in text.lines().enumerate() {
            let failed = |what: String| KnownError { file: file.to_owned(), line: at + 1, what };
            let mut words = uncommented(text.trim_start_matches('\u{feff}')).split_whitespace();
            let Some(pattern) = words.next() else { continue };
            let glob =
                Glob::new(pattern).map_err(|error| failed(format!("{pattern:?} is no glob: {}", error.kind())))?;
            let (mut until, mut reason) = (None, String::new());
            for word in words {
                match word.strip_prefix("until:") {
                    Some(date) => {
                        let read = date
                            .parse()
                            .map_err(|_| failed(format!("until:{date} is no date; write until:2027-01-31")));
                        until = Some(read?);
                    }
                    None => {
                        let space = if reason.is_empty() { "" } else { " " };
                        // Writing to a String can't fail.
                        let _ = write!(reason, "{space}{word}");
                    }
                }
            }
            let (number, pattern) = (at + 1, pattern.to_owned());
            lines.push(Line { number, pattern, matcher: glob.compile_matcher(), until, reason });
        }
        Ok(Self { file: file.to_owned(), today, lines })
    }

    /// Holds the file to what came of the checks. `exists` tells whether a glob means any check at all, run or not.
    pub fn judge(
        &self,
        results: &[(&'static CheckInfo, Status)],
        strict: bool,
        exists: impl Fn(&GlobMatcher) -> bool,
    ) -> Judged {
        let mut judged = Judged::default();
        let fails = |status| matches!(status, Status::Fail | Status::Error) || (strict && status == Status::Warn);
        for line in &self.lines {
            if !exists(&line.matcher) {
                judged.stale.push(self.complaint(line, "matches no check; mend or delete the line"));
                continue;
            }
            if let Some(until) = line.until.filter(|until| *until < self.today) {
                judged.stale.push(self.complaint(line, &format!("was known until {until}, which has passed")));
                continue;
            }
            let mut passing = Vec::new();
            for (check, status) in results.iter().filter(|(check, _)| line.means(check)) {
                if fails(*status) {
                    judged.covered.entry(check.id).or_insert_with(|| self.said(line));
                } else if *status != Status::Skip {
                    passing.push(check.id);
                }
            }
            match passing.as_slice() {
                [] => {}
                [only] if *only == line.pattern => {
                    judged.stale.push(self.complaint(line, "fails no more; delete the line"))
                }
                [first, rest @ ..] => {
                    let more = if rest.is_empty() { String::new() } else { format!(" and {} more", rest.len()) };
                    let what = format!("lists {first}{more}, which fails no more; name what still does");
                    judged.stale.push(self.complaint(line, &what));
                }
            }
        }
        judged
    }

    fn complaint(&self, line: &Line, what: &str) -> String {
        format!("{}:{}: {} {what}", self.file, line.number, line.pattern)
    }

    fn said(&self, line: &Line) -> String {
        let until = line.until.map(|until| format!(", until {until}")).unwrap_or_default();
        let reason = if line.reason.is_empty() { String::new() } else { format!(": {}", line.reason) };
        format!("{} line {}{until}{reason}", self.file, line.number)
    }

    /// The text of a file that lists what failed in a run. What this file says of a check, its reason and date, is kept.
    pub fn write<'a>(old: Option<&Self>, results: impl Iterator<Item = &'a CheckResult>, strict: bool) -> String {
        let mut text = String::from(
            "# Known failures, for --known. One check id or glob a line, then until:YYYY-MM-DD and a reason as you like.\n",
        );
        for result in results {
            let fails =
                matches!(result.status, Status::Fail | Status::Error) || (strict && result.status == Status::Warn);
            if !fails {
                continue;
            }
            let line = old.and_then(|old| old.lines.iter().find(|line| line.means(result.check)));
            let until = line.and_then(|line| line.until).map(|until| format!(" until:{until}")).unwrap_or_default();
            let reason =
                line.filter(|line| !line.reason.is_empty()).map(|line| format!(" {}", line.reason)).unwrap_or_default();
            let _ = write!(text, "\n# {}\n{}{until}{reason}\n", result.check.title, result.check.id);
        }
        text
    }
}

/// A line without its comment: `#` at its beginning or after a blank.
fn uncommented(line: &str) -> &str {
    let mut before = ' ';
    for (at, letter) in line.char_indices() {
        if letter == '#' && before.is_whitespace() {
            return &line[..at];
        }
        before = letter;
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenarios;

    const TODAY: Date = jiff::civil::date(2026, 11, 28);

    fn parse(text: &str) -> Result<Known, KnownError> {
        Known::parse("known.txt", text, TODAY)
    }

    fn judge(text: &str, results: &[(&str, Status)]) -> Judged {
        let info = |id: &str| &scenarios::all().find(|check| check.info.id == id).unwrap().info;
        let results: Vec<_> = results.iter().map(|(id, status)| (info(id), *status)).collect();
        let exists = |glob: &GlobMatcher| scenarios::all().any(|check| glob.is_match(check.info.id));
        parse(text).unwrap().judge(&results, false, exists)
    }

    #[test]
    fn a_listed_failure_is_covered_with_its_reason() {
        let text = "# ours\n\npush/applies until:2026-11-28 ticket 12 # by Jo\npull/*\n";
        let judged = judge(text, &[("push/applies", Status::Fail), ("pull/unchanged", Status::Error)]);
        assert_eq!(judged.covered["push/applies"], "known.txt line 3, until 2026-11-28: ticket 12");
        assert_eq!(judged.covered["pull/unchanged"], "known.txt line 4");
        assert_eq!(judged.stale, Vec::<String>::new());
    }

    #[test]
    fn what_fails_and_is_not_listed_is_not_covered() {
        let judged = judge("push/applies\n", &[("push/applies", Status::Fail), ("pull/unchanged", Status::Fail)]);
        assert!(!judged.covered.contains_key("pull/unchanged"));
    }

    #[test]
    fn a_file_that_rots_is_told() {
        for (text, status, expected) in [
            ("push/applies\n", Status::Pass, "known.txt:1: push/applies fails no more; delete the line"),
            ("push/applies\n", Status::Warn, "known.txt:1: push/applies fails no more; delete the line"),
            (
                "push/app*\n",
                Status::Pass,
                "known.txt:1: push/app* lists push/applies, which fails no more; name what still does",
            ),
            ("\nposh/*\n", Status::Fail, "known.txt:2: posh/* matches no check; mend or delete the line"),
            (
                "push/applies until:2026-11-27\n",
                Status::Fail,
                "known.txt:1: push/applies was known until 2026-11-27, which has passed",
            ),
        ] {
            let judged = judge(text, &[("push/applies", status)]);
            assert_eq!(judged.stale, [expected], "{text}");
            assert_eq!(judged.covered, BTreeMap::new(), "{text}");
        }
    }

    #[test]
    fn what_was_not_judged_says_nothing_about_the_file() {
        assert_eq!(judge("push/applies\n", &[("push/applies", Status::Skip)]), Judged::default());
        assert_eq!(judge("push/applies\n", &[]), Judged::default());
    }

    #[test]
    fn lines_that_cannot_be_understood() {
        assert_eq!(parse("\npush/[\n").unwrap_err().line, 2);
        let error = parse("push/applies until:soon").unwrap_err();
        assert_eq!(error.to_string(), "known.txt:1: until:soon is no date; write until:2027-01-31");
    }
}
