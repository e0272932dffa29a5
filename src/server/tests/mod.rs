//! The server as a client sees it, over real sockets.

mod auth;
mod client;
mod http;
mod probe;
pub(crate) mod script;
mod vault;
