//! Counters that are compared in another way than by their order, and conflicts that tell the caller's own (SPEC §2,
//! §10).

use axum::http::Response;
use axum::http::request::Parts;
use bytes::Bytes;
use serde_json::{Number, Value};

use super::numbers::{ALL, Bending, truncated};
use super::table::*;
use super::tools::{edit, edit_body};
use crate::server::edge::Edge;
use crate::server::operations;
use crate::server::refusal::Refusal;
use crate::server::repo::Repo;
use crate::server::route::Route;
use crate::server::rules::VaultRules;
use crate::server::store::Store;
use crate::wire::{PushRequest, PushResponse};

/// The caller's own counters instead of the repository's.
struct Parroting(fn(&mut PushResponse, &PushRequest));

impl VaultRules for Parroting {
    fn conflict(&self, repo: &Repo, request: &PushRequest) -> PushResponse {
        let mut answer = operations::push_answer(repo, false);
        (self.0)(&mut answer, request);
        answer
    }
}

/// The faults of this area.
pub(super) const FAULTS: &[Fault] = &[
    fault(
        "epoch-compared-by-difference",
        &EPOCH_RISES,
        "A new epoch counts as higher where the difference to the current one, which may wrap, is above zero.",
        || vault(EpochComparedByDifference),
    ),
    fault(
        "epoch-compared-by-difference-of-32-bits",
        &EPOCH_RISES,
        "A new epoch counts as higher where the low 32 bits of the difference are above zero.",
        || vault(EpochComparedByDifferenceOf32Bits),
    ),
    fault(
        "version-compared-by-difference",
        &VERSION_MONOTONIC,
        "A new version counts as higher where the difference to the current one, which may wrap, is above zero.",
        || vault(VersionComparedByDifference),
    ),
    fault(
        "counters-unsigned",
        &INT64,
        "Counters a little below zero are kept in columns without a sign, and served as 2^64 minus them.",
        || edge(CountersUnsigned),
    ),
    fault("everything-truncated", &PUSH_GATED, "Numbers with a fraction are cut off wherever they are.", || {
        edge(Bending(None, ALL, truncated))
    }),
    fault(
        "conflict-tells-callers-epoch",
        &PUSH_CONFLICT,
        "A conflict tells the key epoch of the push that was refused.",
        || vault(Parroting(|answer, request| answer.key_epoch = request.envelope.key_epoch)),
    ),
    fault(
        "conflict-tells-callers-version",
        &PUSH_CONFLICT,
        "A conflict tells the expected version as the current one.",
        || vault(Parroting(|answer, request| answer.payload_version = request.expected_payload_version)),
    ),
    fault(
        "conflict-tells-new-version",
        &PUSH_CONFLICT,
        "A conflict tells the version of the envelope that was refused.",
        || vault(Parroting(|answer, request| answer.payload_version = request.envelope.payload_version)),
    ),
    fault(
        "conflict-tells-higher-epoch",
        &PUSH_CONFLICT,
        "A conflict tells the higher of the repository's and the caller's epoch.",
        || vault(Parroting(|answer, request| answer.key_epoch = answer.key_epoch.max(request.envelope.key_epoch))),
    ),
];

struct EpochComparedByDifference;

impl VaultRules for EpochComparedByDifference {
    fn epoch_advances(&self, new: i64, current: i64) -> bool {
        new.wrapping_sub(current) > 0
    }
}

struct EpochComparedByDifferenceOf32Bits;

impl VaultRules for EpochComparedByDifferenceOf32Bits {
    fn epoch_advances(&self, new: i64, current: i64) -> bool {
        low_32(new.wrapping_sub(current)) > 0
    }
}

struct VersionComparedByDifference;

impl VaultRules for VersionComparedByDifference {
    fn version_advances(&self, new: i64, current: i64) -> bool {
        new.wrapping_sub(current) > 0
    }
}

struct CountersUnsigned;

impl Edge for CountersUnsigned {
    fn body(&self, _: &Store, _: Route, _: &Parts, body: Bytes) -> Result<Bytes, Refusal> {
        Ok(edit_body(body, |request| {
            each_number(request, &mut |number| {
                if let Some(negative) = number.as_i64().filter(|number| (-1000..0).contains(number)) {
                    *number = (STAND_IN - negative).into();
                }
            })
        }))
    }

    fn response(&self, _: Route, _: &Parts, response: Response<Bytes>) -> Response<Bytes> {
        edit(response, |answer| {
            each_number(answer, &mut |number| {
                if let Some(negative) = number.as_i64().filter(|number| (STAND_IN..STAND_IN + 1001).contains(number)) {
                    *number = (STAND_IN - negative).cast_unsigned().into();
                }
            })
        })
    }
}

/// Where a store that takes no counters below zero keeps them.
const STAND_IN: i64 = 1 << 61;

#[expect(clippy::cast_possible_truncation, reason = "that is the fault")]
fn low_32(number: i64) -> i32 {
    number as i32
}

fn each_number(value: &mut Value, change: &mut impl FnMut(&mut Number)) {
    match value {
        Value::Number(number) => change(number),
        Value::Array(items) => items.iter_mut().for_each(|item| each_number(item, change)),
        Value::Object(members) => members.values_mut().for_each(|member| each_number(member, change)),
        _ => {}
    }
}
