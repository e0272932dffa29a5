//! Every body of every 2xx answer of the run, held to the JSON Schema (SPEC §2, §6).
//!
//! Answers are validated while the other checks run; here the findings are told, each once. Each check performs its operation
//! itself first, so that it means something when it runs alone.

use super::check::checks;
use super::context::to_set_up;
use super::push::binding_like_signature;
use super::{Answer, Ctx, Finding, Outcome, Seen, Stop};
use crate::client::Repo;
use crate::wire::MessageKind;

checks! {
    "schema/challenge-answer", Must, "§2", [FIELD_NAMES, BASE64, NONCE_SIZE], challenge_answer,
        "Every answer to challenge is a nonce and nothing else", phase = Finale;
    "schema/token-answer", Must, "§3", [FIELD_NAMES, INT64, TOKEN_ANSWER], token_answer,
        "Every answer to token is a token and its expiry and nothing else", phase = Finale;
    "schema/manifest", Must, "§2",
        [FIELD_NAMES, INT64, BASE64, KEY_ENCODING, CREATE_RETURNS, ADD_RECORDS, REMOVE_REPLACES], manifest,
        "Every answer to createRepo, addMember and removeMember is a VaultManifest and nothing else", phase = Finale;
    "schema/pull-answer", Must, "§2",
        [FIELD_NAMES, INT64, BASE64, KEY_ENCODING, PULL_CURRENT, PULL_UNCHANGED], pull_answer,
        "Every answer to pull is a manifest, an envelope and unchanged, and nothing else", phase = Finale;
    "schema/push-answer", Must, "§2", [FIELD_NAMES, INT64, PUSH_APPLIES, PUSH_CONFLICT], push_answer,
        "Every answer to push, conflicts too, has its four members and no others", phase = Finale;
    "schema/member-entry", Must, "§2", [FIELD_NAMES, INT64, BASE64, KEY_ENCODING, FETCH_ENTRY], member_entry,
        "Every answer to fetchMemberKey is a MemberEntry and nothing else", phase = Finale;
    "schema/integers-without-fraction", Hardening, "§2", [PLAIN_INTEGERS], integers,
        "Integers are written without fraction and exponent, so that every client reads them", phase = Finale, only = Http;
    "schema/byte-order-mark", Must, "§6", [HTTP_PROFILE], byte_order_mark,
        "JSON begins where the body does, without a byte order mark, which most parsers refuse (RFC 8259 §8.1)", phase = Finale,
        only = Http;
    "schema/content-type", Should, "§6", [JSON_CONTENT_TYPE], content_type,
        "Every JSON body is labelled as JSON", phase = Finale, only = Http;
}

/// How many different mistakes a message says at once.
const SHOWN: usize = 5;

/// What the run has seen of a kind of message.
fn verdict(cx: &Ctx, kind: MessageKind, performed: Outcome) -> Outcome {
    let (found, valid) = cx.world.seen.answers.schema_findings(kind);
    cx.remark(format!("{valid} bodies"));
    told(&found, &format!("every 2xx body is a {} by the JSON Schema", kind.name()))?;
    // Without a finding, an operation that didn't work is another check's failure.
    performed.map_err(to_set_up)
}

fn told(found: &[Seen], expected: &str) -> Outcome {
    let Some(first) = found.first() else { return Ok(()) };
    let one = |seen: &Seen| {
        let times = if seen.times == 1 { "once".into() } else { format!("{} times", seen.times) };
        format!("{} ({times}, first in {})", seen.what, seen.check)
    };
    let mut observed: Vec<_> = found.iter().take(SHOWN).map(one).collect();
    if found.len() > SHOWN {
        observed.push(format!("and {} more", found.len() - SHOWN));
    }
    Err(Stop::Violation(Box::new(Finding {
        expected: expected.into(),
        observed: observed.join("; "),
        exchange: Some(first.exchange.clone()),
        evidence: Vec::new(),
    })))
}

/// The body was validated when it came; here only success counts.
fn success(answer: &Answer<'_>) -> Outcome {
    answer.must(answer.is_success(), "the operation works", || answer.summary())
}

/// challenge
async fn challenge_answer(cx: &Ctx) -> Outcome {
    let performed = async { success(&cx.challenge(&cx.identity().id).await?) };
    verdict(cx, MessageKind::ChallengeResponse, performed.await)
}

/// token
async fn token_answer(cx: &Ctx) -> Outcome {
    let performed = async {
        let alice = cx.identity();
        let request = cx.redeem(&alice, &cx.nonce(&alice).await?)?;
        success(&cx.token(&request).await?)
    };
    verdict(cx, MessageKind::TokenResponse, performed.await)
}

/// createRepo, addMember, removeMember
async fn manifest(cx: &Ctx) -> Outcome {
    let performed = async {
        let (alice, bob) = (cx.member().await?, cx.identity());
        let mut repo = cx.repo_with(&alice, &[&bob]).await?;
        cx.expel(&alice, &mut repo, &bob.id, &[&alice]).await
    };
    verdict(cx, MessageKind::VaultManifest, performed.await)
}

/// pull, with and without an envelope
async fn pull_answer(cx: &Ctx) -> Outcome {
    let performed = async {
        let (alice, bob) = (cx.member().await?, cx.identity());
        let repo = cx.repo_with(&alice, &[&bob]).await?;
        success(&cx.pull(&alice, &repo.pull_request(0)).await?)?;
        success(&cx.pull(&alice, &repo.pull_request(repo.version())).await?)
    };
    verdict(cx, MessageKind::PullResponse, performed.await)
}

/// push, applied and stale
async fn push_answer(cx: &Ctx) -> Outcome {
    let performed = async {
        let alice = cx.member().await?;
        let repo: Repo = cx.repo(&alice).await?;
        let push = repo.push_request(&alice);
        success(&cx.push(&alice, &push).await?)?;
        success(&cx.push(&alice, &push).await?)
    };
    verdict(cx, MessageKind::PushResponse, performed.await)
}

/// fetchMemberKey
async fn member_entry(cx: &Ctx) -> Outcome {
    let performed = async {
        let (alice, bob) = (cx.member().await?, cx.identity());
        let mut repo = cx.repo(&alice).await?;
        // With all that an entry can have.
        let mut request = repo.add_request(&bob);
        request.member.key_binding_sig = Some(binding_like_signature());
        success(&cx.add(&alice, &request).await?)?;
        repo.apply_add(&request.member);
        success(&cx.fetch(&alice, repo.id(), &bob.id).await?)?;
        success(&cx.fetch(&alice, repo.id(), alice.id()).await?)
    };
    verdict(cx, MessageKind::MemberEntry, performed.await)
}

/// `application/json`, or another type that ends in `+json`.
async fn content_type(cx: &Ctx) -> Outcome {
    let performed = async {
        let alice = cx.member().await?;
        let repo = cx.repo(&alice).await?;
        success(&cx.pull(&alice, &repo.pull_request(0)).await?)
    };
    let performed = performed.await;
    told(&cx.world.seen.answers.content_type_findings(), "every 2xx body comes with Content-Type: application/json")?;
    performed.map_err(to_set_up)
}

/// `1.0` is an integer to JSON Schema, and none to many a client.
async fn integers(cx: &Ctx) -> Outcome {
    let performed = async {
        let alice = cx.member().await?;
        let repo = cx.repo(&alice).await?;
        success(&cx.pull(&alice, &repo.pull_request(0)).await?)
    };
    let performed = performed.await;
    told(&cx.world.seen.answers.fraction_findings(), "integers are written as 1 is")?;
    performed.map_err(to_set_up)
}

async fn byte_order_mark(cx: &Ctx) -> Outcome {
    let performed = async { success(&cx.challenge(&cx.identity().id).await?) }.await;
    told(&cx.world.seen.answers.mark_findings(), "a body that is JSON and nothing else")?;
    performed.map_err(to_set_up)
}
