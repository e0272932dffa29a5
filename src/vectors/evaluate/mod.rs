//! Our codec behind [`Request`]s: what answers the checker's and the driver's questions, and what `codec --serve` runs.

mod crypto;
mod inputs;
mod lenient;
mod strings;

use super::fields::{FieldError, Fields};
use super::op::{CodecAnswer, CodecOp, Request};

/// How to read what the specification leaves open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// As our codec does: whatever may be refused is refused.
    Strict,
    /// Whatever needn't be refused is accepted: small-order and non-canonical points, unknown schemes, unused bits in base64.
    Lenient,
}

/// Why there is no result.
enum NoResult {
    /// The request itself is malformed: nothing can be said about the input.
    Malformed(FieldError),
    /// The input isn't valid.
    Reject(String),
}

impl From<FieldError> for NoResult {
    fn from(error: FieldError) -> Self {
        Self::Malformed(error)
    }
}

/// What an operation makes of its input.
type Evaluated = Result<Fields, NoResult>;

/// What our codec says, strictly.
///
/// # Errors
/// [`FieldError`] when the request lacks a member or has one of a wrong type. Malformed base64 is no such error: a codec
/// has to refuse it.
pub fn evaluate(request: &Request) -> Result<CodecAnswer, FieldError> {
    read(request, Reading::Strict)
}

/// What our codec's parts say in one of two readings.
///
/// # Errors
/// As [`evaluate`].
pub fn read(request: &Request, reading: Reading) -> Result<CodecAnswer, FieldError> {
    match evaluated(request.op, &request.fields, reading) {
        Ok(fields) => Ok(CodecAnswer::Result(fields)),
        Err(NoResult::Reject(reason)) => Ok(CodecAnswer::Reject(reason)),
        Err(NoResult::Malformed(error)) => Err(error),
    }
}

fn evaluated(op: CodecOp, fields: &Fields, reading: Reading) -> Evaluated {
    match op {
        CodecOp::Aad => crypto::aad(fields),
        CodecOp::Encrypt => crypto::encrypt(fields),
        CodecOp::Decrypt => crypto::decrypt(fields, reading),
        CodecOp::Wrap => crypto::wrap(fields),
        CodecOp::Unwrap => crypto::unwrap(fields, reading),
        CodecOp::X25519 => crypto::x25519(fields, reading),
        CodecOp::X25519PublicKey => crypto::x25519_public_key(fields),
        CodecOp::Hkdf => crypto::hkdf(fields),
        CodecOp::Ed25519PublicKey => crypto::ed25519_public_key(fields),
        CodecOp::Sign => crypto::sign(fields),
        CodecOp::Verify => crypto::verify(fields, reading),
        CodecOp::SignNonce => crypto::sign_nonce(fields),
        CodecOp::VerifyBinding => crypto::verify_binding(fields),
        CodecOp::BindingMessage => strings::binding_message(fields),
        CodecOp::EncodeInvite => strings::encode_invite(fields),
        CodecOp::DecodeInvite => strings::decode_invite(fields, reading),
        CodecOp::EncodeLocator => strings::encode_locator(fields),
        CodecOp::DecodeLocator => strings::decode_locator(fields, reading),
        CodecOp::ParseAddress => strings::parse_address(fields),
        CodecOp::FormatAddress => strings::format_address(fields),
        CodecOp::ParsePayload => strings::parse_payload(fields),
        CodecOp::EncodeBase64 => strings::encode_base64(fields),
        CodecOp::DecodeBase64 => strings::decode_base64(fields, reading),
    }
}

/// `SHA-256`, `sha256` and `HMAC-SHA-256` are one.
pub(crate) fn hash_name(text: &str) -> String {
    let name: String = text.to_ascii_lowercase().chars().filter(char::is_ascii_alphanumeric).collect();
    name.trim_start_matches("hkdf").trim_start_matches("hmac").to_owned()
}
