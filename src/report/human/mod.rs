//! What a person sees: events as they come, on stderr, and the summary at the end.

mod bar;
mod live;
mod plain;
mod standing;
mod summary;
mod trace;

pub use live::{Live, LiveOptions};
pub(crate) use summary::title;
pub use summary::{Screen, summary};
