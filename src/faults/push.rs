//! push that stores something else, versions that go nowhere, and writes to another repository (SPEC §6, §10).

use std::collections::HashMap;
use std::sync::Mutex;

use super::table::*;
use super::tools::{is_in, lock};
use crate::server::operations;
use crate::server::refusal::Refusal;
use crate::server::repo::{Decision, Repo, Success, VaultCommand, Visit};
use crate::server::rules::{Later, VaultRules};
use crate::server::store::Store;
use crate::wire::{PushRequest, PushResponse};

/// What is stored after an accepted push, changed.
struct Pushed(fn(&Repo, &PushRequest, &mut Repo));

impl VaultRules for Pushed {
    fn push(&self, visit: &Visit, repo: &Repo, request: &PushRequest) -> Decision<PushResponse> {
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
    visit.command.body_repo_id().unwrap_or(&visit.repo_id).to_owned()
}

fn in_envelope(visit: &Visit) -> String {
    match &visit.command {
        VaultCommand::Push(request) => request.envelope.repo_id.clone(),
        _ => visit.repo_id.clone(),
    }
}

fn in_rotated_envelope(visit: &Visit) -> String {
    match &visit.command {
        VaultCommand::Remove(request) => request.rotated_envelope.repo_id.clone(),
        _ => visit.repo_id.clone(),
    }
}

impl VaultRules for Scope {
    fn body_names_repo(&self, _: &str, _: &str) -> bool {
        true
    }

    fn execute<'a>(&'a self, store: &'a Store, visit: &'a Visit) -> Later<'a, Result<Success, Refusal>> {
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

/// The faults of this area.
pub(super) const FAULTS: &[Fault] = &[
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
        "rotating-push-counts-epochs",
        &PUSH_APPLIES,
        "A rotating push raises the manifest's epoch by one, whatever the envelope says.",
        || {
            vault(Pushed(|repo, request, next| {
                if request.rotated_members.is_some() && next.manifest.key_epoch > repo.manifest.key_epoch {
                    next.manifest.key_epoch = repo.manifest.key_epoch.saturating_add(1);
                }
            }))
        },
    ),
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
    fault(
        "every-32nd-push-keeps-envelope",
        &PUSH_APPLIES,
        "Every 32nd push of a repository writes a snapshot, and the envelope of before under the new version.",
        || vault(Every32ndPush::default()),
    ),
    fault(
        "envelopes-by-beginning",
        &STORED_VERBATIM,
        "Ciphertexts are found by their first 4096 characters: what begins alike is one.",
        || vault(EnvelopesByBeginning::default()),
    ),
];

struct PushNotStored;

impl VaultRules for PushNotStored {
    fn push(&self, visit: &Visit, repo: &Repo, request: &PushRequest) -> Decision<PushResponse> {
        Decision { next: None, ..operations::push(self, visit, repo, request) }
    }
}

struct AcceptedOldVersion;

impl VaultRules for AcceptedOldVersion {
    fn push(&self, visit: &Visit, repo: &Repo, request: &PushRequest) -> Decision<PushResponse> {
        operations::push(self, visit, repo, request)
            .map(|answer| PushResponse { payload_version: repo.manifest.payload_version, ..answer })
    }
}

struct AcceptedOldEpoch;

impl VaultRules for AcceptedOldEpoch {
    fn push(&self, visit: &Visit, repo: &Repo, request: &PushRequest) -> Decision<PushResponse> {
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
    fn push(&self, visit: &Visit, repo: &Repo, request: &PushRequest) -> Decision<PushResponse> {
        let outcome = operations::push(self, visit, repo, request);
        if request.rotated_members.is_some()
            && outcome.answer.is_err()
            && outcome.next.is_none()
            && request.envelope.payload_version <= repo.manifest.payload_version
        {
            let next = operations::pushed(repo, request);
            return Decision::write(operations::push_answer(&next, true), next);
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

#[derive(Default)]
struct Every32ndPush {
    counts: Mutex<HashMap<String, u32>>,
}

impl VaultRules for Every32ndPush {
    fn push(&self, visit: &Visit, repo: &Repo, request: &PushRequest) -> Decision<PushResponse> {
        let mut outcome = operations::push(self, visit, repo, request);
        if let Some(next) = &mut outcome.next {
            let mut counts = lock(&self.counts);
            let count = counts.entry(repo.manifest.repo_id.clone()).or_default();
            *count += 1;
            if count.is_multiple_of(32) {
                next.envelope.ciphertext.clone_from(&repo.envelope.ciphertext);
                next.envelope.iv.clone_from(&repo.envelope.iv);
            }
        }
        outcome
    }
}

#[derive(Default)]
struct EnvelopesByBeginning {
    known: Mutex<HashMap<String, String>>,
}

impl VaultRules for EnvelopesByBeginning {
    fn push(&self, visit: &Visit, repo: &Repo, request: &PushRequest) -> Decision<PushResponse> {
        let mut outcome = operations::push(self, visit, repo, request);
        let beginning = request.envelope.ciphertext.get(..4096);
        if let (Some(next), Some(beginning)) = (&mut outcome.next, beginning) {
            let mut known = lock(&self.known);
            let first = known.entry(beginning.to_owned()).or_insert_with(|| request.envelope.ciphertext.clone());
            next.envelope.ciphertext.clone_from(first);
        }
        outcome
    }
}
