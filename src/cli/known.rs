//! Files of known failures: `--known` and `--write-known`.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use super::UsageError;
use crate::report::Run;
use crate::runner::{Known, LARGEST_KNOWN, Verdict};

/// The file of `--known`, with its mistakes told before anything is sent.
pub(super) fn known_file(path: &Path) -> Result<Known, UsageError> {
    read("--known", path)
}

fn read(option: &str, path: &Path) -> Result<Known, UsageError> {
    let name = path.display().to_string();
    let failed = |error: &dyn std::fmt::Display| UsageError(format!("{option} {name}: {error}"));
    let mut text = String::new();
    let file = fs::File::open(path).map_err(|error| failed(&error))?;
    file.take(LARGEST_KNOWN + 1).read_to_string(&mut text).map_err(|error| failed(&error))?;
    if text.len() as u64 > LARGEST_KNOWN {
        return Err(failed(&format!("longer than {LARGEST_KNOWN} bytes; is it another file?")));
    }
    Known::parse(&name, &text, today()).map_err(|error| UsageError(format!("{option} {error}")))
}

/// The file of `--write-known`, looked at before the run: a mistyped path costs no run, and what stands there isn't lost.
pub(super) struct KnownFile {
    path: PathBuf,
    /// What the new file keeps: of the file of `--known`, or else of the one that is there.
    old: Option<Known>,
}

impl KnownFile {
    pub(super) fn new(path: &Path, known: Option<&Known>) -> Result<Self, UsageError> {
        let failed = |error: &dyn std::fmt::Display| {
            UsageError(format!("--write-known {} can't be written: {error}", path.display()))
        };
        let there = path.exists();
        let old = match known {
            Some(known) => Some(known.clone()),
            // What is no such file isn't written over.
            None if path.is_file() => Some(read("--write-known", path)?),
            None => None,
        };
        fs::OpenOptions::new().append(true).create(true).open(path).map_err(|error| failed(&error))?;
        if !there {
            let _ = fs::remove_file(path);
        }
        Ok(Self { path: path.to_owned(), old })
    }

    /// Writes what failed, and tells of it where there is nothing to write: a run that wasn't judged, or wasn't to its end, knows no failures.
    pub(super) fn write(&self, run: &Run, strict: bool) -> Result<Option<String>, UsageError> {
        let name = self.path.display();
        if run.end.interrupted || run.end.verdict == Verdict::NotJudged {
            return Ok(Some(format!("{name} isn't written: the run came to no verdict\n")));
        }
        let results = run.results.iter().map(AsRef::as_ref);
        let text = Known::write(self.old.as_ref(), results, strict);
        fs::write(&self.path, text)
            .map(|()| None)
            .map_err(|error| UsageError(format!("--write-known {name} can't be written: {error}")))
    }
}

/// The date by UTC, so that a file means the same on every machine.
fn today() -> jiff::civil::Date {
    let now = jiff::Timestamp::from_millisecond(crate::client::clock::now_ms()).unwrap_or_default();
    now.to_zoned(jiff::tz::TimeZone::UTC).date()
}
