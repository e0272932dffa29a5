//! Conformance suite for the Alt Vault Protocol (AVP).
//!
//! The library behind the `avp-conform` program. The README's "Map of the source" tells what lives where; arrows between
//! the modules point one way: `codec ← wire ← {client, model, server} ← scenarios ← runner ← report ← cli`.
#![deny(unsafe_code)]
#![warn(missing_docs)]

pub mod cli;
pub mod client;
pub mod codec;
pub mod fuzzing;
pub mod history;
pub mod model;
pub mod report;
pub mod requirements;
pub mod runner;
pub mod scan;
pub mod scenarios;
pub mod selftest;
pub mod server;
pub mod vectors;
pub mod wire;
