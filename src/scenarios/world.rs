//! What all checks of a run share: the target, its manners, and what has been observed so far.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;

use super::limits::Limits;
use super::recording::{Caller, Recording};
use super::storage::Storage;
use super::{Auth, Blobs, Hosting, Ledger, Logins, Observer, Operation, Refusals, Register};
use crate::client::{Exchange, Header, Mask, RawAnswer, RawRequest, Transport, TransportError, clock};
use crate::ground::lock;
use crate::requirements::Revision;

/// How often one request is repeated after a 429.
const RATE_LIMIT_TRIES: u32 = 30;
/// The longest single wait that a `Retry-After` may ask for.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// A request that is still sent away after so many waits, and so long, may be one too many of its kind.
const QUOTA_TRIES: u32 = 3;
const QUOTA_PATIENCE: Duration = Duration::from_millis(2500);
/// So many requests in a row are sent away for long before the run is given up.
const LONG_WAITS: u32 = 20;
/// After so many waits in vain, and none of use, a request that is sent away is sent away.
const WAITS_IN_VAIN: u32 = 3;
/// So many requests in a row are sent away before it is asked whether anybody gets through.
const LIMITED_IN_A_ROW: u32 = 60;
/// Requests in a row without any answer, after which the target counts as gone.
const UNANSWERED_LIMIT: u32 = 10;

/// Why a run can't go on.
#[derive(Clone, Debug)]
pub struct Abort {
    /// One sentence: what is wrong with the target.
    pub reason: String,
    /// What to try.
    pub advice: String,
}

/// Whether it would be another answer later: 429, and 503 that says when, by the header or by gRPC's own metadata for that.
fn asks_to_wait(answer: &RawAnswer) -> bool {
    match answer.status.as_u16() {
        429 => true,
        503 => wanted_wait(answer).is_some(),
        _ => false,
    }
}

/// Method and last segment: enough to tell operations apart.
fn kind_of(request: &RawRequest) -> String {
    let end = request.path.split('?').next().and_then(|path| path.rsplit('/').next()).unwrap_or_default();
    let end = if request.method == http::Method::GET { "" } else { end };
    format!("{} {end}", request.method)
}

/// How long the server wants to be left alone.
fn wanted_wait(answer: &RawAnswer) -> Option<Duration> {
    let said = |name: &str| answer.headers.get(name)?.to_str().ok();
    let pushed_back = || said("grpc-retry-pushback-ms")?.parse().ok().map(Duration::from_millis);
    said("retry-after").and_then(clock::retry_after).or_else(pushed_back)
}

/// Run-wide state.
pub struct World {
    /// The vault server.
    pub vault: Arc<Transport>,
    /// The identity provider, when it is another origin.
    pub separate_idp: Option<Arc<Transport>>,
    /// Other processes of the same deployment.
    pub replicas: Vec<Arc<Transport>>,
    /// Whether the one other process is this very server's gRPC profile.
    pub profiles: bool,
    /// Why what is written by one profile isn't there for the other, if the two have a store each.
    pub(super) apart: tokio::sync::OnceCell<Option<String>>,
    /// Another deployment, which shares nothing with this one.
    pub stranger: Option<Arc<Transport>>,
    /// How often the server is killed at most, to see what it keeps.
    pub crash_rounds: u32,
    /// Revision that the run judges by.
    pub spec: Revision,
    /// Seed of the run's choices.
    pub seed: u64,
    /// How long each contention check repeats its rounds.
    pub race_budget: Duration,
    /// How many rounds each contention check tries at most.
    pub race_rounds: u32,
    /// Whether checks try what takes more requests than a usual run has time for.
    pub thorough: bool,
    /// The server's own nonce lifetime, if it was told.
    pub nonce_ttl: Option<Duration>,
    /// The issuer's Ed25519 keys, when a key set is known.
    pub issuer_keys: OnceLock<Vec<[u8; 32]>>,
    /// What has been seen.
    pub observer: Observer,
    /// What no server may have.
    pub ledger: Ledger,
    /// Who has logged in with what.
    pub logins: Logins,
    /// Limits of the deployment.
    pub(super) limits: Limits,
    /// Sealed texts that were sent and served.
    pub blobs: Blobs,
    /// Refusals, and what they must not say.
    pub refusals: Refusals,
    /// Repositories whose state is known.
    pub known: Register,
    /// What the server keeps, as far as it is at hand.
    pub storage: Storage,
    /// What became of it when it was killed.
    pub crashes: super::crash::Crashes,
    /// Whether the server is being ended on purpose, so that no answer is what is to be expected.
    pub expects_silence: AtomicBool,
    /// Whether a server that the suite has started has stopped answering.
    pub suspect: AtomicBool,
    /// The servers that the suite has started itself.
    pub hosting: Option<Arc<Hosting>>,
    /// Where exchanges go when tracing.
    pub trace: Option<mpsc::UnboundedSender<(&'static str, Arc<Exchange>)>>,
    /// Set when authentication can't work at all, so that setting up a member fails at once.
    pub no_tokens: OnceLock<String>,
    /// From the start of the run to its end, fitted to the target's latency.
    pub fitted_deadline: OnceLock<Duration>,
    /// What the contention checks did, for `--save-history`.
    pub recording: Option<Arc<Recording>>,
    /// Members by their tokens.
    subjects: Mutex<HashMap<String, String>>,
    /// Whether the server took the unread body of a refused request for the next request.
    pub leaves_bodies: OnceLock<Arc<Exchange>>,
    /// Whether a contention check has seen the server lose a race.
    pub contended: AtomicBool,
    /// Habits that a check has warned of; another one needn't.
    habits: Mutex<BTreeSet<&'static str>>,
    /// Whether a check has told that a stalled request keeps others waiting.
    pub stalls: AtomicBool,
    /// Whether the server serves one connection at a time.
    pub one_connection: AtomicBool,
    /// Whether the server serves one request at a time, found when one was held.
    pub one_request: AtomicBool,
    /// Keeps the credentials of the deployment out of what is recorded.
    pub mask: Mask,
    closes_idle: AtomicBool,
    not_before: Mutex<Option<Instant>>,
    unanswered: AtomicU32,
    /// The first of the requests in a row that got no answer: the most likely culprit.
    first_unanswered: Mutex<String>,
    limited: AtomicU32,
    /// How often waiting was of no use, and of use, where nobody says how long to wait; by method and the end of the path.
    waits: Mutex<HashMap<String, (u32, u32)>>,
    abort: Mutex<Option<Abort>>,
    abort_signal: Notify,
}

impl World {
    /// A world for a target.
    pub fn new(
        vault: Transport,
        separate_idp: Option<Transport>,
        spec: Revision,
        seed: u64,
        headers: &[Header],
    ) -> Self {
        Self {
            vault: Arc::new(vault),
            separate_idp: separate_idp.map(Arc::new),
            replicas: Vec::new(),
            profiles: false,
            apart: tokio::sync::OnceCell::new(),
            stranger: None,
            crash_rounds: 0,
            spec,
            seed,
            race_budget: Duration::from_millis(25),
            race_rounds: 100,
            thorough: false,
            nonce_ttl: None,
            issuer_keys: OnceLock::new(),
            observer: Observer::default(),
            ledger: Ledger::default(),
            logins: Logins::default(),
            limits: Limits::default(),
            blobs: Blobs::default(),
            refusals: Refusals::default(),
            known: Register::default(),
            storage: Storage::default(),
            crashes: super::crash::Crashes::new(),
            expects_silence: AtomicBool::new(false),
            suspect: AtomicBool::new(false),
            hosting: None,
            trace: None,
            no_tokens: OnceLock::new(),
            fitted_deadline: OnceLock::new(),
            recording: None,
            subjects: Mutex::default(),
            habits: Mutex::default(),
            leaves_bodies: OnceLock::new(),
            contended: AtomicBool::new(false),
            stalls: AtomicBool::new(false),
            one_connection: AtomicBool::new(false),
            one_request: AtomicBool::new(false),
            mask: Mask::new(headers),
            closes_idle: AtomicBool::new(false),
            not_before: Mutex::new(None),
            unanswered: AtomicU32::new(0),
            first_unanswered: Mutex::default(),
            limited: AtomicU32::new(0),
            waits: Mutex::default(),
            abort: Mutex::new(None),
            abort_signal: Notify::new(),
        }
    }

    /// The identity provider.
    pub fn idp(&self) -> &Arc<Transport> {
        self.separate_idp.as_ref().unwrap_or(&self.vault)
    }

    /// A process of the deployment; 0 is the target itself, and after the last one it begins again.
    pub fn process(&self, number: usize) -> &Arc<Transport> {
        match number % (self.replicas.len() + 1) {
            0 => &self.vault,
            replica => &self.replicas[replica - 1],
        }
    }

    /// Whether a request that is under way keeps everybody else waiting.
    pub fn is_serial(&self) -> bool {
        self.one_connection.load(Ordering::Relaxed) || self.one_request.load(Ordering::Relaxed)
    }

    /// The run's recording, if it is to have what this check does.
    pub fn recording_of(&self, check: &str) -> Option<&Recording> {
        self.recording
            .as_deref()
            .filter(|_| ["race/", "authority/", "replica/", "profiles/"].iter().any(|area| check.starts_with(area)))
    }

    /// Notes whose a token is.
    pub fn remember_subject(&self, token: &str, member_id: &str) {
        let mut subjects = lock(&self.subjects);
        subjects.insert(token.to_owned(), member_id.to_owned());
    }

    /// Who asks with this authentication.
    pub(super) fn caller(&self, auth: &Auth) -> Caller {
        match auth {
            Auth::None => Caller::Nobody,
            Auth::Bearer(token) => {
                let subjects = lock(&self.subjects);
                subjects.get(token).map_or(Caller::Unclear, |member| Caller::Member(member.clone()))
            }
            Auth::Header(_) => Caller::Unclear,
        }
    }

    /// The limits of the deployment that the run has met, in words.
    pub fn limits(&self) -> Vec<String> {
        self.limits.notes()
    }

    /// Requests sent so far.
    pub fn requests(&self) -> u64 {
        let others = self.replicas.iter().chain(&self.separate_idp).chain(&self.stranger);
        self.vault.requests() + others.map(|other| other.requests()).sum::<u64>()
    }

    /// One request per connection from now on.
    pub fn use_fresh_connections(&self) {
        self.vault.use_fresh_connections();
        let others = self.replicas.iter().chain(&self.separate_idp);
        others.for_each(|other| other.use_fresh_connections());
    }

    /// The server closed a kept connection while a request was on its way. From now on each request has a connection of its
    /// own, where an end without an answer has one meaning only.
    pub fn note_idle_close(&self) {
        if self.expects_silence.load(Ordering::Relaxed) {
            return;
        }
        self.closes_idle.store(true, Ordering::Relaxed);
        self.use_fresh_connections();
    }

    /// Whether that has happened.
    pub fn closes_idle(&self) -> bool {
        self.closes_idle.load(Ordering::Relaxed)
    }

    /// Whether nobody is there any more, after a request to `transport` got no answer.
    pub async fn is_gone(&self, transport: &Transport, error: &TransportError) -> bool {
        error.is_unreachable() || !transport.is_reachable().await
    }

    /// Ends the run: the target can't be judged. The first reason counts.
    pub fn give_up(&self, reason: String, advice: &str) {
        let mut abort = lock(&self.abort);
        if abort.is_none() {
            *abort = Some(Abort { reason: self.mask(reason), advice: advice.into() });
            self.abort_signal.notify_waiters();
        }
    }

    /// Why the run has ended early, if it has.
    pub fn abort(&self) -> Option<Abort> {
        lock(&self.abort).clone()
    }

    /// Waits until the run is given up.
    pub async fn aborted(&self) {
        loop {
            let signal = self.abort_signal.notified();
            if self.abort().is_some() {
                return;
            }
            signal.await;
        }
    }

    /// The server was ended and started again: nothing is left of connections, and nobody knows what is left of the rest.
    pub fn forget(&self) {
        let others = self.replicas.iter().chain(&self.separate_idp);
        others.chain([&self.vault]).for_each(|transport| transport.close_idle());
        self.known.forget();
        self.unanswered.store(0, Ordering::Relaxed);
        self.suspect.store(false, Ordering::Relaxed);
    }

    /// Removes the credentials of the deployment from a text that a person will see.
    pub fn mask(&self, text: String) -> String {
        self.mask.text(text)
    }

    /// Whether nobody has warned of a habit before. One habit that shows in every operation is one warning.
    pub fn is_news(&self, habit: &'static str) -> bool {
        lock(&self.habits).insert(habit)
    }

    /// Sends a request, waits out rate limits, and notices when the target is gone. `limits` gets the 429 that were waited out.
    ///
    /// # Errors
    /// [`TransportError`]; a 429 that can't be waited out is the answer.
    pub async fn send(
        &self,
        transport: &Transport,
        request: &RawRequest,
        bound: Duration,
        limits: &mut Vec<RawAnswer>,
    ) -> Result<RawAnswer, TransportError> {
        let (mut tries, started) = (0, Instant::now());
        loop {
            self.wait_for_turn().await;
            let result = transport.send_within(request, bound).await;
            match &result {
                Ok(answer) => {
                    self.unanswered.store(0, Ordering::Relaxed);
                    self.note_wait(request, answer, tries);
                    if !asks_to_wait(answer) {
                        self.limited.store(0, Ordering::Relaxed);
                    } else if tries == 0 && wanted_wait(answer).is_none() && self.is_of_no_use(request) {
                        // A quota, as waiting has shown.
                    } else if self.limited.load(Ordering::Relaxed) + 1 >= LIMITED_IN_A_ROW
                        && self.others_get_through().await
                    {
                        // So many met a quota, one after the other; the server has time for others.
                        self.limited.store(0, Ordering::Relaxed);
                    } else if tries < RATE_LIMIT_TRIES
                        && !(tries >= QUOTA_TRIES
                            && started.elapsed() > QUOTA_PATIENCE
                            && self.others_get_through().await)
                        && self.back_off(answer, tries)
                    {
                        tries += 1;
                        limits.extend(result);
                        continue;
                    }
                }
                Err(error) => self.note_silence(request, error),
            }
            return result;
        }
    }

    /// What came of waiting without being told how long.
    fn note_wait(&self, request: &RawRequest, answer: &RawAnswer, tries: u32) {
        let waiting = asks_to_wait(answer);
        if tries == 0 || (waiting && tries < QUOTA_TRIES) || (waiting && wanted_wait(answer).is_some()) {
            return;
        }
        let mut waits = lock(&self.waits);
        let (in_vain, of_use) = waits.entry(kind_of(request)).or_default();
        if waiting {
            *in_vain += 1;
        } else {
            *of_use += 1;
        }
    }

    /// Whether waiting hasn't ever helped a request of this kind. Where each further one waited all the same, and everybody with it, a
    /// run against a server with a small quota would take minutes.
    fn is_of_no_use(&self, request: &RawRequest) -> bool {
        let waits = lock(&self.waits);
        waits.get(&kind_of(request)).is_some_and(|(in_vain, of_use)| *in_vain >= WAITS_IN_VAIN && *of_use == 0)
    }

    /// Notices when the target is gone, after requests that were sent together: all of them count for one.
    pub fn note_together(&self, request: &RawRequest, results: &[&Result<RawAnswer, TransportError>]) {
        if results.iter().any(|result| result.is_ok()) {
            self.unanswered.store(0, Ordering::Relaxed);
        } else if let Some(Err(error)) =
            results.iter().find(|result| matches!(result, Err(error) if error.is_unreachable()))
        {
            self.note_silence(request, error);
        }
    }

    /// Whether a stranger gets a nonce: then it is not the server that has no time, but this request that is one too many.
    async fn others_get_through(&self) -> bool {
        let key = crate::client::Identity::generate().id;
        let body = serde_json::json!({ "ed25519PublicKey": key });
        let request = super::json_request(Operation::Challenge.path("", ""), &body);
        let idp = self.idp();
        idp.send_within(&request, idp.timeout()).await.is_ok_and(|answer| !asks_to_wait(&answer))
    }

    fn note_silence(&self, request: &RawRequest, error: &TransportError) {
        if self.expects_silence.load(Ordering::Relaxed) {
            return;
        }
        let before = self.unanswered.fetch_add(1, Ordering::Relaxed);
        let mut first = lock(&self.first_unanswered);
        if before == 0 {
            let token = request.headers.iter().any(|(name, _)| name == http::header::AUTHORIZATION);
            let with = if token { "with" } else { "without" };
            *first = format!("{} {} ({with} Authorization): {error}", request.method, request.path);
        }
        if before + 1 >= UNANSWERED_LIMIT && self.hosting.is_some() {
            // It is looked after when the check that waits for it has ended.
            self.suspect.store(true, Ordering::Relaxed);
        } else if before + 1 >= UNANSWERED_LIMIT {
            self.give_up(
                format!("the target stopped answering; the first of {UNANSWERED_LIMIT} requests without an answer was {first}"),
                "look at the server's log; it may have crashed or locked up. Run with --jobs 1 --trace to see the last request it took",
            );
        }
    }

    async fn wait_for_turn(&self) {
        let until = *lock(&self.not_before);
        if let Some(until) = until
            && until > Instant::now()
        {
            tokio::time::sleep_until(until).await;
        }
    }

    /// Notes a 429, or a 503 that names a time; false when there is no point in trying again.
    fn back_off(&self, answer: &RawAnswer, tries: u32) -> bool {
        let status = answer.status.as_u16();
        let wait = match wanted_wait(answer) {
            Some(wait) if wait > LONGEST_WAIT => {
                // A quota of one key, unless nobody else gets through either.
                if self.limited.fetch_add(1, Ordering::Relaxed) >= LONG_WAITS {
                    self.give_up(
                        format!("the target answers with {status}, and asks to wait {} s", wait.as_secs()),
                        "lift the rate limit for the address that runs the suite, or try later",
                    );
                }
                return false;
            }
            Some(wait) => wait,
            // Without Retry-After it may be a quota, which waiting doesn't change.
            None if tries >= 3 => return false,
            None => Duration::from_millis(100 << tries),
        };
        // Many in a row from everybody, or one request again and again with nobody else getting through.
        let in_a_row = self.limited.fetch_add(1, Ordering::Relaxed);
        if in_a_row >= LIMITED_IN_A_ROW || (tries >= 10 && in_a_row >= 10) {
            self.give_up(
                format!("the target answers every request with {status}, also after the wait it asks for"),
                if status == 503 {
                    "look whether the server is up: it says that it is not yet, or no longer"
                } else {
                    "lift the rate limit for the address that runs the suite, or lower --jobs"
                },
            );
            return false;
        }
        let until = Instant::now() + wait;
        let mut not_before = lock(&self.not_before);
        *not_before = Some(not_before.map_or(until, |old| old.max(until)));
        true
    }
}
