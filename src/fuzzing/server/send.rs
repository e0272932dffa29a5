//! Sends a request as it is to be written, and records what came.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::header::HeaderValue;

use super::finding::{FindingKind, Found, Recorded};
use super::plan::{CAST, Wire};
use super::play::Play;
use super::request::{Prepared, rule_of_answer};
use super::sent::{Kept, Received, Sent};
use crate::client::{Identity, Profile, RawAnswer, RawRequest, Rewrite, Transport, TransportError};
use crate::requirements as rule;
use crate::scenarios::json_request;
use crate::wire::Operation;
use crate::wire::proto::Code;

/// How long a server may take for what it was never sent to its end.
const UNFINISHED: Duration = Duration::from_secs(1);
/// So often a server that gave no answer is asked whether it lives.
const PROBES: usize = 3;
/// Whoever closes a connection may be about to fall, or busy: it gets a moment.
const PROBE_AFTER: Duration = Duration::from_millis(100);

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
            self.report(self.found(FindingKind::Mismatch, rule, prepared, expected, observed))?;
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
            _ if !alive => FindingKind::Dead,
            TransportError::Timeout(_) => FindingKind::Hang,
            _ => FindingKind::Dropped,
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
