//! Operations that forget to ask for a token, take it from the wrong place, or say too much without one (SPEC §3, §6).

use std::collections::HashMap;
use std::sync::Mutex;

use axum::http::StatusCode;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;

use super::table::*;
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

/// The faults of this area.
pub(super) const FAULTS: &[Fault] = &[
    fault(
        "caller-of-the-last-header",
        &SUBJECT_IS_CALLER,
        "Of two Authorization headers the first is verified, and the last says who it is.",
        || identity(VerifiesOneReadsAnother(|parts| <[String; 2]>::try_from(bearers(parts)).ok())),
    ),
    fault(
        "caller-of-the-first-header",
        &SUBJECT_IS_CALLER,
        "Of two Authorization headers the last is verified, and the first says who it is.",
        || {
            identity(VerifiesOneReadsAnother(|parts| {
                <[String; 2]>::try_from(bearers(parts)).ok().map(|[first, last]| [last, first])
            }))
        },
    ),
    fault(
        "caller-of-the-cookie",
        &SUBJECT_IS_CALLER,
        "The token in Authorization is verified; where a cookie holds one, that says who it is.",
        || {
            identity(VerifiesOneReadsAnother(|parts| {
                let cookies = parts.headers.get(axum::http::header::COOKIE)?.to_str().ok()?;
                let session = cookies.split("; ").find_map(|cookie| cookie.strip_prefix("access_token="))?.to_owned();
                Some([bearers(parts).pop()?, session])
            }))
        },
    ),
    fault("create-needs-no-token", &TOKEN_REQUIRED, "createRepo works without a token.", || {
        identity_and_vault(Unguarded(Route::CreateRepo))
    }),
    fault("pull-needs-no-token", &TOKEN_REQUIRED, "pull works without a token.", || {
        identity_and_vault(Unguarded(Route::Pull))
    }),
    fault("push-needs-no-token", &TOKEN_REQUIRED, "push works without a token.", || {
        identity_and_vault(Unguarded(Route::Push))
    }),
    fault("add-needs-no-token", &TOKEN_REQUIRED, "addMember works without a token.", || {
        identity_and_vault(Unguarded(Route::AddMember))
    }),
    fault("remove-needs-no-token", &TOKEN_REQUIRED, "removeMember works without a token.", || {
        identity_and_vault(Unguarded(Route::RemoveMember))
    }),
    fault("fetch-needs-no-token", &TOKEN_REQUIRED, "fetchMemberKey works without a token.", || {
        identity_and_vault(Unguarded(Route::FetchMemberKey))
    }),
    fault("create-takes-garbage-token", &TOKEN_REQUIRED, "createRepo works with any text for a token.", || {
        identity_and_vault(Credulous(Route::CreateRepo))
    }),
    fault("pull-takes-garbage-token", &TOKEN_REQUIRED, "pull works with any text for a token.", || {
        identity_and_vault(Credulous(Route::Pull))
    }),
    fault("push-takes-garbage-token", &TOKEN_REQUIRED, "push works with any text for a token.", || {
        identity_and_vault(Credulous(Route::Push))
    }),
    fault("add-takes-garbage-token", &TOKEN_REQUIRED, "addMember works with any text for a token.", || {
        identity_and_vault(Credulous(Route::AddMember))
    }),
    fault("remove-takes-garbage-token", &TOKEN_REQUIRED, "removeMember works with any text for a token.", || {
        identity_and_vault(Credulous(Route::RemoveMember))
    }),
    fault("fetch-takes-garbage-token", &TOKEN_REQUIRED, "fetchMemberKey works with any text for a token.", || {
        identity_and_vault(Credulous(Route::FetchMemberKey))
    }),
    fault(
        "unauthenticated-401-but-done",
        &TOKEN_REQUIRED,
        "A request without a token is answered with 401 after it was carried out.",
        || identity_and_vault(Unauthenticated401ButDone),
    ),
    fault(
        "unauthenticated-404",
        &UNAUTHENTICATED_SILENCE,
        "Without a token, an unknown repository is 404 and a known one 401.",
        || identity_and_vault(Unauthenticated404),
    ),
    fault(
        "unauthenticated-409",
        &UNAUTHENTICATED_SILENCE,
        "Without a token, createRepo tells whether the id is taken.",
        || identity_and_vault(Unauthenticated409),
    ),
    fault(
        "token-in-query",
        &TOKEN_BEARER_ONLY,
        "The token is accepted in the query string, where it ends up in logs.",
        || identity(TokenInQuery),
    ),
    fault("token-any-scheme", &TOKEN_BEARER_ONLY, "The token is accepted under any authorization scheme.", || {
        identity(TokenAnyScheme)
    }),
    fault("token-bare", &TOKEN_BEARER_ONLY, "The token is accepted without any scheme.", || identity(TokenBare)),
    fault(
        "token-any-case",
        &TOKEN_BEARER_ONLY,
        "The token is looked up without regard to upper and lower case.",
        || identity(TokenAnyCase::default()),
    ),
    fault(
        "caller-from-member-list",
        &SUBJECT_IS_CALLER,
        "createRepo takes its only member for the caller, whoever holds the token.",
        || vault(CallerFromMemberList),
    ),
    fault(
        "caller-is-removed-member",
        &SUBJECT_IS_CALLER,
        "removeMember checks the membership of the removed member instead of the caller's.",
        || vault(CallerIsRemovedMember),
    ),
    fault(
        "caller-is-fetched-member",
        &SUBJECT_IS_CALLER,
        "fetchMemberKey checks the membership of the member asked for instead of the caller's.",
        || vault(CallerIsFetchedMember),
    ),
    fault(
        "nonce-is-a-token",
        &TOKEN_REQUIRED,
        "Nonces and tokens are in one table: a nonce that nobody has signed opens like a token.",
        || {
            identity(OneTable {
                nonce: |random| random.to_vec(),
                spelled: Some(base64::encode),
                owners: Mutex::default(),
            })
        },
    ),
    fault(
        "text-of-nonce-is-a-token",
        &TOKEN_REQUIRED,
        "A nonce is a text of the server's, and that text opens like a token.",
        || {
            identity(OneTable {
                nonce: |random| format!("challenge.{}", base64::encode_url(&random)).into_bytes(),
                spelled: Some(|text| String::from_utf8_lossy(text).into_owned()),
                owners: Mutex::default(),
            })
        },
    ),
    fault(
        "signature-is-a-token",
        &TOKEN_REQUIRED,
        "The signature of a login opens like the token that it has bought.",
        || identity(OneTable { nonce: |random| random.to_vec(), spelled: None, owners: Mutex::default() }),
    ),
    fault(
        "account-needed",
        &NO_ACCOUNT,
        "Only who has created a repository here has an account, and only accounts are let in.",
        || vault(AccountNeeded::default()),
    ),
];

struct Unauthenticated401ButDone;

impl IdentityRules for Unauthenticated401ButDone {
    fn authenticate(&self, authority: &Authority, _: Route, parts: &Parts) -> Result<String, Refusal> {
        Ok(anybody(self, authority, parts))
    }
}

impl VaultRules for Unauthenticated401ButDone {
    fn transition(&self, visit: &Visit, state: Option<&Repo>) -> Outcome<Answer> {
        if visit.caller != NOBODY {
            return operations::transition(self, visit, state);
        }
        let done = operations::transition(self, &entitled(visit, state), state);
        Outcome { next: done.next, ..unauthorized() }
    }
}

struct Unauthenticated404;

impl IdentityRules for Unauthenticated404 {
    fn authenticate(&self, authority: &Authority, _: Route, parts: &Parts) -> Result<String, Refusal> {
        Ok(anybody(self, authority, parts))
    }
}

impl VaultRules for Unauthenticated404 {
    fn transition(&self, visit: &Visit, state: Option<&Repo>) -> Outcome<Answer> {
        match state {
            Some(_) if visit.caller == NOBODY => unauthorized(),
            None if visit.caller == NOBODY && visit.route == Route::CreateRepo => unauthorized(),
            _ => operations::transition(self, visit, state),
        }
    }
}

struct Unauthenticated409;

impl IdentityRules for Unauthenticated409 {
    fn authenticate(&self, authority: &Authority, route: Route, parts: &Parts) -> Result<String, Refusal> {
        match anybody(self, authority, parts) {
            caller if caller == NOBODY && route != Route::CreateRepo => Err(Refusal::unauthorized("no valid token")),
            caller => Ok(caller),
        }
    }
}

impl VaultRules for Unauthenticated409 {
    fn transition(&self, visit: &Visit, state: Option<&Repo>) -> Outcome<Answer> {
        match state {
            Some(_) if visit.caller == NOBODY => Outcome::refuse(Refusal::duplicate_repo()),
            None if visit.caller == NOBODY => unauthorized(),
            _ => operations::transition(self, visit, state),
        }
    }
}

struct TokenInQuery;

impl IdentityRules for TokenInQuery {
    fn bearer(&self, parts: &Parts) -> Option<String> {
        credentials::bearer(&parts.headers).or_else(|| from_query(parts))
    }
}

struct TokenAnyScheme;

impl IdentityRules for TokenAnyScheme {
    fn bearer(&self, parts: &Parts) -> Option<String> {
        authorization(parts)?.split_once(' ').map(|(_, token)| token.trim().to_owned())
    }
}

struct TokenBare;

impl IdentityRules for TokenBare {
    fn bearer(&self, parts: &Parts) -> Option<String> {
        let value = authorization(parts)?;
        Some(value.strip_prefix("Bearer ").unwrap_or(value).to_owned())
    }
}

#[derive(Default)]
struct TokenAnyCase {
    sessions: Mutex<HashMap<String, String>>,
}

impl IdentityRules for TokenAnyCase {
    fn redeemed(&self, request: &TokenRequest, granted: &TokenResponse) {
        lock(&self.sessions).insert(granted.token.to_lowercase(), request.ed25519_public_key.clone());
    }

    fn member_of_token(&self, authority: &Authority, token: &str) -> Result<String, Refusal> {
        let known = lock(&self.sessions).get(&token.to_lowercase()).cloned();
        known.map_or_else(|| authority.issuer.member_of(self, token), Ok)
    }
}

struct CallerFromMemberList;

impl VaultRules for CallerFromMemberList {
    fn transition(&self, visit: &Visit, state: Option<&Repo>) -> Outcome<Answer> {
        if visit.route != Route::CreateRepo {
            return operations::transition(self, visit, state);
        }
        operations::transition(self, &entitled(visit, state), state)
    }
}

struct CallerIsRemovedMember;

impl VaultRules for CallerIsRemovedMember {
    fn is_member(&self, visit: &Visit, repo: &Repo) -> bool {
        match &visit.call {
            crate::server::repo::Call::Remove(request) => is_in(repo, &request.removed_member_id),
            _ => is_in(repo, &visit.caller),
        }
    }
}

struct CallerIsFetchedMember;

impl VaultRules for CallerIsFetchedMember {
    fn is_member(&self, visit: &Visit, repo: &Repo) -> bool {
        match &visit.call {
            crate::server::repo::Call::Fetch(member_id) => is_in(repo, member_id) || is_in(repo, &visit.caller),
            _ => is_in(repo, &visit.caller),
        }
    }
}

#[derive(Default)]
struct AccountNeeded {
    accounts: Mutex<HashMap<String, ()>>,
}

impl VaultRules for AccountNeeded {
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
