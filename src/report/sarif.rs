//! The run as SARIF 2.1.0, for code scanning: a rule for each check that found something, a result for each.

use serde_json::{Value, json};

use super::explain::one_line;
use super::run::Run;
use super::text::{clean, rfc3339, sentence};
use crate::requirements::{Level, reasons};
use crate::runner::{CheckResult, Status};

/// Where the schema of the format is published; GitHub wants it named.
const SCHEMA: &str = "https://json.schemastore.org/sarif-2.1.0.json";
/// Findings that a message names.
const FINDINGS: usize = 4;

/// The report, indented.
pub(super) fn render(run: &Run) -> String {
    let found: Vec<&CheckResult> = run
        .results
        .iter()
        .map(AsRef::as_ref)
        .filter(|result| matches!(result.status, Status::Fail | Status::Warn))
        .collect();
    let rules: Vec<Value> = found.iter().map(|result| rule(result)).collect();
    let results: Vec<Value> = found.iter().enumerate().map(|(index, found)| result(run, found, index)).collect();
    let log = json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": env!("CARGO_PKG_NAME"),
                "version": run.info.version,
                "semanticVersion": run.info.version,
                "rules": rules,
            }},
            "invocations": [invocation(run)],
            "automationDetails": { "id": format!("avp-conform/{}/", run.info.spec) },
            "columnKind": "unicodeCodePoints",
            "results": results,
            "properties": {
                "target": clean(&run.info.target),
                "verdict": run.end.verdict.name(),
                "seed": run.info.seed.to_string(),
            },
        }],
    });
    format!("{log:#}\n")
}

/// How the suite itself fared: what it couldn't tell is no result about the server.
fn invocation(run: &Run) -> Value {
    let mut notes: Vec<Value> = run
        .with(Status::Error)
        .into_iter()
        .map(|result| notification("warning", &format!("{}: {}", result.check.id, one_line(result))))
        .collect();
    notes.extend(run.notes.iter().map(|note| notification("note", note)));
    let broken = run.fails_by_itself();
    if broken {
        let words = [&run.end.reason, &run.end.advice];
        let words = words.into_iter().filter(|text| !text.is_empty()).map(|text| sentence(text));
        notes.insert(0, notification("error", &words.collect::<Vec<_>>().join(" ")));
    }
    let end = i64::try_from(run.end.duration.as_millis()).unwrap_or(i64::MAX);
    json!({
        "executionSuccessful": !broken,
        "exitCode": run.end.exit_code,
        "startTimeUtc": rfc3339(run.info.started_ms),
        "endTimeUtc": rfc3339(run.info.started_ms.saturating_add(end)),
        "toolExecutionNotifications": notes,
    })
}

fn notification(level: &str, text: &str) -> Value {
    json!({ "level": level, "message": { "text": clean(text) } })
}

fn rule(result: &CheckResult) -> Value {
    let check = result.check;
    let rules: Vec<String> =
        check.requirements.iter().map(|rule| format!("{} ({}, {})", rule.text, rule.id, rule.section)).collect();
    let mut help = rules.join("\n");
    if let Some(reason) = reasons::usual(check.id, check.requirements) {
        help = format!("{help}\nOften: {reason}.");
    }
    let level = if check.level == Level::Must { "error" } else { "warning" };
    json!({
        "id": check.id,
        "shortDescription": { "text": check.title },
        "fullDescription": { "text": check.requirements[0].text },
        "help": { "text": format!("{help}\nMore: avp-conform explain {}", check.id) },
        "defaultConfiguration": { "level": level },
        "properties": {
            "tags": [check.section, check.level.name()],
            "problem.severity": level,
            "precision": "high",
        },
    })
}

fn result(run: &Run, found: &CheckResult, index: usize) -> Value {
    let check = found.check;
    let level = if run.is_problem(found.status) { "error" } else { "warning" };
    let mut result = json!({
        "ruleId": check.id,
        "ruleIndex": index,
        "level": level,
        "kind": "fail",
        "message": { "text": message(run, found) },
        // A black box has no source: a line of the specification's section stands for it, which code scanning demands.
        "locations": [{
            "physicalLocation": {
                "artifactLocation": { "uri": format!("avp-{}/section-{}", run.info.spec, &check.section['§'.len_utf8()..]) },
                "region": { "startLine": 1 },
            },
            "logicalLocations": [{ "fullyQualifiedName": check.id, "kind": "module" }],
        }],
        "partialFingerprints": { "avpCheck/v1": check.id },
    });
    if let Some(known) = run.end.known.get(check.id) {
        result["suppressions"] = json!([{ "kind": "external", "justification": clean(known) }]);
    }
    if let Some(cause) = run.causes.followed_by(check.id) {
        result["properties"] = json!({ "followsFrom": cause.check });
    }
    result
}

fn message(run: &Run, found: &CheckResult) -> String {
    let mut text = match run.causes.followed_by(found.check.id) {
        Some(cause) => format!("Follows from {}. {}", cause.check, found.check.title),
        None => found.check.title.to_owned(),
    };
    for finding in found.findings.iter().take(FINDINGS) {
        text = format!("{text}\nExpected: {}\nObserved: {}", clean(&finding.expected), clean(&finding.observed));
    }
    if found.findings.is_empty() {
        text = format!("{text}\nObserved: {}", one_line(found));
    }
    if found.findings.len() > FINDINGS {
        text = format!("{text}\n… and {} more findings.", found.findings.len() - FINDINGS);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;

    /// The published schema has a licence that keeps it out of here; this is what it demands of the parts that are used, and
    /// what code scanning demands on top.
    fn check(log: &Value) {
        assert_eq!((&log["version"], &log["$schema"]), (&json!("2.1.0"), &json!(SCHEMA)));
        let run = &log["runs"][0];
        let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
        let ids: Vec<_> = rules.iter().map(|rule| rule["id"].as_str().unwrap()).collect();
        let mut unique = ids.clone();
        unique.dedup();
        assert_eq!(unique, ids);
        for rule in rules {
            assert!(rule["shortDescription"]["text"].is_string() && rule["help"]["text"].is_string());
        }
        for result in run["results"].as_array().unwrap() {
            let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
            assert_eq!(result["ruleId"], ids[index]);
            assert!(["error", "warning", "note", "none"].contains(&result["level"].as_str().unwrap()));
            assert!(!result["message"]["text"].as_str().unwrap().is_empty());
            let place = &result["locations"][0]["physicalLocation"];
            let uri = place["artifactLocation"]["uri"].as_str().unwrap();
            assert!(uri.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-./".contains(&byte)), "{uri}");
            assert!(place["region"]["startLine"].as_u64() >= Some(1));
        }
        assert!(run["invocations"][0]["executionSuccessful"].is_boolean());
    }

    #[test]
    fn the_log_is_what_code_scanning_takes() {
        for run in [samples::mixed(), samples::conformant(), samples::not_judged(), samples::hostile(), samples::many()]
        {
            check(&serde_json::from_str(&render(&run)).unwrap());
        }
        let log: Value = serde_json::from_str(&render(&samples::mixed())).unwrap();
        assert_eq!(log["runs"][0]["results"].as_array().unwrap().len(), 4);
        let log: Value = serde_json::from_str(&render(&samples::not_judged())).unwrap();
        assert_eq!(log["runs"][0]["invocations"][0]["executionSuccessful"], false);
    }

    #[test]
    fn hostile_text_is_harmless() {
        let text = render(&samples::hostile());
        assert!(!text.chars().any(|c| c != '\n' && super::super::text::is_unsafe(c)));
    }

    #[test]
    fn looks_like_this() {
        insta::with_settings!({ snapshot_path => "../../snapshots", prepend_module_to_snapshot => false }, {
            insta::assert_snapshot!("report.sarif", render(&samples::mixed()));
        });
    }
}
