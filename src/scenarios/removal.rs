//! removeMember (SPEC §6, §10): who leaves is out at once, the others go on under a new key, and all of it happens in one
//! step or not at all.

use serde_json::json;

use super::check::checks;
use super::create_repo::swap_case;
use super::pull::reached;
use super::state::{compare_envelope, compare_manifest};
use super::{Answer, Ctx, Member, Operation, Outcome, Stop, malformed, push};
use crate::client::{Identity, Repo, Rotation, open, read_as};
use crate::wire::{PushResponse, Schema, VaultManifest};

checks! {
    "remove-member/rotates", Must, "§6", [REMOVE_DROPS, REMOVE_REPLACES, EPOCH_RISES, STORED_VERBATIM, BINDING_OPAQUE], rotates,
        "removeMember returns and stores the rewrapped roster, the rotated envelope and the new epoch";
    "remove-member/others-read-on", Must, "§6", [REMOVE_REPLACES, READ_YOUR_WRITES], others_read_on,
        "Every member who stays unwraps the new key and decrypts the rotated payload";
    "remove-member/any-member", Must, "§6", [REMOVE_REPLACES, REMOVE_REVOKES], any_member,
        "A member who was added removes another, even the creator";
    "remove-member/itself", Must, "§6", [REMOVE_DROPS, REMOVE_ATOMIC], itself,
        "A member who removes itself is out, or is refused and nothing changes";
    "remove-member/named-in-the-roster", Must, "§6", [REMOVE_DROPS], named_in_the_roster,
        "Rewrapped members that name the removed one don't keep it in";
    "remove-member/left-out-of-the-roster", Must, "§6", [REMOVE_REPLACES], left_out_of_the_roster,
        "The roster is the rewrapped one: who isn't in it has gone as well";
    "remove-member/roster-brings-somebody-in", Must, "§6", [REMOVE_REPLACES], roster_brings_somebody_in,
        "The roster is the rewrapped one: who is new in it reads the repository";
    "remove-member/counters-as-sent", Must, "§6", [REMOVE_REPLACES, STORED_VERBATIM], counters_as_sent,
        "A removal that skips versions and epochs is refused, or stored with exactly these counters";
    "remove-member/epoch-must-rise", Must, "§10", [EPOCH_RISES, REMOVE_ATOMIC], epoch_must_rise,
        "A removal whose new epoch isn't above the old one is refused and changes nothing";
    "remove-member/version-must-not-fall", Must, "§10", [VERSION_MONOTONIC, REMOVE_ATOMIC], version_must_not_fall,
        "A removal whose envelope is below the current version is refused and changes nothing";
    "remove-member/version-must-rise", Must, "§10", [VERSION_MONOTONIC, REMOVE_ATOMIC], version_must_rise,
        "A removal whose envelope is at the current version is refused and changes nothing";
    "remove-member/epoch-compared-exactly", Must, "§2", [INT64, EPOCH_RISES], epoch_compared_exactly,
        "New epochs around 2^53 and 2^63 are compared and kept exactly";
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
    "remove-member/two-in-a-row", Must, "§6", [REMOVE_REPLACES, EPOCH_RISES, REMOVE_REVOKES], two_in_a_row,
        "Two removals one after the other leave the last roster, envelope and epoch";
    "remove-member/push-afterwards", Must, "§6", [PUSH_APPLIES, REMOVE_REPLACES], push_afterwards,
        "A member who stays pushes at the new version and epoch";
    "remove-member/stale-push-afterwards", Must, "§6", [PUSH_GATED, PUSH_CONFLICT], stale_push_afterwards,
        "A push that was made before the removal is a conflict with the new counters, and changes nothing";
    "remove-member/non-member", Must, "§6", [REMOVE_MEMBERS_ONLY, SUBJECT_IS_CALLER], non_member,
        "A stranger's removal is refused and changes nothing";
    "remove-member/unknown-repository", Must, "§6", [REMOVE_MEMBERS_ONLY], unknown_repository,
        "removeMember on an id that doesn't exist is refused and creates nothing";
    "remove-member/no-authority-elsewhere", Must, "§6", [REMOVE_MEMBERS_ONLY, SUBJECT_IS_CALLER], no_authority_elsewhere,
        "Authority over the repository in the path gives none over the one in the body, nor the reverse";
    "remove-member/unknown-member", Should, "§6", [REMOVE_UNKNOWN], unknown_member,
        "Removing somebody who isn't a member is answered with 404";
    "remove-member/unknown-member-whole-or-nothing", Must, "§6", [REMOVE_ATOMIC, REMOVE_REPLACES], unknown_member_whole,
        "A removal of somebody who isn't a member changes nothing, or happens as a whole";
    "remove-member/refused-changes-nothing", Must, "§6", [REMOVE_ATOMIC], refused_changes_nothing,
        "A removal that lacks what it needs is refused whole, or leaves a state that the rules allow";
    "remove-member/bad-envelope-changes-nothing", Must, "§6", [REMOVE_ATOMIC], bad_envelope,
        "A removal whose envelope is malformed is refused whole, or leaves a state that the rules allow";
    "remove-member/bad-entry-changes-nothing", Must, "§6", [REMOVE_ATOMIC], bad_entry,
        "A removal with a malformed entry in its roster is refused whole, or leaves a state that the rules allow";
    "remove-member/bad-wrapped-key-changes-nothing", Must, "§6", [REMOVE_ATOMIC], bad_wrapped_key,
        "A removal with a malformed wrapped key in its roster is refused whole, or leaves a state that the rules allow";
    "remove-member/empty-roster", Hardening, "§6", [REMOVE_CONSISTENT], empty_roster,
        "A removal that leaves nobody is refused";
    "remove-member/roster-names-somebody-twice", Hardening, "§6", [REMOVE_CONSISTENT], roster_twice,
        "A removal whose roster names a member twice is refused";
    "remove-member/envelope-of-another-epoch", Hardening, "§6", [REMOVE_CONSISTENT], envelope_of_another_epoch,
        "A removal whose envelope isn't at the new epoch is refused";
    "remove-member/foreign-envelope", Hardening, "§6", [REMOVE_CONSISTENT], foreign_envelope,
        "A removal whose envelope names another repository is refused";
}

/// Sends the removal that a rotation is for.
async fn remove<'c>(
    cx: &'c Ctx,
    by: &Member,
    repo: &Repo,
    removed: &str,
    rotation: &Rotation,
) -> Result<Answer<'c>, Stop> {
    cx.remove(by, &repo.remove_request(removed, rotation)).await
}

/// The server's answer to a removal that must apply; `repo` is the state after it.
fn removed(repo: &Repo, answer: &Answer<'_>) -> Outcome {
    let manifest: VaultManifest = answer.accepted("removeMember by a member")?;
    match compare_manifest(&repo.manifest, &manifest) {
        None => Ok(()),
        Some(difference) => {
            Err(answer.broken("removeMember returns the manifest with the new roster, version and epoch", difference))
        }
    }
}

/// Removes somebody by a right request, and holds the answer to what it must be.
async fn remove_rightly(cx: &Ctx, by: &Member, repo: &mut Repo, gone: &str, staying: &[&Identity]) -> Outcome {
    let rotation = repo.rotation(by, staying);
    let answer = remove(cx, by, repo, gone, &rotation).await?;
    repo.apply_rotation(&rotation);
    cx.watch(repo);
    removed(repo, &answer)
}

/// The removal was refused, or (a warning) acknowledged and ignored: nothing has changed.
async fn not_applied(cx: &Ctx, reader: &Member, repo: &Repo, answer: &Answer<'_>, what: &str) -> Outcome {
    if !answer.is_success() {
        answer.refused_somehow(what)?;
        return cx.holds(reader, repo, what).await;
    }
    let (pull, manifest, envelope) = cx.pull_all(reader, repo).await?;
    let difference =
        compare_manifest(&repo.manifest, &manifest).or_else(|| compare_envelope(&repo.envelope, &envelope));
    if let Some(difference) = difference {
        return Err(pull.broken(format!("{what} is refused and changes nothing"), difference));
    }
    answer.should(false, &format!("{what} is refused with a 4xx"), || format!("{}, and ignored", answer.summary()));
    Ok(())
}

/// Six members, of whom one goes; one of those who stay has a key binding.
async fn rotates(cx: &Ctx) -> Outcome {
    let alice = cx.member().await?;
    let others: Vec<_> = std::iter::repeat_with(|| cx.identity()).take(5).collect();
    let [bob, staying @ ..] = &others[..] else { return Ok(()) };
    let mut repo = cx.repo_with(&alice, &others.iter().collect::<Vec<_>>()).await?;
    let mut roster = vec![&alice.identity];
    roster.extend(staying);
    let mut rotation = repo.rotation(&alice, &roster);
    rotation.members[2].key_binding_sig = Some(push::binding_like_signature());
    let answer = remove(cx, &alice, &repo, &bob.id, &rotation).await?;
    repo.apply_rotation(&rotation);
    cx.watch(&repo);
    removed(&repo, &answer)?;
    cx.readable(&alice, &repo, "a removal").await
}

async fn others_read_on(cx: &Ctx) -> Outcome {
    let (alice, bob, carol, dave) = (cx.member().await?, cx.member().await?, cx.member().await?, cx.member().await?);
    let mut repo = cx.repo_with(&alice, &[&bob, &carol, &dave]).await?;
    // Tokens and connections that have been used before the removal.
    cx.holds(&carol, &repo, "addMember").await?;
    remove_rightly(cx, &alice, &mut repo, bob.id(), &[&alice, &carol, &dave]).await?;
    for reader in [&carol, &dave, &alice] {
        cx.readable(reader, &repo, "a removal").await?;
    }
    Ok(())
}

/// The creator has no privilege that the table of §6 would name.
async fn any_member(cx: &Ctx) -> Outcome {
    let (alice, bob) = (cx.member().await?, cx.member().await?);
    let carol = cx.identity();
    let mut repo = cx.repo_with(&alice, &[&bob, &carol]).await?;
    remove_rightly(cx, &bob, &mut repo, &carol.id, &[&alice, &bob]).await?;
    cx.readable(&alice, &repo, "a removal by a member who was added").await?;
    remove_rightly(cx, &bob, &mut repo, alice.id(), &[&bob]).await?;
    cx.readable(&bob, &repo, "the removal of the creator").await?;
    let answer = cx.pull(&alice, &repo.pull_request(0)).await?;
    answer.refused("a pull by the removed creator", &[403])?;
    let answer = cx.push(&alice, &repo.push_request(&alice)).await?;
    answer.refused("a push by the removed creator", &[403])
}

/// Nothing forbids it; a server may still want somebody else to do it.
async fn itself(cx: &Ctx) -> Outcome {
    let (alice, bob) = (cx.member().await?, cx.member().await?);
    let mut repo = cx.repo_with(&alice, &[&bob]).await?;
    let rotation = repo.rotation(&bob, &[&alice]);
    let answer = remove(cx, &bob, &repo, bob.id(), &rotation).await?;
    if !answer.is_success() {
        answer.refused_somehow("a member's removal of itself, unless it is accepted,")?;
        answer.should(false, "a member may remove itself", || answer.summary());
        return cx.readable(&bob, &repo, "a refused removal").await;
    }
    repo.apply_rotation(&rotation);
    cx.watch(&repo);
    removed(&repo, &answer)?;
    cx.readable(&alice, &repo, "another's removal of itself").await?;
    let answer = cx.pull(&bob, &repo.pull_request(0)).await?;
    answer.refused("a pull by who removed itself", &[403])
}

/// A client that forgot to leave bob out: the request is refused, or bob is out all the same.
async fn named_in_the_roster(cx: &Ctx) -> Outcome {
    let (alice, bob) = (cx.member().await?, cx.member().await?);
    let carol = cx.identity();
    let mut repo = cx.repo_with(&alice, &[&bob, &carol]).await?;
    let mut rotation = repo.rotation(&alice, &[&alice, &bob, &carol]);
    let answer = remove(cx, &alice, &repo, bob.id(), &rotation).await?;
    if !answer.is_success() {
        answer.refused_somehow("a roster that names the removed member, unless the member is left out of it,")?;
        return cx.readable(&bob, &repo, "a refused removal").await;
    }
    rotation.members.retain(|entry| entry.ed25519_public_key != bob.id());
    repo.apply_rotation(&rotation);
    cx.watch(&repo);
    removed(&repo, &answer)?;
    cx.readable(&alice, &repo, "a removal whose roster names the removed member").await?;
    let answer = cx.pull(&bob, &repo.pull_request(0)).await?;
    answer.refused("a pull by the removed member", &[403])?;
    answer.keeps_secret(&repo)
}

/// carol wasn't named for removal, but nobody wrapped the new key to her.
async fn left_out_of_the_roster(cx: &Ctx) -> Outcome {
    let (alice, carol) = (cx.member().await?, cx.member().await?);
    let (bob, dave) = (cx.identity(), cx.identity());
    let mut repo = cx.repo_with(&alice, &[&bob, &carol, &dave]).await?;
    let rotation = repo.rotation(&alice, &[&dave, &alice]);
    let answer = remove(cx, &alice, &repo, &bob.id, &rotation).await?;
    if !answer.is_success() {
        answer.refused_somehow("a roster that leaves out more than one, unless it is accepted,")?;
        answer.should(false, "rewrappedMembers is the new roster, whoever it leaves out", || answer.summary());
        return cx.readable(&carol, &repo, "a refused removal").await;
    }
    repo.apply_rotation(&rotation);
    cx.watch(&repo);
    removed(&repo, &answer)?;
    cx.readable(&alice, &repo, "a removal whose roster leaves out another").await?;
    let answer = cx.pull(&carol, &repo.pull_request(0)).await?;
    answer.refused("a pull by who was left out of the roster", &[403])?;
    let answer = cx.push(&carol, &repo.push_request(&carol)).await?;
    answer.refused("a push by who was left out of the roster", &[403])
}

/// A replacement in one step: bob goes, carol comes.
async fn roster_brings_somebody_in(cx: &Ctx) -> Outcome {
    let (alice, bob, carol) = (cx.member().await?, cx.member().await?, cx.member().await?);
    let mut repo = cx.repo_with(&alice, &[&bob]).await?;
    let rotation = repo.rotation(&alice, &[&alice, &carol]);
    let answer = remove(cx, &alice, &repo, bob.id(), &rotation).await?;
    if !answer.is_success() {
        answer.refused_somehow("a roster that brings somebody in, unless it is accepted,")?;
        answer.should(false, "rewrappedMembers is the new roster, whoever is in it", || answer.summary());
        return cx.readable(&bob, &repo, "a refused removal").await;
    }
    repo.apply_rotation(&rotation);
    cx.watch(&repo);
    removed(&repo, &answer)?;
    cx.readable(&carol, &repo, "a removal whose roster brought the reader in").await?;
    cx.readable(&alice, &repo, "a removal whose roster brought somebody in").await
}

/// A server may insist on the next epoch, but not put a number in the place of the one that was sent: it is in the AAD.
async fn counters_as_sent(cx: &Ctx) -> Outcome {
    let alice = cx.member().await?;
    let bob = cx.identity();
    for (versions, epochs) in [(5, 1), (1, 3), (7, 4)] {
        let mut repo = cx.repo_with(&alice, &[&bob]).await?;
        let rotation = repo.rotation_to(&alice, &[&alice], repo.version() + versions, repo.epoch() + epochs);
        let answer = remove(cx, &alice, &repo, &bob.id, &rotation).await?;
        if answer.is_success() {
            repo.apply_rotation(&rotation);
            cx.watch(&repo);
            removed(&repo, &answer)?;
        } else {
            answer.refused_somehow("a removal that skips versions or epochs, unless it is accepted,")?;
            cx.remark(format!("a removal {versions} versions and {epochs} epochs ahead is refused"));
        }
        cx.readable(&alice, &repo, "a removal that skips versions or epochs").await?;
    }
    Ok(())
}

/// A repository of alice, bob and somebody, at epoch 1 and version 3.
async fn rotated_once(cx: &Ctx, alice: &Member, bob: &Member) -> Result<Repo, Stop> {
    let (carol, dave) = (cx.identity(), cx.identity());
    let mut repo = cx.repo_with(alice, &[bob, &carol, &dave]).await?;
    cx.expel(alice, &mut repo, &dave.id, &[alice, bob, &carol]).await?;
    cx.advance(bob, &mut repo).await?;
    Ok(repo)
}

/// Equal, below, and far below; and an envelope of a higher epoch doesn't make up for it.
async fn epoch_must_rise(cx: &Ctx) -> Outcome {
    let (alice, bob) = (cx.member().await?, cx.member().await?);
    let repo = rotated_once(cx, &alice, &bob).await?;
    for epoch in [repo.epoch(), repo.epoch() - 1, -1, i64::MIN] {
        let rotation = repo.rotation_to(&alice, &[&alice], repo.version() + 1, epoch);
        let answer = remove(cx, &alice, &repo, bob.id(), &rotation).await?;
        let what = format!("a removal to epoch {epoch} at epoch {}", repo.epoch());
        not_applied(cx, &alice, &repo, &answer, &what).await?;
    }
    let mut request = repo.remove_request(bob.id(), &repo.rotation(&alice, &[&alice]));
    request.new_key_epoch = repo.epoch();
    let answer = cx.remove(&alice, &request).await?;
    not_applied(cx, &alice, &repo, &answer, "a removal whose newKeyEpoch is the current one").await?;
    cx.readable(&bob, &repo, "removals whose epoch doesn't rise").await
}

async fn version_must_not_fall(cx: &Ctx) -> Outcome {
    let (alice, bob) = (cx.member().await?, cx.member().await?);
    let repo = rotated_once(cx, &alice, &bob).await?;
    for version in [repo.version() - 1, 0, -1, i64::MIN] {
        version_is_refused(cx, &alice, &bob, &repo, version).await?;
    }
    cx.readable(&bob, &repo, "removals whose version falls").await
}

/// Strictly monotonic (§10): two payloads never share a version, or an unchanged pull would hide one of them.
async fn version_must_rise(cx: &Ctx) -> Outcome {
    let (alice, bob) = (cx.member().await?, cx.member().await?);
    let repo = rotated_once(cx, &alice, &bob).await?;
    version_is_refused(cx, &alice, &bob, &repo, repo.version()).await?;
    cx.readable(&bob, &repo, "a removal whose version stays").await
}

async fn version_is_refused(cx: &Ctx, alice: &Member, bob: &Member, repo: &Repo, version: i64) -> Outcome {
    let rotation = repo.rotation_to(alice, &[alice], version, repo.epoch() + 1);
    let answer = remove(cx, alice, repo, bob.id(), &rotation).await?;
    let what = format!("a removal whose envelope is of version {version} at version {}", repo.version());
    not_applied(cx, alice, repo, &answer, &what).await
}

/// In doubles, 2^53 and 2^53+1 are one number, and so are 2^63-2 and 2^63-1.
async fn epoch_compared_exactly(cx: &Ctx) -> Outcome {
    let alice = cx.member().await?;
    let bob = cx.identity();
    for epoch in [(1 << 32) - 1, 1 << 53, i64::MAX - 1] {
        let Some(mut repo) = reached(cx, &alice, 2, epoch).await? else { continue };
        cx.enrol(&alice, &mut repo, &bob).await?;
        let same = repo.rotation_to(&alice, &[&alice], repo.version() + 1, epoch);
        let answer = remove(cx, &alice, &repo, &bob.id, &same).await?;
        not_applied(cx, &alice, &repo, &answer, &format!("a removal to epoch {epoch} at that epoch")).await?;
        let rotation = repo.rotation(&alice, &[&alice]);
        let answer = remove(cx, &alice, &repo, &bob.id, &rotation).await?;
        if answer.is_refusal() {
            // Taken for not above the current one? That is inexact if the number as such is welcome.
            let welcome = reached(cx, &alice, 2, epoch + 1).await?.is_some();
            answer.must(!welcome, &format!("epoch {} is above epoch {epoch}", epoch + 1), || answer.summary())?;
            continue;
        }
        repo.apply_rotation(&rotation);
        cx.watch(&repo);
        removed(&repo, &answer)?;
        cx.readable(&alice, &repo, &format!("a removal to epoch {}", epoch + 1)).await?;
    }
    Ok(())
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
    repo.apply_add(&request.member);
    let answer = cx.add(&alice, &request).await?;
    let manifest: VaultManifest = answer.accepted("adding somebody again who was removed")?;
    if let Some(difference) = compare_manifest(&repo.manifest, &manifest) {
        return Err(answer.broken("the manifest with the member as sent", difference));
    }
    cx.readable(&bob, &repo, "being added again").await?;
    cx.advance(&bob, &mut repo).await?;
    cx.readable(&alice, &repo, "a push by who was added again").await
}

async fn two_in_a_row(cx: &Ctx) -> Outcome {
    let (alice, bob, carol) = (cx.member().await?, cx.member().await?, cx.member().await?);
    let dave = cx.identity();
    let mut repo = cx.repo_with(&alice, &[&bob, &carol, &dave]).await?;
    remove_rightly(cx, &alice, &mut repo, bob.id(), &[&alice, &carol, &dave]).await?;
    remove_rightly(cx, &carol, &mut repo, alice.id(), &[&carol, &dave]).await?;
    cx.readable(&carol, &repo, "two removals").await?;
    for gone in [&alice, &bob] {
        let answer = cx.pull(gone, &repo.pull_request(0)).await?;
        answer.refused("a pull by a removed member", &[403])?;
    }
    Ok(())
}

async fn push_afterwards(cx: &Ctx) -> Outcome {
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
        answer.must(response == expected, &format!("the push is answered with {expected:?}"), || {
            format!("{response:?}")
        })?;
        cx.readable(&bob, &repo, "a push after a removal").await?;
    }
    cx.readable(&alice, &repo, "pushes after a removal").await
}

/// bob's push crossed alice's removal of carol: it is encrypted under the old key and must not land.
async fn stale_push_afterwards(cx: &Ctx) -> Outcome {
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
        answer.must(response == expected, &format!("the push is answered with {expected:?}"), || {
            format!("{response:?}")
        })?;
    }
    cx.readable(&bob, &repo, "a push that was made before a removal").await
}

/// mallory removes bob, alice, and herself, with and without putting herself into the roster.
async fn non_member(cx: &Ctx) -> Outcome {
    let (alice, bob, mallory) = (cx.member().await?, cx.member().await?, cx.member().await?);
    let repo = cx.repo_with(&alice, &[&bob]).await?;
    for (gone, roster) in [
        (&bob, &[&mallory.identity, &alice.identity][..]),
        (&alice, &[&bob.identity]),
        (&mallory, &[&alice.identity, &bob.identity]),
    ] {
        let answer = remove(cx, &mallory, &repo, gone.id(), &repo.rotation(&mallory, roster)).await?;
        answer.refused("a removal by a stranger", &[403])?;
        answer.keeps_secret(&repo)?;
        cx.holds(&alice, &repo, "a removal by a stranger").await?;
    }
    let answer = cx.pull(&mallory, &repo.pull_request(0)).await?;
    answer.refused("a pull by a stranger who tried a removal", &[403])?;
    cx.readable(&bob, &repo, "removals by a stranger").await
}

async fn unknown_repository(cx: &Ctx) -> Outcome {
    let (alice, bob) = (cx.member().await?, cx.member().await?);
    let nowhere = Repo::new(&alice);
    let answer = remove(cx, &alice, &nowhere, bob.id(), &nowhere.rotation(&alice, &[&alice])).await?;
    answer.refused("removeMember on an unknown repository", &[404])?;
    let answer = cx.pull(&alice, &nowhere.pull_request(0)).await?;
    answer.refused("a pull of an unknown repository", &[404])?;
    let answer = cx.create(&alice, &nowhere.create_request()).await?;
    answer.accepted::<VaultManifest>("createRepo with an id that only a refused removeMember has named")?;
    cx.readable(&alice, &nowhere, "createRepo").await
}

/// mallory owns one repository, and names alice's in body or path. Whatever the answer is, alice's stays as it is.
async fn no_authority_elsewhere(cx: &Ctx) -> Outcome {
    let (alice, mallory) = (cx.member().await?, cx.member().await?);
    let bob = cx.identity();
    let (target, own) = (cx.repo_with(&alice, &[&bob]).await?, cx.repo_with(&mallory, &[&bob]).await?);
    let auth = mallory.auth();
    for (path, body) in [(&own, &target), (&target, &own)] {
        let request = body.remove_request(&bob.id, &body.rotation(&mallory, &[&mallory]));
        let answer = cx.perform(Operation::RemoveMember, path.id(), &auth, &request).await?;
        answer.keeps_secret(&target)?;
        cx.holds(&alice, &target, "removeMember where path and body name different repositories").await?;
    }
    let answer = cx.pull(&mallory, &target.pull_request(0)).await?;
    answer.refused("a pull by who removed somebody by way of another repository", &[403])
}

/// 404, also for somebody who was a member once.
async fn unknown_member(cx: &Ctx) -> Outcome {
    let alice = cx.member().await?;
    let (bob, carol) = (cx.identity(), cx.identity());
    let mut repo = cx.repo_with(&alice, &[&bob, &carol]).await?;
    cx.expel(&alice, &mut repo, &carol.id, &[&alice, &bob]).await?;
    for gone in [&cx.identity(), &carol] {
        let answer = remove(cx, &alice, &repo, &gone.id, &repo.rotation(&alice, &[&alice, &bob])).await?;
        answer.refused("removing somebody who isn't a member", &[404])?;
        cx.holds(&alice, &repo, "removing somebody who isn't a member").await?;
    }
    Ok(())
}

/// Whatever the answer says: an error has changed nothing; an acceptance nothing or everything, and bob, whose id was
/// only nearly named, stays.
async fn unknown_member_whole(cx: &Ctx) -> Outcome {
    let (alice, bob) = (cx.member().await?, cx.member().await?);
    let mut repo = cx.repo_with(&alice, &[&bob]).await?;
    for gone in [&cx.identity().id, &swap_case(bob.id()), &bob.x25519_public_key] {
        let rotation = repo.rotation(&alice, &[&alice, &bob]);
        let answer = remove(cx, &alice, &repo, gone, &rotation).await?;
        let what = "removing somebody who isn't a member";
        if answer.is_success() {
            let (_, manifest, _) = cx.pull_all(&alice, &repo).await?;
            if manifest.key_epoch != repo.epoch() {
                repo.apply_rotation(&rotation);
                cx.watch(&repo);
            }
        } else {
            answer.refused_somehow(what)?;
        }
        cx.readable(&alice, &repo, what).await?;
    }
    cx.readable(&bob, &repo, "removing somebody who isn't a member").await
}

async fn refused_changes_nothing(cx: &Ctx) -> Outcome {
    malformed_removals(cx, "MemberRemoveRequest", "").await
}

async fn bad_envelope(cx: &Ctx) -> Outcome {
    malformed_removals(cx, "EncryptedEnvelope", "/rotatedEnvelope").await
}

/// The last entry of two, so that a server which writes one after the other has written the first.
async fn bad_entry(cx: &Ctx) -> Outcome {
    malformed_removals(cx, "MemberEntry", "/rewrappedMembers/1").await
}

async fn bad_wrapped_key(cx: &Ctx) -> Outcome {
    malformed_removals(cx, "WrappedKey", "/rewrappedMembers/1/wrappedDataKey").await
}

/// Missing, null and mistyped, each required member in turn. Answered with an error, the removal has changed nothing;
/// accepted, it has left a state that schema and rules allow.
async fn malformed_removals(cx: &Ctx, definition: &str, pointer: &str) -> Outcome {
    let alice = cx.member().await?;
    let (bob, carol) = (cx.identity(), cx.identity());
    let mut repo = cx.repo_with(&alice, &[&bob, &carol]).await?;
    let mut rotation = repo.rotation(&alice, &[&carol, &alice]);
    let count = malformed::in_turn(definition, &json!(repo.remove_request(&bob.id, &rotation)), pointer).len();
    for index in 0..count {
        let whole = json!(repo.remove_request(&bob.id, &rotation));
        let malformed = malformed::in_turn(definition, &whole, pointer).swap_remove(index);
        let answer = cx.provoke(Operation::RemoveMember, repo.id(), &alice.auth(), &malformed.body).await?;
        let what = format!("a removal {}", malformed.what);
        if answer.is_none_or(|answer| !answer.is_success()) {
            cx.holds(&alice, &repo, &format!("{what} that was answered with an error")).await?;
        } else if allowed_state(cx, &alice, &repo, &bob.id, &rotation, &what).await? {
            repo = cx.repo_with(&alice, &[&bob, &carol]).await?;
            rotation = repo.rotation(&alice, &[&carol, &alice]);
        }
    }
    Ok(())
}

/// After a removal that shouldn't have been accepted: nothing has happened (a warning, and false), or a whole removal.
async fn allowed_state(
    cx: &Ctx,
    reader: &Member,
    repo: &Repo,
    gone: &str,
    rotation: &Rotation,
    what: &str,
) -> Result<bool, Stop> {
    let (answer, manifest, envelope) = cx.pull_all(reader, repo).await?;
    let unchanged =
        compare_manifest(&repo.manifest, &manifest).is_none() && compare_envelope(&repo.envelope, &envelope).is_none();
    if unchanged {
        answer.should(false, &format!("{what} isn't acknowledged, as it isn't carried out"), || {
            "a 2xx, and nothing has changed".into()
        });
        return Ok(false);
    }
    let expected = format!("{what} is refused, or leaves a state that the rules allow");
    let violations = Schema::violations(Operation::Pull.answer_kind(), &answer.json().unwrap_or_default(), 1);
    let wrong = if let Some(violation) = violations.first() {
        Some(format!("pull serves what the schema doesn't allow: {violation}"))
    } else if manifest.member(gone).is_some() {
        Some("the removed member is still in the roster".into())
    } else if manifest.key_epoch <= repo.epoch() || manifest.payload_version <= repo.version() {
        Some(format!("epoch {} and version {}: not both have risen", manifest.key_epoch, manifest.payload_version))
    } else if (&envelope.repo_id, envelope.payload_version, envelope.key_epoch)
        != (&manifest.repo_id, manifest.payload_version, manifest.key_epoch)
    {
        Some("the envelope's header isn't the manifest's".into())
    } else if read_as(reader, &manifest, &envelope).ok().as_ref() != Some(&rotation.plaintext) {
        Some("a member who stays can't read the rotated payload".into())
    } else {
        None
    };
    wrong.map_or(Ok(true), |wrong| Err(answer.broken(expected, wrong)))
}

/// Refused, and nothing has changed.
async fn impossible(cx: &Ctx, what: &str, spoil: impl FnOnce(&mut Rotation)) -> Outcome {
    let (alice, bob) = (cx.member().await?, cx.identity());
    let repo = cx.repo_with(&alice, &[&bob]).await?;
    let mut request = repo.remove_request(&bob.id, &repo.rotation(&alice, &[&alice]));
    let mut rotation = repo.rotation(&alice, &[&alice]);
    spoil(&mut rotation);
    request.rotated_envelope = rotation.envelope;
    request.rewrapped_members = rotation.members;
    let answer = cx.remove(&alice, &request).await?;
    answer.refused_somehow(what)?;
    cx.holds(&alice, &repo, what).await
}

/// Nobody could read the repository again, nor bring anybody back.
async fn empty_roster(cx: &Ctx) -> Outcome {
    impossible(cx, "a removal that leaves nobody", |rotation| rotation.members.clear()).await
}

async fn roster_twice(cx: &Ctx) -> Outcome {
    impossible(cx, "a removal whose roster names a member twice", |rotation| {
        rotation.members.push(rotation.members[0].clone());
    })
    .await
}

async fn envelope_of_another_epoch(cx: &Ctx) -> Outcome {
    impossible(cx, "a removal whose envelope isn't at the new epoch", |rotation| rotation.envelope.key_epoch += 1).await
}

async fn foreign_envelope(cx: &Ctx) -> Outcome {
    let other = crate::client::random::uuid();
    impossible(cx, "a removal whose envelope names another repository", |rotation| rotation.envelope.repo_id = other)
        .await
}
