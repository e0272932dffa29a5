//! A stream of bytes that is searched as it comes, and with it whatever its parts decode to.
//!
//! Bytes are collected in a block with some context on both sides. Each position of a block is looked at once: by the
//! searcher, and by those who know where an encoded part begins (base64, hex, UTF-16, escapes, gzip, zlib, zstd). Such a part
//! is decoded as long as it lasts, over as many blocks as that takes, into a stream of its own, in which the same happens
//! again, down to [`DEPTH`].

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::job::{Job, Sighting};
use super::layers::{Active, KINDS};
use super::search::Searcher;

/// Bytes of a source that are looked at together; they fit the second-level cache beside the bitmaps of the searcher.
const BLOCK: usize = 64 << 10;
/// Likewise of what is decoded.
const INNER_BLOCK: usize = 32 << 10;
/// How much of what comes before and after is at hand at every position; more than the longest needle.
pub(super) const CONTEXT: usize = 1024;
/// How many encodings within each other are undone.
const DEPTH: usize = 5;
/// Last hits that a stream remembers, so as to count each once.
const RECENT: usize = 16;
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
        let mut stream = Stream::source(Rc::clone(&self.0), 0, u64::MAX, false);
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

/// The encodings around a stream, outermost first.
#[derive(Clone, Copy, Default)]
struct Layers {
    names: [&'static str; DEPTH],
    depth: usize,
}

impl Layers {
    /// One more; `None` if there are enough.
    fn push(&mut self, layer: &'static str) -> Option<()> {
        *self.names.get_mut(self.depth)? = layer;
        self.depth += 1;
        Some(())
    }

    fn as_slice(&self) -> &[&'static str] {
        &self.names[..self.depth]
    }
}

/// What it takes to make a stream for a part of another.
pub(super) struct Seed {
    job: Rc<Job>,
    layers: Layers,
    outermost: u64,
}

impl Seed {
    /// The stream.
    pub fn stream(&self) -> Stream {
        Stream::new(Rc::clone(&self.job), self.layers, Some(self.outermost), INNER_BLOCK)
    }
}

/// One stream.
pub(super) struct Stream {
    pub job: Rc<Job>,
    layers: Layers,
    /// Where in the source the outermost encoded part begins.
    outermost: Option<u64>,
    block: Vec<u8>,
    /// Bytes of the block that are filled.
    length: usize,
    /// Offset in this stream of the block's first byte; a multiple of eight.
    base: u64,
    /// Positions of the block before this have been looked at; a multiple of eight, so that the places where the searcher
    /// looks stay eight apart from block to block.
    done: usize,
    /// Nothing begins at this offset or later: it belongs to somebody else.
    stop: u64,
    recent: [(u32, u64); RECENT],
    next_recent: usize,
    active: Vec<(usize, Active)>,
}

impl Stream {
    /// A source, or a part of one: nothing that begins before `from` or from `to` on is looked at. Bytes are expected from
    /// [`Self::next`] on, which with `lookback` is a little before.
    pub fn source(job: Rc<Job>, from: u64, to: u64, lookback: bool) -> Self {
        let mut stream = Self::new(job, Layers::default(), None, BLOCK);
        stream.base = if lookback { from.saturating_sub(CONTEXT as u64) } else { from } & !7;
        // The difference is CONTEXT + 7 at the most.
        stream.done = (from - stream.base) as usize & !7;
        stream.stop = to;
        stream
    }

    fn new(job: Rc<Job>, layers: Layers, outermost: Option<u64>, block: usize) -> Self {
        let pooled = job.block();
        let block = match pooled {
            Some(pooled) if pooled.len() >= block => pooled,
            _ => vec![0; block + 2 * CONTEXT],
        };
        Self {
            job,
            layers,
            outermost,
            block,
            length: 0,
            base: 0,
            done: 0,
            stop: u64::MAX,
            recent: [(u32::MAX, 0); RECENT],
            next_recent: 0,
            active: Vec::new(),
        }
    }

    /// A stream for a part of this one that begins at a position of the block; `None` when that would be too deep.
    pub fn inner(&self, position: usize, layer: &'static str) -> Option<Self> {
        Some(self.seed(position, layer)?.stream())
    }

    /// The same, to be made later.
    pub fn seed(&self, position: usize, layer: &'static str) -> Option<Seed> {
        let mut layers = self.layers;
        layers.push(layer)?;
        let outermost = self.outermost.unwrap_or(self.base + position as u64);
        Some(Seed { job: Rc::clone(&self.job), layers, outermost })
    }

    /// The offset of the byte that is expected next.
    pub fn next(&self) -> u64 {
        self.base + self.length as u64
    }

    /// Whether an encoded part goes on that began in time.
    pub fn is_within_a_part(&self) -> bool {
        !self.active.is_empty()
    }

    /// Where the next bytes go; never empty.
    pub fn space(&mut self) -> &mut [u8] {
        &mut self.block[self.length..]
    }

    /// Takes the bytes that were put there.
    pub fn commit(&mut self, count: usize) {
        self.length += count;
        if self.length == self.block.len() {
            self.look(false);
        }
    }

    /// Takes bytes.
    pub fn feed(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let space = self.space();
            let count = space.len().min(bytes.len());
            let (now, later) = bytes.split_at(count);
            space[..count].copy_from_slice(now);
            bytes = later;
            self.commit(count);
        }
    }

    /// There is no more: looks at the rest.
    pub fn finish(mut self) {
        self.look(true);
        for (_, active) in std::mem::take(&mut self.active) {
            active.finish();
        }
        self.job.give_back(std::mem::take(&mut self.block));
    }

    /// Looks at what hasn't been looked at, all but the last bytes, whose context is still to come.
    fn look(&mut self, last: bool) {
        let limit = if last { self.length } else { (self.length - CONTEXT) & !7 };
        if limit > self.done {
            let begins_before = self.stop.saturating_sub(self.base).min(limit as u64) as usize;
            self.search(begins_before);
            for kind in 0..KINDS.len() {
                self.decode(kind, begins_before, limit);
            }
        }
        let keep = limit.saturating_sub(CONTEXT) & !7;
        self.block.copy_within(keep..self.length, 0);
        self.base += keep as u64;
        self.length -= keep;
        self.done = limit - keep;
    }

    fn search(&mut self, to: usize) {
        let searcher = Arc::clone(self.job.searcher());
        let text = &self.block[..self.length];
        searcher.search(text, self.done, to, |found| {
            let at = self.base + found.offset as u64;
            if !self.recent.contains(&(found.tag, at)) {
                self.recent[self.next_recent] = (found.tag, at);
                self.next_recent = (self.next_recent + 1) % RECENT;
                self.job.note(self.layers.as_slice(), &found, self.outermost.unwrap_or(at));
            }
        });
    }

    /// Goes on with the parts of a kind that are under way, and begins those that begin here.
    fn decode(&mut self, number: usize, begins_before: usize, limit: usize) {
        let kind = &KINDS[number];
        let mut from = self.done;
        let (under_way, others) = std::mem::take(&mut self.active).into_iter().partition(|(of, _)| *of == number);
        self.active = others;
        self.push(number, under_way.into_iter().map(|(_, part): (usize, _)| part), self.done, limit, &mut from);
        let begins_here = !kind.at_beginning || self.base + from as u64 == 0;
        while begins_here
            && from < begins_before
            && self.active.iter().filter(|(of, _)| *of == number).count() < kind.at_once
        {
            let text = &self.block[..self.length];
            let Some(start) = (kind.find)(text, from, begins_before) else { break };
            let begun = (kind.open)(self, text, &start);
            from = start.next;
            self.push(number, begun, start.begins, limit, &mut from);
        }
    }

    /// Hands the block from a position on to parts of a kind. Those that have come to their end go; where parts follow each
    /// other, the next one is looked for there.
    fn push(
        &mut self,
        kind: usize,
        parts: impl IntoIterator<Item = Active>,
        begin: usize,
        limit: usize,
        from: &mut usize,
    ) {
        for mut part in parts {
            match part.push(&self.block[begin..limit]) {
                None => self.active.push((kind, part)),
                Some(taken) => {
                    part.finish();
                    if KINDS[kind].at_once == 1 {
                        *from = (*from).max(begin + taken);
                    }
                }
            }
        }
    }
}
