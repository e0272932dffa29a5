//! Sends a request as it is to be written, and records what came.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{AUTHORIZATION, HeaderName, HeaderValue};

use super::finding::{AsSent, Found, Kind, Recorded};
use super::plan::{CAST, Wire};
use super::play::Play;
use super::request::{Prepared, rule_of_answer};
use crate::client::{
    Exchange, GrpcStatus, Identity, KEPT_BODY, Mask, Profile, RawAnswer, RawRequest, RecordedBody, RecordedCall,
    Rewrite, Transport, TransportError,
};
use crate::ground::shown;
use crate::requirements as rule;
use crate::scenarios::{World, json_request};
use crate::wire::Operation;
use crate::wire::proto::{Code, Method};

/// How long a server may take for what it was never sent to its end.
const UNFINISHED: Duration = Duration::from_secs(1);
/// Characters of `Authorization` that a transcript shows.
const SHOWN_AUTHORIZATION: usize = 24;
/// So often a server that gave no answer is asked whether it lives.
const PROBES: usize = 3;
/// Whoever closes a connection may be about to fall, or busy: it gets a moment.
const PROBE_AFTER: Duration = Duration::from_millis(100);

/// A request that was sent and what came, before anybody wants to read it.
pub(super) struct Sent {
    by: usize,
    mutation: String,
    operation: &'static str,
    /// The gRPC call, if it was one.
    call: Option<Method>,
    method: http::Method,
    path: String,
    headers: Vec<(HeaderName, HeaderValue)>,
    body: Bytes,
    outcome: Result<Received, String>,
    duration: Duration,
}

struct Received {
    status: u16,
    grpc: Option<GrpcStatus>,
    content_type: Option<HeaderValue>,
    body: Kept,
}

/// A body, or the beginning of a long one.
struct Kept {
    head: Bytes,
    length: usize,
}

impl Kept {
    /// Of a long body as much as is recorded, and as much more as it takes to see what the cut goes through.
    fn of(body: &Bytes, mask: &Mask) -> Self {
        let kept = KEPT_BODY + mask.longest();
        let head = if body.len() <= kept { body.clone() } else { Bytes::copy_from_slice(&body[..kept]) };
        Self { head, length: body.len() }
    }

    fn recorded(&self, mask: &Mask) -> RecordedBody {
        RecordedBody { text: shown::without_tokens(mask.beginning(&self.head, KEPT_BODY)), length: self.length }
    }
}

impl Sent {
    /// What a record says of the call that it was, over gRPC.
    fn called(&self, received: Option<&Received>, mask: &Mask) -> Option<RecordedCall> {
        let method = self.call?.path().trim_start_matches('/').into();
        let ended = received.and_then(|received| received.grpc.as_ref());
        Some(RecordedCall {
            method,
            code: ended.map(|ended| ended.code.0),
            status: ended.map(|ended| ended.code.to_string()),
            message: ended.map(|ended| mask.text(ended.message.chars().take(400).collect())),
            metadata: Vec::new(),
        })
    }

    /// For people; `tokens` are those of the case with the names of their variables.
    fn recorded(&self, world: &World, tokens: &[(String, String)]) -> Recorded {
        let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let shortened = |value: String| {
            let kept: String = value.chars().take(SHOWN_AUTHORIZATION).collect();
            if kept.len() == value.len() { kept } else { format!("{kept}…") }
        };
        let authorization = self.headers.iter().find(|(name, _)| name == AUTHORIZATION);
        let received = self.outcome.as_ref().ok();
        let path =
            tokens.iter().fold(self.path.clone(), |path, (token, name)| path.replace(token, &format!("${name}")));
        let exchange = Exchange {
            operation: self.operation,
            method: self.method.to_string(),
            path: world.mask(path),
            authorization: authorization.map(|(_, value)| shortened(world.mask(text(value)))),
            request: Kept::of(&self.body, &world.target.mask).recorded(&world.target.mask),
            status: received.map(|received| received.status),
            grpc: self.called(received, &world.target.mask),
            content_type: received
                .and_then(|received| received.content_type.as_ref())
                .map(|value| world.mask(text(value))),
            response: received.map(|received| received.body.recorded(&world.target.mask)).unwrap_or_default(),
            error: self.outcome.as_ref().err().map(|error| world.mask(error.clone())),
            duration: self.duration,
        };
        let sent = AsSent {
            path: self.path.clone(),
            headers: self.headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect(),
            body: self.body.clone(),
            tokens: tokens.to_vec(),
        };
        let by = CAST.get(self.by).copied().unwrap_or("nobody");
        Recorded { by, mutation: world.mask(self.mutation.clone()), exchange, sent }
    }
}

/// Over gRPC a handler that throws at what it can't use has refused it (UNKNOWN, INTERNAL); which code that should have been is the
/// model's to say.
fn as_refusal(mut answer: RawAnswer) -> RawAnswer {
    if answer.grpc.as_ref().is_some_and(|grpc| matches!(grpc.code, Code::UNKNOWN | Code::INTERNAL)) {
        answer.status = http::StatusCode::BAD_REQUEST;
    }
    answer
}

impl Play {
    /// Sends a request as it is to be written, waits out rate limits, and records what came.
    pub(super) async fn send(&mut self, prepared: &Prepared) -> Result<RawAnswer, TransportError> {
        let world = Arc::clone(&self.world);
        let transport = if prepared.operation.is_authentication() { world.idp() } else { &world.target.vault };
        let bound = transport.timeout();
        let started = Instant::now();
        let rewritten = match prepared.wire {
            Some(Wire::Capitals) => Some(Rewrite::Capitals),
            Some(Wire::Pieces) => Some(Rewrite::Pieces),
            Some(Wire::Truncated) => Some(Rewrite::Truncated),
            Some(Wire::Pipelined) if prepared.operation == Operation::Pull => Some(Rewrite::Twice),
            _ => None,
        };
        let mut request = prepared.request.clone();
        if prepared.wire == Some(Wire::Chunked) && request.body.is_some() {
            let chunked = http::HeaderValue::from_static("chunked");
            request.headers.push((http::header::TRANSFER_ENCODING, chunked));
            // What a server leaves unread of it is this request's finding, and must not meet the next one.
            request.headers.push((http::header::CONNECTION, HeaderValue::from_static("close")));
        }
        let result = match rewritten {
            Some(Rewrite::Truncated) => {
                transport.send_rewritten(&request, Rewrite::Truncated, UNFINISHED.min(bound)).await
            }
            Some(rewrite) => transport.send_rewritten(&request, rewrite, bound).await,
            None => world.send(transport, &request, bound, &mut self.limits).await,
        };
        self.record(prepared, &request, &result, started.elapsed());
        match result.map(as_refusal) {
            // Rewritten requests don't wait out rate limits by themselves.
            Ok(answer) if answer.status.as_u16() == 429 && rewritten.is_some() => {
                world.send(transport, &prepared.request, bound, &mut self.limits).await.map(as_refusal)
            }
            result => result,
        }
    }

    /// A request that stops half-way, and goes on when somebody else's was answered meanwhile, or wasn't.
    pub(super) async fn stalled(
        &mut self,
        prepared: &Prepared,
    ) -> Result<Result<RawAnswer, TransportError>, Box<Found>> {
        let vault = Arc::clone(&self.world.target.vault);
        let started = Instant::now();
        let held = vault.send_partly(prepared.request.clone(), 0.5, vault.timeout()).await;
        let other = self.probe();
        let meanwhile = vault.send_within(&other, UNFINISHED).await;
        let result = held.finish().await;
        self.record(prepared, &prepared.request, &result, started.elapsed());
        // A server that is slow even now that nothing is in its way is only slow.
        if matches!(meanwhile, Err(TransportError::Timeout(_)))
            && vault.send_within(&other, UNFINISHED / 4).await.is_ok()
        {
            let (rule, expected) = (&rule::STALLED_REQUEST, "an answer to others while a request is half sent");
            let observed = format!("none within {UNFINISHED:?}");
            self.report(self.found(Kind::Mismatch, rule, prepared, expected, observed))?;
        }
        Ok(match result.map(as_refusal) {
            Ok(answer) if answer.status.as_u16() == 429 => self.send(prepared).await,
            result => result,
        })
    }

    /// What is spoken with whoever performs an operation.
    pub(super) fn profile(&self, prepared: &Prepared) -> Profile {
        self.transport_of(prepared.operation).profile()
    }

    /// Whether there is nothing to send: over gRPC there are no paths, no texts of JSON and no frames of HTTP/1.1.
    pub(super) fn is_unsayable(&self, prepared: &Prepared) -> bool {
        let transport = self.transport_of(prepared.operation);
        transport.profile() == Profile::Grpc
            && (prepared.wire.is_some_and(|wire| wire != Wire::Stalled)
                || transport.can_say(&prepared.request).is_err())
    }

    /// A request that anybody may send, on a connection of its own.
    fn probe(&self) -> RawRequest {
        if self.world.target.vault.profile() == Profile::Grpc {
            let key = Identity::generate().id;
            return json_request(Operation::Challenge.path("", ""), &serde_json::json!({ "ed25519PublicKey": key }));
        }
        RawRequest {
            method: http::Method::GET,
            path: Operation::Discovery.path("", ""),
            headers: vec![(http::header::CONNECTION, HeaderValue::from_static("close"))],
            body: None,
            answer_limit: 1 << 20,
        }
    }

    /// A request without a token, with a body, and right behind it on the same connection the request itself.
    /// Nothing comes of it that could be judged when the server is out of step.
    pub(super) async fn after_refusal(
        &mut self,
        prepared: &Prepared,
    ) -> Result<Option<Result<RawAnswer, TransportError>>, Box<Found>> {
        let started = Instant::now();
        let mut first = prepared.request.clone();
        first.headers.retain(|(name, _)| name != http::header::AUTHORIZATION);
        let bound = self.world.target.vault.timeout();
        let result = match self.world.target.vault.send_both(&first, &prepared.request, bound).await {
            Ok((refusal, second)) => {
                self.record(prepared, &first, &Ok(refusal), started.elapsed());
                match second {
                    None => return Ok(Some(self.send(prepared).await)),
                    Some(Err(error)) if self.is_alive(prepared.operation).await => {
                        self.record(prepared, &prepared.request, &Err(error.clone()), started.elapsed());
                        self.body_left_behind(prepared, self.world.mask(error.to_string())).await?;
                        return Ok(None);
                    }
                    Some(result) => result,
                }
            }
            Err(error) => Err(error),
        };
        self.record(prepared, &prepared.request, &result, started.elapsed());
        Ok(Some(match result {
            Ok(answer) if answer.status.as_u16() == 429 => self.send(prepared).await,
            result => result,
        }))
    }

    pub(super) fn record(
        &mut self,
        prepared: &Prepared,
        request: &RawRequest,
        result: &Result<RawAnswer, TransportError>,
        duration: Duration,
    ) {
        let outcome = match result {
            Ok(answer) => Ok(Received {
                status: answer.status.as_u16(),
                grpc: answer.grpc.clone(),
                content_type: answer.headers.get(http::header::CONTENT_TYPE).cloned(),
                body: Kept::of(&answer.body, &self.world.target.mask),
            }),
            Err(error) => Err(error.to_string()),
        };
        self.sent.push(Sent {
            by: prepared.by,
            mutation: prepared.mutation.clone(),
            operation: prepared.operation.name(),
            call: prepared.operation.grpc().filter(|_| self.profile(prepared) == Profile::Grpc),
            method: request.method.clone(),
            path: request.path.clone(),
            headers: request.headers.clone(),
            body: request.body.clone().unwrap_or_default(),
            outcome,
            duration,
        });
    }

    /// What was sent and came, for people.
    pub(super) fn transcript(&self) -> Vec<Recorded> {
        // The tokens of an identity, numbered if it got several.
        let mut seen = [0_usize; CAST.len()];
        let name = |(by, token): &(usize, String)| {
            let name = CAST.get(*by).copied().unwrap_or("nobody").to_uppercase();
            let count = seen.get_mut(*by).map_or(0, |count| std::mem::replace(count, *count + 1));
            (token.clone(), if count == 0 { name } else { format!("{name}_{}", count + 1) })
        };
        let tokens: Vec<_> = self.issued.iter().map(name).collect();
        self.sent.iter().map(|sent| sent.recorded(&self.world, &tokens)).collect()
    }

    fn transport_of(&self, operation: Operation) -> &Transport {
        if operation.is_authentication() { self.world.idp() } else { &self.world.target.vault }
    }

    /// Whether the server that an operation goes to answers anything at all, a moment after it didn't.
    pub(super) async fn is_alive(&self, operation: Operation) -> bool {
        let transport = self.transport_of(operation);
        let request = self.probe();
        for _ in 0..PROBES {
            tokio::time::sleep(PROBE_AFTER).await;
            if transport.send_within(&request, UNFINISHED).await.is_ok() {
                return true;
            }
        }
        false
    }

    /// No whole answer came: the request is to blame, or the server is gone.
    pub(super) async fn no_answer(&mut self, prepared: &Prepared, error: &TransportError) -> Box<Found> {
        if error.is_idle_close() {
            self.cut_off = true;
            self.world.note_idle_close();
        }
        let alive = !error.is_unreachable() && self.is_alive(prepared.operation).await;
        let kind = match error {
            _ if !alive => Kind::Dead,
            TransportError::Timeout(_) => Kind::Hang,
            _ => Kind::Dropped,
        };
        self.found(
            kind,
            rule_of_answer(prepared),
            prepared,
            if self.profile(prepared) == Profile::Grpc { "a gRPC answer" } else { "an HTTP answer" },
            self.world.mask(error.to_string()),
        )
    }
}
