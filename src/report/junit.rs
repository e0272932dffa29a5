//! The report for CI systems: a suite per area, a case per check.

use std::collections::BTreeMap;
use std::time::Duration;

use quick_junit::{NonSuccessKind, Property, Report, TestCase, TestCaseStatus, TestSuite};

use super::explain::{Depth, explain, one_line};
use super::human;
use super::run::Run;
use super::style::strip;
use super::text::{clean, rfc3339};
use crate::runner::{CheckResult, Omission, Status, Verdict};

/// Details have room here.
const DEPTH: Depth = Depth { columns: 120, indent: 2, body_lines: 12, rules: 9, findings: 8, evidence: 12 };

/// The report, indented.
pub(super) fn render(run: &Run) -> String {
    let mut areas: BTreeMap<&str, Vec<&CheckResult>> = BTreeMap::new();
    for result in &run.results {
        areas.entry(area(result)).or_default().push(result);
    }
    let mut report = Report::new("avp-conform");
    report.set_time(run.end.duration);
    report.add_test_suite(whole(run));
    for (area, results) in areas {
        let mut suite = TestSuite::new(area);
        suite.set_time(results.iter().map(|result| result.duration).sum::<Duration>());
        suite.extra.insert("timestamp".into(), rfc3339(run.info.started_ms).into());
        suite.add_test_cases(results.into_iter().map(|result| case(run, result)));
        report.add_test_suite(suite);
    }
    report.to_string().expect("writing XML to memory fails on nothing but a full memory")
}

fn area(result: &CheckResult) -> &'static str {
    result.check.id.split('/').next().unwrap_or(result.check.id)
}

/// A suite of one case, the verdict: a target that couldn't be judged must not look fine because nothing failed.
fn whole(run: &Run) -> TestSuite {
    let (info, end) = (&run.info, &run.end);
    let mut suite = TestSuite::new("run");
    suite.set_time(end.duration);
    for (name, value) in [
        ("target", clean(&info.target).into_owned()),
        ("spec", info.spec.name().to_owned()),
        ("seed", info.seed.to_string()),
        ("verdict", end.verdict.name().to_owned()),
    ] {
        suite.add_property(Property::new(name, value));
    }
    let broken = end.verdict == Verdict::NotJudged || end.interrupted;
    let text = clean(&end.reason).into_owned();
    let mut status =
        if broken { TestCaseStatus::non_success(NonSuccessKind::Error) } else { TestCaseStatus::success() };
    if broken {
        status.set_type(end.verdict.name()).set_message(text.clone()).set_description(clean(&end.advice));
    }
    let mut case = TestCase::new("run/verdict", status);
    case.set_classname("avp-conform.run").set_time(end.duration);
    let title = human::title(end.verdict);
    case.set_system_out(if text.is_empty() { title.to_owned() } else { format!("{title}: {text}") });
    suite.add_test_case(case);
    for complaint in &end.stale {
        let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
        status.set_type("stale").set_message(clean(complaint).into_owned());
        let mut case = TestCase::new("run/known-failures", status);
        case.set_classname("avp-conform.run");
        suite.add_test_case(case);
    }
    suite
}

fn case(run: &Run, result: &CheckResult) -> TestCase {
    let strict = run.info.strict;
    let full = || strip(&explain(run, result, DEPTH).join("\n"));
    let status = match result.status {
        _ if run.is_known(result) => {
            let mut status = TestCaseStatus::skipped();
            let known = run.end.known.get(result.check.id).map_or("", String::as_str);
            status.set_type("known").set_message(format!("known ({}): {}", clean(known), one_line(result)));
            status
        }
        Status::Pass => TestCaseStatus::success(),
        Status::Warn if !strict => TestCaseStatus::success(),
        Status::Skip => {
            let mut status = TestCaseStatus::skipped();
            let why = result.omission.map_or("left out", Omission::name);
            status.set_type(why).set_message(format!("{why}: {}", one_line(result)));
            status
        }
        Status::Fail | Status::Warn | Status::Error => {
            let error = result.status == Status::Error;
            let kind = if error { NonSuccessKind::Error } else { NonSuccessKind::Failure };
            let mut status = TestCaseStatus::non_success(kind);
            status.set_type(result.check.level.name()).set_message(message(run, result)).set_description(full());
            status
        }
    };
    let mut case = TestCase::new(result.check.id, status);
    case.set_classname(format!("avp-conform.{}", area(result))).set_time(result.duration);
    case.add_property(Property::new("section", result.check.section));
    if result.status == Status::Warn && !strict {
        case.set_system_out(format!("warning: {}", full()));
    }
    case
}

/// What is wrong; for what follows from another check's finding, which.
fn message(run: &Run, result: &CheckResult) -> String {
    match run.causes.followed_by(result.check.id) {
        Some(cause) => format!("follows from {}: {}", cause.check, one_line(result)),
        None => one_line(result),
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;

    #[test]
    fn counts_what_a_ci_system_counts() {
        let text = render(&samples::mixed());
        assert!(text.contains(r#"tests="12" skipped="4" failures="2" errors="1""#), "{text}");
        let strict = render(&samples::strict());
        assert!(strict.contains(r#"failures="4""#), "{strict}");
    }

    #[test]
    fn a_target_that_was_not_judged_is_an_error() {
        let text = render(&samples::not_judged());
        assert!(text.contains("<error message=\"nothing listens"), "{text}");
    }

    #[test]
    fn hostile_text_is_harmless() {
        let text = render(&samples::hostile());
        assert!(!text.chars().any(|c| c != '\n' && super::super::text::is_unsafe(c)));
        assert!(!text.contains("<script>") && !text.contains("]]>"));
    }

    #[test]
    fn looks_like_this() {
        insta::with_settings!({ snapshot_path => "../../snapshots", prepend_module_to_snapshot => false }, {
            insta::assert_snapshot!("report.xml", render(&samples::mixed()));
        });
    }
}
