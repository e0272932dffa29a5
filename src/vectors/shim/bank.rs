//! The cases that a shim is put to.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::super::case::{Case, Read};
use super::super::check::{CaseResult, check, load};
use super::super::fields::Fields;
use super::super::formats::{FORMATS, Format};
use super::super::generate::{GenerateError, bank};

/// Why there are no cases.
#[derive(Debug, thiserror::Error)]
pub enum BankError {
    /// The folder can't be read.
    #[error(transparent)]
    Folder(#[from] super::super::check::CheckError),
    /// There are wrong or unreadable vectors in it: no codec can be judged by them.
    #[error(
        "{}: {wrong} wrong and {unreadable} unreadable vectors: no codec can be judged by them (avp-conform vectors check {} \
         names them)", .folder.display(), .folder.display()
    )]
    Unsound {
        /// The folder.
        folder: PathBuf,
        /// Number of wrong cases.
        wrong: usize,
        /// Number of unreadable ones.
        unreadable: usize,
    },
    /// There is no vector in it.
    #[error("{}: no vector files in it", .0.display())]
    Empty(PathBuf),
    /// Our own bank can't be made: a bug.
    #[error("the built-in vectors can't be made: {0}")]
    BuiltIn(#[from] GenerateError),
}

/// A case with the area that its file is.
pub type AreaCase = (&'static str, Case);

/// The cases of the built-in bank.
///
/// # Errors
/// [`BankError::BuiltIn`], a bug of ours.
pub fn bank_cases() -> Result<Vec<AreaCase>, BankError> {
    let mut cases = Vec::new();
    for file in bank()? {
        if let (Some(format), Ok(Value::Object(fields))) = (Format::of(file.name), serde_json::from_str(&file.text)) {
            cases.extend(readable(format, &fields));
        }
    }
    Ok(cases)
}

/// The cases of a folder.
///
/// # Errors
/// [`BankError`] unless every case in it is right (or says nothing that can be checked).
pub fn cases_of(folder: &Path) -> Result<Vec<AreaCase>, BankError> {
    let checked = check(folder)?;
    let (wrong, unreadable) = (checked.count(CaseResult::Wrong), checked.count(CaseResult::Unreadable));
    if wrong + unreadable > 0 {
        return Err(BankError::Unsound { folder: folder.into(), wrong, unreadable });
    }
    let mut cases = Vec::new();
    for format in FORMATS {
        if let Ok(fields) = load(&folder.join(format.file)) {
            cases.extend(readable(format, &fields));
        }
    }
    if cases.is_empty() { Err(BankError::Empty(folder.into())) } else { Ok(cases) }
}

fn readable(format: &Format, fields: &Fields) -> Vec<AreaCase> {
    let cases = format.read(fields).map(|contents| contents.cases).unwrap_or_default();
    let sound = cases.into_iter().filter_map(Read::ok).filter(|case| !case.steps.is_empty());
    sound.map(|case| (format.area(), case)).collect()
}
