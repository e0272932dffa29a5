//! What a repository may be like at a moment: one of the configurations that the search keeps.

use crate::model::State;

/// One way in which things may have gone so far.
#[derive(Clone, Debug)]
pub(super) struct Configuration {
    /// What the repository holds.
    pub state: Option<State>,
    /// Operations under way that haven't taken effect, by index, in order of their starts.
    pub pending: Vec<u32>,
    /// Additions of unknown outcome that have taken effect, as far as other configurations don't agree on that.
    pub spent: Vec<u32>,
    /// The write that made the state, for explanations.
    pub maker: Option<u32>,
}

impl Configuration {
    /// Before a repository exists.
    pub fn nothing() -> Self {
        Self { state: None, pending: Vec::new(), spent: Vec::new(), maker: None }
    }

    pub(super) fn same(&self, other: &Self) -> bool {
        self.pending == other.pending && self.spent == other.spent && self.state == other.state
    }

    /// An operation under way takes effect, and this is the state afterwards if it changes.
    pub(super) fn after(&self, index: u32, next: Option<State>) -> Self {
        let mut after = self.clone();
        match after.pending.iter().position(|pending| *pending == index) {
            Some(at) => drop(after.pending.remove(at)),
            None => {
                let at = after.spent.partition_point(|spent| *spent < index);
                after.spent.insert(at, index);
            }
        }
        if next.is_some() {
            (after.state, after.maker) = (next, Some(index));
        }
        after
    }
}
