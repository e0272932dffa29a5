//! Members of a request as bytes. What isn't base64 is the codec's to refuse; what isn't hexadecimal is a malformed request.

use super::NoResult;
use crate::codec::base64;
use crate::vectors::fields::{Fields, string};

/// The bytes of a base64 member.
pub(super) fn bytes(fields: &Fields, name: &str) -> Result<Vec<u8>, NoResult> {
    base64::decode(string(fields, name)?).map_err(|error| NoResult::Reject(format!("{name}: {error}")))
}

/// The bytes of a base64 member of a fixed size.
pub(super) fn array<const N: usize>(fields: &Fields, name: &str) -> Result<[u8; N], NoResult> {
    base64::decode_array(string(fields, name)?).map_err(|error| NoResult::Reject(format!("{name}: {error}")))
}

/// Turns a codec's error into a refusal.
pub(super) fn refuse(error: impl std::fmt::Display) -> NoResult {
    NoResult::Reject(error.to_string())
}
