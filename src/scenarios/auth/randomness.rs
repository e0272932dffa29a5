//! Patterns in nonces that random bytes don't show.
//!
//! Every rule here fires on truly random nonces with a probability far below 2^-40; the numbers stand beside the rules.

/// How many nonces the rules are meant for.
pub const SAMPLE: usize = 24;
/// The specification's least size of a nonce, in bytes.
const SIZE: usize = 32;

/// The pattern in a sample of [`SAMPLE`] nonces of at least 32 bytes, in words; `None` when there is none.
pub fn pattern(nonces: &[Vec<u8>]) -> Option<String> {
    let length = nonces.iter().map(Vec::len).min().unwrap_or(0);
    if nonces.len() < SAMPLE || length < SIZE {
        return None;
    }
    constant(nonces, length)
        .or_else(|| entropy(nonces, length))
        .or_else(|| alphabet(nonces, length))
        .or_else(|| nonces.iter().find_map(|nonce| within(nonce)))
}

/// Fewer than 32 bytes ever change. One given byte of 24 random nonces never changes with probability 256^-23 = 2^-184.
fn constant(nonces: &[Vec<u8>], length: usize) -> Option<String> {
    let varying = (0..length).filter(|&at| nonces.iter().any(|nonce| nonce[at] != nonces[0][at])).count();
    (varying < SIZE).then(|| {
        format!("only {varying} of the {length} bytes differ between {} nonces, the others never change", nonces.len())
    })
}

/// Equal bytes turn up at the same place too often: an estimate of the collision entropy of the whole is below 112 bits.
///
/// With c equal pairs among the 276 pairs at a place, the place is taken to hold log2(276 / max(c, 1)) bits. For random bytes
/// E(c²) = 276/256·255/256 + (276/256)² < 2.3, so E(max(c, 1)²) < 3.3. The estimate is below 112 bits of 32·8.1 only if the product of
/// the max(c, 1) is above 2^147, which by Markov's inequality for its square has a probability below 3.3^32 / 2^294 < 2^-238.
fn entropy(nonces: &[Vec<u8>], length: usize) -> Option<String> {
    let pairs = nonces.len() * (nonces.len() - 1) / 2;
    let bits: f64 = (0..length)
        .map(|at| {
            let mut counts = [0_usize; 256];
            nonces.iter().for_each(|nonce| counts[usize::from(nonce[at])] += 1);
            let equal: usize = counts.iter().map(|&count| count * count.saturating_sub(1) / 2).sum();
            (pairs as f64 / equal.max(1) as f64).log2()
        })
        .sum();
    (bits < 112.0)
        .then(|| format!("the nonces have some {bits:.0} bits of randomness, going by how often bytes repeat"))
}

/// Text of a small alphabet, too short to hold 32 random bytes, such as 32 hexadecimal digits: below 200 bits by the number of
/// different bytes in the sample. For 32 bytes that takes 76 values or fewer in 768 places: C(256,76)·(76/256)^768 < 2^-1000.
fn alphabet(nonces: &[Vec<u8>], length: usize) -> Option<String> {
    let values: std::collections::BTreeSet<u8> = nonces.iter().flatten().copied().collect();
    let bits = length as f64 * (values.len() as f64).log2();
    (bits < 200.0).then(|| {
        format!("{length} bytes that are made of {} different ones only hold {bits:.0} bits at the most", values.len())
    })
}

/// A nonce whose first 32 bytes are few different ones, or one half twice. Eight values or fewer: C(256,8)·(8/256)^32 < 2^-111; the
/// same half twice: 2^-128.
fn within(nonce: &[u8]) -> Option<String> {
    let mut values = nonce[..SIZE].to_vec();
    values.sort_unstable();
    values.dedup();
    if values.len() <= 8 {
        return Some(format!("a nonce is made of {} different bytes only", values.len()));
    }
    (nonce[..16] == nonce[16..32]).then(|| "the second 16 bytes of a nonce repeat the first".to_owned())
}

/// Uneven bits, uneven bytes, and pieces that come again, in a sample of a hundred nonces or more.
///
/// By Hoeffding's inequality one bit deviates by 8.5·√n from the middle with a probability below 2^-51, one of 256 below 2^-43; the sum of
/// the squares for 256 values is above 560 with one below 2^-60; and two of some thousand pieces of 64 bits agree with one below 2^-40.
pub fn bias(nonces: &[Vec<u8>]) -> Option<String> {
    let (count, length) = (nonces.len(), nonces.iter().map(Vec::len).min().unwrap_or(0));
    if count < 100 || length < SIZE {
        return None;
    }
    let uneven = |bit: usize| {
        let ones = nonces.iter().filter(|nonce| nonce[bit / 8] >> (bit % 8) & 1 == 1).count();
        (2.0 * ones as f64 - count as f64).abs() > 8.5 * (count as f64).sqrt()
    };
    // What stands beside 32 random bytes, such as a time in front of them, is nobody's business.
    let even: Vec<usize> = (0..length).filter(|at| !(at * 8..at * 8 + 8).any(uneven)).take(SIZE).collect();
    if even.len() < SIZE {
        let bit = (0..length * 8).find(|&bit| uneven(bit)).unwrap_or(0);
        return Some(format!("bit {} of byte {} is nearly always the same", bit % 8, bit / 8));
    }
    let nonces: Vec<Vec<u8>> = nonces.iter().map(|nonce| even.iter().map(|&at| nonce[at]).collect()).collect();
    let mut counts = [0_usize; 256];
    nonces.iter().flatten().for_each(|&byte| counts[usize::from(byte)] += 1);
    let mean = (count * SIZE) as f64 / 256.0;
    let squares: f64 = counts.iter().map(|&count| (count as f64 - mean).powi(2) / mean).sum();
    if squares > 560.0 {
        return Some("some bytes are far more frequent than others".into());
    }
    let mut pieces = std::collections::BTreeSet::new();
    let again = nonces.iter().flat_map(|nonce| nonce.chunks_exact(8)).any(|piece| !pieces.insert(piece));
    again.then(|| "eight bytes of a nonce come again in another, or in the same".to_owned())
}

/// Nonces written in hex that were meant to be base64. One character of base64 is a hexadecimal digit with probability 22/64, and a
/// nonce has 43 of them or more: (22/64)^43 < 2^-66 for one, let alone for all.
pub fn is_hex(nonce: &str) -> bool {
    let digits = nonce.trim_end_matches('=');
    digits.len() >= 43 && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::random;

    fn sample(make: impl FnMut(usize) -> Vec<u8>) -> Vec<Vec<u8>> {
        (0..SAMPLE).map(make).collect()
    }

    #[test]
    fn random_nonces_show_none() {
        for _ in 0..200 {
            assert_eq!(pattern(&sample(|_| random::bytes::<32>().to_vec())), None);
        }
        // A timestamp in front of 32 random bytes, and 32 random bytes as hexadecimal text, are random enough.
        assert_eq!(
            pattern(&sample(|i| [&(1_760_000_000_000 + i as u64).to_be_bytes()[..], &random::bytes::<32>()].concat())),
            None
        );
        assert_eq!(pattern(&sample(|_| crate::ground::hex::encode(&random::bytes::<32>()).into_bytes())), None);
        assert_eq!(pattern(&sample(|i| random::bytes::<48>()[..40 + i % 8].to_vec())), None);
    }

    #[test]
    fn patterns_are_seen() {
        let counter = sample(|i| [vec![0; 31], vec![i as u8]].concat());
        let clock = sample(|i| format!("{:032}", 1_760_000_000_000_000_000_u64 + i as u64 * 12_345).into_bytes());
        let prefix = sample(|_| [b"avp-challenge-nonce-prefix-000".to_vec(), random::bytes::<2>().to_vec()].concat());
        let half_zero = sample(|_| [random::bytes::<8>().to_vec(), vec![0; 24]].concat());
        let few_bits = sample(|_| random::bytes::<32>().map(|byte| byte & 1).to_vec());
        let stretched = sample(|_| vec![random::bytes::<1>()[0]; 32]);
        let twice = sample(|_| random::bytes::<16>().repeat(2));
        let half_as_text = sample(|_| crate::ground::hex::encode(&random::bytes::<16>()).into_bytes());
        for nonces in [counter, clock, prefix, half_zero, few_bits, stretched, twice, half_as_text] {
            assert!(pattern(&nonces).is_some(), "{:?}", nonces[0]);
        }
    }

    #[test]
    fn bias_is_seen() {
        let many = |make: fn(usize) -> Vec<u8>| (0..160).map(make).collect::<Vec<_>>();
        assert_eq!(bias(&many(|_| random::bytes::<32>().to_vec())), None);
        let time_in_front =
            |i: usize| [&(1_760_000_000_000 + i as u64).to_be_bytes()[..], &random::bytes::<32>()].concat();
        assert_eq!(bias(&many(time_in_front)), None);
        assert!(bias(&many(|_| [&[0; 8][..], &random::bytes::<31>()].concat())).is_some());
        assert!(bias(&many(|_| random::bytes::<32>().map(|byte| byte & 0x7f).to_vec())).is_some());
        assert!(bias(&many(|_| random::bytes::<32>().map(|byte| byte % 100).to_vec())).is_some());
        assert!(bias(&many(|_| random::bytes::<16>().repeat(2))).is_some());
    }

    #[test]
    fn hex_is_told_from_base64() {
        assert!(is_hex(&crate::ground::hex::encode(&random::bytes::<32>())));
        assert!(!is_hex(&crate::codec::base64::encode(&random::bytes::<32>())));
    }
}
