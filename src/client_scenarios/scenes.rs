//! What only an adapter can be asked: the suite owns the repository, so that everything a client writes is opened.

use std::pin::Pin;

use serde_json::{Value, json};

use super::driver::{Adapter, Failure, Talker, account};
use super::evidence::{Judgement, envelope, exchange};
use super::rules::payloads;
use super::vault::forge::{self, Forged};
use super::vault::state::{Repo, open};
use super::vault::{Bend, Op, Record, Vault};
use crate::client::{Identity, random};
use crate::codec::invite::InviteRequest;
use crate::codec::key_wrap::{self, SCHEME_ID, Wrapped};
use crate::codec::locator::RepoLocator;
use crate::codec::{DataKey, base64, key_binding, signature};
use crate::scenarios::Finding;
use crate::wire::{MemberEntry, VaultManifest};

/// A scene: gets an adapter, judges.
pub(super) type Scene = for<'a> fn(&'a mut Adapter) -> Pin<Box<dyn Future<Output = Judgement> + Send + 'a>>;

/// Why a scene ends before its last line.
enum Stop {
    Broken(Finding),
    Missing(String),
    Trouble(String),
}

impl From<std::io::Error> for Stop {
    fn from(error: std::io::Error) -> Self {
        Self::Trouble(format!("can't listen: {error}"))
    }
}

type Outcome = Result<String, Stop>;

fn judged(outcome: Outcome) -> Judgement {
    match outcome {
        Ok(remark) => Judgement::Holds(remark),
        Err(Stop::Broken(finding)) => Judgement::Broken(vec![finding]),
        Err(Stop::Missing(why)) => Judgement::NotExercised(why),
        Err(Stop::Trouble(why)) => Judgement::Unclear(why),
    }
}

fn broken(record: Option<&Record>, expected: &str, observed: impl Into<String>) -> Stop {
    let exchange = record.map(exchange);
    Stop::Broken(Finding { expected: expected.into(), observed: observed.into(), exchange, evidence: Vec::new() })
}

/// What a verb that only sets the scene comes to.
fn set(verb: &str) -> impl Fn(Failure) -> Stop {
    move |failure| match failure {
        Failure::Unsupported => Stop::Missing(format!("the adapter doesn't support {verb}")),
        other => Stop::Trouble(format!("{verb}: {other}")),
    }
}

/// What a verb that must work comes to.
fn must(verb: &'static str, expected: &'static str) -> impl Fn(Failure) -> Stop {
    move |failure| match failure {
        Failure::Unsupported => Stop::Missing(format!("the adapter doesn't support {verb}")),
        other => broken(None, expected, format!("{verb}: {other}")),
    }
}

/// A repository of the suite's own, with the client as a member.
struct House {
    vault: Vault,
    owner: Identity,
    client: String,
    id: String,
    key: DataKey,
    canary: String,
}

impl House {
    /// A vault with a repository `id` at a version, in which the owner, the client and `others` are members. Entries carry the
    /// issuer's bindings.
    async fn build(talker: &mut Talker<'_>, bend: Bend, id: &str, others: &[&Identity]) -> Result<Self, Stop> {
        let canary = crate::ground::hex::encode(&random::bytes::<5>());
        let vault = Vault::start(bend, "127.0.0.1:0", true, &format!("v{canary}n")).await?;
        let client = format!("client-{canary}");
        let keys = talker.ask(&client, "identity", json!({ "scheme": "http" })).await.map_err(set("identity"))?;
        let text = |name: &str| keys[name].as_str().unwrap_or_default().to_owned();
        let owner = Identity::generate();
        let key = DataKey::new(random::bytes());
        let issuer = vault.state().issuer;
        let mut people = vec![(owner.id.clone(), owner.x25519_public_key.clone())];
        people.push((text("ed25519PublicKey"), text("x25519PublicKey")));
        people.extend(others.iter().map(|other| (other.id.clone(), other.x25519_public_key.clone())));
        let mut members = Vec::new();
        for (id, x25519) in people {
            let unusable = || Stop::Trouble("identity: x25519PublicKey isn't the base64 of 32 bytes".into());
            let wrapped_data_key = forge::wrap(Bend::Honest, &key, &x25519).ok_or_else(unusable)?;
            let signed = signature::sign(&issuer, &key_binding::message(&id, &x25519));
            members.push(MemberEntry {
                ed25519_public_key: id,
                x25519_public_key: x25519,
                wrapped_data_key,
                key_epoch: 3,
                key_binding_sig: Some(base64::encode(&signed)),
            });
        }
        let payload = forge::payload(bend, &format!("v{canary}n"), 7);
        let forged = Forged { repo: id.into(), epoch: 3, key: key.clone(), payload };
        let envelope = forge::seal(Bend::Honest, &forged, 7, &forged.payload.to_string());
        let manifest = VaultManifest {
            repo_id: id.into(),
            scheme_id: SCHEME_ID.into(),
            key_epoch: 3,
            payload_version: 7,
            members,
            share_refresh_tokens: None,
        };
        let repo = Repo::new(manifest, envelope, &owner.id, Some(forged));
        vault.state().repos.insert(id.into(), repo);
        Ok(Self { vault, owner, client, id: id.into(), key, canary })
    }

    fn locator(&self) -> RepoLocator {
        RepoLocator {
            v: 1,
            host: self.vault.address.to_string(),
            repo_id: self.id.clone(),
            scheme_id: Some(SCHEME_ID.into()),
            key_epoch: Some(3),
            issuer_jwks_url: None,
        }
    }

    /// The client joins and reads; returns how it calls the repository.
    async fn enter(&self, talker: &mut Talker<'_>, locator: &str, expected: &'static str) -> Result<Value, Stop> {
        let joined = talker.ask(&self.client, "join", json!({ "locator": locator })).await;
        let repo = joined.map_err(must("join", expected))?["repo"].clone();
        let read = talker.ask(&self.client, "read", json!({ "repo": repo })).await.map_err(must("read", expected))?;
        if !read.to_string().contains(&self.canary) {
            return Err(broken(None, expected, "read: the accounts aren't those of the repository"));
        }
        Ok(repo)
    }

    fn last(&self, op: Op) -> Option<Record> {
        self.vault.records().into_iter().rfind(|record| record.op == op && record.is_done())
    }

    /// What the owner gets out of a wrap.
    fn unwrap(&self, entry: &Value) -> Option<DataKey> {
        unwrap(&self.owner, entry)
    }
}

fn unwrap(identity: &Identity, entry: &Value) -> Option<DataKey> {
    let entry: MemberEntry = serde_json::from_value(entry.clone()).ok()?;
    key_wrap::unwrap(&Wrapped::try_from(&entry.wrapped_data_key).ok()?, identity.x25519_private()).ok()
}

const PLAIN_ID: &str = "5f0c0c86-9a63-4b0a-9c83-0f3b4f1c2d3e";

/// Ids with characters that a path has to escape.
pub(super) fn odd_ids(adapter: &mut Adapter) -> Pin<Box<dyn Future<Output = Judgement> + Send + '_>> {
    Box::pin(async move {
        let mut talker = Talker::new(adapter);
        let outcome = async {
            let mut tried = 0;
            for id in ["team/alts", "a b+c", "50%2F50", "q?x=1#y", "é-ключ"] {
                let house = House::build(&mut talker, Bend::Honest, id, &[]).await?;
                let expected = "a repository is used whatever characters its id holds";
                let entered = house.enter(&mut talker, &house.locator().encode(), expected).await;
                let records = house.vault.records();
                let astray = records
                    .iter()
                    .find(|record| record.target.starts_with("/v1/repos/") && record.repo.as_deref() != Some(id));
                if let Some(record) = astray {
                    let observed = format!("for the id {id:?} the path is {}", record.target);
                    return Err(broken(Some(record), "an id arrives as it is, percent-encoded once", observed));
                }
                entered?;
                tried += 1;
            }
            Ok(format!("{tried} ids"))
        }
        .await;
        judged(outcome)
    })
}

/// A put keeps everything else, and what it writes is right.
pub(super) fn put_keeps(adapter: &mut Adapter) -> Pin<Box<dyn Future<Output = Judgement> + Send + '_>> {
    Box::pin(async move {
        let mut talker = Talker::new(adapter);
        judged(put(&mut talker, Bend::Honest).await)
    })
}

/// As [`put_keeps`], with somebody else's write between the pull and the push.
pub(super) fn put_reapplies(adapter: &mut Adapter) -> Pin<Box<dyn Future<Output = Judgement> + Send + '_>> {
    Box::pin(async move {
        let mut talker = Talker::new(adapter);
        judged(put(&mut talker, Bend::ConflictFirst).await)
    })
}

async fn put(talker: &mut Talker<'_>, bend: Bend) -> Outcome {
    let house = House::build(talker, bend, PLAIN_ID, &[]).await?;
    let repo = house.enter(talker, &house.locator().encode(), "a repository is joined and read").await?;
    let new = account("new");
    let asked = json!({ "repo": repo, "account": new });
    talker.ask(&house.client, "put", asked).await.map_err(must("put", "an account is added, also after a conflict"))?;
    let expected = "put: the account is in the repository afterwards";
    let push = house.last(Op::Push).ok_or_else(|| broken(None, expected, "no push was accepted"))?;
    let sealed = envelope(&push).ok_or_else(|| broken(Some(&push), expected, "there is no envelope"))?;
    let opens = "the pushed payload opens under the data key, bound to its header";
    let payload = open(&house.key, &sealed).ok_or_else(|| broken(Some(&push), opens, "it doesn't"))?;
    payloads::shape_of(&payload).map_err(|(expected, observed)| broken(Some(&push), &expected, observed))?;
    let written = house.vault.state().keys.last().map(|forged| forged.payload.clone());
    let others = written.unwrap_or_else(|| forge_of(&house));
    if let Some(lost) = payloads::lost(&others, &payload, payloads::is_known) {
        return Err(broken(Some(&push), "what others have written is there after a put", format!("{lost} is gone")));
    }
    let has_new = payload["alts"].as_array().into_iter().flatten().any(|account| account["uuid"] == new["uuid"]);
    if has_new { Ok(String::new()) } else { Err(broken(Some(&push), expected, "it isn't")) }
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

/// Locators with optional members absent or null, and with hints that are out of date.
pub(super) fn locators(adapter: &mut Adapter) -> Pin<Box<dyn Future<Output = Judgement> + Send + '_>> {
    Box::pin(async move {
        let mut talker = Talker::new(adapter);
        let outcome = async {
            let cases: [(&'static str, fn(&mut Value)); 3] = [
                ("a locator without schemeId, keyEpoch and issuerJwksUrl is enough", |locator| {
                    ["schemeId", "keyEpoch", "issuerJwksUrl"].iter().for_each(|name| {
                        locator.as_object_mut().map(|members| members.remove(*name));
                    });
                }),
                ("optional members of a locator may be null", |locator| {
                    ["schemeId", "keyEpoch", "issuerJwksUrl"].iter().for_each(|name| locator[*name] = Value::Null);
                }),
                ("the manifest's epoch counts, not the locator's", |locator| locator["keyEpoch"] = 41.into()),
            ];
            for (expected, change) in cases {
                let house = House::build(&mut talker, Bend::Honest, PLAIN_ID, &[]).await?;
                let mut locator: Value = serde_json::from_str(&house.locator().to_json()).unwrap_or_default();
                change(&mut locator);
                house.enter(&mut talker, &base64::encode_url(locator.to_string().as_bytes()), expected).await?;
            }
            Ok("3 locators".into())
        }
        .await;
        judged(outcome)
    })
}

/// Invite requests and locators that the client makes, and what it wraps and has created.
pub(super) fn invites(adapter: &mut Adapter) -> Pin<Box<dyn Future<Output = Judgement> + Send + '_>> {
    Box::pin(async move {
        let mut talker = Talker::new(adapter);
        judged(invite(&mut talker).await)
    })
}

async fn invite(talker: &mut Talker<'_>) -> Outcome {
    let vault = Vault::start(Bend::Honest, "127.0.0.1:0", true, "nobody").await?;
    let client = format!("client-{}", crate::ground::hex::encode(&random::bytes::<5>()));
    let keys = talker.ask(&client, "identity", json!({ "scheme": "http" })).await.map_err(set("identity"))?;
    let form = "an invite request is unpadded base64url over compact JSON with v 1 and the two keys";
    if let Some(token) = keys["inviteRequest"].as_str() {
        let read = InviteRequest::decode(token).map_err(|error| broken(None, form, error.to_string()))?;
        compact(token, form)?;
        if read.ed25519_public_key != keys["ed25519PublicKey"] || read.x25519_public_key != keys["x25519PublicKey"] {
            return Err(broken(None, form, "its keys aren't those of identity"));
        }
    }
    let created = talker.ask(&client, "create", json!({ "url": vault.url(), "accounts": [account("first")] })).await;
    let repo = created.map_err(set("create"))?["repo"].clone();
    let guest = Identity::generate();
    let request = InviteRequest {
        v: 1,
        ed25519_public_key: guest.id.clone(),
        x25519_public_key: guest.x25519_public_key.clone(),
    };
    let asked = json!({ "repo": repo, "inviteRequest": request.encode() });
    let answer = talker.ask(&client, "invite", asked).await.map_err(must("invite", "a member is invited"))?;
    let token = answer["locator"].as_str().unwrap_or_default();
    let form = "a locator is unpadded base64url over compact JSON with v 1, host and repoId";
    let locator = RepoLocator::decode(token).map_err(|error| broken(None, form, error.to_string()))?;
    compact(token, form)?;
    let records = vault.records();
    let find = |op| records.iter().rfind(|record| record.op == op && record.is_done());
    let (add, create) = (find(Op::Add), find(Op::Create));
    let (Some(add), Some(create)) = (add, create) else {
        return Err(broken(None, "invite: addMember is asked for", "it isn't"));
    };
    if locator.host != vault.address.to_string() || Some(locator.repo_id.as_str()) != add.repo.as_deref() {
        return Err(broken(None, "the locator names host and repository", locator.to_json()));
    }
    let key = add.field("/member").and_then(|entry| unwrap(&guest, entry));
    let key =
        key.ok_or_else(|| broken(Some(add), "the invited member unwraps the data key with its own", "it can't"))?;
    let opens = "the first payload opens under the data key, bound to its header";
    let sealed = envelope(create).ok_or_else(|| broken(Some(create), opens, "there is none"))?;
    let payload = open(&key, &sealed).ok_or_else(|| broken(Some(create), opens, "it doesn't"))?;
    payloads::shape_of(&payload).map_err(|(expected, observed)| broken(Some(create), &expected, observed))?;
    Ok(String::new())
}

/// Whether a token's JSON has no blanks outside of strings.
fn compact(token: &str, form: &str) -> Result<(), Stop> {
    let bytes = base64::decode_url(token).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let mut inside = false;
    let blank = text.chars().any(|c| {
        inside ^= c == '"';
        !inside && c.is_whitespace()
    });
    if blank { Err(broken(None, form, format!("its JSON has blanks: {text}"))) } else { Ok(()) }
}

/// Two hosts, a token each.
pub(super) fn two_hosts(adapter: &mut Adapter) -> Pin<Box<dyn Future<Output = Judgement> + Send + '_>> {
    Box::pin(async move {
        let mut talker = Talker::new(adapter);
        judged(hosts(&mut talker).await)
    })
}

async fn hosts(talker: &mut Talker<'_>) -> Outcome {
    let first = House::build(talker, Bend::Honest, PLAIN_ID, &[]).await?;
    let second = House::build(talker, Bend::Honest, "another", &[]).await?;
    // The second house is the first client's, too.
    let roster = first.vault.state().repos.get(PLAIN_ID).map(|repo| repo.manifest.members.clone()).unwrap_or_default();
    if let (Some(repo), Some(member)) = (second.vault.state().repos.get_mut("another"), roster.get(1)) {
        let mut member = member.clone();
        if let Some(wrapped) = forge::wrap(Bend::Honest, &second.key, &member.x25519_public_key) {
            member.wrapped_data_key = wrapped;
        }
        repo.manifest.members.push(member);
    }
    first.enter(talker, &first.locator().encode(), "a repository is joined and read").await?;
    let joined = talker.ask(&first.client, "join", json!({ "locator": second.locator().encode() })).await;
    let tokens = |vault: &Vault| -> Vec<String> {
        let records = vault.records();
        records.iter().filter_map(|record| Some(record.answer.get("token")?.as_str()?.to_owned())).collect()
    };
    for (from, to) in [(&first, &second), (&second, &first)] {
        let strange = tokens(&from.vault);
        let shown = to
            .vault
            .records()
            .into_iter()
            .find(|record| record.bearer().is_some_and(|token| strange.iter().any(|known| known == token)));
        if let Some(record) = shown {
            return Err(broken(Some(&record), "each host gets tokens of its own only", "it got one of the other's"));
        }
    }
    joined.map_err(must("join", "a client uses two hosts, one after the other"))?;
    Ok(String::new())
}

/// Bindings are verified before a key is wrapped (§9), and a removal rotates for those who stay.
pub(super) fn bindings(adapter: &mut Adapter) -> Pin<Box<dyn Future<Output = Judgement> + Send + '_>> {
    Box::pin(async move {
        let mut talker = Talker::new(adapter);
        judged(binding(&mut talker).await)
    })
}

async fn binding(talker: &mut Talker<'_>) -> Outcome {
    removal(talker, None).await?;
    let middle = Identity::generate();
    removal(talker, Some(&middle)).await?;
    Ok(String::new())
}

/// A removal on a host that publishes bindings; with somebody in the middle, or without.
async fn removal(talker: &mut Talker<'_>, middle: Option<&Identity>) -> Outcome {
    let (leaver, stayer) = (Identity::generate(), Identity::generate());
    let house = House::build(talker, Bend::Honest, PLAIN_ID, &[&leaver, &stayer]).await?;
    let mut locator = house.locator();
    locator.issuer_jwks_url = Some(format!("{}/.well-known/jwks.json", house.vault.url()));
    let repo = house.enter(talker, &locator.encode(), "a repository is joined and read").await?;
    if let (Some(middle), Some(repo)) = (middle, house.vault.state().repos.get_mut(PLAIN_ID)) {
        let entry = repo.manifest.members.iter_mut().find(|entry| entry.ed25519_public_key == stayer.id);
        if let Some(entry) = entry {
            entry.x25519_public_key.clone_from(&middle.x25519_public_key);
        }
    }
    let removed = talker.ask(&house.client, "remove", json!({ "repo": repo, "memberId": leaver.id })).await;
    let records = house.vault.records();
    let request = records.iter().rfind(|record| record.op == Op::Remove);
    let entries = request.and_then(|record| record.field("/rewrappedMembers")?.as_array().cloned()).unwrap_or_default();
    if let Some(middle) = middle {
        let caught = entries.iter().any(|entry| unwrap(middle, entry).is_some());
        let expected = "nothing is wrapped to a served key whose binding doesn't verify under the issuer's key";
        return if caught { Err(broken(request, expected, "the new data key was")) } else { Ok(String::new()) };
    }
    removed.map_err(must("remove", "a member is removed where every binding verifies"))?;
    let Some(request) = request else { return Err(broken(None, "remove: removeMember is asked for", "it isn't")) };
    let of = |id: &str| entries.iter().find(|entry| entry["ed25519PublicKey"] == id);
    let key = of(&house.owner.id).and_then(|entry| house.unwrap(entry));
    let key = key.ok_or_else(|| broken(Some(request), "who stays unwraps the new data key", "the owner can't"))?;
    let same = of(&stayer.id).and_then(|entry| unwrap(&stayer, entry)).is_some_and(|other| other == key);
    if !same {
        return Err(broken(Some(request), "everybody who stays gets the same new data key", "somebody doesn't"));
    }
    if key == house.key {
        return Err(broken(Some(request), "a removal comes with a new data key", "it is the old one"));
    }
    if entries.iter().any(|entry| unwrap(&leaver, entry).is_some()) {
        return Err(broken(Some(request), "who goes gets no new key", "there is a wrap for the removed member"));
    }
    let opens = "the rotated payload opens under the new data key, bound to its header";
    let payload = envelope(request).and_then(|sealed| open(&key, &sealed));
    let payload = payload.ok_or_else(|| broken(Some(request), opens, "it doesn't"))?;
    if !payload.to_string().contains(&house.canary) {
        return Err(broken(Some(request), "the accounts are there after a removal", "they are gone"));
    }
    Ok(String::new())
}
