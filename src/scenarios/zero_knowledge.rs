//! Zero-knowledge over the wire (SPEC §10): nothing secret comes back from a server that was told nothing secret.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::check::checks;
use super::{Answer, Call, Ctx, Finding, Member, Operation, Outcome, Stop};
use crate::client::{CANARY_PREFIX, Repo, random};
use crate::scan::{Searcher, forms};

checks! {
    "zero-knowledge/nothing-leaks", Must, "§10", [ZERO_KNOWLEDGE], nothing_leaks,
        "No answer of the run holds a plaintext account, a data key or a private key, in any common encoding", phase = Finale;
    "zero-knowledge/create-drops-secrets", Should, "§10", [NO_SECRET_ECHO], create_drops_secrets,
        "A dataKey, passphrase or plaintext that is sent along with createRepo is refused or dropped";
    "zero-knowledge/push-drops-secrets", Should, "§10", [NO_SECRET_ECHO], push_drops_secrets,
        "A dataKey, passphrase or plaintext that is sent along with push is refused or dropped";
    "zero-knowledge/add-drops-secrets", Should, "§10", [NO_SECRET_ECHO], add_drops_secrets,
        "A dataKey, passphrase or plaintext that is sent along with addMember is refused or dropped";
    "zero-knowledge/remove-drops-secrets", Should, "§10", [NO_SECRET_ECHO], remove_drops_secrets,
        "A dataKey, passphrase or plaintext that is sent along with removeMember is refused or dropped";
}

/// create, add, push, rotate, remove, and a pull by everybody after each: what the search must have seen to mean something.
async fn lifecycle(cx: &Ctx) -> Outcome {
    let (alice, bob, carol) = (cx.member().await?, cx.member().await?, cx.member().await?);
    let mut repo = cx.repo_with(&alice, &[&bob, &carol]).await?;
    cx.advance(&bob, &mut repo).await?;
    let rotation = repo.rotation(&alice, &[&alice, &bob, &carol]);
    cx.push(&alice, &repo.rotating_push(&rotation)).await?;
    repo.apply_rotation(&rotation);
    cx.watch(&repo);
    cx.pull(&carol, &repo.pull_request(0)).await?;
    cx.expel(&alice, &mut repo, carol.id(), &[&alice, &bob]).await?;
    for member in [&alice, &bob, &carol] {
        cx.pull(member, &repo.pull_request(0)).await?;
        cx.fetch(member, repo.id(), bob.id()).await?;
    }
    Ok(())
}

/// Every answer kept by the observer, searched for everything that it was told to be secret.
async fn nothing_leaks(cx: &Ctx) -> Outcome {
    let performed = lifecycle(cx).await;
    let observer = &cx.world.observer;
    let (answers, unsearched) = observer.answers();
    // The same key may have been noted more than once.
    let mut known = BTreeSet::new();
    let secrets: Vec<_> = observer.secrets().into_iter().filter(|secret| known.insert(secret.bytes.clone())).collect();
    let mut builder = Searcher::builder();
    secrets.iter().enumerate().for_each(|(tag, secret)| builder.add_forms(tag, &secret.bytes));
    for form in forms(CANARY_PREFIX.as_bytes()) {
        // An encoded canary may have been encoded once more.
        builder.add_forms(secrets.len(), &form.bytes);
    }
    let searcher = builder.build();
    let hit = answers.iter().find_map(|kept| searcher.find(&kept.body).map(|found| (kept, found)));
    if let Some((kept, found)) = hit {
        let what = secrets.get(found.tag).map_or_else(
            || "a value of an account that was sent encrypted only".to_owned(),
            |secret| format!("the {} that {} made", secret.what, secret.check),
        );
        return Err(Stop::Broken(Box::new(Finding {
            expected: "no answer holds anything that the server can't know".into(),
            observed: format!("an answer in {} holds {what} ({})", kept.check, found.form),
            exchange: Some(kept.exchange.clone()),
        })));
    }
    let left_out = if unsearched == 0 { String::new() } else { format!("; {unsearched} more answers were not kept") };
    cx.remark(format!("{} answers searched for {} secrets{left_out}", answers.len(), secrets.len()));
    performed
}

/// Values that no server makes up. They aren't canaries, because an error message may quote the request that it refuses.
fn decoy() -> String {
    format!("avpdecoy-{}", random::hex(&random::bytes::<16>()))
}

/// Adds secret-looking members to the object at `place`, and returns their value.
fn spike(body: &mut Value, place: &str) -> String {
    let value = decoy();
    if let Some(object) = body.pointer_mut(place).and_then(Value::as_object_mut) {
        for name in ["dataKey", "passphrase", "plaintext"] {
            object.insert(name.into(), value.as_str().into());
        }
    }
    value
}

/// An answer that was accepted doesn't hold the value.
fn dropped(answer: &Answer<'_>, value: &str, place: &str) -> Outcome {
    let mut builder = Searcher::builder();
    builder.add_forms(0, value.as_bytes());
    let served = answer.is_success() && builder.build().find(&answer.body).is_some();
    let place = if place.is_empty() { "the request" } else { place };
    answer.must(!served, &format!("dataKey, passphrase and plaintext in {place} are refused or dropped"), || {
        "the server serves the value".into()
    })
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

/// An operation whose answer the schema checks don't get to see: a member that we invented and the server echoes is judged here,
/// as the lesser thing that it is.
async fn aside<'c>(
    cx: &'c Ctx,
    by: &Member,
    operation: Operation,
    repo: &Repo,
    member_id: &str,
    body: Option<&Value>,
) -> Result<Answer<'c>, Stop> {
    let (auth, body) = (by.auth(), body.map(|body| body.to_string().into()));
    cx.call(Call { operation: None, ..Call::operation(operation, repo.id(), member_id, &auth, body) }).await
}

/// Sends a request once for each place, with secrets there.
async fn all_dropped(cx: &Ctx, operation: Operation, places: &[&str]) -> Outcome {
    let alice = cx.member().await?;
    let mut refused = 0;
    for place in places {
        let (repo, mut body) = prepared(cx, &alice, operation).await?;
        let value = spike(&mut body, place);
        let answer = aside(cx, &alice, operation, &repo, "", Some(&body)).await?;
        if !answer.is_success() {
            answer.refused_somehow("a request with members that the schema doesn't know, unless it is accepted,")?;
            refused += 1;
            continue;
        }
        dropped(&answer, &value, place)?;
        let pull = json!(repo.pull_request(-1));
        dropped(&aside(cx, &alice, Operation::Pull, &repo, "", Some(&pull)).await?, &value, place)?;
        for entry in &repo.manifest.members {
            let id = &entry.ed25519_public_key;
            dropped(&aside(cx, &alice, Operation::FetchMemberKey, &repo, id, None).await?, &value, place)?;
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
