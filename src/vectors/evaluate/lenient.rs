//! What the specification leaves open, read as leniently as it allows: to confirm what an open case says about codecs that
//! accept it.

use aes_gcm::aead::consts::U16;
use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::aes::Aes256;
use aes_gcm::{AesGcm, Nonce};
use ed25519_dalek::{Signature, Verifier, VerifyingKey};

use super::inputs::{array, bytes, refuse};
use super::{Evaluated, NoResult};
use crate::codec::aad::Binding;
use crate::codec::{base64, envelope, key_wrap};
use crate::vectors::fields::{Fields, fields};

/// AES-256-GCM with an IV of 12 or 16 bytes.
fn open(key: &[u8; 32], iv: &[u8], aad: &[u8], ciphertext: &[u8]) -> Result<Vec<u8>, NoResult> {
    if let Ok(iv) = <[u8; 12]>::try_from(iv) {
        return envelope::open_with_aad(key, &iv, aad, ciphertext).map(|plain| plain.to_vec()).map_err(refuse);
    }
    let iv = <[u8; 16]>::try_from(iv).map_err(|_| refuse(format!("an IV of {} bytes", iv.len())))?;
    let cipher = AesGcm::<Aes256, U16>::new(key.into());
    let payload = Payload { msg: ciphertext, aad };
    cipher.decrypt(&Nonce::<U16>::from(iv), payload).map_err(|_| refuse(envelope::EnvelopeError::Authentication))
}

pub(super) fn decrypt(input: &Fields, binding: &Binding<'_>) -> Evaluated {
    let (key, iv, ciphertext) = (array(input, "keyB64")?, bytes(input, "ivB64")?, bytes(input, "ciphertextB64")?);
    let plaintext = open(&key, &iv, &binding.to_aad(), &ciphertext)?;
    let text = String::from_utf8(plaintext).map_err(|_| refuse("the plaintext isn't UTF-8"))?;
    Ok(fields! { "plaintextUtf8": text })
}

/// Doesn't mind the name of the scheme, a shared secret of zeros, or the length of what is wrapped.
pub(super) fn unwrap(wrapped: &Fields, private: [u8; 32]) -> Evaluated {
    let ephemeral = array(wrapped, "ephemeralPublicKey")?;
    let secret = x25519_dalek::x25519(private, ephemeral);
    let kek = key_wrap::key_encryption_key(&secret, &ephemeral);
    let (iv, ciphertext) = (bytes(wrapped, "iv")?, bytes(wrapped, "ciphertext")?);
    let key = open(&kek, &iv, key_wrap::INFO.as_bytes(), &ciphertext)?;
    Ok(fields! { "dataKeyB64": base64::encode(&key) })
}

/// Doesn't mind points of small order or spelled beyond the field.
pub(super) fn verify(key: &[u8; 32], message: &[u8], signature: &[u8]) -> Result<(), NoResult> {
    let key = VerifyingKey::from_bytes(key).map_err(refuse)?;
    let signature = Signature::from_slice(signature).map_err(refuse)?;
    key.verify(message, &signature).map_err(refuse)
}
