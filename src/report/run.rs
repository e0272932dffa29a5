//! The fold that every whole-run report starts from: events in, a finished run out.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::text::section_order;
use crate::causes::{self, Causes};
use crate::client::Exchange;
use crate::runner::{CheckResult, Event, Omission, RunEnd, RunInfo, Status, Summary, Verdict};

/// Bytes of exchanges that are kept besides those of the findings: a long run must not fill the memory.
const MOST_TRACED: usize = 96 << 20;

/// An exchange of a run, whether anything is wrong with it or not.
#[derive(Clone, Debug)]
pub struct Traced {
    /// Id of the check that sent it, or `preflight`.
    pub check: &'static str,
    /// When it began, since the start of the run; as near as the event stream tells.
    pub start: Duration,
    /// What was sent and answered.
    pub exchange: Arc<Exchange>,
}

/// Collects the events of a run.
#[derive(Debug, Default)]
pub struct Recorder {
    info: Option<Arc<RunInfo>>,
    notes: Vec<String>,
    results: Vec<Arc<CheckResult>>,
    end: Option<Arc<RunEnd>>,
    since: Option<Instant>,
    starts: HashMap<&'static str, Duration>,
    traced: Vec<Traced>,
    traced_bytes: usize,
    untraced: u64,
}

impl Recorder {
    /// Takes in one event.
    pub fn event(&mut self, event: &Event) {
        let since = *self.since.get_or_insert_with(Instant::now);
        self.event_at(event, since.elapsed());
    }

    /// Takes in one event, so long after the start of the run.
    pub fn event_at(&mut self, event: &Event, at: Duration) {
        match event {
            Event::CheckStarted(check) => drop(self.starts.insert(check.id, at)),
            Event::Exchange(check, exchange) => self.trace(check, exchange, at),
            Event::RunStarted(info) => self.info = Some(Arc::clone(info)),
            Event::Note(text) => {
                if !self.notes.contains(text) {
                    self.notes.push(text.clone());
                }
            }
            Event::CheckFinished(result) => self.results.push(Arc::clone(result)),
            Event::RunFinished(end) => self.end = Some(Arc::clone(end)),
            Event::Waiting(_) => {}
        }
    }

    fn trace(&mut self, check: &'static str, exchange: &Arc<Exchange>, at: Duration) {
        self.traced_bytes += exchange.size();
        if self.traced_bytes > MOST_TRACED {
            self.untraced += 1;
            return;
        }
        let start = at.saturating_sub(exchange.duration);
        self.traced.push(Traced { check, start, exchange: Arc::clone(exchange) });
    }

    /// The run, its results in the order of the specification. `None` if it never started. A run that never finished
    /// counts as not judged.
    pub fn finish(mut self) -> Option<Run> {
        let info = self.info?;
        self.results.sort_by_cached_key(|result| (section_order(result.check.section), result.check.id));
        let end = self.end.unwrap_or_else(|| Arc::new(broken_off(&self.results)));
        // A known failure explains nothing: what is new mustn't hide behind it.
        let unknown = self.results.iter().filter(|result| !end.known.contains_key(result.check.id));
        let causes = causes::find(unknown.map(AsRef::as_ref));
        let (starts, traced, untraced) = (self.starts, self.traced, self.untraced);
        let (notes, results) = (self.notes, self.results);
        Some(Run { info, notes, results, causes, end, starts, traced, untraced, history: None })
    }
}

fn broken_off(results: &[Arc<CheckResult>]) -> RunEnd {
    let mut summary = Summary::default();
    results.iter().for_each(|result| summary.count(result.status));
    RunEnd {
        verdict: Verdict::NotJudged,
        reason: "the run broke off before its verdict".into(),
        advice: String::new(),
        summary,
        requests: 0,
        duration: Duration::ZERO,
        interrupted: true,
        exit_code: 3,
        known: Default::default(),
        stale: Vec::new(),
        hosted: None,
    }
}

/// A finished run, as reports see it.
#[derive(Debug)]
pub struct Run {
    /// What was known at its start.
    pub info: Arc<RunInfo>,
    /// Remarks about the target.
    pub notes: Vec<String>,
    /// Every check's result, those left out included, by section and id.
    pub results: Vec<Arc<CheckResult>>,
    /// What the findings come down to.
    pub causes: Causes,
    /// How it ended.
    pub end: Arc<RunEnd>,
    /// When each check began, since the start of the run.
    pub starts: HashMap<&'static str, Duration>,
    /// Every exchange, where the run was told to trace them.
    pub traced: Vec<Traced>,
    /// Exchanges that found no room among these.
    pub untraced: u64,
    /// What the contention checks did, where that was recorded.
    pub history: Option<Drawn>,
}

/// The recorded history of a run, judged and drawn.
#[derive(Clone, Debug)]
pub struct Drawn {
    /// Operations in it.
    pub operations: usize,
    /// What came of it, in a sentence.
    pub said: String,
    /// The picture of the operations, as HTML that can stand in a page.
    pub figure: String,
}

impl Run {
    /// The results of a status, by section and id.
    pub fn with(&self, status: Status) -> Vec<&CheckResult> {
        self.results.iter().map(AsRef::as_ref).filter(|result| result.status == status).collect()
    }

    /// The results of a status that aren't known failures.
    pub fn unknown(&self, status: Status) -> Vec<&CheckResult> {
        self.with(status).into_iter().filter(|result| !self.is_known(result)).collect()
    }

    /// Failures that are known.
    pub fn known(&self) -> Vec<&CheckResult> {
        self.results.iter().map(AsRef::as_ref).filter(|result| self.is_known(result)).collect()
    }

    /// Whether a failure is known.
    pub fn is_known(&self, result: &CheckResult) -> bool {
        self.end.known.contains_key(result.check.id)
    }

    /// The result of a check.
    pub fn result(&self, id: &str) -> Option<&CheckResult> {
        self.results.iter().map(AsRef::as_ref).find(|result| result.check.id == id)
    }

    /// The causes whose own check has a status, each with the results that follow from it; the most fundamental first.
    pub fn causes_with(&self, wanted: impl Fn(Status) -> bool) -> Vec<(&CheckResult, Vec<&CheckResult>)> {
        let own = self.causes.list().iter().filter_map(|cause| {
            let result = self.result(cause.check).filter(|result| wanted(result.status))?;
            Some((result, cause.explains.iter().filter_map(|id| self.result(id)).collect()))
        });
        own.collect()
    }

    /// Whether the exit status says that something is wrong which no check shows: a target that could not be judged, an
    /// early end, a stale file of known failures.
    pub fn fails_by_itself(&self) -> bool {
        let shows = |result: &&Arc<CheckResult>| !self.is_known(result) && self.is_problem(result.status);
        let broken = self.end.verdict == Verdict::NotJudged || self.end.interrupted;
        broken || (self.end.exit_code != 0 && !self.results.iter().any(|result| shows(&result)))
    }

    /// The exchanges of a result, those of its findings included, each once and in order.
    pub fn exchanges_of<'a>(&self, result: &'a CheckResult) -> Vec<&'a Arc<Exchange>> {
        let mut all: Vec<&Arc<Exchange>> = Vec::new();
        let shown = result.findings.iter().flat_map(|finding| finding.exchange.iter().chain(&finding.evidence));
        for exchange in result.exchanges.iter().chain(shown) {
            if !all.iter().any(|known| Arc::ptr_eq(known, exchange)) {
                all.push(exchange);
            }
        }
        all
    }

    /// Whether a result of this status fails the run.
    pub fn is_problem(&self, status: Status) -> bool {
        status == Status::Fail || (self.info.strict && status == Status::Warn)
    }

    /// The checks without a verdict by why and reason: what could not be judged first, then what doesn't apply, then what
    /// was left out; of each, the reason with most checks last, so that what is rare is seen.
    pub fn skipped(&self) -> Vec<(String, Vec<&'static str>)> {
        let mut groups: Vec<(Omission, &str, Vec<&'static str>)> = Vec::new();
        for result in self.with(Status::Skip) {
            let why = result.omission.unwrap_or(Omission::LeftOut);
            match groups.iter_mut().find(|(known, reason, _)| *known == why && *reason == result.message) {
                Some((_, _, ids)) => ids.push(result.check.id),
                None => groups.push((why, &result.message, vec![result.check.id])),
            }
        }
        let order = |why: Omission| match why {
            Omission::NotJudged => 0,
            Omission::NotApplicable => 1,
            Omission::LeftOut => 2,
        };
        groups.sort_by_key(|(why, _, ids)| (order(*why), ids.len()));
        groups.into_iter().map(|(why, reason, ids)| (format!("{}: {reason}", why.name()), ids)).collect()
    }
}
