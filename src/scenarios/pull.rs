//! pull (SPEC §6): what a member gets to see, byte for byte and number for number, and that nobody else does.

mod payloads;

use futures_util::future::join_all;
use serde_json::Value;

use super::check::checks;
use super::counter_values::too_large;
use super::elsewhere::BY_PATH;
use super::push::NEGATIVE;
use super::state::{changed, compare_envelope, compare_manifest, compare_state};
use super::{Ctx, Member, Operation, Outcome, Stop, push};
use crate::client::Repo;
use crate::wire::{PullResponse, VaultManifest};

checks! {
    "pull/unchanged", Must, "§6", [PULL_UNCHANGED], unchanged,
        "At the current version, after every kind of write, pull says unchanged and gives the manifest";
    "pull/unchanged-omits-envelope", Should, "§6", [PULL_OMITS_ENVELOPE], unchanged_omits_envelope,
        "At the current version, pull leaves the envelope out";
    "pull/unchanged-gives-current-roster", Must, "§6", [PULL_UNCHANGED, READ_YOUR_WRITES], unchanged_gives_current_roster,
        "A roster that grew while the version stood still is in the manifest of an unchanged pull";
    "pull/older-version-gives-envelope", Must, "§6", [PULL_CURRENT, READ_YOUR_WRITES], older_version,
        "At an older version, pull gives the current manifest and envelope";
    "pull/newer-version-gives-envelope", Must, "§6", [PULL_CURRENT], newer_version,
        "At a version that doesn't exist yet, pull gives the current manifest and envelope";
    "pull/after-push", Must, "§6", [PULL_CURRENT, READ_YOUR_WRITES], after_push,
        "After a push, the version that was current gets the new envelope";
    "pull/after-removal", Must, "§6", [PULL_CURRENT, READ_YOUR_WRITES, OLD_KEYS_USELESS], after_removal,
        "After a removal, the version that was current gets the rotated envelope and the new roster";
    "pull/read-your-writes", Must, "§10", [READ_YOUR_WRITES], read_your_writes,
        "What was just written is what every member reads, on every connection";
    "pull/changes-nothing", Must, "§6", [PULL_CURRENT, STORED_VERBATIM], changes_nothing,
        "However often and with whatever version a repository is pulled, it stays as it is";
    "pull/every-member-decrypts", Must, "§4", [PULL_CURRENT, STORED_VERBATIM], every_member_decrypts,
        "Every member gets the whole roster, unwraps its own key and decrypts the payload";
    "pull/verbatim", Must, "§4", [STORED_VERBATIM, BINDING_OPAQUE, BASE64, KEY_ENCODING], verbatim,
        "Every stored string comes back byte for byte, with and without a key binding";
    "pull/small-payloads", Must, "§4", [STORED_VERBATIM, BASE64], payloads::small_payloads,
        "Payloads from nothing to a few blocks come back byte for byte";
    "pull/payload-of-64-kib", Must, "§4", [STORED_VERBATIM], payloads::payload_of_64_kib,
        "A payload of 64 KiB comes back byte for byte, or is refused cleanly";
    "pull/payload-of-1-mib", Must, "§4", [STORED_VERBATIM, PUSH_APPLIES], payloads::payload_of_1_mib,
        "A payload of 1 MiB comes back byte for byte, or is refused cleanly";
    "pull/non-member", Must, "§6", [PULL_MEMBERS_ONLY, SUBJECT_IS_CALLER], non_member,
        "A stranger's pull is refused, whatever version it claims to know";
    "pull/unknown-repository", Must, "§6", [PULL_MEMBERS_ONLY], unknown_repository,
        "A pull of an id that doesn't exist is refused";
    "pull/no-authority-elsewhere", Must, "§6", [PULL_MEMBERS_ONLY, SUBJECT_IS_CALLER], no_authority_elsewhere,
        "Where path and body name different repositories, neither opens the one that the caller isn't a member of", only = Http;
    "pull/path-and-body-agree", Hardening, "§6", [BAD_INPUT], path_and_body_agree,
        "A pull whose body names another repository than its path is refused, also to a member of both", only = Http;
}

/// A pull at the current version: unchanged, the manifest, and no envelope but the current one.
pub(super) async fn says_unchanged(cx: &Ctx, reader: &Member, repo: &Repo, after: &str) -> Outcome {
    let deed = cx.last_deed();
    let answer = cx.pull(reader, &repo.pull_request(repo.version())).await?;
    let pulled: PullResponse = answer.accepted("a pull at the current version")?;
    let at = repo.version();
    answer.must(
        pulled.unchanged,
        &format!("unchanged is true, as {at} is the current version after {after}"),
        || "unchanged: false".into(),
    )?;
    let difference = compare_manifest(&repo.manifest, &pulled.manifest)
        .or_else(|| pulled.envelope.and_then(|envelope| compare_envelope(&repo.envelope, &envelope)));
    difference.map_or(Ok(()), |difference| Err(changed(deed, &answer, after, &difference)))
}

/// A pull at any other version than the current one: not unchanged, the manifest and the current envelope.
pub(super) async fn gives_envelope(cx: &Ctx, reader: &Member, repo: &Repo, known: i64) -> Outcome {
    let deed = cx.last_deed();
    let answer = cx.pull(reader, &repo.pull_request(known)).await?;
    // No repository was ever below 0; a server may say so. And it may say that a number is too large for it.
    if answer.is_refusal() && (known < 0 || too_large(cx, &answer, known)) {
        return Ok(());
    }
    let pulled: PullResponse = answer.accepted("a pull by a member")?;
    let at = repo.version();
    answer.must(
        !pulled.unchanged,
        &format!("unchanged is false, as {known} isn't the current version {at}"),
        || "unchanged: true".into(),
    )?;
    let Some(envelope) = pulled.envelope else {
        return Err(
            answer.violation(format!("the current envelope, as {known} isn't the current version {at}"), "none")
        );
    };
    let after = format!("the last write, where version {known} is known");
    compare_state(repo, &pulled.manifest, &envelope)
        .map_or(Ok(()), |difference| Err(changed(deed, &answer, &after, &difference)))
}

/// After creation, addMember, push and removal; for whoever wrote and for whoever didn't.
async fn unchanged(cx: &Ctx) -> Outcome {
    let (alice, bob) = (cx.member().await?, cx.member().await?);
    let carol = cx.identity();
    let mut repo = cx.repo(&alice).await?;
    says_unchanged(cx, &alice, &repo, "its creation").await?;
    cx.enrol(&alice, &mut repo, &bob).await?;
    cx.enrol(&alice, &mut repo, &carol).await?;
    says_unchanged(cx, &bob, &repo, "addMember").await?;
    cx.advance(&alice, &mut repo).await?;
    says_unchanged(cx, &alice, &repo, "a push").await?;
    says_unchanged(cx, &bob, &repo, "another's push").await?;
    cx.expel(&alice, &mut repo, &carol.id, &[&alice, &bob]).await?;
    says_unchanged(cx, &alice, &repo, "a removal").await?;
    says_unchanged(cx, &bob, &repo, "a removal by another").await
}

/// Who has the envelope needn't be sent it.
async fn unchanged_omits_envelope(cx: &Ctx) -> Outcome {
    let alice = cx.member().await?;
    let mut repo = cx.repo(&alice).await?;
    for _ in 0..2 {
        let answer = cx.pull(&alice, &repo.pull_request(repo.version())).await?;
        let pulled: PullResponse = answer.accepted("a pull at the current version")?;
        answer.must(pulled.envelope.is_none(), "no envelope in an unchanged pull", || "an envelope".into())?;
        cx.advance(&alice, &mut repo).await?;
    }
    Ok(())
}

/// addMember doesn't move the version; unchanged speaks of the payload, not of the roster.
async fn unchanged_gives_current_roster(cx: &Ctx) -> Outcome {
    let (alice, bob) = (cx.member().await?, cx.member().await?);
    let mut repo = cx.repo(&alice).await?;
    says_unchanged(cx, &alice, &repo, "its creation").await?;
    for newcomer in [&bob.identity, &cx.identity()] {
        cx.enrol(&alice, &mut repo, newcomer).await?;
        says_unchanged(cx, &alice, &repo, "addMember").await?;
        says_unchanged(cx, &bob, &repo, "addMember").await?;
    }
    Ok(())
}

/// A repository that has been pushed to a few times.
async fn grown(cx: &Ctx, owner: &Member) -> Result<Repo, Stop> {
    let mut repo = cx.repo(owner).await?;
    for _ in 0..3 {
        cx.advance(owner, &mut repo).await?;
    }
    Ok(repo)
}

async fn older_version(cx: &Ctx) -> Outcome {
    let alice = cx.member().await?;
    let repo = grown(cx, &alice).await?;
    for known in [repo.version() - 1, repo.version() - 2, 0].into_iter().chain(NEGATIVE) {
        gives_envelope(cx, &alice, &repo, known).await?;
    }
    Ok(())
}

async fn newer_version(cx: &Ctx) -> Outcome {
    let alice = cx.member().await?;
    let repo = grown(cx, &alice).await?;
    for known in [repo.version() + 1, repo.version() + 2, 1 << 40, i64::MAX] {
        gives_envelope(cx, &alice, &repo, known).await?;
    }
    Ok(())
}

/// Each version is current once, and old for ever after.
async fn after_push(cx: &Ctx) -> Outcome {
    let (alice, bob) = (cx.member().await?, cx.member().await?);
    let mut repo = cx.repo_with(&alice, &[&bob]).await?;
    for _ in 0..3 {
        let before = repo.version();
        // Whoever keeps answers would keep these.
        says_unchanged(cx, &bob, &repo, "a write").await?;
        gives_envelope(cx, &bob, &repo, 0).await?;
        cx.advance(&alice, &mut repo).await?;
        gives_envelope(cx, &bob, &repo, before).await?;
        gives_envelope(cx, &bob, &repo, 0).await?;
    }
    Ok(())
}

async fn after_removal(cx: &Ctx) -> Outcome {
    let (alice, bob) = (cx.member().await?, cx.member().await?);
    let carol = cx.identity();
    let mut repo = cx.repo_with(&alice, &[&bob, &carol]).await?;
    let before = repo.version();
    says_unchanged(cx, &bob, &repo, "addMember").await?;
    gives_envelope(cx, &bob, &repo, 0).await?;
    cx.expel(&alice, &mut repo, &carol.id, &[&alice, &bob]).await?;
    gives_envelope(cx, &bob, &repo, before).await?;
    gives_envelope(cx, &bob, &repo, 0).await?;
    cx.readable(&bob, &repo, "a removal").await
}

/// Several connections at once: an answer that one of them keeps, or a copy that lags behind, shows.
async fn read_your_writes(cx: &Ctx) -> Outcome {
    let (alice, bob) = (cx.member().await?, cx.member().await?);
    let mut repo = cx.repo(&alice).await?;
    cx.enrol(&alice, &mut repo, &bob).await?;
    for round in 0..4 {
        let writer = if round % 2 == 0 { &bob } else { &alice };
        cx.advance(writer, &mut repo).await?;
        let readers = [&alice, &bob, &alice, &bob];
        let reads = readers.map(|reader| cx.holds(reader, &repo, "a push that was just answered"));
        join_all(reads).await.into_iter().collect::<Result<(), _>>()?;
    }
    Ok(())
}

/// A pull is a read: it neither consumes nor notes anything.
async fn changes_nothing(cx: &Ctx) -> Outcome {
    let (alice, bob) = (cx.member().await?, cx.member().await?);
    let repo = cx.repo_with(&alice, &[&bob]).await?;
    for known in [0, repo.version(), repo.version() + 1, 1 << 20] {
        for reader in [&alice, &bob] {
            cx.pull(reader, &repo.pull_request(known)).await?.accepted::<PullResponse>("a pull by a member")?;
        }
    }
    says_unchanged(cx, &alice, &repo, "many pulls").await?;
    cx.readable(&alice, &repo, "many pulls").await?;
    cx.readable(&bob, &repo, "many pulls").await
}

/// All see the same; each unwraps its own key.
async fn every_member_decrypts(cx: &Ctx) -> Outcome {
    let (alice, bob, carol) = (cx.member().await?, cx.member().await?, cx.member().await?);
    let mut repo = cx.repo_with(&alice, &[&bob, &carol]).await?;
    for after in ["addMember", "a push"] {
        for reader in [&alice, &bob, &carol] {
            cx.readable(reader, &repo, after).await?;
        }
        cx.advance(&bob, &mut repo).await?;
    }
    Ok(())
}

/// A binding present, absent and `null`, by createRepo and addMember; all of it through two writes.
async fn verbatim(cx: &Ctx) -> Outcome {
    let alice = cx.member().await?;
    let mut repo = Repo::new(&alice);
    repo.manifest.members[0].key_binding_sig = Some(push::binding_like_signature());
    let mut repo = cx.create_repo(&alice, repo).await?;
    cx.holds(&alice, &repo, "createRepo with a key binding").await?;
    let null = Repo::new(&alice);
    let mut body = serde_json::json!(null.create_request());
    body["manifest"]["members"][0]["keyBindingSig"] = Value::Null;
    let answer = cx.perform(Operation::CreateRepo, "", &alice.auth(), &body).await?;
    answer.accepted::<VaultManifest>("createRepo with a keyBindingSig of null")?;
    cx.readable(&alice, &null, "createRepo with a keyBindingSig of null").await?;
    for binding in [Some(Value::String(push::binding_like_signature())), Some(Value::Null), None] {
        let mut request = repo.add_request(&cx.identity());
        request.member.key_binding_sig = binding.as_ref().and_then(Value::as_str).map(str::to_owned);
        let mut body = serde_json::json!(request);
        if let Some(binding) = binding {
            body["member"]["keyBindingSig"] = binding;
        }
        let answer = cx.perform(Operation::AddMember, repo.id(), &alice.auth(), &body).await?;
        answer.accepted::<VaultManifest>("addMember, with a key binding and without")?;
        repo.apply_add(&request.member);
        cx.holds(&alice, &repo, "addMember, with a key binding and without").await?;
    }
    cx.advance(&alice, &mut repo).await?;
    cx.readable(&alice, &repo, "a push").await
}

/// Refused also where nothing but the manifest would be given, and also at the second attempt.
async fn non_member(cx: &Ctx) -> Outcome {
    let (alice, mallory) = (cx.member().await?, cx.member().await?);
    let repo = cx.repo(&alice).await?;
    // Owning something else is no entitlement either.
    cx.repo(&mallory).await?;
    for known in [0, repo.version(), repo.version() + 1, 0] {
        let answer = cx.pull(&mallory, &repo.pull_request(known)).await?;
        answer.refused("a pull by a stranger", &[403])?;
        answer.keeps_secret(&repo)?;
    }
    cx.readable(&alice, &repo, "pulls by a stranger").await
}

/// At any version, and also for somebody who owns other repositories.
async fn unknown_repository(cx: &Ctx) -> Outcome {
    let alice = cx.member().await?;
    let nowhere = Repo::new(&alice);
    for known in [0, 1] {
        let answer = cx.pull(&alice, &nowhere.pull_request(known)).await?;
        answer.refused("a pull of an unknown repository", &[404])?;
    }
    cx.repo(&alice).await?;
    let answer = cx.pull(&alice, &nowhere.pull_request(0)).await?;
    answer.refused("a pull of an unknown repository", &[404])
}

/// mallory owns one repository, and names alice's in body or path. Whatever the answer is, alice's isn't in it.
async fn no_authority_elsewhere(cx: &Ctx) -> Outcome {
    let (alice, mallory) = (cx.member().await?, cx.member().await?);
    let (target, own) = (cx.repo(&alice).await?, cx.repo(&mallory).await?);
    for known in [0, target.version()] {
        for (path, body) in [(&own, &target), (&target, &own)] {
            let request = body.pull_request(known);
            let answer = cx.perform(Operation::Pull, path.id(), &mallory.auth(), &request).await?;
            answer.keeps_secret(&target)?;
            if answer.is_success() {
                let pulled: PullResponse = answer.message()?;
                answer.must(pulled.manifest.repo_id == own.id(), "nothing of a repository of others", || {
                    format!("the manifest of {}", pulled.manifest.repo_id)
                })?;
            }
        }
    }
    Ok(())
}

/// One of the two is a mistake of the client, and it isn't the server's to guess which.
async fn path_and_body_agree(cx: &Ctx) -> Outcome {
    let alice = cx.member().await?;
    let (one, two) = (cx.repo(&alice).await?, cx.repo(&alice).await?);
    let answer = cx.perform(Operation::Pull, one.id(), &alice.auth(), &two.pull_request(0)).await?;
    let outcome = answer.refused_somehow("a pull whose path and body name different repositories");
    if answer.is_success() { cx.told_once(BY_PATH, outcome) } else { outcome }
}
