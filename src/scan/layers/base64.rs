//! Base64 in both alphabets, and hexadecimal digits: runs of their characters.
//!
//! The searcher knows secrets in base64 and hex by itself; what is decoded here is for what was encoded before it was encoded,
//! and for compressed data in base64; the [`Gate`] lets nothing else through.

use super::code::{Code, is_base64};
use super::gate::{Gate, opens};
use crate::scan::stream::{Active, Decode, Start, Stream};

/// Shorter runs hold no twelve bytes that were encoded before.
const SHORTEST: usize = 20;
/// Of a run that long, one word of eight bytes at a multiple of this lies within it.
const STEP: usize = SHORTEST - 8 + 1;
/// Line lengths of wrapped base64 that are read as one run.
const LINES: std::ops::RangeInclusive<usize> = 60..=76;

/// How far a run is looked at before it is decoded, in characters.
const SHOWN: usize = 256;

/// Whether no byte of a word is below `+` or beyond ASCII: quick, and true for all words within a run.
fn may_be_inside(word: u64) -> bool {
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let below = word.wrapping_sub(0x2b2b_2b2b_2b2b_2b2b) & !word;
    (below | word) & HIGH == 0
}

/// The next run of at least [`SHORTEST`] characters that begins between the positions, as far as the context shows it.
fn run(block: &[u8], mut from: usize, to: usize) -> Option<(usize, usize)> {
    let mut at = from;
    while at < to + SHORTEST
        && let Some(word) = block.get(at..at + 8)
    {
        let number = word.first_chunk().map_or(0, |word| u64::from_le_bytes(*word));
        if !may_be_inside(number) || !word.iter().all(|byte| is_base64(*byte)) {
            at += STEP;
            continue;
        }
        let begin = at - block[from..at].iter().rev().take_while(|byte| is_base64(**byte)).count();
        let end = at + Code::Base64.leading(&block[at..block.len().min(at + SHOWN)]);
        if begin >= to {
            return None;
        }
        if end - begin >= SHORTEST {
            return Some((begin, end));
        }
        (from, at) = (end, end);
    }
    None
}

/// Whether a run may go on beyond what was looked at.
fn is_open(block: &[u8], begin: usize, end: usize) -> bool {
    end == block.len() || end - begin >= SHOWN || matches!(block[end], b'\n' | b'\r')
}

/// How many characters to leave out at the front: a run that isn't a multiple of four long may have a prefix.
fn alignments(block: &[u8], begin: usize, end: usize) -> std::ops::Range<usize> {
    let padding = block[end..].iter().take(2).take_while(|byte| **byte == b'=').count();
    if is_open(block, begin, end) || (end - begin + padding).is_multiple_of(4) { 0..1 } else { 0..4 }
}

/// The next run that is worth decoding.
pub(super) fn find(block: &[u8], mut from: usize, to: usize) -> Option<Start> {
    loop {
        let (begins, next) = run(block, from, to)?;
        if is_open(block, begins, next) || is_worth_it(block, begins, next) {
            return Some(Start { begins, next });
        }
        from = next;
    }
}

/// Whether the gate would let through anything of a run that is there as a whole. Most runs are short, and this is quicker
/// than to set up a decoder for them.
fn is_worth_it(block: &[u8], begins: usize, end: usize) -> bool {
    if is_dashed(&block[begins..end]) {
        return false;
    }
    let (code, mut skips) = readings(block, begins, end);
    skips.any(|skip| opens(code, &block[begins + skip..end]))
}

/// Whether a run is a UUID, or of such digits: dashes make base64url of them, which nobody has meant.
fn is_dashed(run: &[u8]) -> bool {
    run.contains(&b'-') && run.iter().all(|byte| byte.is_ascii_hexdigit() || *byte == b'-')
}

/// What a run is, and how many characters to leave out at its front, of which there may be several possibilities.
fn readings(block: &[u8], begins: usize, end: usize) -> (Code, std::ops::Range<usize>) {
    let run = &block[begins..end];
    match hex_prefix(run) {
        Some(prefix) => {
            let odd = !is_open(block, begins, end) && (run.len() - prefix) % 2 == 1;
            (Code::Hex, prefix..prefix + 1 + usize::from(odd))
        }
        None => (Code::Base64, alignments(block, begins, end)),
    }
}

/// Whether a run is of hexadecimal digits, and how many characters to leave out at its front: `\x` of a PostgreSQL dump, `0x`.
fn hex_prefix(run: &[u8]) -> Option<usize> {
    let prefix = match run {
        [b'x', ..] => 1,
        [b'0', b'x', ..] => 2,
        _ => 0,
    };
    (Code::Hex.leading(&run[prefix..]) == run.len() - prefix).then_some(prefix)
}

/// A decoder for each way to read the run.
pub(super) fn open(stream: &Stream, block: &[u8], start: &Start) -> Vec<Active> {
    let (code, skips) = readings(block, start.begins, start.next);
    let decoder = |skip| -> Option<Active> {
        let gate = Gate::new(code, stream.seed(start.begins, code.name())?);
        Some(Box::new(Run { code, gate, skip, line: 0 }))
    };
    skips.filter_map(decoder).collect()
}

/// A run on its way through the gate.
struct Run {
    code: Code,
    gate: Gate,
    /// Characters to leave out.
    skip: usize,
    /// Characters since the last line end.
    line: usize,
}

impl Run {
    /// Whether a byte may stand within the run, being a line end at a usual place. Nobody wraps hex.
    fn wraps(&self, byte: u8) -> bool {
        self.code == Code::Base64 && matches!(byte, b'\r' | b'\n') && LINES.contains(&self.line)
    }
}

impl Decode for Run {
    fn push(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut at = self.skip.min(bytes.len());
        self.skip -= at;
        loop {
            let count = self.code.leading(&bytes[at..]);
            self.gate.put(&bytes[at..at + count]);
            (at, self.line) = (at + count, self.line.saturating_add(count));
            let byte = *bytes.get(at)?;
            if !self.wraps(byte) {
                return Some(at);
            }
            if byte == b'\n' {
                self.line = 0;
            }
            at += 1;
        }
    }

    fn finish(self: Box<Self>) {
        self.gate.finish();
    }
}
