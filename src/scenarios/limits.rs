//! Limits of a deployment: how large, how long and how many it takes. They are no violation wherever they are met, and what
//! they make unjudgeable doesn't apply.
//!
//! An answer counts as a limit only where that is plausible: its status is one that limits are told by, the request is unusual
//! in size, number or length, and a plain one of the same kind works. A server that refuses plain requests is broken, whatever
//! status it calls that by.

mod asked;
mod confirm;
mod rosters;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use http::HeaderMap;
use http::header::RETRY_AFTER;
use serde_json::Value;

use self::asked::{Asked, who};
use self::rosters::Rosters;
use super::call::LazyJson;
use super::recording::{Caller, repo_in_path};
use super::{Call, Operation, Stop};
use crate::client::RawAnswer;
use crate::ground::lock;
use crate::wire::{ChallengeResponse, CreateRepoRequest, PushResponse, TokenRequest};

/// Bodies up to here are plain, in bytes.
const PLAIN_BODY: usize = 8 << 10;
/// A connection that is closed instead of an answer is a limit only beyond this, in bytes.
const DROPPED_BODY: usize = 512 << 10;
/// Rosters up to here are plain: without two members there is nothing to share.
const PLAIN_ROSTER: usize = 2;
/// Ids up to here, in characters, make no path long.
const PLAIN_ID: usize = 36;
/// An older nonce may have expired: its refusal says nothing of limits. Checks that wait for that wait longer.
const FRESH: Duration = Duration::from_millis(1500);
/// Repositories that a deployment has room for at the least: with fewer a server can hardly be judged.
const MANY_REPOS: u64 = 10;

/// What is limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LimitKind {
    /// The size of a body.
    Body,
    /// The size of a roster.
    Roster,
    /// How often one key may do something.
    Number,
    /// How many repositories there may be, whoever owns them.
    Store,
    /// What an id may look like.
    Id,
    /// How large a counter may be.
    Counter,
    /// How much it can do at once.
    Busy,
    /// Who comes in or goes by the roster of a push, rather than by addMember and removeMember.
    Membership,
}

/// A limit that an answer tells of.
#[derive(Clone, Debug)]
pub struct Limit {
    /// What is limited.
    pub kind: LimitKind,
    /// What was asked, among requests of its kind.
    operation: Operation,
    /// How large the request was, by the measure of its kind.
    measure: u64,
    /// How it was refused.
    said: String,
    /// Whether it said 403, which may mean something else: then only an experiment tells.
    forbidden: bool,
    /// Whether a plain request of this kind is known to work.
    sure: bool,
    /// Whether something else about the request may as well be the reason: then the run takes no note of it.
    unclear: bool,
    /// What else it may be, if it isn't this.
    pub otherwise: Option<Box<Limit>>,
}

impl Limit {
    /// Whether there is nothing that the check at hand could make of the answer: it asked for more than there is room for.
    pub fn ends_the_check(&self) -> bool {
        matches!(
            self.kind,
            LimitKind::Body
                | LimitKind::Roster
                | LimitKind::Number
                | LimitKind::Store
                | LimitKind::Busy
                | LimitKind::Membership
        )
    }

    /// Why a check has no verdict.
    pub fn stop(&self) -> Stop {
        Stop::not_applicable(match self.kind {
            LimitKind::Body => "a limit of the deployment: it takes no body as large".to_owned(),
            LimitKind::Roster => "a limit of the deployment: it takes no roster as large".to_owned(),
            LimitKind::Store => {
                return Stop::not_judged(format!(
                    "a limit of the deployment: after {} repositories it takes no more",
                    self.measure - 1
                ));
            }
            LimitKind::Number if self.measure == 1 => {
                let what = verb(self.operation);
                return Stop::not_judged(format!("the server says that it is too much to {what} ({})", self.said));
            }
            LimitKind::Number => {
                format!("a limit of the deployment: one key may {} no more often", verb(self.operation))
            }
            LimitKind::Id => "a limit of the deployment: it doesn't take every id".to_owned(),
            LimitKind::Counter => "a limit of the deployment: it doesn't take every counter".to_owned(),
            LimitKind::Busy => "a limit of the deployment: it does no more at once".to_owned(),
            LimitKind::Membership => {
                "a policy of the deployment: nobody comes in or goes by the roster of a push".to_owned()
            }
        })
    }

    fn note(&self, times: u64) -> String {
        let Self { measure, said, .. } = self;
        let what = match self.kind {
            LimitKind::Body => format!("bodies of {measure} bytes and more"),
            LimitKind::Roster => format!("rosters of {measure} members and more"),
            LimitKind::Number => format!("a key that wants to {} for the {measure}. time", verb(self.operation)),
            LimitKind::Store => format!("the {measure}. repository, whoever creates it"),
            LimitKind::Id => format!("some repository ids, of {measure} characters and more"),
            LimitKind::Busy => "requests while it is busy".to_owned(),
            LimitKind::Membership => "pushes whose roster brings somebody in or leaves somebody out".to_owned(),
            LimitKind::Counter => format!("some counters that are far up or not the next ones, such as {measure}"),
        };
        let times = if times == 1 { String::new() } else { format!(", {times} times") };
        format!("a limit of the deployment, which is no violation: it refuses {what} ({said}{times})")
    }
}

fn verb(operation: Operation) -> &'static str {
    match operation {
        Operation::Challenge | Operation::Token => "log in",
        Operation::CreateRepo => "create a repository",
        Operation::Push => "push",
        Operation::AddMember => "add a member",
        Operation::RemoveMember => "remove a member",
        Operation::Pull => "pull",
        Operation::FetchMemberKey | Operation::Discovery => "ask",
    }
}

/// What of a run bears on limits.
#[derive(Default)]
pub struct Limits {
    rosters: Rosters,
    /// How often somebody succeeded with an operation.
    done: Mutex<HashMap<(String, Operation), u64>>,
    /// Nonces that were issued and not yet tried, and when.
    nonces: Mutex<HashMap<String, Instant>>,
    /// Repositories that were created.
    created: Mutex<HashSet<String>>,
    met: Mutex<BTreeMap<(LimitKind, &'static str), (Limit, u64)>>,
    confirmed: confirm::Confirmed,
    /// Whether a 503 that didn't say when to come back was none a moment later.
    busy_at_times: AtomicBool,
}

/// 402, 413 and 429, and 503 for a while, say nothing else than a limit. gRPC has a word of its own for when to come back.
fn says_limit(status: u16, headers: &HeaderMap) -> bool {
    let for_a_while = || headers.contains_key(RETRY_AFTER) || headers.contains_key("grpc-retry-pushback-ms");
    matches!(status, 402 | 413 | 429) || (status == 503 && for_a_while())
}

impl Limits {
    /// Takes note of an answer, and tells which limit it may be.
    pub(super) fn weigh(&self, call: &Call<'_>, json: &LazyJson, caller: &Caller, answer: &RawAnswer) -> Option<Limit> {
        let operation = call.operation?;
        let asked = Asked { operation, call, json, who: who(operation, json, caller) };
        if answer.status.is_success() {
            self.succeeded(&asked, answer);
        }
        let limit = if answer.status.is_success() { None } else { self.find(&asked, answer) };
        if operation == Operation::Token
            && let Some(request) = asked.body::<TokenRequest>()
        {
            lock(&self.nonces).remove(&request.nonce);
        }
        limit
    }

    /// Takes note that a 503 is for a moment here, also where it doesn't say so.
    pub(super) fn is_busy_at_times(&self) {
        self.busy_at_times.store(true, Ordering::Relaxed);
    }

    /// Whether a 503 that doesn't say when to come back is to be waited out.
    pub(super) fn are_short(&self) -> bool {
        self.busy_at_times.load(Ordering::Relaxed)
    }

    /// Takes note of a roster that was served.
    pub(super) fn roster(&self, repo: &str, body: &Value) {
        let manifest = body.get("manifest").unwrap_or(body);
        if let Some(members) = manifest.get("members").and_then(Value::as_array) {
            self.rosters.remember(repo, manifest["payloadVersion"].as_i64().unwrap_or_default(), members);
        }
    }

    /// A connection that was closed on a large body.
    pub(super) fn dropped(&self, call: &Call<'_>) -> Option<Limit> {
        let (operation, length) = (call.operation?, call.body.as_ref()?.len());
        let sure = self.has_worked(operation);
        let said = "the connection is closed".to_owned();
        let (kind, measure) = (LimitKind::Body, length as u64);
        let limit = Limit { kind, operation, measure, said, forbidden: false, sure, unclear: false, otherwise: None };
        (length > DROPPED_BODY).then_some(limit)
    }

    /// Keeps a limit for the notes of the run.
    pub(super) fn met(&self, limit: &Limit) {
        if limit.unclear {
            return;
        }
        let mut met = lock(&self.met);
        let by = if limit.kind == LimitKind::Number { verb(limit.operation) } else { "" };
        let (least, times) = met.entry((limit.kind, by)).or_insert_with(|| (limit.clone(), 0));
        *times += 1;
        if limit.measure < least.measure {
            *least = limit.clone();
        }
    }

    /// What the run has met, each limit once.
    pub fn notes(&self) -> Vec<String> {
        lock(&self.met).values().map(|(limit, times)| limit.note(*times)).collect()
    }

    fn succeeded(&self, asked: &Asked<'_>, answer: &RawAnswer) {
        match asked.operation {
            Operation::Challenge => {
                if let Ok(issued) = serde_json::from_slice::<ChallengeResponse>(&answer.body) {
                    lock(&self.nonces).insert(issued.nonce, Instant::now());
                }
            }
            Operation::CreateRepo => {
                if let Some(request) = asked.body::<CreateRepoRequest>() {
                    lock(&self.created).insert(request.manifest.repo_id);
                }
            }
            Operation::Push => {
                let told = serde_json::from_slice::<PushResponse>(&answer.body).ok().filter(|told| told.accepted);
                // The answer first: a request that changes nothing may have megabytes.
                if let Some(told) = told
                    && let Some(members) = asked.json().and_then(|request| request.get("rotatedMembers")?.as_array())
                    && let Some(repo) = repo_in_path(&asked.call.path)
                {
                    self.rosters.remember(&repo, told.payload_version, members);
                }
            }
            _ => {}
        }
        *lock(&self.done).entry((asked.who.clone(), asked.operation)).or_default() += 1;
    }

    fn times(&self, who: &str, operation: Operation) -> u64 {
        lock(&self.done).get(&(who.to_owned(), operation)).copied().unwrap_or(0)
    }

    fn has_worked(&self, operation: Operation) -> bool {
        lock(&self.done).keys().any(|(_, done)| *done == operation)
    }

    /// What an answer may tell of, the likeliest first.
    fn find(&self, asked: &Asked<'_>, answer: &RawAnswer) -> Option<Limit> {
        let mut limits = self.candidates(asked, answer);
        let mut found = limits.pop();
        while let Some(mut likelier) = limits.pop() {
            likelier.otherwise = found.map(Box::new);
            found = Some(likelier);
        }
        found
    }

    fn candidates(&self, asked: &Asked<'_>, answer: &RawAnswer) -> Vec<Limit> {
        let (status, operation) = (answer.status.as_u16(), asked.operation);
        let busy = status == 503 && self.are_short();
        let (says, forbidden) = (busy || says_limit(status, &answer.headers), status == 403);
        let limit = |kind, measure, sure| {
            let said = format!("status {status}");
            Limit { kind, operation, measure, said, forbidden, sure, unclear: false, otherwise: None }
        };
        let works = self.has_worked(operation);
        if says && status == 503 {
            return vec![limit(LimitKind::Busy, 1, works)];
        }
        let mut found = Vec::new();
        // The id of the repository is what makes a path long. Routers and proxies refuse that before the server sees it, so that
        // such a repository may have been created by a body.
        let addressed = repo_in_path(&asked.call.path).map_or(0, |id| id.chars().count());
        if matches!(status, 414 | 431) && addressed > PLAIN_ID {
            found.push(limit(LimitKind::Id, addressed as u64, works));
        }
        if forbidden && let Some(change) = self.membership_change(asked) {
            found.push(limit(LimitKind::Membership, change, false));
        }
        if says || (forbidden && self.may_ask(asked)) {
            let length = asked.call.body.as_ref().map_or(0, bytes::Bytes::len);
            let large = length > PLAIN_BODY;
            // Large rosters make large bodies; the roster is what a person can do something about.
            let roster = self.roster_after(asked).filter(|size| *size > PLAIN_ROSTER && !(large && status == 413));
            match roster {
                Some(size) => found.push(limit(LimitKind::Roster, size as u64, says && works)),
                None if large => found.push(limit(LimitKind::Body, length as u64, works)),
                None => {}
            }
        }
        let (times, created) = (self.times(&asked.who, operation), lock(&self.created).len() as u64);
        let is_one_of_many = operation == Operation::CreateRepo && created >= MANY_REPOS;
        if forbidden && is_one_of_many && self.is_well_meant(asked) {
            found.push(limit(LimitKind::Store, created + 1, false));
        }
        if (says && status != 413) || (forbidden && times > 0 && self.is_well_meant(asked)) {
            found.push(limit(LimitKind::Number, times + 1, times > 0));
        }
        let creates = operation == Operation::CreateRepo && self.is_well_meant(asked);
        let id = asked.odd_id().filter(|_| creates && matches!(status, 400 | 403 | 413 | 414 | 422));
        let may_be_counter = matches!(status, 400 | 403 | 413 | 422) && self.may_ask(asked);
        let counter = may_be_counter.then(|| asked.odd_counter()).flatten();
        let unclear = id.is_some() && counter.is_some();
        let odd = [(LimitKind::Id, id.map(|length| length as u64)), (LimitKind::Counter, counter)];
        found.extend(
            odd.into_iter().filter_map(|(kind, measure)| Some(Limit { unclear, ..limit(kind, measure?, works) })),
        );
        found
    }

    /// Whether the caller is in the roster, as far as that was served.
    fn may_ask(&self, asked: &Asked<'_>) -> bool {
        let repo = repo_in_path(&asked.call.path);
        match repo.and_then(|repo| self.rosters.may_have(&repo, &asked.who)) {
            Some(may) => may,
            None => asked.operation == Operation::CreateRepo && self.is_well_meant(asked),
        }
    }

    /// Whether the roster of a push brings somebody in (1), leaves somebody out (2), or both (3), where that is known.
    fn membership_change(&self, asked: &Asked<'_>) -> Option<u64> {
        let request = asked.json().filter(|_| asked.operation == Operation::Push)?;
        let entries = request.get("rotatedMembers")?.as_array()?;
        let ids: Vec<&str> = entries.iter().filter_map(|entry| entry["ed25519PublicKey"].as_str()).collect();
        self.rosters.change(&repo_in_path(&asked.call.path)?, &asked.who, &ids)
    }

    /// How many members the roster would have.
    fn roster_after(&self, asked: &Asked<'_>) -> Option<usize> {
        let list = |name: &str| asked.json()?.get(name)?.as_array().map(Vec::len);
        match asked.operation {
            Operation::AddMember => {
                let repo = repo_in_path(&asked.call.path)?;
                self.rosters.size(&repo).map(|size| size + 1)
            }
            Operation::Push => list("rotatedMembers"),
            Operation::RemoveMember => list("rewrappedMembers"),
            _ => None,
        }
    }

    /// Whether there is no other reason to refuse it.
    fn is_well_meant(&self, asked: &Asked<'_>) -> bool {
        match asked.operation {
            Operation::Challenge => true,
            Operation::Token => asked.body::<TokenRequest>().is_some_and(|request| {
                let issued = lock(&self.nonces).get(&request.nonce).copied();
                issued.is_some_and(|at| at.elapsed() < FRESH) && confirm::is_signed(&request)
            }),
            Operation::CreateRepo => asked.body::<CreateRepoRequest>().is_some_and(|request| {
                let manifest = &request.manifest;
                let alone = matches!(&manifest.members[..], [only] if only.ed25519_public_key == asked.who);
                let taken = lock(&self.created).contains(&manifest.repo_id);
                alone && !taken && manifest.repo_id == request.initial_envelope.repo_id
            }),
            _ => false,
        }
    }
}
