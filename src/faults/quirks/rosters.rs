//! Policies about who stands in a new roster, and with what.

use std::collections::HashSet;

use axum::http::request::Parts;
use bytes::Bytes;
use serde_json::Value;

use super::request::{caller, refuse, repo};
use crate::server::edge::Edge;
use crate::server::refusal::Refusal;
use crate::server::repo::Repo;
use crate::server::route::Route;
use crate::server::store::Store;

/// Whoever comes in or goes does so by addMember and removeMember: the roster of a push has the members that there are.
#[derive(Clone, Copy)]
pub struct KeepsMembers {
    /// Whether nobody comes in.
    pub in_too: bool,
    /// Whether nobody goes.
    pub out_too: bool,
}

impl Edge for KeepsMembers {
    fn body(&self, store: &Store, route: Route, parts: &Parts, body: Bytes) -> Result<Bytes, Refusal> {
        let request: Value = serde_json::from_slice(&body).unwrap_or_default();
        let Some(roster) = request["rotatedMembers"].as_array().filter(|_| route == Route::Push) else {
            return Ok(body);
        };
        let member = |repo: &Repo| caller(parts).is_some_and(|id| repo.manifest.member(&id).is_some());
        let current = |repo: &Repo| request["expectedPayloadVersion"] == repo.manifest.payload_version;
        let Some(repo) = repo(store, parts)?.filter(|repo| member(repo) && current(repo)) else { return Ok(body) };
        let ids: Vec<&str> = roster.iter().filter_map(|entry| entry["ed25519PublicKey"].as_str()).collect();
        let comes = ids.iter().any(|id| repo.manifest.member(id).is_none());
        let goes = repo.manifest.members.iter().any(|entry| !ids.contains(&entry.ed25519_public_key.as_str()));
        if (comes && self.in_too) || (goes && self.out_too) {
            return Err(refuse(403, "policy_denied", "members come by add-member and go by remove-member"));
        }
        Ok(body)
    }
}

/// A new roster whose wrapped keys are those of before is refused.
pub struct WrapsAnew;

impl Edge for WrapsAnew {
    fn body(&self, store: &Store, route: Route, parts: &Parts, body: Bytes) -> Result<Bytes, Refusal> {
        let request: Value = serde_json::from_slice(&body).unwrap_or_default();
        let roster = match route {
            Route::Push => &request["rotatedMembers"],
            Route::RemoveMember => &request["rewrappedMembers"],
            _ => &Value::Null,
        };
        let (Some(roster), Some(repo)) = (roster.as_array(), repo(store, parts)?) else { return Ok(body) };
        let may = caller(parts).is_some_and(|id| repo.manifest.member(&id).is_some());
        let stale = request["expectedPayloadVersion"]
            .as_i64()
            .is_some_and(|expected| expected != repo.manifest.payload_version);
        let known: HashSet<_> =
            repo.manifest.members.iter().map(|entry| entry.wrapped_data_key.ciphertext.as_str()).collect();
        let keeps = roster
            .iter()
            .any(|entry| entry["wrappedDataKey"]["ciphertext"].as_str().is_some_and(|text| known.contains(text)));
        if may && !stale && keeps {
            return Err(refuse(400, "stale_wrap", "a rotation wraps the new key anew"));
        }
        Ok(body)
    }
}

/// The roster of a removal is everybody but who goes, and its epoch the next one.
pub struct ExactRemovals;

impl Edge for ExactRemovals {
    fn body(&self, store: &Store, route: Route, parts: &Parts, body: Bytes) -> Result<Bytes, Refusal> {
        let request: Value = serde_json::from_slice(&body).unwrap_or_default();
        let (Some(roster), Some(gone)) = (request["rewrappedMembers"].as_array(), request["removedMemberId"].as_str())
        else {
            return Ok(body);
        };
        let may = |repo: &Repo| {
            route == Route::RemoveMember
                && caller(parts).is_some_and(|id| repo.manifest.member(&id).is_some())
                && repo.manifest.member(gone).is_some()
        };
        let Some(repo) = repo(store, parts)?.filter(may) else { return Ok(body) };
        let named: HashSet<&str> = roster.iter().filter_map(|entry| entry["ed25519PublicKey"].as_str()).collect();
        let members = repo.manifest.members.iter().map(|entry| entry.ed25519_public_key.as_str());
        let staying: HashSet<&str> = members.filter(|id| *id != gone).collect();
        let next = request["newKeyEpoch"] == repo.manifest.key_epoch + 1;
        if named != staying || !next {
            return Err(refuse(400, "bad_request", "rewrappedMembers are who stays, at the next epoch"));
        }
        Ok(body)
    }
}
