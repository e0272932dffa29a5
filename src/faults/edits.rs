//! Editing the JSON of requests and answers, for whoever stands at the edge.

use axum::http::{Response, StatusCode};
use bytes::Bytes;
use serde_json::{Map, Value};

pub(crate) use crate::ground::lock;

/// A JSON object.
pub type Object = Map<String, Value>;

/// Edits the JSON of a 2xx answer.
pub fn edit(response: Response<Bytes>, change: impl FnOnce(&mut Value)) -> Response<Bytes> {
    if response.status().is_success() { edit_any(response, change) } else { response }
}

/// Edits the JSON of any answer.
pub fn edit_any(response: Response<Bytes>, change: impl FnOnce(&mut Value)) -> Response<Bytes> {
    response.map(|body| edit_body(body, change))
}

/// Edits a JSON body; one that isn't JSON stays as it is.
pub fn edit_body(body: Bytes, change: impl FnOnce(&mut Value)) -> Bytes {
    // What isn't an object is for the conformant rules to refuse.
    let Ok(mut value @ Value::Object(_)) = serde_json::from_slice(&body) else { return body };
    change(&mut value);
    Bytes::from(value.to_string())
}

/// The same answer with another status.
pub fn with_status(mut response: Response<Bytes>, status: StatusCode) -> Response<Bytes> {
    *response.status_mut() = status;
    response
}

/// Visits every object in a JSON value, parents first.
pub fn each_object(value: &mut Value, change: &mut dyn FnMut(&mut Object)) {
    match value {
        Value::Object(object) => {
            change(object);
            object.values_mut().for_each(|value| each_object(value, change));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| each_object(item, change)),
        _ => {}
    }
}

/// Visits the manifest of an answer, wherever it is.
pub fn manifest(value: &mut Value, mut change: impl FnMut(&mut Object)) {
    each_object(value, &mut |object| {
        if object.contains_key("members") {
            change(object);
        }
    });
}

/// Visits every member entry of an answer.
pub fn entries(value: &mut Value, mut change: impl FnMut(&mut Object)) {
    each_object(value, &mut |object| {
        if object.contains_key("wrappedDataKey") {
            change(object);
        }
    });
}

/// Visits the envelope of an answer.
pub fn envelope(value: &mut Value, change: impl FnOnce(&mut Object)) {
    if let Some(Value::Object(envelope)) = value.get_mut("envelope") {
        change(envelope);
    }
}

/// Changes a member of an object if it is a string.
pub fn respell(object: &mut Object, name: &str, change: impl FnOnce(&str) -> String) {
    if let Some(Value::String(text)) = object.get_mut(name) {
        *text = change(text);
    }
}

/// Renames a member of an object.
pub fn rename(object: &mut Object, from: &str, to: &str) {
    if let Some(value) = object.remove(from) {
        object.insert(to.to_owned(), value);
    }
}

/// Every member name that the messages know.
const KNOWN: [&str; 29] = [
    "ciphertext",
    "ed25519PublicKey",
    "envelope",
    "ephemeralPublicKey",
    "expectedPayloadVersion",
    "initialEnvelope",
    "iv",
    "keyBindingSig",
    "keyEpoch",
    "knownPayloadVersion",
    "manifest",
    "member",
    "members",
    "newKeyEpoch",
    "nonce",
    "payloadVersion",
    "removedMemberId",
    "repoId",
    "rewrappedMembers",
    "rotatedEnvelope",
    "rotatedMembers",
    "schemeId",
    "shareRefreshTokens",
    "signature",
    "wrappedDataKey",
    "x25519PublicKey",
    "unchanged",
    "accepted",
    "conflict",
];

/// Takes the members that no message has out of a request.
pub fn take_unknown(request: &mut Value) -> Map<String, Value> {
    let mut unknown = Map::new();
    each_object(request, &mut |object| unknown.extend(take_unknown_here(object)));
    unknown
}

/// The same for one object alone.
pub fn take_unknown_here(object: &mut Object) -> Map<String, Value> {
    let names: Vec<_> = object.keys().filter(|name| !KNOWN.contains(&name.as_str())).cloned().collect();
    names.into_iter().filter_map(|name| object.remove(&name).map(|value| (name, value))).collect()
}
