//! What goes wrong only in a narrow place: by a part of a value, after so many requests, or for some entries of a roster (SPEC §3, §4, §6).

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use axum::http::request::Parts;
use axum::http::{Response, StatusCode};
use bytes::Bytes;

use super::table::*;
use super::tools::{is_in, lock};
use crate::codec::base64;
use crate::server::edge::Edge;
use crate::server::operations;
use crate::server::refusal::Refusal;
use crate::server::repo::{Outcome, Repo, Visit};
use crate::server::route::Route;
use crate::server::rules::VaultRules;
use crate::wire::{MemberAddRequest, MemberEntry, MemberRemoveRequest, PushRequest, PushResponse, VaultManifest};

/// Which of two ids are one.
type Same = fn(&str, &str) -> bool;

/// fetchMemberKey compares ids in a way of its own.
struct Fetches(Same);

impl VaultRules for Fetches {
    fn fetch(&self, _: &Visit, repo: &Repo, member_id: &str) -> Outcome<MemberEntry> {
        let found = repo.manifest.members.iter().find(|entry| (self.0)(&entry.ed25519_public_key, member_id));
        found
            .map_or_else(|| Outcome::refuse(Refusal::not_found("no such member")), |entry| Outcome::read(entry.clone()))
    }
}

/// Whether two ids are one key but for its highest bit.
fn same_but_for_sign(one: &str, other: &str) -> bool {
    let unsigned = |id: &str| {
        let mut key = base64::decode(id).ok()?;
        *key.last_mut()? &= 0x7f;
        Some(key)
    };
    one == other || unsigned(one).is_some_and(|key| unsigned(other) == Some(key))
}

/// The faults of this area.
pub(super) const FAULTS: &[Fault] = &[
    fault(
        "first-member-cannot-go",
        &REMOVE_REPLACES,
        "Position 0 in the roster is taken for none: the removal of its first member is answered with 404.",
        || vault(FirstMemberCannotGo),
    ),
    fault(
        "fetch-by-32-characters",
        &FETCH_ENTRY,
        "fetchMemberKey compares the first 32 characters of ids, as a column too short has them.",
        || vault(Fetches(|one, other| one == other || one.get(..32).is_some_and(|part| other.get(..32) == Some(part)))),
    ),
    fault(
        "fetch-without-sign",
        &FETCH_ENTRY,
        "fetchMemberKey compares keys without their highest bit, as a library does that compares one coordinate.",
        || vault(Fetches(same_but_for_sign)),
    ),
    fault(
        "every-32nd-push-keeps-envelope",
        &PUSH_APPLIES,
        "Every 32nd push of a repository writes a snapshot, and the envelope of before under the new version.",
        || vault(Every32ndPush::default()),
    ),
    fault(
        "envelopes-by-beginning",
        &STORED_VERBATIM,
        "Ciphertexts are found by their first 4096 characters: what begins alike is one.",
        || vault(EnvelopesByBeginning::default()),
    ),
    fault(
        "invited-by-newcomers-dont-count",
        &ADD_RECORDS,
        "Whoever wasn't added by the first member of the roster is in it, and refused.",
        || vault(InvitedByNewcomers::default()),
    ),
    fault(
        "bindings-are-unique",
        &BINDING_OPAQUE,
        "A binding that is known from another repository breaks a constraint: its addition fails.",
        || vault(BindingsAreUnique::default()),
    ),
    fault(
        "rotation-drops-other-epochs",
        &PUSH_ROTATES,
        "Entries of a rotating push that aren't of its epoch are left out in silence.",
        || vault(RotationDropsOtherEpochs),
    ),
    fault(
        "removal-drops-other-epochs",
        &REMOVE_REPLACES,
        "Entries of a removal's roster that aren't of its epoch are left out in silence.",
        || vault(RemovalDropsOtherEpochs),
    ),
    fault(
        "refused-fetch-is-kept-for-all",
        &ANSWERS_TO_ASKERS,
        "A 401 to a fetch is kept for half a second by its path, and given to whoever asks next.",
        || edge(RefusedFetchIsKept::default()),
    ),
    fault(
        "answers-by-idempotency-key",
        &NO_SIDE_DOOR,
        "Answers are kept by the Idempotency-Key alone, and given to whoever sends it again.",
        || edge(AnswersByKey::default()),
    ),
];

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

#[derive(Default)]
struct Every32ndPush {
    counts: Mutex<HashMap<String, u32>>,
}

impl VaultRules for Every32ndPush {
    fn push(&self, visit: &Visit, repo: &Repo, request: &PushRequest) -> Outcome<PushResponse> {
        let mut outcome = operations::push(self, visit, repo, request);
        if let Some(next) = &mut outcome.next {
            let mut counts = lock(&self.counts);
            let count = counts.entry(repo.manifest.repo_id.clone()).or_default();
            *count += 1;
            if count.is_multiple_of(32) {
                next.envelope.ciphertext.clone_from(&repo.envelope.ciphertext);
                next.envelope.iv.clone_from(&repo.envelope.iv);
            }
        }
        outcome
    }
}

#[derive(Default)]
struct EnvelopesByBeginning {
    known: Mutex<HashMap<String, String>>,
}

impl VaultRules for EnvelopesByBeginning {
    fn push(&self, visit: &Visit, repo: &Repo, request: &PushRequest) -> Outcome<PushResponse> {
        let mut outcome = operations::push(self, visit, repo, request);
        let beginning = request.envelope.ciphertext.get(..4096);
        if let (Some(next), Some(beginning)) = (&mut outcome.next, beginning) {
            let mut known = lock(&self.known);
            let first = known.entry(beginning.to_owned()).or_insert_with(|| request.envelope.ciphertext.clone());
            next.envelope.ciphertext.clone_from(first);
        }
        outcome
    }
}

#[derive(Default)]
struct InvitedByNewcomers {
    /// Repository and member.
    refused: Mutex<HashSet<(String, String)>>,
}

impl VaultRules for InvitedByNewcomers {
    fn add(&self, visit: &Visit, repo: &Repo, request: &MemberAddRequest) -> Outcome<VaultManifest> {
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

#[derive(Default)]
struct BindingsAreUnique {
    known: Mutex<HashSet<String>>,
}

impl VaultRules for BindingsAreUnique {
    fn add(&self, visit: &Visit, repo: &Repo, request: &MemberAddRequest) -> Outcome<VaultManifest> {
        let binding = request.member.key_binding_sig.clone();
        if binding.is_some_and(|binding| !lock(&self.known).insert(binding)) {
            return Outcome::refuse(Refusal::internal("UNIQUE constraint failed"));
        }
        operations::add(self, visit, repo, request)
    }
}

struct RotationDropsOtherEpochs;

impl VaultRules for RotationDropsOtherEpochs {
    fn roster_holds(&self, _: &[MemberEntry], _: i64) -> Result<(), Refusal> {
        Ok(())
    }

    fn pushed(&self, repo: &Repo, request: &PushRequest) -> Repo {
        let mut next = operations::pushed(repo, request);
        let epoch = next.manifest.key_epoch;
        if request.rotated_members.is_some() {
            next.manifest.members.retain(|entry| entry.key_epoch == epoch);
        }
        next
    }
}

struct RemovalDropsOtherEpochs;

impl VaultRules for RemovalDropsOtherEpochs {
    fn roster_holds(&self, _: &[MemberEntry], _: i64) -> Result<(), Refusal> {
        Ok(())
    }

    fn removed(&self, repo: &Repo, request: &MemberRemoveRequest, digest: Vec<u8>) -> Repo {
        let mut next = operations::removed(repo, request, digest);
        next.manifest.members.retain(|entry| entry.key_epoch == request.new_key_epoch);
        next
    }
}

/// How long a refusal is kept.
const KEPT: Duration = Duration::from_millis(500);

#[derive(Default)]
struct RefusedFetchIsKept {
    refused: Mutex<HashMap<String, Instant>>,
}

impl Edge for RefusedFetchIsKept {
    fn head(&self, route: Route, parts: &mut Parts) -> Result<(), Refusal> {
        let since = lock(&self.refused).get(parts.uri.path()).copied();
        if route == Route::FetchMemberKey && since.is_some_and(|since| since.elapsed() < KEPT) {
            return Err(Refusal::unauthorized("kept"));
        }
        Ok(())
    }

    fn response(&self, route: Route, parts: &Parts, response: Response<Bytes>) -> Response<Bytes> {
        let mut refused = lock(&self.refused);
        if route == Route::FetchMemberKey && response.status() == StatusCode::UNAUTHORIZED {
            refused.entry(parts.uri.path().to_owned()).or_insert_with(Instant::now);
        }
        refused.retain(|_, since| since.elapsed() < KEPT);
        response
    }
}

#[derive(Default)]
struct AnswersByKey {
    kept: Mutex<HashMap<Vec<u8>, Bytes>>,
}

impl Edge for AnswersByKey {
    fn response(&self, _: Route, parts: &Parts, response: Response<Bytes>) -> Response<Bytes> {
        let Some(key) = parts.headers.get("idempotency-key") else { return response };
        let mut kept = lock(&self.kept);
        match kept.get(key.as_bytes()) {
            Some(first) => {
                let mut response = response.map(|_| first.clone());
                *response.status_mut() = StatusCode::OK;
                response
            }
            None => {
                if response.status().is_success() {
                    kept.insert(key.as_bytes().to_vec(), response.body().clone());
                }
                response
            }
        }
    }
}
