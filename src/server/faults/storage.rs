//! What a server keeps or logs though nobody asked it to (SPEC §10).

use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use bytes::Bytes;
use serde_json::Value;

use super::tools::take_unknown;
use crate::codec::base64;
use crate::server::edge::Edge;
use crate::server::refusal::Refusal;
use crate::server::repo::{Repo, Visit};
use crate::server::route::Route;
use crate::server::rules::{IdentityRules, VaultRules};
use crate::server::store::{Store, Tx};

/// A table that no protocol needs.
fn keep(tx: &Tx<'_>, what: &str, value: &[u8]) -> rusqlite::Result<()> {
    let connection = tx.connection();
    connection.execute("CREATE TABLE IF NOT EXISTS kept (what TEXT NOT NULL, value BLOB NOT NULL)", ())?;
    connection.execute("INSERT INTO kept VALUES (?, ?)", (what, value)).map(drop)
}

/// A server that keeps unknown members of requests, in some form.
struct KeepsUnknown(fn(&Value) -> Vec<u8>);

impl IdentityRules for KeepsUnknown {}
impl VaultRules for KeepsUnknown {}
impl Edge for KeepsUnknown {
    fn body(&self, store: &Store, _: Route, _: &Parts, body: Bytes) -> Result<Bytes, Refusal> {
        let Ok(mut request) = serde_json::from_slice(&body) else { return Ok(body) };
        let unknown = take_unknown(&mut request);
        if unknown.is_empty() {
            return Ok(body);
        }
        store.write(|tx| -> Result<(), Refusal> { Ok(keep(tx, "unknown", &(self.0)(&Value::Object(unknown)))?) })?;
        Ok(Bytes::from(request.to_string()))
    }
}

/// A server that keeps something of every request.
struct KeepsRequests(fn(Route, &Parts, &Bytes) -> Option<Vec<u8>>);

impl IdentityRules for KeepsRequests {}
impl VaultRules for KeepsRequests {}
impl Edge for KeepsRequests {
    fn body(&self, store: &Store, route: Route, parts: &Parts, body: Bytes) -> Result<Bytes, Refusal> {
        if let Some(value) = (self.0)(route, parts, &body) {
            store.write(|tx| -> Result<(), Refusal> { Ok(keep(tx, route.template(), &value)?) })?;
        }
        Ok(body)
    }
}

/// A server that logs something of every request.
struct Logs(fn(Route, &Parts, &Bytes) -> Option<Vec<u8>>);

impl IdentityRules for Logs {}
impl VaultRules for Logs {}
impl Edge for Logs {
    fn body(&self, _: &Store, route: Route, parts: &Parts, body: Bytes) -> Result<Bytes, Refusal> {
        if let Some(value) = (self.0)(route, parts, &body) {
            tracing::info!(route = route.template(), value = %String::from_utf8_lossy(&value), "request");
        }
        Ok(body)
    }
}

/// A server that keeps something of the states that a write replaces.
struct KeepsHistory(fn(&Repo, &Repo) -> Option<Vec<u8>>);

impl IdentityRules for KeepsHistory {}
impl Edge for KeepsHistory {}
impl VaultRules for KeepsHistory {
    fn committed(&self, tx: &Tx<'_>, _: &Visit, before: Option<&Repo>, next: &Repo) -> rusqlite::Result<()> {
        match before.and_then(|before| (self.0)(before, next)) {
            Some(value) => keep(tx, "history", &value),
            None => Ok(()),
        }
    }
}

fn whole(_: Route, _: &Parts, body: &Bytes) -> Option<Vec<u8>> {
    Some(body.to_vec())
}

fn token(_: Route, parts: &Parts, _: &Bytes) -> Option<Vec<u8>> {
    Some(parts.headers.get(AUTHORIZATION)?.as_bytes().to_vec())
}

fn sign_in(route: Route, _: &Parts, body: &Bytes) -> Option<Vec<u8>> {
    (route == Route::Token).then(|| body.to_vec())
}

/// The text of every value in an object, one a line.
fn texts(value: &Value) -> String {
    let texts = value
        .as_object()
        .into_iter()
        .flatten()
        .map(|(_, value)| value.as_str().map_or(value.to_string(), str::to_owned));
    texts.collect::<Vec<_>>().join("\n")
}

fn hex(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().flat_map(|byte| format!("{byte:02x}").into_bytes()).collect()
}

faults! {
    [Storage] "logs-request-bodies" breaks ZERO_KNOWLEDGE: "Request bodies are logged." => { is Logs(whole) }
    [Storage] "logs-tokens" breaks ZERO_KNOWLEDGE: "Bearer tokens are logged." => { is Logs(token) }
    [Storage] "logs-nonces" breaks ZERO_KNOWLEDGE: "Signed nonces are logged." => { is Logs(sign_in) }
    [Storage] "keeps-request-bodies" breaks ZERO_KNOWLEDGE: "Request bodies are kept in an audit table." => { is KeepsRequests(whole) }
    [Storage] "keeps-tokens" breaks ZERO_KNOWLEDGE: "Bearer tokens are kept in the database." => { is KeepsRequests(token) }
    [Storage] "keeps-nonces" breaks ZERO_KNOWLEDGE: "Signed nonces are kept in the database." => { is KeepsRequests(sign_in) }
    [Storage] "keeps-unknown-members" breaks NO_SECRET_ECHO: "Members of requests that nobody knows are kept as they came." => { is KeepsUnknown(|unknown| unknown.to_string().into_bytes()) }
    [Storage] "keeps-unknown-members-in-base64" breaks NO_SECRET_ECHO: "Members of requests that nobody knows are kept in base64." => { is KeepsUnknown(|unknown| base64::encode(unknown.to_string().as_bytes()).into_bytes()) }
    [Storage] "keeps-unknown-members-in-hex" breaks NO_SECRET_ECHO: "Members of requests that nobody knows are kept in hexadecimal." => { is KeepsUnknown(|unknown| hex(texts(unknown).as_bytes())) }
    [Storage] "keeps-unknown-members-in-utf16" breaks NO_SECRET_ECHO: "Members of requests that nobody knows are kept in UTF-16." => {
        is KeepsUnknown(|unknown| texts(unknown).encode_utf16().flat_map(u16::to_le_bytes).collect())
    }
    [Storage] "keeps-decoded-secrets" breaks ZERO_KNOWLEDGE: "Members of requests that nobody knows are decoded, and the raw bytes kept." => {
        is KeepsUnknown(|unknown| {
            let values = unknown.as_object().into_iter().flatten().filter_map(|(_, value)| value.as_str());
            values.flat_map(|text| base64::decode(text).unwrap_or_else(|_| text.as_bytes().to_vec())).collect()
        })
    }
    [Storage] "keeps-old-envelopes" breaks OLD_KEYS_USELESS: "Envelopes of earlier epochs are kept in a table of their own." => {
        is KeepsHistory(|before, next| {
            (before.envelope.key_epoch < next.envelope.key_epoch).then(|| serde_json::to_vec(&before.envelope).unwrap_or_default())
        })
    }
    [Storage] "keeps-removed-members" breaks OLD_KEYS_USELESS: "Wrapped keys of removed members are kept in a table of their own." => {
        is KeepsHistory(|before, next| {
            (before.manifest.members.len() > next.manifest.members.len()).then(|| serde_json::to_vec(&before.manifest).unwrap_or_default())
        })
    }
}
