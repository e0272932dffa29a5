//! One row where there should be two: what is kept once per value, and constraints that nobody asked for (SPEC §4, §6).

use std::collections::HashMap;
use std::sync::Mutex;

use super::tools::lock;
use crate::server::operations;
use crate::server::refusal::Refusal;
use crate::server::repo::{Outcome, Repo, Visit};
use crate::server::route::Route;
use crate::wire::{EncryptedEnvelope, MemberAddRequest, MemberEntry, VaultManifest, WrappedKey};

fn with_key<'r>(repo: &'r Repo, request: &MemberAddRequest) -> Option<&'r str> {
    let new = &request.member;
    let others = repo.manifest.members.iter().filter(|entry| entry.ed25519_public_key != new.ed25519_public_key);
    others
        .into_iter()
        .find(|entry| entry.x25519_public_key == new.x25519_public_key)
        .map(|entry| entry.ed25519_public_key.as_str())
}

/// A member's home: the first repository that he was added to.
#[derive(Default)]
struct Homes(Mutex<HashMap<String, String>>);

impl Homes {
    fn is_elsewhere(&self, repo: &Repo, member: &str) -> bool {
        let mut homes = lock(&self.0);
        *homes.entry(member.to_owned()).or_insert_with(|| repo.manifest.repo_id.clone()) != repo.manifest.repo_id
    }
}

faults! {
    "member-of-one-repository" breaks ADD_RECORDS: "Who was added to a repository can't be added to another (409)." => {
        state { homes: Homes }
        vault {
            fn add(&self, visit: &Visit, repo: &Repo, request: &MemberAddRequest) -> Outcome<VaultManifest> {
                if self.homes.is_elsewhere(repo, &request.member.ed25519_public_key) {
                    return Outcome::refuse(Refusal { status: axum::http::StatusCode::CONFLICT, ..Refusal::internal("member exists") });
                }
                operations::add(self, visit, repo, request)
            }
        }
    }
    "x25519-key-is-the-member" breaks ADD_RECORDS: "Who is added with a member's X25519 key takes that member's place." => {
        vault {
            fn added(&self, repo: &Repo, entry: &crate::wire::MemberEntry) -> Repo {
                let mut next = repo.clone();
                next.manifest.members.retain(|other| other.x25519_public_key != entry.x25519_public_key);
                next.manifest.members.push(entry.clone());
                next.last_removal = None;
                next
            }
        }
    }
    "x25519-key-twice-500" breaks ADD_RECORDS: "Who is added with a member's X25519 key breaks a constraint, and the server with it." => {
        vault {
            fn add(&self, visit: &Visit, repo: &Repo, request: &MemberAddRequest) -> Outcome<VaultManifest> {
                match with_key(repo, request) {
                    Some(_) => Outcome::refuse(Refusal::internal("UNIQUE constraint failed")),
                    None => operations::add(self, visit, repo, request),
                }
            }
        }
    }
    "rosters-interned" breaks ADD_RECORDS: "Equal rosters are kept once, and addMember changes what is kept: repositories of equal rosters share it." => {
        state { with: Mutex<HashMap<String, Vec<(String, MemberEntry)>>>, of: Mutex<HashMap<String, String>> }
        vault {
            fn stored(&self, route: Route, _: Option<&Repo>, next: Repo) -> Repo {
                let id = next.manifest.repo_id.clone();
                match (route, next.manifest.members.as_slice()) {
                    (Route::CreateRepo, [only]) => {
                        lock(&self.of).insert(id, only.wrapped_data_key.ciphertext.clone());
                    }
                    (Route::AddMember, [.., last]) => {
                        if let Some(of) = lock(&self.of).get(&id).cloned() {
                            lock(&self.with).entry(of).or_default().push((id, last.clone()));
                        }
                    }
                    _ => {
                        lock(&self.of).remove(&id);
                    }
                }
                next
            }
            fn loaded(&self, _: Route, mut repo: Repo) -> Repo {
                let Some(of) = lock(&self.of).get(&repo.manifest.repo_id).cloned() else { return repo };
                for (id, entry) in lock(&self.with).get(&of).into_iter().flatten() {
                    if *id != repo.manifest.repo_id {
                        repo.manifest.members.push(entry.clone());
                    }
                }
                repo
            }
        }
    }
    "iv-of-the-same-ciphertext" breaks STORED_VERBATIM: "Envelopes are kept once per ciphertext, with the IV of the first." => {
        state { ivs: Mutex<HashMap<String, String>> }
        vault {
            fn stored(&self, _: Route, _: Option<&Repo>, mut next: Repo) -> Repo {
                let EncryptedEnvelope { iv, ciphertext, .. } = &mut next.envelope;
                iv.clone_from(lock(&self.ivs).entry(ciphertext.clone()).or_insert_with(|| iv.clone()));
                next
            }
        }
    }
    "ciphertext-of-the-same-iv" breaks STORED_VERBATIM: "Envelopes are kept once per IV, with the ciphertext of the first." => {
        state { texts: Mutex<HashMap<(String, String), String>> }
        vault {
            fn stored(&self, _: Route, _: Option<&Repo>, mut next: Repo) -> Repo {
                let EncryptedEnvelope { repo_id, iv, ciphertext, .. } = &mut next.envelope;
                let key = (repo_id.clone(), iv.clone());
                ciphertext.clone_from(lock(&self.texts).entry(key).or_insert_with(|| ciphertext.clone()));
                next
            }
        }
    }
    "wrapped-keys-by-ciphertext" breaks STORED_VERBATIM: "Wrapped keys are kept once per ciphertext, with IV and ephemeral key of the first." => {
        state { keys: Mutex<HashMap<String, WrappedKey>> }
        vault {
            fn stored(&self, _: Route, _: Option<&Repo>, mut next: Repo) -> Repo {
                let mut keys = lock(&self.keys);
                for entry in &mut next.manifest.members {
                    let own = &mut entry.wrapped_data_key;
                    *own = keys.entry(own.ciphertext.clone()).or_insert_with(|| own.clone()).clone();
                }
                next
            }
        }
    }
    "wrapped-keys-by-ephemeral-key" breaks STORED_VERBATIM: "In a roster, wrapped keys are kept once per ephemeral key." => {
        vault {
            fn stored(&self, _: Route, _: Option<&Repo>, mut next: Repo) -> Repo {
                let mut keys: HashMap<String, WrappedKey> = HashMap::new();
                for entry in &mut next.manifest.members {
                    let own = &mut entry.wrapped_data_key;
                    *own = keys.entry(own.ephemeral_public_key.clone()).or_insert_with(|| own.clone()).clone();
                }
                next
            }
        }
    }
}
