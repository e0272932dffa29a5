//! Writing.

use std::borrow::Cow;
use std::io::{self, Write};

use sha2::{Digest, Sha256};

use super::{
    AnswerLine, EntryLine, EnvelopeLine, FORMAT, Header, HistoryError, ManifestLine, Members, OpLine, Text, VERSION,
};
use crate::codec::base64;
use crate::history::{History, HistoryOp};
use crate::model::{Action, Entry, Envelope, Manifest, Response, Roster, Symbol, Symbols};
use crate::wire;

/// Writes a history; `name` is what errors call it.
///
/// # Errors
/// [`HistoryError::Write`].
pub fn write(name: &str, history: &History, mut to: impl Write) -> Result<(), HistoryError> {
    let mut all = || -> io::Result<()> {
        serde_json::to_writer(&mut to, &Header { format: FORMAT.into(), version: VERSION })?;
        for op in &history.ops {
            to.write_all(b"\n")?;
            serde_json::to_writer(&mut to, &Writer { symbols: &history.symbols, repo: op.repo }.op(op))?;
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
    symbols: &'h Symbols,
    repo: Symbol,
}

impl<'h> Writer<'h> {
    fn text(&self, symbol: Symbol) -> Text<'h> {
        Text(Cow::Borrowed(self.symbols.text(symbol)))
    }

    fn other_repo(&self, repo: Symbol) -> Option<Text<'h>> {
        (repo != self.repo).then(|| self.text(repo))
    }

    fn entry(&self, entry: &Entry) -> EntryLine<'h> {
        // Read from a history, the stamp stands for all keys already.
        let stamp = match entry.x25519 == entry.member {
            true => self.text(entry.rest),
            false => digest(&[self.symbols.text(entry.x25519), self.symbols.text(entry.rest)]),
        };
        EntryLine(self.text(entry.member), entry.epoch, stamp)
    }

    fn roster(&self, roster: &Roster) -> Members<'h> {
        let mut entries: Vec<_> = roster.entries().iter().map(|entry| self.entry(entry)).collect();
        // The order of symbols is that of their first appearance; a file should not depend on it.
        entries.sort_by(|one, other| one.0.0.cmp(&other.0.0));
        Members::Written(entries)
    }

    fn manifest(&self, manifest: &Manifest) -> ManifestLine<'h> {
        let (members, repo) = (self.roster(&manifest.members), self.other_repo(manifest.repo));
        ManifestLine { version: manifest.version, epoch: manifest.epoch, members, repo }
    }

    fn envelope(&self, envelope: &Envelope) -> EnvelopeLine<'h> {
        let sealed = self.symbols.text(envelope.sealed);
        let stamp = if sealed.len() <= LONGEST_STAMP { self.text(envelope.sealed) } else { digest(&[sealed]) };
        let repo = self.other_repo(envelope.repo);
        EnvelopeLine { version: envelope.version, epoch: envelope.epoch, stamp, repo }
    }

    fn op(&self, op: &HistoryOp) -> OpLine<'h> {
        let mut line = OpLine {
            client: op.client,
            repo: self.text(op.repo),
            caller: op.invocation.caller.map(|caller| self.text(caller)),
            operation: wire::Operation::Pull,
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
        match &op.invocation.action {
            Action::CreateRepo { manifest, envelope } => {
                line.operation = wire::Operation::CreateRepo;
                (line.manifest, line.envelope) = (Some(self.manifest(manifest)), Some(self.envelope(envelope)));
            }
            Action::Pull { known } => line.known = Some(*known),
            Action::Push { envelope, expected, rotated } => {
                line.operation = wire::Operation::Push;
                (line.envelope, line.expected) = (Some(self.envelope(envelope)), Some(*expected));
                line.members = rotated.as_ref().map(|members| self.roster(members));
            }
            Action::AddMember { entry } => {
                (line.operation, line.entry) = (wire::Operation::AddMember, Some(self.entry(entry)));
            }
            Action::RemoveMember { removed, envelope, members, epoch } => {
                (line.operation, line.member) = (wire::Operation::RemoveMember, Some(self.text(*removed)));
                (line.envelope, line.members) = (Some(self.envelope(envelope)), Some(self.roster(members)));
                line.epoch = Some(*epoch);
            }
            Action::FetchMemberKey { member } => {
                (line.operation, line.member) = (wire::Operation::FetchMemberKey, Some(self.text(*member)));
            }
        }
        line
    }

    fn answer(&self, answer: &Response) -> AnswerLine<'h> {
        let empty = AnswerLine::default();
        match answer {
            Response::Manifest(manifest) => AnswerLine { manifest: Some(self.manifest(manifest)), ..empty },
            Response::Pull { manifest, envelope, unchanged } => AnswerLine {
                manifest: Some(self.manifest(manifest)),
                envelope: envelope.map(|envelope| self.envelope(&envelope)),
                unchanged: Some(*unchanged),
                ..empty
            },
            Response::Push { accepted, version, epoch, conflict } => AnswerLine {
                accepted: Some(*accepted),
                version: Some(*version),
                epoch: Some(*epoch),
                conflict: Some(*conflict),
                ..empty
            },
            Response::Entry(entry) => AnswerLine { entry: Some(self.entry(entry)), ..empty },
            Response::Refused(status) | Response::Broken(status) => AnswerLine { status: Some(*status), ..empty },
        }
    }
}
