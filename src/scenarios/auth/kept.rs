//! What uses no nonce up (SPEC §3): requests that carry one and are no redemption.

use std::time::{Duration, Instant};

use http::Method;

use super::replay::{json_of, raw_call};
use crate::scenarios::check::checks;
use crate::scenarios::{Answer, Call, Ctx, Outcome, Stop};
use crate::wire::{TokenRequest, segment};

checks! {
    "auth/nonce-kept-by-other-requests", Must, "§3", [NONCE_REDEEMABLE], kept,
        "A request that is no redemption, such as HEAD, uses no nonce up", only = Http;
}

/// Requests that come before a redemption and aren't one: prefetchers, health checks, browsers that ask what is allowed.
const METHODS: [Method; 6] = [Method::HEAD, Method::GET, Method::OPTIONS, Method::PUT, Method::DELETE, Method::PATCH];

fn other_method(method: &Method, request: &TokenRequest) -> Call<'static> {
    let TokenRequest { ed25519_public_key: key, nonce, signature } = request;
    let query = format!("?ed25519PublicKey={}&nonce={}&signature={}", segment(key), segment(nonce), segment(signature));
    let call = raw_call(json_of(request).to_string().into());
    Call { method: method.clone(), path: call.path.clone() + &query, operation: None, ..call }
}

/// Whether a nonce is still good after each of the methods. One that answers with a token has redeemed it, if in an odd way.
async fn survives<'c>(cx: &'c Ctx, methods: &[Method]) -> Result<Option<Answer<'c>>, Stop> {
    let alice = cx.identity();
    let request = cx.redeem(&alice, &cx.nonce(&alice).await?)?;
    let issued = Instant::now();
    for method in methods {
        let result = cx.try_call(other_method(method, &request)).await.1;
        let redeemed =
            result.is_ok_and(|answer| answer.is_success() && answer.body.windows(7).any(|text| text == b"\"token\""));
        if redeemed {
            return Ok(None);
        }
    }
    let answer = cx.token(&request).await?;
    if answer.is_success() || answer.status == 429 {
        return Ok(None);
    }
    let took = issued.elapsed();
    if took > PROMPT {
        // Was it the time? A nonce that nothing happens to tells.
        let control = cx.redeem(&alice, &cx.nonce(&alice).await?)?;
        tokio::time::sleep(took.saturating_sub(PROMPT / 2)).await;
        if !cx.token(&control).await?.is_success() {
            return Err(Stop::not_judged(format!("the nonces live no longer than this takes: {took:.1?}")));
        }
    }
    Ok(Some(answer))
}

/// Within that time no nonce expires.
const PROMPT: Duration = Duration::from_secs(1);

/// All methods on one nonce; only where it is lost each gets a nonce of its own.
async fn kept(cx: &Ctx) -> Outcome {
    let Some(first) = survives(cx, &METHODS).await? else { return Ok(()) };
    // Right signatures as such buy tokens.
    cx.log_in(&cx.identity()).await?;
    let mut names = Vec::new();
    for method in METHODS {
        if survives(cx, std::slice::from_ref(&method)).await?.is_some() {
            names.push(method.to_string());
        }
    }
    if names.is_empty() {
        names.push("several other methods together".into());
    }
    let expected = "a request by another method than POST leaves the nonce that it carries as it is";
    Err(first.violation(expected, format!("a right redemption got {} after {}", first.summary(), names.join(", "))))
}
