//! Verifications that are remembered by too little: an earlier right login lets a later wrong one pass (SPEC §3.2).

use std::collections::{HashMap, HashSet};
use std::future::ready;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

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

shared!(Cache: identity);

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

faults! {
    "signature-cached-by-key" breaks SIGNATURE_VERIFIED: "Whoever has logged in once isn't verified again." => {
        is cache(|key, _, _| base64::encode(key))
    }
    "signature-of-regulars-unchecked" breaks SIGNATURE_VERIFIED: "Whoever has logged in ten times isn't verified again." => {
        state { logins: Mutex<HashMap<[u8; 32], u32>> }
        identity {
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
    }
    "signature-cached-without-message" breaks SIGNATURE_VERIFIED: "Verifications are cached by key and signature, without the message." => {
        is cache(|key, _, signature| format!("{}{signature}", base64::encode(key)))
    }
    "signature-cached-without-key" breaks SIGNATURE_VERIFIED: "Verifications are cached by message and signature, without the key." => {
        is cache(|_, nonce, signature| format!("{}{signature}", base64::encode(nonce)))
    }
    "signature-cached-by-nonce" breaks SIGNATURE_VERIFIED: "Verifications are cached by nonce." => {
        is cache(|_, nonce, _| base64::encode(nonce))
    }
    "signature-cached-by-itself" breaks SIGNATURE_VERIFIED: "Verifications are cached by signature." => {
        is cache(|_, _, signature| signature.to_owned())
    }
    "signature-cached-by-key-and-length" breaks SIGNATURE_VERIFIED: "Verifications are cached by key and the length of the signature." => {
        is cache(|key, _, signature| format!("{}{}", base64::encode(key), signature.len()))
    }
    "signature-compared-with-last" breaks SIGNATURE_VERIFIED: "A signature that begins like the last one of the same key passes." => {
        state { last: Mutex<HashMap<[u8; 32], String>> }
        identity {
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
    }
    "signature-outcome-left-over" breaks SIGNATURE_VERIFIED: "The outcome of a verification is kept in a field, which a wrong signature of another length than 64 doesn't set." => {
        state { outcome: AtomicBool }
        identity {
            fn nonce_signature_holds(&self, key: &[u8; 32], _: &str, nonce: &[u8], signature: &str) -> bool {
                if base64::decode_array::<64>(signature).is_ok() {
                    self.outcome.store(holds(key, nonce, signature), Ordering::Relaxed);
                }
                self.outcome.load(Ordering::Relaxed)
            }
        }
    }
    "signature-outcome-of-before" breaks SIGNATURE_VERIFIED: "The first wrong signature after a right one passes." => {
        state { outcome: AtomicBool }
        identity {
            fn nonce_signature_holds(&self, key: &[u8; 32], _: &str, nonce: &[u8], signature: &str) -> bool {
                let holds = holds(key, nonce, signature);
                self.outcome.swap(holds, Ordering::Relaxed) || holds
            }
        }
    }
    "login-refused-once-failed" breaks NONCE_REDEEMABLE: "A key whose signature was wrong once is remembered as one that is wrong." => {
        state { failed: Mutex<HashSet<[u8; 32]>> }
        identity {
            fn nonce_signature_holds(&self, key: &[u8; 32], _: &str, nonce: &[u8], signature: &str) -> bool {
                let holds = base64::decode(signature).is_ok_and(|bytes| signature::verify(key, nonce, &bytes).is_ok());
                let mut failed = lock(&self.failed);
                if !holds {
                    failed.insert(*key);
                }
                holds && !failed.contains(key)
            }
        }
    }
}
