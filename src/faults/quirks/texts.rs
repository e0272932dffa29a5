//! Servers that are particular about the texts that they take: what they don't like is refused when it comes.

use axum::http::request::Parts;
use bytes::Bytes;
use serde_json::Value;

use crate::codec::base64;
use crate::codec::key_wrap::SCHEME_ID;
use crate::faults::edits::each_object;
use crate::server::edge::Edge;
use crate::server::refusal::Refusal;
use crate::server::route::Route;
use crate::server::store::Store;

/// Ids of new repositories that aren't to the server's liking are refused.
pub struct Ids(pub fn(&str) -> bool);

impl Edge for Ids {
    fn body(&self, _: &Store, route: Route, _: &Parts, body: Bytes) -> Result<Bytes, Refusal> {
        if route != Route::CreateRepo {
            return Ok(body);
        }
        let request: Value = serde_json::from_slice(&body).unwrap_or_default();
        match request["manifest"]["repoId"].as_str() {
            Some(id) if !(self.0)(id) => Err(Refusal::bad_request("this isn't an id for a repository")),
            _ => Ok(body),
        }
    }
}

/// Whether an id is a UUID in its usual spelling.
pub fn is_uuid(id: &str) -> bool {
    id.len() == 36
        && id.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte),
        })
}

/// Whether an id has no white space or control characters at its ends.
pub fn is_trimmed(id: &str) -> bool {
    let is_odd = |c: char| c.is_whitespace() || c.is_control();
    !id.starts_with(is_odd) && !id.ends_with(is_odd)
}

/// Only the scheme of the specification is known.
pub struct UsualScheme;

impl Edge for UsualScheme {
    fn body(&self, _: &Store, _: Route, _: &Parts, body: Bytes) -> Result<Bytes, Refusal> {
        let (mut request, mut known) = (serde_json::from_slice(&body).unwrap_or_default(), true);
        each_object(&mut request, &mut |object| {
            known &= object.get("schemeId").and_then(Value::as_str).is_none_or(|scheme| scheme == SCHEME_ID);
        });
        if known { Ok(body) } else { Err(Refusal::bad_request("this scheme isn't known")) }
    }
}

/// X25519 keys whose highest bit is set, as no key's is, are refused.
pub struct CanonicalKeys;

impl Edge for CanonicalKeys {
    fn body(&self, _: &Store, _: Route, _: &Parts, body: Bytes) -> Result<Bytes, Refusal> {
        let (mut request, mut canonical) = (serde_json::from_slice(&body).unwrap_or_default(), true);
        each_object(&mut request, &mut |object| {
            let text = object.get("x25519PublicKey").and_then(Value::as_str);
            let key = text.and_then(|text| base64::decode_array::<32>(text).ok());
            canonical &= key.is_none_or(|key| key[31] < 0x80);
        });
        if canonical { Ok(body) } else { Err(Refusal::bad_request("x25519PublicKey isn't canonical")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uuids_are_told_by_their_spelling() {
        assert!(is_uuid("5ffb2c70-2b75-4f0e-bc63-0c2a3f1d2a11"));
        for other in ["5FFB2C70-2b75-4f0e-bc63-0c2a3f1d2a11", "5ffb2c702b754f0ebc630c2a3f1d2a11", "", "a"] {
            assert!(!is_uuid(other), "{other}");
        }
    }
}
