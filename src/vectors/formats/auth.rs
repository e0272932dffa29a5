//! The whole challenge → sign → token exchange (SPEC §3).

use serde_json::Value;

use super::super::case::{Case, CaseStep};
use super::super::fields::{FieldError, Fields, array, fields, integer, object, string};
use super::super::op::CodecOp;
use crate::codec::base64;
use crate::codec::jwt::Jwt;
use crate::ground::hex;

pub(super) fn read(fields: &Fields) -> Result<Case, FieldError> {
    let seed = string(fields, "memberSeedHex")?;
    let member = string(object(fields, "challengeRequest")?, "ed25519PublicKey")?;
    let nonce = string(object(fields, "challengeResponse")?, "nonce")?;
    let request = object(fields, "tokenRequest")?;
    let mut case = Case { section: Some("§3"), ..Case::default() };
    for (name, wanted) in [("ed25519PublicKey", member), ("nonce", nonce)] {
        if string(request, name)? != wanted {
            case.wrong.push(format!("`tokenRequest.{name}` isn't that of the challenge"));
        }
    }
    if base64::decode(nonce).map_or(0, |bytes| bytes.len()) < 32 {
        case.wrong.push("`challengeResponse.nonce` isn't base64 of at least 32 bytes".into());
    }
    let key = hex::encode(&base64::decode(member).unwrap_or_default());
    let signature = string(request, "signature")?;
    case.steps = vec![
        CaseStep::gives(
            "member id",
            CodecOp::Ed25519PublicKey,
            fields! { "seedHex": seed },
            fields! { "publicKeyHex": key },
        ),
        CaseStep::gives(
            "signature over the raw nonce",
            CodecOp::SignNonce,
            fields! { "seedHex": seed, "nonce": nonce },
            fields! { "signature": signature },
        ),
        CaseStep::gives(
            "verification by the identity provider",
            CodecOp::Verify,
            verification(request)?,
            Fields::new(),
        ),
    ];
    token(fields, member, &mut case)?;
    for value in array(fields, "mustFail")? {
        let Value::Object(attempt) = value else {
            return Err(FieldError::new("mustFail", "has an entry that is no object"));
        };
        let name = string(attempt, "name")?;
        case.steps.push(CaseStep::refused(name, CodecOp::Verify, verification(attempt)?));
    }
    Ok(case)
}

/// What an identity provider verifies: the signature over the decoded nonce, by the key that asks.
fn verification(request: &Fields) -> Result<Fields, FieldError> {
    let bytes = |name: &str| -> Result<String, FieldError> {
        let text = string(request, name)?;
        let bytes = base64::decode(text).map_err(|error| FieldError::new(name, format!("isn't base64: {error}")))?;
        Ok(hex::encode(&bytes))
    };
    Ok(fields! {
        "publicKeyHex": bytes("ed25519PublicKey")?,
        "messageHex": bytes("nonce")?,
        "signatureHex": bytes("signature")?,
    })
}

/// The reference token: an EdDSA JWT that names the member.
fn token(fields: &Fields, member: &str, case: &mut Case) -> Result<(), FieldError> {
    let token = string(object(fields, "tokenResponse")?, "token")?;
    let issuer = base64::decode(string(fields, "issuerPublicKeyB64")?).unwrap_or_default();
    let jwt = match Jwt::parse(token) {
        Ok(jwt) => jwt,
        Err(error) => {
            case.wrong.push(format!("`tokenResponse.token` is no JWT: {error}"));
            return Ok(());
        }
    };
    if &jwt.claims != object(fields, "claims")? {
        case.wrong.push("`claims` aren't those of the token".into());
    }
    let expires = integer(object(fields, "tokenResponse")?, "expiresAt")?;
    let claimed = jwt.claims.get("exp").and_then(Value::as_i64).and_then(|seconds| seconds.checked_mul(1000));
    if claimed.is_some_and(|claimed| claimed != expires) {
        case.wrong.push("`tokenResponse.expiresAt` isn't the token's `exp` in milliseconds".into());
    }
    if jwt.subject() != Some(format!("key:{member}").as_str()) {
        case.wrong.push("the token's `sub` isn't key: and the member id".into());
    }
    if jwt.claims.get("kind").is_none_or(|kind| kind != "keypair") {
        case.wrong.push("the token's `kind` isn't keypair".into());
    }
    for claim in ["account", "email", "role", "roles"] {
        if jwt.claims.contains_key(claim) {
            case.wrong.push(format!("the token has a claim `{claim}`"));
        }
    }
    let (message, signature) = (hex::encode(jwt.signing_input.as_bytes()), hex::encode(&jwt.signature));
    let seed = string(fields, "issuerSeedHex")?;
    let signing = fields! { "seedHex": seed, "messageHex": message.as_str() };
    let verifying =
        fields! { "publicKeyHex": hex::encode(&issuer), "messageHex": message, "signatureHex": signature.as_str() };
    case.steps.push(CaseStep::gives(
        "signature of the token",
        CodecOp::Sign,
        signing,
        fields! { "signatureHex": signature },
    ));
    case.steps.push(CaseStep::gives("verification of the token", CodecOp::Verify, verifying, Fields::new()));
    Ok(())
}
