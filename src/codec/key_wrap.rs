//! Wrap scheme `X25519-HKDF-SHA256-AESGCM-v1`: the data key encrypted to one member (SPEC §4).

use curve25519_dalek::EdwardsPoint;
use curve25519_dalek::scalar::{Scalar, clamp_integer};
use hkdf::Hkdf;
use sha2::Sha256;
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::Zeroizing;

use super::DataKey;
use super::envelope::{self, IV_LEN};

/// The default `schemeId`.
pub const SCHEME_ID: &str = "X25519-HKDF-SHA256-AESGCM-v1";
/// The label that serves both as HKDF `info` and as GCM AAD.
pub const INFO: &str = "avp/rdk-wrap/v1";

/// A wrapped data key as raw bytes; `wire::WrappedKey` is its base64 form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrapped {
    /// Raw 32-byte X25519 public key (RFC 7748), fresh for every wrap.
    pub ephemeral_public_key: [u8; 32],
    /// 12-byte GCM IV.
    pub iv: [u8; IV_LEN],
    /// Ciphertext and tag; 48 bytes for a 32-byte key.
    pub ciphertext: Vec<u8>,
}

/// Why a key couldn't be wrapped or unwrapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WrapError {
    /// The public key is of small order, so that the shared secret is all zero (RFC 7748 §6.1).
    #[error("the X25519 public key is of small order: the shared secret is all zero")]
    SmallOrder,
    /// Wrong recipient, altered field, or another label.
    #[error("authentication failed: wrong recipient, wrong label, or altered bytes")]
    Authentication,
    /// It decrypts, but not to 32 bytes.
    #[error("the wrapped key is {0} bytes instead of 32")]
    KeyLength(usize),
}

/// The raw 32-byte ECDH output, `X25519(private, public)`.
///
/// # Errors
/// [`WrapError::SmallOrder`] when the output is all zero.
pub fn shared_secret(private: &[u8; 32], public: &[u8; 32]) -> Result<Zeroizing<[u8; 32]>, WrapError> {
    let shared = StaticSecret::from(*private).diffie_hellman(&PublicKey::from(*public));
    if shared.was_contributory() { Ok(Zeroizing::new(*shared.as_bytes())) } else { Err(WrapError::SmallOrder) }
}

/// [`shared_secret`] of one private key with the public key of the other, in a third of the time: both are multiples of the base
/// point, whose order is prime (RFC 7748 §4.1), so that the output is their product's, which comes out of a table. Never of small order.
fn shared_secret_of(private: &[u8; 32], other_private: &[u8; 32]) -> Zeroizing<[u8; 32]> {
    let scalar = |private: &[u8; 32]| Scalar::from_bytes_mod_order(clamp_integer(*private));
    let product = scalar(private) * scalar(other_private);
    Zeroizing::new(EdwardsPoint::mul_base(&product).to_montgomery().to_bytes())
}

/// The raw 32-byte X25519 public key of a private key.
pub fn public_key(private: &[u8; 32]) -> [u8; 32] {
    PublicKey::from(&StaticSecret::from(*private)).to_bytes()
}

/// `HKDF-SHA256(ikm = shared secret, salt = ephemeral public key, info = label, L = 32)`.
pub fn key_encryption_key(shared_secret: &[u8; 32], ephemeral_public_key: &[u8; 32]) -> Zeroizing<[u8; 32]> {
    let mut kek = Zeroizing::new([0; 32]);
    Hkdf::<Sha256>::new(Some(ephemeral_public_key), shared_secret)
        .expand(INFO.as_bytes(), kek.as_mut())
        .expect("32 bytes are far below HKDF's limit of 255 blocks");
    kek
}

/// Wraps a data key to a recipient. The ephemeral key pair and the IV must be fresh for every call.
///
/// # Errors
/// [`WrapError::SmallOrder`] for a recipient key of small order.
pub fn wrap(
    data_key: &DataKey,
    recipient_public: &[u8; 32],
    ephemeral_private: &[u8; 32],
    iv: &[u8; IV_LEN],
) -> Result<Wrapped, WrapError> {
    let secret = shared_secret(ephemeral_private, recipient_public)?;
    Ok(wrap_by(&secret, data_key, ephemeral_private, iv))
}

/// As [`wrap`], and the same bytes, where the recipient's private key is at hand: in half of the time.
pub fn wrap_to_holder(
    data_key: &DataKey,
    recipient_private: &[u8; 32],
    ephemeral_private: &[u8; 32],
    iv: &[u8; IV_LEN],
) -> Wrapped {
    wrap_by(&shared_secret_of(ephemeral_private, recipient_private), data_key, ephemeral_private, iv)
}

fn wrap_by(secret: &[u8; 32], data_key: &DataKey, ephemeral_private: &[u8; 32], iv: &[u8; IV_LEN]) -> Wrapped {
    let ephemeral_public_key = public_key(ephemeral_private);
    let kek = key_encryption_key(secret, &ephemeral_public_key);
    let ciphertext = envelope::seal_with_aad(&kek, iv, INFO.as_bytes(), data_key.as_bytes())
        .expect("32 bytes are far below AES-GCM's limit");
    Wrapped { ephemeral_public_key, iv: *iv, ciphertext }
}

/// Recovers the data key with the recipient's private key.
///
/// # Errors
/// [`WrapError`]: small-order ephemeral key, failed authentication, or a plaintext that isn't 32 bytes.
pub fn unwrap(wrapped: &Wrapped, recipient_private: &[u8; 32]) -> Result<DataKey, WrapError> {
    let secret = shared_secret(recipient_private, &wrapped.ephemeral_public_key)?;
    let kek = key_encryption_key(&secret, &wrapped.ephemeral_public_key);
    let plain = envelope::open_with_aad(&kek, &wrapped.iv, INFO.as_bytes(), &wrapped.ciphertext)
        .map_err(|_| WrapError::Authentication)?;
    let bytes = <[u8; 32]>::try_from(plain.as_slice()).map_err(|_| WrapError::KeyLength(plain.len()))?;
    Ok(DataKey::new(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex32(text: &str) -> [u8; 32] {
        std::array::from_fn(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).unwrap())
    }

    #[test]
    fn x25519_rfc_7748_section_6_1() {
        let alice = hex32("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a");
        let bob = hex32("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb");
        let alice_public = hex32("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a");
        let bob_public = hex32("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f");
        let shared = hex32("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742");
        assert_eq!(public_key(&alice), alice_public);
        assert_eq!(public_key(&bob), bob_public);
        assert_eq!(*shared_secret(&alice, &bob_public).unwrap(), shared);
        assert_eq!(*shared_secret(&bob, &alice_public).unwrap(), shared);
    }

    #[test]
    fn hkdf_rfc_5869_a_1() {
        let salt: Vec<u8> = (0..=0x0c).collect();
        let info: Vec<u8> = (0xf0..=0xf9).collect();
        let mut okm = [0; 42];
        Hkdf::<Sha256>::new(Some(&salt), &[0x0b; 22]).expand(&info, &mut okm).unwrap();
        assert_eq!(okm[..32], hex32("3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf"));
        assert_eq!(okm[32..], [0x34, 0x00, 0x72, 0x08, 0xd5, 0xb8, 0x87, 0x18, 0x58, 0x65]);
    }

    #[test]
    fn only_the_recipient_unwraps_and_only_the_original() {
        let (recipient, other, key) = ([3; 32], [4; 32], DataKey::new([9; 32]));
        let wrapped = wrap(&key, &public_key(&recipient), &[5; 32], &[6; 12]).unwrap();
        assert_eq!(wrapped.ciphertext.len(), 48);
        assert_eq!(unwrap(&wrapped, &recipient).unwrap(), key);
        assert_eq!(unwrap(&wrapped, &other), Err(WrapError::Authentication));
        let mut altered = wrapped.clone();
        altered.ephemeral_public_key[0] ^= 1;
        assert_eq!(unwrap(&altered, &recipient), Err(WrapError::Authentication));
        let mut altered = wrapped;
        altered.ciphertext.pop();
        assert_eq!(unwrap(&altered, &recipient), Err(WrapError::Authentication));
    }

    #[test]
    fn wrapping_with_the_private_key_at_hand_is_the_same() {
        let data_key = DataKey::new([9; 32]);
        let mut keys: Vec<[u8; 32]> = vec![[0; 32], [0xff; 32]];
        keys.extend((0..30_u8).map(|i| std::array::from_fn(|at| i.wrapping_mul(31) ^ (at as u8).wrapping_mul(i + 7))));
        for (recipient, ephemeral) in keys.iter().flat_map(|one| keys.iter().map(move |other| (one, other))) {
            let expected = wrap(&data_key, &public_key(recipient), ephemeral, &[6; 12]).unwrap();
            assert_eq!(wrap_to_holder(&data_key, recipient, ephemeral, &[6; 12]), expected);
        }
    }

    #[test]
    fn small_order_points_are_refused() {
        let mut one = [0; 32];
        one[0] = 1;
        for point in [[0; 32], one] {
            assert_eq!(wrap(&DataKey::new([1; 32]), &point, &[2; 32], &[0; 12]), Err(WrapError::SmallOrder));
        }
    }
}
