//! Many requests of one key: wrong signatures in a row, and several nonces that are open at once.

use super::{bytes_of, redeem};
use crate::client::{Identity, random};
use crate::scenarios::attempts::Attempts;
use crate::scenarios::check::checks;
use crate::scenarios::{Ctx, Outcome};
use crate::wire::{ChallengeResponse, TokenRequest};

checks! {
    "auth/signature-after-many-wrong-ones", Must, "§3", [SIGNATURE_VERIFIED], after_many_wrong,
        "However many wrong signatures of a key came before, one more buys no token";
    "auth/nonce-reused-among-open-ones", Must, "§3", [NONCE_SINGLE_USE], among_open,
        "A used nonce stays used while other nonces of its key, older and newer ones, are open";
}

/// Wrong logins in a row. What counts failures does something at 3, 5 or 10.
const WRONG: usize = 14;

/// Who counts failures may lock the key, and mustn't stop looking.
async fn after_many_wrong(cx: &Ctx) -> Outcome {
    let alice = cx.identity();
    let mut tally = Attempts::new(cx);
    for number in 0..WRONG {
        let answer = cx.challenge(&alice.id).await?;
        if !answer.is_success() {
            // Locked, and so it says.
            break;
        }
        let nonce = answer.message::<ChallengeResponse>()?.nonce;
        let signature = match WRONG - number {
            1 => Identity::generate().sign(&bytes_of(cx, &nonce)?),
            2 => [0; 64],
            _ => random::bytes(),
        };
        let what = format!("a wrong signature after {number} others of the same key");
        tally.count(what, &redeem(cx, &alice.id, &nonce, &signature).await?);
    }
    tally.verdict("a wrong signature buys no token, however many came before")
}

/// A list of open nonces from which the wrong one is taken when one is redeemed.
async fn among_open(cx: &Ctx) -> Outcome {
    let alice = cx.identity();
    let mut open: Vec<TokenRequest> = Vec::new();
    for _ in 0..3 {
        open.push(cx.redeem(&alice, &cx.nonce(&alice).await?)?);
    }
    let mut tally = Attempts::new(cx);
    let mut used = Vec::new();
    for (which, place) in [(1, "second"), (0, "first"), (2, "third")] {
        let request = &open[which];
        // A server may know only the newest nonce of a key.
        if cx.token(request).await?.is_success() {
            used.push((request, place));
            for _ in 0..2 {
                let what = format!("the {place} of three nonces, right after its use");
                tally.count(what, &cx.token(request).await?);
            }
        }
    }
    for (request, place) in used {
        tally.count(format!("the {place} of three used nonces"), &cx.token(request).await?);
    }
    tally.verdict("a nonce that has bought a token buys no other, whichever nonces of its key are open")
}
