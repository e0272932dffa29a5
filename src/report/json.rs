//! The report for programs. `schema/report.schema.json` describes it, and a test holds it to that.

use std::fmt::Write as _;
use std::sync::Arc;

use serde::Serialize;

use super::grpcurl;
use super::run::Run;
use super::text::{is_unsafe, millis, rfc3339};
use crate::causes;
use crate::client::{Exchange, Profile};
use crate::requirements::Requirement;
use crate::runner::{CheckResult, Hosted, Omission, Status, Summary, Verdict};

/// The JSON Schema of this report, as shipped in `schema/`.
pub const SCHEMA_JSON: &str = include_str!("../../schema/report.schema.json");

#[derive(Serialize)]
struct Tool {
    name: &'static str,
    version: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report<'a> {
    tool: Tool,
    spec: &'static str,
    target: &'a str,
    /// Digits, since not every reader of JSON keeps 64 bits.
    seed: String,
    started: String,
    duration_ms: f64,
    verdict: Verdict,
    #[serde(skip_serializing_if = "str::is_empty")]
    reason: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    advice: &'a str,
    exit_status: u8,
    interrupted: bool,
    strict: bool,
    /// Which part of a run it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    shard: Option<String>,
    requests: u64,
    /// What the servers have used that the suite has started.
    #[serde(skip_serializing_if = "Option::is_none")]
    hosted: Option<Hosted>,
    summary: Summary,
    /// What is wrong with the file of known failures.
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    stale_known: &'a [String],
    notes: &'a [String],
    /// What the findings come down to, the most fundamental first.
    causes: Vec<JsonCause<'a>>,
    checks: Vec<JsonCheck<'a>>,
}

/// A cause as the report has it.
#[derive(Serialize)]
struct JsonCause<'a> {
    check: &'static str,
    requirements: Vec<&'static str>,
    explains: &'a [&'static str],
}

/// A check and what came of it, as the report has them.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct JsonCheck<'a> {
    id: &'static str,
    title: &'static str,
    section: &'static str,
    level: &'static str,
    /// The profile that it was judged in, where a run judges both.
    #[serde(skip_serializing_if = "Option::is_none")]
    profile: Option<&'static str>,
    status: Status,
    #[serde(skip_serializing_if = "Option::is_none")]
    omission: Option<Omission>,
    /// Where it is said that this failure is known, and why.
    #[serde(skip_serializing_if = "Option::is_none")]
    known: Option<&'a str>,
    requirements: Vec<&'static str>,
    message: &'a str,
    /// The check that shows the cause: its own id for a cause itself, none for a check that came off well.
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<&'static str>,
    duration_ms: f64,
    findings: Vec<JsonFinding<'a>>,
    exchanges: Vec<Shown<'a>>,
}

/// An exchange, and how to make a gRPC call again.
#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    exchange: &'a Exchange,
    #[serde(skip_serializing_if = "Option::is_none")]
    grpcurl: Option<String>,
}

/// A finding as the report has it.
#[derive(Serialize)]
struct JsonFinding<'a> {
    expected: &'a str,
    observed: &'a str,
    /// Place in the check's exchanges.
    #[serde(skip_serializing_if = "Option::is_none")]
    exchange: Option<usize>,
    /// Places of further exchanges that show it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    evidence: Vec<usize>,
}

/// The report, indented.
pub(super) fn render(run: &Run) -> String {
    let (info, end) = (&run.info, &run.end);
    let report = Report {
        tool: Tool { name: env!("CARGO_PKG_NAME"), version: info.version },
        spec: info.spec.name(),
        target: &info.target,
        seed: info.seed.to_string(),
        started: rfc3339(info.started_ms),
        duration_ms: millis(end.duration),
        verdict: end.verdict,
        reason: &end.reason,
        advice: &end.advice,
        exit_status: end.exit_code,
        interrupted: end.interrupted,
        strict: info.strict,
        shard: info.shard.map(|shard| shard.to_string()),
        requests: end.requests,
        hosted: end.hosted,
        summary: end.summary,
        stale_known: &end.stale,
        notes: &run.notes,
        causes: run.causes.list().iter().map(cause).collect(),
        checks: run.results.iter().map(|result| check(run, result)).collect(),
    };
    let mut text = serde_json::to_string_pretty(&report)
        .expect("strings, numbers and lists always serialize: no map with odd keys, no failing Serialize");
    text.push('\n');
    escape(text)
}

/// JSON lets DEL, C1 controls and invisible characters stand as they are; a terminal shouldn't see them. They only ever
/// stand in strings, where an escape means the same.
pub(super) fn escape(text: String) -> String {
    if !text.chars().any(is_hidden) {
        return text;
    }
    let mut out = String::with_capacity(text.len() + 64);
    for c in text.chars() {
        if is_hidden(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(out, "\\u{unit:04x}");
            }
        } else {
            out.push(c);
        }
    }
    out
}

fn is_hidden(c: char) -> bool {
    c != '\n' && is_unsafe(c)
}

fn cause(cause: &causes::Cause) -> JsonCause<'_> {
    JsonCause { check: cause.check, requirements: ids(&cause.requirements), explains: &cause.explains }
}

fn ids(requirements: &[&'static Requirement]) -> Vec<&'static str> {
    requirements.iter().map(|requirement| requirement.id).collect()
}

fn check<'a>(run: &'a Run, result: &'a CheckResult) -> JsonCheck<'a> {
    let mut exchanges: Vec<&Arc<Exchange>> = result.exchanges.iter().collect();
    let findings = result.findings.iter().map(|finding| JsonFinding {
        expected: &finding.expected,
        observed: &finding.observed,
        exchange: finding.exchange.as_ref().map(|exchange| place(&mut exchanges, exchange)),
        evidence: finding.evidence.iter().map(|exchange| place(&mut exchanges, exchange)).collect(),
    });
    let findings = findings.collect();
    JsonCheck {
        id: result.check.id,
        title: result.check.title,
        section: result.check.section,
        level: result.check.level.name(),
        profile: result.check.profile().map(Profile::name),
        status: result.status,
        omission: result.omission,
        known: run.end.known.get(result.check.id).map(String::as_str),
        requirements: ids(result.check.requirements),
        message: &result.message,
        cause: run.causes.of(result.check.id).map(|cause| cause.check),
        duration_ms: millis(result.duration),
        findings,
        exchanges: exchanges
            .into_iter()
            .map(|exchange| Shown { exchange, grpcurl: grpcurl::command(run, exchange) })
            .collect(),
    }
}

/// Where an exchange stands among a check's; it is added if it isn't there.
fn place<'a>(exchanges: &mut Vec<&'a Arc<Exchange>>, exchange: &'a Arc<Exchange>) -> usize {
    exchanges.iter().position(|known| Arc::ptr_eq(known, exchange)).unwrap_or_else(|| {
        exchanges.push(exchange);
        exchanges.len() - 1
    })
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::super::samples;
    use super::*;

    #[test]
    fn the_report_conforms_to_its_schema() {
        let schema: Value = serde_json::from_str(SCHEMA_JSON).unwrap();
        jsonschema::meta::validate(&schema).unwrap();
        let validator = jsonschema::validator_for(&schema).unwrap();
        for run in [samples::mixed(), samples::conformant(), samples::not_judged(), samples::hostile()] {
            let report: Value = serde_json::from_str(&render(&run)).unwrap();
            let errors: Vec<_> = validator.iter_errors(&report).map(|error| error.to_string()).collect();
            assert_eq!(errors, [] as [String; 0]);
        }
    }

    #[test]
    fn the_schema_is_closed() {
        let schema: Value = serde_json::from_str(SCHEMA_JSON).unwrap();
        let validator = jsonschema::validator_for(&schema).unwrap();
        let report: Value = serde_json::from_str(&render(&samples::mixed())).unwrap();
        let failed = report["checks"].as_array().unwrap().iter().position(|check| check["status"] == "fail").unwrap();
        for place in ["", "/tool", "/summary", "/checks/0", "/checks/F/findings/0", "/checks/F/exchanges/0"] {
            let pointer = place.replace('F', &failed.to_string());
            let mut report = report.clone();
            report.pointer_mut(&pointer).unwrap_or_else(|| panic!("{pointer}"))["surprise"] = Value::Null;
            assert!(!validator.is_valid(&report), "{pointer}");
        }
    }

    #[test]
    fn hostile_text_is_kept_but_harmless() {
        let text = render(&samples::hostile());
        assert!(!text.chars().any(is_hidden));
        let report: Value = serde_json::from_str(&text).unwrap();
        let check = report["checks"].as_array().unwrap().iter().find(|check| check["status"] == "fail").unwrap();
        let body = check["exchanges"][0]["response"]["text"].as_str().unwrap();
        assert_eq!(body, samples::HOSTILE);
    }

    #[test]
    fn looks_like_this() {
        insta::with_settings!({ snapshot_path => "../../snapshots", prepend_module_to_snapshot => false }, {
            insta::assert_snapshot!("report.json", render(&samples::mixed()));
        });
    }
}
