//! What a request leaves in the server that nobody sees before the next one (SPEC §6, §10): objects of a refused write that a later
//! one saves, connections that are never given back.

use super::check::checks;
use super::context::to_set_up;
use super::push::{applied, conflicts, not_accepted};
use super::removal::remove_rightly;
use super::variants::Variants;
use super::{Answer, Ctx, Member, Operation, Outcome, Stop};
use crate::client::{Identity, Repo};
use crate::wire::{PushRequest, VaultManifest};

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

/// What is refused in a repository.
#[derive(Clone, Copy)]
enum Refused {
    CreationByMember,
    CreationByStranger,
    PullByStranger,
    PushByStranger,
    StalePush,
    PushWithoutEnvelope,
    AdditionByStranger,
    AdditionWithoutMember,
    RemovalByStranger,
    RemovalOfNobody,
    RemovalToOldEpoch,
    FetchByStranger,
    FetchOfNobody,
}

const REFUSALS: [(&str, Refused); 13] = [
    ("a createRepo of its id by a member", Refused::CreationByMember),
    ("a createRepo of its id by a stranger", Refused::CreationByStranger),
    ("a pull by a stranger", Refused::PullByStranger),
    ("a push by a stranger", Refused::PushByStranger),
    ("a stale push", Refused::StalePush),
    ("a push without an envelope", Refused::PushWithoutEnvelope),
    ("an addMember by a stranger", Refused::AdditionByStranger),
    ("an addMember without a member", Refused::AdditionWithoutMember),
    ("a removeMember by a stranger", Refused::RemovalByStranger),
    ("a removeMember of who isn't in the roster", Refused::RemovalOfNobody),
    ("a removeMember to an epoch that isn't higher", Refused::RemovalToOldEpoch),
    ("a fetchMemberKey by a stranger", Refused::FetchByStranger),
    ("a fetchMemberKey of who isn't in the roster", Refused::FetchOfNobody),
];

/// A lock or a transaction that a refusal doesn't end shows in what is written next.
async fn after_any_refusal(cx: &Ctx) -> Outcome {
    let (alice, mallory) = (cx.member().await?, cx.member().await?);
    let mut tally = Variants::default();
    for (what, refused) in REFUSALS {
        tally.note(format!("after {what}"), writes_go_on(cx, &alice, &mallory, what, refused).await)?;
    }
    tally.settle(cx)
}

async fn writes_go_on(cx: &Ctx, alice: &Member, mallory: &Member, what: &str, refused: Refused) -> Outcome {
    let mut repo = cx.repo(alice).await?;
    let answer = refused.sent(cx, alice, mallory, &repo).await?;
    let conflict = matches!(refused, Refused::StalePush) && answer.is_success();
    if !conflict && !answer.is_refusal() {
        return Err(Stop::not_applicable(format!("{what} isn't refused as it should be")));
    }
    let push = repo.push_request(alice);
    let pushed = cx.push(alice, &push).await?;
    applied(&repo, &pushed, push.envelope.payload_version, repo.epoch())?;
    repo.apply_push(&push);
    let addition = repo.add_request(&cx.identity());
    let added = cx.add(alice, &addition).await?;
    added.accepted::<VaultManifest>("addMember by a member").map(drop)
}

impl Refused {
    async fn sent<'c>(self, cx: &'c Ctx, alice: &Member, mallory: &Member, repo: &Repo) -> Result<Answer<'c>, Stop> {
        let nobody = cx.identity();
        let removal = || repo.rotation(alice, &[alice]);
        match self {
            Self::CreationByMember => cx.create(alice, &Repo::with_id(alice, repo.id()).create_request()).await,
            Self::CreationByStranger => cx.create(mallory, &Repo::with_id(mallory, repo.id()).create_request()).await,
            Self::PullByStranger => cx.pull(mallory, &repo.pull_request(0)).await,
            Self::PushByStranger => cx.push(mallory, &repo.push_request(mallory)).await,
            Self::StalePush => {
                let stale = PushRequest { expected_payload_version: repo.version() - 1, ..repo.push_request(alice) };
                cx.push(alice, &stale).await
            }
            Self::PushWithoutEnvelope => incomplete(cx, Operation::Push, alice, repo, &repo.push_request(alice)).await,
            Self::AdditionByStranger => cx.add(mallory, &repo.add_request(&nobody)).await,
            Self::AdditionWithoutMember => {
                incomplete(cx, Operation::AddMember, alice, repo, &repo.add_request(&nobody)).await
            }
            Self::RemovalByStranger => cx.remove(mallory, &repo.remove_request(alice.id(), &removal())).await,
            Self::RemovalOfNobody => cx.remove(alice, &repo.remove_request(&nobody.id, &removal())).await,
            Self::RemovalToOldEpoch => {
                let removal = repo.rotation_to(alice, &[alice], repo.version() + 1, repo.epoch());
                cx.remove(alice, &repo.remove_request(&nobody.id, &removal)).await
            }
            Self::FetchByStranger => cx.fetch(mallory, repo.id(), alice.id()).await,
            Self::FetchOfNobody => cx.fetch(alice, repo.id(), &nobody.id).await,
        }
    }
}

/// A request that lacks what it is there for.
async fn incomplete<'c>(
    cx: &'c Ctx,
    operation: Operation,
    by: &Member,
    repo: &Repo,
    request: &impl serde::Serialize,
) -> Result<Answer<'c>, Stop> {
    let mut body = serde_json::to_value(request).unwrap_or_default();
    if let Some(members) = body.as_object_mut() {
        members.retain(|name, _| !matches!(name.as_str(), "envelope" | "member"));
    }
    cx.perform(operation, repo.id(), &by.auth(), &body).await
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
