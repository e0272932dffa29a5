//! Holds answers to what may come: to the model, to the schema, to what is true of every answer.

use memchr::memmem;
use serde_json::Value;

use super::finding::{FindingKind, Found};
use super::plan::{CAST, Wire};
use super::play::{Going, Play};
use super::request::{Judged, Prepared, rule_of_answer};
use crate::client::RawAnswer;
use crate::model::{self, Invocation, RefusalReason};
use crate::requirements::{self as rule, Requirement, Revision};
use crate::scenarios::wrong_code;
use crate::wire::Operation;
use crate::wire::{MessageKind, PullRequest, PullResponse, Schema};

/// Bytes at the end of a token that are in no answer by chance.
const TOKEN_END: usize = 16;

impl Play {
    /// What every answer has to be; gives the body of a 2xx that is right by the schema.
    pub(super) fn is_sound(&mut self, prepared: &Prepared, answer: &RawAnswer) -> Result<Option<Value>, Box<Found>> {
        for limit in std::mem::take(&mut self.limits) {
            self.refusal(prepared, &limit)?;
        }
        let status = answer.status.as_u16();
        // A method or transfer coding that a server doesn't know at all (RFC 9110 §9.1, §10.1.4).
        let unknown = status == 501 && (prepared.wire.is_some() || matches!(prepared.judged, Judged::Malformed { .. }));
        if status >= 500 && !unknown {
            let rule = rule_of_answer(prepared);
            let found = self.found(FindingKind::ServerError, rule, prepared, "no 5xx", format!("status {status}"));
            // Nobody knows what a request has done that ended so: the case ends, however little weight it has.
            return Err(found);
        }
        if status >= 400 {
            // 0.2 fixes no error body: it may quote what was sent.
            return self.refusal(prepared, answer).map(|()| None);
        }
        let holds = |text: &str| memmem::find(&answer.body, text.as_bytes()).is_some();
        if let Some(canary) = self.case.canaries.iter().find(|canary| holds(canary)) {
            let observed = format!("{canary}, which was sent as an unknown member, in an answer of status {status}");
            self.report(self.found(
                FindingKind::Secret,
                &rule::NO_SECRET_ECHO,
                prepared,
                "no answer holds it",
                observed,
            ))?;
        }
        // The end of a token is enough, and sooner found than all of it.
        let end = |token: &str| token.as_bytes()[token.len().saturating_sub(TOKEN_END)..].to_vec();
        let mut tokens = self.case.actors.iter().filter_map(|actor| actor.token.as_deref());
        if tokens.any(|token| memmem::find(&answer.body, &end(token)).is_some() && holds(token)) {
            let rule = &rule::ZERO_KNOWLEDGE;
            return Err(self.found(FindingKind::Secret, rule, prepared, "no answer holds a token", "a member's token"));
        }
        if (200..300).contains(&status) { self.is_in_shape(prepared, answer) } else { Ok(None) }
    }

    /// What a refusal has to be from revision 0.3 on: an error object, with the code of its status.
    pub(super) fn refusal(&mut self, prepared: &Prepared, answer: &RawAnswer) -> Going {
        // What isn't even a whole request may be refused before anybody speaks the protocol.
        if self.world.asked.spec < Revision::V0_3 || prepared.wire == Some(Wire::Truncated) || answer.grpc.is_some() {
            return Ok(());
        }
        let status = answer.status.as_u16();
        let body = serde_json::from_slice(&answer.body).unwrap_or_else(|_| "not JSON".into());
        if let Some(violation) = Schema::violations(MessageKind::ErrorObject, &body, 1).first() {
            let observed = format!("status {status}, {violation}");
            return Err(self.found(FindingKind::Schema, &rule::ERROR_OBJECT, prepared, "an error object", observed));
        }
        let rule = if matches!(status, 413 | 429) { &rule::LIMITS } else { &rule::ERROR_OBJECT };
        match wrong_code(status, &body, &answer.headers).pop() {
            Some(wrong) => {
                Err(self.found(FindingKind::Schema, rule, prepared, "the code that goes with the status", wrong))
            }
            None => Ok(()),
        }
    }

    /// What a 2xx has to be: JSON, by its label too, and of the schema.
    pub(super) fn is_in_shape(&mut self, prepared: &Prepared, answer: &RawAnswer) -> Result<Option<Value>, Box<Found>> {
        let odd = matches!(prepared.judged, Judged::Malformed { .. } | Judged::Answered);
        let off_schema = self.case.slots.get(prepared.repo).is_some_and(|slot| slot.off_schema);
        if (odd || off_schema) && !prepared.operation.is_authentication() {
            return Ok(None);
        }
        let body = match serde_json::from_slice(&self.world.as_stored(&answer.body)) {
            Ok(body) => body,
            Err(error) => {
                let observed = format!("a body that isn't JSON: {error}");
                return Err(self.found(FindingKind::Schema, &rule::FIELD_NAMES, prepared, "JSON", observed));
            }
        };
        let kind = prepared.operation.answer_kind();
        if let Some(violation) = Schema::violations(kind, &body, 1).first() {
            let observed = violation.to_string();
            return Err(self.found(
                FindingKind::Schema,
                &rule::FIELD_NAMES,
                prepared,
                format!("a {}", kind.name()),
                observed,
            ));
        }
        let label = answer.headers.get(http::header::CONTENT_TYPE).map(|value| value.as_bytes().to_ascii_lowercase());
        let label = String::from_utf8_lossy(label.as_deref().unwrap_or_default()).into_owned();
        let essence = label.split(';').next().unwrap_or_default().trim();
        if answer.grpc.is_none() && essence != "application/json" && !essence.ends_with("+json") {
            let rule = &rule::JSON_CONTENT_TYPE;
            let expected = "Content-Type: application/json";
            self.report(self.found(FindingKind::Schema, rule, prepared, expected, format!("{label:?}")))?;
        }
        let status = answer.status.as_u16();
        if status != 200 {
            let rule = &rule::USUAL_STATUS;
            self.report(self.found(FindingKind::Mismatch, rule, prepared, "status 200", format!("status {status}")))?;
        }
        Ok(Some(body))
    }

    pub(super) async fn by_model(
        &mut self,
        prepared: &Prepared,
        invocation: &Invocation,
        lenient: bool,
        answer: &RawAnswer,
        body: Option<Value>,
    ) -> Going {
        let repo = prepared.repo;
        if self.case.slots[repo].state_unknown {
            return Ok(());
        }
        let status = answer.status.as_u16();
        if (lenient && status >= 400) || (status == 413 && prepared.odd) {
            let refused = model::Response::Refused(status);
            let state = self.case.slots[repo].state.as_ref();
            let due = || model::judge_by(self.world.asked.spec, state, invocation, &refused).is_ok();
            // An id that has to be escaped may be refused wherever it comes.
            let may_be_refused = self.case.is_oddly_named(repo, prepared.operation);
            if prepared.wire == Some(Wire::AfterRefusal) && !may_be_refused && !due() {
                return self.body_left_behind(prepared, format!("status {status}")).await;
            }
            return Ok(());
        }
        let symbols = &mut self.case.symbols;
        let read = match body {
            Some(body) => model::read_body(symbols, &invocation.action, body),
            None => model::read_answer(symbols, &invocation.action, status, &self.world.as_stored(&answer.body)),
        };
        let came = match read {
            Ok(came) => came,
            Err(_) if lenient || self.case.slots[repo].off_schema => return self.unsettle(prepared).await,
            Err(error) => {
                let rule = &rule::FIELD_NAMES;
                return Err(self.found(FindingKind::Schema, rule, prepared, "the message", error.to_string()));
            }
        };
        if invocation.caller.is_none() && prepared.rule.is_none() && prepared.wire.is_none() {
            self.is_silent(prepared, status)?;
        }
        match model::judge_by(self.world.asked.spec, self.case.slots[repo].state.as_ref(), invocation, &came) {
            Ok(transition) => {
                if let Some(rule) = prepared.rule.filter(|_| lenient && invocation.caller.is_some()) {
                    let observed = format!("status {status} for {}", prepared.mutation);
                    self.report(self.found(FindingKind::Accepted, rule, prepared, "a 4xx", observed))?;
                }
                self.settle(prepared, transition, status).await
            }
            Err(_) if lenient => self.unsettle(prepared).await,
            Err(_) if self.is_met_anywhere(prepared, invocation, status) => Ok(()),
            Err(mismatch) => {
                let (expected, observed) = mismatch.explain(&self.case.symbols);
                let rule = prepared.rule.unwrap_or(mismatch.rule);
                self.report(self.found(FindingKind::Mismatch, rule, prepared, expected, observed))?;
                if prepared.operation.changes_nothing() { Ok(()) } else { self.unsettle(prepared).await }
            }
        }
    }

    /// Whether a refusal where there should be none is a limit or a policy of the deployment, which is no violation: a code that says nothing
    /// else, a 403 to who changes what there is or who is a member, or any refusal of an unusual id but that it is taken. Whether it hides
    /// something is for a run to tell.
    fn is_met_anywhere(&self, prepared: &Prepared, invocation: &Invocation, status: u16) -> bool {
        let changes_members = match &invocation.action {
            model::Action::Push { rotated, .. } => rotated.is_some(),
            model::Action::CreateRepo { .. } | model::Action::AddMember { .. } | model::Action::RemoveMember { .. } => {
                true
            }
            model::Action::Pull { .. } | model::Action::FetchMemberKey { .. } => false,
        };
        let is_other_refusal = (400..500).contains(&status) && !matches!(status, 401 | 409);
        let unusual = is_other_refusal && self.case.is_unusually_named(prepared.repo, prepared.operation);
        matches!(status, 402 | 413 | 429) || (status == 403 && changes_members) || unusual
    }

    /// Nobody is answered the same, whether the repository is there or not.
    pub(super) fn is_silent(&mut self, prepared: &Prepared, status: u16) -> Going {
        let (name, there) = (prepared.operation.name(), self.case.slots[prepared.repo].state.is_some());
        self.silence.insert((name, there), status);
        match self.silence.get(&(name, !there)) {
            Some(other) if *other != status => {
                let observed = format!("status {status} and status {other}, as the repository is there or not");
                let expected = "the same answer without a token, whatever is there";
                self.report(self.found(
                    FindingKind::Mismatch,
                    &rule::UNAUTHENTICATED_SILENCE,
                    prepared,
                    expected,
                    observed,
                ))
            }
            _ => Ok(()),
        }
    }

    async fn settle(&mut self, prepared: &Prepared, transition: model::Transition, status: u16) -> Going {
        // RFC 6750 §3.1 has 400 for an Authorization that is malformed as such.
        let odd = prepared.odd || prepared.rule.is_some();
        let excused = |missed: &Requirement| prepared.again || (odd && RefusalReason::is_about_codes(missed));
        if let Some(missed) = transition.missed.filter(|missed| !excused(missed)) {
            let observed = format!("status {status}, which no MUST forbids, and a careful server doesn't answer");
            self.report(self.found(FindingKind::Mismatch, missed, prepared, missed.text, observed))?;
        }
        if !transition.settled {
            return self.unsettle(prepared).await;
        }
        if let Some(next) = transition.next {
            self.case.slots[prepared.repo].state = Some(next);
        }
        Ok(())
    }

    /// The server may hold anything now: whatever a member pulls is taken for it.
    pub(super) async fn unsettle(&mut self, prepared: &Prepared) -> Going {
        let repo = prepared.repo;
        if prepared.operation.changes_nothing() {
            return Ok(());
        }
        self.case.slots[repo].off_schema = true;
        for by in 0..CAST.len() {
            let Some(token) = self.case.actors[by].token.clone() else { continue };
            for known in [0, 1] {
                if let Some(state) = self.pulled(prepared, &token, known).await? {
                    self.case.slots[repo].state = Some(state);
                    return Ok(());
                }
            }
        }
        self.case.slots[repo].state_unknown = true;
        Ok(())
    }

    async fn pulled(
        &mut self,
        prepared: &Prepared,
        token: &str,
        known: i64,
    ) -> Result<Option<model::State>, Box<Found>> {
        let id = self.case.slots[prepared.repo].id.clone();
        let body = serde_json::json!(PullRequest { repo_id: id.clone(), known_payload_version: known }).to_string();
        let mut pull = prepared.clone();
        (pull.operation, pull.wire, pull.mutation) = (Operation::Pull, None, "to see what the server holds".into());
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
            return Err(self.found(FindingKind::ServerError, &rule::PULL_CURRENT, &pull, "no 5xx", observed));
        }
        let mut body = serde_json::from_slice(&self.world.as_stored(&answer.body)).unwrap_or_default();
        crate::wire::prune(MessageKind::PullResponse, &mut body);
        let Ok(PullResponse { manifest, envelope: Some(envelope), .. }) = serde_json::from_value(body) else {
            return Ok(None);
        };
        let symbols = &mut self.case.symbols;
        Ok(Some(model::State { manifest: symbols.manifest(&manifest), envelope: symbols.envelope(&envelope) }))
    }

    /// What follows a refused request on its connection got another answer than it would have got alone. What the server took for
    /// a request was no request, and it may still come to the right one.
    pub(super) async fn body_left_behind(&mut self, prepared: &Prepared, observed: String) -> Going {
        let expected = "the answer that the request gets on a connection of its own";
        self.report(self.found(FindingKind::Mismatch, &rule::BODY_CONSUMED, prepared, expected, observed))?;
        self.unsettle(prepared).await
    }

    /// Path and body name two repositories: authority over one is none over the other.
    pub(super) async fn crossed(&mut self, prepared: &Prepared, body: usize, answer: &RawAnswer) -> Going {
        if answer.status.as_u16() >= 400 {
            return Ok(());
        }
        let members = [prepared.repo, body].map(|repo| self.case.members(repo).contains(&prepared.by));
        if !members.contains(&true)
            && !self.case.slots[body].state_unknown
            && !self.case.slots[prepared.repo].state_unknown
        {
            let observed = format!("status {} to a member of neither", answer.status.as_u16());
            return Err(self.found(FindingKind::Mismatch, &rule::PUSH_SCOPE, prepared, "a 4xx", observed));
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
