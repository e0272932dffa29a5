//! The run as workflow commands of GitHub Actions, which make an annotation of each finding.

use std::fmt::Write as _;

use super::explain::one_line;
use super::run::Run;
use super::text::{clean, fit, sentence};
use crate::ground::shown::count;
use crate::runner::{CheckResult, Status, Verdict};

/// GitHub shows ten annotations of a kind for a step; the rest is in the summary and the other reports.
const MOST: usize = 10;
/// Characters of a message.
const LONGEST: usize = 900;

/// The commands, a line each: causes before what follows from them.
pub(super) fn render(run: &Run) -> String {
    let mut out = String::new();
    if run.fails_by_itself() || run.end.verdict == Verdict::NotJudged {
        command(&mut out, "error", "AVP conformance", &verdict(run));
    }
    annotate(&mut out, run, "error", |result| run.is_problem(result.status));
    annotate(&mut out, run, "warning", |result| {
        matches!(result.status, Status::Warn | Status::Error) && !run.is_problem(result.status)
    });
    let known = run.known();
    if !known.is_empty() {
        let named: Vec<_> = known.iter().map(|result| result.check.id).collect();
        command(
            &mut out,
            "notice",
            "Known failures",
            &format!("{}: {}", count(known.len(), "check"), named.join(", ")),
        );
    }
    if out.is_empty() {
        command(&mut out, "notice", "AVP conformance", &verdict(run));
    }
    out
}

fn verdict(run: &Run) -> String {
    let words: Vec<String> = [run.end.verdict.name().replace('-', " "), run.end.reason.clone(), run.end.advice.clone()]
        .into_iter()
        .filter(|text| !text.is_empty())
        .map(|text| sentence(&clean(&text)))
        .collect();
    format!("{}: {}", clean(&run.info.target), words.join(" "))
}

fn annotate(out: &mut String, run: &Run, kind: &str, wanted: impl Fn(&CheckResult) -> bool) {
    let all = run.results.iter().map(AsRef::as_ref).filter(|result| !run.is_known(result) && wanted(result));
    // What has to be repaired comes first: of many, GitHub shows the first ten.
    let (causes, followers): (Vec<_>, Vec<_>) =
        all.partition(|result| run.causes.followed_by(result.check.id).is_none());
    let all: Vec<&CheckResult> = causes.into_iter().chain(followers).collect();
    let shown = if all.len() > MOST { MOST - 1 } else { all.len() };
    for result in &all[..shown] {
        let title = format!("{} ({} {})", result.check.id, result.check.section, result.check.level.name());
        let follows = run.causes.followed_by(result.check.id).map(|cause| format!("Follows from {}. ", cause.check));
        let rule = result.check.requirements[0].text;
        let text = format!("{}{} Observed: {}", follows.unwrap_or_default(), rule, one_line(result));
        command(out, kind, &title, &text);
    }
    if shown < all.len() {
        let text = format!("{} besides these: see the summary and the reports.", count(all.len() - shown, "finding"));
        command(out, kind, "AVP conformance", &text);
    }
}

fn command(out: &mut String, kind: &str, title: &str, text: &str) {
    // Writing to a string can't fail.
    let _ = writeln!(out, "::{kind} title={}::{}", escape(title, true), escape(&fit(text, LONGEST), false));
}

/// As the toolkit of GitHub Actions does it; what steers a terminal is gone before.
fn escape(text: &str, property: bool) -> String {
    let text = clean(text).replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A");
    if property { text.replace(':', "%3A").replace(',', "%2C") } else { text }
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;

    #[test]
    fn a_line_is_a_command_and_nothing_else_is() {
        for run in [samples::mixed(), samples::hostile(), samples::many(), samples::not_judged(), samples::strict()] {
            let text = render(&run);
            for line in text.lines() {
                let rest = line.strip_prefix("::").unwrap_or_else(|| panic!("{line}"));
                let (head, _) = rest.split_once("::").unwrap();
                assert!(["error title=", "warning title="].iter().any(|kind| head.starts_with(kind)), "{line}");
                assert!(!head.contains([',', ':']) && !line.chars().any(super::super::text::is_unsafe), "{line}");
            }
            assert!(text.lines().filter(|line| line.starts_with("::error")).count() <= MOST + 1, "{text}");
        }
        assert_eq!(escape("50%\r\n::error,x", true), "50%25\\r\\n%3A%3Aerror%2Cx");
    }

    #[test]
    fn a_run_without_a_finding_says_so() {
        let text = render(&samples::conformant());
        assert_eq!(text, "::notice title=AVP conformance::http://127.0.0.1:8787: Conformant.\n");
    }

    #[test]
    fn looks_like_this() {
        insta::with_settings!({ snapshot_path => "../../snapshots", prepend_module_to_snapshot => false }, {
            insta::assert_snapshot!("report.github", render(&samples::mixed()));
        });
    }
}
