//! The checker: reads a folder of vector files, ours or anybody's, and recomputes what it can.

use std::collections::HashSet;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::case::{Case, CaseError, CaseStep, Expect, Read};
use super::evaluate::{Reading, read};
use super::fields::Fields;
use super::formats::{self, Contents, FORMATS, Format, INDEX};
use super::judge::{AnswerJudgement, contains, describe, judge};
use super::op::CodecAnswer;

/// Larger files aren't vectors.
const LARGEST: u64 = 64 << 20;

/// Why a folder can't be checked at all.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// It isn't there, or can't be listed.
    #[error("{}: {source}", folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// What the file system says.
        source: std::io::Error,
    },
}

/// How a case turned out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum CaseResult {
    /// Everything that was recomputed is as it says.
    Right,
    /// Nothing of it could be recomputed.
    NotChecked,
    /// A member is missing or isn't what it should be.
    Unreadable,
    /// Something isn't as it says.
    Wrong,
}

/// A case and what was found out about it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CheckedCase {
    /// Its name.
    pub name: String,
    /// How it turned out.
    pub verdict: CaseResult,
    /// What is wrong or unreadable, one sentence each.
    pub problems: Vec<String>,
    /// What is odd but not wrong.
    pub remarks: Vec<String>,
    /// What wasn't checked.
    pub unchecked: Vec<String>,
}

/// A file and what was found out about it.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CheckedFile {
    /// Its name.
    pub name: String,
    /// Why it can't be read as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unreadable: Option<String>,
    /// Its cases, in order.
    pub cases: Vec<CheckedCase>,
    /// Members that nothing here reads.
    pub unknown_members: Vec<String>,
}

/// A folder and what was found out about it.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Checked {
    /// The files of the format, in its order.
    pub files: Vec<CheckedFile>,
    /// Other things in the folder, which weren't looked at.
    pub unknown_files: Vec<String>,
    /// Files that other publishers have and this folder hasn't.
    pub absent_files: Vec<&'static str>,
}

impl Checked {
    /// Number of cases of a verdict; files that can't be read count as one case each.
    pub fn count(&self, verdict: CaseResult) -> usize {
        let cases = self.files.iter().flat_map(|file| &file.cases).filter(|case| case.verdict == verdict).count();
        let whole =
            self.files.iter().filter(|file| verdict == CaseResult::Unreadable && file.unreadable.is_some()).count();
        cases + whole
    }

    /// 0 if nothing is wrong, 1 for a wrong vector, 2 for an unreadable one or if there is none at all.
    pub fn exit_code(&self) -> u8 {
        if self.count(CaseResult::Wrong) > 0 {
            1
        } else if self.count(CaseResult::Unreadable) > 0 || self.files.is_empty() {
            2
        } else {
            0
        }
    }
}

/// Checks every vector file of a folder; folders in it aren't looked into.
///
/// # Errors
/// [`CheckError`] when the folder can't be listed. Anything wrong with a file stands in the answer.
pub fn check(folder: &Path) -> Result<Checked, CheckError> {
    let failed = |source| CheckError::Folder { folder: folder.into(), source };
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        names.push(entry.map_err(failed)?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    let present: HashSet<&str> = names.iter().map(String::as_str).collect();
    let mut checked = Checked::default();
    for format in FORMATS {
        if present.contains(format.file) {
            checked.files.push(file(folder, format.file, &|fields| format.read(fields)));
        } else if format.common {
            checked.absent_files.push(format.file);
        }
    }
    if present.contains(INDEX) {
        let exists = |name: &str| present.contains(name);
        checked.files.push(file(folder, INDEX, &|fields| formats::read_index(fields, &exists)));
    } else {
        checked.absent_files.push(INDEX);
    }
    checked.unknown_files = names.into_iter().filter(|name| name != INDEX && Format::of(name).is_none()).collect();
    Ok(checked)
}

type ReadContents<'a> = &'a dyn Fn(&Fields) -> Result<Contents, super::fields::FieldError>;

fn file(folder: &Path, name: &str, contents: ReadContents<'_>) -> CheckedFile {
    checked(name, load(&folder.join(name)), contents)
}

/// Checks what a file of this name would hold; `None` for a name that isn't one of the format (or the index's).
pub fn check_text(name: &str, text: &[u8]) -> Option<CheckedFile> {
    let format = Format::of(name)?;
    Some(checked(name, parse(text), &|fields| format.read(fields)))
}

fn checked(name: &str, fields: Result<Fields, String>, contents: ReadContents<'_>) -> CheckedFile {
    let mut checked = CheckedFile { name: name.into(), ..CheckedFile::default() };
    match fields.and_then(|fields| contents(&fields).map_err(|error| error.to_string())) {
        Ok(contents) => {
            let mut names = HashSet::new();
            for case in contents.cases {
                let mut case = check_case(case);
                if !names.insert(case.name.clone()) {
                    case.remarks.push("another case of the file has the same name".into());
                }
                checked.cases.push(case);
            }
            checked.unknown_members = contents.unknown;
            if checked.cases.is_empty() {
                checked.unreadable = Some("has no cases".into());
            }
        }
        Err(problem) => checked.unreadable = Some(problem),
    }
    checked
}

/// The object that a file holds.
pub(super) fn load(path: &Path) -> Result<Fields, String> {
    let mut bytes = Vec::new();
    let opened = fs::File::open(path).map_err(|error| error.to_string())?;
    opened.take(LARGEST + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() as u64 > LARGEST {
        return Err(format!("is larger than {} MiB", LARGEST >> 20));
    }
    parse(&bytes)
}

fn parse(bytes: &[u8]) -> Result<Fields, String> {
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    match serde_json::from_slice(text) {
        Ok(Value::Object(fields)) => Ok(fields),
        Ok(other) => Err(format!("is {} instead of an object", super::fields::kind(&other))),
        Err(error) => Err(format!("isn't JSON: {error}")),
    }
}

fn check_case(read: Read) -> CheckedCase {
    match read {
        Ok(case) => judge_case(case),
        Err(CaseError { case, error }) => CheckedCase {
            name: case,
            verdict: CaseResult::Unreadable,
            problems: vec![error.to_string()],
            remarks: Vec::new(),
            unchecked: Vec::new(),
        },
    }
}

fn judge_case(case: Case) -> CheckedCase {
    let (mut wrong, mut unreadable, mut remarks) = (case.wrong, Vec::new(), case.odd);
    let nothing_said = wrong.is_empty() && case.steps.is_empty();
    for step in &case.steps {
        match put(step) {
            Put::Right => {}
            Put::Odd(remark) => remarks.push(remark),
            Put::Wrong(problem) => wrong.push(problem),
            Put::Unreadable(problem) => unreadable.push(problem),
        }
    }
    let verdict = if !wrong.is_empty() {
        CaseResult::Wrong
    } else if !unreadable.is_empty() {
        CaseResult::Unreadable
    } else if nothing_said && !case.settled {
        CaseResult::NotChecked
    } else {
        CaseResult::Right
    };
    wrong.extend(unreadable);
    CheckedCase { name: case.name, verdict, problems: wrong, remarks, unchecked: case.unchecked }
}

enum Put {
    Right,
    Odd(String),
    Wrong(String),
    Unreadable(String),
}

/// Puts a step to our codec.
fn put(step: &CaseStep) -> Put {
    let answer = match read(&step.request, Reading::Strict) {
        Ok(answer) => answer,
        Err(error) => return Put::Unreadable(error.to_string()),
    };
    // What our codec refuses though it might accept it is recomputed by a reading that accepts.
    let open = matches!(step.expect, Expect::Either { .. }) && matches!(answer, CodecAnswer::Reject(_));
    let answer = if open { read(&step.request, Reading::Lenient).unwrap_or(answer) } else { answer };
    let judgement = match (&answer, open) {
        (CodecAnswer::Reject(reason), true) => AnswerJudgement::Wrong {
            expected: "something that may be accepted".into(),
            observed: format!("even read leniently it has to be refused: {reason}"),
        },
        _ => judge(step, &answer),
    };
    match judgement {
        AnswerJudgement::Right => complete(step, &answer),
        AnswerJudgement::Allowed { .. } if open => complete(step, &answer),
        AnswerJudgement::Allowed { observed, .. } => Put::Odd(format!("{}: {observed}", step.what)),
        AnswerJudgement::Wrong { expected, observed } => {
            Put::Wrong(format!("{}: the vector says {expected}; computed: {observed}", step.what))
        }
        AnswerJudgement::Unsupported(text) | AnswerJudgement::Trouble(text) => Put::Unreadable(text),
    }
}

/// A codec may answer more than a vector says, but a vector has to say everything about what it does say: an account
/// without its name would let every name pass.
fn complete(step: &CaseStep, answer: &CodecAnswer) -> Put {
    let (Expect::Result(expected) | Expect::Either { accepted: expected, .. }, CodecAnswer::Result(computed)) =
        (&step.expect, answer)
    else {
        return Put::Right;
    };
    let lacking = expected.iter().find(|(name, value)| computed.get(*name).is_some_and(|all| !contains(value, all)));
    match lacking {
        None => Put::Right,
        Some((name, _)) => {
            Put::Wrong(format!("{}: `{name}` lacks something; computed: {}", step.what, describe(computed)))
        }
    }
}
