//! The edge of HTTP, where faults and quirks can reach in. The conformant server has nobody there.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::http::request::Parts;
use axum::http::{Request, Response, Uri};
use bytes::Bytes;
use futures_util::future::{JoinAll, MaybeDone};
use hyper::body::{Frame, Incoming};
use hyper::server::conn::http1;

use super::connection::Stream;
use super::refusal::Refusal;
use super::route::Route;
use super::rules::Later;
use super::store::Store;
use crate::wire::proto::{Code, Method};

/// What a connection waits for before it is served, and holds until it is closed.
pub(super) type Turn = MaybeDone<JoinAll<Later<'static, Box<dyn Send>>>>;

/// A deviation at the edge of HTTP; each method's default does nothing. Several can be on together: they see a request in
/// order and its answer in the same order.
pub trait Edge: Send + Sync + 'static {
    /// Another request target instead of the one that came.
    fn target(&self, _target: &Uri) -> Option<Uri> {
        None
    }

    /// Sees a request before anything is done with it, routing included: method, target and headers may become others.
    fn arrival(&self, _request: &mut Request<Incoming>) {}

    /// Sees a request's head before anything is done with it, token included.
    fn head(&self, _route: Route, _parts: &mut Parts) -> Result<(), Refusal> {
        Ok(())
    }

    /// The bytes of a body before they are parsed.
    fn body(&self, _store: &Store, _route: Route, _parts: &Parts, body: Bytes) -> Result<Bytes, Refusal> {
        Ok(body)
    }

    /// The answer as it leaves.
    fn response(&self, _route: Route, _parts: &Parts, response: Response<Bytes>) -> Response<Bytes> {
        response
    }

    /// The message of a gRPC call before it is read.
    fn call_message(&self, _method: Method, message: Vec<u8>) -> Vec<u8> {
        message
    }

    /// The code of a gRPC call that isn't OK.
    fn call_code(&self, code: Code) -> Code {
        code
    }

    /// How a gRPC call ends: with a message, or with a code.
    fn call_ended(&self, _method: Method, ended: Result<Vec<u8>, Code>) -> Result<Vec<u8>, Code> {
        ended
    }

    /// Whether the messages of gRPC answers are compressed.
    fn compresses_calls(&self) -> bool {
        false
    }

    /// How long a gRPC call waits before it is carried out, whether its caller is still there or not.
    fn call_lasts(&self, _method: Method) -> Option<Duration> {
        None
    }

    /// A gRPC call was reset before it was answered.
    fn call_reset(&self) {}

    /// Whether a message of a gRPC call is taken as far as it came.
    fn takes_cut_messages(&self) -> bool {
        false
    }

    /// Waits for its turn before a request is looked at; what it yields is held until the answer is made.
    fn turn(&self) -> Option<Later<'_, Box<dyn Send>>> {
        None
    }

    /// Waits for its turn before a connection is served; what it yields is held until the connection is closed.
    fn connection_turn(&self) -> Option<Later<'static, Box<dyn Send>>> {
        None
    }

    /// Waits before the answer leaves, when it is nobody's turn any more.
    fn delay(&self) -> Option<Later<'_, ()>> {
        None
    }

    /// The largest body.
    fn max_body(&self, configured: usize) -> usize {
        configured
    }

    /// Whether small segments leave without waiting (TCP_NODELAY).
    fn nodelay(&self) -> bool {
        true
    }

    /// Settings of HTTP.
    fn http(&self, _http: &mut http1::Builder) {}

    /// The byte stream under HTTP.
    fn stream(&self, stream: Box<dyn Stream>) -> Box<dyn Stream> {
        stream
    }
}

/// Everybody at the edge.
pub type Edges = Vec<Arc<dyn Edge>>;

/// In an answer's extensions: close the connection instead of sending it.
#[derive(Clone, Copy, Debug)]
pub struct HangUp;

/// In an answer's extensions: send the body without a Content-Length, which makes HTTP/1.1 send it in chunks.
#[derive(Clone, Copy, Debug)]
pub struct Unsized;

/// A body that doesn't tell its length.
#[derive(Debug)]
pub struct UnsizedBody(pub Option<Bytes>);

impl hyper::body::Body for UnsizedBody {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Poll::Ready(self.0.take().map(|bytes| Ok(Frame::data(bytes))))
    }
}
