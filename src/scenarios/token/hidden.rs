//! What a token hides: unused bits of its encoding, and whether it could be made from what everybody knows.

use std::collections::BTreeSet;

use sha2::{Digest as _, Sha256, Sha512};

use crate::codec::base64;
use crate::scenarios::Login;

const URL_DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// A bit of the last character that encodes nothing is set, in the last part of a JWT.
pub fn stray_bits(token: &str) -> Option<String> {
    let part = token.rsplit('.').next()?;
    let last = part.bytes().last()?;
    let value = URL_DIGITS.iter().position(|&digit| digit == last)?;
    // Four bits of a part of 4n + 2 characters, two of one of 4n + 3.
    let unused = match part.len() % 4 {
        2 => 0x0f,
        3 => 0x03,
        _ => return None,
    };
    (value & unused == 0).then(|| format!("{}{}", &token[..token.len() - 1], char::from(URL_DIGITS[value | 1])))
}

/// A hash function and its name.
type Hash = (&'static str, fn(&[u8]) -> Vec<u8>);

const HASHES: [Hash; 3] = [
    ("SHA-256", |input| Sha256::digest(input).to_vec()),
    ("SHA-512", |input| Sha512::digest(input).to_vec()),
    ("", |input| input.to_vec()),
];

/// How a token is made, if of nothing secret.
#[derive(Debug, PartialEq, Eq)]
pub enum Derivation {
    /// Of key, time or a counter: anybody can make it.
    Public(String),
    /// Of nonce or signature: whoever has overheard the login can.
    Overheard(String),
}

/// The most milliseconds that are tried.
const TICKS: usize = 2000;

/// How a token is derived from its own login; `span_ms` is when that was, epoch milliseconds.
pub fn derivation(login: &Login, span_ms: (i64, i64)) -> Option<Derivation> {
    let forms = forms(&login.token);
    let request = &login.request;
    let raw = |text: &str| base64::decode(text).unwrap_or_default();
    let (key, nonce, signature) = (raw(&request.ed25519_public_key), raw(&request.nonce), raw(&request.signature));
    let mut inputs: Vec<(String, Vec<u8>)> = vec![
        ("the nonce".into(), nonce.clone()),
        ("the nonce's text".into(), request.nonce.clone().into_bytes()),
        ("the signature".into(), signature.clone()),
        ("the signature's text".into(), request.signature.clone().into_bytes()),
        ("key and nonce".into(), [&key[..], &nonce].concat()),
        ("nonce and key".into(), [&nonce[..], &key].concat()),
        ("the texts of key and nonce".into(), format!("{}{}", request.ed25519_public_key, request.nonce).into_bytes()),
        ("nonce and signature".into(), [&nonce[..], &signature].concat()),
    ];
    let overheard = inputs.len();
    let (from, to) = (span_ms.0 - 5, span_ms.1 + 5);
    for seconds in from / 1000 - 2..=to / 1000 + 2 {
        inputs.extend(timed(&request.ed25519_public_key, "second", seconds));
    }
    for ms in (from..=to).rev().take(TICKS) {
        inputs.extend(timed(&request.ed25519_public_key, "millisecond", ms));
    }
    for count in 0..4096 {
        inputs.extend(timed(&request.ed25519_public_key, "counter", count));
    }
    for (at, (what, input)) in inputs.iter().enumerate() {
        for (hash, digest) in HASHES {
            // Text of a few digits alone would be found in many a token.
            let derived = digest(input);
            if derived.len() >= 16 && forms.contains(&derived) {
                let how = if hash.is_empty() { what.clone() } else { format!("the {hash} of {what}") };
                return Some(if at < overheard { Derivation::Overheard(how) } else { Derivation::Public(how) });
            }
        }
    }
    None
}

fn timed(key: &str, unit: &str, value: i64) -> [(String, Vec<u8>); 5] {
    [
        (format!("the {unit} {value}"), value.to_string().into_bytes()),
        (format!("the key and the {unit} {value}"), format!("{key}{value}").into_bytes()),
        (format!("the key, a colon and the {unit} {value}"), format!("{key}:{value}").into_bytes()),
        (format!("the {unit} {value} and the key"), format!("{value}{key}").into_bytes()),
        (format!("the {unit} {value}, a colon and the key"), format!("{value}:{key}").into_bytes()),
    ]
}

/// What the token's text may stand for: itself, and what it decodes to.
fn forms(token: &str) -> BTreeSet<Vec<u8>> {
    let parts = [token, token.rsplit(['.', '_', ':']).next().unwrap_or(token)];
    let mut all = BTreeSet::new();
    for text in parts {
        all.insert(text.as_bytes().to_vec());
        all.extend(base64::decode(text));
        all.extend(base64::decode_url(text.trim_end_matches('=')));
        all.extend(from_hex(text));
    }
    all
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let even = text.len().is_multiple_of(2) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let pair = |at: usize| u8::from_str_radix(text.get(at..at + 2)?, 16).ok();
    even.then(|| (0..text.len()).step_by(2).filter_map(pair).collect())
}

/// The next tokens after this one, for a server that counts: the last group of digits, in decimal and in hexadecimal, one to three further on.
pub fn successors(token: &str) -> Vec<String> {
    let mut all = Vec::new();
    let is: [(fn(&u8) -> bool, u32); 2] = [(u8::is_ascii_digit, 10), (u8::is_ascii_hexdigit, 16)];
    for (is_digit, radix) in is {
        let tail = token.bytes().rev().take_while(is_digit).count().min(15);
        let (head, digits) = token.split_at(token.len() - tail);
        let Ok(number) = u64::from_str_radix(digits, radix) else { continue };
        for next in number + 1..=number + 3 {
            let text = if radix == 10 { format!("{next:0tail$}") } else { format!("{next:0tail$x}") };
            all.push(format!("{head}{text}"));
        }
    }
    for encode in [base64::encode as fn(&[u8]) -> String, base64::encode_url, crate::ground::hex::encode] {
        let decoded = [base64::decode(token).ok(), base64::decode_url(token).ok(), from_hex(token)];
        for mut bytes in decoded.into_iter().flatten().filter(|bytes| encode(bytes) == token) {
            for _ in 0..3 {
                for byte in bytes.iter_mut().rev() {
                    *byte = byte.wrapping_add(1);
                    if *byte != 0 {
                        break;
                    }
                }
                all.push(encode(&bytes));
            }
        }
    }
    all.sort();
    all.dedup();
    all.retain(|other| other != token);
    all
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::*;
    use crate::wire::TokenRequest;

    fn login(token: String) -> Login {
        let request = TokenRequest {
            ed25519_public_key: base64::encode(&[1; 32]),
            nonce: base64::encode(&[2; 32]),
            signature: base64::encode(&[3; 64]),
        };
        Login { request, token, lifetime: Duration::ZERO, at: Instant::now() }
    }

    #[test]
    fn derivations_are_found() {
        let now = 1_760_000_000_000;
        let derived = |token: String| match derivation(&login(token), (now - 10, now)) {
            Some(Derivation::Public(how)) => how,
            Some(Derivation::Overheard(how)) => format!("overheard: {how}"),
            None => String::new(),
        };
        let token = crate::ground::hex::encode(&Sha256::digest(format!("{}{}", base64::encode(&[1; 32]), now - 3)));
        assert!(derived(token).starts_with("the SHA-256 of the key and the millisecond"));
        assert_eq!(derived(base64::encode(&[3; 64])), "overheard: the signature");
        assert!(derived(crate::ground::hex::encode(&Sha256::digest("17"))).contains("counter 17"));
        assert_eq!(derived(crate::ground::hex::encode(&crate::client::random::bytes::<32>())), "");
    }

    #[test]
    fn counting_goes_on() {
        assert!(successors("avp-0041").contains(&"avp-0042".to_owned()));
        assert!(successors("s_00ff").contains(&"s_0100".to_owned()));
        assert!(successors(&base64::encode(&[0, 0, 9])).contains(&base64::encode(&[0, 0, 10])));
    }

    #[test]
    fn stray_bits_are_those_that_encode_nothing() {
        let token = format!("e30.e30.{}", base64::encode_url(&[0; 64]));
        let stray = stray_bits(&token).unwrap();
        assert_ne!(stray, token);
        assert!(base64::decode_url(stray.rsplit('.').next().unwrap()).is_err());
    }
}
