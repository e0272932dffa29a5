//! Rights and answers that are remembered longer than they hold, and rights that come too late (SPEC §6,
//! authorization).

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use axum::http::header::{AUTHORIZATION, HeaderValue};
use axum::http::request::Parts;
use axum::http::{Method, Request, Response};
use bytes::Bytes;
use hyper::body::Incoming;

use super::table::*;
use super::tools::{is_in, lock};
use crate::server::edge::Edge;
use crate::server::operations;
use crate::server::refusal::Refusal;
use crate::server::repo::{Decision, Repo, Success, VaultCommand, Visit};
use crate::server::route::Route;
use crate::server::rules::VaultRules;
use crate::wire::MemberEntry;

/// Repository, member and, where each operation has a cache of its own, operation.
type Key = (String, String, Option<Route>);

/// What empties a cache of rights.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Emptied {
    /// The id that a removal names is forgotten.
    Name,
    /// A removal forgets everybody; a push forgets nobody.
    Removal,
    /// A push with a roster forgets everybody; a removal forgets nobody but the one it names.
    Push,
    /// Everything, save where members remove themselves.
    Others,
}

/// A server that asks a cache of rights before the roster.
struct Positive {
    /// Operations that ask the cache.
    routes: &'static [Route],
    /// Whether only the operation that was used is remembered.
    each: bool,
    emptied: Emptied,
    seen: Mutex<HashSet<Key>>,
}

fn positive(routes: &'static [Route], each: bool, emptied: Emptied) -> Positive {
    Positive { routes, each, emptied, seen: Mutex::default() }
}

const EVERY: &[Route] = &[Route::Pull, Route::Push, Route::AddMember, Route::RemoveMember, Route::FetchMemberKey];

impl VaultRules for Positive {
    fn is_member(&self, visit: &Visit, repo: &Repo) -> bool {
        let route = self.each.then_some(visit.route);
        let key = (repo.manifest.repo_id.clone(), visit.caller.clone(), route);
        let mut seen = lock(&self.seen);
        if is_in(repo, &visit.caller) {
            seen.insert(key);
            return true;
        }
        self.routes.contains(&visit.route) && seen.contains(&key)
    }

    fn committed(
        &self,
        _: &crate::server::store::Tx<'_>,
        visit: &Visit,
        _: Option<&Repo>,
        next: &Repo,
    ) -> rusqlite::Result<()> {
        let (named, rotates) = match &visit.command {
            VaultCommand::Remove(request) => (Some(request.removed_member_id.as_str()), true),
            VaultCommand::Push(request) => (None, request.rotated_members.is_some()),
            _ => (None, false),
        };
        let all = match self.emptied {
            Emptied::Name => false,
            Emptied::Removal => named.is_some(),
            Emptied::Push => rotates && named.is_none(),
            Emptied::Others => rotates && named != Some(&visit.caller),
        };
        let himself = self.emptied == Emptied::Others && named == Some(&visit.caller);
        lock(&self.seen).retain(|(repo, member, _)| {
            *repo != next.manifest.repo_id || !(all || !himself && named == Some(member.as_str()))
        });
        Ok(())
    }
}

/// A server that remembers who was refused, and forgets it only when that member is added by addMember, or never.
struct Negative {
    routes: &'static [Route],
    /// Whether addMember by the first member of the roster makes it forget.
    forgets: bool,
    refused: Mutex<HashSet<Key>>,
}

fn negative(routes: &'static [Route], forgets: bool) -> Negative {
    Negative { routes, forgets, refused: Mutex::default() }
}

impl VaultRules for Negative {
    fn is_member(&self, visit: &Visit, repo: &Repo) -> bool {
        let key = (repo.manifest.repo_id.clone(), visit.caller.clone(), Some(visit.route));
        let mut refused = lock(&self.refused);
        if self.routes.contains(&visit.route) && refused.contains(&key) {
            return false;
        }
        let member = is_in(repo, &visit.caller);
        if !member {
            refused.insert(key);
        }
        member
    }

    fn added(&self, repo: &Repo, entry: &MemberEntry) -> Repo {
        if self.forgets {
            lock(&self.refused)
                .retain(|(id, member, _)| *id != repo.manifest.repo_id || *member != entry.ed25519_public_key);
        }
        let mut next = repo.clone();
        next.manifest.members.push(entry.clone());
        next.last_removal = None;
        next
    }
}

/// A server that answers fetchMemberKey from a cache which some writes don't empty.
struct Fetching {
    /// Whether an unknown member is remembered as such, instead of a known one.
    misses: bool,
    /// Writes that empty the cache.
    emptied: &'static [Route],
    cache: Mutex<HashMap<(String, String), Option<MemberEntry>>>,
}

fn fetching(misses: bool, emptied: &'static [Route]) -> Fetching {
    Fetching { misses, emptied, cache: Mutex::default() }
}

impl VaultRules for Fetching {
    fn fetch(&self, _: &Visit, repo: &Repo, member_id: &str) -> Decision<MemberEntry> {
        let mut cache = lock(&self.cache);
        let key = (repo.manifest.repo_id.clone(), member_id.to_owned());
        let found = cache.get(&key).cloned().unwrap_or_else(|| {
            let entry = repo.manifest.member(member_id).cloned();
            if entry.is_none() == self.misses {
                cache.insert(key, entry.clone());
            }
            entry
        });
        found.map_or_else(|| Decision::refuse(Refusal::not_found("no such member")), Decision::read)
    }

    fn stored(&self, route: Route, _: Option<&Repo>, next: Repo) -> Repo {
        if self.emptied.contains(&route) {
            lock(&self.cache).retain(|(repo, _), _| *repo != next.manifest.repo_id);
        }
        next
    }
}

/// How long a cache in front keeps what a member was told.
const KEPT: Duration = Duration::from_secs(2);

/// A cache in front keeps answers to GET by their path, for whoever asks next.
#[derive(Default)]
struct CacheInFront(Mutex<HashMap<String, (HeaderValue, Instant)>>);

impl Edge for CacheInFront {
    fn arrival(&self, request: &mut Request<Incoming>) {
        if request.method() != Method::GET {
            // It is told of what is asked of the same repository.
            let repo = request.uri().path().split('/').nth(3).unwrap_or_default();
            lock(&self.0).retain(|path, _| path.split('/').nth(3) != Some(repo));
            return;
        }
        let known = lock(&self.0).get(request.uri().path()).cloned();
        if let Some((value, _)) = known.filter(|(_, at)| at.elapsed() < KEPT) {
            request.headers_mut().insert(AUTHORIZATION, value);
        }
    }

    fn response(&self, route: Route, parts: &Parts, response: Response<Bytes>) -> Response<Bytes> {
        let value = parts.headers.get(AUTHORIZATION).filter(|_| route == Route::FetchMemberKey);
        if let (Some(value), true) = (value, response.status().is_success()) {
            lock(&self.0).entry(parts.uri.path().to_owned()).or_insert((value.clone(), Instant::now()));
        }
        response
    }
}

/// The faults of this area.
pub(super) const FAULTS: &[Fault] = &[
    fault(
        "cache-in-front",
        &TOKEN_REQUIRED,
        "A cache in front keeps what fetchMemberKey has told a member for two seconds, for whoever asks next.",
        || edge(CacheInFront::default()),
    ),
    fault(
        "rights-cached-until-named",
        &REMOVE_REVOKES,
        "Rights are cached, and only the id that a removal names is forgotten.",
        || vault(positive(EVERY, false, Emptied::Name)),
    ),
    fault(
        "rights-cached-past-push",
        &PUSH_ROTATES,
        "Rights are cached, and a push that leaves members out doesn't empty the cache.",
        || vault(positive(EVERY, false, Emptied::Removal)),
    ),
    fault(
        "rights-cached-past-roster",
        &REMOVE_REVOKES,
        "Rights are cached, and a removal forgets the one it names but not those whom its roster leaves out.",
        || vault(positive(EVERY, false, Emptied::Push)),
    ),
    fault(
        "rights-cached-past-self-removal",
        &REMOVE_REVOKES,
        "Rights are cached, and who removes himself isn't forgotten.",
        || vault(positive(EVERY, false, Emptied::Others)),
    ),
    fault(
        "pull-right-cached-past-push",
        &PUSH_ROTATES,
        "Who has pulled goes on pulling after a push has left him out.",
        || vault(positive(&[Route::Pull], true, Emptied::Removal)),
    ),
    fault(
        "push-right-cached-past-push",
        &PUSH_ROTATES,
        "Who has pushed goes on pushing after a push has left him out.",
        || vault(positive(&[Route::Push], true, Emptied::Removal)),
    ),
    fault(
        "add-right-cached-past-push",
        &PUSH_ROTATES,
        "Who has added somebody goes on adding after a push has left him out.",
        || vault(positive(&[Route::AddMember], true, Emptied::Removal)),
    ),
    fault(
        "remove-right-cached-past-push",
        &PUSH_ROTATES,
        "Who has removed somebody goes on removing after a push has left him out.",
        || vault(positive(&[Route::RemoveMember], true, Emptied::Name)),
    ),
    fault(
        "fetch-right-cached-past-push",
        &PUSH_ROTATES,
        "Who has fetched a key goes on fetching after a push has left him out.",
        || vault(positive(&[Route::FetchMemberKey], true, Emptied::Removal)),
    ),
    fault(
        "pull-right-cached-past-roster",
        &REMOVE_REVOKES,
        "Who has pulled goes on pulling after a removal's roster has left him out.",
        || vault(positive(&[Route::Pull], true, Emptied::Name)),
    ),
    fault(
        "push-right-cached-past-roster",
        &REMOVE_REVOKES,
        "Who has pushed goes on pushing after a removal's roster has left him out.",
        || vault(positive(&[Route::Push], true, Emptied::Name)),
    ),
    fault(
        "fetch-right-cached-past-roster",
        &REMOVE_REVOKES,
        "Who has fetched a key goes on fetching after a removal's roster has left him out.",
        || vault(positive(&[Route::FetchMemberKey], true, Emptied::Name)),
    ),
    fault(
        "add-right-cached-past-self-removal",
        &REMOVE_REVOKES,
        "Who has added somebody goes on adding after he has removed himself.",
        || vault(positive(&[Route::AddMember], true, Emptied::Others)),
    ),
    fault("refusals-cached", &ADD_RECORDS, "Who was refused an operation is refused it for good.", || {
        vault(negative(EVERY, false))
    }),
    fault(
        "refused-push-cached",
        &ADD_RECORDS,
        "Whose push was refused can't push when he has become a member.",
        || vault(negative(&[Route::Push], false)),
    ),
    fault(
        "refused-add-cached",
        &ADD_RECORDS,
        "Whose addMember was refused can't add anybody when he has become a member.",
        || vault(negative(&[Route::AddMember], false)),
    ),
    fault(
        "refused-remove-cached",
        &ADD_RECORDS,
        "Whose removeMember was refused can't remove anybody when he has become a member.",
        || vault(negative(&[Route::RemoveMember], false)),
    ),
    fault(
        "refused-fetch-cached",
        &ADD_RECORDS,
        "Whose fetchMemberKey was refused can't fetch when he has become a member.",
        || vault(negative(&[Route::FetchMemberKey], false)),
    ),
    fault(
        "refusals-cached-past-rotation",
        &PUSH_ROTATES,
        "Who was refused stays so when a push brings him in; only addMember helps.",
        || vault(negative(EVERY, true)),
    ),
    fault(
        "fetched-key-cached-past-removal",
        &REMOVE_DROPS,
        "A member's entry that was fetched once is given after the member's removal.",
        || vault(fetching(false, &[Route::AddMember, Route::Push])),
    ),
    fault(
        "fetched-key-cached-past-push",
        &PUSH_ROTATES,
        "A member's entry that was fetched once is given after a push has replaced it.",
        || vault(fetching(false, &[Route::AddMember, Route::RemoveMember])),
    ),
    fault(
        "fetched-key-cached-past-add",
        &FETCH_ENTRY,
        "A member who was fetched before he was added isn't found afterwards.",
        || vault(fetching(true, &[Route::Push, Route::RemoveMember])),
    ),
    fault(
        "unknown-repository-cached",
        &CREATE_RETURNS,
        "A repository that was asked for before it was created isn't found afterwards.",
        || vault(UnknownRepositoryCached::default()),
    ),
];

#[derive(Default)]
struct UnknownRepositoryCached {
    unknown: Mutex<HashSet<String>>,
}

impl VaultRules for UnknownRepositoryCached {
    fn transition(&self, visit: &Visit, state: Option<&Repo>) -> Decision<Success> {
        let mut unknown = lock(&self.unknown);
        if visit.route != Route::CreateRepo && (state.is_none() || unknown.contains(&visit.repo_id)) {
            unknown.insert(visit.repo_id.clone());
            return Decision::refuse(Refusal::not_found("no such repository"));
        }
        drop(unknown);
        operations::transition(self, visit, state)
    }
}
