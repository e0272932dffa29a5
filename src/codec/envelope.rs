//! The payload AEAD: AES-256-GCM with a 12-byte IV and a 128-bit tag, bound to repository, version and epoch (SPEC §4).

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use zeroize::Zeroizing;

use super::DataKey;
use super::aad::Binding;

/// Length of a GCM initialisation vector, in bytes.
pub const IV_LEN: usize = 12;
/// Length of the GCM tag that ends every ciphertext, in bytes.
pub const TAG_LEN: usize = 16;

/// Why a payload couldn't be encrypted or decrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// More plaintext than one GCM invocation takes (2^36 − 32 bytes).
    #[error("plaintext is too long for AES-GCM")]
    TooLong,
    /// Shorter than the tag alone.
    #[error("ciphertext of {0} bytes is shorter than the 16-byte tag")]
    Truncated(usize),
    /// Wrong key, IV, repository, version, epoch, or altered ciphertext.
    #[error("authentication failed: wrong key, IV, repository, version or epoch, or altered ciphertext")]
    Authentication,
}

/// Encrypts a payload; the answer is ciphertext followed by the tag, `plaintext.len() + 16` bytes.
///
/// # Errors
/// [`EnvelopeError::TooLong`].
pub fn seal(
    key: &DataKey,
    iv: &[u8; IV_LEN],
    binding: &Binding<'_>,
    plaintext: &[u8],
) -> Result<Vec<u8>, EnvelopeError> {
    seal_with_aad(key.as_bytes(), iv, &binding.to_aad(), plaintext)
}

/// Decrypts what [`seal`] made; the plaintext is wiped when dropped.
///
/// # Errors
/// [`EnvelopeError::Truncated`] or [`EnvelopeError::Authentication`].
pub fn open(
    key: &DataKey,
    iv: &[u8; IV_LEN],
    binding: &Binding<'_>,
    ciphertext: &[u8],
) -> Result<Zeroizing<Vec<u8>>, EnvelopeError> {
    open_with_aad(key.as_bytes(), iv, &binding.to_aad(), ciphertext)
}

pub(crate) fn seal_with_aad(
    key: &[u8; 32],
    iv: &[u8; IV_LEN],
    aad: &[u8],
    plaintext: &[u8],
) -> Result<Vec<u8>, EnvelopeError> {
    Aes256Gcm::new(key.into())
        .encrypt(&Nonce::from(*iv), Payload { msg: plaintext, aad })
        .map_err(|_| EnvelopeError::TooLong)
}

pub(crate) fn open_with_aad(
    key: &[u8; 32],
    iv: &[u8; IV_LEN],
    aad: &[u8],
    ciphertext: &[u8],
) -> Result<Zeroizing<Vec<u8>>, EnvelopeError> {
    if ciphertext.len() < TAG_LEN {
        return Err(EnvelopeError::Truncated(ciphertext.len()));
    }
    Aes256Gcm::new(key.into())
        .decrypt(&Nonce::from(*iv), Payload { msg: ciphertext, aad })
        .map(Zeroizing::new)
        .map_err(|_| EnvelopeError::Authentication)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Test case 16 of the GCM specification (McGrew, Viega), which has AAD and a 256-bit key.
    #[test]
    fn gcm_specification_case_16() {
        let hex = |s: &str| -> Vec<u8> {
            (0..s.len()).step_by(2).map(|i| u8::from_str_radix(&s[i..i + 2], 16).unwrap()).collect()
        };
        let key: [u8; 32] = hex("feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308").try_into().unwrap();
        let iv: [u8; 12] = hex("cafebabefacedbaddecaf888").try_into().unwrap();
        let plaintext = hex(
            "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
        );
        let aad = hex("feedfacedeadbeeffeedfacedeadbeefabaddad2");
        let expected = hex(
            "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f66276fc6ece0f4e1768cddf8853bb2d551b",
        );
        assert_eq!(seal_with_aad(&key, &iv, &aad, &plaintext).unwrap(), expected);
        assert_eq!(*open_with_aad(&key, &iv, &aad, &expected).unwrap(), plaintext);
    }

    #[test]
    fn every_component_is_bound() {
        let key = DataKey::new([7; 32]);
        let iv = [1; 12];
        let right = Binding { repo_id: "repo", payload_version: 3, key_epoch: 4 };
        let sealed = seal(&key, &iv, &right, b"{}").unwrap();
        assert_eq!(sealed.len(), 2 + TAG_LEN);
        assert_eq!(**open(&key, &iv, &right, &sealed).unwrap(), *b"{}");
        for wrong in [
            Binding { repo_id: "repO", ..right.clone() },
            Binding { payload_version: 4, ..right.clone() },
            Binding { key_epoch: 3, ..right.clone() },
        ] {
            assert_eq!(open(&key, &iv, &wrong, &sealed), Err(EnvelopeError::Authentication));
        }
        assert_eq!(open(&key, &[2; 12], &right, &sealed), Err(EnvelopeError::Authentication));
        assert_eq!(open(&key, &iv, &right, &sealed[..15]), Err(EnvelopeError::Truncated(15)));
    }
}
