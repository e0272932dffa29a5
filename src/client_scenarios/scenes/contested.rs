//! Writes that meet somebody else's: over the same account, and when nobody says what became of the first one.

use serde_json::{Value, json};

use super::super::driver::{Failure, Talker, account};
use super::super::evidence::envelope;
use super::super::rules::payloads;
use super::super::vault::reading::open;
use super::super::vault::{Bend, Endpoint, Moment};
use super::{House, PLAIN_ID, SceneOutcome, SceneStop, Site, must, unwrap, violation};
use crate::client::{Identity, random};
use crate::wire::EncryptedEnvelope;

scenes! {
    /// Two members write one account.
    same_account => same;
    /// Pushes that get no answer.
    lost_answer => lost;
    /// Writes after a conflict, and removals, of what a client doesn't know.
    keeps_unknown => unknown;
}

/// What the repository holds now, if its owner can open it.
fn held(house: &House) -> Option<Value> {
    let state = house.vault.state();
    let repo = state.repos.get(&house.id)?;
    let own = repo.manifest.member(&house.owner.id).and_then(|entry| serde_json::to_value(entry).ok());
    let own = own.and_then(|entry| unwrap(&house.owner, &entry));
    own.iter().chain([&house.key]).find_map(|key| open(key, &repo.envelope))
}

/// The accounts of a uuid in a payload.
fn of<'p>(payload: &'p Value, uuid: &Value) -> Vec<&'p Value> {
    let all = payload["alts"].as_array().into_iter().flatten();
    all.filter(|account| account["uuid"] == *uuid).collect()
}

async fn same(talker: &mut Talker<'_>) -> SceneOutcome {
    // Somebody else has added the same account meanwhile.
    let new = account("contested");
    let house = House::build(talker, Bend::ConflictEdits, PLAIN_ID, &[]).await?;
    let repo = house.enter_plainly(talker).await?;
    let mut theirs = new.clone();
    theirs["accessToken"] = "token-of-theirs".into();
    house.vault.state().meanwhile.push(theirs);
    put_over(talker, &house, &repo, &new).await?;
    // Somebody else has changed, or deleted, the account that the client changes.
    for place in 0..2 {
        let house = House::build(talker, Bend::ConflictEdits, PLAIN_ID, &[]).await?;
        let repo = house.enter_plainly(talker).await?;
        let before = held(&house).unwrap_or_default();
        let mut changed = before["alts"][place].clone();
        changed["accessToken"] = account("contested")["accessToken"].clone();
        put_over(talker, &house, &repo, &changed).await?;
    }
    // Somebody else has put an account before the one that the client changes.
    let house = House::build(talker, Bend::Honest, PLAIN_ID, &[]).await?;
    let repo = house.enter_plainly(talker).await?;
    let mut changed = held(&house).unwrap_or_default()["alts"][1].clone();
    changed["accessToken"] = account("contested")["accessToken"].clone();
    let first = Value::from(format!("v{}n0", house.canary));
    house.around(Moment::Before, Endpoint::Push, move |state| {
        state.write_over(PLAIN_ID, |payload| {
            let Some(all) = payload["alts"].as_array_mut().filter(|all| !all.is_empty()) else { return };
            let mut new = all[0].clone();
            (new["uuid"], new["username"]) = (random::uuid().into(), first);
            all.insert(0, new);
        });
    });
    put_over(talker, &house, &repo, &changed).await?;
    let written = house.vault.state().keys.last().map(|forged| forged.payload.clone()).unwrap_or_default();
    let now = held(&house).unwrap_or_default();
    let others = without(&written, &changed["uuid"]);
    match payloads::lost(&others, &now, payloads::is_known) {
        Some(lost) => {
            let expected = "after a conflict what others have written is there, wherever in the payload it stands";
            Err(violation(house.last(Endpoint::Push).as_ref(), expected, format!("{lost} is gone")))
        }
        None => Ok("4 conflicts".into()),
    }
}

/// A payload without one of its accounts.
fn without(payload: &Value, uuid: &Value) -> Value {
    let mut rest = payload.clone();
    rest["alts"].as_array_mut().into_iter().for_each(|all| all.retain(|account| account["uuid"] != *uuid));
    rest
}

async fn unknown(talker: &mut Talker<'_>) -> SceneOutcome {
    let mut written = 0;
    for verb in ["put", "remove"] {
        let leaver = Identity::generate();
        // A removal may be a push, which would meet the conflict as well.
        let bend = if verb == "put" { Bend::ConflictEdits } else { Bend::Honest };
        let site = Site { bend, payload: Bend::UnknownMembers, ..Site::of(PLAIN_ID) };
        let house = House::at(talker, site, &[&leaver]).await?;
        let repo = house.enter_plainly(talker).await?;
        let mut before = held(&house).unwrap_or_default();
        let asked = match verb {
            "put" => json!({ "repo": repo, "account": account("new") }),
            _ => json!({ "repo": repo, "memberId": leaver.id }),
        };
        if talker.ask(&house.client, verb, asked).await.is_err() {
            continue;
        }
        if verb == "put" {
            before = house.vault.state().keys.last().map(|forged| forged.payload.clone()).unwrap_or_default();
        }
        let Some(payload) = held(&house) else { continue };
        written += 1;
        if let Some(lost) = payloads::lost_unknown(&before, &payload) {
            let expected = "members that 0.2 doesn't know are there after a conflict, and after a removal";
            let endpoint = if verb == "put" { Endpoint::Push } else { Endpoint::Remove };
            return Err(violation(house.last(endpoint).as_ref(), expected, format!("{lost} is gone after a {verb}")));
        }
    }
    match written {
        0 => Err(SceneStop::NotExercised("it neither puts nor removes where payloads have unknown members".into())),
        written => Ok(crate::ground::shown::count(written, "write")),
    }
}

async fn put_over(talker: &mut Talker<'_>, house: &House, repo: &Value, wanted: &Value) -> Result<(), SceneStop> {
    let asked = json!({ "repo": repo, "account": wanted });
    let expected = "put: the account is added or replaced, also after a conflict";
    talker.ask(&house.client, "put", asked).await.map_err(must("put", expected))?;
    let push = house.last(Endpoint::Push);
    let Some(payload) = held(house) else {
        return Err(SceneStop::NotExercised("what it pushes can't be opened".into()));
    };
    let expected =
        "after a conflict a change is applied again to what was pulled: the account is there once, as it was put";
    let now = of(&payload, &wanted["uuid"]);
    match now.as_slice() {
        [] => Err(violation(push.as_ref(), expected, "it isn't there")),
        [only] if only["accessToken"] == wanted["accessToken"] => Ok(()),
        [_] => Err(violation(push.as_ref(), expected, "it is as somebody else has written it")),
        more => Err(violation(push.as_ref(), expected, format!("it is there {} times", more.len()))),
    }
}

async fn lost(talker: &mut Talker<'_>) -> SceneOutcome {
    let (mut told, mut done) = (0, 0);
    for bend in [Bend::PushLost, Bend::PushUnanswered] {
        let house = House::build(talker, bend, PLAIN_ID, &[]).await?;
        let repo = house.enter_plainly(talker).await?;
        let new = account("unanswered");
        let answer = match talker.ask(&house.client, "put", json!({ "repo": repo, "account": new })).await {
            Err(Failure::Unsupported) => return Err(SceneStop::NotExercised("the adapter doesn't support put".into())),
            // That it doesn't know is a right answer.
            Err(Failure::Refused(..)) => {
                told += 1;
                false
            }
            answer => answer.map_err(must("put", "a put whose push gets no answer has an end"))?.is_object(),
        };
        let push = house.last(Endpoint::Push);
        let Some(payload) = held(&house) else {
            return Err(SceneStop::NotExercised("what it pushes can't be opened".into()));
        };
        if !payload.to_string().contains(&house.canary) {
            let expected = "what others have written is there after a push that got no answer";
            return Err(violation(push.as_ref(), expected, "it is gone"));
        }
        // With the other's write in between, there is a version of the number that the client's own would have had.
        let between = house.vault.state().keys.last().map(|forged| forged.payload.clone());
        if let Some(lost) = between.and_then(|written| payloads::lost(&written, &payload, payloads::is_known)) {
            let expected = "what another member writes while a push gets no answer is there afterwards";
            return Err(violation(push.as_ref(), expected, format!("{}, {lost} is gone", bend.what())));
        }
        let count = of(&payload, &new["uuid"]).len();
        if answer && count != 1 {
            let expected = "a put that is told as done has put the account there, once";
            let observed = format!("{}, it is there {count} times", bend.what());
            return Err(violation(push.as_ref(), expected, observed));
        }
        done += usize::from(answer);
        let records = house.vault.records();
        let pushes: Vec<(_, EncryptedEnvelope)> =
            records.iter().filter_map(|record| Some((record, envelope(record)?))).collect();
        let again = pushes.iter().enumerate().find(|(index, (_, sealed))| {
            pushes[..*index].iter().any(|(_, other)| other.iv == sealed.iv && other.ciphertext != sealed.ciphertext)
        });
        if let Some((_, (record, _))) = again {
            let expected = "an IV is used for one payload only, also when nobody says what became of the first";
            return Err(violation(Some(record), expected, "an earlier payload under this key has the same IV"));
        }
    }
    Ok(format!("{done} done, {told} told as failed"))
}
