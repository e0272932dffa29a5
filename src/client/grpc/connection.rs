//! One HTTP/2 connection, and the calls on it.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use h2::client::SendRequest;
use h2::{Reason, SendStream};
use http::header::{CONTENT_TYPE, TE, USER_AGENT};
use http::{HeaderMap, HeaderValue, Request, StatusCode};

use super::super::barrier::Barrier;
use super::super::connection::{Driver, drive};
use super::super::error::TransportError;
use super::super::io::Traffic;
use super::super::message::gunzipped;
use super::translate::message_of;
use super::{GrpcAnswer, GrpcCall};
use crate::wire::proto::{Code, PREFIX, prefix};

/// How much of the heads of an answer is read at most, in bytes.
const MAX_HEAD: u32 = 64 * 1024;
/// How much a server may send ahead.
const WINDOW: u32 = 1 << 20;

/// What every client offers unless told not to, so that some servers compress without looking whether it was offered.
const ENCODINGS: HeaderValue = HeaderValue::from_static("identity,gzip");
const AGENT: HeaderValue = HeaderValue::from_static(concat!("avp-conform/", env!("CARGO_PKG_VERSION")));

/// Data of at most so many bytes is handed over without waiting for room.
const WITH_HEAD: usize = 16 << 10;

/// Where a call is held until a barrier opens: after so many bytes of its data.
pub(in super::super) struct HoldPoint {
    pub(in super::super) barrier: Barrier,
    pub(in super::super) after: usize,
}

/// One connection. Its driver is polled by whoever uses it: no task, no hop between threads.
pub(in super::super) struct GrpcConnection {
    sender: SendRequest<Bytes>,
    driver: Option<Driver<h2::Error>>,
    traffic: Arc<Traffic>,
    used: bool,
}

impl GrpcConnection {
    /// A connection over a byte stream; `traffic` is what goes over the wire below it.
    ///
    /// # Errors
    /// [`TransportError::NotSent`].
    pub(in super::super) async fn over<S>(stream: S, traffic: Arc<Traffic>) -> Result<Self, TransportError>
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    {
        let (sender, driver) = h2::client::Builder::new()
            .enable_push(false)
            .max_header_list_size(MAX_HEAD)
            .initial_window_size(WINDOW)
            .initial_connection_window_size(WINDOW)
            .handshake(stream)
            .await
            .map_err(|error| TransportError::NotSent(error.to_string()))?;
        Ok(Self { sender, driver: Some(Box::pin(driver)), traffic, used: false })
    }

    /// Whether it hasn't ended yet.
    pub(in super::super) fn is_open(&self) -> bool {
        self.driver.is_some()
    }

    /// Makes a call, whose answer is at most `limit` bytes.
    ///
    /// # Errors
    /// [`TransportError`]; only what is [`TransportError::NotSent`] may be sent again.
    pub(in super::super) async fn exchange(
        &mut self,
        uri: http::Uri,
        metadata: &HeaderMap,
        call: &GrpcCall,
        limit: usize,
        hold: Option<HoldPoint>,
    ) -> Result<GrpcAnswer, TransportError> {
        let used = std::mem::replace(&mut self.used, true);
        let before = self.traffic.now();
        let request = request(uri, metadata, call);
        let Self { sender, driver, .. } = self;
        let result = drive(driver, async {
            let mut ready = sender.clone().ready().await.map_err(|error| TransportError::NotSent(error.to_string()))?;
            let (response, stream) =
                ready.send_request(request, false).map_err(|error| TransportError::NotSent(error.to_string()))?;
            let sending = send_data(stream, call.data.clone(), hold);
            beside(sending, read_answer(response, limit)).await
        })
        .await;
        result.map_err(|end| self.traffic.judge(before, used, end))
    }
}

impl GrpcConnection {
    /// Begins a call and cancels it a while after so many bytes of its data; a call whose data is all sent is whole.
    ///
    /// # Errors
    /// [`TransportError`] when the connection ends before.
    pub(in super::super) async fn cancel(
        &mut self,
        uri: http::Uri,
        metadata: &HeaderMap,
        call: &GrpcCall,
        after: usize,
        pause: Duration,
    ) -> Result<(), TransportError> {
        let request = request(uri, metadata, call);
        let Self { sender, driver, .. } = self;
        let closed = |error: h2::Error| TransportError::Closed { reason: error.to_string(), idle: false };
        drive(driver, async {
            let mut ready = sender.clone().ready().await.map_err(closed)?;
            let (answer, mut stream) = ready.send_request(request, false).map_err(closed)?;
            let data = call.data.slice(..after.min(call.data.len()));
            // Whether it arrives is for the other side to say.
            let _ = send_part(&mut stream, data, after >= call.data.len()).await;
            // The driver has its turn before this goes on.
            tokio::task::yield_now().await;
            if !pause.is_zero() {
                tokio::time::sleep(pause).await;
            }
            stream.send_reset(Reason::CANCEL);
            drop(answer);
            tokio::task::yield_now().await;
            Ok(())
        })
        .await
    }
}

fn request(uri: http::Uri, metadata: &HeaderMap, call: &GrpcCall) -> Request<()> {
    let mut request = Request::new(());
    *request.method_mut() = http::Method::POST;
    *request.version_mut() = http::Version::HTTP_2;
    *request.uri_mut() = uri;
    let headers = request.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert(TE, HeaderValue::from_static("trailers"));
    headers.insert(USER_AGENT, AGENT);
    headers.insert("grpc-accept-encoding", ENCODINGS);
    for (name, value) in metadata {
        headers.append(name.clone(), value.clone());
    }
    for (name, _) in &call.metadata {
        headers.remove(name);
    }
    for (name, value) in &call.metadata {
        headers.append(name.clone(), value.clone());
    }
    request
}

/// Sends what a stream carries, as fast as the other side takes it.
async fn send_data(mut stream: SendStream<Bytes>, mut data: Bytes, hold: Option<HoldPoint>) -> Result<(), h2::Error> {
    if let Some(HoldPoint { barrier, after }) = hold {
        let rest = data.split_off(after.min(data.len()));
        send_part(&mut stream, data, false).await?;
        // The driver has its turn before this waits: nothing is on its way otherwise.
        tokio::task::yield_now().await;
        barrier.passed().await;
        data = rest;
    }
    send_part(&mut stream, data, true).await
}

async fn send_part(stream: &mut SendStream<Bytes>, mut data: Bytes, last: bool) -> Result<(), h2::Error> {
    // A stream gets room only once its head is written. What is small doesn't ask for it and goes out with the head, in one write; HTTP/2
    // keeps it back where there is no room (RFC 9113 §5.2).
    if !data.is_empty() && data.len() <= WITH_HEAD {
        return stream.send_data(data, last);
    }
    while !data.is_empty() {
        stream.reserve_capacity(data.len());
        let Some(room) = std::future::poll_fn(|cx| stream.poll_capacity(cx)).await else { return Ok(()) };
        let part = data.split_to(room?.min(data.len()));
        if part.is_empty() {
            continue;
        }
        let end = last && data.is_empty();
        stream.send_data(part, end)?;
        if end {
            return Ok(());
        }
    }
    if last { stream.send_data(Bytes::new(), true) } else { Ok(()) }
}

/// What the answer gives, while the request is still being sent. A server may answer before it has read everything; that sending then
/// fails says nothing.
async fn beside<T>(
    sending: impl Future<Output = Result<(), h2::Error>>,
    answer: impl Future<Output = Result<T, TransportError>>,
) -> Result<T, TransportError> {
    let (mut sending, mut answer) = (pin!(sending), pin!(answer));
    let mut sent = false;
    std::future::poll_fn(|cx| {
        if !sent {
            sent = sending.as_mut().poll(cx).is_ready();
        }
        match answer.as_mut().poll(cx) {
            Poll::Ready(result) => Poll::Ready(result),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

async fn read_answer(response: h2::client::ResponseFuture, limit: usize) -> Result<GrpcAnswer, TransportError> {
    let (head, mut body) = response.await.map_err(|error| explain(&error))?.into_parts();
    let label = head.headers.get(CONTENT_TYPE).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    if head.status != StatusCode::OK {
        return Err(TransportError::NotGrpc(format!("HTTP status {}", head.status.as_u16())));
    }
    if !label.as_ref().is_some_and(|label| label.starts_with("application/grpc")) {
        return Err(TransportError::NotGrpc(format!("Content-Type: {}", label.as_deref().unwrap_or("(none)"))));
    }
    let mut bytes = BytesMut::new();
    while let Some(data) = body.data().await {
        let data = data.map_err(|error| explain(&error))?;
        let _ = body.flow_control().release_capacity(data.len());
        if bytes.len() + data.len() > limit.saturating_add(PREFIX) {
            return Err(TransportError::TooLarge(limit));
        }
        bytes.extend_from_slice(&data);
    }
    let mut headers = head.headers;
    if let Some(trailers) = body.trailers().await.map_err(|error| explain(&error))? {
        for (name, value) in &trailers {
            headers.append(name.clone(), value.clone());
        }
    }
    let status = headers.get("grpc-status").ok_or_else(|| not_grpc("the call ended without grpc-status"))?;
    let code = status.to_str().ok().and_then(|text| text.parse().ok());
    let code = Code(code.ok_or_else(|| not_grpc("grpc-status is no number"))?);
    let data = if code == Code::OK { message(bytes, &headers, limit)? } else { None };
    Ok(GrpcAnswer { code, message: message_of(&headers), headers, data })
}

/// The one message of an answer, if there is one.
fn message(mut bytes: BytesMut, headers: &HeaderMap, limit: usize) -> Result<Option<Bytes>, TransportError> {
    if bytes.is_empty() {
        return Ok(None);
    }
    match prefix(&bytes) {
        Some((_, length)) if bytes.len() > PREFIX + length => Err(not_grpc("there is more than one message")),
        Some((_, length)) if bytes.len() < PREFIX + length => {
            let there = bytes.len() - PREFIX;
            Err(TransportError::NotGrpc(format!("a message of {length} bytes ends after {there}")))
        }
        Some((0, _)) => Ok(Some(bytes.split_off(PREFIX).freeze())),
        Some((1, _)) => decompressed(&bytes[PREFIX..], headers, limit).map(Some),
        Some((flag, _)) => Err(TransportError::NotGrpc(format!("a message begins with flag {flag}"))),
        None => Err(not_grpc("the message ends within its prefix")),
    }
}

fn decompressed(bytes: &[u8], headers: &HeaderMap, limit: usize) -> Result<Bytes, TransportError> {
    if headers.get("grpc-encoding").is_none_or(|encoding| encoding != "gzip") {
        return Err(not_grpc("the message is compressed in a way that nobody offered"));
    }
    let plain = gunzipped(bytes, limit);
    plain.map(Bytes::from).ok_or_else(|| not_grpc("the message isn't the gzip that it says, or far too long"))
}

fn not_grpc(reason: &str) -> TransportError {
    TransportError::NotGrpc(reason.into())
}

fn explain(error: &h2::Error) -> TransportError {
    let remote = error.is_remote();
    match error.reason() {
        // Nothing was done about it (RFC 9113 §8.7), and so with what a GOAWAY leaves out (§6.8).
        Some(Reason::REFUSED_STREAM) if error.is_reset() && remote => TransportError::NotSent(error.to_string()),
        Some(Reason::NO_ERROR) if error.is_go_away() && remote => TransportError::NotSent(error.to_string()),
        Some(_) if !remote => TransportError::NotGrpc(error.to_string()),
        _ => TransportError::Closed { reason: error.to_string(), idle: false },
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;
    use crate::wire::proto::framed;

    #[test]
    fn messages_may_be_compressed() {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(&[7; 5000]).unwrap();
        let mut bytes = framed(&encoder.finish().unwrap());
        bytes[0] = 1;
        let read = |encoding: &'static str, limit| {
            let headers =
                HeaderMap::from_iter([("grpc-encoding".parse().unwrap(), HeaderValue::from_static(encoding))]);
            message(BytesMut::from(&bytes[..]), &headers, limit)
        };
        assert_eq!(read("gzip", 5000).unwrap().unwrap(), vec![7; 5000]);
        // Neither a bomb nor what was never offered.
        assert!(read("gzip", 4999).is_err());
        assert!(read("deflate", 5000).is_err());
        assert!(read("identity", 5000).is_err());
    }
}
