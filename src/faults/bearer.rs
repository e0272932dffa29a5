//! Operations that forget to ask for a token, take it from the wrong place, or say too much without one (SPEC §3, §6).

use std::collections::HashMap;
use std::sync::Mutex;

use axum::http::StatusCode;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;

use super::tools::{NOBODY, entitled, is_in, is_refused, lock};
use crate::codec::base64;
use crate::server::credentials;
use crate::server::operations;
use crate::server::redemption::Authority;
use crate::server::refusal::Refusal;
use crate::server::repo::{Answer, Outcome, Repo, Visit};
use crate::server::route::Route;
use crate::server::rules::{IdentityRules, VaultRules};
use crate::wire::{TokenRequest, TokenResponse};

/// One operation whose author forgot to ask for a token.
struct Unguarded(Route);

shared!(Unguarded: identity, vault);

impl IdentityRules for Unguarded {
    fn authenticate(&self, authority: &Authority, route: Route, parts: &Parts) -> Result<String, Refusal> {
        if route == self.0 && !parts.headers.contains_key(AUTHORIZATION) {
            return Ok(NOBODY.to_owned());
        }
        let token = self.bearer(parts).ok_or(Refusal::unauthorized("no bearer token"))?;
        self.member_of_token(authority, &token)
    }
}

impl VaultRules for Unguarded {
    fn transition(&self, visit: &Visit, state: Option<&Repo>) -> Outcome<Answer> {
        if visit.caller == NOBODY {
            return operations::transition(self, &entitled(visit, state), state);
        }
        operations::transition(self, visit, state)
    }
}

/// A server that asks who the caller is, doesn't mind the answer, and gets on with one operation.
struct Credulous(Route);

shared!(Credulous: identity, vault);

impl IdentityRules for Credulous {
    fn authenticate(&self, authority: &Authority, route: Route, parts: &Parts) -> Result<String, Refusal> {
        let caller = self.bearer(parts).map(|token| self.member_of_token(authority, &token));
        match caller {
            Some(Err(_)) if route == self.0 => Ok(NOBODY.to_owned()),
            Some(caller) => caller,
            None => Err(Refusal::unauthorized("no bearer token")),
        }
    }
}

impl VaultRules for Credulous {
    fn transition(&self, visit: &Visit, state: Option<&Repo>) -> Outcome<Answer> {
        if visit.caller == NOBODY {
            return operations::transition(self, &entitled(visit, state), state);
        }
        operations::transition(self, visit, state)
    }
}

/// Verifies one of the tokens that a request brings and reads the caller from another, as a filter and a handler do that each look for
/// themselves.
struct VerifiesOneReadsAnother(fn(&Parts) -> Option<[String; 2]>);

shared!(VerifiesOneReadsAnother: identity);

impl IdentityRules for VerifiesOneReadsAnother {
    fn authenticate(&self, authority: &Authority, _: Route, parts: &Parts) -> Result<String, Refusal> {
        if let Some([verified, read]) = (self.0)(parts) {
            let caller = self.member_of_token(authority, &verified)?;
            return Ok(unverified(&read).unwrap_or(caller));
        }
        let token = self.bearer(parts).ok_or(Refusal::unauthorized("no bearer token"))?;
        self.member_of_token(authority, &token)
    }
}

/// Parts of logins and tokens are in one table: nonces, as they are spelled, or signatures.
struct OneTable {
    nonce: fn([u8; 32]) -> Vec<u8>,
    /// `None`: signatures, not nonces.
    spelled: Option<fn(&[u8]) -> String>,
    owners: Mutex<HashMap<String, String>>,
}

shared!(OneTable: identity);

impl IdentityRules for OneTable {
    fn make_nonce(&self, key: &str, random: [u8; 32]) -> Vec<u8> {
        let nonce = (self.nonce)(random);
        if let Some(spelled) = self.spelled {
            lock(&self.owners).insert(spelled(&nonce), key.to_owned());
        }
        nonce
    }

    fn redeemed(&self, request: &TokenRequest, _: &TokenResponse) {
        if self.spelled.is_none() {
            lock(&self.owners).insert(request.signature.clone(), request.ed25519_public_key.clone());
        }
    }

    fn member_of_token(&self, authority: &Authority, token: &str) -> Result<String, Refusal> {
        let owner = lock(&self.owners).get(token).cloned();
        owner.map_or_else(|| authority.issuer.member_of(self, token), Ok)
    }
}

/// The member that a token names, whoever has signed it.
fn unverified(token: &str) -> Option<String> {
    let claims = crate::codec::base64::decode_url(token.split('.').nth(1)?).ok()?;
    let claims: serde_json::Value = serde_json::from_slice(&claims).ok()?;
    Some(claims["sub"].as_str()?.strip_prefix("key:")?.to_owned())
}

/// The tokens of all Authorization headers.
fn bearers(parts: &Parts) -> Vec<String> {
    let values = parts.headers.get_all(AUTHORIZATION).iter().filter_map(|value| value.to_str().ok());
    values.filter_map(|value| value.strip_prefix("Bearer ")).map(str::to_owned).collect()
}

/// Lets everybody in, and leaves the 401 to `transition`.
fn anybody(rules: &dyn crate::server::rules::IdentityRules, authority: &Authority, parts: &Parts) -> String {
    let caller = rules.bearer(parts).map(|token| rules.member_of_token(authority, &token));
    caller.and_then(Result::ok).unwrap_or_else(|| NOBODY.to_owned())
}

fn unauthorized<T>() -> Outcome<T> {
    Outcome::refuse(Refusal::unauthorized("no valid token"))
}

fn from_query(parts: &Parts) -> Option<String> {
    let pairs = parts.uri.query()?.split('&').filter_map(|pair| pair.split_once('='));
    let mut tokens = pairs.filter(|(name, _)| matches!(*name, "access_token" | "token"));
    tokens.next().map(|(_, token)| token.to_owned())
}

fn authorization(parts: &Parts) -> Option<&str> {
    parts.headers.get(AUTHORIZATION)?.to_str().ok()
}

faults! {
    "caller-of-the-last-header" breaks SUBJECT_IS_CALLER: "Of two Authorization headers the first is verified, and the last says who it is." => {
        is VerifiesOneReadsAnother(|parts| <[String; 2]>::try_from(bearers(parts)).ok())
    }
    "caller-of-the-first-header" breaks SUBJECT_IS_CALLER: "Of two Authorization headers the last is verified, and the first says who it is." => {
        is VerifiesOneReadsAnother(|parts| <[String; 2]>::try_from(bearers(parts)).ok().map(|[first, last]| [last, first]))
    }
    "caller-of-the-cookie" breaks SUBJECT_IS_CALLER: "The token in Authorization is verified; where a cookie holds one, that says who it is." => {
        is VerifiesOneReadsAnother(|parts| {
            let cookies = parts.headers.get(axum::http::header::COOKIE)?.to_str().ok()?;
            let session = cookies.split("; ").find_map(|cookie| cookie.strip_prefix("access_token="))?.to_owned();
            Some([bearers(parts).pop()?, session])
        })
    }
    "create-needs-no-token" breaks TOKEN_REQUIRED: "createRepo works without a token." => { is Unguarded(Route::CreateRepo) }
    "pull-needs-no-token" breaks TOKEN_REQUIRED: "pull works without a token." => { is Unguarded(Route::Pull) }
    "push-needs-no-token" breaks TOKEN_REQUIRED: "push works without a token." => { is Unguarded(Route::Push) }
    "add-needs-no-token" breaks TOKEN_REQUIRED: "addMember works without a token." => { is Unguarded(Route::AddMember) }
    "remove-needs-no-token" breaks TOKEN_REQUIRED: "removeMember works without a token." => { is Unguarded(Route::RemoveMember) }
    "fetch-needs-no-token" breaks TOKEN_REQUIRED: "fetchMemberKey works without a token." => { is Unguarded(Route::FetchMemberKey) }
    "create-takes-garbage-token" breaks TOKEN_REQUIRED: "createRepo works with any text for a token." => { is Credulous(Route::CreateRepo) }
    "pull-takes-garbage-token" breaks TOKEN_REQUIRED: "pull works with any text for a token." => { is Credulous(Route::Pull) }
    "push-takes-garbage-token" breaks TOKEN_REQUIRED: "push works with any text for a token." => { is Credulous(Route::Push) }
    "add-takes-garbage-token" breaks TOKEN_REQUIRED: "addMember works with any text for a token." => { is Credulous(Route::AddMember) }
    "remove-takes-garbage-token" breaks TOKEN_REQUIRED: "removeMember works with any text for a token." => { is Credulous(Route::RemoveMember) }
    "fetch-takes-garbage-token" breaks TOKEN_REQUIRED: "fetchMemberKey works with any text for a token." => { is Credulous(Route::FetchMemberKey) }
    "unauthenticated-401-but-done" breaks TOKEN_REQUIRED: "A request without a token is answered with 401 after it was carried out." => {
        identity {
            fn authenticate(&self, authority: &Authority, _: Route, parts: &Parts) -> Result<String, Refusal> {
                Ok(anybody(self, authority, parts))
            }
        }
        vault {
            fn transition(&self, visit: &Visit, state: Option<&Repo>) -> Outcome<Answer> {
                if visit.caller != NOBODY {
                    return operations::transition(self, visit, state);
                }
                let done = operations::transition(self, &entitled(visit, state), state);
                Outcome { next: done.next, ..unauthorized() }
            }
        }
    }
    "unauthenticated-404" breaks UNAUTHENTICATED_SILENCE: "Without a token, an unknown repository is 404 and a known one 401." => {
        identity {
            fn authenticate(&self, authority: &Authority, _: Route, parts: &Parts) -> Result<String, Refusal> {
                Ok(anybody(self, authority, parts))
            }
        }
        vault {
            fn transition(&self, visit: &Visit, state: Option<&Repo>) -> Outcome<Answer> {
                match state {
                    Some(_) if visit.caller == NOBODY => unauthorized(),
                    None if visit.caller == NOBODY && visit.route == Route::CreateRepo => unauthorized(),
                    _ => operations::transition(self, visit, state),
                }
            }
        }
    }
    "unauthenticated-409" breaks UNAUTHENTICATED_SILENCE: "Without a token, createRepo tells whether the id is taken." => {
        identity {
            fn authenticate(&self, authority: &Authority, route: Route, parts: &Parts) -> Result<String, Refusal> {
                match anybody(self, authority, parts) {
                    caller if caller == NOBODY && route != Route::CreateRepo => Err(Refusal::unauthorized("no valid token")),
                    caller => Ok(caller),
                }
            }
        }
        vault {
            fn transition(&self, visit: &Visit, state: Option<&Repo>) -> Outcome<Answer> {
                match state {
                    Some(_) if visit.caller == NOBODY => Outcome::refuse(Refusal::duplicate_repo()),
                    None if visit.caller == NOBODY => unauthorized(),
                    _ => operations::transition(self, visit, state),
                }
            }
        }
    }
    "token-in-query" breaks TOKEN_BEARER_ONLY: "The token is accepted in the query string, where it ends up in logs." => {
        identity {
            fn bearer(&self, parts: &Parts) -> Option<String> {
                credentials::bearer(&parts.headers).or_else(|| from_query(parts))
            }
        }
    }
    "token-any-scheme" breaks TOKEN_BEARER_ONLY: "The token is accepted under any authorization scheme." => {
        identity {
            fn bearer(&self, parts: &Parts) -> Option<String> {
                authorization(parts)?.split_once(' ').map(|(_, token)| token.trim().to_owned())
            }
        }
    }
    "token-bare" breaks TOKEN_BEARER_ONLY: "The token is accepted without any scheme." => {
        identity {
            fn bearer(&self, parts: &Parts) -> Option<String> {
                let value = authorization(parts)?;
                Some(value.strip_prefix("Bearer ").unwrap_or(value).to_owned())
            }
        }
    }
    "token-any-case" breaks TOKEN_BEARER_ONLY: "The token is looked up without regard to upper and lower case." => {
        state { sessions: Mutex<HashMap<String, String>> }
        identity {
            fn redeemed(&self, request: &TokenRequest, granted: &TokenResponse) {
                lock(&self.sessions).insert(granted.token.to_lowercase(), request.ed25519_public_key.clone());
            }
            fn member_of_token(&self, authority: &Authority, token: &str) -> Result<String, Refusal> {
                let known = lock(&self.sessions).get(&token.to_lowercase()).cloned();
                known.map_or_else(|| authority.issuer.member_of(self, token), Ok)
            }
        }
    }
    "caller-from-member-list" breaks SUBJECT_IS_CALLER: "createRepo takes its only member for the caller, whoever holds the token." => {
        vault {
            fn transition(&self, visit: &Visit, state: Option<&Repo>) -> Outcome<Answer> {
                if visit.route != Route::CreateRepo {
                    return operations::transition(self, visit, state);
                }
                operations::transition(self, &entitled(visit, state), state)
            }
        }
    }
    "caller-is-removed-member" breaks SUBJECT_IS_CALLER: "removeMember checks the membership of the removed member instead of the caller's." => {
        vault {
            fn is_member(&self, visit: &Visit, repo: &Repo) -> bool {
                match &visit.call {
                    crate::server::repo::Call::Remove(request) => is_in(repo, &request.removed_member_id),
                    _ => is_in(repo, &visit.caller),
                }
            }
        }
    }
    "caller-is-fetched-member" breaks SUBJECT_IS_CALLER: "fetchMemberKey checks the membership of the member asked for instead of the caller's." => {
        vault {
            fn is_member(&self, visit: &Visit, repo: &Repo) -> bool {
                match &visit.call {
                    crate::server::repo::Call::Fetch(member_id) => is_in(repo, member_id) || is_in(repo, &visit.caller),
                    _ => is_in(repo, &visit.caller),
                }
            }
        }
    }
    "nonce-is-a-token" breaks TOKEN_REQUIRED: "Nonces and tokens are in one table: a nonce that nobody has signed opens like a token." => {
        is OneTable { nonce: |random| random.to_vec(), spelled: Some(base64::encode), owners: Mutex::default() }
    }
    "text-of-nonce-is-a-token" breaks TOKEN_REQUIRED: "A nonce is a text of the server's, and that text opens like a token." => {
        is OneTable {
            nonce: |random| format!("challenge.{}", base64::encode_url(&random)).into_bytes(),
            spelled: Some(|text| String::from_utf8_lossy(text).into_owned()),
            owners: Mutex::default(),
        }
    }
    "signature-is-a-token" breaks TOKEN_REQUIRED: "The signature of a login opens like the token that it has bought." => {
        is OneTable { nonce: |random| random.to_vec(), spelled: None, owners: Mutex::default() }
    }
    "account-needed" breaks NO_ACCOUNT: "Only who has created a repository here has an account, and only accounts are let in." => {
        state { accounts: Mutex<HashMap<String, ()>> }
        vault {
            fn transition(&self, visit: &Visit, state: Option<&Repo>) -> Outcome<Answer> {
                let known = lock(&self.accounts).contains_key(&visit.caller);
                if !known && visit.route != Route::CreateRepo && state.is_some() {
                    return Outcome::refuse(Refusal::forbidden("no such account"));
                }
                let outcome = operations::transition(self, visit, state);
                if visit.route == Route::CreateRepo && !is_refused(&outcome, StatusCode::FORBIDDEN) {
                    lock(&self.accounts).insert(visit.caller.clone(), ());
                }
                outcome
            }
        }
    }
}
