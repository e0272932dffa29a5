//! Repositories of odd ids (SPEC §6, §8): whatever a filter makes of an id, nobody but its members is let in.

use serde_json::{Value, json};

use super::check::checks;
use super::variants::Variants;
use super::{Answer, Auth, Ctx, Member, Operation, Outcome, Provoked, Stop};
use crate::client::{Identity, Repo, random};
use crate::codec::base64;
use crate::wire::{PullResponse, VaultManifest};

checks! {
    only = Http;
    "doors/odd-bodies", Must, "§6", [NO_SIDE_DOOR, PULL_MEMBERS_ONLY], odd_bodies,
        "A stranger isn't let in by a body that names no repository, another one, or something that is no id";
    "doors/odd-ids", Must, "§6", [NO_SIDE_DOOR, PULL_MEMBERS_ONLY], odd_ids,
        "Nobody gets into a repository of an odd id, not even who owns the one that a careless reading of the id names";
}

/// What is odd, the id (`*` stands for a UUID), and what a careless reader takes it for.
const IDS: &[(&str, &str, &[&str])] = &[
    ("a line feed", "*\nalts", &["*"]),
    ("a line feed at the end", "*\n", &["*"]),
    ("a carriage return", "*\ralts", &["*"]),
    ("a NUL", "*\0alts", &["*"]),
    ("a tab", "*\talts", &["*"]),
    ("a blank at the end", "* ", &["*"]),
    ("a slash", "*/alts", &["*"]),
    ("a slash at the end", "*/", &["*"]),
    ("an escaped slash", "*%2Falts", &["*/alts", "*"]),
    ("dot segments", "alts/../*", &["*"]),
    ("a backslash", "*\\alts", &["*", "*/alts"]),
    ("a semicolon", "*;alts", &["*"]),
    ("a question mark", "*?alts", &["*"]),
    ("a hash sign", "*#alts", &["*"]),
    ("an ampersand", "*&alts", &["*"]),
    ("a colon", "*:alts", &["*"]),
    ("a comma", "*,alts", &["*"]),
    ("an ending", "*.json", &["*"]),
    ("letters that aren't ASCII", "\u{43a}\u{43b}\u{44e}\u{447}-*", &[]),
];

/// What may stand where the id of the repository belongs; `None` leaves it out.
fn instead(own: &str, there: &str) -> Vec<(&'static str, Option<Value>)> {
    vec![
        ("no repoId", None),
        ("null for the repoId", Some(Value::Null)),
        ("an empty repoId", Some(json!(""))),
        ("a number for the repoId", Some(json!(7))),
        ("true for the repoId", Some(json!(true))),
        ("the caller's own repository", Some(json!(own))),
        ("a list of both repositories", Some(json!([own, there]))),
        ("an object for the repoId", Some(json!({ "$ne": "" }))),
        ("a pattern for the repoId", Some(json!("*"))),
    ]
}

/// Sizes of ciphertexts in KiB, above usual buffers of filters.
const LARGE: [usize; 4] = [10, 70, 140, 300];

/// The path names somebody else's repository; a filter may go by the body, and let pass what it finds no id in.
async fn odd_bodies(cx: &Ctx) -> Outcome {
    let (alice, mallory, bob) = (cx.member().await?, cx.member().await?, cx.identity());
    let repo = cx.repo_with(&alice, &[&bob]).await?;
    let own = cx.repo(&mallory).await?;
    let bodies = [
        (Operation::Pull, json!(repo.pull_request(0))),
        (Operation::Push, json!(repo.push_request(&mallory))),
        (Operation::AddMember, json!(repo.add_request(&mallory))),
        (Operation::RemoveMember, json!(repo.remove_request(&bob.id, &repo.rotation(&mallory, &[&mallory])))),
    ];
    let mut tally = Variants::default();
    for (operation, body) in bodies {
        for (what, value) in instead(own.id(), repo.id()) {
            let mut body = body.clone();
            match (body.as_object_mut(), value) {
                (Some(members), Some(value)) => drop(members.insert("repoId".into(), value)),
                (Some(members), None) => drop(members.remove("repoId")),
                (None, _) => {}
            }
            let outcome = match cx.provoke(operation, repo.id(), &mallory.auth(), &body).await? {
                Provoked::Answer(answer) if answer.is_success() => {
                    let text = String::from_utf8_lossy(&answer.body).into_owned();
                    // Where the body counts and not the path it is the caller's own that was meant.
                    let told = text.contains(super::state::longest_word(&alice.id));
                    let expected = "a stranger is refused, whatever the body says";
                    answer.must(!told, expected, || format!("{} with {what} is served", operation.name()))
                }
                _ => Ok(()),
            };
            tally.note(format!("{} with {what}", operation.name()), outcome)?;
        }
    }
    // A filter may look at the beginning of a body only, or at none that is large.
    for kilobytes in LARGE {
        let mut request = repo.push_request(&mallory);
        let mut bytes = vec![0; kilobytes << 10];
        random::fill(&mut bytes);
        request.envelope.ciphertext = base64::encode(&bytes);
        let answer = cx.push(&mallory, &request).await?;
        let accepted = answer.is_success() && answer.json().is_ok_and(|body| body["accepted"] == true);
        let outcome =
            answer.must(!accepted, "a stranger is refused, whatever the size of the body", || answer.summary());
        tally.note(format!("push of {kilobytes} KiB"), outcome)?;
    }
    let outcome = cx.holds(&alice, &repo, "a stranger's writes with odd bodies").await;
    tally.note("writes with odd bodies", outcome)?;
    tally.settle(cx)
}

/// Who isn't a member, and how they are called.
struct Outsider<'m> {
    who: &'static str,
    auth: Auth,
    by: &'m Member,
}

async fn odd_ids(cx: &Ctx) -> Outcome {
    let (alice, mallory, carol) = (cx.member().await?, cx.member().await?, cx.member().await?);
    let outsiders = [
        Outsider { who: "nobody", auth: Auth::None, by: &carol },
        Outsider { who: "a stranger", auth: carol.auth(), by: &carol },
        Outsider { who: "the owner of what is left of the id", auth: mallory.auth(), by: &mallory },
    ];
    let mut tally = Variants::default();
    for (what, pattern, readings) in IDS {
        let uuid = random::uuid();
        let repo = Repo::with_id(&alice, &pattern.replace('*', &uuid));
        cx.watch(&repo);
        let answer = cx.create(&alice, &repo.create_request()).await?;
        if !answer.is_success() {
            let refused = || Stop::not_applicable("such ids are refused");
            tally.note(*what, Err(answer.limited().unwrap_or_else(refused)))?;
            continue;
        }
        for reading in *readings {
            let own = Repo::with_id(&mallory, &reading.replace('*', &uuid));
            cx.watch(&own);
            // Where ids can't stand side by side that is another check's finding.
            cx.create(&mallory, &own.create_request()).await?;
        }
        for outsider in &outsiders {
            let outcome = kept_out(cx, &repo, &alice, outsider).await?;
            tally.note(format!("{what}, for {}", outsider.who), outcome)?;
        }
    }
    tally.settle(cx)
}

/// Reads and writes by somebody who isn't a member. A request that is carried out at another repository, which is the caller's own, has
/// lost its way but hurts nobody.
async fn kept_out(cx: &Ctx, repo: &Repo, alice: &Identity, outsider: &Outsider<'_>) -> Result<Outcome, Stop> {
    let (id, auth) = (repo.id(), &outsider.auth);
    let expected = "whoever isn't a member is refused, whatever the id of the repository";
    let broken =
        |answer: &Answer<'_>, what: &str| -> Outcome { Err(answer.violation(expected, format!("{what} {id:?}"))) };
    let pulled = cx.perform(Operation::Pull, id, auth, &repo.pull_request(0)).await?;
    let shown = |manifest: &VaultManifest| manifest.member(&alice.id).is_some();
    if pulled.is_success() && pulled.message::<PullResponse>().is_ok_and(|pulled| shown(&pulled.manifest)) {
        return Ok(broken(&pulled, "a pull is served of"));
    }
    let fetched = cx.call(super::Call::operation(Operation::FetchMemberKey, id, &alice.id, auth, None)).await?;
    if fetched.is_success() {
        return Ok(broken(&fetched, "a member's entry is served of"));
    }
    let added = cx.perform(Operation::AddMember, id, auth, &repo.add_request(outsider.by)).await?;
    if added.is_success() && added.message::<VaultManifest>().is_ok_and(|manifest| shown(&manifest)) {
        return Ok(broken(&added, "an addMember is carried out in"));
    }
    Ok(Ok(()))
}
