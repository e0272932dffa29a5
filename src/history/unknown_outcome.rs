//! Operations of unknown outcome, and which of them can matter. A write here carries its version and its own ciphertext,
//! so most of them are decided by what others saw: if somebody else made their version, they never took effect. Of the
//! rest, those whose effect nobody could have noticed are left out: whatever order there is with them is one without
//! them.

use std::collections::{HashMap, HashSet};

use super::HistoryOp;
use crate::model::{Action, Entry, Response, Symbol};

/// What is to be done with the operations of unknown outcome.
#[derive(Debug, Default)]
pub(super) struct UnknownOutcomes {
    /// These never took effect, or it makes no difference.
    pub left_out: HashSet<u32>,
    /// These make no difference after a moment (in nanoseconds).
    pub until: Vec<(u64, u32)>,
}

/// What the known operations of a repository tell.
#[derive(Default)]
struct Seen {
    created: bool,
    /// A refusal of a removal may be owed to almost anything.
    removal_refused: bool,
    /// The ciphertexts of versions.
    made: HashMap<i64, Symbol>,
    /// Whether a version has one ciphertext: not so if a manifest and its first envelope disagree.
    unique: bool,
    /// Versions that must have been reached.
    versions: HashSet<i64>,
    /// When an entry was last in an answer.
    entries: HashMap<Entry, u64>,
    /// When a member was last asked about or asking.
    members: HashMap<Symbol, u64>,
}

/// Decides about one repository's operations.
pub(super) fn unknown_outcomes(ops: &[HistoryOp], of_repo: &[u32]) -> UnknownOutcomes {
    let mut decided = UnknownOutcomes::default();
    let op = |index: &u32| &ops[*index as usize];
    let unknown: Vec<u32> = of_repo.iter().copied().filter(|index| op(index).result.is_none()).collect();
    if unknown.is_empty() {
        return decided;
    }
    let mut seen = Seen { unique: true, ..Seen::default() };
    of_repo.iter().for_each(|index| seen.note(op(index)));
    // From the highest version down: a push is needed by those that build on it.
    let mut by_version = unknown;
    by_version.sort_by_key(|index| std::cmp::Reverse(op(index).version_written()));
    for index in by_version {
        match seen.matters(op(&index)) {
            None => drop(decided.left_out.insert(index)),
            Some(u64::MAX) => {}
            Some(until) => decided.until.push((until, index)),
        }
    }
    decided
}

impl Seen {
    fn note(&mut self, op: &HistoryOp) {
        let until = op.result.as_ref().map_or(u64::MAX, |done| done.end);
        if let Some(caller) = op.invocation.caller {
            self.mention(caller, until);
        }
        if let Action::CreateRepo { manifest, envelope } = &op.invocation.action {
            self.unique &= manifest.version == envelope.version;
        }
        // A rotation of unknown outcome may be needed for its roster alone.
        if let Action::Push { expected, rotated: Some(_), .. } = &op.invocation.action {
            self.versions.insert(*expected);
        }
        let Some(answer) = op.answer() else { return };
        self.versions.extend(op.version_seen());
        match (&op.invocation.action, answer) {
            (Action::CreateRepo { .. }, Response::Manifest(_)) => self.created = true,
            (Action::RemoveMember { .. }, Response::Refused(_)) => self.removal_refused = true,
            (Action::Push { envelope, expected, .. }, answer) => {
                self.versions.insert(*expected);
                if matches!(answer, Response::Push { accepted: true, .. }) {
                    self.made.insert(envelope.version, envelope.sealed);
                }
            }
            _ => {}
        }
        match &op.invocation.action {
            Action::AddMember { entry } => self.mention(entry.member, until),
            Action::FetchMemberKey { member } | Action::RemoveMember { removed: member, .. } => {
                self.mention(*member, until);
            }
            Action::CreateRepo { .. } | Action::Pull { .. } | Action::Push { .. } => {}
        }
        self.note_answer(answer, until);
    }

    fn note_answer(&mut self, answer: &Response, until: u64) {
        match answer {
            Response::Manifest(manifest) | Response::Pull { manifest, .. } => {
                for entry in manifest.members.entries() {
                    let last = self.entries.entry(*entry).or_default();
                    *last = until.max(*last);
                }
            }
            Response::Entry(entry) => {
                let last = self.entries.entry(*entry).or_default();
                *last = until.max(*last);
            }
            Response::Push { .. } | Response::Refused(_) | Response::Broken(_) => {}
        }
        if let Response::Pull { envelope: Some(envelope), .. } = answer {
            self.versions.insert(envelope.version);
            self.made.insert(envelope.version, envelope.sealed);
        }
    }

    fn mention(&mut self, member: Symbol, until: u64) {
        let last = self.members.entry(member).or_default();
        *last = until.max(*last);
    }

    /// Until when an operation of unknown outcome can matter; `None`: it can't.
    fn matters(&mut self, op: &HistoryOp) -> Option<u64> {
        match &op.invocation.action {
            Action::Pull { .. } | Action::FetchMemberKey { .. } => None,
            Action::CreateRepo { .. } => (!self.created).then_some(u64::MAX),
            Action::Push { envelope, expected, rotated } => {
                if self.made_by_another(envelope.version, envelope.sealed) {
                    return None;
                }
                let needed = rotated.is_some() || self.removal_refused || self.versions.contains(&envelope.version);
                if needed {
                    self.versions.insert(*expected);
                }
                needed.then_some(u64::MAX)
            }
            Action::RemoveMember { envelope, .. } => {
                (!self.made_by_another(envelope.version, envelope.sealed)).then_some(u64::MAX)
            }
            Action::AddMember { .. } if self.removal_refused => Some(u64::MAX),
            Action::AddMember { entry } => {
                let last = self.entries.get(entry).max(self.members.get(&entry.member));
                last.copied()
            }
        }
    }

    fn made_by_another(&self, version: i64, sealed: Symbol) -> bool {
        self.unique && self.made.get(&version).is_some_and(|made| *made != sealed)
    }
}
