//! JSON as tokens and payloads hold it: written compactly, and read only where objects are objects.

use serde::Serialize;
use serde::de::{DeserializeOwned, Error as _};
use serde_json::Value;

/// JSON without blanks of a struct whose members are strings and numbers only.
pub(crate) fn compact<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("strings and numbers always serialize")
}

/// Reads a message whose members all have names. The derived readers also take an array of the members' values for an
/// object, which no other implementation does.
///
/// # Errors
/// A [`serde_json::Error`] with line and column where there is one.
pub(crate) fn read<T: DeserializeOwned + Serialize>(json: &[u8]) -> Result<T, serde_json::Error> {
    let read: T = serde_json::from_slice(json)?;
    if same_kinds(&serde_json::from_slice(json)?, &serde_json::to_value(&read)?) {
        Ok(read)
    } else {
        Err(serde_json::Error::custom("an array stands where an object belongs"))
    }
}

/// Whether objects and arrays stand in the same places.
fn same_kinds(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Object(one), Value::Object(other)) => {
            other.iter().all(|(name, value)| one.get(name).is_none_or(|known| same_kinds(known, value)))
        }
        (Value::Array(one), Value::Array(other)) => one.iter().zip(other).all(|(one, other)| same_kinds(one, other)),
        (one, other) => !one.is_array() && !other.is_array(),
    }
}
