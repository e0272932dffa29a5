//! What is kept beside the manifest – rights, ids, snapshots, the counters that conflicts tell – and follows some writes and not others
//! (SPEC §6, §8, §10).

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::table::*;
use super::tools::lock;
use crate::server::operations;
use crate::server::refusal::Refusal;
use crate::server::repo::{Decision, Repo, Success, VaultCommand, Visit};
use crate::server::route::Route;
use crate::server::rules::VaultRules;
use crate::wire::{EncryptedEnvelope, PushRequest, PushResponse};

/// The faults of this area.
pub(super) const FAULTS: &[Fault] = &[
    fault("duplicate-by-scheme", &CREATE_DUPLICATE, "Ids are taken together with their schemeId.", || {
        vault(DuplicateByScheme)
    }),
    fault(
        "duplicate-after-many-pushes",
        &CREATE_DUPLICATE,
        "Ids are looked up among versions, of which the first goes when there are more than ten.",
        || vault(DuplicateAfterManyPushes),
    ),
    fault(
        "only-last-four-are-revoked",
        &REMOVE_REVOKES,
        "Of those who left a repository the last four are known; who left before them still gets in.",
        || vault(OnlyLastFourAreRevoked::default()),
    ),
    fault(
        "sixteenth-version-comes-back",
        &VERSION_MONOTONIC,
        "Every sixteenth version is a snapshot, and an addMember stores the last one.",
        || vault(SnapshotComesBack::default()),
    ),
    fault(
        "return-restores-all-rights",
        &REMOVE_REVOKES,
        "Whoever is added again is taken off the list of those who left, which takes off everybody.",
        || vault(Tombs { cleared_by: Route::AddMember, gone: Mutex::default() }),
    ),
    fault(
        "rotation-restores-all-rights",
        &REMOVE_REVOKES,
        "A rotating push makes the list of rights anew from all who ever had one.",
        || vault(Tombs { cleared_by: Route::Push, gone: Mutex::default() }),
    ),
    fault(
        "conflict-restores-all-rights",
        &REMOVE_REVOKES,
        "A conflict loads the rights anew from all who ever had one.",
        || vault(ConflictRestoresRights::default()),
    ),
    fault(
        "third-writer-may-lag",
        &PUSH_GATED,
        "A member who is the third to push may expect the version before the current one.",
        || vault(ThirdWriterMayLag::default()),
    ),
    fault(
        "conflict-epoch-of-removal",
        &PUSH_CONFLICT,
        "After an addMember that follows a removal, conflicts tell the epoch before that removal.",
        || vault(ConflictEpochOfRemoval::default()),
    ),
    fault(
        "hundred-versions-back-is-nothing",
        &PULL_CURRENT,
        "Who knows a version more than a hundred behind the current one is told that it is unchanged.",
        || vault(HundredBack),
    ),
    fault(
        "envelopes-by-joined-key",
        &CREATE_IDS_EXACT,
        "Envelopes are kept under the repository's id and the version, with nothing between them.",
        || vault(EnvelopesByJoinedKey::default()),
    ),
    fault(
        "removal-finds-members-of-others",
        &STATUS_UNKNOWN,
        "removeMember asks whether somebody is a member of any repository.",
        || vault(RemovalFindsMembersOfOthers::default()),
    ),
    fault(
        "hurried-reads-find-nothing",
        &ANSWERED,
        "From the thirty-first read of a member in a second on, the answer is 404.",
        || vault(HurriedReadsFindNothing::default()),
    ),
];

struct DuplicateByScheme;

impl VaultRules for DuplicateByScheme {
    fn transition(&self, visit: &Visit, state: Option<&Repo>) -> Decision<Success> {
        let is_other = |repo: &&Repo| match &visit.command {
            VaultCommand::Create(request) => repo.manifest.scheme_id != request.manifest.scheme_id,
            _ => false,
        };
        operations::transition(self, visit, state.filter(|repo| !is_other(repo)))
    }
}

struct DuplicateAfterManyPushes;

impl VaultRules for DuplicateAfterManyPushes {
    fn transition(&self, visit: &Visit, state: Option<&Repo>) -> Decision<Success> {
        let is_cut =
            |repo: &&Repo| visit.route == Route::CreateRepo && (11..1000).contains(&repo.manifest.payload_version);
        operations::transition(self, visit, state.filter(|repo| !is_cut(repo)))
    }
}

#[derive(Default)]
struct OnlyLastFourAreRevoked {
    gone: Mutex<HashMap<String, Vec<String>>>,
}

impl VaultRules for OnlyLastFourAreRevoked {
    fn stored(&self, _: Route, before: Option<&Repo>, next: Repo) -> Repo {
        let members = before.iter().flat_map(|repo| &repo.manifest.members);
        let gone = members.map(|entry| &entry.ed25519_public_key).filter(|id| next.manifest.member(id).is_none());
        lock(&self.gone).entry(next.manifest.repo_id.clone()).or_default().extend(gone.cloned());
        next
    }

    fn is_member(&self, visit: &Visit, repo: &Repo) -> bool {
        let gone = lock(&self.gone);
        let gone = gone.get(&visit.repo_id).map_or(&[][..], Vec::as_slice);
        let was_one = gone.contains(&visit.caller);
        let is_known = gone.iter().rev().take(4).any(|id| *id == visit.caller);
        repo.manifest.member(&visit.caller).is_some() || was_one && !is_known
    }
}

#[derive(Default)]
struct SnapshotComesBack {
    pushes: Mutex<HashMap<String, usize>>,
    snapshots: Mutex<HashMap<String, Repo>>,
}

impl VaultRules for SnapshotComesBack {
    fn stored(&self, route: Route, _: Option<&Repo>, mut next: Repo) -> Repo {
        let id = next.manifest.repo_id.clone();
        match route {
            Route::Push => {
                let mut pushes = lock(&self.pushes);
                let count = pushes.entry(id.clone()).or_default();
                *count += 1;
                if count.is_multiple_of(16) {
                    lock(&self.snapshots).insert(id, next.clone());
                }
            }
            Route::AddMember => {
                if let Some(snapshot) = lock(&self.snapshots).get(&id) {
                    next.manifest.payload_version = snapshot.manifest.payload_version;
                    next.envelope = snapshot.envelope.clone();
                }
            }
            _ => {}
        }
        next
    }
}

/// Rights are all that was ever given, but for a list of those who have left, which some operation clears.
struct Tombs {
    cleared_by: Route,
    gone: Mutex<HashMap<String, (HashSet<String>, HashSet<String>)>>,
}

impl VaultRules for Tombs {
    fn stored(&self, route: Route, before: Option<&Repo>, next: Repo) -> Repo {
        let ids = |repo: &Repo| -> HashSet<String> {
            repo.manifest.members.iter().map(|entry| entry.ed25519_public_key.clone()).collect()
        };
        let (old, new) = (before.map(ids).unwrap_or_default(), ids(&next));
        let mut gone = lock(&self.gone);
        let (ever, tombs) = gone.entry(next.manifest.repo_id.clone()).or_default();
        let returns = new.difference(&old).any(|id| ever.contains(id));
        let is_same = old == new;
        ever.extend(new.iter().cloned());
        if route == self.cleared_by && (returns || route == Route::Push && is_same) {
            tombs.clear();
        }
        tombs.retain(|id| !new.contains(id));
        tombs.extend(old.difference(&new).cloned());
        next
    }

    fn is_member(&self, visit: &Visit, repo: &Repo) -> bool {
        let gone = lock(&self.gone);
        let was_one = gone
            .get(&visit.repo_id)
            .is_some_and(|(ever, tombs)| ever.contains(&visit.caller) && !tombs.contains(&visit.caller));
        was_one || repo.manifest.member(&visit.caller).is_some()
    }
}

#[derive(Default)]
struct RemovalFindsMembersOfOthers {
    members: Mutex<HashSet<String>>,
}

impl VaultRules for RemovalFindsMembersOfOthers {
    fn stored(&self, _: Route, _: Option<&Repo>, next: Repo) -> Repo {
        lock(&self.members).extend(next.manifest.members.iter().map(|entry| entry.ed25519_public_key.clone()));
        next
    }

    fn removal_is_of_member(&self, _: &Repo, removed: &str) -> bool {
        lock(&self.members).contains(removed)
    }
}

#[derive(Default)]
struct HurriedReadsFindNothing {
    reads: Mutex<HashMap<String, Vec<Instant>>>,
}

impl VaultRules for HurriedReadsFindNothing {
    fn transition(&self, visit: &Visit, state: Option<&Repo>) -> Decision<Success> {
        if !visit.route.writes() && state.is_some_and(|repo| repo.manifest.member(&visit.caller).is_some()) {
            let mut reads = lock(&self.reads);
            let reads = reads.entry(visit.caller.clone()).or_default();
            reads.retain(|read| read.elapsed() < Duration::from_secs(1));
            reads.push(Instant::now());
            if reads.len() > 30 {
                return Decision::refuse(Refusal::not_found("no such repository"));
            }
        }
        operations::transition(self, visit, state)
    }
}

#[derive(Default)]
struct ConflictRestoresRights {
    ever: Mutex<HashMap<String, HashSet<String>>>,
    restored: Mutex<HashMap<String, HashSet<String>>>,
}

impl VaultRules for ConflictRestoresRights {
    fn stored(&self, _: Route, before: Option<&Repo>, next: Repo) -> Repo {
        let id = next.manifest.repo_id.clone();
        let members = next.manifest.members.iter().chain(before.iter().flat_map(|repo| &repo.manifest.members));
        lock(&self.ever).entry(id).or_default().extend(members.map(|entry| entry.ed25519_public_key.clone()));
        next
    }

    fn conflict(&self, repo: &Repo, _: &PushRequest) -> PushResponse {
        let manifest = &repo.manifest;
        let ever = lock(&self.ever).get(&manifest.repo_id).cloned().unwrap_or_default();
        lock(&self.restored).insert(manifest.repo_id.clone(), ever);
        let (payload_version, key_epoch) = (manifest.payload_version, manifest.key_epoch);
        PushResponse { accepted: false, payload_version, key_epoch, conflict: true }
    }

    fn is_member(&self, visit: &Visit, repo: &Repo) -> bool {
        let is_restored = lock(&self.restored).get(&visit.repo_id).is_some_and(|ids| ids.contains(&visit.caller));
        is_restored || repo.manifest.member(&visit.caller).is_some()
    }
}

#[derive(Default)]
struct ThirdWriterMayLag {
    writers: Mutex<HashMap<String, Vec<String>>>,
}

impl VaultRules for ThirdWriterMayLag {
    fn push(&self, visit: &Visit, repo: &Repo, request: &PushRequest) -> Decision<PushResponse> {
        let mut request = request.clone();
        let mut writers = lock(&self.writers);
        let writers = writers.entry(visit.repo_id.clone()).or_default();
        if !writers.contains(&visit.caller) {
            writers.push(visit.caller.clone());
        }
        let current = repo.manifest.payload_version;
        if writers.get(2) == Some(&visit.caller) && request.expected_payload_version == current - 1 {
            request.expected_payload_version = current;
        }
        operations::push(self, visit, repo, &request)
    }
}

#[derive(Default)]
struct ConflictEpochOfRemoval {
    epochs: Mutex<HashMap<String, (Route, i64)>>,
}

impl VaultRules for ConflictEpochOfRemoval {
    fn stored(&self, route: Route, before: Option<&Repo>, next: Repo) -> Repo {
        let mut epochs = lock(&self.epochs);
        let old = before.map_or(0, |repo| repo.manifest.key_epoch);
        match epochs.get(&next.manifest.repo_id) {
            Some((Route::RemoveMember, epoch)) if route == Route::AddMember => {
                let kept = (route, *epoch);
                epochs.insert(next.manifest.repo_id.clone(), kept);
            }
            _ => drop(epochs.insert(next.manifest.repo_id.clone(), (route, old))),
        }
        next
    }

    fn conflict(&self, repo: &Repo, _: &PushRequest) -> PushResponse {
        let manifest = &repo.manifest;
        let key_epoch = match lock(&self.epochs).get(&manifest.repo_id) {
            Some((Route::AddMember, epoch)) => *epoch,
            _ => manifest.key_epoch,
        };
        PushResponse { accepted: false, payload_version: manifest.payload_version, key_epoch, conflict: true }
    }
}

struct HundredBack;

impl VaultRules for HundredBack {
    fn is_current(&self, known: i64, current: i64) -> bool {
        known == current || (1..current - 100).contains(&known)
    }
}

#[derive(Default)]
struct EnvelopesByJoinedKey {
    kept: Mutex<HashMap<String, EncryptedEnvelope>>,
}

impl VaultRules for EnvelopesByJoinedKey {
    fn loaded(&self, _: Route, mut repo: Repo) -> Repo {
        let key = format!("{}{}", repo.manifest.repo_id, repo.manifest.payload_version);
        repo.envelope = lock(&self.kept).entry(key).or_insert_with(|| repo.envelope.clone()).clone();
        repo
    }
}
