//! Why a text is no token: what invite requests and repo locators have in common (SPEC §8.1).

use super::base64::Base64Error;

/// Why a token isn't an invite request or a repo locator.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// Not unpadded base64url.
    #[error("token isn't unpadded base64url: {0}")]
    Base64(#[from] Base64Error),
    /// Not the JSON object that is expected.
    #[error("token isn't the expected JSON object: {0}")]
    Json(#[from] serde_json::Error),
    /// A version other than 1.
    #[error("token has version {0}; only 1 is defined")]
    Version(i64),
}
