//! Verifications that are remembered by too little: an earlier right login lets a later wrong one pass (SPEC §3.2).

use std::collections::{HashMap, HashSet};
use std::future::ready;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use super::table::*;
use super::tools::lock;
use crate::codec::{base64, signature};
use crate::server::redemption::{self, Authority};
use crate::server::refusal::Refusal;
use crate::server::rules::{IdentityRules, Later};
use crate::wire::{TokenRequest, TokenResponse};

fn holds(key: &[u8; 32], nonce: &[u8], signature: &str) -> bool {
    base64::decode(signature).is_ok_and(|signature| signature::verify(key, nonce, &signature).is_ok())
}

/// A server that keeps the outcome of verifications under a name that says too little.
struct Cache {
    right: Mutex<HashSet<String>>,
    name: fn(&[u8; 32], &[u8], &str) -> String,
}

fn cache(name: fn(&[u8; 32], &[u8], &str) -> String) -> Cache {
    Cache { right: Mutex::default(), name }
}

impl IdentityRules for Cache {
    fn nonce_signature_holds(&self, key: &[u8; 32], _: &str, nonce: &[u8], signature: &str) -> bool {
        let name = (self.name)(key, nonce, signature);
        if lock(&self.right).contains(&name) {
            return true;
        }
        let holds = holds(key, nonce, signature);
        if holds {
            lock(&self.right).insert(name);
        }
        holds
    }

    /// The signature comes first here, the nonce after it.
    fn redeem<'a>(
        &'a self,
        authority: &'a Authority,
        request: &'a TokenRequest,
    ) -> Later<'a, Result<TokenResponse, Refusal>> {
        let key = self.read_member_key(&request.ed25519_public_key);
        if let (Ok(key), Ok(nonce)) = (key, base64::decode(&request.nonce)) {
            self.nonce_signature_holds(&key, &request.nonce, &nonce, &request.signature);
        }
        Box::pin(ready(redemption::redeem(self, authority, request)))
    }
}

/// The faults of this area.
pub(super) const FAULTS: &[Fault] = &[
    fault("signature-cached-by-key", &SIGNATURE_VERIFIED, "Whoever has logged in once isn't verified again.", || {
        identity(cache(|key, _, _| base64::encode(key)))
    }),
    fault(
        "signature-of-regulars-unchecked",
        &SIGNATURE_VERIFIED,
        "Whoever has logged in ten times isn't verified again.",
        || identity(SignatureOfRegularsUnchecked::default()),
    ),
    fault(
        "signature-cached-without-message",
        &SIGNATURE_VERIFIED,
        "Verifications are cached by key and signature, without the message.",
        || identity(cache(|key, _, signature| format!("{}{signature}", base64::encode(key)))),
    ),
    fault(
        "signature-cached-without-key",
        &SIGNATURE_VERIFIED,
        "Verifications are cached by message and signature, without the key.",
        || identity(cache(|_, nonce, signature| format!("{}{signature}", base64::encode(nonce)))),
    ),
    fault("signature-cached-by-nonce", &SIGNATURE_VERIFIED, "Verifications are cached by nonce.", || {
        identity(cache(|_, nonce, _| base64::encode(nonce)))
    }),
    fault("signature-cached-by-itself", &SIGNATURE_VERIFIED, "Verifications are cached by signature.", || {
        identity(cache(|_, _, signature| signature.to_owned()))
    }),
    fault(
        "signature-cached-by-key-and-length",
        &SIGNATURE_VERIFIED,
        "Verifications are cached by key and the length of the signature.",
        || identity(cache(|key, _, signature| format!("{}{}", base64::encode(key), signature.len()))),
    ),
    fault(
        "signature-compared-with-last",
        &SIGNATURE_VERIFIED,
        "A signature that begins like the last one of the same key passes.",
        || identity(SignatureComparedWithLast::default()),
    ),
    fault(
        "signature-outcome-left-over",
        &SIGNATURE_VERIFIED,
        "The outcome of a verification is kept in a field, which a wrong signature of another length than 64 doesn't \
         set.",
        || identity(SignatureOutcomeLeftOver::default()),
    ),
    fault(
        "signature-outcome-of-before",
        &SIGNATURE_VERIFIED,
        "The first wrong signature after a right one passes.",
        || identity(SignatureOutcomeOfBefore::default()),
    ),
    fault(
        "login-refused-once-failed",
        &NONCE_REDEEMABLE,
        "A key whose signature was wrong once is remembered as one that is wrong.",
        || identity(LoginRefusedOnceFailed { most: 1, failed: Mutex::default() }),
    ),
    fault(
        "login-locked-after-three",
        &LOGIN_NOT_LOCKED,
        "After three wrong signatures, whoever sent them, right ones are refused like wrong ones.",
        || identity(LoginRefusedOnceFailed { most: 3, failed: Mutex::default() }),
    ),
    fault(
        "login-locked-after-ten",
        &LOGIN_NOT_LOCKED,
        "After ten wrong signatures, whoever sent them, right ones are refused like wrong ones.",
        || identity(LoginRefusedOnceFailed { most: 10, failed: Mutex::default() }),
    ),
];

#[derive(Default)]
struct SignatureOfRegularsUnchecked {
    logins: Mutex<HashMap<[u8; 32], u32>>,
}

impl IdentityRules for SignatureOfRegularsUnchecked {
    fn nonce_signature_holds(&self, key: &[u8; 32], _: &str, nonce: &[u8], signature: &str) -> bool {
        let mut logins = lock(&self.logins);
        let done = logins.entry(*key).or_default();
        if *done >= 10 {
            return true;
        }
        let holds = holds(key, nonce, signature);
        *done += u32::from(holds);
        holds
    }
}

#[derive(Default)]
struct SignatureComparedWithLast {
    last: Mutex<HashMap<[u8; 32], String>>,
}

impl IdentityRules for SignatureComparedWithLast {
    fn nonce_signature_holds(&self, key: &[u8; 32], _: &str, nonce: &[u8], signature: &str) -> bool {
        let mut last = lock(&self.last);
        let start: String = signature.chars().take(16).collect();
        if last.get(key).is_some_and(|last| last.starts_with(&start) && start.len() == 16) {
            return true;
        }
        let holds = holds(key, nonce, signature);
        if holds {
            last.insert(*key, signature.to_owned());
        }
        holds
    }
}

#[derive(Default)]
struct SignatureOutcomeLeftOver {
    outcome: AtomicBool,
}

impl IdentityRules for SignatureOutcomeLeftOver {
    fn nonce_signature_holds(&self, key: &[u8; 32], _: &str, nonce: &[u8], signature: &str) -> bool {
        if base64::decode_array::<64>(signature).is_ok() {
            self.outcome.store(holds(key, nonce, signature), Ordering::Relaxed);
        }
        self.outcome.load(Ordering::Relaxed)
    }
}

#[derive(Default)]
struct SignatureOutcomeOfBefore {
    outcome: AtomicBool,
}

impl IdentityRules for SignatureOutcomeOfBefore {
    fn nonce_signature_holds(&self, key: &[u8; 32], _: &str, nonce: &[u8], signature: &str) -> bool {
        let holds = holds(key, nonce, signature);
        self.outcome.swap(holds, Ordering::Relaxed) || holds
    }
}

/// A server that refuses a key for good after so many wrong signatures.
struct LoginRefusedOnceFailed {
    most: usize,
    failed: Mutex<HashMap<[u8; 32], usize>>,
}

impl IdentityRules for LoginRefusedOnceFailed {
    fn nonce_signature_holds(&self, key: &[u8; 32], _: &str, nonce: &[u8], signature: &str) -> bool {
        let holds = base64::decode(signature).is_ok_and(|bytes| signature::verify(key, nonce, &bytes).is_ok());
        let mut failed = lock(&self.failed);
        let failed = failed.entry(*key).or_default();
        *failed += usize::from(!holds);
        holds && *failed < self.most
    }
}
