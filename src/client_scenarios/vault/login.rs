//! Challenge and token, as the bend says.

use serde_json::{Value, json};

use super::Bend;
use super::reading::Refusal;
use super::state::VaultState;
use crate::client::{clock, random};
use crate::codec::{base64, signature};

/// An expiry whose lower word is below zero, if it is taken for a signed one.
const FAR: i64 = (1 << 60) + (1 << 31) + 1;

impl VaultState {
    /// Nonce and token are given out as the bend says.
    pub(super) fn challenge(&mut self, bend: Bend, body: &Value) -> Result<Value, Refusal> {
        if self.logins_fail {
            return Err((500, "out of order"));
        }
        let id = body["ed25519PublicKey"].as_str().ok_or((400, "ed25519PublicKey is missing"))?;
        if base64::decode_array::<32>(id).is_err() {
            return Err((400, "ed25519PublicKey isn't a key"));
        }
        let mut bytes = vec![
            0;
            match bend {
                Bend::Nonce33 => 33,
                Bend::Nonce64 => 64,
                Bend::Nonce512 => 512,
                _ => 32,
            }
        ];
        random::fill(&mut bytes);
        // Only where nonces are what is looked at do they hold a zero byte, and there they always do: whoever takes them for a C
        // string fails by rule and not by luck.
        bytes.iter_mut().filter(|byte| **byte == 0).for_each(|byte| *byte = 1);
        if bytes.len() > 32 {
            bytes[20] = 0;
        }
        // Ends that get lost where bytes are taken for text, or for a number.
        let ends: [&[u8]; 2] = match bend {
            Bend::Nonce33 => [&[0, 0], &[0]],
            Bend::Nonce64 => [b" \n", b"\r\n "],
            _ => [&[], &[]],
        };
        let end = bytes.len() - ends[1].len();
        bytes[..ends[0].len()].copy_from_slice(ends[0]);
        bytes[end..].copy_from_slice(ends[1]);
        match bend {
            Bend::NonceText => bytes = base64::encode(&random::bytes::<33>()).into_bytes(),
            Bend::NonceLine => bytes = format!("nonce {}\n", crate::ground::hex::encode(&bytes)).into_bytes(),
            _ => {}
        }
        let nonce = base64::encode(&bytes);
        self.nonces.insert(nonce.clone(), (id.to_owned(), false));
        Ok(json!({ "nonce": nonce }))
    }

    pub(super) fn token(&mut self, bend: Bend, body: &Value) -> Result<Value, Refusal> {
        let text = |name: &str| body[name].as_str().unwrap_or_default();
        let (id, nonce) = (text("ed25519PublicKey"), text("nonce"));
        let (owner, used) = self.nonces.get_mut(nonce).ok_or((401, "unknown nonce"))?;
        if *used || owner != id {
            return Err((401, "the nonce was used, or is another key's"));
        }
        *used = true;
        let key = base64::decode_array::<32>(id).map_err(|_| (400, "bad key"))?;
        let bytes = base64::decode(nonce).map_err(|_| (400, "bad nonce"))?;
        let signed = base64::decode(text("signature")).map_err(|_| (401, "bad signature"))?;
        signature::verify(&key, &bytes, &signed).map_err(|_| (401, "bad signature"))?;
        let secret = base64::encode_url(&random::bytes::<24>());
        let token = match bend {
            Bend::TokenLong => secret.clone() + &"x1Y_".repeat(2048),
            Bend::TokenOdd => format!("{secret}.-_~+/A=="),
            Bend::TokenJwt => format!("eyJhbGciOiJub25lIn0.eyJzdWIiOiJrZXk6eCJ9.{secret}"),
            Bend::TokenJwe => {
                format!("eyJhbGciOiJkaXIifQ..48V1_ALb6US04U3b.5eym8TW_c8SuK0ltJ3rpYIzOeDQz7TALvtu6UG9o.{secret}")
            }
            _ => format!("avp{secret}"),
        };
        self.tokens.insert(token.clone(), id.to_owned());
        let hour = clock::now_ms() + 3_600_000;
        let expires = if bend == Bend::ExpiryFar { FAR } else { hour };
        Ok(json!({ "token": token, "expiresAt": expires }))
    }

    /// Whose token it is, and whether it is valid.
    pub(super) fn caller(&self, token: &str) -> Option<(String, bool)> {
        self.tokens.get(token).map(|id| (id.clone(), !self.revoked.contains(token)))
    }

    /// No token that was given is valid any longer.
    pub fn revoke(&mut self) {
        self.revoked = self.tokens.keys().cloned().collect();
    }
}
