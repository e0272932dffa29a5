//! What a refused request keeps: a lock or a transaction that is never ended (SPEC §6, §10).

use std::collections::HashSet;
use std::sync::Mutex;

use axum::http::StatusCode;

use super::races::{Done, conformant};
use super::table::*;
use super::tools::lock;
use crate::server::refusal::Refusal;
use crate::server::repo::Visit;
use crate::server::route::Route;
use crate::server::rules::VaultRules;
use crate::server::store::Store;

/// A refusal of one kind keeps the lock of its repository, and whoever writes there later waits for it in vain.
struct KeepsLock {
    route: Route,
    status: StatusCode,
    locked: Mutex<HashSet<String>>,
}

impl KeepsLock {
    fn of(route: Route, status: StatusCode) -> Self {
        Self { route, status, locked: Mutex::default() }
    }
}

impl VaultRules for KeepsLock {
    fn execute<'a>(&'a self, store: &'a Store, visit: &'a Visit) -> Done<'a> {
        Box::pin(async move {
            let refusing = visit.route == self.route;
            if visit.route.writes() && !refusing && lock(&self.locked).contains(&visit.repo_id) {
                return Err(Refusal::internal("lock wait timeout exceeded"));
            }
            let answer = conformant(self, store, visit).await;
            if refusing && answer.as_ref().is_err_and(|refusal| refusal.status == self.status) {
                lock(&self.locked).insert(visit.repo_id.clone());
            }
            answer
        })
    }
}

/// The faults of this area.
pub(super) const FAULTS: &[Fault] = &[
    fault(
        "duplicate-keeps-lock",
        &PUSH_APPLIES,
        "A createRepo whose id is taken keeps the repository's lock, and every later write there fails.",
        || vault(KeepsLock::of(Route::CreateRepo, StatusCode::CONFLICT)),
    ),
    fault(
        "unknown-removal-keeps-lock",
        &PUSH_APPLIES,
        "A removal of somebody who isn't in the roster keeps the repository's lock, and other writes there fail.",
        || vault(KeepsLock::of(Route::RemoveMember, StatusCode::NOT_FOUND)),
    ),
    fault(
        "stranger-keeps-lock",
        &PUSH_APPLIES,
        "An addMember by a stranger keeps the repository's lock, and other writes there fail.",
        || vault(KeepsLock::of(Route::AddMember, StatusCode::FORBIDDEN)),
    ),
    fault(
        "unknown-member-keeps-lock",
        &PUSH_APPLIES,
        "A fetch of a member who isn't there keeps the repository's lock, and writes there fail.",
        || vault(KeepsLock::of(Route::FetchMemberKey, StatusCode::NOT_FOUND)),
    ),
];
