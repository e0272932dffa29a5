//! One HTTP/1.1 connection, and one exchange at a time on it.

use std::future::Future;
use std::pin::{Pin, pin};

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;

use super::transport::{RawAnswer, TransportError};

/// How much of an answer's head (and of a body chunk) is buffered at most, in bytes.
const MAX_HEAD: usize = 128 * 1024;

type Driver = Pin<Box<dyn Future<Output = Result<(), hyper::Error>> + Send>>;

/// One HTTP/1.1 connection. Its driver is polled by whoever uses it: no task, no hop between threads.
pub(super) struct Connection {
    sender: http1::SendRequest<Full<Bytes>>,
    driver: Option<Driver>,
}

impl Connection {
    /// A connection over a byte stream.
    ///
    /// # Errors
    /// [`TransportError::Closed`].
    pub(super) async fn over<S>(stream: S) -> Result<Self, TransportError>
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    {
        let (sender, driver) = http1::Builder::new()
            .max_buf_size(MAX_HEAD)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| TransportError::Closed(error.to_string()))?;
        Ok(Self { sender, driver: Some(Box::pin(driver)) })
    }

    /// Whether it hasn't ended yet.
    pub(super) fn is_open(&self) -> bool {
        self.driver.is_some()
    }

    /// Sends a request and reads the answer, whose body is at most `limit` bytes.
    ///
    /// # Errors
    /// [`TransportError`].
    pub(super) async fn exchange(
        &mut self,
        request: http::Request<Full<Bytes>>,
        limit: usize,
    ) -> Result<RawAnswer, TransportError> {
        let Self { sender, driver } = self;
        drive(driver, async {
            sender.ready().await.map_err(|error| explain(&error))?;
            let response = sender.send_request(request).await.map_err(|error| explain(&error))?;
            let (head, body) = response.into_parts();
            let body = read_body(body, limit).await?;
            Ok(RawAnswer { status: head.status, headers: head.headers, body })
        })
        .await
    }
}

/// Runs a future while the connection makes progress.
async fn drive<F: Future>(driver: &mut Option<Driver>, future: F) -> F::Output {
    let mut future = pin!(future);
    std::future::poll_fn(|cx| {
        if let Some(running) = driver
            && running.as_mut().poll(cx).is_ready()
        {
            // The error, if any, also reaches the request that waits on this connection.
            *driver = None;
        }
        future.as_mut().poll(cx)
    })
    .await
}

async fn read_body(mut body: hyper::body::Incoming, limit: usize) -> Result<Bytes, TransportError> {
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|error| explain(&error))?.into_data() else { continue };
        if first.len() + rest.len() + data.len() > limit {
            return Err(TransportError::TooLarge(limit));
        }
        if first.is_empty() && rest.is_empty() {
            first = data;
        } else {
            if rest.is_empty() {
                rest.extend_from_slice(&first);
                first = Bytes::new();
            }
            rest.extend_from_slice(&data);
        }
    }
    // A copy, because a kept slice of hyper's buffer would keep the whole buffer.
    Ok(if rest.is_empty() { Bytes::copy_from_slice(&first) } else { rest.freeze() })
}

fn explain(error: &hyper::Error) -> TransportError {
    if error.is_parse() {
        TransportError::NotHttp(error.to_string())
    } else {
        let cause = std::error::Error::source(error).map(|cause| format!(" ({cause})")).unwrap_or_default();
        TransportError::Closed(format!("{error}{cause}"))
    }
}
