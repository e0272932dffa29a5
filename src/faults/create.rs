//! createRepo that takes what it shouldn't, or keeps what it refused (SPEC §6).

use std::collections::HashSet;
use std::sync::Mutex;

use axum::http::StatusCode;

use super::table::*;
use super::tools::{is_in, is_refused, lock, refuse_and};
use crate::server::operations;
use crate::server::refusal::Refusal;
use crate::server::repo::{Decision, Repo, Visit};
use crate::server::rules::VaultRules;
use crate::wire::{CreateRepoRequest, MemberEntry, VaultManifest};

fn ids(members: &[MemberEntry]) -> impl Iterator<Item = &str> {
    members.iter().map(|entry| entry.ed25519_public_key.as_str())
}

/// Creates over whatever is there.
fn overwrite(request: &CreateRepoRequest) -> Decision<VaultManifest> {
    Decision::write(request.manifest.clone(), operations::fresh(request))
}

fn is_alone(members: &[MemberEntry], caller: &str) -> bool {
    matches!(members, [only] if only.ed25519_public_key == caller)
}

/// The faults of this area.
pub(super) const FAULTS: &[Fault] = &[
    fault(
        "plus-is-a-blank-in-the-caller",
        &NO_ACCOUNT,
        "A plus in the caller's id is read as a blank, so that he isn't the sole member.",
        || vault(PlusIsABlankInTheCaller),
    ),
    fault("some-keys-may-not-create", &CREATE_RETURNS, "Every second key may create no repository.", || {
        vault(SomeKeysMayNotCreate)
    }),
    fault("create-empty-roster", &CREATE_SOLE_MEMBER, "A repository without any member can be created.", || {
        vault(CreateEmptyRoster)
    }),
    fault("create-among-others", &CREATE_SOLE_MEMBER, "It is enough that the caller is among the members.", || {
        vault(CreateAmongOthers)
    }),
    fault("create-first-of-several", &CREATE_SOLE_MEMBER, "Only the first member is compared with the caller.", || {
        vault(CreateFirstOfSeveral)
    }),
    fault("create-last-of-several", &CREATE_SOLE_MEMBER, "Only the last member is compared with the caller.", || {
        vault(CreateLastOfSeveral)
    }),
    fault(
        "create-for-somebody-else",
        &CREATE_SOLE_MEMBER,
        "The members are counted, but not compared with the caller.",
        || vault(CreateForSomebodyElse),
    ),
    fault("create-any-roster", &CREATE_SOLE_MEMBER, "The roster of a new repository isn't looked at.", || {
        vault(CreateAnyRoster)
    }),
    fault(
        "create-takes-first-only",
        &CREATE_SOLE_MEMBER,
        "A roster of several is accepted, and cut down to the caller in silence.",
        || vault(CreateTakesFirstOnly),
    ),
    fault(
        "create-stored-then-refused",
        &CREATE_SOLE_MEMBER,
        "A creation is stored before its roster is checked.",
        || vault(CreateStoredThenRefused),
    ),
    fault(
        "create-refused-takes-id",
        &CREATE_SOLE_MEMBER,
        "The id of a refused creation can't be used any more.",
        || vault(CreateRefusedTakesId::default()),
    ),
    fault("duplicate-overwrites", &CREATE_DUPLICATE, "A second createRepo replaces the first repository.", || {
        vault(DuplicateOverwrites)
    }),
    fault(
        "duplicate-by-owner-overwrites",
        &CREATE_DUPLICATE,
        "A member may create the repository again, which replaces it.",
        || vault(DuplicateByOwnerOverwrites),
    ),
    fault(
        "duplicate-by-stranger-overwrites",
        &CREATE_DUPLICATE,
        "Ids are unique per owner only: a stranger's createRepo replaces the repository.",
        || vault(DuplicateByStrangerOverwrites),
    ),
    fault(
        "duplicate-is-ok",
        &CREATE_DUPLICATE,
        "A second createRepo by a member is answered with the first repository.",
        || vault(DuplicateIsOk),
    ),
    fault(
        "duplicate-ok-but-ignored",
        &CREATE_DUPLICATE,
        "A second createRepo is answered as if it had worked (INSERT OR IGNORE).",
        || vault(DuplicateOkButIgnored),
    ),
    fault(
        "duplicate-409-but-overwrites",
        &CREATE_DUPLICATE,
        "A second createRepo is refused after it has replaced the first.",
        || vault(Duplicate409ButOverwrites),
    ),
    fault(
        "duplicate-409-but-envelope",
        &CREATE_DUPLICATE,
        "A second createRepo is refused after its envelope was stored.",
        || vault(Duplicate409ButEnvelope),
    ),
    fault(
        "duplicate-409-but-joins",
        &CREATE_DUPLICATE,
        "A second createRepo by a stranger is refused, but makes him a member.",
        || vault(Duplicate409ButJoins),
    ),
    fault("duplicate-500", &CREATE_DUPLICATE, "The database refuses a duplicate, and nobody catches that.", || {
        vault(Duplicate500)
    }),
    fault("duplicate-is-400", &STATUS_DUPLICATE, "A duplicate id is answered with 400.", || vault(DuplicateIs400)),
];

struct PlusIsABlankInTheCaller;

impl VaultRules for PlusIsABlankInTheCaller {
    fn sole_member_is_caller(&self, members: &[MemberEntry], caller: &str) -> bool {
        !caller.contains('+') && is_alone(members, caller)
    }
}

struct SomeKeysMayNotCreate;

impl VaultRules for SomeKeysMayNotCreate {
    fn sole_member_is_caller(&self, members: &[MemberEntry], caller: &str) -> bool {
        !caller.as_bytes().first().is_some_and(|first| first.is_multiple_of(2)) && is_alone(members, caller)
    }
}

struct CreateEmptyRoster;

impl VaultRules for CreateEmptyRoster {
    fn sole_member_is_caller(&self, members: &[MemberEntry], caller: &str) -> bool {
        members.len() < 2 && ids(members).all(|id| id == caller)
    }

    fn creation_agrees(&self, _: &CreateRepoRequest) -> Result<(), Refusal> {
        Ok(())
    }
}

struct CreateAmongOthers;

impl VaultRules for CreateAmongOthers {
    fn sole_member_is_caller(&self, members: &[MemberEntry], caller: &str) -> bool {
        ids(members).any(|id| id == caller)
    }
}

struct CreateFirstOfSeveral;

impl VaultRules for CreateFirstOfSeveral {
    fn sole_member_is_caller(&self, members: &[MemberEntry], caller: &str) -> bool {
        ids(members).next() == Some(caller)
    }
}

struct CreateLastOfSeveral;

impl VaultRules for CreateLastOfSeveral {
    fn sole_member_is_caller(&self, members: &[MemberEntry], caller: &str) -> bool {
        ids(members).last() == Some(caller)
    }
}

struct CreateForSomebodyElse;

impl VaultRules for CreateForSomebodyElse {
    fn sole_member_is_caller(&self, members: &[MemberEntry], _: &str) -> bool {
        members.len() == 1
    }
}

struct CreateAnyRoster;

impl VaultRules for CreateAnyRoster {
    fn sole_member_is_caller(&self, _: &[MemberEntry], _: &str) -> bool {
        true
    }

    fn creation_agrees(&self, _: &CreateRepoRequest) -> Result<(), Refusal> {
        Ok(())
    }
}

struct CreateTakesFirstOnly;

impl VaultRules for CreateTakesFirstOnly {
    fn create(&self, visit: &Visit, existing: Option<&Repo>, request: &CreateRepoRequest) -> Decision<VaultManifest> {
        let mut request = request.clone();
        request.manifest.members.retain(|entry| entry.ed25519_public_key == visit.caller);
        operations::create(self, visit, existing, &request)
    }
}

struct CreateStoredThenRefused;

impl VaultRules for CreateStoredThenRefused {
    fn create(&self, visit: &Visit, existing: Option<&Repo>, request: &CreateRepoRequest) -> Decision<VaultManifest> {
        let outcome = operations::create(self, visit, existing, request);
        match outcome.answer {
            Err(refusal) if refusal.status == StatusCode::FORBIDDEN && existing.is_none() => {
                refuse_and(refusal, operations::fresh(request))
            }
            answer => Decision { answer, next: outcome.next },
        }
    }
}

#[derive(Default)]
struct CreateRefusedTakesId {
    burnt: Mutex<HashSet<String>>,
}

impl VaultRules for CreateRefusedTakesId {
    fn create(&self, visit: &Visit, existing: Option<&Repo>, request: &CreateRepoRequest) -> Decision<VaultManifest> {
        let id = &request.manifest.repo_id;
        if lock(&self.burnt).contains(id) {
            return Decision::refuse(Refusal::duplicate_repo());
        }
        let outcome = operations::create(self, visit, existing, request);
        if is_refused(&outcome, StatusCode::FORBIDDEN) && existing.is_none() {
            lock(&self.burnt).insert(id.clone());
        }
        outcome
    }
}

struct DuplicateOverwrites;

impl VaultRules for DuplicateOverwrites {
    fn create(&self, visit: &Visit, _: Option<&Repo>, request: &CreateRepoRequest) -> Decision<VaultManifest> {
        operations::create(self, visit, None, request)
    }
}

struct DuplicateByOwnerOverwrites;

impl VaultRules for DuplicateByOwnerOverwrites {
    fn create(&self, visit: &Visit, existing: Option<&Repo>, request: &CreateRepoRequest) -> Decision<VaultManifest> {
        let existing = existing.filter(|repo| !is_in(repo, &visit.caller));
        operations::create(self, visit, existing, request)
    }
}

struct DuplicateByStrangerOverwrites;

impl VaultRules for DuplicateByStrangerOverwrites {
    fn create(&self, visit: &Visit, existing: Option<&Repo>, request: &CreateRepoRequest) -> Decision<VaultManifest> {
        let existing = existing.filter(|repo| is_in(repo, &visit.caller));
        operations::create(self, visit, existing, request)
    }
}

struct DuplicateIsOk;

impl VaultRules for DuplicateIsOk {
    fn create(&self, visit: &Visit, existing: Option<&Repo>, request: &CreateRepoRequest) -> Decision<VaultManifest> {
        match existing.filter(|repo| is_in(repo, &visit.caller)) {
            Some(repo) => Decision::read(repo.manifest.clone()),
            None => operations::create(self, visit, existing, request),
        }
    }
}

struct DuplicateOkButIgnored;

impl VaultRules for DuplicateOkButIgnored {
    fn create(&self, visit: &Visit, existing: Option<&Repo>, request: &CreateRepoRequest) -> Decision<VaultManifest> {
        let outcome = operations::create(self, visit, None, request);
        Decision { next: outcome.next.filter(|_| existing.is_none()), ..outcome }
    }
}

struct Duplicate409ButOverwrites;

impl VaultRules for Duplicate409ButOverwrites {
    fn create(&self, visit: &Visit, existing: Option<&Repo>, request: &CreateRepoRequest) -> Decision<VaultManifest> {
        let outcome = operations::create(self, visit, existing, request);
        let next = if is_refused(&outcome, StatusCode::CONFLICT) { overwrite(request).next } else { outcome.next };
        Decision { answer: outcome.answer, next }
    }
}

struct Duplicate409ButEnvelope;

impl VaultRules for Duplicate409ButEnvelope {
    fn create(&self, visit: &Visit, existing: Option<&Repo>, request: &CreateRepoRequest) -> Decision<VaultManifest> {
        let outcome = operations::create(self, visit, existing, request);
        match (existing, outcome) {
            (Some(repo), Decision { answer: Err(refusal), .. }) if refusal.status == StatusCode::CONFLICT => {
                refuse_and(refusal, Repo { envelope: request.initial_envelope.clone(), ..repo.clone() })
            }
            (_, outcome) => outcome,
        }
    }
}

struct Duplicate409ButJoins;

impl VaultRules for Duplicate409ButJoins {
    fn create(&self, visit: &Visit, existing: Option<&Repo>, request: &CreateRepoRequest) -> Decision<VaultManifest> {
        let outcome = operations::create(self, visit, existing, request);
        match (existing, outcome) {
            (Some(repo), Decision { answer: Err(refusal), .. })
                if refusal.status == StatusCode::CONFLICT && !is_in(repo, &visit.caller) =>
            {
                let mut next = repo.clone();
                next.manifest.members.extend(request.manifest.members.iter().cloned());
                refuse_and(refusal, next)
            }
            (_, outcome) => outcome,
        }
    }
}

struct Duplicate500;

impl VaultRules for Duplicate500 {
    fn create(&self, visit: &Visit, existing: Option<&Repo>, request: &CreateRepoRequest) -> Decision<VaultManifest> {
        let outcome = operations::create(self, visit, existing, request);
        if is_refused(&outcome, StatusCode::CONFLICT) {
            return Decision::refuse(Refusal::internal("UNIQUE constraint failed: repos.id"));
        }
        outcome
    }
}

struct DuplicateIs400;

impl VaultRules for DuplicateIs400 {
    fn create(&self, visit: &Visit, existing: Option<&Repo>, request: &CreateRepoRequest) -> Decision<VaultManifest> {
        let outcome = operations::create(self, visit, existing, request);
        if is_refused(&outcome, StatusCode::CONFLICT) {
            return Decision::refuse(Refusal::bad_request("the repository exists"));
        }
        outcome
    }
}
