//! What the whole run has seen: every 2xx body against the schema, every answer for the search for secrets.

use std::collections::{BTreeMap, HashSet};
use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use serde_json::Value;

use crate::client::{Exchange, clock};
use crate::ground::lock;
use crate::wire::{self, MessageKind, Schema, Violation};

/// How much of the answers and their records is kept for the search, in bytes; beyond it they are only counted.
const KEPT_ANSWERS: usize = 48 << 20;

/// Something seen more than once: the first occurrence and how many there were.
#[derive(Clone, Debug)]
pub struct Seen {
    /// What it was.
    pub what: String,
    /// The check that met it first.
    pub check: &'static str,
    /// Where it was met first.
    pub exchange: Arc<Exchange>,
    /// How often.
    pub times: u64,
}

/// An answer, kept for the search.
#[derive(Clone)]
pub struct KeptAnswer {
    /// The check that got it.
    pub check: &'static str,
    /// Body of the answer.
    pub body: Bytes,
    /// The record of the exchange.
    pub exchange: Arc<Exchange>,
}

/// Run-wide observations.
#[derive(Default)]
pub struct Answers {
    violations: Mutex<BTreeMap<MessageKind, Vec<Seen>>>,
    valid: Mutex<BTreeMap<MessageKind, u64>>,
    content_types: Mutex<Vec<Seen>>,
    fractions: Mutex<Vec<Seen>>,
    marks: Mutex<Vec<Seen>>,
    /// Hashes of the bodies that were kept, with a key of this process: a server can't choose two that are alike.
    bodies: Mutex<HashSet<u64>>,
    hasher: RandomState,
    error_codes: Mutex<Vec<Seen>>,
    answers: Mutex<Vec<KeptAnswer>>,
    kept_bytes: AtomicU64,
    unsearched: AtomicU64,
    later_revision: AtomicBool,
    /// Repositories for which a request was taken that breaks the schema.
    odd: Mutex<HashSet<String>>,
}

fn note(list: &mut Vec<Seen>, what: String, check: &'static str, exchange: &Arc<Exchange>) {
    if let Some(seen) = list.iter_mut().find(|seen| seen.what == what) {
        seen.times += 1;
    } else if list.len() < 20 {
        list.push(Seen { what, check, exchange: exchange.clone(), times: 1 });
    }
}

impl Answers {
    /// Notes that a request which breaks the schema was taken for a repository.
    pub fn took_something_odd(&self, repo: String) {
        lock(&self.odd).insert(repo);
    }

    /// Whether what is served of a repository may be what broke the schema when it was sent.
    pub fn has_taken_something_odd(&self, repo: &str) -> bool {
        lock(&self.odd).contains(repo)
    }

    /// Holds a 2xx body to the schema; what is wrong with it is noted and returned.
    pub fn validate(
        &self,
        kind: MessageKind,
        body: &Value,
        check: &'static str,
        exchange: &Arc<Exchange>,
    ) -> Vec<Violation> {
        let violations = Schema::violations(kind, body, 5);
        if violations.is_empty() {
            *lock(&self.valid).entry(kind).or_default() += 1;
        } else {
            let mut map = lock(&self.violations);
            let list = map.entry(kind).or_default();
            for violation in &violations {
                // The value at fault differs from answer to answer; the place is what makes it one observation.
                note(list, without_values(violation), check, exchange);
            }
        }
        if wire::has_fractions(body) {
            note(&mut lock(&self.fractions), "an integer is written as 1.0 is".into(), check, exchange);
        }
        if body.pointer("/shareRefreshTokens").or_else(|| body.pointer("/manifest/shareRefreshTokens")).is_some() {
            self.later_revision.store(true, Ordering::Relaxed);
        }
        violations
    }

    /// Notes the Content-Type of a 2xx answer that isn't JSON by its label.
    pub fn content_type(&self, label: Option<&str>, check: &'static str, exchange: &Arc<Exchange>) {
        let essence = label.unwrap_or("").split(';').next().unwrap_or("").trim().to_ascii_lowercase();
        if essence != "application/json" && !essence.ends_with("+json") {
            let what = label.map_or_else(|| "no Content-Type".to_owned(), |label| format!("Content-Type: {label}"));
            note(&mut lock(&self.content_types), what, check, exchange);
        }
    }

    /// Notes a 2xx answer whose body began with a byte order mark.
    pub fn byte_order_mark(&self, check: &'static str, exchange: &Arc<Exchange>) {
        note(&mut lock(&self.marks), "a body begins with a byte order mark (EF BB BF)".into(), check, exchange);
    }

    /// What [`Self::byte_order_mark`] has noted.
    pub fn mark_findings(&self) -> Vec<Seen> {
        lock(&self.marks).clone()
    }

    /// Holds status, code and headers of a refusal to revision 0.3.
    pub fn error_code(
        &self,
        status: u16,
        body: &Value,
        headers: &http::HeaderMap,
        check: &'static str,
        exchange: &Arc<Exchange>,
    ) {
        let mut list = lock(&self.error_codes);
        for what in wrong_code(status, body, headers) {
            note(&mut list, what, check, exchange);
        }
    }

    /// What [`Self::error_code`] found.
    pub fn error_code_findings(&self) -> Vec<Seen> {
        lock(&self.error_codes).clone()
    }

    /// Keeps an answer for the search.
    pub fn keep(&self, check: &'static str, body: &Bytes, exchange: &Arc<Exchange>) {
        // The same text again holds nothing else.
        if !lock(&self.bodies).insert(self.hasher.hash_one(body)) {
            return;
        }
        let length = (body.len() + exchange.size()) as u64;
        if self.kept_bytes.fetch_add(length, Ordering::Relaxed) + length > KEPT_ANSWERS as u64 {
            self.unsearched.fetch_add(1, Ordering::Relaxed);
        } else {
            lock(&self.answers).push(KeptAnswer { check, body: body.clone(), exchange: exchange.clone() });
        }
    }

    /// Schema violations of a message, and how many bodies were right.
    pub fn schema_findings(&self, kind: MessageKind) -> (Vec<Seen>, u64) {
        let valid = lock(&self.valid).get(&kind).copied().unwrap_or(0);
        (lock(&self.violations).get(&kind).cloned().unwrap_or_default(), valid)
    }

    /// Answers whose label isn't JSON.
    pub fn content_type_findings(&self) -> Vec<Seen> {
        lock(&self.content_types).clone()
    }

    /// Answers in which integers have a fraction or an exponent.
    pub fn fraction_findings(&self) -> Vec<Seen> {
        lock(&self.fractions).clone()
    }

    /// The kept answers, and the number of those that weren't.
    pub fn answers(&self) -> (Vec<KeptAnswer>, u64) {
        (lock(&self.answers).clone(), self.unsearched.load(Ordering::Relaxed))
    }

    /// Whether an answer held a member of a later revision.
    pub fn saw_later_revision(&self) -> bool {
        self.later_revision.load(Ordering::Relaxed)
    }
}

/// What is wrong with status, code and headers of a refusal by revision 0.3.
pub(crate) fn wrong_code(status: u16, body: &Value, headers: &http::HeaderMap) -> Vec<String> {
    let code = body["code"].as_str();
    let expected: &[&str] = match status {
        401 => &["unauthorized"],
        403 => &["forbidden", "policy_denied"],
        404 => &["not_found"],
        409 => &["duplicate_repo"],
        413 => &["too_large"],
        429 => &["quota_exceeded"],
        _ => &[],
    };
    let mut wrong = Vec::new();
    if let Some(code) = code
        && !expected.is_empty()
        && !expected.contains(&code)
    {
        wrong.push(format!("status {status} with code \"{code}\""));
    }
    if status == 413 && code != Some("too_large") {
        wrong.push(format!("status 413 with code \"{}\" instead of \"too_large\"", code.unwrap_or_default()));
    }
    // A quota is told by its code, and nobody knows when there is room again; any other 429 is a rate limit.
    if status == 429 && code != Some("quota_exceeded") {
        let after = headers.get(http::header::RETRY_AFTER).map(|value| String::from_utf8_lossy(value.as_bytes()));
        match after {
            None => wrong.push("a rate limit (429) without Retry-After".into()),
            Some(after) if clock::retry_after(&after).is_none() => {
                wrong.push(format!("a rate limit (429) with Retry-After: {after}, neither seconds nor a date"));
            }
            Some(_) => {}
        }
    }
    wrong
}

/// The violation with array positions generalised, so that equal mistakes count as one.
fn without_values(violation: &Violation) -> String {
    let pointer: Vec<_> = violation
        .pointer
        .split('/')
        .map(|part| if !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()) { "*" } else { part })
        .collect();
    let place = if violation.pointer.is_empty() { "the body".to_owned() } else { pointer.join("/") };
    format!("{place}: {}", violation.masked)
}
