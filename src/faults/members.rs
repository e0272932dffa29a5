//! addMember that records something else, and fetchMemberKey that finds somebody else (SPEC §6).

use std::collections::HashMap;
use std::sync::Mutex;

use axum::http::request::Parts;
use axum::http::{Response, StatusCode};
use bytes::Bytes;
use serde_json::{Value, json};

use super::table::*;
use super::tools::{edit, is_in, lock, with_status};
use crate::codec::base64;
use crate::server::edge::Edge;
use crate::server::operations;
use crate::server::refusal::Refusal;
use crate::server::repo::{Call, Outcome, Repo, Visit};
use crate::server::route::Route;
use crate::server::rules::{IdentityRules, VaultRules};
use crate::wire::{MemberAddRequest, MemberEntry, VaultManifest};

/// What is stored after an addition, changed.
struct Added(fn(&Repo, &mut Repo));

impl VaultRules for Added {
    fn added(&self, repo: &Repo, entry: &MemberEntry) -> Repo {
        let mut next = repo.clone();
        next.manifest.members.push(entry.clone());
        next.last_removal = None;
        (self.0)(repo, &mut next);
        next
    }
}

/// Another way to find an entry.
struct Find(fn(&Visit, &Repo, &str) -> Option<MemberEntry>);

impl VaultRules for Find {
    fn fetch(&self, visit: &Visit, repo: &Repo, member_id: &str) -> Outcome<MemberEntry> {
        match (self.0)(visit, repo, member_id) {
            Some(entry) => Outcome::read(entry),
            None => Outcome::refuse(Refusal::not_found("no such member")),
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

fn last(repo: &mut Repo, change: impl FnOnce(&mut MemberEntry)) {
    if let Some(entry) = repo.manifest.members.last_mut() {
        change(entry);
    }
}

fn ok(response: Response<Bytes>, body: &Value) -> Response<Bytes> {
    with_status(response.map(|_| Bytes::from(body.to_string())), StatusCode::OK)
}

fn entry(repo: &Repo, matches: impl Fn(&str) -> bool) -> Option<MemberEntry> {
    repo.manifest.members.iter().find(|entry| matches(&entry.ed25519_public_key)).cloned()
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

/// The faults of this area.
pub(super) const FAULTS: &[Fault] = &[
    fault("add-not-stored", &ADD_RECORDS, "addMember answers, and stores nothing.", || vault(AddNotStored)),
    fault(
        "add-answers-old-manifest",
        &ADD_RECORDS,
        "addMember stores the member, and answers with the manifest before it.",
        || vault(AddAnswersOldManifest),
    ),
    fault("add-answers-entry", &ADD_RECORDS, "addMember answers with the new entry, not the manifest.", || {
        edge(AddAnswersEntry)
    }),
    fault(
        "add-replaces-everybody",
        &ADD_RECORDS,
        "addMember leaves the new member and the first one, nobody else.",
        || {
            vault(Added(|repo, next| {
                next.manifest.members.drain(1..repo.manifest.members.len());
            }))
        },
    ),
    fault("add-replaces-last", &ADD_RECORDS, "addMember overwrites the last entry, once there are several.", || {
        vault(Added(|repo, next| {
            if repo.manifest.members.len() > 1 {
                next.manifest.members.remove(repo.manifest.members.len() - 1);
            }
        }))
    }),
    fault("add-raises-version", &ADD_RECORDS, "addMember raises the payload version.", || {
        vault(Added(|_, next| next.manifest.payload_version = next.manifest.payload_version.saturating_add(1)))
    }),
    fault("add-raises-epoch", &ADD_RECORDS, "addMember raises the key epoch.", || {
        vault(Added(|_, next| next.manifest.key_epoch = next.manifest.key_epoch.saturating_add(1)))
    }),
    fault("add-epoch-zero", &ADD_RECORDS, "The new entry's key epoch is stored as 0.", || {
        vault(Added(|_, next| last(next, |entry| entry.key_epoch = 0)))
    }),
    fault("add-epoch-is-version", &ADD_RECORDS, "The new entry's key epoch is stored as the payload version.", || {
        vault(Added(|repo, next| last(next, |entry| entry.key_epoch = repo.manifest.payload_version)))
    }),
    fault("add-swaps-keys", &ADD_RECORDS, "The new entry's X25519 key is stored as the Ed25519 key.", || {
        vault(Added(|_, next| last(next, |entry| entry.x25519_public_key.clone_from(&entry.ed25519_public_key))))
    }),
    fault("add-copies-wrapped-key", &ADD_RECORDS, "The new entry gets the first member's wrapped key.", || {
        vault(Added(|repo, next| {
            last(next, |entry| entry.wrapped_data_key = repo.manifest.members[0].wrapped_data_key.clone())
        }))
    }),
    fault(
        "add-loses-wrapped-key",
        &ADD_RECORDS,
        "The new entry's wrapped key is stored empty, to be filled later.",
        || vault(Added(|_, next| last(next, |entry| entry.wrapped_data_key.ciphertext.clear()))),
    ),
    fault("add-replaces-ephemeral-key", &ADD_RECORDS, "The new entry's ephemeral key is stored as zeros.", || {
        vault(Added(|_, next| {
            last(next, |entry| entry.wrapped_data_key.ephemeral_public_key = base64::encode(&[0; 32]))
        }))
    }),
    fault(
        "add-forgets-after-eight",
        &ADD_RECORDS,
        "A roster has eight members at the most; a ninth is answered, but not stored.",
        || vault(Added(|_, next| next.manifest.members.truncate(8))),
    ),
    fault("add-blanks-others", &ADD_RECORDS, "addMember sets everybody else's key epoch to 0.", || {
        vault(Added(|repo, next| {
            next.manifest.members[..repo.manifest.members.len()].iter_mut().for_each(|entry| entry.key_epoch = 0)
        }))
    }),
    fault("add-pending", &ADD_RECORDS, "A new member can't do anything before his next login.", || {
        identity_and_vault(AddPending::default())
    }),
    fault("add-twice-doubles", &ADD_TWICE, "Adding a member again makes a second entry.", || vault(AddTwiceDoubles)),
    fault("add-again-refused", &RETRY_ADD, "Adding a member again with the same keys is 409.", || {
        vault(AddAgainRefused)
    }),
    fault("add-again-resets-epoch", &RETRY_ADD, "Adding a member again resets the entry's key epoch.", || {
        vault(AddAgainResetsEpoch)
    }),
    fault(
        "add-again-rewrapped-doubles",
        &ADD_TWICE,
        "Adding a member again with another wrapped key makes a second entry.",
        || vault(AddAgainRewrappedDoubles),
    ),
    fault("add-rekeys", &ADD_NO_REKEY, "Adding a member again under another X25519 key replaces the key.", || {
        vault(AddRekeys)
    }),
    fault("add-misspelled-id", &IDENTITY_CANONICAL, "addMember takes any text for a member id.", || {
        vault(AddMisspelledId)
    }),
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
];

struct AddNotStored;

impl VaultRules for AddNotStored {
    fn add(&self, visit: &Visit, repo: &Repo, request: &MemberAddRequest) -> Outcome<VaultManifest> {
        Outcome { next: None, ..operations::add(self, visit, repo, request) }
    }
}

struct AddAnswersOldManifest;

impl VaultRules for AddAnswersOldManifest {
    fn add(&self, visit: &Visit, repo: &Repo, request: &MemberAddRequest) -> Outcome<VaultManifest> {
        operations::add(self, visit, repo, request).map(|_| repo.manifest.clone())
    }
}

struct AddAnswersEntry;

impl Edge for AddAnswersEntry {
    fn response(&self, route: Route, _: &Parts, response: Response<Bytes>) -> Response<Bytes> {
        let last = |answer: &mut Value| {
            *answer = answer["members"].as_array().and_then(|members| members.last().cloned()).unwrap_or_default();
        };
        if route == Route::AddMember { edit(response, last) } else { response }
    }
}

#[derive(Default)]
struct AddPending {
    pending: Mutex<HashMap<(String, String), ()>>,
}

impl IdentityRules for AddPending {
    fn make_nonce(&self, key: &str, random: [u8; 32]) -> Vec<u8> {
        lock(&self.pending).retain(|(_, id), ()| id != key);
        random.to_vec()
    }
}

impl VaultRules for AddPending {
    fn added(&self, repo: &Repo, entry: &MemberEntry) -> Repo {
        let key = (repo.manifest.repo_id.clone(), entry.ed25519_public_key.clone());
        lock(&self.pending).insert(key, ());
        let mut next = repo.clone();
        next.manifest.members.push(entry.clone());
        next
    }

    fn is_member(&self, visit: &Visit, repo: &Repo) -> bool {
        let key = (repo.manifest.repo_id.clone(), visit.caller.clone());
        is_in(repo, &visit.caller) && !lock(&self.pending).contains_key(&key)
    }
}

struct AddTwiceDoubles;

impl VaultRules for AddTwiceDoubles {
    fn add(&self, visit: &Visit, repo: &Repo, request: &MemberAddRequest) -> Outcome<VaultManifest> {
        if is_in(repo, &request.member.ed25519_public_key) {
            let next = self.added(repo, &request.member);
            return Outcome::write(next.manifest.clone(), next);
        }
        operations::add(self, visit, repo, request)
    }
}

struct AddAgainRefused;

impl VaultRules for AddAgainRefused {
    fn add(&self, visit: &Visit, repo: &Repo, request: &MemberAddRequest) -> Outcome<VaultManifest> {
        if is_in(repo, &request.member.ed25519_public_key) {
            return Outcome::refuse(Refusal { status: StatusCode::CONFLICT, ..Refusal::bad_request("is there") });
        }
        operations::add(self, visit, repo, request)
    }
}

struct AddAgainResetsEpoch;

impl VaultRules for AddAgainResetsEpoch {
    fn add(&self, visit: &Visit, repo: &Repo, request: &MemberAddRequest) -> Outcome<VaultManifest> {
        if is_in(repo, &request.member.ed25519_public_key) {
            let mut next = repo.clone();
            next.manifest.members.retain(|entry| entry.ed25519_public_key != request.member.ed25519_public_key);
            next.manifest.members.push(MemberEntry { key_epoch: 0, ..request.member.clone() });
            return Outcome::write(next.manifest.clone(), next);
        }
        operations::add(self, visit, repo, request)
    }
}

struct AddAgainRewrappedDoubles;

impl VaultRules for AddAgainRewrappedDoubles {
    fn add(&self, visit: &Visit, repo: &Repo, request: &MemberAddRequest) -> Outcome<VaultManifest> {
        let there = repo.manifest.member(&request.member.ed25519_public_key);
        if there.is_some_and(|there| there.wrapped_data_key != request.member.wrapped_data_key) {
            let next = self.added(repo, &request.member);
            return Outcome::write(next.manifest.clone(), next);
        }
        operations::add(self, visit, repo, request)
    }
}

struct AddRekeys;

impl VaultRules for AddRekeys {
    fn add(&self, visit: &Visit, repo: &Repo, request: &MemberAddRequest) -> Outcome<VaultManifest> {
        let entry = &request.member;
        let there = repo.manifest.member(&entry.ed25519_public_key);
        if there.is_some_and(|there| there.x25519_public_key != entry.x25519_public_key) {
            let mut next = repo.clone();
            next.manifest.members.retain(|other| other.ed25519_public_key != entry.ed25519_public_key);
            next.manifest.members.push(entry.clone());
            return Outcome::write(next.manifest.clone(), next);
        }
        operations::add(self, visit, repo, request)
    }
}

struct AddMisspelledId;

impl VaultRules for AddMisspelledId {
    fn shape(&self, call: &Call) -> Result<(), Refusal> {
        match call {
            Call::Add(request) => {
                let mut request = request.clone();
                request.member.ed25519_public_key.clone_from(&request.member.x25519_public_key);
                crate::server::validate::call(&Call::Add(request))
            }
            _ => crate::server::validate::call(call),
        }
    }
}

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

    fn fetch(&self, _: &Visit, _: &Repo, member_id: &str) -> Outcome<MemberEntry> {
        match lock(&self.first).get(member_id) {
            Some(entry) => Outcome::read(entry.clone()),
            None => Outcome::refuse(Refusal::not_found("no such member")),
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

    fn fetch(&self, _: &Visit, repo: &Repo, member_id: &str) -> Outcome<MemberEntry> {
        match lock(&self.ever).get(&(repo.manifest.repo_id.clone(), member_id.to_owned())) {
            Some(entry) => Outcome::read(entry.clone()),
            None => Outcome::refuse(Refusal::not_found("no such member")),
        }
    }
}

#[derive(Default)]
struct FetchCached {
    cache: Mutex<HashMap<(String, String), MemberEntry>>,
}

impl VaultRules for FetchCached {
    fn fetch(&self, _: &Visit, repo: &Repo, member_id: &str) -> Outcome<MemberEntry> {
        let Some(entry) = repo.manifest.member(member_id) else {
            return Outcome::refuse(Refusal::not_found("no such member"));
        };
        let key = (repo.manifest.repo_id.clone(), member_id.to_owned());
        Outcome::read(lock(&self.cache).entry(key).or_insert_with(|| entry.clone()).clone())
    }
}
