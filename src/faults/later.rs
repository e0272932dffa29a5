//! Right at once and wrong a moment later: background jobs, evictions, caches that lose what they should write (SPEC
//! §6, §10). The jobs work when somebody looks, which nobody can tell from a job that works by itself.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::table::*;
use super::tools::{is_in, lock};
use crate::server::operations;
use crate::server::refusal::Refusal;
use crate::server::repo::{Decision, Repo, Success, Visit};
use crate::server::route::Route;
use crate::server::rules::VaultRules;

/// Something that happened to a repository.
struct Event {
    at: Instant,
    route: Route,
    before: Option<Repo>,
}

/// A server that does something to a repository some time after its last write.
struct Job {
    after: Duration,
    /// The last write and the state that follows from the job, if there is one.
    work: fn(&Event, Repo) -> Repo,
    last: Mutex<HashMap<String, Event>>,
}

fn job(millis: u64, work: fn(&Event, Repo) -> Repo) -> Job {
    Job { after: Duration::from_millis(millis), work, last: Mutex::default() }
}

impl VaultRules for Job {
    fn stored(&self, route: Route, before: Option<&Repo>, next: Repo) -> Repo {
        let event = Event { at: Instant::now(), route, before: before.cloned() };
        lock(&self.last).insert(next.manifest.repo_id.clone(), event);
        next
    }

    fn loaded(&self, _: Route, repo: Repo) -> Repo {
        match lock(&self.last).get(&repo.manifest.repo_id) {
            Some(event) if event.at.elapsed() > self.after => (self.work)(event, repo),
            _ => repo,
        }
    }
}

fn undone(event: &Event, repo: Repo) -> Repo {
    event.before.clone().unwrap_or(repo)
}

/// Those who were in the roster before come back.
fn reunited(event: &Event, mut repo: Repo) -> Repo {
    for entry in event.before.iter().flat_map(|before| &before.manifest.members) {
        if !is_in(&repo, &entry.ed25519_public_key) {
            repo.manifest.members.push(entry.clone());
        }
    }
    repo
}

/// Repositories in the order of their creation or of their last use.
struct Evicting {
    room: usize,
    by_use: bool,
    order: Mutex<Vec<String>>,
}

impl VaultRules for Evicting {
    fn transition(&self, visit: &Visit, state: Option<&Repo>) -> Decision<Success> {
        let mut order = lock(&self.order);
        let known = order.iter().position(|id| *id == visit.repo_id);
        let there = order.iter().rev().take(self.room).any(|id| *id == visit.repo_id);
        if let Some(at) = known.filter(|_| self.by_use && there) {
            let id = order.remove(at);
            order.push(id);
        }
        if visit.route == Route::CreateRepo && known.is_none() {
            order.push(visit.repo_id.clone());
        }
        drop(order);
        if visit.route != Route::CreateRepo && state.is_some() && !there {
            return Decision::refuse(Refusal::not_found("no such repository"));
        }
        operations::transition(self, visit, state)
    }
}

/// The faults of this area.
pub(super) const FAULTS: &[Fault] = &[
    fault(
        "removed-member-comes-back",
        &REMOVE_REVOKES,
        "A job that mends rosters lets a removed member in again after a fifth of a second.",
        || vault(RemovedMemberComesBack::default()),
    ),
    fault(
        "removed-member-is-restored",
        &REMOVE_DROPS,
        "A job restores who is gone from a roster after a fifth of a second.",
        || vault(job(200, |event, repo| if event.route == Route::RemoveMember { reunited(event, repo) } else { repo })),
    ),
    fault(
        "rotated-out-member-is-restored",
        &PUSH_ROTATES,
        "A job restores whom a push has left out after a fifth of a second.",
        || vault(job(200, |event, repo| if event.route == Route::Push { reunited(event, repo) } else { repo })),
    ),
    fault(
        "last-push-is-lost",
        &READ_YOUR_WRITES,
        "A push is kept in memory, and forgotten after a fifth of a second.",
        || vault(job(200, |event, repo| if event.route == Route::Push { undone(event, repo) } else { repo })),
    ),
    fault(
        "last-removal-is-lost",
        &READ_YOUR_WRITES,
        "A removal is kept in memory, and forgotten after a fifth of a second.",
        || vault(job(200, |event, repo| if event.route == Route::RemoveMember { undone(event, repo) } else { repo })),
    ),
    fault(
        "last-addition-is-lost",
        &READ_YOUR_WRITES,
        "An addMember is kept in memory, and forgotten after a fifth of a second.",
        || vault(job(200, |event, repo| if event.route == Route::AddMember { undone(event, repo) } else { repo })),
    ),
    fault(
        "version-goes-back",
        &VERSION_MONOTONIC,
        "A replica that lags behind puts the version of the last push back after a fifth of a second.",
        || {
            vault(job(200, |event, mut repo| {
                if let Some(before) = event.before.as_ref().filter(|_| event.route == Route::Push) {
                    repo.manifest.payload_version = before.manifest.payload_version;
                }
                repo
            }))
        },
    ),
    fault("epoch-goes-back", &EPOCH_RISES, "A job puts the key epoch back after a fifth of a second.", || {
        vault(job(200, |event, mut repo| {
            if let Some(before) = &event.before {
                repo.manifest.key_epoch = before.manifest.key_epoch;
            }
            repo
        }))
    }),
    fault(
        "ciphertext-recompressed",
        &STORED_VERBATIM,
        "A job moves payloads elsewhere after a fifth of a second, and loses their last bytes.",
        || {
            vault(job(200, |_, mut repo| {
                let length = repo.envelope.ciphertext.len().saturating_sub(4);
                repo.envelope.ciphertext.truncate(length);
                repo
            }))
        },
    ),
    fault(
        "old-repositories-evicted",
        &READ_YOUR_WRITES,
        "Only the last 60 repositories that were created are kept.",
        || vault(Evicting { room: 60, by_use: false, order: Mutex::default() }),
    ),
    fault(
        "idle-repositories-evicted",
        &READ_YOUR_WRITES,
        "Only the last 60 repositories that were used are kept.",
        || vault(Evicting { room: 60, by_use: true, order: Mutex::default() }),
    ),
];

#[derive(Default)]
struct RemovedMemberComesBack {
    removed: Mutex<HashMap<(String, String), Instant>>,
}

impl VaultRules for RemovedMemberComesBack {
    fn stored(&self, route: Route, before: Option<&Repo>, next: Repo) -> Repo {
        let gone = before.filter(|_| route == Route::RemoveMember).into_iter().flat_map(|repo| &repo.manifest.members);
        for entry in gone.filter(|entry| !is_in(&next, &entry.ed25519_public_key)) {
            let key = (next.manifest.repo_id.clone(), entry.ed25519_public_key.clone());
            lock(&self.removed).insert(key, Instant::now());
        }
        next
    }

    fn is_member(&self, visit: &Visit, repo: &Repo) -> bool {
        let key = (repo.manifest.repo_id.clone(), visit.caller.clone());
        let back = lock(&self.removed).get(&key).is_some_and(|at| at.elapsed() > Duration::from_millis(200));
        back || is_in(repo, &visit.caller)
    }
}
