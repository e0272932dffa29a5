//! The routes of the HTTP/JSON profile.

use crate::wire::Operation;

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Route {
    /// `POST /api/auth/keypair/challenge`.
    Challenge,
    /// `POST /api/auth/keypair/token`.
    Token,
    /// `POST /v1/repos`.
    CreateRepo,
    /// `POST /v1/repos/{repoId}/pull`.
    Pull,
    /// `POST /v1/repos/{repoId}/push`.
    Push,
    /// `POST /v1/repos/{repoId}/add-member`.
    AddMember,
    /// `POST /v1/repos/{repoId}/remove-member`.
    RemoveMember,
    /// `GET /v1/repos/{repoId}/member/{memberId}`.
    FetchMemberKey,
    /// `GET /.well-known/avp`.
    Discovery,
    /// `GET /.well-known/jwks.json`.
    Jwks,
    /// A path that exists, with a method that doesn't.
    WrongMethod,
    /// Anything else.
    Unknown,
}

impl Route {
    /// The operation that it is for, if it is for one.
    pub fn operation(self) -> Option<Operation> {
        Some(match self {
            Self::Challenge => Operation::Challenge,
            Self::Token => Operation::Token,
            Self::CreateRepo => Operation::CreateRepo,
            Self::Pull => Operation::Pull,
            Self::Push => Operation::Push,
            Self::AddMember => Operation::AddMember,
            Self::RemoveMember => Operation::RemoveMember,
            Self::FetchMemberKey => Operation::FetchMemberKey,
            Self::Discovery => Operation::Discovery,
            Self::Jwks | Self::WrongMethod | Self::Unknown => return None,
        })
    }

    /// The path with its parameters in braces; this, not the path itself, goes to the log.
    pub fn template(self) -> &'static str {
        match self {
            Self::Jwks => "/.well-known/jwks.json",
            _ => self.operation().map_or("(none)", Operation::template),
        }
    }

    /// Whether it can change a repository.
    pub fn writes(self) -> bool {
        self.operation().is_some_and(Operation::is_write)
    }
}
