//! addMember that records something else (SPEC §6, §10).

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;

use axum::http::request::Parts;
use axum::http::{Response, StatusCode};
use bytes::Bytes;
use serde_json::Value;

use super::table::*;
use super::tools::{edit, is_in, lock};
use crate::codec::base64;
use crate::server::edge::Edge;
use crate::server::operations;
use crate::server::refusal::Refusal;
use crate::server::repo::{Decision, Repo, VaultCommand, Visit};
use crate::server::route::Route;
use crate::server::rules::{IdentityRules, VaultRules};
use crate::wire::{MemberAddRequest, MemberEntry, VaultManifest};

/// What is stored after an addition, changed.
struct Added(fn(&Repo, &mut Repo));

impl VaultRules for Added {
    fn added(&self, repo: &Repo, entry: &MemberEntry) -> Repo {
        let mut next = repo.clone();
        next.manifest.members.push(entry.clone());
        next.last_removal = None;
        (self.0)(repo, &mut next);
        next
    }
}

fn last(repo: &mut Repo, change: impl FnOnce(&mut MemberEntry)) {
    if let Some(entry) = repo.manifest.members.last_mut() {
        change(entry);
    }
}

pub fn entry(repo: &Repo, matches: impl Fn(&str) -> bool) -> Option<MemberEntry> {
    repo.manifest.members.iter().find(|entry| matches(&entry.ed25519_public_key)).cloned()
}

/// The faults of this area.
pub(super) const FAULTS: &[Fault] = &[
    fault(
        "entries-of-other-epochs-dont-count",
        &ADD_RECORDS,
        "Who is in the roster with an entry of another epoch than the manifest's is refused as a stranger.",
        || vault(EntriesOfThisEpoch),
    ),
    fault("add-not-stored", &ADD_RECORDS, "addMember answers, and stores nothing.", || vault(AddNotStored)),
    fault(
        "add-answers-old-manifest",
        &ADD_RECORDS,
        "addMember stores the member, and answers with the manifest before it.",
        || vault(AddAnswersOldManifest),
    ),
    fault("add-answers-entry", &ADD_RECORDS, "addMember answers with the new entry, not the manifest.", || {
        edge(AddAnswersEntry)
    }),
    fault(
        "add-replaces-everybody",
        &ADD_RECORDS,
        "addMember leaves the new member and the first one, nobody else.",
        || {
            vault(Added(|repo, next| {
                next.manifest.members.drain(1..repo.manifest.members.len());
            }))
        },
    ),
    fault("add-replaces-last", &ADD_RECORDS, "addMember overwrites the last entry, once there are several.", || {
        vault(Added(|repo, next| {
            if repo.manifest.members.len() > 1 {
                next.manifest.members.remove(repo.manifest.members.len() - 1);
            }
        }))
    }),
    fault("add-raises-version", &ADD_RECORDS, "addMember raises the payload version.", || {
        vault(Added(|_, next| next.manifest.payload_version = next.manifest.payload_version.saturating_add(1)))
    }),
    fault("add-raises-epoch", &ADD_RECORDS, "addMember raises the key epoch.", || {
        vault(Added(|_, next| next.manifest.key_epoch = next.manifest.key_epoch.saturating_add(1)))
    }),
    fault("add-epoch-zero", &ADD_RECORDS, "The new entry's key epoch is stored as 0.", || {
        vault(Added(|_, next| last(next, |entry| entry.key_epoch = 0)))
    }),
    fault("add-epoch-is-version", &ADD_RECORDS, "The new entry's key epoch is stored as the payload version.", || {
        vault(Added(|repo, next| last(next, |entry| entry.key_epoch = repo.manifest.payload_version)))
    }),
    fault("add-swaps-keys", &ADD_RECORDS, "The new entry's X25519 key is stored as the Ed25519 key.", || {
        vault(Added(|_, next| last(next, |entry| entry.x25519_public_key.clone_from(&entry.ed25519_public_key))))
    }),
    fault("add-copies-wrapped-key", &ADD_RECORDS, "The new entry gets the first member's wrapped key.", || {
        vault(Added(|repo, next| {
            last(next, |entry| entry.wrapped_data_key = repo.manifest.members[0].wrapped_data_key.clone())
        }))
    }),
    fault(
        "add-loses-wrapped-key",
        &ADD_RECORDS,
        "The new entry's wrapped key is stored empty, to be filled later.",
        || vault(Added(|_, next| last(next, |entry| entry.wrapped_data_key.ciphertext.clear()))),
    ),
    fault("add-replaces-ephemeral-key", &ADD_RECORDS, "The new entry's ephemeral key is stored as zeros.", || {
        vault(Added(|_, next| {
            last(next, |entry| entry.wrapped_data_key.ephemeral_public_key = base64::encode(&[0; 32]))
        }))
    }),
    fault(
        "add-forgets-after-eight",
        &ADD_RECORDS,
        "A roster has eight members at the most; a ninth is answered, but not stored.",
        || vault(Added(|_, next| next.manifest.members.truncate(8))),
    ),
    fault("add-blanks-others", &ADD_RECORDS, "addMember sets everybody else's key epoch to 0.", || {
        vault(Added(|repo, next| {
            next.manifest.members[..repo.manifest.members.len()].iter_mut().for_each(|entry| entry.key_epoch = 0)
        }))
    }),
    fault("add-pending", &ADD_RECORDS, "A new member can't do anything before his next login.", || {
        identity_and_vault(AddPending::default())
    }),
    fault("add-twice-doubles", &ADD_TWICE, "Adding a member again makes a second entry.", || vault(AddTwiceDoubles)),
    fault("add-again-refused", &RETRY_ADD, "Adding a member again with the same keys is 409.", || {
        vault(AddAgainRefused)
    }),
    fault("add-again-resets-epoch", &RETRY_ADD, "Adding a member again resets the entry's key epoch.", || {
        vault(AddAgainResetsEpoch)
    }),
    fault(
        "add-again-rewrapped-doubles",
        &ADD_TWICE,
        "Adding a member again with another wrapped key makes a second entry.",
        || vault(AddAgainRewrappedDoubles),
    ),
    fault("add-rekeys", &ADD_NO_REKEY, "Adding a member again under another X25519 key replaces the key.", || {
        vault(AddRekeys)
    }),
    fault("add-misspelled-id", &IDENTITY_CANONICAL, "addMember takes any text for a member id.", || {
        vault(AddMisspelledId)
    }),
    fault(
        "invited-by-newcomers-dont-count",
        &ADD_RECORDS,
        "Whoever wasn't added by the first member of the roster is in it, and refused.",
        || vault(InvitedByNewcomers::default()),
    ),
];

struct AddNotStored;

impl VaultRules for AddNotStored {
    fn add(&self, visit: &Visit, repo: &Repo, request: &MemberAddRequest) -> Decision<VaultManifest> {
        Decision { next: None, ..operations::add(self, visit, repo, request) }
    }
}

struct AddAnswersOldManifest;

impl VaultRules for AddAnswersOldManifest {
    fn add(&self, visit: &Visit, repo: &Repo, request: &MemberAddRequest) -> Decision<VaultManifest> {
        operations::add(self, visit, repo, request).map(|_| repo.manifest.clone())
    }
}

struct AddAnswersEntry;

impl Edge for AddAnswersEntry {
    fn response(&self, route: Route, _: &Parts, response: Response<Bytes>) -> Response<Bytes> {
        let last = |answer: &mut Value| {
            *answer = answer["members"].as_array().and_then(|members| members.last().cloned()).unwrap_or_default();
        };
        if route == Route::AddMember { edit(response, last) } else { response }
    }
}

#[derive(Default)]
struct AddPending {
    pending: Mutex<HashMap<(String, String), ()>>,
}

impl IdentityRules for AddPending {
    fn make_nonce(&self, key: &str, random: [u8; 32]) -> Vec<u8> {
        lock(&self.pending).retain(|(_, id), ()| id != key);
        random.to_vec()
    }
}

impl VaultRules for AddPending {
    fn added(&self, repo: &Repo, entry: &MemberEntry) -> Repo {
        let key = (repo.manifest.repo_id.clone(), entry.ed25519_public_key.clone());
        lock(&self.pending).insert(key, ());
        let mut next = repo.clone();
        next.manifest.members.push(entry.clone());
        next
    }

    fn is_member(&self, visit: &Visit, repo: &Repo) -> bool {
        let key = (repo.manifest.repo_id.clone(), visit.caller.clone());
        is_in(repo, &visit.caller) && !lock(&self.pending).contains_key(&key)
    }
}

struct AddTwiceDoubles;

impl VaultRules for AddTwiceDoubles {
    fn add(&self, visit: &Visit, repo: &Repo, request: &MemberAddRequest) -> Decision<VaultManifest> {
        if is_in(repo, &request.member.ed25519_public_key) {
            let next = self.added(repo, &request.member);
            return Decision::write(next.manifest.clone(), next);
        }
        operations::add(self, visit, repo, request)
    }
}

struct AddAgainRefused;

impl VaultRules for AddAgainRefused {
    fn add(&self, visit: &Visit, repo: &Repo, request: &MemberAddRequest) -> Decision<VaultManifest> {
        if is_in(repo, &request.member.ed25519_public_key) {
            return Decision::refuse(Refusal { status: StatusCode::CONFLICT, ..Refusal::bad_request("is there") });
        }
        operations::add(self, visit, repo, request)
    }
}

struct AddAgainResetsEpoch;

impl VaultRules for AddAgainResetsEpoch {
    fn add(&self, visit: &Visit, repo: &Repo, request: &MemberAddRequest) -> Decision<VaultManifest> {
        if is_in(repo, &request.member.ed25519_public_key) {
            let mut next = repo.clone();
            next.manifest.members.retain(|entry| entry.ed25519_public_key != request.member.ed25519_public_key);
            next.manifest.members.push(MemberEntry { key_epoch: 0, ..request.member.clone() });
            return Decision::write(next.manifest.clone(), next);
        }
        operations::add(self, visit, repo, request)
    }
}

struct AddAgainRewrappedDoubles;

impl VaultRules for AddAgainRewrappedDoubles {
    fn add(&self, visit: &Visit, repo: &Repo, request: &MemberAddRequest) -> Decision<VaultManifest> {
        let there = repo.manifest.member(&request.member.ed25519_public_key);
        if there.is_some_and(|there| there.wrapped_data_key != request.member.wrapped_data_key) {
            let next = self.added(repo, &request.member);
            return Decision::write(next.manifest.clone(), next);
        }
        operations::add(self, visit, repo, request)
    }
}

struct AddRekeys;

impl VaultRules for AddRekeys {
    fn add(&self, visit: &Visit, repo: &Repo, request: &MemberAddRequest) -> Decision<VaultManifest> {
        let entry = &request.member;
        let there = repo.manifest.member(&entry.ed25519_public_key);
        if there.is_some_and(|there| there.x25519_public_key != entry.x25519_public_key) {
            let mut next = repo.clone();
            next.manifest.members.retain(|other| other.ed25519_public_key != entry.ed25519_public_key);
            next.manifest.members.push(entry.clone());
            return Decision::write(next.manifest.clone(), next);
        }
        operations::add(self, visit, repo, request)
    }
}

struct AddMisspelledId;

impl VaultRules for AddMisspelledId {
    fn shape(&self, command: &VaultCommand) -> Result<(), Refusal> {
        match command {
            VaultCommand::Add(request) => {
                let mut request = request.clone();
                request.member.ed25519_public_key.clone_from(&request.member.x25519_public_key);
                crate::server::validate::command(&VaultCommand::Add(request))
            }
            _ => crate::server::validate::command(command),
        }
    }
}

struct EntriesOfThisEpoch;

impl VaultRules for EntriesOfThisEpoch {
    fn added_epoch_holds(&self, _: i64, _: i64) -> bool {
        true
    }

    fn is_member(&self, visit: &Visit, repo: &Repo) -> bool {
        let entry = repo.manifest.member(&visit.caller);
        entry.is_some_and(|entry| entry.key_epoch == repo.manifest.key_epoch)
    }
}

#[derive(Default)]
struct InvitedByNewcomers {
    /// Repository and member.
    refused: Mutex<HashSet<(String, String)>>,
}

impl VaultRules for InvitedByNewcomers {
    fn add(&self, visit: &Visit, repo: &Repo, request: &MemberAddRequest) -> Decision<VaultManifest> {
        let outcome = operations::add(self, visit, repo, request);
        let by_first = repo.manifest.members.first().is_some_and(|entry| entry.ed25519_public_key == visit.caller);
        if outcome.next.is_some() && !by_first {
            let member = request.member.ed25519_public_key.clone();
            lock(&self.refused).insert((repo.manifest.repo_id.clone(), member));
        }
        outcome
    }

    fn is_member(&self, visit: &Visit, repo: &Repo) -> bool {
        let refused = lock(&self.refused).contains(&(repo.manifest.repo_id.clone(), visit.caller.clone()));
        is_in(repo, &visit.caller) && !refused
    }
}
