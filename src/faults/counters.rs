//! Counters that aren't int64 all the way (SPEC §2; WIRE, HTTP profile).

use axum::http::Response;
use axum::http::request::Parts;
use bytes::Bytes;
use serde_json::{Number, Value, json};

use super::table::*;
use super::tools::{each_object, edit, edit_body};
use crate::server::edge::Edge;
use crate::server::refusal::Refusal;
use crate::server::repo::{Repo, VaultCommand};
use crate::server::route::Route;
use crate::server::rules::VaultRules;
use crate::server::store::Store;

const COUNTERS: [&str; 5] =
    ["payloadVersion", "keyEpoch", "knownPayloadVersion", "expectedPayloadVersion", "newKeyEpoch"];

/// A server that puts the counters of its answers through a conversion.
struct Spelling(fn(i64) -> Value);

impl Edge for Spelling {
    fn response(&self, route: Route, _: &Parts, response: Response<Bytes>) -> Response<Bytes> {
        if matches!(route, Route::Challenge | Route::Token) {
            return response;
        }
        edit(response, |answer| convert(answer, &self.0))
    }
}

/// A server that stores its counters in something narrower.
struct Narrow(fn(i64) -> i64);

impl VaultRules for Narrow {
    fn stored(&self, _: Route, _: Option<&Repo>, mut next: Repo) -> Repo {
        let (manifest, envelope) = (&mut next.manifest, &mut next.envelope);
        let entries = manifest.members.iter_mut().map(|entry| &mut entry.key_epoch);
        let counters = [
            &mut manifest.key_epoch,
            &mut manifest.payload_version,
            &mut envelope.key_epoch,
            &mut envelope.payload_version,
        ];
        counters.into_iter().chain(entries).for_each(|counter| *counter = (self.0)(*counter));
        next
    }
}

/// A server that reads the counters of requests through a conversion.
struct Reading(fn(i64) -> i64);

impl Edge for Reading {
    fn body(&self, _: &Store, _: Route, _: &Parts, body: Bytes) -> Result<Bytes, Refusal> {
        Ok(edit_body(body, |request| convert(request, &|counter| json!(self.0(counter)))))
    }
}

fn convert(value: &mut Value, convert: &dyn Fn(i64) -> Value) {
    each_object(value, &mut |object| {
        for name in COUNTERS {
            if let Some(counter) = object.get(name).and_then(Value::as_i64) {
                object.insert(name.to_owned(), convert(counter));
            }
        }
    });
}

/// Through an IEEE double and back, as JavaScript does it. The conversions saturate.
#[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "that is the fault")]
fn double(counter: i64) -> i64 {
    counter as f64 as i64
}

/// The low 32 bits, with their sign.
#[expect(clippy::cast_possible_truncation, reason = "that is the fault")]
fn int32(counter: i64) -> i64 {
    i64::from(counter as i32)
}

#[expect(clippy::cast_precision_loss, reason = "that is the fault")]
fn float(counter: i64) -> Value {
    Number::from_f64(counter as f64).map_or(Value::Null, Value::Number)
}

/// The faults of this area.
pub(super) const FAULTS: &[Fault] = &[
    fault("counters-through-double", &INT64, "Counters are stored as IEEE doubles.", || vault(Narrow(double))),
    fault("counters-through-int32", &INT64, "Counters are stored in 32 bits, and wrap.", || vault(Narrow(int32))),
    fault("counters-clamped-to-int32", &INT64, "Counters are stored in 32 bits, and stop at the largest.", || {
        vault(Narrow(|counter| counter.min(i64::from(i32::MAX))))
    }),
    fault(
        "counters-clamped-to-2-53",
        &INT64,
        "Counters stop at 2^53 − 1, the largest safe integer of JavaScript.",
        || vault(Narrow(|counter| counter.min((1 << 53) - 1))),
    ),
    fault("counters-read-as-double", &INT64, "Requests are parsed by a JSON reader that knows only doubles.", || {
        edge(Reading(double))
    }),
    fault("counters-served-as-double", &INT64, "Answers are written by a JSON writer that knows only doubles.", || {
        edge(Spelling(|counter| json!(double(counter))))
    }),
    fault("counters-served-with-fraction", &PLAIN_INTEGERS, "Counters are served as 1.0.", || edge(Spelling(float))),
    fault(
        "counters-as-text",
        &FIELD_NAMES,
        "Counters are served as strings, as the JSON mapping of Protocol Buffers has them.",
        || edge(Spelling(|counter| json!(counter.to_string()))),
    ),
    fault("large-counters-as-text", &INT64, "Counters above 2^53 are served as strings.", || {
        edge(Spelling(
            |counter| if counter.unsigned_abs() > 1 << 53 { json!(counter.to_string()) } else { json!(counter) },
        ))
    }),
    fault("large-counters-500", &INT64, "Counters above 2^31 end in an internal error.", || vault(LargeCounters500)),
    fault(
        "expectation-compared-as-double",
        &INT64,
        "The expected version is compared as a double, which can't tell neighbours above 2^53 apart.",
        || vault(ExpectationComparedAsDouble),
    ),
    fault("expectation-compared-as-int32", &INT64, "The expected version is compared in its low 32 bits.", || {
        vault(ExpectationComparedAsInt32)
    }),
    fault("known-version-compared-as-double", &INT64, "The known version is compared as a double.", || {
        vault(KnownVersionComparedAsDouble)
    }),
    fault("known-version-compared-as-int32", &INT64, "The known version is compared in its low 32 bits.", || {
        vault(KnownVersionComparedAsInt32)
    }),
    fault(
        "new-version-compared-as-double",
        &INT64,
        "A new version is compared with the old one as a double, so the next one above 2^53 is refused.",
        || vault(NewVersionComparedAsDouble),
    ),
    fault(
        "new-version-compared-as-int32",
        &VERSION_MONOTONIC,
        "A new version is compared with the old one in its low 32 bits.",
        || vault(NewVersionComparedAsInt32),
    ),
    fault(
        "new-version-compared-unsigned",
        &VERSION_MONOTONIC,
        "A new version is compared as an unsigned number, so a negative one is above all others.",
        || vault(NewVersionComparedUnsigned),
    ),
    fault(
        "new-version-by-difference",
        &VERSION_MONOTONIC,
        "A new version is accepted if new minus old is positive, and the difference overflows.",
        || vault(NewVersionByDifference),
    ),
];

struct LargeCounters500;

impl VaultRules for LargeCounters500 {
    fn shape(&self, command: &VaultCommand) -> Result<(), Refusal> {
        let version = match command {
            VaultCommand::Create(request) => request.manifest.payload_version,
            VaultCommand::Push(request) => request.envelope.payload_version,
            _ => 0,
        };
        if version > i64::from(i32::MAX) {
            return Err(Refusal::internal("integer out of range"));
        }
        crate::server::validate::command(command)
    }
}

struct ExpectationComparedAsDouble;

impl VaultRules for ExpectationComparedAsDouble {
    fn expectation_holds(&self, expected: i64, current: i64) -> bool {
        double(expected) == double(current)
    }
}

struct ExpectationComparedAsInt32;

impl VaultRules for ExpectationComparedAsInt32 {
    fn expectation_holds(&self, expected: i64, current: i64) -> bool {
        int32(expected) == int32(current)
    }
}

struct KnownVersionComparedAsDouble;

impl VaultRules for KnownVersionComparedAsDouble {
    fn is_current(&self, known: i64, current: i64) -> bool {
        double(known) == double(current)
    }
}

struct KnownVersionComparedAsInt32;

impl VaultRules for KnownVersionComparedAsInt32 {
    fn is_current(&self, known: i64, current: i64) -> bool {
        int32(known) == int32(current)
    }
}

struct NewVersionComparedAsDouble;

impl VaultRules for NewVersionComparedAsDouble {
    fn version_advances(&self, new: i64, current: i64) -> bool {
        double(new) > double(current)
    }
}

struct NewVersionComparedAsInt32;

impl VaultRules for NewVersionComparedAsInt32 {
    fn version_advances(&self, new: i64, current: i64) -> bool {
        int32(new) > int32(current)
    }
}

struct NewVersionComparedUnsigned;

impl VaultRules for NewVersionComparedUnsigned {
    fn version_advances(&self, new: i64, current: i64) -> bool {
        new.cast_unsigned() > current.cast_unsigned()
    }
}

struct NewVersionByDifference;

impl VaultRules for NewVersionByDifference {
    fn version_advances(&self, new: i64, current: i64) -> bool {
        new.wrapping_sub(current) > 0
    }
}
