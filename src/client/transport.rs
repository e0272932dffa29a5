//! HTTP/1.1 or gRPC to one origin: a pool of kept-alive connections, bounded in time and size.
//!
//! Requests and answers are those of the HTTP/JSON profile. A transport of the other profile says them as calls ([`super::grpc`]), so
//! that nobody above it need know which it is.
//!
//! This is hyper rather than reqwest because a judge must know what happens on which connection: it sets `TCP_QUICKACK`
//! ([`super::io`]), never reuses a connection whose server may have left a request body unread, sends again only what provably
//! never left, and tells "closed without an answer" from "not HTTP".

mod calls;
mod kept;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CONNECTION, HOST, HeaderValue, USER_AGENT};
use http_body_util::Full;
use rustls::pki_types::ServerName;
use tokio::sync::Semaphore;
use url::Url;

use super::connection::Connection;
use super::dial::{Deadline, Dial};
use super::error::TransportError;
use super::grpc::GrpcConnection;
use super::io::{Stream, Traffic};
use super::message::{RawAnswer, RawRequest};
use super::profile::Profile;
use super::tls;
use kept::{Kept, Line, announces_close};

/// Who is asking.
const AGENT: HeaderValue = HeaderValue::from_static(concat!("avp-conform/", env!("CARGO_PKG_VERSION")));
/// What is read.
const ACCEPTED: HeaderValue = HeaderValue::from_static("application/json");

/// A client for one origin.
pub struct Transport {
    profile: Profile,
    dial: Dial,
    host_header: HeaderValue,
    prefix: String,
    headers: Vec<super::Header>,
    kept: Kept,
    requests: AtomicU64,
    timeout: Duration,
    /// Turns of those who send, where the server serves few connections at a time.
    turns: OnceLock<Semaphore>,
}

/// Connections that are open at once to a server that serves few at a time. Many listen with a backlog of five, and a SYN that is
/// dropped costs a second.
pub const FEW_CONNECTIONS: usize = 4;

/// How long to wait before another connection is opened, when a server has closed a fresh one at once.
const CROWDED: [Duration; 3] = [Duration::from_millis(20), Duration::from_millis(100), Duration::from_millis(300)];

impl Transport {
    /// A client for the origin and path prefix of `base`; `tls` is needed for `https`.
    ///
    /// # Errors
    /// [`TransportError::Resolve`] when the URL has no host that could be dialled.
    pub fn new(
        base: &Url,
        tls: Option<Arc<rustls::ClientConfig>>,
        headers: Vec<super::Header>,
        timeout: Duration,
    ) -> Result<Self, TransportError> {
        let unusable = |reason: &str| TransportError::Resolve {
            host: base.host_str().unwrap_or_default().into(),
            reason: reason.into(),
        };
        let host = base.host_str().ok_or_else(|| unusable("the URL has no host"))?;
        let usual = || matches!(base.scheme(), "grpcs").then_some(443);
        let port = base.port_or_known_default().or_else(usual).ok_or_else(|| unusable("the URL has no port"))?;
        let profile = Profile::of_scheme(base.scheme());
        let authority = base.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        let bare = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let tls = match (base.scheme(), tls) {
            ("https" | "grpcs", Some(config)) => {
                let config = if profile == Profile::Grpc { tls::over_http2(&config) } else { config };
                let name = ServerName::try_from(bare.clone()).map_err(|_| unusable("no valid TLS server name"))?;
                Some((tokio_rustls::TlsConnector::from(config), name))
            }
            _ => None,
        };
        Ok(Self {
            profile,
            dial: Dial::new(bare, port, tls),
            host_header: HeaderValue::from_str(&authority).map_err(|_| unusable("not a valid Host header"))?,
            prefix: base.path().trim_end_matches('/').to_owned(),
            headers,
            kept: Kept::default(),
            requests: AtomicU64::new(0),
            timeout,
            turns: OnceLock::new(),
        })
    }

    /// What is spoken there.
    pub fn profile(&self) -> Profile {
        self.profile
    }

    /// From now on every request gets a connection of its own.
    pub fn use_fresh_connections(&self) {
        self.kept.use_fresh_only();
    }

    /// From now on every request gets a connection of its own, and few are open at once: the server serves few at a time.
    pub fn use_few_connections(&self) {
        self.kept.use_fresh_only();
        self.turns.get_or_init(|| Semaphore::new(FEW_CONNECTIONS));
    }

    /// How many connections may be open at once, if those are few.
    pub(super) fn most_at_once(&self) -> Option<usize> {
        self.turns.get().map(|_| FEW_CONNECTIONS)
    }

    /// The server has been seen to read the body of requests that it refuses, so that their connections can be kept.
    pub fn trust_refusals(&self) {
        self.kept.trust_refusals();
    }

    /// The same of bodies that it finds wrong, which end in 400 or 422.
    pub fn trust_bad_requests(&self) {
        self.kept.trust_bad_requests();
    }

    /// Whether [`Self::trust_refusals`] was said.
    pub fn trusts_refusals(&self) -> bool {
        self.kept.trusts_refusals()
    }

    /// Closes the idle connections.
    pub fn close_idle(&self) {
        self.kept.close();
    }

    /// Requests sent so far.
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Counts a request that is sent by hand.
    pub fn count_request(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
    }

    /// What the deployment asks for in every request.
    pub(super) fn deployment_headers(&self) -> &[super::Header] {
        &self.headers
    }

    /// Bound on one request.
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// `host` or `host:port`, as in an `avp://` address.
    pub fn authority(&self) -> &str {
        self.host_header.to_str().unwrap_or(&self.dial.host)
    }

    /// Path prefix of the origin, without a final slash.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Path and query of a URL below this origin and its prefix; `None` for one that lives elsewhere.
    pub fn path_of(&self, url: &Url) -> Option<String> {
        let scheme = if self.dial.tls.is_some() { "https" } else { "http" };
        let host = url.host_str()?.trim_start_matches('[').trim_end_matches(']');
        if url.scheme() != scheme || host != self.dial.host || url.port_or_known_default() != Some(self.dial.port) {
            return None;
        }
        let path = url.path().strip_prefix(&self.prefix).filter(|path| path.starts_with('/'))?;
        Some(url.query().map_or_else(|| path.to_owned(), |query| format!("{path}?{query}")))
    }

    /// Sends a request within the usual bound.
    ///
    /// # Errors
    /// [`TransportError`].
    pub async fn send(&self, request: &RawRequest) -> Result<RawAnswer, TransportError> {
        self.send_within(request, self.timeout).await
    }

    /// Sends a request and waits at most `bound` for the whole answer, connecting included.
    ///
    /// What provably never left is sent again; nothing else is, because it may have been carried out.
    ///
    /// # Errors
    /// [`TransportError`].
    pub async fn send_within(&self, request: &RawRequest, bound: Duration) -> Result<RawAnswer, TransportError> {
        self.can_say(request)?;
        self.requests.fetch_add(1, Ordering::Relaxed);
        let _turn = match self.turns.get() {
            Some(turns) => turns.acquire().await.ok(),
            None => None,
        };
        let deadline = Deadline::after(bound);
        while let Some(connection) = self.kept.take() {
            match deadline.limit(self.exchange(connection, request)).await {
                // It had been closed meanwhile.
                Err(TransportError::NotSent(_)) => {}
                other => return other,
            }
        }
        let mut pauses = CROWDED.into_iter();
        loop {
            let stream = self.dial.open(deadline).await?;
            let sent = deadline.limit(async {
                let traffic = stream.traffic();
                let line = match self.profile {
                    Profile::Http => Line::Http(Connection::over(stream, traffic).await?),
                    Profile::Grpc => Line::Grpc(GrpcConnection::over(stream, traffic).await?.into()),
                };
                self.exchange(line, request).await
            });
            match (sent.await, pauses.next()) {
                // Closed as soon as it was open: there are too many connections, of which some are about to end.
                (Err(TransportError::NotSent(_)), Some(pause)) => {
                    self.kept.make_room();
                    tokio::time::sleep(pause).await;
                }
                (result, _) => return result,
            }
        }
    }

    /// Sends two requests one after the other on one new connection, whatever the first answer is. The second result is
    /// `None` when the server announced or did close the connection after the first, as it may.
    ///
    /// # Errors
    /// [`TransportError`] of the first request.
    pub async fn send_both(
        &self,
        first: &RawRequest,
        second: &RawRequest,
        bound: Duration,
    ) -> Result<(RawAnswer, Option<Result<RawAnswer, TransportError>>), TransportError> {
        if self.profile == Profile::Grpc {
            return Err(TransportError::Unsayable("calls on one connection don't wait for each other".into()));
        }
        self.requests.fetch_add(2, Ordering::Relaxed);
        let both = async {
            let stream = self.dial.open(Deadline::after(bound)).await?;
            let traffic = stream.traffic();
            let mut connection = Connection::over(stream, traffic).await?;
            let answer = connection.exchange(self.build(first), first.answer_limit).await?;
            if announces_close(&answer) || !connection.is_open() {
                return Ok((answer, None));
            }
            let sending = connection.exchange(self.build(second), second.answer_limit);
            match Deadline::after(bound).limit(sending).await {
                Err(TransportError::NotSent(_) | TransportError::Closed { .. }) => Ok((answer, None)),
                result => Ok((answer, Some(result))),
            }
        };
        Deadline::after(bound * 2).limit(both).await
    }

    /// Sends a request over a byte stream of its own.
    pub(super) async fn send_over<S>(
        &self,
        stream: S,
        traffic: Arc<Traffic>,
        request: &RawRequest,
    ) -> Result<RawAnswer, TransportError>
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let mut connection = Connection::over(stream, traffic).await?;
        connection.exchange(self.build(request), request.answer_limit).await
    }

    /// How many bytes the head of a request takes on the wire.
    pub(super) fn head_length(&self, request: &RawRequest) -> usize {
        let built = self.build(request);
        let line = built.method().as_str().len() + built.uri().to_string().len() + " HTTP/1.1\r\n".len() + 1;
        let headers: usize = built.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
        let length = request.body.as_ref().map_or(0, |body| format!("content-length: {}\r\n", body.len()).len());
        line + headers + length + 2
    }

    /// Opens a byte stream to the origin.
    ///
    /// # Errors
    /// [`TransportError`], always one that [is unreachable](TransportError::is_unreachable).
    pub(super) async fn open(&self, deadline: Deadline) -> Result<Stream, TransportError> {
        self.kept.make_room();
        self.dial.open(deadline).await
    }

    /// Whether somebody still takes connections there.
    pub async fn is_reachable(&self) -> bool {
        self.dial.open(Deadline::after(self.timeout)).await.is_ok()
    }

    async fn exchange(&self, mut line: Line, request: &RawRequest) -> Result<RawAnswer, TransportError> {
        let answer = match &mut line {
            Line::Http(connection) => connection.exchange(self.build(request), request.answer_limit).await?,
            Line::Grpc(connection) => self.call(connection, request, None).await?,
        };
        self.kept.keep(line, request, &answer);
        Ok(answer)
    }

    fn build(&self, request: &RawRequest) -> http::Request<Full<Bytes>> {
        let mut built = http::Request::new(Full::new(request.body.clone().unwrap_or_default()));
        *built.method_mut() = request.method.clone();
        let target = format!("{}{}", self.prefix, request.path);
        // A path that hyper can't take is a mistake of ours; asking for the root makes it show.
        *built.uri_mut() = target.parse().unwrap_or_default();
        let headers = built.headers_mut();
        headers.insert(HOST, self.host_header.clone());
        for header in &self.headers {
            headers.append(header.name.clone(), header.value.clone());
        }
        if request.body.is_some() && request.body.as_ref().is_some_and(Bytes::is_empty) {
            headers.insert(http::header::CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        for (name, _) in &request.headers {
            headers.remove(name);
        }
        for (name, value) in &request.headers {
            headers.append(name.clone(), value.clone());
        }
        // Some servers, and firewalls before them, ask for both.
        headers.entry(USER_AGENT).or_insert(AGENT);
        headers.entry(ACCEPT).or_insert(ACCEPTED);
        if self.kept.is_fresh_only() {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        built
    }
}

impl std::fmt::Debug for Transport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Transport({}:{}{})", self.dial.host, self.dial.port, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_below_an_origin() {
        let url = |text: &str| Url::parse(text).unwrap();
        let transport = |base| Transport::new(&url(base), None, Vec::new(), Duration::from_secs(1)).unwrap();
        let bare = transport("http://127.0.0.1:8787");
        assert_eq!(bare.path_of(&url("http://127.0.0.1:8787/a/b?c=d")).unwrap(), "/a/b?c=d");
        for elsewhere in ["http://127.0.0.1/a", "https://127.0.0.1:8787/a", "http://localhost:8787/a"] {
            assert_eq!(bare.path_of(&url(elsewhere)), None, "{elsewhere}");
        }
        let below = transport("http://[::1]:80/vault/");
        assert_eq!(below.path_of(&url("http://[::1]/vault/keys")).unwrap(), "/keys");
        assert_eq!(below.path_of(&url("http://[::1]/vaults/keys")), None);
    }
}
