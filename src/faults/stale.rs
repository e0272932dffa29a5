//! Gates and rosters that go by what one operation has written last, and not by what there is (SPEC §10, §6).

use std::collections::HashMap;
use std::sync::Mutex;

use super::tools::lock;
use crate::server::operations;
use crate::server::repo::{Outcome, Repo, Visit};
use crate::server::route::Route;
use crate::server::rules::VaultRules;
use crate::wire::{MemberAddRequest, MemberRemoveRequest, PushRequest, PushResponse, VaultManifest};

/// What some operations have left of each repository, and which of them go by it.
struct Remembered {
    by: &'static [Route],
    read: fn(&mut Repo, &Repo),
    last: Mutex<HashMap<String, Repo>>,
}

impl Remembered {
    /// The repository as the operation takes it for.
    fn taken_for(&self, repo: &Repo) -> Repo {
        let mut seen = repo.clone();
        if let Some(last) = lock(&self.last).get(&repo.manifest.repo_id) {
            (self.read)(&mut seen, last);
        }
        seen
    }

    fn note(&self, route: Route, next: &Repo) {
        if route == Route::CreateRepo || self.by.contains(&route) {
            lock(&self.last).insert(next.manifest.repo_id.clone(), next.clone());
        }
    }
}

/// Removals look at what is remembered.
struct Removals(Remembered);

shared!(Removals: vault);

impl VaultRules for Removals {
    fn stored(&self, route: Route, _: Option<&Repo>, next: Repo) -> Repo {
        self.0.note(route, &next);
        next
    }

    fn remove(&self, visit: &Visit, repo: &Repo, request: &MemberRemoveRequest) -> Outcome<VaultManifest> {
        operations::remove(self, visit, &self.0.taken_for(repo), request)
    }
}

/// Pushes look at it, once their expectation holds.
struct Pushes(Remembered);

shared!(Pushes: vault);

impl VaultRules for Pushes {
    fn stored(&self, route: Route, _: Option<&Repo>, next: Repo) -> Repo {
        self.0.note(route, &next);
        next
    }

    fn push(&self, visit: &Visit, repo: &Repo, request: &PushRequest) -> Outcome<PushResponse> {
        if request.expected_payload_version != repo.manifest.payload_version {
            return operations::push(self, visit, repo, request);
        }
        let seen = self.0.taken_for(repo);
        let request = PushRequest { expected_payload_version: seen.manifest.payload_version, ..request.clone() };
        operations::push(self, visit, &seen, &request)
    }
}

/// Additions write it back.
struct Additions(Remembered);

shared!(Additions: vault);

impl VaultRules for Additions {
    fn stored(&self, route: Route, _: Option<&Repo>, next: Repo) -> Repo {
        self.0.note(route, &next);
        next
    }

    fn added_epoch_holds(&self, _: i64, _: i64) -> bool {
        true
    }

    fn add(&self, visit: &Visit, repo: &Repo, request: &MemberAddRequest) -> Outcome<VaultManifest> {
        operations::add(self, visit, &self.0.taken_for(repo), request)
    }
}

fn remembered(by: &'static [Route], read: fn(&mut Repo, &Repo)) -> Remembered {
    Remembered { by, read, last: Mutex::default() }
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

faults! {
    "addition-raises-epoch-to-entrys" breaks ADD_RECORDS: "An entry of a later epoch takes the epoch of the repository with it." => { is Follows }
    "removal-epoch-above-last-removal" breaks EPOCH_RISES: "A removal's epoch is compared with that of the last removal: a push in between may have raised it." => {
        is Removals(remembered(&[Route::RemoveMember], epoch))
    }
    "removal-version-above-last-push" breaks VERSION_MONOTONIC: "A removal's version is compared with that of the last push, and not of another removal." => {
        is Removals(remembered(&[Route::Push], version))
    }
    "push-version-above-last-push" breaks VERSION_MONOTONIC: "A push's version is compared with that of the last push, also where a removal has raised it." => {
        is Pushes(remembered(&[Route::Push], version))
    }
    "addition-keeps-epoch-of-last-addition" breaks ADD_RECORDS: "An addMember writes the epoch that the manifest had at the last addMember." => {
        is Additions(remembered(&[Route::AddMember], epoch))
    }
    "addition-keeps-version-of-last-addition" breaks ADD_RECORDS: "An addMember writes the version that the manifest had at the last addMember." => {
        is Additions(remembered(&[Route::AddMember], version))
    }
    "addition-to-roster-before-rotation" breaks PUSH_ROTATES: "An addMember adds to a roster that no push has renewed." => {
        is Additions(remembered(&[Route::AddMember, Route::RemoveMember], roster))
    }
}
