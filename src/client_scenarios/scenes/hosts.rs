//! Several servers, and servers that fail.

use serde_json::{Value, json};

use super::super::driver::{Failure, Talker, account};
use super::super::evidence::envelope;
use super::super::rules::login;
use super::super::vault::{ArrivedAt, Bend, Endpoint, Record, Vault};
use super::{House, PLAIN_ID, SceneOutcome, SceneStop, must, set, violation};
use crate::client::{Identity, random};
use crate::wire::EncryptedEnvelope;

scenes! {
    /// Two hosts, a token each.
    two_hosts => hosts;
    /// A push that failed, and another one: whatever an IV is made of, it isn't the same again.
    fresh_iv => iv_after_error;
    /// Two members of one process, a token each.
    own_token => own;
}

async fn hosts(talker: &mut Talker<'_>) -> SceneOutcome {
    let leaver = Identity::generate();
    let first = House::build(talker, Bend::Honest, PLAIN_ID, &[&leaver]).await?;
    let second = House::build(talker, Bend::Honest, "another", &[]).await?;
    // The second house is the first client's, too.
    second.admit(&first.own.0, &first.own.1)?;
    let repo = first.enter_plainly(talker).await?;
    let joined = talker.ask(&first.client, "join", json!({ "locator": second.locator().encode() })).await;
    let tokens = |vault: &Vault| -> Vec<String> {
        let records = vault.records();
        records.iter().filter_map(|record| Some(record.answer.get("token")?.as_str()?.to_owned())).collect()
    };
    let crossed = || {
        [(&first, &second), (&second, &first)].into_iter().find_map(|(from, to)| {
            let strange = tokens(&from.vault);
            let shown =
                |record: &Record| record.bearer().is_some_and(|token| strange.iter().any(|known| known == token));
            to.vault.records().into_iter().find(shown)
        })
    };
    let apart = |observed: &str| match crossed() {
        Some(record) => Err(violation(Some(&record), "each host gets tokens of its own only", observed)),
        None => Ok(()),
    };
    apart("it got one of the other's")?;
    let joined = joined.map_err(must("join", "a client uses two hosts, one after the other"))?;
    // A new login is one at the host that has asked for it.
    second.vault.state().revoke();
    talker.ask(&first.client, "read", json!({ "repo": joined["repo"] })).await.ok();
    apart("after a 401 it got one of the other's")?;
    first.vault.state().revoke();
    talker.ask(&first.client, "read", json!({ "repo": repo })).await.ok();
    apart("after a 401 it got one of the other's")?;
    login_fails(talker, &first).await?;
    other_name(talker, &first, &repo).await?;
    // For a removal, bindings are asked for at the issuer, which is another server.
    let removed = talker.ask(&first.client, "remove", json!({ "repo": repo, "memberId": leaver.id })).await;
    let tokens = [tokens(&first.vault), tokens(&second.vault)].concat();
    let tokens: Vec<&str> = tokens.iter().map(String::as_str).collect();
    let records = first.vault.records();
    let shown = records.iter().find(|record| record.place == ArrivedAt::Elsewhere && login::carries(record, &tokens));
    if shown.is_some() {
        return Err(violation(shown, "the issuer's keys are asked for without the vault's token", "it was there"));
    }
    drop(removed);
    Ok(String::new())
}

/// Where a client can't log in it has no token to show.
async fn login_fails(talker: &mut Talker<'_>, house: &House) -> Result<(), SceneStop> {
    let third = House::build(talker, Bend::Honest, "a third", &[]).await?;
    third.admit(&house.own.0, &house.own.1)?;
    third.vault.state().logins_fail = true;
    let joined = talker.ask(&house.client, "join", json!({ "locator": third.locator().encode() })).await;
    if let Ok(joined) = joined {
        talker.ask(&house.client, "read", json!({ "repo": joined["repo"] })).await.ok();
    }
    let records = third.vault.records();
    match records.iter().find(|record| record.bearer().is_some()) {
        None => Ok(()),
        shown => {
            let expected = "each host gets tokens of its own only";
            Err(violation(shown, expected, "a host that has answered logins with 500 got one of another's"))
        }
    }
}

/// The first server under another name: as far as a client can know, another host.
async fn other_name(talker: &mut Talker<'_>, house: &House, repo: &Value) -> Result<(), SceneStop> {
    let mut locator = house.locator();
    locator.host = format!("localhost:{}", house.vault.address.port());
    if let Ok(joined) = talker.ask(&house.client, "join", json!({ "locator": locator.encode() })).await {
        talker.ask(&house.client, "read", json!({ "repo": joined["repo"] })).await.ok();
        talker.ask(&house.client, "read", json!({ "repo": repo })).await.ok();
    }
    let records = house.vault.records();
    let host = |record: &Record| record.header("host").map(str::to_ascii_lowercase);
    let home = |token: &str| records.iter().find(|record| record.answer["token"] == token).and_then(host);
    let strange = records.iter().find(|record| {
        let home = record.bearer().and_then(home);
        home.is_some() && host(record).is_some() && home != host(record)
    });
    let expected = "a token is shown to the host that has issued it, by its name";
    let Some(record) = strange else { return Ok(()) };
    Err(violation(Some(record), expected, "one was shown to a host of another name, which has the same address"))
}

async fn own(talker: &mut Talker<'_>) -> SceneOutcome {
    let vault = Vault::start(Bend::Honest, "127.0.0.1:0", true, "nobody").await?;
    let mut created = Vec::new();
    for name in ["first", "second"] {
        let client = format!("{name}-{}", crate::ground::hex::encode(&random::bytes::<5>()));
        let keys = talker.ask(&client, "identity", json!({ "scheme": "http" })).await.map_err(set("identity"))?;
        let asked = json!({ "url": vault.url(), "accounts": [account(name)] });
        let answer = talker.ask(&client, "create", asked).await;
        if matches!(answer, Err(Failure::Unsupported)) {
            return Err(SceneStop::NotExercised("the adapter doesn't support create".into()));
        }
        let records = vault.records();
        let record = records.into_iter().rfind(|record| record.endpoint == Endpoint::Create && record.caller.is_some());
        let Some(record) = record.filter(|record| !created.contains(&record.body)) else {
            return Err(SceneStop::NotExercised("a second member creates nothing".into()));
        };
        let id = keys["ed25519PublicKey"].as_str();
        if record.caller.as_deref() != id
            && record.field("/manifest/members/0/ed25519PublicKey") == Some(&keys["ed25519PublicKey"])
        {
            let expected = "a repository is created with the token of its only member";
            return Err(violation(Some(&record), expected, "the token is another member's"));
        }
        created.push(record.body);
    }
    Ok("2 members".into())
}

async fn iv_after_error(talker: &mut Talker<'_>) -> SceneOutcome {
    let house = House::build(talker, Bend::PushFails, PLAIN_ID, &[]).await?;
    let repo = house.enter_plainly(talker).await?;
    // The same account again is other content all the same: its version is another.
    let same = account("same");
    for account in [account("one"), account("other"), same.clone(), account("more"), same.clone(), same] {
        let asked = json!({ "repo": repo, "account": account });
        if matches!(talker.ask(&house.client, "put", asked).await, Err(Failure::Unsupported)) {
            return Err(SceneStop::NotExercised("the adapter doesn't support put".into()));
        }
    }
    // A second client begins its counting anew, if it counts.
    let second = format!("{}-second", house.client);
    if let Ok(keys) = talker.ask(&second, "identity", json!({ "scheme": "http" })).await {
        let asked = json!({ "repo": repo, "inviteRequest": keys["inviteRequest"] });
        let invited = talker.ask(&house.client, "invite", asked).await.unwrap_or_default();
        let joined = talker.ask(&second, "join", json!({ "locator": invited["locator"] })).await.unwrap_or_default();
        let asked = json!({ "repo": joined["repo"], "account": account("third") });
        talker.ask(&second, "put", asked).await.ok();
    }
    let records = house.vault.records();
    let pushes: Vec<_> = records.iter().filter_map(|record| Some((record, envelope(record)?))).collect();
    for (index, (record, sealed)) in pushes.iter().enumerate() {
        let same = |other: &EncryptedEnvelope| other.iv == sealed.iv && other.ciphertext != sealed.ciphertext;
        if pushes[..index].iter().any(|(_, other)| same(other)) {
            let expected = "an IV is used for one payload only, also when the first push with it has failed";
            return Err(violation(Some(record), expected, "an earlier payload under this key has the same IV"));
        }
    }
    match pushes.len() {
        0 | 1 => Err(SceneStop::NotExercised("nothing was pushed after a push that failed".into())),
        count => Ok(format!("{count} payloads")),
    }
}
