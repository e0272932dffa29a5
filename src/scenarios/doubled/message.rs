//! Messages in which a member stands twice.

use bytes::Bytes;
use serde_json::{Map, Value};

/// The same name as another parser might read it, as it is written in JSON.
fn spellings(name: &str, thorough: bool) -> Vec<String> {
    let capital = format!("{}{}", name[..1].to_uppercase(), &name[1..]);
    let mut all = vec![name.to_owned(), capital];
    if thorough {
        let snake = name.chars().fold(String::new(), |mut text, c| {
            if c.is_ascii_uppercase() {
                text.push('_');
            }
            text.push(c.to_ascii_lowercase());
            text
        });
        let escaped = format!("\\u{:04x}{}", u32::from(name.as_bytes()[0]), &name[1..]);
        all.extend([
            name.to_uppercase(),
            name.to_lowercase(),
            snake,
            escaped,
            format!("{name}\\u0000"),
            format!("{name} "),
        ]);
        // Two letters that Unicode folds to ASCII.
        all.extend(name.contains('k').then(|| name.replacen('k', "\u{212a}", 1)));
        all.extend(name.contains('s').then(|| name.replacen('s', "\u{17f}", 1)));
    }
    all.dedup();
    all
}

/// A message with another value of one member beside the right one, before or after it.
pub struct Doubled<'v> {
    /// The message.
    pub message: &'v Value,
    /// The object that has the member.
    pub pointer: &'static str,
    /// The member.
    pub name: &'static str,
    /// Its other value.
    pub other: Value,
}

impl Doubled<'_> {
    /// Every way to write it, with what to call it.
    pub fn texts(&self, thorough: bool) -> Vec<(String, Bytes)> {
        let mut texts = Vec::new();
        for spelling in spellings(self.name, thorough) {
            for first in [true, false] {
                let place = if first { "first" } else { "last" };
                let at = format!("{}/{}", self.pointer, self.name);
                texts.push((format!("{at} twice, the other as {spelling:?} {place}"), self.text(&spelling, first)));
            }
        }
        texts
    }

    fn text(&self, spelling: &str, first: bool) -> Bytes {
        let mut message = self.message.clone();
        // The mark sorts before or after every name, and stands there too where order is kept.
        let mark = if first { "!mark" } else { "~mark" };
        if let Some(object) = message.pointer_mut(self.pointer).and_then(Value::as_object_mut) {
            let mut members = Map::new();
            let rest = std::mem::take(object);
            if first {
                members.insert(mark.into(), self.other.clone());
            }
            members.extend(rest);
            if !first {
                members.insert(mark.into(), self.other.clone());
            }
            *object = members;
        }
        message.to_string().replacen(&format!("\"{mark}\":"), &format!("\"{spelling}\":"), 1).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_other_value_stands_first_or_last() {
        let message = json!({ "repoId": "a", "b": { "c": 1 } });
        let doubled = Doubled { message: &message, pointer: "", name: "repoId", other: json!("x") };
        let text = |first| String::from_utf8(doubled.text("RepoId", first).to_vec()).unwrap();
        assert!(text(true).starts_with(r#"{"RepoId":"x","#), "{}", text(true));
        assert!(text(false).ends_with(r#","RepoId":"x"}"#), "{}", text(false));
        let inside = Doubled { message: &message, pointer: "/b", name: "c", other: json!(2) };
        let text = String::from_utf8(inside.text("c", false).to_vec()).unwrap();
        assert!(text.contains(r#"{"c":1,"c":2}"#), "{text}");
    }

    #[test]
    fn names_are_spelled_as_other_parsers_know_them() {
        assert_eq!(spellings("repoId", false), ["repoId", "RepoId"]);
        let all = spellings("keyEpoch", true);
        for wanted in ["KEYEPOCH", "key_epoch", "\\u006beyEpoch", "\u{212a}eyEpoch"] {
            assert!(all.iter().any(|spelling| spelling == wanted), "{wanted}: {all:?}");
        }
    }
}
