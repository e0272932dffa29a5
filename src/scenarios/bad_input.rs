//! Input that no client should send. Nothing here is a MUST: a careful server refuses it with a 4xx in good time,
//! changes nothing and goes on.

pub(crate) mod consumed;
mod routes;

use bytes::Bytes;
use serde_json::{Value, json};

use super::check::checks;
use super::{Answer, Auth, Call, Ctx, Member, Operation, Outcome, json_styles, malformed};
use crate::client::{Identity, Repo, TransportError};

macro_rules! per_operation {
    ($($name:ident = $operation:ident),* $(,)?) => {
        $(mod $name {
            use super::super::{Ctx, Operation::$operation, Outcome};

            /// Bodies that aren't JSON, or not an object.
            pub(super) async fn not_json(cx: &Ctx) -> Outcome { super::not_json(cx, $operation).await }
            /// Every required member missing, null and of the wrong type.
            pub(super) async fn members(cx: &Ctx) -> Outcome { super::members(cx, $operation).await }
            /// A hundred thousand levels of nesting.
            pub(super) async fn nesting(cx: &Ctx) -> Outcome { super::nesting(cx, $operation).await }
        })*
    };
}

per_operation! {
    challenge = Challenge, token = Token, create = CreateRepo, pull = Pull, push = Push, add = AddMember,
    remove = RemoveMember,
}

checks! {
    "bad-input/challenge-not-json", Hardening, "§3", [BAD_INPUT], challenge::not_json,
        "challenge refuses bodies that aren't JSON objects", only = Http;
    "bad-input/token-not-json", Hardening, "§3", [BAD_INPUT], token::not_json,
        "token refuses bodies that aren't JSON objects", only = Http;
    "bad-input/create-repo-not-json", Hardening, "§6", [BAD_INPUT], create::not_json,
        "createRepo refuses bodies that aren't JSON objects", only = Http;
    "bad-input/pull-not-json", Hardening, "§6", [BAD_INPUT], pull::not_json,
        "pull refuses bodies that aren't JSON objects", only = Http;
    "bad-input/push-not-json", Hardening, "§6", [BAD_INPUT], push::not_json,
        "push refuses bodies that aren't JSON objects", only = Http;
    "bad-input/add-member-not-json", Hardening, "§6", [BAD_INPUT], add::not_json,
        "addMember refuses bodies that aren't JSON objects", only = Http;
    "bad-input/remove-member-not-json", Hardening, "§6", [BAD_INPUT], remove::not_json,
        "removeMember refuses bodies that aren't JSON objects", only = Http;
    "bad-input/challenge-members", Hardening, "§3", [BAD_INPUT], challenge::members,
        "challenge refuses a body whose members are missing or of the wrong type", only = Http;
    "bad-input/token-members", Hardening, "§3", [BAD_INPUT], token::members,
        "token refuses a body whose members are missing or of the wrong type", only = Http;
    "bad-input/create-repo-members", Hardening, "§6", [BAD_INPUT], create::members,
        "createRepo refuses a body whose members are missing or of the wrong type", only = Http;
    "bad-input/pull-members", Hardening, "§6", [BAD_INPUT], pull::members,
        "pull refuses a body whose members are missing or of the wrong type", only = Http;
    "bad-input/push-members", Hardening, "§6", [BAD_INPUT], push::members,
        "push refuses a body whose members are missing or of the wrong type", only = Http;
    "bad-input/add-member-members", Hardening, "§6", [BAD_INPUT], add::members,
        "addMember refuses a body whose members are missing or of the wrong type", only = Http;
    "bad-input/remove-member-members", Hardening, "§6", [BAD_INPUT], remove::members,
        "removeMember refuses a body whose members are missing or of the wrong type", only = Http;
    "bad-input/incomplete-objects", Hardening, "§4", [BAD_INPUT], objects,
        "Entries, envelopes and wrapped keys whose members are missing or of the wrong type are refused", only = Http;
    "bad-input/wrong-method", Hardening, "§6", [BAD_INPUT], routes::wrong_method,
        "A known path with another method is a 4xx", only = Http;
    "bad-input/unknown-route", Hardening, "§6", [BAD_INPUT], routes::unknown_route,
        "An unknown path is a 4xx", only = Http;
    "bad-input/malformed-path", Hardening, "§6", [BAD_INPUT], routes::malformed_path,
        "A path with broken percent-encoding is a 4xx", only = Http;
    "bad-input/refused-body-is-consumed", Hardening, "§6", [BODY_CONSUMED], consumed::body_is_consumed,
        "The body of a refused request isn't taken for the next request on the connection", only = Http;
    "bad-input/large-body", Hardening, "§6", [BAD_INPUT], large_body,
        "A body of 8 MiB is taken or refused, and the server goes on", phase = Dangerous, only = Http;
    "bad-input/large-body-without-token", Hardening, "§6", [BAD_INPUT], large_body_without_token,
        "A body of 8 MiB from nobody is refused, and the server goes on", phase = Dangerous, only = Http;
    "bad-input/challenge-deep-nesting", Hardening, "§3", [BAD_INPUT], challenge::nesting,
        "challenge survives 100,000 levels of nesting", phase = Dangerous, only = Http;
    "bad-input/token-deep-nesting", Hardening, "§3", [BAD_INPUT], token::nesting,
        "token survives 100,000 levels of nesting", phase = Dangerous, only = Http;
    "bad-input/create-repo-deep-nesting", Hardening, "§6", [BAD_INPUT], create::nesting,
        "createRepo survives 100,000 levels of nesting", phase = Dangerous, only = Http;
    "bad-input/pull-deep-nesting", Hardening, "§6", [BAD_INPUT], pull::nesting,
        "pull survives 100,000 levels of nesting", phase = Dangerous, only = Http;
    "bad-input/push-deep-nesting", Hardening, "§6", [BAD_INPUT], push::nesting,
        "push survives 100,000 levels of nesting", phase = Dangerous, only = Http;
    "bad-input/add-member-deep-nesting", Hardening, "§6", [BAD_INPUT], add::nesting,
        "addMember survives 100,000 levels of nesting", phase = Dangerous, only = Http;
    "bad-input/remove-member-deep-nesting", Hardening, "§6", [BAD_INPUT], remove::nesting,
        "removeMember survives 100,000 levels of nesting", phase = Dangerous, only = Http;
}

/// What an operation is tried on: alice's repository, with bob in it.
struct Fixture {
    alice: Member,
    bob: Identity,
    repo: Repo,
}

impl Fixture {
    async fn new(cx: &Ctx) -> Result<Self, super::Stop> {
        let alice = cx.member().await?;
        let bob = cx.identity();
        let repo = cx.repo_with(&alice, &[&bob]).await?;
        Ok(Self { alice, bob, repo })
    }

    /// A request that would be accepted.
    async fn right_body(&self, cx: &Ctx, operation: Operation) -> Result<Value, super::Stop> {
        let repo = &self.repo;
        Ok(match operation {
            Operation::Challenge => json!({ "ed25519PublicKey": self.alice.id() }),
            Operation::Token => json!(cx.redeem(&self.alice, &cx.nonce(&self.alice).await?)?),
            Operation::CreateRepo => json!(Repo::new(&self.alice).create_request()),
            Operation::Pull => json!(repo.pull_request(0)),
            Operation::Push => json!(repo.push_request(&self.alice)),
            Operation::AddMember => json!(repo.add_request(&cx.identity())),
            Operation::RemoveMember => {
                json!(repo.remove_request(&self.bob.id, &repo.rotation(&self.alice, &[&self.alice])))
            }
            Operation::FetchMemberKey | Operation::Discovery => Value::Null,
        })
    }

    fn auth(&self, operation: Operation) -> Auth {
        if operation.is_authentication() { Auth::None } else { self.alice.auth() }
    }

    async fn send<'c>(
        &self,
        cx: &'c Ctx,
        operation: Operation,
        body: impl Into<Bytes>,
    ) -> Result<Answer<'c>, super::Stop> {
        let auth = self.auth(operation);
        let mut call = Call::operation(operation, self.repo.id(), "", &auth, Some(body.into()));
        call.validated = false;
        cx.call(call).await
    }
}

/// Collects what went wrong over many variants, so that one finding names them all.
#[derive(Default)]
struct Misses<'c> {
    accepted: Vec<(String, Answer<'c>)>,
    broken: Vec<(String, Answer<'c>)>,
}

impl<'c> Misses<'c> {
    fn look_at(&mut self, what: String, answer: Answer<'c>) {
        if answer.is_success() {
            self.accepted.push((what, answer));
        } else if !answer.is_refusal() {
            self.broken.push((what, answer));
        }
    }

    /// A server that reads the bodies of all operations in the same way is told so once.
    fn report_once(self, cx: &Ctx, habit: &'static str) -> Outcome {
        if self.accepted.is_empty() && self.broken.is_empty() || cx.world.is_news(habit) {
            return self.report();
        }
        cx.remark("as another operation does, which is reported there");
        Ok(())
    }

    fn report(self) -> Outcome {
        for (list, did) in [(&self.broken, "is answered with"), (&self.accepted, "is accepted with")] {
            if let Some((what, answer)) = list.first() {
                let others: Vec<_> = list.iter().skip(1).take(6).map(|(what, _)| what.as_str()).collect();
                let others = if others.is_empty() { String::new() } else { format!("; also {}", others.join(", ")) };
                return Err(answer.violation("a 4xx answer", format!("{what} {did} status {}{others}", answer.status)));
            }
        }
        Ok(())
    }
}

/// Not JSON, not UTF-8, or JSON that is no object.
async fn not_json(cx: &Ctx, operation: Operation) -> Outcome {
    let fixture = Fixture::new(cx).await?;
    let right = fixture.right_body(cx, operation).await?.to_string().into_bytes();
    let mut invalid_utf8 = right.clone();
    // Inside the last string of the body, where a parser that works on bytes might let it through.
    if let Some(quote) = invalid_utf8.iter().rposition(|byte| *byte == b'"') {
        invalid_utf8.splice(quote..quote, [0xff, 0xc0]);
    }
    let garbage = [&right[..], b" and more"].concat();
    let variants: [(&str, Vec<u8>); 10] = [
        ("a right request with something after it", garbage),
        ("malformed JSON", b"{\"repoId\": ".to_vec()),
        ("a truncated body", right[..right.len() - 1].to_vec()),
        ("an empty body", Vec::new()),
        ("the JSON array []", b"[]".to_vec()),
        ("the JSON string \"x\"", b"\"x\"".to_vec()),
        ("the JSON number 7", b"7".to_vec()),
        ("JSON null", b"null".to_vec()),
        ("invalid UTF-8", invalid_utf8),
        ("an empty object", b"{}".to_vec()),
    ];
    let mut misses = Misses::default();
    for (what, body) in variants {
        misses.look_at(what.into(), fixture.send(cx, operation, body).await?);
    }
    let untouched = misses.accepted.is_empty();
    misses.report_once(cx, "bodies that are no JSON objects")?;
    if untouched { cx.holds(&fixture.alice, &fixture.repo, "refused bodies").await } else { Ok(()) }
}

/// Each required member of the request itself in turn, as the schema has them.
async fn members(cx: &Ctx, operation: Operation) -> Outcome {
    let mut misses = Misses::default();
    try_malformed(cx, operation, &mut misses, |place| !place[1..].contains('/')).await?;
    misses.report_once(cx, "bodies whose members are missing or of the wrong type")
}

/// Each required member of what the requests carry. One check for all operations: a server keeps such objects as they come or it
/// doesn't, which is one habit. What becomes of them is looked at by the checks of incomplete writes.
async fn objects(cx: &Ctx) -> Outcome {
    let mut misses = Misses::default();
    for operation in [Operation::CreateRepo, Operation::Push, Operation::AddMember, Operation::RemoveMember] {
        try_malformed(cx, operation, &mut misses, |place| place[1..].contains('/')).await?;
    }
    misses.report()
}

/// Sends every malformed body whose place counts, each to a repository that no accepted one has touched.
async fn try_malformed<'c>(
    cx: &'c Ctx,
    operation: Operation,
    misses: &mut Misses<'c>,
    counts: impl Fn(&str) -> bool,
) -> Outcome {
    let mut fixture = Fixture::new(cx).await?;
    let Some(kind) = operation.request_kind() else { return Ok(()) };
    let mut bodies = malformed::everywhere(kind, &fixture.right_body(cx, operation).await?);
    for number in 0..bodies.len() {
        if !counts(&bodies[number].place) {
            continue;
        }
        let answer = fixture.send(cx, operation, bodies[number].body.to_string()).await?;
        let what = format!("{} {}", operation.name(), bodies[number].what);
        let accepted = answer.is_success();
        // Whoever goes by the path needs no repoId, of which `pull/path-and-body-agree` tells.
        if !accepted || bodies[number].place != "/repoId" {
            misses.look_at(what, answer);
        }
        if accepted && operation != Operation::Pull && operation != Operation::Challenge {
            fixture = Fixture::new(cx).await?;
            bodies = malformed::everywhere(kind, &fixture.right_body(cx, operation).await?);
        }
    }
    cx.holds(&fixture.alice, &fixture.repo, "refused bodies").await
}

/// A parser that recurses without bound overflows its stack here.
async fn nesting(cx: &Ctx, operation: Operation) -> Outcome {
    let fixture = Fixture::new(cx).await?;
    let levels = 100_000;
    let arrays = format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    let right = fixture.right_body(cx, operation).await?.to_string();
    let inside = format!("{{\"x\":{arrays},{}", &right[1..]);
    for (what, body) in [("100,000 nested arrays", arrays), ("a member of 100,000 nested arrays", inside)] {
        let answer = fixture.send(cx, operation, body).await?;
        // A parser that takes it and drops the unknown member is fine.
        if answer.is_refusal() || answer.is_success() {
            continue;
        }
        if !cx.world.is_news("deep nesting") {
            cx.remark("as another operation does, which is reported there");
            return Ok(());
        }
        return Err(answer.violation("no 5xx", format!("{what}: {}", answer.summary())));
    }
    Ok(())
}

/// 8 MiB of blanks inside a good request: taken, refused, or cut off, but not fatal.
async fn large_body(cx: &Ctx) -> Outcome {
    let fixture = Fixture::new(cx).await?;
    let right = fixture.right_body(cx, Operation::Push).await?.to_string();
    send_large(cx, &fixture, Operation::Push, &fixture.alice.auth(), right).await
}

/// The same from somebody who has no business here.
async fn large_body_without_token(cx: &Ctx) -> Outcome {
    let fixture = Fixture::new(cx).await?;
    let right = fixture.right_body(cx, Operation::CreateRepo).await?.to_string();
    send_large(cx, &fixture, Operation::CreateRepo, &Auth::None, right).await
}

async fn send_large(cx: &Ctx, fixture: &Fixture, operation: Operation, auth: &Auth, right: String) -> Outcome {
    let body = json_styles::padded(right.as_bytes(), 8 << 20);
    let (exchange, result) = cx.try_call(Call::operation(operation, fixture.repo.id(), "", auth, Some(body))).await;
    match result {
        Ok(answer) => answer.must(answer.is_success() || answer.is_refusal(), "2xx or 4xx", || answer.summary()),
        // A server may close the connection rather than read on; whether it lives is looked at afterwards.
        Err(TransportError::Closed { .. }) => {
            cx.remark("the server closed the connection while the body was on its way");
            Ok(())
        }
        Err(error) => Err(super::Stop::Violation(Box::new(super::Finding {
            expected: "an answer in good time".into(),
            observed: error.to_string(),
            exchange: Some(exchange),
            evidence: Vec::new(),
        }))),
    }
}
