//! A request as it was sent, and what came of it.

use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, HeaderName, HeaderValue};

use super::finding::{AsSent, Recorded};
use super::plan::CAST;
use crate::client::{Exchange, GrpcStatus, KEPT_BODY, Mask, RecordedBody, RecordedCall};
use crate::ground::shown;
use crate::scenarios::World;
use crate::wire::proto::Method;

/// Characters of `Authorization` that a transcript shows.
const SHOWN_AUTHORIZATION: usize = 24;

/// A request that was sent and what came, before anybody wants to read it.
pub(super) struct Sent {
    pub by: usize,
    pub mutation: String,
    pub operation: &'static str,
    /// The gRPC call, if it was one.
    pub call: Option<Method>,
    pub method: http::Method,
    pub path: String,
    pub headers: Vec<(HeaderName, HeaderValue)>,
    pub body: Bytes,
    pub outcome: Result<Received, String>,
    pub duration: Duration,
}

pub(super) struct Received {
    pub status: u16,
    pub grpc: Option<GrpcStatus>,
    pub content_type: Option<HeaderValue>,
    pub body: Kept,
}

/// A body, or the beginning of a long one.
pub(super) struct Kept {
    head: Bytes,
    length: usize,
}

impl Kept {
    /// Of a long body as much as is recorded, and as much more as it takes to see what the cut goes through.
    pub(super) fn of(body: &Bytes, mask: &Mask) -> Self {
        let kept = KEPT_BODY + mask.longest();
        let head = if body.len() <= kept { body.clone() } else { Bytes::copy_from_slice(&body[..kept]) };
        Self { head, length: body.len() }
    }

    fn recorded(&self, mask: &Mask) -> RecordedBody {
        RecordedBody { text: shown::without_tokens(mask.beginning(&self.head, KEPT_BODY)).into(), length: self.length }
    }
}

impl Sent {
    /// What a record says of the call that it was, over gRPC.
    fn called(&self, received: Option<&Received>, mask: &Mask) -> Option<RecordedCall> {
        let method = self.call?.path().trim_start_matches('/').into();
        let ended = received.and_then(|received| received.grpc.as_ref());
        Some(RecordedCall {
            method,
            code: ended.map(|ended| ended.code.0),
            status: ended.map(|ended| ended.code.to_string()),
            message: ended.map(|ended| mask.text(ended.message.chars().take(400).collect())),
            metadata: Vec::new(),
        })
    }

    /// For people; `tokens` are those of the case with the names of their variables.
    pub(super) fn recorded(&self, world: &World, tokens: &[(String, String)]) -> Recorded {
        let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let shortened = |value: String| {
            let kept: String = value.chars().take(SHOWN_AUTHORIZATION).collect();
            if kept.len() == value.len() { kept } else { format!("{kept}…") }
        };
        let authorization = self.headers.iter().find(|(name, _)| name == AUTHORIZATION);
        let received = self.outcome.as_ref().ok();
        let path =
            tokens.iter().fold(self.path.clone(), |path, (token, name)| path.replace(token, &format!("${name}")));
        let exchange = Exchange {
            operation: self.operation,
            method: self.method.to_string(),
            path: world.mask(path),
            authorization: authorization.map(|(_, value)| shortened(world.mask(text(value)))),
            request: Kept::of(&self.body, &world.target.mask).recorded(&world.target.mask),
            status: received.map(|received| received.status),
            grpc: self.called(received, &world.target.mask),
            content_type: received
                .and_then(|received| received.content_type.as_ref())
                .map(|value| world.mask(text(value))),
            response: received.map(|received| received.body.recorded(&world.target.mask)).unwrap_or_default(),
            error: self.outcome.as_ref().err().map(|error| world.mask(error.clone())),
            duration: self.duration,
        };
        let sent = AsSent {
            path: self.path.clone(),
            headers: self.headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect(),
            body: self.body.clone(),
            tokens: tokens.to_vec(),
        };
        let by = CAST.get(self.by).copied().unwrap_or("nobody");
        Recorded { by, mutation: world.mask(self.mutation.clone()), exchange, sent }
    }
}
