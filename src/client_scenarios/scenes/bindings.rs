//! Bindings, when something is wrong with who is to vouch for them, or with which entry is looked at (§9).

use serde_json::{Value, json};

use super::super::driver::{Failure, Talker};
use super::super::rules::entries;
use super::super::vault::{ArrivedAt, Bend, Channel, Endpoint, Issuer, Moment};
use super::middle::Middle;
use super::{House, PLAIN_ID, SceneOutcome, SceneStop, invitation_of, unwrap, violation};
use crate::client::Identity;
use crate::wire::MemberEntry;

scenes! {
    /// No keys, no binding.
    issuer_silent => silent;
    /// The entry that is wrapped to is the one that is verified.
    binding_each => each;
    /// The key of an invite request is the joiner's.
    invited_key => invited;
    /// The issuer proves who it is, too.
    issuer_certificate => certificate;
    /// Bindings of who stays are there after a removal.
    keeps_bindings => kept;
}

/// Whether the last removal has wrapped a key to somebody in the middle.
fn wrapped_to(house: &House, middle: &Identity, why: &str) -> Result<(), SceneStop> {
    let request = house.last_removal();
    let wrapped = request
        .as_ref()
        .is_some_and(|request| entries(request).into_iter().any(|(_, entry)| unwrap(middle, entry).is_some()));
    if !wrapped {
        return Ok(());
    }
    let expected = "nothing is wrapped to a served key that wasn't verified";
    Err(violation(request.as_ref(), expected, format!("the new data key was, though {why}")))
}

/// A removal that only prepares what is looked at.
async fn removed(talker: &mut Talker<'_>, house: &House, repo: &Value, leaver: &Identity) -> Result<(), SceneStop> {
    let asked = json!({ "repo": repo, "memberId": leaver.id });
    match talker.ask(&house.client, "remove", asked).await {
        Ok(_) => Ok(()),
        Err(Failure::Unsupported) => Err(SceneStop::NotExercised("the adapter doesn't support remove".into())),
        Err(failure) => Err(SceneStop::NotExercised(format!("no member can be removed where all is well ({failure})"))),
    }
}

async fn silent(talker: &mut Talker<'_>) -> SceneOutcome {
    let (leaver, stayer, middle) = (Identity::generate(), Identity::generate(), Identity::generate());
    let house = House::build(talker, Bend::Honest, PLAIN_ID, &[&leaver, &stayer]).await?;
    let repo = house.enter_plainly(talker).await?;
    removed(talker, &house, &repo, &leaver).await?;
    let ways = [
        (Some(Issuer::Fails), "the issuer answers 500"),
        (Some(Issuer::Page), "the issuer answers with a page"),
        (Some(Issuer::Empty), "the issuer has no keys"),
        (Some(Issuer::Foreign), "the issuer has no Ed25519 key"),
        (Some(Issuer::Missing), "the issuer answers 404"),
        (None, "the issuer can't be reached"),
    ];
    for (issuer, why) in ways {
        let house = House::build(talker, Bend::Honest, PLAIN_ID, &[&leaver, &stayer]).await?;
        let mut locator = house.locator();
        match issuer {
            Some(issuer) => house.vault.state().issuer_state = issuer,
            None => locator.issuer_jwks_url = Some("http://127.0.0.1:1/.well-known/jwks.json".into()),
        }
        let expected = "a repository is read whatever its issuer does";
        let repo = match house.enter(talker, &locator.encode(), expected).await {
            Err(SceneStop::Violation(_)) => continue,
            entered => entered?,
        };
        Middle::OldSignature.swap(&house, &stayer, &middle);
        talker.ask(&house.client, "remove", json!({ "repo": repo, "memberId": leaver.id })).await.ok();
        wrapped_to(&house, &middle, why)?;
    }
    of_another(talker).await?;
    Ok(format!("{} ways", ways.len() + 1))
}

/// The issuer is down, and bindings are those of the issuer that the client has asked before, of a repository elsewhere.
async fn of_another(talker: &mut Talker<'_>) -> Result<(), SceneStop> {
    const OTHER: &str = "another";
    let [leaver, stayer, middle] = std::array::from_fn(|_| Identity::generate());
    let first = House::build(talker, Bend::Honest, PLAIN_ID, &[&leaver, &stayer]).await?;
    let repo = first.enter_plainly(talker).await?;
    removed(talker, &first, &repo, &leaver).await?;
    let earlier = first.vault.state().issuer;
    let second = House::build(talker, Bend::Honest, OTHER, &[&leaver, &stayer]).await?;
    second.admit(&first.own.0, &first.own.1)?;
    let joined = talker.ask(&first.client, "join", json!({ "locator": second.locator().encode() })).await;
    // That a client uses two hosts at all is another rule's.
    let Ok(joined) = joined else { return Ok(()) };
    second.vault.state().issuer_state = Issuer::Fails;
    Middle::swap_key_in(&second, OTHER, &stayer.id, &middle);
    second.signed_by(OTHER, &earlier);
    talker.ask(&first.client, "remove", json!({ "repo": joined["repo"], "memberId": leaver.id })).await.ok();
    wrapped_to(&second, &middle, "the issuer answers 500, and the binding is by the issuer of another repository")
}

async fn each(talker: &mut Talker<'_>) -> SceneOutcome {
    let [first, second, stayer, middle] = std::array::from_fn(|_| Identity::generate());
    // Who was verified once is verified again.
    let house = House::build(talker, Bend::Honest, PLAIN_ID, &[&first, &second, &stayer]).await?;
    let repo = house.enter_plainly(talker).await?;
    removed(talker, &house, &repo, &first).await?;
    Middle::OldSignature.swap(&house, &stayer, &middle);
    talker.ask(&house.client, "remove", json!({ "repo": repo, "memberId": second.id })).await.ok();
    wrapped_to(&house, &middle, "only the member's earlier key had been verified")?;
    // Two answers about a member may differ.
    let house = House::build(talker, Bend::Honest, PLAIN_ID, &[&first, &stayer]).await?;
    let repo = house.enter_plainly(talker).await?;
    let right = house.vault.state().repos.get(PLAIN_ID).and_then(|repo| repo.manifest.member(&stayer.id).cloned());
    house.vault.state().fetched.extend(right);
    Middle::OldSignature.swap(&house, &stayer, &middle);
    talker.ask(&house.client, "remove", json!({ "repo": repo, "memberId": first.id })).await.ok();
    wrapped_to(&house, &middle, "only the entry that fetchMemberKey serves verifies")?;
    let house = House::build(talker, Bend::Honest, PLAIN_ID, &[&first, &stayer]).await?;
    let repo = house.enter_plainly(talker).await?;
    let right = house.vault.state().repos.get(PLAIN_ID).and_then(|repo| repo.manifest.member(&stayer.id).cloned());
    let other = right.map(|entry| MemberEntry { x25519_public_key: middle.x25519_public_key.clone(), ..entry });
    house.vault.state().fetched.extend(other);
    talker.ask(&house.client, "remove", json!({ "repo": repo, "memberId": first.id })).await.ok();
    wrapped_to(&house, &middle, "only the roster's entry verifies, and not the one that fetchMemberKey serves")?;
    // Of two pulls of one removal, too.
    let house = House::build(talker, Bend::Honest, PLAIN_ID, &[&first, &stayer]).await?;
    let repo = house.enter_plainly(talker).await?;
    let (id, x25519) = (stayer.id.clone(), middle.x25519_public_key.clone());
    house.around(Moment::After, Endpoint::Pull, move |state| state.swap_key(PLAIN_ID, &id, &x25519));
    talker.ask(&house.client, "remove", json!({ "repo": repo, "memberId": first.id })).await.ok();
    wrapped_to(&house, &middle, "only what the first of two pulls serves verifies")?;
    everybody(talker).await
}

/// Every place of a roster is looked at: the last one, the client's own, and those of members that it has invited itself.
async fn everybody(talker: &mut Talker<'_>) -> SceneOutcome {
    let [leaver, middle, guest] = std::array::from_fn(|_| Identity::generate());
    let crowd: [Identity; 6] = std::array::from_fn(|_| Identity::generate());
    let others: Vec<&Identity> = std::iter::once(&leaver).chain(&crowd).collect();
    let house = House::build(talker, Bend::Honest, PLAIN_ID, &others).await?;
    let repo = house.enter_plainly(talker).await?;
    Middle::OldSignature.swap(&house, &crowd[5], &middle);
    talker.ask(&house.client, "remove", json!({ "repo": repo, "memberId": leaver.id })).await.ok();
    wrapped_to(&house, &middle, "it stood at the last place of the roster, with another key's binding")?;
    // The smallest roster, and its first place.
    let house = House::build(talker, Bend::Honest, PLAIN_ID, &[&leaver]).await?;
    let repo = house.enter_plainly(talker).await?;
    Middle::OldSignature.swap(&house, &house.owner, &middle);
    talker.ask(&house.client, "remove", json!({ "repo": repo, "memberId": leaver.id })).await.ok();
    wrapped_to(&house, &middle, "it stood at the first place of a roster of two, with another key's binding")?;
    let house = House::build(talker, Bend::Honest, PLAIN_ID, &[&leaver]).await?;
    let repo = house.enter_plainly(talker).await?;
    Middle::swap_key(&house, &house.own.0, &middle);
    talker.ask(&house.client, "remove", json!({ "repo": repo, "memberId": leaver.id })).await.ok();
    wrapped_to(&house, &middle, "it stood in the client's own entry, with another key's binding")?;
    let house = House::build(talker, Bend::Honest, PLAIN_ID, &[&leaver]).await?;
    let repo = house.enter_plainly(talker).await?;
    let asked = invitation_of(&guest, &repo);
    talker.ask(&house.client, "invite", asked).await.ok();
    Middle::swap_key(&house, &guest.id, &middle);
    talker.ask(&house.client, "remove", json!({ "repo": repo, "memberId": leaver.id })).await.ok();
    wrapped_to(&house, &middle, "it stood in the entry of a member that the client had invited with another key")?;
    Ok(String::new())
}

/// Two repositories of one host, each with an issuer of its own; both issuers are of one server, too.
pub(super) async fn two_issuers(talker: &mut Talker<'_>) -> SceneOutcome {
    const OTHER: &str = "another";
    let [leaver, stayer, middle] = std::array::from_fn(|_| Identity::generate());
    let house = House::build(talker, Bend::Honest, PLAIN_ID, &[&leaver, &stayer]).await?;
    let repo = house.enter_plainly(talker).await?;
    let locator = house.neighbour(OTHER)?;
    let Ok(joined) = talker.ask(&house.client, "join", json!({ "locator": locator.encode() })).await else {
        return Ok("one issuer: no second repository of a host is joined".into());
    };
    let (first, second) = {
        let state = house.vault.state();
        (state.issuer, state.second_issuer)
    };
    for (id, repo, issuer) in [(PLAIN_ID, &repo, &second), (OTHER, &joined["repo"], &first)] {
        Middle::swap_key_in(&house, id, &stayer.id, &middle);
        house.signed_by(id, issuer);
        talker.ask(&house.client, "remove", json!({ "repo": repo, "memberId": leaver.id })).await.ok();
        wrapped_to(&house, &middle, "its binding was by the issuer of another repository of the same host")?;
    }
    Ok(String::new())
}

async fn invited(talker: &mut Talker<'_>) -> SceneOutcome {
    let (guest, middle) = (Identity::generate(), Identity::generate());
    let house = House::build(talker, Bend::Honest, PLAIN_ID, &[&guest]).await?;
    let repo = house.enter_plainly(talker).await?;
    Middle::Unsigned.swap(&house, &guest, &middle);
    let asked = invitation_of(&guest, &repo);
    if matches!(talker.ask(&house.client, "invite", asked).await, Err(Failure::Unsupported)) {
        return Err(SceneStop::NotExercised("the adapter doesn't support invite".into()));
    }
    let records = house.vault.records();
    let wrong = records
        .iter()
        .filter(|record| record.endpoint == Endpoint::Add)
        .find(|record| record.field("/member").is_some_and(|entry| unwrap(&middle, entry).is_some()));
    let expected = "an invitation wraps to the key that the invite request names";
    let observed = "it was wrapped to another one, which the server had put into the roster";
    wrong.map_or(Ok(String::new()), |record| Err(violation(Some(record), expected, observed)))
}

async fn kept(talker: &mut Talker<'_>) -> SceneOutcome {
    let (leaver, stayer) = (Identity::generate(), Identity::generate());
    let house = House::build(talker, Bend::Honest, PLAIN_ID, &[&leaver, &stayer]).await?;
    let repo = house.enter_plainly(talker).await?;
    let before = house.vault.state().repos.get(PLAIN_ID).map(|repo| repo.manifest.members.clone()).unwrap_or_default();
    removed(talker, &house, &repo, &leaver).await?;
    let Some(request) = house.last_removal() else {
        return Err(SceneStop::NotExercised("removeMember was never asked for".into()));
    };
    let expected = "an entry that a removal wraps anew has the binding that was served with its keys";
    let mut looked_at = 0;
    for (_, entry) in entries(&request) {
        let old = before.iter().find(|old| {
            entry["ed25519PublicKey"] == old.ed25519_public_key && entry["x25519PublicKey"] == old.x25519_public_key
        });
        let Some(old) = old else { continue };
        looked_at += 1;
        let whose =
            if old.ed25519_public_key == house.own.0 { "its own entry" } else { "the entry of a member who stays" };
        match entry["keyBindingSig"].as_str() {
            None => return Err(violation(Some(&request), expected, format!("{whose} has none"))),
            sent if sent != old.key_binding_sig.as_deref() => {
                return Err(violation(Some(&request), expected, format!("{whose} has another one")));
            }
            _ => {}
        }
    }
    Ok(crate::ground::shown::count(looked_at, "binding"))
}

async fn certificate(talker: &mut Talker<'_>) -> SceneOutcome {
    let (leaver, stayer) = (Identity::generate(), Identity::generate());
    let house = House::build(talker, Bend::IssuerUnknownCa, PLAIN_ID, &[&leaver, &stayer]).await?;
    let repo = house.enter_plainly(talker).await?;
    let answer = talker.ask(&house.client, "remove", json!({ "repo": repo, "memberId": leaver.id })).await;
    let records = house.vault.records();
    let asked = records.iter().find(|record| record.place == ArrivedAt::Elsewhere && record.over == Channel::WrongTls);
    let expected = "the issuer's keys are taken from nobody whose certificate is wrong";
    match (asked, answer) {
        (Some(record), _) => Err(violation(Some(record), expected, "they were asked for over such a connection")),
        (None, Err(Failure::Unsupported)) => Err(SceneStop::NotExercised("the adapter doesn't support remove".into())),
        (None, Ok(_)) => Err(SceneStop::NotExercised("the issuer isn't asked for a removal".into())),
        (None, Err(_)) => Ok(String::new()),
    }
}
