//! Numbers that a parser bends until they fit: the gates of SPEC §6 compare something else than what was sent
//! (SPEC §2, §10).

use axum::http::request::Parts;
use bytes::Bytes;

use super::table::*;
use super::tools::each_token;
use crate::server::edge::Edge;
use crate::server::refusal::Refusal;
use crate::server::route::Route;
use crate::server::rules::VaultRules;
use crate::server::store::Store;

/// What becomes of one number of a request, given its JSON text; `None` leaves it alone.
type Bend = fn(&str) -> Option<String>;

/// A server that reads some numbers its own way, on one route or on all.
pub struct Bending(pub Option<Route>, pub &'static [&'static str], pub Bend);

impl Edge for Bending {
    fn body(&self, _: &Store, route: Route, _: &Parts, body: Bytes) -> Result<Bytes, Refusal> {
        if self.0.is_some_and(|only| only != route) {
            return Ok(body);
        }
        Ok(each_token(&body, self.1, self.2))
    }
}

const EXPECTED: &[&str] = &["expectedPayloadVersion"];

const KNOWN: &[&str] = &["knownPayloadVersion"];

const STORED: &[&str] = &["payloadVersion", "keyEpoch"];

const NEW_EPOCH: &[&str] = &["newKeyEpoch"];

/// Every counter of a request.
pub(super) const ALL: &[&str] =
    &["expectedPayloadVersion", "knownPayloadVersion", "payloadVersion", "keyEpoch", "newKeyEpoch"];

/// A number with a fraction or exponent, as a double.
fn fractional(token: &str) -> Option<f64> {
    token.contains(['.', 'e', 'E']).then(|| token.parse().ok()).flatten()
}

#[expect(clippy::cast_possible_truncation, reason = "that is the fault")]
pub fn truncated(token: &str) -> Option<String> {
    Some((fractional(token)?.trunc() as i64).to_string())
}

#[expect(clippy::cast_possible_truncation, reason = "that is the fault")]
fn rounded(token: &str) -> Option<String> {
    Some((fractional(token)?.round() as i64).to_string())
}

/// The low 64 bits of a longer number.
#[expect(clippy::cast_possible_truncation, reason = "that is the fault")]
fn wrapped(token: &str) -> Option<String> {
    if token.parse::<i64>().is_ok() {
        return None;
    }
    Some((token.parse::<i128>().ok()? as i64).to_string())
}

/// The nearest number of 64 bits.
fn saturated(token: &str) -> Option<String> {
    let number: i128 = token.parse().ok()?;
    Some(number.clamp(i64::MIN.into(), i64::MAX.into()).to_string())
}

/// The digits at the beginning of a string, as `parseInt` and `atoi` read them; none are 0.
fn leading_digits(token: &str) -> Option<String> {
    let text = token.strip_prefix('"')?.trim_end_matches('"').trim_start();
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    Some(if end == 0 { "0".into() } else { text[..end].to_owned() })
}

/// A leading zero makes it octal.
fn octal(token: &str) -> Option<String> {
    let digits = token.strip_prefix('0').filter(|digits| !digits.is_empty())?;
    Some(i64::from_str_radix(digits, 8).ok()?.to_string())
}

/// As JavaScript's `Number` and PHP's comparisons have it.
fn nothing_is_zero(token: &str) -> Option<String> {
    let text = token.trim_matches('"').trim();
    let is_text = token.starts_with('"') && !text.starts_with(|c: char| c.is_ascii_digit() || c == '-');
    (matches!(token, "false" | "[]") || is_text).then(|| "0".into())
}

fn empty(token: &str) -> bool {
    matches!(token, "null" | "\"\"" | "false" | "{}" | "[]")
}

/// A server whose gate is open for an expectation that stands for "any".
struct AnyVersion(fn(i64) -> bool);

impl VaultRules for AnyVersion {
    fn expectation_holds(&self, expected: i64, current: i64) -> bool {
        expected == current || (self.0)(expected)
    }
}

/// The faults of this area.
pub(super) const FAULTS: &[Fault] = &[
    fault(
        "expectation-truncated",
        &PUSH_GATED,
        "The fraction of an expected version is cut off, so 12.7 is 12.",
        || edge(Bending(None, EXPECTED, truncated)),
    ),
    fault("expectation-rounded", &PUSH_GATED, "An expected version with a fraction is rounded, so 11.5 is 12.", || {
        edge(Bending(None, EXPECTED, rounded))
    }),
    fault(
        "expectation-wraps-at-64-bits",
        &PUSH_GATED,
        "Of an expected version beyond 64 bits the low 64 count.",
        || edge(Bending(None, EXPECTED, wrapped)),
    ),
    fault(
        "expectation-nothing-is-zero",
        &PUSH_GATED,
        "An expected version that is empty, false or no number is 0.",
        || edge(Bending(None, EXPECTED, nothing_is_zero)),
    ),
    fault(
        "expectation-parsed-like-atoi",
        &PUSH_GATED,
        "An expected version may be text, of which the digits at its beginning count.",
        || edge(Bending(None, EXPECTED, leading_digits)),
    ),
    fault("expectation-octal", &PUSH_GATED, "An expected version with a leading zero is octal.", || {
        edge(Bending(None, EXPECTED, octal))
    }),
    fault("expectation-minus-one-is-any", &PUSH_GATED, "An expected version of -1 stands for any.", || {
        vault(AnyVersion(|expected| expected == -1))
    }),
    fault("expectation-negative-is-any", &PUSH_GATED, "A negative expected version stands for any.", || {
        vault(AnyVersion(|expected| expected < 0))
    }),
    fault("expectation-max-is-any", &PUSH_GATED, "The largest expected version stands for any.", || {
        vault(AnyVersion(|expected| expected == i64::MAX))
    }),
    fault("expectation-min-is-any", &PUSH_GATED, "The smallest expected version stands for any.", || {
        vault(AnyVersion(|expected| expected == i64::MIN))
    }),
    fault(
        "expectation-saturates-to-any",
        &PUSH_GATED,
        "An expected version beyond 64 bits becomes the largest, which stands for any.",
        || edge_and_vault(ExpectationSaturatesToAny),
    ),
    fault(
        "expectation-empty-is-any",
        &PUSH_GATED,
        "An expected version that is null, empty or false stands for any.",
        || edge_and_vault(ExpectationEmptyIsAny),
    ),
    fault(
        "expectation-not-a-number-is-any",
        &PUSH_GATED,
        "An expected version that is no number compares like NaN: never different.",
        || edge_and_vault(ExpectationNotANumberIsAny),
    ),
    fault("expectation-by-magnitude", &PUSH_GATED, "The sign of an expected version doesn't count.", || {
        vault(ExpectationByMagnitude)
    }),
    fault(
        "known-version-truncated",
        &PULL_CURRENT,
        "The fraction of a known version is cut off, so 12.7 is 12 and nothing has changed.",
        || edge(Bending(None, KNOWN, truncated)),
    ),
    fault(
        "known-version-wraps-at-64-bits",
        &PULL_CURRENT,
        "Of a known version beyond 64 bits the low 64 count.",
        || edge(Bending(None, KNOWN, wrapped)),
    ),
    fault(
        "known-version-parsed-like-atoi",
        &PULL_CURRENT,
        "A known version may be text, of which the digits at its beginning count.",
        || edge(Bending(None, KNOWN, leading_digits)),
    ),
    fault("versions-truncated-when-stored", &INT64, "The fraction of a counter that is stored is cut off.", || {
        edge(Bending(None, STORED, truncated))
    }),
    fault("versions-rounded-when-stored", &INT64, "A counter with a fraction is rounded when it is stored.", || {
        edge(Bending(None, STORED, rounded))
    }),
    fault("versions-wrap-when-stored", &INT64, "Of a counter beyond 64 bits the low 64 are stored.", || {
        edge(Bending(None, STORED, wrapped))
    }),
    fault("versions-saturate-when-stored", &INT64, "A counter beyond 64 bits is stored as the largest.", || {
        edge(Bending(None, STORED, saturated))
    }),
    fault("created-counters-wrap", &INT64, "Counters beyond 64 bits wrap when a repository is created.", || {
        edge(Bending(Some(Route::CreateRepo), STORED, wrapped))
    }),
    fault("added-epoch-truncated", &INT64, "The fraction of a new member's key epoch is cut off.", || {
        edge(Bending(Some(Route::AddMember), STORED, truncated))
    }),
    fault(
        "new-epoch-truncated-and-kept",
        &EPOCH_RISES,
        "A new epoch with a fraction is cut off after it was compared, so it may be the old one.",
        || edge_and_vault(NewEpochTruncatedAndKept),
    ),
];

struct ExpectationSaturatesToAny;

impl VaultRules for ExpectationSaturatesToAny {
    fn expectation_holds(&self, expected: i64, current: i64) -> bool {
        expected == current || expected == i64::MAX
    }
}

impl Edge for ExpectationSaturatesToAny {
    fn body(&self, _: &Store, _: Route, _: &Parts, body: Bytes) -> Result<Bytes, Refusal> {
        Ok(each_token(&body, EXPECTED, saturated))
    }
}

struct ExpectationEmptyIsAny;

impl VaultRules for ExpectationEmptyIsAny {
    fn expectation_holds(&self, expected: i64, current: i64) -> bool {
        expected == current || expected == i64::MIN + 7
    }
}

impl Edge for ExpectationEmptyIsAny {
    fn body(&self, _: &Store, _: Route, _: &Parts, body: Bytes) -> Result<Bytes, Refusal> {
        Ok(each_token(&body, EXPECTED, |token| empty(token).then(|| (i64::MIN + 7).to_string())))
    }
}

struct ExpectationNotANumberIsAny;

impl VaultRules for ExpectationNotANumberIsAny {
    fn expectation_holds(&self, expected: i64, current: i64) -> bool {
        expected == current || expected == i64::MIN + 7
    }
}

impl Edge for ExpectationNotANumberIsAny {
    fn body(&self, _: &Store, _: Route, _: &Parts, body: Bytes) -> Result<Bytes, Refusal> {
        Ok(each_token(&body, EXPECTED, |token| token.parse::<f64>().is_err().then(|| (i64::MIN + 7).to_string())))
    }
}

struct ExpectationByMagnitude;

impl VaultRules for ExpectationByMagnitude {
    fn expectation_holds(&self, expected: i64, current: i64) -> bool {
        expected.unsigned_abs() == current.unsigned_abs()
    }
}

struct NewEpochTruncatedAndKept;

impl VaultRules for NewEpochTruncatedAndKept {
    fn epoch_advances(&self, _: i64, _: i64) -> bool {
        true
    }

    fn rotated_epoch_holds(&self, _: i64, _: i64) -> bool {
        true
    }
}

impl Edge for NewEpochTruncatedAndKept {
    fn body(&self, _: &Store, route: Route, _: &Parts, body: Bytes) -> Result<Bytes, Refusal> {
        let bent = each_token(&body, NEW_EPOCH, truncated);
        if route == Route::RemoveMember && bent == body {
            // What has no fraction is compared as ever.
            return check_epochs(body);
        }
        Ok(each_token(&bent, STORED, truncated))
    }
}

/// Refuses a removal whose epochs, all of them whole numbers, differ or don't rise: new and rotated epoch must agree.
fn check_epochs(body: Bytes) -> Result<Bytes, Refusal> {
    let request: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
    let (new, rotated) = (&request["newKeyEpoch"], &request["rotatedEnvelope"]["keyEpoch"]);
    if new == rotated && new.as_i64().is_some_and(|epoch| epoch > 0) {
        return Ok(body);
    }
    Err(Refusal::bad_request("the rotated envelope's keyEpoch isn't newKeyEpoch"))
}
