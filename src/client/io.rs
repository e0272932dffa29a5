//! The byte stream under HTTP: TCP or TLS, with immediate acknowledgements.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::error::TransportError;

/// How many bytes have gone either way.
#[derive(Debug, Default)]
pub(super) struct Traffic {
    written: AtomicU64,
    read: AtomicU64,
}

impl Traffic {
    /// Bytes that the system has taken, and bytes that came.
    pub(super) fn now(&self) -> (u64, u64) {
        (self.written.load(Ordering::Relaxed), self.read.load(Ordering::Relaxed))
    }

    /// What the end of a connection means by what has gone over the wire since `before`: nothing has left, or it ended idle.
    pub(super) fn judge(&self, (written, read): (u64, u64), used: bool, end: TransportError) -> TransportError {
        let (written_now, read_now) = self.now();
        match end {
            TransportError::Closed { reason, .. } if written_now == written => TransportError::NotSent(reason),
            TransportError::Closed { reason, .. } => TransportError::Closed { reason, idle: used && read_now == read },
            other => other,
        }
    }
}

/// Whether the answers of an origin come in parts, as far as its connections have seen.
#[derive(Debug, Default)]
pub(super) struct Parts {
    seen: AtomicBool,
    reads: AtomicU32,
}

/// So many reads tell whether answers come in parts.
const TELLING: u32 = 100;
/// A read of fewer bytes was the whole of what the server has written at once: it is less than a segment holds.
const PART: usize = 1000;

impl Parts {
    /// Whether reads are to be acknowledged at once.
    fn are_awaited(&self) -> bool {
        self.seen.load(Ordering::Relaxed) || self.reads.fetch_add(1, Ordering::Relaxed) < TELLING
    }
}

/// A TCP stream that counts, acknowledges at once what it has read, and listens on when nobody listens to it.
///
/// Many servers write head and body in two segments without `TCP_NODELAY`: the second one waits until the first is
/// acknowledged, which the kernel delays by some 40 ms on a kept-alive connection. `TCP_QUICKACK` sends a pending
/// acknowledgement now. It isn't sticky, hence it is set after every read, of origins that do so: a system call and a segment
/// each time. Elsewhere than on Linux there is no such option, and the client is merely slower against such servers.
///
/// A server that answers before it has read everything, and closes, makes writing fail while its answer waits to be read.
/// So what can't be written any more is dropped (and not counted), and reading tells how the connection ended.
#[derive(Debug)]
pub(super) struct Tcp {
    stream: TcpStream,
    traffic: Arc<Traffic>,
    deaf: bool,
    parts: Arc<Parts>,
    /// Whether the last read, since something was written, had less than a segment.
    in_part: bool,
}

impl Tcp {
    pub(super) fn new(stream: TcpStream, parts: Arc<Parts>) -> Self {
        Self { stream, traffic: Arc::default(), deaf: false, parts, in_part: false }
    }

    pub(super) fn traffic(&self) -> Arc<Traffic> {
        self.traffic.clone()
    }

    /// Takes note of what was read, and acknowledges it if the server may be waiting for that.
    fn has_read(&mut self, count: usize) {
        self.traffic.read.fetch_add(count as u64, Ordering::Relaxed);
        if self.in_part && count > 0 {
            self.parts.seen.store(true, Ordering::Relaxed);
        }
        self.in_part = (1..PART).contains(&count);
        #[cfg(target_os = "linux")]
        if self.parts.are_awaited() {
            // A refusal only costs speed.
            let _ = socket2::SockRef::from(&self.stream).set_tcp_quickack(true);
        }
    }

    fn wrote(&mut self, result: Poll<io::Result<usize>>, wanted: usize) -> Poll<io::Result<usize>> {
        self.in_part = false;
        match result {
            Poll::Ready(Ok(count)) => {
                self.traffic.written.fetch_add(count as u64, Ordering::Relaxed);
                Poll::Ready(Ok(count))
            }
            Poll::Ready(Err(error)) if is_hang_up(&error) => {
                self.deaf = true;
                Poll::Ready(Ok(wanted))
            }
            other => other,
        }
    }
}

fn is_hang_up(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::BrokenPipe
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::NotConnected
    )
}

impl AsyncRead for Tcp {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let result = Pin::new(&mut self.stream).poll_read(cx, buf);
        if result.is_ready() {
            let count = buf.filled().len() - before;
            self.has_read(count);
        }
        result
    }
}

impl AsyncWrite for Tcp {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if self.deaf {
            return Poll::Ready(Ok(buf.len()));
        }
        let result = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.wrote(result, buf.len())
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.stream).poll_shutdown(cx) {
            Poll::Ready(Err(error)) if is_hang_up(&error) => Poll::Ready(Ok(())),
            other => other,
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let wanted = bufs.iter().map(|buf| buf.len()).sum();
        if self.deaf {
            return Poll::Ready(Ok(wanted));
        }
        let result = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.wrote(result, wanted)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

/// Plain or encrypted.
#[derive(Debug)]
pub(super) struct Stream {
    bytes: Bytes,
    traffic: Arc<Traffic>,
}

#[derive(Debug)]
enum Bytes {
    /// `http`
    Plain(Tcp),
    /// `https`
    Tls(Box<tokio_rustls::client::TlsStream<Tcp>>),
}

impl Stream {
    pub(super) fn plain(tcp: Tcp) -> Self {
        Self { traffic: tcp.traffic(), bytes: Bytes::Plain(tcp) }
    }

    pub(super) fn tls(stream: tokio_rustls::client::TlsStream<Tcp>, traffic: Arc<Traffic>) -> Self {
        Self { bytes: Bytes::Tls(Box::new(stream)), traffic }
    }

    /// From now on, closing it resets the connection: whatever the other side still writes fails.
    pub(super) fn reset_when_closed(&self) {
        let tcp = match &self.bytes {
            Bytes::Plain(tcp) => tcp,
            Bytes::Tls(stream) => stream.get_ref().0,
        };
        // Where that can't be set, the connection ends politely.
        let _ = socket2::SockRef::from(&tcp.stream).set_linger(Some(std::time::Duration::ZERO));
    }

    /// What goes over the wire, encryption and all.
    pub(super) fn traffic(&self) -> Arc<Traffic> {
        self.traffic.clone()
    }
}

macro_rules! delegate {
    ($self:ident, $stream:ident => $call:expr) => {
        match &mut $self.get_mut().bytes {
            Bytes::Plain($stream) => $call,
            Bytes::Tls($stream) => $call,
        }
    };
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        delegate!(self, stream => Pin::new(stream).poll_read(cx, buf))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        delegate!(self, stream => Pin::new(stream).poll_write(cx, buf))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        delegate!(self, stream => Pin::new(stream).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        delegate!(self, stream => Pin::new(stream).poll_shutdown(cx))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        delegate!(self, stream => Pin::new(stream).poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        match &self.bytes {
            Bytes::Plain(stream) => stream.is_write_vectored(),
            Bytes::Tls(stream) => stream.is_write_vectored(),
        }
    }
}
