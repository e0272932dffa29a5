//! Writes that name two repositories (SPEC §6): who is a member of one of them has no say in the other, wherever it is named.

use super::{Ctx, Operation, Outcome};
use crate::client::{Profile, Repo, random};

/// Far enough above both, so that a version doesn't stop what authority should.
const FAR: i64 = 1000;

/// The repository is the one in the path, whatever body and envelope say: a habit of every operation.
pub(super) const BY_PATH: &str = "the path decides";

/// mallory's pushes, in which path, body and envelope name alice's repository or her own.
pub(super) async fn push(cx: &Ctx) -> Outcome {
    let (alice, mallory) = (cx.member().await?, cx.member().await?);
    let (target, own) = (cx.repo(&alice).await?, cx.repo(&mallory).await?);
    let auth = mallory.auth();
    for (path, body, envelope) in [
        (&own, &target, &target),
        (&own, &target, &own),
        (&own, &own, &target),
        (&target, &own, &own),
        (&target, &own, &target),
        (&target, &target, &own),
    ] {
        // A call has no path beside its message.
        if cx.world.target.vault.profile() == Profile::Grpc && !std::ptr::eq(path, body) {
            continue;
        }
        // At version 1 both; what may apply to mallory's own moves that one alone.
        let mut forged = envelope.push_request_at(&mallory, FAR);
        forged.repo_id = body.id().into();
        let answer = cx.perform(Operation::Push, path.id(), &auth, &forged).await?;
        // By path or by body: a server that goes by the body alone has carried out what mallory may do.
        if std::ptr::eq(path, &target) && std::ptr::eq(body, &target) {
            answer.refused("a push to a repository that the caller isn't a member of", &[400, 403])?;
        }
        answer.keeps_secret(&target)?;
        cx.holds(&alice, &target, "pushes in which path, body and envelope name different repositories").await?;
    }
    Ok(())
}

/// A removal from mallory's own repository, whose envelope is for alice's.
pub(super) async fn removal(cx: &Ctx) -> Outcome {
    let (alice, mallory) = (cx.member().await?, cx.member().await?);
    let bob = cx.identity();
    let target = cx.repo_with(&alice, &[&bob]).await?;
    let own = cx.repo_with(&mallory, &[&bob]).await?;
    let mut forged = own.remove_request(&bob.id, &own.rotation_to(&mallory, &[&mallory], FAR, FAR));
    forged.rotated_envelope.repo_id = target.id().into();
    let answer = cx.perform(Operation::RemoveMember, own.id(), &mallory.auth(), &forged).await?;
    answer.keeps_secret(&target)?;
    cx.holds(&alice, &target, "a removal from another repository, whose envelope names this one").await
}

/// A new repository of mallory's, whose first envelope is for alice's.
pub(super) async fn creation(cx: &Ctx) -> Outcome {
    let (alice, mallory) = (cx.member().await?, cx.member().await?);
    let target = cx.repo(&alice).await?;
    let mut forged = Repo::with_id(&mallory, &random::uuid()).create_request();
    forged.initial_envelope.repo_id = target.id().into();
    let answer = cx.perform(Operation::CreateRepo, "", &mallory.auth(), &forged).await?;
    answer.keeps_secret(&target)?;
    cx.holds(&alice, &target, "a createRepo whose first envelope names this repository").await
}
