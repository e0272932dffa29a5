//! Errors and headers that give away what their reader shouldn't know (SPEC §6).

use std::sync::Mutex;

use axum::http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_ORIGIN, AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE,
    HeaderValue, ORIGIN,
};
use axum::http::request::Parts;
use axum::http::{Method, Response, StatusCode};
use bytes::Bytes;
use serde_json::{Value, json};

use super::pages::REMEMBERED;
use super::table::*;
use super::tools::{edit_any, lock};
use crate::server::edge::Edge;
use crate::server::operations;
use crate::server::refusal::Refusal;
use crate::server::repo::{Decision, Repo, Success, VaultCommand, Visit};
use crate::server::route::Route;
use crate::server::rules::VaultRules;

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

struct StrangersToldWhoIsNoMember;

impl VaultRules for StrangersToldWhoIsNoMember {
    fn transition(&self, visit: &Visit, state: Option<&Repo>) -> Decision<Success> {
        match (&visit.command, state) {
            (VaultCommand::Fetch(id), Some(repo)) if repo.manifest.member(id).is_none() => {
                Decision::refuse(Refusal::not_found("no such member"))
            }
            _ => operations::transition(self, visit, state),
        }
    }
}

struct StrangersToldWhomToRemove;

impl VaultRules for StrangersToldWhomToRemove {
    fn transition(&self, visit: &Visit, state: Option<&Repo>) -> Decision<Success> {
        match (&visit.command, state) {
            (VaultCommand::Remove(request), Some(repo))
                if repo.manifest.member(&visit.caller).is_none()
                    && repo.manifest.member(&request.removed_member_id).is_none() =>
            {
                Decision::refuse(Refusal::not_found("no such member"))
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
    fn transition(&self, visit: &Visit, state: Option<&Repo>) -> Decision<Success> {
        let mut known = lock(&self.known);
        if let (VaultCommand::Create(request), true) = (&visit.command, known.len() < REMEMBERED) {
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
            "SyntaxError: Unexpected token\n    at JSON.parse (<anonymous>)\n    \
             at parse (/srv/vault/node_modules/body-parser/lib/types/json.js:92:19)",
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
