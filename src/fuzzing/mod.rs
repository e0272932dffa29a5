//! Bodies of the fuzz targets in `fuzz/`, and the fuzzer of servers.
//!
//! A body takes any bytes and asserts a law; a panic is a finding. The bodies live here so that a stable compiler replays the
//! seeds and every regression through them (`tests/fuzz_seeds.rs`).

mod crypto;
mod json;
mod seeds;
pub mod server;
mod structured;
mod text;

pub use seeds::{Seed, SeedError, seeds};

/// A target: its name, which is also that of its file under `fuzz/fuzz_targets`, and its body.
pub type FuzzTarget = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: &[FuzzTarget] = &[
    ("aad", crypto::aad),
    ("address", text::address),
    ("base64", text::base64_spelling),
    ("envelope", crypto::envelope_tampering),
    ("envelope_decode", json::envelope_message),
    ("invite", text::invite),
    ("jwt", text::jwt),
    ("key_binding", crypto::key_binding_tampering),
    ("key_wrap", crypto::key_wrap_tampering),
    ("locator", text::locator),
    ("payload", json::payload),
    ("shim", json::shim_protocol),
    ("vectors", json::vector_files),
    ("wire", json::wire_messages),
];

/// The body of a target, which the compiler knows to exist.
///
/// # Panics
/// When the law of the target is broken, or there is no such target.
pub fn run(target: &str, data: &[u8]) {
    let known = TARGETS.iter().find(|(name, _)| *name == target);
    let (_, body) = known.unwrap_or_else(|| panic!("there is no fuzz target {target}"));
    body(data);
}
