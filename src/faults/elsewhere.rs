//! Callers that are told elsewhere than by a bearer token, tokens that follow from others, and tokens that don't last
//! (SPEC §3).

use std::collections::{HashMap, VecDeque};
use std::future::ready;
use std::sync::Mutex;

use axum::http::header::{AUTHORIZATION, COOKIE};
use axum::http::request::Parts;
use bytes::Bytes;
use percent_encoding::percent_decode_str;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::table::*;
use super::tokens::REFUSED;
use super::tools::{NOBODY, lock};
use crate::codec::base64;
use crate::ground::hex;
use crate::server::clock;
use crate::server::credentials;
use crate::server::edge::Edge;
use crate::server::operations;
use crate::server::redemption::{self, Authority};
use crate::server::refusal::Refusal;
use crate::server::repo::{Decision, Repo, Success, Visit};
use crate::server::route::Route;
use crate::server::rules::{IdentityRules, Later, VaultRules};
use crate::server::store::Store;
use crate::wire::{TokenRequest, TokenResponse};

/// A server that takes the caller's name from a request where it finds one; `instead` tells whether it needs no token
/// then.
struct NamedBy {
    name: fn(&Parts) -> Option<String>,
    instead: bool,
}

fn member(name: &str) -> String {
    name.strip_prefix("key:").unwrap_or(name).to_owned()
}

fn header(parts: &Parts, name: &str) -> Option<String> {
    parts.headers.get(name)?.to_str().ok().map(member)
}

fn cookie(parts: &Parts, name: &str) -> Option<String> {
    let pairs = parts.headers.get(COOKIE)?.to_str().ok()?.split("; ").filter_map(|pair| pair.split_once('='));
    pairs.into_iter().find(|(named, _)| *named == name).map(|(_, value)| member(value))
}

fn query(parts: &Parts, name: &str) -> Option<String> {
    let pairs = parts.uri.query()?.split('&').filter_map(|pair| pair.split_once('='));
    let value = pairs.into_iter().find(|(named, _)| *named == name)?.1;
    percent_decode_str(value).decode_utf8().ok().map(|value| member(&value))
}

/// The user of Basic.
fn basic(parts: &Parts) -> Option<String> {
    let text = parts.headers.get(AUTHORIZATION)?.to_str().ok()?.strip_prefix("Basic ")?;
    let text = String::from_utf8(base64::decode(text).ok()?).ok()?;
    text.split_once(':').map(|(user, _)| member(user))
}

impl IdentityRules for NamedBy {
    fn authenticate(&self, authority: &Authority, _: Route, parts: &Parts) -> Result<String, Refusal> {
        let caller = self.bearer(parts).map(|token| self.member_of_token(authority, &token));
        match ((self.name)(parts), caller) {
            (Some(name), None) if self.instead => Ok(name),
            (Some(name), Some(Ok(_))) => Ok(name),
            (_, Some(caller)) => caller,
            (_, None) => Err(Refusal::unauthorized("no bearer token")),
        }
    }
}

/// A server that takes the token from where it finds one.
struct TokenFrom(fn(&Parts) -> Option<String>);

impl IdentityRules for TokenFrom {
    fn bearer(&self, parts: &Parts) -> Option<String> {
        credentials::bearer(&parts.headers).or_else(|| (self.0)(parts))
    }
}

/// A server with opaque tokens of its own making, and room for so many.
struct Sessions {
    make: fn(&TokenRequest, u64) -> String,
    most: usize,
    per_key: bool,
    /// Whether a token is a known one.
    same: fn(&str, &str) -> bool,
    held: Mutex<(u64, VecDeque<(String, String)>)>,
}

fn sessions(most: usize) -> Sessions {
    // What the clock adds keeps it from being foreseen; the number keeps two from being the same.
    made_of(most, |request, count| {
        base64::encode_url(&Sha256::digest(format!("{}/{count}/{}", request.nonce, clock::now_ms())))
    })
}

fn made_of(most: usize, make: fn(&TokenRequest, u64) -> String) -> Sessions {
    Sessions { make, most, per_key: false, same: |known, token| known == token, held: Mutex::default() }
}

/// As many as are ever needed.
const MANY: usize = 100_000;

impl IdentityRules for Sessions {
    fn redeem<'a>(
        &'a self,
        authority: &'a Authority,
        request: &'a TokenRequest,
    ) -> Later<'a, Result<TokenResponse, Refusal>> {
        let answer = redemption::redeem(self, authority, request).map(|answer| {
            let mut held = lock(&self.held);
            held.0 += 1;
            let token = (self.make)(request, held.0);
            if self.per_key {
                held.1.retain(|(_, key)| *key != request.ed25519_public_key);
            }
            held.1.push_back((token.clone(), request.ed25519_public_key.clone()));
            if held.1.len() > self.most {
                held.1.pop_front();
            }
            TokenResponse { token, ..answer }
        });
        Box::pin(ready(answer))
    }

    fn member_of_token(&self, _: &Authority, token: &str) -> Result<String, Refusal> {
        // The newest first: a name that is given again is the newer one's.
        let held = lock(&self.held);
        held.1.iter().rev().find(|(known, _)| (self.same)(known, token)).map(|(_, key)| key.clone()).ok_or(REFUSED)
    }
}

/// The faults of this area.
pub(super) const FAULTS: &[Fault] = &[
    fault(
        "caller-from-header",
        &SUBJECT_IS_CALLER,
        "X-Forwarded-User names the caller, as if a proxy had set it.",
        || identity(NamedBy { name: |parts| header(parts, "x-forwarded-user"), instead: true }),
    ),
    fault(
        "caller-from-header-with-token",
        &SUBJECT_IS_CALLER,
        "With any valid token, X-Member-Id names the caller.",
        || identity(NamedBy { name: |parts| header(parts, "x-member-id"), instead: false }),
    ),
    fault(
        "caller-impersonated",
        &SUBJECT_IS_CALLER,
        "With any valid token, Impersonate-User names the caller.",
        || identity(NamedBy { name: |parts| header(parts, "impersonate-user"), instead: false }),
    ),
    fault(
        "caller-from-certificate",
        &SUBJECT_IS_CALLER,
        "X-SSL-Client-S-DN names the caller, as if a proxy had verified a certificate.",
        || {
            identity(NamedBy {
                name: |parts| header(parts, "x-ssl-client-s-dn")?.strip_prefix("CN=").map(str::to_owned),
                instead: true,
            })
        },
    ),
    fault("caller-from-cookie", &SUBJECT_IS_CALLER, "A cookie names the caller.", || {
        identity(NamedBy { name: |parts| cookie(parts, "user"), instead: true })
    }),
    fault("caller-from-query", &SUBJECT_IS_CALLER, "The query names the caller.", || {
        identity(NamedBy { name: |parts| query(parts, "memberId"), instead: true })
    }),
    fault(
        "caller-from-basic",
        &SUBJECT_IS_CALLER,
        "The user of Basic authentication is the caller, without a password.",
        || identity(NamedBy { name: basic, instead: true }),
    ),
    fault(
        "caller-from-body",
        &SUBJECT_IS_CALLER,
        "With any valid token, a member of the body names the caller.",
        || edge_and_vault(CallerFromBody::default()),
    ),
    fault(
        "token-in-cookie",
        &TOKEN_BEARER_ONLY,
        "The token is accepted in a cookie, which browsers send along unasked.",
        || identity(TokenFrom(|parts| cookie(parts, "token"))),
    ),
    fault("token-in-another-header", &TOKEN_BEARER_ONLY, "The token is accepted in X-Auth-Token.", || {
        identity(TokenFrom(|parts| header(parts, "x-auth-token")))
    }),
    fault("grpc-token-in-binary-metadata", &TOKEN_BEARER_ONLY, "The token is accepted in authorization-bin.", || {
        identity(TokenFrom(|parts| {
            let bytes = base64::decode(parts.headers.get("authorization-bin")?.to_str().ok()?).ok()?;
            String::from_utf8(bytes).ok()?.strip_prefix("Bearer ").map(str::to_owned)
        }))
    }),
    fault(
        "token-in-second-authorization",
        &TOKEN_BEARER_ONLY,
        "Of two Authorization headers the last one counts.",
        || {
            identity(TokenFrom(|parts| {
                let last = parts.headers.get_all(AUTHORIZATION).iter().next_back()?;
                last.to_str().ok()?.strip_prefix("Bearer ").map(str::to_owned)
            }))
        },
    ),
    fault(
        "token-as-password",
        &TOKEN_BEARER_ONLY,
        "The token is accepted as the password of Basic authentication.",
        || {
            identity(TokenFrom(|parts| {
                let text = parts.headers.get(AUTHORIZATION)?.to_str().ok()?.strip_prefix("Basic ")?;
                String::from_utf8(base64::decode(text).ok()?).ok()?.split_once(':').map(|(_, token)| token.to_owned())
            }))
        },
    ),
    fault("sessions-of-20", &TOKEN_LASTS, "The last 20 tokens are known, all others refused.", || {
        identity(sessions(20))
    }),
    fault("sessions-of-256", &TOKEN_LASTS, "The last 256 tokens are known, all others refused.", || {
        identity(sessions(256))
    }),
    fault("sessions-of-1000", &TOKEN_LASTS, "The last 1000 tokens are known, all others refused.", || {
        identity(sessions(1000))
    }),
    fault("token-of-100-uses", &TOKEN_LASTS, "A token is refused after a hundred requests.", || {
        identity(TokenOf100Uses::default())
    }),
    fault(
        "tokens-of-development",
        &SUBJECT_IS_CALLER,
        "dev: and a member id is a token, as it was during development.",
        || identity(TokensOfDevelopment),
    ),
    fault("token-numbered", &TOKEN_VERIFIED, "Tokens are numbered.", || {
        identity(made_of(MANY, |_, count| format!("avp-session-{count:012}")))
    }),
    fault("token-numbered-in-hex", &TOKEN_VERIFIED, "Tokens are numbered, in hexadecimal digits.", || {
        identity(made_of(MANY, |_, count| format!("{:032x}", 0x5eed_0000_0000_u64 + count)))
    }),
    fault("token-is-the-signature", &TOKEN_UNGUESSABLE, "The token is the signature that bought it.", || {
        identity(made_of(MANY, |request, _| request.signature.clone()))
    }),
    fault(
        "token-hash-of-the-nonce",
        &TOKEN_UNGUESSABLE,
        "The token is the SHA-256 of the nonce that bought it.",
        || {
            identity(made_of(MANY, |request, _| {
                hex::encode(&Sha256::digest(base64::decode(&request.nonce).unwrap_or_default()))
            }))
        },
    ),
    fault(
        "token-hash-of-the-time",
        &TOKEN_VERIFIED,
        "The token is the SHA-256 of key and time in milliseconds.",
        || {
            identity(made_of(MANY, |request, _| {
                hex::encode(&Sha256::digest(format!("{}{}", request.ed25519_public_key, clock::now_ms())))
            }))
        },
    ),
    fault("token-hash-of-a-counter", &TOKEN_VERIFIED, "The token is the SHA-256 of a counter.", || {
        identity(made_of(MANY, |_, count| base64::encode_url(&Sha256::digest(count.to_string()))))
    }),
    fault("token-from-its-start", &TOKEN_VERIFIED, "A token counts if a known one begins with it.", || {
        identity(Sessions { same: |known, token| known.starts_with(token), ..sessions(MANY) })
    }),
    fault("token-up-to-its-end", &TOKEN_VERIFIED, "A token counts if it begins with a known one.", || {
        identity(Sessions { same: |known, token| token.starts_with(known), ..sessions(MANY) })
    }),
];

#[derive(Default)]
struct CallerFromBody {
    named: Mutex<Option<String>>,
}

impl Edge for CallerFromBody {
    fn body(&self, _: &Store, _: Route, _: &Parts, body: Bytes) -> Result<Bytes, Refusal> {
        let Ok(mut value) = serde_json::from_slice::<Value>(&body) else { return Ok(body) };
        let Some(caller) = value.as_object_mut().and_then(|object| object.remove("caller")) else { return Ok(body) };
        *lock(&self.named) = caller.as_str().map(member);
        let known = ["repoId", "knownPayloadVersion"];
        if let Some(object) = value.as_object_mut() {
            object.retain(|name, _| known.contains(&name.as_str()));
        }
        Ok(value.to_string().into())
    }
}

impl VaultRules for CallerFromBody {
    fn transition(&self, visit: &Visit, state: Option<&Repo>) -> Decision<Success> {
        let Some(caller) = lock(&self.named).take().filter(|_| visit.caller != NOBODY) else {
            return operations::transition(self, visit, state);
        };
        operations::transition(self, &Visit { caller, ..visit.clone() }, state)
    }
}

#[derive(Default)]
struct TokenOf100Uses {
    uses: Mutex<HashMap<String, u32>>,
}

impl IdentityRules for TokenOf100Uses {
    fn member_of_token(&self, authority: &Authority, token: &str) -> Result<String, Refusal> {
        let member = authority.issuer.member_of(self, token)?;
        let mut uses = lock(&self.uses);
        let uses = uses.entry(token.to_owned()).or_default();
        *uses += 1;
        if *uses > 100 { Err(REFUSED) } else { Ok(member) }
    }
}

struct TokensOfDevelopment;

impl IdentityRules for TokensOfDevelopment {
    fn member_of_token(&self, authority: &Authority, token: &str) -> Result<String, Refusal> {
        match token.strip_prefix("dev:") {
            Some(member) => Ok(member.to_owned()),
            None => authority.issuer.member_of(self, token),
        }
    }
}
