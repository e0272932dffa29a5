//! The messages (SPEC §3, §4, §6): as types, by their JSON Schema, and as the protobuf of the gRPC profile.

mod messages;
pub mod proto;
mod schema;

pub use messages::*;
pub use schema::{MessageKind, SCHEMA_JSON, Schema, Violation, has_fractions, prune};
