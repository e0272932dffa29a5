//! Ids that are only like a member's: who may is compared as exactly as what is stored.

use super::super::context::to_set_up;
use super::super::rosters::{TWINS, entry_like, with_twin};
use super::super::variants::Variants;
use super::super::{Ctx, Member, Outcome, Stop};
use super::{Cast, OPERATIONS, attempt};
use crate::wire::MemberAddRequest;

/// The roster holds the twins of strangers, and never the strangers themselves; each of them tries everything.
pub(super) async fn check(cx: &Ctx) -> Outcome {
    let (alice, carol) = (cx.member().await?, cx.identity());
    let mut repo = cx.repo_with(&alice, &[&carol]).await?;
    let mut strangers: Vec<(String, Member)> = Vec::new();
    for (name, twin) in TWINS {
        let stranger = with_twin(twin);
        let member = entry_like(&twin(&stranger.id), repo.epoch());
        let request = MemberAddRequest { repo_id: repo.id().into(), member };
        if cx.add(&alice, &request).await.map_err(to_set_up)?.is_success() {
            repo.apply_add(&request.member);
            let whose = format!("whose id differs from a member's {name}");
            strangers.push((whose, cx.authenticate(cx.introduce(stranger)).await?));
        }
    }
    // Whose id is a member's other key: a search for it in the roster's text finds it.
    let (carrier, stranger) = (cx.identity(), cx.member().await?);
    let mut request = repo.add_request(&carrier);
    request.member.x25519_public_key.clone_from(&stranger.identity.id);
    if cx.add(&alice, &request).await.map_err(to_set_up)?.is_success() {
        repo.apply_add(&request.member);
        strangers.push(("whose id is a member's X25519 key".into(), stranger));
    }
    if strangers.is_empty() {
        return Err(Stop::not_applicable("the server refuses member ids that only look like keys"));
    }
    let mut tally = Variants::default();
    for (whose, stranger) in strangers {
        let cast = Cast { alice: alice.clone(), bob: stranger.clone(), carol: carol.clone() };
        for operation in OPERATIONS {
            let what = format!("{} by somebody {whose}", operation.name());
            let answer = attempt(cx, &stranger, &repo, operation, &cast).await?;
            let outcome = answer.refused_somehow(&what).and_then(|()| answer.keeps_secret(&repo));
            tally.note(what, outcome)?;
        }
    }
    if !tally.is_broken() {
        tally.note(
            "all of them",
            cx.holds(&alice, &repo, "refused requests of somebody who is nearly a member").await,
        )?;
    }
    tally.settle(cx)
}
