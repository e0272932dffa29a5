//! Nonces that look random: hashes of what is known, and generators that weren't made for secrets (SPEC §3.1).

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use sha2::{Digest, Sha256, Sha512};

use super::tools::lock;
use crate::server::clock;
use crate::server::edge::Edge;
use crate::server::rules::{IdentityRules, VaultRules};

/// A server whose nonces come from a generator with a seed of its start time; a call gives the next bytes.
struct Generated<S> {
    state: Mutex<Option<S>>,
    seed: fn(u64) -> S,
    next: fn(&mut S) -> Vec<u8>,
}

fn generated<S>(seed: fn(u64) -> S, next: fn(&mut S) -> Vec<u8>) -> Generated<S> {
    Generated { state: Mutex::new(None), seed, next }
}

impl<S: Send + 'static> IdentityRules for Generated<S> {
    fn make_nonce(&self, _: &str, _: [u8; 32]) -> Vec<u8> {
        let mut state = lock(&self.state);
        let state = state.get_or_insert_with(|| (self.seed)(clock::now_ms().unsigned_abs()));
        let mut nonce = Vec::new();
        while nonce.len() < 32 {
            nonce.extend((self.next)(state));
        }
        nonce
    }
}

impl<S: Send + 'static> VaultRules for Generated<S> {}
impl<S: Send + 'static> Edge for Generated<S> {}

/// MT19937, as `random.seed` of many languages has it.
struct Twister(Vec<u32>);

fn twister(seed: u64) -> Twister {
    let mut state = vec![(seed & 0xffff_ffff) as u32];
    for at in 1..624_u32 {
        let last = state[state.len() - 1];
        state.push((last ^ (last >> 30)).wrapping_mul(1_812_433_253).wrapping_add(at));
    }
    Twister(state)
}

fn twist(Twister(state): &mut Twister) -> u32 {
    let mixed = (state[0] & 0x8000_0000) | (state[1] & 0x7fff_ffff);
    let next = state[397] ^ (mixed >> 1) ^ if mixed & 1 == 1 { 0x9908_b0df } else { 0 };
    state.remove(0);
    state.push(next);
    let mut y = next;
    y ^= y >> 11;
    y ^= (y << 7) & 0x9d2c_5680;
    y ^= (y << 15) & 0xefc6_0000;
    y ^ (y >> 18)
}

fn xorshift(x: &mut u64) -> u64 {
    *x ^= *x << 13;
    *x ^= *x >> 7;
    *x ^= *x << 17;
    *x
}

fn java(state: &mut u64) -> u64 {
    *state = state.wrapping_mul(0x5_deec_e66d).wrapping_add(0xb) & ((1 << 48) - 1);
    *state >> 16
}

/// Go's additive generator: 607 words, filled by a simpler one.
fn lagged(seed: u64) -> Vec<u64> {
    let mut x = seed | 1;
    (0..607).map(|_| xorshift(&mut x)).collect()
}

faults! {
    "nonce-hash-of-counter" breaks NONCE_RANDOM: "A nonce is the SHA-256 of a counter." => {
        state { count: AtomicU64 }
        identity {
            fn make_nonce(&self, _: &str, _: [u8; 32]) -> Vec<u8> {
                Sha256::digest(self.count.fetch_add(1, Ordering::Relaxed).to_string()).to_vec()
            }
        }
    }
    "nonce-hash-of-binary-counter" breaks NONCE_RANDOM: "A nonce is the SHA-512 of a counter of eight bytes." => {
        state { count: AtomicU64 }
        identity {
            fn make_nonce(&self, _: &str, _: [u8; 32]) -> Vec<u8> {
                Sha512::digest(self.count.fetch_add(1, Ordering::Relaxed).to_be_bytes()).to_vec()
            }
        }
    }
    "nonce-hash-of-key-and-counter" breaks NONCE_RANDOM: "A nonce is the SHA-256 of the key and of how often it has asked." => {
        state { counts: Mutex<HashMap<String, u64>> }
        identity {
            fn make_nonce(&self, key: &str, _: [u8; 32]) -> Vec<u8> {
                let mut counts = lock(&self.counts);
                let count = counts.entry(key.to_owned()).or_default();
                *count += 1;
                Sha256::digest(format!("{key}:{count}")).to_vec()
            }
        }
    }
    "nonce-hash-of-the-time" breaks NONCE_RANDOM: "A nonce is the SHA-256 of key and time in milliseconds, or of the next one that is free." => {
        state { last: AtomicU64 }
        identity {
            fn make_nonce(&self, key: &str, _: [u8; 32]) -> Vec<u8> {
                let now = clock::now_ms().unsigned_abs();
                let next = |last: u64| Some(now.max(last + 1));
                let last = self.last.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).unwrap_or(now);
                Sha256::digest(format!("{key}{}", now.max(last + 1))).to_vec()
            }
        }
    }
    "nonce-hash-chain" breaks NONCE_RANDOM: "A nonce is the SHA-256 of the one before." => {
        is generated(|seed| Sha256::digest(seed.to_string()).to_vec(), |last| {
            *last = Sha256::digest(&*last).to_vec();
            last.clone()
        })
    }
    "nonce-mersenne-twister" breaks NONCE_RANDOM: "Nonces come from a Mersenne Twister that is seeded with the start time." => {
        is generated(twister, |state| twist(state).to_le_bytes().to_vec())
    }
    "nonce-mersenne-twister-bytes" breaks NONCE_RANDOM: "The bytes of nonces are the highest ones of a Mersenne Twister's outputs." => {
        is generated(twister, |state| twist(state).to_be_bytes()[..1].to_vec())
    }
    "nonce-java-random" breaks NONCE_RANDOM: "Nonces come from java.util.Random." => {
        is generated(|seed| (seed ^ 0x5_deec_e66d) & ((1 << 48) - 1), |state| java(state).to_le_bytes()[..4].to_vec())
    }
    "nonce-xorshift" breaks NONCE_RANDOM: "The bytes of nonces are the highest ones of xorshift64." => {
        is generated(|seed| seed, |state| xorshift(state).to_be_bytes()[..1].to_vec())
    }
    "nonce-lcg" breaks NONCE_RANDOM: "Nonces are states of a linear congruential generator." => {
        is generated(|seed| seed, |state| {
            *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            state.to_be_bytes().to_vec()
        })
    }
    "nonce-split-mix" breaks NONCE_RANDOM: "Nonces come from SplitMix64, seeded with the start time." => {
        is generated(|seed| seed, |state| {
            *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let z = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            (z ^ (z >> 31)).to_le_bytes().to_vec()
        })
    }
    "nonce-go-rand" breaks NONCE_RANDOM: "Nonces come from the generator of Go's math/rand, seven bytes of each output." => {
        is generated(lagged, |past| {
            let next = past[past.len() - 607].wrapping_add(past[past.len() - 273]);
            past.push(next);
            past.remove(0);
            next.to_le_bytes()[..7].to_vec()
        })
    }
    "nonce-shuffled" breaks NONCE_RANDOM: "A nonce is the bytes from 0 to 31, shuffled." => {
        identity {
            fn make_nonce(&self, _: &str, random: [u8; 32]) -> Vec<u8> {
                let mut nonce: Vec<u8> = (0..32).collect();
                nonce.sort_by_key(|&byte| random[usize::from(byte)]);
                nonce
            }
        }
    }
    "nonce-ascii" breaks NONCE_LOOKS_RANDOM: "A nonce is 32 random characters, no bytes." => {
        identity {
            fn make_nonce(&self, _: &str, random: [u8; 32]) -> Vec<u8> { random.map(|byte| b'!' + byte % 94).to_vec() }
        }
    }
    "nonce-top-bits-clear" breaks NONCE_LOOKS_RANDOM: "The highest bit of the first byte is always clear, as in a positive number." => {
        identity {
            fn make_nonce(&self, _: &str, mut random: [u8; 32]) -> Vec<u8> {
                random[0] &= 0x7f;
                random.to_vec()
            }
        }
    }
}
