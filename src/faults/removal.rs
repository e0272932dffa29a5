//! removeMember that doesn't remove, or doesn't rotate (SPEC §6, §10).

use super::table::*;
use super::tools::entry_mut;
use crate::server::operations;
use crate::server::repo::{Decision, Repo, Visit};
use crate::server::rules::VaultRules;
use crate::wire::{MemberEntry, MemberRemoveRequest, VaultManifest};

/// What is stored after a removal, changed.
struct Removed(fn(&Repo, &MemberRemoveRequest, &mut Repo));

impl VaultRules for Removed {
    fn removed(&self, repo: &Repo, request: &MemberRemoveRequest, digest: Vec<u8>) -> Repo {
        let mut next = operations::removed(repo, request, digest);
        (self.0)(repo, request, &mut next);
        next
    }
}

/// As [`Removed`], with a roster that may name the removed member.
struct Trusting(fn(&Repo, &MemberRemoveRequest, &mut Repo));

impl VaultRules for Trusting {
    fn removed_is_absent(&self, _: &[MemberEntry], _: &str) -> bool {
        true
    }

    fn removed(&self, repo: &Repo, request: &MemberRemoveRequest, digest: Vec<u8>) -> Repo {
        let mut next = operations::removed(repo, request, digest);
        (self.0)(repo, request, &mut next);
        next
    }
}

fn drop_member(repo: &mut Repo, id: &str) {
    repo.manifest.members.retain(|entry| entry.ed25519_public_key != id);
}

/// The old roster without the removed member.
fn rest(repo: &Repo, request: &MemberRemoveRequest) -> Vec<MemberEntry> {
    let mut rest = repo.clone();
    drop_member(&mut rest, &request.removed_member_id);
    rest.manifest.members
}

/// Old entries, in the new version where there is one.
fn refreshed(old: &[MemberEntry], new: &[MemberEntry]) -> Vec<MemberEntry> {
    let find = |id: &str| new.iter().find(|entry| entry.ed25519_public_key == id);
    old.iter().map(|entry| find(&entry.ed25519_public_key).unwrap_or(entry).clone()).collect()
}

/// Whoever removes somebody stays, whatever the new roster says.
struct KeepsCaller;

impl VaultRules for KeepsCaller {
    fn remove(&self, visit: &Visit, repo: &Repo, request: &MemberRemoveRequest) -> Decision<VaultManifest> {
        let mut request = request.clone();
        let is_there = request.rewrapped_members.iter().any(|entry| entry.ed25519_public_key == visit.caller);
        let own =
            repo.manifest.member(&visit.caller).filter(|_| !is_there && visit.caller != request.removed_member_id);
        let kept = own.map(|own| MemberEntry { key_epoch: request.new_key_epoch, ..own.clone() });
        request.rewrapped_members.extend(kept);
        operations::remove(self, visit, repo, &request)
    }
}

/// The faults of this area.
pub(super) const FAULTS: &[Fault] = &[
    fault(
        "removal-keeps-caller",
        &REMOVE_REPLACES,
        "Who removes somebody stays a member, also where the new roster doesn't name it.",
        || vault(KeepsCaller),
    ),
    fault(
        "removal-in-any-case",
        &REMOVE_REPLACES,
        "A removal drops from the new roster whoever has the removed id in another letter case.",
        || vault(RemovalInAnyCase),
    ),
    fault(
        "removal-finds-in-any-case",
        &REMOVE_UNKNOWN,
        "A removal finds the member whom it names in any letter case.",
        || vault(RemovalFindsInAnyCase),
    ),
    fault(
        "rotation-unique-in-any-case",
        &PUSH_ROTATES,
        "Of roster entries whose ids differ in letter case only, a rotating push keeps the first.",
        || vault(RotationUniqueInAnyCase),
    ),
    fault("remove-trusts-roster", &REMOVE_DROPS, "The removed member stays if rewrappedMembers names it.", || {
        vault(Trusting(|_, _, _| ()))
    }),
    fault("remove-keeps-member", &REMOVE_DROPS, "The removed member's old entry stays, next to the new ones.", || {
        vault(Removed(|repo, request, next| {
            next.manifest.members.extend(repo.manifest.member(&request.removed_member_id).cloned())
        }))
    }),
    fault(
        "remove-drops-nobody",
        &REMOVE_DROPS,
        "The others get their new wrapped keys, and nobody is dropped.",
        || {
            vault(Removed(|repo, request, next| {
                next.manifest.members = refreshed(&repo.manifest.members, &request.rewrapped_members)
            }))
        },
    ),
    fault(
        "remove-drops-first",
        &REMOVE_REPLACES,
        "The first of the others is dropped as well, once there are several.",
        || {
            vault(Removed(|_, _, next| {
                if next.manifest.members.len() > 1 {
                    next.manifest.members.remove(0);
                }
            }))
        },
    ),
    fault(
        "remove-drops-last",
        &REMOVE_REPLACES,
        "The last of the others is dropped as well, once there are several.",
        || {
            vault(Removed(|_, _, next| {
                if next.manifest.members.len() > 1 {
                    next.manifest.members.pop();
                }
            }))
        },
    ),
    fault(
        "remove-keeps-wrapped-keys",
        &REMOVE_REPLACES,
        "The member is dropped, and the others keep their old entries.",
        || vault(Removed(|repo, request, next| next.manifest.members = rest(repo, request))),
    ),
    fault(
        "remove-merges-roster",
        &REMOVE_REPLACES,
        "rewrappedMembers is merged into the rest; who isn't named stays with an old wrapped key.",
        || {
            vault(Removed(|repo, request, next| {
                next.manifest.members = refreshed(&rest(repo, request), &request.rewrapped_members)
            }))
        },
    ),
    fault("remove-keeps-member-epochs", &REMOVE_REPLACES, "The new entries keep the old key epochs.", || {
        vault(Removed(|repo, _, next| {
            for entry in &repo.manifest.members {
                if let Some(there) = entry_mut(&mut next.manifest.members, &entry.ed25519_public_key) {
                    there.key_epoch = entry.key_epoch;
                }
            }
        }))
    }),
    fault(
        "remove-rewraps-caller-only",
        &REMOVE_REPLACES,
        "Only the first of the new entries is stored; the others keep their old ones.",
        || {
            vault(Removed(|repo, request, next| {
                let first = &request.rewrapped_members[..request.rewrapped_members.len().min(1)];
                next.manifest.members = refreshed(&rest(repo, request), first);
            }))
        },
    ),
    fault(
        "remove-keeps-envelope",
        &OLD_KEYS_USELESS,
        "The old envelope stays, for which the removed member has the key.",
        || vault(Removed(|repo, _, next| next.envelope.clone_from(&repo.envelope))),
    ),
    fault(
        "remove-keeps-ciphertext",
        &REMOVE_REPLACES,
        "The envelope's header is the rotated one, IV and ciphertext are the old ones.",
        || {
            vault(Removed(|repo, _, next| {
                next.envelope.iv.clone_from(&repo.envelope.iv);
                next.envelope.ciphertext.clone_from(&repo.envelope.ciphertext);
            }))
        },
    ),
    fault("remove-keeps-iv", &REMOVE_REPLACES, "The rotated envelope is stored with the old IV.", || {
        vault(Removed(|repo, _, next| next.envelope.iv.clone_from(&repo.envelope.iv)))
    }),
    fault("remove-keeps-version", &REMOVE_REPLACES, "The manifest keeps the old payload version.", || {
        vault(Removed(|repo, _, next| next.manifest.payload_version = repo.manifest.payload_version))
    }),
    fault("remove-keeps-epoch", &EPOCH_RISES, "The manifest keeps the old key epoch.", || {
        vault(Removed(|repo, _, next| next.manifest.key_epoch = repo.manifest.key_epoch))
    }),
    fault("remove-counts-epoch", &REMOVE_REPLACES, "The epoch is raised by one, whatever newKeyEpoch says.", || {
        vault(Removed(|repo, _, next| next.manifest.key_epoch = repo.manifest.key_epoch.saturating_add(1)))
    }),
    fault("remove-not-stored", &REMOVE_REPLACES, "removeMember answers, and stores nothing.", || {
        vault(RemoveNotStored)
    }),
    fault("remove-answers-old-manifest", &REMOVE_REPLACES, "removeMember answers with the manifest before it.", || {
        vault(RemoveAnswersOldManifest)
    }),
    fault(
        "first-member-cannot-go",
        &REMOVE_REPLACES,
        "Position 0 in the roster is taken for none: the removal of its first member is answered with 404.",
        || vault(FirstMemberCannotGo),
    ),
];

struct RemovalInAnyCase;

impl VaultRules for RemovalInAnyCase {
    fn removed(&self, repo: &Repo, request: &MemberRemoveRequest, digest: Vec<u8>) -> Repo {
        let mut next = operations::removed(repo, request, digest);
        next.manifest
            .members
            .retain(|entry| !entry.ed25519_public_key.eq_ignore_ascii_case(&request.removed_member_id));
        next
    }
}

struct RemovalFindsInAnyCase;

impl VaultRules for RemovalFindsInAnyCase {
    fn remove(&self, visit: &Visit, repo: &Repo, request: &MemberRemoveRequest) -> Decision<VaultManifest> {
        let mut request = request.clone();
        let mut members = repo.manifest.members.iter().map(|entry| &entry.ed25519_public_key);
        if let Some(id) = members.find(|id| id.eq_ignore_ascii_case(&request.removed_member_id)) {
            request.removed_member_id.clone_from(id);
        }
        operations::remove(self, visit, repo, &request)
    }
}

struct RotationUniqueInAnyCase;

impl VaultRules for RotationUniqueInAnyCase {
    fn pushed(&self, repo: &Repo, request: &crate::wire::PushRequest) -> Repo {
        let mut next = operations::pushed(repo, request);
        let mut seen = std::collections::HashSet::new();
        next.manifest.members.retain(|entry| seen.insert(entry.ed25519_public_key.to_lowercase()));
        next
    }
}

struct RemoveNotStored;

impl VaultRules for RemoveNotStored {
    fn remove(&self, visit: &Visit, repo: &Repo, request: &MemberRemoveRequest) -> Decision<VaultManifest> {
        Decision { next: None, ..operations::remove(self, visit, repo, request) }
    }
}

struct RemoveAnswersOldManifest;

impl VaultRules for RemoveAnswersOldManifest {
    fn remove(&self, visit: &Visit, repo: &Repo, request: &MemberRemoveRequest) -> Decision<VaultManifest> {
        operations::remove(self, visit, repo, request).map(|_| repo.manifest.clone())
    }
}

struct FirstMemberCannotGo;

impl VaultRules for FirstMemberCannotGo {
    fn removal_is_of_member(&self, repo: &Repo, removed: &str) -> bool {
        repo.manifest
            .members
            .iter()
            .position(|entry| entry.ed25519_public_key == removed)
            .is_some_and(|place| place > 0)
    }
}
