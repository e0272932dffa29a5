//! A run in several parts, each in a job of its own.

use crate::scenarios::Phase;

/// Why a check isn't run in this part.
pub(super) const OTHER: &str = "another shard runs it";
/// The most parts of a run.
const MOST: u32 = 1000;

/// A part of a run: the K-th of N.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    /// Which, from 1.
    pub part: u32,
    /// Of how many.
    pub of: u32,
}

impl std::str::FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let read = || {
            let (part, of) = text.trim().split_once('/')?;
            let (part, of) = (part.parse().ok()?, of.parse().ok()?);
            (1 <= part && part <= of && of <= MOST).then_some(Self { part, of })
        };
        read()
            .ok_or_else(|| format!("{text:?} is no shard: it is K/N, such as 2/3, with K from 1 to N (at most {MOST})"))
    }
}

impl std::fmt::Display for Shard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.part, self.of)
    }
}

impl Shard {
    /// Whether the thing at this place of a list belongs to this part.
    pub fn has(self, place: usize) -> bool {
        place % self.of as usize == self.part as usize - 1
    }
}

/// Whether every part runs it: it judges what the run has seen, and each part sees only its own.
pub(super) fn in_every_part(phase: Phase) -> bool {
    matches!(phase, Phase::Finale | Phase::Storage)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::{RunConfig, Target, select};
    use super::*;
    use crate::scenarios;

    #[test]
    fn a_shard_is_read() {
        assert_eq!("2/3".parse(), Ok(Shard { part: 2, of: 3 }));
        for wrong in ["", "2", "0/3", "4/3", "1/0", "a/b", "1/100000", "-1/2"] {
            assert!(wrong.parse::<Shard>().unwrap_err().contains("K/N"), "{wrong}");
        }
    }

    #[test]
    fn every_check_is_in_one_part_or_in_all() {
        let mut config = RunConfig::new(Target::Avp(String::new()));
        config.slow = true;
        let whole: Vec<_> = select(&config).unwrap().chosen.iter().map(|check| check.info.id).collect();
        let mut times: BTreeMap<&str, u32> = BTreeMap::new();
        for part in 1..=3 {
            config.shard = Some(Shard { part, of: 3 });
            let selection = select(&config).unwrap();
            assert_eq!(selection.chosen.len() + selection.left_out.len(), whole.len());
            assert!(selection.chosen.len() < whole.len() / 2);
            selection.chosen.iter().for_each(|check| *times.entry(check.info.id).or_default() += 1);
        }
        for check in scenarios::all().filter(|check| whole.contains(&check.info.id)) {
            let expected = if in_every_part(check.phase) { 3 } else { 1 };
            assert_eq!(times.get(check.info.id), Some(&expected), "{}", check.info.id);
        }
    }
}
