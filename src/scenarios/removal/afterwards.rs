//! What comes after a removal: another one, and pushes of before and after it.

use super::remove_rightly;
use crate::scenarios::state::differing;
use crate::scenarios::{Ctx, Outcome};
use crate::wire::PushResponse;

pub(super) async fn two_in_a_row(cx: &Ctx) -> Outcome {
    let (alice, bob, carol, dave) = (cx.member().await?, cx.member().await?, cx.member().await?, cx.member().await?);
    let mut repo = cx.repo_with(&alice, &[&bob, &carol, &dave]).await?;
    remove_rightly(cx, &alice, &mut repo, bob.id(), &[&alice, &carol, &dave]).await?;
    // Whether the creator can be removed is asked by any_member.
    remove_rightly(cx, &carol, &mut repo, dave.id(), &[&alice, &carol]).await?;
    for reader in [&alice, &carol] {
        cx.readable(reader, &repo, "two removals").await?;
    }
    for gone in [&bob, &dave] {
        let answer = cx.pull(gone, &repo.pull_request(0)).await?;
        answer.refused("a pull by a removed member", &[403])?;
    }
    Ok(())
}

pub(super) async fn push_afterwards(cx: &Ctx) -> Outcome {
    let (alice, bob) = (cx.member().await?, cx.member().await?);
    let carol = cx.identity();
    let mut repo = cx.repo_with(&alice, &[&bob, &carol]).await?;
    remove_rightly(cx, &alice, &mut repo, &carol.id, &[&alice, &bob]).await?;
    for author in [&bob, &alice] {
        let request = repo.push_request(author);
        let answer = cx.push(author, &request).await?;
        repo.apply_push(&request);
        let expected =
            PushResponse { accepted: true, payload_version: repo.version(), key_epoch: repo.epoch(), conflict: false };
        let response: PushResponse = answer.accepted("a push after a removal")?;
        answer.must(response == expected, &format!("the push is answered with {expected}"), || {
            differing(&expected, &response)
        })?;
        cx.readable(&bob, &repo, "a push after a removal").await?;
    }
    cx.readable(&alice, &repo, "pushes after a removal").await
}

/// bob's push crossed alice's removal of carol: it is encrypted under the old key and must not land.
pub(super) async fn stale_push_afterwards(cx: &Ctx) -> Outcome {
    let (alice, bob) = (cx.member().await?, cx.member().await?);
    let carol = cx.identity();
    let mut repo = cx.repo_with(&alice, &[&bob, &carol]).await?;
    let late = repo.push_request(&bob);
    let later = repo.push_request_at(&bob, repo.version() + 9);
    remove_rightly(cx, &alice, &mut repo, &carol.id, &[&alice, &bob]).await?;
    for push in [&late, &later] {
        let answer = cx.push(&bob, push).await?;
        let expected =
            PushResponse { accepted: false, payload_version: repo.version(), key_epoch: repo.epoch(), conflict: true };
        let response: PushResponse = answer.accepted("a push that was made before a removal, as a conflict,")?;
        answer.must(response == expected, &format!("the push is answered with {expected}"), || {
            differing(&expected, &response)
        })?;
    }
    cx.readable(&bob, &repo, "a push that was made before a removal").await
}
