//! `payload-aead.json` and `key-wrap.json`.

use serde_json::Value;

use super::super::fields::{Fields, fields};
use super::super::op::CodecOp;
use super::{Made, case, file, member, ours, plaintexts, primitive, seed};
use crate::codec::{base64, key_wrap};
use crate::ground::hex;

pub(super) fn payloads() -> Made<Value> {
    let mut cases = Vec::new();
    for length in [0, 1, 15, 16, 17, 31, 32, 33, 255, 256, 257, 4096, 65_536] {
        let text: String = ('a'..='z').chain('0'..='9').cycle().take(length).collect();
        let reason = match length {
            0 => "an empty plaintext: the ciphertext is the tag alone",
            15 | 31 | 255 => "one byte less than whole blocks",
            16 | 32 | 256 => "whole blocks",
            17 | 33 | 257 => "one byte more than whole blocks",
            65_536 => "64 KiB",
            _ => "a length of no particular kind",
        };
        cases.push(sealed(&format!("{length}-bytes"), reason, &["size"], ("repo-1", 1, 0), &text)?);
    }
    for plaintext in plaintexts::real() {
        let place = ("3b1f9c64-0b2a-4f1e-9c3d-1a2b3c4d5e6f", plaintext.version, 2);
        cases.push(sealed(plaintext.name, plaintext.reason, &["payload"], place, &plaintext.json)?);
    }
    for (name, reason, place) in [
        ("empty-id", "bound to an empty id", ("", 1, 0)),
        ("non-ascii-id", "bound to an id beyond ASCII", ("dépôt-\u{1f511}", 1, 0)),
        ("separator-in-id", "bound to an id with the separator in it", ("a\u{1f}b", 1, 0)),
        (
            "version-beyond-double",
            "bound to 2^53 + 1: an IEEE double decrypts at another version",
            ("r", (1 << 53) + 1, 0),
        ),
        ("epoch-beyond-double", "bound to 2^53 + 1 as epoch", ("r", 1, (1 << 53) + 1)),
        ("version-max", "bound to 2^63 - 1", ("r", i64::MAX, 1)),
        ("version-min", "bound to -2^63", ("r", i64::MIN, 1)),
        ("epoch-minus-1", "bound to a negative epoch", ("r", 1, -1)),
    ] {
        cases.push(sealed(name, reason, &["binding"], place, "{\"alts\":[],\"payloadVersion\":1}")?);
    }
    Ok(file("Payload envelopes: AES-256-GCM bound to repository, version and epoch (SPEC section 4).", cases))
}

/// What one needs to encrypt.
pub(super) fn sealing(label: &str, (id, version, epoch): (&str, i64, i64), text: &str) -> Fields {
    fields! {
        "keyB64": base64::encode(&seed::bytes::<32>(&format!("{label}/key"))),
        "ivB64": base64::encode(&seed::bytes::<12>(&format!("{label}/iv"))),
        "repoId": id, "payloadVersion": version, "keyEpoch": epoch, "plaintextUtf8": text,
    }
}

fn sealed(name: &str, reason: &str, flags: &[&str], place: (&str, i64, i64), text: &str) -> Made<Value> {
    let mut members = sealing(&format!("payload-aead/{name}"), place, text);
    let ciphertext = member(&ours(CodecOp::Encrypt, &members)?, "ciphertextB64")?;
    let aad = member(&ours(CodecOp::Aad, &members)?, "aadHex")?;
    members.insert("ciphertextB64".into(), ciphertext);
    members.insert("aadHex".into(), aad);
    members.insert("tamperEpoch".into(), place.2.wrapping_add(1).into());
    members.insert("source".into(), "avp-conform".into());
    Ok(case(name, reason, flags, members))
}

/// A wrap with everything that leads to it.
pub(super) struct Wrap {
    pub data_key: [u8; 32],
    pub recipient: [u8; 32],
    pub ephemeral: [u8; 32],
    pub iv: [u8; 12],
}

impl Wrap {
    /// A wrap whose keys all come from a label.
    pub(super) fn of(label: &str) -> Self {
        Self {
            data_key: seed::bytes(&format!("{label}/data-key")),
            recipient: seed::bytes(&format!("{label}/recipient")),
            ephemeral: seed::bytes(&format!("{label}/ephemeral")),
            iv: seed::bytes(&format!("{label}/iv")),
        }
    }

    /// The wrapped key, as our codec makes it.
    pub(super) fn wrapped(&self) -> Made<Fields> {
        let input = fields! {
            "dataKeyB64": base64::encode(&self.data_key),
            "recipientPublicKeyB64": base64::encode(&key_wrap::public_key(&self.recipient)),
            "ephemeralPrivateKeyB64": base64::encode(&self.ephemeral),
            "ivB64": base64::encode(&self.iv),
        };
        let wrapped = member(&ours(CodecOp::Wrap, &input)?, "wrappedKey")?;
        wrapped.as_object().cloned().ok_or_else(|| primitive("a wrapped key is an object"))
    }

    fn members(&self) -> Made<Fields> {
        let public = key_wrap::public_key(&self.recipient);
        let secret = key_wrap::shared_secret(&self.ephemeral, &public).map_err(primitive)?;
        let kek = key_wrap::key_encryption_key(&secret, &key_wrap::public_key(&self.ephemeral));
        Ok(fields! {
            "source": "avp-conform",
            "recipientPrivateKeyB64": base64::encode(&self.recipient),
            "recipientPublicKeyB64": base64::encode(&public),
            "ephemeralPrivateKeyB64": base64::encode(&self.ephemeral),
            "dataKeyB64": base64::encode(&self.data_key),
            "sharedSecretHex": hex::encode(secret.as_ref()),
            "kekHex": hex::encode(kek.as_ref()),
            "info": key_wrap::INFO,
            "wrappedKey": self.wrapped()?,
        })
    }
}

pub(super) fn wraps() -> Made<Value> {
    let mut cases = Vec::new();
    let mut add = |name: &str, reason: &str, flag: &str, wrap: &Wrap| -> Made<()> {
        cases.push(case(name, reason, &[flag], wrap.members()?));
        Ok(())
    };
    let data_key = seed::bytes("key-wrap/repository/data-key");
    for (name, reason) in [
        ("alice", "the data key of a repository, wrapped to its first member"),
        ("bob", "the same data key to a second member: nothing but the data key is shared"),
        ("carol", "and to a third"),
    ] {
        add(name, reason, "several-recipients", &Wrap { data_key, ..Wrap::of(&format!("key-wrap/{name}")) })?;
    }
    let again = Wrap { data_key, recipient: seed::bytes("key-wrap/alice/recipient"), ..Wrap::of("key-wrap/again") };
    add("alice-again", "the same data key to the same member: another ephemeral key, another wrap", "fresh", &again)?;
    add(
        "zero-data-key",
        "a data key of zeros is a key",
        "data-key",
        &Wrap { data_key: [0; 32], ..Wrap::of("key-wrap/zeros") },
    )?;
    add(
        "ones-data-key",
        "a data key with all bits set",
        "data-key",
        &Wrap { data_key: [0xff; 32], ..Wrap::of("key-wrap/ones") },
    )?;
    add("zero-iv", "an IV of zeros", "iv", &Wrap { iv: [0; 12], ..Wrap::of("key-wrap/zero-iv") })?;
    let unclamped = Wrap { recipient: [0xff; 32], ephemeral: [0xfe; 32], ..Wrap::of("key-wrap/unclamped") };
    add("unclamped-keys", "private keys that X25519 has to clamp, on both sides", "clamping", &unclamped)?;
    let clamped = Wrap { recipient: [0; 32], ..Wrap::of("key-wrap/zero-private") };
    add("zero-private-key", "clamping makes a private key of zeros a valid one", "clamping", &clamped)?;
    let (alice, bob) = (super::super::rfc::X25519[3].scalar, super::super::rfc::X25519[4].scalar);
    let known = Wrap { recipient: array(alice)?, ephemeral: array(bob)?, ..Wrap::of("key-wrap/rfc-7748") };
    add("rfc-7748-key-pairs", "the key pairs of RFC 7748 6.1: the shared secret is the published one", "rfc", &known)?;
    let own = Wrap::of("key-wrap/self");
    let own = Wrap { ephemeral: own.recipient, ..own };
    add("ephemeral-is-recipient", "odd, but computable: the ephemeral key is the recipient's own", "edge", &own)?;
    Ok(file("Data keys wrapped by X25519-HKDF-SHA256-AESGCM-v1 (SPEC section 4).", cases))
}

fn array(hex: &str) -> Made<[u8; 32]> {
    Ok(super::super::fields::hex_array(&fields! { "scalar": hex }, "scalar")?)
}
