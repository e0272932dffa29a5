//! Histories: their files, and the verdict on them beside that of trying every order.

use super::structured::Structured;
use crate::history::{self, Done, History, HistoryOp, Linearizability};
use crate::model::{
    self, Action, Entry, Envelope, Expected, Invocation, Manifest, Response, Roster, State, Symbol, Symbols,
};

/// More operations than this have too many orders to try them all.
const FEW: usize = 7;

/// A history file that reads is written as one that reads as the same.
pub fn history(data: &[u8]) {
    if let Ok(read) = history::read("input", data) {
        let text = written(&read);
        let again = history::read("what was written", text.as_bytes());
        assert_eq!(again.ok().map(|again| (again.ops.len(), written(&again))), Some((read.ops.len(), text)));
    }
}

/// The verdict on a history is that of trying every order: on one that reads, or else on one that is drawn from the bytes.
pub fn linearizability(data: &[u8]) {
    match history::read("input", data) {
        Ok(read) => verdict(&read),
        Err(_) => verdict(&drawn(data)),
    }
}

/// What happened at a store that does everything right, with something spoilt or not.
pub(crate) fn drawn(data: &[u8]) -> History {
    let mut input = Structured::new(data);
    let mut history = small(&mut input);
    assert!(is_linearizable(&history), "what happened has an order: {:#?}", history.ops);
    for _ in 0..input.below(6) {
        spoil(&mut history, &mut input);
    }
    history
}

fn written(history: &History) -> String {
    let mut text = Vec::new();
    history::write("memory", history, &mut text).expect("memory can be written");
    String::from_utf8(text).expect("JSON is UTF-8")
}

/// Holds the verdict on a short history to that of trying everything.
fn verdict(history: &History) {
    if history.ops.len() > FEW {
        return;
    }
    assert_eq!(is_linearizable(history), has_an_order(history), "{:#?}", history.ops);
    if let Linearizability::NotLinearizable(counterexample) = history::check(history) {
        assert!(counterexample.operations.contains(&counterexample.stuck));
        assert!(!counterexample.explanations.is_empty());
        // What is said to be the shortest part has no order either, from its state on.
        let part: Vec<HistoryOp> =
            counterexample.operations.iter().map(|index| history.ops[*index as usize].clone()).collect();
        let mut left = (0..part.len()).collect();
        assert!(
            !has_order(&part, counterexample.before.as_ref(), &mut left),
            "{counterexample:#?}\n{:#?}",
            history.ops
        );
    }
}

/// The verdict; a small history is never undecided.
pub(crate) fn is_linearizable(history: &History) -> bool {
    match history::check(history) {
        Linearizability::Linearizable { .. } => true,
        Linearizability::NotLinearizable(_) => false,
        Linearizability::Undecided { .. } => panic!("undecided: {:#?}", history.ops),
    }
}

/// Whether the operations on every repository have an order.
pub(crate) fn has_an_order(history: &History) -> bool {
    history.ops.iter().all(|op| {
        let mut of_repo = (0..history.ops.len()).filter(|other| history.ops[*other].repo == op.repo).collect();
        has_order(&history.ops, None, &mut of_repo)
    })
}

/// Tries every order, without any idea.
fn has_order(ops: &[HistoryOp], state: Option<&State>, left: &mut Vec<usize>) -> bool {
    if left.iter().all(|index| ops[*index].result.is_none()) {
        return true;
    }
    for at in 0..left.len() {
        let op = &ops[left[at]];
        let too_late = left.iter().any(|other| ops[*other].result.as_ref().is_some_and(|done| done.end < op.start));
        if too_late {
            continue;
        }
        let nexts: Vec<Option<State>> = match op.result.as_ref().map(|done| &done.answer) {
            Some(answer) => {
                model::transition(state, &op.invocation, answer).map(|transition| transition.next).into_iter().collect()
            }
            None => {
                let alternatives = model::allowed(state, &op.invocation).alternatives;
                alternatives
                    .into_iter()
                    .filter(|alternative| alternative.settled)
                    .map(|alternative| alternative.next)
                    .collect()
            }
        };
        let index = left.remove(at);
        let found = nexts.iter().any(|next| has_order(ops, next.as_ref().or(state), left));
        left.insert(at, index);
        if found {
            return true;
        }
    }
    false
}

/// A small world, in which stamps repeat and everything is tried: what the checker's shortcuts rely on in long histories
/// (unique versions and ciphertexts) isn't given here.
struct Small<'a, 'b> {
    input: &'a mut Structured<'b>,
    state: Option<State>,
    unique: bool,
    mostly_additions: bool,
    stamps: u32,
}

const REPO: Symbol = Symbol(900);

impl Small<'_, '_> {
    fn stamp(&mut self) -> Symbol {
        self.stamps += 1;
        Symbol(1000 + if self.unique { self.stamps } else { self.input.small(2) })
    }

    fn entry(&mut self, member: Symbol, epoch: i64) -> Entry {
        Entry { member, x25519: member, epoch, rest: self.stamp() }
    }

    fn member(&mut self) -> Symbol {
        Symbol(self.input.small(3))
    }

    fn roster(&mut self, epoch: i64) -> Roster {
        let bits = 1 + self.input.below(7);
        let members = (0..3).filter(|member| bits & (1 << member) != 0);
        Roster::new(members.map(|member| self.entry(Symbol(member), epoch)).collect())
    }

    fn invocation(&mut self) -> Invocation {
        let (version, epoch) = self.state.as_ref().map_or((1, 0), |s| (s.manifest.version, s.manifest.epoch));
        let version = version - i64::from(self.input.below(5) == 0);
        let envelope = |epoch, sealed, gap| Envelope { repo: REPO, version: version + gap, epoch, sealed };
        let caller = if self.input.below(4) == 0 { self.member() } else { Symbol(0) };
        let gap = if self.input.below(6) == 0 { 2 } else { 1 };
        let kind = if self.mostly_additions && self.input.below(2) == 0 { 7 } else { self.input.below(12) };
        let action = match kind {
            _ if self.state.is_none() && self.input.below(4) != 0 => {
                let members = Roster::new(vec![self.entry(caller, 0)]);
                let manifest = Manifest { repo: REPO, scheme: REPO, version: 1, epoch: 0, members, shared: false };
                Action::CreateRepo { manifest, envelope: Envelope { version: 1, ..envelope(0, self.stamp(), 0) } }
            }
            0..3 => Action::Pull { known: version - i64::from(self.input.small(2)) },
            3..6 => Action::Push { envelope: envelope(epoch, self.stamp(), gap), expected: version, rotated: None },
            6 => {
                let rotated = Some(self.roster(epoch + 1));
                Action::Push { envelope: envelope(epoch + 1, self.stamp(), gap), expected: version, rotated }
            }
            7..9 => {
                let member = self.member();
                Action::AddMember { entry: self.entry(member, epoch) }
            }
            9 | 10 => {
                let (removed, members) = (self.member(), self.roster(epoch + 1));
                let members = if self.input.below(3) == 0 { members } else { members.without(removed) };
                let envelope = envelope(epoch + 1, self.stamp(), gap);
                Action::RemoveMember { removed, envelope, members, epoch: epoch + 1 }
            }
            _ => Action::FetchMemberKey { member: self.member() },
        };
        Invocation { caller: Some(caller), action }
    }

    /// Any of the alternatives that the model allows.
    fn apply(&mut self, invocation: &Invocation) -> Response {
        let mut alternatives = model::allowed(self.state.as_ref(), invocation).alternatives;
        alternatives.retain(|alternative| alternative.settled);
        let chosen = if self.input.below(3) == 0 { self.input.below(alternatives.len()) } else { 0 };
        let alternative = alternatives.swap_remove(chosen);
        if alternative.next.is_some() {
            self.state = alternative.next;
        }
        match alternative.expected {
            Expected::Is(answer) => answer,
            Expected::Refusal(_) => Response::Refused(400),
        }
    }
}

/// A few operations around moments of effect.
fn small(input: &mut Structured<'_>) -> History {
    let (count, unique, mostly_additions) = (3 + input.small(4), input.flag(), input.small(3) == 0);
    let known_of_4 = 1 + input.small(4);
    let mut store = Small { input, state: None, unique, mostly_additions, stamps: 0 };
    let mut ops = Vec::new();
    for moment in 0..count {
        let invocation = store.invocation();
        let answer = store.apply(&invocation);
        let moment = u64::from(moment * 10 + 50);
        let (early, late) = (u64::from(store.input.small(35)), u64::from(store.input.small(35)));
        let result = (store.input.small(4) < known_of_4).then_some(Done { end: moment + late, answer });
        ops.push(HistoryOp { client: 0, repo: REPO, invocation, start: moment - early, result });
    }
    // Some that never came to anything, too.
    if store.input.small(3) == 0 {
        let (invocation, start) = (store.invocation(), 50 + u64::from(store.input.small(count * 10)));
        ops.push(HistoryOp { client: 0, repo: REPO, invocation, start, result: None });
    }
    History { symbols: Symbols::default(), ops }
}

/// Changes something small somewhere.
fn spoil(history: &mut History, input: &mut Structured<'_>) {
    let count = history.ops.len();
    if count < 2 {
        return;
    }
    let at = input.below(count);
    let other = history.ops[input.below(count)].clone();
    let op = &mut history.ops[at];
    match input.below(7) {
        0 => op.start = op.result.as_ref().map_or(other.start, |done| other.start.min(done.end)),
        1 => {
            if let Some(done) = &mut op.result {
                done.end = done.end.saturating_sub(15).max(op.start);
            }
        }
        2 => {
            if let (Some(done), Some(from)) = (&mut op.result, other.result) {
                done.answer = from.answer;
            }
        }
        3 => op.invocation = other.invocation,
        4 => drop(history.ops.remove(at)),
        _ => {
            if let Some(done) = &mut op.result {
                spoil_answer(&mut done.answer, input);
            }
        }
    }
}

fn spoil_answer(answer: &mut Response, input: &mut Structured<'_>) {
    let by = i64::from(input.small(3)) - 1;
    match answer {
        Response::Push { accepted, conflict, version, .. } => match input.below(2) {
            0 => (*accepted, *conflict) = (*conflict, *accepted),
            _ => *version += by,
        },
        Response::Pull { manifest, envelope, .. } => match input.below(4) {
            0 => manifest.version += by,
            1 => manifest.members = manifest.members.without(Symbol(1)),
            2 => *envelope = None,
            _ => {
                if let Some(envelope) = envelope {
                    envelope.version += by;
                }
            }
        },
        Response::Manifest(manifest) => manifest.members = manifest.members.without(Symbol(2)),
        Response::Entry(entry) => entry.rest = Symbol(1000),
        Response::Refused(_) | Response::Broken(_) => {}
    }
}
