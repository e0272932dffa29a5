//! A barrier that the last bytes of a request wait at, over HTTP/1.1 and over gRPC.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::io::Stream;
use crate::ground::lock;

/// A barrier that bytes wait at until it is opened, once and for good.
#[derive(Clone, Default)]
pub(super) struct Barrier(Arc<BarrierState>);

#[derive(Default)]
struct BarrierState {
    open: AtomicBool,
    /// Whether somebody waits here, having written all but what is held back.
    reached: AtomicBool,
    waker: Mutex<Option<Waker>>,
}

impl Barrier {
    pub(super) fn open(&self) {
        self.0.open.store(true, Ordering::Release);
        if let Some(waker) = lock(&self.0.waker).take() {
            waker.wake();
        }
    }

    fn is_open(&self) -> bool {
        self.0.open.load(Ordering::Acquire)
    }

    /// Waits here until it is opened.
    pub(super) async fn passed(&self) {
        std::future::poll_fn(|cx| {
            if self.is_open() {
                return Poll::Ready(());
            }
            self.wait(cx);
            // Opened in between.
            if self.is_open() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    pub(super) fn is_reached(&self) -> bool {
        self.0.reached.load(Ordering::Acquire)
    }

    fn wait(&self, cx: &Context<'_>) {
        *lock(&self.0.waker) = Some(cx.waker().clone());
        self.0.reached.store(true, Ordering::Release);
    }
}

/// A stream that holds back the end of what is written until its barrier opens.
pub(super) struct BarrierStream {
    stream: Stream,
    barrier: Barrier,
    /// How many bytes may pass before the barrier opens; `None` lets everything pass but the very last byte.
    passing: Option<usize>,
    /// The last byte that was written, where it may be the very last one.
    held: Option<u8>,
}

impl BarrierStream {
    pub(super) fn new(stream: Stream, barrier: Barrier, passing: Option<usize>) -> Self {
        Self { stream, barrier, passing, held: None }
    }

    /// Writes the byte that is held back, if there is one.
    fn release(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(byte) = self.held {
            if std::task::ready!(Pin::new(&mut self.stream).poll_write(cx, &[byte]))? == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.held = None;
        }
        Poll::Ready(Ok(()))
    }

    /// Waits for the barrier, when what may pass has left.
    fn wait<T>(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        std::task::ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        self.barrier.wait(cx);
        // Opened in between: try again at once.
        if self.barrier.is_open() {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }
}

impl AsyncWrite for BarrierStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let Some(last) = buf.last() else { return Poll::Ready(Ok(0)) };
        // What is held isn't the very last byte: more follows.
        std::task::ready!(this.release(cx))?;
        let free = match this.passing {
            _ if this.barrier.is_open() => buf.len(),
            Some(0) => return this.wait(cx),
            Some(budget) => budget.min(buf.len()),
            None if buf.len() == 1 => {
                this.held = Some(*last);
                return Poll::Ready(Ok(1));
            }
            None => buf.len() - 1,
        };
        let written = std::task::ready!(Pin::new(&mut this.stream).poll_write(cx, &buf[..free]))?;
        if let Some(budget) = &mut this.passing {
            *budget -= written.min(*budget);
        }
        Poll::Ready(Ok(written))
    }

    // Each part is written by itself; without this, hyper would join head and body in a copy.
    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.held.is_some() && !this.barrier.is_open() {
            return this.wait(cx);
        }
        std::task::ready!(this.release(cx))?;
        Pin::new(&mut this.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl AsyncRead for BarrierStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

/// So many bytes of a body.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a share of a body"
)]
pub(super) fn share_of(body: usize, share: f64) -> usize {
    (body as f64 * share.clamp(0.0, 1.0)) as usize
}
