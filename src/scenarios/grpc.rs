//! What only gRPC has: messages that are absent, frames that are cut short, calls that are cancelled, fields that nobody knows.
//!
//! What a framework answers by itself to bytes that are no message (INTERNAL, as often as not) is no author's choice, so that no word is
//! asked for there: it must not be carried out, and the server must go on.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::check::checks;
use super::context::ANSWER_LIMIT;
use super::{Ctx, Finding, Member, Operation, Outcome, Provoked, Stop};
use crate::client::{Exchange, GrpcAnswer, GrpcCall, RawRequest, RecordedBody, RecordedCall, Repo, TransportError};
use crate::wire::proto::{Code, Method, framed};

checks! {
    only = Grpc;
    "grpc/absent-messages", Must, "§6", [PUSH_REFUSED_WHOLE, REMOVE_ATOMIC, ADD_RECORDS], absent,
        "A write whose message lacks an envelope, a member or a wrapped key is carried out in no part";
    "grpc/malformed-calls", Hardening, "§6", [BAD_INPUT], codes,
        "A message that lacks what the operation needs is refused with a code that says so, not with UNKNOWN or INTERNAL";
    "grpc/broken-frames", Must, "§6", [PUSH_REFUSED_WHOLE, REMOVE_ATOMIC], broken_frames,
        "A write that is cut short, compressed in an unknown way or no message at all is carried out in no part";
    "grpc/unknown-fields", Must, "§4", [STORED_VERBATIM], unknown_fields,
        "Fields of a message that nobody knows are dropped, or refused: they change nothing that is known";
    "grpc/cancelled-writes", Must, "§6", [REMOVE_ATOMIC, PUSH_REFUSED_WHOLE], cancelled,
        "A write that is cancelled, or whose deadline is a millisecond, is carried out as a whole or not at all", phase = Alone;
    "grpc/large-messages", Hardening, "§6", [BAD_INPUT], large,
        "A message that is too large is RESOURCE_EXHAUSTED, and the server goes on", phase = Dangerous;
    "grpc/reset-streams", Hardening, "§6", [BAD_INPUT], resets,
        "Calls that are begun and reset by the hundred don't keep others from being served", phase = Dangerous;
}

/// How many calls are reset in a row.
const RESETS: usize = 200;
/// Rounds of each way to cancel.
const ROUNDS: usize = 3;

/// The call of an operation, as its JSON says it.
fn call(cx: &Ctx, operation: Operation, by: &Member, body: &Value) -> Result<GrpcCall, Stop> {
    let repo = body["repoId"].as_str().unwrap_or_default();
    if operation.is_write() {
        cx.world.known.touched(repo);
        cx.world.blobs.sent(repo, Some(body));
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
    cx.world.vault.call_of(&request).map_err(|error| cx.trouble("a call that can be said", error.to_string()))
}

/// Makes a call as it is and remembers it.
async fn make(cx: &Ctx, what: &str, call: &GrpcCall) -> (Arc<Exchange>, Result<GrpcAnswer, TransportError>) {
    let started = Instant::now();
    let result = cx.world.vault.call_by_hand(call, cx.world.vault.timeout()).await;
    let method = Method::of_path(&call.path).map_or("(unknown method)", Method::path);
    let ended = result.as_ref().ok();
    let exchange = Arc::new(Exchange {
        operation: "call",
        method: "POST".into(),
        path: call.path.clone(),
        authorization: None,
        request: RecordedBody { text: what.to_owned(), length: call.data.len() },
        status: ended.map(|answer| answer.code.http()),
        grpc: Some(RecordedCall {
            method: method.trim_start_matches('/').into(),
            code: ended.map(|answer| answer.code.0),
            status: ended.map(|answer| answer.code.to_string()),
            message: ended.map(|answer| cx.world.mask(answer.message.chars().take(400).collect())),
            metadata: Vec::new(),
        }),
        content_type: None,
        response: ended.map(|answer| RecordedBody::of(answer.message.as_bytes(), &cx.world.mask)).unwrap_or_default(),
        error: result.as_ref().err().map(|error| cx.world.mask(error.to_string())),
        duration: started.elapsed(),
    });
    cx.remember(&exchange);
    (exchange, result)
}

/// A repository of three, and its writes without one of the messages that they need.
struct Lacking {
    repo: Repo,
    writes: Vec<(Operation, &'static str, Value)>,
}

async fn lacking(cx: &Ctx, alice: &Member) -> Result<Lacking, Stop> {
    let (bob, carol) = (cx.identity(), cx.identity());
    let repo = cx.repo_with(alice, &[&bob, &carol]).await?;
    let rotation = repo.rotation(alice, &[alice, &carol]);
    let without = |mut body: Value, pointer: &str, member: &str| {
        if let Some(object) = body.pointer_mut(pointer).and_then(Value::as_object_mut) {
            object.remove(member);
        }
        body
    };
    let push = json!(repo.push_request(alice));
    let rotating = json!(repo.rotating_push(&rotation));
    let add = json!(repo.add_request(&cx.identity()));
    let removal = json!(repo.remove_request(&bob.id, &rotation));
    let writes = vec![
        (Operation::Push, "push without envelope", without(push, "", "envelope")),
        (Operation::Push, "a rotating push without envelope", without(rotating.clone(), "", "envelope")),
        (
            Operation::Push,
            "push with a member without wrappedDataKey",
            without(rotating, "/rotatedMembers/1", "wrappedDataKey"),
        ),
        (Operation::AddMember, "addMember without member", without(add.clone(), "", "member")),
        (Operation::AddMember, "addMember without wrappedDataKey", without(add, "/member", "wrappedDataKey")),
        (
            Operation::RemoveMember,
            "removeMember without rotatedEnvelope",
            without(removal.clone(), "", "rotatedEnvelope"),
        ),
        (
            Operation::RemoveMember,
            "removeMember with a member without wrappedDataKey",
            without(removal, "/rewrappedMembers/1", "wrappedDataKey"),
        ),
    ];
    Ok(Lacking { repo, writes })
}

/// A message that is absent isn't an empty one. Whoever refuses it has changed nothing; whoever takes it is only warned of, as over HTTP.
async fn absent(cx: &Ctx) -> Outcome {
    let alice = cx.member().await?;
    let mut scene = lacking(cx, &alice).await?;
    for number in 0..scene.writes.len() {
        let (operation, what, body) = scene.writes[number].clone();
        if let Provoked::Answer(answer) = cx.provoke(operation, scene.repo.id(), &alice.auth(), &body).await? {
            let applied = answer.json().is_ok_and(|body| body["accepted"] != json!(false));
            if answer.is_success() && applied {
                cx.warn(answer.finding(format!("{what} is refused"), answer.summary()));
                scene = lacking(cx, &alice).await?;
                continue;
            }
        }
        cx.holds(&alice, &scene.repo, &format!("{what} that was refused")).await?;
    }
    Ok(())
}

/// The codes of such refusals, all in one warning.
async fn codes(cx: &Ctx) -> Outcome {
    let alice = cx.member().await?;
    let scene = lacking(cx, &alice).await?;
    let creation = Repo::new(&alice).create_request();
    let mut calls: Vec<_> =
        scene.writes.iter().map(|(operation, what, body)| (*operation, *what, body.clone())).collect();
    calls.push((
        Operation::CreateRepo,
        "createRepo without initialEnvelope",
        json!({ "manifest": creation.manifest, "initialEnvelope": null }),
    ));
    calls.push((
        Operation::CreateRepo,
        "createRepo without manifest",
        json!({ "manifest": null, "initialEnvelope": creation.initial_envelope }),
    ));
    let mut wrong: Vec<(String, Arc<Exchange>)> = Vec::new();
    for (operation, what, body) in calls {
        let path = if operation == Operation::CreateRepo { "" } else { scene.repo.id() };
        let answer = match cx.provoke(operation, path, &alice.auth(), &body).await? {
            Provoked::Answer(answer) => answer,
            _ => continue,
        };
        let code = answer.grpc.as_ref().map(|grpc| grpc.code);
        if let Some(code) = code.filter(|code| matches!(*code, Code::UNKNOWN | Code::INTERNAL)) {
            wrong.push((format!("{what} ({code})"), answer.exchange.clone()));
        }
    }
    let Some((_, exchange)) = wrong.first() else { return Ok(()) };
    let named = wrong.iter().map(|(what, _)| what.as_str()).collect::<Vec<_>>().join("; ");
    let expected = "what a message lacks is INVALID_ARGUMENT, say: a client can tell its own mistake from the server's";
    Err(Stop::Broken(Box::new(Finding::shown(expected, named, exchange.clone()))))
}

/// Streams that hold no whole message, and must not be taken for one.
fn broken(call: &GrpcCall) -> Vec<(&'static str, GrpcCall)> {
    let message = &call.data[5..];
    let with = |data: Vec<u8>| GrpcCall { data: data.into(), ..call.clone() };
    let prefixed = |flag: u8, length: usize, message: &[u8]| {
        let mut data = vec![flag];
        data.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
        data.extend_from_slice(message);
        with(data)
    };
    let mut unknown = prefixed(1, message.len(), message);
    unknown.metadata.push((HeaderName::from_static("grpc-encoding"), HeaderValue::from_static("avp-none")));
    // At the end, where it takes the place of the repository's id: of a field that comes twice, the last one counts.
    let not_utf8 = [message, &[0x0a, 2, 0xff, 0xfe]].concat();
    vec![
        ("cut after half of the message", prefixed(0, message.len(), &message[..message.len() / 2])),
        ("whose length says more than there is", prefixed(0, message.len() + 9, message)),
        ("whose prefix is all there is", prefixed(0, message.len(), b"")),
        ("compressed in a way that nobody knows", unknown),
        ("that says it is compressed and isn't", prefixed(1, message.len(), &[message, &[0xff; 9]].concat())),
        ("with a text that isn't UTF-8", with(framed(&not_utf8))),
        ("of garbage", with(framed(&[0xff; 64]))),
    ]
}

async fn broken_frames(cx: &Ctx) -> Outcome {
    let alice = cx.member().await?;
    let bob = cx.identity();
    let repo = cx.repo_with(&alice, &[&bob]).await?;
    let rotation = repo.rotation(&alice, &[&alice]);
    let writes = [
        (Operation::Push, json!(repo.push_request(&alice))),
        (Operation::RemoveMember, json!(repo.remove_request(&bob.id, &rotation))),
    ];
    for (operation, body) in writes {
        for (how, call) in broken(&call(cx, operation, &alice, &body)?) {
            let what = format!("{} {how}", operation.name());
            let (exchange, result) = make(cx, &what, &call).await;
            alive(cx, &exchange, &result).await?;
            if result.is_ok_and(|answer| answer.code == Code::OK) && !how.contains("UTF-8") {
                let expected = format!("{what} is refused: there is no whole message");
                return Err(Stop::Broken(Box::new(Finding::shown(expected, "status OK", exchange))));
            }
            cx.holds(&alice, &repo, &what).await?;
        }
    }
    Ok(())
}

/// A call without an answer is fine here, a server that is gone isn't.
async fn alive(cx: &Ctx, exchange: &Arc<Exchange>, result: &Result<GrpcAnswer, TransportError>) -> Outcome {
    match result {
        Err(error) if cx.world.is_gone(&cx.world.vault, error).await => {
            let observed = cx.world.mask(error.to_string());
            Err(Stop::Trouble(Box::new(Finding::shown("a gRPC answer", observed, exchange.clone()))))
        }
        _ => Ok(()),
    }
}

/// Fields with numbers that the protocol hasn't given away: texts, or numbers of every other wire type.
fn unknown(texts: bool) -> Vec<u8> {
    let mut bytes = Vec::new();
    if texts {
        // As long as a ciphertext, so that no check of sizes hides where they end up.
        let text = crate::codec::base64::encode(&[b'?'; 48]);
        for number in [13_u8, 14] {
            bytes.extend([number << 3 | 2, u8::try_from(text.len()).unwrap_or_default()]);
            bytes.extend_from_slice(text.as_bytes());
        }
        return bytes;
    }
    // Numbers 9 and 100 as varints, 15 as 64 bits, 17 as 32 bits.
    bytes.extend([9 << 3, 7, 0xa0, 0x06, 7, 15 << 3 | 1, 1, 2, 3, 4, 5, 6, 7, 8, 0x8d, 0x01, 1, 2, 3, 4]);
    bytes
}

/// A message with unknown fields in the message that is its field `number`; numbers stand in both.
fn spiked(message: &[u8], number: u8, texts: bool) -> Option<Vec<u8>> {
    let strange = unknown(texts);
    let mut out = Vec::new();
    let mut rest = message;
    while let Some((&key, _)) = rest.split_first() {
        let (field, length) = field(rest)?;
        if key == number << 3 | 2 {
            let inner = [&field[length..], strange.as_slice()].concat();
            out.push(key);
            let mut size = inner.len();
            while size > 127 {
                out.push(u8::try_from(size & 127).ok()? | 128);
                size >>= 7;
            }
            out.push(u8::try_from(size).ok()?);
            out.extend_from_slice(&inner);
        } else {
            out.extend_from_slice(field);
        }
        rest = &rest[field.len()..];
    }
    if !texts {
        out.extend_from_slice(&strange);
    }
    Some(out)
}

/// The first field of a message of ours, whole, and how many bytes of it come before what it holds.
fn field(message: &[u8]) -> Option<(&[u8], usize)> {
    let (mut at, mut value) = (1, 0);
    for shift in (0..64).step_by(7) {
        let byte = *message.get(at)?;
        at += 1;
        value |= usize::from(byte & 127).checked_shl(shift)?;
        if byte & 128 == 0 {
            break;
        }
    }
    let end = if message[0] & 7 == 2 { at.checked_add(value)? } else { at };
    Some((message.get(..end)?, at))
}

/// A newer client may send what an older server doesn't know: proto3 drops it.
async fn unknown_fields(cx: &Ctx) -> Outcome {
    let alice = cx.member().await?;
    let mut repo = cx.repo(&alice).await?;
    for texts in [true, false] {
        let push = repo.push_request(&alice);
        let mut request = call(cx, Operation::Push, &alice, &json!(push))?;
        let Some(message) = spiked(&request.data[5..], 2, texts) else {
            return Err(cx.trouble("a message of ours", "another".into()));
        };
        request.data = framed(&message).into();
        let kind = if texts { "texts" } else { "numbers" };
        let what = format!("push with {kind} in fields that nobody knows, in its envelope");
        let (exchange, result) = make(cx, &what, &request).await;
        alive(cx, &exchange, &result).await?;
        let Ok(answer) = result else {
            let observed = exchange.error.clone().unwrap_or_default();
            return Err(Stop::Broken(Box::new(Finding::shown(format!("{what} is answered"), observed, exchange))));
        };
        let applied = answer.data.is_some_and(|data| data.first() == Some(&8));
        if answer.code == Code::OK && applied {
            repo.apply_push(&push);
        } else {
            cx.remark(format!("{kind}: refused with {}", answer.code));
        }
        cx.holds(&alice, &repo, &what).await?;
    }
    Ok(())
}

/// Before, or after, and nothing in between.
async fn cancelled(cx: &Ctx) -> Outcome {
    let alice = cx.member().await?;
    for round in 0..ROUNDS {
        for how in ["half-way", "when it is whole", "by its deadline"] {
            let bob = cx.identity();
            let before = cx.repo_with(&alice, &[&bob]).await?;
            let rotation = before.rotation(&alice, &[&alice]);
            let mut after = before.clone();
            let (operation, body) = if round % 2 == 0 {
                (Operation::RemoveMember, json!(before.remove_request(&bob.id, &rotation)))
            } else {
                (Operation::Push, json!(before.rotating_push(&rotation)))
            };
            after.apply_rotation(&rotation);
            cx.watch(&after);
            let mut request = call(cx, operation, &alice, &body)?;
            let bound = cx.world.vault.timeout();
            let what = format!("{} that was cancelled {how}", operation.name());
            if how == "by its deadline" {
                request.metadata.push((HeaderName::from_static("grpc-timeout"), HeaderValue::from_static("1m")));
                let (exchange, result) = make(cx, &what, &request).await;
                alive(cx, &exchange, &result).await?;
            } else {
                let share = if how == "half-way" { 0.5 } else { 1.0 };
                let sent = cx.world.vault.cancel_by_hand(std::slice::from_ref(&request), share, bound).await;
                sent.map_err(|error| cx.trouble("a call that can be begun", cx.world.mask(error.to_string())))?;
            }
            if how == "half-way" {
                cx.holds(&alice, &before, &what).await?;
                continue;
            }
            // A server that goes on although nobody waits has finished by the time of another answer, or soon after.
            if cx.holds(&alice, &before, &what).await.is_err() {
                tokio::time::sleep(Duration::from_millis(20)).await;
                cx.holds(&alice, &after, &what).await?;
            }
        }
    }
    Ok(())
}

async fn large(cx: &Ctx) -> Outcome {
    let alice = cx.member().await?;
    let mut repo = cx.repo(&alice).await?;
    for mebibytes in [3, 12] {
        let push = repo.push_of(&vec![b'x'; (mebibytes << 20) * 3 / 4 - 4096], repo.version() + 1);
        let request = call(cx, Operation::Push, &alice, &json!(push))?;
        let what = format!("a push of {mebibytes} MiB");
        let (exchange, result) = make(cx, &what, &request).await;
        alive(cx, &exchange, &result).await?;
        match result {
            Ok(answer) if answer.code == Code::OK => repo.apply_push(&push),
            Ok(answer)
                if matches!(
                    answer.code,
                    Code::RESOURCE_EXHAUSTED | Code::INVALID_ARGUMENT | Code::PERMISSION_DENIED
                ) =>
            {
                cx.remark(format!("{what} is {}", answer.code));
            }
            Ok(answer) => {
                let finding = Finding::shown(
                    format!("{what} is taken, or RESOURCE_EXHAUSTED"),
                    format!("status {}", answer.code),
                    exchange,
                );
                return Err(Stop::Broken(Box::new(finding)));
            }
            Err(error) => cx.remark(format!("{what}: {}", cx.world.mask(error.to_string()))),
        }
        cx.holds(&alice, &repo, &what).await?;
    }
    Ok(())
}

async fn resets(cx: &Ctx) -> Outcome {
    let alice = cx.member().await?;
    let repo = cx.repo(&alice).await?;
    let request = call(cx, Operation::Pull, &alice, &json!(repo.pull_request(0)))?;
    // A server may end a connection that does nothing but this.
    if let Err(error) = cx.world.vault.cancel_by_hand(&vec![request; RESETS], 0.5, cx.world.vault.timeout()).await {
        cx.remark(format!("the server ended the connection: {}", cx.world.mask(error.to_string())));
    }
    cx.holds(&alice, &repo, "hundreds of calls that were reset").await
}
