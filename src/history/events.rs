//! Starts and ends of operations in their order, and the search that follows them.

use super::HistoryOp;
use super::configurations::{Configurations, GaveUp};
use super::unknown_outcome::unknown_outcomes;

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

/// Starts and ends of operations, by time; without those of unknown outcome that don't matter.
pub(super) fn events(ops: &[HistoryOp], chosen: &[u32]) -> Vec<Event> {
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
