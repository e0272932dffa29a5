//! What others have made, read: repositories of any id and any counters, several at a time, and one whose key is an old one.

use serde_json::{Value, json};

use super::super::driver::{Failure, Talker, account};
use super::super::vault::forge::{self, Forged};
use super::super::vault::{Bend, Endpoint, Moment, Record};
use super::{House, PLAIN_ID, SceneOutcome, SceneStop, Site, violation};
use crate::client::{Identity, random};
use crate::codec::DataKey;

scenes! {
    /// Ids and counters that a client hasn't made itself.
    any_repository => any;
    /// Text that is torn by the chunks that it comes in.
    any_text => text;
    /// Repositories of one client on several hosts.
    apart => several;
    /// A payload of the new epoch under the old epoch's key.
    old_key => old;
    /// Writes where the payload that is there isn't authentic.
    writes_over => over;
}

/// As long as few are, and shorter than any limit of a path's.
const LONG_ID: &str = "alts-of-everybody-who-has-ever-played-here/\
    and-of-their-friends-and-of-the-friends-of-those.who-came-later_and-stayed/0123456789-abcdefghijklmnopqrstuvwxyz-\
    ABCDEFGHIJKLMNOPQRSTUVWXYZ-the-end-of-a-long-id";

async fn any(talker: &mut Talker<'_>) -> SceneOutcome {
    House::build(talker, Bend::Honest, PLAIN_ID, &[]).await?.enter_plainly(talker).await?;
    let plain = Site::of(PLAIN_ID);
    let cases = [
        ("a repository at epoch 0 is read", Site { epoch: 0, ..plain }),
        ("a repository at epoch 0 and version 1 is read", Site { epoch: 0, version: 1, ..plain }),
        ("a repository at version 0 is read", Site { version: 0, ..plain }),
        ("counters above 2^31 are bound as they are", Site { epoch: (1 << 31) + 5, version: (1 << 31) + 5, ..plain }),
        ("an id in capitals is used as it is", Site::of("5F0C0C86-9A63-4B0A-9C83-0F3B4F1C2D3E")),
        ("an id without hyphens is used as it is", Site::of("5f0c0c869a634b0a9c830f3b4f1c2d3e")),
        ("an id of 200 characters is bound whole", Site::of(LONG_ID)),
        ("an id of digits is used as it is", Site::of("0012345678")),
        ("an id with blanks at its ends is used as it is", Site::of(" alts ")),
        ("an id in braces is used as it is", Site::of("{5f0c0c86-9a63-4b0a-9c83-0f3b4f1c2d3e}")),
        ("combining marks in an id are bound as they are", Site::of("cafe\u{301}-A\u{30a}ngstro\u{308}m")),
        ("composed letters in an id are bound as they are", Site::of("caf\u{e9}-\u{212b}")),
        ("characters beyond the basic plane in an id are bound in UTF-8", Site::of("alts-\u{1f600}-\u{10348}")),
    ];
    visit(talker, &cases).await
}

async fn text(talker: &mut Talker<'_>) -> SceneOutcome {
    House::build(talker, Bend::Honest, PLAIN_ID, &[]).await?.enter_plainly(talker).await?;
    let id = "\u{43a}\u{43b}\u{44e}\u{447}-\u{e9}\u{1f600}\u{20ac}-\u{43a}\u{43b}\u{44e}\u{447}";
    let whole = House::build(talker, Bend::Honest, id, &[]).await?;
    if whole.enter(talker, &whole.locator().encode(), "").await.is_err() {
        return Err(SceneStop::NotExercised("an id that isn't ASCII can't be used at all".into()));
    }
    let expected = "an answer is put together before it is taken for text";
    visit(talker, &[(expected, Site { bend: Bend::Chunked, ..Site::of(id) })]).await
}

/// Joins and reads each of these repositories.
async fn visit(talker: &mut Talker<'_>, cases: &[(&'static str, Site<'_>)]) -> SceneOutcome {
    for &(expected, site) in cases {
        let house = House::at(talker, site, &[]).await?;
        house.enter(talker, &house.locator().encode(), expected).await.map_err(|stop| match stop {
            SceneStop::Violation(mut finding) => {
                let pulled = house.vault.records().into_iter().rfind(|record| record.endpoint == Endpoint::Pull);
                finding.exchange = pulled.as_ref().map(super::exchange);
                SceneStop::Violation(finding)
            }
            other => other,
        })?;
    }
    Ok(crate::ground::shown::count(cases.len(), "repository"))
}

async fn several(talker: &mut Talker<'_>) -> SceneOutcome {
    let first = House::build(talker, Bend::Honest, PLAIN_ID, &[]).await?;
    let second = House::build(talker, Bend::Honest, "another", &[]).await?;
    let third = House::build(talker, Bend::Honest, PLAIN_ID, &[]).await?;
    let mut houses = vec![(&first, first.enter_plainly(talker).await?)];
    for house in [&second, &third] {
        let same_id = house.id == PLAIN_ID;
        house.admit(&first.own.0, &first.own.1)?;
        let joined = talker.ask(&first.client, "join", json!({ "locator": house.locator().encode() })).await;
        // That a client uses several hosts at all is another rule's.
        let joined = joined.map_err(|failure| match failure {
            Failure::Refused(class, _) if same_id => {
                let expected = "a repository is joined whatever other host has one of the same id";
                violation(house.last(Endpoint::Pull).as_ref(), expected, format!("join: {class}"))
            }
            other => SceneStop::NotExercised(format!("a second repository can't be joined ({other})")),
        })?;
        houses.push((house, joined["repo"].clone()));
    }
    for (house, repo) in houses {
        let read = talker.ask(&first.client, "read", json!({ "repo": repo })).await;
        let read = read.as_ref().map(Value::to_string).unwrap_or_default();
        if !read.contains(&house.canary) {
            let expected = "each of three repositories on three hosts is read as it is, though two have the same id, and all the \
                            same version";
            let strange = [&first, &second, &third].into_iter().any(|other| read.contains(&other.canary));
            let observed = if strange { "one is read as another" } else { "one can't be read after the others" };
            return Err(violation(house.last(Endpoint::Pull).as_ref(), expected, observed));
        }
    }
    Ok("3 repositories".into())
}

async fn over(talker: &mut Talker<'_>) -> SceneOutcome {
    let mut tried = 0;
    // Bytes that are no payload at all are no empty one either: less than a tag, and no more than one.
    let stubs = [0, 1, 15, 16].map(|length| ("put", Some(length)));
    for (verb, stub) in [("put", None), ("remove", None), ("remove", Some(0))].into_iter().chain(stubs) {
        let leaver = Identity::generate();
        let house = House::build(talker, Bend::Honest, PLAIN_ID, &[&leaver]).await?;
        let repo = house.enter_plainly(talker).await?;
        // Another version, so that nobody has it already; and bound to neither this one nor the last.
        {
            let mut state = house.vault.state();
            let Some(repo) = state.repos.get_mut(PLAIN_ID) else {
                return Err(SceneStop::SetupFailed("no repository".into()));
            };
            let Some(forged) = repo.forged.clone() else { return Err(SceneStop::SetupFailed("no key".into())) };
            repo.manifest.payload_version += 1;
            let version = repo.manifest.payload_version;
            repo.envelope = forge::seal(Bend::AadNextVersion, &forged, version, &forged.payload.to_string());
            if let Some(length) = stub {
                let bytes: [u8; 16] = random::bytes();
                repo.envelope.ciphertext = crate::codec::base64::encode(&bytes[..length]);
            }
        }
        let asked = match verb {
            "put" => json!({ "repo": repo, "account": account("new") }),
            _ => json!({ "repo": repo, "memberId": leaver.id }),
        };
        match talker.ask(&house.client, verb, asked).await {
            Err(Failure::Unsupported) => continue,
            _ => tried += 1,
        }
        let writes = |record: &Record| matches!(record.endpoint, Endpoint::Push | Endpoint::Remove) && record.is_done();
        if let Some(record) = house.vault.records().iter().find(|record| writes(record)) {
            let expected = "nothing is written over a payload that isn't authentic: what was in it would be lost, or somebody's forgery kept";
            let over = stub.map_or_else(String::new, |length| format!(" over a ciphertext of {length} bytes"));
            return Err(violation(Some(record), expected, format!("{verb} was carried out{over}")));
        }
    }
    after_conflict(talker).await?;
    match tried {
        0 => Err(SceneStop::NotExercised("the adapter supports neither put nor remove".into())),
        tried => Ok(crate::ground::shown::count(tried, "verb")),
    }
}

/// What is pulled after a conflict isn't authentic.
async fn after_conflict(talker: &mut Talker<'_>) -> Result<(), SceneStop> {
    let house = House::build(talker, Bend::Honest, PLAIN_ID, &[]).await?;
    let repo = house.enter_plainly(talker).await?;
    house.around(Moment::Before, Endpoint::Push, |state| {
        state.write_over(PLAIN_ID, |_| {});
        if let Some(repo) = state.repos.get_mut(PLAIN_ID)
            && let Some(forged) = repo.forged.clone()
        {
            let version = repo.manifest.payload_version;
            repo.envelope = forge::seal(Bend::AadNextVersion, &forged, version, &forged.payload.to_string());
        }
    });
    talker.ask(&house.client, "put", json!({ "repo": repo, "account": account("new") })).await.ok();
    let records = house.vault.records();
    let conflict =
        records.iter().position(|record| record.endpoint == Endpoint::Push && record.answer["conflict"] == true);
    let mut after = records.iter().skip(conflict.map_or(records.len(), |at| at + 1));
    // That it doesn't look at all is another rule's.
    let looks = after.by_ref().any(|record| record.endpoint == Endpoint::Pull && record.is_done());
    let Some(record) = after.find(|record| looks && record.endpoint == Endpoint::Push && record.is_done()) else {
        return Ok(());
    };
    let expected = "nothing is written over a payload that isn't authentic, after a conflict as before";
    Err(violation(
        Some(record),
        expected,
        "a push was accepted after a conflict, though what there was then isn't authentic",
    ))
}

async fn old(talker: &mut Talker<'_>) -> SceneOutcome {
    let house = House::build(talker, Bend::Honest, PLAIN_ID, &[]).await?;
    let repo = house.enter_plainly(talker).await?;
    house.vault.state().write(Bend::Honest, PLAIN_ID, true);
    let asked = json!({ "repo": repo });
    if let Err(failure) = talker.ask(&house.client, "read", asked.clone()).await {
        return Err(SceneStop::NotExercised(format!("it can't read what somebody else has rotated ({failure})")));
    }
    let name = format!("old{}", crate::ground::hex::encode(&random::bytes::<5>()));
    {
        let mut state = house.vault.state();
        let old = state.keys.last().map_or_else(|| house.key.clone(), |forged| forged.key.clone());
        let Some(repo) = state.repos.get_mut(PLAIN_ID) else {
            return Err(SceneStop::SetupFailed("no repository".into()));
        };
        let (version, epoch) = (repo.manifest.payload_version + 1, repo.manifest.key_epoch + 1);
        let new = DataKey::new(random::bytes());
        for member in &mut repo.manifest.members {
            if let Some(wrapped) = forge::wrap(Bend::Honest, &new, &member.x25519_public_key) {
                member.wrapped_data_key = wrapped;
            }
            member.key_epoch = epoch;
        }
        let forged =
            Forged { repo: PLAIN_ID.into(), epoch, key: old, payload: forge::payload(Bend::Honest, &name, version) };
        repo.envelope = forge::seal(Bend::Honest, &forged, version, &forged.payload.to_string());
        (repo.manifest.payload_version, repo.manifest.key_epoch) = (version, epoch);
    }
    match talker.ask(&house.client, "read", asked).await {
        Ok(read) if read.to_string().contains(&name) => {
            let expected = "a payload opens under the data key that is wrapped for its epoch, and under no other";
            let observed = "one was read that was written under the key of the epoch before";
            Err(violation(house.last(Endpoint::Pull).as_ref(), expected, observed))
        }
        _ => Ok(String::new()),
    }
}
