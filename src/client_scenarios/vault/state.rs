//! What the vault holds, and its operations as an honest server carries them out.

use std::collections::{HashMap, HashSet};

use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use super::Bend;
use super::forge::{self, Forged};
use super::reading::{Refusal, read, to_json};
use super::record::Endpoint;
use super::repo::Repo;
use super::served::{Issuer, merged, served};
use crate::client::random;
use crate::codec::DataKey;
use crate::wire::{
    CreateRepoRequest, MemberAddRequest, MemberEntry, MemberRemoveRequest, MessageKind, PullRequest, PushRequest,
    VaultManifest,
};

/// A client whose retries never end gets in, at last, so that its run has an end.
const CONFLICTS: u32 = 60;

/// Everything that the vault knows.
#[derive(Default)]
pub struct VaultState {
    /// By id.
    pub repos: HashMap<String, Repo>,
    pub(super) nonces: HashMap<String, (String, bool)>,
    pub(super) tokens: HashMap<String, String>,
    pub(super) revoked: HashSet<String>,
    /// Every key of the vault's own, with what was written under it.
    pub keys: Vec<Forged>,
    /// The private key of who waits in the middle.
    pub middle: [u8; 32],
    /// How the names of the vault's accounts begin.
    pub name: String,
    /// Whether those who joined read, rather than the creator.
    pub reader_joined: bool,
    operations: u32,
    asked_to_wait: bool,
    /// The issuer's seed.
    pub issuer: [u8; 32],
    /// That of another issuer at the same server.
    pub second_issuer: [u8; 32],
    /// Whether the issuer answers.
    pub issuer_state: Issuer,
    /// Whether challenges are answered with 500.
    pub logins_fail: bool,
    /// What another member writes besides, when it writes.
    pub meanwhile: Vec<Value>,
    /// Whether the operation that was carried out last gets no answer.
    pub(super) unanswered: bool,
    /// Entries that fetchMemberKey serves instead of the roster's.
    pub fetched: Vec<MemberEntry>,
    /// What others do around the client's operations, each once.
    pub deeds: Vec<Deed>,
}

/// What another member, or whoever has the server, does right before or right after the client's next operation of a kind.
pub struct Deed {
    /// Around which operation.
    pub at: (Moment, Endpoint),
    /// What is done.
    pub act: Box<dyn FnOnce(&mut VaultState) + Send>,
}

/// A moment of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Before it is carried out.
    Before,
    /// After it was.
    After,
}

impl VaultState {
    /// What some bends do before an operation is looked at.
    pub(super) fn before(&mut self, bend: Bend) -> Result<(), Refusal> {
        self.operations += 1;
        if bend == Bend::TokenRevoked && self.operations == 3 {
            self.revoke();
        }
        match bend {
            Bend::NoTokenValid => Err((401, "no token is valid here")),
            Bend::Forbidden => Err((403, "not allowed")),
            Bend::ServerError => Err((500, "out of order")),
            Bend::RetryAfter if !self.asked_to_wait => {
                self.asked_to_wait = true;
                Err((429, "too many requests"))
            }
            _ => Ok(()),
        }
    }

    /// What others do at a moment of an operation.
    pub(super) fn act(&mut self, moment: (Moment, Endpoint)) {
        for deed in self.deeds.extract_if(.., |deed| deed.at == moment).collect::<Vec<_>>() {
            (deed.act)(self);
        }
    }

    /// Carries out an operation for a caller whose token is valid.
    pub(super) fn operate(
        &mut self,
        bend: Bend,
        endpoint: Endpoint,
        caller: &str,
        path: (Option<&str>, Option<&str>),
        body: &Value,
    ) -> Result<Value, Refusal> {
        if endpoint == Endpoint::Create {
            return self.create(caller, read(MessageKind::CreateRepoRequest, body)?);
        }
        let id = path.0.ok_or((404, "no such repository"))?;
        let repo = self.repos.get(id).ok_or((404, "no such repository"))?;
        if repo.manifest.member(caller).is_none() {
            return Err((403, "not a member"));
        }
        match endpoint {
            Endpoint::Pull => {
                let mut body = body.clone();
                if let Some(members) = body.as_object_mut() {
                    members.entry("knownPayloadVersion").or_insert((-1).into());
                    members.entry("repoId").or_insert(id.into());
                }
                let request: PullRequest = read(MessageKind::PullRequest, &body)?;
                self.forge_for_reader(bend, id, caller);
                let repo = self.repos.get(id).ok_or((404, "no such repository"))?;
                Ok(repo.pulled(bend, request.known_payload_version, caller, &self.middle))
            }
            Endpoint::Push => self.push(bend, id, caller, read(MessageKind::PushRequest, body)?),
            Endpoint::Add => {
                let MemberAddRequest { member, .. } = read(MessageKind::MemberAddRequest, body)?;
                let repo = self.repos.get_mut(id).ok_or((404, "no such repository"))?;
                repo.manifest.members.retain(|old| old.ed25519_public_key != member.ed25519_public_key);
                repo.manifest.members.push(member);
                Ok(to_json(&repo.manifest))
            }
            Endpoint::Remove => self.remove(id, read(MessageKind::MemberRemoveRequest, body)?),
            _ => {
                let wanted = path.1.unwrap_or_default();
                let twice = percent_decode_str(wanted).decode_utf8_lossy();
                let entry = repo.manifest.member(wanted).or_else(|| repo.manifest.member(&twice));
                // Without its padding an id is found all the same, so that one mistake isn't many.
                let bare = |entry: &&MemberEntry| entry.ed25519_public_key.trim_end_matches('=') == wanted;
                let entry = entry.or_else(|| repo.manifest.members.iter().find(bare));
                let entry = entry.ok_or((404, "no such member"))?;
                let own = self.fetched.iter().find(|own| own.ed25519_public_key == entry.ed25519_public_key);
                let entry = own.unwrap_or(entry);
                Ok(to_json(&served(entry, bend, caller, &self.middle)))
            }
        }
    }

    fn create(&mut self, caller: &str, request: CreateRepoRequest) -> Result<Value, Refusal> {
        let CreateRepoRequest { manifest, initial_envelope } = request;
        if !manifest.members.iter().any(|member| member.ed25519_public_key == caller) {
            return Err((403, "the sole member isn't the caller"));
        }
        if self.repos.contains_key(&manifest.repo_id) {
            return Err((409, "there is such a repository already"));
        }
        let answer = to_json(&manifest);
        let repo = Repo::new(manifest, initial_envelope, caller, None);
        self.repos.insert(repo.manifest.repo_id.clone(), repo);
        Ok(answer)
    }

    /// Another member writes just before the reader's first pull.
    fn forge_for_reader(&mut self, bend: Bend, id: &str, caller: &str) {
        let Some(repo) = self.repos.get(id) else { return };
        let reader = if self.reader_joined { caller != repo.creator } else { caller == repo.creator };
        if bend.rotates() && reader && !repo.bent {
            self.write(bend, id, true);
        }
    }

    /// Another member writes; with a new key where the vault hasn't one already, or where it is to rotate.
    pub fn write(&mut self, bend: Bend, id: &str, rotate: bool) {
        let Some(repo) = self.repos.get_mut(id) else { return };
        repo.bent = true;
        let manifest = &mut repo.manifest;
        let old = manifest.payload_version;
        let version = match bend {
            Bend::BigCounters | Bend::BigSpaced => (1 << 53) + 1,
            Bend::Version31 => (1 << 31) + 5,
            Bend::BiggerVersion => (1 << 62) + 12_345_679,
            Bend::Version32 => (1 << 32) + 1,
            _ => old.saturating_add(1),
        };
        let version = version.max(old);
        let forged = match repo.forged.take() {
            Some(mut known) if !rotate => {
                let own = forge::payload(Bend::Honest, &format!("{}x", self.name), version);
                if matches!(bend, Bend::ConflictEdits | Bend::ConflictRead) {
                    edit(&mut known.payload, &self.name);
                }
                known.payload = merged(&known.payload, &own);
                known
            }
            _ => {
                let epoch = match bend {
                    Bend::BigCounters | Bend::BigSpaced => (1 << 53) + 1,
                    Bend::Version31 => (1 << 31) + 5,
                    Bend::Version32 => (1 << 32) + 1,
                    _ => manifest.key_epoch.saturating_add(1),
                };
                let mut key = random::bytes::<32>();
                if bend == Bend::ShortKey {
                    key[16..].fill(0);
                }
                let payload = forge::payload(bend, &self.name, version);
                Forged { repo: id.into(), epoch, key: DataKey::new(key), payload }
            }
        };
        let mut forged = forged;
        if let Some(accounts) = forged.payload["alts"].as_array_mut() {
            accounts.extend(self.meanwhile.iter().cloned());
        }
        for member in &mut manifest.members {
            if let Some(wrapped) = forge::wrap(bend, &forged.key, &member.x25519_public_key).filter(|_| rotate) {
                member.wrapped_data_key = wrapped;
                member.key_epoch = forged.epoch;
            }
        }
        (manifest.payload_version, manifest.key_epoch) = (version, forged.epoch);
        repo.envelope = forge::seal(bend, &forged, version, &forged.payload.to_string());
        self.keys.push(forged.clone());
        repo.forged = Some(forged);
    }

    /// Another member changes what it has written: the next version, under the same key.
    pub fn write_over(&mut self, id: &str, change: impl FnOnce(&mut Value)) {
        let Some(repo) = self.repos.get_mut(id) else { return };
        let Some(mut forged) = repo.forged.clone() else { return };
        change(&mut forged.payload);
        repo.take(forged.clone(), repo.manifest.payload_version.saturating_add(1));
        self.keys.push(forged);
    }

    /// Another member's X25519 key is served as somebody else's.
    pub fn swap_key(&mut self, id: &str, member: &str, x25519: &str) {
        let members = self.repos.get_mut(id).into_iter().flat_map(|repo| repo.manifest.members.iter_mut());
        for entry in members.filter(|entry| entry.ed25519_public_key == member) {
            x25519.clone_into(&mut entry.x25519_public_key);
        }
    }

    fn push(&mut self, bend: Bend, id: &str, caller: &str, request: PushRequest) -> Result<Value, Refusal> {
        let repo = self.repos.get_mut(id).ok_or((404, "no such repository"))?;
        if bend == Bend::PushForbidden {
            return Err((403, "this repository is read-only"));
        }
        if bend == Bend::PushFails && repo.failures == 0 {
            repo.failures = 1;
            return Err((503, "out of order"));
        }
        if bend == Bend::PushLost && repo.failures == 0 {
            repo.failures = 1;
            self.unanswered = true;
            self.write(bend, id, false);
            return Err((503, "out of order"));
        }
        if bend == Bend::PushUnanswered && repo.failures == 0 {
            repo.failures = 1;
            self.unanswered = true;
        }
        let current = request.expected_payload_version == repo.manifest.payload_version;
        let forged = repo.forged.is_some();
        let first = repo.conflicts == 0;
        let overtaken = match bend {
            Bend::ConflictRead => first && forged && current,
            Bend::ConflictFirst | Bend::ConflictEdits => first && current,
            Bend::ConflictTwice => repo.conflicts < 2 && current,
            Bend::ConflictAlways => repo.conflicts < CONFLICTS && current,
            _ => false,
        };
        if overtaken {
            self.write(bend, id, !forged);
        }
        let repo = self.repos.get_mut(id).ok_or((404, "no such repository"))?;
        repo.conflicts += u32::from(overtaken);
        let manifest = &mut repo.manifest;
        let newer = request.envelope.payload_version > manifest.payload_version;
        if request.expected_payload_version != manifest.payload_version || !newer {
            return Ok(answer(manifest, false));
        }
        if let Some(members) = request.rotated_members {
            if !members.iter().any(|member| member.ed25519_public_key == caller) {
                return Err((400, "a rotation without the caller"));
            }
            manifest.members = members;
        }
        repo.follow(&request.envelope);
        Ok(answer(&repo.manifest, true))
    }

    fn remove(&mut self, id: &str, request: MemberRemoveRequest) -> Result<Value, Refusal> {
        let repo = self.repos.get_mut(id).ok_or((404, "no such repository"))?;
        if repo.manifest.member(&request.removed_member_id).is_none() {
            return Err((404, "no such member"));
        }
        repo.manifest.members = request.rewrapped_members;
        repo.manifest.members.retain(|member| member.ed25519_public_key != request.removed_member_id);
        repo.follow(&request.rotated_envelope);
        repo.manifest.key_epoch = request.new_key_epoch;
        Ok(to_json(&repo.manifest))
    }
}

/// Another member's work on accounts of the vault's own: the first one gets another credential and a ban, the second is deleted.
fn edit(payload: &mut Value, name: &str) {
    let Some(accounts) = payload["alts"].as_array_mut() else { return };
    accounts.retain(|account| account["username"] != format!("{name}2"));
    if let Some(first) = accounts.iter_mut().find(|account| account["username"] == format!("{name}1")) {
        first["accessToken"] = format!("token-of-{name}1-renewed").into();
        first["ban"] = json!({ "banned": true, "observedAt": 1_695_000_000_000_i64, "source": "server", "detail": "y", "observedBy": null });
    }
}

fn answer(manifest: &VaultManifest, accepted: bool) -> Value {
    json!({
        "accepted": accepted, "conflict": !accepted,
        "payloadVersion": manifest.payload_version, "keyEpoch": manifest.key_epoch,
    })
}
