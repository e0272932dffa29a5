//! Lets decoded bytes through only where they can hold something that was encoded before.
//!
//! Most of what stands in base64 or hex where servers store things is ciphertext and keys, in which nothing can be found that
//! isn't found without decoding. What is worth a stream of its own is text, UTF-16, or compressed.

use super::{compressed, utf16};
use crate::scan::stream::{Seed, Stream};

/// Bytes that are judged together; divisible by three, the bytes that are put at once, and by eight.
const PIECE: usize = 384;
/// How far from the beginning a zlib header, which is only two bytes, is taken for one.
const ZLIB_WITHIN: usize = 16;

/// Decoded bytes on their way into a stream.
pub(super) struct Gate {
    seed: Seed,
    stream: Option<Stream>,
    piece: [u8; PIECE],
    filled: usize,
    /// The piece before, if it wasn't let through.
    held: [u8; PIECE],
    held_length: usize,
    /// Whether it was let through, and why.
    last: Let,
    is_first: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Let {
    /// It wasn't.
    Nothing,
    /// As a neighbour.
    Neighbour,
    /// There is text in it.
    Text,
    /// Compressed data have begun: everything from there on.
    Everything,
}

impl Gate {
    /// For a stream that will be made when it is needed.
    pub fn new(seed: Seed) -> Self {
        Self {
            seed,
            stream: None,
            piece: [0; PIECE],
            filled: 0,
            held: [0; PIECE],
            held_length: 0,
            last: Let::Nothing,
            is_first: true,
        }
    }

    /// Takes three bytes.
    #[inline(always)]
    pub fn put(&mut self, bytes: [u8; 3]) {
        match self.piece.get_mut(self.filled..self.filled + 3) {
            Some(place) => {
                place.copy_from_slice(&bytes);
                self.filled += 3;
            }
            None => self.put_some(&bytes),
        }
    }

    /// Takes some bytes.
    pub fn put_some(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            if self.filled == PIECE {
                self.pass_on();
            }
            self.piece[self.filled] = byte;
            self.filled += 1;
        }
    }

    /// Judges a piece, and lets it through or holds it.
    #[inline(never)]
    fn pass_on(&mut self) {
        let piece = &self.piece[..self.filled];
        let judged = match self.last {
            Let::Everything => Let::Everything,
            _ if self.is_first && holds_compressed(piece) => Let::Everything,
            _ if holds_text(piece) => Let::Text,
            Let::Text => Let::Neighbour,
            _ => Let::Nothing,
        };
        if judged == Let::Nothing {
            self.held[..self.filled].copy_from_slice(piece);
            self.held_length = self.filled;
        } else {
            let stream = self.stream.get_or_insert_with(|| self.seed.stream());
            if self.held_length > 0 {
                // What was left out before must not seem to be joined to this.
                stream.feed(&[0; 8]);
                stream.feed(&self.held[..self.held_length]);
                self.held_length = 0;
            }
            stream.feed(piece);
        }
        (self.last, self.filled, self.is_first) = (judged, 0, false);
    }

    /// There is no more.
    pub fn finish(mut self) {
        self.pass_on();
        if let Some(stream) = self.stream {
            stream.finish();
        }
    }
}

/// Whether compressed data begin in a piece. Blobs that are compressed are so from their beginning.
fn holds_compressed(piece: &[u8]) -> bool {
    compressed::begins_in(piece, ZLIB_WITHIN)
}

/// Whether a stream for these bytes, which are all there are, would be of use.
pub(super) fn opens(all: &[u8]) -> bool {
    holds_text(all) || holds_compressed(&all[..all.len().min(PIECE)])
}

/// Fifteen characters of text in a row have eight of them at a multiple of eight; UTF-16 all the more.
fn holds_text(piece: &[u8]) -> bool {
    piece.as_chunks::<8>().0.iter().any(|word| is_printable(u64::from_le_bytes(*word)) || utf16::parity(word).is_some())
}

/// Whether all eight bytes are between a space and a tilde, or very nearly.
fn is_printable(word: u64) -> bool {
    let below_space = word.wrapping_sub(0x2020_2020_2020_2020) & !word;
    (below_space | word) & 0x8080_8080_8080_8080 == 0
}
