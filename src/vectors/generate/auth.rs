//! `auth-exchange.json`: challenge, signature, token.

use serde_json::Value;

use super::super::fields::fields;
use super::{Made, case, primitive, seed};
use crate::codec::{base64, jwt, signature};
use crate::ground::hex;

pub(super) fn file() -> Made<Value> {
    let cases = [
        exchange("alice", "the whole exchange of a member: what is sent, signed and minted", 32)?,
        exchange("bob", "another member, at the same identity provider, with a longer nonce", 48)?,
    ];
    let about = "The exchange of SPEC section 3, step by step, and the attempts that an identity provider has to refuse. \
                 Refusal of a used or expired nonce needs a clock and a memory: the server suite checks it.";
    Ok(super::file(about, cases.into()))
}

fn exchange(name: &str, reason: &str, length: usize) -> Made<Value> {
    let member_seed = seed::bytes(&format!("auth-exchange/{name}/member-seed"));
    let issuer_seed = seed::bytes("auth-exchange/issuer-seed");
    let member = base64::encode(&signature::public_key(&member_seed));
    let raw = &seed::bytes::<64>(&format!("auth-exchange/{name}/nonce"))[..length];
    let nonce = base64::encode(raw);
    let signed = base64::encode(&signature::sign(&member_seed, raw));
    let issued = 1_735_689_600_i64;
    let claims = fields! { "sub": format!("key:{member}"), "kind": "keypair", "iat": issued, "exp": issued + 3600 };
    let header = fields! { "alg": "EdDSA", "typ": "JWT" };
    let token = jwt::encode(&header, &claims, |input| signature::sign(&issuer_seed, input).to_vec());
    let asks = |key: &str, nonce: &str, signature: &str| fields! { "ed25519PublicKey": key, "nonce": nonce, "signature": signature };
    let attempts = attempts(name, &member_seed, raw, &signed)?;
    let failing = attempts.into_iter().map(|(name, reason, key, nonce, signature)| {
        let mut attempt = fields! { "name": name, "reason": reason };
        attempt.extend(asks(&key, &nonce, &signature));
        Value::Object(attempt)
    });
    Ok(case(
        name,
        reason,
        &["multi-step"],
        fields! {
            "memberSeedHex": hex::encode(&member_seed),
            "issuerSeedHex": hex::encode(&issuer_seed),
            "issuerPublicKeyB64": base64::encode(&signature::public_key(&issuer_seed)),
            "challengeRequest": fields! { "ed25519PublicKey": member.as_str() },
            "challengeResponse": fields! { "nonce": nonce.as_str() },
            "tokenRequest": asks(&member, &nonce, &signed),
            "tokenResponse": fields! { "token": token, "expiresAt": (issued + 3600) * 1000 },
            "claims": claims,
            "mustFail": failing.collect::<Vec<_>>(),
        },
    ))
}

type Attempt = (&'static str, &'static str, String, String, String);

/// Token requests whose signature doesn't fit.
fn attempts(name: &str, member_seed: &[u8; 32], raw: &[u8], signed: &str) -> Made<Vec<Attempt>> {
    let nonce = base64::encode(raw);
    let member = base64::encode(&signature::public_key(member_seed));
    let stranger_seed = seed::bytes(&format!("auth-exchange/{name}/stranger-seed"));
    let stranger = base64::encode(&signature::public_key(&stranger_seed));
    let other = seed::bytes::<32>(&format!("auth-exchange/{name}/other-nonce"));
    let sign = |seed: &[u8; 32], message: &[u8]| base64::encode(&signature::sign(seed, message));
    let mut altered = base64::decode(signed).map_err(primitive)?;
    if let Some(byte) = altered.last_mut() {
        *byte ^= 1;
    }
    let member_and_nonce = [member.as_bytes(), raw].concat();
    Ok(vec![
        (
            "text signed",
            "the base64 text is signed instead of the bytes",
            member.clone(),
            nonce.clone(),
            sign(member_seed, nonce.as_bytes()),
        ),
        (
            "another nonce",
            "a signature doesn't serve for the next challenge",
            member.clone(),
            base64::encode(&other),
            signed.into(),
        ),
        ("another key", "a signature doesn't serve for another member", stranger.clone(), nonce.clone(), signed.into()),
        (
            "signed by a stranger",
            "nobody gets a token for another's id",
            member.clone(),
            nonce.clone(),
            sign(&stranger_seed, raw),
        ),
        ("altered signature", "every bit counts", member.clone(), nonce.clone(), base64::encode(&altered)),
        ("no signature", "an id alone buys nothing", member.clone(), nonce.clone(), String::new()),
        ("id and nonce signed", "the nonce alone is signed", member, nonce, sign(member_seed, &member_and_nonce)),
    ])
}
