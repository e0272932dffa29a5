//! The status codes that the wire contract fixes: one for each reason why a sound request can only be refused (SPEC §3, §6).
//! Suite, fuzzer and model ask here, so that one answer is judged alike everywhere.

use crate::requirements::{self as rule, Requirement};

/// Why a request that is right by itself can only be refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RefusalReason {
    /// There is no valid token with it.
    NoToken,
    /// The nonce was never issued, is used up, or has expired.
    BadNonce,
    /// The caller isn't a member.
    Stranger,
    /// The repository doesn't exist.
    UnknownRepository,
    /// The member that it names doesn't exist.
    UnknownMember,
    /// The repository exists already.
    Duplicate,
}

/// What a 4xx says of a reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// The code of this reason.
    Right,
    /// The code that a server has here if it answers strangers and unknown repositories alike. One answer doesn't tell
    /// whether it does.
    PerhapsHidden,
    /// A limit of the deployment, which may be met anywhere: the reason hasn't been looked at.
    Limit,
    /// Another code.
    Wrong,
}

impl RefusalReason {
    /// All reasons.
    pub const ALL: [Self; 6] =
        [Self::NoToken, Self::BadNonce, Self::Stranger, Self::UnknownRepository, Self::UnknownMember, Self::Duplicate];

    /// Its status code.
    pub fn code(self) -> u16 {
        match self {
            Self::NoToken | Self::BadNonce => 401,
            Self::Stranger => 403,
            Self::UnknownRepository | Self::UnknownMember => 404,
            Self::Duplicate => 409,
        }
    }

    /// The rule that fixes the code.
    pub fn rule(self) -> &'static Requirement {
        match self {
            Self::NoToken => &rule::STATUS_TOKEN,
            Self::BadNonce => &rule::STATUS_NONCE,
            Self::Stranger => &rule::STATUS_STRANGER,
            Self::UnknownRepository | Self::UnknownMember => &rule::STATUS_UNKNOWN,
            Self::Duplicate => &rule::STATUS_DUPLICATE,
        }
    }

    /// What a refusal with this status says.
    pub fn judge(self, status: u16) -> Code {
        match (self, status) {
            _ if status == self.code() => Code::Right,
            (_, 402 | 413 | 429 | 503) => Code::Limit,
            (Self::Stranger, 404) | (Self::UnknownRepository, 403) => Code::PerhapsHidden,
            _ => Code::Wrong,
        }
    }

    /// What a refusal with this status misses, if anything.
    pub fn missed(self, status: u16) -> Option<&'static Requirement> {
        match self.judge(status) {
            Code::Right | Code::Limit => None,
            Code::PerhapsHidden => Some(&rule::USUAL_STATUS),
            Code::Wrong => Some(self.rule()),
        }
    }

    /// Whether a rule is about nothing but the code of an answer.
    pub fn is_about_codes(rule: &Requirement) -> bool {
        rule.id == rule::USUAL_STATUS.id || Self::ALL.iter().any(|reason| reason.rule().id == rule.id)
    }
}
