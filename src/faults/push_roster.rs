//! Rotating pushes that don't replace the roster, and rosters and envelopes that can't be right (SPEC §6).

use axum::http::request::Parts;
use bytes::Bytes;
use serde_json::{Value, json};

use super::table::*;
use super::tools::{edit_body, entry_mut, is_in};
use crate::server::edge::Edge;
use crate::server::operations;
use crate::server::refusal::Refusal;
use crate::server::repo::{Decision, Repo, VaultCommand, Visit};
use crate::server::route::Route;
use crate::server::rules::VaultRules;
use crate::server::store::Store;
use crate::wire::{MemberEntry, PushRequest, PushResponse};

/// What a push makes of the roster: old one, new one if there is one, and the decision.
struct Roster(fn(&[MemberEntry], Option<&[MemberEntry]>) -> Vec<MemberEntry>);

impl VaultRules for Roster {
    fn pushed(&self, repo: &Repo, request: &PushRequest) -> Repo {
        let mut next = operations::pushed(repo, request);
        next.manifest.members = (self.0)(&repo.manifest.members, request.rotated_members.as_deref());
        next
    }
}

/// Old entries, replaced by new ones of the same id.
fn updated(old: &[MemberEntry], new: &[MemberEntry]) -> Vec<MemberEntry> {
    let find = |id: &str| new.iter().find(|entry| entry.ed25519_public_key == id);
    old.iter().map(|entry| find(&entry.ed25519_public_key).unwrap_or(entry).clone()).collect()
}

fn without<'a>(members: &'a [MemberEntry], others: &'a [MemberEntry]) -> impl Iterator<Item = MemberEntry> + 'a {
    let known = |id: &str| others.iter().any(|entry| entry.ed25519_public_key == id);
    members.iter().filter(move |entry| !known(&entry.ed25519_public_key)).cloned()
}

/// The faults of this area.
pub(super) const FAULTS: &[Fault] = &[
    fault("rotation-merges", &PUSH_ROTATES, "rotatedMembers is merged into the roster; who isn't named stays.", || {
        vault(Roster(|old, new| {
            let new = new.unwrap_or(old);
            updated(old, new).into_iter().chain(without(new, old)).collect()
        }))
    }),
    fault(
        "rotation-keeps-x25519-keys",
        &PUSH_ROTATES,
        "rotatedMembers replaces the roster, but the X25519 key of who stays is kept.",
        || {
            vault(Roster(|old, new| {
                let kept =
                    |entry: &MemberEntry| old.iter().find(|known| known.ed25519_public_key == entry.ed25519_public_key);
                new.unwrap_or(old)
                    .iter()
                    .map(|entry| MemberEntry {
                        x25519_public_key: kept(entry).unwrap_or(entry).x25519_public_key.clone(),
                        ..entry.clone()
                    })
                    .collect()
            }))
        },
    ),
    fault("rotation-ignored", &PUSH_ROTATES, "rotatedMembers isn't looked at.", || {
        vault(Roster(|old, _| old.to_vec()))
    }),
    fault("rotation-appends", &PUSH_ROTATES, "rotatedMembers is appended to the roster.", || {
        vault(Roster(|old, new| [old, new.unwrap_or_default()].concat()))
    }),
    fault(
        "rotation-adds-nobody",
        &PUSH_ROTATES,
        "rotatedMembers updates those who are there; who is new in it is dropped.",
        || {
            vault(Roster(|old, new| {
                updated(old, new.unwrap_or(old))
                    .into_iter()
                    .filter(|entry| {
                        new.is_none_or(|new| {
                            new.iter().any(|other| other.ed25519_public_key == entry.ed25519_public_key)
                        })
                    })
                    .collect()
            }))
        },
    ),
    fault(
        "rotation-removes-nobody",
        &PUSH_ROTATES,
        "rotatedMembers replaces the roster, but who isn't named in it is kept at the end.",
        || {
            vault(Roster(|old, new| {
                let new = new.unwrap_or(old);
                new.iter().cloned().chain(without(old, new)).collect()
            }))
        },
    ),
    fault(
        "rotation-keeps-wrapped-keys",
        &PUSH_ROTATES,
        "rotatedMembers replaces the roster, but who was there keeps the old wrapped key.",
        || {
            vault(Roster(|old, new| {
                let mut next = new.unwrap_or(old).to_vec();
                for entry in old {
                    if let Some(there) = entry_mut(&mut next, &entry.ed25519_public_key) {
                        there.wrapped_data_key = entry.wrapped_data_key.clone();
                    }
                }
                next
            }))
        },
    ),
    fault(
        "rotation-keeps-member-epochs",
        &PUSH_ROTATES,
        "rotatedMembers replaces the roster, but who was there keeps the old key epoch.",
        || {
            vault(Roster(|old, new| {
                let mut next = new.unwrap_or(old).to_vec();
                for entry in old {
                    if let Some(there) = entry_mut(&mut next, &entry.ed25519_public_key) {
                        there.key_epoch = entry.key_epoch;
                    }
                }
                next
            }))
        },
    ),
    fault(
        "rotation-without-envelope",
        &PUSH_ROTATES,
        "A rotating push replaces the roster, and keeps the old envelope.",
        || vault(RotationWithoutEnvelope),
    ),
    fault("rotation-only-on-new-epoch", &PUSH_ROTATES, "rotatedMembers is only looked at if the epoch rises.", || {
        vault(RotationOnlyOnNewEpoch)
    }),
    fault(
        "push-without-roster-empties-it",
        &PUSH_ROTATES,
        "A push without rotatedMembers leaves nobody but the first member.",
        || vault(Roster(|old, new| new.unwrap_or(&old[..old.len().min(1)]).to_vec())),
    ),
    fault(
        "push-null-roster-empties-it",
        &PUSH_ROTATES,
        "A push whose rotatedMembers is null leaves nobody but the first member.",
        || edge_and_vault(PushNullRosterEmptiesIt),
    ),
    fault("push-null-roster-refused", &PUSH_ROTATES, "A push whose rotatedMembers is null is refused.", || {
        edge(PushNullRosterRefused)
    }),
    fault(
        "push-empty-roster",
        &PUSH_CONSISTENT,
        "An empty rotatedMembers is accepted, and leaves a repository without members.",
        || vault(PushEmptyRoster),
    ),
    fault(
        "push-roster-unchecked",
        &PUSH_CONSISTENT,
        "rotatedMembers may name somebody twice, and be of any epochs.",
        || vault(PushRosterUnchecked),
    ),
    fault(
        "push-roster-mixed-epochs",
        &PUSH_CONSISTENT,
        "The epochs of rotatedMembers need not be the envelope's.",
        || vault(PushRosterMixedEpochs),
    ),
    fault("push-roster-not-base64", &PUSH_CONSISTENT, "The strings in rotatedMembers aren't looked at.", || {
        vault(PushRosterNotBase64)
    }),
    fault("push-epoch-down", &PUSH_CONSISTENT, "The epoch of a push may go down.", || vault(PushEpochDown)),
    fault("push-any-epoch", &PUSH_CONSISTENT, "The epoch of a push may be any.", || vault(PushAnyEpoch)),
    fault(
        "push-epoch-down-ignored",
        &PUSH_CONSISTENT,
        "An envelope of a lower epoch is accepted, and the manifest keeps its own.",
        || vault(PushEpochDownIgnored),
    ),
    fault("push-foreign-envelope", &PUSH_CONSISTENT, "The envelope of a push may name another repository.", || {
        vault(PushForeignEnvelope)
    }),
    fault(
        "push-foreign-envelope-renamed",
        &PUSH_CONSISTENT,
        "An envelope that names another repository is accepted, and its name overwritten.",
        || vault(PushForeignEnvelopeRenamed),
    ),
    fault(
        "rotation-keeps-author",
        &PUSH_ROTATES,
        "Whoever rotates by push stays in the roster, though it leaves him out.",
        || vault(RotationKeepsAuthor),
    ),
    fault(
        "rotation-keeps-creator",
        &PUSH_ROTATES,
        "The first member is put back into a roster that leaves him out.",
        || vault(RotationKeepsCreator),
    ),
];

struct RotationWithoutEnvelope;

impl VaultRules for RotationWithoutEnvelope {
    fn pushed(&self, repo: &Repo, request: &PushRequest) -> Repo {
        let mut next = operations::pushed(repo, request);
        if request.rotated_members.is_some() {
            next.envelope.clone_from(&repo.envelope);
        }
        next
    }
}

struct RotationOnlyOnNewEpoch;

impl VaultRules for RotationOnlyOnNewEpoch {
    fn pushed(&self, repo: &Repo, request: &PushRequest) -> Repo {
        let mut next = operations::pushed(repo, request);
        if request.envelope.key_epoch == repo.manifest.key_epoch {
            next.manifest.members.clone_from(&repo.manifest.members);
        }
        next
    }
}

struct PushNullRosterEmptiesIt;

impl Edge for PushNullRosterEmptiesIt {
    fn body(&self, _: &Store, route: Route, _: &Parts, body: Bytes) -> Result<Bytes, Refusal> {
        Ok(edit_body(body, |request| {
            if route == Route::Push && request.get("rotatedMembers") == Some(&Value::Null) {
                request["rotatedMembers"] = json!([]);
            }
        }))
    }
}

impl VaultRules for PushNullRosterEmptiesIt {
    fn roster_holds(&self, members: &[MemberEntry], epoch: i64) -> Result<(), Refusal> {
        if members.is_empty() { Ok(()) } else { operations::roster_holds(members, epoch) }
    }

    fn rotation_keeps_caller(&self, _: &[MemberEntry], _: &str) -> bool {
        true
    }

    fn pushed(&self, repo: &Repo, request: &PushRequest) -> Repo {
        let mut next = operations::pushed(repo, request);
        if next.manifest.members.is_empty() {
            next.manifest.members = repo.manifest.members[..1].to_vec();
        }
        next
    }
}

struct PushNullRosterRefused;

impl Edge for PushNullRosterRefused {
    fn body(&self, _: &Store, route: Route, _: &Parts, body: Bytes) -> Result<Bytes, Refusal> {
        let request: Option<Value> = serde_json::from_slice(&body).ok();
        let null = request.is_some_and(|request| request.get("rotatedMembers") == Some(&Value::Null));
        if route == Route::Push && null { Err(Refusal::bad_request("rotatedMembers isn't an array")) } else { Ok(body) }
    }
}

struct PushEmptyRoster;

impl VaultRules for PushEmptyRoster {
    fn roster_holds(&self, members: &[MemberEntry], epoch: i64) -> Result<(), Refusal> {
        if members.is_empty() { Ok(()) } else { operations::roster_holds(members, epoch) }
    }

    fn rotation_keeps_caller(&self, _: &[MemberEntry], _: &str) -> bool {
        true
    }
}

struct PushRosterUnchecked;

impl VaultRules for PushRosterUnchecked {
    fn roster_holds(&self, _: &[MemberEntry], _: i64) -> Result<(), Refusal> {
        Ok(())
    }
}

struct PushRosterMixedEpochs;

impl VaultRules for PushRosterMixedEpochs {
    fn roster_holds(&self, members: &[MemberEntry], _: i64) -> Result<(), Refusal> {
        let members: Vec<_> = members.iter().map(|entry| MemberEntry { key_epoch: 0, ..entry.clone() }).collect();
        operations::roster_holds(&members, 0)
    }
}

struct PushRosterNotBase64;

impl VaultRules for PushRosterNotBase64 {
    fn shape(&self, command: &VaultCommand) -> Result<(), Refusal> {
        match command {
            VaultCommand::Push(request) => {
                let request = PushRequest { rotated_members: None, ..request.clone() };
                crate::server::validate::command(&VaultCommand::Push(request))
            }
            _ => crate::server::validate::command(command),
        }
    }
}

struct PushEpochDown;

impl VaultRules for PushEpochDown {
    fn push_epoch_holds(&self, new: i64, current: i64, _: bool) -> bool {
        new <= current
    }
}

struct PushAnyEpoch;

impl VaultRules for PushAnyEpoch {
    fn push_epoch_holds(&self, _: i64, _: i64, _: bool) -> bool {
        true
    }
}

struct PushEpochDownIgnored;

impl VaultRules for PushEpochDownIgnored {
    fn push_epoch_holds(&self, _: i64, _: i64, _: bool) -> bool {
        true
    }

    fn pushed(&self, repo: &Repo, request: &PushRequest) -> Repo {
        let mut next = operations::pushed(repo, request);
        next.manifest.key_epoch = repo.manifest.key_epoch.max(next.manifest.key_epoch);
        next
    }
}

struct PushForeignEnvelope;

impl VaultRules for PushForeignEnvelope {
    fn envelope_belongs(&self, _: &str, _: &str) -> bool {
        true
    }
}

struct PushForeignEnvelopeRenamed;

impl VaultRules for PushForeignEnvelopeRenamed {
    fn envelope_belongs(&self, _: &str, _: &str) -> bool {
        true
    }

    fn pushed(&self, repo: &Repo, request: &PushRequest) -> Repo {
        let mut next = operations::pushed(repo, request);
        next.envelope.repo_id.clone_from(&repo.manifest.repo_id);
        next
    }
}

struct RotationKeepsAuthor;

impl VaultRules for RotationKeepsAuthor {
    fn rotation_keeps_caller(&self, _: &[MemberEntry], _: &str) -> bool {
        true
    }

    fn push(&self, visit: &Visit, repo: &Repo, request: &PushRequest) -> Decision<PushResponse> {
        let mut request = request.clone();
        let key_epoch = request.envelope.key_epoch;
        let own = repo.manifest.member(&visit.caller).map(|own| MemberEntry { key_epoch, ..own.clone() });
        if let Some(roster) = &mut request.rotated_members
            && roster.iter().all(|entry| entry.ed25519_public_key != visit.caller)
        {
            roster.extend(own);
        }
        operations::push(self, visit, repo, &request)
    }
}

struct RotationKeepsCreator;

impl VaultRules for RotationKeepsCreator {
    fn rotation_keeps_caller(&self, _: &[MemberEntry], _: &str) -> bool {
        true
    }

    fn pushed(&self, repo: &Repo, request: &PushRequest) -> Repo {
        let mut next = operations::pushed(repo, request);
        let first = repo.manifest.members.first().filter(|first| !is_in(&next, &first.ed25519_public_key));
        next.manifest.members.extend(first.cloned());
        next
    }
}
