//! Making tokens that look right and aren't.

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::Auth;
use crate::client::{Identity, clock, random};
use crate::codec::jwt::{self, Jwt};
use crate::codec::{base64, signature};

/// Tokens with fewer characters than this can't be altered without a chance to hit another living one.
const ENOUGH: usize = 16;

/// One character changed, at `at` or at the next letter or digit behind it. Never the last one, whose low bits may encode nothing.
fn altered(token: &str, at: usize) -> Option<String> {
    let mut bytes = token.as_bytes().to_vec();
    let last = bytes.len().checked_sub(1)?;
    let place = (at..last).find(|&place| bytes[place].is_ascii_alphanumeric())?;
    bytes[place] = match bytes[place] {
        b'z' => b'a',
        b'Z' => b'A',
        b'9' => b'0',
        other => other + 1,
    };
    String::from_utf8(bytes).ok()
}

/// The same shape: every letter and digit is replaced by a random one of its kind.
fn lookalike(token: &str) -> String {
    let mut dice = vec![0; token.len()];
    random::fill(&mut dice);
    let pick = |first: u8, count: u8, die: u8| char::from(first + die % count);
    let one = |(byte, die): (u8, u8)| match byte {
        b'a'..=b'f' => pick(b'a', 6, die),
        b'g'..=b'z' => pick(b'g', 20, die),
        b'A'..=b'Z' => pick(b'A', 26, die),
        b'0'..=b'9' => pick(b'0', 10, die),
        other => char::from(other),
    };
    token.bytes().zip(dice).map(one).collect()
}

/// A real token with something amiss, and tokens of other issuers.
pub fn forgeries(token: &str, holder: &Identity) -> Forgeries {
    let mut all = Vec::new();
    let mut add = |what, token: String| push(&mut all, what, token);
    if token.is_ascii() && token.len() >= ENOUGH {
        // In each part of a JWT, and at the end of its signature.
        let length = token.len();
        for at in [length / 4, length / 2, length * 3 / 4, length - 8] {
            if let Some(altered) = altered(token, at) {
                add("a real token, one character of it changed", altered);
            }
        }
        add("the first half of a real token", token[..token.len() / 2].to_owned());
        add("a real token without its last characters", token[..token.len() - 4].to_owned());
        add("a random token of the usual shape", lookalike(token));
    }
    let (header, claims) = (json!({ "alg": "EdDSA", "typ": "JWT" }), claims_of(holder));
    let seed = random::bytes();
    add("another issuer's JWT (EdDSA)", encode(header, &claims, |input| signature::sign(&seed, input).to_vec()));
    let header = json!({ "alg": "HS256", "typ": "JWT" });
    add("another issuer's JWT (HS256)", encode(header, &claims, |input| hmac_sha256(&seed, input).to_vec()));
    add("a random opaque token", base64::encode_url(&random::bytes::<32>()));
    all
}

/// What an issuer would certify of the holder.
fn claims_of(holder: &Identity) -> Map<String, Value> {
    let now = clock::now_ms() / 1000;
    object(json!({ "sub": format!("key:{}", holder.id), "kind": "keypair", "iat": now, "exp": now + 3600 }))
}

fn object(value: Value) -> Map<String, Value> {
    if let Value::Object(map) = value { map } else { Map::new() }
}

fn encode(header: Value, claims: &Map<String, Value>, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> String {
    jwt::encode(&object(header), claims, sign)
}

/// HMAC-SHA-256 (RFC 2104).
pub fn hmac_sha256(key: &[u8], message: &[u8]) -> [u8; 32] {
    // HMAC takes keys of every length.
    Hmac::<Sha256>::new_from_slice(key).map_or([0; 32], |mac| mac.chain_update(message).finalize().into_bytes().into())
}

/// Where to put a forgery and what it is.
type Forgeries = Vec<(&'static str, Auth)>;

fn push(all: &mut Forgeries, what: &'static str, token: String) {
    all.push((what, Auth::Bearer(token)));
}

/// What every operation must refuse: `real` is the token of the one who may (what an attacker would imitate), `own` is
/// that of `attacker`, who would like to be `victim`.
pub fn jwt_forgeries(real: &Jwt, own: &Jwt, victim: &Identity, attacker: &Identity) -> Forgeries {
    let mut all = Vec::new();
    let unsigned = with(&real.header, "alg", json!("none"));
    push(&mut all, "an unsigned JWT (alg none)", jwt::encode(&unsigned, &real.claims, |_| Vec::new()));
    push(&mut all, "a JWT whose signature is empty", format!("{}.", real.signing_input));
    let claims: Map<_, _> =
        own.claims.iter().map(|(name, value)| (name.clone(), renamed(value, &attacker.id, &victim.id))).collect();
    if claims != own.claims {
        push(&mut all, "a JWT whose subject was edited", jwt::encode(&own.header, &claims, |_| own.signature.clone()));
    }
    let expiry = real.claims.get("exp").and_then(Value::as_i64).unwrap_or(clock::now_ms() / 1000);
    let claims = with(&real.claims, "exp", json!(expiry.saturating_add(86_400)));
    push(&mut all, "a JWT whose expiry was edited", jwt::encode(&real.header, &claims, |_| real.signature.clone()));
    let seed = random::bytes();
    let header = with(&real.header, "alg", json!("EdDSA"));
    let resigned = jwt::encode(&header, &real.claims, |input| signature::sign(&seed, input).to_vec());
    push(&mut all, "a JWT signed with another key", resigned);
    all
}

/// What one operation is tried with besides, as all of them are likely to read tokens with the same library.
pub fn more_jwt_forgeries(real: &Jwt, issuer_keys: &[[u8; 32]]) -> Forgeries {
    let mut all = Vec::new();
    unsigned(real, &mut all);
    resigned(real, &mut all);
    by_known_secret(real, issuer_keys, &mut all);
    all
}

/// RFC 7515 calls it `none`; comparing it with regard to case is a classic.
fn unsigned(real: &Jwt, all: &mut Forgeries) {
    for alg in ["None", "NONE", "nOnE"] {
        let header = with(&real.header, "alg", json!(alg));
        push(all, "an unsigned JWT (alg none in other letters)", jwt::encode(&header, &real.claims, |_| Vec::new()));
    }
    let header = with(&real.header, "alg", json!("none"));
    push(all, "a JWT with alg none and a signature", jwt::encode(&header, &real.claims, |_| real.signature.clone()));
    push(all, "a JWT without its signature", real.signing_input.clone());
    // An ECDSA signature of zeros was once taken for valid by a well-known library.
    let zeros = base64::encode_url(&vec![0; real.signature.len().max(64)]);
    push(all, "a JWT whose signature is zeros", format!("{}.{zeros}", real.signing_input));
    let claims = with(&real.claims, "edited", json!(true));
    push(all, "a JWT with a claim added", jwt::encode(&real.header, &claims, |_| real.signature.clone()));
}

/// Signed by somebody else, who offers the key along with it.
fn resigned(real: &Jwt, all: &mut Forgeries) {
    let seed = random::bytes();
    let sign = |input: &[u8]| signature::sign(&seed, input).to_vec();
    let public = base64::encode_url(&signature::public_key(&seed));
    let key = json!({ "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "x": public });
    let mut header = with(&with(&real.header, "alg", json!("EdDSA")), "jwk", key);
    push(all, "a JWT signed with the key in its own header", jwt::encode(&header, &real.claims, sign));
    header.remove("kid");
    push(all, "a JWT signed with the key in its own header, without kid", jwt::encode(&header, &real.claims, sign));
    header.remove("jwk");
    push(all, "a JWT signed with another key, without kid", jwt::encode(&header, &real.claims, sign));
}

/// Secrets that everybody knows.
pub const KNOWN_SECRETS: [&str; 9] =
    ["", "secret", "changeme", "password", "key", "test", "avp", "jwt-secret", "your-256-bit-secret"];

/// HS256 with a secret that everybody knows: a word, or the issuer's public key in one of its shapes.
fn by_known_secret(real: &Jwt, issuer_keys: &[[u8; 32]], all: &mut Forgeries) {
    let header = with(&real.header, "alg", json!("HS256"));
    let mut sign = |what, secret: &[u8]| {
        push(all, what, jwt::encode(&header, &real.claims, |input| hmac_sha256(secret, input).to_vec()));
    };
    for word in KNOWN_SECRETS {
        sign("a JWT signed HS256 with a well-known secret", word.as_bytes());
    }
    for key in issuer_keys {
        // RFC 8410: SubjectPublicKeyInfo of an Ed25519 key is this prefix and the key.
        let der = [&[0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00], &key[..]].concat();
        let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----", base64::encode(&der));
        let texts =
            [base64::encode_url(key), base64::encode(key), crate::ground::hex::encode(key), format!("{pem}\n"), pem];
        for secret in [&key[..], &der[..]].into_iter().chain(texts.iter().map(String::as_bytes)) {
            sign("a JWT signed HS256 with the issuer's public key as the secret", secret);
        }
    }
}

/// The well-known secret that the end of a token is an HMAC-SHA-256 with, over all that stands before the last dot.
pub fn known_secret_of(token: &str) -> Option<&'static str> {
    let (input, mac) = token.rsplit_once('.')?;
    let mac = base64::decode_url(mac.trim_end_matches('=')).ok()?;
    KNOWN_SECRETS.into_iter().find(|secret| mac == hmac_sha256(secret.as_bytes(), input.as_bytes()))
}

/// The same object with one member more, or another.
pub fn with(map: &Map<String, Value>, name: &str, value: Value) -> Map<String, Value> {
    let mut map = map.clone();
    map.insert(name.into(), value);
    map
}

/// The same claim about somebody else.
fn renamed(value: &Value, from: &str, to: &str) -> Value {
    match value {
        Value::String(text) => text.replace(from, to).into(),
        other => other.clone(),
    }
}

/// Tokens of `victim` that somebody could make who knows only the member id: by putting it in the place of their own in
/// `own`, or by taking it (or a hash of it) for the token.
pub fn from_the_id(own: &str, attacker: &Identity, victim: &Identity) -> Vec<(&'static str, String)> {
    let mut all = Vec::new();
    let swap = |bytes: &[u8]| swapped(bytes, attacker, victim);
    if let Some(token) = swap(own.as_bytes()).and_then(|bytes| String::from_utf8(bytes).ok()) {
        all.push(("one's own token with the other member id in the place of one's own", token));
    }
    let decoded =
        own.split('.').map(|part| base64::decode_url(part.trim_end_matches('=')).ok().and_then(|part| swap(&part)));
    if decoded.clone().any(|part| part.is_some()) {
        let parts: Vec<_> = own
            .split('.')
            .zip(decoded)
            .map(|(part, swapped)| swapped.map_or_else(|| part.to_owned(), |bytes| base64::encode_url(&bytes)))
            .collect();
        all.push(("one's own token, the other member id written into its encoded part", parts.join(".")));
    }
    if let Some(bytes) = base64::decode(own).ok().and_then(|bytes| swap(&bytes)) {
        all.push(("one's own token, the other member id written into its encoded text", base64::encode(&bytes)));
    }
    let key = victim.public_key();
    for token in [
        victim.id.clone(),
        format!("key:{}", victim.id),
        base64::encode_url(&key),
        base64::encode_url(victim.id.as_bytes()),
        crate::ground::hex::encode(&key),
    ] {
        all.push(("the member id for a token", token));
    }
    // What stands in for logins while a server is being written.
    for word in ["dev", "test", "debug", "fake", "mock", "local", "user", "member", "admin"] {
        all.push(("the member id behind a word for a token", format!("{word}:{}", victim.id)));
        all.push(("the member id behind a word for a token", format!("{word}-{}", victim.id)));
    }
    let claims = format!("{{\"sub\":\"key:{}\"}}", victim.id);
    all.push(("bare claims for a token", base64::encode_url(claims.as_bytes())));
    all.push(("bare claims for a token", claims));
    for hash in [Sha256::digest(victim.id.as_bytes()), Sha256::digest(key)] {
        all.push(("a hash of the member id for a token", crate::ground::hex::encode(&hash)));
        all.push(("a hash of the member id for a token", base64::encode_url(&hash)));
    }
    all
}

/// The bytes with one identity's id replaced by another's, however it is spelled; `None` when it isn't there.
fn swapped(bytes: &[u8], from: &Identity, to: &Identity) -> Option<Vec<u8>> {
    fn spellings(who: &Identity) -> [Vec<u8>; 6] {
        let key = who.public_key();
        [
            who.id.clone().into_bytes(),
            who.id.replace('/', "\\/").into_bytes(),
            who.id.trim_end_matches('=').as_bytes().to_vec(),
            base64::encode_url(&key).into_bytes(),
            crate::ground::hex::encode(&key).into_bytes(),
            key.to_vec(),
        ]
    }
    spellings(from).into_iter().zip(spellings(to)).find_map(|(old, new)| {
        let at = bytes.windows(old.len()).position(|window| window == old)?;
        Some([&bytes[..at], &new, &bytes[at + old.len()..]].concat())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4231, test cases 2 and 6.
    #[test]
    fn hmac_rfc_4231() {
        let mac = hmac_sha256(b"Jefe", b"what do ya want for nothing?");
        assert_eq!(
            crate::ground::hex::encode(&mac),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
        let mac = hmac_sha256(&[0xaa; 131], b"Test Using Larger Than Block-Size Key - Hash Key First");
        assert_eq!(
            crate::ground::hex::encode(&mac),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
        );
    }

    #[test]
    fn no_forgery_is_the_real_thing() {
        let (alice, mallory) = (Identity::generate(), Identity::generate());
        let seed = random::bytes();
        let mint = |who| {
            encode(json!({ "alg": "EdDSA", "kid": "1" }), &claims_of(who), |i| signature::sign(&seed, i).to_vec())
        };
        let (real, own) = (mint(&alice), mint(&mallory));
        let jwts = (Jwt::parse(&real).unwrap(), Jwt::parse(&own).unwrap());
        let key = signature::public_key(&seed);
        let forged = jwt_forgeries(&jwts.0, &jwts.1, &alice, &mallory);
        let more = more_jwt_forgeries(&jwts.0, &[key]);
        for (what, auth) in forged.into_iter().chain(more).chain(forgeries(&real, &alice)) {
            let Auth::Bearer(token) = auth else { panic!("{what}") };
            assert_ne!(token, real, "{what}");
            let verifies = Jwt::parse(&token)
                .is_ok_and(|jwt| signature::verify(&key, jwt.signing_input.as_bytes(), &jwt.signature).is_ok());
            assert!(!verifies, "{what}");
        }
        for opaque in ["9Zz9Zz9Zz9Zz9Zz9Zz-_", "0123456789abcdef0123456789abcdef"] {
            for (what, auth) in forgeries(opaque, &alice) {
                let Auth::Bearer(token) = auth else { panic!("{what}") };
                assert_ne!(token, opaque, "{what}");
            }
        }
    }

    #[test]
    fn known_secrets_are_recognised() {
        let sign =
            |secret: &'static str| format!("e30.{}", base64::encode_url(&hmac_sha256(secret.as_bytes(), b"e30")));
        assert_eq!(known_secret_of(&sign("changeme")), Some("changeme"));
        assert_eq!(known_secret_of(&sign("something nobody guesses")), None);
        assert_eq!(known_secret_of("opaque"), None);
    }

    #[test]
    fn ids_are_found_and_swapped_wherever_they_stand() {
        let (alice, mallory) = (Identity::generate(), Identity::generate());
        let forged =
            |own: &str| from_the_id(own, &mallory, &alice).into_iter().map(|(_, token)| token).collect::<Vec<_>>();
        assert!(forged(&format!("avp-{}", mallory.id)).contains(&format!("avp-{}", alice.id)));
        let token = |who: &Identity| base64::encode_url(format!(r#"{{"sub":"key:{}"}}"#, who.id).as_bytes());
        assert!(forged(&token(&mallory)).contains(&token(&alice)));
        let sealed = |who: &Identity| format!("{}.mac", token(who));
        assert!(forged(&sealed(&mallory)).contains(&sealed(&alice)));
    }
}
