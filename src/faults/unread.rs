//! A byte stream that makes HTTP believe that requests without a token have no body, so that it stays in the
//! connection; or in which the body of a request is there again after it was refused.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::server::connection::Stream;

/// Longest head that is looked at; what is longer passes unread.
const LONGEST: usize = 64 * 1024;

/// Rewrites `Content-Length` in the heads of vault requests that carry no `Authorization`.
pub struct UnreadBodies {
    inner: Box<dyn Stream>,
    /// Arrived and not yet judged: the start of a head.
    head: Vec<u8>,
    /// Judged and not yet handed on.
    ready: Vec<u8>,
    /// How much of the current body is still to pass.
    body: usize,
    /// The body of the last request, and the start of the answer after which it is to be there again.
    again: Option<(Vec<u8>, &'static str)>,
    ended: bool,
}

impl UnreadBodies {
    /// Over any stream.
    pub fn new(inner: Box<dyn Stream>) -> Self {
        Self { inner, head: Vec::new(), ready: Vec::new(), body: 0, again: None, ended: false }
    }

    /// One in which bodies stay after an answer of a status, which is given as the start of its first line.
    pub fn after(status_line: &'static str, inner: Box<dyn Stream>) -> Self {
        Self { again: Some((Vec::new(), status_line)), ..Self::new(inner) }
    }

    /// Moves what can be judged from `head` to `ready`.
    fn judge(&mut self) {
        loop {
            let passing = self.body.min(self.head.len());
            if let Some((again, _)) = &mut self.again {
                again.extend_from_slice(&self.head[..passing]);
            }
            self.ready.extend(self.head.drain(..passing));
            self.body -= passing;
            let end = self.head.windows(4).position(|window| window == b"\r\n\r\n").map(|at| at + 4);
            let Some(end) = end.filter(|_| self.body == 0) else { break };
            let head = String::from_utf8_lossy(&self.head[..end]).into_owned();
            self.head.drain(..end);
            self.again.iter_mut().for_each(|(again, _)| again.clear());
            let unguarded = self.again.is_none() && head.contains(" /v1/") && header(&head, "authorization").is_none();
            let length = header(&head, "content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
            if unguarded && length > 0 {
                let lines = head
                    .split_inclusive("\r\n")
                    .filter(|line| !line.to_ascii_lowercase().starts_with("content-length:"));
                self.ready.extend(lines.flat_map(str::bytes));
            } else {
                self.body = length;
                self.ready.extend(head.bytes());
            }
        }
        if self.ended || self.head.len() > LONGEST {
            self.ready.append(&mut self.head);
        }
    }
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let mut fields = head.lines().filter_map(|line| line.split_once(':'));
    fields.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
}

impl AsyncRead for UnreadBodies {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        while self.ready.is_empty() && !self.ended {
            let mut bytes = [0; 4096];
            let mut buffer = ReadBuf::new(&mut bytes);
            ready!(Pin::new(&mut self.inner).poll_read(context, &mut buffer))?;
            self.ended = buffer.filled().is_empty();
            let arrived = buffer.filled().to_vec();
            self.head.extend(arrived);
            self.judge();
        }
        let fitting = self.ready.len().min(out.remaining());
        out.put_slice(&self.ready[..fitting]);
        self.ready.drain(..fitting);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for UnreadBodies {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        if let Some((again, status_line)) = &mut this.again
            && bytes.starts_with(status_line.as_bytes())
        {
            this.ready.append(again);
        }
        Pin::new(&mut self.inner).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}
