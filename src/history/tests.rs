use super::simulate::{Simulation, simulate};
use super::*;
use crate::fuzzing;
use crate::ground::Choices;

/// Bytes for a small history and what is spoilt in it.
fn bytes(seed: u64) -> Vec<u8> {
    let mut choices = Choices::new(seed, "small");
    (0..50).flat_map(|_| choices.draw().to_le_bytes()).collect()
}

/// The law of the fuzz target: the verdict is that of trying every order, spoilt or not.
#[test]
fn verdicts_are_those_of_brute_force() {
    (0..20_000).for_each(|seed| fuzzing::linearizability(&bytes(seed)));
}

/// How often the two cases of the law above come about; it would be worth little if one were rare.
#[test]
fn spoilt_histories_are_of_both_kinds() {
    let orders = (0..600).filter(|seed| fuzzing::has_an_order(&fuzzing::drawn(&bytes(*seed)))).count();
    assert!((200..500).contains(&orders), "{orders} of 600 have an order");
}

#[test]
fn a_long_history_has_an_order_and_one_wrong_answer_is_found() {
    for unknown_one_in in [0, 50] {
        let simulation = Simulation { operations: 20_000, clients: 16, unknown_one_in, seed: 3 };
        let mut history = simulate(simulation);
        assert!(fuzzing::is_linearizable(&history));
        // A pull in the middle is answered with the manifest of the pull before it, and the envelope of its own.
        let pulls: Vec<usize> = (0..history.ops.len())
            .filter(|at| matches!(history.ops[*at].answer(), Some(Response::Pull { envelope: Some(_), .. })))
            .collect();
        let manifest = |at: usize| match history.ops[at].answer() {
            Some(Response::Pull { manifest, .. }) => manifest.clone(),
            _ => unreachable!(),
        };
        let middle = pulls.len() / 2;
        let torn = (middle..pulls.len() - 1).find(|at| manifest(pulls[*at]).version < manifest(pulls[at + 1]).version);
        let (from, to) = (pulls[torn.unwrap()], pulls[torn.unwrap() + 1]);
        let old = manifest(from);
        if let Some(Done { answer: Response::Pull { manifest, .. }, .. }) = &mut history.ops[to].result {
            *manifest = old;
        }
        let Linearizability::NotLinearizable(counterexample) = check(&history) else {
            panic!("the torn read isn't found")
        };
        assert_eq!(counterexample.stuck as usize, to);
        assert_eq!(counterexample.operations, [counterexample.stuck], "one torn answer is all it takes");
    }
}
