//! `key-binding-message.json` and `key-binding-signature.json`.

use serde_json::Value;

use super::super::fields::{Fields, fields};
use super::super::op::CodecOp;
use super::{Made, case, file, member, ours, seed};
use crate::codec::{base64, key_wrap, signature};
use crate::ground::hex;

fn keys(label: &str) -> (String, String) {
    let ed25519 = signature::public_key(&seed::bytes(&format!("{label}/ed25519-seed")));
    let x25519 = key_wrap::public_key(&seed::bytes(&format!("{label}/x25519-private")));
    (base64::encode(&ed25519), base64::encode(&x25519))
}

fn with_message(ed25519: &str, x25519: &str) -> Made<Fields> {
    let mut members = fields! { "ed25519PublicKey": ed25519, "x25519PublicKey": x25519 };
    let message = member(&ours(CodecOp::BindingMessage, &members)?, "messageUtf8")?;
    members.insert("expectedMessageUtf8".into(), message);
    Ok(members)
}

pub(super) fn messages() -> Made<Value> {
    let (alice, bob) = (keys("binding/alice"), keys("binding/bob"));
    let zeros = base64::encode(&[0; 32]);
    let slashes = base64::encode(&[0xff; 32]);
    let rows = [
        ("alice", "an ordinary member", alice.0.as_str(), alice.1.as_str()),
        ("bob", "another one", &bob.0, &bob.1),
        ("swapped", "the Ed25519 key comes first, whatever the texts are", &alice.1, &alice.0),
        ("mixed", "one key of each: the binding is about the pair", &alice.0, &bob.1),
        ("zeros", "texts of many A's", &zeros, &zeros),
        ("slashes", "texts of many slashes: base64, not base64url", &slashes, &slashes),
        ("texts-as-they-are", "the texts are joined as they stand, even if they are no keys", "AA==", "Ag=="),
        ("bar-in-text", "nothing is escaped", "a|b", "c"),
        ("empty", "the bar alone", "", ""),
    ];
    let cases = rows
        .into_iter()
        .map(|(name, reason, ed25519, x25519)| Ok(case(name, reason, &["binding"], with_message(ed25519, x25519)?)));
    Ok(file(
        "The message of a key binding: base64 Ed25519 key, bar, base64 X25519 key (SPEC section 9).",
        cases.collect::<Made<_>>()?,
    ))
}

/// Issuer, member and signature of a binding.
pub(super) fn signed(label: &str) -> Made<Fields> {
    let issuer = seed::bytes(&format!("binding/{label}/issuer-seed"));
    let (ed25519, x25519) = keys(&format!("binding/{label}"));
    let mut members = with_message(&ed25519, &x25519)?;
    let message = member(&members, "expectedMessageUtf8")?;
    let signed = signature::sign(&issuer, message.as_str().unwrap_or_default().as_bytes());
    members.extend(fields! {
        "issuerSeedHex": hex::encode(&issuer),
        "issuerPublicKeyB64": base64::encode(&signature::public_key(&issuer)),
        "keyBindingSig": base64::encode(&signed),
    });
    Ok(members)
}

pub(super) fn signatures() -> Made<Value> {
    let cases = [
        case("alice", "an issuer binds a member's two keys", &["binding"], signed("alice")?),
        case("bob", "another issuer, another member", &["binding"], signed("bob")?),
    ];
    Ok(file("Key bindings with their signatures (SPEC section 9).", cases.into()))
}
