//! Counters (SPEC §2, §6): payload versions and key epochs over the whole int64 range, kept and compared exactly.

use super::check::checks;
use super::counter_values::{applied_at, reached, too_large};
use super::pull::{gives_envelope, says_unchanged};
use super::state::{compare_entry, differing};
use super::{Ctx, Member, Outcome};
use crate::wire::{MemberEntry, PushResponse};

checks! {
    "pull/version-is-compared-as-a-number", Must, "§6", [PULL_CURRENT, INT64], compared_as_a_number,
        "Versions that share digits with the current one aren't the current one";
    "pull/versions-around-32-bits", Must, "§2", [INT64, PUSH_GATED, PULL_CURRENT], versions_around_32_bits,
        "Payload versions around 2^31 and 2^32 are kept and compared exactly";
    "pull/versions-around-53-bits", Must, "§2", [INT64, PUSH_GATED, PULL_CURRENT], versions_around_53_bits,
        "Payload versions around 2^53 are kept and compared exactly";
    "pull/versions-around-63-bits", Must, "§2", [INT64, PUSH_GATED, PULL_CURRENT], versions_around_63_bits,
        "Payload versions up to 2^63-1 are kept and compared exactly";
    "pull/epochs-exact", Must, "§2", [INT64, STORED_VERBATIM], epochs_exact,
        "Key epochs up to 2^63-1, of repository and members, are kept exactly";
}

/// Neither the low bits of a number nor the beginning of its digits are the number.
async fn compared_as_a_number(cx: &Ctx) -> Outcome {
    let alice = cx.member().await?;
    let Some(repo) = reached(cx, &alice, 12, 0).await? else { return Ok(()) };
    for bits in [8, 16, 31, 32] {
        gives_envelope(cx, &alice, &repo, repo.version() + (1 << bits)).await?;
    }
    for known in [1, 2, 120, 112, 21, -12] {
        gives_envelope(cx, &alice, &repo, known).await?;
    }
    says_unchanged(cx, &alice, &repo, "pulls at other versions").await
}

async fn versions_around_32_bits(cx: &Ctx) -> Outcome {
    let alice = cx.member().await?;
    for version in [(1 << 31) - 1, 1 << 31, (1 << 32) + 1] {
        version_is_exact(cx, &alice, version).await?;
    }
    Ok(())
}

async fn versions_around_53_bits(cx: &Ctx) -> Outcome {
    let alice = cx.member().await?;
    for version in [(1 << 53) - 1, 1 << 53, (1 << 53) + 1] {
        version_is_exact(cx, &alice, version).await?;
    }
    Ok(())
}

async fn versions_around_63_bits(cx: &Ctx) -> Outcome {
    let alice = cx.member().await?;
    for version in [i64::MAX - 1, i64::MAX] {
        version_is_exact(cx, &alice, version).await?;
    }
    Ok(())
}

/// Served as it is, equal only to itself, and followed by the next one.
async fn version_is_exact(cx: &Ctx, alice: &Member, version: i64) -> Outcome {
    let Some(mut repo) = reached(cx, alice, version, 0).await? else { return Ok(()) };
    says_unchanged(cx, alice, &repo, "reaching that version").await?;
    let low_half = version & 0xffff_ffff;
    let near = [version.checked_sub(1), version.checked_add(1), (low_half != version).then_some(low_half)];
    for known in near.into_iter().flatten() {
        gives_envelope(cx, alice, &repo, known).await?;
        let mut stale = repo.push_request(alice);
        stale.expected_payload_version = known;
        let answer = cx.push(alice, &stale).await?;
        if answer.is_refusal() && too_large(cx, &answer, known.max(stale.envelope.payload_version)) {
            continue;
        }
        let expected =
            PushResponse { accepted: false, payload_version: version, key_epoch: repo.epoch(), conflict: true };
        let response: PushResponse = answer.accepted("a push with a wrong expectation")?;
        let what = format!("a push that expects {known} at version {version} is answered with {expected}");
        answer.must(response == expected, &what, || differing(&expected, &response))?;
    }
    let Some(next) = version.checked_add(1) else { return cx.readable(alice, &repo, "conflicts").await };
    let request = repo.push_request_at(alice, next);
    let answer = cx.push(alice, &request).await?;
    if answer.is_refusal() {
        // Taken for not above the current one? That is inexact if the number as such is welcome.
        return match reached(cx, alice, next, 0).await? {
            Some(_) => {
                Err(answer.broken_by_no_limit(format!("version {next} follows version {version}"), answer.summary()))
            }
            None => Ok(()),
        };
    }
    applied_at(&answer, next, repo.epoch())?;
    repo.apply_push(&request);
    cx.readable(alice, &repo, &format!("a push from version {version} to {next}")).await
}

/// In manifest, envelope and entry, by createRepo, addMember and a rotating push, and by itself in fetchMemberKey.
async fn epochs_exact(cx: &Ctx) -> Outcome {
    let alice = cx.member().await?;
    for epoch in [(1 << 31) - 1, 1 << 32, 1 << 53, i64::MAX - 1] {
        let Some(mut repo) = reached(cx, &alice, 2, epoch).await? else { continue };
        cx.enrol(&alice, &mut repo, &cx.identity()).await?;
        cx.readable(&alice, &repo, "addMember at a high epoch").await?;
        let rotation = repo.rotation(&alice, &[&alice]);
        let answer = cx.push(&alice, &repo.rotating_push(&rotation)).await?;
        applied_at(&answer, rotation.envelope.payload_version, epoch + 1)?;
        repo.apply_rotation(&rotation);
        cx.readable(&alice, &repo, &format!("a rotation from epoch {epoch} to the next")).await?;
        let answer = cx.fetch(&alice, repo.id(), alice.id()).await?;
        let entry: MemberEntry = answer.accepted("fetchMemberKey by a member")?;
        if let Some(difference) = compare_entry(&repo.manifest.members[0], &entry) {
            return Err(answer.violation("the entry as it was sent", difference));
        }
    }
    Ok(())
}
