//! The checks, one file per operation or section of the specification.

mod answer;
pub(crate) mod check;
mod context;
mod create_repo;
mod example;
mod malformed;
mod members;
mod observer;
mod pull;
mod push;
mod removal;
mod state;
mod world;

pub use answer::{Answer, Operation};
pub use check::{Body, Check, CheckInfo, Finding, Outcome, Phase, Status, Stop};
pub use context::{Auth, Call, Ctx, Member};
pub use observer::{Observer, Secret, Seen};
pub use world::{Abort, World};

/// Every check, in the order of the specification.
pub fn all() -> impl Iterator<Item = &'static Check> {
    [create_repo::CHECKS, pull::CHECKS, push::CHECKS, members::CHECKS, removal::CHECKS, example::CHECKS]
        .into_iter()
        .flatten()
}
