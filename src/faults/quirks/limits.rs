//! How large, how long and how many: limits of a deployment, refused cleanly, and policies.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

use axum::http::Response;
use axum::http::header::CONTENT_LENGTH;
use axum::http::request::Parts;
use bytes::Bytes;
use serde_json::Value;

use super::request::{caller, refuse, repo};
use super::rosters::{ExactRemovals, KeepsMembers, WrapsAnew};
use super::{Quirk, quirk};
use crate::faults::edits::lock;
use crate::server::edge::{Edge, HangUp};
use crate::server::refusal::Refusal;
use crate::server::repo::Repo;
use crate::server::route::Route;
use crate::server::store::Store;

/// The largest body, refused with 413.
pub struct Bodies(pub usize);

impl Edge for Bodies {
    fn max_body(&self, _: usize) -> usize {
        self.0
    }
}

/// No answer to what is announced as larger; it isn't carried out either.
pub struct Closes(pub u64);

impl Edge for Closes {
    fn max_body(&self, _: usize) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }

    fn response(&self, _: Route, parts: &Parts, mut response: Response<Bytes>) -> Response<Bytes> {
        let length = parts.headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
        if length.is_some_and(|length| length > self.0) {
            response.extensions_mut().insert(HangUp);
        }
        response
    }
}

fn array(body: &Value, name: &str) -> usize {
    body[name].as_array().map_or(0, Vec::len)
}

/// The largest roster, and the status that a larger one is refused with.
pub struct Rosters(pub usize, pub u16);

impl Edge for Rosters {
    fn body(&self, store: &Store, route: Route, parts: &Parts, body: Bytes) -> Result<Bytes, Refusal> {
        let request: Value = serde_json::from_slice(&body).unwrap_or_default();
        let found = repo(store, parts)?;
        // A stranger is refused as such.
        let member = |repo: &Repo| caller(parts).is_some_and(|id| repo.manifest.member(&id).is_some());
        let Some(repo) = found.filter(member) else { return Ok(body) };
        let size = match route {
            Route::AddMember => {
                let newcomer = request["member"]["ed25519PublicKey"].as_str().unwrap_or_default();
                let there = usize::from(repo.manifest.member(newcomer).is_some());
                repo.manifest.members.len() + 1 - there
            }
            Route::Push => array(&request, "rotatedMembers"),
            Route::RemoveMember => array(&request, "rewrappedMembers"),
            _ => 0,
        };
        if size > self.0 { Err(refuse(self.1, "quota_exceeded", "too many members")) } else { Ok(body) }
    }
}

/// How often a key may do something, and the status of one time too many.
pub struct Times {
    route: Route,
    most: u32,
    status: u16,
    done: Mutex<HashMap<String, u32>>,
}

impl Times {
    pub fn new(route: Route, most: u32, status: u16) -> Self {
        Self { route, most, status, done: Mutex::default() }
    }
}

impl Edge for Times {
    fn body(&self, _: &Store, route: Route, parts: &Parts, body: Bytes) -> Result<Bytes, Refusal> {
        if route != self.route {
            return Ok(body);
        }
        let request: Value = serde_json::from_slice(&body).unwrap_or_default();
        let named = request["ed25519PublicKey"].as_str().map(str::to_owned);
        // What is no right request isn't counted.
        let right = match route {
            Route::CreateRepo => {
                request["manifest"]["members"][0]["ed25519PublicKey"].as_str() == caller(parts).as_deref()
            }
            _ => true,
        };
        let Some(key) = named.or_else(|| caller(parts)).filter(|_| right) else { return Ok(body) };
        let mut done = lock(&self.done);
        let times = done.entry(key).or_default();
        if *times == self.most {
            return Err(refuse(self.status, "quota_exceeded", "that is enough for one key"));
        }
        *times += 1;
        Ok(body)
    }
}

/// How many repositories there may be in all, and the status of one too many.
pub struct InAll {
    most: usize,
    status: u16,
    created: Mutex<HashSet<String>>,
}

impl InAll {
    pub fn new(most: usize, status: u16) -> Self {
        Self { most, status, created: Mutex::default() }
    }
}

impl Edge for InAll {
    fn body(&self, _: &Store, route: Route, parts: &Parts, body: Bytes) -> Result<Bytes, Refusal> {
        let request: Value = serde_json::from_slice(&body).unwrap_or_default();
        let manifest = &request["manifest"];
        let right = manifest["members"][0]["ed25519PublicKey"].as_str() == caller(parts).as_deref();
        let Some(id) = manifest["repoId"].as_str().filter(|_| right && route == Route::CreateRepo) else {
            return Ok(body);
        };
        let mut created = lock(&self.created);
        if created.len() >= self.most && !created.contains(id) {
            return Err(refuse(self.status, "quota_exceeded", "there is no room for another repository"));
        }
        created.insert(id.to_owned());
        Ok(body)
    }
}

/// Which ids a repository may have, and the status that others are refused with.
pub struct Ids(pub fn(&str) -> bool, pub u16);

impl Edge for Ids {
    fn body(&self, _: &Store, route: Route, _: &Parts, body: Bytes) -> Result<Bytes, Refusal> {
        let request: Value = serde_json::from_slice(&body).unwrap_or_default();
        match request["manifest"]["repoId"].as_str() {
            Some(id) if route == Route::CreateRepo && !(self.0)(id) => {
                Err(refuse(self.1, "bad_request", "repoId isn't of the form that this server takes"))
            }
            _ => Ok(body),
        }
    }
}

/// Nobody removes itself.
pub struct StaysItself;

impl Edge for StaysItself {
    fn body(&self, _: &Store, route: Route, parts: &Parts, body: Bytes) -> Result<Bytes, Refusal> {
        let request: Value = serde_json::from_slice(&body).unwrap_or_default();
        let removed = request["removedMemberId"].as_str();
        if route == Route::RemoveMember && removed.is_some() && removed == caller(parts).as_deref() {
            return Err(refuse(403, "policy_denied", "nobody removes itself here"));
        }
        Ok(body)
    }
}

/// The creator of a repository is never removed.
#[derive(Default)]
pub struct CreatorStays(Mutex<HashMap<String, String>>);

impl Edge for CreatorStays {
    fn body(&self, store: &Store, route: Route, parts: &Parts, body: Bytes) -> Result<Bytes, Refusal> {
        let request: Value = serde_json::from_slice(&body).unwrap_or_default();
        if route == Route::CreateRepo {
            let (id, creator) =
                (&request["manifest"]["repoId"], &request["manifest"]["members"][0]["ed25519PublicKey"]);
            let (Some(id), Some(creator)) = (id.as_str(), creator.as_str()) else { return Ok(body) };
            // The first: a duplicate is refused behind this.
            lock(&self.0).entry(id.to_owned()).or_insert_with(|| creator.to_owned());
        }
        let (true, Some(repo)) = (route == Route::RemoveMember, repo(store, parts)?) else { return Ok(body) };
        let may = caller(parts).is_some_and(|id| repo.manifest.member(&id).is_some());
        let removed = request["removedMemberId"].as_str();
        if may && removed.is_some() && removed == lock(&self.0).get(&repo.manifest.repo_id).map(String::as_str) {
            return Err(refuse(403, "policy_denied", "the creator stays"));
        }
        Ok(body)
    }
}

/// Who was removed from a repository stays out.
#[derive(Default)]
pub struct StaysOut(Mutex<Vec<(String, String)>>);

impl Edge for StaysOut {
    fn body(&self, store: &Store, route: Route, parts: &Parts, body: Bytes) -> Result<Bytes, Refusal> {
        let request: Value = serde_json::from_slice(&body).unwrap_or_default();
        let Some(repo) = repo(store, parts)? else { return Ok(body) };
        let member = |id: &str| repo.manifest.member(id).is_some();
        if !caller(parts).is_some_and(|id| member(&id)) {
            return Ok(body);
        }
        let id = repo.manifest.repo_id.clone();
        let (removed, added) = (request["removedMemberId"].as_str(), request["member"]["ed25519PublicKey"].as_str());
        let mut out = lock(&self.0);
        match (route, removed, added) {
            (Route::RemoveMember, Some(removed), _) if member(removed) => out.push((id, removed.to_owned())),
            (Route::AddMember, _, Some(added)) if !member(added) && out.contains(&(id, added.to_owned())) => {
                return Err(refuse(403, "policy_denied", "who was removed stays out"));
            }
            _ => {}
        }
        Ok(body)
    }
}

/// Versions rise by exactly one, from one.
pub struct StepByOne;

impl Edge for StepByOne {
    fn body(&self, _: &Store, route: Route, _: &Parts, body: Bytes) -> Result<Bytes, Refusal> {
        let request: Value = serde_json::from_slice(&body).unwrap_or_default();
        let odd = match route {
            Route::CreateRepo => request["manifest"]["payloadVersion"].as_i64().is_some_and(|version| version > 1),
            Route::Push => {
                let next = request["envelope"]["payloadVersion"].as_i64();
                let known = request["expectedPayloadVersion"].as_i64();
                next.zip(known).is_some_and(|(next, known)| next.checked_sub(1).is_some_and(|step| step > known))
            }
            _ => false,
        };
        if odd { Err(refuse(422, "bad_request", "versions rise by one")) } else { Ok(body) }
    }
}

pub const ALL: &[Quirk] = &[
    quirk("bodies-of-64-kib", "Bodies of more than 64 KiB are refused with 413.", || Arc::new(Bodies(64 << 10)))
        .of_limits(),
    quirk("bodies-of-100-kb", "Bodies of more than 100,000 bytes are refused with 413.", || Arc::new(Bodies(100_000)))
        .of_limits(),
    quirk("bodies-of-1-mib", "Bodies of more than 1 MiB are refused with 413.", || Arc::new(Bodies(1 << 20)))
        .of_limits(),
    quirk("bodies-of-2-mib", "Bodies of more than 2 MiB are refused with 413.", || Arc::new(Bodies(2 << 20)))
        .of_limits(),
    quirk("closes-at-1-mib", "A body of more than 1 MiB gets the connection closed.", || Arc::new(Closes(1 << 20)))
        .of_limits(),
    quirk("closes-at-2-mib", "A body of more than 2 MiB gets the connection closed.", || Arc::new(Closes(2 << 20)))
        .of_limits(),
    quirk("rosters-of-2", "A roster of more than 2 members is refused with 403.", || Arc::new(Rosters(2, 403)))
        .of_limits(),
    quirk("rosters-of-3", "A roster of more than 3 members is refused with 402.", || Arc::new(Rosters(3, 402)))
        .of_limits(),
    quirk("rosters-of-10", "A roster of more than 10 members is refused with 429.", || Arc::new(Rosters(10, 429)))
        .of_limits(),
    quirk("rosters-of-50", "A roster of more than 50 members is refused with 413.", || Arc::new(Rosters(50, 413)))
        .of_limits(),
    quirk("three-repos-a-key", "A key's fourth repository is refused with 403.", || {
        Arc::new(Times::new(Route::CreateRepo, 3, 403))
    })
    .of_limits(),
    quirk("two-repos-a-key", "A key's third repository is refused with 402.", || {
        Arc::new(Times::new(Route::CreateRepo, 2, 402))
    })
    .of_limits(),
    quirk("hundred-repos-in-all", "The hundred-and-first repository is refused with 403, whoever creates it.", || {
        Arc::new(InAll::new(100, 403))
    })
    .of_limits(),
    quirk("thirty-repos-in-all", "The thirty-first repository is refused with 402, whoever creates it.", || {
        Arc::new(InAll::new(30, 402))
    })
    .of_limits(),
    quirk("five-logins-a-key", "A key's sixth challenge is refused with 429.", || {
        Arc::new(Times::new(Route::Challenge, 5, 429))
    })
    .of_limits(),
    quirk("five-redemptions-a-key", "A key's sixth token request is refused with 429.", || {
        Arc::new(Times::new(Route::Token, 5, 429))
    })
    .of_limits(),
    quirk("forty-pushes-a-key", "A key's forty-first push is refused with 429.", || {
        Arc::new(Times::new(Route::Push, 40, 429))
    })
    .of_limits(),
    quirk("ids-of-64", "Repository ids of more than 64 characters are refused with 422.", || {
        Arc::new(Ids(|id| id.chars().count() <= 64, 422))
    })
    .of_limits(),
    quirk("ids-of-40", "Repository ids of more than 40 characters are refused with 403.", || {
        Arc::new(Ids(|id| id.chars().count() <= 40, 403))
    })
    .of_limits(),
    quirk("push-brings-nobody-in", "A push whose roster has somebody new is refused with 403.", || {
        Arc::new(KeepsMembers { in_too: true, out_too: false })
    })
    .of_limits(),
    quirk("removals-exact", "A removal's roster is who stays, at the next epoch, or it is refused with 400.", || {
        Arc::new(ExactRemovals)
    })
    .of_limits(),
    quirk("push-leaves-nobody-out", "A push whose roster leaves somebody out is refused with 403.", || {
        Arc::new(KeepsMembers { in_too: false, out_too: true })
    })
    .of_limits(),
    quirk("nobody-removes-itself", "A member that removes itself is refused with 403.", || Arc::new(StaysItself)),
    quirk("creator-cannot-be-removed", "The creator of a repository can't be removed: 403.", || {
        Arc::new(CreatorStays::default())
    }),
    quirk("rotations-wrap-anew", "A rotation that keeps a wrapped key is refused with 400.", || Arc::new(WrapsAnew)),
    quirk("removed-stay-out", "A member that was removed can't be added again: 403.", || Arc::new(StaysOut::default())),
    quirk("versions-rise-by-one", "A version that isn't the next one is refused with 422.", || Arc::new(StepByOne)),
];
