//! The gRPC profile's messages (SPEC §6): `schema/avp.proto` as types, and their other reading as the JSON of the HTTP profile.
//!
//! The semantics of a message are the same in both profiles, so everybody above this module speaks JSON, and a [`Method`]
//! says the same in protobuf. What only one of the two can say is an error: a member that is missing or of another type can't be
//! said in protobuf, where every field has a default.

mod code;
mod messages;
#[cfg(test)]
mod tests;

use prost::Message;
use serde::Serialize;
use serde::de::DeserializeOwned;

pub use code::Code;
pub use messages::*;

/// The file that the messages are written by, as shipped in `schema/`.
pub const PROTO: &str = include_str!("../../../schema/avp.proto");

/// The calls of the services `Vault` and `Auth`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are those of schema/avp.proto")]
pub enum Method {
    CreateRepo,
    Pull,
    Push,
    AddMember,
    RemoveMember,
    FetchMemberKey,
    Challenge,
    Token,
}

/// Why a message can't be said in the other profile.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProtoError {
    /// The JSON says what protobuf can't.
    #[error("protobuf can't say this JSON: {0}")]
    Json(String),
    /// The bytes aren't the message.
    #[error("the message can't be read: {0}")]
    Bytes(String),
}

impl Method {
    /// All of them, in the order of the file.
    pub const ALL: [Self; 8] = [
        Self::CreateRepo,
        Self::Pull,
        Self::Push,
        Self::AddMember,
        Self::RemoveMember,
        Self::FetchMemberKey,
        Self::Challenge,
        Self::Token,
    ];

    /// `:path` of a call.
    pub fn path(self) -> &'static str {
        match self {
            Self::CreateRepo => "/avp.Vault/CreateRepo",
            Self::Pull => "/avp.Vault/Pull",
            Self::Push => "/avp.Vault/Push",
            Self::AddMember => "/avp.Vault/AddMember",
            Self::RemoveMember => "/avp.Vault/RemoveMember",
            Self::FetchMemberKey => "/avp.Vault/FetchMemberKey",
            Self::Challenge => "/avp.Auth/Challenge",
            Self::Token => "/avp.Auth/Token",
        }
    }

    /// The call of a `:path`.
    pub fn of_path(path: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|method| method.path() == path)
    }

    /// A request in protobuf.
    ///
    /// # Errors
    /// [`ProtoError::Json`].
    pub fn request_to_proto(self, json: &[u8]) -> Result<Vec<u8>, ProtoError> {
        match self {
            Self::CreateRepo => to_proto::<CreateRepoRequest>(json),
            Self::Pull => to_proto::<PullRequest>(json),
            Self::Push => to_proto::<PushRequest>(json),
            Self::AddMember => to_proto::<MemberAddRequest>(json),
            Self::RemoveMember => to_proto::<MemberRemoveRequest>(json),
            Self::FetchMemberKey => to_proto::<FetchMemberKeyRequest>(json),
            Self::Challenge => to_proto::<ChallengeRequest>(json),
            Self::Token => to_proto::<TokenRequest>(json),
        }
    }

    /// A request in JSON.
    ///
    /// # Errors
    /// [`ProtoError::Bytes`].
    pub fn request_to_json(self, bytes: &[u8]) -> Result<Vec<u8>, ProtoError> {
        match self {
            Self::CreateRepo => to_json::<CreateRepoRequest>(bytes),
            Self::Pull => to_json::<PullRequest>(bytes),
            Self::Push => to_json::<PushRequest>(bytes),
            Self::AddMember => to_json::<MemberAddRequest>(bytes),
            Self::RemoveMember => to_json::<MemberRemoveRequest>(bytes),
            Self::FetchMemberKey => to_json::<FetchMemberKeyRequest>(bytes),
            Self::Challenge => to_json::<ChallengeRequest>(bytes),
            Self::Token => to_json::<TokenRequest>(bytes),
        }
    }

    /// An answer in protobuf.
    ///
    /// # Errors
    /// [`ProtoError::Json`].
    pub fn answer_to_proto(self, json: &[u8]) -> Result<Vec<u8>, ProtoError> {
        match self {
            Self::CreateRepo | Self::AddMember | Self::RemoveMember => to_proto::<VaultManifest>(json),
            Self::Pull => to_proto::<PullResponse>(json),
            Self::Push => to_proto::<PushResponse>(json),
            Self::FetchMemberKey => to_proto::<MemberEntry>(json),
            Self::Challenge => to_proto::<AuthChallenge>(json),
            Self::Token => to_proto::<AuthToken>(json),
        }
    }

    /// An answer in JSON. A message that is absent is a member that is absent, and a field that is absent its default.
    ///
    /// # Errors
    /// [`ProtoError::Bytes`].
    pub fn answer_to_json(self, bytes: &[u8]) -> Result<Vec<u8>, ProtoError> {
        match self {
            Self::CreateRepo | Self::AddMember | Self::RemoveMember => to_json::<VaultManifest>(bytes),
            Self::Pull => to_json::<PullResponse>(bytes),
            Self::Push => to_json::<PushResponse>(bytes),
            Self::FetchMemberKey => to_json::<MemberEntry>(bytes),
            Self::Challenge => to_json::<AuthChallenge>(bytes),
            Self::Token => to_json::<AuthToken>(bytes),
        }
    }
}

/// Bytes before each message: a flag that says whether it is compressed, and its length.
pub const PREFIX: usize = 5;

/// A message as it stands on a stream, not compressed.
pub fn framed(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
    let mut bytes = Vec::with_capacity(PREFIX + message.len());
    bytes.push(0);
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(message);
    bytes
}

/// Flag and length of the message at the beginning of a stream, once they are there.
pub fn prefix(bytes: &[u8]) -> Option<(u8, usize)> {
    let (flag, length) = bytes.get(..PREFIX)?.split_first()?;
    let length = u32::from_be_bytes(length.try_into().ok()?);
    Some((*flag, usize::try_from(length).unwrap_or(usize::MAX)))
}

fn to_proto<T: Message + DeserializeOwned>(json: &[u8]) -> Result<Vec<u8>, ProtoError> {
    let message: T = serde_json::from_slice(json).map_err(|error| ProtoError::Json(error.to_string()))?;
    Ok(message.encode_to_vec())
}

fn to_json<T: Message + Default + Serialize>(bytes: &[u8]) -> Result<Vec<u8>, ProtoError> {
    let message = T::decode(bytes).map_err(|error| ProtoError::Bytes(error.to_string()))?;
    serde_json::to_vec(&message).map_err(|error| ProtoError::Bytes(error.to_string()))
}
