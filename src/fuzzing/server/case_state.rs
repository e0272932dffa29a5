//! Whom and what a case is played with: identities, repositories, and what the server should hold of them.

use std::collections::HashSet;
use std::sync::LazyLock;

use super::plan::{CAST, CROWD_SIZE, Naming, People, REPOS};
use crate::client::Identity;
use crate::client::random;
use crate::codec::base64;
use crate::codec::key_wrap::SCHEME_ID;
use crate::ground::Choices;
use crate::model::{State, Symbol, Symbols};
use crate::requirements::Revision;
use crate::wire::Operation;
use crate::wire::{EncryptedEnvelope, MemberEntry, WrappedKey};

/// A nonce that was issued.
#[derive(Clone, Debug)]
pub(super) struct Nonce {
    /// As it was issued.
    pub text: String,
    /// Whether it was in a token request, which some servers allow once, right or wrong.
    pub tried: bool,
    /// Whether it has bought a token.
    pub used: bool,
}

/// An identity with what it was given.
pub(super) struct Actor {
    pub identity: Identity,
    pub token: Option<String>,
    pub nonces: Vec<Nonce>,
}

/// A repository.
pub(super) struct Slot {
    pub id: String,
    /// What the server should hold; `None` if it shouldn't exist.
    pub state: Option<State>,
    /// Nobody knows any more what the server holds: its answers aren't compared.
    pub state_unknown: bool,
    /// The server took something that breaks the schema and rightly gives it back.
    pub off_schema: bool,
}

/// The state of a case under way: who takes part, what was given to them, and what the server should hold.
pub(super) struct CaseState {
    pub actors: Vec<Actor>,
    pub slots: Vec<Slot>,
    pub symbols: Symbols,
    /// The revision that the server is judged by.
    pub revision: Revision,
    /// Texts that were sent where no member belongs, and may be in no answer.
    pub canaries: Vec<String>,
    /// Every nonce that was issued.
    pub nonces: HashSet<String>,
}

/// Members that never ask for anything: ids and X25519 keys. The first is never let in anywhere.
static CROWD: LazyLock<Vec<(String, String)>> = LazyLock::new(|| {
    let keys = |identity: Identity| (identity.id, identity.x25519_public_key);
    (0..=CROWD_SIZE).map(|_| keys(Identity::generate())).collect()
});

impl CaseState {
    /// Fresh identities and ids.
    pub(super) fn new(revision: Revision) -> Self {
        let actor = |_| Actor { identity: Identity::generate(), token: None, nonces: Vec::new() };
        let slot = |_| Slot { id: random::uuid(), state: None, state_unknown: false, off_schema: false };
        Self {
            actors: (0..CAST.len()).map(actor).collect(),
            slots: (0..REPOS).map(slot).collect(),
            symbols: Symbols::of(revision),
            revision,
            canaries: Vec::new(),
            nonces: HashSet::new(),
        }
    }

    /// Names a repository that isn't there yet.
    pub(super) fn name(&mut self, repo: usize, naming: Naming) {
        let other = self.slots[(repo + 1) % self.slots.len()].id.clone();
        let slot = &mut self.slots[repo];
        if slot.state.is_some() || slot.state_unknown {
            return;
        }
        slot.id = match naming {
            Naming::Fresh => return,
            Naming::Long => format!("{}.{}", slot.id, random::uuid()),
            Naming::Like(how) => alike(&other, how),
            Naming::Odd(which) => {
                const ODD: [&str; 10] =
                    ["a b", "a/b", "\u{e9}\u{1f511}", "%41", "a?b#c", "a+b", "a\\b", "a:b@c", "a;b", "a,b=c "];
                format!("{}{}", slot.id, ODD[usize::from(which) % ODD.len()])
            }
        };
    }

    /// Whether a creation has an id with characters that have to be escaped in a path.
    pub(super) fn is_oddly_named(&self, repo: usize, operation: Operation) -> bool {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-._~".contains(c);
        operation == Operation::CreateRepo && !self.slots[repo].id.chars().all(plain)
    }

    /// Whether a creation has another id than a UUID: a deployment may take nothing else.
    pub(super) fn is_unusually_named(&self, repo: usize, operation: Operation) -> bool {
        let id = &self.slots[repo].id;
        let is_uuid =
            id.len() == 36 && id.bytes().all(|b| b == b'-' || b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        operation == Operation::CreateRepo && !is_uuid
    }

    /// The member id of a place in the cast; beyond it, nobody's, and then those of the crowd.
    pub(super) fn id(&self, who: usize) -> &str {
        self.actors.get(who).map_or_else(|| &in_crowd(who).0, |actor| &actor.identity.id)
    }

    /// The symbol of a member id.
    pub(super) fn symbol(&mut self, who: usize) -> Symbol {
        let id = self.id(who).to_owned();
        self.symbols.symbol(&id)
    }

    /// Counters of a repository: version and epoch.
    pub(super) fn counters(&self, repo: usize) -> (i64, i64) {
        let state = self.slots.get(repo).and_then(|slot| slot.state.as_ref());
        state.map_or((1, 0), |state| (state.manifest.version, state.manifest.epoch))
    }

    /// Who of the cast is a member.
    pub(super) fn members(&mut self, repo: usize) -> Vec<usize> {
        let symbols: Vec<_> = (0..CAST.len()).map(|who| self.symbol(who)).collect();
        let Some(state) = self.slots.get(repo).and_then(|slot| slot.state.as_ref()) else { return Vec::new() };
        (0..CAST.len()).filter(|who| state.manifest.members.has(symbols[*who])).collect()
    }

    /// The people of a roster, `without` being removed.
    pub(super) fn people(&mut self, repo: usize, people: &People, without: Option<usize>) -> Vec<usize> {
        match people {
            People::These(people) => people.clone(),
            People::Everybody => self.members(repo),
            People::Staying => self.members(repo).into_iter().filter(|who| Some(*who) != without).collect(),
        }
    }

    /// A member entry of the right shape; a server can't look further into it.
    pub(super) fn entry(&self, who: usize, epoch: i64, rekeyed: bool, bound: bool, dice: &mut Choices) -> MemberEntry {
        let x25519 = match self.actors.get(who) {
            _ if rekeyed => x25519_key(dice),
            Some(actor) => actor.identity.x25519_public_key.clone(),
            None => in_crowd(who).1.clone(),
        };
        MemberEntry {
            ed25519_public_key: self.id(who).to_owned(),
            x25519_public_key: x25519,
            wrapped_data_key: WrappedKey {
                scheme_id: SCHEME_ID.into(),
                ephemeral_public_key: x25519_key(dice),
                iv: noise(12, dice),
                ciphertext: noise(48, dice),
            },
            key_epoch: epoch,
            key_binding_sig: bound.then(|| noise(64, dice)),
        }
    }

    /// A member's entry, with a binding now and then.
    pub(super) fn any_entry(&self, who: usize, epoch: i64, dice: &mut Choices) -> MemberEntry {
        let bound = dice.below(3) == 0;
        self.entry(who, epoch, false, bound, dice)
    }

    /// An envelope of the right shape.
    pub(super) fn envelope(&self, repo: usize, version: i64, epoch: i64, dice: &mut Choices) -> EncryptedEnvelope {
        // What is long may be cut off somewhere, or kept elsewhere.
        let length = match dice.below(1024) {
            0 => 1_200_000,
            1..16 => 70_000,
            16..64 => 5_000,
            64..192 => 300,
            _ => 16 + dice.below(80),
        };
        EncryptedEnvelope {
            repo_id: self.slots.get(repo).map(|slot| slot.id.clone()).unwrap_or_default(),
            payload_version: version,
            key_epoch: epoch,
            iv: noise(12, dice),
            ciphertext: noise(length, dice),
        }
    }
}

fn in_crowd(who: usize) -> &'static (String, String) {
    &CROWD[(who - CAST.len()) % CROWD.len()]
}

/// Base64 of so many bytes that mean nothing.
pub(super) fn noise(length: usize, dice: &mut Choices) -> String {
    base64::encode(&drawn(length, dice))
}

fn drawn(length: usize, dice: &mut Choices) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        bytes.extend(dice.draw().to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// 32 bytes whose highest bit isn't set, as no X25519 key has it (RFC 7748 §5).
fn x25519_key(dice: &mut Choices) -> String {
    let mut bytes = drawn(32, dice);
    bytes[31] &= 0x7f;
    base64::encode(&bytes)
}

/// An id that is nearly another.
fn alike(id: &str, how: u8) -> String {
    let cut = |at: usize| id.chars().take(at).collect::<String>();
    match how % 12 {
        0 => id.to_uppercase(),
        1 => format!("{id}x"),
        2 => format!("{}zzzz", cut(32)),
        3 => format!("{}zz", cut(64)),
        4 => id.replace('-', ""),
        5 => format!("{id}.x"),
        6 => format!("{id} "),
        7 => format!("{id}_"),
        8 => format!("0{id}"),
        9 if id.contains('.') => id.replace('.', "_"),
        10 => id.to_uppercase(),
        _ => format!("{id}%00"),
    }
}
