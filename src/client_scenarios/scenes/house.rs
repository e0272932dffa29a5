//! A repository of the suite's own, as scenes are played in.

use serde_json::{Value, json};

use super::super::driver::Talker;
use super::super::rules::entries;
use super::super::vault::forge::{self, Forged};
use super::super::vault::repo::Repo;
use super::super::vault::state::Deed;
use super::super::vault::{Bend, Endpoint, Moment, Record, Vault, VaultState};
use super::{SceneStop, must, set, unwrap, violation};
use crate::client::{Identity, random};
use crate::codec::key_wrap::SCHEME_ID;
use crate::codec::locator::RepoLocator;
use crate::codec::{DataKey, base64, key_binding, signature};
use crate::wire::{MemberEntry, VaultManifest};

/// A repository of the suite's own, with the client as a member.
pub(super) struct House {
    pub vault: Vault,
    pub owner: Identity,
    pub client: String,
    /// The client's id and X25519 key.
    pub own: (String, String),
    pub id: String,
    pub key: DataKey,
    epoch: i64,
    pub canary: String,
}

/// What is special about a repository.
#[derive(Clone, Copy)]
pub(super) struct Site<'s> {
    pub bend: Bend,
    /// What its payload is like.
    pub payload: Bend,
    pub id: &'s str,
    pub version: i64,
    pub epoch: i64,
    /// Its data key, where it isn't to be a new one.
    pub key: Option<[u8; 32]>,
}

impl<'s> Site<'s> {
    /// One with nothing special about it but its id.
    pub fn of(id: &'s str) -> Self {
        Self { bend: Bend::Honest, payload: Bend::Honest, id, version: 7, epoch: 3, key: None }
    }
}

impl House {
    /// A vault with a repository `id` at a version, in which the owner, the client and `others` are members. Entries carry the
    /// issuer's bindings.
    pub async fn build(talker: &mut Talker<'_>, bend: Bend, id: &str, others: &[&Identity]) -> Result<Self, SceneStop> {
        Self::at(talker, Site { bend, ..Site::of(id) }, others).await
    }

    /// As [`Self::build`], at any site.
    pub async fn at(talker: &mut Talker<'_>, site: Site<'_>, others: &[&Identity]) -> Result<Self, SceneStop> {
        let Site { bend, payload, id, version, epoch, key } = site;
        let canary = crate::ground::hex::encode(&random::bytes::<5>());
        let vault = Vault::start(bend, "127.0.0.1:0", true, &format!("v{canary}n")).await?;
        let client = format!("client-{canary}");
        let keys = talker.ask(&client, "identity", json!({ "scheme": "http" })).await.map_err(set("identity"))?;
        let text = |name: &str| keys[name].as_str().unwrap_or_default().to_owned();
        let owner = Identity::generate();
        let key = DataKey::new(key.unwrap_or_else(random::bytes));
        let payload = forge::payload(payload, &format!("v{canary}n"), version);
        let forged = Forged { repo: id.into(), epoch, key: key.clone(), payload };
        let envelope = forge::seal(Bend::Honest, &forged, version, &forged.payload.to_string());
        let manifest = VaultManifest {
            repo_id: id.into(),
            scheme_id: SCHEME_ID.into(),
            key_epoch: epoch,
            payload_version: version,
            members: Vec::new(),
            share_refresh_tokens: None,
        };
        let repo = Repo::new(manifest, envelope, &owner.id, Some(forged));
        vault.state().repos.insert(id.into(), repo);
        let own = (text("ed25519PublicKey"), text("x25519PublicKey"));
        let house = Self { vault, owner, client, own, id: id.into(), key, epoch, canary };
        house.admit(&house.owner.id, &house.owner.x25519_public_key)?;
        house.admit(&house.own.0, &house.own.1)?;
        for other in others {
            house.admit(&other.id, &other.x25519_public_key)?;
        }
        Ok(house)
    }

    /// Somebody becomes a member.
    pub fn admit(&self, id: &str, x25519: &str) -> Result<(), SceneStop> {
        let unusable = || SceneStop::SetupFailed("identity: x25519PublicKey isn't the base64 of 32 bytes".into());
        let wrapped_data_key = forge::wrap(Bend::Honest, &self.key, x25519).ok_or_else(unusable)?;
        let mut state = self.vault.state();
        let signed = signature::sign(&state.issuer, &key_binding::message(id, x25519));
        if let Some(repo) = state.repos.get_mut(&self.id) {
            repo.manifest.members.push(MemberEntry {
                ed25519_public_key: id.into(),
                x25519_public_key: x25519.into(),
                wrapped_data_key,
                key_epoch: self.epoch,
                key_binding_sig: Some(base64::encode(&signed)),
            });
        }
        Ok(())
    }

    /// A copy of the repository at the same server, whose bindings are another issuer's; its locator.
    pub fn neighbour(&self, id: &str) -> Result<RepoLocator, SceneStop> {
        let mut state = self.vault.state();
        let issuer = state.second_issuer;
        let there = state.repos.get(&self.id).map(|repo| (repo.manifest.clone(), repo.forged.clone()));
        let Some((manifest, Some(forged))) = there else { return Err(SceneStop::SetupFailed("no repository".into())) };
        let manifest = VaultManifest { repo_id: id.into(), ..manifest };
        let forged = Forged { repo: id.into(), ..forged };
        let envelope = forge::seal(Bend::Honest, &forged, manifest.payload_version, &forged.payload.to_string());
        state.repos.insert(id.into(), Repo::new(manifest, envelope, &self.owner.id, Some(forged)));
        drop(state);
        self.signed_by(id, &issuer);
        let issuer_jwks_url = Some(self.vault.second_issuer_url());
        Ok(RepoLocator { repo_id: id.into(), issuer_jwks_url, ..self.locator() })
    }

    /// All bindings of a repository are this issuer's.
    pub fn signed_by(&self, id: &str, issuer: &[u8; 32]) {
        let mut state = self.vault.state();
        let members = state.repos.get_mut(id).into_iter().flat_map(|repo| repo.manifest.members.iter_mut());
        for entry in members {
            let message = key_binding::message(&entry.ed25519_public_key, &entry.x25519_public_key);
            entry.key_binding_sig = Some(base64::encode(&signature::sign(issuer, &message)));
        }
    }

    /// Another member changes what it has written; what it is then.
    pub fn revised(&self, change: impl FnOnce(&mut Value)) -> Value {
        let mut state = self.vault.state();
        let Some(mut forged) = state.keys.last().cloned() else { return Value::Null };
        change(&mut forged.payload);
        if let Some(repo) = state.repos.get_mut(&self.id) {
            repo.take(forged.clone(), repo.manifest.payload_version);
        }
        let payload = forged.payload.clone();
        state.keys.push(forged);
        payload
    }

    /// Another member writes over what the client has sealed under a key; what it has written.
    pub fn followed(&self, key: &DataKey) -> Option<Value> {
        self.followed_by(Bend::Honest, key)
    }

    /// The same with a payload as a bend has it.
    pub fn followed_by(&self, kind: Bend, key: &DataKey) -> Option<Value> {
        let mut state = self.vault.state();
        let repo = state.repos.get_mut(&self.id)?;
        let version = repo.manifest.payload_version.checked_add(1)?;
        let payload = forge::payload(kind, &format!("v{}late", self.canary), version);
        let forged = Forged { repo: self.id.clone(), epoch: repo.manifest.key_epoch, key: key.clone(), payload };
        repo.take(forged.clone(), version);
        let payload = forged.payload.clone();
        state.keys.push(forged);
        Some(payload)
    }

    /// What others do around the client's next operation of a kind.
    pub fn around(&self, moment: Moment, endpoint: Endpoint, act: impl FnOnce(&mut VaultState) + Send + 'static) {
        self.vault.state().deeds.push(Deed { at: (moment, endpoint), act: Box::new(act) });
    }

    /// Somebody is no member any longer.
    pub fn expel(&self, id: &str) {
        if let Some(repo) = self.vault.state().repos.get_mut(&self.id) {
            repo.manifest.members.retain(|member| member.ed25519_public_key != id);
        }
    }

    pub fn locator(&self) -> RepoLocator {
        RepoLocator {
            v: 1,
            host: self.vault.address.to_string(),
            repo_id: self.id.clone(),
            scheme_id: Some(SCHEME_ID.into()),
            key_epoch: Some(self.epoch),
            issuer_jwks_url: Some(self.vault.issuer_url()),
        }
    }

    /// The client joins and reads where nothing is unusual. What it can't do here, it can't do anywhere, whatever else is tried.
    pub async fn enter_plainly(&self, talker: &mut Talker<'_>) -> Result<Value, SceneStop> {
        let expected = "a repository that another member has made is joined and read";
        let entered = self.enter(talker, &self.locator().encode(), expected).await;
        entered.map_err(|stop| match stop {
            SceneStop::Violation(finding) => SceneStop::CannotRead(finding),
            other => other,
        })
    }

    /// The client joins and reads; returns how it calls the repository.
    pub async fn enter(
        &self,
        talker: &mut Talker<'_>,
        locator: &str,
        expected: &'static str,
    ) -> Result<Value, SceneStop> {
        let joined = talker.ask(&self.client, "join", json!({ "locator": locator })).await;
        let repo = joined.map_err(must("join", expected))?["repo"].clone();
        let read = talker.ask(&self.client, "read", json!({ "repo": repo })).await.map_err(must("read", expected))?;
        if !read.to_string().contains(&self.canary) {
            return Err(violation(None, expected, "read: the accounts aren't those of the repository"));
        }
        Ok(repo)
    }

    pub fn last(&self, endpoint: Endpoint) -> Option<Record> {
        self.vault.records().into_iter().rfind(|record| record.endpoint == endpoint && record.is_done())
    }

    /// The last removal that was asked for. A push with another roster is the other way to remove somebody.
    pub fn last_removal(&self) -> Option<Record> {
        let removes = |record: &Record| {
            record.endpoint == Endpoint::Remove || record.endpoint == Endpoint::Push && !entries(record).is_empty()
        };
        self.vault.records().into_iter().rfind(removes)
    }

    /// What the owner gets out of a wrap.
    pub fn unwrap(&self, entry: &Value) -> Option<DataKey> {
        unwrap(&self.owner, entry)
    }
}
