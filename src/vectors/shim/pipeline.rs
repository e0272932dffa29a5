//! Questions to a shim, many under way at once. Whatever goes wrong is traced to the question that does it: the shim is
//! started anew, and the questions that were under way are asked again, one at a time.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use super::super::fields::fields;
use super::super::judge::shorten;
use super::super::op::{CodecAnswer, CodecOp, Request};
use super::process::{Output, Process, Waited};

/// Questions under way at once.
const WINDOW: usize = 128;
/// Bytes of questions under way at once, so that a slow reader isn't drowned.
const WINDOW_BYTES: usize = 1 << 20;
/// The first answer of a process may take so many times as long: virtual machines and compilers have to start.
const START_UP: u32 = 3;
/// After so many breakages by questions of one operation, no further ones are asked.
const PATIENCE_PER_OP: usize = 3;
/// After so many breakages in all, nothing is asked any more.
const PATIENCE: usize = 12;

/// What a shim did instead of answering.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Breakage {
    /// No answer in time.
    #[error("no answer within {} s{}", .limit.as_secs_f64(), says(.stderr))]
    Hangs {
        /// The time it had.
        limit: Duration,
        /// The end of its standard error.
        stderr: String,
    },
    /// It closed its standard output.
    #[error("the shim died{}{}", .status.as_ref().map(|status| format!(" ({status})")).unwrap_or_default(), says(.stderr))]
    Dies {
        /// How it ended.
        status: Option<String>,
        /// The end of its standard error.
        stderr: String,
    },
    /// It printed something that is no answer to an open question.
    #[error("the shim printed a line {problem}: {line}")]
    Garbage {
        /// What is wrong with the line.
        problem: String,
        /// The line, shortened.
        line: String,
    },
}

fn says(stderr: &str) -> String {
    if stderr.is_empty() { String::new() } else { format!("; it said: {stderr}") }
}

/// What came of a question.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// An answer.
    Answer(CodecAnswer),
    /// None, and this is why.
    Broke(Breakage),
    /// It wasn't asked.
    NotAsked(String),
}

/// An answer, or what came instead.
type Received = Result<CodecAnswer, Breakage>;

/// Why no question can be asked at all.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShimError {
    /// The command doesn't start.
    #[error("the shim can't be started: {0}")]
    Start(String),
    /// It never gave an answer.
    #[error("the shim answers nothing: {0}")]
    Mute(Breakage),
    /// Somebody wants an end, or the time is over.
    #[error("stopped")]
    Stopped,
}

/// A question with whatever the asker wants to know it by.
pub struct Question<T> {
    /// The asker's mark.
    pub mark: T,
    /// What is asked.
    pub request: Request,
}

/// Where questions come from and answers go to.
pub trait Asker {
    /// The asker's mark on a question.
    type Mark;

    /// The next question; `None` when there is none left.
    fn next(&mut self) -> Option<Question<Self::Mark>>;

    /// What came of one. Answers may come in another order than the questions.
    fn reply(&mut self, question: Question<Self::Mark>, reply: Reply);
}

/// A shim, started when needed.
pub struct Pipeline<'a> {
    words: Vec<String>,
    timeout: Duration,
    /// Whether to go on.
    go_on: Box<dyn Fn() -> bool + 'a>,
    process: Option<Process>,
    /// Whether it hasn't answered yet.
    fresh: bool,
    last_id: u64,
    answers: u64,
    broken: HashMap<CodecOp, usize>,
    strays: usize,
    notes: Vec<String>,
}

struct Open<T> {
    id: u64,
    bytes: usize,
    question: Question<T>,
}

impl<'a> Pipeline<'a> {
    /// Takes a command as words, the time that a question may take, and what tells whether to go on.
    pub fn new(words: Vec<String>, timeout: Duration, go_on: impl Fn() -> bool + 'a) -> Self {
        let go_on = Box::new(go_on);
        Self {
            words,
            timeout,
            go_on,
            process: None,
            fresh: true,
            last_id: 0,
            answers: 0,
            broken: HashMap::new(),
            strays: 0,
            notes: Vec::new(),
        }
    }

    /// Questions answered so far.
    pub fn answers(&self) -> u64 {
        self.answers
    }

    /// Breakages that no question can be blamed for, in words.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Asks everything that an asker has.
    ///
    /// # Errors
    /// [`ShimError`]; then some questions have had no reply.
    pub fn ask<A: Asker>(&mut self, asker: &mut A) -> Result<(), ShimError> {
        let mut open: VecDeque<Open<A::Mark>> = VecDeque::new();
        let mut bytes = 0;
        let mut exhausted = false;
        let mut since = Instant::now();
        loop {
            while !exhausted && open.len() < WINDOW && bytes < WINDOW_BYTES {
                let Some(question) = asker.next() else {
                    exhausted = true;
                    break;
                };
                if let Some(reason) = self.given_up(question.request.op) {
                    asker.reply(question, Reply::NotAsked(reason));
                    continue;
                }
                if open.is_empty() {
                    since = Instant::now();
                }
                let sent = self.send(question)?;
                bytes += sent.bytes;
                open.push_back(sent);
            }
            if open.is_empty() {
                return Ok(());
            }
            let ids = |id| open.iter().position(|open| open.id == id);
            match self.receive(since, ids)? {
                Ok((place, answer)) => {
                    since = Instant::now();
                    if let Some(done) = open.remove(place) {
                        bytes -= done.bytes;
                        asker.reply(done.question, Reply::Answer(answer));
                    }
                }
                Err(_) => {
                    // Some question has done it: they are asked one by one.
                    for suspect in open.drain(..) {
                        self.ask_alone(suspect.question, asker)?;
                    }
                    bytes = 0;
                }
            }
        }
    }

    /// Asks one question and waits for its answer, so that a breakage is surely its own.
    fn ask_alone<A: Asker>(&mut self, question: Question<A::Mark>, asker: &mut A) -> Result<(), ShimError> {
        let op = question.request.op;
        if let Some(reason) = self.given_up(op) {
            asker.reply(question, Reply::NotAsked(reason));
            return Ok(());
        }
        let used = self.process.is_some();
        let mut tried = self.try_alone(question)?;
        if let (Err(breakage), true) = (&tried.1, used) {
            // Perhaps an earlier question did it: only a fresh process tells.
            let breakage = breakage.clone();
            tried = self.try_alone(tried.0)?;
            if tried.1.is_ok() {
                self.stray(&breakage);
            }
        }
        let reply = match tried.1 {
            Ok(answer) => Reply::Answer(answer),
            Err(breakage) => {
                *self.broken.entry(op).or_default() += 1;
                Reply::Broke(breakage)
            }
        };
        asker.reply(tried.0, reply);
        Ok(())
    }

    fn try_alone<T>(&mut self, question: Question<T>) -> Result<(Question<T>, Received), ShimError> {
        if self.process.is_none()
            && let Err(breakage) = self.greet()?
        {
            return if self.answers == 0 { Err(ShimError::Mute(breakage)) } else { Ok((question, Err(breakage))) };
        }
        let sent = self.send(question)?;
        let received = self.receive(Instant::now(), |id| (id == sent.id).then_some(0))?;
        Ok((sent.question, received.map(|(_, answer)| answer)))
    }

    /// Starts the shim and asks the simplest thing there is, so that what happens next isn't a matter of starting.
    fn greet(&mut self) -> Result<Received, ShimError> {
        let request = Request::new(CodecOp::EncodeBase64, fields! { "hex": "00" });
        let sent = self.send(Question { mark: (), request })?;
        let received = self.receive(Instant::now(), |id| (id == sent.id).then_some(0))?;
        Ok(received.map(|(_, answer)| answer))
    }

    /// Remembers a breakage that no question can be blamed for.
    fn stray(&mut self, breakage: &Breakage) {
        self.strays += 1;
        let note = format!("between two questions: {breakage}");
        if self.notes.len() < 3 && !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    fn given_up(&self, op: CodecOp) -> Option<String> {
        let (of_op, all) = (self.broken.get(&op).copied().unwrap_or(0), self.broken.values().sum::<usize>());
        if of_op >= PATIENCE_PER_OP {
            Some(format!("not asked any more: {} broke the shim {of_op} times", op.name()))
        } else if all + self.strays >= PATIENCE {
            Some(format!("not asked any more: the shim broke {} times", all + self.strays))
        } else {
            None
        }
    }

    fn send<T>(&mut self, question: Question<T>) -> Result<Open<T>, ShimError> {
        if self.process.is_none() {
            let failed = |error: std::io::Error| ShimError::Start(format!("{}: {error}", self.words.join(" ")));
            self.process = Some(Process::start(&self.words).map_err(failed)?);
            self.fresh = true;
        }
        self.last_id += 1;
        let line = question.request.to_line(self.last_id);
        let bytes = line.len();
        if let Some(process) = &self.process {
            process.send(line);
        }
        Ok(Open { id: self.last_id, bytes, question })
    }

    /// The next answer with the place of its question; a breakage ends the process. Time runs from `since`.
    fn receive(
        &mut self,
        since: Instant,
        place: impl Fn(u64) -> Option<usize>,
    ) -> Result<Result<(usize, CodecAnswer), Breakage>, ShimError> {
        let limit = if self.fresh { self.timeout * START_UP } else { self.timeout };
        let until = since + limit;
        loop {
            if !(self.go_on)() {
                self.process = None;
                return Err(ShimError::Stopped);
            }
            let Some(process) = &mut self.process else { return Err(ShimError::Start("it isn't running".into())) };
            let look_up = until.min(Instant::now() + Duration::from_millis(100));
            let breakage = match process.wait(look_up) {
                Waited::InVain if Instant::now() < until => continue,
                Waited::InVain => Breakage::Hangs { limit, stderr: process.last_words() },
                Waited::For(Output::Closed) => {
                    let status = process.ending();
                    Breakage::Dies { status, stderr: process.last_words() }
                }
                Waited::For(Output::Flood) => garbage("of more than 16 MiB", b""),
                Waited::For(Output::Line(line)) => match CodecAnswer::of_line(&line) {
                    Ok((id, answer)) => match place(id) {
                        Some(place) => {
                            self.answers += 1;
                            self.fresh = false;
                            return Ok(Ok((place, answer)));
                        }
                        None => garbage(&format!("that answers {id}, which isn't asked"), &line),
                    },
                    Err(problem) => garbage(&format!("that is no answer, {problem}"), &line),
                },
            };
            process.kill();
            self.process = None;
            return Ok(Err(breakage));
        }
    }
}

fn garbage(problem: &str, line: &[u8]) -> Breakage {
    Breakage::Garbage { problem: problem.into(), line: shorten(&String::from_utf8_lossy(line), 160) }
}
