//! Other types than strings in a token request, and members that aren't there: loosely typed programs find, compare and verify such
//! values in ways that nobody meant (`true` equals any text, an array of one is its text, a query operator matches whatever there is).

use serde_json::{Value, json};

use super::replay::{body_call, json_of};
use super::{bytes_of, spend};
use crate::client::{Identity, random};
use crate::codec::base64;
use crate::scenarios::attempts::Attempts;
use crate::scenarios::check::checks;
use crate::scenarios::{Ctx, Operation, Outcome, Stop};
use crate::wire::TokenRequest;

checks! {
    only = Http;
    "auth/signature-of-another-type", Must, "§3", [SIGNATURE_VERIFIED], signatures,
        "Another JSON type in the place of the signature, or nothing at all, buys no token";
    "auth/nonce-of-another-type", Must, "§3", [NONCE_SINGLE_USE, NONCE_ISSUED], nonces,
        "A used nonce within another JSON type, or a value that is no nonce, buys no token";
    "auth/key-of-another-type", Must, "§3", [SIGNATURE_VERIFIED], keys,
        "Another JSON type in the place of the key doesn't spare the signature";
}

/// What programs take for a text, for any text, for none, or for a question to their database.
const OTHERS: [&str; 17] = [
    "true",
    "false",
    "null",
    "0",
    "1",
    "-1",
    "64",
    "1.5",
    "[]",
    "[null]",
    "[true]",
    r#"[""]"#,
    "{}",
    r#"{"$ne":null}"#,
    r#"{"$exists":true}"#,
    r#"{"length":64}"#,
    r#"{"type":"Buffer","data":[]}"#,
];

/// The request with another value of a member: each of them, and without it.
fn with_others(request: &TokenRequest, name: &str) -> Vec<(String, Value)> {
    let with = |text: &&str| {
        let mut body = json_of(request);
        body[name] = serde_json::from_str(text).unwrap_or_default();
        (format!("{name} {text}"), body)
    };
    let mut all: Vec<_> = OTHERS.iter().map(with).collect();
    let mut without = json_of(request);
    without.as_object_mut().map(|members| members.remove(name));
    all.push((format!("no {name}"), without));
    all
}

/// A text within another type.
fn wrapped(text: &str) -> Vec<(&'static str, Value)> {
    let bytes = base64::decode(text).unwrap_or_default();
    vec![
        ("in an array", json!([text])),
        ("in an array twice", json!([text, text])),
        ("in an array in an array", json!([[text]])),
        ("as the value of an object", json!({ "value": text })),
        ("as the first of an object", json!({ "0": text })),
        ("in a query that asks for it", json!({ "$eq": text })),
        ("in a query that asks for one of it", json!({ "$in": [text] })),
        ("as an array of its bytes", json!(bytes)),
        ("as a buffer of its bytes", json!({ "type": "Buffer", "data": bytes })),
    ]
}

/// Each with a key and a nonce of its own, so that neither a lock nor a nonce that a failed attempt uses up gets in the way. How they are
/// refused is the business of `bad-input/*`.
async fn signatures(cx: &Ctx) -> Outcome {
    let mut tally = Attempts::new(cx);
    let wrong = [[0; 64], random::bytes()].map(|bytes| json!([base64::encode(&bytes)]));
    for number in 0..=OTHERS.len() + wrong.len() {
        let alice = cx.identity();
        let request = cx.redeem(&alice, &cx.nonce(&alice).await?)?;
        let (what, body) = match number.checked_sub(OTHERS.len() + 1) {
            None => with_others(&request, "signature").swap_remove(number),
            Some(at) => {
                let mut body = json_of(&request);
                body["signature"] = wrong[at].clone();
                ("a wrong signature in an array".to_owned(), body)
            }
        };
        tally.attempt(what, body_call(Operation::Token, body)).await?;
    }
    tally.only_let_in().verdict("a request without a signature buys no token")
}

/// Used nonces in wrappings, a fresh one first in a wrapping and then without it, and values over which nothing is signed.
async fn nonces(cx: &Ctx) -> Outcome {
    let mut tally = Attempts::new(cx);
    let used = spend(cx, &cx.identity()).await?;
    for (how, nonce) in wrapped(&used.nonce) {
        let mut body = json_of(&used);
        body["nonce"] = nonce;
        tally.attempt(format!("a used nonce {how}"), body_call(Operation::Token, body)).await?;
    }
    twice(cx, &mut tally).await?;
    for number in 0..=OTHERS.len() {
        let alice = Identity::generate();
        let (what, body) = with_others(&signed_nothing(&alice), "nonce").swap_remove(number);
        tally.attempt(what, body_call(Operation::Token, body)).await?;
    }
    // The same while the key has an open challenge, which is none of these.
    let alice = cx.identity();
    cx.nonce(&alice).await?;
    for (what, body) in with_others(&signed_nothing(&alice), "nonce") {
        tally.attempt(format!("{what}, with a challenge open"), body_call(Operation::Token, body)).await?;
    }
    tally.only_let_in().verdict("what is no nonce, or a used one, buys no token")
}

/// Who takes a wrapped nonce is lenient; but then it is used.
async fn twice(cx: &Ctx, tally: &mut Attempts<'_>) -> Outcome {
    let alice = cx.identity();
    let request = cx.redeem(&alice, &cx.nonce(&alice).await?)?;
    let mut body = json_of(&request);
    body["nonce"] = json!([request.nonce]);
    let first = cx.try_call(body_call(Operation::Token, body.clone())).await.1;
    if first.is_ok_and(|answer| answer.is_success()) {
        tally.attempt("a nonce that was used in an array", body_call(Operation::Token, json_of(&request))).await?;
        tally.attempt("a nonce in an array, once more", body_call(Operation::Token, body)).await?;
    }
    Ok(())
}

/// A right signature over no bytes.
fn signed_nothing(who: &Identity) -> TokenRequest {
    TokenRequest { ed25519_public_key: who.id.clone(), nonce: String::new(), signature: base64::encode(&who.sign(b"")) }
}

/// One's nonce, signed by the other.
async fn foreign(cx: &Ctx, alice: &Identity, mallory: &Identity) -> Result<TokenRequest, Stop> {
    let nonce = cx.nonce(alice).await?;
    let signature = base64::encode(&mallory.sign(&bytes_of(cx, &nonce)?));
    Ok(TokenRequest { ed25519_public_key: alice.id.clone(), nonce, signature })
}

/// alice's nonce, signed by mallory: it verifies under no key that could be meant.
async fn keys(cx: &Ctx) -> Outcome {
    let mut tally = Attempts::new(cx);
    let (alice, mallory) = (cx.identity(), cx.identity());
    let request = foreign(cx, &alice, &mallory).await?;
    for (what, body) in with_others(&request, "ed25519PublicKey") {
        tally.attempt(format!("another key's signature and {what}"), body_call(Operation::Token, body)).await?;
    }
    for (how, key) in wrapped(&alice.id) {
        let mut body = json_of(&foreign(cx, &alice, &mallory).await?);
        body["ed25519PublicKey"] = key;
        let what = format!("another key's signature and the key {how}");
        tally.attempt(what, body_call(Operation::Token, body)).await?;
    }
    tally.only_let_in().verdict("a signature that doesn't verify under the key buys no token")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_value_is_another_and_is_what_it_says() {
        let request = signed_nothing(&Identity::generate());
        for name in ["nonce", "signature", "ed25519PublicKey"] {
            let bodies = with_others(&request, name);
            assert_eq!(bodies.len(), OTHERS.len() + 1);
            for ((_, body), text) in bodies.iter().zip(OTHERS) {
                assert_eq!(body[name], serde_json::from_str::<Value>(text).unwrap());
            }
            assert!(bodies.last().unwrap().1.get(name).is_none());
        }
        assert!(wrapped(&base64::encode(&[7; 32])).iter().all(|(_, value)| !value.is_string()));
    }
}
