//! Sends a request as it is to be written, and records what came.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::finding::{Found, Kind, Recorded};
use super::plan::{CAST, Wire};
use super::play::Play;
use super::request::Prepared;
use crate::client::{Exchange, RawAnswer, RawRequest, RecordedBody, Rewrite, TransportError};
use crate::report::shorten_token;
use crate::requirements as rule;
use crate::scenarios::Operation;

/// How long a server may take for what it was never sent to its end.
const UNFINISHED: Duration = Duration::from_secs(1);
/// So often a server that gave no answer is asked whether it lives.
const PROBES: usize = 3;
/// Whoever closes a connection may be about to fall, or busy: it gets a moment.
const PROBE_AFTER: Duration = Duration::from_millis(100);

impl Play {
    /// Sends a request as it is to be written, waits out rate limits, and records what came.
    pub(super) async fn send(&mut self, prepared: &Prepared) -> Result<RawAnswer, TransportError> {
        let world = Arc::clone(&self.world);
        let transport = if prepared.operation.is_authentication() { world.idp() } else { &world.vault };
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
        }
        let result = match rewritten {
            Some(Rewrite::Truncated) => {
                transport.send_rewritten(&request, Rewrite::Truncated, UNFINISHED.min(bound)).await
            }
            Some(rewrite) => transport.send_rewritten(&request, rewrite, bound).await,
            None => world.send(transport, &request, bound, &mut Vec::new()).await,
        };
        self.record(prepared, &request, &result, started.elapsed());
        match result {
            // Rewritten requests don't wait out rate limits by themselves.
            Ok(answer) if answer.status.as_u16() == 429 && rewritten.is_some() => {
                world.send(transport, &prepared.request, bound, &mut Vec::new()).await
            }
            result => result,
        }
    }

    /// A request without a token, with a body, and right behind it on the same connection the request itself.
    pub(super) async fn after_refusal(
        &mut self,
        prepared: &Prepared,
    ) -> Result<Result<RawAnswer, TransportError>, Box<Found>> {
        let started = Instant::now();
        let mut first = prepared.request.clone();
        first.headers.retain(|(name, _)| name != http::header::AUTHORIZATION);
        let bound = self.world.vault.timeout();
        let result = match self.world.vault.send_both(&first, &prepared.request, bound).await {
            Ok((refusal, second)) => {
                self.record(prepared, &first, &Ok(refusal), started.elapsed());
                match second {
                    None => return Ok(self.send(prepared).await),
                    Some(result) => result,
                }
            }
            Err(error) => Err(error),
        };
        self.record(prepared, &prepared.request, &result, started.elapsed());
        Ok(match result {
            Ok(answer) if answer.status.as_u16() == 429 => self.send(prepared).await,
            result => result,
        })
    }

    pub(super) fn record(
        &mut self,
        prepared: &Prepared,
        request: &RawRequest,
        result: &Result<RawAnswer, TransportError>,
        duration: Duration,
    ) {
        let recorded = |bytes: &[u8]| {
            let body = RecordedBody::of(bytes);
            RecordedBody { text: shorten_token(self.world.mask(body.text)), ..body }
        };
        let authorization = request.headers.iter().find(|(name, _)| name == http::header::AUTHORIZATION);
        let shown = authorization.map(|(_, value)| {
            let text = String::from_utf8_lossy(value.as_bytes());
            let kept: String = text.chars().take(24).collect();
            if kept.len() == text.len() { kept } else { format!("{kept}…") }
        });
        let answer = result.as_ref().ok();
        let content_type = answer.and_then(|answer| answer.headers.get(http::header::CONTENT_TYPE));
        let exchange = Exchange {
            operation: prepared.operation.name(),
            method: request.method.to_string(),
            path: request.path.clone(),
            authorization: shown,
            request: recorded(request.body.as_deref().unwrap_or_default()),
            status: answer.map(|answer| answer.status.as_u16()),
            content_type: content_type.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()),
            response: answer.map(|answer| recorded(&answer.body)).unwrap_or_default(),
            error: result.as_ref().err().map(|error| self.world.mask(error.to_string())),
            duration,
        };
        let by = CAST.get(prepared.by).copied().unwrap_or("nobody");
        self.transcript.push(Recorded { by, twist: prepared.twist.clone(), exchange });
    }

    /// Whether the server answers anything at all, a moment after it didn't.
    async fn is_alive(&self) -> bool {
        let request = RawRequest {
            method: http::Method::GET,
            path: Operation::Discovery.path("", ""),
            headers: vec![(http::header::CONNECTION, http::HeaderValue::from_static("close"))],
            body: None,
            answer_limit: 1 << 20,
        };
        for _ in 0..PROBES {
            tokio::time::sleep(PROBE_AFTER).await;
            if self.world.vault.send_within(&request, UNFINISHED).await.is_ok() {
                return true;
            }
        }
        false
    }

    /// No whole answer came: the request is to blame, or the server is gone.
    pub(super) async fn no_answer(&self, prepared: &Prepared, error: &TransportError) -> Box<Found> {
        let alive = !error.is_unreachable() && self.is_alive().await;
        let kind = match error {
            _ if !alive => Kind::Dead,
            TransportError::Timeout(_) => Kind::Hang,
            _ => Kind::Dropped,
        };
        self.found(kind, &rule::BAD_INPUT, prepared, "an HTTP answer", self.world.mask(error.to_string()))
    }
}
