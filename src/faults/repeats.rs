//! Members who come twice, and keys that have no repository, or none any longer (SPEC §3, §6).

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;

use super::returns::ids;
use super::table::*;
use super::tools::lock;
use crate::server::operations;
use crate::server::redemption;
use crate::server::refusal::Refusal;
use crate::server::repo::{Decision, Repo, Success, Visit};
use crate::server::route::Route;
use crate::server::rules::{IdentityRules, VaultRules};
use crate::wire::{MemberAddRequest, MemberEntry, VaultManifest};

/// The repository after an addMember of who is a member already, with another entry than he has: `merge` makes one of
/// the old and the sent one.
fn entered_again(
    repo: &Repo,
    request: &MemberAddRequest,
    merge: fn(&MemberEntry, &MemberEntry) -> MemberEntry,
) -> Option<Repo> {
    let mut next = repo.clone();
    let mut members = next.manifest.members.iter_mut();
    let there = members.find(|entry| entry.ed25519_public_key == request.member.ed25519_public_key)?;
    *there = merge(there, &request.member);
    Some(next)
}

/// What an addition has made of a member's entry is written; who isn't there is added as usual.
fn written_or_added(
    rules: &dyn VaultRules,
    visit: &Visit,
    repo: &Repo,
    request: &MemberAddRequest,
    merged: Option<Repo>,
) -> Decision<VaultManifest> {
    match merged {
        Some(next) => Decision::write(rules.manifest_served(visit, &next), next),
        None => operations::add(rules, visit, repo, request),
    }
}

/// Who is in no repository any more, though he was in one.
#[derive(Default)]
struct Orphans(Mutex<HashMap<String, HashSet<String>>>);

impl Orphans {
    fn note(&self, next: &Repo) {
        let mut homes = lock(&self.0);
        let (id, members) = (&next.manifest.repo_id, ids(next));
        for (member, repos) in homes.iter_mut() {
            if !members.contains(member.as_str()) {
                repos.remove(id);
            }
        }
        for member in members {
            homes.entry(member.to_owned()).or_default().insert(id.clone());
        }
    }

    fn has(&self, member: &str) -> bool {
        lock(&self.0).get(member).is_some_and(HashSet::is_empty)
    }
}

const NO_USER: &str = "no such user";

/// The faults of this area.
pub(super) const FAULTS: &[Fault] = &[
    fault(
        "addition-again-500",
        &ADD_RECORDS,
        "An addMember that changes nothing is taken for one that failed: 500.",
        || vault(AdditionAgain500),
    ),
    fault(
        "addition-again-answered-only",
        &ADD_RECORDS,
        "An addMember of a member with another wrapped key is answered as if it were stored, and isn't.",
        || vault(AdditionAgainAnsweredOnly),
    ),
    fault(
        "addition-again-keeps-the-binding",
        &STORED_VERBATIM,
        "An addMember of a member replaces what is there, but an absent binding leaves the one of the old key \
         (COALESCE).",
        || vault(AdditionAgainKeepsTheBinding),
    ),
    fault(
        "addition-again-takes-the-key-only",
        &STORED_VERBATIM,
        "An addMember of a member takes over the X25519 key and leaves the wrapped key.",
        || vault(AdditionAgainTakesTheKeyOnly),
    ),
    fault("epochs-compared-as-texts", &INT64, "New epochs are compared as texts: 10 isn't above 9.", || {
        vault(EpochsComparedAsTexts)
    }),
    fault(
        "logins-of-one-key-at-once-500",
        &NONCE_REDEEMABLE,
        "Two logins of one key at the same moment break a constraint, and the server with it.",
        || identity(LoginsOfOneKeyAtOnce500::default()),
    ),
    fault(
        "unknown-keys-cannot-be-added",
        &NO_ACCOUNT,
        "Who has never logged in is no user, and can't be added: 404.",
        || identity_and_vault(UnknownKeysCannotBeAdded::default()),
    ),
    fault(
        "login-ends-with-last-repository",
        &NO_ACCOUNT,
        "Who is in no repository any more is a user that doesn't exist: he can't log in.",
        || identity_and_vault(LoginEndsWithLastRepository::default()),
    ),
    fault(
        "token-ends-with-last-repository",
        &NO_ACCOUNT,
        "The tokens of who is in no repository any more are unknown, and so are his later ones.",
        || vault(TokenEndsWithLastRepository::default()),
    ),
];

struct AdditionAgain500;

impl VaultRules for AdditionAgain500 {
    fn add(&self, visit: &Visit, repo: &Repo, request: &MemberAddRequest) -> Decision<VaultManifest> {
        if repo.manifest.member(&request.member.ed25519_public_key) == Some(&request.member) {
            return Decision::refuse(Refusal::internal("0 rows affected"));
        }
        operations::add(self, visit, repo, request)
    }
}

struct AdditionAgainAnsweredOnly;

impl VaultRules for AdditionAgainAnsweredOnly {
    fn add(&self, visit: &Visit, repo: &Repo, request: &MemberAddRequest) -> Decision<VaultManifest> {
        match entered_again(repo, request, |_, sent| sent.clone()) {
            Some(next) => Decision::read(self.manifest_served(visit, &next)),
            None => operations::add(self, visit, repo, request),
        }
    }
}

struct AdditionAgainKeepsTheBinding;

impl VaultRules for AdditionAgainKeepsTheBinding {
    fn add(&self, visit: &Visit, repo: &Repo, request: &MemberAddRequest) -> Decision<VaultManifest> {
        let merged = entered_again(repo, request, |there, sent| MemberEntry {
            key_binding_sig: sent.key_binding_sig.clone().or_else(|| there.key_binding_sig.clone()),
            ..sent.clone()
        });
        written_or_added(self, visit, repo, request, merged)
    }
}

struct AdditionAgainTakesTheKeyOnly;

impl VaultRules for AdditionAgainTakesTheKeyOnly {
    fn add(&self, visit: &Visit, repo: &Repo, request: &MemberAddRequest) -> Decision<VaultManifest> {
        let merged = entered_again(repo, request, |there, sent| MemberEntry {
            x25519_public_key: sent.x25519_public_key.clone(),
            ..there.clone()
        });
        written_or_added(self, visit, repo, request, merged)
    }
}

struct EpochsComparedAsTexts;

impl VaultRules for EpochsComparedAsTexts {
    fn epoch_advances(&self, new: i64, current: i64) -> bool {
        new.to_string() > current.to_string()
    }
}

#[derive(Default)]
struct LoginsOfOneKeyAtOnce500 {
    under_way: Mutex<HashSet<String>>,
}

impl IdentityRules for LoginsOfOneKeyAtOnce500 {
    fn redeem<'a>(
        &'a self,
        authority: &'a redemption::Authority,
        request: &'a crate::wire::TokenRequest,
    ) -> crate::server::rules::Later<'a, Result<crate::wire::TokenResponse, Refusal>> {
        Box::pin(async move {
            let key = request.ed25519_public_key.clone();
            if !lock(&self.under_way).insert(key.clone()) {
                return Err(Refusal::internal("UNIQUE constraint failed: sessions.key"));
            }
            super::tools::gap(4000).await;
            lock(&self.under_way).remove(&key);
            redemption::redeem(self, authority, request)
        })
    }
}

#[derive(Default)]
struct UnknownKeysCannotBeAdded {
    users: Mutex<HashSet<String>>,
}

impl IdentityRules for UnknownKeysCannotBeAdded {
    fn redeemed(&self, request: &crate::wire::TokenRequest, _: &crate::wire::TokenResponse) {
        lock(&self.users).insert(request.ed25519_public_key.clone());
    }
}

impl VaultRules for UnknownKeysCannotBeAdded {
    fn add(&self, visit: &Visit, repo: &Repo, request: &MemberAddRequest) -> Decision<VaultManifest> {
        if !lock(&self.users).contains(&request.member.ed25519_public_key) {
            return Decision::refuse(Refusal::not_found(NO_USER));
        }
        operations::add(self, visit, repo, request)
    }
}

#[derive(Default)]
struct LoginEndsWithLastRepository {
    orphans: Orphans,
}

impl IdentityRules for LoginEndsWithLastRepository {
    fn redeem<'a>(
        &'a self,
        authority: &'a redemption::Authority,
        request: &'a crate::wire::TokenRequest,
    ) -> crate::server::rules::Later<'a, Result<crate::wire::TokenResponse, Refusal>> {
        let refused = self.orphans.has(&request.ed25519_public_key);
        let granted = || redemption::redeem(self, authority, request);
        Box::pin(std::future::ready(if refused { Err(Refusal::unauthorized(NO_USER)) } else { granted() }))
    }
}

impl VaultRules for LoginEndsWithLastRepository {
    fn stored(&self, _: Route, _: Option<&Repo>, next: Repo) -> Repo {
        self.orphans.note(&next);
        next
    }
}

#[derive(Default)]
struct TokenEndsWithLastRepository {
    orphans: Orphans,
}

impl VaultRules for TokenEndsWithLastRepository {
    fn transition(&self, visit: &Visit, state: Option<&Repo>) -> Decision<Success> {
        if self.orphans.has(&visit.caller) {
            return Decision::refuse(Refusal::unauthorized(NO_USER));
        }
        operations::transition(self, visit, state)
    }

    fn stored(&self, _: Route, _: Option<&Repo>, next: Repo) -> Repo {
        self.orphans.note(&next);
        next
    }
}
