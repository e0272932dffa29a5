//! The driver: puts the bank and random cases to somebody's codec, over the protocol of `examples/shims/README.md`, and
//! tells what happens as the same events that a run against a server makes.

mod bank;
mod command;
#[cfg(feature = "program")]
mod differential;
#[cfg(feature = "program")]
mod mutate;
#[cfg(feature = "program")]
mod pipeline;
#[cfg(feature = "program")]
mod plan;
#[cfg(feature = "program")]
mod process;
#[cfg(feature = "program")]
mod random;
#[cfg(feature = "program")]
mod run;
#[cfg(feature = "program")]
mod serve;
#[cfg(feature = "program")]
mod shrink;

pub use bank::{BankError, bank_cases, cases_of};
pub use command::{CommandError, split};
#[cfg(feature = "program")]
pub use pipeline::{Asker, Breakage, Pipeline, Question, Reply, ShimError};
#[cfg(feature = "program")]
pub use plan::{Plan, Selection};
#[cfg(feature = "program")]
pub use run::{Options, run};
#[cfg(feature = "program")]
pub use serve::serve;
