//! The operations of the protocol: their names, and where they are found over HTTP and gRPC.

#[cfg(feature = "program")]
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;

use super::{MessageKind, proto};

/// The operations (SPEC §3, §6, §8.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the names are the specification's")]
pub enum Operation {
    Challenge,
    Token,
    CreateRepo,
    Pull,
    Push,
    AddMember,
    RemoveMember,
    FetchMemberKey,
    Discovery,
}

impl Operation {
    /// All of them, in the order of the specification.
    pub const ALL: [Self; 9] = [
        Self::Challenge,
        Self::Token,
        Self::CreateRepo,
        Self::Pull,
        Self::Push,
        Self::AddMember,
        Self::RemoveMember,
        Self::FetchMemberKey,
        Self::Discovery,
    ];
    /// The six that need a token.
    pub const VAULT: [Self; 6] =
        [Self::CreateRepo, Self::Pull, Self::Push, Self::AddMember, Self::RemoveMember, Self::FetchMemberKey];
    /// Those that take a body.
    pub const WITH_BODY: [Self; 7] =
        [Self::Challenge, Self::Token, Self::CreateRepo, Self::Pull, Self::Push, Self::AddMember, Self::RemoveMember];

    /// The name with its article, `an addMember`.
    pub fn one(self) -> String {
        let name = self.name();
        let article = if name.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
        format!("{article} {name}")
    }

    /// The specification's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Challenge => "challenge",
            Self::Token => "token",
            Self::CreateRepo => "createRepo",
            Self::Pull => "pull",
            Self::Push => "push",
            Self::AddMember => "addMember",
            Self::RemoveMember => "removeMember",
            Self::FetchMemberKey => "fetchMemberKey",
            Self::Discovery => "discovery",
        }
    }

    /// The path over HTTP, with its parameters in braces.
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
        }
    }

    /// The gRPC call; discovery has none.
    pub fn grpc(self) -> Option<proto::Method> {
        Some(match self {
            Self::Challenge => proto::Method::Challenge,
            Self::Token => proto::Method::Token,
            Self::CreateRepo => proto::Method::CreateRepo,
            Self::Pull => proto::Method::Pull,
            Self::Push => proto::Method::Push,
            Self::AddMember => proto::Method::AddMember,
            Self::RemoveMember => proto::Method::RemoveMember,
            Self::FetchMemberKey => proto::Method::FetchMemberKey,
            Self::Discovery => return None,
        })
    }

    /// Whether the identity provider answers it.
    pub fn is_authentication(self) -> bool {
        matches!(self, Self::Challenge | Self::Token)
    }

    /// Whether it only reads.
    pub fn changes_nothing(self) -> bool {
        matches!(self, Self::Pull | Self::FetchMemberKey | Self::Discovery)
    }

    /// Whether it may change a repository.
    pub fn is_write(self) -> bool {
        matches!(self, Self::CreateRepo | Self::Push | Self::AddMember | Self::RemoveMember)
    }

    /// What the request's body is, if it has one.
    pub fn request_kind(self) -> Option<MessageKind> {
        Some(match self {
            Self::Challenge => MessageKind::ChallengeRequest,
            Self::Token => MessageKind::TokenRequest,
            Self::CreateRepo => MessageKind::CreateRepoRequest,
            Self::Pull => MessageKind::PullRequest,
            Self::Push => MessageKind::PushRequest,
            Self::AddMember => MessageKind::MemberAddRequest,
            Self::RemoveMember => MessageKind::MemberRemoveRequest,
            Self::FetchMemberKey | Self::Discovery => return None,
        })
    }

    /// What a 2xx body is.
    pub fn answer_kind(self) -> MessageKind {
        match self {
            Self::Challenge => MessageKind::ChallengeResponse,
            Self::Token => MessageKind::TokenResponse,
            Self::CreateRepo | Self::AddMember | Self::RemoveMember => MessageKind::VaultManifest,
            Self::Pull => MessageKind::PullResponse,
            Self::Push => MessageKind::PushResponse,
            Self::FetchMemberKey => MessageKind::MemberEntry,
            Self::Discovery => MessageKind::Discovery,
        }
    }
}

/// How a request for an operation is made over HTTP.
#[cfg(feature = "program")]
impl Operation {
    /// HTTP method.
    pub fn method(self) -> http::Method {
        match self {
            Self::FetchMemberKey | Self::Discovery => http::Method::GET,
            _ => http::Method::POST,
        }
    }

    /// Path for a repository and, for fetchMemberKey, a member; both are percent-encoded here.
    pub fn path(self, repo_id: &str, member_id: &str) -> String {
        let (before, rest) = self.template().split_once("{repoId}").unwrap_or((self.template(), ""));
        if rest.is_empty() {
            return before.to_owned();
        }
        format!("{before}{}{}", segment(repo_id), rest.replace("{memberId}", &segment(member_id)))
    }
}

/// What stays as it is in a path segment: RFC 3986 unreserved characters.
#[cfg(feature = "program")]
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Percent-encodes one path segment.
#[cfg(feature = "program")]
pub fn segment(text: &str) -> String {
    // A segment of dots would be taken for a relative path by URL parsers on the way.
    match text {
        "." => "%2E".into(),
        ".." => "%2E%2E".into(),
        _ => utf8_percent_encode(text, SEGMENT).to_string(),
    }
}

#[cfg(all(test, feature = "program"))]
mod tests {
    use super::*;

    #[test]
    fn paths_are_those_of_the_specification() {
        let (repo, member) = ("a/b", "c+d=");
        let expected = [
            "/api/auth/keypair/challenge",
            "/api/auth/keypair/token",
            "/v1/repos",
            "/v1/repos/a%2Fb/pull",
            "/v1/repos/a%2Fb/push",
            "/v1/repos/a%2Fb/add-member",
            "/v1/repos/a%2Fb/remove-member",
            "/v1/repos/a%2Fb/member/c%2Bd%3D",
            "/.well-known/avp",
        ];
        assert_eq!(Operation::ALL.map(|operation| operation.path(repo, member)), expected);
        assert_eq!(Operation::Pull.path("{memberId}", ""), "/v1/repos/%7BmemberId%7D/pull");
        assert_eq!(Operation::Pull.path("..", ""), "/v1/repos/%2E%2E/pull");
    }

    #[test]
    fn names_are_read_as_they_are_written() {
        for operation in Operation::ALL {
            assert_eq!(serde_json::json!(operation), operation.name());
        }
    }
}
