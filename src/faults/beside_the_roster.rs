//! What a refused write leaves beside the roster: rights of those whom it names, entries that fetchMemberKey serves (SPEC §6).

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;

use super::table::*;
use super::tools::{RepoMember, is_in, lock, repo_member};
use crate::server::operations;
use crate::server::repo::{Decision, Repo, VaultCommand, Visit};
use crate::server::rules::{VaultRules, conformant};
use crate::wire::{MemberAddRequest, MemberEntry, MemberRemoveRequest, PushRequest, PushResponse, VaultManifest};

/// Rights are looked up in a table of their own, which is written before a write is judged.
#[derive(Default)]
struct AccessTable {
    let_in: Mutex<HashSet<RepoMember>>,
}

impl AccessTable {
    fn write(&self, repo: &Repo, roster: &[MemberEntry]) {
        lock(&self.let_in).extend(roster.iter().map(|entry| repo_member(repo, &entry.ed25519_public_key)));
    }

    fn has(&self, visit: &Visit, repo: &Repo) -> bool {
        is_in(repo, &visit.caller) || lock(&self.let_in).contains(&repo_member(repo, &visit.caller))
    }
}

/// The faults of this area.
pub(super) const FAULTS: &[Fault] = &[
    fault(
        "conflicting-roster-gets-in",
        &PULL_MEMBERS_ONLY,
        "Whom the roster of a conflicting push names has the rights of a member from then on.",
        || vault(ConflictingRosterGetsIn::default()),
    ),
    fault(
        "refused-removal-lets-in",
        &PULL_MEMBERS_ONLY,
        "Whom the roster of a refused removal names has the rights of a member from then on.",
        || vault(RefusedRemovalLetsIn::default()),
    ),
    fault(
        "conflicting-entries-are-fetched",
        &FETCH_ENTRY,
        "fetchMemberKey serves the entries of the last rotating push, a conflicting one too.",
        || vault(ConflictingEntriesAreFetched::default()),
    ),
    fault(
        "known-member-opens-addition",
        &ADD_MEMBERS_ONLY,
        "An addMember of who is a member already is answered with the manifest before its author is looked at.",
        || vault(KnownMemberOpensAddition),
    ),
    fault(
        "same-envelope-opens-push",
        &PUSH_MEMBERS_ONLY,
        "A push of the envelope that is there is told to be accepted before its author is looked at.",
        || vault(SameEnvelopeOpensPush),
    ),
];

#[derive(Default)]
struct ConflictingRosterGetsIn {
    table: AccessTable,
}

impl VaultRules for ConflictingRosterGetsIn {
    fn push(&self, visit: &Visit, repo: &Repo, request: &PushRequest) -> Decision<PushResponse> {
        let outcome = operations::push(self, visit, repo, request);
        if outcome.answer.as_ref().is_ok_and(|answer| answer.conflict) {
            self.table.write(repo, request.rotated_members.as_deref().unwrap_or_default());
        }
        outcome
    }

    fn is_member(&self, visit: &Visit, repo: &Repo) -> bool {
        self.table.has(visit, repo)
    }
}

#[derive(Default)]
struct RefusedRemovalLetsIn {
    table: AccessTable,
}

impl VaultRules for RefusedRemovalLetsIn {
    fn remove(&self, visit: &Visit, repo: &Repo, request: &MemberRemoveRequest) -> Decision<VaultManifest> {
        let outcome = operations::remove(self, visit, repo, request);
        if outcome.answer.is_err() {
            self.table.write(repo, &request.rewrapped_members);
        }
        outcome
    }

    fn is_member(&self, visit: &Visit, repo: &Repo) -> bool {
        self.table.has(visit, repo)
    }
}

#[derive(Default)]
struct ConflictingEntriesAreFetched {
    entries: Mutex<HashMap<RepoMember, MemberEntry>>,
}

impl VaultRules for ConflictingEntriesAreFetched {
    fn push(&self, visit: &Visit, repo: &Repo, request: &PushRequest) -> Decision<PushResponse> {
        let outcome = operations::push(self, visit, repo, request);
        let mut entries = lock(&self.entries);
        if outcome.next.is_some() {
            entries.retain(|(id, _), _| *id != repo.manifest.repo_id);
        } else {
            let roster = request.rotated_members.iter().flatten();
            entries.extend(roster.map(|entry| (repo_member(repo, &entry.ed25519_public_key), entry.clone())));
        }
        outcome
    }

    fn fetch(&self, _: &Visit, repo: &Repo, member_id: &str) -> Decision<MemberEntry> {
        let mut outcome = conformant::fetch(repo, member_id);
        if let (Ok(served), Some(other)) = (&mut outcome.answer, lock(&self.entries).get(&repo_member(repo, member_id)))
        {
            served.clone_from(other);
        }
        outcome
    }
}

struct KnownMemberOpensAddition;

impl VaultRules for KnownMemberOpensAddition {
    fn is_member(&self, visit: &Visit, repo: &Repo) -> bool {
        let known = match &visit.command {
            VaultCommand::Add(request) => is_in(repo, &request.member.ed25519_public_key),
            _ => false,
        };
        known || is_in(repo, &visit.caller)
    }

    fn add(&self, visit: &Visit, repo: &Repo, request: &MemberAddRequest) -> Decision<VaultManifest> {
        if is_in(repo, &visit.caller) {
            return operations::add(self, visit, repo, request);
        }
        Decision::read(repo.manifest.clone())
    }
}

struct SameEnvelopeOpensPush;

impl VaultRules for SameEnvelopeOpensPush {
    fn is_member(&self, visit: &Visit, repo: &Repo) -> bool {
        let same = match &visit.command {
            VaultCommand::Push(request) => request.envelope.ciphertext == repo.envelope.ciphertext,
            _ => false,
        };
        same || is_in(repo, &visit.caller)
    }

    fn push(&self, visit: &Visit, repo: &Repo, request: &PushRequest) -> Decision<PushResponse> {
        if is_in(repo, &visit.caller) {
            return operations::push(self, visit, repo, request);
        }
        Decision::read(operations::push_answer(repo, false))
    }
}
