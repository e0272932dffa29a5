//! Numbers in the gates (SPEC §2, §6, §10): whatever a parser makes of an odd one, nothing passes that isn't the current
//! version.

use bytes::Bytes;
use serde_json::{Value, json};

use super::check::checks;
use super::context::to_set_up;
use super::counter_values::reached;
use super::state::differing;
use super::variants::Variants;
use super::{Answer, Auth, Call, Ctx, Member, Operation, Outcome, Stop};
use crate::client::Repo;
use crate::wire::PushResponse;

checks! {
    "gates/expected-version", Must, "§6", [PUSH_GATED, INT64], expected_version,
        "However the expected version is spelled, a push applies only if it is the current one", only = Http;
    "gates/known-version", Must, "§6", [PULL_CURRENT, INT64], known_version,
        "However the known version is spelled, nothing is unchanged unless it is the current one", only = Http;
    "gates/conflict-tells-current-counters", Must, "§6", [PUSH_CONFLICT, PUSH_GATED], conflict_counters,
        "A conflict tells the repository's version and epoch, whatever the refused push says";
}

/// The version at which the tables are tried: eight is ten in octal, and no number of it is 0, 1 or -1.
const CURRENT: i64 = 10;

/// Spellings that are the current version in no reading.
const OTHERS: [&str; 44] = [
    "9",
    "11",
    "-10",
    "0",
    "-0",
    "1",
    "-1",
    "10.5",
    "10.9",
    "9.5",
    "9.9999",
    "10.0001",
    "1.05e1",
    "1e1000",
    "-1e1000",
    "1e2",
    "100e-2",
    "4294967306",
    "-4294967286",
    "18446744073709551626",
    "-18446744073709551606",
    "36893488147419103242",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
    "18446744073709551615",
    "340282366920938463463374607431768211466",
    "true",
    "false",
    "null",
    "\"\"",
    "\"*\"",
    "\"any\"",
    "\"9\"",
    "\"10abc\"",
    "\"10.5\"",
    "\"0x9\"",
    "\"latest\"",
    "[]",
    "[9]",
    "{}",
    "[10,9]",
    "\"10,9\"",
    "\"-10\"",
];
/// Spellings that are no JSON, and the current version if leading zeros mean octal.
const OCTAL: &str = "012";
/// Spellings that a lenient reader may rightly take for the current version.
const LENIENT: [&str; 5] = ["10.0", "1e1", "\"10\"", "[10]", "\" 10\""];

/// Spellings that are 0 or 1 to languages that turn anything into a number. `null` isn't among them: in Protocol Buffers' JSON it
/// is 0.
const SMALL: [(i64, &[&str]); 2] =
    [(0, &["\"\"", "\" \"", "\"abc\"", "[]", "{}", "\"0abc\"", "0.4"]), (1, &["\"true\"", "\"1abc\"", "1.4"])];
/// What common validators (pydantic, ajv) turn into exactly that number unless told otherwise. No sentence forbids it, as none
/// forbids `"10"`: a warning.
const TRUTH: [(i64, &str); 2] = [(0, "false"), (1, "true")];

/// A request with one member's value spelled by hand.
pub(super) fn spelled(request: &Value, pointer: &str, value: &str) -> Bytes {
    let mut request = request.clone();
    let place = "@here@";
    match request.pointer_mut(pointer) {
        Some(member) => *member = json!(place),
        None => return request.to_string().into(),
    }
    request.to_string().replacen(&format!("\"{place}\""), value, 1).into()
}

/// Sends what may be no message at all. `None` where the server gives no answer; the checks of bad input report that.
pub(super) async fn send<'c>(
    cx: &'c Ctx,
    operation: Operation,
    repo: &Repo,
    by: &Member,
    body: Bytes,
) -> Result<Option<Answer<'c>>, Stop> {
    let auth: Auth = by.auth();
    let mut call = Call::operation(operation, repo.id(), "", &auth, Some(body));
    call.validated = false;
    cx.provokes();
    match cx.call(call).await {
        Ok(answer) => Ok(Some(answer)),
        Err(Stop::Violation(_)) => Ok(None),
        Err(stop) => Err(stop),
    }
}

/// A repository at [`CURRENT`], or as far as a server that is particular about its counters lets it come.
async fn repo_at_current(cx: &Ctx, alice: &Member) -> Result<Repo, Stop> {
    let mut repo = match reached(cx, alice, CURRENT, 0).await.map_err(to_set_up)? {
        Some(repo) => repo,
        None => cx.repo(alice).await?,
    };
    while repo.version() < CURRENT {
        cx.advance(alice, &mut repo).await?;
    }
    if repo.version() != CURRENT {
        return Err(Stop::not_applicable(format!("the repository can't be at version {CURRENT}")));
    }
    Ok(repo)
}

async fn expected_version(cx: &Ctx) -> Outcome {
    let alice = cx.member().await?;
    let repo = repo_at_current(cx, &alice).await?;
    let mut tally = Variants::default();
    for spelling in OTHERS.iter().chain([&OCTAL]) {
        let request = json!(repo.push_request(&alice));
        let body = spelled(&request, "/expectedPayloadVersion", spelling);
        let Some(answer) = send(cx, Operation::Push, &repo, &alice, body).await? else { continue };
        let what = format!("expectedPayloadVersion {spelling}");
        let applied = is_accepted(&answer);
        let expected = format!("a push applies at version {CURRENT} only if that is what it expects");
        tally.note(what, answer.must(!applied, &expected, || "accepted: true".into()))?;
        if applied {
            // The repository has moved on; the rest would be judged against another state.
            break;
        }
    }
    if !tally.is_broken() {
        tally.note("all of them", cx.holds(&alice, &repo, "pushes that expect something else").await)?;
        absent_expectation(cx, &alice, &repo, &mut tally).await?;
    }
    small_expectations(cx, &alice, &mut tally).await?;
    truth_expectations(cx, &alice).await?;
    tally.settle(cx)
}

/// One warning where truth values are taken for the version that they are as numbers.
async fn truth_expectations(cx: &Ctx, alice: &Member) -> Outcome {
    for (version, spelling) in TRUTH {
        let Ok(Some(repo)) = reached(cx, alice, version, 0).await else { continue };
        if repo.version() != version {
            continue;
        }
        let body = spelled(&json!(repo.push_request(alice)), "/expectedPayloadVersion", spelling);
        let Some(answer) = send(cx, Operation::Push, &repo, alice, body).await? else { continue };
        if is_accepted(&answer) {
            answer.should(false, &format!("a push that expects version {spelling} is refused with a 4xx"), || {
                format!("taken for version {version}: {}", answer.summary())
            });
            return Ok(());
        }
    }
    Ok(())
}

/// What is no number, where the current version is what loose languages make of it.
async fn small_expectations(cx: &Ctx, alice: &Member, tally: &mut Variants) -> Outcome {
    for (version, spellings) in SMALL {
        // A server that begins elsewhere has no such version.
        let Ok(Some(repo)) = reached(cx, alice, version, 0).await else { continue };
        if repo.version() != version {
            continue;
        }
        for spelling in spellings {
            let body = spelled(&json!(repo.push_request(alice)), "/expectedPayloadVersion", spelling);
            let Some(answer) = send(cx, Operation::Push, &repo, alice, body).await? else { continue };
            let applied = is_accepted(&answer);
            let expected = format!("a push applies at version {version} only if that is what it expects");
            let what = format!("expectedPayloadVersion {spelling} at version {version}");
            tally.note(what, answer.must(!applied, &expected, || "accepted: true".into()))?;
            if applied {
                break;
            }
        }
    }
    Ok(())
}

/// Without an expectation nothing can be gated.
async fn absent_expectation(cx: &Ctx, alice: &Member, repo: &Repo, tally: &mut Variants) -> Outcome {
    let mut request = json!(repo.push_request(alice));
    if let Some(request) = request.as_object_mut() {
        request.remove("expectedPayloadVersion");
    }
    let Some(answer) = send(cx, Operation::Push, repo, alice, request.to_string().into()).await? else { return Ok(()) };
    let applied = is_accepted(&answer);
    tally.note(
        "no expectedPayloadVersion",
        answer.must(!applied, "a push without an expectation doesn't apply", || "accepted: true".into()),
    )
}

pub(super) fn is_accepted(answer: &Answer<'_>) -> bool {
    answer.is_success() && answer.json().is_ok_and(|body| body["accepted"] == json!(true))
}

async fn known_version(cx: &Ctx) -> Outcome {
    let alice = cx.member().await?;
    let repo = repo_at_current(cx, &alice).await?;
    let mut tally = Variants::default();
    let request = json!(repo.pull_request(0));
    for spelling in OTHERS.iter().chain([&OCTAL]) {
        let body = spelled(&request, "/knownPayloadVersion", spelling);
        let Some(answer) = send(cx, Operation::Pull, &repo, &alice, body).await? else { continue };
        if !answer.is_success() {
            continue;
        }
        let unchanged = answer.json().is_ok_and(|body| body["unchanged"] == json!(true));
        let expected = format!("nothing is unchanged at version {CURRENT} unless that is what is known");
        let what = format!("knownPayloadVersion {spelling}");
        tally.note(what, answer.must(!unchanged, &expected, || "unchanged: true".into()))?;
    }
    for spelling in LENIENT {
        let body = spelled(&request, "/knownPayloadVersion", spelling);
        // Taken or not: it must be no server error, which the checks of bad input judge; here it must not be another version.
        let Some(answer) = send(cx, Operation::Pull, &repo, &alice, body).await? else { continue };
        if let Some(version) =
            answer.json().ok().filter(|_| answer.is_success()).map(|body| body["manifest"]["payloadVersion"].clone())
        {
            let what = format!("knownPayloadVersion {spelling}");
            let expected = format!("the manifest is at version {CURRENT}");
            tally.note(what, answer.must(version == json!(CURRENT), &expected, || version.to_string()))?;
        }
    }
    tally.settle(cx)
}

/// Stale pushes of every kind at a repository that has moved on in version and epoch.
async fn conflict_counters(cx: &Ctx) -> Outcome {
    let (alice, carol) = (cx.member().await?, cx.identity());
    let mut repo = cx.repo_with(&alice, &[&carol]).await?;
    let before = repo.clone();
    cx.expel(&alice, &mut repo, &carol.id, &[&alice]).await?;
    cx.advance(&alice, &mut repo).await?;
    let mut tally = Variants::default();
    // What a client would send that hasn't noticed: it must be told. What none would send may be refused, too.
    let natural = before.push_request(&alice);
    for (what, version, epoch, expected) in [
        (
            "made before a removal",
            natural.envelope.payload_version,
            natural.envelope.key_epoch,
            natural.expected_payload_version,
        ),
        ("made before the last push", repo.version(), repo.epoch(), repo.version() - 1),
        ("with a lower epoch", repo.version() + 1, repo.epoch() - 1, repo.version() - 1),
        ("with a higher epoch", repo.version() + 1, repo.epoch() + 7, repo.version() - 1),
        ("with a much higher version", repo.version() + 1000, repo.epoch(), repo.version() - 1),
        ("that expects a later version", repo.version() + 6, repo.epoch() + 5, repo.version() + 5),
        ("with counters of 0", 0, 0, 0),
    ] {
        let mut request = repo.push_request_at(&alice, version);
        (request.envelope.key_epoch, request.expected_payload_version) = (epoch, expected);
        let answer = cx.push(&alice, &request).await?;
        let may_be_refused = !what.starts_with("made");
        let outcome = if answer.is_refusal() && may_be_refused { Ok(()) } else { is_conflict(&answer, &repo) };
        tally.note(format!("a push {what}"), outcome)?;
    }
    tally.note("all of them", cx.readable(&alice, &repo, "conflicts").await)?;
    tally.settle(cx)
}

fn is_conflict(answer: &Answer<'_>, repo: &Repo) -> Outcome {
    let expected =
        PushResponse { accepted: false, payload_version: repo.version(), key_epoch: repo.epoch(), conflict: true };
    let told: PushResponse = answer.accepted("a push with a wrong expectation")?;
    answer.must(told == expected, &format!("it is answered with {expected}"), || differing(&expected, &told))
}
