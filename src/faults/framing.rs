//! Servers that read HTTP by guesswork (RFC 9110, 9112): lengths, codings, hosts.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::http::Response;
use axum::http::header::{HeaderName, TRANSFER_ENCODING};
use axum::http::request::Parts;
use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::table::*;
use crate::server::connection::Stream;
use crate::server::edge::Edge;
use crate::server::refusal::Refusal;
use crate::server::route::Route;
use crate::server::store::Store;

/// Longest head that is looked at.
const LONGEST: usize = 64 << 10;

/// Rewrites the first head of a connection, and what is written.
struct Rewritten {
    inner: Box<dyn Stream>,
    head: fn(&str) -> Option<String>,
    out: fn(&str, &[u8]) -> Vec<u8>,
    /// Read and not yet handed on.
    waiting: Vec<u8>,
    first: String,
    judged: bool,
}

impl AsyncRead for Rewritten {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        while !self.judged {
            let mut bytes = [0; 4096];
            let mut buffer = ReadBuf::new(&mut bytes);
            ready!(Pin::new(&mut self.inner).poll_read(context, &mut buffer))?;
            let read = buffer.filled().to_vec();
            self.waiting.extend_from_slice(&read);
            let end = self.waiting.windows(4).position(|window| window == b"\r\n\r\n").map(|at| at + 4);
            if let Some(end) = end {
                self.first = String::from_utf8_lossy(&self.waiting[..end]).into_owned();
                if let Some(head) = (self.head)(&self.first) {
                    self.waiting.splice(..end, head.into_bytes());
                }
            }
            self.judged = end.is_some() || read.is_empty() || self.waiting.len() > LONGEST;
        }
        if self.waiting.is_empty() {
            return Pin::new(&mut self.inner).poll_read(context, out);
        }
        let fitting = self.waiting.len().min(out.remaining());
        out.put_slice(&self.waiting[..fitting]);
        self.waiting.drain(..fitting);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Rewritten {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        let written = (self.out)(&self.first, bytes);
        if written.is_empty() {
            return Poll::Ready(Ok(bytes.len()));
        }
        // Heads are small: they are taken whole.
        let taken = ready!(Pin::new(&mut self.inner).poll_write(context, &written))?;
        Poll::Ready(Ok(taken.min(bytes.len())))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

fn rewritten(
    inner: Box<dyn Stream>,
    head: fn(&str) -> Option<String>,
    out: fn(&str, &[u8]) -> Vec<u8>,
) -> Box<dyn Stream> {
    Box::new(Rewritten { inner, head, out, waiting: Vec::new(), first: String::new(), judged: false })
}

fn as_is(_: &str, bytes: &[u8]) -> Vec<u8> {
    bytes.to_vec()
}

/// The lines of a head with some of them changed or left out.
fn lines(head: &str, change: impl Fn(&str) -> Option<String>) -> Option<String> {
    Some(head.split_inclusive("\r\n").filter_map(change).collect())
}

fn starts(line: &str, name: &str) -> bool {
    line.to_ascii_lowercase().starts_with(name)
}

fn last_length(head: &str) -> Option<String> {
    let last = head.split_inclusive("\r\n").filter(|line| starts(line, "content-length:")).last()?;
    lines(head, |line| (!starts(line, "content-length:") || line == last).then(|| line.to_owned()))
}

fn mended_length(head: &str) -> Option<String> {
    let digits = |line: &str| line.chars().filter(char::is_ascii_digit).collect::<String>();
    lines(head, |line| {
        Some(if starts(line, "content-length:") {
            format!("Content-Length: {}\r\n", digits(line))
        } else {
            line.to_owned()
        })
    })
}

fn with_host(head: &str) -> Option<String> {
    let named = head.split_inclusive("\r\n").any(|line| starts(line, "host:"));
    (!named).then(|| head.replacen("\r\n", "\r\nHost: localhost\r\n", 1))
}

fn first_host(head: &str) -> Option<String> {
    let first = head.split_inclusive("\r\n").find(|line| starts(line, "host:"))?;
    let rest = lines(head, |line| (!starts(line, "host:")).then(|| line.to_owned()))?;
    Some(rest.replacen("\r\n", &format!("\r\n{first}"), 1))
}

pub fn says(parts: &Parts, name: HeaderName) -> &str {
    parts.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// The faults of this area.
pub(super) const FAULTS: &[Fault] = &[
    fault("chunked-refused", &FRAMING, "Requests in chunks are refused as malformed.", || edge(ChunkedRefused)),
    fault("chunked-body-lost", &FRAMING, "A body in chunks is taken for an empty one.", || edge(ChunkedBodyLost)),
    fault("expect-unanswered", &FRAMING, "Who waits for 100 Continue waits in vain.", || edge(ExpectUnanswered)),
    fault(
        "offer-to-upgrade-unanswered",
        &HTTP_PROFILE,
        "Who offers to upgrade to h2c gets no answer: the connection is closed.",
        || edge(OfferToUpgradeUnanswered),
    ),
    fault(
        "large-answer-cut-at-close",
        &HTTP_PROFILE,
        "Where the connection closes, what doesn't fit in a buffer of 64 KiB is lost.",
        || edge(LargeAnswerCutAtClose),
    ),
    fault("field-names-in-capitals-unread", &FRAMING, "A header field whose name is in capitals isn't read.", || {
        edge(FieldNamesInCapitalsUnread)
    }),
    fault("two-lengths-last-wins", &FRAMING, "Of two lengths the last one counts.", || edge(TwoLengthsLastWins)),
    fault("length-mended", &FRAMING, "Signs and letters in a length are passed over.", || edge(LengthMended)),
    fault("blank-before-colon", &FRAMING, "A blank between a header's name and its colon is passed over.", || {
        edge(BlankBeforeColon)
    }),
    fault("unknown-coding-ignored", &FRAMING, "A transfer coding that the server doesn't know is ignored.", || {
        edge(UnknownCodingIgnored)
    }),
    fault("no-host-needed", &FRAMING, "A request without Host is served.", || edge(NoHostNeeded)),
    fault("first-of-two-hosts", &FRAMING, "Of two hosts the first one counts.", || edge(FirstOfTwoHosts)),
    fault("head-with-body", &FRAMING, "Answers to HEAD have a body.", || edge(HeadWithBody)),
    fault("body-of-get-left-behind", &FRAMING, "The body of a GET is taken for the next request.", || {
        edge(BodyOfGetLeftBehind)
    }),
];

struct ChunkedRefused;

impl Edge for ChunkedRefused {
    fn head(&self, _: Route, parts: &mut Parts) -> Result<(), Refusal> {
        if parts.headers.contains_key(TRANSFER_ENCODING) { Err(Refusal::bad_request("no length")) } else { Ok(()) }
    }
}

struct ChunkedBodyLost;

impl Edge for ChunkedBodyLost {
    fn body(&self, _: &Store, _: Route, parts: &Parts, body: Bytes) -> Result<Bytes, Refusal> {
        Ok(if parts.headers.contains_key(TRANSFER_ENCODING) { Bytes::new() } else { body })
    }
}

struct ExpectUnanswered;

impl Edge for ExpectUnanswered {
    fn stream(&self, stream: Box<dyn Stream>) -> Box<dyn Stream> {
        rewritten(
            stream,
            |_| None,
            |_, bytes| if bytes.starts_with(b"HTTP/1.1 100") { Vec::new() } else { bytes.to_vec() },
        )
    }
}

struct OfferToUpgradeUnanswered;

impl Edge for OfferToUpgradeUnanswered {
    fn response(&self, _: Route, parts: &Parts, mut response: Response<Bytes>) -> Response<Bytes> {
        if says(parts, axum::http::header::UPGRADE) == "h2c" {
            response.extensions_mut().insert(crate::server::edge::HangUp);
        }
        response
    }
}

struct LargeAnswerCutAtClose;

impl Edge for LargeAnswerCutAtClose {
    fn response(&self, _: Route, parts: &Parts, response: Response<Bytes>) -> Response<Bytes> {
        let closes = says(parts, axum::http::header::CONNECTION).eq_ignore_ascii_case("close");
        response.map(|body| if closes { body.slice(..body.len().min(64 << 10)) } else { body })
    }
}

struct FieldNamesInCapitalsUnread;

impl Edge for FieldNamesInCapitalsUnread {
    fn stream(&self, stream: Box<dyn Stream>) -> Box<dyn Stream> {
        rewritten(
            stream,
            |head| lines(head, |line| (!line.starts_with("AUTHORIZATION:")).then(|| line.to_owned())),
            as_is,
        )
    }
}

struct TwoLengthsLastWins;

impl Edge for TwoLengthsLastWins {
    fn stream(&self, stream: Box<dyn Stream>) -> Box<dyn Stream> {
        rewritten(stream, last_length, as_is)
    }
}

struct LengthMended;

impl Edge for LengthMended {
    fn stream(&self, stream: Box<dyn Stream>) -> Box<dyn Stream> {
        rewritten(stream, mended_length, as_is)
    }
}

struct BlankBeforeColon;

impl Edge for BlankBeforeColon {
    fn stream(&self, stream: Box<dyn Stream>) -> Box<dyn Stream> {
        rewritten(stream, |head| Some(head.replace(" :", ":")), as_is)
    }
}

struct UnknownCodingIgnored;

impl Edge for UnknownCodingIgnored {
    fn stream(&self, stream: Box<dyn Stream>) -> Box<dyn Stream> {
        rewritten(
            stream,
            |head| lines(head, |line| (!starts(line, "transfer-encoding: x")).then(|| line.to_owned())),
            as_is,
        )
    }
}

struct NoHostNeeded;

impl Edge for NoHostNeeded {
    fn stream(&self, stream: Box<dyn Stream>) -> Box<dyn Stream> {
        rewritten(stream, with_host, as_is)
    }
}

struct FirstOfTwoHosts;

impl Edge for FirstOfTwoHosts {
    fn stream(&self, stream: Box<dyn Stream>) -> Box<dyn Stream> {
        rewritten(stream, first_host, as_is)
    }
}

struct HeadWithBody;

impl Edge for HeadWithBody {
    fn stream(&self, stream: Box<dyn Stream>) -> Box<dyn Stream> {
        rewritten(
            stream,
            |_| None,
            |head, bytes| {
                let due = head.starts_with("HEAD ") && bytes.ends_with(b"\r\n\r\n");
                if due { [bytes, &b"{}"[..]].concat() } else { bytes.to_vec() }
            },
        )
    }
}

struct BodyOfGetLeftBehind;

impl Edge for BodyOfGetLeftBehind {
    fn stream(&self, stream: Box<dyn Stream>) -> Box<dyn Stream> {
        rewritten(
            stream,
            |head| {
                let bodiless = head.starts_with("GET ");
                bodiless.then(|| lines(head, |line| (!starts(line, "content-length:")).then(|| line.to_owned())))?
            },
            as_is,
        )
    }
}
