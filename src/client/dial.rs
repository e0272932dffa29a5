//! Opening connections to one origin, within a bound: the one place where this suite does so.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::error::TransportError;
use super::io::{Parts, Stream, Tcp};

/// Where to connect to, and how.
pub(super) struct Dial {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) tls: Option<(tokio_rustls::TlsConnector, ServerName<'static>)>,
    addresses: tokio::sync::OnceCell<Vec<SocketAddr>>,
    parts: Arc<Parts>,
}

/// A moment until which something may take, and how long that was when it began.
#[derive(Clone, Copy)]
pub(super) struct Deadline {
    at: Instant,
    bound: Duration,
}

impl Deadline {
    pub(super) fn after(bound: Duration) -> Self {
        // A bound beyond all time is no bound.
        let at = Instant::now().checked_add(bound).unwrap_or_else(|| Instant::now() + Duration::from_secs(1 << 30));
        Self { at, bound }
    }

    /// What the future gives, or [`TransportError::Timeout`].
    pub(super) async fn limit<T>(
        self,
        future: impl Future<Output = Result<T, TransportError>>,
    ) -> Result<T, TransportError> {
        tokio::time::timeout_at(self.at, future).await.unwrap_or(Err(TransportError::Timeout(self.bound)))
    }
}

impl Dial {
    pub(super) fn new(host: String, port: u16, tls: Option<(tokio_rustls::TlsConnector, ServerName<'static>)>) -> Self {
        Self { host, port, tls, addresses: tokio::sync::OnceCell::new(), parts: Arc::default() }
    }

    /// Opens a byte stream. Name, connection and handshake together take no longer than the deadline.
    ///
    /// # Errors
    /// [`TransportError`], always one that [is unreachable](TransportError::is_unreachable).
    pub(super) async fn open(&self, deadline: Deadline) -> Result<Stream, TransportError> {
        let addresses = self.step(deadline, "address", self.addresses.get_or_try_init(|| self.resolve())).await?;
        let connecting = async {
            TcpStream::connect(addresses.as_slice()).await.map_err(|error| TransportError::Connect {
                address: format!("{}:{}", self.host, self.port),
                reason: plain_words(&error),
            })
        };
        let tcp = self.step(deadline, "connection", connecting).await?;
        // A refusal only costs speed.
        let _ = tcp.set_nodelay(true);
        let tcp = Tcp::new(tcp, self.parts.clone());
        let traffic = tcp.traffic();
        let Some((connector, name)) = &self.tls else { return Ok(Stream::plain(tcp)) };
        let shaking = async {
            connector.connect(name.clone(), tcp).await.map_err(|error| TransportError::Tls(error.to_string()))
        };
        Ok(Stream::tls(self.step(deadline, "TLS handshake", shaking).await?, traffic))
    }

    async fn step<T>(
        &self,
        deadline: Deadline,
        step: &'static str,
        future: impl Future<Output = Result<T, TransportError>>,
    ) -> Result<T, TransportError> {
        tokio::time::timeout_at(deadline.at, future).await.unwrap_or_else(|_| {
            let address = format!("{}:{}", self.host, self.port);
            Err(TransportError::Opening { step, address, bound: deadline.bound })
        })
    }

    async fn resolve(&self) -> Result<Vec<SocketAddr>, TransportError> {
        let failed = |reason: String| TransportError::Resolve { host: self.host.clone(), reason };
        let found: Vec<_> = tokio::net::lookup_host((self.host.as_str(), self.port))
            .await
            .map_err(|error| failed(error.to_string()))?
            .collect();
        if found.is_empty() { Err(failed("no address".into())) } else { Ok(found) }
    }
}

fn plain_words(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::ConnectionRefused => "connection refused".into(),
        std::io::ErrorKind::TimedOut => "timed out".into(),
        _ => error.to_string(),
    }
}
