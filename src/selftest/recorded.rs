//! Runs of faulty servers, kept as JSON reports, and read back: so that an idea about causes is tried on all of them in a second.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;

use crate::client::{Exchange, RecordedBody};
use crate::runner::{CheckResult, Finding, Status};
use crate::scenarios;
use crate::wire::Operation;

#[derive(Deserialize)]
struct RecordedReport {
    checks: Vec<RecordedCheck>,
}

#[derive(Deserialize)]
struct RecordedCheck {
    id: String,
    status: String,
    message: String,
    findings: Vec<RecordedFinding>,
    exchanges: Vec<RecordedExchange>,
}

#[derive(Deserialize)]
struct RecordedFinding {
    expected: String,
    observed: String,
    exchange: Option<usize>,
    #[serde(default)]
    evidence: Vec<usize>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RecordedExchange {
    operation: String,
    method: String,
    path: String,
    authorization: Option<String>,
    request: Body,
    status: Option<u16>,
    content_type: Option<String>,
    response: Body,
    error: Option<String>,
}

#[derive(Deserialize)]
struct Body {
    text: String,
    length: usize,
}

/// The results in a report file. A check that isn't in the catalogue any more is left out, and so is whatever was skipped.
///
/// # Errors
/// In words, when the file can't be read or isn't a report.
pub(super) fn read(path: &Path) -> Result<Vec<Arc<CheckResult>>, String> {
    let named = |reason: String| format!("{}: {reason}", path.display());
    let text = std::fs::read_to_string(path).map_err(|error| named(error.to_string()))?;
    let report: RecordedReport =
        serde_json::from_str(&text).map_err(|error| named(format!("isn't a report: {error}")))?;
    Ok(report.checks.into_iter().filter_map(result).map(Arc::new).collect())
}

fn result(check: RecordedCheck) -> Option<CheckResult> {
    let info = &scenarios::all().find(|known| known.info.id == check.id)?.info;
    let statuses = [Status::Pass, Status::Fail, Status::Warn, Status::Error];
    let status = statuses.into_iter().find(|status| status.name() == check.status)?;
    let exchanges: Vec<_> = check.exchanges.into_iter().map(|exchange| Arc::new(recorded(exchange))).collect();
    let finding = |found: RecordedFinding| Finding {
        expected: found.expected,
        observed: found.observed,
        exchange: found.exchange.and_then(|place| exchanges.get(place).cloned()),
        evidence: found.evidence.iter().filter_map(|place| exchanges.get(*place).cloned()).collect(),
    };
    let findings = check.findings.into_iter().map(finding).collect();
    Some(CheckResult {
        check: info,
        status,
        omission: None,
        message: check.message,
        findings,
        exchanges,
        duration: Duration::ZERO,
    })
}

fn recorded(exchange: RecordedExchange) -> Exchange {
    let of = |body: Body| RecordedBody { text: body.text.into(), length: body.length };
    let operations = Operation::VAULT.into_iter().chain([Operation::Challenge, Operation::Token, Operation::Discovery]);
    Exchange {
        operation: operations
            .map(Operation::name)
            .find(|name| *name == exchange.operation)
            .unwrap_or(scenarios::NO_OPERATION),
        method: exchange.method,
        path: exchange.path,
        authorization: exchange.authorization,
        request: of(exchange.request),
        status: exchange.status,
        grpc: None,
        content_type: exchange.content_type,
        response: of(exchange.response),
        error: exchange.error,
        duration: Duration::ZERO,
    }
}
