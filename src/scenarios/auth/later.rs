//! A last look at the logins of the whole run: what was right at once may go wrong after some hundred others, or a second later.

use std::time::Duration;

use futures_util::stream::{self, StreamExt as _};
use tokio::time::Instant;

use super::spend;
use crate::client::Identity;
use crate::codec::base64;
use crate::scenarios::attempts::Attempts;
use crate::scenarios::check::checks;
use crate::scenarios::{Ctx, Finding, Login, Outcome, Stop};
use crate::wire::{ChallengeResponse, TokenRequest};

checks! {
    "auth/odd-bytes", Must, "§3", [NONCE_REDEEMABLE, SIGNATURE_RAW], odd_bytes,
        "A right signature buys a token whatever bytes key, nonce and signature begin and end with", phase = Contention;
    "auth/right-signatures-in-run", Must, "§3", [NONCE_REDEEMABLE], right_signatures,
        "Every right signature of the run over a fresh nonce bought a token", phase = Finale;
    "auth/nonces-stay-used", Must, "§3", [NONCE_SINGLE_USE], stay_used,
        "No nonce that has bought a token in this run buys another at its end", phase = Finale;
    "auth/nonce-reused-late", Must, "§3", [NONCE_SINGLE_USE], reused_late,
        "A nonce stays used for as long as it would have lived", waits = true;
}

const RIGHT_WORKS: &str = "a right signature over a fresh nonce buys a token";

/// What makes a login odd: something of its nonce, signature or key that not every implementation carries through.
struct Oddity {
    name: &'static str,
    /// Of nonce, signature and key.
    is: fn(&[u8], &[u8], &[u8]) -> bool,
}

fn begins(bytes: &[u8], odd: &[u8]) -> bool {
    bytes.first().is_some_and(|first| odd.contains(first))
}

fn ends(bytes: &[u8], odd: &[u8]) -> bool {
    bytes.last().is_some_and(|last| odd.contains(last))
}

const BLANKS: &[u8] = b"\t\n\x0b\x0c\r ";

/// Each is rare: one login in some dozens, or in 256.
const ODDITIES: [Oddity; 9] = [
    Oddity { name: "a nonce that begins with a zero byte", is: |nonce, _, _| begins(nonce, &[0]) },
    Oddity { name: "a nonce that ends in a zero byte", is: |nonce, _, _| ends(nonce, &[0]) },
    Oddity { name: "a signature whose R begins with a zero byte", is: |_, signature, _| begins(signature, &[0]) },
    Oddity {
        name: "a signature whose S begins with a zero byte",
        is: |_, signature, _| begins(&signature[32..], &[0]),
    },
    Oddity { name: "a signature whose R ends in a zero byte", is: |_, signature, _| ends(&signature[..32], &[0]) },
    Oddity { name: "a signature that ends in a zero byte", is: |_, signature, _| ends(signature, &[0]) },
    Oddity {
        name: "a nonce that begins or ends with white space",
        is: |nonce, _, _| begins(nonce, BLANKS) || ends(nonce, BLANKS),
    },
    Oddity { name: "a key that begins with a zero byte", is: |_, _, key| begins(key, &[0]) },
    Oddity { name: "a key that ends in a zero byte", is: |_, _, key| ends(key, &[0]) },
];

/// What is common, and yet trips some up.
const TRAITS: [Oddity; 5] = [
    Oddity { name: "a nonce that holds a zero byte", is: |nonce, _, _| nonce.contains(&0) },
    Oddity {
        name: "a nonce whose first byte is 128 or more",
        is: |nonce, _, _| nonce.first().is_some_and(|&byte| byte > 127),
    },
    Oddity { name: "a nonce with a plus in its base64", is: |nonce, _, _| base64::encode(nonce).contains('+') },
    Oddity { name: "a nonce with a slash in its base64", is: |nonce, _, _| base64::encode(nonce).contains('/') },
    Oddity { name: "a key whose last byte is 128 or more", is: |_, _, key| key.last().is_some_and(|&byte| byte > 127) },
];

/// Challenges that are looked through for odd nonces.
const CHALLENGES: usize = 144;
/// The same when there is time: all but one run in fifty meet a nonce that begins with a zero byte.
const MANY_CHALLENGES: usize = 1000;

/// Challenges that are asked for together.
const AT_ONCE: usize = 4;

/// Keys of odd shape are made; nonces are waited for, and redeemed at once, so that a server needn't hold many.
async fn odd_bytes(cx: &Ctx) -> Outcome {
    let (mut refused, mut tried) = (Vec::new(), 0);
    let shapes: [(&str, fn(&[u8; 32]) -> bool); 4] = [
        ("a key that begins with a zero byte", |key| key[0] == 0),
        ("a key that ends in a zero byte", |key| key[31] == 0),
        ("a key whose first and last bytes are 128 or more", |key| key[0] > 127 && key[31] > 127),
        ("a key that holds a zero byte", |key| key[1..31].contains(&0)),
    ];
    for (what, shape) in shapes {
        let wanted = |id: &str| base64::decode_array::<32>(id).is_ok_and(|key| shape(&key));
        let who = Identity::generate_with(wanted);
        let request = cx.redeem(&who, &nonce_of(cx, &who).await?)?;
        note_refusal(cx, &request, what.into(), &mut refused).await?;
        tried += 1;
    }
    let challenges = if cx.thorough() { MANY_CHALLENGES } else { CHALLENGES };
    let mut logins = stream::iter(0..challenges).map(|_| odd_login(cx)).buffered(AT_ONCE);
    while let Some(login) = logins.next().await {
        if let Some(refusal) = login? {
            refused.extend(refusal);
            tried += 1;
        }
    }
    cx.remark(format!("{tried} odd logins"));
    let Some((_, exchange)) = refused.first().cloned() else { return Ok(()) };
    // The server lets people in at all; otherwise this is no matter of bytes.
    cx.log_in(&cx.identity()).await?;
    let mut names: Vec<String> = refused.into_iter().map(|(what, _)| what).collect();
    names.sort();
    names.dedup();
    let observed = format!("refused: {}", names.join("; "));
    Err(Stop::Violation(Box::new(Finding::shown(RIGHT_WORKS, observed, exchange))))
}

/// A challenge, redeemed where it makes an odd login; what was refused then.
async fn odd_login(cx: &Ctx) -> Result<Option<Refused>, Stop> {
    let who = Identity::generate();
    let request = cx.redeem(&who, &nonce_of(cx, &who).await?)?;
    let Some(what) = oddity_of(&request) else { return Ok(None) };
    let mut refused = Vec::new();
    note_refusal(cx, &request, what.into(), &mut refused).await?;
    Ok(Some(refused))
}

async fn nonce_of(cx: &Ctx, who: &Identity) -> Result<String, Stop> {
    let answer = cx.challenge(&who.id).await?;
    if answer.status == 429 {
        return Err(Stop::not_judged("a rate limit doesn't allow as many challenges as this takes"));
    }
    Ok(answer.accepted::<ChallengeResponse>("a challenge for a fresh keypair")?.nonce)
}

type Refused = Vec<(String, std::sync::Arc<crate::client::Exchange>)>;

async fn note_refusal(cx: &Ctx, request: &TokenRequest, what: String, refused: &mut Refused) -> Result<(), Stop> {
    let answer = cx.token(request).await?;
    if !answer.is_success() && answer.status != 429 {
        refused.push((format!("{what} ({})", answer.summary()), answer.exchange.clone()));
    }
    Ok(())
}

fn oddity_of(request: &TokenRequest) -> Option<&'static str> {
    let (nonce, signature, key) = parts(request)?;
    ODDITIES[..7].iter().find(|oddity| (oddity.is)(&nonce, &signature, &key)).map(|oddity| oddity.name)
}

/// Nonce, signature (64 bytes) and key of a token request.
fn parts(request: &TokenRequest) -> Option<(Vec<u8>, Vec<u8>, Vec<u8>)> {
    let nonce = base64::decode(&request.nonce).ok()?;
    let signature = base64::decode_array::<64>(&request.signature).ok()?;
    Some((nonce, signature.to_vec(), base64::decode(&request.ed25519_public_key).ok()?))
}

/// Checks for which a login is only set-up try again with another nonce; here is what they met.
async fn right_signatures(cx: &Ctx) -> Outcome {
    // So that there is something to look at when this check runs alone.
    spend(cx, &cx.identity()).await?;
    let (unlucky, done) = (cx.world.seen.logins.unlucky(), cx.world.seen.logins.done());
    cx.remark(format!("{} logins", done.len()));
    let Some(first) = unlucky.first() else { return Ok(()) };
    let requests: Vec<&TokenRequest> = unlucky.iter().map(|unlucky| &unlucky.request).collect();
    let lucky: Vec<&TokenRequest> = done.iter().map(|login| &login.request).collect();
    let pattern = in_common(&requests, &lucky)
        .map_or_else(String::new, |name| format!("; those refused, and no others, have {name}"));
    let observed = format!("{} of {} were refused{pattern}", unlucky.len(), unlucky.len() + done.len());
    Err(Stop::Violation(Box::new(Finding::shown(RIGHT_WORKS, observed, first.exchange.clone()))))
}

/// What all of the one and none of the others have.
fn in_common(these: &[&TokenRequest], those: &[&TokenRequest]) -> Option<&'static str> {
    let has = |oddity: &Oddity, request: &TokenRequest| {
        parts(request).is_some_and(|(nonce, signature, key)| (oddity.is)(&nonce, &signature, &key))
    };
    ODDITIES.iter().chain(&TRAITS).find_map(|oddity| {
        let fits =
            these.iter().all(|request| has(oddity, request)) && !those.iter().any(|request| has(oddity, request));
        fits.then_some(oddity.name)
    })
}

/// As long as a used nonce has to be remembered at the least for this check to see anything of it.
const A_WHILE: Duration = Duration::from_millis(1050);
/// How many of the run's oldest nonces are tried again, and how many of the others.
const SAMPLE: usize = 16;

/// Those at the ends, where a full memory shows first, and an even choice of the rest.
fn sample(logins: &[Login]) -> Vec<&Login> {
    let (oldest, rest) = logins.split_at(logins.len().min(SAMPLE));
    let step = rest.len().div_ceil(SAMPLE).max(1);
    oldest.iter().chain(rest.iter().step_by(step)).collect()
}

/// A server may remember used nonces for a second, or the last hundred of them.
async fn stay_used(cx: &Ctx) -> Outcome {
    if cx.world.seen.logins.done().is_empty() {
        spend(cx, &cx.identity()).await?;
    }
    let logins = cx.world.seen.logins.done();
    let Some(oldest) = logins.first() else { return Ok(()) };
    tokio::time::sleep_until(oldest.at + A_WHILE).await;
    let mut tally = Attempts::new(cx);
    for login in sample(&logins) {
        let answer = cx.token(&login.request).await?;
        let later = logins.iter().filter(|other| other.at > login.at).count();
        let what = format!("one used {:.1} s and {later} logins ago", login.at.elapsed().as_secs_f64());
        tally.count(what, &answer);
    }
    tally.verdict("a nonce that has bought a token buys no other")
}

/// The longest that the specification recommends.
const RECOMMENDED: Duration = Duration::from_secs(120);

/// Halfway, and just before it would have expired anyway.
async fn reused_late(cx: &Ctx) -> Outcome {
    let lifetime = cx.world.asked.nonce_ttl.unwrap_or(RECOMMENDED).min(RECOMMENDED);
    // One nonce for each, as a repetition may refresh the mark.
    let (early, late) = (spend(cx, &cx.identity()).await?, spend(cx, &cx.identity()).await?);
    let spent = Instant::now();
    for (request, share) in [(early, lifetime / 2), (late, lifetime * 9 / 10)] {
        tokio::time::sleep_until(spent + share).await;
        cx.token(&request)
            .await?
            .refused(&format!("a token request with a nonce that was used {share:?} ago"), &[401])?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(nonce: [u8; 32]) -> TokenRequest {
        let who = Identity::generate();
        let signature = base64::encode(&who.sign(&nonce));
        TokenRequest { ed25519_public_key: who.id, nonce: base64::encode(&nonce), signature }
    }

    #[test]
    fn what_the_refused_have_in_common() {
        let mut zero = [7; 32];
        zero[0] = 0;
        let (odd, plain) = (request(zero), request([7; 32]));
        assert_eq!(in_common(&[&odd], &[&plain]), Some("a nonce that begins with a zero byte"));
        assert_eq!(oddity_of(&odd), Some("a nonce that begins with a zero byte"));
        assert_eq!(in_common(&[&odd, &plain], &[]).filter(|name| name.contains("begins with a zero byte")), None);
    }

    #[test]
    fn the_oldest_are_all_in_the_sample() {
        let login =
            |_| Login { request: request([7; 32]), token: String::new(), lifetime: Duration::ZERO, at: Instant::now() };
        let logins: Vec<_> = (0..600).map(login).collect();
        let chosen = sample(&logins);
        assert!((SAMPLE * 2 - 2..=SAMPLE * 2).contains(&chosen.len()), "{}", chosen.len());
        assert_eq!(sample(&logins[..3]).len(), 3);
    }
}
