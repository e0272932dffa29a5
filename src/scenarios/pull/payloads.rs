//! Payloads of all sizes, which come back byte for byte or are refused cleanly.

use super::super::readers::one_of;
use super::super::{Answer, Call, Ctx, Finding, Member, Operation, Outcome, Stop};
use crate::client::{Repo, random};
use crate::wire::{PushResponse, VaultManifest};

/// A payload of a given size that compresses badly.
fn payload(size: usize) -> Vec<u8> {
    let mut bytes = vec![0; size];
    random::fill(&mut bytes);
    bytes
}

/// All three paddings of base64, and both sides of a cipher block; at creation and by push.
pub(super) async fn small_payloads(cx: &Ctx) -> Outcome {
    let alice = cx.member().await?;
    let empty = Repo::with_plaintext(&alice, &random::uuid(), 1, 0, Vec::new());
    cx.watch(&empty);
    let answer = cx.create(&alice, &empty.create_request()).await?;
    // No vault of accounts is empty to the last byte, and a server may know that.
    let takes_none = answer.is_success();
    let mut repo = if takes_none {
        cx.readable(&alice, &empty, "createRepo with an empty payload").await?;
        empty
    } else {
        answer.refused_somehow("createRepo with an empty payload, unless it is carried out,")?;
        cx.repo(&alice).await?
    };
    for size in [1, 15, 16, 17, 0, 255] {
        let request = repo.push_of(&payload(size), repo.version() + 1);
        let answer = cx.push(&alice, &request).await?;
        if size == 0 && answer.is_refusal() && !takes_none {
            continue;
        }
        let applied: PushResponse = answer.accepted(&format!("a push of {size} bytes"))?;
        answer.must(applied.accepted, &format!("a push of {size} bytes applies"), || applied.to_string())?;
        repo.apply_push(&request);
        cx.readable(&alice, &repo, &format!("a push of {size} bytes")).await?;
    }
    Ok(())
}

pub(super) async fn payload_of_64_kib(cx: &Ctx) -> Outcome {
    large_payload(cx, 64 << 10).await
}

pub(super) async fn payload_of_1_mib(cx: &Ctx) -> Outcome {
    large_payload(cx, 1 << 20).await
}

/// By push and by createRepo. What is refused has changed nothing.
async fn large_payload(cx: &Ctx, size: usize) -> Outcome {
    let alice = cx.member().await?;
    let mut repo = cx.repo(&alice).await?;
    let request = repo.push_of(&payload(size), repo.version() + 1);
    let body = serde_json::to_vec(&request).unwrap_or_default();
    match send_large(cx, &alice, Operation::Push, repo.id(), body).await? {
        Sent::Answered(answer) => {
            let applied: PushResponse = answer.accepted("a push")?;
            answer.must(applied.accepted, "the push applies", || applied.to_string())?;
            repo.apply_push(&request);
            cx.readable(&alice, &repo, &format!("a push of {size} bytes")).await?;
        }
        Sent::Refused => cx.readable(&alice, &repo, &format!("a refused push of {size} bytes")).await?,
        Sent::Unanswered => {
            let before = repo.clone();
            repo.apply_push(&request);
            one_of(&cx.pull(&alice, &repo.pull_request(0)).await?, &[&before, &repo])?;
        }
    }
    let repo = Repo::with_plaintext(&alice, &random::uuid(), 1, 0, payload(size));
    cx.watch(&repo);
    let body = serde_json::to_vec(&repo.create_request()).unwrap_or_default();
    if let Sent::Answered(answer) = send_large(cx, &alice, Operation::CreateRepo, "", body).await? {
        answer.accepted::<VaultManifest>("createRepo by the sole member")?;
        cx.readable(&alice, &repo, &format!("createRepo with {size} bytes")).await?;
    }
    Ok(())
}

/// What came of a large body.
enum Sent<'c> {
    Answered(Answer<'c>),
    /// The server doesn't take as much, and says so.
    Refused,
    /// The connection was closed instead: it may have been carried out or not.
    Unanswered,
}

/// Sends a body that the server may not take: it refuses with a 4xx, or, less cleanly, closes the connection.
async fn send_large<'c>(
    cx: &'c Ctx,
    by: &Member,
    operation: Operation,
    repo_id: &str,
    body: Vec<u8>,
) -> Result<Sent<'c>, Stop> {
    let auth = by.auth();
    let length = body.len();
    let (exchange, result) = cx.try_call(Call::operation(operation, repo_id, "", &auth, Some(body.into()))).await;
    match result {
        Ok(answer) if answer.is_refusal() => {
            cx.remark(format!("{} with a body of {length} bytes is refused with {}", operation.name(), answer.status));
            answer.should(answer.status == 413, "a body that is too large is refused with 413", || answer.summary());
            Ok(Sent::Refused)
        }
        Ok(answer) => Ok(Sent::Answered(answer)),
        Err(error) => {
            let finding = Finding {
                expected: format!("an answer to a body of {length} bytes, be it 413"),
                observed: error.to_string(),
                exchange: Some(exchange),
                evidence: Vec::new(),
            };
            if cx.world.is_gone(&cx.world.target.vault, &error).await {
                return Err(Stop::SetupFailed(finding.into()));
            }
            cx.warn(finding);
            Ok(Sent::Unanswered)
        }
    }
}
