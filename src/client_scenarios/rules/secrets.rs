//! What no request may hold (SPEC §10).

use std::collections::HashSet;

use percent_encoding::percent_decode_str;
use serde_json::Value;

use super::super::evidence::{Evidence, Judgement, envelope};
use super::super::subject::Ran;
use super::super::vault::{Bend, Record};
use super::{each, entries};
use crate::codec::{DataKey, base64, key_wrap, signature};
use crate::wire::EncryptedEnvelope;

/// No seed, private key, data key or plaintext.
pub(in super::super) fn zero_knowledge(evidence: &Evidence, _: &[Bend]) -> Judgement {
    // Per run, since keys belong to a run; the run is told by its canary.
    let known: Vec<(String, Known)> = evidence.sane().map(|ran| (ran.canary.clone(), Known::of(ran))).collect();
    each(evidence, "request", "nothing is asked for", |ran, record| {
        let known = known.iter().find(|(canary, _)| *canary == ran.canary).map(|(_, known)| known)?;
        Some(match secret(ran, record, known) {
            None => Ok(()),
            Some(observed) => Err(("no request holds a secret".into(), observed)),
        })
    })
}

/// Public keys and sealed payloads of a run.
struct Known {
    ed25519: HashSet<[u8; 32]>,
    x25519: HashSet<[u8; 32]>,
    envelopes: Vec<EncryptedEnvelope>,
}

impl Known {
    fn of(ran: &Ran) -> Self {
        let mut known = Self { ed25519: HashSet::new(), x25519: HashSet::new(), envelopes: Vec::new() };
        let key = |value: Option<&Value>| base64::decode_array(value?.as_str()?).ok();
        for record in ran.at_vault() {
            known.ed25519.extend(key(record.field("/ed25519PublicKey")));
            for (_, entry) in entries(record) {
                known.ed25519.extend(key(entry.get("ed25519PublicKey")));
                known.x25519.extend(key(entry.get("x25519PublicKey")));
            }
            known.envelopes.extend(envelope(record));
        }
        known
    }

    /// What 32 bytes are, if they are a secret.
    fn what(&self, bytes: &[u8; 32]) -> Option<&'static str> {
        if self.ed25519.contains(&signature::public_key(bytes)) {
            return Some("an Ed25519 seed");
        }
        if self.x25519.contains(&key_wrap::public_key(bytes)) {
            return Some("a private X25519 key");
        }
        let key = DataKey::new(*bytes);
        let opens = |envelope: &EncryptedEnvelope| super::super::vault::state::open(&key, envelope).is_some();
        self.envelopes.iter().any(opens).then_some("a data key")
    }
}

fn secret(ran: &Ran, record: &Record, known: &Known) -> Option<String> {
    let target = percent_decode_str(&record.target).decode_utf8_lossy().into_owned();
    let headers = record.headers.iter().map(|(name, value)| (format!("the header {name}"), value.as_str()));
    let mut places: Vec<(String, &str)> = vec![("the URL".into(), &target)];
    places.extend(headers);
    let body = String::from_utf8_lossy(&record.body);
    // Names and credentials of accounts are nowhere outside the payload.
    let texts = places.iter().map(|(place, text)| (place.as_str(), *text)).chain([("the body", &*body)]);
    for (place, text) in texts {
        if text.contains(&ran.canary) {
            return Some(format!("{place} holds a part of an account"));
        }
    }
    let mut strings = Vec::new();
    if let Some(json) = &record.json {
        collect(json, String::new(), &mut strings);
    }
    places.extend(strings.iter().map(|(pointer, text)| (pointer.clone(), *text)));
    for (place, text) in places {
        if let Some(found) = plain(&place, text).or_else(|| raw_key(text, known)) {
            return Some(format!("{place} holds {found}"));
        }
    }
    None
}

fn collect<'v>(value: &'v Value, pointer: String, strings: &mut Vec<(String, &'v str)>) {
    match value {
        Value::String(text) => strings.push((pointer, text)),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, item)| collect(item, format!("{pointer}/{index}"), strings));
        }
        Value::Object(members) => {
            members.iter().for_each(|(name, member)| collect(member, format!("{pointer}/{name}"), strings));
        }
        _ => {}
    }
}

/// A payload that isn't encrypted.
fn plain(place: &str, text: &str) -> Option<&'static str> {
    let bytes = if place.ends_with("/ciphertext") { base64::decode(text).ok()? } else { text.as_bytes().to_vec() };
    let has = |word: &[u8]| bytes.windows(word.len()).any(|window| window == word);
    (has(b"\"alts\"") || has(b"\"accessToken\"")).then_some("a payload that isn't encrypted")
}

/// A secret among the words of a text: 32 bytes in base64 or hex, or the beginning of something longer.
fn raw_key(text: &str, known: &Known) -> Option<&'static str> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || "+/-_=".contains(c)));
    words.filter(|word| word.len() >= 43 && word.len() < 200).find_map(|word| {
        let spelled = word.trim_end_matches('=').replace('+', "-").replace('/', "_");
        let hex = || {
            (word.len() == 64)
                .then(|| {
                    (0..64)
                        .step_by(2)
                        .map(|at| u8::from_str_radix(word.get(at..at + 2)?, 16).ok())
                        .collect::<Option<Vec<u8>>>()
                })
                .flatten()
        };
        let bytes = hex().or_else(|| base64::decode_url(&spelled).ok())?;
        known.what(bytes.get(..32)?.try_into().ok()?)
    })
}
