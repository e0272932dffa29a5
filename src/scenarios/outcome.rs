//! How a check ends.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::client::Exchange;

/// Result of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// The rule holds as far as was tried.
    Pass,
    /// A MUST is broken.
    Fail,
    /// A SHOULD or a hardening is missed.
    Warn,
    /// Not tried; the message says why.
    Skip,
    /// The suite could not tell; the message says why.
    Error,
}

impl Status {
    /// The word used in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Warn => "warn",
            Self::Skip => "skip",
            Self::Error => "error",
        }
    }
}

/// Why a check came to no verdict. Only what does not apply leaves a run conformant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Omission {
    /// By options, or because the run ended before its turn.
    LeftOut,
    /// The server hasn't, or needn't have, what it is about: no discovery, opaque tokens, a limit of the deployment.
    NotApplicable,
    /// It was tried, and what came of it tells nothing about the rule.
    NotJudged,
}

impl Omission {
    /// The words used in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::LeftOut => "left out",
            Self::NotApplicable => "does not apply here",
            Self::NotJudged => "could not be judged",
        }
    }
}

/// One broken rule: what was expected, what was observed, and the exchange that shows it.
#[derive(Clone, Debug)]
pub struct Finding {
    /// What the specification makes one expect.
    pub expected: String,
    /// What happened instead.
    pub observed: String,
    /// The request that did it and its answer; `None` where no single exchange shows it.
    pub exchange: Option<Arc<Exchange>>,
    /// Further exchanges that the sentence needs, in their order: the pull that shows what a request has changed.
    pub evidence: Vec<Arc<Exchange>>,
}

impl Finding {
    /// What one exchange shows.
    pub fn shown(expected: impl Into<String>, observed: impl Into<String>, exchange: Arc<Exchange>) -> Self {
        let (expected, observed) = (expected.into(), observed.into());
        Self { expected, observed, exchange: Some(exchange), evidence: Vec::new() }
    }
}

/// Why a check ends before its last line.
#[derive(Debug)]
pub enum Stop {
    /// The rule is broken.
    Violation(Box<Finding>),
    /// The rule isn't tried, or nothing came of it, and that is nobody's fault.
    Skip(Omission, String),
    /// The suite can't tell: what it needed to set the check up didn't work.
    SetupFailed(Box<Finding>),
}

impl Stop {
    /// The server hasn't, or needn't have, what the check is about.
    pub fn not_applicable(reason: impl Into<String>) -> Self {
        Self::Skip(Omission::NotApplicable, reason.into())
    }

    /// The check was tried, and tells nothing about its rule.
    pub fn not_judged(reason: impl Into<String>) -> Self {
        Self::Skip(Omission::NotJudged, reason.into())
    }
}

/// What a check returns; warnings are noted on the [`Ctx`](super::Ctx).
pub type Outcome = Result<(), Stop>;
