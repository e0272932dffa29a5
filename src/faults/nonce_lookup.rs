//! Nonces that aren't told apart, and nonces that can't be found again (SPEC §3.2).

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;

use axum::http::Method;
use axum::http::request::Parts;
use percent_encoding::percent_decode_str;

use super::table::*;
use super::tools::lock;
use crate::codec::{base64, signature};
use crate::server::edge::Edge;
use crate::server::nonces::Nonces;
use crate::server::redemption::{self};
use crate::server::refusal::Refusal;
use crate::server::route::Route;
use crate::server::rules::IdentityRules;

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
