//! `negative-open.json`: what the specification doesn't forbid to accept. A codec that accepts has to make of it exactly
//! what the case says; `warn` marks what a careful author refuses.

use aes_gcm::aead::consts::U16;
use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::aes::Aes256;
use aes_gcm::{AesGcm, Nonce};
use serde_json::Value;

use super::super::fields::{Fields, fields};
use super::envelopes::Wrap;
use super::mutation::{seeded, sized};
use super::negative::valid_payload;
use super::negative_unwrap::{SMALL_ORDER, members as wrap_members, valid_wrap};
use super::negative_verify::{NEUTRAL, NEUTRAL_ALIAS, members as signature_members};
use super::{Made, case, primitive};
use crate::codec::aad::Binding;
use crate::codec::key_wrap::{self, INFO};
use crate::codec::{base64, envelope};
use crate::ground::hex;

pub(super) fn file() -> Made<Value> {
    let mut cases = points()?;
    cases.extend(sizes()?);
    cases.extend(signatures());
    Ok(super::file(
        "Input that the specification leaves open: to be refused or, if accepted, to give exactly `accepted`.",
        cases,
    ))
}

/// A case that may be refused or accepted.
pub(super) fn either(
    op: &str,
    mutation: &str,
    reason: &str,
    flags: &[&str],
    warn: bool,
    input: Fields,
    accepted: Fields,
) -> Value {
    let mut all = fields! { "op": op, "mutation": mutation, "expect": "either", "accepted": accepted };
    if warn {
        all.insert("warn".into(), true.into());
    }
    all.extend(input);
    case(&format!("{op}: {mutation}"), reason, flags, all)
}

/// A wrap under the secret that a recipient gets with this ephemeral key, which nobody needs a private key for.
fn forged(wrap: &Wrap, ephemeral: [u8; 32], iv: &[u8], data_key: &[u8]) -> Made<Fields> {
    let secret = x25519_dalek::x25519(wrap.recipient, ephemeral);
    let kek = key_wrap::key_encryption_key(&secret, &ephemeral);
    let ciphertext = match <[u8; 12]>::try_from(iv) {
        Ok(iv) => envelope::seal_with_aad(&kek, &iv, INFO.as_bytes(), data_key).map_err(primitive)?,
        Err(_) => seal_long_iv(&kek, iv, INFO.as_bytes(), data_key)?,
    };
    let wrapped = fields! { "ephemeralPublicKey": base64::encode(&ephemeral), "iv": base64::encode(iv),
    "ciphertext": base64::encode(&ciphertext) };
    wrap_members(&wrap.recipient, &wrapped)
}

fn seal_long_iv(key: &[u8; 32], iv: &[u8], aad: &[u8], msg: &[u8]) -> Made<Vec<u8>> {
    let iv = <[u8; 16]>::try_from(iv).map_err(primitive)?;
    let cipher = AesGcm::<Aes256, U16>::new(key.into());
    cipher.encrypt(&Nonce::<U16>::from(iv), Payload { msg, aad }).map_err(primitive)
}

fn points() -> Made<Vec<Value>> {
    let wrap = valid_wrap();
    let accepted = fields! { "dataKeyB64": base64::encode(&wrap.data_key) };
    let mut cases = Vec::new();
    let zero = "the shared secret is zero whoever the recipient is: anybody could have made the wrap, and anybody opens it (RFC 7748 6.1)";
    for (name, point) in SMALL_ORDER {
        let point = hex::decode(point)
            .and_then(|point| <[u8; 32]>::try_from(point).ok())
            .ok_or_else(|| primitive("a point has 32 bytes"))?;
        let mutation = format!("all-zero shared secret: ephemeral key {name}");
        let input = forged(&wrap, point, &wrap.iv, &wrap.data_key)?;
        cases.push(either(
            "key-unwrap",
            &mutation,
            zero,
            &["small-order", "zero-secret"],
            true,
            input,
            accepted.clone(),
        ));
    }
    let mut high = key_wrap::public_key(&wrap.ephemeral);
    high[31] |= 0x80;
    let mut beyond = [0xff; 32];
    (beyond[0], beyond[31]) = (0xf6, 0x7f);
    for (mutation, reason, point) in [
        (
            "highest bit of the ephemeral key set before wrapping",
            "RFC 7748 5 ignores the bit; the salt is the raw encoding with it",
            high,
        ),
        ("ephemeral key spelled as p + 9", "RFC 7748 5 reduces it; the salt is the raw encoding", beyond),
    ] {
        let input = forged(&wrap, point, &wrap.iv, &wrap.data_key)?;
        cases.push(either("key-unwrap", mutation, reason, &["non-canonical"], false, input, accepted.clone()));
    }
    let mut other = forged(&wrap, key_wrap::public_key(&wrap.ephemeral), &wrap.iv, &wrap.data_key)?;
    other.insert("schemeId".into(), "X25519-HKDF-SHA256-AESGCM-v2".into());
    let reason = "a scheme that isn't defined: its bytes mean nothing, even if they open";
    cases.push(either("key-unwrap", "unknown scheme", reason, &["scheme"], true, other, accepted));
    Ok(cases)
}

fn sizes() -> Made<Vec<Value>> {
    let wrap = valid_wrap();
    let ephemeral = key_wrap::public_key(&wrap.ephemeral);
    let mut cases = Vec::new();
    for length in [0, 16, 31, 33, 64] {
        let key = &seeded::<64>("long-data-key")[..length];
        let accepted = fields! { "dataKeyB64": base64::encode(key) };
        let input = forged(&wrap, ephemeral, &wrap.iv, key)?;
        let mutation = format!("data key of {length} bytes");
        cases.push(either("key-unwrap", &mutation, "a data key has 32 bytes", &["data-key"], true, input, accepted));
    }
    let long: [u8; 16] = seeded("long-iv");
    let accepted = fields! { "dataKeyB64": base64::encode(&wrap.data_key) };
    let input = forged(&wrap, ephemeral, &long, &wrap.data_key)?;
    let reason = "GCM can do it, but an IV has 12 bytes";
    cases.push(either("key-unwrap", "IV of 16 bytes", reason, &["iv"], true, input, accepted));
    let mut payload = valid_payload()?;
    let accepted = payload.remove("plaintextUtf8").unwrap_or_default();
    let aad = Binding { repo_id: super::negative::REPO, payload_version: (1 << 53) + 1, key_epoch: 3 }.to_aad();
    let text = accepted.as_str().unwrap_or_default().to_owned();
    let sealed = seal_long_iv(&sized(&payload["keyB64"])?, &long, &aad, text.as_bytes())?;
    payload.insert("ivB64".into(), base64::encode(&long).into());
    payload.insert("ciphertextB64".into(), base64::encode(&sealed).into());
    let accepted = fields! { "plaintextUtf8": accepted };
    cases.push(either("payload-decrypt", "IV of 16 bytes", reason, &["iv"], true, payload, accepted));
    Ok(cases)
}

fn signatures() -> Vec<Value> {
    let signature = [NEUTRAL, [0; 32]].concat();
    let rows = [
        (
            "key of small order",
            "under the neutral element this signature fits every message: such a key proves nothing",
            NEUTRAL,
        ),
        (
            "key beyond the field",
            "the neutral element spelled as p + 1: RFC 8032 5.1.3 refuses to decode it, many libraries don't",
            NEUTRAL_ALIAS,
        ),
    ];
    let row = |(mutation, reason, key): (&str, &str, [u8; 32])| {
        let input = signature_members(&key, b"any message", &signature);
        either("ed25519-verify", mutation, reason, &["small-order"], true, input, Fields::new())
    };
    rows.into_iter().map(row).collect()
}
