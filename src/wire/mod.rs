//! The messages (SPEC §3, §4, §6): as types, by their JSON Schema, and as the protobuf of the gRPC profile.

mod messages;
mod operation;
pub mod proto;
mod schema;

pub use messages::*;
pub use operation::Operation;
#[cfg(feature = "program")]
pub use operation::segment;
pub use schema::{MessageKind, SCHEMA_JSON, Schema, Violation, has_fractions, prune};
