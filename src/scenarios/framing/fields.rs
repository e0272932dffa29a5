//! Header fields that clients' libraries send by themselves, and names as they may be spelled (RFC 9110).

use super::{ANSWER_LIMIT, Fixture, told};
use crate::client::random;
use crate::scenarios::by_hand::HandMade;
use crate::scenarios::context::to_set_up;
use crate::scenarios::create_repo::swap_case;
use crate::scenarios::{Auth, Ctx, Outcome, Stop};

/// Requests that offer to go on in another protocol. Java's `HttpClient` sends the first with whatever it sends over plain HTTP.
const OFFERS: [(&str, &[(&str, &str)]); 4] = [
    (
        "h2c",
        &[
            ("Connection", "Upgrade, HTTP2-Settings"),
            ("Upgrade", "h2c"),
            ("HTTP2-Settings", "AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA"),
        ],
    ),
    ("TLS", &[("Connection", "Upgrade"), ("Upgrade", "TLS/1.2")]),
    ("a protocol of no name", &[("Connection", "upgrade"), ("Upgrade", "example/1, foo/2")]),
    (
        "a web socket",
        &[
            ("Connection", "Upgrade"),
            ("Upgrade", "websocket"),
            ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ],
    ),
];

/// Whoever doesn't upgrade answers as if nobody had offered; whoever does says 101. No answer at all hangs the client.
pub(super) async fn upgrades(cx: &Ctx) -> Outcome {
    let fixture = Fixture::set_up(cx).await?;
    for (protocol, lines) in OFFERS {
        let headers = lines.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        let request = HandMade { headers, ..fixture.pull() };
        let result = fixture.ask(&request.bytes(cx, false)).await?;
        let expected =
            format!("a pull that offers to upgrade to {protocol} is answered as one that doesn't, or with 101");
        match &result {
            Ok(answer) if fixture.is_pulled(answer) || answer.status.as_u16() == 101 => {}
            Ok(answer) if matches!(answer.status.as_u16(), 429 | 503) => {}
            // No sentence says that the offer must be overlooked, as it should be.
            Ok(answer) if answer.status.is_client_error() => {
                let Stop::Violation(finding) = fixture.finding(&request, Some(answer), &expected, told(&result)) else {
                    continue;
                };
                cx.warn(*finding);
            }
            _ => return Err(fixture.finding(&request, result.as_ref().ok(), &expected, told(&result))),
        }
    }
    Ok(())
}

/// Names of fields are the same in any letter case (§5.1): Go, Node and browsers spell them each in their own way.
pub(super) async fn names(cx: &Ctx) -> Outcome {
    let fixture = Fixture::set_up(cx).await?;
    let usual = fixture.pull();
    let body = usual.body.clone().unwrap_or_default();
    let Auth::Bearer(token) = &usual.auth else { return Ok(()) };
    let (mut wrong, mut shown) = (Vec::new(), None);
    for change in [str::to_ascii_lowercase, str::to_ascii_uppercase, swap_case] {
        let mut request = HandMade { auth: Auth::None, body: None, ..usual.clone() };
        let mut bytes = request.bytes(cx, true);
        bytes.truncate(bytes.len() - 2);
        for (name, value) in [
            ("Authorization", format!("Bearer {token}")),
            ("Content-Type", "application/json".to_owned()),
            ("Content-Length", body.len().to_string()),
        ] {
            bytes.extend_from_slice(format!("{}: {value}\r\n", change(name)).as_bytes());
        }
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(&body);
        let result = fixture.ask(&bytes).await?;
        if !result.as_ref().is_ok_and(|answer| fixture.is_pulled(answer) || matches!(answer.status.as_u16(), 429 | 503))
        {
            wrong.push(format!("{}: {}", change("Authorization"), told(&result)));
            request.auth = usual.auth.clone();
            shown = shown.or(result.ok().map(|answer| (request, answer)));
        }
    }
    if wrong.is_empty() {
        return Ok(());
    }
    let (request, answer) = shown.map_or((usual.clone(), None), |(request, answer)| (request, Some(answer)));
    let expected = "a pull works however the names of its header fields are spelled";
    Err(fixture.finding(&request, answer.as_ref(), expected, wrong.join("; ")))
}

/// Two requests at once on one connection, of two callers: each is answered as its own (RFC 9112 §9.3.2).
pub(super) async fn callers(cx: &Ctx) -> Outcome {
    let fixture = Fixture::set_up(cx).await?;
    let mallory = cx.member().await?;
    let member = fixture.pull();
    let stranger = HandMade { auth: mallory.auth(), ..member.clone() };
    let nobody = HandMade { auth: Auth::None, ..member.clone() };
    for (what, first, second) in [
        ("a stranger's and a member's", &stranger, &member),
        ("a member's and a stranger's", &member, &stranger),
        ("one without a token and a member's", &nobody, &member),
        ("a member's and one without a token", &member, &nobody),
    ] {
        let mut connection = fixture.connect().await?;
        let bytes = [first.bytes(cx, false), second.bytes(cx, true)].concat();
        let Ok(reply) = connection.exchange(&bytes, false, ANSWER_LIMIT).await else { continue };
        let mut answers = vec![(first, reply.answer)];
        // A server may close behind the first.
        answers.extend(connection.read(false, ANSWER_LIMIT).await.ok().map(|reply| (second, reply.answer)));
        for (request, answer) in &answers {
            if !std::ptr::eq(*request, &member) && fixture.is_pulled(answer) {
                let expected = format!("of two pulls sent at once, {what}, only the member's tells anything");
                return Err(fixture.finding(request, Some(answer), &expected, "the manifest".into()));
            }
        }
    }
    Ok(())
}

/// Bytes of the payload of a large answer: more than the buffers of a connection hold.
const LARGE: usize = 700 << 10;

/// Whoever closes behind an answer mustn't do so before all of it is on its way.
pub(super) async fn large_answers(cx: &Ctx) -> Outcome {
    let mut fixture = Fixture::set_up(cx).await?;
    let old = HandMade { old: true, ..fixture.pull() };
    // Whoever doesn't serve HTTP/1.0 at all needn't.
    let serves_old = fixture.ask(&old.bytes(cx, false)).await?.is_ok_and(|answer| fixture.is_pulled(&answer));
    let push = fixture.repo.push_of(&random::vec(LARGE), fixture.repo.version() + 1);
    let answer = cx.push(&fixture.alice, &push).await.map_err(to_set_up)?;
    if !answer.is_success() {
        return Err(Stop::not_applicable(format!("a push of {LARGE} bytes is answered with {}", answer.status)));
    }
    fixture.repo.apply_push(&push);
    cx.holds(&fixture.alice, &fixture.repo, "a large push").await.map_err(to_set_up)?;
    let usual = fixture.pull();
    let kept = HandMade { headers: vec![("Connection", "keep-alive".into())], ..old.clone() };
    for (what, request, last) in [
        ("on a connection that stays", &usual, false),
        ("on a connection that closes", &usual, true),
        ("to HTTP/1.0", &old, false),
        ("to HTTP/1.0 that keeps its connection", &kept, false),
    ] {
        if request.old && !serves_old {
            continue;
        }
        let result = fixture.ask(&request.bytes(cx, last)).await?;
        match &result {
            // A body that is cut is no JSON.
            Ok(answer) if fixture.is_pulled(answer) => {}
            Ok(answer) if matches!(answer.status.as_u16(), 429 | 503) => {}
            _ => {
                let expected = format!("a pull of {LARGE} bytes {what} is answered in full");
                return Err(fixture.finding(request, result.as_ref().ok(), &expected, told(&result)));
            }
        }
    }
    Ok(())
}
