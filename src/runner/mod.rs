//! Runs the checks: selection, scheduling, time limits; turns them into a stream of events.

mod config;
mod events;

pub use crate::client::Header;
pub use crate::scenarios::{CheckInfo, Finding, Status};
pub use config::{RunConfig, Target};
pub use events::{CheckResult, Event, RunEnd, RunInfo, Summary, Verdict};
