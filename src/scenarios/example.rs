//! The worked example of the specification, step by step, as its people live it.

use super::check::checks;
use super::state::differing;
use super::{Ctx, Member, Outcome, Stop};
use crate::client::{Identity, Repo, canaries, open, random};
use crate::codec::address::Address;
use crate::codec::invite::InviteRequest;
use crate::codec::locator::RepoLocator;
use crate::codec::payload::{AltAccount, AltPayload, AltType};
use crate::wire::{MemberAddRequest, PullRequest, PullResponse, PushRequest, PushResponse, VaultManifest};

checks! {
    "example/worked-example", Must, "§6",
        [
            HTTP_PROFILE, PORTABLE_IDENTITY, CREATE_RETURNS, ADD_RECORDS, PULL_CURRENT, PUSH_APPLIES, PUSH_CONFLICT,
            READ_YOUR_WRITES, REMOVE_REPLACES, REMOVE_REVOKES, OLD_KEYS_USELESS
        ],
        worked_example,
        "alice creates a repository, bob and carol join, they write past each other, and bob is removed";
}

async fn worked_example(cx: &Ctx) -> Outcome {
    // 1. alice creates a repository. Its address is avp://<host>/<repoId>.
    let alice = cx.member().await?;
    let mut alices = Repo::new(&alice);
    cx.watch(&alices);
    cx.create(&alice, &alices.create_request()).await?.accepted::<VaultManifest>("createRepo")?;
    let host = cx.world.target.vault.authority().to_owned();
    let address = Address { host: host.clone(), repo_id: alices.id().into() };

    // 2. bob asks to join: his public keys, as one opaque token that goes by any channel.
    let bob = cx.identity();
    let invite = invite_request(&bob).encode();

    // 3. alice wraps the data key to bob, adds him, and replies with a locator.
    let member = adds(cx, &alice, &alices, &invite).await?;
    alices.apply_add(&member);
    let locator = RepoLocator {
        v: 1,
        host,
        repo_id: alices.id().into(),
        scheme_id: Some(alices.manifest.scheme_id.clone()),
        key_epoch: Some(alices.epoch()),
        issuer_jwks_url: None,
    };

    // 4. bob decodes it, authenticates with his own keypair, pulls and decrypts.
    let locator =
        RepoLocator::decode(&locator.encode()).map_err(|error| cx.setup_failed("a locator", error.to_string()))?;
    let found = Address { host: locator.host, repo_id: locator.repo_id };
    if found != address {
        return Err(cx.setup_failed("the locator leads to the repository", format!("{found} instead of {address}")));
    }
    let bob = cx.authenticate(bob).await?;
    let mut bobs = joins(cx, &bob, &found.repo_id).await?;
    reads(cx, "bob reads what alice wrote", &bobs, &alices)?;

    // 5. alice adds an account. bob, who hasn't seen it, marks another as used: a conflict. He pulls, re-applies, succeeds.
    pushes(cx, &alice, &mut alices, with_another_account).await?;
    conflicts(cx, &bob, &bobs, &alices).await?;
    bobs = pulls(cx, &bob, &bobs).await?;
    reads(cx, "bob reads the account that alice added", &bobs, &alices)?;
    pushes(cx, &bob, &mut bobs, |alts| used_by(alts, &bob)).await?;
    alices = pulls(cx, &alice, &alices).await?;
    reads(cx, "alice reads what bob wrote", &alices, &bobs)?;

    // carol joins as bob did.
    let carol = cx.identity();
    let member = adds(cx, &alice, &alices, &invite_request(&carol).encode()).await?;
    alices.apply_add(&member);
    let carol = cx.authenticate(carol).await?;
    let mut carols = joins(cx, &carol, alices.id()).await?;
    reads(cx, "carol reads what is there", &carols, &alices)?;

    // 6. alice removes bob: a new data key, wrapped to those who stay.
    let rotation = alices.rotation(&alice, &[&alice, &carol]);
    let answer = cx.remove(&alice, &alices.remove_request(bob.id(), &rotation)).await?;
    answer.accepted::<VaultManifest>("removeMember")?;
    alices.apply_rotation(&rotation);
    cx.watch(&alices);

    // carol reads on, and writes; bob is shut out, and his key wouldn't help him.
    carols = pulls(cx, &carol, &carols).await?;
    reads(cx, "carol reads what was written under the new key", &carols, &alices)?;
    let answer = cx.pull(&bob, &bobs.pull_request(bobs.version())).await?;
    answer.refused("bob's pull after his removal", &[403])?;
    let opened = open(&bobs.data_key, &carols.envelope).is_ok();
    answer.must(!opened, "bob's data key doesn't open what was written after his removal", || "it does".into())?;
    pushes(cx, &carol, &mut carols, with_another_account).await?;
    cx.readable(&alice, &carols, "carol's push under the new key").await
}

/// The joiner's public keys.
fn invite_request(joiner: &Identity) -> InviteRequest {
    InviteRequest { v: 1, ed25519_public_key: joiner.id.clone(), x25519_public_key: joiner.x25519_public_key.clone() }
}

/// Adds whoever an invite request is from; returns the entry.
async fn adds(cx: &Ctx, by: &Member, repo: &Repo, invite: &str) -> Result<crate::wire::MemberEntry, Stop> {
    let invite =
        InviteRequest::decode(invite).map_err(|error| cx.setup_failed("an invite request", error.to_string()))?;
    let member =
        repo.entry_from_invite(&invite).map_err(|reason| cx.setup_failed("usable keys in the invite", reason))?;
    let request = MemberAddRequest { repo_id: repo.id().into(), member: member.clone() };
    cx.add(by, &request).await?.accepted::<VaultManifest>("addMember")?;
    Ok(member)
}

/// The first pull of a member, who knows version 0 and nothing else.
async fn joins(cx: &Ctx, member: &Member, repo_id: &str) -> Result<Repo, Stop> {
    pull_from(cx, member, repo_id, 0).await
}

/// A pull of somebody who has a version already.
async fn pulls(cx: &Ctx, member: &Member, mine: &Repo) -> Result<Repo, Stop> {
    pull_from(cx, member, mine.id(), mine.version()).await
}

async fn pull_from(cx: &Ctx, member: &Member, repo_id: &str, known: i64) -> Result<Repo, Stop> {
    let request = PullRequest { repo_id: repo_id.into(), known_payload_version: known };
    let answer = cx.pull(member, &request).await?;
    let pulled: PullResponse = answer.accepted("pull by a member")?;
    let Some(envelope) = pulled.envelope else {
        return Err(answer.violation(format!("an envelope, as version {known} isn't current any more"), "none"));
    };
    Repo::pulled(member, pulled.manifest, envelope)
        .map_err(|reason| answer.violation("the member unwraps its key and decrypts the payload", reason))
}

/// Both have the same payload, at the same version and epoch.
fn reads(cx: &Ctx, what: &str, theirs: &Repo, expected: &Repo) -> Outcome {
    let place = |repo: &Repo| format!("version {} of epoch {}", repo.version(), repo.epoch());
    if place(theirs) == place(expected) && theirs.plaintext == expected.plaintext {
        return Ok(());
    }
    let observed = if place(theirs) == place(expected) {
        "another payload".into()
    } else {
        format!("{} instead of {}", place(theirs), place(expected))
    };
    Err(cx.violation(what, observed))
}

/// A changed payload at the next version.
fn change(cx: &Ctx, repo: &Repo, edit: impl FnOnce(&mut Vec<AltAccount>)) -> Result<PushRequest, Stop> {
    let mut payload = AltPayload::parse(&repo.plaintext)
        .map_err(|error| cx.setup_failed("a payload of accounts", error.to_string()))?;
    edit(&mut payload.alts);
    payload.payload_version = repo.version() + 1;
    Ok(repo.push_of(payload.to_json().as_bytes(), payload.payload_version))
}

async fn pushes(cx: &Ctx, by: &Member, repo: &mut Repo, edit: impl FnOnce(&mut Vec<AltAccount>)) -> Outcome {
    let push = change(cx, repo, edit)?;
    let answer = cx.push(by, &push).await?;
    let response: PushResponse = answer.accepted("push at the current version")?;
    answer.must(response.accepted, "the push is accepted", || response.to_string())?;
    repo.apply_push(&push);
    Ok(())
}

/// A push by somebody whose view is behind `current`.
async fn conflicts(cx: &Ctx, by: &Member, stale: &Repo, current: &Repo) -> Outcome {
    let answer = cx.push(by, &change(cx, stale, |alts| used_by(alts, by))?).await?;
    let expected = PushResponse {
        accepted: false,
        payload_version: current.version(),
        key_epoch: current.epoch(),
        conflict: true,
    };
    let response: PushResponse = answer.accepted("a stale push, as a conflict,")?;
    answer.must(response == expected, &format!("a conflict: {expected}"), || differing(&expected, &response))
}

fn used_by(alts: &mut [AltAccount], member: &Member) {
    if let Some(alt) = alts.first_mut() {
        alt.last_used_by = Some(member.id().into());
        alt.last_used += 60_000;
    }
}

/// Another account, with its provenance.
fn with_another_account(alts: &mut Vec<AltAccount>) {
    alts.push(AltAccount {
        uuid: random::uuid(),
        username: "Herobrine".into(),
        access_token: canaries().access_token.clone(),
        kind: AltType::Offline,
        last_used: 0,
        last_used_by: None,
        ban: None,
        source_client: Some("avp-conform".into()),
        source_user: None,
    });
}
