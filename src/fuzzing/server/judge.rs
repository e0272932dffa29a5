//! Holds answers to what may come: to the model, to the schema, to what is true of every answer.

use super::finding::{Found, Kind};
use super::plan::CAST;
use super::play::{Going, Play};
use super::request::{Judged, Prepared, rule_of};
use crate::client::RawAnswer;
use crate::model::{self, Call};
use crate::requirements::{self as rule, Requirement};
use crate::scenarios::Operation;
use crate::wire::{PullRequest, PullResponse, Schema};

impl Play {
    /// What every answer has to be.
    pub(super) fn is_sound(&mut self, prepared: &Prepared, answer: &RawAnswer) -> Going {
        let status = answer.status.as_u16();
        // A method or transfer coding that a server doesn't know at all (RFC 9110 §9.1, §10.1.4).
        let unknown = status == 501 && (prepared.wire.is_some() || matches!(prepared.judged, Judged::Malformed { .. }));
        if status >= 500 && !unknown {
            let rule = rule_of(prepared);
            return Err(self.found(Kind::ServerError, rule, prepared, "no 5xx", format!("status {status}")));
        }
        if status >= 400 {
            // 0.2 fixes no error body: it may quote what was sent.
            return Ok(());
        }
        let text = String::from_utf8_lossy(&answer.body);
        if let Some(canary) = self.scene.canaries.iter().find(|canary| text.contains(canary.as_str())) {
            let observed = format!("{canary}, which was sent as an unknown member, in an answer of status {status}");
            return Err(self.found(Kind::Secret, &rule::NO_SECRET_ECHO, prepared, "no answer holds it", observed));
        }
        let tokens = self.scene.actors.iter().filter_map(|actor| actor.token.as_deref());
        if tokens.into_iter().any(|token| text.contains(token)) {
            let rule = &rule::ZERO_KNOWLEDGE;
            return Err(self.found(Kind::Secret, rule, prepared, "no answer holds a token", "a member's token"));
        }
        if (200..300).contains(&status) { self.is_in_shape(prepared, answer) } else { Ok(()) }
    }

    /// What a 2xx has to be: JSON, by its label too, and of the schema.
    pub(super) fn is_in_shape(&self, prepared: &Prepared, answer: &RawAnswer) -> Going {
        let odd = matches!(prepared.judged, Judged::Malformed { .. } | Judged::Answered);
        let stained = self.scene.slots.get(prepared.repo).is_some_and(|slot| slot.stained);
        if (odd || stained) && !prepared.operation.is_authentication() {
            return Ok(());
        }
        let body = match serde_json::from_slice(&answer.body) {
            Ok(body) => body,
            Err(error) => {
                let observed = format!("a body that isn't JSON: {error}");
                return Err(self.found(Kind::Schema, &rule::FIELD_NAMES, prepared, "JSON", observed));
            }
        };
        let kind = prepared.operation.answer_kind();
        if let Some(violation) = Schema::violations(kind, &body, 1).first() {
            let observed = violation.to_string();
            return Err(self.found(Kind::Schema, &rule::FIELD_NAMES, prepared, format!("a {}", kind.name()), observed));
        }
        let label = answer.headers.get(http::header::CONTENT_TYPE).map(|value| value.as_bytes().to_ascii_lowercase());
        let label = String::from_utf8_lossy(label.as_deref().unwrap_or_default()).into_owned();
        let essence = label.split(';').next().unwrap_or_default().trim();
        if essence != "application/json" && !essence.ends_with("+json") {
            let rule = &rule::JSON_CONTENT_TYPE;
            return Err(self.found(
                Kind::Schema,
                rule,
                prepared,
                "Content-Type: application/json",
                format!("{label:?}"),
            ));
        }
        Ok(())
    }

    pub(super) async fn by_model(
        &mut self,
        prepared: &Prepared,
        call: &Call,
        lenient: bool,
        answer: &RawAnswer,
    ) -> Going {
        let repo = prepared.repo;
        if self.scene.slots[repo].lost {
            return Ok(());
        }
        let status = answer.status.as_u16();
        if lenient && status >= 400 {
            return Ok(());
        }
        let read = model::read_answer(&mut self.scene.words, &call.operation, status, &answer.body);
        let came = match read {
            Ok(came) => came,
            Err(_) if lenient || self.scene.slots[repo].stained => return self.unsettle(prepared).await,
            Err(error) => {
                let rule = &rule::FIELD_NAMES;
                return Err(self.found(Kind::Schema, rule, prepared, "the message", error.to_string()));
            }
        };
        if call.caller.is_none() && prepared.rule.is_none() && prepared.wire.is_none() {
            self.is_silent(prepared, status)?;
        }
        match model::judge(self.scene.slots[repo].state.as_ref(), call, &came) {
            Ok(step) => self.settle(prepared, step).await,
            Err(_) if lenient => self.unsettle(prepared).await,
            Err(mismatch) => {
                let (expected, observed) = mismatch.explain(&self.scene.words);
                let rule = match (&call.caller, prepared.rule) {
                    (None, Some(rule)) => rule,
                    _ => mismatch.rule,
                };
                Err(self.found(Kind::Mismatch, rule, prepared, expected, observed))
            }
        }
    }

    /// Nobody is answered the same, whether the repository is there or not.
    pub(super) fn is_silent(&mut self, prepared: &Prepared, status: u16) -> Going {
        let (name, there) = (prepared.operation.name(), self.scene.slots[prepared.repo].state.is_some());
        self.silence.insert((name, there), status);
        match self.silence.get(&(name, !there)) {
            Some(other) if *other != status => {
                let observed = format!("status {status} and {other}, as the repository is there or not");
                let expected = "the same answer without a token, whatever is there";
                Err(self.found(Kind::Mismatch, &rule::UNAUTHENTICATED_SILENCE, prepared, expected, observed))
            }
            _ => Ok(()),
        }
    }

    pub(super) async fn settle(&mut self, prepared: &Prepared, step: model::Step) -> Going {
        let misses = |missed: &&Requirement| missed.id != rule::USUAL_STATUS.id && !prepared.again;
        if let Some(missed) = step.missed.filter(misses) {
            let observed = "an answer that no MUST forbids, and that a careful server doesn't give";
            return Err(self.found(Kind::Mismatch, missed, prepared, missed.text, observed));
        }
        if !step.settled {
            return self.unsettle(prepared).await;
        }
        if let Some(next) = step.next {
            self.scene.slots[prepared.repo].state = Some(next);
        }
        Ok(())
    }

    /// The server may hold anything now: whatever a member pulls is taken for it.
    pub(super) async fn unsettle(&mut self, prepared: &Prepared) -> Going {
        let repo = prepared.repo;
        self.scene.slots[repo].stained = true;
        if matches!(prepared.operation, Operation::Pull | Operation::FetchMemberKey) {
            return Ok(());
        }
        for by in 0..CAST.len() {
            let Some(token) = self.scene.actors[by].token.clone() else { continue };
            for known in [0, 1] {
                if let Some(state) = self.pulled(prepared, &token, known).await? {
                    self.scene.slots[repo].state = Some(state);
                    return Ok(());
                }
            }
        }
        self.scene.slots[repo].lost = true;
        Ok(())
    }

    async fn pulled(
        &mut self,
        prepared: &Prepared,
        token: &str,
        known: i64,
    ) -> Result<Option<model::State>, Box<Found>> {
        let id = self.scene.slots[prepared.repo].id.clone();
        let body = serde_json::json!(PullRequest { repo_id: id.clone(), known_payload_version: known }).to_string();
        let mut pull = prepared.clone();
        (pull.operation, pull.wire, pull.twist) = (Operation::Pull, None, "to see what the server holds".into());
        pull.request.method = http::Method::POST;
        pull.request.path = Operation::Pull.path(&id, "");
        pull.request.body = Some(body.into());
        let bearer = http::HeaderValue::from_str(&format!("Bearer {token}")).ok();
        pull.request.headers = bearer.map(|value| (http::header::AUTHORIZATION, value)).into_iter().collect();
        pull.request.headers.push((http::header::CONTENT_TYPE, http::HeaderValue::from_static("application/json")));
        let answer = match self.send(&pull).await {
            Ok(answer) => answer,
            Err(error) => return Err(self.no_answer(&pull, &error).await),
        };
        if answer.status.as_u16() >= 500 {
            let observed = format!("status {}", answer.status.as_u16());
            return Err(self.found(Kind::ServerError, &rule::BAD_INPUT, &pull, "no 5xx", observed));
        }
        let Ok(PullResponse { manifest, envelope: Some(envelope), .. }) = serde_json::from_slice(&answer.body) else {
            return Ok(None);
        };
        let words = &mut self.scene.words;
        Ok(Some(model::State { manifest: words.manifest(&manifest), envelope: words.envelope(&envelope) }))
    }

    /// Path and body name two repositories: authority over one is none over the other.
    pub(super) async fn crossed(&mut self, prepared: &Prepared, body: usize, answer: &RawAnswer) -> Going {
        if answer.status.as_u16() >= 400 {
            return Ok(());
        }
        let members = [prepared.repo, body].map(|repo| self.scene.members(repo).contains(&prepared.by));
        if !members.contains(&true) && !self.scene.slots[body].lost && !self.scene.slots[prepared.repo].lost {
            let observed = format!("status {} to a member of neither", answer.status.as_u16());
            return Err(self.found(Kind::Mismatch, &rule::PUSH_SCOPE, prepared, "a 4xx", observed));
        }
        // Where the caller has authority, the request may have been carried out.
        for (repo, member) in [prepared.repo, body].into_iter().zip(members) {
            if member {
                self.unsettle(&Prepared { repo, ..prepared.clone() }).await?;
            }
        }
        Ok(())
    }
}
