//! Runs the checks: selection, scheduling, time limits; turns them into a stream of events.

mod config;
mod events;

pub use config::{Header, RunConfig, Target};
pub use events::{CheckInfo, CheckResult, Event, Finding, RunEnd, RunInfo, Status, Summary, Verdict};
