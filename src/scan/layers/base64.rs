//! Base64 in both alphabets, and hexadecimal digits: runs of their characters.
//!
//! The searcher knows secrets in base64 and hex by itself; what is decoded here is for what was encoded before it was encoded,
//! and for compressed data in base64; the [`Gate`] lets nothing else through.

use super::code::{Code, is_base64};
use super::gate::{Gate, is_worth_opening};
use super::lanes::are_hex;
use crate::scan::stream::{Active, Decode, Start, Stream};

/// Shorter runs hold no twelve bytes that were encoded before.
const SHORTEST: usize = 20;
/// Of a run that long, one word of eight bytes at a multiple of this lies within it.
const STEP: usize = SHORTEST - 8 + 1;
/// Line lengths of wrapped base64 that are read as one run.
pub(super) const LINES: std::ops::RangeInclusive<usize> = 60..=76;

/// Whether no byte of a word is below `+` or beyond ASCII: quick, and true for all words within a run.
fn may_be_inside(word: u64) -> bool {
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let below = word.wrapping_sub(0x2b2b_2b2b_2b2b_2b2b) & !word;
    (below | word) & HIGH == 0
}

/// How many words at multiples of [`STEP`] come before one that may be within a run.
fn skipped(bytes: &[u8]) -> usize {
    let is_outside =
        |step: &&[u8; STEP]| !may_be_inside(step.first_chunk().map_or(0, |word| u64::from_le_bytes(*word)));
    bytes.as_chunks().0.iter().take_while(is_outside).count()
}

/// The next run of at least [`SHORTEST`] characters that begins between the positions, as far as the block shows it.
fn run(block: &[u8], mut from: usize, to: usize) -> Option<(usize, usize)> {
    let mut at = from;
    loop {
        at += STEP * skipped(block.get(at..block.len().min(to + SHORTEST))?);
        if at >= to + SHORTEST {
            return None;
        }
        let word = block.get(at..)?.first_chunk::<8>()?;
        if !word.iter().all(|byte| is_base64(*byte)) {
            at += STEP;
            continue;
        }
        let begin = at - block[from..at].iter().rev().take_while(|byte| is_base64(**byte)).count();
        let end = at + Code::Base64.leading(&block[at..]);
        if begin >= to {
            return None;
        }
        if end - begin >= SHORTEST {
            return Some((begin, end));
        }
        (from, at) = (end, end);
    }
}

/// Whether a run of base64 may go on after a byte that isn't of it: a line end, after as many characters as lines have.
fn wraps(byte: u8, line: usize) -> bool {
    matches!(byte, b'\r' | b'\n') && LINES.contains(&line)
}

/// A run as far as the block shows it.
struct Run<'a> {
    code: Code,
    characters: &'a [u8],
    /// How many characters to leave out at the front, of which there may be several possibilities.
    skips: std::ops::Range<usize>,
    /// Whether more of it may come.
    is_open: bool,
}

impl<'a> Run<'a> {
    fn new(block: &'a [u8], begins: usize, end: usize) -> Self {
        let characters = &block[begins..end];
        let prefix = hex_prefix(characters);
        let code = if prefix.is_some() { Code::Hex } else { Code::Base64 };
        // Nobody wraps hex.
        let is_open = block.get(end).is_none_or(|byte| code == Code::Base64 && wraps(*byte, characters.len()));
        let skips = match prefix {
            Some(prefix) => {
                let is_odd = !is_open && !(characters.len() - prefix).is_multiple_of(2);
                prefix..prefix + 1 + usize::from(is_odd)
            }
            None => {
                // A run that isn't a multiple of four long may have a prefix.
                let padding = block[end..].iter().take(2).take_while(|byte| **byte == b'=').count();
                let is_even = is_open || (characters.len() + padding).is_multiple_of(4);
                0..if is_even { 1 } else { 4 }
            }
        };
        Self { code, characters, skips, is_open }
    }

    /// Whether the gate would let anything of it through, which is quicker to tell than to set up a decoder, and nearly always no.
    fn is_worth_it(&self) -> bool {
        self.is_open
            || !is_dashed(self.characters)
                && self.skips.clone().any(|skip| is_worth_opening(self.code, &self.characters[skip..]))
    }
}

/// The next run that is worth decoding.
pub(super) fn find(block: &[u8], mut from: usize, to: usize) -> Option<Start> {
    loop {
        let (begins, next) = run(block, from, to)?;
        if Run::new(block, begins, next).is_worth_it() {
            return Some(Start { begins, next });
        }
        from = next;
    }
}

/// Whether a run is a UUID, or of such digits: dashes make base64url of them, which nobody has meant.
fn is_dashed(run: &[u8]) -> bool {
    are_hex(run, true) && run.contains(&b'-')
}

/// Whether a run is of hexadecimal digits, and how many characters to leave out at its front: `\x` of a PostgreSQL dump, `0x`.
fn hex_prefix(run: &[u8]) -> Option<usize> {
    let prefix = match run {
        [b'x', ..] => 1,
        [b'0', b'x', ..] => 2,
        _ => 0,
    };
    are_hex(&run[prefix..], false).then_some(prefix)
}

/// A decoder for each way to read the run.
pub(super) fn open(stream: &Stream, block: &[u8], start: &Start) -> Vec<Active> {
    let Run { code, skips, is_open, .. } = Run::new(block, start.begins, start.next);
    // Of several ways to read it, only one may have been found worth it.
    let is_judged = !is_open && skips.len() == 1;
    let decoder = |skip| -> Option<Active> {
        let gate = Gate::new(code, stream.seed(start.begins, code.name())?, is_judged);
        Some(Box::new(Decoder { code, gate, skip, line: 0 }))
    };
    skips.filter_map(decoder).collect()
}

/// A run on its way through the gate.
struct Decoder {
    code: Code,
    gate: Gate,
    /// Characters to leave out.
    skip: usize,
    /// Characters since the last line end.
    line: usize,
}

impl Decode for Decoder {
    fn push(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut at = self.skip.min(bytes.len());
        self.skip -= at;
        loop {
            let count = self.code.leading(&bytes[at..]);
            self.gate.put(&bytes[at..at + count]);
            (at, self.line) = (at + count, self.line.saturating_add(count));
            let byte = *bytes.get(at)?;
            if self.code != Code::Base64 || !wraps(byte, self.line) {
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
