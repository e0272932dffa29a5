//! The routes of the HTTP/JSON profile.

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
    /// The path with its parameters in braces; this, not the path itself, goes to the log.
    pub fn template(self) -> &'static str {
        match self {
            Self::Challenge => "/api/auth/keypair/challenge",
            Self::Token => "/api/auth/keypair/token",
            Self::CreateRepo => "/v1/repos",
            Self::Pull => "/v1/repos/{repoId}/pull",
            Self::Push => "/v1/repos/{repoId}/push",
            Self::AddMember => "/v1/repos/{repoId}/add-member",
            Self::RemoveMember => "/v1/repos/{repoId}/remove-member",
            Self::FetchMemberKey => "/v1/repos/{repoId}/member/{memberId}",
            Self::Discovery => "/.well-known/avp",
            Self::Jwks => "/.well-known/jwks.json",
            Self::WrongMethod | Self::Unknown => "(none)",
        }
    }

    /// Whether it can change a repository.
    pub fn writes(self) -> bool {
        matches!(self, Self::CreateRepo | Self::Push | Self::AddMember | Self::RemoveMember)
    }
}
