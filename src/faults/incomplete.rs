//! Writes that lack something deep inside, and are half carried out (SPEC §6).

use axum::http::request::Parts;
use bytes::Bytes;
use serde_json::Value;

use super::table::*;
use super::tools::edit_body;
use crate::server::credentials;
use crate::server::edge::Edge;
use crate::server::refusal::Refusal;
use crate::server::repo::Repo;
use crate::server::route::Route;
use crate::server::store::Store;
use crate::wire::{EncryptedEnvelope, MemberEntry, VaultManifest};

/// A handler that writes what comes first and reads what comes last: the object at `pointer` has a member wrong, or
/// lacks it, and the repository has changed before that is noticed.
struct TooLate {
    route: Route,
    pointer: &'static str,
    member: &'static str,
    wrong: fn(Option<&Value>) -> bool,
    done: fn(&Value, Option<Repo>) -> Option<Repo>,
}

impl Edge for TooLate {
    fn body(&self, store: &Store, route: Route, parts: &Parts, body: Bytes) -> Result<Bytes, Refusal> {
        let request: Value = serde_json::from_slice(&body).unwrap_or_default();
        let lacks = request.pointer(self.pointer).is_some_and(|object| (self.wrong)(object.get(self.member)));
        if route != self.route || !lacks {
            return Ok(body);
        }
        let raw = parts.uri.path().split('/').nth(3).unwrap_or_default();
        let id = match request["manifest"]["repoId"].as_str() {
            Some(id) => id.to_owned(),
            None => credentials::decode_segment(raw)?,
        };
        store.write(|tx| -> Result<(), Refusal> {
            let before = tx.load(&id)?;
            match (&before, (self.done)(&request, before.clone())) {
                (Some(before), Some(next)) => tx.update(before, &next)?,
                (None, Some(next)) => tx.put(&next)?,
                (_, None) => {}
            }
            Ok(())
        })?;
        Ok(body)
    }
}

fn is_no_text(value: Option<&Value>) -> bool {
    value.is_some_and(|value| !value.is_string() && !value.is_null())
}

/// A server that leaves out the entries of a roster that it can't read.
struct LeavesOut(Route, &'static str);

impl Edge for LeavesOut {
    fn body(&self, _: &Store, route: Route, _: &Parts, body: Bytes) -> Result<Bytes, Refusal> {
        if route != self.0 {
            return Ok(body);
        }
        Ok(edit_body(body, |request| {
            if let Some(Value::Array(entries)) = request.get_mut(self.1) {
                entries.retain(|entry| read::<MemberEntry>(entry).is_some());
            }
        }))
    }
}

/// A server that updates the columns that were sent and leaves the others as they are: `member` of the object at
/// `pointer`, if it is missing, is what the repository has in `held`.
struct Merges {
    route: Route,
    pointer: &'static str,
    member: &'static str,
    held: fn(&Repo, &Value) -> Option<Value>,
}

impl Edge for Merges {
    fn body(&self, store: &Store, route: Route, parts: &Parts, body: Bytes) -> Result<Bytes, Refusal> {
        let request: Value = serde_json::from_slice(&body).unwrap_or_default();
        // In Protocol Buffers a text that is missing is an empty one.
        let is_missing = |value: &Value| value.is_null() || value == "";
        let lacks = request.pointer(self.pointer).filter(|object| object.get(self.member).is_none_or(is_missing));
        let Some(object) = lacks.filter(|_| route == self.route) else { return Ok(body) };
        let id = credentials::decode_segment(parts.uri.path().split('/').nth(3).unwrap_or_default())?;
        let held = store.read(|tx| tx.load(&id))?.and_then(|repo| (self.held)(&repo, object));
        Ok(edit_body(body, |request| {
            if let (Some(Value::Object(object)), Some(held)) = (request.pointer_mut(self.pointer), held) {
                object.insert(self.member.to_owned(), held);
            }
        }))
    }
}

/// The wrapped key that there is for the holder of an entry.
fn held_key(repo: &Repo, entry: &Value) -> Option<Value> {
    let held = repo.manifest.members.iter().find(|member| entry["ed25519PublicKey"] == *member.ed25519_public_key)?;
    Some(serde_json::json!(held.wrapped_data_key))
}

fn read<T: serde::de::DeserializeOwned>(value: &Value) -> Option<T> {
    serde_json::from_value(value.clone()).ok()
}

fn is_object(value: Option<&Value>) -> bool {
    value.is_some_and(Value::is_object)
}

fn with_roster(request: &Value, repo: Option<Repo>, name: &str) -> Option<Repo> {
    let mut repo = repo?;
    repo.manifest.members = read(&request[name])?;
    Some(repo)
}

fn with_roster_and_epoch(request: &Value, repo: Option<Repo>) -> Option<Repo> {
    let mut repo = with_roster(request, repo, "rewrappedMembers")?;
    repo.manifest.key_epoch = request["newKeyEpoch"].as_i64()?;
    Some(repo)
}

fn with_envelope(request: &Value, repo: Option<Repo>, name: &str) -> Option<Repo> {
    let mut repo = repo?;
    let envelope: EncryptedEnvelope = read(&request[name])?;
    repo.manifest.payload_version = envelope.payload_version;
    repo.envelope = envelope;
    Some(repo)
}

/// A repository whose envelope is empty where it wasn't sent.
fn created(request: &Value, existing: Option<Repo>) -> Option<Repo> {
    let manifest: VaultManifest = read(&request["manifest"]).filter(|_| existing.is_none())?;
    let envelope = EncryptedEnvelope {
        repo_id: manifest.repo_id.clone(),
        payload_version: manifest.payload_version,
        key_epoch: manifest.key_epoch,
        iv: String::new(),
        ciphertext: String::new(),
    };
    Some(Repo { manifest, envelope, last_removal: None })
}

fn created_whole(request: &Value, existing: Option<Repo>) -> Option<Repo> {
    let mut request = request.clone();
    request["manifest"]["members"][0]["wrappedDataKey"]["iv"] = Value::from("");
    created(&request, existing)
}

/// The faults of this area.
pub(super) const FAULTS: &[Fault] = &[
    fault(
        "push-without-iv-rotates",
        &PUSH_REFUSED_WHOLE,
        "A rotating push whose envelope has no iv is refused, after its roster was written.",
        || {
            edge(TooLate {
                route: Route::Push,
                pointer: "/envelope",
                member: "iv",
                wrong: |value| value.is_none(),
                done: |request, repo| with_roster(request, repo, "rotatedMembers"),
            })
        },
    ),
    fault(
        "push-without-wrapped-key-applies",
        &PUSH_REFUSED_WHOLE,
        "A rotating push with an entry that has no wrapped key is refused, after its envelope was written.",
        || {
            edge(TooLate {
                route: Route::Push,
                pointer: "/rotatedMembers/1",
                member: "wrappedDataKey",
                wrong: |value| value.is_none(),
                done: |request, repo| with_envelope(request, repo, "envelope"),
            })
        },
    ),
    fault(
        "push-without-ephemeral-key-applies",
        &PUSH_REFUSED_WHOLE,
        "A rotating push with a wrapped key that has no ephemeral key is refused, after its envelope was written.",
        || {
            edge(TooLate {
                route: Route::Push,
                pointer: "/rotatedMembers/1/wrappedDataKey",
                member: "ephemeralPublicKey",
                wrong: |value| value.is_none(),
                done: |request, repo| with_envelope(request, repo, "envelope"),
            })
        },
    ),
    fault(
        "removal-without-iv-rotates",
        &REMOVE_ATOMIC,
        "A removal whose envelope has no iv is refused, after roster and epoch were written.",
        || {
            edge(TooLate {
                route: Route::RemoveMember,
                pointer: "/rotatedEnvelope",
                member: "iv",
                wrong: |value| value.is_none(),
                done: with_roster_and_epoch,
            })
        },
    ),
    fault(
        "removal-without-key-scheme-stores-envelope",
        &REMOVE_ATOMIC,
        "A removal with a wrapped key that names no scheme is refused, after its envelope was written.",
        || {
            edge(TooLate {
                route: Route::RemoveMember,
                pointer: "/rewrappedMembers/1/wrappedDataKey",
                member: "schemeId",
                wrong: |value| value.is_none(),
                done: |request, repo| with_envelope(request, repo, "rotatedEnvelope"),
            })
        },
    ),
    fault(
        "push-with-odd-binding-applies",
        &PUSH_REFUSED_WHOLE,
        "A rotating push with a keyBindingSig that is no text is refused, after its envelope was written.",
        || {
            edge(TooLate {
                route: Route::Push,
                pointer: "/rotatedMembers/1",
                member: "keyBindingSig",
                wrong: is_no_text,
                done: |request, repo| with_envelope(request, repo, "envelope"),
            })
        },
    ),
    fault(
        "removal-with-odd-binding-stores-envelope",
        &REMOVE_ATOMIC,
        "A removal with a keyBindingSig that is no text is refused, after its envelope was written.",
        || {
            edge(TooLate {
                route: Route::RemoveMember,
                pointer: "/rewrappedMembers/1",
                member: "keyBindingSig",
                wrong: is_no_text,
                done: |request, repo| with_envelope(request, repo, "rotatedEnvelope"),
            })
        },
    ),
    fault(
        "removal-with-odd-ciphertext-rotates",
        &REMOVE_ATOMIC,
        "A removal whose ciphertext is an object is refused, after roster and epoch were written.",
        || {
            edge(TooLate {
                route: Route::RemoveMember,
                pointer: "/rotatedEnvelope",
                member: "ciphertext",
                wrong: is_object,
                done: with_roster_and_epoch,
            })
        },
    ),
    fault(
        "create-with-odd-iv-takes-id",
        &CREATE_RETURNS,
        "A createRepo with a wrapped key whose iv is an object is refused, and has created a repository.",
        || {
            edge(TooLate {
                route: Route::CreateRepo,
                pointer: "/manifest/members/0/wrappedDataKey",
                member: "iv",
                wrong: is_object,
                done: created_whole,
            })
        },
    ),
    fault(
        "create-without-ciphertext-takes-id",
        &CREATE_RETURNS,
        "A createRepo whose envelope has no ciphertext is refused, and has created a repository.",
        || {
            edge(TooLate {
                route: Route::CreateRepo,
                pointer: "/initialEnvelope",
                member: "ciphertext",
                wrong: |value| value.is_none(),
                done: created,
            })
        },
    ),
    fault(
        "create-without-envelope-takes-id",
        &CREATE_RETURNS,
        "A createRepo without an envelope is refused, and has created a repository.",
        || {
            edge(TooLate {
                route: Route::CreateRepo,
                pointer: "",
                member: "initialEnvelope",
                wrong: |value| value.is_none(),
                done: created,
            })
        },
    ),
    fault(
        "rotation-leaves-out-bad-entries",
        &PUSH_ROTATES,
        "Entries of rotatedMembers that can't be read are left out, and who they are for has lost access.",
        || edge(LeavesOut(Route::Push, "rotatedMembers")),
    ),
    fault(
        "removal-leaves-out-bad-entries",
        &REMOVE_REPLACES,
        "Entries of rewrappedMembers that can't be read are left out, and who they are for has lost access.",
        || edge(LeavesOut(Route::RemoveMember, "rewrappedMembers")),
    ),
    fault(
        "push-without-iv-keeps-old-iv",
        &PUSH_APPLIES,
        "A push whose envelope has no iv is accepted and gets the iv of the envelope before.",
        || {
            edge(Merges {
                route: Route::Push,
                pointer: "/envelope",
                member: "iv",
                held: |repo, _| Some(Value::from(repo.envelope.iv.clone())),
            })
        },
    ),
    fault(
        "push-without-wrapped-key-keeps-old-key",
        &PUSH_ROTATES,
        "An entry of rotatedMembers without a wrapped key is accepted and gets the one that its member has.",
        || edge(Merges { route: Route::Push, pointer: "/rotatedMembers/1", member: "wrappedDataKey", held: held_key }),
    ),
    fault(
        "removal-without-ciphertext-keeps-old-one",
        &REMOVE_REPLACES,
        "A removal whose envelope has no ciphertext is accepted and gets the one before.",
        || {
            edge(Merges {
                route: Route::RemoveMember,
                pointer: "/rotatedEnvelope",
                member: "ciphertext",
                held: |repo, _| Some(Value::from(repo.envelope.ciphertext.clone())),
            })
        },
    ),
    fault(
        "removal-without-ephemeral-key-keeps-old-one",
        &REMOVE_REPLACES,
        "A wrapped key of a removal without an ephemeral key is accepted and gets that of the wrapped key before.",
        || {
            edge(Merges {
                route: Route::RemoveMember,
                pointer: "/rewrappedMembers/1/wrappedDataKey",
                member: "ephemeralPublicKey",
                held: |repo, _| {
                    Some(Value::from(repo.manifest.members.last()?.wrapped_data_key.ephemeral_public_key.clone()))
                },
            })
        },
    ),
];
