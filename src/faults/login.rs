//! Logins that go wrong by the type of a value, by how many came before, or by what else they do (SPEC §3, §10).

use std::collections::{HashMap, HashSet};
use std::future::ready;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use axum::http::header::{AUTHORIZATION, COOKIE, HeaderValue, SET_COOKIE};
use axum::http::request::Parts;
use axum::http::{Request, Response};
use bytes::Bytes;
use hyper::body::Incoming;
use serde_json::{Value, json};

use super::edits::edit;
use super::table::*;
use super::tools::lock;
use crate::codec::{base64, signature};
use crate::server::edge::Edge;
use crate::server::nonces::Nonces;
use crate::server::redemption::{self, Authority};
use crate::server::refusal::Refusal;
use crate::server::repo::Repo;
use crate::server::route::Route;
use crate::server::rules::{IdentityRules, Later, VaultRules};
use crate::server::store::Store;
use crate::wire::{TokenRequest, TokenResponse};

fn holds(key: &[u8; 32], message: &[u8], text: &str) -> bool {
    base64::decode(text).is_ok_and(|bytes| signature::verify(key, message, &bytes).is_ok())
}

/// Another token request instead of the one that came.
fn rewritten(route: Route, body: Bytes, change: impl FnOnce(&mut Value) -> bool) -> Bytes {
    let Ok(mut request @ Value::Object(_)) = serde_json::from_slice::<Value>(&body) else { return body };
    let changed = route == Route::Token && change(&mut request);
    if changed { request.to_string().into() } else { body }
}

/// What stands for a signature that nobody looks at.
const UNSEEN: &str = "(unseen)";

/// A server that doesn't verify some requests, which it makes readable first.
struct Loose(fn(&mut Value) -> bool);

/// The signature is found to hold by its type.
fn loose(signature: &mut Value, is: fn(&Value) -> bool) -> bool {
    let found = is(signature);
    if found {
        *signature = json!(UNSEEN);
    }
    found
}

impl Edge for Loose {
    fn body(&self, _: &Store, route: Route, _: &Parts, body: Bytes) -> Result<Bytes, Refusal> {
        Ok(rewritten(route, body, self.0))
    }
}

impl IdentityRules for Loose {
    fn nonce_signature_holds(&self, key: &[u8; 32], _: &str, nonce: &[u8], signature: &str) -> bool {
        signature == UNSEEN || holds(key, nonce, signature)
    }
}

/// A server that finds a nonce in an array where it found the nonce itself, and marks the array as used.
#[derive(Default)]
struct Bracketed {
    issued: Mutex<HashSet<Vec<u8>>>,
}

impl Edge for Bracketed {
    fn body(&self, _: &Store, route: Route, _: &Parts, body: Bytes) -> Result<Bytes, Refusal> {
        Ok(rewritten(route, body, |request| match request["nonce"].as_array().map(Vec::as_slice) {
            Some([Value::String(nonce)]) => {
                request["nonce"] = json!(format!("[{nonce}"));
                true
            }
            _ => false,
        }))
    }
}

impl IdentityRules for Bracketed {
    fn make_nonce(&self, _: &str, random: [u8; 32]) -> Vec<u8> {
        lock(&self.issued).insert(random.to_vec());
        random.to_vec()
    }

    fn redeem<'a>(
        &'a self,
        authority: &'a Authority,
        request: &'a TokenRequest,
    ) -> Later<'a, Result<TokenResponse, Refusal>> {
        let nonce = request.nonce.strip_prefix('[').and_then(|text| base64::decode(text).ok());
        let issued = nonce.filter(|nonce| lock(&self.issued).contains(nonce));
        let key = self.read_member_key(&request.ed25519_public_key);
        Box::pin(ready(match (issued, key) {
            (Some(nonce), Ok(key)) if holds(&key, &nonce, &request.signature) => {
                redemption::grant(self, authority, &request.ed25519_public_key)
            }
            _ => redemption::redeem(self, authority, request),
        }))
    }
}

/// A server that stops verifying a key's signatures after some failures.
struct Breaker {
    most: usize,
    within: Duration,
    failed: Mutex<HashMap<[u8; 32], Vec<Instant>>>,
}

fn breaker(most: usize, seconds: u64) -> Breaker {
    Breaker { most, within: Duration::from_secs(seconds), failed: Mutex::default() }
}

impl IdentityRules for Breaker {
    fn nonce_signature_holds(&self, key: &[u8; 32], _: &str, nonce: &[u8], signature: &str) -> bool {
        let mut failed = lock(&self.failed);
        let failed = failed.entry(*key).or_default();
        failed.retain(|at| at.elapsed() < self.within);
        if failed.len() >= self.most {
            return true;
        }
        let holds = holds(key, nonce, signature);
        if !holds {
            failed.push(Instant::now());
        }
        holds
    }
}

/// A server that has a list of open nonces for each key and takes one off at an end of it, whichever was redeemed.
struct Popping {
    newest: bool,
    open: Mutex<HashMap<String, Vec<Vec<u8>>>>,
}

impl IdentityRules for Popping {
    fn make_nonce(&self, key: &str, random: [u8; 32]) -> Vec<u8> {
        lock(&self.open).entry(key.to_owned()).or_default().push(random.to_vec());
        random.to_vec()
    }

    fn spend(&self, nonces: &Nonces, nonce: &[u8]) -> bool {
        let mut open = lock(&self.open);
        let list = open.values_mut().find(|list| list.iter().any(|other| other == nonce));
        list.is_some_and(|list| {
            let taken = if self.newest { list.len() - 1 } else { 0 };
            nonces.spend(&list.remove(taken))
        })
    }
}

/// A server whose logins do something to the repositories of whoever logs in.
struct Upsert {
    /// How many logins of a key it takes.
    from: usize,
    work: fn(&mut Repo, &str),
    logins: Mutex<HashMap<String, (usize, Instant)>>,
    written: Mutex<HashMap<String, Instant>>,
}

fn upsert(from: usize, work: fn(&mut Repo, &str)) -> Upsert {
    Upsert { from, work, logins: Mutex::default(), written: Mutex::default() }
}

impl IdentityRules for Upsert {
    fn redeemed(&self, request: &TokenRequest, _: &TokenResponse) {
        let mut logins = lock(&self.logins);
        let (count, at) = logins.entry(request.ed25519_public_key.clone()).or_insert((0, Instant::now()));
        (*count, *at) = (*count + 1, Instant::now());
    }
}

impl VaultRules for Upsert {
    fn stored(&self, _: Route, _: Option<&Repo>, next: Repo) -> Repo {
        lock(&self.written).insert(next.manifest.repo_id.clone(), Instant::now());
        next
    }

    fn loaded(&self, _: Route, mut repo: Repo) -> Repo {
        let written = lock(&self.written).get(&repo.manifest.repo_id).copied();
        let ids: Vec<_> = repo.manifest.members.iter().map(|entry| entry.ed25519_public_key.clone()).collect();
        for id in ids {
            let login = lock(&self.logins).get(&id).copied();
            if login.is_some_and(|(count, at)| count >= self.from && written.is_some_and(|written| at > written)) {
                (self.work)(&mut repo, &id);
            }
        }
        repo
    }
}

fn unbound(repo: &mut Repo, id: &str) {
    for entry in repo.manifest.members.iter_mut().filter(|entry| entry.ed25519_public_key == id) {
        entry.key_binding_sig = None;
    }
}

/// Whoever is alone stays.
fn cascaded(repo: &mut Repo, id: &str) {
    if repo.manifest.members.len() > 1 {
        repo.manifest.members.retain(|entry| entry.ed25519_public_key != id);
    }
}

/// A login of somebody who has a token is answered with that one.
struct AlreadyLoggedIn;

impl Edge for AlreadyLoggedIn {
    fn response(&self, route: Route, parts: &Parts, response: Response<Bytes>) -> Response<Bytes> {
        let value = parts.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        match value.and_then(|value| value.strip_prefix("Bearer ")).filter(|_| route == Route::Token) {
            Some(token) => edit(response, |body| body["token"] = token.into()),
            None => response,
        }
    }
}

/// A login starts a session, whose cookie counts for more than a token.
struct Session;

impl Edge for Session {
    fn arrival(&self, request: &mut Request<Incoming>) {
        let cookie = request.headers().get(COOKIE).and_then(|value| value.to_str().ok());
        let token = cookie.and_then(|cookie| cookie.split("session=").nth(1)?.split(';').next().map(str::to_owned));
        if let Some(value) = token.and_then(|token| HeaderValue::from_str(&format!("Bearer {token}")).ok()) {
            request.headers_mut().insert(AUTHORIZATION, value);
        }
    }

    fn response(&self, route: Route, _: &Parts, mut response: Response<Bytes>) -> Response<Bytes> {
        let body: Value = serde_json::from_slice(response.body()).unwrap_or_default();
        let cookie = body["token"].as_str().filter(|_| route == Route::Token);
        if let Some(value) =
            cookie.and_then(|token| HeaderValue::from_str(&format!("session={token}; HttpOnly; Path=/")).ok())
        {
            response.headers_mut().insert(SET_COOKIE, value);
        }
        response
    }
}

/// The faults of this area.
pub(super) const FAULTS: &[Fault] = &[
    fault(
        "login-gives-the-callers-token",
        &SUBJECT_IS_CALLER,
        "A login that comes with a token is answered with that token, whoever logs in.",
        || edge(AlreadyLoggedIn),
    ),
    fault(
        "login-starts-a-session",
        &TOKEN_BEARER_ONLY,
        "A login sets a cookie that stands for its token, and goes before another.",
        || edge(Session),
    ),
    fault("signature-true-passes", &SIGNATURE_VERIFIED, "`\"signature\": true` is equal to any signature.", || {
        edge_and_identity(Loose(|request| loose(&mut request["signature"], |value| *value == json!(true))))
    }),
    fault(
        "signature-array-passes",
        &SIGNATURE_VERIFIED,
        "An array for a signature makes the comparison null, which is taken for equal.",
        || edge_and_identity(Loose(|request| loose(&mut request["signature"], Value::is_array))),
    ),
    fault("signature-zero-passes", &SIGNATURE_VERIFIED, "`\"signature\": 0` is equal to any signature.", || {
        edge_and_identity(Loose(|request| loose(&mut request["signature"], |value| *value == json!(0))))
    }),
    fault("signature-object-passes", &SIGNATURE_VERIFIED, "An object for a signature is a query that matches.", || {
        edge_and_identity(Loose(|request| loose(&mut request["signature"], Value::is_object)))
    }),
    fault(
        "signature-unreadable-passes",
        &SIGNATURE_VERIFIED,
        "Where the signature can't be decoded, the exception is caught, and the outcome is what it was set to before.",
        || {
            edge_and_identity(Loose(|request| {
                loose(&mut request["signature"], |value| {
                    value.as_str().is_some_and(|text| base64::decode(text).is_err())
                })
            }))
        },
    ),
    fault("signature-null-passes", &SIGNATURE_VERIFIED, "Without a signature there is nothing to verify.", || {
        edge_and_identity(Loose(|request| loose(&mut request["signature"], Value::is_null)))
    }),
    fault(
        "key-in-array-is-not-verified",
        &SIGNATURE_VERIFIED,
        "A key in an array is found, and not loaded for the verification.",
        || {
            edge_and_identity(Loose(|request| match request["ed25519PublicKey"].as_array().map(Vec::as_slice) {
                Some([Value::String(key)]) => {
                    request["ed25519PublicKey"] = json!(key);
                    loose(&mut request["signature"], |_| true)
                }
                _ => false,
            }))
        },
    ),
    fault(
        "used-nonce-in-array-works",
        &NONCE_SINGLE_USE,
        "A nonce in an array is found, and the array is marked as used.",
        || edge_and_identity(Bracketed::default()),
    ),
    fault(
        "empty-nonce-of-idle-key-works",
        &NONCE_ISSUED,
        "The nonce of a key without an open challenge is the empty one.",
        || identity(EmptyNonceOfIdleKeyWorks::default()),
    ),
    fault(
        "verification-gives-up-after-three",
        &SIGNATURE_VERIFIED,
        "After three wrong signatures of a key within five seconds, its signatures aren't verified any more.",
        || identity(breaker(3, 5)),
    ),
    fault(
        "verification-gives-up-after-ten",
        &SIGNATURE_VERIFIED,
        "After ten wrong signatures of a key within two seconds, its signatures aren't verified any more.",
        || identity(breaker(10, 2)),
    ),
    fault(
        "redeeming-drops-newest-nonce",
        &NONCE_SINGLE_USE,
        "Redeeming a nonce takes the newest of its key off the list.",
        || identity(Popping { newest: true, open: Mutex::default() }),
    ),
    fault(
        "redeeming-drops-oldest-nonce",
        &NONCE_SINGLE_USE,
        "Redeeming a nonce takes the oldest of its key off the list.",
        || identity(Popping { newest: false, open: Mutex::default() }),
    ),
    fault(
        "login-forgets-binding",
        &BINDING_OPAQUE,
        "A login writes the row of its key anew, without keyBindingSig.",
        || identity_and_vault(upsert(1, unbound)),
    ),
    fault(
        "login-leaves-repositories",
        &READ_YOUR_WRITES,
        "The second login of a key replaces its row, and its memberships go with the old one.",
        || identity_and_vault(upsert(2, cascaded)),
    ),
];

#[derive(Default)]
struct EmptyNonceOfIdleKeyWorks {
    open: Mutex<HashMap<String, usize>>,
}

impl IdentityRules for EmptyNonceOfIdleKeyWorks {
    fn make_nonce(&self, key: &str, random: [u8; 32]) -> Vec<u8> {
        *lock(&self.open).entry(key.to_owned()).or_default() += 1;
        random.to_vec()
    }

    fn redeem<'a>(
        &'a self,
        authority: &'a Authority,
        request: &'a TokenRequest,
    ) -> Later<'a, Result<TokenResponse, Refusal>> {
        let key = &request.ed25519_public_key;
        let idle = lock(&self.open).get(key).is_none_or(|open| *open == 0);
        let signed = self.read_member_key(key).is_ok_and(|key| holds(&key, b"", &request.signature));
        if idle && signed && request.nonce.is_empty() {
            return Box::pin(ready(redemption::grant(self, authority, key)));
        }
        Box::pin(ready(redemption::redeem(self, authority, request)))
    }

    fn redeemed(&self, request: &TokenRequest, _: &TokenResponse) {
        if let Some(open) = lock(&self.open).get_mut(&request.ed25519_public_key) {
            *open = open.saturating_sub(1);
        }
    }
}
