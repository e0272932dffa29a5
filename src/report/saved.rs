//! JSON reports of earlier runs, read back: to be compared, set side by side, merged, or written in another format.

use std::collections::{BTreeMap, HashMap};
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;

use super::run::Run;
use crate::causes;
use crate::client::{Exchange, Profile, RecordedBody, RecordedCall};
use crate::requirements::Revision;
use crate::runner::{CheckInfo, CheckResult, Finding, Omission, RunEnd, RunInfo, Shard, Status, Summary, Verdict};

/// The largest file that is read, in bytes; a report in which everything fails takes some ten mebibytes.
const LARGEST: u64 = 256 << 20;

/// Why a report can't be read.
#[derive(Debug, thiserror::Error)]
#[error("{file}: {what}")]
pub struct SavedError {
    /// The file as given.
    pub file: String,
    /// What is wrong with it.
    pub what: String,
}

/// A report as its file has it, as far as it is needed. Its texts are whatever the file says: hostile, perhaps.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Saved {
    /// The file as given.
    #[serde(skip)]
    pub file: String,
    tool: Tool,
    /// The revision that it was judged by.
    pub spec: String,
    /// What was judged.
    pub target: String,
    seed: String,
    started: String,
    duration_ms: f64,
    /// The verdict.
    pub verdict: Verdict,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    advice: String,
    exit_status: u8,
    interrupted: bool,
    strict: bool,
    requests: u64,
    #[serde(default)]
    stale_known: Vec<String>,
    notes: Vec<String>,
    shard: Option<String>,
    /// Every check.
    pub checks: Vec<SavedCheck>,
}

#[derive(Clone, Debug, Deserialize)]
struct Tool {
    name: String,
    version: String,
}

/// A check of a report.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SavedCheck {
    /// Its id.
    pub id: String,
    /// What it demands.
    pub title: String,
    /// Section of the specification.
    pub section: String,
    /// How it ended.
    pub status: Status,
    /// Why there is no verdict.
    pub omission: Option<Omission>,
    /// Why the failure is known, if it is.
    pub known: Option<String>,
    /// Ids of the rules that it proves.
    pub requirements: Vec<String>,
    /// One line on what happened.
    pub message: String,
    duration_ms: f64,
    findings: Vec<SavedFinding>,
    exchanges: Vec<SavedExchange>,
}

#[derive(Clone, Debug, Deserialize)]
struct SavedFinding {
    expected: String,
    observed: String,
    exchange: Option<usize>,
    #[serde(default)]
    evidence: Vec<usize>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct SavedExchange {
    operation: String,
    method: String,
    path: String,
    authorization: Option<String>,
    request: SavedBody,
    status: Option<u16>,
    grpc: Option<RecordedCall>,
    content_type: Option<String>,
    response: SavedBody,
    error: Option<String>,
    duration_ms: f64,
}

#[derive(Clone, Debug, Deserialize)]
struct SavedBody {
    text: String,
    length: usize,
}

impl Saved {
    /// Reads a report.
    ///
    /// # Errors
    /// The file can't be read, is too large, or is no JSON report.
    pub fn read(path: &Path) -> Result<Self, SavedError> {
        let file = path.display().to_string();
        let failed = |what: String| SavedError { file: file.clone(), what };
        let mut text = String::new();
        let opened = std::fs::File::open(path).map_err(|error| failed(error.to_string()))?;
        opened.take(LARGEST + 1).read_to_string(&mut text).map_err(|error| failed(error.to_string()))?;
        if text.len() as u64 > LARGEST {
            return Err(failed(format!("longer than {LARGEST} bytes; is it another file?")));
        }
        Self::parse(&file, &text)
    }

    /// Reads the text of a report.
    ///
    /// # Errors
    /// It is no JSON report.
    pub fn parse(file: &str, text: &str) -> Result<Self, SavedError> {
        let failed = |what: String| SavedError { file: file.to_owned(), what };
        let mut reader = serde_json::Deserializer::from_str(text);
        let mut saved: Self = serde_path_to_error::deserialize(&mut reader)
            .map_err(|error| failed(format!("no report as --report json writes it: {error}")))?;
        if saved.tool.name != env!("CARGO_PKG_NAME") {
            return Err(failed(format!("a report of {:?}, not of avp-conform", saved.tool.name)));
        }
        file.clone_into(&mut saved.file);
        Ok(saved)
    }

    /// Which part of a run it is; `None` for a whole one.
    ///
    /// # Errors
    /// The file says something that is no shard.
    pub fn shard(&self) -> Result<Option<Shard>, SavedError> {
        let parsed = self.shard.as_deref().map(str::parse).transpose();
        parsed.map_err(|what| SavedError { file: self.file.clone(), what })
    }

    /// Version of the program that wrote it.
    pub fn version(&self) -> &str {
        &self.tool.version
    }

    /// The report as a run, from which every format can be made.
    ///
    /// # Errors
    /// It names a check, a revision or a time that this version doesn't know.
    pub fn into_run(self) -> Result<Run, SavedError> {
        let failed = |what: String| SavedError { file: self.file.clone(), what };
        let spec = Revision::ALL.into_iter().find(|revision| revision.name() == self.spec);
        let spec = spec.ok_or_else(|| failed(format!("revision {:?} is unknown here", self.spec)))?;
        let started = self.started.parse::<jiff::Timestamp>();
        let started_ms = started.map_err(|error| failed(format!("started: {error}")))?.as_millisecond();
        let known_checks: HashMap<&str, &'static CheckInfo> = infos().map(|info| (info.id, info)).collect();
        let (mut results, mut known, mut summary) = (Vec::new(), BTreeMap::new(), Summary::default());
        for check in &self.checks {
            let info = *known_checks.get(check.id.as_str()).ok_or_else(|| {
                failed(format!("check {:?} is unknown to version {}", check.id, env!("CARGO_PKG_VERSION")))
            })?;
            summary.count(check.status);
            if let Some(said) = &check.known {
                known.insert(info.id, said.clone());
            }
            results.push(Arc::new(check.result(info)));
        }
        let info = RunInfo {
            version: env!("CARGO_PKG_VERSION"),
            spec,
            rerun: rerun(&self.target).into(),
            target: self.target.clone(),
            seed: self.seed.parse().map_err(|error| failed(format!("seed: {error}")))?,
            started_ms,
            planned: results.iter().filter(|result| result.status != Status::Skip).count(),
            jobs: 1,
            strict: self.strict,
            shard: self.shard()?,
        };
        let end = RunEnd {
            verdict: self.verdict,
            reason: self.reason.clone(),
            advice: self.advice.clone(),
            summary,
            requests: self.requests,
            duration: milliseconds(self.duration_ms),
            interrupted: self.interrupted,
            exit_code: self.exit_status,
            known,
            stale: self.stale_known.clone(),
            hosted: None,
        };
        let unknown = results.iter().filter(|result| !end.known.contains_key(result.check.id));
        let causes = causes::find(unknown.map(AsRef::as_ref));
        let (info, end) = (Arc::new(info), Arc::new(end));
        let (starts, traced, untraced) = Default::default();
        Ok(Run { info, notes: self.notes, results, causes, end, starts, traced, untraced, history: None })
    }
}

/// Every check that a report may name.
fn infos() -> impl Iterator<Item = &'static CheckInfo> {
    let clients = crate::client_scenarios::all().map(|check| &check.info);
    let over = [Profile::Http, Profile::Grpc].into_iter().flat_map(crate::scenarios::over);
    crate::scenarios::all().chain(over).map(|check| &check.info).chain(clients)
}

/// The options that name the target, as far as a report tells them.
fn rerun(target: &str) -> String {
    match target.strip_prefix("the built-in server") {
        None => format!("--server {}", super::shell::quote(target)),
        Some(rest) => {
            let fault =
                rest.strip_prefix(" with fault ").map(|fault| format!(" --fault {}", super::shell::quote(fault)));
            format!("--embedded{}", fault.unwrap_or_default())
        }
    }
}

fn milliseconds(number: f64) -> Duration {
    Duration::try_from_secs_f64(number / 1e3).unwrap_or_default()
}

impl SavedCheck {
    fn result(&self, check: &'static CheckInfo) -> CheckResult {
        let exchanges: Vec<Arc<Exchange>> =
            self.exchanges.iter().map(|exchange| Arc::new(exchange.exchange())).collect();
        let at = |place: &usize| exchanges.get(*place).cloned();
        let finding = |finding: &SavedFinding| Finding {
            expected: finding.expected.clone(),
            observed: finding.observed.clone(),
            exchange: finding.exchange.as_ref().and_then(at),
            evidence: finding.evidence.iter().filter_map(at).collect(),
        };
        CheckResult {
            check,
            status: self.status,
            omission: self.omission,
            message: self.message.clone(),
            findings: self.findings.iter().map(finding).collect(),
            duration: milliseconds(self.duration_ms),
            exchanges,
        }
    }
}

impl SavedExchange {
    fn exchange(&self) -> Exchange {
        let body = |body: &SavedBody| RecordedBody { text: body.text.as_str().into(), length: body.length };
        Exchange {
            operation: operation(&self.operation),
            method: self.method.clone(),
            path: self.path.clone(),
            authorization: self.authorization.clone(),
            request: body(&self.request),
            status: self.status,
            grpc: self.grpc.clone(),
            content_type: self.content_type.clone(),
            response: body(&self.response),
            error: self.error.clone(),
            duration: milliseconds(self.duration_ms),
        }
    }
}

/// The name of an operation; one that isn't the protocol's is only a label.
fn operation(name: &str) -> &'static str {
    const NAMES: [&str; 10] = [
        "challenge",
        "token",
        "createRepo",
        "pull",
        "push",
        "addMember",
        "removeMember",
        "fetchMemberKey",
        "discovery",
        "key set",
    ];
    NAMES.into_iter().find(|known| *known == name).unwrap_or("request")
}

#[cfg(test)]
mod tests {
    use super::super::Format;
    use super::super::samples;
    use super::*;

    #[test]
    fn what_is_no_report_is_told_with_its_place() {
        let said = |text: &str| Saved::parse("r.json", text).unwrap_err().to_string();
        assert!(said("{}").starts_with("r.json: no report as --report json writes it"), "{}", said("{}"));
        assert!(said("[").starts_with("r.json: "));
        let text = Format::Json.render(&samples::mixed());
        assert!(said(&text.replace("\"avp-conform\"", "\"other\"")).contains("not of avp-conform"));
        assert!(said(&text.replace("\"status\": \"fail\"", "\"status\": \"lost\"")).contains("checks["));
        // The samples' checks are made up.
        let error = Saved::parse("r.json", &text).unwrap().into_run().unwrap_err().to_string();
        assert!(error.contains("is unknown to version"), "{error}");
    }
}
