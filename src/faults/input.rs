//! Bad input that does damage, or passes for good (hardening).

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::http::request::Parts;
use axum::http::{Response, StatusCode};
use bytes::Bytes;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use super::table::*;
use super::tools::{each_object, edit_body, with_status};
use crate::server::edge::{Edge, HangUp};
use crate::server::refusal::Refusal;
use crate::server::route::Route;
use crate::server::rules::Later;
use crate::server::store::Store;

/// A server that fails with 500 on bodies of some kind.
struct Fails(fn(&[u8]) -> bool);

impl Edge for Fails {
    fn body(&self, _: &Store, _: Route, parts: &Parts, body: Bytes) -> Result<Bytes, Refusal> {
        if parts.method == axum::http::Method::POST && (self.0)(&body) {
            return Err(Refusal::internal("unhandled exception"));
        }
        Ok(body)
    }
}

/// A server that closes the connection on bodies of some kind, as if its thread had died.
struct Dies {
    on: fn(&[u8]) -> bool,
    for_good: bool,
    dying: AtomicBool,
}

fn dies(on: fn(&[u8]) -> bool, for_good: bool) -> Dies {
    Dies { on, for_good, dying: AtomicBool::new(false) }
}

impl Edge for Dies {
    fn body(&self, _: &Store, _: Route, parts: &Parts, body: Bytes) -> Result<Bytes, Refusal> {
        if parts.method == axum::http::Method::POST && (self.on)(&body) {
            self.dying.store(true, Ordering::SeqCst);
            return Err(Refusal::internal("dying"));
        }
        Ok(body)
    }

    fn response(&self, _: Route, _: &Parts, mut response: Response<Bytes>) -> Response<Bytes> {
        let died = response.status() == StatusCode::INTERNAL_SERVER_ERROR;
        if died || self.for_good && self.dying.load(Ordering::SeqCst) {
            response.extensions_mut().insert(HangUp);
        }
        response
    }
}

/// A server that changes the JSON of requests before they are checked.
struct Lenient(fn(&mut Value));

impl Edge for Lenient {
    fn body(&self, _: &Store, _: Route, _: &Parts, body: Bytes) -> Result<Bytes, Refusal> {
        Ok(edit_body(body, self.0))
    }
}

/// A server with another answer on some routes.
struct Routed(Route, fn(Response<Bytes>) -> Response<Bytes>);

impl Edge for Routed {
    fn response(&self, route: Route, _: &Parts, response: Response<Bytes>) -> Response<Bytes> {
        if route == self.0 { (self.1)(response) } else { response }
    }
}

fn parsed(body: &[u8]) -> Option<Value> {
    serde_json::from_slice(body).ok()
}

fn is_deep(body: &[u8]) -> bool {
    body.iter().take_while(|byte| b"[{\": a".contains(byte)).filter(|&&byte| byte == b'[' || byte == b'{').count() > 500
        || body.windows(500).next().is_some_and(|start| start.iter().filter(|&&byte| byte == b'[').count() > 100)
}

fn is_malformed(body: &[u8]) -> bool {
    !body.is_empty() && std::str::from_utf8(body).is_ok() && parsed(body).is_none() && !is_deep(body)
}

fn is_not_utf8(body: &[u8]) -> bool {
    std::str::from_utf8(body).is_err()
}

fn is_large(body: &[u8]) -> bool {
    body.len() > 4 << 20
}

/// Members whose value has another type than every message gives them.
fn is_mistyped(body: &[u8]) -> bool {
    let mut mistyped = false;
    each_object(&mut parsed(body).unwrap_or_default(), &mut |object| {
        mistyped |= object.iter().any(|(name, value)| match name.as_str() {
            "payloadVersion" | "keyEpoch" | "newKeyEpoch" | "knownPayloadVersion" | "expectedPayloadVersion" => {
                !value.is_i64()
            }
            "repoId" | "iv" | "ciphertext" | "nonce" | "signature" | "ed25519PublicKey" | "x25519PublicKey" => {
                !value.is_string()
            }
            "manifest" | "envelope" | "member" | "wrappedDataKey" | "rotatedEnvelope" | "initialEnvelope" => {
                !value.is_object()
            }
            _ => false,
        });
    });
    mistyped
}

/// Objects that lack something which every message of their kind has.
fn is_incomplete(body: &[u8]) -> bool {
    let mut incomplete = false;
    each_object(&mut parsed(body).unwrap_or_default(), &mut |object| {
        let needs: &[&str] = if object.contains_key("wrappedDataKey") {
            &["ed25519PublicKey", "x25519PublicKey", "keyEpoch"]
        } else if object.contains_key("members") {
            &["repoId", "schemeId", "keyEpoch", "payloadVersion"]
        } else if object.contains_key("envelope") {
            &["repoId", "expectedPayloadVersion"]
        } else if object.contains_key("ciphertext") && object.contains_key("payloadVersion") {
            &["repoId", "keyEpoch", "iv"]
        } else {
            &[]
        };
        incomplete |= needs.iter().any(|name| !object.contains_key(*name));
    });
    incomplete
}

/// The faults of this area.
pub(super) const FAULTS: &[Fault] = &[
    fault("malformed-json-500", &BAD_INPUT, "A body that isn't JSON ends in an internal error.", || {
        edge(Fails(is_malformed))
    }),
    fault("empty-body-500", &BAD_INPUT, "An empty body ends in an internal error.", || edge(Fails(<[u8]>::is_empty))),
    fault("not-utf8-500", &BAD_INPUT, "A body that isn't UTF-8 ends in an internal error.", || {
        edge(Fails(is_not_utf8))
    }),
    fault("not-an-object-500", &BAD_INPUT, "A body that is JSON, but no object, ends in an internal error.", || {
        edge(Fails(|body| parsed(body).is_some_and(|value| !value.is_object())))
    }),
    fault("null-body-500", &BAD_INPUT, "The body null ends in an internal error.", || {
        edge(Fails(|body| body.trim_ascii() == b"null"))
    }),
    fault("wrong-type-500", &BAD_INPUT, "A member of the wrong type ends in an internal error.", || {
        edge(Fails(is_mistyped))
    }),
    fault("missing-member-500", &BAD_INPUT, "A missing member ends in an internal error.", || {
        edge(Fails(is_incomplete))
    }),
    fault("nesting-500", &BAD_INPUT, "Deep nesting ends in an internal error.", || edge(Fails(is_deep))),
    fault("nesting-hangs-up", &BAD_INPUT, "Deep nesting kills the thread, and the connection with it.", || {
        edge(dies(is_deep, false))
    }),
    fault("nesting-kills", &BAD_INPUT, "Deep nesting kills the server.", || edge(dies(is_deep, true))),
    fault("malformed-json-kills", &BAD_INPUT, "A body that isn't JSON kills the server.", || {
        edge(dies(is_malformed, true))
    }),
    fault(
        "not-utf8-hangs-up",
        &BAD_INPUT,
        "A body that isn't UTF-8 kills the thread, and the connection with it.",
        || edge(dies(is_not_utf8, false)),
    ),
    fault("large-body-500", &BAD_INPUT, "A body of more than 4 MiB ends in an internal error.", || {
        edge(Fails(is_large))
    }),
    fault("large-body-kills", &BAD_INPUT, "A body of more than 4 MiB kills the server.", || edge(dies(is_large, true))),
    fault("malformed-json-hangs", &BAD_INPUT, "A body that isn't JSON is never answered.", || {
        edge(MalformedJsonHangs::default())
    })
    .kind(Slow),
    fault("unknown-route-200", &BAD_INPUT, "A route that doesn't exist is answered with 200.", || {
        edge(Routed(Route::Unknown, |response| with_status(response, StatusCode::OK)))
    }),
    fault("unknown-route-500", &BAD_INPUT, "A route that doesn't exist ends in an internal error.", || {
        edge(Routed(Route::Unknown, |response| with_status(response, StatusCode::INTERNAL_SERVER_ERROR)))
    }),
    fault("wrong-method-200", &BAD_INPUT, "A method that a route doesn't have is answered with 200.", || {
        edge(Routed(Route::WrongMethod, |response| with_status(response, StatusCode::OK)))
    }),
    fault("wrong-method-500", &BAD_INPUT, "A method that a route doesn't have ends in an internal error.", || {
        edge(Routed(Route::WrongMethod, |response| with_status(response, StatusCode::INTERNAL_SERVER_ERROR)))
    }),
    fault(
        "wrong-method-hangs-up",
        &BAD_INPUT,
        "A method that a route doesn't have gets the connection closed without an answer.",
        || {
            edge(Routed(Route::WrongMethod, |mut response| {
                response.extensions_mut().insert(HangUp);
                response
            }))
        },
    ),
    fault("trailing-garbage-accepted", &BAD_INPUT, "What follows the JSON in a body is ignored.", || {
        edge(TrailingGarbageAccepted)
    }),
    fault("fractions-cut-off", &BAD_INPUT, "Counters may have a fraction in requests, which is cut off.", || {
        edge(Lenient(|request| {
            each_object(request, &mut |object| {
                for value in object.values_mut() {
                    if let Some(number) = value.as_f64().filter(|_| value.is_f64()) {
                        // Digits before the point, as a conversion to an integer would leave.
                        *value = format!("{number:.0}").parse::<i64>().map_or(Value::Null, |number| json!(number));
                    }
                }
            })
        }))
    }),
    fault("null-is-empty-text", &BAD_INPUT, "A required string may be null in requests, and is stored empty.", || {
        edge(Lenient(|request| {
            each_object(request, &mut |object| {
                for name in ["schemeId", "ciphertext"] {
                    if object.get(name) == Some(&Value::Null) {
                        object.insert(name.to_owned(), json!("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"));
                    }
                }
            })
        }))
    }),
    fault(
        "missing-text-is-empty",
        &BAD_INPUT,
        "A required string may be missing in requests, and is stored empty.",
        || {
            edge(Lenient(|request| {
                each_object(request, &mut |object| {
                    if object.contains_key("ephemeralPublicKey") || object.contains_key("members") {
                        object.entry("schemeId").or_insert(json!(""));
                    }
                })
            }))
        },
    ),
    fault("missing-version-is-zero", &BAD_INPUT, "A pull may leave out the version that it knows.", || {
        edge(Lenient(|request| {
            if let Some(object) = request.as_object_mut().filter(|object| object.len() == 1)
                && object.contains_key("repoId")
            {
                object.insert("knownPayloadVersion".to_owned(), json!(0));
            }
        }))
    }),
    fault(
        "stalled-request-blocks",
        &STALLED_REQUEST,
        "A lock is held from a request's head to its answer, so that one that stalls stops all others.",
        || edge(StalledRequestBlocks::default()),
    ),
    fault(
        "body-stays-after-403",
        &CONNECTION_IN_STEP,
        "The body of a request that is refused with 403 is taken for the next request on its connection.",
        || edge(BodyStaysAfter("HTTP/1.1 403")),
    ),
    fault(
        "body-stays-after-400",
        &CONNECTION_IN_STEP,
        "The body of a request that is refused with 400 is taken for the next request on its connection.",
        || edge(BodyStaysAfter("HTTP/1.1 400")),
    ),
    fault(
        "body-left-behind",
        &BODY_CONSUMED,
        "A request without a token is refused without reading its body, which is then taken for the next request.",
        || edge(BodyLeftBehind),
    ),
];

#[derive(Default)]
struct MalformedJsonHangs {
    stuck: AtomicBool,
}

impl Edge for MalformedJsonHangs {
    fn body(&self, _: &Store, _: Route, _: &Parts, body: Bytes) -> Result<Bytes, Refusal> {
        self.stuck.store(is_malformed(&body), Ordering::SeqCst);
        Ok(body)
    }

    fn delay(&self) -> Option<Later<'_, ()>> {
        self.stuck.swap(false, Ordering::SeqCst).then(|| Box::pin(pending()) as Later<'_, ()>)
    }
}

struct TrailingGarbageAccepted;

impl Edge for TrailingGarbageAccepted {
    fn body(&self, _: &Store, _: Route, _: &Parts, body: Bytes) -> Result<Bytes, Refusal> {
        let first = serde_json::Deserializer::from_slice(&body).into_iter::<Value>().next();
        Ok(first.and_then(Result::ok).map_or(body, |value| Bytes::from(value.to_string())))
    }
}

#[derive(Default)]
struct StalledRequestBlocks {
    lock: Arc<Mutex<()>>,
}

impl Edge for StalledRequestBlocks {
    fn turn(&self) -> Option<Later<'_, Box<dyn Send>>> {
        let lock = Arc::clone(&self.lock);
        Some(Box::pin(async move { Box::new(lock.lock_owned().await) as Box<dyn Send> }))
    }
}

/// After answers whose first line starts like this.
struct BodyStaysAfter(&'static str);

impl Edge for BodyStaysAfter {
    fn stream(&self, stream: Box<dyn crate::server::connection::Stream>) -> Box<dyn crate::server::connection::Stream> {
        Box::new(super::unread::UnreadBodies::after(self.0, stream))
    }
}

struct BodyLeftBehind;

impl Edge for BodyLeftBehind {
    fn stream(&self, stream: Box<dyn crate::server::connection::Stream>) -> Box<dyn crate::server::connection::Stream> {
        Box::new(super::unread::UnreadBodies::new(stream))
    }
}
