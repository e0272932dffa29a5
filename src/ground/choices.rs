//! Choices that can be made again.

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
}
