//! The messages of the HTTP/JSON profile (SPEC §3, §4, §6) and their JSON Schema.

mod messages;
mod schema;

pub use messages::*;
pub use schema::{MessageKind, SCHEMA_JSON, Schema, Violation, has_fractions, prune};
