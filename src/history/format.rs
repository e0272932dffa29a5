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

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::io::{self, BufRead, Write};

use serde::de::{Deserializer, Visitor};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use super::{Done, History, Op};
use crate::codec::base64;
use crate::model::{Answer, Call, Entry, Envelope, Manifest, Operation, Roster, Word, Words};

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
        /// The system's words.
        source: io::Error,
    },
    /// The output can't be written.
    #[error("{name} can't be written: {source}")]
    Write {
        /// The file.
        name: String,
        /// The system's words.
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

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Kind {
    CreateRepo,
    Pull,
    Push,
    AddMember,
    RemoveMember,
    FetchMemberKey,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct OpLine<'a> {
    client: u32,
    #[serde(borrow)]
    repo: Text<'a>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    caller: Option<Text<'a>>,
    operation: Kind,
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

/// A field and what is wrong with it.
type Wrong = (String, String);

fn need<T>(value: Option<T>, field: &str) -> Result<T, Wrong> {
    value.ok_or_else(|| (field.to_owned(), "is missing".into()))
}

/// Reads a history; `name` is what errors call it.
///
/// # Errors
/// [`HistoryError`], with the line and the field.
pub fn read(name: &str, mut from: impl BufRead) -> Result<History, HistoryError> {
    let mut line = Vec::new();
    let unreadable = |source| HistoryError::Read { name: name.to_owned(), source };
    from.read_until(b'\n', &mut line).map_err(unreadable)?;
    let header: Option<Header> = serde_json::from_slice(&line).ok();
    if header.is_none_or(|header| header.format != FORMAT || header.version != VERSION) {
        return Err(HistoryError::NoHistory { name: name.to_owned() });
    }
    let mut reader = Reader::default();
    for number in 2.. {
        line.clear();
        if from.read_until(b'\n', &mut line).map_err(unreadable)? == 0 {
            break;
        }
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let wrong = |(field, reason): Wrong| HistoryError::Line { name: name.to_owned(), line: number, field, reason };
        let op = match serde_json::from_slice::<OpLine<'_>>(&line) {
            Ok(parsed) => reader.op(&parsed).map_err(wrong)?,
            Err(_) => return Err(wrong(why_not(&line))),
        };
        reader.history.ops.push(op);
    }
    Ok(reader.history)
}

/// Parses a line that doesn't parse once more, to tell the field.
fn why_not(line: &[u8]) -> Wrong {
    let mut parser = serde_json::Deserializer::from_slice(line);
    match serde_path_to_error::deserialize::<_, OpLine<'_>>(&mut parser) {
        Err(error) if error.path().iter().len() == 0 => ("the operation".into(), error.inner().to_string()),
        Err(error) => (error.path().to_string(), error.inner().to_string()),
        // Then there is something behind the operation.
        Ok(_) => ("the end".into(), "one operation a line".into()),
    }
}

#[derive(Default)]
struct Reader {
    history: History,
    /// Every roster once.
    rosters: HashSet<Roster>,
    /// Rosters by their text.
    texts: HashMap<Box<str>, Roster>,
}

impl Reader {
    fn word(&mut self, text: &Text<'_>) -> Word {
        self.history.words.word(&text.0)
    }

    fn entry(&mut self, EntryLine(member, epoch, stamp): &EntryLine<'_>) -> Entry {
        let member = self.word(member);
        Entry { member, x25519: member, epoch: *epoch, rest: self.word(stamp) }
    }

    fn roster(&mut self, members: &Members<'_>, field: &str) -> Result<Roster, Wrong> {
        let Members::Read(raw) = members else { return Ok(Roster::new(Vec::new())) };
        if let Some(roster) = self.texts.get(raw.get()) {
            return Ok(roster.clone());
        }
        let mut parser = serde_json::Deserializer::from_str(raw.get());
        let entries: Vec<EntryLine<'_>> = serde_path_to_error::deserialize(&mut parser)
            .map_err(|error| (format!("{field}{}", error.path()), error.inner().to_string()))?;
        let roster = Roster::new(entries.iter().map(|entry| self.entry(entry)).collect());
        let roster = match self.rosters.get(&roster) {
            Some(same) => same.clone(),
            None => {
                self.rosters.insert(roster.clone());
                roster
            }
        };
        self.texts.insert(raw.get().into(), roster.clone());
        Ok(roster)
    }

    fn repo(&mut self, named: Option<&Text<'_>>, repo: Word) -> Word {
        named.map_or(repo, |named| self.word(named))
    }

    fn manifest(&mut self, manifest: &ManifestLine<'_>, repo: Word, field: &str) -> Result<Manifest, Wrong> {
        let repo = self.repo(manifest.repo.as_ref(), repo);
        let members = self.roster(&manifest.members, field)?;
        Ok(Manifest { repo, scheme: scheme(), version: manifest.version, epoch: manifest.epoch, members })
    }

    fn envelope(&mut self, envelope: &EnvelopeLine<'_>, repo: Word) -> Envelope {
        let repo = self.repo(envelope.repo.as_ref(), repo);
        Envelope { repo, version: envelope.version, epoch: envelope.epoch, sealed: self.word(&envelope.stamp) }
    }

    fn op(&mut self, line: &OpLine<'_>) -> Result<Op, Wrong> {
        let repo = self.word(&line.repo);
        let caller = line.caller.as_ref().map(|caller| self.word(caller));
        let operation = self.operation(line, repo)?;
        let answer = line.answer.as_ref().map(|answer| self.answer(line.operation, answer, repo)).transpose()?;
        let result = match (line.end, answer) {
            // Nobody knows what a server that failed has done, or has yet to do.
            (_, None | Some(Answer::Broken(_))) => None,
            (None, Some(_)) => return Err(("end".into(), "is missing, and there is an answer".into())),
            (Some(end), Some(_)) if end < line.start => return Err(("end".into(), "is before start".into())),
            (Some(end), Some(answer)) => Some(Done { end, answer }),
        };
        Ok(Op { client: line.client, repo, call: Call { caller, operation }, start: line.start, result })
    }

    fn operation(&mut self, line: &OpLine<'_>, repo: Word) -> Result<Operation, Wrong> {
        let envelope = |reader: &mut Self| {
            need(line.envelope.as_ref(), "envelope").map(|envelope| reader.envelope(envelope, repo))
        };
        Ok(match line.operation {
            Kind::CreateRepo => {
                let manifest = self.manifest(need(line.manifest.as_ref(), "manifest")?, repo, "manifest.members")?;
                Operation::CreateRepo { manifest, envelope: envelope(self)? }
            }
            Kind::Pull => Operation::Pull { known: need(line.known, "known")? },
            Kind::Push => Operation::Push {
                envelope: envelope(self)?,
                expected: need(line.expected, "expected")?,
                rotated: line.members.as_ref().map(|members| self.roster(members, "members")).transpose()?,
            },
            Kind::AddMember => Operation::AddMember { entry: self.entry(need(line.entry.as_ref(), "entry")?) },
            Kind::RemoveMember => Operation::RemoveMember {
                removed: self.word(need(line.member.as_ref(), "member")?),
                envelope: envelope(self)?,
                members: self.roster(need(line.members.as_ref(), "members")?, "members")?,
                epoch: need(line.epoch, "epoch")?,
            },
            Kind::FetchMemberKey => {
                Operation::FetchMemberKey { member: self.word(need(line.member.as_ref(), "member")?) }
            }
        })
    }

    fn answer(&mut self, kind: Kind, answer: &AnswerLine<'_>, repo: Word) -> Result<Answer, Wrong> {
        match answer.status {
            None => {}
            Some(status @ 400..=499) => return Ok(Answer::Refused(status)),
            Some(status @ 500..) => return Ok(Answer::Broken(status)),
            Some(status) => return Err(("answer.status".into(), format!("{status} is neither 4xx nor 5xx"))),
        }
        let manifest = |reader: &mut Self| {
            let manifest = need(answer.manifest.as_ref(), "answer.manifest")?;
            reader.manifest(manifest, repo, "answer.manifest.members")
        };
        Ok(match kind {
            Kind::CreateRepo | Kind::AddMember | Kind::RemoveMember => Answer::Manifest(manifest(self)?),
            Kind::Pull => Answer::Pull {
                manifest: manifest(self)?,
                envelope: answer.envelope.as_ref().map(|envelope| self.envelope(envelope, repo)),
                unchanged: need(answer.unchanged, "answer.unchanged")?,
            },
            Kind::Push => Answer::Push {
                accepted: need(answer.accepted, "answer.accepted")?,
                version: need(answer.version, "answer.version")?,
                epoch: need(answer.epoch, "answer.epoch")?,
                conflict: need(answer.conflict, "answer.conflict")?,
            },
            Kind::FetchMemberKey => Answer::Entry(self.entry(need(answer.entry.as_ref(), "answer.entry")?)),
        })
    }
}

/// A history says nothing about schemes.
fn scheme() -> Word {
    Word(u32::MAX)
}

/// Writes a history; `name` is what errors call it.
///
/// # Errors
/// [`HistoryError::Write`].
pub fn write(name: &str, history: &History, mut to: impl Write) -> Result<(), HistoryError> {
    let mut all = || -> io::Result<()> {
        serde_json::to_writer(&mut to, &Header { format: FORMAT.into(), version: VERSION })?;
        for op in &history.ops {
            to.write_all(b"\n")?;
            serde_json::to_writer(&mut to, &Writer { words: &history.words, repo: op.repo }.op(op))?;
        }
        to.write_all(b"\n")?;
        to.flush()
    };
    all().map_err(|source| HistoryError::Write { name: name.to_owned(), source })
}

/// Longer texts are keys and ciphertexts, of which a digest will do.
const LONGEST_STAMP: usize = 24;

/// A stamp for keys and ciphertexts: 72 bits of SHA-256.
fn digest(texts: &[&str]) -> Text<'static> {
    let mut hash = Sha256::new();
    for text in texts {
        hash.update(text.as_bytes());
        hash.update([0]);
    }
    Text(Cow::Owned(base64::encode(&hash.finalize()[..9])))
}

struct Writer<'h> {
    words: &'h Words,
    repo: Word,
}

impl<'h> Writer<'h> {
    fn text(&self, word: Word) -> Text<'h> {
        Text(Cow::Borrowed(self.words.text(word)))
    }

    fn other_repo(&self, repo: Word) -> Option<Text<'h>> {
        (repo != self.repo).then(|| self.text(repo))
    }

    fn entry(&self, entry: &Entry) -> EntryLine<'h> {
        // Read from a history, the stamp stands for all keys already.
        let stamp = match entry.x25519 == entry.member {
            true => self.text(entry.rest),
            false => digest(&[self.words.text(entry.x25519), self.words.text(entry.rest)]),
        };
        EntryLine(self.text(entry.member), entry.epoch, stamp)
    }

    fn roster(&self, roster: &Roster) -> Members<'h> {
        let mut entries: Vec<_> = roster.entries().iter().map(|entry| self.entry(entry)).collect();
        // The order of words is that of their first appearance; a file should not depend on it.
        entries.sort_by(|one, other| one.0.0.cmp(&other.0.0));
        Members::Written(entries)
    }

    fn manifest(&self, manifest: &Manifest) -> ManifestLine<'h> {
        let (members, repo) = (self.roster(&manifest.members), self.other_repo(manifest.repo));
        ManifestLine { version: manifest.version, epoch: manifest.epoch, members, repo }
    }

    fn envelope(&self, envelope: &Envelope) -> EnvelopeLine<'h> {
        let sealed = self.words.text(envelope.sealed);
        let stamp = if sealed.len() <= LONGEST_STAMP { self.text(envelope.sealed) } else { digest(&[sealed]) };
        let repo = self.other_repo(envelope.repo);
        EnvelopeLine { version: envelope.version, epoch: envelope.epoch, stamp, repo }
    }

    fn op(&self, op: &Op) -> OpLine<'h> {
        let mut line = OpLine {
            client: op.client,
            repo: self.text(op.repo),
            caller: op.call.caller.map(|caller| self.text(caller)),
            operation: Kind::Pull,
            start: op.start,
            end: op.result.as_ref().map(|done| done.end),
            known: None,
            expected: None,
            manifest: None,
            envelope: None,
            members: None,
            entry: None,
            member: None,
            epoch: None,
            answer: op.answer().map(|answer| self.answer(answer)),
        };
        match &op.call.operation {
            Operation::CreateRepo { manifest, envelope } => {
                line.operation = Kind::CreateRepo;
                (line.manifest, line.envelope) = (Some(self.manifest(manifest)), Some(self.envelope(envelope)));
            }
            Operation::Pull { known } => line.known = Some(*known),
            Operation::Push { envelope, expected, rotated } => {
                line.operation = Kind::Push;
                (line.envelope, line.expected) = (Some(self.envelope(envelope)), Some(*expected));
                line.members = rotated.as_ref().map(|members| self.roster(members));
            }
            Operation::AddMember { entry } => {
                (line.operation, line.entry) = (Kind::AddMember, Some(self.entry(entry)));
            }
            Operation::RemoveMember { removed, envelope, members, epoch } => {
                (line.operation, line.member) = (Kind::RemoveMember, Some(self.text(*removed)));
                (line.envelope, line.members) = (Some(self.envelope(envelope)), Some(self.roster(members)));
                line.epoch = Some(*epoch);
            }
            Operation::FetchMemberKey { member } => {
                (line.operation, line.member) = (Kind::FetchMemberKey, Some(self.text(*member)));
            }
        }
        line
    }

    fn answer(&self, answer: &Answer) -> AnswerLine<'h> {
        let empty = AnswerLine::default();
        match answer {
            Answer::Manifest(manifest) => AnswerLine { manifest: Some(self.manifest(manifest)), ..empty },
            Answer::Pull { manifest, envelope, unchanged } => AnswerLine {
                manifest: Some(self.manifest(manifest)),
                envelope: envelope.map(|envelope| self.envelope(&envelope)),
                unchanged: Some(*unchanged),
                ..empty
            },
            Answer::Push { accepted, version, epoch, conflict } => AnswerLine {
                accepted: Some(*accepted),
                version: Some(*version),
                epoch: Some(*epoch),
                conflict: Some(*conflict),
                ..empty
            },
            Answer::Entry(entry) => AnswerLine { entry: Some(self.entry(entry)), ..empty },
            Answer::Refused(status) | Answer::Broken(status) => AnswerLine { status: Some(*status), ..empty },
        }
    }
}

#[cfg(test)]
mod tests {
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
        let schema: serde_json::Value = serde_json::from_str(include_str!("../../schema/history.schema.json")).unwrap();
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
