//! The server as a client sees it, over real sockets.

mod auth;
mod client;
mod faults;
mod http;
mod probe;
mod script;
mod vault;
