//! Signatures that shouldn't count (SPEC §3.2).

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;

use super::table::*;
use super::tools::lock;
use crate::codec::{base64, signature};
use crate::ground::ed25519;
use crate::server::redemption::{self};
use crate::server::refusal::Refusal;
use crate::server::rules::IdentityRules;

fn holds(key: &[u8; 32], message: &[u8], signature: &[u8]) -> bool {
    signature::verify(key, message, signature).is_ok()
}

/// S − L, if S is at least L.
fn reduce(s: &mut [u8]) {
    let mut borrow = 0;
    let difference: Vec<u8> = s
        .iter()
        .zip(ed25519::ORDER)
        .map(|(&byte, l)| {
            let step = i16::from(byte) - i16::from(l) - borrow;
            borrow = i16::from(step < 0);
            step.rem_euclid(256).to_le_bytes()[0]
        })
        .collect();
    if borrow == 0 {
        s.copy_from_slice(&difference);
    }
}

/// The faults of this area.
pub(super) const FAULTS: &[Fault] = &[
    fault("signature-unchecked", &SIGNATURE_VERIFIED, "The signature isn't looked at.", || {
        identity(SignatureUnchecked)
    }),
    fault("signature-any-64-bytes", &SIGNATURE_VERIFIED, "Any 64 bytes pass for a signature.", || {
        identity(SignatureAny64Bytes)
    }),
    fault("login-once", &PORTABLE_IDENTITY, "A keypair logs in once, as if it were a one-time code.", || {
        identity(LoginOnce::default())
    }),
    fault(
        "signature-over-the-beginning",
        &SIGNATURE_VERIFIED,
        "Nonces have 48 bytes, and a signature over the first 32 of them passes, too.",
        || identity(SignatureOverTheBeginning),
    ),
    fault(
        "signature-over-half",
        &SIGNATURE_VERIFIED,
        "A signature over the first half of the nonce passes, too.",
        || identity(SignatureOverHalf),
    ),
    fault(
        "signature-empty",
        &SIGNATURE_VERIFIED,
        "An empty signature passes, because only a signature that is there is checked.",
        || identity(SignatureEmpty),
    ),
    fault("signature-all-zero", &SIGNATURE_VERIFIED, "A signature of zeros passes, left from a test.", || {
        identity(SignatureAllZero)
    }),
    fault("signature-trailing-bytes", &SIGNATURE_VERIFIED, "Bytes after the 64th of a signature are ignored.", || {
        identity(SignatureTrailingBytes)
    }),
    fault(
        "signature-top-bits",
        &SIGNATURE_VERIFIED,
        "The top three bits of a signature are masked off instead of checked.",
        || identity(SignatureTopBits),
    ),
    fault(
        "signature-any-key",
        &SIGNATURE_VERIFIED,
        "A signature by any key that has ever asked for a nonce passes.",
        || identity(SignatureAnyKey::default()),
    ),
    fault(
        "signature-any-nonce",
        &SIGNATURE_VERIFIED,
        "A signature over an earlier nonce of the same key passes.",
        || identity(SignatureAnyNonce::default()),
    ),
    fault(
        "signature-over-text",
        &SIGNATURE_RAW,
        "The signature is verified over the base64 text of the nonce.",
        || identity(SignatureOverText),
    ),
    fault(
        "signature-over-text-too",
        &SIGNATURE_RAW,
        "A signature over the base64 text passes as well as one over the bytes.",
        || identity(SignatureOverTextToo),
    ),
    fault(
        "signature-malleable",
        &SIGNATURE_STRICT,
        "S is reduced before it is used, so S + L signs as well as S.",
        || identity(SignatureMalleable),
    ),
];

struct SignatureUnchecked;

impl IdentityRules for SignatureUnchecked {
    fn nonce_signature_holds(&self, _: &[u8; 32], _: &str, _: &[u8], _: &str) -> bool {
        true
    }
}

struct SignatureAny64Bytes;

impl IdentityRules for SignatureAny64Bytes {
    fn nonce_signature_holds(&self, _: &[u8; 32], _: &str, _: &[u8], signature: &str) -> bool {
        base64::decode_array::<64>(signature).is_ok()
    }
}

#[derive(Default)]
struct LoginOnce {
    keys: Mutex<HashSet<[u8; 32]>>,
}

impl IdentityRules for LoginOnce {
    fn nonce_signature_holds(&self, key: &[u8; 32], _: &str, nonce: &[u8], signature: &str) -> bool {
        base64::decode(signature).is_ok_and(|signature| holds(key, nonce, &signature)) && lock(&self.keys).insert(*key)
    }
}

struct SignatureOverTheBeginning;

impl IdentityRules for SignatureOverTheBeginning {
    fn make_nonce(&self, _: &str, random: [u8; 32]) -> Vec<u8> {
        use sha2::Digest as _;
        [&random[..], &sha2::Sha256::digest(random)[..16]].concat()
    }

    fn nonce_signature_holds(&self, key: &[u8; 32], _: &str, nonce: &[u8], signature: &str) -> bool {
        let beginning = &nonce[..nonce.len().min(32)];
        base64::decode(signature).is_ok_and(|it| holds(key, nonce, &it) || holds(key, beginning, &it))
    }
}

struct SignatureOverHalf;

impl IdentityRules for SignatureOverHalf {
    fn nonce_signature_holds(&self, key: &[u8; 32], _: &str, nonce: &[u8], signature: &str) -> bool {
        let half = &nonce[..nonce.len() / 2];
        base64::decode(signature).is_ok_and(|it| holds(key, nonce, &it) || holds(key, half, &it))
    }
}

struct SignatureEmpty;

impl IdentityRules for SignatureEmpty {
    fn nonce_signature_holds(&self, key: &[u8; 32], _: &str, nonce: &[u8], signature: &str) -> bool {
        signature.is_empty() || base64::decode(signature).is_ok_and(|signature| holds(key, nonce, &signature))
    }
}

struct SignatureAllZero;

impl IdentityRules for SignatureAllZero {
    fn nonce_signature_holds(&self, key: &[u8; 32], _: &str, nonce: &[u8], signature: &str) -> bool {
        base64::decode(signature)
            .is_ok_and(|signature| signature.iter().all(|&byte| byte == 0) || holds(key, nonce, &signature))
    }
}

struct SignatureTrailingBytes;

impl IdentityRules for SignatureTrailingBytes {
    fn nonce_signature_holds(&self, key: &[u8; 32], _: &str, nonce: &[u8], signature: &str) -> bool {
        base64::decode(signature).is_ok_and(|all| all.get(..64).is_some_and(|first| holds(key, nonce, first)))
    }
}

struct SignatureTopBits;

impl IdentityRules for SignatureTopBits {
    fn nonce_signature_holds(&self, key: &[u8; 32], _: &str, nonce: &[u8], signature: &str) -> bool {
        base64::decode_array::<64>(signature).is_ok_and(|mut signature| {
            signature[63] &= 0x1f;
            holds(key, nonce, &signature)
        })
    }
}

#[derive(Default)]
struct SignatureAnyKey {
    keys: Mutex<HashSet<[u8; 32]>>,
}

impl IdentityRules for SignatureAnyKey {
    fn read_member_key(&self, text: &str) -> Result<[u8; 32], Refusal> {
        let key = redemption::read_member_key(text)?;
        lock(&self.keys).insert(key);
        Ok(key)
    }

    fn nonce_signature_holds(&self, key: &[u8; 32], _: &str, nonce: &[u8], signature: &str) -> bool {
        let Ok(signature) = base64::decode(signature) else { return false };
        holds(key, nonce, &signature) || lock(&self.keys).iter().any(|key| holds(key, nonce, &signature))
    }
}

#[derive(Default)]
struct SignatureAnyNonce {
    nonces: Mutex<HashMap<String, Vec<Vec<u8>>>>,
}

impl IdentityRules for SignatureAnyNonce {
    fn make_nonce(&self, key: &str, random: [u8; 32]) -> Vec<u8> {
        lock(&self.nonces).entry(key.to_owned()).or_default().push(random.to_vec());
        random.to_vec()
    }

    fn nonce_signature_holds(&self, key: &[u8; 32], _: &str, _: &[u8], signature: &str) -> bool {
        let Ok(signature) = base64::decode(signature) else { return false };
        let nonces = lock(&self.nonces).get(&base64::encode(key)).cloned().unwrap_or_default();
        nonces.iter().rev().take(64).any(|nonce| holds(key, nonce, &signature))
    }
}

struct SignatureOverText;

impl IdentityRules for SignatureOverText {
    fn nonce_signature_holds(&self, key: &[u8; 32], text: &str, _: &[u8], signature: &str) -> bool {
        base64::decode(signature).is_ok_and(|signature| holds(key, text.as_bytes(), &signature))
    }
}

struct SignatureOverTextToo;

impl IdentityRules for SignatureOverTextToo {
    fn nonce_signature_holds(&self, key: &[u8; 32], text: &str, nonce: &[u8], signature: &str) -> bool {
        base64::decode(signature)
            .is_ok_and(|signature| holds(key, nonce, &signature) || holds(key, text.as_bytes(), &signature))
    }
}

struct SignatureMalleable;

impl IdentityRules for SignatureMalleable {
    fn nonce_signature_holds(&self, key: &[u8; 32], _: &str, nonce: &[u8], signature: &str) -> bool {
        base64::decode_array::<64>(signature).is_ok_and(|mut signature| {
            reduce(&mut signature[32..]);
            holds(key, nonce, &signature)
        })
    }
}
