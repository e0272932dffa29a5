//! gRPC to one origin: one HTTP/2 connection, and one unary call at a time on it.
//!
//! This is h2 rather than a gRPC library because a judge must know what happens on which connection, hold a message back at any
//! byte, and tell a call that was never taken from one whose answer got lost. Everything is bounded: heads and answers by size, each
//! call by its deadline.

mod connection;
mod translate;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};

pub(super) use connection::{GrpcConnection, HoldPoint};
pub(super) use translate::{answer_of, call_of};

use crate::wire::proto::Code;

/// A call as it will be on the wire.
#[derive(Clone, Debug)]
pub struct GrpcCall {
    /// `:path`.
    pub path: String,
    /// Metadata besides gRPC's own.
    pub metadata: Vec<(HeaderName, HeaderValue)>,
    /// What the stream carries: the message behind its prefix, unless a check wants something else.
    pub data: Bytes,
}

/// What came of a call.
#[derive(Clone, Debug)]
pub struct GrpcAnswer {
    /// `grpc-status`.
    pub code: Code,
    /// `grpc-message`, decoded.
    pub message: String,
    /// Headers and trailers together.
    pub headers: HeaderMap,
    /// The message.
    pub data: Option<Bytes>,
}
