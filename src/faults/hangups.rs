//! What goes wrong when a client hangs up: half a write, somebody else's answer, locks and places that are never given
//! back.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::http::Response;
use axum::http::request::Parts;
use bytes::Bytes;
use hyper::server::conn::http1;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::table::*;
use super::tools::lock;
use crate::server::connection::Stream;
use crate::server::edge::Edge;
use crate::server::operations;
use crate::server::refusal::Refusal;
use crate::server::repo::{Repo, Success, Visit};
use crate::server::route::Route;
use crate::server::rules::{Later, VaultRules};
use crate::server::store::Store;

/// What is done when a client has gone, with what was read of its last request.
type Gone = Box<dyn FnOnce(&[u8]) + Send>;

/// A byte stream that notices how its client leaves.
struct Watched {
    inner: Box<dyn Stream>,
    /// Called once, when the client is found to be gone while an answer is due.
    gone: Option<Gone>,
    /// The beginning of the last request's bytes that were read.
    read: Vec<u8>,
    answered: bool,
}

impl Watched {
    fn leave(&mut self) {
        if let Some(gone) = self.gone.take() {
            gone(&self.read);
        }
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let before = out.filled().len();
        let result = Pin::new(&mut self.inner).poll_read(context, out);
        match &result {
            Poll::Ready(Ok(())) if out.filled().len() > before => {
                if self.answered {
                    self.read.clear();
                    self.answered = false;
                }
                let room = (64_usize << 10).saturating_sub(self.read.len());
                let new = &out.filled()[before..];
                self.read.extend_from_slice(&new[..new.len().min(room)]);
            }
            Poll::Ready(Ok(()) | Err(_)) if !self.read.is_empty() && !self.answered => self.leave(),
            Poll::Ready(Err(_)) => self.leave(),
            _ => {}
        }
        result
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        self.answered = true;
        let result = Pin::new(&mut self.inner).poll_write(context, bytes);
        if matches!(result, Poll::Ready(Err(_))) {
            self.leave();
        }
        result
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

fn watched(inner: Box<dyn Stream>, gone: impl FnOnce(&[u8]) + Send + 'static) -> Box<dyn Stream> {
    Box::new(Watched { inner, gone: Some(Box::new(gone)), read: Vec::new(), answered: false })
}

/// Whether what was read of a request ends before its body does.
fn is_partial(read: &[u8]) -> bool {
    let text = String::from_utf8_lossy(read).to_ascii_lowercase();
    let Some((head, _)) = text.split_once("\r\n\r\n") else { return true };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok());
    length.is_some_and(|length| read.len() < head.len() + 4 + length)
}

/// A place that is taken for each request and given back with its answer, or never.
#[derive(Clone)]
struct Places(Arc<tokio::sync::Semaphore>);

impl Default for Places {
    fn default() -> Self {
        Self(Arc::new(tokio::sync::Semaphore::new(16)))
    }
}

/// The last answer that nobody took, for whoever asks next.
#[derive(Clone, Default)]
struct Leftovers {
    answers: Arc<Mutex<VecDeque<Bytes>>>,
    gone: Arc<AtomicUsize>,
}

/// A write in two steps under a lock, whose handler is dropped when its client leaves between them.
struct InSteps {
    lock: tokio::sync::Mutex<()>,
    route: Route,
    half: fn(Repo, &Repo) -> Repo,
}

impl Edge for InSteps {
    fn http(&self, http: &mut http1::Builder) {
        http.half_close(false);
    }
}

impl VaultRules for InSteps {
    fn execute<'a>(&'a self, store: &'a Store, visit: &'a Visit) -> Later<'a, Result<Success, Refusal>> {
        Box::pin(async move {
            let _turn = self.lock.lock().await;
            let load = || -> Result<Option<Repo>, Refusal> { store.read(|tx| Ok(tx.load(&visit.repo_id)?)) };
            let before = load()?;
            let answer = operations::execute(self, store, visit)?;
            if let (true, Some(after)) = (visit.route == self.route, load()?)
                && before.as_ref() != Some(&after)
            {
                // A creation has nothing before it.
                let half = (self.half)(before.unwrap_or_else(|| after.clone()), &after);
                store.write(|tx| -> Result<(), Refusal> { Ok(tx.put(&half)?) })?;
                tokio::time::sleep(Duration::from_millis(2)).await;
                store.write(|tx| -> Result<(), Refusal> { Ok(tx.put(&after)?) })?;
            }
            Ok(answer)
        })
    }
}

/// A byte stream that ends where one answer in so many would begin.
struct Losing {
    stream: Box<dyn Stream>,
    answers: Arc<AtomicUsize>,
}

/// One answer in so many is lost.
const LOST_ONE_IN: usize = 12;

impl AsyncRead for Losing {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, into)
    }
}

impl AsyncWrite for Losing {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        if bytes.starts_with(b"HTTP/1.1 ")
            && self.answers.fetch_add(1, Ordering::Relaxed) % LOST_ONE_IN == LOST_ONE_IN - 1
        {
            return Poll::Ready(Err(std::io::ErrorKind::BrokenPipe.into()));
        }
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// The faults of this area.
pub(super) const FAULTS: &[Fault] = &[
    fault(
        "answers-get-lost",
        &ANSWERED,
        "Every twelfth request is carried out, and its connection closed without an answer.",
        || edge(AnswersGetLost::default()),
    ),
    fault(
        "hangup-answer-for-the-next",
        &ANSWERS_TO_ASKERS,
        "An answer whose client has gone is given to whoever asks next.",
        || edge(HangupAnswerForTheNext::default()),
    ),
    fault(
        "hangup-reset-mixes-answers",
        &ANSWERS_TO_ASKERS,
        "After a connection was reset, the next pull on another one gets the answer that was meant for it.",
        || edge(HangupResetMixesAnswers::default()),
    ),
    fault(
        "hangup-keeps-place",
        &HANGUPS_SURVIVED,
        "Each client that hangs up takes a place with it; after sixteen there is none left.",
        || edge(HangupKeepsPlace::default()),
    ),
    fault(
        "hangup-keeps-lock",
        &HANGUPS_SURVIVED,
        "A write whose client hangs up in its middle keeps the lock on all writes.",
        || edge_and_vault(HangupKeepsLock::default()),
    ),
    fault(
        "hangup-removal-in-steps",
        &REMOVE_ATOMIC,
        "A removal whose client has gone stops half-way: the roster is new, envelope and epoch are old.",
        || {
            edge_and_vault(InSteps {
                lock: tokio::sync::Mutex::new(()),
                route: Route::RemoveMember,
                half: |before, after| {
                    let mut half = before;
                    half.manifest.members.clone_from(&after.manifest.members);
                    half
                },
            })
        },
    ),
    fault(
        "hangup-creation-in-steps",
        &CREATE_RETURNS,
        "A createRepo whose client has gone stops half-way: the payload is still empty.",
        || {
            edge_and_vault(InSteps {
                lock: tokio::sync::Mutex::new(()),
                route: Route::CreateRepo,
                half: |mut half, _| {
                    half.envelope.ciphertext.clear();
                    half
                },
            })
        },
    ),
    fault(
        "hangup-rotation-in-steps",
        &PUSH_REFUSED_WHOLE,
        "A rotating push whose client has gone stops half-way: the envelope is new, the manifest is old.",
        || {
            edge_and_vault(InSteps {
                lock: tokio::sync::Mutex::new(()),
                route: Route::Push,
                half: |before, after| {
                    let rotates = after.manifest.key_epoch != before.manifest.key_epoch;
                    if rotates { Repo { envelope: after.envelope.clone(), ..before } } else { after.clone() }
                },
            })
        },
    ),
    fault(
        "hangup-push-in-steps",
        &PUSH_REFUSED_WHOLE,
        "A push whose client has gone stops half-way: the version is new, the envelope is old.",
        || {
            edge_and_vault(InSteps {
                lock: tokio::sync::Mutex::new(()),
                route: Route::Push,
                half: |before, after| Repo { envelope: before.envelope, ..after.clone() },
            })
        },
    ),
];

#[derive(Default)]
struct AnswersGetLost {
    answers: Arc<AtomicUsize>,
}

impl Edge for AnswersGetLost {
    fn stream(&self, stream: Box<dyn Stream>) -> Box<dyn Stream> {
        Box::new(Losing { stream, answers: Arc::clone(&self.answers) })
    }
}

#[derive(Default)]
struct HangupAnswerForTheNext {
    left: Leftovers,
}

impl Edge for HangupAnswerForTheNext {
    fn stream(&self, stream: Box<dyn Stream>) -> Box<dyn Stream> {
        let left = self.left.clone();
        watched(stream, move |_| {
            left.gone.fetch_add(1, Ordering::SeqCst);
        })
    }

    fn response(&self, route: Route, _: &Parts, response: Response<Bytes>) -> Response<Bytes> {
        if !matches!(route, Route::Pull | Route::FetchMemberKey) || !response.status().is_success() {
            return response;
        }
        let mut answers = lock(&self.left.answers);
        answers.push_back(response.body().clone());
        // As many answers as clients have gone are still in the pipe, before one's own.
        let behind = self.left.gone.load(Ordering::SeqCst).min(8);
        while answers.len() > behind + 1 {
            answers.pop_front();
        }
        let due = answers.front().cloned().unwrap_or_default();
        response.map(|_| due)
    }
}

#[derive(Default)]
struct HangupResetMixesAnswers {
    last: Arc<Mutex<Option<Bytes>>>,
    stale: Arc<Mutex<Option<Bytes>>>,
}

impl Edge for HangupResetMixesAnswers {
    fn stream(&self, stream: Box<dyn Stream>) -> Box<dyn Stream> {
        let (last, stale) = (Arc::clone(&self.last), Arc::clone(&self.stale));
        watched(stream, move |_| *lock(&stale) = lock(&last).clone())
    }

    fn response(&self, route: Route, _: &Parts, response: Response<Bytes>) -> Response<Bytes> {
        if route != Route::Pull || !response.status().is_success() {
            return response;
        }
        *lock(&self.last) = Some(response.body().clone());
        match lock(&self.stale).take() {
            Some(stale) => response.map(|_| stale),
            None => response,
        }
    }
}

#[derive(Default)]
struct HangupKeepsPlace {
    places: Places,
}

impl Edge for HangupKeepsPlace {
    fn stream(&self, stream: Box<dyn Stream>) -> Box<dyn Stream> {
        let places = self.places.clone();
        watched(stream, move |_| {
            if let Ok(place) = places.0.try_acquire() {
                place.forget()
            }
        })
    }

    fn turn(&self) -> Option<Later<'_, Box<dyn Send>>> {
        let places = Arc::clone(&self.places.0);
        Some(Box::pin(async move { Box::new(places.acquire_owned().await) as Box<dyn Send> }))
    }
}

#[derive(Default)]
struct HangupKeepsLock {
    stuck: Arc<AtomicUsize>,
}

impl Edge for HangupKeepsLock {
    fn stream(&self, stream: Box<dyn Stream>) -> Box<dyn Stream> {
        let stuck = Arc::clone(&self.stuck);
        watched(stream, move |read| {
            let text = String::from_utf8_lossy(read);
            if is_partial(read) && text.contains("/push ") {
                stuck.store(1, Ordering::SeqCst);
            }
        })
    }
}

impl VaultRules for HangupKeepsLock {
    fn execute<'a>(&'a self, store: &'a Store, visit: &'a Visit) -> Later<'a, Result<Success, Refusal>> {
        Box::pin(async move {
            if visit.route.writes() && self.stuck.load(Ordering::SeqCst) > 0 {
                std::future::pending::<()>().await;
            }
            operations::execute(self, store, visit)
        })
    }
}
