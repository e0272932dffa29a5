//! Challenge and token (SPEC §2, §3): what a nonce is worth, and what a signature must be.

mod arithmetic;
mod cached;
mod effects;
mod generators;
mod hardening;
mod identity;
mod kept;
mod later;
mod nonce;
mod prediction;
mod randomness;
mod replay;
mod series;
mod signature;
mod simulations;
mod types;

pub(super) use hardening::LENIENT_KEYS;
pub(super) use nonce::redeem_late;

use super::context::to_set_up;
use super::{Answer, Auth, Call, Check, Ctx, Finding, Operation, Outcome, Stop};
use crate::client::{Identity, clock};
use crate::codec::base64;
use crate::wire::TokenRequest;

/// The checks of challenge and token.
pub static CHECKS: [&[Check]; 12] = [
    nonce::CHECKS,
    replay::CHECKS,
    kept::CHECKS,
    series::CHECKS,
    types::CHECKS,
    later::CHECKS,
    prediction::CHECKS,
    signature::CHECKS,
    cached::CHECKS,
    identity::CHECKS,
    effects::CHECKS,
    hardening::CHECKS,
];

/// The bytes of a nonce. Whether it is spelled strictly is the business of one check; without bytes the others can't try anything.
fn bytes_of(cx: &Ctx, nonce: &str) -> Result<Vec<u8>, Stop> {
    base64::decode(nonce).map_err(|error| {
        to_set_up(cx.violation("a nonce in base64, to set the check up", format!("{nonce:?}: {error}")))
    })
}

/// Asks for a token with any signature.
async fn redeem<'c>(cx: &'c Ctx, key: &str, nonce: &str, signature: &[u8]) -> Result<Answer<'c>, Stop> {
    let signature = base64::encode(signature);
    cx.token(&TokenRequest { ed25519_public_key: key.into(), nonce: nonce.into(), signature }).await
}

/// Logs in as part of setting up, and returns the request that bought the token.
async fn spend(cx: &Ctx, identity: &Identity) -> Result<TokenRequest, Stop> {
    Ok(cx.log_in(identity).await?.0)
}

/// A fresh nonce of a fresh key, and whatever `forge` makes of key and nonce bytes, buy no token. The key is new each time, so that a lock
/// after some failed attempts doesn't get in the way.
async fn forged(cx: &Ctx, what: &str, forge: impl FnOnce(&Identity, &[u8]) -> Vec<u8>) -> Outcome {
    let who = cx.identity();
    let nonce = cx.nonce(&who).await?;
    let signature = forge(&who, &bytes_of(cx, &nonce)?);
    redeem(cx, &who.id, &nonce, &signature).await?.refused_somehow(what)
}

/// A request that no strict reader can even decode buys no token. How it is refused is a matter of input checking: anything but a clean 4xx is
/// a warning here.
async fn buys_nothing(cx: &Ctx, request: &TokenRequest, what: &str) -> Outcome {
    let body = serde_json::to_vec(request).map_err(|error| cx.violation("a request", error.to_string()))?;
    let call = Call::operation(Operation::Token, "", "", &Auth::None, Some(body.into()));
    let (exchange, result) = cx.try_call(call).await;
    match result {
        Ok(answer) => {
            let expected = format!("{what} is refused with a 4xx");
            answer.must(!answer.is_success(), &expected, || answer.summary())?;
            answer.should(answer.is_refusal(), &expected, || answer.summary());
        }
        Err(error) => cx.warn(Finding {
            expected: format!("{what} is refused with a 4xx"),
            observed: cx.world.mask(error.to_string()),
            exchange: Some(exchange),
            evidence: Vec::new(),
        }),
    }
    Ok(())
}

/// The server's time when it answered, epoch milliseconds: by its own clock if it tells, and never later than by ours.
pub(super) fn server_now(answer: &Answer<'_>) -> i64 {
    let date = answer.headers.get(http::header::DATE).and_then(|value| value.to_str().ok());
    let now = clock::now_ms();
    date.and_then(clock::http_date_ms).map_or(now, |date| date.min(now))
}
