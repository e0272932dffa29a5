//! Operations on tokens, addresses and other texts.

use std::borrow::Cow;

use ::base64::Engine as _;
use ::base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use serde_json::Value;

use super::inputs::refuse;
use super::{Evaluated, NoResult, Reading};
use crate::codec::address::Address;
use crate::codec::invite::InviteRequest;
use crate::codec::locator::RepoLocator;
use crate::codec::payload::AltPayload;
use crate::codec::{base64, key_binding};
use crate::ground::hex;
use crate::vectors::fields::{FieldError, Fields, fields, hex, integer, optional_string, string};

/// Padded standard base64 that doesn't mind unused bits (RFC 4648 §3.5 allows either).
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &::base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true),
);

pub(super) fn binding_message(input: &Fields) -> Evaluated {
    let message = key_binding::message(string(input, "ed25519PublicKey")?, string(input, "x25519PublicKey")?);
    Ok(fields! { "messageUtf8": String::from_utf8_lossy(&message).into_owned() })
}

pub(super) fn encode_invite(input: &Fields) -> Evaluated {
    let invite = InviteRequest {
        v: 1,
        ed25519_public_key: string(input, "ed25519PublicKey")?.into(),
        x25519_public_key: string(input, "x25519PublicKey")?.into(),
    };
    Ok(fields! { "token": invite.encode() })
}

pub(super) fn decode_invite(input: &Fields, reading: Reading) -> Evaluated {
    let token = only(string(input, "token")?, &["v", "ed25519PublicKey", "x25519PublicKey"], reading);
    Ok(fields! { "decoded": value(&InviteRequest::decode(&token).map_err(refuse)?)? })
}

pub(super) fn encode_locator(input: &Fields) -> Evaluated {
    let key_epoch = match input.get("keyEpoch") {
        None | Some(Value::Null) => None,
        Some(_) => Some(integer(input, "keyEpoch")?),
    };
    let text = |name| optional_string(input, name).map(|text| text.map(str::to_owned));
    let locator = RepoLocator {
        v: 1,
        host: string(input, "host")?.into(),
        repo_id: string(input, "repoId")?.into(),
        scheme_id: text("schemeId")?,
        key_epoch,
        issuer_jwks_url: text("issuerJwksUrl")?,
    };
    Ok(fields! { "token": locator.encode() })
}

pub(super) fn decode_locator(input: &Fields, reading: Reading) -> Evaluated {
    let known = ["v", "host", "repoId", "schemeId", "keyEpoch", "issuerJwksUrl"];
    let token = only(string(input, "token")?, &known, reading);
    let mut decoded = value(&RepoLocator::decode(&token).map_err(refuse)?)?;
    if let Value::Object(members) = &mut decoded {
        for hint in &known[3..] {
            members.entry(*hint).or_insert(Value::Null);
        }
    }
    Ok(fields! { "decoded": decoded })
}

/// Read leniently, a token has its known members only.
fn only<'a>(token: &'a str, known: &[&str], reading: Reading) -> Cow<'a, str> {
    let lenient = || -> Option<String> {
        let mut members: Fields = serde_json::from_slice(&base64::decode_url(token).ok()?).ok()?;
        members.retain(|name, _| known.contains(&name.as_str()));
        Some(base64::encode_url(Value::Object(members).to_string().as_bytes()))
    };
    match reading {
        Reading::Strict => token.into(),
        Reading::Lenient => lenient().map_or(token.into(), Cow::from),
    }
}

fn value(of: &impl serde::Serialize) -> Result<Value, NoResult> {
    serde_json::to_value(of).map_err(|error| NoResult::Malformed(FieldError::new("result", error.to_string())))
}

pub(super) fn parse_address(input: &Fields) -> Evaluated {
    let address = Address::parse(string(input, "uri")?).map_err(refuse)?;
    Ok(fields! { "host": address.host, "repoId": address.repo_id })
}

pub(super) fn format_address(input: &Fields) -> Evaluated {
    let address = Address { host: string(input, "host")?.into(), repo_id: string(input, "repoId")?.into() };
    Ok(fields! { "uri": address.to_string() })
}

pub(super) fn parse_payload(input: &Fields) -> Evaluated {
    let payload = AltPayload::parse(string(input, "plaintextUtf8")?.as_bytes()).map_err(refuse)?;
    Ok(fields! { "payload": value(&payload)? })
}

pub(super) fn encode_base64(input: &Fields) -> Evaluated {
    Ok(fields! { "base64": base64::encode(&hex(input, "hex")?) })
}

pub(super) fn decode_base64(input: &Fields, reading: Reading) -> Evaluated {
    let text = string(input, "base64")?;
    let bytes = match reading {
        Reading::Strict => base64::decode(text).map_err(refuse)?,
        Reading::Lenient => LENIENT.decode(text).map_err(refuse)?,
    };
    Ok(fields! { "hex": hex::encode(&bytes) })
}
