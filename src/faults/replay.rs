//! Nonces that are remembered badly: too few of them, too briefly, by something else than the nonce (SPEC §3.2).

use std::collections::{HashMap, HashSet, VecDeque};
use std::future::ready;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::table::*;
use super::tools::{gap, lock};
use crate::codec::{base64, signature};
use crate::server::redemption::{self, Authority};
use crate::server::refusal::Refusal;
use crate::server::rules::{IdentityRules, Later};
use crate::wire::{ChallengeResponse, TokenRequest, TokenResponse};

const LONG: Duration = Duration::from_secs(3600);

/// A server whose nonces live on when they are redeemed, while a list beside them says which were used.
struct Marks {
    used: Mutex<VecDeque<(String, Instant)>>,
    most: usize,
    keep: Duration,
    name: fn(&TokenRequest, &[u8]) -> String,
    read: fn(&str) -> Option<Vec<u8>>,
}

/// Marks by the nonce itself.
fn marks(most: usize, keep: Duration) -> Marks {
    Marks { used: Mutex::default(), most, keep, name: |_, nonce| base64::encode(nonce), read: strict }
}

fn marks_by(name: fn(&TokenRequest, &[u8]) -> String, read: fn(&str) -> Option<Vec<u8>>) -> Marks {
    Marks { name, read, ..marks(65_536, LONG) }
}

fn strict(text: &str) -> Option<Vec<u8>> {
    base64::decode(text).ok()
}

/// As `Buffer.from(text, "base64")` reads.
fn lenient(text: &str) -> Option<Vec<u8>> {
    let text: String = text.chars().filter(|c| !c.is_whitespace() && *c != '=').collect();
    base64::decode_url(&text.replace('+', "-").replace('/', "_")).ok()
}

fn used_up<T>() -> Result<T, Refusal> {
    Err(Refusal::unauthorized("the nonce can't be redeemed"))
}

/// Everything but the marking of the nonce.
fn redeem_if(
    rules: &dyn crate::server::rules::IdentityRules,
    authority: &Authority,
    request: &TokenRequest,
    mark: impl FnOnce(&[u8]) -> bool,
) -> Result<TokenResponse, Refusal> {
    let nonce = redemption::check(rules, authority, request)?;
    if mark(&nonce) { redemption::grant(rules, authority, &request.ed25519_public_key) } else { used_up() }
}

impl IdentityRules for Marks {
    fn read_nonce(&self, text: &str) -> Option<Vec<u8>> {
        (self.read)(text)
    }

    fn nonce_signature_holds(&self, key: &[u8; 32], _: &str, nonce: &[u8], signature: &str) -> bool {
        (self.read)(signature).is_some_and(|signature| signature::verify(key, nonce, &signature).is_ok())
    }

    fn redeem<'a>(
        &'a self,
        authority: &'a Authority,
        request: &'a TokenRequest,
    ) -> Later<'a, Result<TokenResponse, Refusal>> {
        Box::pin(ready(redeem_if(self, authority, request, |nonce| {
            let (mut used, name) = (lock(&self.used), (self.name)(request, nonce));
            used.retain(|(_, at)| at.elapsed() < self.keep);
            let fresh = used.iter().all(|(other, _)| *other != name);
            used.push_back((name, Instant::now()));
            while used.len() > self.most {
                used.pop_front();
            }
            fresh
        })))
    }
}

/// A server that knows the last few nonces that each key has used.
struct MarksPerKey {
    used: Mutex<HashMap<String, VecDeque<Vec<u8>>>>,
    most: usize,
}

fn marks_per_key(most: usize) -> MarksPerKey {
    MarksPerKey { used: Mutex::default(), most }
}

impl IdentityRules for MarksPerKey {
    fn redeem<'a>(
        &'a self,
        authority: &'a Authority,
        request: &'a TokenRequest,
    ) -> Later<'a, Result<TokenResponse, Refusal>> {
        Box::pin(ready(redeem_if(self, authority, request, |nonce| {
            let mut used = lock(&self.used);
            let used = used.entry(request.ed25519_public_key.clone()).or_default();
            if used.iter().any(|other| other == nonce) {
                return false;
            }
            used.push_back(nonce.to_vec());
            if used.len() > self.most {
                used.pop_front();
            }
            true
        })))
    }
}

/// The faults of this area.
pub(super) const FAULTS: &[Fault] = &[
    fault("nonce-marks-of-40", &NONCE_SINGLE_USE, "The last 40 used nonces are remembered.", || {
        identity(marks(40, LONG))
    }),
    fault("nonce-marks-of-100", &NONCE_SINGLE_USE, "The last 100 used nonces are remembered.", || {
        identity(marks(100, LONG))
    }),
    fault("nonce-marks-of-256", &NONCE_SINGLE_USE, "The last 256 used nonces are remembered.", || {
        identity(marks(256, LONG))
    }),
    fault("nonce-marks-of-1000", &NONCE_SINGLE_USE, "The last 1000 used nonces are remembered.", || {
        identity(marks(1000, LONG))
    }),
    fault("nonce-marks-for-500-ms", &NONCE_SINGLE_USE, "Used nonces are remembered for half a second.", || {
        identity(marks(65_536, Duration::from_millis(500)))
    }),
    fault("nonce-marks-for-a-second", &NONCE_SINGLE_USE, "Used nonces are remembered for a second.", || {
        identity(marks(65_536, Duration::from_secs(1)))
    }),
    fault(
        "nonce-marks-for-half-a-life",
        &NONCE_SINGLE_USE,
        "Used nonces are remembered for 1.5 s, while nonces live for two.",
        || identity(marks(65_536, Duration::from_millis(1500))),
    )
    .kind(Slow),
    fault("nonce-mark-per-key", &NONCE_SINGLE_USE, "Of each key the last used nonce is remembered.", || {
        identity(marks_per_key(1))
    }),
    fault("nonce-ten-marks-per-key", &NONCE_SINGLE_USE, "Of each key the last ten used nonces are remembered.", || {
        identity(marks_per_key(10))
    }),
    fault(
        "nonce-marked-by-text",
        &NONCE_SINGLE_USE,
        "Used nonces are remembered as they were spelled, and read leniently.",
        || identity(marks_by(|request, _| request.nonce.clone(), lenient)),
    ),
    fault(
        "race-nonce-spelled-otherwise",
        &NONCE_SINGLE_USE,
        "A nonce is locked as it is spelled, read leniently, and taken out of use a little later.",
        || identity(RaceNonceSpelledOtherwise::default()),
    )
    .kind(Race),
    fault(
        "nonce-of-a-connection",
        &NONCE_REDEEMABLE,
        "A nonce is known to the connection that it was issued on, and to no other.",
        || identity(NonceOfAConnection::default()),
    ),
    fault(
        "nonce-marked-by-signature",
        &NONCE_SINGLE_USE,
        "Used signatures are remembered instead of nonces, as they were spelled.",
        || identity(marks_by(|request, _| request.signature.clone(), lenient)),
    ),
    fault(
        "nonce-marked-by-signature-bytes",
        &NONCE_SINGLE_USE,
        "Used signatures are remembered instead of nonces.",
        || identity(marks_by(|request, _| request.signature.clone(), strict)),
    ),
    fault(
        "nonce-marked-by-request",
        &NONCE_SINGLE_USE,
        "What is remembered is nonce and signature together, as they were spelled.",
        || identity(marks_by(|request, _| format!("{}.{}", request.nonce, request.signature), lenient)),
    ),
    fault(
        "nonce-freed-by-failure",
        &NONCE_SINGLE_USE,
        "A failed redemption is rolled back, and with it the mark that the nonce was used.",
        || identity(NonceFreedByFailure::default()),
    ),
    fault(
        "nonce-freed-by-challenge",
        &NONCE_SINGLE_USE,
        "A new challenge clears what is known about the key, used nonces included.",
        || identity(NonceFreedByChallenge::default()),
    ),
];

#[derive(Default)]
struct RaceNonceSpelledOtherwise {
    locked: Mutex<HashSet<String>>,
}

impl IdentityRules for RaceNonceSpelledOtherwise {
    fn read_nonce(&self, text: &str) -> Option<Vec<u8>> {
        lenient(text)
    }

    fn redeem<'a>(
        &'a self,
        authority: &'a Authority,
        request: &'a TokenRequest,
    ) -> Later<'a, Result<TokenResponse, Refusal>> {
        Box::pin(async move {
            let nonce = redemption::check(self, authority, request)?;
            if !lock(&self.locked).insert(request.nonce.clone()) {
                return Err(Refusal::unauthorized("the nonce can't be redeemed"));
            }
            gap(1_200).await;
            authority.nonces.spend(&nonce);
            redemption::grant(self, authority, &request.ed25519_public_key)
        })
    }
}

#[derive(Default)]
struct NonceOfAConnection {
    issued: Mutex<HashMap<String, Option<tokio::task::Id>>>,
}

impl IdentityRules for NonceOfAConnection {
    fn challenge(&self, authority: &Authority, key: &str) -> Result<ChallengeResponse, Refusal> {
        let answer = redemption::challenge(self, authority, key)?;
        // A connection is a task.
        lock(&self.issued).insert(answer.nonce.clone(), tokio::task::try_id());
        Ok(answer)
    }

    fn redeem<'a>(
        &'a self,
        authority: &'a Authority,
        request: &'a TokenRequest,
    ) -> Later<'a, Result<TokenResponse, Refusal>> {
        let here = lock(&self.issued).get(&request.nonce).is_some_and(|task| *task == tokio::task::try_id());
        let answer = if here { redemption::redeem(self, authority, request) } else { used_up() };
        Box::pin(ready(answer))
    }
}

#[derive(Default)]
struct NonceFreedByFailure {
    used: Mutex<HashSet<String>>,
}

impl IdentityRules for NonceFreedByFailure {
    fn redeem<'a>(
        &'a self,
        authority: &'a Authority,
        request: &'a TokenRequest,
    ) -> Later<'a, Result<TokenResponse, Refusal>> {
        let answer = redeem_if(self, authority, request, |_| true);
        let mut used = lock(&self.used);
        let answer = match answer {
            Ok(_) if !used.insert(request.nonce.clone()) => used_up(),
            Err(refusal) => {
                used.remove(&request.nonce);
                Err(refusal)
            }
            granted => granted,
        };
        Box::pin(ready(answer))
    }
}

#[derive(Default)]
struct NonceFreedByChallenge {
    used: Mutex<HashMap<String, Vec<Vec<u8>>>>,
}

impl IdentityRules for NonceFreedByChallenge {
    fn challenge(&self, authority: &Authority, key: &str) -> Result<ChallengeResponse, Refusal> {
        lock(&self.used).remove(key);
        redemption::challenge(self, authority, key)
    }

    fn redeem<'a>(
        &'a self,
        authority: &'a Authority,
        request: &'a TokenRequest,
    ) -> Later<'a, Result<TokenResponse, Refusal>> {
        Box::pin(ready(redeem_if(self, authority, request, |nonce| {
            let mut used = lock(&self.used);
            let used = used.entry(request.ed25519_public_key.clone()).or_default();
            let fresh = used.iter().all(|other| other != nonce);
            used.push(nonce.to_vec());
            fresh
        })))
    }
}
