//! A request and an answer, whole, before and after they are on the wire.

use std::io::Read as _;

use bytes::Bytes;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode};

use crate::wire::proto::Code;

/// A whole answer.
#[derive(Clone, Debug)]
pub struct RawAnswer {
    /// Status code.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    /// Body; gzip is undone, as HTTP libraries do without a word. Of a gRPC call, the message as JSON, or else `grpc-message`.
    pub body: Bytes,
    /// How the call ended, where it was one.
    pub grpc: Option<GrpcStatus>,
    /// Whether a byte order mark stood before the body, which is without it.
    pub marked: bool,
}

/// How a gRPC call ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrpcStatus {
    /// `grpc-status`.
    pub code: Code,
    /// `grpc-message`, decoded.
    pub message: String,
}

impl RawAnswer {
    /// The answer without the byte order mark that its body may begin with: that one is there is told once, and everything else can
    /// be judged all the same.
    #[must_use]
    pub fn unmarked(mut self) -> Self {
        if self.body.starts_with(b"\xef\xbb\xbf") {
            self.body = self.body.slice(3..);
            self.marked = true;
        }
        self
    }

    /// The answer with its gzip undone. Who asks for no coding in particular may get any (RFC 9110 §12.5.3); what isn't what it says
    /// stays as it came, and so does what would be longer than `limit`.
    pub fn plain(self, limit: usize) -> Self {
        let coding = self.headers.get(http::header::CONTENT_ENCODING).map(HeaderValue::as_bytes);
        if !coding.is_some_and(|coding| coding.eq_ignore_ascii_case(b"gzip") || coding.eq_ignore_ascii_case(b"x-gzip"))
        {
            return self;
        }
        match gunzipped(&self.body, limit) {
            Some(body) => Self { body: body.into(), ..self },
            None => self,
        }
    }
}

/// What gzip makes smaller, if it is at most `limit` bytes.
pub(super) fn gunzipped(bytes: &[u8], limit: usize) -> Option<Vec<u8>> {
    let mut plain = Vec::new();
    let reader = flate2::read::MultiGzDecoder::new(bytes);
    let length = reader.take(limit as u64 + 1).read_to_end(&mut plain).ok()?;
    (length <= limit).then_some(plain)
}

/// One request, ready to be sent any number of times.
#[derive(Clone, Debug)]
pub struct RawRequest {
    /// Method.
    pub method: Method,
    /// Path and query, percent-encoded, without the origin's prefix.
    pub path: String,
    /// Headers besides Host and the deployment's, of which they replace those of the same name.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Body; `None` sends neither body nor Content-Length.
    pub body: Option<Bytes>,
    /// Longest body of an answer that is read, in bytes.
    pub answer_limit: usize,
}
