//! What a request leaves in the server that nobody sees before the next one (SPEC §6, §10): objects of a refused write that a later
//! one saves, connections that are never given back.

use super::check::checks;
use super::context::to_set_up;
use super::push::{applied, conflicts, not_accepted};
use super::refused_requests::{self, Cast, Refused};
use super::removal::remove_rightly;
use super::variants::Variants;
use super::{Ctx, Member, Operation, Outcome, Stop};
use crate::client::Identity;
use crate::wire::VaultManifest;

checks! {
    "push/refused-comes-with-no-later-write", Must, "§6", [PUSH_REFUSED_WHOLE, PUSH_GATED, STORED_VERBATIM], nothing_later,
        "Nothing of a refused push comes into the repository with the next push, addition or removal";
    "push/applies-after-any-refusal", Must, "§6", [PUSH_APPLIES, ADD_RECORDS], after_any_refusal,
        "Whatever was refused in a repository, the next right push and the next addition are carried out";
    "push/applies-after-many-conflicts", Must, "§6", [PUSH_APPLIES, PUSH_CONFLICT], many_conflicts,
        "However many conflicts and refusals a repository has seen, the next right push applies";
    "add-member/sent-again-after-removal", Must, "§6", [ADD_RECORDS, READ_YOUR_WRITES], again_after_removal,
        "An addMember that is sent again after the member's removal is refused, or brings the member in";
}

/// Pushes that don't apply.
const REFUSED: [(&str, bool, bool); 4] = [
    ("a stale push", false, true),
    ("a stale rotating push", true, true),
    ("a push that doesn't raise the version", false, false),
    ("a rotating push that doesn't raise the version", true, false),
];

const NEXT: [Operation; 3] = [Operation::Push, Operation::AddMember, Operation::RemoveMember];

async fn nothing_later(cx: &Ctx) -> Outcome {
    let alice = cx.member().await?;
    let mut tally = Variants::default();
    for (what, rotates, stale) in REFUSED {
        for next in NEXT {
            let outcome = followed(cx, &alice, what, (rotates, stale), next).await;
            tally.note(format!("{} after {what}", next.name()), outcome)?;
        }
    }
    tally.settle(cx)
}

/// A push that is refused, and a write that isn't; what is there then is what the second one wrote.
async fn followed(cx: &Ctx, alice: &Member, what: &str, (rotates, stale): (bool, bool), next: Operation) -> Outcome {
    let (bob, carol, mallory): (Identity, Identity, Identity) = (cx.identity(), cx.identity(), cx.identity());
    let mut repo = cx.repo_with(alice, &[&bob, &carol]).await?;
    cx.advance(alice, &mut repo).await?;
    let version = if stale { repo.version() + 1 } else { repo.version() };
    let mut push = if rotates {
        repo.rotating_push(&repo.rotation_to(alice, &[alice, &mallory], version, repo.epoch() + 1))
    } else {
        repo.push_request_at(alice, version)
    };
    push.expected_payload_version = repo.version() - i64::from(stale);
    let answer = cx.push(alice, &push).await?;
    // Whether it is refused at all is the business of others.
    let refused = if stale { conflicts(&repo, &answer) } else { not_accepted(&answer, version, repo.version()) };
    if let Err(Stop::Violation(_)) = refused {
        return Err(Stop::not_applicable(format!("{what} isn't refused as it should be")));
    }
    refused?;
    match next {
        Operation::Push => cx.advance(alice, &mut repo).await?,
        Operation::AddMember => cx.enrol(alice, &mut repo, &cx.identity()).await?,
        _ => remove_rightly(cx, alice, &mut repo, &carol.id, &[alice, &bob]).await.map_err(to_set_up)?,
    }
    cx.holds(alice, &repo, &format!("{} that followed {what}", next.name())).await
}

/// A lock or a transaction that a refusal doesn't end shows in what is written next.
async fn after_any_refusal(cx: &Ctx) -> Outcome {
    let (alice, mallory) = (cx.member().await?, cx.member().await?);
    let (bob, eve) = (cx.identity(), cx.identity());
    let cast = Cast { alice: &alice, bob: &bob, mallory: &mallory, eve: &eve };
    let mut tally = Variants::default();
    for (what, refused) in refused_requests::ALL {
        tally.note(format!("after {what}"), writes_go_on(cx, &cast, what, refused).await)?;
    }
    tally.settle(cx)
}

async fn writes_go_on(cx: &Ctx, cast: &Cast<'_>, what: &str, refused: Refused) -> Outcome {
    let alice = cast.alice;
    let mut repo = cx.repo_with(alice, &[cast.bob]).await?;
    if !refused.was(&repo, &refused.sent(cx, cast, &repo).await?) {
        cx.world.seen.known.lost(repo.id());
        return Err(Stop::not_applicable(format!("{what} isn't refused as it should be")));
    }
    let push = repo.push_request(alice);
    applied(&repo, &cx.push(alice, &push).await?, push.envelope.payload_version, repo.epoch())?;
    repo.apply_push(&push);
    let added = cx.add(alice, &repo.add_request(&cx.identity())).await?;
    added.accepted::<VaultManifest>("addMember by a member").map(drop)
}

/// Refusals of each kind.
const MANY: usize = 40;

/// What a refusal forgets to give back is used up after some of them.
async fn many_conflicts(cx: &Ctx) -> Outcome {
    let (alice, mallory) = (cx.member().await?, cx.member().await?);
    let mut repo = cx.repo(&alice).await?;
    cx.advance(&alice, &mut repo).await?;
    let mut stale = repo.push_request(&alice);
    stale.expected_payload_version = repo.version() - 1;
    for round in 0..MANY {
        conflicts(&repo, &cx.push(&alice, &stale).await?)?;
        if round % 2 == 0 {
            // That strangers are refused is another check's business.
            cx.pull(&mallory, &repo.pull_request(0)).await?;
        }
    }
    let push = repo.push_request(&alice);
    applied(&repo, &cx.push(&alice, &push).await?, repo.version() + 1, repo.epoch())?;
    repo.apply_push(&push);
    cx.readable(&alice, &repo, &format!("a push that followed {MANY} conflicts")).await
}

/// The same request to the last byte: a memory of what was done mustn't answer for what is.
async fn again_after_removal(cx: &Ctx) -> Outcome {
    let (alice, bob) = (cx.member().await?, cx.member().await?);
    let mut repo = cx.repo(&alice).await?;
    let request = repo.add_request(&bob);
    cx.add(&alice, &request).await?.accepted::<VaultManifest>("addMember").map_err(to_set_up)?;
    repo.apply_add(&request.member);
    remove_rightly(cx, &alice, &mut repo, bob.id(), &[&alice]).await.map_err(to_set_up)?;
    let answer = cx.add(&alice, &request).await?;
    if answer.is_success() {
        repo.apply_add(&request.member);
    } else {
        // Its epoch is that of before; or who was removed stays out here.
        answer.refused_somehow("an addMember of the time before a removal, unless it is carried out,")?;
    }
    cx.holds(&alice, &repo, "an addMember that was sent again after the member's removal").await
}
