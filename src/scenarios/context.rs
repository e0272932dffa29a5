//! What a check works with: fresh identities and repositories in one line each, operations, and what to hold them to.

mod operations;
mod record;
mod setup;
mod site;
mod together;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

pub use self::setup::to_set_up;
pub use self::site::Site;
use super::{CheckInfo, Finding, Outcome, Recording, Stop, World};
use crate::client::Exchange;
use crate::ground::Choices;
use crate::ground::lock;
use crate::wire::Operation;

/// How many exchanges a check remembers for its report.
const REMEMBERED: usize = 12;

/// The context of one check.
pub struct Ctx {
    /// What all checks share.
    pub world: Arc<World>,
    check: &'static CheckInfo,
    exchanges: Mutex<VecDeque<Arc<Exchange>>>,
    warnings: Mutex<Vec<Finding>>,
    remarks: Mutex<Vec<String>>,
    choices: Mutex<Choices>,
    provoking: AtomicBool,
    cut_off: AtomicBool,
    /// Requests that only the other profile can say, and those among what no client may send that could be sent.
    unsayable: AtomicU32,
    provoked: AtomicU32,
    recording: OnceLock<Recording>,
    /// Whether every request goes to another process of the deployment than the one before, and whose turn it is.
    spreads: AtomicBool,
    turn: AtomicUsize,
    /// Whether answers are taken as they are, limits of the deployment included.
    experiment: bool,
    /// Rounds of contention that came to their end.
    pub(super) rounds: Arc<AtomicU32>,
}

impl Ctx {
    /// The context of a check in a world.
    pub fn new(world: Arc<World>, check: &'static CheckInfo) -> Self {
        let choices = Mutex::new(Choices::new(world.asked.seed, check.id));
        Self {
            world,
            check,
            exchanges: Mutex::default(),
            warnings: Mutex::default(),
            remarks: Mutex::default(),
            choices,
            provoking: AtomicBool::new(false),
            cut_off: AtomicBool::new(false),
            unsayable: AtomicU32::new(0),
            provoked: AtomicU32::new(0),
            recording: OnceLock::new(),
            spreads: AtomicBool::new(false),
            turn: AtomicUsize::new(0),
            experiment: false,
            rounds: Arc::default(),
        }
    }

    /// The context of an experiment that is part of no check's verdict.
    pub(super) fn experiment(world: Arc<World>, info: &'static CheckInfo) -> Self {
        Self { experiment: true, ..Self::new(world, info) }
    }

    /// How many rounds of contention came to their end.
    pub fn rounds(&self) -> u32 {
        self.rounds.load(Ordering::Relaxed)
    }

    // What has happened so far.

    /// The check's id.
    pub fn check_id(&self) -> &'static str {
        self.check.id
    }

    /// Whether it is the check's business that a token expires.
    pub fn is_about_expiry(&self) -> bool {
        ["token/expired", "token/lives-as-announced", "status/expired-token"].contains(&self.check.id)
    }

    /// Whether there is time for longer tables and larger sizes (`--thorough`).
    pub fn thorough(&self) -> bool {
        self.world.asked.thorough
    }

    /// Notes a warning; the check goes on.
    pub fn warn(&self, finding: Finding) {
        lock(&self.warnings).push(finding);
    }

    /// A habit that shows in several checks is told by the first of them.
    ///
    /// # Errors
    /// The outcome, if it is the first.
    pub fn told_once(&self, habit: &'static str, outcome: Outcome) -> Outcome {
        if matches!(outcome, Err(Stop::Violation(_))) && !self.world.is_news(habit) {
            self.remark("as another check found, too, which tells of it");
            return Ok(());
        }
        outcome
    }

    /// Notes something a reader of a pass wants to know, e.g. how much was tried.
    pub fn remark(&self, text: impl Into<String>) {
        lock(&self.remarks).push(text.into());
    }

    /// Whether a connection that had been idle ended instead of answering. Nobody knows what has become of that request, so
    /// that nothing after it means much either.
    pub fn was_cut_off(&self) -> bool {
        self.cut_off.load(Ordering::Relaxed)
    }

    /// How many requests the profile can't say, and whether nothing that the check is about could be sent.
    pub fn unsayable(&self) -> (u32, bool) {
        let unsayable = self.unsayable.load(Ordering::Relaxed);
        (unsayable, unsayable > 0 && self.provoked.load(Ordering::Relaxed) == 0)
    }

    /// The warnings so far.
    pub fn take_warnings(&self) -> Vec<Finding> {
        std::mem::take(&mut lock(&self.warnings))
    }

    /// The remarks so far, as one line.
    pub fn take_remarks(&self) -> String {
        std::mem::take(&mut *lock(&self.remarks)).join("; ")
    }

    /// The last exchanges, oldest first.
    pub fn exchanges(&self) -> Vec<Arc<Exchange>> {
        lock(&self.exchanges).iter().cloned().collect()
    }

    /// The last request that could have changed something: a write, or one that no client sends.
    pub fn last_deed(&self) -> Option<Arc<Exchange>> {
        let reads = [Operation::Pull, Operation::FetchMemberKey, Operation::Discovery].map(Operation::name);
        let exchanges = lock(&self.exchanges);
        exchanges.iter().rev().find(|exchange| !reads.contains(&exchange.operation)).cloned()
    }

    /// From now on, what this check does is recorded.
    pub fn recording(&self) -> &Recording {
        self.recording.get_or_init(Recording::default)
    }

    /// From now on, requests go to the processes of the deployment in turn, and those that are sent together to all of them at once.
    pub fn spread(&self) {
        self.spreads.store(true, Ordering::Relaxed);
    }

    /// A choice below `bound`, the same for the same seed.
    pub fn choose(&self, bound: usize) -> usize {
        lock(&self.choices).below(bound)
    }

    /// A rule is broken, and no single exchange shows it.
    pub fn violation(&self, expected: impl Into<String>, observed: impl Into<String>) -> Stop {
        Stop::Violation(Box::new(Finding {
            expected: expected.into(),
            observed: observed.into(),
            exchange: None,
            evidence: Vec::new(),
        }))
    }
}
