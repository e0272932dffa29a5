//! Text in which some characters are escaped: JSON (`\/`, `\u002B`), URLs (`%2B`), HTML (`&#43;`, `&plus;`).
//!
//! Serializers escape more than they must: `/` as `\/` in PHP, `+` as `\u002B` in .NET, all that isn't ASCII in Python. JSON within
//! JSON doubles the backslashes, so every backslash goes that doesn't begin a `\u` or a line end (`\n`, `\r`). Line ends alone are
//! worth undoing where they wrap base64: elsewhere there are too many of them.

use super::base64::LINES;
use super::lanes::{BEFORE, STEP, is_base64, without_escapes};
use super::sink::Sink;
use crate::scan::stream::{Active, Decode, Start, Stream};

/// How far from the nearest escape text counts as touched by it, in bytes.
const REACH: usize = 256;
/// Longest escape, in bytes.
const LONGEST: usize = 10;
const NAMES: [(&[u8], u8); 8] = [
    (b"&plus;", b'+'),
    (b"&sol;", b'/'),
    (b"&equals;", b'='),
    (b"&lowbar;", b'_'),
    (b"&amp;", b'&'),
    (b"&lt;", b'<'),
    (b"&gt;", b'>'),
    (b"&quot;", b'"'),
];

/// The code point of an escape at the beginning of a text, and its length; `None` if there is none.
fn escape(text: &[u8]) -> Option<(u32, usize)> {
    let number = |digits: &[u8], radix| u32::from_str_radix(std::str::from_utf8(digits).ok()?, radix).ok();
    let sized = |digits: std::ops::Range<usize>| {
        let digits = text.get(digits)?;
        digits.iter().all(u8::is_ascii_hexdigit).then_some(digits)
    };
    match text {
        [b'%', ..] => Some((number(sized(1..3)?, 16)?, 3)),
        [b'\\', b'u', ..] => Some((number(sized(2..6)?, 16)?, 6)),
        [b'\\', b'/', ..] => Some((u32::from(b'/'), 2)),
        [b'&', b'#', rest @ ..] => {
            let end = rest.iter().take(LONGEST - 2).position(|byte| *byte == b';')?;
            let code = match &rest[..end] {
                [b'x' | b'X', digits @ ..] => number(digits, 16)?,
                digits => number(digits, 10)?,
            };
            Some((code, end + 3))
        }
        [b'&', ..] => {
            let named = NAMES.iter().find(|(name, _)| text.starts_with(name))?;
            Some((u32::from(named.1), named.0.len()))
        }
        _ => None,
    }
}

/// The line end that a text begins with, escaped as JSON does it.
fn line_end(text: &[u8]) -> Option<u8> {
    match text {
        [b'\\', b'n', ..] => Some(b'\n'),
        [b'\\', b'r', ..] => Some(b'\r'),
        _ => None,
    }
}

/// Whether a text ends with a line of wrapped base64, to which the `n` of the line end before it may seem to belong.
fn is_wrapped(text: &[u8]) -> bool {
    let line = without_backslashes(text).iter().rev().take_while(|byte| is_base64(**byte));
    (*LINES.start()..=LINES.end() + 1).contains(&line.take(LINES.end() + 2).count())
}

/// A text without the backslashes at its end, which JSON within JSON has doubled.
fn without_backslashes(text: &[u8]) -> &[u8] {
    let count = text.iter().rev().take_while(|byte| **byte == b'\\').count();
    &text[..text.len() - count]
}

/// Whether a byte is a character of base64, or of a line end between.
fn is_of_base64(byte: &u8) -> bool {
    is_base64(*byte) || matches!(byte, b'\r' | b'\n')
}

/// Where the text begins that leads to an escape: that much before it, or where base64 does that it stands in, on any number of
/// lines, as far as the block shows it. Cut off, base64 may be read wrong.
fn beginning(block: &[u8], escape: usize) -> usize {
    let before = without_backslashes(&block[..escape]);
    let run = before.iter().rev().take_while(|byte| is_of_base64(byte)).count();
    (before.len() - run).min(escape.saturating_sub(REACH))
}

/// The next escape, and the text that leads to it.
pub(super) fn find(block: &[u8], from: usize, to: usize) -> Option<Start> {
    let is_one = |at: &usize| match escape(&block[*at..]) {
        Some((_, length)) => is_amid_text(block, *at, *at + length),
        None => line_end(&block[*at..]).is_some() && is_wrapped(&block[..*at]),
    };
    let mut at = from;
    while at < to {
        // What comes before is looked at as well; at the edge every byte is.
        at += if at < BEFORE { 0 } else { without_escapes(&block[at - BEFORE..]) };
        let end = to.min(at + STEP);
        let mut all = memchr::memchr3_iter(b'\\', b'%', b'&', block.get(at..end)?).map(|position| at + position);
        if let Some(found) = all.find(is_one) {
            return Some(Start { begins: beginning(block, found), next: found + 1 });
        }
        at = end;
    }
    None
}

/// Whether there is text on both sides of an escape, as far as there is anything. In binary data escapes turn up by chance.
fn is_amid_text(block: &[u8], begin: usize, end: usize) -> bool {
    let is_text = |byte: &u8| matches!(byte, b' '..=b'~' | b'\t' | b'\n' | b'\r');
    block[begin.saturating_sub(2)..begin].iter().all(is_text) && block[end..].iter().take(2).all(is_text)
}

/// Its decoder.
pub(super) fn open(stream: &Stream, _: &[u8], start: &Start) -> Vec<Active> {
    let decoder = |inner| -> Active { Box::new(Escapes { sink: Sink::new(inner), held: Vec::new(), plain: 0 }) };
    stream.inner(start.begins, "escapes").map(decoder).into_iter().collect()
}

struct Escapes {
    sink: Sink,
    /// The beginning of what may be an escape; as long as it can be, at the most.
    held: Vec<u8>,
    /// Bytes since the last escape.
    plain: usize,
}

impl Escapes {
    /// Undoes the escape that the text begins with, if it does; how long what was taken is.
    fn step(&mut self, text: &[u8]) -> usize {
        match escape(text) {
            Some((code, length)) => {
                self.plain = 0;
                if code < 256 && text[0] == b'%' {
                    // A URL escapes bytes, not characters.
                    self.sink.put(code as u8);
                } else if let Some(character) = char::from_u32(code) {
                    character.encode_utf8(&mut [0; 4]).bytes().for_each(|byte| self.sink.put(byte));
                }
                length
            }
            None => {
                let (byte, length) = line_end(text).map_or((text[0], 1), |end| (end, 2));
                self.plain += length;
                if byte != b'\\' {
                    self.sink.put(byte);
                }
                length
            }
        }
    }
}

impl Decode for Escapes {
    fn push(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut at = 0;
        while at < bytes.len() {
            if !self.held.is_empty() {
                self.held.push(bytes[at]);
                at += 1;
                if self.held.len() == LONGEST {
                    self.release(1);
                }
                continue;
            }
            // What is encoded goes on to its end, on any number of lines: cut off, it may be read wrong from there on.
            let may_escape = matches!(bytes[at], b'\\' | b'%' | b'&');
            if self.plain > 2 * REACH && !may_escape && !is_of_base64(&bytes[at]) {
                return Some(at);
            }
            if !may_escape {
                self.plain += 1;
                self.sink.put(bytes[at]);
                at += 1;
            } else if bytes.len() - at < LONGEST {
                self.held.push(bytes[at]);
                at += 1;
            } else {
                at += self.step(&bytes[at..]);
            }
        }
        None
    }

    fn finish(mut self: Box<Self>) {
        self.release(usize::MAX);
        self.sink.finish();
    }
}

impl Escapes {
    /// Takes the first of what is held, and all that follows until the next possible escape; that many times.
    fn release(&mut self, times: usize) {
        for _ in 0..times {
            if self.held.is_empty() {
                return;
            }
            let held = std::mem::take(&mut self.held);
            let taken = self.step(&held);
            let mut rest = &held[taken..];
            while let Some((&byte, others)) = rest.split_first()
                && !matches!(byte, b'\\' | b'%' | b'&')
            {
                self.sink.put(byte);
                rest = others;
            }
            self.held = rest.to_vec();
        }
    }
}
