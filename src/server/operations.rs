//! The six operations of SPEC §6 as functions of a state. They only order the steps; what each step decides is a rule.

use std::collections::HashSet;

use super::refusal::Refusal;
use super::repo::{Decision, Repo, Success, VaultCommand, Visit, removal_digest};
use super::rules::VaultRules;
use super::store::{Store, Tx};
use crate::wire::{
    CreateRepoRequest, EncryptedEnvelope, MemberAddRequest, MemberEntry, MemberRemoveRequest, PullRequest,
    PullResponse, PushRequest, PushResponse, VaultManifest,
};

/// Loads, decides and commits in one transaction, so that whoever looks sees the state before or the state after.
///
/// # Errors
/// The operation's refusal.
pub fn execute(rules: &dyn VaultRules, store: &Store, visit: &Visit) -> Result<Success, Refusal> {
    if visit.route.writes() {
        // The inner result is the caller's answer. A refusal commits too: the conformant rules changed nothing then.
        store.write(|tx| write(rules, tx, visit))?
    } else {
        store.read(|tx| rules.transition(visit, load(rules, tx, visit)?.as_ref()).answer)
    }
}

/// The repository that a request is about.
///
/// # Errors
/// The database fails.
pub fn load(rules: &dyn VaultRules, tx: &Tx<'_>, visit: &Visit) -> rusqlite::Result<Option<Repo>> {
    let repo = tx.load(&rules.repo_key(&visit.repo_id))?;
    Ok(repo.map(|repo| rules.loaded(visit.route, repo)))
}

fn write(rules: &dyn VaultRules, tx: &Tx<'_>, visit: &Visit) -> Result<Result<Success, Refusal>, Refusal> {
    let before = load(rules, tx, visit)?;
    let outcome = rules.transition(visit, before.as_ref());
    if let Some(next) = outcome.next {
        let next = rules.stored(visit.route, before.as_ref(), next);
        match &before {
            Some(before) => tx.update(before, &next)?,
            None => tx.put(&next)?,
        }
        rules.committed(tx, visit, before.as_ref(), &next)?;
    }
    Ok(outcome.answer)
}

/// Existence, then membership, then the operation.
pub fn transition(rules: &dyn VaultRules, visit: &Visit, state: Option<&Repo>) -> Decision<Success> {
    if let VaultCommand::Create(request) = &visit.command {
        return rules.create(visit, state, request).map(Success::Manifest);
    }
    let Some(repo) = state else { return Decision::refuse(Refusal::not_found("no such repository")) };
    if !rules.is_member(visit, repo) {
        return Decision::refuse(Refusal::forbidden("the caller isn't a member of this repository"));
    }
    match &visit.command {
        VaultCommand::Create(request) => rules.create(visit, state, request).map(Success::Manifest),
        VaultCommand::Pull(request) => rules.pull(visit, repo, request).map(Success::Pull),
        VaultCommand::Push(request) => rules.push(visit, repo, request).map(Success::Push),
        VaultCommand::Add(request) => rules.add(visit, repo, request).map(Success::Manifest),
        VaultCommand::Remove(request) => rules.remove(visit, repo, request).map(Success::Manifest),
        VaultCommand::Fetch(member_id) => rules.fetch(visit, repo, member_id).map(Success::Member),
    }
}

/// createRepo: the caller's own repository, under an id that is free.
pub fn create(
    rules: &dyn VaultRules,
    visit: &Visit,
    existing: Option<&Repo>,
    request: &CreateRepoRequest,
) -> Decision<VaultManifest> {
    if !rules.sole_member_is_caller(&request.manifest.members, &visit.caller) {
        return Decision::refuse(Refusal::forbidden("the caller must be the sole member of a new repository"));
    }
    if existing.is_some() {
        return Decision::refuse(Refusal::duplicate_repo());
    }
    if let Err(refusal) = rules.creation_agrees(request) {
        return Decision::refuse(refusal);
    }
    let repo = fresh(request);
    Decision::write(rules.manifest_served(visit, &repo), repo)
}

/// The state that a creation makes.
pub fn fresh(request: &CreateRepoRequest) -> Repo {
    Repo { manifest: request.manifest.clone(), envelope: request.initial_envelope.clone(), last_removal: None }
}

/// Manifest, entries and envelope name the same repository, version and epoch.
///
/// # Errors
/// 400 otherwise.
pub fn creation_agrees(request: &CreateRepoRequest) -> Result<(), Refusal> {
    let (manifest, envelope) = (&request.manifest, &request.initial_envelope);
    let same = manifest.repo_id == envelope.repo_id
        && manifest.payload_version == envelope.payload_version
        && manifest.key_epoch == envelope.key_epoch;
    if !same {
        return Err(Refusal::bad_request(
            "manifest and initialEnvelope disagree on repoId, payloadVersion or keyEpoch",
        ));
    }
    roster_holds(&manifest.members, manifest.key_epoch)
}

/// pull: the manifest, and the envelope unless the caller has it.
pub fn pull(rules: &dyn VaultRules, visit: &Visit, repo: &Repo, request: &PullRequest) -> Decision<PullResponse> {
    let unchanged = rules.is_current(request.known_payload_version, repo.manifest.payload_version);
    let envelope = (!unchanged).then(|| repo.envelope.clone());
    Decision::read(PullResponse { manifest: rules.manifest_served(visit, repo), envelope, unchanged })
}

/// push: the gate first, since a stale writer's request can't be judged by anything else; then the new state.
pub fn push(rules: &dyn VaultRules, visit: &Visit, repo: &Repo, request: &PushRequest) -> Decision<PushResponse> {
    if !rules.expectation_holds(request.expected_payload_version, repo.manifest.payload_version) {
        return Decision::read(rules.conflict(repo, request));
    }
    if let Err(refusal) = push_holds(rules, visit, repo, request) {
        return Decision::refuse(refusal);
    }
    let next = rules.pushed(repo, request);
    Decision::write(push_answer(&next, true), next)
}

fn push_holds(rules: &dyn VaultRules, visit: &Visit, repo: &Repo, request: &PushRequest) -> Result<(), Refusal> {
    let envelope = &request.envelope;
    envelope_follows(rules, repo, envelope)?;
    let rotates = request.rotated_members.is_some();
    if !rules.push_epoch_holds(envelope.key_epoch, repo.manifest.key_epoch, rotates) {
        return Err(Refusal::bad_request("the envelope's keyEpoch doesn't fit the current one"));
    }
    let Some(members) = &request.rotated_members else { return Ok(()) };
    rules.roster_holds(members, envelope.key_epoch)?;
    if !rules.rotation_keeps_caller(members, &visit.caller) {
        return Err(Refusal::bad_request("rotatedMembers leaves the caller out"));
    }
    Ok(())
}

fn envelope_follows(rules: &dyn VaultRules, repo: &Repo, envelope: &EncryptedEnvelope) -> Result<(), Refusal> {
    if !rules.envelope_belongs(&repo.manifest.repo_id, &envelope.repo_id) {
        return Err(Refusal::bad_request("the envelope is another repository's"));
    }
    if !rules.version_advances(envelope.payload_version, repo.manifest.payload_version) {
        return Err(Refusal::bad_request("the envelope's payloadVersion isn't above the current one"));
    }
    Ok(())
}

/// Somebody is in the roster, nobody twice, and everybody's wrapped key is of this epoch.
///
/// # Errors
/// 400 otherwise.
pub fn roster_holds(members: &[MemberEntry], epoch: i64) -> Result<(), Refusal> {
    if members.is_empty() {
        return Err(Refusal::bad_request("the roster is empty"));
    }
    if members.iter().any(|entry| entry.key_epoch != epoch) {
        return Err(Refusal::bad_request("a member's keyEpoch isn't the envelope's"));
    }
    let ids: HashSet<_> = members.iter().map(|entry| &entry.ed25519_public_key).collect();
    if ids.len() != members.len() {
        return Err(Refusal::bad_request("a member is in the roster twice"));
    }
    Ok(())
}

/// The counters of a state, as push answers them.
pub fn push_answer(repo: &Repo, accepted: bool) -> PushResponse {
    PushResponse {
        accepted,
        payload_version: repo.manifest.payload_version,
        key_epoch: repo.manifest.key_epoch,
        conflict: !accepted,
    }
}

/// The state after an accepted push.
pub fn pushed(repo: &Repo, request: &PushRequest) -> Repo {
    let mut next = Repo { envelope: request.envelope.clone(), last_removal: None, manifest: repo.manifest.clone() };
    next.manifest.payload_version = request.envelope.payload_version;
    next.manifest.key_epoch = request.envelope.key_epoch;
    if let Some(members) = &request.rotated_members {
        next.manifest.members.clone_from(members);
    }
    next
}

/// addMember: a new entry, or nothing at all when the member is there with the same keys (revision 0.3).
pub fn add(rules: &dyn VaultRules, visit: &Visit, repo: &Repo, request: &MemberAddRequest) -> Decision<VaultManifest> {
    let entry = &request.member;
    match repo.manifest.member(&entry.ed25519_public_key) {
        Some(there) if there.x25519_public_key == entry.x25519_public_key => {
            return Decision::read(rules.manifest_served(visit, repo));
        }
        Some(_) => return Decision::refuse(Refusal::bad_request("the member is there with another x25519PublicKey")),
        None => {}
    }
    if !rules.added_epoch_holds(entry.key_epoch, repo.manifest.key_epoch) {
        return Decision::refuse(Refusal::bad_request("the member's keyEpoch isn't the current one"));
    }
    let next = rules.added(repo, entry);
    Decision::write(rules.manifest_served(visit, &next), next)
}

/// removeMember: drop, new roster, new envelope and new epoch in one step; the same request again changes nothing.
pub fn remove(
    rules: &dyn VaultRules,
    visit: &Visit,
    repo: &Repo,
    request: &MemberRemoveRequest,
) -> Decision<VaultManifest> {
    let digest = removal_digest(request);
    if rules.removal_is_retry(repo, &digest) {
        return Decision::read(rules.manifest_served(visit, repo));
    }
    if !rules.removal_is_of_member(repo, &request.removed_member_id) {
        return Decision::refuse(Refusal::not_found("no such member"));
    }
    if let Err(refusal) = removal_holds(rules, repo, request) {
        return Decision::refuse(refusal);
    }
    let next = rules.removed(repo, request, digest);
    Decision::write(rules.manifest_served(visit, &next), next)
}

fn removal_holds(rules: &dyn VaultRules, repo: &Repo, request: &MemberRemoveRequest) -> Result<(), Refusal> {
    envelope_follows(rules, repo, &request.rotated_envelope)?;
    if !rules.epoch_advances(request.new_key_epoch, repo.manifest.key_epoch) {
        return Err(Refusal::bad_request("newKeyEpoch isn't above the current one"));
    }
    if !rules.rotated_epoch_holds(request.rotated_envelope.key_epoch, request.new_key_epoch) {
        return Err(Refusal::bad_request("the rotated envelope's keyEpoch isn't newKeyEpoch"));
    }
    if !rules.removed_is_absent(&request.rewrapped_members, &request.removed_member_id) {
        return Err(Refusal::bad_request("rewrappedMembers names the removed member"));
    }
    rules.roster_holds(&request.rewrapped_members, request.new_key_epoch)
}

/// The state after a removal.
pub fn removed(repo: &Repo, request: &MemberRemoveRequest, digest: Vec<u8>) -> Repo {
    let mut next = Repo {
        envelope: request.rotated_envelope.clone(),
        last_removal: Some(digest),
        manifest: repo.manifest.clone(),
    };
    next.manifest.payload_version = request.rotated_envelope.payload_version;
    next.manifest.key_epoch = request.new_key_epoch;
    next.manifest.members.clone_from(&request.rewrapped_members);
    next
}
