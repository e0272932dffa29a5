//! What the server keeps, as far as it is at hand, and what came of searching it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OnceCell;

use crate::scan::{self, Secret, Source};

/// What the server keeps, as far as it is at hand, and what came of searching it.
#[derive(Default)]
pub struct Storage {
    pub(super) sources: Vec<Source>,
    pub(super) save: Option<PathBuf>,
    pub(super) limit: Duration,
    pub(super) evidence: OnceCell<Result<Arc<Evidence>, Missing>>,
}

impl Storage {
    /// What to search, where to write what was looked for, and a bound on the search.
    pub fn new(sources: Vec<Source>, save: Option<PathBuf>, limit: Duration) -> Self {
        Self { sources, save, limit, evidence: OnceCell::new() }
    }
}

/// Why there is nothing to judge.
#[derive(Clone)]
pub(super) enum Missing {
    /// Nobody asked for it.
    Unasked(String),
    /// Something of ours failed.
    Failed(String),
}

/// What was searched, for what, and what was found.
#[derive(Debug)]
pub struct Evidence {
    /// What was looked for; positions are tags.
    pub secrets: Vec<Secret>,
    /// Where.
    pub sources: Vec<Source>,
    /// What was found.
    pub outcome: scan::ScanOutcome,
}
