//! What is kept where the next request finds it: the caller, the repository or the answer of somebody who asks at the
//! same moment.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::http::request::Parts;
use axum::http::{Response, StatusCode};
use bytes::Bytes;

use super::races::{Done, WINDOW, conformant};
use super::table::*;
use super::tools::{gap, lock};
use crate::server::edge::Edge;
use crate::server::redemption::{self, Authority};
use crate::server::refusal::Refusal;
use crate::server::repo::{Success, Visit};
use crate::server::route::Route;
use crate::server::rules::{IdentityRules, Later, VaultRules};
use crate::server::store::Store;
use crate::wire::{TokenRequest, TokenResponse};

/// What of a request is kept for all.
#[derive(Clone, Copy)]
enum Kept {
    Caller,
    CallerOfWrites,
    Repository,
    Answer,
    LargeAnswer,
}

/// Handlers that put something into a variable of the module, wait, and read it again.
struct InAGlobal {
    kept: Kept,
    caller: Mutex<Option<String>>,
    repo: Mutex<Option<String>>,
    answer: Mutex<Option<Result<Success, Refusal>>>,
}

impl InAGlobal {
    fn of(kept: Kept) -> Self {
        Self { kept, caller: Mutex::default(), repo: Mutex::default(), answer: Mutex::default() }
    }
}

impl VaultRules for InAGlobal {
    fn execute<'a>(&'a self, store: &'a Store, visit: &'a Visit) -> Done<'a> {
        let writes = !matches!(visit.route, Route::Pull | Route::FetchMemberKey);
        Box::pin(async move {
            let mut seen = visit.clone();
            match self.kept {
                Kept::Caller => seen.caller = put_and_take(&self.caller, &visit.caller).await,
                Kept::CallerOfWrites if writes => seen.caller = put_and_take(&self.caller, &visit.caller).await,
                Kept::Repository => seen.repo_id = put_and_take(&self.repo, &visit.repo_id).await,
                Kept::CallerOfWrites | Kept::Answer | Kept::LargeAnswer => {}
            }
            let answer = conformant(self, store, &seen).await;
            let is_large = matches!(&answer, Ok(Success::Pull(pulled)) if pulled.envelope.as_ref().is_some_and(|envelope| envelope.ciphertext.len() > 32 << 10));
            match self.kept {
                Kept::Answer => put_and_take(&self.answer, &answer).await,
                // What is large takes longer to be sent.
                Kept::LargeAnswer if is_large => put_and_take_after(&self.answer, &answer, 10 * WINDOW).await,
                _ => answer,
            }
        })
    }
}

/// By the time it is read, it may be somebody else's.
async fn put_and_take<T: Clone>(global: &Mutex<Option<T>>, own: &T) -> T {
    put_and_take_after(global, own, WINDOW).await
}

async fn put_and_take_after<T: Clone>(global: &Mutex<Option<T>>, own: &T, window: u64) -> T {
    *lock(global) = Some(own.clone());
    gap(window).await;
    lock(global).clone().unwrap_or_else(|| own.clone())
}

/// Requests of a repository that are under way at the same time are answered with the answer to the first.
struct SingleFlight {
    route: Route,
    /// Whoever asks; otherwise who isn't a member is refused before.
    of_strangers: bool,
    answers: Mutex<HashMap<String, Result<Success, Refusal>>>,
}

impl SingleFlight {
    fn of(route: Route, of_strangers: bool) -> Self {
        Self { route, of_strangers, answers: Mutex::default() }
    }
}

impl VaultRules for SingleFlight {
    fn execute<'a>(&'a self, store: &'a Store, visit: &'a Visit) -> Done<'a> {
        if visit.route != self.route {
            return conformant(self, store, visit);
        }
        Box::pin(async move {
            let answer = conformant(self, store, visit).await;
            if answer.is_err() && !self.of_strangers {
                return answer;
            }
            if let Some(first) = lock(&self.answers).get(&visit.repo_id) {
                return first.clone();
            }
            lock(&self.answers).insert(visit.repo_id.clone(), answer.clone());
            gap(WINDOW).await;
            lock(&self.answers).remove(&visit.repo_id);
            answer
        })
    }
}

/// A write that finds another one under way, of whichever repository, fails.
#[derive(Default)]
struct FailsWhileBusy(Arc<AtomicUsize>);

/// One write that is under way.
struct UnderWay(Arc<AtomicUsize>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl VaultRules for FailsWhileBusy {
    fn execute<'a>(&'a self, store: &'a Store, visit: &'a Visit) -> Done<'a> {
        if matches!(visit.route, Route::Pull | Route::FetchMemberKey) {
            return conformant(self, store, visit);
        }
        Box::pin(async move {
            let others = self.0.fetch_add(1, Ordering::SeqCst);
            let _under_way = UnderWay(Arc::clone(&self.0));
            if others > 0 {
                return Err(Refusal::internal("database is locked"));
            }
            gap(WINDOW).await;
            conformant(self, store, visit).await
        })
    }
}

/// The faults of this area.
pub(super) const FAULTS: &[Fault] = &[
    fault(
        "caller-in-a-global",
        &CALLERS_KEPT_APART,
        "Handlers read the caller from a variable that the next request has overwritten.",
        || vault(InAGlobal::of(Kept::Caller)),
    )
    .kind(Race),
    fault(
        "caller-in-a-global-for-writes",
        &CALLERS_KEPT_APART,
        "Writes read the caller from a variable that the next write has overwritten.",
        || vault(InAGlobal::of(Kept::CallerOfWrites)),
    )
    .kind(Race),
    fault(
        "repository-in-a-global",
        &CALLERS_KEPT_APART,
        "Handlers read the repository's id from a variable that the next request has overwritten.",
        || vault(InAGlobal::of(Kept::Repository)),
    )
    .kind(Race),
    fault(
        "answer-in-a-global",
        &CALLERS_KEPT_APART,
        "An answer is kept in a variable until it leaves, and the next request overwrites it.",
        || vault(InAGlobal::of(Kept::Answer)),
    )
    .kind(Race),
    fault(
        "login-in-a-global",
        &CALLERS_KEPT_APART,
        "The key that a token is made for is read from a variable that the next login has overwritten.",
        || identity(LoginInAGlobal::default()),
    )
    .kind(Race),
    fault(
        "large-answers-in-a-global",
        &CALLERS_KEPT_APART,
        "Pulls of more than 32 KiB are written into one buffer, whoever asks.",
        || vault(InAGlobal::of(Kept::LargeAnswer)),
    ),
    fault(
        "pulls-share-an-answer",
        &PULL_MEMBERS_ONLY,
        "Pulls of a repository that are under way at the same time share the answer to the first, whoever asks.",
        || vault(SingleFlight::of(Route::Pull, true)),
    )
    .kind(Race),
    fault(
        "members-share-a-pull",
        &PULL_UNCHANGED,
        "Members' pulls of a repository that are under way at the same time share the answer to the first, whatever \
         version each knows.",
        || vault(SingleFlight::of(Route::Pull, false)),
    )
    .kind(Race),
    fault(
        "members-share-a-fetch",
        &FETCH_ENTRY,
        "Fetches from a repository that are under way at the same time share the answer to the first, whoever is asked \
         for.",
        || vault(SingleFlight::of(Route::FetchMemberKey, false)),
    )
    .kind(Race),
    fault(
        "busy-fails",
        &CALLERS_KEPT_APART,
        "A write that meets another one, of whichever repository, is answered 500.",
        || vault(FailsWhileBusy::default()),
    )
    .kind(Race),
    fault(
        "refused-fetch-is-kept-for-all",
        &ANSWERS_TO_ASKERS,
        "A 401 to a fetch is kept for half a second by its path, and given to whoever asks next.",
        || edge(RefusedFetchIsKept::default()),
    ),
    fault(
        "answers-by-idempotency-key",
        &NO_SIDE_DOOR,
        "Answers are kept by the Idempotency-Key alone, and given to whoever sends it again.",
        || edge(AnswersByKey::default()),
    ),
];

#[derive(Default)]
struct LoginInAGlobal {
    key: Arc<Mutex<Option<String>>>,
}

impl IdentityRules for LoginInAGlobal {
    fn redeem<'a>(
        &'a self,
        authority: &'a Authority,
        request: &'a TokenRequest,
    ) -> Later<'a, Result<TokenResponse, Refusal>> {
        Box::pin(async move {
            let nonce = redemption::check(self, authority, request)?;
            authority.nonces.spend(&nonce);
            let key = put_and_take(&self.key, &request.ed25519_public_key).await;
            redemption::grant(self, authority, &key)
        })
    }
}

/// How long a refusal is kept.
const KEPT: Duration = Duration::from_millis(500);

#[derive(Default)]
struct RefusedFetchIsKept {
    refused: Mutex<HashMap<String, Instant>>,
}

impl Edge for RefusedFetchIsKept {
    fn head(&self, route: Route, parts: &mut Parts) -> Result<(), Refusal> {
        let since = lock(&self.refused).get(parts.uri.path()).copied();
        if route == Route::FetchMemberKey && since.is_some_and(|since| since.elapsed() < KEPT) {
            return Err(Refusal::unauthorized("kept"));
        }
        Ok(())
    }

    fn response(&self, route: Route, parts: &Parts, response: Response<Bytes>) -> Response<Bytes> {
        let mut refused = lock(&self.refused);
        if route == Route::FetchMemberKey && response.status() == StatusCode::UNAUTHORIZED {
            refused.entry(parts.uri.path().to_owned()).or_insert_with(Instant::now);
        }
        refused.retain(|_, since| since.elapsed() < KEPT);
        response
    }
}

#[derive(Default)]
struct AnswersByKey {
    kept: Mutex<HashMap<Vec<u8>, Bytes>>,
}

impl Edge for AnswersByKey {
    fn response(&self, _: Route, parts: &Parts, response: Response<Bytes>) -> Response<Bytes> {
        let Some(key) = parts.headers.get("idempotency-key") else { return response };
        let mut kept = lock(&self.kept);
        match kept.get(key.as_bytes()) {
            Some(first) => {
                let mut response = response.map(|_| first.clone());
                *response.status_mut() = StatusCode::OK;
                response
            }
            None => {
                if response.status().is_success() {
                    kept.insert(key.as_bytes().to_vec(), response.body().clone());
                }
                response
            }
        }
    }
}
