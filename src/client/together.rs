//! Requests that stop just before they are whole: many that are then finished at the same moment, or one that stays
//! under way while something else happens.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::Instant;

use super::barrier::{Barrier, BarrierStream, share_of};
use super::dial::Deadline;
use super::error::TransportError;
use super::io::Stream;
use super::message::{RawAnswer, RawRequest};
use super::profile::Profile;
use super::transport::Transport;

/// What comes of a request.
pub type Result = std::result::Result<RawAnswer, TransportError>;

type Running = Pin<Box<dyn Future<Output = Result> + Send>>;

/// How many connections are opened at once: small servers listen with a backlog of five, and a refused SYN costs a second.
const CONNECTING: usize = 4;
/// How long the requests get to line up.
const LINE_UP: Duration = Duration::from_secs(1);
/// How long a server gets to take in what was written, before the rest follows.
const SETTLE: Duration = Duration::from_millis(1);

/// What comes of requests that became whole together.
pub struct Together {
    /// When the last bytes were let go.
    pub opened: Instant,
    /// What came of each request, and when.
    pub results: Vec<(Result, Instant)>,
}

impl Transport {
    /// Sends requests so that they become whole at the same moment: each on a connection of its own, all but the last byte
    /// written beforehand. The results are in the order of the requests.
    pub async fn send_together(self: &Arc<Self>, requests: Vec<RawRequest>, bound: Duration) -> Together {
        self.send_together_after(requests, bound, std::future::ready(())).await.1
    }

    /// As [`Self::send_together`], but when the requests are lined up, something else happens first. To a server that serves few
    /// connections at a time a few are sent together, and then the next few.
    pub async fn send_together_after<T>(
        self: &Arc<Self>,
        mut requests: Vec<RawRequest>,
        bound: Duration,
        first: impl Future<Output = T>,
    ) -> (T, Together) {
        let at_once = self.most_at_once().unwrap_or(requests.len()).min(requests.len());
        let rest = requests.split_off(at_once);
        let (done, mut together) = self.released_together(requests, bound, first).await;
        for few in rest.chunks(at_once.max(1)) {
            let (_, more) = self.released_together(few.to_vec(), bound, std::future::ready(())).await;
            together.results.extend(more.results);
        }
        (done, together)
    }

    async fn released_together<T>(
        self: &Arc<Self>,
        requests: Vec<RawRequest>,
        bound: Duration,
        first: impl Future<Output = T>,
    ) -> (T, Together) {
        let mut waiting = Vec::with_capacity(requests.len());
        let deadline = Deadline::after(bound);
        for few in requests.chunks(CONNECTING) {
            let streams = futures_util::future::join_all(few.iter().map(|_| self.open(deadline))).await;
            tokio::time::sleep(SETTLE).await;
            waiting.extend(
                few.iter().zip(streams).map(|(request, stream)| self.gated(request.clone(), stream, None, bound)),
            );
        }
        let mut results: Vec<Option<(Result, Instant)>> = waiting.iter().map(|_| None).collect();
        // One task polls them all, so that the last bytes leave within microseconds of each other.
        let lined_up = tokio::time::timeout(
            bound.min(LINE_UP),
            std::future::poll_fn(|cx| {
                poll_each(&mut waiting, &mut results, cx);
                let ready =
                    waiting.iter().zip(&results).all(|((barrier, _), result)| result.is_some() || barrier.is_reached());
                if ready { Poll::Ready(()) } else { Poll::Pending }
            }),
        );
        // Those that aren't lined up in time (a server that serves one connection at a time) follow as they can.
        let _ = lined_up.await;
        tokio::time::sleep(SETTLE).await;
        let first = first.await;
        let opened = Instant::now();
        waiting.iter().for_each(|(barrier, _)| barrier.open());
        std::future::poll_fn(|cx| {
            poll_each(&mut waiting, &mut results, cx);
            if results.iter().all(Option::is_some) { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        (first, Together { opened, results: results.into_iter().flatten().collect() })
    }

    /// Starts a request and stops after `share` of its body (0.0: the head only). Waits until that much is written, or an
    /// answer has come early.
    pub async fn send_partly(self: &Arc<Self>, request: RawRequest, share: f64, bound: Duration) -> PartlySent {
        let started = Instant::now();
        let (barrier, mut running) = self.gated(request, self.open(Deadline::after(bound)).await, Some(share), bound);
        let early = std::future::poll_fn(|cx| match running.as_mut().poll(cx) {
            Poll::Ready(result) => Poll::Ready(Some(result)),
            Poll::Pending if barrier.is_reached() => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        })
        .await;
        tokio::time::sleep(SETTLE).await;
        PartlySent { barrier, running, early, started }
    }

    /// A request that waits at a barrier: after a share of its body, or else before its last byte.
    fn gated(
        self: &Arc<Self>,
        request: RawRequest,
        stream: std::result::Result<Stream, TransportError>,
        share: Option<f64>,
        bound: Duration,
    ) -> (Barrier, Running) {
        let barrier = Barrier::default();
        let (transport, at) = (self.clone(), barrier.clone());
        let running = Box::pin(async move {
            let stream = stream?;
            if transport.profile() == Profile::Grpc {
                return Deadline::after(bound).limit(transport.call_over(stream, &request, at, share)).await;
            }
            let body = request.body.as_ref().map_or(0, bytes::Bytes::len);
            let passing = share.map(|share| transport.head_length(&request) + share_of(body, share));
            let traffic = stream.traffic();
            let stream = BarrierStream::new(stream, at, passing);
            Deadline::after(bound).limit(transport.send_over(stream, traffic, &request)).await
        });
        (barrier, running)
    }
}

fn poll_each(waiting: &mut [(Barrier, Running)], results: &mut [Option<(Result, Instant)>], cx: &mut Context<'_>) {
    for ((_, running), result) in waiting.iter_mut().zip(results) {
        if result.is_none()
            && let Poll::Ready(done) = running.as_mut().poll(cx)
        {
            *result = Some((done, Instant::now()));
        }
    }
}

/// A request that is under way and not whole.
pub struct PartlySent {
    barrier: Barrier,
    running: Running,
    early: Option<Result>,
    started: Instant,
}

impl PartlySent {
    /// When it was begun.
    pub fn started(&self) -> Instant {
        self.started
    }

    /// Whether the server has answered already, before it had the whole request.
    pub fn answered_early(&self) -> bool {
        self.early.is_some()
    }

    /// Sends the rest and waits for the answer.
    pub async fn finish(self) -> Result {
        self.barrier.open();
        match self.early {
            Some(result) => result,
            None => self.running.await,
        }
    }
}
