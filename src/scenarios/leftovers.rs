//! What a request leaves in the server that nobody sees before the next one (SPEC §6, §10): objects of a refused write that a later
//! one saves, connections that are never given back.

use super::check::checks;
use super::context::to_set_up;
use super::push::{applied, conflicts};
use super::refused_requests::{self, Cast, Refused};
use super::removal::remove_rightly;
use super::rights::happened;
use super::variants::Variants;
use super::{Ctx, Operation, Outcome, Stop};
use crate::client::{Identity, Repo};
use crate::wire::VaultManifest;

checks! {
    "push/refused-comes-with-no-later-write", Must, "§6", [PUSH_REFUSED_WHOLE, PUSH_GATED, STORED_VERBATIM], nothing_after_pushes,
        "Nothing of a refused push comes into the repository with the next push, addition or removal";
    "refusal/comes-with-no-later-write", Must, "§6", [ADD_MEMBERS_ONLY, REMOVE_ATOMIC, PUSH_GATED, ADD_RECORDS, READ_YOUR_WRITES], nothing_after_others,
        "Nothing of a refused creation, addition, removal or read comes into the repository with the next write";
    "push/applies-after-any-refusal", Must, "§6", [PUSH_APPLIES, ADD_RECORDS, REMOVE_REPLACES], after_any_refusal,
        "Whatever was refused in a repository, the next right push, addition and removal are carried out";
    "push/applies-after-many-conflicts", Must, "§6", [PUSH_APPLIES, PUSH_CONFLICT], many_conflicts,
        "However many conflicts and refusals a repository has seen, the next right push applies";
    "add-member/sent-again-after-removal", Must, "§6", [ADD_RECORDS, READ_YOUR_WRITES], again_after_removal,
        "An addMember that is sent again after the member's removal is refused, or brings the member in";
}

/// What is written after a refusal.
const NEXT: [Operation; 3] = [Operation::Push, Operation::AddMember, Operation::RemoveMember];

async fn nothing_after_pushes(cx: &Ctx) -> Outcome {
    nothing_later(cx, Refused::is_push).await
}

async fn nothing_after_others(cx: &Ctx) -> Outcome {
    nothing_later(cx, |refused| !refused.is_push()).await
}

/// Objects of a refused request may wait in a session until somebody else's write saves them, and a transaction that it has
/// left open may spoil the next.
async fn nothing_later(cx: &Ctx, is_wanted: impl Fn(Refused) -> bool) -> Outcome {
    let (alice, mallory) = (cx.member().await?, cx.member().await?);
    let (bob, eve) = (cx.identity(), cx.identity());
    let cast = Cast { alice: &alice, bob: &bob, mallory: &mallory, eve: &eve };
    let mut tally = Variants::default();
    for (what, refused) in refused_requests::ALL.into_iter().filter(|(_, refused)| is_wanted(*refused)) {
        followed(cx, &cast, &mut tally, what, refused).await?;
    }
    tally.settle(cx)
}

/// Each write comes right after the refusal; what is there then is what the write has written.
async fn followed(cx: &Ctx, cast: &Cast<'_>, tally: &mut Variants, what: &str, refused: Refused) -> Outcome {
    let (alice, carol) = (cast.alice, cx.identity());
    let mut repo = cx.repo_with(alice, &[cast.bob]).await?;
    // So that there is an epoch before, too.
    let rotation = repo.rotation(alice, &[alice, cast.bob]);
    if happened(&cx.push(alice, &repo.rotating_push(&rotation)).await?, "a rotating push").is_ok() {
        repo.apply_rotation(&rotation);
        cx.watch(&repo);
    } else {
        cx.advance(alice, &mut repo).await?;
    }
    let outcome = gate_stands(cx, cast, &repo, what, refused).await;
    let mut goes_on = outcome.is_ok();
    tally.note(format!("a stale push after {what}"), outcome)?;
    for next in NEXT {
        if !goes_on {
            break;
        }
        let outcome = saves_itself(cx, cast, &mut repo, &carol, (what, refused), next).await;
        goes_on = outcome.is_ok();
        tally.note(format!("{} after {what}", next.name()), outcome)?;
    }
    Ok(())
}

/// Whether it is refused at all is the business of others.
async fn is_refused(cx: &Ctx, cast: &Cast<'_>, repo: &Repo, what: &str, refused: Refused) -> Outcome {
    if refused.was(repo, &refused.sent(cx, cast, repo).await?) {
        return Ok(());
    }
    cx.world.seen.known.lost(repo.id());
    Err(Stop::not_applicable(format!("{what} isn't refused as it should be")))
}

async fn gate_stands(cx: &Ctx, cast: &Cast<'_>, repo: &Repo, what: &str, refused: Refused) -> Outcome {
    is_refused(cx, cast, repo, what, refused).await?;
    let mut stale = repo.push_request(cast.alice);
    stale.expected_payload_version -= 1;
    conflicts(repo, &cx.push(cast.alice, &stale).await?)
}

async fn saves_itself(
    cx: &Ctx,
    cast: &Cast<'_>,
    repo: &mut Repo,
    carol: &Identity,
    (what, refused): (&str, Refused),
    next: Operation,
) -> Outcome {
    let alice = cast.alice;
    is_refused(cx, cast, repo, what, refused).await?;
    let written = match next {
        Operation::Push => cx.advance(alice, repo).await,
        Operation::AddMember => cx.enrol(alice, repo, carol).await,
        _ => remove_rightly(cx, alice, repo, &cast.bob.id, &[alice, carol]).await.map_err(to_set_up),
    };
    if let Err(Stop::SetupFailed(finding)) = written {
        // That writes go on is told by push/applies-after-any-refusal.
        cx.world.seen.known.lost(repo.id());
        return Err(Stop::not_judged(format!("{} after {what}: {}", next.name(), finding.observed)));
    }
    written?;
    cx.holds(alice, repo, &format!("{} that followed {what}", next.name())).await
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
    is_refused(cx, cast, &repo, what, refused).await?;
    let push = repo.push_request(alice);
    applied(&repo, &cx.push(alice, &push).await?, push.envelope.payload_version, repo.epoch())?;
    repo.apply_push(&push);
    let carol = cx.identity();
    let addition = repo.add_request(&carol);
    cx.add(alice, &addition).await?.accepted::<VaultManifest>("addMember by a member")?;
    repo.apply_add(&addition.member);
    remove_rightly(cx, alice, &mut repo, &cast.bob.id, &[alice, &carol]).await
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
