//! Looking for secrets where none may be: the forms that a secret can take, a search for many of them at once, and what
//! can be searched: answers, files and folders, databases, the output of a command, the memory of a process.

mod command;
mod error;
mod file;
mod forms;
mod job;
mod layers;
mod look;
mod memory;
mod search;
mod secrets;
mod source;
mod sqlite;
mod stream;
#[cfg(test)]
mod tests;
mod tree;
mod work;

pub use error::SourceError;
pub use forms::{Form, PARTIAL, forms};
pub use job::{Location, Sighting};
pub use look::{Look, first_found};
pub use search::{Found, Searcher, SearcherBuilder};
pub use secrets::{CanaryFileError, Class, Secret, distinct, load, save, searcher, searcher_of_answers};
pub use source::{Hit, Role, ScanOutcome, ScanProgress, Source};
pub use work::scan;
