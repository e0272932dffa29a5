//! What a server made of a write in which something is missing or mistyped, once it has accepted it (SPEC §6).
//!
//! No sentence of 0.2 forbids to accept such a write and to keep it as it came: that is input checking. But what is kept must be
//! what was sent, as a whole; the rest of it may not be lost or altered over the part that is wrong, and no counter may fall. At
//! the place itself may stand what came, nothing, or what a decoder makes of it: the zero of the type, or its spelling as text. A text
//! that was never sent, such as the one that stood there before, may not.

use serde_json::Value;

/// A write that lacks something, as states in the shape of a pull's answer (`manifest` and `envelope`).
#[derive(Clone, Copy, Debug)]
pub struct Incomplete<'v> {
    /// What the server held.
    pub before: &'v Value,
    /// What it would hold if nothing were wrong with the write.
    pub asked: &'v Value,
    /// Places in `asked` (JSON pointers) that follow from what is missing or mistyped.
    pub open: &'v [String],
    /// What was sent there, if anything.
    pub sent: Option<&'v Value>,
    /// Whether the write must raise the epoch, as a removal does.
    pub raises_epoch: bool,
    /// Whether it must raise the version, as push and removal do.
    pub raises_version: bool,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Taken {
    /// Nothing: it was acknowledged and ignored.
    Ignored,
    /// What was sent, as far as it was whole.
    AsSent,
    /// Something else; what, in words.
    Otherwise(String),
}

/// Holds what is served now to what was sent.
pub fn taken(write: &Incomplete<'_>, served: &Value) -> Taken {
    if difference(write.before, served, "", None).is_none() {
        return Taken::Ignored;
    }
    if let Some(difference) = difference(write.asked, served, "", Some(write)) {
        return Taken::Otherwise(difference);
    }
    for (counter, rises) in
        [("/manifest/payloadVersion", write.raises_version), ("/manifest/keyEpoch", write.raises_epoch)]
    {
        let number = |state: &Value| state.pointer(counter).and_then(Value::as_i64);
        if let (Some(before), Some(now)) = (number(write.before), number(served))
            && rises
            && now <= before
        {
            return Taken::Otherwise(format!("{counter} is {now}, after {before}"));
        }
    }
    Taken::AsSent
}

/// Whether this may stand where something was missing or mistyped. Counters a server may reckon itself; texts it can't.
fn may_stand(asked: &Value, served: &Value, sent: Option<&Value>) -> bool {
    match (asked, served) {
        (Value::String(_), Value::String(text)) => {
            let decoded = |sent: &Value| sent.is_object() || sent == served || *text == *sent.to_string();
            text.is_empty() || asked == served || sent.is_some_and(decoded)
        }
        (Value::Object(asked), Value::Object(served)) => asked
            .iter()
            .filter_map(|(name, value)| Some((value, served.get(name)?, sent.and_then(|sent| sent.get(name)))))
            .all(|(value, served, sent)| may_stand(value, served, sent)),
        _ => true,
    }
}

/// The first difference, but for what may stand in the open places of a write, for members that nobody asked for, and for the
/// order of rosters.
fn difference(asked: &Value, served: &Value, place: &str, write: Option<&Incomplete<'_>>) -> Option<String> {
    if asked.is_null() && served.is_null() {
        return None;
    }
    if let Some(write) = write.filter(|write| write.open.iter().any(|open| open == place)) {
        let invented = || format!("{place} is {}, which was not sent", shortened(served));
        return (!may_stand(asked, served, write.sent)).then(invented);
    }
    match (asked, served) {
        (Value::Object(asked), Value::Object(served)) => asked.iter().find_map(|(name, value)| {
            difference(value, served.get(name).unwrap_or(&Value::Null), &format!("{place}/{name}"), write)
        }),
        (Value::Array(asked), Value::Array(served)) => roster_difference(asked, served, place, write),
        _ if asked == served => None,
        _ => Some(format!("{place} is {}, not {}", shortened(served), shortened(asked))),
    }
}

/// Entries belong together by member id; the one with an open place is what is left.
fn roster_difference(asked: &[Value], served: &[Value], place: &str, write: Option<&Incomplete<'_>>) -> Option<String> {
    let open = write.map(|write| write.open).unwrap_or_default();
    if asked.len() != served.len() {
        return Some(format!("{place} has {} entries, not {}", served.len(), asked.len()));
    }
    let mut left: Vec<&Value> = served.iter().collect();
    let mut odd = Vec::new();
    for (number, entry) in asked.iter().enumerate() {
        let here = format!("{place}/{number}");
        let below = format!("{here}/");
        if open.iter().any(|open| *open == here || open.starts_with(&below)) {
            odd.push((entry, here));
            continue;
        }
        let Some(at) = left.iter().position(|other| other["ed25519PublicKey"] == entry["ed25519PublicKey"]) else {
            return Some(format!("{here} isn't there"));
        };
        if let Some(difference) = difference(entry, left.swap_remove(at), &here, write) {
            return Some(difference);
        }
    }
    odd.into_iter().zip(left).find_map(|((entry, here), other)| difference(entry, other, &here, write))
}

fn shortened(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() <= 80 { text } else { text.chars().take(60).chain(['…']).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn state(version: i64, iv: &Value, members: &Value) -> Value {
        json!({
            "manifest": { "payloadVersion": version, "keyEpoch": 1, "members": members },
            "envelope": { "payloadVersion": version, "iv": iv },
        })
    }

    #[test]
    fn only_the_open_place_may_differ() {
        let (alice, bob) =
            (json!({ "ed25519PublicKey": "a", "keyEpoch": 1 }), json!({ "ed25519PublicKey": "b", "keyEpoch": 1 }));
        let before = state(1, &json!("old"), &json!([alice]));
        let asked = state(2, &json!("new"), &json!([alice, bob]));
        let judge = |open: &[&str], served: &Value| {
            let open: Vec<_> = open.iter().map(|place| (*place).to_owned()).collect();
            let write = Incomplete {
                before: &before,
                asked: &asked,
                open: &open,
                sent: Some(&json!(7)),
                raises_epoch: false,
                raises_version: true,
            };
            taken(&write, served)
        };
        assert_eq!(judge(&[], &before), Taken::Ignored);
        assert_eq!(judge(&[], &state(2, &json!("new"), &json!([bob, alice]))), Taken::AsSent);
        assert_eq!(judge(&["/envelope/iv"], &state(2, &Value::Null, &json!([alice, bob]))), Taken::AsSent);
        for decoded in ["", "7", "new"] {
            assert_eq!(judge(&["/envelope/iv"], &state(2, &json!(decoded), &json!([alice, bob]))), Taken::AsSent);
        }
        // What stood there before is kept beside what is new.
        assert!(matches!(
            judge(&["/envelope/iv"], &state(2, &json!("old"), &json!([alice, bob]))),
            Taken::Otherwise(_)
        ));
        assert!(matches!(judge(&[], &state(2, &Value::Null, &json!([alice, bob]))), Taken::Otherwise(_)));
        // Half of it: the roster is new, the envelope old.
        assert!(matches!(
            judge(&["/envelope/iv"], &state(1, &json!("old"), &json!([alice, bob]))),
            Taken::Otherwise(_)
        ));
        let nameless = json!([{ "keyEpoch": 1 }, alice]);
        assert_eq!(
            judge(&["/manifest/members/1/ed25519PublicKey"], &state(2, &json!("new"), &nameless)),
            Taken::AsSent
        );
        assert!(matches!(
            judge(&["/manifest/members/1/keyEpoch"], &state(2, &json!("new"), &json!([alice]))),
            Taken::Otherwise(_)
        ));
        let versions = ["/manifest/payloadVersion", "/envelope/payloadVersion"];
        assert!(matches!(judge(&versions, &state(0, &json!("new"), &json!([alice, bob]))), Taken::Otherwise(_)));
        assert_eq!(judge(&versions, &state(9, &json!("new"), &json!([alice, bob]))), Taken::AsSent);
    }
}
