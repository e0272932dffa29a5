//! What the built-in server can do wrong (faults) or oddly ([`Quirk`]s).
//!
//! A fault is a deliberately broken server: it overrides one rule and leaves the others alone. Faults exist to measure
//! the suite, so each is a mistake that a real server could make, not just the absence of a rule. A quirk is an odd
//! habit that the specification allows. [`deviation`] is what they make of a server.

mod add_member;
mod answers;
mod assigned;
mod bearer;
mod beside_the_manifest;
mod beside_the_roster;
mod bindings;
mod cached;
mod caches;
mod challenge;
mod collations;
mod columns;
mod columns_by_operation;
mod comparisons;
mod counters;
mod crashes;
mod create;
mod created;
mod disclosure;
mod door;
mod early;
mod edits;
mod elsewhere;
mod errors;
mod fetch_member_key;
mod former_members;
mod framing;
mod grpc;
mod grpc_messages;
mod hangups;
mod id_forms;
mod ids;
mod incomplete;
mod input;
mod json;
mod jwt;
mod kept_locks;
mod later;
mod leaks;
mod leftovers;
mod login;
mod membership;
mod mixed;
mod negotiation;
mod nonce_lookup;
mod numbers;
mod of_http;
mod pages;
mod parsers;
mod per_member;
mod profiles;
mod pull;
mod pulled;
mod push;
mod push_gate;
mod push_roster;
mod quirks;
mod race_reads;
mod races;
mod readers;
mod redemption;
mod refused;
mod refused_removal;
mod removal;
mod removal_checks;
mod repeats;
mod replay;
mod replicas;
mod requests;
mod rested;
mod returns;
mod rosters;
mod rows;
mod signatures;
mod spellings;
mod stale;
mod status;
mod storage;
mod table;
#[cfg(test)]
mod tests;
mod token_sources;
mod tokens;
mod tools;
mod torn;
mod unread;
mod unsaved_changes;
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
        challenge::FAULTS,
        signatures::FAULTS,
        redemption::FAULTS,
        weak::FAULTS,
        replay::FAULTS,
        nonce_lookup::FAULTS,
        cached::FAULTS,
        login::FAULTS,
        tokens::FAULTS,
        jwt::FAULTS,
        elsewhere::FAULTS,
        bearer::FAULTS,
        token_sources::FAULTS,
        membership::FAULTS,
        former_members::FAULTS,
        create::FAULTS,
        created::FAULTS,
        id_forms::FAULTS,
        ids::FAULTS,
        pull::FAULTS,
        pulled::FAULTS,
        verbatim::FAULTS,
        bindings::FAULTS,
        counters::FAULTS,
        push_gate::FAULTS,
        push::FAULTS,
        push_roster::FAULTS,
        refused::FAULTS,
        refused_removal::FAULTS,
        add_member::FAULTS,
        fetch_member_key::FAULTS,
        removal::FAULTS,
        removal_checks::FAULTS,
        answers::FAULTS,
        errors::FAULTS,
        status::FAULTS,
        early::FAULTS,
        leaks::FAULTS,
        incomplete::FAULTS,
        assigned::FAULTS,
        input::FAULTS,
        races::FAULTS,
        race_reads::FAULTS,
        mixed::FAULTS,
        torn::FAULTS,
        storage::FAULTS,
        caches::FAULTS,
        per_member::FAULTS,
        returns::FAULTS,
        repeats::FAULTS,
        leftovers::FAULTS,
        unsaved_changes::FAULTS,
        rested::FAULTS,
        beside_the_manifest::FAULTS,
        kept_locks::FAULTS,
        beside_the_roster::FAULTS,
        rosters::FAULTS,
        rows::FAULTS,
        collations::FAULTS,
        columns::FAULTS,
        columns_by_operation::FAULTS,
        numbers::FAULTS,
        comparisons::FAULTS,
        later::FAULTS,
        parsers::FAULTS,
        json::FAULTS,
        spellings::FAULTS,
        requests::FAULTS,
        pages::FAULTS,
        disclosure::FAULTS,
        hangups::FAULTS,
        framing::FAULTS,
        negotiation::FAULTS,
        stale::FAULTS,
        replicas::FAULTS,
        crashes::FAULTS,
        profiles::FAULTS,
        grpc_messages::FAULTS,
        grpc::FAULTS,
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

    /// The rule that it breaks in a profile, and its level. Over gRPC a handler that throws has refused (UNKNOWN,
    /// INTERNAL), so that what is wrong with it is the code.
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
