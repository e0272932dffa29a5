//! Tokens that choose how they are verified (SPEC §3): algorithms, keys and addresses of their own.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Map, Value};
use sha2::{Sha256, Sha384, Sha512};

use super::table::*;
use super::tokens::{REFUSED, named};
use crate::codec::jwt::Jwt;
use crate::codec::{base64, envelope, signature};
use crate::server::issuer::{self, Issuer};
use crate::server::refusal::Refusal;
use crate::server::rules::IdentityRules;

/// A server that believes a token under a condition of its own, and verifies all others.
struct Believes(fn(&Issuer, &Jwt) -> bool);

impl IdentityRules for Believes {
    fn verify_token(&self, issuer: &Issuer, token: &str, now_ms: i64) -> Result<String, Refusal> {
        if Jwt::parse(token).is_ok_and(|parsed| (self.0)(issuer, &parsed)) {
            return named(token);
        }
        issuer::verify(self, issuer, token, now_ms)
    }
}

fn text<'a>(map: &'a Map<String, Value>, name: &str) -> &'a str {
    map.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn alg(token: &Jwt) -> &str {
    text(&token.header, "alg")
}

fn hs256(token: &Jwt, secret: &[u8]) -> bool {
    let mac = Hmac::<Sha256>::new_from_slice(secret).map(|mac| mac.chain_update(&token.signing_input));
    alg(token) == "HS256" && mac.is_ok_and(|mac| mac.verify_slice(&token.signature).is_ok())
}

fn hs384(token: &Jwt, secret: &[u8]) -> bool {
    let mac = Hmac::<Sha384>::new_from_slice(secret).map(|mac| mac.chain_update(&token.signing_input));
    alg(token) == "HS384" && mac.is_ok_and(|mac| mac.verify_slice(&token.signature).is_ok())
}

fn hs512(token: &Jwt, secret: &[u8]) -> bool {
    let mac = Hmac::<Sha512>::new_from_slice(secret).map(|mac| mac.chain_update(&token.signing_input));
    alg(token) == "HS512" && mac.is_ok_and(|mac| mac.verify_slice(&token.signature).is_ok())
}

fn by(key: Option<[u8; 32]>, token: &Jwt) -> bool {
    key.is_some_and(|key| signature::verify(&key, token.signing_input.as_bytes(), &token.signature).is_ok())
}

fn der(issuer: &Issuer) -> Vec<u8> {
    let prefix = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
    [&prefix[..], &issuer.public_key()].concat()
}

fn pem(issuer: &Issuer) -> String {
    format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", base64::encode(&der(issuer)))
}

/// The Ed25519 key of a JWK.
fn key_of(jwk: &Value) -> Option<[u8; 32]> {
    base64::decode_url(jwk.get("x")?.as_str()?).ok()?.try_into().ok()
}

/// The first key of the key set at an address.
fn fetched(url: &str) -> Option<[u8; 32]> {
    let (host, path) = url.strip_prefix("http://")?.split_once('/')?;
    let mut stream = TcpStream::connect_timeout(&host.parse().ok()?, Duration::from_secs(1)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(1))).ok()?;
    write!(stream, "GET /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.take(65_536).read_to_string(&mut answer).ok()?;
    let document: Value = serde_json::from_str(answer.split_once("\r\n\r\n")?.1).ok()?;
    key_of(document.get("keys")?.get(0)?)
}

fn by_its_subject(token: &Jwt) -> bool {
    let id = token.claims.get("sub").and_then(|sub| sub.as_str()?.strip_prefix("key:"));
    let key = id.and_then(|id| <[u8; 32]>::try_from(base64::decode(id).ok()?).ok());
    key.is_some_and(|key| signature::verify(&key, token.signing_input.as_bytes(), &token.signature).is_ok())
}

fn by_its_kid(token: &Jwt) -> bool {
    let kid = token.header.get("kid").and_then(|kid| kid.as_str());
    let key = kid.and_then(|kid| <[u8; 32]>::try_from(base64::decode_url(kid).ok()?).ok());
    key.is_some_and(|key| signature::verify(&key, token.signing_input.as_bytes(), &token.signature).is_ok())
}

/// The faults of this area.
pub(super) const FAULTS: &[Fault] = &[
    fault("token-alg-missing", &TOKEN_VERIFIED, "A token without alg needs no signature.", || {
        identity(Believes(|_, token| !token.header.contains_key("alg")))
    }),
    fault("token-alg-empty", &TOKEN_VERIFIED, "A token whose alg is empty needs no signature.", || {
        identity(Believes(|_, token| token.header.get("alg").and_then(Value::as_str) == Some("")))
    }),
    fault("token-alg-null", &TOKEN_VERIFIED, "A token whose alg is null needs no signature.", || {
        identity(Believes(|_, token| token.header.get("alg") == Some(&Value::Null)))
    }),
    fault(
        "token-alg-no-text",
        &TOKEN_VERIFIED,
        "A token whose alg is no string is taken for one that needs no signature.",
        || identity(Believes(|_, token| token.header.get("alg").is_some_and(|alg| !alg.is_string() && !alg.is_null()))),
    ),
    fault(
        "token-alg-any-case",
        &TOKEN_VERIFIED,
        "The algorithm none is refused in small letters, and understood in all.",
        || identity(Believes(|_, token| alg(token) != "none" && alg(token).eq_ignore_ascii_case("none"))),
    ),
    fault(
        "token-alg-trimmed",
        &TOKEN_VERIFIED,
        "The algorithm none is refused, and understood with blanks around it.",
        || identity(Believes(|_, token| alg(token) != "none" && alg(token).trim() == "none")),
    ),
    fault(
        "token-alg-unknown",
        &TOKEN_VERIFIED,
        "A token of an algorithm that this server doesn't know isn't verified.",
        || identity(Believes(|_, token| !matches!(alg(token), "none" | "EdDSA" | "HS256") && !alg(token).is_empty())),
    ),
    fault("token-psychic", &TOKEN_VERIFIED, "An ECDSA signature of zeros passes.", || {
        identity(Believes(|_, token| alg(token) == "ES256" && token.signature.iter().all(|&byte| byte == 0)))
    }),
    fault(
        "token-signed-by-its-subject",
        &TOKEN_VERIFIED,
        "A token is verified with the key that its sub names: every member signs its own.",
        || identity(Believes(|_, token| by_its_subject(token))),
    ),
    fault(
        "token-signed-by-its-kid",
        &TOKEN_VERIFIED,
        "A token is verified with the key that its kid holds: every member signs its own.",
        || identity(Believes(|_, token| by_its_kid(token))),
    ),
    fault("token-hs256-key-bytes", &TOKEN_VERIFIED, "The bytes of the public key pass for an HS256 secret.", || {
        identity(Believes(|issuer, token| hs256(token, &issuer.public_key())))
    }),
    fault(
        "token-hs256-key-text",
        &TOKEN_VERIFIED,
        "The public key as it stands in the key set passes for an HS256 secret.",
        || identity(Believes(|issuer, token| hs256(token, base64::encode_url(&issuer.public_key()).as_bytes()))),
    ),
    fault("token-hs256-pem", &TOKEN_VERIFIED, "The public key in PEM passes for an HS256 secret.", || {
        identity(Believes(|issuer, token| hs256(token, pem(issuer).as_bytes())))
    }),
    fault("token-hs256-jwks", &TOKEN_VERIFIED, "The published key set passes for an HS256 secret.", || {
        identity(Believes(|issuer, token| hs256(token, issuer.jwks().to_string().as_bytes())))
    }),
    fault("token-hs256-jwk", &TOKEN_VERIFIED, "The published key as JSON passes for an HS256 secret.", || {
        identity(Believes(|issuer, token| hs256(token, issuer.jwks()["keys"][0].to_string().as_bytes())))
    }),
    fault("token-hs384-pem", &TOKEN_VERIFIED, "The public key in PEM passes for an HS384 secret.", || {
        identity(Believes(|issuer, token| hs384(token, pem(issuer).as_bytes())))
    }),
    fault("token-hs512-key-bytes", &TOKEN_VERIFIED, "The bytes of the public key pass for an HS512 secret.", || {
        identity(Believes(|issuer, token| hs512(token, &issuer.public_key())))
    }),
    fault("token-hs256-der", &TOKEN_VERIFIED, "The public key in DER passes for an HS256 secret.", || {
        identity(Believes(|issuer, token| hs256(token, &der(issuer))))
    }),
    fault(
        "token-kid-is-a-path",
        &TOKEN_VERIFIED,
        "The secret of a token is read from the file that its kid names.",
        || identity(Believes(|_, token| text(&token.header, "kid").ends_with("/dev/null") && hs256(token, b""))),
    ),
    fault("token-kid-is-sql", &TOKEN_VERIFIED, "The secret of a token is what a query with its kid selects.", || {
        identity(Believes(|_, token| {
            let selected =
                text(&token.header, "kid").split_once("' UNION SELECT '").and_then(|(_, rest)| rest.split_once('\''));
            selected.is_some_and(|(secret, _)| hs256(token, secret.as_bytes()))
        }))
    }),
    fault("token-kid-unknown", &TOKEN_VERIFIED, "A kid that isn't known gives an empty secret.", || {
        identity(Believes(|issuer, token| {
            token.header.contains_key("kid")
                && token.header.get("kid") != issuer.header().get("kid")
                && hs256(token, b"")
        }))
    }),
    fault("token-kid-missing", &TOKEN_VERIFIED, "A token without kid is verified with an empty secret.", || {
        identity(Believes(|_, token| !token.header.contains_key("kid") && hs256(token, b"")))
    }),
    fault(
        "token-jwk-secret",
        &TOKEN_VERIFIED,
        "A token is verified with the secret that its own header brings along.",
        || {
            identity(Believes(|_, token| {
                let secret = token.header.get("jwk").and_then(|jwk| base64::decode_url(jwk.get("k")?.as_str()?).ok());
                secret.is_some_and(|secret| hs256(token, &secret))
            }))
        },
    ),
    fault("token-x5c", &TOKEN_VERIFIED, "A token is verified with the certificate in its own header.", || {
        identity(Believes(|_, token| {
            let certificate = token.header.get("x5c").and_then(|chain| base64::decode(chain.get(0)?.as_str()?).ok());
            let key = certificate.and_then(|bytes| {
                let at = bytes.windows(5).position(|window| window == [0x2b, 0x65, 0x70, 0x03, 0x21])?;
                bytes.get(at + 6..at + 38)?.try_into().ok()
            });
            by(key, token)
        }))
    }),
    fault(
        "token-jku",
        &TOKEN_VERIFIED,
        "A token is verified with the key set at the address that its own header names.",
        || identity(Believes(|_, token| by(fetched(text(&token.header, "jku")), token))),
    ),
    fault(
        "token-iss-followed",
        &TOKEN_VERIFIED,
        "A token is verified with the key set of the issuer that it names.",
        || {
            identity(Believes(|_, token| {
                by(fetched(&format!("{}/.well-known/jwks.json", text(&token.claims, "iss"))), token)
            }))
        },
    ),
    fault(
        "token-jku-fetched",
        &TOKEN_FETCHES_NOTHING,
        "The key set at the address in a token's header is fetched before it turns out not to be wanted.",
        || {
            identity(Believes(|_, token| {
                fetched(text(&token.header, "jku"));
                false
            }))
        },
    ),
    fault(
        "token-x5u-fetched",
        &TOKEN_FETCHES_NOTHING,
        "The certificate at the address in a token's header is fetched before it turns out not to be wanted.",
        || {
            identity(Believes(|_, token| {
                fetched(text(&token.header, "x5u"));
                false
            }))
        },
    ),
    fault(
        "token-encrypted-is-enough",
        &TOKEN_VERIFIED,
        "A token that is encrypted with the published key needs no signature.",
        || identity(TokenEncryptedIsEnough),
    ),
    fault("token-rest-ignored", &TOKEN_BEARER_ONLY, "What follows the third part of a token is ignored.", || {
        identity(TokenRestIgnored)
    }),
    fault(
        "token-claims-compared",
        &TOKEN_VERIFIED,
        "A token with a word more behind it is verified without that.",
        || identity(TokenClaimsCompared),
    ),
];

struct TokenEncryptedIsEnough;

impl IdentityRules for TokenEncryptedIsEnough {
    fn verify_token(&self, issuer: &Issuer, token: &str, now_ms: i64) -> Result<String, Refusal> {
        let parts: Vec<&str> = token.split('.').collect();
        let [header, _, iv, body, tag] = parts[..] else { return issuer::verify(self, issuer, token, now_ms) };
        let bytes = |part: &str| base64::decode_url(part).map_err(|_| REFUSED);
        let iv = bytes(iv)?.try_into().map_err(|_| REFUSED)?;
        let sealed = [bytes(body)?, bytes(tag)?].concat();
        let plaintext = envelope::open_with_aad(&issuer.public_key(), &iv, header.as_bytes(), &sealed);
        let claims: Value = plaintext.ok().and_then(|text| serde_json::from_slice(&text).ok()).ok_or(REFUSED)?;
        let subject = claims.get("sub").and_then(Value::as_str).and_then(|subject| self.member_of_subject(subject));
        subject.ok_or(REFUSED)
    }
}

struct TokenRestIgnored;

impl IdentityRules for TokenRestIgnored {
    fn verify_token(&self, issuer: &Issuer, token: &str, now_ms: i64) -> Result<String, Refusal> {
        let parts: Vec<&str> = token.splitn(4, '.').take(3).collect();
        issuer::verify(self, issuer, &parts.join("."), now_ms)
    }
}

struct TokenClaimsCompared;

impl IdentityRules for TokenClaimsCompared {
    fn verify_token(&self, issuer: &Issuer, token: &str, now_ms: i64) -> Result<String, Refusal> {
        let cut = token.strip_suffix("AAAA").unwrap_or(token);
        issuer::verify(self, issuer, cut, now_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_from_key_sets_only() {
        assert_eq!(fetched("ftp://127.0.0.1/"), None);
        assert_eq!(key_of(&serde_json::json!({ "x": base64::encode_url(&[7; 32]) })), Some([7; 32]));
    }
}
