//! Bodies that are spelled in another way, or say nothing.

use std::sync::atomic::{AtomicUsize, Ordering};

use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::http::{HeaderValue, Response};
use bytes::Bytes;
use serde_json::{Value, json};

use crate::codec::{base64, key_binding, signature};
use crate::faults::edits::{edit, edit_any, entries, manifest};
use crate::server::edge::Edge;
use crate::server::route::Route;

/// Changes the JSON of 2xx answers.
pub struct Serving(fn(Route, &mut Value));

impl Edge for Serving {
    fn response(&self, route: Route, _: &Parts, response: Response<Bytes>) -> Response<Bytes> {
        edit(response, |answer| (self.0)(route, answer))
    }
}

/// `envelope: null`.
pub const ENVELOPE_NULL: Serving = Serving(|route, answer| {
    if let Some(answer) = answer.as_object_mut().filter(|_| route == Route::Pull) {
        answer.entry("envelope").or_insert(Value::Null);
    }
});

/// `keyBindingSig: null`.
pub const BINDINGS_NULL: Serving = Serving(|_, answer| {
    entries(answer, |entry| {
        entry.entry("keyBindingSig").or_insert(Value::Null);
    });
});

/// The seed of another key in the issuer's set.
const BINDING_SEED: [u8; 32] = [0x42; 32];

/// SPEC §9: an identity provider may publish key bindings.
pub const BINDINGS_OF_ITS_OWN: Serving = Serving(|route, answer| {
    if let Some(keys) = answer.get_mut("keys").and_then(Value::as_array_mut).filter(|_| route == Route::Jwks) {
        let x = base64::encode_url(&signature::public_key(&BINDING_SEED));
        keys.push(json!({ "kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": "bindings", "x": x }));
    }
    entries(answer, |entry| {
        let text = |name: &str| entry.get(name).and_then(Value::as_str).unwrap_or_default();
        let message = key_binding::message(text("ed25519PublicKey"), text("x25519PublicKey"));
        if entry.get("keyBindingSig").is_none_or(Value::is_null) {
            let binding = base64::encode(&signature::sign(&BINDING_SEED, &message));
            entry.insert("keyBindingSig".into(), binding.into());
        }
    });
});

/// `shareRefreshTokens: false`.
pub const SHARING_FALSE: Serving = Serving(|_, answer| {
    manifest(answer, |object| {
        object.entry("shareRefreshTokens").or_insert(json!(false));
    });
});

/// SPEC §8.2 says what discovery holds at least.
pub const DISCOVERY_EXTRA: Serving = Serving(|route, answer| {
    if route == Route::Discovery {
        answer["profiles"] = json!(["http-json", "grpc"]);
        answer["software"] = json!("vault/1.0");
    }
});

/// Writes the JSON of all answers anew.
pub struct Spelling(fn(&Value) -> String);

impl Edge for Spelling {
    fn response(&self, _: Route, _: &Parts, response: Response<Bytes>) -> Response<Bytes> {
        response.map(|body| match serde_json::from_slice(&body) {
            Ok(value) => Bytes::from((self.0)(&value)),
            Err(_) => body,
        })
    }
}

/// Objects by name.
pub const SORTED: Spelling = Spelling(|value| {
    let mut value = value.clone();
    value.sort_all_objects();
    value.to_string()
});

/// Lines and indentation, and a line break at the end.
pub const PRETTY: Spelling = Spelling(|value| format!("{value:#}\n"));

/// As PHP and .NET write it. Plus and slash stand nowhere but in strings: no number here has an exponent.
pub const ESCAPED: Spelling = Spelling(|value| {
    let mut text = String::new();
    for c in value.to_string().chars() {
        match c {
            '+' => text.push_str("\\u002B"),
            '/' => text.push_str("\\/"),
            c if c.is_ascii() => text.push(c),
            c => c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| text.push_str(&format!("\\u{unit:04X}"))),
        }
    }
    text
});

/// Turns the roster round by one more place in each answer.
#[derive(Default)]
pub struct Shuffled(AtomicUsize);

impl Edge for Shuffled {
    fn response(&self, _: Route, _: &Parts, response: Response<Bytes>) -> Response<Bytes> {
        let turn = self.0.fetch_add(1, Ordering::Relaxed);
        edit(response, |answer| {
            manifest(answer, |object| {
                if let Some(Value::Array(members)) = object.get_mut("members") {
                    let places = turn % members.len().max(1);
                    members.rotate_left(places);
                }
            });
        })
    }
}

/// Another body for errors: its type and its text.
pub struct Errors(&'static str, &'static str);

impl Edge for Errors {
    fn response(&self, _: Route, _: &Parts, response: Response<Bytes>) -> Response<Bytes> {
        if response.status().is_success() {
            return response;
        }
        let mut response = response.map(|_| Bytes::from_static(self.1.as_bytes()));
        if self.0.is_empty() {
            response.headers_mut().remove(CONTENT_TYPE);
        } else {
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(self.0));
        }
        response
    }
}

/// Nothing.
pub const ERRORS_EMPTY: Errors = Errors("", "");
/// A page.
pub const ERRORS_HTML: Errors = Errors("text/html", "<!doctype html><title>Error</title><h1>Sorry</h1>");
/// Two words.
pub const ERRORS_TEXT: Errors = Errors("text/plain; charset=utf-8", "Request refused\n");

/// Problem details.
pub struct Problem;

impl Edge for Problem {
    fn response(&self, _: Route, _: &Parts, response: Response<Bytes>) -> Response<Bytes> {
        let status = response.status();
        if status.is_success() {
            return response;
        }
        let mut response = edit_any(response, |error| {
            *error = json!({ "type": "about:blank", "title": status.canonical_reason(), "status": status.as_u16() });
        });
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        response
    }
}

/// RFC 9457.
pub const ERRORS_PROBLEM: Problem = Problem;
