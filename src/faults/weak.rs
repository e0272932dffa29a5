//! Nonces that look random: hashes of what is known, and generators that weren't made for secrets (SPEC §3.1).

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use md5::Md5;
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha512};

use super::table::*;
use super::tools::lock;
use crate::ground::hex;
use crate::server::clock;
use crate::server::rules::IdentityRules;

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

/// PCG-XSH-RR 64/32 with the stream of its minimal C library.
fn permuted(state: &mut u64) -> u32 {
    let old = *state;
    *state = old.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(0xda3e_39cb_94b9_5bdb);
    ((((old >> 18) ^ old) >> 27) as u32).rotate_right((old >> 59) as u32)
}

/// V8's cache of outputs, made 64 at a time and given out from the last to the first.
struct MathRandom {
    state: (u64, u64),
    cache: Vec<u64>,
}

impl MathRandom {
    fn seeded(seed: u64) -> Self {
        Self { state: (seed.wrapping_mul(0x9e37_79b9_7f4a_7c15), !seed), cache: Vec::new() }
    }

    /// The upper eight bits of `Math.random()`.
    fn byte(&mut self) -> u8 {
        if self.cache.is_empty() {
            for _ in 0..64 {
                let (mut mixed, kept) = self.state;
                mixed ^= mixed << 23;
                mixed ^= mixed >> 17;
                mixed ^= kept ^ (kept >> 26);
                self.state = (kept, mixed);
                self.cache.push(kept);
            }
        }
        self.cache.pop().unwrap_or_default().to_be_bytes()[0]
    }
}

fn xoshiro(s: &mut [u64; 4]) -> u64 {
    let result = s[1].wrapping_mul(5).rotate_left(7).wrapping_mul(9);
    let shifted = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= shifted;
    s[3] = s[3].rotate_left(45);
    result
}

/// .NET's `Random(seed)`: the lowest bytes of differences modulo 2^31 - 1.
fn subtracted(past: &mut Vec<i64>) -> u8 {
    let next = (past[0] - past[21]).rem_euclid((1 << 31) - 1);
    past.remove(0);
    past.push(next);
    next.to_le_bytes()[0]
}

/// The faults of this area.
pub(super) const FAULTS: &[Fault] = &[
    fault(
        "nonce-md5-of-counter",
        &NONCE_RANDOM,
        "A nonce is the MD5 of a counter and that of the next number.",
        || identity(NonceMd5OfCounter::default()),
    ),
    fault(
        "nonce-sha1-of-counter",
        &NONCE_RANDOM,
        "A nonce is the word nonce and a counter, hashed by SHA-1, in hexadecimal digits.",
        || identity(NonceSha1OfCounter::default()),
    ),
    fault("nonce-pcg", &NONCE_RANDOM, "Nonces come from PCG32.", || {
        identity(generated(|seed| seed, |state| permuted(state).to_le_bytes().to_vec()))
    }),
    fault("nonce-math-random", &NONCE_RANDOM, "The bytes of nonces are made by V8's Math.random.", || {
        identity(generated(MathRandom::seeded, |state| vec![state.byte()]))
    }),
    fault("nonce-xoshiro", &NONCE_RANDOM, "Nonces come from xoshiro256**, as .NET and Rust have it.", || {
        identity(generated(
            |seed| [seed, !seed, seed.rotate_left(17), 1],
            |state| xoshiro(state).to_le_bytes().to_vec(),
        ))
    }),
    fault("nonce-dotnet-random", &NONCE_RANDOM, "The bytes of nonces are made by .NET's Random with a seed.", || {
        identity(generated(
            |seed| lagged(seed)[..55].iter().map(|word| (word >> 34) as i64).collect(),
            |past| vec![subtracted(past)],
        ))
    }),
    fault("nonce-hash-of-counter", &NONCE_RANDOM, "A nonce is the SHA-256 of a counter.", || {
        identity(NonceHashOfCounter::default())
    }),
    fault("nonce-hash-of-binary-counter", &NONCE_RANDOM, "A nonce is the SHA-512 of a counter of eight bytes.", || {
        identity(NonceHashOfBinaryCounter::default())
    }),
    fault(
        "nonce-hash-of-key-and-counter",
        &NONCE_RANDOM,
        "A nonce is the SHA-256 of the key and of how often it has asked.",
        || identity(NonceHashOfKeyAndCounter::default()),
    ),
    fault(
        "nonce-hash-of-the-time",
        &NONCE_RANDOM,
        "A nonce is the SHA-256 of key and time in milliseconds, or of the next one that is free.",
        || identity(NonceHashOfTheTime::default()),
    ),
    fault("nonce-hash-chain", &NONCE_RANDOM, "A nonce is the SHA-256 of the one before.", || {
        identity(generated(
            |seed| Sha256::digest(seed.to_string()).to_vec(),
            |last| {
                *last = Sha256::digest(&*last).to_vec();
                last.clone()
            },
        ))
    }),
    fault(
        "nonce-mersenne-twister",
        &NONCE_RANDOM,
        "Nonces come from a Mersenne Twister that is seeded with the start time.",
        || identity(generated(twister, |state| twist(state).to_le_bytes().to_vec())),
    ),
    fault(
        "nonce-mersenne-twister-bytes",
        &NONCE_RANDOM,
        "The bytes of nonces are the highest ones of a Mersenne Twister's outputs.",
        || identity(generated(twister, |state| twist(state).to_be_bytes()[..1].to_vec())),
    ),
    fault("nonce-java-random", &NONCE_RANDOM, "Nonces come from java.util.Random.", || {
        identity(generated(
            |seed| (seed ^ 0x5_deec_e66d) & ((1 << 48) - 1),
            |state| java(state).to_le_bytes()[..4].to_vec(),
        ))
    }),
    fault("nonce-xorshift", &NONCE_RANDOM, "The bytes of nonces are the highest ones of xorshift64.", || {
        identity(generated(|seed| seed, |state| xorshift(state).to_be_bytes()[..1].to_vec()))
    }),
    fault("nonce-lcg", &NONCE_RANDOM, "Nonces are states of a linear congruential generator.", || {
        identity(generated(
            |seed| seed,
            |state| {
                *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                state.to_be_bytes().to_vec()
            },
        ))
    }),
    fault("nonce-split-mix", &NONCE_RANDOM, "Nonces come from SplitMix64, seeded with the start time.", || {
        identity(generated(
            |seed| seed,
            |state| {
                *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
                let z = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
                (z ^ (z >> 31)).to_le_bytes().to_vec()
            },
        ))
    }),
    fault(
        "nonce-go-rand",
        &NONCE_RANDOM,
        "Nonces come from the generator of Go's math/rand, seven bytes of each output.",
        || {
            identity(generated(lagged, |past| {
                let next = past[past.len() - 607].wrapping_add(past[past.len() - 273]);
                past.push(next);
                past.remove(0);
                next.to_le_bytes()[..7].to_vec()
            }))
        },
    ),
    fault("nonce-shuffled", &NONCE_RANDOM, "A nonce is the bytes from 0 to 31, shuffled.", || identity(NonceShuffled)),
    fault("nonce-ascii", &NONCE_LOOKS_RANDOM, "A nonce is 32 random characters, no bytes.", || identity(NonceAscii)),
    fault(
        "nonce-top-bits-clear",
        &NONCE_LOOKS_RANDOM,
        "The highest bit of the first byte is always clear, as in a positive number.",
        || identity(NonceTopBitsClear),
    ),
];

#[derive(Default)]
struct NonceMd5OfCounter {
    count: AtomicU64,
}

impl IdentityRules for NonceMd5OfCounter {
    fn make_nonce(&self, _: &str, _: [u8; 32]) -> Vec<u8> {
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        [Md5::digest(count.to_string()), Md5::digest((count + 1).to_string())].concat()
    }
}

#[derive(Default)]
struct NonceSha1OfCounter {
    count: AtomicU64,
}

impl IdentityRules for NonceSha1OfCounter {
    fn make_nonce(&self, _: &str, _: [u8; 32]) -> Vec<u8> {
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        hex::encode(&Sha1::digest(format!("nonce{count}"))).into_bytes()
    }
}

#[derive(Default)]
struct NonceHashOfCounter {
    count: AtomicU64,
}

impl IdentityRules for NonceHashOfCounter {
    fn make_nonce(&self, _: &str, _: [u8; 32]) -> Vec<u8> {
        Sha256::digest(self.count.fetch_add(1, Ordering::Relaxed).to_string()).to_vec()
    }
}

#[derive(Default)]
struct NonceHashOfBinaryCounter {
    count: AtomicU64,
}

impl IdentityRules for NonceHashOfBinaryCounter {
    fn make_nonce(&self, _: &str, _: [u8; 32]) -> Vec<u8> {
        Sha512::digest(self.count.fetch_add(1, Ordering::Relaxed).to_be_bytes()).to_vec()
    }
}

#[derive(Default)]
struct NonceHashOfKeyAndCounter {
    counts: Mutex<HashMap<String, u64>>,
}

impl IdentityRules for NonceHashOfKeyAndCounter {
    fn make_nonce(&self, key: &str, _: [u8; 32]) -> Vec<u8> {
        let mut counts = lock(&self.counts);
        let count = counts.entry(key.to_owned()).or_default();
        *count += 1;
        Sha256::digest(format!("{key}:{count}")).to_vec()
    }
}

#[derive(Default)]
struct NonceHashOfTheTime {
    last: AtomicU64,
}

impl IdentityRules for NonceHashOfTheTime {
    fn make_nonce(&self, key: &str, _: [u8; 32]) -> Vec<u8> {
        let now = clock::now_ms().unsigned_abs();
        let next = |last: u64| Some(now.max(last + 1));
        let last = self.last.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).unwrap_or(now);
        Sha256::digest(format!("{key}{}", now.max(last + 1))).to_vec()
    }
}

struct NonceShuffled;

impl IdentityRules for NonceShuffled {
    fn make_nonce(&self, _: &str, random: [u8; 32]) -> Vec<u8> {
        let mut nonce: Vec<u8> = (0..32).collect();
        nonce.sort_by_key(|&byte| random[usize::from(byte)]);
        nonce
    }
}

struct NonceAscii;

impl IdentityRules for NonceAscii {
    fn make_nonce(&self, _: &str, random: [u8; 32]) -> Vec<u8> {
        random.map(|byte| b'!' + byte % 94).to_vec()
    }
}

struct NonceTopBitsClear;

impl IdentityRules for NonceTopBitsClear {
    fn make_nonce(&self, _: &str, mut random: [u8; 32]) -> Vec<u8> {
        random[0] &= 0x7f;
        random.to_vec()
    }
}
