//! Additional data, base64, and the primitives of the RFCs.

use super::super::case::{Case, CaseStep};
use super::super::fields::{FieldError, Fields, fields, hex, hex_array, integer, string};
use super::super::op::CodecOp;
use super::super::rfc;
use super::{picked, renamed};

use crate::ground::hex;

pub(super) fn aad(fields: &Fields) -> Result<Case, FieldError> {
    let input = picked(fields, &["repoId", "payloadVersion", "keyEpoch"])?;
    string(fields, "repoId")?;
    integer(fields, "payloadVersion")?;
    integer(fields, "keyEpoch")?;
    let expected = lower(fields, "expectedAadHex")?;
    let step = CaseStep::gives("additional data", CodecOp::Aad, input, fields! { "aadHex": expected });
    Ok(Case { steps: vec![step], odd: upper_case(fields, &["expectedAadHex"]), ..Case::default() })
}

pub(super) fn hkdf(fields: &Fields) -> Result<Case, FieldError> {
    let hash = string(fields, "hash")?;
    let input = picked(fields, &["hash", "ikmHex", "saltHex", "infoHex", "length"])?;
    for name in ["ikmHex", "saltHex", "infoHex"] {
        hex(fields, name)?;
    }
    integer(fields, "length")?;
    let result = fields! { "prkHex": lower(fields, "prkHex")?, "okmHex": lower(fields, "okmHex")? };
    let mut case =
        Case { odd: upper_case(fields, &["ikmHex", "saltHex", "infoHex", "prkHex", "okmHex"]), ..Case::default() };
    let known = ["sha256", "sha384", "sha512"].contains(&super::super::evaluate::hash_name(hash).as_str());
    if known {
        if hash.trim() != hash {
            case.odd.push(format!("`hash` is {hash:?}, with blanks around it"));
        }
        case.steps.push(CaseStep::gives("derivation", CodecOp::Hkdf, input, result));
        case.odd.extend(rfc::unfounded_claim(fields));
    } else {
        let mut retry = input;
        retry.insert("hash".into(), "SHA-256".into());
        if super::super::judge::holds(&CaseStep::gives("derivation", CodecOp::Hkdf, retry, result)) {
            case.wrong.push(format!("`hash` is {hash:?}, but the values are those of SHA-256"));
        } else {
            case.unchecked.push(format!("HKDF over {hash:?} isn't computed here; the protocol uses SHA-256"));
        }
    }
    Ok(case)
}

pub(super) fn x25519(fields: &Fields) -> Result<Case, FieldError> {
    if let Ok(times) = integer(fields, "iterations")
        && times != 1
    {
        return iterated(fields, times);
    }
    let input = picked(fields, &["scalarHex", "uCoordinateHex"])?;
    let output = lower(fields, "outputHex")?;
    let zero = output.len() == 64 && output.bytes().all(|digit| digit == b'0');
    let mut step = CaseStep::gives("scalar multiplication", CodecOp::X25519, input, fields! { "outputHex": output });
    if zero {
        // The specification of X25519 lets an implementation refuse this output.
        if let super::super::case::Expect::Result(accepted) = step.expect {
            step.expect = super::super::case::Expect::Either { accepted, warn: false };
        }
    }
    let mut odd = upper_case(fields, &["scalarHex", "uCoordinateHex", "outputHex"]);
    odd.extend(rfc::unfounded_claim(fields));
    Ok(Case { steps: vec![step], odd, ..Case::default() })
}

/// The iterated test of RFC 7748 5.2, which some publishers have: output becomes scalar, scalar becomes point.
fn iterated(fields: &Fields, times: i64) -> Result<Case, FieldError> {
    let mut case = Case { settled: true, ..Case::default() };
    let (mut scalar, mut point) = (hex_array(fields, "scalarHex")?, hex_array(fields, "uCoordinateHex")?);
    let expected = lower(fields, "outputHex")?;
    if !(1..=10_000).contains(&times) {
        case.settled = false;
        case.unchecked.push(format!("{times} iterations: more than 10000 aren't computed here"));
        return Ok(case);
    }
    for _ in 0..times {
        (scalar, point) = (x25519_dalek::x25519(scalar, point), scalar);
    }
    if hex::encode(&scalar) != expected {
        case.wrong.push(format!("`outputHex` isn't what {times} iterations give: {}", hex::encode(&scalar)));
    }
    Ok(case)
}

pub(super) fn ed25519(fields: &Fields) -> Result<Case, FieldError> {
    let (public, signature) = (lower(fields, "publicKeyHex")?, lower(fields, "signatureHex")?);
    hex(fields, "messageHex")?;
    let steps = vec![
        CaseStep::gives(
            "public key",
            CodecOp::Ed25519PublicKey,
            picked(fields, &["seedHex"])?,
            fields! { "publicKeyHex": public },
        ),
        CaseStep::gives(
            "signature",
            CodecOp::Sign,
            picked(fields, &["seedHex", "messageHex"])?,
            fields! { "signatureHex": signature },
        ),
        CaseStep::gives(
            "verification",
            CodecOp::Verify,
            picked(fields, &["publicKeyHex", "messageHex", "signatureHex"])?,
            Fields::new(),
        ),
    ];
    let mut odd = upper_case(fields, &["seedHex", "publicKeyHex", "messageHex", "signatureHex"]);
    odd.extend(rfc::unfounded_claim(fields));
    Ok(Case { steps, odd, ..Case::default() })
}

pub(super) fn base64(fields: &Fields) -> Result<Case, FieldError> {
    let steps = vec![
        CaseStep::gives("encoding", CodecOp::EncodeBase64, picked(fields, &["hex"])?, picked(fields, &["base64"])?),
        CaseStep::gives(
            "decoding",
            CodecOp::DecodeBase64,
            picked(fields, &["base64"])?,
            renamed(fields, &[("hex", "hex")])?,
        ),
    ];
    Ok(Case { steps, section: Some("§2"), ..Case::default() })
}

/// An expected value, in the letter case that the format has.
pub(super) fn lower(fields: &Fields, name: &str) -> Result<String, FieldError> {
    Ok(string(fields, name)?.to_ascii_lowercase())
}

/// A remark on digits in capitals, which the format doesn't have but which mean the same.
pub(super) fn upper_case(fields: &Fields, names: &[&str]) -> Vec<String> {
    let capital = |name: &&&str| string(fields, name).is_ok_and(|text| text.bytes().any(|b| b.is_ascii_uppercase()));
    names.iter().filter(capital).map(|name| format!("`{name}` has hexadecimal digits in capitals")).collect()
}
