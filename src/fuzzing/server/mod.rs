//! The stateful fuzzer: random requests by several identities on several repositories, every answer held to the sequential model of a
//! repository ([`crate::model`]).
//!
//! ```text
//! generate   random plans                      plan       what a case does, without keys or ids
//! request    a step as a request               mutation   what is done to one (mutate: to a body)
//! credential what says who asks                send       requests as they are to be written      sent
//! play       one case, request by request      judge      every answer against the model
//! auth       challenge and token               redemption which of them are wrong, and how      discovery
//! shrink     the shortest case that shows it   campaign   many cases at once
//! ```

mod auth;
mod campaign;
mod case_state;
mod credential;
mod discovery;
mod finding;
mod generate;
mod judge;
mod mutate;
mod mutation;
mod plan;
mod play;
mod redemption;
mod request;
mod send;
mod sent;
mod shrink;

pub use campaign::{Campaign, CampaignProgress, End, Limits, ReportedCase, Saved, replay, run};
pub use finding::{AsSent, FindingKind, Found, Key, Recorded};
pub use plan::Step;
pub use play::{Behaviour, Played, play};
