//! What the vault has seen: every request, by whom, and what it answered.

use std::time::Duration;

use serde_json::Value;

use crate::wire::MessageKind;

/// What a request is for, by its method and path: an operation of the protocol or something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names are the specification's")]
pub enum Endpoint {
    Challenge,
    Token,
    Create,
    Pull,
    Push,
    Add,
    Remove,
    Fetch,
    Discovery,
    /// The issuer's key set.
    Jwks,
    /// Nothing that the protocol knows.
    Other,
}

impl Endpoint {
    /// As reports call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Challenge => "challenge",
            Self::Token => "token",
            Self::Create => "createRepo",
            Self::Pull => "pull",
            Self::Push => "push",
            Self::Add => "addMember",
            Self::Remove => "removeMember",
            Self::Fetch => "fetchMemberKey",
            Self::Discovery => "discovery",
            Self::Jwks => "key set",
            Self::Other => "request",
        }
    }

    /// Whether it is an operation on a vault, which takes a token.
    pub fn is_vault(self) -> bool {
        matches!(self, Self::Create | Self::Pull | Self::Push | Self::Add | Self::Remove | Self::Fetch)
    }

    /// What its body is.
    pub fn message(self) -> Option<MessageKind> {
        Some(match self {
            Self::Challenge => MessageKind::ChallengeRequest,
            Self::Token => MessageKind::TokenRequest,
            Self::Create => MessageKind::CreateRepoRequest,
            Self::Pull => MessageKind::PullRequest,
            Self::Push => MessageKind::PushRequest,
            Self::Add => MessageKind::MemberAddRequest,
            Self::Remove => MessageKind::MemberRemoveRequest,
            Self::Fetch | Self::Discovery | Self::Jwks | Self::Other => return None,
        })
    }
}

/// Where a request arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArrivedAt {
    /// At the vault.
    Vault,
    /// At the server that redirects point to.
    Elsewhere,
}

/// What a request came over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    /// A bare connection.
    Plain,
    /// TLS with the certificate that is right.
    Tls,
    /// TLS with a certificate that no client may accept.
    WrongTls,
}

/// A request as it arrived, with its answer.
#[derive(Clone, Debug)]
pub struct Record {
    /// Where.
    pub place: ArrivedAt,
    /// Over what.
    pub over: Channel,
    /// Since the start of the vault.
    pub at: Duration,
    /// Until the answer was ready.
    pub took: Duration,
    /// Which operation.
    pub endpoint: Endpoint,
    /// HTTP method.
    pub method: String,
    /// Path and query, as sent.
    pub target: String,
    /// Headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body as sent.
    pub body: Vec<u8>,
    /// The body as JSON.
    pub json: Option<Value>,
    /// The member whose token it is, if it was ever valid.
    pub caller: Option<String>,
    /// Repository id of the path, decoded once.
    pub repo: Option<String>,
    /// Member id of the path, decoded once.
    pub member: Option<String>,
    /// Status of the answer; `None` when there was none.
    pub status: Option<u16>,
    /// The answer as JSON.
    pub answer: Value,
}

impl Record {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The token of `Authorization: Bearer`, with the scheme in any case.
    pub fn bearer(&self) -> Option<&str> {
        let (scheme, token) = self.header("authorization")?.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then_some(token)
    }

    /// A member of the request's body.
    pub fn field(&self, pointer: &str) -> Option<&Value> {
        self.json.as_ref()?.pointer(pointer)
    }

    /// Whether it was carried out.
    pub fn is_done(&self) -> bool {
        let applied = self.endpoint != Endpoint::Push || self.answer["accepted"] == true;
        self.status.is_some_and(|status| (200..300).contains(&status)) && applied
    }

    /// The payload version that the answer tells of.
    pub fn served_version(&self) -> Option<i64> {
        ["/manifest/payloadVersion", "/payloadVersion"]
            .iter()
            .find_map(|pointer| self.answer.pointer(pointer))
            .and_then(Value::as_i64)
    }
}
