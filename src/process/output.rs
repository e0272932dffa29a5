//! What a program prints: all of it is read, so that it never waits for us, and a part of it is kept.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::io::{AsyncRead, AsyncReadExt};

use crate::ground::lock;

/// How much of an output is kept in memory: the beginning.
pub(super) const KEPT: usize = 256 * 1024;
/// How much is kept in a file: the beginning, which is what a server logs in many runs.
pub(super) const KEPT_IN_FILE: u64 = 64 << 20;
/// How much of the end is kept besides, to say what went wrong.
const TAIL: usize = 8 * 1024;
/// Names of the files, as findings name them.
pub(super) const STDOUT: &str = "standard-output";
pub(super) const STDERR: &str = "standard-error";

/// The kept parts of an output.
#[derive(Clone, Debug, Default)]
pub struct Output(Arc<Mutex<Kept>>);

#[derive(Debug, Default)]
struct Kept {
    head: Vec<u8>,
    tail: Vec<u8>,
    file: Option<File>,
    /// Bytes in the file, those of earlier starts included.
    length: u64,
}

impl Output {
    /// Keeps an output in a file, behind what is there.
    ///
    /// # Errors
    /// The file can't be written.
    pub(super) fn in_file(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().append(true).create(true).open(path)?;
        let length = file.metadata()?.len();
        Ok(Self(Arc::new(Mutex::new(Kept { file: Some(file), length, ..Kept::default() }))))
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        lock(&self.0)
    }

    /// What has come so far, as text. Only of outputs that are kept in memory.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.lock().head).into_owned()
    }

    /// The last lines, as text.
    pub fn last_lines(&self, count: usize) -> Vec<String> {
        let text = String::from_utf8_lossy(&self.lock().tail).into_owned();
        let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
        lines[lines.len().saturating_sub(count)..].iter().map(|line| (*line).to_owned()).collect()
    }

    fn keep(&self, bytes: &[u8]) {
        let kept = &mut *self.lock();
        let end = &bytes[bytes.len().saturating_sub(TAIL)..];
        let surplus = (kept.tail.len() + end.len()).saturating_sub(TAIL);
        kept.tail.drain(..surplus);
        kept.tail.extend_from_slice(end);
        if let Some(file) = &mut kept.file {
            let room = usize::try_from(KEPT_IN_FILE.saturating_sub(kept.length)).unwrap_or(usize::MAX);
            let fitting = &bytes[..bytes.len().min(room)];
            // A full disk is no reason to let the program wait.
            if file.write_all(fitting).is_ok() {
                kept.length += fitting.len() as u64;
            }
        } else {
            let room = KEPT.saturating_sub(kept.head.len());
            kept.head.extend_from_slice(&bytes[..bytes.len().min(room)]);
        }
    }
}

/// Reads an output to its end.
pub(super) async fn drain(mut pipe: impl AsyncRead + Unpin, output: Output) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(count) = pipe.read(&mut buffer).await {
        if count == 0 {
            return;
        }
        output.keep(&buffer[..count]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_kept_of_however_much() {
        let output = Output::default();
        for number in 0..10_000 {
            output.keep(format!("line {number}\n").as_bytes());
        }
        assert_eq!(output.last_lines(2), ["line 9998", "line 9999"]);
        output.keep(&[b'x'; 3 * TAIL]);
        assert_eq!(output.last_lines(5), ["x".repeat(TAIL)]);
    }
}
