//! Gates and rosters that go by what one operation has written last, and not by what there is (SPEC §10, §6).

use std::collections::HashMap;
use std::sync::Mutex;

use super::table::*;
use super::tools::lock;
use crate::server::operations;
use crate::server::refusal::Refusal;
use crate::server::repo::{Decision, Repo, Success, VaultCommand, Visit};
use crate::server::route::Route;
use crate::server::rules::VaultRules;
use crate::wire::{MemberAddRequest, MemberRemoveRequest, PushRequest, PushResponse, VaultManifest};

/// An operation that goes by what some operations have left of a repository, and not by what there is.
struct Remembered {
    /// Who goes by it: removals, additions, or pushes whose expectation holds.
    at: Route,
    /// Whose writes are remembered, besides those of creations.
    by: &'static [Route],
    /// What is read of it.
    read: fn(&mut Repo, &Repo),
    last: Mutex<HashMap<String, Repo>>,
}

fn remembered(at: Route, by: &'static [Route], read: fn(&mut Repo, &Repo)) -> Remembered {
    Remembered { at, by, read, last: Mutex::default() }
}

impl Remembered {
    /// The repository as an operation takes it for.
    fn seen_at(&self, route: Route, repo: &Repo) -> Repo {
        let mut seen = repo.clone();
        if let Some(last) = lock(&self.last).get(&repo.manifest.repo_id).filter(|_| route == self.at) {
            (self.read)(&mut seen, last);
        }
        seen
    }
}

impl VaultRules for Remembered {
    fn stored(&self, route: Route, _: Option<&Repo>, next: Repo) -> Repo {
        if route == Route::CreateRepo || self.by.contains(&route) {
            lock(&self.last).insert(next.manifest.repo_id.clone(), next.clone());
        }
        next
    }

    fn push(&self, visit: &Visit, repo: &Repo, request: &PushRequest) -> Decision<PushResponse> {
        if request.expected_payload_version != repo.manifest.payload_version {
            return operations::push(self, visit, repo, request);
        }
        let seen = self.seen_at(Route::Push, repo);
        let request = PushRequest { expected_payload_version: seen.manifest.payload_version, ..request.clone() };
        operations::push(self, visit, &seen, &request)
    }

    fn added_epoch_holds(&self, entry_epoch: i64, current: i64) -> bool {
        self.at == Route::AddMember || entry_epoch == current
    }

    fn add(&self, visit: &Visit, repo: &Repo, request: &MemberAddRequest) -> Decision<VaultManifest> {
        operations::add(self, visit, &self.seen_at(Route::AddMember, repo), request)
    }

    fn remove(&self, visit: &Visit, repo: &Repo, request: &MemberRemoveRequest) -> Decision<VaultManifest> {
        operations::remove(self, visit, &self.seen_at(Route::RemoveMember, repo), request)
    }
}

fn version(seen: &mut Repo, last: &Repo) {
    seen.manifest.payload_version = last.manifest.payload_version;
}

fn epoch(seen: &mut Repo, last: &Repo) {
    seen.manifest.key_epoch = last.manifest.key_epoch;
}

fn roster(seen: &mut Repo, last: &Repo) {
    seen.manifest.members.clone_from(&last.manifest.members);
}

/// The repository has the epoch of whoever came last.
struct Follows;

impl VaultRules for Follows {
    fn added_epoch_holds(&self, _: i64, _: i64) -> bool {
        true
    }

    fn stored(&self, route: Route, _: Option<&Repo>, mut next: Repo) -> Repo {
        if let (Route::AddMember, Some(last)) = (route, next.manifest.members.last()) {
            next.manifest.key_epoch = next.manifest.key_epoch.max(last.key_epoch);
        }
        next
    }
}

/// Removals go by the epoch of an entry; a push without a roster raises that of the repository, and no entry's.
struct AboveEntry {
    /// The caller's entry, or that of who is removed.
    callers: bool,
}

impl VaultRules for AboveEntry {
    fn push_epoch_holds(&self, epoch: i64, current: i64, _: bool) -> bool {
        epoch >= current
    }

    fn added_epoch_holds(&self, _: i64, _: i64) -> bool {
        true
    }

    fn remove(&self, visit: &Visit, repo: &Repo, request: &MemberRemoveRequest) -> Decision<VaultManifest> {
        let mut seen = repo.clone();
        let whose = if self.callers { &visit.caller } else { &request.removed_member_id };
        if let Some(entry) = repo.manifest.member(whose) {
            seen.manifest.key_epoch = entry.key_epoch;
        }
        operations::remove(self, visit, &seen, request)
    }
}

/// A conflict tells the epoch that the last push had.
#[derive(Default)]
struct LastPushed(Mutex<HashMap<String, i64>>);

impl VaultRules for LastPushed {
    fn stored(&self, route: Route, _: Option<&Repo>, next: Repo) -> Repo {
        if route == Route::Push {
            lock(&self.0).insert(next.manifest.repo_id.clone(), next.manifest.key_epoch);
        }
        next
    }

    fn conflict(&self, repo: &Repo, _: &PushRequest) -> PushResponse {
        let epoch = lock(&self.0).get(&repo.manifest.repo_id).copied();
        let answer = operations::push_answer(repo, false);
        PushResponse { key_epoch: epoch.unwrap_or(answer.key_epoch), ..answer }
    }
}

/// A push is held to the state before anybody asks who pushes.
struct LooksFirst;

impl VaultRules for LooksFirst {
    fn transition(&self, visit: &Visit, state: Option<&Repo>) -> Decision<Success> {
        match (&visit.command, state) {
            (VaultCommand::Push(request), Some(repo))
                if request.envelope.payload_version <= repo.manifest.payload_version =>
            {
                Decision::refuse(Refusal::bad_request("the version is too low"))
            }
            _ => operations::transition(self, visit, state),
        }
    }
}

/// Another entry for a member is written to every row.
struct Everywhere;

impl VaultRules for Everywhere {
    fn add(&self, visit: &Visit, repo: &Repo, request: &MemberAddRequest) -> Decision<VaultManifest> {
        if repo.manifest.member(&request.member.ed25519_public_key).is_none() {
            return operations::add(self, visit, repo, request);
        }
        let mut next = repo.clone();
        for member in &mut next.manifest.members {
            member.wrapped_data_key.clone_from(&request.member.wrapped_data_key);
        }
        Decision::write(next.manifest.clone(), next)
    }
}

/// The faults of this area.
pub(super) const FAULTS: &[Fault] = &[
    fault(
        "strangers-push-tells-version",
        &STATUS_STRANGER,
        "A push of a version that isn't above the current one is 400, also to strangers.",
        || vault(LooksFirst),
    ),
    fault(
        "conflict-tells-epoch-of-last-push",
        &PUSH_CONFLICT,
        "A conflict tells the epoch that the last push had, also where a removal has raised it.",
        || vault(LastPushed::default()),
    ),
    fault(
        "second-addition-rewraps-everybody",
        &ADD_RECORDS,
        "An addMember for a member who is there gives everybody its wrapped key.",
        || vault(Everywhere),
    ),
    fault(
        "removal-epoch-above-callers-entry",
        &EPOCH_RISES,
        "A removal's epoch is compared with that of the caller's entry, which a push without a roster doesn't raise.",
        || vault(AboveEntry { callers: true }),
    ),
    fault(
        "removal-epoch-above-removed-entry",
        &EPOCH_RISES,
        "A removal's epoch is compared with that of the entry it removes, which a push without a roster doesn't raise.",
        || vault(AboveEntry { callers: false }),
    ),
    fault(
        "addition-raises-epoch-to-entrys",
        &ADD_RECORDS,
        "An entry of a later epoch takes the epoch of the repository with it.",
        || vault(Follows),
    ),
    fault(
        "removal-epoch-above-last-removal",
        &EPOCH_RISES,
        "A removal's epoch is compared with that of the last removal: a push in between may have raised it.",
        || vault(remembered(Route::RemoveMember, &[Route::RemoveMember], epoch)),
    ),
    fault(
        "removal-version-above-last-push",
        &VERSION_MONOTONIC,
        "A removal's version is compared with that of the last push, and not of another removal.",
        || vault(remembered(Route::RemoveMember, &[Route::Push], version)),
    ),
    fault(
        "push-version-above-last-push",
        &VERSION_MONOTONIC,
        "A push's version is compared with that of the last push, also where a removal has raised it.",
        || vault(remembered(Route::Push, &[Route::Push], version)),
    ),
    fault(
        "addition-keeps-epoch-of-last-addition",
        &ADD_RECORDS,
        "An addMember writes the epoch that the manifest had at the last addMember.",
        || vault(remembered(Route::AddMember, &[Route::AddMember], epoch)),
    ),
    fault(
        "addition-keeps-version-of-last-addition",
        &ADD_RECORDS,
        "An addMember writes the version that the manifest had at the last addMember.",
        || vault(remembered(Route::AddMember, &[Route::AddMember], version)),
    ),
    fault(
        "addition-to-roster-before-rotation",
        &PUSH_ROTATES,
        "An addMember adds to a roster that no push has renewed.",
        || vault(remembered(Route::AddMember, &[Route::AddMember, Route::RemoveMember], roster)),
    ),
];
