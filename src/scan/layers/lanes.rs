//! Questions about many bytes at a time, as loops over blocks of a fixed length that compilers make vector instructions of: those
//! that every processor of a kind has, or better ones that are found when the program runs.

use multiversion::multiversion;

/// How many bytes are asked about together: characters of base64 that make three words of eight bytes.
pub(super) const BLOCK: usize = 32;

/// Whether a byte is a character of base64, in either alphabet.
#[inline(always)]
pub(super) fn is_base64(byte: u8) -> bool {
    let is_letter = (byte | 0x20).wrapping_sub(b'a') < 26;
    // From plus to nine there are a comma and a full stop between.
    let is_other = byte.wrapping_sub(b'+') < 15 && byte & 0xfd != b',';
    is_letter | is_other | (byte == b'_')
}

/// Likewise for digits.
#[inline(always)]
pub(super) fn is_hex(byte: u8) -> bool {
    ((byte | 0x20).wrapping_sub(b'a') < 6) | (byte.wrapping_sub(b'0') < 10)
}

/// How many characters of base64 stand at the beginning.
#[multiversion(targets("x86_64+avx2"))]
pub(super) fn leading_base64(bytes: &[u8]) -> usize {
    // Whole blocks first: to ask for each byte alone is slow where one can't be guessed from the one before.
    let all = |block: &[u8]| block.iter().fold(true, |all, byte| all & is_base64(*byte));
    let mut at = bytes.as_chunks::<BLOCK>().0.iter().take_while(|block| all(*block)).count() * BLOCK;
    at += bytes[at..].as_chunks::<8>().0.iter().take_while(|word| all(*word)).count() * 8;
    at + bytes[at..].iter().take_while(|byte| is_base64(**byte)).count()
}

/// Whether all are hexadecimal digits, or dashes if they may be.
pub(super) fn are_hex(bytes: &[u8], or_dashes: bool) -> bool {
    let is_one = |byte: u8| is_hex(byte) | (or_dashes & (byte == b'-'));
    bytes.chunks(BLOCK).all(|block| block.iter().fold(true, |all, byte| all & is_one(*byte)))
}

/// How many characters are asked about together, at the most, whether they stand for text: a multiple of eight bytes.
pub(super) const PIECE: usize = 512;

/// For each character of base64 that bit of its value that is the highest of a byte: of three bytes' the first of the first character,
/// the third of the second, and the fifth of the third. The bits are those of [`bits`].
static HIGHEST: [u8; PIECE] = {
    let mut bits = [0; PIECE];
    let mut at = 0;
    while at < bits.len() {
        bits[at] = [0x80, 8, 2, 0][at % 4];
        at += 1;
    }
    bits
};

/// The four lowest bits of the value of a letter, a digit or `+`, and 128 for the upper half of values. Of the other characters some
/// bits may be zero that shouldn't.
#[inline(always)]
fn bits(character: u8) -> u8 {
    let character = character as i8;
    let letter = if character >= 0x40 { -5 } else { 0 };
    let lower = if character >= 0x60 { 10 } else { 0 };
    let high = if character.wrapping_add(63) >= -90 { -128 } else { 0 };
    (character.wrapping_add(4).wrapping_add(letter).wrapping_add(lower) & 15 | high) as u8
}

/// The numbers of the blocks of base64, as bits, in which there may be a word of ASCII: eight bytes at a multiple of eight.
#[multiversion(targets("x86_64+avx2"))]
pub(super) fn ascii_in_base64(piece: &[u8]) -> u32 {
    let mut high = [0; PIECE];
    for ((high, character), highest) in high.iter_mut().zip(piece).zip(&HIGHEST) {
        *high = bits(*character) & highest;
    }
    let blocks = high.as_chunks::<BLOCK>().0.iter().take(piece.len().div_ceil(BLOCK));
    blocks.enumerate().fold(0, |all, (number, block)| all | u32::from(is_ascii_in(block)) << number)
}

/// Whether no byte of one of three words is above ASCII, by these bits.
#[inline(always)]
fn is_ascii_in(high: &[u8; BLOCK]) -> bool {
    let eight = |at: usize| high[at..].first_chunk().map_or(0, |eight| u64::from_le_bytes(*eight));
    let (a, b, c, d) = (eight(0), eight(8), eight(16), eight(24));
    // The words begin with the first, the eleventh and the twenty-second character.
    (a | b & 0xffff == 0) | (b >> 16 | c & 0xff_ffff_ffff == 0) | (c >> 40 | d == 0)
}

/// How many bytes are dismissed together, where no escape begins.
pub(super) const STEP: usize = 64;
/// How many bytes before the first that may begin one are looked at.
pub(super) const BEFORE: usize = 2;
/// And how many after the last one.
const AFTER: usize = 1;

/// How many bytes come, in steps and after the first two, in which no escape begins: in text, because there is no such character
/// at all; in binary data, where there is one every hundred bytes, because none has something like text around it.
#[multiversion(targets("x86_64+avx2"))]
pub(super) fn without_escapes(bytes: &[u8]) -> usize {
    let mut at = 0;
    while let Some(shown) = bytes.get(at..).and_then(|rest| rest.first_chunk())
        && !may_hold_escapes(shown)
    {
        at += STEP;
    }
    at
}

#[inline(always)]
fn may_hold_escapes(shown: &[u8; BEFORE + STEP + AFTER]) -> bool {
    let may_begin = |byte: u8| (byte.wrapping_sub(b'%') < 2) | (byte == b'\\');
    let is_like_text = |byte: u8| (byte.wrapping_sub(b' ') < 95) | (byte.wrapping_sub(b'\t') < 5);
    let (mut all, mut any) = (0, false);
    for byte in &shown[BEFORE..BEFORE + STEP] {
        all |= byte;
        any |= may_begin(*byte);
    }
    if !any || all < 128 {
        return any;
    }
    let mut amid_text = false;
    for at in 0..STEP {
        let around = is_like_text(shown[at]) & is_like_text(shown[at + 1]) & is_like_text(shown[at + 3]);
        amid_text |= may_begin(shown[at + BEFORE]) & around;
    }
    amid_text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// No character seems to stand for a high bit that it doesn't stand for.
    #[test]
    fn bits_that_are_set_are_those_of_the_value() {
        let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        for (character, value) in alphabet.iter().zip(0_u8..).chain([(&b'-', 62), (&b'_', 63)]) {
            let seen = bits(*character);
            assert!(seen & 0x80 == 0 || value & 0x20 != 0, "{character}");
            assert_eq!(seen & 10 & !value, 0, "{character}");
        }
    }
}
