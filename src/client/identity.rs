//! A member's keys.

use ed25519_dalek::{Signer as _, SigningKey};
use zeroize::Zeroizing;

use super::random;
use crate::codec::{base64, key_wrap, signature};

/// An Ed25519 keypair that authenticates and an X25519 keypair that data keys are wrapped to (SPEC §3, §4).
#[derive(Clone)]
pub struct Identity {
    /// Kept expanded: deriving the public key anew would double the cost of a signature.
    signing: SigningKey,
    x25519_private: Zeroizing<[u8; 32]>,
    x25519_public: [u8; 32],
    /// Member id: base64 of the Ed25519 public key.
    pub id: String,
    /// Base64 of the X25519 public key.
    pub x25519_public_key: String,
}

impl Identity {
    /// A new identity from the operating system's random numbers.
    pub fn generate() -> Self {
        Self::generate_with(|_| true)
    }

    /// An identity whose id needs no escape in a path.
    pub fn with_plain_id() -> Self {
        Self::generate_with(|id| !id.contains(['/', '+']))
    }

    /// An identity whose id satisfies a condition, found by trying (expected tries: a handful to some hundreds).
    pub fn generate_with(mut wanted: impl FnMut(&str) -> bool) -> Self {
        let (signing, id) = loop {
            let signing = SigningKey::from_bytes(&random::bytes());
            let id = base64::encode(signing.verifying_key().as_bytes());
            if wanted(&id) {
                break (signing, id);
            }
        };
        let x25519_private = random::bytes();
        let x25519_public = key_wrap::public_key(&x25519_private);
        Self {
            id,
            x25519_public_key: base64::encode(&x25519_public),
            signing,
            x25519_private: Zeroizing::new(x25519_private),
            x25519_public,
        }
    }

    /// Ed25519 signature, 64 bytes.
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.signing.sign(message).to_bytes()
    }

    /// Another signature over the same message, as valid as that of [`Identity::sign`] and a new one each time.
    pub fn sign_otherwise(&self, message: &[u8]) -> [u8; 64] {
        signature::sign_otherwise(self.signing.as_bytes(), message, random::bytes())
    }

    /// Raw Ed25519 public key.
    pub fn public_key(&self) -> [u8; 32] {
        self.signing.verifying_key().to_bytes()
    }

    /// The Ed25519 seed: a secret.
    pub fn seed(&self) -> &[u8; 32] {
        self.signing.as_bytes()
    }

    /// The X25519 private key: a secret.
    pub fn x25519_private(&self) -> &[u8; 32] {
        &self.x25519_private
    }

    /// Raw X25519 public key.
    pub fn x25519_public(&self) -> [u8; 32] {
        self.x25519_public
    }
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Identity({})", self.id)
    }
}
