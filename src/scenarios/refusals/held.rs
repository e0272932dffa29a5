//! What nobody but a member may read of a repository, as bytes: answers carry it in base64, or in whatever else.

use serde_json::{Map, Value};

use crate::codec::base64;

/// The first bytes of a ciphertext tell it from all others; fewer may come about by chance.
const ENOUGH: usize = 48;
const LEAST: usize = 16;
/// Bytes of a piece: 20 characters of base64.
const PIECE: usize = 15;
/// What is random, and what it is a part of.
const PARTS: [(&str, &str); 6] = [
    ("ed25519PublicKey", "part of a member id"),
    ("x25519PublicKey", "part of a member key"),
    ("ephemeralPublicKey", "part of a wrapped key"),
    ("iv", "IV"),
    ("ciphertext", "part of a ciphertext"),
    ("keyBindingSig", "part of a binding signature"),
];

/// A name for it, and its bytes.
pub(super) type Item = (&'static str, Vec<u8>);

/// Every object in a message, however deep.
fn objects(message: &Value, visit: &mut dyn FnMut(&Map<String, Value>)) {
    match message {
        Value::Array(list) => list.iter().for_each(|item| objects(item, visit)),
        Value::Object(members) => {
            visit(members);
            members.values().for_each(|member| objects(member, visit));
        }
        _ => {}
    }
}

fn text<'m>(members: &'m Map<String, Value>, name: &str) -> &'m str {
    members.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// Member ids, member keys and ciphertexts, or their beginnings.
pub(super) fn held(message: &Value, items: &mut Vec<Item>) {
    objects(message, &mut |members| {
        let what = if members.contains_key("ephemeralPublicKey") { "wrapped key" } else { "envelope" };
        for (name, what) in [("ed25519PublicKey", "member id"), ("x25519PublicKey", "member key"), ("ciphertext", what)]
        {
            let text = text(members, name);
            // 64 characters are the 48 bytes that are enough.
            let Ok(bytes) = base64::decode(text.get(..64).unwrap_or(text)) else { continue };
            if bytes.len() >= LEAST {
                items.push((what, bytes[..bytes.len().min(ENOUGH)].to_vec()));
            }
        }
    });
}

/// Beginning, middle and end of everything that is random: a cut, for a log say, tells most of it.
pub(super) fn parts(message: &Value, items: &mut Vec<Item>) {
    objects(message, &mut |members| {
        for (name, what) in PARTS {
            let Ok(bytes) = base64::decode(text(members, name)) else { continue };
            let middle = bytes.len() / 2;
            let pieces = match bytes.len() {
                0..12 => Vec::new(),
                12..32 => vec![&bytes[..]],
                _ => vec![&bytes[..PIECE], &bytes[middle..middle + PIECE], &bytes[bytes.len() - PIECE..]],
            };
            items.extend(pieces.into_iter().map(|piece| (what, piece.to_vec())));
        }
    });
}
