//! Removals that are refused and leave something behind all the same (SPEC §6).

use axum::http::StatusCode;
use axum::http::request::Parts;
use bytes::Bytes;
use serde_json::{Value, json};

use super::refused::{FillIn, StepByStep, leave, read, store_envelope};
use super::table::*;
use super::tools::is_refused;
use crate::server::edge::Edge;
use crate::server::operations;
use crate::server::refusal::Refusal;
use crate::server::repo::{Decision, Repo, Visit};
use crate::server::route::Route;
use crate::server::rules::VaultRules;
use crate::server::store::Store;
use crate::wire::{MemberEntry, MemberRemoveRequest, VaultManifest};

/// A removal that is refused with 400, and what it leaves behind.
struct Removal(fn(&MemberRemoveRequest, &mut Repo));

impl VaultRules for Removal {
    fn remove(&self, visit: &Visit, repo: &Repo, request: &MemberRemoveRequest) -> Decision<VaultManifest> {
        let outcome = operations::remove(self, visit, repo, request);
        leave(outcome, repo, |next| (self.0)(request, next))
    }
}

fn drop_member(repo: &mut Repo, id: &str) {
    repo.manifest.members.retain(|entry| entry.ed25519_public_key != id);
}

fn drop_named(request: &Value, repo: &mut Repo) {
    drop_member(repo, request["removedMemberId"].as_str().unwrap_or_default());
}

/// A removal without a roster has an empty one.
const NO_ROSTER: FillIn = FillIn(Route::RemoveMember, "rewrappedMembers", || json!([]));

/// An empty roster is as good as a right one.
fn roster_or_none_holds(members: &[MemberEntry], epoch: i64) -> Result<(), Refusal> {
    if members.is_empty() { Ok(()) } else { operations::roster_holds(members, epoch) }
}

/// The faults of this area.
pub(super) const FAULTS: &[Fault] = &[
    fault(
        "refused-remove-drops",
        &REMOVE_ATOMIC,
        "The member is dropped before the rest of a removal is checked.",
        || vault(Removal(|request, next| drop_member(next, &request.removed_member_id))),
    ),
    fault(
        "refused-remove-replaces-roster",
        &REMOVE_ATOMIC,
        "The roster is replaced before the envelope of a removal is checked.",
        || {
            vault(Removal(|request, next| {
                if !request.rewrapped_members.is_empty() {
                    next.manifest.members.clone_from(&request.rewrapped_members);
                }
            }))
        },
    ),
    fault(
        "refused-remove-raises-epoch",
        &REMOVE_ATOMIC,
        "The epoch is set before the envelope of a removal is checked.",
        || vault(Removal(|request, next| next.manifest.key_epoch = request.new_key_epoch)),
    ),
    fault(
        "refused-remove-stores-envelope",
        &REMOVE_ATOMIC,
        "The envelope is stored before the epoch of a removal is checked.",
        || vault(Removal(|request, next| store_envelope(next, Some(request.rotated_envelope.clone())))),
    ),
    fault(
        "unknown-removal-still-rotates",
        &REMOVE_ATOMIC,
        "Removing a stranger is answered with 404 after everything else was done.",
        || vault(UnknownRemovalStillRotates),
    ),
    fault(
        "remove-without-envelope-drops",
        &REMOVE_ATOMIC,
        "A removal without an envelope drops the member before it fails.",
        || edge(StepByStep { route: Route::RemoveMember, missing: "rotatedEnvelope", done: drop_named }),
    ),
    fault(
        "remove-without-envelope-raises-epoch",
        &REMOVE_ATOMIC,
        "A removal without an envelope raises the epoch before it fails.",
        || {
            edge(StepByStep {
                route: Route::RemoveMember,
                missing: "rotatedEnvelope",
                done: |request, next| {
                    next.manifest.key_epoch = request["newKeyEpoch"].as_i64().unwrap_or(next.manifest.key_epoch)
                },
            })
        },
    ),
    fault(
        "remove-without-roster-drops",
        &REMOVE_ATOMIC,
        "A removal without rewrappedMembers drops the member before it fails.",
        || edge(StepByStep { route: Route::RemoveMember, missing: "rewrappedMembers", done: drop_named }),
    ),
    fault(
        "remove-without-roster-stores-envelope",
        &REMOVE_ATOMIC,
        "A removal without rewrappedMembers stores the envelope before it fails.",
        || {
            edge(StepByStep {
                route: Route::RemoveMember,
                missing: "rewrappedMembers",
                done: |request, next| store_envelope(next, read(&request["rotatedEnvelope"])),
            })
        },
    ),
    fault(
        "remove-without-epoch-replaces-roster",
        &REMOVE_ATOMIC,
        "A removal without newKeyEpoch replaces the roster before it fails.",
        || {
            edge(StepByStep {
                route: Route::RemoveMember,
                missing: "newKeyEpoch",
                done: |request, next| {
                    let members: Option<Vec<MemberEntry>> = read(&request["rewrappedMembers"]);
                    next.manifest.members = members.unwrap_or(next.manifest.members.clone());
                },
            })
        },
    ),
    fault(
        "remove-without-id-rotates",
        &REMOVE_ATOMIC,
        "A removal without removedMemberId stores the envelope before it fails.",
        || {
            edge(StepByStep {
                route: Route::RemoveMember,
                missing: "removedMemberId",
                done: |request, next| store_envelope(next, read(&request["rotatedEnvelope"])),
            })
        },
    ),
    fault("remove-epoch-defaults-to-zero", &EPOCH_RISES, "A removal without newKeyEpoch sets the epoch to 0.", || {
        edge_and_vault(RemoveEpochDefaultsToZero)
    }),
    fault(
        "remove-roster-absent-is-empty",
        &REMOVE_CONSISTENT,
        "A removal without rewrappedMembers leaves nobody, as one with none.",
        || edge_and_vault(RemoveRosterAbsentIsEmpty),
    ),
    fault(
        "remove-roster-defaults-to-rest",
        &REMOVE_ATOMIC,
        "A removal without rewrappedMembers keeps the others with their old wrapped keys.",
        || edge_and_vault(RemoveRosterDefaultsToRest),
    ),
];

struct UnknownRemovalStillRotates;

impl VaultRules for UnknownRemovalStillRotates {
    fn remove(&self, visit: &Visit, repo: &Repo, request: &MemberRemoveRequest) -> Decision<VaultManifest> {
        let outcome = operations::remove(self, visit, repo, request);
        if is_refused(&outcome, StatusCode::NOT_FOUND) {
            return Decision { next: Some(operations::removed(repo, request, Vec::new())), ..outcome };
        }
        outcome
    }
}

struct RemoveEpochDefaultsToZero;

impl Edge for RemoveEpochDefaultsToZero {
    fn body(&self, _: &Store, route: Route, _: &Parts, body: Bytes) -> Result<Bytes, Refusal> {
        Ok(FillIn(Route::RemoveMember, "newKeyEpoch", || json!(0)).filled(route, body))
    }
}

impl VaultRules for RemoveEpochDefaultsToZero {
    fn epoch_advances(&self, new: i64, current: i64) -> bool {
        new == 0 || new > current
    }

    fn rotated_epoch_holds(&self, envelope_epoch: i64, new_epoch: i64) -> bool {
        new_epoch == 0 || envelope_epoch == new_epoch
    }

    fn roster_holds(&self, members: &[MemberEntry], epoch: i64) -> Result<(), Refusal> {
        if epoch == 0 { Ok(()) } else { operations::roster_holds(members, epoch) }
    }
}

struct RemoveRosterAbsentIsEmpty;

impl Edge for RemoveRosterAbsentIsEmpty {
    fn body(&self, _: &Store, route: Route, _: &Parts, body: Bytes) -> Result<Bytes, Refusal> {
        Ok(NO_ROSTER.filled(route, body))
    }
}

impl VaultRules for RemoveRosterAbsentIsEmpty {
    fn roster_holds(&self, members: &[MemberEntry], epoch: i64) -> Result<(), Refusal> {
        roster_or_none_holds(members, epoch)
    }
}

struct RemoveRosterDefaultsToRest;

impl Edge for RemoveRosterDefaultsToRest {
    fn body(&self, _: &Store, route: Route, _: &Parts, body: Bytes) -> Result<Bytes, Refusal> {
        Ok(NO_ROSTER.filled(route, body))
    }
}

impl VaultRules for RemoveRosterDefaultsToRest {
    fn roster_holds(&self, members: &[MemberEntry], epoch: i64) -> Result<(), Refusal> {
        roster_or_none_holds(members, epoch)
    }

    fn removed(&self, repo: &Repo, request: &MemberRemoveRequest, digest: Vec<u8>) -> Repo {
        let mut next = operations::removed(repo, request, digest);
        if request.rewrapped_members.is_empty() {
            next.manifest.members.clone_from(&repo.manifest.members);
            drop_member(&mut next, &request.removed_member_id);
        }
        next
    }
}
