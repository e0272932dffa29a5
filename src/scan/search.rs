//! Finding any of many needles in one pass.
//!
//! Every position of the text is looked at once: the eight bytes that begin there are hashed into a bitmap that is far
//! larger than the number of needles, so that next to every position is done with after one multiplication and one load. What the
//! bitmap lets through is looked up by those eight bytes, and what is found there is compared as a whole.

use super::forms;

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

    /// Looks for these bytes in all their [`forms`].
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
        // 128 bits for each needle let one position in 128 through; 2^23 bits still fit a second-level cache.
        let bits = (order.len() * 128).next_power_of_two().clamp(1 << 12, 1 << 23).ilog2();
        let mut searcher = Searcher { needles: self.needles, order, bitmap: vec![0; 1 << (bits - 6)], bits };
        for index in 0..searcher.order.len() {
            let slot = searcher.slot(searcher.order[index].0);
            searcher.bitmap[slot >> 6] |= 1 << (slot & 63);
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

    fn slot(&self, word: u64) -> usize {
        // Fibonacci hashing: the highest bits are the best mixed.
        (word.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - self.bits)) as usize
    }

    /// Every needle in the text, by offset; more than one may be found at the same place.
    pub fn find_iter<'a>(&'a self, text: &'a [u8]) -> impl Iterator<Item = Found> + 'a {
        text.windows(WORD).enumerate().flat_map(move |(offset, window)| {
            let word = word(window);
            let slot = self.slot(word);
            let candidates = if self.bitmap[slot >> 6] >> (slot & 63) & 1 == 0 { &[] } else { self.candidates(word) };
            candidates.iter().filter_map(move |&(_, index)| {
                let Needle { tag, form, bytes } = &self.needles[index];
                text[offset..].starts_with(bytes).then_some(Found { offset, tag: *tag, form })
            })
        })
    }

    fn candidates(&self, word: u64) -> &[(u64, usize)] {
        let start = self.order.partition_point(|entry| entry.0 < word);
        let length = self.order[start..].iter().take_while(|entry| entry.0 == word).count();
        &self.order[start..start + length]
    }

    /// The first needle in the text as it is or, if it has JSON escapes, with those undone.
    pub fn find(&self, text: &[u8]) -> Option<Found> {
        let plain = self.find_iter(text).next();
        plain.or_else(|| forms::without_escapes(text).and_then(|text| self.find_iter(&text).next()))
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
            let mut found: Vec<_> = searcher(&needles).find_iter(&text).collect();
            found.sort_unstable();
            prop_assert_eq!(found, naive(&needles, &text));
        }
    }
}
