//! Which pieces of which needles there are: a bitmap that says no nearly always, another one that knows more, and tables of what
//! they don't deny.

use std::ops::Range;

/// Distance of the places where much text is looked at. Little text is looked at at every byte, which takes an eighth of the pieces.
pub(super) const STRIDE: usize = 8;
/// How much of a piece the bitmap knows.
pub(super) const PREFIX: usize = 5;
/// Lengths of pieces. A needle is cut into the longest that its window holds wherever the window begins.
const PIECES: [usize; 3] = [PREFIX, 8, 16];

/// The first bytes of a word, hashed. Fibonacci hashing: the higher a bit, the better it is mixed.
#[inline(always)]
fn hash_prefix(word: u64) -> u64 {
    mix(word & ((1 << (8 * PREFIX)) - 1))
}

#[inline(always)]
fn mix(word: u64) -> u64 {
    word.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// A whole piece at the beginning of a text, hashed; `None` if the text is shorter.
#[inline(always)]
fn hash_piece(text: &[u8], piece: usize) -> Option<u64> {
    let word = |at| Some(u64::from_le_bytes(*text.get(at..)?.first_chunk()?));
    let hash = match piece {
        PREFIX => match text.first_chunk() {
            Some(chunk) => hash_prefix(u64::from_le_bytes(*chunk)),
            None => hash_prefix(short_word(text.get(..PREFIX)?)),
        },
        8 => mix(word(0)?),
        _ => mix(word(0)?).rotate_left(29) ^ word(8)?,
    };
    // The high bits tell the place in the table, the low ones are the check; pieces of few characters take two rounds.
    Some(mix(hash ^ hash >> 32))
}

/// Up to eight bytes as a number.
fn short_word(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte))
}

/// The offsets of the pieces of a needle that go into the index: `stride` in a row (one for each alignment of the text), again
/// and again so that every window holds that many in a row.
fn offsets(length: usize, window: usize, piece: usize, stride: usize) -> impl Iterator<Item = usize> {
    let period = window - piece + 1 - (stride - 1);
    (0..=length - piece)
        .step_by(period)
        .flat_map(move |first| first..(first + stride.min(period)).min(length - piece + 1))
}

#[derive(Clone, Copy)]
struct Slot {
    /// Bits of the hash that the place in the table doesn't tell; a quick no.
    check: u32,
    /// Where the piece is in the arena, or [`Slot::EMPTY`]'s.
    place: u32,
}

impl Slot {
    const EMPTY: Self = Self { check: 0, place: u32::MAX };
}

/// Pieces of one length. Open addressing; the same piece may be there many times.
struct Table {
    piece: usize,
    slots: Vec<Slot>,
}

impl Table {
    fn new(piece: usize, count: usize) -> Self {
        Self { piece, slots: vec![Slot::EMPTY; count + count * 2 / 3 + 1] }
    }

    /// The slots where pieces of a hash are, if there are any.
    fn probe(&self, hash: u64) -> impl Iterator<Item = usize> + use<> {
        let count = self.slots.len();
        // The hash as a fraction of the table.
        let first = ((u128::from(hash) * count as u128) >> 64) as usize;
        (first..count).chain(0..first)
    }

    fn insert(&mut self, hash: u64, place: usize) {
        // There is one: two thirds more slots than pieces.
        if let Some(free) = self.probe(hash).find(|slot| self.slots[*slot].place == u32::MAX) {
            self.slots[free] = Slot { check: hash as u32, place: place as u32 };
        }
    }
}

/// Two bits of one word for every hash in it.
struct Bitmap {
    words: Vec<u64>,
    shift: u32,
}

impl Bitmap {
    /// Twelve bits or more for each piece (and many begin alike), of which two are set, let about one position in a hundred
    /// through.
    fn new(pieces: usize) -> Self {
        let words = (pieces * 12 / 64).next_power_of_two().clamp(1 << 6, 1 << 20);
        Self { words: vec![0; words], shift: 64 - words.ilog2() }
    }

    /// The numbers of the bits; the six lowest bits of each count.
    #[inline(always)]
    fn bits(hash: u64) -> (u32, u32) {
        ((hash >> 32) as u32, (hash >> 38) as u32)
    }

    fn insert(&mut self, hash: u64) {
        let (a, b) = Self::bits(hash);
        self.words[(hash >> self.shift) as usize] |= 1_u64.wrapping_shl(a) | 1_u64.wrapping_shl(b);
    }

    /// Its lowest bit is one if the hash may have been inserted, and zero if it wasn't.
    #[inline(always)]
    fn holds(&self, hash: u64) -> u32 {
        let word = self.words[(hash >> self.shift) as usize];
        let (a, b) = Self::bits(hash);
        (word.wrapping_shr(a) & word.wrapping_shr(b)) as u32
    }
}

/// The pieces of some needles.
pub(super) struct Index {
    /// The beginnings of all pieces.
    prefixes: Bitmap,
    /// All pieces.
    whole: Bitmap,
    tables: [Table; PIECES.len()],
}

impl Index {
    /// Of needles that are ranges of an arena, and how much of each has to be there: [`PREFIX`] + [`STRIDE`] - 1 or more. Texts
    /// are looked at every `stride` bytes.
    pub fn new(arena: &[u8], needles: impl Iterator<Item = (Range<usize>, usize)> + Clone, stride: usize) -> Self {
        let fits = move |window: usize, piece: &usize| window >= piece + stride - 1;
        let pieces = |number: usize| {
            let is_for = move |(_, window): &(Range<usize>, usize)| {
                PIECES.iter().rposition(|piece| fits(*window, piece)) == Some(number)
            };
            let piece = PIECES[number];
            needles.clone().filter(is_for).flat_map(move |(range, window)| {
                offsets(range.len(), window, piece, stride).map(move |offset| range.start + offset)
            })
        };
        let counts = [0, 1, 2].map(|number| pieces(number).count());
        let tables = [0, 1, 2].map(|number| Table::new(PIECES[number], counts[number]));
        let all = counts.iter().sum();
        let mut index = Self { prefixes: Bitmap::new(all), whole: Bitmap::new(all), tables };
        for number in 0..PIECES.len() {
            for place in pieces(number) {
                index.insert(number, arena, place);
            }
        }
        index
    }

    fn insert(&mut self, number: usize, arena: &[u8], place: usize) {
        self.prefixes.insert(hash_prefix(short_word(&arena[place..place + PREFIX])));
        // The piece is within the arena.
        if let Some(hash) = hash_piece(&arena[place..], PIECES[number]) {
            self.whole.insert(hash);
            self.tables[number].insert(hash, place);
        }
    }

    /// Memory that it takes, in bytes.
    pub fn size(&self) -> usize {
        let bitmaps = size_of_val(&*self.prefixes.words) + size_of_val(&*self.whole.words);
        bitmaps + self.tables.iter().map(|table| size_of_val(&*table.slots)).sum::<usize>()
    }

    /// Its lowest bit is one if there may be a piece that begins like this word, and zero if there is none.
    #[inline(always)]
    pub fn may_be(&self, word: u64) -> u32 {
        self.prefixes.holds(hash_prefix(word))
    }

    /// Shows the pieces that a text seems to begin with: their length, and where they are in the arena.
    pub fn candidates(&self, text: &[u8], mut visit: impl FnMut(usize, u32)) {
        for table in &self.tables {
            let Some(hash) = hash_piece(text, table.piece) else { return };
            if self.whole.holds(hash) & 1 == 0 {
                continue;
            }
            for slot in table.probe(hash) {
                let Slot { check, place } = table.slots[slot];
                if place == u32::MAX {
                    break;
                }
                if check == hash as u32 {
                    visit(table.piece, place);
                }
            }
        }
    }
}
