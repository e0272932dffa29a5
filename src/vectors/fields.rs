//! Typed access to the members of a JSON object, with errors that name the member.

use serde_json::{Map, Value};

use crate::ground::hex;

/// The members of a request, an answer or a vector case.
pub type Fields = Map<String, Value>;

/// A member that is missing or isn't what it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{field}` {problem}")]
pub struct FieldError {
    /// Name of the member, with its path (`wrappedKey.iv`).
    pub field: String,
    /// What is wrong with it, as the end of a sentence.
    pub problem: String,
}

impl FieldError {
    pub(crate) fn new(field: &str, problem: impl Into<String>) -> Self {
        Self { field: field.into(), problem: problem.into() }
    }
}

/// A string member.
pub(crate) fn string<'a>(fields: &'a Fields, name: &str) -> Result<&'a str, FieldError> {
    match fields.get(name) {
        Some(Value::String(text)) => Ok(text),
        other => Err(mistyped(name, other, "a string")),
    }
}

/// A string member that may be absent or null.
pub(crate) fn optional_string<'a>(fields: &'a Fields, name: &str) -> Result<Option<&'a str>, FieldError> {
    match fields.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(_) => string(fields, name).map(Some),
    }
}

/// An integer member of the `int64` range.
pub(crate) fn integer(fields: &Fields, name: &str) -> Result<i64, FieldError> {
    match fields.get(name).map(|value| (value, value.as_i64())) {
        Some((_, Some(number))) => Ok(number),
        Some((Value::Number(number), None)) if number.is_u64() => Err(FieldError::new(name, "is beyond int64")),
        Some((value, None)) => Err(mistyped(name, Some(value), "an integer of 64 bits")),
        None => Err(mistyped(name, None, "an integer")),
    }
}

/// An object member.
pub(crate) fn object<'a>(fields: &'a Fields, name: &str) -> Result<&'a Fields, FieldError> {
    match fields.get(name) {
        Some(Value::Object(map)) => Ok(map),
        other => Err(mistyped(name, other, "an object")),
    }
}

/// An array member.
pub(crate) fn array<'a>(fields: &'a Fields, name: &str) -> Result<&'a [Value], FieldError> {
    match fields.get(name) {
        Some(Value::Array(items)) => Ok(items),
        other => Err(mistyped(name, other, "an array")),
    }
}

/// The bytes of a hexadecimal member, in either letter case.
pub(crate) fn hex(fields: &Fields, name: &str) -> Result<Vec<u8>, FieldError> {
    hex::decode(string(fields, name)?).ok_or_else(|| FieldError::new(name, "isn't hexadecimal"))
}

/// [`hex()`] of a fixed size.
pub(crate) fn hex_array<const N: usize>(fields: &Fields, name: &str) -> Result<[u8; N], FieldError> {
    let bytes = hex(fields, name)?;
    let problem = format!("is {} bytes instead of {N}", bytes.len());
    <[u8; N]>::try_from(bytes).map_err(|_| FieldError::new(name, problem))
}

fn mistyped(name: &str, value: Option<&Value>, wanted: &str) -> FieldError {
    match value {
        None => FieldError::new(name, "is missing"),
        Some(value) => FieldError::new(name, format!("is {} instead of {wanted}", kind(value))),
    }
}

/// What a JSON value is, with its article.
pub(crate) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(number) if number.is_i64() || number.is_u64() => "an integer",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// Makes [`Fields`] of `name: value` pairs.
macro_rules! fields {
    ($($name:literal : $value:expr),* $(,)?) => {{
        #[allow(unused_mut)]
        let mut map = $crate::vectors::Fields::new();
        $(map.insert($name.into(), serde_json::Value::from($value));)*
        map
    }};
}
pub(crate) use fields;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_name_the_member() {
        let map = fields! { "a": 1, "b": "zz", "c": 1.5, "d": "00" };
        let text = |error: FieldError| error.to_string();
        assert_eq!(text(string(&map, "a").unwrap_err()), "`a` is an integer instead of a string");
        assert_eq!(text(string(&map, "x").unwrap_err()), "`x` is missing");
        assert_eq!(text(hex(&map, "b").unwrap_err()), "`b` isn't hexadecimal");
        assert_eq!(text(integer(&map, "c").unwrap_err()), "`c` is a number instead of an integer of 64 bits");
        assert_eq!(text(hex_array::<2>(&map, "d").unwrap_err()), "`d` is 1 bytes instead of 2");
        assert_eq!(hex::decode("aF0"), None);
        assert_eq!(hex::decode("aF00"), Some(vec![0xaf, 0]));
        assert_eq!(hex::decode("+f"), None);
    }
}
