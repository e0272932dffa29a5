//! The shortest part of a history that shows that there is no order.
//!
//! The search stops at an answer that no configuration explains. Before that operation began there was (nearly always)
//! exactly one configuration, so the part starts there, from a state that everything earlier forces. Of what follows,
//! operations go one by one as long as there is still no order: a read is left out; a write loses its answer and its
//! end, so that it may have taken effect or not. Both can only make an order more likely, so what is left has none, and
//! neither has the whole.

use std::collections::HashSet;

use super::configuration::Configuration;
use super::configurations::{Configurations, LIMIT};
use super::events::{Event, Happening, events, follow};
use super::pending_additions::brings;
use super::{History, HistoryOp};
use crate::model::{self, Action, Response, State, Symbol};
use crate::requirements::Requirement;

/// How much search one attempt to shorten a part is worth.
const ATTEMPT: usize = 2_000;
/// How many moments are explained.
const EXPLANATIONS: usize = 4;
/// How many writes are shown besides those that contradict each other.
const RELATED: usize = 6;

/// Operations (by their index in the history) that no order explains.
#[derive(Debug)]
pub struct Counterexample {
    /// The repository.
    pub repo: Symbol,
    /// What it holds before them; `None` if it doesn't exist yet.
    pub before: Option<State>,
    /// The write that made that state.
    pub maker: Option<u32>,
    /// The operations whose answers contradict each other, in the order of their starts.
    pub operations: Vec<u32>,
    /// Writes whose traces are in these answers, or should be, though it doesn't matter what they were answered.
    pub related: Vec<u32>,
    /// The one whose answer was the last straw; one of `operations`.
    pub stuck: u32,
    /// Why that answer doesn't fit, for each state that the repository may have been in.
    pub explanations: Vec<Explanation>,
}

/// Why an answer doesn't fit a state.
#[derive(Debug)]
pub struct Explanation {
    /// The state.
    pub state: Option<State>,
    /// The write that made it.
    pub maker: Option<u32>,
    /// The rule that the answer would break then; `None` if it fits, and others don't.
    pub rule: Option<&'static Requirement>,
    /// What would have been allowed.
    pub allowed: String,
    /// What is different.
    pub observed: String,
}

/// What is left of an operation while the part is being shortened.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kept {
    Whole,
    /// As if no answer had come.
    UnknownOutcome,
    Gone,
}

impl Counterexample {
    /// The shortest part of these events; the last one is the end that no configuration explains.
    pub(super) fn find(history: &History, happened: &[Event]) -> Self {
        let stuck = happened.last().map_or(0, |event| event.2);
        let (snapshot, from) = last_certain(&history.ops, happened, stuck);
        let mut window = snapshot.pending.clone();
        window.extend(unknown_additions(&history.ops, &happened[..from]));
        window.extend(happened[from..].iter().filter(|event| event.1 == Happening::Start).map(|event| event.2));
        let mut part = Part { ops: &history.ops, before: &snapshot, stuck, window, kept: Vec::new() };
        part.kept = part.window.iter().map(|index| part.at_first(*index)).collect();
        part.shorten();
        let chosen = |kept| {
            let pairs = part.window.iter().zip(&part.kept);
            pairs.filter(move |(_, mode)| **mode == kept).map(|(index, _)| *index)
        };
        let operations: Vec<u32> = chosen(Kept::Whole).collect();
        let unknown: Vec<u32> = chosen(Kept::UnknownOutcome).collect();
        let explanations = part.explain(history);
        let begun = happened.iter().filter(|event| event.1 == Happening::Start).map(|event| event.2);
        let begun: Vec<u32> = begun.filter(|index| !operations.contains(index)).collect();
        Self {
            repo: history.ops[stuck as usize].repo,
            related: related(&history.ops, &operations, &unknown, &begun, &explanations),
            operations,
            stuck,
            explanations,
            before: snapshot.state,
            maker: snapshot.maker,
        }
    }

    /// The operations to show, in the order of their starts: the maker of the state, those that contradict each other, those
    /// related to them, and those that made the states which the explanations speak of.
    pub fn shown(&self, history: &History) -> Vec<u32> {
        let told = self.explanations.iter().filter_map(|explanation| explanation.maker);
        let contradicting = self.maker.iter().chain(&self.operations).chain(&self.related).copied();
        let mut shown: Vec<u32> = contradicting.chain(told).collect();
        shown.sort_unstable_by_key(|index| (history.ops[*index as usize].start, *index));
        shown.dedup();
        shown
    }
}

/// The last single configuration before an operation began, and the position of the first event after it.
fn last_certain(ops: &[HistoryOp], happened: &[Event], stuck: u32) -> (Configuration, usize) {
    let mut certain = (Configuration::nothing(), 0);
    let mut begun = false;
    let mut configurations = Configurations::new(ops, Configuration::nothing(), LIMIT);
    let mut look = |at: usize, configurations: &Configurations<'_>| {
        if let ([only], false) = (configurations.configurations.as_slice(), begun) {
            certain = (only.clone(), at);
        }
        begun |= happened[at].1 == Happening::Start && happened[at].2 == stuck;
    };
    // It gets stuck, as it did before; what counts is what was seen on the way.
    let _ = follow(&mut configurations, happened, &mut look);
    certain
}

/// Additions of unknown outcome that have begun: they may take effect later, or have done so (then nothing comes of
/// their doing it again).
fn unknown_additions(ops: &[HistoryOp], happened: &[Event]) -> Vec<u32> {
    let begun = happened.iter().filter(|event| event.1 == Happening::Start).map(|event| event.2);
    let additions = begun.filter(|index| brings(&ops[*index as usize]).is_some());
    let forgotten: HashSet<u32> =
        happened.iter().filter(|event| event.1 == Happening::Forget).map(|event| event.2).collect();
    additions.filter(|index| !forgotten.contains(index)).collect()
}

/// A part that is being shortened.
struct Part<'h> {
    ops: &'h [HistoryOp],
    before: &'h Configuration,
    stuck: u32,
    window: Vec<u32>,
    kept: Vec<Kept>,
}

impl Part<'_> {
    fn at_first(&self, index: u32) -> Kept {
        if self.ops[index as usize].result.is_some() { Kept::Whole } else { Kept::UnknownOutcome }
    }

    /// What an operation becomes when it matters less.
    fn less(&self, at: usize) -> Kept {
        let index = self.window[at];
        match self.kept[at] {
            Kept::Whole if index == self.stuck => Kept::Whole,
            Kept::Whole if self.ops[index as usize].is_read() => Kept::Gone,
            Kept::Whole => Kept::UnknownOutcome,
            kept => kept,
        }
    }

    /// Takes away as much as possible, in ever smaller pieces.
    fn shorten(&mut self) {
        let mut piece = self.window.len().max(1);
        loop {
            let mut changed = false;
            for from in (0..self.window.len()).step_by(piece) {
                let old = self.kept.clone();
                for at in from..self.window.len().min(from + piece) {
                    self.kept[at] = self.less(at);
                }
                if self.kept != old {
                    if self.has_no_order() {
                        changed = true;
                    } else {
                        self.kept = old;
                    }
                }
            }
            if piece > 1 {
                piece = piece.div_ceil(2);
            } else if !changed {
                return;
            }
        }
    }

    /// The operations as they are left, with their indices in the history.
    fn rest(&self) -> (Vec<HistoryOp>, Vec<u32>) {
        let left = self.window.iter().zip(&self.kept).filter(|(_, kept)| **kept != Kept::Gone);
        left.map(|(index, kept)| {
            let op = &self.ops[*index as usize];
            let result = op.result.clone().filter(|_| *kept == Kept::Whole);
            (HistoryOp { result, ..op.clone() }, *index)
        })
        .unzip()
    }

    fn has_no_order(&self) -> bool {
        let (ops, _) = self.rest();
        let all: Vec<u32> = (0_u32..).take(ops.len()).collect();
        let mut configurations = Configurations::new(&ops, self.start(), ATTEMPT);
        matches!(follow(&mut configurations, &events(&ops, &all), &mut |_, _| {}), Err(stuck) if stuck.reason.is_none())
    }

    fn start(&self) -> Configuration {
        Configuration { pending: Vec::new(), spent: Vec::new(), ..self.before.clone() }
    }

    /// Goes through what is left once more, and says for each state why the last answer doesn't fit.
    fn explain(&self, history: &History) -> Vec<Explanation> {
        let (ops, indices) = self.rest();
        let all: Vec<u32> = (0_u32..).take(ops.len()).collect();
        let happened = events(&ops, &all);
        let mut configurations = Configurations::new(&ops, self.start(), LIMIT);
        let mut last = None;
        let stuck = follow(&mut configurations, &happened, &mut |_, configurations| {
            last = Some(configurations.configurations.clone())
        });
        let (Err(stuck), Some(configurations)) = (stuck, last) else { return Vec::new() };
        let goal = happened[stuck.at].2;
        let op = &ops[goal as usize];
        let mut explanations: Vec<Explanation> = Vec::new();
        let mut visit = |configuration: &Configuration| {
            let known = explanations.iter().any(|explanation| explanation.state == configuration.state);
            if known || explanations.len() == EXPLANATIONS {
                return;
            }
            let maker = configuration.maker.map(|maker| indices.get(maker as usize).copied().unwrap_or(maker));
            let maker = if configuration.state == self.before.state { self.before.maker } else { maker };
            explanations.push(explanation(history, op, configuration.state.clone(), maker));
        };
        for configuration in configurations {
            let mut again = Configurations::new(&ops, configuration, ATTEMPT);
            // It finds nothing, as before.
            let _ = again.end(goal, &mut visit);
        }
        explanations
    }
}

fn explanation(history: &History, op: &HistoryOp, state: Option<State>, maker: Option<u32>) -> Explanation {
    let mismatch = op.answer().and_then(|answer| model::judge(state.as_ref(), &op.invocation, answer).err());
    let (allowed, observed) = mismatch.as_ref().map(|mismatch| mismatch.explain(&history.symbols)).unwrap_or_default();
    Explanation { state, maker, rule: mismatch.map(|mismatch| mismatch.rule), allowed, observed }
}

/// Writes that tell more about the contradiction: of the part itself, those whose traces are in the answers; of
/// everything before, those that brought what an answer lacks or has too much.
fn related(
    ops: &[HistoryOp],
    operations: &[u32],
    unknown: &[u32],
    begun: &[u32],
    explanations: &[Explanation],
) -> Vec<u32> {
    let answers = || operations.iter().filter_map(|index| ops[*index as usize].answer());
    let shown: HashSet<Symbol> = answers().flat_map(traces).collect();
    let versions: HashSet<i64> = operations.iter().filter_map(|index| ops[*index as usize].version_seen()).collect();
    // Only what should be the same version can be compared.
    let states = explanations.iter().filter_map(|explanation| explanation.state.as_ref());
    let held: HashSet<Symbol> = states
        .filter(|state| versions.contains(&state.manifest.version))
        .flat_map(|state| {
            state.manifest.members.entries().iter().map(|entry| entry.rest).chain([state.envelope.sealed])
        })
        .collect();
    let different: HashSet<Symbol> = if held.is_empty() || shown.is_empty() {
        HashSet::new()
    } else {
        held.symmetric_difference(&shown).copied().collect()
    };
    let brings =
        |index: &u32, symbols: &HashSet<Symbol>| written(&ops[*index as usize]).any(|symbol| symbols.contains(&symbol));
    let before = begun.iter().filter(|index| brings(index, &different));
    let mut related: Vec<u32> = unknown.iter().filter(|index| brings(index, &shown)).chain(before).copied().collect();
    related.sort_unstable();
    related.dedup();
    related.truncate(RELATED);
    related
}

/// The symbols in an answer that tell where they come from.
fn traces(answer: &Response) -> Vec<Symbol> {
    match answer {
        Response::Pull { manifest, envelope, .. } => {
            let sealed = envelope.map(|envelope| envelope.sealed);
            manifest.members.entries().iter().map(|entry| entry.rest).chain(sealed).collect()
        }
        Response::Manifest(manifest) => manifest.members.entries().iter().map(|entry| entry.rest).collect(),
        Response::Entry(entry) => vec![entry.rest],
        Response::Push { .. } | Response::Refused(_) | Response::Broken(_) => Vec::new(),
    }
}

/// The symbols that a write brings.
fn written(op: &HistoryOp) -> impl Iterator<Item = Symbol> {
    let (sealed, members, entry) = match &op.invocation.action {
        Action::CreateRepo { manifest, envelope } => (Some(envelope.sealed), Some(&manifest.members), None),
        Action::Push { envelope, rotated, .. } => (Some(envelope.sealed), rotated.as_ref(), None),
        Action::RemoveMember { envelope, members, .. } => (Some(envelope.sealed), Some(members), None),
        Action::AddMember { entry } => (None, None, Some(entry.rest)),
        Action::Pull { .. } | Action::FetchMemberKey { .. } => (None, None, None),
    };
    let members: Vec<Symbol> =
        members.into_iter().flat_map(|members| members.entries().iter().map(|entry| entry.rest)).collect();
    sealed.into_iter().chain(entry).chain(members)
}
