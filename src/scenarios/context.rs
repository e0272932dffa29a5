//! What a check works with: fresh identities and repositories in one line each, operations, and what to hold them to.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue};
use serde::Serialize;
use tokio::time::Instant;

use super::answer::{Answer, Operation, parse_json};
use super::{CheckInfo, Finding, Recording, Stop, World};
use crate::client::random::Choices;
use crate::client::{Exchange, Identity, RawAnswer, RawRequest, RecordedBody, Repo, Transport, TransportError, Volley};
use crate::codec::base64;
use crate::requirements::Revision;
use crate::scan::Class;
use crate::wire::{
    ChallengeRequest, ChallengeResponse, CreateRepoRequest, MemberAddRequest, MemberRemoveRequest, MessageKind,
    PullRequest, PushRequest, TokenRequest, TokenResponse,
};

/// How many exchanges a check remembers for its report.
const REMEMBERED: usize = 12;
/// Longest usual answer, in bytes.
pub const ANSWER_LIMIT: usize = 4 << 20;

/// How a request authenticates.
#[derive(Clone, Debug)]
pub enum Auth {
    /// No `Authorization`.
    None,
    /// `Authorization: Bearer <token>`.
    Bearer(String),
    /// `Authorization` with exactly this value.
    Header(String),
}

/// An identity with a live token.
#[derive(Clone, Debug)]
pub struct Member {
    /// Its keys.
    pub identity: Identity,
    /// Its token.
    pub token: String,
}

impl Member {
    /// The member id.
    pub fn id(&self) -> &str {
        &self.identity.id
    }

    /// Its token as authentication.
    pub fn auth(&self) -> Auth {
        Auth::Bearer(self.token.clone())
    }
}

impl std::ops::Deref for Member {
    type Target = Identity;

    fn deref(&self) -> &Identity {
        &self.identity
    }
}

/// A request in the making.
pub struct Call<'a> {
    /// What it is, if it is an operation.
    pub operation: Option<Operation>,
    /// Method.
    pub method: Method,
    /// Path and query, percent-encoded.
    pub path: String,
    /// Authentication.
    pub auth: &'a Auth,
    /// Body.
    pub body: Option<Bytes>,
    /// `Content-Type`; JSON unless told otherwise.
    pub content_type: Option<&'a str>,
    /// Bound on the answer; the run's `--timeout` unless told otherwise.
    pub bound: Option<Duration>,
    /// Longest answer that is read.
    pub answer_limit: usize,
    /// Whether the answer is held to the schema. Not so where the request breaks it: a server that stores what it gets
    /// rightly gives it back.
    pub validated: bool,
}

impl<'a> Call<'a> {
    /// An operation with a body.
    pub fn operation(
        operation: Operation,
        repo_id: &str,
        member_id: &str,
        auth: &'a Auth,
        body: Option<Bytes>,
    ) -> Self {
        Self {
            operation: Some(operation),
            method: operation.method(),
            path: operation.path(repo_id, member_id),
            auth,
            body,
            content_type: Some("application/json"),
            bound: None,
            answer_limit: ANSWER_LIMIT,
            validated: true,
        }
    }
}

/// What came of a request that no client may send.
pub enum Provoked<'c> {
    /// An answer.
    Answer(Answer<'c>),
    /// No whole answer, as when a handler dies: an error like any other; the checks of bad input report it.
    Closed,
    /// Nothing, for as long as the suite waits. It has been warned of; there is no point in asking the like again.
    Silence,
}

impl Provoked<'_> {
    /// A clean refusal, or no answer at all, which other checks report.
    ///
    /// # Errors
    /// [`Stop::Broken`] for any answer but a 4xx.
    pub fn refused_somehow(&self, what: &str) -> Result<(), Stop> {
        match self {
            Self::Answer(answer) => answer.refused_somehow(what),
            Self::Closed | Self::Silence => Ok(()),
        }
    }
}

/// The context of one check.
pub struct Ctx {
    /// What all checks share.
    pub world: Arc<World>,
    check: &'static CheckInfo,
    exchanges: Mutex<VecDeque<Arc<Exchange>>>,
    warnings: Mutex<Vec<Finding>>,
    remarks: Mutex<Vec<String>>,
    choices: Mutex<Choices>,
    provoking: AtomicBool,
    recording: OnceLock<Recording>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Ctx {
    /// The context of a check in a world.
    pub fn new(world: Arc<World>, check: &'static CheckInfo) -> Self {
        let choices = Mutex::new(Choices::new(world.seed, check.id));
        Self {
            world,
            check,
            exchanges: Mutex::default(),
            warnings: Mutex::default(),
            remarks: Mutex::default(),
            choices,
            provoking: AtomicBool::new(false),
            recording: OnceLock::new(),
        }
    }

    // What has happened so far.

    /// The check's id.
    pub fn check_id(&self) -> &'static str {
        self.check.id
    }

    /// Notes a warning; the check goes on.
    pub fn warn(&self, finding: Finding) {
        lock(&self.warnings).push(finding);
    }

    /// Notes something a reader of a pass wants to know, e.g. how much was tried.
    pub fn remark(&self, text: impl Into<String>) {
        lock(&self.remarks).push(text.into());
    }

    /// The warnings so far.
    pub fn take_warnings(&self) -> Vec<Finding> {
        std::mem::take(&mut lock(&self.warnings))
    }

    /// The remarks so far, as one line.
    pub fn take_remarks(&self) -> String {
        std::mem::take(&mut *lock(&self.remarks)).join("; ")
    }

    /// The last exchanges, oldest first.
    pub fn exchanges(&self) -> Vec<Arc<Exchange>> {
        lock(&self.exchanges).iter().cloned().collect()
    }

    /// From now on, what this check does is recorded.
    pub fn recording(&self) -> &Recording {
        self.recording.get_or_init(Recording::default)
    }

    /// A choice below `bound`, the same for the same seed.
    pub fn choose(&self, bound: usize) -> usize {
        lock(&self.choices).below(bound)
    }

    /// A rule is broken, and no single exchange shows it.
    pub fn broken(&self, expected: impl Into<String>, observed: impl Into<String>) -> Stop {
        Stop::Broken(Box::new(Finding { expected: expected.into(), observed: observed.into(), exchange: None }))
    }

    // Setting up.

    /// A fresh identity, unknown to everybody.
    pub fn identity(&self) -> Identity {
        self.introduce(Identity::generate())
    }

    /// Registers the secrets of an identity with the search, and hands it back.
    pub fn introduce(&self, identity: Identity) -> Identity {
        self.world.ledger.introduce(self.check.id, &identity);
        identity
    }

    /// A fresh identity with a token.
    ///
    /// # Errors
    /// [`Stop::Trouble`]: challenge or token didn't work; their own checks say why.
    pub async fn member(&self) -> Result<Member, Stop> {
        self.authenticate(self.identity()).await
    }

    /// Gets a token for an identity.
    ///
    /// # Errors
    /// As [`Self::member`].
    pub async fn authenticate(&self, identity: Identity) -> Result<Member, Stop> {
        if let Some(reason) = self.world.no_tokens.get() {
            return Err(Stop::Trouble(Box::new(Finding {
                expected: "a token for a fresh keypair, to set the check up".into(),
                observed: reason.clone(),
                exchange: None,
            })));
        }
        let nonce = self.nonce(&identity).await?;
        let answer = self.token(&self.redeem(&identity, &nonce)?).await.map_err(into_trouble)?;
        let token: TokenResponse = setup("token", &answer)?;
        self.world.remember_subject(&token.token, &identity.id);
        Ok(Member { identity, token: token.token })
    }

    /// A nonce for an identity.
    ///
    /// # Errors
    /// [`Stop::Trouble`] when challenge doesn't work.
    pub async fn nonce(&self, identity: &Identity) -> Result<String, Stop> {
        let answer = self.challenge(&identity.id).await.map_err(into_trouble)?;
        Ok(setup::<ChallengeResponse>("challenge", &answer)?.nonce)
    }

    /// The request that redeems a nonce rightly.
    ///
    /// # Errors
    /// [`Stop::Trouble`] when the nonce isn't base64.
    pub fn redeem(&self, identity: &Identity, nonce: &str) -> Result<TokenRequest, Stop> {
        // Whether it is spelled strictly is another check's business.
        let bytes = base64::decode(nonce).map_err(|error| self.trouble("a nonce in base64", error.to_string()))?;
        Ok(TokenRequest {
            ed25519_public_key: identity.id.clone(),
            nonce: nonce.into(),
            signature: base64::encode(&identity.sign(&bytes)),
        })
    }

    /// What the check needs of this suite itself didn't work.
    pub(super) fn trouble(&self, expected: &str, observed: String) -> Stop {
        let exchange = lock(&self.exchanges).back().cloned();
        Stop::Trouble(Box::new(Finding { expected: expected.into(), observed, exchange }))
    }

    /// A fresh repository of `owner`, created on the server.
    ///
    /// # Errors
    /// [`Stop::Trouble`] when createRepo doesn't work.
    pub async fn repo(&self, owner: &Member) -> Result<Repo, Stop> {
        self.create_repo(owner, Repo::new(owner)).await
    }

    /// Creates a prepared repository on the server.
    ///
    /// # Errors
    /// [`Stop::Trouble`] when createRepo doesn't work.
    pub async fn create_repo(&self, owner: &Member, repo: Repo) -> Result<Repo, Stop> {
        self.watch(&repo);
        let answer = self.create(owner, &repo.create_request()).await.map_err(into_trouble)?;
        setup_success("createRepo", &answer)?;
        Ok(repo)
    }

    /// Registers the data key of a repository with the search.
    pub fn watch(&self, repo: &Repo) {
        self.world.ledger.remember(Class::Key, "data key", self.check.id, repo.data_key.as_bytes());
    }

    /// A fresh repository whose roster is `owner` and `others`.
    ///
    /// # Errors
    /// [`Stop::Trouble`] when createRepo or addMember doesn't work.
    pub async fn repo_with(&self, owner: &Member, others: &[&Identity]) -> Result<Repo, Stop> {
        let mut repo = self.repo(owner).await?;
        for other in others {
            self.enrol(owner, &mut repo, other).await?;
        }
        Ok(repo)
    }

    /// Adds somebody to a repository, as part of setting up.
    ///
    /// # Errors
    /// [`Stop::Trouble`] when addMember doesn't work.
    pub async fn enrol(&self, by: &Member, repo: &mut Repo, newcomer: &Identity) -> Result<(), Stop> {
        let request = repo.add_request(newcomer);
        setup_success("addMember", &self.add(by, &request).await.map_err(into_trouble)?)?;
        repo.apply_add(&request.member);
        Ok(())
    }

    /// Pushes a new payload, as part of setting up.
    ///
    /// # Errors
    /// [`Stop::Trouble`] when push doesn't work.
    pub async fn advance(&self, by: &Member, repo: &mut Repo) -> Result<(), Stop> {
        let request = repo.push_request(by);
        let answer = self.push(by, &request).await.map_err(into_trouble)?;
        let applied: crate::wire::PushResponse = setup("push", &answer)?;
        if !applied.accepted {
            let observed = format!("accepted: false, conflict: {}", applied.conflict);
            return Err(Stop::Trouble(Box::new(answer.finding("push works, to set the check up", observed))));
        }
        repo.apply_push(&request);
        Ok(())
    }

    /// Removes somebody, as part of setting up; returns the rotation that was sent.
    ///
    /// # Errors
    /// [`Stop::Trouble`] when removeMember doesn't work.
    pub async fn expel(&self, by: &Member, repo: &mut Repo, removed: &str, staying: &[&Identity]) -> Result<(), Stop> {
        let rotation = repo.rotation(by, staying);
        let answer = self.remove(by, &repo.remove_request(removed, &rotation)).await.map_err(into_trouble)?;
        setup_success("removeMember", &answer)?;
        repo.apply_rotation(&rotation);
        self.watch(repo);
        Ok(())
    }

    // The operations. The repository in the path is the one in the body.

    /// challenge
    ///
    /// # Errors
    /// [`Stop`] when no answer comes; the same for all operations.
    pub async fn challenge(&self, key: &str) -> Result<Answer<'_>, Stop> {
        let body = ChallengeRequest { ed25519_public_key: key.into() };
        self.perform(Operation::Challenge, "", &Auth::None, &body).await
    }

    /// token
    pub async fn token(&self, request: &TokenRequest) -> Result<Answer<'_>, Stop> {
        self.perform(Operation::Token, "", &Auth::None, request).await
    }

    /// createRepo
    pub async fn create(&self, by: &Member, request: &CreateRepoRequest) -> Result<Answer<'_>, Stop> {
        self.perform(Operation::CreateRepo, "", &by.auth(), request).await
    }

    /// pull
    pub async fn pull(&self, by: &Member, request: &PullRequest) -> Result<Answer<'_>, Stop> {
        self.perform(Operation::Pull, &request.repo_id, &by.auth(), request).await
    }

    /// push
    pub async fn push(&self, by: &Member, request: &PushRequest) -> Result<Answer<'_>, Stop> {
        self.perform(Operation::Push, &request.repo_id, &by.auth(), request).await
    }

    /// addMember
    pub async fn add(&self, by: &Member, request: &MemberAddRequest) -> Result<Answer<'_>, Stop> {
        self.perform(Operation::AddMember, &request.repo_id, &by.auth(), request).await
    }

    /// removeMember
    pub async fn remove(&self, by: &Member, request: &MemberRemoveRequest) -> Result<Answer<'_>, Stop> {
        self.perform(Operation::RemoveMember, &request.repo_id, &by.auth(), request).await
    }

    /// fetchMemberKey
    pub async fn fetch(&self, by: &Member, repo_id: &str, member_id: &str) -> Result<Answer<'_>, Stop> {
        let auth = by.auth();
        self.call(Call::operation(Operation::FetchMemberKey, repo_id, member_id, &auth, None)).await
    }

    /// Any operation with any body, at the path of any repository.
    ///
    /// # Errors
    /// [`Stop`] when no answer comes.
    pub async fn perform(
        &self,
        operation: Operation,
        path_repo: &str,
        auth: &Auth,
        body: &impl Serialize,
    ) -> Result<Answer<'_>, Stop> {
        let body = serde_json::to_vec(body).map_err(|error| self.trouble("a request", error.to_string()))?;
        self.call(Call::operation(operation, path_repo, "", auth, Some(body.into()))).await
    }

    /// Sends what no client may send. From now on the check's answers don't count in the run-wide schema checks: what a
    /// lenient server makes of nonsense is this check's own business.
    ///
    /// # Errors
    /// [`Stop`] when the server is gone.
    pub async fn provoke(
        &self,
        operation: Operation,
        path_repo: &str,
        auth: &Auth,
        body: &impl Serialize,
    ) -> Result<Provoked<'_>, Stop> {
        self.provoking.store(true, Ordering::Relaxed);
        let body = serde_json::to_vec(body).map_err(|error| self.trouble("a request", error.to_string()))?;
        let call = Call::operation(operation, path_repo, "", auth, Some(body.into()));
        let (exchange, result) = self.try_call(call).await;
        let error = match result {
            Ok(answer) => return Ok(Provoked::Answer(answer)),
            Err(error) => error,
        };
        let observed = self.world.mask(error.to_string());
        let finding = Finding { expected: "an HTTP answer".into(), observed, exchange: Some(exchange) };
        if error.is_unreachable() || self.world.vault.open().await.is_err() {
            return Err(Stop::Trouble(finding.into()));
        }
        if !matches!(error, TransportError::Timeout(_)) {
            return Ok(Provoked::Closed);
        }
        self.warn(finding);
        Ok(Provoked::Silence)
    }

    /// Sends any request, records the exchange, and shows the answer to the run-wide observer.
    ///
    /// # Errors
    /// [`Stop::Broken`] when the server accepts the connection but gives no whole HTTP answer, [`Stop::Trouble`] when nobody is there.
    pub async fn call(&self, call: Call<'_>) -> Result<Answer<'_>, Stop> {
        let (exchange, result) = self.try_call(call).await;
        match result {
            Ok(answer) => Ok(answer),
            Err(error) => {
                let finding = Finding {
                    expected: "an HTTP answer".into(),
                    observed: self.world.mask(error.to_string()),
                    exchange: Some(exchange),
                };
                // A connection that ends because the whole server is gone says nothing about the rule at hand.
                let gone = error.is_unreachable() || self.world.vault.open().await.is_err();
                Err(if gone { Stop::Trouble(finding.into()) } else { Stop::Broken(finding.into()) })
            }
        }
    }

    /// As [`Self::call`], with the transport's error as it is.
    pub async fn try_call(&self, call: Call<'_>) -> (Arc<Exchange>, Result<Answer<'_>, TransportError>) {
        let transport = self.transport_of(&call);
        let (request, authorization) = prepare(&call);
        let started = Instant::now();
        let mut limits = Vec::new();
        let bound = call.bound.unwrap_or(transport.timeout());
        let result = self.world.send(transport, &request, bound, &mut limits).await;
        for limit in limits {
            // Waited out, but an answer like any other.
            let _ = self.conclude(&call, &request, authorization.clone(), Ok(limit), (started, Instant::now()));
        }
        self.conclude(&call, &request, authorization, result, (started, Instant::now()))
    }

    /// Sends requests of one origin so that they become whole at the same moment; results in their order.
    pub async fn volley(&self, calls: &[Call<'_>]) -> Vec<(Arc<Exchange>, Result<Answer<'_>, TransportError>)> {
        self.volley_after(calls, std::future::ready(())).await.1
    }

    /// As [`Self::volley`], but something else happens between lining them up and making them whole.
    pub async fn volley_after<T>(
        &self,
        calls: &[Call<'_>],
        first: impl Future<Output = T>,
    ) -> (T, Vec<(Arc<Exchange>, Result<Answer<'_>, TransportError>)>) {
        let transport = calls.first().map_or(&self.world.vault, |call| self.transport_of(call));
        let prepared: Vec<_> = calls.iter().map(prepare).collect();
        let requests = prepared.iter().map(|(request, _)| request.clone()).collect();
        let (first, Volley { opened, results }) = transport.volley_after(requests, transport.timeout(), first).await;
        let concluded = calls.iter().zip(prepared).zip(results);
        let concluded = concluded.map(|((call, (request, authorization)), (result, ended))| {
            self.conclude(call, &request, authorization, result, (opened, ended))
        });
        (first, concluded.collect())
    }

    /// Starts a request and stops after a share of its body (0.0: after the head).
    pub async fn hold(&self, call: &Call<'_>, share: f64) -> crate::client::HeldRequest {
        let transport = self.transport_of(call);
        transport.hold(prepare(call).0, share, transport.timeout() * 3).await
    }

    /// Finishes a request that was held.
    pub async fn finish(
        &self,
        call: &Call<'_>,
        held: crate::client::HeldRequest,
    ) -> (Arc<Exchange>, Result<Answer<'_>, TransportError>) {
        let (request, authorization) = prepare(call);
        let started = held.started();
        let result = held.finish().await;
        self.conclude(call, &request, authorization, result, (started, Instant::now()))
    }

    fn transport_of(&self, call: &Call<'_>) -> &Arc<Transport> {
        let is_idp = call.operation.is_some_and(Operation::is_authentication) || call.path.starts_with("/api/auth/");
        if is_idp { self.world.idp() } else { &self.world.vault }
    }

    /// Records an exchange and shows its answer to the observer.
    fn conclude(
        &self,
        call: &Call<'_>,
        request: &RawRequest,
        authorization: Option<String>,
        result: Result<RawAnswer, TransportError>,
        (started, ended): (Instant, Instant),
    ) -> (Arc<Exchange>, Result<Answer<'_>, TransportError>) {
        let took = ended.saturating_duration_since(started);
        let exchange = Arc::new(self.record(call, request, authorization, &result, took));
        for recording in self.recording.get().into_iter().chain(self.world.recording_of(self.check.id)) {
            recording.note(call, self.world.caller(call.auth), (started, ended), result.as_ref().ok());
        }
        self.remember(&exchange);
        let result = result.map(|raw| {
            let answer = Answer {
                cx: self,
                exchange: exchange.clone(),
                operation: call.operation,
                status: raw.status.as_u16(),
                headers: raw.headers,
                body: raw.body,
            };
            self.observe(&answer, call.validated);
            answer
        });
        self.world.ledger.exchange(self.check.id, request.body.as_ref(), result.as_ref().ok());
        (exchange, result)
    }

    fn record(
        &self,
        call: &Call<'_>,
        request: &RawRequest,
        authorization: Option<String>,
        result: &Result<RawAnswer, TransportError>,
        duration: Duration,
    ) -> Exchange {
        let recorded = |bytes: &[u8]| {
            let body = RecordedBody::of(bytes);
            RecordedBody { text: self.world.mask(body.text), ..body }
        };
        let answer = result.as_ref().ok();
        Exchange {
            operation: call.operation.map_or("request", Operation::name),
            method: request.method.to_string(),
            path: request.path.clone(),
            authorization,
            request: recorded(request.body.as_deref().unwrap_or_default()),
            status: answer.map(|answer| answer.status.as_u16()),
            content_type: answer
                .and_then(|answer| answer.headers.get(CONTENT_TYPE))
                .map(|value| self.world.mask(String::from_utf8_lossy(value.as_bytes()).into_owned())),
            response: answer.map(|answer| recorded(&answer.body)).unwrap_or_default(),
            error: result.as_ref().err().map(|error| self.world.mask(error.to_string())),
            duration,
        }
    }

    fn remember(&self, exchange: &Arc<Exchange>) {
        let mut exchanges = lock(&self.exchanges);
        if exchanges.len() == REMEMBERED {
            exchanges.pop_front();
        }
        exchanges.push_back(exchange.clone());
        if let Some(trace) = &self.world.trace {
            // Nobody listens any more when the run is being ended.
            let _ = trace.send((self.check.id, exchange.clone()));
        }
    }

    fn observe(&self, answer: &Answer<'_>, validated: bool) {
        let observer = &self.world.observer;
        observer.keep(self.check.id, &answer.body, &answer.exchange);
        let Some(operation) = answer.operation.filter(|_| validated) else { return };
        if answer.is_success() {
            observer.content_type(answer.exchange.content_type.as_deref(), self.check.id, &answer.exchange);
            if self.provoking.load(Ordering::Relaxed) {
                return;
            }
            let body = parse_json(&answer.body).unwrap_or_else(|_| "not JSON".into());
            observer.validate(operation.answer_kind(), &body, self.check.id, &answer.exchange);
        } else if self.world.spec >= Revision::V0_3 {
            let body = parse_json(&answer.body).unwrap_or_else(|_| "not JSON".into());
            observer.validate(MessageKind::ErrorObject, &body, self.check.id, &answer.exchange);
            observer.error_code(answer.status, &body, &answer.headers, self.check.id, &answer.exchange);
        }
    }
}

/// The request on the wire, and its `Authorization` as a record may show it.
fn prepare(call: &Call<'_>) -> (RawRequest, Option<String>) {
    let mut headers: Vec<(HeaderName, HeaderValue)> = Vec::with_capacity(2);
    if let (Some(content_type), Some(_)) = (call.content_type, &call.body)
        && let Ok(value) = HeaderValue::from_str(content_type)
    {
        headers.push((CONTENT_TYPE, value));
    }
    let value = match call.auth {
        Auth::None => None,
        Auth::Bearer(token) => Some(format!("Bearer {token}")),
        Auth::Header(value) => Some(value.clone()),
    };
    let shown = value.as_deref().map(shorten_token);
    if let Some(value) = value.and_then(|value| HeaderValue::from_bytes(value.as_bytes()).ok()) {
        headers.push((AUTHORIZATION, value));
    }
    let request = RawRequest {
        method: call.method.clone(),
        path: call.path.clone(),
        headers,
        body: call.body.clone(),
        answer_limit: call.answer_limit,
    };
    (request, shown)
}

/// Enough of a token to recognise it.
fn shorten_token(value: &str) -> String {
    let kept: String = value.chars().take(24).collect();
    if kept.len() == value.len() { kept } else { format!("{kept}… ({} characters)", value.len()) }
}

/// The message of a setup step that must have worked.
fn setup<T: serde::de::DeserializeOwned>(step: &str, answer: &Answer<'_>) -> Result<T, Stop> {
    setup_success(step, answer)?;
    answer.message().map_err(into_trouble)
}

fn setup_success(step: &str, answer: &Answer<'_>) -> Result<(), Stop> {
    if answer.is_success() {
        return Ok(());
    }
    Err(Stop::Trouble(Box::new(answer.finding(format!("{step} works, to set the check up"), answer.summary()))))
}

/// What breaks while setting up is another check's failure and this one's trouble.
pub fn into_trouble(stop: Stop) -> Stop {
    match stop {
        Stop::Broken(finding) => Stop::Trouble(finding),
        other => other,
    }
}
