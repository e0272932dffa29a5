//! The client's HTTP: one request, one answer, nothing followed anywhere.
//!
//! This is the one place that uses reqwest, and it does so because real clients do: the suite's own transport (`crate::client`) sends
//! what no library would send, and must not be what the built-in client is judged by.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, LOCATION, RETRY_AFTER};
use reqwest::{Method, Url};
use serde_json::Value;

use super::error::AgentError;
use super::habits::{Habit, Habits};
use crate::codec::base64;
use crate::ground::lock;

/// More than any vault has to say.
const LONGEST_ANSWER: usize = 64 << 20;
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// How a client connects.
#[derive(Clone, Debug, Default)]
pub struct Connection {
    /// One more certificate authority, PEM.
    pub ca: Option<Vec<u8>>,
    /// Bound on a request; ten seconds by default.
    pub timeout: Option<Duration>,
}

/// A request before it is sent.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub method: Method,
    pub url: Url,
    pub token: Option<String>,
    pub body: Option<Value>,
    /// A header that only a faulty client sends.
    pub extra: Option<(&'static str, String)>,
}

/// An answer.
#[derive(Debug)]
pub(super) struct Reply {
    pub status: u16,
    /// Seconds that the server asks to wait.
    pub retry_after: Option<u64>,
    pub body: Vec<u8>,
}

/// The HTTP client.
pub(super) struct Http {
    client: reqwest::Client,
    /// That of a faulty client, for servers whose certificates it doesn't look at.
    careless: Option<reqwest::Client>,
    /// Requests so far.
    sent: AtomicU32,
    /// Where a faulty client goes instead of a server's URL.
    moved: Mutex<Option<(String, Url)>>,
    habits: Habits,
}

impl Http {
    pub(super) fn new(connection: &Connection, habits: &Habits) -> Result<Self, AgentError> {
        let build = |habits: &Habits| {
            let tls = super::tls::config(connection.ca.as_deref(), habits)?;
            let mut builder = reqwest::Client::builder()
                .tls_backend_preconfigured(tls)
                .redirect(reqwest::redirect::Policy::none())
                .no_proxy();
            if !habits.has(Habit::NEVER_GIVES_UP) {
                builder = builder.timeout(connection.timeout.unwrap_or(PATIENCE));
            }
            if habits.has(Habit::CERTIFICATE_ONCE) {
                builder = builder.pool_max_idle_per_host(0);
            }
            builder.build().map_err(|error| AgentError::Usage(error.to_string()))
        };
        let careless = habits.has(Habit::ISSUER_ANY_CERTIFICATE) || habits.has(Habit::CERTIFICATE_ONCE);
        let any = Habits([&habits.0[..], &[Habit::ANY_CERTIFICATE]].concat());
        let careless = if careless { Some(build(&any)?) } else { None };
        let (sent, moved) = (AtomicU32::new(0), Mutex::default());
        Ok(Self { client: build(habits)?, careless, sent, moved, habits: habits.clone() })
    }

    /// Sends a request; an answer of any status is an answer.
    pub(super) async fn send(&self, request: Request) -> Result<Reply, AgentError> {
        let url = request.url.clone();
        let failed = |error: reqwest::Error| {
            let reason = std::iter::successors(std::error::Error::source(&error), |cause| cause.source())
                .last()
                .map_or_else(|| "no answer".into(), ToString::to_string);
            AgentError::Transport(format!("{}: {reason}", authority(&url)))
        };
        let mut answer = self.start(request.clone()).await.map_err(failed)?;
        if answer.status().is_redirection()
            && let Some(onward) = self.onward(&request, &answer)
        {
            let has = |habit| self.habits.has(habit);
            let goes_on = has(Habit::TOKEN_SECOND_HOP) || has(Habit::TOKEN_THIRD_ORIGIN) || has(Habit::TOKEN_AFTER_OWN);
            let second = goes_on.then(|| Request { token: request.token.clone(), ..onward.clone() });
            answer = self.start(onward).await.map_err(failed)?;
            // From the new place to another, with what may have been taken off before.
            if let Some(second) = second
                && let Some(location) = answer.headers().get(LOCATION).and_then(|value| value.to_str().ok())
                && let Ok(url) = second.url.join(location)
                && (url.origin() == second.url.origin()) == has(Habit::TOKEN_SECOND_HOP)
            {
                answer = self.start(Request { url, ..second }).await.map_err(failed)?;
            }
        }
        self.look_at_created(&request, &answer).await;
        self.check_framing(&answer)?;
        let status = answer.status().as_u16();
        let retry_after = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(failed)? {
            body.extend_from_slice(&chunk);
            if body.len() > LONGEST_ANSWER {
                return Err(AgentError::Transport(format!("{}: the answer is too long", authority(&url))));
            }
            if self.habits.has(Habit::CHUNKS_AS_TEXT) {
                let text = String::from_utf8_lossy(&chunk).into_owned();
                body.truncate(body.len() - chunk.len());
                body.extend_from_slice(text.as_bytes());
            }
            if self.habits.has(Habit::FIRST_KILOBYTES) && body.len() > 64 << 10 {
                body.truncate(64 << 10);
                break;
            }
            if self.habits.has(Habit::FIRST_CHUNK) {
                break;
            }
        }
        Ok(Reply { status, retry_after, body })
    }

    async fn start(&self, mut request: Request) -> Result<reqwest::Response, reqwest::Error> {
        if let Some((from, to)) = lock(&self.moved).as_ref()
            && *from == request.url.origin().ascii_serialization()
            && request.url.path().starts_with("/v1/")
        {
            let path = request.url.path().to_owned();
            request.url = to.clone();
            request.url.set_path(&path);
        }
        let later = self.sent.fetch_add(1, Ordering::Relaxed) > 0 && self.habits.has(Habit::CERTIFICATE_ONCE);
        let issuer = self.habits.has(Habit::ISSUER_ANY_CERTIFICATE) && request.url.path().ends_with("jwks.json");
        let client = self.careless.as_ref().filter(|_| later || issuer).unwrap_or(&self.client);
        let mut builder = client.request(request.method, request.url);
        if let Some(token) = &request.token {
            let scheme = if self.habits.has(Habit::TOKEN_SCHEME) { "Token" } else { "Bearer" };
            builder = builder.header(AUTHORIZATION, format!("{scheme} {token}"));
            if self.habits.has(Habit::TOKEN_IN_HEADER) {
                builder = builder.header("x-access-token", token);
            }
            if self.habits.has(Habit::TOKEN_ENCODED) {
                builder = builder.header("x-trace", base64::encode(token.as_bytes()));
            }
        }
        if let Some((name, value)) = request.extra {
            builder = builder.header(name, value);
        }
        if let Some(body) = &request.body {
            let label = if self.habits.has(Habit::NO_CONTENT_TYPE) { "text/plain" } else { "application/json" };
            builder = builder.header(CONTENT_TYPE, label);
            builder = if self.habits.has(Habit::CHUNKED_REQUESTS) {
                builder.body(reqwest::Body::wrap(Once(Some(bytes::Bytes::from(body.to_string())))))
            } else {
                builder.body(body.to_string())
            };
        }
        builder.send().await
    }

    /// Where a client with such a habit goes after a redirect; the clean one goes nowhere.
    fn onward(&self, request: &Request, answer: &reqwest::Response) -> Option<Request> {
        let target = answer.headers().get(LOCATION)?.to_str().ok()?;
        let url = request.url.join(target).ok()?;
        let keeps_method = matches!(answer.status().as_u16(), 307 | 308);
        let has = |habit| self.habits.has(habit);
        let same_name = url.host_str() == request.url.host_str();
        let origin = request.url.origin().ascii_serialization();
        let keeps = has(Habit::TOKEN_RELATIVE) && target.starts_with('/')
            || has(Habit::TOKEN_PREFIX) && target.starts_with(&origin)
            || has(Habit::TOKEN_TO_HTTP) && same_name && (request.url.scheme(), url.scheme()) == ("https", "http");
        if has(Habit::DISCOVERY_MOVES) && request.url.path().ends_with("/avp") {
            *lock(&self.moved) = Some((origin, url.clone()));
            return Some(Request { url, ..request.clone() });
        }
        if has(Habit::FOLLOWS_CHOICES) && answer.status() == 300 {
            return Some(Request { method: Method::GET, url, body: None, ..request.clone() });
        }
        if has(Habit::REMEMBERS_MOVED) && answer.status() == 308 {
            *lock(&self.moved) = Some((origin, url.clone()));
        }
        let as_get = Request { method: Method::GET, url: url.clone(), body: None, ..request.clone() };
        let as_is = Request { url, ..request.clone() };
        match keeps_method {
            _ if keeps => Some(if keeps_method { as_is } else { as_get }),
            true if has(Habit::REMEMBERS_MOVED) => Some(Request { token: None, ..as_is }),
            _ if has(Habit::TOKEN_AFTER_OWN) => (as_is.url.origin() == request.url.origin()).then_some(as_is),
            _ if has(Habit::TOKEN_SECOND_HOP) || has(Habit::TOKEN_THIRD_ORIGIN) => {
                Some(Request { token: None, ..if keeps_method { as_is } else { as_get } })
            }
            true if has(Habit::TOKEN_FOLLOWS_307) => Some(as_is),
            true if has(Habit::FOLLOWS_BARE) => Some(Request { token: None, ..as_is }),
            false if has(Habit::TOKEN_FOLLOWS_302) => Some(as_get),
            _ if has(Habit::TOKEN_FOLLOWS_PORT) && same_name => Some(if keeps_method { as_is } else { as_get }),
            _ if has(Habit::FOLLOWS_AS_GET) => Some(Request { token: None, ..as_get }),
            _ => None,
        }
    }

    /// What was created is looked at, wherever it is said to be.
    async fn look_at_created(&self, request: &Request, answer: &reqwest::Response) {
        let location = answer.headers().get(LOCATION).and_then(|value| value.to_str().ok());
        if self.habits.has(Habit::FOLLOWS_CREATED)
            && answer.status() == 201
            && let Some(url) = location.and_then(|location| request.url.join(location).ok())
        {
            let created = Request { method: Method::GET, url, body: None, ..request.clone() };
            self.start(created).await.ok();
        }
    }

    /// What only some clients ask of an answer.
    fn check_framing(&self, answer: &reqwest::Response) -> Result<(), AgentError> {
        let label = answer.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        if self.habits.has(Habit::NEEDS_CONTENT_TYPE) && answer.status().is_success() && label != "application/json" {
            return Err(AgentError::Transport(format!("the answer is {label}")));
        }
        if self.habits.has(Habit::NEEDS_LENGTH) && answer.content_length().is_none() {
            return Err(AgentError::Transport("the answer has no Content-Length".into()));
        }
        Ok(())
    }
}

/// A body of one piece whose length isn't told beforehand.
struct Once(Option<bytes::Bytes>);

impl hyper::body::Body for Once {
    type Data = bytes::Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<hyper::body::Frame<bytes::Bytes>, Self::Error>>> {
        std::task::Poll::Ready(self.0.take().map(|piece| Ok(hyper::body::Frame::data(piece))))
    }
}

/// `host` or `host:port` of a URL.
pub(super) fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}
