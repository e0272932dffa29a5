//! Nonces that aren't what they should be, and keys that are nobody's (SPEC §2, §3.1).

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use ::base64::Engine as _;
use ::base64::alphabet;
use ::base64::engine::{GeneralPurpose, GeneralPurposeConfig};
use ed25519_dalek::{Signature, Verifier, VerifyingKey};
use sha2::{Digest, Sha256};

use super::table::*;
use super::tools::lock;
use crate::codec::base64;
use crate::ground::hex;
use crate::server::clock;
use crate::server::redemption::{self, Authority};
use crate::server::refusal::Refusal;
use crate::server::rules::IdentityRules;
use crate::wire::ChallengeResponse;

/// Takes base64 whose unused bits aren't zero.
const STRAY_BITS: GeneralPurpose =
    GeneralPurpose::new(&alphabet::STANDARD, GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true));

fn first_32(bytes: &[u8]) -> Result<[u8; 32], Refusal> {
    let key = bytes.first_chunk::<32>().ok_or(Refusal::bad_request("ed25519PublicKey: too short"))?;
    redemption::read_member_key(&base64::encode(key))
}

/// The faults of this area.
pub(super) const FAULTS: &[Fault] = &[
    fault("nonce-16-bytes", &NONCE_SIZE, "A nonce has 16 bytes.", || identity(Nonce16Bytes)),
    fault("nonce-31-bytes", &NONCE_SIZE, "A nonce has 31 bytes.", || identity(Nonce31Bytes)),
    fault("nonce-32-characters", &NONCE_SIZE, "A nonce has 32 characters of base64, which are 24 bytes.", || {
        identity(Nonce32Characters)
    }),
    fault("nonce-unpadded", &BASE64, "Nonces are spelled without padding.", || identity(NonceUnpadded)),
    fault("nonce-url-alphabet", &BASE64, "Nonces are spelled in the URL-safe alphabet.", || identity(NonceUrlAlphabet)),
    fault("nonce-line-break", &BASE64, "Nonces end in a line break, as base64 encoders for mail write them.", || {
        identity(NonceLineBreak)
    }),
    fault("nonce-constant", &NONCE_RANDOM, "Every nonce is the same.", || identity(NonceConstant)),
    fault("nonce-per-key", &NONCE_RANDOM, "A key always gets the same nonce.", || identity(NoncePerKey)),
    fault(
        "nonce-of-the-second",
        &NONCE_RANDOM,
        "Nonces are derived from key and clock, and repeat within a second.",
        || identity(NonceOfTheSecond),
    ),
    fault("nonce-reissued", &NONCE_RANDOM, "A key gets its outstanding nonce again until it is redeemed.", || {
        identity(NonceReissued::default())
    }),
    fault("nonce-counter", &NONCE_LOOKS_RANDOM, "Nonces count up.", || identity(NonceCounter::default())),
    fault("nonce-half-zero", &NONCE_LOOKS_RANDOM, "Half of each nonce is zeros.", || identity(NonceHalfZero)),
    fault("nonce-repeated-uuid", &NONCE_LOOKS_RANDOM, "A nonce is 16 random bytes, twice.", || {
        identity(NonceRepeatedUuid)
    }),
    fault("nonce-hex-text", &NONCE_LOOKS_RANDOM, "A nonce is 32 hexadecimal digits, not 32 random bytes.", || {
        identity(NonceHexText)
    }),
    fault("nonce-timestamp", &NONCE_LOOKS_RANDOM, "A nonce is the time, filled up with the start of the key.", || {
        identity(NonceTimestamp::default())
    }),
    fault("key-unpadded", &IDENTITY_CANONICAL, "A key without its padding is an identity of its own.", || {
        identity(KeyUnpadded)
    }),
    fault("key-url-alphabet", &IDENTITY_CANONICAL, "A key in the URL-safe alphabet is an identity of its own.", || {
        identity(KeyUrlAlphabet)
    }),
    fault(
        "key-stray-bits",
        &IDENTITY_CANONICAL,
        "A key whose unused base64 bits aren't zero is an identity of its own.",
        || identity(KeyStrayBits),
    ),
    fault(
        "key-whitespace",
        &IDENTITY_CANONICAL,
        "White space around a key is skipped, but makes another identity.",
        || identity(KeyWhitespace),
    ),
    fault(
        "key-long",
        &IDENTITY_CANONICAL,
        "Bytes after the 32nd of a key don't count, but make another identity.",
        || identity(KeyLong),
    ),
    fault(
        "key-small-order",
        &SIGNATURE_STRICT,
        "Keys of small order, for which anybody can sign, get a token.",
        || identity(KeySmallOrder),
    ),
];

struct Nonce16Bytes;

impl IdentityRules for Nonce16Bytes {
    fn make_nonce(&self, _: &str, random: [u8; 32]) -> Vec<u8> {
        random[..16].to_vec()
    }
}

struct Nonce31Bytes;

impl IdentityRules for Nonce31Bytes {
    fn make_nonce(&self, _: &str, random: [u8; 32]) -> Vec<u8> {
        random[..31].to_vec()
    }
}

struct Nonce32Characters;

impl IdentityRules for Nonce32Characters {
    fn make_nonce(&self, _: &str, random: [u8; 32]) -> Vec<u8> {
        random[..24].to_vec()
    }
}

struct NonceUnpadded;

impl IdentityRules for NonceUnpadded {
    fn spell_nonce(&self, nonce: &[u8]) -> String {
        base64::encode(nonce).trim_end_matches('=').to_owned()
    }

    fn read_nonce(&self, text: &str) -> Option<Vec<u8>> {
        base64::decode(text).or_else(|_| base64::decode(&format!("{text}="))).ok()
    }
}

struct NonceUrlAlphabet;

impl IdentityRules for NonceUrlAlphabet {
    fn spell_nonce(&self, nonce: &[u8]) -> String {
        base64::encode(nonce).replace('+', "-").replace('/', "_")
    }

    fn read_nonce(&self, text: &str) -> Option<Vec<u8>> {
        base64::decode(&text.replace('-', "+").replace('_', "/")).ok()
    }
}

struct NonceLineBreak;

impl IdentityRules for NonceLineBreak {
    fn spell_nonce(&self, nonce: &[u8]) -> String {
        base64::encode(nonce) + "\n"
    }

    fn read_nonce(&self, text: &str) -> Option<Vec<u8>> {
        base64::decode(text.trim_end()).ok()
    }
}

struct NonceConstant;

impl IdentityRules for NonceConstant {
    fn make_nonce(&self, _: &str, _: [u8; 32]) -> Vec<u8> {
        Sha256::digest(b"nonce").to_vec()
    }
}

struct NoncePerKey;

impl IdentityRules for NoncePerKey {
    fn make_nonce(&self, key: &str, _: [u8; 32]) -> Vec<u8> {
        Sha256::digest(key.as_bytes()).to_vec()
    }
}

struct NonceOfTheSecond;

impl IdentityRules for NonceOfTheSecond {
    fn make_nonce(&self, key: &str, _: [u8; 32]) -> Vec<u8> {
        Sha256::digest(format!("{key}{}", clock::now_ms() / 1000)).to_vec()
    }
}

#[derive(Default)]
struct NonceReissued {
    outstanding: Mutex<HashMap<String, (Vec<u8>, String)>>,
}

impl IdentityRules for NonceReissued {
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

#[derive(Default)]
struct NonceCounter {
    count: AtomicU64,
}

impl IdentityRules for NonceCounter {
    fn make_nonce(&self, _: &str, _: [u8; 32]) -> Vec<u8> {
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        [[0; 24].as_slice(), &count.to_be_bytes()].concat()
    }
}

struct NonceHalfZero;

impl IdentityRules for NonceHalfZero {
    fn make_nonce(&self, _: &str, mut random: [u8; 32]) -> Vec<u8> {
        random[16..].fill(0);
        random.to_vec()
    }
}

struct NonceRepeatedUuid;

impl IdentityRules for NonceRepeatedUuid {
    fn make_nonce(&self, _: &str, random: [u8; 32]) -> Vec<u8> {
        random[..16].repeat(2)
    }
}

struct NonceHexText;

impl IdentityRules for NonceHexText {
    fn make_nonce(&self, _: &str, random: [u8; 32]) -> Vec<u8> {
        hex::encode(&random[..16]).into_bytes()
    }
}

#[derive(Default)]
struct NonceTimestamp {
    count: AtomicU64,
}

impl IdentityRules for NonceTimestamp {
    fn make_nonce(&self, key: &str, _: [u8; 32]) -> Vec<u8> {
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        [&clock::now_ms().to_be_bytes()[..], &count.to_be_bytes(), &key.as_bytes()[..16]].concat()
    }
}

struct KeyUnpadded;

impl IdentityRules for KeyUnpadded {
    fn read_member_key(&self, text: &str) -> Result<[u8; 32], Refusal> {
        redemption::read_member_key(text).or_else(|_| redemption::read_member_key(&format!("{text}=")))
    }
}

struct KeyUrlAlphabet;

impl IdentityRules for KeyUrlAlphabet {
    fn read_member_key(&self, text: &str) -> Result<[u8; 32], Refusal> {
        redemption::read_member_key(&text.replace('-', "+").replace('_', "/"))
    }
}

struct KeyStrayBits;

impl IdentityRules for KeyStrayBits {
    fn read_member_key(&self, text: &str) -> Result<[u8; 32], Refusal> {
        let bytes = STRAY_BITS.decode(text).map_err(|_| Refusal::bad_request("ed25519PublicKey: not base64"))?;
        redemption::read_member_key(&base64::encode(&bytes))
    }
}

struct KeyWhitespace;

impl IdentityRules for KeyWhitespace {
    fn read_member_key(&self, text: &str) -> Result<[u8; 32], Refusal> {
        redemption::read_member_key(text.trim())
    }
}

struct KeyLong;

impl IdentityRules for KeyLong {
    fn read_member_key(&self, text: &str) -> Result<[u8; 32], Refusal> {
        first_32(&base64::decode(text).unwrap_or_default())
    }
}

struct KeySmallOrder;

impl IdentityRules for KeySmallOrder {
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
