//! Invite request: the joiner's public keys as one opaque token (SPEC §8.1).

use serde::{Deserialize, Serialize};

use super::base64::{self, Base64Error};
use super::json;
use super::token::TokenError;

/// The joiner's public keys; `v` is 1 and implied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct InviteRequest {
    /// Token version, always 1.
    pub v: i64,
    /// Base64 of the raw 32-byte key; the joiner's member id.
    pub ed25519_public_key: String,
    /// Base64 of the raw 32-byte key that the data key gets wrapped to.
    pub x25519_public_key: String,
}

impl InviteRequest {
    /// The compact JSON, members in the specification's order.
    pub fn to_json(&self) -> String {
        json::compact(self)
    }

    /// The token: base64url of [`Self::to_json`].
    pub fn encode(&self) -> String {
        base64::encode_url(self.to_json().as_bytes())
    }

    /// Reads a token. The keys are checked for being strings only; see [`Self::keys`].
    ///
    /// # Errors
    /// [`TokenError`]: encoding, JSON shape (unknown, missing or mistyped members), version.
    pub fn decode(token: &str) -> Result<Self, TokenError> {
        let invite: Self = json::read(&base64::decode_url(token)?)?;
        if invite.v == 1 { Ok(invite) } else { Err(TokenError::Version(invite.v)) }
    }

    /// Both keys as raw bytes, Ed25519 first.
    ///
    /// # Errors
    /// [`Base64Error`] when one isn't padded base64 of 32 bytes.
    pub fn keys(&self) -> Result<([u8; 32], [u8; 32]), Base64Error> {
        Ok((base64::decode_array(&self.ed25519_public_key)?, base64::decode_array(&self.x25519_public_key)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip_and_layout() {
        let invite = InviteRequest { v: 1, ed25519_public_key: "AA==".into(), x25519_public_key: "Ag==".into() };
        assert_eq!(invite.to_json(), r#"{"v":1,"ed25519PublicKey":"AA==","x25519PublicKey":"Ag=="}"#);
        assert_eq!(InviteRequest::decode(&invite.encode()).unwrap(), invite);
        assert!(invite.keys().is_err());
    }

    #[test]
    fn refusals() {
        let token = |json: &str| base64::encode_url(json.as_bytes());
        let keys = r#""ed25519PublicKey":"","x25519PublicKey":"""#;
        assert!(matches!(InviteRequest::decode("a+b/"), Err(TokenError::Base64(_))));
        assert!(matches!(InviteRequest::decode(&token("[]")), Err(TokenError::Json(_))));
        assert!(matches!(InviteRequest::decode(&token(&format!("{{\"v\":2,{keys}}}"))), Err(TokenError::Version(2))));
        assert!(matches!(
            InviteRequest::decode(&token(&format!("{{\"v\":1,{keys},\"z\":0}}"))),
            Err(TokenError::Json(_))
        ));
        assert!(matches!(InviteRequest::decode(&token(&format!("{{{keys}}}"))), Err(TokenError::Json(_))));
    }
}
