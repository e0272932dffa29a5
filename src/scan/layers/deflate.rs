//! Whether bytes may be the beginning of a deflate stream (RFC 1951), which has no magic number.
//!
//! Of random bytes some in a thousand pass; nearly all else is told by the first block's header, or, where it has none, by
//! references to what can't have come before. Nothing that inflates is turned away.

/// Symbols of a block with fixed codes that are looked at: so many that nearly all random bytes are turned away, which is
/// quicker than to inflate them.
const SYMBOLS: usize = 200;

/// A stream of fewer bytes holds no part of a secret that counts.
const SHORTEST: usize = 12;

/// Most bits of a code that are read at once.
const MOST: usize = 7;
/// So many bits in the other direction.
static REVERSED: [u8; 1 << MOST] = {
    let mut reversed = [0; 1 << MOST];
    let mut bits = 0;
    while bits < reversed.len() {
        reversed[bits] = (bits as u8).reverse_bits() >> (8 - MOST);
        bits += 1;
    }
    reversed
};

/// Whether it may; also if there are too few bytes to tell.
pub(super) fn may_begin(bytes: &[u8]) -> bool {
    let mut bits = Bits { bytes, at: 0 };
    block(&mut bits).unwrap_or(true)
}

/// Reads numbers, the least significant bit first.
struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    /// The next bits, 57 at the most.
    fn take(&mut self, count: usize) -> Option<usize> {
        let rest = self.bytes.get(self.at / 8..)?;
        let word = match rest.first_chunk() {
            Some(word) => u64::from_le_bytes(*word),
            None => rest.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)),
        };
        let value = word >> (self.at % 8) & ((1 << count) - 1);
        self.at += count;
        (self.at <= 8 * self.bytes.len()).then_some(value as usize)
    }

    /// A code goes on with so many bits, [`MOST`] at the most, of which the most significant one comes first.
    fn code(&mut self, count: usize, before: usize) -> Option<usize> {
        let bits = REVERSED[self.take(count)?] >> (MOST - count);
        Some(before << count | usize::from(bits))
    }
}

/// `None` where the bytes end too early.
fn block(bits: &mut Bits<'_>) -> Option<bool> {
    // How many bytes there are.
    let mut made = 0;
    loop {
        let is_last = bits.take(1)? == 1;
        match bits.take(2)? {
            0 => {
                bits.at = bits.at.next_multiple_of(8);
                return Some(bits.take(16)? ^ bits.take(16)? == 0xffff);
            }
            1 => match fixed(bits, &mut made)? {
                Block::Over if is_last => return Some(made >= SHORTEST),
                Block::Over => {}
                Block::GoesOn => return Some(true),
                Block::Impossible => return Some(false),
            },
            2 => return dynamic(bits),
            _ => return Some(false),
        }
    }
}

/// The code that the codes' lengths are in has to be complete.
fn dynamic(bits: &mut Bits<'_>) -> Option<bool> {
    let (literals, distances, lengths) = (bits.take(5)?, bits.take(5)?, bits.take(4)? + 4);
    if literals > 29 || distances > 29 {
        return Some(false);
    }
    let all = bits.take(3 * lengths)?;
    let (mut used, mut sum) = (0, 0);
    for place in 0..lengths {
        let length = all >> (3 * place) & 7;
        used += usize::from(length > 0);
        // No length, no share of the code.
        sum += (128 >> length) & 127;
    }
    // Some decoders let a code of one symbol pass.
    Some(sum == 128 || used == 1)
}

/// What there is of a block with fixed codes.
enum Block {
    Over,
    GoesOn,
    Impossible,
}

/// What is referred to has to have been there.
fn fixed(bits: &mut Bits<'_>, made: &mut usize) -> Option<Block> {
    for _ in 0..SYMBOLS {
        let symbol = match bits.code(7, 0)? {
            short @ 0..24 => 256 + short,
            seven => match bits.code(1, seven)? {
                eight @ 192..200 => 280 + eight - 192,
                48..192 => 0,
                _ => {
                    bits.take(1)?;
                    0
                }
            },
        };
        match symbol {
            0..256 => *made += 1,
            256 => return Some(Block::Over),
            286.. => return Some(Block::Impossible),
            length => {
                let length = match length {
                    short @ 257..265 => short - 254,
                    285 => 258,
                    // Four symbols with so many bits each, and again four with one more.
                    long => {
                        let more = (long - 261) / 4;
                        ((4 + (long - 265) % 4) << more) + 3 + bits.take(more)?
                    }
                };
                match distance(bits)? {
                    distance if distance <= *made => *made += length,
                    _ => return Some(Block::Impossible),
                }
            }
        }
    }
    Some(Block::GoesOn)
}

/// How far back a reference goes; very far if there is no such code.
fn distance(bits: &mut Bits<'_>) -> Option<usize> {
    Some(match bits.code(5, 0)? {
        near @ 0..4 => near + 1,
        far @ 4..30 => ((2 + far % 2) << (far / 2 - 1)) + bits.take(far / 2 - 1)? + 1,
        _ => usize::MAX,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compression, write::DeflateEncoder};
    use proptest::prelude::*;
    use std::io::Write as _;

    #[test]
    fn few_random_bytes_pass() {
        let passed = (0..10_000).filter(|_| may_begin(&crate::client::random::bytes::<200>())).count();
        assert!(passed < 200, "{passed}");
        assert!(may_begin(&[]) && !may_begin(b"{\"a json\": \"text\"}"));
    }

    /// The least length of each symbol from 257 on, and of distances, as RFC 1951 §3.2.5 lists them.
    const LENGTHS: [usize; 29] = [
        3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227,
        258,
    ];
    const DISTANCES: [usize; 18] = [1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385];

    /// A byte, a reference of a length to it, and one to a distance.
    fn two_references(symbol: usize, more: usize, distance: usize) -> Vec<u8> {
        let mut bits = Vec::new();
        let mut number = |value: usize, count: usize| bits.extend((0..count).map(|place| value >> place & 1));
        let code = |value: usize, count: usize| value.reverse_bits() >> (usize::BITS as usize - count);
        number(0b011, 3);
        number(code(0x91, 8), 8);
        if symbol < 23 {
            number(code(symbol + 1, 7), 7)
        } else {
            number(code(169 + symbol, 8), 8)
        };
        number(more, if (8..28).contains(&symbol) { symbol / 4 - 1 } else { 0 });
        number(0, 5);
        number(code(1, 7), 7);
        let far = DISTANCES.iter().rposition(|least| *least <= distance).unwrap();
        number(code(far, 5), 5);
        number(distance - DISTANCES[far], (far / 2).saturating_sub(1));
        bits.chunks(8).map(|byte| byte.iter().rev().fold(0, |all, bit| all << 1 | *bit as u8)).collect()
    }

    #[test]
    fn references_reach_back_to_the_first_byte() {
        for (symbol, least) in LENGTHS.into_iter().enumerate() {
            for length in least..LENGTHS.get(symbol + 1).copied().unwrap_or(259).min(258).max(least + 1) {
                let first = 1 + length;
                assert!(may_begin(&two_references(symbol, length - least, first)), "{length}");
                assert!(!may_begin(&two_references(symbol, length - least, first + 1)), "{length}");
            }
        }
    }

    proptest! {
        #[test]
        fn whatever_deflates_passes(
            words in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..9), 1..9),
            picks in prop::collection::vec(any::<prop::sample::Index>(), 0..300),
            level in 0_u32..10,
            cut in any::<prop::sample::Index>(),
        ) {
            let mut encoder = DeflateEncoder::new(Vec::new(), Compression::new(level));
            let text: Vec<u8> = picks.iter().flat_map(|pick| pick.get(&words).clone()).collect();
            encoder.write_all(&text).unwrap();
            let deflated = encoder.finish().unwrap();
            prop_assume!(text.len() >= SHORTEST);
            prop_assert!(may_begin(&deflated));
            prop_assert!(may_begin(&deflated[..cut.index(deflated.len())]));
        }
    }
}
