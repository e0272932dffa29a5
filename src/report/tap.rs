//! The run as Test Anything Protocol, version 14: a test point for each check, and one for the run itself.

use std::fmt::Write as _;

use super::explain::{answer_line, one_line, request_line};
use super::run::Run;
use super::text::{clean, sentence};
use crate::runner::{CheckResult, Omission, Status};

/// Findings of a check that are written out.
const FINDINGS: usize = 4;

/// The report.
pub(super) fn render(run: &Run) -> String {
    let mut out = format!("TAP version 14\n1..{}\n", run.results.len() + 1);
    for note in &run.notes {
        let _ = writeln!(out, "# {}", clean(note));
    }
    for (index, result) in run.results.iter().enumerate() {
        point(&mut out, run, result, index + 1);
    }
    let fails = run.fails_by_itself();
    let ok = if fails { "not ok" } else { "ok" };
    let _ = writeln!(out, "{ok} {} - run/verdict", run.results.len() + 1);
    let mut rows = vec![("verdict", run.end.verdict.name().to_owned())];
    for (name, text) in [("reason", &run.end.reason), ("advice", &run.end.advice)] {
        if !text.is_empty() {
            rows.push((name, sentence(&clean(text))));
        }
    }
    diagnostics(&mut out, &rows);
    out
}

fn point(out: &mut String, run: &Run, result: &CheckResult, number: usize) {
    let id = description(result.check.id);
    let known = run.end.known.get(result.check.id);
    let good =
        matches!(result.status, Status::Pass | Status::Skip) || (result.status == Status::Warn && !run.info.strict);
    let ok = if good { "ok" } else { "not ok" };
    let directive = match (known, result.status) {
        // A failure that is listed doesn't fail the run; that is what TODO means here.
        (Some(said), _) => format!(" # TODO known: {}", description(said)),
        (None, Status::Skip) => {
            let why = result.omission.map_or("left out", Omission::name);
            format!(" # SKIP {why}: {}", description(&one_line(result)))
        }
        _ => String::new(),
    };
    let _ = writeln!(out, "{ok} {number} - {id}{directive}");
    if matches!(result.status, Status::Pass | Status::Skip) {
        return;
    }
    let mut rows = vec![
        ("severity", result.status.name().to_owned()),
        ("level", result.check.level.name().to_owned()),
        ("section", result.check.section.to_owned()),
        ("rule", result.check.requirements[0].text.to_owned()),
        ("message", one_line(result)),
    ];
    if let Some(cause) = run.causes.followed_by(result.check.id) {
        rows.push(("follows_from", cause.check.to_owned()));
    }
    for finding in result.findings.iter().take(FINDINGS) {
        rows.push(("wanted", clean(&finding.expected).into_owned()));
        rows.push(("found", clean(&finding.observed).into_owned()));
        if let Some(exchange) = &finding.exchange {
            rows.push(("request", request_line(exchange)));
            rows.push(("answer", answer_line(exchange)));
        }
    }
    diagnostics(out, &rows);
}

/// A YAML block of strings in double quotes, which are those of JSON. A name that comes again gets a number.
fn diagnostics(out: &mut String, rows: &[(&str, String)]) {
    out.push_str("  ---\n");
    for (index, (name, text)) in rows.iter().enumerate() {
        let before = rows[..index].iter().filter(|(other, _)| other == name).count();
        let number = if before == 0 { String::new() } else { format!("_{}", before + 1) };
        let _ = writeln!(out, "  {name}{number}: {}", serde_json::Value::from(text.as_str()));
    }
    out.push_str("  ...\n");
}

/// Text in which nothing is a directive.
fn description(text: &str) -> String {
    clean(text).replace('\\', "\\\\").replace('#', "\\#")
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;

    /// Numbers and states of the test points, read as the protocol says.
    fn points(text: &str) -> Vec<(bool, bool)> {
        let mut lines = text.lines();
        assert_eq!(lines.next(), Some("TAP version 14"));
        let plan: usize = lines.next().unwrap().strip_prefix("1..").unwrap().parse().unwrap();
        let (mut points, mut block) = (Vec::new(), false);
        for line in lines {
            match line {
                "  ---" => assert!(!std::mem::replace(&mut block, true)),
                "  ..." => assert!(std::mem::replace(&mut block, false)),
                line if block => {
                    let (name, value) = line.trim_start().split_once(": ").unwrap();
                    assert!(name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'), "{line}");
                    serde_json::from_str::<String>(value).unwrap();
                }
                line if line.starts_with("# ") => {}
                line => {
                    let ok = line.starts_with("ok ");
                    let rest = line.strip_prefix(if ok { "ok " } else { "not ok " }).unwrap();
                    assert!(rest.starts_with(&format!("{} - ", points.len() + 1)), "{line}");
                    points.push((ok, line.contains(" # TODO ") || line.contains(" # SKIP ")));
                }
            }
        }
        assert_eq!(points.len(), plan);
        points
    }

    #[test]
    fn what_fails_a_harness_is_what_fails_the_run() {
        let failed = |text: &str| points(text).iter().filter(|(ok, excused)| !ok && !excused).count();
        // Two failures and an error; with --strict two warnings more.
        assert_eq!(failed(&render(&samples::mixed())), 3);
        assert_eq!(failed(&render(&samples::strict())), 5);
        assert_eq!(failed(&render(&samples::conformant())), 0);
        assert_eq!(failed(&render(&samples::not_judged())), 1);
    }

    #[test]
    fn hostile_text_is_harmless() {
        let text = render(&samples::hostile());
        assert_eq!(points(&text).len(), 5);
        assert!(!text.chars().any(|c| c != '\n' && super::super::text::is_unsafe(c)));
        assert_eq!(description("a # TODO \\x"), "a \\# TODO \\\\x");
    }

    #[test]
    fn looks_like_this() {
        insta::with_settings!({ snapshot_path => "../../snapshots", prepend_module_to_snapshot => false }, {
            insta::assert_snapshot!("report.tap", render(&samples::mixed()));
        });
    }
}
