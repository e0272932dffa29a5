//! Additions of unknown outcome. They have no version that would limit when they may take effect, so there may be many
//! of them; but each matters only when something under way needs the member or the entry that it brings. At any other
//! moment it may as well take effect later: whatever happens in between leaves the same state either way.

use std::collections::{BTreeSet, HashMap};

use super::HistoryOp;
use super::configuration::Configuration;
use crate::model::{Action, Response, Roster, Symbol};

/// Additions of unknown outcome that have begun, by the member that they bring.
#[derive(Default)]
pub(super) struct PendingAdditions {
    by_member: HashMap<Symbol, Vec<u32>>,
}

/// Whom an operation adds, if its outcome is unknown.
pub(super) fn brings(op: &HistoryOp) -> Option<Symbol> {
    match &op.invocation.action {
        Action::AddMember { entry } if op.result.is_none() => Some(entry.member),
        _ => None,
    }
}

impl PendingAdditions {
    pub(super) fn insert(&mut self, member: Symbol, index: u32) {
        self.by_member.entry(member).or_default().push(index);
    }

    pub(super) fn remove(&mut self, member: Symbol, index: u32) {
        if let Some(list) = self.by_member.get_mut(&member) {
            list.retain(|other| *other != index);
            if list.is_empty() {
                self.by_member.remove(&member);
            }
        }
    }

    /// Those that something under way in this configuration may need to have taken effect.
    pub(super) fn wanted(&self, ops: &[HistoryOp], configuration: &Configuration) -> BTreeSet<u32> {
        let mut wanted = BTreeSet::new();
        let Some(state) = configuration.state.as_ref().filter(|_| !self.by_member.is_empty()) else { return wanted };
        let roster = &state.manifest.members;
        let mut absent: Vec<Symbol> = Vec::new();
        for index in &configuration.pending {
            let op = &ops[*index as usize];
            // An answer that shows the roster shows the caller's entry as well: only the very one will do.
            if !shows_caller(op) {
                absent.extend(op.invocation.caller.filter(|caller| !roster.has(*caller)));
            }
            match (&op.invocation.action, op.answer()) {
                (Action::AddMember { entry }, Some(Response::Refused(_))) if !roster.has(entry.member) => {
                    absent.push(entry.member);
                }
                // Its refusal may be owed to whoever else is a member.
                (Action::RemoveMember { .. }, Some(Response::Refused(_))) => {
                    absent.extend(self.by_member.keys().filter(|member| !roster.has(**member)));
                }
                (_, Some(Response::Entry(entry))) => self.bringing(ops, entry.member, *index, op, &mut wanted),
                (_, Some(Response::Manifest(manifest) | Response::Pull { manifest, .. }))
                    if manifest.version == state.manifest.version =>
                {
                    for member in strangers(&manifest.members, roster) {
                        self.bringing(ops, member, *index, op, &mut wanted);
                    }
                }
                _ => {}
            }
        }
        self.close(ops, roster, absent, &mut wanted);
        wanted.retain(|index| !configuration.spent.contains(index));
        wanted
    }

    /// Additions that bring a member with the very entry that an answer shows.
    fn bringing(&self, ops: &[HistoryOp], member: Symbol, seen_by: u32, seen: &HistoryOp, wanted: &mut BTreeSet<u32>) {
        let shown = match seen.answer() {
            Some(Response::Entry(entry)) => Some(*entry),
            Some(Response::Manifest(manifest) | Response::Pull { manifest, .. }) => {
                manifest.members.get(member).copied()
            }
            _ => None,
        };
        for index in self.by_member.get(&member).into_iter().flatten().filter(|index| **index != seen_by) {
            if let Action::AddMember { entry } = &ops[*index as usize].invocation.action
                && shown == Some(*entry)
            {
                wanted.insert(*index);
            }
        }
    }

    /// Whoever must be a member may have been brought in by somebody who must be one too.
    fn close(&self, ops: &[HistoryOp], roster: &Roster, mut absent: Vec<Symbol>, wanted: &mut BTreeSet<u32>) {
        let caller = |index: u32| ops[index as usize].invocation.caller;
        absent.extend(wanted.iter().filter_map(|index| caller(*index)).filter(|caller| !roster.has(*caller)));
        let mut done: Vec<Symbol> = Vec::new();
        while let Some(member) = absent.pop() {
            if done.contains(&member) {
                continue;
            }
            done.push(member);
            for index in self.by_member.get(&member).into_iter().flatten() {
                wanted.insert(*index);
                absent.extend(caller(*index).filter(|caller| !roster.has(*caller)));
            }
        }
    }
}

/// Whether an answer shows the entry by which the caller was a member.
fn shows_caller(op: &HistoryOp) -> bool {
    match (&op.invocation.action, op.answer()) {
        (_, Some(Response::Pull { .. })) => true,
        (Action::AddMember { entry }, Some(Response::Manifest(_))) => op.invocation.caller != Some(entry.member),
        _ => false,
    }
}

/// Members of a roster who aren't in another one with the same entry.
fn strangers<'a>(shown: &'a Roster, held: &'a Roster) -> impl Iterator<Item = Symbol> {
    let entries = if shown == held { &[] } else { shown.entries() };
    entries.iter().filter(|entry| held.get(entry.member) != Some(entry)).map(|entry| entry.member)
}
