//! Join tokens and addresses.

use serde_json::Value;

use super::super::case::{Case, CaseStep};
use super::super::fields::{FieldError, Fields, fields, object, string};
use super::super::op::CodecOp;
use super::picked;
use crate::codec::base64;
use crate::codec::invite::InviteRequest;
use crate::codec::locator::RepoLocator;

/// `schema` of an invite request.
pub(in super::super) const INVITE: &str = "InviteRequest";
/// `schema` of a repo locator.
pub(in super::super) const LOCATOR: &str = "RepoLocator";

pub(super) fn token(fields: &Fields) -> Result<Case, FieldError> {
    let (json, token) = (string(fields, "canonicalJson")?, string(fields, "base64url")?);
    let decoded = object(fields, "decoded")?;
    let mut case = Case::default();
    if base64::encode_url(json.as_bytes()) != token {
        case.wrong.push(format!(
            "`base64url` isn't the encoding of `canonicalJson`: that is {}",
            base64::encode_url(json.as_bytes())
        ));
    }
    match serde_json::from_str::<Value>(json) {
        Ok(value) if value == Value::Object(decoded.clone()) => {}
        Ok(_) => case.wrong.push("`canonicalJson` and `decoded` aren't the same object".into()),
        Err(error) => case.wrong.push(format!("`canonicalJson` isn't JSON: {error}")),
    }
    if decoded.get("v").and_then(Value::as_i64) != Some(1) {
        case.wrong.push("`decoded.v` isn't 1, the only version that is defined".into());
    }
    let steps: &[_] = match string(fields, "schema")? {
        INVITE => &[("decoding", CodecOp::DecodeInvite), ("encoding", CodecOp::EncodeInvite)],
        LOCATOR => &[("decoding", CodecOp::DecodeLocator), ("encoding", CodecOp::EncodeLocator)],
        other if InviteRequest::decode(token).is_ok() || RepoLocator::decode(token).is_ok() => {
            case.wrong.push(format!("`schema` is {other:?}, but the token is an invite request or a repo locator"));
            return Ok(case);
        }
        other => {
            case.unchecked.push(format!("schema {other:?} isn't known here: its members aren't checked"));
            return Ok(case);
        }
    };
    let mut content = decoded.clone();
    content.remove("v");
    let (reading, writing) = (fields! { "token": token }, fields! { "token": token });
    let mut expected = decoded.clone();
    if steps[0].1 == CodecOp::DecodeLocator {
        for optional in ["schemeId", "keyEpoch", "issuerJwksUrl"] {
            expected.entry(optional).or_insert(Value::Null);
        }
    } else {
        case.odd.extend(placeholders(decoded));
    }
    case.steps.push(CaseStep::gives(steps[0].0, steps[0].1, reading, fields! { "decoded": expected }));
    // With members of null written out, or unknown ones, a token is readable but not what an encoder makes.
    if decoded.values().all(|value| !value.is_null()) {
        case.steps.push(CaseStep::gives(steps[1].0, steps[1].1, content, writing));
    }
    case.unchecked.extend(fields.get("direction").map(|_| "`direction`, a remark".to_owned()));
    Ok(case)
}

/// Keys that aren't keys: examples often have placeholders.
fn placeholders(decoded: &Fields) -> Vec<String> {
    let names = ["ed25519PublicKey", "x25519PublicKey"];
    let odd = names.into_iter().filter_map(|name| {
        let error = base64::decode_array::<32>(string(decoded, name).ok()?).err()?;
        Some(format!("`decoded.{name}` is no key ({error}), perhaps a placeholder"))
    });
    odd.collect()
}

pub(super) fn uri(fields: &Fields) -> Result<Case, FieldError> {
    for name in ["uri", "host", "repoId"] {
        string(fields, name)?;
    }
    let (uri, parts) = (picked(fields, &["uri"])?, picked(fields, &["host", "repoId"])?);
    let mut steps = vec![CaseStep::gives("address", CodecOp::ParseAddress, uri.clone(), parts.clone())];
    // Only the usual spelling comes back as it was.
    if string(fields, "uri")?.starts_with("avp://") {
        steps.push(CaseStep::gives("writing the address", CodecOp::FormatAddress, parts, uri));
    }
    Ok(Case { steps, section: Some("§8"), ..Case::default() })
}
