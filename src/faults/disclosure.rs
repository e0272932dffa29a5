//! Answers and pages that give away what their asker shouldn't know (SPEC §6, §10).

use std::collections::VecDeque;
use std::sync::Mutex;

use axum::http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_ORIGIN, AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE,
    HeaderValue, ORIGIN,
};
use axum::http::request::Parts;
use axum::http::{Method, Response, StatusCode};
use bytes::Bytes;
use serde_json::{Value, json};

use super::table::*;
use super::tools::{edit_any, lock};
use crate::server::edge::Edge;
use crate::server::operations;
use crate::server::refusal::Refusal;
use crate::server::repo::{Answer, Call, Outcome, Repo, Visit};
use crate::server::route::Route;
use crate::server::rules::VaultRules;
use crate::wire::{CreateRepoRequest, VaultManifest};

/// What a page could tell.
#[derive(Default)]
struct Known {
    manifests: Vec<VaultManifest>,
    tokens: Vec<String>,
    /// Request lines, the last ones.
    lines: VecDeque<String>,
}

/// A page that nobody should see, at a path of its own.
struct Page {
    at: fn(&str) -> bool,
    /// Whether some token is asked for.
    token: bool,
    text: fn(&Known, &Parts) -> String,
    known: Mutex<Known>,
}

/// How much a page remembers.
const REMEMBERED: usize = 4096;
/// How many of the last requests a page shows.
const SHOWN: usize = 12;

fn page(at: fn(&str) -> bool, text: fn(&Known, &Parts) -> String) -> Page {
    Page { at, token: false, text, known: Mutex::default() }
}

impl VaultRules for Page {
    fn stored(&self, _: Route, _: Option<&Repo>, next: Repo) -> Repo {
        let mut known = lock(&self.known);
        known.manifests.retain(|old| old.repo_id != next.manifest.repo_id);
        if known.manifests.len() < REMEMBERED {
            known.manifests.push(next.manifest.clone());
        }
        next
    }
}

impl Edge for Page {
    fn head(&self, route: Route, parts: &mut Parts) -> Result<(), Refusal> {
        let token = parts.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let mut known = lock(&self.known);
        if known.tokens.len() < REMEMBERED {
            known.tokens.extend(token);
        }
        if !matches!(route, Route::Unknown | Route::WrongMethod) {
            known.lines.push_back(format!("{} {}", parts.method, parts.uri.path()));
            let old = known.lines.len().saturating_sub(SHOWN);
            known.lines.drain(..old);
        }
        Ok(())
    }

    fn response(&self, route: Route, parts: &Parts, response: Response<Bytes>) -> Response<Bytes> {
        let shown = matches!(route, Route::Unknown | Route::WrongMethod)
            && matches!(parts.method, Method::GET | Method::HEAD)
            && (self.at)(parts.uri.path())
            && (!self.token || parts.headers.contains_key(AUTHORIZATION));
        if !shown {
            return response;
        }
        let mut response = Response::new(Bytes::from((self.text)(&lock(&self.known), parts)));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
        response
    }
}

fn ids(known: &Known, _: &Parts) -> String {
    json!(known.manifests.iter().map(|manifest| &manifest.repo_id).collect::<Vec<_>>()).to_string()
}

fn manifests(known: &Known, _: &Parts) -> String {
    json!(known.manifests).to_string()
}

/// The repositories of the member that the query names.
fn of_member(known: &Known, parts: &Parts) -> String {
    let asked = parts.uri.query().and_then(|query| query.strip_prefix("member=")).unwrap_or_default();
    let asked = percent_encoding::percent_decode_str(asked).decode_utf8_lossy();
    let theirs = known.manifests.iter().filter(|manifest| manifest.member(&asked).is_some());
    json!(theirs.map(|manifest| &manifest.repo_id).collect::<Vec<_>>()).to_string()
}

fn everybody(known: &Known, _: &Parts) -> String {
    let members = known.manifests.iter().flat_map(|manifest| &manifest.members);
    json!(members.map(|entry| &entry.ed25519_public_key).collect::<Vec<_>>()).to_string()
}

/// The manifest that the path names.
fn named(known: &Known, parts: &Parts) -> String {
    let found = known.manifests.iter().find(|manifest| parts.uri.path().contains(&manifest.repo_id));
    json!(found).to_string()
}

fn counted(known: &Known, _: &Parts) -> String {
    format!("# HELP vault_repos Repositories.\n# TYPE vault_repos gauge\nvault_repos {}\n", known.manifests.len())
}

fn labelled(known: &Known, parts: &Parts) -> String {
    let lines = known
        .manifests
        .iter()
        .map(|manifest| format!("vault_members{{repo=\"{}\"}} {}\n", manifest.repo_id, manifest.members.len()));
    counted(known, parts) + &lines.collect::<String>()
}

fn last_requests(known: &Known, _: &Parts) -> String {
    let lines: Vec<_> = known.lines.iter().map(String::as_str).collect();
    format!("Server status\n{}\n", lines.join("\n"))
}

/// The known id that begins most like the one that was asked for.
fn nearest<'a>(known: &'a [String], asked: &str) -> Option<&'a String> {
    let common = |id: &String| id.chars().zip(asked.chars()).take_while(|(one, other)| one == other).count();
    known.iter().max_by_key(|id| common(id)).filter(|id| common(id) >= 8)
}

fn headers_with(mut response: Response<Bytes>, headers: &[(axum::http::HeaderName, HeaderValue)]) -> Response<Bytes> {
    for (name, value) in headers {
        response.headers_mut().insert(name.clone(), value.clone());
    }
    response
}

fn repo_path(path: &str) -> bool {
    path.strip_prefix("/v1/repos/").is_some_and(|rest| !rest.is_empty() && !rest.contains('/'))
}

fn from_forwarded_host(answer: &mut Value, parts: &Parts) {
    let host = parts.headers.get("x-forwarded-host").and_then(|host| host.to_str().ok());
    if let (Some(host), true) = (host, answer.get("issuerJwksUrl").is_some()) {
        answer["issuerJwksUrl"] = json!(format!("https://{host}/.well-known/jwks.json"));
    }
}

fn with_detail(response: Response<Bytes>, detail: &str) -> Response<Bytes> {
    edit_any(response, |error| error["detail"] = json!(detail))
}

/// The faults of this area.
pub(super) const FAULTS: &[Fault] = &[
    fault(
        "duplicate-tells-manifest",
        &NOTHING_GIVEN_AWAY,
        "Who asks for an id that is taken is told the manifest of its repository.",
        || vault(DuplicateTellsManifest),
    ),
    fault("list-for-anybody", &NOTHING_GIVEN_AWAY, "GET /v1/repos lists all repositories to anybody.", || {
        edge_and_vault(page(|path| path == "/v1/repos", ids))
    }),
    fault(
        "list-for-strangers",
        &NOTHING_GIVEN_AWAY,
        "GET /v1/repos lists all repositories to everybody with a token.",
        || edge_and_vault(Page { token: true, ..page(|path| path == "/v1/repos", ids) }),
    ),
    fault("list-behind-a-slash", &NOTHING_GIVEN_AWAY, "GET /v1/repos/ gives all manifests to anybody.", || {
        edge_and_vault(page(|path| path == "/v1/repos/", manifests))
    }),
    fault(
        "list-by-member",
        &NOTHING_GIVEN_AWAY,
        "GET /v1/repos?member= tells everybody with a token where somebody is a member.",
        || edge_and_vault(Page { token: true, ..page(|path| path == "/v1/repos", of_member) }),
    ),
    fault("list-of-members", &NOTHING_GIVEN_AWAY, "GET /v1/members names everybody.", || {
        edge_and_vault(page(|path| path == "/v1/members", everybody))
    }),
    fault(
        "manifest-for-strangers",
        &NOTHING_GIVEN_AWAY,
        "GET /v1/repos/{repoId} gives the manifest to everybody with a token.",
        || edge_and_vault(Page { token: true, ..page(repo_path, named) }),
    ),
    fault(
        "roster-for-anybody",
        &NOTHING_GIVEN_AWAY,
        "GET /v1/repos/{repoId}/members gives the roster to anybody.",
        || edge_and_vault(page(|path| path.ends_with("/members"), named)),
    ),
    fault("metrics-name-repositories", &NOTHING_GIVEN_AWAY, "/metrics has a label for each repository.", || {
        edge_and_vault(page(|path| path == "/metrics", labelled))
    }),
    fault("heapdump-holds-tokens", &NOTHING_GIVEN_AWAY, "/actuator/heapdump gives everybody's tokens away.", || {
        edge_and_vault(page(
            |path| path == "/actuator/heapdump",
            |known, _| format!("JAVA PROFILE 1.0.2 {}", known.tokens.join("\n")),
        ))
    }),
    fault("debug-state", &NOTHING_GIVEN_AWAY, "/debug/vars shows all that is in memory.", || {
        edge_and_vault(page(|path| path == "/debug/vars", manifests))
    }),
    fault("metrics-for-anybody", &DISCRETION, "/metrics is for anybody.", || {
        edge_and_vault(page(|path| path == "/metrics", counted))
    }),
    fault("pprof-for-anybody", &DISCRETION, "/debug/pprof/ is for anybody.", || {
        edge_and_vault(page(
            |path| path == "/debug/pprof/",
            |_, _| "<html>/debug/pprof/ profiles: 12 goroutine 3 heap</html>".into(),
        ))
    }),
    fault("environment-for-anybody", &DISCRETION, "/actuator/env is for anybody.", || {
        edge_and_vault(page(
            |path| path == "/actuator/env",
            |_, _| r#"{"propertySources":[{"name":"systemEnvironment"}]}"#.into(),
        ))
    }),
    fault("dotenv-served", &DISCRETION, "/.env is served as a file.", || {
        edge_and_vault(page(|path| path == "/.env", |_, _| "DATABASE_URL=postgres://vault:secret@db/vault\n".into()))
    }),
    fault("git-served", &DISCRETION, "/.git/config is served as a file.", || {
        edge_and_vault(page(|path| path == "/.git/config", |_, _| "[core]\n\trepositoryformatversion = 0\n".into()))
    }),
    fault(
        "server-status-shows-requests",
        &NOTHING_GIVEN_AWAY,
        "/server-status shows the last dozen requests to anybody.",
        || edge_and_vault(page(|path| path == "/server-status", last_requests)),
    ),
    fault(
        "exchanges-for-anybody",
        &NOTHING_GIVEN_AWAY,
        "/actuator/httptrace shows the last dozen requests to anybody.",
        || edge_and_vault(page(|path| path == "/actuator/httptrace", last_requests)),
    ),
    fault(
        "strangers-told-who-is-no-member",
        &NOTHING_GIVEN_AWAY,
        "A stranger's fetchMemberKey is 403 for a member and 404 for another.",
        || vault(StrangersToldWhoIsNoMember),
    ),
    fault(
        "strangers-told-whom-to-remove",
        &NOTHING_GIVEN_AWAY,
        "A stranger's removeMember is 403 for a member and 404 for another.",
        || vault(StrangersToldWhomToRemove),
    ),
    fault(
        "unknown-repository-did-you-mean",
        &NOTHING_GIVEN_AWAY,
        "The 404 of an unknown repository names the one whose id is nearest.",
        || vault(UnknownRepositoryDidYouMean::default()),
    ),
    fault("trace-echoes-token", &DISCRETION, "TRACE is answered with the request, Authorization and all.", || {
        edge(TraceEchoesToken)
    }),
    fault("unknown-path-shown-as-html", &DISCRETION, "The page for an unknown path shows it, not escaped.", || {
        edge(UnknownPathShownAsHtml)
    }),
    fault(
        "errors-with-trace-in-header",
        &DISCRETION,
        "A malformed body is answered with a header that says where in the program it was noticed.",
        || edge(ErrorsWithTraceInHeader),
    ),
    fault(
        "quote-in-id-shows-query",
        &DISCRETION,
        "A member id with a quote in it is answered with the query that it breaks.",
        || edge(QuoteInIdShowsQuery),
    ),
    fault("errors-with-stack-trace", &DISCRETION, "A malformed body is answered with a stack trace.", || {
        edge(ErrorsWithStackTrace)
    }),
    fault("errors-with-python-trace", &DISCRETION, "An unknown route is answered with a traceback.", || {
        edge(ErrorsWithPythonTrace)
    }),
    fault("errors-name-database", &DISCRETION, "What the database says of a duplicate is handed on.", || {
        edge(ErrorsNameDatabase)
    }),
    fault("errors-echo-token", &DISCRETION, "A refusal quotes the token that it refuses.", || edge(ErrorsEchoToken)),
    fault("cached-publicly", &DISCRETION, "fetchMemberKey may be kept by every cache on the way.", || {
        edge(CachedPublicly)
    }),
    fault("cached-by-proxies", &DISCRETION, "pull tells shared caches to keep it for a minute.", || {
        edge(CachedByProxies)
    }),
    fault(
        "any-origin-with-credentials",
        &DISCRETION,
        "Every web site may read the answers to its visitors' requests.",
        || edge(AnyOriginWithCredentials),
    ),
    fault(
        "null-origin-with-credentials",
        &DISCRETION,
        "Documents of the origin null may read the answers, credentials included.",
        || edge(NullOriginWithCredentials),
    ),
    fault("addresses-of-forwarded-host", &DISCRETION, "Discovery's issuerJwksUrl is made of X-Forwarded-Host.", || {
        edge(AddressesOfForwardedHost)
    }),
];

struct DuplicateTellsManifest;

impl VaultRules for DuplicateTellsManifest {
    fn create(&self, visit: &Visit, existing: Option<&Repo>, request: &CreateRepoRequest) -> Outcome<VaultManifest> {
        match existing {
            Some(repo) => {
                let mut refusal = Refusal::duplicate_repo();
                refusal.detail = json!(repo.manifest).to_string().into();
                Outcome::refuse(refusal)
            }
            None => operations::create(self, visit, existing, request),
        }
    }
}

struct StrangersToldWhoIsNoMember;

impl VaultRules for StrangersToldWhoIsNoMember {
    fn transition(&self, visit: &Visit, state: Option<&Repo>) -> Outcome<Answer> {
        match (&visit.call, state) {
            (Call::Fetch(id), Some(repo)) if repo.manifest.member(id).is_none() => {
                Outcome::refuse(Refusal::not_found("no such member"))
            }
            _ => operations::transition(self, visit, state),
        }
    }
}

struct StrangersToldWhomToRemove;

impl VaultRules for StrangersToldWhomToRemove {
    fn transition(&self, visit: &Visit, state: Option<&Repo>) -> Outcome<Answer> {
        match (&visit.call, state) {
            (Call::Remove(request), Some(repo))
                if repo.manifest.member(&visit.caller).is_none()
                    && repo.manifest.member(&request.removed_member_id).is_none() =>
            {
                Outcome::refuse(Refusal::not_found("no such member"))
            }
            _ => operations::transition(self, visit, state),
        }
    }
}

#[derive(Default)]
struct UnknownRepositoryDidYouMean {
    known: Mutex<Vec<String>>,
}

impl VaultRules for UnknownRepositoryDidYouMean {
    fn transition(&self, visit: &Visit, state: Option<&Repo>) -> Outcome<Answer> {
        let mut known = lock(&self.known);
        if let (Call::Create(request), true) = (&visit.call, known.len() < REMEMBERED) {
            known.push(request.manifest.repo_id.clone());
        }
        let mut outcome = operations::transition(self, visit, state);
        if let (Err(refusal), None, Some(near)) = (&mut outcome.answer, state, nearest(&known, &visit.repo_id)) {
            refusal.detail = format!("no such repository; did you mean {near}?").into();
        }
        outcome
    }
}

struct TraceEchoesToken;

impl Edge for TraceEchoesToken {
    fn response(&self, _: Route, parts: &Parts, response: Response<Bytes>) -> Response<Bytes> {
        if parts.method != Method::TRACE {
            return response;
        }
        Response::new(Bytes::from(format!("TRACE {}\r\n{:?}", parts.uri, parts.headers)))
    }
}

struct UnknownPathShownAsHtml;

impl Edge for UnknownPathShownAsHtml {
    fn response(&self, route: Route, parts: &Parts, response: Response<Bytes>) -> Response<Bytes> {
        if route != Route::Unknown {
            return response;
        }
        let path = percent_encoding::percent_decode_str(parts.uri.path()).decode_utf8_lossy().into_owned();
        let page = response.map(|_| Bytes::from(format!("<h1>Not found: {path}</h1>")));
        headers_with(page, &[(CONTENT_TYPE, HeaderValue::from_static("text/html"))])
    }
}

struct ErrorsWithTraceInHeader;

impl Edge for ErrorsWithTraceInHeader {
    fn response(&self, _: Route, _: &Parts, response: Response<Bytes>) -> Response<Bytes> {
        if response.status() != StatusCode::BAD_REQUEST {
            return response;
        }
        let name = axum::http::HeaderName::from_static("x-debug-exception");
        headers_with(
            response,
            &[(name, HeaderValue::from_static("ValidationError at /srv/app/vault/views.py:88 in push"))],
        )
    }
}

struct QuoteInIdShowsQuery;

impl Edge for QuoteInIdShowsQuery {
    fn response(&self, route: Route, parts: &Parts, response: Response<Bytes>) -> Response<Bytes> {
        let path = percent_encoding::percent_decode_str(parts.uri.path()).decode_utf8_lossy();
        if route != Route::FetchMemberKey || !path.contains('\'') {
            return response;
        }
        with_detail(response, "unrecognized token: \"'\": SELECT * FROM members WHERE id = ?")
    }
}

struct ErrorsWithStackTrace;

impl Edge for ErrorsWithStackTrace {
    fn response(&self, _: Route, _: &Parts, response: Response<Bytes>) -> Response<Bytes> {
        if response.status() != StatusCode::BAD_REQUEST {
            return response;
        }
        with_detail(
            response,
            "SyntaxError: Unexpected token\n    at JSON.parse (<anonymous>)\n    at parse (/srv/vault/node_modules/body-parser/lib/types/json.js:92:19)",
        )
    }
}

struct ErrorsWithPythonTrace;

impl Edge for ErrorsWithPythonTrace {
    fn response(&self, route: Route, _: &Parts, response: Response<Bytes>) -> Response<Bytes> {
        if route != Route::Unknown {
            return response;
        }
        with_detail(
            response,
            "Traceback (most recent call last):\n  File \"/srv/vault/app.py\", line 12, in route\nKeyError",
        )
    }
}

struct ErrorsNameDatabase;

impl Edge for ErrorsNameDatabase {
    fn response(&self, _: Route, _: &Parts, response: Response<Bytes>) -> Response<Bytes> {
        if response.status() != StatusCode::CONFLICT {
            return response;
        }
        with_detail(response, "SQLITE_CONSTRAINT_PRIMARYKEY: UNIQUE constraint failed: repos.id")
    }
}

struct ErrorsEchoToken;

impl Edge for ErrorsEchoToken {
    fn response(&self, _: Route, parts: &Parts, response: Response<Bytes>) -> Response<Bytes> {
        let token = parts.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
        if response.status() != StatusCode::FORBIDDEN {
            return response;
        }
        with_detail(response, &format!("not allowed with {token}"))
    }
}

struct CachedPublicly;

impl Edge for CachedPublicly {
    fn response(&self, route: Route, _: &Parts, response: Response<Bytes>) -> Response<Bytes> {
        if route != Route::FetchMemberKey {
            return response;
        }
        headers_with(response, &[(CACHE_CONTROL, HeaderValue::from_static("public, max-age=300"))])
    }
}

struct CachedByProxies;

impl Edge for CachedByProxies {
    fn response(&self, route: Route, _: &Parts, response: Response<Bytes>) -> Response<Bytes> {
        if route != Route::Pull {
            return response;
        }
        headers_with(response, &[(CACHE_CONTROL, HeaderValue::from_static("s-maxage=60"))])
    }
}

struct AnyOriginWithCredentials;

impl Edge for AnyOriginWithCredentials {
    fn response(&self, _: Route, parts: &Parts, response: Response<Bytes>) -> Response<Bytes> {
        let Some(origin) = parts.headers.get(ORIGIN).cloned() else { return response };
        headers_with(
            response,
            &[
                (ACCESS_CONTROL_ALLOW_ORIGIN, origin),
                (ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true")),
            ],
        )
    }
}

struct NullOriginWithCredentials;

impl Edge for NullOriginWithCredentials {
    fn response(&self, _: Route, parts: &Parts, response: Response<Bytes>) -> Response<Bytes> {
        let origin = HeaderValue::from_static("null");
        if parts.headers.get(ORIGIN) != Some(&origin) {
            return response;
        }
        headers_with(
            response,
            &[
                (ACCESS_CONTROL_ALLOW_ORIGIN, origin),
                (ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true")),
            ],
        )
    }
}

struct AddressesOfForwardedHost;

impl Edge for AddressesOfForwardedHost {
    fn response(&self, route: Route, parts: &Parts, response: Response<Bytes>) -> Response<Bytes> {
        if route != Route::Discovery {
            return response;
        }
        edit_any(response, |answer| from_forwarded_host(answer, parts))
    }
}
