//! What is done to requests that were right, and what may come of it.

use http::Method;
use http::header::{CONTENT_TYPE, HeaderValue};
use serde_json::Value;

use super::case_state::CaseState;
use super::credential::Credentials;
use super::mutate;
use super::plan::{Body, Change, Mutation, Wire};
use super::request::{Judged, Message, Prepared, action_of};
use crate::client::RawRequest;
use crate::ground::Choices;
use crate::model::Invocation;
use crate::requirements::{self as rule, Revision};
use crate::wire::Operation;
use crate::wire::{MessageKind, Schema};

impl CaseState {
    /// Does something to a request that was right.
    pub(super) fn mutation(
        &mut self,
        prepared: &mut Prepared,
        message: &Message,
        mutation: &Mutation,
        credentials: &Credentials,
        dice: &mut Choices,
    ) {
        let repo = prepared.repo;
        let what = match (mutation, &message.body) {
            (Mutation::OtherPath, Some(_)) if message.operation != Operation::CreateRepo => {
                let other = (repo + 1) % self.slots.len();
                prepared.request.path = message.operation.path(&self.slots[other].id, "");
                (prepared.judged, prepared.repo) = (Judged::Crossed { body: repo }, other);
                "the path names another repository".to_owned()
            }
            (Mutation::Member(change), Some(_)) => {
                let changed = mutate::change(&message.value(), *change, dice);
                self.canaries.extend(changed.canary);
                prepared.judged = self.judged_changed(message, repo, *change, &changed.bytes, credentials);
                if matches!(prepared.judged, Judged::Model { .. }) && changed.names_no_key {
                    prepared.rule = prepared.rule.or(Some(match message.operation {
                        Operation::Push => &rule::PUSH_CONSISTENT,
                        _ => &rule::IDENTITY_CANONICAL,
                    }));
                }
                prepared.request.body = Some(changed.bytes.into());
                changed.what
            }
            (Mutation::Body(body), Some(right)) => {
                let (bytes, what) = mutate::whole(right, *body);
                let same = serde_json::from_slice::<Value>(&bytes).is_ok_and(|value| value == message.value());
                // From 0.3 on there is one answer to a body that is too long.
                let limited = *body == Body::Large && self.revision >= Revision::V0_3;
                if same && limited {
                    prepared.rule = prepared.rule.or(Some(&rule::LIMITS));
                }
                let malformed = Judged::Malformed { harmless: false };
                prepared.judged = if same { self.judged(&message.action, credentials, !limited) } else { malformed };
                prepared.request.body = Some(bytes.into());
                what.to_owned()
            }
            (Mutation::Spelled(which), None) => {
                let member = mutate::respelled_id(self.id(message.member), *which);
                prepared.request.path = message.operation.path(&self.slots[repo].id, &member);
                prepared.rule = prepared.rule.or(Some(&rule::FETCH_EXACT));
                let action = self.symbols.fetch(&member);
                prepared.judged = self.judged(&action, credentials, false);
                "the member id in another spelling".to_owned()
            }
            (Mutation::Route(which), _) => {
                prepared.judged = Judged::Malformed { harmless: false };
                misroute(&mut prepared.request, *which)
            }
            (Mutation::Wire(wire), _) => {
                prepared.wire = Some(*wire);
                let lenient = matches!(wire, Wire::ContentType(_) | Wire::Chunked | Wire::AfterRefusal);
                prepared.judged = self.judged(&message.action, credentials, lenient);
                rewired(&mut prepared.request, *wire)
            }
            _ => {
                prepared.judged = self.judged(&message.action, credentials, false);
                String::new()
            }
        };
        let both = [std::mem::take(&mut prepared.mutation), what];
        prepared.mutation = both.into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join(", ");
    }

    /// What may come of a body with one member changed.
    fn judged_changed(
        &mut self,
        message: &Message,
        repo: usize,
        change: Change,
        bytes: &[u8],
        credentials: &Credentials,
    ) -> Judged {
        let harmless = matches!(change, Change::Unknown | Change::Twice | Change::Deep);
        let value = serde_json::from_slice::<Value>(bytes).unwrap_or_default();
        let kind = message.operation.request_kind();
        // A counter as a text of digits is what the JSON of Protocol Buffers has.
        let harmless = harmless || kind.is_some_and(|kind| reads_as_numbers(kind, &value));
        if harmless || kind.is_none_or(|kind| !Schema::violations(kind, &value, 1).is_empty()) {
            return Judged::Malformed { harmless };
        }
        if credentials.either {
            return Judged::Answered;
        }
        let caller = credentials.caller.map(|who| self.symbol(who));
        let Some((action, repo_id)) = action_of(&mut self.symbols, message.operation, value) else {
            // An integer that is written as a fraction, say.
            return Judged::Malformed { harmless: true };
        };
        if repo_id != self.slots[repo].id {
            return Judged::Answered;
        }
        Judged::Model {
            invocation: Invocation { caller, action },
            lenient: !matches!(change, Change::Integer(_) | Change::Drop | Change::Null),
        }
    }
}

/// Whether nothing breaks the schema but counters that are written as texts of digits.
fn reads_as_numbers(kind: MessageKind, body: &Value) -> bool {
    fn numbers(value: &mut Value) -> bool {
        match value {
            Value::String(text) => match text.parse::<i64>() {
                Ok(number) => {
                    *value = number.into();
                    true
                }
                Err(_) => false,
            },
            Value::Array(items) => items.iter_mut().fold(false, |any, item| numbers(item) | any),
            Value::Object(members) => members.values_mut().fold(false, |any, member| numbers(member) | any),
            _ => false,
        }
    }
    let mut read = body.clone();
    numbers(&mut read) && Schema::violations(kind, &read, 1).is_empty()
}

/// Another method, or a route that doesn't exist; says which.
fn misroute(request: &mut RawRequest, which: u8) -> String {
    match which % 6 {
        0 => request.method = Method::DELETE,
        1 => request.method = Method::PATCH,
        2 => request.method = if request.method == Method::GET { Method::POST } else { Method::GET },
        3 => request.path.push_str("/more"),
        4 => request.path = format!("/v2{}", request.path),
        _ => request.path.push_str("%zz"),
    }
    if request.method == Method::GET {
        request.body = None;
    }
    match which % 6 {
        0..=2 => format!("the method {}", request.method),
        _ => "a route that doesn't exist".into(),
    }
}

fn rewired(request: &mut RawRequest, wire: Wire) -> String {
    let Wire::ContentType(which) = wire else { return format!("{wire:?}").to_lowercase() };
    let types =
        ["text/plain", "application/octet-stream", "application/json; charset=utf-16", "x", "multipart/form-data"];
    request.headers.retain(|(name, _)| name != CONTENT_TYPE);
    let content_type = types.get(usize::from(which) % (types.len() + 1));
    if let Some(value) = content_type {
        request.headers.push((CONTENT_TYPE, HeaderValue::from_static(value)));
    }
    content_type.map_or("no Content-Type".into(), |value| format!("Content-Type: {value}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn digits_are_read_as_numbers_and_nothing_else_is() {
        let pull = |version: Value| json!({ "repoId": "r", "knownPayloadVersion": version });
        let reads = |version| reads_as_numbers(MessageKind::PullRequest, &pull(version));
        assert!(reads(json!("7")) && reads(json!("-1")));
        for other in [json!("x"), json!("1.5"), json!(null), json!(0.5), json!(["7"])] {
            assert!(!reads(other.clone()), "{other}");
        }
    }
}
