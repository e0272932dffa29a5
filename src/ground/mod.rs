//! What every room may stand on: small pure things that have nothing to do with the protocol and would otherwise be written again
//! in several rooms. It imports no other room.

mod choices;
pub(crate) mod ed25519;
pub mod hex;
#[cfg(feature = "program")]
mod lock;
#[cfg(feature = "program")]
pub(crate) mod shown;

pub use choices::Choices;
#[cfg(feature = "program")]
pub(crate) use lock::lock;
