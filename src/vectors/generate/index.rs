//! `index.json`.

use serde_json::Value;

use super::super::fields::fields;
use crate::codec::key_wrap::SCHEME_ID;

type Row = (&'static str, &'static str, &'static str, &'static str, &'static [&'static str]);

const ROWS: &[Row] = &[
    ("aad", "deterministic", "4", "the bytes of expectedAadHex", &[]),
    ("key-binding-message", "deterministic", "9", "the text of expectedMessageUtf8", &[]),
    ("hkdf", "rfc-primitive", "4", "prkHex and okmHex", &["RFC 5869 A.1", "RFC 5869 A.2", "RFC 5869 A.3"]),
    ("x25519", "rfc-primitive", "4", "outputHex", &["RFC 7748 5.2", "RFC 7748 6.1"]),
    ("ed25519", "rfc-primitive", "3", "publicKeyHex, signatureHex, and that it verifies", &["RFC 8032 7.1"]),
    ("payload-aead", "composition", "4", "aadHex, ciphertextB64, the plaintext back, and failure at tamperEpoch", &[]),
    ("key-wrap", "composition", "4", "every intermediate value, wrappedKey, and the data key back", &["RFC 7748 6.1"]),
    ("negative", "composition", "4", "refusal", &[]),
    (
        "federation",
        "deterministic",
        "8",
        "the token of decoded, and its parts back; host and repoId of an address",
        &[],
    ),
    ("negative-open", "composition", "4", "refusal, or else exactly what accepted says", &[]),
    ("malformed", "deterministic", "2", "refusal or, where expect says either, exactly what accepted says", &[]),
    ("base64", "deterministic", "2", "base64 of hex and back", &["RFC 4648 10"]),
    ("payload", "deterministic", "5", "the members of payload, absent ones as null", &[]),
    ("key-binding-signature", "composition", "9", "keyBindingSig, and that it verifies", &[]),
    ("auth-exchange", "composition", "3", "each signature of the exchange, and refusal of mustFail", &[]),
    ("rotation", "composition", "10", "what opens before and after, and refusal of mustFail", &[]),
];

pub(super) fn file() -> Value {
    let row = |(id, kind, section, expects, anchors): &Row| -> Value {
        fields! {
            "id": *id, "file": format!("{id}.json"), "kind": *kind, "specSection": *section, "expects": *expects,
            "anchors": anchors.to_vec(),
        }
        .into()
    };
    let kinds = fields! {
        "deterministic": "bytes and texts that follow from the specification alone",
        "rfc-primitive": "published cases of an RFC, with some of our own beside them",
        "composition": "primitives put together as the protocol does",
    };
    fields! {
        "description": "The files of this folder. Made by `avp-conform vectors generate`, not by hand.",
        "schemeId": SCHEME_ID, "kinds": kinds, "vectors": ROWS.iter().map(row).collect::<Vec<_>>(),
    }
    .into()
}
