//! Validation of bodies against `schema/avp.schema.json`, compiled once.

use std::sync::LazyLock;

use jsonschema::error::ValidationErrorKind;
use jsonschema::{ValidationError, Validator};
use serde_json::{Number, Value, json};

/// The schema file itself, as shipped in `schema/`.
pub const SCHEMA_JSON: &str = include_str!("../../schema/avp.schema.json");

/// The messages that the schema defines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names are those of the schema's definitions")]
pub enum MessageKind {
    ChallengeRequest,
    ChallengeResponse,
    TokenRequest,
    TokenResponse,
    CreateRepoRequest,
    VaultManifest,
    PullRequest,
    PullResponse,
    PushRequest,
    PushResponse,
    MemberAddRequest,
    MemberRemoveRequest,
    MemberEntry,
    EncryptedEnvelope,
    Discovery,
    ErrorObject,
}

impl MessageKind {
    /// All of them, in the order of the declaration.
    pub const ALL: [Self; 16] = [
        Self::ChallengeRequest,
        Self::ChallengeResponse,
        Self::TokenRequest,
        Self::TokenResponse,
        Self::CreateRepoRequest,
        Self::VaultManifest,
        Self::PullRequest,
        Self::PullResponse,
        Self::PushRequest,
        Self::PushResponse,
        Self::MemberAddRequest,
        Self::MemberRemoveRequest,
        Self::MemberEntry,
        Self::EncryptedEnvelope,
        Self::Discovery,
        Self::ErrorObject,
    ];

    /// Name of the definition under `$defs`.
    pub fn name(self) -> &'static str {
        match self {
            Self::ChallengeRequest => "ChallengeRequest",
            Self::ChallengeResponse => "ChallengeResponse",
            Self::TokenRequest => "TokenRequest",
            Self::TokenResponse => "TokenResponse",
            Self::CreateRepoRequest => "CreateRepoRequest",
            Self::VaultManifest => "VaultManifest",
            Self::PullRequest => "PullRequest",
            Self::PullResponse => "PullResponse",
            Self::PushRequest => "PushRequest",
            Self::PushResponse => "PushResponse",
            Self::MemberAddRequest => "MemberAddRequest",
            Self::MemberRemoveRequest => "MemberRemoveRequest",
            Self::MemberEntry => "MemberEntry",
            Self::EncryptedEnvelope => "EncryptedEnvelope",
            Self::Discovery => "Discovery",
            Self::ErrorObject => "ErrorObject",
        }
    }
}

/// One way in which a body breaks the schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// JSON pointer into the body; empty for the whole.
    pub pointer: String,
    /// What is wrong there.
    pub message: String,
    /// The same without the value that is wrong, for which it says "it".
    pub masked: String,
    /// Members that the schema doesn't know.
    pub unexpected: Vec<String>,
}

impl std::fmt::Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let place = if self.pointer.is_empty() { "the body" } else { &self.pointer };
        write!(f, "{place}: {}", self.message)
    }
}

/// The compiled schema; each message is compiled when it is first asked for, once per process.
#[derive(Clone, Copy, Debug)]
pub struct Schema;

static DOCUMENT: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(SCHEMA_JSON).expect("the schema is compiled in, and a test parses it"));

static VALIDATORS: [LazyLock<Validator>; 16] = {
    const fn lazy<const I: usize>() -> LazyLock<Validator> {
        LazyLock::new(|| compile(MessageKind::ALL[I]))
    }
    [
        lazy::<0>(),
        lazy::<1>(),
        lazy::<2>(),
        lazy::<3>(),
        lazy::<4>(),
        lazy::<5>(),
        lazy::<6>(),
        lazy::<7>(),
        lazy::<8>(),
        lazy::<9>(),
        lazy::<10>(),
        lazy::<11>(),
        lazy::<12>(),
        lazy::<13>(),
        lazy::<14>(),
        lazy::<15>(),
    ]
};

fn compile(kind: MessageKind) -> Validator {
    let root = json!({ "$defs": DOCUMENT["$defs"], "$ref": format!("#/$defs/{}", kind.name()) });
    jsonschema::validator_for(&root).expect("the schema is compiled in, and a test compiles every message")
}

impl Schema {
    /// The schema document.
    pub fn document() -> &'static Value {
        &DOCUMENT
    }

    /// Everything that is wrong with a body, at most `limit` entries; empty when it conforms.
    pub fn violations(kind: MessageKind, body: &Value, limit: usize) -> Vec<Violation> {
        let validator = &VALIDATORS[kind as usize];
        if validator.is_valid(body) {
            return Vec::new();
        }
        validator.iter_errors(body).take(limit).map(|error| violation(&error)).collect()
    }
}

/// What is wrong; where a value fits none of several schemas, what is wrong by the one that it is meant to fit: an object that
/// isn't right is no `null`.
fn violation(error: &ValidationError<'_>) -> Violation {
    if let ValidationErrorKind::AnyOf { context } = error.kind() {
        let is_of_the_type = |errors: &&Vec<ValidationError<'_>>| {
            let wrong_type = |inner: &ValidationError<'_>| {
                inner.instance_path() == error.instance_path()
                    && matches!(inner.kind(), ValidationErrorKind::Type { .. })
            };
            !errors.iter().any(wrong_type)
        };
        if let Some(inner) = context.iter().find(is_of_the_type).and_then(|errors| errors.first()) {
            return violation(inner);
        }
    }
    let unexpected = match error.kind() {
        ValidationErrorKind::AdditionalProperties { unexpected } => unexpected.clone(),
        _ => Vec::new(),
    };
    Violation {
        pointer: error.instance_path().to_string(),
        message: cut(&error.to_string()),
        masked: cut(&error.masked_with("it").to_string()),
        unexpected,
    }
}

/// Longest message of a violation, in characters: it quotes what the server said.
const LONGEST_MESSAGE: usize = 300;

/// The beginning of a message; the ellipsis tells whoever masks credentials that one may have been cut through.
fn cut(message: &str) -> String {
    match message.char_indices().nth(LONGEST_MESSAGE) {
        Some((end, _)) => format!("{}…", &message[..end]),
        None => message.to_owned(),
    }
}

/// Removes the members that the schema doesn't know, and writes `1.0` as `1` where an integer belongs, so that what is left can be read.
pub fn prune(kind: MessageKind, body: &mut Value) {
    prune_by(&DOCUMENT["$defs"][kind.name()], body);
}

fn prune_by(schema: &Value, value: &mut Value) {
    if let Some(reference) = schema["$ref"].as_str() {
        let name = reference.rsplit('/').next().unwrap_or_default();
        return prune_by(&DOCUMENT["$defs"][name], value);
    }
    if let Some(first) = schema["anyOf"].get(0) {
        return prune_by(first, value);
    }
    match value {
        Value::Object(members) => {
            if let Some(known) = schema["properties"].as_object() {
                members.retain(|name, _| known.contains_key(name));
                members.iter_mut().for_each(|(name, member)| prune_by(&known[name], member));
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| prune_by(&schema["items"], item)),
        Value::Number(number) if schema["type"] == "integer" => {
            if let Some(integer) = integral(number) {
                *value = integer.into();
            }
        }
        _ => {}
    }
}

/// The integer that a number with a fraction of zero is (JSON Schema allows `1.0`), where a double tells it exactly.
#[expect(clippy::cast_possible_truncation, reason = "a double below 2^53 without a fraction is an integer")]
fn integral(number: &Number) -> Option<i64> {
    let double = number.as_f64().filter(|_| number.is_f64())?;
    (double.fract() == 0.0 && double.abs() < 9_007_199_254_740_992.0).then_some(double as i64)
}

/// Whether an integer is written with a fraction or an exponent somewhere.
pub fn has_fractions(value: &Value) -> bool {
    match value {
        Value::Number(number) => integral(number).is_some(),
        Value::Array(items) => items.iter().any(has_fractions),
        Value::Object(members) => members.values().any(has_fractions),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_compiles_and_refuses_unknown_members() {
        for (index, kind) in MessageKind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, index);
            assert!(DOCUMENT["$defs"][kind.name()].is_object(), "{}", kind.name());
            assert!(!Schema::violations(kind, &json!({ "surprise": 1 }), 9).is_empty(), "{}", kind.name());
        }
    }

    #[test]
    fn pruning_leaves_what_the_schema_knows() {
        let mut body = json!({
            "unchanged": false, "x": 1,
            "manifest": { "repoId": "r", "y": 2, "members": [{ "keyEpoch": 0, "z": 3 }] },
            "envelope": { "iv": "", "w": 4 },
        });
        prune(MessageKind::PullResponse, &mut body);
        assert_eq!(
            body,
            json!({
                "unchanged": false,
                "manifest": { "repoId": "r", "members": [{ "keyEpoch": 0 }] },
                "envelope": { "iv": "" },
            })
        );
    }

    #[test]
    fn int64_is_a_whole_range_and_no_string() {
        let body = |version: Value| json!({ "repoId": "r", "knownPayloadVersion": version });
        for fine in [json!(i64::MAX), json!(i64::MIN), json!(0)] {
            assert_eq!(Schema::violations(MessageKind::PullRequest, &body(fine), 1), []);
        }
        for wrong in [json!("1"), json!(1.5), json!(null), json!(u64::MAX)] {
            let found = Schema::violations(MessageKind::PullRequest, &body(wrong), 1);
            assert_eq!(found[0].pointer, "/knownPayloadVersion");
        }
    }
}
