//! What a server serves beside what isn't finished: connections over which nothing comes, and a request that isn't whole. Whoever
//! waits for these answers nobody else, and hundreds of checks would wait with him, each for its bound.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::DEFAULT_JOBS;
use crate::client::{FEW_CONNECTIONS, PartlySent, RawConnection, TransportError};
use crate::scenarios::{Auth, Call, Ctx, World};
use crate::wire::Operation;

/// How long an answer may take while something else isn't finished.
const LATER: Duration = Duration::from_millis(1500);
/// Or so many times as long as an answer takes otherwise.
const SLOWER: u32 = 4;
/// Whoever answers neither within this time nor as soon as nothing is in the way is looked at longer; or so many times as long as an
/// answer takes otherwise.
const SOON: (Duration, u32) = (Duration::from_millis(100), 20);
/// How often it must go on as soon as nothing is in the way, to have waited for that.
const FREED: u32 = 2;
/// Connections of a usual run: one for each of the checks that run beside each other.
const CONNECTIONS: usize = DEFAULT_JOBS;

/// Learns whether a few idle connections keep everybody else waiting, as where one thread, or each of a few, goes on with a connection
/// until it ends; what is to be said about it.
pub(super) async fn connections(world: &World, cx: &Ctx) -> Option<String> {
    let one = !serves(world, cx, 2).await;
    if !one && serves(world, cx, CONNECTIONS).await {
        return None;
    }
    world.use_fresh_connections();
    // Otherwise it has stopped answering, which others will find.
    if !serves(world, cx, 1).await {
        return None;
    }
    world.use_few_connections(one);
    let served = if one { "one connection" } else { "few connections" };
    Some(format!("the server serves {served} at a time; every request gets a connection of its own"))
}

/// As many checks at once as are wanted, if the server serves so many connections.
pub(super) async fn jobs(world: &World, cx: &Ctx, wanted: usize) -> usize {
    if world.serves_few_connections() {
        return wanted.min(FEW_CONNECTIONS);
    }
    let room = wanted <= CONNECTIONS || serves(world, cx, wanted).await;
    if room { wanted } else { CONNECTIONS }
}

/// Whether the last of so many connections is served while nothing comes over the others.
async fn serves(world: &World, cx: &Ctx, connections: usize) -> bool {
    goes_on(world, cx, Unfinished::Connections(connections - 1)).await == Some(true)
}

/// Learns whether a request that isn't whole keeps everybody else waiting.
pub(super) async fn requests(world: &World, cx: &Ctx, token: Option<&str>) {
    let Some(token) = token.filter(|_| !world.is_serial()) else { return };
    let auth = Auth::Bearer(token.to_owned());
    let body = serde_json::json!({ "repoId": "nobody's", "knownPayloadVersion": 0 }).to_string();
    let call = Call::operation(Operation::Pull, "nobody's", "", &auth, Some(body.into()));
    if goes_on(world, cx, Unfinished::Request(&call)).await == Some(false) {
        world.manners.one_request.store(true, Ordering::Relaxed);
    }
}

/// What isn't finished.
#[derive(Clone, Copy)]
enum Unfinished<'c> {
    /// So many connections over which nothing comes.
    Connections(usize),
    /// This request, of which the second half of the body is missing.
    Request(&'c Call<'c>),
}

/// The same, begun.
enum Begun<'c> {
    Connections { _open: Vec<Result<RawConnection, TransportError>> },
    Request(&'c Call<'c>, PartlySent),
}

impl<'c> Unfinished<'c> {
    async fn begin(self, world: &World, cx: &Ctx, bound: Duration) -> Begun<'c> {
        match self {
            Self::Connections(count) => {
                world.close_idle();
                let origins = std::iter::once(&world.target.vault).chain(&world.target.separate_idp);
                let opening = origins.flat_map(|origin| (0..count).map(|_| origin.raw(bound)));
                Begun::Connections { _open: futures_util::future::join_all(opening).await }
            }
            Self::Request(call) => Begun::Request(call, cx.send_partly(call, 0.5).await),
        }
    }
}

impl Begun<'_> {
    async fn end(self, cx: &Ctx) {
        match self {
            Self::Connections { .. } => {}
            Self::Request(call, held) => drop(cx.finish(call, held).await),
        }
    }
}

/// Whether somebody else is answered while something isn't finished; `None` if nobody is answered in any case.
async fn goes_on(world: &World, cx: &Ctx, unfinished: Unfinished<'_>) -> Option<bool> {
    let key = cx.identity().id;
    let body = serde_json::json!({ "ed25519PublicKey": key }).to_string();
    let answered = async |bound| {
        let fetch = Call::operation(Operation::FetchMemberKey, "nobody's", &key, &Auth::None, None);
        let challenge = Call::operation(Operation::Challenge, "", "", &Auth::None, Some(body.clone().into()));
        for call in std::iter::once(fetch).chain(world.target.separate_idp.is_some().then_some(challenge)) {
            let result = cx.try_call(Call { bound: Some(bound), ..call }).await.1;
            if matches!(result, Err(TransportError::Timeout(_) | TransportError::Opening { .. })) {
                return false;
            }
        }
        true
    };
    let (timeout, started) = (world.idp().timeout(), Instant::now());
    if !answered(timeout).await {
        return None;
    }
    let usual = started.elapsed();
    let bound = LATER.max(usual * SLOWER).min(timeout);
    let soon = SOON.0.max(usual * SOON.1).min(bound);
    for _ in 0..FREED {
        let begun = unfinished.begin(world, cx, bound).await;
        let mut answer = std::pin::pin!(answered(bound));
        let at_once = timeout_at(Instant::now() + soon, &mut answer).await;
        begun.end(cx).await;
        if let Ok(answered) = at_once {
            return Some(answered);
        }
        let freed = timeout_at(Instant::now() + soon, &mut answer).await.is_ok_and(|answered| answered);
        if !freed {
            // Something else takes its time: whether it would have answered meanwhile shows when it gets that.
            let begun = unfinished.begin(world, cx, bound).await;
            let answered = answered(bound).await;
            begun.end(cx).await;
            return Some(answered);
        }
    }
    Some(false)
}
