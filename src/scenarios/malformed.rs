//! Requests that the schema doesn't allow, derived from it.

use serde_json::{Value, json};

use crate::wire::{MessageKind, Schema};

/// A request with one thing wrong.
#[derive(Debug)]
pub struct Malformed {
    /// What is wrong, in words that complete "a request …".
    pub what: String,
    /// Where, as a JSON pointer.
    pub place: String,
    /// The request.
    pub body: Value,
}

/// Every required member of one object in a request, missing, `null` and of two wrong types in turn, since what takes one of them apart may stumble
/// over the other; of an entry, the binding signature as well, which may be missing or null.
///
/// `definition` is the schema's name for the object, `pointer` the place of the object in `whole`.
pub fn in_turn(definition: &str, whole: &Value, pointer: &str) -> Vec<Malformed> {
    let definitions = &Schema::document()["$defs"];
    let schema = &definitions[definition];
    let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let binding = (definition == "MemberEntry").then(|| Malformed {
        what: format!("with an object as {}keyBindingSig", place(pointer)),
        place: format!("{pointer}/keyBindingSig"),
        body: with(whole, pointer, "keyBindingSig", Some(json!({ "signature": 7 }))),
    });
    required
        .flat_map(|member| {
            let wrong = wrong_types(definitions, &schema["properties"][member]);
            let place = place(pointer);
            let ways = [("without", None), ("with null as", Some(Value::Null))];
            ways.into_iter().chain(wrong.map(|(how, value)| (how, Some(value)))).map(move |(how, value)| Malformed {
                what: format!("{how} {place}{member}"),
                place: format!("{pointer}/{member}"),
                body: with(whole, pointer, member, value),
            })
        })
        .chain(binding)
        .collect()
}

/// The same for every object in a message, however deep, as far as `whole` has them; and counters that aren't int64.
pub fn everywhere(kind: MessageKind, whole: &Value) -> Vec<Malformed> {
    let mut objects = Vec::new();
    find_objects(kind.name(), whole, String::new(), &mut objects);
    objects
        .iter()
        .flat_map(|(definition, pointer)| {
            in_turn(definition, whole, pointer).into_iter().chain(out_of_range(definition, whole, pointer))
        })
        .collect()
}

/// Names and places of the objects that make up a message; of an array, the first.
fn find_objects<'a>(definition: &'a str, whole: &Value, pointer: String, found: &mut Vec<(&'a str, String)>) {
    let properties = &Schema::document()["$defs"][definition]["properties"];
    found.push((definition, pointer.clone()));
    for (member, schema) in properties.as_object().into_iter().flatten() {
        let options = schema["anyOf"].as_array().map_or(std::slice::from_ref(schema), Vec::as_slice);
        for schema in options {
            let (place, schema) = match schema["items"].is_object() {
                true => (format!("{pointer}/{member}/0"), &schema["items"]),
                false => (format!("{pointer}/{member}"), schema),
            };
            if let Some(definition) = referred(schema)
                && whole.pointer(&place).is_some_and(Value::is_object)
            {
                find_objects(definition, whole, place, found);
            }
        }
    }
}

/// Counters of one object with a fraction, and one past the end of int64.
fn out_of_range(definition: &str, whole: &Value, pointer: &str) -> Vec<Malformed> {
    let properties = Schema::document()["$defs"][definition]["properties"].as_object();
    let counters = properties.into_iter().flatten().filter(|(_, schema)| referred(schema) == Some("int64"));
    let place = place(pointer);
    let wrong = [json!(1.5), json!(9_223_372_036_854_775_808_u64)];
    counters
        .flat_map(|(member, _)| {
            wrong.each_ref().map(|value| Malformed {
                what: format!("with {value} as {place}{member}"),
                place: format!("{pointer}/{member}"),
                body: with(whole, pointer, member, Some(value.clone())),
            })
        })
        .collect()
}

/// The definition that a schema refers to.
fn referred(schema: &'static Value) -> Option<&'static str> {
    schema["$ref"].as_str()?.rsplit('/').next()
}

/// A JSON pointer to an object, as the beginning of the name of its member.
fn place(pointer: &str) -> String {
    let path = pointer.trim_start_matches('/');
    if path.is_empty() { String::new() } else { format!("{path}/") }
}

/// Two values of other JSON types than a schema asks for.
fn wrong_types(definitions: &Value, schema: &Value) -> [(&'static str, Value); 2] {
    if let Some(reference) = schema["$ref"].as_str() {
        return wrong_types(definitions, &definitions[reference.rsplit('/').next().unwrap_or_default()]);
    }
    let (number, text) = (("with a number as", json!(7)), ("with text as", json!("one")));
    let (object, array) = (("with an object as", json!({ "0": "one" })), ("with an array as", json!(["one"])));
    match schema["type"].as_str() {
        Some("string") => [number, object],
        Some("array") => [object, text],
        _ => [text, array],
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
        assert_eq!(count, 4 * (5 + 5 + 4 + 4) + 1);
    }

    #[test]
    fn a_message_is_taken_apart_to_its_leaves() {
        let alice = Identity::generate();
        let create = json!(Repo::new(&alice).create_request());
        let found = everywhere(MessageKind::CreateRepoRequest, &create);
        for malformed in &found {
            let violations = Schema::violations(MessageKind::CreateRepoRequest, &malformed.body, 9);
            assert!(!violations.is_empty(), "{}", malformed.what);
        }
        let named: Vec<_> = found.iter().map(|malformed| malformed.what.as_str()).collect();
        for expected in [
            "without manifest",
            "with null as manifest/members/0/wrappedDataKey/iv",
            "with 1.5 as initialEnvelope/payloadVersion",
        ] {
            assert!(named.contains(&expected), "{expected}: {named:?}");
        }
        // 2 + 5 + 5 + 4 + 4 required members, 2 + 2 + 1 counters, and a binding.
        assert_eq!(found.len(), 4 * 20 + 2 * 5 + 1);
    }

    #[test]
    fn they_say_what_is_wrong() {
        let whole = json!({ "repoId": "r", "knownPayloadVersion": 1 });
        let found: Vec<_> = in_turn("PullRequest", &whole, "").into_iter().map(|m| m.what).collect();
        assert_eq!(found[0], "without repoId");
        assert_eq!(found[6..], ["with text as knownPayloadVersion", "with an array as knownPayloadVersion"]);
    }
}
