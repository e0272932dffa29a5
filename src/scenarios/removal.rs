//! removeMember (SPEC §6, §10): who leaves is out at once, and the others go on under a new key.

mod afterwards;

use super::check::checks;
use super::context::to_set_up;
use super::counter_values::reached;
use super::state::compare_manifest;
use super::{Answer, Ctx, Member, Outcome, Stop, push};
use crate::client::{Identity, Repo, Rotation};
use crate::wire::VaultManifest;

checks! {
    "remove-member/rotates", Must, "§6", [REMOVE_DROPS, REMOVE_REPLACES, EPOCH_RISES, STORED_VERBATIM, BINDING_OPAQUE], rotates,
        "removeMember returns and stores the rewrapped roster, the rotated envelope and the new epoch";
    "remove-member/others-read-on", Must, "§6", [REMOVE_REPLACES, READ_YOUR_WRITES], others_read_on,
        "Every member who stays unwraps the new key and decrypts the rotated payload";
    "remove-member/any-member", Must, "§6", [REMOVE_REPLACES, REMOVE_REVOKES], any_member,
        "A member who was added removes another, even the creator";
    "remove-member/itself", Must, "§6", [REMOVE_DROPS, REMOVE_ATOMIC, REMOVE_ANY_ROSTER], itself,
        "A member who removes itself is out, or is refused and nothing changes";
    "remove-member/named-in-the-roster", Must, "§6", [REMOVE_DROPS], named_in_the_roster,
        "Rewrapped members that name the removed one don't keep it in";
    "remove-member/left-out-of-the-roster", Must, "§6", [REMOVE_REPLACES, REMOVE_ANY_ROSTER], left_out_of_the_roster,
        "The roster is the rewrapped one: who isn't in it has gone as well";
    "remove-member/caller-left-out", Must, "§6", [REMOVE_REPLACES, REMOVE_REVOKES], caller_left_out,
        "A removal whose roster leaves out the caller as well leaves it out, or is refused and nothing changes";
    "remove-member/roster-brings-somebody-in", Must, "§6", [REMOVE_REPLACES, REMOVE_ANY_ROSTER], roster_brings_somebody_in,
        "The roster is the rewrapped one: who is new in it reads the repository";
    "remove-member/many-stay", Must, "§6", [REMOVE_REPLACES, STORED_VERBATIM], many_stay,
        "A roster of forty is stored and served whole, or refused cleanly";
    "remove-member/new-x25519-key-as-sent", Must, "§6", [REMOVE_REPLACES, STORED_VERBATIM], new_x25519_key_as_sent,
        "A rewrapped entry with a new X25519 key is refused, or stored exactly as it was sent";
    "remove-member/no-authority-by-envelope", Must, "§6", [PUSH_SCOPE, REMOVE_MEMBERS_ONLY], super::elsewhere::removal,
        "Authority over one repository gives none over another that the rotated envelope names";
    "remove-member/counters-as-sent", Must, "§6", [REMOVE_REPLACES, STORED_VERBATIM], counters_as_sent,
        "A removal that skips versions and epochs is refused, or stored with exactly these counters";
    "remove-member/epoch-is-new-key-epoch", Must, "§6", [REMOVE_REPLACES], epoch_is_new_key_epoch,
        "The epoch becomes newKeyEpoch, whatever epoch the envelope names, or the request is refused";
    "remove-member/epochs-of-more-digits", Must, "§10", [EPOCH_RISES, INT64, REMOVE_REPLACES], epochs_of_more_digits,
        "A removal from epoch 9 to 10 happens, and so it does wherever the next epoch has another digit, byte or word";
    "remove-member/versions-of-any-size", Must, "§2", [INT64, VERSION_MONOTONIC, REMOVE_REPLACES], versions_of_any_size,
        "A removal from versions around 2^31, 2^32 and 2^53 to the next one happens, with exactly that version";
    "remove-member/two-in-a-row", Must, "§6", [REMOVE_REPLACES, EPOCH_RISES, REMOVE_REVOKES], afterwards::two_in_a_row,
        "Two removals one after the other leave the last roster, envelope and epoch";
    "remove-member/push-afterwards", Must, "§6", [PUSH_APPLIES, REMOVE_REPLACES], afterwards::push_afterwards,
        "A member who stays pushes at the new version and epoch";
    "remove-member/stale-push-afterwards", Must, "§6", [PUSH_GATED, PUSH_CONFLICT], afterwards::stale_push_afterwards,
        "A push that was made before the removal is a conflict with the new counters, and changes nothing";
}

/// Sends the removal that a rotation is for.
pub(super) async fn remove<'c>(
    cx: &'c Ctx,
    by: &Member,
    repo: &Repo,
    removed: &str,
    rotation: &Rotation,
) -> Result<Answer<'c>, Stop> {
    cx.remove(by, &repo.remove_request(removed, rotation)).await
}

/// The server's answer to a removal that must apply; `repo` is the state after it.
pub(super) fn removed(repo: &Repo, answer: &Answer<'_>) -> Outcome {
    let manifest: VaultManifest = answer.accepted("removeMember by a member")?;
    match compare_manifest(&repo.manifest, &manifest) {
        None => Ok(()),
        Some(difference) => {
            Err(answer
                .violation("removeMember returns the manifest with the new roster, version and epoch", difference))
        }
    }
}

/// Removes somebody by a right request, and holds the answer to what it must be.
pub(super) async fn remove_rightly(
    cx: &Ctx,
    by: &Member,
    repo: &mut Repo,
    gone: &str,
    staying: &[&Identity],
) -> Outcome {
    let rotation = repo.rotation(by, staying);
    let answer = remove(cx, by, repo, gone, &rotation).await?;
    repo.apply_rotation(&rotation);
    cx.watch(repo);
    removed(repo, &answer)
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
    // Who stays may have another device.
    rotation.members[1].x25519_public_key = cx.identity().x25519_public_key;
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

/// Removals have a comparison of their own in some servers; the next version may look like the current one to it.
async fn versions_of_any_size(cx: &Ctx) -> Outcome {
    let alice = cx.member().await?;
    for version in [(1 << 31) - 1, 1 << 32, (1 << 53) - 1, 1 << 53, (1 << 53) + 1] {
        let Some(mut repo) = reached(cx, &alice, version, 0).await.map_err(to_set_up)? else { continue };
        let bob = cx.identity();
        cx.enrol(&alice, &mut repo, &bob).await?;
        let rotation = repo.rotation(&alice, &[&alice]);
        let answer = remove(cx, &alice, &repo, &bob.id, &rotation).await?;
        if answer.is_refusal() {
            // Is the number too large, or is it the next one that isn't taken for the next?
            let next = reached(cx, &alice, version + 1, 0).await.map_err(to_set_up)?;
            let expected = format!("version {} follows version {version} in a removal", version + 1);
            match next {
                Some(_) => return Err(answer.broken_by_no_limit(expected, answer.summary())),
                None => continue,
            }
        }
        repo.apply_rotation(&rotation);
        cx.watch(&repo);
        removed(&repo, &answer)?;
        cx.holds(&alice, &repo, &format!("a removal from version {version} to the next")).await?;
    }
    Ok(())
}

/// As texts, 10 comes before 9; as signed bytes, 128 comes before 127.
async fn epochs_of_more_digits(cx: &Ctx) -> Outcome {
    let alice = cx.member().await?;
    for epoch in [9, 99, 127, 255, 999, 32_767, 65_535] {
        let Some(mut repo) = reached(cx, &alice, 2, epoch).await.map_err(to_set_up)? else { continue };
        if repo.epoch() != epoch {
            continue;
        }
        let bob = cx.identity();
        cx.enrol(&alice, &mut repo, &bob).await?;
        remove_rightly(cx, &alice, &mut repo, &bob.id, &[&alice]).await?;
        cx.holds(&alice, &repo, &format!("a removal from epoch {epoch} to the next")).await?;
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
    let rotation = repo.rotation(&bob, &[&bob]);
    let answer = remove(cx, &bob, &repo, alice.id(), &rotation).await?;
    not_as_unknown(cx, &repo, &answer, "a removal of the creator").await?;
    if answer.is_refusal() {
        // A policy that keeps the creator in is no break of what a removal does, and worth a warning.
        cx.holds(&bob, &repo, "a refused removal of the creator").await?;
        cx.warn(answer.finding("a member who was added removes the creator as well", answer.summary()));
        return Ok(());
    }
    repo.apply_rotation(&rotation);
    cx.watch(&repo);
    removed(&repo, &answer)?;
    cx.readable(&bob, &repo, "the removal of the creator").await?;
    let answer = cx.pull(&alice, &repo.pull_request(0)).await?;
    answer.refused("a pull by the removed creator", &[403])?;
    let answer = cx.push(&alice, &repo.push_request(&alice)).await?;
    answer.refused("a push by the removed creator", &[403])
}

/// 404 says that there is no such member. Where strangers are told 404 as well, it may stand for any refusal.
async fn not_as_unknown(cx: &Ctx, repo: &Repo, answer: &Answer<'_>, what: &str) -> Outcome {
    if answer.status != 404 {
        return Ok(());
    }
    let hides = cx.pull(&cx.member().await?, &repo.pull_request(0)).await?.status == 404;
    answer.must(hides, &format!("{what} isn't answered as one of an unknown member"), || answer.summary())
}

/// Nothing forbids it; a server may still want somebody else to do it.
async fn itself(cx: &Ctx) -> Outcome {
    let (alice, bob) = (cx.member().await?, cx.member().await?);
    let mut repo = cx.repo_with(&alice, &[&bob]).await?;
    let rotation = repo.rotation(&bob, &[&alice]);
    let answer = remove(cx, &bob, &repo, bob.id(), &rotation).await?;
    if !answer.is_success() {
        answer.refused_somehow("a member's removal of itself, unless it is accepted,")?;
        not_as_unknown(cx, &repo, &answer, "a member's removal of itself").await?;
        cx.remark(format!("a member's removal of itself is refused with {}", answer.status));
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

/// A server that wants the roster to be what is left of the old one refuses whoever is missing and whoever is new: one habit.
fn other_roster_refused(cx: &Ctx, answer: &Answer<'_>, expected: &str) {
    if cx.world.is_news("rewrapped rosters are what is left of the old one") {
        answer.should(false, expected, || answer.summary());
    }
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
        other_roster_refused(cx, &answer, "rewrappedMembers is the new roster, whoever it leaves out");
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

/// alice removes bob, and wraps the new key to carol only.
async fn caller_left_out(cx: &Ctx) -> Outcome {
    let (alice, carol) = (cx.member().await?, cx.member().await?);
    let bob = cx.identity();
    let mut repo = cx.repo_with(&alice, &[&bob, &carol]).await?;
    let rotation = repo.rotation(&alice, &[&carol]);
    let answer = remove(cx, &alice, &repo, &bob.id, &rotation).await?;
    if !answer.is_success() {
        // A server may keep its callers from locking themselves out.
        answer.refused_somehow("a roster that leaves out the caller, unless it is accepted,")?;
        return cx.readable(&alice, &repo, "a refused removal").await;
    }
    repo.apply_rotation(&rotation);
    cx.watch(&repo);
    removed(&repo, &answer)?;
    cx.readable(&carol, &repo, "a removal whose roster leaves out the caller").await?;
    let answer = cx.pull(&alice, &repo.pull_request(0)).await?;
    answer.refused("a pull by who has left itself out of the roster", &[403])
}

/// A replacement in one step: bob goes, carol comes.
async fn roster_brings_somebody_in(cx: &Ctx) -> Outcome {
    let (alice, bob, carol) = (cx.member().await?, cx.member().await?, cx.member().await?);
    let mut repo = cx.repo_with(&alice, &[&bob]).await?;
    let rotation = repo.rotation(&alice, &[&alice, &carol]);
    let answer = remove(cx, &alice, &repo, bob.id(), &rotation).await?;
    if !answer.is_success() {
        answer.refused_somehow("a roster that brings somebody in, unless it is accepted,")?;
        other_roster_refused(cx, &answer, "rewrappedMembers is the new roster, whoever is in it");
        return cx.readable(&bob, &repo, "a refused removal").await;
    }
    repo.apply_rotation(&rotation);
    cx.watch(&repo);
    removed(&repo, &answer)?;
    cx.readable(&carol, &repo, "a removal whose roster brought the reader in").await?;
    cx.readable(&alice, &repo, "a removal whose roster brought somebody in").await
}

/// More than a page of a list; a limit is allowed.
async fn many_stay(cx: &Ctx) -> Outcome {
    let alice = cx.member().await?;
    let bob = cx.identity();
    let mut repo = cx.repo_with(&alice, &[&bob]).await?;
    let others: Vec<_> = std::iter::repeat_with(|| cx.identity()).take(39).collect();
    let mut roster = vec![&alice.identity];
    roster.extend(&others);
    let rotation = repo.rotation(&alice, &roster);
    let answer = remove(cx, &alice, &repo, &bob.id, &rotation).await?;
    if answer.is_refusal() {
        cx.remark(format!("a roster of {} is refused with {}", roster.len(), answer.status));
        return cx.readable(&alice, &repo, "a refused removal").await;
    }
    repo.apply_rotation(&rotation);
    cx.watch(&repo);
    removed(&repo, &answer)?;
    cx.readable(&alice, &repo, "a removal that left forty members").await
}

/// The entries replace the old ones whole: what was wrapped to a new key is of no use beside the old one.
async fn new_x25519_key_as_sent(cx: &Ctx) -> Outcome {
    let alice = cx.member().await?;
    let (bob, carol, fresh) = (cx.identity(), cx.identity(), cx.identity());
    let mut repo = cx.repo_with(&alice, &[&bob, &carol]).await?;
    let mut rotation = repo.rotation(&alice, &[&alice, &fresh]);
    rotation.members[1].ed25519_public_key.clone_from(&carol.id);
    let answer = remove(cx, &alice, &repo, &bob.id, &rotation).await?;
    if !answer.is_success() {
        answer.refused_somehow("a new X25519 key in a rewrapped entry, unless it is accepted,")?;
        return cx.readable(&alice, &repo, "a refused removal").await;
    }
    repo.apply_rotation(&rotation);
    cx.watch(&repo);
    removed(&repo, &answer)?;
    cx.readable(&alice, &repo, "a removal that brought a member's new X25519 key").await
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

/// Two members of the request speak of the epoch; the rule names the one that counts.
async fn epoch_is_new_key_epoch(cx: &Ctx) -> Outcome {
    let alice = cx.member().await?;
    let bob = cx.identity();
    let repo = cx.repo_with(&alice, &[&bob]).await?;
    let next = repo.epoch() + 1;
    let rotation = repo.rotation_to(&alice, &[&alice], repo.version() + 1, next + 1);
    let mut request = repo.remove_request(&bob.id, &rotation);
    request.new_key_epoch = next;
    let answer = cx.remove(&alice, &request).await?;
    if !answer.is_success() {
        answer.refused_somehow("an envelope of another epoch than newKeyEpoch, unless it is accepted,")?;
        return cx.readable(&alice, &repo, "a refused removal").await;
    }
    let expected = format!("the epoch is newKeyEpoch, {next}");
    let manifest: VaultManifest = answer.message()?;
    answer.must(manifest.key_epoch == next, &expected, || format!("{} is returned", manifest.key_epoch))?;
    let (answer, manifest, _) = cx.pull_all(&alice, &repo).await?;
    answer.must(manifest.key_epoch == next, &expected, || format!("{} is served", manifest.key_epoch))
}
