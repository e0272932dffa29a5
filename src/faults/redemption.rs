//! Nonces that count twice, tokens that live too long, and token answers of another form (SPEC §3.2).

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;
use std::time::Duration;

use axum::http::Response;
use axum::http::request::Parts;
use bytes::Bytes;
use serde_json::{Value, json};

use super::table::*;
use super::tools::{edit, lock, rename};
use crate::codec::base64;
use crate::server::clock;
use crate::server::edge::Edge;
use crate::server::nonces::{Issued, Nonces};
use crate::server::redemption::{self, Authority};
use crate::server::refusal::Refusal;
use crate::server::route::Route;
use crate::server::rules::{IdentityRules, Later};
use crate::wire::{TokenRequest, TokenResponse};

/// Edits the answer of the token route.
fn edit_token(route: Route, response: Response<Bytes>, change: impl FnOnce(&mut Value)) -> Response<Bytes> {
    if route == Route::Token { edit(response, change) } else { response }
}

/// The faults of this area.
pub(super) const FAULTS: &[Fault] = &[
    fault("nonce-reusable", &NONCE_SINGLE_USE, "A redeemed nonce stays valid.", || identity(NonceReusable)),
    fault("nonce-used-twice", &NONCE_SINGLE_USE, "A nonce is taken out of use by its second redemption.", || {
        identity(NonceUsedTwice::default())
    }),
    fault(
        "nonce-reusable-while-fresh",
        &NONCE_SINGLE_USE,
        "A nonce can be redeemed again within a second, for clients that retry.",
        || identity(NonceReusableWhileFresh::default()),
    ),
    fault("nonce-never-issued", &NONCE_ISSUED, "A nonce that the client made up is as good as an issued one.", || {
        identity(NonceNeverIssued)
    }),
    fault(
        "nonce-for-anybody",
        &NONCE_BOUND,
        "A nonce can be redeemed by another key than the one that asked for it.",
        || identity(NonceForAnybody),
    ),
    fault(
        "token-for-the-challenged-key",
        &SUBJECT_IS_CALLER,
        "Who redeems the nonce of another key, with its own signature, gets a token for that other key.",
        || identity(TokenForTheChallengedKey),
    ),
    fault("nonce-never-expires", &NONCE_EXPIRES, "The age of a nonce isn't looked at.", || identity(NonceNeverExpires))
        .kind(Slow),
    fault(
        "nonce-ttl-in-minutes",
        &NONCE_EXPIRES,
        "The lifetime of a nonce is counted in minutes instead of seconds.",
        || identity(NonceTtlInMinutes),
    )
    .kind(Slow),
    fault("nonce-ttl-ten-minutes", &NONCE_TTL, "A nonce lives for ten minutes.", || identity(NonceTtlTenMinutes))
        .kind(Slow),
    fault("token-lives-a-month", &TOKEN_SHORT_LIVED, "A token is valid for thirty days.", || {
        identity(TokenLivesAMonth)
    }),
    fault("expiry-in-seconds", &TOKEN_ANSWER, "expiresAt is in seconds.", || identity(ExpiryInSeconds)),
    fault("expiry-relative", &TOKEN_ANSWER, "expiresAt is the lifetime, not a point in time.", || {
        identity(ExpiryRelative)
    }),
    fault("expiry-is-issue-time", &TOKEN_ANSWER, "expiresAt is the time of issue.", || identity(ExpiryIsIssueTime)),
    fault("expiry-as-text", &TOKEN_ANSWER, "expiresAt is a string of digits.", || edge(ExpiryAsText)),
    fault("expiry-as-date", &TOKEN_ANSWER, "expiresAt is an ISO 8601 date.", || edge(ExpiryAsDate)),
    fault("expiry-fractional", &TOKEN_ANSWER, "expiresAt is a number with a fraction.", || edge(ExpiryFractional)),
    fault("expiry-missing", &TOKEN_ANSWER, "The token answer has no expiresAt.", || edge(ExpiryMissing)),
    fault("expiry-snake-case", &FIELD_NAMES, "The token answer says expires_at.", || edge(ExpirySnakeCase)),
    fault("token-answer-type", &FIELD_NAMES, "The token answer has a member tokenType, too.", || edge(TokenAnswerType)),
    fault("challenge-answer-expiry", &FIELD_NAMES, "The challenge answer has a member expiresIn, too.", || {
        edge(ChallengeAnswerExpiry)
    }),
];

struct NonceReusable;

impl IdentityRules for NonceReusable {
    fn spend(&self, _: &Nonces, _: &[u8]) -> bool {
        true
    }
}

#[derive(Default)]
struct NonceUsedTwice {
    once: Mutex<HashSet<Vec<u8>>>,
}

impl IdentityRules for NonceUsedTwice {
    fn spend(&self, nonces: &Nonces, nonce: &[u8]) -> bool {
        lock(&self.once).insert(nonce.to_vec()) || nonces.spend(nonce)
    }
}

#[derive(Default)]
struct NonceReusableWhileFresh {
    spent: Mutex<HashMap<Vec<u8>, i64>>,
}

impl IdentityRules for NonceReusableWhileFresh {
    fn spend(&self, nonces: &Nonces, nonce: &[u8]) -> bool {
        let first = *lock(&self.spent).entry(nonce.to_vec()).or_insert_with(clock::now_ms);
        clock::now_ms() - first < 1000 || nonces.spend(nonce)
    }
}

struct NonceNeverIssued;

impl IdentityRules for NonceNeverIssued {
    fn nonce_is_redeemable(&self, issued: Option<&Issued>, identity: &str, ttl: Duration) -> bool {
        issued.is_none_or(|issued| issued.key == identity && issued.at.elapsed() <= ttl)
    }

    fn spend(&self, nonces: &Nonces, nonce: &[u8]) -> bool {
        nonces.spend(nonce);
        true
    }
}

struct NonceForAnybody;

impl IdentityRules for NonceForAnybody {
    fn nonce_belongs(&self, _: &str, _: &str) -> bool {
        true
    }
}

struct TokenForTheChallengedKey;

impl IdentityRules for TokenForTheChallengedKey {
    fn nonce_belongs(&self, _: &str, _: &str) -> bool {
        true
    }

    fn redeem<'a>(
        &'a self,
        authority: &'a Authority,
        request: &'a TokenRequest,
    ) -> Later<'a, Result<TokenResponse, Refusal>> {
        let issued = base64::decode(&request.nonce).ok().and_then(|nonce| authority.nonces.find(&nonce));
        let own = redemption::redeem(self, authority, request);
        let granted = match (own, issued) {
            (Ok(_), Some(issued)) => redemption::grant(self, authority, &issued.key),
            (own, _) => own,
        };
        Box::pin(std::future::ready(granted))
    }
}

struct NonceNeverExpires;

impl IdentityRules for NonceNeverExpires {
    fn nonce_ttl(&self, _: Duration) -> Duration {
        Duration::from_secs(1_000_000)
    }
}

struct NonceTtlInMinutes;

impl IdentityRules for NonceTtlInMinutes {
    fn nonce_ttl(&self, configured: Duration) -> Duration {
        configured * 60
    }
}

struct NonceTtlTenMinutes;

impl IdentityRules for NonceTtlTenMinutes {
    fn nonce_ttl(&self, _: Duration) -> Duration {
        Duration::from_secs(600)
    }
}

struct TokenLivesAMonth;

impl IdentityRules for TokenLivesAMonth {
    fn token_ttl(&self, _: Duration) -> Duration {
        Duration::from_secs(30 * 86_400)
    }
}

struct ExpiryInSeconds;

impl IdentityRules for ExpiryInSeconds {
    fn expires_at(&self, expires: i64) -> i64 {
        expires
    }
}

struct ExpiryRelative;

impl IdentityRules for ExpiryRelative {
    fn expires_at(&self, expires: i64) -> i64 {
        expires * 1000 - clock::now_ms()
    }
}

struct ExpiryIsIssueTime;

impl IdentityRules for ExpiryIsIssueTime {
    fn expires_at(&self, _: i64) -> i64 {
        clock::now_ms() - 1
    }
}

struct ExpiryAsText;

impl Edge for ExpiryAsText {
    fn response(&self, route: Route, _: &Parts, response: Response<Bytes>) -> Response<Bytes> {
        edit_token(route, response, |answer| answer["expiresAt"] = json!(answer["expiresAt"].to_string()))
    }
}

struct ExpiryAsDate;

impl Edge for ExpiryAsDate {
    fn response(&self, route: Route, _: &Parts, response: Response<Bytes>) -> Response<Bytes> {
        edit_token(route, response, |answer| {
            let expires = answer["expiresAt"].as_i64().unwrap_or_default();
            let date = jiff::Timestamp::from_millisecond(expires).unwrap_or_default();
            answer["expiresAt"] = json!(date.to_string());
        })
    }
}

struct ExpiryFractional;

impl Edge for ExpiryFractional {
    fn response(&self, route: Route, _: &Parts, response: Response<Bytes>) -> Response<Bytes> {
        edit_token(route, response, |answer| {
            answer["expiresAt"] = json!(answer["expiresAt"].as_f64().unwrap_or_default() + 0.5);
        })
    }
}

struct ExpiryMissing;

impl Edge for ExpiryMissing {
    fn response(&self, route: Route, _: &Parts, response: Response<Bytes>) -> Response<Bytes> {
        edit_token(route, response, |answer| {
            answer.as_object_mut().map(|answer| answer.remove("expiresAt"));
        })
    }
}

struct ExpirySnakeCase;

impl Edge for ExpirySnakeCase {
    fn response(&self, route: Route, _: &Parts, response: Response<Bytes>) -> Response<Bytes> {
        edit_token(route, response, |answer| {
            answer.as_object_mut().into_iter().for_each(|answer| rename(answer, "expiresAt", "expires_at"));
        })
    }
}

struct TokenAnswerType;

impl Edge for TokenAnswerType {
    fn response(&self, route: Route, _: &Parts, response: Response<Bytes>) -> Response<Bytes> {
        edit_token(route, response, |answer| answer["tokenType"] = json!("Bearer"))
    }
}

struct ChallengeAnswerExpiry;

impl Edge for ChallengeAnswerExpiry {
    fn response(&self, route: Route, _: &Parts, response: Response<Bytes>) -> Response<Bytes> {
        if route != Route::Challenge {
            return response;
        }
        edit(response, |answer| answer["expiresIn"] = json!(120))
    }
}
