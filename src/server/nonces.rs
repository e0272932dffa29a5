//! Nonces that were issued and not yet redeemed (SPEC §3). A server without a file keeps them in memory. With one they are in the
//! database, as digests: another process of the deployment redeems them, and none is good again after a crash.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use super::clock;
use super::store::Store;

use crate::ground::lock;

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
    stored: Option<Arc<Store>>,
}

#[derive(Debug, Default)]
struct Held {
    by_nonce: HashMap<Vec<u8>, Issued>,
    /// The same nonces, oldest first; those already redeemed stay here until they are old.
    by_age: VecDeque<(Instant, Vec<u8>)>,
}

impl Nonces {
    /// Keeps nonces in a database.
    pub fn stored(store: Arc<Store>) -> Self {
        Self { stored: Some(store), ..Self::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        // Nothing in here panics half-way through a change.
        lock(&self.held)
    }

    /// Remembers a nonce, and forgets those older than `keep`.
    ///
    /// # Errors
    /// The database fails.
    pub fn add(&self, nonce: Vec<u8>, key: String, keep: Duration) -> rusqlite::Result<()> {
        if let Some(store) = &self.stored {
            let (now, keep) = (clock::now_ms(), i64::try_from(keep.as_millis()).unwrap_or(i64::MAX));
            return store.write(|tx| tx.add_nonce(&digest(&nonce), &key, now, now.saturating_sub(keep)));
        }
        let (mut held, now) = (self.lock(), Instant::now());
        while held.by_age.front().is_some_and(|(at, _)| now.duration_since(*at) > keep) || held.by_age.len() >= MOST {
            if let Some((_, old)) = held.by_age.pop_front() {
                held.by_nonce.remove(&old);
            }
        }
        held.by_age.push_back((now, nonce.clone()));
        held.by_nonce.insert(nonce, Issued { key, at: now });
        Ok(())
    }

    /// What is known about a nonce, if it can still be redeemed.
    pub fn find(&self, nonce: &[u8]) -> Option<Issued> {
        let Some(store) = &self.stored else { return self.lock().by_nonce.get(nonce).cloned() };
        let (key, issued_ms) = store.read(|tx| tx.find_nonce(&digest(nonce))).ok().flatten()?;
        let age = Duration::from_millis(u64::try_from(clock::now_ms().saturating_sub(issued_ms)).unwrap_or(0));
        Some(Issued { key, at: Instant::now().checked_sub(age)? })
    }

    /// Takes a nonce out of use; of any number of callers at once, one is told `true`.
    pub fn spend(&self, nonce: &[u8]) -> bool {
        match &self.stored {
            Some(store) => store.write(|tx| tx.take_nonce(&digest(nonce))).unwrap_or(false),
            None => self.lock().by_nonce.remove(nonce).is_some(),
        }
    }
}

/// What stands in the database: nobody who reads it can redeem anything.
fn digest(nonce: &[u8]) -> Vec<u8> {
    Sha256::digest(nonce).to_vec()
}
