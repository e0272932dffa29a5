//! Writes that follow what the repository is now, and not what it was when the client looked last.

use serde_json::{Value, json};

use super::super::driver::{Failure, Talker, account};
use super::super::evidence::envelope;
use super::super::rules::{entries, payloads};
use super::super::vault::reading::{derived, open};
use super::super::vault::{Bend, Endpoint, Record};
use super::{House, PLAIN_ID, SceneOutcome, SceneStop, Site, invitation_of, opened, unwrap, violation};
use crate::client::Identity;
use crate::codec::DataKey;

scenes! {
    /// Who and what came after the client's last read is there after a removal.
    removal_current => current;
    /// Two removals, two keys.
    removal_again => again;
    /// Invitations over an epoch's end, and one that is made twice.
    wraps_anew => anew;
    /// The epoch that an invitation and a removal name, where a double can't hold it.
    exact_epoch => epochs;
}

/// Removes somebody; what was asked for, and the new data key as the owner gets it.
async fn removal(
    talker: &mut Talker<'_>,
    house: &House,
    repo: &Value,
    leaver: &Identity,
) -> Result<(Record, DataKey), SceneStop> {
    let before = house.vault.records().len();
    let epoch = house.vault.state().repos.get(PLAIN_ID).map(|repo| repo.manifest.key_epoch);
    let answer = talker.ask(&house.client, "remove", json!({ "repo": repo, "memberId": leaver.id })).await;
    let request = house.last_removal().filter(|_| house.vault.records().len() > before);
    let (Ok(_), Some(request)) = (&answer, request) else {
        let why = answer.err().map_or_else(String::new, |failure| format!(" ({failure})"));
        return Err(SceneStop::NotExercised(format!("no member was removed{why}")));
    };
    rises(&request, epoch)?;
    let own = entries(&request).into_iter().find(|(_, entry)| entry["ed25519PublicKey"] == house.owner.id);
    let key = own.and_then(|(_, entry)| house.unwrap(entry));
    let key = key.ok_or_else(|| SceneStop::NotExercised("the owner can't unwrap the new data key".into()))?;
    Ok((request, key))
}

/// The epoch that a removal names is above the one that there was.
fn rises(request: &Record, before: Option<i64>) -> Result<(), SceneStop> {
    let named = request.field("/newKeyEpoch").and_then(Value::as_i64);
    match (named, before) {
        (Some(named), Some(before)) if named <= before => {
            let expected = "newKeyEpoch of a removal is above the epoch of the repository, each time";
            Err(violation(Some(request), expected, format!("it is {named} at epoch {before}")))
        }
        _ => Ok(()),
    }
}

/// A counter in words.
fn shown(counter: Option<i64>) -> String {
    counter.map_or_else(|| "none".into(), |counter| counter.to_string())
}

async fn current(talker: &mut Talker<'_>) -> SceneOutcome {
    let [leaver, late, expelled] = std::array::from_fn(|_| Identity::generate());
    // More than fit on a page of anybody's.
    let crowd: Vec<Identity> = (0..28).map(|_| Identity::generate()).collect();
    let others: Vec<&Identity> = [&leaver, &expelled].into_iter().chain(&crowd).collect();
    let house = House::build(talker, Bend::Honest, PLAIN_ID, &others).await?;
    let repo = house.enter_plainly(talker).await?;
    house.admit(&late.id, &late.x25519_public_key)?;
    // Somebody else has removed a member meanwhile, which comes with a new key.
    house.expel(&expelled.id);
    house.vault.state().write(Bend::Honest, PLAIN_ID, true);
    // Who goes has used an account, which is everybody's all the same.
    let written = house.revised(|payload| payload["alts"][0]["lastUsedBy"] = leaver.id.clone().into());
    let (request, key) = removal(talker, &house, &repo, &leaver).await?;
    let roster = entries(&request);
    let reads = |member: &Identity| {
        let own = roster.iter().find(|(_, entry)| entry["ed25519PublicKey"] == member.id);
        own.and_then(|(_, entry)| unwrap(member, entry)).is_some_and(|own| own == key)
    };
    let stays = "everybody but the removed member stays, and gets the new data key";
    if roster.iter().any(|(_, entry)| entry["ed25519PublicKey"] == expelled.id) {
        let expected = "who isn't a member any longer is in no later roster";
        return Err(violation(Some(&request), expected, "a member is in it again that somebody else had removed"));
    }
    if !reads(&late) {
        return Err(violation(Some(&request), stays, "a member who came after the client's last read doesn't"));
    }
    if let Some(at) = crowd.iter().position(|member| !reads(member)) {
        let observed = format!("in a roster of {} the member at place {} doesn't", crowd.len() + 5, at + 5);
        return Err(violation(Some(&request), stays, observed));
    }
    let opens = "the rotated payload opens under the new data key, bound to its header";
    let sealed = envelope(&request).ok_or_else(|| violation(Some(&request), opens, "there is none"))?;
    let payload = opened(&key, std::slice::from_ref(&house.key), &sealed, &request, opens)?;
    let kept = "what was written after the client's last read is there after a removal";
    match payloads::lost(&written, &payload, payloads::is_known) {
        Some(lost) => Err(violation(Some(&request), kept, format!("{lost} is gone"))),
        None => {
            between(talker).await?;
            at_the_same_epoch(talker).await?;
            newcomer(talker).await
        }
    }
}

/// Somebody who stayed writes between two removals.
async fn between(talker: &mut Talker<'_>) -> Result<(), SceneStop> {
    let [first, second, stayer] = std::array::from_fn(|_| Identity::generate());
    let house = House::build(talker, Bend::Honest, PLAIN_ID, &[&first, &second, &stayer]).await?;
    let repo = house.enter_plainly(talker).await?;
    let (_, one) = removal(talker, &house, &repo, &first).await?;
    let late = house.followed(&one);
    let (request, other) = removal(talker, &house, &repo, &second).await?;
    let payload = envelope(&request).and_then(|sealed| open(&other, &sealed));
    let lost = late.zip(payload).and_then(|(late, payload)| payloads::lost(&late, &payload, payloads::is_known));
    match lost {
        Some(lost) => {
            let expected = "what was written after the client's last removal is there after the next one";
            Err(violation(Some(&request), expected, format!("{lost} is gone")))
        }
        None => Ok(()),
    }
}

/// What came after the client's last read without a new epoch: a payload, or a member, who moves no counter at all.
async fn at_the_same_epoch(talker: &mut Talker<'_>) -> Result<(), SceneStop> {
    let [leaver, stayer, late] = std::array::from_fn(|_| Identity::generate());
    let house = House::build(talker, Bend::Honest, PLAIN_ID, &[&leaver, &stayer]).await?;
    let repo = house.enter_plainly(talker).await?;
    let written = house.followed(&house.key);
    let (request, key) = removal(talker, &house, &repo, &leaver).await?;
    let payload = envelope(&request).and_then(|sealed| open(&key, &sealed));
    if let Some(lost) = written.zip(payload).and_then(|(old, now)| payloads::lost(&old, &now, payloads::is_known)) {
        let expected = "what was written after the client's last read is there after a removal";
        return Err(violation(Some(&request), expected, format!("{lost} is gone")));
    }
    let house = House::build(talker, Bend::Honest, PLAIN_ID, &[&leaver, &stayer]).await?;
    let repo = house.enter_plainly(talker).await?;
    house.admit(&late.id, &late.x25519_public_key)?;
    let (request, key) = removal(talker, &house, &repo, &leaver).await?;
    let own = entries(&request).into_iter().find(|(_, entry)| entry["ed25519PublicKey"] == late.id);
    if own.and_then(|(_, entry)| unwrap(&late, entry)).is_none_or(|own| own != key) {
        let expected = "everybody but the removed member stays, and gets the new data key";
        let observed = "a member who came after the client's last read, which moves no version, doesn't";
        return Err(violation(Some(&request), expected, observed));
    }
    empty(talker).await
}

/// A removal from a repository without accounts.
async fn empty(talker: &mut Talker<'_>) -> Result<(), SceneStop> {
    let [leaver, stayer] = std::array::from_fn(|_| Identity::generate());
    let site = Site { payload: Bend::EmptyPayload, ..Site::of(PLAIN_ID) };
    let house = House::at(talker, site, &[&leaver, &stayer]).await?;
    let joined = talker.ask(&house.client, "join", json!({ "locator": house.locator().encode() })).await;
    let Ok(joined) = joined else { return Ok(()) };
    talker.ask(&house.client, "read", json!({ "repo": joined["repo"] })).await.ok();
    let Ok((request, key)) = removal(talker, &house, &joined["repo"], &leaver).await else { return Ok(()) };
    let expected = "the rotated payload opens under the new data key, bound to its header";
    match envelope(&request) {
        Some(sealed) if key != house.key && open(&house.key, &sealed).is_some() => {
            let observed = "in a repository without accounts it opens under the old one";
            Err(violation(Some(&request), expected, observed))
        }
        Some(sealed) if open(&key, &sealed).is_none() => {
            Err(violation(Some(&request), expected, "in a repository without accounts it doesn't"))
        }
        _ => Ok(()),
    }
}

/// Puts, after another member has deleted all accounts, or has written some of all kinds, since the client's last read.
pub(super) async fn put_over_later(talker: &mut Talker<'_>) -> Result<(), SceneStop> {
    for kind in [Bend::EmptyPayload, Bend::OddAccounts] {
        let house = House::build(talker, Bend::Honest, PLAIN_ID, &[]).await?;
        let repo = house.enter_plainly(talker).await?;
        let Some(written) = house.followed_by(kind, &house.key) else { continue };
        if talker.ask(&house.client, "put", json!({ "repo": repo, "account": account("new") })).await.is_err() {
            continue;
        }
        let Some(push) = house.last(Endpoint::Push) else { continue };
        // A client may rotate with every push.
        let own = entries(&push).into_iter().find(|(_, entry)| entry["ed25519PublicKey"] == house.owner.id);
        let key = own.and_then(|(_, entry)| house.unwrap(entry)).unwrap_or_else(|| house.key.clone());
        let Some(payload) = envelope(&push).and_then(|sealed| open(&key, &sealed)) else { continue };
        let expected = "what others have written since the client's last read is there after a put";
        if let Some(lost) = payloads::lost(&written, &payload, payloads::is_known) {
            return Err(violation(Some(&push), expected, format!("{lost} is gone, or isn't what they have made it")));
        }
        let names = payload["alts"].as_array().into_iter().flatten().filter_map(|account| account["username"].as_str());
        if kind == Bend::EmptyPayload && names.into_iter().any(|name| name.contains(&house.canary)) {
            let observed = "accounts are there again that another member had deleted, all of them";
            return Err(violation(Some(&push), expected, observed));
        }
    }
    Ok(())
}

/// A put, after somebody has become a member since the client's last read: a push may carry a roster, too.
async fn newcomer(talker: &mut Talker<'_>) -> SceneOutcome {
    let late = Identity::generate();
    let house = House::build(talker, Bend::Honest, PLAIN_ID, &[]).await?;
    let repo = house.enter_plainly(talker).await?;
    house.admit(&late.id, &late.x25519_public_key)?;
    talker.ask(&house.client, "put", json!({ "repo": repo, "account": account("new") })).await.ok();
    let stays = house.vault.state().repos.get(PLAIN_ID).is_some_and(|repo| repo.manifest.member(&late.id).is_some());
    if stays {
        return Ok(String::new());
    }
    let expected = "who has become a member since the client's last read is one after a put";
    Err(violation(house.last(Endpoint::Push).as_ref(), expected, "the push came with a roster without that member"))
}

async fn again(talker: &mut Talker<'_>) -> SceneOutcome {
    let [first, second, stayer] = std::array::from_fn(|_| Identity::generate());
    let house = House::build(talker, Bend::Honest, PLAIN_ID, &[&first, &second, &stayer]).await?;
    let repo = house.enter_plainly(talker).await?;
    // Whom a client has invited itself it may know by heart.
    let own = Identity::generate();
    let invited = invitation(talker, &house, &repo, &own).await.ok().flatten().is_some();
    if invited {
        removal(talker, &house, &repo, &own).await?;
    }
    let (_, one) = removal(talker, &house, &repo, &first).await?;
    // Somebody who stayed writes in between.
    house.followed(&one);
    let (request, other) = removal(talker, &house, &repo, &second).await?;
    if one == other || other == house.key {
        let observed =
            if one == other { "the second one came with the key of the first" } else { "it is the first key" };
        return Err(violation(Some(&request), "every removal comes with a new data key", observed));
    }
    // Whoever goes now has had the key that came with the first removal.
    let epoch = request.field("/newKeyEpoch").and_then(Value::as_i64).unwrap_or_default();
    if [&one, &house.key].into_iter().any(|old| derived(old, epoch).contains(other.as_bytes())) {
        let expected = "who goes can't make the new data key of an old one";
        return Err(violation(Some(&request), expected, "it is a hash of an old one, from the second removal on"));
    }
    let gone = [&first, &second, &own];
    if entries(&request).iter().any(|(_, entry)| gone.iter().any(|member| unwrap(member, entry).is_some())) {
        return Err(violation(Some(&request), "who went gets no later key", "there is a wrap for a removed member"));
    }
    alone(talker).await
}

/// The last other member goes.
async fn alone(talker: &mut Talker<'_>) -> SceneOutcome {
    let house = House::build(talker, Bend::Honest, PLAIN_ID, &[]).await?;
    let repo = house.enter_plainly(talker).await?;
    talker.ask(&house.client, "remove", json!({ "repo": repo, "memberId": house.owner.id })).await.ok();
    let Some(request) = house.last_removal() else { return Ok(String::new()) };
    let sealed = envelope(&request).filter(|sealed| open(&house.key, sealed).is_some());
    match sealed {
        None => Ok(String::new()),
        Some(_) => {
            let expected = "a removal comes with a new data key, also where nobody else is left";
            Err(violation(Some(&request), expected, "the removed member's opens the payload"))
        }
    }
}

async fn epochs(talker: &mut Talker<'_>) -> SceneOutcome {
    // The numbers around it, too: a double holds none of the next hundred.
    const FAR: i64 = (1 << 60) + 1;
    let [first, second, guest] = std::array::from_fn(|_| Identity::generate());
    // Epochs that disagree everywhere are another rule's.
    let near = House::build(talker, Bend::Honest, PLAIN_ID, &[&first]).await?;
    let repo = near.enter_plainly(talker).await?;
    if let Ok(Some(add)) = invitation(talker, &near, &repo, &guest).await
        && add.field("/member/keyEpoch").and_then(Value::as_i64) != Some(Site::of(PLAIN_ID).epoch)
    {
        return Err(SceneStop::NotExercised("it invites at other epochs than the manifest's everywhere".into()));
    }
    talker.ask(&near.client, "remove", json!({ "repo": repo, "memberId": first.id })).await.ok();
    let request = near.last_removal().filter(|request| request.endpoint == Endpoint::Remove);
    if request.is_some_and(|request| {
        let named = request.field("/newKeyEpoch").and_then(Value::as_i64);
        named != envelope(&request).map(|sealed| sealed.key_epoch)
    }) {
        return Err(SceneStop::NotExercised("the epochs of its removals disagree everywhere".into()));
    }
    let site = Site { epoch: FAR, version: FAR, ..Site::of(PLAIN_ID) };
    let house = House::at(talker, site, &[&first, &second]).await?;
    let repo = match house.enter_plainly(talker).await {
        Err(SceneStop::CannotRead(_)) => {
            return Err(SceneStop::NotExercised("an epoch beyond 2^53 can't be read".into()));
        }
        repo => repo?,
    };
    let mut seen = 0;
    if let Ok(Some(add)) = invitation(talker, &house, &repo, &guest).await {
        seen += 1;
        let epoch = add.field("/member/keyEpoch").and_then(Value::as_i64);
        if epoch != Some(FAR) {
            let expected = "who is invited is a member at the manifest's epoch";
            return Err(violation(Some(&add), expected, format!("epoch {} at epoch {FAR}", shown(epoch))));
        }
    }
    for leaver in [&first, &second] {
        talker.ask(&house.client, "remove", json!({ "repo": repo, "memberId": leaver.id })).await.ok();
        let Some(request) = house.last_removal().filter(|request| request.endpoint == Endpoint::Remove) else { break };
        seen += 1;
        let named = request.field("/newKeyEpoch").and_then(Value::as_i64);
        let sealed = envelope(&request).map(|sealed| sealed.key_epoch);
        if let Some(sealed) = envelope(&request)
            && sealed.payload_version <= FAR
        {
            let expected = "the version of a removal's envelope is above the repository's";
            let observed = format!("it is {} at version {FAR}", sealed.payload_version);
            return Err(violation(Some(&request), expected, observed));
        }
        if named != sealed {
            let expected = "newKeyEpoch of a removal is the epoch of its envelope";
            return Err(violation(Some(&request), expected, format!("{} and {}", shown(named), shown(sealed))));
        }
    }
    match seen {
        0 => Err(SceneStop::NotExercised("it neither invites nor removes at an epoch beyond 2^53".into())),
        seen => Ok(format!("{seen} requests")),
    }
}

/// Invites somebody; the entry that the client has sent.
async fn invitation(
    talker: &mut Talker<'_>,
    house: &House,
    repo: &Value,
    guest: &Identity,
) -> Result<Option<Record>, SceneStop> {
    let before = house.vault.records().len();
    let asked = invitation_of(guest, repo);
    if matches!(talker.ask(&house.client, "invite", asked).await, Err(Failure::Unsupported)) {
        return Err(SceneStop::NotExercised("the adapter doesn't support invite".into()));
    }
    let records = house.vault.records();
    Ok(records.into_iter().skip(before).find(|record| record.endpoint == Endpoint::Add))
}

async fn anew(talker: &mut Talker<'_>) -> SceneOutcome {
    let (guest, later) = (Identity::generate(), Identity::generate());
    let house = House::build(talker, Bend::Honest, PLAIN_ID, &[]).await?;
    let repo = house.enter_plainly(talker).await?;
    let Some(one) = invitation(talker, &house, &repo, &guest).await? else {
        return Err(SceneStop::NotExercised("nobody can be invited".into()));
    };
    // Somebody may be invited twice; who refuses that is right, too.
    if let Some(other) = invitation(talker, &house, &repo, &guest).await? {
        let part = |record: &Record, name: &str| record.field(&format!("/member/wrappedDataKey/{name}")).cloned();
        let same = |name: &str| part(&one, name) == part(&other, name);
        if same("ephemeralPublicKey") && !same("ciphertext") {
            let expected = "every wrap has an ephemeral key of its own, also the second one to the same member";
            return Err(violation(Some(&other), expected, "two wraps have the same"));
        }
    }
    house.vault.state().write(Bend::Honest, PLAIN_ID, true);
    let now = house.vault.state().keys.last().map(|forged| forged.key.clone());
    let Some(add) = invitation(talker, &house, &repo, &later).await? else {
        return Err(SceneStop::NotExercised("nobody can be invited after somebody else has rotated the key".into()));
    };
    let epoch = house.vault.state().repos.get(PLAIN_ID).map(|repo| repo.manifest.key_epoch);
    if add.field("/member/keyEpoch").and_then(Value::as_i64) != epoch {
        let expected = "who is invited is a member at the epoch that the repository is at";
        let observed = format!("the entry's is {}", add.field("/member/keyEpoch").unwrap_or(&Value::Null));
        return Err(violation(Some(&add), expected, observed));
    }
    let key = add.field("/member").and_then(|entry| unwrap(&later, entry));
    let expected = "who is invited gets the data key of the epoch that the repository is at";
    match key {
        Some(key) if Some(&key) == now.as_ref() => invited_again(talker, &house, &repo, &guest, &key).await,
        Some(key) if key == house.key => Err(violation(Some(&add), expected, "it is the key of an earlier epoch")),
        Some(_) => Err(violation(Some(&add), expected, "it is another key")),
        None => Err(SceneStop::NotExercised("the invited member can't unwrap its data key".into())),
    }
}

/// Who went and comes again gets the key of now, whatever it was given when it came first.
async fn invited_again(
    talker: &mut Talker<'_>,
    house: &House,
    repo: &Value,
    guest: &Identity,
    now: &DataKey,
) -> SceneOutcome {
    house.expel(&guest.id);
    let Ok(Some(add)) = invitation(talker, house, repo, guest).await else { return Ok(String::new()) };
    match add.field("/member").and_then(|entry| unwrap(guest, entry)) {
        Some(key) if key != *now => {
            let expected = "who is invited again gets the data key of the epoch that the repository is at";
            Err(violation(Some(&add), expected, "it is the key that it was given when it was invited first"))
        }
        _ => Ok(String::new()),
    }
}
