//! Whether a history is linearizable.

use std::collections::HashMap;

use super::History;
use super::configuration::Configuration;
use super::configurations::{Configurations, GaveUp, LIMIT};
use super::counterexample::Counterexample;
use super::events::{Stuck, events, follow};
use crate::model::Symbol;

/// Whether there is an order that explains every answer.
#[derive(Debug)]
pub enum Linearizability {
    /// There is.
    Linearizable {
        /// Repositories in the history.
        repositories: usize,
    },
    /// There is none, and this shows it.
    NotLinearizable(Box<Counterexample>),
    /// The search took more than it may: too many operations of unknown outcome meet.
    Undecided {
        /// The repository.
        repo: Symbol,
        /// The operation (its index in the history) whose answer couldn't be explained in time.
        op: u32,
    },
}

/// Checks every repository of a history by itself: that is enough, as no operation is about two.
pub fn check(history: &History) -> Linearizability {
    let mut numbers: HashMap<Symbol, usize> = HashMap::new();
    let mut repositories: Vec<(Symbol, Vec<u32>)> = Vec::new();
    for (index, op) in (0_u32..).zip(&history.ops) {
        let number = *numbers.entry(op.repo).or_insert_with(|| {
            repositories.push((op.repo, Vec::new()));
            repositories.len() - 1
        });
        repositories[number].1.push(index);
    }
    for (repo, of_repo) in &repositories {
        let events = events(&history.ops, of_repo);
        let mut configurations = Configurations::new(&history.ops, Configuration::nothing(), LIMIT);
        match follow(&mut configurations, &events, &mut |_, _| {}) {
            Ok(()) => {}
            Err(Stuck { reason: Some(GaveUp), at }) => {
                return Linearizability::Undecided { repo: *repo, op: events[at].2 };
            }
            Err(Stuck { at, .. }) => {
                return Linearizability::NotLinearizable(Box::new(Counterexample::find(history, &events[..=at])));
            }
        }
    }
    Linearizability::Linearizable { repositories: repositories.len() }
}
