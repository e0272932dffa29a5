//! Members who come back, and rosters that name somebody anew (SPEC §3, §6).

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;

use super::table::*;
use super::tools::{RepoMember, is_in, lock, repo_member};
use crate::server::operations;
use crate::server::refusal::Refusal;
use crate::server::repo::{Decision, Repo, Success, VaultCommand, Visit};
use crate::server::route::Route;
use crate::server::rules::VaultRules;
use crate::wire::{MemberAddRequest, MemberEntry, PushRequest, VaultManifest};

pub fn ids(repo: &Repo) -> HashSet<&str> {
    repo.manifest.members.iter().map(|entry| entry.ed25519_public_key.as_str()).collect()
}

/// Grants are counted: an addition of a member makes another one, and a loss by some route takes one away.
struct Counted {
    by: Route,
    grants: Mutex<HashMap<RepoMember, usize>>,
}

fn counted(by: Route) -> Counted {
    Counted { by, grants: Mutex::default() }
}

impl VaultRules for Counted {
    fn add(&self, visit: &Visit, repo: &Repo, request: &MemberAddRequest) -> Decision<VaultManifest> {
        let outcome = operations::add(self, visit, repo, request);
        if outcome.answer.is_ok() {
            *lock(&self.grants).entry(repo_member(repo, &request.member.ed25519_public_key)).or_default() += 1;
        }
        outcome
    }

    fn stored(&self, route: Route, before: Option<&Repo>, next: Repo) -> Repo {
        let Some(before) = before else { return next };
        for gone in ids(before).difference(&ids(&next)) {
            let mut grants = lock(&self.grants);
            let left = grants.entry(repo_member(before, gone)).or_default();
            *left = if route == self.by { left.saturating_sub(1) } else { 0 };
        }
        next
    }

    fn is_member(&self, visit: &Visit, repo: &Repo) -> bool {
        let granted = || lock(&self.grants).get(&repo_member(repo, &visit.caller)).is_some_and(|grants| *grants > 0);
        is_in(repo, &visit.caller) || granted()
    }
}

/// Who was lost in one way stays lost, whatever brings him back.
struct Buried {
    lost: fn(&VaultCommand, &str) -> bool,
    back: &'static [Route],
    gone: Mutex<HashSet<RepoMember>>,
}

fn buried(lost: fn(&VaultCommand, &str) -> bool, back: &'static [Route]) -> Buried {
    Buried { lost, back, gone: Mutex::default() }
}

impl VaultRules for Buried {
    fn transition(&self, visit: &Visit, state: Option<&Repo>) -> Decision<Success> {
        let outcome = operations::transition(self, visit, state);
        if let (Some(before), Some(next)) = (state, &outcome.next) {
            let (old, new) = (ids(before), ids(next));
            let mut gone = lock(&self.gone);
            gone.extend(
                old.difference(&new).filter(|id| (self.lost)(&visit.command, id)).map(|id| repo_member(before, id)),
            );
            if !self.back.contains(&visit.route) {
                new.difference(&old).for_each(|id| {
                    gone.remove(&repo_member(before, id));
                });
            }
        }
        outcome
    }

    fn is_member(&self, visit: &Visit, repo: &Repo) -> bool {
        is_in(repo, &visit.caller) && !lock(&self.gone).contains(&repo_member(repo, &visit.caller))
    }
}

fn is_named(command: &VaultCommand, id: &str) -> bool {
    matches!(command, VaultCommand::Remove(request) if request.removed_member_id == id)
}

fn is_left_out(command: &VaultCommand, id: &str) -> bool {
    matches!(command, VaultCommand::Remove(request) if request.removed_member_id != id)
}

fn is_rotated_out(command: &VaultCommand, _: &str) -> bool {
    matches!(command, VaultCommand::Push(_))
}

/// One entry for each X25519 key: the last.
fn once_per_key(members: &[MemberEntry]) -> Vec<MemberEntry> {
    let later = |at: usize, key: &str| members[at + 1..].iter().any(|entry| entry.x25519_public_key == key);
    let kept = members.iter().enumerate().filter(|(at, entry)| !later(*at, &entry.x25519_public_key));
    kept.map(|(_, entry)| entry.clone()).collect()
}

/// The faults of this area.
pub(super) const FAULTS: &[Fault] = &[
    fault(
        "additions-counted",
        &REMOVE_REVOKES,
        "Grants are counted: who was added twice has to be removed twice.",
        || vault(counted(Route::RemoveMember)),
    ),
    fault(
        "additions-counted-at-push",
        &PUSH_ROTATES,
        "Grants are counted: who was added twice has to be left out by rotatedMembers twice.",
        || vault(counted(Route::Push)),
    ),
    fault(
        "removed-then-rotated-in-is-refused",
        &PUSH_ROTATES,
        "Who was removed stays refused if rotatedMembers brings him back.",
        || vault(buried(is_named, &[Route::Push])),
    ),
    fault(
        "rotated-out-then-added-is-refused",
        &ADD_RECORDS,
        "Who was left out by rotatedMembers stays refused when he is added again.",
        || vault(buried(is_rotated_out, &[Route::AddMember])),
    ),
    fault(
        "left-out-then-added-is-refused",
        &ADD_RECORDS,
        "Whom another's removal left out stays refused when he is added again.",
        || vault(buried(is_left_out, &[Route::AddMember])),
    ),
    fault(
        "rotated-out-then-rotated-in-is-refused",
        &PUSH_ROTATES,
        "Who was left out by rotatedMembers stays refused if rotatedMembers brings him back.",
        || vault(buried(is_rotated_out, &[Route::Push])),
    ),
    fault(
        "rotated-out-then-added-cannot-be-removed",
        &REMOVE_REVOKES,
        "Who was left out by rotatedMembers and added again isn't found when he is to be removed: 404.",
        || vault(RotatedOutThenAddedCannotBeRemoved::default()),
    ),
    fault(
        "rewrap-at-the-same-epoch-ignored",
        &PUSH_ROTATES,
        "rotatedMembers with the same ids at the same epoch is taken for no rotation.",
        || vault(RewrapAtTheSameEpochIgnored),
    ),
    fault(
        "x25519-key-once-in-rotated-members",
        &PUSH_ROTATES,
        "Of entries of rotatedMembers that share an X25519 key only the last is kept.",
        || vault(X25519KeyOnceInRotatedMembers),
    ),
    fault(
        "x25519-key-once-in-rewrapped-members",
        &REMOVE_REPLACES,
        "Of entries of rewrappedMembers that share an X25519 key only the last is kept.",
        || vault(X25519KeyOnceInRewrappedMembers),
    ),
    fault(
        "nobody-adds-without-the-creator",
        &ADD_ANY_MEMBER,
        "Once the creator is removed, nobody is there to approve an addMember: 403.",
        || vault(NobodyAddsWithoutTheCreator::default()),
    ),
];

#[derive(Default)]
struct RotatedOutThenAddedCannotBeRemoved {
    gone: Mutex<HashSet<RepoMember>>,
}

impl VaultRules for RotatedOutThenAddedCannotBeRemoved {
    fn stored(&self, route: Route, before: Option<&Repo>, next: Repo) -> Repo {
        if let (Route::Push, Some(before)) = (route, before) {
            lock(&self.gone).extend(ids(before).difference(&ids(&next)).map(|id| repo_member(before, id)));
        }
        next
    }

    fn removal_is_of_member(&self, repo: &Repo, removed: &str) -> bool {
        is_in(repo, removed) && !lock(&self.gone).contains(&repo_member(repo, removed))
    }
}

struct RewrapAtTheSameEpochIgnored;

impl VaultRules for RewrapAtTheSameEpochIgnored {
    fn pushed(&self, repo: &Repo, request: &PushRequest) -> Repo {
        let mut next = operations::pushed(repo, request);
        if next.manifest.key_epoch == repo.manifest.key_epoch && ids(&next) == ids(repo) {
            next.manifest.members.clone_from(&repo.manifest.members);
        }
        next
    }
}

struct X25519KeyOnceInRotatedMembers;

impl VaultRules for X25519KeyOnceInRotatedMembers {
    fn pushed(&self, repo: &Repo, request: &PushRequest) -> Repo {
        let mut next = operations::pushed(repo, request);
        if request.rotated_members.is_some() {
            next.manifest.members = once_per_key(&next.manifest.members);
        }
        next
    }
}

struct X25519KeyOnceInRewrappedMembers;

impl VaultRules for X25519KeyOnceInRewrappedMembers {
    fn removed(&self, repo: &Repo, request: &crate::wire::MemberRemoveRequest, digest: Vec<u8>) -> Repo {
        let mut next = operations::removed(repo, request, digest);
        next.manifest.members = once_per_key(&next.manifest.members);
        next
    }
}

#[derive(Default)]
struct NobodyAddsWithoutTheCreator {
    creators: Mutex<HashMap<String, String>>,
}

impl VaultRules for NobodyAddsWithoutTheCreator {
    fn stored(&self, route: Route, _: Option<&Repo>, next: Repo) -> Repo {
        if let (Route::CreateRepo, [creator]) = (route, next.manifest.members.as_slice()) {
            lock(&self.creators).insert(next.manifest.repo_id.clone(), creator.ed25519_public_key.clone());
        }
        next
    }

    fn add(&self, visit: &Visit, repo: &Repo, request: &MemberAddRequest) -> Decision<VaultManifest> {
        let creator = lock(&self.creators).get(&repo.manifest.repo_id).cloned();
        if creator.is_some_and(|creator| !is_in(repo, &creator)) {
            return Decision::refuse(Refusal::forbidden("no owner to approve"));
        }
        operations::add(self, visit, repo, request)
    }
}
