//! Gates and rosters that go by what one operation has written last, and not by what there is (SPEC §10, §6).

use std::collections::HashMap;
use std::sync::Mutex;

use super::tools::lock;
use crate::server::operations;
use crate::server::refusal::Refusal;
use crate::server::repo::{Answer, Call, Outcome, Repo, Visit};
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

shared!(Remembered: vault);

impl VaultRules for Remembered {
    fn stored(&self, route: Route, _: Option<&Repo>, next: Repo) -> Repo {
        if route == Route::CreateRepo || self.by.contains(&route) {
            lock(&self.last).insert(next.manifest.repo_id.clone(), next.clone());
        }
        next
    }

    fn push(&self, visit: &Visit, repo: &Repo, request: &PushRequest) -> Outcome<PushResponse> {
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

    fn add(&self, visit: &Visit, repo: &Repo, request: &MemberAddRequest) -> Outcome<VaultManifest> {
        operations::add(self, visit, &self.seen_at(Route::AddMember, repo), request)
    }

    fn remove(&self, visit: &Visit, repo: &Repo, request: &MemberRemoveRequest) -> Outcome<VaultManifest> {
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

shared!(Follows: vault);

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

shared!(AboveEntry: vault);

impl VaultRules for AboveEntry {
    fn push_epoch_holds(&self, epoch: i64, current: i64, _: bool) -> bool {
        epoch >= current
    }

    fn added_epoch_holds(&self, _: i64, _: i64) -> bool {
        true
    }

    fn remove(&self, visit: &Visit, repo: &Repo, request: &MemberRemoveRequest) -> Outcome<VaultManifest> {
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

shared!(LastPushed: vault);

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

shared!(LooksFirst: vault);

impl VaultRules for LooksFirst {
    fn transition(&self, visit: &Visit, state: Option<&Repo>) -> Outcome<Answer> {
        match (&visit.call, state) {
            (Call::Push(request), Some(repo)) if request.envelope.payload_version <= repo.manifest.payload_version => {
                Outcome::refuse(Refusal::bad_request("the version is too low"))
            }
            _ => operations::transition(self, visit, state),
        }
    }
}

/// Another entry for a member is written to every row.
struct Everywhere;

shared!(Everywhere: vault);

impl VaultRules for Everywhere {
    fn add(&self, visit: &Visit, repo: &Repo, request: &MemberAddRequest) -> Outcome<VaultManifest> {
        if repo.manifest.member(&request.member.ed25519_public_key).is_none() {
            return operations::add(self, visit, repo, request);
        }
        let mut next = repo.clone();
        for member in &mut next.manifest.members {
            member.wrapped_data_key.clone_from(&request.member.wrapped_data_key);
        }
        Outcome::write(next.manifest.clone(), next)
    }
}

faults! {
    "strangers-push-tells-version" breaks STATUS_STRANGER: "A push of a version that isn't above the current one is 400, also to strangers." => { is LooksFirst }
    "conflict-tells-epoch-of-last-push" breaks PUSH_CONFLICT: "A conflict tells the epoch that the last push had, also where a removal has raised it." => { is LastPushed::default() }
    "second-addition-rewraps-everybody" breaks ADD_RECORDS: "An addMember for a member who is there gives everybody its wrapped key." => { is Everywhere }
    "removal-epoch-above-callers-entry" breaks EPOCH_RISES: "A removal's epoch is compared with that of the caller's entry, which a push without a roster doesn't raise." => { is AboveEntry { callers: true } }
    "removal-epoch-above-removed-entry" breaks EPOCH_RISES: "A removal's epoch is compared with that of the entry it removes, which a push without a roster doesn't raise." => { is AboveEntry { callers: false } }
    "addition-raises-epoch-to-entrys" breaks ADD_RECORDS: "An entry of a later epoch takes the epoch of the repository with it." => { is Follows }
    "removal-epoch-above-last-removal" breaks EPOCH_RISES: "A removal's epoch is compared with that of the last removal: a push in between may have raised it." => {
        is remembered(Route::RemoveMember, &[Route::RemoveMember], epoch)
    }
    "removal-version-above-last-push" breaks VERSION_MONOTONIC: "A removal's version is compared with that of the last push, and not of another removal." => {
        is remembered(Route::RemoveMember, &[Route::Push], version)
    }
    "push-version-above-last-push" breaks VERSION_MONOTONIC: "A push's version is compared with that of the last push, also where a removal has raised it." => {
        is remembered(Route::Push, &[Route::Push], version)
    }
    "addition-keeps-epoch-of-last-addition" breaks ADD_RECORDS: "An addMember writes the epoch that the manifest had at the last addMember." => {
        is remembered(Route::AddMember, &[Route::AddMember], epoch)
    }
    "addition-keeps-version-of-last-addition" breaks ADD_RECORDS: "An addMember writes the version that the manifest had at the last addMember." => {
        is remembered(Route::AddMember, &[Route::AddMember], version)
    }
    "addition-to-roster-before-rotation" breaks PUSH_ROTATES: "An addMember adds to a roster that no push has renewed." => {
        is remembered(Route::AddMember, &[Route::AddMember, Route::RemoveMember], roster)
    }
}
