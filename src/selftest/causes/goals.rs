//! What is asked of the figures, and whether it is reached.

use super::{Figures, share};

/// With fewer servers a share says little, and no goal is held to.
const ENOUGH: usize = 50;

/// What is asked of the figures.
struct Goal {
    what: &'static str,
    reached: fn(&Figures) -> Option<f64>,
    asked: Bound,
    /// What a selftest fails for: only ever made stricter.
    bound: Bound,
}

#[derive(Clone, Copy)]
enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

impl Bound {
    fn holds(self, figure: f64) -> bool {
        match self {
            Self::AtLeast(least) => figure >= least,
            Self::AtMost(most) => figure <= most,
        }
    }
}

static GOALS: [Goal; 6] = [
    Goal {
        what: "% of the faults that a usual run sees: the first cause names the broken rule",
        reached: |figures| share(figures.seen().map(|single| single.named)),
        asked: Bound::AtLeast(97.0),
        bound: Bound::AtLeast(96.0),
    },
    Goal {
        what: "causes in the median",
        reached: |figures| figures.causes(50),
        asked: Bound::AtMost(1.0),
        bound: Bound::AtMost(1.0),
    },
    Goal {
        what: "causes at the 95th percentile",
        reached: |figures| figures.causes(95),
        asked: Bound::AtMost(3.0),
        bound: Bound::AtMost(3.0),
    },
    Goal {
        what: "% of the pairs: both rules are among the first three causes",
        reached: |figures| share(figures.pairs.iter().map(|pair| pair.named)),
        asked: Bound::AtLeast(90.0),
        bound: Bound::AtLeast(90.0),
    },
    Goal {
        what: "errors that name no cause",
        reached: |figures| Some(figures.singles.iter().map(|single| single.unexplained.len() as f64).sum()),
        asked: Bound::AtMost(0.0),
        bound: Bound::AtMost(0.0),
    },
    Goal {
        what: "ms of grouping at the 95th percentile",
        reached: |figures| percentile(figures.singles.iter().map(|single| single.took.as_secs_f64() * 1e3), 95),
        asked: Bound::AtMost(5.0),
        // A machine may be busy.
        bound: Bound::AtMost(50.0),
    },
];

impl Figures {
    /// Causes of a run, at a percentile.
    fn causes(&self, percent: usize) -> Option<f64> {
        percentile(self.singles.iter().map(|single| single.causes as f64), percent)
    }

    /// The goals with the figures, and whether what was reached before still holds; with few servers it holds whatever they are.
    pub fn goals(&self) -> Vec<(String, bool)> {
        let enough = self.singles.len() >= ENOUGH;
        let told = GOALS.iter().filter_map(|goal| {
            let figure = (goal.reached)(self)?;
            let asked = match goal.asked {
                Bound::AtLeast(least) => format!("at least {least}"),
                Bound::AtMost(most) => format!("at most {most}"),
            };
            let missed = if goal.asked.holds(figure) { "" } else { ", missed" };
            Some((format!("{figure:>6.1} {} (asked: {asked}{missed})", goal.what), goal.bound.holds(figure) || !enough))
        });
        told.collect()
    }
}

/// The smallest value that so many percent don't exceed.
pub fn percentile(values: impl Iterator<Item = f64>, percent: usize) -> Option<f64> {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get((values.len() * percent).div_ceil(100).saturating_sub(1)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let of = |values: &[f64], percent| percentile(values.iter().copied(), percent);
        assert_eq!(of(&[], 50), None);
        assert_eq!(of(&[3.0, 1.0, 2.0], 50), Some(2.0));
        assert_eq!(of(&[1.0, 1.0, 1.0, 9.0], 75), Some(1.0));
        assert_eq!(of(&[1.0, 1.0, 1.0, 9.0], 95), Some(9.0));
    }

    #[test]
    fn few_servers_prove_nothing() {
        let figures = Figures { singles: Vec::new(), pairs: Vec::new() };
        assert!(figures.goals().iter().all(|(_, met)| *met));
    }
}
