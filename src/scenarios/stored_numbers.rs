//! Numbers that are stored (SPEC §2, §10): what is no int64 is refused or kept as what it means, and never becomes another number.

use serde_json::{Value, json};

use super::check::checks;
use super::context::to_set_up;
use super::counter_values::reached;
use super::gates::{is_accepted, send, spelled};
use super::variants::Variants;
use super::{Ctx, Member, Operation, Outcome, Stop};
use crate::client::{Identity, Repo, random};
use crate::wire::PullResponse;

checks! {
    "gates/stored-counters", Must, "§2", [INT64, VERSION_MONOTONIC, STORED_VERBATIM], stored_counters,
        "A counter that is no int64, or below zero, is refused, or kept as what it means", only = Http;
    "gates/new-epoch", Must, "§10", [EPOCH_RISES, INT64, REMOVE_REPLACES], new_epoch,
        "However newKeyEpoch is spelled, an accepted removal raises the epoch to exactly that", only = Http;
}

/// Numbers that aren't int64, and one that is and no column without a sign holds. Those with a fraction 0 or written as text may be
/// read as what they mean.
const ODD_COUNTERS: [&str; 13] = [
    "-5",
    "12.5",
    "12.9",
    "12.0001",
    "9223372036854775808",
    "-9223372036854775809",
    "18446744073709551628",
    "18446744073709551615",
    "36893488147419103244",
    "1e400",
    "\"12abc\"",
    "\"0x0c\"",
    "true",
];

/// The same around the epoch of a new repository, which an entry may have to be of.
const NO_EPOCH: [&str; 8] =
    ["0.5", "0.9", "0.0001", "-0.5", "18446744073709551616", "36893488147419103232", "\"0abc\"", "\"0x0\""];

/// Whether a served number is what a spelling means. Other readings have lost something. `true` is 1 to common validators, of
/// which `gates/expected-version` warns.
fn means(spelling: &str, served: &Value) -> bool {
    let text = if spelling == "true" { "1" } else { spelling.trim_matches('"') };
    let Value::Number(number) = served else {
        let shown = served.to_string();
        return shown == spelling;
    };
    // Hexadecimal digits are a number to JavaScript's conversions, ajv's among them.
    let sent = text.strip_prefix("0x").map_or_else(|| text.parse(), |digits| i128::from_str_radix(digits, 16));
    match (number.as_i128(), sent) {
        (Some(number), Ok(sent)) => number == sent,
        _ => number.as_f64().is_some_and(|number| text.parse() == Ok(number)),
    }
}

/// Where a server stores what it gets: at creation, with a push, with a member.
async fn stored_counters(cx: &Ctx) -> Outcome {
    let alice = cx.member().await?;
    let mut tally = Variants::default();
    for spelling in ODD_COUNTERS {
        for pointer in ["payloadVersion", "keyEpoch"] {
            let outcome = created_with(cx, &alice, pointer, spelling).await;
            tally.note(format!("createRepo with {pointer} {spelling}"), outcome)?;
        }
        tally.note(format!("a push with payloadVersion {spelling}"), pushed_with(cx, &alice, spelling).await)?;
    }
    for spelling in NO_EPOCH {
        tally.note(format!("addMember with keyEpoch {spelling}"), added_with(cx, &alice, spelling).await)?;
    }
    tally.settle(cx)
}

/// In manifest and envelope alike, and in the entry if it is the epoch.
async fn created_with(cx: &Ctx, alice: &Member, member: &str, spelling: &str) -> Outcome {
    let repo = Repo::with_id(alice, &random::uuid());
    cx.watch(&repo);
    let mut request = json!(repo.create_request());
    let mark = json!("@here@");
    request["manifest"][member] = mark.clone();
    request["initialEnvelope"][member] = mark.clone();
    if member == "keyEpoch" {
        request["manifest"]["members"][0][member] = mark;
    }
    let body = request.to_string().replace("\"@here@\"", spelling);
    let Some(answer) = send(cx, Operation::CreateRepo, &repo, alice, body.into()).await? else { return Ok(()) };
    if !answer.is_success() {
        return Ok(());
    }
    served(cx, alice, &repo, &[&format!("/manifest/{member}"), &format!("/envelope/{member}")], spelling).await
}

async fn pushed_with(cx: &Ctx, alice: &Member, spelling: &str) -> Outcome {
    let repo = cx.repo(alice).await?;
    let body = spelled(&json!(repo.push_request(alice)), "/envelope/payloadVersion", spelling);
    let Some(answer) = send(cx, Operation::Push, &repo, alice, body).await? else { return Ok(()) };
    if !is_accepted(&answer) {
        return Ok(());
    }
    served(cx, alice, &repo, &["/manifest/payloadVersion", "/envelope/payloadVersion"], spelling).await
}

async fn added_with(cx: &Ctx, alice: &Member, spelling: &str) -> Outcome {
    let (repo, bob) = (cx.repo(alice).await?, cx.identity());
    let body = spelled(&json!(repo.add_request(&bob)), "/member/keyEpoch", spelling);
    let Some(answer) = send(cx, Operation::AddMember, &repo, alice, body).await? else { return Ok(()) };
    if !answer.is_success() {
        return Ok(());
    }
    let body = answer.json().unwrap_or_default();
    let entries = body["members"].as_array().into_iter().flatten();
    let entry = entries.into_iter().find(|entry| entry["ed25519PublicKey"] == json!(bob.id));
    let epoch = entry.map(|entry| entry["keyEpoch"].clone()).unwrap_or_default();
    answer.must(means(spelling, &epoch), &format!("{spelling}, if it is taken at all"), || epoch.to_string())
}

/// What a pull shows at some places is what a spelling means.
async fn served(cx: &Ctx, by: &Member, repo: &Repo, pointers: &[&str], spelling: &str) -> Outcome {
    // A pull at a version that no repository here has.
    let body = json!(repo.pull_request(77)).to_string();
    let Some(answer) = send(cx, Operation::Pull, repo, by, body.into()).await? else { return Ok(()) };
    if !answer.is_success() {
        return Ok(());
    }
    let body = answer.json().unwrap_or_default();
    for pointer in pointers {
        let number = body.pointer(pointer).cloned().unwrap_or_default();
        answer.must(means(spelling, &number), &format!("{spelling} in {pointer}, if it is taken at all"), || {
            number.to_string()
        })?;
    }
    Ok(())
}

/// The epoch at which a removal is tried.
const EPOCH: i64 = 3;

/// Spellings of new epochs for a repository at [`EPOCH`].
const NO_RISE: [&str; 13] = [
    "3.5",
    "3.9",
    "3",
    "2",
    "-4",
    "0",
    "18446744073709551619",
    "18446744073709551620",
    "9223372036854775808",
    "null",
    "true",
    "\"4abc\"",
    "[3]",
];

/// Odd spellings first, in one place and everywhere, each at a repository of its own only if one was taken; then exact epochs far up.
async fn new_epoch(cx: &Ctx) -> Outcome {
    let (alice, carol) = (cx.member().await?, cx.identity());
    let mut tally = Variants::default();
    let mut repo = None;
    for (spelling, everywhere) in NO_RISE.iter().flat_map(|spelling| [(*spelling, false), (*spelling, true)]) {
        let current = match repo.take() {
            Some(repo) => repo,
            None => at_epoch(cx, &alice, &carol).await?,
        };
        let rotation = current.rotation(&alice, &[&alice]);
        let request = json!(current.remove_request(&carol.id, &rotation));
        let body =
            if everywhere { epochs_spelled(request, spelling) } else { spelled(&request, "/newKeyEpoch", spelling) };
        let Some(answer) = send(cx, Operation::RemoveMember, &current, &alice, body).await? else {
            repo = Some(current);
            continue;
        };
        if !answer.is_success() {
            repo = Some(current);
            continue;
        }
        tally.note(format!("newKeyEpoch {spelling}"), epoch_rose(cx, &alice, &current, spelling).await)?;
    }
    for epoch in [(1 << 32) - 1, 1 << 53, i64::MAX - 1] {
        tally.note(format!("a removal at epoch {epoch}"), exact_removal(cx, &alice, epoch).await)?;
    }
    tally.settle(cx)
}

/// A removal in which every epoch is spelled by hand.
fn epochs_spelled(mut request: Value, spelling: &str) -> bytes::Bytes {
    let mark = json!("@here@");
    request["newKeyEpoch"] = mark.clone();
    request["rotatedEnvelope"]["keyEpoch"] = mark.clone();
    request["rewrappedMembers"][0]["keyEpoch"] = mark;
    request.to_string().replace("\"@here@\"", spelling).into()
}

async fn at_epoch(cx: &Ctx, alice: &Member, carol: &Identity) -> Result<Repo, Stop> {
    let repo = reached(cx, alice, 1, EPOCH).await.map_err(to_set_up)?;
    let mut repo =
        repo.ok_or_else(|| Stop::not_applicable(format!("the server lets no repository begin at epoch {EPOCH}")))?;
    cx.enrol(alice, &mut repo, carol).await?;
    Ok(repo)
}

async fn epoch_rose(cx: &Ctx, alice: &Member, before: &Repo, spelling: &str) -> Outcome {
    let answer = cx.pull(alice, &before.pull_request(0)).await?;
    let pulled: PullResponse = answer.accepted("a pull by a member")?;
    let epoch = pulled.manifest.key_epoch;
    answer
        .must(epoch > before.epoch(), &format!("an accepted removal raises the epoch {EPOCH}"), || epoch.to_string())?;
    answer.must(
        means(spelling, &json!(epoch)) || spelling.starts_with(['n', '"', '[', 't']),
        &format!("epoch {spelling}, if it is taken at all"),
        || epoch.to_string(),
    )
}

async fn exact_removal(cx: &Ctx, alice: &Member, epoch: i64) -> Outcome {
    let carol = cx.identity();
    let Some(mut repo) = reached(cx, alice, 2, epoch).await? else {
        return Err(Stop::not_applicable(format!("the server lets no repository be at epoch {epoch}")));
    };
    cx.enrol(alice, &mut repo, &carol).await?;
    let rotation = repo.rotation(alice, &[alice]);
    let answer = cx.remove(alice, &repo.remove_request(&carol.id, &rotation)).await?;
    if answer.is_refusal() && epoch >= 1 << 53 {
        return Err(Stop::not_applicable(format!("a removal at epoch {epoch} is refused with {}", answer.status)));
    }
    answer.must(answer.is_success(), &format!("a removal at epoch {epoch} is accepted"), || answer.summary())?;
    repo.apply_rotation(&rotation);
    cx.watch(&repo);
    cx.readable(alice, &repo, &format!("a removal at epoch {epoch}")).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_means_itself() {
        for (spelling, served) in [
            ("12", json!(12)),
            ("12.0", json!(12)),
            ("\"7\"", json!(7)),
            ("12.5", json!(12.5)),
            ("true", json!(1)),
            ("\"0x10\"", json!(16)),
        ] {
            assert!(means(spelling, &served), "{spelling}");
        }
        for (spelling, served) in [
            ("12.5", json!(12)),
            ("9223372036854775808", json!(i64::MAX)),
            ("18446744073709551628", json!(12)),
            ("1e400", json!(i64::MAX)),
            ("\"12abc\"", json!(12)),
            ("true", json!(12)),
            ("\"0x10\"", json!(0)),
        ] {
            assert!(!means(spelling, &served), "{spelling}");
        }
    }
}
