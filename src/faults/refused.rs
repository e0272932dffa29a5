//! Writes that are refused and leave something behind all the same (SPEC §6).

use std::collections::HashMap;
use std::sync::Mutex;

use axum::http::Response;
use axum::http::StatusCode;
use axum::http::request::Parts;
use bytes::Bytes;
use serde_json::{Value, json};

use super::edits::edit;
use super::table::*;
use super::tools::{edit_body, lock, refuse_and};
use crate::server::credentials;
use crate::server::edge::Edge;
use crate::server::operations;
use crate::server::refusal::Refusal;
use crate::server::repo::{Decision, Repo, Visit};
use crate::server::route::Route;
use crate::server::rules::VaultRules;
use crate::server::store::Store;
use crate::wire::{EncryptedEnvelope, MemberAddRequest, PushRequest, PushResponse, VaultManifest};

/// A push that is refused with 400, and what it leaves behind.
struct Push(fn(&PushRequest, &mut Repo));

impl VaultRules for Push {
    fn push(&self, visit: &Visit, repo: &Repo, request: &PushRequest) -> Decision<PushResponse> {
        let outcome = operations::push(self, visit, repo, request);
        leave(outcome, repo, |next| (self.0)(request, next))
    }
}

/// A request whose body lacks a member (or has it in the wrong type) does something to the repository before that is
/// noticed: the handler works on untyped JSON, step by step.
pub struct StepByStep {
    pub route: Route,
    pub missing: &'static str,
    pub done: fn(&Value, &mut Repo),
}

impl Edge for StepByStep {
    fn body(&self, store: &Store, route: Route, parts: &Parts, body: Bytes) -> Result<Bytes, Refusal> {
        let request: Value = serde_json::from_slice(&body).unwrap_or_default();
        let complete = right_type(self.missing, request.get(self.missing));
        if route != self.route || complete || !request.is_object() {
            return Ok(body);
        }
        let raw = parts.uri.path().split('/').nth(3).unwrap_or_default();
        let id = credentials::decode_segment(raw)?;
        store.write(|tx| -> Result<(), Refusal> {
            if let Some(repo) = tx.load(&id)? {
                let mut next = repo.clone();
                (self.done)(&request, &mut next);
                tx.update(&repo, &next)?;
            }
            Ok(())
        })?;
        Ok(body)
    }
}

/// An addition inserts the member first and his wrapped key then: where that one is missing, half of the entry stays.
#[derive(Default)]
struct HalfEntries(Mutex<HashMap<String, Value>>);

fn repo_segment(parts: &Parts) -> String {
    parts.uri.path().split('/').nth(3).unwrap_or_default().to_owned()
}

impl Edge for HalfEntries {
    fn body(&self, _: &Store, route: Route, parts: &Parts, body: Bytes) -> Result<Bytes, Refusal> {
        let request: Value = serde_json::from_slice(&body).unwrap_or_default();
        let member = &request["member"];
        if route == Route::AddMember && member["ed25519PublicKey"].is_string() && !member["wrappedDataKey"].is_object()
        {
            let mut half = member.clone();
            half["wrappedDataKey"] = Value::Null;
            lock(&self.0).insert(repo_segment(parts), half);
        }
        Ok(body)
    }

    fn response(&self, route: Route, parts: &Parts, response: Response<Bytes>) -> Response<Bytes> {
        let half = lock(&self.0).get(&repo_segment(parts)).cloned();
        match half.filter(|_| route == Route::Pull) {
            Some(half) => edit(response, |body| {
                if let Some(members) = body.pointer_mut("/manifest/members").and_then(Value::as_array_mut) {
                    members.push(half);
                }
            }),
            None => response,
        }
    }
}

/// A server that fills in what a request lacks, and goes on.
pub struct FillIn(pub Route, pub &'static str, pub fn() -> Value);

impl Edge for FillIn {
    fn body(&self, _: &Store, route: Route, _: &Parts, body: Bytes) -> Result<Bytes, Refusal> {
        Ok(self.filled(route, body))
    }
}

impl FillIn {
    pub fn filled(&self, route: Route, body: Bytes) -> Bytes {
        if route != self.0 {
            return body;
        }
        edit_body(body, |request| {
            if let Some(request) = request.as_object_mut().filter(|request| request.len() > 1) {
                request.entry(self.1).or_insert_with(self.2);
            }
        })
    }
}

fn right_type(name: &str, value: Option<&Value>) -> bool {
    value.is_some_and(|value| match name {
        "rewrappedMembers" | "rotatedMembers" => value.is_array(),
        "newKeyEpoch" | "expectedPayloadVersion" => value.is_i64(),
        "removedMemberId" => value.is_string(),
        _ => value.is_object(),
    })
}

/// A state with something left in it, if the decision is a 400.
pub fn leave<T>(outcome: Decision<T>, repo: &Repo, change: impl FnOnce(&mut Repo)) -> Decision<T> {
    match outcome.answer {
        Err(refusal) if refusal.status == StatusCode::BAD_REQUEST => {
            let mut next = repo.clone();
            change(&mut next);
            refuse_and(refusal, next)
        }
        answer => Decision { answer, next: outcome.next },
    }
}

pub fn read<T: serde::de::DeserializeOwned>(value: &Value) -> Option<T> {
    serde_json::from_value(value.clone()).ok()
}

pub fn store_envelope(repo: &mut Repo, envelope: Option<EncryptedEnvelope>) {
    if let Some(envelope) = envelope {
        repo.manifest.payload_version = envelope.payload_version;
        repo.envelope = envelope;
    }
}

/// The faults of this area.
pub(super) const FAULTS: &[Fault] = &[
    fault(
        "refused-add-leaves-half",
        &ADD_RECORDS,
        "An addMember without a wrapped key is refused, and leaves the member without one in the roster.",
        || edge(HalfEntries::default()),
    ),
    fault(
        "refused-push-stores-envelope",
        &PUSH_REFUSED_WHOLE,
        "A push is stored before its envelope is checked.",
        || vault(Push(|request, next| next.envelope = request.envelope.clone())),
    ),
    fault(
        "refused-push-moves-version",
        &PUSH_REFUSED_WHOLE,
        "The version is set before the envelope is checked.",
        || vault(Push(|request, next| next.manifest.payload_version = request.envelope.payload_version)),
    ),
    fault("refused-push-counts", &PUSH_REFUSED_WHOLE, "The version is raised before the envelope is checked.", || {
        vault(Push(|_, next| next.manifest.payload_version = next.manifest.payload_version.saturating_add(1)))
    }),
    fault(
        "refused-push-replaces-roster",
        &PUSH_REFUSED_WHOLE,
        "The roster is replaced before the envelope is checked.",
        || {
            vault(Push(|request, next| {
                if let Some(members) = request.rotated_members.as_ref().filter(|members| !members.is_empty()) {
                    next.manifest.members.clone_from(members);
                }
            }))
        },
    ),
    fault(
        "push-without-envelope-moves-version",
        &PUSH_REFUSED_WHOLE,
        "A push without an envelope raises the version before it fails.",
        || {
            edge(StepByStep {
                route: Route::Push,
                missing: "envelope",
                done: |_, next| next.manifest.payload_version = next.manifest.payload_version.saturating_add(1),
            })
        },
    ),
    fault(
        "push-without-envelope-rotates",
        &PUSH_REFUSED_WHOLE,
        "A push without an envelope replaces the roster before it fails.",
        || {
            edge(StepByStep {
                route: Route::Push,
                missing: "envelope",
                done: |request, next| {
                    next.manifest.members = read(&request["rotatedMembers"]).unwrap_or(next.manifest.members.clone())
                },
            })
        },
    ),
    fault(
        "push-without-envelope-empties",
        &PUSH_REFUSED_WHOLE,
        "A push without an envelope empties the ciphertext before it fails.",
        || {
            edge(StepByStep {
                route: Route::Push,
                missing: "envelope",
                done: |_, next| next.envelope.ciphertext.clear(),
            })
        },
    ),
    fault(
        "push-without-expectation-stores",
        &PUSH_REFUSED_WHOLE,
        "A push without an expectation stores the envelope before it fails.",
        || {
            edge(StepByStep {
                route: Route::Push,
                missing: "expectedPayloadVersion",
                done: |request, next| store_envelope(next, read(&request["envelope"])),
            })
        },
    ),
    fault("push-expectation-defaults-to-zero", &BAD_INPUT, "A push without an expectation expects 0.", || {
        edge(FillIn(Route::Push, "expectedPayloadVersion", || json!(0)))
    }),
    fault(
        "refused-add-is-stored",
        &ADD_RECORDS,
        "An addMember that is answered with 400 has added the member.",
        || vault(RefusedAddIsStored),
    ),
];

struct RefusedAddIsStored;

impl VaultRules for RefusedAddIsStored {
    fn add(&self, visit: &Visit, repo: &Repo, request: &MemberAddRequest) -> Decision<VaultManifest> {
        let outcome = operations::add(self, visit, repo, request);
        leave(outcome, repo, |next| next.manifest.members.push(request.member.clone()))
    }
}
