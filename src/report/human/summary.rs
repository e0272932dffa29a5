//! The last words: the verdict first, then what to repair, then the rest, all of it on one screen where it can be.

mod failures;
mod lists;

use super::super::run::Run;
use super::super::style::{BOLD, DIM, MAGENTA, YELLOW, of_status, of_verdict, paint};
use super::super::text::{clean, duration, fit, sentence, used, width, wrap, wrap_at_most};
use crate::ground::shown::count;
use crate::runner::{Status, Verdict};

/// Lines where the height is unknown, as in the log of a CI job.
const LOG_LINES: usize = 64;

/// What the summary is written for.
#[derive(Clone, Copy, Debug)]
pub struct Screen {
    /// Columns, at least 40.
    pub columns: usize,
    /// Lines of the terminal; `None` when it isn't one.
    pub lines: Option<usize>,
    /// Say everything, however long.
    pub verbose: bool,
}

impl Screen {
    /// Lines that the summary may take.
    fn budget(self) -> usize {
        match self.lines {
            _ if self.verbose => usize::MAX,
            Some(lines) => lines.max(20) - 3,
            None => LOG_LINES,
        }
    }
}

/// How much is said.
#[derive(Clone, Copy)]
struct Layout {
    columns: usize,
    verbose: bool,
    /// Little more than the first failure.
    tight: bool,
}

/// A part of the summary below the verdict, which can make itself smaller.
trait Section {
    /// Lines below which it can't go; 0 if there is nothing to say.
    fn least(&self) -> usize;
    /// At most `room` lines (or [`Self::least`] if that is more), and whether something was left out.
    fn render(&self, room: usize) -> (Vec<String>, bool);
}

/// The summary, coloured, with a line break at its end.
pub fn summary(run: &Run, screen: Screen) -> String {
    let layout = Layout { columns: screen.columns.max(40), verbose: screen.verbose, tight: false };
    let mut lines = compose(run, screen.budget(), layout);
    if lines.len() > screen.budget() {
        lines = compose(run, screen.budget(), Layout { tight: true, ..layout });
    }
    lines.push(String::new());
    lines.join("\n")
}

/// The lines, which keep to the budget if they can.
fn compose(run: &Run, budget: usize, screen: Layout) -> Vec<String> {
    let mut lines = head(run, screen);
    let failures = failures::Failures::new(run, screen);
    let warnings = lists::Brief::new(
        run,
        |status| status == Status::Warn && !run.is_problem(status),
        paint(YELLOW.bold(), "Warnings"),
        "a SHOULD or a hardening is missed",
        screen,
    );
    let errors = lists::Brief::new(
        run,
        |status| status == Status::Error,
        paint(MAGENTA.bold(), "Errors"),
        "the suite could not tell",
        screen,
    );
    let known =
        lists::Brief::of_known(run, paint(YELLOW.bold(), "Known failures"), "listed in the file of --known", screen);
    let skipped = lists::Skipped::new(run, screen);
    let sections: [&dyn Section; 5] = [&failures, &errors, &known, &warnings, &skipped];
    let mut room = budget.saturating_sub(lines.len() + 2);
    let mut reserved: usize = sections.iter().map(|section| section.least()).sum();
    let mut shortened = false;
    for section in sections {
        reserved -= section.least();
        let (rendered, cut) = section.render(room.saturating_sub(reserved));
        room = room.saturating_sub(rendered.len());
        shortened |= cut;
        lines.extend(rendered);
    }
    if shortened {
        lines.push(String::new());
        let hint = "All of it: -v, or --report html=report.html (also markdown, json, junit, …)";
        lines.push(paint(DIM, fit(hint, screen.columns)));
    }
    lines
}

/// Verdict, reason, counts, time and seed.
fn head(run: &Run, screen: Layout) -> Vec<String> {
    let (info, end) = (&run.info, &run.end);
    let mut lines = Vec::new();
    let style = of_verdict(end.verdict);
    let title = title(end.verdict);
    let target = clean(&info.target);
    lines.push(format!("{}  {}", paint(style, title), paint(BOLD, format!("{target} · AVP {}", info.spec))));
    for text in [&end.reason, &end.advice].into_iter().filter(|text| !text.is_empty()) {
        lines.extend(wrap(&sentence(&clean(text)), screen.columns));
    }
    lines.push(counts(run));
    let took = format!(
        "{} in {}, {}, seed {}",
        count(run.results.len() - end.summary.skip.min(run.results.len()), "check"),
        duration(end.duration),
        count(usize::try_from(end.requests).unwrap_or(usize::MAX), "request"),
        info.seed
    );
    lines.push(paint(DIM, took));
    lines.extend(end.hosted.map(|hosted| paint(DIM, used(hosted))));
    for note in &run.notes {
        let most = if screen.verbose { usize::MAX } else { 3 - 2 * usize::from(screen.tight) };
        let wrapped = wrap_at_most(&format!("Note: {}", clean(note)), screen.columns, most);
        lines.extend(wrapped.into_iter().map(|line| paint(YELLOW, line)));
    }
    lines
}

/// The verdict as a title.
pub(crate) fn title(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Conformant => "CONFORMANT",
        Verdict::NotConformant => "NOT CONFORMANT",
        Verdict::NotConformantAsKnown => "NOT CONFORMANT, AS KNOWN",
        Verdict::Incomplete => "INCOMPLETE",
        Verdict::NotJudged => "NOT JUDGED",
    }
}

/// `140 passed · 3 failed · …`; what is zero stays grey.
fn counts(run: &Run) -> String {
    let sum = run.end.summary;
    let part = |number: usize, word: String, status: Status| {
        let style = if number == 0 { DIM } else { of_status(status) };
        paint(style, format!("{number} {word}"))
    };
    let warnings = if sum.warn == 1 { "warning" } else { "warnings" };
    let errors = if sum.error == 1 { "error" } else { "errors" };
    [
        part(sum.pass, "passed".into(), Status::Pass),
        part(sum.fail, "failed".into(), Status::Fail),
        part(sum.warn, warnings.into(), Status::Warn),
        part(sum.error, errors.into(), Status::Error),
        part(sum.skip, "skipped".into(), Status::Skip),
    ]
    .join(" · ")
}

/// The heading of a section: title, number, remark.
fn heading(title: &str, number: usize, remark: &str, columns: usize) -> [String; 2] {
    let used = width(&super::super::style::strip(title)) + number.to_string().len() + 3;
    let remark = if used + width(remark) > columns { "" } else { remark };
    [String::new(), format!("{title} {}  {}", paint(BOLD, number), paint(DIM, remark)).trim_end().to_owned()]
}

#[cfg(test)]
mod tests {
    use super::super::super::samples;
    use super::super::super::style::strip;
    use super::super::super::text::is_unsafe;
    use super::*;

    const SCREEN: Screen = Screen { columns: 80, lines: None, verbose: false };

    macro_rules! snapshot {
        ($name:literal, $text:expr) => {
            insta::with_settings!({ snapshot_path => "../../../snapshots", prepend_module_to_snapshot => false }, {
                insta::assert_snapshot!($name, $text);
            })
        };
    }

    #[test]
    fn every_kind_of_result() {
        snapshot!("summary-mixed", strip(&summary(&samples::mixed(), SCREEN)));
        snapshot!("summary-colours", summary(&samples::mixed(), SCREEN).replace('\u{1b}', "␛"));
    }

    #[test]
    fn every_verdict() {
        snapshot!("summary-conformant", strip(&summary(&samples::conformant(), SCREEN)));
        snapshot!("summary-not-judged", strip(&summary(&samples::not_judged(), SCREEN)));
        snapshot!("summary-incomplete", strip(&summary(&samples::incomplete(), SCREEN)));
    }

    #[test]
    fn many_failures_fit_a_screen() {
        let run = samples::many();
        snapshot!("summary-many-24-lines", strip(&summary(&run, Screen { lines: Some(24), ..SCREEN })));
        snapshot!("summary-many-40-lines", strip(&summary(&run, Screen { lines: Some(40), ..SCREEN })));
        for lines in [24, 40, 80] {
            let text = summary(&run, Screen { lines: Some(lines), ..SCREEN });
            assert!(text.lines().count() < lines, "{} of {lines}\n{text}", text.lines().count());
        }
        assert!(summary(&run, SCREEN).lines().count() <= LOG_LINES);
        let all = summary(&run, Screen { verbose: true, ..SCREEN });
        let wrong = |status| matches!(status, Status::Fail | Status::Warn | Status::Error);
        assert!(run.results.iter().filter(|each| wrong(each.status)).all(|each| all.contains(each.check.id)), "{all}");
    }

    #[test]
    fn lines_fit_the_columns() {
        for columns in [60, 80, 132] {
            for run in [samples::mixed(), samples::many(), samples::hostile(), samples::not_judged()] {
                for verbose in [false, true] {
                    let text = strip(&summary(&run, Screen { columns, lines: None, verbose }));
                    for line in text.lines().skip(2).filter(|line| !line.contains("avp-conform --server")) {
                        assert!(width(line) <= columns, "{} > {columns}: {line}", width(line));
                    }
                }
            }
        }
    }

    #[test]
    fn a_server_does_not_get_at_the_terminal() {
        for verbose in [false, true] {
            let text = strip(&summary(&samples::hostile(), Screen { verbose, ..SCREEN }));
            assert!(!text.chars().any(|c| c != '\n' && is_unsafe(c)), "{text:?}");
        }
    }
}
