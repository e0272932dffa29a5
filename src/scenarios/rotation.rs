//! The rotation path of push (SPEC §6): rotatedMembers replaces the roster together with the write.

use serde_json::{Value, json};

use super::check::checks;
use super::push::{applied, binding_like_signature, conflicts, not_accepted, with};
use super::{Ctx, Operation, Outcome, Provoked};
use crate::wire::PushResponse;

checks! {
    "push/stale-rotation-is-conflict", Must, "§6", [PUSH_GATED, PUSH_CONFLICT, PUSH_ROTATES], stale_rotation_is_conflict,
        "A stale rotating push is a conflict and changes neither roster nor epoch";
    "push/conflict-after-rotation", Must, "§6", [PUSH_CONFLICT], conflict_after_rotation,
        "A conflict reports the current epoch, also after a rotation";
    "push/version-never-falls-when-rotating", Must, "§10", [VERSION_MONOTONIC, PUSH_ROTATES, PUSH_REFUSED_WHOLE],
        version_never_falls_rotating, "A rotating push doesn't lower the version either";
    "push/rotated-members-replace", Must, "§6", [PUSH_ROTATES, STORED_VERBATIM], rotated_members_replace,
        "rotatedMembers replaces the roster, the epoch and the envelope in one step";
    "push/rotated-members-null", Must, "§6", [PUSH_ROTATES], rotated_members_null,
        "rotatedMembers null leaves the roster alone, as its absence does";
    "push/rotation-drops-access", Must, "§6", [PUSH_ROTATES, PULL_MEMBERS_ONLY, PUSH_MEMBERS_ONLY], rotation_drops_access,
        "Who isn't in rotatedMembers has lost access to the repository";
    "push/rotation-drops-creator", Must, "§6", [PUSH_ROTATES, PULL_MEMBERS_ONLY], rotation_drops_creator,
        "A rotation that leaves the creator out leaves the creator out";
    "push/rotation-drops-author", Must, "§6", [PUSH_ROTATES, PULL_MEMBERS_ONLY, PUSH_REFUSED_WHOLE], rotation_drops_author,
        "A rotation that leaves its author out is refused, or leaves the author out";
    "push/rotation-within-epoch", Must, "§6", [PUSH_ROTATES], rotation_within_epoch,
        "rotatedMembers without a new epoch is refused, or replaces the roster";
    "push/rotation-adds-access", Must, "§6", [PUSH_ROTATES, PULL_MEMBERS_ONLY], rotation_adds_access,
        "Who comes in by rotatedMembers reads the repository";
    "push/malformed-roster-changes-nothing", Must, "§6", [PUSH_REFUSED_WHOLE, PUSH_ROTATES], malformed_roster,
        "A push whose rotatedMembers is malformed leaves the roster as it was", only = Http;
    "push/impossible-roster", Hardening, "§6", [PUSH_CONSISTENT], impossible_roster,
        "A rotation to a roster that can't open the envelope is refused";
    "push/empty-roster", Hardening, "§6", [PUSH_CONSISTENT, PUSH_ROTATES], empty_roster,
        "An empty rotatedMembers is refused or taken for none; it doesn't empty the roster", only = Http;
}

/// The rotation path goes through the same gate, as a whole.
async fn stale_rotation_is_conflict(cx: &Ctx) -> Outcome {
    let (alice, bob) = (cx.member().await?, cx.member().await?);
    let mut repo = cx.repo_with(&alice, &[&bob]).await?;
    cx.advance(&alice, &mut repo).await?;
    let rotation = repo.rotation(&alice, &[&alice]);
    let mut push = repo.rotating_push(&rotation);
    for expected in [repo.version() - 1, 0, repo.version() + 1, -1] {
        push.expected_payload_version = expected;
        let answer = cx.push(&alice, &push).await?;
        // Some servers have no number below 0, and say so.
        if expected >= 0 || !answer.is_refusal() {
            conflicts(&repo, &answer)?;
        }
    }
    cx.holds(&alice, &repo, "a stale rotating push").await?;
    cx.readable(&bob, &repo, "a stale rotating push").await
}

/// The counters of a conflict are both current.
async fn conflict_after_rotation(cx: &Ctx) -> Outcome {
    let alice = cx.member().await?;
    let mut repo = cx.repo(&alice).await?;
    let rotation = repo.rotation(&alice, &[&alice]);
    let answer = cx.push(&alice, &repo.rotating_push(&rotation)).await?;
    applied(&repo, &answer, rotation.envelope.payload_version, rotation.envelope.key_epoch)?;
    repo.apply_rotation(&rotation);
    let mut push = repo.push_request(&alice);
    push.expected_payload_version -= 1;
    conflicts(&repo, &cx.push(&alice, &push).await?)
}

/// The same, dressed up as a rotation.
async fn version_never_falls_rotating(cx: &Ctx) -> Outcome {
    let alice = cx.member().await?;
    let mut repo = cx.repo(&alice).await?;
    for _ in 0..2 {
        cx.advance(&alice, &mut repo).await?;
    }
    for version in [repo.version(), repo.version() - 1] {
        let rotation = repo.rotation_to(&alice, &[&alice], version, repo.epoch() + 1);
        let answer = cx.push(&alice, &repo.rotating_push(&rotation)).await?;
        not_accepted(&answer, version, repo.version())?;
        cx.holds(&alice, &repo, "a rotating push that doesn't raise the version").await?;
    }
    Ok(())
}

/// Replaces, not merges: one leaves, one stays with a new key, one comes.
async fn rotated_members_replace(cx: &Ctx) -> Outcome {
    let (alice, bob, carol) = (cx.member().await?, cx.member().await?, cx.member().await?);
    let mut repo = cx.repo_with(&alice, &[&bob]).await?;
    let mut rotation = repo.rotation(&alice, &[&alice, &carol]);
    rotation.members[1].key_binding_sig = Some(binding_like_signature());
    // Who stays may have another device.
    rotation.members[0].x25519_public_key = cx.identity().x25519_public_key;
    let answer = cx.push(&alice, &repo.rotating_push(&rotation)).await?;
    applied(&repo, &answer, rotation.envelope.payload_version, rotation.envelope.key_epoch)?;
    repo.apply_rotation(&rotation);
    cx.readable(&alice, &repo, "a rotating push").await?;
    cx.readable(&carol, &repo, "a rotating push").await
}

/// `null` means absent.
async fn rotated_members_null(cx: &Ctx) -> Outcome {
    let (alice, bob) = (cx.member().await?, cx.member().await?);
    let mut repo = cx.repo_with(&alice, &[&bob]).await?;
    let push = repo.push_request(&alice);
    let mut body = json!(push);
    body["rotatedMembers"] = Value::Null;
    let answer = cx.perform(Operation::Push, repo.id(), &alice.auth(), &body).await?;
    applied(&repo, &answer, repo.version() + 1, repo.epoch())?;
    repo.apply_push(&push);
    cx.holds(&bob, &repo, "a push with rotatedMembers null").await
}

/// A roster without bob means no bob, on every operation.
async fn rotation_drops_access(cx: &Ctx) -> Outcome {
    let (alice, bob) = (cx.member().await?, cx.member().await?);
    let mut repo = cx.repo_with(&alice, &[&bob]).await?;
    let rotation = repo.rotation(&alice, &[&alice]);
    let answer = cx.push(&alice, &repo.rotating_push(&rotation)).await?;
    applied(&repo, &answer, rotation.envelope.payload_version, rotation.envelope.key_epoch)?;
    repo.apply_rotation(&rotation);
    let answer = cx.pull(&bob, &repo.pull_request(0)).await?;
    answer.refused("a pull by a member whom a rotation left out", &[403])?;
    let answer = cx.push(&bob, &repo.push_request(&bob)).await?;
    answer.refused("a push by a member whom a rotation left out", &[403])?;
    cx.holds(&alice, &repo, "refused requests of a former member").await
}

/// The protocol knows no owner: bob's roster is the roster.
async fn rotation_drops_creator(cx: &Ctx) -> Outcome {
    let (alice, bob) = (cx.member().await?, cx.member().await?);
    let mut repo = cx.repo_with(&alice, &[&bob]).await?;
    let rotation = repo.rotation(&bob, &[&bob]);
    let answer = cx.push(&bob, &repo.rotating_push(&rotation)).await?;
    applied(&repo, &answer, rotation.envelope.payload_version, rotation.envelope.key_epoch)?;
    repo.apply_rotation(&rotation);
    let answer = cx.pull(&alice, &repo.pull_request(0)).await?;
    answer.refused("a pull by the creator, whom a rotation left out", &[403])?;
    cx.readable(&bob, &repo, "a rotation that left the creator out").await
}

/// A policy may keep members from leaving; a roster that isn't the one that was sent is none.
async fn rotation_drops_author(cx: &Ctx) -> Outcome {
    let (alice, bob) = (cx.member().await?, cx.member().await?);
    let mut repo = cx.repo_with(&alice, &[&bob]).await?;
    let rotation = repo.rotation(&alice, &[&bob]);
    let answer = cx.push(&alice, &repo.rotating_push(&rotation)).await?;
    if !answer.is_success() {
        answer.refused_somehow("a rotation that leaves its author out, unless it is accepted,")?;
        return cx.holds(&alice, &repo, "a refused rotation").await;
    }
    applied(&repo, &answer, rotation.envelope.payload_version, rotation.envelope.key_epoch)?;
    repo.apply_rotation(&rotation);
    cx.readable(&bob, &repo, "a rotation that leaves its author out").await?;
    let answer = cx.pull(&alice, &repo.pull_request(0)).await?;
    answer.refused("a pull by the author of a rotation that left it out", &[403])
}

/// A roster may change and the key stay; whoever wants a new epoch for that has to say so.
async fn rotation_within_epoch(cx: &Ctx) -> Outcome {
    let (alice, bob) = (cx.member().await?, cx.member().await?);
    // First with the same members, whose keys are wrapped anew; then without one of them.
    for staying in [[&*alice, &*bob].as_slice(), &[&*alice]] {
        let mut repo = cx.repo_with(&alice, &[&bob]).await?;
        let rotation = repo.rotation_to(&alice, staying, repo.version() + 1, repo.epoch());
        let answer = cx.push(&alice, &repo.rotating_push(&rotation)).await?;
        if answer.is_success() {
            applied(&repo, &answer, rotation.envelope.payload_version, repo.epoch())?;
            repo.apply_rotation(&rotation);
        } else {
            answer.refused_somehow("a rotation without a new epoch, unless it is accepted,")?;
        }
        cx.readable(&alice, &repo, "a rotating push without a new epoch").await?;
    }
    Ok(())
}

/// The rotation path may bring somebody in as well.
async fn rotation_adds_access(cx: &Ctx) -> Outcome {
    let (alice, bob) = (cx.member().await?, cx.member().await?);
    let mut repo = cx.repo(&alice).await?;
    let rotation = repo.rotation(&alice, &[&alice, &bob]);
    let answer = cx.push(&alice, &repo.rotating_push(&rotation)).await?;
    applied(&repo, &answer, rotation.envelope.payload_version, rotation.envelope.key_epoch)?;
    repo.apply_rotation(&rotation);
    cx.readable(&bob, &repo, "a rotation that brought the reader in").await
}

/// A roster that is none: refused as a whole, or, by a lenient reader, taken for an absent one or kept as it was sent.
async fn malformed_roster(cx: &Ctx) -> Outcome {
    let (alice, bob) = (cx.member().await?, cx.member().await?);
    for wrong in [json!("all"), json!({}), json!([{}]), json!([7])] {
        let mut repo = cx.repo_with(&alice, &[&bob]).await?;
        let push = repo.push_request(&alice);
        let body = with(&json!(push), "rotatedMembers", Some(wrong));
        let answer = match cx.provoke(Operation::Push, repo.id(), &alice.auth(), &body).await? {
            Provoked::Answer(answer) => answer,
            Provoked::Closed | Provoked::Unsayable | Provoked::Silence => continue,
        };
        if answer.is_success() && answer.message::<PushResponse>()?.accepted {
            repo.apply_push(&push);
            let answer = cx.pull(&alice, &repo.pull_request(0)).await?;
            let members = answer.json().ok().map(|body| body["manifest"]["members"].clone());
            // A roster without alice has shut her out.
            if answer.is_refusal() || members.as_ref() == Some(&body["rotatedMembers"]) {
                continue;
            }
        }
        cx.holds(&alice, &repo, "a push whose rotatedMembers is malformed").await?;
    }
    Ok(())
}

/// A repository without members is lost for everybody. In Protocol Buffers an empty list and none are the same, so it may be
/// taken for none.
async fn empty_roster(cx: &Ctx) -> Outcome {
    let alice = cx.member().await?;
    let mut repo = cx.repo(&alice).await?;
    let push = repo.push_request(&alice);
    let body = with(&json!(push), "rotatedMembers", Some(json!([])));
    let answer = cx.perform(Operation::Push, repo.id(), &alice.auth(), &body).await?;
    if answer.is_success() && answer.message::<PushResponse>()?.accepted {
        repo.apply_push(&push);
    }
    cx.readable(&alice, &repo, "a push with an empty rotatedMembers").await
}

/// A member without a usable key is locked out.
async fn impossible_roster(cx: &Ctx) -> Outcome {
    let alice = cx.member().await?;
    let repo = cx.repo(&alice).await?;
    let rotation = repo.rotation(&alice, &[&alice]);
    let mut twice = rotation.clone();
    twice.members.push(twice.members[0].clone());
    let mut of_another_epoch = rotation.clone();
    of_another_epoch.members[0].key_epoch -= 1;
    let mut garbled = rotation;
    garbled.members[0].wrapped_data_key.ciphertext = "not base64 at all".into();
    for (what, rotation) in [
        ("a roster that names a member twice", twice),
        ("a roster of another epoch than its envelope", of_another_epoch),
        ("a roster whose wrapped keys aren't base64", garbled),
    ] {
        let answer = cx.provoke(Operation::Push, repo.id(), &alice.auth(), &repo.rotating_push(&rotation)).await?;
        answer.refused_somehow(&format!("a rotation to {what}"))?;
        cx.holds(&alice, &repo, "a refused rotation").await?;
    }
    Ok(())
}
