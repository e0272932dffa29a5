//! Bodies of the fuzz targets in `fuzz/`. Each takes any bytes and asserts a law; a panic is a finding.
//!
//! They live here so that a stable compiler replays the seeds through them (`tests/fuzz_seeds.rs`).

pub mod server;

use crate::codec::aad::Binding;
use crate::codec::address::{self, Address};
use crate::codec::invite::InviteRequest;
use crate::codec::jwt::Jwt;
use crate::codec::key_wrap::{self, Wrapped};
use crate::codec::locator::RepoLocator;
use crate::codec::payload::AltPayload;
use crate::codec::{DataKey, base64, envelope};
use crate::wire::{self, MessageKind, Schema};

/// A target: its name, which is also that of its file under `fuzz/fuzz_targets`, and its body.
pub type FuzzTarget = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: &[FuzzTarget] = &[
    ("base64", base64_one_spelling),
    ("address", address_round_trip),
    ("invite", invite_round_trip),
    ("locator", locator_round_trip),
    ("jwt", jwt_reads),
    ("payload", payload_round_trip),
    ("envelope", envelope_tampering),
    ("key_wrap", key_wrap_tampering),
    ("wire", wire_messages),
];

/// Strict decoding agrees with a naive reference, and what decodes encodes back to the same text.
pub fn base64_one_spelling(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let decoded = base64::decode(text).ok();
    assert_eq!(decoded, naive_base64(text), "{text:?}");
    if let Some(bytes) = decoded {
        assert_eq!(base64::encode(&bytes), text);
    }
    if let Ok(bytes) = base64::decode_url(text) {
        assert_eq!(base64::encode_url(&bytes), text);
    }
}

/// Padded standard base64, bit by bit, as slowly as one would explain it.
fn naive_base64(text: &str) -> Option<Vec<u8>> {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    if !text.len().is_multiple_of(4) {
        return None;
    }
    let body = text.strip_suffix("==").or_else(|| text.strip_suffix('=')).unwrap_or(text);
    let mut bits = Vec::new();
    for byte in body.bytes() {
        let value = ALPHABET.iter().position(|letter| *letter == byte)?;
        bits.extend((0..6).rev().map(|bit| value >> bit & 1 == 1));
    }
    let rest = bits.split_off(bits.len() / 8 * 8);
    if rest.len() >= 6 || rest.contains(&true) || rest.len() != (text.len() - body.len()) * 2 {
        return None;
    }
    Some(bits.chunks(8).map(|byte| byte.iter().fold(0, |value, bit| value << 1 | u8::from(*bit))).collect())
}

/// What parses as an address prints as one that parses to the same.
pub fn address_round_trip(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let _ = address::parse_server(text);
    if let Ok(parsed) = Address::parse(text) {
        assert!(!parsed.host.is_empty() && !parsed.repo_id.is_empty());
        assert_eq!(Address::parse(&parsed.to_string()), Ok(parsed));
    }
}

/// As a token, and as the JSON inside one.
pub fn invite_round_trip(data: &[u8]) {
    for token in tokens(data) {
        if let Ok(invite) = InviteRequest::decode(&token) {
            assert_eq!(InviteRequest::decode(&invite.encode()).ok(), Some(invite));
        }
    }
}

/// As a token, and as the JSON inside one.
pub fn locator_round_trip(data: &[u8]) {
    for token in tokens(data) {
        if let Ok(locator) = RepoLocator::decode(&token) {
            assert_eq!(RepoLocator::decode(&locator.encode()).ok(), Some(locator));
        }
    }
}

fn tokens(data: &[u8]) -> Vec<String> {
    let as_it_is = std::str::from_utf8(data).ok().map(str::to_owned);
    as_it_is.into_iter().chain([base64::encode_url(data)]).collect()
}

/// What reads as a JWT has a signing input that the token begins with.
pub fn jwt_reads(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(jwt) = Jwt::parse(text) {
        assert!(text.starts_with(&jwt.signing_input));
        assert_eq!(text.len(), jwt.signing_input.len() + 1 + base64::encode_url(&jwt.signature).len());
    }
}

/// What reads as a payload is written so that it reads as the same.
pub fn payload_round_trip(data: &[u8]) {
    if let Ok(payload) = AltPayload::parse(data) {
        assert_eq!(AltPayload::parse(payload.to_json().as_bytes()).ok(), Some(payload));
    }
}

/// The input seals and opens; with any byte changed, or as it is, it doesn't open.
pub fn envelope_tampering(data: &[u8]) {
    let (key, iv) = (DataKey::new([7; 32]), [9; 12]);
    let binding = Binding { repo_id: "fuzz", payload_version: 1, key_epoch: 2 };
    assert!(envelope::open(&key, &iv, &binding, data).is_err());
    let Ok(mut sealed) = envelope::seal(&key, &iv, &binding, data) else { return };
    assert_eq!(envelope::open(&key, &iv, &binding, &sealed).ok().as_deref().map(Vec::as_slice), Some(data));
    let place = data.iter().map(|byte| usize::from(*byte)).sum::<usize>() % sealed.len();
    sealed[place] ^= 1;
    assert!(envelope::open(&key, &iv, &binding, &sealed).is_err());
}

/// 32 bytes of key, 12 of IV and a ciphertext never unwrap unless they were wrapped.
pub fn key_wrap_tampering(data: &[u8]) {
    let Some((ephemeral, rest)) = data.split_first_chunk::<32>() else { return };
    let Some((iv, ciphertext)) = rest.split_first_chunk::<12>() else { return };
    let forged = Wrapped { ephemeral_public_key: *ephemeral, iv: *iv, ciphertext: ciphertext.to_vec() };
    assert!(key_wrap::unwrap(&forged, &[5; 32]).is_err());
    let key = DataKey::new(*ephemeral);
    if let Ok(wrapped) = key_wrap::wrap(&key, &key_wrap::public_key(&[5; 32]), ephemeral, iv) {
        assert!(key_wrap::unwrap(&wrapped, &[5; 32]).is_ok_and(|unwrapped| unwrapped == key));
    }
}

/// What the types read is what the schema allows, as far as shapes go, and is written as it was read.
pub fn wire_messages(data: &[u8]) {
    let Ok(value) = serde_json::from_slice::<serde_json::Value>(data) else { return };
    for kind in MessageKind::ALL {
        let mut pruned = value.clone();
        wire::prune(kind, &mut pruned);
        let _ = Schema::violations(kind, &value, 3);
    }
    if let Ok(push) = serde_json::from_value::<wire::PushRequest>(value.clone()) {
        assert_eq!(serde_json::from_value(serde_json::json!(push)).ok(), Some(push));
    }
    if let Ok(manifest) = serde_json::from_value::<wire::VaultManifest>(value) {
        assert_eq!(serde_json::from_value(serde_json::json!(manifest)).ok(), Some(manifest));
    }
}
