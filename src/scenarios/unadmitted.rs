//! What programs answer before they authorise (SPEC §6): conditional requests, ranges, what a browser asks for, and an `Authorization` that
//! isn't one. Whoever isn't entitled gets a refusal all the same.
//!
//! RFC 9110 §13.2.1 and §14.2 say so as well: preconditions and ranges count only where the answer without them would be 2xx. What a header
//! itself is refused for (400, 406, 415, 417 and the like) tells nothing and is let pass.

use std::time::Duration;

use super::by_hand::{HandMade, Lane, exchange};
use super::check::checks;
use super::doors::Fixture;
use super::variants::Variants;
use super::{Auth, Ctx, Finding, Operation, Outcome, Stop};
use crate::client::RawAnswer;

checks! {
    only = Http;
    "status/whatever-the-headers", Must, "§6", [STATUS_TOKEN, STATUS_STRANGER, BAD_INPUT], headers,
        "No precondition, range, Accept or browser's header gets anything but a refusal without a member's token";
    "status/garbled-authorization", Must, "§6", [STATUS_TOKEN], garbled,
        "An Authorization of another scheme, without its value or malformed is refused like no token";
}

type Headers = &'static [(&'static str, &'static str)];

const FUTURE: &str = "Fri, 01 Jan 2038 00:00:00 GMT";
const PAST: &str = "Thu, 01 Jan 1970 00:00:10 GMT";

/// Each is a way of asking that some layer in front of the program answers by itself.
const ASKED: [Headers; 24] = [
    &[("If-None-Match", "*")],
    &[("If-None-Match", "\"1\", W/\"1\"")],
    &[("If-Modified-Since", FUTURE)],
    &[("If-Modified-Since", "garbage")],
    &[("If-Unmodified-Since", PAST)],
    &[("If-Match", "\"none-of-them\"")],
    &[("Range", "bytes=0-")],
    &[("Range", "bytes=0-0,2-3")],
    &[("Range", "bytes=999999999-")],
    &[("Range", "bytes=0-"), ("If-Range", FUTURE)],
    &[("Accept", "text/html")],
    &[
        ("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
        ("Sec-Fetch-Mode", "navigate"),
        ("Sec-Fetch-Dest", "document"),
        ("Upgrade-Insecure-Requests", "1"),
    ],
    &[("Accept", "application/xml")],
    &[("Accept", "text/event-stream")],
    &[("Accept", "application/json;q=0, */*;q=0.1")],
    &[("Accept", ";;;/, q=")],
    &[("Accept-Encoding", "gzip, br, zstd")],
    &[("Accept-Language", "xx-invalid;q=9, *")],
    &[("X-Requested-With", "XMLHttpRequest"), ("HX-Request", "true"), ("X-Inertia", "true")],
    &[("Cache-Control", "only-if-cached"), ("Pragma", "no-cache")],
    &[("Cookie", "session=; token=; PHPSESSID=x; laravel_session=x")],
    &[("User-Agent", "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)")],
    &[("Prefer", "respond-async"), ("DNT", "1"), ("Save-Data", "on")],
    &[("Origin", "https://vault.example"), ("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Mode", "cors")],
];

/// What is no bearer token.
const GARBLED: [&str; 18] = [
    "Basic garbage",
    "Basic",
    "Basic ",
    "Basic =",
    "Basic Og==",
    "Basic dXNlcg==",
    "Basic dXNlcjo=",
    "Bearer",
    "Bearer ",
    "bearer",
    "Bearer  ",
    "Bearer a b c",
    "Bearer ..",
    "Bearer %00",
    "Digest username=\"x\"",
    "Negotiate YII=",
    "Token",
    ",",
];

/// Whether an answer is no refusal; a limit of the deployment is none of this check's business.
fn lets_pass(answer: &RawAnswer) -> bool {
    let status = answer.status.as_u16();
    // Preconditions and ranges of what isn't to be had are ignored.
    status < 400 || matches!(status, 412 | 416)
}

fn found(cx: &Ctx, request: &HandMade, answer: &RawAnswer, expected: &str) -> Finding {
    let exchange = Some(exchange(cx, request, Ok(answer), Duration::ZERO));
    let observed = format!("status {}", answer.status.as_u16());
    Finding { expected: expected.into(), observed, exchange, evidence: Vec::new() }
}

/// Sends a request: what is let pass is broken, a server error as `severe` says, or worth a warning.
async fn ask(
    cx: &Ctx,
    lane: &mut Lane<'_>,
    (request, what): (&HandMade, String),
    severe: bool,
    (broken, unclean): (&mut Variants, &mut Variants),
) -> Outcome {
    // Closed without an answer: nothing is told.
    let Ok(answer) = lane.send(request).await else { return Ok(()) };
    let retries = answer.headers.contains_key(http::header::RETRY_AFTER);
    let failed = answer.status.is_server_error() && !retries;
    if lets_pass(&answer) || (failed && severe) {
        let expected = match answer.status.as_u16() {
            412 | 416 => {
                "401 or 403: preconditions and ranges count only where the answer without them is 2xx (RFC 9110 §13.2.1, §14.2)"
            }
            _ => "a refusal with a 4xx",
        };
        return broken.note(what, Err(Stop::Violation(Box::new(found(cx, request, &answer, expected)))));
    }
    if failed {
        return unclean.note(what, Err(Stop::Violation(Box::new(found(cx, request, &answer, "no server error")))));
    }
    broken.note(what, Ok(()))
}

fn named(headers: Headers) -> String {
    headers.iter().map(|(name, value)| format!("{name}: {value}")).collect::<Vec<_>>().join(", ")
}

/// A member fetches the same before, so that whatever keeps answers has one.
async fn headers(cx: &Ctx) -> Outcome {
    let fixture = Fixture::set_up(cx).await?;
    let mut lane = Lane::new(cx);
    let (mut broken, mut unclean) = (Variants::default(), Variants::default());
    let callers = [
        ("without a token", Auth::None),
        ("by a stranger", fixture.mallory.auth()),
        ("by a member", fixture.alice.auth()),
    ];
    for operation in [Operation::FetchMemberKey, Operation::Pull] {
        // Sets up nothing if it fails: other checks say so.
        let _ = lane.send(&fixture.usual(cx, operation, fixture.alice.auth())).await;
        for (who, auth) in &callers {
            // What has a body is seldom answered early, and less so with a token.
            if *who != "without a token" && operation == Operation::Pull && !cx.thorough() {
                continue;
            }
            let usual = fixture.usual(cx, operation, auth.clone());
            let is_member = *who == "by a member";
            // Without these headers it is refused, too; otherwise that is what others report, who ask for JSON.
            let plainly = lane.send(&usual).await;
            if !is_member
                && let Ok(answer) = plainly
                && (lets_pass(&answer) || answer.status.is_server_error())
            {
                if answer.status.is_redirection() {
                    let what = format!("{} {who} with Accept: */*", operation.one());
                    let finding = found(cx, &usual, &answer, "a refusal with a 4xx");
                    broken.note(what, Err(Stop::Violation(Box::new(finding))))?;
                }
                continue;
            }
            for headers in ASKED {
                let mut request = usual.clone();
                request.headers = headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
                let what = format!("{} {who} with {}", operation.one(), named(headers));
                if !is_member {
                    ask(cx, &mut lane, (&request, what), false, (&mut broken, &mut unclean)).await?;
                } else if operation == Operation::FetchMemberKey
                    && let Ok(answer) = lane.send(&request).await
                    && answer.status.is_server_error()
                {
                    let finding = found(cx, &request, &answer, "no server error");
                    unclean.note(what, Err(Stop::Violation(Box::new(finding))))?;
                }
            }
        }
    }
    unclean.warn(cx);
    broken.settle(cx)
}

/// The field is the credential: what it holds is no token, and the answer to that is fixed.
async fn garbled(cx: &Ctx) -> Outcome {
    let fixture = Fixture::set_up(cx).await?;
    let mut lane = Lane::new(cx);
    let (mut broken, mut unclean) = (Variants::default(), Variants::default());
    for operation in [Operation::FetchMemberKey, Operation::Pull] {
        let plainly = lane.send(&fixture.usual(cx, operation, Auth::None)).await;
        if plainly.is_ok_and(|answer| lets_pass(&answer) || answer.status.is_server_error()) {
            continue;
        }
        for value in GARBLED {
            let request = fixture.usual(cx, operation, Auth::Header(value.into()));
            let what = format!("{} with Authorization: {value}", operation.one());
            ask(cx, &mut lane, (&request, what), true, (&mut broken, &mut unclean)).await?;
        }
    }
    broken.settle(cx)
}
