//! The messages of `schema/avp.proto`, each with its two readings: protobuf by `prost`, the HTTP/JSON profile's names by `serde`.
//!
//! They are what `prost-build` would make of the file, and the JSON names beside them; a test holds them to the file, so that
//! no build needs `protoc`. As JSON they are as strict as the messages of [`crate::wire`], but for what protobuf can say and JSON
//! can't: a message that is absent.

use std::marker::PhantomData;

use serde::{Deserialize, Deserializer, Serialize, de};

use super::super::messages::Object;

/// Declares messages: the JSON side is the same for all.
macro_rules! messages {
    ($($name:ident { $(#[prost($($prost:tt)+)] $(#[serde($($serde:tt)+)])? $field:ident: $type:ty,)* })*) => {$(
        #[derive(Clone, PartialEq, prost::Message, Serialize)]
        #[serde(rename_all = "camelCase")]
        #[expect(missing_docs, reason = "the names are those of schema/avp.proto")]
        pub struct $name { $(#[prost($($prost)+)] $(#[serde($($serde)+)])? pub $field: $type,)* }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                #[derive(Deserialize)]
                #[serde(rename_all = "camelCase", deny_unknown_fields)]
                struct Members { $($(#[serde($($serde)+)])? $field: $type,)* }
                let Members { $($field),* } = deserializer.deserialize_map(Object(PhantomData))?;
                Ok(Self { $($field),* })
            }
        }
    )*};
}

messages! {
    WrappedKey {
        #[prost(string, tag = "1")]
        scheme_id: String,
        #[prost(string, tag = "2")]
        ephemeral_public_key: String,
        #[prost(string, tag = "3")]
        iv: String,
        #[prost(string, tag = "4")]
        ciphertext: String,
    }
    MemberEntry {
        #[prost(string, tag = "1")]
        ed25519_public_key: String,
        #[prost(string, tag = "2")]
        x25519_public_key: String,
        #[prost(message, optional, tag = "3")]
        #[serde(skip_serializing_if = "Option::is_none")]
        wrapped_data_key: Option<WrappedKey>,
        #[prost(int64, tag = "4")]
        key_epoch: i64,
        #[prost(string, optional, tag = "5")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        key_binding_sig: Option<String>,
    }
    EncryptedEnvelope {
        #[prost(string, tag = "1")]
        repo_id: String,
        #[prost(int64, tag = "2")]
        payload_version: i64,
        #[prost(int64, tag = "3")]
        key_epoch: i64,
        #[prost(string, tag = "4")]
        iv: String,
        #[prost(string, tag = "5")]
        ciphertext: String,
    }
    VaultManifest {
        #[prost(string, tag = "1")]
        repo_id: String,
        #[prost(string, tag = "2")]
        scheme_id: String,
        #[prost(int64, tag = "3")]
        key_epoch: i64,
        #[prost(int64, tag = "4")]
        payload_version: i64,
        #[prost(message, repeated, tag = "5")]
        members: Vec<MemberEntry>,
        #[prost(bool, tag = "6")]
        #[serde(default, skip_serializing_if = "is_false", deserialize_with = "null_is_false")]
        share_refresh_tokens: bool,
    }
    CreateRepoRequest {
        #[prost(message, optional, tag = "1")]
        #[serde(skip_serializing_if = "Option::is_none")]
        manifest: Option<VaultManifest>,
        #[prost(message, optional, tag = "2")]
        #[serde(skip_serializing_if = "Option::is_none")]
        initial_envelope: Option<EncryptedEnvelope>,
    }
    PullRequest {
        #[prost(string, tag = "1")]
        repo_id: String,
        #[prost(int64, tag = "2")]
        known_payload_version: i64,
    }
    PullResponse {
        #[prost(message, optional, tag = "1")]
        #[serde(skip_serializing_if = "Option::is_none")]
        manifest: Option<VaultManifest>,
        #[prost(message, optional, tag = "2")]
        #[serde(skip_serializing_if = "Option::is_none")]
        envelope: Option<EncryptedEnvelope>,
        #[prost(bool, tag = "3")]
        unchanged: bool,
    }
    PushRequest {
        #[prost(string, tag = "1")]
        repo_id: String,
        #[prost(message, optional, tag = "2")]
        #[serde(skip_serializing_if = "Option::is_none")]
        envelope: Option<EncryptedEnvelope>,
        #[prost(int64, tag = "3")]
        expected_payload_version: i64,
        #[prost(message, repeated, tag = "4")]
        #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "none_or_some")]
        rotated_members: Vec<MemberEntry>,
    }
    PushResponse {
        #[prost(bool, tag = "1")]
        accepted: bool,
        #[prost(int64, tag = "2")]
        payload_version: i64,
        #[prost(int64, tag = "3")]
        key_epoch: i64,
        #[prost(bool, tag = "4")]
        conflict: bool,
    }
    MemberAddRequest {
        #[prost(string, tag = "1")]
        repo_id: String,
        #[prost(message, optional, tag = "2")]
        #[serde(skip_serializing_if = "Option::is_none")]
        member: Option<MemberEntry>,
    }
    MemberRemoveRequest {
        #[prost(string, tag = "1")]
        repo_id: String,
        #[prost(string, tag = "2")]
        removed_member_id: String,
        #[prost(message, optional, tag = "3")]
        #[serde(skip_serializing_if = "Option::is_none")]
        rotated_envelope: Option<EncryptedEnvelope>,
        #[prost(message, repeated, tag = "4")]
        rewrapped_members: Vec<MemberEntry>,
        #[prost(int64, tag = "5")]
        new_key_epoch: i64,
    }
    FetchMemberKeyRequest {
        #[prost(string, tag = "1")]
        repo_id: String,
        #[prost(string, tag = "2")]
        member_id: String,
    }
    ChallengeRequest {
        #[prost(string, tag = "1")]
        ed25519_public_key: String,
    }
    AuthChallenge {
        #[prost(string, tag = "1")]
        nonce: String,
    }
    TokenRequest {
        #[prost(string, tag = "1")]
        ed25519_public_key: String,
        #[prost(string, tag = "2")]
        nonce: String,
        #[prost(string, tag = "3")]
        signature: String,
    }
    AuthToken {
        #[prost(string, tag = "1")]
        token: String,
        #[prost(int64, tag = "2")]
        expires_at: i64,
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks with a reference")]
fn is_false(value: &bool) -> bool {
    !value
}

fn null_is_false<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// A repeated field is empty where JSON says `null` or nothing; an empty list is something else in JSON, and can't be said.
fn none_or_some<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<MemberEntry>, D::Error> {
    match Option::<Vec<MemberEntry>>::deserialize(deserializer)? {
        Some(members) if members.is_empty() => Err(de::Error::custom("protobuf can't tell an empty list from none")),
        members => Ok(members.unwrap_or_default()),
    }
}
