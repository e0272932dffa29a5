//! In what a server differs from the clean one. Here is only the door for it: what can be wrong or odd is written down elsewhere,
//! and the clean server knows nothing of it.

use std::sync::Arc;

use super::edge::{Edge, Edges};
use super::rules::{Conformant, Rules};

/// The rules of a server that breaks one, and what it does at the edge of HTTP.
pub type Behaviour = (Arc<dyn Rules>, Arc<dyn Edge>);

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
    /// The rules of a new server, and everybody at its edge.
    pub(super) fn build(&self) -> (Arc<dyn Rules>, Edges) {
        let (rules, first): (Arc<dyn Rules>, _) = match self.behaviour {
            Some(behaviour) => {
                let (rules, edge) = behaviour();
                (rules, Some(edge))
            }
            None => (Arc::new(Conformant), None),
        };
        (rules, first.into_iter().chain(self.habits.iter().map(|habit| habit())).collect())
    }
}
