//! A history as JSON lines: one header, then one operation a line, in any order. `schema/history.schema.json` describes a line.
//!
//! ```text
//! {"format":"avp-history","version":1}
//! {"client":0,"repo":"r","caller":"alice","operation":"push","start":10,"end":42,"expected":1,"envelope":{"version":2,"epoch":0,"stamp":"c2"},"answer":{"accepted":true,"version":2,"epoch":0,"conflict":false}}
//! ```
//!
//! Keys and ciphertexts are *stamps*: any text that is the same for the same bytes and different for others. An entry of a
//! roster is `[member, epoch, stamp]`. `end` and `answer` are missing where the outcome is unknown. Times are
//! nanoseconds since any moment. A repository begins with its createRepo.

mod read;
mod write;

use std::borrow::Cow;
use std::fmt;
use std::io;

use serde::de::{Deserializer, Error as _, Visitor};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::wire;

pub use read::read;
pub use write::write;

/// The first line.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    format: Cow<'static, str>,
    version: u32,
}

const FORMAT: &str = "avp-history";
const VERSION: u32 = 1;

/// Why a history can't be read or written.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// The input can't be read.
    #[error("{name} can't be read: {source}")]
    Read {
        /// The file.
        name: String,
        /// The system's symbols.
        source: io::Error,
    },
    /// The output can't be written.
    #[error("{name} can't be written: {source}")]
    Write {
        /// The file.
        name: String,
        /// The system's symbols.
        source: io::Error,
    },
    /// The first line isn't the header.
    #[error("{name} isn't a history: its first line must be {{\"format\":\"avp-history\",\"version\":1}}")]
    NoHistory {
        /// The file.
        name: String,
    },
    /// A line isn't an operation.
    #[error("{name}, line {line}, {field}: {reason}")]
    Line {
        /// The file.
        name: String,
        /// Counted from 1.
        line: usize,
        /// Where in the line, e.g. `answer.manifest.members[2]`.
        field: String,
        /// What is wrong.
        reason: String,
    },
}

/// Text that is copied only if it has escapes.
#[derive(Serialize)]
#[serde(transparent)]
struct Text<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Borrowing;
        impl<'de> Visitor<'de> for Borrowing {
            type Value = Text<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(Borrowing)
    }
}

/// The members of a roster: not parsed at first, as most rosters of a history are the one of the line before.
enum Members<'a> {
    Read(&'a RawValue),
    Written(Vec<EntryLine<'a>>),
}

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <&RawValue>::deserialize(deserializer).map(Self::Read)
    }
}

impl Serialize for Members<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Read(raw) => raw.serialize(serializer),
            Self::Written(entries) => entries.serialize(serializer),
        }
    }
}

/// `[member, epoch, stamp]`.
#[derive(Serialize, Deserialize)]
struct EntryLine<'a>(#[serde(borrow)] Text<'a>, i64, Text<'a>);

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct EnvelopeLine<'a> {
    version: i64,
    epoch: i64,
    #[serde(borrow)]
    stamp: Text<'a>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    repo: Option<Text<'a>>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ManifestLine<'a> {
    version: i64,
    epoch: i64,
    #[serde(borrow)]
    members: Members<'a>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    repo: Option<Text<'a>>,
}

/// One of the six; a history has no others.
fn vault_operation<'de, D: Deserializer<'de>>(deserializer: D) -> Result<wire::Operation, D::Error> {
    const NAMES: [&str; 6] = ["createRepo", "pull", "push", "addMember", "removeMember", "fetchMemberKey"];
    let name: Text<'_> = Deserialize::deserialize(deserializer)?;
    let known = wire::Operation::VAULT.into_iter().find(|operation| operation.name() == name.0);
    known.ok_or_else(|| D::Error::unknown_variant(&name.0, &NAMES))
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct OpLine<'a> {
    client: u32,
    #[serde(borrow)]
    repo: Text<'a>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    caller: Option<Text<'a>>,
    #[serde(deserialize_with = "vault_operation")]
    operation: wire::Operation,
    start: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    end: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    known: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expected: Option<i64>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    manifest: Option<ManifestLine<'a>>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    envelope: Option<EnvelopeLine<'a>>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    members: Option<Members<'a>>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    entry: Option<EntryLine<'a>>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    member: Option<Text<'a>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    epoch: Option<i64>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    answer: Option<AnswerLine<'a>>,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct AnswerLine<'a> {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    manifest: Option<ManifestLine<'a>>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    envelope: Option<EnvelopeLine<'a>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    unchanged: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    accepted: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    version: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    epoch: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    conflict: Option<bool>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    entry: Option<EntryLine<'a>>,
}

#[cfg(test)]
mod tests {
    use super::super::History;
    use super::super::simulate::{Simulation, simulate};
    use super::*;

    fn written(history: &History) -> Vec<u8> {
        let mut bytes = Vec::new();
        write("test", history, &mut bytes).unwrap();
        bytes
    }

    #[test]
    fn what_is_written_is_read() {
        let history = simulate(Simulation { operations: 500, clients: 5, unknown_one_in: 20, seed: 1 });
        let bytes = written(&history);
        let again = read("test", bytes.as_slice()).unwrap();
        assert_eq!(again.ops.len(), history.ops.len());
        assert_eq!(String::from_utf8(written(&again)), String::from_utf8(bytes));
    }

    #[test]
    fn every_line_is_as_the_schema_says() {
        let schema: serde_json::Value =
            serde_json::from_str(include_str!("../../../schema/history.schema.json")).unwrap();
        let validator = jsonschema::validator_for(&schema).unwrap();
        let history = simulate(Simulation { operations: 300, clients: 5, unknown_one_in: 20, seed: 2 });
        let text = String::from_utf8(written(&history)).unwrap();
        for line in text.lines() {
            let value = serde_json::from_str(line).unwrap();
            let wrong: Vec<_> = validator.iter_errors(&value).map(|error| error.to_string()).collect();
            assert!(wrong.is_empty(), "{line}\n{wrong:?}");
        }
        let wrong = serde_json::json!({ "client": 0, "repo": "r", "operation": "pull", "start": 1 });
        assert!(!validator.is_valid(&wrong), "known is missing");
    }

    #[test]
    fn errors_name_line_and_field() {
        let header = "{\"format\":\"avp-history\",\"version\":1}\n";
        let fails = |text: &str| read("h.jsonl", format!("{header}{text}").as_bytes()).unwrap_err().to_string();
        assert_eq!(
            fails("\n{\"client\":0,\"repo\":\"r\",\"operation\":\"pull\",\"start\":1}"),
            "h.jsonl, line 3, known: is missing"
        );
        let pull = "{\"client\":0,\"repo\":\"r\",\"operation\":\"pull\",\"start\":5,\"known\":0";
        assert_eq!(
            fails(&format!("{pull},\"end\":1,\"answer\":{{\"status\":403}}}}")),
            "h.jsonl, line 2, end: is before start"
        );
        let answer = "{\"manifest\":{\"version\":1,\"epoch\":0,\"members\":[[\"a\",\"0\",\"k\"]]}}";
        let said = fails(&format!("{pull},\"end\":9,\"answer\":{answer}}}"));
        assert!(
            said.starts_with("h.jsonl, line 2, answer.manifest.members[0][1]: invalid type: string \"0\""),
            "{said}"
        );
        assert!(fails("nonsense").starts_with("h.jsonl, line 2, the operation: expected"));
        let none = read("h.jsonl", b"{}".as_slice()).unwrap_err().to_string();
        assert!(none.starts_with("h.jsonl isn't a history: its first line must be {\"format\""), "{none}");
    }
}
