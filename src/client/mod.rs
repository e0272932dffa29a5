//! The suite's own AVP client: identities, repositories as their members see them, and the HTTP transport.

mod exchange;

pub use exchange::{Exchange, KEPT_BODY, RecordedBody};
