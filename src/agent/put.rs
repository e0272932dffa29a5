//! Writing accounts: pull, apply, push, and once more after a conflict.

use reqwest::Method;
use serde_json::Value;

use super::session::Operation;
use super::{Agent, AgentError, Habit, Known, Opened, TRIES, demo, memory, payload, to_value};
use crate::ground::hex;
use crate::wire::{MessageKind, PushRequest, PushResponse};

impl Agent {
    /// Adds an account or replaces the one of the same uuid; pulls and applies it again after a conflict.
    ///
    /// # Errors
    /// [`AgentError`].
    pub async fn put(&mut self, repo: &Known, account: &Value) -> Result<i64, AgentError> {
        let mut known = self.state.current(repo);
        self.memory.careless = self.habits.has(Habit::UnreadIsEmpty) || self.habits.has(Habit::ShortIsEmpty);
        let mut made: Option<Opened> = None;
        let mut told: Option<i64> = None;
        let (mut again, mut place) = (false, None);
        for tries in 0..if self.habits.has(Habit::EndlessConflict) { u32::MAX } else { TRIES } {
            let forces = self.habits.has(Habit::ForcesAtLast) && tries > 1;
            let stale = (self.habits.has(Habit::ExpectsFromAnswer) || forces) && told.is_some();
            let earlier = made.as_ref().map(|old| old.payload.clone()).filter(|_| !stale);
            let mut opened = match made.take() {
                Some(old) if stale => old,
                Some(old) if self.habits.has(Habit::ConflictKeepsKey) => {
                    Opened { key: old.key, ..self.open(&mut known).await? }
                }
                Some(mut old) if self.habits.has(Habit::ConflictUnread) => match self.open(&mut known).await {
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
                self.memory.first(&known).filter(|_| emptied && self.habits.has(Habit::RestoresEmptied))
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
                if self.habits.has(Habit::ConflictByPlace) {
                    place = Some(payload::put_at(&mut opened.payload, account, place));
                } else if again && self.habits.has(Habit::AppendsAgain) {
                    payload::append(&mut opened.payload, account, &self.state.keys.id(), &self.habits);
                } else {
                    payload::put(&mut opened.payload, account, &self.state.keys.id(), &self.habits);
                }
            }
            if self.habits.has(Habit::UuidInHeader) {
                self.session.added = account["uuid"].as_str().map(ToOwned::to_owned);
            }
            if self.habits.has(Habit::AccountToOthers) {
                self.session.added = account["accessToken"].as_str().map(ToOwned::to_owned);
            }
            if self.habits.has(Habit::SourceInHeader) {
                self.session.added = account["sourceUser"].as_str().map(ToOwned::to_owned);
            }
            if self.habits.has(Habit::CredentialInHex) {
                self.session.added = account["accessToken"].as_str().map(|text| hex::encode(text.as_bytes()));
            }
            if self.habits.has(Habit::NameInUrl) {
                self.session.gossip = Some(demo::names(&opened.payload));
            }
            let answer = self.push(&known, &opened, expected).await?;
            let content = self.habits.has(Habit::IgnoresConflict)
                || tries > 0 && self.habits.has(Habit::SecondConflict)
                || tries > 1 && self.habits.has(Habit::ThirdConflict);
            if answer.accepted || content {
                known.version = Some(answer.payload_version);
                self.state.keep(known)?;
                return Ok(answer.payload_version);
            }
            if self.habits.has(Habit::GivesUpOnConflict) {
                return Err(AgentError::Conflict(1));
            }
            told = Some(answer.payload_version);
            if self.habits.has(Habit::OverwritesOnConflict) {
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
    async fn push(&mut self, known: &Known, opened: &Opened, expected: i64) -> Result<PushResponse, AgentError> {
        let step = match () {
            () if self.habits.has(Habit::VersionSkips) => 5,
            () if self.habits.has(Habit::SameVersion) => 0,
            () => 1,
        };
        let version = expected
            .checked_add(step)
            .ok_or_else(|| AgentError::refused("the payload version is the highest there can be"))?;
        let text = payload::write(opened.payload.clone(), version, &self.habits);
        let epoch = if self.habits.has(Habit::PushesAtZero) { 0 } else { opened.manifest.key_epoch };
        let envelope = self.seal(&opened.key, &known.repo_id, (version, epoch), &text);
        let expected = if self.habits.has(Habit::BlindPush) { expected + 41 } else { expected };
        let stale = PushRequest {
            repo_id: known.repo_id.clone(),
            envelope,
            expected_payload_version: expected,
            rotated_members: match self.memory.first(known) {
                Some(first) if self.habits.has(Habit::PushesOldRoster) => Some(first.manifest.members.clone()),
                _ => self.habits.has(Habit::EmptyRoster).then(Vec::new),
            },
        };
        if self.habits.has(Habit::StalePush) {
            let old =
                PushRequest { expected_payload_version: known.version.unwrap_or(1).min(expected) - 1, ..stale.clone() };
            self.push_once(known, &old).await?;
        }
        let answer = match self.push_once(known, &stale).await {
            Err(AgentError::Transport(_)) if self.habits.has(Habit::LostIsDone) => {
                PushResponse { accepted: true, ..self.push_once(known, &stale).await? }
            }
            Err(AgentError::Transport(_)) if self.habits.has(Habit::LostAssumed) => {
                let (expected, version) = (version, version + 1);
                let text = payload::write(opened.payload.clone(), version, &self.habits);
                let envelope = self.seal(&opened.key, &known.repo_id, (version, epoch), &text);
                let over = PushRequest { envelope, expected_payload_version: expected, ..stale.clone() };
                self.push_once(known, &over).await?
            }
            answer => answer?,
        };
        if self.habits.has(Habit::SendsTwice) {
            self.push_once(known, &stale).await?;
        }
        Ok(answer)
    }

    pub(super) async fn push_once(&mut self, known: &Known, request: &PushRequest) -> Result<PushResponse, AgentError> {
        let operation = Operation {
            name: "push",
            method: Method::POST,
            path: &["v1", "repos", &known.repo_id, "push"],
            body: Some(to_value(request)?),
            answer: MessageKind::PushResponse,
        };
        self.session.call(&self.state.keys, &known.base, operation).await
    }
}
