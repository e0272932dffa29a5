//! Holding an answer to what is allowed.

use super::rules::{Allowed, Alternative, Expected, allowed, retried};
use super::{Invocation, Manifest, Response, State, Symbols};
use crate::requirements::{self as rule, Requirement, Revision};

/// What came of an invocation whose answer is allowed.
#[derive(Clone, Debug)]
pub struct Transition {
    /// The state afterwards, if it changed.
    pub next: Option<State>,
    /// What a careful server would have done better; or the rule of its status code, if a refusal that was due has another.
    pub missed: Option<&'static Requirement>,
    /// Whether the specification fixes what the server holds afterwards.
    pub settled: bool,
}

/// An answer that isn't allowed.
#[derive(Clone, Debug)]
pub struct Mismatch {
    /// The rule that it breaks.
    pub rule: &'static Requirement,
    /// What would have been allowed.
    pub allowed: Vec<Expected>,
    /// What came.
    pub answer: Response,
}

/// What comes of an invocation by this answer.
///
/// # Errors
/// [`Mismatch`]: the answer isn't allowed in this state.
pub fn judge(state: Option<&State>, invocation: &Invocation, answer: &Response) -> Result<Transition, Box<Mismatch>> {
    judge_by(Revision::V0_2, state, invocation, answer)
}

/// As [`judge`], by a revision of the specification.
///
/// # Errors
/// [`Mismatch`]: the answer isn't allowed in this state.
pub fn judge_by(
    revision: Revision,
    state: Option<&State>,
    invocation: &Invocation,
    answer: &Response,
) -> Result<Transition, Box<Mismatch>> {
    let retried = if revision >= Revision::V0_3 { retried(state, invocation) } else { None };
    let Allowed { rule, alternatives } = retried.unwrap_or_else(|| allowed(state, invocation));
    if let Some(transition) = alternatives.iter().find_map(|alternative| alternative.explains(answer)) {
        return Ok(transition);
    }
    let only_shared = alternatives
        .iter()
        .any(|alternative| matches!(&alternative.expected, Expected::Is(due) if is_shared(due, answer)));
    let rule = if only_shared { &rule::SHARE_REFRESH_TOKENS } else { broken_rule(rule, answer) };
    let allowed = alternatives.into_iter().map(|alternative| alternative.expected).collect();
    Err(Box::new(Mismatch { rule, allowed, answer: answer.clone() }))
}

/// As [`judge`], for callers that ask very often and don't want to know why not.
pub fn transition(state: Option<&State>, invocation: &Invocation, answer: &Response) -> Option<Transition> {
    allowed(state, invocation).alternatives.iter().find_map(|alternative| alternative.explains(answer))
}

/// An accepted push where a conflict was due breaks the gate, not the form of conflicts.
fn broken_rule(rule: &'static Requirement, answer: &Response) -> &'static Requirement {
    match answer {
        Response::Push { accepted: true, .. } if rule.id == rule::PUSH_CONFLICT.id => &rule::PUSH_GATED,
        Response::Push { accepted: false, .. } if rule.id == rule::PUSH_ROTATES.id => &rule::PUSH_APPLIES,
        _ => rule,
    }
}

/// Whether nothing but `shareRefreshTokens` sets an answer apart from the one that was due.
fn is_shared(due: &Response, came: &Response) -> bool {
    let turned = |manifest: &Manifest| Manifest { shared: !manifest.shared, ..manifest.clone() };
    match (due, came) {
        (Response::Manifest(due), Response::Manifest(came)) => turned(due) == *came,
        (
            Response::Pull { manifest: due, envelope, unchanged },
            Response::Pull { manifest: came, envelope: sealed, unchanged: said },
        ) => (&turned(due), envelope, unchanged) == (came, sealed, said),
        _ => false,
    }
}

impl Alternative {
    fn explains(&self, answer: &Response) -> Option<Transition> {
        let transition = |missed| Transition { next: self.next.clone(), missed, settled: self.settled };
        match (&self.expected, answer) {
            (Expected::Is(expected), answer) => (expected == answer).then(|| transition(self.missed)),
            (Expected::Refusal(reason), Response::Refused(status)) => {
                Some(transition(self.missed.or(reason.and_then(|reason| reason.missed(*status)))))
            }
            (Expected::Refusal(_), _) => None,
        }
    }
}

impl Mismatch {
    /// What would have been allowed, and what came, in words.
    pub fn explain(&self, symbols: &Symbols) -> (String, String) {
        // Refusals for different reasons may read the same.
        let mut expected: Vec<String> = Vec::new();
        for text in self.allowed.iter().map(|expected| symbols.expected(expected)) {
            if !expected.contains(&text) {
                expected.push(text);
            }
        }
        let observed = match (self.allowed.first(), &self.answer) {
            (Some(Expected::Is(expected)), answer) => symbols.difference(expected, answer),
            _ => None,
        };
        (expected.join(", or "), observed.unwrap_or_else(|| symbols.answer(&self.answer)))
    }
}
