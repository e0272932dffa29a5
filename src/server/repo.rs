//! What a repository is to the server, what can be asked of it, and what comes of it.

use sha2::{Digest, Sha256};

use super::refusal::Refusal;
use super::route::Route;
use crate::wire::{
    CreateRepoRequest, EncryptedEnvelope, MemberAddRequest, MemberEntry, MemberRemoveRequest, PullRequest,
    PullResponse, PushRequest, PushResponse, VaultManifest,
};

/// The whole committed state of a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repo {
    /// Metadata and roster (SPEC §4).
    pub manifest: VaultManifest,
    /// The current payload, as its writer sent it.
    pub envelope: EncryptedEnvelope,
    /// Digest of the removal that made this state; `None` after any other write. It makes a repeated removal a no-op.
    pub last_removal: Option<Vec<u8>>,
}

/// What the vault is told to do: one of its six operations, with its arguments.
#[derive(Clone, Debug)]
pub enum VaultCommand {
    /// createRepo.
    Create(CreateRepoRequest),
    /// pull.
    Pull(PullRequest),
    /// push.
    Push(PushRequest),
    /// addMember.
    Add(MemberAddRequest),
    /// removeMember.
    Remove(MemberRemoveRequest),
    /// fetchMemberKey, with the member id from the path.
    Fetch(String),
}

impl VaultCommand {
    /// The repository that the body names; the path is all that a fetch has.
    pub fn body_repo_id(&self) -> Option<&str> {
        match self {
            Self::Create(request) => Some(&request.manifest.repo_id),
            Self::Pull(request) => Some(&request.repo_id),
            Self::Push(request) => Some(&request.repo_id),
            Self::Add(request) => Some(&request.repo_id),
            Self::Remove(request) => Some(&request.repo_id),
            Self::Fetch(_) => None,
        }
    }
}

/// An authenticated request, decoded and ready to be carried out.
#[derive(Clone, Debug)]
pub struct Visit {
    /// Which operation.
    pub route: Route,
    /// Member id of the caller, from the token.
    pub caller: String,
    /// The repository that the request is about: the one in the path, or for createRepo the one in the manifest.
    pub repo_id: String,
    /// What `on_headers` found out before the body was there; the conformant server finds nothing.
    pub early: Option<bool>,
    /// The operation and its arguments.
    pub command: VaultCommand,
}

/// The 2xx body of a vault operation.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(untagged)]
pub enum Success {
    /// createRepo, addMember, removeMember.
    Manifest(VaultManifest),
    /// pull.
    Pull(PullResponse),
    /// push.
    Push(PushResponse),
    /// fetchMemberKey.
    Member(MemberEntry),
}

/// What the rules make of an operation: an answer and, for a write, the state to commit. The two are separate, so that the rules are
/// plain functions of a state; the conformant ones never commit anything along with a refusal.
#[derive(Debug)]
pub struct Decision<T> {
    /// What the caller is told.
    pub answer: Result<T, Refusal>,
    /// The state to commit, if it changes.
    pub next: Option<Repo>,
}

impl<T> Decision<T> {
    /// Nothing changes, the caller is refused.
    pub fn refuse(refusal: Refusal) -> Self {
        Self { answer: Err(refusal), next: None }
    }

    /// Nothing changes, the caller gets an answer.
    pub fn read(answer: T) -> Self {
        Self { answer: Ok(answer), next: None }
    }

    /// The state changes.
    pub fn write(answer: T, next: Repo) -> Self {
        Self { answer: Ok(answer), next: Some(next) }
    }

    /// The same decision with another type of answer.
    pub fn map<U>(self, convert: impl FnOnce(T) -> U) -> Decision<U> {
        Decision { answer: self.answer.map(convert), next: self.next }
    }
}

/// Identifies a removal, to recognise one that is sent again.
pub fn removal_digest(request: &MemberRemoveRequest) -> Vec<u8> {
    // A struct of strings and integers always serialises; an empty digest would merely match no stored one.
    serde_json::to_vec(request).map(|json| Sha256::digest(&json).to_vec()).unwrap_or_default()
}
