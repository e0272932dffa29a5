//! Contention between different operations (SPEC §6, §10): pairs that servers get wrong which read a state, decide, and write
//! what they have read.

use super::check::checks;
use super::contention::{Rounds, all_answered, answers, body, crowd, holds_one_of, no_server_error, push_call};
use super::{Auth, Call, Ctx, Member, Operation, Outcome, Stop};
use crate::client::Repo;
use crate::wire::{PushResponse, VaultManifest};

checks! {
    "race/push-against-add-member", Must, "§10", [WRITES_SERIALIZED, ADD_RECORDS, PUSH_APPLIES], push_against_add,
        "A push keeps the members that are added at the same moment", phase = Contention;
    "race/pushes-in-a-row", Must, "§10", [WRITES_SERIALIZED, PUSH_APPLIES, PUSH_CONFLICT], pushes_in_a_row,
        "Of pushes that build on each other, each is answered with its own counters", phase = Contention;
    "race/same-member-added-at-once", Must, "§10", [WRITES_SERIALIZED], same_member,
        "A member whom several add at the same moment is in the roster once", phase = Contention;
    "race/push-against-own-removal", Must, "§10", [EFFECT_AUTHORITY, REMOVE_REVOKES], push_against_own_removal,
        "A push whose author is removed at the same moment takes effect before that or not at all", phase = Contention;
    "race/add-member-against-own-removal", Must, "§10", [EFFECT_AUTHORITY, REMOVE_REVOKES], add_against_own_removal,
        "An addMember whose author is removed at the same moment takes effect before that or not at all", phase = Contention;
}

fn add_call<'a>(repo: &Repo, auth: &'a Auth, add: &crate::wire::MemberAddRequest) -> Call<'a> {
    Call::operation(Operation::AddMember, repo.id(), "", auth, body(add))
}

/// Whatever the order: the new payload, and everybody who was added.
async fn push_against_add(cx: &Ctx) -> Outcome {
    let (alice, dave) = (cx.member().await?, cx.member().await?);
    let (auth_a, auth_d) = (alice.auth(), dave.auth());
    let mut rounds = Rounds::of(cx);
    while rounds.next() {
        let mut repo = cx.repo_with(&alice, &[&dave]).await?;
        let push = repo.push_request(&alice);
        let adds: Vec<_> = (0..crowd(cx) / 3).map(|_| repo.add_request(&cx.identity())).collect();
        let mut calls: Vec<_> = adds.iter().map(|add| add_call(&repo, &auth_d, add)).collect();
        calls.insert(calls.len() / 2, push_call(&repo, &auth_a, &push));
        let results = cx.send_together(&calls).await;
        no_server_error(&results)?;
        if !all_answered(&results) {
            break;
        }
        let mut added = adds.iter();
        for (position, answer) in answers(&results) {
            if calls[position].operation == Some(Operation::Push) {
                let response: PushResponse = answer.accepted("a push during additions")?;
                answer.must(response.accepted, "additions don't move the version", || response.to_string())?;
                repo.apply_push(&push);
            } else if let Some(add) = added.next().filter(|_| answer.is_success()) {
                repo.apply_add(&add.member);
            }
        }
        cx.holds(&alice, &repo, "a push and additions at once").await?;
    }
    rounds.remark(cx, "a push and additions")
}

/// Each expects what the one before writes, so that the next one follows within microseconds.
async fn pushes_in_a_row(cx: &Ctx) -> Outcome {
    let alice = cx.member().await?;
    let auth = alice.auth();
    let mut repo = cx.repo(&alice).await?;
    let mut rounds = Rounds::of(cx);
    while rounds.next() {
        let (first, mut after) = (repo.version(), repo.clone());
        let pushes: Vec<_> = (0..crowd(cx) / 2)
            .map(|_| {
                let push = after.push_request(&alice);
                after.apply_push(&push);
                push
            })
            .collect();
        let calls: Vec<_> = pushes.iter().map(|push| push_call(&repo, &auth, push)).collect();
        let results = cx.send_together(&calls).await;
        no_server_error(&results)?;
        if !all_answered(&results) {
            break;
        }
        for (position, answer) in answers(&results) {
            let (push, response) = (&pushes[position], answer.accepted::<PushResponse>("a push")?);
            let (from, to) = (push.expected_payload_version, push.envelope.payload_version);
            if response.accepted {
                answer.must(
                    response.payload_version == to && !response.conflict,
                    &format!("accepted at version {to}"),
                    || response.to_string(),
                )?;
                answer.must(repo.version() == from, "a push applies to the version that it expects", || {
                    format!("from {from}, which nobody else wrote: the repository is at {}", repo.version())
                })?;
                repo.apply_push(push);
            } else {
                let possible = (first..=after.version()).contains(&response.payload_version);
                let expected = format!("a conflict at another version than {from}");
                answer.must(response.conflict && possible && response.payload_version != from, &expected, || {
                    response.to_string()
                })?;
            }
        }
        cx.holds(&alice, &repo, "pushes in a row").await?;
    }
    rounds.remark(cx, "pushes that build on each other")
}

/// Looking for the member and adding it are one step.
async fn same_member(cx: &Ctx) -> Outcome {
    let (alice, dave) = (cx.member().await?, cx.member().await?);
    let auths = [alice.auth(), dave.auth()];
    let mut rounds = Rounds::of(cx);
    while rounds.next() {
        let repo = cx.repo_with(&alice, &[&dave]).await?;
        let newcomer = cx.identity();
        let adds: Vec<_> = (0..crowd(cx) / 3).map(|_| repo.add_request(&newcomer)).collect();
        let calls: Vec<_> =
            adds.iter().zip(auths.iter().cycle()).map(|(add, auth)| add_call(&repo, auth, add)).collect();
        let results = cx.send_together(&calls).await;
        no_server_error(&results)?;
        if !all_answered(&results) || !answers(&results).any(|(_, answer)| answer.is_success()) {
            break;
        }
        // Any of the wrapped keys may stay; each opens the repository.
        let states: Vec<_> = adds
            .iter()
            .map(|add| {
                let mut state = repo.clone();
                state.apply_add(&add.member);
                state
            })
            .collect();
        holds_one_of(cx, &alice, &states, "additions of the same member at once").await?;
    }
    rounds.remark(cx, "additions of one member")
}

/// bob's requests, with alice's removal of bob in the middle of them; then what the removal leaves, if it applied.
async fn against_own_removal(
    cx: &Ctx,
    (alice, bob): (&Member, &Member),
    request: impl Fn(&Repo, &Repo) -> Option<bytes::Bytes>,
    operation: Operation,
) -> Result<bool, Stop> {
    let (auth_a, auth_b) = (alice.auth(), bob.auth());
    let repo = cx.repo_with(alice, &[bob]).await?;
    let rotation = repo.rotation(alice, &[alice]);
    let mut after = repo.clone();
    after.apply_rotation(&rotation);
    let mut calls: Vec<_> = (0..crowd(cx) / 3)
        .map(|_| Call::operation(operation, repo.id(), "", &auth_b, request(&repo, &after)))
        .collect();
    let removal = body(&repo.remove_request(bob.id(), &rotation));
    let middle = calls.len() / 2;
    calls.insert(middle, Call::operation(Operation::RemoveMember, repo.id(), "", &auth_a, removal));
    let results = cx.send_together(&calls).await;
    no_server_error(&results)?;
    let removed = answers(&results).any(|(position, answer)| position == middle && answer.is_success());
    if !removed {
        return Ok(false);
    }
    for (_, answer) in answers(&results).filter(|(position, answer)| *position != middle && answer.is_success()) {
        let version = match operation {
            Operation::Push => answer.message::<PushResponse>()?.payload_version,
            _ => answer.message::<VaultManifest>()?.payload_version,
        };
        let expected = "a refusal, or an answer with the counters before the removal of its author";
        answer.must(version == repo.version(), expected, || {
            format!("version {version}, and the removal is to version {}", after.version())
        })?;
    }
    cx.holds(alice, &after, "a removal with requests of the removed member under way").await?;
    Ok(true)
}

/// Made for the state after the removal, so that nothing but their authority is wrong with them.
async fn push_against_own_removal(cx: &Ctx) -> Outcome {
    let (alice, bob) = (cx.member().await?, cx.member().await?);
    let mut rounds = Rounds::of(cx);
    while rounds.next() {
        let request = |_: &Repo, after: &Repo| body(&after.push_request(&bob));
        if !against_own_removal(cx, (&alice, &bob), request, Operation::Push).await? {
            break;
        }
    }
    rounds.remark(cx, "pushes and the removal of their author")
}

async fn add_against_own_removal(cx: &Ctx) -> Outcome {
    let (alice, bob) = (cx.member().await?, cx.member().await?);
    let mut rounds = Rounds::of(cx);
    while rounds.next() {
        let request = |_: &Repo, after: &Repo| body(&after.add_request(&cx.identity()));
        if !against_own_removal(cx, (&alice, &bob), request, Operation::AddMember).await? {
            break;
        }
    }
    rounds.remark(cx, "additions and the removal of their author")
}
