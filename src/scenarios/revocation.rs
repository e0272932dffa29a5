//! What a removal takes away (SPEC §6, §10): whoever was removed can do nothing more, reads nothing new, and loses nothing elsewhere.

use super::check::checks;
use super::removal::{remove, remove_rightly};
use super::state::compare_manifest;
use super::{Ctx, Member, Operation, Outcome};
use crate::client::{Repo, open, read_as};
use crate::wire::VaultManifest;

checks! {
    "remove-member/revokes-pull", Must, "§6", [REMOVE_REVOKES, PULL_MEMBERS_ONLY], revokes_pull,
        "A removed member's live token pulls no more";
    "remove-member/revokes-push", Must, "§6", [REMOVE_REVOKES, PUSH_MEMBERS_ONLY], revokes_push,
        "A removed member's live token pushes no more";
    "remove-member/revokes-add-member", Must, "§6", [REMOVE_REVOKES, ADD_MEMBERS_ONLY], revokes_add,
        "A removed member's live token adds nobody, and not itself either";
    "remove-member/revokes-remove-member", Must, "§6", [REMOVE_REVOKES, REMOVE_MEMBERS_ONLY], revokes_remove,
        "A removed member's live token removes nobody";
    "remove-member/revokes-fetch-member-key", Must, "§6", [REMOVE_REVOKES, FETCH_MEMBERS_ONLY], revokes_fetch,
        "A removed member's live token is given nobody's entry";
    "remove-member/old-keys-useless", Must, "§10", [OLD_KEYS_USELESS, REMOVE_REPLACES], old_keys_useless,
        "What a removed member held opens nothing that is served after the removal";
    "remove-member/other-repositories-untouched", Must, "§6", [REMOVE_DROPS, REMOVE_ATOMIC], other_repositories,
        "A removal concerns one repository: the member stays in the others";
    "remove-member/can-be-added-again", Must, "§6", [ADD_RECORDS, REMOVE_DROPS], can_be_added_again,
        "Who was removed can be added again, and then reads";
}

async fn revokes_pull(cx: &Ctx) -> Outcome {
    revokes(cx, Operation::Pull).await
}

async fn revokes_push(cx: &Ctx) -> Outcome {
    revokes(cx, Operation::Push).await
}

async fn revokes_add(cx: &Ctx) -> Outcome {
    revokes(cx, Operation::AddMember).await
}

async fn revokes_remove(cx: &Ctx) -> Outcome {
    revokes(cx, Operation::RemoveMember).await
}

async fn revokes_fetch(cx: &Ctx) -> Outcome {
    revokes(cx, Operation::FetchMemberKey).await
}

/// bob's token has worked here a moment ago; after his removal neither it nor a new one opens the operation.
async fn revokes(cx: &Ctx, operation: Operation) -> Outcome {
    let (alice, bob) = (cx.member().await?, cx.member().await?);
    let carol = cx.identity();
    let mut repo = cx.repo_with(&alice, &[&bob, &carol]).await?;
    let before = repo.clone();
    cx.holds(&bob, &repo, "addMember").await?;
    cx.advance(&bob, &mut repo).await?;
    cx.expel(&alice, &mut repo, bob.id(), &[&alice, &carol]).await?;
    shut_out(cx, operation, &bob, &repo, &before, &alice).await?;
    let returned = cx.authenticate(bob.identity.clone()).await?;
    shut_out(cx, operation, &returned, &repo, &before, &alice).await?;
    cx.readable(&alice, &repo, "refused requests of a removed member").await
}

/// The operation in every form that a former member might try.
async fn shut_out(cx: &Ctx, operation: Operation, bob: &Member, repo: &Repo, before: &Repo, alice: &Member) -> Outcome {
    let mut answers = Vec::new();
    match operation {
        Operation::Pull => {
            for known in [0, repo.version(), before.version()] {
                answers.push(cx.pull(bob, &repo.pull_request(known)).await?);
            }
        }
        Operation::Push => {
            answers.push(cx.push(bob, &repo.push_request(bob)).await?);
            answers.push(cx.push(bob, &before.push_request(bob)).await?);
            answers.push(cx.push(bob, &repo.rotating_push(&repo.rotation(bob, &[bob, alice]))).await?);
        }
        Operation::AddMember => {
            answers.push(cx.add(bob, &repo.add_request(bob)).await?);
            answers.push(cx.add(bob, &repo.add_request(&cx.identity())).await?);
        }
        Operation::RemoveMember => {
            for roster in [&[&bob.identity, &alice.identity][..], &[&alice.identity]] {
                let rotation = repo.rotation(bob, roster);
                let carol = &repo.manifest.members[1].ed25519_public_key;
                answers.push(remove(cx, bob, repo, carol, &rotation).await?);
            }
        }
        _ => {
            for asked in [alice.id(), bob.id()] {
                answers.push(cx.fetch(bob, repo.id(), asked).await?);
            }
        }
    }
    for answer in answers {
        answer.refused(&format!("{} by a removed member", operation.name()), &[403])?;
        answer.keeps_secret(repo)?;
    }
    Ok(())
}

/// bob kept all that he was ever served. None of it opens what is served now, and what is served now is new indeed.
async fn old_keys_useless(cx: &Ctx) -> Outcome {
    let (alice, bob, carol) = (cx.member().await?, cx.member().await?, cx.member().await?);
    let mut repo = cx.repo_with(&alice, &[&bob, &carol]).await?;
    let (_, old_manifest, old_envelope) = cx.pull_all(&bob, &repo).await?;
    let old_key = repo.data_key.clone();
    remove_rightly(cx, &alice, &mut repo, bob.id(), &[&alice, &carol]).await?;
    let (answer, manifest, envelope) = cx.pull_all(&carol, &repo).await?;
    let opened = read_as(&bob, &old_manifest, &envelope).is_ok();
    answer.must(!opened, "the removed member's wrapped key doesn't open the new envelope", || "it does".into())?;
    // The old payload, passed off as the new one: the AAD doesn't fit.
    let mut relabelled = old_envelope.clone();
    relabelled.payload_version = envelope.payload_version;
    relabelled.key_epoch = envelope.key_epoch;
    let opened = open(&old_key, &relabelled).is_ok() || read_as(&carol, &manifest, &relabelled).is_ok();
    answer.must(!opened, "the old envelope doesn't open under the new epoch", || "it does".into())?;
    for entry in &manifest.members {
        let old = old_manifest.member(&entry.ed25519_public_key).map(|old| &old.wrapped_data_key);
        answer.must(old != Some(&entry.wrapped_data_key), "everybody's wrapped key is a new one", || {
            format!("member {} still has the old one", entry.ed25519_public_key)
        })?;
    }
    cx.readable(&carol, &repo, "a removal").await
}

/// bob is in two repositories of alice's, and has one of his own.
async fn other_repositories(cx: &Ctx) -> Outcome {
    let (alice, bob) = (cx.member().await?, cx.member().await?);
    let mut repo = cx.repo_with(&alice, &[&bob]).await?;
    let (other, own) = (cx.repo_with(&alice, &[&bob]).await?, cx.repo(&bob).await?);
    remove_rightly(cx, &alice, &mut repo, bob.id(), &[&alice]).await?;
    // A server may have ended all of bob's tokens; then he gets another.
    let probe = cx.pull(&bob, &own.pull_request(0)).await?;
    let bob = if probe.status == 401 { cx.authenticate(bob.identity.clone()).await? } else { bob };
    cx.readable(&bob, &own, "a removal from another repository").await?;
    cx.readable(&bob, &other, "a removal from another repository").await?;
    cx.readable(&alice, &other, "a removal from another repository").await
}

async fn can_be_added_again(cx: &Ctx) -> Outcome {
    let (alice, bob) = (cx.member().await?, cx.member().await?);
    let mut repo = cx.repo_with(&alice, &[&bob]).await?;
    remove_rightly(cx, &alice, &mut repo, bob.id(), &[&alice]).await?;
    let answer = cx.pull(&bob, &repo.pull_request(0)).await?;
    answer.refused("a pull by the removed member", &[403])?;
    let request = repo.add_request(&bob);
    let answer = cx.add(&alice, &request).await?;
    if answer.is_refusal() {
        // A policy, if it is about bob and not about adding.
        cx.enrol(&alice, &mut repo, &cx.identity()).await?;
        answer.should(false, "who was removed may be added again", || answer.summary());
        return cx.readable(&alice, &repo, "a refused addition").await;
    }
    repo.apply_add(&request.member);
    let manifest: VaultManifest = answer.accepted("adding somebody again who was removed")?;
    if let Some(difference) = compare_manifest(&repo.manifest, &manifest) {
        return Err(answer.violation("the manifest with the member as sent", difference));
    }
    cx.readable(&bob, &repo, "being added again").await?;
    cx.advance(&bob, &mut repo).await?;
    cx.readable(&alice, &repo, "a push by who was added again").await?;
    // By the other way out.
    let rotation = repo.rotation(&alice, &[&alice]);
    let answer = cx.push(&alice, &repo.rotating_push(&rotation)).await?;
    if !answer.is_success() {
        return Ok(());
    }
    repo.apply_rotation(&rotation);
    let request = repo.add_request(&bob);
    let answer = cx.add(&alice, &request).await?;
    answer.should(answer.is_success(), "whom a push has left out may be added again", || answer.summary());
    Ok(())
}
