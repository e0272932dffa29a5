//! The sequential model: what a repository answers when one request comes after the other, and what it holds then
//! (SPEC §6, §10).
//!
//! `(state, invocation) → allowed answers, each with the state that it leaves` is [`allowed`]; [`judge()`] holds one answer to
//! it. Pure functions: no I/O, no clock, no random numbers. The model is an oracle for the built-in server, for fuzzed
//! servers and for recorded histories, and shares no code with any of them.
//!
//! Where the specification leaves room, several answers are allowed. An answer that a careful server wouldn't give, but
//! that breaks no MUST, names what it misses ([`Transition::missed`]). An accepted request that contradicts itself (an envelope
//! of another repository, a roster that names somebody twice) leaves a state that the specification doesn't fix: the
//! model takes it as sent, and [`Transition::settled`] is false, so that whoever needs certainty pulls before going on.
//!
//! Revisions 0.3 and 0.4 ([`judge_by`], [`Symbols::of`]) narrow what a repeated addMember may come to, and add a flag to manifests.
//!
//! Not modelled: tokens (a caller is a member id or nobody), requests that aren't well-formed, and requests whose path
//! and body name different repositories.

mod codes;
mod discovery;
mod incomplete;
mod judge;
mod rules;
mod symbols;
#[cfg(test)]
mod tests;

use std::sync::Arc;

pub use codes::{Code, RefusalReason};
pub use discovery::{PROFILES, wrong_discovery};
pub use incomplete::{Incomplete, Taken, taken};
pub use judge::{Mismatch, Transition, judge, judge_by, transition};
pub use rules::{Allowed, Alternative, Expected, allowed, ordinary};
pub use symbols::{Symbols, WireError, read_answer, read_body};

/// A text that the model compares and never looks into: an id, a key, a ciphertext. [`Symbols`] knows what it stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Symbol(pub u32);

/// A member as the server stores it (SPEC §4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Entry {
    /// The member id.
    pub member: Symbol,
    /// Its X25519 key.
    pub x25519: Symbol,
    /// Epoch of the wrapped key.
    pub epoch: i64,
    /// Everything else: the wrapped key and the binding signature.
    pub rest: Symbol,
}

/// The members of a repository, ordered by [`Entry`] so that equal rosters compare equal; cheap to clone.
#[derive(Clone, Debug, Eq, Hash)]
#[expect(
    clippy::derived_hash_with_manual_eq,
    reason = "equality is that of the entries; the pointers only make it quicker"
)]
pub struct Roster(Arc<[Entry]>);

impl PartialEq for Roster {
    fn eq(&self, other: &Self) -> bool {
        // Most rosters that meet in a long history are one and the same.
        Arc::ptr_eq(&self.0, &other.0) || self.0 == other.0
    }
}

impl Roster {
    /// The roster of these entries, in whatever order they come.
    pub fn new(mut entries: Vec<Entry>) -> Self {
        entries.sort_unstable();
        Self(entries.into())
    }

    /// The entries, in the order of their members' symbols.
    pub fn entries(&self) -> &[Entry] {
        &self.0
    }

    /// The entry of a member (the first one, where a server let somebody in twice).
    pub fn get(&self, member: Symbol) -> Option<&Entry> {
        let at = self.0.partition_point(|entry| entry.member < member);
        self.0.get(at).filter(|entry| entry.member == member)
    }

    /// Whether a member is in it.
    pub fn has(&self, member: Symbol) -> bool {
        self.get(member).is_some()
    }

    /// The same roster with one entry more, instead of the member's old one if there is any.
    #[must_use]
    pub fn with(&self, entry: Entry) -> Self {
        let others = self.0.iter().filter(|old| old.member != entry.member);
        Self::new(others.copied().chain([entry]).collect())
    }

    /// The same roster without a member.
    #[must_use]
    pub fn without(&self, member: Symbol) -> Self {
        Self(self.0.iter().filter(|entry| entry.member != member).copied().collect())
    }

    /// Somebody is in it, nobody twice, and everybody's wrapped key is of this epoch.
    fn makes_sense(&self, epoch: i64) -> bool {
        !self.0.is_empty()
            && self.0.iter().all(|entry| entry.epoch == epoch)
            && self.0.windows(2).all(|pair| pair[0].member != pair[1].member)
    }
}

/// The metadata of a repository (SPEC §4).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Manifest {
    /// Repository id.
    pub repo: Symbol,
    /// Wrap scheme.
    pub scheme: Symbol,
    /// Payload version.
    pub version: i64,
    /// Key epoch.
    pub epoch: i64,
    /// The roster.
    pub members: Roster,
    /// `shareRefreshTokens`; always false for symbols of a revision before 0.4 ([`Symbols::of`]).
    pub shared: bool,
}

/// The encrypted payload (SPEC §4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Envelope {
    /// The repository that it names.
    pub repo: Symbol,
    /// Payload version.
    pub version: i64,
    /// Key epoch.
    pub epoch: i64,
    /// IV and ciphertext.
    pub sealed: Symbol,
}

/// What a repository holds. One that doesn't exist is `None`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    /// What every pull serves.
    pub manifest: Manifest,
    /// What a pull serves to who hasn't got it.
    pub envelope: Envelope,
}

/// One of the six operations on one repository, with its arguments (SPEC §6).
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the specification's")]
pub enum Action {
    CreateRepo { manifest: Manifest, envelope: Envelope },
    Pull { known: i64 },
    Push { envelope: Envelope, expected: i64, rotated: Option<Roster> },
    AddMember { entry: Entry },
    RemoveMember { removed: Symbol, envelope: Envelope, members: Roster, epoch: i64 },
    FetchMemberKey { member: Symbol },
}

/// An action, and who asks for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invocation {
    /// The member id that the token is for; `None` without a valid token.
    pub caller: Option<Symbol>,
    /// What is asked for.
    pub action: Action,
}

/// What came back, as far as the model compares it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Response {
    /// 2xx to createRepo, addMember, removeMember.
    Manifest(Manifest),
    /// 2xx to pull.
    Pull {
        /// The manifest.
        manifest: Manifest,
        /// The envelope, if there was one.
        envelope: Option<Envelope>,
        /// Whether the caller's version is said to be the current one.
        unchanged: bool,
    },
    /// 2xx to push.
    Push {
        /// Whether it is said to have applied.
        accepted: bool,
        /// The version.
        version: i64,
        /// The epoch.
        epoch: i64,
        /// Whether the expectation is said to be wrong.
        conflict: bool,
    },
    /// 2xx to fetchMemberKey.
    Entry(Entry),
    /// A 4xx with this status.
    Refused(u16),
    /// Any other status. The specification allows it nowhere.
    Broken(u16),
}
