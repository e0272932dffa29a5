//! A server under test: started by a command, killed, stopped and started again on the same port, with its output kept.

use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::family::{MARK, family};
use super::guard::Guard;
use super::listens::listening;
use super::{LAST_WORDS, Program, Start, Usage, output, usage};

use crate::ground::lock;

/// How long a server has between the polite signal and the other one.
const GRACE: Duration = Duration::from_secs(3);
/// Lines of each output that are told when something went wrong.
const LAST_LINES: usize = 6;

/// A server that is started by a command. Dropping it kills it, with all that it has started.
#[derive(Debug)]
pub struct Service {
    start: Start,
    folder: PathBuf,
    mark: String,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    program: Option<Program>,
    guard: Guard,
    /// Of the starts before this one.
    before: Usage,
    /// Of this one, at the last look.
    now: Usage,
    /// What it said last, when it has ended.
    last_lines: Vec<String>,
}

/// How a server was stopped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stopped {
    /// Whether it had to be killed.
    pub killed: bool,
    /// Processes that were still there when it had ended, and were ended.
    pub left: usize,
}

impl Service {
    /// A server that isn't started yet. `folder` is for its output; `mark` is anything that no other program carries.
    ///
    /// # Errors
    /// The guard can't be started.
    pub fn new(words: Vec<String>, env: Vec<(String, String)>, folder: PathBuf, mark: String) -> io::Result<Self> {
        let guard = Guard::start(&mark)?;
        let env = env.into_iter().chain([(MARK.to_owned(), mark.clone())]).collect();
        let start = Start { words, env, talks: false, folder: Some(folder.clone()) };
        let (before, now) = (Usage::default(), Usage::default());
        let state = State { program: None, guard, before, now, last_lines: Vec::new() };
        Ok(Self { start, folder, mark, state: Mutex::new(state) })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// The program that is started, as it was named.
    pub fn program(&self) -> &str {
        self.start.words.first().map_or("", String::as_str)
    }

    /// Files in which its output is kept.
    pub fn outputs(&self) -> [PathBuf; 2] {
        [output::STDOUT, output::STDERR].map(|name| self.folder.join(name))
    }

    /// Starts it.
    ///
    /// # Errors
    /// As the operating system says, e.g. that there is no such program.
    pub fn start(&self) -> io::Result<()> {
        let program = Program::start(&self.start)?;
        let mut state = self.lock();
        state.guard.watch(program.group());
        state.before = state.before.and_then(state.now);
        state.now = Usage::default();
        state.program = Some(program);
        Ok(())
    }

    /// Whether it was started, and neither killed nor stopped since.
    pub fn is_started(&self) -> bool {
        self.lock().program.is_some()
    }

    /// How it has ended, if it has, by itself or killed by somebody else. A command that has ended well and left somebody
    /// behind, as those do that start a daemon, hasn't.
    pub fn ended(&self) -> Option<ExitStatus> {
        let (status, group) = {
            let mut state = self.lock();
            let program = state.program.as_mut()?;
            (program.ended()?, program.group())
        };
        (!status.success() || family(group, &self.mark).is_empty()).then_some(status)
    }

    /// Waits until all that it has said is read, which can be a little after its end; not for long, as others may go on writing there.
    pub async fn hear_out(&self) {
        // Several may ask at once, so that nobody takes the readers away.
        let until = Instant::now() + LAST_WORDS;
        while !self.lock().program.as_ref().is_none_or(Program::is_heard_out) && Instant::now() < until {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// The numbers of all processes that belong to it; none where the system doesn't show them.
    pub fn processes(&self) -> Vec<u32> {
        let Some(group) = self.lock().program.as_ref().map(Program::group) else { return Vec::new() };
        family(group, &self.mark).iter().filter_map(|relative| u32::try_from(relative.pid).ok()).collect()
    }

    /// Ports on which it listens, as far as the system shows.
    pub fn listens(&self) -> Vec<u16> {
        listening(&self.processes())
    }

    /// The last lines of its error output, or of its standard output where that says nothing.
    pub fn last_lines(&self) -> Vec<String> {
        let state = self.lock();
        match &state.program {
            Some(program) => last_lines(program),
            None => state.last_lines.clone(),
        }
    }

    /// Looks at what it uses. The most that was seen counts.
    pub fn measure(&self) {
        let mut state = self.lock();
        let Some(group) = state.program.as_ref().map(Program::group) else { return };
        if let Some(now) = usage::of(&family(group, &self.mark), group) {
            state.now = state.now.grown_to(now);
        }
    }

    /// What it has used in all starts. `None` where the system doesn't say.
    pub fn usage(&self) -> Option<Usage> {
        let state = self.lock();
        let all = state.before.and_then(state.now);
        (all != Usage::default()).then_some(all)
    }

    /// Ends it and all that belongs to it, without asking: as a crash, or a kernel short of memory, would.
    pub async fn kill(&self) {
        self.measure();
        let Some(mut program) = self.lock().program.take() else { return };
        program.kill().await;
        self.end_family(program.group());
        self.conclude(program).await;
    }

    /// Asks it to end, and after a while makes it.
    pub async fn stop(&self) -> Stopped {
        self.measure();
        let Some(mut program) = self.lock().program.take() else { return Stopped::default() };
        let polite = program.end(GRACE).await;
        let left = self.sweep(program.group()).await;
        self.conclude(program).await;
        Stopped { killed: !polite, left }
    }

    async fn conclude(&self, mut program: Program) {
        program.hear_out().await;
        let mut state = self.lock();
        state.last_lines = last_lines(&program);
        state.guard.watch(None);
    }

    /// Ends whoever is left. A child of its that was asked as well gets a moment.
    async fn sweep(&self, group: Option<i32>) -> usize {
        for _ in 0..20 {
            if family(group, &self.mark).is_empty() {
                return 0;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        self.end_family(group)
    }

    fn end_family(&self, group: Option<i32>) -> usize {
        let left = family(group, &self.mark);
        for pid in left.iter().filter_map(|relative| Pid::from_raw(relative.pid)) {
            // It may have ended by itself.
            let _ = kill_process(pid, Signal::KILL);
        }
        left.len()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let group = {
            let mut state = self.lock();
            let group = state.program.as_ref().and_then(Program::group);
            drop(state.program.take());
            group
        };
        if group.is_some() {
            self.end_family(group);
        }
    }
}

fn last_lines(program: &Program) -> Vec<String> {
    let errors = program.stderr.last_lines(LAST_LINES);
    if errors.is_empty() { program.stdout.last_lines(LAST_LINES) } else { errors }
}
