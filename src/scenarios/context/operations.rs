//! The operations as a check performs them.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;

use super::super::answer::{Answer, Provoked};
use super::super::limits::LimitKind;
use super::super::world::turns::is_busy_for_who_knows;
use super::super::{Auth, Call, Finding, Member, Stop};
use super::Ctx;
use super::record::prepare;
use crate::client::{Exchange, Profile, Transport, TransportError};
use crate::wire::Operation;
use crate::wire::{
    ChallengeRequest, CreateRepoRequest, MemberAddRequest, MemberRemoveRequest, PullRequest, PushRequest, TokenRequest,
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
        let logins = &self.world.seen.logins;
        if !answer.is_success() {
            logins.refused(request);
        } else if let Ok(granted) = answer.message() {
            logins.granted(request, granted, &answer.headers);
        }
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
        let body = serde_json::to_vec(body).map_err(|error| self.setup_failed("a request", error.to_string()))?;
        self.call(Call::operation(operation, path_repo, "", auth, Some(body.into()))).await
    }

    /// From now on the check's answers don't count in the run-wide schema checks: it sends what no client may send, and what a
    /// lenient server makes of that, and serves again, is this check's own business.
    pub fn provokes(&self) {
        self.provoking.store(true, Ordering::Relaxed);
    }

    /// Sends what no client may send, as [`Self::provokes`] has it.
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
        self.provokes();
        let body = serde_json::to_vec(body).map_err(|error| self.setup_failed("a request", error.to_string()))?;
        let call = Call::operation(operation, path_repo, "", auth, Some(body.into()));
        let transport = self.transport_of(&call);
        let (exchange, result) = self.try_call(call).await;
        let error = match result {
            Ok(answer) => match answer.limit.as_ref().filter(|limit| limit.kind == LimitKind::Number) {
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
            return Err(Stop::SetupFailed(finding.into()));
        }
        if !matches!(error, TransportError::Timeout(_)) {
            return Ok(Provoked::Closed);
        }
        self.warn(finding);
        Ok(Provoked::Silence)
    }

    /// Sends any request, records the exchange, and notes the answer for the whole run.
    ///
    /// # Errors
    /// [`Stop::Violation`] when the server accepts the connection but gives no whole HTTP answer, [`Stop::SetupFailed`] when nobody is there.
    pub async fn call(&self, call: Call<'_>) -> Result<Answer<'_>, Stop> {
        let transport = self.transport_of(&call);
        let too_large = self.world.manners.limits.dropped(&call);
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
                    && self.world.manners.limits.confirm(&self.world, &limit).await
                {
                    self.world.manners.limits.met(&limit);
                    return Err(limit.stop());
                }
                Err(if unclear { Stop::SetupFailed(finding.into()) } else { Stop::Violation(finding.into()) })
            }
        }
    }

    /// Whether a token is refused because its time is over, in a check that isn't about just that.
    fn has_outlived(&self, answer: &Answer<'_>, auth: &Auth) -> bool {
        let Auth::Bearer(token) = auth else { return false };
        (400..500).contains(&answer.status) && !self.is_about_expiry() && self.world.seen.logins.has_expired(token)
    }

    /// As [`Self::call`], with the transport's error as it is.
    pub async fn try_call(&self, call: Call<'_>) -> (Arc<Exchange>, Result<Answer<'_>, TransportError>) {
        let transport = self.transport_of(&call);
        let prepared = prepare(&call);
        if let Err(error) = transport.can_say(&prepared.request) {
            let exchange = self.record(&call, &prepared, &Err(error.clone()), Duration::ZERO);
            return (Arc::new(exchange), Err(error));
        }
        self.note_sending(&call, &prepared);
        let started = Instant::now();
        let mut limits = Vec::new();
        let bound = call.bound.unwrap_or(transport.timeout());
        let result = self.world.send(transport, &prepared.request, bound, &mut limits).await;
        let served = result.as_ref().is_ok_and(|answer| answer.status != http::StatusCode::SERVICE_UNAVAILABLE);
        for limit in limits {
            let busy = served && is_busy_for_who_knows(&limit);
            // Waited out, but an answer like any other.
            let (exchange, _) = self.conclude(&call, &prepared, Ok(limit), (started, Instant::now()));
            if busy {
                self.was_busy(exchange);
            }
        }
        let (exchange, result) = self.conclude(&call, &prepared, result, (started, Instant::now()));
        (exchange, self.confirm_limit(result).await)
    }

    /// A 503 that didn't say when to come back, and wasn't for good. Clients can't tell it from a server that is broken.
    fn was_busy(&self, exchange: Arc<Exchange>) {
        self.world.manners.limits.is_busy_at_times();
        // UNAVAILABLE is transient by its definition, and told from what is broken by its code.
        if exchange.grpc.is_some() {
            return;
        }
        if self.world.is_news("503 without Retry-After") {
            let expected = "a server that is busy says by Retry-After when to come back (RFC 9110 §15.6.4)";
            self.warn(Finding::shown(
                expected,
                "status 503 without Retry-After; a moment later it was served",
                exchange,
            ));
        }
    }

    /// Leaves a limit on an answer only where a plain request of the same kind works.
    pub(super) async fn confirm_limit<'c>(
        &self,
        result: Result<Answer<'c>, TransportError>,
    ) -> Result<Answer<'c>, TransportError> {
        let mut answer = result?;
        let mut next = answer.limit.take_if(|_| !self.experiment);
        while let Some(mut limit) = next {
            next = limit.otherwise.take();
            if self.world.manners.limits.confirm(&self.world, &limit).await {
                // Others may be the refusal that a check wants; whoever wants none takes note.
                if limit.ends_the_check() {
                    self.world.manners.limits.met(&limit);
                }
                answer.limit = Some(limit);
                break;
            }
        }
        Ok(answer)
    }

    /// Starts a request and stops after a share of its body (0.0: after the head).
    pub async fn send_partly(&self, call: &Call<'_>, share: f64) -> crate::client::PartlySent {
        let transport = self.transport_of(call);
        transport.send_partly(self.prepare(call).request, share, transport.timeout() * 3).await
    }

    /// Finishes a request that was held.
    pub async fn finish(
        &self,
        call: &Call<'_>,
        held: crate::client::PartlySent,
    ) -> (Arc<Exchange>, Result<Answer<'_>, TransportError>) {
        let prepared = prepare(call);
        let started = held.started();
        let result = held.finish().await;
        self.world.note_together(&prepared.request, &[&result]);
        let (exchange, result) = self.conclude(call, &prepared, result, (started, Instant::now()));
        (exchange, self.confirm_limit(result).await)
    }
}

/// What is expected of whoever was asked.
fn an_answer(transport: &Transport) -> String {
    match transport.profile() {
        Profile::Http => "an HTTP answer".into(),
        Profile::Grpc => "a gRPC answer".into(),
    }
}
