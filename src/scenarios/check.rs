//! What a check is, and how it is registered.

use std::future::Future;
use std::pin::Pin;

use super::{CheckInfo, Ctx, Outcome};
use crate::client::Profile;

/// When a check runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Beside others.
    Parallel,
    /// After those, two at a time: it loads the server, and waits for its requests to line up in between.
    Contention,
    /// Then, one at a time (unless every answer takes long): what others ask for would stand between its answers or delay them.
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
