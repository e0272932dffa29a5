//! Nonces that look random and can be foretold: hashes of counters and clocks, and generators that were made for simulations.
//!
//! Every rule here asks for an agreement in at least 64 bits, so that random nonces meet none of them.

use std::collections::HashSet;

use md5::Md5;
use sha1::Sha1;
use sha2::{Digest as _, Sha256, Sha512};

use super::{bytes_of, generators, randomness};
use crate::client::{Identity, clock};
use crate::codec::base64;
use crate::scenarios::check::checks;
use crate::scenarios::{Ctx, Outcome, Stop};

checks! {
    "auth/nonce-not-foretold", Must, "§3", [NONCE_RANDOM, NONCE_LOOKS_RANDOM], not_foretold,
        "Nonces aren't a counter, a clock, a hash of these, or a generator whose state shows", phase = Alone;
}

/// So many 32-byte nonces show the state of the generators that are in use, bytes for bytes.
const SAMPLE: usize = 160;
/// And so many even that of a Mersenne Twister of which only one bit in 32 is used.
const LARGE_SAMPLE: usize = 1280;

/// One key and one request after the other, so that nothing comes in between.
async fn not_foretold(cx: &Ctx) -> Outcome {
    let who = Identity::generate();
    let (mut nonces, from) = (Vec::new(), clock::now_ms());
    for count in 0..if cx.thorough() { LARGE_SAMPLE } else { SAMPLE } {
        match cx.nonce(&who).await {
            Ok(nonce) => nonces.push(bytes_of(cx, &nonce)?),
            // A limit on open challenges; those had so far are what can be judged.
            Err(_) if count >= 16 => break,
            Err(stop) => return Err(stop),
        }
    }
    cx.remark(format!("{} nonces", nonces.len()));
    let sample = Sample { nonces: &nonces, key: &who.id, span_ms: (from, clock::now_ms()) };
    let expected = "a nonce that nobody can know before it is given";
    if let Some(how) = foretold(&sample) {
        return Err(cx.violation(expected, how));
    }
    if let Some(pattern) = randomness::bias(&nonces)
        && let Stop::Violation(finding) = cx.violation(expected, pattern)
    {
        cx.warn(*finding);
    }
    Ok(())
}

/// Consecutive nonces of one key, and when they were had.
pub struct Sample<'a> {
    /// In their order; 32 bytes or more each.
    pub nonces: &'a [Vec<u8>],
    /// Whose they are.
    pub key: &'a str,
    /// From before the first was asked for until after the last was there, epoch milliseconds of the server.
    pub span_ms: (i64, i64),
}

/// How the next nonce could be known, in words.
pub fn foretold(sample: &Sample<'_>) -> Option<String> {
    if sample.nonces.len() < 16 || sample.nonces.iter().any(|nonce| nonce.len() < 32) {
        return None;
    }
    follows(sample.nonces).or_else(|| derived(sample)).or_else(|| generators::recognised(sample.nonces))
}

type Hash = (&'static str, fn(&[u8]) -> Vec<u8>);

const HASHES: [Hash; 4] = [
    ("SHA-256", |input| Sha256::digest(input).to_vec()),
    ("SHA-512", |input| Sha512::digest(input).to_vec()),
    ("MD5", |input| Md5::digest(input).to_vec()),
    ("SHA-1", |input| Sha1::digest(input).to_vec()),
];

/// What hexadecimal text stands for, where it is one; a hash is often written down so.
fn unwritten(bytes: &[u8]) -> Option<Vec<u8>> {
    let digits = bytes.get(..32)?.iter().map(|&byte| (byte as char).to_digit(16)).collect::<Option<Vec<u32>>>()?;
    Some(digits.chunks_exact(2).map(|pair| (pair[0] << 4 | pair[1]) as u8).collect())
}

fn head(bytes: &[u8]) -> [u8; 16] {
    std::array::from_fn(|at| bytes.get(at).copied().unwrap_or(0))
}

/// Each comes of the one before: by a hash, by adding, or by counting in a part of it.
fn follows(nonces: &[Vec<u8>]) -> Option<String> {
    let pairs = || nonces.windows(2).map(|pair| (&pair[0], &pair[1]));
    for (name, hash) in HASHES {
        if pairs().all(|(before, after)| head(&hash(before)) == head(after)) {
            return Some(format!("every nonce is the {name} of the one before"));
        }
    }
    let steps: HashSet<Vec<u8>> = pairs().map(|(before, after)| minus(after, before)).collect();
    let reversed = |bytes: &[u8]| bytes.iter().rev().copied().collect::<Vec<_>>();
    let back: HashSet<Vec<u8>> = pairs().map(|(before, after)| minus(&reversed(after), &reversed(before))).collect();
    let changes: HashSet<Vec<u8>> =
        pairs().map(|(before, after)| before.iter().zip(after).map(|(a, b)| a ^ b).collect()).collect();
    if steps.len() == 1 || back.len() == 1 || changes.len() == 1 {
        return Some("every nonce differs from the one before by the same amount".into());
    }
    let sorted = |nonce: &Vec<u8>| {
        let mut bytes = nonce.clone();
        bytes.sort_unstable();
        bytes
    };
    let first = sorted(&nonces[0]);
    nonces
        .iter()
        .all(|nonce| sorted(nonce) == first)
        .then(|| "the nonces are the same bytes in another order each time".into())
}

/// a − b as big-endian numbers of the same length.
fn minus(a: &[u8], b: &[u8]) -> Vec<u8> {
    let mut borrow = 0_i16;
    let mut out: Vec<u8> = a
        .iter()
        .rev()
        .zip(b.iter().rev())
        .map(|(&a, &b)| {
            let step = i16::from(a) - i16::from(b) - borrow;
            borrow = i16::from(step < 0);
            step.rem_euclid(256).to_le_bytes()[0]
        })
        .collect();
    out.reverse();
    out
}

/// All counters below this are tried, and of those further on so many that one of the sample is met.
const ALL_BELOW: i64 = 512;
const COUNTERS: i64 = 1 << 16;
/// The most values of a clock that are tried.
const TICKS: i64 = 1500;

/// A hash of a number that counts or tells the time, with or without the key.
fn derived(sample: &Sample<'_>) -> Option<String> {
    let written = sample.nonces.iter().filter_map(|nonce| unwritten(nonce)).collect::<Vec<_>>();
    let heads: HashSet<[u8; 16]> = sample.nonces.iter().chain(&written).map(|nonce| head(nonce)).collect();
    let stride = usize::try_from((sample.nonces.len() as i64 / 2).clamp(1, 64)).unwrap_or(1);
    let counters = (0..ALL_BELOW).chain((ALL_BELOW..COUNTERS).step_by(stride));
    let (from, to) = (sample.span_ms.0 - 20, sample.span_ms.1 + 20);
    let clock = from..=to.min(from + TICKS);
    let values =
        counters.map(|value| ("a counter", value)).chain(clock.map(|value| ("the time in milliseconds", value)));
    let seconds = (from / 1000 - 1..=to / 1000 + 1).map(|value| ("the time in seconds", value));
    let raw = base64::decode(sample.key).unwrap_or_default();
    for (what, value) in values.chain(seconds) {
        for (with_key, input) in inputs(value, sample.key, &raw) {
            for (name, hash) in HASHES {
                if heads.contains(&head(&hash(&input))) {
                    return Some(format!("a nonce is the {name} of {what}{with_key} ({value})"));
                }
            }
        }
    }
    None
}

/// How a number is written down before it is hashed.
fn inputs(value: i64, key: &str, raw: &[u8]) -> [(&'static str, Vec<u8>); 14] {
    let (text, big, little) = (value.to_string(), value.to_be_bytes(), value.to_le_bytes());
    let with = " and the key";
    [
        ("", big.to_vec()),
        ("", little.to_vec()),
        ("", big[4..].to_vec()),
        ("", little[..4].to_vec()),
        (with, format!("{key}{text}").into_bytes()),
        (with, format!("{key}:{text}").into_bytes()),
        (with, format!("{text}{key}").into_bytes()),
        (with, format!("{text}:{key}").into_bytes()),
        (with, format!("{key}-{text}").into_bytes()),
        ("", format!("nonce{text}").into_bytes()),
        ("", format!("nonce-{text}").into_bytes()),
        (with, [raw, &big].concat()),
        (with, [&big, raw].concat()),
        ("", text.into_bytes()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::random;

    fn seen(make: impl FnMut(i64) -> Vec<u8>) -> Option<String> {
        let nonces: Vec<_> = (3000..3160).map(make).collect();
        let key = base64::encode(&[7; 32]);
        foretold(&Sample { nonces: &nonces, key: &key, span_ms: (1_760_000_000_000, 1_760_000_000_050) })
    }

    #[test]
    fn random_nonces_arent_foretold() {
        for _ in 0..3 {
            assert_eq!(seen(|_| random::bytes::<32>().to_vec()), None);
        }
    }

    /// Whoever writes random bytes down in digits hasn't made them less random.
    #[test]
    fn text_of_random_nonces_isnt() {
        assert_eq!(seen(|_| crate::ground::hex::encode(&random::bytes::<32>()).into_bytes()), None);
        assert_eq!(seen(|_| base64::encode(&random::bytes::<32>()).into_bytes()), None);
        assert_eq!(seen(|_| random::uuid().into_bytes()), None);
    }

    #[test]
    fn hashes_of_what_is_known_are() {
        let key = base64::encode(&[7; 32]);
        assert!(seen(|i| Sha256::digest(i.to_string()).to_vec()).unwrap().contains("a counter"));
        assert!(seen(|i| Sha512::digest(i.to_be_bytes()).to_vec()).unwrap().contains("SHA-512"));
        assert!(seen(|i| Sha256::digest(format!("{key}:{i}")).to_vec()).unwrap().contains("and the key"));
        assert!(
            seen(|i| Sha256::digest(format!("{}", 1_760_000_000_000 + i - 3000)).to_vec())
                .unwrap()
                .contains("milliseconds")
        );
        let twice = |i: i64| [Md5::digest(i.to_string()), Md5::digest((i + 1).to_string())].concat();
        assert!(seen(twice).unwrap().contains("MD5"));
        assert!(
            seen(|i| crate::ground::hex::encode(&Md5::digest(i.to_string())).into_bytes()).unwrap().contains("MD5")
        );
        assert!(seen(|i| Sha1::digest(format!("nonce{i}")).repeat(2)).unwrap().contains("SHA-1"));
        let mut last = vec![7; 32];
        assert!(
            seen(|_| {
                last = Sha256::digest(&last).to_vec();
                last.clone()
            })
            .unwrap()
            .contains("the one before")
        );
        let base = random::bytes::<24>();
        assert!(seen(|i| [&base[..], &i.to_be_bytes()].concat()).unwrap().contains("same amount"));
    }
}
