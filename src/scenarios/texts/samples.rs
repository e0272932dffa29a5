//! Texts, lengths and bytes that stores change: what columns cut, what parsers and templates read, what trims take away.

use crate::client::random;
use crate::codec::base64;

/// What stores, templates, parsers and terminals stumble over.
pub(super) const TEXTS: [&str; 29] = [
    "2024-05-01T12:00:00+02:00",
    "",
    "a ",
    " a",
    "a\n",
    "a\r\nb",
    "a\0b",
    "a\u{1b}[31mb",
    "cafe\u{301}",
    "stra\u{df}e",
    "UPPER lower",
    "\u{ff21}",
    "a\u{200b}b",
    "\u{feff}a",
    "a\u{2028}b",
    "\u{1f511}",
    "a'b''c",
    "a\"b",
    "a\\b\\\\n",
    "%41%25",
    "a+b",
    "a&amp;b<c>",
    "__proto__",
    "null",
    "1e3",
    "007",
    "a:b@c/d?e=f#g",
    "$$ $1 $& $' ${a} #{b} {c} {{d}} {0}",
    "%% %s %d %n %x \\1 \\$ <%= e %> `f` |g^h~i;j--k",
];
/// With `--thorough`, besides.
pub(super) const MORE_TEXTS: [&str; 28] = [
    " ",
    "a  b",
    "a\t",
    "a\rb",
    "\u{a0}a\u{a0}",
    "\u{3000}",
    "a\0",
    "\0",
    "a\u{1}b",
    "\u{7f}",
    "caf\u{e9}",
    "\u{212b}",
    "\u{130}I\u{131}i",
    "a\u{ad}b",
    "\u{202e}abc",
    "\u{1f468}\u{200d}\u{1f469}",
    "\u{fffd}",
    "\u{10ffff}",
    "\u{ffff}",
    "a\\u0041",
    "100%",
    "'; DROP TABLE x; --",
    "{{7*7}}${7*7}",
    "=1+1",
    "true",
    "0x10",
    "2024-02-30",
    "2024-05-01T12:00:00Z",
];

/// Characters around the ends of columns and buffers.
pub(super) const LENGTHS: [usize; 31] = [
    15, 16, 17, 31, 32, 33, 50, 63, 64, 65, 100, 101, 127, 128, 129, 191, 192, 254, 255, 256, 257, 511, 512, 513, 767,
    768, 1023, 1024, 1025, 2048, 4096,
];
/// Longer ones, for what may be long.
pub(super) const LONG: [usize; 10] = [4095, 4097, 8191, 8192, 16_383, 16_385, 32_767, 32_769, 65_535, 65_537];
/// Some MiB, with `--thorough`; an answer may have four.
pub(super) const VERY_LONG: [usize; 4] = [1_048_575, 1_048_577, 2_097_153, 3_145_729];

/// A text with a length that only characters of several bytes have.
pub(super) fn of_length(length: usize, pattern: &str) -> String {
    pattern.chars().cycle().take(length).collect()
}

/// Bytes that begin or end with what somebody might take away.
pub(super) fn odd_bytes(length: usize) -> Vec<(&'static str, Vec<u8>)> {
    let random = || {
        let mut bytes = vec![0; length];
        random::fill(&mut bytes);
        // Neither end is something to take away unless it is put there.
        bytes.iter_mut().filter(|byte| matches!(**byte, 0 | b' ' | b'\n' | b'\r')).for_each(|byte| *byte = 1);
        bytes
    };
    let ends = |bytes: &[u8]| {
        let mut all = random();
        all.splice(length - bytes.len().., bytes.iter().copied());
        all
    };
    let begins = |bytes: &[u8]| {
        let mut all = random();
        all.splice(..bytes.len(), bytes.iter().copied());
        all
    };
    let mut inside = random();
    inside[length / 2] = 0;
    vec![
        ("zeros at the end", ends(&[0, 0])),
        ("blanks at the end", ends(b"  ")),
        ("a line feed at the end", ends(b"\n")),
        ("CRLF at the end", ends(b"\r\n")),
        ("zeros at the beginning", begins(&[0, 0])),
        ("blanks at the beginning", begins(b"  ")),
        ("a byte order mark at the beginning", begins(&[0xef, 0xbb, 0xbf])),
        ("the signature of gzip at the beginning", begins(&[0x1f, 0x8b, 8])),
        ("a zero inside", inside),
        ("nothing but zeros", vec![0; length]),
        ("nothing but blanks", vec![b' '; length]),
        ("nothing but digits", vec![b'7'; length]),
        ("nothing but ones", vec![0xff; length]),
    ]
}

/// Base64 of so many characters, rounded up to the next four; half of them end in padding.
pub(super) fn base64_of(length: usize) -> String {
    let groups = length.div_ceil(4);
    let mut bytes = vec![0; groups * 3 - groups % 2];
    random::fill(&mut bytes);
    base64::encode(&bytes)
}
