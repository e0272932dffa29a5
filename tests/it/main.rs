//! What the program and the library do for their users, in one binary: linking is most of what a test binary costs.
//! Tests that measure memory have a process of their own (`tests/*_memory.rs`).

mod browser;
mod catalogue;
mod cli;
#[cfg(unix)]
mod clusterfuzzlite;
mod codec_laws;
mod coverage;
mod example;
mod fuzz;
mod fuzz_seeds;
mod grpc;
mod grpc_hostile;
mod handbook;
mod history;
mod hostile;
mod hosting;
mod kept_connections;
mod known;
mod model;
#[cfg(unix)]
mod packaging;
mod planted;
mod proxy;
mod rooms;
mod scan;
mod shards;
mod shims;
mod tls;
mod transport;
mod vectors;
