//! The stateful fuzzer: random requests by several identities on several repositories, every answer held to the sequential model of a
//! repository ([`crate::model`]).
//!
//! ```text
//! generate   random plans                      plan       what a case does, without keys or ids
//! request    a step as a request               mutate     changes to a body      credential   what says who asks
//! play       sends, judges, follows the model  auth       challenge, token, discovery
//! shrink     the shortest case that shows it   campaign   many cases at once
//! ```

mod auth;
mod campaign;
mod credential;
mod finding;
mod generate;
mod mutate;
mod plan;
mod play;
mod request;
mod scene;
mod shrink;

pub use campaign::{Campaign, End, Limits, Progress, Report, Saved, replay, run};
pub use finding::{Found, Key, Kind, Recorded};
pub use plan::Step;
pub use play::{Behaviour, Played, play};
