//! Judging clients: an instrumented vault, bent in one way in each run of the client, and rules over what it has seen.
//!
//! [`judge()`] runs the client once for every bend that the chosen checks need (see [`Bend`]), side by side, each with a vault of
//! its own, and then asks each check what the recorded requests, exit statuses and outputs say. A client is never blamed for what
//! its program doesn't do: such a check is skipped and says what would exercise it.

mod bends;
mod checks;
mod driver;
mod evidence;
mod gather;
mod judge;
mod listen;
mod rules;
mod run;
mod scenes;
mod subject;
pub mod vault;

pub use checks::{ClientCheck, all};
pub use judge::judge;
pub use listen::listen;
pub use subject::{Subject, shows_pattern};
pub use vault::Bend;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use crate::requirements::Revision;
use crate::runner::Rerun;

/// Everything that a run needs to know.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// What is judged.
    pub subject: Subject,
    /// What the program's output shows when it has read a repository.
    pub shows: Option<regex::Regex>,
    /// Bound on one run of the program.
    pub timeout: Duration,
    /// Bound on everything.
    pub deadline: Duration,
    /// Runs at once.
    pub jobs: usize,
    /// Globs on check ids or sections; empty means all.
    pub only: Vec<globset::Glob>,
    /// Globs on what to leave out.
    pub skip: Vec<globset::Glob>,
    /// Warnings fail.
    pub strict: bool,
    /// Run the checks that wait.
    pub slow: bool,
    /// Revision to judge by.
    pub spec: Revision,
    /// Seed of the run's choices.
    pub seed: u64,
    /// Failures that are known.
    pub known: Option<crate::runner::Known>,
    /// How reports name the client.
    pub target_name: String,
    /// The command line that judges again.
    pub rerun: Rerun,
    /// How many runs there are to be, and how many there were.
    pub progress: Arc<ClientProgress>,
}

/// How far the runs of a client are, for whoever waits.
#[derive(Debug, Default)]
pub struct ClientProgress {
    /// Runs that are over.
    pub done: AtomicU64,
    /// Runs that there will be.
    pub total: AtomicU64,
}

/// Whether the selection leaves no check.
pub fn leaves_nothing(config: &ClientConfig) -> bool {
    judge::select(config).0.is_empty()
}
