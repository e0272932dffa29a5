//! Contention (SPEC §3, §6, §10): requests that become whole at the same moment. A race that wasn't provoked is a pass with the
//! number of attempts, never a proof.

use super::check::checks;
use super::contention::{
    Fixture, Results, Rounds, all_answered, answers, body, crowd, holds_one_of, no_server_error, other_spellings,
    push_call,
};
use super::{Auth, Call, Ctx, Member, Operation, Outcome, Stop};
use crate::client::{Repo, Rotation};
use crate::wire::{PushResponse, TokenRequest};

checks! {
    "race/nonce-redeemed-once", Must, "§3", [NONCE_SINGLE_USE], nonce_redeemed_once,
        "One nonce redeemed by many connections at once buys at most one token", phase = Contention;
    "race/push-has-one-winner", Must, "§10", [WRITES_SERIALIZED, PUSH_GATED, PUSH_CONFLICT], push_has_one_winner,
        "Of many pushes at the same version exactly one is accepted, and it is the one that is stored", phase = Contention;
    "race/rotation-has-one-winner", Must, "§10", [WRITES_SERIALIZED, PUSH_GATED, PUSH_ROTATES], rotation_has_one_winner,
        "Of many rotating pushes exactly one is accepted, with its own roster", phase = Contention;
    "race/create-has-one-winner", Must, "§6", [WRITES_SERIALIZED, CREATE_DUPLICATE], create_has_one_winner,
        "The same id created by many at once belongs to exactly one of them", phase = Contention;
    "race/add-member-loses-none", Must, "§10", [WRITES_SERIALIZED, ADD_RECORDS], add_member_loses_none,
        "Members added at the same moment are all in the roster", phase = Contention;
    "race/removals-at-once", Must, "§10", [WRITES_SERIALIZED, REMOVE_ATOMIC, REMOVE_DROPS, EPOCH_RISES], removals_at_once,
        "Two removals to the same epoch don't both apply, and neither applies in part", phase = Contention;
    "race/push-against-removal", Must, "§10", [WRITES_SERIALIZED, REMOVE_ATOMIC, VERSION_MONOTONIC], push_against_removal,
        "A push and a removal to the same version don't both apply, and neither applies in part", phase = Contention;
    "race/add-against-removal", Must, "§10", [WRITES_SERIALIZED, REMOVE_ATOMIC], add_against_removal,
        "A member added during a removal leaves a state that one after the other would leave", phase = Contention;
}

/// Checking and burning a nonce is one step.
async fn nonce_redeemed_once(cx: &Ctx) -> Outcome {
    let mut rounds = Rounds::of(cx);
    while rounds.next() {
        let alice = cx.identity();
        let nonce = cx.nonce(&alice).await?;
        let request = cx.redeem(&alice, &nonce)?;
        // Half of them as it was issued, half in a spelling of their own: a lock may go by what was written.
        let spelled = other_spellings(&nonce).into_iter().flat_map(|other| [nonce.clone(), other]);
        let requests: Vec<_> = spelled.map(|nonce| body(&TokenRequest { nonce, ..request.clone() })).collect();
        let call = |request: &Option<bytes::Bytes>| Call {
            validated: false,
            ..Call::operation(Operation::Token, "", "", &Auth::None, request.clone())
        };
        let calls: Vec<_> = requests.iter().cycle().take(crowd(cx)).map(call).collect();
        let results = cx.send_together(&calls).await;
        let tokens: Vec<_> = answers(&results).filter(|(_, answer)| answer.is_success()).collect();
        if let [_, (_, second), ..] = tokens.as_slice() {
            let observed = format!("{} tokens for one nonce, redeemed {} times at once", tokens.len(), calls.len());
            return Err(second.violation("at most one token for one nonce", observed));
        }
        no_server_error(&results)?;
    }
    rounds.remark(cx, &format!("{} redemptions", crowd(cx)))
}

/// The position of the only accepted push, if any.
fn only_winner(results: &Results<'_>, expected_version: i64) -> Result<Option<usize>, Stop> {
    let mut winner = None;
    for (position, answer) in answers(results) {
        let response: PushResponse = answer.accepted("a push, applied or in conflict,")?;
        if !response.accepted {
            answer.must(
                response.conflict && response.payload_version == expected_version,
                "a conflict with the winner's version",
                || response.to_string(),
            )?;
            continue;
        }
        answer.must(winner.is_none(), "exactly one of the pushes at the same expected version is accepted", || {
            "a second one is accepted too".into()
        })?;
        winner = Some(position);
    }
    Ok(winner)
}

/// Pushes that all expect the current version of `repo` and lead to the next; the position of the one that applied. `None` when
/// that can't be told, because not all were answered.
pub(super) async fn contend(cx: &Ctx, repo: &Repo, pushes: &[Call<'_>]) -> Result<Option<usize>, Stop> {
    let results = cx.send_together(pushes).await;
    no_server_error(&results)?;
    let winner = only_winner(&results, repo.version() + 1)?;
    if winner.is_none() && all_answered(&results) {
        return Err(cx.violation("exactly one push is accepted", format!("none of {} is", pushes.len())));
    }
    Ok(winner)
}

/// Comparing the version and writing are one step, also of different members: a lock may be each caller's own.
pub(super) async fn push_has_one_winner(cx: &Ctx) -> Outcome {
    let (alice, bob) = (cx.member().await?, cx.member().await?);
    let mut repo = cx.repo_with(&alice, &[&bob]).await?;
    let auths = [alice.auth(), bob.auth()];
    let mut rounds = Rounds::of(cx);
    while rounds.next() {
        let pushes: Vec<_> = (0..crowd(cx)).map(|at| repo.push_request([&alice, &bob][at % 2])).collect();
        let calls: Vec<_> =
            pushes.iter().zip(auths.iter().cycle()).map(|(push, by)| push_call(&repo, by, push)).collect();
        let Some(winner) = contend(cx, &repo, &calls).await? else { break };
        repo.apply_push(&pushes[winner]);
        cx.holds(&alice, &repo, "the winner's push").await?;
    }
    rounds.remark(cx, &format!("{} pushes", crowd(cx)))
}

/// The same with a roster in every push.
pub(super) async fn rotation_has_one_winner(cx: &Ctx) -> Outcome {
    let alice = cx.member().await?;
    let mut repo = cx.repo(&alice).await?;
    let auth = alice.auth();
    let mut rounds = Rounds::of(cx);
    while rounds.next() {
        let rotations: Vec<_> = (0..crowd(cx) / 2).map(|_| repo.rotation(&alice, &[&alice])).collect();
        let pushes: Vec<_> = rotations.iter().map(|rotation| repo.rotating_push(rotation)).collect();
        let calls: Vec<_> = pushes.iter().map(|push| push_call(&repo, &auth, push)).collect();
        let Some(winner) = contend(cx, &repo, &calls).await? else { break };
        repo.apply_rotation(&rotations[winner]);
        cx.readable(&alice, &repo, "the winner's rotation").await?;
    }
    rounds.remark(cx, &format!("{} rotations", crowd(cx) / 2))
}

/// Looking for the id and taking it are one step.
pub(super) async fn create_has_one_winner(cx: &Ctx) -> Outcome {
    let owners = [cx.member().await?, cx.member().await?, cx.member().await?, cx.member().await?];
    let auths: Vec<_> = owners.iter().map(Member::auth).collect();
    let mut rounds = Rounds::of(cx);
    while rounds.next() {
        let id = crate::client::random::uuid();
        let repos: Vec<_> = owners.iter().map(|owner| Repo::with_id(owner, &id)).collect();
        let calls: Vec<_> = repos
            .iter()
            .zip(&auths)
            .map(|(repo, auth)| Call::operation(Operation::CreateRepo, "", "", auth, body(&repo.create_request())))
            .collect();
        let results = cx.send_together(&calls).await;
        no_server_error(&results)?;
        let winners: Vec<_> = answers(&results).filter(|(_, answer)| answer.is_success()).collect();
        if let [_, (_, second), ..] = winners.as_slice() {
            return Err(
                second.violation("exactly one creation of an id succeeds", format!("{} succeed", winners.len()))
            );
        }
        let Some((winner, _)) = winners.first() else { break };
        cx.holds(&owners[*winner], &repos[*winner], "the winner's creation").await?;
        let loser = &owners[(winner + 1) % owners.len()];
        cx.pull(loser, &repos[*winner].pull_request(0)).await?.refused("a pull by a loser", &[403])?;
    }
    rounds.remark(cx, &format!("{} creations", owners.len()))
}

/// Reading the roster and writing it back are one step.
/// Members of a roster that is long, beside its owner.
const ROSTER: usize = 12;

pub(super) async fn add_member_loses_none(cx: &Ctx) -> Outcome {
    let alice = cx.member().await?;
    let auth = alice.auth();
    let others: Vec<_> = (0..ROSTER).map(|_| cx.identity()).collect();
    let mut rounds = Rounds::at_least(cx, 2);
    while rounds.next() {
        // Every other roster is long: some servers take another way there.
        let many: Vec<_> = others.iter().collect();
        let long = if rounds.done.is_multiple_of(2) { cx.repo_with(&alice, &many).await.ok() } else { None };
        let mut repo = match long {
            Some(repo) => repo,
            // Where the deployment has a limit, too.
            None => cx.repo(&alice).await?,
        };
        let before = repo.manifest.members.len();
        let requests: Vec<_> = (0..crowd(cx) / 2).map(|_| repo.add_request(&cx.identity())).collect();
        let calls: Vec<_> =
            requests.iter().map(|add| Call::operation(Operation::AddMember, repo.id(), "", &auth, body(add))).collect();
        let results = cx.send_together(&calls).await;
        no_server_error(&results)?;
        for (position, answer) in answers(&results) {
            if answer.is_success() {
                repo.apply_add(&requests[position].member);
            }
        }
        if !all_answered(&results) {
            break;
        }
        let added = repo.manifest.members.len() - before;
        cx.holds(&alice, &repo, &format!("{added} members were added at once")).await?;
    }
    rounds.remark(cx, &format!("{} additions", crowd(cx) / 2))
}

/// Both are to epoch 1 and version 2; the one that comes second raises neither.
pub(super) async fn removals_at_once(cx: &Ctx) -> Outcome {
    let fixture = Fixture::new(cx).await?;
    let (alice, dave, bob, carol) = (&fixture.alice, &fixture.dave, &fixture.bob, &fixture.carol);
    let (auth_a, auth_d) = (alice.auth(), dave.auth());
    let mut rounds = Rounds::of(cx);
    while rounds.next() {
        let repo = fixture.repo(cx).await?;
        let first = repo.rotation(alice, &[alice, dave, carol]);
        let second = repo.rotation(dave, &[alice, dave, bob]);
        let calls = [
            Call::operation(
                Operation::RemoveMember,
                repo.id(),
                "",
                &auth_a,
                body(&repo.remove_request(&bob.id, &first)),
            ),
            Call::operation(
                Operation::RemoveMember,
                repo.id(),
                "",
                &auth_d,
                body(&repo.remove_request(&carol.id, &second)),
            ),
        ];
        one_applies(cx, &fixture, &repo, &calls, &[Some(&first), Some(&second)], "two removals at once").await?;
    }
    rounds.remark(cx, "two removals")
}

/// Sends two writes to the same version at once: at most one applies, and the state is its own.
async fn one_applies(
    cx: &Ctx,
    fixture: &Fixture,
    repo: &Repo,
    calls: &[Call<'_>],
    rotations: &[Option<&Rotation>],
    after: &str,
) -> Outcome {
    let results = cx.send_together(calls).await;
    no_server_error(&results)?;
    let mut allowed = Vec::new();
    for (position, answer) in answers(&results) {
        let applied = answer.is_success()
            && (calls[position].operation != Some(Operation::Push) || answer.message::<PushResponse>()?.accepted);
        if !applied {
            continue;
        }
        answer.must(allowed.is_empty(), "at most one of two writes to the same version applies", || {
            "both apply".into()
        })?;
        let mut state = repo.clone();
        match rotations[position] {
            Some(rotation) => state.apply_rotation(rotation),
            None => {
                let push = calls[position].body.as_deref().and_then(|bytes| serde_json::from_slice(bytes).ok());
                if let Some(push) = push {
                    state.apply_push(&push);
                }
            }
        }
        allowed.push(state);
    }
    if allowed.is_empty() {
        allowed.push(repo.clone());
    }
    if !all_answered(&results) {
        return Ok(());
    }
    holds_one_of(cx, &fixture.alice, &allowed, after).await
}

/// Both are to version 2.
pub(super) async fn push_against_removal(cx: &Ctx) -> Outcome {
    let fixture = Fixture::new(cx).await?;
    let (alice, dave, bob, carol) = (&fixture.alice, &fixture.dave, &fixture.bob, &fixture.carol);
    let (auth_a, auth_d) = (alice.auth(), dave.auth());
    let mut rounds = Rounds::of(cx);
    while rounds.next() {
        let repo = fixture.repo(cx).await?;
        let rotation = repo.rotation(dave, &[alice, dave, carol]);
        let calls = [
            Call::operation(Operation::Push, repo.id(), "", &auth_a, body(&repo.push_request(alice))),
            Call::operation(
                Operation::RemoveMember,
                repo.id(),
                "",
                &auth_d,
                body(&repo.remove_request(&bob.id, &rotation)),
            ),
        ];
        one_applies(cx, &fixture, &repo, &calls, &[None, Some(&rotation)], "a push and a removal at once").await?;
    }
    rounds.remark(cx, "a push and a removal")
}

/// Either order is allowed; what isn't is a roster that neither order leaves.
async fn add_against_removal(cx: &Ctx) -> Outcome {
    let fixture = Fixture::new(cx).await?;
    let (alice, dave, bob, carol) = (&fixture.alice, &fixture.dave, &fixture.bob, &fixture.carol);
    let (auth_a, auth_d) = (alice.auth(), dave.auth());
    let mut rounds = Rounds::of(cx);
    while rounds.next() {
        let repo = fixture.repo(cx).await?;
        let (rotation, add) = (repo.rotation(dave, &[alice, dave, carol]), repo.add_request(&cx.identity()));
        let calls = [
            Call::operation(Operation::AddMember, repo.id(), "", &auth_a, body(&add)),
            Call::operation(
                Operation::RemoveMember,
                repo.id(),
                "",
                &auth_d,
                body(&repo.remove_request(&bob.id, &rotation)),
            ),
        ];
        let results = cx.send_together(&calls).await;
        no_server_error(&results)?;
        let done: Vec<_> = answers(&results).map(|(_, answer)| answer.is_success()).collect();
        let [added, removed] = done[..] else { break };
        let mut states = Vec::new();
        let mut after_removal = repo.clone();
        if removed {
            after_removal.apply_rotation(&rotation);
            states.push(after_removal.clone());
        }
        if added {
            after_removal.apply_add(&add.member);
            states.push(after_removal);
        } else if !removed {
            states.push(repo);
        }
        holds_one_of(cx, alice, &states, "an addition and a removal at once").await?;
    }
    rounds.remark(cx, "an addition and a removal")
}
