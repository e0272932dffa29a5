//! Groups of options that several commands have.

mod color;
mod profile;
mod storage;

pub(super) use color::ColorArgs;
pub(super) use profile::{ProfileArg, ProfilesArg};
pub(super) use storage::StorageArgs;
