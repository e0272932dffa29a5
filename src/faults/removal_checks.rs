//! removeMember that takes what it should refuse, refuses what it should take, or does it again (SPEC §6, §10;
//! revision 0.3).

use axum::http::StatusCode;
use axum::http::request::Parts;
use bytes::Bytes;
use serde_json::Value;

use super::table::*;
use super::tools::{edit_body, is_in, is_refused};
use crate::codec::base64;
use crate::server::edge::Edge;
use crate::server::operations;
use crate::server::refusal::Refusal;
use crate::server::repo::{Decision, Repo, Visit};
use crate::server::route::Route;
use crate::server::rules::VaultRules;
use crate::server::store::Store;
use crate::wire::{MemberEntry, MemberRemoveRequest, VaultManifest};

/// A second removal of somebody who is gone.
fn is_repeated(repo: &Repo, request: &MemberRemoveRequest) -> bool {
    !is_in(repo, &request.removed_member_id) && repo.envelope == request.rotated_envelope
}

/// As a lenient decoder reads the id, and as it is spelled rightly.
fn named_leniently(request: &mut Value) {
    let text = request["removedMemberId"].as_str().unwrap_or_default();
    let bare = text.trim().trim_end_matches('=').replace('+', "-").replace('/', "_");
    if let Ok(bytes) = base64::decode_url(&bare) {
        request["removedMemberId"] = base64::encode(&bytes).into();
    }
}

/// The faults of this area.
pub(super) const FAULTS: &[Fault] = &[
    fault("remove-same-epoch", &EPOCH_RISES, "The new epoch may be the old one.", || vault(RemoveSameEpoch)),
    fault("remove-any-epoch", &EPOCH_RISES, "The new epoch may be any.", || vault(RemoveAnyEpoch)),
    fault(
        "remove-epoch-just-different",
        &EPOCH_RISES,
        "The new epoch must be another than the old one, but may be lower.",
        || vault(RemoveEpochJustDifferent),
    ),
    fault("remove-same-version", &VERSION_MONOTONIC, "The rotated envelope may be of the current version.", || {
        vault(RemoveSameVersion)
    }),
    fault("remove-any-version", &VERSION_MONOTONIC, "The rotated envelope may be of any version.", || {
        vault(RemoveAnyVersion)
    }),
    fault(
        "remove-version-ignored",
        &VERSION_MONOTONIC,
        "An envelope of a lower version is stored, and the manifest keeps the higher one.",
        || vault(RemoveVersionIgnored),
    ),
    fault(
        "remove-epochs-disagree",
        &REMOVE_CONSISTENT,
        "The rotated envelope may be of another epoch than newKeyEpoch.",
        || vault(RemoveEpochsDisagree),
    ),
    fault(
        "remove-epoch-from-envelope",
        &REMOVE_CONSISTENT,
        "The epoch is taken from the rotated envelope; newKeyEpoch isn't looked at.",
        || vault(RemoveEpochFromEnvelope),
    ),
    fault("remove-empties-roster", &REMOVE_CONSISTENT, "An empty rewrappedMembers is accepted.", || {
        vault(RemoveEmptiesRoster)
    }),
    fault("remove-foreign-envelope", &REMOVE_CONSISTENT, "The rotated envelope may name another repository.", || {
        vault(RemoveForeignEnvelope)
    }),
    fault(
        "remove-other-roster-refused",
        &REMOVE_ANY_ROSTER,
        "A removal takes nobody in and leaves nobody else out.",
        || vault(RemoveOtherRosterRefused),
    ),
    fault("remove-unknown-is-ok", &STATUS_UNKNOWN, "Removing somebody who isn't a member rotates as usual.", || {
        vault(RemoveUnknownIsOk)
    }),
    fault(
        "remove-reads-ids-leniently",
        &REMOVE_UNKNOWN,
        "Whom a removal names is read leniently: other spellings of a member's id remove it.",
        || edge(RemoveReadsIdsLeniently),
    ),
    fault(
        "remove-unknown-is-400",
        &STATUS_UNKNOWN,
        "Removing somebody who isn't a member is answered with 400.",
        || vault(RemoveUnknownIs400),
    ),
    fault(
        "remove-unknown-is-nothing",
        &STATUS_UNKNOWN,
        "Removing somebody who isn't a member is answered with 200, and does nothing.",
        || vault(RemoveUnknownIsNothing),
    ),
    fault(
        "remove-again-raises-epoch",
        &RETRY_REMOVE,
        "A removal that is sent again raises the epoch once more.",
        || vault(RemoveAgainRaisesEpoch),
    ),
];

struct RemoveSameEpoch;

impl VaultRules for RemoveSameEpoch {
    fn epoch_advances(&self, new: i64, current: i64) -> bool {
        new >= current
    }
}

struct RemoveAnyEpoch;

impl VaultRules for RemoveAnyEpoch {
    fn epoch_advances(&self, _: i64, _: i64) -> bool {
        true
    }
}

struct RemoveEpochJustDifferent;

impl VaultRules for RemoveEpochJustDifferent {
    fn epoch_advances(&self, new: i64, current: i64) -> bool {
        new != current
    }
}

struct RemoveSameVersion;

impl VaultRules for RemoveSameVersion {
    fn remove(&self, visit: &Visit, repo: &Repo, request: &MemberRemoveRequest) -> Decision<VaultManifest> {
        let mut before = repo.clone();
        if request.rotated_envelope.payload_version == repo.manifest.payload_version {
            before.manifest.payload_version = repo.manifest.payload_version.saturating_sub(1);
        }
        operations::remove(self, visit, &before, request)
    }
}

struct RemoveAnyVersion;

impl VaultRules for RemoveAnyVersion {
    fn remove(&self, visit: &Visit, repo: &Repo, request: &MemberRemoveRequest) -> Decision<VaultManifest> {
        let mut before = repo.clone();
        before.manifest.payload_version = i64::MIN;
        operations::remove(self, visit, &before, request)
    }
}

struct RemoveVersionIgnored;

impl VaultRules for RemoveVersionIgnored {
    fn remove(&self, visit: &Visit, repo: &Repo, request: &MemberRemoveRequest) -> Decision<VaultManifest> {
        let mut before = repo.clone();
        before.manifest.payload_version = i64::MIN;
        let mut outcome = operations::remove(self, visit, &before, request);
        let highest = repo.manifest.payload_version.max(request.rotated_envelope.payload_version);
        outcome.next.iter_mut().for_each(|next| next.manifest.payload_version = highest);
        outcome.map(|manifest| VaultManifest { payload_version: highest, ..manifest })
    }
}

struct RemoveEpochsDisagree;

impl VaultRules for RemoveEpochsDisagree {
    fn rotated_epoch_holds(&self, _: i64, _: i64) -> bool {
        true
    }
}

struct RemoveEpochFromEnvelope;

impl VaultRules for RemoveEpochFromEnvelope {
    fn remove(&self, visit: &Visit, repo: &Repo, request: &MemberRemoveRequest) -> Decision<VaultManifest> {
        let mut request = request.clone();
        request.new_key_epoch = request.rotated_envelope.key_epoch;
        operations::remove(self, visit, repo, &request)
    }

    fn roster_holds(&self, members: &[MemberEntry], epoch: i64) -> Result<(), Refusal> {
        let epoch = members.first().map_or(epoch, |entry| entry.key_epoch);
        operations::roster_holds(members, epoch)
    }
}

struct RemoveEmptiesRoster;

impl VaultRules for RemoveEmptiesRoster {
    fn roster_holds(&self, members: &[MemberEntry], epoch: i64) -> Result<(), Refusal> {
        if members.is_empty() { Ok(()) } else { operations::roster_holds(members, epoch) }
    }
}

struct RemoveForeignEnvelope;

impl VaultRules for RemoveForeignEnvelope {
    fn envelope_belongs(&self, _: &str, _: &str) -> bool {
        true
    }
}

struct RemoveOtherRosterRefused;

impl VaultRules for RemoveOtherRosterRefused {
    fn remove(&self, visit: &Visit, repo: &Repo, request: &MemberRemoveRequest) -> Decision<VaultManifest> {
        let expected = repo.manifest.members.len().saturating_sub(1);
        let known = |entry: &MemberEntry| is_in(repo, &entry.ed25519_public_key);
        if request.rewrapped_members.len() != expected || !request.rewrapped_members.iter().all(known) {
            return Decision::refuse(Refusal::bad_request(
                "rewrappedMembers isn't the roster without the removed member",
            ));
        }
        operations::remove(self, visit, repo, request)
    }
}

struct RemoveUnknownIsOk;

impl VaultRules for RemoveUnknownIsOk {
    fn removal_is_of_member(&self, _: &Repo, _: &str) -> bool {
        true
    }
}

struct RemoveReadsIdsLeniently;

impl Edge for RemoveReadsIdsLeniently {
    fn body(&self, _: &Store, route: Route, _: &Parts, body: Bytes) -> Result<Bytes, Refusal> {
        Ok(if route == Route::RemoveMember { edit_body(body, named_leniently) } else { body })
    }
}

struct RemoveUnknownIs400;

impl VaultRules for RemoveUnknownIs400 {
    fn remove(&self, visit: &Visit, repo: &Repo, request: &MemberRemoveRequest) -> Decision<VaultManifest> {
        let outcome = operations::remove(self, visit, repo, request);
        if is_refused(&outcome, StatusCode::NOT_FOUND) {
            return Decision::refuse(Refusal::bad_request("no such member"));
        }
        outcome
    }
}

struct RemoveUnknownIsNothing;

impl VaultRules for RemoveUnknownIsNothing {
    fn remove(&self, visit: &Visit, repo: &Repo, request: &MemberRemoveRequest) -> Decision<VaultManifest> {
        if !is_in(repo, &request.removed_member_id) {
            return Decision::read(repo.manifest.clone());
        }
        operations::remove(self, visit, repo, request)
    }
}

struct RemoveAgainRaisesEpoch;

impl VaultRules for RemoveAgainRaisesEpoch {
    fn remove(&self, visit: &Visit, repo: &Repo, request: &MemberRemoveRequest) -> Decision<VaultManifest> {
        if is_repeated(repo, request) {
            let mut next = repo.clone();
            next.manifest.key_epoch = next.manifest.key_epoch.saturating_add(1);
            return Decision::write(next.manifest.clone(), next);
        }
        operations::remove(self, visit, repo, request)
    }
}
