//! Challenge and token (SPEC §2, §3): what a nonce is worth, and what a signature must be.

mod hardening;
mod identity;
mod nonce;
mod randomness;
mod signature;

use super::context::into_trouble;
use super::{Answer, Check, Ctx, Outcome, Stop};
use crate::client::{Identity, clock};
use crate::codec::base64;
use crate::wire::TokenRequest;

/// The checks of challenge and token.
pub static CHECKS: [&[Check]; 4] = [nonce::CHECKS, signature::CHECKS, identity::CHECKS, hardening::CHECKS];

/// The bytes of a nonce. Whether it is spelled strictly is the business of one check; without bytes the others can't try anything.
fn bytes_of(cx: &Ctx, nonce: &str) -> Result<Vec<u8>, Stop> {
    base64::decode(nonce).map_err(|error| {
        into_trouble(cx.broken("a nonce in base64, to set the check up", format!("{nonce:?}: {error}")))
    })
}

/// Asks for a token with any signature.
async fn redeem<'c>(cx: &'c Ctx, key: &str, nonce: &str, signature: &[u8]) -> Result<Answer<'c>, Stop> {
    let signature = base64::encode(signature);
    cx.token(&TokenRequest { ed25519_public_key: key.into(), nonce: nonce.into(), signature }).await
}

/// Logs in as part of setting up, and returns the request that bought the token.
async fn spend(cx: &Ctx, identity: &Identity) -> Result<TokenRequest, Stop> {
    let request = cx.redeem(identity, &cx.nonce(identity).await?)?;
    let answer = cx.token(&request).await.map_err(into_trouble)?;
    answer.must(answer.is_success(), "token works, to set the check up", || answer.summary()).map_err(into_trouble)?;
    Ok(request)
}

/// A fresh nonce of `who` and whatever `forge` makes of its bytes buy no token.
async fn forged(cx: &Ctx, who: &Identity, what: &str, forge: impl FnOnce(&[u8]) -> Vec<u8>) -> Outcome {
    let nonce = cx.nonce(who).await?;
    let signature = forge(&bytes_of(cx, &nonce)?);
    redeem(cx, &who.id, &nonce, &signature).await?.refused_somehow(what)
}

/// The server's time when it answered, epoch milliseconds: by its own clock if it tells, and never later than by ours.
pub(super) fn server_now(answer: &Answer<'_>) -> i64 {
    let date = answer.headers.get(http::header::DATE).and_then(|value| value.to_str().ok());
    let now = clock::now_ms();
    date.and_then(clock::http_date_ms).map_or(now, |date| date.min(now))
}
