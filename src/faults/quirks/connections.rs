//! How answers travel, and how many at a time.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Response, Version};
use bytes::Bytes;
use hyper::server::conn::http1;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{Mutex, Semaphore};

use crate::server::connection::Stream;
use crate::server::edge::{Edge, Unsized};
use crate::server::route::Route;
use crate::server::rules::Later;

/// Headers that nobody asked for, one of them twice.
pub struct ExtraHeaders;

impl Edge for ExtraHeaders {
    fn response(&self, _: Route, _: &Parts, mut response: Response<Bytes>) -> Response<Bytes> {
        let headers: &mut HeaderMap = response.headers_mut();
        for (name, value) in [
            ("server", "vault/1.0 (odd; but \"conformant\")"),
            ("x-request-id", "00000000-0000-4000-8000-000000000000"),
            ("set-cookie", "session=1; Path=/"),
            ("set-cookie", "theme=dark"),
            ("vary", "Origin, Accept-Encoding"),
            ("x-powered-by", ""),
        ] {
            headers.append(name, HeaderValue::from_static(value));
        }
        response
    }
}

/// `application/json; charset=utf-8`.
pub struct Charset;

impl Edge for Charset {
    fn response(&self, _: Route, _: &Parts, mut response: Response<Bytes>) -> Response<Bytes> {
        if response.headers().get(CONTENT_TYPE).is_some_and(|label| label == "application/json") {
            let label = HeaderValue::from_static("application/json; charset=utf-8");
            response.headers_mut().insert(CONTENT_TYPE, label);
        }
        response
    }
}

/// `Transfer-Encoding: chunked`.
pub struct Chunked;

impl Edge for Chunked {
    fn response(&self, _: Route, _: &Parts, mut response: Response<Bytes>) -> Response<Bytes> {
        response.extensions_mut().insert(Unsized);
        response
    }
}

/// `Connection: close`.
pub struct ConnectionClose;

impl Edge for ConnectionClose {
    fn http(&self, http: &mut http1::Builder) {
        http.keep_alive(false);
    }
}

/// HTTP/1.0 without `Content-Length`.
pub struct CloseDelimited;

impl Edge for CloseDelimited {
    fn response(&self, _: Route, _: &Parts, mut response: Response<Bytes>) -> Response<Bytes> {
        response.extensions_mut().insert(Unsized);
        *response.version_mut() = Version::HTTP_10;
        response
    }

    fn http(&self, http: &mut http1::Builder) {
        http.keep_alive(false);
    }
}

/// `Content-Type` instead of `content-type`.
pub struct TitleCase;

impl Edge for TitleCase {
    fn http(&self, http: &mut http1::Builder) {
        http.title_case_headers(true);
    }
}

/// Head and body in two writes, under Nagle's algorithm.
pub struct TwoSegments;

impl Edge for TwoSegments {
    fn nodelay(&self) -> bool {
        false
    }

    fn stream(&self, stream: Box<dyn Stream>) -> Box<dyn Stream> {
        Box::new(HeadThenBody(stream))
    }
}

/// Ends each write where a head ends.
struct HeadThenBody(Box<dyn Stream>);

impl AsyncRead for HeadThenBody {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, out)
    }
}

impl AsyncWrite for HeadThenBody {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").map_or(bytes.len(), |at| at + 4);
        Pin::new(&mut self.0).poll_write(context, &bytes[..end])
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}

/// A server far away.
pub struct Latency(pub u64);

impl Edge for Latency {
    fn delay(&self) -> Option<Later<'_, ()>> {
        Some(Box::pin(tokio::time::sleep(Duration::from_millis(self.0))))
    }
}

/// A lock around every request, from its head to its answer; a stalled one stops all others.
#[derive(Default)]
pub struct SingleThreaded(Arc<Mutex<()>>);

impl Edge for SingleThreaded {
    fn turn(&self) -> Option<Later<'_, Box<dyn Send>>> {
        Some(turn(&self.0))
    }
}

/// A lock around every connection, which is good for one request; one that says nothing for two seconds is closed.
#[derive(Default)]
pub struct OneConnection(Arc<Mutex<()>>);

impl Edge for OneConnection {
    fn connection_turn(&self) -> Option<Later<'static, Box<dyn Send>>> {
        Some(turn(&self.0))
    }

    fn http(&self, http: &mut http1::Builder) {
        http.keep_alive(false).header_read_timeout(Duration::from_secs(2));
    }
}

/// So many connections are served, and each is kept for as long as the client likes.
pub struct KeptConnections(Arc<Semaphore>);

impl KeptConnections {
    pub fn new(served: usize) -> Self {
        Self(Arc::new(Semaphore::new(served)))
    }
}

impl Edge for KeptConnections {
    fn connection_turn(&self) -> Option<Later<'static, Box<dyn Send>>> {
        let served = Arc::clone(&self.0);
        Some(Box::pin(async move { Box::new(served.acquire_owned().await) as Box<dyn Send> }))
    }
}

fn turn(lock: &Arc<Mutex<()>>) -> Later<'static, Box<dyn Send>> {
    let lock = Arc::clone(lock);
    Box::pin(async move { Box::new(lock.lock_owned().await) as Box<dyn Send> })
}
