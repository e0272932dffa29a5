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
use super::{Abort, Answers, Auth, Hosting, Logins, Refusals, Register, SealedTexts, Secrets};
use crate::client::{Exchange, Header, Mask, Transport, TransportError};
use crate::ground::lock;
use crate::requirements::Revision;

/// Answers that are missing for more reasons than one odd request's.
const MANY_LOST: u64 = 5;
/// They are missing everywhere if it is one in so many, in so many checks, and to so many operations.
const ONE_IN: u64 = 100;
const LOST_CHECKS: usize = 12;
const LOST_OPERATIONS: usize = 3;

/// Usual requests whose answers never came whole.
#[derive(Default)]
pub struct Lost {
    count: u64,
    checks: BTreeSet<&'static str>,
    operations: BTreeSet<&'static str>,
    first: Option<Arc<Exchange>>,
}

/// What the checks of a run share.
pub struct World {
    /// Where the server is that is judged, and what stands beside it.
    pub target: Target,
    /// What the run is asked to do.
    pub asked: Asked,
    /// What the server has shown of itself, for checks that have to go by it.
    pub manners: Manners,
    /// What was sent and what came, as far as somebody looks at it later.
    pub seen: Seen,
    /// How the run goes.
    pub course: Course,
}

/// Where the server is that is judged, and what stands beside it.
pub struct Target {
    /// The vault server.
    pub vault: Arc<Transport>,
    /// The identity provider, when it is another origin.
    pub separate_idp: Option<Arc<Transport>>,
    /// Other processes of the same deployment.
    pub replicas: Vec<Arc<Transport>>,
    /// Whether the one other process is this very server's gRPC profile.
    pub profiles: bool,
    /// Another deployment, which shares nothing with this one.
    pub stranger: Option<Arc<Transport>>,
    /// The servers that the suite has started itself.
    pub hosting: Option<Arc<Hosting>>,
    /// Keeps the credentials of the deployment out of what is recorded.
    pub mask: Mask,
}

/// What the run is asked to do.
pub struct Asked {
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
    /// How often the server is killed at most, to see what it keeps.
    pub crash_rounds: u32,
}

/// What the server has shown of itself, for checks that have to go by it.
#[derive(Default)]
pub struct Manners {
    /// Why what is written by one profile isn't there for the other, if the two have a store each.
    pub(super) apart: tokio::sync::OnceCell<Option<String>>,
    /// The issuer's Ed25519 keys, when a key set is known.
    pub issuer_keys: OnceLock<Vec<[u8; 32]>>,
    /// Keys by which the server, as an identity provider, signs key bindings of its own for entries that come without one (SPEC §9).
    pub(super) binds_by: OnceLock<Vec<[u8; 32]>>,
    /// Limits of the deployment.
    pub(super) limits: Limits,
    /// Set when authentication can't work at all, so that setting up a member fails at once.
    pub no_tokens: OnceLock<String>,
    /// Whether the server took the unread body of a refused request for the next request.
    pub leaves_bodies: OnceLock<Arc<Exchange>>,
    /// Whether a contention check has seen the server lose a race.
    pub contended: AtomicBool,
    /// Whether a check has told that a stalled request keeps others waiting.
    pub stalls: AtomicBool,
    few_connections: AtomicBool,
    one_connection: AtomicBool,
    /// Whether the server serves one request at a time, found when one was held.
    pub one_request: AtomicBool,
    closes_idle: AtomicBool,
    /// Habits that a check has warned of; another one needn't.
    habits: Mutex<BTreeSet<&'static str>>,
}

/// What was sent and what came, as far as somebody looks at it later.
#[derive(Default)]
pub struct Seen {
    /// What has been seen.
    pub answers: Answers,
    /// What no server may have.
    pub secrets: Secrets,
    /// Who has logged in with what.
    pub logins: Logins,
    /// Whether a pull was answered with the message.
    pub pulled: AtomicBool,
    /// Sealed texts that were sent and served.
    pub sealed_texts: SealedTexts,
    /// Refusals, and what they must not say.
    pub refusals: Refusals,
    /// Repositories whose state is known.
    pub known: Register,
    /// What the server keeps, as far as it is at hand.
    pub storage: Storage,
    /// What became of it when it was killed.
    pub crashes: super::crash::Crashes,
    /// Members by their tokens.
    subjects: Mutex<HashMap<String, String>>,
    /// What the contention checks did, for `--save-history`.
    pub recording: Option<Arc<Recording>>,
    /// Where exchanges go when tracing.
    pub trace: Option<mpsc::UnboundedSender<(&'static str, Arc<Exchange>)>>,
}

/// How the run goes.
#[derive(Default)]
pub struct Course {
    /// Whether the server is being ended on purpose, so that no answer is what is to be expected.
    pub expects_silence: AtomicBool,
    /// Whether a server that the suite has started has stopped answering.
    pub suspect: AtomicBool,
    /// From the start of the run to its end, fitted to the target's latency.
    pub fitted_deadline: OnceLock<Duration>,
    /// Usual requests whose answers never came whole.
    lost: Mutex<Lost>,
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
            target: Target {
                vault: Arc::new(vault),
                separate_idp: separate_idp.map(Arc::new),
                replicas: Vec::new(),
                profiles: false,
                stranger: None,
                hosting: None,
                mask: Mask::new(headers),
            },
            asked: Asked {
                spec,
                seed,
                race_budget: Duration::from_millis(25),
                race_rounds: 100,
                thorough: false,
                nonce_ttl: None,
                crash_rounds: 0,
            },
            manners: Manners::default(),
            seen: Seen::default(),
            course: Course::default(),
        }
    }

    /// The identity provider.
    pub fn idp(&self) -> &Arc<Transport> {
        self.target.separate_idp.as_ref().unwrap_or(&self.target.vault)
    }

    /// A process of the deployment; 0 is the target itself, and after the last one it begins again.
    pub fn process(&self, number: usize) -> &Arc<Transport> {
        match number % (self.target.replicas.len() + 1) {
            0 => &self.target.vault,
            replica => &self.target.replicas[replica - 1],
        }
    }

    /// Whether a request that is under way keeps everybody else waiting.
    pub fn is_serial(&self) -> bool {
        self.serves_one_connection() || self.manners.one_request.load(Ordering::Relaxed)
    }

    /// Whether an idle connection keeps everybody else waiting.
    pub fn serves_one_connection(&self) -> bool {
        self.manners.one_connection.load(Ordering::Relaxed)
    }

    /// Whether a few idle connections keep everybody else waiting, so that none may be kept.
    pub fn serves_few_connections(&self) -> bool {
        self.manners.few_connections.load(Ordering::Relaxed)
    }

    /// The run's recording, if it is to have what this check does.
    pub fn recording_of(&self, check: &str) -> Option<&Recording> {
        self.seen
            .recording
            .as_deref()
            .filter(|_| ["race/", "authority/", "replica/", "profiles/"].iter().any(|area| check.starts_with(area)))
    }

    /// Notes whose a token is.
    pub fn remember_subject(&self, token: &str, member_id: &str) {
        let mut subjects = lock(&self.seen.subjects);
        subjects.insert(token.to_owned(), member_id.to_owned());
    }

    /// Who asks with this authentication.
    pub(super) fn caller(&self, auth: &Auth) -> Caller {
        match auth {
            Auth::None => Caller::Nobody,
            Auth::Bearer(token) => {
                let subjects = lock(&self.seen.subjects);
                subjects.get(token).map_or(Caller::Unclear, |member| Caller::Member(member.clone()))
            }
            Auth::Header(_) => Caller::Unclear,
        }
    }

    /// The limits of the deployment that the run has met, in words.
    pub fn limits(&self) -> Vec<String> {
        self.manners.limits.notes()
    }

    /// Requests sent so far.
    pub fn requests(&self) -> u64 {
        let others = self.target.replicas.iter().chain(&self.target.separate_idp).chain(&self.target.stranger);
        self.target.vault.requests() + others.map(|other| other.requests()).sum::<u64>()
    }

    /// One request per connection from now on.
    pub fn use_fresh_connections(&self) {
        self.target.vault.use_fresh_connections();
        let others = self.target.replicas.iter().chain(&self.target.separate_idp);
        others.for_each(|other| other.use_fresh_connections());
    }

    /// The server serves one connection at a time, or few. From now on each request has one of its own.
    pub fn use_few_connections(&self, one: bool) {
        self.manners.few_connections.store(true, Ordering::Relaxed);
        self.manners.one_connection.store(one, Ordering::Relaxed);
        let others = self.target.replicas.iter().chain(&self.target.separate_idp);
        others.chain([&self.target.vault]).for_each(|transport| transport.use_few_connections());
    }

    /// The server closed a kept connection while a request was on its way. From now on each request has a connection of its
    /// own, where an end without an answer has one meaning only.
    pub fn note_idle_close(&self) {
        if self.course.expects_silence.load(Ordering::Relaxed) {
            return;
        }
        self.manners.closes_idle.store(true, Ordering::Relaxed);
        self.use_fresh_connections();
    }

    /// A usual request got no whole answer.
    pub fn note_lost_answer(&self, check: &'static str, exchange: &Arc<Exchange>) {
        if !self.course.expects_silence.load(Ordering::Relaxed) {
            let mut lost = lock(&self.course.lost);
            lost.count += 1;
            lost.checks.insert(check);
            lost.operations.insert(exchange.operation);
            lost.first.get_or_insert_with(|| Arc::clone(exchange));
        }
    }

    /// What is missing, in words, where it is missing everywhere; and the first of the requests. `alone` in a run of few checks.
    pub(super) fn lost_everywhere(&self, alone: bool) -> Option<(String, Arc<Exchange>)> {
        let lost = lock(&self.course.lost);
        let (checks, operations) = (lost.checks.len(), lost.operations.len());
        let spread = checks >= LOST_CHECKS && operations >= LOST_OPERATIONS;
        let many = lost.count * ONE_IN >= self.requests() && (spread || alone && lost.count >= MANY_LOST);
        let exchange = lost.first.clone().filter(|_| many)?;
        let names: Vec<_> = lost.operations.iter().copied().collect();
        let observed = format!(
            "{} of {} requests got no whole answer, in {checks} checks ({}): the connection was closed",
            lost.count,
            self.requests(),
            names.join(", ")
        );
        Some((observed, exchange))
    }

    /// That answers go missing, in words: many checks fail of it, and none is about it.
    pub fn losses(&self) -> Option<String> {
        let lost = lock(&self.course.lost).count;
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
        self.manners.closes_idle.load(Ordering::Relaxed)
    }

    /// Whether nobody is there any more, after a request to `transport` got no answer.
    pub async fn is_gone(&self, transport: &Transport, error: &TransportError) -> bool {
        error.is_unreachable() || !transport.is_reachable().await
    }

    /// Ends the run: the target can't be judged. The first reason counts.
    pub fn give_up(&self, reason: String, advice: &str) {
        let mut abort = lock(&self.course.abort);
        if abort.is_none() {
            *abort = Some(Abort { reason: self.mask(reason), advice: advice.into() });
            self.course.abort_signal.notify_waiters();
        }
    }

    /// Why the run has ended early, if it has.
    pub fn abort(&self) -> Option<Abort> {
        lock(&self.course.abort).clone()
    }

    /// Waits until the run is given up.
    pub async fn aborted(&self) {
        loop {
            let signal = self.course.abort_signal.notified();
            if self.abort().is_some() {
                return;
            }
            signal.await;
        }
    }

    /// Closes the connections that are idle.
    pub fn close_idle(&self) {
        let others = self.target.replicas.iter().chain(&self.target.separate_idp);
        others.chain([&self.target.vault]).for_each(|transport| transport.close_idle());
    }

    /// The server was ended and started again: nothing is left of connections, and nobody knows what is left of the rest.
    pub fn forget(&self) {
        self.close_idle();
        self.seen.known.forget();
        self.course.unanswered.store(0, Ordering::Relaxed);
        self.course.suspect.store(false, Ordering::Relaxed);
    }

    /// Removes the credentials of the deployment from a text that a person will see.
    pub fn mask(&self, text: String) -> String {
        self.target.mask.text(text)
    }

    /// Whether nobody has warned of a habit before. One habit that shows in every operation is one warning.
    pub fn is_news(&self, habit: &'static str) -> bool {
        lock(&self.manners.habits).insert(habit)
    }
}
