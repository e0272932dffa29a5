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
    held: Vec<u8>,
}

impl BarrierStream {
    pub(super) fn new(stream: Stream, barrier: Barrier, passing: Option<usize>) -> Self {
        Self { stream, barrier, passing, held: Vec::new() }
    }

    /// Moves held bytes on, as far as they may go now.
    fn pass(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let free = if self.barrier.is_open() {
                self.held.len()
            } else {
                match self.passing {
                    Some(budget) => budget.min(self.held.len()),
                    None => self.held.len().saturating_sub(1),
                }
            };
            if free == 0 {
                return Poll::Ready(Ok(()));
            }
            match Pin::new(&mut self.stream).poll_write(cx, &self.held[..free]) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(written)) => {
                    self.held.drain(..written);
                    if let Some(budget) = &mut self.passing {
                        *budget -= written.min(*budget);
                    }
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

impl AsyncWrite for BarrierStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        // Taken whole; `poll_flush` reports the write done only once everything has passed.
        this.held.extend_from_slice(buf);
        match this.pass(cx) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            _ => Poll::Ready(Ok(buf.len())),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        std::task::ready!(this.pass(cx))?;
        std::task::ready!(Pin::new(&mut this.stream).poll_flush(cx))?;
        if this.held.is_empty() {
            return Poll::Ready(Ok(()));
        }
        this.barrier.wait(cx);
        // Opened in between: try again at once.
        if this.barrier.is_open() {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
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
