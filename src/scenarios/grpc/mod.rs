//! What only gRPC has: messages that are absent, frames that are cut short, calls that are cancelled, fields that nobody knows.
//!
//! What a framework answers by itself to bytes that are no message (INTERNAL, as often as not) is no author's choice, so that no word is
//! asked for there: it must not be carried out, and the server must go on.

mod absent;
mod calls;
mod frames;
mod unknown;

use std::sync::Arc;

use http::HeaderValue;
use serde_json::Value;
use tokio::time::Instant;

use super::call::ANSWER_LIMIT;
use super::check::checks;
use super::{Ctx, Finding, Member, Operation, Outcome, Stop};
use crate::client::{Exchange, GrpcAnswer, GrpcCall, RawRequest, RecordedBody, RecordedCall, TransportError};
use crate::wire::proto::Method;

checks! {
    only = Grpc;
    "grpc/absent-messages", Must, "§6", [PUSH_REFUSED_WHOLE, REMOVE_ATOMIC, ADD_RECORDS, VERSION_MONOTONIC], absent::absent,
        "A write whose message lacks an envelope, a member or a wrapped key is carried out in no part";
    "grpc/malformed-calls", Hardening, "§6", [BAD_INPUT], absent::codes,
        "A message that lacks what the operation needs is refused with a code that says so, not with UNKNOWN or INTERNAL";
    "grpc/broken-frames", Must, "§6", [PUSH_REFUSED_WHOLE, REMOVE_ATOMIC], frames::broken_frames,
        "A write that is cut short, compressed in an unknown way or no message at all is carried out in no part";
    "grpc/unknown-fields", Must, "§4", [STORED_VERBATIM], unknown::unknown_fields,
        "Fields of a message that nobody knows are dropped, or refused: they change nothing that is known";
    "grpc/cancelled-writes", Must, "§6", [REMOVE_ATOMIC, PUSH_REFUSED_WHOLE, CREATE_RETURNS], calls::cancelled,
        "A write that is cancelled, or whose deadline is a millisecond, is carried out as a whole or not at all", phase = Contention;
    "grpc/answers-to-who-asked", Must, "§6", [ANSWERS_TO_ASKERS], calls::answers,
        "Nobody gets the answer to a call that was cancelled, or whose client is gone", phase = Dangerous;
    "grpc/large-messages", Hardening, "§6", [BAD_INPUT], calls::large,
        "A message that is too large is RESOURCE_EXHAUSTED, and the server goes on", phase = Dangerous;
    "grpc/reset-streams", Hardening, "§6", [BAD_INPUT], calls::resets,
        "Calls that are begun and reset by the hundred don't keep others from being served", phase = Dangerous;
}

/// The call of an operation, as its JSON says it.
fn call(cx: &Ctx, operation: Operation, by: &Member, body: &Value) -> Result<GrpcCall, Stop> {
    let repo = body["repoId"].as_str().or(body["manifest"]["repoId"].as_str()).unwrap_or_default();
    if operation.is_write() {
        cx.world.seen.known.touched(repo);
        cx.world.seen.sealed_texts.sent(repo, Some(body));
    }
    let mut headers = vec![(http::header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    if let Ok(token) = HeaderValue::from_str(&format!("Bearer {}", by.token)) {
        headers.push((http::header::AUTHORIZATION, token));
    }
    let request = RawRequest {
        method: operation.method(),
        path: operation.path(repo, ""),
        headers,
        body: Some(body.to_string().into()),
        answer_limit: ANSWER_LIMIT,
    };
    cx.world
        .target
        .vault
        .call_of(&request)
        .map_err(|error| cx.setup_failed("a call that can be said", error.to_string()))
}

/// Makes a call as it is and remembers it.
async fn make(cx: &Ctx, what: &str, call: &GrpcCall) -> (Arc<Exchange>, Result<GrpcAnswer, TransportError>) {
    let started = Instant::now();
    let result = cx.world.target.vault.call_by_hand(call, cx.world.target.vault.timeout()).await;
    let method = Method::of_path(&call.path).map_or("(unknown method)", Method::path);
    let ended = result.as_ref().ok();
    let exchange = Arc::new(Exchange {
        operation: "call",
        method: "POST".into(),
        path: call.path.clone(),
        authorization: None,
        request: RecordedBody { text: what.into(), length: call.data.len() },
        status: ended.map(|answer| answer.code.http()),
        grpc: Some(RecordedCall {
            method: method.trim_start_matches('/').into(),
            code: ended.map(|answer| answer.code.0),
            status: ended.map(|answer| answer.code.to_string()),
            message: ended.map(|answer| cx.world.mask(answer.message.chars().take(400).collect())),
            metadata: Vec::new(),
        }),
        content_type: None,
        response: ended
            .map(|answer| RecordedBody::of(&answer.message.clone().into(), &cx.world.target.mask))
            .unwrap_or_default(),
        error: result.as_ref().err().map(|error| cx.world.mask(error.to_string())),
        duration: started.elapsed(),
    });
    cx.remember(&exchange);
    (exchange, result)
}

/// A call without an answer is fine here, a server that is gone isn't.
async fn alive(cx: &Ctx, exchange: &Arc<Exchange>, result: &Result<GrpcAnswer, TransportError>) -> Outcome {
    match result {
        Err(error) if cx.world.is_gone(&cx.world.target.vault, error).await => {
            let observed = cx.world.mask(error.to_string());
            Err(Stop::SetupFailed(Box::new(Finding::shown("a gRPC answer", observed, exchange.clone()))))
        }
        _ => Ok(()),
    }
}
