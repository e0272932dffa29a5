//! JSON as RFC 8259 has it: one message, spelled in every way that it allows, is one message; what is no JSON is refused.

use bytes::Bytes;
use serde_json::{Value, json};

use super::check::checks;
use super::context::to_set_up;
use super::json_styles::{Style, spelled};
use super::key_binding::binding;
use super::variants::Variants;
use super::{Answer, Auth, Call, Ctx, Finding, Member, Operation, Outcome, Stop};
use crate::client::{Identity, Repo, random};
use crate::wire::{ChallengeResponse, PushResponse, TokenResponse, VaultManifest};

checks! {
    only = Http;
    "json/escapes", Must, "§6", [HTTP_PROFILE, STORED_VERBATIM], escapes,
        "Characters that are escaped in strings and names are those characters";
    "json/order-and-blanks", Must, "§6", [HTTP_PROFILE, STORED_VERBATIM], order_and_blanks,
        "Neither the order of members nor white space between tokens means anything";
    "json/characters-in-two-segments", Must, "§4", [STORED_VERBATIM, HTTP_PROFILE], split_characters,
        "A character whose bytes come in two TCP segments is that character";
    "json/no-json", Hardening, "§6", [BAD_INPUT], no_json,
        "What only some parsers take for JSON is refused";
    "json/odd-values", Hardening, "§6", [BAD_INPUT], odd_values,
        "Numbers of thousands of digits, lone surrogates and the like are taken or refused, without a server error";
}

async fn escapes(cx: &Ctx) -> Outcome {
    let mut tally = Variants::default();
    for style in [Style::PartlyEscaped, Style::Escaped, Style::NamesEscaped] {
        tally.note(style.what(), lives(cx, style).await)?;
    }
    tally.note("characters beyond the basic plane", beyond(cx).await)?;
    tally.settle(cx)
}

async fn order_and_blanks(cx: &Ctx) -> Outcome {
    let mut tally = Variants::default();
    for style in [Style::Reversed, Style::Spaced] {
        tally.note(style.what(), lives(cx, style).await)?;
    }
    tally.settle(cx)
}

/// One request of every operation in a style, each accepted as if it were spelled as usual.
async fn lives(cx: &Ctx, style: Style) -> Outcome {
    let alice = logs_in(cx, style).await?;
    let (bob, mut repo) = (cx.identity(), Repo::new(&alice));
    cx.watch(&repo);
    let create = json!(repo.create_request());
    let answer = send(cx, Operation::CreateRepo, &repo, &alice, &create, style).await?;
    answer.accepted::<VaultManifest>("createRepo")?;
    cx.readable(&alice, &repo, "createRepo in another spelling").await?;
    let answer = send(cx, Operation::Pull, &repo, &alice, &json!(repo.pull_request(repo.version())), style).await?;
    answer.must(answer.is_success(), "pull is accepted", || answer.summary())?;
    let push = repo.push_request(&alice);
    let answer = send(cx, Operation::Push, &repo, &alice, &json!(push), style).await?;
    let pushed: PushResponse = answer.accepted("push")?;
    answer.must(pushed.accepted, "a push at the current version is accepted", || pushed.to_string())?;
    repo.apply_push(&push);
    let add = repo.add_request(&bob);
    let answer = send(cx, Operation::AddMember, &repo, &alice, &json!(add), style).await?;
    answer.accepted::<VaultManifest>("addMember")?;
    repo.apply_add(&add.member);
    cx.readable(&alice, &repo, "push and addMember in another spelling").await?;
    // With all that a message may have.
    let mut rotation = repo.rotation(&alice, &[&alice, &bob]);
    rotation.members[1].key_binding_sig = Some(binding(&bob));
    let answer = send(cx, Operation::Push, &repo, &alice, &json!(repo.rotating_push(&rotation)), style).await?;
    let pushed: PushResponse = answer.accepted("a rotating push")?;
    answer.must(pushed.accepted, "a rotating push at the current version is accepted", || pushed.to_string())?;
    repo.apply_rotation(&rotation);
    cx.watch(&repo);
    cx.readable(&alice, &repo, "a rotating push in another spelling").await?;
    let rotation = repo.rotation(&alice, &[&alice]);
    let remove = json!(repo.remove_request(&bob.id, &rotation));
    let answer = send(cx, Operation::RemoveMember, &repo, &alice, &remove, style).await?;
    answer.accepted::<VaultManifest>("removeMember")?;
    repo.apply_rotation(&rotation);
    cx.watch(&repo);
    cx.readable(&alice, &repo, "removeMember in another spelling").await
}

async fn logs_in(cx: &Ctx, style: Style) -> Result<Member, Stop> {
    let identity = cx.identity();
    let body = spelled(&json!({ "ed25519PublicKey": identity.id }), style);
    let challenge = Call::operation(Operation::Challenge, "", "", &Auth::None, Some(body.into()));
    let nonce = cx.call(challenge).await?.accepted::<ChallengeResponse>("challenge")?.nonce;
    let body = spelled(&json!(cx.redeem(&identity, &nonce)?), style);
    let token = Call::operation(Operation::Token, "", "", &Auth::None, Some(body.into()));
    let token = cx.call(token).await?.accepted::<TokenResponse>("token")?.token;
    cx.world.remember_subject(&token, &identity.id);
    Ok(Member { identity, token })
}

async fn send<'c>(
    cx: &'c Ctx,
    operation: Operation,
    repo: &Repo,
    by: &Member,
    message: &Value,
    style: Style,
) -> Result<Answer<'c>, Stop> {
    let auth = by.auth();
    cx.call(Call::operation(operation, repo.id(), "", &auth, Some(spelled(message, style).into()))).await
}

/// A pair of surrogates is one character: in a schemeId, and in an id where the server takes such ids.
async fn beyond(cx: &Ctx) -> Outcome {
    let alice = cx.member().await?;
    let mut repo = Repo::new(&alice);
    repo.manifest.scheme_id = "\u{1f511}\u{e9}\u{4e2d}\u{10ffff}\u{1f600}".into();
    cx.watch(&repo);
    let answer = send(cx, Operation::CreateRepo, &repo, &alice, &json!(repo.create_request()), Style::Escaped).await?;
    if !answer.is_success() {
        return Err(Stop::not_applicable(format!("such a schemeId is refused with {}", answer.status)));
    }
    cx.readable(&alice, &repo, "createRepo with an escaped schemeId").await
}

/// Cut once within a character of two, three and four bytes each.
async fn split_characters(cx: &Ctx) -> Outcome {
    let alice = cx.member().await?;
    let mut tally = Variants::default();
    for character in ['\u{e9}', '\u{4e2d}', '\u{1f511}'] {
        for cut in 1..character.len_utf8() {
            let what = format!("{character:?} cut after {cut} of {} bytes", character.len_utf8());
            tally.note(what, split(cx, &alice, character, cut).await)?;
        }
    }
    tally.settle(cx)
}

async fn split(cx: &Ctx, alice: &Member, character: char, cut: usize) -> Outcome {
    let mut repo = Repo::new(alice);
    repo.manifest.scheme_id = format!("scheme-{character}-of-another-kind");
    cx.watch(&repo);
    let body = json!(repo.create_request()).to_string();
    let at = body.find(character).unwrap_or_default() + cut;
    let (auth, length) = (alice.auth(), body.len());
    let call = Call::operation(Operation::CreateRepo, repo.id(), "", &auth, Some(body.into()));
    #[expect(clippy::cast_precision_loss, reason = "a body of some kilobytes")]
    let share = (at as f64 + 0.5) / length as f64;
    let held = cx.send_partly(&call, share).await;
    let (exchange, result) = cx.finish(&call, held).await;
    let answer = result.map_err(|error| {
        let finding = Finding::shown("an HTTP answer", error.to_string(), exchange);
        to_set_up(Stop::Violation(Box::new(finding)))
    })?;
    if !answer.is_success() {
        let whole = Repo::with_id(alice, &random::uuid());
        return refused_either_way(cx, alice, whole, &repo.manifest.scheme_id, &answer).await;
    }
    cx.readable(alice, &repo, "createRepo whose body came in two segments").await
}

/// A server may refuse such a schemeId, but then whatever the segments.
async fn refused_either_way(cx: &Ctx, alice: &Member, mut whole: Repo, scheme: &str, answer: &Answer<'_>) -> Outcome {
    whole.manifest.scheme_id = scheme.into();
    cx.watch(&whole);
    let taken = cx.create(alice, &whole.create_request()).await?.is_success();
    answer.must(!taken, "a body in two segments is taken like one in a single segment", || answer.summary())?;
    Err(Stop::not_applicable("the server refuses a schemeId outside ASCII"))
}

/// Where odd bodies are tried: all of them would be right but for their spelling.
struct Fixture {
    alice: Member,
    bob: Identity,
    repo: Repo,
}

/// What some readers take for JSON, made of a right body.
fn not_json(right: &str) -> Vec<(&'static str, Vec<u8>)> {
    let inside = &right[1..right.len() - 1];
    let utf16 = |big: bool| -> Vec<u8> {
        let units = right.encode_utf16();
        units.flat_map(|unit| if big { unit.to_be_bytes() } else { unit.to_le_bytes() }).collect()
    };
    let text = |text: String| text.into_bytes();
    let mut overlong = text(right.replacen("\"repoId\"", "\"repoId@\"", 1));
    if let Some(at) = overlong.iter().position(|byte| *byte == b'@') {
        overlong.splice(at..=at, [0xc0, 0x80]);
    }
    vec![
        ("a comment", text(format!("{{/* {{}} */{inside}}}"))),
        ("a comment to the end of its line", text(format!("{{// a\n{inside}}}"))),
        ("a trailing comma", text(format!("{{{inside},}}"))),
        ("single quotes", text(right.replace('"', "'"))),
        ("names without quotes", text(right.replacen("\"repoId\"", "repoId", 1))),
        ("an array around it", text(format!("[{right}]"))),
        ("a string of it", text(json!(right).to_string())),
        ("UTF-16", utf16(true)),
        ("UTF-16, the other way round", utf16(false)),
        ("an overlong NUL in a name", overlong),
        ("a NUL after it", text(format!("{right}\0"))),
        ("a form feed before it", text(format!("\u{c}{right}"))),
        ("a no-break space before it", text(format!("\u{a0}{right}"))),
        ("a guard before it", text(format!(")]}}',\n{right}"))),
        ("a form", text("repoId=a&knownPayloadVersion=0".into())),
        ("NaN as a number", text(right.replacen(":0", ":NaN", 1))),
        ("Infinity as a number", text(right.replacen(":0", ":Infinity", 1))),
        ("a hexadecimal number", text(right.replacen(":0", ":0x0", 1))),
        ("a plus before a number", text(right.replacen(":0", ":+0", 1))),
        ("a number without its digits", text(right.replacen(":0", ":.0", 1))),
        ("a control character in a string", text(right.replacen("\"repoId\":\"", "\"repoId\":\"\u{1}", 1))),
    ]
}

async fn fixture(cx: &Ctx) -> Result<Fixture, Stop> {
    let (alice, bob) = (cx.member().await?, cx.identity());
    let repo = cx.repo_with(&alice, &[&bob]).await?;
    Ok(Fixture { alice, bob, repo })
}

/// Sends a body that may be anything. `None` if the connection ends without an answer.
async fn send_bytes<'c>(cx: &'c Ctx, operation: Operation, fixture: &Fixture, body: Bytes) -> Result<Answer<'c>, Stop> {
    let auth = fixture.alice.auth();
    let mut call = Call::operation(operation, fixture.repo.id(), "", &auth, Some(body));
    call.validated = false;
    cx.provokes();
    cx.call(call).await
}

/// A pull, which changes nothing when it is taken after all.
async fn no_json(cx: &Ctx) -> Outcome {
    let fixture = fixture(cx).await?;
    let right = json!(fixture.repo.pull_request(0)).to_string();
    let mut tally = Variants::default();
    for (what, body) in not_json(&right) {
        let answer = send_bytes(cx, Operation::Pull, &fixture, body.into()).await;
        let outcome = answer.and_then(|answer| {
            answer.must(answer.is_refusal(), "what is no JSON (RFC 8259) is refused with a 4xx", || answer.summary())
        });
        tally.note(format!("a pull with {what}"), outcome)?;
    }
    tally.settle(cx)
}

/// Values that are JSON and stretch a parser. Whether they are taken is the server's affair.
fn stretching() -> Vec<(&'static str, String)> {
    vec![
        ("5,000 digits", "7".repeat(5000)),
        ("-5,000 digits", format!("-{}", "7".repeat(5000))),
        ("5,000 zeros after a one", format!("1{}", "0".repeat(5000))),
        ("5,000 digits of a fraction", format!("1.{}", "3".repeat(5000))),
        ("1E400", "1E400".into()),
        ("-1E400", "-1E400".into()),
        ("1E-400", "1E-400".into()),
        ("1E999999999", "1E999999999".into()),
        ("0 with an exponent of 5,000 digits", format!("0E{}", "9".repeat(5000))),
        ("-0", "-0".into()),
        ("-0.0", "-0.0".into()),
        ("2^64", "18446744073709551616".into()),
        ("a string of 100,000 characters", json!("a".repeat(100_000)).to_string()),
        ("a lone surrogate", "\"\\ud800\"".into()),
        ("surrogates in the wrong order", "\"\\udd11\\ud83d\"".into()),
        ("a NUL in a string", "\"\\u0000\"".into()),
        ("a character that is none", "\"\\uffff\"".into()),
        ("400 levels of nesting", format!("{}{}", "[".repeat(400), "]".repeat(400))),
        ("10,000 members", format!("{{{}}}", (0..10_000).map(|n| format!("\"m{n}\":0")).collect::<Vec<_>>().join(","))),
        ("__proto__", r#"{"__proto__":{"admin":true},"constructor":{"prototype":{}}}"#.into()),
    ]
}

/// In place of a number, of a string, and as an unknown member; with a byte order mark, too.
async fn odd_values(cx: &Ctx) -> Outcome {
    let fixture = fixture(cx).await?;
    let pull = json!({ "repoId": fixture.repo.id(), "knownPayloadVersion": "@here@" }).to_string();
    let remove =
        json!(fixture.repo.remove_request(&fixture.bob.id, &fixture.repo.rotation(&fixture.alice, &[&fixture.alice])));
    let mut tally = Variants::default();
    for (what, value) in stretching() {
        let body = pull.replacen("\"@here@\"", &value, 1);
        tally.note(
            format!("knownPayloadVersion of {what}"),
            no_server_error(cx, Operation::Pull, &fixture, body).await,
        )?;
        let mut message = remove.clone();
        message["removedMemberId"] = json!("@here@");
        let body = message.to_string().replacen("\"@here@\"", &value, 1);
        let outcome = no_server_error(cx, Operation::RemoveMember, &fixture, body).await;
        tally.note(format!("removedMemberId of {what}"), outcome)?;
    }
    let marked = format!("\u{feff}{}", json!(fixture.repo.pull_request(0)));
    tally.note("a byte order mark", no_server_error(cx, Operation::Pull, &fixture, marked).await)?;
    tally.settle(cx)
}

async fn no_server_error(cx: &Ctx, operation: Operation, fixture: &Fixture, body: String) -> Outcome {
    let answer = send_bytes(cx, operation, fixture, body.into()).await?;
    answer.must(answer.status < 500, "a 2xx or 4xx answer", || answer.summary())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_style_is_the_same_message() {
        let message = json!({ "a": "+/=\u{1f511}\"\\\n", "b": [1, { "c": null, "d": [] }], "e": {} });
        for style in [Style::Escaped, Style::NamesEscaped, Style::PartlyEscaped, Style::Reversed, Style::Spaced] {
            let text = spelled(&message, style);
            assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), message, "{style:?}: {text}");
        }
        assert!(spelled(&json!("+/"), Style::PartlyEscaped).contains(r"\u002B\/"));
        assert!(spelled(&json!("\u{1f511}"), Style::Escaped).contains(r"\ud83d\udd11"));
    }

    #[test]
    fn no_reader_of_rfc_8259_takes_what_is_no_json() {
        let right = json!({ "knownPayloadVersion": 0, "repoId": "abc" }).to_string();
        for (what, body) in not_json(&right) {
            let read = serde_json::from_slice::<Value>(&body);
            assert!(read.is_err() || !read.unwrap().is_object(), "{what}");
        }
    }
}
