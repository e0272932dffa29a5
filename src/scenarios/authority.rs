//! Authority at the moment of effect (SPEC §3, §6): a request that began while its caller was a member is finished after the
//! caller was removed. Servers that authorise when they have read the head let it through.

use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;

use super::check::checks;
use super::{Answer, Auth, Call, Ctx, Member, Operation, Outcome, Stop};
use crate::client::Repo;
use crate::history::{self, Linearizability};

checks! {
    "authority/push-finished-after-removal", Must, "§6", [EFFECT_AUTHORITY, REMOVE_REVOKES], push,
        "A push that is finished after its author was removed doesn't take effect", phase = Contention;
    "authority/add-member-finished-after-removal", Must, "§6", [EFFECT_AUTHORITY, REMOVE_REVOKES], add,
        "An addMember that is finished after its author was removed doesn't take effect", phase = Contention;
    "authority/remove-member-finished-after-removal", Must, "§6", [EFFECT_AUTHORITY, REMOVE_REVOKES], remove,
        "A removeMember that is finished after its author was removed doesn't take effect", phase = Contention;
    "authority/pull-finished-after-removal", Must, "§6", [EFFECT_AUTHORITY, REMOVE_REVOKES], pull,
        "A pull that is finished after its author was removed gives nothing away", phase = Contention;
    "authority/stalled-request", Hardening, "§6", [STALLED_REQUEST], stalled,
        "A request that stalls half-way doesn't keep others waiting", phase = Alone;
    "authority/stalled-request-without-token", Hardening, "§6", [STALLED_REQUEST], stalled_without_token,
        "A request without a token that stalls half-way doesn't keep others waiting", phase = Alone;
}

/// How long somebody else's request may take while one is held.
const PATIENCE: Duration = Duration::from_secs(1);

/// Where a request is stopped: after its head, and in the middle of its body.
const STOPS: [f64; 2] = [0.0, 0.5];

async fn push(cx: &Ctx) -> Outcome {
    finished_after_removal(cx, Operation::Push).await
}

async fn add(cx: &Ctx) -> Outcome {
    finished_after_removal(cx, Operation::AddMember).await
}

async fn remove(cx: &Ctx) -> Outcome {
    finished_after_removal(cx, Operation::RemoveMember).await
}

async fn pull(cx: &Ctx) -> Outcome {
    finished_after_removal(cx, Operation::Pull).await
}

/// What bob has under way. It is made for the state after his removal, so that nothing but his authority is wrong with it.
fn request_of(
    operation: Operation,
    after: &Repo,
    bob: &Member,
    alice: &Member,
    newcomer: &crate::client::Identity,
) -> Option<Bytes> {
    let body = match operation {
        Operation::Push => serde_json::to_vec(&after.push_request(bob)),
        Operation::AddMember => serde_json::to_vec(&after.add_request(newcomer)),
        Operation::RemoveMember => serde_json::to_vec(&after.remove_request(alice.id(), &after.rotation(bob, &[bob]))),
        _ => serde_json::to_vec(&after.pull_request(0)),
    };
    body.ok().map(Into::into)
}

/// bob begins, alice removes bob, bob finishes.
async fn finished_after_removal(cx: &Ctx, operation: Operation) -> Outcome {
    let serial =
        || Stop::not_judged("the server serves one request at a time, so nothing happens while another is under way");
    if cx.world.is_serial() {
        return Err(serial());
    }
    cx.recording();
    let (alice, bob) = (cx.member().await?, cx.member().await?);
    let (auth, newcomer) = (bob.auth(), cx.identity());
    for share in STOPS {
        let repo = cx.repo_with(&alice, &[&bob]).await?;
        let rotation = repo.rotation(&alice, &[&alice]);
        let mut after = repo.clone();
        after.apply_rotation(&rotation);
        let call =
            Call::operation(operation, repo.id(), "", &auth, request_of(operation, &after, &bob, &alice, &newcomer));
        let held = cx.send_partly(&call, share).await;
        if held.answered_early() {
            cx.remark("the server answers before it has the whole request");
        }
        let (alice_auth, removal) = (alice.auth(), serde_json::to_vec(&repo.remove_request(bob.id(), &rotation)).ok());
        let mut removing =
            Call::operation(Operation::RemoveMember, repo.id(), "", &alice_auth, removal.map(Into::into));
        removing.bound = Some(PATIENCE);
        let removed = cx.try_call(removing).await.1.is_ok_and(|answer| answer.is_success());
        let (_, finished) = cx.finish(&call, held).await;
        if !removed {
            cx.world.manners.one_request.store(true, std::sync::atomic::Ordering::Relaxed);
            return Err(serial());
        }
        if let Ok(answer) = &finished {
            explained(cx, answer, operation)?;
        }
        cx.holds(&alice, &after, "the removal, with a request of the removed member under way").await?;
    }
    Ok(())
}

/// A request may take effect at any moment between its beginning and its end, also before the removal: an answer that fits such
/// an order gives nothing away that its author wasn't entitled to.
fn explained(cx: &Ctx, answer: &Answer<'_>, operation: Operation) -> Outcome {
    let what = format!("{} that is finished after its author was removed", operation.one());
    if !answer.is_success() {
        return answer.refused(&what, &[403]);
    }
    let orderly = !matches!(history::check(&cx.recording().history()), Linearizability::NotLinearizable(_));
    let expected = format!("{what} is refused, or has taken effect before");
    answer.must(orderly, &expected, || format!("{}, by authority that was gone", answer.summary()))
}

/// A member's request hangs; somebody else's must not.
async fn stalled(cx: &Ctx) -> Outcome {
    let alice = cx.member().await?;
    let auth = alice.auth();
    others_go_on(cx, &alice, &auth).await
}

/// The same with nobody's request: anybody could do that.
async fn stalled_without_token(cx: &Ctx) -> Outcome {
    let alice = cx.member().await?;
    others_go_on(cx, &alice, &Auth::None).await
}

fn told_once() -> Stop {
    Stop::not_judged("requests that stall keep others waiting here, which is told once")
}

async fn others_go_on(cx: &Ctx, alice: &Member, stalled: &Auth) -> Outcome {
    if cx.world.manners.stalls.load(Ordering::Relaxed) {
        return Err(told_once());
    }
    let repo = cx.repo(alice).await?;
    for share in STOPS {
        let body = serde_json::to_vec(&repo.push_request(alice)).ok().map(Into::into);
        let call = Call::operation(Operation::Push, repo.id(), "", stalled, body);
        let held = cx.send_partly(&call, share).await;
        let auth = alice.auth();
        let pull = serde_json::to_vec(&repo.pull_request(0)).ok().map(Into::into);
        let mut other = Call::operation(Operation::Pull, repo.id(), "", &auth, pull);
        other.bound = Some(if cx.world.is_serial() { PATIENCE / 4 } else { PATIENCE });
        let (exchange, result) = cx.try_call(other).await;
        // Whatever becomes of it: it must not stay behind and hold up the checks that follow.
        let _ = cx.finish(&call, held).await;
        if let Err(error) = result {
            if cx.world.manners.stalls.swap(true, Ordering::Relaxed) {
                return Err(told_once());
            }
            return Err(Stop::Violation(Box::new(super::Finding {
                expected: "a pull is answered while another request is under way".into(),
                observed: error.to_string(),
                exchange: Some(exchange),
                evidence: Vec::new(),
            })));
        }
    }
    Ok(())
}
