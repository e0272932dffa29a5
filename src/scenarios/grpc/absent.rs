//! Messages that are absent: in Protocol Buffers nothing is required, so that handlers meet writes without what they need.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::client::{Exchange, Repo};
use crate::scenarios::{Ctx, Finding, Member, Operation, Outcome, Provoked, Stop};
use crate::wire::proto::Code;

/// A repository of three, and its writes without one of the messages that they need.
struct Lacking {
    repo: Repo,
    writes: Vec<(Operation, &'static str, Value)>,
}

async fn lacking(cx: &Ctx, alice: &Member) -> Result<Lacking, Stop> {
    let (bob, carol) = (cx.identity(), cx.identity());
    let repo = cx.repo_with(alice, &[&bob, &carol]).await?;
    let rotation = repo.rotation(alice, &[alice, &carol]);
    let without = |mut body: Value, pointer: &str, member: &str| {
        if let Some(object) = body.pointer_mut(pointer).and_then(Value::as_object_mut) {
            object.remove(member);
        }
        body
    };
    let push = json!(repo.push_request(alice));
    let rotating = json!(repo.rotating_push(&rotation));
    let add = json!(repo.add_request(&cx.identity()));
    let removal = json!(repo.remove_request(&bob.id, &rotation));
    let writes = vec![
        (Operation::Push, "push without envelope", without(push, "", "envelope")),
        (Operation::Push, "a rotating push without envelope", without(rotating.clone(), "", "envelope")),
        (
            Operation::Push,
            "push with a member without wrappedDataKey",
            without(rotating, "/rotatedMembers/1", "wrappedDataKey"),
        ),
        (Operation::AddMember, "addMember without member", without(add.clone(), "", "member")),
        (Operation::AddMember, "addMember without wrappedDataKey", without(add, "/member", "wrappedDataKey")),
        (
            Operation::RemoveMember,
            "removeMember without rotatedEnvelope",
            without(removal.clone(), "", "rotatedEnvelope"),
        ),
        (
            Operation::RemoveMember,
            "removeMember with a member without wrappedDataKey",
            without(removal, "/rewrappedMembers/1", "wrappedDataKey"),
        ),
    ];
    Ok(Lacking { repo, writes })
}

/// A message that is absent isn't an empty one. Whoever refuses it has changed nothing; whoever takes it is only warned of, as over HTTP.
pub(super) async fn absent(cx: &Ctx) -> Outcome {
    let alice = cx.member().await?;
    let mut fixture = lacking(cx, &alice).await?;
    for number in 0..fixture.writes.len() {
        let (operation, what, body) = fixture.writes[number].clone();
        if let Provoked::Answer(answer) = cx.provoke(operation, fixture.repo.id(), &alice.auth(), &body).await? {
            let applied = answer.json().is_ok_and(|body| body["accepted"] != json!(false));
            if answer.is_success() && applied {
                counters_stand(cx, &alice, &fixture.repo, what).await?;
                cx.warn(answer.finding(format!("{what} is refused"), answer.summary()));
                fixture = lacking(cx, &alice).await?;
                continue;
            }
        }
        cx.holds(&alice, &fixture.repo, &format!("{what} that was refused")).await?;
    }
    Ok(())
}

/// Whatever a server makes of such a write, the version is no lower than it was, and so is no epoch that only a removal changes: an
/// absent envelope isn't one of version 0.
async fn counters_stand(cx: &Ctx, alice: &Member, before: &Repo, what: &str) -> Outcome {
    let pulled = cx.pull(alice, &before.pull_request(before.version() + 1)).await?;
    let manifest = pulled.json().map(|body| body["manifest"].clone()).unwrap_or_default();
    for (name, was) in [("payloadVersion", before.version()), ("keyEpoch", before.epoch())] {
        if let Some(is) = manifest[name].as_i64().filter(|is| *is < was) {
            return Err(pulled.violation(
                format!("{what} doesn't take {name} back, whatever else is made of it"),
                format!("{name} was {was} and is {is}"),
            ));
        }
    }
    Ok(())
}

/// The codes of such refusals, all in one warning.
pub(super) async fn codes(cx: &Ctx) -> Outcome {
    let alice = cx.member().await?;
    let fixture = lacking(cx, &alice).await?;
    let creation = Repo::new(&alice).create_request();
    let mut calls: Vec<_> =
        fixture.writes.iter().map(|(operation, what, body)| (*operation, *what, body.clone())).collect();
    calls.push((
        Operation::CreateRepo,
        "createRepo without initialEnvelope",
        json!({ "manifest": creation.manifest, "initialEnvelope": null }),
    ));
    calls.push((
        Operation::CreateRepo,
        "createRepo without manifest",
        json!({ "manifest": null, "initialEnvelope": creation.initial_envelope }),
    ));
    let mut wrong: Vec<(String, Arc<Exchange>)> = Vec::new();
    for (operation, what, body) in calls {
        let path = if operation == Operation::CreateRepo { "" } else { fixture.repo.id() };
        let answer = match cx.provoke(operation, path, &alice.auth(), &body).await? {
            Provoked::Answer(answer) => answer,
            _ => continue,
        };
        let code = answer.grpc.as_ref().map(|grpc| grpc.code);
        if let Some(code) = code.filter(|code| matches!(*code, Code::UNKNOWN | Code::INTERNAL)) {
            wrong.push((format!("{what} ({code})"), answer.exchange.clone()));
        }
    }
    let Some((_, exchange)) = wrong.first() else { return Ok(()) };
    let named = wrong.iter().map(|(what, _)| what.as_str()).collect::<Vec<_>>().join("; ");
    let expected = "what a message lacks is INVALID_ARGUMENT, say: a client can tell its own mistake from the server's";
    Err(Stop::Violation(Box::new(Finding::shown(expected, named, exchange.clone()))))
}
