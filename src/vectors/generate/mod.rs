//! The bank: what `vectors generate` writes. Deterministic; every value comes from [`seed`] or from an RFC.

mod auth;
mod bindings;
mod envelopes;
mod federation;
mod index;
mod malformed;
mod mutation;
mod negative;
mod negative_unwrap;
mod negative_verify;
mod open;
mod plaintexts;
mod primitives;
mod rotation;
mod seed;
mod text;

use serde_json::Value;

use super::evaluate::evaluate;
use super::fields::{FieldError, Fields, fields};
use super::op::{CodecAnswer, CodecOp, Request};

/// Why the bank can't be made: a bug of ours, since nothing from outside goes into it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GenerateError {
    /// Our codec refuses what a case is made of.
    #[error("{op} refuses its input: {reason}")]
    Refused {
        /// The operation.
        op: &'static str,
        /// What our codec says.
        reason: String,
    },
    /// A case lacks something.
    #[error(transparent)]
    Field(#[from] FieldError),
    /// A primitive refuses what a case is made of.
    #[error("{0}")]
    Primitive(String),
}

/// A file of the bank.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BankFile {
    /// Its name.
    pub name: &'static str,
    /// Its text.
    pub text: String,
}

type Made<T> = Result<T, GenerateError>;

/// Every file of the bank.
///
/// # Errors
/// [`GenerateError`]; a test makes sure that there is none.
pub fn bank() -> Result<Vec<BankFile>, GenerateError> {
    let files = [
        ("aad.json", primitives::aad()?),
        ("key-binding-message.json", bindings::messages()?),
        ("hkdf.json", primitives::hkdf()?),
        ("x25519.json", primitives::x25519()?),
        ("ed25519.json", primitives::ed25519()?),
        ("payload-aead.json", envelopes::payloads()?),
        ("key-wrap.json", envelopes::wraps()?),
        ("negative.json", negative::file()?),
        ("federation.json", federation::file()?),
        ("negative-open.json", open::file()?),
        ("malformed.json", malformed::file()?),
        ("base64.json", primitives::base64()?),
        ("payload.json", plaintexts::file()?),
        ("key-binding-signature.json", bindings::signatures()?),
        ("auth-exchange.json", auth::file()?),
        ("rotation.json", rotation::file()?),
        ("index.json", index::file()),
    ];
    Ok(files.into_iter().map(|(name, value)| BankFile { name, text: text::render(&value) }).collect())
}

/// A file of cases.
fn file(about: &str, cases: Vec<Value>) -> Value {
    fields! { "description": format!("{about} {}", seed::sentence()), "cases": cases }.into()
}

/// A case: what it is called, why it is there, what it is about, and its members.
fn case(name: &str, reason: &str, flags: &[&str], members: Fields) -> Value {
    let mut case = fields! { "name": name, "reason": reason, "flags": flags.to_vec() };
    case.extend(members);
    case.into()
}

/// What our codec makes of it; the shims confirm it.
fn ours(op: CodecOp, input: &Fields) -> Made<Fields> {
    match evaluate(&Request::new(op, input.clone()))? {
        CodecAnswer::Result(fields) => Ok(fields),
        CodecAnswer::Reject(reason) | CodecAnswer::Unsupported(reason) | CodecAnswer::Error(reason) => {
            Err(GenerateError::Refused { op: op.name(), reason })
        }
    }
}

/// A member of a result.
fn member(fields: &Fields, name: &str) -> Made<Value> {
    Ok(fields.get(name).cloned().ok_or_else(|| FieldError::new(name, "is missing"))?)
}

fn primitive(error: impl std::fmt::Display) -> GenerateError {
    GenerateError::Primitive(error.to_string())
}
