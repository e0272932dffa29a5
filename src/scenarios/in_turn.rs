//! Requests that come too early, and the same bytes again when their turn has come (SPEC §6): an answer is about the state of now,
//! so that whoever keeps answers by the request alone gives a wrong one.

use bytes::Bytes;

use super::check::checks;
use super::contention::body;
use super::context::to_set_up;
use super::push::{applied, conflicts};
use super::variants::Variants;
use super::{Answer, Ctx, Member, Operation, Outcome, Stop};
use crate::client::Repo;
use crate::wire::{MemberEntry, VaultManifest};

checks! {
    "refusal/ends-when-the-turn-comes", Must, "§6", [PUSH_APPLIES, ADD_RECORDS, REMOVE_DROPS, FETCH_ENTRY], in_turn,
        "What was refused because it came too early is carried out, to the byte the same, once it is right";
}

async fn in_turn(cx: &Ctx) -> Outcome {
    let alice = cx.member().await?;
    let mut tally = Variants::default();
    tally.note("a push", push(cx, &alice, false).await)?;
    tally.note("a rotating push", push(cx, &alice, true).await)?;
    tally.note("an addMember", addition(cx, &alice).await)?;
    tally.note("a removeMember", removal(cx, &alice).await)?;
    tally.note("a fetchMemberKey", fetch(cx, &alice).await)?;
    tally.settle(cx)
}

/// A push that expects the version after the next, and once more when that is there.
async fn push(cx: &Ctx, alice: &Member, rotates: bool) -> Outcome {
    let mut repo = cx.repo(alice).await?;
    let version = repo.version() + 2;
    let rotation = repo.rotation_to(alice, &[alice], version, repo.epoch() + 1);
    let mut early = if rotates { repo.rotating_push(&rotation) } else { repo.push_request_at(alice, version) };
    early.expected_payload_version = version - 1;
    let bytes = body(&early);
    conflicts(&repo, &sent(cx, Operation::Push, alice, &repo, &bytes).await?).map_err(as_prerequisite)?;
    cx.advance(alice, &mut repo).await?;
    let epoch = repo.epoch() + i64::from(rotates);
    let answer = sent(cx, Operation::Push, alice, &repo, &bytes).await?;
    applied(&repo, &answer, version, epoch)?;
    if rotates {
        repo.apply_rotation(&rotation);
    } else {
        repo.apply_push(&early);
    }
    cx.watch(&repo);
    cx.holds(alice, &repo, "a push that came too early first").await
}

/// An entry of the next epoch, and once more when that has begun.
async fn addition(cx: &Ctx, alice: &Member) -> Outcome {
    let mut repo = cx.repo(alice).await?;
    let rotation = repo.rotation(alice, &[alice]);
    let mut next = repo.clone();
    next.apply_rotation(&rotation);
    let request = next.add_request(&cx.identity());
    let bytes = body(&request);
    let answer = sent(cx, Operation::AddMember, alice, &repo, &bytes).await?;
    if !answer.is_refusal() {
        cx.world.seen.known.lost(repo.id());
        return Err(Stop::not_applicable("an entry of the next epoch is taken early"));
    }
    let answer = cx.push(alice, &repo.rotating_push(&rotation)).await.map_err(to_set_up)?;
    applied(&repo, &answer, rotation.envelope.payload_version, rotation.envelope.key_epoch).map_err(to_set_up)?;
    repo.apply_rotation(&rotation);
    cx.watch(&repo);
    let answer = sent(cx, Operation::AddMember, alice, &repo, &bytes).await?;
    answer.accepted::<VaultManifest>("addMember at the entry's epoch, which was refused before it,")?;
    repo.apply_add(&request.member);
    cx.holds(alice, &repo, "an addMember that came too early first").await
}

/// Of somebody who isn't there yet.
async fn removal(cx: &Ctx, alice: &Member) -> Outcome {
    let mut repo = cx.repo(alice).await?;
    let bob = cx.identity();
    let rotation = repo.rotation(alice, &[alice]);
    let bytes = body(&repo.remove_request(&bob.id, &rotation));
    let answer = sent(cx, Operation::RemoveMember, alice, &repo, &bytes).await?;
    if !answer.is_refusal() {
        cx.world.seen.known.lost(repo.id());
        return Err(Stop::not_applicable("the removal of who isn't a member isn't refused"));
    }
    cx.enrol(alice, &mut repo, &bob).await?;
    let answer = sent(cx, Operation::RemoveMember, alice, &repo, &bytes).await?;
    answer.accepted::<VaultManifest>("removeMember of a member who wasn't one when it was first asked for")?;
    repo.apply_rotation(&rotation);
    cx.watch(&repo);
    cx.holds(alice, &repo, "a removeMember that came too early first").await
}

async fn fetch(cx: &Ctx, alice: &Member) -> Outcome {
    let mut repo = cx.repo(alice).await?;
    let bob = cx.identity();
    cx.fetch(alice, repo.id(), &bob.id).await?.refused_somehow("fetchMemberKey of nobody").map_err(as_prerequisite)?;
    cx.enrol(alice, &mut repo, &bob).await?;
    let answer = cx.fetch(alice, repo.id(), &bob.id).await?;
    answer.accepted::<MemberEntry>("fetchMemberKey of a member who wasn't one a moment ago").map(drop)
}

async fn sent<'c>(
    cx: &'c Ctx,
    operation: Operation,
    by: &Member,
    repo: &Repo,
    bytes: &Option<Bytes>,
) -> Result<Answer<'c>, Stop> {
    let auth = by.auth();
    cx.call(super::Call::operation(operation, repo.id(), "", &auth, bytes.clone())).await
}

/// Whether what comes early is refused is the business of others.
fn as_prerequisite(stop: Stop) -> Stop {
    match stop {
        Stop::Violation(finding) => Stop::not_applicable(finding.observed),
        other => other,
    }
}
