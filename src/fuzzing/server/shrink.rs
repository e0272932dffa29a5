//! Makes a case that shows something as short and as plain as it gets.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::finding::Key;
use super::plan::{Act, Count, Credential, Naming, Slip, Step};
use super::play::{Played, play};
use crate::scenarios::World;

/// Time for one finding.
const BOUND: Duration = Duration::from_secs(20);
/// So often a case that isn't shorter is tried again, as some things show only now and then.
const TRIES: usize = 2;

struct Shrinker<'a> {
    world: &'a Arc<World>,
    key: &'a Key,
    until: Instant,
    steps: Vec<Step>,
    /// What the steps came to, once they are fewer or plainer than they were.
    played: Option<Played>,
}

/// Cuts a case down while it still shows what it showed: its steps and what they came to, if it can be cut at all.
pub(super) async fn shrink(world: &Arc<World>, key: &Key, steps: &[Step]) -> Option<(Vec<Step>, Played)> {
    let until = Instant::now() + BOUND;
    let mut shrinker = Shrinker { world, key, until, steps: steps.to_vec(), played: None };
    // What is simpler may need less before it, and what comes after less may be simpler.
    loop {
        let before = shrinker.steps.clone();
        shrinker.cut().await;
        shrinker.simplify().await;
        if shrinker.steps == before || shrinker.time_is_up() {
            break;
        }
    }
    Some((shrinker.steps, shrinker.played?))
}

impl Shrinker<'_> {
    fn time_is_up(&self) -> bool {
        Instant::now() >= self.until
    }

    /// Takes a candidate if it shows the same.
    async fn shows(&mut self, steps: Vec<Step>) -> bool {
        for _ in 0..TRIES {
            if self.time_is_up() {
                return false;
            }
            let played = play(self.world, &steps, Some(self.key)).await;
            if played.finding(self.key).is_some() {
                (self.steps, self.played) = (steps, Some(played));
                return true;
            }
            if self.steps.len() > 6 {
                return false;
            }
        }
        false
    }

    /// Leaves out ever smaller runs of steps.
    async fn cut(&mut self) {
        let mut size = self.steps.len().div_ceil(2);
        while size > 0 && !self.time_is_up() {
            let mut from = self.steps.len().saturating_sub(size);
            loop {
                let steps = &self.steps;
                let rest: Vec<_> = steps.iter().take(from).chain(steps.iter().skip(from + size)).cloned().collect();
                let shorter = rest.len() < steps.len() && self.shows(rest).await;
                if from == 0 || self.time_is_up() {
                    break;
                }
                from = if shorter { from.min(self.steps.len()) } else { from }.saturating_sub(size);
            }
            size /= 2;
        }
    }

    /// Makes each step plainer, one change after the other.
    async fn simplify(&mut self) {
        for place in 0..self.steps.len() {
            for change in PLAINER {
                let mut steps = self.steps.clone();
                change(&mut steps[place]);
                if steps != self.steps {
                    self.shows(steps).await;
                }
            }
        }
    }
}

/// Changes that make a step plainer.
const PLAINER: [fn(&mut Step); 7] = [
    |step| step.mutation = None,
    |step| step.credential = Credential::Own,
    // Who made the repository needs nobody to be let in.
    |step| step.by = step.repo,
    |step| match &mut step.act {
        Act::CreateRepo { id, version, epoch, envelope, shared, .. } => {
            (*id, *version, *epoch, *envelope, *shared) = (Naming::Fresh, 1, 0, Slip::None, None);
        }
        Act::Push { expected, version, epoch, roster, envelope } => {
            (*expected, *version, *epoch) = (Count::Plus(0), Count::Plus(1), Count::Plus(0));
            (*roster, *envelope) = (None, Slip::None);
        }
        Act::AddMember { epoch, rekeyed, bound, .. } => (*epoch, *rekeyed, *bound) = (Count::Plus(0), false, false),
        Act::RemoveMember { version, epoch, envelope, .. } => {
            (*version, *epoch, *envelope) = (Count::Plus(1), Count::Plus(1), Slip::None);
        }
        Act::Pull { known } => *known = Count::Is(0),
        _ => {}
    },
    |step| {
        if let Act::Push { roster, envelope, .. } = &mut step.act {
            (*roster, *envelope) = (None, Slip::None);
        }
    },
    |step| {
        if let Act::Push { expected, version, .. } = &mut step.act {
            (*expected, *version) = (Count::Plus(0), Count::Plus(0));
        }
    },
    |step| {
        if matches!(step.act, Act::Audit | Act::Look) {
            step.act = Act::Pull { known: Count::Is(0) };
        }
    },
];
