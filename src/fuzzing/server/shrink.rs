//! Makes a case that shows something as short and as plain as it gets.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::finding::Key;
use super::plan::{Act, Count, Credential, Slip, Step};
use super::play::{Played, play};
use crate::scenarios::World;

/// Time for one finding.
const BOUND: Duration = Duration::from_secs(20);
/// So often a case that isn't shorter is tried again, as some things show only now and then.
const TRIES: usize = 2;

/// A case and what it came to.
pub(super) struct Shrunk {
    pub steps: Vec<Step>,
    pub played: Played,
}

struct Shrinker<'a> {
    world: &'a Arc<World>,
    key: &'a Key,
    until: Instant,
    best: Shrunk,
}

/// Cuts a case down while it still shows what it showed.
pub(super) async fn shrink(world: &Arc<World>, key: &Key, steps: Vec<Step>, played: Played) -> Shrunk {
    let until = Instant::now() + BOUND;
    let mut shrinker = Shrinker { world, key, until, best: Shrunk { steps, played } };
    shrinker.cut().await;
    shrinker.simplify().await;
    // What is simpler may need less before it.
    shrinker.cut().await;
    shrinker.best
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
            let played = play(self.world, &steps).await;
            if played.found.as_ref().is_some_and(|found| found.key() == *self.key) {
                self.best = Shrunk { steps, played };
                return true;
            }
            if self.best.steps.len() > 6 {
                return false;
            }
        }
        false
    }

    /// Leaves out ever smaller runs of steps.
    async fn cut(&mut self) {
        let mut size = self.best.steps.len().div_ceil(2);
        while size > 0 && !self.time_is_up() {
            let mut from = self.best.steps.len().saturating_sub(size);
            loop {
                let steps = &self.best.steps;
                let rest: Vec<_> = steps.iter().take(from).chain(steps.iter().skip(from + size)).cloned().collect();
                let shorter = rest.len() < steps.len() && self.shows(rest).await;
                if from == 0 || self.time_is_up() {
                    break;
                }
                from = if shorter { from.min(self.best.steps.len()) } else { from }.saturating_sub(size);
            }
            size /= 2;
        }
    }

    /// Makes each step plainer.
    async fn simplify(&mut self) {
        for place in 0..self.best.steps.len() {
            for simple in simpler(&self.best.steps[place]) {
                let mut steps = self.best.steps.clone();
                steps[place] = simple;
                self.shows(steps).await;
            }
        }
    }
}

/// Plainer steps of the same kind.
fn simpler(step: &Step) -> Vec<Step> {
    let mut all = Vec::new();
    let mut propose = |change: &dyn Fn(&mut Step)| {
        let mut simple = step.clone();
        change(&mut simple);
        if simple != *step {
            all.push(simple);
        }
    };
    propose(&|step| step.twist = None);
    propose(&|step| step.credential = Credential::Own);
    // Who made the repository needs nobody to be let in.
    propose(&|step| step.by = step.repo);
    propose(&|step| match &mut step.act {
        Act::CreateRepo { version, epoch, envelope, .. } => (*version, *epoch, *envelope) = (1, 0, Slip::None),
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
    });
    propose(&|step| {
        if let Act::Push { expected, version, .. } = &mut step.act {
            (*expected, *version) = (Count::Plus(0), Count::Plus(0));
        }
    });
    propose(&|step| {
        if matches!(step.act, Act::Audit | Act::Look) {
            step.act = Act::Pull { known: Count::Is(0) };
        }
    });
    all
}
