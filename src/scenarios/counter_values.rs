//! Repositories at chosen counters, and numbers beyond what every server has to take.

use super::state::{compare_manifest, differing};
use super::{Answer, Ctx, Member, Outcome, Stop};
use crate::client::{Repo, random};
use crate::model::ordinary;
use crate::wire::{PushResponse, VaultManifest};

/// A repository at given counters: created there, or, where a server is particular about that, rotated there.
///
/// `None`, with a warning, when the server refuses to go there; what it must not do is go somewhere else.
pub(super) async fn reached(cx: &Ctx, owner: &Member, version: i64, epoch: i64) -> Result<Option<Repo>, Stop> {
    let created = Repo::with_counters(owner, &random::uuid(), version, epoch);
    cx.watch(&created);
    let answer = cx.create(owner, &created.create_request()).await?;
    if answer.is_success() {
        let manifest: VaultManifest = answer.accepted("createRepo by the sole member")?;
        return match compare_manifest(&created.manifest, &manifest) {
            None => Ok(Some(created)),
            Some(difference) => Err(answer.violation("createRepo returns the counters as they were sent", difference)),
        };
    }
    answer.refused_somehow("createRepo with counters that the server doesn't want")?;
    let mut pushed = cx.repo(owner).await?;
    let rotation = pushed.rotation_to(owner, &[owner], version, epoch.max(pushed.epoch()));
    let answer = cx.push(owner, &pushed.rotating_push(&rotation)).await?;
    if let Some(stop) = answer.limited() {
        return Err(stop);
    }
    if answer.is_refusal() {
        let expected = format!("a repository may be at version {version} and epoch {epoch}");
        answer.should(false, &expected, || answer.summary());
        return Ok(None);
    }
    applied_at(&answer, version, rotation.envelope.key_epoch)?;
    pushed.apply_rotation(&rotation);
    Ok(Some(pushed))
}

/// The push applied, and the answer has exactly these counters.
pub(super) fn applied_at(answer: &Answer<'_>, version: i64, epoch: i64) -> Outcome {
    let expected = PushResponse { accepted: true, payload_version: version, key_epoch: epoch, conflict: false };
    let applied: PushResponse = answer.accepted("a push at the current version")?;
    answer
        .must(applied == expected, &format!("the push is answered with {expected}"), || differing(&expected, &applied))
}

/// Whether a refusal is excused by a number that is larger than every server has to take; it is a warning. 409 or 412 says that
/// the number is understood, and isn't the one that was expected.
pub(super) fn too_large(cx: &Ctx, answer: &Answer<'_>, number: i64) -> bool {
    let large = number > 0 && !ordinary(number) && matches!(answer.status, 400 | 413 | 422);
    if large && answer.limited().is_none() {
        cx.warn(answer.finding(format!("the number {number} isn't refused"), answer.summary()));
    }
    large
}
