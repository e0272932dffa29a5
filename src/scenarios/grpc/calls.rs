//! Calls that end early, are too large, or come and go by the hundred.

use std::time::Duration;

use http::{HeaderName, HeaderValue};
use serde_json::json;

use super::{alive, call, make};
use crate::client::Repo;
use crate::scenarios::{Ctx, Finding, Member, Operation, Outcome, Stop};
use crate::wire::MemberEntry;
use crate::wire::proto::Code;

/// How many calls are reset in a row.
const RESETS: usize = 200;
/// How long a call that will be reset is held before, so that the server has seen it; and how many are.
const SEEN: (Duration, usize) = (Duration::from_millis(1), 24);
/// Rounds of each way to cancel, by how long after its data a call is: at once, and while it is being carried out.
const ROUNDS: [Duration; 4] =
    [Duration::ZERO, Duration::from_millis(1), Duration::from_millis(1), Duration::from_millis(3)];

/// Before, or after, and nothing in between.
pub(super) async fn cancelled(cx: &Ctx) -> Outcome {
    let alice = cx.member().await?;
    for (round, pause) in ROUNDS.into_iter().enumerate() {
        for share in [0.5, 1.0] {
            cancelled_creation(cx, &alice, share, pause).await?;
        }
        for how in ["half-way", "when it is whole", "by its deadline"] {
            let bob = cx.identity();
            let before = cx.repo_with(&alice, &[&bob]).await?;
            let rotation = before.rotation(&alice, &[&alice]);
            let mut after = before.clone();
            let (operation, body) = if round % 2 == 0 {
                (Operation::RemoveMember, json!(before.remove_request(&bob.id, &rotation)))
            } else {
                (Operation::Push, json!(before.rotating_push(&rotation)))
            };
            after.apply_rotation(&rotation);
            cx.watch(&after);
            let mut request = call(cx, operation, &alice, &body)?;
            if how != "half-way" {
                // It may still take effect, at any time: nobody has promised that it won't.
                cx.world.seen.known.lost(before.id());
            }
            let bound = cx.world.target.vault.timeout();
            let what = format!("{} that was cancelled {how}", operation.name());
            if how == "by its deadline" {
                request.metadata.push((HeaderName::from_static("grpc-timeout"), HeaderValue::from_static("1m")));
                let (exchange, result) = make(cx, &what, &request).await;
                alive(cx, &exchange, &result).await?;
            } else {
                let share = if how == "half-way" { 0.5 } else { 1.0 };
                let sent =
                    cx.world.target.vault.cancel_by_hand(std::slice::from_ref(&request), share, pause, bound).await;
                sent.map_err(|error| cx.setup_failed("a call that can be begun", cx.world.mask(error.to_string())))?;
            }
            if how == "half-way" {
                cx.holds(&alice, &before, &what).await?;
                continue;
            }
            // A server that goes on although nobody waits has finished by the time of another answer, or soon after.
            if cx.holds(&alice, &before, &what).await.is_err() {
                tokio::time::sleep(Duration::from_millis(20)).await;
                cx.holds(&alice, &after, &what).await?;
            }
        }
    }
    Ok(())
}

/// A repository is there as it was sent, or it isn't there.
async fn cancelled_creation(cx: &Ctx, alice: &Member, share: f64, pause: Duration) -> Outcome {
    let repo = Repo::new(alice);
    let request = call(cx, Operation::CreateRepo, alice, &json!(repo.create_request()))?;
    let sent = cx.world.target.vault.cancel_by_hand(&[request], share, pause, cx.world.target.vault.timeout()).await;
    sent.map_err(|error| cx.setup_failed("a call that can be begun", cx.world.mask(error.to_string())))?;
    tokio::time::sleep(Duration::from_millis(20)).await;
    let answer = cx.pull(alice, &repo.pull_request(0)).await?;
    if !answer.is_success() {
        return answer.refused_somehow("a pull after a creation that was cancelled, unless it has taken effect,");
    }
    cx.watch(&repo);
    cx.holds(alice, &repo, "createRepo that was cancelled").await
}

/// Calls that leave one after the other, on a connection that ends with the last of them.
const LEAVING: usize = 4;

/// alice's calls are given up, and mallory gets what is her own.
pub(super) async fn answers(cx: &Ctx) -> Outcome {
    let (alice, mallory) = (cx.member().await?, cx.member().await?);
    let (repo, own) = (cx.repo(&alice).await?, cx.repo(&mallory).await?);
    let pull = call(cx, Operation::Pull, &alice, &json!(repo.pull_request(0)))?;
    let leaving = vec![pull; LEAVING];
    for pause in ROUNDS {
        for share in [0.5, 1.0] {
            // A server may end a connection that does nothing but this.
            if let Err(error) =
                cx.world.target.vault.cancel_by_hand(&leaving, share, pause, cx.world.target.vault.timeout()).await
            {
                cx.remark(format!("the server ended the connection: {}", cx.world.mask(error.to_string())));
            }
            for _ in 0..LEAVING {
                cx.holds(&mallory, &own, "another member's calls were cancelled").await?;
                let answer = cx.fetch(&mallory, own.id(), mallory.id()).await?;
                let entry: MemberEntry = answer.accepted("fetchMemberKey by a member")?;
                answer.must(
                    entry.ed25519_public_key == mallory.id(),
                    "fetchMemberKey gives the entry that was asked for after another member's calls were cancelled",
                    || format!("the entry of {}", entry.ed25519_public_key),
                )?;
            }
        }
    }
    Ok(())
}

pub(super) async fn large(cx: &Ctx) -> Outcome {
    let alice = cx.member().await?;
    let mut repo = cx.repo(&alice).await?;
    for mebibytes in [3, 12] {
        let push = repo.push_of(&vec![b'x'; (mebibytes << 20) * 3 / 4 - 4096], repo.version() + 1);
        let request = call(cx, Operation::Push, &alice, &json!(push))?;
        let what = format!("a push of {mebibytes} MiB");
        let (exchange, result) = make(cx, &what, &request).await;
        alive(cx, &exchange, &result).await?;
        match result {
            Ok(answer) if answer.code == Code::OK => repo.apply_push(&push),
            Ok(answer)
                if matches!(
                    answer.code,
                    Code::RESOURCE_EXHAUSTED | Code::INVALID_ARGUMENT | Code::PERMISSION_DENIED
                ) =>
            {
                cx.remark(format!("{what} is {}", answer.code));
            }
            Ok(answer) => {
                let finding = Finding::shown(
                    format!("{what} is taken, or RESOURCE_EXHAUSTED"),
                    format!("status {}", answer.code),
                    exchange,
                );
                return Err(Stop::Violation(Box::new(finding)));
            }
            Err(error) => cx.remark(format!("{what}: {}", cx.world.mask(error.to_string()))),
        }
        cx.holds(&alice, &repo, &what).await?;
    }
    Ok(())
}

pub(super) async fn resets(cx: &Ctx) -> Outcome {
    let alice = cx.member().await?;
    let repo = cx.repo(&alice).await?;
    let request = call(cx, Operation::Pull, &alice, &json!(repo.pull_request(0)))?;
    let ((pause, held), bound) = (SEEN, cx.world.target.vault.timeout());
    for (count, pause) in [(held, pause), (RESETS - held, Duration::ZERO)] {
        // A server may end a connection that does nothing but this.
        if let Err(error) = cx.world.target.vault.cancel_by_hand(&vec![request.clone(); count], 0.5, pause, bound).await
        {
            cx.remark(format!("the server ended the connection: {}", cx.world.mask(error.to_string())));
        }
    }
    cx.holds(&alice, &repo, "hundreds of calls that were reset").await
}
