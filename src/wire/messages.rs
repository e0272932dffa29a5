//! The messages as types. Reading is strict: unknown members, missing members and wrong types are errors.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::codec::base64::{self, Base64Error};
use crate::codec::key_wrap::{SCHEME_ID, Wrapped};

/// Declares messages in one place: public fields, camelCase, unknown members refused, and so are arrays of the members'
/// values, which the derived reader takes for the object.
macro_rules! messages {
    ($($(#[$meta:meta])* $name:ident { $($(#[$field_meta:meta])* $field:ident: $type:ty),* $(,)? })*) => {$(
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq, Serialize)]
        #[serde(rename_all = "camelCase")]
        pub struct $name { $($(#[$field_meta])* pub $field: $type),* }

        /// As it is on the wire: compact JSON.
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&serde_json::to_string(self).map_err(|_| fmt::Error)?)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                #[derive(Deserialize)]
                #[serde(rename_all = "camelCase", deny_unknown_fields)]
                struct Members { $($(#[$field_meta])* $field: $type),* }
                let Members { $($field),* } = deserializer.deserialize_map(Object(PhantomData))?;
                Ok(Self { $($field),* })
            }
        }
    )*};
}

/// Reads an object, and nothing else, as its members.
pub(super) struct Object<T>(pub(super) PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Object<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map))
    }
}

messages! {
    /// Asks for a nonce (SPEC §3).
    ChallengeRequest {
        /// Base64 of the raw 32-byte key; the member id.
        ed25519_public_key: String,
    }
    /// A single-use nonce (SPEC §3).
    ChallengeResponse {
        /// Base64 of at least 32 random bytes.
        nonce: String,
    }
    /// Redeems a signed nonce (SPEC §3).
    TokenRequest {
        /// The member id.
        ed25519_public_key: String,
        /// The nonce as it was issued.
        nonce: String,
        /// Base64 of the 64-byte signature over the raw nonce bytes.
        signature: String,
    }
    /// A bearer token (SPEC §3).
    TokenResponse {
        /// JWT or opaque string.
        token: String,
        /// Epoch milliseconds.
        expires_at: i64,
    }
    /// The data key encrypted to one member (SPEC §4).
    WrappedKey {
        /// Wrap scheme.
        scheme_id: String,
        /// Base64 of the raw 32-byte X25519 key.
        ephemeral_public_key: String,
        /// Base64 of 12 bytes.
        iv: String,
        /// Base64 of ciphertext and tag, 48 bytes.
        ciphertext: String,
    }
    /// A member as the server stores it (SPEC §4).
    MemberEntry {
        /// The member id.
        ed25519_public_key: String,
        /// Base64 of the raw 32-byte key.
        x25519_public_key: String,
        /// The data key for this member.
        wrapped_data_key: WrappedKey,
        /// Epoch of the wrapped key.
        key_epoch: i64,
        /// Base64 of the issuer's binding signature (SPEC §9); absent and `null` mean the same.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        key_binding_sig: Option<String>,
    }
    /// The encrypted payload at a version and epoch (SPEC §4).
    EncryptedEnvelope {
        /// Repository id.
        repo_id: String,
        /// Payload version.
        payload_version: i64,
        /// Key epoch.
        key_epoch: i64,
        /// Base64 of 12 bytes.
        iv: String,
        /// Base64 of ciphertext and tag.
        ciphertext: String,
    }
    /// The metadata of a repository that isn't secret (SPEC §4).
    VaultManifest {
        /// Repository id.
        repo_id: String,
        /// Wrap scheme.
        scheme_id: String,
        /// Key epoch.
        key_epoch: i64,
        /// Payload version.
        payload_version: i64,
        /// The roster; its order means nothing.
        members: Vec<MemberEntry>,
        /// Revision 0.4; absent means false.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        share_refresh_tokens: Option<bool>,
    }
    /// createRepo (SPEC §6).
    CreateRepoRequest {
        /// Manifest with the creator as the sole member.
        manifest: VaultManifest,
        /// The first payload.
        initial_envelope: EncryptedEnvelope,
    }
    /// pull (SPEC §6).
    PullRequest {
        /// Repository id.
        repo_id: String,
        /// What the caller has already.
        known_payload_version: i64,
    }
    /// Answer to pull (SPEC §6).
    PullResponse {
        /// The current manifest.
        manifest: VaultManifest,
        /// The current envelope; absent or `null` when unchanged.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        envelope: Option<EncryptedEnvelope>,
        /// Whether the caller's version is the current one.
        unchanged: bool,
    }
    /// push (SPEC §6).
    PushRequest {
        /// Repository id.
        repo_id: String,
        /// The new payload.
        envelope: EncryptedEnvelope,
        /// The version that the write is based on.
        expected_payload_version: i64,
        /// A whole new roster, on the rotation path.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rotated_members: Option<Vec<MemberEntry>>,
    }
    /// Answer to push (SPEC §6).
    PushResponse {
        /// Whether the write applied.
        accepted: bool,
        /// Current version.
        payload_version: i64,
        /// Current epoch.
        key_epoch: i64,
        /// Whether the expectation was wrong.
        conflict: bool,
    }
    /// addMember (SPEC §6).
    MemberAddRequest {
        /// Repository id.
        repo_id: String,
        /// The entry, wrapped by the caller.
        member: MemberEntry,
    }
    /// removeMember (SPEC §6).
    MemberRemoveRequest {
        /// Repository id.
        repo_id: String,
        /// Who goes.
        removed_member_id: String,
        /// The payload under the new data key.
        rotated_envelope: EncryptedEnvelope,
        /// The roster that remains, wrapped anew.
        rewrapped_members: Vec<MemberEntry>,
        /// The next epoch.
        new_key_epoch: i64,
    }
    /// `GET /.well-known/avp` (SPEC §8.2).
    Discovery {
        /// `http-json`, `grpc`, or both.
        profiles: Vec<String>,
        /// Where the issuer's keys are.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        issuer_jwks_url: Option<String>,
    }
}

/// Which member of a [`WrappedKey`] isn't what it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WrappedKeyError {
    /// A scheme that isn't the default one.
    #[error("unknown schemeId {0:?}")]
    Scheme(String),
    /// A member isn't base64 of the right size.
    #[error("{member}: {error}")]
    Base64 {
        /// Name of the member.
        member: &'static str,
        /// What is wrong with it.
        error: Base64Error,
    },
}

impl From<&Wrapped> for WrappedKey {
    fn from(wrapped: &Wrapped) -> Self {
        Self {
            scheme_id: SCHEME_ID.into(),
            ephemeral_public_key: base64::encode(&wrapped.ephemeral_public_key),
            iv: base64::encode(&wrapped.iv),
            ciphertext: base64::encode(&wrapped.ciphertext),
        }
    }
}

impl TryFrom<&WrappedKey> for Wrapped {
    type Error = WrappedKeyError;

    fn try_from(key: &WrappedKey) -> Result<Self, WrappedKeyError> {
        let wrong = |member| move |error| WrappedKeyError::Base64 { member, error };
        if key.scheme_id != SCHEME_ID {
            return Err(WrappedKeyError::Scheme(key.scheme_id.clone()));
        }
        Ok(Self {
            ephemeral_public_key: base64::decode_array(&key.ephemeral_public_key)
                .map_err(wrong("ephemeralPublicKey"))?,
            iv: base64::decode_array(&key.iv).map_err(wrong("iv"))?,
            ciphertext: base64::decode(&key.ciphertext).map_err(wrong("ciphertext"))?,
        })
    }
}

impl EncryptedEnvelope {
    /// The triple that the ciphertext is bound to (SPEC §4).
    pub fn binding(&self) -> crate::codec::aad::Binding<'_> {
        crate::codec::aad::Binding {
            repo_id: &self.repo_id,
            payload_version: self.payload_version,
            key_epoch: self.key_epoch,
        }
    }
}

impl VaultManifest {
    /// The entry of a member id, if it is in the roster.
    pub fn member(&self, id: &str) -> Option<&MemberEntry> {
        self.members.iter().find(|entry| entry.ed25519_public_key == id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_no_array_of_its_values() {
        assert!(serde_json::from_str::<PullRequest>(r#"{"repoId":"r","knownPayloadVersion":1}"#).is_ok());
        let mut wrong = vec![r#"["r",1]"#, r#"{"repoId":"r"}"#, r#"{"repoId":"r","knownPayloadVersion":1,"x":1}"#];
        wrong.push(r#"{"repoId":"r","repoId":"s","knownPayloadVersion":1}"#);
        for text in wrong {
            assert!(serde_json::from_str::<PullRequest>(text).is_err(), "{text}");
        }
        let bound = r#"{"manifest":["r","s",0,1,[]],"unchanged":true}"#;
        assert!(serde_json::from_str::<PullResponse>(bound).is_err());
    }
}
