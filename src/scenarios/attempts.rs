//! Many variants of one rule: each is tried, and what broke is told once, all together.

use std::sync::Arc;

use super::{Answer, Call, Ctx, Finding, Outcome, Stop};
use crate::client::{Exchange, TransportError};

/// How many variants a sentence names before it only counts.
const NAMED: usize = 6;

/// Attempts that must come to nothing, and what came of them.
pub struct Attempts<'c> {
    cx: &'c Ctx,
    tried: usize,
    limited: usize,
    unsayable: usize,
    let_in: Vec<(String, Arc<Exchange>)>,
    unclean: Vec<(String, Arc<Exchange>)>,
}

impl<'c> Attempts<'c> {
    /// Nothing has been tried.
    pub fn new(cx: &'c Ctx) -> Self {
        Self { cx, tried: 0, limited: 0, unsayable: 0, let_in: Vec::new(), unclean: Vec::new() }
    }

    /// Counts an answer; tells whether the attempt was let in.
    pub fn count(&mut self, what: impl Into<String>, answer: &Answer<'_>) -> bool {
        if answer.status == 429 {
            self.limited += 1;
            return false;
        }
        self.tried += 1;
        if answer.is_success() {
            self.let_in.push((what.into(), answer.exchange.clone()));
        } else if !answer.is_refusal() {
            self.unclean.push((format!("{} ({})", what.into(), answer.summary()), answer.exchange.clone()));
        }
        answer.is_success()
    }

    /// Sends a request and counts its answer. A connection that is closed instead is no refusal, but lets nobody in either.
    ///
    /// # Errors
    /// [`Stop::SetupFailed`] when the server is gone.
    pub async fn attempt(&mut self, what: impl Into<String>, call: Call<'_>) -> Result<bool, Stop> {
        let (exchange, result) = self.cx.try_call(call).await;
        match result {
            Ok(answer) => Ok(self.count(what, &answer)),
            Err(TransportError::Unsayable(_)) => {
                self.unsayable += 1;
                Ok(false)
            }
            Err(error) if error.is_unreachable() => {
                let observed = self.cx.world.mask(error.to_string());
                Err(Stop::SetupFailed(Box::new(Finding::shown("an HTTP answer", observed, exchange))))
            }
            Err(error) => {
                self.tried += 1;
                self.unclean.push((format!("{} ({})", what.into(), self.cx.world.mask(error.to_string())), exchange));
                Ok(false)
            }
        }
    }

    /// Forgets what was neither accepted nor refused, where that is told by another check.
    pub fn only_let_in(mut self) -> Self {
        self.unclean.clear();
        self
    }

    /// The verdict on all attempts; `expected` says what each of them should have met.
    ///
    /// # Errors
    /// [`Stop::Violation`] when any was let in, [`Stop::Skip`] when a rate limit kept all of them from being tried.
    pub fn verdict(self, expected: &str) -> Outcome {
        self.cx.remark(format!("{} ways", self.tried));
        if let Some((_, exchange)) = self.let_in.first() {
            let observed = format!("accepted: {}", list(&self.let_in));
            let evidence = self.let_in.iter().skip(1).take(2).map(|(_, exchange)| exchange.clone()).collect();
            let finding = Finding::shown(expected, observed, exchange.clone());
            return Err(Stop::Violation(Box::new(Finding { evidence, ..finding })));
        }
        if let Some((_, exchange)) = self.unclean.first() {
            let observed = format!("neither accepted nor refused: {}", list(&self.unclean));
            self.cx.warn(Finding::shown(format!("{expected}, with a 4xx"), observed, exchange.clone()));
        }
        if self.tried == 0 && self.unsayable > 0 {
            return Err(Stop::not_applicable("what it sends can't be said over gRPC"));
        }
        if self.tried == 0 && self.limited > 0 {
            return Err(Stop::not_judged("a rate limit was met before anything could be tried"));
        }
        Ok(())
    }
}

/// The first few, and how many more there are.
fn list(all: &[(String, Arc<Exchange>)]) -> String {
    let mut names: Vec<&str> = all.iter().map(|(what, _)| what.as_str()).collect();
    names.dedup();
    let more = names.len().saturating_sub(NAMED);
    names.truncate(NAMED);
    let named = names.join("; ");
    if more == 0 { named } else { format!("{named}; and {more} more") }
}
