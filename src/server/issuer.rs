//! The identity provider's half of the server: its signing key and the tokens it mints and verifies (SPEC §3).

use std::collections::HashMap;
use std::sync::Mutex;

use ed25519_dalek::{Signer, SigningKey};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::clock;
use super::refusal::Refusal;
use super::rules::IdentityRules;
use super::store::Store;
use crate::codec::base64;
use crate::codec::jwt::{self, Jwt};
use crate::ground::lock;

/// Name of the signing key's seed in the database.
const SEED: &str = "issuer-seed";
/// More minted tokens than this aren't remembered as verified; forgetting one costs a signature check.
const MOST: usize = 65_536;

/// Signs and verifies tokens. The key is in the database, so that tokens outlive a restart.
#[derive(Debug)]
pub struct Issuer {
    key: SigningKey,
    kid: String,
    name: String,
    verified: Mutex<HashMap<String, Verified>>,
}

#[derive(Clone, Debug)]
struct Verified {
    member: String,
    expires: i64,
}

impl Issuer {
    /// Takes the signing key out of the database, or makes one, unless it is known.
    ///
    /// # Errors
    /// The database fails, or the operating system gives no random bytes.
    pub fn open(store: &Store, known: Option<[u8; 32]>) -> Result<Self, Refusal> {
        let seed = store.write(|tx| -> Result<_, Refusal> {
            if let Some(seed) = known {
                return Ok(Zeroizing::new(seed));
            }
            if let Some(seed) = tx.meta(SEED)?.and_then(|seed| <[u8; 32]>::try_from(seed).ok()) {
                return Ok(Zeroizing::new(seed));
            }
            let seed = Zeroizing::new(random::<32>()?);
            tx.set_meta(SEED, seed.as_slice())?;
            Ok(seed)
        })?;
        let key = SigningKey::from_bytes(&seed);
        let kid = thumbprint(&key.verifying_key().to_bytes());
        let name = format!("urn:avp:issuer:{kid}");
        Ok(Self { key, kid, name, verified: Mutex::default() })
    }

    /// The raw 32-byte public key.
    pub fn public_key(&self) -> [u8; 32] {
        self.key.verifying_key().to_bytes()
    }

    /// The claim `iss` of every token.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The header of every token.
    pub fn header(&self) -> Map<String, Value> {
        let pairs = [("alg", "EdDSA"), ("typ", "JWT"), ("kid", &self.kid)];
        pairs.into_iter().map(|(name, value)| (name.to_owned(), Value::from(value))).collect()
    }

    /// Raw signature of any bytes.
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.key.sign(message).to_vec()
    }

    /// The public half as a JSON Web Key Set (RFC 7517, RFC 8037).
    pub fn jwks(&self) -> Value {
        let x = base64::encode_url(&self.public_key());
        json!({ "keys": [
            { "kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": self.kid, "x": x }
        ] })
    }

    /// A signed token for a member, valid until `expires` (epoch seconds).
    pub fn mint(&self, rules: &dyn IdentityRules, member: &str, expires: i64) -> Result<String, Refusal> {
        let jti = base64::encode_url(&random::<16>()?);
        let claims = rules.claims(&self.name, member, clock::now_ms() / 1000, expires, jti);
        let token = jwt::encode(&self.header(), &claims, |input| self.sign(input));
        let mut verified = lock(&self.verified);
        if verified.len() >= MOST {
            verified.clear();
        }
        verified.insert(token.clone(), Verified { member: member.to_owned(), expires });
        Ok(token)
    }

    /// The member that a token stands for. A token minted by this process is known by its exact spelling, which saves an
    /// Ed25519 verification per request; any other goes through [`verify`].
    ///
    /// # Errors
    /// 401 for anything but a live token of this issuer.
    pub fn member_of(&self, rules: &dyn IdentityRules, token: &str) -> Result<String, Refusal> {
        let now = clock::now_ms();
        let known = lock(&self.verified).get(token).cloned();
        match known {
            Some(known) if rules.token_is_live(now, known.expires) => Ok(known.member),
            Some(_) => Err(Refusal::unauthorized("the token has expired")),
            None => rules.verify_token(self, token, now),
        }
    }
}

/// Verifies a token from scratch: this issuer's very header, its signature, its claims.
///
/// # Errors
/// 401 for anything but a live token of this issuer.
pub fn verify(rules: &dyn IdentityRules, issuer: &Issuer, token: &str, now_ms: i64) -> Result<String, Refusal> {
    let token = Jwt::parse(token).map_err(|_| Refusal::unauthorized("the token isn't one of ours"))?;
    if !rules.token_header_holds(&issuer.header(), &token.header) {
        return Err(Refusal::unauthorized("the token isn't signed the way ours are"));
    }
    if !rules.token_signature_holds(&issuer.public_key(), &token) {
        return Err(Refusal::unauthorized("the token's signature doesn't verify"));
    }
    if !rules.token_issuer_holds(issuer.name(), &token) {
        return Err(Refusal::unauthorized("the token is another issuer's"));
    }
    let expires = token.claims.get("exp").and_then(Value::as_i64);
    if !expires.is_some_and(|expires| rules.token_is_live(now_ms, expires)) {
        return Err(Refusal::unauthorized("the token has expired"));
    }
    let member = token.subject().and_then(|subject| rules.member_of_subject(subject));
    member.ok_or(Refusal::unauthorized("the token names no member"))
}

/// Random bytes of the operating system.
///
/// # Errors
/// The operating system has none.
pub fn random<const N: usize>() -> Result<[u8; N], Refusal> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| Refusal::internal("the operating system gives no random bytes"))?;
    Ok(bytes)
}

/// The key's thumbprint (RFC 7638), which names it wherever it is published.
fn thumbprint(public: &[u8; 32]) -> String {
    let canonical = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, base64::encode_url(public));
    base64::encode_url(&Sha256::digest(canonical.as_bytes()))
}
