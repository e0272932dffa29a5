//! Error bodies and limits that revision 0.3 doesn't allow.

use std::sync::atomic::{AtomicU64, Ordering};

use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Response, StatusCode};
use bytes::Bytes;
use serde_json::{Value, json};

use super::tools::{edit_any, with_status};
use crate::server::edge::Edge;
use crate::server::refusal::Refusal;
use crate::server::route::Route;

/// A server that has another body for errors, of one status or of all.
struct ErrorBody(Option<StatusCode>, fn(&mut Value));

shared!(ErrorBody: edge);

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

shared!(Text: edge);

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

shared!(Oversize: edge);

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

shared!(RateLimit: edge);

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

faults! {
    "errors-empty" breaks ERROR_OBJECT: "Errors have no body." => { is Text(None, "application/json", "") }
    "errors-plain-text" breaks ERROR_OBJECT: "Errors are plain text." => { is Text(None, "text/plain", "request failed") }
    "errors-html" breaks ERROR_OBJECT: "Errors are HTML." => { is Text(None, "text/html", "<h1>Error</h1>") }
    "errors-401-empty" breaks ERROR_OBJECT: "The 401 of the authentication layer has no body." => { is Text(Some(StatusCode::UNAUTHORIZED), "text/plain", "") }
    "errors-404-plain-text" breaks ERROR_OBJECT: "The 404 of the framework is plain text." => { is Text(Some(StatusCode::NOT_FOUND), "text/plain", "404 page not found") }
    "errors-405-plain-text" breaks ERROR_OBJECT: "The 405 of the framework is plain text." => { is Text(Some(StatusCode::METHOD_NOT_ALLOWED), "text/plain", "Method Not Allowed") }
    "errors-400-plain-text" breaks ERROR_OBJECT: "The 400 of the JSON reader is plain text." => { is Text(Some(StatusCode::BAD_REQUEST), "text/plain", "Bad Request") }
    "errors-409-empty" breaks ERROR_OBJECT: "The 409 has an empty object for a body." => { is ErrorBody(Some(StatusCode::CONFLICT), |error| *error = json!({})) }
    "errors-message" breaks ERROR_OBJECT: "The text of an error is in message, not in error." => { is ErrorBody(None, |error| *error = json!({ "message": error["error"] })) }
    "errors-nested" breaks ERROR_OBJECT: "error is an object." => { is ErrorBody(None, |error| *error = json!({ "error": { "code": error["code"], "message": error["error"] } })) }
    "errors-upper-case-code" breaks ERROR_OBJECT: "Codes are in upper case." => { is ErrorBody(None, |error| error["code"] = json!(error["code"].as_str().unwrap_or_default().to_uppercase())) }
    "errors-own-code" breaks ERROR_OBJECT: "A stranger's code is one that the revision doesn't know." => { is ErrorBody(Some(StatusCode::FORBIDDEN), |error| error["code"] = json!("not_a_member")) }
    "errors-numeric-code" breaks ERROR_OBJECT: "The code is the number of the status." => { is ErrorBody(None, |error| error["code"] = json!(400)) }
    "errors-with-path" breaks ERROR_OBJECT: "Errors have members timestamp and path, a framework's default." => { is ErrorBody(None, |error| { error["timestamp"] = json!(0); error["path"] = json!("/") }) }
    "errors-detail-list" breaks ERROR_OBJECT: "The detail of a 400 is a list of findings." => { is ErrorBody(Some(StatusCode::BAD_REQUEST), |error| error["detail"] = json!([{ "loc": ["body"], "msg": error["detail"] }])) }
    "oversize-is-400" breaks LIMITS: "A body that is too large is answered with 400." => { is Oversize(|response| with_status(response, StatusCode::BAD_REQUEST)) }
    "oversize-is-500" breaks LIMITS: "A body that is too large ends in an internal error." => { is Oversize(|response| with_status(response, StatusCode::INTERNAL_SERVER_ERROR)) }
    "oversize-is-bad-request" breaks LIMITS: "A body that is too large is answered with 413 and the code bad_request." => { is Oversize(|response| edit_any(response, |error| error["code"] = json!("bad_request"))) }
    "oversize-is-conflict" breaks LIMITS: "A body that is too large is answered with a conflict." => {
        is Oversize(|response| {
            let conflict = json!({ "accepted": false, "payloadVersion": 0, "keyEpoch": 0, "conflict": true });
            with_status(edit_any(response, |error| *error = conflict), StatusCode::OK)
        })
    }
    "rate-limit-without-retry-after" breaks LIMITS: "A rate limit doesn't say when to come back." => { is RateLimit(AtomicU64::new(0), None) }
    "rate-limit-retry-after-words" breaks LIMITS: "A rate limit says to come back soon, in words." => { is RateLimit(AtomicU64::new(0), Some("soon")) }
}
