//! fetchMemberKey that finds somebody else, or somebody who isn't there (SPEC §6).

use std::collections::HashMap;
use std::sync::Mutex;

use axum::http::request::Parts;
use axum::http::{Response, StatusCode};
use bytes::Bytes;
use serde_json::{Value, json};

use super::add_member::entry;
use super::table::*;
use super::tools::{edit, is_in, lock, with_status};
use crate::codec::base64;
use crate::server::edge::Edge;
use crate::server::refusal::Refusal;
use crate::server::repo::{Decision, Repo, Visit};
use crate::server::route::Route;
use crate::server::rules::VaultRules;
use crate::wire::MemberEntry;

/// Another way to find an entry.
struct Find(fn(&Visit, &Repo, &str) -> Option<MemberEntry>);

impl VaultRules for Find {
    fn fetch(&self, visit: &Visit, repo: &Repo, member_id: &str) -> Decision<MemberEntry> {
        match (self.0)(visit, repo, member_id) {
            Some(entry) => Decision::read(entry),
            None => Decision::refuse(Refusal::not_found("no such member")),
        }
    }
}

/// Another answer for members who aren't there.
struct NotFound(fn(Response<Bytes>) -> Response<Bytes>);

impl Edge for NotFound {
    fn response(&self, route: Route, _: &Parts, response: Response<Bytes>) -> Response<Bytes> {
        let stranger =
            response.status() == StatusCode::NOT_FOUND && String::from_utf8_lossy(response.body()).contains("member");
        if route == Route::FetchMemberKey && stranger { (self.0)(response) } else { response }
    }
}

fn ok(response: Response<Bytes>, body: &Value) -> Response<Bytes> {
    with_status(response.map(|_| Bytes::from(body.to_string())), StatusCode::OK)
}

/// SQL's LIKE, as far as it bears on ids: letter case counts.
fn is_like(text: &str, pattern: &str) -> bool {
    let mut rest = pattern.chars();
    match rest.next() {
        None => text.is_empty(),
        Some('%') => (0..=text.len()).any(|at| text.get(at..).is_some_and(|tail| is_like(tail, rest.as_str()))),
        Some(c) => {
            text.chars().next().is_some_and(|t| (c == '_' || c == t) && is_like(&text[t.len_utf8()..], rest.as_str()))
        }
    }
}

/// Which of two ids are one.
type Same = fn(&str, &str) -> bool;

/// fetchMemberKey compares ids in a way of its own.
struct Fetches(Same);

impl VaultRules for Fetches {
    fn fetch(&self, _: &Visit, repo: &Repo, member_id: &str) -> Decision<MemberEntry> {
        let found = repo.manifest.members.iter().find(|entry| (self.0)(&entry.ed25519_public_key, member_id));
        found.map_or_else(
            || Decision::refuse(Refusal::not_found("no such member")),
            |entry| Decision::read(entry.clone()),
        )
    }
}

/// Whether two ids are one key but for its highest bit.
fn same_but_for_sign(one: &str, other: &str) -> bool {
    let unsigned = |id: &str| {
        let mut key = base64::decode(id).ok()?;
        *key.last_mut()? &= 0x7f;
        Some(key)
    };
    one == other || unsigned(one).is_some_and(|key| unsigned(other) == Some(key))
}

/// The faults of this area.
pub(super) const FAULTS: &[Fault] = &[
    fault("fetch-first", &FETCH_ENTRY, "fetchMemberKey answers with the first member.", || {
        vault(Find(|_, repo, id| entry(repo, |_| true).filter(|_| is_in(repo, id))))
    }),
    fault("fetch-last", &FETCH_ENTRY, "fetchMemberKey answers with the last member.", || {
        vault(Find(|_, repo, id| repo.manifest.members.last().filter(|_| is_in(repo, id)).cloned()))
    }),
    fault("fetch-caller", &FETCH_ENTRY, "fetchMemberKey answers with the caller.", || {
        vault(Find(|visit, repo, id| entry(repo, |other| other == visit.caller).filter(|_| is_in(repo, id))))
    }),
    fault("fetch-next", &FETCH_ENTRY, "fetchMemberKey answers with the entry after the one asked for.", || {
        vault(Find(|_, repo, id| {
            let members = &repo.manifest.members;
            let at = members.iter().position(|entry| entry.ed25519_public_key == id)?;
            members.get((at + 1) % members.len()).cloned()
        }))
    }),
    fault("fetch-without-slash", &FETCH_ENTRY, "fetchMemberKey doesn't find ids with a slash.", || {
        vault(Find(|_, repo, id| entry(repo, |other| other == id && !id.contains('/'))))
    }),
    fault("fetch-without-plus", &FETCH_ENTRY, "fetchMemberKey doesn't find ids with a plus.", || {
        vault(Find(|_, repo, id| entry(repo, |other| other == id && !id.contains('+'))))
    }),
    fault("fetch-unpadded", &FETCH_EXACT, "fetchMemberKey finds ids without their padding.", || {
        vault(Find(|_, repo, id| entry(repo, |other| other.trim_end_matches('=') == id.trim_end_matches('='))))
    }),
    fault("fetch-url-alphabet", &FETCH_EXACT, "fetchMemberKey finds ids in the URL-safe alphabet.", || {
        vault(Find(|_, repo, id| entry(repo, |other| other == id.replace('-', "+").replace('_', "/"))))
    }),
    fault("fetch-trimmed", &FETCH_EXACT, "fetchMemberKey finds ids with white space around them.", || {
        vault(Find(|_, repo, id| entry(repo, |other| other == id.trim())))
    }),
    fault("fetch-decoded-twice", &FETCH_EXACT, "fetchMemberKey decodes the id twice.", || {
        vault(Find(|_, repo, id| {
            let twice = crate::server::credentials::decode_segment(id).unwrap_or_else(|_| id.to_owned());
            entry(repo, |other| other == twice)
        }))
    }),
    fault("fetch-me", &FETCH_EXACT, "fetchMemberKey takes the word me for the caller.", || {
        vault(Find(|visit, repo, id| entry(repo, |other| other == id || id == "me" && other == visit.caller)))
    }),
    fault("fetch-by-subject", &FETCH_EXACT, "fetchMemberKey takes the subject of a token for its member's id.", || {
        vault(Find(|_, repo, id| entry(repo, |other| other == id.strip_prefix("key:").unwrap_or(id))))
    }),
    fault(
        "fetch-asks-with-like",
        &FETCH_ENTRY,
        "fetchMemberKey looks with LIKE: a percent sign in the id stands for any text, an underline for any character.",
        || vault(Find(|_, repo, id| entry(repo, |other| is_like(other, id)))),
    ),
    fault(
        "fetch-asks-with-regex",
        &FETCH_ENTRY,
        "fetchMemberKey takes the id for a regular expression where it is no member's.",
        || {
            vault(Find(|_, repo, id| {
                entry(repo, |other| other == id).or_else(|| entry(repo, |_| id == ".*" || id == ".+"))
            }))
        },
    ),
    fault(
        "fetch-unknown-is-first",
        &FETCH_ENTRY,
        "fetchMemberKey answers with the first member for an id that isn't there.",
        || {
            vault(Find(|_, repo, id| {
                entry(repo, |other| other == id).or_else(|| repo.manifest.members.first().cloned())
            }))
        },
    ),
    fault(
        "fetch-unknown-is-caller",
        &FETCH_ENTRY,
        "fetchMemberKey answers with the caller for an id that isn't there.",
        || {
            vault(Find(|visit, repo, id| {
                entry(repo, |other| other == id).or_else(|| entry(repo, |other| other == visit.caller))
            }))
        },
    ),
    fault(
        "fetch-unknown-is-null",
        &FETCH_ENTRY,
        "fetchMemberKey answers with null for an id that isn't there.",
        || edge(NotFound(|response| ok(response, &Value::Null))),
    ),
    fault(
        "fetch-unknown-is-empty",
        &FETCH_ENTRY,
        "fetchMemberKey answers with an empty object for an id that isn't there.",
        || edge(NotFound(|response| ok(response, &json!({})))),
    ),
    fault("fetch-unknown-is-500", &FETCH_ENTRY, "fetchMemberKey fails for an id that isn't there.", || {
        edge(NotFound(|response| with_status(response, StatusCode::INTERNAL_SERVER_ERROR)))
    }),
    fault(
        "fetch-unknown-is-400",
        &STATUS_UNKNOWN,
        "fetchMemberKey answers with 400 for an id that isn't there.",
        || edge(NotFound(|response| with_status(response, StatusCode::BAD_REQUEST))),
    ),
    fault("fetch-without-wrapped-key", &FETCH_ENTRY, "fetchMemberKey answers with the public keys alone.", || {
        edge(FetchWithoutWrappedKey)
    }),
    fault(
        "fetch-from-any-repo",
        &FETCH_ENTRY,
        "fetchMemberKey answers with the entry that the id had first, in whichever repository.",
        || vault(FetchFromAnyRepo::default()),
    ),
    fault("fetch-removed", &REMOVE_DROPS, "fetchMemberKey still answers with the entry of a removed member.", || {
        vault(FetchRemoved::default())
    }),
    fault(
        "fetch-cached",
        &READ_YOUR_WRITES,
        "fetchMemberKey answers with what it first found, also after a rotation.",
        || vault(FetchCached::default()),
    ),
    fault(
        "fetch-by-32-characters",
        &FETCH_ENTRY,
        "fetchMemberKey compares the first 32 characters of ids, as a column too short has them.",
        || vault(Fetches(|one, other| one == other || one.get(..32).is_some_and(|part| other.get(..32) == Some(part)))),
    ),
    fault(
        "fetch-without-sign",
        &FETCH_ENTRY,
        "fetchMemberKey compares keys without their highest bit, as a library does that compares one coordinate.",
        || vault(Fetches(same_but_for_sign)),
    ),
];

struct FetchWithoutWrappedKey;

impl Edge for FetchWithoutWrappedKey {
    fn response(&self, route: Route, _: &Parts, response: Response<Bytes>) -> Response<Bytes> {
        let strip = |answer: &mut Value| {
            answer.as_object_mut().map(|entry| entry.remove("wrappedDataKey"));
        };
        if route == Route::FetchMemberKey { edit(response, strip) } else { response }
    }
}

#[derive(Default)]
struct FetchFromAnyRepo {
    first: Mutex<HashMap<String, MemberEntry>>,
}

impl VaultRules for FetchFromAnyRepo {
    fn stored(&self, _: Route, _: Option<&Repo>, next: Repo) -> Repo {
        for entry in &next.manifest.members {
            lock(&self.first).entry(entry.ed25519_public_key.clone()).or_insert_with(|| entry.clone());
        }
        next
    }

    fn fetch(&self, _: &Visit, _: &Repo, member_id: &str) -> Decision<MemberEntry> {
        match lock(&self.first).get(member_id) {
            Some(entry) => Decision::read(entry.clone()),
            None => Decision::refuse(Refusal::not_found("no such member")),
        }
    }
}

#[derive(Default)]
struct FetchRemoved {
    ever: Mutex<HashMap<(String, String), MemberEntry>>,
}

impl VaultRules for FetchRemoved {
    fn stored(&self, _: Route, _: Option<&Repo>, next: Repo) -> Repo {
        for entry in &next.manifest.members {
            let key = (next.manifest.repo_id.clone(), entry.ed25519_public_key.clone());
            lock(&self.ever).insert(key, entry.clone());
        }
        next
    }

    fn fetch(&self, _: &Visit, repo: &Repo, member_id: &str) -> Decision<MemberEntry> {
        match lock(&self.ever).get(&(repo.manifest.repo_id.clone(), member_id.to_owned())) {
            Some(entry) => Decision::read(entry.clone()),
            None => Decision::refuse(Refusal::not_found("no such member")),
        }
    }
}

#[derive(Default)]
struct FetchCached {
    cache: Mutex<HashMap<(String, String), MemberEntry>>,
}

impl VaultRules for FetchCached {
    fn fetch(&self, _: &Visit, repo: &Repo, member_id: &str) -> Decision<MemberEntry> {
        let Some(entry) = repo.manifest.member(member_id) else {
            return Decision::refuse(Refusal::not_found("no such member"));
        };
        let key = (repo.manifest.repo_id.clone(), member_id.to_owned());
        Decision::read(lock(&self.cache).entry(key).or_insert_with(|| entry.clone()).clone())
    }
}
