//! Random cases against our own codec, and the shrinking of those in which the two differ.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use super::super::case::{CaseStep, Expect};
use super::super::evaluate::evaluate;
use super::super::fields::{object, string};
use super::super::judge::{AnswerJudgement, judge, shorten};
use super::super::op::{CodecAnswer, CodecOp};
use super::pipeline::{Asker, Breakage, Pipeline, Question, Reply, ShimError};
use super::random::Recipe;
use super::shrink::simpler;
use crate::ground::Choices;

/// Counterexamples kept for an operation, one of each kind at most.
const KEPT: usize = 3;
/// Steps of shrinking.
const STEPS: usize = 64;
/// Time for the shrinking of one counterexample.
const SHRINKING: Duration = Duration::from_secs(5);

/// In which way two codecs differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Difference {
    /// It accepts what is to be refused.
    Accepts,
    /// It refuses what is valid.
    Refuses,
    /// Both accept, with different results.
    Otherwise,
}

/// A case in which the shim is wrong.
#[derive(Clone, Debug)]
pub(super) struct Counterexample {
    recipe: Recipe,
    difference: Difference,
    /// What our codec says.
    pub expected: String,
    /// What the shim says.
    pub observed: String,
    /// The question, as a line of the protocol.
    pub line: String,
}

/// What comparing a shim's answers with ours has shown of an operation.
#[derive(Debug, Default)]
pub(super) struct Comparison {
    /// Cases that agree.
    pub agreed: u64,
    /// Cases that differ.
    pub differed: u64,
    /// One of each kind.
    pub counterexamples: Vec<Counterexample>,
    /// Why the shim doesn't do it.
    pub unsupported: Option<String>,
    /// What it said when it couldn't tell.
    pub trouble: Option<String>,
    /// What it did instead of answering, with the question.
    pub breakages: Vec<(Breakage, String)>,
    /// Why no more cases were put.
    pub cut_short: Option<String>,
    /// IVs that the shim chose itself.
    own_ivs: HashSet<String>,
    /// One that it chose twice.
    pub repeated_iv: Option<String>,
}

/// Random cases of some operations, in turns.
pub(super) struct Random<'a> {
    ops: &'a [CodecOp],
    pub(super) comparisons: Vec<Comparison>,
    choices: Choices,
    left: usize,
    turn: usize,
}

impl<'a> Random<'a> {
    pub(super) fn new(ops: &'a [CodecOp], cases: usize, seed: u64) -> Self {
        let comparisons = ops.iter().map(|_| Comparison::default()).collect();
        Self { ops, comparisons, choices: Choices::new(seed, "differential"), left: cases, turn: 0 }
    }
}

/// The step that a recipe makes: its question with our codec's answer as expectation.
fn step(recipe: &Recipe) -> Option<CaseStep> {
    let made = recipe.make()?;
    let expect = match evaluate(&made.request).ok()? {
        CodecAnswer::Result(result) => Expect::Result(result),
        CodecAnswer::Reject(_) => Expect::Reject,
        CodecAnswer::Unsupported(_) | CodecAnswer::Error(_) => return None,
    };
    Some(CaseStep { what: String::new(), request: made.request, expect, recipient_private: made.recipient_private })
}

/// What a random question is known by.
pub(super) struct Mark {
    place: usize,
    recipe: Recipe,
    step: CaseStep,
}

impl Asker for Random<'_> {
    type Mark = Mark;

    fn next(&mut self) -> Option<Question<Mark>> {
        while self.left > 0 && self.comparisons.iter().any(|comparison| comparison.unsupported.is_none()) {
            self.turn = (self.turn + 1) % self.ops.len();
            if self.comparisons[self.turn].unsupported.is_some() {
                continue;
            }
            self.left -= 1;
            let recipe = Recipe::random(self.ops[self.turn], &mut self.choices);
            if let Some(step) = step(&recipe) {
                let request = step.request.clone();
                return Some(Question { mark: Mark { place: self.turn, recipe, step }, request });
            }
        }
        None
    }

    fn reply(&mut self, question: Question<Mark>, reply: Reply) {
        let Mark { place, recipe, step } = question.mark;
        let comparison = &mut self.comparisons[place];
        match reply {
            Reply::Answer(answer) => comparison.answer(recipe, &step, &answer),
            Reply::Broke(breakage) => comparison.breakages.push((breakage, step.request.to_line(0))),
            Reply::NotAsked(reason) => comparison.cut_short = Some(reason),
        }
    }
}

impl Comparison {
    fn answer(&mut self, recipe: Recipe, step: &CaseStep, answer: &CodecAnswer) {
        self.watch_iv(step, answer);
        match judge(step, answer) {
            AnswerJudgement::Right | AnswerJudgement::Allowed { .. } => self.agreed += 1,
            AnswerJudgement::Wrong { expected, observed } => {
                self.differed += 1;
                let difference = difference(step, answer);
                let known = self.counterexamples.iter().any(|other| other.difference == difference);
                if !known && self.counterexamples.len() < KEPT {
                    let line = step.request.to_line(0);
                    self.counterexamples.push(Counterexample { recipe, difference, expected, observed, line });
                }
            }
            AnswerJudgement::Unsupported(text) => self.unsupported = Some(text),
            AnswerJudgement::Trouble(text) => self.trouble = Some(text),
        }
    }

    /// A codec that draws its own IVs must never draw one twice.
    fn watch_iv(&mut self, step: &CaseStep, answer: &CodecAnswer) {
        let CodecAnswer::Result(result) = answer else { return };
        let iv = match step.request.op {
            CodecOp::Encrypt => string(result, "ivB64"),
            CodecOp::Wrap => object(result, "wrappedKey").and_then(|wrapped| string(wrapped, "iv")),
            _ => return,
        };
        let asked = string(&step.request.fields, "ivB64").unwrap_or_default();
        if let Ok(iv) = iv
            && iv != asked
            && !self.own_ivs.insert(iv.to_owned())
        {
            self.repeated_iv = Some(iv.to_owned());
        }
    }
}

fn difference(step: &CaseStep, answer: &CodecAnswer) -> Difference {
    match (&step.expect, answer) {
        (Expect::Reject, CodecAnswer::Result(_)) => Difference::Accepts,
        (_, CodecAnswer::Reject(_)) => Difference::Refuses,
        _ => Difference::Otherwise,
    }
}

/// Simpler recipes, put to the shim at once; remembers the first that differs in the same way.
struct Candidates<'a> {
    waiting: std::vec::IntoIter<Recipe>,
    asked: usize,
    difference: Difference,
    best: Option<(usize, Counterexample)>,
    going: &'a dyn Fn() -> bool,
}

impl Asker for Candidates<'_> {
    type Mark = (usize, Recipe, CaseStep);

    fn next(&mut self) -> Option<Question<Self::Mark>> {
        while (self.going)() {
            let recipe = self.waiting.next()?;
            if let Some(step) = step(&recipe) {
                self.asked += 1;
                let request = step.request.clone();
                return Some(Question { mark: (self.asked, recipe, step), request });
            }
        }
        None
    }

    fn reply(&mut self, question: Question<Self::Mark>, reply: Reply) {
        let (place, recipe, step) = question.mark;
        let Reply::Answer(answer) = reply else { return };
        let AnswerJudgement::Wrong { expected, observed } = judge(&step, &answer) else { return };
        let better = self.best.as_ref().is_none_or(|(best, _)| place < *best);
        if better && difference(&step, &answer) == self.difference {
            let line = step.request.to_line(0);
            let found = Counterexample { recipe, difference: self.difference, expected, observed, line };
            self.best = Some((place, found));
        }
    }
}

/// Makes a counterexample as simple as it gets.
///
/// # Errors
/// Only when nothing can be asked any more; the counterexample is as simple as it was until then.
pub(super) fn shrink(pipeline: &mut Pipeline<'_>, found: &mut Counterexample) -> Result<(), ShimError> {
    let until = Instant::now() + SHRINKING;
    let going = || Instant::now() < until;
    for _ in 0..STEPS {
        let mut candidates = Candidates {
            waiting: simpler(&found.recipe).into_iter(),
            asked: 0,
            difference: found.difference,
            best: None,
            going: &going,
        };
        pipeline.ask(&mut candidates)?;
        match candidates.best {
            Some((_, better)) => *found = better,
            None => break,
        }
    }
    Ok(())
}

impl Counterexample {
    /// What came, and the question that shows it, ready to be sent again.
    pub(super) fn observed_with_question(&self) -> String {
        format!("{}; asked: {}", self.observed, shorten(&self.line, 1200))
    }
}
