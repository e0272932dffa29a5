//! Many who lose their rights in one repository: a list of them may have too few places, or be written for the first only.

use std::ops::Range;

use crate::client::Repo;
use crate::scenarios::context::to_set_up;
use crate::scenarios::removal::remove_rightly;
use crate::scenarios::variants::Variants;
use crate::scenarios::{Ctx, Member, Outcome};

/// Who leaves by one rotating push, and who is removed after that, one after the other.
const TOGETHER: usize = 3;
const APART: usize = 5;

pub(super) async fn all_stay_out(cx: &Ctx) -> Outcome {
    let alice = cx.member().await?;
    let mut members = Vec::new();
    for _ in 0..TOGETHER + APART {
        members.push(cx.member().await?);
    }
    let mut repo = cx.repo(&alice).await?;
    for member in &members {
        cx.enrol(&alice, &mut repo, member).await?;
    }
    for member in &members {
        cx.holds(member, &repo, "the addition of many").await.map_err(to_set_up)?;
    }
    let staying = |out: usize| {
        let others = members[out..].iter().map(|member| &member.identity);
        std::iter::once(&alice.identity).chain(others).collect::<Vec<_>>()
    };
    let rotation = repo.rotation(&alice, &staying(TOGETHER));
    let answer = cx.push(&alice, &repo.rotating_push(&rotation)).await.map_err(to_set_up)?;
    super::happened(&answer, "a rotating push").map_err(to_set_up)?;
    repo.apply_rotation(&rotation);
    cx.watch(&repo);
    for (at, member) in members.iter().enumerate().skip(TOGETHER) {
        remove_rightly(cx, &alice, &mut repo, member.id(), &staying(at + 1)).await.map_err(to_set_up)?;
    }
    let mut tally = Variants::default();
    let everybody = 0..members.len();
    are_out(cx, &mut tally, &members, everybody.clone(), &repo, "").await?;
    // Lists of who has left may be made anew, or emptied, by what happens to others.
    cx.enrol(&alice, &mut repo, &members[0]).await?;
    are_out(cx, &mut tally, &members, 1..members.len(), &repo, ", once another is back").await?;
    let rotation = repo.rotation(&alice, &[&alice]);
    let answer = cx.push(&alice, &repo.rotating_push(&rotation)).await.map_err(to_set_up)?;
    super::happened(&answer, "a rotating push").map_err(to_set_up)?;
    repo.apply_rotation(&rotation);
    cx.watch(&repo);
    are_out(cx, &mut tally, &members, everybody, &repo, ", after a rotating push without him").await?;
    let mut stale = repo.push_request(&alice);
    stale.expected_payload_version -= 1;
    cx.push(&alice, &stale).await?;
    let one = TOGETHER..TOGETHER + 1;
    are_out(cx, &mut tally, &members, one.clone(), &repo, ", after a conflict").await?;
    // Which may end the token that he had.
    let alice = cx.authenticate(alice.identity.clone()).await?;
    are_out(cx, &mut tally, &members, one.clone(), &repo, ", after a login of who removed him").await?;
    cx.repo(&members[TOGETHER]).await?;
    are_out(cx, &mut tally, &members, one, &repo, ", having created another").await?;
    cx.holds(&alice, &repo, "many removals").await?;
    tally.settle(cx)
}

async fn are_out(
    cx: &Ctx,
    tally: &mut Variants,
    members: &[Member],
    places: Range<usize>,
    repo: &Repo,
    when: &str,
) -> Outcome {
    for place in places {
        let who = match place {
            0..TOGETHER => format!("number {} of {TOGETHER} who left by one push{when}", place + 1),
            _ => format!("number {} of {APART} who were removed{when}", place + 1 - TOGETHER),
        };
        tally.note(&who, is_out(cx, &members[place], repo, &who).await)?;
    }
    Ok(())
}

async fn is_out(cx: &Ctx, member: &Member, repo: &Repo, who: &str) -> Outcome {
    let answer = cx.pull(member, &repo.pull_request(0)).await?;
    answer.refused(&format!("a pull by {who}"), &[403])?;
    answer.keeps_secret(repo)
}
