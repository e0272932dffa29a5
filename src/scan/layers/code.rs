//! Base64 and hexadecimal digits: which characters they have, what these stand for, and whether that may be text.

use super::lanes::{self, BLOCK};

/// Most bytes that a block and its neighbours stand for.
const AROUND: usize = 3 * BLOCK / 4 * 3;
const NONE: u8 = 255;

/// A spelling of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Code {
    /// In either alphabet, without padding.
    Base64,
    /// In either case.
    Hex,
}

/// Values of the characters of both base64 alphabets.
static SEXTETS: [u8; 256] = {
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
};

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

/// For each digit, whether a byte may stand in text or UTF-16 (printable, white space or zero) of which it gives the high bits.
static TEXT_DIGITS: [bool; 256] = {
    let mut table = [false; 256];
    let mut digit = 0;
    while digit < 256 {
        table[digit] = matches!(DIGITS[digit], 0 | 2..8);
        digit += 1;
    }
    table
};

/// Whether a byte is a character of base64, in either alphabet.
#[inline(always)]
pub(super) fn is_base64(byte: u8) -> bool {
    SEXTETS[usize::from(byte)] != NONE
}

impl Code {
    /// Its name for a report.
    pub fn name(self) -> &'static str {
        match self {
            Self::Base64 => "base64",
            Self::Hex => "hex",
        }
    }

    /// How many of its characters stand at the beginning of some bytes.
    pub fn leading(self, bytes: &[u8]) -> usize {
        match self {
            Self::Base64 => lanes::leading_base64(bytes),
            Self::Hex => bytes.iter().take_while(|byte| lanes::is_hex(**byte)).count(),
        }
    }

    /// Decodes characters, which have been looked at, as far as there is room; how many bytes.
    pub fn decode(self, characters: &[u8], out: &mut [u8]) -> usize {
        match self {
            Self::Base64 => {
                let (groups, rest) = characters.as_chunks::<4>();
                let places = out.as_chunks_mut::<3>().0;
                let count = groups.len().min(places.len());
                // Not by `zip`, which isn't inlined in builds of many small units.
                for at in 0..count {
                    places[at] = triple(groups[at]);
                }
                let length = count * 3;
                let mut last = [b'A'; 4];
                last[..rest.len()].copy_from_slice(rest);
                let last = &triple(last)[..rest.len() * 3 / 4];
                match out.get_mut(length..length + last.len()) {
                    Some(place) => place.copy_from_slice(last),
                    None => return length,
                }
                length + last.len()
            }
            Self::Hex => {
                let pairs = characters.as_chunks::<2>().0;
                for (byte, [high, low]) in out.iter_mut().zip(pairs) {
                    *byte = DIGITS[usize::from(*high)] << 4 | DIGITS[usize::from(*low)] & 15;
                }
                pairs.len().min(out.len())
            }
        }
    }

    /// Whether any word of eight bytes at a multiple of eight of what the characters stand for passes a test, which text and UTF-16
    /// alone may pass.
    pub fn any_word(self, characters: &[u8], passes: fn(&[u8; 8]) -> bool) -> bool {
        self.any_word_amid(characters, passes, |_| true)
    }

    /// The same, where what it stands amid, as far as the next words on both sides at least, has to pass a test as well.
    pub fn any_word_amid(self, characters: &[u8], passes: fn(&[u8; 8]) -> bool, amid: fn(&[u8]) -> bool) -> bool {
        let mut from = 0;
        while let Some(found) = self.text_block(characters, from) {
            let mut decoded = [0; AROUND];
            let mut test = |blocks: std::ops::Range<usize>, passes: &dyn Fn(&[u8]) -> bool| {
                let end = characters.len().min(blocks.end * BLOCK);
                let length = self.decode(&characters[blocks.start * BLOCK..end], &mut decoded);
                passes(&decoded[..length])
            };
            if test(found..found + 1, &|bytes| bytes.as_chunks::<8>().0.iter().any(passes))
                && test(found.saturating_sub(1)..found + 2, &amid)
            {
                return true;
            }
            from = found + 1;
        }
        false
    }

    /// The first block, from one on, in which there may be a word of text.
    fn text_block(self, characters: &[u8], from: usize) -> Option<usize> {
        match self {
            Self::Base64 => lanes::ascii_in_base64(characters, from),
            Self::Hex => text_in_hex(characters, from),
        }
    }
}

/// Likewise of hexadecimal digits, by those that give the high bits of a byte.
fn text_in_hex(digits: &[u8], from: usize) -> Option<usize> {
    let all =
        |word: &[u8], places: [usize; 4]| places.iter().fold(true, |all, at| all & TEXT_DIGITS[usize::from(word[*at])]);
    let may_hold = |block: &[u8]| {
        let words = block.as_chunks::<16>().0;
        words.iter().any(|word| all(word, [0, 2, 4, 6]) && all(word, [8, 10, 12, 14]))
    };
    digits.chunks(BLOCK).skip(from).position(may_hold).map(|after| from + after)
}

/// The values of characters at each place of four, where they stand in the three bytes.
static PLACED: [[u32; 256]; 4] = {
    let mut placed = [[0; 256]; 4];
    let mut character = 0;
    while character < 256 {
        let mut place = 0;
        while place < 4 {
            placed[place][character] = (SEXTETS[character] as u32 & 63) << (26 - 6 * place);
            place += 1;
        }
        character += 1;
    }
    placed
};

/// The bytes that four characters of base64 stand for.
#[inline(always)]
fn triple(group: [u8; 4]) -> [u8; 3] {
    // Not by `map`, which isn't inlined in builds of many small units.
    let value = |place: usize| PLACED[place][usize::from(group[place])];
    let [a, b, c, _] = (value(0) | value(1) | value(2) | value(3)).to_be_bytes();
    [a, b, c]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn characters_are_those_of_the_tables() {
        for byte in 0..=255 {
            assert_eq!(lanes::is_base64(byte), is_base64(byte), "{byte}");
            assert_eq!(lanes::is_hex(byte), DIGITS[usize::from(byte)] != NONE, "{byte}");
            assert_eq!(lanes::is_hex(byte), byte.is_ascii_hexdigit(), "{byte}");
        }
    }

    fn is_text(word: &[u8; 8]) -> bool {
        word.iter().all(|byte| matches!(byte, 0x20..0x80))
            || word.as_chunks::<2>().0.iter().all(|unit| unit[0] == 0 && matches!(unit[1], b'\t' | b'\n' | b' '..=b'~'))
    }

    proptest! {
        /// The quick look loses no word of text wherever it stands, nor is anything decoded wrong.
        #[test]
        fn words_of_text_are_seen(
            words in prop::collection::vec((0_u8..4, any::<[u8; 8]>()), 0..20),
            tail in prop::collection::vec(any::<u8>(), 0..8),
        ) {
            let as_text = |(kind, word): &(u8, [u8; 8])| match kind {
                0 => word.map(|byte| b' ' + byte % 96),
                1 => [0, b'\n', 0, b' ' + word[3] % 95, 0, b'\t', 0, b'~'],
                _ => *word,
            };
            let bytes = [words.iter().flat_map(as_text).collect(), tail].concat();
            let spelled = [
                (Code::Base64, crate::codec::base64::encode(&bytes).trim_end_matches('=').to_owned()),
                (Code::Hex, crate::ground::hex::encode(&bytes)),
            ];
            let expected = bytes.as_chunks::<8>().0.iter().any(is_text);
            for (code, text) in spelled {
                prop_assert_eq!(code.leading(format!("{text}.{text}").as_bytes()), text.len());
                let mut decoded = [0; 200];
                let length = code.decode(text.as_bytes(), &mut decoded);
                prop_assert_eq!(&decoded[..length], &bytes[..]);
                prop_assert_eq!(code.any_word(text.as_bytes(), is_text), expected, "{:?}", code);
            }
        }
    }
}
