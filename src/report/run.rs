//! The fold that every whole-run report starts from: events in, a finished run out.

use std::sync::Arc;
use std::time::Duration;

use super::text::section_order;
use crate::causes::{self, Causes};
use crate::runner::{CheckResult, Event, Omission, RunEnd, RunInfo, Status, Summary, Verdict};

/// Collects the events of a run.
#[derive(Debug, Default)]
pub struct Recorder {
    info: Option<Arc<RunInfo>>,
    notes: Vec<String>,
    results: Vec<Arc<CheckResult>>,
    end: Option<Arc<RunEnd>>,
}

impl Recorder {
    /// Takes in one event.
    pub fn event(&mut self, event: &Event) {
        match event {
            Event::RunStarted(info) => self.info = Some(Arc::clone(info)),
            Event::Note(text) => {
                if !self.notes.contains(text) {
                    self.notes.push(text.clone());
                }
            }
            Event::CheckFinished(result) => self.results.push(Arc::clone(result)),
            Event::RunFinished(end) => self.end = Some(Arc::clone(end)),
            Event::Waiting(_) | Event::CheckStarted(_) | Event::Exchange(..) => {}
        }
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
        Some(Run { info, notes: self.notes, results: self.results, causes, end })
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
