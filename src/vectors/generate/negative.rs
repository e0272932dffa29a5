//! `negative.json`: one mutation each. The cases of `payload-decrypt` stand here, the others in the files beside.

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes128Gcm, Nonce};
use serde_json::Value;

use super::super::fields::Fields;
use super::super::op::CodecOp;
use super::envelopes::sealing;
use super::mutation::{changed, decoded, flipped, rejected, shorten, sized};
use super::{Made, member, negative_unwrap, negative_verify, ours, primitive};
use crate::codec::aad::Binding;
use crate::codec::{base64, envelope};

pub(super) fn file() -> Made<Value> {
    let mut cases = payload()?;
    cases.extend(negative_unwrap::cases()?);
    cases.extend(negative_verify::cases()?);
    Ok(super::file("Input that every codec has to refuse, each with one mutation of something valid.", cases))
}

/// The valid payload that is mutated.
pub(super) const REPO: &str = "repo-\u{e9}";
const VERSION: i64 = (1 << 53) + 1;
const EPOCH: i64 = 3;
pub(super) const TEXT: &str = "{\"alts\":[],\"payloadVersion\":9007199254740993}";

/// The valid input of `payload-decrypt`, with its plaintext.
pub(super) fn valid_payload() -> Made<Fields> {
    let mut input = sealing("negative/payload", (REPO, VERSION, EPOCH), TEXT);
    let ciphertext = member(&ours(CodecOp::Encrypt, &input)?, "ciphertextB64")?;
    input.insert("ciphertextB64".into(), ciphertext);
    Ok(input)
}

fn payload() -> Made<Vec<Value>> {
    let mut valid = valid_payload()?;
    valid.remove("plaintextUtf8");
    let mut cases = Vec::new();
    let mut add = |mutation: &str, reason: &str, flag: &str, name: &str, value: Value| {
        let mut members = valid.clone();
        members.insert(name.into(), value);
        cases.push(rejected("payload-decrypt", mutation, reason, &[flag], members));
    };
    for (mutation, reason, flag, at, bits) in [
        ("first bit of the body", "the body is authenticated", "body", 0, 0x80),
        ("last bit of the body", "to its last bit", "body", -17, 1),
        ("first bit of the tag", "the whole tag is compared", "tag", -16, 0x80),
        ("middle bit of the tag", "not only its ends", "tag", -8, 1),
        ("last bit of the tag", "to its last bit", "tag", -1, 1),
    ] {
        add(mutation, reason, flag, "ciphertextB64", flipped(&valid["ciphertextB64"], at, bits));
    }
    for (mutation, reason, change) in lengths() {
        add(mutation, reason, "length", "ciphertextB64", changed(&valid["ciphertextB64"], change));
    }
    for (name, what) in [("keyB64", "key"), ("ivB64", "iv")] {
        for (mutation, reason, value) in other_bytes(&valid[name], what) {
            add(&mutation, reason, what, name, value);
        }
    }
    for (mutation, reason, id) in ids() {
        add(mutation, reason, "repo-id", "repoId", id.into());
    }
    for (mutation, reason, name, number) in counters() {
        add(mutation, reason, "counter", name, number.into());
    }
    let mut swapped = valid.clone();
    swapped.insert("payloadVersion".into(), EPOCH.into());
    swapped.insert("keyEpoch".into(), VERSION.into());
    cases.push(rejected(
        "payload-decrypt",
        "version and epoch swapped",
        "each counter has its place",
        &["counter"],
        swapped,
    ));
    cases.extend(other_layouts(&valid)?);
    cases.push(by_half_a_key(&valid)?);
    Ok(cases)
}

/// Other values of a member of a fixed size, which is called `what`.
fn other_bytes(valid: &Value, what: &str) -> [(String, &'static str, Value); 6] {
    let short = changed(valid, shorten);
    let long = changed(valid, |bytes| bytes.push(0));
    [
        (format!("first bit of the {what}"), "another one", flipped(valid, 0, 0x80)),
        (format!("last bit of the {what}"), "another one", flipped(valid, -1, 1)),
        (format!("{what} of zeros"), "another one", changed(valid, |bytes| bytes.fill(0))),
        (format!("{what} a byte short"), "a wrong length is no length", short),
        (format!("{what} a byte long"), "a wrong length is no length", long),
        (format!("empty {what}"), "nothing is no length", "".into()),
    ]
}

/// A ciphertext that is sound under AES-128, for whoever takes the size of a key as it comes.
fn by_half_a_key(valid: &Fields) -> Made<Value> {
    let half = &decoded(&valid["keyB64"])[..16];
    let aad = Binding { repo_id: REPO, payload_version: VERSION, key_epoch: EPOCH }.to_aad();
    let payload = Payload { msg: TEXT.as_bytes(), aad: &aad };
    let cipher = Aes128Gcm::new_from_slice(half).map_err(primitive)?;
    let sealed = cipher.encrypt(&Nonce::from(sized::<12>(&valid["ivB64"])?), payload).map_err(primitive)?;
    let mut members = valid.clone();
    members.insert("keyB64".into(), base64::encode(half).into());
    members.insert("ciphertextB64".into(), base64::encode(&sealed).into());
    Ok(rejected("payload-decrypt", "half a key", "sealed so: AES-128 isn't AES-256", &["key"], members))
}

type Change = fn(&mut Vec<u8>);

fn lengths() -> [(&'static str, &'static str, Change); 11] {
    [
        ("tag a byte short", "the tag has 128 bits", |bytes| {
            bytes.pop();
        }),
        ("tag of 96 bits", "a truncated tag is easier to forge", |bytes| bytes.truncate(bytes.len() - 4)),
        ("tag left out", "without a tag nothing is authenticated", |bytes| bytes.truncate(bytes.len() - 16)),
        ("tag of zeros", "a tag is compared", |bytes| bytes.iter_mut().rev().take(16).for_each(|byte| *byte = 0)),
        ("tag alone", "the body is authenticated", |bytes| drop(bytes.drain(..bytes.len() - 16))),
        ("tag first", "the tag stands at the end", |bytes| bytes.rotate_right(16)),
        ("a byte more", "nothing stands after the tag", |bytes| bytes.push(0)),
        ("a byte before", "nothing stands before the body", |bytes| bytes.insert(0, 0)),
        ("a byte of the body missing", "the length is authenticated", |bytes| {
            bytes.remove(0);
        }),
        ("fifteen bytes", "shorter than a tag", |bytes| bytes.truncate(15)),
        ("empty ciphertext", "nothing at all", Vec::clear),
    ]
}

fn ids() -> [(&'static str, &'static str, &'static str); 8] {
    [
        ("another repository", "an envelope doesn't move to another repository", "repo-x"),
        ("empty id", "an id can't be left out", ""),
        ("id in capitals", "ids are exact", "REPO-\u{c9}"),
        ("id decomposed", "no normalization: the same to a reader, another id", "repo-e\u{301}"),
        ("id in Latin-1", "bytes of UTF-8 taken for characters", "repo-\u{c3}\u{a9}"),
        ("id with a blank behind", "ids are exact", "repo-\u{e9} "),
        ("id with a separator behind", "ids are exact", "repo-\u{e9}\u{1f}"),
        ("id cut", "ids are exact", "repo-"),
    ]
}

fn counters() -> [(&'static str, &'static str, &'static str, i64); 10] {
    [
        (
            "version one less",
            "an envelope isn't replayed at an older version, nor at one that a double can't tell apart",
            "payloadVersion",
            VERSION - 1,
        ),
        ("version one more", "nor at a newer one", "payloadVersion", VERSION + 1),
        ("version negative", "the sign counts", "payloadVersion", -VERSION),
        ("version of zero", "a version can't be left out", "payloadVersion", 0),
        ("version cut to 32 bits", "all 64 bits count", "payloadVersion", 1),
        ("epoch one less", "an envelope isn't replayed at an older epoch", "keyEpoch", EPOCH - 1),
        ("epoch one more", "nor at a newer one", "keyEpoch", EPOCH + 1),
        ("epoch negative", "the sign counts", "keyEpoch", -EPOCH),
        ("epoch of zero", "an epoch can't be left out", "keyEpoch", 0),
        ("epoch beyond 32 bits", "all 64 bits count", "keyEpoch", EPOCH + (1 << 32)),
    ]
}

/// Ciphertexts that are sound but bound to something else than the canonical bytes.
fn other_layouts(valid: &Fields) -> Made<Vec<Value>> {
    let canonical = Binding { repo_id: REPO, payload_version: VERSION, key_epoch: EPOCH }.to_aad();
    let id = REPO.as_bytes();
    let (version, epoch) = (VERSION.to_be_bytes(), EPOCH.to_be_bytes());
    let (version_le, epoch_le) = (VERSION.to_le_bytes(), EPOCH.to_le_bytes());
    let layouts: [(&str, &str, Vec<u8>); 13] = [
        ("no additional data", "sealed without any binding", Vec::new()),
        (
            "little-endian counters",
            "sealed with the bytes in the other order",
            [id, &[0x1f], &version_le, &epoch_le].concat(),
        ),
        ("no separator", "sealed without the byte between id and counters", [id, &version, &epoch].concat()),
        ("zero as separator", "sealed with another separator", [id, &[0], &version, &epoch].concat()),
        (
            "separator between the counters, too",
            "sealed with one separator too many",
            [id, &[0x1f], &version, &[0x1f], &epoch].concat(),
        ),
        (
            "epoch before version",
            "sealed with the counters in the other order",
            [id, &[0x1f], &epoch, &version].concat(),
        ),
        ("epoch left out", "sealed without the epoch", [id, &[0x1f], &version].concat()),
        ("version left out", "sealed without the version", [id, &[0x1f], &epoch].concat()),
        ("id left out", "sealed without the id", [&[0x1f][..], &version, &epoch].concat()),
        ("counters of 32 bits", "sealed with half the bytes", [id, &[0x1f], &version[4..], &epoch[4..]].concat()),
        ("counters in decimal", "sealed with digits", format!("{REPO}\u{1f}{VERSION}\u{1f}{EPOCH}").into_bytes()),
        (
            "version through a double",
            "sealed at 2^53, to which a double rounds",
            [id, &[0x1f], &(1_i64 << 53).to_be_bytes(), &epoch].concat(),
        ),
        ("id in UTF-16", "sealed with another encoding of the id", [&utf16(REPO)[..], &canonical[id.len()..]].concat()),
    ];
    let key = sized(&valid["keyB64"])?;
    let iv = sized(&valid["ivB64"])?;
    let cases = layouts.into_iter().map(|(mutation, reason, aad)| {
        let sealed = envelope::seal_with_aad(&key, &iv, &aad, TEXT.as_bytes()).map_err(primitive)?;
        let mut members = valid.clone();
        members.insert("ciphertextB64".into(), base64::encode(&sealed).into());
        Ok(rejected("payload-decrypt", mutation, reason, &["aad-layout"], members))
    });
    cases.collect()
}

fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_be_bytes).collect()
}
