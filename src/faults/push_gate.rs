//! The gate of push, and what is answered to who doesn't pass it (SPEC §6, §10).

use axum::http::request::Parts;
use axum::http::{Response, StatusCode};
use bytes::Bytes;
use serde_json::{Value, json};

use super::table::*;
use super::tools::{edit, edit_body, with_status};
use crate::server::edge::Edge;
use crate::server::operations;
use crate::server::refusal::Refusal;
use crate::server::repo::{Decision, Repo, Visit};
use crate::server::route::Route;
use crate::server::rules::VaultRules;
use crate::server::store::Store;
use crate::wire::{PushRequest, PushResponse};

/// A gate of its own.
struct Gate(fn(i64, i64) -> bool);

impl VaultRules for Gate {
    fn expectation_holds(&self, expected: i64, current: i64) -> bool {
        (self.0)(expected, current)
    }
}

/// An idea of its own of what a stale writer is told.
struct Conflict(fn(&Repo, &PushRequest) -> PushResponse);

impl VaultRules for Conflict {
    fn conflict(&self, repo: &Repo, request: &PushRequest) -> PushResponse {
        (self.0)(repo, request)
    }
}

/// A conflict that changes the state all the same.
struct LeakyConflict(fn(&Repo, &PushRequest) -> Repo);

impl VaultRules for LeakyConflict {
    fn push(&self, visit: &Visit, repo: &Repo, request: &PushRequest) -> Decision<PushResponse> {
        let outcome = operations::push(self, visit, repo, request);
        if outcome.answer.as_ref().is_ok_and(|answer| answer.conflict) {
            return Decision { next: Some((self.0)(repo, request)), ..outcome };
        }
        outcome
    }
}

pub fn current(repo: &Repo) -> PushResponse {
    operations::push_answer(repo, false)
}

fn edit_push(route: Route, response: Response<Bytes>, change: impl FnOnce(&mut Value)) -> Response<Bytes> {
    if route == Route::Push { edit(response, change) } else { response }
}

/// The faults of this area.
pub(super) const FAULTS: &[Fault] = &[
    fault(
        "large-push-twice",
        &PUSH_APPLIES,
        "A push of more than 8 KiB is carried out twice, and the second answer is the one that is sent.",
        || vault(LargePushTwice),
    ),
    fault(
        "conflict-as-last-pulled",
        &PUSH_CONFLICT,
        "The counters of a conflict come from a cache that pulls fill and pushes leave as it is.",
        || vault(ConflictAsLastPulled::default()),
    ),
    fault("push-ungated", &PUSH_GATED, "The expected version isn't looked at.", || vault(Gate(|_, _| true))),
    fault("push-gate-at-least", &PUSH_GATED, "An expectation above the current version passes.", || {
        vault(Gate(|expected, current| expected >= current))
    }),
    fault("push-gate-at-most", &PUSH_GATED, "An expectation below the current version passes.", || {
        vault(Gate(|expected, current| expected <= current))
    }),
    fault("push-gate-one-behind", &PUSH_GATED, "An expectation one below the current version passes.", || {
        vault(Gate(|expected, current| expected == current || Some(expected) == current.checked_sub(1)))
    }),
    fault("push-gate-one-ahead", &PUSH_GATED, "An expectation one above the current version passes.", || {
        vault(Gate(|expected, current| expected == current || Some(expected) == current.checked_add(1)))
    }),
    fault("push-gate-zero-is-none", &PUSH_GATED, "An expectation of 0 is taken for none, and passes.", || {
        vault(Gate(|expected, current| expected == 0 || expected == current))
    }),
    fault("push-gate-negative-is-none", &PUSH_GATED, "A negative expectation is taken for none, and passes.", || {
        vault(Gate(|expected, current| expected < 0 || expected == current))
    }),
    fault(
        "push-gate-minus-two-is-any",
        &PUSH_GATED,
        "An expectation of -2 stands for any version, as event stores have it.",
        || vault(Gate(|expected, current| expected == -2 || expected == current)),
    ),
    fault(
        "push-gate-minus-four-is-any",
        &PUSH_GATED,
        "An expectation of -4 stands for any version of what exists.",
        || vault(Gate(|expected, current| expected == -4 || expected == current)),
    ),
    fault(
        "push-gate-on-envelope",
        &PUSH_GATED,
        "The gate is on the envelope's version, which must be the next one; the expectation isn't looked at.",
        || vault(PushGateOnEnvelope),
    ),
    fault("push-gate-off-on-rotation", &PUSH_GATED, "A push with rotatedMembers isn't gated.", || {
        vault(PushGateOffOnRotation)
    }),
    fault("push-gate-optional", &PUSH_GATED, "A push without an expectation passes.", || {
        edge_and_vault(PushGateOptional)
    }),
    fault("push-retry-accepted", &PUSH_GATED, "A push that is sent again is accepted again.", || {
        vault(PushRetryAccepted)
    }),
    fault("conflict-is-409", &PUSH_CONFLICT, "A conflict is answered with 409.", || edge(ConflictIs409)),
    fault("conflict-is-409-later", &PUSH_CONFLICT, "From version 6 on, a conflict is answered with 409.", || {
        edge(ConflictIs409Later)
    }),
    fault("conflict-is-412-later", &PUSH_CONFLICT, "From version 15 on, a conflict is answered with 412.", || {
        edge(ConflictIs412Later)
    }),
    fault(
        "roster-of-creation-comes-back",
        &PUSH_APPLIES,
        "Every fortieth version is a snapshot, with the roster of the creation.",
        || vault(RosterOfCreationComesBack::default()),
    ),
    fault("conflict-is-412", &PUSH_CONFLICT, "A conflict is answered with 412 and an error.", || edge(ConflictIs412)),
    fault(
        "conflict-echoes-expectation",
        &PUSH_CONFLICT,
        "A conflict tells the expected version, not the current one.",
        || {
            vault(Conflict(|repo, request| PushResponse {
                payload_version: request.expected_payload_version,
                ..current(repo)
            }))
        },
    ),
    fault("conflict-echoes-version", &PUSH_CONFLICT, "A conflict tells the version that was refused.", || {
        vault(Conflict(|repo, request| PushResponse {
            payload_version: request.envelope.payload_version,
            ..current(repo)
        }))
    }),
    fault("conflict-version-zero", &PUSH_CONFLICT, "A conflict tells version 0.", || {
        vault(Conflict(|repo, _| PushResponse { payload_version: 0, ..current(repo) }))
    }),
    fault("conflict-next-version", &PUSH_CONFLICT, "A conflict tells the version that would come next.", || {
        vault(Conflict(|repo, _| PushResponse {
            payload_version: repo.manifest.payload_version.saturating_add(1),
            ..current(repo)
        }))
    }),
    fault(
        "conflict-echoes-epoch",
        &PUSH_CONFLICT,
        "A conflict tells the epoch of the envelope that was refused.",
        || vault(Conflict(|repo, request| PushResponse { key_epoch: request.envelope.key_epoch, ..current(repo) })),
    ),
    fault("conflict-epoch-zero", &PUSH_CONFLICT, "A conflict tells epoch 0.", || {
        vault(Conflict(|repo, _| PushResponse { key_epoch: 0, ..current(repo) }))
    }),
    fault("conflict-unflagged", &PUSH_CONFLICT, "A conflict is neither accepted nor a conflict.", || {
        vault(Conflict(|repo, _| PushResponse { conflict: false, ..current(repo) }))
    }),
    fault("conflict-accepted", &PUSH_CONFLICT, "A conflict is accepted and a conflict.", || {
        vault(Conflict(|repo, _| PushResponse { accepted: true, ..current(repo) }))
    }),
    fault("conflict-without-counters", &PUSH_CONFLICT, "A conflict has no counters.", || edge(ConflictWithoutCounters)),
    fault(
        "future-expectation-is-400",
        &PUSH_CONFLICT,
        "An expectation above the current version is answered with 400.",
        || vault(FutureExpectationIs400),
    ),
    fault("conflict-but-stored", &PUSH_GATED, "A conflict is answered after the push was stored.", || {
        vault(LeakyConflict(operations::pushed))
    }),
    fault(
        "conflict-but-envelope",
        &PUSH_GATED,
        "A conflict is answered after the envelope was stored, the counters weren't.",
        || vault(LeakyConflict(|repo, request| Repo { envelope: request.envelope.clone(), ..repo.clone() })),
    ),
    fault("conflict-but-roster", &PUSH_GATED, "A conflict is answered after the roster was replaced.", || {
        vault(LeakyConflict(|repo, request| {
            let mut next = repo.clone();
            next.manifest.members = request.rotated_members.clone().unwrap_or(next.manifest.members);
            next
        }))
    }),
    fault("conflict-but-counted", &PUSH_GATED, "A conflict raises the version.", || {
        vault(LeakyConflict(|repo, _| {
            let mut next = repo.clone();
            next.manifest.payload_version = next.manifest.payload_version.saturating_add(1);
            next
        }))
    }),
];

struct LargePushTwice;

impl VaultRules for LargePushTwice {
    fn push(&self, visit: &Visit, repo: &Repo, request: &PushRequest) -> Decision<PushResponse> {
        let first = operations::push(self, visit, repo, request);
        match first.next {
            Some(next) if request.envelope.ciphertext.len() > 8192 => {
                let answer = operations::push(self, visit, &next, request).answer;
                Decision { answer, next: Some(next) }
            }
            next => Decision { next, ..first },
        }
    }
}

#[derive(Default)]
struct ConflictAsLastPulled {
    seen: std::sync::Mutex<std::collections::HashMap<String, (i64, i64)>>,
}

impl VaultRules for ConflictAsLastPulled {
    fn pull(
        &self,
        visit: &Visit,
        repo: &Repo,
        request: &crate::wire::PullRequest,
    ) -> Decision<crate::wire::PullResponse> {
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

struct PushGateOnEnvelope;

impl VaultRules for PushGateOnEnvelope {
    fn push(&self, visit: &Visit, repo: &Repo, request: &PushRequest) -> Decision<PushResponse> {
        let mut request = request.clone();
        request.expected_payload_version = request.envelope.payload_version.saturating_sub(1);
        operations::push(self, visit, repo, &request)
    }
}

struct PushGateOffOnRotation;

impl VaultRules for PushGateOffOnRotation {
    fn push(&self, visit: &Visit, repo: &Repo, request: &PushRequest) -> Decision<PushResponse> {
        let mut request = request.clone();
        if request.rotated_members.is_some() {
            request.expected_payload_version = repo.manifest.payload_version;
        }
        operations::push(self, visit, repo, &request)
    }
}

struct PushGateOptional;

impl Edge for PushGateOptional {
    fn body(&self, _: &Store, route: Route, _: &Parts, body: Bytes) -> Result<Bytes, Refusal> {
        Ok(edit_body(body, |request| {
            if route == Route::Push && request.get("expectedPayloadVersion").is_none() {
                request["expectedPayloadVersion"] = json!(i64::MIN);
            }
        }))
    }
}

impl VaultRules for PushGateOptional {
    fn expectation_holds(&self, expected: i64, current: i64) -> bool {
        expected == i64::MIN || expected == current
    }
}

struct PushRetryAccepted;

impl VaultRules for PushRetryAccepted {
    fn push(&self, visit: &Visit, repo: &Repo, request: &PushRequest) -> Decision<PushResponse> {
        if repo.envelope == request.envelope {
            return Decision::read(operations::push_answer(repo, true));
        }
        operations::push(self, visit, repo, request)
    }
}

struct ConflictIs409;

impl Edge for ConflictIs409 {
    fn response(&self, route: Route, _: &Parts, response: Response<Bytes>) -> Response<Bytes> {
        let mut conflict = false;
        let response = edit_push(route, response, |answer| conflict = answer["conflict"] == json!(true));
        if conflict { with_status(response, StatusCode::CONFLICT) } else { response }
    }
}

struct ConflictIs409Later;

impl Edge for ConflictIs409Later {
    fn response(&self, route: Route, _: &Parts, response: Response<Bytes>) -> Response<Bytes> {
        let mut conflict = false;
        let response = edit_push(route, response, |answer| {
            conflict = answer["conflict"] == json!(true) && answer["payloadVersion"].as_i64() > Some(5);
        });
        if conflict { with_status(response, StatusCode::CONFLICT) } else { response }
    }
}

struct ConflictIs412Later;

impl Edge for ConflictIs412Later {
    fn response(&self, route: Route, _: &Parts, response: Response<Bytes>) -> Response<Bytes> {
        let mut far = false;
        let response = edit_push(route, response, |answer| {
            far = answer["conflict"] == json!(true) && answer["payloadVersion"].as_i64() > Some(14);
        });
        if far { with_status(response, StatusCode::PRECONDITION_FAILED) } else { response }
    }
}

#[derive(Default)]
struct RosterOfCreationComesBack {
    first: std::sync::Mutex<std::collections::HashMap<String, Vec<crate::wire::MemberEntry>>>,
}

impl VaultRules for RosterOfCreationComesBack {
    fn stored(&self, route: Route, _: Option<&Repo>, mut next: Repo) -> Repo {
        let id = next.manifest.repo_id.clone();
        let first = super::tools::lock(&self.first).entry(id).or_insert_with(|| next.manifest.members.clone()).clone();
        if route == Route::Push && next.manifest.payload_version % 40 == 0 {
            next.manifest.members = first;
        }
        next
    }
}

struct ConflictIs412;

impl Edge for ConflictIs412 {
    fn response(&self, route: Route, _: &Parts, response: Response<Bytes>) -> Response<Bytes> {
        let mut conflict = false;
        let response = edit_push(route, response, |answer| {
            if answer["conflict"] == json!(true) {
                conflict = true;
                *answer = json!({ "error": "stale" });
            }
        });
        if conflict { with_status(response, StatusCode::PRECONDITION_FAILED) } else { response }
    }
}

struct ConflictWithoutCounters;

impl Edge for ConflictWithoutCounters {
    fn response(&self, route: Route, _: &Parts, response: Response<Bytes>) -> Response<Bytes> {
        edit_push(route, response, |answer| {
            if answer["conflict"] == json!(true) {
                *answer = json!({ "accepted": false, "conflict": true });
            }
        })
    }
}

struct FutureExpectationIs400;

impl VaultRules for FutureExpectationIs400 {
    fn push(&self, visit: &Visit, repo: &Repo, request: &PushRequest) -> Decision<PushResponse> {
        if request.expected_payload_version > repo.manifest.payload_version {
            return Decision::refuse(Refusal::bad_request("expectedPayloadVersion lies in the future"));
        }
        operations::push(self, visit, repo, request)
    }
}
