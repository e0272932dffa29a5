//! Searching what is at hand as a whole, one thing after the other or on all processors.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::job::{Job, Sighting};
use super::layers::ENCODINGS;
use super::search::Searcher;
use super::stream::Stream;

/// Searches things that are at hand as a whole, one after the other.
pub struct Look(Rc<Job>);

impl Look {
    /// With a searcher.
    pub fn new(searcher: &Arc<Searcher>) -> Self {
        Self(Job::new(Arc::clone(searcher), Arc::default()))
    }

    /// What is in some bytes, as they are or encoded; sorted by secret.
    pub fn at(&self, bytes: &[u8]) -> Vec<Sighting> {
        self.0.begin(bytes.len() as u64);
        let mut stream = Stream::source(Rc::clone(&self.0), &ENCODINGS, 0, u64::MAX, false);
        stream.feed(bytes);
        stream.finish();
        self.0.take()
    }
}

/// The first of `items`, by their order, in which `find` finds something; `find` gets a [`Look`] of its own thread. All processors
/// search.
pub fn first_found<T: Sync, R: Send>(
    searcher: &Arc<Searcher>,
    items: &[T],
    find: impl Fn(&Look, &T) -> Option<R> + Sync,
) -> Option<R> {
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get).min(items.len().max(1));
    let (next, best) = (AtomicUsize::new(0), AtomicUsize::new(usize::MAX));
    let search = || {
        let look = Look::new(searcher);
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            // Items are given out in order, so that all before the best one are searched to their end.
            let item = items.get(at).filter(|_| at < best.load(Ordering::Relaxed))?;
            if let Some(found) = find(&look, item) {
                best.fetch_min(at, Ordering::Relaxed);
                return Some((at, found));
            }
        }
    };
    std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(search)).collect();
        // A panic is a bug of this program, and goes on as one.
        let ended =
            others.into_iter().map(|other| other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        std::iter::once(search()).chain(ended).flatten().min_by_key(|(at, _)| *at).map(|(_, found)| found)
    })
}
