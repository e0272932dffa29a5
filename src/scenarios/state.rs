//! Holding what the server serves to what it should hold.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{Answer, Ctx, Member, Outcome, Stop};
use crate::client::{Exchange, Repo, read_as};
use crate::codec::base64;
use crate::wire::{EncryptedEnvelope, MemberEntry, PullResponse, VaultManifest};

/// What is said of a body that isn't the message any more.
pub const UNREADABLE: &str = "what can't be read any more";

impl Ctx {
    /// Pulls everything as `reader`.
    ///
    /// # Errors
    /// [`Stop::Violation`] when pull is refused or has no envelope.
    pub async fn pull_all(
        &self,
        reader: &Member,
        repo: &Repo,
    ) -> Result<(Answer<'_>, VaultManifest, EncryptedEnvelope), Stop> {
        self.pull_after(reader, repo, None).await
    }

    /// The same; where something was done before, what it has left undone is told as its doing.
    async fn pull_after(
        &self,
        reader: &Member,
        repo: &Repo,
        deed: Option<(Option<Arc<Exchange>>, &str)>,
    ) -> Result<(Answer<'_>, VaultManifest, EncryptedEnvelope), Stop> {
        // Any version but the current one asks for the envelope; a smaller one is what a client would have, but a negative
        // one may be refused.
        let known = if repo.version() > 0 { repo.version() - 1 } else { repo.version() + 1 };
        let answer = self.pull(reader, &repo.pull_request(known)).await?;
        let pulled: PullResponse = match (answer.accepted("pull by a member"), deed.clone()) {
            (Ok(pulled), _) => pulled,
            // What could be read before, and can't be any more, is the doing of what was done in between.
            (Err(Stop::Violation(finding)), Some((done, after)))
                if answer.is_success() && self.world.seen.pulled.load(Ordering::Relaxed) =>
            {
                return Err(changed(done, &answer, after, &format!("{UNREADABLE}: {}", finding.observed)));
            }
            (Err(stop), _) => return Err(stop),
        };
        self.world.seen.pulled.store(true, Ordering::Relaxed);
        let Some(envelope) = pulled.envelope else {
            // A manifest that is behind as well says why: the server is at the version that was asked for.
            let behind = compare_manifest(&repo.manifest, &pulled.manifest);
            if let (Some((deed, after)), Some(difference)) = (deed, behind) {
                return Err(changed(deed, &answer, after, &difference));
            }
            return Err(answer.violation(
                format!("the current envelope, as knownPayloadVersion {known} isn't the current {}", repo.version()),
                format!("unchanged: {}, no envelope", pulled.unchanged),
            ));
        };
        Ok((answer, pulled.manifest, envelope))
    }

    /// The server serves exactly what `repo` says; `after` completes "… after …".
    ///
    /// # Errors
    /// [`Stop::Violation`] with the first difference.
    pub async fn holds(&self, reader: &Member, repo: &Repo, after: &str) -> Result<(), Stop> {
        let deed = self.last_deed();
        let (answer, manifest, envelope) = self.pull_after(reader, repo, Some((deed.clone(), after))).await?;
        if let Some(difference) = compare_state(repo, &manifest, &envelope) {
            return Err(changed(deed, &answer, after, &difference));
        }
        self.world.seen.known.found(self.check_id(), repo, reader);
        Ok(())
    }

    /// The server serves exactly what `repo` says, and `reader` can decrypt it with its own wrapped key.
    ///
    /// # Errors
    /// [`Stop::Violation`].
    pub async fn readable(&self, reader: &Member, repo: &Repo, after: &str) -> Result<(), Stop> {
        let deed = self.last_deed();
        let (answer, manifest, envelope) = self.pull_after(reader, repo, Some((deed.clone(), after))).await?;
        if let Some(difference) = compare_state(repo, &manifest, &envelope) {
            return Err(changed(deed, &answer, after, &difference));
        }
        match read_as(&reader.identity, &manifest, &envelope) {
            Ok(plaintext) if plaintext == repo.plaintext => {
                self.world.seen.known.found(self.check_id(), repo, reader);
                Ok(())
            }
            Ok(_) => Err(answer.violation("the member reads the payload that was written", "another payload")),
            Err(reason) => Err(answer.violation("the member unwraps its key and decrypts the payload", reason)),
        }
    }
}

impl Answer<'_> {
    /// The answer carries nothing of what a repository holds: no envelope, no wrapped key.
    ///
    /// # Errors
    /// [`Stop::Violation`] when it does.
    pub fn keeps_secret(&self, repo: &Repo) -> Result<(), Stop> {
        let text = String::from_utf8_lossy(&self.body);
        let wrapped = repo.manifest.members.iter().map(|entry| entry.wrapped_data_key.ciphertext.as_str());
        let held = wrapped.chain([repo.envelope.ciphertext.as_str()]).any(|secret| text.contains(longest_word(secret)));
        self.must(!held, &format!("the answer holds nothing of repository {}", repo.id()), || {
            "it holds a ciphertext of that repository".into()
        })
    }
}

/// The longest part of a base64 text that no JSON writer escapes (some write `/` as `\/`, and `+` as `\u002b`).
pub fn longest_word(text: &str) -> &str {
    text.split(|c: char| !c.is_ascii_alphanumeric()).max_by_key(|word| word.len()).unwrap_or(text)
}

/// The first difference between what is served and what must be.
pub fn compare_state(expected: &Repo, manifest: &VaultManifest, envelope: &EncryptedEnvelope) -> Option<String> {
    compare_manifest(&expected.manifest, manifest).or_else(|| compare_envelope(&expected.envelope, envelope))
}

/// A state that isn't as it must be: the request after which it isn't, and the answer that shows it.
pub fn changed(deed: Option<Arc<Exchange>>, shown: &Answer<'_>, after: &str, difference: &str) -> Stop {
    let mut finding = shown.finding(
        format!("the repository is as it must be after {after}"),
        format!("after {after}, {} shows: {difference}", shown.exchange.operation),
    );
    if let Some(deed) = deed {
        finding.evidence.extend(finding.exchange.replace(deed));
    }
    Stop::Violation(Box::new(finding))
}

/// The first difference between two manifests; the order of members means nothing.
pub fn compare_manifest(expected: &VaultManifest, served: &VaultManifest) -> Option<String> {
    differs("manifest.repoId", &expected.repo_id, &served.repo_id)
        .or_else(|| differs("manifest.payloadVersion", &expected.payload_version, &served.payload_version))
        .or_else(|| differs("manifest.keyEpoch", &expected.key_epoch, &served.key_epoch))
        .or_else(|| differs("manifest.schemeId", &expected.scheme_id, &served.scheme_id))
        .or_else(|| compare_roster(&expected.members, &served.members))
}

/// The first difference between two rosters, whatever their order.
pub fn compare_roster(expected: &[MemberEntry], served: &[MemberEntry]) -> Option<String> {
    let mut by_id: BTreeMap<&str, &MemberEntry> = BTreeMap::new();
    for entry in served {
        if by_id.insert(&entry.ed25519_public_key, entry).is_some() {
            return Some(format!("the roster has member {} twice", entry.ed25519_public_key));
        }
    }
    for entry in expected {
        let Some(found) = by_id.remove(entry.ed25519_public_key.as_str()) else {
            return Some(format!("member {} is missing from the roster of {}", entry.ed25519_public_key, served.len()));
        };
        if let Some(difference) = compare_entry(entry, found) {
            return Some(difference);
        }
    }
    by_id.into_keys().next().map(|id| format!("member {id} is in the roster and shouldn't be"))
}

/// The first difference between two entries.
pub fn compare_entry(expected: &MemberEntry, served: &MemberEntry) -> Option<String> {
    let (want, got) = (&expected.wrapped_data_key, &served.wrapped_data_key);
    differs("ed25519PublicKey", &expected.ed25519_public_key, &served.ed25519_public_key)
        .or_else(|| differs("x25519PublicKey", &expected.x25519_public_key, &served.x25519_public_key))
        .or_else(|| differs("member's keyEpoch", &expected.key_epoch, &served.key_epoch))
        .or_else(|| differs("wrappedDataKey.schemeId", &want.scheme_id, &got.scheme_id))
        .or_else(|| differs("wrappedDataKey.ephemeralPublicKey", &want.ephemeral_public_key, &got.ephemeral_public_key))
        .or_else(|| differs("wrappedDataKey.iv", &want.iv, &got.iv))
        .or_else(|| differs("wrappedDataKey.ciphertext", &want.ciphertext, &got.ciphertext))
        .or_else(|| differs("keyBindingSig", &expected.key_binding_sig, &served.key_binding_sig))
}

/// The answer to fetchMemberKey is exactly this entry.
pub fn is_entry(answer: &Answer<'_>, expected: &MemberEntry) -> Outcome {
    let entry: MemberEntry = answer.accepted("fetchMemberKey by a member")?;
    match compare_entry(expected, &entry) {
        None => Ok(()),
        Some(difference) => Err(answer.violation("the entry of the member asked for, as it was sent", difference)),
    }
}

/// The first difference between two envelopes.
pub fn compare_envelope(expected: &EncryptedEnvelope, served: &EncryptedEnvelope) -> Option<String> {
    differs("envelope.repoId", &expected.repo_id, &served.repo_id)
        .or_else(|| differs("envelope.payloadVersion", &expected.payload_version, &served.payload_version))
        .or_else(|| differs("envelope.keyEpoch", &expected.key_epoch, &served.key_epoch))
        .or_else(|| differs("envelope.iv", &expected.iv, &served.iv))
        .or_else(|| differs("envelope.ciphertext", &expected.ciphertext, &served.ciphertext))
}

fn differs<T: PartialEq + Serialize>(what: &str, expected: &T, served: &T) -> Option<String> {
    if expected == served {
        return None;
    }
    let spelling = if is_respelled(&json!(expected), &json!(served)) { RESPELLED } else { "" };
    Some(format!("{what} is {}, not {}{spelling}", shortened(served), shortened(expected)))
}

/// What a difference says that is none of the bytes.
pub(crate) const RESPELLED: &str = " (the same bytes, in another base64 than RFC 4648 §4's)";

/// Shortest text that is taken for base64: a key, an IV or a ciphertext, and no id.
const LEAST_BASE64: usize = 16;

/// Whether two texts are the same in any base64: either alphabet, padded or not, on any number of lines.
fn is_respelled(sent: &Value, served: &Value) -> bool {
    let plain = |value: &Value| {
        let plain = |c: char| match c {
            '-' => Some('+'),
            '_' => Some('/'),
            '=' => None,
            c if c.is_ascii_whitespace() => None,
            c => Some(c),
        };
        value.as_str().map(|text| text.chars().filter_map(plain).collect::<String>())
    };
    let is_base64 = |text: &str| text.len() >= LEAST_BASE64 && base64::decode(text).is_ok();
    sent.as_str().is_some_and(is_base64) && plain(sent) == plain(served)
}

/// A message that isn't the expected one: which members differ, and all of it as it was on the wire.
pub fn differing<T: Serialize + std::fmt::Display>(expected: &T, served: &T) -> String {
    let (wanted, found) = (json!(expected), json!(served));
    let names: BTreeSet<_> = [&wanted, &found].into_iter().filter_map(Value::as_object).flat_map(Map::keys).collect();
    let members = names.into_iter().filter_map(|name| differs(name, &wanted[name], &found[name]));
    format!("{}, in {served}", members.collect::<Vec<_>>().join("; "))
}

/// A value as JSON, on one short line.
fn shortened(value: &impl Serialize) -> String {
    // Values of the protocol's messages are numbers, texts and nothing: they always serialize.
    let text = serde_json::to_string(value).unwrap_or_default();
    if text.chars().count() <= 90 {
        return text;
    }
    let head: String = text.chars().take(60).collect();
    format!("{head}… ({} characters)", text.chars().count())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::PushResponse;

    #[test]
    fn another_spelling_is_told_from_other_bytes() {
        let sent = "+/+/AAAAAAAAAAAAAAAAAA==";
        let told = |served: &str| differs("iv", &sent, &served).unwrap();
        for spelled in ["+/+/AAAAAAAAAAAAAAAAAA", "-_-_AAAAAAAAAAAAAAAAAA==", "+/+/AAAA\r\nAAAAAAAAAAAAAA==\n"] {
            assert!(told(spelled).ends_with(RESPELLED), "{spelled}");
        }
        for other in ["", "+/+/AAAAAAAAAAAAAAAAAB==", "+/+/AAAAAAAAAAAAAAAA"] {
            assert!(!told(other).ends_with(RESPELLED), "{other}");
        }
        assert!(!differs("repoId", &"a-b", &"a_b").unwrap().ends_with(RESPELLED));
    }

    #[test]
    fn what_differs_is_named_before_the_message_as_it_was() {
        let expected = PushResponse { accepted: false, payload_version: 3, key_epoch: 0, conflict: true };
        let served = PushResponse { accepted: true, conflict: false, ..expected.clone() };
        assert_eq!(
            differing(&expected, &served),
            r#"accepted is true, not false; conflict is false, not true, in {"accepted":true,"payloadVersion":3,"keyEpoch":0,"conflict":false}"#
        );
    }
}
