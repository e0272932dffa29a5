//! What refused requests and earlier ones leave behind, and a later one brings to light (SPEC §6, §10).

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::table::*;
use super::tools::{is_in, lock};
use crate::server::operations;
use crate::server::redemption::{self, Authority};
use crate::server::refusal::Refusal;
use crate::server::repo::{Decision, Repo, Visit};
use crate::server::route::Route;
use crate::server::rules::{IdentityRules, Later, VaultRules};
use crate::wire::{
    EncryptedEnvelope, MemberAddRequest, MemberEntry, MemberRemoveRequest, PushRequest, PushResponse, TokenRequest,
    TokenResponse, VaultManifest,
};

/// The faults of this area.
pub(super) const FAULTS: &[Fault] = &[
    fault(
        "refused-roster-comes-later",
        &PUSH_REFUSED_WHOLE,
        "The roster of a refused push stays in memory, and the next push that has none saves it.",
        || vault(RefusedRosterComesLater::default()),
    ),
    fault(
        "conflicting-envelope-comes-later",
        &PUSH_GATED,
        "The envelope of a push that was a conflict stays in memory, and the next addMember saves it.",
        || vault(ConflictingEnvelopeComesLater::default()),
    ),
    fault(
        "conflicts-use-up-a-pool",
        &PUSH_APPLIES,
        "Every conflict keeps a connection of a pool of 20; after that a push of that repository fails.",
        || vault(ConflictsUseUpAPool::default()),
    ),
    fault(
        "additions-answered-from-memory",
        &ADD_RECORDS,
        "An addMember that was carried out before is answered from memory, whatever has happened since.",
        || vault(AdditionsAnsweredFromMemory::default()),
    ),
    fault(
        "rotation-from-zero-passes",
        &PUSH_GATED,
        "In a push with rotatedMembers an expectation of 0 stands for none.",
        || vault(RotationFromZeroPasses),
    ),
    fault("removal-version-as-double", &INT64, "removeMember compares versions as doubles; push doesn't.", || {
        vault(RemovalVersionAsDouble)
    }),
    fault(
        "scheme-of-the-first-wrap",
        &STORED_VERBATIM,
        "After a removal the manifest's schemeId is that of the first wrapped key.",
        || vault(SchemeOfTheFirstWrap),
    ),
    fault(
        "fetch-by-joined-key",
        &FETCH_MEMBERS_ONLY,
        "Entries are kept under the repository's id, a slash and the member's id, whoever asks from where.",
        || vault(FetchByJoinedKey::default()),
    ),
    fault(
        "fetch-by-remembered-place",
        &FETCH_ENTRY,
        "fetchMemberKey remembers at which place of the roster somebody stood, and goes by that.",
        || vault(FetchByRememberedPlace::default()),
    ),
    fault(
        "large-write-undone-later",
        &READ_YOUR_WRITES,
        "A push of more than 100 KB is answered before it is committed, and undone a moment later.",
        || vault(LargeWriteUndoneLater::default()),
    ),
    fault(
        "used-nonces-forgiven-after-failures",
        &NONCE_SINGLE_USE,
        "Three wrong signatures of a key end in forgetting what is known of it, used nonces included.",
        || identity(UsedNoncesForgivenAfterFailures::default()),
    ),
];

#[derive(Default)]
struct RefusedRosterComesLater {
    dirty: Mutex<HashMap<String, Vec<MemberEntry>>>,
}

impl VaultRules for RefusedRosterComesLater {
    fn push(&self, visit: &Visit, repo: &Repo, request: &PushRequest) -> Decision<PushResponse> {
        let mut outcome = operations::push(self, visit, repo, request);
        let id = &repo.manifest.repo_id;
        match (&mut outcome.next, &request.rotated_members) {
            (None, Some(roster)) if outcome.answer.is_err() => {
                drop(lock(&self.dirty).insert(id.clone(), roster.clone()))
            }
            (Some(next), None) => {
                next.manifest.members = lock(&self.dirty).remove(id).unwrap_or_else(|| next.manifest.members.clone())
            }
            _ => {}
        }
        outcome
    }
}

#[derive(Default)]
struct ConflictingEnvelopeComesLater {
    dirty: Mutex<HashMap<String, EncryptedEnvelope>>,
}

impl VaultRules for ConflictingEnvelopeComesLater {
    fn push(&self, visit: &Visit, repo: &Repo, request: &PushRequest) -> Decision<PushResponse> {
        let outcome = operations::push(self, visit, repo, request);
        let mut dirty = lock(&self.dirty);
        match outcome.next {
            None => dirty.insert(repo.manifest.repo_id.clone(), request.envelope.clone()),
            Some(_) => dirty.remove(&repo.manifest.repo_id),
        };
        outcome
    }

    fn added(&self, repo: &Repo, entry: &MemberEntry) -> Repo {
        let mut next = crate::server::rules::conformant::added(repo, entry);
        if let Some(envelope) = lock(&self.dirty).remove(&repo.manifest.repo_id) {
            next.envelope.ciphertext = envelope.ciphertext;
            next.envelope.iv = envelope.iv;
        }
        next
    }
}

#[derive(Default)]
struct ConflictsUseUpAPool {
    kept: Mutex<HashMap<String, usize>>,
}

impl VaultRules for ConflictsUseUpAPool {
    fn push(&self, visit: &Visit, repo: &Repo, request: &PushRequest) -> Decision<PushResponse> {
        let outcome = operations::push(self, visit, repo, request);
        let mut kept = lock(&self.kept);
        let kept = kept.entry(repo.manifest.repo_id.clone()).or_default();
        *kept += usize::from(outcome.answer.as_ref().is_ok_and(|answer| answer.conflict));
        let right = outcome.answer.as_ref().is_ok_and(|answer| answer.accepted);
        if *kept > 20 && right { Decision::refuse(Refusal::internal("no connection within 5 s")) } else { outcome }
    }
}

#[derive(Default)]
struct AdditionsAnsweredFromMemory {
    done: Mutex<HashSet<String>>,
}

impl VaultRules for AdditionsAnsweredFromMemory {
    fn add(&self, visit: &Visit, repo: &Repo, request: &MemberAddRequest) -> Decision<VaultManifest> {
        let key = format!("{}/{}", request.repo_id, request.member.wrapped_data_key.ciphertext);
        if !lock(&self.done).insert(key) && !is_in(repo, &request.member.ed25519_public_key) {
            return Decision::read(repo.manifest.clone());
        }
        operations::add(self, visit, repo, request)
    }

    fn added_epoch_holds(&self, _: i64, _: i64) -> bool {
        true
    }
}

struct RotationFromZeroPasses;

impl VaultRules for RotationFromZeroPasses {
    fn push(&self, visit: &Visit, repo: &Repo, request: &PushRequest) -> Decision<PushResponse> {
        let mut request = request.clone();
        if request.rotated_members.is_some() && request.expected_payload_version == 0 {
            request.expected_payload_version = repo.manifest.payload_version;
        }
        operations::push(self, visit, repo, &request)
    }
}

struct RemovalVersionAsDouble;

impl VaultRules for RemovalVersionAsDouble {
    fn remove(&self, visit: &Visit, repo: &Repo, request: &MemberRemoveRequest) -> Decision<VaultManifest> {
        let [new, current] = [request.rotated_envelope.payload_version, repo.manifest.payload_version];
        if new > current && new as f64 <= current as f64 {
            return Decision::refuse(Refusal::bad_request("the envelope's payloadVersion isn't above the current one"));
        }
        operations::remove(self, visit, repo, request)
    }
}

struct SchemeOfTheFirstWrap;

impl VaultRules for SchemeOfTheFirstWrap {
    fn removed(&self, repo: &Repo, request: &MemberRemoveRequest, digest: Vec<u8>) -> Repo {
        let mut next = operations::removed(repo, request, digest);
        if let Some(first) = next.manifest.members.first() {
            next.manifest.scheme_id.clone_from(&first.wrapped_data_key.scheme_id);
        }
        next
    }

    fn shape(&self, _: &crate::server::repo::VaultCommand) -> Result<(), Refusal> {
        Ok(())
    }
}

#[derive(Default)]
struct FetchByJoinedKey {
    entries: Mutex<HashMap<String, MemberEntry>>,
}

impl VaultRules for FetchByJoinedKey {
    fn stored(&self, _: Route, _: Option<&Repo>, next: Repo) -> Repo {
        let key = |entry: &MemberEntry| format!("{}/{}", next.manifest.repo_id, entry.ed25519_public_key);
        lock(&self.entries).extend(next.manifest.members.iter().map(|entry| (key(entry), entry.clone())));
        next
    }

    fn fetch(&self, _: &Visit, repo: &Repo, member_id: &str) -> Decision<MemberEntry> {
        if let Some(entry) = repo.manifest.member(member_id) {
            return Decision::read(entry.clone());
        }
        let own = repo.manifest.member(member_id.rsplit('/').next().unwrap_or_default()).is_some();
        let found = lock(&self.entries).get(&format!("{}/{member_id}", repo.manifest.repo_id)).cloned();
        match found.filter(|_| !own && member_id.contains('/') && member_id.starts_with("y/")) {
            Some(entry) => Decision::read(entry),
            None => Decision::refuse(Refusal::not_found("no such member")),
        }
    }
}

#[derive(Default)]
struct FetchByRememberedPlace {
    places: Mutex<HashMap<(String, String), usize>>,
}

impl VaultRules for FetchByRememberedPlace {
    fn fetch(&self, _: &Visit, repo: &Repo, member_id: &str) -> Decision<MemberEntry> {
        let members = &repo.manifest.members;
        let Some(now) = members.iter().position(|entry| entry.ed25519_public_key == member_id) else {
            return Decision::refuse(Refusal::not_found("no such member"));
        };
        let key = (repo.manifest.repo_id.clone(), member_id.to_owned());
        let place = *lock(&self.places).entry(key).or_insert(now);
        Decision::read(members[place.min(members.len() - 1)].clone())
    }
}

#[derive(Default)]
struct LargeWriteUndoneLater {
    before: Mutex<HashMap<String, (Instant, Repo)>>,
}

impl VaultRules for LargeWriteUndoneLater {
    fn stored(&self, _: Route, before: Option<&Repo>, next: Repo) -> Repo {
        let id = next.manifest.repo_id.clone();
        match before {
            Some(before) if next.envelope.ciphertext.len() > 100_000 => {
                lock(&self.before).insert(id, (Instant::now(), before.clone()));
            }
            _ => drop(lock(&self.before).remove(&id)),
        }
        next
    }

    fn loaded(&self, _: Route, repo: Repo) -> Repo {
        let before = lock(&self.before).get(&repo.manifest.repo_id).cloned();
        before.filter(|(since, _)| since.elapsed() > Duration::from_millis(700)).map_or(repo, |(_, before)| before)
    }
}

#[derive(Default)]
struct UsedNoncesForgivenAfterFailures {
    used: Mutex<HashMap<String, Vec<(TokenRequest, TokenResponse)>>>,
    failures: Mutex<HashMap<String, usize>>,
}

impl IdentityRules for UsedNoncesForgivenAfterFailures {
    fn redeem<'a>(
        &'a self,
        authority: &'a Authority,
        request: &'a TokenRequest,
    ) -> Later<'a, Result<TokenResponse, Refusal>> {
        let key = &request.ed25519_public_key;
        let is_forgiven = lock(&self.failures).get(key).is_some_and(|failures| *failures >= 3);
        let known = lock(&self.used).get(key).and_then(|used| used.iter().find(|(known, _)| known == request).cloned());
        let answer = match known {
            Some((_, granted)) if is_forgiven => Ok(granted),
            Some(_) => redemption::redeem(self, authority, request),
            None => {
                let answer = redemption::redeem(self, authority, request);
                *lock(&self.failures).entry(key.clone()).or_default() += usize::from(answer.is_err());
                answer
            }
        };
        Box::pin(std::future::ready(answer))
    }

    fn redeemed(&self, request: &TokenRequest, granted: &TokenResponse) {
        lock(&self.used)
            .entry(request.ed25519_public_key.clone())
            .or_default()
            .push((request.clone(), granted.clone()));
    }
}
