//! A repository as a member sees it: what the server should hold, and the keys to make and read what is in it.
//!
//! Requests are built here with real cryptography; the caller sends them and calls [`Repo::apply_push`] and the like once
//! the server has accepted, so that [`Repo::manifest`] and [`Repo::envelope`] are always what a pull must return.

use super::Identity;
use super::canary::canaries;
use super::random;
use crate::codec::invite::InviteRequest;
use crate::codec::key_wrap::{self, SCHEME_ID, Wrapped};
use crate::codec::payload::{AltAccount, AltPayload, AltType, Ban};
use crate::codec::{DataKey, aad::Binding, base64, envelope};
use crate::wire::{
    CreateRepoRequest, EncryptedEnvelope, MemberAddRequest, MemberEntry, MemberRemoveRequest, PullRequest, PushRequest,
    VaultManifest, WrappedKey,
};

/// The payload version that repositories are created with here.
pub const VERSION_AT_CREATION: i64 = 1;

/// A member's view of a repository.
#[derive(Clone, Debug)]
pub struct Repo {
    /// What pull must return as manifest.
    pub manifest: VaultManifest,
    /// What pull must return as envelope.
    pub envelope: EncryptedEnvelope,
    /// The current data key.
    pub data_key: DataKey,
    /// The plaintext of the envelope.
    pub plaintext: Vec<u8>,
}

/// A change of data key: what removeMember and a rotating push send.
#[derive(Clone, Debug)]
pub struct Rotation {
    /// The new data key.
    pub data_key: DataKey,
    /// Payload under the new key, at the next version and epoch.
    pub envelope: EncryptedEnvelope,
    /// The roster that stays, wrapped anew.
    pub members: Vec<MemberEntry>,
    /// The plaintext of the envelope.
    pub plaintext: Vec<u8>,
}

impl Repo {
    /// A new repository of one member with a random id, not yet created on any server.
    pub fn new(owner: &Identity) -> Self {
        Self::with_id(owner, &random::uuid())
    }

    /// As [`Self::new`], with a given id.
    pub fn with_id(owner: &Identity, repo_id: &str) -> Self {
        Self::with_counters(owner, repo_id, VERSION_AT_CREATION, 0)
    }

    /// As [`Self::with_id`], with given counters.
    pub fn with_counters(owner: &Identity, repo_id: &str, payload_version: i64, key_epoch: i64) -> Self {
        let plaintext = sample_payload(owner, payload_version);
        Self::with_plaintext(owner, repo_id, payload_version, key_epoch, plaintext)
    }

    /// The same with another scheme.
    pub fn of_scheme(mut self, scheme_id: &str) -> Self {
        scheme_id.clone_into(&mut self.manifest.scheme_id);
        self
    }

    /// As [`Self::with_counters`], with a given plaintext.
    pub fn with_plaintext(
        owner: &Identity,
        repo_id: &str,
        payload_version: i64,
        key_epoch: i64,
        plaintext: Vec<u8>,
    ) -> Self {
        let data_key = DataKey::new(random::bytes());
        let manifest = VaultManifest {
            repo_id: repo_id.into(),
            scheme_id: SCHEME_ID.into(),
            key_epoch,
            payload_version,
            members: vec![entry(owner, &data_key, key_epoch)],
            share_refresh_tokens: None,
        };
        let envelope = seal(repo_id, payload_version, key_epoch, &data_key, &plaintext);
        Self { manifest, envelope, data_key, plaintext }
    }

    /// A repository as somebody sees it who has just pulled it for the first time.
    ///
    /// # Errors
    /// In words, why the reader can't decrypt it.
    pub fn pulled(reader: &Identity, manifest: VaultManifest, envelope: EncryptedEnvelope) -> Result<Self, String> {
        let data_key = unwrap_as(reader, &manifest)?;
        let plaintext = open(&data_key, &envelope)?;
        Ok(Self { manifest, envelope, data_key, plaintext })
    }

    /// The repository's id.
    pub fn id(&self) -> &str {
        &self.manifest.repo_id
    }

    /// Current payload version.
    pub fn version(&self) -> i64 {
        self.manifest.payload_version
    }

    /// Current key epoch.
    pub fn epoch(&self) -> i64 {
        self.manifest.key_epoch
    }

    /// The request that creates it.
    pub fn create_request(&self) -> CreateRepoRequest {
        CreateRepoRequest { manifest: self.manifest.clone(), initial_envelope: self.envelope.clone() }
    }

    /// A pull by somebody who knows `known`.
    pub fn pull_request(&self, known: i64) -> PullRequest {
        PullRequest { repo_id: self.id().into(), known_payload_version: known }
    }

    /// A push of a new payload at the next version.
    pub fn push_request(&self, author: &Identity) -> PushRequest {
        self.push_request_at(author, self.version().saturating_add(1))
    }

    /// A push of a new payload at a given version, expecting the current one.
    pub fn push_request_at(&self, author: &Identity, version: i64) -> PushRequest {
        self.push_of(&sample_payload(author, version), version)
    }

    /// The push of an author who doesn't know the current version yet, and takes the one before for it.
    pub fn stale_push(&self, author: &Identity) -> PushRequest {
        PushRequest {
            expected_payload_version: self.version().saturating_sub(1),
            ..self.push_request_at(author, self.version())
        }
    }

    /// A push of a given payload at a given version, expecting the current one.
    pub fn push_of(&self, plaintext: &[u8], version: i64) -> PushRequest {
        PushRequest {
            repo_id: self.id().into(),
            envelope: seal(self.id(), version, self.epoch(), &self.data_key, plaintext),
            expected_payload_version: self.version(),
            rotated_members: None,
        }
    }

    /// The entry of a newcomer, at the current epoch.
    pub fn entry_for(&self, newcomer: &Identity) -> MemberEntry {
        entry(newcomer, &self.data_key, self.epoch())
    }

    /// The entry of somebody who sent an invite request, at the current epoch.
    ///
    /// # Errors
    /// In words, why its keys can't be used.
    pub fn entry_from_invite(&self, invite: &InviteRequest) -> Result<MemberEntry, String> {
        let (_, x25519) = invite.keys().map_err(|error| error.to_string())?;
        let wrap = |ephemeral: &_, iv: &_| key_wrap::wrap(&self.data_key, &x25519, ephemeral, iv);
        let wrapped = with_plain_ends(wrap).map_err(|error| error.to_string())?;
        Ok(MemberEntry {
            ed25519_public_key: invite.ed25519_public_key.clone(),
            x25519_public_key: invite.x25519_public_key.clone(),
            wrapped_data_key: WrappedKey::from(&wrapped),
            key_epoch: self.epoch(),
            key_binding_sig: None,
        })
    }

    /// The request that adds a newcomer.
    pub fn add_request(&self, newcomer: &Identity) -> MemberAddRequest {
        MemberAddRequest { repo_id: self.id().into(), member: self.entry_for(newcomer) }
    }

    /// A new data key for those who stay, at the next version and epoch.
    pub fn rotation(&self, author: &Identity, staying: &[&Identity]) -> Rotation {
        self.rotation_to(author, staying, self.version().saturating_add(1), self.epoch().saturating_add(1))
    }

    /// As [`Self::rotation`], at a given version and epoch.
    pub fn rotation_to(&self, author: &Identity, staying: &[&Identity], version: i64, epoch: i64) -> Rotation {
        let data_key = DataKey::new(random::bytes());
        let plaintext = sample_payload(author, version);
        let members = staying
            .iter()
            .map(|member| {
                let mut new = entry(member, &data_key, epoch);
                // A binding covers the public keys, which stay: it survives the rotation.
                new.key_binding_sig = self.manifest.member(&member.id).and_then(|old| old.key_binding_sig.clone());
                new
            })
            .collect();
        let envelope = seal(self.id(), version, epoch, &data_key, &plaintext);
        Rotation { data_key, envelope, members, plaintext }
    }

    /// The removal that a rotation is made for.
    pub fn remove_request(&self, removed: &str, rotation: &Rotation) -> MemberRemoveRequest {
        MemberRemoveRequest {
            repo_id: self.id().into(),
            removed_member_id: removed.into(),
            rotated_envelope: rotation.envelope.clone(),
            rewrapped_members: rotation.members.clone(),
            new_key_epoch: rotation.envelope.key_epoch,
        }
    }

    /// The push that carries a rotation.
    pub fn rotating_push(&self, rotation: &Rotation) -> PushRequest {
        PushRequest {
            repo_id: self.id().into(),
            envelope: rotation.envelope.clone(),
            expected_payload_version: self.version(),
            rotated_members: Some(rotation.members.clone()),
        }
    }

    /// Notes an accepted push without rotation.
    pub fn apply_push(&mut self, push: &PushRequest) {
        self.envelope = push.envelope.clone();
        self.manifest.payload_version = push.envelope.payload_version;
        // A push that wasn't made with the current key has no plaintext that a member could read.
        self.plaintext = open(&self.data_key, &push.envelope).unwrap_or_default();
    }

    /// Notes an accepted addMember.
    pub fn apply_add(&mut self, member: &MemberEntry) {
        self.manifest.members.retain(|old| old.ed25519_public_key != member.ed25519_public_key);
        self.manifest.members.push(member.clone());
    }

    /// Notes an accepted removal or rotating push.
    pub fn apply_rotation(&mut self, rotation: &Rotation) {
        self.manifest.members = rotation.members.clone();
        self.manifest.payload_version = rotation.envelope.payload_version;
        self.manifest.key_epoch = rotation.envelope.key_epoch;
        self.envelope = rotation.envelope.clone();
        self.data_key = rotation.data_key.clone();
        self.plaintext.clone_from(&rotation.plaintext);
    }
}

/// Encrypts a payload with a fresh IV.
fn seal(repo_id: &str, payload_version: i64, key_epoch: i64, key: &DataKey, plaintext: &[u8]) -> EncryptedEnvelope {
    let binding = Binding { repo_id, payload_version, key_epoch };
    let (iv, ciphertext) = loop {
        let iv = random::plain();
        let ciphertext = envelope::seal(key, &iv, &binding, plaintext).expect("payloads here are a few MiB at most");
        if random::has_plain_ends(&ciphertext) {
            break (iv, ciphertext);
        }
    };
    EncryptedEnvelope {
        repo_id: repo_id.into(),
        payload_version,
        key_epoch,
        iv: base64::encode(&iv),
        ciphertext: base64::encode(&ciphertext),
    }
}

/// A wrapped key without blanks or zeros at its ends, by a way of wrapping that gets a fresh ephemeral private key and IV.
fn with_plain_ends<E>(wrap: impl Fn(&[u8; 32], &[u8; 12]) -> Result<Wrapped, E>) -> Result<Wrapped, E> {
    loop {
        let wrapped = wrap(&random::bytes(), &random::plain())?;
        if random::has_plain_ends(&wrapped.ephemeral_public_key) && random::has_plain_ends(&wrapped.ciphertext) {
            return Ok(wrapped);
        }
    }
}

fn entry(member: &Identity, key: &DataKey, key_epoch: i64) -> MemberEntry {
    let wrap = |ephemeral: &_, iv: &_| Ok(key_wrap::wrap_to_holder(key, member.x25519_private(), ephemeral, iv));
    let Ok::<_, std::convert::Infallible>(wrapped) = with_plain_ends(wrap);
    MemberEntry {
        ed25519_public_key: member.id.clone(),
        x25519_public_key: member.x25519_public_key.clone(),
        wrapped_data_key: WrappedKey::from(&wrapped),
        key_epoch,
        key_binding_sig: None,
    }
}

/// What a member reads: the plaintext of an envelope, by way of the member's own wrapped key in the manifest.
///
/// # Errors
/// In words, which step failed.
pub fn read_as(reader: &Identity, manifest: &VaultManifest, envelope: &EncryptedEnvelope) -> Result<Vec<u8>, String> {
    open(&unwrap_as(reader, manifest)?, envelope)
}

fn unwrap_as(reader: &Identity, manifest: &VaultManifest) -> Result<DataKey, String> {
    let entry = manifest.member(&reader.id).ok_or("the reader isn't in the served roster")?;
    let wrapped = Wrapped::try_from(&entry.wrapped_data_key).map_err(|error| format!("wrappedDataKey: {error}"))?;
    key_wrap::unwrap(&wrapped, reader.x25519_private()).map_err(|error| format!("wrappedDataKey: {error}"))
}

/// Decrypts an envelope under a data key.
///
/// # Errors
/// In words, which step failed.
pub fn open(key: &DataKey, sealed: &EncryptedEnvelope) -> Result<Vec<u8>, String> {
    let iv = base64::decode_array(&sealed.iv).map_err(|error| format!("envelope.iv: {error}"))?;
    let ciphertext = base64::decode(&sealed.ciphertext).map_err(|error| format!("envelope.ciphertext: {error}"))?;
    envelope::open(key, &iv, &sealed.binding(), &ciphertext)
        .map(|plain| plain.to_vec())
        .map_err(|error| format!("envelope: {error}"))
}

/// A payload as clients write it, of one account that has every field; its secret values are canaries.
fn sample_payload(author: &Identity, payload_version: i64) -> Vec<u8> {
    let canaries = canaries();
    let ban = Ban {
        banned: true,
        observed_at: 1_760_000_000_000,
        source: canaries.ban_source.clone(),
        detail: canaries.ban_detail.clone(),
        observed_by: Some(author.id.clone()),
    };
    let alt = AltAccount {
        uuid: canaries.uuid.clone(),
        username: canaries.username.clone(),
        access_token: canaries.access_token.clone(),
        kind: AltType::Session,
        last_used: 1_760_000_000_000,
        last_used_by: Some(author.id.clone()),
        ban: Some(ban),
        source_client: Some(canaries.source_client.clone()),
        source_user: Some(canaries.source_user.clone()),
    };
    AltPayload { alts: vec![alt], payload_version }.to_json().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_read_and_others_do_not() {
        let (alice, bob, carol) = (Identity::generate(), Identity::generate(), Identity::generate());
        let mut repo = Repo::new(&alice);
        repo.apply_add(&repo.entry_for(&bob));
        assert_eq!(read_as(&bob, &repo.manifest, &repo.envelope).unwrap(), repo.plaintext);
        assert!(read_as(&carol, &repo.manifest, &repo.envelope).is_err());
        let old_key = repo.data_key.clone();
        let rotation = repo.rotation(&alice, &[&alice]);
        repo.apply_rotation(&rotation);
        assert!(open(&old_key, &repo.envelope).is_err());
        assert_eq!(read_as(&alice, &repo.manifest, &repo.envelope).unwrap(), repo.plaintext);
    }
}
