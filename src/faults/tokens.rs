//! Tokens that say too much, and tokens that shouldn't count (SPEC §3).

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;

use serde_json::{Map, Value, json};

use super::table::*;
use super::tools::lock;
use crate::codec::jwt::Jwt;
use crate::codec::{base64, signature};
use crate::server::issuer::{self, Issuer};
use crate::server::refusal::Refusal;
use crate::server::rules::{Conformant, IdentityRules};
use crate::wire::{TokenRequest, TokenResponse};

/// What isn't one of ours.
pub(super) const REFUSED: Refusal = Refusal {
    status: axum::http::StatusCode::UNAUTHORIZED,
    code: Some("unauthorized"),
    detail: std::borrow::Cow::Borrowed("the token isn't one of ours"),
};

/// The member that a token names, unverified.
pub(super) fn named(token: &str) -> Result<String, Refusal> {
    let token = Jwt::parse(token).map_err(|_| REFUSED)?;
    token.subject().and_then(|subject| subject.strip_prefix("key:")).map(str::to_owned).ok_or(REFUSED)
}

fn is_alg(header: &Map<String, Value>, alg: &str) -> bool {
    header.get("alg").and_then(Value::as_str) == Some(alg)
}

fn conformant(issuer: &str, member: &str, issued: i64, expires: i64, jti: String) -> Map<String, Value> {
    Conformant.claims(issuer, member, issued, expires, jti)
}

/// A claim by name that isn't ours: its value in the token of a member, or no such claim.
struct Claims(&'static str, fn(&str) -> Option<Value>);

impl IdentityRules for Claims {
    fn claims(&self, issuer: &str, member: &str, issued: i64, expires: i64, jti: String) -> Map<String, Value> {
        let mut claims = conformant(issuer, member, issued, expires, jti);
        match (self.1)(member) {
            Some(value) => claims.insert(self.0.to_owned(), value),
            None => claims.remove(self.0),
        };
        claims
    }
}

/// The faults of this area.
pub(super) const FAULTS: &[Fault] = &[
    fault("claims-bare-subject", &TOKEN_CLAIMS, "The subject is the member id without the prefix.", || {
        identity(ClaimsBareSubject)
    }),
    fault("claims-account-subject", &TOKEN_CLAIMS, "The subject is an account number of the server's own.", || {
        identity(Claims("sub", |member| Some(json!(format!("user-{}", member.len())))))
    }),
    fault("claims-kind-user", &TOKEN_CLAIMS, "The kind is user.", || identity(Claims("kind", |_| Some(json!("user"))))),
    fault("claims-kind-missing", &TOKEN_CLAIMS, "There is no claim kind.", || identity(Claims("kind", |_| None))),
    fault("claims-email", &TOKEN_CLAIMS, "The token claims an e-mail address.", || {
        identity(Claims("email", |_| Some(json!("somebody@example.org"))))
    }),
    fault("claims-roles", &TOKEN_CLAIMS, "The token claims roles.", || {
        identity(Claims("roles", |_| Some(json!(["member"]))))
    }),
    fault("claims-account", &TOKEN_CLAIMS, "The token claims an account id.", || {
        identity(Claims("accountId", |_| Some(json!(17))))
    }),
    fault("token-unverified", &TOKEN_VERIFIED, "A token is decoded and believed.", || identity(TokenUnverified)),
    fault("token-signature-optional", &TOKEN_VERIFIED, "A token with an empty signature is believed.", || {
        identity(TokenSignatureOptional)
    }),
    fault("token-alg-none", &TOKEN_VERIFIED, "A token whose algorithm is none needs no signature.", || {
        identity(TokenAlgNone)
    }),
    fault(
        "token-alg-none-odd-case",
        &TOKEN_VERIFIED,
        "The algorithm none is refused, but None and NONE need no signature.",
        || identity(TokenAlgNoneOddCase),
    ),
    fault("token-any-key", &TOKEN_VERIFIED, "The signature is taken on trust as long as it is 64 bytes.", || {
        identity(TokenAnyKey)
    }),
    fault(
        "token-embedded-key",
        &TOKEN_VERIFIED,
        "A token is verified with the key that its own header brings along.",
        || identity(TokenEmbeddedKey),
    ),
    fault("token-signature-half", &TOKEN_VERIFIED, "Only the first half of a token's signature is compared.", || {
        identity(TokenSignatureHalf)
    }),
    fault(
        "token-cached-by-payload",
        &TOKEN_VERIFIED,
        "A token whose payload was seen before isn't verified again.",
        || identity(TokenCachedByPayload::default()),
    ),
    fault(
        "token-session-by-id",
        &TOKEN_VERIFIED,
        "A token counts if its jti is that of a session, whatever else it says.",
        || identity(TokenSessionById::default()),
    ),
    fault(
        "token-from-anywhere",
        &TOKEN_LOCAL,
        "A token of another issuer is believed, as one of a federated server.",
        || identity(TokenFromAnywhere),
    ),
    fault("token-never-expires", &TOKEN_EXPIRES, "The expiry of a token isn't looked at.", || {
        identity(TokenNeverExpires)
    })
    .kind(Slow),
    fault(
        "token-expiry-units",
        &TOKEN_EXPIRES,
        "Seconds since the epoch are compared with milliseconds of expiry.",
        || identity(TokenExpiryUnits),
    )
    .kind(Slow),
    fault(
        "token-expiry-an-hour-late",
        &TOKEN_EXPIRES,
        "Tokens are accepted for an hour after their expiry, for clocks that are slow.",
        || identity(TokenExpiryAnHourLate),
    )
    .kind(Slow),
];

struct ClaimsBareSubject;

impl IdentityRules for ClaimsBareSubject {
    fn claims(&self, issuer: &str, member: &str, issued: i64, expires: i64, jti: String) -> Map<String, Value> {
        let mut claims = conformant(issuer, member, issued, expires, jti);
        claims.insert("sub".into(), json!(member));
        claims
    }

    fn member_of_subject(&self, subject: &str) -> Option<String> {
        Some(subject.to_owned())
    }
}

struct TokenUnverified;

impl IdentityRules for TokenUnverified {
    fn verify_token(&self, _: &Issuer, token: &str, _: i64) -> Result<String, Refusal> {
        named(token)
    }
}

struct TokenSignatureOptional;

impl IdentityRules for TokenSignatureOptional {
    fn token_signature_holds(&self, issuer_key: &[u8; 32], token: &Jwt) -> bool {
        token.signature.is_empty() || Conformant.token_signature_holds(issuer_key, token)
    }
}

struct TokenAlgNone;

impl IdentityRules for TokenAlgNone {
    fn token_header_holds(&self, ours: &Map<String, Value>, theirs: &Map<String, Value>) -> bool {
        ours == theirs || is_alg(theirs, "none")
    }

    fn token_signature_holds(&self, issuer_key: &[u8; 32], token: &Jwt) -> bool {
        is_alg(&token.header, "none") || Conformant.token_signature_holds(issuer_key, token)
    }
}

struct TokenAlgNoneOddCase;

impl IdentityRules for TokenAlgNoneOddCase {
    fn token_header_holds(&self, ours: &Map<String, Value>, theirs: &Map<String, Value>) -> bool {
        ours == theirs || is_alg(theirs, "None") || is_alg(theirs, "NONE")
    }

    fn token_signature_holds(&self, issuer_key: &[u8; 32], token: &Jwt) -> bool {
        is_alg(&token.header, "None")
            || is_alg(&token.header, "NONE")
            || Conformant.token_signature_holds(issuer_key, token)
    }
}

struct TokenAnyKey;

impl IdentityRules for TokenAnyKey {
    fn token_signature_holds(&self, _: &[u8; 32], token: &Jwt) -> bool {
        token.signature.len() == 64
    }
}

struct TokenEmbeddedKey;

impl IdentityRules for TokenEmbeddedKey {
    fn token_header_holds(&self, ours: &Map<String, Value>, theirs: &Map<String, Value>) -> bool {
        ours == theirs || theirs.contains_key("jwk")
    }

    fn token_signature_holds(&self, issuer_key: &[u8; 32], token: &Jwt) -> bool {
        let embedded = token.header.get("jwk").and_then(|jwk| jwk.get("x")).and_then(Value::as_str);
        let embedded = embedded.and_then(|x| base64::decode_url(x).ok()).and_then(|x| x.try_into().ok());
        let key = embedded.as_ref().unwrap_or(issuer_key);
        signature::verify(key, token.signing_input.as_bytes(), &token.signature).is_ok()
    }
}

struct TokenSignatureHalf;

impl IdentityRules for TokenSignatureHalf {
    fn verify_token(&self, issuer: &Issuer, token: &str, now_ms: i64) -> Result<String, Refusal> {
        let parsed = Jwt::parse(token).map_err(|_| REFUSED)?;
        let ours = issuer.sign(parsed.signing_input.as_bytes());
        if parsed.signature.get(..32) == Some(&ours[..32]) {
            return named(token);
        }
        issuer::verify(self, issuer, token, now_ms)
    }
}

#[derive(Default)]
struct TokenCachedByPayload {
    payloads: Mutex<HashMap<String, String>>,
}

impl IdentityRules for TokenCachedByPayload {
    fn redeemed(&self, request: &TokenRequest, granted: &TokenResponse) {
        if let Some(payload) = granted.token.split('.').nth(1) {
            lock(&self.payloads).insert(payload.to_owned(), request.ed25519_public_key.clone());
        }
    }

    fn verify_token(&self, issuer: &Issuer, token: &str, now_ms: i64) -> Result<String, Refusal> {
        let known = token.split('.').nth(1).and_then(|payload| lock(&self.payloads).get(payload).cloned());
        known.map_or_else(|| issuer::verify(self, issuer, token, now_ms), Ok)
    }
}

#[derive(Default)]
struct TokenSessionById {
    sessions: Mutex<HashSet<String>>,
}

impl IdentityRules for TokenSessionById {
    fn claims(&self, issuer: &str, member: &str, issued: i64, expires: i64, jti: String) -> Map<String, Value> {
        lock(&self.sessions).insert(jti.clone());
        conformant(issuer, member, issued, expires, jti)
    }

    fn verify_token(&self, issuer: &Issuer, token: &str, now_ms: i64) -> Result<String, Refusal> {
        let jti = Jwt::parse(token).ok().and_then(|token| Some(token.claims.get("jti")?.as_str()?.to_owned()));
        if jti.is_some_and(|jti| lock(&self.sessions).contains(&jti)) {
            return named(token);
        }
        issuer::verify(self, issuer, token, now_ms)
    }
}

struct TokenFromAnywhere;

impl IdentityRules for TokenFromAnywhere {
    fn verify_token(&self, issuer: &Issuer, token: &str, now_ms: i64) -> Result<String, Refusal> {
        let parsed = Jwt::parse(token).map_err(|_| REFUSED)?;
        if self.token_issuer_holds(issuer.name(), &parsed) && parsed.header == issuer.header() {
            return issuer::verify(self, issuer, token, now_ms);
        }
        if is_alg(&parsed.header, "none") || parsed.signature.is_empty() {
            return Err(REFUSED);
        }
        named(token)
    }
}

struct TokenNeverExpires;

impl IdentityRules for TokenNeverExpires {
    fn token_is_live(&self, _: i64, _: i64) -> bool {
        true
    }
}

struct TokenExpiryUnits;

impl IdentityRules for TokenExpiryUnits {
    fn token_is_live(&self, now_ms: i64, expires: i64) -> bool {
        now_ms / 1000 < expires.saturating_mul(1000)
    }
}

struct TokenExpiryAnHourLate;

impl IdentityRules for TokenExpiryAnHourLate {
    fn token_is_live(&self, now_ms: i64, expires: i64) -> bool {
        now_ms < (expires + 3600).saturating_mul(1000)
    }
}
