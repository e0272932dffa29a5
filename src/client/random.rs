//! The suite's random numbers: secrets and ids come from the operating system. What a run may repeat comes from its seed instead
//! ([`crate::ground::Choices`]), so that it can be repeated without ever repeating a key, an IV or a repository id.

use std::cell::RefCell;

use crate::ground::hex;

/// Random bytes of the operating system.
pub fn bytes<const N: usize>() -> [u8; N] {
    let mut out = [0; N];
    fill(&mut out);
    out
}

/// The same with plain ends ([`has_plain_ends`]).
pub fn plain<const N: usize>() -> [u8; N] {
    loop {
        let out = bytes();
        if has_plain_ends(&out) {
            return out;
        }
    }
}

/// Whether bytes neither begin nor end with a zero or a blank, which some servers lose. Checks that are about such bytes set them; anywhere
/// else they would now and then make a check fail that is about something else.
pub fn has_plain_ends(bytes: &[u8]) -> bool {
    let is_plain = |byte: Option<&u8>| byte.is_none_or(|byte| !matches!(byte, 0 | b' '));
    is_plain(bytes.first()) && is_plain(bytes.last())
}

/// Fills a buffer with random bytes of the operating system.
pub fn fill(out: &mut [u8]) {
    /// So many bytes are had at a time: a run wants 48,000 times a few.
    const AT_A_TIME: usize = 512;
    thread_local! {
        static AHEAD: RefCell<([u8; AT_A_TIME], usize)> = const { RefCell::new(([0; AT_A_TIME], AT_A_TIME)) };
    }
    let ask = |out: &mut [u8]| {
        getrandom::fill(out).expect("an operating system without random numbers can't do cryptography");
    };
    if out.len() > AT_A_TIME / 4 {
        return ask(out);
    }
    AHEAD.with_borrow_mut(|(ahead, used)| {
        if ahead.len() - *used < out.len() {
            ask(ahead);
            *used = 0;
        }
        let taken = &mut ahead[*used..*used + out.len()];
        out.copy_from_slice(taken);
        taken.fill(0);
        *used += out.len();
    });
}

/// So many random bytes.
pub fn vec(length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    fill(&mut bytes);
    bytes
}

/// A random (version 4) UUID: the shape of repository ids in the specification's examples.
pub fn uuid() -> String {
    let mut b = bytes::<16>();
    b[6] = b[6] & 0x0f | 0x40;
    b[8] = b[8] & 0x3f | 0x80;
    let hex = hex::encode(&b);
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_bytes_are_given_twice() {
        let mut seen = std::collections::HashSet::new();
        for length in (16..200).cycle().take(2000) {
            let given = vec(length);
            assert!(given.windows(8).step_by(8).all(|part| seen.insert(part.to_vec())), "{length} bytes");
        }
    }

    #[test]
    fn plain_ends_are_neither_zero_nor_blank() {
        for (bytes, plain) in
            [(&b""[..], true), (b"a\0 b", true), (b"\0b", false), (b"a\0", false), (b" b", false), (b"a ", false)]
        {
            assert_eq!(has_plain_ends(bytes), plain, "{bytes:?}");
        }
        assert!((0..2000).all(|_| has_plain_ends(&plain::<12>())));
    }

    #[test]
    fn uuid_has_the_usual_shape() {
        let id = uuid();
        assert_eq!(id.len(), 36);
        assert_eq!(&id[14..15], "4");
    }
}
