//! Base64 in both alphabets, and hexadecimal digits: runs of their characters.
//!
//! The searcher knows secrets in base64 and hex by itself; what is decoded here is for what was encoded before it was encoded,
//! and for compressed data in base64; the [`Gate`] lets nothing else through.

use super::gate::{Gate, opens};
use super::{Active, Decode, Start};
use crate::scan::stream::Stream;

/// Shorter runs hold no twelve bytes that were encoded before.
const SHORTEST: usize = 20;
/// Of a run that long, one word of eight bytes at a multiple of this lies within it.
const STEP: usize = SHORTEST - 8 + 1;
/// Line lengths of wrapped base64 that are read as one run.
const LINES: std::ops::RangeInclusive<usize> = 60..=76;

/// How far a run is looked at before it is decoded, in characters.
const SHOWN: usize = 256;

const NONE: u8 = 255;

const fn values() -> [u8; 256] {
    let mut table = [NONE; 256];
    let mut value = 0;
    while value < 26 {
        table[b'A' as usize + value as usize] = value;
        table[b'a' as usize + value as usize] = value + 26;
        value += 1;
    }
    let mut digit = 0;
    while digit < 10 {
        table[b'0' as usize + digit as usize] = 52 + digit;
        digit += 1;
    }
    (table[b'+' as usize], table[b'-' as usize]) = (62, 62);
    (table[b'/' as usize], table[b'_' as usize]) = (63, 63);
    table
}

static VALUES: [u8; 256] = values();

fn is_base64(byte: &u8) -> bool {
    VALUES[usize::from(*byte)] != NONE
}

fn is_hex(byte: &u8) -> bool {
    byte.is_ascii_hexdigit()
}

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
        if !may_be_inside(number) || !word.iter().all(is_base64) {
            at += STEP;
            continue;
        }
        let begin = at - block[from..at].iter().rev().take_while(|byte| is_base64(byte)).count();
        let end = at + block[at..].iter().take(SHOWN).take_while(|byte| is_base64(byte)).count();
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
    let run = &block[begins..end];
    let mut decoded = [0; SHOWN];
    if let Some(prefix) = hex_prefix(run) {
        let odd = (run.len() - prefix) % 2;
        return (prefix..=prefix + odd).any(|skip| {
            let pairs = run[skip..].as_chunks::<2>().0;
            for (byte, [high, low]) in decoded.iter_mut().zip(pairs) {
                *byte = DIGITS[usize::from(*high)] << 4 | DIGITS[usize::from(*low)] & 15;
            }
            opens(&decoded[..pairs.len()])
        });
    }
    alignments(block, begins, end).any(|skip| {
        let (groups, rest) = run[skip..].as_chunks::<4>();
        let (places, _) = decoded.as_chunks_mut::<3>();
        for (place, group) in places.iter_mut().zip(groups) {
            *place = decode_group(group.map(|byte| VALUES[usize::from(byte)]));
        }
        let (last, count) = decode_quad(rest);
        let length = groups.len() * 3;
        decoded[length..length + count].copy_from_slice(&last[..count]);
        opens(&decoded[..length + count])
    })
}

/// The bytes that four values of six bits stand for.
#[inline(always)]
fn decode_group([a, b, c, d]: [u8; 4]) -> [u8; 3] {
    [a << 2 | b >> 4, b << 4 | c >> 2, c << 6 | d]
}

/// Whether a run is of hexadecimal digits, and how many characters to leave out at its front: `\x` of a PostgreSQL dump, `0x`.
fn hex_prefix(run: &[u8]) -> Option<usize> {
    let prefix = match run {
        [b'x', ..] => 1,
        [b'0', b'x', ..] => 2,
        _ => 0,
    };
    run[prefix..].iter().all(is_hex).then_some(prefix)
}

/// Up to four characters of base64, which have been looked at, and the bytes they stand for.
fn decode_quad(quad: &[u8]) -> ([u8; 3], usize) {
    if quad.is_empty() {
        return ([0; 3], 0);
    }
    let bits = quad.iter().fold(0, |bits, byte| bits << 6 | u32::from(VALUES[usize::from(*byte)] & 63));
    let bits = bits << (6 * (4 - quad.len()));
    ([(bits >> 16) as u8, (bits >> 8) as u8, bits as u8], quad.len() * 3 / 4)
}

/// A decoder for each way to read the run.
pub(super) fn open(stream: &Stream, block: &[u8], start: &Start) -> Vec<Active> {
    let run = &block[start.begins..start.next];
    if let Some(prefix) = hex_prefix(run) {
        let odd = !is_open(block, start.begins, start.next) && (run.len() - prefix) % 2 == 1;
        let decoder = |skip| -> Option<Active> {
            let gate = Gate::new(stream.seed(start.begins, "hex")?);
            Some(Box::new(Hex { gate, skip, high: None }))
        };
        return (prefix..=prefix + usize::from(odd)).filter_map(decoder).collect();
    }
    let decoder = |skip| -> Option<Active> {
        let gate = Gate::new(stream.seed(start.begins, "base64")?);
        Some(Box::new(Base64 { gate, skip, quad: [0; 4], filled: 0, line: 0 }))
    };
    alignments(block, start.begins, start.next).filter_map(decoder).collect()
}

struct Base64 {
    gate: Gate,
    skip: usize,
    quad: [u8; 4],
    filled: usize,
    /// Characters since the last line end.
    line: usize,
}

impl Base64 {
    /// Takes whole groups of four as long as there is nothing else; how many characters.
    fn groups(&mut self, bytes: &[u8]) -> usize {
        let mut taken = 0;
        for group in bytes.as_chunks::<4>().0 {
            let values = group.map(|byte| VALUES[usize::from(byte)]);
            if values.iter().fold(0, |all, value| all | value) & 0x80 != 0 {
                break;
            }
            self.gate.put(decode_group(values));
            taken += 4;
        }
        self.line += taken;
        taken
    }
}

impl Decode for Base64 {
    fn push(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut at = 0;
        while let Some(byte) = bytes.get(at) {
            if self.skip > 0 {
                self.skip -= 1;
            } else if is_base64(byte) {
                if self.filled == 0 {
                    let taken = self.groups(&bytes[at..]);
                    if taken > 0 {
                        at += taken;
                        continue;
                    }
                }
                self.quad[self.filled] = *byte;
                self.filled += 1;
                self.line += 1;
                if self.filled == 4 {
                    self.gate.put(decode_quad(&self.quad).0);
                    self.filled = 0;
                }
            } else if *byte == b'\n' && LINES.contains(&self.line) {
                self.line = 0;
            } else if *byte != b'\r' || !LINES.contains(&self.line) {
                return Some(at);
            }
            at += 1;
        }
        None
    }

    fn finish(mut self: Box<Self>) {
        if self.filled > 1 {
            let (bytes, count) = decode_quad(&self.quad[..self.filled]);
            self.gate.put_some(&bytes[..count]);
        }
        self.gate.finish();
    }
}

struct Hex {
    gate: Gate,
    skip: usize,
    high: Option<u8>,
}

/// Values of hexadecimal digits.
static DIGITS: [u8; 256] = {
    let mut table = [NONE; 256];
    let mut value = 0;
    while value < 16 {
        table[b"0123456789abcdef"[value] as usize] = value as u8;
        table[b"0123456789ABCDEF"[value] as usize] = value as u8;
        value += 1;
    }
    table
};

impl Decode for Hex {
    fn push(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut at = 0;
        while at < bytes.len() {
            if self.skip == 0 && self.high.is_none() {
                // Three bytes at a time, as long as there is nothing but digits.
                for group in bytes[at..].chunks_exact(6) {
                    let [a, b, c, d, e, f] = [0, 1, 2, 3, 4, 5].map(|at| DIGITS[usize::from(group[at])]);
                    if (a | b | c | d | e | f) & 0x80 != 0 {
                        break;
                    }
                    self.gate.put([a << 4 | b, c << 4 | d, e << 4 | f]);
                    at += 6;
                }
            }
            let Some(byte) = bytes.get(at) else { break };
            let digit = DIGITS[usize::from(*byte)];
            if self.skip > 0 {
                self.skip -= 1;
            } else if digit == NONE {
                return Some(at);
            } else if let Some(high) = self.high.take() {
                self.gate.put_some(&[high << 4 | digit]);
            } else {
                self.high = Some(digit);
            }
            at += 1;
        }
        None
    }

    fn finish(self: Box<Self>) {
        self.gate.finish();
    }
}
