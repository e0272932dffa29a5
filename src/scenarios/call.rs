//! A request in the making, and who makes it.

use std::sync::OnceLock;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method};
use serde_json::Value;

use crate::client::{Identity, Profile, RawRequest};
use crate::wire::Operation;

/// Longest usual answer, in bytes.
pub const ANSWER_LIMIT: usize = 4 << 20;

/// How a request authenticates.
#[derive(Clone, Debug)]
pub enum Auth {
    /// No `Authorization`.
    None,
    /// `Authorization: Bearer <token>`.
    Bearer(String),
    /// `Authorization` with exactly this value.
    Header(String),
}

/// An identity with a live token.
#[derive(Clone, Debug)]
pub struct Member {
    /// Its keys.
    pub identity: Identity,
    /// Its token.
    pub token: String,
}

impl Member {
    /// The member id.
    pub fn id(&self) -> &str {
        &self.identity.id
    }

    /// Its token as authentication.
    pub fn auth(&self) -> Auth {
        Auth::Bearer(self.token.clone())
    }
}

impl std::ops::Deref for Member {
    type Target = Identity;

    fn deref(&self) -> &Identity {
        &self.identity
    }
}

/// A body that is parsed when its JSON is first asked for.
pub(super) struct LazyJson {
    bytes: Option<Bytes>,
    parsed: OnceLock<Option<Value>>,
}

impl LazyJson {
    pub(super) fn new(bytes: Option<Bytes>) -> Self {
        Self { bytes, parsed: OnceLock::new() }
    }

    /// Its JSON; `None` where there is none.
    pub fn get(&self) -> Option<&Value> {
        self.parsed.get_or_init(|| serde_json::from_slice(self.bytes.as_ref()?).ok()).as_ref()
    }
}

/// Where a request goes, if there is more than one place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Place {
    /// Where the check's requests go.
    #[default]
    Usual,
    /// A process of the deployment; 0 is the target itself.
    Process(usize),
    /// The server by one of its profiles, where both are judged.
    Profile(Profile),
    /// Another deployment.
    Stranger,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Usual | Self::Process(0) => f.write_str("the server"),
            Self::Process(1) => f.write_str("the replica"),
            Self::Process(number) => write!(f, "replica {number}"),
            Self::Profile(profile) => write!(f, "the {} profile", profile.title()),
            Self::Stranger => f.write_str("the stranger"),
        }
    }
}

/// A request in the making.
pub struct Call<'a> {
    /// What it is, if it is an operation.
    pub operation: Option<Operation>,
    /// Where it goes, if there is more than one place.
    pub place: Place,
    /// Method.
    pub method: Method,
    /// Path and query, percent-encoded.
    pub path: String,
    /// Authentication.
    pub auth: &'a Auth,
    /// Headers besides the usual ones; one that is there already comes twice.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Body.
    pub body: Option<Bytes>,
    /// `Content-Type`; JSON unless told otherwise.
    pub content_type: Option<&'a str>,
    /// Bound on the answer; the run's `--timeout` unless told otherwise.
    pub bound: Option<Duration>,
    /// Longest answer that is read.
    pub answer_limit: usize,
    /// Whether the answer is held to the schema. Not so where the request breaks it: a server that stores what it gets
    /// rightly gives it back.
    pub validated: bool,
    /// Whether it is sent again and again, only to load the server: its answer isn't kept for the looks at the end, and what it
    /// holds isn't followed.
    pub load: bool,
}

impl<'a> Call<'a> {
    /// An operation with a body.
    pub fn operation(
        operation: Operation,
        repo_id: &str,
        member_id: &str,
        auth: &'a Auth,
        body: Option<Bytes>,
    ) -> Self {
        Self {
            operation: Some(operation),
            place: Place::Usual,
            method: operation.method(),
            path: operation.path(repo_id, member_id),
            auth,
            headers: Vec::new(),
            body,
            content_type: Some("application/json"),
            bound: None,
            answer_limit: ANSWER_LIMIT,
            validated: true,
            load: false,
        }
    }

    /// As it is, for a request whose only purpose is to load the server.
    pub fn as_load(self) -> Self {
        Self { validated: false, load: true, ..self }
    }
}

/// A POST without a token.
pub(crate) fn json_request(path: String, body: &Value) -> RawRequest {
    RawRequest {
        method: Method::POST,
        path,
        headers: vec![(http::header::CONTENT_TYPE, http::HeaderValue::from_static("application/json"))],
        body: Some(body.to_string().into()),
        answer_limit: ANSWER_LIMIT,
    }
}
