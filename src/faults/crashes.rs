//! What is right until the server is killed: writes that were acknowledged and are nowhere, or there in part.

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use axum::http::request::Parts;
use bytes::Bytes;

use super::table::*;
use super::tools::{gap, lock};
use crate::server::edge::Edge;
use crate::server::nonces::Nonces;
use crate::server::operations;
use crate::server::refusal::Refusal;
use crate::server::repo::{Repo, Success, VaultCommand, Visit};
use crate::server::route::Route;
use crate::server::rules::{IdentityRules, Later, VaultRules};
use crate::server::store::Store;

/// How long a write waits to be stored, at the least.
const DELAY: Duration = Duration::from_millis(60);
/// Between the two halves of a write, in microseconds.
const WINDOW: u64 = 4000;

/// Acknowledges writes of some kinds, and stores them with a later request. Whoever asks meanwhile sees them.
struct WritesLater {
    routes: &'static [Route],
    waiting: Mutex<HashMap<String, (Instant, Repo)>>,
}

impl WritesLater {
    fn of(routes: &'static [Route]) -> Self {
        Self { routes, waiting: Mutex::default() }
    }
}

impl VaultRules for WritesLater {
    fn execute<'a>(&'a self, store: &'a Store, visit: &'a Visit) -> Later<'a, Result<Success, Refusal>> {
        let mut waiting = lock(&self.waiting);
        let done = (|| {
            let due: Vec<_> =
                waiting.iter().filter(|(_, (since, _))| since.elapsed() > DELAY).map(|(id, _)| id.clone()).collect();
            for (_, repo) in due.iter().filter_map(|id| waiting.remove(id)) {
                store.write(|tx| Ok::<_, Refusal>(tx.put(&repo)?))?;
            }
            let stored = store.read(|tx| Ok::<_, Refusal>(tx.load(&visit.repo_id)?))?;
            let now = waiting.get(&visit.repo_id).map(|(_, repo)| repo.clone()).or(stored);
            let outcome = operations::transition(self, visit, now.as_ref());
            match outcome.next {
                Some(next) if self.routes.contains(&visit.route) || waiting.contains_key(&visit.repo_id) => {
                    waiting.insert(visit.repo_id.clone(), (Instant::now(), next));
                }
                Some(next) => store.write(|tx| Ok::<_, Refusal>(tx.put(&next)?))?,
                None => {}
            }
            outcome.answer
        })();
        Box::pin(std::future::ready(done))
    }
}

/// Commits a write in two transactions, and lets nobody look in between.
struct TwoTransactions {
    route: Route,
    between: fn(&Repo, &Repo) -> Repo,
    alone: tokio::sync::Mutex<()>,
}

impl TwoTransactions {
    fn of(route: Route, between: fn(&Repo, &Repo) -> Repo) -> Self {
        Self { route, between, alone: tokio::sync::Mutex::default() }
    }
}

impl VaultRules for TwoTransactions {
    fn execute<'a>(&'a self, store: &'a Store, visit: &'a Visit) -> Later<'a, Result<Success, Refusal>> {
        Box::pin(async move {
            let _alone = self.alone.lock().await;
            let rotates = !matches!(&visit.command, VaultCommand::Push(request) if request.rotated_members.is_none());
            if visit.route != self.route || !rotates {
                return operations::execute(self, store, visit);
            }
            let before = store.read(|tx| Ok::<_, Refusal>(tx.load(&visit.repo_id)?))?;
            let outcome = operations::transition(self, visit, before.as_ref());
            if let (Some(before), Some(next)) = (&before, &outcome.next) {
                store.write(|tx| Ok::<_, Refusal>(tx.put(&(self.between)(before, next))?))?;
                gap(WINDOW).await;
                store.write(|tx| Ok::<_, Refusal>(tx.put(next)?))?;
            }
            outcome.answer
        })
    }
}

/// The faults of this area.
pub(super) const FAULTS: &[Fault] = &[
    fault("crash-loses-pushes", &CRASH_KEEPS, "A push is acknowledged before it is stored.", || {
        vault(WritesLater::of(&[Route::Push]))
    })
    .kind(Crash),
    fault("crash-loses-creations", &CRASH_KEEPS, "A creation is acknowledged before it is stored.", || {
        vault(WritesLater::of(&[Route::CreateRepo]))
    })
    .kind(Crash),
    fault("crash-loses-additions", &CRASH_KEEPS, "An addition is acknowledged before it is stored.", || {
        vault(WritesLater::of(&[Route::AddMember]))
    })
    .kind(Crash),
    fault("crash-loses-removals", &CRASH_KEEPS, "A removal is acknowledged before it is stored.", || {
        vault(WritesLater::of(&[Route::RemoveMember]))
    })
    .kind(Crash),
    fault(
        "crash-between-roster-and-envelope",
        &CRASH_WHOLE,
        "A rotating push stores roster and envelope in two transactions.",
        || {
            vault(TwoTransactions::of(Route::Push, |before, next| {
                let mut between = before.clone();
                between.manifest.members.clone_from(&next.manifest.members);
                between
            }))
        },
    )
    .kind(Crash),
    fault(
        "crash-between-envelope-and-roster",
        &CRASH_WHOLE,
        "A removal stores envelope and roster in two transactions.",
        || {
            vault(TwoTransactions::of(Route::RemoveMember, |before, next| {
                let mut between = next.clone();
                between.manifest.members.clone_from(&before.manifest.members);
                between
            }))
        },
    )
    .kind(Crash),
    fault("crash-before-the-epoch", &CRASH_WHOLE, "A removal sets the epoch in a transaction of its own.", || {
        vault(TwoTransactions::of(Route::RemoveMember, |before, next| {
            let mut between = next.clone();
            between.manifest.key_epoch = before.manifest.key_epoch;
            between
        }))
    })
    .kind(Crash),
    fault("crash-on-deep-nesting", &BAD_INPUT, "Deep nesting overflows the stack, which ends the process.", || {
        edge(CrashOnDeepNesting)
    })
    .kind(Crash),
    fault("crash-forgets-spent-nonces", &CRASH_KEEPS, "That a nonce was used is kept in memory only.", || {
        identity(CrashForgetsSpentNonces::default())
    })
    .kind(Crash),
];

struct CrashOnDeepNesting;

impl Edge for CrashOnDeepNesting {
    fn body(&self, _: &Store, _: Route, _: &Parts, body: Bytes) -> Result<Bytes, Refusal> {
        if body.iter().filter(|byte| matches!(byte, b'[' | b'{')).count() > 20_000 {
            std::process::abort();
        }
        Ok(body)
    }
}

#[derive(Default)]
struct CrashForgetsSpentNonces {
    spent: Mutex<HashSet<Vec<u8>>>,
}

impl IdentityRules for CrashForgetsSpentNonces {
    fn spend(&self, _: &Nonces, nonce: &[u8]) -> bool {
        lock(&self.spent).insert(nonce.to_vec())
    }
}
