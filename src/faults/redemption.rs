//! Signatures that shouldn't count, nonces that count twice, and token answers that mislead (SPEC §3.2).

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;
use std::time::Duration;

use axum::http::Response;
use axum::http::request::Parts;
use bytes::Bytes;
use serde_json::{Value, json};

use super::tools::{edit, lock, rename};
use crate::codec::{base64, signature};
use crate::ground::ed25519;
use crate::server::clock;
use crate::server::nonces::{Issued, Nonces};
use crate::server::redemption::{self, Authority};
use crate::server::refusal::Refusal;
use crate::server::route::Route;
use crate::server::rules::Later;
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

faults! {
    "signature-unchecked" breaks SIGNATURE_VERIFIED: "The signature isn't looked at." => {
        identity {
            fn nonce_signature_holds(&self, _: &[u8; 32], _: &str, _: &[u8], _: &str) -> bool { true }
        }
    }
    "signature-any-64-bytes" breaks SIGNATURE_VERIFIED: "Any 64 bytes pass for a signature." => {
        identity {
            fn nonce_signature_holds(&self, _: &[u8; 32], _: &str, _: &[u8], signature: &str) -> bool {
                base64::decode_array::<64>(signature).is_ok()
            }
        }
    }
    "login-once" breaks PORTABLE_IDENTITY: "A keypair logs in once, as if it were a one-time code." => {
        state { keys: Mutex<HashSet<[u8; 32]>> }
        identity {
            fn nonce_signature_holds(&self, key: &[u8; 32], _: &str, nonce: &[u8], signature: &str) -> bool {
                base64::decode(signature).is_ok_and(|signature| holds(key, nonce, &signature)) && lock(&self.keys).insert(*key)
            }
        }
    }
    "signature-over-the-beginning" breaks SIGNATURE_VERIFIED: "Nonces have 48 bytes, and a signature over the first 32 of them passes, too." => {
        identity {
            fn make_nonce(&self, _: &str, random: [u8; 32]) -> Vec<u8> {
                use sha2::Digest as _;
                [&random[..], &sha2::Sha256::digest(random)[..16]].concat()
            }
            fn nonce_signature_holds(&self, key: &[u8; 32], _: &str, nonce: &[u8], signature: &str) -> bool {
                let beginning = &nonce[..nonce.len().min(32)];
                base64::decode(signature).is_ok_and(|it| holds(key, nonce, &it) || holds(key, beginning, &it))
            }
        }
    }
    "signature-over-half" breaks SIGNATURE_VERIFIED: "A signature over the first half of the nonce passes, too." => {
        identity {
            fn nonce_signature_holds(&self, key: &[u8; 32], _: &str, nonce: &[u8], signature: &str) -> bool {
                let half = &nonce[..nonce.len() / 2];
                base64::decode(signature).is_ok_and(|it| holds(key, nonce, &it) || holds(key, half, &it))
            }
        }
    }
    "signature-empty" breaks SIGNATURE_VERIFIED: "An empty signature passes, because only a signature that is there is checked." => {
        identity {
            fn nonce_signature_holds(&self, key: &[u8; 32], _: &str, nonce: &[u8], signature: &str) -> bool {
                signature.is_empty() || base64::decode(signature).is_ok_and(|signature| holds(key, nonce, &signature))
            }
        }
    }
    "signature-all-zero" breaks SIGNATURE_VERIFIED: "A signature of zeros passes, left from a test." => {
        identity {
            fn nonce_signature_holds(&self, key: &[u8; 32], _: &str, nonce: &[u8], signature: &str) -> bool {
                base64::decode(signature)
                    .is_ok_and(|signature| signature.iter().all(|&byte| byte == 0) || holds(key, nonce, &signature))
            }
        }
    }
    "signature-trailing-bytes" breaks SIGNATURE_VERIFIED: "Bytes after the 64th of a signature are ignored." => {
        identity {
            fn nonce_signature_holds(&self, key: &[u8; 32], _: &str, nonce: &[u8], signature: &str) -> bool {
                base64::decode(signature).is_ok_and(|all| all.get(..64).is_some_and(|first| holds(key, nonce, first)))
            }
        }
    }
    "signature-top-bits" breaks SIGNATURE_VERIFIED: "The top three bits of a signature are masked off instead of checked." => {
        identity {
            fn nonce_signature_holds(&self, key: &[u8; 32], _: &str, nonce: &[u8], signature: &str) -> bool {
                base64::decode_array::<64>(signature).is_ok_and(|mut signature| {
                    signature[63] &= 0x1f;
                    holds(key, nonce, &signature)
                })
            }
        }
    }
    "signature-any-key" breaks SIGNATURE_VERIFIED: "A signature by any key that has ever asked for a nonce passes." => {
        state { keys: Mutex<HashSet<[u8; 32]>> }
        identity {
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
    }
    "signature-any-nonce" breaks SIGNATURE_VERIFIED: "A signature over an earlier nonce of the same key passes." => {
        state { nonces: Mutex<HashMap<String, Vec<Vec<u8>>>> }
        identity {
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
    }
    "signature-over-text" breaks SIGNATURE_RAW: "The signature is verified over the base64 text of the nonce." => {
        identity {
            fn nonce_signature_holds(&self, key: &[u8; 32], text: &str, _: &[u8], signature: &str) -> bool {
                base64::decode(signature).is_ok_and(|signature| holds(key, text.as_bytes(), &signature))
            }
        }
    }
    "signature-over-text-too" breaks SIGNATURE_RAW: "A signature over the base64 text passes as well as one over the bytes." => {
        identity {
            fn nonce_signature_holds(&self, key: &[u8; 32], text: &str, nonce: &[u8], signature: &str) -> bool {
                base64::decode(signature)
                    .is_ok_and(|signature| holds(key, nonce, &signature) || holds(key, text.as_bytes(), &signature))
            }
        }
    }
    "signature-malleable" breaks SIGNATURE_STRICT: "S is reduced before it is used, so S + L signs as well as S." => {
        identity {
            fn nonce_signature_holds(&self, key: &[u8; 32], _: &str, nonce: &[u8], signature: &str) -> bool {
                base64::decode_array::<64>(signature).is_ok_and(|mut signature| {
                    reduce(&mut signature[32..]);
                    holds(key, nonce, &signature)
                })
            }
        }
    }
    "nonce-reusable" breaks NONCE_SINGLE_USE: "A redeemed nonce stays valid." => {
        identity {
            fn spend(&self, _: &Nonces, _: &[u8]) -> bool { true }
        }
    }
    "nonce-used-twice" breaks NONCE_SINGLE_USE: "A nonce is taken out of use by its second redemption." => {
        state { once: Mutex<HashSet<Vec<u8>>> }
        identity {
            fn spend(&self, nonces: &Nonces, nonce: &[u8]) -> bool {
                lock(&self.once).insert(nonce.to_vec()) || nonces.spend(nonce)
            }
        }
    }
    "nonce-reusable-while-fresh" breaks NONCE_SINGLE_USE: "A nonce can be redeemed again within a second, for clients that retry." => {
        state { spent: Mutex<HashMap<Vec<u8>, i64>> }
        identity {
            fn spend(&self, nonces: &Nonces, nonce: &[u8]) -> bool {
                let first = *lock(&self.spent).entry(nonce.to_vec()).or_insert_with(clock::now_ms);
                clock::now_ms() - first < 1000 || nonces.spend(nonce)
            }
        }
    }
    "nonce-never-issued" breaks NONCE_ISSUED: "A nonce that the client made up is as good as an issued one." => {
        identity {
            fn nonce_is_redeemable(&self, issued: Option<&Issued>, identity: &str, ttl: Duration) -> bool {
                issued.is_none_or(|issued| issued.key == identity && issued.at.elapsed() <= ttl)
            }
            fn spend(&self, nonces: &Nonces, nonce: &[u8]) -> bool {
                nonces.spend(nonce);
                true
            }
        }
    }
    "nonce-for-anybody" breaks NONCE_BOUND: "A nonce can be redeemed by another key than the one that asked for it." => {
        identity {
            fn nonce_belongs(&self, _: &str, _: &str) -> bool { true }
        }
    }
    "token-for-the-challenged-key" breaks SUBJECT_IS_CALLER: "Who redeems the nonce of another key, with its own signature, gets a token for that other key." => {
        identity {
            fn nonce_belongs(&self, _: &str, _: &str) -> bool { true }
            fn redeem<'a>(&'a self, authority: &'a Authority, request: &'a TokenRequest) -> Later<'a, Result<TokenResponse, Refusal>> {
                let issued = base64::decode(&request.nonce).ok().and_then(|nonce| authority.nonces.find(&nonce));
                let own = redemption::redeem(self, authority, request);
                let granted = match (own, issued) {
                    (Ok(_), Some(issued)) => redemption::grant(self, authority, &issued.key),
                    (own, _) => own,
                };
                Box::pin(std::future::ready(granted))
            }
        }
    }
    [Slow] "nonce-never-expires" breaks NONCE_EXPIRES: "The age of a nonce isn't looked at." => {
        identity {
            fn nonce_ttl(&self, _: Duration) -> Duration { Duration::from_secs(1_000_000) }
        }
    }
    [Slow] "nonce-ttl-in-minutes" breaks NONCE_EXPIRES: "The lifetime of a nonce is counted in minutes instead of seconds." => {
        identity {
            fn nonce_ttl(&self, configured: Duration) -> Duration { configured * 60 }
        }
    }
    [Slow] "nonce-ttl-ten-minutes" breaks NONCE_TTL: "A nonce lives for ten minutes." => {
        identity {
            fn nonce_ttl(&self, _: Duration) -> Duration { Duration::from_secs(600) }
        }
    }
    "token-lives-a-month" breaks TOKEN_SHORT_LIVED: "A token is valid for thirty days." => {
        identity {
            fn token_ttl(&self, _: Duration) -> Duration { Duration::from_secs(30 * 86_400) }
        }
    }
    "expiry-in-seconds" breaks TOKEN_ANSWER: "expiresAt is in seconds." => {
        identity {
            fn expires_at(&self, expires: i64) -> i64 { expires }
        }
    }
    "expiry-relative" breaks TOKEN_ANSWER: "expiresAt is the lifetime, not a point in time." => {
        identity {
            fn expires_at(&self, expires: i64) -> i64 { expires * 1000 - clock::now_ms() }
        }
    }
    "expiry-is-issue-time" breaks TOKEN_ANSWER: "expiresAt is the time of issue." => {
        identity {
            fn expires_at(&self, _: i64) -> i64 { clock::now_ms() - 1 }
        }
    }
    "expiry-as-text" breaks TOKEN_ANSWER: "expiresAt is a string of digits." => {
        edge {
            fn response(&self, route: Route, _: &Parts, response: Response<Bytes>) -> Response<Bytes> {
                edit_token(route, response, |answer| answer["expiresAt"] = json!(answer["expiresAt"].to_string()))
            }
        }
    }
    "expiry-as-date" breaks TOKEN_ANSWER: "expiresAt is an ISO 8601 date." => {
        edge {
            fn response(&self, route: Route, _: &Parts, response: Response<Bytes>) -> Response<Bytes> {
                edit_token(route, response, |answer| {
                    let expires = answer["expiresAt"].as_i64().unwrap_or_default();
                    let date = jiff::Timestamp::from_millisecond(expires).unwrap_or_default();
                    answer["expiresAt"] = json!(date.to_string());
                })
            }
        }
    }
    "expiry-fractional" breaks TOKEN_ANSWER: "expiresAt is a number with a fraction." => {
        edge {
            fn response(&self, route: Route, _: &Parts, response: Response<Bytes>) -> Response<Bytes> {
                edit_token(route, response, |answer| {
                    answer["expiresAt"] = json!(answer["expiresAt"].as_f64().unwrap_or_default() + 0.5);
                })
            }
        }
    }
    "expiry-missing" breaks TOKEN_ANSWER: "The token answer has no expiresAt." => {
        edge {
            fn response(&self, route: Route, _: &Parts, response: Response<Bytes>) -> Response<Bytes> {
                edit_token(route, response, |answer| {
                    answer.as_object_mut().map(|answer| answer.remove("expiresAt"));
                })
            }
        }
    }
    "expiry-snake-case" breaks FIELD_NAMES: "The token answer says expires_at." => {
        edge {
            fn response(&self, route: Route, _: &Parts, response: Response<Bytes>) -> Response<Bytes> {
                edit_token(route, response, |answer| {
                    answer.as_object_mut().into_iter().for_each(|answer| rename(answer, "expiresAt", "expires_at"));
                })
            }
        }
    }
    "token-answer-type" breaks FIELD_NAMES: "The token answer has a member tokenType, too." => {
        edge {
            fn response(&self, route: Route, _: &Parts, response: Response<Bytes>) -> Response<Bytes> {
                edit_token(route, response, |answer| answer["tokenType"] = json!("Bearer"))
            }
        }
    }
    "challenge-answer-expiry" breaks FIELD_NAMES: "The challenge answer has a member expiresIn, too." => {
        edge {
            fn response(&self, route: Route, _: &Parts, response: Response<Bytes>) -> Response<Bytes> {
                if route != Route::Challenge {
                    return response;
                }
                edit(response, |answer| answer["expiresIn"] = json!(120))
            }
        }
    }
}
