//! The gate of push, its answers, and versions that go nowhere (SPEC §6, §10).

use axum::http::request::Parts;
use axum::http::{Response, StatusCode};
use bytes::Bytes;
use serde_json::{Value, json};

use super::tools::{edit, edit_body, is_in, with_status};
use crate::server::operations;
use crate::server::refusal::Refusal;
use crate::server::repo::{Answer, Call, Outcome, Repo, Visit};
use crate::server::route::Route;
use crate::server::rules::{Later, VaultRules};
use crate::server::store::Store;
use crate::wire::{PushRequest, PushResponse};

/// A gate of its own.
struct Gate(fn(i64, i64) -> bool);

shared!(Gate: vault);

impl VaultRules for Gate {
    fn expectation_holds(&self, expected: i64, current: i64) -> bool {
        (self.0)(expected, current)
    }
}

/// An idea of its own of what a stale writer is told.
struct Conflict(fn(&Repo, &PushRequest) -> PushResponse);

shared!(Conflict: vault);

impl VaultRules for Conflict {
    fn conflict(&self, repo: &Repo, request: &PushRequest) -> PushResponse {
        (self.0)(repo, request)
    }
}

/// A conflict that changes the state all the same.
struct LeakyConflict(fn(&Repo, &PushRequest) -> Repo);

shared!(LeakyConflict: vault);

impl VaultRules for LeakyConflict {
    fn push(&self, visit: &Visit, repo: &Repo, request: &PushRequest) -> Outcome<PushResponse> {
        let outcome = operations::push(self, visit, repo, request);
        if outcome.answer.as_ref().is_ok_and(|answer| answer.conflict) {
            return Outcome { next: Some((self.0)(repo, request)), ..outcome };
        }
        outcome
    }
}

/// What is stored after an accepted push, changed.
struct Pushed(fn(&Repo, &PushRequest, &mut Repo));

shared!(Pushed: vault);

impl VaultRules for Pushed {
    fn push(&self, visit: &Visit, repo: &Repo, request: &PushRequest) -> Outcome<PushResponse> {
        let mut outcome = operations::push(self, visit, repo, request);
        if let Some(next) = &mut outcome.next {
            (self.0)(repo, request, next);
        }
        outcome
    }
}

/// Which repository is asked for the caller's membership, and which one is written.
struct Scope {
    judged: fn(&Visit) -> String,
    written: fn(&Visit) -> String,
}

fn in_path(visit: &Visit) -> String {
    visit.repo_id.clone()
}

fn in_body(visit: &Visit) -> String {
    visit.call.body_repo_id().unwrap_or(&visit.repo_id).to_owned()
}

fn in_envelope(visit: &Visit) -> String {
    match &visit.call {
        Call::Push(request) => request.envelope.repo_id.clone(),
        _ => visit.repo_id.clone(),
    }
}

fn in_rotated_envelope(visit: &Visit) -> String {
    match &visit.call {
        Call::Remove(request) => request.rotated_envelope.repo_id.clone(),
        _ => visit.repo_id.clone(),
    }
}

shared!(Scope: vault);

impl VaultRules for Scope {
    fn body_names_repo(&self, _: &str, _: &str) -> bool {
        true
    }

    fn execute<'a>(&'a self, store: &'a Store, visit: &'a Visit) -> Later<'a, Result<Answer, Refusal>> {
        let (judged, written) = ((self.judged)(visit), (self.written)(visit));
        let entitled = store
            .read(|tx| -> Result<_, Refusal> { Ok(tx.load(&judged)?.is_some_and(|repo| is_in(&repo, &visit.caller))) });
        let moved = Visit { repo_id: written, early: entitled.ok(), ..visit.clone() };
        Box::pin(std::future::ready(operations::execute(self, store, &moved)))
    }

    fn is_member(&self, visit: &Visit, repo: &Repo) -> bool {
        visit.early.unwrap_or_else(|| is_in(repo, &visit.caller))
    }

    fn rotation_keeps_caller(&self, _: &[crate::wire::MemberEntry], _: &str) -> bool {
        true
    }
}

fn current(repo: &Repo) -> PushResponse {
    operations::push_answer(repo, false)
}

fn edit_push(route: Route, response: Response<Bytes>, change: impl FnOnce(&mut Value)) -> Response<Bytes> {
    if route == Route::Push { edit(response, change) } else { response }
}

faults! {
    "large-push-twice" breaks PUSH_APPLIES: "A push of more than 8 KiB is carried out twice, and the second answer is the one that is sent." => {
        vault {
            fn push(&self, visit: &Visit, repo: &Repo, request: &PushRequest) -> Outcome<PushResponse> {
                let first = operations::push(self, visit, repo, request);
                match first.next {
                    Some(next) if request.envelope.ciphertext.len() > 8192 => {
                        let answer = operations::push(self, visit, &next, request).answer;
                        Outcome { answer, next: Some(next) }
                    }
                    next => Outcome { next, ..first },
                }
            }
        }
    }
    "conflict-as-last-pulled" breaks PUSH_CONFLICT: "The counters of a conflict come from a cache that pulls fill and pushes leave as it is." => {
        state { seen: std::sync::Mutex<std::collections::HashMap<String, (i64, i64)>> }
        vault {
            fn pull(&self, visit: &Visit, repo: &Repo, request: &crate::wire::PullRequest) -> Outcome<crate::wire::PullResponse> {
                let counters = (repo.manifest.payload_version, repo.manifest.key_epoch);
                super::tools::lock(&self.seen).insert(repo.manifest.repo_id.clone(), counters);
                operations::pull(self, visit, repo, request)
            }
            fn conflict(&self, repo: &Repo, _: &PushRequest) -> PushResponse {
                let now = (repo.manifest.payload_version, repo.manifest.key_epoch);
                let seen = super::tools::lock(&self.seen).get(&repo.manifest.repo_id).copied();
                let (payload_version, key_epoch) = seen.unwrap_or(now);
                PushResponse { accepted: false, payload_version, key_epoch, conflict: true }
            }
        }
    }
    "push-ungated" breaks PUSH_GATED: "The expected version isn't looked at." => { is Gate(|_, _| true) }
    "push-gate-at-least" breaks PUSH_GATED: "An expectation above the current version passes." => { is Gate(|expected, current| expected >= current) }
    "push-gate-at-most" breaks PUSH_GATED: "An expectation below the current version passes." => { is Gate(|expected, current| expected <= current) }
    "push-gate-one-behind" breaks PUSH_GATED: "An expectation one below the current version passes." => { is Gate(|expected, current| expected == current || Some(expected) == current.checked_sub(1)) }
    "push-gate-one-ahead" breaks PUSH_GATED: "An expectation one above the current version passes." => { is Gate(|expected, current| expected == current || Some(expected) == current.checked_add(1)) }
    "push-gate-zero-is-none" breaks PUSH_GATED: "An expectation of 0 is taken for none, and passes." => { is Gate(|expected, current| expected == 0 || expected == current) }
    "push-gate-negative-is-none" breaks PUSH_GATED: "A negative expectation is taken for none, and passes." => { is Gate(|expected, current| expected < 0 || expected == current) }
    "push-gate-minus-two-is-any" breaks PUSH_GATED: "An expectation of -2 stands for any version, as event stores have it." => { is Gate(|expected, current| expected == -2 || expected == current) }
    "push-gate-minus-four-is-any" breaks PUSH_GATED: "An expectation of -4 stands for any version of what exists." => { is Gate(|expected, current| expected == -4 || expected == current) }
    "push-gate-on-envelope" breaks PUSH_GATED: "The gate is on the envelope's version, which must be the next one; the expectation isn't looked at." => {
        vault {
            fn push(&self, visit: &Visit, repo: &Repo, request: &PushRequest) -> Outcome<PushResponse> {
                let mut request = request.clone();
                request.expected_payload_version = request.envelope.payload_version.saturating_sub(1);
                operations::push(self, visit, repo, &request)
            }
        }
    }
    "push-gate-off-on-rotation" breaks PUSH_GATED: "A push with rotatedMembers isn't gated." => {
        vault {
            fn push(&self, visit: &Visit, repo: &Repo, request: &PushRequest) -> Outcome<PushResponse> {
                let mut request = request.clone();
                if request.rotated_members.is_some() {
                    request.expected_payload_version = repo.manifest.payload_version;
                }
                operations::push(self, visit, repo, &request)
            }
        }
    }
    "push-gate-optional" breaks PUSH_GATED: "A push without an expectation passes." => {
        edge {
            fn body(&self, _: &Store, route: Route, _: &Parts, body: Bytes) -> Result<Bytes, Refusal> {
                Ok(edit_body(body, |request| if route == Route::Push && request.get("expectedPayloadVersion").is_none() {
                    request["expectedPayloadVersion"] = json!(i64::MIN);
                }))
            }
        }
        vault {
            fn expectation_holds(&self, expected: i64, current: i64) -> bool { expected == i64::MIN || expected == current }
        }
    }
    "push-retry-accepted" breaks PUSH_GATED: "A push that is sent again is accepted again." => {
        vault {
            fn push(&self, visit: &Visit, repo: &Repo, request: &PushRequest) -> Outcome<PushResponse> {
                if repo.envelope == request.envelope {
                    return Outcome::read(operations::push_answer(repo, true));
                }
                operations::push(self, visit, repo, request)
            }
        }
    }
    "conflict-is-409" breaks PUSH_CONFLICT: "A conflict is answered with 409." => {
        edge {
            fn response(&self, route: Route, _: &Parts, response: Response<Bytes>) -> Response<Bytes> {
                let mut conflict = false;
                let response = edit_push(route, response, |answer| conflict = answer["conflict"] == json!(true));
                if conflict { with_status(response, StatusCode::CONFLICT) } else { response }
            }
        }
    }
    "conflict-is-409-later" breaks PUSH_CONFLICT: "From version 6 on, a conflict is answered with 409." => {
        edge {
            fn response(&self, route: Route, _: &Parts, response: Response<Bytes>) -> Response<Bytes> {
                let mut conflict = false;
                let response = edit_push(route, response, |answer| {
                    conflict = answer["conflict"] == json!(true) && answer["payloadVersion"].as_i64() > Some(5);
                });
                if conflict { with_status(response, StatusCode::CONFLICT) } else { response }
            }
        }
    }
    "conflict-is-412-later" breaks PUSH_CONFLICT: "From version 15 on, a conflict is answered with 412." => {
        edge {
            fn response(&self, route: Route, _: &Parts, response: Response<Bytes>) -> Response<Bytes> {
                let mut far = false;
                let response = edit_push(route, response, |answer| {
                    far = answer["conflict"] == json!(true) && answer["payloadVersion"].as_i64() > Some(14);
                });
                if far { with_status(response, StatusCode::PRECONDITION_FAILED) } else { response }
            }
        }
    }
    "roster-of-creation-comes-back" breaks PUSH_APPLIES: "Every fortieth version is a snapshot, with the roster of the creation." => {
        state { first: std::sync::Mutex<std::collections::HashMap<String, Vec<crate::wire::MemberEntry>>> }
        vault {
            fn stored(&self, route: Route, _: Option<&Repo>, mut next: Repo) -> Repo {
                let id = next.manifest.repo_id.clone();
                let first = super::tools::lock(&self.first).entry(id).or_insert_with(|| next.manifest.members.clone()).clone();
                if route == Route::Push && next.manifest.payload_version % 40 == 0 {
                    next.manifest.members = first;
                }
                next
            }
        }
    }
    "conflict-is-412" breaks PUSH_CONFLICT: "A conflict is answered with 412 and an error." => {
        edge {
            fn response(&self, route: Route, _: &Parts, response: Response<Bytes>) -> Response<Bytes> {
                let mut conflict = false;
                let response = edit_push(route, response, |answer| if answer["conflict"] == json!(true) {
                    conflict = true;
                    *answer = json!({ "error": "stale" });
                });
                if conflict { with_status(response, StatusCode::PRECONDITION_FAILED) } else { response }
            }
        }
    }
    "conflict-echoes-expectation" breaks PUSH_CONFLICT: "A conflict tells the expected version, not the current one." => {
        is Conflict(|repo, request| PushResponse { payload_version: request.expected_payload_version, ..current(repo) })
    }
    "conflict-echoes-version" breaks PUSH_CONFLICT: "A conflict tells the version that was refused." => {
        is Conflict(|repo, request| PushResponse { payload_version: request.envelope.payload_version, ..current(repo) })
    }
    "conflict-version-zero" breaks PUSH_CONFLICT: "A conflict tells version 0." => { is Conflict(|repo, _| PushResponse { payload_version: 0, ..current(repo) }) }
    "conflict-next-version" breaks PUSH_CONFLICT: "A conflict tells the version that would come next." => { is Conflict(|repo, _| PushResponse { payload_version: repo.manifest.payload_version.saturating_add(1), ..current(repo) }) }
    "conflict-echoes-epoch" breaks PUSH_CONFLICT: "A conflict tells the epoch of the envelope that was refused." => { is Conflict(|repo, request| PushResponse { key_epoch: request.envelope.key_epoch, ..current(repo) }) }
    "conflict-epoch-zero" breaks PUSH_CONFLICT: "A conflict tells epoch 0." => { is Conflict(|repo, _| PushResponse { key_epoch: 0, ..current(repo) }) }
    "conflict-unflagged" breaks PUSH_CONFLICT: "A conflict is neither accepted nor a conflict." => { is Conflict(|repo, _| PushResponse { conflict: false, ..current(repo) }) }
    "conflict-accepted" breaks PUSH_CONFLICT: "A conflict is accepted and a conflict." => { is Conflict(|repo, _| PushResponse { accepted: true, ..current(repo) }) }
    "conflict-without-counters" breaks PUSH_CONFLICT: "A conflict has no counters." => {
        edge {
            fn response(&self, route: Route, _: &Parts, response: Response<Bytes>) -> Response<Bytes> {
                edit_push(route, response, |answer| if answer["conflict"] == json!(true) {
                    *answer = json!({ "accepted": false, "conflict": true });
                })
            }
        }
    }
    "future-expectation-is-400" breaks PUSH_CONFLICT: "An expectation above the current version is answered with 400." => {
        vault {
            fn push(&self, visit: &Visit, repo: &Repo, request: &PushRequest) -> Outcome<PushResponse> {
                if request.expected_payload_version > repo.manifest.payload_version {
                    return Outcome::refuse(Refusal::bad_request("expectedPayloadVersion lies in the future"));
                }
                operations::push(self, visit, repo, request)
            }
        }
    }
    "conflict-but-stored" breaks PUSH_GATED: "A conflict is answered after the push was stored." => { is LeakyConflict(operations::pushed) }
    "conflict-but-envelope" breaks PUSH_GATED: "A conflict is answered after the envelope was stored, the counters weren't." => {
        is LeakyConflict(|repo, request| Repo { envelope: request.envelope.clone(), ..repo.clone() })
    }
    "conflict-but-roster" breaks PUSH_GATED: "A conflict is answered after the roster was replaced." => {
        is LeakyConflict(|repo, request| {
            let mut next = repo.clone();
            next.manifest.members = request.rotated_members.clone().unwrap_or(next.manifest.members);
            next
        })
    }
    "conflict-but-counted" breaks PUSH_GATED: "A conflict raises the version." => {
        is LeakyConflict(|repo, _| {
            let mut next = repo.clone();
            next.manifest.payload_version = next.manifest.payload_version.saturating_add(1);
            next
        })
    }
    "push-not-stored" breaks PUSH_APPLIES: "A push is accepted and not stored." => {
        vault {
            fn push(&self, visit: &Visit, repo: &Repo, request: &PushRequest) -> Outcome<PushResponse> {
                Outcome { next: None, ..operations::push(self, visit, repo, request) }
            }
        }
    }
    "push-keeps-envelope" breaks PUSH_APPLIES: "A push moves the counters, and keeps the old envelope." => { is Pushed(|repo, _, next| next.envelope = repo.envelope.clone()) }
    "push-keeps-iv" breaks PUSH_APPLIES: "A push keeps the old IV." => { is Pushed(|repo, _, next| next.envelope.iv = repo.envelope.iv.clone()) }
    "push-keeps-ciphertext" breaks PUSH_APPLIES: "A push keeps the old ciphertext." => { is Pushed(|repo, _, next| next.envelope.ciphertext = repo.envelope.ciphertext.clone()) }
    "push-keeps-version" breaks PUSH_APPLIES: "A push stores the envelope, and keeps the manifest's version." => { is Pushed(|repo, _, next| next.manifest.payload_version = repo.manifest.payload_version) }
    "push-counts-by-one" breaks PUSH_APPLIES: "A push sets the manifest's version to the old one plus one, whatever the envelope says." => { is Pushed(|repo, _, next| next.manifest.payload_version = repo.manifest.payload_version.saturating_add(1)) }
    "push-envelope-version-lost" breaks PUSH_APPLIES: "A push stores the envelope with the old version in its header." => { is Pushed(|repo, _, next| next.envelope.payload_version = repo.envelope.payload_version) }
    "push-epoch-lost" breaks PUSH_ROTATES: "A rotating push leaves the manifest's epoch alone." => { is Pushed(|repo, _, next| next.manifest.key_epoch = repo.manifest.key_epoch) }
    "accepted-old-version" breaks PUSH_APPLIES: "An accepted push is answered with the version before it." => {
        vault {
            fn push(&self, visit: &Visit, repo: &Repo, request: &PushRequest) -> Outcome<PushResponse> {
                operations::push(self, visit, repo, request)
                    .map(|answer| PushResponse { payload_version: repo.manifest.payload_version, ..answer })
            }
        }
    }
    "accepted-old-epoch" breaks PUSH_ROTATES: "A rotating push is answered with the epoch before it." => {
        vault {
            fn push(&self, visit: &Visit, repo: &Repo, request: &PushRequest) -> Outcome<PushResponse> {
                operations::push(self, visit, repo, request)
                    .map(|answer| PushResponse { key_epoch: repo.manifest.key_epoch, ..answer })
            }
        }
    }
    "push-same-version" breaks VERSION_MONOTONIC: "The version of a push may be the current one again." => {
        vault {
            fn version_advances(&self, new: i64, current: i64) -> bool { new >= current }
        }
    }
    "push-any-version" breaks VERSION_MONOTONIC: "The version of a push may be any." => {
        vault {
            fn version_advances(&self, _: i64, _: i64) -> bool { true }
        }
    }
    "push-rotation-any-version" breaks VERSION_MONOTONIC: "The version of a rotating push may be any." => {
        vault {
            fn push(&self, visit: &Visit, repo: &Repo, request: &PushRequest) -> Outcome<PushResponse> {
                let outcome = operations::push(self, visit, repo, request);
                if request.rotated_members.is_some() && outcome.answer.is_err() && outcome.next.is_none()
                    && request.envelope.payload_version <= repo.manifest.payload_version
                {
                    let next = operations::pushed(repo, request);
                    return Outcome::write(operations::push_answer(&next, true), next);
                }
                outcome
            }
        }
    }
    "push-gap-refused" breaks PUSH_GAP: "The version of a push must be the very next one." => {
        vault {
            fn version_advances(&self, new: i64, current: i64) -> bool { current.checked_add(1) == Some(new) }
        }
    }
    "push-scope-body" breaks PUSH_SCOPE: "Membership is checked for the repository in the path, and the one in the body is written." => {
        is Scope { judged: in_path, written: in_body }
    }
    "push-scope-path" breaks PUSH_SCOPE: "Membership is checked for the repository in the body, and the one in the path is written." => {
        is Scope { judged: in_body, written: in_path }
    }
    "push-scope-envelope" breaks PUSH_SCOPE: "Membership is checked for the repository in the path, and the one that the envelope names is written." => {
        is Scope { judged: in_path, written: in_envelope }
    }
    "remove-scope-envelope" breaks PUSH_SCOPE: "Membership is checked for the repository in the path, and a removal is made in the one that its envelope names." => {
        is Scope { judged: in_path, written: in_rotated_envelope }
    }
}
