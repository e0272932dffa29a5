//! Connections that are kept for the next request, and which may be.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use http::Method;
use http::header::{CONNECTION, CONTENT_ENCODING, CONTENT_TYPE, EXPECT, TRANSFER_ENCODING};

use super::super::connection::Connection;
use super::super::grpc::GrpcConnection;
use super::super::message::{RawAnswer, RawRequest};
use crate::ground::lock;

/// How long a connection may have been idle to be used again. Servers close idle ones after seconds, or one; a request that
/// crosses that gets no answer, and nobody knows whether it was carried out.
const REUSED_WITHIN: Duration = Duration::from_millis(500);
/// Longest body that a server is trusted to read although it refuses the request, in bytes: of the order of what it was
/// seen to read.
const READ_THOUGH_REFUSED: usize = 16 * 1024;

/// A connection of either profile.
pub(super) enum Line {
    Http(Connection),
    Grpc(Box<GrpcConnection>),
}

impl Line {
    fn is_open(&self) -> bool {
        match self {
            Self::Http(connection) => connection.is_open(),
            Self::Grpc(connection) => connection.is_open(),
        }
    }
}

/// A connection that waits for the next request.
struct Idle {
    connection: Line,
    since: Instant,
}

/// The connections that are kept, and what is known of when that may be.
#[derive(Default)]
pub(super) struct Kept {
    idle: Mutex<Vec<Idle>>,
    /// Whether every request gets a connection of its own.
    fresh_only: AtomicBool,
    /// Whether the server has been seen to read the body of requests that it refuses.
    reads_refused: AtomicBool,
    /// The same of bodies that it finds wrong.
    reads_wrong: AtomicBool,
}

impl Kept {
    fn idle(&self) -> MutexGuard<'_, Vec<Idle>> {
        lock(&self.idle)
    }

    /// Keeps none from now on.
    pub fn use_fresh_only(&self) {
        self.fresh_only.store(true, Ordering::Relaxed);
        self.close();
    }

    pub fn is_fresh_only(&self) -> bool {
        self.fresh_only.load(Ordering::Relaxed)
    }

    pub fn trust_refusals(&self) {
        self.reads_refused.store(true, Ordering::Relaxed);
    }

    pub fn trusts_refusals(&self) -> bool {
        self.reads_refused.load(Ordering::Relaxed)
    }

    pub fn trust_bad_requests(&self) {
        self.reads_wrong.store(true, Ordering::Relaxed);
    }

    /// Closes all of them.
    pub fn close(&self) {
        self.idle().clear();
    }

    /// Closes all but the last: a server may have room for a few only, and others are wanted now.
    pub fn make_room(&self) {
        let mut idle = self.idle();
        let all = idle.len();
        idle.drain(..all.saturating_sub(1));
    }

    /// The connection that was used last; those that have been idle for long are closed.
    pub fn take(&self) -> Option<Line> {
        let mut idle = self.idle();
        idle.retain(|idle| idle.since.elapsed() < REUSED_WITHIN);
        idle.pop().map(|idle| idle.connection)
    }

    /// Keeps a connection for the next request, unless that could spoil it.
    pub fn keep(&self, connection: Line, request: &RawRequest, answer: &RawAnswer) {
        // Calls on one connection know nothing of each other, so that there is nothing to spoil.
        let clean = match &connection {
            Line::Grpc(_) => true,
            Line::Http(_) => self.left_nothing(request, answer) && !announces_close(answer),
        };
        if !self.is_fresh_only() && clean && connection.is_open() {
            self.idle().push(Idle { connection, since: Instant::now() });
        }
    }

    /// Whether the server is sure to have read the whole request. What it left unread it would take for the next one, which
    /// would be blamed for it.
    fn left_nothing(&self, request: &RawRequest, answer: &RawAnswer) -> bool {
        let Some(body) = request.body.as_ref().filter(|body| !body.is_empty()) else { return true };
        // Many a server overlooks the body of a GET, or one that is chunked.
        if request.method != Method::POST || request.headers.iter().any(|(name, _)| *name == TRANSFER_ENCODING) {
            return false;
        }
        let is_read = match answer.status.as_u16() {
            200..=299 => return true,
            // Refusals that come of looking at a request that could be read. A 405, 413 or 415 comes before.
            401 | 403 | 404 | 409 => self.trusts_refusals(),
            // In between: what is no plain JSON by its head may be refused before it is read.
            400 | 422 => self.reads_wrong.load(Ordering::Relaxed) && is_plain_json(request),
            _ => false,
        };
        is_read && body.len() <= READ_THOUGH_REFUSED
    }
}

/// Whether the head says that the body is JSON, and nothing else about it.
fn is_plain_json(request: &RawRequest) -> bool {
    let mut labels = request.headers.iter().filter(|(name, _)| name == CONTENT_TYPE);
    let json = labels.next().is_some_and(|(_, label)| label == "application/json") && labels.next().is_none();
    json && !request.headers.iter().any(|(name, _)| name == CONTENT_ENCODING || name == EXPECT)
}

/// Whether the server says that it closes the connection after this answer.
pub(super) fn announces_close(answer: &RawAnswer) -> bool {
    answer.headers.get(CONNECTION).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"close"))
}
