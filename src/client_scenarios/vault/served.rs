//! What the vault serves: manifests, entries, envelopes and the issuer's keys, as the bend says.

use serde_json::{Value, json};

use super::forge;
use super::http::Reply;
use super::reading::to_json;
use super::record::Record;
use super::repo::Repo;
use super::{Bend, Shared};
use crate::client::random;
use crate::codec::{base64, key_wrap, signature};
use crate::ground::lock;
use crate::wire::MemberEntry;

impl Repo {
    /// The answer to a pull.
    pub(super) fn pulled(&self, bend: Bend, known: i64, caller: &str, middle: &[u8; 32]) -> Value {
        let unchanged = known == self.manifest.payload_version;
        let mut manifest = self.manifest.clone();
        manifest.members = manifest.members.iter().map(|entry| served(entry, bend, caller, middle)).collect();
        if bend == Bend::LaterMembers {
            manifest.share_refresh_tokens = Some(true);
        }
        match bend {
            Bend::RosterReversed => manifest.members.reverse(),
            Bend::OwnEntryFirst => manifest.members.sort_by_key(|entry| entry.ed25519_public_key != caller),
            Bend::OwnEntryLast => manifest.members.sort_by_key(|entry| entry.ed25519_public_key == caller),
            _ => {}
        }
        if bend == Bend::ManifestScheme {
            manifest.scheme_id = forge::UNKNOWN_SCHEME.into();
        }
        if bend == Bend::GarbageWrap {
            for entry in &mut manifest.members {
                entry.wrapped_data_key.ciphertext = base64::encode(&random::bytes::<48>());
            }
        }
        let mut envelope = self.envelope.clone();
        if bend == Bend::GarbagePayload {
            let mut bytes = vec![0; base64::decode(&envelope.ciphertext).map_or(64, |bytes| bytes.len())];
            random::fill(&mut bytes);
            envelope.ciphertext = base64::encode(&bytes);
        }
        let mut answer = json!({ "manifest": manifest, "unchanged": unchanged });
        if !unchanged || bend == Bend::ExtraEnvelope {
            answer["envelope"] = to_json(&envelope);
        } else if bend == Bend::Nulls {
            answer["envelope"] = Value::Null;
        }
        if bend == Bend::Nulls
            && let Some(members) = answer.pointer_mut("/manifest/members").and_then(Value::as_array_mut)
        {
            members.iter_mut().for_each(|member| {
                if member["keyBindingSig"].is_null() {
                    member["keyBindingSig"] = Value::Null;
                }
            });
        }
        answer
    }
}

/// An entry as it is served: as it is, or with a key of somebody in the middle.
pub(super) fn served(entry: &MemberEntry, bend: Bend, caller: &str, middle: &[u8; 32]) -> MemberEntry {
    let mut entry = entry.clone();
    if bend == Bend::SwappedKeys && entry.ed25519_public_key != caller {
        entry.x25519_public_key = base64::encode(&key_wrap::public_key(middle));
    }
    entry
}

/// The accounts of both.
pub(super) fn merged(one: &Value, other: &Value) -> Value {
    let mut all = one.clone();
    if let (Some(all), Some(more)) = (all["alts"].as_array_mut(), other["alts"].as_array()) {
        all.extend(more.iter().cloned());
    }
    all["payloadVersion"] = other["payloadVersion"].clone();
    all
}

/// Where the second issuer's keys are.
pub(super) const SECOND: &str = "/second/";

/// What becomes of a request for the issuer's keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Issuer {
    /// They are served.
    #[default]
    Well,
    /// It answers 500.
    Fails,
    /// It answers with a page.
    Page,
    /// It has no keys.
    Empty,
    /// It answers 404.
    Missing,
    /// It has keys, and none of them is for Ed25519.
    Foreign,
}

impl Shared {
    /// The issuer's answer. It may be another server than the vault.
    pub(super) fn issuer(&self, record: &mut Record) -> Reply {
        let (issuer, state) = {
            let state = lock(&self.state);
            let second = record.target.starts_with(SECOND);
            (if second { state.second_issuer } else { state.issuer }, state.issuer_state)
        };
        match state {
            Issuer::Well => self.reply(record, Ok(key_set(&issuer))),
            Issuer::Empty => self.reply(record, Ok(json!({ "keys": [] }))),
            Issuer::Foreign => self.reply(record, Ok(foreign_keys())),
            Issuer::Missing => self.reply(record, Err((404, "nothing here"))),
            Issuer::Fails => self.reply(record, Err((500, "out of order"))),
            Issuer::Page => Reply {
                status: 200,
                content_type: "text/html",
                body: b"<html>soon</html>".to_vec(),
                ..Reply::default()
            },
        }
    }
}

/// Keys for other algorithms: the samples of RFC 7517 §A.1 and of RFC 8037 §A.6, public halves.
fn foreign_keys() -> Value {
    json!({ "keys": [
        {
            "kty": "EC", "crv": "P-256", "use": "sig", "kid": "ec",
            "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4", "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM",
        },
        { "kty": "OKP", "crv": "X25519", "use": "enc", "kid": "dh", "x": "3p7bfXt9wbTTW2HC7OQ1Nz-DQ8hbeGdNrfx-FG-IK08" },
    ] })
}

/// The issuer's keys.
pub(super) fn key_set(issuer: &[u8; 32]) -> Value {
    let x = base64::encode_url(&signature::public_key(issuer));
    json!({ "keys": [{ "kty": "OKP", "crv": "Ed25519", "use": "sig", "kid": "issuer", "x": x }] })
}
