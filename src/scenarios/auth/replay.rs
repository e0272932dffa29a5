//! Used nonces that come back, and unused ones that get lost: by many logins, by what happened in between, in another spelling.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method};
use serde_json::{Value, json};

use super::nonce::stray_bits;
use super::{bytes_of, spend};
use crate::client::{Identity, random};
use crate::codec::base64;
use crate::scenarios::attempts::Attempts;
use crate::scenarios::check::checks;
use crate::scenarios::{Auth, Call, Ctx, Finding, Operation, Outcome, Stop};
use crate::wire::TokenRequest;
use crate::wire::segment;

checks! {
    "auth/nonce-reused-after-many-logins", Must, "§3", [NONCE_SINGLE_USE, NONCE_REDEEMABLE], reused_after_many,
        "A used nonce stays used after dozens of other logins";
    "auth/nonce-reused-after-failures", Must, "§3", [NONCE_SINGLE_USE], reused_after_failures,
        "A used nonce stays used whatever is tried with it or with its key in between";
    "auth/nonce-reused-in-disguise", Must, "§3", [NONCE_SINGLE_USE], reused_in_disguise,
        "A used nonce stays used when nonce, signature, key or JSON is spelled in another way";
    "auth/nonce-altered", Must, "§3", [NONCE_ISSUED], altered,
        "A nonce that was altered anywhere, cut or made longer isn't the one that was issued";
    "auth/nonce-outlives-newer-challenge", Hardening, "§3", [NONCE_REDEEMABLE], outlives_challenge,
        "A nonce still works after somebody has asked for another one for the same key";
}

/// Logins of one key; servers keep the last ten or so of each, or some hundred altogether, which the run's end shows.
const LOGINS: usize = 44;
/// The same when there is time, and of how many other keys.
const MANY_LOGINS: (usize, usize) = (110, 1050);

/// A memory for used nonces that is too small forgets the oldest.
async fn reused_after_many(cx: &Ctx) -> Outcome {
    let alice = cx.identity();
    let mut used = vec![spend(cx, &alice).await?];
    let (own, others) = if cx.thorough() { MANY_LOGINS } else { (LOGINS, 0) };
    for round in 0..own + others {
        // Others come first, so that alice's first nonce is the oldest of all.
        let who = if round < others { &Identity::generate() } else { &alice };
        match cx.log_in(who).await {
            Ok((request, _)) if round >= others => used.push(request),
            Ok(_) => {}
            // So many logins as the deployment allows, which it says by a status of limits.
            Err(Stop::SetupFailed(finding)) if used.len() + round > 2 => {
                let status = finding.exchange.as_ref().and_then(|exchange| exchange.status);
                if matches!(status, Some(400 | 404 | 409)) {
                    let expected = "a right login gets a token, or is refused as one too many (429)";
                    return Err(Stop::Violation(Box::new(Finding { expected: expected.into(), ..*finding })));
                }
                break;
            }
            Err(_) if used.len() + round > 2 => break,
            Err(stop) => return Err(stop),
        }
    }
    let mut tally = Attempts::new(cx);
    let middle = used.len() / 2;
    for (at, request) in used.iter().enumerate().filter(|(at, _)| *at < 4 || *at == middle || at + 1 == used.len()) {
        let answer = cx.token(request).await?;
        tally.count(format!("a nonce after {} more logins of the same key", used.len() - 1 - at), &answer);
    }
    tally.verdict("a nonce that has bought a token buys no other, however many logins came after it")
}

/// What may happen between a redemption and its repetition.
const INTERLUDES: [(&str, Interlude); 9] = [
    ("a wrong signature over it", |_, used| {
        token_call(&TokenRequest { signature: base64::encode(&[7; 64]), ..used.clone() })
    }),
    ("an empty signature over it", |_, used| token_call(&TokenRequest { signature: String::new(), ..used.clone() })),
    ("its redemption by another key", |_, used| {
        let mallory = Identity::generate();
        let signature = mallory.sign(&base64::decode(&used.nonce).unwrap_or_default());
        let signature = base64::encode(&signature);
        token_call(&TokenRequest { ed25519_public_key: mallory.id, signature, ..used.clone() })
    }),
    ("a redemption without signature", |_, used| body_call(Operation::Token, without(used, "signature"))),
    ("a redemption without key", |_, used| body_call(Operation::Token, without(used, "ed25519PublicKey"))),
    ("a redemption that breaks off", |_, used| {
        let mut body = json_of(used).to_string();
        body.truncate(body.len() - 2);
        raw_call(body.into())
    }),
    ("a new challenge", |alice, _| body_call(Operation::Challenge, json!({ "ed25519PublicKey": alice.id }))),
    ("a challenge that brings the nonce along", |alice, used| {
        body_call(Operation::Challenge, json!({ "ed25519PublicKey": alice.id, "nonce": used.nonce }))
    }),
    ("OPTIONS on token", |_, _| Call {
        method: Method::OPTIONS,
        body: None,
        operation: None,
        ..raw_call(Bytes::new())
    }),
];

type Interlude = fn(&Identity, &TokenRequest) -> Call<'static>;

fn token_call(request: &TokenRequest) -> Call<'static> {
    body_call(Operation::Token, json_of(request))
}

/// Not held to the schema: it may well break it.
pub(super) fn body_call(operation: Operation, body: Value) -> Call<'static> {
    Call { validated: false, ..Call::operation(operation, "", "", &Auth::None, Some(body.to_string().into())) }
}

pub(super) fn raw_call(body: Bytes) -> Call<'static> {
    Call { validated: false, ..Call::operation(Operation::Token, "", "", &Auth::None, Some(body)) }
}

pub(super) fn json_of(request: &TokenRequest) -> Value {
    json!({
        "ed25519PublicKey": request.ed25519_public_key, "nonce": request.nonce, "signature": request.signature,
    })
}

fn without(request: &TokenRequest, name: &str) -> Value {
    let mut body = json_of(request);
    body.as_object_mut().map(|body| body.remove(name));
    body
}

/// A failed attempt may be rolled back, and the mark of the nonce with it.
async fn reused_after_failures(cx: &Ctx) -> Outcome {
    let alice = cx.identity();
    let used = spend(cx, &alice).await?;
    let mut tally = Attempts::new(cx);
    for (what, interlude) in INTERLUDES {
        // What comes of it is the business of others.
        let _ = cx.try_call(interlude(&alice, &used)).await;
        tally.count(format!("the nonce after {what}"), &cx.token(&used).await?);
    }
    // Counting failures of a key may end in forgetting what is known of it.
    for _ in 0..10 {
        let wrong =
            TokenRequest { signature: base64::encode(&[7; 64]), ..cx.redeem(&alice, &cx.nonce(&alice).await?)? };
        cx.token(&wrong).await?;
    }
    tally.count("the nonce after ten wrong signatures of the same key", &cx.token(&used).await?);
    tally.verdict("a nonce that has bought a token buys no other, whatever happens in between")
}

/// A login whose key, nonce and signature all have what base64url spells in another way, and whose it is.
async fn spend_awkward(cx: &Ctx) -> Result<(Identity, TokenRequest), Stop> {
    let alice = cx.introduce(Identity::generate_with(|id| id.contains('+') && id.contains('/')));
    for _ in 0..8 {
        let request = cx.redeem(&alice, &cx.nonce(&alice).await?)?;
        if request.nonce.contains(['+', '/']) && request.signature.contains(['+', '/']) {
            let answer = cx.token(&request).await?;
            if answer.is_success() {
                return Ok((alice, request));
            }
        }
    }
    let request = spend(cx, &alice).await?;
    Ok((alice, request))
}

/// Who asks, as far as headers tell: a memory of what each of them has used isn't one of what was used.
const DISGUISES: [(&str, &[(&str, &str)]); 2] = [
    ("from another address", &[("x-forwarded-for", "203.0.113.9"), ("x-real-ip", "203.0.113.9")]),
    ("with a number of its own", &[("x-request-id", "0b7e5a4c-2"), ("idempotency-key", "0b7e5a4c-2")]),
];

fn disguised(used: &TokenRequest, headers: &[(&'static str, &'static str)]) -> Call<'static> {
    let headers = headers.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
    Call { headers: headers.collect(), ..token_call(used) }
}

/// Spellings that lenient decoders take for the same bytes; those that are the spelling itself are left out.
fn spellings(text: &str) -> Vec<(&'static str, String)> {
    let (bare, middle) = (text.trim_end_matches('='), text.len() / 2 / 4 * 4);
    let url = |text: &str| text.replace('+', "-").replace('/', "_");
    let split = |between: &str| format!("{}{between}{}", &text[..middle], &text[middle..]);
    let halves = base64::decode(text).map_or_else(
        |_| text.to_owned(),
        |bytes| {
            format!(
                "{}{}",
                base64::encode(&bytes[..bytes.len().min(16)]),
                base64::encode(&bytes[bytes.len().min(16)..])
            )
        },
    );
    let hex = base64::decode(text).map_or_else(|_| text.to_owned(), |bytes| crate::ground::hex::encode(&bytes));
    let mut all = vec![
        ("without padding", bare.to_owned()),
        ("with more padding", format!("{text}=")),
        ("with much padding", format!("{text}====")),
        ("in the URL alphabet", url(text)),
        ("in the URL alphabet without padding", url(bare)),
        ("with a blank in front", format!(" {text}")),
        ("with a blank behind", format!("{text} ")),
        ("with a line break behind", format!("{text}\n")),
        ("with a tab behind", format!("{text}\t")),
        ("with a line break within", split("\r\n")),
        ("with a blank within", split(" ")),
        ("with a stray character within", split("!")),
        ("with a NUL behind", format!("{text}\0")),
        ("with a byte order mark", format!("\u{feff}{text}")),
        ("with a zero-width space behind", format!("{text}\u{200b}")),
        ("with text behind its padding", format!("{text}AAAA")),
        ("with a dot behind", format!("{text}.")),
        ("in two encoded pieces", halves),
        ("percent-encoded", segment(text)),
        ("in hexadecimal digits", hex),
        ("with plus read as blank", text.replace('+', " ")),
    ];
    all.extend(stray_bits(text).map(|text| ("with stray bits in the last character", text)));
    all.retain(|(_, spelling)| spelling != text);
    all
}

/// What is single-use is the nonce, not the request that it came in.
async fn reused_in_disguise(cx: &Ctx) -> Outcome {
    let (alice, used) = spend_awkward(cx).await?;
    let mut tally = Attempts::new(cx);
    // Who holds the key can sign one nonce in any number of ways.
    let anew = base64::encode(&alice.sign_otherwise(&bytes_of(cx, &used.nonce)?));
    tally.attempt("the nonce signed anew", token_call(&TokenRequest { signature: anew, ..used.clone() })).await?;
    for (how, headers) in DISGUISES {
        tally.attempt(format!("the same request {how}"), disguised(&used, headers)).await?;
    }
    for (how, nonce) in spellings(&used.nonce) {
        tally.attempt(format!("the nonce {how}"), token_call(&TokenRequest { nonce, ..used.clone() })).await?;
    }
    for (how, signature) in spellings(&used.signature) {
        tally.attempt(format!("the signature {how}"), token_call(&TokenRequest { signature, ..used.clone() })).await?;
    }
    for (how, key) in spellings(&used.ed25519_public_key) {
        let request = TokenRequest { ed25519_public_key: key, ..used.clone() };
        tally.attempt(format!("the key {how}"), token_call(&request)).await?;
    }
    let malleable = base64::decode_array::<64>(&used.signature)
        .map(|signature| crate::ground::ed25519::unreduced(&signature))
        .unwrap_or([0; 64]);
    let request = TokenRequest { signature: base64::encode(&malleable), ..used.clone() };
    tally.attempt("the signature with L added to its S", token_call(&request)).await?;
    for (how, body) in bodies(&used) {
        tally.attempt(how, raw_call(body.into())).await?;
    }
    tally.verdict("a used nonce buys no token, however the request is spelled")
}

/// The same message in other bytes.
fn bodies(used: &TokenRequest) -> Vec<(&'static str, String)> {
    let TokenRequest { ed25519_public_key: key, nonce, signature } = used;
    let escaped: String = nonce.chars().map(|c| format!("\\u{:04x}", u32::from(c))).collect();
    vec![
        (
            "its members in another order",
            format!(r#"{{"signature":"{signature}","nonce":"{nonce}","ed25519PublicKey":"{key}"}}"#),
        ),
        (
            "blanks between its members",
            format!(
                "{{\n  \"ed25519PublicKey\": \"{key}\",\n  \"nonce\": \"{nonce}\",\n  \"signature\": \"{signature}\"\n}}\n"
            ),
        ),
        (
            "the nonce in JSON escapes",
            format!(r#"{{"ed25519PublicKey":"{key}","nonce":"{escaped}","signature":"{signature}"}}"#),
        ),
        (
            "one more member",
            format!(r#"{{"ed25519PublicKey":"{key}","nonce":"{nonce}","signature":"{signature}","requestId":"2"}}"#),
        ),
    ]
}

/// Nonces that aren't the one that was issued, though much of them is; each is signed rightly for what it is.
fn alterations(nonce: &[u8]) -> Vec<(String, Vec<u8>)> {
    let length = nonce.len();
    let flipped = |at: usize| {
        let mut other = nonce.to_vec();
        other[at] ^= 0x20;
        (format!("byte {at} of {length} changed"), other)
    };
    let mut all: Vec<_> =
        [0, 7, 8, 15, 16, 23, 24, length - 1].into_iter().filter(|&at| at < length).map(flipped).collect();
    let mut random_end = nonce.to_vec();
    random::fill(&mut random_end[length.min(16)..]);
    let mut random_start = nonce.to_vec();
    random::fill(&mut random_start[..length / 2]);
    let named = [
        ("only its first 16 bytes as they were", random_end),
        ("only its second half as it was", random_start),
        ("its last byte cut off", nonce[..length - 1].to_vec()),
        ("its first byte cut off", nonce[1..].to_vec()),
        ("cut to 16 bytes", nonce[..length.min(16)].to_vec()),
        ("a zero byte in front", [&[0], nonce].concat()),
        ("a zero byte behind", [nonce, &[0]].concat()),
        ("32 more bytes behind", [nonce, &[7; 32]].concat()),
        ("twice in a row", nonce.repeat(2)),
        ("its bytes in reverse", nonce.iter().rev().copied().collect()),
        ("its base64 text encoded again", base64::encode(nonce).into_bytes()),
    ];
    all.extend(named.map(|(what, bytes)| (what.to_owned(), bytes)));
    let text = base64::encode(nonce);
    for (what, other) in
        [("its text in lower case", text.to_ascii_lowercase()), ("its text in upper case", text.to_ascii_uppercase())]
    {
        // The last character may encode stray bits then.
        let bytes = base64::decode(&other).or_else(|_| base64::decode(&format!("{}A=", &other[..other.len() - 2])));
        all.extend(bytes.ok().map(|bytes| (what.to_owned(), bytes)));
    }
    all.retain(|(_, other)| other != nonce);
    all
}

/// Signed as it is, and with the signature over the nonce that was really issued.
async fn altered(cx: &Ctx) -> Outcome {
    let alice = cx.identity();
    let issued = bytes_of(cx, &cx.nonce(&alice).await?)?;
    if issued.len() < 2 {
        return Err(Stop::not_applicable("the nonces are too short to be altered"));
    }
    let mut tally = Attempts::new(cx);
    for (what, other) in alterations(&issued) {
        for (message, signed) in [("itself", &other), ("the real one", &issued)] {
            let signature = base64::encode(&alice.sign(signed));
            let request =
                TokenRequest { ed25519_public_key: alice.id.clone(), nonce: base64::encode(&other), signature };
            tally.count(format!("a nonce with {what}, a signature over {message}"), &cx.token(&request).await?);
        }
    }
    tally.verdict("a nonce that wasn't issued buys no token")
}

/// Otherwise whoever knows an id keeps its owner from logging in, and two devices of one member get in each other's way.
async fn outlives_challenge(cx: &Ctx) -> Outcome {
    let alice = cx.identity();
    let (older, _newer) = (cx.nonce(&alice).await?, cx.nonce(&alice).await?);
    let answer = cx.token(&cx.redeem(&alice, &older)?).await?;
    if answer.status == 429 {
        return Err(Stop::not_judged("a rate limit was met"));
    }
    let expected = "the earlier of two nonces works as well, as anybody can ask for one";
    answer.must(answer.is_success(), expected, || answer.summary())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn disguises_and_alterations_differ_from_the_real_thing() {
        let nonce = [0xfb; 32];
        let text = base64::encode(&nonce);
        assert!(spellings(&text).len() > 16);
        assert!(spellings(&text).iter().all(|(_, other)| *other != text));
        assert!(alterations(&nonce).len() > 15);
        assert!(alterations(&nonce).iter().all(|(_, other)| *other != nonce));
        assert!(alterations(&[1, 2]).iter().all(|(_, other)| *other != [1, 2]));
    }

    #[test]
    fn bodies_are_the_same_message() {
        let used = TokenRequest { ed25519_public_key: "a+/b=".into(), nonce: "n+/=".into(), signature: "s".into() };
        for (how, body) in bodies(&used) {
            let value: Value = serde_json::from_str(&body).unwrap();
            assert_eq!((&value["nonce"], &value["ed25519PublicKey"]), (&json!("n+/="), &json!("a+/b=")), "{how}");
        }
    }
}
