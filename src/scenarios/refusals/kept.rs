//! The refusals of a run, kept to be searched.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use http::header::DATE;
use http::{HeaderMap, StatusCode};
use serde_json::Value;

use super::held::held;
use crate::client::{Exchange, RawAnswer, RawRequest};
use crate::codec::base64;
use crate::codec::jwt::Jwt;
use crate::ground::lock;
use crate::scan::{Class, Look, Secret, first_found, searcher_of_answers};
use crate::scenarios::Finding;
use crate::scenarios::recording::Caller;

/// How much of each repository is looked for; who tells a roster tells its beginning.
const OF_EACH: usize = 48;
/// How much is looked for in all.
const ITEMS: usize = 12_000;
/// Requests longer than this aren't kept to be compared, and their refusals aren't searched.
const LONG: usize = 64 << 10;
/// How much is kept to be searched, in bytes.
const KEPT: usize = 16 << 20;

/// Everything that a request says, as far as an answer may quote it.
pub(super) fn said<'a>(path: &str, headers: impl IntoIterator<Item = &'a [u8]>, body: Option<&Bytes>) -> Vec<u8> {
    let mut all = vec![path.as_bytes().to_vec(), body.map(|body| body.to_vec()).unwrap_or_default()];
    for value in headers {
        let text = String::from_utf8_lossy(value);
        let last = text.rsplit(' ').next().unwrap_or_default();
        all.extend(Jwt::parse(last).ok().map(|jwt| Value::Object(jwt.claims).to_string().into_bytes()));
        all.extend(base64::decode(last).ok());
        all.push(value.to_vec());
    }
    all.join(&b'\n')
}

/// Everything that an answer says, but for the date, which would make each text another.
pub(super) fn told(body: &[u8], headers: &HeaderMap) -> Vec<u8> {
    let mut text = body.to_vec();
    for (_, value) in headers.iter().filter(|(name, _)| **name != DATE) {
        text.push(b'\n');
        text.extend_from_slice(value.as_bytes());
    }
    text
}

/// What of this isn't in a request.
pub(super) fn unasked(look: &Look, found: &[usize], said: &[u8]) -> Vec<usize> {
    if found.is_empty() {
        return Vec::new();
    }
    let echoed: HashSet<_> = tags(look, said).into_iter().collect();
    found.iter().copied().filter(|tag| !echoed.contains(tag)).collect()
}

pub(super) fn tags(look: &Look, text: &[u8]) -> Vec<usize> {
    look.at(text).into_iter().map(|sighting| sighting.tag as usize).collect()
}

pub(super) fn secrets(items: Vec<(&'static str, Vec<u8>)>) -> Vec<Secret> {
    let secret = |(what, bytes): (&'static str, Vec<u8>)| Secret {
        class: Class::Stored,
        what: what.into(),
        check: "".into(),
        bytes,
    };
    items.into_iter().map(secret).collect()
}

/// The refusals of a run, and what they must not say.
#[derive(Default)]
pub struct Refusals {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Who may have read a repository at some time, by its id.
    readers: HashMap<String, HashSet<String>>,
    /// What was sent for a repository, and for which.
    items: HashMap<Vec<u8>, (&'static str, Vec<String>)>,
    of_each: HashMap<String, usize>,
    kept: Vec<Arc<Kept>>,
    bytes: usize,
}

struct Kept {
    check: &'static str,
    caller: Option<String>,
    said: Vec<u8>,
    told: Vec<u8>,
    exchange: Arc<Exchange>,
}

impl Refusals {
    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Notes a request that may change a repository, before it is sent.
    pub(in crate::scenarios) fn sent(&self, repo: &str, caller: &Caller, body: &Value) {
        let Caller::Member(caller) = caller else { return };
        let mut state = self.lock();
        match state.readers.get(repo) {
            // What strangers send isn't the repository's, and makes nobody a member.
            Some(readers) if !readers.contains(caller) => return,
            Some(_) => {}
            None => drop(state.readers.insert(repo.to_owned(), HashSet::from([caller.clone()]))),
        }
        let mut found = Vec::new();
        held(body, &mut found);
        let already = state.of_each.get(repo).copied().unwrap_or_default();
        let readers = found.iter().filter(|(what, _)| *what == "member id").map(|(_, bytes)| base64::encode(bytes));
        let readers: Vec<_> = readers.collect();
        state.readers.entry(repo.to_owned()).or_default().extend(readers);
        for (what, bytes) in found.into_iter().take(OF_EACH.saturating_sub(already)) {
            if state.items.len() >= ITEMS {
                return;
            }
            *state.of_each.entry(repo.to_owned()).or_default() += 1;
            let (_, repos) = state.items.entry(bytes).or_insert((what, Vec::new()));
            if !repos.iter().any(|known| known == repo) {
                repos.push(repo.to_owned());
            }
        }
    }

    /// Keeps a refusal.
    pub(in crate::scenarios) fn answered(
        &self,
        check: &'static str,
        caller: Caller,
        request: &RawRequest,
        answer: &RawAnswer,
        exchange: &Arc<Exchange>,
    ) {
        let caller = match caller {
            Caller::Nobody => None,
            Caller::Member(id) => Some(id),
            // A token that this suite can't tell whose it is may be a member's.
            Caller::Unclear if answer.status == StatusCode::UNAUTHORIZED => None,
            Caller::Unclear => return,
        };
        if request.body.as_ref().is_some_and(|body| body.len() > LONG) {
            return;
        }
        let values = request.headers.iter().map(|(_, value)| value.as_bytes());
        let kept = Kept {
            check,
            caller,
            said: said(&request.path, values, request.body.as_ref()),
            told: told(&answer.body, &answer.headers),
            exchange: exchange.clone(),
        };
        let mut state = self.lock();
        let length = kept.said.len() + kept.told.len();
        if state.bytes + length <= KEPT {
            state.bytes += length;
            state.kept.push(Arc::new(kept));
        }
    }

    /// How many refusals were searched, and the first that says too much.
    pub(super) fn findings(&self) -> (usize, Option<Finding>) {
        // Copied: whoever sends a request meanwhile needs what the lock guards.
        let (items, readers, all) = {
            let state = self.lock();
            (state.items.clone(), state.readers.clone(), state.kept.clone())
        };
        let (items, homes): (Vec<_>, Vec<_>) =
            items.into_iter().map(|(bytes, (what, repos))| ((what, bytes), repos)).unzip();
        let secrets = secrets(items);
        let may_read = |caller: Option<&String>, tag: usize| {
            caller.is_some_and(|caller| {
                *caller == base64::encode(&secrets[tag].bytes)
                    || homes[tag].iter().any(|repo| readers.get(repo).is_some_and(|readers| readers.contains(caller)))
            })
        };
        // Most say the same as others do: each text is searched once.
        let (mut texts, mut places) = (Vec::<(&[u8], Vec<&Kept>)>::new(), HashMap::new());
        for kept in &all {
            let place = *places.entry(kept.told.as_slice()).or_insert(texts.len());
            if place == texts.len() {
                texts.push((&kept.told, Vec::new()));
            }
            texts[place].1.push(kept);
        }
        let found = first_found(&searcher_of_answers(&secrets), &texts, |look, (told, alike)| {
            let tags = tags(look, told);
            let (tag, kept) = alike.iter().find_map(|kept| {
                let mut leaked = unasked(look, &tags, &kept.said).into_iter();
                Some((leaked.find(|tag| !may_read(kept.caller.as_ref(), *tag))?, kept))
            })?;
            let status = kept.exchange.status.unwrap_or_default();
            Some(Finding {
                expected: "a refusal says nothing of a repository to whoever isn't a member".into(),
                observed: format!("an answer of status {status} in {} holds a {}", kept.check, secrets[tag].what),
                exchange: Some(kept.exchange.clone()),
                evidence: Vec::new(),
            })
        });
        (all.len(), found)
    }
}
