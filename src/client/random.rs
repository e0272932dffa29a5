//! The suite's random numbers. Secrets and ids come from the operating system; choices come from the run's seed, so that
//! a run can be repeated without ever repeating a key, an IV or a repository id.

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
    let hex = hex(&b);
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a string can't fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Reproducible choices (SplitMix64): which bit to flip, which size to take. Nothing secret comes from here.
#[derive(Debug)]
pub struct Choices(u64);

impl Choices {
    /// Choices of a run's seed for one check.
    pub fn new(seed: u64, check: &str) -> Self {
        // FNV-1a keeps the checks' choices apart and independent of their order.
        let tag = check
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        Self(mixed(seed) ^ tag)
    }

    /// Choices of a run's seed for one of many. They are derived, not counted up: what is drawn of one seed says nothing about
    /// what is drawn of the next.
    pub fn numbered(seed: u64, kind: &str, number: u64) -> Self {
        Self(mixed(Self::new(seed, kind).draw() ^ mixed(number)))
    }

    /// The next 64 bits.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mixed(self.0)
    }

    /// A number below `bound` (which is at least 1).
    pub fn below(&mut self, bound: usize) -> usize {
        let bound = bound.max(1) as u64;
        usize::try_from(self.draw() % bound).unwrap_or(0)
    }
}

/// The finalizer of SplitMix64.
fn mixed(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_repeat_and_differ_by_check() {
        let draw = |seed, check| Choices::new(seed, check).draw();
        assert_eq!(draw(1, "a/b"), draw(1, "a/b"));
        assert_ne!(draw(1, "a/b"), draw(1, "a/c"));
        assert_ne!(draw(1, "a/b"), draw(2, "a/b"));
    }

    /// No case of a campaign is one of another campaign's.
    #[test]
    fn numbered_choices_are_of_one_seed_only() {
        let mut seen = std::collections::HashSet::new();
        for seed in 0..40 {
            for number in 0..40 {
                assert!(seen.insert(Choices::numbered(seed, "fuzz", number).draw()), "{seed} {number}");
            }
        }
        assert_eq!(Choices::numbered(3, "fuzz", 4).draw(), Choices::numbered(3, "fuzz", 4).draw());
    }

    #[test]
    fn uuid_has_the_usual_shape() {
        let id = uuid();
        assert_eq!(id.len(), 36);
        assert_eq!(&id[14..15], "4");
    }
}
