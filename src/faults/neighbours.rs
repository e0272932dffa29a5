//! What comes from beside a server: caches, sessions, searches in text, readers that know dates, and rows that exist once.

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use axum::http::header::{AUTHORIZATION, COOKIE, HeaderValue, SET_COOKIE};
use axum::http::request::Parts;
use axum::http::{Request, Response};
use bytes::Bytes;
use hyper::body::Incoming;
use serde_json::Value;

use super::edits::edit;
use super::races::{Done, WINDOW, conformant};
use super::tools::{each_token, entitled, gap, lock};
use crate::server::edge::Edge;
use crate::server::operations;
use crate::server::redemption::{self, Authority};
use crate::server::refusal::Refusal;
use crate::server::repo::{Call, Outcome, Repo, Visit};
use crate::server::route::Route;
use crate::server::rules::{Later, VaultRules};
use crate::server::store::Store;
use crate::wire::{PushRequest, PushResponse, TokenRequest, TokenResponse};

/// How long a cache in front keeps what a member was told.
const KEPT: Duration = Duration::from_secs(2);

/// A cache in front keeps answers to GET by their path, for whoever asks next.
#[derive(Default)]
struct CacheInFront(Mutex<HashMap<String, (HeaderValue, Instant)>>);

shared!(CacheInFront: edge);

impl Edge for CacheInFront {
    fn arrival(&self, request: &mut Request<Incoming>) {
        if request.method() != axum::http::Method::GET {
            // It is told of what is asked of the same repository.
            let repo = request.uri().path().split('/').nth(3).unwrap_or_default();
            lock(&self.0).retain(|path, _| path.split('/').nth(3) != Some(repo));
            return;
        }
        let known = lock(&self.0).get(request.uri().path()).cloned();
        if let Some((value, _)) = known.filter(|(_, at)| at.elapsed() < KEPT) {
            request.headers_mut().insert(AUTHORIZATION, value);
        }
    }

    fn response(&self, route: Route, parts: &Parts, response: Response<Bytes>) -> Response<Bytes> {
        let value = parts.headers.get(AUTHORIZATION).filter(|_| route == Route::FetchMemberKey);
        if let (Some(value), true) = (value, response.status().is_success()) {
            lock(&self.0).entry(parts.uri.path().to_owned()).or_insert((value.clone(), Instant::now()));
        }
        response
    }
}

/// A login of somebody who has a token is answered with that one.
struct AlreadyLoggedIn;

shared!(AlreadyLoggedIn: edge);

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

shared!(Session: edge);

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

/// Whether somebody is a member is a search for the id in the roster's JSON.
struct TextSearch;

shared!(TextSearch: vault);

impl VaultRules for TextSearch {
    fn execute<'a>(&'a self, store: &'a Store, visit: &'a Visit) -> Done<'a> {
        Box::pin(async move {
            let state = store.read(|tx| -> Result<_, Refusal> { Ok(tx.load(&visit.repo_id)?) })?;
            let named = state.as_ref().is_some_and(|repo| {
                let roster = serde_json::to_string(&repo.manifest.members).unwrap_or_default();
                roster.contains(&visit.caller)
            });
            if !named || matches!(visit.call, Call::Create(_)) {
                return conformant(self, store, visit).await;
            }
            let own = state.as_ref().is_some_and(|repo| super::tools::is_in(repo, &visit.caller));
            let seen = if own { visit.clone() } else { entitled(visit, state.as_ref()) };
            conformant(self, store, &seen).await
        })
    }
}

/// A JSON reader that knows dates, and writes them in a way of its own.
struct Dates(&'static [&'static str]);

shared!(Dates: edge);

impl Edge for Dates {
    fn body(&self, _: &Store, _: Route, _: &Parts, body: Bytes) -> Result<Bytes, Refusal> {
        let dated = |token: &str| {
            let text = token.strip_prefix('"')?.strip_suffix('"')?;
            let is_date = text.len() == 20 && text.as_bytes()[10] == b'T' && text.ends_with('Z');
            is_date.then(|| format!("\"{}.000Z\"", text.trim_end_matches('Z')))
        };
        Ok(each_token(&body, self.0, dated))
    }
}

/// A push of what is there already changes nothing: it isn't stored, and answered with the version that there is.
struct SameIsNothing;

shared!(SameIsNothing: vault);

impl VaultRules for SameIsNothing {
    fn push(&self, visit: &Visit, repo: &Repo, request: &PushRequest) -> Outcome<PushResponse> {
        let same = request.envelope.iv == repo.envelope.iv && request.envelope.ciphertext == repo.envelope.ciphertext;
        let mut outcome = operations::push(self, visit, repo, request);
        if let (true, Ok(response)) = (same, &mut outcome.answer)
            && response.accepted
        {
            response.payload_version = repo.manifest.payload_version;
            outcome.next = None;
        }
        outcome
    }
}

/// A member's row is inserted when it is first seen, and two who insert it get in each other's way.
#[derive(Default)]
struct Rows {
    known: Mutex<HashSet<String>>,
    under_way: Mutex<HashSet<String>>,
}

impl Rows {
    /// False where somebody else is inserting the same row.
    async fn insert(&self, id: &str) -> bool {
        if lock(&self.known).contains(id) {
            return true;
        }
        if !lock(&self.under_way).insert(id.to_owned()) {
            return false;
        }
        gap(WINDOW).await;
        lock(&self.under_way).remove(id);
        lock(&self.known).insert(id.to_owned());
        true
    }
}

/// The same for additions.
#[derive(Default)]
struct NewMembers(Rows);

shared!(NewMembers: vault);

impl VaultRules for NewMembers {
    fn execute<'a>(&'a self, store: &'a Store, visit: &'a Visit) -> Done<'a> {
        Box::pin(async move {
            if let Call::Add(request) = &visit.call
                && !self.0.insert(&request.member.ed25519_public_key).await
            {
                return Err(Refusal::duplicate_repo());
            }
            conformant(self, store, visit).await
        })
    }
}

faults! {
    "cache-in-front" breaks TOKEN_REQUIRED: "A cache in front keeps what fetchMemberKey has told a member for two seconds, for whoever asks next." => {
        is CacheInFront::default()
    }
    "login-gives-the-callers-token" breaks SUBJECT_IS_CALLER: "A login that comes with a token is answered with that token, whoever logs in." => {
        is AlreadyLoggedIn
    }
    "login-starts-a-session" breaks TOKEN_BEARER_ONLY: "A login sets a cookie that stands for its token, and goes before another." => {
        is Session
    }
    "membership-is-a-text-search" breaks SUBJECT_IS_CALLER: "Whoever's id stands anywhere in the roster is a member." => {
        is TextSearch
    }
    "ids-like-dates-are-rewritten" breaks CREATE_IDS_EXACT: "A repository id that looks like a date gets milliseconds in bodies." => {
        is Dates(&["repoId"])
    }
    "same-envelope-is-no-push" breaks PUSH_APPLIES: "A push of the current IV and ciphertext is answered as accepted, with the old version, and not stored." => {
        is SameIsNothing
    }
    [Race] "first-logins-conflict" breaks NONCE_REDEEMABLE: "Of two first logins of a key at the same moment one is answered with 409." => {
        state { rows: std::sync::Arc<Rows> }
        identity {
            fn redeem<'a>(
                &'a self,
                authority: &'a Authority,
                request: &'a TokenRequest,
            ) -> Later<'a, Result<TokenResponse, Refusal>> {
                Box::pin(async move {
                    let nonce = redemption::check(self, authority, request)?;
                    authority.nonces.spend(&nonce);
                    if !self.rows.insert(&request.ed25519_public_key).await {
                        return Err(Refusal::duplicate_repo());
                    }
                    redemption::grant(self, authority, &request.ed25519_public_key)
                })
            }
        }
    }
    [Race] "new-members-conflict" breaks CALLERS_KEPT_APART: "Of two additions of a member whom the server has never seen one is answered with 409." => {
        is NewMembers::default()
    }
}
