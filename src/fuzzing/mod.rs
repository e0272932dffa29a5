//! Bodies of the fuzz targets in `fuzz/`, and the fuzzer of servers.
//!
//! A body takes any bytes and asserts a law; a panic is a finding. The bodies live here so that a stable compiler replays the
//! seeds and every regression through them (`tests/fuzz_seeds.rs`).

mod crypto;
mod history;
mod json;
mod proto;
#[cfg(feature = "program")]
mod seeds;
#[cfg(feature = "program")]
pub mod server;
mod structured;
mod text;

pub use crypto::{aad, envelope, key_binding, key_wrap};
#[cfg(test)]
pub(crate) use history::{drawn, has_an_order, is_linearizable};
pub use history::{history, linearizability};
pub use json::{envelope_decode, payload, shim, vectors, wire};
pub use proto::proto;
#[cfg(feature = "program")]
pub use seeds::{Seed, SeedError, seeds};
pub use text::{address, base64, invite, jwt, locator};

/// A target: its name, which is also that of its file under `fuzz/fuzz_targets`, and its body.
pub type FuzzTarget = (&'static str, fn(&[u8]));

macro_rules! targets {
    ($($name:ident),+ $(,)?) => {
        /// Every target.
        pub const TARGETS: &[FuzzTarget] = &[$((stringify!($name), $name)),+];
    };
}

targets! {
    aad, address, base64, envelope, envelope_decode, history, invite, jwt, key_binding, key_wrap, linearizability, locator, payload, proto, shim, vectors,
    wire,
}
