//! Whether a served X25519 key is the member's: known from itself, or vouched for by the issuer (SPEC §9).

use reqwest::{Method, Url};
use serde_json::Value;

use super::http::Request;
use super::session::VaultRequest;
use super::{Agent, AgentError, Habit, JoinedRepo};
use crate::codec::signature::verify as verify_text;
use crate::codec::{base64, key_binding};
use crate::ground::lock;
use crate::wire::{MemberEntry, MessageKind};

impl Agent {
    /// The issuer's keys, if the deployment names an issuer.
    pub(super) async fn issuer_keys(&self, known: &JoinedRepo) -> Result<Option<Vec<[u8; 32]>>, AgentError> {
        let shared = self.habits.has(Habit::ISSUER_SHARED);
        if let Some(keys) = lock(&self.memory.issuer).clone().filter(|_| shared) {
            return Ok(Some(keys));
        }
        match self.fetched_keys(known).await {
            Err(_) if self.habits.has(Habit::BINDING_FAILS_OPEN) => Ok(None),
            Err(error) if self.habits.has(Habit::ISSUER_STALE) => {
                lock(&self.memory.issuer).clone().ok_or(error).map(Some)
            }
            Ok(Some(keys)) if self.habits.has(Habit::ISSUER_STALE) => {
                Ok(Some(lock(&self.memory.issuer).insert(keys).clone()))
            }
            Ok(Some(keys)) if shared => Ok(Some(lock(&self.memory.issuer).insert(keys).clone())),
            result => result,
        }
    }

    /// The entry that a binding is looked for in: the one that is wrapped to.
    pub(super) async fn looked_at(
        &mut self,
        known: &JoinedRepo,
        entry: &MemberEntry,
    ) -> Result<MemberEntry, AgentError> {
        if !self.habits.has(Habit::BINDING_OF_FETCHED) {
            return Ok(entry.clone());
        }
        self.fetched(known, entry).await
    }

    /// The entry that a client wraps to: the one that was verified.
    pub(super) async fn wrapped_to(
        &mut self,
        known: &JoinedRepo,
        entry: &MemberEntry,
    ) -> Result<MemberEntry, AgentError> {
        if self.habits.has(Habit::WRAPS_LATER) {
            let later = self.pull(known, -1).await?.manifest;
            return Ok(later.member(&entry.ed25519_public_key).unwrap_or(entry).clone());
        }
        if !self.habits.has(Habit::BINDING_OF_ROSTER) {
            return Ok(entry.clone());
        }
        self.fetched(known, entry).await
    }

    async fn fetched(&mut self, known: &JoinedRepo, entry: &MemberEntry) -> Result<MemberEntry, AgentError> {
        let operation = VaultRequest {
            name: "fetchMemberKey",
            method: Method::GET,
            path: &["v1", "repos", &known.repo_id, "member", &entry.ed25519_public_key],
            body: None,
            answer: MessageKind::MemberEntry,
        };
        self.session.call(&self.state.keys, &known.base, operation).await
    }

    async fn fetched_keys(&self, known: &JoinedRepo) -> Result<Option<Vec<[u8; 32]>>, AgentError> {
        let last = self.memory.issuers.get(&known.host).filter(|_| self.habits.has(Habit::ISSUER_OF_LAST));
        let Some(url) = last.or(known.issuer_jwks_url.as_ref()) else { return Ok(None) };
        let parsed = Url::parse(url).map_err(|error| AgentError::Refused(format!("issuerJwksUrl: {error}")))?;
        let origin = parsed.origin().ascii_serialization();
        if let Some(keys) = lock(&self.memory.keys).get(&origin).filter(|_| self.habits.has(Habit::KEYS_BY_ORIGIN)) {
            return Ok(Some(keys.clone()));
        }
        let request =
            Request { method: Method::GET, url: parsed, token: self.session.any_token(), body: None, extra: None };
        let reply = self.session.http.send(request).await?;
        if reply.status == 404 && self.habits.has(Habit::ISSUER_MISSING) {
            return Ok(None);
        }
        if reply.status != 200 {
            return Err(AgentError::Refused(format!("the issuer's key set answers {}", reply.status)));
        }
        let set: Value = serde_json::from_slice(&reply.body)
            .map_err(|error| AgentError::Refused(format!("the issuer's key set: {error}")))?;
        let key = |key: &Value| {
            let is_ed25519 = key["kty"] == "OKP" && key["crv"] == "Ed25519";
            let raw = base64::decode_url(key["x"].as_str().filter(|_| is_ed25519)?).ok()?;
            <[u8; 32]>::try_from(raw.as_slice()).ok()
        };
        let all = set["keys"].as_array().map(Vec::as_slice).unwrap_or_default();
        let usable: Vec<_> = all.iter().filter_map(key).collect();
        lock(&self.memory.keys).insert(origin, usable.clone());
        let foreign = usable.is_empty() && !all.is_empty();
        Ok((!foreign || !self.habits.has(Habit::ISSUER_FOREIGN)).then_some(usable))
    }

    /// Whether a data key may be wrapped to a served entry.
    pub(super) fn vouched(
        &self,
        known: &JoinedRepo,
        issuer: Option<&[[u8; 32]]>,
        entry: &MemberEntry,
    ) -> Result<(), AgentError> {
        let first = self.habits.has(Habit::BINDING_NOT_FIRST)
            && self.memory.creator.as_ref() == Some(&entry.ed25519_public_key);
        let verified = first || self.memory.verified.contains(&entry.ed25519_public_key);
        if self.habits.has(Habit::NO_BINDING) || verified {
            return Ok(());
        }
        let (id, x25519) = (&entry.ed25519_public_key, &entry.x25519_public_key);
        if *id == self.state.keys.id() {
            let own = *x25519 == self.state.keys.x25519_public_key();
            return if own || self.habits.has(Habit::BINDING_OWN) {
                Ok(())
            } else {
                Err(AgentError::refused("the server names another key for this client"))
            };
        }
        if let Some(told) = known.keys.get(id) {
            return if told == x25519 || self.habits.has(Habit::BINDING_INVITED) { Ok(()) } else { Err(changed(id)) };
        }
        let Some(issuer) = issuer else { return Ok(()) };
        let Some(signature) = entry.key_binding_sig.as_deref() else {
            return if known.own_host { Ok(()) } else { Err(AgentError::Refused(format!("{id} has no key binding"))) };
        };
        let signature = base64::decode(signature).map_err(|error| AgentError::Refused(format!("{id}: {error}")));
        if self.habits.has(Habit::BINDING_MALFORMED) && !signature.as_ref().is_ok_and(|bytes| bytes.len() == 64) {
            return Ok(());
        }
        let signature = signature?;
        let (first, second) = if self.habits.has(Habit::BINDING_REVERSED) { (x25519, id) } else { (id, x25519) };
        let own = |id: &str| base64::decode_array::<32>(id).ok();
        let by_itself = || own(id).is_some_and(|key| key_binding::verify(&key, id, x25519, &signature).is_ok());
        let of_id = |key: &[u8; 32]| verify_text(key, id.as_bytes(), &signature).is_ok();
        let reversed = |key: &[u8; 32]| key_binding::verify(key, x25519, id, &signature).is_ok();
        if self.habits.has(Habit::BINDING_SELF_SIGNED) && by_itself()
            || self.habits.has(Habit::BINDING_EITHER) && issuer.iter().any(reversed)
            || self.habits.has(Habit::BINDING_OF_ID) && issuer.iter().any(of_id)
        {
            return Ok(());
        }
        if issuer.iter().any(|key| key_binding::verify(key, first, second, &signature).is_ok()) {
            Ok(())
        } else {
            Err(changed(id))
        }
    }
}

fn changed(id: &str) -> AgentError {
    AgentError::Refused(format!("the X25519 key that the server names for {id} isn't that member's"))
}
