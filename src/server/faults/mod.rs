//! Deliberately broken servers: each fault overrides one rule and leaves the others alone.

use std::sync::Arc;

use super::rules::Rules;

/// How strongly the specification asks for what a fault breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Level {
    /// MUST.
    Must,
    /// SHOULD.
    Should,
    /// Nobody says so, but a careful server does it.
    Hardening,
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
}

/// A deliberately broken rule.
#[derive(Clone, Copy)]
pub struct Fault {
    info: FaultInfo,
    build: fn() -> Arc<dyn Rules>,
}

impl Fault {
    /// All faults.
    pub fn all() -> &'static [Self] {
        &[]
    }

    /// The fault of a name.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::all().iter().find(|fault| fault.info.name == name).copied()
    }

    /// What is to be known about it.
    pub fn info(&self) -> &FaultInfo {
        &self.info
    }

    pub(super) fn rules(&self) -> Arc<dyn Rules> {
        (self.build)()
    }
}

impl std::fmt::Debug for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Fault").field(&self.info.name).finish()
    }
}
