//! What the built-in server can do wrong (faults) or oddly ([`Quirk`]s).
//!
//! A fault is a deliberately broken server: it overrides one rule and leaves the others alone. Faults exist to measure the suite,
//! so each is a mistake that a real server could make, not just the absence of a rule. A quirk is an odd habit that the
//! specification allows. [`deviation`] is what they make of a server.

#[macro_use]
mod define;
mod answers;
mod assigned;
mod bearer;
mod cached;
mod caches;
mod challenge;
mod collations;
mod columns;
mod counters;
mod crashes;
mod create;
mod disclosure;
mod door;
mod early;
mod edits;
mod elsewhere;
mod errors;
mod framing;
mod grpc;
mod hangups;
mod ids;
mod incomplete;
mod input;
mod json;
mod jwt;
mod later;
mod leaks;
mod leftovers;
mod login;
mod members;
mod membership;
mod mixed;
mod numbers;
mod of_http;
mod parsers;
mod profiles;
mod pull;
mod push;
mod push_roster;
mod quirks;
mod races;
mod redemption;
mod refused;
mod removal;
mod replay;
mod replicas;
mod requests;
mod returns;
mod rosters;
mod rows;
mod spellings;
mod stale;
mod status;
mod storage;
mod stuck;
#[cfg(test)]
mod tests;
mod tokens;
mod tools;
mod torn;
mod unread;
mod verbatim;
mod weak;

use std::sync::LazyLock;

pub use quirks::{API_KEY, Quirk, QuirkInfo};

use crate::requirements::{self, Level, Requirement};
use crate::server::{Behaviour, Deviation, Profile};

/// A server with one rule broken, habits, or both.
pub fn deviation(fault: Option<Fault>, quirks: &[Quirk]) -> Deviation {
    let habits = quirks.iter().map(|quirk| quirk.build).collect();
    Deviation { behaviour: fault.map(|fault| fault.build), habits }
}

/// What it takes to see a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FaultKind {
    /// Requests one after the other.
    Sequential,
    /// Waiting until something expires.
    Slow,
    /// Requests at the same time.
    Race,
    /// A look into the database or the log.
    Storage,
    /// A second process of the deployment.
    Replica,
    /// Another deployment.
    Stranger,
    /// Killing the server.
    Crash,
    /// Both profiles of the server.
    Profiles,
}

/// What is to be known about a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FaultInfo {
    /// Kebab-case name, for ever.
    pub name: &'static str,
    /// Id of the requirement it breaks.
    pub requirement: &'static str,
    /// Level of that requirement.
    pub level: Level,
    /// One sentence: what this server does wrong.
    pub summary: &'static str,
    /// What it takes to see it.
    pub kind: FaultKind,
    /// The one profile in which it can exist; both, where it isn't one of paths, JSON, headers or frames.
    pub only: Option<Profile>,
}

/// A deliberately broken rule.
#[derive(Clone, Copy)]
pub struct Fault {
    info: FaultInfo,
    build: fn() -> Behaviour,
}

/// Faults that break another rule over gRPC than over HTTP.
const OVER_GRPC: [(&str, &Requirement); 4] = [
    ("unauthenticated-500", &requirements::STATUS_TOKEN),
    ("stranger-500", &requirements::STATUS_STRANGER),
    ("unknown-repo-500", &requirements::STATUS_UNKNOWN),
    ("fetch-unknown-is-500", &requirements::STATUS_UNKNOWN),
];

static ALL: LazyLock<Vec<Fault>> = LazyLock::new(|| {
    let areas = [
        challenge::faults(),
        redemption::faults(),
        weak::faults(),
        replay::faults(),
        cached::faults(),
        login::faults(),
        tokens::faults(),
        jwt::faults(),
        elsewhere::faults(),
        bearer::faults(),
        membership::faults(),
        create::faults(),
        ids::faults(),
        pull::faults(),
        verbatim::faults(),
        counters::faults(),
        push::faults(),
        push_roster::faults(),
        refused::faults(),
        members::faults(),
        removal::faults(),
        answers::faults(),
        errors::faults(),
        status::faults(),
        early::faults(),
        leaks::faults(),
        incomplete::faults(),
        assigned::faults(),
        input::faults(),
        races::faults(),
        mixed::faults(),
        torn::faults(),
        storage::faults(),
        caches::faults(),
        returns::faults(),
        leftovers::faults(),
        stuck::faults(),
        rosters::faults(),
        rows::faults(),
        collations::faults(),
        columns::faults(),
        numbers::faults(),
        later::faults(),
        parsers::faults(),
        json::faults(),
        spellings::faults(),
        requests::faults(),
        disclosure::faults(),
        hangups::faults(),
        framing::faults(),
        stale::faults(),
        replicas::faults(),
        crashes::faults(),
        profiles::faults(),
        grpc::faults(),
    ];
    let mut all = areas.concat();
    for fault in &mut all {
        fault.info.only = match fault.info.name {
            name if name.starts_with("grpc-") => Some(Profile::Grpc),
            name if of_http::exists_only_there(name) => Some(Profile::Http),
            _ => None,
        };
    }
    all
});

impl Fault {
    /// All faults, area by area.
    pub fn all() -> &'static [Self] {
        &ALL
    }

    /// The fault of a name.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::all().iter().find(|fault| fault.info.name == name).copied()
    }

    /// What is to be known about it.
    pub fn info(&self) -> &FaultInfo {
        &self.info
    }

    /// The rule that it breaks in a profile, and its level. Over gRPC a handler that throws has refused (UNKNOWN, INTERNAL), so that what is
    /// wrong with it is the code.
    pub fn breaks(&self, profile: Profile) -> (&'static str, Level) {
        let other = OVER_GRPC.iter().find(|(name, _)| *name == self.info.name && profile == Profile::Grpc);
        other.map_or((self.info.requirement, self.info.level), |(_, rule)| (rule.id, rule.level))
    }
}

impl std::fmt::Debug for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Fault").field(&self.info.name).finish()
    }
}

/// A broken part that several faults share, each with a value of its own.
trait Shared {
    /// What it has a say in.
    fn behaviour(self) -> Behaviour;
}
