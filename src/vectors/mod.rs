//! Vectors: the bank that `vectors generate` writes, the checker of anybody's vectors, and the driver that puts both
//! the bank and random cases to anybody's codec.
//!
//! Everything meets in one vocabulary: a [`Request`] asks a codec one thing, a [`CodecAnswer`] is what it says. A vector file
//! is read into cases whose steps are requests with expectations; the checker puts them to our codec ([`evaluate()`]), the
//! driver to a shim.

mod case;
mod check;
mod evaluate;
mod fields;
mod formats;
mod generate;
mod judge;
mod op;
mod rfc;
pub mod shim;

pub use case::{Case, CaseError, CaseStep, Expect, Read};
pub use check::{CaseResult, CheckError, Checked, CheckedCase, CheckedFile, check, check_text};
pub use evaluate::{Reading, evaluate, read};
pub use fields::{FieldError, Fields};
pub use generate::{BankFile, GenerateError, bank};
pub use judge::{AnswerJudgement, judge};
pub use op::{BadRequest, CodecAnswer, CodecOp, Request};
