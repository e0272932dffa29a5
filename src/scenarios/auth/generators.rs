//! Random number generators that give themselves away: after some outputs all others can be computed.
//!
//! A rule speaks only where it agrees in 64 bits or more; a linear complexity is believed when it is 40 below what n random bits have, which
//! happens with a probability of 2^-80.

use super::arithmetic::{complexity, inverse, unshift};
use super::simulations;

/// The generator that made these nonces, one after the other, in words.
pub fn recognised(nonces: &[Vec<u8>]) -> Option<String> {
    let forward: Vec<u8> = nonces.concat();
    let reversed: Vec<u8> = nonces.iter().flat_map(|nonce| nonce.iter().rev().copied()).collect();
    for stream in [&forward, &reversed] {
        let little32: Vec<u32> =
            stream.chunks_exact(4).map(|word| u32::from_le_bytes([word[0], word[1], word[2], word[3]])).collect();
        let little64: Vec<u64> =
            little32.chunks_exact(2).map(|pair| u64::from(pair[0]) | u64::from(pair[1]) << 32).collect();
        let big32: Vec<u32> = little32.iter().map(|word| word.swap_bytes()).collect();
        let big64: Vec<u64> = little64.iter().map(|word| word.swap_bytes()).collect();
        for words in [&little32, &big32] {
            let found = [
                (mersenne(words), "the Mersenne Twister"),
                (java(words), "java.util.Random"),
                (lagged(&wide(words), 31, 3, 31), "the rand of the C library"),
                (congruential(&wide(words), 32), "a linear congruential generator"),
            ];
            let found = found.into_iter().find(|(is, _)| *is).map(|(_, name)| name);
            if let Some(name) = found.or_else(|| simulations::of_words(words)) {
                return Some(by(name));
            }
        }
        for words in [&little64, &big64] {
            let found = [
                (split_mix(words), "SplitMix64"),
                (congruential(words, 64), "a linear congruential generator"),
                (lagged(words, 607, 273, 63), "Go's math/rand"),
            ];
            let found = found.into_iter().find(|(is, _)| *is).map(|(_, name)| name);
            if let Some(name) = found.or_else(|| simulations::of_wide_words(words)) {
                return Some(by(name));
            }
        }
        if let Some(name) = simulations::of_bytes(stream) {
            return Some(by(name));
        }
    }
    let sevens: Vec<u64> = forward
        .chunks_exact(7)
        .map(|word| word.iter().rev().fold(0, |all, &byte| all << 8 | u64::from(byte)))
        .collect();
    if lagged(&sevens, 607, 273, 56) {
        return Some(by("Go's math/rand"));
    }
    linear(&forward)
}

fn by(name: &str) -> String {
    format!("the nonces come out of {name}, whose next output can be computed")
}

fn wide(words: &[u32]) -> Vec<u64> {
    words.iter().map(|&word| word.into()).collect()
}

/// MT19937 undone: the state word behind an output.
fn untemper(mut y: u32) -> u32 {
    y ^= y >> 18;
    y ^= (y << 15) & 0xefc6_0000;
    let mut t = y;
    for _ in 0..4 {
        t = y ^ ((t << 7) & 0x9d2c_5680);
    }
    y = t;
    for _ in 0..2 {
        t = y ^ (t >> 11);
    }
    t
}

/// Word k + 624 of the state is made of the words k, k + 1 and k + 397.
fn mersenne(words: &[u32]) -> bool {
    let state: Vec<u32> = words.iter().map(|&word| untemper(word)).collect();
    let relations = state.len().saturating_sub(624);
    relations >= 4
        && (0..relations).all(|k| {
            let mixed = state[k] & 0x8000_0000 | state[k + 1] & 0x7fff_ffff;
            let next = state[k + 397] ^ mixed >> 1 ^ if mixed & 1 == 1 { 0x9908_b0df } else { 0 };
            next == state[k + 624]
        })
}

/// 48 bits of state, of which an output shows the upper 32; the other 16 are tried.
fn java(words: &[u32]) -> bool {
    const MASK: u64 = (1 << 48) - 1;
    let Some(first) = words.get(..6) else { return false };
    let step = |state: u64| state.wrapping_mul(0x5_deec_e66d).wrapping_add(0xb) & MASK;
    (0..1_u64 << 16).any(|low| {
        let mut state = u64::from(first[0]) << 16 | low;
        first[1..].iter().all(|&word| {
            state = step(state);
            state >> 16 == u64::from(word)
        })
    })
}

/// Undone, its outputs are a counter with a fixed step.
fn split_mix(words: &[u64]) -> bool {
    let undo = |&word: &u64| {
        let z = unshift(word, 31).wrapping_mul(inverse(0x94d0_49bb_1331_11eb));
        unshift(unshift(z, 27).wrapping_mul(inverse(0xbf58_476d_1ce4_e5b9)), 30)
    };
    let states: Vec<u64> = words.iter().take(8).map(undo).collect();
    states.len() == 8 && states.windows(3).all(|w| w[1].wrapping_sub(w[0]) == w[2].wrapping_sub(w[1]))
}

/// Whole states of x → a·x + c modulo 2^bits: three of them with an odd difference give a and c, the next ones prove it.
fn congruential(words: &[u64], bits: u32) -> bool {
    let mask = if bits == 64 { u64::MAX } else { (1 << bits) - 1 };
    words.windows(8).take(16).find(|w| w[1].wrapping_sub(w[0]) & 1 == 1).is_some_and(|w| {
        let a = w[2].wrapping_sub(w[1]).wrapping_mul(inverse(w[1].wrapping_sub(w[0])));
        w.windows(3).all(|w| w[2].wrapping_sub(w[1]) & mask == a.wrapping_mul(w[1].wrapping_sub(w[0])) & mask)
    })
}

/// Each output is the sum of two earlier ones, modulo 2^bits; a bit that was cut off below may carry.
fn lagged(words: &[u64], long: usize, short: usize, bits: u32) -> bool {
    let mask = (1_u64 << bits) - 1;
    let sums = (long..words.len()).take(64);
    sums.len() >= 8
        && sums
            .into_iter()
            .all(|at| words[at].wrapping_sub(words[at - long]).wrapping_sub(words[at - short]) & mask <= 1)
}

/// How many bits of a sequence are looked at; the square of this is the cost.
const SHORT: usize = 2048;
/// With samples of over a thousand nonces: enough for one bit per output of the Mersenne Twister, whose complexity is 19937.
const LONG: usize = 40_448;

/// xorshift, xoroshiro, shift registers: one bit of their outputs follows a linear recurrence.
fn linear(stream: &[u8]) -> Option<String> {
    // Stride in bytes and the byte and bit within: the lowest and the highest bit of words of 1, 4 and 8 bytes in either order.
    // The widest come first: bytes of one word after the other follow a recurrence, too, which is longer than the state.
    let places =
        [(8, 0, 0), (8, 7, 7), (8, 7, 0), (8, 0, 7), (4, 0, 0), (4, 3, 7), (4, 3, 0), (4, 0, 7), (1, 0, 0), (1, 0, 7)];
    for (stride, byte, bit) in places {
        let all = stream.len() / stride;
        let length = if stride == 1 && all >= LONG { LONG } else { all.min(SHORT) };
        let bits: Vec<bool> = stream.chunks_exact(stride).take(length).map(|word| word[byte] >> bit & 1 == 1).collect();
        let complexity = complexity(&bits);
        // A bit that never changes is how text is encoded, and tells nothing of the others.
        if complexity > 1 && complexity + 40 < bits.len() / 2 {
            return Some(by(&format!("a linear generator with a state of {complexity} bits")));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::random;
    use crate::ground::Choices;

    fn nonces(mut byte: impl FnMut() -> u8, count: usize) -> Vec<Vec<u8>> {
        (0..count).map(|_| (0..32).map(|_| byte()).collect()).collect()
    }

    fn of_words(mut word: impl FnMut() -> u64, bytes: usize) -> Vec<Vec<u8>> {
        (0..160).map(|_| (0..32 / bytes).flat_map(|_| word().to_le_bytes()[..bytes].to_vec()).collect()).collect()
    }

    fn twister() -> impl FnMut() -> u64 {
        let mut state = vec![5489_u32];
        for at in 1..624_u32 {
            let last = state[state.len() - 1];
            state.push((last ^ last >> 30).wrapping_mul(1_812_433_253).wrapping_add(at));
        }
        move || {
            let mixed = state[0] & 0x8000_0000 | state[1] & 0x7fff_ffff;
            let next = state[397] ^ mixed >> 1 ^ if mixed & 1 == 1 { 0x9908_b0df } else { 0 };
            state.remove(0);
            state.push(next);
            let mut y = next;
            y ^= y >> 11;
            y ^= (y << 7) & 0x9d2c_5680;
            y ^= (y << 15) & 0xefc6_0000;
            y ^= y >> 18;
            y.into()
        }
    }

    /// The first output for the standard seed, as every textbook has it.
    #[test]
    fn the_twister_is_the_twister() {
        assert_eq!(twister()(), 3_499_211_612);
        assert!(recognised(&of_words(twister(), 4)).unwrap().contains("Mersenne"));
    }

    #[test]
    fn weak_generators_are_recognised() {
        let mut s = 42_u64;
        let mut java = || {
            s = s.wrapping_mul(0x5_deec_e66d).wrapping_add(0xb) & ((1 << 48) - 1);
            s >> 16
        };
        assert!(recognised(&of_words(&mut java, 4)).unwrap().contains("java"));
        let mut lcg = 99_u64;
        let mut step = || {
            lcg = lcg.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            lcg
        };
        assert!(recognised(&of_words(&mut step, 8)).unwrap().contains("congruential"));
        let mut choices = Choices::new(7, "");
        assert!(recognised(&of_words(|| choices.draw(), 8)).unwrap().contains("SplitMix"));
        let mut x = 0x1234_5678_9abc_def1_u64;
        let mut xorshift = || {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            x
        };
        assert!(recognised(&of_words(&mut xorshift, 8)).unwrap().contains("64 bits"));
        assert!(recognised(&nonces(|| (xorshift() >> 56) as u8, 160)).unwrap().contains("64 bits"));
        let mut past: Vec<u64> = (0..607).map(|_| u64::from_le_bytes(random::bytes())).collect();
        let mut go = || {
            let next = past[past.len() - 607].wrapping_add(past[past.len() - 273]);
            past.push(next);
            next
        };
        assert!(recognised(&of_words(&mut go, 8)).unwrap().contains("Go"));
    }

    #[test]
    fn random_bytes_are_none_of_them() {
        for _ in 0..3 {
            assert_eq!(recognised(&nonces(|| random::bytes::<1>()[0], 160)), None);
        }
        let bits: Vec<bool> =
            random::bytes::<256>().iter().flat_map(|byte| (0..8).map(move |bit| byte >> bit & 1 == 1)).collect();
        assert!(complexity(&bits).abs_diff(bits.len() / 2) < 30);
        assert_eq!(complexity(&[false, true, true, false, true, true, false, true, true, false, true, true]), 2);
    }
}
