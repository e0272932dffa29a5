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
    let are = |bytes: &[u8]| bytes.iter().fold(true, |all, byte| all & (is_hex(*byte) | (or_dashes & (*byte == b'-'))));
    // Nearly always the first eight aren't.
    let (words, rest) = bytes.as_chunks::<8>();
    words.iter().all(|word| are(word)) && are(rest)
}

/// For each of the three words of eight bytes that a block of base64 stands for, and for each of its characters, that bit of its
/// value that is the highest of a byte of the word: of three bytes' the first of the first character, the third of the second, and
/// the fifth of the third. The bits are those of [`bits`].
static HIGHEST: [[u8; BLOCK]; 3] = {
    let mut words = [[0; BLOCK]; 3];
    let mut at = 0;
    while at < BLOCK {
        if at % 4 < 3 {
            words[(at / 4 * 3 + at % 4) / 8][at] = [0x80, 8, 2][at % 4];
        }
        at += 1;
    }
    words
};

/// What fills a block up: a character whose bits are all set, so that no word seems to be ASCII that isn't whole.
const FILLER: u8 = b'7';

/// Bits 2 and 8 of the value of a letter, a digit or `+`, and 128 for the upper half of values; other bits mean nothing. Of the other
/// characters some may be zero that shouldn't.
#[inline(always)]
fn bits(character: u8) -> u8 {
    // Modulo 16 the value of a digit is four more, and that of a letter one less or nine more. The rest takes the upper half of
    // values, which begins with `g`, to 128 and beyond, and nothing else.
    let letter = if character as i8 >= 0x40 { 0x7b } else { 0 };
    let lower = if character as i8 >= 0x60 { 0x3a } else { 0 };
    character.wrapping_add(0x64).wrapping_add(letter).wrapping_add(lower)
}

/// The first block of base64, from one on, in which there may be a word of ASCII: eight bytes at a multiple of eight.
#[multiversion(targets("x86_64+avx2"))]
pub(super) fn ascii_in_base64(characters: &[u8], from: usize) -> Option<usize> {
    let (blocks, rest) = characters.as_chunks::<BLOCK>();
    // Compilers that know the masks pick bytes one by one.
    let words = std::hint::black_box(&HIGHEST);
    for (number, block) in blocks.iter().enumerate().skip(from) {
        if may_hold_ascii(block, words) {
            return Some(number);
        }
    }
    let mut last = [FILLER; BLOCK];
    last[..rest.len()].copy_from_slice(rest);
    (from <= blocks.len() && may_hold_ascii(&last, words)).then_some(blocks.len())
}

/// Whether no byte of one of the three words is above ASCII, by the masks of the words.
#[inline(always)]
fn may_hold_ascii(block: &[u8; BLOCK], words: &[[u8; BLOCK]; 3]) -> bool {
    let mut seen = [0; BLOCK];
    // Not by `zip`, which isn't inlined in builds of many small units.
    for at in 0..BLOCK {
        seen[at] = bits(block[at]);
    }
    are_clear(&seen, &words[0]) || are_clear(&seen, &words[1]) || are_clear(&seen, &words[2])
}

/// Whether no bit of a mask is set.
#[inline(always)]
fn are_clear(bits: &[u8; BLOCK], mask: &[u8; BLOCK]) -> bool {
    (0..BLOCK).fold(true, |all, at| all & (bits[at] & mask[at] == 0))
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

/// How many bytes are dismissed together that are nearly all there are.
const FAR: usize = 128;

/// How many bytes come, in as many at a time, without any that every sign of something compressed has among its first three and text
/// seldom has: the first control characters, a carriage return, a circumflex, and all that isn't ASCII.
#[multiversion(targets("x86_64+avx2"))]
pub(super) fn without_signs(bytes: &[u8]) -> usize {
    let is_of_text = |byte: u8| (byte.wrapping_sub(b'\t') < 0x77) & (byte != b'\r') & (byte != b'^');
    let all = |block: &[u8]| block.iter().fold(true, |all, byte| all & is_of_text(*byte));
    bytes.as_chunks::<FAR>().0.iter().take_while(|block| all(*block)).count() * FAR
}

/// How many bytes come, in as many at a time, without a zero.
#[multiversion(targets("x86_64+avx2"))]
pub(super) fn without_zeros(bytes: &[u8]) -> usize {
    let all = |block: &[u8]| block.iter().fold(true, |all, byte| all & (*byte != 0));
    bytes.as_chunks::<FAR>().0.iter().take_while(|block| all(*block)).count() * FAR
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
