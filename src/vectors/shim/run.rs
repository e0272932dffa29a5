//! A run: the bank, then random cases, as events.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::super::case::{Case, CaseStep};
use super::super::judge::{AnswerJudgement, judge, shorten};
use super::super::op::CodecOp;
use super::differential::{Comparison, Random, shrink};
use super::pipeline::{Asker, Pipeline, Question, Reply, ShimError};
use super::plan::Plan;
use crate::client::clock;
use crate::requirements::Revision;
use crate::runner::{
    CheckInfo, CheckResult, Emit, Ending, Event, Finding, Omission, RunConfig, RunEnd, RunInfo, Status, Tally, Target,
};
use crate::scenarios::Abort;

/// What a run needs to know besides its plan.
#[derive(Clone, Debug)]
pub struct Options {
    /// The command, as words.
    pub words: Vec<String>,
    /// How reports name it.
    pub target: String,
    /// The options that a rerun needs besides `--only`.
    pub rerun: String,
    /// Random cases in all.
    pub cases: usize,
    /// Seed of the random cases.
    pub seed: u64,
    /// Bound on one answer.
    pub timeout: Duration,
    /// Bound on the whole run.
    pub deadline: Duration,
    /// Warnings fail.
    pub strict: bool,
}

/// Judges a shim. `stop` turning true ends the run, with the report so far.
///
/// Every path emits [`Event::RunStarted`] first and [`Event::RunFinished`] last.
pub fn run(options: &Options, plan: Plan, stop: &(dyn Fn() -> bool + Sync), emit: Emit<'_>) -> Arc<RunEnd> {
    let started = Instant::now();
    emit(Event::RunStarted(Arc::new(info(options, plan.len()))));
    let mut sink = ResultSink { emit, tally: Tally::default() };
    for (check, reason) in &plan.left_out {
        sink.leave_out(check, reason);
    }
    let until = started + options.deadline;
    let go_on = || !stop() && Instant::now() < until;
    let mut pipeline = Pipeline::new(options.words.clone(), options.timeout, go_on);
    let asked = ask_everything(options, plan, &mut pipeline, &mut sink);
    let ending = match asked {
        Ok(()) => Ending::Complete,
        Err(ShimError::Stopped) if stop() => Ending::Interrupted,
        Err(ShimError::Stopped) => Ending::Deadline,
        Err(error) => Ending::Aborted(abort(&error)),
    };
    for note in pipeline.notes() {
        (sink.emit)(Event::Note(note.clone()));
    }
    sink.finish(options, &ending, pipeline.answers(), started)
}

fn info(options: &Options, planned: usize) -> RunInfo {
    RunInfo {
        version: env!("CARGO_PKG_VERSION"),
        spec: Revision::default(),
        target: options.target.clone(),
        rerun: options.rerun.clone().into(),
        seed: options.seed,
        started_ms: clock::now_ms(),
        planned,
        jobs: 1,
        strict: options.strict,
        shard: None,
    }
}

fn abort(error: &ShimError) -> Abort {
    let advice = match error {
        ShimError::Start(_) => "give --shim a command that runs from here, as in --shim 'python3 shim.py'",
        _ => {
            "a shim answers every line of its standard input with one line of JSON on its standard output, and prints nothing \
              else there: examples/shims/README.md"
        }
    };
    Abort { reason: error.to_string(), advice: advice.into() }
}

/// Puts bank and random cases; what could not be put is left out, with the reason.
fn ask_everything(
    options: &Options,
    plan: Plan,
    pipeline: &mut Pipeline<'_>,
    sink: &mut ResultSink<'_>,
) -> Result<(), ShimError> {
    let mut bank = Bank { cases: plan.cases.into_iter().map(Progress::new).collect(), place: (0, 0), sink };
    let asked = pipeline.ask(&mut bank);
    let Bank { cases, sink, .. } = bank;
    if let Err(error) = asked {
        let unfinished = cases.iter().filter(|progress| progress.waiting > 0).map(|progress| progress.check);
        let unfinished: Vec<_> = unfinished.chain(plan.ops.iter().map(|(check, _)| *check)).collect();
        sink.cut_short(&unfinished, &error);
        return Err(error);
    }
    let ops: Vec<CodecOp> = plan.ops.iter().map(|(_, op)| *op).collect();
    let started = Instant::now();
    for (check, _) in &plan.ops {
        (sink.emit)(Event::CheckStarted(check));
    }
    let mut random = Random::new(&ops, if ops.is_empty() { 0 } else { options.cases }, options.seed);
    let asked = pipeline.ask(&mut random);
    let mut shrunk = Ok(());
    for (place, (check, _)) in plan.ops.iter().enumerate() {
        let comparison = &mut random.comparisons[place];
        for found in &mut comparison.counterexamples {
            if asked.is_ok() && shrunk.is_ok() {
                shrunk = shrink(pipeline, found);
            }
        }
        match &asked {
            Err(error) if comparison.counterexamples.is_empty() => sink.cut_short(&[check], error),
            _ => sink.random(check, comparison, started.elapsed()),
        }
    }
    asked.and(shrunk)
}

/// A case under way.
struct Progress {
    check: &'static CheckInfo,
    case: Case,
    /// Steps without a reply.
    waiting: usize,
    started: Option<Instant>,
    findings: Vec<Finding>,
    remarks: Vec<Finding>,
    unsupported: Vec<String>,
    trouble: Option<String>,
    not_asked: Option<String>,
}

impl Progress {
    fn new((check, case): (&'static CheckInfo, Case)) -> Self {
        let waiting = case.steps.len();
        Self {
            check,
            case,
            waiting,
            started: None,
            findings: Vec::new(),
            remarks: Vec::new(),
            unsupported: Vec::new(),
            trouble: None,
            not_asked: None,
        }
    }

    fn take(&mut self, step: &CaseStep, reply: Reply) {
        let answer = match reply {
            Reply::Answer(answer) => answer,
            Reply::Broke(breakage) => {
                let expected = format!("{}: an answer", step.what);
                self.findings.push(Finding {
                    expected,
                    observed: with_question(&breakage.to_string(), step),
                    exchange: None,
                    evidence: Vec::new(),
                });
                return;
            }
            Reply::NotAsked(reason) => {
                self.not_asked = Some(reason);
                return;
            }
        };
        match judge(step, &answer) {
            AnswerJudgement::Right => {}
            AnswerJudgement::Allowed { expected, observed } => {
                self.remarks.push(Finding {
                    expected,
                    observed: with_question(&observed, step),
                    exchange: None,
                    evidence: Vec::new(),
                });
            }
            AnswerJudgement::Wrong { expected, observed } => {
                let expected = format!("{}: {expected}", step.what);
                self.findings.push(Finding {
                    expected,
                    observed: with_question(&observed, step),
                    exchange: None,
                    evidence: Vec::new(),
                });
            }
            AnswerJudgement::Unsupported(_) => self.unsupported.push(step.request.op.name().into()),
            AnswerJudgement::Trouble(text) => self.trouble = Some(format!("{}: the shim says: {text}", step.what)),
        }
    }

    /// Status and message when every step has had its reply.
    fn outcome(&self) -> (Status, String) {
        if let Some(finding) = self.findings.first() {
            return (Status::Fail, finding.observed.clone());
        }
        if let Some(trouble) = &self.trouble {
            return (Status::Error, trouble.clone());
        }
        if let Some(reason) = &self.not_asked {
            return (Status::Skip, reason.clone());
        }
        let mut missing = self.unsupported.clone();
        missing.dedup();
        if self.unsupported.len() == self.case.steps.len() {
            return (Status::Skip, format!("the shim doesn't do {}", missing.join(", ")));
        }
        match self.remarks.first() {
            Some(remark) => (Status::Warn, remark.observed.clone()),
            None if missing.is_empty() => (Status::Pass, String::new()),
            None => (Status::Pass, format!("without {}, which the shim doesn't do", missing.join(", "))),
        }
    }
}

fn with_question(observed: &str, step: &CaseStep) -> String {
    format!("{observed}; asked: {}", shorten(&step.request.to_line(0), 600))
}

/// The bank, step by step.
struct Bank<'b, 'a> {
    cases: Vec<Progress>,
    /// Case and step that come next.
    place: (usize, usize),
    sink: &'b mut ResultSink<'a>,
}

impl Asker for Bank<'_, '_> {
    type Mark = (usize, usize);

    fn next(&mut self) -> Option<Question<Self::Mark>> {
        let (index, step) = self.place;
        let progress = self.cases.get_mut(index)?;
        if step == 0 {
            progress.started = Some(Instant::now());
            (self.sink.emit)(Event::CheckStarted(progress.check));
        }
        let request = progress.case.steps.get(step)?.request.clone();
        self.place = if step + 1 < progress.case.steps.len() { (index, step + 1) } else { (index + 1, 0) };
        Some(Question { mark: (index, step), request })
    }

    fn reply(&mut self, question: Question<Self::Mark>, reply: Reply) {
        let (index, step) = question.mark;
        let Some(progress) = self.cases.get_mut(index) else { return };
        let Some(step) = progress.case.steps.get(step).cloned() else { return };
        progress.take(&step, reply);
        progress.waiting -= 1;
        if progress.waiting == 0 {
            let (status, message) = progress.outcome();
            let mut findings = std::mem::take(&mut progress.findings);
            findings.append(&mut progress.remarks);
            let duration = progress.started.map_or(Duration::ZERO, |started| started.elapsed());
            self.sink.result(progress.check, status, message, findings, duration);
        }
    }
}

/// Where results go.
struct ResultSink<'a> {
    emit: Emit<'a>,
    tally: Tally,
}

impl ResultSink<'_> {
    fn result(
        &mut self,
        check: &'static CheckInfo,
        status: Status,
        message: String,
        findings: Vec<Finding>,
        duration: Duration,
    ) {
        if status == Status::Skip {
            self.leave_out(check, &message);
            return;
        }
        let exchanges = Vec::new();
        let result = CheckResult { check, status, omission: None, message, findings, exchanges, duration };
        self.tally.count(&result);
        (self.emit)(Event::CheckFinished(Arc::new(result)));
    }

    fn leave_out(&mut self, check: &'static CheckInfo, reason: &str) {
        let result = CheckResult::left_out(check, Omission::NotJudged, reason);
        self.tally.count(&result);
        (self.emit)(Event::CheckFinished(Arc::new(result)));
    }

    fn cut_short(&mut self, checks: &[&'static CheckInfo], error: &ShimError) {
        let reason = match error {
            ShimError::Stopped => "the run was ended before its turn came",
            _ => "the shim can't be judged (any longer)",
        };
        checks.iter().for_each(|check| self.leave_out(check, reason));
    }

    /// The result of an operation's random cases.
    fn random(&mut self, check: &'static CheckInfo, found: &Comparison, duration: Duration) {
        let mut findings: Vec<Finding> = found
            .counterexamples
            .iter()
            .map(|example| Finding {
                expected: example.expected.clone(),
                observed: example.observed_with_question(),
                exchange: None,
                evidence: Vec::new(),
            })
            .collect();
        findings.extend(found.breakages.iter().map(|(breakage, line)| Finding {
            expected: "an answer".into(),
            observed: format!("{breakage}; asked: {}", shorten(line, 600)),
            exchange: None,
            evidence: Vec::new(),
        }));
        findings.extend(found.repeated_iv.iter().map(|iv| Finding {
            expected: "a fresh IV every time".into(),
            observed: format!("the codec draws its own IVs, and drew {iv} twice"),
            exchange: None,
            evidence: Vec::new(),
        }));
        let cases = found.agreed + found.differed;
        let (status, message) = if let Some(finding) = findings.first() {
            let count = if found.differed > 0 {
                format!("{} of {cases} random cases differ: ", found.differed)
            } else {
                String::new()
            };
            (Status::Fail, format!("{count}{}", finding.observed))
        } else if let Some(trouble) = &found.trouble {
            (Status::Error, format!("the shim says: {trouble}"))
        } else if let Some(reason) = &found.cut_short {
            (Status::Skip, reason.clone())
        } else if found.unsupported.is_some() {
            (Status::Skip, format!("the shim doesn't do {}", check.id.trim_start_matches("differential/")))
        } else {
            (Status::Pass, format!("{cases} random cases agree"))
        };
        self.result(check, status, message, findings, duration);
    }

    fn finish(self, options: &Options, ending: &Ending, requests: u64, started: Instant) -> Arc<RunEnd> {
        let config = RunConfig {
            strict: options.strict,
            deadline: options.deadline,
            ..RunConfig::new(Target::Avp(String::new()))
        };
        let (verdict, reason, advice, exit_code) = self.tally.judge(ending, &config);
        let end = Arc::new(RunEnd {
            verdict,
            reason,
            advice,
            summary: self.tally.summary,
            requests,
            duration: started.elapsed(),
            interrupted: matches!(ending, Ending::Interrupted),
            exit_code,
            known: Default::default(),
            stale: Vec::new(),
            hosted: None,
        });
        (self.emit)(Event::RunFinished(Arc::clone(&end)));
        end
    }
}
