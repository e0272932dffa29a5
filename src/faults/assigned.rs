//! Members of a request that nobody asked for and that are assigned all the same (mass assignment, SPEC §6).

use std::collections::HashMap;
use std::future::ready;
use std::sync::Mutex;

use axum::http::request::Parts;
use bytes::Bytes;
use serde_json::{Map, Value};

use super::table::*;
use super::tools::lock;
use crate::server::edge::Edge;
use crate::server::redemption::{self, Authority};
use crate::server::refusal::Refusal;
use crate::server::repo::{Repo, VaultCommand, Visit};
use crate::server::route::Route;
use crate::server::rules::{IdentityRules, Later, VaultRules};
use crate::server::store::{Store, Tx};
use crate::wire::{TokenRequest, TokenResponse};

/// Columns of a repository.
const COLUMNS: [&str; 4] = ["members", "schemeId", "keyEpoch", "payloadVersion"];

/// A server that assigns members of a body which are called like its columns.
struct Assigning {
    route: Route,
    found: Mutex<HashMap<String, Map<String, Value>>>,
}

fn assigning(route: Route) -> Assigning {
    Assigning { route, found: Mutex::default() }
}

/// Takes members out of an object of a body; the body stays as it is when there are none.
fn taken(body: Bytes, place: &str, names: &[&str]) -> (Bytes, Value, Map<String, Value>) {
    let mut found = Map::new();
    let Ok(mut request) = serde_json::from_slice::<Value>(&body) else { return (body, Value::Null, found) };
    if let Some(object) = request.pointer_mut(place).and_then(Value::as_object_mut) {
        found.extend(names.iter().filter_map(|name| object.remove_entry(*name)));
    }
    let body = if found.is_empty() { body } else { request.to_string().into() };
    (body, request, found)
}

impl Edge for Assigning {
    fn body(&self, _: &Store, route: Route, _: &Parts, body: Bytes) -> Result<Bytes, Refusal> {
        if route != self.route {
            return Ok(body);
        }
        let (body, request, found) = taken(body, "", &COLUMNS);
        lock(&self.found).insert(request["repoId"].as_str().unwrap_or_default().to_owned(), found);
        Ok(body)
    }
}

impl VaultRules for Assigning {
    fn stored(&self, route: Route, _: Option<&Repo>, mut next: Repo) -> Repo {
        if route != self.route {
            return next;
        }
        let found = lock(&self.found).remove(&next.manifest.repo_id).unwrap_or_default();
        let manifest = &mut next.manifest;
        for (name, value) in found {
            match (name.as_str(), &value) {
                ("members", _) => manifest.members = serde_json::from_value(value).unwrap_or_default(),
                ("schemeId", Value::String(text)) => manifest.scheme_id.clone_from(text),
                ("keyEpoch", _) => manifest.key_epoch = value.as_i64().unwrap_or(manifest.key_epoch),
                ("payloadVersion", _) => {
                    manifest.payload_version = value.as_i64().unwrap_or(manifest.payload_version);
                }
                _ => {}
            }
        }
        next
    }
}

/// The faults of this area.
pub(super) const FAULTS: &[Fault] = &[
    fault(
        "push-assigns-columns",
        &PUSH_APPLIES,
        "A push that brings members, schemeId, keyEpoch or payloadVersion along sets them.",
        || edge_and_vault(assigning(Route::Push)),
    ),
    fault(
        "add-assigns-columns",
        &ADD_RECORDS,
        "An addMember that brings members, schemeId, keyEpoch or payloadVersion along sets them.",
        || edge_and_vault(assigning(Route::AddMember)),
    ),
    fault(
        "removal-assigns-columns",
        &REMOVE_REPLACES,
        "A removeMember that brings members, schemeId or payloadVersion along sets them.",
        || edge_and_vault(assigning(Route::RemoveMember)),
    ),
    fault(
        "member-names-its-repository",
        &PUSH_SCOPE,
        "A member that addMember brings is put into the repository whose id stands in it.",
        || edge_and_vault(MemberNamesItsRepository::default()),
    ),
    fault(
        "login-names-its-subject",
        &SUBJECT_IS_CALLER,
        "A token request that brings a `sub` along gets a token for it.",
        || edge_and_identity(LoginNamesItsSubject::default()),
    ),
];

#[derive(Default)]
struct MemberNamesItsRepository {
    named: Mutex<HashMap<String, String>>,
}

impl Edge for MemberNamesItsRepository {
    fn body(&self, _: &Store, route: Route, _: &Parts, body: Bytes) -> Result<Bytes, Refusal> {
        if route != Route::AddMember {
            return Ok(body);
        }
        let (body, request, found) = taken(body, "/member", &["repoId"]);
        if let (Some(here), Some(there)) = (request["repoId"].as_str(), found.get("repoId").and_then(Value::as_str)) {
            lock(&self.named).insert(here.to_owned(), there.to_owned());
        }
        Ok(body)
    }
}

impl VaultRules for MemberNamesItsRepository {
    fn committed(&self, tx: &Tx<'_>, visit: &Visit, _: Option<&Repo>, _: &Repo) -> rusqlite::Result<()> {
        let there = lock(&self.named).remove(&visit.repo_id);
        if let (Some(there), VaultCommand::Add(request)) = (there, &visit.command)
            && let Some(before) = tx.load(&there)?
        {
            let mut next = before.clone();
            next.manifest.members.push(request.member.clone());
            tx.update(&before, &next)?;
        }
        Ok(())
    }
}

#[derive(Default)]
struct LoginNamesItsSubject {
    named: Mutex<HashMap<String, String>>,
}

impl Edge for LoginNamesItsSubject {
    fn body(&self, _: &Store, route: Route, _: &Parts, body: Bytes) -> Result<Bytes, Refusal> {
        if route != Route::Token {
            return Ok(body);
        }
        let (body, request, found) = taken(body, "", &["sub"]);
        if let (Some(nonce), Some(subject)) = (request["nonce"].as_str(), found.get("sub").and_then(Value::as_str)) {
            lock(&self.named).insert(nonce.to_owned(), subject.trim_start_matches("key:").to_owned());
        }
        Ok(body)
    }
}

impl IdentityRules for LoginNamesItsSubject {
    fn redeem<'a>(
        &'a self,
        authority: &'a Authority,
        request: &'a TokenRequest,
    ) -> Later<'a, Result<TokenResponse, Refusal>> {
        let named = lock(&self.named).remove(&request.nonce);
        let answer = redemption::redeem(self, authority, request);
        Box::pin(ready(match (answer, named) {
            (Ok(_), Some(subject)) => redemption::grant(self, authority, &subject),
            (answer, _) => answer,
        }))
    }
}
