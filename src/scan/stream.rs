//! A stream of bytes that is searched as it comes, and with it whatever its parts decode to.
//!
//! Bytes are collected in a block with some context on both sides. Each position of a block is looked at once: by the
//! searcher, and by those who know where an encoded part begins (base64, hex, UTF-16, escapes, gzip, zlib, zstd). Such a part
//! is decoded as long as it lasts, over as many blocks as that takes, into a stream of its own, in which the same happens
//! again, down to [`DEPTH`].

use std::rc::Rc;
use std::sync::Arc;

use super::job::Job;

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

/// Where an encoded part begins.
pub(super) struct Start {
    /// Position of its first byte.
    pub begins: usize,
    /// Where to look on if nothing comes of it.
    pub next: usize,
}

/// What decodes a part into a stream of its own.
pub(super) trait Decode {
    /// Takes what follows; `None` wants more, a number says after how many of these bytes the part was over.
    fn push(&mut self, bytes: &[u8]) -> Option<usize>;
    /// There is no more of it.
    fn finish(self: Box<Self>);
}

/// A part that is being decoded.
pub(super) type Active = Box<dyn Decode>;

/// One encoding.
pub(super) struct Encoding {
    /// The next part of a block that begins between two positions.
    pub find: fn(&[u8], usize, usize) -> Option<Start>,
    /// Makes decoders for a part; none where it is too deep.
    pub open: fn(&Stream, &[u8], &Start) -> Vec<Active>,
    /// How many parts may be under way; one where a part can't begin within another.
    pub at_once: usize,
    /// Whether such a part can begin only where a stream does.
    pub at_beginning: bool,
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
    encodings: &'static [Encoding],
    layers: Layers,
    outermost: u64,
}

impl Seed {
    /// The stream.
    pub fn stream(&self) -> Stream {
        Stream::new(Rc::clone(&self.job), self.encodings, self.layers, Some(self.outermost), INNER_BLOCK)
    }
}

/// One stream.
pub(super) struct Stream {
    pub job: Rc<Job>,
    /// The encodings that are undone.
    encodings: &'static [Encoding],
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
    pub fn source(job: Rc<Job>, encodings: &'static [Encoding], from: u64, to: u64, lookback: bool) -> Self {
        let mut stream = Self::new(job, encodings, Layers::default(), None, BLOCK);
        stream.base = if lookback { from.saturating_sub(CONTEXT as u64) } else { from } & !7;
        // The difference is CONTEXT + 7 at the most.
        stream.done = (from - stream.base) as usize & !7;
        stream.stop = to;
        stream
    }

    fn new(job: Rc<Job>, encodings: &'static [Encoding], layers: Layers, outermost: Option<u64>, block: usize) -> Self {
        let pooled = job.block();
        let block = match pooled {
            Some(pooled) if pooled.len() >= block => pooled,
            _ => vec![0; block + 2 * CONTEXT],
        };
        Self {
            job,
            encodings,
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
        Some(Seed { job: Rc::clone(&self.job), encodings: self.encodings, layers, outermost })
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
            for encoding in 0..self.encodings.len() {
                self.decode(encoding, begins_before, limit);
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

    /// Goes on with the parts of an encoding that are under way, and begins those that begin here.
    fn decode(&mut self, number: usize, begins_before: usize, limit: usize) {
        let encoding = &self.encodings[number];
        let mut from = self.done;
        let (under_way, others) = std::mem::take(&mut self.active).into_iter().partition(|(of, _)| *of == number);
        self.active = others;
        self.push(number, under_way.into_iter().map(|(_, part): (usize, _)| part), self.done, limit, &mut from);
        let begins_here = !encoding.at_beginning || self.base + from as u64 == 0;
        while begins_here
            && from < begins_before
            && self.active.iter().filter(|(of, _)| *of == number).count() < encoding.at_once
        {
            let text = &self.block[..self.length];
            let Some(start) = (encoding.find)(text, from, begins_before) else { break };
            let begun = (encoding.open)(self, text, &start);
            from = start.next;
            self.push(number, begun, start.begins, limit, &mut from);
        }
    }

    /// Hands the block from a position on to parts of an encoding. Those that have come to their end go; where parts follow each
    /// other, the next one is looked for there.
    fn push(
        &mut self,
        encoding: usize,
        parts: impl IntoIterator<Item = Active>,
        begin: usize,
        limit: usize,
        from: &mut usize,
    ) {
        for mut part in parts {
            match part.push(&self.block[begin..limit]) {
                None => self.active.push((encoding, part)),
                Some(taken) => {
                    part.finish();
                    if self.encodings[encoding].at_once == 1 {
                        *from = (*from).max(begin + taken);
                    }
                }
            }
        }
    }
}
