//! Plays a case against a server: sends its requests one after the other and holds every answer to what may come.

use std::collections::HashMap;
use std::sync::Arc;

use super::case_state::CaseState;
use super::finding::{FindingKind, Found, Key, Recorded, in_grpc};
use super::plan::{Act, CAST, Count, Credential, Step, Wire};
use super::request::{Judged, Prepared, rule_of};
use super::sent::Sent;
use crate::client::{Profile, RawAnswer, TransportError};
use crate::requirements::Requirement;
use crate::scenarios::World;
use crate::wire::proto::Code;

/// Operation, mutation, and class of the answer: what a server was seen to do.
pub type Behaviour = (&'static str, String, String);

/// What a case came to.
pub struct Played {
    /// What isn't as it must be or should be, in the order in which it showed. What fails a server ends a case; what only warns
    /// doesn't, or a server that has one odd habit would never be looked at any further.
    pub findings: Vec<Found>,
    /// Requests and answers, in order; empty when there is no finding.
    pub transcript: Vec<Recorded>,
    /// What the server was seen to do.
    pub behaviours: Vec<Behaviour>,
}

/// A case under way.
pub(super) struct Play {
    pub world: Arc<World>,
    pub case: CaseState,
    pub sent: Vec<Sent>,
    pub behaviours: Vec<Behaviour>,
    /// Refusals for coming too often, before they are looked at.
    pub limits: Vec<RawAnswer>,
    /// Whether a connection that had been idle ended instead of answering: nobody knows what became of that request.
    pub cut_off: bool,
    /// The tokens of the case, and whose they are.
    pub issued: Vec<(usize, String)>,
    noted: Vec<Found>,
    last: Option<Prepared>,
    /// How nobody was answered, by operation and whether the repository is there.
    pub silence: HashMap<(&'static str, bool), u16>,
}

/// Plays a case with fresh identities; only until it shows what is `wanted`, if anything is.
pub async fn play(world: &Arc<World>, steps: &[Step], wanted: Option<&Key>) -> Played {
    let mut play = Play {
        world: Arc::clone(world),
        case: CaseState::new(world.asked.spec),
        sent: Vec::new(),
        behaviours: Vec::new(),
        limits: Vec::new(),
        cut_off: false,
        issued: Vec::new(),
        noted: Vec::new(),
        last: None,
        silence: HashMap::new(),
    };
    for step in steps.iter().filter(|step| step.is_possible()) {
        if let Err(finding) = play.step(step).await {
            if !play.cut_off {
                play.noted.push(*finding);
            }
            break;
        }
        if wanted.is_some_and(|key| play.noted.iter().any(|found| found.key() == *key)) {
            break;
        }
    }
    // Most cases show nothing, and nobody wants to read them.
    let transcript = if play.noted.is_empty() { Vec::new() } else { play.transcript() };
    Played { findings: play.noted, transcript, behaviours: play.behaviours }
}

impl Played {
    /// The finding with a key.
    pub fn finding(&self, key: &Key) -> Option<&Found> {
        self.findings.iter().find(|found| found.key() == *key)
    }

    /// The requests up to a finding.
    pub fn until(&self, found: &Found) -> &[Recorded] {
        &self.transcript[..found.after.min(self.transcript.len())]
    }
}

/// What web applications show for a path that they don't know, instead of a 404.
fn is_fallback_page(prepared: &Prepared, answer: &RawAnswer) -> bool {
    let label = answer.headers.get(http::header::CONTENT_TYPE).map_or(&b""[..], |label| label.as_bytes());
    let no_route = prepared.request.method == http::Method::GET && !prepared.mutation.is_empty();
    no_route && answer.status.is_success() && label.to_ascii_lowercase().starts_with(b"text/html")
}

/// Goes on, or has found something.
pub(super) type Going = Result<(), Box<Found>>;

impl Play {
    async fn step(&mut self, step: &Step) -> Going {
        match &step.act {
            Act::Challenge => self.challenge(step).await,
            Act::Redeem { with } => self.redeem(step, *with).await,
            Act::Discovery => self.discovery(step).await,
            Act::Look => self.look(step.repo % self.case.slots.len()).await,
            Act::Audit => self.audit().await,
            Act::Again => match self.last.clone() {
                Some(prepared) => self.perform(Prepared { again: true, ..prepared }).await,
                None => Ok(()),
            },
            _ => {
                self.authenticate(step.by).await?;
                let Some(prepared) = self.case.prepare(step) else { return Ok(()) };
                self.perform(prepared).await
            }
        }
    }

    /// A member pulls everything.
    async fn look(&mut self, repo: usize) -> Going {
        match self.case.members(repo).first() {
            Some(by) => self.ask(*by, repo, Act::Pull { known: Count::Is(0) }).await,
            None => Ok(()),
        }
    }

    /// Everybody pulls every repository and asks for every entry.
    async fn audit(&mut self) -> Going {
        for repo in 0..self.case.slots.len() {
            if self.case.slots[repo].state_unknown {
                continue;
            }
            let members = self.case.members(repo);
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
        let step = Step { by, repo, act, credential: Credential::Own, mutation: None, dice: 0 };
        let Some(prepared) = self.case.prepare(&step) else { return Ok(()) };
        self.perform(prepared).await
    }

    /// Sends a request and judges what comes.
    async fn perform(&mut self, prepared: Prepared) -> Going {
        let going = self.sent_and_judged(&prepared).await;
        self.last = Some(prepared);
        going
    }

    async fn sent_and_judged(&mut self, prepared: &Prepared) -> Going {
        if self.is_unsayable(prepared) {
            return Ok(());
        }
        let result = match prepared.wire {
            Some(Wire::AfterRefusal) => match self.after_refusal(prepared).await? {
                Some(result) => result,
                None => return Ok(()),
            },
            Some(Wire::Stalled) => self.stalled(prepared).await?,
            _ => self.send(prepared).await,
        };
        let answer = match result {
            Ok(answer) => answer,
            Err(_) if prepared.wire == Some(Wire::Truncated) => {
                self.behaviour(prepared, "closed");
                return Ok(());
            }
            // Whoever doesn't want to read all of a large body has no other way to say so than to stop reading.
            Err(TransportError::Closed { .. }) if prepared.is_huge() && self.is_alive(prepared.operation).await => {
                self.behaviour(prepared, "closed");
                return self.unsettle(prepared).await;
            }
            Err(error) => return Err(self.no_answer(prepared, &error).await),
        };
        let status = answer.status.as_u16();
        self.behaviour(prepared, &status.to_string());
        if is_fallback_page(prepared, &answer) {
            return Ok(());
        }
        let body = self.is_sound(prepared, &answer)?;
        if prepared.wire == Some(Wire::Truncated) {
            return if status < 400 { self.unsettle(prepared).await } else { Ok(()) };
        }
        match &prepared.judged {
            Judged::Model { invocation, lenient } => self.by_model(prepared, invocation, *lenient, &answer, body).await,
            Judged::Crossed { body } => self.crossed(prepared, *body, &answer).await,
            Judged::Malformed { harmless } => {
                if status >= 400 {
                    return self.has_a_word(prepared, &answer);
                }
                if !harmless {
                    let observed = format!("status {status} for {}", prepared.mutation);
                    self.report(self.found(FindingKind::Accepted, rule_of(prepared), prepared, "a 4xx", observed))?;
                }
                self.unsettle(prepared).await
            }
            Judged::Answered if status < 400 => self.unsettle(prepared).await,
            Judged::Answered => Ok(()),
        }
    }

    /// A refusal that says what is wrong: over gRPC a client can't tell its own mistake from the server's by UNKNOWN.
    fn has_a_word(&mut self, prepared: &Prepared, answer: &RawAnswer) -> Going {
        match answer.grpc.as_ref().map(|grpc| grpc.code) {
            Some(code) if matches!(code, Code::UNKNOWN | Code::INTERNAL) => {
                let rule = rule_of(prepared);
                self.report(self.found(
                    FindingKind::ServerError,
                    rule,
                    prepared,
                    "INVALID_ARGUMENT, say",
                    format!("status {code}"),
                ))
            }
            _ => Ok(()),
        }
    }

    fn behaviour(&mut self, prepared: &Prepared, class: &str) {
        // What is odd is often followed by where.
        let mutation: Vec<_> = prepared.mutation.split(' ').take(4).collect();
        self.behaviours.push((prepared.operation.name(), mutation.join(" "), class.into()));
    }

    pub(super) fn found(
        &self,
        kind: FindingKind,
        rule: &'static Requirement,
        prepared: &Prepared,
        expected: impl Into<String>,
        observed: impl Into<String>,
    ) -> Box<Found> {
        let operation = prepared.operation.name();
        let (mut expected, mut observed) = (expected.into(), observed.into());
        if self.profile(prepared) == Profile::Grpc {
            (expected, observed) = (in_grpc(&expected), in_grpc(&observed));
        }
        let (expected, observed) = (self.world.mask(expected), self.world.mask(observed));
        Box::new(Found { kind, rule, operation, expected, observed, after: self.sent.len() })
    }

    /// Takes a finding down: the case ends if it fails the server, and goes on if it is no more than a warning.
    pub(super) fn report(&mut self, found: Box<Found>) -> Going {
        if found.fails() {
            return Err(found);
        }
        if !self.noted.iter().any(|known| known.key() == found.key()) {
            self.noted.push(*found);
        }
        Ok(())
    }
}
