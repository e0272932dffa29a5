//! Conformance suite for the Alt Vault Protocol (AVP).
//!
//! The library behind the `avp-conform` program. The README's "Map of the source" tells what lives where; each room
//! uses only those above it there.
//!
//! Without the feature `program` there is only what the fuzz targets in `fuzz/` need: parsers, constructions and the model, free of
//! HTTP, storage and threads.
#![deny(unsafe_code)]
#![warn(missing_docs)]

#[cfg(feature = "program")]
pub mod agent;
#[cfg(feature = "program")]
pub mod causes;
#[cfg(feature = "program")]
pub mod cli;
#[cfg(feature = "program")]
pub mod client;
#[cfg(feature = "program")]
pub mod client_scenarios;
pub mod codec;
#[cfg(feature = "program")]
pub mod faults;
pub mod fuzzing;
pub mod ground;
#[cfg(feature = "program")]
pub mod handbook;
pub mod history;
pub mod model;
#[cfg(feature = "program")]
pub mod process;
#[cfg(feature = "program")]
pub mod report;
pub mod requirements;
#[cfg(feature = "program")]
pub mod runner;
#[cfg(feature = "program")]
pub mod scan;
#[cfg(feature = "program")]
pub mod scenarios;
#[cfg(feature = "program")]
pub mod selftest;
#[cfg(feature = "program")]
pub mod server;
pub mod vectors;
pub mod wire;
