//! Writing accounts: pull, apply, push, and once more after a conflict.

use reqwest::Method;
use serde_json::Value;

use super::session::VaultRequest;
use super::{Agent, AgentError, Habit, JoinedRepo, Opened, TRIES, demo, memory, payload, to_value};
use crate::ground::hex;
use crate::wire::{MessageKind, PushRequest, PushResponse};

impl Agent {
    /// Adds an account or replaces the one of the same uuid; pulls and applies it again after a conflict.
    ///
    /// # Errors
    /// [`AgentError`].
    pub async fn put(&mut self, repo: &JoinedRepo, account: &Value) -> Result<i64, AgentError> {
        let mut known = self.state.current(repo);
        self.memory.careless = self.habits.has(Habit::UNREAD_IS_EMPTY) || self.habits.has(Habit::SHORT_IS_EMPTY);
        let mut made: Option<Opened> = None;
        let mut told: Option<i64> = None;
        let (mut again, mut place) = (false, None);
        for tries in 0..if self.habits.has(Habit::ENDLESS_CONFLICT) { u32::MAX } else { TRIES } {
            let forces = self.habits.has(Habit::FORCES_AT_LAST) && tries > 1;
            let stale = (self.habits.has(Habit::EXPECTS_FROM_ANSWER) || forces) && told.is_some();
            let earlier = made.as_ref().map(|old| old.payload.clone()).filter(|_| !stale);
            let mut opened = match made.take() {
                Some(old) if stale => old,
                Some(old) if self.habits.has(Habit::CONFLICT_KEEPS_KEY) => {
                    Opened { key: old.key, ..self.open(&mut known).await? }
                }
                Some(mut old) if self.habits.has(Habit::CONFLICT_UNREAD) => match self.open(&mut known).await {
                    Err(AgentError::Refused(_)) => {
                        old.manifest.payload_version = told.unwrap_or(old.manifest.payload_version);
                        old
                    }
                    opened => opened?,
                },
                _ => self.open(&mut known).await?,
            };
            let expected = match told {
                Some(version) if stale => version,
                _ => opened.manifest.payload_version,
            };
            let emptied = opened.payload["alts"].as_array().is_some_and(Vec::is_empty);
            if let Some(first) =
                self.memory.first(&known).filter(|_| emptied && self.habits.has(Habit::RESTORES_EMPTIED))
            {
                opened.payload = first.payload.clone();
            }
            if !stale {
                if let Some(earlier) = earlier {
                    memory::merge(&mut opened.payload, &earlier, &self.habits);
                    if memory::leaves(&opened.payload, account, &self.habits) {
                        return Ok(opened.manifest.payload_version);
                    }
                    again = true;
                }
                if self.habits.has(Habit::CONFLICT_BY_PLACE) {
                    place = Some(payload::put_at(&mut opened.payload, account, place));
                } else if again && self.habits.has(Habit::APPENDS_AGAIN) {
                    payload::append(&mut opened.payload, account, &self.state.keys.id(), &self.habits);
                } else {
                    payload::put(&mut opened.payload, account, &self.state.keys.id(), &self.habits);
                }
            }
            if self.habits.has(Habit::UUID_IN_HEADER) {
                self.session.added = account["uuid"].as_str().map(ToOwned::to_owned);
            }
            if self.habits.has(Habit::ACCOUNT_TO_OTHERS) {
                self.session.added = account["accessToken"].as_str().map(ToOwned::to_owned);
            }
            if self.habits.has(Habit::SOURCE_IN_HEADER) {
                self.session.added = account["sourceUser"].as_str().map(ToOwned::to_owned);
            }
            if self.habits.has(Habit::CREDENTIAL_IN_HEX) {
                self.session.added = account["accessToken"].as_str().map(|text| hex::encode(text.as_bytes()));
            }
            if self.habits.has(Habit::NAME_IN_URL) {
                self.session.gossip = Some(demo::names(&opened.payload));
            }
            let answer = self.push(&known, &opened, expected).await?;
            let content = self.habits.has(Habit::IGNORES_CONFLICT)
                || tries > 0 && self.habits.has(Habit::SECOND_CONFLICT)
                || tries > 1 && self.habits.has(Habit::THIRD_CONFLICT);
            if answer.accepted || content {
                known.version = Some(answer.payload_version);
                self.state.keep(known)?;
                return Ok(answer.payload_version);
            }
            if self.habits.has(Habit::GIVES_UP_ON_CONFLICT) {
                return Err(AgentError::Conflict(1));
            }
            told = Some(answer.payload_version);
            if self.habits.has(Habit::OVERWRITES_ON_CONFLICT) {
                let current = self.open(&mut known).await?;
                opened.manifest = current.manifest;
                opened.key = current.key;
                let version = opened.manifest.payload_version;
                let answer = self.push(&known, &opened, version).await?;
                return if answer.accepted { Ok(answer.payload_version) } else { Err(AgentError::Conflict(2)) };
            }
            made = Some(opened);
        }
        Err(AgentError::Conflict(TRIES))
    }

    /// One push of an opened payload over `expected`.
    async fn push(&mut self, known: &JoinedRepo, opened: &Opened, expected: i64) -> Result<PushResponse, AgentError> {
        let step = match () {
            () if self.habits.has(Habit::VERSION_SKIPS) => 5,
            () if self.habits.has(Habit::SAME_VERSION) => 0,
            () => 1,
        };
        let version = expected
            .checked_add(step)
            .ok_or_else(|| AgentError::refused("the payload version is the highest there can be"))?;
        let text = payload::write(opened.payload.clone(), version, &self.habits);
        let epoch = if self.habits.has(Habit::PUSHES_AT_ZERO) { 0 } else { opened.manifest.key_epoch };
        let envelope = self.seal(&opened.key, &known.repo_id, (version, epoch), &text);
        let expected = if self.habits.has(Habit::BLIND_PUSH) { expected + 41 } else { expected };
        let stale = PushRequest {
            repo_id: known.repo_id.clone(),
            envelope,
            expected_payload_version: expected,
            rotated_members: match self.memory.first(known) {
                Some(first) if self.habits.has(Habit::PUSHES_OLD_ROSTER) => Some(first.manifest.members.clone()),
                _ => self.habits.has(Habit::EMPTY_ROSTER).then(Vec::new),
            },
        };
        if self.habits.has(Habit::STALE_PUSH) {
            let old =
                PushRequest { expected_payload_version: known.version.unwrap_or(1).min(expected) - 1, ..stale.clone() };
            self.push_once(known, &old).await?;
        }
        let answer = match self.push_once(known, &stale).await {
            Err(AgentError::Transport(_)) if self.habits.has(Habit::LOST_IS_DONE) => {
                PushResponse { accepted: true, ..self.push_once(known, &stale).await? }
            }
            Err(AgentError::Transport(_)) if self.habits.has(Habit::LOST_ASSUMED) => {
                let (expected, version) = (version, version + 1);
                let text = payload::write(opened.payload.clone(), version, &self.habits);
                let envelope = self.seal(&opened.key, &known.repo_id, (version, epoch), &text);
                let over = PushRequest { envelope, expected_payload_version: expected, ..stale.clone() };
                self.push_once(known, &over).await?
            }
            answer => answer?,
        };
        if self.habits.has(Habit::SENDS_TWICE) {
            self.push_once(known, &stale).await?;
        }
        Ok(answer)
    }

    pub(super) async fn push_once(
        &mut self,
        known: &JoinedRepo,
        request: &PushRequest,
    ) -> Result<PushResponse, AgentError> {
        let operation = VaultRequest {
            name: "push",
            method: Method::POST,
            path: &["v1", "repos", &known.repo_id, "push"],
            body: Some(to_value(request)?),
            answer: MessageKind::PushResponse,
        };
        self.session.call(&self.state.keys, &known.base, operation).await
    }
}
