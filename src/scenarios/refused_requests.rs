//! Requests that have to be refused, each wrong in one respect: for checks of what a refusal leaves behind.

use serde_json::Value;

use super::push::{conflicts, not_accepted};
use super::{Answer, Call, Ctx, Member, Operation, Stop};
use crate::client::{Identity, Repo};
use crate::wire::PushRequest;

/// Who takes part.
pub(super) struct Cast<'a> {
    /// A member.
    pub alice: &'a Member,
    /// Another one.
    pub bob: &'a Identity,
    /// A stranger.
    pub mallory: &'a Member,
    /// Whom nothing but the request names.
    pub eve: &'a Identity,
}

/// What is wrong with a request.
#[derive(Clone, Copy)]
pub(super) enum Refused {
    CreationByMember,
    CreationByStranger,
    PullByStranger,
    FetchByStranger,
    FetchOfNobody,
    PushByStranger,
    RotationByStranger,
    PushToOldEpoch,
    RotationToOldEpoch,
    PushWithoutEnvelope,
    StalePush,
    StaleRotation,
    LoweringPush,
    LoweringRotation,
    RotationThatNamesTwice,
    RotationToTwoEpochs,
    AdditionByStranger,
    AdditionToNextEpoch,
    AdditionWithOtherKeys,
    AdditionWithoutMember,
    AdditionWithoutIv,
    RemovalByStranger,
    RemovalOfNobody,
    RemovalToOldEpoch,
    RemovalToOldVersion,
    RemovalThatKeeps,
}

/// All of them, with their names for a reader.
pub(super) const ALL: [(&str, Refused); 26] = [
    ("a createRepo of its id by a member", Refused::CreationByMember),
    ("a createRepo of its id by a stranger", Refused::CreationByStranger),
    ("a pull by a stranger", Refused::PullByStranger),
    ("a fetchMemberKey by a stranger", Refused::FetchByStranger),
    ("a fetchMemberKey of who isn't in the roster", Refused::FetchOfNobody),
    ("a push by a stranger", Refused::PushByStranger),
    ("a rotating push by a stranger", Refused::RotationByStranger),
    ("a push to an older epoch", Refused::PushToOldEpoch),
    ("a rotating push to an older epoch", Refused::RotationToOldEpoch),
    ("a stale push", Refused::StalePush),
    ("a stale rotating push", Refused::StaleRotation),
    ("a push that doesn't raise the version", Refused::LoweringPush),
    ("a rotating push that doesn't raise the version", Refused::LoweringRotation),
    ("a rotating push that names a member twice", Refused::RotationThatNamesTwice),
    ("a rotating push with an entry of another epoch", Refused::RotationToTwoEpochs),
    ("an addMember by a stranger", Refused::AdditionByStranger),
    ("an addMember with an entry of the next epoch", Refused::AdditionToNextEpoch),
    ("an addMember of a member with other keys", Refused::AdditionWithOtherKeys),
    ("a removeMember by a stranger", Refused::RemovalByStranger),
    ("a removeMember of who isn't in the roster", Refused::RemovalOfNobody),
    ("a removeMember to an epoch that isn't higher", Refused::RemovalToOldEpoch),
    ("a removeMember to a version that isn't higher", Refused::RemovalToOldVersion),
    ("a removeMember whose roster keeps the member", Refused::RemovalThatKeeps),
    ("a push without an envelope", Refused::PushWithoutEnvelope),
    ("an addMember without a member", Refused::AdditionWithoutMember),
    ("an addMember without an IV", Refused::AdditionWithoutIv),
];

impl Refused {
    /// Sends it to a repository of alice and bob.
    pub(super) async fn sent<'c>(self, cx: &'c Ctx, cast: &Cast<'_>, repo: &Repo) -> Result<Answer<'c>, Stop> {
        let Cast { alice, bob, mallory, eve } = *cast;
        let (version, epoch) = (repo.version(), repo.epoch());
        let rotation = |version, epoch| repo.rotation_to(alice, &[alice, bob, eve], version, epoch);
        let removal = |gone: &str, version, epoch| repo.remove_request(gone, &rotation(version, epoch));
        let stale = |push: PushRequest| PushRequest { expected_payload_version: version - 1, ..push };
        match self {
            Self::CreationByMember => {
                let other = Repo::with_id(alice, repo.id()).of_scheme("another-scheme");
                cx.create(alice, &other.create_request()).await
            }
            Self::CreationByStranger => cx.create(mallory, &Repo::with_id(mallory, repo.id()).create_request()).await,
            Self::PullByStranger => cx.pull(mallory, &repo.pull_request(0)).await,
            Self::FetchByStranger => cx.fetch(mallory, repo.id(), alice.id()).await,
            Self::FetchOfNobody => cx.fetch(alice, repo.id(), &eve.id).await,
            Self::PushByStranger => cx.push(mallory, &repo.push_request(mallory)).await,
            Self::RotationByStranger => {
                let rotation = repo.rotation(mallory, &[alice, bob, mallory, eve]);
                cx.push(mallory, &repo.rotating_push(&rotation)).await
            }
            Self::PushToOldEpoch => {
                let mut push = repo.push_request(alice);
                push.envelope.key_epoch -= 1;
                cx.push(alice, &push).await
            }
            Self::RotationToOldEpoch => cx.push(alice, &repo.rotating_push(&rotation(version + 1, epoch - 1))).await,
            Self::StalePush => cx.push(alice, &stale(repo.push_request(alice))).await,
            Self::StaleRotation => cx.push(alice, &stale(repo.rotating_push(&rotation(version + 1, epoch + 1)))).await,
            Self::LoweringPush => cx.push(alice, &repo.push_request_at(alice, version)).await,
            Self::LoweringRotation => cx.push(alice, &repo.rotating_push(&rotation(version, epoch + 1))).await,
            Self::RotationThatNamesTwice => {
                let mut rotation = rotation(version + 1, epoch + 1);
                rotation.members.push(rotation.members[1].clone());
                cx.push(alice, &repo.rotating_push(&rotation)).await
            }
            Self::RotationToTwoEpochs => {
                let mut rotation = rotation(version + 1, epoch + 1);
                rotation.members[1].key_epoch = epoch;
                cx.push(alice, &repo.rotating_push(&rotation)).await
            }
            Self::AdditionByStranger => cx.add(mallory, &repo.add_request(eve)).await,
            Self::AdditionToNextEpoch => {
                let mut request = repo.add_request(eve);
                request.member.key_epoch += 1;
                cx.add(alice, &request).await
            }
            Self::AdditionWithOtherKeys => {
                let mut request = repo.add_request(bob);
                request.member.x25519_public_key.clone_from(&eve.x25519_public_key);
                cx.add(alice, &request).await
            }
            Self::RemovalByStranger => cx.remove(mallory, &removal(&bob.id, version + 1, epoch + 1)).await,
            Self::RemovalOfNobody => cx.remove(alice, &removal(&cx.identity().id, version + 1, epoch + 1)).await,
            Self::RemovalToOldEpoch => cx.remove(alice, &removal(&bob.id, version + 1, epoch)).await,
            Self::RemovalToOldVersion => cx.remove(alice, &removal(&bob.id, version, epoch + 1)).await,
            Self::RemovalThatKeeps => cx.remove(alice, &removal(&bob.id, version + 1, epoch + 1)).await,
            Self::PushWithoutEnvelope => {
                lacking(cx, Operation::Push, alice, repo, &repo.push_request(alice), ("", "envelope")).await
            }
            Self::AdditionWithoutMember => {
                lacking(cx, Operation::AddMember, alice, repo, &repo.add_request(eve), ("", "member")).await
            }
            Self::AdditionWithoutIv => {
                let place = ("/member/wrappedDataKey", "iv");
                lacking(cx, Operation::AddMember, alice, repo, &repo.add_request(eve), place).await
            }
        }
    }

    /// Whether it would change what is known of somebody.
    pub(super) fn names_somebody(self) -> bool {
        matches!(
            self,
            Self::RotationByStranger
                | Self::RotationToOldEpoch
                | Self::StaleRotation
                | Self::LoweringRotation
                | Self::RotationThatNamesTwice
                | Self::RotationToTwoEpochs
                | Self::AdditionByStranger
                | Self::AdditionToNextEpoch
                | Self::AdditionWithOtherKeys
                | Self::AdditionWithoutIv
                | Self::RemovalByStranger
                | Self::RemovalOfNobody
                | Self::RemovalToOldEpoch
                | Self::RemovalToOldVersion
                | Self::RemovalThatKeeps
        )
    }

    /// Whether it is a push.
    pub(super) fn is_push(self) -> bool {
        matches!(
            self,
            Self::PushByStranger
                | Self::RotationByStranger
                | Self::PushToOldEpoch
                | Self::RotationToOldEpoch
                | Self::PushWithoutEnvelope
                | Self::StalePush
                | Self::StaleRotation
                | Self::LoweringPush
                | Self::LoweringRotation
                | Self::RotationThatNamesTwice
                | Self::RotationToTwoEpochs
        )
    }

    /// Whether it was refused; that it has to be is the business of other checks.
    pub(super) fn was(self, repo: &Repo, answer: &Answer<'_>) -> bool {
        match self {
            Self::StalePush | Self::StaleRotation => conflicts(repo, answer).is_ok(),
            Self::PushToOldEpoch | Self::RotationToOldEpoch | Self::LoweringPush | Self::LoweringRotation => {
                not_accepted(answer, repo.version(), repo.version()).is_ok()
            }
            _ => answer.is_refusal(),
        }
    }
}

/// A request without one of its members.
async fn lacking<'c>(
    cx: &'c Ctx,
    operation: Operation,
    by: &Member,
    repo: &Repo,
    request: &impl serde::Serialize,
    (object, member): (&str, &str),
) -> Result<Answer<'c>, Stop> {
    let mut body = serde_json::to_value(request).unwrap_or_default();
    if let Some(members) = body.pointer_mut(object).and_then(Value::as_object_mut) {
        members.remove(member);
    }
    let auth = by.auth();
    let body = Some(body.to_string().into());
    // A server that takes it may serve it as it is.
    cx.call(Call { validated: false, ..Call::operation(operation, repo.id(), "", &auth, body) }).await
}
