//! Answers of the wrong shape, label or status, and answers that say too much (SPEC §2, §6, §8.2, §10).

use std::collections::HashMap;
use std::sync::Mutex;

use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, LOCATION};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Response, StatusCode};
use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::table::*;
use super::tools::{Object, each_object, edit, edit_body, entries, lock, manifest, rename, take_unknown, with_status};
use crate::server::edge::Edge;
use crate::server::refusal::Refusal;
use crate::server::route::Route;
use crate::server::store::Store;

/// A server that changes the JSON of its 2xx answers, on one route or on all.
struct Serving(Option<Route>, fn(&mut Value));

impl Edge for Serving {
    fn response(&self, route: Route, _: &Parts, response: Response<Bytes>) -> Response<Bytes> {
        if self.0.is_none_or(|only| only == route) { edit(response, self.1) } else { response }
    }
}

/// A server with another answer instead of some status.
struct Instead(StatusCode, fn(Route, Response<Bytes>) -> Response<Bytes>);

impl Edge for Instead {
    fn response(&self, route: Route, _: &Parts, response: Response<Bytes>) -> Response<Bytes> {
        if response.status() == self.0 { (self.1)(route, response) } else { response }
    }
}

/// A server that labels its 2xx answers in its own way.
struct Labelled(Option<&'static str>);

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

/// The faults of this area.
pub(super) const FAULTS: &[Fault] = &[
    fault("content-type-missing", &JSON_CONTENT_TYPE, "Answers have no Content-Type.", || edge(Labelled(None))),
    fault("content-type-text", &JSON_CONTENT_TYPE, "Answers are labelled as plain text.", || {
        edge(Labelled(Some("text/plain; charset=utf-8")))
    }),
    fault("content-type-html", &JSON_CONTENT_TYPE, "Answers are labelled as HTML, a framework's default.", || {
        edge(Labelled(Some("text/html")))
    }),
    fault("answers-begin-with-a-mark", &HTTP_PROFILE, "A byte order mark stands before every JSON body.", || {
        edge(AnswersBeginWithAMark)
    }),
    fault("answers-snake-case", &FIELD_NAMES, "The members of vault answers are in snake_case.", || {
        edge(AnswersSnakeCase)
    }),
    fault("entries-snake-case", &FIELD_NAMES, "The binding signature is called key_binding_sig in answers.", || {
        edge(Serving(None, |answer| entries(answer, |entry| rename(entry, "keyBindingSig", "key_binding_sig"))))
    }),
    fault("answers-wrapped", &FIELD_NAMES, "Vault answers are wrapped in an object with a member data.", || {
        edge(AnswersWrapped)
    }),
    fault(
        "defaults-left-out",
        &FIELD_NAMES,
        "Members that are 0, false or empty are left out, as Protocol Buffers do.",
        || {
            edge(Serving(None, |answer| {
                each_object(answer, &mut |object| object.retain(|_, value| !is_default(value)))
            }))
        },
    ),
    fault("manifest-with-dates", &FIELD_NAMES, "Manifests have a member createdAt, too.", || {
        edge(Serving(None, |answer| in_manifest(|object| drop(object.insert("createdAt".into(), json!(0))))(answer)))
    }),
    fault(
        "manifest-with-row-id",
        &FIELD_NAMES,
        "Manifests have a member id, the number of a database row, too.",
        || edge(Serving(None, |answer| in_manifest(|object| drop(object.insert("id".into(), json!(1))))(answer))),
    ),
    fault("manifest-with-envelope", &FIELD_NAMES, "createRepo answers with the envelope inside the manifest.", || {
        edge(Serving(Some(Route::CreateRepo), |answer| answer["envelope"] = json!({})))
    }),
    fault("manifest-without-scheme", &FIELD_NAMES, "Manifests have no schemeId.", || {
        edge(Serving(None, |answer| in_manifest(|object| drop(object.remove("schemeId")))(answer)))
    }),
    fault("manifest-without-repo-id", &FIELD_NAMES, "Manifests have no repoId.", || {
        edge(Serving(None, |answer| in_manifest(|object| drop(object.remove("repoId")))(answer)))
    }),
    fault("manifest-member-ids", &FIELD_NAMES, "The members of a manifest are the ids alone.", || {
        edge(Serving(None, |answer| {
            in_manifest(|object| {
                if let Some(Value::Array(members)) = object.get_mut("members") {
                    members.iter_mut().for_each(|entry| *entry = entry["ed25519PublicKey"].take());
                }
            })(answer)
        }))
    }),
    fault(
        "manifest-members-by-id",
        &FIELD_NAMES,
        "The members of a manifest are an object with the ids as names.",
        || {
            edge(Serving(None, |answer| {
                in_manifest(|object| {
                    if let Some(Value::Array(members)) = object.remove("members") {
                        let by_id = members.into_iter().map(|entry| (entry["ed25519PublicKey"].to_string(), entry));
                        object.insert("members".into(), Value::Object(by_id.collect()));
                    }
                })(answer)
            }))
        },
    ),
    fault("entries-with-role", &FIELD_NAMES, "Member entries have a member role, too.", || {
        edge(Serving(None, |answer| entries(answer, |entry| drop(entry.insert("role".into(), json!("member"))))))
    }),
    fault("entries-without-epoch", &FIELD_NAMES, "Member entries have no keyEpoch.", || {
        edge(Serving(None, |answer| entries(answer, |entry| drop(entry.remove("keyEpoch")))))
    }),
    fault("pull-without-flag", &FIELD_NAMES, "A pull's answer has no unchanged unless it is true.", || {
        edge(Serving(Some(Route::Pull), |answer| {
            if let Some(answer) = answer.as_object_mut().filter(|answer| answer["unchanged"] == json!(false)) {
                answer.remove("unchanged");
            }
        }))
    }),
    fault(
        "pull-with-version",
        &FIELD_NAMES,
        "A pull's answer has a member payloadVersion beside the manifest.",
        || {
            edge(Serving(Some(Route::Pull), |answer| {
                answer["payloadVersion"] = answer["manifest"]["payloadVersion"].clone()
            }))
        },
    ),
    fault("pull-empty-envelope", &FIELD_NAMES, "When nothing changed, the envelope is an empty object.", || {
        edge(Serving(Some(Route::Pull), |answer| {
            if answer["unchanged"] == json!(true) {
                answer["envelope"] = json!({})
            }
        }))
    }),
    fault("envelope-without-repo-id", &FIELD_NAMES, "The envelope of a pull has no repoId.", || {
        edge(Serving(Some(Route::Pull), |answer| {
            if let Some(Value::Object(envelope)) = answer.get_mut("envelope") {
                envelope.remove("repoId");
            }
        }))
    }),
    fault("envelope-as-text", &FIELD_NAMES, "The envelope of a pull is a string that holds JSON.", || {
        edge(Serving(Some(Route::Pull), |answer| {
            if answer.get("envelope").is_some() {
                answer["envelope"] = json!(answer["envelope"].to_string())
            }
        }))
    }),
    fault("flags-as-numbers", &FIELD_NAMES, "Flags are 0 and 1.", || {
        edge(Serving(None, |answer| flags(answer, |flag| json!(i32::from(flag)))))
    }),
    fault("flags-as-text", &FIELD_NAMES, "Flags are the strings true and false.", || {
        edge(Serving(None, |answer| flags(answer, |flag| json!(flag.to_string()))))
    }),
    fault("push-with-version", &FIELD_NAMES, "A push's answer has a member version, too.", || {
        edge(Serving(Some(Route::Push), |answer| answer["version"] = answer["payloadVersion"].clone()))
    }),
    fault("push-answers-success", &PUSH_APPLIES, "A push's answer says success and nothing else.", || {
        edge(Serving(Some(Route::Push), |answer| *answer = json!({ "success": true })))
    }),
    fault("push-202", &USUAL_STATUS, "An accepted push is answered with 202.", || {
        edge(Instead(StatusCode::OK, |route, response| {
            if route == Route::Push { with_status(response, StatusCode::ACCEPTED) } else { response }
        }))
    }),
    fault("unauthenticated-403", &STATUS_TOKEN, "A request without a valid token is answered with 403.", || {
        edge(Instead(StatusCode::UNAUTHORIZED, |_, response| with_status(response, StatusCode::FORBIDDEN)))
    }),
    fault(
        "unauthenticated-200",
        &TOKEN_REQUIRED,
        "A request without a valid token is answered with 200 and an error in the body.",
        || edge(Instead(StatusCode::UNAUTHORIZED, |_, response| with_status(response, StatusCode::OK))),
    ),
    fault("unauthenticated-500", &TOKEN_REQUIRED, "A request without a valid token ends in an internal error.", || {
        edge(Instead(StatusCode::UNAUTHORIZED, |route, response| {
            if route == Route::Token { response } else { with_status(response, StatusCode::INTERNAL_SERVER_ERROR) }
        }))
    }),
    fault(
        "unauthenticated-redirect",
        &TOKEN_REQUIRED,
        "A request without a valid token is redirected to a login page.",
        || {
            edge(Instead(StatusCode::UNAUTHORIZED, |route, mut response| {
                if route != Route::Token {
                    *response.status_mut() = StatusCode::FOUND;
                    response.headers_mut().insert(LOCATION, HeaderValue::from_static("/login"));
                }
                response
            }))
        },
    ),
    fault(
        "bad-signature-500",
        &SIGNATURE_VERIFIED,
        "A signature that doesn't verify ends in an internal error.",
        || {
            edge(Instead(StatusCode::UNAUTHORIZED, |route, response| {
                if route == Route::Token { with_status(response, StatusCode::INTERNAL_SERVER_ERROR) } else { response }
            }))
        },
    ),
    fault("stranger-401", &STATUS_STRANGER, "A stranger is answered with 401.", || {
        edge(Instead(StatusCode::FORBIDDEN, |_, response| with_status(response, StatusCode::UNAUTHORIZED)))
    }),
    fault("stranger-200", &PULL_MEMBERS_ONLY, "A stranger is answered with 200 and an error in the body.", || {
        edge(Instead(StatusCode::FORBIDDEN, |_, response| with_status(response, StatusCode::OK)))
    }),
    fault("stranger-500", &PULL_MEMBERS_ONLY, "A stranger's request ends in an internal error.", || {
        edge(Instead(StatusCode::FORBIDDEN, |_, response| with_status(response, StatusCode::INTERNAL_SERVER_ERROR)))
    }),
    fault(
        "unknown-repo-500",
        &PULL_MEMBERS_ONLY,
        "A request for an unknown repository ends in an internal error.",
        || {
            edge(Instead(StatusCode::NOT_FOUND, |route, response| {
                if route == Route::Unknown {
                    response
                } else {
                    with_status(response, StatusCode::INTERNAL_SERVER_ERROR)
                }
            }))
        },
    ),
    fault(
        "unknown-members-served",
        &NO_SECRET_ECHO,
        "Members of requests that nobody knows are kept, and served with the manifest.",
        || edge(UnknownMembersServed::default()),
    ),
    fault("key-set-empty", &KEY_SET, "The published key set has no key.", || {
        edge(Serving(Some(Route::Jwks), |answer| answer["keys"] = json!([])))
    }),
    fault("key-set-other-key", &KEY_SET, "The published key is not the one that signs.", || {
        edge(Serving(Some(Route::Jwks), |answer| {
            answer["keys"][0]["x"] = json!("O2onvM62pC1io6jQKm8Nc2UyFXcd4kOmOsBIoYtZ2ik")
        }))
    }),
    fault("key-set-private", &KEY_SET, "The published key comes with a private member.", || {
        edge(Serving(Some(Route::Jwks), |answer| {
            answer["keys"][0]["d"] = json!("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")
        }))
    }),
    fault("discovery-html", &DISCOVERY_SHAPE, "Discovery answers with the start page of a web site.", || {
        edge(Instead(
            StatusCode::OK,
            |route, response| if route == Route::Discovery { html(response) } else { response },
        ))
    }),
    fault("discovery-empty", &DISCOVERY_SHAPE, "Discovery names no profiles.", || {
        edge(Serving(Some(Route::Discovery), |answer| *answer = json!({})))
    }),
    fault("discovery-profiles-text", &DISCOVERY_SHAPE, "Discovery names its profile as a string, not a list.", || {
        edge(Serving(Some(Route::Discovery), |answer| answer["profiles"] = json!("http-json")))
    }),
    fault("discovery-jwks-object", &DISCOVERY_SHAPE, "Discovery holds the key set itself instead of its URL.", || {
        edge(Serving(Some(Route::Discovery), |answer| answer["issuerJwksUrl"] = json!({ "keys": [] })))
    }),
    fault(
        "discovery-profile-names",
        &DISCOVERY_SHAPE,
        "Discovery calls its profile HTTP/JSON, which is no profile's name.",
        || edge(Serving(Some(Route::Discovery), |answer| answer["profiles"] = json!(["HTTP/JSON"]))),
    ),
    fault(
        "discovery-needs-token",
        &DISCOVERY_SHAPE,
        "Discovery asks for a token, and answers an error with 200 without one.",
        || edge(DiscoveryNeedsToken),
    ),
];

struct AnswersBeginWithAMark;

impl Edge for AnswersBeginWithAMark {
    fn response(&self, _: Route, _: &Parts, response: Response<Bytes>) -> Response<Bytes> {
        response.map(|body| if body.is_empty() { body } else { [b"\xef\xbb\xbf", &body[..]].concat().into() })
    }
}

struct AnswersSnakeCase;

impl Edge for AnswersSnakeCase {
    fn response(&self, route: Route, _: &Parts, response: Response<Bytes>) -> Response<Bytes> {
        if matches!(route, Route::Challenge | Route::Token) {
            return response;
        }
        edit(response, |answer| each_object(answer, &mut in_snake_case))
    }
}

struct AnswersWrapped;

impl Edge for AnswersWrapped {
    fn response(&self, route: Route, _: &Parts, response: Response<Bytes>) -> Response<Bytes> {
        if matches!(route, Route::Challenge | Route::Token | Route::Discovery | Route::Jwks) {
            return response;
        }
        edit(response, |answer| *answer = json!({ "ok": true, "data": answer.take() }))
    }
}

#[derive(Default)]
struct UnknownMembersServed {
    kept: Mutex<HashMap<String, Map<String, Value>>>,
}

impl Edge for UnknownMembersServed {
    fn body(&self, _: &Store, _: Route, _: &Parts, body: Bytes) -> Result<Bytes, Refusal> {
        Ok(edit_body(body, |request| {
            let unknown = take_unknown(request);
            let id = request["repoId"].as_str().or_else(|| request["manifest"]["repoId"].as_str());
            lock(&self.kept).entry(id.unwrap_or_default().to_owned()).or_default().extend(unknown);
        }))
    }

    fn response(&self, _: Route, _: &Parts, response: Response<Bytes>) -> Response<Bytes> {
        edit(response, |answer| {
            manifest(answer, |object| {
                let id = object["repoId"].as_str().unwrap_or_default();
                if let Some(kept) = lock(&self.kept).get(id) {
                    object.extend(kept.clone());
                }
            })
        })
    }
}

struct DiscoveryNeedsToken;

impl Edge for DiscoveryNeedsToken {
    fn response(&self, route: Route, parts: &Parts, response: Response<Bytes>) -> Response<Bytes> {
        if route != Route::Discovery || parts.headers.contains_key(AUTHORIZATION) {
            return response;
        }
        edit(response, |answer| *answer = json!({ "error": "unauthorized" }))
    }
}
