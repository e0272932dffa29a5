//! Finding any of many needles in one pass.
//!
//! Every position of the text is looked at once: the eight bytes that begin there are hashed to two places of a bitmap that
//! fits the cache, so that nearly every position is done with after one multiplication and one load. What both places let
//! through is looked up by those eight bytes, and what is found there is compared as a whole.

use super::forms::{self, forms};

/// Needles shorter than this aren't searched for: they would turn up by chance.
const WORD: usize = 8;

/// A place where a needle was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Found {
    /// Where it begins.
    pub offset: usize,
    /// The number that was given with it.
    pub tag: usize,
    /// The name of its form.
    pub form: &'static str,
}

struct Needle {
    tag: usize,
    form: &'static str,
    bytes: Vec<u8>,
}

/// Collects needles.
#[derive(Default)]
pub struct SearcherBuilder {
    needles: Vec<Needle>,
}

impl SearcherBuilder {
    /// Looks for exactly these bytes; fewer than eight are ignored.
    pub fn add(&mut self, tag: usize, form: &'static str, bytes: Vec<u8>) {
        if bytes.len() >= WORD {
            self.needles.push(Needle { tag, form, bytes });
        }
    }

    /// Looks for these bytes in all their [`forms()`].
    pub fn add_forms(&mut self, tag: usize, secret: &[u8]) {
        for form in forms(secret) {
            self.add(tag, form.name, form.bytes);
        }
    }

    /// Ready to search.
    pub fn build(self) -> Searcher {
        let mut order: Vec<(u64, usize)> =
            self.needles.iter().enumerate().map(|(index, needle)| (word(&needle.bytes), index)).collect();
        order.sort_unstable();
        // 32 bits for each needle, two of them set, let one position in some 250 through.
        let bits = (order.len() * 32).next_power_of_two().clamp(1 << 12, 1 << 22).ilog2();
        let mut searcher = Searcher { needles: self.needles, order, bitmap: vec![0; 1 << (bits - 6)], bits };
        for index in 0..searcher.order.len() {
            for slot in searcher.slots(searcher.order[index].0) {
                searcher.bitmap[slot >> 6] |= 1 << (slot & 63);
            }
        }
        searcher
    }
}

/// A set of needles, ready to search.
pub struct Searcher {
    needles: Vec<Needle>,
    /// First eight bytes of each needle, sorted, with its index.
    order: Vec<(u64, usize)>,
    bitmap: Vec<u64>,
    bits: u32,
}

/// The first eight bytes as a number; the caller has made sure that there are as many.
fn word(bytes: &[u8]) -> u64 {
    bytes.first_chunk::<WORD>().map_or(0, |first| u64::from_le_bytes(*first))
}

impl Searcher {
    /// Starts collecting needles.
    pub fn builder() -> SearcherBuilder {
        SearcherBuilder::default()
    }

    fn slots(&self, word: u64) -> [usize; 2] {
        // Fibonacci hashing: the highest bits are the best mixed; 2·22 of the 64 are used at the most.
        let hash = word.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        [(hash >> (64 - self.bits)) as usize, (hash << self.bits >> (64 - self.bits)) as usize]
    }

    fn is_set(&self, slot: usize) -> bool {
        self.bitmap[slot >> 6] >> (slot & 63) & 1 != 0
    }

    /// Shows every needle in the text to `visit`, by offset, until that returns true.
    fn scan(&self, text: &[u8], mut visit: impl FnMut(Found) -> bool) {
        let mut word = 0;
        for (end, &byte) in text.iter().enumerate() {
            // The eight bytes that end here, in the order of `from_le_bytes`.
            word = word >> 8 | u64::from(byte) << 56;
            let [one, other] = self.slots(word);
            let may_begin = self.is_set(one) && self.is_set(other);
            if may_begin && end + 1 >= WORD && self.compare(text, end + 1 - WORD, word, &mut visit) {
                return;
            }
        }
    }

    /// Compares the needles that begin with `word` with the text at an offset.
    #[cold]
    fn compare(&self, text: &[u8], offset: usize, word: u64, visit: &mut impl FnMut(Found) -> bool) -> bool {
        self.candidates(word).iter().any(|&(_, index)| {
            let Needle { tag, form, bytes } = &self.needles[index];
            text[offset..].starts_with(bytes) && visit(Found { offset, tag: *tag, form })
        })
    }

    /// Every needle in the text, by offset; more than one may be found at the same place.
    pub fn find_all(&self, text: &[u8]) -> Vec<Found> {
        let mut all = Vec::new();
        self.scan(text, |found| {
            all.push(found);
            false
        });
        all
    }

    fn first(&self, text: &[u8]) -> Option<Found> {
        let mut first = None;
        self.scan(text, |found| {
            first = Some(found);
            true
        });
        first
    }

    fn candidates(&self, word: u64) -> &[(u64, usize)] {
        let start = self.order.partition_point(|entry| entry.0 < word);
        let length = self.order[start..].iter().take_while(|entry| entry.0 == word).count();
        &self.order[start..start + length]
    }

    /// The first needle in the text as it is or, if it has JSON escapes, with those undone.
    pub fn find(&self, text: &[u8]) -> Option<Found> {
        self.first(text).or_else(|| forms::without_escapes(text).and_then(|text| self.first(&text)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn searcher(needles: &[Vec<u8>]) -> Searcher {
        let mut builder = Searcher::builder();
        for (tag, needle) in needles.iter().enumerate() {
            builder.add(tag, "raw", needle.clone());
        }
        builder.build()
    }

    fn naive(needles: &[Vec<u8>], text: &[u8]) -> Vec<Found> {
        let mut found = Vec::new();
        for (tag, needle) in needles.iter().enumerate().filter(|(_, needle)| needle.len() >= WORD) {
            for (offset, window) in text.windows(needle.len()).enumerate() {
                if window == needle {
                    found.push(Found { offset, tag, form: "raw" });
                }
            }
        }
        found.sort_unstable();
        found
    }

    #[test]
    fn empty_texts_and_empty_sets() {
        assert_eq!(searcher(&[]).find(b"some text of some length"), None);
        assert_eq!(searcher(&[b"12345678".to_vec()]).find(b""), None);
        assert_eq!(searcher(&[b"short".to_vec()]).find(b"short"), None);
    }

    #[test]
    fn escaped_text_is_seen() {
        let mut builder = Searcher::builder();
        builder.add_forms(7, &[0xfb; 12]);
        let searcher = builder.build();
        assert_eq!(searcher.find(br#"{"k":"+/v7+/v7+/v7+/v7"}"#).unwrap().tag, 7);
        assert_eq!(searcher.find(br#"{"k":"+\/v7+\/v7\u002B\/v7+\/v7"}"#).unwrap().form, "base64");
    }

    #[test]
    fn many_needles_in_much_text() {
        let mut builder = Searcher::builder();
        let secrets: Vec<[u8; 32]> = (0..500).map(|_| crate::client::random::bytes()).collect();
        secrets.iter().enumerate().for_each(|(tag, secret)| builder.add_forms(tag, secret));
        let searcher = builder.build();
        let mut text = vec![0; 20_000];
        crate::client::random::fill(&mut text);
        let mut text = crate::codec::base64::encode(&text).into_bytes();
        assert_eq!(searcher.find(&text), None);
        text.extend_from_slice(crate::codec::base64::encode(&secrets[123]).as_bytes());
        assert_eq!(searcher.find(&text).unwrap().tag, 123);
    }

    proptest! {
        /// A tiny alphabet makes needles overlap, repeat and begin alike.
        #[test]
        fn agrees_with_the_naive_search(
            needles in prop::collection::vec(prop::collection::vec(0_u8..2, 0..12), 0..40),
            text in prop::collection::vec(0_u8..2, 0..300),
        ) {
            let mut found = searcher(&needles).find_all(&text);
            found.sort_unstable();
            prop_assert_eq!(found, naive(&needles, &text));
        }
    }
}
