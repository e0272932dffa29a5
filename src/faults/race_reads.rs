//! What is read or asked at one moment and used at another, when two requests meet.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::races::{Done, WINDOW, conformant, load, put};
use super::table::*;
use super::tools::{gap, is_in, lock};
use crate::server::operations;
use crate::server::refusal::Refusal;
use crate::server::repo::{Repo, Success, VaultCommand, Visit};
use crate::server::route::Route;
use crate::server::rules::VaultRules;
use crate::server::store::Store;

/// Asks whether the caller is a member when the head of a request is there, and not again when its body is.
struct EarlyAuthority(Route);

impl VaultRules for EarlyAuthority {
    fn on_headers(&self, store: &Store, route: Route, repo_id: Option<&str>, caller: &str) -> Option<bool> {
        let repo = load(store, repo_id.filter(|_| route == self.0)?).ok()??;
        Some(is_in(&repo, caller))
    }

    fn is_member(&self, visit: &Visit, repo: &Repo) -> bool {
        visit.early.unwrap_or_else(|| is_in(repo, &visit.caller))
    }

    fn rotation_keeps_caller(&self, _: &[crate::wire::MemberEntry], _: &str) -> bool {
        true
    }
}

/// Asks whether the caller is a member in one transaction, and acts in another.
struct AuthorityThenAct(Route);

impl VaultRules for AuthorityThenAct {
    fn execute<'a>(&'a self, store: &'a Store, visit: &'a Visit) -> Done<'a> {
        if visit.route != self.0 {
            return conformant(self, store, visit);
        }
        Box::pin(async move {
            let early = load(store, &visit.repo_id)?.map(|repo| is_in(&repo, &visit.caller));
            gap(WINDOW).await;
            operations::execute(self, store, &Visit { early, ..visit.clone() })
        })
    }

    fn is_member(&self, visit: &Visit, repo: &Repo) -> bool {
        visit.early.unwrap_or_else(|| is_in(repo, &visit.caller))
    }
}

/// The faults of this area.
pub(super) const FAULTS: &[Fault] = &[
    fault(
        "race-fetch-kept-behind-a-write",
        &SNAPSHOT_READS,
        "fetchMemberKey keeps what it has read a little later, when a write may have emptied the cache already.",
        || vault(FetchKeptBehindAWrite::default()),
    )
    .kind(Race),
    fault(
        "race-conflict-visible",
        &SNAPSHOT_READS,
        "A push is stored, and taken back a little later if its expectation was wrong.",
        || vault(RaceConflictVisible),
    )
    .kind(Race),
    fault(
        "race-answer-read-later",
        &WRITES_SERIALIZED,
        "An accepted push is answered with the counters as they are a little later.",
        || vault(RaceAnswerReadLater),
    )
    .kind(Race),
    fault(
        "race-lagging-replica",
        &SNAPSHOT_READS,
        "Every other pull goes to a replica that is up to half a millisecond behind.",
        || vault(RaceLaggingReplica::default()),
    )
    .kind(Race),
    fault(
        "race-early-authority-pull",
        &EFFECT_AUTHORITY,
        "A pull's authority is checked when its head arrives.",
        || vault(EarlyAuthority(Route::Pull)),
    )
    .kind(Race),
    fault(
        "race-early-authority-push",
        &EFFECT_AUTHORITY,
        "A push's authority is checked when its head arrives.",
        || vault(EarlyAuthority(Route::Push)),
    )
    .kind(Race),
    fault(
        "race-early-authority-add",
        &EFFECT_AUTHORITY,
        "An addMember's authority is checked when its head arrives.",
        || vault(EarlyAuthority(Route::AddMember)),
    )
    .kind(Race),
    fault(
        "race-early-authority-remove",
        &EFFECT_AUTHORITY,
        "A removeMember's authority is checked when its head arrives.",
        || vault(EarlyAuthority(Route::RemoveMember)),
    )
    .kind(Race),
    fault(
        "race-authority-then-push",
        &EFFECT_AUTHORITY,
        "A push's authority is checked in a transaction of its own.",
        || vault(AuthorityThenAct(Route::Push)),
    )
    .kind(Race),
    fault(
        "race-authority-then-add",
        &EFFECT_AUTHORITY,
        "An addMember's authority is checked in a transaction of its own.",
        || vault(AuthorityThenAct(Route::AddMember)),
    )
    .kind(Race),
    fault(
        "race-add-checked-earlier",
        &WRITES_SERIALIZED,
        "addMember is checked against a state of a little earlier, and appended to the current one.",
        || vault(RaceAddCheckedEarlier),
    )
    .kind(Race),
    fault(
        "race-add-checked-earlier-in-long-rosters",
        &WRITES_SERIALIZED,
        "From eight members on, an addition is made to a roster of a little earlier.",
        || vault(RaceAddCheckedEarlierInLongRosters),
    )
    .kind(Race),
];

struct RaceConflictVisible;

impl VaultRules for RaceConflictVisible {
    fn execute<'a>(&'a self, store: &'a Store, visit: &'a Visit) -> Done<'a> {
        let VaultCommand::Push(request) = &visit.command else { return conformant(self, store, visit) };
        Box::pin(async move {
            let Some(before) = load(store, &visit.repo_id)? else { return operations::execute(self, store, visit) };
            let stale =
                is_in(&before, &visit.caller) && request.expected_payload_version != before.manifest.payload_version;
            if !stale {
                return operations::execute(self, store, visit);
            }
            put(store, &operations::pushed(&before, request))?;
            gap(WINDOW).await;
            put(store, &before)?;
            operations::transition(self, visit, Some(&before)).answer
        })
    }
}

struct RaceAnswerReadLater;

impl VaultRules for RaceAnswerReadLater {
    fn execute<'a>(&'a self, store: &'a Store, visit: &'a Visit) -> Done<'a> {
        let done = operations::execute(self, store, visit);
        let Ok(Success::Push(answer)) = &done else { return Box::pin(std::future::ready(done)) };
        let accepted = answer.accepted;
        Box::pin(async move {
            gap(WINDOW).await;
            let Some(repo) = load(store, &visit.repo_id)? else { return done };
            Ok(Success::Push(operations::push_answer(&repo, accepted)))
        })
    }
}

#[derive(Default)]
struct RaceLaggingReplica {
    behind: Mutex<HashMap<String, (Instant, Repo)>>,
    turn: Mutex<bool>,
}

impl VaultRules for RaceLaggingReplica {
    fn stored(&self, _: Route, before: Option<&Repo>, next: Repo) -> Repo {
        if let Some(before) = before {
            lock(&self.behind).insert(next.manifest.repo_id.clone(), (Instant::now(), before.clone()));
        }
        next
    }

    fn loaded(&self, route: Route, repo: Repo) -> Repo {
        if route != Route::Pull {
            return repo;
        }
        let mut turn = lock(&self.turn);
        *turn = !*turn;
        if *turn {
            return repo;
        }
        match lock(&self.behind).get(&repo.manifest.repo_id) {
            Some((at, before)) if at.elapsed() < Duration::from_micros(500) => before.clone(),
            _ => repo,
        }
    }
}

struct RaceAddCheckedEarlier;

impl VaultRules for RaceAddCheckedEarlier {
    fn execute<'a>(&'a self, store: &'a Store, visit: &'a Visit) -> Done<'a> {
        let VaultCommand::Add(request) = &visit.command else { return conformant(self, store, visit) };
        Box::pin(async move {
            let before = load(store, &visit.repo_id)?;
            let outcome = operations::transition(self, visit, before.as_ref());
            if outcome.next.is_none() {
                return outcome.answer;
            }
            gap(WINDOW).await;
            store.write(|tx| {
                let Some(mut now) = tx.load(&visit.repo_id)? else { return Ok(outcome.answer) };
                now.manifest.members.push(request.member.clone());
                tx.put(&now)?;
                Ok::<_, Refusal>(Ok(Success::Manifest(now.manifest)))
            })?
        })
    }
}

struct RaceAddCheckedEarlierInLongRosters;

impl VaultRules for RaceAddCheckedEarlierInLongRosters {
    fn execute<'a>(&'a self, store: &'a Store, visit: &'a Visit) -> Done<'a> {
        if !matches!(visit.command, VaultCommand::Add(_)) {
            return conformant(self, store, visit);
        }
        Box::pin(async move {
            let outcome = operations::transition(self, visit, load(store, &visit.repo_id)?.as_ref());
            let Some(next) = outcome.next.filter(|next| next.manifest.members.len() > 8) else {
                return operations::execute(self, store, visit);
            };
            gap(WINDOW).await;
            put(store, &next)?;
            outcome.answer
        })
    }
}

#[derive(Default)]
struct FetchKeptBehindAWrite {
    /// By repository and member.
    kept: Mutex<HashMap<(String, String), Success>>,
}

impl VaultRules for FetchKeptBehindAWrite {
    fn execute<'a>(&'a self, store: &'a Store, visit: &'a Visit) -> Done<'a> {
        Box::pin(async move {
            let VaultCommand::Fetch(member) = &visit.command else {
                let answer = conformant(self, store, visit).await;
                if visit.route.writes() {
                    lock(&self.kept).retain(|(repo, _), _| *repo != visit.repo_id);
                }
                return answer;
            };
            let place = (visit.repo_id.clone(), member.clone());
            let answer = conformant(self, store, visit).await?;
            if let Some(kept) = lock(&self.kept).get(&place) {
                return Ok(kept.clone());
            }
            gap(WINDOW).await;
            lock(&self.kept).insert(place, answer.clone());
            Ok(answer)
        })
    }
}
