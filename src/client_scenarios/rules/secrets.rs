//! What no request may hold (SPEC §10).

use std::cell::RefCell;
use std::collections::HashSet;
use std::io::Read;

use flate2::read::{GzDecoder, ZlibDecoder};
use percent_encoding::percent_decode_str;
use serde_json::Value;

use super::super::driver::{CREDENTIAL, MARKED_NAME, MARKED_USER, MARKED_UUID};
use super::super::evidence::{ClientJudgement, Evidence, envelope, finding};
use super::super::run::Ran;
use super::super::vault::reading::{bytes_of, made_of_public, open};
use super::super::vault::{Bend, Record};
use super::entries;
use crate::codec::{DataKey, base64, key_wrap, signature};
use crate::ground::hex;
use crate::wire::EncryptedEnvelope;

/// No seed, private key, data key or plaintext.
pub(in super::super) fn zero_knowledge(evidence: &Evidence, _: &[Bend]) -> ClientJudgement {
    let (mut findings, mut tried) = (Vec::new(), 0);
    // All of them: who reports a failure tells something, too.
    for ran in evidence.runs.values() {
        let known = Known::of(ran);
        tried += ran.at_vault().count();
        let mut found = ran.at_vault().filter_map(|record| Some((record, secret(ran, record, &known)?)));
        if let Some((record, observed)) = found.next().filter(|_| findings.is_empty()) {
            findings.push(finding(ran, Some(record), "no request holds a secret", observed));
        }
    }
    ClientJudgement::of(findings, tried, "request", "nothing is asked for")
}

/// No payload opens under a key that the server can make itself.
pub(in super::super) fn data_key(evidence: &Evidence, bends: &[Bend]) -> ClientJudgement {
    let (mut findings, mut tried) = (Vec::new(), 0);
    for ran in bends.iter().chain([&Bend::Honest]).filter_map(|bend| evidence.run(*bend)) {
        let known = Known::of(ran);
        let keys: Vec<[u8; 32]> = known.ed25519.iter().chain(&known.x25519).copied().collect();
        for record in ran.at_vault() {
            let Some(sealed) = envelope(record) else { continue };
            tried += 1;
            let mut made = made_of_public(&sealed.repo_id, &keys).into_iter();
            if let Some((_, of)) = made.find(|(key, _)| open(key, &sealed).is_some()).filter(|_| findings.is_empty()) {
                let expected = "a data key is made of nothing that the server knows";
                findings.push(finding(ran, Some(record), expected, format!("the payload opens under {of}")));
            }
        }
    }
    ClientJudgement::of(findings, tried, "payload", "nothing is written")
}

/// A text as it is searched for: ids are written with hyphens or without, and in either case.
fn bare(text: &str) -> String {
    text.chars().filter(|c| *c != '-').map(|c| c.to_ascii_lowercase()).collect()
}

/// Public keys and sealed payloads of a run.
#[derive(Default)]
struct Known {
    ed25519: HashSet<[u8; 32]>,
    x25519: HashSet<[u8; 32]>,
    envelopes: Vec<EncryptedEnvelope>,
    /// What is in accounts that can be told from anything else, in lower case and without hyphens.
    accounts: HashSet<String>,
    /// Texts that hold no secret: most headers come with every request.
    clean: RefCell<HashSet<String>>,
}

impl Known {
    fn of(ran: &Ran) -> Self {
        let mut known = Self::default();
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
            keys.filter_map(|key| open(key, sealed)).collect::<Vec<_>>()
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

    /// What a text tells, however it is spelled.
    fn told(&self, text: &str) -> Option<String> {
        // Of a very long one its beginning.
        let end = (0..=text.len().min(LONGEST_VIEW)).rev().find(|at| text.is_char_boundary(*at));
        let text = &text[..end.unwrap_or_default()];
        if self.clean.borrow().contains(text) {
            return None;
        }
        let found = views(text).into_iter().find_map(|(bytes, spelling)| {
            let text = String::from_utf8_lossy(&bytes);
            let found = match () {
                () if self.of_account(&text) => "a part of an account",
                () => plain("", &text)
                    .or_else(|| raw_key(&text, self))
                    .or_else(|| parts(&bytes).find_map(|part| self.what(&part)))?,
            };
            Some(match spelling {
                "" => found.to_owned(),
                spelling => format!("{found} {spelling}"),
            })
        });
        if found.is_none() {
            self.clean.borrow_mut().insert(text.to_owned());
        }
        found
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
        let opens = |envelope: &EncryptedEnvelope| open(&key, envelope).is_some();
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
    match &record.json {
        Some(json) => collect(json, String::new(), &mut places),
        None => places.push(("the body".into(), &body)),
    }
    for (place, text) in places {
        // Where the protocol itself has keys and ciphertexts the value is one word, and begins with what it is.
        let is_own = super::requests::BINARY.iter().any(|name| place.ends_with(&format!("/{name}")));
        let found = match is_own {
            true => plain(&place, text).or_else(|| known.what(bytes_of(text)?.first_chunk()?)).map(str::to_owned),
            false => known.told(text),
        };
        if let Some(found) = found {
            return Some(format!("{place} holds {found}"));
        }
    }
    record.json.as_ref().and_then(|json| numbers(json, known)).map(|found| format!("the body holds {found}"))
}

/// A secret as an array of numbers, anywhere in a body.
fn numbers(json: &Value, known: &Known) -> Option<&'static str> {
    let mut all = Vec::new();
    arrays(json, &mut all);
    all.iter()
        .filter(|(bytes, _)| bytes.len() <= 128)
        .flat_map(|(bytes, _)| parts(bytes))
        .find_map(|part| known.what(&part))
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
fn raw_key(text: &str, known: &Known) -> Option<&'static str> {
    let hex = words(text, 64, |c| c.is_ascii_hexdigit()).filter_map(|word| hex::decode(&word[..word.len() / 2 * 2]));
    // A slash is a letter of one alphabet and may end a word of the other; so may a sign of equality.
    let standard = words(text, 43, |c| c.is_ascii_alphanumeric() || c == '+' || c == '/').flat_map(spellings);
    let url = words(text, 43, |c| c.is_ascii_alphanumeric() || c == '-' || c == '_').flat_map(spellings);
    let bytes = hex.chain(standard).chain(url).collect::<HashSet<_>>();
    bytes.iter().flat_map(|bytes| parts(bytes)).find_map(|part| known.what(&part))
}

/// How often a text is decoded over, how many readings there are of it, and how long one may be.
const DEEPEST: usize = 4;
const MOST_VIEWS: usize = 80;
const LONGEST_VIEW: usize = 64 << 10;

/// A text and what it is if its parts are decoded, again and again: base64, hex, percent signs, JSON, the lines of PEM, gzip and zlib; with
/// words for how it is spelled.
fn views(text: &str) -> Vec<(Vec<u8>, &'static str)> {
    let mut views = vec![(text.as_bytes().to_vec(), "")];
    let (mut next, mut depth) = (0, 0);
    while depth < DEEPEST && next < views.len() {
        let level = next..views.len();
        next = views.len();
        for index in level {
            let mut found = Vec::new();
            decoded(&views[index].0, &mut found);
            for view in found {
                if views.len() < MOST_VIEWS && view.0.len() >= 12 && !views.iter().any(|(known, _)| *known == view.0) {
                    views.push(view);
                }
            }
        }
        depth += 1;
    }
    views
}

fn decoded(bytes: &[u8], found: &mut Vec<(Vec<u8>, &'static str)>) {
    let mut plain = Vec::new();
    let inflated = match bytes {
        [0x1f, 0x8b, ..] => GzDecoder::new(bytes).take(LONGEST_VIEW as u64).read_to_end(&mut plain),
        // RFC 1950 §2.2: the two bytes of the head are a multiple of 31.
        [0x78, flags, ..] if (0x7800 + u16::from(*flags)).is_multiple_of(31) => {
            ZlibDecoder::new(bytes).take(LONGEST_VIEW as u64).read_to_end(&mut plain)
        }
        _ => Ok(0),
    };
    // What came before an end that is missing is there all the same.
    drop(inflated);
    found.push((plain, "after compression"));
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if text.contains('%') {
        found.push((percent_decode_str(text).collect(), "with percent signs"));
    }
    if text.contains("-----BEGIN ") {
        let lines = text.replace("\\n", "").replace("\\r", "");
        found.push((lines.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect(), "in PEM"));
    }
    if let Ok(json) = serde_json::from_str::<Value>(text) {
        let mut strings = Vec::new();
        collect(&json, String::new(), &mut strings);
        found.extend(strings.into_iter().map(|(_, text)| (text.as_bytes().to_vec(), "in JSON")));
        arrays(&json, found);
    }
    let is_base64 = |c: char| c.is_ascii_alphanumeric() || "+/-_".contains(c);
    found.extend(words(text, 16, is_base64).filter_map(bytes_of).map(|bytes| (bytes, "in base64")));
    let hex = words(text, 24, |c| c.is_ascii_hexdigit());
    found.extend(hex.filter_map(|word| hex::decode(&word[..word.len() / 2 * 2])).map(|bytes| (bytes, "in hex")));
}

/// Bytes as arrays of numbers, which is what serializers make of them; signed or not, it is the low eight bits.
fn arrays(json: &Value, found: &mut Vec<(Vec<u8>, &'static str)>) {
    match json {
        Value::Array(items) if items.len() >= 12 && items.iter().all(Value::is_i64) => {
            let byte = |item: &Value| Some(item.as_i64()?.to_le_bytes()[0]);
            found.push((items.iter().filter_map(byte).take(LONGEST_VIEW).collect(), "as an array of numbers"));
        }
        Value::Array(items) => items.iter().for_each(|item| arrays(item, found)),
        Value::Object(members) => members.values().for_each(|member| arrays(member, found)),
        _ => {}
    }
}

/// The longest runs of such characters that can hold a key.
fn words(text: &str, least: usize, is_in: impl Fn(char) -> bool) -> impl Iterator<Item = &str> {
    text.split(move |c: char| !is_in(c)).filter(move |word| word.len() >= least && word.len() <= LONGEST_VIEW)
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
