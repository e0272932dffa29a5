//! The output of a command.

use std::io::Read as _;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

/// Most of what a command says on standard error that is kept.
const COMPLAINT: u64 = 300;

/// Why the output of a command isn't all there is.
#[derive(Debug, thiserror::Error)]
pub(super) enum CommandError {
    /// It didn't start, or its output can't be read.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// It failed.
    #[error("ended with {status}{complaint}")]
    Status { status: String, complaint: String },
    /// It took too long.
    #[error("took longer than {0:?} and was ended; raise --deadline")]
    Late(Duration),
}

/// Runs a line in a shell and hands its output to `each` until that has had enough.
pub(super) fn read(line: &str, limit: Duration, mut each: impl FnMut(&[u8]) -> bool) -> Result<(), CommandError> {
    let mut command = shell(line);
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let (Some(mut output), Some(errors)) = (child.stdout.take(), child.stderr.take()) else { return Ok(()) };
    let complaint = std::thread::spawn(move || {
        let (mut text, mut errors) = (Vec::new(), errors);
        // Whatever else it says must not block it.
        let _ = (&mut errors).take(COMPLAINT).read_to_end(&mut text);
        let _ = std::io::copy(&mut errors, &mut std::io::sink());
        String::from_utf8_lossy(&text).trim().replace('\n', " ")
    });
    let (done, wait) = channel::<()>();
    let late = Arc::new(AtomicBool::new(false));
    let (is_late, group) = (Arc::clone(&late), child.id());
    let watch = std::thread::spawn(move || {
        if wait.recv_timeout(limit) == Err(RecvTimeoutError::Timeout) {
            is_late.store(true, Ordering::Relaxed);
            end(group);
        }
    });
    let mut buffer = vec![0; 256 << 10];
    let reading = loop {
        match output.read(&mut buffer) {
            Ok(0) => break Ok(()),
            Ok(count) if each(&buffer[..count]) => {}
            Ok(_) => {
                end(group);
                break Ok(());
            }
            Err(error) => break Err(error),
        }
    };
    drop(output);
    let status = child.wait()?;
    drop(done);
    // Neither thread can panic; both have nothing left to wait for.
    let _ = watch.join();
    let complaint = complaint.join().unwrap_or_default();
    if late.load(Ordering::Relaxed) {
        return Err(CommandError::Late(limit));
    }
    reading?;
    if status.success() {
        return Ok(());
    }
    let complaint = if complaint.is_empty() { complaint } else { format!(": {complaint}") };
    Err(CommandError::Status { status: status.to_string(), complaint })
}

#[cfg(unix)]
fn shell(line: &str) -> Command {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", line]);
    // A group of its own, so that what it starts can be ended with it.
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    command
}

#[cfg(not(unix))]
fn shell(line: &str) -> Command {
    let mut command = Command::new("cmd");
    command.args(["/C", line]);
    command
}

/// Ends a command and what it has started.
fn end(group: u32) {
    #[cfg(unix)]
    if let Some(pid) = i32::try_from(group).ok().and_then(rustix::process::Pid::from_raw) {
        // It may have ended by itself.
        let _ = rustix::process::kill_process_group(pid, rustix::process::Signal::KILL);
    }
    #[cfg(not(unix))]
    let _ = Command::new("taskkill").args(["/T", "/F", "/PID", &group.to_string()]).status();
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn output(line: &str, limit: Duration) -> (Vec<u8>, Result<(), CommandError>) {
        let mut all = Vec::new();
        let ended = read(line, limit, |bytes| {
            all.extend_from_slice(bytes);
            true
        });
        (all, ended)
    }

    #[test]
    fn output_errors_and_time() {
        let minute = Duration::from_secs(60);
        let (all, ended) = output("printf one; printf two", minute);
        assert!(all == b"onetwo" && ended.is_ok());
        let (_, ended) = output("echo no such database >&2; exit 3", minute);
        let text = ended.unwrap_err().to_string();
        assert!(text.contains("3") && text.contains("no such database"), "{text}");
        let (all, ended) = output("echo begun; sleep 600 & sleep 600", Duration::from_millis(300));
        assert!(all == b"begun\n" && matches!(ended, Err(CommandError::Late(_))));
    }
}
