//! Ed25519 signatures (RFC 8032): the signed nonce of SPEC §3, and the primitive under key bindings and JWTs.

use ed25519_dalek::hazmat::{ExpandedSecretKey, raw_sign};
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use sha2::Sha512;

/// Why a signature wasn't accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// The 32 bytes aren't a point on the curve, or the point is of small order.
    #[error("the Ed25519 public key isn't a valid point")]
    PublicKey,
    /// A signature is 64 bytes.
    #[error("the signature is {0} bytes instead of 64")]
    Length(usize),
    /// It doesn't verify (also: S not reduced, R of small order or not canonical).
    #[error("the signature doesn't verify")]
    Mismatch,
}

/// The raw 32-byte public key of a 32-byte seed (RFC 8032 §5.1.5).
pub fn public_key(seed: &[u8; 32]) -> [u8; 32] {
    SigningKey::from_bytes(seed).verifying_key().to_bytes()
}

/// Signs a message with a 32-byte seed; the answer is R ‖ S, 64 bytes.
pub fn sign(seed: &[u8; 32], message: &[u8]) -> [u8; 64] {
    SigningKey::from_bytes(seed).sign(message).to_bytes()
}

/// Another signature over the same message, as valid as the one of [`sign`]: RFC 8032 §5.1.6 derives R of the key and the message, but nobody
/// who verifies can tell. `made_of` takes the place of the half of the key that R is derived of.
pub fn sign_otherwise(seed: &[u8; 32], message: &[u8], made_of: [u8; 32]) -> [u8; 64] {
    let mut expanded = ExpandedSecretKey::from(seed);
    expanded.hash_prefix = made_of;
    raw_sign::<Sha512>(&expanded, message, &SigningKey::from_bytes(seed).verifying_key()).to_bytes()
}

/// Verifies strictly: canonical encodings only, no keys and no R of small order.
///
/// # Errors
/// [`SignatureError`].
pub fn verify(public_key: &[u8; 32], message: &[u8], signature: &[u8]) -> Result<(), SignatureError> {
    let key = VerifyingKey::from_bytes(public_key).map_err(|_| SignatureError::PublicKey)?;
    // `from_bytes` reduces a y-coordinate of p or more; the only spelling of a point is the reduced one.
    if key.is_weak() || key.to_edwards().compress().as_bytes() != public_key {
        return Err(SignatureError::PublicKey);
    }
    let bytes = <[u8; 64]>::try_from(signature).map_err(|_| SignatureError::Length(signature.len()))?;
    key.verify_strict(message, &Signature::from_bytes(&bytes)).map_err(|_| SignatureError::Mismatch)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex<const N: usize>(text: &str) -> [u8; N] {
        std::array::from_fn(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).unwrap())
    }

    /// RFC 8032 §7.1, test 2.
    #[test]
    fn rfc_8032_test_2() {
        let seed = hex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb");
        let public = hex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c");
        let expected: [u8; 64] = hex(
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
        );
        assert_eq!(public_key(&seed), public);
        assert_eq!(sign(&seed, &[0x72]), expected);
        assert_eq!(verify(&public, &[0x72], &expected), Ok(()));
        assert_eq!(verify(&public, &[0x73], &expected), Err(SignatureError::Mismatch));
        assert_eq!(verify(&public, &[0x72], &expected[..63]), Err(SignatureError::Length(63)));
    }

    #[test]
    fn one_message_has_many_signatures() {
        let (seed, message) = ([7; 32], b"a nonce");
        let other = sign_otherwise(&seed, message, [1; 32]);
        assert_ne!(other, sign(&seed, message));
        assert_ne!(other, sign_otherwise(&seed, message, [2; 32]));
        assert_eq!(verify(&public_key(&seed), message, &other), Ok(()));
    }

    #[test]
    fn small_order_and_non_canonical_keys_are_refused() {
        let mut identity = [0; 32];
        identity[0] = 1;
        // y = p + 1, a second spelling of the identity.
        let mut alias = [0xff; 32];
        (alias[0], alias[31]) = (0xee, 0x7f);
        for key in [identity, alias, [0; 32]] {
            assert_eq!(verify(&key, b"", &[0; 64]), Err(SignatureError::PublicKey));
        }
    }
}
