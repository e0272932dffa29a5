//! The usual status codes of the HTTP profile (SPEC §6).

use super::check::checks;
use super::{Answer, Auth, Ctx, Member, Operation, Outcome};
use crate::client::Repo;
use crate::wire::VaultManifest;

checks! {
    "status/usual-codes", Should, "§6", [USUAL_STATUS], usual_codes,
        "Success is 200, and refusals are 401, 403, 404 and 409 as usual";
}

/// One accepted request of every other operation.
async fn every_success(cx: &Ctx, alice: &Member) -> Outcome {
    let bob = cx.member().await?;
    let mut repo = cx.repo(alice).await?;
    let ok = |answer: &Answer<'_>, name: &str| {
        answer.should(answer.status == 200, &format!("{name} succeeds with status 200"), || answer.summary());
        answer.must(answer.is_success(), &format!("{name} is accepted"), || answer.summary())
    };
    ok(&cx.pull(alice, &repo.pull_request(0)).await?, "pull")?;
    let push = repo.push_request(alice);
    ok(&cx.push(alice, &push).await?, "push")?;
    let conflict = cx.push(alice, &push).await?;
    ok(&conflict, "push, with a stale expectation,")?;
    repo.apply_push(&push);
    let request = repo.add_request(&bob);
    ok(&cx.add(alice, &request).await?, "addMember")?;
    repo.apply_add(&request.member);
    ok(&cx.fetch(alice, repo.id(), bob.id()).await?, "fetchMemberKey")?;
    ok(&cx.remove(alice, &repo.remove_request(bob.id(), &repo.rotation(alice, &[alice]))).await?, "removeMember")
}

/// One of each. Another 4xx is a refusal all the same, hence no more than a warning.
async fn usual_codes(cx: &Ctx) -> Outcome {
    let (alice, mallory) = (cx.member().await?, cx.member().await?);
    let repo = Repo::new(&alice);
    let answer = cx.create(&alice, &repo.create_request()).await?;
    answer.accepted::<VaultManifest>("createRepo")?;
    answer.should(answer.status == 200, "success is status 200", || answer.summary());
    every_success(cx, &alice).await?;
    let pull = repo.pull_request(0);
    let answer = cx.perform(Operation::Pull, repo.id(), &Auth::None, &pull).await?;
    answer.refused("a pull without a token", &[401])?;
    cx.pull(&mallory, &pull).await?.refused("a pull by a stranger", &[403])?;
    cx.pull(&alice, &Repo::new(&alice).pull_request(0)).await?.refused("a pull of an unknown repository", &[404])?;
    cx.fetch(&alice, repo.id(), mallory.id()).await?.refused("fetchMemberKey of somebody who is no member", &[404])?;
    cx.create(&alice, &repo.create_request()).await?.refused("a second createRepo of an id", &[409])
}
