//! Requests within requests (request smuggling): where filter and server don't agree on where a request ends, the rest of its
//! body is a request that nobody has looked at.

use std::sync::Arc;
use std::time::Duration;

use super::super::by_hand::{HandMade, exchange};
use super::{Auth, Ctx, Finding, Fixture, Operation, Outcome, Stop};
use crate::client::Exchange;
use crate::scenarios::call::ANSWER_LIMIT;

/// How long each answer may take; where a server waits for more, nothing will come.
const PATIENCE: Duration = Duration::from_millis(700);
/// Answers on one connection: to the outer request, the hidden one, the last one, and one to spare.
const MOST_ANSWERS: usize = 4;

/// A pull and a push without a token, within a stranger's own requests.
pub async fn check(cx: &Ctx) -> Outcome {
    let fixture = Fixture::set_up(cx).await?;
    let (mut open, mut shown) = (Vec::new(), None);
    for operation in [Operation::Pull, Operation::Push] {
        for (what, bytes) in layouts(cx, &fixture, operation) {
            if let Some(told) = send(cx, &fixture, operation, &bytes).await {
                open.push(format!("{} by {what}", operation.name()));
                shown.get_or_insert(told);
            }
        }
    }
    if fixture.has_changed(cx).await? {
        open.extend(writers(cx, &fixture).await?);
    }
    if open.is_empty() {
        return Ok(());
    }
    Err(Stop::Violation(Box::new(Finding {
        expected: "nothing in the body of one request is carried out as another, without a token".into(),
        observed: format!("carried out: {}", open.join(", ")),
        exchange: shown,
        evidence: Vec::new(),
    })))
}

/// Which layouts let a push through, each tried with a repository of its own.
async fn writers(cx: &Ctx, fixture: &Fixture) -> Result<Vec<String>, Stop> {
    let mut open = Vec::new();
    for number in 0..layouts(cx, fixture, Operation::Push).len() {
        let alone = fixture.again(cx).await?;
        let Some((what, bytes)) = layouts(cx, &alone, Operation::Push).into_iter().nth(number) else { break };
        send(cx, &alone, Operation::Push, &bytes).await;
        if alone.has_changed(cx).await? {
            open.push(format!("push by {what}"));
        }
    }
    Ok(open)
}

/// Sends everything on one connection and looks at all that comes back.
async fn send(cx: &Ctx, fixture: &Fixture, operation: Operation, bytes: &[u8]) -> Option<Arc<Exchange>> {
    let vault = &cx.world.target.vault;
    vault.count_request();
    let mut connection = vault.raw(PATIENCE.min(vault.timeout())).await.ok()?;
    let _ = connection.write(bytes).await;
    for _ in 0..MOST_ANSWERS {
        let Ok(reply) = connection.read(false, ANSWER_LIMIT).await else { break };
        if fixture.is_told(&reply.answer.body, bytes.to_vec()) {
            let hidden = fixture.usual(cx, operation, Auth::None);
            return Some(exchange(cx, &hidden, Ok(&reply.answer), Duration::ZERO));
        }
        if !reply.reusable {
            break;
        }
    }
    None
}

/// The hidden request in every layout that is known to divide filters and servers, each followed by a last plain request that
/// closes the connection.
fn layouts(cx: &Ctx, fixture: &Fixture, operation: Operation) -> Vec<(String, Vec<u8>)> {
    let hidden = fixture.usual(cx, operation, Auth::None).bytes(cx, false);
    let path = Operation::Pull.path(fixture.own.id(), "");
    let own = serde_json::to_vec(&fixture.own.pull_request(0)).unwrap_or_default();
    let outer = HandMade::usual(cx, Operation::Pull, &path, fixture.mallory.auth(), None);
    let last = HandMade::usual(cx, Operation::Discovery, "/v1/nothing-here", Auth::None, None).bytes(cx, true);
    let framed = |request: &HandMade, lines: &str, body: &[&[u8]]| {
        let mut bytes = request.bytes(cx, false);
        bytes.truncate(bytes.len() - 2);
        bytes.extend_from_slice(b"Content-Type: application/json\r\n");
        bytes.extend_from_slice(lines.as_bytes());
        bytes.extend_from_slice(b"\r\n");
        bytes.extend(body.concat());
        bytes.extend_from_slice(&last);
        bytes
    };
    let chunk = format!("{:x}\r\n{}\r\n0\r\n\r\n", own.len(), String::from_utf8_lossy(&own));
    let whole = chunk.len() + hidden.len();
    let mut all = Vec::new();
    for coding in [
        "Transfer-Encoding: chunked",
        "Transfer-Encoding : chunked",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding:\u{b}chunked",
        "Transfer-Encoding: chunked, identity",
        "X-Folded: x\r\n Transfer-Encoding: chunked",
        "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked",
    ] {
        let lines = format!("Content-Length: {whole}\r\n{coding}\r\n");
        let what = format!("Content-Length with {:?}", coding.replace("\r\n", " "));
        all.push((what, framed(&outer, &lines, &[chunk.as_bytes(), &hidden])));
    }
    let size = format!("{:x}\r\n", hidden.len());
    let lines = format!("Content-Length: {}\r\nTransfer-Encoding: chunked\r\n", size.len());
    let behind = framed(&outer, &lines, &[size.as_bytes(), &hidden, b"\r\n0\r\n\r\n"]);
    all.push(("a Content-Length that ends before the chunk".into(), behind));
    let (short, long) = (own.len(), own.len() + hidden.len());
    for (first, second) in [(short, long), (long, short)] {
        let lines = format!("Content-Length: {first}\r\nContent-Length: {second}\r\n");
        all.push((format!("Content-Length {first} and {second}"), framed(&outer, &lines, &[&own, &hidden])));
    }
    let mut fetch = outer.clone();
    fetch.method = "GET".into();
    fetch.target = fetch.target.replace(&path, &Operation::FetchMemberKey.path(fixture.own.id(), fixture.mallory.id()));
    let plain = format!("Content-Length: {}\r\n", hidden.len());
    all.push(("the body of a GET".into(), framed(&fetch, &plain, &[&hidden])));
    all.push(("the body of a pull".into(), framed(&outer, &plain, &[&hidden])));
    all.push(("a body without a length".into(), framed(&outer, "", &[&hidden])));
    all
}
