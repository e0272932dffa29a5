//! Files of known failures: `--known` and `--write-known`.

use std::fs;
use std::io::Read as _;
use std::path::Path;

use super::UsageError;
use crate::runner::{Known, LARGEST_KNOWN};

/// The file of `--known`, with its mistakes told before anything is sent.
pub(super) fn known_file(path: &Path) -> Result<Known, UsageError> {
    let name = path.display().to_string();
    let failed = |error: &dyn std::fmt::Display| UsageError(format!("--known {name}: {error}"));
    let mut text = String::new();
    let file = fs::File::open(path).map_err(|error| failed(&error))?;
    file.take(LARGEST_KNOWN + 1).read_to_string(&mut text).map_err(|error| failed(&error))?;
    if text.len() as u64 > LARGEST_KNOWN {
        return Err(failed(&format!("longer than {LARGEST_KNOWN} bytes; is it another file?")));
    }
    Known::parse(&name, &text, today()).map_err(|error| UsageError(format!("--known {error}")))
}

/// Writes the file of `--write-known`.
pub(super) fn write_known(path: &Path, text: &str) -> Result<(), UsageError> {
    fs::write(path, text)
        .map_err(|error| UsageError(format!("--write-known {} can't be written: {error}", path.display())))
}

/// The date by UTC, so that a file means the same on every machine.
fn today() -> jiff::civil::Date {
    let now = jiff::Timestamp::from_millisecond(crate::client::clock::now_ms()).unwrap_or_default();
    now.to_zoned(jiff::tz::TimeZone::UTC).date()
}
