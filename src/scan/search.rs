//! Finding any of many secrets in one pass, also where only a part of one is left.
//!
//! A text is looked at every eighth byte only: the five bytes that begin there are hashed to two bits of one word of a
//! bitmap that fits the second-level cache, so that nearly every position costs one load, one multiplication and one load. That
//! is enough, because the index holds pieces of every needle from so many of its places that any part of it worth
//! reporting (twelve bytes of the secret) has one of them at a multiple of eight, however it is aligned. What the bitmap lets
//! through is looked up in tables, and the needle compared to the left and to the right as far as it goes.
//!
//! Five bytes are few where a form has few characters: a hundred thousand pieces of five hexadecimal digits are met often, five
//! characters of a list of numbers nearly everywhere. These forms are long, so they are in tables of longer pieces, and the
//! bitmap is only the first question.
//!
//! ripgrep's searchers find whole needles only and step through an automaton byte by byte once there are more than some
//! dozens of needles; what makes this one faster is that all needles here are long.

use multiversion::multiversion;

use super::forms::forms;
use index::{Index, PREFIX, STRIDE};

mod index;

/// Shortest needle, in bytes: shorter ones would turn up by chance.
const SHORTEST: usize = PREFIX + STRIDE - 1;
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
#[derive(Clone, Copy, Debug)]
struct Needle {
    tag: u32,
    start: u32,
    length: u32,
    /// How much of it has to be there.
    window: u32,
    form: u8,
}

impl Needle {
    fn range(&self) -> std::ops::Range<usize> {
        self.start as usize..(self.start + self.length) as usize
    }
}

/// Collects needles.
pub struct SearcherBuilder {
    stride: usize,
    needles: Vec<Needle>,
    arena: Vec<u8>,
    names: Vec<&'static str>,
}

impl SearcherBuilder {
    fn new(stride: usize) -> Self {
        Self { stride, needles: Vec::new(), arena: Vec::new(), names: Vec::new() }
    }

    /// Looks for these bytes, or for any `window` of them in a row. Fewer than twelve are ignored, and so is what has too
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
            && start.checked_add(length).is_some()
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
        let Self { stride, needles, arena, names } = self;
        let index = Index::new(&arena, needles.iter().map(|needle| (needle.range(), needle.window as usize)), stride);
        Searcher { stride, index, needles, arena, names }
    }
}

/// Fewer than four different bytes: a run of zeros and the like.
fn is_monotonous(bytes: &[u8]) -> bool {
    let mut seen = [false; 256];
    bytes.iter().for_each(|&byte| seen[usize::from(byte)] = true);
    seen.iter().filter(|seen| **seen).count() < 4
}

/// A set of needles, ready to search.
pub struct Searcher {
    /// How far apart a text is looked at, in bytes.
    stride: usize,
    index: Index,
    /// In the order of the arena.
    needles: Vec<Needle>,
    arena: Vec<u8>,
    names: Vec<&'static str>,
}

impl std::fmt::Debug for Searcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Searcher({} needles)", self.needles.len())
    }
}

/// The first group with a place where a piece may begin: its number, and its places as bits. Shifts by any number of bits take a
/// third of the time with the instructions of newer processors.
#[multiversion(targets("x86_64+bmi2"))]
fn passing(index: &Index, groups: &[[u8; GROUP * STRIDE]]) -> Option<(usize, u32)> {
    for (number, group) in groups.iter().enumerate() {
        let words = group.as_chunks::<STRIDE>().0;
        let mut any = 0;
        for word in words {
            any |= index.may_be(u64::from_le_bytes(*word));
        }
        // Which ones is asked only then: to keep them apart takes two more instructions for each.
        if any & 1 == 1 {
            let mut passed = 0;
            for (place, word) in words.iter().enumerate() {
                passed |= (index.may_be(u64::from_le_bytes(*word)) & 1) << place;
            }
            return Some((number, passed));
        }
    }
    None
}

impl Searcher {
    /// Starts collecting needles that are looked for in much text.
    pub fn builder() -> SearcherBuilder {
        SearcherBuilder::new(STRIDE)
    }

    /// Starts collecting needles that are looked for in little text: it is looked at at every byte, so that the index is an eighth
    /// as large and as fast to make.
    pub fn builder_for_little_text() -> SearcherBuilder {
        SearcherBuilder::new(1)
    }

    /// Memory that it takes, in bytes.
    pub fn size(&self) -> usize {
        self.index.size() + size_of_val(&*self.needles) + self.arena.len()
    }

    /// How many needles there are.
    pub fn needles(&self) -> usize {
        self.needles.len()
    }

    /// Shows to `visit` every needle of which a piece stands at a multiple of the stride in `text[from..to]`. Needles are compared
    /// with the whole text. A needle may be shown once for each of its pieces.
    pub fn search(&self, text: &[u8], from: usize, to: usize, mut visit: impl FnMut(Found)) {
        if self.needles.is_empty() {
            return;
        }
        let last = to.min((text.len() + 1).saturating_sub(PREFIX));
        let mut at = from.next_multiple_of(self.stride);
        if self.stride == STRIDE && at < last {
            let mut groups = text[at..last].as_chunks().0;
            while let Some((number, mut passed)) = passing(&self.index, groups) {
                at += number * GROUP * STRIDE;
                while passed != 0 {
                    self.look_up(text, at + passed.trailing_zeros() as usize * STRIDE, &mut visit);
                    passed &= passed - 1;
                }
                at += GROUP * STRIDE;
                groups = &groups[number + 1..];
            }
            at += groups.len() * GROUP * STRIDE;
        }
        for at in (at..last).step_by(self.stride) {
            let word = text.get(at..).and_then(|rest| rest.first_chunk());
            if word.is_none_or(|word| self.index.may_be(u64::from_le_bytes(*word)) & 1 == 1) {
                self.look_up(text, at, &mut visit);
            }
        }
    }

    /// Compares the needles that have a piece like the one at a position.
    #[inline(never)]
    fn look_up(&self, text: &[u8], at: usize, visit: &mut impl FnMut(Found)) {
        self.index.candidates(&text[at..], |piece, place| {
            if let Some(found) = self.compare(text, at, place as usize, piece) {
                visit(found);
            }
        });
    }

    /// How far a needle goes on to both sides of a place of the arena; `None` if that isn't far enough.
    fn compare(&self, text: &[u8], at: usize, place: usize, piece: usize) -> Option<Found> {
        let needle =
            &self.needles[self.needles.partition_point(|needle| needle.start as usize <= place).checked_sub(1)?];
        let bytes = &self.arena[needle.range()];
        let offset = place - needle.start as usize;
        let right = bytes[offset..].iter().zip(&text[at..]).take_while(|(a, b)| a == b).count();
        if right < piece {
            return None;
        }
        let left = bytes[..offset].iter().rev().zip(text[..at].iter().rev()).take_while(|(a, b)| a == b).count();
        let length = left + right;
        (length >= needle.window as usize).then(|| Found {
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
            for mut builder in [Searcher::builder(), Searcher::builder_for_little_text()] {
                for (tag, (needle, window)) in (0..).zip(&needles) {
                    builder.add(tag, "raw", needle, *window);
                }
                prop_assert_eq!(builder.build().find_all(&text), naive(&needles, &text));
            }
        }

        /// Any twelve bytes of a secret, in any form, wherever they stand.
        #[test]
        fn twelve_bytes_are_enough(
            secret in prop::array::uniform32(any::<u8>()),
            start in 0_usize..21,
            before in prop::collection::vec(any::<u8>(), 0..9),
            after in prop::collection::vec(any::<u8>(), 0..9),
        ) {
            let searchers = [Searcher::builder(), Searcher::builder_for_little_text()].map(|mut builder| {
                builder.add_forms(7, &secret, false);
                builder.build()
            });
            let part = [&before[..], &secret[start..start + 12], &after[..]].concat();
            let spelled = [
                part.clone(),
                crate::ground::hex::encode(&part).into_bytes(),
                crate::ground::hex::encode(&part).to_uppercase().into_bytes(),
                crate::codec::base64::encode(&part).into_bytes(),
                crate::codec::base64::encode(&part).replace('+', "-").replace('/', "_").into_bytes(),
                format!("{part:?}").into_bytes(),
                part.iter().map(|byte| byte.to_string()).collect::<Vec<_>>().join(",").into_bytes(),
            ];
            for (text, searcher) in spelled.iter().flat_map(|text| searchers.iter().map(move |searcher| (text, searcher))) {
                let found = searcher.find_all(text);
                prop_assert!(found.iter().any(|found| found.tag == 7), "{:?}", String::from_utf8_lossy(text));
            }
        }
    }
}
