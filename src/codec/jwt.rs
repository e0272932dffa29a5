//! JSON Web Tokens, as far as the reference token of SPEC §3 needs them (RFC 7515 compact form).

use serde_json::{Map, Value};

use super::base64::{self, Base64Error};

/// Why a string isn't a compact JWT.
#[derive(Debug, thiserror::Error)]
pub enum JwtError {
    /// Not three parts between dots; most likely an opaque token.
    #[error("not three dot-separated parts")]
    Parts,
    /// A part isn't unpadded base64url.
    #[error("the {part} isn't base64url: {error}")]
    Base64 {
        /// `header`, `payload` or `signature`.
        part: &'static str,
        /// What is wrong with it.
        error: Base64Error,
    },
    /// Header or payload isn't a JSON object.
    #[error("the {part} isn't a JSON object: {error}")]
    Json {
        /// `header` or `payload`.
        part: &'static str,
        /// What is wrong with it.
        error: serde_json::Error,
    },
}

/// A decoded token; nothing is verified.
#[derive(Clone, Debug, PartialEq)]
pub struct Jwt {
    /// JOSE header.
    pub header: Map<String, Value>,
    /// Claims.
    pub claims: Map<String, Value>,
    /// The bytes that the signature covers: `base64url(header) + "." + base64url(payload)`.
    pub signing_input: String,
    /// Raw signature; empty for an unsecured token.
    pub signature: Vec<u8>,
}

impl Jwt {
    /// Reads the compact form without verifying it.
    ///
    /// # Errors
    /// [`JwtError`]; [`JwtError::Parts`] is how an opaque token looks.
    pub fn parse(token: &str) -> Result<Self, JwtError> {
        let (signing_input, signature) = token.rsplit_once('.').ok_or(JwtError::Parts)?;
        let (header, payload) = signing_input.split_once('.').ok_or(JwtError::Parts)?;
        if payload.contains('.') {
            return Err(JwtError::Parts);
        }
        Ok(Self {
            header: object("header", header)?,
            claims: object("payload", payload)?,
            signing_input: signing_input.into(),
            signature: base64::decode_url(signature).map_err(|error| JwtError::Base64 { part: "signature", error })?,
        })
    }

    /// The claim `sub`, if it is a string.
    pub fn subject(&self) -> Option<&str> {
        self.claims.get("sub")?.as_str()
    }
}

/// Makes a token of header and claims; `sign` gets the signing input and returns the raw signature.
pub fn encode(header: &Map<String, Value>, claims: &Map<String, Value>, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> String {
    let part = |map: &Map<String, Value>| base64::encode_url(super::json::compact(map).as_bytes());
    let signing_input = format!("{}.{}", part(header), part(claims));
    let signature = base64::encode_url(&sign(signing_input.as_bytes()));
    format!("{signing_input}.{signature}")
}

fn object(part: &'static str, text: &str) -> Result<Map<String, Value>, JwtError> {
    let bytes = base64::decode_url(text).map_err(|error| JwtError::Base64 { part, error })?;
    serde_json::from_slice(&bytes).map_err(|error| JwtError::Json { part, error })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::signature;

    #[test]
    fn round_trip_with_eddsa() {
        let map = |json: &str| serde_json::from_str::<Map<String, Value>>(json).unwrap();
        let (header, claims) = (map(r#"{"alg":"EdDSA"}"#), map(r#"{"sub":"key:x","kind":"keypair"}"#));
        let token = encode(&header, &claims, |input| signature::sign(&[1; 32], input).to_vec());
        let jwt = Jwt::parse(&token).unwrap();
        assert_eq!((&jwt.header, &jwt.claims), (&header, &claims));
        assert_eq!(jwt.subject(), Some("key:x"));
        let public = signature::public_key(&[1; 32]);
        signature::verify(&public, jwt.signing_input.as_bytes(), &jwt.signature).unwrap();
    }

    #[test]
    fn opaque_and_broken_tokens() {
        for opaque in ["", "abc", "a.b", "a.b.c.d"] {
            assert!(matches!(Jwt::parse(opaque), Err(JwtError::Parts)), "{opaque}");
        }
        assert!(matches!(Jwt::parse("e30=.e30."), Err(JwtError::Base64 { part: "header", .. })));
        assert!(matches!(Jwt::parse("e30.W10."), Err(JwtError::Json { part: "payload", .. })));
        assert!(Jwt::parse("e30.e30.").unwrap().signature.is_empty());
    }
}
