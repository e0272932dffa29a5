//! Zero-knowledge over the wire (SPEC §10): nothing secret comes back from a server that was told nothing secret.

use serde_json::{Value, json};

use super::check::checks;
use super::{Answer, Ctx, Finding, Member, Operation, Outcome, Provoked, Stop};
use crate::client::{Repo, canary_text};
use crate::codec::{DataKey, base64};
use crate::scan::{Class, Look, Secret, first_found, searcher_of_answers};

checks! {
    "zero-knowledge/nothing-leaks", Must, "§10", [ZERO_KNOWLEDGE], nothing_leaks,
        "No answer of the run holds a plaintext account, a data key or a private key, in any common encoding", phase = Finale;
    "zero-knowledge/blobs-as-sent", Must, "§4", [STORED_VERBATIM], blobs_as_sent,
        "Every envelope and wrapped key that the run was served is one that was sent for that repository", phase = Finale;
    "zero-knowledge/create-drops-secrets", Should, "§10", [NO_SECRET_ECHO, ZERO_KNOWLEDGE], create_drops_secrets,
        "A dataKey, passphrase or plaintext that is sent along with createRepo is refused or dropped", only = Http;
    "zero-knowledge/push-drops-secrets", Should, "§10", [NO_SECRET_ECHO], push_drops_secrets,
        "A dataKey, passphrase or plaintext that is sent along with push is refused or dropped", only = Http;
    "zero-knowledge/add-drops-secrets", Should, "§10", [NO_SECRET_ECHO], add_drops_secrets,
        "A dataKey, passphrase or plaintext that is sent along with addMember is refused or dropped", only = Http;
    "zero-knowledge/remove-drops-secrets", Should, "§10", [NO_SECRET_ECHO], remove_drops_secrets,
        "A dataKey, passphrase or plaintext that is sent along with removeMember is refused or dropped", only = Http;
}

/// create, add, push, rotate, remove, and a pull by everybody after each: what the search must have seen to mean something.
pub(super) async fn lifecycle(cx: &Ctx) -> Outcome {
    let (alice, bob, carol) = (cx.member().await?, cx.member().await?, cx.member().await?);
    let mut repo = cx.repo_with(&alice, &[&bob, &carol]).await?;
    note(cx, Class::Stored, "repository id", repo.id().as_bytes());
    note(cx, Class::Stored, "public key of a member", &alice.public_key());
    cx.advance(&bob, &mut repo).await?;
    let rotation = repo.rotation(&alice, &[&alice, &bob, &carol]);
    let first_epoch = repo.envelope.ciphertext.clone();
    cx.push(&alice, &repo.rotating_push(&rotation)).await?;
    repo.apply_rotation(&rotation);
    cx.watch(&repo);
    cx.pull(&carol, &repo.pull_request(0)).await?;
    let second_epoch = repo.envelope.ciphertext.clone();
    let removed = repo.manifest.member(carol.id()).map(|entry| entry.wrapped_data_key.ciphertext.clone());
    cx.expel(&alice, &mut repo, carol.id(), &[&alice, &bob]).await?;
    for (what, ciphertext) in [
        ("envelope of an earlier epoch", Some(first_epoch)),
        ("envelope of an earlier epoch", Some(second_epoch)),
        ("wrapped key of a removed member", removed),
    ] {
        let bytes = base64::decode(&ciphertext.unwrap_or_default()).unwrap_or_default();
        note(cx, Class::Replaced, what, &bytes[..bytes.len().min(ENOUGH)]);
    }
    for member in [&alice, &bob, &carol] {
        cx.pull(member, &repo.pull_request(0)).await?;
        cx.fetch(member, repo.id(), bob.id()).await?;
    }
    Ok(())
}

/// The first bytes of a ciphertext tell it from all others.
const ENOUGH: usize = 48;

fn note(cx: &Ctx, class: Class, what: &'static str, bytes: &[u8]) {
    cx.world.seen.secrets.remember(class, what, cx.check_id(), bytes);
}

/// Every answer kept by the run, searched for everything that it was told to be secret.
async fn nothing_leaks(cx: &Ctx) -> Outcome {
    let performed = lifecycle(cx).await;
    let kept = &cx.world.seen.answers;
    let (answers, unsearched) = kept.answers();
    let secrets = cx.world.seen.secrets.never_served();
    let hit = first_found(&searcher_of_answers(&secrets), &answers, |look, kept| {
        Some((kept.clone(), look.at(&kept.body).into_iter().next()?))
    });
    if let Some((kept, found)) = hit {
        let secret = &secrets[found.tag as usize];
        let expected = "no answer holds anything that the server can't know".to_owned();
        return Err(Stop::Violation(Box::new(Finding {
            expected,
            observed: format!("an answer in {} holds {}", kept.check, secret.seen_as(&found)),
            exchange: Some(kept.exchange.clone()),
            evidence: Vec::new(),
        })));
    }
    let left_out = if unsearched == 0 { String::new() } else { format!("; {unsearched} more answers were not kept") };
    cx.remark(format!("{} answers searched for {} secrets{left_out}", answers.len(), secrets.len()));
    performed
}

/// Every envelope and wrapped key of every answer, as it was met.
async fn blobs_as_sent(cx: &Ctx) -> Outcome {
    let performed = lifecycle(cx).await;
    let (served, foreign) = cx.world.seen.sealed_texts.findings();
    if let Some(first) = foreign.into_iter().next() {
        let observed = format!("{} (met in {})", first.finding.observed, first.check);
        return Err(Stop::Violation(Box::new(Finding { observed, ..first.finding })));
    }
    cx.remark(format!("{served} envelopes and wrapped keys were served as they were sent"));
    performed
}

/// Adds secrets to the object at `place`, and returns them: the data key itself, with which a server could decrypt what it
/// stores, and two texts. None of them counts as served when an error message quotes the request that it refuses.
fn spike(cx: &Ctx, body: &mut Value, place: &str, key: &DataKey) -> Vec<Secret> {
    let (passphrase, plaintext) = (canary_text(), canary_text());
    let members = [
        ("dataKey", "data key that was sent along", base64::encode(key.as_bytes()), key.as_bytes().to_vec()),
        ("passphrase", "passphrase that was sent along", passphrase.clone(), passphrase.into_bytes()),
        ("plaintext", "plaintext that was sent along", plaintext.clone(), plaintext.into_bytes()),
    ];
    let mut secrets = Vec::new();
    for (name, what, value, bytes) in members {
        if let Some(object) = body.pointer_mut(place).and_then(Value::as_object_mut) {
            object.insert(name.into(), value.into());
        }
        note(cx, Class::Unasked, what, &bytes);
        secrets.push(Secret { class: Class::Unasked, what: what.into(), check: cx.check_id().into(), bytes });
    }
    secrets
}

/// An answer that was accepted holds none of these.
fn dropped(answer: &Answer<'_>, secrets: &[Secret], place: &str) -> Outcome {
    let found =
        if answer.is_success() { Look::new(&searcher_of_answers(secrets)).at(&answer.body) } else { Vec::new() };
    let place = if place.is_empty() { "the request" } else { place };
    answer.must(
        found.is_empty(),
        &format!("dataKey, passphrase and plaintext in {place} are refused or dropped"),
        || {
            let served = found.first().map(|sighting| secrets[sighting.tag as usize].what.as_ref());
            format!("the server serves the {}", served.unwrap_or_default())
        },
    )
}

/// A right request of `alice`, and what the server must hold once it has accepted it.
async fn prepared(cx: &Ctx, alice: &Member, operation: Operation) -> Result<(Repo, Value), Stop> {
    Ok(match operation {
        Operation::CreateRepo => {
            let repo = Repo::new(alice);
            cx.watch(&repo);
            let body = json!(repo.create_request());
            (repo, body)
        }
        Operation::AddMember => {
            let mut repo = cx.repo(alice).await?;
            let request = repo.add_request(&cx.identity());
            repo.apply_add(&request.member);
            (repo, json!(request))
        }
        _ => {
            let bob = cx.identity();
            let mut repo = cx.repo_with(alice, &[&bob]).await?;
            let rotation = repo.rotation(alice, &[alice]);
            let body = match operation {
                Operation::Push => json!(repo.rotating_push(&rotation)),
                _ => json!(repo.remove_request(&bob.id, &rotation)),
            };
            repo.apply_rotation(&rotation);
            (repo, body)
        }
    })
}

/// A server that keeps what it gets, members that nobody knows included, does so in every operation.
const KEPT: &str = "secrets served";

/// Sends a request once for each place, with secrets there.
async fn all_dropped(cx: &Ctx, operation: Operation, places: &[&str]) -> Outcome {
    let alice = cx.member().await?;
    let mut refused = 0;
    for place in places {
        let (repo, mut body) = prepared(cx, &alice, operation).await?;
        let secrets = spike(cx, &mut body, place, &repo.data_key);
        // What a lenient server echoes of it is judged here, as the lesser thing that it is, and not by the schema.
        let answer = match cx.provoke(operation, repo.id(), &alice.auth(), &body).await? {
            Provoked::Answer(answer) => answer,
            Provoked::Silence => break,
            Provoked::Closed | Provoked::Unsayable => continue,
        };
        if !answer.is_success() {
            answer.refused_somehow("a request with members that the schema doesn't know, unless it is accepted,")?;
            refused += 1;
            continue;
        }
        cx.told_once(KEPT, dropped(&answer, &secrets, place))?;
        // A version that isn't the current one, and that no server may shy away from: everything is shown.
        let pulled = cx.pull(&alice, &repo.pull_request(repo.version() + 1)).await?;
        pulled.must(pulled.is_success(), "what was accepted can be pulled", || pulled.summary())?;
        cx.told_once(KEPT, dropped(&pulled, &secrets, place))?;
        for entry in &repo.manifest.members {
            let fetched = cx.fetch(&alice, repo.id(), &entry.ed25519_public_key).await?;
            cx.told_once(KEPT, dropped(&fetched, &secrets, place))?;
        }
    }
    cx.remark(format!("{refused} of {} requests were refused", places.len()));
    Ok(())
}

/// At every level of the request.
async fn create_drops_secrets(cx: &Ctx) -> Outcome {
    let places = ["", "/manifest", "/manifest/members/0", "/manifest/members/0/wrappedDataKey", "/initialEnvelope"];
    all_dropped(cx, Operation::CreateRepo, &places).await
}

/// At every level of a rotating push.
async fn push_drops_secrets(cx: &Ctx) -> Outcome {
    let places = ["", "/envelope", "/rotatedMembers/0", "/rotatedMembers/0/wrappedDataKey"];
    all_dropped(cx, Operation::Push, &places).await
}

/// At every level of the request.
async fn add_drops_secrets(cx: &Ctx) -> Outcome {
    all_dropped(cx, Operation::AddMember, &["", "/member", "/member/wrappedDataKey"]).await
}

/// At every level of the request.
async fn remove_drops_secrets(cx: &Ctx) -> Outcome {
    let places = ["", "/rotatedEnvelope", "/rewrappedMembers/0", "/rewrappedMembers/0/wrappedDataKey"];
    all_dropped(cx, Operation::RemoveMember, &places).await
}
