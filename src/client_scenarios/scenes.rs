//! What only an adapter can be asked: the suite owns the repository, so that everything a client writes is opened.

use std::pin::Pin;

use serde_json::{Value, json};

mod hosts;
mod invites;
mod removal;

pub(super) use hosts::{fresh_iv, two_hosts};
pub(super) use invites::{WRAPS_RIGHT, guest_reads, invites};
pub(super) use removal::{bindings, rotation};

use super::driver::{Adapter, Failure, Talker, account};
use super::evidence::{Judgement, envelope, exchange};
use super::rules::payloads;
use super::vault::forge::{self, Forged};
use super::vault::reading::{bytes_of, is_sealed, open};
use super::vault::state::Repo;
use super::vault::{Bend, Op, Record, Vault};
use crate::client::{Identity, random};
use crate::codec::key_wrap::{self, SCHEME_ID, Wrapped};
use crate::codec::locator::RepoLocator;
use crate::codec::{DataKey, base64, key_binding, signature};
use crate::scenarios::Finding;
use crate::wire::{EncryptedEnvelope, MemberEntry, VaultManifest};

/// A scene: gets an adapter, judges.
pub(super) type Scene = for<'a> fn(&'a mut Adapter) -> Pin<Box<dyn Future<Output = Judgement> + Send + 'a>>;

/// Why a scene ends before its last line.
enum Stop {
    Broken(Finding),
    /// Not even the most usual repository could be joined and read.
    Shut(Finding),
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
        Err(Stop::Shut(finding)) => Judgement::Shut(finding),
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
            issuer_jwks_url: Some(self.vault.issuer_url()),
        }
    }

    /// The client joins and reads where nothing is unusual. What it can't do here, it can't do anywhere, whatever else is tried.
    async fn enter_plainly(&self, talker: &mut Talker<'_>) -> Result<Value, Stop> {
        let expected = "a repository that another member has made is joined and read";
        let entered = self.enter(talker, &self.locator().encode(), expected).await;
        entered.map_err(|stop| match stop {
            Stop::Broken(finding) => Stop::Shut(finding),
            other => other,
        })
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

/// What is in an envelope.
fn opened(key: &DataKey, sealed: &EncryptedEnvelope, record: &Record, expected: &str) -> Result<Value, Stop> {
    if !is_sealed(sealed) {
        return Err(Stop::Missing("its IVs aren't 12 bytes, or nothing is encrypted".into()));
    }
    open(key, sealed).ok_or_else(|| broken(Some(record), expected, "it doesn't"))
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

/// Ids with characters that a path has to escape.
pub(super) fn odd_ids(adapter: &mut Adapter) -> Pin<Box<dyn Future<Output = Judgement> + Send + '_>> {
    Box::pin(async move {
        let mut talker = Talker::new(adapter);
        let outcome = async {
            House::build(&mut talker, Bend::Honest, PLAIN_ID, &[]).await?.enter_plainly(&mut talker).await?;
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
    let repo = house.enter_plainly(talker).await?;
    let new = account("new");
    // Afterwards the repository holds what the client has made of it.
    let before = forge_of(&house);
    let asked = json!({ "repo": repo, "account": new });
    talker.ask(&house.client, "put", asked).await.map_err(must("put", "an account is added, also after a conflict"))?;
    let expected = "put: the account is in the repository afterwards";
    let push = house.last(Op::Push).ok_or_else(|| broken(None, expected, "no push was accepted"))?;
    let sealed = envelope(&push).ok_or_else(|| broken(Some(&push), expected, "there is no envelope"))?;
    let opens = "the pushed payload opens under the data key, bound to its header";
    let payload = opened(&house.key, &sealed, &push, opens)?;
    payloads::shape_of(&payload).map_err(|(expected, observed)| broken(Some(&push), &expected, observed))?;
    let written = house.vault.state().keys.last().map(|forged| forged.payload.clone());
    let others = written.unwrap_or(before);
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
            House::build(&mut talker, Bend::Honest, PLAIN_ID, &[]).await?.enter_plainly(&mut talker).await?;
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
