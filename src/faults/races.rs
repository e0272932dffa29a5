//! What is right one request at a time and wrong when two meet: check-then-act, rotations in two steps, and
//! authority that is asked for too early. The windows are a few hundred microseconds wide.

use super::table::*;
use super::tools::{gap, is_in};
use crate::server::operations;
use crate::server::redemption::{self, Authority};
use crate::server::refusal::Refusal;
use crate::server::repo::{Repo, Success, VaultCommand, Visit};
use crate::server::route::Route;
use crate::server::rules::{IdentityRules, Later, VaultRules};
use crate::server::store::Store;
use crate::wire::{TokenRequest, TokenResponse};

/// How wide the windows are, in microseconds.
pub(super) const WINDOW: u64 = 300;

pub(super) type Done<'a> = Later<'a, Result<Success, Refusal>>;

pub(super) fn conformant<'a>(rules: &dyn VaultRules, store: &Store, visit: &Visit) -> Done<'a> {
    Box::pin(std::future::ready(operations::execute(rules, store, visit)))
}

pub(super) fn load(store: &Store, id: &str) -> Result<Option<Repo>, Refusal> {
    store.read(|tx| Ok(tx.load(id)?))
}

pub fn put(store: &Store, repo: &Repo) -> Result<(), Refusal> {
    store.write(|tx| Ok(tx.put(repo)?))
}

/// Reads the whole state, decides, and some time later writes the whole state.
struct CheckThenAct(Route);

impl VaultRules for CheckThenAct {
    fn execute<'a>(&'a self, store: &'a Store, visit: &'a Visit) -> Done<'a> {
        if visit.route != self.0 {
            return conformant(self, store, visit);
        }
        Box::pin(async move {
            let outcome = operations::transition(self, visit, load(store, &visit.repo_id)?.as_ref());
            if let Some(next) = outcome.next {
                gap(WINDOW).await;
                put(store, &next)?;
            }
            outcome.answer
        })
    }
}

/// As [`CheckThenAct`], but the write fails if the version has moved; what doesn't move it gets lost.
struct CompareAndSwap(Route);

impl VaultRules for CompareAndSwap {
    fn execute<'a>(&'a self, store: &'a Store, visit: &'a Visit) -> Done<'a> {
        if visit.route != self.0 {
            return conformant(self, store, visit);
        }
        Box::pin(async move {
            let before = load(store, &visit.repo_id)?;
            let outcome = operations::transition(self, visit, before.as_ref());
            let (Some(before), Some(next)) = (before, outcome.next) else { return outcome.answer };
            gap(WINDOW).await;
            let swapped = store.write(|tx| -> Result<_, Refusal> {
                let now = tx.load(&visit.repo_id)?;
                let same = now.is_some_and(|now| now.manifest.payload_version == before.manifest.payload_version);
                if same {
                    tx.put(&next)?;
                }
                Ok(same)
            })?;
            if swapped { outcome.answer } else { operations::execute(self, store, visit) }
        })
    }
}

/// The roster of the next state, and everything else of the one before.
fn roster_first(before: &Repo, next: &Repo) -> Repo {
    let mut between = before.clone();
    between.manifest.members.clone_from(&next.manifest.members);
    between
}

/// The other way round.
fn roster_last(before: &Repo, next: &Repo) -> Repo {
    roster_first(next, before)
}

/// Commits a write in two steps: first a state in between, some time later the rest.
struct TwoSteps {
    route: Route,
    between: fn(&Repo, &Repo) -> Repo,
}

impl VaultRules for TwoSteps {
    fn execute<'a>(&'a self, store: &'a Store, visit: &'a Visit) -> Done<'a> {
        let rotates = !matches!(&visit.command, VaultCommand::Push(request) if request.rotated_members.is_none());
        if visit.route != self.route || !rotates {
            return conformant(self, store, visit);
        }
        Box::pin(async move {
            let done = store.write(|tx| -> Result<_, Refusal> {
                let before = tx.load(&visit.repo_id)?;
                let outcome = operations::transition(self, visit, before.as_ref());
                if let (Some(before), Some(next)) = (&before, &outcome.next) {
                    tx.put(&(self.between)(before, next))?;
                }
                Ok(outcome)
            })?;
            if let Some(next) = done.next {
                gap(WINDOW).await;
                put(store, &next)?;
            }
            done.answer
        })
    }
}

/// The faults of this area.
pub(super) const FAULTS: &[Fault] = &[
    fault("race-nonce", &NONCE_SINGLE_USE, "A nonce is checked, and taken out of use a little later.", || {
        identity(RaceNonce)
    })
    .kind(Race),
    fault("race-create", &CREATE_DUPLICATE, "Whether an id is free is checked a little before it is taken.", || {
        vault(CheckThenAct(Route::CreateRepo))
    })
    .kind(Race),
    fault(
        "race-push",
        &WRITES_SERIALIZED,
        "The expected version is checked a little before the push is stored.",
        || vault(CheckThenAct(Route::Push)),
    )
    .kind(Race),
    fault(
        "race-push-loses-members",
        &WRITES_SERIALIZED,
        "A push writes back a roster that it has read a little earlier.",
        || vault(CompareAndSwap(Route::Push)),
    )
    .kind(Race),
    fault("race-add", &ADD_RECORDS, "addMember writes back a roster that it has read a little earlier.", || {
        vault(CheckThenAct(Route::AddMember))
    })
    .kind(Race),
    fault(
        "race-add-compare-and-swap",
        &ADD_RECORDS,
        "addMember writes back a roster if the version hasn't moved, which other additions don't move.",
        || vault(CompareAndSwap(Route::AddMember)),
    )
    .kind(Race),
    fault(
        "race-remove",
        &WRITES_SERIALIZED,
        "removeMember writes back a state that it has read a little earlier.",
        || vault(CheckThenAct(Route::RemoveMember)),
    )
    .kind(Race),
    fault(
        "race-rotation-envelope-first",
        &SNAPSHOT_READS,
        "A rotating push stores the envelope a little before the roster.",
        || vault(TwoSteps { route: Route::Push, between: roster_last }),
    )
    .kind(Race),
    fault(
        "race-rotation-roster-first",
        &SNAPSHOT_READS,
        "A rotating push stores the roster a little before the envelope.",
        || vault(TwoSteps { route: Route::Push, between: roster_first }),
    )
    .kind(Race),
    fault(
        "race-rotation-roster-cleared",
        &SNAPSHOT_READS,
        "A rotating push clears the roster a little before it fills it.",
        || {
            vault(TwoSteps {
                route: Route::Push,
                between: |_, next| {
                    let mut between = next.clone();
                    between.manifest.members.clear();
                    between
                },
            })
        },
    )
    .kind(Race),
    fault(
        "race-removal-roster-first",
        &REMOVE_ATOMIC,
        "removeMember stores the roster a little before envelope and epoch.",
        || vault(TwoSteps { route: Route::RemoveMember, between: roster_first }),
    )
    .kind(Race),
    fault(
        "race-removal-envelope-first",
        &REMOVE_ATOMIC,
        "removeMember stores the envelope a little before roster and epoch.",
        || {
            vault(TwoSteps {
                route: Route::RemoveMember,
                between: |before, next| Repo { envelope: next.envelope.clone(), ..before.clone() },
            })
        },
    )
    .kind(Race),
    fault(
        "race-removal-epoch-last",
        &REMOVE_ATOMIC,
        "removeMember sets the manifest's epoch a little after everything else.",
        || {
            vault(TwoSteps {
                route: Route::RemoveMember,
                between: |before, next| {
                    let mut between = next.clone();
                    between.manifest.key_epoch = before.manifest.key_epoch;
                    between
                },
            })
        },
    )
    .kind(Race),
    fault(
        "race-removal-drops-first",
        &REMOVE_ATOMIC,
        "removeMember drops the member a little before it rotates.",
        || {
            vault(TwoSteps {
                route: Route::RemoveMember,
                between: |before, next| {
                    let mut between = before.clone();
                    between.manifest.members.retain(|entry| is_in(next, &entry.ed25519_public_key));
                    between
                },
            })
        },
    )
    .kind(Race),
];

struct RaceNonce;

impl IdentityRules for RaceNonce {
    fn redeem<'a>(
        &'a self,
        authority: &'a Authority,
        request: &'a TokenRequest,
    ) -> Later<'a, Result<TokenResponse, Refusal>> {
        Box::pin(async move {
            let nonce = redemption::check(self, authority, request)?;
            gap(WINDOW).await;
            authority.nonces.spend(&nonce);
            redemption::grant(self, authority, &request.ed25519_public_key)
        })
    }
}
