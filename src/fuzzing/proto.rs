//! The messages in protobuf against their reading in JSON.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::wire::proto::Method;
use crate::wire::{self};

/// A message of the call that the first byte says, a request if the second is `q`: as protobuf, or as JSON. What both can say, they
/// say alike.
pub fn proto(data: &[u8]) {
    let Some(([letter, side], message)) = data.split_first_chunk::<2>() else { return };
    let method = Method::ALL[usize::from(letter.wrapping_sub(b'A')) % Method::ALL.len()];
    let is_request = *side == b'q';
    if let Ok(json) = to_json(method, is_request, message) {
        // Read once, it can be said again in either way, and stays what it was.
        let again = to_proto(method, is_request, &json).expect("what was read as a message can be written as one");
        assert_eq!(to_json(method, is_request, &again).ok(), Some(json.clone()), "{method:?}");
        let whole = !has_absent_message(method, is_request, &json);
        assert_eq!(strictly(method, is_request, &json).is_some(), whole, "{method:?}");
    }
    let said = to_proto(method, is_request, message).ok().map(|bytes| {
        let json = to_json(method, is_request, &bytes).expect("what was written as a message can be read as one");
        serde_json::from_slice::<Value>(&json).expect("it is JSON")
    });
    if let (Some(strict), Some(said)) = (strictly(method, is_request, message), said) {
        assert_eq!(strict, said, "{method:?}");
    }
}

/// The letter that says which call an input is of.
#[cfg(feature = "program")]
pub(super) fn letter_of(method: Method) -> u8 {
    let place = Method::ALL.iter().position(|each| *each == method).unwrap_or_default();
    b'A' + u8::try_from(place).unwrap_or_default()
}

fn to_json(method: Method, is_request: bool, bytes: &[u8]) -> Result<Vec<u8>, wire::proto::ProtoError> {
    if is_request { method.request_to_json(bytes) } else { method.answer_to_json(bytes) }
}

fn to_proto(method: Method, is_request: bool, json: &[u8]) -> Result<Vec<u8>, wire::proto::ProtoError> {
    if is_request { method.request_to_proto(json) } else { method.answer_to_proto(json) }
}

/// The strict reading of the HTTP/JSON profile, written again.
fn strictly(method: Method, is_request: bool, text: &[u8]) -> Option<Value> {
    match (method, is_request) {
        (Method::CreateRepo, true) => reads::<wire::CreateRepoRequest>(text),
        (Method::Pull, true) => reads::<wire::PullRequest>(text),
        (Method::Push, true) => reads::<wire::PushRequest>(text),
        (Method::AddMember, true) => reads::<wire::MemberAddRequest>(text),
        (Method::RemoveMember, true) => reads::<wire::MemberRemoveRequest>(text),
        // HTTP has it in the path.
        (Method::FetchMemberKey, true) => serde_json::from_slice(text).ok(),
        (Method::Challenge, true) => reads::<wire::ChallengeRequest>(text),
        (Method::Token, true) => reads::<wire::TokenRequest>(text),
        (Method::CreateRepo | Method::AddMember | Method::RemoveMember, false) => reads::<wire::VaultManifest>(text),
        (Method::Pull, false) => reads::<wire::PullResponse>(text),
        (Method::Push, false) => reads::<wire::PushResponse>(text),
        (Method::FetchMemberKey, false) => reads::<wire::MemberEntry>(text),
        (Method::Challenge, false) => reads::<wire::ChallengeResponse>(text),
        (Method::Token, false) => reads::<wire::TokenResponse>(text),
    }
}

fn reads<T: DeserializeOwned + Serialize>(text: &[u8]) -> Option<Value> {
    let mut value = serde_json::to_value(serde_json::from_slice::<T>(text).ok()?).ok()?;
    settle(&mut value);
    Some(value)
}

/// JSON can say that a flag is false by leaving it out or not; protobuf can't tell the two.
fn settle(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.retain(|name, value| name != "shareRefreshTokens" || *value != json!(false));
            members.values_mut().for_each(settle);
        }
        Value::Array(items) => items.iter_mut().for_each(settle),
        _ => {}
    }
}

/// Whether a message is absent that JSON has to have.
fn has_absent_message(method: Method, is_request: bool, json: &[u8]) -> bool {
    let value: Value = serde_json::from_slice(json).unwrap_or_default();
    let needed: &[&str] = match (method, is_request) {
        (Method::CreateRepo, true) => &["manifest", "initialEnvelope"],
        (Method::Push, true) => &["envelope"],
        (Method::AddMember, true) => &["member"],
        (Method::RemoveMember, true) => &["rotatedEnvelope"],
        (Method::Pull, false) => &["manifest"],
        _ => &[],
    };
    needed.iter().any(|name| value.get(name).is_none()) || has_bare_entry(&value)
}

/// Whether there is a member without a wrapped key.
fn has_bare_entry(value: &Value) -> bool {
    match value {
        Value::Object(members) => {
            (members.contains_key("x25519PublicKey") && !members.contains_key("wrappedDataKey"))
                || members.values().any(has_bare_entry)
        }
        Value::Array(items) => items.iter().any(has_bare_entry),
        _ => false,
    }
}
