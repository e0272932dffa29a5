//! The layout of the files: two blanks of indentation, members in the order in which one reads them.

use std::fmt::Write as _;

use serde_json::Value;

/// Members in reading order; those not named here follow by name.
const ORDER: &[&str] = &[
    "description",
    "schemeId",
    "kinds",
    "deterministic",
    "rfc-primitive",
    "composition",
    "vectors",
    "id",
    "file",
    "kind",
    "name",
    "source",
    "reason",
    "flags",
    "op",
    "mutation",
    "expect",
    "warn",
    "schema",
    "direction",
    "v",
    "hash",
    "ikmHex",
    "saltHex",
    "infoHex",
    "length",
    "prkHex",
    "okmHex",
    "scalarHex",
    "uCoordinateHex",
    "outputHex",
    "seedHex",
    "publicKeyHex",
    "messageHex",
    "signatureHex",
    "memberSeedHex",
    "issuerSeedHex",
    "issuerPublicKeyB64",
    "challengeRequest",
    "challengeResponse",
    "tokenRequest",
    "tokenResponse",
    "claims",
    "sub",
    "keyB64",
    "ivB64",
    "repoId",
    "payloadVersion",
    "keyEpoch",
    "expectedAadHex",
    "aadHex",
    "plaintextUtf8",
    "recipientPrivateKeyB64",
    "recipientPublicKeyB64",
    "ephemeralPrivateKeyB64",
    "ephemeralPublicKeyB64",
    "dataKeyB64",
    "sharedSecretHex",
    "kekHex",
    "info",
    "wrappedKey",
    "ciphertextB64",
    "tamperEpoch",
    "host",
    "ed25519PublicKey",
    "x25519PublicKey",
    "x25519PrivateKeyB64",
    "expectedMessageUtf8",
    "keyBindingSig",
    "ephemeralPublicKey",
    "iv",
    "ciphertext",
    "removedMemberId",
    "rotatedEnvelope",
    "rewrappedMembers",
    "newKeyEpoch",
    "members",
    "removed",
    "before",
    "after",
    "envelope",
    "removeMemberRequest",
    "mustFail",
    "cases",
    "tokens",
    "uris",
    "hex",
    "base64",
    "accepted",
];

/// The text of a file, with a line break at its end.
pub(super) fn render(value: &Value) -> String {
    let mut out = String::new();
    write(&mut out, value, 0);
    out.push('\n');
    out
}

fn write(out: &mut String, value: &Value, depth: usize) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            let mut members: Vec<_> = map.iter().collect();
            let place = |name: &str| ORDER.iter().position(|known| *known == name).unwrap_or(ORDER.len());
            members.sort_by_key(|(name, _)| place(name));
            list(out, depth, ('{', '}'), members, |out, (name, value), depth| {
                let _ = write!(out, "{}: ", Value::from(name.as_str()));
                write(out, value, depth);
            });
        }
        Value::Array(items) if items.iter().any(|item| item.is_object()) => {
            list(out, depth, ('[', ']'), items.iter().collect(), write);
        }
        plain => {
            let _ = write!(out, "{plain}");
        }
    }
}

fn list<T>(
    out: &mut String,
    depth: usize,
    (open, close): (char, char),
    items: Vec<T>,
    each: impl Fn(&mut String, T, usize),
) {
    out.push(open);
    let last = items.len().saturating_sub(1);
    for (index, item) in items.into_iter().enumerate() {
        out.push('\n');
        out.extend(std::iter::repeat_n(' ', 2 * depth + 2));
        each(out, item, depth + 1);
        if index != last {
            out.push(',');
        }
    }
    out.push('\n');
    out.extend(std::iter::repeat_n(' ', 2 * depth));
    out.push(close);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_json_in_reading_order() {
        let value: Value =
            serde_json::from_str(r#"{"cases":[{"keyEpoch":1,"name":"n","flags":["a","b"]}],"description":"d"}"#)
                .unwrap();
        let text = render(&value);
        assert_eq!(
            text,
            "{\n  \"description\": \"d\",\n  \"cases\": [\n    {\n      \"name\": \"n\",\n      \"flags\": [\"a\",\"b\"],\n      \"keyEpoch\": 1\n    }\n  ]\n}\n"
        );
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
    }
}
