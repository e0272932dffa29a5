//! One HTTP/1.1 connection, and one exchange at a time on it.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::StatusCode;
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;

use super::error::TransportError;
use super::io::Traffic;
use super::message::RawAnswer;

/// How much of an answer's head (and of a body chunk) is buffered at most, in bytes.
const MAX_HEAD: usize = 128 * 1024;

/// What makes a connection go on.
pub(super) type Driver<E> = Pin<Box<dyn Future<Output = Result<(), E>> + Send>>;

/// One HTTP/1.1 connection. Its driver is polled by whoever uses it: no task, no hop between threads.
pub(super) struct Connection {
    sender: http1::SendRequest<Full<Bytes>>,
    driver: Option<Driver<hyper::Error>>,
    traffic: Arc<Traffic>,
    /// Whether it has served a request before.
    used: bool,
}

impl Connection {
    /// A connection over a byte stream; `traffic` is what goes over the wire below it.
    ///
    /// # Errors
    /// [`TransportError::NotSent`].
    pub(super) async fn over<S>(stream: S, traffic: Arc<Traffic>) -> Result<Self, TransportError>
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    {
        let (sender, driver) = http1::Builder::new()
            .max_buf_size(MAX_HEAD)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| TransportError::NotSent(error.to_string()))?;
        Ok(Self { sender, driver: Some(Box::pin(driver)), traffic, used: false })
    }

    /// Whether it hasn't ended yet.
    pub(super) fn is_open(&self) -> bool {
        self.driver.is_some()
    }

    /// Sends a request and reads the answer, whose body is at most `limit` bytes.
    ///
    /// # Errors
    /// [`TransportError`]; only what is [`TransportError::NotSent`] may be sent again.
    pub(super) async fn exchange(
        &mut self,
        request: http::Request<Full<Bytes>>,
        limit: usize,
    ) -> Result<RawAnswer, TransportError> {
        let used = std::mem::replace(&mut self.used, true);
        let before = self.traffic.now();
        let Self { sender, driver, .. } = self;
        let result = drive(driver, async {
            // An end of the connection, or an answer to nothing (a 408, say), that came while it was idle shows here.
            sender.ready().await.map_err(|error| TransportError::NotSent(in_words(&error)))?;
            let response = sender.try_send_request(request).await.map_err(|failed| match failed.message() {
                Some(_) => TransportError::NotSent(in_words(failed.error())),
                None => explain(failed.error()),
            })?;
            let (head, body) = response.into_parts();
            let body = read_body(&head, body, limit).await?;
            Ok(RawAnswer { status: head.status, headers: head.headers, body, grpc: None, marked: false }
                .plain(limit)
                .unmarked())
        })
        .await;
        match result {
            Err(end) => Err(self.traffic.judge(before, used, end)),
            // Said to whoever keeps a connection without using it (RFC 9110 §15.5.9), and crossed by the request.
            Ok(answer) if used && answer.status == StatusCode::REQUEST_TIMEOUT => {
                Err(TransportError::Closed { reason: "status 408 on a connection that was idle".into(), idle: true })
            }
            result => result,
        }
    }
}

/// Runs a future while the connection makes progress.
pub(super) async fn drive<F: Future, E>(driver: &mut Option<Driver<E>>, future: F) -> F::Output {
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

async fn read_body(
    head: &http::response::Parts,
    mut body: hyper::body::Incoming,
    limit: usize,
) -> Result<Bytes, TransportError> {
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let data = match frame {
            Ok(frame) => frame.into_data(),
            Err(_) if may_end_in_a_reset(head) => break,
            Err(error) => return Err(explain(&error)),
        };
        let Ok(data) = data else { continue };
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
    // A copy, because a kept slice of hyper's buffer would keep the whole buffer, as what has grown would keep its spare room.
    Ok(Bytes::copy_from_slice(if rest.is_empty() { &first } else { &rest }))
}

/// A refusal whose body ends with the connection. Whoever refuses a request that it hasn't read to its end, and closes,
/// resets the connection: there is no other end to such an answer.
fn may_end_in_a_reset(head: &http::response::Parts) -> bool {
    let refused = head.status.is_client_error() || head.status.is_server_error();
    refused && !head.headers.contains_key(CONTENT_LENGTH) && !head.headers.contains_key(TRANSFER_ENCODING)
}

fn explain(error: &hyper::Error) -> TransportError {
    if error.is_parse() {
        TransportError::NotHttp(error.to_string())
    } else {
        TransportError::Closed { reason: in_words(error), idle: false }
    }
}

fn in_words(error: &hyper::Error) -> String {
    let cause = std::error::Error::source(error).map(|cause| format!(" ({cause})")).unwrap_or_default();
    format!("{error}{cause}")
}
