//! From a call to the request on the wire, and from its answer to what is kept: the record, and what the last look sees.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue};
use serde_json::Value;
use tokio::time::Instant;

use super::super::answer::{Answer, NO_OPERATION, parse_json};
use super::super::call::{LazyJson, Place};
use super::super::recording::{Caller, repo_in_path};
use super::super::{Auth, Call};
use super::{Ctx, REMEMBERED, lock};
use crate::client::{Exchange, Profile, RawAnswer, RawRequest, RecordedBody, RecordedCall, Transport, TransportError};
use crate::ground::shown;
use crate::requirements::Revision;
use crate::wire::{MessageKind, Operation};

impl Ctx {
    pub(super) fn transport_of(&self, call: &Call<'_>) -> &Arc<Transport> {
        let is_idp = call.operation.is_some_and(Operation::is_authentication) || call.path.starts_with("/api/auth/");
        match call.place {
            Place::Stranger => self.world.target.stranger.as_ref().unwrap_or(&self.world.target.vault),
            _ if is_idp && self.world.target.separate_idp.is_some() => self.world.idp(),
            Place::Process(number) => self.world.process(number),
            Place::Profile(profile) => self.world.process(usize::from(profile == Profile::Grpc)),
            Place::Usual if self.spreads.load(Ordering::Relaxed) && !is_idp => {
                self.world.process(self.turn.load(Ordering::Relaxed))
            }
            Place::Usual => &self.world.target.vault,
        }
    }

    /// As [`prepare`], for a request that is about to be sent: the blobs in it count as sent.
    pub(super) fn prepare(&self, call: &Call<'_>) -> Prepared {
        let prepared = prepare(call);
        self.note_sending(call, &prepared);
        prepared
    }

    /// Takes note of a request that is about to be sent.
    pub(super) fn note_sending(&self, call: &Call<'_>, prepared: &Prepared) {
        // One after the other, and now and then the same again, so that each meets each.
        if self.spreads.load(Ordering::Relaxed) && self.choose(6) > 0 {
            self.turn.fetch_add(1, Ordering::Relaxed);
        }
        if call.operation.is_none() && call.method != http::Method::GET {
            self.world.seen.known.touched_by(&call.path);
        }
        if call.body.is_some() && call.operation.is_some_and(Operation::is_write) {
            let allowed = call.validated && !self.provoking.load(Ordering::Relaxed);
            // Megabytes that are sent again and again needn't be read each time.
            let body = if call.load { None } else { prepared.json.get() };
            let named = body.and_then(|body| body.pointer("/manifest/repoId"));
            // Nothing says whether path or body decides where they differ, as long as the caller may write there.
            let in_body = body.and_then(|body| body.get("repoId")).and_then(Value::as_str).map(str::to_owned);
            let in_path = repo_of(&call.path, named);
            let in_body = in_body.filter(|id| in_path.as_ref() != Some(id));
            for repo in in_path.into_iter().chain(in_body) {
                self.world.seen.known.touched(&repo);
                self.world.seen.sealed_texts.sent(&repo, body.filter(|_| allowed));
                if let Some(body) = body {
                    self.world.seen.refusals.sent(&repo, &self.world.caller(call.auth), body);
                }
            }
        }
    }

    /// Records an exchange and notes its answer.
    pub(super) fn conclude(
        &self,
        call: &Call<'_>,
        prepared: &Prepared,
        result: Result<RawAnswer, TransportError>,
        (started, ended): (Instant, Instant),
    ) -> (Arc<Exchange>, Result<Answer<'_>, TransportError>) {
        let took = ended.saturating_duration_since(started);
        let exchange = Arc::new(self.record(call, prepared, &result, took));
        let request = &prepared.request;
        for recording in self.recording.get().into_iter().chain(self.world.recording_of(self.check.id)) {
            let answer = result.as_ref().ok().map(|raw| (raw.status.as_u16(), self.world.as_stored(&raw.body)));
            recording.note(call, self.world.caller(call.auth), (started, ended), answer);
        }
        self.remember(&exchange);
        if result.as_ref().is_err_and(TransportError::is_idle_close) {
            self.cut_off.store(true, Ordering::Relaxed);
            self.world.note_idle_close();
        }
        let usual = call.operation.is_some() && call.validated && !self.provoking.load(Ordering::Relaxed);
        if usual && matches!(result, Err(TransportError::Closed { .. })) {
            self.world.note_lost_answer(self.check.id, &exchange);
        }
        self.note_known(call, result.as_ref().ok());
        if let Ok(raw) = &result {
            self.world.seen.secrets.exchange(self.check.id, call.operation, request.body.as_ref(), raw);
            if !raw.status.is_success() {
                let caller = self.world.caller(call.auth);
                self.world.seen.refusals.answered(self.check.id, caller, request, raw, &exchange);
            }
        }
        let result = result.map(|raw| {
            if raw.marked && raw.status.is_success() {
                self.world.seen.answers.byte_order_mark(self.check.id, &exchange);
            }
            let answer = Answer {
                cx: self,
                limit: self
                    .world
                    .manners
                    .limits
                    .weigh(call, &prepared.json, &self.world.caller(call.auth), &raw)
                    .map(Box::new),
                exchange: exchange.clone(),
                operation: call.operation,
                status: raw.status.as_u16(),
                grpc: raw.grpc.map(Box::new),
                headers: raw.headers,
                body: raw.body,
            };
            if !call.load {
                self.observe(&answer, call.validated);
            }
            answer
        });
        (exchange, result)
    }

    /// What a last look at the end of the run has to know: who was refused, and what got no answer.
    fn note_known(&self, call: &Call<'_>, answer: Option<&RawAnswer>) {
        let Some(repo) = repo_in_path(&call.path) else { return };
        match (answer.map(|answer| answer.status.as_u16()), call.auth) {
            (None, _) => self.world.seen.known.lost(&repo),
            (Some(403 | 404), Auth::Bearer(token)) => {
                if let Caller::Member(member) = self.world.caller(call.auth) {
                    self.world.seen.known.refused(&repo, &member, token);
                }
            }
            _ => {}
        }
    }

    pub(super) fn record(
        &self,
        call: &Call<'_>,
        Prepared { request, authorization, .. }: &Prepared,
        result: &Result<RawAnswer, TransportError>,
        duration: Duration,
    ) -> Exchange {
        let recorded = |body: &Bytes| RecordedBody::of(body, &self.world.target.mask);
        let answer = result.as_ref().ok();
        Exchange {
            operation: call.operation.map_or(NO_OPERATION, Operation::name),
            method: request.method.to_string(),
            path: self.world.mask(request.path.clone()),
            authorization: authorization.clone(),
            request: request.body.as_ref().map(recorded).unwrap_or_default(),
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
        if let Some(trace) = &self.world.seen.trace {
            // Nobody listens any more when the run is being ended.
            let _ = trace.send((self.check.id, exchange.clone()));
        }
    }

    fn observe(&self, answer: &Answer<'_>, validated: bool) {
        let seen = &self.world.seen.answers;
        seen.keep(self.check.id, &answer.body, &answer.exchange);
        let Some(operation) = answer.operation.filter(|_| validated) else { return };
        if answer.is_success() {
            let json = answer.grpc.is_none();
            let label = answer.headers.get(CONTENT_TYPE).map(|value| String::from_utf8_lossy(value.as_bytes()));
            if json {
                seen.content_type(label.as_deref(), self.check.id, &answer.exchange);
            }
            let body = parse_json(&answer.body).unwrap_or_else(|_| "not JSON".into());
            let repo = repo_of(&answer.exchange.path, body.get("repoId"));
            // Also of a check that provokes: what is refused to a member may be a limit there, too.
            if let Some(repo) = &repo {
                self.world.manners.limits.roster(repo, &body);
            }
            if self.provoking.load(Ordering::Relaxed) {
                if let Some(repo) = repo.filter(|_| !operation.changes_nothing()) {
                    seen.took_something_odd(repo);
                }
                return;
            }
            // A server may serve what it has taken, whoever asks.
            if repo.as_ref().is_some_and(|repo| seen.has_taken_something_odd(repo)) {
                return;
            }
            seen.validate(operation.answer_kind(), &body, self.check.id, &answer.exchange);
            if let Some(repo) = repo {
                self.world.seen.sealed_texts.served(&repo, &body, self.check.id, &answer.exchange);
            }
        } else if self.world.asked.spec >= Revision::V0_3 && answer.grpc.is_none() {
            let body = parse_json(&answer.body).unwrap_or_else(|_| "not JSON".into());
            seen.validate(MessageKind::ErrorObject, &body, self.check.id, &answer.exchange);
            seen.error_code(answer.status, &body, &answer.headers, self.check.id, &answer.exchange);
        }
    }
}

/// Characters of a value of metadata that a record keeps, and how many of them.
const SHOWN_METADATA: usize = 400;

const MOST_METADATA: usize = 12;

/// The repository in the path, or else the one that the message names: createRepo has none in its path.
fn repo_of(path: &str, named: Option<&Value>) -> Option<String> {
    repo_in_path(path).or_else(|| named?.as_str().map(str::to_owned))
}

/// A request that is ready to be sent.
pub(super) struct Prepared {
    /// What goes over the wire.
    pub request: RawRequest,
    /// Its `Authorization` as a record may show it.
    pub authorization: Option<String>,
    /// Its body.
    pub json: LazyJson,
}

/// Makes a request ready.
pub(super) fn prepare(call: &Call<'_>) -> Prepared {
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
    Prepared { json: LazyJson::new(request.body.clone()), request, authorization: shown }
}
