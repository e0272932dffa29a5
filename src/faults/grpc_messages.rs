//! What only a gRPC server can do wrong with messages: it reads them carelessly.

use super::table::*;
use crate::server::edge::Edge;
use crate::wire::proto::{Code, Method};

/// The faults of this area.
pub(super) const FAULTS: &[Fault] = &[
    fault(
        "grpc-malformed-is-unknown",
        &BAD_INPUT,
        "What a message lacks makes the handler throw: UNKNOWN, whatever is wrong.",
        || edge(GrpcMalformedIsUnknown),
    ),
    fault(
        "grpc-cut-messages-taken",
        &PUSH_REFUSED_WHOLE,
        "A message that ends before its length is carried out as far as it came.",
        || edge(GrpcCutMessagesTaken),
    ),
    fault(
        "grpc-field-numbers-of-3-bits",
        &STORED_VERBATIM,
        "A parser made by hand, for push, keeps three bits of a field's number, so that unknown fields overwrite known \
         ones.",
        || edge(GrpcFieldNumbersOf3Bits),
    ),
    fault(
        "grpc-entry-numbers-of-3-bits",
        &STORED_VERBATIM,
        "The same parser, for addMember: a text that nobody knows becomes the entry's binding.",
        || edge(GrpcEntryNumbersOf3Bits),
    ),
    fault("grpc-small-messages-only", &BAD_INPUT, "A message of more than 4 MiB is an INTERNAL error.", || {
        edge(GrpcSmallMessagesOnly)
    }),
    fault(
        "grpc-oversized-is-unknown",
        &BAD_INPUT,
        "A message of more than 4 MiB makes the handler throw: UNKNOWN.",
        || edge(GrpcOversizedIsUnknown),
    ),
];

struct GrpcMalformedIsUnknown;

impl Edge for GrpcMalformedIsUnknown {
    fn call_code(&self, code: Code) -> Code {
        if code == Code::INVALID_ARGUMENT { Code::UNKNOWN } else { code }
    }
}

struct GrpcCutMessagesTaken;

impl Edge for GrpcCutMessagesTaken {
    fn takes_cut_messages(&self) -> bool {
        true
    }
}

struct GrpcFieldNumbersOf3Bits;

impl Edge for GrpcFieldNumbersOf3Bits {
    fn call_message(&self, method: Method, message: Vec<u8>) -> Vec<u8> {
        let masked = (method == Method::Push).then(|| masked(&message, true)).flatten();
        masked.unwrap_or(message)
    }
}

struct GrpcEntryNumbersOf3Bits;

impl Edge for GrpcEntryNumbersOf3Bits {
    fn call_message(&self, method: Method, message: Vec<u8>) -> Vec<u8> {
        let masked = (method == Method::AddMember).then(|| masked(&message, true)).flatten();
        masked.unwrap_or(message)
    }
}

struct GrpcSmallMessagesOnly;

impl Edge for GrpcSmallMessagesOnly {
    fn call_code(&self, code: Code) -> Code {
        if code == Code::RESOURCE_EXHAUSTED { Code::INTERNAL } else { code }
    }
}

struct GrpcOversizedIsUnknown;

impl Edge for GrpcOversizedIsUnknown {
    fn call_code(&self, code: Code) -> Code {
        if code == Code::RESOURCE_EXHAUSTED { Code::UNKNOWN } else { code }
    }
}

/// A message, and what is in its second field, with three bits left of every field number; `None` where it can't be
/// read.
fn masked(message: &[u8], whole: bool) -> Option<Vec<u8>> {
    let (mut rest, mut out) = (message, Vec::with_capacity(message.len()));
    while !rest.is_empty() {
        let key = varint(&mut rest)?;
        put(&mut out, (key >> 3 & 7) << 3 | key & 7);
        match key & 7 {
            0 => put(&mut out, varint(&mut rest)?),
            2 => {
                let length = usize::try_from(varint(&mut rest)?).ok()?;
                let (inner, after) = rest.split_at_checked(length)?;
                rest = after;
                let below = (whole && key >> 3 == 2).then(|| masked(inner, false)).flatten();
                let inner = below.unwrap_or_else(|| inner.to_vec());
                put(&mut out, inner.len() as u64);
                out.extend_from_slice(&inner);
            }
            fixed => {
                let (value, after) = rest.split_at_checked(if fixed == 1 { 8 } else { 4 })?;
                rest = after;
                out.extend_from_slice(value);
            }
        }
    }
    Some(out)
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 127) << shift;
        if byte & 128 == 0 {
            return Some(value);
        }
    }
    None
}

fn put(out: &mut Vec<u8>, mut value: u64) {
    while value > 127 {
        out.push((value & 127) as u8 | 128);
        value >>= 7;
    }
    out.push(value as u8);
}
