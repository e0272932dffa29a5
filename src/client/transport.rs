//! HTTP/1.1 to one origin: a pool of kept-alive connections, bounded in time and size.
//!
//! This is hyper rather than reqwest because a judge must know what happens on which connection: it sets `TCP_QUICKACK`
//! ([`super::io`]), never reuses a connection whose server may have left a request body unread, retries exactly the requests that a
//! dying idle connection swallowed, and tells "closed without an answer" from "not HTTP".

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, HOST, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode};
use http_body_util::Full;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use url::Url;

use super::connection::Connection;
use super::io::{QuickAckStream, Stream};

/// Why no whole answer came.
#[derive(Clone, Debug, thiserror::Error)]
pub enum TransportError {
    /// The name has no address.
    #[error("the name {host:?} can't be resolved: {reason}")]
    Resolve {
        /// Host asked for.
        host: String,
        /// The resolver's words.
        reason: String,
    },
    /// Nobody listens, or nothing gets through.
    #[error("no connection to {address}: {reason}")]
    Connect {
        /// Host and port.
        address: String,
        /// The system's words.
        reason: String,
    },
    /// The TLS handshake failed.
    #[error("TLS handshake failed: {0}")]
    Tls(String),
    /// No whole answer within the bound.
    #[error("no complete answer within {0:?}")]
    Timeout(Duration),
    /// The connection ended before the answer was whole.
    #[error("the connection was closed before the answer was complete: {0}")]
    Closed(String),
    /// What came isn't HTTP.
    #[error("the answer isn't HTTP: {0}")]
    NotHttp(String),
    /// More body than any answer of the protocol needs.
    #[error("the answer's body is longer than {0} bytes")]
    TooLarge(usize),
}

impl TransportError {
    /// Whether nobody answers there at all.
    pub fn is_unreachable(&self) -> bool {
        matches!(self, Self::Resolve { .. } | Self::Connect { .. } | Self::Tls(_))
    }
}

/// A whole answer.
#[derive(Clone, Debug)]
pub struct RawAnswer {
    /// Status code.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    /// Body, as it came (no content encoding is undone).
    pub body: Bytes,
}

/// One request, ready to be sent any number of times.
#[derive(Clone, Debug)]
pub struct RawRequest {
    /// Method.
    pub method: Method,
    /// Path and query, percent-encoded, without the origin's prefix.
    pub path: String,
    /// Headers besides Host and the deployment's.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Body; `None` sends neither body nor Content-Length.
    pub body: Option<Bytes>,
    /// Longest body of an answer that is read, in bytes.
    pub answer_limit: usize,
}

/// A client for one origin.
pub struct Transport {
    host: String,
    port: u16,
    host_header: HeaderValue,
    prefix: String,
    tls: Option<(tokio_rustls::TlsConnector, ServerName<'static>)>,
    headers: Vec<super::Header>,
    addresses: tokio::sync::OnceCell<Vec<SocketAddr>>,
    idle: Mutex<Vec<Connection>>,
    fresh_only: AtomicBool,
    reads_refused: AtomicBool,
    requests: AtomicU64,
    timeout: Duration,
}

/// Idle connections that stay open but aren't used.
pub struct Held(Vec<Connection>);

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
        let port = base.port_or_known_default().ok_or_else(|| unusable("the URL has no port"))?;
        let authority = base.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        let bare = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let tls = match (base.scheme(), tls) {
            ("https", Some(config)) => {
                let name = ServerName::try_from(bare.clone()).map_err(|_| unusable("no valid TLS server name"))?;
                Some((tokio_rustls::TlsConnector::from(config), name))
            }
            _ => None,
        };
        Ok(Self {
            host: bare,
            port,
            host_header: HeaderValue::from_str(&authority).map_err(|_| unusable("not a valid Host header"))?,
            prefix: base.path().trim_end_matches('/').to_owned(),
            tls,
            headers,
            addresses: tokio::sync::OnceCell::new(),
            idle: Mutex::new(Vec::new()),
            fresh_only: AtomicBool::new(false),
            reads_refused: AtomicBool::new(false),
            requests: AtomicU64::new(0),
            timeout,
        })
    }

    /// From now on every request gets a connection of its own.
    pub fn use_fresh_connections(&self) {
        self.fresh_only.store(true, Ordering::Relaxed);
        self.idle().clear();
    }

    /// The server has been seen to read the body of requests that it refuses, so that their connections can be kept.
    pub fn trust_refusals(&self) {
        self.reads_refused.store(true, Ordering::Relaxed);
    }

    /// Closes the idle connections.
    pub fn close_idle(&self) {
        self.idle().clear();
    }

    /// Takes the idle connections out of the pool without closing them.
    pub fn hold_idle(&self) -> Held {
        Held(std::mem::take(&mut *self.idle()))
    }

    /// Puts held connections back.
    pub fn give_back(&self, held: Held) {
        self.idle().extend(held.0);
    }

    /// Requests sent so far.
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Bound on one request.
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// `host` or `host:port`, as in an `avp://` address.
    pub fn authority(&self) -> &str {
        self.host_header.to_str().unwrap_or(&self.host)
    }

    /// Path prefix of the origin, without a final slash.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Path and query of a URL below this origin and its prefix; `None` for one that lives elsewhere.
    pub fn path_of(&self, url: &Url) -> Option<String> {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        let host = url.host_str()?.trim_start_matches('[').trim_end_matches(']');
        if url.scheme() != scheme || host != self.host || url.port_or_known_default() != Some(self.port) {
            return None;
        }
        let path = url.path().strip_prefix(&self.prefix).filter(|path| path.starts_with('/'))?;
        Some(url.query().map_or_else(|| path.to_owned(), |query| format!("{path}?{query}")))
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
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
    /// # Errors
    /// [`TransportError`].
    pub async fn send_within(&self, request: &RawRequest, bound: Duration) -> Result<RawAnswer, TransportError> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        tokio::time::timeout(bound, self.send_unbounded(request)).await.unwrap_or(Err(TransportError::Timeout(bound)))
    }

    async fn send_unbounded(&self, request: &RawRequest) -> Result<RawAnswer, TransportError> {
        let kept = self.idle().pop();
        if let Some(connection) = kept {
            match self.exchange(connection, request).await {
                // The server had closed the idle connection meanwhile: the request was never read.
                Err(TransportError::Closed(_)) => {}
                other => return other,
            }
        }
        let connection = Connection::over(self.open().await?).await?;
        self.exchange(connection, request).await
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
        self.requests.fetch_add(2, Ordering::Relaxed);
        let both = async {
            let mut connection = Connection::over(self.open().await?).await?;
            let answer = connection.exchange(self.build(first), first.answer_limit).await?;
            if announces_close(&answer) || !connection.is_open() {
                return Ok((answer, None));
            }
            match tokio::time::timeout(bound, connection.exchange(self.build(second), second.answer_limit)).await {
                Ok(Err(TransportError::Closed(_))) => Ok((answer, None)),
                Ok(result) => Ok((answer, Some(result))),
                Err(_) => Ok((answer, Some(Err(TransportError::Timeout(bound))))),
            }
        };
        tokio::time::timeout(bound * 2, both).await.unwrap_or(Err(TransportError::Timeout(bound * 2)))
    }

    /// Sends a request over a byte stream of its own.
    pub(super) async fn send_over<S>(&self, stream: S, request: &RawRequest) -> Result<RawAnswer, TransportError>
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let mut connection = Connection::over(stream).await?;
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
    /// [`TransportError::Resolve`], [`TransportError::Connect`] or [`TransportError::Tls`].
    pub async fn open(&self) -> Result<Stream, TransportError> {
        let addresses = self.addresses.get_or_try_init(|| self.resolve()).await?;
        let tcp = TcpStream::connect(addresses.as_slice()).await.map_err(|error| TransportError::Connect {
            address: format!("{}:{}", self.host, self.port),
            reason: plain_words(&error),
        })?;
        // A refusal only costs speed.
        let _ = tcp.set_nodelay(true);
        let tcp = QuickAckStream(tcp);
        match &self.tls {
            None => Ok(Stream::Plain(tcp)),
            Some((connector, name)) => match connector.connect(name.clone(), tcp).await {
                Ok(stream) => Ok(Stream::Tls(Box::new(stream))),
                Err(error) => Err(TransportError::Tls(error.to_string())),
            },
        }
    }

    async fn resolve(&self) -> Result<Vec<SocketAddr>, TransportError> {
        let failed = |reason: String| TransportError::Resolve { host: self.host.clone(), reason };
        let found: Vec<_> = tokio::net::lookup_host((self.host.as_str(), self.port))
            .await
            .map_err(|error| failed(error.to_string()))?
            .collect();
        if found.is_empty() { Err(failed("no address".into())) } else { Ok(found) }
    }

    async fn exchange(&self, mut connection: Connection, request: &RawRequest) -> Result<RawAnswer, TransportError> {
        let answer = connection.exchange(self.build(request), request.answer_limit).await?;
        self.keep(connection, request, &answer);
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
        for (name, value) in &request.headers {
            headers.insert(name.clone(), value.clone());
        }
        if self.fresh_only.load(Ordering::Relaxed) {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        built
    }

    /// Puts a connection back for the next request, unless that could spoil it: a server that refuses may not have read the
    /// body, and would take it for the next request.
    fn keep(&self, connection: Connection, request: &RawRequest, answer: &RawAnswer) {
        let no_body = request.body.as_ref().is_none_or(Bytes::is_empty);
        // Refusals that come of looking at the request; a 405, 413 or 415 comes before.
        let looked_at = matches!(answer.status.as_u16(), 400 | 401 | 403 | 404 | 409 | 422);
        let body_was_read =
            no_body || answer.status.is_success() || (looked_at && self.reads_refused.load(Ordering::Relaxed));
        if body_was_read && !announces_close(answer) && connection.is_open() && !self.fresh_only.load(Ordering::Relaxed)
        {
            self.idle().push(connection);
        }
    }
}

impl std::fmt::Debug for Transport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Transport({}:{}{})", self.host, self.port, self.prefix)
    }
}

fn announces_close(answer: &RawAnswer) -> bool {
    answer.headers.get(CONNECTION).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"close"))
}

fn plain_words(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::ConnectionRefused => "connection refused".into(),
        std::io::ErrorKind::TimedOut => "timed out".into(),
        _ => error.to_string(),
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
