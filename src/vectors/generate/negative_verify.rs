//! `negative.json`, the cases of `ed25519-verify`.

use ed25519_dalek::VerifyingKey;
use serde_json::Value;

use super::super::fields::{Fields, fields};
use super::Made;
use super::mutation::{rejected, seeded};
use crate::codec::{base64, signature};
use crate::ground::ed25519;
use crate::ground::hex;

/// The neutral element.
pub(super) const NEUTRAL: [u8; 32] = {
    let mut point = [0; 32];
    point[0] = 1;
    point
};

/// A second spelling of the neutral element: y = p + 1.
pub(super) const NEUTRAL_ALIAS: [u8; 32] = {
    let mut point = [0xff; 32];
    point[0] = 0xee;
    point[31] = 0x7f;
    point
};

/// The members of `ed25519-verify`.
pub(super) fn members(key: &[u8], message: &[u8], signature: &[u8]) -> Fields {
    fields! { "publicKeyHex": hex::encode(key), "messageHex": hex::encode(message), "signatureHex": hex::encode(signature) }
}

/// A signature that is right, and the cases that come of it.
struct Signed {
    seed: [u8; 32],
    key: [u8; 32],
    nonce: [u8; 32],
    valid: [u8; 64],
    cases: Vec<Value>,
}

pub(super) fn cases() -> Made<Vec<Value>> {
    let (seed, nonce) = (seeded("verify/seed"), seeded("verify/nonce"));
    let (key, valid) = (signature::public_key(&seed), signature::sign(&seed, &nonce));
    let mut signed = Signed { seed, key, nonce, valid, cases: Vec::new() };
    signed.bits();
    signed.other_messages();
    signed.spellings();
    signed.bindings();
    Ok(signed.cases)
}

impl Signed {
    fn add(&mut self, mutation: &str, reason: &str, flag: &str, key: &[u8], message: &[u8], signature: &[u8]) {
        self.cases.push(rejected("ed25519-verify", mutation, reason, &[flag], members(key, message, signature)));
    }

    fn bits(&mut self) {
        let Self { key, nonce, valid, .. } = *self;
        for (mutation, at, bits) in [
            ("first bit of R", 0, 0x80),
            ("highest bit of R", 31, 0x80),
            ("lowest bit of S", 32, 1),
            ("highest bit of S", 63, 0x80),
        ] {
            self.add(mutation, "every bit counts", "signature", &key, &nonce, &flip(&valid, at, bits));
        }
        self.add("lowest bit of the key", "another key", "key", &flip(&key, 0, 1), &nonce, &valid);
        self.add("sign bit of the key", "the other point of that height", "key", &flip(&key, 31, 0x80), &nonce, &valid);
        self.add(
            "another key",
            "a signature belongs to its key",
            "key",
            &signature::public_key(&seeded("verify/other")),
            &nonce,
            &valid,
        );
        self.add("key off the curve", "not every 32 bytes are a point", "key", &off_curve(), &nonce, &valid);
        self.add("first bit of the message", "another message", "message", &key, &flip(&nonce, 0, 0x80), &valid);
        self.add("message a byte long", "another message", "message", &key, &[&nonce[..], &[0]].concat(), &valid);
        self.add("message a byte short", "another message", "message", &key, &nonce[..31], &valid);
        self.add("empty message", "another message", "message", &key, &[], &valid);
    }

    fn other_messages(&mut self) {
        let Self { seed, key, nonce, .. } = *self;
        let text = base64::encode(&nonce);
        self.add(
            "signature over the base64 text",
            "the raw bytes of a nonce are signed",
            "nonce",
            &key,
            &nonce,
            &signature::sign(&seed, text.as_bytes()),
        );
        self.add(
            "signature over the hexadecimal text",
            "the raw bytes of a nonce are signed",
            "nonce",
            &key,
            &nonce,
            &signature::sign(&seed, hex::encode(&nonce).as_bytes()),
        );
        self.add(
            "signature over a hash",
            "the nonce itself is signed",
            "nonce",
            &key,
            &nonce,
            &signature::sign(&seed, &sha256(&nonce)),
        );
    }

    fn spellings(&mut self) {
        let Self { key, nonce, valid, .. } = *self;
        let unreduced = ed25519::unreduced(&valid);
        self.add(
            "S plus the group order",
            "RFC 8032 5.1.7: S below the order, or else a signature has a second spelling",
            "non-canonical",
            &key,
            &nonce,
            &unreduced,
        );
        self.add(
            "S of all bits",
            "S below the order",
            "non-canonical",
            &key,
            &nonce,
            &[&valid[..32], &[0xff; 32]].concat(),
        );
        self.add(
            "R beyond the field",
            "the neutral element spelled as p + 1",
            "non-canonical",
            &NEUTRAL,
            &nonce,
            &[NEUTRAL_ALIAS, [0; 32]].concat(),
        );
        self.add("R and S swapped", "R comes first", "signature", &key, &nonce, &[&valid[32..], &valid[..32]].concat());
        self.add("signature of zeros", "no signature", "signature", &key, &nonce, &[0; 64]);
        self.add("signature a byte short", "a signature has 64 bytes", "length", &key, &nonce, &valid[..63]);
        self.add(
            "signature a byte long",
            "a signature has 64 bytes",
            "length",
            &key,
            &nonce,
            &[&valid[..], &[0]].concat(),
        );
        self.add("empty signature", "a signature has 64 bytes", "length", &key, &nonce, &[]);
        self.add("key a byte short", "a key has 32 bytes", "length", &key[..31], &nonce, &valid);
        self.add("key a byte long", "a key has 32 bytes", "length", &[&key[..], &[0]].concat(), &nonce, &valid);
    }

    fn bindings(&mut self) {
        let Self { seed, key, .. } = *self;
        for (mutation, reason, message) in bindings() {
            let right = b"AA==|Ag==";
            self.add(mutation, reason, "binding", &key, right, &signature::sign(&seed, message));
        }
    }
}

/// Messages that are no binding of `AA==` and `Ag==`.
fn bindings() -> [(&'static str, &'static str, &'static [u8]); 6] {
    [
        ("binding without the bar", "the message has a bar", b"AA==Ag=="),
        ("binding with a colon", "the separator is a bar", b"AA==:Ag=="),
        ("binding the other way round", "the Ed25519 key comes first", b"Ag==|AA=="),
        ("binding without padding", "the texts are those of the wire", b"AA|Ag"),
        ("binding of raw keys", "the texts are signed, not the bytes", &[0, 0x7c, 2]),
        ("binding with a line break", "nothing follows", b"AA==|Ag==\n"),
    ]
}

fn flip<const N: usize>(bytes: &[u8; N], at: usize, bits: u8) -> [u8; N] {
    let mut out = *bytes;
    if let Some(byte) = out.get_mut(at) {
        *byte ^= bits;
    }
    out
}

/// The smallest height that no point of the curve has.
fn off_curve() -> [u8; 32] {
    let point = |height: u8| {
        let mut point = [0; 32];
        point[0] = height;
        point
    };
    (2..=u8::MAX).map(point).find(|point| VerifyingKey::from_bytes(point).is_err()).unwrap_or([2; 32])
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    use sha2::{Digest, Sha256};
    Sha256::digest(bytes).into()
}
