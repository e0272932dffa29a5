//! Programs under test: started in a process group of their own, watched, and ended with all that they have started.

pub mod command;
mod family;
mod guard;
mod listens;
mod output;
mod service;
mod usage;

use std::ffi::OsStr;
use std::io;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::task::JoinHandle;
use tokio::time::timeout;

pub use output::Output;
use output::drain;
pub use service::{Service, Stopped};
pub use usage::Usage;

/// How long a program has between the polite signal and the other one.
const GRACE: Duration = Duration::from_millis(300);
/// How long the pipes of a program that has ended may stay open (somebody it has started may hold them).
const LAST_WORDS: Duration = Duration::from_millis(200);

/// How a program is started.
#[derive(Clone, Debug, Default)]
pub struct Start {
    /// Program and arguments.
    pub words: Vec<String>,
    /// Added to the environment.
    pub env: Vec<(String, String)>,
    /// Whether standard input and output are a conversation; otherwise there is no input, and output is kept.
    pub talks: bool,
    /// Where to keep output, in files that go on from start to start; in memory otherwise.
    pub folder: Option<PathBuf>,
}

/// A running program. Dropping it kills its whole process group.
#[derive(Debug)]
pub struct Program {
    child: Child,
    group: Option<Pid>,
    /// Standard output, unless it is a conversation.
    pub stdout: Output,
    /// Standard error.
    pub stderr: Output,
    /// Both ends of a conversation, to be taken.
    pub talk: Option<(ChildStdin, ChildStdout)>,
    readers: Vec<JoinHandle<()>>,
}

/// How a program came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// By itself.
    Exited(ExitStatus),
    /// It was still running when its time was up, and was killed.
    Killed,
}

impl Program {
    /// Starts a program.
    ///
    /// # Errors
    /// As the operating system says, e.g. that there is no such program.
    pub fn start(start: &Start) -> io::Result<Self> {
        let (program, arguments) = start.words.split_first().ok_or(io::ErrorKind::InvalidInput)?;
        let mut command = Command::new(OsStr::new(program));
        command.args(arguments).envs(start.env.iter().map(|(name, value)| (name, value)));
        command.stdin(if start.talks { Stdio::piped() } else { Stdio::null() });
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        #[cfg(unix)]
        command.process_group(0);
        let kept = |name: &str| {
            start.folder.as_deref().map_or_else(|| Ok(Output::default()), |in_| Output::in_file(&in_.join(name)))
        };
        let (stdout, stderr) = (kept(output::STDOUT)?, kept(output::STDERR)?);
        let mut child = command.spawn()?;
        let group = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        let mut readers = Vec::new();
        let talk = match (start.talks, child.stdin.take(), child.stdout.take()) {
            (true, Some(input), Some(output)) => Some((input, output)),
            (_, _, output) => {
                readers.extend(output.map(|pipe| tokio::spawn(drain(pipe, stdout.clone()))));
                None
            }
        };
        readers.extend(child.stderr.take().map(|pipe| tokio::spawn(drain(pipe, stderr.clone()))));
        Ok(Self { child, group, stdout, stderr, talk, readers })
    }

    /// Waits for the end, for so long; then makes it.
    pub async fn finish(&mut self, patience: Duration) -> Ended {
        let ended = match timeout(patience, self.child.wait()).await {
            Ok(Ok(status)) => Ended::Exited(status),
            _ => {
                self.end(GRACE).await;
                Ended::Killed
            }
        };
        self.hear_out().await;
        // Whatever it has left behind.
        self.signal(Signal::KILL);
        ended
    }

    /// The number of its process group.
    pub fn group(&self) -> Option<i32> {
        self.group.map(|group| group.as_raw_nonzero().get())
    }

    /// Whether it has ended by now.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Asks the whole group to end, and after a while makes it; whether asking was enough.
    pub async fn end(&mut self, grace: Duration) -> bool {
        self.signal(Signal::TERM);
        if timeout(grace, self.child.wait()).await.is_ok() {
            return true;
        }
        self.kill().await;
        false
    }

    /// Ends the whole group without asking.
    pub async fn kill(&mut self) {
        self.signal(Signal::KILL);
        let _ = timeout(GRACE, self.child.wait()).await;
    }

    /// Waits for what it has still said.
    pub async fn hear_out(&mut self) {
        for reader in self.readers.drain(..) {
            let _ = timeout(LAST_WORDS, reader).await;
        }
    }

    /// Whether all that it has said is read.
    pub fn is_heard_out(&self) -> bool {
        self.readers.iter().all(JoinHandle::is_finished)
    }

    fn signal(&self, signal: Signal) {
        if let Some(group) = self.group {
            // A group without anybody left in it is what we want.
            let _ = kill_process_group(group, signal);
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Start {
        Start { words: vec!["sh".into(), "-c".into(), script.into()], ..Start::default() }
    }

    #[tokio::test]
    async fn output_and_status_are_kept() {
        let mut program = Program::start(&shell("echo out; echo err >&2; exit 3")).unwrap();
        let Ended::Exited(status) = program.finish(Duration::from_secs(10)).await else { panic!("killed") };
        assert_eq!(status.code(), Some(3));
        assert_eq!((program.stdout.text().trim(), program.stderr.text().trim()), ("out", "err"));
    }

    #[tokio::test]
    async fn nothing_of_a_program_that_hangs_stays_behind() {
        let mut program = Program::start(&shell("trap '' TERM; sleep 60 & echo $!; wait; wait; sleep 60")).unwrap();
        assert_eq!(program.finish(Duration::from_millis(300)).await, Ended::Killed);
        let child: i32 = program.stdout.text().trim().parse().unwrap();
        let pid = Pid::from_raw(child).unwrap();
        for _ in 0..50 {
            // Either it is gone, or nobody has collected it yet.
            let state = std::fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
            if state.is_empty() || state.contains(") Z ") || rustix::process::test_kill_process(pid).is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("{child} still runs");
    }

    #[tokio::test]
    async fn a_flood_is_bounded() {
        let mut program = Program::start(&shell("head -c 3000000 /dev/zero")).unwrap();
        program.finish(Duration::from_secs(10)).await;
        assert_eq!(program.stdout.text().len(), output::KEPT);
    }
}
