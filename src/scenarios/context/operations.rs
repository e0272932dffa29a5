//! The operations as a check performs them, and what becomes of every exchange: recorded, remembered, shown to the observer.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue};
use serde::Serialize;
use serde_json::Value;
use tokio::time::Instant;

use super::super::answer::{Answer, NO_OPERATION, parse_json};
use super::super::limits::Kind;
use super::super::recording::{Caller, repo_in_path};
use super::super::{Finding, Stop};
use super::{Auth, Call, Ctx, Member, Place, Provoked, REMEMBERED, lock};
use crate::client::{Exchange, Profile, RawAnswer, RawRequest, RecordedBody, RecordedCall, Transport, TransportError};
use crate::ground::shown;
use crate::requirements::Revision;
use crate::wire::Operation;
use crate::wire::{
    ChallengeRequest, CreateRepoRequest, MemberAddRequest, MemberRemoveRequest, MessageKind, PullRequest, PushRequest,
    TokenRequest,
};

impl Ctx {
    // The repository in the path is the one in the body.

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
        let answer = self.perform(Operation::Token, "", &Auth::None, request).await?;
        self.world.logins.note(request, &answer);
        Ok(answer)
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
        let transport = self.transport_of(&call);
        let (exchange, result) = self.try_call(call).await;
        let error = match result {
            Ok(answer) => match answer.limit.as_ref().filter(|limit| limit.kind == Kind::Number) {
                // Not the refusal that is wanted.
                Some(limit) => return Err(limit.stop()),
                None => {
                    self.provoked.fetch_add(1, Ordering::Relaxed);
                    return Ok(Provoked::Answer(answer));
                }
            },
            Err(TransportError::Unsayable(_)) => {
                self.unsayable.fetch_add(1, Ordering::Relaxed);
                return Ok(Provoked::Unsayable);
            }
            Err(error) => error,
        };
        let observed = self.world.mask(error.to_string());
        let finding =
            Finding { expected: an_answer(transport), observed, exchange: Some(exchange), evidence: Vec::new() };
        if self.world.is_gone(transport, &error).await {
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
        let transport = self.transport_of(&call);
        let too_large = self.world.limits.dropped(&call);
        let auth = call.auth;
        let (exchange, result) = self.try_call(call).await;
        match result {
            Ok(answer) => match answer.limit.as_ref().filter(|limit| limit.ends_the_check() && !self.experiment) {
                Some(limit) => Err(limit.stop()),
                None if self.has_outlived(&answer, auth) => {
                    Err(Stop::not_judged("tokens live so briefly here that this one expired before the check was over"))
                }
                None => Ok(answer),
            },
            Err(TransportError::Unsayable(_)) => Err(Stop::not_applicable("what it sends can't be said over gRPC")),
            Err(error) => {
                let finding = Finding {
                    expected: an_answer(transport),
                    observed: self.world.mask(error.to_string()),
                    exchange: Some(exchange),
                    evidence: Vec::new(),
                };
                // A connection that ends because it was idle, or because the whole server is gone, says nothing about the
                // rule at hand.
                let gone = self.world.is_gone(transport, &error).await;
                let unclear = gone || error.is_idle_close();
                if let Some(limit) = too_large.filter(|_| !gone && matches!(error, TransportError::Closed { .. }))
                    && self.world.limits.confirm(&self.world, &limit).await
                {
                    self.world.limits.met(&limit);
                    return Err(limit.stop());
                }
                Err(if unclear { Stop::Trouble(finding.into()) } else { Stop::Broken(finding.into()) })
            }
        }
    }

    /// Whether a token is refused because its time is over, in a check that isn't about just that.
    fn has_outlived(&self, answer: &Answer<'_>, auth: &Auth) -> bool {
        let Auth::Bearer(token) = auth else { return false };
        answer.status == 401 && !self.is_about_expiry() && self.world.logins.has_expired(token)
    }

    /// As [`Self::call`], with the transport's error as it is.
    pub async fn try_call(&self, call: Call<'_>) -> (Arc<Exchange>, Result<Answer<'_>, TransportError>) {
        let transport = self.transport_of(&call);
        if let Err(error) = transport.can_say(&prepare(&call).0) {
            let (request, authorization) = prepare(&call);
            let exchange = self.record(&call, &request, authorization, &Err(error.clone()), Duration::ZERO);
            return (Arc::new(exchange), Err(error));
        }
        let (request, authorization) = self.prepare(&call);
        let started = Instant::now();
        let mut limits = Vec::new();
        let bound = call.bound.unwrap_or(transport.timeout());
        let result = self.world.send(transport, &request, bound, &mut limits).await;
        for limit in limits {
            // Waited out, but an answer like any other.
            let _ = self.conclude(&call, &request, authorization.clone(), Ok(limit), (started, Instant::now()));
        }
        let (exchange, result) = self.conclude(&call, &request, authorization, result, (started, Instant::now()));
        (exchange, self.confirm_limit(result).await)
    }

    /// Leaves a limit on an answer only where a plain request of the same kind works.
    pub(super) async fn confirm_limit<'c>(
        &self,
        result: Result<Answer<'c>, TransportError>,
    ) -> Result<Answer<'c>, TransportError> {
        let mut answer = result?;
        if let Some(limit) = answer.limit.take_if(|_| !self.experiment)
            && self.world.limits.confirm(&self.world, &limit).await
        {
            // Others may be the refusal that a check wants; whoever wants none takes note.
            if limit.ends_the_check() {
                self.world.limits.met(&limit);
            }
            answer.limit = Some(limit);
        }
        Ok(answer)
    }

    /// Starts a request and stops after a share of its body (0.0: after the head).
    pub async fn hold(&self, call: &Call<'_>, share: f64) -> crate::client::HeldRequest {
        let transport = self.transport_of(call);
        transport.hold(self.prepare(call).0, share, transport.timeout() * 3).await
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
        self.world.note_together(&request, &[&result]);
        let (exchange, result) = self.conclude(call, &request, authorization, result, (started, Instant::now()));
        (exchange, self.confirm_limit(result).await)
    }

    pub(super) fn transport_of(&self, call: &Call<'_>) -> &Arc<Transport> {
        let is_idp = call.operation.is_some_and(Operation::is_authentication) || call.path.starts_with("/api/auth/");
        match call.place {
            Place::Stranger => self.world.stranger.as_ref().unwrap_or(&self.world.vault),
            _ if is_idp && self.world.separate_idp.is_some() => self.world.idp(),
            Place::Process(number) => self.world.process(number),
            Place::Profile(profile) => self.world.process(usize::from(profile == Profile::Grpc)),
            Place::Usual if self.spreads.load(Ordering::Relaxed) && !is_idp => {
                self.world.process(self.turn.load(Ordering::Relaxed))
            }
            Place::Usual => &self.world.vault,
        }
    }

    /// The request on the wire and its `Authorization` as a record may show it; the blobs in it count as sent.
    pub(super) fn prepare(&self, call: &Call<'_>) -> (RawRequest, Option<String>) {
        // One after the other, and now and then the same again, so that each meets each.
        if self.spreads.load(Ordering::Relaxed) && self.choose(6) > 0 {
            self.turn.fetch_add(1, Ordering::Relaxed);
        }
        if call.operation.is_none() && call.method != http::Method::GET {
            self.world.known.touched_by(&call.path);
        }
        if let (Some(operation), Some(body)) = (call.operation, &call.body)
            && operation.is_write()
        {
            let allowed = call.validated && !self.provoking.load(Ordering::Relaxed);
            let body = serde_json::from_slice::<Value>(body).ok();
            let named = body.as_ref().and_then(|body| body.pointer("/manifest/repoId"));
            // Nothing says whether path or body decides where they differ, as long as the caller may write there.
            let in_body = body.as_ref().and_then(|body| body.get("repoId")).and_then(Value::as_str).map(str::to_owned);
            let in_path = repo_of(&call.path, named);
            let in_body = in_body.filter(|id| in_path.as_ref() != Some(id));
            for repo in in_path.into_iter().chain(in_body) {
                self.world.known.touched(&repo);
                self.world.blobs.sent(&repo, body.as_ref().filter(|_| allowed));
                if let Some(body) = &body {
                    self.world.refusals.sent(&repo, &self.world.caller(call.auth), body);
                }
            }
        }
        prepare(call)
    }

    /// Records an exchange and shows its answer to the observer.
    pub(super) fn conclude(
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
        if result.as_ref().is_err_and(TransportError::is_idle_close) {
            self.cut_off.store(true, Ordering::Relaxed);
            self.world.note_idle_close();
        }
        self.note_known(call, result.as_ref().ok());
        let result = result.map(|raw| {
            if raw.marked && raw.status.is_success() {
                self.world.observer.byte_order_mark(self.check.id, &exchange);
            }
            let answer = Answer {
                cx: self,
                limit: self.world.limits.weigh(call, &self.world.caller(call.auth), &raw),
                exchange: exchange.clone(),
                operation: call.operation,
                status: raw.status.as_u16(),
                grpc: raw.grpc.map(Box::new),
                headers: raw.headers,
                body: raw.body,
            };
            self.observe(&answer, call.validated);
            if !answer.is_success() {
                self.world.refusals.answered(self.check.id, self.world.caller(call.auth), request, &answer);
            }
            answer
        });
        self.world.ledger.exchange(self.check.id, request.body.as_ref(), result.as_ref().ok());
        (exchange, result)
    }

    /// What a last look at the end of the run has to know: who was refused, and what got no answer.
    fn note_known(&self, call: &Call<'_>, answer: Option<&RawAnswer>) {
        let Some(repo) = repo_in_path(&call.path) else { return };
        match (answer.map(|answer| answer.status.as_u16()), call.auth) {
            (None, _) => self.world.known.lost(&repo),
            (Some(403 | 404), Auth::Bearer(token)) => {
                if let Caller::Member(member) = self.world.caller(call.auth) {
                    self.world.known.refused(&repo, &member, token);
                }
            }
            _ => {}
        }
    }

    fn record(
        &self,
        call: &Call<'_>,
        request: &RawRequest,
        authorization: Option<String>,
        result: &Result<RawAnswer, TransportError>,
        duration: Duration,
    ) -> Exchange {
        let recorded = |bytes: &[u8]| RecordedBody::of(bytes, &self.world.mask);
        let answer = result.as_ref().ok();
        Exchange {
            operation: call.operation.map_or(NO_OPERATION, Operation::name),
            method: request.method.to_string(),
            path: self.world.mask(request.path.clone()),
            authorization,
            request: recorded(request.body.as_deref().unwrap_or_default()),
            status: answer.map(|answer| answer.status.as_u16()),
            grpc: self.record_call(call, answer),
            content_type: answer
                .and_then(|answer| answer.headers.get(CONTENT_TYPE))
                .map(|value| self.world.mask(String::from_utf8_lossy(value.as_bytes()).into_owned())),
            response: answer.map(|answer| recorded(&answer.body)).unwrap_or_default(),
            error: result.as_ref().err().map(|error| self.world.mask(error.to_string())),
            duration,
        }
    }

    /// What a record says of the gRPC call that a request was.
    fn record_call(&self, call: &Call<'_>, answer: Option<&RawAnswer>) -> Option<RecordedCall> {
        let method = call.operation.filter(|_| self.transport_of(call).profile() == Profile::Grpc)?.grpc()?;
        let ended = answer.and_then(|answer| answer.grpc.as_ref());
        let own = |name: &HeaderName| matches!(name.as_str(), "grpc-status" | "grpc-message" | "content-type" | "date");
        let metadata = answer.into_iter().flat_map(|answer| &answer.headers).filter(|(name, _)| !own(name));
        let shown = |(name, value): (&HeaderName, &HeaderValue)| {
            let value: String = String::from_utf8_lossy(value.as_bytes()).chars().take(SHOWN_METADATA).collect();
            format!("{name}: {}", self.world.mask(value))
        };
        Some(RecordedCall {
            method: method.path().trim_start_matches('/').into(),
            code: ended.map(|ended| ended.code.0),
            status: ended.map(|ended| ended.code.to_string()),
            message: ended.map(|ended| self.world.mask(ended.message.chars().take(SHOWN_METADATA).collect())),
            metadata: metadata.take(MOST_METADATA).map(shown).collect(),
        })
    }

    /// Remembers an exchange for the report.
    pub(in crate::scenarios) fn remember(&self, exchange: &Arc<Exchange>) {
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
            let json = answer.grpc.is_none();
            let label = answer.headers.get(CONTENT_TYPE).map(|value| String::from_utf8_lossy(value.as_bytes()));
            if json {
                observer.content_type(label.as_deref(), self.check.id, &answer.exchange);
            }
            if self.provoking.load(Ordering::Relaxed) {
                return;
            }
            let body = parse_json(&answer.body).unwrap_or_else(|_| "not JSON".into());
            observer.validate(operation.answer_kind(), &body, self.check.id, &answer.exchange);
            if let Some(repo) = repo_of(&answer.exchange.path, body.get("repoId")) {
                self.world.limits.roster(&repo, &body);
                self.world.blobs.served(&repo, &body, self.check.id, &answer.exchange);
            }
        } else if self.world.spec >= Revision::V0_3 && answer.grpc.is_none() {
            let body = parse_json(&answer.body).unwrap_or_else(|_| "not JSON".into());
            observer.validate(MessageKind::ErrorObject, &body, self.check.id, &answer.exchange);
            observer.error_code(answer.status, &body, &answer.headers, self.check.id, &answer.exchange);
        }
    }
}

/// Characters of a value of metadata that a record keeps, and how many of them.
const SHOWN_METADATA: usize = 400;
const MOST_METADATA: usize = 12;

/// What is expected of whoever was asked.
fn an_answer(transport: &Transport) -> String {
    match transport.profile() {
        Profile::Http => "an HTTP answer".into(),
        Profile::Grpc => "a gRPC answer".into(),
    }
}

/// The repository in the path, or else the one that the message names: createRepo has none in its path.
fn repo_of(path: &str, named: Option<&Value>) -> Option<String> {
    repo_in_path(path).or_else(|| named?.as_str().map(str::to_owned))
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
    let shown = value.as_deref().map(shown::authorization);
    if let Some(value) = value.and_then(|value| HeaderValue::from_bytes(value.as_bytes()).ok()) {
        headers.push((AUTHORIZATION, value));
    }
    headers.extend(call.headers.iter().cloned());
    let request = RawRequest {
        method: call.method.clone(),
        path: call.path.clone(),
        headers,
        body: call.body.clone(),
        answer_limit: call.answer_limit,
    };
    (request, shown)
}
