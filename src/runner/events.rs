//! What happens in a run, as a stream of events. Reports are folds over it and never see a check.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Rerun, Shard};
use crate::client::Exchange;
use crate::requirements::Revision;
use crate::scenarios::{CheckInfo, Finding, Omission, Status};

/// How a check ended.
#[derive(Debug)]
pub struct CheckResult {
    /// Which check.
    pub check: &'static CheckInfo,
    /// How it ended.
    pub status: Status,
    /// Why there is no verdict; only with [`Status::Skip`].
    pub omission: Option<Omission>,
    /// One line: the first finding, the reason of a skip or error, or a remark on a pass (may be empty).
    pub message: String,
    /// What is wrong; the first decides the message. Failures before warnings.
    pub findings: Vec<Finding>,
    /// The last exchanges of the check, oldest first; empty for a pass.
    pub exchanges: Vec<Arc<Exchange>>,
    /// Time from start to end of the check.
    pub duration: Duration,
}

impl CheckResult {
    /// A check that wasn't run.
    pub fn left_out(check: &'static CheckInfo, omission: Omission, reason: &str) -> Self {
        Self {
            check,
            status: Status::Skip,
            omission: Some(omission),
            message: reason.to_owned(),
            findings: Vec::new(),
            exchanges: Vec::new(),
            duration: Duration::ZERO,
        }
    }
}

/// What is known before the first check.
#[derive(Debug, Clone)]
pub struct RunInfo {
    /// Version of this program.
    pub version: &'static str,
    /// Revision that the run judges by.
    pub spec: Revision,
    /// The target as given, without credentials.
    pub target: String,
    /// The command line that judges again.
    pub rerun: Rerun,
    /// Seed of the run's choices.
    pub seed: u64,
    /// Start, epoch milliseconds.
    pub started_ms: i64,
    /// How many checks will run (those left out aren't counted).
    pub planned: usize,
    /// Checks at once.
    pub jobs: usize,
    /// Whether warnings fail.
    pub strict: bool,
    /// Which part of a run it is; `None` for a whole one.
    pub shard: Option<Shard>,
}

/// The judgement on the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Every MUST check that applies ran, and none failed.
    Conformant,
    /// A MUST check failed.
    NotConformant,
    /// MUST checks failed, and all of them are known to.
    NotConformantAsKnown,
    /// None failed, but a MUST check was left out or could not be judged.
    Incomplete,
    /// The target could not be judged at all.
    NotJudged,
}

impl Verdict {
    /// The words used in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Conformant => "conformant",
            Self::NotConformant => "not-conformant",
            Self::NotConformantAsKnown => "not-conformant-as-known",
            Self::Incomplete => "incomplete",
            Self::NotJudged => "not-judged",
        }
    }
}

/// Number of checks by status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "the names are those of Status")]
pub struct Summary {
    pub pass: usize,
    pub fail: usize,
    pub warn: usize,
    pub skip: usize,
    pub error: usize,
}

impl Summary {
    /// Counts one more result.
    pub fn count(&mut self, status: Status) {
        match status {
            Status::Pass => self.pass += 1,
            Status::Fail => self.fail += 1,
            Status::Warn => self.warn += 1,
            Status::Skip => self.skip += 1,
            Status::Error => self.error += 1,
        }
    }
}

/// How a run ended.
#[derive(Clone, Debug)]
pub struct RunEnd {
    /// The judgement.
    pub verdict: Verdict,
    /// One sentence that explains a verdict other than conformant (empty otherwise).
    pub reason: String,
    /// What to try next, for a target that couldn't be judged (may be empty).
    pub advice: String,
    /// Number of checks by status.
    pub summary: Summary,
    /// Requests sent.
    pub requests: u64,
    /// Wall time of the run.
    pub duration: Duration,
    /// Whether Ctrl-C ended it.
    pub interrupted: bool,
    /// Exit status: 0 nothing failed, 1 a MUST failed (or a warning under `--strict`), 3 not judged, 130 interrupted.
    pub exit_code: u8,
    /// Failures that are known, by check: where that is said, and why.
    pub known: BTreeMap<&'static str, String>,
    /// What is wrong with the file of known failures, one sentence a line: each fails the run.
    pub stale: Vec<String>,
    /// What the servers have used that the suite has started, where the system says.
    pub hosted: Option<Hosted>,
}

/// What servers have used.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Hosted {
    /// The most memory at once, in bytes.
    pub peak_memory_bytes: u64,
    /// Processor time, in milliseconds.
    pub cpu_ms: u64,
    /// How often one was started again because it had died.
    pub deaths: u32,
}

/// What happens in a run. Cheap to clone: what is large is shared.
#[derive(Clone, Debug)]
pub enum Event {
    /// Always first.
    RunStarted(Arc<RunInfo>),
    /// A remark about the target that is no verdict on it, e.g. that it closes every connection.
    Note(String),
    /// What the run waits for, as long as it does; empty when it goes on.
    Waiting(String),
    /// A check begins.
    CheckStarted(&'static CheckInfo),
    /// A check has ended, or was left out (status skip).
    CheckFinished(Arc<CheckResult>),
    /// An exchange took place (only sent when tracing); the id is the check's, or `preflight`.
    Exchange(&'static str, Arc<Exchange>),
    /// Always last.
    RunFinished(Arc<RunEnd>),
}

impl Event {
    /// The result, where a check has ended.
    pub fn result(self) -> Option<Arc<CheckResult>> {
        if let Self::CheckFinished(result) = self { Some(result) } else { None }
    }
}
