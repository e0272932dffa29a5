//! What a refusal says (SPEC §6): to somebody who isn't a member, nothing of what a repository holds.
//!
//! One check asks as every kind of outsider; another searches all refusals of the run. What the caller has sent itself, in path,
//! body or token, is an echo and no leak.

mod held;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use http::header::DATE;
use serde_json::Value;

use self::held::{held, parts};
use super::check::checks;
use super::recording::Caller;
use super::status::Requests;
use super::token::forgeries;
use super::{Answer, Auth, Ctx, Finding, NO_OPERATION, Operation, Outcome, Stop};
use crate::client::{Exchange, RawRequest, Repo, random};
use crate::codec::base64;
use crate::codec::jwt::Jwt;
use crate::ground::lock;
use crate::scan::{Class, Look, Secret, first_found, searcher_of_answers};
use crate::wire::VaultManifest;

checks! {
    "refusal/says-nothing", Must, "§6", [REFUSAL_SILENT], says_nothing,
        "A refusal tells outsiders no member, wrapped key, ciphertext or counter of the repository";
    "refusal/nowhere-says-more", Must, "§6", [REFUSAL_SILENT], nowhere_says_more,
        "No refusal of the run tells an outsider a member, wrapped key or ciphertext", phase = Finale;
}

/// How much of each repository is looked for; who tells a roster tells its beginning.
const OF_EACH: usize = 48;
/// How much is looked for in all.
const ITEMS: usize = 12_000;
/// Requests longer than this aren't kept to be compared, and their refusals aren't searched.
const LONG: usize = 64 << 10;
/// How much is kept to be searched, in bytes.
const KEPT: usize = 16 << 20;

/// Everything that a request says, as far as an answer may quote it.
fn said<'a>(path: &str, headers: impl IntoIterator<Item = &'a [u8]>, body: Option<&Bytes>) -> Vec<u8> {
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
fn told(answer: &Answer<'_>) -> Vec<u8> {
    let mut text = answer.body.to_vec();
    for (_, value) in answer.headers.iter().filter(|(name, _)| **name != DATE) {
        text.push(b'\n');
        text.extend_from_slice(value.as_bytes());
    }
    text
}

/// What is in an answer and wasn't in its request.
fn leaked(look: &Look, told: &[u8], said: &[u8]) -> Vec<usize> {
    unasked(look, &tags(look, told), said)
}

/// What of this isn't in a request.
fn unasked(look: &Look, found: &[usize], said: &[u8]) -> Vec<usize> {
    if found.is_empty() {
        return Vec::new();
    }
    let echoed: HashSet<_> = tags(look, said).into_iter().collect();
    found.iter().copied().filter(|tag| !echoed.contains(tag)).collect()
}

fn tags(look: &Look, text: &[u8]) -> Vec<usize> {
    look.at(text).into_iter().map(|sighting| sighting.tag as usize).collect()
}

fn secrets(items: Vec<(&'static str, Vec<u8>)>) -> Vec<Secret> {
    let secret = |(what, bytes): (&'static str, Vec<u8>)| Secret {
        class: Class::Stored,
        what: what.into(),
        check: "".into(),
        bytes,
    };
    items.into_iter().map(secret).collect()
}

/// Whether a number stands in a text, not as a part of a longer one.
fn has_number(text: &[u8], number: i64) -> bool {
    let digits = number.to_string();
    memchr::memmem::find_iter(text, digits.as_bytes()).any(|at| {
        let beside = [at.checked_sub(1), Some(at + digits.len())];
        beside.into_iter().flatten().all(|at| text.get(at).is_none_or(|byte| !byte.is_ascii_digit()))
    })
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
    kept: Vec<Kept>,
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
    pub(super) fn sent(&self, repo: &str, caller: &Caller, body: &Value) {
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
    pub(super) fn answered(&self, check: &'static str, caller: Caller, request: &RawRequest, answer: &Answer<'_>) {
        let caller = match caller {
            Caller::Nobody => None,
            Caller::Member(id) => Some(id),
            // A token that this suite can't tell whose it is may be a member's.
            Caller::Unclear if answer.status == 401 => None,
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
            told: told(answer),
            exchange: answer.exchange.clone(),
        };
        let mut state = self.lock();
        let length = kept.said.len() + kept.told.len();
        if state.bytes + length <= KEPT {
            state.bytes += length;
            state.kept.push(kept);
        }
    }

    /// How many refusals were searched, and the first that says too much.
    fn findings(&self) -> (usize, Option<Finding>) {
        let state = self.lock();
        let (mut items, mut homes) = (Vec::new(), Vec::new());
        for (bytes, (what, repos)) in &state.items {
            items.push((*what, bytes.clone()));
            homes.push(repos);
        }
        let secrets = secrets(items);
        let may_read = |caller: Option<&String>, tag: usize| {
            caller.is_some_and(|caller| {
                *caller == base64::encode(&secrets[tag].bytes)
                    || homes[tag]
                        .iter()
                        .any(|repo| state.readers.get(repo).is_some_and(|readers| readers.contains(caller)))
            })
        };
        // Most say the same as others do: each text is searched once.
        let (mut texts, mut places) = (Vec::<(&[u8], Vec<&Kept>)>::new(), HashMap::new());
        for kept in &state.kept {
            let place = *places.entry(kept.told.as_slice()).or_insert(texts.len());
            if place == texts.len() {
                texts.push((&kept.told, Vec::new()));
            }
            texts[place].1.push(kept);
        }
        let found = first_found(&searcher_of_answers(&secrets), &texts, |look, (told, all)| {
            let tags = tags(look, told);
            let (tag, kept) = all.iter().find_map(|kept| {
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
        (state.kept.len(), found)
    }
}

/// Whatever was refused in the run.
async fn nowhere_says_more(cx: &Ctx) -> Outcome {
    let (searched, found) = cx.world.seen.refusals.findings();
    if let Some(finding) = found {
        return Err(Stop::Violation(finding.into()));
    }
    cx.remark(format!("{searched} refusals searched"));
    Ok(())
}

/// Somebody who was in the roster before the last rotation.
const FORMER: &str = "a former member";

/// Counters that stand in no answer by chance.
fn counter(cx: &Ctx) -> i64 {
    100_000_000 + i64::try_from(cx.choose(800_000_000)).unwrap_or_default()
}

/// Nobody, forged tokens, a stranger and a former member ask for everything, with requests made of nothing but their own.
async fn says_nothing(cx: &Ctx) -> Outcome {
    let (alice, mallory, carol) = (cx.member().await?, cx.member().await?, cx.member().await?);
    let bob = cx.identity();
    let id = base64::encode_url(&random::bytes::<16>());
    let mut repo = cx.create_repo(&alice, Repo::with_counters(&alice, &id, counter(cx), counter(cx))).await?;
    cx.enrol(&alice, &mut repo, &bob).await?;
    cx.enrol(&alice, &mut repo, &carol).await?;
    cx.expel(&alice, &mut repo, carol.id(), &[&alice, &bob]).await?;
    // A server that explains itself with what it has shown last has shown it now.
    cx.readable(&alice, &repo, "a removal").await?;
    let secrets = holdings(&repo.manifest, &serde_json::json!(repo.envelope));
    let forged = forgeries(&alice.token, &alice).into_iter().next().map(|(_, auth)| auth);
    let mut callers = vec![
        ("nobody", Auth::None),
        ("somebody with garbage for a token", Auth::Bearer("garbage".into())),
        ("a stranger", mallory.auth()),
        (FORMER, carol.auth()),
    ];
    callers.extend(forged.map(|auth| ("somebody with a forged token", auth)));
    let mut told = Vec::new();
    for caller in &callers {
        let (who, auth) = caller;
        let by = if *who == FORMER { &carol } else { &mallory };
        // Of their own making, but for the ids that everybody may know.
        let own = Requests::new(cx, &Repo::with_id(by, repo.id()), by, &bob);
        for operation in Operation::VAULT {
            look_at(&mut told, &repo, &secrets, caller, own.send(cx, operation, auth).await?);
        }
        let mut stale = Repo::with_id(by, repo.id()).push_request(by);
        stale.expected_payload_version = 0;
        look_at(&mut told, &repo, &secrets, caller, cx.perform(Operation::Push, repo.id(), auth, &stale).await?);
        let taking = Repo::with_id(by, repo.id()).create_request();
        look_at(&mut told, &repo, &secrets, caller, cx.perform(Operation::CreateRepo, "", auth, &taking).await?);
    }
    verdict(told)
}

/// What a repository holds that only members may know.
fn holdings(manifest: &VaultManifest, envelope: &Value) -> Vec<Secret> {
    let mut items = Vec::new();
    held(&serde_json::json!(manifest), &mut items);
    held(envelope, &mut items);
    parts(&serde_json::json!(manifest), &mut items);
    parts(envelope, &mut items);
    secrets(items)
}

/// Looks for what a refusal gives away. A former member knows the members anyway.
fn look_at<'c>(
    told_too_much: &mut Vec<(String, Answer<'c>)>,
    repo: &Repo,
    secrets: &[Secret],
    (who, auth): &(&str, Auth),
    answer: Answer<'c>,
) {
    // What is accepted is judged by the operation's own checks.
    if answer.is_success() {
        return;
    }
    let text = told(&answer);
    let authorization = match auth {
        Auth::None => None,
        Auth::Bearer(value) | Auth::Header(value) => Some(value.as_str()),
    };
    let body = Bytes::from(answer.exchange.request.text.clone());
    let said = said(&answer.exchange.path, authorization.map(str::as_bytes), Some(&body));
    let found = leaked(&Look::new(&searcher_of_answers(secrets)), &text, &said);
    let secret = found
        .into_iter()
        .map(|tag| secrets[tag].what.as_ref())
        .find(|what| *who != FORMER || !what.starts_with("member"));
    let counters = [("payload version", repo.version()), ("key epoch", repo.epoch())];
    let counter = counters.into_iter().find(|(_, counter)| has_number(&text, *counter)).map(|(what, _)| what);
    if let Some(what) = secret.or(counter) {
        let name = answer.operation.map_or(NO_OPERATION, Operation::name);
        told_too_much.push((format!("status {} to {name} by {who} tells a {what}", answer.status), answer));
    }
}

fn verdict(told: Vec<(String, Answer<'_>)>) -> Outcome {
    let Some((_, first)) = told.first() else { return Ok(()) };
    let more = if told.len() > 6 { format!("; and {} more", told.len() - 6) } else { String::new() };
    let observed: Vec<_> = told.iter().take(6).map(|(what, _)| what.as_str()).collect();
    let expected = "a refusal says nothing of the repository to whoever isn't a member";
    Err(first.violation(expected, format!("{}{more}", observed.join("; "))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_echo_is_no_leak() {
        let id = base64::encode(&[0xfb; 32]);
        let mut items = Vec::new();
        held(&json!({ "members": [{ "ed25519PublicKey": id }] }), &mut items);
        let secrets = secrets(items);
        let look = Look::new(&searcher_of_answers(&secrets));
        let url = base64::encode_url(&[0xfb; 32]);
        let escaped = id.replace('+', "\\u002b").replace('/', "\\/");
        for spelled in [&id, &url, &escaped] {
            let told = format!("{{\"error\":\"not among {spelled}\"}}");
            assert_eq!(leaked(&look, told.as_bytes(), b"/v1/repos"), [0], "{spelled}");
            let path = format!("/v1/repos/r/member/{}", crate::wire::segment(&id));
            assert!(leaked(&look, told.as_bytes(), path.as_bytes()).is_empty(), "{spelled}");
        }
    }

    #[test]
    fn a_number_is_not_a_part_of_another() {
        assert!(has_number(b"{\"payloadVersion\":123456789}", 123_456_789));
        assert!(!has_number(b"{\"time\":1234567890}", 123_456_789));
    }
}
