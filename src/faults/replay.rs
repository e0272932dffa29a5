//! Nonces that are remembered badly: too few of them, too briefly, by something else than the nonce; and those that get lost (SPEC §3.2).

use std::collections::{HashMap, HashSet, VecDeque};
use std::future::ready;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use axum::http::Method;
use axum::http::request::Parts;
use percent_encoding::percent_decode_str;

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

shared!(Marks: identity);

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

shared!(MarksPerKey: identity);

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

shared!(RedeemedBy: identity, edge);

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

shared!(FoundBy: identity);

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

shared!(VerifiesAfter: identity);

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

faults! {
    "nonce-marks-of-40" breaks NONCE_SINGLE_USE: "The last 40 used nonces are remembered." => { is marks(40, LONG) }
    "nonce-marks-of-100" breaks NONCE_SINGLE_USE: "The last 100 used nonces are remembered." => { is marks(100, LONG) }
    "nonce-marks-of-256" breaks NONCE_SINGLE_USE: "The last 256 used nonces are remembered." => { is marks(256, LONG) }
    "nonce-marks-of-1000" breaks NONCE_SINGLE_USE: "The last 1000 used nonces are remembered." => { is marks(1000, LONG) }
    "nonce-marks-for-500-ms" breaks NONCE_SINGLE_USE: "Used nonces are remembered for half a second." => {
        is marks(65_536, Duration::from_millis(500))
    }
    "nonce-marks-for-a-second" breaks NONCE_SINGLE_USE: "Used nonces are remembered for a second." => {
        is marks(65_536, Duration::from_secs(1))
    }
    [Slow] "nonce-marks-for-half-a-life" breaks NONCE_SINGLE_USE: "Used nonces are remembered for 1.5 s, while nonces live for two." => {
        is marks(65_536, Duration::from_millis(1500))
    }
    "nonce-mark-per-key" breaks NONCE_SINGLE_USE: "Of each key the last used nonce is remembered." => { is marks_per_key(1) }
    "nonce-ten-marks-per-key" breaks NONCE_SINGLE_USE: "Of each key the last ten used nonces are remembered." => { is marks_per_key(10) }
    "nonce-marked-by-text" breaks NONCE_SINGLE_USE: "Used nonces are remembered as they were spelled, and read leniently." => {
        is marks_by(|request, _| request.nonce.clone(), lenient)
    }
    [Race] "race-nonce-spelled-otherwise" breaks NONCE_SINGLE_USE: "A nonce is locked as it is spelled, read leniently, and taken out of use a little later." => {
        state { locked: Mutex<HashSet<String>> }
        identity {
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
    }
    "nonce-of-a-connection" breaks NONCE_REDEEMABLE: "A nonce is known to the connection that it was issued on, and to no other." => {
        state { issued: Mutex<HashMap<String, Option<tokio::task::Id>>> }
        identity {
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
    }
    "nonce-marked-by-signature" breaks NONCE_SINGLE_USE: "Used signatures are remembered instead of nonces, as they were spelled." => {
        is marks_by(|request, _| request.signature.clone(), lenient)
    }
    "nonce-marked-by-signature-bytes" breaks NONCE_SINGLE_USE: "Used signatures are remembered instead of nonces." => {
        is marks_by(|request, _| request.signature.clone(), strict)
    }
    "nonce-marked-by-request" breaks NONCE_SINGLE_USE: "What is remembered is nonce and signature together, as they were spelled." => {
        is marks_by(|request, _| format!("{}.{}", request.nonce, request.signature), lenient)
    }
    "nonce-freed-by-failure" breaks NONCE_SINGLE_USE: "A failed redemption is rolled back, and with it the mark that the nonce was used." => {
        state { used: Mutex<HashSet<String>> }
        identity {
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
    }
    "nonce-freed-by-challenge" breaks NONCE_SINGLE_USE: "A new challenge clears what is known about the key, used nonces included." => {
        state { used: Mutex<HashMap<String, Vec<Vec<u8>>>> }
        identity {
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
    }
    "nonce-found-by-16-bytes" breaks NONCE_ISSUED: "A nonce is found by its first 16 bytes, as long as a UUID." => {
        is found_by(|text| text.chars().take(21).collect())
    }
    "nonce-found-in-any-case" breaks NONCE_ISSUED: "A nonce is found without regard to upper and lower case." => {
        is found_by(str::to_lowercase)
    }
    "nonce-first-32-bytes" breaks NONCE_ISSUED: "What follows the 32nd byte of a nonce is ignored." => {
        identity {
            fn read_nonce(&self, text: &str) -> Option<Vec<u8>> {
                base64::decode(text).ok().map(|mut nonce| { nonce.truncate(32); nonce })
            }
        }
    }
    "nonce-as-number" breaks NONCE_ISSUED: "A nonce is compared as a number, so that zeros in front of it don't count." => {
        identity {
            fn read_nonce(&self, text: &str) -> Option<Vec<u8>> {
                let number = without_leading_zeros(&base64::decode(text).ok()?).to_vec();
                Some([vec![0; 32_usize.saturating_sub(number.len())], number].concat())
            }
        }
    }
    "nonce-used-by-head" breaks NONCE_REDEEMABLE: "HEAD is handled like POST, and uses the nonce up that it carries." => {
        is redeemed_by(&[Method::HEAD])
    }
    "nonce-used-by-any-method" breaks NONCE_REDEEMABLE: "Whatever the method, a request that carries a nonce uses it up." => {
        is redeemed_by(&[Method::GET, Method::PUT, Method::DELETE, Method::PATCH])
    }
    "nonce-loses-leading-zeros" breaks NONCE_REDEEMABLE: "A nonce goes through a big integer, and loses the zero bytes that it begins with." => {
        is VerifiesAfter(without_leading_zeros)
    }
    "nonce-loses-trailing-zeros" breaks NONCE_REDEEMABLE: "A nonce ends where only zero bytes follow, as in a fixed-size column." => {
        is VerifiesAfter(without_trailing_zeros)
    }
    "nonce-trimmed" breaks NONCE_REDEEMABLE: "White space is trimmed off the bytes of a nonce." => { is VerifiesAfter(<[u8]>::trim_ascii) }
    "nonce-ends-at-zero" breaks NONCE_REDEEMABLE: "A nonce ends at its first zero byte, as text in C does." => {
        is VerifiesAfter(|bytes| bytes.split(|&byte| byte == 0).next().unwrap_or_default())
    }
    "signature-of-a-number" breaks NONCE_REDEEMABLE: "A signature goes through a big integer, and one that begins with a zero byte is too short." => {
        identity {
            fn nonce_signature_holds(&self, key: &[u8; 32], _: &str, nonce: &[u8], signature: &str) -> bool {
                let signature = base64::decode(signature).unwrap_or_default();
                signature.first() != Some(&0) && signature::verify(key, nonce, &signature).is_ok()
            }
        }
    }
    "key-of-a-number" breaks NONCE_REDEEMABLE: "A key goes through a big integer, and one that begins with a zero byte is too short." => {
        identity {
            fn read_member_key(&self, text: &str) -> Result<[u8; 32], Refusal> {
                redemption::read_member_key(text).and_then(|key| {
                    if key[0] == 0 { Err(Refusal::bad_request("ed25519PublicKey: 31 bytes")) } else { Ok(key) }
                })
            }
        }
    }
}
