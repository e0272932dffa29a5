//! The catalogue: every rule of the specification that binds a server, an identity provider or a client, and the
//! hardening that we add on top. Checks and faults name the rules they prove or break by these entries.

mod catalogue;
pub mod order;
pub mod reasons;
pub mod why;

use serde::Serialize;

pub use catalogue::*;

/// How binding a rule is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// RFC 2119 MUST: breaking it is a failure.
    Must,
    /// RFC 2119 SHOULD: missing it is a warning.
    Should,
    /// RFC 2119 MAY: nothing to miss, but what is offered must be right.
    May,
    /// Not demanded by the specification, but what a careful author would do: missing it is a warning.
    Hardening,
}

impl Level {
    /// The word used in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Must => "must",
            Self::Should => "should",
            Self::May => "may",
            Self::Hardening => "hardening",
        }
    }
}

/// Whom a rule binds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Party {
    /// The vault server.
    Server,
    /// The identity provider: challenge and token.
    IdentityProvider,
    /// Clients; a server suite can't prove these.
    Client,
    /// Whoever runs the deployment.
    Deployment,
}

/// Revision of the specification.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Revision {
    /// 0.2, the default.
    #[default]
    #[serde(rename = "0.2")]
    V0_2,
    /// 0.3: error object, limits, retries.
    #[serde(rename = "0.3")]
    V0_3,
    /// 0.4 draft: `shareRefreshTokens`.
    #[serde(rename = "0.4")]
    V0_4,
}

impl Revision {
    /// All revisions, oldest first.
    pub const ALL: [Self; 3] = [Self::V0_2, Self::V0_3, Self::V0_4];

    /// `0.2`, `0.3` or `0.4`.
    pub fn name(self) -> &'static str {
        match self {
            Self::V0_2 => "0.2",
            Self::V0_3 => "0.3",
            Self::V0_4 => "0.4",
        }
    }
}

impl std::fmt::Display for Revision {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// One rule.
#[derive(Debug, Serialize)]
pub struct Requirement {
    /// `AVP-<section>-<slug>`, stable for ever.
    pub id: &'static str,
    /// Section of the specification, `§6`.
    pub section: &'static str,
    /// How binding it is.
    pub level: Level,
    /// Whom it binds.
    pub binds: Party,
    /// First revision that has it.
    pub since: Revision,
    /// The rule in our own words.
    pub text: &'static str,
    /// Why a black box can't prove it, for rules without a check.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unprovable: Option<&'static str>,
}

/// The entry of an id.
pub fn by_id(id: &str) -> Option<&'static Requirement> {
    ALL.iter().copied().find(|requirement| requirement.id == id)
}
