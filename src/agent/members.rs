//! Inviting and removing members (SPEC §6, §8.1).

use reqwest::Method;

use super::session::VaultRequest;
use super::{Agent, AgentError, Habit, JoinedRepo, Opened, crypto, payload, to_value};
use crate::codec::DataKey;
use crate::codec::base64;
use crate::codec::invite::InviteRequest;
use crate::codec::key_wrap::SCHEME_ID;
use crate::codec::locator::RepoLocator;
use crate::wire::{MemberAddRequest, MemberEntry, MemberRemoveRequest, MessageKind, PushRequest, VaultManifest};

impl Agent {
    /// This client's public keys, as a token for whoever is to invite it.
    pub fn invite_request(&self) -> String {
        let keys = &self.state.keys;
        let (id, x25519) = (keys.id(), keys.x25519_public_key());
        let request = InviteRequest { v: 1, ed25519_public_key: id, x25519_public_key: x25519 };
        self.spelled(request.encode(), &request.to_json())
    }

    /// Tokens as faulty clients spell them.
    fn spelled(&self, token: String, json: &str) -> String {
        match () {
            () if self.habits.has(Habit::PADDED_TOKENS) => {
                let padding = "=".repeat((4 - token.len() % 4) % 4);
                // A token that needs no padding gets a blank in its JSON, so that it does.
                if padding.is_empty() {
                    base64::encode_url(format!("{json} ").as_bytes()) + "=="
                } else {
                    token + &padding
                }
            }
            () if self.habits.has(Habit::SPACED_TOKENS) => {
                base64::encode_url(json.replace(',', ", ").replace("\":", "\": ").as_bytes())
            }
            () if self.habits.has(Habit::STANDARD_LOCATOR) => {
                base64::encode(json.as_bytes()).trim_end_matches('=').to_owned()
            }
            () => token,
        }
    }

    /// Adds the member of an invite request; returns the locator that it joins with.
    ///
    /// # Errors
    /// [`AgentError`].
    pub async fn invite(&mut self, repo: &JoinedRepo, request: &str) -> Result<String, AgentError> {
        let request = InviteRequest::decode(request).map_err(AgentError::refused)?;
        request.keys().map_err(AgentError::refused)?;
        let mut known = self.state.current(repo);
        let Opened { manifest, mut key, .. } = self.open(&mut known).await?;
        if let Some(first) = self.memory.first(&known).filter(|_| self.habits.has(Habit::INVITES_OLD_KEY)) {
            key = first.key.clone();
        }
        let (id, mut x25519) = (request.ed25519_public_key, request.x25519_public_key);
        if let Some(entry) = manifest.member(&id).filter(|_| self.habits.has(Habit::INVITES_ROSTER_KEY)) {
            x25519.clone_from(&entry.x25519_public_key);
        }
        if let Some(entry) = manifest.member(&id)
            && entry.x25519_public_key != x25519
        {
            return Err(AgentError::Refused(format!("{id} is a member already, with another key")));
        }
        let mut member = self.entry(&key, &id, &x25519, manifest.key_epoch)?;
        if let Some(first) = self.memory.first(&known).filter(|_| self.habits.has(Habit::INVITES_FIRST_EPOCH)) {
            member.key_epoch = first.manifest.key_epoch;
        }
        if self.habits.has(Habit::INVITE_CACHED) {
            let fresh = member.wrapped_data_key.clone();
            member.wrapped_data_key = self.memory.invitations.entry(id.clone()).or_insert(fresh).clone();
        }
        if self.habits.has(Habit::INVITES_AT_ZERO) {
            member.key_epoch = 0;
        }
        let operation = VaultRequest {
            name: "addMember",
            method: Method::POST,
            path: &["v1", "repos", &known.repo_id, "add-member"],
            body: Some(to_value(&MemberAddRequest { repo_id: known.repo_id.clone(), member })?),
            answer: MessageKind::VaultManifest,
        };
        self.session.call::<VaultManifest>(&self.state.keys, &known.base, operation).await?;
        known.keys.insert(id, x25519);
        self.state.keep(known.clone())?;
        let locator = RepoLocator {
            v: 1,
            host: known.host,
            repo_id: known.repo_id,
            scheme_id: Some(SCHEME_ID.into()),
            key_epoch: Some(manifest.key_epoch),
            issuer_jwks_url: known
                .issuer_jwks_url
                .or_else(|| self.habits.has(Habit::ISSUER_IS_NULL).then(|| "null".into())),
        };
        Ok(self.spelled(locator.encode(), &locator.to_json()))
    }

    /// Removes a member: next epoch, new data key, wrapped anew to everybody who stays.
    ///
    /// # Errors
    /// [`AgentError`]; [`AgentError::Refused`] when a key of somebody who stays can't be trusted.
    pub async fn remove(&mut self, repo: &JoinedRepo, id: &str) -> Result<i64, AgentError> {
        let mut known = self.state.current(repo);
        self.memory.careless = self.habits.has(Habit::REMOVES_UNREAD);
        let mut opened = self.open(&mut known).await?;
        if opened.manifest.member(id).is_none() {
            return Err(AgentError::Usage(format!("{id} isn't a member")));
        }
        if let Some(first) = self.memory.first(&known) {
            let same_version = first.manifest.payload_version == opened.manifest.payload_version;
            let same_epoch = first.manifest.key_epoch == opened.manifest.key_epoch;
            if self.habits.has(Habit::OLD_ROSTER) || same_version && self.habits.has(Habit::ROSTER_OF_VERSION) {
                opened.manifest.members.clone_from(&first.manifest.members);
            }
            if self.habits.has(Habit::ROSTER_UNION) {
                let missing = |entry: &&MemberEntry| opened.manifest.member(&entry.ed25519_public_key).is_none();
                let missing: Vec<_> = first.manifest.members.iter().filter(missing).cloned().collect();
                opened.manifest.members.extend(missing);
            }
            if self.habits.has(Habit::OLD_PAYLOAD) || same_epoch && self.habits.has(Habit::PAYLOAD_OF_EPOCH) {
                opened.payload = first.payload.clone();
            }
        }
        if self.habits.has(Habit::RESTORES_REMOVED) {
            let own = known.keys.contains_key(id);
            let entry = opened.manifest.member(id).filter(|_| own).cloned();
            opened.manifest.members.extend(std::mem::take(&mut self.memory.removed));
            self.memory.removed.extend(entry);
        }
        if self.habits.has(Habit::ROSTER_PAGE) {
            opened.manifest.members.truncate(16);
        }
        let next = |value: i64| value.checked_add(1).ok_or_else(|| AgentError::refused("a counter is at its end"));
        let version = match () {
            () if self.habits.has(Habit::ROTATION_RESETS) => 1,
            () if self.habits.has(Habit::REMOVAL_KEEPS_VERSION) => opened.manifest.payload_version,
            () if self.habits.has(Habit::REMOVAL_DOUBLE) => {
                crypto::through_double(next(opened.manifest.payload_version)?)
            }
            () => next(opened.manifest.payload_version)?,
        };
        let later = self.memory.has_removed() && self.habits.has(Habit::KEEPS_LATER_EPOCHS);
        let epoch = if later || self.habits.has(Habit::KEEPS_EPOCH) {
            opened.manifest.key_epoch
        } else {
            next(opened.manifest.key_epoch)?
        };
        let key = match () {
            () if self.habits.has(Habit::KEEPS_DATA_KEY) => opened.key.clone(),
            () if self.habits.has(Habit::ALONE_KEEPS_KEY) && opened.manifest.members.len() <= 2 => opened.key.clone(),
            () if self.habits.has(Habit::HASHES_LATER) => {
                let later = self.memory.memo.replace(opened.key.clone()).is_some();
                let hash = <sha2::Sha256 as sha2::Digest>::digest(opened.key.as_bytes()).into();
                DataKey::new(if later { hash } else { crypto::random() })
            }
            () if self.habits.has(Habit::MEMO_KEY) => {
                self.memory.memo.get_or_insert_with(|| DataKey::new(crypto::random())).clone()
            }
            () => crypto::rotated(&opened.key, &known.repo_id, epoch, &self.habits)
                .unwrap_or_else(|| DataKey::new(crypto::random())),
        };
        let members = self.rewrapped(&known, &opened.manifest, &key, id, epoch).await?;
        self.memory.rewrites(&mut opened.payload, id, &self.habits);
        let text = payload::write(opened.payload.clone(), version, &self.habits);
        let empty = opened.payload["alts"].as_array().is_some_and(Vec::is_empty);
        let sealing = if empty && self.habits.has(Habit::EMPTY_KEEPS_KEY) { &opened.key } else { &key };
        let request = MemberRemoveRequest {
            repo_id: known.repo_id.clone(),
            removed_member_id: id.into(),
            rotated_envelope: self.seal(sealing, &known.repo_id, (version, epoch), &text),
            rewrapped_members: members,
            new_key_epoch: epoch,
        };
        if self.habits.has(Habit::REMOVES_BY_PUSH) {
            let push = PushRequest {
                repo_id: request.repo_id,
                envelope: request.rotated_envelope,
                expected_payload_version: opened.manifest.payload_version,
                rotated_members: Some(request.rewrapped_members),
            };
            let answer = self.push_once(&known, &push).await?;
            return if answer.accepted { Ok(answer.key_epoch) } else { Err(AgentError::Conflict(1)) };
        }
        let operation = VaultRequest {
            name: "removeMember",
            method: Method::POST,
            path: &["v1", "repos", &known.repo_id, "remove-member"],
            body: Some(to_value(&request)?),
            answer: MessageKind::VaultManifest,
        };
        let manifest: VaultManifest = self.session.call(&self.state.keys, &known.base, operation).await?;
        if !self.habits.has(Habit::RESTORES_REMOVED) {
            known.keys.remove(id);
        }
        (known.version, known.epoch) = (Some(manifest.payload_version), Some(manifest.key_epoch));
        self.state.keep(known)?;
        Ok(manifest.key_epoch)
    }

    /// The roster after a removal.
    async fn rewrapped(
        &mut self,
        known: &JoinedRepo,
        manifest: &VaultManifest,
        key: &DataKey,
        removed: &str,
        epoch: i64,
    ) -> Result<Vec<MemberEntry>, AgentError> {
        let issuer = self.issuer_keys(known).await?;
        let keeps_all = self.habits.has(Habit::KEEPS_REMOVED);
        let stays = |entry: &&MemberEntry| entry.ed25519_public_key != removed || keeps_all;
        let mut members = Vec::new();
        for (place, old) in manifest.members.iter().filter(stays).enumerate() {
            let looked_at = self.looked_at(known, old).await?;
            if place < 3 || !self.habits.has(Habit::BINDING_FEW) {
                self.vouched(known, issuer.as_deref(), &looked_at)?;
            }
            if self.habits.has(Habit::BINDING_BY_ID) {
                self.memory.verified.insert(old.ed25519_public_key.clone());
            }
            let own = old.ed25519_public_key == self.state.keys.id();
            if self.habits.has(Habit::FORGETS_MEMBERS) && !own {
                continue;
            }
            if self.habits.has(Habit::KEEPS_WRAPS) && !own {
                members.push(MemberEntry { key_epoch: epoch, ..old.clone() });
                continue;
            }
            let chosen = self.wrapped_to(known, old).await?;
            let mut entry = self.entry(key, &old.ed25519_public_key, &chosen.x25519_public_key, epoch)?;
            entry.key_binding_sig.clone_from(&old.key_binding_sig);
            if self.habits.has(Habit::DROPS_BINDINGS) {
                entry.key_binding_sig = None;
            }
            if self.habits.has(Habit::OLD_ENTRY_EPOCH) {
                entry.key_epoch = manifest.key_epoch;
            }
            if own && self.habits.has(Habit::TWICE_IN_ROSTER) {
                members.push(entry.clone());
            }
            members.push(entry);
        }
        if self.habits.has(Habit::SHIFTS_BINDINGS) {
            let mut bindings: Vec<_> = members.iter_mut().map(|entry| entry.key_binding_sig.take()).collect();
            let step = 1.min(bindings.len());
            bindings.rotate_left(step);
            members.iter_mut().zip(bindings).for_each(|(entry, binding)| entry.key_binding_sig = binding);
        }
        Ok(members)
    }
}
