//! What came of the crashes.

use std::sync::Arc;

use tokio::sync::OnceCell;

use crate::scenarios::{Finding, Omission, Stop};

/// What a crash can break.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Broken {
    Acknowledged,
    Whole,
    Versions,
    Nonces,
    Members,
    History,
}

/// What came of all crashes.
#[derive(Debug, Default)]
pub struct Evidence {
    pub(super) rounds: u32,
    /// Writes that were acknowledged, and writes that a crash met.
    pub(super) acknowledged: usize,
    pub(super) met: usize,
    /// Nonces that were tried again.
    pub(super) nonces: usize,
    pub(super) found: Vec<(Broken, Finding)>,
}

/// The crashes of a run, which take place once.
pub type Crashes = OnceCell<Result<Arc<Evidence>, Missing>>;

/// Why there is nothing to judge.
#[derive(Clone, Debug)]
pub enum Missing {
    /// The server keeps nothing, or can't be killed.
    NotApplicable(String),
    /// It was tried, and tells nothing.
    NotJudged(String),
    /// Something of ours failed.
    SetupFailed(Box<Finding>),
}

impl From<Stop> for Missing {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Skip(Omission::NotApplicable, reason) => Self::NotApplicable(reason),
            Stop::Skip(_, reason) => Self::NotJudged(reason),
            Stop::Violation(finding) | Stop::SetupFailed(finding) => Self::SetupFailed(finding),
        }
    }
}
