//! A server that looks into nothing of what it stores: what is missing or mistyped inside entries, envelopes and
//! wrapped keys is kept, and served, as it came (SPEC §6 doesn't forbid it).

use std::collections::HashMap;
use std::sync::Mutex;

use axum::http::Response;
use axum::http::request::Parts;
use bytes::Bytes;
use serde_json::{Map, Value, json};

use crate::codec::base64;
use crate::faults::edits::{each_object, edit, edit_body, lock, take_unknown_here};
use crate::server::edge::Edge;
use crate::server::issuer::random;
use crate::server::refusal::Refusal;
use crate::server::route::Route;
use crate::server::store::Store;

/// Hands the rules something whole, and gives back what came.
#[derive(Default)]
pub struct KeepsIncomplete {
    /// What stands in for what, by the text that the rules got; `None` for what was missing.
    kept: Mutex<HashMap<String, Option<Value>>>,
}

impl KeepsIncomplete {
    fn complete(&self, object: &mut Map<String, Value>, name: &str, bytes: usize) {
        let came = object.get(name).cloned();
        if came.as_ref().is_some_and(Value::is_string) {
            return;
        }
        let Ok(noise) = random::<32>() else { return };
        let text = base64::encode(&noise[..bytes]);
        lock(&self.kept).insert(text.clone(), came);
        object.insert(name.to_owned(), json!(text));
    }

    fn entry(&self, entry: &mut Value) {
        let Some(object) = entry.as_object_mut() else { return };
        self.complete(object, "x25519PublicKey", 32);
        if let Some(wrapped) = object.get_mut("wrappedDataKey").and_then(Value::as_object_mut) {
            for (name, bytes) in [("schemeId", 32), ("ephemeralPublicKey", 32), ("iv", 12), ("ciphertext", 32)] {
                self.complete(wrapped, name, bytes);
            }
        }
    }
}

impl Edge for KeepsIncomplete {
    fn body(&self, _: &Store, route: Route, _: &Parts, body: Bytes) -> Result<Bytes, Refusal> {
        if !route.writes() {
            return Ok(body);
        }
        Ok(edit_body(body, |request| {
            for name in ["envelope", "initialEnvelope", "rotatedEnvelope"] {
                if let Some(envelope) = request.get_mut(name).and_then(Value::as_object_mut) {
                    self.complete(envelope, "iv", 12);
                    self.complete(envelope, "ciphertext", 32);
                }
            }
            for place in ["/manifest/members", "/rotatedMembers", "/rewrappedMembers"] {
                let entries = request.pointer_mut(place).and_then(Value::as_array_mut);
                entries.into_iter().flatten().for_each(|entry| self.entry(entry));
            }
            if let Some(entry) = request.get_mut("member") {
                self.entry(entry);
            }
        }))
    }

    fn response(&self, _: Route, _: &Parts, response: Response<Bytes>) -> Response<Bytes> {
        edit(response, |answer| {
            let kept = lock(&self.kept);
            each_object(answer, &mut |object| {
                let came = |value: &Value| kept.get(value.as_str().unwrap_or_default()).cloned();
                let stand_ins: Vec<_> =
                    object.iter().filter_map(|(name, value)| Some((name.clone(), came(value)?))).collect();
                for (name, came) in stand_ins {
                    match came {
                        Some(value) => drop(object.insert(name, value)),
                        None => drop(object.remove(&name)),
                    }
                }
            });
        })
    }
}

/// Keeps entries, envelopes, wrapped keys and manifests as the JSON that they came as, members that nobody knows
/// included.
#[derive(Default)]
pub struct KeepsUnknown {
    /// What came beside the members of a message, by those.
    kept: Mutex<HashMap<String, Map<String, Value>>>,
}

/// What an object is known by when it is served again: its members apart from those that are objects themselves.
fn known_by(object: &Map<String, Value>) -> String {
    let plain = object.iter().filter(|(_, value)| !value.is_object() && !value.is_array() && !value.is_null());
    let mut plain: Vec<_> = plain.map(|(name, value)| format!("{name}:{value}")).collect();
    plain.sort();
    plain.join(",")
}

impl Edge for KeepsUnknown {
    fn body(&self, _: &Store, route: Route, _: &Parts, body: Bytes) -> Result<Bytes, Refusal> {
        if !route.writes() {
            return Ok(body);
        }
        Ok(edit_body(body, |request| {
            each_object(request, &mut |object| {
                let unknown = take_unknown_here(object);
                if !unknown.is_empty() {
                    lock(&self.kept).insert(known_by(object), unknown);
                }
            });
        }))
    }

    fn response(&self, _: Route, _: &Parts, response: Response<Bytes>) -> Response<Bytes> {
        edit(response, |answer| {
            let kept = lock(&self.kept);
            each_object(answer, &mut |object| {
                if let Some(unknown) = kept.get(&known_by(object)) {
                    object.extend(unknown.clone());
                }
            });
        })
    }
}
