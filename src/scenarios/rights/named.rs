//! Who is named in a request that is refused: it brings nobody in, and changes what is served of nobody.

use super::super::refused_requests::{self, Cast, Refused};
use super::super::variants::Variants;
use super::super::{Ctx, Member, Outcome, Stop};
use super::entries::fetched;

/// What keeps rights or entries beside the roster, for a quick look, may be written before a request is refused.
pub(super) async fn brings_nobody_in(cx: &Ctx) -> Outcome {
    let (alice, mallory, eve) = (cx.member().await?, cx.member().await?, cx.member().await?);
    let bob = cx.identity();
    let cast = Cast { alice: &alice, bob: &bob, mallory: &mallory, eve: &eve };
    let mut tally = Variants::default();
    for (what, refused) in refused_requests::ALL.into_iter().filter(|(_, refused)| refused.names_somebody()) {
        tally.note(format!("after {what}"), changes_nobody(cx, &cast, &eve, what, refused).await)?;
    }
    tally.settle(cx)
}

async fn changes_nobody(cx: &Ctx, cast: &Cast<'_>, eve: &Member, what: &str, refused: Refused) -> Outcome {
    let alice = cast.alice;
    let mut repo = cx.repo_with(alice, &[cast.bob]).await?;
    cx.advance(alice, &mut repo).await?;
    if !refused.was(&repo, &refused.sent(cx, cast, &repo).await?) {
        cx.world.seen.known.lost(repo.id());
        return Err(Stop::not_applicable(format!("{what} isn't refused as it should be")));
    }
    let who = format!("somebody whom only {what} names");
    cx.pull(eve, &repo.pull_request(0)).await?.refused(&format!("a pull by {who}"), &[403])?;
    cx.push(eve, &repo.push_request(eve)).await?.refused(&format!("a push by {who}"), &[403])?;
    cx.fetch(eve, repo.id(), alice.id()).await?.refused(&format!("fetchMemberKey by {who}"), &[403])?;
    for id in [alice.id(), &cast.bob.id] {
        fetched(cx, alice, &repo, id, what).await?;
    }
    cx.holds(alice, &repo, what).await
}
