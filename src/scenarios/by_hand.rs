//! Requests by hand, one after the other on a connection of their own: spellings, methods and headers that no HTTP library
//! would send, and nothing that could spill into the connections of other checks.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::call::ANSWER_LIMIT;
use super::world::turns::{untold_wait, wanted_wait};
use super::{Auth, Ctx, Operation};
use crate::client::{Exchange, RawAnswer, RawConnection, RawReply, RecordedBody, TransportError};
use crate::ground::shown;

/// How often a request is repeated after a 429 or 503, and the longest wait before that.
const RATE_LIMIT_TRIES: u32 = 4;
const LONGEST_WAIT: Duration = Duration::from_secs(2);
/// How long an answer may take: some odd requests are never answered, and there are many of them.
const PATIENCE: Duration = Duration::from_secs(3);

/// A request as it will be on the wire.
#[derive(Clone, Debug)]
pub struct HandMade {
    /// What it stands for, in records.
    pub operation: Operation,
    /// Method, any word.
    pub method: String,
    /// Request target, any text without blanks.
    pub target: String,
    /// Another `Host` than the right one.
    pub host: Option<String>,
    /// Authentication.
    pub auth: Auth,
    /// Further headers.
    pub headers: Vec<(&'static str, String)>,
    /// Its `Content-Type`, where there is a body.
    pub content_type: Option<&'static str>,
    /// Body.
    pub body: Option<Bytes>,
    /// Whether the body goes out in one chunk instead of with its length.
    pub chunked: bool,
    /// Whether it says that it is of HTTP/1.0.
    pub old: bool,
}

impl HandMade {
    /// An operation as it should be, at a path of the origin.
    pub fn usual(cx: &Ctx, operation: Operation, path: &str, auth: Auth, body: Option<Bytes>) -> Self {
        Self {
            operation,
            method: operation.method().to_string(),
            target: format!("{}{path}", cx.world.target.vault.prefix()),
            host: None,
            auth,
            headers: Vec::new(),
            content_type: Some("application/json"),
            body,
            chunked: false,
            old: false,
        }
    }

    /// The whole request; `last` when no other will follow on its connection.
    pub fn bytes(&self, cx: &Ctx, last: bool) -> Vec<u8> {
        let mut bytes = cx.world.target.vault.raw_head(&self.method, &self.target, self.host.as_deref());
        if self.old {
            let version = self.method.len() + self.target.len() + " HTTP/1.".len() + 1;
            bytes[version] = b'0';
        }
        let mut header = |name: &str, value: &str| bytes.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
        if let Some(value) = authorization(&self.auth) {
            header("Authorization", &value);
        }
        // What some servers insist on; and answers as they are, since no gzip is undone here.
        let agent = concat!("avp-conform/", env!("CARGO_PKG_VERSION"));
        for (name, value) in [("User-Agent", agent), ("Accept", "*/*"), ("Accept-Encoding", "identity")] {
            if !self.headers.iter().any(|(given, _)| given.eq_ignore_ascii_case(name)) {
                header(name, value);
            }
        }
        for (name, value) in &self.headers {
            header(name, value);
        }
        if last && !self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("connection")) {
            header("Connection", "close");
        }
        let Some(body) = &self.body else {
            bytes.extend_from_slice(b"\r\n");
            return bytes;
        };
        if let Some(label) = self.content_type {
            header("Content-Type", label);
        }
        if self.chunked {
            header("Transfer-Encoding", "chunked");
            bytes.extend_from_slice(format!("\r\n{:x}\r\n", body.len()).as_bytes());
            bytes.extend_from_slice(body);
            bytes.extend_from_slice(b"\r\n0\r\n\r\n");
        } else {
            header("Content-Length", &body.len().to_string());
            bytes.extend_from_slice(b"\r\n");
            bytes.extend_from_slice(body);
        }
        bytes
    }

    fn is_head(&self) -> bool {
        self.method == "HEAD"
    }
}

fn authorization(auth: &Auth) -> Option<String> {
    match auth {
        Auth::None => None,
        Auth::Bearer(token) => Some(format!("Bearer {token}")),
        Auth::Header(value) => Some(value.clone()),
    }
}

/// How long to wait before a request is sent once more, after so many tries: a 429 or 503 that says when to come back is waited out, and
/// one that doesn't where the server is known to be busy at times.
pub fn wait_before_again(cx: &Ctx, answer: &RawAnswer, tries: u32) -> Option<Duration> {
    let told = wanted_wait(answer);
    let wait = match answer.status.as_u16() {
        429 => told,
        503 => told.or_else(|| cx.world.manners.limits.are_short().then(|| untold_wait(tries))),
        _ => None,
    };
    wait.filter(|wait| *wait <= LONGEST_WAIT && tries < RATE_LIMIT_TRIES)
}

/// A connection for requests by hand, opened anew whenever the old one can't be used any more.
pub struct Lane<'c> {
    cx: &'c Ctx,
    connection: Option<RawConnection>,
}

impl<'c> Lane<'c> {
    /// Nothing is opened yet.
    pub fn new(cx: &'c Ctx) -> Self {
        Self { cx, connection: None }
    }

    /// The next request gets a connection of its own.
    pub fn renew(&mut self) {
        self.connection = None;
    }

    /// Sends a request, again where [`wait_before_again`] says so.
    ///
    /// # Errors
    /// [`TransportError`] when no whole answer comes.
    pub async fn send(&mut self, request: &HandMade) -> Result<RawAnswer, TransportError> {
        let mut tries = 0;
        loop {
            let answer = self.send_once(request).await?;
            match wait_before_again(self.cx, &answer, tries) {
                Some(wait) => tokio::time::sleep(wait).await,
                None => return Ok(answer),
            }
            tries += 1;
        }
    }

    async fn send_once(&mut self, request: &HandMade) -> Result<RawAnswer, TransportError> {
        let last = self.cx.world.serves_few_connections();
        let bytes = request.bytes(self.cx, last);
        let started = Instant::now();
        let result = self.converse(&bytes, request).await;
        let answer = result.as_ref().map(|reply| &reply.answer);
        if self.cx.world.seen.trace.is_some() {
            self.cx.remember(&exchange(self.cx, request, answer, started.elapsed()));
        }
        result.map(|reply| reply.answer)
    }

    async fn converse(&mut self, bytes: &[u8], request: &HandMade) -> Result<RawReply, TransportError> {
        let vault = &self.cx.world.target.vault;
        vault.count_request();
        if let Some(mut kept) = self.connection.take()
            && kept.is_quiet().await
        {
            match kept.exchange(bytes, request.is_head(), ANSWER_LIMIT).await {
                // The server had closed the idle connection meanwhile: the request was never read.
                Err(TransportError::Closed { .. }) => {}
                result => {
                    self.keep(kept, request, &result);
                    return result;
                }
            }
        }
        let mut connection = vault.raw(vault.timeout().min(PATIENCE)).await?;
        let result = connection.exchange(bytes, request.is_head(), ANSWER_LIMIT).await;
        self.keep(connection, request, &result);
        result
    }

    /// Keeps a connection whose server has certainly read the whole request.
    fn keep(&mut self, connection: RawConnection, request: &HandMade, result: &Result<RawReply, TransportError>) {
        let Ok(reply) = result else { return };
        let looked_at = matches!(reply.answer.status.as_u16(), 200..=299 | 400 | 401 | 403 | 404 | 409 | 422);
        let read = request.body.is_none() || (looked_at && self.cx.world.target.vault.trusts_refusals());
        let plain = !request.chunked && !request.is_head();
        if read && plain && reply.reusable && !self.cx.world.serves_few_connections() {
            self.connection = Some(connection);
        }
    }
}

/// The record of a request by hand.
pub fn exchange(
    cx: &Ctx,
    request: &HandMade,
    answer: Result<&RawAnswer, &TransportError>,
    duration: Duration,
) -> Arc<Exchange> {
    let recorded = |body: &Bytes| RecordedBody::of(body, &cx.world.target.mask);
    let label = answer.ok().and_then(|answer| answer.headers.get(http::header::CONTENT_TYPE));
    Arc::new(Exchange {
        operation: request.operation.name(),
        method: request.method.clone(),
        path: cx.world.mask(request.target.clone()),
        authorization: authorization(&request.auth).map(|value| shown::authorization(&cx.world.mask(value))),
        request: request.body.as_ref().map(recorded).unwrap_or_default(),
        status: answer.ok().map(|answer| answer.status.as_u16()),
        grpc: None,
        content_type: label.map(|value| cx.world.mask(String::from_utf8_lossy(value.as_bytes()).into_owned())),
        response: answer.map(|answer| recorded(&answer.body)).unwrap_or_default(),
        error: answer.err().map(|error| cx.world.mask(error.to_string())),
        duration,
    })
}
