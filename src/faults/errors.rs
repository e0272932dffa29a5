//! Error bodies and limits that revision 0.3 doesn't allow.

use std::sync::atomic::{AtomicU64, Ordering};

use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Response, StatusCode};
use bytes::Bytes;
use serde_json::{Value, json};

use super::table::*;
use super::tools::{edit_any, with_status};
use crate::server::edge::Edge;
use crate::server::refusal::Refusal;
use crate::server::route::Route;

/// A server that has another body for errors, of one status or of all.
struct ErrorBody(Option<StatusCode>, fn(&mut Value));

impl Edge for ErrorBody {
    fn response(&self, _: Route, _: &Parts, response: Response<Bytes>) -> Response<Bytes> {
        let status = response.status();
        if status.is_success() || self.0.is_some_and(|only| only != status) {
            return response;
        }
        edit_any(response, self.1)
    }
}

/// A server whose errors of some status aren't JSON.
struct Text(Option<StatusCode>, &'static str, &'static str);

impl Edge for Text {
    fn response(&self, _: Route, _: &Parts, response: Response<Bytes>) -> Response<Bytes> {
        let status = response.status();
        if status.is_success() || self.0.is_some_and(|only| only != status) {
            return response;
        }
        let mut response = response.map(|_| Bytes::from_static(self.2.as_bytes()));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(self.1));
        response
    }
}

/// A server that takes no more than 2 MiB, and says so in its own way.
struct Oversize(fn(Response<Bytes>) -> Response<Bytes>);

impl Edge for Oversize {
    fn max_body(&self, _: usize) -> usize {
        2 << 20
    }

    fn response(&self, _: Route, _: &Parts, response: Response<Bytes>) -> Response<Bytes> {
        if response.status() == StatusCode::PAYLOAD_TOO_LARGE { (self.0)(response) } else { response }
    }
}

/// A server that refuses every 40th request for coming too soon.
struct RateLimit(AtomicU64, Option<&'static str>);

impl Edge for RateLimit {
    fn head(&self, _: Route, _: &mut Parts) -> Result<(), Refusal> {
        if self.0.fetch_add(1, Ordering::Relaxed) % 40 != 39 {
            return Ok(());
        }
        Err(Refusal { status: StatusCode::TOO_MANY_REQUESTS, code: None, detail: "slow down".into() })
    }

    fn response(&self, _: Route, _: &Parts, mut response: Response<Bytes>) -> Response<Bytes> {
        if let Some(after) = self.1.filter(|_| response.status() == StatusCode::TOO_MANY_REQUESTS) {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static(after));
        }
        response
    }
}

/// The faults of this area.
pub(super) const FAULTS: &[Fault] = &[
    fault("errors-empty", &ERROR_OBJECT, "Errors have no body.", || edge(Text(None, "application/json", ""))),
    fault("errors-plain-text", &ERROR_OBJECT, "Errors are plain text.", || {
        edge(Text(None, "text/plain", "request failed"))
    }),
    fault("errors-html", &ERROR_OBJECT, "Errors are HTML.", || edge(Text(None, "text/html", "<h1>Error</h1>"))),
    fault("errors-401-empty", &ERROR_OBJECT, "The 401 of the authentication layer has no body.", || {
        edge(Text(Some(StatusCode::UNAUTHORIZED), "text/plain", ""))
    }),
    fault("errors-404-plain-text", &ERROR_OBJECT, "The 404 of the framework is plain text.", || {
        edge(Text(Some(StatusCode::NOT_FOUND), "text/plain", "404 page not found"))
    }),
    fault("errors-405-plain-text", &ERROR_OBJECT, "The 405 of the framework is plain text.", || {
        edge(Text(Some(StatusCode::METHOD_NOT_ALLOWED), "text/plain", "Method Not Allowed"))
    }),
    fault("errors-400-plain-text", &ERROR_OBJECT, "The 400 of the JSON reader is plain text.", || {
        edge(Text(Some(StatusCode::BAD_REQUEST), "text/plain", "Bad Request"))
    }),
    fault("errors-409-empty", &ERROR_OBJECT, "The 409 has an empty object for a body.", || {
        edge(ErrorBody(Some(StatusCode::CONFLICT), |error| *error = json!({})))
    }),
    fault("errors-message", &ERROR_OBJECT, "The text of an error is in message, not in error.", || {
        edge(ErrorBody(None, |error| *error = json!({ "message": error["error"] })))
    }),
    fault("errors-nested", &ERROR_OBJECT, "error is an object.", || {
        edge(ErrorBody(None, |error| *error = json!({ "error": { "code": error["code"], "message": error["error"] } })))
    }),
    fault("errors-upper-case-code", &ERROR_OBJECT, "Codes are in upper case.", || {
        edge(ErrorBody(None, |error| error["code"] = json!(error["code"].as_str().unwrap_or_default().to_uppercase())))
    }),
    fault("errors-own-code", &ERROR_OBJECT, "A stranger's code is one that the revision doesn't know.", || {
        edge(ErrorBody(Some(StatusCode::FORBIDDEN), |error| error["code"] = json!("not_a_member")))
    }),
    fault("errors-numeric-code", &ERROR_OBJECT, "The code is the number of the status.", || {
        edge(ErrorBody(None, |error| error["code"] = json!(400)))
    }),
    fault("errors-with-path", &ERROR_OBJECT, "Errors have members timestamp and path, a framework's default.", || {
        edge(ErrorBody(None, |error| {
            error["timestamp"] = json!(0);
            error["path"] = json!("/")
        }))
    }),
    fault("errors-detail-list", &ERROR_OBJECT, "The detail of a 400 is a list of findings.", || {
        edge(ErrorBody(Some(StatusCode::BAD_REQUEST), |error| {
            error["detail"] = json!([{ "loc": ["body"], "msg": error["detail"] }])
        }))
    }),
    fault("oversize-is-400", &LIMITS, "A body that is too large is answered with 400.", || {
        edge(Oversize(|response| with_status(response, StatusCode::BAD_REQUEST)))
    }),
    fault("oversize-is-500", &LIMITS, "A body that is too large ends in an internal error.", || {
        edge(Oversize(|response| with_status(response, StatusCode::INTERNAL_SERVER_ERROR)))
    }),
    fault(
        "oversize-is-bad-request",
        &LIMITS,
        "A body that is too large is answered with 413 and the code bad_request.",
        || edge(Oversize(|response| edit_any(response, |error| error["code"] = json!("bad_request")))),
    ),
    fault("oversize-is-conflict", &LIMITS, "A body that is too large is answered with a conflict.", || {
        edge(Oversize(|response| {
            let conflict = json!({ "accepted": false, "payloadVersion": 0, "keyEpoch": 0, "conflict": true });
            with_status(edit_any(response, |error| *error = conflict), StatusCode::OK)
        }))
    }),
    fault("rate-limit-without-retry-after", &LIMITS, "A rate limit doesn't say when to come back.", || {
        edge(RateLimit(AtomicU64::new(0), None))
    }),
    fault("rate-limit-retry-after-words", &LIMITS, "A rate limit says to come back soon, in words.", || {
        edge(RateLimit(AtomicU64::new(0), Some("soon")))
    }),
];
