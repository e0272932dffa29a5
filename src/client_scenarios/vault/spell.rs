//! The same JSON in other spellings.

use std::fmt::Write as _;

use serde_json::Value;

/// Every character of a string as an escape.
pub(super) fn escaped(value: &Value) -> String {
    let mut text = String::new();
    write(value, false, &mut text);
    text
}

/// Members in the other order, one a line.
pub(super) fn reordered(value: &Value) -> String {
    let mut text = String::from("\n");
    write(value, true, &mut text);
    text + "\r\n"
}

fn write(value: &Value, other_order: bool, text: &mut String) {
    match value {
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            if other_order {
                members.reverse();
            }
            text.push_str(if other_order { "{\n  " } else { "{" });
            for (position, (name, member)) in members.into_iter().enumerate() {
                if position > 0 {
                    text.push_str(if other_order { " ,\n\t" } else { "," });
                }
                string(name, other_order, text);
                text.push_str(if other_order { " : " } else { ":" });
                write(member, other_order, text);
            }
            text.push('}');
        }
        Value::Array(items) => {
            text.push('[');
            for (position, item) in items.iter().enumerate() {
                if position > 0 {
                    text.push(',');
                }
                write(item, other_order, text);
            }
            text.push(']');
        }
        Value::String(string_value) => string(string_value, other_order, text),
        other => text.push_str(&other.to_string()),
    }
}

fn string(value: &str, plain: bool, text: &mut String) {
    if plain {
        text.push_str(&Value::from(value).to_string());
        return;
    }
    text.push('"');
    for unit in value.encode_utf16() {
        // Writing to a string can't fail.
        let _ = write!(text, "\\u{unit:04x}");
    }
    text.push('"');
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn other_spellings_mean_the_same() {
        let value = json!({ "a": [1, -2, null, true, "x\"/é\u{1f600}"], "b": { "c": 1.5, "d": [] } });
        assert_eq!(serde_json::from_str::<Value>(&escaped(&value)).unwrap(), value);
        assert_eq!(serde_json::from_str::<Value>(&reordered(&value)).unwrap(), value);
        assert!(!escaped(&value).contains("é") && escaped(&value).contains("\\u0061"));
    }
}
