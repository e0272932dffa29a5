//! What only an adapter can be asked: the suite owns the repository, so that everything a client writes is opened.

use std::collections::BTreeMap;
use std::pin::Pin;

use serde_json::{Value, json};

/// Scenes as the table of checks has them: each by its name, with what it plays. An adapter goes in, a judgement comes out.
macro_rules! scenes {
    ($($(#[$doc:meta])* $name:ident => $plays:path;)+) => {$(
        $(#[$doc])*
        pub(in $crate::client_scenarios) fn $name(
            adapter: &mut $crate::client_scenarios::driver::Adapter,
        ) -> std::pin::Pin<Box<dyn Future<Output = $crate::client_scenarios::evidence::ClientJudgement> + Send + '_>> {
            Box::pin(async move {
                let mut talker = $crate::client_scenarios::driver::Talker::new(adapter);
                $crate::client_scenarios::scenes::judged($plays(&mut talker).await)
            })
        }
    )+};
}

mod bindings;
mod contested;
mod current;
mod hosts;
mod house;
mod invites;
mod keys;
mod middle;
mod reading;
mod removal;

pub(super) use bindings::{binding_each, invited_key, issuer_certificate, issuer_silent, keeps_bindings};
pub(super) use contested::{keeps_unknown, lost_answer, same_account};
pub(super) use current::{exact_epoch, removal_again, removal_current, wraps_anew};
pub(super) use hosts::{fresh_iv, own_token, two_hosts};
pub(super) use invites::{WRAPS_RIGHT, guest_reads, invites};
pub(super) use keys::own_data_key;
pub(super) use reading::{any_repository, any_text, apart, old_key, writes_over};
pub(super) use removal::{bindings, rotation};

use house::{House, Site};

use super::driver::{Adapter, Failure, Talker, account};
use super::evidence::{ClientJudgement, envelope, exchange};
use super::rules::{entries, payloads};
use super::vault::reading::{bytes_of, is_sealed, open, why_not};
use super::vault::{Bend, Endpoint, Record};
use crate::client::Identity;
use crate::codec::invite::InviteRequest;
use crate::codec::key_wrap::{self, Wrapped};
use crate::codec::{DataKey, base64};
use crate::scenarios::Finding;
use crate::wire::{EncryptedEnvelope, MemberEntry};

/// A scene: gets an adapter, judges.
pub(super) type Scene = for<'a> fn(&'a mut Adapter) -> Pin<Box<dyn Future<Output = ClientJudgement> + Send + 'a>>;

/// Why a scene ends before its last line.
enum SceneStop {
    Violation(Finding),
    /// Not even the most usual repository could be joined and read.
    CannotRead(Finding),
    NotExercised(String),
    SetupFailed(String),
}

impl From<std::io::Error> for SceneStop {
    fn from(error: std::io::Error) -> Self {
        Self::SetupFailed(format!("can't listen: {error}"))
    }
}

/// What a scene comes to: a remark on what was seen, or why it ended early.
type SceneOutcome = Result<String, SceneStop>;

fn judged(outcome: SceneOutcome) -> ClientJudgement {
    match outcome {
        Ok(remark) => ClientJudgement::Holds(remark),
        Err(SceneStop::Violation(finding)) => ClientJudgement::Broken(vec![finding]),
        Err(SceneStop::CannotRead(finding)) => ClientJudgement::Shut(finding),
        Err(SceneStop::NotExercised(why)) => ClientJudgement::NotExercised(why),
        Err(SceneStop::SetupFailed(why)) => ClientJudgement::Unclear(why),
    }
}

fn violation(record: Option<&Record>, expected: &str, observed: impl Into<String>) -> SceneStop {
    let exchange = record.map(exchange);
    SceneStop::Violation(Finding {
        expected: expected.into(),
        observed: observed.into(),
        exchange,
        evidence: Vec::new(),
    })
}

/// What a verb comes to that only sets something up.
fn set(verb: &str) -> impl Fn(Failure) -> SceneStop {
    move |failure| match failure {
        Failure::Unsupported => SceneStop::NotExercised(format!("the adapter doesn't support {verb}")),
        other => SceneStop::SetupFailed(format!("{verb}: {other}")),
    }
}

/// What a verb that must work comes to.
fn must(verb: &'static str, expected: &'static str) -> impl Fn(Failure) -> SceneStop {
    move |failure| match failure {
        Failure::Unsupported => SceneStop::NotExercised(format!("the adapter doesn't support {verb}")),
        other => violation(None, expected, format!("{verb}: {other}")),
    }
}

/// What is in an envelope; `others` are keys that there were before.
fn opened(
    key: &DataKey,
    others: &[DataKey],
    sealed: &EncryptedEnvelope,
    record: &Record,
    expected: &str,
) -> Result<Value, SceneStop> {
    if !is_sealed(sealed) {
        return Err(SceneStop::NotExercised("its IVs aren't 12 bytes, or nothing is encrypted".into()));
    }
    open(key, sealed).ok_or_else(|| violation(Some(record), expected, why_not(key, others, sealed)))
}

/// What an adapter is asked, to invite a guest into a repository.
fn invitation_of(guest: &Identity, repo: &Value) -> Value {
    let (id, x25519) = (guest.id.clone(), guest.x25519_public_key.clone());
    let request = InviteRequest { v: 1, ed25519_public_key: id, x25519_public_key: x25519 };
    json!({ "repo": repo, "inviteRequest": request.encode() })
}

fn unwrap(identity: &Identity, entry: &Value) -> Option<DataKey> {
    let mut entry: MemberEntry = serde_json::from_value(entry.clone()).ok()?;
    let wrapped = &mut entry.wrapped_data_key;
    for text in [&mut wrapped.ephemeral_public_key, &mut wrapped.iv, &mut wrapped.ciphertext] {
        *text = base64::encode(&bytes_of(text)?);
    }
    key_wrap::unwrap(&Wrapped::try_from(&entry.wrapped_data_key).ok()?, identity.x25519_private()).ok()
}

const PLAIN_ID: &str = "5f0c0c86-9a63-4b0a-9c83-0f3b4f1c2d3e";

scenes! {
    /// Ids with characters that a path has to escape.
    odd_ids => ids;
    /// A put keeps everything else, and what it writes is right.
    put_keeps => keeps;
    /// As [`put_keeps`], with somebody else's write between the pull and the push.
    put_reapplies => reapplies;
    /// Locators with optional members absent or null, and with hints that are out of date.
    locators => spelled;
}

async fn ids(talker: &mut Talker<'_>) -> SceneOutcome {
    House::build(talker, Bend::Honest, PLAIN_ID, &[]).await?.enter_plainly(talker).await?;
    let mut tried = 0;
    for id in ["team/alts", "a b+c", "50%2F50", "q??????x=1#~~~~~~y", "é-ключ"] {
        let house = House::build(talker, Bend::Honest, id, &[]).await?;
        let expected = "a repository is used whatever characters its id holds";
        let entered = house.enter(talker, &house.locator().encode(), expected).await;
        let records = house.vault.records();
        let astray =
            records.iter().find(|record| record.target.starts_with("/v1/repos/") && record.repo.as_deref() != Some(id));
        if let Some(record) = astray {
            let observed = format!("for the id {id:?} the path is {}", record.target);
            return Err(violation(Some(record), "an id arrives as it is, percent-encoded once", observed));
        }
        if let Ok(repo) = &entered {
            talker.ask(&house.client, "put", json!({ "repo": repo, "account": account("new") })).await.ok();
        }
        names_itself(&house)?;
        entered?;
        tried += 1;
    }
    Ok(format!("{tried} ids"))
}

/// In a body an id stands as it is: JSON escapes no more than JSON has to.
fn names_itself(house: &House) -> Result<(), SceneStop> {
    for record in house.vault.records().iter().filter(|record| record.repo.as_deref() == Some(&house.id)) {
        let named = ["/repoId", "/envelope/repoId"].iter().filter_map(|place| record.field(place));
        if let Some(named) = named.into_iter().find(|named| **named != *house.id) {
            let observed = format!("for the id {:?} the body says {named}", house.id);
            return Err(violation(Some(record), "an id stands in a body as it is", observed));
        }
    }
    Ok(())
}

async fn keeps(talker: &mut Talker<'_>) -> SceneOutcome {
    put(talker, Site::of(PLAIN_ID)).await?;
    for payload in [Bend::BigTimes, Bend::ManyAccounts, Bend::OddAccounts, Bend::NoProvenance, Bend::SparseAccounts] {
        match put(talker, Site { payload, ..Site::of(PLAIN_ID) }).await {
            // Absent provenance is to be borne (§5), and an account that isn't shown is one that isn't written back.
            Err(SceneStop::CannotRead(found)) if matches!(payload, Bend::NoProvenance | Bend::SparseAccounts) => {
                let expected = "accounts without provenance are read, and are there after a put".to_owned();
                return Err(SceneStop::Violation(Finding { expected, ..found }));
            }
            // A client that can't show such a payload hasn't changed it either.
            Ok(_) | Err(SceneStop::CannotRead(_)) => {}
            other => return other,
        }
    }
    current::put_over_later(talker).await?;
    Ok("8 payloads".into())
}

async fn reapplies(talker: &mut Talker<'_>) -> SceneOutcome {
    put(talker, Site { bend: Bend::ConflictFirst, ..Site::of(PLAIN_ID) }).await?;
    put(talker, Site { bend: Bend::ConflictEdits, ..Site::of(PLAIN_ID) }).await?;
    put(talker, Site { bend: Bend::ConflictTwice, ..Site::of(PLAIN_ID) }).await?;
    put(talker, Site { bend: Bend::ConflictAlways, ..Site::of(PLAIN_ID) }).await
}

async fn spelled(talker: &mut Talker<'_>) -> SceneOutcome {
    let cases: [(&'static str, fn(&mut Value)); 4] = [
        ("a locator without schemeId, keyEpoch and issuerJwksUrl is enough", |locator| {
            ["schemeId", "keyEpoch", "issuerJwksUrl"].iter().for_each(|name| {
                locator.as_object_mut().map(|members| members.remove(*name));
            });
        }),
        ("optional members of a locator may be null", |locator| {
            ["schemeId", "keyEpoch", "issuerJwksUrl"].iter().for_each(|name| locator[*name] = Value::Null);
        }),
        ("the manifest's scheme counts, not the locator's", |locator| locator["schemeId"] = "another".into()),
        ("the manifest's epoch counts, not the locator's", |locator| locator["keyEpoch"] = 41.into()),
    ];
    House::build(talker, Bend::Honest, PLAIN_ID, &[]).await?.enter_plainly(talker).await?;
    for (expected, change) in cases {
        let house = House::build(talker, Bend::Honest, PLAIN_ID, &[]).await?;
        let mut locator: Value = serde_json::from_str(&house.locator().to_json()).unwrap_or_default();
        change(&mut locator);
        house.enter(talker, &base64::encode_url(locator.to_string().as_bytes()), expected).await?;
    }
    Ok("4 locators".into())
}

async fn put(talker: &mut Talker<'_>, site: Site<'_>) -> SceneOutcome {
    let house = House::at(talker, site, &[]).await?;
    let repo = house.enter_plainly(talker).await?;
    let mut new = account("new");
    if site.bend == Bend::Honest {
        // Two accounts may have had the same name; it is the uuid that tells them apart.
        new["username"] = format!("v{}n1", house.canary).into();
        // JSON is UTF-8, whatever is in it (RFC 8259 §8.1).
        new["sourceUser"] = "Zo\u{eb}, \u{437}\u{430}\u{43f}\u{430}\u{441}\u{43d}\u{43e}\u{439}".into();
    }
    // Afterwards the repository holds what the client has made of it.
    let before = forge_of(&house);
    let asked = json!({ "repo": repo, "account": new });
    match talker.ask(&house.client, "put", asked).await {
        // How often a client tries is its own affair, as long as it says that it has given up.
        Err(Failure::Refused(..)) if site.bend == Bend::ConflictTwice => return Ok(String::new()),
        // Whether it ends at all is another check's to ask.
        Err(_) if site.bend == Bend::ConflictAlways => return Ok(String::new()),
        answer => answer.map_err(must("put", "an account is added, also after a conflict"))?,
    };
    let expected = "put: the account is in the repository afterwards";
    let push = house.last(Endpoint::Push).ok_or_else(|| violation(None, expected, "no push was accepted"))?;
    let sealed = envelope(&push).ok_or_else(|| violation(Some(&push), expected, "there is no envelope"))?;
    let opens = "the pushed payload opens under the data key, bound to its header";
    // A client may rotate with every push; its owner's entry has the new key then.
    let entries = entries(&push);
    let own = entries.iter().find(|(_, entry)| entry["ed25519PublicKey"] == house.owner.id);
    let rotated = own.and_then(|(_, entry)| house.unwrap(entry));
    // Another member may have rotated meanwhile.
    let keys: Vec<_> = {
        let state = house.vault.state();
        let of_epoch = state.keys.iter().rfind(|forged| forged.epoch == sealed.key_epoch);
        let first = rotated.or_else(|| of_epoch.map(|forged| forged.key.clone()));
        let others = state.keys.iter().map(|forged| forged.key.clone());
        first.into_iter().chain([house.key.clone()]).chain(others).collect()
    };
    let payload = opened(&keys[0], &keys[1..], &sealed, &push, opens)?;
    payloads::shape_of(&payload).map_err(|(expected, observed)| violation(Some(&push), &expected, observed))?;
    let written = house.vault.state().keys.last().map(|forged| forged.payload.clone());
    let others = written.as_ref().unwrap_or(&before);
    let is_kept = "what others have written is there after a put";
    if let Some(lost) = payloads::lost(others, &payload, payloads::is_known) {
        return Err(violation(Some(&push), is_kept, format!("{lost} is gone, or isn't what they have made it")));
    }
    let (old, now) = (accounts(others), accounts(&payload));
    if accounts(&before).iter().any(|(uuid, _)| !old.contains_key(uuid) && now.contains_key(uuid)) {
        return Err(violation(Some(&push), is_kept, "an account is there again that somebody else had deleted"));
    }
    // Whoever uses an account may say so; nobody can have used it less recently than somebody else has.
    let earlier = |old: &Value, now: &Value| now["lastUsed"].as_i64() < old["lastUsed"].as_i64();
    let exact = |time: &Value| time.as_i64().is_some_and(|time| time > 1 << 53);
    if old.iter().any(|(uuid, old)| {
        now.get(uuid)
            .is_some_and(|now| earlier(old, now) || exact(&old["lastUsed"]) && now["lastUsed"] != old["lastUsed"])
    }) {
        return Err(violation(Some(&push), is_kept, "lastUsed of another member's account was rounded, or set back"));
    }
    let used = |account: &Value| account["lastUsedBy"].as_str().is_some();
    if old
        .iter()
        .any(|(uuid, old)| used(old) && now.get(uuid).is_some_and(|now| now["lastUsedBy"] != old["lastUsedBy"]))
    {
        return Err(violation(Some(&push), is_kept, "lastUsedBy of another member's account names somebody else"));
    }
    let has_new = payload["alts"].as_array().into_iter().flatten().any(|account| account["uuid"] == new["uuid"]);
    if has_new { Ok(String::new()) } else { Err(violation(Some(&push), expected, "it isn't")) }
}

/// Accounts by their ids.
fn accounts(payload: &Value) -> BTreeMap<&str, &Value> {
    let all = payload["alts"].as_array().into_iter().flatten();
    all.filter_map(|account| Some((account["uuid"].as_str()?, account))).collect()
}

/// What stood in the repository at first.
fn forge_of(house: &House) -> Value {
    let state = house.vault.state();
    let first = state.repos.get(&house.id).and_then(|repo| repo.forged.clone());
    first
        .map(|forged| {
            let mut payload = forged.payload;
            if let Some(accounts) = payload["alts"].as_array_mut() {
                accounts
                    .retain(|account| account["username"].as_str().is_some_and(|name| name.contains(&house.canary)));
            }
            payload
        })
        .unwrap_or_default()
}
