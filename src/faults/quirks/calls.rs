//! Habits of gRPC servers alone.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::http::request::Parts;
use axum::http::{HeaderValue, Response, StatusCode};
use bytes::Bytes;

use super::{Quirk, quirk};
use crate::server::edge::Edge;
use crate::server::refusal::Refusal;
use crate::server::route::Route;
use crate::wire::proto::{Code, Method};

/// gzip for every message, whether the client offered it or not, as some frameworks do.
struct Compresses;

impl Edge for Compresses {
    fn compresses_calls(&self) -> bool {
        true
    }
}

/// UNAVAILABLE at times, with gRPC's own word for when to come back. Often enough that races meet it, too.
#[derive(Default)]
struct PushesBack(AtomicU64);

impl Edge for PushesBack {
    fn head(&self, _: Route, _: &mut Parts) -> Result<(), Refusal> {
        if self.0.fetch_add(1, Ordering::Relaxed) % 37 != 30 {
            return Ok(());
        }
        Err(Refusal { status: StatusCode::SERVICE_UNAVAILABLE, code: None, detail: "busy".into() })
    }

    fn response(&self, _: Route, _: &Parts, mut response: Response<Bytes>) -> Response<Bytes> {
        if response.status() == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert("grpc-retry-pushback-ms", HeaderValue::from_static("5"));
        }
        response
    }
}

/// UNKNOWN for a removal that can't be made, as frameworks answer when a handler throws.
struct ThrowsAtRemovals;

impl Edge for ThrowsAtRemovals {
    fn call_ended(&self, method: Method, ended: Result<Vec<u8>, Code>) -> Result<Vec<u8>, Code> {
        match ended {
            Err(Code::INVALID_ARGUMENT) if method == Method::RemoveMember => Err(Code::UNKNOWN),
            ended => ended,
        }
    }
}

/// A handler on a thread of its own, which never hears that nobody waits any more.
struct GoesOn;

impl Edge for GoesOn {
    fn call_lasts(&self, method: Method) -> Option<Duration> {
        matches!(method, Method::Push | Method::RemoveMember).then_some(Duration::from_millis(60))
    }
}

/// UNAVAILABLE at times, as a rolling restart has it, with no word for when to come back.
#[derive(Default)]
struct Restarts(AtomicU64);

impl Edge for Restarts {
    fn head(&self, _: Route, _: &mut Parts) -> Result<(), Refusal> {
        if self.0.fetch_add(1, Ordering::Relaxed) % 97 != 30 {
            return Ok(());
        }
        Err(Refusal { status: StatusCode::SERVICE_UNAVAILABLE, code: None, detail: "restarting".into() })
    }
}

pub const ALL: &[Quirk] = &[
    quirk("grpc-compresses", "Every message of an answer is compressed by gzip.", || Arc::new(Compresses)),
    quirk("grpc-pushes-back", "Now and then a call is UNAVAILABLE, and metadata says when to come back.", || {
        Arc::new(PushesBack::default())
    }),
    quirk("grpc-goes-on", "Pushes and removals take a while, and are carried out though they were cancelled.", || {
        Arc::new(GoesOn)
    }),
    quirk("grpc-restarts", "Now and then a call is UNAVAILABLE, with no word for when to come back.", || {
        Arc::new(Restarts::default())
    }),
    quirk("grpc-throws-at-removals", "A removal that can't be made, or no more, is UNKNOWN.", || {
        Arc::new(ThrowsAtRemovals)
    }),
];
