//! What a case can bring to light.

use bytes::Bytes;
use serde::Serialize;

use crate::client::Exchange;
use crate::requirements::{Level, Requirement};
use crate::wire::proto::Code;

/// What kind of thing was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FindingKind {
    /// An answer that the model doesn't allow.
    Mismatch,
    /// A 5xx.
    ServerError,
    /// No answer in time.
    Hang,
    /// No whole answer.
    Dropped,
    /// Nobody listens any more.
    Dead,
    /// An answer that breaks the schema.
    Schema,
    /// A secret in an answer.
    Secret,
    /// A challenge or token that went wrong.
    Authentication,
    /// Something malformed was accepted.
    Accepted,
}

/// Something that a server must not or should not do, and the request that showed it.
#[derive(Clone, Debug)]
pub struct Found {
    /// What kind of thing.
    pub kind: FindingKind,
    /// The rule that it breaks.
    pub rule: &'static Requirement,
    /// The operation.
    pub operation: &'static str,
    /// What should have come.
    pub expected: String,
    /// What came.
    pub observed: String,
    /// How many requests of the case it took to show.
    pub after: usize,
}

/// What makes two findings one.
pub type Key = (FindingKind, &'static str, &'static str);

impl Found {
    /// Findings with the same key are one.
    pub fn key(&self) -> Key {
        (self.kind, self.rule.id, self.operation)
    }

    /// Whether it fails a server: a broken MUST, and a server that is gone. What a right request has no sound answer to is a MUST
    /// of its operation; what a malformed one has none to is hardening, as in a run.
    pub fn fails(&self) -> bool {
        self.kind == FindingKind::Dead || self.rule.level == Level::Must
    }
}

/// The same symbols for a gRPC call, which has codes instead of HTTP's statuses (`wire::proto::Code`).
pub(super) fn in_grpc(symbols: &str) -> String {
    let mut parts = symbols.split("status ");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        out.push_str("status ");
        let digits = part.bytes().take_while(u8::is_ascii_digit).count();
        match part[..digits].parse() {
            // Both are 500 in HTTP.
            Ok(500) => out.push_str("UNKNOWN or INTERNAL"),
            Ok(status @ 100..=599) => out.push_str(&Code::of_http(status).to_string()),
            _ => out.push_str(&part[..digits]),
        }
        out.push_str(&part[digits..]);
    }
    out.replace("no 5xx", "neither UNKNOWN nor INTERNAL").replace("a 4xx", "a refusal")
}

/// A request that was sent, and by whom.
#[derive(Clone, Debug, Serialize)]
pub struct Recorded {
    /// Name in the cast.
    pub by: &'static str,
    /// What is odd about the request, if anything.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub mutation: String,
    /// The exchange, credentials shortened.
    #[serde(flatten)]
    pub exchange: Exchange,
    /// The request in full, to send it again.
    #[serde(skip)]
    pub sent: AsSent,
}

/// A request in full. It holds tokens, so it is only shown where they can be replaced by variables.
#[derive(Clone, Debug, Default)]
pub struct AsSent {
    /// Path and query.
    pub path: String,
    /// Headers, but those of the deployment and the connection.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: Bytes,
    /// Tokens of the case, and the names of the variables that stand for them.
    pub tokens: Vec<(String, String)>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_stand_for_statuses_in_grpc() {
        assert_eq!(in_grpc("a 4xx, or accepted at version 4"), "a refusal, or accepted at version 4");
        assert_eq!(
            in_grpc("status 403 and status 404, as it is"),
            "status PERMISSION_DENIED and status NOT_FOUND, as it is"
        );
        assert_eq!(in_grpc("status 500, status x, status 99999"), "status UNKNOWN or INTERNAL, status x, status 99999");
    }
}
