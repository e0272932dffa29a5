//! What all checks of a run share: the target, its manners, and what has been observed so far.

pub(super) mod turns;

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;

use super::limits::Limits;
use super::recording::{Caller, Recording};
use super::storage::Storage;
use super::{Auth, Blobs, Hosting, Ledger, Logins, Observer, Refusals, Register};
use crate::client::{Exchange, Header, Mask, Transport, TransportError};
use crate::ground::lock;
use crate::requirements::Revision;

/// Why a run can't go on.
#[derive(Clone, Debug)]
pub struct Abort {
    /// One sentence: what is wrong with the target.
    pub reason: String,
    /// What to try.
    pub advice: String,
}

/// Answers that are missing for more reasons than one odd request's.
const MANY_LOST: u32 = 5;

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
    /// Usual requests whose answers never came whole.
    lost: AtomicU32,
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
            lost: AtomicU32::new(0),
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

    /// A usual request got no whole answer.
    pub fn note_lost_answer(&self) {
        if !self.expects_silence.load(Ordering::Relaxed) {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// That answers go missing, in words: many checks fail of it, and none is about it.
    pub fn losses(&self) -> Option<String> {
        let lost = self.lost.load(Ordering::Relaxed);
        (lost >= MANY_LOST).then(|| {
            format!(
                "{lost} of {} requests got no whole answer, since the connection was closed: look at the server's log, or at a proxy in between, \
                 before anything else",
                self.requests()
            )
        })
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
}
