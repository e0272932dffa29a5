//! removeMember (SPEC §6, §10) that must not happen: refused, and then nothing at all has changed.

use super::check::checks;
use super::counter_values::reached;
use super::create_repo::swap_case;
use super::elsewhere::BY_PATH;
use super::removal::{remove, removed};
use super::{Answer, Ctx, Member, Operation, Outcome, Stop};
use crate::client::{Identity, Repo, Rotation, random};
use crate::codec::base64;
use crate::ground::hex;
use crate::wire::VaultManifest;

checks! {
    "remove-member/epoch-must-rise", Must, "§10", [EPOCH_RISES, REMOVE_ATOMIC], epoch_must_rise,
        "A removal whose new epoch isn't above the old one is refused and changes nothing";
    "remove-member/version-must-not-fall", Must, "§10", [VERSION_MONOTONIC, REMOVE_ATOMIC], version_must_not_fall,
        "A removal whose envelope is below the current version is refused and changes nothing";
    "remove-member/version-must-rise", Must, "§10", [VERSION_MONOTONIC, REMOVE_ATOMIC], version_must_rise,
        "A removal whose envelope is at the current version is refused and changes nothing";
    "remove-member/epoch-compared-exactly", Must, "§2", [INT64, EPOCH_RISES], epoch_compared_exactly,
        "New epochs around 2^53 and 2^63 are compared and kept exactly";
    "remove-member/non-member", Must, "§6", [REMOVE_MEMBERS_ONLY, SUBJECT_IS_CALLER], non_member,
        "A stranger's removal is refused and changes nothing";
    "remove-member/unknown-repository", Must, "§6", [REMOVE_MEMBERS_ONLY], unknown_repository,
        "removeMember on an id that doesn't exist is refused and creates nothing";
    "remove-member/no-authority-elsewhere", Must, "§6", [REMOVE_MEMBERS_ONLY, SUBJECT_IS_CALLER], no_authority_elsewhere,
        "Authority over the repository in the path gives none over the one in the body, nor the reverse", only = Http;
    "remove-member/unknown-member", Should, "§6", [REMOVE_UNKNOWN], unknown_member,
        "Removing somebody who isn't a member is answered with 404";
    "remove-member/misspelled-id", Should, "§6", [REMOVE_UNKNOWN], misspelled_id,
        "A removal that names a member in another spelling of its id is refused";
    "remove-member/unknown-member-whole-or-nothing", Must, "§6", [REMOVE_ATOMIC, REMOVE_REPLACES], unknown_member_whole,
        "A removal of somebody who isn't a member changes nothing, or happens as a whole";
    "remove-member/refused-changes-nothing", Must, "§6", [REMOVE_ATOMIC, REMOVE_REPLACES], super::incomplete::remove,
        "A removal that lacks what it needs is refused whole, or kept as it was sent";
    "remove-member/bad-envelope-changes-nothing", Must, "§6", [REMOVE_ATOMIC, REMOVE_REPLACES], super::incomplete::remove_envelope,
        "A removal whose envelope is malformed is refused whole, or kept as it was sent", only = Http;
    "remove-member/bad-entry-changes-nothing", Must, "§6", [REMOVE_ATOMIC, REMOVE_REPLACES], super::incomplete::remove_entry,
        "A removal with a malformed entry in its roster is refused whole, or kept as it was sent";
    "remove-member/bad-wrapped-key-changes-nothing", Must, "§6", [REMOVE_ATOMIC, REMOVE_REPLACES], super::incomplete::remove_wrapped_key,
        "A removal with a malformed wrapped key in its roster is refused whole, or kept as it was sent", only = Http;
    "remove-member/empty-roster", Hardening, "§6", [REMOVE_CONSISTENT], empty_roster,
        "A removal that leaves nobody is refused";
    "remove-member/roster-names-somebody-twice", Hardening, "§6", [REMOVE_CONSISTENT], roster_twice,
        "A removal whose roster names a member twice is refused";
    "remove-member/envelope-of-another-epoch", Hardening, "§6", [REMOVE_CONSISTENT], envelope_of_another_epoch,
        "A removal whose envelope isn't at the new epoch is refused";
    "remove-member/foreign-envelope", Hardening, "§6", [REMOVE_CONSISTENT], foreign_envelope,
        "A removal whose envelope names another repository is refused";
}

/// The removal was refused, or (a warning) acknowledged and ignored: nothing has changed.
async fn not_applied(cx: &Ctx, reader: &Member, repo: &Repo, answer: &Answer<'_>, what: &str) -> Outcome {
    if !answer.is_success() {
        answer.refused_somehow(what)?;
        return cx.holds(reader, repo, what).await;
    }
    cx.holds(reader, repo, what).await?;
    answer.should(false, &format!("{what} is refused with a 4xx"), || format!("{}, and ignored", answer.summary()));
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

/// Epochs below this one that are above it by the low 32 bits, or where a difference wraps.
fn lower_but_wrapped(epoch: i64) -> impl Iterator<Item = i64> {
    let low = (epoch >= 1 << 32).then(|| (epoch + 1) % (1 << 32));
    let by_32 = epoch.checked_sub((1 << 32) - 1);
    let by_64 = epoch.wrapping_add(2);
    [low, by_32, Some(by_64)].into_iter().flatten().filter(move |lower| *lower < epoch)
}

/// In doubles, 2^53 and 2^53+1 are one number, and so are 2^63-2 and 2^63-1.
async fn epoch_compared_exactly(cx: &Ctx) -> Outcome {
    let alice = cx.member().await?;
    let bob = cx.identity();
    // Where nothing is compared at all, that is the finding, and of another check.
    let near = cx.repo_with(&alice, &[&bob]).await?;
    let same = near.rotation_to(&alice, &[&alice], near.version() + 1, near.epoch());
    if remove(cx, &alice, &near, &bob.id, &same).await?.is_success()
        && cx.pull_all(&alice, &near).await?.1.payload_version != near.version()
    {
        let reason = "the server doesn't compare epochs at all, as remove-member/epoch-must-rise shows";
        return Err(Stop::not_judged(reason));
    }
    for epoch in [(1 << 32) - 1, 1 << 53, i64::MAX - 1] {
        let Some(mut repo) = reached(cx, &alice, 2, epoch).await? else { continue };
        cx.enrol(&alice, &mut repo, &bob).await?;
        let same = repo.rotation_to(&alice, &[&alice], repo.version() + 1, epoch);
        let answer = remove(cx, &alice, &repo, &bob.id, &same).await?;
        not_applied(cx, &alice, &repo, &answer, &format!("a removal to epoch {epoch} at that epoch")).await?;
        for lower in lower_but_wrapped(epoch) {
            let fallen = repo.rotation_to(&alice, &[&alice], repo.version() + 1, lower);
            let answer = remove(cx, &alice, &repo, &bob.id, &fallen).await?;
            not_applied(cx, &alice, &repo, &answer, &format!("a removal to epoch {lower} at epoch {epoch}")).await?;
        }
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
    for (path, body, envelope) in
        [(&own, &target, &target), (&own, &target, &own), (&target, &own, &own), (&target, &own, &target)]
    {
        let mut request = envelope.remove_request(&bob.id, &envelope.rotation(&mallory, &[&mallory]));
        request.repo_id = body.id().into();
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

/// Spellings of an id that lenient decoders read as the same key.
fn spellings(id: &str) -> Vec<String> {
    let url = id.replace('+', "-").replace('/', "_");
    let mut all = vec![id.trim_end_matches('=').to_owned(), format!("{id} "), format!(" {id}"), format!("{id}\n"), url];
    all.extend(base64::decode(id).ok().map(|bytes| hex::encode(&bytes)));
    // In base64 another letter case is another key; not every one could be somebody's.
    all.push(swap_case(id));
    let letters = id.char_indices().filter(|(_, c)| c.is_ascii_alphabetic()).take(8);
    all.extend(letters.map(|(at, c)| format!("{}{}{}", &id[..at], swap_case(&c.to_string()), &id[at + 1..])));
    all.retain(|other| other != id);
    all
}

/// Where strangers to the roster are removed as well, that is another check's business.
async fn misspelled_id(cx: &Ctx) -> Outcome {
    let alice = cx.member().await?;
    let bob = cx.introduce(Identity::generate_with(|id| id.contains(['+', '/'])));
    let mut repo = cx.repo_with(&alice, &[&bob]).await?;
    let nobody = remove(cx, &alice, &repo, &cx.identity().id, &repo.rotation(&alice, &[&alice, &bob])).await?;
    if nobody.is_success() {
        return Err(Stop::not_applicable("somebody who isn't a member can be removed here, too"));
    }
    for other in spellings(&bob.id) {
        let rotation = repo.rotation(&alice, &[&alice]);
        let answer = remove(cx, &alice, &repo, &other, &rotation).await?;
        answer.refused(&format!("removing {other:?}, which is no spelling of a member's id,"), &[404])?;
        cx.holds(&alice, &repo, "removing a member by another spelling of its id").await?;
    }
    // By its own it works.
    cx.expel(&alice, &mut repo, &bob.id, &[&alice]).await
}

/// Whatever the answer says: an error has changed nothing; an acceptance nothing or everything, and bob, whose id was
/// only nearly named, stays.
async fn unknown_member_whole(cx: &Ctx) -> Outcome {
    let (alice, bob) = (cx.member().await?, cx.member().await?);
    let mut repo = cx.repo_with(&alice, &[&bob]).await?;
    // In Protocol Buffers an id that is missing is an empty one.
    for gone in [&cx.identity().id, &swap_case(bob.id()), &bob.x25519_public_key, &String::new()] {
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
    if answer.is_success() && request.rotated_envelope.repo_id != repo.id() {
        return cx.told_once(BY_PATH, answer.refused_somehow(what));
    }
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
    let other = random::uuid();
    impossible(cx, "a removal whose envelope names another repository", |rotation| rotation.envelope.repo_id = other)
        .await
}
