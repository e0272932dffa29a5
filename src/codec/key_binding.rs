//! Key bindings: an issuer's signature over a member's two public keys (SPEC §9).

use super::signature::{self, SignatureError};

/// The canonical message: base64 Ed25519 key, `|`, base64 X25519 key, as UTF-8.
pub fn message(ed25519_public_key: &str, x25519_public_key: &str) -> Vec<u8> {
    [ed25519_public_key, "|", x25519_public_key].concat().into_bytes()
}

/// Verifies a binding signature against the issuer's raw 32-byte Ed25519 key.
///
/// # Errors
/// [`SignatureError`] when the issuer's key or the signature isn't valid.
pub fn verify(
    issuer: &[u8; 32],
    ed25519_public_key: &str,
    x25519_public_key: &str,
    signature: &[u8],
) -> Result<(), SignatureError> {
    signature::verify(issuer, &message(ed25519_public_key, x25519_public_key), signature)
}

#[cfg(test)]
mod tests {
    #[test]
    fn message_joins_the_base64_texts_with_a_bar() {
        assert_eq!(super::message("AA==", "Ag=="), b"AA==|Ag==");
    }
}
