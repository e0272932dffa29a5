//! Plays a case against a server: sends its requests one after the other and holds every answer to what may come.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::finding::{Found, Kind, Recorded};
use super::plan::{Act, CAST, Count, Credential, Step, Wire};
use super::request::{Judged, Prepared, rule_of};
use super::scene::Scene;
use crate::client::{Exchange, RawAnswer, RawRequest, RecordedBody, Rewrite, TransportError};
use crate::model::{self, Call};
use crate::requirements::{self as rule, Requirement};
use crate::scenarios::{Operation, World};
use crate::wire::{PullRequest, PullResponse, Schema};

/// How long a server may take for what it was never sent to its end.
const UNFINISHED: Duration = Duration::from_secs(1);

/// Operation, twist, and class of the answer: what a server was seen to do.
pub type Behaviour = (&'static str, String, String);

/// What a case came to.
pub struct Played {
    /// The first thing that isn't as it must be or should be.
    pub found: Option<Found>,
    /// Requests and answers, in order.
    pub transcript: Vec<Recorded>,
    /// What the server was seen to do.
    pub behaviours: Vec<Behaviour>,
}

/// A case under way.
pub(super) struct Play {
    pub world: Arc<World>,
    pub scene: Scene,
    pub transcript: Vec<Recorded>,
    pub behaviours: Vec<Behaviour>,
    last: Option<Prepared>,
    /// How nobody was answered, by operation and whether the repository is there.
    silence: HashMap<(&'static str, bool), u16>,
}

/// Plays a case with fresh identities.
pub async fn play(world: &Arc<World>, steps: &[Step]) -> Played {
    let mut play = Play {
        world: Arc::clone(world),
        scene: Scene::new(),
        transcript: Vec::new(),
        behaviours: Vec::new(),
        last: None,
        silence: HashMap::new(),
    };
    let mut found = None;
    for step in steps {
        if let Err(finding) = play.step(step).await {
            found = Some(*finding);
            break;
        }
    }
    Played { found, transcript: play.transcript, behaviours: play.behaviours }
}

/// Goes on, or has found something.
pub(super) type Going = Result<(), Box<Found>>;

impl Play {
    async fn step(&mut self, step: &Step) -> Going {
        match &step.act {
            Act::Challenge => self.challenge(step).await,
            Act::Redeem { with } => self.redeem(step, *with).await,
            Act::Discovery => self.discovery(step).await,
            Act::Look => self.look(step.repo % self.scene.slots.len()).await,
            Act::Audit => self.audit().await,
            Act::Again => match self.last.clone() {
                Some(prepared) => self.perform(prepared).await,
                None => Ok(()),
            },
            _ => {
                self.authenticate(step.by).await?;
                let Some(prepared) = self.scene.prepare(step) else { return Ok(()) };
                self.perform(prepared).await
            }
        }
    }

    /// A member pulls everything.
    async fn look(&mut self, repo: usize) -> Going {
        match self.scene.members(repo).first() {
            Some(by) => self.ask(*by, repo, Act::Pull { known: Count::Is(0) }).await,
            None => Ok(()),
        }
    }

    /// Everybody pulls every repository and asks for every entry.
    async fn audit(&mut self) -> Going {
        for repo in 0..self.scene.slots.len() {
            if self.scene.slots[repo].lost {
                continue;
            }
            let members = self.scene.members(repo);
            for by in 0..CAST.len() {
                for known in [Count::Is(0), Count::Plus(0)] {
                    self.ask(by, repo, Act::Pull { known }).await?;
                }
            }
            if let Some(by) = members.first() {
                for who in 0..=CAST.len() {
                    self.ask(*by, repo, Act::FetchMemberKey { who }).await?;
                }
            }
        }
        Ok(())
    }

    async fn ask(&mut self, by: usize, repo: usize, act: Act) -> Going {
        self.authenticate(by).await?;
        let step = Step { by, repo, act, credential: Credential::Own, twist: None, dice: 0 };
        let Some(prepared) = self.scene.prepare(&step) else { return Ok(()) };
        self.perform(prepared).await
    }

    /// Sends a request and judges what comes.
    async fn perform(&mut self, prepared: Prepared) -> Going {
        let result = match prepared.wire {
            Some(Wire::AfterRefusal) => self.after_refusal(&prepared).await?,
            _ => self.send(&prepared).await,
        };
        self.last = Some(prepared.clone());
        let answer = match result {
            Ok(answer) => answer,
            Err(_) if prepared.wire == Some(Wire::Truncated) => {
                self.behaviour(&prepared, "closed");
                return Ok(());
            }
            Err(error) => return Err(self.no_answer(&prepared, &error).await),
        };
        let status = answer.status.as_u16();
        self.behaviour(&prepared, &status.to_string());
        self.is_sound(&prepared, &answer)?;
        if prepared.wire == Some(Wire::Truncated) {
            return if status < 400 { self.unsettle(&prepared).await } else { Ok(()) };
        }
        match prepared.judged.clone() {
            Judged::Model { call, lenient } => self.by_model(&prepared, &call, lenient, &answer).await,
            Judged::Crossed { body } => self.crossed(&prepared, body, &answer).await,
            Judged::Malformed { harmless } => {
                if status >= 400 {
                    return Ok(());
                }
                if !harmless {
                    let observed = format!("status {status} for {}", prepared.twist);
                    return Err(self.found(Kind::Accepted, rule_of(&prepared), &prepared, "a 4xx", observed));
                }
                self.unsettle(&prepared).await
            }
            Judged::Answered if status < 400 => self.unsettle(&prepared).await,
            Judged::Answered => Ok(()),
        }
    }

    fn behaviour(&mut self, prepared: &Prepared, class: &str) {
        // What is odd is often followed by where.
        let twist: Vec<_> = prepared.twist.split(' ').take(4).collect();
        self.behaviours.push((prepared.operation.name(), twist.join(" "), class.into()));
    }

    /// Sends a request as it is to be written, waits out rate limits, and records what came.
    pub(super) async fn send(&mut self, prepared: &Prepared) -> Result<RawAnswer, TransportError> {
        let world = Arc::clone(&self.world);
        let transport = if prepared.operation.is_authentication() { world.idp() } else { &world.vault };
        let bound = transport.timeout();
        let started = Instant::now();
        let rewritten = match prepared.wire {
            Some(Wire::Capitals) => Some(Rewrite::Capitals),
            Some(Wire::Pieces) => Some(Rewrite::Pieces),
            Some(Wire::Truncated) => Some(Rewrite::Truncated),
            Some(Wire::Pipelined) if prepared.operation == Operation::Pull => Some(Rewrite::Twice),
            _ => None,
        };
        let mut request = prepared.request.clone();
        if prepared.wire == Some(Wire::Chunked) && request.body.is_some() {
            let chunked = http::HeaderValue::from_static("chunked");
            request.headers.push((http::header::TRANSFER_ENCODING, chunked));
        }
        let result = match rewritten {
            Some(Rewrite::Truncated) => {
                transport.send_rewritten(&request, Rewrite::Truncated, UNFINISHED.min(bound)).await
            }
            Some(rewrite) => transport.send_rewritten(&request, rewrite, bound).await,
            None => world.send(transport, &request, bound).await,
        };
        self.record(prepared, &request, &result, started.elapsed());
        match result {
            // Rewritten requests don't wait out rate limits by themselves.
            Ok(answer) if answer.status.as_u16() == 429 && rewritten.is_some() => {
                world.send(transport, &prepared.request, bound).await
            }
            result => result,
        }
    }

    /// A request without a token, with a body, and right behind it on the same connection the request itself.
    async fn after_refusal(&mut self, prepared: &Prepared) -> Result<Result<RawAnswer, TransportError>, Box<Found>> {
        let started = Instant::now();
        let mut first = prepared.request.clone();
        first.headers.retain(|(name, _)| name != http::header::AUTHORIZATION);
        let bound = self.world.vault.timeout();
        let result = match self.world.vault.send_both(&first, &prepared.request, bound).await {
            Ok((refusal, second)) => {
                self.record(prepared, &first, &Ok(refusal), started.elapsed());
                match second {
                    None => return Ok(self.send(prepared).await),
                    Some(result) => result,
                }
            }
            Err(error) => Err(error),
        };
        self.record(prepared, &prepared.request, &result, started.elapsed());
        Ok(match result {
            Ok(answer) if answer.status.as_u16() == 429 => self.send(prepared).await,
            result => result,
        })
    }

    pub(super) fn record(
        &mut self,
        prepared: &Prepared,
        request: &RawRequest,
        result: &Result<RawAnswer, TransportError>,
        duration: Duration,
    ) {
        let recorded = |bytes: &[u8]| {
            let body = RecordedBody::of(bytes);
            RecordedBody { text: self.world.mask(body.text), ..body }
        };
        let authorization = request.headers.iter().find(|(name, _)| name == http::header::AUTHORIZATION);
        let shown = authorization.map(|(_, value)| {
            let text = String::from_utf8_lossy(value.as_bytes());
            let kept: String = text.chars().take(24).collect();
            if kept.len() == text.len() { kept } else { format!("{kept}…") }
        });
        let answer = result.as_ref().ok();
        let content_type = answer.and_then(|answer| answer.headers.get(http::header::CONTENT_TYPE));
        let exchange = Exchange {
            operation: prepared.operation.name(),
            method: request.method.to_string(),
            path: request.path.clone(),
            authorization: shown,
            request: recorded(request.body.as_deref().unwrap_or_default()),
            status: answer.map(|answer| answer.status.as_u16()),
            content_type: content_type.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()),
            response: answer.map(|answer| recorded(&answer.body)).unwrap_or_default(),
            error: result.as_ref().err().map(|error| self.world.mask(error.to_string())),
            duration,
        };
        let by = CAST.get(prepared.by).copied().unwrap_or("nobody");
        self.transcript.push(Recorded { by, twist: prepared.twist.clone(), exchange });
    }

    pub(super) fn found(
        &self,
        kind: Kind,
        rule: &'static Requirement,
        prepared: &Prepared,
        expected: impl Into<String>,
        observed: impl Into<String>,
    ) -> Box<Found> {
        let operation = prepared.operation.name();
        Box::new(Found { kind, rule, operation, expected: expected.into(), observed: observed.into() })
    }

    /// No whole answer came: the request is to blame, or the server is gone.
    pub(super) async fn no_answer(&self, prepared: &Prepared, error: &TransportError) -> Box<Found> {
        let alive = match error {
            error if error.is_unreachable() => false,
            // Whoever closes a connection may be about to fall.
            _ => {
                tokio::time::sleep(Duration::from_millis(50)).await;
                !self.world.vault.open().await.is_err_and(|error| error.is_unreachable())
            }
        };
        let kind = match error {
            _ if !alive => Kind::Dead,
            TransportError::Timeout(_) => Kind::Hang,
            _ => Kind::Dropped,
        };
        self.found(kind, &rule::BAD_INPUT, prepared, "an HTTP answer", self.world.mask(error.to_string()))
    }

    /// What every answer has to be.
    fn is_sound(&mut self, prepared: &Prepared, answer: &RawAnswer) -> Going {
        let status = answer.status.as_u16();
        // A method or transfer coding that a server doesn't know at all (RFC 9110 §9.1, §10.1.4).
        let unknown = status == 501 && (prepared.wire.is_some() || matches!(prepared.judged, Judged::Malformed { .. }));
        if status >= 500 && !unknown {
            let rule = rule_of(prepared);
            return Err(self.found(Kind::ServerError, rule, prepared, "no 5xx", format!("status {status}")));
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

    async fn by_model(&mut self, prepared: &Prepared, call: &Call, lenient: bool, answer: &RawAnswer) -> Going {
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
    fn is_silent(&mut self, prepared: &Prepared, status: u16) -> Going {
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

    async fn settle(&mut self, prepared: &Prepared, step: model::Step) -> Going {
        if let Some(missed) = step.missed.filter(|missed| missed.id != rule::USUAL_STATUS.id) {
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
    async fn crossed(&mut self, prepared: &Prepared, body: usize, answer: &RawAnswer) -> Going {
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
