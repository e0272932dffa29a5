//! Nonces that were issued and not yet redeemed (SPEC §3). They live in memory only: losing them in a restart costs a client
//! one more challenge.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// More than this many are never held; beyond it the oldest go, so that challenges can't fill the memory.
const MOST: usize = 65_536;

/// What is known about an issued nonce.
#[derive(Clone, Debug)]
pub struct Issued {
    /// The member id that asked for it.
    pub key: String,
    /// When.
    pub at: Instant,
}

/// The store of nonces.
#[derive(Debug, Default)]
pub struct Nonces {
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    by_nonce: HashMap<Vec<u8>, Issued>,
    /// The same nonces, oldest first; those already redeemed stay here until they are old.
    by_age: VecDeque<(Instant, Vec<u8>)>,
}

impl Nonces {
    fn lock(&self) -> MutexGuard<'_, Held> {
        // Nothing in here panics half-way through a change.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers a nonce, and forgets those older than `keep`.
    pub fn add(&self, nonce: Vec<u8>, key: String, keep: Duration) {
        let (mut held, now) = (self.lock(), Instant::now());
        while held.by_age.front().is_some_and(|(at, _)| now.duration_since(*at) > keep) || held.by_age.len() >= MOST {
            if let Some((_, old)) = held.by_age.pop_front() {
                held.by_nonce.remove(&old);
            }
        }
        held.by_age.push_back((now, nonce.clone()));
        held.by_nonce.insert(nonce, Issued { key, at: now });
    }

    /// What is known about a nonce, if it can still be redeemed.
    pub fn find(&self, nonce: &[u8]) -> Option<Issued> {
        self.lock().by_nonce.get(nonce).cloned()
    }

    /// Takes a nonce out of use; of any number of callers at once, one is told `true`.
    pub fn spend(&self, nonce: &[u8]) -> bool {
        self.lock().by_nonce.remove(nonce).is_some()
    }
}
