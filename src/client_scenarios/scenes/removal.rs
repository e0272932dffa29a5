//! Removals: whose keys a client trusts, and what it leaves to whom.

use serde_json::{Value, json};

use super::super::driver::{Failure, Talker};
use super::super::evidence::envelope;
use super::super::rules::entries;
use super::super::vault::reading::derived;
use super::super::vault::{Bend, Record};
use super::middle::Middle;
use super::{House, PLAIN_ID, SceneOutcome, SceneStop, Site, must, opened, unwrap, violation};
use crate::client::Identity;
use crate::codec::DataKey;

scenes! {
    /// Bindings are verified before a key is wrapped (§9).
    bindings => binding;
    /// A removal rotates for those who stay (§10).
    rotation => rotates;
}

async fn binding(talker: &mut Talker<'_>) -> SceneOutcome {
    let removal = Removal::play(talker, None).await?;
    removal.answer.map_err(must("remove", "a member is removed where every binding verifies"))?;
    let other = removal.house.vault.state().issuer;
    // The next repository has another issuer.
    let next = Removal::play(talker, None).await?;
    let expected =
        "a member is removed where every binding verifies under the repository's own issuer, and not the last one's";
    next.answer.map_err(must("remove", expected))?;
    let all = [Middle::Unsigned, Middle::OwnSignature, Middle::OldSignature];
    let forms = [Middle::Reversed, Middle::Malformed("AAAA"), Middle::Malformed("not base64!"), Middle::Malformed("")];
    let others = [Middle::SelfSigned, Middle::IdOnly, Middle::OtherIssuer(other)];
    for middle in all.into_iter().chain(forms).chain(others) {
        let identity = Identity::generate();
        let removal = Removal::play(talker, Some((&identity, middle))).await?;
        if removal.entries().iter().any(|entry| unwrap(&identity, entry).is_some()) {
            let expected = "nothing is wrapped to a served key whose binding doesn't verify under the issuer's key";
            let observed = format!("the new data key was, though {}", middle.what());
            return Err(violation(removal.request.as_ref(), expected, observed));
        }
    }
    super::bindings::two_issuers(talker).await
}

/// A removal on a host that publishes bindings, and what came of it.
struct Removal {
    house: House,
    leaver: Identity,
    stayer: Identity,
    answer: Result<Value, Failure>,
    request: Option<Record>,
}

impl Removal {
    async fn play(talker: &mut Talker<'_>, middle: Option<(&Identity, Middle)>) -> Result<Self, SceneStop> {
        let (leaver, stayer) = (Identity::generate(), Identity::generate());
        let house = House::build(talker, Bend::Honest, PLAIN_ID, &[&leaver, &stayer]).await?;
        let repo = house.enter_plainly(talker).await?;
        if let Some((middle, how)) = middle {
            how.swap(&house, &stayer, middle);
        }
        let answer = talker.ask(&house.client, "remove", json!({ "repo": repo, "memberId": leaver.id })).await;
        let request = house.last_removal();
        Ok(Self { house, leaver, stayer, answer, request })
    }

    fn entries(&self) -> Vec<Value> {
        self.request.iter().flat_map(entries).map(|(_, entry)| entry.clone()).collect()
    }
}

/// The new data key of another client that removes the same member from a repository under the same data key. What it knows
/// otherwise is its own: if the key is the same, it is made of what the removed member knows, too.
async fn same_again(
    talker: &mut Talker<'_>,
    house: &House,
    leaver: &Identity,
    stayer: &Identity,
) -> Result<Option<DataKey>, SceneStop> {
    let site = Site { key: Some(*house.key.as_bytes()), ..Site::of(PLAIN_ID) };
    let twin = House::at(talker, site, &[leaver, stayer]).await?;
    let repo = twin.enter_plainly(talker).await?;
    talker.ask(&twin.client, "remove", json!({ "repo": repo, "memberId": leaver.id })).await.ok();
    let Some(request) = twin.last_removal() else { return Ok(None) };
    let own = entries(&request).into_iter().find(|(_, entry)| entry["ed25519PublicKey"] == stayer.id);
    Ok(own.and_then(|(_, entry)| unwrap(stayer, entry)))
}

async fn rotates(talker: &mut Talker<'_>) -> SceneOutcome {
    let removal = Removal::play(talker, None).await?;
    let entries = removal.entries();
    let Removal { house, leaver, stayer, answer, request } = removal;
    let Some(request) = request.as_ref() else {
        return Err(SceneStop::NotExercised(match answer {
            Err(failure) => format!("no member was removed ({failure})"),
            Ok(_) => "removeMember was never asked for".into(),
        }));
    };
    let of = |id: &str| entries.iter().find(|entry| entry["ed25519PublicKey"] == id);
    let key = of(&house.owner.id).and_then(|entry| house.unwrap(entry));
    let key = key.ok_or_else(|| violation(Some(request), "who stays unwraps the new data key", "the owner can't"))?;
    let same = of(&stayer.id).and_then(|entry| unwrap(&stayer, entry)).is_some_and(|other| other == key);
    if !same {
        return Err(violation(Some(request), "everybody who stays gets the same new data key", "somebody doesn't"));
    }
    if key == house.key {
        return Err(violation(Some(request), "a removal comes with a new data key", "it is the old one"));
    }
    if derived(&house.key, Site::of(PLAIN_ID).epoch + 1).contains(key.as_bytes()) {
        let expected = "who goes can't make the new data key of the old one";
        return Err(violation(Some(request), expected, "it is a hash of the old one"));
    }
    if key.as_bytes().chunks(8).zip(house.key.as_bytes().chunks(8)).any(|(new, old)| new == old) {
        return Err(violation(Some(request), "a removal comes with a new data key", "a part of it is the old one's"));
    }
    if entries.iter().any(|entry| unwrap(&leaver, entry).is_some()) {
        return Err(violation(Some(request), "who goes gets no new key", "there is a wrap for the removed member"));
    }
    if same_again(talker, &house, &leaver, &stayer).await?.is_some_and(|again| again == key) {
        let expected = "who goes can't make the new data key of the old one";
        let observed = "another client that began with the same old key, id and counters has made the same new one";
        return Err(violation(Some(request), expected, observed));
    }
    let opens = "the rotated payload opens under the new data key, bound to its header";
    let sealed = envelope(request).ok_or_else(|| violation(Some(request), opens, "there is none"))?;
    let payload = opened(&key, std::slice::from_ref(&house.key), &sealed, request, opens)?;
    if !payload.to_string().contains(&house.canary) {
        return Err(violation(Some(request), "the accounts are there after a removal", "they are gone"));
    }
    Ok(String::new())
}
