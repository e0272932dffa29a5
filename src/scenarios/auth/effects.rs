//! What a login leaves alone: repositories (SPEC §3, §10). A row of its own for whoever logs in invites programs to write it anew.

use super::redeem;
use crate::client::{Identity, Repo};
use crate::scenarios::check::checks;
use crate::scenarios::context::to_set_up;
use crate::scenarios::key_binding::binding;
use crate::scenarios::{Ctx, Member, Outcome, Stop};
use crate::wire::VaultManifest;

checks! {
    "auth/login-changes-no-repository", Must, "§10", [READ_YOUR_WRITES, BINDING_OPAQUE, STORED_VERBATIM], logging_in,
        "Repositories stay as they are when their members log in again, for the first time, or in vain";
}

/// Everybody's entry has a binding, which is what nobody else can restore.
async fn furnished(cx: &Ctx, alice: &Member, others: [&Identity; 2]) -> Result<Repo, Stop> {
    let mut repo = Repo::new(alice);
    for entry in &mut repo.manifest.members {
        entry.key_binding_sig = Some(binding(alice));
    }
    let mut repo = cx.create_repo(alice, repo).await?;
    for who in others {
        let mut request = repo.add_request(who);
        request.member.key_binding_sig = Some(binding(who));
        let answer = cx.add(alice, &request).await.map_err(to_set_up)?;
        answer.accepted::<VaultManifest>("addMember").map_err(to_set_up)?;
        repo.apply_add(&request.member);
    }
    // How bindings are kept as such is the business of `binding/*`.
    cx.holds(alice, &repo, "addMember").await.map_err(to_set_up)?;
    Ok(repo)
}

/// alice made the repository, bob had a token when he was added, carol never had one.
async fn logging_in(cx: &Ctx) -> Outcome {
    let (alice, bob) = (cx.member().await?, cx.member().await?);
    let carol = cx.identity();
    let repo = furnished(cx, &alice, [&bob, &carol]).await?;
    let nonce = cx.nonce(&bob).await?;
    redeem(cx, bob.id(), &nonce, &[7; 64]).await?;
    cx.holds(&alice, &repo, "a failed login of a member").await?;
    cx.authenticate(carol.clone()).await?;
    cx.holds(&alice, &repo, "the first login of a member").await?;
    cx.authenticate(bob.identity.clone()).await?;
    cx.holds(&alice, &repo, "another login of a member").await?;
    // Twice, as something may come of the third login only; and with the new token, as it may have ended the old one.
    cx.authenticate(alice.identity.clone()).await?;
    let alice = cx.authenticate(alice.identity.clone()).await?;
    cx.holds(&alice, &repo, "other logins of the member who made it").await
}
