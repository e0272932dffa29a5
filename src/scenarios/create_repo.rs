//! createRepo (SPEC §6, §8): what it stores, whom it refuses, and that ids are unique.

use std::time::{Duration, Instant};

use super::check::checks;
use super::context::to_set_up;
use super::elsewhere::BY_PATH;
use super::state::compare_manifest;
use super::{Answer, Ctx, Member, Outcome, Stop, push, removal};
use crate::client::{Repo, random};
use crate::wire::{PullResponse, PushResponse, VaultManifest};

checks! {
    "create-repo/returns-manifest", Must, "§6", [CREATE_RETURNS, STORED_VERBATIM, READ_YOUR_WRITES, NO_ACCOUNT], returns_manifest,
        "createRepo returns the manifest as sent, and pull serves manifest and envelope as sent";
    "create-repo/initial-counters", Must, "§6", [CREATE_RETURNS, STORED_VERBATIM], initial_counters,
        "The counters of a new repository are those of the manifest that the client built";
    "create-repo/scheme-as-sent", Must, "§4", [CREATE_RETURNS, STORED_VERBATIM], scheme_as_sent,
        "schemeId is opaque to the server: it comes back as it was sent";
    "create-repo/scheme-stays", Must, "§4", [STORED_VERBATIM, REMOVE_REPLACES, PUSH_ROTATES], scheme_stays,
        "The scheme that a repository is created with is there after every kind of write";
    "create-repo/several-of-one-owner", Must, "§6", [CREATE_RETURNS, CREATE_IDS_EXACT], several_of_one_owner,
        "One member owns several repositories, and each keeps its own content";
    "create-repo/no-member", Must, "§6", [CREATE_SOLE_MEMBER], no_member,
        "A manifest without members is refused and leaves nothing behind";
    "create-repo/caller-and-another", Must, "§6", [CREATE_SOLE_MEMBER], caller_and_another,
        "A manifest of the caller and somebody else is refused and leaves nothing behind";
    "create-repo/another-and-caller", Must, "§6", [CREATE_SOLE_MEMBER], another_and_caller,
        "A manifest of somebody else and the caller is refused and leaves nothing behind";
    "create-repo/another-sole-member", Must, "§6", [CREATE_SOLE_MEMBER, SUBJECT_IS_CALLER], another_sole_member,
        "A manifest whose sole member isn't the caller is refused and leaves nothing behind";
    "create-repo/caller-twice", Must, "§6", [CREATE_SOLE_MEMBER], caller_twice,
        "A manifest that names the caller twice is refused and leaves nothing behind";
    "create-repo/nearly-the-caller", Must, "§6", [CREATE_SOLE_MEMBER], nearly_the_caller,
        "A sole member whose id only resembles the caller's is refused";
    "create-repo/after-refusals", Must, "§6", [CREATE_SOLE_MEMBER, CREATE_RETURNS], after_refusals,
        "createRepo works right after refused attempts at the same id";
    "create-repo/malformed-leaves-nothing", Must, "§6", [CREATE_SOLE_MEMBER, CREATE_RETURNS], super::incomplete::create,
        "A createRepo that lacks what it needs leaves nothing, or creates what was sent";
    "create-repo/duplicate-by-owner", Must, "§6", [CREATE_DUPLICATE], duplicate_by_owner,
        "An id that exists is refused to its owner, and the repository stays as it is";
    "create-repo/duplicate-by-stranger", Must, "§6", [CREATE_DUPLICATE, PULL_MEMBERS_ONLY], duplicate_by_stranger,
        "An id that exists is refused to a stranger, who gets no access by it";
    "create-repo/duplicate-by-member", Must, "§6", [CREATE_DUPLICATE], duplicate_by_member,
        "An id that exists is refused to a member who isn't the creator";
    "create-repo/duplicate-by-former-owner", Must, "§6", [CREATE_DUPLICATE, REMOVE_REVOKES], duplicate_by_former_owner,
        "An id that exists is refused to its creator after the creator's removal";
    "create-repo/no-authority-by-envelope", Must, "§6", [PUSH_SCOPE], super::elsewhere::creation,
        "Whoever creates a repository has no authority over another that its first envelope names";
    "create-repo/foreign-envelope", Hardening, "§6", [CREATE_CONSISTENT], foreign_envelope,
        "A first envelope of another repository is refused";
    "create-repo/envelope-of-another-version", Hardening, "§6", [CREATE_CONSISTENT], envelope_of_another_version,
        "A first envelope of another version than the manifest's is refused";
    "create-repo/envelope-of-another-epoch", Hardening, "§6", [CREATE_CONSISTENT], envelope_of_another_epoch,
        "A first envelope of another epoch than the manifest's is refused";
}

/// The server's answer to a creation that must work.
pub(super) fn created(repo: &Repo, answer: &Answer<'_>) -> Outcome {
    let manifest: VaultManifest = answer.accepted("createRepo by the sole member")?;
    match compare_manifest(&repo.manifest, &manifest) {
        None => Ok(()),
        Some(difference) => Err(answer.violation("createRepo returns the manifest as it was sent", difference)),
    }
}

/// The repository is created, and its owner reads it.
async fn create_and_read(cx: &Ctx, owner: &Member, repo: &Repo) -> Outcome {
    cx.watch(repo);
    created(repo, &cx.create(owner, &repo.create_request()).await?)?;
    cx.readable(owner, repo, "its creation").await
}

/// What was sent is what is returned, stored and served: with a key binding, and without.
async fn returns_manifest(cx: &Ctx) -> Outcome {
    let alice = cx.member().await?;
    create_and_read(cx, &alice, &Repo::new(&alice)).await?;
    let mut bound = Repo::new(&alice);
    bound.manifest.members[0].key_binding_sig = Some(push::binding_like_signature());
    create_and_read(cx, &alice, &bound).await
}

/// The manifest is the client's: other counters than the usual (1, 0) are its business. A clean refusal is no failure.
async fn initial_counters(cx: &Ctx) -> Outcome {
    let alice = cx.member().await?;
    for (version, epoch) in [(7, 3), (0, 0), (1, 1), (12, 0)] {
        let mut repo = Repo::with_counters(&alice, &random::uuid(), version, epoch);
        cx.watch(&repo);
        let answer = cx.create(&alice, &repo.create_request()).await?;
        if let Some(stop) = answer.limited() {
            return Err(stop);
        }
        if answer.is_refusal() {
            let expected = format!("a repository may begin at version {version} and epoch {epoch}");
            answer.should(false, &expected, || answer.summary());
            continue;
        }
        created(&repo, &answer)?;
        cx.readable(&alice, &repo, "its creation").await?;
        let answer = cx.pull(&alice, &repo.pull_request(version)).await?;
        let pulled: PullResponse = answer.accepted("a pull at the initial version")?;
        answer.must(pulled.unchanged, &format!("version {version} is the current one: unchanged is true"), || {
            "unchanged: false".into()
        })?;
        let next = repo.push_request(&alice);
        let answer = cx.push(&alice, &next).await?;
        let applied: PushResponse = answer.accepted("a push at the initial version")?;
        answer.must(applied.accepted, &format!("the push at version {version} applies"), || applied.to_string())?;
        repo.apply_push(&next);
        cx.holds(&alice, &repo, "a push at the initial version").await?;
    }
    Ok(())
}

/// A later scheme has another name, which is none of the server's business (§4); a server may refuse what it doesn't know.
async fn scheme_as_sent(cx: &Ctx) -> Outcome {
    let alice = cx.member().await?;
    let mut repo = Repo::new(&alice);
    "X448-HKDF-SHA512-ChaCha20Poly1305-v2+Test".clone_into(&mut repo.manifest.scheme_id);
    "x448-Wrap_v2/Test".clone_into(&mut repo.manifest.members[0].wrapped_data_key.scheme_id);
    cx.watch(&repo);
    let answer = cx.create(&alice, &repo.create_request()).await?;
    if answer.is_refusal() {
        cx.remark("the server refuses a schemeId that it doesn't know");
        return Ok(());
    }
    created(&repo, &answer)?;
    cx.holds(&alice, &repo, "its creation").await
}

/// What a repository is created with stays, whatever is written to it: no later request names its scheme.
async fn scheme_stays(cx: &Ctx) -> Outcome {
    let (alice, bob, carol) = (cx.member().await?, cx.identity(), cx.identity());
    let mut repo = Repo::new(&alice);
    "X25519-HKDF-SHA256-AESGCM-v2".clone_into(&mut repo.manifest.scheme_id);
    cx.watch(&repo);
    let answer = cx.create(&alice, &repo.create_request()).await?;
    if answer.is_refusal() {
        return Err(Stop::not_judged("the server refuses a schemeId that it doesn't know"));
    }
    created(&repo, &answer).map_err(to_set_up)?;
    for newcomer in [&bob, &carol] {
        match cx.enrol(&alice, &mut repo, newcomer).await {
            Err(Stop::SetupFailed(_)) => return Err(Stop::not_judged("entries of the usual scheme aren't taken here")),
            added => added?,
        }
    }
    cx.holds(&alice, &repo, "an addMember to a repository of another scheme").await?;
    cx.advance(&alice, &mut repo).await?;
    cx.holds(&alice, &repo, "a push to a repository of another scheme").await?;
    let rotation = repo.rotation(&alice, &[&alice.identity, &bob, &carol]);
    let answer = cx.push(&alice, &repo.rotating_push(&rotation)).await?;
    let pushed: PushResponse = answer.accepted("a push with a roster").map_err(to_set_up)?;
    answer.must(pushed.accepted, "a push with a roster applies", || pushed.to_string()).map_err(to_set_up)?;
    repo.apply_rotation(&rotation);
    cx.holds(&alice, &repo, "a push with a roster to a repository of another scheme").await?;
    removal::remove_rightly(cx, &alice, &mut repo, &bob.id, &[&alice.identity, &carol]).await?;
    cx.holds(&alice, &repo, "a removal from a repository of another scheme").await
}

/// Nothing of one repository shows in another of the same member.
async fn several_of_one_owner(cx: &Ctx) -> Outcome {
    let alice = cx.member().await?;
    let mut repos = Vec::new();
    for _ in 0..3 {
        let repo = Repo::new(&alice);
        cx.watch(&repo);
        created(&repo, &cx.create(&alice, &repo.create_request()).await?)?;
        repos.push(repo);
    }
    let middle = &mut repos[1];
    cx.advance(&alice, middle).await?;
    cx.enrol(&alice, middle, &cx.identity()).await?;
    for repo in &repos {
        cx.readable(&alice, repo, "a push and an addMember to one of several repositories of one owner").await?;
    }
    // Who has many has all of them: a list of memberships that is read by the page ends somewhere.
    let until = Instant::now() + MANY_FOR;
    while repos.len() < if cx.thorough() { 110 } else { 52 } && Instant::now() < until {
        let repo = Repo::new(&alice);
        let answer = cx.create(&alice, &repo.create_request()).await?;
        if answer.is_refusal() {
            break;
        }
        created(&repo, &answer)?;
        repos.push(repo);
    }
    for at in [0, repos.len() / 2, repos.len() - 1] {
        cx.holds(&alice, &repos[at], &format!("createRepo of {} repositories by one owner", repos.len())).await?;
    }
    Ok(())
}

/// How long it may take to create many repositories on a slow server.
const MANY_FOR: Duration = Duration::from_secs(3);

/// A creation that is refused because of its roster: nobody got anything by it, and the id is still free for `owner`.
async fn refused_without_trace(
    cx: &Ctx,
    by: &Member,
    named: &[&Member],
    repo: &Repo,
    (what, usual): (&str, &[u16]),
) -> Outcome {
    cx.watch(repo);
    let answer = cx.create(by, &repo.create_request()).await?;
    answer.refused(what, usual)?;
    for reader in [&[by], named].concat() {
        let answer = cx.pull(reader, &repo.pull_request(0)).await?;
        answer.refused("a pull of a repository whose creation was refused", &[404])?;
        answer.keeps_secret(repo)?;
    }
    // The id is free, for whoever was named as well as for the caller.
    let owner = named.last().copied().unwrap_or(by);
    create_and_read(cx, owner, &Repo::with_id(owner, repo.id())).await
}

async fn no_member(cx: &Ctx) -> Outcome {
    let alice = cx.member().await?;
    let mut repo = Repo::new(&alice);
    repo.manifest.members.clear();
    refused_without_trace(cx, &alice, &[], &repo, ("a manifest without members", &[400, 403])).await
}

async fn caller_and_another(cx: &Ctx) -> Outcome {
    let (alice, bob) = (cx.member().await?, cx.member().await?);
    let mut repo = Repo::new(&alice);
    repo.manifest.members.push(repo.entry_for(&bob));
    refused_without_trace(cx, &alice, &[&bob], &repo, ("a manifest with two members", &[403])).await
}

async fn another_and_caller(cx: &Ctx) -> Outcome {
    let (alice, bob) = (cx.member().await?, cx.member().await?);
    let mut repo = Repo::new(&alice);
    repo.manifest.members.insert(0, repo.entry_for(&bob));
    refused_without_trace(cx, &alice, &[&bob], &repo, ("a manifest with two members", &[403])).await
}

/// Nobody makes a repository in another's name; in particular, the other one can still use the id.
async fn another_sole_member(cx: &Ctx) -> Outcome {
    let (alice, mallory) = (cx.member().await?, cx.member().await?);
    let repo = Repo::new(&alice);
    let what = ("a manifest whose sole member isn't the caller", &[403_u16][..]);
    refused_without_trace(cx, &mallory, &[&alice], &repo, what).await?;
    let answer = cx.pull(&mallory, &repo.pull_request(0)).await?;
    answer.refused("a pull by who tried to create the repository in another's name", &[403])
}

async fn caller_twice(cx: &Ctx) -> Outcome {
    let alice = cx.member().await?;
    let mut repo = Repo::new(&alice);
    repo.manifest.members.push(repo.entry_for(&alice));
    refused_without_trace(cx, &alice, &[], &repo, ("a manifest that names the caller twice", &[400, 403])).await
}

/// The key must equal the caller's: not by letter case, not by its beginning, not by another field of the entry.
async fn nearly_the_caller(cx: &Ctx) -> Outcome {
    let alice = cx.member().await?;
    let swapped = swap_case(alice.id());
    for (what, id) in [
        ("a sole member whose id is the caller's in other letter case", swapped.as_str()),
        ("a sole member whose id is the beginning of the caller's", &alice.id()[..32]),
        ("a sole member whose id is the caller's X25519 key", &alice.x25519_public_key),
    ] {
        let mut repo = Repo::new(&alice);
        id.clone_into(&mut repo.manifest.members[0].ed25519_public_key);
        refused_without_trace(cx, &alice, &[], &repo, (what, &[400, 403])).await?;
    }
    Ok(())
}

/// The same text with capital and small letters exchanged.
pub(super) fn swap_case(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii_lowercase() { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() }).collect()
}

/// Failed attempts, by the owner and by somebody else, don't stand in the way of the right one.
async fn after_refusals(cx: &Ctx) -> Outcome {
    let (alice, mallory) = (cx.member().await?, cx.member().await?);
    let repo = Repo::new(&alice);
    for roster in [vec![], vec![repo.entry_for(&alice), repo.entry_for(&mallory)], vec![repo.entry_for(&mallory)]] {
        let mut wrong = repo.clone();
        wrong.manifest.members = roster;
        let answer = cx.create(&alice, &wrong.create_request()).await?;
        answer.refused("a manifest whose members aren't exactly the caller", &[400, 403])?;
    }
    let answer = cx.create(&mallory, &repo.create_request()).await?;
    answer.refused("a manifest whose sole member isn't the caller", &[403])?;
    create_and_read(cx, &alice, &repo).await
}

/// Retries and other creations by the owner: 409, and not a byte changes, also after the repository has moved on.
async fn duplicate_by_owner(cx: &Ctx) -> Outcome {
    let alice = cx.member().await?;
    let mut repo = cx.repo(&alice).await?;
    let identical = repo.clone();
    let other = Repo::with_id(&alice, repo.id());
    let ahead = Repo::with_counters(&alice, repo.id(), 9, 4);
    for attempt in [&identical, &other, &ahead, &other.clone().of_scheme("another-scheme")] {
        duplicate_refused(cx, &alice, &alice, attempt, &repo).await?;
    }
    // A history that is cut at some length begins anew.
    for _ in 0..12 {
        cx.advance(&alice, &mut repo).await?;
    }
    duplicate_refused(cx, &alice, &alice, &identical, &repo).await?;
    duplicate_refused(cx, &alice, &alice, &other, &repo).await
}

/// `attempt` is refused to `by`, and the repository is as it was for its member `reader`.
async fn duplicate_refused(cx: &Ctx, by: &Member, reader: &Member, attempt: &Repo, repo: &Repo) -> Outcome {
    let answer = cx.create(by, &attempt.create_request()).await?;
    answer.refused("createRepo with an id that exists", &[409])?;
    cx.readable(reader, repo, "a refused duplicate").await
}

/// The stranger brings a manifest of its own, as it must; then the very one that exists.
async fn duplicate_by_stranger(cx: &Ctx) -> Outcome {
    let (alice, mallory) = (cx.member().await?, cx.member().await?);
    let repo = cx.repo(&alice).await?;
    for attempt in
        [Repo::with_id(&mallory, repo.id()), Repo::with_counters(&mallory, repo.id(), repo.version() + 5, repo.epoch())]
    {
        duplicate_refused(cx, &mallory, &alice, &attempt, &repo).await?;
        let answer = cx.pull(&mallory, &repo.pull_request(0)).await?;
        answer.refused("a pull by who tried to take the id", &[403])?;
        answer.keeps_secret(&repo)?;
    }
    let answer = cx.create(&mallory, &repo.create_request()).await?;
    answer.refused("createRepo with another's manifest and an id that exists", &[403, 409])?;
    let answer = cx.push(&mallory, &repo.push_request(&mallory)).await?;
    answer.refused("a push by who tried to take the id", &[403])?;
    cx.readable(&alice, &repo, "a refused duplicate").await
}

/// Being a member isn't a right to begin anew.
async fn duplicate_by_member(cx: &Ctx) -> Outcome {
    let (alice, bob) = (cx.member().await?, cx.member().await?);
    let repo = cx.repo_with(&alice, &[&bob]).await?;
    duplicate_refused(cx, &bob, &alice, &Repo::with_id(&bob, repo.id()), &repo).await?;
    cx.readable(&bob, &repo, "a refused duplicate").await
}

/// alice created it and was removed; the id belongs to the repository, not to her.
async fn duplicate_by_former_owner(cx: &Ctx) -> Outcome {
    let (alice, bob) = (cx.member().await?, cx.member().await?);
    let mut repo = cx.repo_with(&alice, &[&bob]).await?;
    let first = Repo::with_id(&alice, repo.id());
    let rotation = repo.rotation(&bob, &[&bob]);
    let answer = cx.remove(&bob, &repo.remove_request(alice.id(), &rotation)).await.map_err(to_set_up)?;
    if answer.is_refusal() {
        return Err(Stop::not_applicable(format!(
            "the server refuses the removal of the creator with {}",
            answer.status
        )));
    }
    answer.accepted::<VaultManifest>("removeMember by a member").map_err(to_set_up)?;
    repo.apply_rotation(&rotation);
    cx.watch(&repo);
    // Whether anything is left of it is another check's business.
    cx.holds(&bob, &repo, "the removal of the creator").await.map_err(to_set_up)?;
    duplicate_refused(cx, &alice, &bob, &first, &repo).await?;
    let answer = cx.pull(&alice, &repo.pull_request(0)).await?;
    answer.refused("a pull by the removed creator", &[403])
}

/// Refused, and nothing remains; a server that takes it serves what nobody can decrypt.
async fn inconsistent(cx: &Ctx, what: &str, spoil: impl FnOnce(&mut Repo, &Repo)) -> Outcome {
    let alice = cx.member().await?;
    let right = Repo::new(&alice);
    let mut wrong = right.clone();
    spoil(&mut wrong, &Repo::new(&alice));
    let answer = cx.create(&alice, &wrong.create_request()).await?;
    if answer.is_success() && wrong.envelope.repo_id != wrong.id() {
        return cx.told_once(BY_PATH, answer.refused_somehow(what));
    }
    answer.refused_somehow(what)?;
    create_and_read(cx, &alice, &right).await
}

async fn foreign_envelope(cx: &Ctx) -> Outcome {
    inconsistent(cx, "a first envelope of another repository", |wrong, other| {
        wrong.envelope = other.envelope.clone();
    })
    .await
}

async fn envelope_of_another_version(cx: &Ctx) -> Outcome {
    inconsistent(cx, "a first envelope of another version than the manifest's", |wrong, _| {
        wrong.envelope.payload_version += 1;
    })
    .await
}

async fn envelope_of_another_epoch(cx: &Ctx) -> Outcome {
    inconsistent(cx, "a first envelope of another epoch than the manifest's", |wrong, _| {
        wrong.envelope.key_epoch += 1;
    })
    .await
}
