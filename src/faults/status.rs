//! Refusals with another code than the wire contract has for their cause (SPEC §3, §6).

use axum::http::request::Parts;
use axum::http::{Response, StatusCode};
use bytes::Bytes;

use super::table::*;
use super::tools::with_status;
use crate::server::edge::Edge;
use crate::server::route::Route;

/// Another code instead of one, on one route or on all, for refusals that say so in their detail.
struct Coded {
    route: Option<Route>,
    says: &'static str,
    code: u16,
}

impl Edge for Coded {
    fn response(&self, route: Route, _: &Parts, response: Response<Bytes>) -> Response<Bytes> {
        let meant = self.route.is_none_or(|only| only == route) && response.status().is_client_error();
        let says = meant && String::from_utf8_lossy(response.body()).contains(self.says);
        match StatusCode::from_u16(self.code).ok().filter(|_| says) {
            Some(code) => with_status(response, code),
            None => response,
        }
    }
}

const fn all(says: &'static str, code: u16) -> Coded {
    Coded { route: None, says, code }
}

const fn on(route: Route, says: &'static str, code: u16) -> Coded {
    Coded { route: Some(route), says, code }
}

/// What the conformant server says of each cause.
const NO_TOKEN: &str = "no bearer token";
const NOT_OURS: &str = "the token isn't one of ours";
const BAD_SIGNATURE: &str = "the token's signature";
const TOKEN_EXPIRED: &str = "the token has expired";
const NONCE: &str = "the nonce can't be redeemed";
const STRANGER: &str = "isn't a member";
const NO_REPO: &str = "no such repository";
const NO_MEMBER: &str = "no such member";
const DUPLICATE: &str = "with this id exists";

/// The faults of this area.
pub(super) const FAULTS: &[Fault] = &[
    fault(
        "names-of-objects-are-500",
        &STATUS_UNKNOWN,
        "A repository that is named like a member of every object, and isn't there, is 500.",
        || edge(NamesOfObjectsAre500),
    ),
    fault("no-token-is-400", &STATUS_TOKEN, "A request without a token is 400: a header is missing.", || {
        edge(all(NO_TOKEN, 400))
    }),
    fault("no-token-is-404", &STATUS_TOKEN, "A request without a token is 404, as if nothing were there.", || {
        edge(all(NO_TOKEN, 404))
    }),
    fault(
        "no-token-is-422",
        &STATUS_TOKEN,
        "A request without a token is 422, a framework's default for a missing header.",
        || edge(all(NO_TOKEN, 422)),
    ),
    fault("no-token-is-403-at-create", &STATUS_TOKEN, "createRepo without a token is 403.", || {
        edge(on(Route::CreateRepo, NO_TOKEN, 403))
    }),
    fault("no-token-is-403-at-pull", &STATUS_TOKEN, "pull without a token is 403.", || {
        edge(on(Route::Pull, NO_TOKEN, 403))
    }),
    fault("no-token-is-403-at-push", &STATUS_TOKEN, "push without a token is 403.", || {
        edge(on(Route::Push, NO_TOKEN, 403))
    }),
    fault("no-token-is-403-at-add", &STATUS_TOKEN, "addMember without a token is 403.", || {
        edge(on(Route::AddMember, NO_TOKEN, 403))
    }),
    fault("no-token-is-403-at-remove", &STATUS_TOKEN, "removeMember without a token is 403.", || {
        edge(on(Route::RemoveMember, NO_TOKEN, 403))
    }),
    fault("no-token-is-403-at-fetch", &STATUS_TOKEN, "fetchMemberKey without a token is 403.", || {
        edge(on(Route::FetchMemberKey, NO_TOKEN, 403))
    }),
    fault("garbage-token-is-400", &STATUS_TOKEN, "A token that can't be parsed is 400.", || edge(all(NOT_OURS, 400))),
    fault("garbage-token-is-403", &STATUS_TOKEN, "A token that can't be parsed is 403.", || edge(all(NOT_OURS, 403))),
    fault("forged-token-is-403", &STATUS_TOKEN, "A token whose signature doesn't verify is 403.", || {
        edge(all(BAD_SIGNATURE, 403))
    }),
    fault(
        "forged-token-is-400-at-fetch",
        &STATUS_TOKEN,
        "fetchMemberKey with a token whose signature doesn't verify is 400.",
        || edge(on(Route::FetchMemberKey, BAD_SIGNATURE, 400)),
    ),
    fault("expired-token-is-403", &STATUS_TOKEN, "An expired token is 403.", || edge(all(TOKEN_EXPIRED, 403)))
        .kind(Slow),
    fault(
        "expired-token-is-419",
        &STATUS_TOKEN,
        "An expired token is 419, as a web framework has it for sessions.",
        || edge(all(TOKEN_EXPIRED, 419)),
    )
    .kind(Slow),
    fault("bad-nonce-is-400", &STATUS_NONCE, "A nonce that can't be redeemed is 400.", || edge(all(NONCE, 400))),
    fault("bad-nonce-is-403", &STATUS_NONCE, "A nonce that can't be redeemed is 403.", || edge(all(NONCE, 403))),
    fault("bad-nonce-is-404", &STATUS_NONCE, "A nonce that can't be redeemed is 404: it isn't found.", || {
        edge(all(NONCE, 404))
    }),
    fault("bad-nonce-is-410", &STATUS_NONCE, "A nonce that can't be redeemed is 410: it is gone.", || {
        edge(all(NONCE, 410))
    }),
    fault("stranger-is-401-at-pull", &STATUS_STRANGER, "A stranger's pull is 401.", || {
        edge(on(Route::Pull, STRANGER, 401))
    }),
    fault("stranger-is-400-at-push", &STATUS_STRANGER, "A stranger's push is 400.", || {
        edge(on(Route::Push, STRANGER, 400))
    }),
    fault("stranger-is-409-at-push", &STATUS_STRANGER, "A stranger's push is 409.", || {
        edge(on(Route::Push, STRANGER, 409))
    }),
    fault("stranger-is-401-at-add", &STATUS_STRANGER, "A stranger's addMember is 401.", || {
        edge(on(Route::AddMember, STRANGER, 401))
    }),
    fault("stranger-is-400-at-remove", &STATUS_STRANGER, "A stranger's removeMember is 400.", || {
        edge(on(Route::RemoveMember, STRANGER, 400))
    }),
    fault("stranger-is-401-at-fetch", &STATUS_STRANGER, "A stranger's fetchMemberKey is 401.", || {
        edge(on(Route::FetchMemberKey, STRANGER, 401))
    }),
    fault(
        "stranger-is-404-at-fetch",
        &STATUS_STRANGER,
        "A stranger's fetchMemberKey is 404, while every other operation is 403.",
        || edge(on(Route::FetchMemberKey, STRANGER, 404)),
    ),
    fault(
        "stranger-is-404-at-pull",
        &STATUS_STRANGER,
        "A stranger's pull is 404, while every other operation is 403.",
        || edge(on(Route::Pull, STRANGER, 404)),
    ),
    fault("unknown-repo-is-400-at-pull", &STATUS_UNKNOWN, "A pull of an unknown repository is 400.", || {
        edge(on(Route::Pull, NO_REPO, 400))
    }),
    fault("unknown-repo-is-409-at-push", &STATUS_UNKNOWN, "A push to an unknown repository is 409.", || {
        edge(on(Route::Push, NO_REPO, 409))
    }),
    fault(
        "unknown-repo-is-403-at-add",
        &STATUS_UNKNOWN,
        "addMember on an unknown repository is 403, while every other operation is 404.",
        || edge(on(Route::AddMember, NO_REPO, 403)),
    ),
    fault("unknown-repo-is-400-at-remove", &STATUS_UNKNOWN, "removeMember on an unknown repository is 400.", || {
        edge(on(Route::RemoveMember, NO_REPO, 400))
    }),
    fault(
        "unknown-repo-is-403-at-fetch",
        &STATUS_UNKNOWN,
        "fetchMemberKey on an unknown repository is 403, while every other operation is 404.",
        || edge(on(Route::FetchMemberKey, NO_REPO, 403)),
    ),
    fault("unknown-repo-is-410", &STATUS_UNKNOWN, "An unknown repository is 410.", || edge(all(NO_REPO, 410))),
    fault(
        "fetch-unknown-is-403",
        &STATUS_UNKNOWN,
        "fetchMemberKey answers with 403 for an id that isn't there.",
        || edge(on(Route::FetchMemberKey, NO_MEMBER, 403)),
    ),
    fault("remove-unknown-is-409", &STATUS_UNKNOWN, "Removing somebody who isn't a member is 409.", || {
        edge(on(Route::RemoveMember, NO_MEMBER, 409))
    }),
    fault("duplicate-is-403", &STATUS_DUPLICATE, "A duplicate id is 403.", || edge(all(DUPLICATE, 403))),
    fault("duplicate-is-422", &STATUS_DUPLICATE, "A duplicate id is 422.", || edge(all(DUPLICATE, 422))),
];

struct NamesOfObjectsAre500;

impl Edge for NamesOfObjectsAre500 {
    fn response(&self, _: Route, parts: &Parts, response: Response<Bytes>) -> Response<Bytes> {
        let names = ["constructor", "toString", "hasOwnProperty"];
        let named = names.iter().any(|name| parts.uri.path().contains(&format!("/{name}/")));
        if named && response.status() == 404 {
            with_status(response, StatusCode::INTERNAL_SERVER_ERROR)
        } else {
            response
        }
    }
}
