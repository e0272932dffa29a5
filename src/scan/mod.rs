//! Looking for secrets where none may be: the forms that a secret can take, and a search for many of them at once.

mod forms;
mod search;

pub use forms::{Form, forms, without_escapes};
pub use search::{Found, Searcher, SearcherBuilder};
