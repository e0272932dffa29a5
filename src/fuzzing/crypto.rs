//! Additional data, envelopes, wrapped keys and bindings.

use super::structured::Structured;
use crate::codec::aad::Binding;
use crate::codec::key_wrap::{self, WrapError, Wrapped};
use crate::codec::{DataKey, base64, envelope, key_binding, signature};

/// Additional data is what a second formulation makes of it, and tells its three parts.
pub fn aad(data: &[u8]) {
    let mut input = Structured::new(data);
    let (payload_version, key_epoch) = (input.integer(), input.integer());
    let repo_id = input.text();
    let aad = Binding { repo_id: &repo_id, payload_version, key_epoch }.to_aad();
    // Digit by digit from the right, by arithmetic.
    let digits = |number: i64| {
        let mut rest = i128::from(number).rem_euclid(1 << 64);
        let mut digits: Vec<u8> = (0..8)
            .map(|_| {
                let digit = rest % 256;
                rest /= 256;
                digit.to_le_bytes()[0]
            })
            .collect();
        digits.reverse();
        digits
    };
    let expected = [repo_id.as_bytes(), b"\x1f", &digits(payload_version)[..], &digits(key_epoch)[..]].concat();
    assert_eq!(aad, expected);
    let (id, rest) = aad.split_at(aad.len() - 17);
    assert_eq!((id, rest[0]), (repo_id.as_bytes(), 0x1f));
}

/// What is sealed opens, but not at another place, under another key, or with a byte changed; and nothing opens by itself.
pub fn envelope(data: &[u8]) {
    let mut input = Structured::new(data);
    let (key, iv) = (DataKey::new(input.array()), input.array());
    let (payload_version, key_epoch) = (input.integer(), input.integer());
    let repo_id = input.text();
    let plaintext = input.bytes();
    let binding = Binding { repo_id: &repo_id, payload_version, key_epoch };
    assert_eq!(format!("{key:?}"), "DataKey(..)", "a key is never printed");
    assert!(envelope::open(&key, &iv, &binding, data).is_err());
    let Ok(mut sealed) = envelope::seal(&key, &iv, &binding, &plaintext) else { return };
    assert_eq!(sealed.len(), plaintext.len() + envelope::TAG_LEN);
    assert_eq!(envelope::open(&key, &iv, &binding, &sealed).ok().map(|plain| plain.to_vec()), Some(plaintext));
    let moved = [
        Binding { payload_version: payload_version ^ 1, ..binding.clone() },
        Binding { key_epoch: key_epoch ^ 1, ..binding.clone() },
        Binding { repo_id: &format!("{repo_id}\u{1f}"), ..binding.clone() },
    ];
    for elsewhere in moved {
        assert!(envelope::open(&key, &iv, &elsewhere, &sealed).is_err());
    }
    let place = input.below(sealed.len());
    sealed[place] ^= 1 << (place % 8);
    assert!(envelope::open(&key, &iv, &binding, &sealed).is_err());
    sealed.truncate(place);
    assert!(envelope::open(&key, &iv, &binding, &sealed).is_err());
}

/// What is wrapped unwraps, for its recipient alone and only as it is; what wasn't wrapped doesn't.
pub fn key_wrap(data: &[u8]) {
    let mut input = Structured::new(data);
    let (recipient, ephemeral): ([u8; 32], [u8; 32]) = (input.array(), input.array());
    let forged = Wrapped { ephemeral_public_key: input.array(), iv: input.array(), ciphertext: input.bytes() };
    if input.flag() {
        assert!(key_wrap::unwrap(&forged, &recipient).is_err());
        return;
    }
    let key = DataKey::new(forged.ephemeral_public_key);
    let public = key_wrap::public_key(&recipient);
    let wrapped = match key_wrap::wrap(&key, &public, &ephemeral, &forged.iv) {
        Ok(wrapped) => wrapped,
        Err(error) => {
            assert!(matches!(error, WrapError::SmallOrder), "a key pair of ours: {error}");
            return;
        }
    };
    let mut altered = wrapped;
    let place = input.below(altered.ciphertext.len());
    match input.below(5) {
        4 => {
            assert!(key_wrap::unwrap(&altered, &recipient).is_ok_and(|unwrapped| unwrapped == key));
            return;
        }
        0 => altered.ciphertext[place] ^= 1,
        1 => altered.iv[place % 12] ^= 1,
        // Every bit of the ephemeral key is in the salt, also the one that X25519 ignores.
        2 => altered.ephemeral_public_key[31] ^= 0x80,
        _ => altered.ciphertext.truncate(place),
    }
    assert!(key_wrap::unwrap(&altered, &recipient).is_err());
}

/// A binding verifies for its two keys under its issuer, and for nothing else.
pub fn key_binding(data: &[u8]) {
    let mut input = Structured::new(data);
    let seed = input.array();
    let (issuer, place) = (signature::public_key(&seed), input.below(64));
    let forged: [u8; 64] = input.array();
    let (ed25519, x25519) = (input.text(), input.text());
    let message = key_binding::message(&ed25519, &x25519);
    assert_eq!(message, format!("{ed25519}|{x25519}").into_bytes());
    let mut signed = signature::sign(&seed, &message).to_vec();
    let refused = match input.below(9) {
        8 => {
            let issuer = input.array();
            key_binding::verify(&issuer, &ed25519, &x25519, &signed)
        }
        7 => {
            assert!(key_binding::verify(&issuer, &ed25519, &x25519, &signed).is_ok());
            return;
        }
        0 => key_binding::verify(&issuer, &ed25519, &x25519, &forged),
        1 => key_binding::verify(&issuer, &ed25519, &format!("{x25519}="), &signed),
        2 if key_binding::message(&x25519, &ed25519) != message => {
            key_binding::verify(&issuer, &x25519, &ed25519, &signed)
        }
        3 => {
            let other = signature::public_key(&signature::public_key(&seed));
            key_binding::verify(&other, &ed25519, &x25519, &signed)
        }
        4 => key_binding::verify(&issuer, &ed25519, &x25519, &signed[..place]),
        _ => {
            signed[place] ^= 1 << (place % 8);
            key_binding::verify(&issuer, &ed25519, &x25519, &signed)
        }
    };
    assert!(refused.is_err());
    assert!(base64::decode_array::<64>(&base64::encode(&forged)).is_ok());
}
