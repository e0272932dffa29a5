//! What a careful identity provider refuses beyond the letter: forgeries by mathematics and keys in disguise.

use ed25519_dalek::{Signature, Verifier as _, VerifyingKey};

use super::nonce::stray_bits;
use super::{bytes_of, forged, redeem};
use crate::client::{Identity, Repo, random};
use crate::codec::base64;
use crate::ground::ed25519::unreduced;
use crate::scenarios::check::checks;
use crate::scenarios::{Ctx, Member, Outcome};
use crate::wire::{ChallengeResponse, TokenRequest, TokenResponse};

checks! {
    "auth/signature-malleable", Hardening, "§3", [SIGNATURE_STRICT], malleable,
        "A signature whose S isn't reduced buys no token";
    "auth/small-order-key", Hardening, "§3", [SIGNATURE_STRICT], small_order_key,
        "A key of small order, for which anybody can sign, gets no token";
    "auth/key-spelling", Hardening, "§3", [IDENTITY_CANONICAL], key_spelling,
        "Another spelling of a key never becomes an identity of its own";
    "auth/key-size", Hardening, "§3", [IDENTITY_CANONICAL], key_size,
        "What isn't a key of 32 bytes never becomes an identity";
    "auth/key-off-the-curve", Hardening, "§3", [IDENTITY_CANONICAL], key_off_the_curve,
        "32 bytes that are no point of the curve are refused cleanly";
    "auth/malformed-signature", Hardening, "§3", [BAD_INPUT], malformed_signature,
        "A signature that isn't base64 is refused with a 4xx";
    "auth/malformed-nonce", Hardening, "§3", [BAD_INPUT], malformed_nonce,
        "A nonce that isn't base64, is empty or huge, is refused with a 4xx";
}

/// RFC 8032 §5.1.7 demands S < L.
async fn malleable(cx: &Ctx) -> Outcome {
    for _ in 0..2 {
        forged(cx, "a right signature with L added to its S", |alice, nonce| unreduced(&alice.sign(nonce)).to_vec())
            .await?;
    }
    Ok(())
}

/// Every encoding of a point whose order divides 8, the six non-canonical ones last: y up to 2^255 − 1, either sign.
const SMALL_ORDER: [&str; 14] = [
    "0100000000000000000000000000000000000000000000000000000000000000",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    "0100000000000000000000000000000000000000000000000000000000000080",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
];

fn point(hex: &str) -> [u8; 32] {
    // The digits above are 32 bytes; a test reads them all.
    std::array::from_fn(|i| hex.get(2 * i..2 * i + 2).and_then(|byte| u8::from_str_radix(byte, 16).ok()).unwrap_or(0))
}

/// A signature that the plain verification equation accepts, made without any private key: S = 0 and an R of small order.
/// Depending on the message there may be none for a key of order 2, 4 or 8.
fn trivial_signature(key: &[u8; 32], message: &[u8]) -> Option<[u8; 64]> {
    let verifier = VerifyingKey::from_bytes(key).ok()?;
    SMALL_ORDER[..8].iter().find_map(|r| {
        let mut signature = [0; 64];
        signature[..32].copy_from_slice(&point(r));
        verifier.verify(message, &Signature::from_bytes(&signature)).is_ok().then_some(signature)
    })
}

/// Refused at challenge, or at the latest when the trivially valid signature comes.
async fn small_order_key(cx: &Ctx) -> Outcome {
    for hex in SMALL_ORDER {
        let key = point(hex);
        let id = base64::encode(&key);
        // A nonce that allows the forgery comes up at least every other time.
        for _ in 0..16 {
            let answer = cx.challenge(&id).await?;
            if answer.is_refusal() {
                break;
            }
            let what = format!("a challenge for the small-order key {hex}, unless it is refused,");
            let nonce = answer.accepted::<ChallengeResponse>(&what)?.nonce;
            let Some(signature) = trivial_signature(&key, &bytes_of(cx, &nonce)?) else { continue };
            let what = format!("a signature that anybody can make, for the small-order key {hex},");
            redeem(cx, &id, &nonce, &signature).await?.refused_somehow(&what)?;
            break;
        }
    }
    Ok(())
}

/// Spellings that lenient readers take for the same 32 bytes.
fn spellings(id: &str) -> Vec<(&'static str, String)> {
    let bare = id.trim_end_matches('=');
    let mut all = vec![
        ("without padding", bare.to_owned()),
        ("with too much padding", format!("{id}=")),
        ("in the URL alphabet", id.replace('+', "-").replace('/', "_")),
        ("in the URL alphabet without padding", bare.replace('+', "-").replace('/', "_")),
        ("with a blank in front", format!(" {id}")),
        ("with a line break behind", format!("{id}\n")),
        ("with a line break within", format!("{}\r\n{}", &id[..20], &id[20..])),
        ("with a stray character", format!("{}!{}", &id[..20], &id[20..])),
    ];
    all.extend(stray_bits(id).map(|text| ("with stray bits in the last character", text)));
    all
}

/// One habit: base64 of keys is read leniently, without padding, say.
pub(in crate::scenarios) const LENIENT_KEYS: &str = "keys that are read leniently";

/// Refusing is best; whoever accepts must mean the identity that is spelled canonically.
async fn key_spelling(cx: &Ctx) -> Outcome {
    let alice = cx.introduce(Identity::generate_with(|id| id.contains('+') && id.contains('/')));
    for (how, spelling) in spellings(&alice.id) {
        for asked in [&spelling, &alice.id] {
            let answer = cx.challenge(asked).await?;
            if !answer.is_success() {
                answer.refused_somehow(&format!("a challenge for a key spelled {how}, unless it is accepted,"))?;
                continue;
            }
            let nonce = answer.message::<ChallengeResponse>()?.nonce;
            let request = TokenRequest { ed25519_public_key: spelling.clone(), ..cx.redeem(&alice, &nonce)? };
            let answer = cx.token(&request).await?;
            if !answer.is_success() {
                answer.refused_somehow(&format!("a token request for a key spelled {how}, unless it is accepted,"))?;
                continue;
            }
            let token = answer.message::<TokenResponse>()?.token;
            let member = Member { identity: alice.clone(), token };
            let repo = Repo::new(&alice);
            cx.watch(&repo);
            let answer = cx.create(&member, &repo.create_request()).await?;
            let acts = answer.must(
                answer.is_success(),
                &format!("a key spelled {how} is refused, or its token acts for the canonical id"),
                || format!("a token was issued, and createRepo as {} got {}", alice.id, answer.summary()),
            );
            cx.told_once(LENIENT_KEYS, acts)?;
        }
    }
    Ok(())
}

/// Too short, too long, no key at all.
async fn key_size(cx: &Ctx) -> Outcome {
    let alice = cx.identity();
    let key = alice.public_key();
    let keys = [
        ("an empty key", String::new()),
        ("a key of 31 bytes", base64::encode(&key[..31])),
        ("a key of 33 bytes", base64::encode(&[&key[..], &[0]].concat())),
        ("a key of 33 bytes", base64::encode(&[&[0], &key[..]].concat())),
        ("a key of 64 bytes", base64::encode(&[key, key].concat())),
        ("a key in hex", crate::ground::hex::encode(&key)),
        ("a key that isn't base64", "not a key: ünïcode".to_owned()),
    ];
    for (what, id) in keys {
        let answer = cx.challenge(&id).await?;
        if !answer.is_success() {
            answer.refused_somehow(&format!("a challenge for {what}"))?;
            continue;
        }
        let nonce = answer.message::<ChallengeResponse>()?.nonce;
        let signature = alice.sign(&bytes_of(cx, &nonce)?);
        redeem(cx, &id, &nonce, &signature).await?.refused_somehow(&format!("a token request for {what}"))?;
    }
    Ok(())
}

/// Libraries throw at such keys.
async fn key_off_the_curve(cx: &Ctx) -> Outcome {
    // About every other y-coordinate belongs to no point.
    let key = (0..256).map(|_| random::bytes()).find(|bytes| VerifyingKey::from_bytes(bytes).is_err());
    let id = base64::encode(&key.unwrap_or([2; 32]));
    let answer = cx.challenge(&id).await?;
    if !answer.is_success() {
        return answer.refused_somehow("a challenge for a key that isn't on the curve");
    }
    let nonce = answer.message::<ChallengeResponse>()?.nonce;
    let answer = redeem(cx, &id, &nonce, &random::bytes::<64>()).await?;
    answer.refused_somehow("a token request for a key that isn't on the curve")
}

/// Text that no decoder takes, and text that is far too long.
async fn malformed_signature(cx: &Ctx) -> Outcome {
    for signature in ["*not base64*".to_owned(), "=".into(), "A".into(), "\u{0}é".into(), "A".repeat(100_000)] {
        let alice = cx.identity();
        let nonce = cx.nonce(&alice).await?;
        let request = TokenRequest { ed25519_public_key: alice.id, nonce, signature };
        let answer = cx.token(&request).await?;
        // That it buys nothing is another check's business.
        if !answer.is_success() {
            answer.refused_somehow("a signature that isn't base64 of 64 bytes")?;
        }
    }
    Ok(())
}

/// The same for the nonce, with signatures over what a lenient decoder would make of it.
async fn malformed_nonce(cx: &Ctx) -> Outcome {
    for nonce in ["", "=", "A", "*not base64*", "null", "\u{0}é", &"A".repeat(100_000)] {
        let alice = cx.identity();
        let bytes = base64::decode(nonce).unwrap_or_default();
        let answer = redeem(cx, &alice.id, nonce, &alice.sign(&bytes)).await?;
        if !answer.is_success() {
            answer.refused_somehow("a malformed nonce")?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_order_keys_are_what_they_are_called() {
        for hex in SMALL_ORDER {
            assert_eq!(crate::ground::hex::encode(&point(hex)), hex);
            assert!(VerifyingKey::from_bytes(&point(hex)).unwrap().is_weak(), "{hex}");
            let forgeable = (0..64).any(|_| trivial_signature(&point(hex), &random::bytes::<32>()).is_some());
            assert!(forgeable, "{hex}");
        }
        let mut all = SMALL_ORDER.to_vec();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 14);
    }

    #[test]
    fn spellings_differ_from_the_canonical_one() {
        let id = Identity::generate_with(|id| id.contains('+') && id.contains('/')).id;
        for (how, spelling) in spellings(&id) {
            assert!(base64::decode(&spelling).is_err(), "{how}: {spelling}");
        }
    }
}
