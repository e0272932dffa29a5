//! Operations that verify one token and read another, ask for none, take anything for one, or say too much without one
//! (SPEC §3, §6).

use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;

use super::table::*;
use super::tools::{NOBODY, entitled};
use crate::server::operations;
use crate::server::redemption::Authority;
use crate::server::refusal::Refusal;
use crate::server::repo::{Decision, Repo, Success, Visit};
use crate::server::route::Route;
use crate::server::rules::{IdentityRules, VaultRules};

/// One operation whose author forgot to ask for a token.
struct Unguarded(Route);

impl IdentityRules for Unguarded {
    fn authenticate(&self, authority: &Authority, route: Route, parts: &Parts) -> Result<String, Refusal> {
        if route == self.0 && !parts.headers.contains_key(AUTHORIZATION) {
            return Ok(NOBODY.to_owned());
        }
        let token = self.bearer(parts).ok_or(Refusal::unauthorized("no bearer token"))?;
        self.member_of_token(authority, &token)
    }
}

impl VaultRules for Unguarded {
    fn transition(&self, visit: &Visit, state: Option<&Repo>) -> Decision<Success> {
        if visit.caller == NOBODY {
            return operations::transition(self, &entitled(visit, state), state);
        }
        operations::transition(self, visit, state)
    }
}

/// A server that asks who the caller is, doesn't mind the answer, and gets on with one operation.
struct Credulous(Route);

impl IdentityRules for Credulous {
    fn authenticate(&self, authority: &Authority, route: Route, parts: &Parts) -> Result<String, Refusal> {
        let caller = self.bearer(parts).map(|token| self.member_of_token(authority, &token));
        match caller {
            Some(Err(_)) if route == self.0 => Ok(NOBODY.to_owned()),
            Some(caller) => caller,
            None => Err(Refusal::unauthorized("no bearer token")),
        }
    }
}

impl VaultRules for Credulous {
    fn transition(&self, visit: &Visit, state: Option<&Repo>) -> Decision<Success> {
        if visit.caller == NOBODY {
            return operations::transition(self, &entitled(visit, state), state);
        }
        operations::transition(self, visit, state)
    }
}

/// Verifies one of the tokens that a request brings and reads the caller from another, as a filter and a handler do
/// that each look for themselves.
struct VerifiesOneReadsAnother(fn(&Parts) -> Option<[String; 2]>);

impl IdentityRules for VerifiesOneReadsAnother {
    fn authenticate(&self, authority: &Authority, _: Route, parts: &Parts) -> Result<String, Refusal> {
        if let Some([verified, read]) = (self.0)(parts) {
            let caller = self.member_of_token(authority, &verified)?;
            return Ok(unverified(&read).unwrap_or(caller));
        }
        let token = self.bearer(parts).ok_or(Refusal::unauthorized("no bearer token"))?;
        self.member_of_token(authority, &token)
    }
}

/// The member that a token names, whoever has signed it.
fn unverified(token: &str) -> Option<String> {
    let claims = crate::codec::base64::decode_url(token.split('.').nth(1)?).ok()?;
    let claims: serde_json::Value = serde_json::from_slice(&claims).ok()?;
    Some(claims["sub"].as_str()?.strip_prefix("key:")?.to_owned())
}

/// The tokens of all Authorization headers.
fn bearers(parts: &Parts) -> Vec<String> {
    let values = parts.headers.get_all(AUTHORIZATION).iter().filter_map(|value| value.to_str().ok());
    values.filter_map(|value| value.strip_prefix("Bearer ")).map(str::to_owned).collect()
}

/// Lets everybody in, and leaves the 401 to `transition`.
fn anybody(rules: &dyn crate::server::rules::IdentityRules, authority: &Authority, parts: &Parts) -> String {
    let caller = rules.bearer(parts).map(|token| rules.member_of_token(authority, &token));
    caller.and_then(Result::ok).unwrap_or_else(|| NOBODY.to_owned())
}

fn unauthorized<T>() -> Decision<T> {
    Decision::refuse(Refusal::unauthorized("no valid token"))
}

/// The faults of this area.
pub(super) const FAULTS: &[Fault] = &[
    fault(
        "caller-of-the-last-header",
        &SUBJECT_IS_CALLER,
        "Of two Authorization headers the first is verified, and the last says who it is.",
        || identity(VerifiesOneReadsAnother(|parts| <[String; 2]>::try_from(bearers(parts)).ok())),
    ),
    fault(
        "caller-of-the-first-header",
        &SUBJECT_IS_CALLER,
        "Of two Authorization headers the last is verified, and the first says who it is.",
        || {
            identity(VerifiesOneReadsAnother(|parts| {
                <[String; 2]>::try_from(bearers(parts)).ok().map(|[first, last]| [last, first])
            }))
        },
    ),
    fault(
        "caller-of-the-cookie",
        &SUBJECT_IS_CALLER,
        "The token in Authorization is verified; where a cookie holds one, that says who it is.",
        || {
            identity(VerifiesOneReadsAnother(|parts| {
                let cookies = parts.headers.get(axum::http::header::COOKIE)?.to_str().ok()?;
                let session = cookies.split("; ").find_map(|cookie| cookie.strip_prefix("access_token="))?.to_owned();
                Some([bearers(parts).pop()?, session])
            }))
        },
    ),
    fault("create-needs-no-token", &TOKEN_REQUIRED, "createRepo works without a token.", || {
        identity_and_vault(Unguarded(Route::CreateRepo))
    }),
    fault("pull-needs-no-token", &TOKEN_REQUIRED, "pull works without a token.", || {
        identity_and_vault(Unguarded(Route::Pull))
    }),
    fault("push-needs-no-token", &TOKEN_REQUIRED, "push works without a token.", || {
        identity_and_vault(Unguarded(Route::Push))
    }),
    fault("add-needs-no-token", &TOKEN_REQUIRED, "addMember works without a token.", || {
        identity_and_vault(Unguarded(Route::AddMember))
    }),
    fault("remove-needs-no-token", &TOKEN_REQUIRED, "removeMember works without a token.", || {
        identity_and_vault(Unguarded(Route::RemoveMember))
    }),
    fault("fetch-needs-no-token", &TOKEN_REQUIRED, "fetchMemberKey works without a token.", || {
        identity_and_vault(Unguarded(Route::FetchMemberKey))
    }),
    fault("create-takes-garbage-token", &TOKEN_REQUIRED, "createRepo works with any text for a token.", || {
        identity_and_vault(Credulous(Route::CreateRepo))
    }),
    fault("pull-takes-garbage-token", &TOKEN_REQUIRED, "pull works with any text for a token.", || {
        identity_and_vault(Credulous(Route::Pull))
    }),
    fault("push-takes-garbage-token", &TOKEN_REQUIRED, "push works with any text for a token.", || {
        identity_and_vault(Credulous(Route::Push))
    }),
    fault("add-takes-garbage-token", &TOKEN_REQUIRED, "addMember works with any text for a token.", || {
        identity_and_vault(Credulous(Route::AddMember))
    }),
    fault("remove-takes-garbage-token", &TOKEN_REQUIRED, "removeMember works with any text for a token.", || {
        identity_and_vault(Credulous(Route::RemoveMember))
    }),
    fault("fetch-takes-garbage-token", &TOKEN_REQUIRED, "fetchMemberKey works with any text for a token.", || {
        identity_and_vault(Credulous(Route::FetchMemberKey))
    }),
    fault(
        "unauthenticated-401-but-done",
        &TOKEN_REQUIRED,
        "A request without a token is answered with 401 after it was carried out.",
        || identity_and_vault(Unauthenticated401ButDone),
    ),
    fault(
        "unauthenticated-404",
        &UNAUTHENTICATED_SILENCE,
        "Without a token, an unknown repository is 404 and a known one 401.",
        || identity_and_vault(Unauthenticated404),
    ),
    fault(
        "unauthenticated-409",
        &UNAUTHENTICATED_SILENCE,
        "Without a token, createRepo tells whether the id is taken.",
        || identity_and_vault(Unauthenticated409),
    ),
];

struct Unauthenticated401ButDone;

impl IdentityRules for Unauthenticated401ButDone {
    fn authenticate(&self, authority: &Authority, _: Route, parts: &Parts) -> Result<String, Refusal> {
        Ok(anybody(self, authority, parts))
    }
}

impl VaultRules for Unauthenticated401ButDone {
    fn transition(&self, visit: &Visit, state: Option<&Repo>) -> Decision<Success> {
        if visit.caller != NOBODY {
            return operations::transition(self, visit, state);
        }
        let done = operations::transition(self, &entitled(visit, state), state);
        Decision { next: done.next, ..unauthorized() }
    }
}

struct Unauthenticated404;

impl IdentityRules for Unauthenticated404 {
    fn authenticate(&self, authority: &Authority, _: Route, parts: &Parts) -> Result<String, Refusal> {
        Ok(anybody(self, authority, parts))
    }
}

impl VaultRules for Unauthenticated404 {
    fn transition(&self, visit: &Visit, state: Option<&Repo>) -> Decision<Success> {
        match state {
            Some(_) if visit.caller == NOBODY => unauthorized(),
            None if visit.caller == NOBODY && visit.route == Route::CreateRepo => unauthorized(),
            _ => operations::transition(self, visit, state),
        }
    }
}

struct Unauthenticated409;

impl IdentityRules for Unauthenticated409 {
    fn authenticate(&self, authority: &Authority, route: Route, parts: &Parts) -> Result<String, Refusal> {
        match anybody(self, authority, parts) {
            caller if caller == NOBODY && route != Route::CreateRepo => Err(Refusal::unauthorized("no valid token")),
            caller => Ok(caller),
        }
    }
}

impl VaultRules for Unauthenticated409 {
    fn transition(&self, visit: &Visit, state: Option<&Repo>) -> Decision<Success> {
        match state {
            Some(_) if visit.caller == NOBODY => Decision::refuse(Refusal::duplicate_repo()),
            None if visit.caller == NOBODY => unauthorized(),
            _ => operations::transition(self, visit, state),
        }
    }
}
