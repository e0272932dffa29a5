//! Why a request got no whole answer, and what that says about whether it was carried out.

use std::time::Duration;

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
    /// No connection was open within the bound.
    #[error("no {step} with {address} within {bound:?}")]
    Opening {
        /// What was waited for.
        step: &'static str,
        /// Host and port.
        address: String,
        /// How long.
        bound: Duration,
    },
    /// The connection ended before a byte of the request had left: it wasn't carried out, and may be sent again.
    #[error("the connection was closed before the request was sent: {0}")]
    NotSent(String),
    /// No whole answer within the bound. The request may have been carried out.
    #[error("no complete answer within {0:?}")]
    Timeout(Duration),
    /// The connection ended before the answer was whole. The request may have been carried out, so it isn't sent again.
    #[error("the connection was closed before the answer was complete: {reason}")]
    Closed {
        /// What the connection ended with.
        reason: String,
        /// Whether the connection had served others before and not a byte of an answer came. A server may close such a
        /// connection at any time (RFC 9112 §9.5), so that it says nothing about this request.
        idle: bool,
    },
    /// What came isn't HTTP.
    #[error("the answer isn't HTTP: {0}")]
    NotHttp(String),
    /// What came isn't gRPC.
    #[error("the answer isn't gRPC: {0}")]
    NotGrpc(String),
    /// Nothing was sent: the request only makes sense over HTTP, or as JSON.
    #[error("gRPC can't say this request: {0}")]
    Unsayable(String),
    /// More body than any answer of the protocol needs.
    #[error("the answer's body is longer than {0} bytes")]
    TooLarge(usize),
}

impl TransportError {
    /// Whether nobody could be spoken to: the request wasn't carried out.
    pub fn is_unreachable(&self) -> bool {
        matches!(
            self,
            Self::Resolve { .. } | Self::Connect { .. } | Self::Tls(_) | Self::Opening { .. } | Self::NotSent(_)
        )
    }

    /// Whether the server may only have closed an idle connection at the very moment when a request was sent on it.
    pub fn is_idle_close(&self) -> bool {
        matches!(self, Self::Closed { idle: true, .. })
    }
}
