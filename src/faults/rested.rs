//! What is kept in memory for a second, and is all that an operation looks at (SPEC §6).

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::table::*;
use super::tools::lock;
use crate::server::operations;
use crate::server::repo::{Decision, Repo, Success, VaultCommand, Visit};
use crate::server::route::Route;
use crate::server::rules::VaultRules;

/// What one operation makes of its command, and of the state, of a repository that nobody has touched for a second.
struct Rested {
    route: Route,
    change: fn(&mut VaultCommand, &mut Option<Repo>),
    touched: Mutex<HashMap<String, Instant>>,
}

impl Rested {
    fn new(route: Route, change: fn(&mut VaultCommand, &mut Option<Repo>)) -> Self {
        Self { route, change, touched: Mutex::default() }
    }
}

impl VaultRules for Rested {
    fn transition(&self, visit: &Visit, state: Option<&Repo>) -> Decision<Success> {
        let before = lock(&self.touched).insert(visit.repo_id.clone(), Instant::now());
        let has_rested = before.is_some_and(|before| before.elapsed() > Duration::from_secs(1));
        if visit.route != self.route || !has_rested {
            return operations::transition(self, visit, state);
        }
        let (mut visit, mut state) = (visit.clone(), state.cloned());
        (self.change)(&mut visit.command, &mut state);
        operations::transition(self, &visit, state.as_ref())
    }
}

fn only_the_creator(_: &mut VaultCommand, state: &mut Option<Repo>) {
    if let Some(repo) = state {
        repo.manifest.members.truncate(1);
    }
}

/// The faults of this area.
pub(super) const FAULTS: &[Fault] = &[
    fault(
        "rested-fetch-finds-creator-only",
        &FETCH_ENTRY,
        "Entries of added members are kept in memory for a second; fetchMemberKey finds nobody else after that.",
        || vault(Rested::new(Route::FetchMemberKey, only_the_creator)),
    ),
    fault(
        "rested-addition-begins-anew",
        &ADD_RECORDS,
        "The roster is kept in memory for a second; an addMember after that begins with the creator alone.",
        || vault(Rested::new(Route::AddMember, only_the_creator)),
    ),
    fault(
        "rested-removal-finds-nobody",
        &REMOVE_DROPS,
        "The roster is kept in memory for a second; a removeMember after that finds the creator alone.",
        || vault(Rested::new(Route::RemoveMember, only_the_creator)),
    ),
    fault(
        "rested-push-conflicts",
        &PUSH_APPLIES,
        "The current version is kept in memory for a second; a push after that is a conflict.",
        || {
            vault(Rested::new(Route::Push, |_, state| {
                if let Some(repo) = state {
                    repo.manifest.payload_version = 0;
                }
            }))
        },
    ),
    fault(
        "rested-pull-is-never-unchanged",
        &PULL_UNCHANGED,
        "Who knows which version is kept in memory for a second; a pull after that is never unchanged.",
        || {
            vault(Rested::new(Route::Pull, |command, _| {
                if let VaultCommand::Pull(request) = command {
                    request.known_payload_version = 0;
                }
            }))
        },
    ),
    fault(
        "gate-kept-for-a-second",
        &PUSH_GATED,
        "The current version is kept in memory for a second; a push that doesn't find it there isn't gated.",
        || {
            vault(Rested::new(Route::Push, |command, state| {
                if let (VaultCommand::Push(request), Some(repo)) = (command, state) {
                    request.expected_payload_version = repo.manifest.payload_version;
                }
            }))
        },
    ),
    fault(
        "duplicate-after-a-second",
        &CREATE_DUPLICATE,
        "Ids that nobody has used for a second are free again.",
        || vault(Rested::new(Route::CreateRepo, |_, state| *state = None)),
    ),
];
