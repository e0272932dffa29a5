//! Tokens that are taken from the wrong place, callers whom the request names, and what passes for a token (SPEC §3).

use std::collections::HashMap;
use std::sync::Mutex;

use axum::http::StatusCode;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;

use super::table::*;
use super::tools::{entitled, is_in, is_refused, lock};
use crate::codec::base64;
use crate::server::credentials;
use crate::server::operations;
use crate::server::redemption::Authority;
use crate::server::refusal::Refusal;
use crate::server::repo::{Decision, Repo, Success, Visit};
use crate::server::route::Route;
use crate::server::rules::{IdentityRules, VaultRules};
use crate::wire::{TokenRequest, TokenResponse};

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
    fn transition(&self, visit: &Visit, state: Option<&Repo>) -> Decision<Success> {
        if visit.route != Route::CreateRepo {
            return operations::transition(self, visit, state);
        }
        operations::transition(self, &entitled(visit, state), state)
    }
}

struct CallerIsRemovedMember;

impl VaultRules for CallerIsRemovedMember {
    fn is_member(&self, visit: &Visit, repo: &Repo) -> bool {
        match &visit.command {
            crate::server::repo::VaultCommand::Remove(request) => is_in(repo, &request.removed_member_id),
            _ => is_in(repo, &visit.caller),
        }
    }
}

struct CallerIsFetchedMember;

impl VaultRules for CallerIsFetchedMember {
    fn is_member(&self, visit: &Visit, repo: &Repo) -> bool {
        match &visit.command {
            crate::server::repo::VaultCommand::Fetch(member_id) => is_in(repo, member_id) || is_in(repo, &visit.caller),
            _ => is_in(repo, &visit.caller),
        }
    }
}

#[derive(Default)]
struct AccountNeeded {
    accounts: Mutex<HashMap<String, ()>>,
}

impl VaultRules for AccountNeeded {
    fn transition(&self, visit: &Visit, state: Option<&Repo>) -> Decision<Success> {
        let known = lock(&self.accounts).contains_key(&visit.caller);
        if !known && visit.route != Route::CreateRepo && state.is_some() {
            return Decision::refuse(Refusal::forbidden("no such account"));
        }
        let outcome = operations::transition(self, visit, state);
        if visit.route == Route::CreateRepo && !is_refused(&outcome, StatusCode::FORBIDDEN) {
            lock(&self.accounts).insert(visit.caller.clone(), ());
        }
        outcome
    }
}
