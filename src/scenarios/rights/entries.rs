//! What is known of repositories and members follows what happens to them, and stays where it belongs.

use super::super::context::to_set_up;
use super::super::variants::Variants;
use super::super::{Ctx, Member, Outcome};
use super::happened;
use crate::client::Repo;
use crate::wire::{MemberAddRequest, MemberEntry};

/// Asked for before it exists: an answer that is remembered would hide what is created.
pub(super) async fn unknown_becomes_known(cx: &Ctx) -> Outcome {
    let (alice, bob) = (cx.member().await?, cx.identity());
    let mut repo = Repo::new(&alice);
    cx.pull(&alice, &repo.pull_request(0)).await.map_err(to_set_up)?;
    cx.fetch(&alice, repo.id(), alice.id()).await.map_err(to_set_up)?;
    cx.push(&alice, &repo.push_request(&alice)).await.map_err(to_set_up)?;
    cx.watch(&repo);
    let answer = cx.create(&alice, &repo.create_request()).await?;
    answer.must(answer.is_success(), "createRepo of an id that was asked for before", || answer.summary())?;
    cx.readable(&alice, &repo, "its creation, having been asked for before").await?;
    fetched(cx, &alice, &repo, alice.id(), "its creation").await?;
    cx.fetch(&alice, repo.id(), &bob.id).await.map_err(to_set_up)?;
    cx.enrol(&alice, &mut repo, &bob).await?;
    fetched(cx, &alice, &repo, &bob.id, "addMember, having been asked for before").await?;
    cx.advance(&alice, &mut repo).await?;
    cx.readable(&alice, &repo, "a push").await
}

/// fetchMemberKey gives the entry that the repository has.
pub(in crate::scenarios) async fn fetched(cx: &Ctx, by: &Member, repo: &Repo, id: &str, after: &str) -> Outcome {
    let answer = cx.fetch(by, repo.id(), id).await?;
    let entry: MemberEntry = answer.accepted(&format!("fetchMemberKey of a member after {after}"))?;
    match repo.manifest.member(id).and_then(|expected| crate::scenarios::state::compare_entry(expected, &entry)) {
        None => Ok(()),
        Some(difference) => Err(answer.violation(format!("the entry as it must be after {after}"), difference)),
    }
}

/// Alone, since another check's removal may empty a cache. Fetched, replaced by a push, fetched; removed, asked for; added with other keys, fetched.
pub(super) async fn entries_follow(cx: &Ctx) -> Outcome {
    let alice = cx.member().await?;
    let (bob, carol) = (cx.identity(), cx.identity());
    let mut repo = cx.repo_with(&alice, &[&bob, &carol]).await?;
    fetched(cx, &alice, &repo, &carol.id, "addMember").await?;
    fetched(cx, &alice, &repo, &bob.id, "addMember").await?;
    let rotation = repo.rotation(&alice, &[&alice, &bob, &carol]);
    let answer = cx.push(&alice, &repo.rotating_push(&rotation)).await.map_err(to_set_up)?;
    if happened(&answer, "a rotating push").is_ok() {
        repo.apply_rotation(&rotation);
        cx.watch(&repo);
        fetched(cx, &alice, &repo, &bob.id, "a push that has replaced it").await?;
        fetched(cx, &alice, &repo, alice.id(), "a push that has replaced it").await?;
    }
    cx.expel(&alice, &mut repo, &carol.id, &[&alice, &bob]).await?;
    fetched(cx, &alice, &repo, &bob.id, "a removal that has replaced it").await?;
    let answer = cx.fetch(&alice, repo.id(), &carol.id).await?;
    answer.refused_somehow("fetchMemberKey of somebody who was removed")?;
    let mut again = repo.entry_for(&carol);
    again.x25519_public_key = cx.identity().x25519_public_key;
    let request = MemberAddRequest { repo_id: repo.id().into(), member: again.clone() };
    let answer = cx.add(&alice, &request).await.map_err(to_set_up)?;
    happened(&answer, "adding somebody again with other keys")?;
    repo.apply_add(&again);
    fetched(cx, &alice, &repo, &carol.id, "being added again with other keys").await?;
    cx.readable(&alice, &repo, "being added again with other keys").await
}

/// bob and alice are in three repositories, each time with other keys, other signatures and another epoch.
pub(super) async fn entries_stay(cx: &Ctx) -> Outcome {
    let (alice, bob) = (cx.member().await?, cx.identity());
    let mut repos = Vec::new();
    for step in 0..3 {
        let mut repo = Repo::new(&alice);
        repo.manifest.members[0].key_binding_sig = Some(crate::scenarios::push::binding_like_signature());
        if step > 0 {
            repo.manifest.members[0].x25519_public_key = cx.identity().x25519_public_key;
        }
        let mut repo = cx.create_repo(&alice, repo).await?;
        for _ in 0..step {
            let mut rotation = repo.rotation(&alice, &[&alice]);
            rotation.members[0].x25519_public_key = repo.manifest.members[0].x25519_public_key.clone();
            let answer = cx.push(&alice, &repo.rotating_push(&rotation)).await.map_err(to_set_up)?;
            happened(&answer, "a rotating push")?;
            repo.apply_rotation(&rotation);
        }
        let mut request = repo.add_request(&bob);
        request.member.x25519_public_key = cx.identity().x25519_public_key;
        request.member.key_binding_sig = (step != 1).then(crate::scenarios::push::binding_like_signature);
        happened(&cx.add(&alice, &request).await.map_err(to_set_up)?, "addMember")?;
        repo.apply_add(&request.member);
        cx.watch(&repo);
        repos.push(repo);
    }
    let mut tally = Variants::default();
    for (number, repo) in repos.iter().enumerate() {
        let after = "its members have become members of others, with other keys";
        tally.note(format!("pull of repository {}", number + 1), cx.holds(&alice, repo, after).await)?;
        for (who, id) in [("another", bob.id.as_str()), ("oneself", alice.id())] {
            let outcome = fetched(cx, &alice, repo, id, after).await;
            tally.note(format!("fetchMemberKey of {who} in repository {}", number + 1), outcome)?;
        }
    }
    tally.settle(cx)
}
