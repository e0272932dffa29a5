//! Every text that a server stores (SPEC §4): of any length, with any character that its type allows, it comes back exactly as it
//! was sent, or is refused.

mod samples;
mod ways;

use self::samples::{LENGTHS, LONG, MORE_TEXTS, TEXTS, VERY_LONG, base64_of, odd_bytes, of_length};
use super::check::checks;
use super::rosters::bystander;
use super::state::compare_entry;
use super::variants::Variants;
use super::{Answer, Ctx, Member, Outcome, Stop};
use crate::client::Repo;
use crate::codec::base64;
use crate::codec::key_wrap::SCHEME_ID;
use crate::wire::{MemberEntry, PullResponse, PushResponse, VaultManifest};

checks! {
    "texts/scheme-ids", Must, "§4", [STORED_VERBATIM], scheme_ids,
        "A schemeId of any text, of manifest or wrapped key, is served as it was sent, or refused";
    "texts/scheme-id-lengths", Must, "§4", [STORED_VERBATIM], scheme_id_lengths,
        "A schemeId of any length is served as it was sent, or refused";
    "texts/wrapped-keys", Must, "§4", [STORED_VERBATIM, KEY_ENCODING], wrapped_keys,
        "The parts of a wrapped key, of any length and bytes, are served as they were sent, or refused";
    "texts/binding-signatures", Must, "§9", [BINDING_OPAQUE], binding_signatures,
        "A binding signature of any length and bytes is served as it was sent, or refused";
    "texts/ciphertext-lengths", Must, "§4", [STORED_VERBATIM], ciphertext_lengths,
        "A ciphertext of any length around the usual sizes of columns and buffers is served as it was sent, or refused";
    "texts/by-creation", Must, "§4", [STORED_VERBATIM, BINDING_OPAQUE], ways::created,
        "What createRepo brings, of any text, length and bytes, is served as it was sent, or refused";
    "texts/by-addition", Must, "§4", [STORED_VERBATIM, BINDING_OPAQUE], ways::added,
        "What addMember brings, of any text, length and bytes, is served as it was sent, or refused";
    "texts/by-removal", Must, "§4", [STORED_VERBATIM, BINDING_OPAQUE], ways::removed,
        "What removeMember brings, of any text, length and bytes, is served as it was sent, or refused";
    "texts/ciphertext-bytes", Must, "§4", [STORED_VERBATIM, BASE64], ciphertext_bytes,
        "A ciphertext or IV that begins or ends with zeros, blanks or line ends, or an IV of another length, is served as it was sent";
}

async fn scheme_ids(cx: &Ctx) -> Outcome {
    let all = TEXTS.iter().chain(if cx.thorough() { MORE_TEXTS.as_slice() } else { &[] });
    schemes(cx, all.map(|text| (format!("schemeId {text:?}"), (*text).to_owned())).collect()).await
}

async fn scheme_id_lengths(cx: &Ctx) -> Outcome {
    let usual: &[usize] = &[17, 33, 64, 65, 129, 256, 257, 513, 1025, 8192, 65_537];
    let mut texts = Vec::new();
    let lengths: Vec<_> = if cx.thorough() { LENGTHS.iter().chain(&LONG).copied().collect() } else { usual.to_vec() };
    for length in lengths {
        texts.push((format!("a schemeId of {length} characters"), of_length(length, "abcdefghij")));
    }
    for length in if cx.thorough() { [16, 32, 64, 100, 128, 255].as_slice() } else { &[64, 255] } {
        texts.push((format!("a schemeId of {length} characters of two bytes"), of_length(*length, "\u{e9}\u{df}")));
        texts.push((format!("a schemeId of {length} characters of four bytes"), of_length(*length, "\u{1f511}")));
    }
    schemes(cx, texts).await
}

/// Each text in the manifest of a repository of its own, and all of them in the wrapped keys of one roster.
async fn schemes(cx: &Ctx, texts: Vec<(String, String)>) -> Outcome {
    let alice = cx.member().await?;
    let mut tally = Variants::default();
    let variants = texts.iter().map(|(what, text)| {
        let mut entry = bystander(1);
        entry.wrapped_data_key.scheme_id.clone_from(text);
        (format!("{what} of a wrapped key"), entry)
    });
    entries(cx, &alice, &mut tally, variants.collect()).await?;
    for (what, text) in texts {
        let mut repo = Repo::new(&alice);
        repo.manifest.scheme_id = text;
        let what = format!("{what} of a manifest");
        let outcome = created(cx, &alice, &repo, &what, &mut tally).await;
        tally.note(what, outcome)?;
    }
    tally.settle(cx)
}

async fn created(cx: &Ctx, alice: &Member, repo: &Repo, what: &str, tally: &mut Variants) -> Outcome {
    cx.watch(repo);
    let answer = cx.create(alice, &repo.create_request()).await?;
    if !answer.is_success() && !answer.is_refusal() {
        tally.stumbled(what, Some(&repo.manifest.scheme_id), &answer);
    }
    if !answer.is_success() {
        return not_taken(answer.status);
    }
    let manifest: VaultManifest = answer.accepted("createRepo")?;
    let expected = "a schemeId that is taken is returned as it was sent";
    answer.must(manifest.scheme_id == repo.manifest.scheme_id, expected, || short(&manifest.scheme_id))?;
    cx.holds(alice, repo, "createRepo with an unusual schemeId").await
}

fn not_taken(status: u16) -> Outcome {
    Err(Stop::not_applicable(format!("answered with {status}")))
}

fn short(text: &str) -> String {
    let head: String = text.chars().take(60).collect();
    format!("{head:?} ({} characters)", text.chars().count())
}

/// Entries with one odd thing each, in the roster of one push; one by one if that is refused.
async fn entries(cx: &Ctx, alice: &Member, tally: &mut Variants, variants: Vec<(String, MemberEntry)>) -> Outcome {
    let mut repo = cx.repo(alice).await?;
    if rotated(cx, alice, &mut repo, &variants).await?.is_none() {
        return compared(cx, alice, &repo, tally, &variants).await;
    }
    for variant in variants {
        let mut alone = [variant];
        alone[0].1.key_epoch = repo.epoch() + 1;
        match rotated(cx, alice, &mut repo, &alone).await? {
            Some(answer) => {
                let [(what, entry)] = alone;
                if !answer.is_refusal() {
                    // No other part of an entry may be any text.
                    let scheme = &entry.wrapped_data_key.scheme_id;
                    tally.stumbled(what.clone(), (scheme != SCHEME_ID).then_some(scheme), &answer);
                }
                tally.note(what, not_taken(answer.status))?;
            }
            None => compared(cx, alice, &repo, tally, &alone).await?,
        }
    }
    Ok(())
}

/// A push that brings a roster of alice and these; the answer if it is refused.
async fn rotated<'c>(
    cx: &'c Ctx,
    alice: &Member,
    repo: &mut Repo,
    variants: &[(String, MemberEntry)],
) -> Result<Option<Answer<'c>>, Stop> {
    let mut rotation = repo.rotation(alice, &[alice]);
    rotation.members.extend(variants.iter().map(|(_, entry)| entry.clone()));
    let answer = cx.push(alice, &repo.rotating_push(&rotation)).await?;
    if !answer.is_success() {
        return Ok(Some(answer));
    }
    let pushed: PushResponse = answer.accepted("a push that brings a roster")?;
    answer.must(pushed.accepted, "a push at the current version is accepted", || pushed.to_string())?;
    repo.apply_rotation(&rotation);
    cx.watch(repo);
    Ok(None)
}

/// Every entry as it was sent.
async fn compared(
    cx: &Ctx,
    alice: &Member,
    repo: &Repo,
    tally: &mut Variants,
    variants: &[(String, MemberEntry)],
) -> Outcome {
    let answer = cx.pull(alice, &repo.pull_request(0)).await?;
    let pulled: PullResponse = answer.accepted("a pull by a member")?;
    for (what, expected) in variants {
        let difference = match pulled.manifest.member(&expected.ed25519_public_key) {
            Some(served) => compare_entry(expected, served),
            None => Some("the member isn't in the roster".into()),
        };
        let outcome = match difference {
            None => Ok(()),
            Some(difference) => Err(answer.violation("an entry is served as it was sent", difference)),
        };
        tally.note(what.clone(), outcome)?;
    }
    Ok(())
}

/// All parts of a wrapped key in one roster each, so that a server that is particular about one still shows the others.
async fn wrapped_keys(cx: &Ctx) -> Outcome {
    let alice = cx.member().await?;
    let mut tally = Variants::default();
    let long: &[usize] = if cx.thorough() { &LONG } else { &[8192, 65_537] };
    let sizes = LENGTHS.iter().chain(long);
    let sealed = sizes.map(|length| {
        let mut entry = bystander(1);
        entry.wrapped_data_key.ciphertext = base64_of(*length);
        (format!("a wrapped key's ciphertext of {length} characters"), entry)
    });
    let odd = odd_bytes(48).into_iter().map(|(what, bytes)| {
        let mut entry = bystander(1);
        entry.wrapped_data_key.ciphertext = base64::encode(&bytes);
        (format!("a wrapped key's ciphertext with {what}"), entry)
    });
    entries(cx, &alice, &mut tally, sealed.chain(odd).collect()).await?;
    let ivs = odd_bytes(12).into_iter().map(|(what, bytes)| {
        let mut entry = bystander(1);
        entry.wrapped_data_key.iv = base64::encode(&bytes);
        (format!("a wrapped key's iv with {what}"), entry)
    });
    entries(cx, &alice, &mut tally, ivs.collect()).await?;
    // Points of small order are left out: a careful server refuses them, and with them the whole roster.
    let keys = odd_bytes(32).into_iter().filter(|(what, _)| !what.starts_with("nothing")).map(|(what, bytes)| {
        let mut entry = bystander(1);
        entry.wrapped_data_key.ephemeral_public_key = base64::encode(&bytes);
        entry.x25519_public_key = base64::encode(&bytes);
        (format!("an X25519 key with {what}"), entry)
    });
    entries(cx, &alice, &mut tally, keys.collect()).await?;
    let lengths = [16, 20, 32, 64, 88, 128, 256, 512].map(|length| {
        let mut entry = bystander(1);
        entry.wrapped_data_key.ephemeral_public_key = base64_of(length);
        (format!("an ephemeral key of {length} characters"), entry)
    });
    entries(cx, &alice, &mut tally, lengths.into()).await?;
    let lengths = [24, 32, 64, 88, 256].map(|length| {
        let mut entry = bystander(1);
        entry.wrapped_data_key.iv = base64_of(length);
        (format!("a wrapped key's iv of {length} characters"), entry)
    });
    entries(cx, &alice, &mut tally, lengths.into()).await?;
    tally.settle(cx)
}

async fn binding_signatures(cx: &Ctx) -> Outcome {
    let alice = cx.member().await?;
    let mut tally = Variants::default();
    let odd = odd_bytes(64).into_iter().map(|(what, bytes)| {
        let mut entry = bystander(1);
        entry.key_binding_sig = Some(base64::encode(&bytes));
        (format!("a binding signature with {what}"), entry)
    });
    entries(cx, &alice, &mut tally, odd.collect()).await?;
    let lengths = LENGTHS.map(|length| {
        let mut entry = bystander(1);
        entry.key_binding_sig = Some(base64_of(length));
        (format!("a binding signature of {length} characters"), entry)
    });
    entries(cx, &alice, &mut tally, lengths.into()).await?;
    tally.settle(cx)
}

/// Pushes one after the other to one repository, each looked at.
async fn ciphertext_lengths(cx: &Ctx) -> Outcome {
    let alice = cx.member().await?;
    let mut repo = cx.repo(&alice).await?;
    let mut tally = Variants::default();
    // Not both neighbours of each size: base64 comes in fours.
    let usual = [
        36, 64, 128, 256, 260, 512, 516, 1024, 1028, 2048, 4096, 4100, 8192, 16_384, 16_388, 32_768, 65_532, 65_536,
        65_540,
    ];
    let others = [
        32, 68, 132, 192, 252, 508, 768, 1020, 2044, 2052, 4092, 8188, 8196, 16_380, 32_764, 32_772, 98_304, 131_072,
        262_144, 524_288,
    ];
    let more = if cx.thorough() { others.iter().chain(&VERY_LONG) } else { [].iter().chain(&[]) };
    for length in usual.iter().chain(more) {
        let outcome = sealed(cx, &alice, &mut repo, |envelope| envelope.ciphertext = base64_of(*length)).await;
        tally.note(format!("a ciphertext of {length} characters"), outcome)?;
    }
    tally.settle(cx)
}

async fn ciphertext_bytes(cx: &Ctx) -> Outcome {
    let alice = cx.member().await?;
    let mut repo = cx.repo(&alice).await?;
    let mut tally = Variants::default();
    for (what, bytes) in odd_bytes(48) {
        let outcome = sealed(cx, &alice, &mut repo, |envelope| envelope.ciphertext = base64::encode(&bytes)).await;
        tally.note(format!("a ciphertext with {what}"), outcome)?;
    }
    for (what, bytes) in odd_bytes(12) {
        let outcome = sealed(cx, &alice, &mut repo, |envelope| envelope.iv = base64::encode(&bytes)).await;
        tally.note(format!("an IV with {what}"), outcome)?;
    }
    // Those of other AEADs: the scheme is the clients' business.
    for length in [24, 32, 44] {
        let outcome = sealed(cx, &alice, &mut repo, |envelope| envelope.iv = base64_of(length)).await;
        tally.note(format!("an IV of {length} characters"), outcome)?;
    }
    tally.settle(cx)
}

/// A push with an odd envelope, and what comes of it.
async fn sealed(
    cx: &Ctx,
    alice: &Member,
    repo: &mut Repo,
    change: impl FnOnce(&mut crate::wire::EncryptedEnvelope),
) -> Outcome {
    let mut request = repo.push_request(alice);
    change(&mut request.envelope);
    let answer = cx.push(alice, &request).await?;
    if !answer.is_success() {
        return not_taken(answer.status);
    }
    let pushed: PushResponse = answer.accepted("a push by a member")?;
    answer.must(pushed.accepted, "a push at the current version is accepted", || pushed.to_string())?;
    repo.apply_push(&request);
    cx.holds(alice, repo, "a push with an unusual envelope").await
}
