//! The checks by section: what is wrong in full, the rest a line each, and the filter above them.

use super::super::explain::one_line;
use super::super::run::Run;
use super::super::text::duration;
use super::coverage::title;
use super::differ::{marked, wrong_members};
use super::escape::{esc, link};
use super::exchange;
use crate::ground::shown::count;
use crate::requirements::reasons;
use crate::runner::{CheckResult, Finding, Status};

/// Findings and exchanges of a check that are shown; the JSON report has all.
const FINDINGS: usize = 12;
const EXCHANGES: usize = 12;
/// Causes that are open from the start.
const OPEN: usize = 3;

/// Section, checks and filter.
pub(super) fn all(run: &Run) -> String {
    let mut sections: Vec<&str> = run.results.iter().map(|result| result.check.section).collect();
    sections.dedup();
    let open: Vec<&str> =
        run.causes_with(|status| run.is_problem(status)).iter().take(OPEN).map(|(result, _)| result.check.id).collect();
    let parts: String = sections
        .into_iter()
        .map(|section| {
            let mut results: Vec<&CheckResult> =
                run.results.iter().map(AsRef::as_ref).filter(|result| result.check.section == section).collect();
            results.sort_by_key(|result| order(run, result));
            let rows: String = results.iter().map(|result| check(run, result, open.contains(&result.check.id))).collect();
            let place = section.trim_start_matches('§');
            format!(
                "<section class=\"group\" aria-labelledby=\"section-{place}\"><h3 id=\"section-{place}\">{section} {}</h3>\n{rows}</section>\n",
                esc(title(section))
            )
        })
        .collect();
    format!(
        "<section aria-labelledby=\"checks\"><h2 id=\"checks\" tabindex=\"-1\">Checks</h2>\n{}\n{parts}</section>\n",
        filter(run)
    )
}

/// What is wrong comes first.
fn order(run: &Run, result: &CheckResult) -> u8 {
    match result.status {
        _ if run.is_known(result) => 3,
        Status::Fail => 0,
        Status::Error => 1,
        Status::Warn => 2,
        Status::Skip => 4,
        Status::Pass => 5,
    }
}

/// Hidden until the script makes it work.
fn filter(run: &Run) -> String {
    let kinds = ["fail", "warn", "error", "known", "skip", "pass"];
    let boxes: String = kinds
        .into_iter()
        .filter_map(|kind| {
            let number = run.results.iter().filter(|result| self::kind(run, result) == kind).count();
            let entry = format!(
                "<label><input type=\"checkbox\" name=\"status\" value=\"{kind}\" checked> {kind} ({number})</label>\n"
            );
            (number > 0).then_some(entry)
        })
        .collect();
    let options = |values: Vec<(&str, String)>| -> String {
        values.iter().map(|(value, text)| format!("<option value=\"{value}\">{text}</option>")).collect()
    };
    let mut levels: Vec<_> = run.results.iter().map(|result| result.check.level).collect();
    levels.sort();
    levels.dedup();
    let levels = levels.into_iter().map(|level| (level.name(), level.name().to_owned())).collect();
    let mut sections: Vec<&str> = run.results.iter().map(|result| result.check.section).collect();
    sections.dedup();
    let sections =
        sections.into_iter().map(|section| (section, format!("{section} {}", esc(title(section))))).collect();
    format!(
        "<form id=\"filter\" role=\"search\" aria-label=\"Filter the checks\" hidden>\n\
         <fieldset><legend>Status</legend>{boxes}</fieldset>\n\
         <label>Level <select name=\"level\"><option value=\"\">any</option>{}</select></label>\n\
         <label>Section <select name=\"section\"><option value=\"\">any</option>{}</select></label>\n\
         <label>Text <input type=\"search\" name=\"text\" placeholder=\"id, rule, answer …\" autocomplete=\"off\"></label>\n\
         <button type=\"reset\">Show all</button>\n<output id=\"shown\" aria-live=\"polite\"></output></form>",
        options(levels),
        options(sections)
    )
}

/// The status, and whether it is known.
fn kind(run: &Run, result: &CheckResult) -> &'static str {
    if run.is_known(result) { "known" } else { result.status.name() }
}

fn check(run: &Run, result: &CheckResult, open: bool) -> String {
    let check = result.check;
    let (id, kind) = (esc(check.id), kind(run, result));
    let class = if kind == "skip" { "skipped" } else { kind };
    let wrong = !matches!(result.status, Status::Pass | Status::Skip);
    let aside = match result.status {
        Status::Skip => result.omission.map_or("", crate::runner::Omission::name).to_owned(),
        _ => duration(result.duration),
    };
    let line = if wrong { one_line(result) } else { check.title.to_owned() };
    let open = if open { " open" } else { "" };
    format!(
        "<details class=\"check {class}\" id=\"{id}\" data-kind=\"{kind}\" data-level=\"{}\" data-section=\"{}\"{open}>\
         <summary><span class=\"status {class}\">{kind}</span> <code>{id}</code> <span class=\"dim\">{} · {}</span> \
         <span class=\"one\">{}</span></summary>\n<div class=\"body\">{}</div></details>\n",
        check.level.name(),
        check.section,
        check.level.name(),
        esc(&aside),
        esc(&line),
        body(run, result, wrong)
    )
}

fn body(run: &Run, result: &CheckResult, wrong: bool) -> String {
    let check = result.check;
    let mut out = format!(
        "<p class=\"title\"><strong>{}</strong> <a class=\"self\" href=\"#{}\">link</a></p>\n",
        esc(check.title),
        esc(check.id)
    );
    out += "<dl>";
    for rule in check.requirements {
        row(
            &mut out,
            "rule",
            &format!(
                "{} <span class=\"dim\">{} · {} · {}</span>",
                esc(rule.text),
                esc(rule.id),
                rule.section,
                rule.level.name()
            ),
        );
    }
    if let Some(known) = run.end.known.get(check.id) {
        row(&mut out, "known", &esc(known));
    }
    if let Some(cause) = run.causes.followed_by(check.id) {
        row(&mut out, "cause", &format!("follows from {}", link(cause.check)));
    }
    if result.findings.is_empty() && !result.message.is_empty() {
        row(&mut out, if wrong { "observed" } else { "remark" }, &esc(&result.message));
    }
    out += "</dl>\n";
    let mut told = Vec::new();
    for finding in result.findings.iter().take(FINDINGS) {
        out += &self::finding(run, finding, &mut told);
    }
    if result.findings.len() > FINDINGS {
        out += &format!(
            "<p class=\"dim\">… and {} more findings, all of them in the JSON report.</p>\n",
            result.findings.len() - FINDINGS
        );
    }
    let exchanges = run.exchanges_of(result);
    let rest: Vec<_> = exchanges.iter().filter(|exchange| !told.contains(&std::sync::Arc::as_ptr(exchange))).collect();
    if wrong && !rest.is_empty() {
        let shown: String =
            rest.iter().rev().take(EXCHANGES).rev().map(|each| exchange::shown(run, each, &[])).collect();
        let number = count(rest.len(), "other exchange");
        out += &format!("<details><summary>{number} of this check</summary>{shown}</details>\n");
    }
    if let Some(reason) = reasons::usual(check.id, check.requirements).filter(|_| wrong) {
        out += &format!("<dl><dt>often</dt><dd>{}</dd></dl>\n", esc(reason));
    }
    if wrong {
        let (start, end) = run.info.rerun.for_check(check.id);
        let again = format!("{start} {end}");
        out += &format!("<dl><dt>again</dt><dd><code>{}</code></dd></dl>\n", esc(again.trim_end()));
    }
    out
}

fn row(out: &mut String, label: &str, value: &str) {
    *out += &format!("<dt>{label}</dt><dd>{value}</dd>");
}

fn finding(run: &Run, finding: &Finding, told: &mut Vec<*const crate::client::Exchange>) -> String {
    let mut out = String::from("<div class=\"finding\"><dl>");
    row(&mut out, "expected", &esc(&finding.expected));
    row(&mut out, "observed", &marked(&finding.expected, &finding.observed));
    out += "</dl>\n";
    let wrong = wrong_members(&finding.observed);
    for exchange in finding.exchange.iter().chain(&finding.evidence).take(EXCHANGES) {
        let at = std::sync::Arc::as_ptr(exchange);
        if told.contains(&at) {
            continue;
        }
        told.push(at);
        out += &exchange::shown(run, exchange, &wrong);
    }
    out + "</div>\n"
}
