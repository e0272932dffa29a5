//! Requests that the schema doesn't allow, derived from it.

use serde_json::{Value, json};

use crate::wire::Schema;

/// A request with one thing wrong.
#[derive(Debug)]
pub struct Malformed {
    /// What is wrong, in words that complete "a request …".
    pub what: String,
    /// The request.
    pub body: Value,
}

/// Every required member of one object in a request, missing, `null` and of the wrong type in turn.
///
/// `definition` is the schema's name for the object, `pointer` the place of the object in `whole`.
pub fn in_turn(definition: &str, whole: &Value, pointer: &str) -> Vec<Malformed> {
    let definitions = &Schema::document()["$defs"];
    let schema = &definitions[definition];
    let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
    required
        .flat_map(|member| {
            let wrong = wrong_type(definitions, &schema["properties"][member]);
            let place = format!("{}{}", pointer.trim_start_matches('/'), if pointer.is_empty() { "" } else { "/" });
            [("without", None), ("with null as", Some(Value::Null)), ("with the wrong type of", Some(wrong))].map(
                |(how, value)| Malformed {
                    what: format!("{how} {place}{member}"),
                    body: with(whole, pointer, member, value),
                },
            )
        })
        .collect()
}

/// A value of another JSON type than a schema asks for.
fn wrong_type(definitions: &Value, schema: &Value) -> Value {
    if let Some(reference) = schema["$ref"].as_str() {
        return wrong_type(definitions, &definitions[reference.rsplit('/').next().unwrap_or_default()]);
    }
    match schema["type"].as_str() {
        Some("string") => json!(7),
        Some("array") => json!({ "0": "one" }),
        _ => json!("one"),
    }
}

/// A copy of a request with one member of the object at `pointer` replaced, or left out.
fn with(whole: &Value, pointer: &str, member: &str, value: Option<Value>) -> Value {
    let mut body = whole.clone();
    if let Some(object) = body.pointer_mut(pointer).and_then(Value::as_object_mut) {
        match value {
            Some(value) => drop(object.insert(member.to_owned(), value)),
            None => drop(object.remove(member)),
        }
    }
    body
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::{Identity, Repo};
    use crate::wire::MessageKind;

    #[test]
    fn every_one_breaks_the_schema_in_its_own_way() {
        let (alice, bob) = (Identity::generate(), Identity::generate());
        let repo = Repo::new(&alice);
        let removal = json!(repo.remove_request(&bob.id, &repo.rotation(&alice, &[&alice])));
        let mut count = 0;
        for (definition, pointer) in [
            ("MemberRemoveRequest", ""),
            ("EncryptedEnvelope", "/rotatedEnvelope"),
            ("MemberEntry", "/rewrappedMembers/0"),
            ("WrappedKey", "/rewrappedMembers/0/wrappedDataKey"),
        ] {
            for malformed in in_turn(definition, &removal, pointer) {
                let violations = crate::wire::Schema::violations(MessageKind::MemberRemoveRequest, &malformed.body, 9);
                assert!(!violations.is_empty(), "{}", malformed.what);
                count += 1;
            }
        }
        assert_eq!(count, 3 * (5 + 5 + 4 + 4));
    }

    #[test]
    fn they_say_what_is_wrong() {
        let whole = json!({ "repoId": "r", "knownPayloadVersion": 1 });
        let found: Vec<_> = in_turn("PullRequest", &whole, "").into_iter().map(|m| m.what).collect();
        assert_eq!(found[0], "without repoId");
        assert_eq!(found[5], "with the wrong type of knownPayloadVersion");
    }
}
