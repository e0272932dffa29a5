//! What the vault makes of what clients send: envelopes opened, requests read. Lenient where a rule of its own judges the form.

use hkdf::Hkdf;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::codec::aad::Binding;
use crate::codec::envelope::open_with_aad;
use crate::codec::key_wrap::INFO;
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

/// How an envelope that doesn't open under `key` can be opened after all, in words that go on from "it opens …"; `None` where it can't.
fn otherwise(key: &DataKey, others: &[DataKey], envelope: &EncryptedEnvelope) -> Option<String> {
    let iv = bytes_of(&envelope.iv)?.try_into().ok()?;
    let sealed = bytes_of(&envelope.ciphertext)?;
    let opens = |key: &DataKey, aad: &[u8]| open_with_aad(key.as_bytes(), &iv, aad, &sealed).is_ok();
    let header = envelope.binding();
    let aad = header.to_aad();
    if opens(key, &aad) {
        return Some("and what is in it isn't JSON".into());
    }
    if others.iter().any(|other| opens(other, &aad)) {
        return Some("under the data key of another epoch".into());
    }
    let (version, epoch) = (header.payload_version, header.key_epoch);
    let near = [(-1, 0), (1, 0), (0, -1), (0, 1), (-1, -1), (1, 1)];
    let near = near.map(|(versions, epochs)| (version.wrapping_add(versions), epoch.wrapping_add(epochs)));
    let bound = near.into_iter().find(|(payload_version, key_epoch)| {
        let binding = Binding { repo_id: header.repo_id, payload_version: *payload_version, key_epoch: *key_epoch };
        opens(key, &binding.to_aad())
    });
    match bound {
        Some((version, epoch)) => Some(format!("bound to version {version} and epoch {epoch}")),
        None => opens(key, b"").then(|| "bound to nothing".into()),
    }
}

/// What is wrong with an envelope that doesn't open under a key; `others` are keys that there were besides.
pub fn why_not(key: &DataKey, others: &[DataKey], envelope: &EncryptedEnvelope) -> String {
    match otherwise(key, others, envelope) {
        Some(how) => format!("it opens {how}"),
        None => "it doesn't".into(),
    }
}

/// What a hurried author makes of the old key for an epoch.
pub fn derived(old: &DataKey, epoch: i64) -> [[u8; 32]; 5] {
    let old = old.as_bytes();
    let expanded = |info: &[u8]| {
        let mut key = [0; 32];
        // 32 bytes are never too many for HKDF.
        Hkdf::<Sha256>::new(None, old).expand(info, &mut key).map_or([0; 32], |()| key)
    };
    let epoch = Sha256::new().chain_update(old).chain_update(epoch.to_be_bytes()).finalize().into();
    let text = Sha256::digest(base64::encode(old).as_bytes()).into();
    [Sha256::digest(old).into(), epoch, text, expanded(b""), expanded(INFO.as_bytes())]
}

/// Data keys that anybody can make who knows a repository's id and a member's public keys, with what they are made of.
pub fn made_of_public(repo_id: &str, keys: &[[u8; 32]]) -> Vec<(DataKey, &'static str)> {
    let sha256 = |bytes: &[u8]| DataKey::new(Sha256::digest(bytes).into());
    let mut padded = [0; 32];
    padded.iter_mut().zip(repo_id.bytes()).for_each(|(place, byte)| *place = byte);
    let bare: String = repo_id.chars().filter(|c| *c != '-').collect();
    let mut made = vec![
        (DataKey::new([0; 32]), "32 zero bytes"),
        (DataKey::new(padded), "the repository's id"),
        (sha256(repo_id.as_bytes()), "the SHA-256 of the repository's id"),
        (sha256(bare.as_bytes()), "the SHA-256 of the repository's id without hyphens"),
        (sha256(b""), "the SHA-256 of nothing"),
    ];
    if let Ok(ascii) = <[u8; 32]>::try_from(bare.as_bytes()) {
        made.push((DataKey::new(ascii), "the digits of the repository's id"));
    }
    for key in keys {
        made.push((DataKey::new(*key), "a public key"));
        made.push((sha256(key), "the SHA-256 of a public key"));
        made.push((sha256(base64::encode(key).as_bytes()), "the SHA-256 of a public key's base64"));
    }
    made
}

/// A refusal: status and words.
pub(super) type Refusal = (u16, &'static str);

/// Reads a request.
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
