//! Mutations of valid input, and the cases that come of them.

use serde_json::Value;

use super::super::fields::{Fields, fields};
use super::{Made, case, primitive, seed};
use crate::codec::base64;

/// A case that has to be refused.
pub(super) fn rejected(op: &str, mutation: &str, reason: &str, flags: &[&str], members: Fields) -> Value {
    let mut all = fields! { "op": op, "mutation": mutation, "expect": "reject" };
    all.extend(members);
    case(&format!("{op}: {mutation}"), reason, flags, all)
}

/// Flips bits of one byte of a base64 text.
pub(super) fn flipped(text: &Value, at: isize, bits: u8) -> Value {
    let mut bytes = decoded(text);
    let length = isize::try_from(bytes.len()).unwrap_or(isize::MAX);
    if let Ok(index) = usize::try_from(if at < 0 { length + at } else { at })
        && let Some(byte) = bytes.get_mut(index)
    {
        *byte ^= bits;
    }
    base64::encode(&bytes).into()
}

/// The bytes of a base64 text that we made ourselves.
pub(super) fn decoded(text: &Value) -> Vec<u8> {
    base64::decode(text.as_str().unwrap_or_default()).unwrap_or_default()
}

/// Changes the bytes of a base64 text.
pub(super) fn changed(text: &Value, change: impl FnOnce(&mut Vec<u8>)) -> Value {
    let mut bytes = decoded(text);
    change(&mut bytes);
    base64::encode(&bytes).into()
}

/// Takes a byte off the end.
pub(super) fn shorten(bytes: &mut Vec<u8>) {
    bytes.pop();
}

/// The bytes of a base64 text of our own, of a fixed size.
pub(super) fn sized<const N: usize>(text: &Value) -> Made<[u8; N]> {
    <[u8; N]>::try_from(decoded(text)).map_err(|_| primitive("a key or IV of another size"))
}

/// Bytes of the seed for a negative case.
pub(super) fn seeded<const N: usize>(label: &str) -> [u8; N] {
    seed::bytes(&format!("negative/{label}"))
}
