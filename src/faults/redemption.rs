//! Signatures that shouldn't count, nonces that count twice, and token answers that mislead (SPEC §3.2).

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;
use std::time::Duration;

use axum::http::Response;
use axum::http::request::Parts;
use bytes::Bytes;
use serde_json::{Value, json};

use super::table::*;
use super::tools::{edit, lock, rename};
use crate::codec::{base64, signature};
use crate::ground::ed25519;
use crate::server::clock;
use crate::server::edge::Edge;
use crate::server::nonces::{Issued, Nonces};
use crate::server::redemption::{self, Authority};
use crate::server::refusal::Refusal;
use crate::server::route::Route;
use crate::server::rules::{IdentityRules, Later};
use crate::wire::{TokenRequest, TokenResponse};

fn holds(key: &[u8; 32], message: &[u8], signature: &[u8]) -> bool {
    signature::verify(key, message, signature).is_ok()
}

/// S − L, if S is at least L.
fn reduce(s: &mut [u8]) {
    let mut borrow = 0;
    let difference: Vec<u8> = s
        .iter()
        .zip(ed25519::ORDER)
        .map(|(&byte, l)| {
            let step = i16::from(byte) - i16::from(l) - borrow;
            borrow = i16::from(step < 0);
            step.rem_euclid(256).to_le_bytes()[0]
        })
        .collect();
    if borrow == 0 {
        s.copy_from_slice(&difference);
    }
}

/// Edits the answer of the token route.
fn edit_token(route: Route, response: Response<Bytes>, change: impl FnOnce(&mut Value)) -> Response<Bytes> {
    if route == Route::Token { edit(response, change) } else { response }
}

/// The faults of this area.
pub(super) const FAULTS: &[Fault] = &[
    fault("signature-unchecked", &SIGNATURE_VERIFIED, "The signature isn't looked at.", || {
        identity(SignatureUnchecked)
    }),
    fault("signature-any-64-bytes", &SIGNATURE_VERIFIED, "Any 64 bytes pass for a signature.", || {
        identity(SignatureAny64Bytes)
    }),
    fault("login-once", &PORTABLE_IDENTITY, "A keypair logs in once, as if it were a one-time code.", || {
        identity(LoginOnce::default())
    }),
    fault(
        "signature-over-the-beginning",
        &SIGNATURE_VERIFIED,
        "Nonces have 48 bytes, and a signature over the first 32 of them passes, too.",
        || identity(SignatureOverTheBeginning),
    ),
    fault(
        "signature-over-half",
        &SIGNATURE_VERIFIED,
        "A signature over the first half of the nonce passes, too.",
        || identity(SignatureOverHalf),
    ),
    fault(
        "signature-empty",
        &SIGNATURE_VERIFIED,
        "An empty signature passes, because only a signature that is there is checked.",
        || identity(SignatureEmpty),
    ),
    fault("signature-all-zero", &SIGNATURE_VERIFIED, "A signature of zeros passes, left from a test.", || {
        identity(SignatureAllZero)
    }),
    fault("signature-trailing-bytes", &SIGNATURE_VERIFIED, "Bytes after the 64th of a signature are ignored.", || {
        identity(SignatureTrailingBytes)
    }),
    fault(
        "signature-top-bits",
        &SIGNATURE_VERIFIED,
        "The top three bits of a signature are masked off instead of checked.",
        || identity(SignatureTopBits),
    ),
    fault(
        "signature-any-key",
        &SIGNATURE_VERIFIED,
        "A signature by any key that has ever asked for a nonce passes.",
        || identity(SignatureAnyKey::default()),
    ),
    fault(
        "signature-any-nonce",
        &SIGNATURE_VERIFIED,
        "A signature over an earlier nonce of the same key passes.",
        || identity(SignatureAnyNonce::default()),
    ),
    fault(
        "signature-over-text",
        &SIGNATURE_RAW,
        "The signature is verified over the base64 text of the nonce.",
        || identity(SignatureOverText),
    ),
    fault(
        "signature-over-text-too",
        &SIGNATURE_RAW,
        "A signature over the base64 text passes as well as one over the bytes.",
        || identity(SignatureOverTextToo),
    ),
    fault(
        "signature-malleable",
        &SIGNATURE_STRICT,
        "S is reduced before it is used, so S + L signs as well as S.",
        || identity(SignatureMalleable),
    ),
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

struct SignatureUnchecked;

impl IdentityRules for SignatureUnchecked {
    fn nonce_signature_holds(&self, _: &[u8; 32], _: &str, _: &[u8], _: &str) -> bool {
        true
    }
}

struct SignatureAny64Bytes;

impl IdentityRules for SignatureAny64Bytes {
    fn nonce_signature_holds(&self, _: &[u8; 32], _: &str, _: &[u8], signature: &str) -> bool {
        base64::decode_array::<64>(signature).is_ok()
    }
}

#[derive(Default)]
struct LoginOnce {
    keys: Mutex<HashSet<[u8; 32]>>,
}

impl IdentityRules for LoginOnce {
    fn nonce_signature_holds(&self, key: &[u8; 32], _: &str, nonce: &[u8], signature: &str) -> bool {
        base64::decode(signature).is_ok_and(|signature| holds(key, nonce, &signature)) && lock(&self.keys).insert(*key)
    }
}

struct SignatureOverTheBeginning;

impl IdentityRules for SignatureOverTheBeginning {
    fn make_nonce(&self, _: &str, random: [u8; 32]) -> Vec<u8> {
        use sha2::Digest as _;
        [&random[..], &sha2::Sha256::digest(random)[..16]].concat()
    }

    fn nonce_signature_holds(&self, key: &[u8; 32], _: &str, nonce: &[u8], signature: &str) -> bool {
        let beginning = &nonce[..nonce.len().min(32)];
        base64::decode(signature).is_ok_and(|it| holds(key, nonce, &it) || holds(key, beginning, &it))
    }
}

struct SignatureOverHalf;

impl IdentityRules for SignatureOverHalf {
    fn nonce_signature_holds(&self, key: &[u8; 32], _: &str, nonce: &[u8], signature: &str) -> bool {
        let half = &nonce[..nonce.len() / 2];
        base64::decode(signature).is_ok_and(|it| holds(key, nonce, &it) || holds(key, half, &it))
    }
}

struct SignatureEmpty;

impl IdentityRules for SignatureEmpty {
    fn nonce_signature_holds(&self, key: &[u8; 32], _: &str, nonce: &[u8], signature: &str) -> bool {
        signature.is_empty() || base64::decode(signature).is_ok_and(|signature| holds(key, nonce, &signature))
    }
}

struct SignatureAllZero;

impl IdentityRules for SignatureAllZero {
    fn nonce_signature_holds(&self, key: &[u8; 32], _: &str, nonce: &[u8], signature: &str) -> bool {
        base64::decode(signature)
            .is_ok_and(|signature| signature.iter().all(|&byte| byte == 0) || holds(key, nonce, &signature))
    }
}

struct SignatureTrailingBytes;

impl IdentityRules for SignatureTrailingBytes {
    fn nonce_signature_holds(&self, key: &[u8; 32], _: &str, nonce: &[u8], signature: &str) -> bool {
        base64::decode(signature).is_ok_and(|all| all.get(..64).is_some_and(|first| holds(key, nonce, first)))
    }
}

struct SignatureTopBits;

impl IdentityRules for SignatureTopBits {
    fn nonce_signature_holds(&self, key: &[u8; 32], _: &str, nonce: &[u8], signature: &str) -> bool {
        base64::decode_array::<64>(signature).is_ok_and(|mut signature| {
            signature[63] &= 0x1f;
            holds(key, nonce, &signature)
        })
    }
}

#[derive(Default)]
struct SignatureAnyKey {
    keys: Mutex<HashSet<[u8; 32]>>,
}

impl IdentityRules for SignatureAnyKey {
    fn read_member_key(&self, text: &str) -> Result<[u8; 32], Refusal> {
        let key = redemption::read_member_key(text)?;
        lock(&self.keys).insert(key);
        Ok(key)
    }

    fn nonce_signature_holds(&self, key: &[u8; 32], _: &str, nonce: &[u8], signature: &str) -> bool {
        let Ok(signature) = base64::decode(signature) else { return false };
        holds(key, nonce, &signature) || lock(&self.keys).iter().any(|key| holds(key, nonce, &signature))
    }
}

#[derive(Default)]
struct SignatureAnyNonce {
    nonces: Mutex<HashMap<String, Vec<Vec<u8>>>>,
}

impl IdentityRules for SignatureAnyNonce {
    fn make_nonce(&self, key: &str, random: [u8; 32]) -> Vec<u8> {
        lock(&self.nonces).entry(key.to_owned()).or_default().push(random.to_vec());
        random.to_vec()
    }

    fn nonce_signature_holds(&self, key: &[u8; 32], _: &str, _: &[u8], signature: &str) -> bool {
        let Ok(signature) = base64::decode(signature) else { return false };
        let nonces = lock(&self.nonces).get(&base64::encode(key)).cloned().unwrap_or_default();
        nonces.iter().rev().take(64).any(|nonce| holds(key, nonce, &signature))
    }
}

struct SignatureOverText;

impl IdentityRules for SignatureOverText {
    fn nonce_signature_holds(&self, key: &[u8; 32], text: &str, _: &[u8], signature: &str) -> bool {
        base64::decode(signature).is_ok_and(|signature| holds(key, text.as_bytes(), &signature))
    }
}

struct SignatureOverTextToo;

impl IdentityRules for SignatureOverTextToo {
    fn nonce_signature_holds(&self, key: &[u8; 32], text: &str, nonce: &[u8], signature: &str) -> bool {
        base64::decode(signature)
            .is_ok_and(|signature| holds(key, nonce, &signature) || holds(key, text.as_bytes(), &signature))
    }
}

struct SignatureMalleable;

impl IdentityRules for SignatureMalleable {
    fn nonce_signature_holds(&self, key: &[u8; 32], _: &str, nonce: &[u8], signature: &str) -> bool {
        base64::decode_array::<64>(signature).is_ok_and(|mut signature| {
            reduce(&mut signature[32..]);
            holds(key, nonce, &signature)
        })
    }
}

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
