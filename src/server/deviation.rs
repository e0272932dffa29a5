//! In what a server differs from the clean one. Here is only the door for it: what can be wrong or odd is written down elsewhere,
//! and the clean server knows nothing of it.

use std::sync::Arc;

use super::edge::{Edge, Edges};
use super::rules::{Conformant, IdentityRules, VaultRules};

/// What somebody who is not like the clean server has a say in: who callers are, what they may do, the edge of HTTP. In what it
/// has no say the server is the clean one.
#[derive(Clone, Default)]
pub struct Behaviour {
    /// Other rules of who somebody is.
    identity: Option<Arc<dyn IdentityRules>>,
    /// Other rules of what somebody may do.
    vault: Option<Arc<dyn VaultRules>>,
    /// Something else at the edge.
    edge: Option<Arc<dyn Edge>>,
}

impl Behaviour {
    /// The same with other rules of who somebody is.
    pub(crate) fn identity(self, rules: Arc<dyn IdentityRules>) -> Self {
        Self { identity: Some(rules), ..self }
    }

    /// The same with other rules of what somebody may do.
    pub(crate) fn vault(self, rules: Arc<dyn VaultRules>) -> Self {
        Self { vault: Some(rules), ..self }
    }

    /// The same with something else at the edge.
    pub(crate) fn edge(self, edge: Arc<dyn Edge>) -> Self {
        Self { edge: Some(edge), ..self }
    }
}

/// The rules that a new server goes by, and everybody at its edge.
pub(super) struct Conduct {
    pub identity: Arc<dyn IdentityRules>,
    pub vault: Arc<dyn VaultRules>,
    pub edges: Edges,
}

/// What a server does differently. Nothing, by default.
///
/// It is written as functions, because each server that is started has a state of its own.
#[derive(Clone, Debug, Default)]
pub struct Deviation {
    /// Other rules than the protocol's.
    pub(crate) behaviour: Option<fn() -> Behaviour>,
    /// Habits at the edge of HTTP.
    pub(crate) habits: Vec<fn() -> Arc<dyn Edge>>,
}

impl Deviation {
    /// What a new server goes by.
    pub(super) fn build(&self) -> Conduct {
        let Behaviour { identity, vault, edge } = self.behaviour.map(|behaviour| behaviour()).unwrap_or_default();
        Conduct {
            identity: identity.unwrap_or_else(|| Arc::new(Conformant)),
            vault: vault.unwrap_or_else(|| Arc::new(Conformant)),
            edges: edge.into_iter().chain(self.habits.iter().map(|habit| habit())).collect(),
        }
    }
}
