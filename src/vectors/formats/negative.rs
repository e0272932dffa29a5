//! Input that has to be refused, or that may be.

use super::super::case::{Case, CaseStep, Expect};
use super::super::fields::{FieldError, Fields, fields, integer, object, string};
use super::super::op::{CodecOp, Request};
use super::{picked, renamed};
use crate::codec::key_wrap::SCHEME_ID;

/// Members of a case that aren't the input.
const ABOUT: &[&str] = &[
    "name",
    "op",
    "mutation",
    "expect",
    "reason",
    "flags",
    "source",
    "accepted",
    "warn",
    "comment",
    "note",
    "description",
];

pub(super) fn read(fields: &Fields) -> Result<Case, FieldError> {
    let (op, wanted) = (string(fields, "op")?, string(fields, "expect")?);
    let mutation = fields.get("mutation").and_then(|value| value.as_str()).unwrap_or("negative case");
    let Some((op, input)) = input(op, fields)? else {
        let unchecked = vec![format!("operation {op:?} isn't known here")];
        return Ok(Case { unchecked, ..Case::default() });
    };
    let accepted = || match fields.get("accepted") {
        None => Ok(Fields::new()),
        Some(_) => object(fields, "accepted").cloned(),
    };
    let expect = match wanted {
        "reject" => Expect::Reject,
        "accept" => Expect::Result(accepted()?),
        "either" => {
            let warn = fields.get("warn").is_some_and(|warn| warn == true);
            Expect::Either { accepted: accepted()?, warn }
        }
        other => return Err(FieldError::new("expect", format!("is {other:?}: neither reject, either nor accept"))),
    };
    let mut unchecked = Vec::new();
    if wanted != "reject" && accepted()?.is_empty() && op.has_result() {
        unchecked.push("`accepted` says nothing of what comes of an input that is accepted".to_owned());
    }
    let step = CaseStep { what: mutation.into(), request: Request::new(op, input), expect, recipient_private: None };
    Ok(Case { steps: vec![step], unchecked, ..Case::default() })
}

/// The operation and its input; `None` for an operation that we don't know.
fn input(op: &str, fields: &Fields) -> Result<Option<(CodecOp, Fields)>, FieldError> {
    Ok(Some(match op {
        "payload-decrypt" => {
            let names = ["keyB64", "ivB64", "repoId", "payloadVersion", "keyEpoch", "ciphertextB64"];
            for name in ["keyB64", "ivB64", "repoId", "ciphertextB64"] {
                string(fields, name)?;
            }
            for name in ["payloadVersion", "keyEpoch"] {
                integer(fields, name)?;
            }
            (CodecOp::Decrypt, picked(fields, &names)?)
        }
        "key-unwrap" => {
            let names =
                [("ephemeralPublicKeyB64", "ephemeralPublicKey"), ("ivB64", "iv"), ("ciphertextB64", "ciphertext")];
            let mut wrapped = renamed(fields, &names)?;
            let scheme = fields.get("schemeId").cloned().unwrap_or_else(|| SCHEME_ID.into());
            wrapped.insert("schemeId".into(), scheme);
            for (name, _) in names {
                string(fields, name)?;
            }
            let private = string(fields, "recipientPrivateKeyB64")?;
            (CodecOp::Unwrap, fields! { "recipientPrivateKeyB64": private, "wrappedKey": wrapped })
        }
        "ed25519-verify" => (CodecOp::Verify, picked(fields, &["publicKeyHex", "messageHex", "signatureHex"])?),
        other => match CodecOp::by_name(other) {
            Some(op) => {
                let rest = fields.iter().filter(|(name, _)| !ABOUT.contains(&name.as_str()));
                (op, rest.map(|(name, value)| (name.clone(), value.clone())).collect())
            }
            None => return Ok(None),
        },
    }))
}
