//! Framing and negotiation as RFC 9110 and 9112 have them, each looked at once, on connections of its own.
//!
//! Nothing here is AVP's: it is hardening, but for answers that don't come, are cut or are another caller's. What a server may choose
//! (411 for a body without a length, 417, closing after a refusal, no HEAD, no compression) is silent.

mod fields;
mod negotiation;
mod refused;

use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;

use super::by_hand::{HandMade, exchange, wait_before_again};
use super::call::ANSWER_LIMIT;
use super::check::checks;
use super::context::to_set_up;
use super::{Auth, Ctx, Finding, Member, Operation, Outcome, Stop};
use crate::client::{RawAnswer, RawConnection, Repo, TransportError};

checks! {
    only = Http;
    "framing/chunked-bodies", Hardening, "§6", [FRAMING], chunked,
        "A request body in chunks is read, whatever their sizes, extensions and trailers (RFC 9112 §7.1)";
    "framing/expect-continue", Hardening, "§6", [FRAMING], expect_continue,
        "Who expects 100-continue gets it, or an answer (RFC 9110 §10.1.1)";
    "framing/offers-to-upgrade", Must, "§6", [HTTP_PROFILE], fields::upgrades,
        "A request that offers to upgrade, as Java's HttpClient does, is answered (RFC 9110 §7.8)";
    "framing/large-answers", Must, "§6", [HTTP_PROFILE], fields::large_answers,
        "A large answer arrives whole, whether its connection is kept or closed, to HTTP/1.1 or 1.0";
    "framing/callers-in-step", Must, "§6", [CALLERS_KEPT_APART, SUBJECT_IS_CALLER, PULL_MEMBERS_ONLY, TOKEN_REQUIRED], fields::callers,
        "Of requests that are sent ahead on one connection each has its own caller (RFC 9112 §9.3.2)";
    "framing/in-step-after-refusals", Must, "§6", [CONNECTION_IN_STEP, BODY_CONSUMED], refused::in_step,
        "A right request on a connection on which another was refused is answered as anywhere";
    "framing/field-names", Hardening, "§6", [FRAMING], fields::names,
        "The names of header fields are read in any letter case (RFC 9110 §5.1)";
    "framing/ambiguous-requests", Hardening, "§6", [FRAMING], ambiguous,
        "A request whose length or host can be read in two ways is refused (RFC 9112 §3.2, §5.1, §6.3)";
    "framing/answers-in-step", Hardening, "§6", [FRAMING], in_step,
        "Answers stay in step with requests: HEAD, a GET with a body, requests sent ahead (RFC 9112 §6.3, §9.3.2)";
    "framing/large-heads", Hardening, "§6", [FRAMING, BAD_INPUT], large_heads,
        "Long targets, long headers and many of them are served or refused, and no 5xx (RFC 9110 §15.5)", phase = Dangerous;
    "negotiation/media-types", Hardening, "§6", [NEGOTIATION], negotiation::media_types,
        "JSON is JSON with a charset, in other letters, and for who accepts it among others (RFC 9110 §8.3, §12.5)";
    "negotiation/encodings", Hardening, "§6", [NEGOTIATION], negotiation::encodings,
        "Answers are compressed at most once, when asked for and declared; compressed bodies are refused or read with a bound (RFC 9110 §8.4, §12.5.3)";
}

/// What requests are tried on: alice and her repository. The requests are right but for their framing.
struct Fixture<'c> {
    cx: &'c Ctx,
    alice: Member,
    repo: Repo,
}

impl<'c> Fixture<'c> {
    async fn set_up(cx: &'c Ctx) -> Result<Self, Stop> {
        let alice = cx.member().await?;
        let repo = cx.repo(&alice).await?;
        Ok(Self { cx, alice, repo })
    }

    fn pull(&self) -> HandMade {
        let body = serde_json::to_vec(&self.repo.pull_request(0)).ok().map(Into::into);
        self.of(Operation::Pull, body)
    }

    fn fetch(&self) -> HandMade {
        self.of(Operation::FetchMemberKey, None)
    }

    fn of(&self, operation: Operation, body: Option<Bytes>) -> HandMade {
        HandMade::usual(self.cx, operation, &operation.path(self.repo.id(), self.alice.id()), self.alice.auth(), body)
    }

    /// A pull whose head has these lines instead of its length, and this body.
    fn framed(&self, lines: &str, body: &[u8]) -> Vec<u8> {
        let mut request = self.pull();
        request.body = None;
        let mut bytes = request.bytes(self.cx, true);
        bytes.truncate(bytes.len() - 2);
        bytes.extend_from_slice(b"Content-Type: application/json\r\n");
        bytes.extend_from_slice(lines.as_bytes());
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(body);
        bytes
    }

    async fn connect(&self) -> Result<RawConnection, Stop> {
        let vault = &self.cx.world.target.vault;
        vault.count_request();
        let opened = vault.raw(vault.timeout()).await;
        opened.map_err(|error| to_set_up(self.cx.violation("a connection", error.to_string())))
    }

    /// Sends bytes on a connection of their own, again where the server is too busy.
    async fn ask(&self, bytes: &[u8]) -> Result<Result<RawAnswer, TransportError>, Stop> {
        let mut tries = 0;
        loop {
            let mut connection = self.connect().await?;
            let result = connection.exchange(bytes, false, ANSWER_LIMIT).await.map(|reply| reply.answer);
            match result.as_ref().ok().and_then(|answer| wait_before_again(self.cx, answer, tries)) {
                Some(wait) => tokio::time::sleep(wait).await,
                None => return Ok(result),
            }
            tries += 1;
        }
    }

    fn is_pulled(&self, answer: &RawAnswer) -> bool {
        let pulled = serde_json::from_slice::<Value>(&answer.clone().plain(ANSWER_LIMIT).body);
        answer.status.is_success() && pulled.is_ok_and(|pulled| pulled["manifest"]["repoId"] == self.repo.id())
    }

    fn finding(&self, request: &HandMade, answer: Option<&RawAnswer>, expected: &str, observed: String) -> Stop {
        let shown = answer.map(|answer| exchange(self.cx, request, Ok(answer), Duration::ZERO));
        Stop::Violation(Box::new(Finding {
            expected: expected.into(),
            observed,
            exchange: shown,
            evidence: Vec::new(),
        }))
    }
}

/// How an answer, or none, looks in a sentence.
fn told(result: &Result<RawAnswer, TransportError>) -> String {
    match result {
        Ok(answer) => format!("status {}", answer.status.as_u16()),
        Err(error) => error.to_string(),
    }
}

/// A body in chunks of all sorts.
fn in_chunks(body: &[u8]) -> [(&'static str, Vec<u8>); 6] {
    let halves = body.split_at(body.len() / 2);
    let chunk = |bytes: &[u8], extension: &str| {
        let mut chunk = format!("{:x}{extension}\r\n", bytes.len()).into_bytes();
        chunk.extend_from_slice(bytes);
        chunk.extend_from_slice(b"\r\n");
        chunk
    };
    let plain = |ending: &str| [chunk(body, ""), ending.as_bytes().to_vec()].concat();
    [
        ("one chunk", plain("0\r\n\r\n")),
        (
            "chunks of a byte",
            [body.chunks(1).flat_map(|byte| chunk(byte, "")).collect(), b"0\r\n\r\n".to_vec()].concat(),
        ),
        (
            "chunk extensions",
            [chunk(halves.0, ";a=b"), chunk(halves.1, ";c=\"d;e\";f"), b"0;g\r\n\r\n".to_vec()].concat(),
        ),
        ("a trailer", plain("0\r\nX-Checksum: 1\r\nAuthorization: Bearer x\r\n\r\n")),
        (
            "a size with zeros before it",
            [format!("000{:X}\r\n", body.len()).into_bytes(), body.to_vec(), b"\r\n00\r\n\r\n".to_vec()].concat(),
        ),
        ("Transfer-Encoding in capitals", plain("0\r\n\r\n")),
    ]
}

async fn chunked(cx: &Ctx) -> Outcome {
    let fixture = Fixture::set_up(cx).await?;
    let body = fixture.pull().body.unwrap_or_default();
    let (mut wrong, mut shown, mut unwanted) = (Vec::new(), None, 0);
    for (what, encoded) in &in_chunks(&body) {
        let name =
            if what.contains("capitals") { "Transfer-Encoding: Chunked\r\n" } else { "Transfer-Encoding: chunked\r\n" };
        let result = fixture.ask(&fixture.framed(name, encoded)).await?;
        match &result {
            Ok(answer) if fixture.is_pulled(answer) => {}
            Ok(answer) if answer.status.as_u16() == 411 => unwanted += 1,
            _ => wrong.push(format!("{what}: {}", told(&result))),
        }
        if !wrong.is_empty() && shown.is_none() {
            shown = result.ok();
        }
    }
    if wrong.is_empty() {
        if unwanted > 0 {
            cx.remark("bodies need a length here (411)");
        }
        return Ok(());
    }
    let expected = "a pull whose body comes in chunks works like any other";
    Err(fixture.finding(&HandMade { chunked: true, ..fixture.pull() }, shown.as_ref(), expected, wrong.join("; ")))
}

/// How long a client waits for 100 before it sends the body all the same.
const CONTINUE: Duration = Duration::from_millis(1500);

async fn expect_continue(cx: &Ctx) -> Outcome {
    let fixture = Fixture::set_up(cx).await?;
    let mut request = fixture.pull();
    request.headers = vec![("Expect", "100-continue".into())];
    let bytes = request.bytes(cx, true);
    let body = request.body.as_ref().map_or(0, Bytes::len);
    let (head, body) = bytes.split_at(bytes.len() - body);
    let mut connection = fixture.connect().await?;
    let _ = connection.write(head).await;
    if connection.says_more(CONTINUE).await {
        let _ = connection.write(body).await;
        return match connection.read(false, ANSWER_LIMIT).await {
            Ok(reply) if fixture.is_pulled(&reply.answer) || reply.answer.status.is_client_error() => Ok(()),
            Ok(reply) => {
                let observed = format!("status {}", reply.answer.status.as_u16());
                Err(fixture.finding(
                    &request,
                    Some(&reply.answer),
                    "a pull that expects 100-continue works, or is refused",
                    observed,
                ))
            }
            Err(error) => Err(fixture.finding(&request, None, "an answer follows 100 Continue", error.to_string())),
        };
    }
    // A connection that ends says neither: some servers close on what they don't support.
    let observed = format!("nothing for {CONTINUE:?}; clients wait that long before each larger request");
    Err(fixture.finding(&request, None, "100 Continue, or an answer, before the body is sent", observed))
}

async fn ambiguous(cx: &Ctx) -> Outcome {
    let fixture = Fixture::set_up(cx).await?;
    let body = fixture.pull().body.unwrap_or_default();
    let length = body.len();
    let lengths = [
        ("two different lengths", format!("Content-Length: {}\r\nContent-Length: {length}\r\n", length + 1)),
        (
            "two different lengths, the other way round",
            format!("Content-Length: {length}\r\nContent-Length: {}\r\n", length - 1),
        ),
        ("a list of different lengths", format!("Content-Length: {length}, {}\r\n", length + 1)),
        ("a length with a plus", format!("Content-Length: +{length}\r\n")),
        ("a length in hex", format!("Content-Length: 0x{length:x}\r\n")),
        ("a length with a letter", format!("Content-Length: {length}x\r\n")),
        ("a blank before the colon", format!("Content-Length : {length}\r\n")),
        ("an unknown transfer coding", format!("Transfer-Encoding: xchunked\r\nContent-Length: {length}\r\n")),
    ];
    let chunk = [format!("{length:x}\r\n").as_bytes(), &body[..], b"\r\n0\r\n\r\n"].concat();
    let codings = [
        ("a transfer coding that isn't quite chunked", "Transfer-Encoding: xchunked\r\n"),
        ("chunked before another transfer coding", "Transfer-Encoding: chunked, identity\r\n"),
    ];
    let framed = lengths.iter().map(|(what, lines)| (*what, fixture.framed(lines, &body)));
    let coded = codings.iter().map(|(what, line)| (*what, fixture.framed(line, &chunk)));
    let mut wrong = Vec::new();
    for (what, bytes) in framed.chain(coded) {
        // Refused, or hung up on: both are safe. What the server waits for isn't waited for here.
        let mut connection = fixture.connect().await?;
        let _ = connection.write(&bytes).await;
        if connection.says_more(PROMPT).await
            && let Ok(reply) = connection.read(false, ANSWER_LIMIT).await
            && fixture.is_pulled(&reply.answer)
        {
            wrong.push(what);
        }
    }
    for (what, host, more) in
        [("no Host", "", ""), ("two Hosts", cx.world.target.vault.authority(), "Host: other.example\r\n")]
    {
        let mut request = fixture.pull();
        request.host = Some(host.into());
        let mut bytes = request.bytes(cx, true);
        let first_line = bytes.windows(2).position(|window| window == b"\r\n").map_or(0, |at| at + 2);
        drop(bytes.splice(first_line..first_line, more.bytes()));
        if fixture.ask(&bytes).await?.is_ok_and(|answer| fixture.is_pulled(&answer)) {
            wrong.push(what);
        }
    }
    if wrong.is_empty() {
        return Ok(());
    }
    let expected = "a request that proxies and servers may read differently is refused with 400";
    Err(fixture.finding(&fixture.pull(), None, expected, format!("served all the same: {}", wrong.join(", "))))
}

/// How long a refusal is waited for where a server may rightly wait for more of the request.
const PROMPT: Duration = Duration::from_millis(400);

async fn in_step(cx: &Ctx) -> Outcome {
    let fixture = Fixture::set_up(cx).await?;
    let mut wrong = Vec::new();
    let next = fixture.pull().bytes(cx, true);
    // HEAD: no body, so that the next answer begins where its head ends.
    for path in
        [Operation::Discovery.path("", ""), Operation::FetchMemberKey.path(fixture.repo.id(), fixture.alice.id())]
    {
        let mut head = HandMade::usual(cx, Operation::Discovery, &path, fixture.alice.auth(), None);
        head.method = "HEAD".into();
        wrong.extend(
            followed(&fixture, &head.bytes(cx, false), true, &next).await?.map(|how| format!("after HEAD {how}")),
        );
    }
    // A GET with a body that looks like a request: if it is taken for one, its answer comes before the next one's.
    let mut fetch = fixture.fetch();
    let hidden = HandMade::usual(cx, Operation::Discovery, "/v1/nothing-here", Auth::None, None);
    fetch.body = Some(hidden.bytes(cx, false).into());
    wrong.extend(
        followed(&fixture, &fetch.bytes(cx, false), false, &next)
            .await?
            .map(|how| format!("after a GET with a body {how}")),
    );
    // HTTP/1.0 knows no chunks.
    let old = HandMade { old: true, ..fixture.pull() };
    if let Ok(answer) = fixture.ask(&old.bytes(cx, true)).await?
        && answer.headers.contains_key(http::header::TRANSFER_ENCODING)
    {
        wrong.push("an HTTP/1.0 request is answered in chunks".into());
    }
    // Both at once.
    let together = [fixture.fetch().bytes(cx, false), next.clone()].concat();
    wrong.extend(
        followed(&fixture, &together, false, &[]).await?.map(|how| format!("of two requests sent at once {how}")),
    );
    if wrong.is_empty() {
        return Ok(());
    }
    let expected = "the second of two requests on a connection gets its own answer, or the connection is closed";
    Err(fixture.finding(&fixture.pull(), None, expected, wrong.join("; ")))
}

/// Sends a request and, when it is answered, a pull on the same connection; tells what is wrong with the second answer.
async fn followed(fixture: &Fixture<'_>, first: &[u8], is_head: bool, next: &[u8]) -> Result<Option<String>, Stop> {
    let mut connection = fixture.connect().await?;
    let Ok(reply) = connection.exchange(first, is_head, ANSWER_LIMIT).await else { return Ok(None) };
    if is_head && reply.answer.status.is_server_error() && reply.answer.status.as_u16() != 501 {
        return Ok(Some(format!("status {}", reply.answer.status.as_u16())));
    }
    if !reply.reusable {
        return Ok(None);
    }
    Ok(match connection.exchange(next, false, ANSWER_LIMIT).await {
        Ok(second) if fixture.is_pulled(&second.answer) => None,
        Ok(second) if second.answer.status.as_u16() == 429 => None,
        // A server may look at what came with a request that it refused no further.
        Ok(_) if !reply.answer.status.is_success() && !is_head => None,
        Ok(second) => Some(format!("the next pull is answered with status {}", second.answer.status.as_u16())),
        Err(TransportError::Closed { .. }) => None,
        Err(error) => Some(format!("the next pull isn't answered: {error}")),
    })
}

async fn large_heads(cx: &Ctx) -> Outcome {
    let fixture = Fixture::set_up(cx).await?;
    let long = |length: usize| "x".repeat(length);
    let mut with_long_header = fixture.pull();
    with_long_header.headers = vec![("X-Long", long(16 << 10))];
    let mut with_longer_header = fixture.pull();
    with_longer_header.headers = vec![("X-Long", long(80 << 10))];
    let mut with_many = fixture.pull();
    with_many.headers = (0..400).map(|number| ("X-Many", number.to_string())).collect();
    let mut with_long_target = fixture.pull();
    with_long_target.target.push_str(&format!("?x={}", long(40 << 10)));
    let mut with_long_token = fixture.pull();
    with_long_token.auth = Auth::Bearer(long(12 << 10));
    let asked = [
        ("a header of 16 KiB", with_long_header),
        ("a header of 80 KiB", with_longer_header),
        ("400 headers", with_many),
        ("a target of 40 KiB", with_long_target),
        ("a token of 12 KiB", with_long_token),
    ];
    let (mut wrong, mut shown) = (Vec::new(), None);
    for (what, request) in asked {
        let result = fixture.ask(&request.bytes(cx, true)).await?;
        let bad = match &result {
            Ok(answer) => answer.status.is_server_error() && !matches!(answer.status.as_u16(), 501 | 503 | 505),
            Err(error) => matches!(error, TransportError::Timeout(_)),
        };
        if bad {
            wrong.push(format!("{what}: {}", told(&result)));
            shown = shown.or_else(|| result.ok());
        }
    }
    if wrong.is_empty() {
        return Ok(());
    }
    Err(fixture.finding(
        &fixture.pull(),
        shown.as_ref(),
        "a head that is too large is refused with 431, 414 or 400",
        wrong.join("; "),
    ))
}
