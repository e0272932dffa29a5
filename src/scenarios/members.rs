//! addMember (SPEC §6, §9): the roster grows by exactly what was sent, and only members make it grow.

use serde_json::json;

use super::auth::LENIENT_KEYS;
use super::check::checks;
use super::context::to_set_up;
use super::state::{compare_envelope, compare_manifest, is_entry};
use super::{Answer, Ctx, Member, Operation, Outcome, Stop, push};
use crate::client::{Identity, Repo};
use crate::codec::base64;
use crate::wire::{MemberAddRequest, MemberEntry, PullResponse, VaultManifest};

checks! {
    "add-member/records-entry", Must, "§6", [ADD_RECORDS, STORED_VERBATIM, BINDING_OPAQUE, READ_YOUR_WRITES], records_entry,
        "addMember returns and stores the entry exactly as sent; counters and envelope stay";
    "add-member/newcomer-reads", Must, "§6", [ADD_RECORDS, PULL_MEMBERS_ONLY, NO_ACCOUNT], newcomer_reads,
        "A newcomer, refused a moment ago, pulls, unwraps and decrypts with the token it has";
    "add-member/several", Must, "§6", [ADD_RECORDS, READ_YOUR_WRITES], several,
        "Members added one after the other are all there, each with its own entry";
    "add-member/survives-writes", Must, "§6", [ADD_RECORDS, PUSH_APPLIES], survives_writes,
        "Who was added is still there, as it was sent, after pushes and further additions";
    "add-member/leaves-counters-alone", Must, "§6", [ADD_RECORDS, EPOCH_RISES, VERSION_MONOTONIC], leaves_counters,
        "addMember leaves version and epoch as they are, whichever write has set them: a rotating push, a removal, a push";
    "add-member/other-epoch-as-sent", Must, "§6", [ADD_RECORDS, STORED_VERBATIM], other_epoch_as_sent,
        "An entry of another epoch than the current one is refused or recorded as sent, never altered";
    "add-member/invited-by-a-newcomer", Must, "§6", [ADD_RECORDS], invited_by_newcomer,
        "Whoever a member who was added has brought in is a member like any other";
    "add-member/newcomer-invites", Should, "§6", [ADD_ANY_MEMBER], newcomer_invites,
        "A member who was added adds others";
    "add-member/non-member", Must, "§6", [ADD_MEMBERS_ONLY, SUBJECT_IS_CALLER], non_member_adds,
        "A stranger adds nobody, and not itself either";
    "add-member/unknown-repository", Must, "§6", [ADD_MEMBERS_ONLY], add_to_unknown,
        "addMember to an id that doesn't exist is refused and creates nothing";
    "add-member/no-authority-elsewhere", Must, "§6", [ADD_MEMBERS_ONLY, SUBJECT_IS_CALLER], add_elsewhere,
        "Authority over the repository in the path gives none over the one in the body, nor the reverse", only = Http;
    "add-member/twice", Should, "§6", [ADD_TWICE], twice,
        "Adding the same member again leaves one entry and the counters alone";
    "add-member/of-an-unknown-key", Must, "§3", [NO_ACCOUNT], of_unknown_key,
        "Who has never logged in is added, and brought in by a roster, like who has";
    "add-member/again-is-answered", Must, "§6", [ADD_RECORDS], again_is_answered,
        "An addMember of somebody who is there, the same or wrapped anew, is carried out, passed over or refused";
    "add-member/again-is-one-of-both", Must, "§6", [ADD_RECORDS, STORED_VERBATIM], one_of_both,
        "After another addMember for a member, the entry is whole the old or the new one, and the answer shows it";
    "add-member/other-key-for-a-member", Hardening, "§6", [ADD_NO_REKEY], other_key,
        "An addMember that brings another X25519 key for a member doesn't replace the key that it has";
    "add-member/misspelled-id", Hardening, "§6", [IDENTITY_CANONICAL], misspelled_id,
        "An addMember whose member id isn't the base64 of 32 bytes is refused";
    "add-member/refused-changes-nothing", Must, "§6", [ADD_MEMBERS_ONLY, ADD_RECORDS], super::incomplete::add,
        "An addMember that lacks what it needs leaves everything as it was, or is recorded as it was sent";
    "add-member/bad-wrapped-key-changes-nothing", Must, "§6", [ADD_MEMBERS_ONLY, ADD_RECORDS], super::incomplete::add_wrapped_key,
        "An addMember whose wrapped key is malformed leaves everything as it was, or is recorded as it was sent", only = Http;
}

/// The answer to an addMember that must work: `repo` with the newcomer in its roster.
pub(super) fn added(repo: &Repo, answer: &Answer<'_>) -> Outcome {
    let manifest: VaultManifest = answer.accepted("addMember by a member")?;
    match compare_manifest(&repo.manifest, &manifest) {
        None => Ok(()),
        Some(difference) => {
            Err(answer.violation("addMember returns the manifest with the newcomer as sent", difference))
        }
    }
}

/// Adds somebody, and holds the answer to what it must be.
async fn add(cx: &Ctx, by: &Member, repo: &mut Repo, newcomer: &Identity) -> Outcome {
    let request = repo.add_request(newcomer);
    repo.apply_add(&request.member);
    added(repo, &cx.add(by, &request).await?)
}

/// The entry comes back as it went, the others' don't move, nor do version, epoch and envelope.
async fn records_entry(cx: &Ctx) -> Outcome {
    let alice = cx.member().await?;
    let mut repo = cx.repo(&alice).await?;
    add(cx, &alice, &mut repo, &cx.identity()).await?;
    cx.readable(&alice, &repo, "addMember").await?;
    let mut request = repo.add_request(&cx.identity());
    request.member.key_binding_sig = Some(push::binding_like_signature());
    repo.apply_add(&request.member);
    added(&repo, &cx.add(&alice, &request).await?)?;
    cx.readable(&alice, &repo, "addMember with a key binding").await
}

/// Membership is looked up when it is needed, not when the token was made or first used.
async fn newcomer_reads(cx: &Ctx) -> Outcome {
    let (alice, bob) = (cx.member().await?, cx.member().await?);
    let mut repo = cx.repo(&alice).await?;
    let answer = cx.pull(&bob, &repo.pull_request(0)).await?;
    answer.refused("a pull before its addMember", &[403])?;
    add(cx, &alice, &mut repo, &bob).await?;
    cx.readable(&bob, &repo, "addMember").await?;
    let answer = cx.pull(&bob, &repo.pull_request(repo.version())).await?;
    let pulled: PullResponse = answer.accepted("a newcomer's pull")?;
    answer.must(pulled.unchanged, "unchanged is true at the current version, also for a newcomer", || {
        "unchanged: false".into()
    })
}

/// By the creator; nobody replaces anybody, and there is no small limit.
async fn several(cx: &Ctx) -> Outcome {
    let (alice, last) = (cx.member().await?, cx.member().await?);
    let mut repo = cx.repo(&alice).await?;
    for _ in 0..20 {
        // The answer shows the whole roster each time.
        add(cx, &alice, &mut repo, &cx.identity()).await?;
    }
    add(cx, &alice, &mut repo, &last).await?;
    cx.readable(&last, &repo, "several addMembers").await?;
    cx.readable(&alice, &repo, "several addMembers").await
}

async fn survives_writes(cx: &Ctx) -> Outcome {
    let (alice, bob) = (cx.member().await?, cx.member().await?);
    let mut repo = cx.repo(&alice).await?;
    let mut request = repo.add_request(&bob);
    request.member.key_binding_sig = Some(push::binding_like_signature());
    repo.apply_add(&request.member);
    added(&repo, &cx.add(&alice, &request).await?)?;
    cx.advance(&alice, &mut repo).await?;
    cx.readable(&bob, &repo, "a push after addMember").await?;
    add(cx, &alice, &mut repo, &cx.identity()).await?;
    cx.advance(&bob, &mut repo).await?;
    cx.readable(&bob, &repo, "the newcomer's push").await?;
    cx.readable(&alice, &repo, "the newcomer's push").await
}

/// An addition writes the manifest, and mustn't bring an old one back.
async fn leaves_counters(cx: &Ctx) -> Outcome {
    let (alice, bob) = (cx.member().await?, cx.identity());
    let mut repo = cx.repo_with(&alice, &[&bob]).await?;
    let rotation = repo.rotation(&alice, &[&alice, &bob]);
    let answer = cx.push(&alice, &repo.rotating_push(&rotation)).await?;
    answer.accepted::<crate::wire::PushResponse>("a rotating push").map_err(to_set_up)?;
    repo.apply_rotation(&rotation);
    let carol = cx.identity();
    add(cx, &alice, &mut repo, &carol).await?;
    cx.readable(&alice, &repo, "addMember after a rotating push").await?;
    cx.expel(&alice, &mut repo, &bob.id, &[&alice, &carol]).await?;
    add(cx, &alice, &mut repo, &cx.identity()).await?;
    cx.readable(&alice, &repo, "addMember after a removal").await?;
    cx.advance(&alice, &mut repo).await?;
    add(cx, &alice, &mut repo, &cx.identity()).await?;
    cx.readable(&alice, &repo, "addMember after a push").await
}

/// An invitation that was wrapped before a rotation comes late: a server that takes it takes it as it is.
async fn other_epoch_as_sent(cx: &Ctx) -> Outcome {
    let (alice, late) = (cx.member().await?, cx.member().await?);
    let bob = cx.identity();
    let mut repo = cx.repo_with(&alice, &[&bob]).await?;
    let request = repo.add_request(&late);
    cx.expel(&alice, &mut repo, &bob.id, &[&alice]).await?;
    let answer = cx.add(&alice, &request).await?;
    if !answer.is_success() {
        answer.refused_somehow("addMember of an entry that was wrapped before a rotation")?;
        return cx.readable(&alice, &repo, "a refused addMember").await;
    }
    repo.apply_add(&request.member);
    added(&repo, &answer)?;
    cx.readable(&alice, &repo, "addMember of an entry of an earlier epoch").await?;
    is_entry(&cx.fetch(&alice, repo.id(), late.id()).await?, &request.member)?;
    let answer = cx.pull(&late, &repo.pull_request(0)).await?;
    answer.must(answer.is_success(), "who is in the roster may pull, whatever epoch its entry is at", || {
        answer.summary()
    })?;
    // Nor does an entry of a later one take the repository with it.
    let mut early = repo.add_request(&cx.identity());
    early.member.key_epoch = repo.epoch() + 6;
    let answer = cx.add(&alice, &early).await?;
    if answer.is_success() {
        repo.apply_add(&early.member);
        added(&repo, &answer)?;
    }
    cx.readable(&alice, &repo, "addMember of an entry of a later epoch").await
}

/// Whether newcomers may invite at all is another check's business.
async fn invited_by_newcomer(cx: &Ctx) -> Outcome {
    let (alice, bob, carol) = (cx.member().await?, cx.member().await?, cx.member().await?);
    let mut repo = cx.repo_with(&alice, &[&bob]).await?;
    let request = repo.add_request(&carol);
    if cx.add(&bob, &request).await?.is_refusal() {
        return Err(Stop::not_applicable("members who were added may not add others here"));
    }
    repo.apply_add(&request.member);
    cx.readable(&carol, &repo, "addMember by a member who was added").await
}

/// v1 policy: any member may invite.
async fn newcomer_invites(cx: &Ctx) -> Outcome {
    let (alice, bob, carol) = (cx.member().await?, cx.member().await?, cx.member().await?);
    let mut repo = cx.repo_with(&alice, &[&bob]).await?;
    add(cx, &bob, &mut repo, &carol).await?;
    cx.readable(&carol, &repo, "addMember by a member who was added").await?;
    add(cx, &carol, &mut repo, &cx.identity()).await?;
    cx.readable(&alice, &repo, "addMember by a member who was added").await
}

/// mallory adds herself, bob, and herself again.
async fn non_member_adds(cx: &Ctx) -> Outcome {
    let (alice, bob, mallory) = (cx.member().await?, cx.member().await?, cx.member().await?);
    let repo = cx.repo(&alice).await?;
    for newcomer in [&mallory, &bob, &mallory] {
        let answer = cx.add(&mallory, &repo.add_request(newcomer)).await?;
        answer.refused("addMember by a stranger", &[403])?;
        answer.keeps_secret(&repo)?;
        cx.holds(&alice, &repo, "addMember by a stranger").await?;
    }
    // Who is a member already, with the entry that is there and with another.
    let known = repo.manifest.members[0].clone();
    for member in [known.clone(), MemberEntry { x25519_public_key: mallory.x25519_public_key.clone(), ..known }] {
        let answer = cx.add(&mallory, &MemberAddRequest { repo_id: repo.id().into(), member }).await?;
        answer.refused("addMember of a member by a stranger", &[403])?;
        answer.keeps_secret(&repo)?;
    }
    cx.holds(&alice, &repo, "addMember of a member by a stranger").await?;
    for reader in [&mallory, &bob] {
        let answer = cx.pull(reader, &repo.pull_request(0)).await?;
        answer.refused("a pull by who was added by a stranger", &[403])?;
    }
    Ok(())
}

/// There is nothing to add to, and nothing comes into being: neither readable nor in the way of its owner.
async fn add_to_unknown(cx: &Ctx) -> Outcome {
    let (alice, bob) = (cx.member().await?, cx.member().await?);
    let nowhere = Repo::new(&alice);
    for newcomer in [&alice, &bob] {
        let answer = cx.add(&alice, &nowhere.add_request(newcomer)).await?;
        answer.refused("addMember to an unknown repository", &[404])?;
    }
    for reader in [&alice, &bob] {
        let answer = cx.pull(reader, &nowhere.pull_request(0)).await?;
        answer.refused("a pull of an unknown repository", &[404])?;
    }
    let answer = cx.create(&alice, &nowhere.create_request()).await?;
    answer.accepted::<VaultManifest>("createRepo with an id that only a refused addMember has named")?;
    cx.readable(&alice, &nowhere, "createRepo").await
}

/// mallory owns one repository, and names alice's in body or path. Whatever the answer is, alice's roster stays.
async fn add_elsewhere(cx: &Ctx) -> Outcome {
    let (alice, mallory) = (cx.member().await?, cx.member().await?);
    let (target, own) = (cx.repo(&alice).await?, cx.repo(&mallory).await?);
    let auth = mallory.auth();
    for (path, body) in [(&own, &target), (&target, &own)] {
        let request = body.add_request(&mallory);
        let answer = cx.perform(Operation::AddMember, path.id(), &auth, &request).await?;
        answer.keeps_secret(&target)?;
        cx.holds(&alice, &target, "addMember where path and body name different repositories").await?;
    }
    let answer = cx.pull(&mallory, &target.pull_request(0)).await?;
    answer.refused("a pull by who added itself by way of another repository", &[403])
}

/// A member is a keypair: there is nothing to look up.
async fn of_unknown_key(cx: &Ctx) -> Outcome {
    let alice = cx.member().await?;
    let (known, unknown) = (cx.member().await?, cx.identity());
    let repo = cx.repo(&alice).await?;
    let added = cx.add(&alice, &repo.add_request(&known)).await?;
    added.accepted::<VaultManifest>("addMember of who has logged in").map_err(to_set_up)?;
    let repo = cx.repo(&alice).await?;
    let added = cx.add(&alice, &repo.add_request(&unknown)).await?;
    added.must(added.is_success(), "addMember of who has never logged in is accepted, too", || added.summary())?;
    // A policy may keep rosters as they are in a push; for whom is the question.
    for who in [&known.identity, &unknown] {
        let repo = cx.repo(&alice).await?;
        let answer = cx.push(&alice, &repo.rotating_push(&repo.rotation(&alice, &[&alice, who]))).await?;
        if answer.is_refusal() && who.id == known.id() {
            break;
        }
        answer.must(answer.is_success(), "a roster brings in who has never logged in, too", || answer.summary())?;
    }
    Ok(())
}

/// A client that got no answer sends again: nothing that is rightly asked ends in a server error.
async fn again_is_answered(cx: &Ctx) -> Outcome {
    let (alice, bob) = (cx.member().await?, cx.member().await?);
    let repo = cx.repo(&alice).await?;
    let first = repo.add_request(&bob);
    cx.add(&alice, &first).await?.accepted::<VaultManifest>("addMember by a member").map_err(to_set_up)?;
    for (request, by) in [(&first, &alice), (&repo.add_request(&bob), &alice), (&first, &bob)] {
        let answer = cx.add(by, request).await?;
        if !answer.is_success() {
            answer.refused_somehow("adding a member again, unless it is accepted,")?;
        }
    }
    Ok(())
}

/// Taken, passed over or refused, as the server likes: what mustn't be is an entry that nobody sent, or an answer that isn't what is stored.
async fn one_of_both(cx: &Ctx) -> Outcome {
    let (alice, bob, stranger) = (cx.member().await?, cx.member().await?, cx.identity());
    let repo = cx.repo_with(&alice, &[&cx.identity()]).await?;
    let mut first = repo.add_request(&bob);
    first.member.key_binding_sig = Some(push::binding_like_signature());
    let mut other_key = repo.add_request(&stranger);
    other_key.member.ed25519_public_key = bob.id().into();
    let mut sent = Vec::new();
    for (what, request) in [
        ("addMember", first),
        ("addMember of a member with another wrapped key and without a binding", repo.add_request(&bob)),
        ("addMember of a member with another X25519 key and without a binding", other_key),
    ] {
        let answer = cx.add(&alice, &request).await?;
        if sent.is_empty() {
            answer.accepted::<VaultManifest>("addMember by a member").map_err(to_set_up)?;
        }
        sent.push(request.member);
        let (_, pulled, _) = cx.pull_all(&alice, &repo).await?;
        let altered = repo.manifest.members.iter().find(|entry| !pulled.members.contains(entry));
        answer.must(altered.is_none(), "an addMember leaves the entries of others as they are", || {
            format!("after {what}, another member's entry is gone or altered")
        })?;
        for entry in pulled.members.iter().filter(|entry| entry.ed25519_public_key == bob.id()) {
            answer.must(sent.contains(entry), "the entry of a member is one that was sent, whole", || {
                format!("after {what}, pull shows an entry that is made of two: {}", json!(entry))
            })?;
        }
        if answer.is_success() {
            let answered: VaultManifest = answer.accepted(what)?;
            if let Some(difference) = compare_manifest(&pulled, &answered) {
                return Err(answer.violation("the answer to an addMember is the manifest that is stored", difference));
            }
        }
    }
    Ok(())
}

/// A retry, and an addition by somebody who didn't know. Refused or not: one entry, and nothing else moves.
async fn twice(cx: &Ctx) -> Outcome {
    let (alice, bob) = (cx.member().await?, cx.member().await?);
    let mut repo = cx.repo(&alice).await?;
    let first = repo.add_request(&bob);
    repo.apply_add(&first.member);
    added(&repo, &cx.add(&alice, &first).await?)?;
    let rewrapped = repo.add_request(&bob);
    for (request, by) in [(&first, &alice), (&rewrapped, &alice), (&first, &bob)] {
        let answer = cx.add(by, request).await?;
        if answer.status >= 500 {
            return Err(Stop::not_judged("it ends in a server error, as add-member/again-is-answered shows"));
        }
        if !answer.is_success() {
            answer.refused_somehow("adding a member again, unless it is accepted,")?;
        }
        let (answer, manifest, envelope) = cx.pull_all(&alice, &repo).await?;
        // Either of the two wrapped keys opens the repository.
        let mut other = repo.clone();
        other.apply_add(&rewrapped.member);
        let difference = compare_manifest(&repo.manifest, &manifest)
            .filter(|_| compare_manifest(&other.manifest, &manifest).is_some())
            .or_else(|| compare_envelope(&repo.envelope, &envelope));
        if let Some(difference) = difference {
            return Err(answer.violation("adding a member again leaves one entry and the counters alone", difference));
        }
    }
    Ok(())
}

/// Whoever wraps to bob next would wrap to that key; refusing or ignoring it keeps his.
async fn other_key(cx: &Ctx) -> Outcome {
    let (alice, bob) = (cx.member().await?, cx.member().await?);
    let repo = cx.repo_with(&alice, &[&bob]).await?;
    let stranger = cx.identity();
    let mut request = repo.add_request(&stranger);
    request.member.ed25519_public_key = bob.id().into();
    let answer = cx.add(&alice, &request).await?;
    if !answer.is_success() {
        answer.refused_somehow("another X25519 key for a member, unless it is ignored,")?;
    }
    cx.holds(&alice, &repo, "addMember with another X25519 key for a member").await?;
    cx.readable(&bob, &repo, "addMember with another X25519 key for a member").await
}

/// Nobody can ever log in as such a member.
async fn misspelled_id(cx: &Ctx) -> Outcome {
    let alice = cx.member().await?;
    let repo = cx.repo(&alice).await?;
    let newcomer = cx.identity();
    let short = base64::encode(&newcomer.public_key()[..31]);
    let bare = newcomer.id.trim_end_matches('=').to_owned();
    for (what, id) in [("a name", "bob".to_owned()), ("31 bytes", short), ("a key without its padding", bare)] {
        let mut request = repo.add_request(&newcomer);
        request.member.ed25519_public_key = id;
        let answer = cx.provoke(Operation::AddMember, repo.id(), &alice.auth(), &request).await?;
        let refused = answer.refused_somehow(&format!("addMember of {what} for a member id"));
        if !what.ends_with("padding") {
            refused?;
        } else if refused.is_err() {
            return cx.told_once(LENIENT_KEYS, refused);
        }
    }
    cx.holds(&alice, &repo, "refused addMembers").await
}
