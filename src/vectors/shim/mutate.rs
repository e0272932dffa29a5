//! Mutations of random questions. What they break is clear-cut: nothing that the specification leaves open.

use serde_json::Value;

use super::super::fields::Fields;
use super::super::op::CodecOp;
use crate::codec::base64;
use crate::ground::Choices;
use crate::ground::hex;

/// One change to one member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mutation {
    /// Which of the operation's targets.
    pub target: usize,
    /// What is done to it.
    pub change: Change,
}

/// What is done to a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// Flips a bit (modulo the length).
    Flip(usize),
    /// Takes a byte or character off the end.
    Shorten,
    /// Puts one on the end.
    Lengthen,
    /// Spells the same bytes in another way.
    Respell(usize),
}

/// What kind of text a member is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TextKind {
    Base64,
    Hex,
    Integer,
    Text,
    /// Base64url over JSON: only its spelling is changed.
    Token,
    /// Base64 whose spelling is all that is asked for.
    Spelling,
    Uri,
}

use TextKind::{Base64, Hex, Integer, Spelling, Text, Token, Uri};

/// The members of an operation that can be changed; a dot leads into an object.
pub(super) fn targets(op: CodecOp) -> &'static [&'static str] {
    match op {
        CodecOp::Decrypt => &["ciphertextB64", "ivB64", "keyB64", "repoId", "payloadVersion", "keyEpoch"],
        CodecOp::Unwrap => {
            &["wrappedKey.ciphertext", "wrappedKey.iv", "wrappedKey.ephemeralPublicKey", "recipientPrivateKeyB64"]
        }
        CodecOp::Verify => &["signatureHex", "messageHex", "publicKeyHex"],
        CodecOp::VerifyBinding => &["keyBindingSig", "ed25519PublicKey", "x25519PublicKey", "issuerPublicKeyB64"],
        CodecOp::DecodeInvite | CodecOp::DecodeLocator => &["token"],
        CodecOp::DecodeBase64 => &["base64"],
        CodecOp::SignNonce => &["nonce"],
        CodecOp::ParseAddress => &["uri"],
        _ => &[],
    }
}

fn kind(op: CodecOp, target: &str) -> TextKind {
    match (op, target) {
        (CodecOp::DecodeBase64, _) | (CodecOp::SignNonce, _) => Spelling,
        (CodecOp::VerifyBinding, "ed25519PublicKey" | "x25519PublicKey") => Text,
        (_, "token") => Token,
        (_, "uri") => Uri,
        (_, "repoId") => Text,
        (_, "payloadVersion" | "keyEpoch") => Integer,
        (_, name) if name.ends_with("Hex") => Hex,
        _ => Base64,
    }
}

impl Mutation {
    /// A random change of one of the operation's targets.
    pub(super) fn random(op: CodecOp, choices: &mut Choices) -> Self {
        let change = match choices.below(6) {
            0..=2 => Change::Flip(choices.below(4096)),
            3 => Change::Shorten,
            4 => Change::Lengthen,
            _ => Change::Respell(choices.below(6)),
        };
        Self { target: choices.below(targets(op).len()), change }
    }
}

/// Changes a question.
pub(super) fn mutate(fields: &mut Fields, op: CodecOp, mutation: &Mutation) {
    let Some(target) = targets(op).get(mutation.target) else { return };
    let (parent, name) = match target.split_once('.') {
        Some((parent, name)) => match fields.get_mut(parent) {
            Some(Value::Object(inner)) => (inner, name),
            _ => return,
        },
        None => (fields, *target),
    };
    let Some(value) = parent.get_mut(name) else { return };
    let changed = match (kind(op, target), value.as_str()) {
        (Integer, _) => integer(value.as_i64().unwrap_or_default(), mutation.change).into(),
        (Hex, Some(text)) => hex(text, mutation.change).into(),
        (Base64, Some(text)) => in_base64(text, mutation.change).into(),
        (Text, Some(text)) => text_changed(text, mutation.change).into(),
        (Token, Some(text)) => token(text, mutation.change).into(),
        (Spelling, Some(text)) => respell(text, pick(mutation.change)).into(),
        (Uri, Some(text)) => uri(text, pick(mutation.change)).into(),
        (_, None) => return,
    };
    *value = changed;
}

fn pick(change: Change) -> usize {
    match change {
        Change::Flip(bit) => bit,
        Change::Shorten => 1,
        Change::Lengthen => 2,
        Change::Respell(number) => number,
    }
}

fn integer(number: i64, change: Change) -> i64 {
    match change {
        Change::Flip(bit) => number ^ (1 << (bit % 64)),
        Change::Shorten => number.wrapping_sub(1),
        Change::Lengthen => number.wrapping_add(1),
        Change::Respell(_) => number.wrapping_neg(),
    }
}

fn bytes_changed(bytes: &mut Vec<u8>, change: Change) {
    match change {
        Change::Flip(bit) if !bytes.is_empty() => {
            let place = bit / 8 % bytes.len();
            bytes[place] ^= 1 << (bit % 8);
        }
        Change::Shorten => {
            bytes.pop();
        }
        Change::Flip(_) | Change::Lengthen | Change::Respell(_) => bytes.push(0),
    }
}

fn hex(text: &str, change: Change) -> String {
    let mut bytes = hex::decode(text).unwrap_or_default();
    bytes_changed(&mut bytes, change);
    hex::encode(&bytes)
}

fn in_base64(text: &str, change: Change) -> String {
    if let Change::Respell(number) = change {
        return respell(text, number);
    }
    let mut bytes = base64::decode(text).unwrap_or_default();
    bytes_changed(&mut bytes, change);
    base64::encode(&bytes)
}

fn text_changed(text: &str, change: Change) -> String {
    let mut characters: Vec<char> = text.chars().collect();
    match change {
        Change::Shorten if !characters.is_empty() => {
            characters.pop();
        }
        Change::Flip(place) if !characters.is_empty() => {
            let place = place % characters.len();
            characters[place] = if characters[place] == 'x' { 'y' } else { 'x' };
        }
        _ => characters.push('\u{1f}'),
    }
    characters.into_iter().collect()
}

/// The same bytes, not as base64 is spelled here (or, where the change doesn't apply, as it is).
fn respell(text: &str, how: usize) -> String {
    let middle = text.len() / 2;
    let (head, tail) = text.split_at_checked(middle).unwrap_or((text, ""));
    match how % 6 {
        0 => text.replace('+', "-").replace('/', "_"),
        1 => text.trim_end_matches('=').to_owned(),
        2 => format!("{text}\n"),
        3 => format!("{head} {tail}"),
        4 => format!("{head}!{tail}"),
        _ => format!("{text}===="),
    }
}

fn token(text: &str, change: Change) -> String {
    let (head, tail) = text.split_at_checked(text.len() / 2).unwrap_or((text, ""));
    match change {
        Change::Shorten => text.get(..text.len().saturating_sub(2)).unwrap_or_default().to_owned(),
        Change::Lengthen => format!("{text}===="),
        Change::Respell(_) if text.contains(['-', '_']) => text.replace('-', "+").replace('_', "/"),
        other => match pick(other) % 4 {
            0 => format!("{head}!{tail}"),
            1 => format!("{head}+{tail}"),
            2 => format!("{text}\n"),
            _ => head.get(..head.len() / 4 * 4).unwrap_or_default().to_owned(),
        },
    }
}

fn uri(text: &str, how: usize) -> String {
    let rest = text.strip_prefix("avp://").unwrap_or(text);
    match how % 6 {
        0 => format!("https://{rest}"),
        1 => format!("avp:/{rest}"),
        2 => format!("{text} "),
        3 => format!("avp://{}", rest.split('/').next().unwrap_or_default()),
        4 => format!("avp://user@{rest}"),
        _ => format!("avp:///{rest}"),
    }
}
