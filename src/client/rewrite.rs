//! Requests that are written otherwise than hyper writes them: cut off, in pieces, with other header names.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::dial::Deadline;
use super::error::TransportError;
use super::io::Stream;
use super::message::{RawAnswer, RawRequest};
use super::transport::Transport;

/// How the bytes of a request are changed on their way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rewrite {
    /// Header names in capitals.
    Capitals,
    /// In pieces of a few bytes.
    Pieces,
    /// Half of it, and then the end of the stream.
    Truncated,
    /// The same request once more, right behind it.
    Twice,
}

/// Largest piece of [`Rewrite::Pieces`], in bytes.
const PIECE: usize = 7;
/// So many pieces are enough; the rest follows in one.
const PIECES: usize = 60;

/// A stream that rewrites what is written until the first flush, which for small requests is all of it.
struct Rewriting {
    stream: Stream,
    rewrite: Rewrite,
    written: Vec<u8>,
    rewritten: bool,
    pieces: usize,
    ended: bool,
}

impl Rewriting {
    fn rewrite(&mut self) {
        self.rewritten = true;
        match self.rewrite {
            Rewrite::Capitals => capitals(&mut self.written),
            Rewrite::Pieces => self.pieces = PIECES,
            Rewrite::Truncated => self.written.truncate(self.written.len() / 2),
            Rewrite::Twice => self.written.extend_from_within(..),
        }
    }

    fn pass(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.written.is_empty() {
            let size = if self.pieces > 0 { PIECE.min(self.written.len()) } else { self.written.len() };
            self.pieces = self.pieces.saturating_sub(1);
            let count = std::task::ready!(Pin::new(&mut self.stream).poll_write(cx, &self.written[..size]))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.written.drain(..count);
        }
        Poll::Ready(Ok(()))
    }
}

/// The names of a request's headers in capitals.
fn capitals(request: &mut [u8]) {
    let head = request.windows(4).position(|four| four == b"\r\n\r\n").unwrap_or(request.len());
    for line in request[..head].split_mut(|byte| *byte == b'\n').skip(1) {
        let name = line.iter().position(|byte| *byte == b':').unwrap_or(0);
        line[..name].make_ascii_uppercase();
    }
}

impl AsyncWrite for Rewriting {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.written.extend_from_slice(buf);
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if !this.rewritten && !this.written.is_empty() {
            this.rewrite();
        }
        std::task::ready!(this.pass(cx))?;
        std::task::ready!(Pin::new(&mut this.stream).poll_flush(cx))?;
        if this.rewritten && this.rewrite == Rewrite::Truncated && !this.ended {
            std::task::ready!(Pin::new(&mut this.stream).poll_shutdown(cx))?;
            this.ended = true;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl AsyncRead for Rewriting {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl Transport {
    /// Sends a request on a connection of its own, rewritten, and waits at most `bound` for the first answer.
    ///
    /// # Errors
    /// [`TransportError`].
    pub async fn send_rewritten(
        &self,
        request: &RawRequest,
        rewrite: Rewrite,
        bound: Duration,
    ) -> Result<RawAnswer, TransportError> {
        let deadline = Deadline::after(bound);
        let stream = self.open(deadline).await?;
        let traffic = stream.traffic();
        let stream = Rewriting { stream, rewrite, written: Vec::new(), rewritten: false, pieces: 0, ended: false };
        deadline.limit(self.send_over(stream, traffic, request)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_headers_are_in_capitals() {
        let mut request = b"POST /a:b HTTP/1.1\r\nhost: h\r\nx-y: z:z\r\n\r\nbody: b\r\n".to_vec();
        capitals(&mut request);
        assert_eq!(request, b"POST /a:b HTTP/1.1\r\nHOST: h\r\nX-Y: z:z\r\n\r\nbody: b\r\n");
    }
}
