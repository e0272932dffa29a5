//! What somebody may do, and what it does (SPEC §6, §10).

use std::borrow::Cow;
use std::future::ready;

use super::{AsVault, Later, conformant};
use crate::server::refusal::Refusal;
use crate::server::repo::{Decision, Repo, Success, VaultCommand, Visit};
use crate::server::route::Route;
use crate::server::store::{Store, Tx};
use crate::server::{credentials, operations, validate};
use crate::wire::{
    CreateRepoRequest, MemberAddRequest, MemberEntry, MemberRemoveRequest, PullRequest, PullResponse, PushRequest,
    PushResponse, VaultManifest,
};

/// The decisions of the vault.
pub trait VaultRules: AsVault + Send + Sync + 'static {
    // ---- Reading a request ----

    /// One raw path segment, percent-decoded: `+` is a plus, bad escapes and bad UTF-8 are refused.
    fn decode_segment(&self, raw: &str) -> Result<String, Refusal> {
        credentials::decode_segment(raw)
    }

    /// Sees the token's owner and the path before the body is there. What it returns becomes [`Visit::early`].
    fn on_headers(&self, _store: &Store, _route: Route, _repo_id: Option<&str>, _caller: &str) -> Option<bool> {
        None
    }

    /// Whether path and body name the same repository.
    fn body_names_repo(&self, path: &str, body: &str) -> bool {
        path == body
    }

    /// Sizes, spellings and ranges in a request (SPEC §2, §4), or 400.
    fn shape(&self, command: &VaultCommand) -> Result<(), Refusal> {
        validate::command(command)
    }

    /// The id under which a repository is stored: exactly the one it was created with (SPEC §8).
    fn repo_key<'a>(&self, id: &'a str) -> Cow<'a, str> {
        Cow::Borrowed(id)
    }

    // ---- The life of an operation (SPEC §6) ----

    /// Carries an operation out: load, decide and commit in one transaction (SPEC §6, §10).
    fn execute<'a>(&'a self, store: &'a Store, visit: &'a Visit) -> Later<'a, Result<Success, Refusal>> {
        Box::pin(ready(operations::execute(self.vault_rules(), store, visit)))
    }

    /// What an operation does to a state: 404 without one, 403 for strangers, then the operation.
    fn transition(&self, visit: &Visit, state: Option<&Repo>) -> Decision<Success> {
        operations::transition(self.vault_rules(), visit, state)
    }

    /// A state as it is read from the store.
    fn loaded(&self, _route: Route, repo: Repo) -> Repo {
        repo
    }

    /// A state as it is written to the store.
    fn stored(&self, _route: Route, _before: Option<&Repo>, next: Repo) -> Repo {
        next
    }

    /// Sees every committed change within its transaction.
    fn committed(&self, _tx: &Tx<'_>, _visit: &Visit, _before: Option<&Repo>, _next: &Repo) -> rusqlite::Result<()> {
        Ok(())
    }

    /// Whether the caller is a member now (SPEC §6, authorization).
    fn is_member(&self, visit: &Visit, repo: &Repo) -> bool {
        conformant::has_member(&repo.manifest.members, &visit.caller)
    }

    /// The manifest that an answer carries.
    fn manifest_served(&self, _visit: &Visit, repo: &Repo) -> VaultManifest {
        repo.manifest.clone()
    }

    // ---- createRepo (SPEC §6) ----

    /// The operation; `existing` is the repository that has this id already.
    fn create(&self, visit: &Visit, existing: Option<&Repo>, request: &CreateRepoRequest) -> Decision<VaultManifest> {
        operations::create(self.vault_rules(), visit, existing, request)
    }

    /// Whether the roster is the caller and nobody else.
    fn sole_member_is_caller(&self, members: &[MemberEntry], caller: &str) -> bool {
        conformant::sole_member_is_caller(members, caller)
    }

    /// Whether manifest, entry and envelope agree on repository, version and epoch (SPEC §4).
    fn creation_agrees(&self, request: &CreateRepoRequest) -> Result<(), Refusal> {
        operations::creation_agrees(request)
    }

    // ---- pull (SPEC §6) ----

    /// The operation.
    fn pull(&self, visit: &Visit, repo: &Repo, request: &PullRequest) -> Decision<PullResponse> {
        operations::pull(self.vault_rules(), visit, repo, request)
    }

    /// Whether the caller has the current version.
    fn is_current(&self, known: i64, current: i64) -> bool {
        known == current
    }

    // ---- push (SPEC §6, §10) ----

    /// The operation.
    fn push(&self, visit: &Visit, repo: &Repo, request: &PushRequest) -> Decision<PushResponse> {
        operations::push(self.vault_rules(), visit, repo, request)
    }

    /// The gate of optimistic concurrency.
    fn expectation_holds(&self, expected: i64, current: i64) -> bool {
        expected == current
    }

    /// What a stale writer is told: the current counters.
    fn conflict(&self, repo: &Repo, _request: &PushRequest) -> PushResponse {
        operations::push_answer(repo, false)
    }

    /// Whether an envelope is this repository's.
    fn envelope_belongs(&self, repo_id: &str, envelope_repo_id: &str) -> bool {
        repo_id == envelope_repo_id
    }

    /// Whether a version may follow the current one: strictly above, gaps allowed (SPEC §10).
    fn version_advances(&self, new: i64, current: i64) -> bool {
        new > current
    }

    /// Whether an epoch may come with a push: the current one, or none below it on the rotation path.
    fn push_epoch_holds(&self, new: i64, current: i64, rotates: bool) -> bool {
        if rotates { new >= current } else { new == current }
    }

    /// Whether a whole new roster makes sense: somebody is in it, nobody twice, all at the new epoch.
    fn roster_holds(&self, members: &[MemberEntry], epoch: i64) -> Result<(), Refusal> {
        operations::roster_holds(members, epoch)
    }

    /// Whether a rotating push keeps its own caller in.
    fn rotation_keeps_caller(&self, members: &[MemberEntry], caller: &str) -> bool {
        conformant::has_member(members, caller)
    }

    /// The state after an accepted push: version and epoch from the envelope, and the new roster instead of the old one.
    fn pushed(&self, repo: &Repo, request: &PushRequest) -> Repo {
        operations::pushed(repo, request)
    }

    // ---- addMember (SPEC §6) ----

    /// The operation.
    fn add(&self, visit: &Visit, repo: &Repo, request: &MemberAddRequest) -> Decision<VaultManifest> {
        operations::add(self.vault_rules(), visit, repo, request)
    }

    /// Whether a new entry's wrapped key is for the current data key.
    fn added_epoch_holds(&self, entry_epoch: i64, current: i64) -> bool {
        entry_epoch == current
    }

    /// The state after an addition: the entry exactly as sent, at the end of the roster; counters don't move.
    fn added(&self, repo: &Repo, entry: &MemberEntry) -> Repo {
        conformant::added(repo, entry)
    }

    // ---- removeMember (SPEC §6, §10) ----

    /// The operation.
    fn remove(&self, visit: &Visit, repo: &Repo, request: &MemberRemoveRequest) -> Decision<VaultManifest> {
        operations::remove(self.vault_rules(), visit, repo, request)
    }

    /// Whether this very removal made the current state; then it is a retry (revision 0.3).
    fn removal_is_retry(&self, repo: &Repo, digest: &[u8]) -> bool {
        conformant::removal_is_retry(repo, digest)
    }

    /// Whether the id to remove is in the roster.
    fn removal_is_of_member(&self, repo: &Repo, removed: &str) -> bool {
        conformant::has_member(&repo.manifest.members, removed)
    }

    /// Whether the new epoch is above the old one (SPEC §10).
    fn epoch_advances(&self, new: i64, current: i64) -> bool {
        new > current
    }

    /// Whether the rotated envelope is of the new epoch.
    fn rotated_epoch_holds(&self, envelope_epoch: i64, new_epoch: i64) -> bool {
        envelope_epoch == new_epoch
    }

    /// Whether the removed member is really gone from the new roster.
    fn removed_is_absent(&self, members: &[MemberEntry], removed: &str) -> bool {
        !conformant::has_member(members, removed)
    }

    /// The state after a removal: roster, envelope, version and epoch, all at once.
    fn removed(&self, repo: &Repo, request: &MemberRemoveRequest, digest: Vec<u8>) -> Repo {
        operations::removed(repo, request, digest)
    }

    // ---- fetchMemberKey (SPEC §6, §9) ----

    /// The operation: the entry of exactly this id, or 404.
    fn fetch(&self, _visit: &Visit, repo: &Repo, member_id: &str) -> Decision<MemberEntry> {
        conformant::fetch(repo, member_id)
    }
}
