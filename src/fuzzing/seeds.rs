//! Seeds of the fuzz targets, made from the vectors and of simulated histories: what `avp-conform vectors seeds` writes.

use serde_json::Value;

use super::json::{NAMES, letter_of};
use crate::ground::Choices;
use crate::history::{
    self,
    simulate::{Simulation, simulate},
};
use crate::vectors::{self, BankFile, GenerateError};
use crate::wire::proto::Method;
use crate::wire::{MessageKind, Schema};

/// Why there are no seeds: a bug of ours.
#[derive(Debug, thiserror::Error)]
pub enum SeedError {
    /// The bank can't be made.
    #[error("the vectors can't be made: {0}")]
    Bank(#[from] GenerateError),
    /// A file of the bank isn't JSON.
    #[error("{file}: {error}")]
    Json {
        /// Its name.
        file: &'static str,
        /// What is wrong with it.
        error: serde_json::Error,
    },
}

/// An input of a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seed {
    /// The target.
    pub target: &'static str,
    /// A name that is unique in the target.
    pub name: String,
    /// The input.
    pub bytes: Vec<u8>,
}

/// Members of cases that are inputs of a target as they stand.
const TEXTS: &[(&str, &[&str])] = &[
    ("address", &["uri"]),
    ("base64", &["base64", "base64url", "ciphertextB64", "ivB64", "keyBindingSig", "nonce", "ed25519PublicKey"]),
    ("invite", &["base64url", "canonicalJson", "token"]),
    ("jwt", &["token"]),
    ("locator", &["base64url", "canonicalJson", "token"]),
    ("payload", &["plaintextUtf8"]),
];

/// Members that are messages of the protocol.
const MESSAGES: &[&str] = &[
    "challengeRequest",
    "challengeResponse",
    "tokenRequest",
    "tokenResponse",
    "envelope",
    "removeMemberRequest",
    "rotatedEnvelope",
    "wrappedKey",
];

/// Inputs longer than this make a fuzzer slow.
const LONGEST: usize = 8 << 10;

/// Every seed, the same every time, no input twice in a target.
///
/// # Errors
/// [`SeedError`].
pub fn seeds() -> Result<Vec<Seed>, SeedError> {
    let mut seeds = Vec::new();
    for file in &vectors::bank()? {
        let content: Value =
            serde_json::from_str(&file.text).map_err(|error| SeedError::Json { file: file.name, error })?;
        from_values(file, &content, &mut seeds);
        whole_file(file, &content, &mut seeds);
    }
    questions(&mut seeds);
    histories(&mut seeds);
    Ok(seeds)
}

fn add(seeds: &mut Vec<Seed>, target: &'static str, file: &str, bytes: Vec<u8>) {
    let known = seeds.iter().any(|seed| seed.target == target && seed.bytes == bytes);
    if bytes.len() <= LONGEST && !known {
        let number = seeds.iter().filter(|seed| seed.target == target).count();
        let name = format!("{}-{number:03}", file.trim_end_matches(".json"));
        seeds.push(Seed { target, name, bytes });
    }
}

/// Texts and messages anywhere in a file.
fn from_values(file: &BankFile, value: &Value, seeds: &mut Vec<Seed>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| from_values(file, item, seeds)),
        Value::Object(members) => {
            for (name, member) in members {
                if let Value::String(text) = member {
                    let targets = TEXTS.iter().filter(|(_, names)| names.contains(&name.as_str()));
                    targets.for_each(|(target, _)| add(seeds, target, file.name, text.clone().into_bytes()));
                }
                if MESSAGES.contains(&name.as_str()) {
                    message(file.name, member, seeds);
                }
                if name == "envelope" {
                    add(seeds, "envelope_decode", file.name, member.to_string().into_bytes());
                }
                from_values(file, member, seeds);
            }
            // What is drawn from bytes: the shape doesn't matter, but the sizes do.
            for target in ["aad", "envelope", "key_binding", "key_wrap"] {
                if members.contains_key("keyEpoch") && seeds.iter().filter(|seed| seed.target == target).count() < 24 {
                    add(seeds, target, file.name, value.to_string().into_bytes());
                }
            }
        }
        _ => {}
    }
}

/// A message as every kind that it is.
fn message(file: &str, message: &Value, seeds: &mut Vec<Seed>) {
    for kind in MessageKind::ALL {
        if Schema::violations(kind, message, 1).is_empty() {
            add(seeds, "wire", file, [&[letter_of(kind)], message.to_string().as_bytes()].concat());
        }
    }
    for method in Method::ALL {
        let text = message.to_string();
        for (side, bytes) in
            [(b'q', method.request_to_proto(text.as_bytes())), (b'a', method.answer_to_proto(text.as_bytes()))]
        {
            if let Ok(bytes) = bytes {
                let head = [super::proto::letter_of(method), side];
                add(seeds, "proto", file, [&head, text.as_bytes()].concat());
                add(seeds, "proto", file, [&head[..], &bytes].concat());
            }
        }
    }
}

/// The file with its first cases alone, after the byte that says which file it is.
fn whole_file(file: &BankFile, content: &Value, seeds: &mut Vec<Seed>) {
    let place = NAMES.iter().position(|name| *name == file.name).and_then(|place| u8::try_from(place).ok());
    let Some(which) = place else { return };
    let mut short = content.clone();
    for list in ["cases", "tokens", "uris"] {
        if let Some(Value::Array(cases)) = short.get_mut(list) {
            cases.truncate(2);
        }
    }
    add(seeds, "vectors", file.name, [&[which], short.to_string().as_bytes()].concat());
}

/// Every kind of question to a shim, and the kinds of answers.
fn questions(seeds: &mut Vec<Seed>) {
    let cases = vectors::shim::bank_cases().unwrap_or_default();
    let mut seen = std::collections::HashMap::new();
    for step in cases.iter().flat_map(|(_, case)| &case.steps) {
        let count = seen.entry(step.request.op.name()).or_insert(0);
        *count += 1;
        if *count > 3 {
            continue;
        }
        add(seeds, "shim", step.request.op.name(), step.request.to_line(1).into_bytes());
        if let Ok(answer) = vectors::evaluate(&step.request) {
            add(seeds, "shim", step.request.op.name(), answer.to_line(1).into_bytes());
        }
    }
}

/// Short histories, of which some outcomes are unknown, and the bytes of others.
fn histories(seeds: &mut Vec<Seed>) {
    for seed in 0..8 {
        let history = simulate(Simulation { operations: 6, clients: 3, unknown_one_in: 4, seed });
        let mut text = Vec::new();
        // Memory can be written.
        if history::write("seed", &history, &mut text).is_ok() {
            add(seeds, "history", "simulated", text.clone());
            add(seeds, "linearizability", "simulated", text);
        }
        let mut choices = Choices::new(seed, "history");
        let drawn = (0..32).flat_map(|_| choices.draw().to_le_bytes()).collect();
        add(seeds, "linearizability", "drawn", drawn);
    }
}
