//! Requests by what may be limited in them: sizes, ids, counters, and who asks.

use serde_json::Value;

use crate::scenarios::call::LazyJson;
use crate::scenarios::recording::Caller;
use crate::scenarios::{Call, Operation};

/// The smallest integer that a double can't tell from its neighbour.
const UNSAFE: u64 = 1 << 53;

/// A request, by what may be limited in it.
pub(super) struct Asked<'a> {
    pub operation: Operation,
    pub call: &'a Call<'a>,
    pub json: &'a LazyJson,
    pub who: String,
}

impl Asked<'_> {
    pub fn json(&self) -> Option<&Value> {
        self.json.get()
    }

    pub fn body<T: serde::de::DeserializeOwned>(&self) -> Option<T> {
        T::deserialize(self.json()?).ok()
    }

    /// The length of a repository id that is no UUID in its usual spelling.
    pub fn odd_id(&self) -> Option<usize> {
        let request = self.json()?;
        let id = request.pointer("/manifest/repoId")?.as_str()?;
        let plain = id.len() == 36
            && id.char_indices().all(|(at, c)| match at {
                8 | 13 | 18 | 23 => c == '-',
                _ => matches!(c, '0'..='9' | 'a'..='f'),
            });
        (!plain).then(|| id.chars().count())
    }

    /// A counter that a server may have no room for, or that isn't the next one.
    pub fn odd_counter(&self) -> Option<u64> {
        self.unsafe_counter().or_else(|| {
            let body = self.json()?;
            let number = |pointer: &str| body.pointer(pointer)?.as_i64();
            let (next, known) = match self.operation {
                Operation::CreateRepo => (number("/manifest/payloadVersion")?, 1),
                Operation::Push => {
                    (number("/envelope/payloadVersion")?, number("/expectedPayloadVersion")?.checked_add(1)?)
                }
                _ => return None,
            };
            (next > known).then_some(next.unsigned_abs())
        })
    }

    /// A counter that a double doesn't hold.
    fn unsafe_counter(&self) -> Option<u64> {
        fn largest(value: &Value) -> u64 {
            match value {
                Value::Number(number) => number.as_i64().map_or(0, i64::unsigned_abs),
                Value::Array(items) => items.iter().map(largest).max().unwrap_or(0),
                Value::Object(members) => members.values().map(largest).max().unwrap_or(0),
                _ => 0,
            }
        }
        self.json().map(largest).filter(|largest| *largest >= UNSAFE - 1)
    }
}

/// Whose request it is: the member by its token, or, at the identity provider, the key that it names.
pub(super) fn who(operation: Operation, json: &LazyJson, caller: &Caller) -> String {
    if operation.is_authentication() {
        let id = json.get().and_then(|body| body.get("ed25519PublicKey")?.as_str());
        return id.unwrap_or_default().to_owned();
    }
    match caller {
        Caller::Member(id) => id.clone(),
        Caller::Nobody | Caller::Unclear => String::new(),
    }
}
