//! createRepo that takes what it shouldn't, keeps what it refused, or returns what it didn't keep (SPEC §6).

use std::collections::HashSet;
use std::sync::Mutex;

use axum::http::request::Parts;
use axum::http::{Response, StatusCode};
use bytes::Bytes;
use serde_json::{Value, json};

use super::tools::{edit, is_in, is_refused, lock, refuse_and};
use crate::codec::base64;
use crate::server::operations;
use crate::server::refusal::Refusal;
use crate::server::repo::{Answer, Call, Outcome, Repo, Visit};
use crate::server::route::Route;
use crate::server::store::Tx;
use crate::wire::{CreateRepoRequest, MemberEntry, VaultManifest};

fn ids(members: &[MemberEntry]) -> impl Iterator<Item = &str> {
    members.iter().map(|entry| entry.ed25519_public_key.as_str())
}

/// Creates over whatever is there.
fn overwrite(request: &CreateRepoRequest) -> Outcome<VaultManifest> {
    Outcome::write(request.manifest.clone(), operations::fresh(request))
}

fn is_alone(members: &[MemberEntry], caller: &str) -> bool {
    matches!(members, [only] if only.ed25519_public_key == caller)
}

faults! {
    "plus-is-a-blank-in-the-caller" breaks NO_ACCOUNT: "A plus in the caller's id is read as a blank, so that he isn't the sole member." => {
        vault {
            fn sole_member_is_caller(&self, members: &[MemberEntry], caller: &str) -> bool {
                !caller.contains('+') && is_alone(members, caller)
            }
        }
    }
    "some-keys-may-not-create" breaks CREATE_RETURNS: "Every second key may create no repository." => {
        vault {
            fn sole_member_is_caller(&self, members: &[MemberEntry], caller: &str) -> bool {
                !caller.as_bytes().first().is_some_and(|first| first.is_multiple_of(2))
                    && is_alone(members, caller)
            }
        }
    }
    "create-empty-roster" breaks CREATE_SOLE_MEMBER: "A repository without any member can be created." => {
        vault {
            fn sole_member_is_caller(&self, members: &[MemberEntry], caller: &str) -> bool {
                members.len() < 2 && ids(members).all(|id| id == caller)
            }
            fn creation_agrees(&self, _: &CreateRepoRequest) -> Result<(), Refusal> { Ok(()) }
        }
    }
    "create-among-others" breaks CREATE_SOLE_MEMBER: "It is enough that the caller is among the members." => {
        vault {
            fn sole_member_is_caller(&self, members: &[MemberEntry], caller: &str) -> bool {
                ids(members).any(|id| id == caller)
            }
        }
    }
    "create-first-of-several" breaks CREATE_SOLE_MEMBER: "Only the first member is compared with the caller." => {
        vault {
            fn sole_member_is_caller(&self, members: &[MemberEntry], caller: &str) -> bool {
                ids(members).next() == Some(caller)
            }
        }
    }
    "create-last-of-several" breaks CREATE_SOLE_MEMBER: "Only the last member is compared with the caller." => {
        vault {
            fn sole_member_is_caller(&self, members: &[MemberEntry], caller: &str) -> bool {
                ids(members).last() == Some(caller)
            }
        }
    }
    "create-for-somebody-else" breaks CREATE_SOLE_MEMBER: "The members are counted, but not compared with the caller." => {
        vault {
            fn sole_member_is_caller(&self, members: &[MemberEntry], _: &str) -> bool { members.len() == 1 }
        }
    }
    "create-any-roster" breaks CREATE_SOLE_MEMBER: "The roster of a new repository isn't looked at." => {
        vault {
            fn sole_member_is_caller(&self, _: &[MemberEntry], _: &str) -> bool { true }
            fn creation_agrees(&self, _: &CreateRepoRequest) -> Result<(), Refusal> { Ok(()) }
        }
    }
    "create-takes-first-only" breaks CREATE_SOLE_MEMBER: "A roster of several is accepted, and cut down to the caller in silence." => {
        vault {
            fn create(&self, visit: &Visit, existing: Option<&Repo>, request: &CreateRepoRequest) -> Outcome<VaultManifest> {
                let mut request = request.clone();
                request.manifest.members.retain(|entry| entry.ed25519_public_key == visit.caller);
                operations::create(self, visit, existing, &request)
            }
        }
    }
    "create-stored-then-refused" breaks CREATE_SOLE_MEMBER: "A creation is stored before its roster is checked." => {
        vault {
            fn create(&self, visit: &Visit, existing: Option<&Repo>, request: &CreateRepoRequest) -> Outcome<VaultManifest> {
                let outcome = operations::create(self, visit, existing, request);
                match outcome.answer {
                    Err(refusal) if refusal.status == StatusCode::FORBIDDEN && existing.is_none() => {
                        refuse_and(refusal, operations::fresh(request))
                    }
                    answer => Outcome { answer, next: outcome.next },
                }
            }
        }
    }
    "create-refused-takes-id" breaks CREATE_SOLE_MEMBER: "The id of a refused creation can't be used any more." => {
        state { burnt: Mutex<HashSet<String>> }
        vault {
            fn create(&self, visit: &Visit, existing: Option<&Repo>, request: &CreateRepoRequest) -> Outcome<VaultManifest> {
                let id = &request.manifest.repo_id;
                if lock(&self.burnt).contains(id) {
                    return Outcome::refuse(Refusal::duplicate_repo());
                }
                let outcome = operations::create(self, visit, existing, request);
                if is_refused(&outcome, StatusCode::FORBIDDEN) && existing.is_none() {
                    lock(&self.burnt).insert(id.clone());
                }
                outcome
            }
        }
    }
    "duplicate-overwrites" breaks CREATE_DUPLICATE: "A second createRepo replaces the first repository." => {
        vault {
            fn create(&self, visit: &Visit, _: Option<&Repo>, request: &CreateRepoRequest) -> Outcome<VaultManifest> {
                operations::create(self, visit, None, request)
            }
        }
    }
    "duplicate-by-owner-overwrites" breaks CREATE_DUPLICATE: "A member may create the repository again, which replaces it." => {
        vault {
            fn create(&self, visit: &Visit, existing: Option<&Repo>, request: &CreateRepoRequest) -> Outcome<VaultManifest> {
                let existing = existing.filter(|repo| !is_in(repo, &visit.caller));
                operations::create(self, visit, existing, request)
            }
        }
    }
    "duplicate-by-stranger-overwrites" breaks CREATE_DUPLICATE: "Ids are unique per owner only: a stranger's createRepo replaces the repository." => {
        vault {
            fn create(&self, visit: &Visit, existing: Option<&Repo>, request: &CreateRepoRequest) -> Outcome<VaultManifest> {
                let existing = existing.filter(|repo| is_in(repo, &visit.caller));
                operations::create(self, visit, existing, request)
            }
        }
    }
    "duplicate-is-ok" breaks CREATE_DUPLICATE: "A second createRepo by a member is answered with the first repository." => {
        vault {
            fn create(&self, visit: &Visit, existing: Option<&Repo>, request: &CreateRepoRequest) -> Outcome<VaultManifest> {
                match existing.filter(|repo| is_in(repo, &visit.caller)) {
                    Some(repo) => Outcome::read(repo.manifest.clone()),
                    None => operations::create(self, visit, existing, request),
                }
            }
        }
    }
    "duplicate-ok-but-ignored" breaks CREATE_DUPLICATE: "A second createRepo is answered as if it had worked (INSERT OR IGNORE)." => {
        vault {
            fn create(&self, visit: &Visit, existing: Option<&Repo>, request: &CreateRepoRequest) -> Outcome<VaultManifest> {
                let outcome = operations::create(self, visit, None, request);
                Outcome { next: outcome.next.filter(|_| existing.is_none()), ..outcome }
            }
        }
    }
    "duplicate-409-but-overwrites" breaks CREATE_DUPLICATE: "A second createRepo is refused after it has replaced the first." => {
        vault {
            fn create(&self, visit: &Visit, existing: Option<&Repo>, request: &CreateRepoRequest) -> Outcome<VaultManifest> {
                let outcome = operations::create(self, visit, existing, request);
                let next = if is_refused(&outcome, StatusCode::CONFLICT) { overwrite(request).next } else { outcome.next };
                Outcome { answer: outcome.answer, next }
            }
        }
    }
    "duplicate-409-but-envelope" breaks CREATE_DUPLICATE: "A second createRepo is refused after its envelope was stored." => {
        vault {
            fn create(&self, visit: &Visit, existing: Option<&Repo>, request: &CreateRepoRequest) -> Outcome<VaultManifest> {
                let outcome = operations::create(self, visit, existing, request);
                match (existing, outcome) {
                    (Some(repo), Outcome { answer: Err(refusal), .. }) if refusal.status == StatusCode::CONFLICT => {
                        refuse_and(refusal, Repo { envelope: request.initial_envelope.clone(), ..repo.clone() })
                    }
                    (_, outcome) => outcome,
                }
            }
        }
    }
    "duplicate-409-but-joins" breaks CREATE_DUPLICATE: "A second createRepo by a stranger is refused, but makes him a member." => {
        vault {
            fn create(&self, visit: &Visit, existing: Option<&Repo>, request: &CreateRepoRequest) -> Outcome<VaultManifest> {
                let outcome = operations::create(self, visit, existing, request);
                match (existing, outcome) {
                    (Some(repo), Outcome { answer: Err(refusal), .. })
                        if refusal.status == StatusCode::CONFLICT && !is_in(repo, &visit.caller) =>
                    {
                        let mut next = repo.clone();
                        next.manifest.members.extend(request.manifest.members.iter().cloned());
                        refuse_and(refusal, next)
                    }
                    (_, outcome) => outcome,
                }
            }
        }
    }
    "duplicate-500" breaks CREATE_DUPLICATE: "The database refuses a duplicate, and nobody catches that." => {
        vault {
            fn create(&self, visit: &Visit, existing: Option<&Repo>, request: &CreateRepoRequest) -> Outcome<VaultManifest> {
                let outcome = operations::create(self, visit, existing, request);
                if is_refused(&outcome, StatusCode::CONFLICT) {
                    return Outcome::refuse(Refusal::internal("UNIQUE constraint failed: repos.id"));
                }
                outcome
            }
        }
    }
    "duplicate-is-400" breaks STATUS_DUPLICATE: "A duplicate id is answered with 400." => {
        vault {
            fn create(&self, visit: &Visit, existing: Option<&Repo>, request: &CreateRepoRequest) -> Outcome<VaultManifest> {
                let outcome = operations::create(self, visit, existing, request);
                if is_refused(&outcome, StatusCode::CONFLICT) {
                    return Outcome::refuse(Refusal::bad_request("the repository exists"));
                }
                outcome
            }
        }
    }
    "create-not-stored" breaks CREATE_RETURNS: "createRepo answers, and stores nothing." => {
        vault {
            fn create(&self, visit: &Visit, existing: Option<&Repo>, request: &CreateRepoRequest) -> Outcome<VaultManifest> {
                Outcome { next: None, ..operations::create(self, visit, existing, request) }
            }
        }
    }
    "create-loses-payload" breaks CREATE_RETURNS: "The first payload is stored as an empty one." => {
        vault {
            fn stored(&self, route: Route, _: Option<&Repo>, mut next: Repo) -> Repo {
                if route == Route::CreateRepo {
                    next.envelope.ciphertext = base64::encode(&[0; 16]);
                }
                next
            }
        }
    }
    "create-version-starts-at-one" breaks CREATE_RETURNS: "The payload version starts at 1, whatever the manifest says." => {
        vault {
            fn stored(&self, route: Route, _: Option<&Repo>, mut next: Repo) -> Repo {
                if route == Route::CreateRepo {
                    next.manifest.payload_version = 1;
                }
                next
            }
        }
    }
    "create-epoch-starts-at-zero" breaks CREATE_RETURNS: "The key epoch starts at 0, whatever the manifest says." => {
        vault {
            fn stored(&self, route: Route, _: Option<&Repo>, mut next: Repo) -> Repo {
                if route == Route::CreateRepo {
                    next.manifest.key_epoch = 0;
                }
                next
            }
        }
    }
    "create-member-epoch-lost" breaks CREATE_RETURNS: "The first member's key epoch is stored as 0." => {
        vault {
            fn stored(&self, route: Route, _: Option<&Repo>, mut next: Repo) -> Repo {
                if route == Route::CreateRepo {
                    next.manifest.members.iter_mut().for_each(|entry| entry.key_epoch = 0);
                }
                next
            }
        }
    }
    "create-scheme-of-its-own" breaks CREATE_RETURNS: "The scheme of a new repository is the server's default, not the client's." => {
        vault {
            fn stored(&self, _: Route, _: Option<&Repo>, mut next: Repo) -> Repo {
                next.manifest.scheme_id = "default".into();
                next
            }
        }
    }
    "create-answers-empty-object" breaks CREATE_RETURNS: "createRepo answers with an empty object." => {
        edge {
            fn response(&self, route: Route, _: &Parts, response: Response<Bytes>) -> Response<Bytes> {
                if route == Route::CreateRepo { edit(response, |answer| *answer = json!({})) } else { response }
            }
        }
    }
    "create-answers-nothing" breaks CREATE_RETURNS: "createRepo answers with 204 and no manifest." => {
        edge {
            fn response(&self, route: Route, _: &Parts, mut response: Response<Bytes>) -> Response<Bytes> {
                if route == Route::CreateRepo && response.status().is_success() {
                    *response.status_mut() = StatusCode::NO_CONTENT;
                    *response.body_mut() = Bytes::new();
                }
                response
            }
        }
    }
    "create-answers-id-only" breaks CREATE_RETURNS: "createRepo answers with the repository id alone." => {
        edge {
            fn response(&self, route: Route, _: &Parts, response: Response<Bytes>) -> Response<Bytes> {
                let id_only = |answer: &mut Value| *answer = json!({ "repoId": answer["repoId"] });
                if route == Route::CreateRepo { edit(response, id_only) } else { response }
            }
        }
    }
    "create-foreign-envelope" breaks CREATE_CONSISTENT: "The envelope of a new repository may name another one." => {
        vault {
            fn creation_agrees(&self, request: &CreateRepoRequest) -> Result<(), Refusal> {
                let mut request = request.clone();
                request.initial_envelope.repo_id.clone_from(&request.manifest.repo_id);
                operations::creation_agrees(&request)
            }
        }
    }
    "create-scope-envelope" breaks PUSH_SCOPE: "The first envelope is stored with the repository that it names, whoever creates another." => {
        vault {
            fn creation_agrees(&self, request: &CreateRepoRequest) -> Result<(), Refusal> {
                let mut request = request.clone();
                request.initial_envelope.repo_id.clone_from(&request.manifest.repo_id);
                operations::creation_agrees(&request)
            }
            fn committed(&self, tx: &Tx<'_>, visit: &Visit, _: Option<&Repo>, next: &Repo) -> rusqlite::Result<()> {
                let named = &next.envelope.repo_id;
                let creates = matches!(visit.call, Call::Create(_)) && *named != next.manifest.repo_id;
                if creates && let Some(other) = tx.load(named)? {
                    tx.put(&Repo { envelope: next.envelope.clone(), ..other })?;
                }
                Ok(())
            }
        }
    }
    "create-versions-disagree" breaks CREATE_CONSISTENT: "Manifest and envelope of a new repository may be of different versions." => {
        vault {
            fn creation_agrees(&self, request: &CreateRepoRequest) -> Result<(), Refusal> {
                let mut request = request.clone();
                request.initial_envelope.payload_version = request.manifest.payload_version;
                operations::creation_agrees(&request)
            }
        }
    }
    "create-epochs-disagree" breaks CREATE_CONSISTENT: "Manifest and envelope of a new repository may be of different epochs." => {
        vault {
            fn creation_agrees(&self, request: &CreateRepoRequest) -> Result<(), Refusal> {
                let mut request = request.clone();
                request.initial_envelope.key_epoch = request.manifest.key_epoch;
                operations::creation_agrees(&request)
            }
        }
    }
    "retried-create-is-ok" breaks RETRY_WRITES: "The very same createRepo again is answered with 200." => {
        vault {
            fn transition(&self, visit: &Visit, state: Option<&Repo>) -> Outcome<Answer> {
                match (&visit.call, state) {
                    (Call::Create(request), Some(repo)) if repo.manifest == request.manifest => {
                        Outcome::read(Answer::Manifest(repo.manifest.clone()))
                    }
                    _ => operations::transition(self, visit, state),
                }
            }
        }
    }
}
