//! The search. At every moment a repository may be in one of several configurations: a state, and the operations that
//! are under way and haven't taken effect in it. Only an end decides anything: when an operation's answer is there, it
//! must have taken effect, so each configuration is replaced by all the configurations in which operations under way
//! have taken effect, one after the other, until that one has (Lowe's just-in-time linearization). No configuration
//! left means that there is no order.
//!
//! That is exact, and as every write here carries its version, there is nearly always exactly one configuration:
//! - a read that the current state answers takes effect at once: it changes nothing, so nothing is lost by it;
//! - a write to a version doesn't go before a known write that was made at a lower one, since versions only rise;
//! - a configuration that another one turns into when operations of unknown outcome take effect right now needs no
//!   keeping.

use std::collections::HashSet;

use super::HistoryOp;
use super::configuration::Configuration;
use super::pending_additions::{PendingAdditions, brings};
use crate::model::{self, Action, Response, State};

/// How many configurations are followed at once, and how many steps one answer may take, before the search gives up.
pub(super) const LIMIT: usize = 50_000;

/// The search needs more than it may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct GaveUp;

/// All the configurations of one repository at a moment.
pub(super) struct Configurations<'h> {
    ops: &'h [HistoryOp],
    /// Never empty, unless there is no order.
    pub configurations: Vec<Configuration>,
    additions: PendingAdditions,
    limit: usize,
}

impl<'h> Configurations<'h> {
    /// One configuration, before anything has happened or at a moment of which everything is known.
    pub fn new(ops: &'h [HistoryOp], configuration: Configuration, limit: usize) -> Self {
        Self { ops, configurations: vec![configuration], additions: PendingAdditions::default(), limit }
    }

    fn op(&self, index: u32) -> &'h HistoryOp {
        &self.ops[index as usize]
    }

    /// An operation begins.
    pub fn start(&mut self, index: u32) {
        let op = self.op(index);
        if let Some(member) = brings(op) {
            return self.additions.insert(member, index);
        }
        for configuration in &mut self.configurations {
            if !(op.is_read() && takes_effect_now(op, configuration.state.as_ref())) {
                configuration.pending.push(index);
            }
        }
    }

    /// An addition of unknown outcome can make no difference any more.
    pub fn forget(&mut self, index: u32) {
        if let Some(member) = brings(self.op(index)) {
            self.additions.remove(member, index);
        }
        for configuration in &mut self.configurations {
            configuration.spent.retain(|spent| *spent != index);
        }
        self.unite();
    }

    /// An answer is there: its operation has taken effect in every configuration that is left. Every state that was tried on the
    /// way is shown to `visit`.
    ///
    /// # Errors
    /// [`GaveUp`]: too many configurations.
    pub fn end(&mut self, index: u32, visit: &mut dyn FnMut(&Configuration)) -> Result<(), GaveUp> {
        if self.configurations.iter().all(|configuration| !configuration.pending.contains(&index)) {
            return Ok(());
        }
        let mut next = Vec::with_capacity(self.configurations.len());
        for configuration in std::mem::take(&mut self.configurations) {
            self.expand(configuration, index, &mut next, visit)?;
        }
        self.configurations = next;
        self.unite();
        Ok(())
    }

    /// Every configuration in which operations under way have taken effect until `goal` has.
    fn expand(
        &self,
        configuration: Configuration,
        goal: u32,
        found: &mut Vec<Configuration>,
        visit: &mut dyn FnMut(&Configuration),
    ) -> Result<(), GaveUp> {
        let mut open = vec![configuration];
        let mut seen: HashSet<(Option<State>, Vec<u32>, Vec<u32>)> = HashSet::new();
        let mut steps = 0;
        while let Some(mut configuration) = open.pop() {
            self.read(&mut configuration);
            if !configuration.pending.contains(&goal) {
                let state = configuration.state.as_ref();
                configuration.pending.retain(|index| !is_dead(self.op(*index), state));
                found.push(configuration);
                continue;
            }
            visit(&configuration);
            steps += 1;
            if steps > self.limit || found.len() > self.limit {
                return Err(GaveUp);
            }
            let before = open.len();
            self.writes(&configuration, &mut open);
            // Where there is a choice, ways may meet again.
            if open.len() > before + 1 || !seen.is_empty() {
                let mut kept = open.split_off(before);
                kept.retain(|next| seen.insert((next.state.clone(), next.pending.clone(), next.spent.clone())));
                open.append(&mut kept);
            }
        }
        Ok(())
    }

    /// Reads under way that the state answers take effect.
    fn read(&self, configuration: &mut Configuration) {
        let state = configuration.state.as_ref();
        configuration.pending.retain(|index| {
            let op = self.op(*index);
            !(op.is_read() && op.result.is_some() && takes_effect_now(op, state))
        });
    }

    /// The configurations in which one write under way has taken effect next.
    fn writes(&self, configuration: &Configuration, next: &mut Vec<Configuration>) {
        let lowest = self.lowest_pending(configuration);
        let blocked = |index: u32, version: i64| lowest.iter().flatten().any(|(at, by)| *by != index && version > *at);
        let additions = self.additions.wanted(self.ops, configuration);
        let writes = configuration.pending.iter().filter(|index| !self.op(**index).is_read());
        for index in writes.chain(&additions).copied() {
            effects(self.op(index), configuration.state.as_ref(), &mut |state| {
                if state.as_ref().is_none_or(|state| !blocked(index, state.manifest.version)) {
                    next.push(configuration.after(index, state));
                }
            });
        }
    }

    /// The two lowest versions at which known writes under way must take effect, with these writes. No other write may
    /// take the repository above such a version first.
    fn lowest_pending(&self, configuration: &Configuration) -> [Option<(i64, u32)>; 2] {
        let mut lowest = [None; 2];
        for index in configuration.pending.iter().copied() {
            let Some(version) = latest_version(self.op(index)) else { continue };
            let new = Some((version, index));
            let less = |old: Option<(i64, u32)>| old.is_none_or(|(old, _)| version < old);
            if less(lowest[0]) {
                lowest = [new, lowest[0]];
            } else if less(lowest[1]) {
                lowest[1] = new;
            }
        }
        lowest
    }

    /// Removes configurations that others make superfluous.
    fn unite(&mut self) {
        if self.configurations.len() > 1 {
            let mut kept: Vec<Configuration> = Vec::with_capacity(self.configurations.len());
            // Those in which the fewest unknown outcomes have taken effect come first: they can turn into the others.
            self.configurations.sort_by_key(|configuration| (configuration.spent.len(), configuration.pending.len()));
            for configuration in std::mem::take(&mut self.configurations) {
                if !kept.iter().any(|other| other.same(&configuration) || self.turns_into(other, &configuration)) {
                    kept.push(configuration);
                }
            }
            self.configurations = kept;
        }
        if let [only] = self.configurations.as_mut_slice() {
            for index in std::mem::take(&mut only.spent) {
                if let Some(member) = brings(&self.ops[index as usize]) {
                    self.additions.remove(member, index);
                }
            }
        }
    }

    /// Whether whatever can follow on one configuration can follow on another: that one is reached when operations of unknown
    /// outcome take effect now, or are left out, and reads that are still to come there are done here.
    fn turns_into(&self, from: &Configuration, to: &Configuration) -> bool {
        let without = |one: &[u32], other: &[u32]| -> Vec<u32> {
            one.iter().copied().filter(|index| !other.contains(index)).collect()
        };
        let still_to_come = without(&to.pending, &from.pending);
        let left_out = without(&from.pending, &to.pending);
        if !still_to_come.iter().all(|index| self.op(*index).is_read())
            || left_out.iter().any(|index| self.op(*index).result.is_some())
            || !without(&from.spent, &to.spent).is_empty()
        {
            return false;
        }
        let additions = without(&to.spent, &from.spent);
        from.state == to.state || self.reaches(from.state.as_ref(), &additions, to.state.as_ref())
    }

    /// Whether some of these additions lead from one state to another. Other writes aren't tried: keeping a superfluous
    /// configuration costs little.
    fn reaches(&self, from: Option<&State>, additions: &[u32], to: Option<&State>) -> bool {
        let (Some(from), Some(to)) = (from, to) else { return false };
        let mut state = from.clone();
        loop {
            let members = &state.manifest.members;
            let helpful = additions.iter().find_map(|index| {
                let invocation = &self.op(*index).invocation;
                let Action::AddMember { entry } = &invocation.action else { return None };
                let due = to.manifest.members.get(entry.member) == Some(entry);
                let added = due && members.get(entry.member) != Some(entry);
                (added && members.has(invocation.caller?)).then(|| members.with(*entry))
            });
            match helpful {
                Some(members) => state.manifest.members = members,
                None => return state == *to,
            }
        }
    }
}

/// Whether a read can take effect in this state.
fn takes_effect_now(op: &HistoryOp, state: Option<&State>) -> bool {
    let Some(answer) = op.answer() else { return false };
    let version = state.map(|state| state.manifest.version);
    if op.version_seen().is_some_and(|seen| version != Some(seen)) {
        return false;
    }
    model::transition(state, &op.invocation, answer).is_some()
}

/// The states that a write may leave: `None` is the one that was there. An unknown outcome is only interesting if it
/// changes something; a request that contradicts what it meets is taken for refused then.
fn effects(op: &HistoryOp, state: Option<&State>, each: &mut dyn FnMut(Option<State>)) {
    match op.answer() {
        Some(answer) => {
            if let Some(transition) = model::transition(state, &op.invocation, answer) {
                each(transition.next);
            }
        }
        None => {
            for alternative in model::allowed(state, &op.invocation).alternatives {
                if alternative.settled && alternative.next.is_some() {
                    each(alternative.next);
                }
            }
        }
    }
}

/// The highest version at which a known write may take effect.
fn latest_version(op: &HistoryOp) -> Option<i64> {
    match (&op.invocation.action, op.answer()?) {
        (Action::Push { expected, .. }, Response::Push { accepted: true, .. }) => Some(*expected),
        (Action::AddMember { .. } | Action::RemoveMember { .. }, Response::Manifest(manifest)) => {
            Some(manifest.version)
        }
        _ => None,
    }
}

/// Whether an operation of unknown outcome can't take effect any more, as versions only rise.
fn is_dead(op: &HistoryOp, state: Option<&State>) -> bool {
    let (None, Some(state)) = (&op.result, state) else { return false };
    match &op.invocation.action {
        Action::CreateRepo { .. } => true,
        Action::Push { expected, .. } => *expected < state.manifest.version,
        Action::RemoveMember { envelope, .. } => envelope.version <= state.manifest.version,
        Action::Pull { .. } | Action::AddMember { .. } | Action::FetchMemberKey { .. } => false,
    }
}
