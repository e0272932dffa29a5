//! The vector files: which there are, and how the cases of each become steps.

mod auth;
mod bindings;
mod envelopes;
mod federation;
mod index;
mod negative;
mod primitives;
mod rotation;

use serde_json::Value;

use super::case::{Case, CaseError, Read};
use super::fields::{FieldError, Fields, array, kind, optional_string, string};

pub(super) use federation::{INVITE, LOCATOR};

type Reader = fn(&Fields) -> Result<Case, FieldError>;

/// A file of the format.
pub(super) struct Format {
    /// Its name.
    pub file: &'static str,
    /// Whether other publishers have it too; the others are ours.
    pub common: bool,
    /// Where the cases are, with their reader and the members that it knows.
    pub lists: &'static [List],
}

/// A list of cases.
pub(super) struct List {
    /// The member of the file that holds it.
    pub member: &'static str,
    read: Reader,
    known: &'static [&'static str],
}

/// Members that any case may have and that say nothing to be checked.
const REMARKS: &[&str] = &["name", "source", "reason", "flags", "comment", "note", "description"];

macro_rules! formats {
    ($($file:literal $common:literal { $($member:literal => $read:path, [$($known:literal),* $(,)?]);+ })*) => {
        /// Every file of the format but the index.
        pub(super) static FORMATS: &[Format] = &[$(Format {
            file: $file,
            common: $common,
            lists: &[$(List { member: $member, read: $read, known: &[$($known),*] }),+],
        }),*];
    };
}

formats! {
    "aad.json" true { "cases" => primitives::aad, ["repoId", "payloadVersion", "keyEpoch", "expectedAadHex"] }
    "key-binding-message.json" true {
        "cases" => bindings::message, ["ed25519PublicKey", "x25519PublicKey", "expectedMessageUtf8"]
    }
    "hkdf.json" true {
        "cases" => primitives::hkdf, ["hash", "ikmHex", "saltHex", "infoHex", "length", "prkHex", "okmHex"]
    }
    "x25519.json" true { "cases" => primitives::x25519, ["scalarHex", "uCoordinateHex", "outputHex", "iterations"] }
    "ed25519.json" true {
        "cases" => primitives::ed25519, ["seedHex", "publicKeyHex", "messageHex", "signatureHex"]
    }
    "payload-aead.json" true {
        "cases" => envelopes::payload, ["keyB64", "ivB64", "repoId", "payloadVersion", "keyEpoch", "aadHex",
            "plaintextUtf8", "ciphertextB64", "tamperEpoch"]
    }
    "key-wrap.json" true {
        "cases" => envelopes::key_wrap, ["recipientPrivateKeyB64", "recipientPublicKeyB64", "dataKeyB64",
            "sharedSecretHex", "kekHex", "info", "wrappedKey", "ephemeralPrivateKeyB64"]
    }
    "negative.json" true { "cases" => negative::read, ["*"] }
    "federation.json" true {
        "tokens" => federation::token, ["schema", "direction", "decoded", "canonicalJson", "base64url"];
        "uris" => federation::uri, ["uri", "host", "repoId"]
    }
    "negative-open.json" false { "cases" => negative::read, ["*"] }
    "malformed.json" false { "cases" => negative::read, ["*"] }
    "base64.json" false { "cases" => primitives::base64, ["hex", "base64"] }
    "payload.json" false { "cases" => envelopes::plaintext, ["plaintextUtf8", "payload"] }
    "key-binding-signature.json" false {
        "cases" => bindings::signature, ["issuerSeedHex", "issuerPublicKeyB64", "ed25519PublicKey", "x25519PublicKey",
            "expectedMessageUtf8", "keyBindingSig"]
    }
    "auth-exchange.json" false {
        "cases" => auth::read, ["memberSeedHex", "issuerSeedHex", "issuerPublicKeyB64", "challengeRequest",
            "challengeResponse", "tokenRequest", "tokenResponse", "claims", "mustFail"]
    }
    "rotation.json" false {
        "cases" => rotation::read, ["repoId", "members", "removed", "before", "after", "removeMemberRequest", "mustFail"]
    }
}

/// The name of the file that lists the others.
pub(super) const INDEX: &str = "index.json";

pub(super) use index::read as read_index;

/// What a file holds.
#[derive(Debug, Default)]
pub(super) struct Contents {
    /// Its cases, in order.
    pub cases: Vec<Read>,
    /// Members of the file or of its cases that nothing here reads.
    pub unknown: Vec<String>,
}

impl Format {
    /// The format of a file name.
    pub(super) fn of(file: &str) -> Option<&'static Self> {
        FORMATS.iter().find(|format| format.file == file)
    }

    /// The name without its ending, which names the area of its cases.
    pub(super) fn area(&self) -> &'static str {
        self.file.trim_end_matches(".json")
    }

    /// Reads a whole file.
    ///
    /// # Errors
    /// [`FieldError`] when a list of cases is missing or no list. What is wrong with a single case stands in its place.
    pub(super) fn read(&self, file: &Fields) -> Result<Contents, FieldError> {
        let mut contents = Contents::default();
        for list in self.lists {
            let cases = array(file, list.member)?;
            for (index, value) in cases.iter().enumerate() {
                contents.cases.push(list.case(value, index));
            }
            contents.unknown.extend(list.unknown(cases));
        }
        let known = |name: &str| self.lists.iter().any(|list| list.member == name) || FILE_REMARKS.contains(&name);
        contents.unknown.extend(file.keys().filter(|name| !known(name)).map(|name| format!("the file's `{name}`")));
        Ok(contents)
    }
}

/// Members of a file that say nothing to be checked.
const FILE_REMARKS: &[&str] = &["description", "$schema", "seed", "generator"];

impl List {
    fn case(&self, value: &Value, index: usize) -> Read {
        let unnamed = || format!("{} {}", self.member.trim_end_matches('s'), index + 1);
        let Value::Object(fields) = value else {
            let problem = format!("is {} instead of an object", kind(value));
            return Err(CaseError { case: unnamed(), error: FieldError::new(self.member, problem) });
        };
        let name = match fields.get("name") {
            Some(Value::String(name)) if !name.is_empty() => name.clone(),
            _ => unnamed(),
        };
        let read = || -> Result<Case, FieldError> {
            optional_string(fields, "name")?;
            let mut case = (self.read)(fields)?;
            case.name.clone_from(&name);
            case.reason = string(fields, "reason").unwrap_or_default().to_owned();
            Ok(case)
        };
        read().map_err(|error| CaseError { case: name.clone(), error })
    }

    /// Members that no case should have, with the number of cases that have them.
    fn unknown(&self, cases: &[Value]) -> Vec<String> {
        if self.known == ["*"] {
            return Vec::new();
        }
        let mut names: Vec<(&str, usize)> = Vec::new();
        for name in cases.iter().filter_map(Value::as_object).flat_map(Fields::keys) {
            if self.known.contains(&name.as_str()) || REMARKS.contains(&name.as_str()) {
                continue;
            }
            match names.iter_mut().find(|(known, _)| known == name) {
                Some((_, count)) => *count += 1,
                None => names.push((name, 1)),
            }
        }
        names.into_iter().map(|(name, count)| format!("`{name}` ({count} of {})", self.member)).collect()
    }
}

/// Copies members under other names.
fn renamed(from: &Fields, names: &[(&str, &str)]) -> Result<Fields, FieldError> {
    names
        .iter()
        .map(|(old, new)| match from.get(*old) {
            Some(value) => Ok(((*new).to_owned(), value.clone())),
            None => Err(FieldError::new(old, "is missing")),
        })
        .collect()
}

/// Copies members.
fn picked(from: &Fields, names: &[&str]) -> Result<Fields, FieldError> {
    renamed(from, &names.iter().map(|name| (*name, *name)).collect::<Vec<_>>())
}
