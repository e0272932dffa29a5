//! The nonce: its shape, its randomness, and that it is good for one token.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::randomness::{self, SAMPLE};
use super::{buys_nothing, bytes_of, redeem, spend};
use crate::client::random;
use crate::codec::base64;
use crate::scenarios::check::checks;
use crate::scenarios::{Auth, Call, Ctx, Operation, Outcome, Stop};
use crate::wire::{ChallengeResponse, TokenRequest};

checks! {
    "auth/nonce-shape", Must, "§3", [NONCE_SIZE, BASE64], shape,
        "A nonce is padded standard base64 of at least 32 bytes";
    "auth/nonces-differ", Must, "§3", [NONCE_RANDOM], differ,
        "Every challenge gets another nonce, for one key and across keys";
    "auth/nonces-differ-at-once", Must, "§3", [NONCE_RANDOM], differ_at_once,
        "Challenges that arrive at the same moment get different nonces", phase = Contention;
    "auth/nonces-differ-in-run", Must, "§3", [NONCE_RANDOM, NONCE_SIZE], differ_in_run,
        "No nonce was given twice in the whole run, and none was shorter than 32 bytes", phase = Finale;
    "auth/nonce-looks-random", Should, "§3", [NONCE_LOOKS_RANDOM], looks_random,
        "The bytes of nonces show no pattern";
    "auth/nonce-never-issued", Must, "§3", [NONCE_ISSUED], never_issued,
        "A nonce that nobody issued buys no token, however well it is signed";
    "auth/nonce-reused", Must, "§3", [NONCE_SINGLE_USE], reused,
        "The same token request doesn't work a second time";
    "auth/nonce-reused-later", Must, "§3", [NONCE_SINGLE_USE], reused_later,
        "A used nonce stays used after other logins of the same key";
    "auth/nonce-reused-by-another-key", Must, "§3", [NONCE_SINGLE_USE], reused_by_another,
        "A used nonce is used for everybody";
    "auth/nonce-reused-respelled", Must, "§3", [NONCE_SINGLE_USE], reused_respelled,
        "A used nonce doesn't become a new one by another spelling of its bytes";
    "auth/nonce-of-another-gives-no-rights", Must, "§3", [SUBJECT_IS_CALLER, PULL_MEMBERS_ONLY], no_rights,
        "Who redeems another key's nonce by its own signature isn't taken for that other key";
    "auth/nonce-bound-to-key", Should, "§3", [NONCE_BOUND], bound_to_key,
        "A nonce issued for one key is useless to the holder of another";
    "auth/nonce-expired", Must, "§3", [NONCE_EXPIRES], expired,
        "An expired nonce buys no token", waits = true;
    "auth/nonce-ttl", Should, "§3", [NONCE_TTL], ttl,
        "A nonce has expired after two minutes", waits = true;
}

/// Requests at the same moment. Many servers accept no more than five connections in waiting.
const AT_ONCE: usize = 5;

/// A nonce whose absence breaks the rule, together with the answer.
macro_rules! challenge {
    ($cx:ident, $key:expr) => {{
        let answer = $cx.challenge($key).await?;
        let nonce = answer.accepted::<ChallengeResponse>("a challenge for a fresh keypair")?.nonce;
        (answer, nonce)
    }};
}

/// 32 bytes at the least, spelled as §2 demands.
async fn shape(cx: &Ctx) -> Outcome {
    for _ in 0..4 {
        let (answer, nonce) = challenge!(cx, &cx.identity().id);
        match base64::decode(&nonce) {
            Ok(bytes) => answer.must(bytes.len() >= 32, "a nonce of at least 32 bytes", || {
                format!("{} bytes ({} characters of base64)", bytes.len(), nonce.len())
            })?,
            Err(error) => {
                return Err(answer.violation("a nonce in padded standard base64", format!("{nonce:?}: {error}")));
            }
        }
    }
    Ok(())
}

/// Notes a nonce; broken if it was there already.
fn note(seen: &mut BTreeMap<String, String>, nonce: String, whose: &str) -> Result<(), String> {
    match seen.insert(nonce, whose.to_owned()) {
        None => Ok(()),
        Some(first) if first == whose => Err(format!("the same nonce twice for the key {whose}")),
        Some(first) => Err(format!("the same nonce for the keys {first} and {whose}")),
    }
}

/// 16 for one key, then one each for others.
async fn differ(cx: &Ctx) -> Outcome {
    let alice = cx.identity().id;
    let others: Vec<_> = (0..8).map(|_| cx.identity().id).collect();
    let mut seen = BTreeMap::new();
    for key in std::iter::repeat_n(&alice, 16).chain(&others).chain([&alice]) {
        let answer = match cx.challenge(key).await {
            // A limit on open challenges; those had so far are what can be judged.
            Err(Stop::Skip(..)) if !seen.is_empty() => break,
            other => other?,
        };
        let nonce = answer.accepted::<ChallengeResponse>("a challenge for a fresh keypair")?.nonce;
        note(&mut seen, nonce, key)
            .map_err(|observed| answer.violation("a fresh nonce for every challenge", observed))?;
    }
    cx.remark(format!("{} nonces", seen.len()));
    Ok(())
}

/// A nonce computed outside of a lock, or from the time, shows when challenges meet.
async fn differ_at_once(cx: &Ctx) -> Outcome {
    let mut seen = BTreeMap::new();
    for _ in 0..3 {
        let alice = cx.identity().id;
        let keys: Vec<_> = (0..AT_ONCE).map(|i| if i % 2 == 0 { alice.clone() } else { cx.identity().id }).collect();
        let ask = |key: &String| {
            let body = json!({ "ed25519PublicKey": key }).to_string();
            Call::operation(Operation::Challenge, "", "", &Auth::None, Some(body.into()))
        };
        let calls: Vec<_> = keys.iter().map(ask).collect();
        // A connection that a busy server drops says nothing about nonces.
        let answers = cx.send_together(&calls).await.into_iter().map(|(_, result)| result.ok());
        for (key, answer) in keys.iter().zip(answers) {
            let Some(answer) = answer.filter(|answer| answer.status != 429) else { continue };
            let nonce = answer.accepted::<ChallengeResponse>("a challenge for a fresh keypair")?.nonce;
            note(&mut seen, nonce, key)
                .map_err(|observed| answer.violation("a fresh nonce for every challenge", observed))?;
        }
    }
    cx.remark(format!("{} nonces", seen.len()));
    Ok(())
}

/// The same over everything that any check has got, as far as it asked for a proper key.
async fn differ_in_run(cx: &Ctx) -> Outcome {
    for _ in 0..2 {
        let _ = challenge!(cx, &cx.identity().id);
    }
    let mut seen = BTreeMap::new();
    for kept in cx.world.seen.answers.answers().0 {
        let exchange = &kept.exchange;
        let is_challenge = exchange.operation == "challenge" && exchange.status.is_some_and(|status| status / 100 == 2);
        if !is_challenge {
            continue;
        }
        let asked = serde_json::from_str::<Value>(&exchange.request.text).unwrap_or_default();
        let given = serde_json::from_slice::<Value>(&kept.body).unwrap_or_default();
        let (Some(key), Some(nonce)) = (asked["ed25519PublicKey"].as_str(), given["nonce"].as_str()) else { continue };
        if base64::decode_array::<32>(key).is_ok() {
            let shown = |expected: &str, observed| {
                let mut finding = cx.violation(expected, observed);
                if let Stop::Violation(finding) = &mut finding {
                    finding.exchange = Some(exchange.clone());
                }
                finding
            };
            let length = base64::decode(nonce).map_or(usize::MAX, |bytes| bytes.len());
            if length < 32 {
                return Err(shown("nonces of at least 32 bytes", format!("one of {length} bytes")));
            }
            note(&mut seen, nonce.to_owned(), key)
                .map_err(|observed| shown("a fresh nonce for every challenge of the run", observed))?;
        }
    }
    cx.remark(format!("{} nonces", seen.len()));
    Ok(())
}

/// Statistics that a random generator passes but for one run in 2^40; `randomness` says how.
async fn looks_random(cx: &Ctx) -> Outcome {
    let (mut texts, mut nonces) = (Vec::new(), Vec::new());
    let mut key = cx.identity().id;
    for i in 0..SAMPLE {
        if i % 4 == 0 {
            key = cx.identity().id;
        }
        let nonce = challenge!(cx, &key).1;
        nonces.push(bytes_of(cx, &nonce)?);
        texts.push(nonce);
    }
    let expected = "nonces of at least 32 random bytes";
    if texts.iter().all(|nonce| randomness::is_hex(nonce)) {
        return Err(
            cx.violation(expected, "every nonce is written in hexadecimal digits, which only happen to be base64")
        );
    }
    randomness::pattern(&nonces).map_or(Ok(()), |pattern| Err(cx.violation(expected, pattern)))
}

/// The right key, a right signature, a nonce of our own making.
async fn never_issued(cx: &Ctx) -> Outcome {
    let alice = cx.identity();
    let issued = bytes_of(cx, &cx.nonce(&alice).await?)?;
    let mut made_up = vec![0; issued.len().max(32)];
    random::fill(&mut made_up);
    let mut altered = issued.clone();
    // Of an empty nonce there is no bit to change; that it is empty is another check's business.
    match altered.get_mut(cx.choose(issued.len())) {
        Some(byte) => *byte ^= 1 << cx.choose(8),
        None => altered = random::bytes::<32>().to_vec(),
    }
    let inventions = [
        ("a token request with a nonce that was never issued", made_up),
        ("a token request with a nonce of zeros", vec![0; 32]),
        ("a token request with an issued nonce, one bit of it changed", altered),
    ];
    for (what, nonce) in inventions {
        redeem(cx, &alice.id, &base64::encode(&nonce), &alice.sign(&nonce)).await?.refused(what, &[401])?;
    }
    for text in ["*not base64*", "=", "A", "null", "undefined"] {
        let bob = cx.identity();
        let bytes = base64::decode(text).unwrap_or_default();
        let answer = redeem(cx, &bob.id, text, &bob.sign(&bytes)).await?;
        answer.must(
            !answer.is_success(),
            &format!("the text {text:?} in the place of a nonce buys no token"),
            || answer.summary(),
        )?;
    }
    // An empty nonce may be what a key without an open challenge is thought to have.
    let (bob, carol) = (cx.identity(), cx.identity());
    spend(cx, &bob).await?;
    for who in [alice, bob, carol] {
        buys_nothing(cx, &cx.redeem(&who, "")?, "a token request with an empty nonce").await?;
    }
    Ok(())
}

/// Ed25519 is deterministic: a replayed request and a freshly signed one are the same.
async fn reused(cx: &Ctx) -> Outcome {
    let request = spend(cx, &cx.identity()).await?;
    for _ in 0..3 {
        cx.token(&request).await?.refused("a token request with a nonce that has bought a token", &[401])?;
    }
    Ok(())
}

/// Neither a newer challenge nor a newer login brings a nonce back.
async fn reused_later(cx: &Ctx) -> Outcome {
    let alice = cx.identity();
    let first = spend(cx, &alice).await?;
    let what = "a token request with a nonce that was used some logins ago";
    cx.nonce(&alice).await?;
    cx.token(&first).await?.refused(what, &[401])?;
    let second = spend(cx, &alice).await?;
    spend(cx, &cx.identity()).await?;
    cx.token(&first).await?.refused(what, &[401])?;
    cx.token(&second).await?.refused(what, &[401])
}

/// Used means used, not used by this key.
async fn reused_by_another(cx: &Ctx) -> Outcome {
    let (alice, mallory) = (cx.identity(), cx.identity());
    let nonce = spend(cx, &alice).await?.nonce;
    cx.nonce(&mallory).await?;
    let answer = cx.token(&cx.redeem(&mallory, &nonce)?).await?;
    answer.refused("a token request with a nonce that another key has used", &[401])
}

/// What is single-use is the nonce, not the text it came in.
async fn reused_respelled(cx: &Ctx) -> Outcome {
    for respell in [unpadded, url_alphabet, stray_bits, with_blank, with_line_break] {
        let request = spend(cx, &cx.identity()).await?;
        let Some(nonce) = respell(&request.nonce) else { continue };
        let request = TokenRequest { nonce, ..request };
        buys_nothing(cx, &request, "a token request with a used nonce in another spelling").await?;
    }
    Ok(())
}

fn unpadded(text: &str) -> Option<String> {
    text.ends_with('=').then(|| text.trim_end_matches('=').to_owned())
}

fn url_alphabet(text: &str) -> Option<String> {
    text.contains(['+', '/']).then(|| text.replace('+', "-").replace('/', "_"))
}

/// Sets a bit of the last character that encodes nothing.
pub(super) fn stray_bits(text: &str) -> Option<String> {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digits = text.trim_end_matches('=');
    let (last, padding) = (digits.bytes().last()?, &text[digits.len()..]);
    let value = ALPHABET.iter().position(|&digit| digit == last).filter(|_| !padding.is_empty())?;
    Some(format!("{}{}{padding}", &digits[..digits.len() - 1], char::from(ALPHABET[value | 1])))
}

fn with_blank(text: &str) -> Option<String> {
    Some(format!(" {text}"))
}

fn with_line_break(text: &str) -> Option<String> {
    Some(format!("{text}\n"))
}

/// Whoever overhears a nonce can do nothing with it.
async fn bound_to_key(cx: &Ctx) -> Outcome {
    let (alice, mallory) = (cx.identity(), cx.identity());
    let nonce = cx.nonce(&alice).await?;
    let answer = cx.token(&cx.redeem(&mallory, &nonce)?).await?;
    answer.refused("another key's token request with a nonce that was issued for this key", &[401])
}

/// A nonce is no proof of who asks: the signature is. Which key it was issued to is looked at above.
async fn no_rights(cx: &Ctx) -> Outcome {
    let (alice, mallory) = (cx.member().await?, cx.identity());
    let repo = cx.repo(&alice).await?;
    let nonce = cx.nonce(&alice.identity).await?;
    let answer = cx.token(&cx.redeem(&mallory, &nonce)?).await?;
    if !answer.is_success() {
        return answer.refused_somehow("another key's token request with a nonce that was issued for this key");
    }
    let token = answer.message::<crate::wire::TokenResponse>()?.token;
    let thief = crate::scenarios::Member { identity: mallory, token };
    let pulled = cx.pull(&thief, &repo.pull_request(0)).await?;
    pulled.refused_somehow("a pull with the token that mallory got by her own signature, over the nonce of a member,")
}

/// What the specification recommends at most.
const RECOMMENDED: Duration = Duration::from_secs(120);

/// Waits until a nonce must have expired and redeems it. The answer's success, and whether the lifetime was told.
pub(in crate::scenarios) async fn redeem_late(cx: &Ctx) -> Result<(super::Answer<'_>, Duration), Stop> {
    let lifetime = cx.world.asked.nonce_ttl.unwrap_or(RECOMMENDED);
    let alice = cx.identity();
    let request = cx.redeem(&alice, &cx.nonce(&alice).await?)?;
    // Servers count in whole seconds, and sweep now and then.
    tokio::time::sleep(lifetime + lifetime / 25 + Duration::from_millis(1500)).await;
    let answer = cx.token(&request).await?;
    // The key as such is still welcome: it was the nonce that was refused.
    spend(cx, &alice).await?;
    Ok((answer, lifetime))
}

/// Judged by the lifetime that was told; without one, only a nonce that is dead after two minutes proves anything.
async fn expired(cx: &Ctx) -> Outcome {
    // A newer challenge makes an older nonce no younger.
    let alice = cx.identity();
    let older = cx.redeem(&alice, &cx.nonce(&alice).await?)?;
    let newer_challenges = async {
        for _ in 0..3 {
            tokio::time::sleep(cx.world.asked.nonce_ttl.unwrap_or(RECOMMENDED) / 3).await;
            cx.nonce(&alice).await?;
        }
        Ok::<_, Stop>(())
    };
    let (late, newer) = tokio::join!(redeem_late(cx), newer_challenges);
    let ((answer, lifetime), ()) = (late?, newer?);
    if answer.is_success() && cx.world.asked.nonce_ttl.is_none() {
        let reason = "a nonce still works after two minutes, and its lifetime isn't known: give it with --nonce-ttl";
        return Err(Stop::not_judged(reason));
    }
    answer.refused(&format!("a token request with a nonce that expired after {lifetime:?}"), &[401])?;
    let answer = cx.token(&older).await?;
    answer.refused(&format!("a nonce that expired after {lifetime:?}, whose key has asked for others since,"), &[401])
}

/// Two minutes are recommended at most.
async fn ttl(cx: &Ctx) -> Outcome {
    if let Some(told) = cx.world.asked.nonce_ttl.filter(|told| *told > RECOMMENDED) {
        return Err(cx.violation("nonces live two minutes at the most", format!("--nonce-ttl says {told:?}")));
    }
    let (answer, lifetime) = redeem_late(cx).await?;
    answer.must(!answer.is_success(), &format!("a nonce is worth nothing after {lifetime:?}"), || answer.summary())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_differ_and_decode_alike_for_a_lenient_reader() {
        let text = base64::encode(&[0xfb; 32]);
        assert_eq!(stray_bits(&text).unwrap(), format!("{}t=", text.strip_suffix("s=").unwrap()));
        assert_eq!(stray_bits(&base64::encode(&[1; 33])), None);
        assert!(base64::decode(&stray_bits(&text).unwrap()).is_err());
        assert_eq!(url_alphabet("AAAA"), None);
    }
}
