//! HTTP/1.1 by hand: the bytes of a request exactly as a check wants them, also those that no HTTP library would write, and
//! connections that end where a check wants them to. Every wait and every buffer is bounded.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::{Instant, timeout_at};

use super::dial::Deadline;
use super::error::TransportError;
use super::io::Stream;
use super::message::RawAnswer;
use super::transport::Transport;

/// Longest head of an answer that is read, in bytes.
const MAX_HEAD: usize = 128 * 1024;
/// Most interim answers (1xx) before the final one.
const MAX_INTERIM: usize = 8;

/// A connection that says what it is told to.
pub struct RawConnection {
    stream: Stream,
    /// Read and not yet taken for an answer.
    buffer: Vec<u8>,
    ended: bool,
    bound: Duration,
}

/// An answer, and what HTTP libraries keep to themselves about it.
#[derive(Clone, Debug)]
pub struct RawReply {
    /// Status, headers, body (chunks put together, no content encoding undone).
    pub answer: RawAnswer,
    /// Statuses of the interim answers before it.
    pub interim: Vec<u16>,
    /// Whether another request may follow on the connection.
    pub reusable: bool,
}

impl Transport {
    /// Opens a connection for requests by hand; `bound` is for each step on it.
    ///
    /// # Errors
    /// [`TransportError`] when nobody is there in time.
    pub async fn raw(&self, bound: Duration) -> Result<RawConnection, TransportError> {
        let stream = self.open(Deadline::after(bound)).await?;
        Ok(RawConnection { stream, buffer: Vec::new(), ended: false, bound })
    }

    /// The start of a request: its first line, `Host` unless told otherwise (`Some("")`: none at all), and the headers of the
    /// deployment. More headers and the blank line are to follow.
    pub fn raw_head(&self, method: &str, target: &str, host: Option<&str>) -> Vec<u8> {
        let mut head = format!("{method} {target} HTTP/1.1\r\n").into_bytes();
        match host.unwrap_or(self.authority()) {
            "" => {}
            host => head.extend_from_slice(format!("Host: {host}\r\n").as_bytes()),
        }
        for header in self.deployment_headers() {
            head.extend_from_slice(header.name.as_str().as_bytes());
            head.extend_from_slice(b": ");
            head.extend_from_slice(header.value.as_bytes());
            head.extend_from_slice(b"\r\n");
        }
        head
    }
}

impl RawConnection {
    /// Writes bytes.
    ///
    /// # Errors
    /// [`TransportError::Timeout`], or [`TransportError::Closed`] when the other side is gone.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), TransportError> {
        let writing = async {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await
        };
        match tokio::time::timeout(self.bound, writing).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(closed(error.to_string())),
            Err(_) => Err(TransportError::Timeout(self.bound)),
        }
    }

    /// Writes a whole request and reads the answer; `is_head` when it is one to HEAD, which has no body. A server may answer
    /// and close before it has read everything, so that an error in writing isn't yet the end.
    ///
    /// # Errors
    /// [`TransportError`] when no whole answer comes.
    pub async fn exchange(&mut self, request: &[u8], is_head: bool, limit: usize) -> Result<RawReply, TransportError> {
        if let Err(error @ TransportError::Timeout(_)) = self.write(request).await {
            return Err(error);
        }
        self.read(is_head, limit).await
    }

    /// Reads the next answer.
    ///
    /// # Errors
    /// [`TransportError`] when no whole answer comes.
    pub async fn read(&mut self, is_head: bool, limit: usize) -> Result<RawReply, TransportError> {
        let deadline = Instant::now() + self.bound;
        let mut interim = Vec::new();
        loop {
            let head = self.read_head(deadline).await?;
            let code = head.status.as_u16();
            if (100..200).contains(&code) && code != 101 && interim.len() < MAX_INTERIM {
                interim.push(code);
                continue;
            }
            let (body, delimited) = self.read_body(&head, is_head, limit, deadline).await?;
            let reusable = delimited && head.keeps_alive && code != 101 && !self.ended;
            let answer =
                RawAnswer { status: head.status, headers: head.headers, body, grpc: None, marked: false }.unmarked();
            return Ok(RawReply { answer, interim, reusable });
        }
    }

    /// Waits until at least one byte of an answer is there.
    pub async fn first_byte(&mut self) -> bool {
        if self.buffer.is_empty() {
            let _ = self.more(Instant::now() + self.bound).await;
        }
        !self.buffer.is_empty()
    }

    /// Whether anything more arrives within `wait`.
    pub async fn says_more(&mut self, wait: Duration) -> bool {
        if self.buffer.is_empty() && !self.ended {
            let _ = self.more(Instant::now() + wait).await;
        }
        !self.buffer.is_empty()
    }

    /// Whether nothing has come that wasn't asked for, and the other side hasn't closed: what lies here already would be taken for the
    /// answer to the next request.
    pub async fn is_quiet(&mut self) -> bool {
        !self.says_more(Duration::ZERO).await && !self.ended
    }

    /// Ends the connection at once and impolitely: a reset, which fails whatever the server still writes.
    pub fn reset(self) {
        self.stream.reset_when_closed();
    }

    async fn more(&mut self, deadline: Instant) -> Result<(), TransportError> {
        if self.ended {
            return Err(closed("no more data".into()));
        }
        self.buffer.reserve(16 * 1024);
        match timeout_at(deadline, self.stream.read_buf(&mut self.buffer)).await {
            Err(_) => Err(TransportError::Timeout(self.bound)),
            Ok(Ok(read)) => {
                self.ended = read == 0;
                Ok(())
            }
            Ok(Err(error)) => {
                self.ended = true;
                Err(closed(error.to_string()))
            }
        }
    }

    async fn read_head(&mut self, deadline: Instant) -> Result<Head, TransportError> {
        loop {
            if let Some(end) = self.buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                let head = Head::parse(&self.buffer[..end]);
                self.buffer.drain(..end + 4);
                return head.ok_or_else(|| TransportError::NotHttp("the head can't be read".into()));
            }
            if self.buffer.len() > MAX_HEAD {
                return Err(TransportError::NotHttp(format!("a head of more than {MAX_HEAD} bytes")));
            }
            if self.ended {
                let began = !self.buffer.is_empty();
                let how = if began { "in the middle of a head" } else { "before an answer began" };
                return Err(closed(how.into()));
            }
            self.more(deadline).await?;
        }
    }

    /// The body, and whether its end was told by something else than the end of the connection.
    async fn read_body(
        &mut self,
        head: &Head,
        is_head: bool,
        limit: usize,
        deadline: Instant,
    ) -> Result<(Bytes, bool), TransportError> {
        let code = head.status.as_u16();
        if is_head || code < 200 || code == 204 || code == 304 {
            return Ok((Bytes::new(), true));
        }
        loop {
            let whole = match head.framing {
                Framing::Length(length) if self.buffer.len() >= length => {
                    Some((self.buffer[..length].to_vec(), length))
                }
                Framing::Length(_) => None,
                Framing::Chunked => dechunk(&self.buffer)?,
                Framing::Close if self.ended => {
                    let all = std::mem::take(&mut self.buffer);
                    return Ok((all.into(), false));
                }
                Framing::Close => None,
            };
            if let Some((body, consumed)) = whole {
                self.buffer.drain(..consumed);
                return Ok((body.into(), true));
            }
            if self.buffer.len() > limit {
                return Err(TransportError::TooLarge(limit));
            }
            if self.ended {
                return Err(closed("in the middle of a body".into()));
            }
            self.more(deadline).await?;
        }
    }
}

fn closed(reason: String) -> TransportError {
    TransportError::Closed { reason, idle: false }
}

enum Framing {
    Length(usize),
    Chunked,
    Close,
}

struct Head {
    status: StatusCode,
    headers: HeaderMap,
    framing: Framing,
    keeps_alive: bool,
}

impl Head {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let mut lines = bytes.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
        let first = std::str::from_utf8(lines.next()?).ok()?;
        let (version, rest) = first.split_once(' ')?;
        let modern = match version {
            "HTTP/1.1" => true,
            "HTTP/1.0" => false,
            _ => return None,
        };
        let status = StatusCode::from_bytes(rest.get(..3)?.as_bytes()).ok()?;
        let mut headers = HeaderMap::new();
        for line in lines {
            let colon = line.iter().position(|byte| *byte == b':')?;
            let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
            let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) else {
                continue;
            };
            headers.append(name, value);
        }
        let says = |name: HeaderName, word: &str| {
            let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
            values.flat_map(|value| value.split(',')).any(|token| token.trim().eq_ignore_ascii_case(word))
        };
        let length = headers.get(http::header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
        let framing = if says(http::header::TRANSFER_ENCODING, "chunked") {
            Framing::Chunked
        } else {
            length.map_or(Framing::Close, Framing::Length)
        };
        let keeps_alive = if modern {
            !says(http::header::CONNECTION, "close")
        } else {
            says(http::header::CONNECTION, "keep-alive")
        };
        Some(Self { status, headers, framing, keeps_alive })
    }
}

/// The chunks of a body put together, and how many bytes they took; `None` while they aren't all there.
fn dechunk(bytes: &[u8]) -> Result<Option<(Vec<u8>, usize)>, TransportError> {
    let broken = || TransportError::NotHttp("a chunk can't be read".into());
    let (mut body, mut at) = (Vec::new(), 0);
    loop {
        let Some(end) = line_end(bytes, at) else { return Ok(None) };
        let line = std::str::from_utf8(&bytes[at..end]).map_err(|_| broken())?;
        let size =
            usize::from_str_radix(line.split(';').next().unwrap_or_default().trim(), 16).map_err(|_| broken())?;
        at = end + 2;
        if size == 0 {
            // Trailers, up to a blank line.
            while let Some(end) = line_end(bytes, at) {
                let blank = end == at;
                at = end + 2;
                if blank {
                    return Ok(Some((body, at)));
                }
            }
            return Ok(None);
        }
        let Some(chunk) = at.checked_add(size).and_then(|end| bytes.get(at..end)) else { return Ok(None) };
        body.extend_from_slice(chunk);
        at += size;
        match bytes.get(at..at + 2) {
            None => return Ok(None),
            Some(b"\r\n") => at += 2,
            Some(_) => return Err(broken()),
        }
    }
}

fn line_end(bytes: &[u8], from: usize) -> Option<usize> {
    bytes.get(from..)?.windows(2).position(|window| window == b"\r\n").map(|at| from + at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_tell_how_the_body_ends() {
        let parse = |text: &str| Head::parse(text.replace('\n', "\r\n").as_bytes());
        let head = parse("HTTP/1.1 200 OK\nContent-Length: 12\nX: a\nX: b").unwrap();
        assert!(matches!(head.framing, Framing::Length(12)) && head.keeps_alive && head.headers.len() == 3);
        let head = parse("HTTP/1.1 404\nTransfer-Encoding: gzip, Chunked\nConnection: x, Close").unwrap();
        assert!(matches!(head.framing, Framing::Chunked) && !head.keeps_alive);
        let head = parse("HTTP/1.0 200 Fine").unwrap();
        assert!(matches!(head.framing, Framing::Close) && !head.keeps_alive);
        for broken in ["", "HTTP/1.1", "HTTP/2 200 OK", "HTTP/1.1 abc", "HTTP/1.1 200 OK\nno colon", "hello"] {
            assert!(parse(broken).is_none(), "{broken:?}");
        }
    }

    #[test]
    fn chunks_are_put_together() {
        let whole = b"3;a=b\r\nabc\r\n2\r\nde\r\n0\r\nT: x\r\n\r\nnext";
        let (body, consumed) = dechunk(whole).unwrap().unwrap();
        assert_eq!((body.as_slice(), &whole[consumed..]), (&b"abcde"[..], &b"next"[..]));
        for cut in 0..consumed {
            assert!(dechunk(&whole[..cut]).unwrap().is_none(), "{cut}");
        }
        for broken in [&b"x\r\n"[..], b"3\r\nabcd\r\n", b"\xff\r\n", b"-1\r\n"] {
            assert!(dechunk(broken).is_err(), "{broken:?}");
        }
        assert!(dechunk(b"ffffffffffffffff\r\nabc").unwrap().is_none());
    }
}
