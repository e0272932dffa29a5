//! Base64, addresses and tokens.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::structured::Structured;
use crate::codec::address::{self, Address};
use crate::codec::base64;
use crate::codec::invite::InviteRequest;
use crate::codec::jwt::{self, Jwt};
use crate::codec::locator::RepoLocator;

/// Strict decoding agrees with a naive reference, what decodes encodes back to the same text, and all bytes survive.
pub fn base64(data: &[u8]) {
    assert_eq!(base64::decode(&base64::encode(data)).as_deref(), Ok(data));
    assert_eq!(base64::decode_url(&base64::encode_url(data)).as_deref(), Ok(data));
    let Ok(text) = std::str::from_utf8(data) else { return };
    let decoded = base64::decode(text).ok();
    assert_eq!(decoded, naive(text), "{text:?}");
    if let Some(bytes) = decoded {
        assert_eq!(base64::encode(&bytes), text);
        assert_eq!(base64::decode_array::<32>(text).is_ok(), bytes.len() == 32);
    }
    if let Ok(bytes) = base64::decode_url(text) {
        assert_eq!(base64::encode_url(&bytes), text);
    }
}

/// Padded standard base64, bit by bit, as slowly as one would explain it.
fn naive(text: &str) -> Option<Vec<u8>> {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    if !text.len().is_multiple_of(4) {
        return None;
    }
    let body = text.strip_suffix("==").or_else(|| text.strip_suffix('=')).unwrap_or(text);
    let mut bits = Vec::new();
    for byte in body.bytes() {
        let value = ALPHABET.iter().position(|letter| *letter == byte)?;
        bits.extend((0..6).rev().map(|bit| value >> bit & 1 == 1));
    }
    let rest = bits.split_off(bits.len() / 8 * 8);
    if rest.len() >= 6 || rest.contains(&true) || rest.len() != (text.len() - body.len()) * 2 {
        return None;
    }
    Some(bits.chunks(8).map(|byte| byte.iter().fold(0, |value, bit| value << 1 | u8::from(*bit))).collect())
}

/// What parses as an address prints as one that parses to the same, and nothing is lost on the way.
pub fn address(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    for text in [text.to_owned(), format!("avp://{text}"), format!("avp://h/{text}")] {
        if let Ok(server) = address::parse_server(&text) {
            assert_eq!(address::parse_server(&format!("avp://{server}/")), Ok(server));
        }
        let Ok(parsed) = Address::parse(&text) else { continue };
        assert!(!parsed.host.is_empty() && !parsed.repo_id.is_empty());
        assert!(text.ends_with(&format!("{}/{}", parsed.host, parsed.repo_id)), "{text:?}");
        assert_eq!(Address::parse(&parsed.to_string()), Ok(parsed));
    }
}

/// As a token or as the JSON inside one; what is neither is drawn from to make one.
pub fn invite(data: &[u8]) {
    if let Some(invite) = tokens(data).find_map(|token| InviteRequest::decode(&token).ok()) {
        assert_eq!(InviteRequest::decode(&invite.encode()).ok().as_ref(), Some(&invite));
        let keys = invite.keys().map(|(ed25519, x25519)| [ed25519, x25519].map(|key| base64::encode(&key)));
        if let Ok([ed25519, x25519]) = keys {
            assert_eq!((ed25519, x25519), (invite.ed25519_public_key, invite.x25519_public_key));
        }
        return;
    }
    let mut input = Structured::new(data);
    let invite = InviteRequest { v: 1, ed25519_public_key: input.text(), x25519_public_key: input.text() };
    one_token(&invite.encode(), &mut input, |token| InviteRequest::decode(token).ok().as_ref() == Some(&invite));
}

/// As a token or as the JSON inside one; what is neither is drawn from to make one.
pub fn locator(data: &[u8]) {
    if let Some(locator) = tokens(data).find_map(|token| RepoLocator::decode(&token).ok()) {
        assert_eq!(RepoLocator::decode(&locator.encode()).ok(), Some(locator));
        return;
    }
    let mut input = Structured::new(data);
    let locator = RepoLocator {
        v: 1,
        host: input.text(),
        repo_id: input.text(),
        scheme_id: input.flag().then(|| input.text()),
        key_epoch: input.flag().then(|| input.integer()),
        issuer_jwks_url: input.flag().then(|| input.text()),
    };
    one_token(&locator.encode(), &mut input, |token| RepoLocator::decode(token).ok().as_ref() == Some(&locator));
}

/// A token says what it was made of, and with a character changed it doesn't: one of the two at a time, for speed.
fn one_token(token: &str, input: &mut Structured<'_>, says_it: impl Fn(&str) -> bool) {
    if input.flag() {
        assert!(says_it(token), "{token} doesn't say what it was made of");
        return;
    }
    let place = input.below(token.len());
    let mut bytes = token.as_bytes().to_vec();
    bytes[place] = if bytes[place] == b'A' { b'B' } else { b'A' };
    // Base64url is ASCII, and so is what is put in.
    let changed = String::from_utf8_lossy(&bytes);
    assert!(!says_it(&changed), "{token} and {changed} say the same");
}

fn tokens(data: &[u8]) -> impl Iterator<Item = Cow<'_, str>> {
    let as_it_is = std::str::from_utf8(data).ok().map(Cow::Borrowed);
    as_it_is.into_iter().chain(std::iter::once_with(|| base64::encode_url(data).into()))
}

/// What reads as a JWT has a signing input that the token begins with; what doesn't is drawn from, and what is encoded reads
/// as the same.
pub fn jwt(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data)
        && let Ok(jwt) = Jwt::parse(text)
    {
        assert!(text.starts_with(&jwt.signing_input));
        assert_eq!(text.len(), jwt.signing_input.len() + 1 + base64::encode_url(&jwt.signature).len());
        assert_eq!(jwt.subject(), jwt.claims.get("sub").and_then(Value::as_str));
        return;
    }
    let mut input = Structured::new(data);
    let (header, claims): (Map<_, _>, Map<_, _>) = (input.members(), input.members());
    let signature = input.bytes();
    let token = jwt::encode(&header, &claims, |signed| {
        assert!(signed.is_ascii());
        signature.clone()
    });
    let read = Jwt::parse(&token).ok().map(|jwt| (jwt.header, jwt.claims, jwt.signature));
    assert_eq!(read, Some((header, claims, signature)));
    assert!(Jwt::parse(&format!("{token}.")).is_err());
}
