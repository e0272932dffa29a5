//! The verdict on a history.

use std::collections::HashMap;

use super::configurations::{Configuration, Configurations, GaveUp, LIMIT};
use super::counterexample::Counterexample;
use super::unknown_outcome::unknown_outcomes;
use super::{History, Op};
use crate::model::Symbol;

/// Whether there is an order that explains every answer.
#[derive(Debug)]
pub enum Verdict {
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

/// What happens at a moment, in the order in which moments that are equal count: operations that touch are concurrent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Happening {
    Start,
    End,
    /// An operation of unknown outcome can make no difference any more.
    Forget,
}

/// When, what, and of which operation (by index).
pub(super) type Event = (u64, Happening, u32);

/// Checks every repository of a history by itself: that is enough, as no operation is about two.
pub fn check(history: &History) -> Verdict {
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
            Err(Stuck { reason: Some(GaveUp), at }) => return Verdict::Undecided { repo: *repo, op: events[at].2 },
            Err(Stuck { at, .. }) => {
                return Verdict::NotLinearizable(Box::new(Counterexample::find(history, &events[..=at])));
            }
        }
    }
    Verdict::Linearizable { repositories: repositories.len() }
}

/// Starts and ends of operations, by time; without those of unknown outcome that don't matter.
pub(super) fn events(ops: &[Op], chosen: &[u32]) -> Vec<Event> {
    let unknown = unknown_outcomes(ops, chosen);
    let mut events = Vec::with_capacity(chosen.len() * 2);
    for index in chosen.iter().copied().filter(|index| !unknown.left_out.contains(index)) {
        let op = &ops[index as usize];
        events.push((op.start, Happening::Start, index));
        if let Some(done) = &op.result {
            events.push((done.end.max(op.start), Happening::End, index));
        }
    }
    let forgotten = unknown.until.into_iter();
    events.extend(forgotten.map(|(until, index)| (until.max(ops[index as usize].start), Happening::Forget, index)));
    events.sort_unstable();
    events
}

/// Where the search ended.
pub(super) struct Stuck {
    /// Position of the event.
    pub at: usize,
    /// `None`: no configuration is left.
    pub reason: Option<GaveUp>,
}

/// Follows the configurations through events. `before` sees the configurations before each event.
///
/// # Errors
/// [`Stuck`] at the first answer that can't be explained.
pub(super) fn follow(
    configurations: &mut Configurations<'_>,
    events: &[Event],
    before: &mut dyn FnMut(usize, &Configurations<'_>),
) -> Result<(), Stuck> {
    for (at, (_, happening, index)) in events.iter().enumerate() {
        before(at, configurations);
        match happening {
            Happening::Start => configurations.start(*index),
            Happening::Forget => configurations.forget(*index),
            Happening::End => {
                configurations.end(*index, &mut |_| {}).map_err(|reason| Stuck { at, reason: Some(reason) })?;
                if configurations.configurations.is_empty() {
                    return Err(Stuck { at, reason: None });
                }
            }
        }
    }
    Ok(())
}
