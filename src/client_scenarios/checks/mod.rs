//! The checks of clients: what each looks at, and which runs it needs.

mod keys;
mod operations;

use super::evidence::{ClientJudgement, Evidence};
use super::scenes::Scene;
use super::vault::Bend;
use crate::requirements::{Level, Requirement, Revision};
use crate::scenarios::CheckInfo;

/// How a check judges: it sees all runs, and the bends that it has asked for.
type Judge = fn(&Evidence, &[Bend]) -> ClientJudgement;

/// A check of clients.
pub struct ClientCheck {
    /// What a reader knows it by.
    pub info: CheckInfo,
    /// The runs that it needs besides the honest ones.
    pub bends: &'static [Bend],
    /// Whether it waits (`--slow`).
    pub waits: bool,
    pub(super) way: Way,
}

/// How a check comes to its judgement.
pub(super) enum Way {
    /// From the runs.
    Runs(Judge),
    /// In a scene of its own, which takes an adapter.
    Scene(Scene),
}

/// The beginning of a check: its id (never to change), and the rules that it holds a client to.
const fn check(
    id: &'static str,
    level: Level,
    section: &'static str,
    requirements: &'static [&'static Requirement],
) -> CheckInfo {
    CheckInfo { id, title: "", section, level, requirements, since: Revision::V0_2 }
}

impl CheckInfo {
    /// What it says of a client that passes.
    const fn title(self, title: &'static str) -> Self {
        Self { title, ..self }
    }

    /// The revision that its rule comes with, where that isn't 0.2.
    const fn since(self, since: Revision) -> Self {
        Self { since, ..self }
    }

    /// It looks at the honest runs, and at those with these bends.
    const fn runs(self, bends: &'static [Bend], judge: Judge) -> ClientCheck {
        ClientCheck { info: self, bends, waits: false, way: Way::Runs(judge) }
    }

    /// It plays a scene.
    const fn scene(self, scene: Scene) -> ClientCheck {
        ClientCheck { info: self, bends: &[], waits: false, way: Way::Scene(scene) }
    }
}

impl ClientCheck {
    /// It waits.
    const fn waits(self) -> Self {
        Self { waits: true, ..self }
    }

    /// Whether it takes an adapter (`--driver`).
    pub fn needs_driver(&self) -> bool {
        matches!(self.way, Way::Scene(_))
    }
}

/// Every check of clients, in the order of the specification.
pub fn all() -> impl Iterator<Item = &'static ClientCheck> {
    keys::CHECKS.iter().chain(operations::CHECKS)
}
