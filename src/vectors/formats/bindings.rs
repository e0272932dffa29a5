//! Key bindings.

use super::super::case::{Case, CaseStep};
use super::super::fields::{FieldError, Fields, fields, string};
use super::super::op::CodecOp;
use super::{picked, renamed};
use crate::codec::base64;
use crate::ground::hex;

const KEYS: &[&str] = &["ed25519PublicKey", "x25519PublicKey"];

pub(super) fn message(fields: &Fields) -> Result<Case, FieldError> {
    let (input, message) = (picked(fields, KEYS)?, string(fields, "expectedMessageUtf8")?);
    string(fields, "ed25519PublicKey")?;
    string(fields, "x25519PublicKey")?;
    let step = CaseStep::gives("binding message", CodecOp::BindingMessage, input, fields! { "messageUtf8": message });
    Ok(Case { steps: vec![step], ..Case::default() })
}

pub(super) fn signature(fields: &Fields) -> Result<Case, FieldError> {
    let mut case = message(fields)?;
    let message = string(fields, "expectedMessageUtf8")?;
    let signature = base64::decode(string(fields, "keyBindingSig")?).unwrap_or_default();
    let issuer = base64::decode(string(fields, "issuerPublicKeyB64")?).unwrap_or_default();
    let seed = picked(fields, &["issuerSeedHex"]).and_then(|_| renamed(fields, &[("issuerSeedHex", "seedHex")]))?;
    let mut signing = seed.clone();
    signing.insert("messageHex".into(), hex::encode(message.as_bytes()).into());
    case.steps.extend([
        CaseStep::gives(
            "issuer's public key",
            CodecOp::Ed25519PublicKey,
            seed,
            fields! { "publicKeyHex": hex::encode(&issuer) },
        ),
        CaseStep::gives(
            "binding signature",
            CodecOp::Sign,
            signing,
            fields! { "signatureHex": hex::encode(&signature) },
        ),
        CaseStep::gives(
            "binding",
            CodecOp::VerifyBinding,
            picked(fields, &[&["issuerPublicKeyB64", "keyBindingSig"][..], KEYS].concat())?,
            Fields::new(),
        ),
    ]);
    Ok(case)
}
