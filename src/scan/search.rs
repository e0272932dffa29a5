//! Finding any of many secrets in one pass, also where only a part of one is left.
//!
//! A text is looked at every fourth byte only: the eight bytes that begin there are hashed to two bits of one word of a
//! bitmap that fits the cache, so that nearly every position costs one load, one multiplication and one load. That is enough,
//! because the index holds eight-byte pieces of every needle from so many of its places that any part of it worth
//! reporting (twelve bytes of the secret) has one of them at a multiple of four, however it is aligned. What the bitmap lets
//! through is looked up in a table, and the needle compared to the left and to the right as far as it goes.
//!
//! ripgrep's searchers find whole needles only and step through an automaton byte by byte once there are more than some
//! dozens of needles; what makes this one faster is that all needles here are long.

use super::forms::forms;

/// Length of the pieces.
const PIECE: usize = 8;
/// Distance of the places where a text is looked at.
const STRIDE: usize = 4;
/// Shortest needle, in bytes: shorter ones would turn up by chance.
const SHORTEST: usize = PIECE + STRIDE - 1;
/// Places that are looked at together.
const GROUP: usize = 8;

/// A place where a needle, or a part of it, was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Found {
    /// Where it begins.
    pub offset: usize,
    /// How many bytes of the text it is.
    pub length: usize,
    /// The number that was given with it.
    pub tag: u32,
    /// The name of its form.
    pub form: &'static str,
    /// Whether all of it is there.
    pub whole: bool,
}

/// What is looked for: a slice of the arena.
#[derive(Clone, Copy)]
struct Needle {
    tag: u32,
    start: u32,
    length: u32,
    /// How much of it has to be there.
    window: u32,
    form: u8,
}

/// Collects needles.
#[derive(Default)]
pub struct SearcherBuilder {
    needles: Vec<Needle>,
    arena: Vec<u8>,
    names: Vec<&'static str>,
}

impl SearcherBuilder {
    /// Looks for these bytes, or for any `window` of them in a row. Fewer than eleven are ignored, and so is what has too
    /// few different bytes to be anybody's secret.
    pub fn add(&mut self, tag: u32, form: &'static str, bytes: &[u8], window: usize) {
        let window = window.min(bytes.len());
        if window < SHORTEST || is_monotonous(bytes) {
            return;
        }
        let known = self.names.iter().position(|name| *name == form).unwrap_or_else(|| {
            self.names.push(form);
            self.names.len() - 1
        });
        let number = |value: usize| u32::try_from(value).ok();
        // More than 4 GiB of needles, or 256 names: neither comes from a run of this suite.
        if let (Some(start), Some(length), Some(window), Ok(form)) =
            (number(self.arena.len()), number(bytes.len()), number(window), u8::try_from(known))
        {
            self.arena.extend_from_slice(bytes);
            self.needles.push(Needle { tag, start, length, window, form });
        }
    }

    /// Looks for these bytes in all their [`forms()`], for parts of them too unless `whole` is asked for.
    pub fn add_forms(&mut self, tag: u32, secret: &[u8], whole: bool) {
        for form in forms(secret) {
            self.add(tag, form.name, &form.bytes, if whole { form.bytes.len() } else { form.window });
        }
    }

    /// Ready to search.
    pub fn build(self) -> Searcher {
        let Self { needles, arena, names } = self;
        let pieces: usize = needles.iter().map(|needle| places(needle).count()).sum();
        // 24 bits or more for each piece, two of them set, let less than one position in a hundred through.
        let words = (pieces * 24 / 64).next_power_of_two().clamp(1 << 6, 1 << 20);
        let slots = (pieces * 4 / 3).next_power_of_two().max(1 << 4);
        let mut searcher = Searcher {
            bitmap: vec![0; words],
            table: vec![Slot::EMPTY; slots],
            word_shift: 64 - words.ilog2(),
            slot_mask: slots - 1,
            needles,
            arena,
            names,
        };
        for index in 0..searcher.needles.len() {
            searcher.insert(index);
        }
        searcher
    }
}

/// Fewer than four different bytes: a run of zeros and the like.
fn is_monotonous(bytes: &[u8]) -> bool {
    let mut seen = [false; 256];
    bytes.iter().for_each(|&byte| seen[usize::from(byte)] = true);
    seen.iter().filter(|seen| **seen).count() < 4
}

/// The offsets of the pieces of a needle that go into the index: four in a row (one for each alignment of the text), again
/// and again so that every window holds four in a row.
fn places(needle: &Needle) -> impl Iterator<Item = usize> + use<> {
    let (length, window) = (needle.length as usize, needle.window as usize);
    let period = window - PIECE + 1 - (STRIDE - 1);
    (0..=length - PIECE).filter(move |offset| offset % period < STRIDE)
}

#[derive(Clone, Copy)]
struct Slot {
    /// Bits of the hash that the place in the table doesn't tell; a quick no.
    check: u32,
    /// Number of the needle, or [`Slot::EMPTY`]'s.
    needle: u32,
    offset: u32,
}

impl Slot {
    const EMPTY: Self = Self { check: 0, needle: u32::MAX, offset: 0 };
}

/// A set of needles, ready to search.
pub struct Searcher {
    bitmap: Vec<u64>,
    /// Open addressing; the same piece may be there many times.
    table: Vec<Slot>,
    word_shift: u32,
    slot_mask: usize,
    needles: Vec<Needle>,
    arena: Vec<u8>,
    names: Vec<&'static str>,
}

impl std::fmt::Debug for Searcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Searcher({} needles)", self.needles.len())
    }
}

/// The piece at the beginning of some bytes, hashed; the caller has made sure that there are as many.
#[inline(always)]
fn hash_at(bytes: &[u8]) -> u64 {
    let piece = bytes.first_chunk::<PIECE>().map_or(0, |piece| u64::from_le_bytes(*piece));
    // Fibonacci hashing mixes the high bits best; the fold brings them down to where the bits within a word are taken.
    let hash = piece.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    hash ^ hash >> 32
}

/// Two bits of a word.
#[inline(always)]
fn bits(hash: u64) -> u64 {
    1 << (hash & 63) | 1 << (hash >> 6 & 63)
}

impl Searcher {
    /// Starts collecting needles.
    pub fn builder() -> SearcherBuilder {
        SearcherBuilder::default()
    }

    /// Memory that it takes, in bytes.
    pub fn size(&self) -> usize {
        size_of_val(&*self.bitmap) + size_of_val(&*self.table) + size_of_val(&*self.needles) + self.arena.len()
    }

    /// How many needles there are.
    pub fn needles(&self) -> usize {
        self.needles.len()
    }

    fn bytes_of(&self, needle: &Needle) -> &[u8] {
        &self.arena[needle.start as usize..][..needle.length as usize]
    }

    fn insert(&mut self, index: usize) {
        let needle = self.needles[index];
        for offset in places(&needle) {
            let hash = hash_at(&self.bytes_of(&needle)[offset..]);
            self.bitmap[(hash >> self.word_shift) as usize] |= bits(hash);
            let mut slot = hash as usize & self.slot_mask;
            while self.table[slot].needle != u32::MAX {
                slot = (slot + 1) & self.slot_mask;
            }
            // Both were u32 when the needle was added.
            self.table[slot] = Slot { check: (hash >> 32) as u32, needle: index as u32, offset: offset as u32 };
        }
    }

    #[inline(always)]
    fn may_be(&self, hash: u64) -> bool {
        let wanted = bits(hash);
        self.bitmap[(hash >> self.word_shift) as usize] & wanted == wanted
    }

    /// Shows to `visit` every needle of which a piece stands at a multiple of four in `text[from..to]`. Needles are compared
    /// with the whole text. A needle may be shown once for each of its pieces.
    pub fn search(&self, text: &[u8], from: usize, to: usize, mut visit: impl FnMut(Found)) {
        if self.needles.is_empty() {
            return;
        }
        let last = to.min((text.len() + 1).saturating_sub(PIECE));
        let mut at = from.next_multiple_of(STRIDE);
        const SPAN: usize = GROUP * STRIDE;
        while at + SPAN <= last
            && let Some(group) = text.get(at..at + SPAN + PIECE - STRIDE)
        {
            let mut passed = 0_u32;
            for place in 0..GROUP {
                passed |= u32::from(self.may_be(hash_at(&group[place * STRIDE..]))) << place;
            }
            while passed != 0 {
                self.look_up(text, at + passed.trailing_zeros() as usize * STRIDE, &mut visit);
                passed &= passed - 1;
            }
            at += SPAN;
        }
        for at in (at..last).step_by(STRIDE) {
            self.look_up(text, at, &mut visit);
        }
    }

    /// Compares the needles that have a piece like the one at a position.
    #[inline(never)]
    fn look_up(&self, text: &[u8], at: usize, visit: &mut impl FnMut(Found)) {
        let hash = hash_at(&text[at..]);
        if !self.may_be(hash) {
            return;
        }
        let mut slot = hash as usize & self.slot_mask;
        loop {
            let Slot { check, needle, offset } = self.table[slot];
            let Some(needle) = self.needles.get(needle as usize) else { break };
            if check == (hash >> 32) as u32
                && let Some(found) = self.compare(text, at, needle, offset as usize)
            {
                visit(found);
            }
            slot = (slot + 1) & self.slot_mask;
        }
    }

    /// How far a needle goes on to both sides of one of its places.
    fn compare(&self, text: &[u8], at: usize, needle: &Needle, offset: usize) -> Option<Found> {
        let bytes = self.bytes_of(needle);
        let left = bytes[..offset].iter().rev().zip(text[..at].iter().rev()).take_while(|(a, b)| a == b).count();
        let right = bytes[offset..].iter().zip(&text[at..]).take_while(|(a, b)| a == b).count();
        let length = left + right;
        (length >= needle.window as usize && right >= PIECE).then(|| Found {
            offset: at - left,
            length,
            tag: needle.tag,
            form: self.names[usize::from(needle.form)],
            whole: length == bytes.len(),
        })
    }

    /// Every needle in the text, or part of one, by offset and once.
    pub fn find_all(&self, text: &[u8]) -> Vec<Found> {
        let mut all = Vec::new();
        self.search(text, 0, text.len(), |found| all.push(found));
        all.sort_unstable();
        all.dedup();
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::random;
    use proptest::prelude::*;

    /// Every maximal stretch of a needle, of at least its window, anywhere in the text.
    fn naive(needles: &[(Vec<u8>, usize)], text: &[u8]) -> Vec<Found> {
        let mut found = Vec::new();
        for (tag, (needle, window)) in needles.iter().enumerate() {
            if (*window).min(needle.len()) < SHORTEST || is_monotonous(needle) {
                continue;
            }
            let equal = |at: usize, offset: usize| text.get(at).is_some_and(|byte| needle.get(offset) == Some(byte));
            for at in 0..text.len() {
                for offset in 0..needle.len() {
                    let begins = at == 0 || offset == 0 || text[at - 1] != needle[offset - 1];
                    let length = (0..).take_while(|step| equal(at + step, offset + step)).count();
                    if begins && length >= (*window).min(needle.len()) {
                        let whole = length == needle.len();
                        found.push(Found { offset: at, length, tag: tag as u32, form: "raw", whole });
                    }
                }
            }
        }
        found.sort_unstable();
        found.dedup();
        found
    }

    #[test]
    fn empty_texts_and_empty_sets() {
        assert_eq!(Searcher::builder().build().find_all(b"some text of some length"), []);
        let mut builder = Searcher::builder();
        builder.add(1, "raw", b"too short", 9);
        builder.add(2, "raw", &[0; 40], 12);
        assert_eq!(builder.needles.len(), 0);
        builder.add(3, "raw", b"long enough to be looked for", 12);
        let searcher = builder.build();
        assert_eq!(searcher.find_all(b""), []);
        assert_eq!(searcher.find_all(&[0; 100]), []);
        let found = searcher.find_all(b"...long enough to be...");
        assert_eq!(found, [Found { offset: 3, length: 17, tag: 3, form: "raw", whole: false }]);
    }

    #[test]
    fn many_needles_in_much_text() {
        let mut builder = Searcher::builder();
        let secrets: Vec<[u8; 32]> = (0..500).map(|_| random::bytes()).collect();
        for (tag, secret) in (0..).zip(&secrets) {
            builder.add_forms(tag, secret, false);
        }
        let searcher = builder.build();
        let mut text = vec![0; 200_000];
        random::fill(&mut text);
        assert_eq!(searcher.find_all(&text), []);
        let mut text = crate::codec::base64::encode(&text).into_bytes();
        assert_eq!(searcher.find_all(&text), []);
        text.extend_from_slice(crate::codec::base64::encode(&secrets[123]).as_bytes());
        assert_eq!(searcher.find_all(&text)[0].tag, 123);
    }

    proptest! {
        /// A tiny alphabet makes needles overlap, repeat and begin alike; pieces of them in the text make them be found.
        #[test]
        fn agrees_with_the_naive_search(
            needles in prop::collection::vec((prop::collection::vec(0_u8..4, 8..40), 8_usize..40), 0..12),
            cuts in prop::collection::vec((any::<prop::sample::Index>(), 0_usize..30, 0_usize..40, 0_usize..5), 0..10),
        ) {
            let mut text = Vec::new();
            for (which, from, length, gap) in cuts {
                if !needles.is_empty() {
                    let needle = &which.get(&needles).0;
                    text.extend(needle.iter().skip(from).take(length));
                }
                text.extend(std::iter::repeat_n(9, gap));
            }
            let mut builder = Searcher::builder();
            for (tag, (needle, window)) in (0..).zip(&needles) {
                builder.add(tag, "raw", needle, *window);
            }
            prop_assert_eq!(builder.build().find_all(&text), naive(&needles, &text));
        }

        /// Any twelve bytes of a secret, in any form, wherever they stand.
        #[test]
        fn twelve_bytes_are_enough(
            secret in prop::array::uniform32(any::<u8>()),
            start in 0_usize..21,
            before in prop::collection::vec(any::<u8>(), 0..9),
            after in prop::collection::vec(any::<u8>(), 0..9),
        ) {
            let mut builder = Searcher::builder();
            builder.add_forms(7, &secret, false);
            let searcher = builder.build();
            let part = [&before[..], &secret[start..start + 12], &after[..]].concat();
            let spelled = [
                part.clone(),
                random::hex(&part).into_bytes(),
                random::hex(&part).to_uppercase().into_bytes(),
                crate::codec::base64::encode(&part).into_bytes(),
                crate::codec::base64::encode(&part).replace('+', "-").replace('/', "_").into_bytes(),
                format!("{part:?}").into_bytes(),
                part.iter().map(|byte| byte.to_string()).collect::<Vec<_>>().join(",").into_bytes(),
            ];
            for text in spelled {
                let found = searcher.find_all(&text);
                prop_assert!(found.iter().any(|found| found.tag == 7), "{:?}", String::from_utf8_lossy(&text));
            }
        }
    }
}
