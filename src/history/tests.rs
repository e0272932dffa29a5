use proptest::prelude::*;

use super::simulate::{Simulation, simulate};
use super::*;
use crate::client::random::Choices;
use crate::model::{self, Entry, Envelope, Expected, Manifest, Roster, State};

/// Tries every order, without any idea.
fn has_order(ops: &[Op], state: Option<&State>, left: &mut Vec<usize>) -> bool {
    if left.iter().all(|index| ops[*index].result.is_none()) {
        return true;
    }
    for at in 0..left.len() {
        let op = &ops[left[at]];
        let too_late = left.iter().any(|other| ops[*other].result.as_ref().is_some_and(|done| done.end < op.start));
        if too_late {
            continue;
        }
        let nexts: Vec<Option<State>> = match op.answer() {
            Some(answer) => model::step(state, &op.call, answer).map(|step| step.next).into_iter().collect(),
            None => {
                let outcomes = model::allowed(state, &op.call).outcomes;
                outcomes.into_iter().filter(|outcome| outcome.settled).map(|outcome| outcome.next).collect()
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

fn brute(history: &History) -> bool {
    // All are about one repository.
    has_order(&history.ops, None, &mut (0..history.ops.len()).collect())
}

/// A small world, in which stamps repeat and everything is tried: what the checker's shortcuts rely on in long histories
/// (unique versions and ciphertexts) isn't given here.
struct Small {
    choices: Choices,
    state: Option<State>,
    unique: bool,
    mostly_additions: bool,
    stamps: u32,
}

const REPO: Word = Word(900);

impl Small {
    fn stamp(&mut self) -> Word {
        self.stamps += 1;
        Word(if self.unique { 1000 + self.stamps } else { 1000 + u32::try_from(self.choices.below(2)).unwrap() })
    }

    fn entry(&mut self, member: Word, epoch: i64) -> Entry {
        Entry { member, x25519: member, epoch, rest: self.stamp() }
    }

    fn member(&mut self) -> Word {
        Word(u32::try_from(self.choices.below(3)).unwrap())
    }

    fn roster(&mut self, epoch: i64) -> Roster {
        let bits = 1 + self.choices.below(7);
        let members = (0..3).filter(|member| bits & (1 << member) != 0);
        Roster::new(members.map(|member| self.entry(Word(member), epoch)).collect())
    }

    fn call(&mut self) -> Call {
        let (version, epoch) = self.state.as_ref().map_or((1, 0), |s| (s.manifest.version, s.manifest.epoch));
        let version = version - i64::from(self.choices.below(5) == 0);
        let envelope = |epoch, sealed, gap| Envelope { repo: REPO, version: version + gap, epoch, sealed };
        let caller = if self.choices.below(4) == 0 { self.member() } else { Word(0) };
        let gap = if self.choices.below(6) == 0 { 2 } else { 1 };
        let kind = if self.mostly_additions && self.choices.below(2) == 0 { 7 } else { self.choices.below(12) };
        let operation = match kind {
            _ if self.state.is_none() && self.choices.below(4) != 0 => {
                let members = Roster::new(vec![self.entry(caller, 0)]);
                let manifest = Manifest { repo: REPO, scheme: REPO, version: 1, epoch: 0, members, shared: false };
                Operation::CreateRepo { manifest, envelope: Envelope { version: 1, ..envelope(0, self.stamp(), 0) } }
            }
            0..3 => Operation::Pull { known: version - i64::try_from(self.choices.below(2)).unwrap() },
            3..6 => Operation::Push { envelope: envelope(epoch, self.stamp(), gap), expected: version, rotated: None },
            6 => {
                let rotated = Some(self.roster(epoch + 1));
                Operation::Push { envelope: envelope(epoch + 1, self.stamp(), gap), expected: version, rotated }
            }
            7..9 => {
                let member = self.member();
                Operation::AddMember { entry: self.entry(member, epoch) }
            }
            9 | 10 => {
                let (removed, members) = (self.member(), self.roster(epoch + 1));
                let members = if self.choices.below(3) == 0 { members } else { members.without(removed) };
                let envelope = envelope(epoch + 1, self.stamp(), gap);
                Operation::RemoveMember { removed, envelope, members, epoch: epoch + 1 }
            }
            _ => Operation::FetchMemberKey { member: self.member() },
        };
        Call { caller: Some(caller), operation }
    }

    /// Any of the outcomes that the model allows.
    fn apply(&mut self, call: &Call) -> Answer {
        let mut outcomes = model::allowed(self.state.as_ref(), call).outcomes;
        outcomes.retain(|outcome| outcome.settled);
        let chosen = if self.choices.below(3) == 0 { self.choices.below(outcomes.len()) } else { 0 };
        let outcome = outcomes.swap_remove(chosen);
        if outcome.next.is_some() {
            self.state = outcome.next;
        }
        match outcome.expected {
            Expected::Is(answer) => answer,
            Expected::Refusal(_) => Answer::Refused(400),
        }
    }
}

/// A few operations around random moments of effect.
fn small(seed: u64) -> History {
    let mut choices = Choices::new(seed, "small");
    let (count, unique, mostly_additions) = (3 + choices.below(5), choices.below(2) == 0, choices.below(3) == 0);
    let known_of_4 = 1 + choices.below(4);
    let mut store = Small { choices, state: None, unique, mostly_additions, stamps: 0 };
    let mut ops = Vec::new();
    for moment in 0..count as u64 {
        let call = store.call();
        let answer = store.apply(&call);
        let moment = moment * 10 + 50;
        let (early, late) = (store.choices.below(35) as u64, store.choices.below(35) as u64);
        let result = (store.choices.below(4) < known_of_4).then_some(Done { end: moment + late, answer });
        ops.push(Op { client: 0, repo: REPO, call, start: moment - early, result });
    }
    // Some that never came to anything, too.
    if store.choices.below(3) == 0 {
        let (call, start) = (store.call(), 50 + store.choices.below(count * 10) as u64);
        ops.push(Op { client: 0, repo: REPO, call, start, result: None });
    }
    History { words: Words::default(), ops }
}

/// Changes something small somewhere.
fn spoil(history: &mut History, seed: u64) {
    let mut choices = Choices::new(seed, "spoil");
    let count = history.ops.len();
    let at = choices.below(count);
    let other = history.ops[choices.below(count)].clone();
    let op = &mut history.ops[at];
    match choices.below(7) {
        0 => {
            op.start = op.result.as_ref().map_or(other.start, |done| other.start.min(done.end));
        }
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
        3 => op.call = other.call,
        4 => drop(history.ops.remove(at)),
        _ => {
            if let Some(done) = &mut op.result {
                spoil_answer(&mut done.answer, &mut choices);
            }
        }
    }
}

fn spoil_answer(answer: &mut Answer, choices: &mut Choices) {
    let by = i64::try_from(choices.below(3)).unwrap() - 1;
    match answer {
        Answer::Push { accepted, conflict, version, .. } => match choices.below(2) {
            0 => (*accepted, *conflict) = (*conflict, *accepted),
            _ => *version += by,
        },
        Answer::Pull { manifest, envelope, .. } => match choices.below(4) {
            0 => manifest.version += by,
            1 => manifest.members = manifest.members.without(Word(1)),
            2 => *envelope = None,
            _ => {
                if let Some(envelope) = envelope {
                    envelope.version += by;
                }
            }
        },
        Answer::Manifest(manifest) => manifest.members = manifest.members.without(Word(2)),
        Answer::Entry(entry) => entry.rest = Word(1000),
        Answer::Refused(_) | Answer::Broken(_) => {}
    }
}

fn judged(history: &History) -> bool {
    match check(history) {
        Verdict::Linearizable { .. } => true,
        Verdict::NotLinearizable(_) => false,
        Verdict::Undecided { .. } => panic!("a small history is undecided"),
    }
}

/// Whether what is said to be the shortest part has no order: from its state on, by trying everything.
fn part_is_without_order(history: &History, offence: &Offence) -> bool {
    let ops: Vec<Op> = offence.operations.iter().map(|index| history.ops[*index as usize].clone()).collect();
    !has_order(&ops, offence.before.as_ref(), &mut (0..ops.len()).collect())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10_000, max_shrink_iters: 2_000, ..ProptestConfig::default() })]

    /// What a store did, one step after the other, has an order.
    #[test]
    fn what_happened_has_an_order(seed in any::<u64>()) {
        prop_assert!(judged(&small(seed)));
    }

    /// Spoilt or not: the verdict is that of trying every order.
    #[test]
    fn verdicts_are_those_of_brute_force(seed in any::<u64>(), spoilt in prop::collection::vec(any::<u64>(), 1..5)) {
        let mut history = small(seed);
        for seed in spoilt {
            if history.ops.len() > 1 {
                spoil(&mut history, seed);
            }
        }
        prop_assert_eq!(judged(&history), brute(&history), "{:#?}", history.ops);
        if let Verdict::NotLinearizable(offence) = check(&history) {
            prop_assert!(offence.operations.contains(&offence.stuck));
            prop_assert!(!offence.explanations.is_empty());
            prop_assert!(part_is_without_order(&history, &offence), "{offence:#?}\n{:#?}", history.ops);
        }
    }
}

/// How often the two cases of the law above come about; it would be worth little if one were rare.
#[test]
fn spoilt_histories_are_of_both_kinds() {
    let verdicts: Vec<bool> = (0..600_u64)
        .map(|seed| {
            let mut history = small(seed);
            for seed in [seed, seed + 1, seed + 2] {
                if history.ops.len() > 1 {
                    spoil(&mut history, seed);
                }
            }
            brute(&history)
        })
        .collect();
    let fine = verdicts.iter().filter(|fine| **fine).count();
    assert!((200..500).contains(&fine), "{fine} of 600 have an order");
}

#[test]
fn a_long_history_has_an_order_and_one_wrong_answer_is_found() {
    for unknown_one_in in [0, 50] {
        let simulation = Simulation { operations: 20_000, clients: 16, unknown_one_in, seed: 3 };
        let mut history = simulate(simulation);
        assert!(judged(&history));
        // A pull in the middle is answered with the manifest of the pull before it, and the envelope of its own.
        let pulls: Vec<usize> = (0..history.ops.len())
            .filter(|at| matches!(history.ops[*at].answer(), Some(Answer::Pull { envelope: Some(_), .. })))
            .collect();
        let manifest = |at: usize| match history.ops[at].answer() {
            Some(Answer::Pull { manifest, .. }) => manifest.clone(),
            _ => unreachable!(),
        };
        let middle = pulls.len() / 2;
        let torn = (middle..pulls.len() - 1).find(|at| manifest(pulls[*at]).version < manifest(pulls[at + 1]).version);
        let (from, to) = (pulls[torn.unwrap()], pulls[torn.unwrap() + 1]);
        let old = manifest(from);
        if let Some(Done { answer: Answer::Pull { manifest, .. }, .. }) = &mut history.ops[to].result {
            *manifest = old;
        }
        let Verdict::NotLinearizable(offence) = check(&history) else { panic!("the torn read isn't found") };
        assert_eq!(offence.stuck as usize, to);
        assert_eq!(offence.operations, [offence.stuck], "one torn answer is all it takes");
    }
}
