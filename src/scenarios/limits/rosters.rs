//! Who the members of the run's repositories are, as far as answers have told.

use std::collections::HashMap;
use std::sync::Mutex;

use serde_json::Value;

use crate::ground::lock;

/// Members of a roster that are remembered, so that a refusal to a stranger is told from a limit.
const REMEMBERED: usize = 16;

struct Roster {
    version: i64,
    size: usize,
    /// The first of them.
    ids: Vec<String>,
}

impl Roster {
    /// Whether somebody is in it, or may be: large ones aren't known whole.
    fn may_have(&self, who: &str) -> bool {
        self.size > REMEMBERED || self.ids.iter().any(|id| id == who)
    }
}

/// The rosters by repository.
#[derive(Default)]
pub(super) struct Rosters(Mutex<HashMap<String, Roster>>);

impl Rosters {
    /// Takes note of a roster of entries. In a race a read may arrive after the write that it didn't see: what is of an older
    /// version is no news.
    pub fn remember(&self, repo: &str, version: i64, members: &[Value]) {
        let mut rosters = lock(&self.0);
        if rosters.get(repo).is_some_and(|known| known.version > version) {
            return;
        }
        let ids = members.iter().take(REMEMBERED).filter_map(|entry| Some(entry["ed25519PublicKey"].as_str()?.into()));
        rosters.insert(repo.to_owned(), Roster { version, size: members.len(), ids: ids.collect() });
    }

    /// How many members a repository has.
    pub fn size(&self, repo: &str) -> Option<usize> {
        lock(&self.0).get(repo).map(|known| known.size)
    }

    /// Whether somebody may be a member.
    pub fn may_have(&self, repo: &str, who: &str) -> Option<bool> {
        lock(&self.0).get(repo).map(|known| known.may_have(who))
    }

    /// Whether a member's roster brings somebody in (1), leaves somebody out (2), or both (3), where that is known.
    pub fn change(&self, repo: &str, by: &str, ids: &[&str]) -> Option<u64> {
        let rosters = lock(&self.0);
        let known = rosters.get(repo).filter(|known| known.size <= REMEMBERED && known.may_have(by))?;
        let comes = ids.iter().any(|id| !known.may_have(id));
        let goes = known.ids.iter().any(|member| !ids.contains(&member.as_str()));
        Some(u64::from(comes) + 2 * u64::from(goes)).filter(|change| *change > 0)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_late_read_of_an_older_version_is_no_news() {
        let rosters = Rosters::default();
        let entries = |ids: &[&str]| ids.iter().map(|id| json!({ "ed25519PublicKey": id })).collect::<Vec<_>>();
        rosters.remember("r", 1, &entries(&["a", "b"]));
        rosters.remember("r", 2, &entries(&["a"]));
        rosters.remember("r", 1, &entries(&["a", "b"]));
        assert_eq!((rosters.size("r"), rosters.may_have("r", "b")), (Some(1), Some(false)));
        assert_eq!(rosters.change("r", "a", &["a", "b"]), Some(1));
        assert_eq!(rosters.change("r", "a", &["a"]), None);
        assert_eq!(rosters.change("r", "b", &["c"]), None, "who is no member is refused for that");
        // addMember doesn't count versions up.
        rosters.remember("r", 2, &entries(&["a", "c"]));
        assert_eq!(rosters.change("r", "c", &["b"]), Some(3));
        assert_eq!(rosters.may_have("s", "a"), None);
    }
}
