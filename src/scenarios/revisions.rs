//! What revisions 0.3 and 0.4 add (`--spec 0.3`, `--spec 0.4`).

use http::Method;
use serde_json::{Value, json};

use super::check::checks;
use super::{Answer, Call, Ctx, Member, Operation, Outcome, Seen};
use crate::client::{Repo, random};
use crate::wire::{MessageKind, PullResponse, PushResponse, VaultManifest};

checks! {
    "errors/error-object", Must, "§6", [ERROR_OBJECT], error_object,
        "Every answer that isn't 2xx is an error object", phase = Finale, since = V0_3;
    "errors/codes-and-limits", Must, "§6", [ERROR_OBJECT, LIMITS], codes_and_limits,
        "Error codes go with their status, a 413 is too_large, and a rate limit says Retry-After", phase = Finale, since = V0_3;
    "errors/oversize-body", Must, "§6", [LIMITS], oversize_body,
        "A body beyond the server's limit is a 413 too_large, never a conflict", phase = Dangerous, since = V0_3;
    "retries/add-member", Must, "§6", [RETRY_ADD], retried_add,
        "addMember sent again is a no-op that returns the current manifest", since = V0_3;
    "retries/remove-member", Must, "§6", [RETRY_REMOVE], retried_remove,
        "An identical removeMember sent again leaves the same state", since = V0_3;
    "retries/create-repo", Must, "§6", [RETRY_WRITES], retried_create,
        "createRepo sent again is a 409 and changes nothing", since = V0_3;
    "retries/push", Must, "§6", [RETRY_WRITES], retried_push,
        "push sent again is a conflict and changes nothing", since = V0_3;
    "paths/escaped-slash", Must, "§6", [ESCAPED_PATH], escaped_slash,
        "An escaped slash in an id is part of the id", since = V0_3;
    "share-refresh-tokens/persists", Must, "§4", [SHARE_REFRESH_TOKENS], share_persists,
        "shareRefreshTokens true survives every write and is in every manifest", since = V0_4;
    "share-refresh-tokens/absent-is-false", Must, "§4", [SHARE_REFRESH_TOKENS], share_absent,
        "A repository created without shareRefreshTokens never serves true", since = V0_4;
}

/// The first of what was seen, as a failure that names the others.
pub(super) fn report_seen(cx: &Ctx, expected: &str, seen: &[Seen]) -> Outcome {
    let Some(first) = seen.first() else { return Ok(()) };
    let others: Vec<_> = seen.iter().skip(1).take(5).map(|seen| seen.what.as_str()).collect();
    let others = if others.is_empty() { String::new() } else { format!("; also: {}", others.join("; ")) };
    let observed = format!("{} ({} times, first in {}){others}", first.what, first.times, first.check);
    let mut stop = cx.violation(expected, observed);
    if let super::Stop::Violation(finding) = &mut stop {
        finding.exchange = Some(first.exchange.clone());
    }
    Err(stop)
}

/// One refusal of each usual kind, so that the finale has something to judge even alone.
async fn provoke_refusals(cx: &Ctx) -> Outcome {
    let (alice, mallory) = (cx.member().await?, cx.member().await?);
    let repo = cx.repo(&alice).await?;
    cx.perform(Operation::Pull, repo.id(), &super::Auth::None, &repo.pull_request(0)).await?;
    cx.pull(&mallory, &repo.pull_request(0)).await?;
    cx.pull(&alice, &Repo::new(&alice).pull_request(0)).await?;
    cx.create(&alice, &repo.create_request()).await?;
    cx.perform(Operation::Pull, repo.id(), &alice.auth(), &json!({})).await?;
    framework_refusals(cx, &alice, &repo).await
}

/// Routes and methods that don't exist: often answered by a framework, and by no handler.
async fn framework_refusals(cx: &Ctx, alice: &Member, repo: &Repo) -> Outcome {
    let auth = alice.auth();
    let pull = Operation::Pull.path(repo.id(), "");
    for (method, path) in [(Method::DELETE, pull), (Method::GET, "/v1/nothing-here".into())] {
        let mut call = Call::operation(Operation::Pull, repo.id(), "", &auth, None);
        (call.method, call.path) = (method, path);
        // An answer that isn't a refusal is no pull; that it should be one is the business of the checks of bad input.
        call.operation = None;
        let answer = cx.call(call).await?;
        if !answer.is_success() && answer.status != 501 {
            let body = answer.json().unwrap_or_else(|_| "not JSON".into());
            cx.world.seen.answers.validate(MessageKind::ErrorObject, &body, cx.check_id(), &answer.exchange);
        }
    }
    Ok(())
}

/// Requests in quick succession: what a rate limit is there for.
const BURST: usize = 60;

/// Every refusal of the run, of every operation.
async fn error_object(cx: &Ctx) -> Outcome {
    provoke_refusals(cx).await?;
    let (seen, _) = cx.world.seen.answers.schema_findings(MessageKind::ErrorObject);
    report_seen(cx, "a body {error, code?, detail?} with a known code", &seen)
}

/// The codes that go with a status.
async fn codes_and_limits(cx: &Ctx) -> Outcome {
    provoke_refusals(cx).await?;
    let alice = cx.identity();
    for _ in 0..BURST {
        cx.challenge(&alice.id).await?;
    }
    let expected = "the code that goes with the status, and Retry-After with a rate limit";
    report_seen(cx, expected, &cx.world.seen.answers.error_code_findings())
}

/// A push that would apply, were it not for 8 MiB of blanks in it. A server without such a limit takes it.
async fn oversize_body(cx: &Ctx) -> Outcome {
    let alice = cx.member().await?;
    let repo = cx.repo(&alice).await?;
    let body = json!(repo.push_request(&alice)).to_string();
    let body = format!("{{{}{}", " ".repeat(8 << 20), &body[1..]);
    let auth = alice.auth();
    let (_, result) = cx.try_call(Call::operation(Operation::Push, repo.id(), "", &auth, Some(body.into()))).await;
    let Ok(answer) = result else {
        cx.remark("the server closed the connection while the body was on its way");
        return Ok(());
    };
    if answer.is_success() {
        let response: PushResponse = answer.message()?;
        return answer
            .must(response.accepted, "a limit is no conflict, and the expectation is right", || response.to_string());
    }
    if answer.status != 413 {
        return Err(answer.broken_by_no_limit("a body that is too large is refused with 413", answer.summary()));
    }
    let error = answer.json().unwrap_or_default();
    if error["code"] != "too_large" {
        return Err(answer.broken_by_no_limit("the code of a 413 is too_large", error.to_string()));
    }
    Ok(())
}

/// A client that got no answer sends again.
async fn retried_add(cx: &Ctx) -> Outcome {
    let alice = cx.member().await?;
    let bob = cx.identity();
    let mut repo = cx.repo(&alice).await?;
    // At another epoch than the first, so that an entry that starts over shows.
    let rotation = repo.rotation(&alice, &[&alice]);
    cx.push(&alice, &repo.rotating_push(&rotation)).await?.accepted::<PushResponse>("a rotating push")?;
    repo.apply_rotation(&rotation);
    let request = repo.add_request(&bob);
    cx.add(&alice, &request).await?.accepted::<VaultManifest>("addMember")?;
    repo.apply_add(&request.member);
    let answer = cx.add(&alice, &request).await?;
    let manifest: VaultManifest = answer.accepted("the same addMember again")?;
    let difference = super::state::compare_manifest(&repo.manifest, &manifest);
    answer.must(difference.is_none(), "the current manifest", || difference.unwrap_or_default())?;
    cx.holds(&alice, &repo, "addMember sent twice").await
}

/// Whatever the second answer is, the state is that after the first.
async fn retried_remove(cx: &Ctx) -> Outcome {
    let alice = cx.member().await?;
    let (bob, carol) = (cx.identity(), cx.identity());
    let mut repo = cx.repo_with(&alice, &[&bob, &carol]).await?;
    let rotation = repo.rotation(&alice, &[&alice, &carol]);
    let request = repo.remove_request(&bob.id, &rotation);
    cx.remove(&alice, &request).await?.accepted::<VaultManifest>("removeMember")?;
    repo.apply_rotation(&rotation);
    let answer = cx.remove(&alice, &request).await?;
    answer.must(answer.is_success() || answer.is_refusal(), "no 5xx", || answer.summary())?;
    cx.holds(&alice, &repo, "removeMember sent twice").await
}

/// The duplicate rule makes the retry visible.
async fn retried_create(cx: &Ctx) -> Outcome {
    let alice = cx.member().await?;
    let repo = cx.repo(&alice).await?;
    let answer = cx.create(&alice, &repo.create_request()).await?;
    answer.must(answer.status == 409, "status 409", || answer.summary())?;
    cx.holds(&alice, &repo, "createRepo sent twice").await
}

/// The gate makes the retry visible.
async fn retried_push(cx: &Ctx) -> Outcome {
    let alice = cx.member().await?;
    let mut repo = cx.repo(&alice).await?;
    let push = repo.push_request(&alice);
    cx.push(&alice, &push).await?.accepted::<PushResponse>("push")?;
    repo.apply_push(&push);
    let answer = cx.push(&alice, &push).await?;
    let response: PushResponse = answer.accepted("the same push again")?;
    answer.must(response.conflict && !response.accepted, "a conflict", || response.to_string())?;
    cx.holds(&alice, &repo, "push sent twice").await
}

/// `a%2Fb` is one segment, whose id is `a/b`. Refusing such an id at creation is fine.
async fn escaped_slash(cx: &Ctx) -> Outcome {
    let alice = cx.member().await?;
    let id = format!("{}/pull", random::uuid());
    let repo = Repo::with_id(&alice, &id);
    let answer = cx.create(&alice, &repo.create_request()).await?;
    if answer.is_refusal() {
        return Ok(());
    }
    answer.accepted::<VaultManifest>("createRepo")?;
    cx.readable(&alice, &repo, "createRepo with a slash in the id").await
}

/// The value of the member in a manifest; absent and null mean false.
fn shared(manifest: &VaultManifest) -> bool {
    manifest.share_refresh_tokens.unwrap_or(false)
}

fn holds_flag(answer: &Answer<'_>, manifest: &VaultManifest, expected: bool, when: &str) -> Outcome {
    answer.must(shared(manifest) == expected, &format!("shareRefreshTokens {expected} {when}"), || {
        manifest.share_refresh_tokens.map_or_else(|| "none".into(), |flag| flag.to_string())
    })
}

async fn pulled_flag(cx: &Ctx, reader: &Member, repo: &Repo, expected: bool, when: &str) -> Outcome {
    for known in [0, repo.version()] {
        let answer = cx.pull(reader, &repo.pull_request(known)).await?;
        let pulled: PullResponse = answer.accepted("pull")?;
        holds_flag(&answer, &pulled.manifest, expected, when)?;
    }
    Ok(())
}

/// Through create, push, rotating push, add and remove.
async fn share_persists(cx: &Ctx) -> Outcome {
    let alice = cx.member().await?;
    let bob = cx.identity();
    let mut repo = Repo::new(&alice);
    repo.manifest.share_refresh_tokens = Some(true);
    let answer = cx.create(&alice, &repo.create_request()).await?;
    holds_flag(&answer, &answer.accepted("createRepo")?, true, "after createRepo")?;
    pulled_flag(cx, &alice, &repo, true, "after createRepo").await?;
    cx.advance(&alice, &mut repo).await?;
    pulled_flag(cx, &alice, &repo, true, "after push").await?;
    let request = repo.add_request(&bob);
    let answer = cx.add(&alice, &request).await?;
    holds_flag(&answer, &answer.accepted("addMember")?, true, "after addMember")?;
    repo.apply_add(&request.member);
    pulled_flag(cx, &alice, &repo, true, "after addMember").await?;
    let rotation = repo.rotation(&alice, &[&alice, &bob]);
    cx.push(&alice, &repo.rotating_push(&rotation)).await?.accepted::<PushResponse>("a rotating push")?;
    repo.apply_rotation(&rotation);
    pulled_flag(cx, &alice, &repo, true, "after a rotating push").await?;
    let rotation = repo.rotation(&alice, &[&alice]);
    let answer = cx.remove(&alice, &repo.remove_request(&bob.id, &rotation)).await?;
    holds_flag(&answer, &answer.accepted("removeMember")?, true, "after removeMember")?;
    repo.apply_rotation(&rotation);
    pulled_flag(cx, &alice, &repo, true, "after removeMember").await
}

/// Absent, null and false stay false.
async fn share_absent(cx: &Ctx) -> Outcome {
    let alice = cx.member().await?;
    for sent in [None, Some(Value::Null), Some(json!(false))] {
        let mut repo = Repo::new(&alice);
        let mut body = json!(repo.create_request());
        if let Some(sent) = sent {
            body["manifest"]["shareRefreshTokens"] = sent;
        }
        let answer = cx.perform(Operation::CreateRepo, "", &alice.auth(), &body).await?;
        holds_flag(&answer, &answer.accepted("createRepo")?, false, "after createRepo")?;
        cx.advance(&alice, &mut repo).await?;
        pulled_flag(cx, &alice, &repo, false, "after push").await?;
    }
    Ok(())
}
