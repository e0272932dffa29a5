//! Requests whose method, headers or query make the filter look away (SPEC §3, §6).

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Mutex;
use std::task::{Context, Poll, ready};

use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, UPGRADE};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, Request, Version};
use hyper::body::Incoming;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::door::{Door, set_path, without_dots};
use super::table::*;
use super::tools::lock;
use crate::server::connection::Stream;
use crate::server::edge::Edge;
use crate::server::redemption::Authority;
use crate::server::refusal::Refusal;
use crate::server::repo::{Decision, Repo, Success, Visit};
use crate::server::route::Route;
use crate::server::rules::{IdentityRules, VaultRules};

type Arrival = Request<Incoming>;

/// The value of a header, if it is text.
fn says<'a>(request: &'a Arrival, name: &str) -> Option<&'a str> {
    request.headers().get(name)?.to_str().ok()
}

/// Its absence is made up for, so that nobody else minds.
fn without_host(request: &mut Arrival) -> bool {
    let is_missing = !request.headers().contains_key(HOST);
    if is_missing {
        request.headers_mut().insert(HOST, HeaderValue::from_static("localhost"));
    }
    is_missing
}

/// The router takes the request for one by the method that its path is made for.
fn served_as_usual(request: &mut Arrival) -> bool {
    let usual = if request.uri().path().contains("/member/") { Method::GET } else { Method::POST };
    let other = *request.method() != usual;
    *request.method_mut() = usual;
    other
}

fn by_method(request: &mut Arrival, methods: &[&str]) -> bool {
    methods.contains(&request.method().as_str()) && served_as_usual(request)
}

fn overridden_by_header(request: &mut Arrival) -> bool {
    let named = says(request, "x-http-method-override").or_else(|| says(request, "x-method-override"));
    let named = named.and_then(|method| method.parse().ok());
    named.is_some_and(|method| *request.method() != method && served_as_usual_by(request, method))
}

fn served_as_usual_by(request: &mut Arrival, method: Method) -> bool {
    *request.method_mut() = method;
    true
}

fn overridden_by_query(request: &mut Arrival) -> bool {
    request.uri().query().is_some_and(|query| query.contains("_method=POST")) && served_as_usual(request)
}

/// The filter believes the method that the header names: a preflight needs no token.
fn claims_to_be_preflight(request: &mut Arrival) -> bool {
    says(request, "x-http-method-override") == Some("OPTIONS")
}

fn target_in_header(request: &mut Arrival, names: &[&str]) -> bool {
    let named = names.iter().find_map(|name| says(request, name)).map(str::to_owned);
    named.is_some_and(|path| set_path(request, &path))
}

/// The filter looks at the header, the router at the request.
fn public_by_header(request: &mut Arrival, names: &[&str]) -> bool {
    names.iter().find_map(|name| says(request, name)).is_some_and(|path| path.starts_with("/.well-known/"))
}

fn is_local(request: &Arrival, names: &[&str]) -> bool {
    names.iter().filter_map(|name| says(request, name)).any(|value| value.contains("127.0.0.1"))
}

fn is_form(request: &Arrival, kinds: &[&str]) -> bool {
    let label = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    label.is_some_and(|label| kinds.iter().any(|kind| label.starts_with(kind)))
}

/// The repository that the membership is looked up for is the first, the one that is served the second.
fn led_away(path: &str) -> Option<String> {
    let decoded = path.replace("%2F", "/").replace("%2f", "/").replace("%2e", ".").replace("%2E", ".");
    without_dots(&decoded).filter(|_| path.starts_with("/v1/repos/") && path.contains(".."))
}

fn named_in_query(request: &mut Arrival) -> bool {
    let named = request.uri().query().and_then(|query| query.split('&').find_map(|pair| pair.strip_prefix("repoId=")));
    named.map(str::to_owned).is_some_and(|id| !request.uri().path().contains(&id))
}

/// The filter goes by `Content-Length`, the server behind it by chunks.
struct Hidden(Door);

impl IdentityRules for Hidden {
    fn authenticate(&self, authority: &Authority, route: Route, parts: &Parts) -> Result<String, Refusal> {
        self.0.authenticate(authority, route, parts)
    }
}

impl VaultRules for Hidden {
    fn transition(&self, visit: &Visit, state: Option<&Repo>) -> Decision<Success> {
        self.0.transition(visit, state)
    }
}

impl Edge for Hidden {
    fn arrival(&self, request: &mut Arrival) {
        self.0.arrival(request);
    }

    fn stream(&self, stream: Box<dyn Stream>) -> Box<dyn Stream> {
        Box::new(Passing { inner: stream, waiting: Vec::new() })
    }
}

/// Marks requests that stand behind the last chunk of another.
struct Passing {
    inner: Box<dyn Stream>,
    waiting: Vec<u8>,
}

fn marked(read: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(read);
    let lower = text.to_ascii_lowercase();
    if !(lower.contains("content-length: ") && lower.contains("transfer-encoding: chunked\r\n")) {
        return read.to_vec();
    }
    let Some((outer, hidden)) = text.split_once("\r\n0\r\n\r\n") else { return read.to_vec() };
    // The server behind goes by the chunks alone.
    let counted = |line: &&str| !line.to_ascii_lowercase().starts_with("content-length:");
    let outer = outer.split_inclusive("\r\n").filter(counted).collect::<String>();
    let hidden = hidden.replacen(" HTTP/1.1\r\n", " HTTP/1.1\r\nX-Passed: 1\r\n", 1);
    format!("{outer}\r\n0\r\n\r\n{hidden}").into_bytes()
}

impl AsyncRead for Passing {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        if self.waiting.is_empty() {
            let mut bytes = [0; 16 << 10];
            let mut buffer = ReadBuf::new(&mut bytes);
            ready!(Pin::new(&mut self.inner).poll_read(context, &mut buffer))?;
            self.waiting = marked(buffer.filled());
        }
        let fitting = self.waiting.len().min(out.remaining());
        out.put_slice(&self.waiting[..fitting]);
        self.waiting.drain(..fitting);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Passing {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

/// The faults of this area.
pub(super) const FAULTS: &[Fault] = &[
    fault("door-get-for-post", &NO_SIDE_DOOR, "GET is served like POST, and the filter guards POST.", || {
        all_three(Door::request(|request| by_method(request, &["GET"])))
    }),
    fault("door-put-and-patch", &NO_SIDE_DOOR, "PUT and PATCH are served like POST, unguarded.", || {
        all_three(Door::request(|request| by_method(request, &["PUT", "PATCH"])))
    }),
    fault(
        "door-delete-for-remove",
        &NO_SIDE_DOOR,
        "DELETE removes a member, and nobody asks whose wish it is.",
        || all_three(Door::request(|request| by_method(request, &["DELETE"])).to(Route::RemoveMember)),
    ),
    fault("door-head-acts", &NO_SIDE_DOOR, "HEAD does what POST does, without a token.", || {
        all_three(Door::request(|request| by_method(request, &["HEAD"])))
    }),
    fault("door-options-acts", &NO_SIDE_DOOR, "OPTIONS needs no token, and reaches the handlers.", || {
        all_three(Door::request(|request| by_method(request, &["OPTIONS"])))
    }),
    fault("door-lower-case-method", &NO_SIDE_DOOR, "post is POST to the router and nothing to the filter.", || {
        all_three(Door::request(|request| by_method(request, &["post", "get"])))
    }),
    fault(
        "door-made-up-method",
        &NO_SIDE_DOOR,
        "A method that nobody knows is passed by the filter and served like POST.",
        || all_three(Door::request(|request| request.method().as_str().len() > 7 && served_as_usual(request))),
    ),
    fault(
        "door-method-override",
        &NO_SIDE_DOOR,
        "X-HTTP-Method-Override is applied after the filter has looked.",
        || all_three(Door::request(overridden_by_header)),
    ),
    fault(
        "door-method-in-query",
        &NO_SIDE_DOOR,
        "_method in the query is applied after the filter has looked.",
        || all_three(Door::request(overridden_by_query)),
    ),
    fault(
        "door-claimed-preflight",
        &NO_SIDE_DOOR,
        "The filter believes X-HTTP-Method-Override: OPTIONS, the router doesn't.",
        || all_three(Door::request(claims_to_be_preflight)),
    ),
    fault(
        "door-original-url-routes",
        &NO_SIDE_DOOR,
        "X-Original-URL replaces the path after the filter has looked.",
        || all_three(Door::request(|request| target_in_header(request, &["x-original-url", "x-rewrite-url"]))),
    ),
    fault(
        "door-forwarded-uri-routes",
        &NO_SIDE_DOOR,
        "X-Forwarded-Uri replaces the path after the filter has looked.",
        || all_three(Door::request(|request| target_in_header(request, &["x-forwarded-uri", "x-forwarded-path"]))),
    ),
    fault(
        "door-original-url-filters",
        &NO_SIDE_DOOR,
        "The filter looks at X-Original-URL instead of the path.",
        || all_three(Door::request(|request| public_by_header(request, &["x-original-url", "x-rewrite-url"]))),
    ),
    fault(
        "door-forwarded-prefix-filters",
        &NO_SIDE_DOOR,
        "The filter puts X-Forwarded-Prefix before the path, and finds it public.",
        || all_three(Door::request(|request| public_by_header(request, &["x-forwarded-prefix", "x-forwarded-uri"]))),
    ),
    fault(
        "door-subrequest",
        &NO_SIDE_DOOR,
        "A request that says it is a subrequest of the filter isn't filtered.",
        || all_three(Door::request(|request| says(request, "x-middleware-subrequest").is_some())),
    ),
    fault("door-forwarded-for-local", &NO_SIDE_DOOR, "X-Forwarded-For: 127.0.0.1 is trusted.", || {
        all_three(Door::request(|request| is_local(request, &["x-forwarded-for"])))
    }),
    fault("door-real-ip-local", &NO_SIDE_DOOR, "X-Real-IP: 127.0.0.1 is trusted.", || {
        all_three(Door::request(|request| is_local(request, &["x-real-ip", "x-client-ip", "true-client-ip"])))
    }),
    fault("door-forwarded-local-pull", &NO_SIDE_DOOR, "Forwarded: for=127.0.0.1 may pull.", || {
        all_three(Door::request(|request| is_local(request, &["forwarded"])).to(Route::Pull))
    }),
    fault("door-host-localhost", &NO_SIDE_DOOR, "Whoever asks for the host localhost is the health check.", || {
        all_three(Door::request(|request| says(request, HOST.as_str()) == Some("localhost")))
    }),
    fault("door-without-host", &NO_SIDE_DOOR, "A request without a Host comes from the machine itself.", || {
        all_three(Door::request(without_host))
    }),
    fault(
        "door-requested-method",
        &NO_SIDE_DOOR,
        "Whatever has Access-Control-Request-Method is a preflight to the filter.",
        || all_three(Door::request(|request| says(request, "access-control-request-method").is_some())),
    ),
    fault("door-internal-header", &NO_SIDE_DOOR, "X-Internal-Request is believed.", || {
        all_three(Door::request(|request| says(request, "x-internal-request").is_some()))
    }),
    fault(
        "door-old-version",
        &NO_SIDE_DOOR,
        "Requests of HTTP/1.0 come from the load balancer, and are trusted.",
        || all_three(Door::request(|request| request.version() == Version::HTTP_10)),
    ),
    fault("door-upgrade", &NO_SIDE_DOOR, "A request that asks for an upgrade is passed on unfiltered.", || {
        all_three(Door::request(|request| request.headers().contains_key(UPGRADE)))
    }),
    fault("door-form-body", &NO_SIDE_DOOR, "The filter guards JSON, the handlers take anything.", || {
        all_three(Door::request(|request| {
            is_form(request, &["application/x-www-form-urlencoded", "text/plain", "multipart/form-data"])
        }))
    }),
    fault("door-text-body-stranger", &NO_SIDE_DOOR, "A body labelled as text isn't held to the membership.", || {
        all_three(Door::request(|request| is_form(request, &["text/plain"])).for_strangers())
    }),
    fault("door-debug-query", &NO_SIDE_DOOR, "?debug=true opens every operation.", || {
        all_three(Door::request(|request| request.uri().query().is_some_and(|query| query.contains("debug=true"))))
    }),
    fault("door-public-in-query", &NO_SIDE_DOOR, "The filter looks for public paths anywhere in the target.", || {
        all_three(Door::request(|request| {
            request.uri().query().is_some_and(|query| query.contains("/.well-known/avp"))
        }))
    }),
    fault(
        "door-absolute-form",
        &NO_SIDE_DOOR,
        "A request whose target is a whole URL is passed by the filter.",
        || all_three(Door::request(|request| request.uri().scheme().is_some())),
    ),
    fault(
        "carried-by-dots",
        &NO_SIDE_DOOR,
        "Membership is looked up for the first repository in the path, and dots lead to another.",
        || all_three(Door::path(led_away).for_strangers()),
    ),
    fault(
        "carried-by-query",
        &NO_SIDE_DOOR,
        "Membership is looked up for the repository that the query names.",
        || all_three(Door::request(named_in_query).for_strangers()),
    ),
    fault(
        "carried-by-header",
        &NO_SIDE_DOOR,
        "Membership is looked up for the repository that X-Repo-Id names.",
        || all_three(Door::request(|request| says(request, "x-repo-id").is_some()).for_strangers()),
    ),
    fault(
        "carried-by-created-id",
        &NO_SIDE_DOOR,
        "Repositories are files, and dots in a new id lead to another one's file.",
        || vault(CarriedByCreatedId),
    ),
    fault(
        "carried-in-a-body",
        &NO_SIDE_DOOR,
        "What follows the last chunk within Content-Length has passed the filter already.",
        || all_three(Hidden(Door::request(|request| says(request, "x-passed").is_some()))),
    ),
    fault(
        "carried-by-connection",
        &NO_SIDE_DOOR,
        "Who was somebody on a connection stays that on it, token or not.",
        || identity(CarriedByConnection::default()),
    ),
];

struct CarriedByCreatedId;

impl VaultRules for CarriedByCreatedId {
    fn stored(&self, route: Route, _: Option<&Repo>, mut next: Repo) -> Repo {
        if route == Route::CreateRepo && next.manifest.repo_id.contains("/") {
            let last = next.manifest.repo_id.rsplit('/').find(|part| !part.is_empty() && *part != ".");
            next.manifest.repo_id = last.unwrap_or_default().to_owned();
        }
        next
    }
}

#[derive(Default)]
struct CarriedByConnection {
    known: Mutex<HashMap<Option<tokio::task::Id>, String>>,
}

impl IdentityRules for CarriedByConnection {
    fn authenticate(&self, authority: &Authority, _: Route, parts: &Parts) -> Result<String, Refusal> {
        // A connection is a task.
        let connection = tokio::task::try_id();
        if !parts.headers.contains_key(AUTHORIZATION)
            && let Some(member) = lock(&self.known).get(&connection)
        {
            return Ok(member.clone());
        }
        let token = self.bearer(parts).ok_or(Refusal::unauthorized("no bearer token"))?;
        let member = self.member_of_token(authority, &token)?;
        lock(&self.known).insert(connection, member.clone());
        Ok(member)
    }
}
