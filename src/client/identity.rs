//! A member's keys.

use zeroize::Zeroizing;

use super::random;
use crate::codec::{base64, key_wrap, signature};

/// An Ed25519 keypair that authenticates and an X25519 keypair that data keys are wrapped to (SPEC §3, §4).
#[derive(Clone)]
pub struct Identity {
    seed: Zeroizing<[u8; 32]>,
    x25519_private: Zeroizing<[u8; 32]>,
    /// Member id: base64 of the Ed25519 public key.
    pub id: String,
    /// Base64 of the X25519 public key.
    pub x25519_public_key: String,
}

impl Identity {
    /// A new identity from the operating system's random numbers.
    pub fn generate() -> Self {
        Self::from_seeds(random::bytes(), random::bytes())
    }

    /// An identity whose id satisfies a condition, found by trying (expected tries: a handful to some hundreds).
    pub fn generate_with(mut wanted: impl FnMut(&str) -> bool) -> Self {
        loop {
            let seed = random::bytes();
            if wanted(&base64::encode(&signature::public_key(&seed))) {
                return Self::from_seeds(seed, random::bytes());
            }
        }
    }

    fn from_seeds(seed: [u8; 32], x25519_private: [u8; 32]) -> Self {
        Self {
            id: base64::encode(&signature::public_key(&seed)),
            x25519_public_key: base64::encode(&key_wrap::public_key(&x25519_private)),
            seed: Zeroizing::new(seed),
            x25519_private: Zeroizing::new(x25519_private),
        }
    }

    /// Ed25519 signature, 64 bytes.
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        signature::sign(&self.seed, message)
    }

    /// Raw Ed25519 public key.
    pub fn public_key(&self) -> [u8; 32] {
        signature::public_key(&self.seed)
    }

    /// The Ed25519 seed: a secret.
    pub fn seed(&self) -> &[u8; 32] {
        &self.seed
    }

    /// The X25519 private key: a secret.
    pub fn x25519_private(&self) -> &[u8; 32] {
        &self.x25519_private
    }

    /// Raw X25519 public key.
    pub fn x25519_public(&self) -> [u8; 32] {
        key_wrap::public_key(&self.x25519_private)
    }
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Identity({})", self.id)
    }
}
