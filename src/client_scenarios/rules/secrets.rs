//! What no request may hold (SPEC §10).

use std::collections::HashSet;

use percent_encoding::percent_decode_str;
use serde_json::Value;

use super::super::driver::{CREDENTIAL, MARKED_NAME, MARKED_USER, MARKED_UUID};
use super::super::evidence::{Evidence, Judgement, envelope};
use super::super::subject::Ran;
use super::super::vault::reading::bytes_of;
use super::super::vault::{Bend, Record};
use super::{each, entries};
use crate::codec::{DataKey, base64, key_wrap, signature};
use crate::ground::hex;
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

/// A text as it is searched for: ids are written with hyphens or without, and in either case.
fn bare(text: &str) -> String {
    text.chars().filter(|c| *c != '-').map(|c| c.to_ascii_lowercase()).collect()
}

/// Public keys and sealed payloads of a run.
struct Known {
    ed25519: HashSet<[u8; 32]>,
    x25519: HashSet<[u8; 32]>,
    envelopes: Vec<EncryptedEnvelope>,
    /// What is in accounts that can be told from anything else, in lower case and without hyphens.
    accounts: HashSet<String>,
}

impl Known {
    fn of(ran: &Ran) -> Self {
        let mut known =
            Self { ed25519: HashSet::new(), x25519: HashSet::new(), envelopes: Vec::new(), accounts: HashSet::new() };
        let key = |value: Option<&Value>| base64::decode_array(value?.as_str()?).ok();
        for record in ran.at_vault() {
            known.ed25519.extend(key(record.field("/ed25519PublicKey")));
            for (_, entry) in entries(record) {
                known.ed25519.extend(key(entry.get("ed25519PublicKey")));
                known.x25519.extend(key(entry.get("x25519PublicKey")));
            }
            known.envelopes.extend(envelope(record));
        }
        let opened = known.envelopes.iter().flat_map(|sealed| {
            let keys = ran.keys_of(sealed).into_iter();
            keys.filter_map(|key| super::super::vault::reading::open(key, sealed)).collect::<Vec<_>>()
        });
        let payloads: Vec<Value> = opened.chain(ran.keys.iter().map(|forged| forged.payload.clone())).collect();
        // The last accounts of many are those that were added.
        let lists = payloads.iter().filter_map(|payload| payload["alts"].as_array());
        let accounts = lists.flat_map(|accounts| accounts.iter().rev().take(8));
        // A name may be any word. An id or a credential of some length is nothing else.
        let texts = accounts.flat_map(|account| [account["uuid"].as_str(), account["accessToken"].as_str()]).flatten();
        known.accounts = texts.map(bare).filter(|text| text.len() >= 24).collect();
        known.accounts.extend([MARKED_NAME, MARKED_UUID, MARKED_USER, CREDENTIAL].map(bare));
        known
    }

    /// Whether a text has a part of an account in it.
    fn of_account(&self, text: &str) -> bool {
        let text = bare(text);
        self.accounts.iter().any(|part| text.contains(part.as_str()))
    }

    /// What 32 bytes are, if they are a secret.
    fn what(&self, bytes: &[u8; 32]) -> Option<&'static str> {
        // Most keys in a request are the public ones.
        if self.ed25519.contains(bytes) || self.x25519.contains(bytes) {
            return None;
        }
        if self.ed25519.contains(&signature::public_key(bytes)) {
            return Some("an Ed25519 seed");
        }
        if self.x25519.contains(&key_wrap::public_key(bytes)) {
            return Some("a private X25519 key");
        }
        let key = DataKey::new(*bytes);
        let opens = |envelope: &EncryptedEnvelope| super::super::vault::reading::open(&key, envelope).is_some();
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
        if text.contains(&ran.canary) || known.of_account(text) {
            return Some(format!("{place} holds a part of an account"));
        }
    }
    let mut strings = Vec::new();
    if let Some(json) = &record.json {
        collect(json, String::new(), &mut strings);
    }
    places.extend(strings.iter().map(|(pointer, text)| (pointer.clone(), *text)));
    for (place, text) in &places {
        // In base64 as well, unless it is what the protocol itself has there.
        let is_own = super::requests::BINARY.iter().any(|name| place.ends_with(&format!("/{name}")));
        let mut spelled = words(text, 16, |c| c.is_ascii_alphanumeric() || "+/-_".contains(c)).filter(|_| !is_own);
        if spelled.any(|word| bytes_of(word).is_some_and(|bytes| known.of_account(&String::from_utf8_lossy(&bytes)))) {
            return Some(format!("{place} holds a part of an account in base64"));
        }
        let mut digits = words(text, 24, |c| c.is_ascii_hexdigit()).filter(|_| !is_own);
        let decoded = |word: &str| hex::decode(&word[..word.len() / 2 * 2]);
        if digits.any(|word| decoded(word).is_some_and(|bytes| known.of_account(&String::from_utf8_lossy(&bytes)))) {
            return Some(format!("{place} holds a part of an account in hex"));
        }
    }
    for (place, text) in places {
        if let Some(found) = plain(&place, text).or_else(|| raw_key(&place, text, known)) {
            return Some(format!("{place} holds {found}"));
        }
    }
    record.json.as_ref().and_then(|json| numbers(json, known)).map(|found| format!("the body holds {found}"))
}

/// A secret as an array of numbers, which is what serializers make of bytes.
fn numbers(json: &Value, known: &Known) -> Option<&'static str> {
    match json {
        Value::Array(items) if (32..=128).contains(&items.len()) && items.iter().all(Value::is_i64) => {
            // Signed or not: the low eight bits.
            let byte = |item: &Value| Some(item.as_i64()?.to_le_bytes()[0]);
            let bytes: Vec<u8> = items.iter().filter_map(byte).collect();
            parts(&bytes).find_map(|part| known.what(&part))
        }
        Value::Array(items) => items.iter().find_map(|item| numbers(item, known)),
        Value::Object(members) => members.values().find_map(|member| numbers(member, known)),
        _ => None,
    }
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

/// A secret among the words of a text: 32 bytes in base64 or hex, alone, or at the beginning or end of something longer (a key
/// with its public half, or in PKCS#8).
fn raw_key(place: &str, text: &str, known: &Known) -> Option<&'static str> {
    // Where the protocol itself has keys and ciphertexts the value is one word, and begins with what it is.
    if super::requests::BINARY.iter().any(|name| place.ends_with(&format!("/{name}"))) {
        return known.what(bytes_of(text)?.first_chunk()?);
    }
    let hex = words(text, 64, |c| c.is_ascii_hexdigit()).filter_map(|word| hex::decode(&word[..word.len() / 2 * 2]));
    // A slash is a letter of one alphabet and may end a word of the other; so may a sign of equality.
    let standard = words(text, 43, |c| c.is_ascii_alphanumeric() || c == '+' || c == '/').flat_map(spellings);
    let url = words(text, 43, |c| c.is_ascii_alphanumeric() || c == '-' || c == '_').flat_map(spellings);
    let bytes = hex.chain(standard).chain(url).collect::<HashSet<_>>();
    bytes.iter().flat_map(|bytes| parts(bytes)).find_map(|part| known.what(&part))
}

/// The longest runs of such characters that can hold a key and are no ciphertext.
fn words(text: &str, least: usize, is_in: impl Fn(char) -> bool) -> impl Iterator<Item = &str> {
    text.split(move |c: char| !is_in(c)).filter(move |word| word.len() >= least && word.len() < 400)
}

/// What a run of base64 characters may be: all of it, or the 32 bytes at its end, after something else.
fn spellings(word: &str) -> impl Iterator<Item = Vec<u8>> {
    [Some(word), word.get(word.len().saturating_sub(43)..)].into_iter().flatten().filter_map(bytes_of)
}

/// The 32 bytes at the beginning, after the head of PKCS#8, and at the end.
fn parts(bytes: &[u8]) -> impl Iterator<Item = [u8; 32]> {
    let starts = HashSet::from([0, 16, bytes.len().saturating_sub(32)]);
    let part = |start: usize| bytes.get(start..start + 32)?.try_into().ok();
    starts.into_iter().filter_map(part).collect::<Vec<_>>().into_iter()
}
