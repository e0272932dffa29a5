//! Two readers of one message: members that are there twice, and names that are the same to one reader only (RFC 8259
//! §4).

use std::collections::HashMap;
use std::future::ready;
use std::sync::Mutex;

use axum::http::request::Parts;
use bytes::Bytes;
use serde_json::Value;

use super::readers::{FIRST, FIRST_FOLDED, LAST, LAST_FOLDED, Readers};
use super::table::*;
use super::tools::{is_in, lock};
use crate::server::edge::Edge;
use crate::server::operations;
use crate::server::redemption::{self, Authority};
use crate::server::refusal::Refusal;
use crate::server::repo::{Repo, Success, Visit};
use crate::server::route::Route;
use crate::server::rules::{IdentityRules, Later, VaultRules};
use crate::server::store::Store;
use crate::wire::{TokenRequest, TokenResponse};

/// A server whose one reader checks a write and whose other reader stores it.
struct Storing {
    route: Route,
    readers: Readers,
    /// What to store instead, by the repository that was checked.
    done: Mutex<HashMap<String, Value>>,
}

fn storing(route: Route, readers: Readers) -> Storing {
    Storing { route, readers, done: Mutex::default() }
}

impl Edge for Storing {
    fn body(&self, _: &Store, route: Route, _: &Parts, body: Bytes) -> Result<Bytes, Refusal> {
        if route != self.route {
            return Ok(body);
        }
        let Some((checked, done)) = self.readers.differ(&body) else { return Ok(body) };
        let id = checked.pointer("/manifest/repoId").unwrap_or(&checked["repoId"]);
        lock(&self.done).insert(id.as_str().unwrap_or_default().to_owned(), done);
        Ok(checked.to_string().into())
    }
}

impl VaultRules for Storing {
    fn stored(&self, route: Route, _: Option<&Repo>, mut next: Repo) -> Repo {
        if route != self.route {
            return next;
        }
        let Some(done) = lock(&self.done).remove(&next.manifest.repo_id) else { return next };
        let part = |name: &str| done.get(name).cloned().unwrap_or_default();
        let envelope = ["initialEnvelope", "envelope", "rotatedEnvelope"].map(part).into_iter().find(|v| !v.is_null());
        if let Some(Ok(envelope)) = envelope.map(serde_json::from_value) {
            next.envelope = envelope;
            next.manifest.payload_version = next.envelope.payload_version;
        }
        if let Ok(manifest) = serde_json::from_value(part("manifest")) {
            next.manifest = manifest;
        }
        let roster = ["rotatedMembers", "rewrappedMembers"].map(part).into_iter().find(|v| !v.is_null());
        if let Some(Ok(roster)) = roster.map(serde_json::from_value) {
            next.manifest.members = roster;
        }
        if let Some(epoch) = part("newKeyEpoch").as_i64() {
            next.manifest.key_epoch = epoch;
        }
        next
    }
}

/// A server whose one reader asks for membership and whose other reader finds the repository.
struct Locating {
    route: Route,
    readers: Readers,
    /// The other repository and request, by the repository that was checked.
    done: Mutex<HashMap<String, String>>,
}

fn locating(route: Route, readers: Readers) -> Locating {
    Locating { route, readers, done: Mutex::default() }
}

impl Edge for Locating {
    fn body(&self, _: &Store, route: Route, _: &Parts, body: Bytes) -> Result<Bytes, Refusal> {
        if route != self.route {
            return Ok(body);
        }
        let Some((checked, done)) = self.readers.differ(&body) else { return Ok(body) };
        let id = |value: &Value| value["repoId"].as_str().unwrap_or_default().to_owned();
        lock(&self.done).insert(id(&checked), id(&done));
        Ok(checked.to_string().into())
    }
}

impl VaultRules for Locating {
    fn execute<'a>(&'a self, store: &'a Store, visit: &'a Visit) -> Later<'a, Result<Success, Refusal>> {
        let other = if visit.route == self.route { lock(&self.done).remove(&visit.repo_id) } else { None };
        let Some(other) = other else { return Box::pin(ready(operations::execute(self, store, visit))) };
        let load = |id: &str| store.read(|tx| tx.load(id)).ok().flatten();
        let entitled = load(&visit.repo_id).is_some_and(|repo| is_in(&repo, &visit.caller));
        let mut visit = visit.clone();
        if let Some(owner) = load(&other).filter(|_| entitled).and_then(|repo| repo.manifest.members.first().cloned()) {
            (visit.repo_id, visit.caller) = (other, owner.ed25519_public_key);
        }
        Box::pin(ready(operations::execute(self, store, &visit)))
    }

    fn envelope_belongs(&self, _: &str, _: &str) -> bool {
        true
    }
}

/// A server whose one reader puts a new member into the roster and whose other reader opens the door.
struct Admitting {
    readers: Readers,
    admitted: Mutex<HashMap<(String, String), String>>,
}

impl Edge for Admitting {
    fn body(&self, _: &Store, route: Route, _: &Parts, body: Bytes) -> Result<Bytes, Refusal> {
        if route != Route::AddMember {
            return Ok(body);
        }
        let Some((checked, done)) = self.readers.differ(&body) else { return Ok(body) };
        let id = |value: &Value| value["member"]["ed25519PublicKey"].as_str().unwrap_or_default().to_owned();
        let repo = checked["repoId"].as_str().unwrap_or_default().to_owned();
        lock(&self.admitted).insert((repo, id(&checked)), id(&done));
        Ok(checked.to_string().into())
    }
}

impl VaultRules for Admitting {
    fn is_member(&self, visit: &Visit, repo: &Repo) -> bool {
        let admitted = lock(&self.admitted);
        let named = admitted.iter().filter(|((id, _), _)| *id == repo.manifest.repo_id);
        named.into_iter().any(|(_, other)| *other == visit.caller) || is_in(repo, &visit.caller)
    }
}

/// A server whose one reader verifies a signature and whose other reader mints the token.
struct Minting {
    readers: Readers,
    keys: Mutex<HashMap<String, String>>,
}

impl Edge for Minting {
    fn body(&self, _: &Store, route: Route, _: &Parts, body: Bytes) -> Result<Bytes, Refusal> {
        if route != Route::Token {
            return Ok(body);
        }
        let Some((checked, done)) = self.readers.differ(&body) else { return Ok(body) };
        let text = |value: &Value, name: &str| value[name].as_str().unwrap_or_default().to_owned();
        lock(&self.keys).insert(text(&checked, "nonce"), text(&done, "ed25519PublicKey"));
        Ok(checked.to_string().into())
    }
}

impl IdentityRules for Minting {
    fn redeem<'a>(
        &'a self,
        authority: &'a Authority,
        request: &'a TokenRequest,
    ) -> Later<'a, Result<TokenResponse, Refusal>> {
        let granted = redemption::redeem(self, authority, request).and_then(|answer| {
            match lock(&self.keys).remove(&request.nonce) {
                Some(key) => redemption::grant(self, authority, &key),
                None => Ok(answer),
            }
        });
        Box::pin(ready(granted))
    }
}

/// A server whose one reader looks the nonce up and whose other reader verifies its signature.
struct Verifying {
    readers: Readers,
    nonces: Mutex<HashMap<String, String>>,
}

impl Edge for Verifying {
    fn body(&self, _: &Store, route: Route, _: &Parts, body: Bytes) -> Result<Bytes, Refusal> {
        if route != Route::Token {
            return Ok(body);
        }
        let Some((checked, done)) = self.readers.differ(&body) else { return Ok(body) };
        let nonce = |value: &Value| value["nonce"].as_str().unwrap_or_default().to_owned();
        lock(&self.nonces).insert(nonce(&checked), nonce(&done));
        Ok(checked.to_string().into())
    }
}

impl IdentityRules for Verifying {
    fn nonce_signature_holds(&self, key: &[u8; 32], nonce_text: &str, nonce: &[u8], signature: &str) -> bool {
        let other = lock(&self.nonces).remove(nonce_text);
        let signed =
            other.and_then(|other| crate::codec::base64::decode(&other).ok()).unwrap_or_else(|| nonce.to_vec());
        crate::codec::base64::decode(signature)
            .is_ok_and(|signature| crate::codec::signature::verify(key, &signed, &signature).is_ok())
    }
}

/// The faults of this area.
pub(super) const FAULTS: &[Fault] = &[
    fault(
        "create-checks-first-stores-last",
        &CREATE_SOLE_MEMBER,
        "createRepo checks the first of doubled members and stores the last.",
        || edge_and_vault(storing(Route::CreateRepo, FIRST)),
    ),
    fault(
        "create-checks-last-stores-first",
        &CREATE_DUPLICATE,
        "createRepo checks the last of doubled members and stores the first.",
        || edge_and_vault(storing(Route::CreateRepo, LAST)),
    ),
    fault(
        "create-checks-name-stores-folded",
        &CREATE_SOLE_MEMBER,
        "createRepo checks manifest and stores Manifest, which stands before it.",
        || edge_and_vault(storing(Route::CreateRepo, LAST_FOLDED)),
    ),
    fault(
        "push-checks-first-stores-last",
        &VERSION_MONOTONIC,
        "push checks the first of doubled members and stores the last.",
        || edge_and_vault(storing(Route::Push, FIRST)),
    ),
    fault(
        "push-checks-last-stores-first",
        &VERSION_MONOTONIC,
        "push checks the last of doubled members and stores the first.",
        || edge_and_vault(storing(Route::Push, LAST)),
    ),
    fault(
        "push-checks-name-stores-folded",
        &VERSION_MONOTONIC,
        "push checks envelope and stores Envelope, which stands behind it.",
        || edge_and_vault(storing(Route::Push, FIRST_FOLDED)),
    ),
    fault(
        "remove-checks-first-stores-last",
        &EPOCH_RISES,
        "removeMember checks the first of doubled members and stores the last.",
        || edge_and_vault(storing(Route::RemoveMember, FIRST)),
    ),
    fault(
        "remove-checks-last-stores-first",
        &REMOVE_DROPS,
        "removeMember checks the last of doubled members and stores the first.",
        || edge_and_vault(storing(Route::RemoveMember, LAST)),
    ),
    fault(
        "pull-checks-first-reads-last",
        &PULL_MEMBERS_ONLY,
        "pull asks for membership in the first repoId and reads the last.",
        || edge_and_vault(locating(Route::Pull, FIRST)),
    ),
    fault(
        "pull-checks-last-reads-first",
        &PULL_MEMBERS_ONLY,
        "pull asks for membership in the last repoId and reads the first.",
        || edge_and_vault(locating(Route::Pull, LAST)),
    ),
    fault(
        "pull-checks-name-reads-folded",
        &PULL_MEMBERS_ONLY,
        "pull asks for membership in repoId and reads RepoId.",
        || edge_and_vault(locating(Route::Pull, FIRST_FOLDED)),
    ),
    fault(
        "push-checks-first-writes-last",
        &PUSH_SCOPE,
        "push asks for membership in the first repoId and writes to the last.",
        || edge_and_vault(locating(Route::Push, FIRST)),
    ),
    fault(
        "push-checks-name-writes-folded",
        &PUSH_SCOPE,
        "push asks for membership in repoId and writes to RepoId.",
        || edge_and_vault(locating(Route::Push, LAST_FOLDED)),
    ),
    fault(
        "add-checks-first-writes-last",
        &ADD_MEMBERS_ONLY,
        "addMember asks for membership in the first repoId and writes to the last.",
        || edge_and_vault(locating(Route::AddMember, FIRST)),
    ),
    fault(
        "add-checks-last-writes-first",
        &ADD_MEMBERS_ONLY,
        "addMember asks for membership in the last repoId and writes to the first.",
        || edge_and_vault(locating(Route::AddMember, LAST)),
    ),
    fault(
        "remove-checks-last-writes-first",
        &REMOVE_MEMBERS_ONLY,
        "removeMember asks for membership in the last repoId and writes to the first.",
        || edge_and_vault(locating(Route::RemoveMember, LAST)),
    ),
    fault(
        "add-lists-first-admits-last",
        &ADD_RECORDS,
        "addMember puts the first of two keys into the roster and lets the last one in.",
        || edge_and_vault(Admitting { readers: FIRST, admitted: Mutex::default() }),
    ),
    fault(
        "add-lists-name-admits-folded",
        &ADD_RECORDS,
        "addMember puts ed25519PublicKey into the roster and lets Ed25519PublicKey in.",
        || edge_and_vault(Admitting { readers: FIRST_FOLDED, admitted: Mutex::default() }),
    ),
    fault(
        "token-verifies-first-mints-last",
        &SIGNATURE_VERIFIED,
        "token verifies the signature under the first of two keys and mints a token for the last.",
        || edge_and_identity(Minting { readers: FIRST, keys: Mutex::default() }),
    ),
    fault(
        "token-verifies-last-mints-first",
        &SIGNATURE_VERIFIED,
        "token verifies the signature under the last of two keys and mints a token for the first.",
        || edge_and_identity(Minting { readers: LAST, keys: Mutex::default() }),
    ),
    fault(
        "token-spends-first-verifies-last",
        &NONCE_SINGLE_USE,
        "token uses up the first of two nonces and verifies the signature of the last.",
        || edge_and_identity(Verifying { readers: FIRST, nonces: Mutex::default() }),
    ),
    fault(
        "token-spends-last-verifies-first",
        &NONCE_SINGLE_USE,
        "token uses up the last of two nonces and verifies the signature of the first.",
        || edge_and_identity(Verifying { readers: LAST, nonces: Mutex::default() }),
    ),
];
