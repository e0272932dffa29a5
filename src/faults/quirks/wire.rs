//! What a server asks of requests, and how its answers look on the wire.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::http::header::{ACCEPT, AUTHORIZATION, CONNECTION, CONTENT_TYPE, HeaderName, RETRY_AFTER, USER_AGENT};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, Response, StatusCode};
use bytes::Bytes;
use serde_json::{Value, json};

use super::{Quirk, quirk};
use crate::codec::base64;
use crate::faults::edits::{each_object, edit, lock};
use crate::faults::numbers;
use crate::faults::tools::each_token;
use crate::server::credentials;
use crate::server::edge::Edge;
use crate::server::issuer::random;
use crate::server::refusal::Refusal;
use crate::server::route::Route;
use crate::server::store::Store;

fn refuse(status: StatusCode, detail: &'static str) -> Refusal {
    Refusal { status, code: None, detail: detail.into() }
}

/// A header that every request has.
struct Asks(HeaderName, StatusCode);

impl Edge for Asks {
    fn head(&self, _: Route, parts: &mut Parts) -> Result<(), Refusal> {
        if parts.headers.contains_key(&self.0) { Ok(()) } else { Err(refuse(self.1, "a header is missing")) }
    }
}

/// 415 for bodies that aren't labelled `application/json`.
struct StrictType;

impl Edge for StrictType {
    fn head(&self, _: Route, parts: &mut Parts) -> Result<(), Refusal> {
        let label = parts.headers.get(CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
        if parts.method == Method::POST && label != b"application/json" {
            return Err(refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE, "application/json is what this server reads"));
        }
        Ok(())
    }
}

/// 503 at times, with the time after which to come back.
#[derive(Default)]
struct Busy(AtomicU64);

/// The same without the time, as nginx's limits do it.
#[derive(Default)]
struct BusyUnsaid(AtomicU64);

impl Edge for BusyUnsaid {
    fn head(&self, _: Route, _: &mut Parts) -> Result<(), Refusal> {
        if self.0.fetch_add(1, Ordering::Relaxed) % 397 == 150 {
            return Err(refuse(StatusCode::SERVICE_UNAVAILABLE, "busy"));
        }
        Ok(())
    }
}

impl Edge for Busy {
    fn head(&self, _: Route, _: &mut Parts) -> Result<(), Refusal> {
        if self.0.fetch_add(1, Ordering::Relaxed) % 211 != 100 {
            return Ok(());
        }
        Err(refuse(StatusCode::SERVICE_UNAVAILABLE, "busy"))
    }

    fn response(&self, _: Route, _: &Parts, mut response: Response<Bytes>) -> Response<Bytes> {
        if response.status() == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("0"));
        }
        response
    }
}

/// 503 to everybody for a while after the first request.
#[derive(Default)]
struct WarmingUp(Mutex<Option<Instant>>);

/// How long that takes.
const WARM_UP: Duration = Duration::from_millis(1200);

impl Edge for WarmingUp {
    fn head(&self, _: Route, _: &mut Parts) -> Result<(), Refusal> {
        let started = *lock(&self.0).get_or_insert_with(Instant::now);
        if started.elapsed() > WARM_UP { Ok(()) } else { Err(refuse(StatusCode::SERVICE_UNAVAILABLE, "not yet")) }
    }
}

/// A line break after every body.
struct TrailingNewline;

impl Edge for TrailingNewline {
    fn response(&self, _: Route, _: &Parts, response: Response<Bytes>) -> Response<Bytes> {
        response.map(|body| [&body[..], b"\r\n"].concat().into())
    }
}

/// `1.0` instead of `1`.
struct Fractions;

impl Edge for Fractions {
    fn response(&self, _: Route, _: &Parts, response: Response<Bytes>) -> Response<Bytes> {
        edit(response, |answer| {
            each_object(answer, &mut |object| {
                for value in object.values_mut() {
                    #[expect(
                        clippy::cast_precision_loss,
                        reason = "integers that a double doesn't hold stay as they are"
                    )]
                    if let Some(number) = value.as_i64().filter(|number| number.unsigned_abs() < 1 << 53) {
                        *value = json!(number as f64);
                    }
                }
            });
        })
    }
}

/// Each answer ends its connection, at times.
#[derive(Default)]
struct ClosesAtTimes(AtomicU64);

impl Edge for ClosesAtTimes {
    fn response(&self, _: Route, _: &Parts, mut response: Response<Bytes>) -> Response<Bytes> {
        if self.0.fetch_add(1, Ordering::Relaxed) % 7 == 3 {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

/// Long random strings instead of JWTs.
#[derive(Default)]
struct LongTokens(Mutex<HashMap<String, HeaderValue>>);

impl Edge for LongTokens {
    fn head(&self, _: Route, parts: &mut Parts) -> Result<(), Refusal> {
        let known = credentials::bearer(&parts.headers).and_then(|token| lock(&self.0).get(&token).cloned());
        if let Some(value) = known {
            parts.headers.insert(AUTHORIZATION, value);
        }
        Ok(())
    }

    fn response(&self, route: Route, _: &Parts, response: Response<Bytes>) -> Response<Bytes> {
        if route != Route::Token {
            return response;
        }
        edit(response, |answer: &mut Value| {
            let (Some(jwt), Ok(long)) = (answer["token"].as_str(), random::<3072>()) else { return };
            let long = base64::encode_url(&long);
            if let Ok(value) = HeaderValue::try_from(format!("Bearer {jwt}")) {
                lock(&self.0).insert(long.clone(), value);
                answer["token"] = json!(long);
            }
        })
    }
}

/// 201 for everything that writes.
struct CreatedAlways;

impl Edge for CreatedAlways {
    fn response(&self, route: Route, _: &Parts, mut response: Response<Bytes>) -> Response<Bytes> {
        let writes = matches!(route, Route::CreateRepo | Route::Push | Route::AddMember | Route::RemoveMember);
        if writes && response.status() == StatusCode::OK {
            *response.status_mut() = StatusCode::CREATED;
        }
        response
    }
}

/// No caches, by every header that says so.
struct NoCaches;

impl Edge for NoCaches {
    fn response(&self, _: Route, _: &Parts, mut response: Response<Bytes>) -> Response<Bytes> {
        for (name, value) in [
            ("cache-control", "no-store, no-cache, private"),
            ("pragma", "no-cache"),
            ("expires", "0"),
            ("strict-transport-security", "max-age=31536000"),
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("content-security-policy", "default-src 'none'"),
        ] {
            response.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        response
    }
}

/// Truth values in the place of counters, as pydantic and ajv turn them into numbers unless told otherwise.
struct TruthCounts;

impl Edge for TruthCounts {
    fn body(&self, _: &Store, _: Route, _: &Parts, body: Bytes) -> Result<Bytes, Refusal> {
        Ok(each_token(&body, numbers::ALL, |token| match token {
            "false" => Some("0".into()),
            "true" => Some("1".into()),
            _ => None,
        }))
    }
}

/// The longest part of a path, in characters. A router refuses longer ones, whoever asks, and createRepo has none in
/// its path.
struct PathParts(usize);

impl Edge for PathParts {
    fn head(&self, _: Route, parts: &mut Parts) -> Result<(), Refusal> {
        if parts.uri.path().split('/').any(|part| part.len() > self.0) {
            return Err(refuse(StatusCode::URI_TOO_LONG, "a part of the path is too long"));
        }
        Ok(())
    }
}

pub const ALL: &[Quirk] = &[
    quirk("truth-counts", "In the place of a counter, true is 1 and false is 0.", || Arc::new(TruthCounts)),
    quirk("path-parts-of-100", "A part of the path with more than 100 characters is refused with 414.", || {
        Arc::new(PathParts(100))
    })
    .of_limits(),
    quirk("needs-user-agent", "Requests without User-Agent are refused with 403.", || {
        Arc::new(Asks(USER_AGENT, StatusCode::FORBIDDEN))
    }),
    quirk("needs-accept", "Requests without Accept are refused with 406.", || {
        Arc::new(Asks(ACCEPT, StatusCode::NOT_ACCEPTABLE))
    }),
    quirk("strict-content-type", "Bodies that aren't labelled application/json are refused with 415.", || {
        Arc::new(StrictType)
    }),
    quirk("occasional-503", "Now and then a request is answered with 503 and Retry-After.", || {
        Arc::new(Busy::default())
    }),
    quirk(
        "occasional-503-unsaid",
        "Now and then a request is answered with 503, and not told when to come back.",
        || Arc::new(BusyUnsaid::default()),
    ),
    quirk("warming-up", "For a second after the first request everything is 503.", || Arc::new(WarmingUp::default())),
    quirk("trailing-newline", "Every body ends in a line break.", || Arc::new(TrailingNewline)),
    quirk("integers-with-fraction", "Integers are written as 1.0 where a double holds them.", || Arc::new(Fractions)),
    quirk("closes-at-times", "Now and then an answer closes its connection.", || Arc::new(ClosesAtTimes::default())),
    quirk("tokens-of-4-kib", "Tokens are random strings of 4,096 characters.", || Arc::new(LongTokens::default())),
    quirk("writes-201", "Everything that writes answers with 201.", || Arc::new(CreatedAlways)),
    quirk("security-headers", "Answers forbid caching, framing and sniffing.", || Arc::new(NoCaches)),
];
