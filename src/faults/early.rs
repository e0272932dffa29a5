//! Answers that come before anybody asks who wants to know: caches, preconditions, pages for browsers, schemes that
//! aren't understood (SPEC §6, RFC 9110 §13.2.1).

use std::collections::HashMap;
use std::sync::Mutex;

use axum::http::header::{
    ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue, IF_MODIFIED_SINCE, IF_NONE_MATCH, LOCATION, RANGE,
};
use axum::http::request::Parts;
use axum::http::{Method, Response, StatusCode};
use bytes::Bytes;

use super::table::*;
use super::tools::lock;
use crate::server::edge::Edge;
use crate::server::repo::Repo;
use crate::server::route::Route;
use crate::server::rules::VaultRules;

fn says<'p>(parts: &'p Parts, name: &HeaderName) -> &'p str {
    parts.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

fn bare(status: StatusCode) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = status;
    response
}

fn page(status: StatusCode, text: &'static str) -> Response<Bytes> {
    let mut response = bare(status).map(|_| Bytes::from_static(text.as_bytes()));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/html"));
    response
}

/// A server that answers some refused requests in another way.
struct Instead(fn(Route, &Parts, StatusCode) -> Option<Response<Bytes>>);

impl Edge for Instead {
    fn response(&self, route: Route, parts: &Parts, response: Response<Bytes>) -> Response<Bytes> {
        (self.0)(route, parts, response.status()).unwrap_or(response)
    }
}

/// A server that knows which members there are before it knows who asks.
struct Conditional {
    header: HeaderName,
    token: bool,
    there: Mutex<HashMap<String, Vec<String>>>,
}

fn conditional(header: HeaderName, token: bool) -> Conditional {
    Conditional { header, token, there: Mutex::default() }
}

impl VaultRules for Conditional {
    fn stored(&self, _: Route, _: Option<&Repo>, next: Repo) -> Repo {
        let ids = next.manifest.members.iter().map(|entry| entry.ed25519_public_key.clone()).collect();
        lock(&self.there).insert(next.manifest.repo_id.clone(), ids);
        next
    }
}

impl Edge for Conditional {
    fn response(&self, route: Route, parts: &Parts, response: Response<Bytes>) -> Response<Bytes> {
        let path = percent_encoding::percent_decode_str(parts.uri.path()).decode_utf8_lossy();
        let there = lock(&self.there);
        let mut known = there.iter().flat_map(|(repo, ids)| ids.iter().map(move |id| format!("/{repo}/member/{id}")));
        let asked = route == Route::FetchMemberKey
            && (response.status() != StatusCode::UNAUTHORIZED) == self.token
            && parts.headers.contains_key(&self.header)
            && known.any(|tail| path.ends_with(&tail));
        if asked { bare(StatusCode::NOT_MODIFIED) } else { response }
    }
}

/// The faults of this area.
pub(super) const FAULTS: &[Fault] = &[
    fault(
        "basic-without-user-500",
        &STATUS_TOKEN,
        "A Basic authorization that is no user and password makes the server stumble.",
        || {
            edge(Instead(|_, parts, status| {
                let basic = says(parts, &AUTHORIZATION).starts_with("Basic");
                (basic && status == StatusCode::UNAUTHORIZED).then(|| bare(StatusCode::INTERNAL_SERVER_ERROR))
            }))
        },
    ),
    fault(
        "bearer-without-token-500",
        &STATUS_TOKEN,
        "`Bearer` with nothing behind it makes the server stumble.",
        || {
            edge(Instead(|_, parts, status| {
                let empty = says(parts, &AUTHORIZATION).trim() == "Bearer";
                (empty && status == StatusCode::UNAUTHORIZED).then(|| bare(StatusCode::INTERNAL_SERVER_ERROR))
            }))
        },
    ),
    fault(
        "sent-to-login-page",
        &STATUS_TOKEN,
        "Who has no token and doesn't ask for JSON is sent to a login page.",
        || {
            edge(Instead(|_, parts, status| {
                (status == StatusCode::UNAUTHORIZED && !says(parts, &ACCEPT).contains("json")).then(|| {
                    let mut response = page(StatusCode::FOUND, "<html>Redirecting to /login</html>");
                    response.headers_mut().insert(LOCATION, HeaderValue::from_static("/login"));
                    response
                })
            }))
        },
    ),
    fault(
        "application-page-for-browsers",
        &STATUS_TOKEN,
        "A browser without a token gets the page of the application, 200.",
        || {
            edge(Instead(|_, parts, status| {
                let browser = parts.method == Method::GET && says(parts, &ACCEPT).contains("text/html");
                (browser && status == StatusCode::UNAUTHORIZED)
                    .then(|| page(StatusCode::OK, "<!doctype html><div id=app></div>"))
            }))
        },
    ),
    fault(
        "precondition-before-token",
        &STATUS_TOKEN,
        "If-None-Match is answered before the token is looked at.",
        || edge_and_vault(conditional(IF_NONE_MATCH, false)),
    ),
    fault(
        "precondition-before-membership",
        &STATUS_STRANGER,
        "If-Modified-Since is answered before membership is looked at.",
        || edge_and_vault(conditional(IF_MODIFIED_SINCE, true)),
    ),
    fault(
        "range-from-open-cache",
        &STATUS_TOKEN,
        "A request for a part of an entry is answered from a cache that asks for no token.",
        || edge(RangeFromOpenCache::default()),
    ),
    fault("strange-accept-500", &BAD_INPUT, "An Accept that can't be parsed makes the server stumble.", || {
        edge(Instead(|_, parts, _| {
            says(parts, &ACCEPT).contains(";;").then(|| bare(StatusCode::INTERNAL_SERVER_ERROR))
        }))
    }),
    fault("range-500", &BAD_INPUT, "A request for a part of an entry makes the server stumble.", || {
        edge(Instead(|_, parts, _| {
            let part = parts.method == Method::GET && parts.headers.contains_key(RANGE);
            part.then(|| bare(StatusCode::INTERNAL_SERVER_ERROR))
        }))
    }),
];

#[derive(Default)]
struct RangeFromOpenCache {
    kept: Mutex<HashMap<String, Bytes>>,
}

impl Edge for RangeFromOpenCache {
    fn response(&self, route: Route, parts: &Parts, response: Response<Bytes>) -> Response<Bytes> {
        if route != Route::FetchMemberKey {
            return response;
        }
        let (mut kept, path) = (lock(&self.kept), parts.uri.path().to_owned());
        if response.status() == StatusCode::OK {
            kept.insert(path.clone(), response.body().clone());
        }
        match kept.get(&path).filter(|_| parts.headers.contains_key(RANGE)) {
            Some(body) => bare(StatusCode::PARTIAL_CONTENT).map(|_| body.clone()),
            None => response,
        }
    }
}
