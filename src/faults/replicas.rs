//! What is right in one process and wrong in two of the same deployment: what one of them keeps to itself, and the
//! other doesn't hear of. And what two deployments share that should share nothing.

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use super::table::*;
use super::tools::{gap, is_in, lock};
use crate::server::issuer::Issuer;
use crate::server::nonces::Nonces;
use crate::server::operations;
use crate::server::redemption::{self, Authority};
use crate::server::refusal::Refusal;
use crate::server::repo::{Repo, Success, Visit};
use crate::server::route::Route;
use crate::server::rules::{IdentityRules, Later, VaultRules};
use crate::server::store::Store;
use crate::wire::{TokenRequest, TokenResponse};

/// How long a process believes what it has seen.
const BELIEVED: Duration = Duration::from_secs(1);
/// Between reading and writing, in microseconds.
const WINDOW: u64 = 2000;

/// Keeps repositories for some time, and uses them for some operations. Its own writes it knows.
struct Cache {
    routes: &'static [Route],
    believed: Duration,
    seen: Mutex<HashMap<String, (Instant, Repo)>>,
}

impl Cache {
    fn of(routes: &'static [Route], believed: Duration) -> Self {
        Self { routes, believed, seen: Mutex::default() }
    }
}

impl VaultRules for Cache {
    fn loaded(&self, route: Route, repo: Repo) -> Repo {
        let mut seen = lock(&self.seen);
        match seen.get(&repo.manifest.repo_id) {
            Some((since, known)) if since.elapsed() < self.believed => {
                if self.routes.contains(&route) {
                    known.clone()
                } else {
                    repo
                }
            }
            _ => {
                seen.insert(repo.manifest.repo_id.clone(), (Instant::now(), repo.clone()));
                repo
            }
        }
    }

    fn stored(&self, _: Route, _: Option<&Repo>, next: Repo) -> Repo {
        lock(&self.seen).insert(next.manifest.repo_id.clone(), (Instant::now(), next.clone()));
        next
    }
}

/// A secret that stands in the source.
const BAKED_IN: [u8; 32] = [0x42; 32];

fn seal(half: &[u8]) -> [u8; 16] {
    let digest = Sha256::digest([&BAKED_IN[..], half].concat());
    // The first half of 32 bytes.
    std::array::from_fn(|at| digest[at])
}

/// The faults of this area.
pub(super) const FAULTS: &[Fault] = &[
    fault(
        "replica-nonces-in-memory",
        &NONCE_REDEEMABLE,
        "Nonces are kept in the memory of the process that issues them.",
        || identity(ReplicaNoncesInMemory),
    )
    .kind(Replica),
    fault(
        "replica-spent-in-memory",
        &NONCE_SINGLE_USE,
        "That a nonce was used is kept in the memory of the process that took it.",
        || identity(ReplicaSpentInMemory::default()),
    )
    .kind(Replica),
    fault(
        "replica-spends-later",
        &NONCE_SINGLE_USE,
        "A nonce is taken out of use for the other processes a little after it was checked.",
        || identity(ReplicaSpendsLater::default()),
    )
    .kind(Replica),
    fault(
        "replica-tokens-of-its-own",
        &TOKEN_LASTS,
        "Each process knows only the tokens that it has issued itself.",
        || identity(ReplicaTokensOfItsOwn),
    )
    .kind(Replica),
    fault("replica-caches-membership", &REMOVE_REVOKES, "Who is a member is believed for a second.", || {
        vault(ReplicaCachesMembership::default())
    })
    .kind(Replica),
    fault(
        "replica-caches-repositories",
        &READ_YOUR_WRITES,
        "Repositories are read from a cache that is up to a second old.",
        || vault(Cache::of(&[Route::Pull, Route::FetchMemberKey], BELIEVED)),
    )
    .kind(Replica),
    fault(
        "replica-polls-every-50ms",
        &READ_YOUR_WRITES,
        "Pulls see the writes of other processes up to 50 ms later.",
        || vault(Cache::of(&[Route::Pull], Duration::from_millis(50))),
    )
    .kind(Replica),
    fault(
        "replica-fetches-from-cache",
        &READ_YOUR_WRITES,
        "Keys of members are fetched from a cache that is up to a second old.",
        || vault(Cache::of(&[Route::FetchMemberKey], BELIEVED)),
    )
    .kind(Replica),
    fault(
        "replica-caches-versions",
        &PUSH_GATED,
        "A push is compared with a version that is up to a second old.",
        || vault(Cache::of(&[Route::Push], BELIEVED)),
    )
    .kind(Replica),
    fault(
        "replica-locks-in-process",
        &WRITES_SERIALIZED,
        "Writes wait for each other in their own process only.",
        || vault(ReplicaLocksInProcess::default()),
    )
    .kind(Replica),
    fault(
        "stranger-shares-its-key",
        &TOKEN_LOCAL,
        "Every deployment signs tokens with the key that stands in the source.",
        || identity(StrangerSharesItsKey),
    )
    .kind(Stranger),
    fault(
        "stranger-shares-its-nonces",
        &NONCE_ISSUED,
        "Nonces are sealed with a secret that stands in the source, and worth a token wherever the seal holds.",
        || identity(StrangerSharesItsNonces::default()),
    )
    .kind(Stranger),
];

struct ReplicaNoncesInMemory;

impl IdentityRules for ReplicaNoncesInMemory {
    fn shares_nonces(&self) -> bool {
        false
    }
}

#[derive(Default)]
struct ReplicaSpentInMemory {
    spent: Mutex<HashSet<Vec<u8>>>,
}

impl IdentityRules for ReplicaSpentInMemory {
    fn spend(&self, _: &Nonces, nonce: &[u8]) -> bool {
        lock(&self.spent).insert(nonce.to_vec())
    }
}

#[derive(Default)]
struct ReplicaSpendsLater {
    taken: Mutex<HashSet<Vec<u8>>>,
}

impl IdentityRules for ReplicaSpendsLater {
    fn redeem<'a>(
        &'a self,
        authority: &'a Authority,
        request: &'a TokenRequest,
    ) -> Later<'a, Result<TokenResponse, Refusal>> {
        Box::pin(async move {
            let nonce = redemption::check(self, authority, request)?;
            if !lock(&self.taken).insert(nonce.clone()) {
                return Err(Refusal::unauthorized("the nonce can't be redeemed"));
            }
            gap(WINDOW).await;
            authority.nonces.spend(&nonce);
            redemption::grant(self, authority, &request.ed25519_public_key)
        })
    }
}

struct ReplicaTokensOfItsOwn;

impl IdentityRules for ReplicaTokensOfItsOwn {
    fn verify_token(&self, _: &Issuer, _: &str, _: i64) -> Result<String, Refusal> {
        Err(Refusal::unauthorized("the token isn't one of ours"))
    }
}

#[derive(Default)]
struct ReplicaCachesMembership {
    members: Mutex<HashMap<(String, String), Instant>>,
}

impl VaultRules for ReplicaCachesMembership {
    fn is_member(&self, visit: &Visit, repo: &Repo) -> bool {
        let mut members = lock(&self.members);
        let key = (visit.repo_id.clone(), visit.caller.clone());
        if members.get(&key).is_some_and(|since| since.elapsed() < BELIEVED) {
            return true;
        }
        let is_member = is_in(repo, &visit.caller);
        if is_member {
            members.insert(key, Instant::now());
        }
        is_member
    }

    fn stored(&self, _: Route, _: Option<&Repo>, next: Repo) -> Repo {
        // What this process writes, it knows.
        lock(&self.members).retain(|(repo, _), _| *repo != next.manifest.repo_id);
        next
    }
}

#[derive(Default)]
struct ReplicaLocksInProcess {
    writing: tokio::sync::Mutex<()>,
}

impl VaultRules for ReplicaLocksInProcess {
    fn execute<'a>(&'a self, store: &'a Store, visit: &'a Visit) -> Later<'a, Result<Success, Refusal>> {
        Box::pin(async move {
            if !visit.route.writes() {
                return operations::execute(self, store, visit);
            }
            let _mine = self.writing.lock().await;
            let before = store.read(|tx| Ok::<_, Refusal>(tx.load(&visit.repo_id)?))?;
            let outcome = operations::transition(self, visit, before.as_ref());
            if let Some(next) = outcome.next {
                gap(WINDOW).await;
                store.write(|tx| Ok::<_, Refusal>(tx.put(&next)?))?;
            }
            outcome.answer
        })
    }
}

struct StrangerSharesItsKey;

impl IdentityRules for StrangerSharesItsKey {
    fn signing_seed(&self) -> Option<[u8; 32]> {
        Some(BAKED_IN)
    }
}

#[derive(Default)]
struct StrangerSharesItsNonces {
    spent: Mutex<HashSet<Vec<u8>>>,
}

impl IdentityRules for StrangerSharesItsNonces {
    fn make_nonce(&self, _: &str, random: [u8; 32]) -> Vec<u8> {
        let half = &random[..16];
        [half, &seal(half)].concat()
    }

    fn redeem<'a>(
        &'a self,
        authority: &'a Authority,
        request: &'a TokenRequest,
    ) -> Later<'a, Result<TokenResponse, Refusal>> {
        Box::pin(async move {
            let Some(nonce) = self.read_nonce(&request.nonce).filter(|nonce| nonce.len() == 32) else {
                return redemption::redeem(self, authority, request);
            };
            let sealed = nonce[16..] == seal(&nonce[..16]) && authority.nonces.find(&nonce).is_none();
            if !sealed || !lock(&self.spent).insert(nonce.clone()) {
                return redemption::redeem(self, authority, request);
            }
            let key = self.read_member_key(&request.ed25519_public_key)?;
            if !self.nonce_signature_holds(&key, &request.nonce, &nonce, &request.signature) {
                return Err(Refusal::unauthorized("the signature doesn't verify"));
            }
            redemption::grant(self, authority, &request.ed25519_public_key)
        })
    }
}
