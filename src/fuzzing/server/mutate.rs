//! Changes to a body that was right.

use std::mem::discriminant;

use serde_json::{Map, Value, json};

use super::plan::{Body, Change};
use crate::client::canary_text;
use crate::client::random::Choices;
use crate::codec::base64;

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
}

/// Changes one member of a body.
pub(super) fn change(body: &Value, change: Change, dice: &mut Choices) -> Changed {
    let mut places = Vec::new();
    collect(body, String::new(), &mut places);
    let mut fitting: Vec<_> = places.iter().filter(|place| fits(body.pointer(place), change)).collect();
    // The members of the message itself are few among those of its rosters.
    let own = if matches!(change, Change::Drop | Change::Null) { 4 } else { 2 };
    if dice.below(own) != 0 && fitting.iter().any(|place| place.matches('/').count() == 1) {
        fitting.retain(|place| place.matches('/').count() == 1);
    }
    let place = match fitting.len() {
        0 => String::new(),
        count => fitting[dice.below(count)].clone(),
    };
    let mut changed = body.clone();
    let said = |what: &str| format!("{what} {}", place.trim_start_matches('/'));
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
        Change::Integer(which) => (integer(which), said("an odd number as")),
        Change::Text(which) => (text(old.as_str().unwrap_or_default(), which).into(), said("an odd text as")),
        Change::Respell(which) => (respelled(old.as_str().unwrap_or_default(), which).into(), said("odd base64 as")),
    };
    if let Some(target) = changed.pointer_mut(&place) {
        *target = value;
    }
    done(&changed, what, None)
}

fn done(body: &Value, what: String, canary: Option<String>) -> Changed {
    Changed { bytes: body.to_string().into_bytes(), what, canary }
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
        (None, _) => false,
        (Some(value), Change::Integer(_)) => value.is_i64(),
        (Some(value), Change::Text(_) | Change::Respell(_)) => value.is_string(),
        (Some(value), Change::Unknown) => value.is_object(),
        _ => true,
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

fn integer(which: u8) -> Value {
    let all = [
        json!(-1),
        json!(0),
        json!(1_i64 << 31),
        json!((1_i64 << 53) + 1),
        json!(i64::MAX),
        json!(i64::MIN),
        json!(u64::MAX),
        json!(1e300),
        json!(0.5),
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
    Changed { bytes, what: format!("{name} twice"), canary: None }
}

fn deep(body: &Value, place: &str) -> Changed {
    let name = place.split('/').nth(1).unwrap_or("x");
    let mut members: Map<String, Value> = body.as_object().cloned().unwrap_or_default();
    members.remove(name);
    let text = Value::Object(members).to_string();
    let comma = if text == "{}" { "" } else { "," };
    let nested = format!("{}{}", "[".repeat(DEEP), "]".repeat(DEEP));
    let bytes = format!("{{\"{name}\":{nested}{comma}{}", &text[1..]).into_bytes();
    Changed { bytes, what: format!("deep nesting in {name}"), canary: None }
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
