//! The suite's random numbers: secrets and ids come from the operating system. What a run may repeat comes from its seed instead
//! ([`crate::ground::Choices`]), so that it can be repeated without ever repeating a key, an IV or a repository id.

use crate::ground::hex;

/// Random bytes of the operating system.
pub fn bytes<const N: usize>() -> [u8; N] {
    let mut out = [0; N];
    fill(&mut out);
    out
}

/// Fills a buffer with random bytes of the operating system.
pub fn fill(out: &mut [u8]) {
    getrandom::fill(out).expect("an operating system without random numbers can't do cryptography");
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
    fn uuid_has_the_usual_shape() {
        let id = uuid();
        assert_eq!(id.len(), 36);
        assert_eq!(&id[14..15], "4");
    }
}
