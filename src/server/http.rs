//! The HTTP/JSON profile (SPEC §6): routes, the order of the checks, and answers.

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, Request, Response, StatusCode, Version, header};
use axum::routing::{get, post};
use bytes::Bytes;
use hyper::body::Incoming;
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::body;
use super::edge::{Edges, HangUp, Unsized, UnsizedBody};
use super::redemption::Authority;
use super::refusal::Refusal;
use super::repo::{VaultCommand, Visit};
use super::route::Route;
use super::rules::{IdentityRules, VaultRules};
use super::store::Store;
use crate::wire::{ChallengeRequest, Discovery, TokenRequest};

/// Everything that handlers need.
pub(super) struct App {
    pub(super) identity: Arc<dyn IdentityRules>,
    pub(super) vault: Arc<dyn VaultRules>,
    pub(super) edges: Edges,
    pub(super) store: Arc<Store>,
    pub(super) authority: Authority,
    pub(super) max_body: usize,
    pub(super) public_url: Option<String>,
    /// Whether gRPC is served as well.
    pub(super) both: bool,
}

type Shared = State<Arc<App>>;

/// The routes. Matching works on the raw path, so an escaped `/` inside an id doesn't split it.
pub(super) fn router(app: Arc<App>) -> Router {
    let vault = |route| move |State(app): Shared, request: Request<Body>| vault(app, route, request);
    Router::new()
        .route(Route::Challenge.template(), post(challenge))
        .route(Route::Token.template(), post(token))
        .route(Route::CreateRepo.template(), post(vault(Route::CreateRepo)))
        .route(Route::Pull.template(), post(vault(Route::Pull)))
        .route(Route::Push.template(), post(vault(Route::Push)))
        .route(Route::AddMember.template(), post(vault(Route::AddMember)))
        .route(Route::RemoveMember.template(), post(vault(Route::RemoveMember)))
        .route(Route::FetchMemberKey.template(), get(vault(Route::FetchMemberKey)))
        .route(Route::Discovery.template(), get(discovery))
        .route(Route::Jwks.template(), get(jwks))
        .method_not_allowed_fallback(|State(app): Shared, request: Request<Body>| {
            refuse_all(app, Route::WrongMethod, request, Refusal::wrong_method())
        })
        .fallback(|State(app): Shared, request: Request<Body>| {
            refuse_all(app, Route::Unknown, request, Refusal::not_found("no such route"))
        })
        .with_state(app)
}

/// A connection is closed without an answer. No conformant request ends like that.
#[derive(Debug, thiserror::Error)]
#[error("closed without an answer")]
pub(super) struct HungUp;

/// Answers one request and logs it, without anything that a client sent: route template, not path; no headers, no bodies.
pub(super) async fn respond(
    app: &App,
    router: Router,
    mut request: Request<Incoming>,
) -> Result<Response<Body>, HungUp> {
    let (started, method) = (Instant::now(), known(request.method()));
    let mut turns = Vec::new();
    for turn in app.edges.iter().filter_map(|edge| edge.turn()) {
        turns.push(turn.await);
    }
    if let Some(target) = app.edges.iter().find_map(|edge| edge.target(request.uri())) {
        *request.uri_mut() = target;
    }
    app.edges.iter().for_each(|edge| edge.arrival(&mut request));
    let response = if names_one_host(&request) {
        match TowerToHyperService::new(router).call(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    } else {
        let (parts, body) = request.into_parts();
        let refusal = Refusal::bad_request("a request names its host, once");
        refuse(app, Route::Unknown, &parts, Body::new(body), refusal).await
    };
    drop(turns);
    for delay in app.edges.iter().filter_map(|edge| edge.delay()) {
        delay.await;
    }
    let route = response.extensions().get().copied().unwrap_or(Route::Unknown);
    let (status, micros) = (response.status().as_u16(), started.elapsed().as_micros());
    tracing::info!(method, route = route.template(), status, micros, "request");
    if response.extensions().get::<HangUp>().is_some() { Err(HungUp) } else { Ok(response) }
}

/// HTTP/1.1 needs exactly one `Host` (RFC 9112 §3.2); who reads another one than the proxy before it is led astray.
fn names_one_host(request: &Request<Incoming>) -> bool {
    let hosts = request.headers().get_all(header::HOST).iter().count();
    hosts == 1 || (hosts == 0 && request.version() < Version::HTTP_11)
}

/// Methods are free text in HTTP; only those that mean something here are logged.
fn known(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        _ => "(other)",
    }
}

/// A vault operation: 401 first, then the path, the body's size and shape (400, 413), and then the operation itself with
/// its 404, 403 and 409.
async fn vault(app: Arc<App>, route: Route, request: Request<Body>) -> Response<Body> {
    let (mut parts, body) = request.into_parts();
    match head(&app, route, &mut parts).and_then(|()| admit(&app, route, &parts)) {
        Ok(visitor) => {
            let answer = perform(&app, route, &parts, visitor, body).await;
            finish(&app, route, &parts, answer)
        }
        Err(refusal) => refuse(&app, route, &parts, body, refusal).await,
    }
}

fn head(app: &App, route: Route, parts: &mut Parts) -> Result<(), Refusal> {
    app.edges.iter().try_for_each(|edge| edge.head(route, parts))
}

async fn read(app: &App, route: Route, parts: &Parts, body: Body) -> Result<Bytes, Refusal> {
    let limit = app.edges.iter().fold(app.max_body, |limit, edge| edge.max_body(limit));
    let body = body::read(&parts.headers, body, limit).await?;
    app.edges.iter().try_fold(body, |body, edge| edge.body(&app.store, route, parts, body))
}

/// Who asks, and for what, as far as the head tells.
struct Visitor {
    caller: String,
    repo_id: Option<String>,
    member_id: Option<String>,
    early: Option<bool>,
}

fn admit(app: &App, route: Route, parts: &Parts) -> Result<Visitor, Refusal> {
    let caller = app.identity.authenticate(&app.authority, route, parts)?;
    // Raw segments: "", "v1", "repos", repo, operation, member.
    let mut segments = parts.uri.path().split('/').skip(3);
    let repo_id = segments.next().map(|raw| app.vault.decode_segment(raw)).transpose()?;
    let member_id = segments.nth(1).map(|raw| app.vault.decode_segment(raw)).transpose()?;
    let early = app.vault.on_headers(&app.store, route, repo_id.as_deref(), &caller);
    Ok(Visitor { caller, repo_id, member_id, early })
}

async fn perform(
    app: &App,
    route: Route,
    parts: &Parts,
    visitor: Visitor,
    body: Body,
) -> Result<Response<Bytes>, Refusal> {
    let body = read(app, route, parts, body).await?;
    let command = match route {
        Route::CreateRepo => VaultCommand::Create(parse(&body)?),
        Route::Pull => VaultCommand::Pull(parse(&body)?),
        Route::Push => VaultCommand::Push(parse(&body)?),
        Route::AddMember => VaultCommand::Add(parse(&body)?),
        Route::RemoveMember => VaultCommand::Remove(parse(&body)?),
        _ => VaultCommand::Fetch(visitor.member_id.unwrap_or_default()),
    };
    let repo_id = match (visitor.repo_id, command.body_repo_id()) {
        (Some(path), Some(named)) if !app.vault.body_names_repo(&path, named) => {
            return Err(Refusal::bad_request("path and body name different repositories"));
        }
        (Some(path), _) => path,
        (None, named) => named.unwrap_or_default().to_owned(),
    };
    app.vault.shape(&command)?;
    let visit = Visit { route, caller: visitor.caller, repo_id, early: visitor.early, command };
    json(&app.vault.execute(&app.store, &visit).await?)
}

async fn challenge(State(app): Shared, request: Request<Body>) -> Response<Body> {
    let answer = async |parts: &Parts, body| {
        let request: ChallengeRequest = parse(&read(&app, Route::Challenge, parts, body).await?)?;
        json(&app.identity.challenge(&app.authority, &request.ed25519_public_key)?)
    };
    open(&app, Route::Challenge, request, answer).await
}

async fn token(State(app): Shared, request: Request<Body>) -> Response<Body> {
    let answer = async |parts: &Parts, body| {
        let request: TokenRequest = parse(&read(&app, Route::Token, parts, body).await?)?;
        json(&app.identity.redeem(&app.authority, &request).await?)
    };
    open(&app, Route::Token, request, answer).await
}

async fn discovery(State(app): Shared, request: Request<Body>) -> Response<Body> {
    let answer = async |parts: &Parts, _| {
        let base = app.public_url.clone().or_else(|| base_url(parts));
        let issuer_jwks_url = base.map(|base| format!("{}{}", base.trim_end_matches('/'), Route::Jwks.template()));
        let profiles = ["http-json", "grpc"].into_iter().take(1 + usize::from(app.both)).map(str::to_owned).collect();
        json(&Discovery { profiles, issuer_jwks_url })
    };
    open(&app, Route::Discovery, request, answer).await
}

async fn jwks(State(app): Shared, request: Request<Body>) -> Response<Body> {
    open(&app, Route::Jwks, request, async |_: &Parts, _| json(&app.authority.issuer.jwks())).await
}

async fn refuse_all(app: Arc<App>, route: Route, request: Request<Body>, refusal: Refusal) -> Response<Body> {
    let (mut parts, body) = request.into_parts();
    let refusal = head(&app, route, &mut parts).err().unwrap_or(refusal);
    refuse(&app, route, &parts, body, refusal).await
}

/// A route that needs no token.
async fn open(
    app: &App,
    route: Route,
    request: Request<Body>,
    answer: impl AsyncFnOnce(&Parts, Body) -> Result<Response<Bytes>, Refusal>,
) -> Response<Body> {
    let (mut parts, body) = request.into_parts();
    if let Err(refusal) = head(app, route, &mut parts) {
        return refuse(app, route, &parts, body, refusal).await;
    }
    let answer = answer(&parts, body).await;
    finish(app, route, &parts, answer)
}

/// Where the client reached this server, if its Host header is one.
fn base_url(parts: &Parts) -> Option<String> {
    let host = parts.headers.get(header::HOST)?.to_str().ok()?;
    let authority: axum::http::uri::Authority = host.parse().ok()?;
    (!authority.as_str().contains('@')).then(|| format!("http://{authority}"))
}

/// Strict: unknown, missing, repeated and mistyped members are refused, and so is anything that isn't JSON.
fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    // serde_json's message names members of the schema and positions; cut short, it can't echo much of the body.
    serde_json::from_slice(body).map_err(|error| {
        let detail: String = error.to_string().chars().take(200).collect();
        Refusal::bad_request(detail)
    })
}

fn json<T: Serialize>(value: &T) -> Result<Response<Bytes>, Refusal> {
    let body = serde_json::to_vec(value).map_err(|_| Refusal::internal("an answer couldn't be written"))?;
    Ok(Response::new(Bytes::from(body)))
}

/// Refuses before the body was read.
async fn refuse(app: &App, route: Route, parts: &Parts, body: Body, refusal: Refusal) -> Response<Body> {
    let clean = body::discard(&parts.headers, body).await;
    let mut response = finish(app, route, parts, Err(refusal));
    if !clean {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

fn finish(app: &App, route: Route, parts: &Parts, answer: Result<Response<Bytes>, Refusal>) -> Response<Body> {
    let mut response = answer.unwrap_or_else(|refusal| refused(&refusal));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let mut response = app.edges.iter().fold(response, |response, edge| edge.response(route, parts, response));
    response.extensions_mut().insert(route);
    if response.extensions().get::<Unsized>().is_some() {
        return response.map(|body| Body::new(UnsizedBody(Some(body))));
    }
    response.map(Body::from)
}

fn refused(refusal: &Refusal) -> Response<Bytes> {
    let mut response = Response::new(refusal.body());
    *response.status_mut() = refusal.status;
    let headers = response.headers_mut();
    match refusal.status {
        StatusCode::UNAUTHORIZED => {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        // In both cases the client may still be sending, and nobody will read it.
        StatusCode::PAYLOAD_TOO_LARGE | StatusCode::REQUEST_TIMEOUT => {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        _ => {}
    }
    response
}
