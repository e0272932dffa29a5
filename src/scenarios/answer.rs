//! What a check can say about an answer to one of the operations.

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::limits::Limit;
use super::own_bindings::without_own_bindings;
use super::{Ctx, Finding, Stop};
use crate::client::{Exchange, GrpcStatus};
use crate::wire::proto::Code;
use crate::wire::{self, MessageKind, Operation};

/// What a record calls a request that is none of the operations.
pub const NO_OPERATION: &str = "request";

/// An answer, in the hands of a check.
#[derive(Clone)]
pub struct Answer<'c> {
    pub(super) cx: &'c Ctx,
    /// The limit of the deployment that it tells of. Such an answer shows nothing broken.
    pub(super) limit: Option<Box<Limit>>,
    /// The record.
    pub exchange: Arc<Exchange>,
    /// What was asked; `None` for a request that is no operation.
    pub operation: Option<Operation>,
    /// Status code; of a gRPC call, the HTTP status that says the same.
    pub status: u16,
    /// How the call ended, where it was one of gRPC.
    pub grpc: Option<Box<GrpcStatus>>,
    /// Headers.
    pub headers: HeaderMap,
    /// Body.
    pub body: Bytes,
}

impl Answer<'_> {
    /// 2xx.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// 4xx. Over gRPC, every call that isn't OK was refused, unless the server says that it can't: a handler that throws at what it
    /// can't use answers UNKNOWN or INTERNAL by itself. That it should find a better word is the business of `grpc/malformed-calls`.
    pub fn is_refusal(&self) -> bool {
        let thrown = self.grpc.as_ref().is_some_and(|grpc| matches!(grpc.code, Code::UNKNOWN | Code::INTERNAL));
        (400..500).contains(&self.status) || thrown
    }

    /// The rule is broken, and this answer shows it.
    pub fn violation(&self, expected: impl Into<String>, observed: impl Into<String>) -> Stop {
        self.limited().unwrap_or_else(|| Stop::Violation(Box::new(self.finding(expected, observed))))
    }

    /// As [`Self::violation`], where the check has found out that no limit of the deployment is the reason, or is about the limit itself.
    pub fn broken_by_no_limit(&self, expected: impl Into<String>, observed: impl Into<String>) -> Stop {
        Stop::Violation(Box::new(self.finding(expected, observed)))
    }

    /// Why there is nothing to judge, if the answer tells of a limit of the deployment; the run keeps note of it.
    pub(super) fn limited(&self) -> Option<Stop> {
        let limit = self.limit.as_ref()?;
        if !limit.ends_the_check() {
            self.cx.world.manners.limits.met(limit);
        }
        Some(limit.stop())
    }

    /// A finding that points to this answer.
    pub fn finding(&self, expected: impl Into<String>, observed: impl Into<String>) -> Finding {
        Finding {
            expected: expected.into(),
            observed: observed.into(),
            exchange: Some(self.exchange.clone()),
            evidence: Vec::new(),
        }
    }

    /// Holds the answer to a condition.
    ///
    /// # Errors
    /// [`Stop::Violation`] when it doesn't hold.
    pub fn must(&self, holds: bool, expected: &str, observed: impl FnOnce() -> String) -> Result<(), Stop> {
        if holds { Ok(()) } else { Err(self.violation(expected, observed())) }
    }

    /// Notes a warning unless a condition holds.
    pub fn should(&self, holds: bool, expected: &str, observed: impl FnOnce() -> String) {
        if !holds && self.limited().is_none() {
            self.cx.warn(self.finding(expected, observed()));
        }
    }

    /// How the answer looks in a sentence.
    pub fn summary(&self) -> String {
        match self.grpc.as_deref() {
            None => format!("status {}", self.status),
            // Some servers say OK in words as well.
            Some(GrpcStatus { code, message }) if message.is_empty() || *code == Code::OK => format!("status {code}"),
            Some(GrpcStatus { code, message }) => {
                format!("status {code}: {}", message.chars().take(200).collect::<String>())
            }
        }
    }

    /// The message of a 2xx answer; `what` completes "expected … to be accepted".
    ///
    /// # Errors
    /// [`Stop::Violation`] when the answer isn't 2xx or isn't the message.
    pub fn accepted<T: DeserializeOwned>(&self, what: &str) -> Result<T, Stop> {
        if !self.is_success() {
            return Err(self.violation(format!("{what} is accepted with a 2xx answer"), self.summary()));
        }
        // That it is 200 rather than another 2xx is one check's business (`status/usual-codes`).
        self.message()
    }

    /// The message in the body, whatever the status; members that the schema doesn't know are left out (the schema checks report them).
    ///
    /// # Errors
    /// [`Stop::Violation`] when the body isn't the message.
    pub fn message<T: DeserializeOwned>(&self) -> Result<T, Stop> {
        let kind = self.operation.map(Operation::answer_kind);
        let named = kind.map_or("JSON", MessageKind::name);
        let mut value = self.json().map_err(|reason| self.violation(format!("the body is a {named}"), reason))?;
        if let Some(kind) = kind {
            wire::prune(kind, &mut value);
        }
        if let Some(keys) = self.cx.world.manners.binds_by.get() {
            without_own_bindings(&mut value, keys);
        }
        T::deserialize(value).map_err(|error| self.violation(format!("the body is a {named}"), format!("{error}")))
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// In words, why it isn't JSON (or more of it than any answer of the protocol needs).
    pub fn json(&self) -> Result<Value, String> {
        parse_json(&self.body)
    }

    /// The request was refused with a 4xx. Which one it has to be is the business of `status/*`; `usual` is what a reader is told.
    ///
    /// # Errors
    /// [`Stop::Violation`] for any other answer than a 4xx.
    pub fn refused(&self, what: &str, usual: &[u16]) -> Result<(), Stop> {
        if !self.is_refusal() {
            let usually = usual.iter().map(|status| self.in_words(*status)).collect::<Vec<_>>().join(" or ");
            let how = if self.grpc.is_some() { "" } else { " with a 4xx" };
            return Err(self.violation(format!("{what} is refused{how} (usually {usually})"), self.summary()));
        }
        Ok(())
    }

    /// As [`Self::refused`], for refusals that have no usual code: any 4xx will do.
    ///
    /// # Errors
    /// [`Stop::Violation`] for any other answer than a 4xx.
    pub fn refused_somehow(&self, what: &str) -> Result<(), Stop> {
        if self.is_refusal() {
            return Ok(());
        }
        let how = if self.grpc.is_some() { "" } else { " with a 4xx" };
        Err(self.violation(format!("{what} is refused{how}"), self.summary()))
    }

    /// A status in the words of the profile.
    fn in_words(&self, status: u16) -> String {
        if self.grpc.is_some() { Code::of_http(status).to_string() } else { status.to_string() }
    }
}

/// What came of a request that no client may send.
pub enum Provoked<'c> {
    /// An answer.
    Answer(Answer<'c>),
    /// No whole answer, as when a handler dies: an error like any other; the checks of bad input report it.
    Closed,
    /// Nothing was sent: what is wrong can't be said over gRPC.
    Unsayable,
    /// Nothing, for as long as the suite waits. It has been warned of; there is no point in asking the like again.
    Silence,
}

impl Provoked<'_> {
    /// A clean refusal, or no answer at all, which other checks report.
    ///
    /// # Errors
    /// [`Stop::Violation`] for any answer but a 4xx.
    pub fn refused_somehow(&self, what: &str) -> Result<(), Stop> {
        match self {
            Self::Answer(answer) => answer.refused_somehow(what),
            Self::Closed | Self::Unsayable | Self::Silence => Ok(()),
        }
    }
}

/// The most JSON values that an answer may have: far more than a roster of ten thousand members.
const MAX_VALUES: usize = 250_000;

/// Parses a body, but not one that would take hundreds of megabytes as a tree.
pub(super) fn parse_json(body: &[u8]) -> Result<Value, String> {
    if body.len() > 64 * 1024 {
        let values = body.iter().filter(|byte| matches!(byte, b',' | b'[' | b'{')).count();
        if values > MAX_VALUES {
            return Err(format!("a body of some {values} JSON values isn't read"));
        }
    }
    serde_json::from_slice(body).map_err(|error| {
        if body.is_empty() { "the body is empty".into() } else { format!("the body isn't JSON: {error}") }
    })
}
