//! Failures that are known: a file that names checks which may fail, and is held to them, so that it can't rot.
//!
//! A line is a check id or a glob, then, as one likes, `until:YYYY-MM-DD` and a reason. `#` begins a comment.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use globset::{Glob, GlobMatcher};
use jiff::civil::Date;

use super::{CheckResult, Status, Summary};
use crate::ground::shown::count;
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
    /// The comments before it, and the one behind it.
    comments: Vec<String>,
    remark: String,
}

impl Line {
    /// What stands behind the pattern.
    fn rest(&self) -> String {
        let until = self.until.map(|until| format!(" until:{until}")).unwrap_or_default();
        let space = |text: &str| if text.is_empty() { String::new() } else { format!(" {text}") };
        format!("{until}{}{}", space(&self.reason), space(&self.remark))
    }

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
        let more = if self.stale.len() > 1 {
            format!(" (and {})", count(self.stale.len() - 1, "more line"))
        } else {
            String::new()
        };
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
        let (mut lines, mut comments) = (Vec::new(), Vec::new());
        for (at, text) in text.lines().enumerate() {
            let failed = |what: String| KnownError { file: file.to_owned(), line: at + 1, what };
            let text = text.trim_start_matches('\u{feff}');
            let entry = uncommented(text);
            let comment = text[entry.len()..].trim_end();
            let mut words = entry.split_whitespace();
            let Some(pattern) = words.next() else {
                comments.extend((!comment.is_empty()).then(|| comment.to_owned()));
                continue;
            };
            let glob =
                Glob::new(pattern).map_err(|error| failed(format!("{pattern:?} is no glob: {}", error.kind())))?;
            let (mut until, mut reason) = (None, String::new());
            while let Some(word) = words.next() {
                let date = strip_prefix_ignoring_case(word, "until:");
                if word.eq_ignore_ascii_case("until") {
                    return Err(failed("write until:2027-01-31, without a blank before the colon".into()));
                }
                match date.map(|date| if date.is_empty() { words.next().unwrap_or_default() } else { date }) {
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
            let (comments, remark) = (std::mem::take(&mut comments), comment.to_owned());
            lines.push(Line { number, pattern, matcher: glob.compile_matcher(), until, reason, comments, remark });
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

    /// The text of a file that lists what failed in a run. What the old file says of a check, its reason, date and comments, is kept, and so
    /// are its lines about checks that weren't judged.
    pub fn write<'a>(old: Option<&Self>, results: impl Iterator<Item = &'a CheckResult>, strict: bool) -> String {
        let mut text = format!("{HEADER}\n");
        let old = old.map_or(&[][..], |old| &old.lines);
        let (mut judged, mut used) = (Vec::new(), BTreeSet::new());
        for result in results.filter(|result| result.status != Status::Skip) {
            judged.push(result.check);
            let fails =
                matches!(result.status, Status::Fail | Status::Error) || (strict && result.status == Status::Warn);
            if !fails {
                continue;
            }
            let line = old.iter().find(|line| line.means(result.check));
            let title = format!("# {}", result.check.title);
            // The comments of a glob stand before the first check that it means.
            let first = line.is_some_and(|line| used.insert(line.number));
            let comments = line.filter(|_| first).map_or(&[][..], |line| &line.comments);
            let _ = write!(text, "\n{title}\n");
            for comment in comments.iter().filter(|comment| **comment != title && *comment != HEADER) {
                let _ = writeln!(text, "{comment}");
            }
            let _ = writeln!(text, "{}{}", result.check.id, line.map(Line::rest).unwrap_or_default());
        }
        let kept = old.iter().filter(|line| !judged.iter().any(|check| line.means(check)));
        for (at, line) in kept.enumerate() {
            if at == 0 {
                let _ = write!(text, "\n{NOT_JUDGED}\n");
            }
            for comment in line.comments.iter().filter(|comment| *comment != HEADER && *comment != NOT_JUDGED) {
                let _ = writeln!(text, "{comment}");
            }
            let _ = writeln!(text, "{}{}", line.pattern, line.rest());
        }
        text
    }
}

/// The first line of a file that is written.
const HEADER: &str =
    "# Known failures, for --known. One check id or glob a line, then until:YYYY-MM-DD and a reason as you like.";
/// Before the lines that a run says nothing about.
const NOT_JUDGED: &str = "# Kept, since the last run didn't judge them:";

fn strip_prefix_ignoring_case<'t>(text: &'t str, prefix: &str) -> Option<&'t str> {
    let (head, rest) = text.split_at_checked(prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then_some(rest)
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
    use crate::runner::Omission;
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
    fn what_is_written_keeps_what_the_run_says_nothing_about() {
        let info = |id: &str| &scenarios::all().find(|check| check.info.id == id).unwrap().info;
        let result =
            |id: &str, status| CheckResult { status, ..CheckResult::left_out(info(id), Omission::LeftOut, "") };
        let old = parse(
            "# ours\npush/applies until:2027-01-31 ticket 12 # by Jo\n\n# the store\npull/* until: 2027-02-01 later\nauth/expires-at x\n",
        )
        .unwrap();
        let results = [
            result("push/applies", Status::Fail),
            result("auth/expires-at", Status::Pass),
            result("pull/unchanged", Status::Skip),
        ];
        let text = Known::write(Some(&old), results.iter(), false);
        let lines: Vec<_> = text.lines().skip(3).collect();
        assert_eq!(
            lines,
            [
                "# ours",
                "push/applies until:2027-01-31 ticket 12 # by Jo",
                "",
                NOT_JUDGED,
                "# the store",
                "pull/* until:2027-02-01 later"
            ]
        );
        // Written once more, nothing is added.
        let again = Known::write(Some(&parse(&text).unwrap()), results.iter(), false);
        assert_eq!(again, text);
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
