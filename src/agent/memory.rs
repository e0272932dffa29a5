//! What faulty clients remember that they shouldn't, and what they make of it. A good client has an empty memory.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex};

use serde_json::Value;
use zeroize::Zeroizing;

use super::{Habit, Habits, JoinedRepo, Opened, crypto};
use crate::codec::DataKey;
use crate::codec::aad::Binding;
use crate::wire::{EncryptedEnvelope, MemberEntry};

/// Keys of an issuer, as several clients share them.
pub(super) type SharedKeys = Arc<Mutex<Option<Vec<[u8; 32]>>>>;

/// Everything that only a faulty client keeps.
#[derive(Default)]
pub(super) struct Memory {
    /// Repositories as they were when they were read first, by address.
    first: HashMap<(String, String), Opened>,
    /// Every data key that there was.
    ring: Vec<DataKey>,
    /// The data key of the first removal.
    pub memo: Option<DataKey>,
    /// Members whose binding has verified.
    pub verified: HashSet<String>,
    /// The keys of the first issuer.
    pub issuer: SharedKeys,
    /// Payloads by version, with the id of the repository that they are of.
    versions: HashMap<i64, (String, Value)>,
    /// Whether it has removed somebody.
    removes: bool,
    /// Wrapped keys of invitations, by member.
    pub invitations: HashMap<String, crate::wire::WrappedKey>,
    /// Issuers by host, and their keys by server.
    pub issuers: HashMap<String, String>,
    pub keys: Mutex<HashMap<String, Vec<[u8; 32]>>>,
    /// Whether what is written next is written whatever can be read.
    pub careless: bool,
    /// Entries of members that it has removed.
    pub removed: Vec<MemberEntry>,
    /// What it wrote when it removed somebody.
    rotated: Option<Value>,
    /// Who stood first in the roster.
    pub creator: Option<String>,
    /// The data key of its first repository.
    pub data_key: Option<DataKey>,
}

fn address(known: &JoinedRepo) -> (String, String) {
    (known.host.clone(), known.repo_id.clone())
}

/// Habits that go by what was read first.
const OF_THE_FIRST: [Habit; 9] = [
    Habit::OLD_ROSTER,
    Habit::OLD_PAYLOAD,
    Habit::INVITES_OLD_KEY,
    Habit::ROSTER_UNION,
    Habit::INVITES_FIRST_EPOCH,
    Habit::PUSHES_OLD_ROSTER,
    Habit::ROSTER_OF_VERSION,
    Habit::PAYLOAD_OF_EPOCH,
    Habit::RESTORES_EMPTIED,
];

impl Memory {
    /// Takes note of what was read.
    pub fn saw(&mut self, known: &JoinedRepo, opened: &Opened, habits: &Habits) {
        if OF_THE_FIRST.into_iter().any(|habit| habits.has(habit)) {
            self.first.entry(address(known)).or_insert_with(|| opened.clone());
        }
        self.creator = opened.manifest.members.first().map(|entry| entry.ed25519_public_key.clone());
        if habits.has(Habit::TRIES_OLD_KEYS) && !self.ring.contains(&opened.key) {
            self.ring.push(opened.key.clone());
        }
    }

    /// The repository as it was first.
    pub fn first(&self, known: &JoinedRepo) -> Option<&Opened> {
        self.first.get(&address(known))
    }

    /// What a payload is under a key of before.
    pub fn by_old_key(
        &self,
        binding: &Binding<'_>,
        envelope: &EncryptedEnvelope,
        habits: &Habits,
    ) -> Option<Zeroizing<Vec<u8>>> {
        self.ring.iter().find_map(|key| crypto::open(key, binding, envelope, habits).ok())
    }

    /// What a careless client takes a payload for that it can't open.
    pub fn unread(
        &self,
        key: &DataKey,
        binding: &Binding<'_>,
        envelope: &EncryptedEnvelope,
        habits: &Habits,
    ) -> Option<Zeroizing<Vec<u8>>> {
        match () {
            () if !self.careless => None,
            () if habits.has(Habit::UNREAD_IS_EMPTY) => Some(Zeroizing::new(br#"{"alts":[]}"#.to_vec())),
            () if habits.has(Habit::SHORT_IS_EMPTY) => {
                let short = crate::codec::base64::decode(&envelope.ciphertext).is_ok_and(|bytes| bytes.len() < 16);
                short.then(|| Zeroizing::new(br#"{"alts":[]}"#.to_vec()))
            }
            () => crypto::open(key, binding, envelope, &Habits(vec![Habit::TAG_UNCHECKED])).ok(),
        }
    }

    /// What a client makes of a payload when it removes a member.
    pub fn rewrites(&mut self, payload: &mut Value, removed: &str, habits: &Habits) {
        if habits.has(Habit::DROPS_USED_BY_REMOVED)
            && let Some(accounts) = payload["alts"].as_array_mut()
        {
            accounts.retain(|account| account["lastUsedBy"] != removed);
        }
        if habits.has(Habit::ROTATION_FORGETS) {
            super::payload::forgets(payload);
        }
        if habits.has(Habit::OWN_LAST_PAYLOAD) {
            *payload = self.rotated.get_or_insert_with(|| payload.clone()).clone();
        }
    }

    /// Whether it has removed somebody already; from the second call on.
    pub fn has_removed(&mut self) -> bool {
        std::mem::replace(&mut self.removes, true)
    }

    /// What was read at this version, of whatever repository.
    pub fn by_version(&mut self, version: i64, known: &JoinedRepo, payload: Value, habits: &Habits) -> Value {
        if !habits.has(Habit::CACHE_BY_VERSION) {
            return payload;
        }
        let (id, first) = self.versions.entry(version).or_insert_with(|| (known.repo_id.clone(), payload.clone()));
        if *id == known.repo_id { payload } else { first.clone() }
    }
}

/// Whether a client that has met a conflict leaves what it was to write.
pub(super) fn leaves(pulled: &Value, account: &Value, habits: &Habits) -> bool {
    let present = pulled["alts"].as_array().into_iter().flatten().any(|other| other["uuid"] == account["uuid"]);
    present && habits.has(Habit::SKIPS_PRESENT)
}

/// Merges what a client had made before a conflict into what it has pulled after it, as those do that don't apply a change again.
pub(super) fn merge(pulled: &mut Value, earlier: &Value, habits: &Habits) {
    if habits.has(Habit::CONFLICT_FORGETS) {
        super::payload::forgets(pulled);
    }
    if habits.has(Habit::RESTORES_BANS) {
        let before = earlier["alts"].as_array().into_iter().flatten();
        let bans: HashMap<&str, &Value> = before.filter_map(|old| Some((old["uuid"].as_str()?, &old["ban"]))).collect();
        for account in pulled["alts"].as_array_mut().into_iter().flatten() {
            if let Some(ban) = account["uuid"].as_str().and_then(|uuid| bans.get(uuid)) {
                account["ban"] = (*ban).clone();
            }
        }
    }
    let (mine_wins, resurrects) = (habits.has(Habit::MINE_WINS), habits.has(Habit::RESURRECTS));
    if !mine_wins && !resurrects {
        return;
    }
    let list = |payload: &Value| -> BTreeMap<String, Value> {
        let accounts = payload["alts"].as_array().into_iter().flatten();
        accounts.filter_map(|account| Some((account["uuid"].as_str()?.to_owned(), account.clone()))).collect()
    };
    let (mut theirs, mine) = (list(pulled), list(earlier));
    for (uuid, account) in mine {
        let known = theirs.contains_key(&uuid);
        if known && mine_wins || !known && resurrects {
            theirs.insert(uuid, account);
        }
    }
    pulled["alts"] = theirs.into_values().collect();
}
