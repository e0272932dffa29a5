//! Refusals that say what only members may know (SPEC §6): helpful errors of a server that looks first and decides
//! then.

use std::collections::HashMap;
use std::sync::Mutex;

use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, Response};
use bytes::Bytes;
use serde_json::{Value, json};

use super::table::*;
use super::tools::{edit_any, lock};
use crate::codec::base64;
use crate::server::edge::Edge;
use crate::server::route::Route;

/// A server that explains refusals of one status with what it holds: `tell` makes an explanation of the last pull's
/// answer (or what is known of it).
struct Tells {
    status: u16,
    route: Option<Route>,
    tell: fn(&Value) -> Value,
    header: bool,
    /// What the server has shown of each repository, as a pull does.
    held: Mutex<HashMap<String, Value>>,
    /// The request that is being answered, by connection: a connection is a task, and has one request at a time.
    asked: Mutex<HashMap<Option<tokio::task::Id>, String>>,
}

fn on(status: u16, route: Option<Route>, tell: fn(&Value) -> Value) -> Tells {
    Tells { status, route, tell, header: false, held: Mutex::default(), asked: Mutex::default() }
}

fn in_header(status: u16, tell: fn(&Value) -> Value) -> Tells {
    Tells { header: true, ..on(status, None, tell) }
}

fn repo_in(parts: &Parts) -> Option<String> {
    let raw = parts.uri.path().strip_prefix("/v1/repos/")?.split('/').next()?;
    crate::server::credentials::decode_segment(raw).ok()
}

impl Tells {
    fn remember(&self, repo: String, answer: &Value) {
        let mut held = lock(&self.held);
        let known = held.entry(repo).or_insert_with(|| json!({}));
        if answer["manifest"].is_object() {
            known["manifest"] = answer["manifest"].clone();
            if answer["envelope"].is_object() {
                known["envelope"] = answer["envelope"].clone();
            }
        } else if answer["members"].is_array() {
            known["manifest"] = answer.clone();
        } else if answer["accepted"] == json!(true) {
            known["manifest"]["payloadVersion"] = answer["payloadVersion"].clone();
            known["manifest"]["keyEpoch"] = answer["keyEpoch"].clone();
        }
    }
}

impl Edge for Tells {
    fn body(
        &self,
        _: &crate::server::store::Store,
        _: Route,
        _: &Parts,
        body: Bytes,
    ) -> Result<Bytes, crate::server::refusal::Refusal> {
        let request: Value = serde_json::from_slice(&body).unwrap_or_default();
        if let Some(id) = request["manifest"]["repoId"].as_str() {
            lock(&self.asked).insert(tokio::task::try_id(), id.to_owned());
        }
        Ok(body)
    }

    fn response(&self, route: Route, parts: &Parts, mut response: Response<Bytes>) -> Response<Bytes> {
        let asked = lock(&self.asked).remove(&tokio::task::try_id());
        let Some(repo) = repo_in(parts).or(asked) else { return response };
        if response.status().is_success() {
            if let Ok(answer) = serde_json::from_slice(response.body()) {
                self.remember(repo, &answer);
            }
            return response;
        }
        if response.status() != self.status || self.route.is_some_and(|only| only != route) {
            return response;
        }
        let Some(told) = lock(&self.held).get(&repo).map(|held| (self.tell)(held)) else { return response };
        if self.header {
            if let Ok(value) = HeaderValue::try_from(told.to_string()) {
                response.headers_mut().insert(HeaderName::from_static("x-repository"), value);
            }
            return response;
        }
        edit_any(response, |error| error["context"] = told)
    }
}

fn roster(held: &Value) -> Value {
    let ids = held["manifest"]["members"].as_array().into_iter().flatten();
    json!(ids.map(|entry| entry["ed25519PublicKey"].clone()).collect::<Vec<_>>())
}

fn wrapped(held: &Value) -> Value {
    held["manifest"]["members"][0]["wrappedDataKey"].clone()
}

fn counters(held: &Value) -> Value {
    json!({ "payloadVersion": held["manifest"]["payloadVersion"], "keyEpoch": held["manifest"]["keyEpoch"] })
}

fn version_in_words(held: &Value) -> Value {
    json!(format!("the repository is at version {}", held["manifest"]["payloadVersion"]))
}

fn url_alphabet(held: &Value) -> Value {
    let ids = roster(held);
    let spell = |id: &Value| base64::decode(id.as_str().unwrap_or_default()).map(|bytes| base64::encode_url(&bytes));
    json!(ids.as_array().into_iter().flatten().filter_map(|id| spell(id).ok()).collect::<Vec<_>>())
}

fn as_text(held: &Value) -> Value {
    json!(format!("not in {}", held["manifest"]["members"]))
}

fn beginnings(held: &Value) -> Value {
    let ids = roster(held);
    let cut = |id: &Value| id.as_str().and_then(|id| id.get(..20)).map(|id| format!("{id}..."));
    json!(ids.as_array().into_iter().flatten().filter_map(cut).collect::<Vec<_>>())
}

fn ivs(held: &Value) -> Value {
    let keys = held["manifest"]["members"].as_array().into_iter().flatten().map(|entry| &entry["wrappedDataKey"]);
    json!(keys.map(|key| json!([key["ephemeralPublicKey"], key["iv"]])).collect::<Vec<_>>())
}

fn end_of_ciphertext(held: &Value) -> Value {
    let ciphertext = held["envelope"]["ciphertext"].as_str().unwrap_or_default();
    json!(ciphertext.get(ciphertext.len().saturating_sub(64)..).unwrap_or_default())
}

/// The faults of this area.
pub(super) const FAULTS: &[Fault] = &[
    fault(
        "refusal-401-with-roster",
        &REFUSAL_SILENT,
        "Whoever has no valid token is told who the members are.",
        || edge(on(401, None, roster)),
    ),
    fault("refusal-401-with-manifest", &REFUSAL_SILENT, "Whoever has no valid token is told the manifest.", || {
        edge(on(401, None, |held| held["manifest"].clone()))
    }),
    fault(
        "refusal-401-with-counters-at-push",
        &REFUSAL_SILENT,
        "A push without a valid token is told the counters.",
        || edge(on(401, Some(Route::Push), counters)),
    ),
    fault("refusal-403-with-roster", &REFUSAL_SILENT, "A stranger is told who the members are.", || {
        edge(on(403, None, roster))
    }),
    fault(
        "refusal-403-with-roster-at-fetch",
        &REFUSAL_SILENT,
        "A stranger's fetchMemberKey is told who the members are.",
        || edge(on(403, Some(Route::FetchMemberKey), roster)),
    ),
    fault(
        "refusal-403-with-roster-url-alphabet",
        &REFUSAL_SILENT,
        "A stranger is told who the members are, in the URL-safe alphabet.",
        || edge(on(403, None, url_alphabet)),
    ),
    fault("refusal-403-with-text", &REFUSAL_SILENT, "A stranger is told the members as JSON within a string.", || {
        edge(on(403, None, as_text))
    }),
    fault("refusal-403-with-manifest-at-add", &REFUSAL_SILENT, "A stranger's addMember is told the manifest.", || {
        edge(on(403, Some(Route::AddMember), |held| held["manifest"].clone()))
    }),
    fault("refusal-403-with-envelope-at-pull", &REFUSAL_SILENT, "A stranger's pull is told the envelope.", || {
        edge(on(403, Some(Route::Pull), |held| held["envelope"].clone()))
    }),
    fault(
        "refusal-403-with-wrapped-key-at-remove",
        &REFUSAL_SILENT,
        "A stranger's removeMember is told a wrapped key.",
        || edge(on(403, Some(Route::RemoveMember), wrapped)),
    ),
    fault("refusal-403-with-counters", &REFUSAL_SILENT, "A stranger is told the counters.", || {
        edge(on(403, None, counters))
    }),
    fault(
        "refusal-403-with-version-at-push",
        &REFUSAL_SILENT,
        "A stranger's push is told the version in words.",
        || edge(on(403, Some(Route::Push), version_in_words)),
    ),
    fault(
        "refusal-403-with-counters-in-header",
        &REFUSAL_SILENT,
        "A stranger is told the counters in a header.",
        || edge(in_header(403, counters)),
    ),
    fault(
        "refusal-403-with-ids-cut",
        &REFUSAL_SILENT,
        "A stranger is told the first 20 characters of every member's id.",
        || edge(on(403, None, beginnings)),
    ),
    fault(
        "refusal-403-with-ivs",
        &REFUSAL_SILENT,
        "A stranger's fetchMemberKey is told ephemeral keys and IVs of the wrapped keys.",
        || edge(on(403, Some(Route::FetchMemberKey), ivs)),
    ),
    fault(
        "refusal-403-with-end-of-ciphertext",
        &REFUSAL_SILENT,
        "A stranger's push is told the end of the ciphertext.",
        || edge(on(403, Some(Route::Push), end_of_ciphertext)),
    ),
    fault(
        "refusal-409-with-manifest",
        &REFUSAL_SILENT,
        "Whoever tries to take an id is told the manifest of the repository that has it.",
        || edge(on(409, None, |held| held["manifest"].clone())),
    ),
    fault(
        "refusal-409-with-counters",
        &REFUSAL_SILENT,
        "Whoever tries to take an id is told the counters of the repository that has it.",
        || edge(on(409, None, counters)),
    ),
];
