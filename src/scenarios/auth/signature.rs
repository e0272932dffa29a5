//! The signature: over the raw bytes of the nonce, by the key that the token is for, and nothing else.

use sha2::{Digest as _, Sha256, Sha512};

use super::{bytes_of, forged, redeem};
use crate::client::{Identity, random};
use crate::codec::base64;
use crate::scenarios::check::checks;
use crate::scenarios::variants::Variants;
use crate::scenarios::{Ctx, Outcome, Stop};
use crate::wire::{ChallengeResponse, TokenRequest, TokenResponse};

checks! {
    "auth/signature-over-raw-bytes", Must, "§3", [SIGNATURE_RAW], over_raw_bytes,
        "A signature over the decoded bytes of the nonce buys a token, whatever characters the key's id holds";
    "auth/signature-over-text", Must, "§3", [SIGNATURE_RAW, SIGNATURE_VERIFIED], over_text,
        "A signature over the base64 text of the nonce buys none";
    "auth/signature-over-other-message", Must, "§3", [SIGNATURE_VERIFIED], over_other_message,
        "A signature over anything but the nonce buys none";
    "auth/signature-over-another-nonce", Must, "§3", [SIGNATURE_VERIFIED], over_another_nonce,
        "A signature over another nonce of the same key buys none";
    "auth/signature-by-another-key", Must, "§3", [SIGNATURE_VERIFIED, SUBJECT_IS_CALLER], by_another_key,
        "A signature by another key than the one named buys none, whoever asked for the nonce";
    "auth/signature-empty", Must, "§3", [SIGNATURE_VERIFIED], empty,
        "An empty signature buys no token";
    "auth/signature-all-zero", Must, "§3", [SIGNATURE_VERIFIED], all_zero,
        "64 zero bytes, and 64 arbitrary ones, buy no token";
    "auth/signature-unreadable", Must, "§3", [SIGNATURE_VERIFIED], unreadable,
        "A text that no decoder reads as a signature buys no token";
    "auth/signature-length", Must, "§3", [SIGNATURE_VERIFIED], wrong_length,
        "A signature that is cut short or has bytes after its end buys no token";
    "auth/signature-bit-flipped", Must, "§3", [SIGNATURE_VERIFIED], bit_flipped,
        "A signature with any one bit flipped buys no token";
}

/// Base64 knows `+`, `/` and `=`; an id may hold them all.
async fn over_raw_bytes(cx: &Ctx) -> Outcome {
    let plus = cx.introduce(Identity::generate_with(|id| id.contains('+')));
    let slash = cx.introduce(Identity::generate_with(|id| id.contains('/')));
    // Each logs in once: whether a key may come back is another check's.
    for identity in [cx.identity(), cx.identity(), cx.identity(), cx.identity(), plus, slash] {
        let nonce = cx.challenge(&identity.id).await?.accepted::<ChallengeResponse>("a challenge")?.nonce;
        let answer = cx.token(&cx.redeem(&identity, &nonce)?).await?;
        if !answer.is_success() && takes_text(cx, &identity).await? {
            return Err(answer.violation(
                "a signature over the decoded bytes of the nonce buys a token",
                format!("{}; the server takes one over its base64 text instead", answer.summary()),
            ));
        }
        answer.accepted::<TokenResponse>("a signature over the decoded bytes of the nonce")?;
    }
    Ok(())
}

/// Whether a signature over the text of a nonce buys a token: it explains why the right one doesn't.
async fn takes_text(cx: &Ctx, who: &Identity) -> Result<bool, crate::scenarios::Stop> {
    let nonce = cx.nonce(who).await?;
    Ok(redeem(cx, &who.id, &nonce, &who.sign(nonce.as_bytes())).await?.is_success())
}

/// The text, with and without its padding, and in the other alphabet.
async fn over_text(cx: &Ctx) -> Outcome {
    let unpadded = |bytes: &[u8]| base64::encode(bytes).trim_end_matches('=').to_owned();
    for text in [base64::encode, unpadded, base64::encode_url] {
        let what = "a signature over the text of the nonce";
        forged(cx, what, |alice, nonce| alice.sign(text(nonce).as_bytes()).to_vec()).await?;
    }
    Ok(())
}

type Message = fn(&Identity, &[u8]) -> Vec<u8>;

/// What a mistaken client might sign, and what an attacker might have a signature over.
const OTHER_MESSAGES: [(&str, Message); 12] = [
    ("the empty message", |_, _| Vec::new()),
    ("the SHA-256 of the nonce", |_, nonce| Sha256::digest(nonce).to_vec()),
    ("the SHA-512 of the nonce", |_, nonce| Sha512::digest(nonce).to_vec()),
    ("the nonce in hex", |_, nonce| crate::ground::hex::encode(nonce).into_bytes()),
    ("all but the last byte of the nonce", |_, nonce| nonce[..nonce.len().saturating_sub(1)].to_vec()),
    ("the first half of the nonce", |_, nonce| nonce[..nonce.len() / 2].to_vec()),
    // Of a nonce that has no more, 31: the whole of it is the right message.
    ("the first 32 bytes of the nonce", |_, nonce| nonce[..32.min(nonce.len().saturating_sub(1))].to_vec()),
    ("all but the first byte of the nonce", |_, nonce| nonce.get(1..).unwrap_or_default().to_vec()),
    ("the nonce and one more byte", |_, nonce| [nonce, &[0]].concat()),
    ("key and nonce", |alice, nonce| [&alice.public_key(), nonce].concat()),
    ("the key", |alice, _| alice.public_key().to_vec()),
    ("an unrelated message", |_, _| b"I am who I say I am".to_vec()),
];

/// Hashes of the nonce, parts of it, more than it, and none of it.
async fn over_other_message(cx: &Ctx) -> Outcome {
    for (name, message) in OTHER_MESSAGES {
        let what = format!("a signature over {name}");
        forged(cx, &what, |alice, nonce| alice.sign(&message(alice, nonce)).to_vec()).await?;
    }
    Ok(())
}

/// Both nonces are alice's, and she signs the wrong one.
async fn over_another_nonce(cx: &Ctx) -> Outcome {
    let alice = cx.identity();
    let earlier = bytes_of(cx, &cx.nonce(&alice).await?)?;
    let nonce = cx.nonce(&alice).await?;
    if bytes_of(cx, &nonce)? == earlier {
        return Err(Stop::not_judged("two challenges in a row have the same nonce (auth/nonces-differ)"));
    }
    let answer = redeem(cx, &alice.id, &nonce, &alice.sign(&earlier)).await?;
    answer.refused_somehow("a signature over an earlier nonce of the same key")
}

/// mallory signs, and names alice.
async fn by_another_key(cx: &Ctx) -> Outcome {
    let (alice, mallory) = (cx.identity(), cx.identity());
    let what = "a signature by another key than the one named";
    // A key that the server knows, and one that it has never seen.
    cx.nonce(&mallory).await?;
    forged(cx, what, |_, nonce| mallory.sign(nonce).to_vec()).await?;
    forged(cx, what, |_, nonce| Identity::generate().sign(nonce).to_vec()).await?;
    // The nonce is mallory's own: a server that verifies against the key of the challenge would take this.
    let nonce = cx.nonce(&mallory).await?;
    let signature = mallory.sign(&bytes_of(cx, &nonce)?);
    redeem(cx, &alice.id, &nonce, &signature).await?.refused_somehow(what)
}

/// Nothing signed is nothing proven.
async fn empty(cx: &Ctx) -> Outcome {
    forged(cx, "an empty signature", |_, _| Vec::new()).await
}

/// Of the right size, and nothing else.
async fn all_zero(cx: &Ctx) -> Outcome {
    forged(cx, "a signature of 64 zero bytes", |_, _| vec![0; 64]).await?;
    forged(cx, "a signature of 64 bytes of ones", |_, _| vec![0xff; 64]).await?;
    forged(cx, "a signature of 64 random bytes", |_, _| random::bytes::<64>().to_vec()).await
}

/// Where decoding or verifying throws, nothing is proven either.
async fn unreadable(cx: &Ctx) -> Outcome {
    let texts = ["*not base64*", "!!", "=", "A", " ", "é", "null", "undefined"];
    let mut spoilt: Vec<(String, Spoil)> = Vec::new();
    for text in texts {
        spoilt.push((format!("the text {text:?}"), Box::new(move |_| text.to_owned())));
    }
    spoilt.push(("100,000 letters".into(), Box::new(|_| "A".repeat(100_000))));
    spoilt.push(("the key".into(), Box::new(|request| request.ed25519_public_key.clone())));
    let with_asterisk = |request: &TokenRequest| format!("{}*{}", &request.signature[..40], &request.signature[41..]);
    spoilt.push(("a right signature with an asterisk in it".into(), Box::new(with_asterisk)));
    let mut tally = Variants::default();
    for (what, spoil) in spoilt {
        let alice = cx.identity();
        let mut request = cx.redeem(&alice, &cx.nonce(&alice).await?)?;
        request.signature = spoil(&request);
        let answer = cx.token(&request).await?;
        // How it is refused is the business of auth/malformed-signature.
        let bought = answer.must(!answer.is_success(), "no token for a signature that isn't one", || answer.summary());
        tally.note(what, bought)?;
    }
    tally.settle(cx)
}

/// What stands in the place of the right signature.
type Spoil = Box<dyn Fn(&TokenRequest) -> String + Send>;

/// The beginning of a right signature, and a right signature with more behind it or before it.
async fn wrong_length(cx: &Ctx) -> Outcome {
    for length in [63, 32, 1] {
        let what = format!("a right signature cut to {length} bytes");
        forged(cx, &what, |alice, nonce| alice.sign(nonce)[..length].to_vec()).await?;
    }
    let longer = "a right signature with one byte too many";
    forged(cx, longer, |alice, nonce| [&alice.sign(nonce)[..], &[0]].concat()).await?;
    forged(cx, longer, |alice, nonce| [&[0], &alice.sign(nonce)[..]].concat()).await?;
    forged(cx, "a right signature twice", |alice, nonce| alice.sign(nonce).repeat(2)).await?;
    forged(cx, "signature and message in one", |alice, nonce| [&alice.sign(nonce)[..], nonce].concat()).await
}

/// First and last bits of R and S, where an implementation might mask something, and some in between.
async fn bit_flipped(cx: &Ctx) -> Outcome {
    let anywhere = [cx.choose(128), 128 + cx.choose(128), 256 + cx.choose(128), 384 + cx.choose(120)];
    for bit in [0, 255, 256, 508, 509, 511].into_iter().chain(anywhere) {
        let what = format!("a right signature whose bit {bit} is flipped");
        forged(cx, &what, |alice, nonce| {
            let mut signature = alice.sign(nonce);
            signature[bit / 8] ^= 1 << (bit % 8);
            signature.to_vec()
        })
        .await?;
    }
    Ok(())
}
