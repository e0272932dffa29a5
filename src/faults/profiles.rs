//! What goes wrong between the two profiles of one server: one of them keeps to itself what the other should know.

use std::collections::HashMap;
use std::sync::Mutex;

use axum::http::Response;
use axum::http::request::Parts;
use bytes::Bytes;
use memchr::memmem;
use serde_json::Value;

use super::table::*;
use super::tools::lock;
use crate::server::Profile;
use crate::server::edge::Edge;
use crate::server::redemption::Authority;
use crate::server::refusal::Refusal;
use crate::server::route::Route;
use crate::server::rules::IdentityRules;

/// Whether a request came as a call.
fn is_call(parts: &Parts) -> bool {
    parts.extensions.get::<Profile>() == Some(&Profile::Grpc)
}

/// Pulls that gRPC has answered, by repository: only what is written by gRPC is noticed.
#[derive(Default)]
struct CachedByGrpc(Mutex<HashMap<String, Bytes>>);

impl Edge for CachedByGrpc {
    fn response(&self, route: Route, parts: &Parts, response: Response<Bytes>) -> Response<Bytes> {
        let Some(repo) = parts.uri.path().split('/').nth(3).filter(|_| is_call(parts)) else { return response };
        let mut pulls = lock(&self.0);
        if route.writes() {
            pulls.remove(repo);
        }
        let is_whole = memmem::find(response.body(), br#""envelope":{"#).is_some();
        if route != Route::Pull || !is_whole {
            return response;
        }
        let kept = pulls.entry(repo.to_owned()).or_insert_with(|| response.body().clone()).clone();
        response.map(|_| kept)
    }
}

/// Tokens are kept in a list for each profile.
#[derive(Default)]
struct TokensApart(Mutex<HashMap<String, bool>>);

impl IdentityRules for TokensApart {
    fn authenticate(&self, authority: &Authority, _: Route, parts: &Parts) -> Result<String, Refusal> {
        let token = self.bearer(parts).ok_or(Refusal::unauthorized("no bearer token"))?;
        match lock(&self.0).get(&token) {
            Some(by_call) if *by_call != is_call(parts) => Err(Refusal::unauthorized("no such token")),
            _ => self.member_of_token(authority, &token),
        }
    }
}

impl Edge for TokensApart {
    fn response(&self, route: Route, parts: &Parts, response: Response<Bytes>) -> Response<Bytes> {
        if route == Route::Token && response.status().is_success() {
            let body: Value = serde_json::from_slice(response.body()).unwrap_or_default();
            if let Some(token) = body["token"].as_str() {
                lock(&self.0).insert(token.to_owned(), is_call(parts));
            }
        }
        response
    }
}

/// The faults of this area.
pub(super) const FAULTS: &[Fault] = &[
    fault(
        "profiles-pulls-cached",
        &READ_YOUR_WRITES,
        "gRPC serves pulls from a cache that only its own writes clear.",
        || edge(CachedByGrpc::default()),
    )
    .kind(Profiles),
    fault(
        "profiles-tokens-apart",
        &TOKEN_LASTS,
        "A token that was had by one profile is unknown to the other.",
        || edge_and_identity(TokensApart::default()),
    )
    .kind(Profiles),
];
