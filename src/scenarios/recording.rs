//! What checks did and were answered, as a history.

use std::collections::HashSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use percent_encoding::percent_decode_str;
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use super::{Call, Operation};
use crate::ground::lock;
use crate::history::{Done, History, HistoryOp};
use crate::model::{self, Response, Symbols};

/// From this size on a recording is long, in bytes.
const LONG: usize = 24 << 20;

/// A recording. Noting is quick; sense is made of the notes afterwards.
#[derive(Debug)]
pub struct Recording {
    began: Instant,
    notes: Mutex<Vec<Note>>,
    /// Bytes of the bodies in it.
    length: AtomicUsize,
}

impl Default for Recording {
    fn default() -> Self {
        Self { began: Instant::now(), notes: Mutex::default(), length: AtomicUsize::new(0) }
    }
}

/// Who asked.
#[derive(Debug)]
pub(super) enum Caller {
    /// Without a token.
    Nobody,
    /// The member of this id.
    Member(String),
    /// With something of which this suite doesn't know whose it is.
    Unclear,
}

/// An operation as it was sent and answered.
#[derive(Debug)]
struct Note {
    operation: Operation,
    path: String,
    caller: Caller,
    body: Option<Bytes>,
    /// Nanoseconds since the beginning.
    start: u64,
    end: u64,
    answer: Option<(u16, Bytes)>,
}

impl Recording {
    /// Notes an operation of the vault; others aren't part of a history.
    pub(super) fn note(
        &self,
        call: &Call<'_>,
        caller: Caller,
        (started, ended): (Instant, Instant),
        answer: Option<(u16, Bytes)>,
    ) {
        let Some(operation) = call.operation.filter(|operation| Operation::VAULT.contains(operation)) else { return };
        let nanos = |moment: Instant| {
            u64::try_from(moment.saturating_duration_since(self.began).as_nanos()).unwrap_or(u64::MAX)
        };
        let note = Note {
            operation,
            path: call.path.clone(),
            caller,
            body: call.body.clone(),
            start: nanos(started),
            end: nanos(ended),
            answer,
        };
        let length = note.body.as_ref().map_or(0, Bytes::len) + note.answer.as_ref().map_or(0, |(_, body)| body.len());
        self.length.fetch_add(length + size_of::<Note>(), Ordering::Relaxed);
        lock(&self.notes).push(note);
    }

    /// Whether it has become so long that whoever need not go on should not.
    pub(super) fn is_long(&self) -> bool {
        self.length.load(Ordering::Relaxed) > LONG
    }

    /// Everything that was noted, as a history. Repositories that were sent something that is no operation of the model
    /// (a token of nobody known, a malformed request) are left out.
    pub fn history(&self) -> History {
        let mut notes = lock(&self.notes);
        notes.sort_by_key(|note| note.start);
        let mut history = History::default();
        let mut unclear = HashSet::new();
        for note in notes.iter() {
            let Some((repo, action)) = read_request(&mut history.symbols, note) else {
                unclear.extend(repo_in_path(&note.path).map(|repo| history.symbols.symbol(&repo)));
                continue;
            };
            let repo = history.symbols.symbol(&repo);
            let caller = match &note.caller {
                Caller::Nobody => None,
                Caller::Member(id) => Some(history.symbols.symbol(id)),
                Caller::Unclear => {
                    unclear.insert(repo);
                    continue;
                }
            };
            let result = known_answer(&mut history.symbols, &action, note).map(|answer| Done { end: note.end, answer });
            let invocation = model::Invocation { caller, action };
            history.ops.push(HistoryOp { client: 0, repo, invocation, start: note.start, result });
        }
        history.ops.retain(|op| !unclear.contains(&op.repo));
        number_clients(&mut history.ops);
        history
    }
}

/// The answer, unless it leaves open what has happened: none, a failure, a rate limit, or a body that can't be read.
fn known_answer(symbols: &mut Symbols, action: &model::Action, note: &Note) -> Option<Response> {
    let (status, body) = note.answer.as_ref().filter(|(status, _)| *status != 429)?;
    let answer = model::read_answer(symbols, action, *status, body).ok()?;
    (!matches!(answer, Response::Broken(_))).then_some(answer)
}

/// Repository and operation of a request.
fn read_request(symbols: &mut Symbols, note: &Note) -> Option<(String, model::Action)> {
    let body = note.body.as_deref().unwrap_or_default();
    Some(match note.operation {
        Operation::CreateRepo => {
            let request: crate::wire::CreateRepoRequest = read(body)?;
            let action = symbols.create(&request);
            (request.manifest.repo_id, action)
        }
        Operation::Pull => {
            let request: crate::wire::PullRequest = read(body)?;
            let action = Symbols::pull(&request);
            (request.repo_id, action)
        }
        Operation::Push => {
            let request: crate::wire::PushRequest = read(body)?;
            let action = symbols.push(&request);
            (request.repo_id, action)
        }
        Operation::AddMember => {
            let request: crate::wire::MemberAddRequest = read(body)?;
            let action = symbols.add(&request);
            (request.repo_id, action)
        }
        Operation::RemoveMember => {
            let request: crate::wire::MemberRemoveRequest = read(body)?;
            let action = symbols.remove(&request);
            (request.repo_id, action)
        }
        Operation::FetchMemberKey => {
            let member = note.path.rsplit('/').next()?;
            let member = percent_decode_str(member).decode_utf8().ok()?;
            (repo_in_path(&note.path)?, symbols.fetch(&member))
        }
        Operation::Challenge | Operation::Token | Operation::Discovery => return None,
    })
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Option<T> {
    serde_json::from_slice(body).ok()
}

/// The repository that a path names.
pub(super) fn repo_in_path(path: &str) -> Option<String> {
    let repo = path.strip_prefix("/v1/repos/")?.split('/').next()?;
    Some(percent_decode_str(repo).decode_utf8().ok()?.into_owned())
}

/// Numbers sequential clients: operations of one caller that overlap get numbers of their own.
fn number_clients(ops: &mut [HistoryOp]) {
    let mut clients: Vec<(Option<model::Symbol>, u64)> = Vec::new();
    for op in ops {
        let free = clients.iter().position(|(caller, until)| *caller == op.invocation.caller && *until < op.start);
        let number = free.unwrap_or_else(|| {
            clients.push((op.invocation.caller, 0));
            clients.len() - 1
        });
        clients[number].1 = op.result.as_ref().map_or(u64::MAX, |done| done.end);
        op.client = u32::try_from(number).unwrap_or(u32::MAX);
    }
}
