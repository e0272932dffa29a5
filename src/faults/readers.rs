//! Two readers of one message, who disagree on members that are there twice.

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// JSON in which members may be there more than once.
enum Json {
    Object(Vec<(String, Json)>),
    Array(Vec<Json>),
    Other(Value),
}

impl Json {
    /// The message as somebody reads it who takes the first, or the last, of members whose names fold to one.
    fn read(&self, first: bool, fold: fn(&str) -> String) -> Value {
        match self {
            Self::Object(members) => {
                let mut object = Map::new();
                for (name, member) in members {
                    let name = fold(name);
                    if !(first && object.contains_key(&name)) {
                        object.insert(name, member.read(first, fold));
                    }
                }
                Value::Object(object)
            }
            Self::Array(items) => Value::Array(items.iter().map(|item| item.read(first, fold)).collect()),
            Self::Other(value) => value.clone(),
        }
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Json;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(Json::Object(members))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Json, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Json::Array(items))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Other(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Other(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Other(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Json, E> {
        Ok(Json::Other(value.into()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Json, E> {
        Ok(Json::Other(value.into()))
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Other(Value::Null))
    }
}

/// The two readers of a server: one checks, the other carries out.
#[derive(Clone, Copy)]
pub struct Readers {
    /// Whether the one that checks takes the first, and the other the last, rather than the reverse.
    checks_first: bool,
    /// Which names are one.
    fold: fn(&str) -> String,
}

impl Readers {
    /// What is checked and what is carried out, where they differ.
    pub fn differ(self, body: &[u8]) -> Option<(Value, Value)> {
        let json: Json = serde_json::from_slice(body).ok()?;
        let checked = json.read(self.checks_first, self.fold);
        let done = json.read(!self.checks_first, self.fold);
        (checked != done).then_some((checked, done))
    }
}

/// One reader takes the first of two members, the other the last.
pub const FIRST: Readers = Readers { checks_first: true, fold: str::to_owned };
pub const LAST: Readers = Readers { checks_first: false, fold: str::to_owned };
pub const LAST_FOLDED: Readers = Readers { checks_first: false, fold: camel };
pub const FIRST_FOLDED: Readers = Readers { checks_first: true, fold: camel };

/// The first letter in lower case, as Go and C# match the names of members.
fn camel(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map(|first| first.to_ascii_lowercase().to_string() + letters.as_str()).unwrap_or_default()
}
