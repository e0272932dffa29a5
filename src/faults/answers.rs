//! Answers of the wrong shape, label or status, and answers that say too much (SPEC §2, §6, §8.2, §10).

use std::collections::HashMap;
use std::sync::Mutex;

use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, LOCATION};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Response, StatusCode};
use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::tools::{Object, each_object, edit, edit_body, entries, lock, manifest, rename, take_unknown, with_status};
use crate::server::edge::Edge;
use crate::server::refusal::Refusal;
use crate::server::route::Route;
use crate::server::store::Store;

/// A server that changes the JSON of its 2xx answers, on one route or on all.
struct Serving(Option<Route>, fn(&mut Value));

shared!(Serving: edge);

impl Edge for Serving {
    fn response(&self, route: Route, _: &Parts, response: Response<Bytes>) -> Response<Bytes> {
        if self.0.is_none_or(|only| only == route) { edit(response, self.1) } else { response }
    }
}

/// A server with another answer instead of some status.
struct Instead(StatusCode, fn(Route, Response<Bytes>) -> Response<Bytes>);

shared!(Instead: edge);

impl Edge for Instead {
    fn response(&self, route: Route, _: &Parts, response: Response<Bytes>) -> Response<Bytes> {
        if response.status() == self.0 { (self.1)(route, response) } else { response }
    }
}

/// A server that labels its 2xx answers in its own way.
struct Labelled(Option<&'static str>);

shared!(Labelled: edge);

impl Edge for Labelled {
    fn response(&self, _: Route, _: &Parts, mut response: Response<Bytes>) -> Response<Bytes> {
        match self.0 {
            Some(label) => drop(response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(label))),
            None => drop(response.headers_mut().remove(CONTENT_TYPE)),
        }
        response
    }
}

fn snake_case(name: &str) -> String {
    name.chars().flat_map(|c| [c.is_ascii_uppercase().then_some('_'), Some(c.to_ascii_lowercase())]).flatten().collect()
}

fn in_snake_case(object: &mut Object) {
    *object = std::mem::take(object).into_iter().map(|(name, value)| (snake_case(&name), value)).collect();
}

fn is_default(value: &Value) -> bool {
    matches!(value, Value::Null | Value::Bool(false))
        || value == &json!(0)
        || value == &json!("")
        || value == &json!([])
}

fn in_manifest(change: fn(&mut Object)) -> impl FnOnce(&mut Value) {
    move |answer| manifest(answer, change)
}

fn flags(answer: &mut Value, spell: fn(bool) -> Value) {
    each_object(answer, &mut |object| {
        for value in object.values_mut() {
            if let Value::Bool(flag) = *value {
                *value = spell(flag);
            }
        }
    });
}

fn html(response: Response<Bytes>) -> Response<Bytes> {
    let mut page = response.map(|_| Bytes::from_static(b"<!doctype html><title>Vault</title><div id=app></div>"));
    page.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/html"));
    page
}

faults! {
    "content-type-missing" breaks JSON_CONTENT_TYPE: "Answers have no Content-Type." => { is Labelled(None) }
    "content-type-text" breaks JSON_CONTENT_TYPE: "Answers are labelled as plain text." => { is Labelled(Some("text/plain; charset=utf-8")) }
    "content-type-html" breaks JSON_CONTENT_TYPE: "Answers are labelled as HTML, a framework's default." => { is Labelled(Some("text/html")) }
    "answers-begin-with-a-mark" breaks HTTP_PROFILE: "A byte order mark stands before every JSON body." => {
        edge {
            fn response(&self, _: Route, _: &Parts, response: Response<Bytes>) -> Response<Bytes> {
                response.map(|body| if body.is_empty() { body } else { [b"\xef\xbb\xbf", &body[..]].concat().into() })
            }
        }
    }
    "answers-snake-case" breaks FIELD_NAMES: "The members of vault answers are in snake_case." => {
        edge {
            fn response(&self, route: Route, _: &Parts, response: Response<Bytes>) -> Response<Bytes> {
                if matches!(route, Route::Challenge | Route::Token) {
                    return response;
                }
                edit(response, |answer| each_object(answer, &mut in_snake_case))
            }
        }
    }
    "entries-snake-case" breaks FIELD_NAMES: "The binding signature is called key_binding_sig in answers." => {
        is Serving(None, |answer| entries(answer, |entry| rename(entry, "keyBindingSig", "key_binding_sig")))
    }
    "answers-wrapped" breaks FIELD_NAMES: "Vault answers are wrapped in an object with a member data." => {
        edge {
            fn response(&self, route: Route, _: &Parts, response: Response<Bytes>) -> Response<Bytes> {
                if matches!(route, Route::Challenge | Route::Token | Route::Discovery | Route::Jwks) {
                    return response;
                }
                edit(response, |answer| *answer = json!({ "ok": true, "data": answer.take() }))
            }
        }
    }
    "defaults-left-out" breaks FIELD_NAMES: "Members that are 0, false or empty are left out, as Protocol Buffers do." => {
        is Serving(None, |answer| each_object(answer, &mut |object| object.retain(|_, value| !is_default(value))))
    }
    "manifest-with-dates" breaks FIELD_NAMES: "Manifests have a member createdAt, too." => { is Serving(None, |answer| in_manifest(|object| drop(object.insert("createdAt".into(), json!(0))))(answer)) }
    "manifest-with-row-id" breaks FIELD_NAMES: "Manifests have a member id, the number of a database row, too." => { is Serving(None, |answer| in_manifest(|object| drop(object.insert("id".into(), json!(1))))(answer)) }
    "manifest-with-envelope" breaks FIELD_NAMES: "createRepo answers with the envelope inside the manifest." => { is Serving(Some(Route::CreateRepo), |answer| answer["envelope"] = json!({})) }
    "manifest-without-scheme" breaks FIELD_NAMES: "Manifests have no schemeId." => { is Serving(None, |answer| in_manifest(|object| drop(object.remove("schemeId")))(answer)) }
    "manifest-without-repo-id" breaks FIELD_NAMES: "Manifests have no repoId." => { is Serving(None, |answer| in_manifest(|object| drop(object.remove("repoId")))(answer)) }
    "manifest-member-ids" breaks FIELD_NAMES: "The members of a manifest are the ids alone." => {
        is Serving(None, |answer| in_manifest(|object| if let Some(Value::Array(members)) = object.get_mut("members") {
            members.iter_mut().for_each(|entry| *entry = entry["ed25519PublicKey"].take());
        })(answer))
    }
    "manifest-members-by-id" breaks FIELD_NAMES: "The members of a manifest are an object with the ids as names." => {
        is Serving(None, |answer| in_manifest(|object| if let Some(Value::Array(members)) = object.remove("members") {
            let by_id = members.into_iter().map(|entry| (entry["ed25519PublicKey"].to_string(), entry));
            object.insert("members".into(), Value::Object(by_id.collect()));
        })(answer))
    }
    "entries-with-role" breaks FIELD_NAMES: "Member entries have a member role, too." => { is Serving(None, |answer| entries(answer, |entry| drop(entry.insert("role".into(), json!("member"))))) }
    "entries-without-epoch" breaks FIELD_NAMES: "Member entries have no keyEpoch." => { is Serving(None, |answer| entries(answer, |entry| drop(entry.remove("keyEpoch")))) }
    "pull-without-flag" breaks FIELD_NAMES: "A pull's answer has no unchanged unless it is true." => {
        is Serving(Some(Route::Pull), |answer| if let Some(answer) = answer.as_object_mut().filter(|answer| answer["unchanged"] == json!(false)) {
            answer.remove("unchanged");
        })
    }
    "pull-with-version" breaks FIELD_NAMES: "A pull's answer has a member payloadVersion beside the manifest." => { is Serving(Some(Route::Pull), |answer| answer["payloadVersion"] = answer["manifest"]["payloadVersion"].clone()) }
    "pull-empty-envelope" breaks FIELD_NAMES: "When nothing changed, the envelope is an empty object." => {
        is Serving(Some(Route::Pull), |answer| if answer["unchanged"] == json!(true) { answer["envelope"] = json!({}) })
    }
    "envelope-without-repo-id" breaks FIELD_NAMES: "The envelope of a pull has no repoId." => {
        is Serving(Some(Route::Pull), |answer| if let Some(Value::Object(envelope)) = answer.get_mut("envelope") { envelope.remove("repoId"); })
    }
    "envelope-as-text" breaks FIELD_NAMES: "The envelope of a pull is a string that holds JSON." => {
        is Serving(Some(Route::Pull), |answer| if answer.get("envelope").is_some() { answer["envelope"] = json!(answer["envelope"].to_string()) })
    }
    "flags-as-numbers" breaks FIELD_NAMES: "Flags are 0 and 1." => { is Serving(None, |answer| flags(answer, |flag| json!(i32::from(flag)))) }
    "flags-as-text" breaks FIELD_NAMES: "Flags are the strings true and false." => { is Serving(None, |answer| flags(answer, |flag| json!(flag.to_string()))) }
    "push-with-version" breaks FIELD_NAMES: "A push's answer has a member version, too." => { is Serving(Some(Route::Push), |answer| answer["version"] = answer["payloadVersion"].clone()) }
    "push-answers-success" breaks PUSH_APPLIES: "A push's answer says success and nothing else." => { is Serving(Some(Route::Push), |answer| *answer = json!({ "success": true })) }
    "push-202" breaks USUAL_STATUS: "An accepted push is answered with 202." => {
        is Instead(StatusCode::OK, |route, response| if route == Route::Push { with_status(response, StatusCode::ACCEPTED) } else { response })
    }
    "unauthenticated-403" breaks STATUS_TOKEN: "A request without a valid token is answered with 403." => { is Instead(StatusCode::UNAUTHORIZED, |_, response| with_status(response, StatusCode::FORBIDDEN)) }
    "unauthenticated-200" breaks TOKEN_REQUIRED: "A request without a valid token is answered with 200 and an error in the body." => { is Instead(StatusCode::UNAUTHORIZED, |_, response| with_status(response, StatusCode::OK)) }
    "unauthenticated-500" breaks TOKEN_REQUIRED: "A request without a valid token ends in an internal error." => {
        is Instead(StatusCode::UNAUTHORIZED, |route, response| if route == Route::Token { response } else { with_status(response, StatusCode::INTERNAL_SERVER_ERROR) })
    }
    "unauthenticated-redirect" breaks TOKEN_REQUIRED: "A request without a valid token is redirected to a login page." => {
        is Instead(StatusCode::UNAUTHORIZED, |route, mut response| {
            if route != Route::Token {
                *response.status_mut() = StatusCode::FOUND;
                response.headers_mut().insert(LOCATION, HeaderValue::from_static("/login"));
            }
            response
        })
    }
    "bad-signature-500" breaks SIGNATURE_VERIFIED: "A signature that doesn't verify ends in an internal error." => {
        is Instead(StatusCode::UNAUTHORIZED, |route, response| if route == Route::Token { with_status(response, StatusCode::INTERNAL_SERVER_ERROR) } else { response })
    }
    "stranger-401" breaks STATUS_STRANGER: "A stranger is answered with 401." => { is Instead(StatusCode::FORBIDDEN, |_, response| with_status(response, StatusCode::UNAUTHORIZED)) }
    "stranger-200" breaks PULL_MEMBERS_ONLY: "A stranger is answered with 200 and an error in the body." => { is Instead(StatusCode::FORBIDDEN, |_, response| with_status(response, StatusCode::OK)) }
    "stranger-500" breaks PULL_MEMBERS_ONLY: "A stranger's request ends in an internal error." => { is Instead(StatusCode::FORBIDDEN, |_, response| with_status(response, StatusCode::INTERNAL_SERVER_ERROR)) }
    "unknown-repo-500" breaks PULL_MEMBERS_ONLY: "A request for an unknown repository ends in an internal error." => {
        is Instead(StatusCode::NOT_FOUND, |route, response| if route == Route::Unknown { response } else { with_status(response, StatusCode::INTERNAL_SERVER_ERROR) })
    }
    "unknown-members-served" breaks NO_SECRET_ECHO: "Members of requests that nobody knows are kept, and served with the manifest." => {
        state { kept: Mutex<HashMap<String, Map<String, Value>>> }
        edge {
            fn body(&self, _: &Store, _: Route, _: &Parts, body: Bytes) -> Result<Bytes, Refusal> {
                Ok(edit_body(body, |request| {
                    let unknown = take_unknown(request);
                    let id = request["repoId"].as_str().or_else(|| request["manifest"]["repoId"].as_str());
                    lock(&self.kept).entry(id.unwrap_or_default().to_owned()).or_default().extend(unknown);
                }))
            }
            fn response(&self, _: Route, _: &Parts, response: Response<Bytes>) -> Response<Bytes> {
                edit(response, |answer| manifest(answer, |object| {
                    let id = object["repoId"].as_str().unwrap_or_default();
                    if let Some(kept) = lock(&self.kept).get(id) {
                        object.extend(kept.clone());
                    }
                }))
            }
        }
    }
    "key-set-empty" breaks KEY_SET: "The published key set has no key." => { is Serving(Some(Route::Jwks), |answer| answer["keys"] = json!([])) }
    "key-set-other-key" breaks KEY_SET: "The published key is not the one that signs." => { is Serving(Some(Route::Jwks), |answer| answer["keys"][0]["x"] = json!("O2onvM62pC1io6jQKm8Nc2UyFXcd4kOmOsBIoYtZ2ik")) }
    "key-set-private" breaks KEY_SET: "The published key comes with a private member." => { is Serving(Some(Route::Jwks), |answer| answer["keys"][0]["d"] = json!("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")) }
    "discovery-html" breaks DISCOVERY_SHAPE: "Discovery answers with the start page of a web site." => {
        is Instead(StatusCode::OK, |route, response| if route == Route::Discovery { html(response) } else { response })
    }
    "discovery-empty" breaks DISCOVERY_SHAPE: "Discovery names no profiles." => { is Serving(Some(Route::Discovery), |answer| *answer = json!({})) }
    "discovery-profiles-text" breaks DISCOVERY_SHAPE: "Discovery names its profile as a string, not a list." => { is Serving(Some(Route::Discovery), |answer| answer["profiles"] = json!("http-json")) }
    "discovery-jwks-object" breaks DISCOVERY_SHAPE: "Discovery holds the key set itself instead of its URL." => { is Serving(Some(Route::Discovery), |answer| answer["issuerJwksUrl"] = json!({ "keys": [] })) }
    "discovery-profile-names" breaks DISCOVERY_SHAPE: "Discovery calls its profile HTTP/JSON, which is no profile's name." => { is Serving(Some(Route::Discovery), |answer| answer["profiles"] = json!(["HTTP/JSON"])) }
    "discovery-needs-token" breaks DISCOVERY_SHAPE: "Discovery asks for a token, and answers an error with 200 without one." => {
        edge {
            fn response(&self, route: Route, parts: &Parts, response: Response<Bytes>) -> Response<Bytes> {
                if route != Route::Discovery || parts.headers.contains_key(AUTHORIZATION) {
                    return response;
                }
                edit(response, |answer| *answer = json!({ "error": "unauthorized" }))
            }
        }
    }
}
