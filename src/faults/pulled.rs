//! pull that gives something else than what is there (SPEC §6).

use std::collections::HashMap;
use std::sync::Mutex;

use super::pull::changed;
use super::table::*;
use super::tools::lock;
use crate::server::operations;
use crate::server::repo::{Decision, Repo, Success, VaultCommand, Visit};
use crate::server::route::Route;
use crate::server::rules::VaultRules;
use crate::wire::{EncryptedEnvelope, PullRequest, PullResponse, VaultManifest, WrappedKey};

/// The faults of this area.
pub(super) const FAULTS: &[Fault] = &[
    fault("pull-never-envelope", &PULL_CURRENT, "The envelope is left out of every answer.", || {
        vault(PullNeverEnvelope)
    }),
    fault("pull-first-envelope", &PULL_CURRENT, "The envelope is always the first one.", || {
        vault(PullFirstEnvelope::default())
    }),
    fault(
        "pull-previous-envelope",
        &PULL_CURRENT,
        "The envelope is the one before the current one, by an index that is off by one.",
        || vault(PullPreviousEnvelope::default()),
    ),
    fault("pull-cached", &READ_YOUR_WRITES, "What a repository's first pull gave is what every pull gives.", || {
        vault(PullCached::default())
    }),
    fault(
        "pull-cached-until-push",
        &READ_YOUR_WRITES,
        "A cache of pulls is cleared by pushes, but not by addMember and removeMember.",
        || vault(PullCachedUntilPush::default()),
    ),
    fault("pull-cached-by-version", &READ_YOUR_WRITES, "Pulls are cached by caller and known version.", || {
        vault(PullCachedByVersion::default())
    }),
    fault(
        "pull-one-write-behind",
        &READ_YOUR_WRITES,
        "The first pull after a write goes to a replica that doesn't have it yet.",
        || vault(PullOneWriteBehind::default()),
    ),
    fault("pull-own-entry-only", &PULL_CURRENT, "The manifest of a pull has only the caller's entry.", || {
        vault(PullOwnEntryOnly)
    }),
    fault(
        "pull-without-own-entry",
        &PULL_CURRENT,
        "The manifest of a pull has everybody's entry but the caller's, once there are others.",
        || vault(PullWithoutOwnEntry),
    ),
    fault(
        "pull-last-member-missing",
        &PULL_CURRENT,
        "The manifest of a pull stops short of the last member, once there are several.",
        || vault(PullLastMemberMissing),
    ),
    fault(
        "pull-stale-roster",
        &PULL_CURRENT,
        "The manifest of a pull has the roster of the repository's creation.",
        || vault(PullStaleRoster::default()),
    ),
    fault(
        "wrapped-keys-by-member-alone",
        &STORED_VERBATIM,
        "Wrapped keys are kept by member id alone: pull gives the one that was written last, for whichever repository.",
        || vault(WrappedKeysByMemberAlone::default()),
    ),
    fault(
        "pull-envelope-of-other-repo",
        &PULL_CURRENT,
        "The envelope is the one that was written last, to whichever repository.",
        || vault(PullEnvelopeOfOtherRepo::default()),
    ),
];

struct PullNeverEnvelope;

impl VaultRules for PullNeverEnvelope {
    fn pull(&self, visit: &Visit, repo: &Repo, request: &PullRequest) -> Decision<PullResponse> {
        changed(self, visit, repo, request, |answer| answer.envelope = None)
    }
}

#[derive(Default)]
struct PullFirstEnvelope {
    first: Mutex<HashMap<String, EncryptedEnvelope>>,
}

impl VaultRules for PullFirstEnvelope {
    fn stored(&self, _: Route, _: Option<&Repo>, next: Repo) -> Repo {
        lock(&self.first).entry(next.manifest.repo_id.clone()).or_insert_with(|| next.envelope.clone());
        next
    }

    fn pull(&self, visit: &Visit, repo: &Repo, request: &PullRequest) -> Decision<PullResponse> {
        let first = lock(&self.first).get(&repo.manifest.repo_id).cloned();
        changed(self, visit, repo, request, |answer| {
            answer.envelope = answer.envelope.take().map(|envelope| first.unwrap_or(envelope));
        })
    }
}

#[derive(Default)]
struct PullPreviousEnvelope {
    previous: Mutex<HashMap<String, EncryptedEnvelope>>,
}

impl VaultRules for PullPreviousEnvelope {
    fn stored(&self, _: Route, before: Option<&Repo>, next: Repo) -> Repo {
        if let Some(before) = before.filter(|before| before.envelope != next.envelope) {
            lock(&self.previous).insert(next.manifest.repo_id.clone(), before.envelope.clone());
        }
        next
    }

    fn pull(&self, visit: &Visit, repo: &Repo, request: &PullRequest) -> Decision<PullResponse> {
        let previous = lock(&self.previous).get(&repo.manifest.repo_id).cloned();
        changed(self, visit, repo, request, |answer| {
            answer.envelope = answer.envelope.take().map(|envelope| previous.unwrap_or(envelope));
        })
    }
}

#[derive(Default)]
struct PullCached {
    cache: Mutex<HashMap<String, Repo>>,
}

impl VaultRules for PullCached {
    fn loaded(&self, route: Route, repo: Repo) -> Repo {
        if route != Route::Pull {
            return repo;
        }
        lock(&self.cache).entry(repo.manifest.repo_id.clone()).or_insert(repo).clone()
    }
}

#[derive(Default)]
struct PullCachedUntilPush {
    cache: Mutex<HashMap<String, Repo>>,
}

impl VaultRules for PullCachedUntilPush {
    fn loaded(&self, route: Route, repo: Repo) -> Repo {
        if route != Route::Pull {
            return repo;
        }
        lock(&self.cache).entry(repo.manifest.repo_id.clone()).or_insert(repo).clone()
    }

    fn stored(&self, route: Route, _: Option<&Repo>, next: Repo) -> Repo {
        if route == Route::Push {
            lock(&self.cache).remove(&next.manifest.repo_id);
        }
        next
    }
}

#[derive(Default)]
struct PullCachedByVersion {
    cache: Mutex<HashMap<(String, String, i64), Success>>,
}

impl VaultRules for PullCachedByVersion {
    fn transition(&self, visit: &Visit, state: Option<&Repo>) -> Decision<Success> {
        let outcome = operations::transition(self, visit, state);
        let (VaultCommand::Pull(request), Ok(answer)) = (&visit.command, &outcome.answer) else { return outcome };
        let key = (visit.repo_id.clone(), visit.caller.clone(), request.known_payload_version);
        Decision::read(lock(&self.cache).entry(key).or_insert_with(|| answer.clone()).clone())
    }
}

#[derive(Default)]
struct PullOneWriteBehind {
    behind: Mutex<HashMap<String, Repo>>,
}

impl VaultRules for PullOneWriteBehind {
    fn stored(&self, _: Route, before: Option<&Repo>, next: Repo) -> Repo {
        if let Some(before) = before {
            lock(&self.behind).insert(next.manifest.repo_id.clone(), before.clone());
        }
        next
    }

    fn loaded(&self, route: Route, repo: Repo) -> Repo {
        if route != Route::Pull {
            return repo;
        }
        lock(&self.behind).remove(&repo.manifest.repo_id).unwrap_or(repo)
    }
}

struct PullOwnEntryOnly;

impl VaultRules for PullOwnEntryOnly {
    fn manifest_served(&self, visit: &Visit, repo: &Repo) -> VaultManifest {
        let mut manifest = repo.manifest.clone();
        if visit.route == Route::Pull {
            manifest.members.retain(|entry| entry.ed25519_public_key == visit.caller);
        }
        manifest
    }
}

struct PullWithoutOwnEntry;

impl VaultRules for PullWithoutOwnEntry {
    fn manifest_served(&self, visit: &Visit, repo: &Repo) -> VaultManifest {
        let mut manifest = repo.manifest.clone();
        if visit.route == Route::Pull && manifest.members.len() > 1 {
            manifest.members.retain(|entry| entry.ed25519_public_key != visit.caller);
        }
        manifest
    }
}

struct PullLastMemberMissing;

impl VaultRules for PullLastMemberMissing {
    fn manifest_served(&self, visit: &Visit, repo: &Repo) -> VaultManifest {
        let mut manifest = repo.manifest.clone();
        if visit.route == Route::Pull && manifest.members.len() > 1 {
            manifest.members.pop();
        }
        manifest
    }
}

#[derive(Default)]
struct PullStaleRoster {
    first: Mutex<HashMap<String, VaultManifest>>,
}

impl VaultRules for PullStaleRoster {
    fn stored(&self, _: Route, _: Option<&Repo>, next: Repo) -> Repo {
        lock(&self.first).entry(next.manifest.repo_id.clone()).or_insert_with(|| next.manifest.clone());
        next
    }

    fn manifest_served(&self, visit: &Visit, repo: &Repo) -> VaultManifest {
        let mut manifest = repo.manifest.clone();
        if let Some(first) = lock(&self.first).get(&manifest.repo_id).filter(|_| visit.route == Route::Pull) {
            manifest.members.clone_from(&first.members);
        }
        manifest
    }
}

#[derive(Default)]
struct WrappedKeysByMemberAlone {
    last: Mutex<HashMap<String, WrappedKey>>,
}

impl VaultRules for WrappedKeysByMemberAlone {
    fn stored(&self, _: Route, _: Option<&Repo>, next: Repo) -> Repo {
        let written = next.manifest.members.iter();
        lock(&self.last)
            .extend(written.map(|entry| (entry.ed25519_public_key.clone(), entry.wrapped_data_key.clone())));
        next
    }

    fn pull(&self, visit: &Visit, repo: &Repo, request: &PullRequest) -> Decision<PullResponse> {
        changed(self, visit, repo, request, |answer| {
            for entry in &mut answer.manifest.members {
                if let Some(last) = lock(&self.last).get(&entry.ed25519_public_key) {
                    entry.wrapped_data_key = last.clone();
                }
            }
        })
    }
}

#[derive(Default)]
struct PullEnvelopeOfOtherRepo {
    last: Mutex<Option<EncryptedEnvelope>>,
}

impl VaultRules for PullEnvelopeOfOtherRepo {
    fn stored(&self, _: Route, _: Option<&Repo>, next: Repo) -> Repo {
        *lock(&self.last) = Some(next.envelope.clone());
        next
    }

    fn pull(&self, visit: &Visit, repo: &Repo, request: &PullRequest) -> Decision<PullResponse> {
        let last = lock(&self.last).clone();
        changed(self, visit, repo, request, |answer| {
            answer.envelope = answer.envelope.take().map(|envelope| last.unwrap_or(envelope));
        })
    }
}
