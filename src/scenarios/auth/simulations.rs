//! Generators whose outputs show their state only to somebody who undoes what they do to it: PCG, V8's `Math.random`, xoshiro, .NET's `Random`.
//!
//! Here, too, a rule speaks only where it agrees in 64 bits or more.

use super::arithmetic::{complexity, inverse, unshift};

/// The generator that made these words of 32 bits.
pub fn of_words(words: &[u32]) -> Option<&'static str> {
    let high: Vec<u8> = words.iter().map(|word| word.to_be_bytes()[0]).collect();
    if permuted_congruential(words) {
        return Some("PCG32");
    }
    math_random(&high, 8).then_some(MATH_RANDOM)
}

/// The generator that made these words of 64 bits.
pub fn of_wide_words(words: &[u64]) -> Option<&'static str> {
    starred(words).then_some("xoshiro256** or xoroshiro128**")
}

/// The generator that made these bytes, one output for each.
pub fn of_bytes(bytes: &[u8]) -> Option<&'static str> {
    if subtractive(bytes) {
        return Some(".NET's System.Random");
    }
    let digits: Option<Vec<u8>> =
        bytes.iter().map(|&byte| (byte as char).to_digit(16).map(|digit| digit as u8)).collect();
    let found = math_random(bytes, 8)
        || math_random(&sextets(bytes), 6)
        || digits.is_some_and(|digits| math_random(&digits, 4));
    found.then_some(MATH_RANDOM)
}

const MATH_RANDOM: &str = "V8's Math.random";

/// The characters of base64 as numbers: a nonce may have been put together of them.
fn sextets(bytes: &[u8]) -> Vec<u8> {
    let of_three = |three: &[u8]| {
        let bits = three.iter().fold(0_u32, |bits, &byte| bits << 8 | u32::from(byte));
        [18, 12, 6, 0].map(|shift| (bits >> shift & 63) as u8)
    };
    bytes.chunks_exact(3).flat_map(of_three).collect()
}

const PCG_FACTOR: u64 = 6_364_136_223_846_793_005;
/// What an output says nothing of: the lowest bits of the state.
const HIDDEN: u32 = 27;
const KNOWN: u64 = (1 << (64 - HIDDEN)) - 1;

/// The upper 37 bits of the state behind an output, if its upper five are these (PCG-XSH-RR, O'Neill 2014 §6.3).
fn state_above(output: u32, rotation: u32) -> u64 {
    unshift(u64::from(rotation) << 32 | u64::from(output.rotate_left(rotation)), 18)
}

fn output_of(above: u64) -> u32 {
    ((above ^ above >> 18) as u32).rotate_right((above >> 32) as u32)
}

/// Three outputs and a guess of their rotations give two steps of a congruential generator but for their lower bits, which are small and so
/// the only solution (the nearest point of a lattice of two dimensions). The next outputs prove it, whatever the stream.
fn permuted_congruential(outputs: &[u32]) -> bool {
    let Some(seen) = outputs.get(..7) else { return false };
    let states: Vec<Vec<u64>> =
        seen[..3].iter().map(|&output| (0..32).map(|rotation| state_above(output, rotation)).collect()).collect();
    let basis = reduced((1, i128::from(PCG_FACTOR)), (0, 1 << 64));
    let step = |from: u64, to: u64| to.wrapping_sub(from) << HIDDEN;
    states[0].iter().any(|&first| {
        states[1].iter().any(|&second| {
            let one = step(first, second);
            states[2].iter().any(|&third| {
                let gap = PCG_FACTOR.wrapping_mul(one).wrapping_sub(step(second, third));
                let Some((_, low)) = small_solution(basis, gap) else { return false };
                let last = step(second, third).wrapping_add_signed(low);
                continues(third, last, &seen[3..])
            })
        })
    })
}

/// Whether the next outputs are these, after a state of which the upper bits are known, and the step that led to it.
fn continues(above: u64, mut step: u64, outputs: &[u32]) -> bool {
    let mut sum = 0_u64;
    outputs.iter().all(|&output| {
        step = step.wrapping_mul(PCG_FACTOR);
        sum = sum.wrapping_add(step);
        // The lower bits may carry.
        (0..2).any(|carry| output_of(above.wrapping_add(sum >> HIDDEN).wrapping_add(carry) & KNOWN) == output)
    })
}

type Vector = (i128, i128);

fn less(from: Vector, times: i128, what: Vector) -> Vector {
    (from.0 - times * what.0, from.1 - times * what.1)
}

fn dot(a: Vector, b: Vector) -> i128 {
    // Vectors of the lattice are shorter than 2^65 before, and near 2^32 after: scaled, so that products fit.
    (a.0 >> 4) * (b.0 >> 4) + (a.1 >> 4) * (b.1 >> 4)
}

fn nearest(numerator: i128, denominator: i128) -> i128 {
    (2 * numerator + denominator).div_euclid(2 * denominator)
}

/// A short basis of the same lattice (Lagrange and Gauss).
fn reduced(mut a: Vector, mut b: Vector) -> (Vector, Vector) {
    for _ in 0..256 {
        if dot(a, a) < dot(b, b) {
            std::mem::swap(&mut a, &mut b);
        }
        let times = nearest(dot(a, b), dot(b, b).max(1));
        if times == 0 {
            break;
        }
        a = less(a, times, b);
    }
    (a, b)
}

/// Differences of lower bits that close this gap.
fn small_solution((a, b): (Vector, Vector), gap: u64) -> Option<(i64, i64)> {
    let (gap, area) = (i128::from(gap), a.0 * b.1 - a.1 * b.0);
    // (0, -gap) in terms of the basis, rounded.
    let (u, v) = (nearest(gap * b.0 * area.signum(), area.abs()), nearest(-gap * a.0 * area.signum(), area.abs()));
    let point = (u * a.0 + v * b.0, u * a.1 + v * b.1 + gap);
    let fits = point.0.abs() < 1 << HIDDEN && point.1.abs() < 1 << HIDDEN;
    fits.then(|| Some((i64::try_from(point.0).ok()?, i64::try_from(point.1).ok()?))).flatten()
}

/// How many outputs of `Math.random` are looked at; 64 are made at once and given out from the last to the first.
const OBSERVED: usize = 72;
const AT_ONCE: usize = 64;

/// The upper bits of outputs are sums of bits of the state (xorshift128): 128 unknowns in several hundred equations.
fn math_random(outputs: &[u8], bits: usize) -> bool {
    let Some(seen) = outputs.get(..OBSERVED) else { return false };
    let sums = sums_of_state(AT_ONCE * 3);
    (0..AT_ONCE).any(|begun| {
        let equations = seen.iter().enumerate().flat_map(|(at, &output)| {
            let at = begun + at;
            let made = at / AT_ONCE * AT_ONCE + AT_ONCE - 1 - at % AT_ONCE;
            (0..bits).map(move |bit| (made, 63 - bit, output >> (bits - 1 - bit) & 1 == 1))
        });
        solvable(equations.map(|(made, bit, value)| (sums[made][bit], value)))
    })
}

/// For each output, which bits of the first state each of its bits is the sum of.
fn sums_of_state(count: usize) -> Vec<[u128; 64]> {
    let mut one: [u128; 64] = std::array::from_fn(|bit| 1 << bit);
    let mut other: [u128; 64] = std::array::from_fn(|bit| 1 << (64 + bit));
    let left =
        |word: [u128; 64], by: usize| std::array::from_fn(|bit| word[bit] ^ if bit >= by { word[bit - by] } else { 0 });
    let right = |word: [u128; 64], by: usize| {
        std::array::from_fn(|bit| word[bit] ^ if bit + by < 64 { word[bit + by] } else { 0 })
    };
    let mut all = Vec::new();
    for _ in 0..count {
        let mixed: [u128; 64] = right(left(one, 23), 17);
        one = other;
        let kept: [u128; 64] = std::array::from_fn(|bit| one[bit] ^ if bit + 26 < 64 { one[bit + 26] } else { 0 });
        other = std::array::from_fn(|bit| mixed[bit] ^ kept[bit]);
        all.push(one);
    }
    all
}

/// Whether there is a state with all these sums; random ones have one with a probability of 2^-100 or less.
fn solvable(equations: impl Iterator<Item = (u128, bool)>) -> bool {
    let mut by_lead = [None; 128];
    for (mut sum, mut value) in equations {
        while sum != 0 {
            let lead = sum.trailing_zeros() as usize;
            match by_lead[lead] {
                Some((known, its)) => (sum, value) = (sum ^ known, value ^ its),
                None => {
                    by_lead[lead] = Some((sum, value));
                    break;
                }
            }
        }
        if sum == 0 && value {
            return false;
        }
    }
    true
}

/// `rotl(s · 5, 7) · 9` undone; what is left follows a linear recurrence of 128 or 256 bits.
fn starred(outputs: &[u64]) -> bool {
    let plain = |&output: &u64| output.wrapping_mul(inverse(9)).rotate_right(7).wrapping_mul(inverse(5));
    let bits: Vec<bool> = outputs.iter().take(1024).map(|output| plain(output) & 1 == 1).collect();
    complexity(&bits) + 40 < bits.len() / 2
}

/// The lowest bytes of outputs that are the differences of two earlier ones, modulo 2^31 - 1.
fn subtractive(bytes: &[u8]) -> bool {
    let differences = (55..bytes.len()).take(64);
    differences.len() >= 16
        && differences
            .into_iter()
            .all(|at| matches!(bytes[at].wrapping_sub(bytes[at - 55]).wrapping_add(bytes[at - 34]), 0 | 1 | 255))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::random;

    #[test]
    fn pcg_is_recognised_whatever_its_stream() {
        for stream in [1_442_695_040_888_963_407_u64, 0xda3e_39cb_94b9_5bdb, 1] {
            let mut state = u64::from_le_bytes(random::bytes());
            let outputs: Vec<u32> = (0..40)
                .map(|_| {
                    let old = state;
                    state = old.wrapping_mul(PCG_FACTOR).wrapping_add(stream);
                    (((old >> 18 ^ old) >> 27) as u32).rotate_right((old >> 59) as u32)
                })
                .collect();
            assert_eq!(of_words(&outputs), Some("PCG32"));
        }
        // The first outputs of O'Neill's demonstration (pcg32 with the seed 42 and the stream 54).
        let published =
            [0xa15c_02b7, 0x7b47_f409, 0xba1d_3330, 0x83d2_f293, 0xbfa4_784b, 0xcbed_606e, 0xbfc6_a3ad, 0x812f_ff6d];
        assert!(permuted_congruential(&published));
    }

    /// V8's, as it fills its cache and empties it from the end.
    fn v8() -> impl FnMut() -> f64 {
        let (mut one, mut other) = (u64::from_le_bytes(random::bytes()), u64::from_le_bytes(random::bytes()));
        let mut cache = Vec::new();
        move || {
            if cache.is_empty() {
                cache = (0..64)
                    .map(|_| {
                        let mut mixed = one;
                        one = other;
                        mixed ^= mixed << 23;
                        mixed ^= mixed >> 17;
                        mixed ^= one;
                        mixed ^= one >> 26;
                        other = mixed;
                        (one >> 12) as f64 / (1_u64 << 52) as f64
                    })
                    .collect();
            }
            cache.pop().unwrap()
        }
    }

    #[test]
    fn math_random_is_recognised() {
        for skipped in [0, 5, 63] {
            let mut random = v8();
            for _ in 0..skipped {
                random();
            }
            let bytes: Vec<u8> = (0..300).map(|_| (random() * 256.0) as u8).collect();
            assert_eq!(of_bytes(&bytes), Some(MATH_RANDOM));
            let words: Vec<u32> = (0..100).map(|_| (random() * 4_294_967_296.0) as u32).collect();
            assert_eq!(of_words(&words), Some(MATH_RANDOM));
            let digits: Vec<u8> = (0..100).map(|_| b"0123456789abcdef"[(random() * 16.0) as usize]).collect();
            assert_eq!(of_bytes(&digits), Some(MATH_RANDOM));
        }
    }

    #[test]
    fn stars_and_differences_are_undone() {
        let mut s: [u64; 4] = std::array::from_fn(|_| u64::from_le_bytes(random::bytes()));
        let mut xoshiro = || {
            let result = s[1].wrapping_mul(5).rotate_left(7).wrapping_mul(9);
            let t = s[1] << 17;
            s[2] ^= s[0];
            s[3] ^= s[1];
            s[1] ^= s[2];
            s[0] ^= s[3];
            s[2] ^= t;
            s[3] = s[3].rotate_left(45);
            result
        };
        let words: Vec<u64> = (0..640).map(|_| xoshiro()).collect();
        assert!(of_wide_words(&words).is_some());
        let mut past: Vec<i64> = (0..55).map(|_| i64::from(u32::from_le_bytes(random::bytes()) >> 1)).collect();
        let bytes: Vec<u8> = (0..200)
            .map(|_| {
                let next = (past[past.len() - 55] - past[past.len() - 34]).rem_euclid((1 << 31) - 1);
                past.push(next);
                next.to_le_bytes()[0]
            })
            .collect();
        assert_eq!(of_bytes(&bytes), Some(".NET's System.Random"));
    }

    #[test]
    fn random_bytes_are_none_of_them() {
        for _ in 0..3 {
            let bytes: Vec<u8> = (0..160).flat_map(|_| random::bytes::<32>()).collect();
            let words: Vec<u32> =
                bytes.chunks_exact(4).map(|word| u32::from_le_bytes(word.try_into().unwrap())).collect();
            let wide: Vec<u64> =
                bytes.chunks_exact(8).map(|word| u64::from_le_bytes(word.try_into().unwrap())).collect();
            assert_eq!((of_bytes(&bytes), of_words(&words), of_wide_words(&wide)), (None, None, None));
        }
    }
}
