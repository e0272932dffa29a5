//! `negative.json`, the cases of `key-unwrap`.

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::super::fields::{Fields, fields};
use super::super::op::CodecOp;
use super::envelopes::Wrap;
use super::mutation::{changed, flipped, rejected, seeded, shorten};
use super::{Made, member, ours, primitive};
use crate::codec::key_wrap::{self, INFO};
use crate::codec::{base64, envelope};
use crate::ground::hex;

/// Points of small order, canonical or not: every scalar takes them to zero.
pub(super) const SMALL_ORDER: &[(&str, &str)] = &[
    ("0", "0000000000000000000000000000000000000000000000000000000000000000"),
    ("1", "0100000000000000000000000000000000000000000000000000000000000000"),
    ("p - 1", "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
    ("of order 8, the first", "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
    ("of order 8, the second", "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
    ("p, a second spelling of 0", "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
    ("p + 1, a second spelling of 1", "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
];

/// The wrap that is mutated.
pub(super) fn valid_wrap() -> Wrap {
    Wrap::of("negative/wrap")
}

/// The members of `key-unwrap`.
pub(super) fn members(recipient: &[u8; 32], wrapped: &Fields) -> Made<Fields> {
    Ok(fields! {
        "recipientPrivateKeyB64": base64::encode(recipient),
        "ephemeralPublicKeyB64": member(wrapped, "ephemeralPublicKey")?,
        "ivB64": member(wrapped, "iv")?,
        "ciphertextB64": member(wrapped, "ciphertext")?,
    })
}

pub(super) fn cases() -> Made<Vec<Value>> {
    let wrap = valid_wrap();
    let valid = members(&wrap.recipient, &wrap.wrapped()?)?;
    let mut cases = bytes(&valid);
    let mut add = |mutation: &str, reason: &str, flag: &str, name: &str, value: Value| {
        let mut members = valid.clone();
        members.insert(name.into(), value);
        cases.push(rejected("key-unwrap", mutation, reason, &[flag], members));
    };
    let other = base64::encode(&seeded::<32>("other-recipient"));
    add(
        "another recipient",
        "a wrap opens for its recipient alone",
        "recipient",
        "recipientPrivateKeyB64",
        other.into(),
    );
    let ephemeral = base64::encode(&key_wrap::public_key(&seeded("other-ephemeral")));
    add(
        "ephemeral key of another wrap",
        "the salt and the shared secret change",
        "ephemeral",
        "ephemeralPublicKeyB64",
        ephemeral.into(),
    );
    let own = base64::encode(&key_wrap::public_key(&wrap.recipient));
    add(
        "ephemeral key is the recipient's",
        "the salt and the shared secret change",
        "ephemeral",
        "ephemeralPublicKeyB64",
        own.into(),
    );
    for (name, point) in SMALL_ORDER {
        let point = base64::encode(&hex::decode(point).unwrap_or_default());
        let mutation = format!("ephemeral key of small order: {name}");
        add(
            &mutation,
            "the shared secret becomes zero and doesn't fit",
            "small-order",
            "ephemeralPublicKeyB64",
            point.into(),
        );
    }
    cases.extend(other_schemes(&wrap, &valid)?);
    Ok(cases)
}

fn bytes(valid: &Fields) -> Vec<Value> {
    let mut cases = Vec::new();
    let mut add = |mutation: &str, reason: &str, flag: &str, name: &str, value: Value| {
        let mut members = valid.clone();
        members.insert(name.into(), value);
        cases.push(rejected("key-unwrap", mutation, reason, &[flag], members));
    };
    for (mutation, flag, name, at, bits) in [
        ("first bit of the body", "body", "ciphertextB64", 0, 0x80),
        ("last bit of the body", "body", "ciphertextB64", -17, 1),
        ("first bit of the tag", "tag", "ciphertextB64", -16, 0x80),
        ("last bit of the tag", "tag", "ciphertextB64", -1, 1),
        ("first bit of the IV", "iv", "ivB64", 0, 0x80),
        ("last bit of the IV", "iv", "ivB64", -1, 1),
        ("lowest bit of the ephemeral key", "ephemeral", "ephemeralPublicKeyB64", 0, 1),
    ] {
        add(mutation, "every bit is authenticated", flag, name, flipped(&valid[name], at, bits));
    }
    let high = flipped(&valid["ephemeralPublicKeyB64"], -1, 0x80);
    add(
        "highest bit of the ephemeral key",
        "X25519 ignores it, but the salt is the raw encoding",
        "ephemeral",
        "ephemeralPublicKeyB64",
        high,
    );
    for (what, flag, name) in [
        ("ciphertext", "length", "ciphertextB64"),
        ("IV", "iv", "ivB64"),
        ("ephemeral key", "ephemeral", "ephemeralPublicKeyB64"),
        ("private key", "recipient", "recipientPrivateKeyB64"),
    ] {
        let wrong = "a wrong length is no length";
        let (short, long) = (changed(&valid[name], shorten), changed(&valid[name], |b| b.push(0)));
        add(&format!("{what} a byte short"), wrong, flag, name, short);
        add(&format!("{what} a byte long"), wrong, flag, name, long);
        add(&format!("empty {what}"), "nothing is no length", flag, name, "".into());
    }
    let ciphertext = &valid["ciphertextB64"];
    let (cut, turned) =
        (changed(ciphertext, |bytes| bytes.truncate(32)), changed(ciphertext, |bytes| bytes.rotate_right(16)));
    add("tag left out", "without a tag nothing is authenticated", "tag", "ciphertextB64", cut);
    add("tag first", "the tag stands at the end", "tag", "ciphertextB64", turned);
    cases
}

/// A derivation other than the scheme's: mutation, reason, flag, key encryption key, additional data.
type Derivation = (&'static str, &'static str, &'static str, [u8; 32], &'static str);

/// Another secret, another function, another salt.
fn other_keys(secret: [u8; 32], ephemeral: [u8; 32], recipient: [u8; 32]) -> Made<Vec<Derivation>> {
    let reversed: Vec<u8> = secret.iter().rev().copied().collect();
    let hashed = Sha256::digest(secret);
    let both = [ephemeral, recipient].concat();
    Ok(vec![
        (
            "hashed shared secret",
            "the raw output of X25519 goes into HKDF",
            "secret",
            derive("SHA-256", &hashed, &ephemeral, INFO)?,
            INFO,
        ),
        (
            "shared secret reversed",
            "its bytes are little-endian as they come",
            "secret",
            derive("SHA-256", &reversed, &ephemeral, INFO)?,
            INFO,
        ),
        ("shared secret as key", "HKDF left out", "kdf", secret, INFO),
        ("SHA-256 as key derivation", "HKDF left out", "kdf", hashed.into(), INFO),
        ("HKDF over SHA-512", "another hash", "kdf", derive("SHA-512", &secret, &ephemeral, INFO)?, INFO),
        ("no salt", "the ephemeral key is the salt", "salt", derive("SHA-256", &secret, &[], INFO)?, INFO),
        ("recipient's key as salt", "not the recipient's", "salt", derive("SHA-256", &secret, &recipient, INFO)?, INFO),
        ("both keys as salt", "nor both", "salt", derive("SHA-256", &secret, &both, INFO)?, INFO),
        (
            "base64 of the key as salt",
            "the raw key, not its text",
            "salt",
            derive("SHA-256", &secret, base64::encode(&ephemeral).as_bytes(), INFO)?,
            INFO,
        ),
    ])
}

/// Another label, in HKDF or as additional data.
fn other_labels(secret: [u8; 32], ephemeral: [u8; 32]) -> Made<Vec<Derivation>> {
    let right = derive("SHA-256", &secret, &ephemeral, INFO)?;
    Ok(vec![
        ("no info", "the label goes into HKDF", "label", derive("SHA-256", &secret, &ephemeral, "")?, INFO),
        (
            "info of another version",
            "the label is exact",
            "label",
            derive("SHA-256", &secret, &ephemeral, "avp/rdk-wrap/v2")?,
            INFO,
        ),
        (
            "info with a NUL behind",
            "the label is exact",
            "label",
            derive("SHA-256", &secret, &ephemeral, "avp/rdk-wrap/v1\0")?,
            INFO,
        ),
        (
            "scheme id as info",
            "the label isn't the name of the scheme",
            "label",
            derive("SHA-256", &secret, &ephemeral, key_wrap::SCHEME_ID)?,
            INFO,
        ),
        ("no additional data", "the label is bound by GCM, too", "label", right, ""),
        ("scheme id as additional data", "the label isn't the name of the scheme", "label", right, key_wrap::SCHEME_ID),
        ("additional data of another version", "the label is exact", "label", right, "avp/rdk-wrap/v2"),
    ])
}

/// Wraps that are sound under another derivation than the scheme's.
fn other_schemes(wrap: &Wrap, valid: &Fields) -> Made<Vec<Value>> {
    let recipient = key_wrap::public_key(&wrap.recipient);
    let ephemeral = key_wrap::public_key(&wrap.ephemeral);
    let secret = *key_wrap::shared_secret(&wrap.ephemeral, &recipient).map_err(primitive)?;
    let rows = [other_keys(secret, ephemeral, recipient)?, other_labels(secret, ephemeral)?].concat();
    let mut cases = Vec::new();
    for (mutation, reason, flag, kek, aad) in rows {
        let sealed = envelope::seal_with_aad(&kek, &wrap.iv, aad.as_bytes(), &wrap.data_key).map_err(primitive)?;
        let mut members = valid.clone();
        members.insert("ciphertextB64".into(), base64::encode(&sealed).into());
        cases.push(rejected("key-unwrap", mutation, reason, &[flag], members));
    }
    Ok(cases)
}

fn derive(hash: &str, secret: &[u8], salt: &[u8], info: &str) -> Made<[u8; 32]> {
    let input = fields! { "hash": hash, "ikmHex": hex::encode(secret), "saltHex": hex::encode(salt),
    "infoHex": hex::encode(info.as_bytes()), "length": 32 };
    let output = ours(CodecOp::Hkdf, &input)?;
    Ok(super::super::fields::hex_array(&output, "okmHex")?)
}
