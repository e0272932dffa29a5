//! The usual status codes of the HTTP profile (SPEC §6).

use super::check::checks;
use super::{Auth, Ctx, Operation, Outcome};
use crate::client::Repo;
use crate::wire::VaultManifest;

checks! {
    "status/usual-codes", Should, "§6", [USUAL_STATUS], usual_codes,
        "Success is 200, and refusals are 401, 403, 404 and 409 as usual";
}

/// One of each. Another 4xx is a refusal all the same, hence no more than a warning.
async fn usual_codes(cx: &Ctx) -> Outcome {
    let (alice, mallory) = (cx.member().await?, cx.member().await?);
    let repo = Repo::new(&alice);
    let answer = cx.create(&alice, &repo.create_request()).await?;
    answer.accepted::<VaultManifest>("createRepo")?;
    answer.should(answer.status == 200, "success is status 200", || answer.summary());
    let pull = repo.pull_request(0);
    let answer = cx.perform(Operation::Pull, repo.id(), &Auth::None, &pull).await?;
    answer.refused("a pull without a token", &[401])?;
    cx.pull(&mallory, &pull).await?.refused("a pull by a stranger", &[403])?;
    cx.pull(&alice, &Repo::new(&alice).pull_request(0)).await?.refused("a pull of an unknown repository", &[404])?;
    cx.fetch(&alice, repo.id(), mallory.id()).await?.refused("fetchMemberKey of somebody who is no member", &[404])?;
    cx.create(&alice, &repo.create_request()).await?.refused("a second createRepo of an id", &[409])
}
