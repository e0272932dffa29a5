//! Nonces that aren't what they should be, and keys that are nobody's (SPEC §2, §3.1).

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use ::base64::Engine as _;
use ::base64::alphabet;
use ::base64::engine::{GeneralPurpose, GeneralPurposeConfig};
use ed25519_dalek::{Signature, Verifier, VerifyingKey};
use sha2::{Digest, Sha256};

use super::tools::lock;
use crate::codec::base64;
use crate::ground::hex;
use crate::server::clock;
use crate::server::redemption::{self, Authority};
use crate::server::refusal::Refusal;
use crate::wire::ChallengeResponse;

/// Takes base64 whose unused bits aren't zero.
const STRAY_BITS: GeneralPurpose =
    GeneralPurpose::new(&alphabet::STANDARD, GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true));

fn first_32(bytes: &[u8]) -> Result<[u8; 32], Refusal> {
    let key = bytes.first_chunk::<32>().ok_or(Refusal::bad_request("ed25519PublicKey: too short"))?;
    redemption::read_member_key(&base64::encode(key))
}

faults! {
    "nonce-16-bytes" breaks NONCE_SIZE: "A nonce has 16 bytes." => {
        identity {
            fn make_nonce(&self, _: &str, random: [u8; 32]) -> Vec<u8> { random[..16].to_vec() }
        }
    }
    "nonce-31-bytes" breaks NONCE_SIZE: "A nonce has 31 bytes." => {
        identity {
            fn make_nonce(&self, _: &str, random: [u8; 32]) -> Vec<u8> { random[..31].to_vec() }
        }
    }
    "nonce-32-characters" breaks NONCE_SIZE: "A nonce has 32 characters of base64, which are 24 bytes." => {
        identity {
            fn make_nonce(&self, _: &str, random: [u8; 32]) -> Vec<u8> { random[..24].to_vec() }
        }
    }
    "nonce-unpadded" breaks BASE64: "Nonces are spelled without padding." => {
        identity {
            fn spell_nonce(&self, nonce: &[u8]) -> String { base64::encode(nonce).trim_end_matches('=').to_owned() }
            fn read_nonce(&self, text: &str) -> Option<Vec<u8>> {
                base64::decode(text).or_else(|_| base64::decode(&format!("{text}="))).ok()
            }
        }
    }
    "nonce-url-alphabet" breaks BASE64: "Nonces are spelled in the URL-safe alphabet." => {
        identity {
            fn spell_nonce(&self, nonce: &[u8]) -> String {
                base64::encode(nonce).replace('+', "-").replace('/', "_")
            }
            fn read_nonce(&self, text: &str) -> Option<Vec<u8>> {
                base64::decode(&text.replace('-', "+").replace('_', "/")).ok()
            }
        }
    }
    "nonce-line-break" breaks BASE64: "Nonces end in a line break, as base64 encoders for mail write them." => {
        identity {
            fn spell_nonce(&self, nonce: &[u8]) -> String { base64::encode(nonce) + "\n" }
            fn read_nonce(&self, text: &str) -> Option<Vec<u8>> { base64::decode(text.trim_end()).ok() }
        }
    }
    "nonce-constant" breaks NONCE_RANDOM: "Every nonce is the same." => {
        identity {
            fn make_nonce(&self, _: &str, _: [u8; 32]) -> Vec<u8> { Sha256::digest(b"nonce").to_vec() }
        }
    }
    "nonce-per-key" breaks NONCE_RANDOM: "A key always gets the same nonce." => {
        identity {
            fn make_nonce(&self, key: &str, _: [u8; 32]) -> Vec<u8> { Sha256::digest(key.as_bytes()).to_vec() }
        }
    }
    "nonce-of-the-second" breaks NONCE_RANDOM: "Nonces are derived from key and clock, and repeat within a second." => {
        identity {
            fn make_nonce(&self, key: &str, _: [u8; 32]) -> Vec<u8> {
                Sha256::digest(format!("{key}{}", clock::now_ms() / 1000)).to_vec()
            }
        }
    }
    "nonce-reissued" breaks NONCE_RANDOM: "A key gets its outstanding nonce again until it is redeemed." => {
        state { outstanding: Mutex<HashMap<String, (Vec<u8>, String)>> }
        identity {
            fn challenge(&self, authority: &Authority, key: &str) -> Result<ChallengeResponse, Refusal> {
                let mut outstanding = lock(&self.outstanding);
                if let Some((nonce, spelled)) = outstanding.get(key)
                    && authority.nonces.find(nonce).is_some()
                {
                    return Ok(ChallengeResponse { nonce: spelled.clone() });
                }
                let answer = redemption::challenge(self, authority, key)?;
                let nonce = base64::decode(&answer.nonce).unwrap_or_default();
                outstanding.insert(key.to_owned(), (nonce, answer.nonce.clone()));
                Ok(answer)
            }
        }
    }
    "nonce-counter" breaks NONCE_LOOKS_RANDOM: "Nonces count up." => {
        state { count: AtomicU64 }
        identity {
            fn make_nonce(&self, _: &str, _: [u8; 32]) -> Vec<u8> {
                let count = self.count.fetch_add(1, Ordering::Relaxed);
                [[0; 24].as_slice(), &count.to_be_bytes()].concat()
            }
        }
    }
    "nonce-half-zero" breaks NONCE_LOOKS_RANDOM: "Half of each nonce is zeros." => {
        identity {
            fn make_nonce(&self, _: &str, mut random: [u8; 32]) -> Vec<u8> {
                random[16..].fill(0);
                random.to_vec()
            }
        }
    }
    "nonce-repeated-uuid" breaks NONCE_LOOKS_RANDOM: "A nonce is 16 random bytes, twice." => {
        identity {
            fn make_nonce(&self, _: &str, random: [u8; 32]) -> Vec<u8> { random[..16].repeat(2) }
        }
    }
    "nonce-hex-text" breaks NONCE_LOOKS_RANDOM: "A nonce is 32 hexadecimal digits, not 32 random bytes." => {
        identity {
            fn make_nonce(&self, _: &str, random: [u8; 32]) -> Vec<u8> {
                hex::encode(&random[..16]).into_bytes()
            }
        }
    }
    "nonce-timestamp" breaks NONCE_LOOKS_RANDOM: "A nonce is the time, filled up with the start of the key." => {
        state { count: AtomicU64 }
        identity {
            fn make_nonce(&self, key: &str, _: [u8; 32]) -> Vec<u8> {
                let count = self.count.fetch_add(1, Ordering::Relaxed);
                [&clock::now_ms().to_be_bytes()[..], &count.to_be_bytes(), &key.as_bytes()[..16]].concat()
            }
        }
    }
    "key-unpadded" breaks IDENTITY_CANONICAL: "A key without its padding is an identity of its own." => {
        identity {
            fn read_member_key(&self, text: &str) -> Result<[u8; 32], Refusal> {
                redemption::read_member_key(text).or_else(|_| redemption::read_member_key(&format!("{text}=")))
            }
        }
    }
    "key-url-alphabet" breaks IDENTITY_CANONICAL: "A key in the URL-safe alphabet is an identity of its own." => {
        identity {
            fn read_member_key(&self, text: &str) -> Result<[u8; 32], Refusal> {
                redemption::read_member_key(&text.replace('-', "+").replace('_', "/"))
            }
        }
    }
    "key-stray-bits" breaks IDENTITY_CANONICAL: "A key whose unused base64 bits aren't zero is an identity of its own." => {
        identity {
            fn read_member_key(&self, text: &str) -> Result<[u8; 32], Refusal> {
                let bytes = STRAY_BITS.decode(text).map_err(|_| Refusal::bad_request("ed25519PublicKey: not base64"))?;
                redemption::read_member_key(&base64::encode(&bytes))
            }
        }
    }
    "key-whitespace" breaks IDENTITY_CANONICAL: "White space around a key is skipped, but makes another identity." => {
        identity {
            fn read_member_key(&self, text: &str) -> Result<[u8; 32], Refusal> {
                redemption::read_member_key(text.trim())
            }
        }
    }
    "key-long" breaks IDENTITY_CANONICAL: "Bytes after the 32nd of a key don't count, but make another identity." => {
        identity {
            fn read_member_key(&self, text: &str) -> Result<[u8; 32], Refusal> {
                first_32(&base64::decode(text).unwrap_or_default())
            }
        }
    }
    "key-small-order" breaks SIGNATURE_STRICT: "Keys of small order, for which anybody can sign, get a token." => {
        identity {
            fn read_member_key(&self, text: &str) -> Result<[u8; 32], Refusal> {
                base64::decode_array(text).map_err(|_| Refusal::bad_request("ed25519PublicKey: not a key"))
            }
            fn nonce_signature_holds(&self, key: &[u8; 32], _: &str, nonce: &[u8], signature: &str) -> bool {
                let (Ok(key), Ok(signature)) = (VerifyingKey::from_bytes(key), base64::decode_array(signature)) else {
                    return false;
                };
                key.verify(nonce, &Signature::from_bytes(&signature)).is_ok()
            }
        }
    }
}
