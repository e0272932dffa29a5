//! push (SPEC §6, §10): optimistic concurrency, and who may.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::check::checks;
use super::counter_values::{reached, too_large};
use super::elsewhere::BY_PATH;
use super::state::differing;
use super::{Answer, Ctx, Outcome, Stop};
use crate::client::{Repo, VERSION_AT_CREATION, random};
use crate::wire::{PullResponse, PushRequest, PushResponse};

checks! {
    "push/applies", Must, "§6", [PUSH_APPLIES, READ_YOUR_WRITES, STORED_VERBATIM], applies,
        "A push at the current version is stored and answered with the new counters";
    "push/many-in-a-row", Must, "§6", [PUSH_APPLIES, READ_YOUR_WRITES, VERSION_MONOTONIC, PULL_CURRENT], many_in_a_row,
        "Every one of several pushes in a row is what the next pull returns";
    "push/any-member", Must, "§6", [PUSH_APPLIES, PUSH_MEMBERS_ONLY], any_member,
        "A member who was added pushes as the creator does";
    "push/stale-is-conflict", Must, "§6", [PUSH_GATED, PUSH_CONFLICT], stale_is_conflict,
        "A stale expectation is a 200 conflict with the current counters, and changes nothing";
    "push/sent-again-is-conflict", Must, "§6", [PUSH_GATED, PUSH_CONFLICT], sent_again,
        "A push that has applied is a conflict when it is sent again, rotating or not";
    "push/negative-expectation", Must, "§6", [PUSH_GATED, INT64], negative_expectation,
        "A negative expectation isn't the current version either: a conflict, or refused";
    "push/future-is-conflict", Must, "§6", [PUSH_GATED, PUSH_CONFLICT], future_is_conflict,
        "An expectation above the current version is a conflict too";
    "push/version-never-falls", Must, "§10", [VERSION_MONOTONIC, PUSH_REFUSED_WHOLE], version_never_falls,
        "A push whose envelope is at the current version or below is never accepted";
    "push/version-never-falls-from-far-up", Must, "§10", [VERSION_MONOTONIC, INT64, PUSH_REFUSED_WHOLE], version_never_falls_far_up,
        "Beyond 32 bits, too, a lower version is never accepted";
    "push/gap-is-accepted", Should, "§6", [PUSH_GAP], gap_is_accepted,
        "The new version may be more than one above the old one";
    "push/gap-applies-as-sent", Must, "§6", [PUSH_APPLIES, VERSION_MONOTONIC], gap_applies_as_sent,
        "A push that skips versions or epochs is refused, or sets the counters that its envelope is at";
    "push/non-member", Must, "§6", [PUSH_MEMBERS_ONLY, SUBJECT_IS_CALLER], non_member,
        "A stranger's push is refused and changes nothing";
    "push/unknown-repository", Must, "§6", [PUSH_MEMBERS_ONLY], unknown_repository,
        "A push to an id that doesn't exist is refused and creates nothing";
    "push/no-authority-elsewhere", Must, "§6", [PUSH_SCOPE, PUSH_MEMBERS_ONLY], super::elsewhere::push,
        "Authority over one repository gives none over another that the body, or its envelope, names";
    "push/refused-changes-nothing", Must, "§6", [PUSH_REFUSED_WHOLE, PUSH_GATED, PUSH_APPLIES], super::incomplete::push,
        "A push that lacks what it needs leaves everything as it was, or applies as it was sent";
    "push/bad-entry-changes-nothing", Must, "§6", [PUSH_REFUSED_WHOLE, PUSH_ROTATES], super::incomplete::push_roster,
        "A rotating push with a malformed entry leaves everything as it was, or applies as it was sent";
    "push/epoch-falls", Hardening, "§6", [PUSH_CONSISTENT], epoch_falls,
        "A push whose epoch is below the current one is refused";
    "push/foreign-envelope", Hardening, "§6", [PUSH_CONSISTENT], foreign_envelope,
        "A push whose envelope names another repository is refused";
}

/// The server's answer to a push that must apply.
pub(super) fn applied(repo: &Repo, answer: &Answer<'_>, version: i64, epoch: i64) -> Outcome {
    let response: PushResponse = answer.accepted("a push at the current version")?;
    let expected = PushResponse { accepted: true, payload_version: version, key_epoch: epoch, conflict: false };
    let at = repo.version();
    answer.must(response == expected, &format!("the push at version {at} is answered with {expected}"), || {
        differing(&expected, &response)
    })
}

/// The server's answer to a push that must not apply because of its expectation.
pub(super) fn conflicts(repo: &Repo, answer: &Answer<'_>) -> Outcome {
    answer.must(
        answer.is_success(),
        "a wrong expectation is answered with 200 and conflict, not with an error",
        || answer.summary(),
    )?;
    let response: PushResponse = answer.accepted("a push with a wrong expectation")?;
    let expected =
        PushResponse { accepted: false, payload_version: repo.version(), key_epoch: repo.epoch(), conflict: true };
    answer.must(response == expected, &format!("the conflict reports the current counters: {expected}"), || {
        differing(&expected, &response)
    })
}

/// The push applies: the answer says so, and pull serves it.
async fn applies(cx: &Ctx) -> Outcome {
    let alice = cx.member().await?;
    let mut repo = cx.repo(&alice).await?;
    let push = repo.push_request(&alice);
    applied(&repo, &cx.push(&alice, &push).await?, repo.version() + 1, repo.epoch())?;
    repo.apply_push(&push);
    cx.readable(&alice, &repo, "a push").await
}

/// What was just written is what is read, each time.
async fn many_in_a_row(cx: &Ctx) -> Outcome {
    let alice = cx.member().await?;
    let mut repo = cx.repo(&alice).await?;
    for _ in 0..5 {
        let push = repo.push_request(&alice);
        applied(&repo, &cx.push(&alice, &push).await?, repo.version() + 1, repo.epoch())?;
        repo.apply_push(&push);
        cx.holds(&alice, &repo, "each of several pushes").await?;
    }
    // A roster that isn't the first one any more, should an old one come back.
    let bob = cx.member().await?;
    cx.enrol(&alice, &mut repo, &bob).await?;
    // A history that is cut after so many versions, or in which the tenth comes before the ninth.
    let until = Instant::now() + MANY_FOR;
    for _ in 0..if cx.thorough() { 300 } else { 105 } {
        let push = repo.push_request(&alice);
        applied(&repo, &cx.push(&alice, &push).await?, repo.version() + 1, repo.epoch())?;
        repo.apply_push(&push);
        // What is done after so many of them.
        if [8, 10, 16, 25].iter().any(|step| (repo.version() - VERSION_AT_CREATION) % step == 0) {
            cx.holds(&alice, &repo, "one of many pushes").await?;
        }
        if Instant::now() > until && !cx.thorough() {
            break;
        }
    }
    cx.readable(&bob, &repo, &format!("{} pushes", repo.version() - VERSION_AT_CREATION)).await?;
    // Nobody has to have kept up with what there was.
    let answer = cx.pull(&bob, &repo.pull_request(VERSION_AT_CREATION)).await?;
    let version = answer.accepted::<PullResponse>("a pull by a member")?.envelope.map(|known| known.payload_version);
    answer.must(
        version == Some(repo.version()),
        "the current envelope, however old the version that is known",
        || format!("an envelope of version {version:?}"),
    )?;
    // What no longer fits in one buffer is carried out once all the same; and what is kept elsewhere for its size is kept, too.
    for kib in [16, 96] {
        let push = repo.push_of(&random::vec(kib << 10), repo.version() + 1);
        applied(&repo, &cx.push(&alice, &push).await?, repo.version() + 1, repo.epoch())?;
        repo.apply_push(&push);
        cx.holds(&alice, &repo, &format!("a push of {kib} KiB")).await?;
    }
    // A snapshot of every so many versions mustn't come back.
    cx.enrol(&alice, &mut repo, &cx.identity()).await?;
    cx.holds(&alice, &repo, "an addMember after many pushes").await
}

/// How long the many pushes may take on a slow server.
const MANY_FOR: Duration = Duration::from_secs(4);

/// Every member may write, not only the creator.
async fn any_member(cx: &Ctx) -> Outcome {
    let (alice, bob) = (cx.member().await?, cx.member().await?);
    let mut repo = cx.repo_with(&alice, &[&bob]).await?;
    let push = repo.push_request(&bob);
    applied(&repo, &cx.push(&bob, &push).await?, repo.version() + 1, repo.epoch())?;
    repo.apply_push(&push);
    cx.readable(&alice, &repo, "a push by another member").await
}

/// Stale by one, by more, and at zero: always a conflict with the counters of now.
async fn stale_is_conflict(cx: &Ctx) -> Outcome {
    let alice = cx.member().await?;
    let mut repo = cx.repo(&alice).await?;
    for _ in 0..3 {
        cx.advance(&alice, &mut repo).await?;
    }
    for stale in [repo.version() - 1, repo.version() - 2, 0] {
        let mut push = repo.push_request(&alice);
        push.expected_payload_version = stale;
        conflicts(&repo, &cx.push(&alice, &push).await?)?;
        cx.holds(&alice, &repo, "a stale push").await?;
    }
    // What is a conflict in the beginning is one later on, and however far behind.
    let early = repo.push_request(&alice);
    for _ in 0..20 {
        cx.advance(&alice, &mut repo).await?;
        let mut push = repo.push_request(&alice);
        push.expected_payload_version = repo.version() - 1;
        conflicts(&repo, &cx.push(&alice, &push).await?)?;
    }
    conflicts(&repo, &cx.push(&alice, &early).await?)?;
    // A late writer whose envelope is stale as well, as in a real race; what an earlier look has left in a cache is stale, too.
    cx.advance(&alice, &mut repo).await?;
    let mut late = repo.push_request_at(&alice, repo.version());
    late.expected_payload_version = repo.version() - 1;
    conflicts(&repo, &cx.push(&alice, &late).await?)?;
    cx.holds(&alice, &repo, "a stale push").await
}

/// A writer who got no answer sends again, and learns from the conflict that the push had applied.
async fn sent_again(cx: &Ctx) -> Outcome {
    let alice = cx.member().await?;
    let mut repo = cx.repo(&alice).await?;
    let push = repo.push_request(&alice);
    applied(&repo, &cx.push(&alice, &push).await?, repo.version() + 1, repo.epoch())?;
    repo.apply_push(&push);
    conflicts(&repo, &cx.push(&alice, &push).await?)?;
    let rotation = repo.rotation(&alice, &[&alice]);
    let rotating = repo.rotating_push(&rotation);
    let answer = cx.push(&alice, &rotating).await?;
    applied(&repo, &answer, rotation.envelope.payload_version, rotation.envelope.key_epoch)?;
    repo.apply_rotation(&rotation);
    conflicts(&repo, &cx.push(&alice, &rotating).await?)?;
    cx.holds(&alice, &repo, "pushes that were sent twice").await
}

/// What stands for "none" or "any" in clients and event stores (-1, -2, -4; -3 in search engines), and the least of each size.
/// Some servers have no such number at all, and say so.
pub(super) const NEGATIVE: [i64; 9] = [-1, -2, -3, -4, -5, -100, i32::MIN as i64, -9_007_199_254_740_991, i64::MIN];

async fn negative_expectation(cx: &Ctx) -> Outcome {
    let alice = cx.member().await?;
    let repo = cx.repo(&alice).await?;
    for expectation in NEGATIVE {
        let mut push = repo.push_request(&alice);
        push.expected_payload_version = expectation;
        let answer = cx.push(&alice, &push).await?;
        if !answer.is_refusal() {
            conflicts(&repo, &answer)?;
        }
        cx.holds(&alice, &repo, &format!("a push that expects version {expectation}")).await?;
    }
    Ok(())
}

/// The gate is equality: an expectation above the current version is as wrong as one below.
async fn future_is_conflict(cx: &Ctx) -> Outcome {
    let alice = cx.member().await?;
    let mut repo = cx.repo(&alice).await?;
    cx.advance(&alice, &mut repo).await?;
    for ahead in [1, 5, 1 << 40] {
        let expectation = repo.version() + ahead;
        let mut push = repo.push_request_at(&alice, expectation.saturating_add(1));
        push.expected_payload_version = expectation;
        let answer = cx.push(&alice, &push).await?;
        if !(answer.is_refusal() && too_large(cx, &answer, expectation)) {
            conflicts(&repo, &answer)?;
        }
        cx.holds(&alice, &repo, "a push that expects a future version").await?;
    }
    Ok(())
}

/// Right expectation, but an envelope that doesn't move on. Whatever the server answers, it has not stored it.
async fn version_never_falls(cx: &Ctx) -> Outcome {
    let alice = cx.member().await?;
    let mut repo = cx.repo(&alice).await?;
    for _ in 0..2 {
        cx.advance(&alice, &mut repo).await?;
    }
    for version in [repo.version(), repo.version() - 1, 0, -1, i64::MIN] {
        let push = repo.push_request_at(&alice, version);
        let answer = cx.push(&alice, &push).await?;
        not_accepted(&answer, version, repo.version())?;
        cx.holds(&alice, &repo, "a push that doesn't raise the version").await?;
    }
    Ok(())
}

/// Where the low 32 bits, or the first digits, say that the number rises.
async fn version_never_falls_far_up(cx: &Ctx) -> Outcome {
    let alice = cx.member().await?;
    // Where nothing is compared at all, that is the finding, and of another check.
    let mut near = cx.repo(&alice).await?;
    cx.advance(&alice, &mut near).await?;
    let answer = cx.push(&alice, &near.push_request_at(&alice, near.version() - 1)).await?;
    if answer.is_success() && answer.message::<PushResponse>().is_ok_and(|response| response.accepted) {
        return Err(Stop::not_judged("the server doesn't compare versions at all, as push/version-never-falls shows"));
    }
    let Some(repo) = reached(cx, &alice, (1 << 32) + 1, 0).await? else { return Ok(()) };
    for version in [5, 1 << 31, 1 << 32, 999, i64::MIN] {
        let answer = cx.push(&alice, &repo.push_request_at(&alice, version)).await?;
        not_accepted(&answer, version, repo.version())?;
        cx.holds(&alice, &repo, "a push that lowers the version").await?;
    }
    Ok(())
}

/// A 4xx or `accepted: false`; never acceptance, never a 5xx.
pub(super) fn not_accepted(answer: &Answer<'_>, version: i64, current: i64) -> Outcome {
    if answer.is_refusal() {
        return Ok(());
    }
    let response: PushResponse = answer.accepted("a push with the right expectation")?;
    answer.must(
        !response.accepted,
        &format!("an envelope of version {version} isn't accepted at version {current}"),
        || response.to_string(),
    )
}

/// Nothing says that versions are consecutive.
async fn gap_is_accepted(cx: &Ctx) -> Outcome {
    let alice = cx.member().await?;
    let mut repo = cx.repo(&alice).await?;
    let push = repo.push_request_at(&alice, repo.version() + 41);
    let answer = cx.push(&alice, &push).await?;
    if answer.is_refusal() {
        return Err(answer.broken_by_no_limit("a push that skips versions is accepted", answer.summary()));
    }
    applied(&repo, &answer, repo.version() + 41, repo.epoch())?;
    repo.apply_push(&push);
    cx.holds(&alice, &repo, "a push that skips versions").await
}

/// Version and epoch are the writer's to choose, and bound into the ciphertext: a server that counts by itself serves what nobody can
/// read.
async fn gap_applies_as_sent(cx: &Ctx) -> Outcome {
    let alice = cx.member().await?;
    let mut repo = cx.repo(&alice).await?;
    let push = repo.push_request_at(&alice, repo.version() + 7);
    let answer = cx.push(&alice, &push).await?;
    if answer.is_success() {
        applied(&repo, &answer, repo.version() + 7, repo.epoch())?;
        repo.apply_push(&push);
    } else {
        answer.refused_somehow("a push that skips versions, unless it is accepted,")?;
    }
    cx.readable(&alice, &repo, "a push that skips versions").await?;
    for (what, versions, epochs) in [("epochs", 1, 6), ("versions", 5, 1)] {
        let (version, epoch) = (repo.version() + versions, repo.epoch() + epochs);
        let rotation = repo.rotation_to(&alice, &[&alice], version, epoch);
        let answer = cx.push(&alice, &repo.rotating_push(&rotation)).await?;
        if answer.is_success() {
            applied(&repo, &answer, version, epoch)?;
            repo.apply_rotation(&rotation);
            cx.watch(&repo);
        } else {
            answer.refused_somehow(&format!("a rotating push that skips {what}, unless it is accepted,"))?;
        }
        cx.readable(&alice, &repo, &format!("a rotating push that skips {what}")).await?;
    }
    Ok(())
}

/// 64 bytes of base64, to be stored as they are.
pub(super) fn binding_like_signature() -> String {
    crate::codec::base64::encode(&random::bytes::<64>())
}

/// A valid token isn't membership.
async fn non_member(cx: &Ctx) -> Outcome {
    let (alice, mallory) = (cx.member().await?, cx.member().await?);
    let repo = cx.repo(&alice).await?;
    let answer = cx.push(&mallory, &repo.push_request(&mallory)).await?;
    answer.refused("a push by a stranger", &[403])?;
    // A roster that names the caller doesn't make it a member.
    let rotation = repo.rotation(&mallory, &[&alice, &mallory]);
    let answer = cx.push(&mallory, &repo.rotating_push(&rotation)).await?;
    answer.refused("a rotating push by a stranger", &[403])?;
    // Nor does what is there already.
    let same = PushRequest { envelope: repo.envelope.clone(), ..repo.push_request(&mallory) };
    cx.push(&mallory, &same).await?.refused("a push of the current envelope by a stranger", &[403])?;
    // Neither does a wrong expectation get an answer with counters.
    let mut stale = repo.push_request(&mallory);
    stale.expected_payload_version = 0;
    cx.push(&mallory, &stale).await?.refused("a stale push by a stranger", &[403])?;
    cx.holds(&alice, &repo, "pushes by a stranger").await
}

/// There is nothing to push to, and nothing comes into being.
async fn unknown_repository(cx: &Ctx) -> Outcome {
    let alice = cx.member().await?;
    let nowhere = Repo::new(&alice);
    let answer = cx.push(&alice, &nowhere.push_request(&alice)).await?;
    answer.refused("a push to an unknown repository", &[404])?;
    let answer = cx.pull(&alice, &nowhere.pull_request(0)).await?;
    answer.refused("a pull of an unknown repository", &[404])
}

/// A copy of a request with one member replaced, or left out.
pub(super) fn with(whole: &Value, member: &str, replacement: Option<Value>) -> Value {
    let mut body = whole.clone();
    match replacement {
        Some(replacement) => body[member] = replacement,
        None => drop(body.as_object_mut().and_then(|object| object.remove(member))),
    }
    body
}

/// An epoch never falls; nothing in §6 says so for push, hence hardening.
async fn epoch_falls(cx: &Ctx) -> Outcome {
    let alice = cx.member().await?;
    let mut repo = cx.repo(&alice).await?;
    let rotation = repo.rotation(&alice, &[&alice]);
    applied(&repo, &cx.push(&alice, &repo.rotating_push(&rotation)).await?, rotation.envelope.payload_version, 1)?;
    repo.apply_rotation(&rotation);
    let back = repo.rotation_to(&alice, &[&alice], repo.version() + 1, 0);
    let answer = cx.push(&alice, &repo.rotating_push(&back)).await?;
    answer.refused_somehow("a rotating push to a lower epoch")?;
    let mut plain = repo.push_request(&alice);
    plain.envelope = back.envelope;
    let answer = cx.push(&alice, &plain).await?;
    answer.refused_somehow("a push of an envelope at a lower epoch")?;
    cx.holds(&alice, &repo, "a push to a lower epoch").await
}

/// An envelope of another repository can't be decrypted by anybody here.
async fn foreign_envelope(cx: &Ctx) -> Outcome {
    let alice = cx.member().await?;
    let (repo, other) = (cx.repo(&alice).await?, Repo::new(&alice));
    let mut push = repo.push_request(&alice);
    push.envelope = other.push_request(&alice).envelope;
    let answer = cx.push(&alice, &push).await?;
    if answer.is_success() {
        return cx.told_once(BY_PATH, answer.refused_somehow("a push of another repository's envelope"));
    }
    answer.refused_somehow("a push of another repository's envelope")?;
    cx.holds(&alice, &repo, "a push of another repository's envelope").await
}
