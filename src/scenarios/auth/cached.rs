//! What an earlier right login must not do: make a later wrong one pass. Servers cache verifications, and by too little.

use super::{bytes_of, redeem, spend};
use crate::client::{Identity, random};
use crate::codec::base64;
use crate::scenarios::attempts::Attempts;
use crate::scenarios::check::checks;
use crate::scenarios::{Answer, Ctx, Outcome, Stop};
use crate::wire::TokenRequest;

checks! {
    "auth/signature-after-right-login", Must, "§3", [SIGNATURE_VERIFIED], after_right_login,
        "A right login makes no later wrong signature pass, of the same key or another", phase = Contention;
    "auth/signature-after-refused-login", Must, "§3", [SIGNATURE_VERIFIED, SUBJECT_IS_CALLER], after_refused,
        "A signature by one key that was refused for another key's nonce doesn't pass as that key's";
    "auth/login-after-failed-ones", Must, "§3", [NONCE_REDEEMABLE], after_failed,
        "A wrong signature or two keep nobody from logging in with the next nonce";
    "auth/login-after-many-failed-ones", Hardening, "§3", [LOGIN_NOT_LOCKED], after_many_failed,
        "Ten wrong signatures, which anybody can send, don't keep a key's holder from logging in";
}

/// What the login before was: whose it was, with which nonce and which signature.
struct Before {
    alice: Identity,
    nonce: Vec<u8>,
    signature: [u8; 64],
}

type Forge = fn(&Before, &[u8]) -> Vec<u8>;

/// Wrong signatures over a fresh nonce of a key that has just logged in.
const WRONG: [(&str, Forge); 11] = [
    ("the signature of the login before", |before, _| before.signature.to_vec()),
    ("64 zero bytes", |_, _| vec![0; 64]),
    ("64 random bytes", |_, _| random::bytes::<64>().to_vec()),
    ("an empty signature", |_, _| Vec::new()),
    ("a signature by another key", |_, nonce| Identity::generate().sign(nonce).to_vec()),
    ("the first half of the signature of the login before", |before, _| halves(before.signature, random::bytes())),
    ("the second half of the signature of the login before", |before, _| halves(random::bytes(), before.signature)),
    ("the right R and another S", |before, nonce| halves(before.alice.sign(nonce), before.signature)),
    ("another R and the right S", |before, nonce| halves(before.signature, before.alice.sign(nonce))),
    ("a signature over the nonce of the login before, made anew", |before, _| {
        before.alice.sign(&before.nonce).to_vec()
    }),
    ("a signature over both nonces", |before, nonce| before.alice.sign(&[&before.nonce, nonce].concat()).to_vec()),
];

/// Right logins of one key, after which some servers know it well enough.
const LOGINS: usize = 12;

/// R of one and S of the other.
fn halves(first: [u8; 64], second: [u8; 64]) -> Vec<u8> {
    [&first[..32], &second[32..]].concat()
}

/// Logs in rightly; the key is new each time, so that a lock after some failed attempts doesn't get in the way.
async fn before(cx: &Ctx) -> Result<Before, Stop> {
    let alice = cx.identity();
    let request = spend(cx, &alice).await?;
    let nonce = bytes_of(cx, &request.nonce)?;
    Ok(Before { signature: alice.sign(&nonce), alice, nonce })
}

/// On the same connections, right after it.
async fn after_right_login(cx: &Ctx) -> Outcome {
    // Alone: what a server keeps of the right login may be overwritten by anybody else's.
    let mut tally = Attempts::new(cx);
    for (what, forge) in WRONG {
        let before = before(cx).await?;
        let fresh = cx.nonce(&before.alice).await?;
        let signature = forge(&before, &bytes_of(cx, &fresh)?);
        tally.count(format!("{what}, for a fresh nonce"), &redeem(cx, &before.alice.id, &fresh, &signature).await?);
    }
    for (what, forge) in WRONG.into_iter().take(4) {
        // The nonce is fetched first, so that nothing comes between the right login and the wrong one.
        let bob = cx.identity();
        let fresh = cx.nonce(&bob).await?;
        let before = before(cx).await?;
        let signature = forge(&before, &bytes_of(cx, &fresh)?);
        tally.count(format!("{what}, for another key"), &redeem(cx, &bob.id, &fresh, &signature).await?);
    }
    let regular = cx.identity();
    for count in 0..LOGINS {
        match spend(cx, &regular).await {
            Ok(_) => {}
            // A limit on logins.
            Err(_) if count > 0 => break,
            Err(stop) => return Err(stop),
        }
    }
    for (what, signature) in [("64 random bytes", random::bytes()), ("64 zero bytes", [0; 64])] {
        let fresh = cx.nonce(&regular).await?;
        let what = format!("{what}, of a key that has logged in {LOGINS} times");
        tally.count(what, &redeem(cx, &regular.id, &fresh, &signature).await?);
    }
    let before = before(cx).await?;
    let bob = cx.identity();
    let nonce = base64::encode(&before.nonce);
    cx.nonce(&bob).await?;
    tally.count("the login before, under another key", &redeem(cx, &bob.id, &nonce, &before.signature).await?);
    tally.verdict("after a right login, a wrong signature still buys no token")
}

/// Outcomes are cached, too, and wrong ones by too little.
async fn after_failed(cx: &Ctx) -> Outcome {
    let (answer, expected, observed) = login_after(cx, FEW_WRONG).await?;
    answer.must(answer.is_success(), expected, || observed)
}

/// Nobody can guess a signature, so that a lock after wrong ones keeps nobody out but the key's holder.
async fn after_many_failed(cx: &Ctx) -> Outcome {
    let (answer, expected, observed) = login_after(cx, MANY_WRONG).await?;
    answer.should(answer.is_success(), expected, || observed);
    Ok(())
}

/// So many may happen to anybody.
const FEW_WRONG: usize = 2;
/// Locks set in after three, five or ten.
const MANY_WRONG: usize = 10;

/// The answer to a right login after so many wrong signatures of the same key; what is expected, and what came.
async fn login_after(cx: &Ctx, wrong: usize) -> Result<(Answer<'_>, &'static str, String), Stop> {
    let alice = cx.identity();
    for count in 0..wrong {
        let nonce = cx.nonce(&alice).await?;
        redeem(cx, &alice.id, &nonce, &if count == 0 { [0; 64] } else { random::bytes() }).await?;
    }
    let nonce = cx.nonce(&alice).await?;
    let answer = redeem(cx, &alice.id, &nonce, &alice.sign(&bytes_of(cx, &nonce)?)).await?;
    // A lock is a policy, and says so by another status than a wrong signature gets.
    if matches!(answer.status, 403 | 423 | 429) {
        return Err(Stop::not_applicable("the deployment locks keys after some failed logins"));
    }
    let observed = format!("{} after {wrong} wrong signatures of the same key", answer.summary());
    Ok((answer, "a right signature over a fresh nonce buys a token", observed))
}

/// mallory's signature over alice's nonce is a right signature, but not alice's. Whoever caches that it verified must
/// remember the key with it.
async fn after_refused(cx: &Ctx) -> Outcome {
    let mut tally = Attempts::new(cx);
    let second: [(&str, fn([u8; 64]) -> [u8; 64]); 2] = [
        ("the same signature, under the key that the nonce was issued for", |signature| signature),
        ("64 random bytes, after another key's signature over the same nonce", |_| random::bytes()),
    ];
    for (what, forge) in second {
        let (alice, mallory) = (cx.identity(), cx.identity());
        spend(cx, &mallory).await?;
        let nonce = cx.nonce(&alice).await?;
        let signature = mallory.sign(&bytes_of(cx, &nonce)?);
        let request = TokenRequest {
            ed25519_public_key: mallory.id.clone(),
            nonce: nonce.clone(),
            signature: base64::encode(&signature),
        };
        // It may be taken: that a nonce is bound to a key is another check's business.
        cx.token(&request).await?;
        tally.count(what, &redeem(cx, &alice.id, &nonce, &forge(signature)).await?);
    }
    tally.verdict("a signature by another key buys no token")
}
