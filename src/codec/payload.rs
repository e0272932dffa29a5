//! The plaintext of an envelope: alt accounts and their provenance (SPEC §5).

use serde::{Deserialize, Serialize};

/// The JSON object inside a payload ciphertext.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AltPayload {
    /// The accounts, in no particular order.
    pub alts: Vec<AltAccount>,
    /// A copy of the envelope's version; the envelope's own counts.
    pub payload_version: i64,
}

/// How an account logs in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
#[expect(missing_docs, reason = "the names are the specification's and say it all")]
pub enum AltType {
    Microsoft,
    Cookie,
    Session,
    Offline,
}

/// One shared account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AltAccount {
    /// Player UUID.
    pub uuid: String,
    /// Last known player name.
    pub username: String,
    /// The credential.
    pub access_token: String,
    /// How the account logs in.
    #[serde(rename = "type")]
    pub kind: AltType,
    /// Epoch milliseconds.
    pub last_used: i64,
    /// Member id of the last user.
    #[serde(default)]
    pub last_used_by: Option<String>,
    /// Ban, if one was observed.
    #[serde(default)]
    pub ban: Option<Ban>,
    /// Client that added the account; absent in older payloads.
    #[serde(default)]
    pub source_client: Option<String>,
    /// User within that client; absent in older payloads.
    #[serde(default)]
    pub source_user: Option<String>,
}

/// A ban that a member observed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ban {
    /// Whether the account is banned.
    pub banned: bool,
    /// Epoch milliseconds.
    pub observed_at: i64,
    /// Where it was observed.
    pub source: String,
    /// What was said.
    pub detail: String,
    /// Member id of the observer.
    #[serde(default)]
    pub observed_by: Option<String>,
}

impl AltPayload {
    /// Reads a plaintext. Unknown members are tolerated: later revisions add some.
    ///
    /// # Errors
    /// A [`serde_json::Error`] with line and column for anything but such an object.
    pub fn parse(plaintext: &[u8]) -> Result<Self, serde_json::Error> {
        super::json::read(plaintext)
    }

    /// The plaintext: compact JSON, absent optional members as `null`.
    pub fn to_json(&self) -> String {
        super::json::compact(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn provenance_may_be_absent() {
        let json = br#"{"alts":[{"uuid":"u","username":"n","accessToken":"t","type":"OFFLINE","lastUsed":1}],"payloadVersion":7}"#;
        let payload = AltPayload::parse(json).unwrap();
        assert_eq!(payload.alts[0].source_client, None);
        assert_eq!(AltPayload::parse(payload.to_json().as_bytes()).unwrap(), payload);
    }

    #[test]
    fn mistyped_members_are_refused() {
        assert!(AltPayload::parse(br#"{"alts":[],"payloadVersion":"7"}"#).is_err());
        assert!(AltPayload::parse(br#"{"alts":[{}],"payloadVersion":7}"#).is_err());
        assert!(AltPayload::parse(br"[[],7]").is_err());
        assert!(AltPayload::parse(br#"{"alts":[["u","n","t","OFFLINE",1]],"payloadVersion":7}"#).is_err());
    }
}
