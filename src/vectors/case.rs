//! A vector as it is used: a name, and steps that each ask a codec one thing and say what it has to answer.

use super::fields::{FieldError, Fields};
use super::op::{CodecOp, Request};

/// What a codec has to answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Expect {
    /// A result with these members (and any others).
    Result(Fields),
    /// A refusal.
    Reject,
    /// A refusal or, if given, a result with these members: the specification leaves it open.
    Either {
        /// What a codec that accepts the input must make of it.
        accepted: Fields,
        /// Whether refusing is what a careful author does, so that accepting is worth a warning.
        warn: bool,
    },
}

/// One step of a case: a question to a codec, and what it has to answer.
#[derive(Clone, Debug, PartialEq)]
pub struct CaseStep {
    /// What it is about, for messages: `decrypt at another epoch`.
    pub what: String,
    /// What is asked.
    pub request: Request,
    /// What has to be answered.
    pub expect: Expect,
    /// For `wrap`, the recipient's private key (base64): a codec that draws its own ephemeral key is judged by
    /// unwrapping what it made.
    pub recipient_private: Option<String>,
}

impl CaseStep {
    /// A step that has to give this result.
    pub fn gives(what: impl Into<String>, op: CodecOp, fields: Fields, result: Fields) -> Self {
        let request = Request::new(op, fields);
        Self { what: what.into(), request, expect: Expect::Result(result), recipient_private: None }
    }

    /// A step that has to be refused.
    pub fn refused(what: impl Into<String>, op: CodecOp, fields: Fields) -> Self {
        Self { what: what.into(), request: Request::new(op, fields), expect: Expect::Reject, recipient_private: None }
    }
}

/// A case of a vector file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Case {
    /// Name, or `case 3` where it has none.
    pub name: String,
    /// Why it is there; empty in files of others.
    pub reason: String,
    /// Section of the specification, when the first step doesn't tell.
    pub section: Option<&'static str>,
    /// What is asked of a codec.
    pub steps: Vec<CaseStep>,
    /// Whether there was something to be checked without asking a codec.
    pub settled: bool,
    /// What is wrong with the case as it stands, before any codec is asked.
    pub wrong: Vec<String>,
    /// What is odd but not wrong.
    pub odd: Vec<String>,
    /// What can't be checked, and why.
    pub unchecked: Vec<String>,
}

/// A case that can't be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{case}: {error}")]
pub struct CaseError {
    /// Name, or `case 3`.
    pub case: String,
    /// The member at fault.
    pub error: FieldError,
}

/// A case or why it can't be read.
pub type Read = Result<Case, CaseError>;
