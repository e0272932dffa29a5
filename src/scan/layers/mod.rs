//! Encodings that are undone while a stream is searched: where a part in one of them begins, and how it is decoded.

mod base64;
mod code;
mod compressed;
mod deflate;
mod escapes;
mod gate;
mod utf16;

use super::stream::Stream;

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
pub(super) struct Kind {
    /// The next part of a block that begins between two positions.
    pub find: fn(&[u8], usize, usize) -> Option<Start>,
    /// Makes decoders for a part; none where it is too deep.
    pub open: fn(&Stream, &[u8], &Start) -> Vec<Active>,
    /// How many parts may be under way; one where a part can't begin within another.
    pub at_once: usize,
    /// Whether such a part can begin only where a stream does.
    pub at_beginning: bool,
}

/// Every encoding.
pub(super) const KINDS: [Kind; 5] = [
    Kind { find: base64::find, open: base64::open, at_once: 1, at_beginning: false },
    Kind { find: utf16::find, open: utf16::open, at_once: 1, at_beginning: false },
    Kind { find: escapes::find, open: escapes::open, at_once: 1, at_beginning: false },
    Kind { find: compressed::find, open: compressed::open, at_once: 8, at_beginning: false },
    Kind { find: compressed::find_unsigned, open: compressed::open_unsigned, at_once: 1, at_beginning: true },
];

/// Output of a decoder on its way into a stream.
struct Sink {
    stream: Stream,
    bytes: [u8; 512],
    length: usize,
}

impl Sink {
    fn new(stream: Stream) -> Self {
        Self { stream, bytes: [0; 512], length: 0 }
    }

    fn put(&mut self, byte: u8) {
        if self.length == self.bytes.len() {
            self.pass_on();
        }
        self.bytes[self.length] = byte;
        self.length += 1;
    }

    fn pass_on(&mut self) {
        self.stream.feed(&self.bytes[..self.length]);
        self.length = 0;
    }

    fn finish(mut self) {
        self.pass_on();
        self.stream.finish();
    }
}
