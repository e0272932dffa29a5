//! Lets encoded characters through, decoded, only where they can hold something that was encoded before.
//!
//! Most of what stands in base64 or hex where servers store things is ciphertext and keys, in which nothing can be found that
//! isn't found without decoding. What is worth a stream of its own is text, UTF-16, or compressed; the characters tell text
//! without being decoded, nearly always.

use super::code::Code;
use super::{compressed, utf16};
use crate::scan::stream::{Seed, Stream};

/// How many characters are let through or not together: a multiple of what stands for eight bytes.
const PIECE: usize = 512;
/// Most bytes that a piece stands for.
const DECODED: usize = PIECE / 4 * 3;
/// Characters of a piece that are decoded in any case; more than it takes to see that something isn't deflate, nearly always.
const HEAD: usize = 32;
/// How far from the beginning a zlib header, which is only two bytes, is taken for one.
const ZLIB_WITHIN: usize = 16;
/// Shortest text that spells twelve bytes of a secret: in base64, of which one character depends on what stands beside it.
const SHORTEST_TEXT: usize = 15;

/// Encoded characters on their way into a stream.
pub(super) struct Gate {
    code: Code,
    seed: Seed,
    stream: Option<Stream>,
    /// The piece that is being filled, and the one before.
    pieces: [[u8; PIECE]; 2],
    now: usize,
    filled: usize,
    /// How much of the piece before is held, because it wasn't let through.
    held: usize,
    /// Whether it was let through, and why.
    last: Let,
    is_first: bool,
    /// Whether what is to come has been found worth opening as a whole.
    is_judged: bool,
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
    pub fn new(code: Code, seed: Seed, is_judged: bool) -> Self {
        let (pieces, last) = ([[0; PIECE]; 2], Let::Nothing);
        Self { code, seed, stream: None, pieces, now: 0, filled: 0, held: 0, last, is_first: true, is_judged }
    }

    /// Takes characters of its code.
    pub fn put(&mut self, mut characters: &[u8]) {
        while !characters.is_empty() {
            if self.filled == PIECE {
                self.pass_on();
            }
            let (now, later) = characters.split_at(characters.len().min(PIECE - self.filled));
            self.pieces[self.now][self.filled..self.filled + now.len()].copy_from_slice(now);
            self.filled += now.len();
            characters = later;
        }
    }

    /// Judges a piece, and lets it through or holds it.
    fn pass_on(&mut self) {
        let piece = &self.pieces[self.now][..self.filled];
        let judged = match self.last {
            Let::Everything => Let::Everything,
            last if self.is_first => first_piece(self.code, piece).unwrap_or(last),
            _ if self.code.any_word(piece, is_text) => Let::Text,
            Let::Text => Let::Neighbour,
            _ => Let::Nothing,
        };
        if judged == Let::Nothing {
            self.held = self.filled;
        } else {
            let stream = self.stream.get_or_insert_with(|| self.seed.stream());
            let mut decoded = [0; DECODED];
            if self.held > 0 {
                // What was left out before must not seem to be joined to this.
                stream.feed(&[0; 8]);
                let length = self.code.decode(&self.pieces[1 - self.now][..self.held], &mut decoded);
                stream.feed(&decoded[..length]);
                self.held = 0;
            }
            let length = self.code.decode(piece, &mut decoded);
            stream.feed(&decoded[..length]);
        }
        (self.last, self.filled, self.is_first) = (judged, 0, false);
        self.now = 1 - self.now;
    }

    /// There is no more.
    pub fn finish(mut self) {
        if self.is_first && self.is_judged {
            self.last = Let::Everything;
        }
        self.pass_on();
        if let Some(stream) = self.stream {
            stream.finish();
        }
    }
}

/// Whether it is worth while to let these characters, which are all there are, through: whether something compressed begins in them,
/// or there is text that is long enough to spell a part of a secret. A word of text turns up in noise every few kilobytes.
pub(super) fn is_worth_opening(code: Code, all: &[u8]) -> bool {
    opens_for(code, all, spells_a_part)
}

/// Whether anything of them would be let through.
#[cfg(test)]
fn opens(code: Code, all: &[u8]) -> bool {
    opens_for(code, all, |_| true)
}

/// Likewise, of words of text only for those amid what passes a test.
fn opens_for(code: Code, all: &[u8], amid: fn(&[u8]) -> bool) -> bool {
    begins_compressed(code, &all[..all.len().min(PIECE)]) || code.any_word_amid(all, is_text, amid)
}

/// What to let through from the beginning. Blobs that are compressed are so from their beginning, or nearly.
fn first_piece(code: Code, piece: &[u8]) -> Option<Let> {
    if begins_compressed(code, piece) {
        Some(Let::Everything)
    } else {
        code.any_word(piece, is_text).then_some(Let::Text)
    }
}

/// Whether something compressed begins in a piece. Of base64 only the head is decoded, nearly always: what has no long sign begins
/// there, and long signs are told by their characters.
fn begins_compressed(code: Code, piece: &[u8]) -> bool {
    let mut decoded = [0; DECODED];
    let mut decode = |characters: &[u8], passes: fn(&[u8]) -> bool| {
        let length = code.decode(characters, &mut decoded);
        passes(&decoded[..length])
    };
    let head = &piece[..piece.len().min(HEAD)];
    let may_begin = code != Code::Base64
        || decode(head, |head| compressed::may_begin_near(head, ZLIB_WITHIN))
        || compressed::may_begin_in_base64(piece);
    may_begin && decode(piece, |bytes| compressed::begins_in(bytes, ZLIB_WITHIN))
}

/// Fifteen characters of text in a row have eight of them at a multiple of eight; UTF-16 all the more.
fn is_text(word: &[u8; 8]) -> bool {
    is_printable(u64::from_le_bytes(*word)) || utf16::parity(word).is_some()
}

/// Whether text of some length is among some bytes, or UTF-16.
fn spells_a_part(bytes: &[u8]) -> bool {
    let (mut length, mut longest) = (0, 0);
    for byte in bytes {
        length = if matches!(byte, b' '..=b'~') { length + 1 } else { 0 };
        longest = longest.max(length);
    }
    longest >= SHORTEST_TEXT || bytes.as_chunks().0.iter().any(|word| utf16::parity(word).is_some())
}

/// Whether all eight bytes are between a space and a tilde, or very nearly.
fn is_printable(word: u64) -> bool {
    let below_space = word.wrapping_sub(0x2020_2020_2020_2020) & !word;
    (below_space | word) & 0x8080_8080_8080_8080 == 0
}

#[cfg(test)]
mod tests {
    use ::base64::Engine as _;
    use ::base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
    use proptest::prelude::*;

    use super::*;
    use crate::client::random;

    /// Beginnings of what may be compressed, and of what is.
    const SIGNS: [&[u8]; 7] = [
        b"\x1f\x8b\x08\0\0\0\0\0",
        b"\x28\xb5\x2f\xfd",
        b"PK\x03\x04\x14\0\0\0\x08\0",
        b"\r\n\r\n",
        b"\x78\x9c",
        b"\x4b\x4c\x4a\x4e\x49\x4d\x4b\xcf\xc8\xcc\xca\xce\xc9\xcd\xcb\x2f\x28\x2c\x02\x00",
        b"\x08\x1d",
    ];

    proptest! {
        /// Text that spells a part of a secret is worth opening for, wherever it stands; UTF-16 likewise.
        #[test]
        fn any_part_is_worth_it(
            before in 0_usize..900,
            after in 0_usize..900,
            text in "[ -~]{15,40}",
            is_utf16 in any::<bool>(),
        ) {
            let utf16 = text.bytes().flat_map(|byte| [byte, 0]).collect();
            let text = if is_utf16 { utf16 } else { text.into_bytes() };
            let bytes = [random::vec(before), text, random::vec(after)].concat();
            prop_assert!(is_worth_opening(Code::Base64, STANDARD_NO_PAD.encode(&bytes).as_bytes()));
            prop_assert!(is_worth_opening(Code::Hex, crate::ground::hex::encode(&bytes).as_bytes()));
        }
    }

    proptest! {
        /// What is told without decoding is what decoding all of it tells.
        #[test]
        fn opens_for_what_decoding_would_show(
            parts in prop::collection::vec((0..SIGNS.len() + 4, 0_usize..120), 0..9),
        ) {
            let part = |(kind, length): &(usize, usize)| -> Vec<u8> {
                match SIGNS.get(*kind) {
                    Some(sign) => sign.to_vec(),
                    // Up to as much as is surely text.
                    None if *kind == SIGNS.len() => b"some words, all in ASCII"[..length % 20].to_vec(),
                    None if *kind == SIGNS.len() + 1 => [b'x', 0].repeat(length % 9),
                    None => random::vec(*length),
                }
            };
            let bytes: Vec<u8> = parts.iter().flat_map(part).collect();
            let first = &bytes[..bytes.len().min(DECODED)];
            let expected = compressed::begins_in(first, ZLIB_WITHIN) || bytes.as_chunks().0.iter().any(is_text);
            let spelled = [
                (Code::Base64, STANDARD_NO_PAD.encode(&bytes)),
                (Code::Base64, URL_SAFE_NO_PAD.encode(&bytes)),
            ];
            for (code, text) in spelled {
                prop_assert_eq!(opens(code, text.as_bytes()), expected, "{}", text);
            }
        }
    }
}
