//! Payloads and wrapped keys.

use super::super::case::{Case, CaseStep};
use super::super::fields::{FieldError, Fields, fields, integer, object, string};
use super::super::op::CodecOp;
use super::picked;
use super::primitives::{lower, upper_case};
use crate::codec::base64;
use crate::codec::key_wrap::{INFO, SCHEME_ID};
use crate::ground::hex;

pub(super) fn payload(fields: &Fields) -> Result<Case, FieldError> {
    for name in ["keyB64", "ivB64", "repoId", "plaintextUtf8", "ciphertextB64"] {
        string(fields, name)?;
    }
    let (epoch, tampered) = (integer(fields, "keyEpoch")?, integer(fields, "tamperEpoch")?);
    integer(fields, "payloadVersion")?;
    let bound = ["repoId", "payloadVersion", "keyEpoch"];
    let sealed = picked(fields, &[&["keyB64", "ivB64", "ciphertextB64"][..], &bound].concat())?;
    let steps = vec![
        CaseStep::gives(
            "additional data",
            CodecOp::Aad,
            picked(fields, &bound)?,
            fields! { "aadHex": lower(fields, "aadHex")? },
        ),
        CaseStep::gives(
            "encryption",
            CodecOp::Encrypt,
            picked(fields, &[&["keyB64", "ivB64", "plaintextUtf8"][..], &bound].concat())?,
            picked(fields, &["ciphertextB64"])?,
        ),
        CaseStep::gives("decryption", CodecOp::Decrypt, sealed.clone(), picked(fields, &["plaintextUtf8"])?),
        CaseStep::refused(format!("decryption at epoch {tampered}"), CodecOp::Decrypt, {
            let mut moved = sealed;
            moved.insert("keyEpoch".into(), tampered.into());
            moved
        }),
    ];
    let mut case = Case { steps, odd: upper_case(fields, &["aadHex"]), ..Case::default() };
    if epoch == tampered {
        case.steps.pop();
        case.wrong.push("`tamperEpoch` is the epoch itself: nothing is tampered with".into());
    }
    Ok(case)
}

pub(super) fn plaintext(fields: &Fields) -> Result<Case, FieldError> {
    string(fields, "plaintextUtf8")?;
    object(fields, "payload")?;
    let (input, result) = (picked(fields, &["plaintextUtf8"])?, picked(fields, &["payload"])?);
    Ok(Case { steps: vec![CaseStep::gives("payload", CodecOp::ParsePayload, input, result)], ..Case::default() })
}

pub(super) fn key_wrap(fields: &Fields) -> Result<Case, FieldError> {
    for name in ["recipientPrivateKeyB64", "recipientPublicKeyB64", "dataKeyB64"] {
        string(fields, name)?;
    }
    let (wrapped, info) = (object(fields, "wrappedKey")?, string(fields, "info")?);
    for name in ["schemeId", "ephemeralPublicKey", "iv", "ciphertext"] {
        string(wrapped, name).map_err(|error| FieldError { field: format!("wrappedKey.{name}"), ..error })?;
    }
    let mut case = Case { odd: upper_case(fields, &["sharedSecretHex", "kekHex"]), ..Case::default() };
    if info != INFO {
        case.wrong.push(format!("`info` is {info:?} instead of {INFO:?}"));
    }
    if wrapped["schemeId"] != SCHEME_ID {
        case.wrong.push(format!("`wrappedKey.schemeId` is {} instead of {SCHEME_ID:?}", wrapped["schemeId"]));
    }
    case.steps = agreement(fields, wrapped)?;
    case.steps.push(CaseStep::gives(
        "unwrapping",
        CodecOp::Unwrap,
        picked(fields, &["recipientPrivateKeyB64", "wrappedKey"])?,
        picked(fields, &["dataKeyB64"])?,
    ));
    match fields.get("ephemeralPrivateKeyB64") {
        Some(_) => case.steps.extend(wrapping(fields, wrapped)?),
        None => case.unchecked.push("wrapping: the case doesn't give the ephemeral private key".into()),
    }
    Ok(case)
}

/// The recipient's key pair, the shared secret and the key encryption key.
fn agreement(fields: &Fields, wrapped: &Fields) -> Result<Vec<CaseStep>, FieldError> {
    let public = fields! { "publicKeyB64": string(fields, "recipientPublicKeyB64")? };
    let private = fields! { "privateKeyB64": string(fields, "recipientPrivateKeyB64")? };
    let (secret, kek) = (lower(fields, "sharedSecretHex")?, lower(fields, "kekHex")?);
    let mut steps = vec![CaseStep::gives("recipient's public key", CodecOp::X25519PublicKey, private, public)];
    let bytes = |fields, name| string(fields, name).ok().and_then(|text| base64::decode(text).ok());
    let keys = bytes(fields, "recipientPrivateKeyB64").zip(bytes(wrapped, "ephemeralPublicKey"));
    // If either isn't base64, unwrapping tells.
    if let Some((private, ephemeral)) = keys.filter(|(private, public)| private.len() == 32 && public.len() == 32) {
        let ephemeral = hex::encode(&ephemeral);
        let multiplied = fields! { "scalarHex": hex::encode(&private), "uCoordinateHex": ephemeral.as_str() };
        steps.push(CaseStep::gives(
            "shared secret",
            CodecOp::X25519,
            multiplied,
            fields! { "outputHex": secret.as_str() },
        ));
        if hex::decode(&secret).is_some() {
            let derived = fields! { "hash": "SHA-256", "ikmHex": secret, "saltHex": ephemeral,
            "infoHex": hex::encode(INFO.as_bytes()), "length": 32 };
            steps.push(CaseStep::gives("key encryption key", CodecOp::Hkdf, derived, fields! { "okmHex": kek }));
        }
    }
    Ok(steps)
}

fn wrapping(fields: &Fields, wrapped: &Fields) -> Result<[CaseStep; 2], FieldError> {
    let mut input = picked(fields, &["dataKeyB64", "recipientPublicKeyB64", "ephemeralPrivateKeyB64"])?;
    input.insert("ivB64".into(), wrapped["iv"].clone());
    let private = fields! { "privateKeyB64": string(fields, "ephemeralPrivateKeyB64")? };
    let public = fields! { "publicKeyB64": wrapped["ephemeralPublicKey"].clone() };
    let mut wrap = CaseStep::gives("wrapping", CodecOp::Wrap, input, picked(fields, &["wrappedKey"])?);
    wrap.recipient_private = Some(string(fields, "recipientPrivateKeyB64")?.to_owned());
    Ok([CaseStep::gives("ephemeral public key", CodecOp::X25519PublicKey, private, public), wrap])
}
