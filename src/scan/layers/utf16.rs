//! ASCII text in UTF-16, of either byte order: every other byte is zero.

use super::lanes::without_zeros;
use super::sink::Sink;
use crate::scan::stream::{Active, Decode, Start, Stream};

/// Shortest text, in characters.
const SHORTEST: usize = 12;
/// A text of that many bytes holds a word of eight bytes at a multiple of this.
const STEP: usize = 2 * SHORTEST - 8;

fn is_text(byte: u8) -> bool {
    matches!(byte, b' '..=b'~' | b'\t' | b'\n' | b'\r')
}

/// Whether bytes at even or odd places are text and the others zero; where the text is.
pub(super) fn parity(word: &[u8; 8]) -> Option<usize> {
    let zeros = u64::from_le_bytes(*word);
    let shift = match (zeros & 0xff00_ff00_ff00_ff00, zeros & 0x00ff_00ff_00ff_00ff) {
        (0, _) => 0,
        (_, 0) => 1,
        _ => return None,
    };
    word.iter().skip(shift).step_by(2).all(|byte| is_text(*byte)).then_some(shift)
}

/// The next text.
pub(super) fn find(block: &[u8], mut from: usize, to: usize) -> Option<Start> {
    let mut at = from;
    loop {
        let rest = block.get(at..block.len().min(to + 2 * SHORTEST))?;
        // Most text has no zero at all, and none of the words before the first one counts.
        let step = without_zeros(rest) / STEP;
        at += STEP * (step + skipped(&rest[step * STEP..]));
        if at >= to + 2 * SHORTEST {
            return None;
        }
        let Some(shift) = parity(block.get(at..)?.first_chunk::<8>()?) else {
            at += STEP;
            continue;
        };
        let is_unit = |unit: &&[u8]| is_text(unit[0]) && unit[1..].iter().all(|byte| *byte == 0);
        let middle = at + shift;
        let before = block[from..middle].rchunks_exact(2).take_while(is_unit).count();
        let after = block[middle..].chunks(2).take(SHORTEST).take_while(is_unit).count();
        let begins = middle - 2 * before;
        if begins >= to {
            return None;
        }
        if before + after >= SHORTEST {
            return Some(Start { begins, next: middle + 2 * after });
        }
        from = middle + 2 * after;
        at = from;
    }
}

/// How many words at multiples of [`STEP`] come before one in which every other byte is zero.
fn skipped(bytes: &[u8]) -> usize {
    let is_other = |step: &&[u8; STEP]| {
        let word = step.first_chunk().map_or(0, |word| u64::from_le_bytes(*word));
        (word & 0xff00_ff00_ff00_ff00 != 0) & (word & 0x00ff_00ff_00ff_00ff != 0)
    };
    bytes.as_chunks().0.iter().take_while(is_other).count()
}

/// Its decoder.
pub(super) fn open(stream: &Stream, _: &[u8], start: &Start) -> Vec<Active> {
    let decoder = |inner| -> Active { Box::new(Utf16 { sink: Sink::new(inner), zero_next: false }) };
    stream.inner(start.begins, "UTF-16").map(decoder).into_iter().collect()
}

struct Utf16 {
    sink: Sink,
    zero_next: bool,
}

impl Decode for Utf16 {
    fn push(&mut self, bytes: &[u8]) -> Option<usize> {
        for (position, &byte) in bytes.iter().enumerate() {
            if self.zero_next != (byte == 0) || !(self.zero_next || is_text(byte)) {
                return Some(position);
            }
            if !self.zero_next {
                self.sink.put(byte);
            }
            self.zero_next = !self.zero_next;
        }
        None
    }

    fn finish(self: Box<Self>) {
        self.sink.finish();
    }
}
