//! Key bindings that a server adds by itself, being an identity provider as well (SPEC §9). They say nothing of what was stored.

use bytes::Bytes;
use serde_json::Value;

use super::World;
use crate::codec::{base64, key_binding};

/// Leaves out the key bindings that the server has signed itself: this suite sends none that verify. One that is the server's own and
/// doesn't verify stays, and is another text than what was sent.
pub(super) fn without_own_bindings(value: &mut Value, keys: &[[u8; 32]]) {
    match value {
        Value::Object(members) => {
            let text = |name| members.get(name).and_then(Value::as_str);
            let own = text("keyBindingSig").and_then(|text| base64::decode(text).ok()).is_some_and(|signature| {
                let names = text("ed25519PublicKey").zip(text("x25519PublicKey"));
                names
                    .is_some_and(|(id, key)| keys.iter().any(|by| key_binding::verify(by, id, key, &signature).is_ok()))
            });
            if own {
                members.remove("keyBindingSig");
            }
            members.values_mut().for_each(|value| without_own_bindings(value, keys));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| without_own_bindings(item, keys)),
        _ => {}
    }
}

impl World {
    /// The body of an answer as it says what is stored: without the server's own bindings. One that isn't JSON stays as it is.
    pub(crate) fn as_stored(&self, body: &Bytes) -> Bytes {
        let Some(keys) = self.manners.binds_by.get() else { return body.clone() };
        let Ok(mut value) = serde_json::from_slice(body) else { return body.clone() };
        without_own_bindings(&mut value, keys);
        value.to_string().into()
    }
}
