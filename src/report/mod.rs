//! Reports: each one is a fold over the events of a run and never sees a check.
//!
//! [`Recorder`] folds the whole stream into a [`Run`], from which [`Format::render`] makes a file (JSON, JUnit, Markdown, …)
//! and [`human::summary`] the last words on a terminal. [`human::Live`] shows events as they come, and [`Redactor`] stands
//! before all of them, so that credentials of a deployment which a server echoes reach none.

mod badge;
mod compare;
mod explain;
mod file;
mod format;
mod github;
pub mod grpcurl;
mod har;
mod html;
pub mod human;
mod json;
mod junit;
mod markdown;
mod matrix;
mod redact;
mod run;
mod sarif;
mod saved;
pub mod shell;
mod state;
pub mod style;
mod tap;
pub mod text;

#[cfg(test)]
mod samples;

pub use compare::{Difference, compare};
pub use file::{Destination, ReportError, ReportSpec};
pub use format::Format;
pub use json::SCHEMA_JSON;
pub use markdown::step_summary;
pub use matrix::Matrix;
pub use redact::Redactor;
pub use run::{Drawn, Recorder, Run, Traced};
pub use saved::{Saved, SavedError};
