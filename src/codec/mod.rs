//! The bytes and strings of the protocol (SPEC §2–§5, §8, §9).
//!
//! Pure functions: no I/O, no clock, no random numbers. Whatever must be fresh (ephemeral keys, IVs) is an argument.
//! No input makes a function here panic; every refusal is a typed error.

pub mod aad;
pub mod address;
pub mod base64;
pub mod envelope;
pub mod invite;
pub(crate) mod json;
pub mod jwt;
pub mod key_binding;
pub mod key_wrap;
pub mod locator;
pub mod payload;
pub mod signature;
pub mod token;

use zeroize::{Zeroize, ZeroizeOnDrop};

/// The symmetric 32-byte key of a repository (SPEC §4). Wiped from memory when dropped; never printed.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct DataKey([u8; 32]);

impl DataKey {
    /// Takes the 32 raw bytes of an AES-256 key.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 raw bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl std::fmt::Debug for DataKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DataKey(..)")
    }
}
