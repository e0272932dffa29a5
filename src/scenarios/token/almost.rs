//! Tokens that are almost right: JWTs that choose how they are verified, and tokens that are longer or shorter than the real one.

use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::forge::with;
use super::tricks::{Ours, addresses, tricks};
use super::{Stage, as_jwt, works};
use crate::client::{Bait, Identity};
use crate::codec::base64;
use crate::codec::jwt::{self, Jwt};
use crate::ground::hex;
use crate::scenarios::attempts::Attempts;
use crate::scenarios::check::checks;
use crate::scenarios::discovery::{issuer_keys, listed_keys};
use crate::scenarios::{Auth, Ctx, Operation, Outcome, Stop};

checks! {
    "token/jwt-chooses-its-key", Must, "§3", [TOKEN_VERIFIED], jwt_tricks,
        "A JWT that picks its own algorithm or key, or brings one along, is refused";
    "token/fetches-nothing", Hardening, "§3", [TOKEN_FETCHES_NOTHING], fetches_nothing,
        "A JWT that names an address makes the server fetch nothing from there";
    "token/extended", Must, "§3", [TOKEN_VERIFIED], extended,
        "A token with something behind it, in front of it or cut off it is refused";
}

/// On one operation: all of them are likely to read tokens with the same library.
async fn jwt_tricks(cx: &Ctx) -> Outcome {
    let stage = Stage::set(cx, Operation::Pull).await?;
    let real = as_jwt(&stage.alice.token)?;
    let (ours, keys, set) = (Ours::new(), issuer_keys(cx).await, listed_keys(cx).await);
    let bait = bait(cx, &ours).await?;
    let mut tally = Attempts::new(cx);
    let others = tricks(&real, (&keys, &set), &ours, &bait.url(), cx.thorough());
    for (what, token) in by_subject(&real, &stage.alice.identity).into_iter().chain(others) {
        tally.attempt(what, stage.call(&Auth::Bearer(token))).await?;
    }
    tally.verdict("pull with a JWT that this issuer hasn't signed is refused")?;
    works(cx, &stage).await
}

/// The key that a member logs in with signs nonces, and no tokens: its owner would never have to log in again.
fn by_subject(real: &Jwt, member: &Identity) -> Vec<(String, String)> {
    let mut plain = with(&real.header, "alg", json!("EdDSA"));
    plain.remove("kid");
    let named = |kid: String| with(&plain, "kid", json!(kid));
    let headers = [
        ("", with(&real.header, "alg", json!("EdDSA"))),
        (", without kid", plain.clone()),
        (" and named by kid", named(member.id.clone())),
        (" and named by kid as in sub", named(format!("key:{}", member.id))),
        (" and named by kid (base64url)", named(base64::encode_url(&member.public_key()))),
        (" and named by kid (hexadecimal)", named(hex::encode(&member.public_key()))),
        (" and named by kid (thumbprint)", named(thumbprint(&member.public_key()))),
    ];
    let signed = |(how, header): (&str, Map<String, Value>)| {
        let token = jwt::encode(&header, &real.claims, |input| member.sign(input).to_vec());
        (format!("signed with the subject's own key{how}"), token)
    };
    headers.into_iter().map(signed).collect()
}

/// Of an Ed25519 key (RFC 7638, RFC 8037 §2).
fn thumbprint(key: &[u8; 32]) -> String {
    let x = base64::encode_url(key);
    base64::encode_url(&Sha256::digest(format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#)))
}

async fn bait(cx: &Ctx, ours: &Ours) -> Result<Bait, Stop> {
    let bait = Bait::set(cx.world.target.vault.authority(), |url| ours.document(url)).await;
    bait.map_err(|error| cx.setup_failed("a port of this machine to listen at", error.to_string()))
}

/// Whoever can make a server fetch anything reaches what the server reaches.
async fn fetches_nothing(cx: &Ctx) -> Outcome {
    let stage = Stage::set(cx, Operation::Pull).await?;
    let real = as_jwt(&stage.alice.token)?;
    let ours = Ours::new();
    let bait = bait(cx, &ours).await?;
    for (what, token) in addresses(&real, &ours, &bait.url()) {
        let answer = stage.attempt(cx, &Auth::Bearer(token)).await?;
        let visits = bait.visits();
        answer.must(visits.is_empty(), "an address in a token that isn't verified yet is left alone", || {
            format!("the server fetched it, for a JWT {what}: {}", visits.join(", "))
        })?;
    }
    Ok(())
}

/// Comparisons that stop at the end of the shorter one, or look only at the first so many characters. An empty part or padding behind a JWT
/// changes nothing that is signed; that is for `token/in-other-places`.
async fn extended(cx: &Ctx) -> Outcome {
    let stage = Stage::set(cx, Operation::Pull).await?;
    let mallory = cx.member().await?;
    let (token, length) = (&stage.alice.token, stage.alice.token.len());
    if !token.is_ascii() || length < 16 {
        return Err(Stop::not_applicable("the tokens are too short to be altered without hitting another one"));
    }
    let half = length / 2;
    let mut all = vec![
        ("a real token with four characters behind it", format!("{token}AAAA")),
        ("a real token with a word behind it", format!("{token}-x")),
        ("a real token with characters in front of it", format!("AAAA{token}")),
        ("a real token twice", format!("{token}{token}")),
        ("a real token without its first character", token[1..].to_owned()),
        ("the first eight characters of a real token", token[..8].to_owned()),
        ("the first quarter of a real token", token[..length / 4].to_owned()),
        ("the first three quarters of a real token", token[..length * 3 / 4].to_owned()),
        ("the last half of a real token", token[half..].to_owned()),
        ("a wildcard for a token", "*".to_owned()),
        ("a SQL wildcard for a token", "%".to_owned()),
        ("the beginning of a real token and a wildcard", format!("{}*", &token[..half])),
        ("the beginning of a real token and a SQL wildcard", format!("{}%", &token[..half])),
        ("a condition for a token", "' OR '1'='1".to_owned()),
    ];
    if mallory.token.len() == length && mallory.token.is_ascii() && mallory.token.is_char_boundary(half) {
        all.push((
            "the first half of another's token and the second of a real one",
            format!("{}{}", &mallory.token[..half], &token[half..]),
        ));
        all.push((
            "the first half of a real token and the second of another's",
            format!("{}{}", &token[..half], &mallory.token[half..]),
        ));
    }
    // mallory's own token would be a right one, and no member's.
    all.retain(|(_, other)| other != token && *other != mallory.token);
    let mut tally = Attempts::new(cx);
    for (what, other) in all {
        tally.attempt(what, stage.call(&Auth::Bearer(other))).await?;
    }
    tally.verdict("pull with a token that isn't whole, or more than that, is refused")?;
    works(cx, &stage).await
}
