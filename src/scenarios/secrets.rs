//! What a run has made that no server may have: noted as it is made, and derived from what was sent.

use std::collections::{BTreeSet, HashMap};
use std::sync::Mutex;

use bytes::Bytes;
use serde_json::Value;

use crate::client::{Identity, RawAnswer, canaries};
use crate::codec::{base64, key_wrap};
use crate::ground::lock;
use crate::scan::{Class, Secret, distinct};
use crate::wire::{MemberEntry, Operation, TokenRequest, TokenResponse};

/// How much of the requests is kept to derive keys from, in bytes.
const KEPT_REQUESTS: usize = 48 << 20;

/// How many secrets are remembered to search the answers for them.
const KEPT_SECRETS: usize = 1 << 16;

/// The secrets of a run.
#[derive(Default)]
pub struct Secrets {
    noted: Mutex<Vec<Secret>>,
    /// X25519 private keys by the public key in base64.
    keyring: Mutex<HashMap<String, [u8; 32]>>,
    requests: Mutex<Requests>,
    /// Whether what the server stores will be searched, so that it is worth while to keep requests.
    pub searched: bool,
}

/// Requests that hold wrapped keys.
#[derive(Default)]
struct Requests {
    bodies: Vec<(&'static str, Bytes)>,
    length: usize,
}

fn secret(class: Class, what: &'static str, check: &'static str, bytes: &[u8]) -> Secret {
    Secret { class, what: what.into(), check: check.into(), bytes: bytes.to_vec() }
}

impl Secrets {
    /// Notes a secret.
    pub fn remember(&self, class: Class, what: &'static str, check: &'static str, bytes: &[u8]) {
        let mut noted = lock(&self.noted);
        // The answers of a run that makes more are beyond what is kept to be searched; storage is searched for everything.
        if self.searched || noted.len() < KEPT_SECRETS {
            noted.push(secret(class, what, check, bytes));
        }
    }

    /// Notes the keys of an identity.
    pub fn introduce(&self, check: &'static str, identity: &Identity) {
        self.remember(Class::Key, "Ed25519 seed", check, identity.seed());
        self.remember(Class::Key, "X25519 private key", check, identity.x25519_private());
        if self.searched {
            lock(&self.keyring).insert(identity.x25519_public_key.clone(), *identity.x25519_private());
        }
    }

    /// Keeps a request from which keys can be derived, and notes the credentials in an answer.
    pub fn exchange(
        &self,
        check: &'static str,
        operation: Option<Operation>,
        request: Option<&Bytes>,
        answer: &RawAnswer,
    ) {
        if !self.searched {
            return;
        }
        match operation {
            Some(Operation::Token) if answer.status.is_success() => self.credentials(check, request, answer),
            Some(operation) if operation.is_write() => {
                let mut requests = lock(&self.requests);
                if let Some(body) = request
                    && requests.length + body.len() <= KEPT_REQUESTS
                {
                    requests.length += body.len();
                    requests.bodies.push((check, body.clone()));
                }
            }
            _ => {}
        }
    }

    fn credentials(&self, check: &'static str, request: Option<&Bytes>, answer: &RawAnswer) {
        if let Ok(TokenResponse { token, .. }) = serde_json::from_slice(&answer.body) {
            // All tokens of a server may begin alike; of a JWT it is the signature that makes it one.
            let last = token.rsplit('.').next().unwrap_or(&token);
            self.remember(Class::Token, "bearer token", check, last.as_bytes());
        }
        // Until it had bought a token, the server had to keep the nonce.
        if let Some(Ok(TokenRequest { nonce, .. })) = request.map(|body| serde_json::from_slice(body)) {
            let bytes = base64::decode(&nonce).unwrap_or_else(|_| nonce.into_bytes());
            self.remember(Class::Nonce, "nonce that has bought a token", check, &bytes);
        }
    }

    /// What no answer may hold: values of accounts, and keys.
    pub fn never_served(&self) -> Vec<Secret> {
        let mut all = self.all();
        all.retain(|secret| matches!(secret.class, Class::Account | Class::Key));
        all
    }

    /// Everything, each value once: what was noted, and what follows from the requests that were kept.
    pub fn everything(&self) -> Vec<Secret> {
        let mut all = self.all();
        all.extend(self.derived());
        distinct(unasked_first(all))
    }

    fn all(&self) -> Vec<Secret> {
        let canaries = canaries().named();
        let accounts = canaries.iter().map(|(what, bytes)| secret(Class::Account, what, "every check", bytes));
        distinct(unasked_first(accounts.chain(lock(&self.noted).iter().cloned()).collect()))
    }

    /// Shared secrets, key encryption keys and data keys of every wrapped key that was sent to somebody of this run.
    fn derived(&self) -> Vec<Secret> {
        let keyring = lock(&self.keyring);
        let mut found = Vec::new();
        for (check, body) in &lock(&self.requests).bodies {
            let Ok(request) = serde_json::from_slice::<Value>(body) else { continue };
            for entry in entries(&request) {
                let Some(private) = keyring.get(&entry.x25519_public_key) else { continue };
                let Ok(wrapped) = key_wrap::Wrapped::try_from(&entry.wrapped_data_key) else { continue };
                let Ok(shared) = key_wrap::shared_secret(private, &wrapped.ephemeral_public_key) else { continue };
                let kek = key_wrap::key_encryption_key(&shared, &wrapped.ephemeral_public_key);
                found.push(secret(Class::WrappingKey, "X25519 shared secret", check, &*shared));
                found.push(secret(Class::WrappingKey, "key encryption key", check, &*kek));
                if let Ok(key) = key_wrap::unwrap(&wrapped, private) {
                    found.push(secret(Class::Key, "data key", check, key.as_bytes()));
                }
            }
        }
        found
    }
}

/// What was handed to the server on purpose counts as that, whatever else it is.
fn unasked_first(secrets: Vec<Secret>) -> Vec<Secret> {
    let unasked: BTreeSet<Vec<u8>> =
        secrets.iter().filter(|secret| secret.class == Class::Unasked).map(|secret| secret.bytes.clone()).collect();
    let is_other = |secret: &Secret| secret.class != Class::Unasked && unasked.contains(&secret.bytes);
    secrets.into_iter().filter(|secret| !is_other(secret)).collect()
}

/// The members that a request carries, wherever it does.
fn entries(request: &Value) -> Vec<MemberEntry> {
    let lists = ["/manifest/members", "/rotatedMembers", "/rewrappedMembers"];
    let listed = lists.iter().filter_map(|place| request.pointer(place)?.as_array()).flatten();
    listed.chain(request.get("member")).filter_map(|entry| serde_json::from_value(entry.clone()).ok()).collect()
}
