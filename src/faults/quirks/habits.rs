//! Other statuses, other tokens, other limits.

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::http::header::{AUTHORIZATION, RETRY_AFTER};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Response, StatusCode};
use bytes::Bytes;
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use super::API_KEY;
use crate::codec::base64;
use crate::codec::jwt::Jwt;
use crate::faults::edits::{each_object, edit, edit_any, edit_body, lock, take_unknown};
use crate::server::credentials;
use crate::server::edge::Edge;
use crate::server::issuer::random;
use crate::server::refusal::Refusal;
use crate::server::route::Route;
use crate::server::store::Store;

/// Other statuses.
pub struct Statuses(fn(Route, StatusCode) -> StatusCode);

impl Edge for Statuses {
    fn response(&self, route: Route, _: &Parts, mut response: Response<Bytes>) -> Response<Bytes> {
        *response.status_mut() = (self.0)(route, response.status());
        response
    }
}

/// 201 for a new repository.
pub const CREATED: Statuses = Statuses(|route, status| match (route, status) {
    (Route::CreateRepo, StatusCode::OK) => StatusCode::CREATED,
    _ => status,
});

/// Rejection as such, where SPEC §6 asks for no more: a manifest whose sole member isn't the caller.
fn is_rejection(route: Route, status: StatusCode) -> bool {
    route == Route::CreateRepo && status == StatusCode::FORBIDDEN
}

/// 400 for rejections.
pub const REJECT_400: Statuses =
    Statuses(|route, status| if is_rejection(route, status) { StatusCode::BAD_REQUEST } else { status });

/// 422 for rejections and bad requests.
pub const REJECT_422: Statuses = Statuses(|route, status| {
    let rejected = is_rejection(route, status) || status == StatusCode::BAD_REQUEST;
    if rejected { StatusCode::UNPROCESSABLE_ENTITY } else { status }
});

/// 404 for strangers.
pub const STRANGER_404: Statuses = Statuses(|route, status| match (route, status) {
    (Route::CreateRepo, _) => status,
    (_, StatusCode::FORBIDDEN) => StatusCode::NOT_FOUND,
    _ => status,
});

/// Another code for a refusal that says so in its detail.
pub struct Said(pub &'static str, pub StatusCode);

impl Edge for Said {
    fn response(&self, _: Route, _: &Parts, mut response: Response<Bytes>) -> Response<Bytes> {
        if response.status().is_client_error() && String::from_utf8_lossy(response.body()).contains(self.0) {
            *response.status_mut() = self.1;
        }
        response
    }
}

/// 403 for repositories that don't exist.
pub const UNKNOWN_403: Said = Said("no such repository", StatusCode::FORBIDDEN);

/// 400 for signatures that don't verify, which SPEC §3 only says are rejected.
pub const SIGNATURE_400: Said = Said("the signature doesn't verify", StatusCode::BAD_REQUEST);

/// 404 for discovery (SPEC §8.2: a server may have it).
pub const NO_DISCOVERY: Statuses = Statuses(|route, status| match route {
    Route::Discovery | Route::Jwks => StatusCode::NOT_FOUND,
    _ => status,
});

/// An authentication layer above the router.
pub struct UnknownRoute401;

impl Edge for UnknownRoute401 {
    fn head(&self, route: Route, parts: &mut Parts) -> Result<(), Refusal> {
        if matches!(route, Route::Unknown | Route::WrongMethod) && !parts.headers.contains_key(AUTHORIZATION) {
            return Err(Refusal::unauthorized("no bearer token"));
        }
        Ok(())
    }
}

/// Looks the repository up before it reads the body's JSON.
pub struct MembershipFirst;

impl Edge for MembershipFirst {
    fn body(&self, store: &Store, _: Route, parts: &Parts, body: Bytes) -> Result<Bytes, Refusal> {
        let Some(raw) = parts.uri.path().strip_prefix("/v1/repos/").and_then(|rest| rest.split('/').next()) else {
            return Ok(body);
        };
        let id = credentials::decode_segment(raw)?;
        // Only requests with a valid token get here, so that its subject can be believed.
        let token = credentials::bearer(&parts.headers).and_then(|token| Jwt::parse(&token).ok());
        let caller = token.as_ref().and_then(Jwt::subject).and_then(|subject| subject.strip_prefix("key:"));
        match store.read(|tx| -> Result<_, Refusal> { Ok(tx.load(&id)?) })? {
            None => Err(Refusal::not_found("no such repository")),
            Some(repo) if caller.is_some_and(|caller| repo.manifest.member(caller).is_none()) => {
                Err(Refusal::forbidden("the caller isn't a member of this repository"))
            }
            Some(_) => Ok(body),
        }
    }
}

/// Hands out random strings and keeps the JWTs to itself.
#[derive(Default)]
pub struct OpaqueTokens(Mutex<HashMap<String, HeaderValue>>);

impl Edge for OpaqueTokens {
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
        edit(response, |answer| {
            let (Some(jwt), Ok(opaque)) = (answer["token"].as_str(), random::<24>()) else { return };
            let opaque = base64::encode_url(&opaque);
            if let Ok(value) = HeaderValue::try_from(format!("Bearer {jwt}")) {
                lock(&self.0).insert(opaque.clone(), value);
                answer["token"] = json!(opaque);
            }
        })
    }
}

/// The latest token of each key.
#[derive(Default)]
pub struct NewestToken(Mutex<HashMap<String, String>>);

impl NewestToken {
    fn subject(token: &str) -> Option<String> {
        Jwt::parse(token).ok()?.subject().map(str::to_owned)
    }
}

impl Edge for NewestToken {
    fn head(&self, _: Route, parts: &mut Parts) -> Result<(), Refusal> {
        let Some(token) = credentials::bearer(&parts.headers) else { return Ok(()) };
        let newest = Self::subject(&token).and_then(|subject| lock(&self.0).get(&subject).cloned());
        // One that was never given out is for others to refuse.
        match newest {
            Some(newest) if newest != token => Err(Refusal::unauthorized("a newer login has ended this token")),
            _ => Ok(()),
        }
    }

    fn response(&self, route: Route, _: &Parts, response: Response<Bytes>) -> Response<Bytes> {
        if route != Route::Token {
            return response;
        }
        edit(response, |answer| {
            let token = answer["token"].as_str().unwrap_or_default();
            if let Some(subject) = Self::subject(token) {
                lock(&self.0).insert(subject, token.to_owned());
            }
        })
    }
}

fn text(body: &Bytes, name: &str) -> Option<String> {
    let request: Value = serde_json::from_slice(body).ok()?;
    request.get(name)?.as_str().map(str::to_owned)
}

/// One attempt per nonce.
#[derive(Default)]
pub struct NonceBurnt(Mutex<HashSet<String>>);

impl Edge for NonceBurnt {
    fn body(&self, _: &Store, route: Route, _: &Parts, body: Bytes) -> Result<Bytes, Refusal> {
        let nonce = text(&body, "nonce").filter(|_| route == Route::Token);
        if nonce.is_some_and(|nonce| !lock(&self.0).insert(nonce)) {
            return Err(Refusal::unauthorized("the nonce can't be redeemed"));
        }
        Ok(body)
    }
}

/// The latest nonce of each key.
#[derive(Default)]
pub struct OneNonce {
    latest: Mutex<HashMap<String, String>>,
    /// Who asks for a nonce right now, by connection: a connection is a task, and has one request at a time.
    asking: Mutex<HashMap<Option<tokio::task::Id>, String>>,
}

impl Edge for OneNonce {
    fn body(&self, _: &Store, route: Route, _: &Parts, body: Bytes) -> Result<Bytes, Refusal> {
        let key = text(&body, "ed25519PublicKey").unwrap_or_default();
        match route {
            Route::Challenge => drop(lock(&self.asking).insert(tokio::task::try_id(), key)),
            Route::Token => {
                let latest = lock(&self.latest).get(&key).cloned();
                if latest.is_some() && latest != text(&body, "nonce") {
                    return Err(Refusal::unauthorized("the nonce can't be redeemed"));
                }
            }
            _ => {}
        }
        Ok(body)
    }

    fn response(&self, route: Route, _: &Parts, response: Response<Bytes>) -> Response<Bytes> {
        if route == Route::Challenge
            && let Some(key) = lock(&self.asking).remove(&tokio::task::try_id())
            && let Some(nonce) = text(response.body(), "nonce")
        {
            lock(&self.latest).insert(key, nonce);
        }
        response
    }
}

/// [`API_KEY`] or nothing.
pub struct NeedsHeader;

impl Edge for NeedsHeader {
    fn head(&self, _: Route, parts: &mut Parts) -> Result<(), Refusal> {
        let (name, value) = API_KEY;
        if parts.headers.get(name).is_some_and(|found| found == value) {
            return Ok(());
        }
        Err(Refusal::forbidden("no API key"))
    }
}

/// Every 101st request; with a delay in seconds and with a date, in turns.
#[derive(Default)]
pub struct Occasional429(AtomicU64);

impl Edge for Occasional429 {
    fn head(&self, _: Route, _: &mut Parts) -> Result<(), Refusal> {
        if self.0.fetch_add(1, Ordering::Relaxed) % 101 != 50 {
            return Ok(());
        }
        Err(Refusal { status: StatusCode::TOO_MANY_REQUESTS, code: Some("quota_exceeded"), detail: "slow down".into() })
    }

    fn response(&self, _: Route, _: &Parts, mut response: Response<Bytes>) -> Response<Bytes> {
        if response.status() == StatusCode::TOO_MANY_REQUESTS {
            // The date is the one of RFC 9110 and long past: come back at once.
            let dated = self.0.load(Ordering::Relaxed).is_multiple_of(2);
            let after = if dated { "Sun, 06 Nov 1994 08:49:37 GMT" } else { "0" };
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static(after));
        }
        response
    }
}

/// Reads requests leniently.
pub struct DropsUnknown;

impl Edge for DropsUnknown {
    fn body(&self, _: &Store, _: Route, _: &Parts, body: Bytes) -> Result<Bytes, Refusal> {
        Ok(edit_body(body, |request| drop(take_unknown(request))))
    }
}

/// Reads `"7"` where a counter is due.
pub struct NumbersFromText;

impl Edge for NumbersFromText {
    fn body(&self, _: &Store, _: Route, _: &Parts, body: Bytes) -> Result<Bytes, Refusal> {
        let number = |value: &Value| value.as_str().and_then(|text| text.parse::<i64>().ok());
        Ok(edit_body(body, |request| {
            each_object(request, &mut |object| {
                for (name, value) in object.iter_mut() {
                    if let Some(number) = number(value).filter(|_| name.ends_with("Version") || name.ends_with("Epoch"))
                    {
                        *value = json!(number);
                    }
                }
            });
        }))
    }
}

/// A server that goes by the path, and overlooks what the body says of the repository.
pub struct GoesByPath;

impl Edge for GoesByPath {
    fn body(&self, _: &Store, route: Route, parts: &Parts, body: Bytes) -> Result<Bytes, Refusal> {
        let named =
            parts.uri.path().split('/').nth(3).map(|id| percent_decode_str(id).decode_utf8_lossy().into_owned());
        let on_one = matches!(route, Route::Pull | Route::Push | Route::AddMember | Route::RemoveMember);
        let Some(id) = named.filter(|_| on_one) else { return Ok(body) };
        Ok(edit_body(body, |request| {
            if let Some(object) = request.as_object_mut() {
                object.insert("repoId".into(), json!(id));
            }
        }))
    }
}

/// A server that says of an Authorization that it can't use what it was.
pub struct QuotesAuthorization;

impl Edge for QuotesAuthorization {
    fn response(&self, _: Route, parts: &Parts, mut response: Response<Bytes>) -> Response<Bytes> {
        let given = parts.headers.get(AUTHORIZATION).map(|value| String::from_utf8_lossy(value.as_bytes()));
        if let Some(given) = given.filter(|given| !given.starts_with("Bearer "))
            && response.status() == StatusCode::UNAUTHORIZED
        {
            *response.body_mut() = json!({ "error": format!("no bearer token: {given}") }).to_string().into();
        }
        response
    }
}

/// Frameworks that validate say what they were given.
#[derive(Default)]
pub struct ErrorsQuote {
    /// What is being answered, by connection: a connection is a task, and has one request at a time.
    bodies: Mutex<HashMap<Option<tokio::task::Id>, Bytes>>,
}

impl Edge for ErrorsQuote {
    fn body(&self, _: &Store, _: Route, _: &Parts, body: Bytes) -> Result<Bytes, Refusal> {
        if body.len() < 100_000 {
            lock(&self.bodies).insert(tokio::task::try_id(), body.clone());
        }
        Ok(body)
    }

    fn response(&self, _: Route, _: &Parts, response: Response<Bytes>) -> Response<Bytes> {
        let body = lock(&self.bodies).remove(&tokio::task::try_id());
        if response.status() != StatusCode::BAD_REQUEST {
            return response;
        }
        let quoted = body.map(|body| String::from_utf8_lossy(&body).into_owned()).unwrap_or_default();
        edit_any(response, |error| error["detail"] = json!(format!("can't handle {quoted}")))
    }
}

/// Ids of unreserved characters (RFC 3986), at most 255, as revision 0.3 recommends.
pub struct PlainIds;

impl Edge for PlainIds {
    fn body(&self, _: &Store, route: Route, _: &Parts, body: Bytes) -> Result<Bytes, Refusal> {
        let request: Value = serde_json::from_slice(&body).unwrap_or_default();
        let id = request["manifest"]["repoId"].as_str().unwrap_or_default();
        let plain = id.len() <= 255 && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte));
        if route == Route::CreateRepo && !plain {
            return Err(Refusal::bad_request("repoId has reserved characters"));
        }
        Ok(body)
    }
}

/// Counters that a double holds exactly.
pub struct SafeCounters;

impl Edge for SafeCounters {
    fn body(&self, _: &Store, _: Route, _: &Parts, body: Bytes) -> Result<Bytes, Refusal> {
        let (mut request, mut safe) = (serde_json::from_slice(&body).unwrap_or_default(), true);
        each_object(&mut request, &mut |object| {
            safe &= object.values().all(|value| value.as_i64().is_none_or(|number| number.unsigned_abs() < 1 << 53));
        });
        if safe { Ok(body) } else { Err(Refusal::bad_request("a counter isn't a safe integer")) }
    }
}

/// Half a MiB.
pub struct SmallBodies;

impl Edge for SmallBodies {
    fn max_body(&self, _: usize) -> usize {
        512 * 1024
    }
}
