//! The report for people who read it in a browser, made to be a GitHub job summary.
//!
//! Whatever a server sent stands in fenced blocks or goes through [`escape`], so that it can't become a link, an image or a
//! mention.

use std::fmt::Write as _;

use super::explain::{Depth, explain, one_line};
use super::run::Run;
use super::style::strip;
use super::text::{clean, duration, fit, rfc3339, sentence, used};
use crate::ground::shown::count;
use crate::runner::{CheckResult, Status, Verdict};

/// Results shown in full; a job summary holds a mebibyte at most.
const FULL: usize = 60;
/// Columns of the blocks.
const DEPTH: Depth = Depth { columns: 110, indent: 2, body_lines: 5, rules: 9, findings: 4, evidence: 6 };

/// Bytes of a job summary: GitHub refuses one that is larger than a mebibyte, and other steps of the job may have written theirs.
const LARGEST_SUMMARY: usize = 900_000;

/// The report.
pub(super) fn render(run: &Run) -> String {
    with_details(run, FULL)
}

/// The report as a job summary, with as many results in full as there is room for beside the bytes that are `there`.
pub fn step_summary(run: &Run, there: usize) -> String {
    let fits = |text: &String| text.len() <= LARGEST_SUMMARY.saturating_sub(there);
    let text = [FULL, FULL / 4, 0].into_iter().map(|full| with_details(run, full)).find(fits);
    text.unwrap_or_else(|| {
        let mut out = String::new();
        head(&mut out, run);
        out
    })
}

fn with_details(run: &Run, full: usize) -> String {
    let mut out = String::new();
    head(&mut out, run);
    let strict = run.info.strict;
    causes(&mut out, run);
    let warnings = if strict { "Warnings (they fail the run: --strict)" } else { "Warnings" };
    problems(&mut out, run, &run.unknown(Status::Fail), "Failures", full);
    problems(&mut out, run, &run.unknown(Status::Warn), warnings, full);
    problems(&mut out, run, &run.unknown(Status::Error), "Errors: the suite could not tell", full);
    problems(&mut out, run, &run.known(), "Known failures", full);
    skipped(&mut out, run);
    passed(&mut out, run);
    out
}

fn head(out: &mut String, run: &Run) {
    let (info, end) = (&run.info, &run.end);
    let title = match end.verdict {
        Verdict::Conformant => "✅ Conformant",
        Verdict::NotConformant => "❌ Not conformant",
        Verdict::NotConformantAsKnown => "⚠️ Not conformant, as known",
        Verdict::Incomplete => "⚠️ Incomplete",
        Verdict::NotJudged => "🚫 Not judged",
    };
    let _ = writeln!(out, "# {title}: {} by AVP {}\n", code(&info.target), info.spec);
    for text in [&end.reason, &end.advice].into_iter().filter(|text| !text.is_empty()) {
        let _ = writeln!(out, "{}\n", escape(&sentence(text)));
    }
    let sum = end.summary;
    let _ = writeln!(out, "| passed | failed | warnings | errors | skipped |\n| --: | --: | --: | --: | --: |");
    let _ = writeln!(out, "| {} | {} | {} | {} | {} |\n", sum.pass, sum.fail, sum.warn, sum.error, sum.skip);
    let _ = writeln!(
        out,
        "avp-conform {}, {}, {} in {}, seed {}.\n",
        info.version,
        rfc3339(info.started_ms),
        count(usize::try_from(end.requests).unwrap_or(usize::MAX), "request"),
        duration(end.duration),
        info.seed
    );
    if let Some(hosted) = end.hosted {
        let _ = writeln!(out, "{}.\n", sentence(&used(hosted)).trim_end_matches('.'));
    }
    for note in &run.notes {
        let _ = writeln!(out, "> {}\n", escape(note));
    }
}

/// What the failures come down to, and how much follows from each.
fn causes(out: &mut String, run: &Run) {
    let causes = run.causes_with(|status| run.is_problem(status));
    if causes.is_empty() {
        return;
    }
    out.push_str(
        "## What to repair\n\n| check | rule | what is wrong | follows from it |\n| --- | --- | --- | --: |\n",
    );
    for (result, explained) in causes {
        let (id, rule) = (code(result.check.id), escape(result.check.requirements[0].text));
        let _ = writeln!(out, "| {id} | {rule} | {} | {} |", escape(&fit(&one_line(result), 300)), explained.len());
    }
    out.push('\n');
}

/// A table of the results of a status, and each one in full, folded.
fn problems(out: &mut String, run: &Run, results: &[&CheckResult], title: &str, full: usize) {
    if results.is_empty() {
        return;
    }
    let _ = writeln!(out, "## {title}\n\n| check | section | what is wrong | cause |\n| --- | --- | --- | --- |");
    for result in results {
        let text = match run.end.known.get(result.check.id) {
            Some(known) => fit(&format!("{} (known: {known})", one_line(result)), 300),
            None => fit(&one_line(result), 300),
        };
        let cause = run.causes.followed_by(result.check.id).map(|cause| code(cause.check)).unwrap_or_default();
        let (id, section) = (code(result.check.id), result.check.section);
        let _ = writeln!(out, "| {id} | {section} | {} | {cause} |", escape(&text));
    }
    out.push('\n');
    for result in results.iter().take(full) {
        let summary = format!("<code>{}</code> {}", result.check.id, escape(result.check.title));
        fold(out, &summary, &fenced(&strip(&explain(run, result, DEPTH).join("\n"))));
    }
    if results.len() > full {
        let _ = writeln!(out, "… and {} more, in full in the JSON report.\n", results.len() - full);
    }
}

fn skipped(out: &mut String, run: &Run) {
    let groups = run.skipped();
    if groups.is_empty() {
        return;
    }
    let mut inner = String::new();
    for (reason, ids) in groups {
        let ids: Vec<_> = ids.into_iter().map(code).collect();
        let _ = writeln!(inner, "- {}: {}", escape(&reason), ids.join(", "));
    }
    fold(out, &format!("{} skipped", count(run.end.summary.skip, "check")), &inner);
}

fn passed(out: &mut String, run: &Run) {
    let results = run.with(Status::Pass);
    if results.is_empty() {
        return;
    }
    let mut inner = String::from("| section | check | rule |\n| --- | --- | --- |\n");
    for CheckResult { check, .. } in &results {
        let _ = writeln!(inner, "| {} | {} | {} |", check.section, code(check.id), escape(check.title));
    }
    fold(out, &format!("{} passed", count(results.len(), "check")), &inner);
}

fn fold(out: &mut String, summary: &str, inner: &str) {
    let _ = writeln!(out, "<details><summary>{summary}</summary>\n\n{}\n\n</details>\n", inner.trim_end());
}

/// A block that ends where we say: its fence is longer than any run of backticks in it.
fn fenced(text: &str) -> String {
    let fence = "`".repeat(longest_run(text).max(2) + 1);
    format!("{fence}text\n{text}\n{fence}")
}

/// A code span, which holds anything but a line break. A bar would end a table's cell even there.
fn code(text: &str) -> String {
    let text = clean(text).replace('|', "¦");
    let fence = "`".repeat(longest_run(&text) + 1);
    let gap = if text.starts_with('`') || text.ends_with('`') || text.is_empty() { " " } else { "" };
    format!("{fence}{gap}{text}{gap}{fence}")
}

fn longest_run(text: &str) -> usize {
    text.split(|c| c != '`').map(str::len).max().unwrap_or(0)
}

/// Text as text: nothing in it means anything to Markdown, HTML or GitHub.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    for c in clean(text).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '!' | '|' | '#' | '~' | '@' | '$' => {
                let _ = write!(out, "&#{};", u32::from(c));
            }
            c => out.push(c),
        }
    }
    // Bare addresses would become links.
    out.replace("://", ":&#47;&#47;").replace("www.", "www&#46;")
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;

    #[test]
    fn text_stays_text() {
        assert_eq!(escape("a|b `c` <img src=x> @me ![x](y)"), {
            "a&#124;b &#96;c&#96; &lt;img src=x&gt; &#64;me &#33;&#91;x&#93;(y)"
        });
        assert_eq!(escape("see https://evil.example"), "see https:&#47;&#47;evil.example");
        assert_eq!(code("a`b|c"), "``a`b¦c``");
        assert!(fenced("```\nx").starts_with("````text\n"));
    }

    #[test]
    fn hostile_text_is_harmless() {
        let text = render(&samples::hostile()).replace(&code(samples::HOSTILE), "");
        assert!(!text.chars().any(|c| c != '\n' && super::super::text::is_unsafe(c)));
        let mut fence = None;
        let mut outside = String::new();
        for line in text.lines() {
            match &fence {
                Some(open) => fence = Some(open).filter(|open| line != *open).cloned(),
                None if line.starts_with("```") => fence = Some(line.trim_end_matches("text").to_owned()),
                None => outside.push_str(line),
            }
        }
        assert!(fence.is_none());
        assert!(!outside.contains("<script>") && !outside.contains("](http"), "{outside}");
    }

    #[test]
    fn a_job_summary_is_small_enough() {
        let mut run = samples::mixed();
        assert_eq!(step_summary(&run, 0), render(&run));
        assert!(step_summary(&run, LARGEST_SUMMARY).len() < render(&run).len());
        run.notes = vec!["x".repeat(LARGEST_SUMMARY / 2)];
        assert!(step_summary(&run, 0).len() <= LARGEST_SUMMARY);
    }

    #[test]
    fn looks_like_this() {
        insta::with_settings!({ snapshot_path => "../../snapshots", prepend_module_to_snapshot => false }, {
            insta::assert_snapshot!("report.md", render(&samples::mixed()));
        });
    }
}
