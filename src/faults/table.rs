//! How faults are written down: a row in the table of their area. Files of faults import all that is here.
//!
//! A fault that needs code of its own has a type below the table, which is named as the fault is and has only the
//! methods that deviate.

use std::sync::Arc;

pub use super::{Fault, FaultKind::*};
use super::{FaultInfo, FaultKind};
pub use crate::requirements::*;
use crate::server::Behaviour;
use crate::server::edge::Edge;
use crate::server::rules::{IdentityRules, VaultRules};

/// A fault: its name, the rule that it breaks, what the server does wrong in one sentence, and how that server behaves.
pub const fn fault(
    name: &'static str,
    rule: &'static Requirement,
    summary: &'static str,
    build: fn() -> Behaviour,
) -> Fault {
    let (requirement, level, kind) = (rule.id, rule.level, FaultKind::Sequential);
    Fault { info: FaultInfo { name, requirement, level, summary, kind, only: None }, build }
}

impl Fault {
    /// The same fault, where seeing it takes more than requests one after the other.
    pub(super) const fn kind(mut self, kind: FaultKind) -> Self {
        self.info.kind = kind;
        self
    }
}

// A behaviour is made of one value, so that all its methods see the same state. It has only those traits that it
// deviates from: the methods of the others, a copy for each of a thousand faults, were a quarter of all functions that
// the compiler made.

/// Other rules of what somebody may do.
pub fn vault(rules: impl VaultRules) -> Behaviour {
    Behaviour::default().vault(Arc::new(rules))
}

/// Other rules of who somebody is.
pub fn identity(rules: impl IdentityRules) -> Behaviour {
    Behaviour::default().identity(Arc::new(rules))
}

/// Something else at the edge.
pub fn edge(edge: impl Edge) -> Behaviour {
    Behaviour::default().edge(Arc::new(edge))
}

pub fn edge_and_vault(both: impl Edge + VaultRules) -> Behaviour {
    let both = Arc::new(both);
    Behaviour::default().edge(both.clone()).vault(both)
}

pub fn edge_and_identity(both: impl Edge + IdentityRules) -> Behaviour {
    let both = Arc::new(both);
    Behaviour::default().edge(both.clone()).identity(both)
}

pub fn identity_and_vault(both: impl IdentityRules + VaultRules) -> Behaviour {
    let both = Arc::new(both);
    Behaviour::default().identity(both.clone()).vault(both)
}

pub fn all_three(all: impl Edge + IdentityRules + VaultRules) -> Behaviour {
    let all = Arc::new(all);
    Behaviour::default().edge(all.clone()).identity(all.clone()).vault(all)
}
