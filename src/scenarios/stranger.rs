//! Two deployments that share nothing (SPEC §3): what one of them has issued is worth nothing at the other.

use super::call::Place;
use super::check::checks;
use super::context::{Site, to_set_up};
use super::{Ctx, Member, Operation, Outcome, Stop};
use crate::client::{Identity, Repo};

checks! {
    "stranger/tokens-are-refused", Must, "§3", [TOKEN_LOCAL, TOKEN_VERIFIED], tokens,
        "A token that one deployment has issued is refused by another, in both directions", needs = Stranger;
    "stranger/nonces-are-refused", Must, "§3", [NONCE_ISSUED], nonces,
        "A nonce that one deployment has issued is refused by another, in both directions", needs = Stranger;
}

/// Both deployments, each in turn first.
fn both_ways(cx: &Ctx) -> Result<[(Site<'_>, Site<'_>); 2], Stop> {
    if cx.world.target.stranger.is_none() {
        return Err(Stop::not_applicable("it takes another deployment: --stranger URL"));
    }
    let (here, there) = (cx.at(Place::Process(0)), cx.at(Place::Stranger));
    Ok([(here, there), (there, here)])
}

/// The same keypair has a repository of its own at both; the token of the one opens nothing at the other.
async fn tokens(cx: &Ctx) -> Outcome {
    for (home, abroad) in both_ways(cx)? {
        let alice = cx.identity();
        let (at_home, there) = (home.member(&alice).await?, abroad.member(&alice).await?);
        let mine = create(home, &at_home).await?;
        let repo = create(abroad, &there).await?;
        for operation in Operation::VAULT {
            let (path, body) = request(cx, operation, &repo, &alice)?;
            let answer = abroad.send(operation, (&path, &alice.id), &at_home.auth(), body).await?;
            answer.must(
                !answer.is_success(),
                &format!("{} refuses a token of {}", abroad.place, home.place),
                || format!("{operation:?} is answered with {}", answer.status),
            )?;
            answer.refused_somehow("a token of another deployment")?;
        }
        // Both tokens are good where they come from, so that it was the place.
        for (site, token, repo) in [(abroad, &there, &repo), (home, &at_home, &mine)] {
            let pulled = site.pull(token, &repo.pull_request(0)).await.map_err(to_set_up)?;
            pulled.accepted::<crate::wire::PullResponse>("a pull with its own token").map_err(to_set_up)?;
        }
    }
    Ok(())
}

async fn create(site: Site<'_>, owner: &Member) -> Result<Repo, Stop> {
    let repo = Repo::new(owner);
    site.cx.watch(&repo);
    let answer = site.create(owner, &repo.create_request()).await.map_err(to_set_up)?;
    answer.accepted::<crate::wire::VaultManifest>("createRepo").map_err(to_set_up)?;
    Ok(repo)
}

/// A request that its owner's own token would have accepted, and the repository in its path.
fn request(
    cx: &Ctx,
    operation: Operation,
    repo: &Repo,
    owner: &Identity,
) -> Result<(String, Option<bytes::Bytes>), Stop> {
    let fresh = Repo::new(owner);
    let value = match operation {
        Operation::CreateRepo => serde_json::to_vec(&fresh.create_request()),
        Operation::Pull => serde_json::to_vec(&repo.pull_request(0)),
        Operation::Push => serde_json::to_vec(&repo.push_request(owner)),
        Operation::AddMember => serde_json::to_vec(&repo.add_request(&cx.identity())),
        Operation::RemoveMember => serde_json::to_vec(&repo.remove_request(&owner.id, &repo.rotation(owner, &[owner]))),
        _ => return Ok((repo.id().to_owned(), None)),
    };
    let body = value.map_err(|error| cx.setup_failed("a request", error.to_string()))?;
    Ok((repo.id().to_owned(), Some(body.into())))
}

/// And is worth a token where it comes from, so that it was the place.
async fn nonces(cx: &Ctx) -> Outcome {
    for (home, abroad) in both_ways(cx)? {
        let alice = cx.identity();
        let request = cx.redeem(&alice, &home.nonce(&alice).await?)?;
        let answer = abroad.token(&request).await?;
        let expected = format!("{} refuses a nonce that it hasn't issued", abroad.place);
        answer.must(!answer.is_success(), &expected, || format!("a token for a nonce of {}", home.place))?;
        answer.refused_somehow("a nonce of another deployment")?;
        let own = home.token(&request).await.map_err(to_set_up)?;
        own.accepted::<crate::wire::TokenResponse>("the nonce where it was issued").map_err(to_set_up)?;
    }
    Ok(())
}
