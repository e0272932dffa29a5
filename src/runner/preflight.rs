//! Before the first check: is there an AVP server, and what are its manners?

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;
use url::Url;

use super::pace::{Checks, Pace, is_serial};
use super::{RunConfig, Target};
use crate::client::{self, Identity, Profile, Transport, TransportError, clock};
use crate::requirements::Level;
use crate::scenarios::{self, Abort, Answer, Auth, Call, CheckInfo, Ctx, Launch, Stop, World};
use crate::wire::Operation;
use crate::wire::TokenResponse;
use crate::wire::proto::Code;

/// How long a second connection may take to be served while a first one is idle.
const SECOND_CONNECTION: Duration = Duration::from_millis(1500);

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

fn abort(reason: impl Into<String>, advice: impl Into<String>) -> Abort {
    Abort { reason: reason.into(), advice: advice.into() }
}

fn wants_tls(url: &Url) -> bool {
    matches!(url.scheme(), "https" | "grpcs")
}

/// Makes the transports for a configuration.
///
/// # Errors
/// [`Abort`] when the target can't be resolved or TLS can't be set up.
pub async fn connect(config: &RunConfig) -> Result<(Transport, Option<Transport>), Abort> {
    let base = match &config.server {
        Target::Url(url) => url.clone(),
        Target::Avp(authority) => Url::parse(&format!("https://{authority}/"))
            .map_err(|error| abort(format!("avp://{authority} can't be dialled: {error}"), "check the address"))?,
    };
    let needs_tls = wants_tls(&base) || config.idp.as_ref().is_some_and(wants_tls);
    let tls = if needs_tls { Some(tls(config)?) } else { None };
    let unusable = |error: TransportError| abort(error.to_string(), "check the URL");
    let make = |url: &Url, headers: &[client::Header]| {
        Transport::new(url, tls.clone(), headers.to_vec(), config.timeout).map_err(unusable)
    };
    let vault = make(&base, &config.headers)?;
    let idp = match (&config.idp, config.idp_headers.is_empty()) {
        (Some(url), _) => Some(make(url, &config.idp_headers)?),
        // Same server, but other headers for challenge and token.
        (None, false) => {
            let both: Vec<_> = config.headers.iter().chain(&config.idp_headers).cloned().collect();
            Some(make(&base, &both)?)
        }
        (None, true) => None,
    };
    Ok((vault, idp))
}

/// A way to a server that is going to be started.
///
/// # Errors
/// [`Abort`] when its URL can't be dialled.
pub fn probe(config: &RunConfig, launch: &Launch) -> Result<Transport, Abort> {
    let tls = if wants_tls(&launch.url) { Some(tls(config)?) } else { None };
    let headers = if launch.option == crate::scenarios::hosting::IDP { &config.idp_headers } else { &config.headers };
    let unusable = |error: TransportError| abort(error.to_string(), "check the URL");
    Transport::new(&launch.url, tls, headers.clone(), config.timeout).map_err(unusable)
}

/// Ways to the other processes of the deployment and to another deployment, each of which must be there.
///
/// # Errors
/// [`Abort`] when one can't be dialled or doesn't answer.
pub async fn others(config: &RunConfig) -> Result<(Vec<Arc<Transport>>, Option<Arc<Transport>>), Abort> {
    let way = async |option: &str, url: &Url, headers: &[client::Header]| {
        let tls = if wants_tls(url) { Some(tls(config)?) } else { None };
        let named = |error: TransportError| {
            let unreachable = unreachable(&error);
            Abort { reason: format!("{option} {url}: {}", unreachable.reason), ..unreachable }
        };
        let transport = Transport::new(url, tls, headers.to_vec(), config.timeout).map_err(named)?;
        let body = serde_json::json!({ "ed25519PublicKey": Identity::generate().id });
        let request = scenarios::json_request(Operation::Challenge.path("", ""), &body);
        transport.send(&request).await.map_err(named)?;
        Ok(Arc::new(transport))
    };
    let mut replicas = Vec::new();
    let option = if config.beside.is_some() { "--grpc" } else { "--replica" };
    for url in &config.replicas {
        replicas.push(way(option, url, &config.headers).await?);
    }
    // What this deployment asks for is nobody else's business.
    let stranger = match &config.stranger {
        Some(url) => Some(way("--stranger", url, &[]).await?),
        None => None,
    };
    Ok((replicas, stranger))
}

/// The keys of the key set given with `--jwks`, if one was given.
///
/// # Errors
/// [`Abort`] when it can't be read.
pub async fn issuer_keys(config: &RunConfig) -> Result<Option<Vec<[u8; 32]>>, Abort> {
    let Some(url) = &config.jwks else { return Ok(None) };
    let keys = client::jwks::fetch(url, tls(config)?, config.timeout).await;
    keys.map(Some).map_err(|error| abort(error.to_string(), "check the URL given with --jwks"))
}

fn tls(config: &RunConfig) -> Result<Arc<rustls::ClientConfig>, Abort> {
    client::client_config(&config.ca_certs, config.insecure)
        .map_err(|error| abort(error.to_string(), "check the file given with --ca-cert"))
}

/// An `avp://` address names a host; discovery says which profiles it speaks (SPEC §8.2). Without discovery it is HTTP/JSON.
/// Returns the URL to dial, that of the other profile if both are wanted, and a note on what was taken and why.
///
/// # Errors
/// [`Abort`] when nobody is there, or none of the profiles is one that is wanted.
pub async fn settle(config: &RunConfig, authority: &str) -> Result<(Url, Option<Url>, String), Abort> {
    let url = |scheme: &str| {
        Url::parse(&format!("{scheme}://{authority}/"))
            .map_err(|error| abort(format!("avp://{authority} can't be dialled: {error}"), "check the address"))
    };
    let base = url("https")?;
    let unusable = |error: TransportError| abort(error.to_string(), "check the URL");
    let vault = Transport::new(&base, Some(tls(config)?), config.headers.clone(), config.timeout).map_err(unusable)?;
    let request = client::RawRequest {
        method: http::Method::GET,
        path: Operation::Discovery.path("", ""),
        headers: Vec::new(),
        body: None,
        answer_limit: 64 * 1024,
    };
    let offered: Vec<String> = match vault.send(&request).await {
        Ok(answer) => serde_json::from_slice::<Value>(&answer.body)
            .ok()
            .filter(|_| answer.status.is_success())
            .and_then(|body| serde_json::from_value(body.get("profiles")?.clone()).ok())
            .unwrap_or_default(),
        // Whoever speaks gRPC alone has no discovery, and HTTP/1.1 means nothing there.
        Err(error) if config.wanted != Some(Profile::Grpc) || error.is_unreachable() => {
            return Err(unreachable(&error));
        }
        Err(_) => Vec::new(),
    };
    let offers = |profile: Profile| offered.iter().any(|offered| offered == profile.name());
    let none = offered.is_empty();
    let taken = match config.wanted {
        Some(wanted) if none || offers(wanted) => Some(wanted),
        Some(_) => None,
        None if none || offers(Profile::Http) => Some(Profile::Http),
        None => Some(Profile::Grpc).filter(|_| offers(Profile::Grpc)),
    };
    let listed =
        offered.iter().map(|name| name.chars().take(40).collect::<String>()).take(8).collect::<Vec<_>>().join(", ");
    let why = if none { "there is no discovery".to_owned() } else { format!("discovery offers {listed}") };
    if config.wants_both && config.beside.is_none() {
        if !(offers(Profile::Http) && offers(Profile::Grpc)) {
            return Err(abort(
                format!("avp://{authority}: {why}, and this run wants both profiles"),
                "name the two addresses: --server https://HOST --grpc grpcs://HOST:PORT",
            ));
        }
        let note = format!("avp://{authority}: {why}; this run judges both (https:// and grpcs://)");
        return Ok((url("https")?, Some(url("grpcs")?), note));
    }
    let Some(taken) = taken else {
        return Err(abort(
            format!(
                "avp://{authority} offers only {listed}, and this run wants {}",
                config.wanted.map_or("http-json or grpc", Profile::name)
            ),
            "choose another --profile, or name the address with --server https://… or grpcs://…",
        ));
    };
    let scheme = if taken == Profile::Grpc { "grpcs" } else { "https" };
    Ok((url(scheme)?, None, format!("avp://{authority}: {why}; this run speaks {} ({scheme}://)", taken.name())))
}

/// Speaks to the target for the first time.
///
/// # Errors
/// [`Abort`] when it can't be judged.
pub async fn greet(world: &Arc<World>) -> Result<Vec<String>, Abort> {
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
        Err(Stop::Broken(finding) | Stop::Trouble(finding)) => {
            // The checks of challenge and token say what is wrong; the others needn't try.
            let reason = format!("no token could be had: {} (expected: {})", finding.observed, finding.expected);
            let _ = world.no_tokens.set(reason);
            None
        }
        Err(Stop::Skip(..)) => None,
    };
    let waited = vault_is_up(&cx).await?;
    let notes = manners(world, &cx, &identity.id, token.as_deref()).await?;
    Ok(waited.into_iter().chain(notes).collect())
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
        Err(reason) => Err(cx.broken("a nonce", reason)),
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

fn unreachable(error: &TransportError) -> Abort {
    let advice = match error {
        TransportError::Resolve { .. } => "check the host name",
        TransportError::Connect { .. } => "start the server, or check host and port",
        TransportError::Tls(_) => {
            "check the certificate (--ca-cert FILE, or --insecure for a self-signed one), or use http:// if it speaks no TLS"
        }
        TransportError::Timeout(_) | TransportError::Opening { .. } => {
            "see whether the server hangs, or raise --timeout"
        }
        TransportError::NotHttp(_) => {
            "check the port: something else than an HTTP server (or an HTTPS server) listens there"
        }
        TransportError::Closed { .. } | TransportError::NotSent(_) => {
            "look at the server's log, whether it expects TLS (https://, grpcs://), and whether the URL says the profile that is spoken there"
        }
        TransportError::NotGrpc(_) => {
            "check the port: gRPC is spoken elsewhere, or this server speaks HTTP/JSON (http://) or TLS (grpcs://)"
        }
        TransportError::TooLarge(_) | TransportError::Unsayable(_) => "check the URL",
    };
    abort(error.to_string(), advice)
}

/// Whether one idle connection keeps everybody else waiting.
async fn manners(world: &Arc<World>, cx: &Ctx, key: &str, token: Option<&str>) -> Result<Vec<String>, Abort> {
    let held = [world.vault.hold_idle(), world.idp().hold_idle()];
    let probe = || async {
        let body = serde_json::json!({ "ed25519PublicKey": key }).to_string();
        let mut call = Call::operation(Operation::Challenge, "", "", &Auth::None, Some(body.into()));
        call.bound = Some(SECOND_CONNECTION.min(world.idp().timeout()));
        cx.try_call(call).await.1.is_ok()
    };
    let mut notes = Vec::new();
    if !probe().await {
        drop(held);
        world.use_fresh_connections();
        if probe().await {
            world.one_connection.store(true, std::sync::atomic::Ordering::Relaxed);
            notes.push("the server serves one connection at a time; every request gets a connection of its own".into());
        }
    } else {
        for (transport, held) in [&world.vault, world.idp()].into_iter().zip(held) {
            transport.give_back(held);
        }
    }
    if !world.one_connection.load(std::sync::atomic::Ordering::Relaxed) {
        learn_about_refusals(world, cx, key, token).await;
    }
    world.abort().map_or(Ok(notes), Err)
}

/// Whether connections can be kept after a refusal: only where the body of a refused request is seen to be read.
async fn learn_about_refusals(world: &Arc<World>, cx: &Ctx, key: &str, token: Option<&str>) {
    if world.separate_idp.is_some() || world.vault.profile() == Profile::Grpc {
        return;
    }
    let body = serde_json::json!({ "repoId": "nobody's", "knownPayloadVersion": 0 });
    let pull = Operation::Pull.path("nobody's", "");
    let mut refused: Vec<_> = [pull.clone(), Operation::CreateRepo.path("", ""), "/v1/nothing-here".into()]
        .map(|path| scenarios::json_request(path, &body))
        .into();
    if let Some(bearer) = token.and_then(|token| http::HeaderValue::from_str(&format!("Bearer {token}")).ok()) {
        let mut unknown = scenarios::json_request(pull, &body);
        unknown.headers.push((http::header::AUTHORIZATION, bearer));
        refused.push(unknown);
    }
    for request in &refused {
        if scenarios::body_taken_for_request(cx, request, key).await.is_some() {
            return;
        }
    }
    world.vault.trust_refusals();
}
