//! Repo locator: where a repository lives and whose bindings to trust (SPEC §8.1).

use serde::{Deserialize, Serialize};

use super::base64;
use super::json;
use super::token::TokenError;

/// A repository's place. `scheme_id` and `key_epoch` are hints; the pulled manifest has the last word.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RepoLocator {
    /// Token version, always 1.
    pub v: i64,
    /// Authority, `host` or `host:port`.
    pub host: String,
    /// Opaque repository id.
    pub repo_id: String,
    /// Wrap scheme, if hinted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheme_id: Option<String>,
    /// Key epoch, if hinted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_epoch: Option<i64>,
    /// Where the issuer's keys are, absent when the deployment publishes no bindings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer_jwks_url: Option<String>,
}

impl RepoLocator {
    /// The compact JSON, members in the specification's order, absent ones left out.
    pub fn to_json(&self) -> String {
        json::compact(self)
    }

    /// The token: base64url of [`Self::to_json`].
    pub fn encode(&self) -> String {
        base64::encode_url(self.to_json().as_bytes())
    }

    /// Reads a token; optional members may be absent or null.
    ///
    /// # Errors
    /// [`TokenError`]: encoding, JSON shape (unknown, missing or mistyped members), version.
    pub fn decode(token: &str) -> Result<Self, TokenError> {
        let locator: Self = json::read(&base64::decode_url(token)?)?;
        if locator.v == 1 { Ok(locator) } else { Err(TokenError::Version(locator.v)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip_with_and_without_hints() {
        let bare = RepoLocator {
            v: 1,
            host: "h:1".into(),
            repo_id: "r".into(),
            scheme_id: None,
            key_epoch: None,
            issuer_jwks_url: None,
        };
        assert_eq!(bare.to_json(), r#"{"v":1,"host":"h:1","repoId":"r"}"#);
        let full = RepoLocator {
            scheme_id: Some("s".into()),
            key_epoch: Some(i64::MAX),
            issuer_jwks_url: Some("https://i/j".into()),
            ..bare.clone()
        };
        for locator in [bare, full] {
            assert_eq!(RepoLocator::decode(&locator.encode()).unwrap(), locator);
        }
        let nulls = base64::encode_url(br#"{"v":1,"host":"h","repoId":"r","schemeId":null,"keyEpoch":null}"#);
        assert_eq!(RepoLocator::decode(&nulls).unwrap().key_epoch, None);
    }
}
