//! Inputs that get past the first check: values drawn from the bytes of the fuzzer by `arbitrary`, so that its mutations
//! change one thing at a time.

use arbitrary::{Arbitrary, Unstructured};
use serde_json::{Map, Value};

/// Bytes as a source of values; when they run out, everything is zero or empty.
pub(super) struct Structured<'a>(Unstructured<'a>);

impl<'a> Structured<'a> {
    pub(super) fn new(data: &'a [u8]) -> Self {
        Self(Unstructured::new(data))
    }

    fn draw<T: Arbitrary<'a> + Default>(&mut self) -> T {
        self.0.arbitrary().unwrap_or_default()
    }

    pub(super) fn text(&mut self) -> String {
        self.draw()
    }

    pub(super) fn integer(&mut self) -> i64 {
        self.draw()
    }

    pub(super) fn flag(&mut self) -> bool {
        self.draw()
    }

    pub(super) fn bytes(&mut self) -> Vec<u8> {
        self.draw()
    }

    pub(super) fn array<const N: usize>(&mut self) -> [u8; N] {
        self.0.arbitrary().unwrap_or([0; N])
    }

    /// A number below a bound, which is at least 1.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        self.0.int_in_range(0..=bound.max(1) - 1).unwrap_or(0)
    }

    /// The same as a `u32`.
    pub(super) fn small(&mut self, bound: u32) -> u32 {
        self.0.int_in_range(0..=bound.max(1) - 1).unwrap_or(0)
    }

    /// A JSON object of texts, integers and flags.
    pub(super) fn members(&mut self) -> Map<String, Value> {
        let count = self.below(4);
        (0..count)
            .map(|_| {
                let value = match self.below(3) {
                    0 => Value::from(self.text()),
                    1 => Value::from(self.integer()),
                    _ => Value::from(self.flag()),
                };
                (self.text(), value)
            })
            .collect()
    }
}
