//! Reading.

use std::collections::{HashMap, HashSet};
use std::io::BufRead;

use super::{
    AnswerLine, EntryLine, EnvelopeLine, FORMAT, Header, HistoryError, ManifestLine, Members, OpLine, Text, VERSION,
};
use crate::history::{Done, History, HistoryOp};
use crate::model::{Action, Entry, Envelope, Invocation, Manifest, Response, Roster, Symbol};
use crate::wire;

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
    fn symbol(&mut self, text: &Text<'_>) -> Symbol {
        self.history.symbols.symbol(&text.0)
    }

    fn entry(&mut self, EntryLine(member, epoch, stamp): &EntryLine<'_>) -> Entry {
        let member = self.symbol(member);
        Entry { member, x25519: member, epoch: *epoch, rest: self.symbol(stamp) }
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

    fn repo(&mut self, named: Option<&Text<'_>>, repo: Symbol) -> Symbol {
        named.map_or(repo, |named| self.symbol(named))
    }

    fn manifest(&mut self, manifest: &ManifestLine<'_>, repo: Symbol, field: &str) -> Result<Manifest, Wrong> {
        let repo = self.repo(manifest.repo.as_ref(), repo);
        let members = self.roster(&manifest.members, field)?;
        Ok(Manifest {
            repo,
            scheme: scheme(),
            version: manifest.version,
            epoch: manifest.epoch,
            members,
            shared: false,
        })
    }

    fn envelope(&mut self, envelope: &EnvelopeLine<'_>, repo: Symbol) -> Envelope {
        let repo = self.repo(envelope.repo.as_ref(), repo);
        Envelope { repo, version: envelope.version, epoch: envelope.epoch, sealed: self.symbol(&envelope.stamp) }
    }

    fn op(&mut self, line: &OpLine<'_>) -> Result<HistoryOp, Wrong> {
        let repo = self.symbol(&line.repo);
        let caller = line.caller.as_ref().map(|caller| self.symbol(caller));
        let action = self.action(line, repo)?;
        let answer = line.answer.as_ref().map(|answer| self.answer(line.operation, answer, repo)).transpose()?;
        let result = match (line.end, answer) {
            // Nobody knows what a server that failed has done, or has yet to do.
            (_, None | Some(Response::Broken(_))) => None,
            (None, Some(_)) => return Err(("end".into(), "is missing, and there is an answer".into())),
            (Some(end), Some(_)) if end < line.start => return Err(("end".into(), "is before start".into())),
            (Some(end), Some(answer)) => Some(Done { end, answer }),
        };
        Ok(HistoryOp {
            client: line.client,
            repo,
            invocation: Invocation { caller, action },
            start: line.start,
            result,
        })
    }

    fn action(&mut self, line: &OpLine<'_>, repo: Symbol) -> Result<Action, Wrong> {
        let envelope = |reader: &mut Self| {
            need(line.envelope.as_ref(), "envelope").map(|envelope| reader.envelope(envelope, repo))
        };
        Ok(match line.operation {
            wire::Operation::CreateRepo => {
                let manifest = self.manifest(need(line.manifest.as_ref(), "manifest")?, repo, "manifest.members")?;
                Action::CreateRepo { manifest, envelope: envelope(self)? }
            }
            wire::Operation::Pull => Action::Pull { known: need(line.known, "known")? },
            wire::Operation::Push => Action::Push {
                envelope: envelope(self)?,
                expected: need(line.expected, "expected")?,
                rotated: line.members.as_ref().map(|members| self.roster(members, "members")).transpose()?,
            },
            wire::Operation::AddMember => Action::AddMember { entry: self.entry(need(line.entry.as_ref(), "entry")?) },
            wire::Operation::RemoveMember => Action::RemoveMember {
                removed: self.symbol(need(line.member.as_ref(), "member")?),
                envelope: envelope(self)?,
                members: self.roster(need(line.members.as_ref(), "members")?, "members")?,
                epoch: need(line.epoch, "epoch")?,
            },
            wire::Operation::FetchMemberKey => {
                Action::FetchMemberKey { member: self.symbol(need(line.member.as_ref(), "member")?) }
            }
            wire::Operation::Challenge | wire::Operation::Token | wire::Operation::Discovery => {
                return Err(("operation".into(), "is none of a vault".into()));
            }
        })
    }

    fn answer(&mut self, operation: wire::Operation, answer: &AnswerLine<'_>, repo: Symbol) -> Result<Response, Wrong> {
        match answer.status {
            None => {}
            Some(status @ 400..=499) => return Ok(Response::Refused(status)),
            Some(status @ 500..) => return Ok(Response::Broken(status)),
            Some(status) => return Err(("answer.status".into(), format!("{status} is neither 4xx nor 5xx"))),
        }
        let manifest = |reader: &mut Self| {
            let manifest = need(answer.manifest.as_ref(), "answer.manifest")?;
            reader.manifest(manifest, repo, "answer.manifest.members")
        };
        Ok(match operation {
            wire::Operation::CreateRepo | wire::Operation::AddMember | wire::Operation::RemoveMember => {
                Response::Manifest(manifest(self)?)
            }
            wire::Operation::Pull => Response::Pull {
                manifest: manifest(self)?,
                envelope: answer.envelope.as_ref().map(|envelope| self.envelope(envelope, repo)),
                unchanged: need(answer.unchanged, "answer.unchanged")?,
            },
            wire::Operation::Push => Response::Push {
                accepted: need(answer.accepted, "answer.accepted")?,
                version: need(answer.version, "answer.version")?,
                epoch: need(answer.epoch, "answer.epoch")?,
                conflict: need(answer.conflict, "answer.conflict")?,
            },
            wire::Operation::FetchMemberKey => {
                Response::Entry(self.entry(need(answer.entry.as_ref(), "answer.entry")?))
            }
            wire::Operation::Challenge | wire::Operation::Token | wire::Operation::Discovery => {
                return Err(("operation".into(), "is none of a vault".into()));
            }
        })
    }
}

/// A history says nothing about schemes.
fn scheme() -> Symbol {
    Symbol(u32::MAX)
}
