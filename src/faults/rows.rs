//! One row where there should be two: what is kept once per value, and constraints that nobody asked for (SPEC §4,
//! §6).

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;

use super::races::{Done, WINDOW, conformant};
use super::table::*;
use super::tools::{gap, lock};
use crate::server::operations;
use crate::server::redemption::{self, Authority};
use crate::server::refusal::Refusal;
use crate::server::repo::{Decision, Repo, VaultCommand, Visit};
use crate::server::route::Route;
use crate::server::rules::{IdentityRules, Later, VaultRules};
use crate::server::store::Store;
use crate::wire::{
    EncryptedEnvelope, MemberAddRequest, MemberEntry, PushRequest, PushResponse, TokenRequest, TokenResponse,
    VaultManifest, WrappedKey,
};

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

/// A push of what is there already changes nothing: it isn't stored, and answered with the version that there is.
struct SameIsNothing;

impl VaultRules for SameIsNothing {
    fn push(&self, visit: &Visit, repo: &Repo, request: &PushRequest) -> Decision<PushResponse> {
        let same = request.envelope.iv == repo.envelope.iv && request.envelope.ciphertext == repo.envelope.ciphertext;
        let mut outcome = operations::push(self, visit, repo, request);
        if let (true, Ok(response)) = (same, &mut outcome.answer)
            && response.accepted
        {
            response.payload_version = repo.manifest.payload_version;
            outcome.next = None;
        }
        outcome
    }
}

/// A member's row is inserted when it is first seen, and two who insert it get in each other's way.
#[derive(Default)]
struct Rows {
    known: Mutex<HashSet<String>>,
    under_way: Mutex<HashSet<String>>,
}

impl Rows {
    /// False where somebody else is inserting the same row.
    async fn insert(&self, id: &str) -> bool {
        if lock(&self.known).contains(id) {
            return true;
        }
        if !lock(&self.under_way).insert(id.to_owned()) {
            return false;
        }
        gap(WINDOW).await;
        lock(&self.under_way).remove(id);
        lock(&self.known).insert(id.to_owned());
        true
    }
}

/// The same for additions.
#[derive(Default)]
struct NewMembers(Rows);

impl VaultRules for NewMembers {
    fn execute<'a>(&'a self, store: &'a Store, visit: &'a Visit) -> Done<'a> {
        Box::pin(async move {
            if let VaultCommand::Add(request) = &visit.command
                && !self.0.insert(&request.member.ed25519_public_key).await
            {
                return Err(Refusal::duplicate_repo());
            }
            conformant(self, store, visit).await
        })
    }
}

/// The faults of this area.
pub(super) const FAULTS: &[Fault] = &[
    fault(
        "same-envelope-is-no-push",
        &PUSH_APPLIES,
        "A push of the current IV and ciphertext is answered as accepted, with the old version, and not stored.",
        || vault(SameIsNothing),
    ),
    fault(
        "first-logins-conflict",
        &NONCE_REDEEMABLE,
        "Of two first logins of a key at the same moment one is answered with 409.",
        || identity(FirstLoginsConflict::default()),
    )
    .kind(Race),
    fault(
        "new-members-conflict",
        &CALLERS_KEPT_APART,
        "Of two additions of a member whom the server has never seen one is answered with 409.",
        || vault(NewMembers::default()),
    )
    .kind(Race),
    fault(
        "member-of-one-repository",
        &ADD_RECORDS,
        "Who was added to a repository can't be added to another (409).",
        || vault(MemberOfOneRepository::default()),
    ),
    fault(
        "x25519-key-is-the-member",
        &ADD_RECORDS,
        "Who is added with a member's X25519 key takes that member's place.",
        || vault(X25519KeyIsTheMember),
    ),
    fault(
        "x25519-key-twice-500",
        &ADD_RECORDS,
        "Who is added with a member's X25519 key breaks a constraint, and the server with it.",
        || vault(X25519KeyTwice500),
    ),
    fault(
        "rosters-interned",
        &ADD_RECORDS,
        "Equal rosters are kept once, and addMember changes what is kept: repositories of equal rosters share it.",
        || vault(RostersInterned::default()),
    ),
    fault(
        "iv-of-the-same-ciphertext",
        &STORED_VERBATIM,
        "Envelopes are kept once per ciphertext, with the IV of the first.",
        || vault(IvOfTheSameCiphertext::default()),
    ),
    fault(
        "ciphertext-of-the-same-iv",
        &STORED_VERBATIM,
        "Envelopes are kept once per IV, with the ciphertext of the first.",
        || vault(CiphertextOfTheSameIv::default()),
    ),
    fault(
        "wrapped-keys-by-ciphertext",
        &STORED_VERBATIM,
        "Wrapped keys are kept once per ciphertext, with IV and ephemeral key of the first.",
        || vault(WrappedKeysByCiphertext::default()),
    ),
    fault(
        "wrapped-keys-by-ephemeral-key",
        &STORED_VERBATIM,
        "In a roster, wrapped keys are kept once per ephemeral key.",
        || vault(WrappedKeysByEphemeralKey),
    ),
];

#[derive(Default)]
struct FirstLoginsConflict {
    rows: Rows,
}

impl IdentityRules for FirstLoginsConflict {
    fn redeem<'a>(
        &'a self,
        authority: &'a Authority,
        request: &'a TokenRequest,
    ) -> Later<'a, Result<TokenResponse, Refusal>> {
        Box::pin(async move {
            let nonce = redemption::check(self, authority, request)?;
            authority.nonces.spend(&nonce);
            if !self.rows.insert(&request.ed25519_public_key).await {
                return Err(Refusal::duplicate_repo());
            }
            redemption::grant(self, authority, &request.ed25519_public_key)
        })
    }
}

#[derive(Default)]
struct MemberOfOneRepository {
    homes: Homes,
}

impl VaultRules for MemberOfOneRepository {
    fn add(&self, visit: &Visit, repo: &Repo, request: &MemberAddRequest) -> Decision<VaultManifest> {
        if self.homes.is_elsewhere(repo, &request.member.ed25519_public_key) {
            return Decision::refuse(Refusal {
                status: axum::http::StatusCode::CONFLICT,
                ..Refusal::internal("member exists")
            });
        }
        operations::add(self, visit, repo, request)
    }
}

struct X25519KeyIsTheMember;

impl VaultRules for X25519KeyIsTheMember {
    fn added(&self, repo: &Repo, entry: &crate::wire::MemberEntry) -> Repo {
        let mut next = repo.clone();
        next.manifest.members.retain(|other| other.x25519_public_key != entry.x25519_public_key);
        next.manifest.members.push(entry.clone());
        next.last_removal = None;
        next
    }
}

struct X25519KeyTwice500;

impl VaultRules for X25519KeyTwice500 {
    fn add(&self, visit: &Visit, repo: &Repo, request: &MemberAddRequest) -> Decision<VaultManifest> {
        match with_key(repo, request) {
            Some(_) => Decision::refuse(Refusal::internal("UNIQUE constraint failed")),
            None => operations::add(self, visit, repo, request),
        }
    }
}

#[derive(Default)]
struct RostersInterned {
    with: Mutex<HashMap<String, Vec<(String, MemberEntry)>>>,
    of: Mutex<HashMap<String, String>>,
}

impl VaultRules for RostersInterned {
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

#[derive(Default)]
struct IvOfTheSameCiphertext {
    ivs: Mutex<HashMap<String, String>>,
}

impl VaultRules for IvOfTheSameCiphertext {
    fn stored(&self, _: Route, _: Option<&Repo>, mut next: Repo) -> Repo {
        let EncryptedEnvelope { iv, ciphertext, .. } = &mut next.envelope;
        iv.clone_from(lock(&self.ivs).entry(ciphertext.clone()).or_insert_with(|| iv.clone()));
        next
    }
}

#[derive(Default)]
struct CiphertextOfTheSameIv {
    texts: Mutex<HashMap<(String, String), String>>,
}

impl VaultRules for CiphertextOfTheSameIv {
    fn stored(&self, _: Route, _: Option<&Repo>, mut next: Repo) -> Repo {
        let EncryptedEnvelope { repo_id, iv, ciphertext, .. } = &mut next.envelope;
        let key = (repo_id.clone(), iv.clone());
        ciphertext.clone_from(lock(&self.texts).entry(key).or_insert_with(|| ciphertext.clone()));
        next
    }
}

#[derive(Default)]
struct WrappedKeysByCiphertext {
    keys: Mutex<HashMap<String, WrappedKey>>,
}

impl VaultRules for WrappedKeysByCiphertext {
    fn stored(&self, _: Route, _: Option<&Repo>, mut next: Repo) -> Repo {
        let mut keys = lock(&self.keys);
        for entry in &mut next.manifest.members {
            let own = &mut entry.wrapped_data_key;
            *own = keys.entry(own.ciphertext.clone()).or_insert_with(|| own.clone()).clone();
        }
        next
    }
}

struct WrappedKeysByEphemeralKey;

impl VaultRules for WrappedKeysByEphemeralKey {
    fn stored(&self, _: Route, _: Option<&Repo>, mut next: Repo) -> Repo {
        let mut keys: HashMap<String, WrappedKey> = HashMap::new();
        for entry in &mut next.manifest.members {
            let own = &mut entry.wrapped_data_key;
            *own = keys.entry(own.ephemeral_public_key.clone()).or_insert_with(|| own.clone()).clone();
        }
        next
    }
}
