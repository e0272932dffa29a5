//! Members that are in a message twice (RFC 8259 §4): one parser takes the first, another the last, a third takes a name in other
//! letters for the same. A server may refuse such a message or read it either way, but it can't check one and do the other.

mod message;

use bytes::Bytes;
use serde_json::{Value, json};

use self::message::Doubled;
use super::check::checks;
use super::context::to_set_up;
use super::variants::Variants;
use super::{Answer, Auth, Call, Ctx, Member, Operation, Outcome, Stop};
use crate::client::{Repo, random};
use crate::codec::base64;
use crate::wire::{MemberEntry, PullResponse};

checks! {
    "doubled/other-repository", Must, "§6",
        [PUSH_SCOPE, CREATE_DUPLICATE, ADD_MEMBERS_ONLY, REMOVE_MEMBERS_ONLY, PULL_MEMBERS_ONLY, SUBJECT_IS_CALLER], other_repository,
        "A second repoId in a message gives no authority over another's repository", only = Http;
    "doubled/creation", Must, "§6", [CREATE_SOLE_MEMBER], creation,
        "A second manifest, roster or key in createRepo brings nobody in but the caller", only = Http;
    "doubled/push", Must, "§10", [VERSION_MONOTONIC, PUSH_ROTATES, PUSH_GATED], push,
        "A second envelope, version or roster in push isn't stored unchecked", only = Http;
    "doubled/add-member", Must, "§6", [ADD_RECORDS, FETCH_ENTRY, STORED_VERBATIM], add_member,
        "A second member or key in addMember isn't one person in the roster and another at the door", only = Http;
    "doubled/remove-member", Must, "§10", [EPOCH_RISES, REMOVE_DROPS, REMOVE_REVOKES, VERSION_MONOTONIC], remove_member,
        "A second id, roster, envelope or epoch in removeMember isn't carried out unchecked", only = Http;
    "doubled/token", Must, "§3", [SIGNATURE_VERIFIED, NONCE_SINGLE_USE, NONCE_ISSUED], token,
        "A second key or nonce in a token request buys no token that the signature isn't for", only = Http;
}

/// Sends one. `None` where there is no answer, which the checks of bad input report, or a refusal.
async fn taken<'c>(
    cx: &'c Ctx,
    operation: Operation,
    repo_id: &str,
    auth: &Auth,
    body: Bytes,
) -> Result<Option<Answer<'c>>, Stop> {
    let mut call = Call::operation(operation, repo_id, "", auth, Some(body));
    call.validated = false;
    cx.provokes();
    match cx.call(call).await {
        Ok(answer) => Ok(Some(answer).filter(Answer::is_success)),
        Err(Stop::Violation(_)) => Ok(None),
        Err(stop) => Err(stop),
    }
}

/// mallory has a repository of her own and would like to have alice's.
async fn other_repository(cx: &Ctx) -> Outcome {
    let (alice, mallory) = (cx.member().await?, cx.member().await?);
    let (bob, dave) = (cx.identity(), cx.identity());
    let victim = cx.repo_with(&alice, &[&bob]).await?;
    let mine = cx.repo_with(&mallory, &[&dave]).await?;
    let of_victim = |message: &Value| {
        let mut message = message.clone();
        message["repoId"] = json!(victim.id());
        message
    };
    let pull = json!(mine.pull_request(0));
    let mut push = json!(mine.push_request(&mallory));
    push["expectedPayloadVersion"] = json!(victim.version());
    let add = json!(mine.add_request(&mallory));
    let mut remove = json!(mine.remove_request(&dave.id, &mine.rotation(&mallory, &[&mallory])));
    remove["removedMemberId"] = json!(bob.id);
    let create = json!(Repo::with_id(&mallory, &random::uuid()).create_request());
    let other = json!(Repo::with_id(&mallory, victim.id()).create_request());
    let rows = [
        (Operation::Pull, &pull, "", "repoId", json!(victim.id())),
        (Operation::Push, &push, "", "repoId", json!(victim.id())),
        (Operation::Push, &push, "", "envelope", of_victim(&push["envelope"])),
        (Operation::AddMember, &add, "", "repoId", json!(victim.id())),
        (Operation::RemoveMember, &remove, "", "repoId", json!(victim.id())),
        (Operation::CreateRepo, &create, "/manifest", "repoId", json!(victim.id())),
        (Operation::CreateRepo, &create, "", "manifest", other["manifest"].clone()),
    ];
    let mut tally = Variants::default();
    for (operation, message, pointer, name, other) in rows {
        let doubled = Doubled { message, pointer, name, other };
        for (what, body) in doubled.texts(cx.thorough()) {
            let Some(answer) = taken(cx, operation, mine.id(), &mallory.auth(), body).await? else { continue };
            let outcome = match answer.keeps_secret(&victim) {
                Ok(()) => cx.holds(&alice, &victim, "another's requests to another repository").await,
                told => told,
            };
            tally.note(format!("{} with {what}", operation.name()), outcome)?;
        }
    }
    if !tally.is_broken() {
        tally.note("all of them", cx.readable(&alice, &victim, "another's requests to another repository").await)?;
    }
    tally.settle(cx)
}

/// What must be so after a message was taken, in whatever reading.
struct After<'a> {
    reader: &'a Member,
    people: &'a [&'a Member],
    /// Who can't be in the roster.
    out: Option<&'a Member>,
    above: Option<(i64, Option<i64>)>,
}

impl After<'_> {
    /// Manifest and envelope agree, counters have risen, and whoever is in the roster has access and an entry, and nobody else.
    async fn holds(&self, cx: &Ctx, repo_id: &str) -> Outcome {
        let request = json!({ "repoId": repo_id, "knownPayloadVersion": 0 });
        let auth = self.reader.auth();
        let answer = cx.perform(Operation::Pull, repo_id, &auth, &request).await?;
        if !answer.is_success() {
            // Read so that the reader is no member: possible, and nothing to be seen from here.
            return Ok(());
        }
        let pulled: PullResponse = answer.message()?;
        let manifest = &pulled.manifest;
        if let Some(envelope) = &pulled.envelope {
            let same = envelope.payload_version == manifest.payload_version;
            answer.must(same, "manifest and envelope are at one version", || {
                format!("{} and {}", manifest.payload_version, envelope.payload_version)
            })?;
        }
        if let Some((version, epoch)) = self.above {
            let (now, expected) = (manifest.payload_version, format!("the version rises above {version}"));
            answer.must(now > version, &expected, || now.to_string())?;
            if let Some(epoch) = epoch {
                let (now, expected) = (manifest.key_epoch, format!("the epoch rises above {epoch}"));
                answer.must(now > epoch, &expected, || now.to_string())?;
            }
        }
        if let Some(out) = self.out {
            answer.must(manifest.member(out.id()).is_none(), "who is removed is out of the roster", || {
                "it isn't".into()
            })?;
        }
        for entry in &manifest.members {
            self.is_fetched(cx, repo_id, entry).await?;
        }
        for person in self.people {
            let inside = manifest.member(person.id()).is_some();
            let answer = cx.perform(Operation::Pull, repo_id, &person.auth(), &request).await?;
            let expected = format!("a pull by {} the roster", if inside { "somebody in" } else { "nobody of" });
            answer.must(answer.is_success() == inside, &expected, || answer.summary())?;
        }
        Ok(())
    }

    async fn is_fetched(&self, cx: &Ctx, repo_id: &str, expected: &MemberEntry) -> Outcome {
        let answer = cx.fetch(self.reader, repo_id, &expected.ed25519_public_key).await?;
        let entry: MemberEntry = answer.accepted("fetchMemberKey of somebody in the roster")?;
        match super::state::compare_entry(expected, &entry) {
            None => Ok(()),
            Some(difference) => Err(answer.violation("fetchMemberKey gives the entry that the roster has", difference)),
        }
    }
}

/// alice creates, with bob smuggled in: in one reading the message is to be refused.
async fn creation(cx: &Ctx) -> Outcome {
    let (alice, bob) = (cx.member().await?, cx.member().await?);
    let mut tally = Variants::default();
    for (pointer, name) in [("", "manifest"), ("/manifest", "members"), ("/manifest/members/0", "ed25519PublicKey")] {
        for number in 0..usize::MAX {
            let repo = Repo::new(&alice);
            cx.watch(&repo);
            let message = json!(repo.create_request());
            let mut foreign = message["manifest"].clone();
            foreign["members"] = json!([repo.entry_for(&bob), repo.manifest.members[0]]);
            let other = match name {
                "manifest" => foreign,
                "members" => foreign["members"].clone(),
                _ => json!(bob.id()),
            };
            let texts = Doubled { message: &message, pointer, name, other }.texts(cx.thorough());
            let Some((what, body)) = texts.into_iter().nth(number) else { break };
            if taken(cx, Operation::CreateRepo, repo.id(), &alice.auth(), body).await?.is_none() {
                continue;
            }
            let answer = cx.pull(&bob, &repo.pull_request(0)).await?;
            let mut outcome =
                answer.must(!answer.is_success(), "nobody but the caller is a member", || answer.summary());
            if outcome.is_ok() {
                let answer = cx.pull(&alice, &repo.pull_request(0)).await?;
                let roster = answer.json().unwrap_or_default()["manifest"]["members"].clone();
                let sole = !answer.is_success()
                    || roster.as_array().is_some_and(
                        |roster| matches!(roster.as_slice(), [one] if one["ed25519PublicKey"] == json!(alice.id())),
                    );
                outcome = answer.must(sole, "the roster is the caller alone", || roster.to_string());
            }
            tally.note(what, outcome)?;
        }
    }
    tally.settle(cx)
}

/// A repository with alice, bob and carol in it, at a version that has others below it.
async fn peopled(cx: &Ctx, alice: &Member, others: &[&Member]) -> Result<Repo, Stop> {
    let mut repo = cx.repo(alice).await?;
    for other in others {
        cx.enrol(alice, &mut repo, other).await?;
    }
    cx.advance(alice, &mut repo).await?;
    cx.advance(alice, &mut repo).await?;
    Ok(repo)
}

/// An envelope of a version that must not come back.
fn lower(repo: &Repo, envelope: &Value) -> Value {
    let mut envelope = envelope.clone();
    envelope["payloadVersion"] = json!(repo.version() - 1);
    envelope
}

/// Plays a table against repositories that are made anew whenever a message was taken.
async fn play(
    cx: &Ctx,
    operation: Operation,
    (alice, bob, carol): (&Member, &Member, &Member),
    members: &[&Member],
    rows: impl Fn(&Repo) -> (Value, Vec<(&'static str, &'static str, Value)>),
) -> Outcome {
    let mut tally = Variants::default();
    let mut repo = peopled(cx, alice, members).await?;
    let count = rows(&repo).1.len();
    for row in 0..count {
        for number in 0..usize::MAX {
            let (message, mut all) = rows(&repo);
            let (pointer, name, other) = all.swap_remove(row);
            let texts = Doubled { message: &message, pointer, name, other }.texts(cx.thorough());
            let Some((what, body)) = texts.into_iter().nth(number) else { break };
            let Some(answer) = taken(cx, operation, repo.id(), &alice.auth(), body).await? else { continue };
            if operation == Operation::Push && answer.json().is_ok_and(|body| body["accepted"] != json!(true)) {
                continue;
            }
            let removal = operation == Operation::RemoveMember;
            let above = (operation != Operation::AddMember).then(|| (repo.version(), removal.then(|| repo.epoch())));
            let out = (removal && name == "rewrappedMembers").then_some(bob);
            let after = After { reader: alice, people: &[bob, carol], out, above };
            tally.note(what, after.holds(cx, repo.id()).await)?;
            repo = peopled(cx, alice, members).await?;
        }
    }
    if !tally.is_broken() {
        tally.note("all that were refused", cx.holds(alice, &repo, "refused messages with members twice").await)?;
    }
    tally.settle(cx)
}

async fn cast(cx: &Ctx) -> Result<(Member, Member, Member), Stop> {
    Ok((cx.member().await?, cx.member().await?, cx.member().await?))
}

async fn push(cx: &Ctx) -> Outcome {
    let (alice, bob, carol) = cast(cx).await?;
    play(cx, Operation::Push, (&alice, &bob, &carol), &[&bob], |repo| {
        let message = json!(repo.rotating_push(&repo.rotation(&alice, &[&alice, &bob])));
        let rows = vec![
            ("", "envelope", lower(repo, &message["envelope"])),
            ("/envelope", "payloadVersion", json!(repo.version() - 1)),
            ("", "rotatedMembers", json!([message["rotatedMembers"][0]])),
            ("/rotatedMembers/1", "ed25519PublicKey", json!(carol.id())),
        ];
        (message, rows)
    })
    .await
}

async fn add_member(cx: &Ctx) -> Outcome {
    let (alice, bob, carol) = cast(cx).await?;
    play(cx, Operation::AddMember, (&alice, &bob, &carol), &[], |repo| {
        let message = json!(repo.add_request(&bob));
        let other = json!(repo.entry_for(&carol));
        let rows = vec![
            ("", "member", other.clone()),
            ("/member", "ed25519PublicKey", json!(carol.id())),
            ("/member", "x25519PublicKey", json!(carol.x25519_public_key)),
            ("/member", "wrappedDataKey", other["wrappedDataKey"].clone()),
            ("/member", "keyEpoch", json!(repo.epoch() + 5)),
        ];
        (message, rows)
    })
    .await
}

async fn remove_member(cx: &Ctx) -> Outcome {
    let (alice, bob, carol) = cast(cx).await?;
    play(cx, Operation::RemoveMember, (&alice, &bob, &carol), &[&bob, &carol], |repo| {
        let both = repo.rotation(&alice, &[&alice, &carol, &bob]);
        let mut rotation = both.clone();
        rotation.members.pop();
        let message = json!(repo.remove_request(bob.id(), &rotation));
        let rows = vec![
            ("", "removedMemberId", json!(carol.id())),
            ("", "rewrappedMembers", json!(both.members)),
            ("/rewrappedMembers/1", "ed25519PublicKey", json!(bob.id())),
            ("", "rotatedEnvelope", lower(repo, &message["rotatedEnvelope"])),
            ("/rotatedEnvelope", "payloadVersion", json!(repo.version() - 1)),
            ("", "newKeyEpoch", json!(repo.epoch())),
        ];
        (message, rows)
    })
    .await
}

/// mallory signs what she may, and asks for what she may not.
async fn token(cx: &Ctx) -> Outcome {
    let (alice, mallory) = (cx.member().await?, cx.member().await?);
    let repo = cx.repo(&alice).await?;
    let mut tally = Variants::default();
    for number in 0..usize::MAX {
        let nonce = cx.nonce(&mallory).await?;
        let message = json!(cx.redeem(&mallory, &nonce)?);
        let other = json!(alice.id());
        let texts = Doubled { message: &message, pointer: "", name: "ed25519PublicKey", other }.texts(cx.thorough());
        let Some((what, body)) = texts.into_iter().nth(number) else { break };
        let Some(answer) = taken(cx, Operation::Token, "", &Auth::None, body).await? else { continue };
        let token = answer.json().unwrap_or_default()["token"].as_str().unwrap_or_default().to_owned();
        let request = repo.pull_request(0);
        let answer = cx.perform(Operation::Pull, repo.id(), &Auth::Bearer(token), &request).await?;
        let expected = "a token that mallory's signature has bought isn't alice's";
        tally.note(what, answer.must(!answer.is_success(), expected, || "it pulls alice's repository".into()))?;
    }
    replayed(cx, &mallory, &mut tally).await?;
    tally.settle(cx)
}

/// Somebody who has overheard a redemption has the nonce and its signature, and can get a fresh nonce for the same key.
async fn replayed(cx: &Ctx, mallory: &Member, tally: &mut Variants) -> Outcome {
    for number in 0..usize::MAX {
        let used = cx.nonce(mallory).await?;
        let mut message = json!(cx.redeem(mallory, &used)?);
        let answer = cx.token(&cx.redeem(mallory, &used)?).await.map_err(to_set_up)?;
        answer.must(answer.is_success(), "a nonce buys a token", || answer.summary()).map_err(to_set_up)?;
        message["nonce"] = json!(cx.nonce(mallory).await?);
        let other = json!(used);
        let texts = Doubled { message: &message, pointer: "", name: "nonce", other }.texts(cx.thorough());
        let Some((what, body)) = texts.into_iter().nth(number) else { break };
        let Some(answer) = taken(cx, Operation::Token, "", &Auth::None, body).await? else { continue };
        let expected = "a signature of a nonce that is used up buys nothing";
        tally.note(what, Err(answer.violation(expected, answer.summary())))?;
    }
    // Neither of these was ever signed.
    let (one, two) = (cx.nonce(mallory).await?, base64::encode(&random::bytes::<32>()));
    let mut message = json!(cx.redeem(mallory, &two)?);
    message["nonce"] = json!(one);
    for (what, body) in
        (Doubled { message: &message, pointer: "", name: "nonce", other: json!(two) }).texts(cx.thorough())
    {
        let Some(answer) = taken(cx, Operation::Token, "", &Auth::None, body).await? else { continue };
        let expected = "a signature of a nonce that was never issued buys nothing";
        tally.note(what, Err(answer.violation(expected, answer.summary())))?;
    }
    Ok(())
}
