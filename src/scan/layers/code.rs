//! Base64 and hexadecimal digits: which characters they have, what these stand for, and whether that may be text.

/// How many characters are judged together: base64 makes 24 bytes of them, hex 16, both multiples of eight.
const BLOCK: usize = 32;
/// Most bytes that a block stands for.
const DECODED: usize = BLOCK / 4 * 3;
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

/// For each character of a spelling, whether a byte may stand in text or UTF-16 (printable, white space or zero) of which the
/// character gives the high bits, but for its own highest bits, which belong to the byte before.
const fn texts(values: &[u8; 256], bits: u32, others: u32) -> [bool; 256] {
    let mut table = [false; 256];
    let mut character = 0;
    while character < 256 {
        let (mut low, given) = (0_u16, bits - others);
        while values[character] != NONE && low < 1 << (8 - given) {
            let byte = (values[character] as u16) << (8 - given) & 0xff | low;
            table[character] |= matches!(byte, 0 | 9 | 10 | 13 | 0x20..0x80);
            low += 1;
        }
        character += 1;
    }
    table
}

/// By the first character of four, about the first byte of three; by the second about the second, and by the third about the third.
static TEXT_SEXTETS: [[bool; 256]; 3] = [texts(&SEXTETS, 6, 0), texts(&SEXTETS, 6, 2), texts(&SEXTETS, 6, 4)];
static TEXT_DIGITS: [bool; 256] = texts(&DIGITS, 4, 0);

/// Whether a byte is a character of base64, in either alphabet.
#[inline(always)]
pub(super) fn is_base64(byte: u8) -> bool {
    SEXTETS[usize::from(byte)] != NONE
}

/// The same without a table, which suits vectors of bytes.
#[inline(always)]
fn is_base64_computed(byte: u8) -> bool {
    let is_letter = (byte | 0x20).wrapping_sub(b'a') < 26;
    // From plus to nine there are a comma and a full stop between.
    let is_other = byte.wrapping_sub(b'+') < 15 && byte & 0xfd != b',';
    is_letter | is_other | (byte == b'_')
}

/// Likewise for digits.
#[inline(always)]
fn is_hex_computed(byte: u8) -> bool {
    ((byte | 0x20).wrapping_sub(b'a') < 6) | (byte.wrapping_sub(b'0') < 10)
}

/// How many bytes at the beginning are such ones, whole blocks first: to ask for each byte alone is slow where one can't be guessed
/// from the one before.
#[inline(always)]
fn leading(bytes: &[u8], is_one: impl Fn(u8) -> bool) -> usize {
    let all = |block: &[u8]| block.iter().fold(true, |all, byte| all & is_one(*byte));
    let mut at = bytes.as_chunks::<BLOCK>().0.iter().take_while(|block| all(*block)).count() * BLOCK;
    at += bytes[at..].as_chunks::<8>().0.iter().take_while(|word| all(*word)).count() * 8;
    at + bytes[at..].iter().take_while(|byte| is_one(**byte)).count()
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
            Self::Base64 => leading(bytes, is_base64_computed),
            Self::Hex => leading(bytes, is_hex_computed),
        }
    }

    /// How many hexadecimal digits or dashes stand there.
    pub fn leading_with_dashes(bytes: &[u8]) -> usize {
        leading(bytes, |byte| is_hex_computed(byte) | (byte == b'-'))
    }

    /// Decodes characters, which have been looked at, as far as there is room; how many bytes.
    pub fn decode(self, characters: &[u8], out: &mut [u8]) -> usize {
        match self {
            Self::Base64 => {
                let (groups, rest) = characters.as_chunks::<4>();
                let places = out.as_chunks_mut::<3>().0;
                for (place, group) in places.iter_mut().zip(groups) {
                    *place = triple(*group);
                }
                let length = groups.len().min(places.len()) * 3;
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

    /// Whether any word of eight bytes at a multiple of eight of what the characters stand for passes a test, which text and
    /// UTF-16 alone may pass.
    pub fn any_word(self, characters: &[u8], passes: fn(&[u8; 8]) -> bool) -> bool {
        let decoded_passes = |block: &[u8]| {
            let mut decoded = [0; DECODED];
            let length = self.decode(block, &mut decoded);
            decoded[..length].as_chunks::<8>().0.iter().any(passes)
        };
        let (blocks, rest) = characters.as_chunks::<BLOCK>();
        blocks.iter().any(|block| self.may_hold_text(block) && decoded_passes(block)) || decoded_passes(rest)
    }

    /// Whether there may be a word of text in a block, by the characters that give the high bits of a byte: a look at less than half
    /// of the characters instead of decoding all.
    #[inline(always)]
    fn may_hold_text(self, block: &[u8; BLOCK]) -> bool {
        let by = |table: &[bool; 256], place: usize| table[usize::from(block[place])];
        match self {
            Self::Base64 => {
                let [first, second, third] = &TEXT_SEXTETS;
                let pair = |at: usize| by(first, at) & by(second, at + 1) & by(third, at + 2) & by(first, at + 4);
                // Two groups of four characters lie within a word as a whole, and of the first two words the beginning of a third.
                pair(0) & by(first, 8) | pair(12) & by(first, 20) | pair(24) & by(second, 29)
            }
            Self::Hex => {
                let all = |places: [usize; 3]| places.iter().fold(true, |all, place| all & by(&TEXT_DIGITS, *place));
                all([0, 2, 4]) & all([6, 8, 10]) | all([16, 18, 20]) & all([22, 24, 26])
            }
        }
    }
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
            assert_eq!(is_base64_computed(byte), is_base64(byte), "{byte}");
            assert_eq!(is_hex_computed(byte), DIGITS[usize::from(byte)] != NONE, "{byte}");
            assert_eq!(is_hex_computed(byte), byte.is_ascii_hexdigit(), "{byte}");
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
