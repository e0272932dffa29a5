//! The driver: puts the bank and random cases to somebody's codec, over the protocol of `examples/shims/README.md`, and
//! tells what happens as the same events that a run against a server makes.

mod bank;
mod command;
mod differential;
mod mutate;
mod pipeline;
mod plan;
mod process;
mod random;
mod run;
mod serve;
mod shrink;

pub use bank::{BankError, bank_cases, cases_of};
pub use command::{CommandError, split};
pub use pipeline::{Asker, Breakage, Pipeline, Question, Reply, ShimError};
pub use plan::{Plan, Selection};
pub use run::{Options, run};
pub use serve::serve;
