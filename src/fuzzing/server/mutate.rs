//! Changes to a body that was right.

use std::collections::BTreeSet;
use std::mem::discriminant;

use serde_json::{Map, Value, json};

use super::plan::{Body, Change};
use crate::client::canary_text;
use crate::codec::base64;
use crate::ground::Choices;
use crate::wire::segment;

/// How deep nesting goes in a member.
const DEEP: usize = 3_000;
/// How deep it goes when it is all there is.
const NESTED: usize = 100_000;
/// A body of this size, in bytes, is more than any client sends, and more than many parsers like.
const LARGE: usize = 5 << 20;

/// A body with one member changed.
pub(super) struct Changed {
    /// The body, ready to be sent.
    pub bytes: Vec<u8>,
    /// What was done, in words.
    pub what: String,
    /// A text that may be in no answer from now on.
    pub canary: Option<String>,
    /// Whether it names a member by something that is no key.
    pub names_no_key: bool,
}

/// Changes one member of a body.
pub(super) fn change(body: &Value, change: Change, dice: &mut Choices) -> Changed {
    let mut places = Vec::new();
    collect(body, String::new(), &mut places);
    let mut optional = Vec::new();
    absent(body, String::new(), &mut optional);
    if change == Change::Null && !optional.is_empty() && dice.below(2) == 0 {
        places = optional;
    }
    let mut fitting: Vec<_> = places.iter().filter(|place| fits(body.pointer(place), change)).collect();
    // Level by level, upper ones first: the members of the message itself are few among those of its rosters.
    let level = |place: &&String| place.matches('/').count();
    let levels: BTreeSet<_> = fitting.iter().map(level).collect();
    let highest = (0..3).map(|_| dice.below(levels.len())).min().unwrap_or_default();
    let chosen = levels.iter().nth(highest).copied();
    fitting.retain(|place| Some(level(place)) == chosen);
    let place = match fitting.len() {
        0 => String::new(),
        count => fitting[dice.below(count)].clone(),
    };
    let mut changed = body.clone();
    // Without a place it is the body itself that is changed.
    let named = if place.is_empty() { "the whole body" } else { place.trim_start_matches('/') };
    let said = |what: &str| format!("{what} {named}");
    let old = body.pointer(&place).cloned().unwrap_or_default();
    let (value, what) = match change {
        Change::Drop => {
            remove(&mut changed, &place);
            return done(&changed, said("without"), None);
        }
        Change::Unknown => return unknown(changed, &place, dice),
        Change::Twice => return twice(&changed, &place),
        Change::Deep => return deep(&changed, &place),
        Change::Null => (Value::Null, said("null as")),
        Change::Retype(which) => (retyped(&old, which), said("another type of")),
        Change::Integer(which) => (integer(&old, which), said("an odd number as")),
        Change::Text(which) => (text(old.as_str().unwrap_or_default(), which).into(), said("an odd text as")),
        Change::Respell(which) => (respelled(old.as_str().unwrap_or_default(), which).into(), said("odd base64 as")),
    };
    set(&mut changed, &place, value);
    done(&changed, what, None)
}

fn done(body: &Value, what: String, canary: Option<String>) -> Changed {
    Changed { bytes: body.to_string().into_bytes(), what, canary, names_no_key: names_no_key(body) }
}

/// Pointers to everything in a body.
fn collect(value: &Value, place: String, places: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                collect(member, format!("{place}/{name}"), places);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                collect(item, format!("{place}/{index}"), places);
            }
        }
        _ => {}
    }
    if !place.is_empty() {
        places.push(place);
    }
}

fn fits(value: Option<&Value>, change: Change) -> bool {
    match (value, change) {
        (None, change) => change == Change::Null,
        (Some(value), Change::Integer(_)) => value.is_i64(),
        (Some(value), Change::Text(_) | Change::Respell(_)) => value.is_string(),
        (Some(value), Change::Unknown) => value.is_object(),
        _ => true,
    }
}

/// Pointers to optional members that aren't there, where null says the same.
fn absent(value: &Value, place: String, places: &mut Vec<String>) {
    const OPTIONAL: [(&str, &str); 2] =
        [("expectedPayloadVersion", "rotatedMembers"), ("wrappedDataKey", "keyBindingSig")];
    match value {
        Value::Object(members) => {
            let missing =
                OPTIONAL.iter().filter(|(beside, name)| members.contains_key(*beside) && !members.contains_key(*name));
            places.extend(missing.map(|(_, name)| format!("{place}/{name}")));
            members.iter().for_each(|(name, member)| absent(member, format!("{place}/{name}"), places));
        }
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, item)| absent(item, format!("{place}/{index}"), places));
        }
        _ => {}
    }
}

/// Puts a value where there is one, or where a member may be.
fn set(body: &mut Value, place: &str, value: Value) {
    if let Some(target) = body.pointer_mut(place) {
        *target = value;
    } else if let Some((parent, name)) = place.rsplit_once('/')
        && let Some(Value::Object(members)) = body.pointer_mut(parent)
    {
        members.insert(name.to_owned(), value);
    }
}

fn remove(body: &mut Value, place: &str) {
    let Some((parent, name)) = place.rsplit_once('/') else { return };
    match body.pointer_mut(parent) {
        Some(Value::Object(members)) => drop(members.remove(name)),
        Some(Value::Array(items)) => {
            if let Ok(index) = name.parse::<usize>()
                && index < items.len()
            {
                items.remove(index);
            }
        }
        _ => {}
    }
}

fn retyped(old: &Value, which: u8) -> Value {
    let all =
        [json!(7), json!("7"), json!(true), json!([]), json!({}), json!(1.5), json!([old]), json!(old.to_string())];
    let different: Vec<_> = all.into_iter().filter(|new| discriminant(new) != discriminant(old)).collect();
    different[usize::from(which) % different.len()].clone()
}

fn integer(old: &Value, which: u8) -> Value {
    let old = old.as_f64().unwrap_or_default();
    let all = [
        json!(-1),
        json!(0),
        json!(1_i64 << 31),
        json!((1_i64 << 53) + 1),
        json!(i64::MAX),
        json!(i64::MIN),
        json!(u64::MAX),
        json!(1e300),
        json!(old + 0.5),
        json!("1"),
        json!(9_007_199_254_740_993.0_f64),
    ];
    all[usize::from(which) % all.len()].clone()
}

fn text(old: &str, which: u8) -> String {
    match which % 16 {
        0 => String::new(),
        1 => " ".into(),
        2 => format!("{old} "),
        3 => format!("{old}\0"),
        4 => "\u{1f511}\u{202e}\u{feff}e\u{301}".into(),
        5 => "x".repeat(70_000),
        6 => "../../etc/passwd".into(),
        7 => "' OR '1'='1".into(),
        8 => "%2F%00%C0%AF".into(),
        9 => "\"}],\"x\":{".into(),
        10 => old.to_uppercase(),
        11 => old.chars().rev().collect(),
        12 => "\u{1f}".into(),
        13 => "null".into(),
        14 => "{{7*7}}${7*7}<script>".into(),
        _ => "a".repeat(256),
    }
}

pub(super) fn respelled(old: &str, which: u8) -> String {
    let bytes = base64::decode(old).unwrap_or_default();
    match which % 10 {
        0 => old.trim_end_matches('=').to_owned(),
        1 => old.replace('+', "-").replace('/', "_"),
        2 => format!("{old}\n"),
        3 => format!("{old}===="),
        4 => base64::encode(&[&bytes[..], &[0]].concat()),
        5 => base64::encode(bytes.split_last().map_or(&[][..], |(_, rest)| rest)),
        6 => format!("{old}!"),
        7 => format!(" {old}"),
        8 => stray_bits(old),
        _ => base64::encode(&[]),
    }
}

/// A member id as a lax server might still understand it.
pub(super) fn respelled_id(id: &str, which: u8) -> String {
    match which % 13 {
        10 => segment(id),
        11 => format!("{id} "),
        12 => id.to_lowercase(),
        which => respelled(id, which),
    }
}

/// Whether a body names a member by what is no Ed25519 key, or not by its one spelling.
pub(super) fn names_no_key(body: &Value) -> bool {
    match body {
        Value::Object(members) => members.iter().any(|(name, member)| match member {
            Value::String(id) if name == "ed25519PublicKey" => base64::decode_array::<32>(id).is_err(),
            other => names_no_key(other),
        }),
        Value::Array(items) => items.iter().any(names_no_key),
        _ => false,
    }
}

/// The same bytes with bits set that encode nothing.
fn stray_bits(old: &str) -> String {
    let body = old.trim_end_matches('=');
    let (head, last) = body.split_at_checked(body.len().saturating_sub(1)).unwrap_or((body, ""));
    let next = match last.as_bytes() {
        [byte @ (b'A'..=b'Y' | b'a'..=b'y' | b'0'..=b'8')] => char::from(byte + 1),
        _ => 'B',
    };
    format!("{head}{next}{}", "=".repeat(old.len() - body.len()))
}

/// A member that nobody knows, with the look of a secret.
fn unknown(mut body: Value, place: &str, dice: &mut Choices) -> Changed {
    const NAMES: [&str; 8] =
        ["dataKey", "privateKey", "passphrase", "seed", "plaintext", "accessToken", "__proto__", "note"];
    let canary = canary_text();
    let name = NAMES[dice.below(NAMES.len())];
    let target = if place.is_empty() || dice.below(2) == 0 { Some(&mut body) } else { body.pointer_mut(place) };
    if let Some(Value::Object(members)) = target {
        members.insert(name.into(), canary.as_str().into());
    }
    done(&body, format!("an unknown member {name}"), Some(canary))
}

/// One member written twice, with two values.
fn twice(body: &Value, place: &str) -> Changed {
    let name = place.split('/').nth(1).unwrap_or_default();
    let other = match &body[name] {
        Value::String(_) => json!("twice"),
        Value::Number(_) => json!(1),
        _ => Value::Null,
    };
    let text = body.to_string();
    let bytes = format!("{{\"{name}\":{other},{}", text.strip_prefix('{').unwrap_or_default()).into_bytes();
    Changed { bytes, what: format!("{name} twice"), canary: None, names_no_key: false }
}

fn deep(body: &Value, place: &str) -> Changed {
    let name = place.split('/').nth(1).unwrap_or("x");
    let mut members: Map<String, Value> = body.as_object().cloned().unwrap_or_default();
    members.remove(name);
    let text = Value::Object(members).to_string();
    let comma = if text == "{}" { "" } else { "," };
    let nested = format!("{}{}", "[".repeat(DEEP), "]".repeat(DEEP));
    let bytes = format!("{{\"{name}\":{nested}{comma}{}", &text[1..]).into_bytes();
    Changed { bytes, what: format!("deep nesting in {name}"), canary: None, names_no_key: false }
}

/// A body that isn't what it should be as a whole, and what it is.
pub(super) fn whole(right: &[u8], body: Body) -> (Vec<u8>, &'static str) {
    match body {
        Body::Empty => (Vec::new(), "an empty body"),
        Body::NoJson => (b"{\"repoId\": ".to_vec(), "a body that isn't JSON"),
        Body::Cut => (right[..right.len().saturating_sub(1)].to_vec(), "a truncated body"),
        Body::Array => ([b"[", right, b"]"].concat(), "an array"),
        Body::Text => (b"\"x\"".to_vec(), "a string"),
        Body::Number => (b"7".to_vec(), "a number"),
        Body::Null => (b"null".to_vec(), "null"),
        Body::EmptyObject => (b"{}".to_vec(), "an empty object"),
        Body::NotUtf8 => {
            let mut bytes = right.to_vec();
            if let Some(quote) = bytes.iter().rposition(|byte| *byte == b'"') {
                bytes.splice(quote..quote, [0xff, 0xc0]);
            }
            (bytes, "a body that isn't UTF-8")
        }
        Body::Nested => {
            (format!("{}{}", "[".repeat(NESTED), "]".repeat(NESTED)).into_bytes(), "a hundred thousand nested arrays")
        }
        Body::Trailing => ([right, b" true"].concat(), "something behind the body"),
        Body::Large => ([right, &b" ".repeat(LARGE)[..]].concat(), "five megabytes of blanks behind the body"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draws(body: &Value, change_of: impl Fn(u8) -> Change) -> Vec<Value> {
        let changed = (0..200_u8).map(|seed| change(body, change_of(seed), &mut Choices::new(seed.into(), "test")));
        changed.map(|changed| serde_json::from_slice(&changed.bytes).unwrap()).collect()
    }

    #[test]
    fn optional_members_that_are_absent_become_null_too() {
        let body = json!({ "expectedPayloadVersion": 1, "envelope": { "iv": "" } });
        let nulls = draws(&body, |_| Change::Null);
        assert!(nulls.iter().any(|body| body.get("rotatedMembers") == Some(&Value::Null)));
        assert!(nulls.iter().any(|body| body.pointer("/envelope/iv") == Some(&Value::Null)));
        let texts = draws(&body, Change::Text);
        assert!(texts.iter().all(|body| body.get("rotatedMembers").is_none()));
    }

    #[test]
    fn every_level_is_reached() {
        let body = json!({ "a": "x", "b": { "c": "x", "d": [{ "e": "x" }] } });
        let dropped = draws(&body, |_| Change::Drop);
        for gone in ["/a", "/b", "/b/c", "/b/d", "/b/d/0", "/b/d/0/e"] {
            assert!(dropped.iter().any(|body| body.pointer(gone).is_none()), "{gone}");
        }
    }

    #[test]
    fn keys_are_told_from_other_texts() {
        let id = base64::encode(&[7; 32]);
        let roster = |id: &str| json!({ "member": [{ "ed25519PublicKey": id, "iv": "no key" }] });
        assert!(!names_no_key(&roster(&id)));
        for wrong in ["bob", id.trim_end_matches('='), &base64::encode(&[7; 31]), &stray_bits(&id)] {
            assert!(names_no_key(&roster(wrong)), "{wrong}");
        }
    }
}
