//! Histories of concurrent operations, and whether any order of them explains all answers (linearizability).
//!
//! ```text
//! format              a history as JSON lines (schema/history.schema.json)
//! check               is there an order? repository by repository
//! events              starts and ends of operations in their order
//! configuration       what a repository may be like at a moment
//! configurations      the search: all that it may be like, moment by moment
//! describe            operations in words
//! unknown_outcome     which operations of unknown outcome can matter at all
//! pending_additions   ... and additions of unknown outcome, which can matter at any time
//! counterexample      if there is no order: the shortest part that shows it
//! timeline            ... as a picture
//! overview            what met whom, where there is nothing to complain about
//! record              recording what a check does
//! simulate            histories of a store that does everything right
//! ```
//!
//! A history is linearizable if every operation can be given a moment between its start and its end so that the model
//! ([`crate::model`]), asked in the order of these moments, allows every answer. An operation of unknown outcome (no answer came) may
//! have taken effect at any moment after its start, or never.

mod check;
mod configuration;
mod configurations;
mod counterexample;
pub mod describe;
mod events;
mod format;
mod overview;
mod pending_additions;
#[cfg(feature = "program")]
pub mod simulate;
#[cfg(test)]
mod tests;
mod timeline;
mod unknown_outcome;

use crate::model::{Action, Invocation, Response, Symbol, Symbols};

pub use check::{Linearizability, check};
pub use counterexample::{Counterexample, Explanation};
pub use format::{HistoryError, read, write};
pub use overview::overview;
pub use timeline::{FIGURE_STYLE, figure, html};

/// One operation of a history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryOp {
    /// Who sent it: a number for each sequential client. One client's operations don't overlap, save those of unknown outcome.
    pub client: u32,
    /// The repository that it is about.
    pub repo: Symbol,
    /// Caller and operation.
    pub invocation: Invocation,
    /// When it was sent, in nanoseconds since any moment.
    pub start: u64,
    /// What came of it; `None` when that is unknown.
    pub result: Option<Done>,
}

/// A known outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    /// When the answer was there, in the same nanoseconds; never before the start.
    pub end: u64,
    /// The answer; never [`Response::Broken`], after which nobody knows what has happened.
    pub answer: Response,
}

/// A whole history.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// What the symbols of the operations stand for.
    pub symbols: Symbols,
    /// The operations, in any order.
    pub ops: Vec<HistoryOp>,
}

impl HistoryOp {
    /// Whether it can't change anything, by its nature or by its known answer.
    fn is_read(&self) -> bool {
        matches!(self.invocation.action, Action::Pull { .. } | Action::FetchMemberKey { .. })
            || matches!(
                self.answer(),
                Some(
                    Response::Refused(_)
                        | Response::Push { accepted: false, .. }
                        | Response::Pull { .. }
                        | Response::Entry(_)
                )
            )
    }

    /// The known answer.
    fn answer(&self) -> Option<&Response> {
        self.result.as_ref().map(|done| &done.answer)
    }

    /// The payload version that its answer says is the current one, for answers that say so.
    fn version_seen(&self) -> Option<i64> {
        match self.answer()? {
            Response::Manifest(manifest) | Response::Pull { manifest, .. } => Some(manifest.version),
            Response::Push { version, .. } => Some(*version),
            Response::Entry(_) | Response::Refused(_) | Response::Broken(_) => None,
        }
    }

    /// The payload version that it brings if it takes effect; `None` for what doesn't raise it.
    fn version_written(&self) -> Option<i64> {
        match &self.invocation.action {
            Action::Push { envelope, .. } | Action::RemoveMember { envelope, .. } => Some(envelope.version),
            Action::CreateRepo { .. }
            | Action::Pull { .. }
            | Action::AddMember { .. }
            | Action::FetchMemberKey { .. } => None,
        }
    }
}
