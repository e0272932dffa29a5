//! Who is named in a write that is refused: it brings nobody in, and changes what is served of nobody.

use super::super::push::conflicts;
use super::super::variants::Variants;
use super::super::{Answer, Ctx, Member, Operation, Outcome, Stop};
use super::entries::fetched;
use crate::client::{Identity, Repo};
use crate::wire::PushRequest;

/// A write that names somebody, and is refused.
#[derive(Clone, Copy)]
enum Refused {
    AdditionByStranger,
    AdditionWithOtherKeys,
    StaleRotation,
    LoweringRotation,
    RemovalToOldEpoch,
    RemovalToOldVersion,
    RemovalOfNobody,
    MalformedAddition,
}

const TABLE: [(&str, Refused); 8] = [
    ("an addMember by a stranger", Refused::AdditionByStranger),
    ("an addMember of a member with other keys", Refused::AdditionWithOtherKeys),
    ("a stale rotating push", Refused::StaleRotation),
    ("a rotating push that doesn't raise the version", Refused::LoweringRotation),
    ("a removeMember to an epoch that isn't higher", Refused::RemovalToOldEpoch),
    ("a removeMember to a version that isn't higher", Refused::RemovalToOldVersion),
    ("a removeMember of who isn't in the roster", Refused::RemovalOfNobody),
    // The last, since what is answered from there on isn't held to the schema.
    ("an addMember that lacks an IV", Refused::MalformedAddition),
];

/// What keeps rights or entries beside the roster, for a quick look, may be written before a write is refused.
pub(super) async fn brings_nobody_in(cx: &Ctx) -> Outcome {
    let (alice, mallory) = (cx.member().await?, cx.member().await?);
    let mut tally = Variants::default();
    for (what, refused) in TABLE {
        tally.note(format!("after {what}"), changes_nobody(cx, &alice, &mallory, what, refused).await)?;
    }
    tally.settle(cx)
}

async fn changes_nobody(cx: &Ctx, alice: &Member, mallory: &Member, what: &str, refused: Refused) -> Outcome {
    let (eve, bob) = (cx.member().await?, cx.identity());
    let mut repo = cx.repo_with(alice, &[&bob]).await?;
    cx.advance(alice, &mut repo).await?;
    let answer = refused.sent(cx, alice, mallory, &eve, &bob, &repo).await?;
    let as_it_should = match refused {
        Refused::StaleRotation => conflicts(&repo, &answer).is_ok(),
        // A push may be told so by a conflict, too; that nothing has changed is looked at below.
        Refused::LoweringRotation => true,
        _ => answer.is_refusal(),
    };
    if !as_it_should {
        cx.world.seen.known.lost(repo.id());
        return Err(Stop::not_applicable(format!("{what} isn't refused as it should be")));
    }
    let who = format!("somebody whom only {what} names");
    cx.pull(&eve, &repo.pull_request(0)).await?.refused(&format!("a pull by {who}"), &[403])?;
    cx.push(&eve, &repo.push_request(&eve)).await?.refused(&format!("a push by {who}"), &[403])?;
    cx.fetch(&eve, repo.id(), alice.id()).await?.refused(&format!("fetchMemberKey by {who}"), &[403])?;
    for id in [alice.id(), &bob.id] {
        fetched(cx, alice, &repo, id, what).await?;
    }
    cx.holds(alice, &repo, what).await
}

impl Refused {
    async fn sent<'c>(
        self,
        cx: &'c Ctx,
        alice: &Member,
        mallory: &Member,
        eve: &Identity,
        bob: &Identity,
        repo: &Repo,
    ) -> Result<Answer<'c>, Stop> {
        let (version, epoch) = (repo.version(), repo.epoch());
        let rotation = |version, epoch| repo.rotation_to(alice, &[alice, bob, eve], version, epoch);
        let removal = |gone: &str, version, epoch| repo.remove_request(gone, &rotation(version, epoch));
        match self {
            Self::MalformedAddition => {
                let mut body = serde_json::to_value(repo.add_request(eve)).unwrap_or_default();
                if let Some(key) = body.pointer_mut("/member/wrappedDataKey").and_then(|key| key.as_object_mut()) {
                    key.remove("iv");
                }
                // Where it is taken as it is, it is served so.
                cx.provokes();
                cx.perform(Operation::AddMember, repo.id(), &alice.auth(), &body).await
            }
            Self::AdditionByStranger => cx.add(mallory, &repo.add_request(eve)).await,
            Self::AdditionWithOtherKeys => {
                let mut request = repo.add_request(bob);
                request.member.x25519_public_key.clone_from(&eve.x25519_public_key);
                cx.add(alice, &request).await
            }
            Self::StaleRotation => {
                let push = repo.rotating_push(&rotation(version + 1, epoch + 1));
                cx.push(alice, &PushRequest { expected_payload_version: version - 1, ..push }).await
            }
            Self::LoweringRotation => cx.push(alice, &repo.rotating_push(&rotation(version, epoch + 1))).await,
            Self::RemovalToOldEpoch => cx.remove(alice, &removal(&bob.id, version + 1, epoch)).await,
            Self::RemovalToOldVersion => cx.remove(alice, &removal(&bob.id, version, epoch + 1)).await,
            Self::RemovalOfNobody => cx.remove(alice, &removal(&cx.identity().id, version + 1, epoch + 1)).await,
        }
    }
}
