//! What a check is, and how it ends.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use globset::GlobMatcher;
use serde::{Deserialize, Serialize};

use super::Ctx;
use crate::client::{Exchange, Profile};
use crate::requirements::{Level, Requirement, Revision};

/// What identifies a check to a reader.
#[derive(Debug)]
pub struct CheckInfo {
    /// `area/what-holds`, stable for ever.
    pub id: &'static str,
    /// The rule in one line.
    pub title: &'static str,
    /// Section of the specification, `§6`.
    pub section: &'static str,
    /// Whether a miss is a failure or a warning.
    pub level: Level,
    /// The rules it proves; never empty.
    pub requirements: &'static [&'static Requirement],
    /// First revision that it applies to.
    pub since: Revision,
}

/// What stands between the id of a check and the profile that it was judged in, where a run judges both.
const OVER: char = '@';

impl CheckInfo {
    /// The id without the profile, as it stands in the catalogue.
    pub fn base(&self) -> &'static str {
        self.id.split_once(OVER).map_or(self.id, |(id, _)| id)
    }

    /// The profile that it was judged in, where a run judges both.
    pub fn profile(&self) -> Option<Profile> {
        match self.id.split_once(OVER)?.1 {
            "http" => Some(Profile::Http),
            "grpc" => Some(Profile::Grpc),
            _ => None,
        }
    }

    /// The id that it has where a run judges both profiles.
    pub fn id_over(&self, profile: Profile) -> String {
        format!("{}{OVER}{}", self.base(), profile.word())
    }

    /// Whether a glob means it: by its id with or without the profile, or by its section.
    pub fn is_meant_by(&self, glob: &GlobMatcher) -> bool {
        glob.is_match(self.id) || glob.is_match(self.base()) || glob.is_match(self.section)
    }
}

/// Result of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// The rule holds as far as was tried.
    Pass,
    /// A MUST is broken.
    Fail,
    /// A SHOULD or a hardening is missed.
    Warn,
    /// Not tried; the message says why.
    Skip,
    /// The suite could not tell; the message says why.
    Error,
}

impl Status {
    /// The word used in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Warn => "warn",
            Self::Skip => "skip",
            Self::Error => "error",
        }
    }
}

/// Why a check came to no verdict. Only what does not apply leaves a run conformant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Omission {
    /// By options, or because the run ended before its turn.
    LeftOut,
    /// The server hasn't, or needn't have, what it is about: no discovery, opaque tokens, a limit of the deployment.
    NotApplicable,
    /// It was tried, and what came of it tells nothing about the rule.
    NotJudged,
}

impl Omission {
    /// The words used in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::LeftOut => "left out",
            Self::NotApplicable => "does not apply here",
            Self::NotJudged => "could not be judged",
        }
    }
}

/// One broken rule: what was expected, what was observed, and the exchange that shows it.
#[derive(Clone, Debug)]
pub struct Finding {
    /// What the specification makes one expect.
    pub expected: String,
    /// What happened instead.
    pub observed: String,
    /// The request that did it and its answer; `None` where no single exchange shows it.
    pub exchange: Option<Arc<Exchange>>,
    /// Further exchanges that the sentence needs, in their order: the pull that shows what a request has changed.
    pub evidence: Vec<Arc<Exchange>>,
}

impl Finding {
    /// What one exchange shows.
    pub fn shown(expected: impl Into<String>, observed: impl Into<String>, exchange: Arc<Exchange>) -> Self {
        let (expected, observed) = (expected.into(), observed.into());
        Self { expected, observed, exchange: Some(exchange), evidence: Vec::new() }
    }
}

/// When a check runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Beside others.
    Parallel,
    /// After those, one at a time (a few where every answer takes long): it loads the server.
    Alone,
    /// Then: it judges everything that the run has seen.
    Finale,
    /// Towards the end, one at a time: it might kill the server.
    Dangerous,
    /// At the end: it looks at what the server has stored and logged.
    Storage,
    /// At the very end: it kills the server.
    Crash,
}

/// What a check needs besides a server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Need {
    /// Nothing.
    #[default]
    Nothing,
    /// A second process of the deployment.
    Replica,
    /// Another deployment.
    Stranger,
    /// To be able to kill the server and start it again.
    Command,
    /// The server's other profile.
    Profiles,
}

/// Why a check ends before its last line.
#[derive(Debug)]
pub enum Stop {
    /// The rule is broken.
    Violation(Box<Finding>),
    /// The rule isn't tried, or nothing came of it, and that is nobody's fault.
    Skip(Omission, String),
    /// The suite can't tell: what it needed to set the check up didn't work.
    SetupFailed(Box<Finding>),
}

impl Stop {
    /// The server hasn't, or needn't have, what the check is about.
    pub fn not_applicable(reason: impl Into<String>) -> Self {
        Self::Skip(Omission::NotApplicable, reason.into())
    }

    /// The check was tried, and tells nothing about its rule.
    pub fn not_judged(reason: impl Into<String>) -> Self {
        Self::Skip(Omission::NotJudged, reason.into())
    }
}

/// What a check returns; warnings are noted on the [`Ctx`].
pub type Outcome = Result<(), Stop>;

/// The body of a check.
pub type Body = for<'c> fn(&'c Ctx) -> Pin<Box<dyn Future<Output = Outcome> + Send + 'c>>;

/// A check as it is registered.
pub struct Check {
    /// What a reader knows it by.
    pub info: CheckInfo,
    /// When it runs.
    pub phase: Phase,
    /// The one profile in which it makes sense; both, unless it speaks of paths, JSON or frames rather than of operations.
    pub only: Option<Profile>,
    /// Whether it waits for something to expire (`--slow`).
    pub waits: bool,
    /// What it needs; without that it is no part of a run.
    pub needs: Need,
    /// What it does.
    pub body: Body,
}

/// Registers the checks of a file, next to each other:
/// `"id", Level, "§", [REQUIREMENT, ...], function, "title"` and, where they differ from the usual, `phase = Alone`, `since = V0_3`,
/// `waits = true`, `needs = Replica`, `only = Http`. A whole file of one profile begins with `only = Http;`.
macro_rules! checks {
    (only = $profile:ident; $($id:literal, $level:ident, $section:literal, [$($requirement:ident),+ $(,)?], $body:path, $title:literal
        $(, phase = $phase:ident)? $(, since = $since:ident)? $(, waits = $waits:literal)? $(, needs = $needs:ident)?;)*) => {
        $crate::scenarios::check::checks! {$(
            $id, $level, $section, [$($requirement),+], $body, $title
                $(, phase = $phase)? $(, since = $since)? $(, waits = $waits)? $(, needs = $needs)?, only = $profile;
        )*}
    };
    ($($id:literal, $level:ident, $section:literal, [$($requirement:ident),+ $(,)?], $body:path, $title:literal
        $(, phase = $phase:ident)? $(, since = $since:ident)? $(, waits = $waits:literal)? $(, needs = $needs:ident)? $(, only = $only:ident)?;)*) => {
        /// The checks of this file.
        pub static CHECKS: &[$crate::scenarios::Check] = &[$(
            $crate::scenarios::Check {
                info: $crate::scenarios::CheckInfo {
                    id: $id, title: $title, section: $section,
                    level: $crate::requirements::Level::$level,
                    requirements: &[$(&$crate::requirements::$requirement),+],
                    since: $crate::scenarios::check::defaults!(since $($since)?),
                },
                phase: $crate::scenarios::check::defaults!(phase $($phase)?),
                only: $crate::scenarios::check::defaults!(only $($only)?),
                waits: $crate::scenarios::check::defaults!(waits $($waits)?),
                needs: $crate::scenarios::check::defaults!(needs $($needs)?),
                body: |cx| Box::pin($body(cx)),
            }
        ),*];
    };
}

macro_rules! defaults {
    (since) => {
        $crate::requirements::Revision::V0_2
    };
    (since $since:ident) => {
        $crate::requirements::Revision::$since
    };
    (phase) => {
        $crate::scenarios::Phase::Parallel
    };
    (phase $phase:ident) => {
        $crate::scenarios::Phase::$phase
    };
    (only) => {
        None
    };
    (only $profile:ident) => {
        Some($crate::client::Profile::$profile)
    };
    (waits) => {
        false
    };
    (needs) => {
        $crate::scenarios::check::Need::Nothing
    };
    (needs $needs:ident) => {
        $crate::scenarios::check::Need::$needs
    };
    (waits $waits:literal) => {
        $waits
    };
}

pub(crate) use {checks, defaults};
