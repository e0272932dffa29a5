//! The gate of push, its answers, and versions that go nowhere (SPEC §6, §10).

use axum::http::request::Parts;
use axum::http::{Response, StatusCode};
use bytes::Bytes;
use serde_json::{Value, json};

use super::table::*;
use super::tools::{edit, edit_body, is_in, with_status};
use crate::server::edge::Edge;
use crate::server::operations;
use crate::server::refusal::Refusal;
use crate::server::repo::{Answer, Call, Outcome, Repo, Visit};
use crate::server::route::Route;
use crate::server::rules::{Later, VaultRules};
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
    fault("push-not-stored", &PUSH_APPLIES, "A push is accepted and not stored.", || vault(PushNotStored)),
    fault("push-keeps-envelope", &PUSH_APPLIES, "A push moves the counters, and keeps the old envelope.", || {
        vault(Pushed(|repo, _, next| next.envelope = repo.envelope.clone()))
    }),
    fault("push-keeps-iv", &PUSH_APPLIES, "A push keeps the old IV.", || {
        vault(Pushed(|repo, _, next| next.envelope.iv = repo.envelope.iv.clone()))
    }),
    fault("push-keeps-ciphertext", &PUSH_APPLIES, "A push keeps the old ciphertext.", || {
        vault(Pushed(|repo, _, next| next.envelope.ciphertext = repo.envelope.ciphertext.clone()))
    }),
    fault("push-keeps-version", &PUSH_APPLIES, "A push stores the envelope, and keeps the manifest's version.", || {
        vault(Pushed(|repo, _, next| next.manifest.payload_version = repo.manifest.payload_version))
    }),
    fault(
        "push-counts-by-one",
        &PUSH_APPLIES,
        "A push sets the manifest's version to the old one plus one, whatever the envelope says.",
        || {
            vault(Pushed(|repo, _, next| {
                next.manifest.payload_version = repo.manifest.payload_version.saturating_add(1)
            }))
        },
    ),
    fault(
        "push-envelope-version-lost",
        &PUSH_APPLIES,
        "A push stores the envelope with the old version in its header.",
        || vault(Pushed(|repo, _, next| next.envelope.payload_version = repo.envelope.payload_version)),
    ),
    fault("push-epoch-lost", &PUSH_ROTATES, "A rotating push leaves the manifest's epoch alone.", || {
        vault(Pushed(|repo, _, next| next.manifest.key_epoch = repo.manifest.key_epoch))
    }),
    fault("accepted-old-version", &PUSH_APPLIES, "An accepted push is answered with the version before it.", || {
        vault(AcceptedOldVersion)
    }),
    fault("accepted-old-epoch", &PUSH_ROTATES, "A rotating push is answered with the epoch before it.", || {
        vault(AcceptedOldEpoch)
    }),
    fault("push-same-version", &VERSION_MONOTONIC, "The version of a push may be the current one again.", || {
        vault(PushSameVersion)
    }),
    fault("push-any-version", &VERSION_MONOTONIC, "The version of a push may be any.", || vault(PushAnyVersion)),
    fault("push-rotation-any-version", &VERSION_MONOTONIC, "The version of a rotating push may be any.", || {
        vault(PushRotationAnyVersion)
    }),
    fault("push-gap-refused", &PUSH_GAP, "The version of a push must be the very next one.", || vault(PushGapRefused)),
    fault(
        "push-scope-body",
        &PUSH_SCOPE,
        "Membership is checked for the repository in the path, and the one in the body is written.",
        || vault(Scope { judged: in_path, written: in_body }),
    ),
    fault(
        "push-scope-path",
        &PUSH_SCOPE,
        "Membership is checked for the repository in the body, and the one in the path is written.",
        || vault(Scope { judged: in_body, written: in_path }),
    ),
    fault(
        "push-scope-envelope",
        &PUSH_SCOPE,
        "Membership is checked for the repository in the path, and the one that the envelope names is written.",
        || vault(Scope { judged: in_path, written: in_envelope }),
    ),
    fault(
        "remove-scope-envelope",
        &PUSH_SCOPE,
        "Membership is checked for the repository in the path, and a removal is made in the one that its envelope \
         names.",
        || vault(Scope { judged: in_path, written: in_rotated_envelope }),
    ),
];

struct LargePushTwice;

impl VaultRules for LargePushTwice {
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
    ) -> Outcome<crate::wire::PullResponse> {
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
    fn push(&self, visit: &Visit, repo: &Repo, request: &PushRequest) -> Outcome<PushResponse> {
        let mut request = request.clone();
        request.expected_payload_version = request.envelope.payload_version.saturating_sub(1);
        operations::push(self, visit, repo, &request)
    }
}

struct PushGateOffOnRotation;

impl VaultRules for PushGateOffOnRotation {
    fn push(&self, visit: &Visit, repo: &Repo, request: &PushRequest) -> Outcome<PushResponse> {
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
    fn push(&self, visit: &Visit, repo: &Repo, request: &PushRequest) -> Outcome<PushResponse> {
        if repo.envelope == request.envelope {
            return Outcome::read(operations::push_answer(repo, true));
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
    fn push(&self, visit: &Visit, repo: &Repo, request: &PushRequest) -> Outcome<PushResponse> {
        if request.expected_payload_version > repo.manifest.payload_version {
            return Outcome::refuse(Refusal::bad_request("expectedPayloadVersion lies in the future"));
        }
        operations::push(self, visit, repo, request)
    }
}

struct PushNotStored;

impl VaultRules for PushNotStored {
    fn push(&self, visit: &Visit, repo: &Repo, request: &PushRequest) -> Outcome<PushResponse> {
        Outcome { next: None, ..operations::push(self, visit, repo, request) }
    }
}

struct AcceptedOldVersion;

impl VaultRules for AcceptedOldVersion {
    fn push(&self, visit: &Visit, repo: &Repo, request: &PushRequest) -> Outcome<PushResponse> {
        operations::push(self, visit, repo, request)
            .map(|answer| PushResponse { payload_version: repo.manifest.payload_version, ..answer })
    }
}

struct AcceptedOldEpoch;

impl VaultRules for AcceptedOldEpoch {
    fn push(&self, visit: &Visit, repo: &Repo, request: &PushRequest) -> Outcome<PushResponse> {
        operations::push(self, visit, repo, request)
            .map(|answer| PushResponse { key_epoch: repo.manifest.key_epoch, ..answer })
    }
}

struct PushSameVersion;

impl VaultRules for PushSameVersion {
    fn version_advances(&self, new: i64, current: i64) -> bool {
        new >= current
    }
}

struct PushAnyVersion;

impl VaultRules for PushAnyVersion {
    fn version_advances(&self, _: i64, _: i64) -> bool {
        true
    }
}

struct PushRotationAnyVersion;

impl VaultRules for PushRotationAnyVersion {
    fn push(&self, visit: &Visit, repo: &Repo, request: &PushRequest) -> Outcome<PushResponse> {
        let outcome = operations::push(self, visit, repo, request);
        if request.rotated_members.is_some()
            && outcome.answer.is_err()
            && outcome.next.is_none()
            && request.envelope.payload_version <= repo.manifest.payload_version
        {
            let next = operations::pushed(repo, request);
            return Outcome::write(operations::push_answer(&next, true), next);
        }
        outcome
    }
}

struct PushGapRefused;

impl VaultRules for PushGapRefused {
    fn version_advances(&self, new: i64, current: i64) -> bool {
        current.checked_add(1) == Some(new)
    }
}
