//! What the vault makes of what clients send: envelopes opened, requests read. Lenient where a rule of its own judges the form.

use serde_json::Value;

use super::state::Refusal;
use crate::codec::{DataKey, base64};
use crate::wire::{EncryptedEnvelope, MessageKind, prune};

/// Bytes in either alphabet, padded or not: how they are spelled is another rule's.
pub fn bytes_of(text: &str) -> Option<Vec<u8>> {
    let text: String = text.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    base64::decode_url(&text.trim_end_matches('=').replace('+', "-").replace('/', "_")).ok()
}

/// Whether an envelope may be one: an IV of its size, and bytes that aren't the payload itself. What isn't is another rule's.
pub fn is_sealed(envelope: &EncryptedEnvelope) -> bool {
    let plain = |bytes: &[u8]| bytes.windows(6).any(|window| window == b"\"alts\"");
    bytes_of(&envelope.iv).is_some_and(|iv| iv.len() == 12)
        && bytes_of(&envelope.ciphertext).is_some_and(|sealed| !plain(&sealed))
}

/// Opens an envelope by its own header.
pub fn open(key: &DataKey, envelope: &EncryptedEnvelope) -> Option<Value> {
    let iv = bytes_of(&envelope.iv)?.try_into().ok()?;
    let sealed = bytes_of(&envelope.ciphertext)?;
    let plain = crate::codec::envelope::open(key, &iv, &envelope.binding(), &sealed).ok()?;
    serde_json::from_slice(&plain).ok()
}

pub(super) fn read<T: serde::de::DeserializeOwned>(kind: MessageKind, body: &Value) -> Result<T, Refusal> {
    let mut body = body.clone();
    prune(kind, &mut body);
    mended(&mut body);
    serde_json::from_value(body).map_err(|_| (400, "the body isn't such a message"))
}

/// What is plain though it is wrong is taken: the shape of requests is a rule of its own, and no other is to suffer from it.
fn mended(body: &mut Value) {
    match body {
        Value::Object(members) => {
            for (name, member) in members.iter_mut() {
                let counter = name.ends_with("Version") || name.ends_with("Epoch");
                match member.as_str().and_then(|text| text.parse::<i64>().ok()).filter(|_| counter) {
                    Some(number) => *member = number.into(),
                    None => mended(member),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(mended),
        _ => {}
    }
}

pub(super) fn to_json<T: serde::Serialize>(message: &T) -> Value {
    serde_json::to_value(message).unwrap_or_default()
}
