//! Rotating pushes that don't replace the roster, and rosters and envelopes that can't be right (SPEC §6).

use axum::http::request::Parts;
use bytes::Bytes;
use serde_json::{Value, json};

use super::tools::{edit_body, entry_mut, is_in};
use crate::server::operations;
use crate::server::refusal::Refusal;
use crate::server::repo::{Call, Outcome, Repo, Visit};
use crate::server::route::Route;
use crate::server::rules::VaultRules;
use crate::server::store::Store;
use crate::wire::{MemberEntry, PushRequest, PushResponse};

/// What a push makes of the roster: old one, new one if there is one, and the outcome.
struct Roster(fn(&[MemberEntry], Option<&[MemberEntry]>) -> Vec<MemberEntry>);

shared!(Roster: vault);

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

faults! {
    "rotation-merges" breaks PUSH_ROTATES: "rotatedMembers is merged into the roster; who isn't named stays." => {
        is Roster(|old, new| {
            let new = new.unwrap_or(old);
            updated(old, new).into_iter().chain(without(new, old)).collect()
        })
    }
    "rotation-keeps-x25519-keys" breaks PUSH_ROTATES: "rotatedMembers replaces the roster, but the X25519 key of who stays is kept." => {
        is Roster(|old, new| {
            let kept = |entry: &MemberEntry| old.iter().find(|known| known.ed25519_public_key == entry.ed25519_public_key);
            new.unwrap_or(old).iter().map(|entry| MemberEntry {
                x25519_public_key: kept(entry).unwrap_or(entry).x25519_public_key.clone(),
                ..entry.clone()
            }).collect()
        })
    }
    "rotation-ignored" breaks PUSH_ROTATES: "rotatedMembers isn't looked at." => { is Roster(|old, _| old.to_vec()) }
    "rotation-appends" breaks PUSH_ROTATES: "rotatedMembers is appended to the roster." => {
        is Roster(|old, new| [old, new.unwrap_or_default()].concat())
    }
    "rotation-adds-nobody" breaks PUSH_ROTATES: "rotatedMembers updates those who are there; who is new in it is dropped." => {
        is Roster(|old, new| updated(old, new.unwrap_or(old)).into_iter().filter(|entry| {
            new.is_none_or(|new| new.iter().any(|other| other.ed25519_public_key == entry.ed25519_public_key))
        }).collect())
    }
    "rotation-removes-nobody" breaks PUSH_ROTATES: "rotatedMembers replaces the roster, but who isn't named in it is kept at the end." => {
        is Roster(|old, new| {
            let new = new.unwrap_or(old);
            new.iter().cloned().chain(without(old, new)).collect()
        })
    }
    "rotation-keeps-wrapped-keys" breaks PUSH_ROTATES: "rotatedMembers replaces the roster, but who was there keeps the old wrapped key." => {
        is Roster(|old, new| {
            let mut next = new.unwrap_or(old).to_vec();
            for entry in old {
                if let Some(there) = entry_mut(&mut next, &entry.ed25519_public_key) {
                    there.wrapped_data_key = entry.wrapped_data_key.clone();
                }
            }
            next
        })
    }
    "rotation-keeps-member-epochs" breaks PUSH_ROTATES: "rotatedMembers replaces the roster, but who was there keeps the old key epoch." => {
        is Roster(|old, new| {
            let mut next = new.unwrap_or(old).to_vec();
            for entry in old {
                if let Some(there) = entry_mut(&mut next, &entry.ed25519_public_key) {
                    there.key_epoch = entry.key_epoch;
                }
            }
            next
        })
    }
    "rotation-without-envelope" breaks PUSH_ROTATES: "A rotating push replaces the roster, and keeps the old envelope." => {
        vault {
            fn pushed(&self, repo: &Repo, request: &PushRequest) -> Repo {
                let mut next = operations::pushed(repo, request);
                if request.rotated_members.is_some() {
                    next.envelope.clone_from(&repo.envelope);
                }
                next
            }
        }
    }
    "rotation-only-on-new-epoch" breaks PUSH_ROTATES: "rotatedMembers is only looked at if the epoch rises." => {
        vault {
            fn pushed(&self, repo: &Repo, request: &PushRequest) -> Repo {
                let mut next = operations::pushed(repo, request);
                if request.envelope.key_epoch == repo.manifest.key_epoch {
                    next.manifest.members.clone_from(&repo.manifest.members);
                }
                next
            }
        }
    }
    "push-without-roster-empties-it" breaks PUSH_ROTATES: "A push without rotatedMembers leaves nobody but the first member." => {
        is Roster(|old, new| new.unwrap_or(&old[..old.len().min(1)]).to_vec())
    }
    "push-null-roster-empties-it" breaks PUSH_ROTATES: "A push whose rotatedMembers is null leaves nobody but the first member." => {
        edge {
            fn body(&self, _: &Store, route: Route, _: &Parts, body: Bytes) -> Result<Bytes, Refusal> {
                Ok(edit_body(body, |request| if route == Route::Push && request.get("rotatedMembers") == Some(&Value::Null) {
                    request["rotatedMembers"] = json!([]);
                }))
            }
        }
        vault {
            fn roster_holds(&self, members: &[MemberEntry], epoch: i64) -> Result<(), Refusal> {
                if members.is_empty() { Ok(()) } else { operations::roster_holds(members, epoch) }
            }
            fn rotation_keeps_caller(&self, _: &[MemberEntry], _: &str) -> bool { true }
            fn pushed(&self, repo: &Repo, request: &PushRequest) -> Repo {
                let mut next = operations::pushed(repo, request);
                if next.manifest.members.is_empty() {
                    next.manifest.members = repo.manifest.members[..1].to_vec();
                }
                next
            }
        }
    }
    "push-null-roster-refused" breaks PUSH_ROTATES: "A push whose rotatedMembers is null is refused." => {
        edge {
            fn body(&self, _: &Store, route: Route, _: &Parts, body: Bytes) -> Result<Bytes, Refusal> {
                let request: Option<Value> = serde_json::from_slice(&body).ok();
                let null = request.is_some_and(|request| request.get("rotatedMembers") == Some(&Value::Null));
                if route == Route::Push && null { Err(Refusal::bad_request("rotatedMembers isn't an array")) } else { Ok(body) }
            }
        }
    }
    "push-empty-roster" breaks PUSH_CONSISTENT: "An empty rotatedMembers is accepted, and leaves a repository without members." => {
        vault {
            fn roster_holds(&self, members: &[MemberEntry], epoch: i64) -> Result<(), Refusal> {
                if members.is_empty() { Ok(()) } else { operations::roster_holds(members, epoch) }
            }
            fn rotation_keeps_caller(&self, _: &[MemberEntry], _: &str) -> bool { true }
        }
    }
    "push-roster-unchecked" breaks PUSH_CONSISTENT: "rotatedMembers may name somebody twice, and be of any epochs." => {
        vault {
            fn roster_holds(&self, _: &[MemberEntry], _: i64) -> Result<(), Refusal> { Ok(()) }
        }
    }
    "push-roster-mixed-epochs" breaks PUSH_CONSISTENT: "The epochs of rotatedMembers need not be the envelope's." => {
        vault {
            fn roster_holds(&self, members: &[MemberEntry], _: i64) -> Result<(), Refusal> {
                let members: Vec<_> = members.iter().map(|entry| MemberEntry { key_epoch: 0, ..entry.clone() }).collect();
                operations::roster_holds(&members, 0)
            }
        }
    }
    "push-roster-not-base64" breaks PUSH_CONSISTENT: "The strings in rotatedMembers aren't looked at." => {
        vault {
            fn shape(&self, call: &Call) -> Result<(), Refusal> {
                match call {
                    Call::Push(request) => {
                        let request = PushRequest { rotated_members: None, ..request.clone() };
                        crate::server::validate::call(&Call::Push(request))
                    }
                    _ => crate::server::validate::call(call),
                }
            }
        }
    }
    "push-epoch-down" breaks PUSH_CONSISTENT: "The epoch of a push may go down." => {
        vault {
            fn push_epoch_holds(&self, new: i64, current: i64, _: bool) -> bool { new <= current }
        }
    }
    "push-any-epoch" breaks PUSH_CONSISTENT: "The epoch of a push may be any." => {
        vault {
            fn push_epoch_holds(&self, _: i64, _: i64, _: bool) -> bool { true }
        }
    }
    "push-epoch-down-ignored" breaks PUSH_CONSISTENT: "An envelope of a lower epoch is accepted, and the manifest keeps its own." => {
        vault {
            fn push_epoch_holds(&self, _: i64, _: i64, _: bool) -> bool { true }
            fn pushed(&self, repo: &Repo, request: &PushRequest) -> Repo {
                let mut next = operations::pushed(repo, request);
                next.manifest.key_epoch = repo.manifest.key_epoch.max(next.manifest.key_epoch);
                next
            }
        }
    }
    "push-foreign-envelope" breaks PUSH_CONSISTENT: "The envelope of a push may name another repository." => {
        vault {
            fn envelope_belongs(&self, _: &str, _: &str) -> bool { true }
        }
    }
    "push-foreign-envelope-renamed" breaks PUSH_CONSISTENT: "An envelope that names another repository is accepted, and its name overwritten." => {
        vault {
            fn envelope_belongs(&self, _: &str, _: &str) -> bool { true }
            fn pushed(&self, repo: &Repo, request: &PushRequest) -> Repo {
                let mut next = operations::pushed(repo, request);
                next.envelope.repo_id.clone_from(&repo.manifest.repo_id);
                next
            }
        }
    }
    "rotation-keeps-author" breaks PUSH_ROTATES: "Whoever rotates by push stays in the roster, though it leaves him out." => {
        vault {
            fn rotation_keeps_caller(&self, _: &[MemberEntry], _: &str) -> bool { true }
            fn push(&self, visit: &Visit, repo: &Repo, request: &PushRequest) -> Outcome<PushResponse> {
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
    }
    "rotation-keeps-creator" breaks PUSH_ROTATES: "The first member is put back into a roster that leaves him out." => {
        vault {
            fn rotation_keeps_caller(&self, _: &[MemberEntry], _: &str) -> bool { true }
            fn pushed(&self, repo: &Repo, request: &PushRequest) -> Repo {
                let mut next = operations::pushed(repo, request);
                let first = repo.manifest.members.first().filter(|first| !is_in(&next, &first.ed25519_public_key));
                next.manifest.members.extend(first.cloned());
                next
            }
        }
    }
}
