//! What is wrong with nonces, tokens and their requests: the parts that need no server.

use super::plan::Redemption;
use crate::codec::jwt::Jwt;
use crate::requirements::{self as rule, Requirement};

/// Whether bytes repeat within themselves, hold much of the key, or begin as an earlier nonce does. None of it happens by chance
/// more often than once in a thousand million nonces.
pub(super) fn has_pattern(bytes: &[u8], key: &[u8; 32], mut earlier: impl Iterator<Item = Vec<u8>>) -> bool {
    let often = bytes.iter().any(|byte| bytes.iter().filter(|other| *other == byte).count() > 8 + bytes.len() / 32);
    let printable = bytes.iter().all(u8::is_ascii_hexdigit);
    let of_key = bytes.windows(6).any(|part| key.windows(6).any(|other| other == part));
    let repeated = bytes.len() >= 32 && bytes[..16] == bytes[16..32];
    often || printable || of_key || repeated || earlier.any(|other| other.get(..6) == bytes.get(..6))
}

/// What a reference token says that it shouldn't, or doesn't say.
pub(super) fn odd_claims(jwt: &Jwt, id: &str) -> Option<String> {
    if jwt.subject() != Some(format!("key:{id}").as_str()) {
        return Some(format!("sub {:?}", jwt.subject()));
    }
    if jwt.claims.get("kind").is_none_or(|kind| kind != "keypair") {
        return Some(format!("kind {:?}", jwt.claims.get("kind")));
    }
    let personal = ["account", "accountId", "account_id", "email", "role", "roles"];
    personal.into_iter().find(|name| jwt.claims.contains_key(*name)).map(|name| format!("a claim {name}"))
}

/// Redemptions that must be refused: the rule that acceptance would break, and what they are.
pub(super) const WRONG: [(Redemption, &Requirement, &str); 14] = [
    (Redemption::UsedNonce, &rule::NONCE_SINGLE_USE, "a nonce that was used"),
    (Redemption::ForeignNonce, &rule::NONCE_BOUND, "a nonce of another key"),
    (Redemption::InventedNonce, &rule::NONCE_ISSUED, "a nonce that was never issued"),
    (Redemption::SignatureOfAnother, &rule::SIGNATURE_VERIFIED, "another key's signature"),
    (Redemption::SignatureOfEarlierNonce, &rule::SIGNATURE_VERIFIED, "an earlier nonce's signature"),
    (Redemption::SignatureOverText, &rule::SIGNATURE_RAW, "a signature over the base64 text"),
    (Redemption::SignatureEmpty, &rule::SIGNATURE_VERIFIED, "an empty signature"),
    (Redemption::SignatureZeros, &rule::SIGNATURE_VERIFIED, "a signature of zeros"),
    (Redemption::SignatureRandom, &rule::SIGNATURE_VERIFIED, "a random signature"),
    (Redemption::SignatureFlipped, &rule::SIGNATURE_VERIFIED, "a signature with one bit changed"),
    (Redemption::SignatureTopBits, &rule::SIGNATURE_VERIFIED, "a signature with a top bit set"),
    (Redemption::SignatureLonger, &rule::SIGNATURE_VERIFIED, "a signature of 65 bytes"),
    (Redemption::SignatureUnreduced, &rule::SIGNATURE_STRICT, "a signature with an unreduced S"),
    (Redemption::KeySmallOrder, &rule::SIGNATURE_STRICT, "a key of small order"),
];

/// The rule that a redemption is about, and what it is.
pub(super) fn said(with: Redemption) -> (&'static Requirement, &'static str) {
    let wrong = WRONG.iter().find(|(wrong, ..)| *wrong == with);
    match (wrong, with) {
        (Some((_, rule, what)), _) => (rule, what),
        (None, Redemption::KeyRespelled(_)) => (&rule::IDENTITY_CANONICAL, "a key in another spelling"),
        (None, _) => (&rule::PORTABLE_IDENTITY, "a right token request"),
    }
}
