//! A running shim: lines in, lines out, none of it able to block the driver.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crate::ground::lock;

/// A longer line isn't an answer.
const LONGEST: u64 = 16 << 20;
/// How much of standard error is kept for messages.
const KEPT_STDERR: usize = 2048;
/// How long a shim may take to end after its input has ended.
const FAREWELL: Duration = Duration::from_millis(500);
/// How long to wait for the end of standard error.
const LAST_WORDS: Duration = Duration::from_millis(100);

/// What comes from a shim.
#[derive(Debug)]
pub(super) enum Output {
    /// A line, without its line break.
    Line(Vec<u8>),
    /// A line beyond all measure.
    Flood,
    /// The end of its standard output.
    Closed,
}

/// What waiting for a shim comes to.
#[derive(Debug)]
pub(super) enum Waited {
    /// Something came.
    For(Output),
    /// Nothing came in time.
    InVain,
}

/// A child process with its pipes.
pub(super) struct Process {
    child: Child,
    lines: Option<Sender<String>>,
    output: Receiver<Output>,
    stderr: Arc<Mutex<VecDeque<u8>>>,
    /// Reads standard error until its end.
    listener: Option<thread::JoinHandle<()>>,
}

impl Process {
    /// Starts a command of at least one word.
    pub(super) fn start(words: &[String]) -> std::io::Result<Self> {
        let (program, arguments) = words.split_first().ok_or(std::io::ErrorKind::InvalidInput)?;
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let (lines, to_write) = channel::<String>();
        let (from_shim, output) = channel();
        let stderr = Arc::new(Mutex::new(VecDeque::new()));
        if let Some(stdin) = child.stdin.take() {
            thread::spawn(move || write_lines(stdin, &to_write));
        }
        if let Some(stdout) = child.stdout.take() {
            thread::spawn(move || read_lines(stdout, &from_shim));
        }
        let kept = Arc::clone(&stderr);
        let listener = child.stderr.take().map(|pipe| thread::spawn(move || keep_end(pipe, &kept)));
        Ok(Self { child, lines: Some(lines), output, stderr, listener })
    }

    /// Sends a line. A shim that is gone doesn't get it; waiting for the answer tells.
    pub(super) fn send(&self, line: String) {
        if let Some(lines) = &self.lines {
            let _ = lines.send(line);
        }
    }

    /// Waits for output until a moment.
    pub(super) fn wait(&self, until: Instant) -> Waited {
        match self.output.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(output) => Waited::For(output),
            Err(RecvTimeoutError::Timeout) => Waited::InVain,
            Err(RecvTimeoutError::Disconnected) => Waited::For(Output::Closed),
        }
    }

    /// How it ended, if it did: `exit status: 1`.
    pub(super) fn ending(&mut self) -> Option<String> {
        let until = Instant::now() + FAREWELL;
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) => return Some(status.to_string()),
                Ok(None) if Instant::now() < until => thread::sleep(Duration::from_millis(5)),
                _ => return None,
            }
        }
    }

    /// Ends it without waiting for it.
    pub(super) fn kill(&mut self) {
        let _ = self.child.kill();
    }

    /// The last lines of its standard error. Those of a shim that has just died may still be on their way.
    pub(super) fn last_words(&self) -> String {
        let until = Instant::now() + LAST_WORDS;
        while self.listener.as_ref().is_some_and(|listener| !listener.is_finished()) && Instant::now() < until {
            thread::sleep(Duration::from_millis(5));
        }
        let mut kept = lock(&self.stderr);
        let text = String::from_utf8_lossy(kept.make_contiguous()).trim().to_owned();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(3)..].join(" / ")
    }
}

impl Drop for Process {
    /// Ends the input, gives the shim a moment to leave, and makes it.
    fn drop(&mut self) {
        self.lines = None;
        if self.ending().is_none() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Writes lines as they come and flushes when none is waiting.
fn write_lines(stdin: ChildStdin, lines: &Receiver<String>) {
    let mut out = std::io::BufWriter::with_capacity(1 << 16, stdin);
    while let Ok(line) = lines.recv() {
        let mut written = write_line(&mut out, &line);
        while written.is_ok()
            && let Ok(line) = lines.try_recv()
        {
            written = write_line(&mut out, &line);
        }
        if written.and_then(|()| out.flush()).is_err() {
            return;
        }
    }
}

fn write_line(out: &mut impl Write, line: &str) -> std::io::Result<()> {
    out.write_all(line.as_bytes())?;
    out.write_all(b"\n")
}

fn read_lines(stdout: ChildStdout, output: &Sender<Output>) {
    let mut input = BufReader::with_capacity(1 << 16, stdout);
    loop {
        let mut line = Vec::new();
        match input.by_ref().take(LONGEST).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => {
                let _ = output.send(Output::Closed);
                return;
            }
            Ok(_) => {}
        }
        let flood = line.len() as u64 == LONGEST && line.last() != Some(&b'\n');
        while line.last().is_some_and(|byte| matches!(byte, b'\n' | b'\r')) {
            line.pop();
        }
        let message = if flood { Output::Flood } else { Output::Line(line) };
        if output.send(message).is_err() || flood {
            return;
        }
    }
}

/// Keeps the end of what a shim says to people.
fn keep_end(mut pipe: ChildStderr, kept: &Mutex<VecDeque<u8>>) {
    let mut buffer = [0; 1024];
    while let Ok(count) = pipe.read(&mut buffer) {
        if count == 0 {
            return;
        }
        let mut kept = lock(kept);
        kept.extend(&buffer[..count]);
        let surplus = kept.len().saturating_sub(KEPT_STDERR);
        kept.drain(..surplus);
    }
}
