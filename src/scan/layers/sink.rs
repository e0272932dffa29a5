//! What decoders write into: a stream, fed in batches.

use crate::scan::stream::Stream;

/// Output of a decoder on its way into a stream.
pub(super) struct Sink {
    stream: Stream,
    bytes: [u8; 512],
    length: usize,
}

impl Sink {
    pub(super) fn new(stream: Stream) -> Self {
        Self { stream, bytes: [0; 512], length: 0 }
    }

    pub(super) fn put(&mut self, byte: u8) {
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

    pub(super) fn finish(mut self) {
        self.pass_on();
        self.stream.finish();
    }
}
