//! Arithmetic that undoes the steps of random number generators.

/// Undoes `x ^= x >> by`.
pub(super) fn unshift(value: u64, by: u32) -> u64 {
    let mut out = value;
    for _ in 0..64 / by {
        out = value ^ out >> by;
    }
    out
}

/// The inverse of an odd number modulo 2^64, by Newton's iteration.
pub(super) fn inverse(odd: u64) -> u64 {
    (0..6).fold(odd, |inverse, _| inverse.wrapping_mul(2_u64.wrapping_sub(odd.wrapping_mul(inverse))))
}

/// The length of the shortest linear recurrence that the bits follow (Berlekamp and Massey).
pub(super) fn complexity(bits: &[bool]) -> usize {
    let words = bits.len() / 64 + 2;
    let (mut current, mut previous, mut recent) = (vec![0_u64; words], vec![0_u64; words], vec![0_u64; words]);
    (current[0], previous[0]) = (1, 1);
    let (mut length, mut since) = (0, 1);
    for (at, &bit) in bits.iter().enumerate() {
        // The newest bit is the lowest.
        shift(&mut recent, 1);
        recent[0] |= u64::from(bit);
        let used = length / 64 + 1;
        let parity = current[..used].iter().zip(&recent).fold(0, |all, (a, b)| all ^ (a & b)).count_ones() % 2;
        if parity == 0 {
            since += 1;
            continue;
        }
        let mut shifted = previous.clone();
        shift(&mut shifted, since);
        let next: Vec<u64> = current.iter().zip(&shifted).map(|(a, b)| a ^ b).collect();
        if length * 2 <= at {
            length = at + 1 - length;
            previous = current;
            since = 1;
        } else {
            since += 1;
        }
        current = next;
    }
    length
}

fn shift(words: &mut [u64], by: usize) {
    let (whole, part) = (by / 64, by % 64);
    for at in (0..words.len()).rev() {
        let high = at.checked_sub(whole).map_or(0, |from| words[from]);
        let low = at.checked_sub(whole + 1).map_or(0, |from| words[from]);
        words[at] = if part == 0 { high } else { high << part | low >> (64 - part) };
    }
}
