//! Nonces that are remembered badly: too few of them, too briefly, by something else than the nonce; and those that get lost (SPEC §3.2).

use std::collections::{HashMap, HashSet, VecDeque};
use std::future::ready;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use axum::http::Method;
use axum::http::request::Parts;
use percent_encoding::percent_decode_str;

use super::table::*;
use super::tools::{gap, lock};
use crate::codec::{base64, signature};
use crate::server::edge::Edge;
use crate::server::nonces::Nonces;
use crate::server::redemption::{self, Authority};
use crate::server::refusal::Refusal;
use crate::server::route::Route;
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

/// A server whose answer to another method than POST redeems the nonce that the request carries.
struct RedeemedBy {
    methods: &'static [Method],
    gone: Mutex<HashSet<String>>,
}

fn redeemed_by(methods: &'static [Method]) -> RedeemedBy {
    RedeemedBy { methods, gone: Mutex::default() }
}

impl IdentityRules for RedeemedBy {
    fn spend(&self, nonces: &Nonces, nonce: &[u8]) -> bool {
        !lock(&self.gone).contains(&base64::encode(nonce)) && nonces.spend(nonce)
    }
}

impl Edge for RedeemedBy {
    fn head(&self, _: Route, parts: &mut Parts) -> Result<(), Refusal> {
        let query = parts.uri.query().filter(|_| self.methods.contains(&parts.method)).unwrap_or_default();
        let nonce = query.split('&').find_map(|pair| pair.strip_prefix("nonce="));
        let nonce = nonce.and_then(|nonce| percent_decode_str(nonce).decode_utf8().ok());
        lock(&self.gone).extend(nonce.map(Into::into));
        Ok(())
    }
}

/// A server that finds a nonce by something of it, and goes on with the nonce that it found.
struct FoundBy {
    name: fn(&str) -> String,
    issued: Mutex<HashMap<String, Vec<u8>>>,
}

fn found_by(name: fn(&str) -> String) -> FoundBy {
    FoundBy { name, issued: Mutex::default() }
}

impl IdentityRules for FoundBy {
    fn make_nonce(&self, _: &str, random: [u8; 32]) -> Vec<u8> {
        lock(&self.issued).insert((self.name)(&base64::encode(&random)), random.to_vec());
        random.to_vec()
    }

    fn read_nonce(&self, text: &str) -> Option<Vec<u8>> {
        lock(&self.issued).get(&(self.name)(text)).cloned().or_else(|| base64::decode(text).ok())
    }
}

/// A server that does something to bytes before it verifies the signature.
struct VerifiesAfter(fn(&[u8]) -> &[u8]);

impl IdentityRules for VerifiesAfter {
    fn nonce_signature_holds(&self, key: &[u8; 32], _: &str, nonce: &[u8], signature: &str) -> bool {
        base64::decode(signature).is_ok_and(|signature| signature::verify(key, (self.0)(nonce), &signature).is_ok())
    }
}

fn without_leading_zeros(bytes: &[u8]) -> &[u8] {
    &bytes[bytes.iter().take_while(|&&byte| byte == 0).count()..]
}

fn without_trailing_zeros(bytes: &[u8]) -> &[u8] {
    &bytes[..bytes.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1)]
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
    fault(
        "nonce-found-by-16-bytes",
        &NONCE_ISSUED,
        "A nonce is found by its first 16 bytes, as long as a UUID.",
        || identity(found_by(|text| text.chars().take(21).collect())),
    ),
    fault("nonce-found-in-any-case", &NONCE_ISSUED, "A nonce is found without regard to upper and lower case.", || {
        identity(found_by(str::to_lowercase))
    }),
    fault("nonce-first-32-bytes", &NONCE_ISSUED, "What follows the 32nd byte of a nonce is ignored.", || {
        identity(NonceFirst32Bytes)
    }),
    fault(
        "nonce-as-number",
        &NONCE_ISSUED,
        "A nonce is compared as a number, so that zeros in front of it don't count.",
        || identity(NonceAsNumber),
    ),
    fault(
        "nonce-used-by-head",
        &NONCE_REDEEMABLE,
        "HEAD is handled like POST, and uses the nonce up that it carries.",
        || edge_and_identity(redeemed_by(&[Method::HEAD])),
    ),
    fault(
        "nonce-used-by-any-method",
        &NONCE_REDEEMABLE,
        "Whatever the method, a request that carries a nonce uses it up.",
        || edge_and_identity(redeemed_by(&[Method::GET, Method::PUT, Method::DELETE, Method::PATCH])),
    ),
    fault(
        "nonce-loses-leading-zeros",
        &NONCE_REDEEMABLE,
        "A nonce goes through a big integer, and loses the zero bytes that it begins with.",
        || identity(VerifiesAfter(without_leading_zeros)),
    ),
    fault(
        "nonce-loses-trailing-zeros",
        &NONCE_REDEEMABLE,
        "A nonce ends where only zero bytes follow, as in a fixed-size column.",
        || identity(VerifiesAfter(without_trailing_zeros)),
    ),
    fault("nonce-trimmed", &NONCE_REDEEMABLE, "White space is trimmed off the bytes of a nonce.", || {
        identity(VerifiesAfter(<[u8]>::trim_ascii))
    }),
    fault("nonce-ends-at-zero", &NONCE_REDEEMABLE, "A nonce ends at its first zero byte, as text in C does.", || {
        identity(VerifiesAfter(|bytes| bytes.split(|&byte| byte == 0).next().unwrap_or_default()))
    }),
    fault(
        "signature-of-a-number",
        &NONCE_REDEEMABLE,
        "A signature goes through a big integer, and one that begins with a zero byte is too short.",
        || identity(SignatureOfANumber),
    ),
    fault(
        "key-of-a-number",
        &NONCE_REDEEMABLE,
        "A key goes through a big integer, and one that begins with a zero byte is too short.",
        || identity(KeyOfANumber),
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

struct NonceFirst32Bytes;

impl IdentityRules for NonceFirst32Bytes {
    fn read_nonce(&self, text: &str) -> Option<Vec<u8>> {
        base64::decode(text).ok().map(|mut nonce| {
            nonce.truncate(32);
            nonce
        })
    }
}

struct NonceAsNumber;

impl IdentityRules for NonceAsNumber {
    fn read_nonce(&self, text: &str) -> Option<Vec<u8>> {
        let number = without_leading_zeros(&base64::decode(text).ok()?).to_vec();
        Some([vec![0; 32_usize.saturating_sub(number.len())], number].concat())
    }
}

struct SignatureOfANumber;

impl IdentityRules for SignatureOfANumber {
    fn nonce_signature_holds(&self, key: &[u8; 32], _: &str, nonce: &[u8], signature: &str) -> bool {
        let signature = base64::decode(signature).unwrap_or_default();
        signature.first() != Some(&0) && signature::verify(key, nonce, &signature).is_ok()
    }
}

struct KeyOfANumber;

impl IdentityRules for KeyOfANumber {
    fn read_member_key(&self, text: &str) -> Result<[u8; 32], Refusal> {
        redemption::read_member_key(text)
            .and_then(|key| if key[0] == 0 { Err(Refusal::bad_request("ed25519PublicKey: 31 bytes")) } else { Ok(key) })
    }
}
