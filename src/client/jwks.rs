//! The key set of an issuer (RFC 7517), fetched from wherever it is published.
//!
//! A key set may live on any host behind any web server, so this is the business of a general HTTP client: reqwest.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use url::Url;

use crate::codec::base64;

/// Longest key set that is read, in bytes.
const LIMIT: usize = 256 * 1024;

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
pub enum JwksError {
    /// The document didn't come.
    #[error("{url}: {reason}")]
    Fetch {
        /// What was fetched.
        url: Url,
        /// What went wrong.
        reason: String,
    },
    /// It came, but isn't a key set.
    #[error("{url} isn't a JSON Web Key Set: {reason}")]
    Format {
        /// What was fetched.
        url: Url,
        /// What is wrong.
        reason: String,
    },
}

#[derive(Deserialize)]
struct KeySet {
    keys: Vec<Key>,
}

#[derive(Deserialize)]
struct Key {
    kty: String,
    #[serde(default)]
    crv: String,
    #[serde(default)]
    x: String,
}

/// The raw Ed25519 public keys of a key set; keys of other kinds are left out.
///
/// # Errors
/// [`JwksError`].
pub async fn fetch(url: &Url, tls: Arc<rustls::ClientConfig>, bound: Duration) -> Result<Vec<[u8; 32]>, JwksError> {
    let failed = |error: reqwest::Error| JwksError::Fetch { url: url.clone(), reason: error.without_url().to_string() };
    let client = reqwest::Client::builder()
        .tls_backend_preconfigured((*tls).clone())
        .redirect(reqwest::redirect::Policy::none())
        .timeout(bound)
        .build()
        .map_err(failed)?;
    let mut response =
        client.get(url.clone()).send().await.and_then(reqwest::Response::error_for_status).map_err(failed)?;
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(failed)? {
        body.extend_from_slice(&chunk);
        if body.len() > LIMIT {
            return Err(JwksError::Format { url: url.clone(), reason: format!("longer than {LIMIT} bytes") });
        }
    }
    parse(&body).map_err(|reason| JwksError::Format { url: url.clone(), reason })
}

fn parse(body: &[u8]) -> Result<Vec<[u8; 32]>, String> {
    let set: KeySet = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    set.keys
        .iter()
        .filter(|key| key.kty == "OKP" && key.crv == "Ed25519")
        .map(|key| {
            let bytes = base64::decode_url(&key.x).map_err(|error| format!("x: {error}"))?;
            <[u8; 32]>::try_from(bytes).map_err(|bytes| format!("x is {} bytes instead of 32", bytes.len()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ed25519_keys_are_taken_and_others_left() {
        let x = base64::encode_url(&[7; 32]);
        let set = format!(r#"{{"keys":[{{"kty":"RSA","n":"1"}},{{"kty":"OKP","crv":"Ed25519","x":"{x}"}}]}}"#);
        assert_eq!(parse(set.as_bytes()).unwrap(), [[7; 32]]);
        assert!(parse(b"[]").is_err());
        assert!(parse(br#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"AA"}]}"#).is_err());
    }
}
