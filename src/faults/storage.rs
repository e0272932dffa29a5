//! What a server keeps or logs though nobody asked it to (SPEC §10).

use std::io::Read as _;
use std::sync::Mutex;

use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use bytes::Bytes;
use flate2::Compression;
use serde_json::Value;

use super::table::*;
use super::tools::{lock, take_unknown};
use crate::codec::{DataKey, base64, envelope};
use crate::ground::hex;
use crate::server::edge::Edge;
use crate::server::refusal::Refusal;
use crate::server::repo::{Repo, Visit};
use crate::server::route::Route;
use crate::server::rules::VaultRules;
use crate::server::store::{Store, Tx};
use crate::wire::EncryptedEnvelope;

/// A table that no protocol needs.
fn keep(tx: &Tx<'_>, what: &str, value: &[u8]) -> rusqlite::Result<()> {
    let connection = tx.connection();
    connection.execute("CREATE TABLE IF NOT EXISTS kept (what TEXT NOT NULL, value BLOB NOT NULL)", ())?;
    connection.execute("INSERT INTO kept VALUES (?, ?)", (what, value)).map(drop)
}

/// A server that keeps unknown members of requests, in some form.
struct KeepsUnknown(fn(&Value) -> Vec<u8>);

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

impl Edge for Logs {
    fn body(&self, _: &Store, route: Route, parts: &Parts, body: Bytes) -> Result<Bytes, Refusal> {
        if let Some(value) = (self.0)(route, parts, &body) {
            tracing::info!(route = route.template(), value = %String::from_utf8_lossy(&value), "request");
        }
        Ok(body)
    }
}

/// A server that uses a data key that it was sent to read what it stores.
struct Decrypts;

impl Decrypts {
    /// The plaintext of the envelope in a request that carries the data key as well.
    fn plaintext(request: &Value) -> Option<Vec<u8>> {
        let key =
            ["", "/manifest", "/manifest/members/0", "/member", "/initialEnvelope", "/envelope", "/rotatedEnvelope"]
                .iter()
                .find_map(|place| request.pointer(place)?.get("dataKey")?.as_str())?;
        let envelope = ["initialEnvelope", "envelope", "rotatedEnvelope"].iter().find_map(|name| request.get(name))?;
        let sealed: EncryptedEnvelope = serde_json::from_value(envelope.clone()).ok()?;
        let (iv, ciphertext) = (base64::decode_array(&sealed.iv).ok()?, base64::decode(&sealed.ciphertext).ok()?);
        let key = DataKey::new(base64::decode_array(key).ok()?);
        envelope::open(&key, &iv, &sealed.binding(), &ciphertext).ok().map(|plaintext| plaintext.to_vec())
    }
}

impl Edge for Decrypts {
    fn body(&self, store: &Store, _: Route, _: &Parts, body: Bytes) -> Result<Bytes, Refusal> {
        let request = serde_json::from_slice(&body).unwrap_or_default();
        if let Some(plaintext) = Self::plaintext(&request) {
            store.write(|tx| -> Result<(), Refusal> { Ok(keep(tx, "plaintext", &plaintext)?) })?;
        }
        Ok(body)
    }
}

/// A server that archives requests, many of them compressed together.
struct Archives(Mutex<Vec<u8>>);

impl Edge for Archives {
    fn body(&self, store: &Store, _: Route, _: &Parts, body: Bytes) -> Result<Bytes, Refusal> {
        let mut waiting = lock(&self.0);
        waiting.extend_from_slice(&body);
        if waiting.len() > ARCHIVED_TOGETHER {
            let together = compressed(&waiting, false);
            waiting.clear();
            store.write(|tx| -> Result<(), Refusal> { Ok(keep(tx, "archive", &together)?) })?;
        }
        Ok(body)
    }
}

/// More than fits a page of the database, also when it is compressed.
const ARCHIVED_TOGETHER: usize = 12 << 10;

/// Some bytes in zlib, or in gzip.
fn compressed(bytes: &[u8], gzip: bool) -> Vec<u8> {
    let mut out = Vec::new();
    let level = Compression::best();
    // What is read from memory and written to it doesn't fail.
    let _ = match gzip {
        true => flate2::read::GzEncoder::new(bytes, level).read_to_end(&mut out),
        false => flate2::read::ZlibEncoder::new(bytes, level).read_to_end(&mut out),
    };
    out
}

fn gzipped(_: Route, _: &Parts, body: &Bytes) -> Option<Vec<u8>> {
    Some(base64::encode(&compressed(body, true)).into_bytes())
}

/// A server that keeps something of the states that a write replaces.
struct KeepsHistory(fn(&Repo, &Repo) -> Option<Vec<u8>>);

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

/// The faults of this area.
pub(super) const FAULTS: &[Fault] = &[
    fault("logs-request-bodies", &NO_SECRET_ECHO, "Request bodies are logged.", || edge(Logs(whole))).kind(Storage),
    fault("logs-bodies-compressed", &NO_SECRET_ECHO, "Request bodies are logged, each in gzip and base64.", || {
        edge(Logs(gzipped))
    })
    .kind(Storage),
    fault("logs-tokens", &CREDENTIALS_NOT_KEPT, "Bearer tokens are logged.", || edge(Logs(token))).kind(Storage),
    fault("logs-nonces", &CREDENTIALS_NOT_KEPT, "Signed nonces are logged.", || edge(Logs(sign_in))).kind(Storage),
    fault("keeps-request-bodies", &NO_SECRET_ECHO, "Request bodies are kept in an audit table.", || {
        edge(KeepsRequests(whole))
    })
    .kind(Storage),
    fault(
        "archives-requests",
        &NO_SECRET_ECHO,
        "Request bodies are archived in the database, compressed together.",
        || edge(Archives(Mutex::default())),
    )
    .kind(Storage),
    fault(
        "keeps-decrypted-payloads",
        &ZERO_KNOWLEDGE,
        "A data key that comes with a request is used to keep the payload in the clear.",
        || edge(Decrypts),
    )
    .kind(Storage),
    fault("keeps-tokens", &CREDENTIALS_NOT_KEPT, "Bearer tokens are kept in the database.", || {
        edge(KeepsRequests(token))
    })
    .kind(Storage),
    fault("keeps-nonces", &CREDENTIALS_NOT_KEPT, "Signed nonces are kept in the database.", || {
        edge(KeepsRequests(sign_in))
    })
    .kind(Storage),
    fault(
        "keeps-unknown-members",
        &NO_SECRET_ECHO,
        "Members of requests that nobody knows are kept as they came.",
        || edge(KeepsUnknown(|unknown| unknown.to_string().into_bytes())),
    )
    .kind(Storage),
    fault(
        "keeps-unknown-members-in-base64",
        &NO_SECRET_ECHO,
        "Members of requests that nobody knows are kept in base64.",
        || edge(KeepsUnknown(|unknown| base64::encode(unknown.to_string().as_bytes()).into_bytes())),
    )
    .kind(Storage),
    fault(
        "keeps-unknown-members-in-hex",
        &NO_SECRET_ECHO,
        "Members of requests that nobody knows are kept in hexadecimal.",
        || edge(KeepsUnknown(|unknown| hex::encode(texts(unknown).as_bytes()).into_bytes())),
    )
    .kind(Storage),
    fault(
        "keeps-unknown-members-in-utf16",
        &NO_SECRET_ECHO,
        "Members of requests that nobody knows are kept in UTF-16.",
        || edge(KeepsUnknown(|unknown| texts(unknown).encode_utf16().flat_map(u16::to_le_bytes).collect())),
    )
    .kind(Storage),
    fault(
        "keeps-decoded-secrets",
        &NO_SECRET_ECHO,
        "Members of requests that nobody knows are decoded, and the raw bytes kept.",
        || {
            edge(KeepsUnknown(|unknown| {
                let values = unknown.as_object().into_iter().flatten().filter_map(|(_, value)| value.as_str());
                values.flat_map(|text| base64::decode(text).unwrap_or_else(|_| text.as_bytes().to_vec())).collect()
            }))
        },
    )
    .kind(Storage),
    fault(
        "keeps-old-envelopes",
        &REPLACED_IS_DROPPED,
        "Envelopes of earlier epochs are kept in a table of their own.",
        || {
            vault(KeepsHistory(|before, next| {
                (before.envelope.key_epoch < next.envelope.key_epoch)
                    .then(|| serde_json::to_vec(&before.envelope).unwrap_or_default())
            }))
        },
    )
    .kind(Storage),
    fault(
        "keeps-removed-members",
        &REPLACED_IS_DROPPED,
        "Wrapped keys of removed members are kept in a table of their own.",
        || {
            vault(KeepsHistory(|before, next| {
                (before.manifest.members.len() > next.manifest.members.len())
                    .then(|| serde_json::to_vec(&before.manifest).unwrap_or_default())
            }))
        },
    )
    .kind(Storage),
];
