//! Repositories that the run has left in a known state, for a last look at its end.
//!
//! A repository is known from the moment at which a check has found it as it must be, until the next request that might change it.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard};

use tokio::time::Instant;

use super::Member;
use crate::client::Repo;
use crate::ground::lock;

/// Repositories that are remembered at most.
const MOST: usize = 4096;
/// Characters of ciphertext and members of a roster that are remembered at most.
const LARGEST: (usize, usize) = (64 * 1024, 300);
/// Larger ones, up to so many characters, of which few are remembered: what is kept apart for its size may get lost later.
const BULKY: (usize, usize) = (1 << 20, 4);
/// Strangers that are remembered for each repository.
const STRANGERS: usize = 3;

/// A repository as it must be, and who can tell.
#[derive(Clone)]
pub struct KnownRepo {
    /// The check that knows it.
    pub check: &'static str,
    /// The repository.
    pub repo: Repo,
    /// A member who has pulled it.
    pub reader: Member,
    /// When that was.
    pub since: Instant,
    /// Callers who were refused: member id and token.
    pub strangers: Vec<(String, String)>,
}

#[derive(Default)]
struct State {
    known: HashMap<String, KnownRepo>,
    strangers: HashMap<String, Vec<(String, String)>>,
    /// Repositories of which a request got no answer: it may take effect at any time.
    unclear: HashMap<String, ()>,
}

/// What the run knows.
#[derive(Default)]
pub struct Register(Mutex<State>);

impl Register {
    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.0)
    }

    /// A repository was found as it must be.
    pub fn found(&self, check: &'static str, repo: &Repo, reader: &Member) {
        let mut state = self.lock();
        let length = repo.envelope.ciphertext.len();
        let is_bulky = length > LARGEST.0;
        let bulky = || state.known.values().filter(|known| known.repo.envelope.ciphertext.len() > LARGEST.0).count();
        let large = repo.manifest.members.len() > LARGEST.1
            || length > BULKY.0
            || is_bulky && !state.known.contains_key(repo.id()) && bulky() >= BULKY.1;
        if large || state.known.len() >= MOST || state.unclear.contains_key(repo.id()) {
            return;
        }
        let (repo, reader) = (repo.clone(), reader.clone());
        let known = KnownRepo { check, repo, reader, since: Instant::now(), strangers: Vec::new() };
        state.known.insert(known.repo.id().to_owned(), known);
    }

    /// A request that might change a repository is on its way.
    pub fn touched(&self, repo: &str) {
        self.lock().known.remove(repo);
    }

    /// The same for a path that is none of the protocol: whatever repository it names somewhere.
    pub fn touched_by(&self, path: &str) {
        self.lock().known.retain(|id, _| !path.contains(id.as_str()));
    }

    /// A request got no answer.
    pub fn lost(&self, repo: &str) {
        let mut state = self.lock();
        state.known.remove(repo);
        state.unclear.insert(repo.to_owned(), ());
    }

    /// The server was started again: what it has kept is for other checks to say.
    pub fn forget(&self) {
        *self.lock() = State::default();
    }

    /// A caller was refused.
    pub fn refused(&self, repo: &str, member: &str, token: &str) {
        let mut state = self.lock();
        if state.strangers.len() >= MOST {
            return;
        }
        let strangers = state.strangers.entry(repo.to_owned()).or_default();
        if strangers.len() < STRANGERS && strangers.iter().all(|(known, _)| known != member) {
            strangers.push((member.to_owned(), token.to_owned()));
        }
    }

    /// What is known, by check and id, with those who were refused and aren't members.
    pub fn all(&self) -> Vec<KnownRepo> {
        let state = self.lock();
        let mut all: Vec<KnownRepo> = state.known.values().cloned().collect();
        for known in &mut all {
            let strangers = state.strangers.get(known.repo.id()).into_iter().flatten();
            let strangers = strangers.filter(|(member, _)| known.repo.manifest.member(member).is_none());
            known.strangers = strangers.cloned().collect();
        }
        all.sort_by(|one, other| (one.check, one.repo.id()).cmp(&(other.check, other.repo.id())));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Identity;

    fn member() -> Member {
        Member { identity: Identity::generate(), token: "t".into() }
    }

    #[test]
    fn a_repository_is_known_until_it_is_touched() {
        let (register, alice) = (Register::default(), member());
        let repo = Repo::new(&alice);
        register.found("a/b", &repo, &alice);
        register.refused(repo.id(), "mallory", "token");
        register.refused(repo.id(), alice.id(), "token");
        let all = register.all();
        assert_eq!(all.len(), 1);
        assert_eq!(all[0].strangers, [("mallory".to_owned(), "token".to_owned())]);
        register.touched_by(&format!("/v1/repos/x/..%2F{}/push/", repo.id()));
        assert!(register.all().is_empty());
    }

    #[test]
    fn after_a_lost_answer_nothing_is_certain() {
        let (register, alice) = (Register::default(), member());
        let repo = Repo::new(&alice);
        register.lost(repo.id());
        register.found("a/b", &repo, &alice);
        assert!(register.all().is_empty());
    }
}
