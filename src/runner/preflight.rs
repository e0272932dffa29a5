//! Before the first check: is there an AVP server, and what are its manners?

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use super::RunConfig;
use super::beside;
use super::dial::{abort, unreachable};
use super::pace::{Checks, Pace, is_serial};
use crate::client::{Identity, Profile, RawRequest, clock};
use crate::requirements::Level;
use crate::scenarios::{self, Abort, Answer, Auth, Call, CheckInfo, Ctx, Left, Stop, World};
use crate::wire::Operation;
use crate::wire::TokenResponse;
use crate::wire::proto::Code;

/// Pauses between requests to a server that isn't up yet, in milliseconds; 20 s together.
const WARM_UP: [u64; 13] = [150, 600, 1000, 1000, 1000, 1500, 1500, 2000, 2000, 2000, 2500, 2500, 2500];

/// The preflight speaks to the server through the same context as a check.
pub static PREFLIGHT: CheckInfo = CheckInfo {
    id: "preflight",
    title: "The target answers challenge and token",
    section: "§3",
    level: Level::Must,
    requirements: &[&crate::requirements::NO_ACCOUNT],
    since: crate::requirements::Revision::V0_2,
};

/// Speaks to the target for the first time.
///
/// # Errors
/// [`Abort`] when it can't be judged.
pub async fn greet(world: &Arc<World>) -> Result<Greeting, Abort> {
    let mut cx = Ctx::new(world.clone(), &PREFLIGHT);
    let identity = cx.identity();
    let mut outcome = first_token(&cx, &identity).await;
    if cx.was_cut_off() {
        // A connection that had been kept ended; by now each request has its own.
        cx = Ctx::new(world.clone(), &PREFLIGHT);
        outcome = first_token(&cx, &identity).await;
    }
    let token = match outcome? {
        Ok(answer) => Some(answer.token),
        Err(Stop::Violation(finding) | Stop::SetupFailed(finding)) => {
            // The checks of challenge and token say what is wrong; the others needn't try.
            let reason = format!("no token could be had: {} (expected: {})", finding.observed, finding.expected);
            let _ = world.manners.no_tokens.set(reason);
            None
        }
        Err(Stop::Skip(..)) => None,
    };
    Ok(Greeting { token, waited: vault_is_up(&cx).await? })
}

/// Whether the target still answers, at both of its addresses.
///
/// # Errors
/// [`Abort`] when it doesn't.
pub async fn still_there(world: &Arc<World>) -> Result<(), Abort> {
    world.target.vault.close_idle();
    let cx = Ctx::new(world.clone(), &PREFLIGHT);
    let identity = cx.identity();
    let (provider, vault) = tokio::join!(challenge(&cx, &identity.id), vault_is_up(&cx));
    provider.and(vault).map(drop)
}

/// What came of greeting a server.
pub struct Greeting {
    token: Option<String>,
    /// That it had to be waited for.
    waited: Option<String>,
}

/// As [`greet`], and learns what the server does with connections, and whether it adds key bindings of its own.
///
/// # Errors
/// [`Abort`] when it can't be judged.
pub async fn meet(world: &Arc<World>) -> Result<Vec<String>, Abort> {
    let greeting = greet(world).await?;
    let cx = Ctx::new(world.clone(), &PREFLIGHT);
    let few = beside::connections(world, &cx).await;
    beside::requests(world, &cx, greeting.token.as_deref()).await;
    if few.is_none() {
        learn_about_refusals(world, &cx, greeting.token.as_deref()).await;
    }
    let notes = greeting.waited.into_iter().chain(few).collect();
    if let Ok(owner) = cx.member().await {
        scenarios::learn_bindings(&cx, &owner).await;
    }
    world.abort().map_or(Ok(notes), Err)
}

/// How fast the run may be, by the latency of a few more requests.
pub(super) async fn pace(world: &Arc<World>, config: &RunConfig, checks: Checks) -> Option<Pace> {
    let cx = Ctx::new(world.clone(), &PREFLIGHT);
    let mut latency = Duration::MAX;
    for _ in 0..2 {
        let key = cx.identity().id;
        let Ok(answer) = cx.challenge(&key).await else { return None };
        latency = latency.min(answer.exchange.duration);
    }
    let serial = world.is_serial() || is_serial(&cx, latency).await;
    Pace::of(config, latency, serial, checks)
}

/// As many checks at once as are wanted, if the server serves so many connections.
pub(super) async fn jobs(world: &Arc<World>, wanted: usize) -> usize {
    beside::jobs(world, &Ctx::new(world.clone(), &PREFLIGHT), wanted).await
}

/// Waits for a vault that is still warming up: it says so to whoever asks.
async fn vault_is_up(cx: &Ctx) -> Result<Option<String>, Abort> {
    let started = Instant::now();
    let body = serde_json::json!({ "repoId": "nobody's", "knownPayloadVersion": 0 }).to_string();
    let mut pauses = WARM_UP.into_iter();
    loop {
        let call = Call::operation(Operation::Pull, "nobody's", "", &Auth::None, Some(body.clone().into()));
        let (_, result) = cx.try_call(call).await;
        if let Some(abort) = cx.world.abort() {
            return Err(abort);
        }
        // Whatever else it answers, checks will judge.
        let status = result.map_or(0, |answer| answer.status);
        let waited = (started.elapsed() > Duration::from_millis(500)).then(|| warmed_up(started));
        match (status, pauses.next()) {
            (502..=504, Some(pause)) => tokio::time::sleep(Duration::from_millis(pause)).await,
            (502..=504, None) => return Err(not_up("pull", status, started)),
            _ => return Ok(waited),
        }
    }
}

fn warmed_up(started: Instant) -> String {
    format!("the server was not ready at first; it was waited for, {} s", started.elapsed().as_secs().max(1))
}

fn not_up(operation: &str, status: u16, started: Instant) -> Abort {
    abort(
        format!("{operation} is answered with status {status} every time, for {} s", started.elapsed().as_secs()),
        "the server, or a proxy before it, says that it isn't up: look at its log, and start the suite later",
    )
}

/// The first challenge and the first token. The inner error is a server that answers, but gives none.
async fn first_token(cx: &Ctx, identity: &Identity) -> Result<Result<TokenResponse, Stop>, Abort> {
    let outcome = match challenge(cx, &identity.id).await? {
        Ok(nonce) => redeemed(cx, identity, &nonce).await,
        Err(reason) => Err(cx.violation("a nonce", reason)),
    };
    cx.world.abort().map_or(Ok(outcome), Err)
}

async fn redeemed(cx: &Ctx, identity: &Identity, nonce: &str) -> Result<TokenResponse, Stop> {
    cx.token(&cx.redeem(identity, nonce)?).await?.accepted("a signed nonce")
}

/// The first challenge. The inner error is a server that answers like one, but not with a nonce.
async fn challenge(cx: &Ctx, key: &str) -> Result<Result<String, String>, Abort> {
    let body = serde_json::json!({ "ed25519PublicKey": key }).to_string();
    let (mut last, started) = (0, Instant::now());
    // A server that isn't up yet says so by 502 to 504; with any other 5xx there is no point in waiting long.
    for (tried, pause) in std::iter::once(0).chain(WARM_UP).enumerate() {
        if tried > 2 && !(502..=504).contains(&last) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(pause)).await;
        let call = Call::operation(Operation::Challenge, "", "", &Auth::None, Some(body.clone().into()));
        let (_, result) = cx.try_call(call).await;
        if let Some(abort) = cx.world.abort() {
            return Err(abort);
        }
        let answer = result.map_err(|error| unreachable(&error))?;
        if answer.status < 500 {
            return read_nonce(&cx.world, &answer);
        }
        if answer.grpc.as_ref().is_some_and(|grpc| grpc.code == Code::UNIMPLEMENTED) {
            return Err(abort("the server has no service avp.Auth (UNIMPLEMENTED)", NO_AUTH));
        }
        last = answer.status;
    }
    if (502..=504).contains(&last) {
        return Err(not_up("challenge", last, started));
    }
    Err(abort(
        format!("challenge is answered with status {last} every time"),
        "look at the server's log: it can't issue a nonce",
    ))
}

fn read_nonce(world: &World, answer: &Answer<'_>) -> Result<Result<String, String>, Abort> {
    let path = &answer.exchange.path;
    let status = answer.status;
    if let Some(grpc) = answer.grpc.as_ref().filter(|_| !answer.is_success() && !matches!(status, 401 | 403 | 429)) {
        return Err(abort(format!("avp.Auth/Challenge ends with {}: not an AVP server?", grpc.code), NOT_AVP));
    }
    if answer.is_success() {
        return match answer.json() {
            Ok(Value::Object(body)) => Ok(match body.get("nonce") {
                Some(Value::String(nonce)) => Ok(nonce.clone()),
                _ => Err("the answer to challenge has no nonce".into()),
            }),
            Ok(_) => Err(abort(format!("POST {path} is answered with JSON that is no object"), NOT_AVP)),
            Err(reason) => Err(abort(format!("POST {path} is answered with {status}, but {reason}"), NOT_AVP)),
        };
    }
    match status {
        300..=399 => {
            let location = answer.headers.get(http::header::LOCATION).and_then(|value| value.to_str().ok());
            let location: String = world
                .mask(location.unwrap_or("somewhere unnamed").to_owned())
                .chars()
                .filter(|c| !c.is_control())
                .take(200)
                .collect();
            Err(abort(
                format!("POST {path} is redirected (status {status}) to {location}, and redirects aren't followed"),
                "give the URL that answers itself with --server (or --idp)",
            ))
        }
        401 | 403 | 407 => Err(abort(
            format!("POST {path} is refused with {status}, although a challenge needs no token"),
            "if the deployment asks for a header of its own, give it with --header or --idp-header 'Name: value'",
        )),
        429 => Err(abort(
            match answer
                .headers
                .get(http::header::RETRY_AFTER)
                .and_then(|value| clock::retry_after(value.to_str().ok()?))
            {
                Some(wait) => format!("POST {path} is answered with 429, and asks to wait {} s", wait.as_secs()),
                None => format!("POST {path} is answered with 429 every time"),
            },
            "lift the rate limit for the address that runs the suite",
        )),
        _ => Err(abort(format!("POST {path} is answered with status {status}: not an AVP server?"), NOT_AVP)),
    }
}

const NO_AUTH: &str = "if challenge and token live elsewhere, over HTTP say, tell where with --idp URL";

const NOT_AVP: &str =
    "check the URL and its path prefix; if challenge and token live elsewhere, say where with --idp URL";

/// Whether connections can be kept after a refusal: only where the body of a refused request is seen to be read.
async fn learn_about_refusals(world: &Arc<World>, cx: &Ctx, token: Option<&str>) {
    if world.target.separate_idp.is_some() || world.target.vault.profile() == Profile::Grpc {
        return;
    }
    let bearer = token.and_then(|token| http::HeaderValue::from_str(&format!("Bearer {token}")).ok());
    let by_member = |mut request: RawRequest| {
        let bearer = bearer.clone()?;
        request.headers.push((http::header::AUTHORIZATION, bearer));
        Some(request)
    };
    let key = cx.identity().id;
    let body = serde_json::json!({ "repoId": "nobody's", "knownPayloadVersion": 0 });
    let (pull, create) = (Operation::Pull.path("nobody's", ""), Operation::CreateRepo.path("", ""));
    let refused = [pull.clone(), create.clone(), "/v1/nothing-here".into()];
    let refused = refused.map(|path| scenarios::json_request(path, &body));
    for request in refused.into_iter().chain(by_member(scenarios::json_request(pull.clone(), &body))) {
        if let Left::Body(_) = scenarios::left_by(cx, &request, &key).await {
            return;
        }
    }
    world.target.vault.trust_refusals();
    let wrong = serde_json::json!({ "repoId": ["nobody's"], "ed25519PublicKey": 5, "knownPayloadVersion": "none" });
    let wrong = [Operation::Token.path("", ""), create, pull].map(|path| scenarios::json_request(path, &wrong));
    // Whoever reads no further than the first mistake leaves a lot.
    let no_json = format!("{{]{}", "x".repeat(NO_JSON)).into();
    let no_json =
        RawRequest { body: Some(no_json), ..scenarios::json_request(Operation::Challenge.path("", ""), &body) };
    let [token_request, others @ ..] = wrong;
    let bad = [token_request, no_json].into_iter().chain(others.into_iter().filter_map(by_member));
    let left = bad.map(async |request| scenarios::left_by(cx, &request, &key).await);
    let left = futures_util::future::join_all(left).await;
    if left.iter().all(|left| matches!(left, Left::Usable)) {
        world.target.vault.trust_bad_requests();
    }
}

/// Characters of a body that is no JSON: more than what fits in a segment.
const NO_JSON: usize = 4000;
