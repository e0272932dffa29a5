//! The same texts by the other ways into the store: servers write what each operation brings with statements of its own.

use super::samples::{TEXTS, base64_of, odd_bytes, of_length};
use super::{compared, not_taken};
use crate::client::Repo;
use crate::codec::base64;
use crate::scenarios::rosters::bystander;
use crate::scenarios::variants::Variants;
use crate::scenarios::{Answer, Ctx, Member, Outcome, Stop};
use crate::wire::{EncryptedEnvelope, MemberEntry, VaultManifest};

/// One thing that is odd about an entry, and its name.
type Oddity = (String, Box<dyn Fn(&mut MemberEntry) + Send + Sync>);
/// One thing that is odd about an envelope, and its name.
type OddEnvelope = (String, Box<dyn Fn(&mut EncryptedEnvelope) + Send + Sync>);

fn oddity(what: impl Into<String>, change: impl Fn(&mut MemberEntry) + Send + Sync + 'static) -> Oddity {
    (what.into(), Box::new(change))
}

/// What is tried together, to save requests: each part belongs to another column, and is tried alone where the whole is refused.
fn oddities() -> Vec<Vec<Oddity>> {
    let scheme = |what: String, text: String| {
        oddity(what, move |entry: &mut MemberEntry| entry.wrapped_data_key.scheme_id.clone_from(&text))
    };
    let texts = TEXTS.iter().map(|text| scheme(format!("schemeId {text:?}"), (*text).to_owned()));
    let lengths = [65, 129, 256, 1025, 4097];
    let long = lengths.map(|n| scheme(format!("a schemeId of {n} characters"), of_length(n, "abcdefghij")));
    let mut all: Vec<Vec<Oddity>> = texts.chain(long).map(|scheme| vec![scheme]).collect();
    let bytes = odd_bytes(48).into_iter().zip(odd_bytes(12)).zip(odd_bytes(64));
    for (index, (((what, sealed), (_, iv)), (_, sig))) in bytes.enumerate() {
        let (sealed, iv, sig) = (base64::encode(&sealed), base64::encode(&iv), base64::encode(&sig));
        all[index].push(oddity(format!("a wrapped key with {what}"), move |entry| {
            entry.wrapped_data_key.ciphertext.clone_from(&sealed);
            entry.wrapped_data_key.iv.clone_from(&iv);
        }));
        all[index].push(oddity(format!("a binding signature with {what}"), move |entry| {
            entry.key_binding_sig = Some(sig.clone());
        }));
    }
    for length in [128, 129, 192, 255, 256, 257, 511, 513, 1024, 1025, 4096] {
        all.push(vec![oddity(format!("a wrapped key's ciphertext of {length} characters"), move |entry| {
            entry.wrapped_data_key.ciphertext = base64_of(length);
        })]);
    }
    all
}

/// Apart, since servers that know what a signature is refuse it, and with it the roster that it is in.
fn long_binding() -> Oddity {
    oddity("a binding signature of 256 characters", |entry| entry.key_binding_sig = Some(base64_of(256)))
}

/// Ends that are lost, and lengths that fill columns and buffers.
fn envelopes() -> Vec<OddEnvelope> {
    let lengths = [128, 256, 260, 1024, 4096, 8192, 65_536, 65_540].map(|length| -> OddEnvelope {
        let change = move |envelope: &mut EncryptedEnvelope| envelope.ciphertext = base64_of(length);
        (format!("a ciphertext of {length} characters"), Box::new(change))
    });
    let odd = odd_bytes(48).into_iter().zip(odd_bytes(12)).map(|((what, sealed), (_, iv))| -> OddEnvelope {
        let change = move |envelope: &mut EncryptedEnvelope| {
            envelope.ciphertext = base64::encode(&sealed);
            envelope.iv = base64::encode(&iv);
        };
        (format!("a ciphertext and an IV with {what}"), Box::new(change))
    });
    lengths.into_iter().chain(odd).collect()
}

fn named(parts: &[Oddity]) -> String {
    parts.iter().map(|(what, _)| what.as_str()).collect::<Vec<_>>().join(", ")
}

fn changed(mut entry: MemberEntry, parts: &[Oddity]) -> MemberEntry {
    parts.iter().for_each(|(_, change)| change(&mut entry));
    entry
}

/// A refusal is noted; so is a server error, which the texts by a push tell of.
fn refused(tally: &mut Variants, what: String, answer: &Answer<'_>) -> Outcome {
    tally.note(what, not_taken(answer.status))
}

/// By addMember: one after the other into one repository, which is looked at when all are in.
pub(super) async fn added(cx: &Ctx) -> Outcome {
    let alice = cx.member().await?;
    let mut repo = cx.repo(&alice).await?;
    let mut tally = Variants::default();
    let mut kept = Vec::new();
    for parts in oddities().into_iter().chain([vec![long_binding()]]) {
        let (what, whole) = (named(&parts), changed(bystander(repo.epoch()), &parts));
        let Some(answer) = add(cx, &alice, &mut repo, &what, whole, &mut kept).await? else { continue };
        if parts.len() == 1 {
            refused(&mut tally, what, &answer)?;
            continue;
        }
        for part in parts.chunks(1) {
            let alone = changed(bystander(repo.epoch()), part);
            if let Some(answer) = add(cx, &alice, &mut repo, &part[0].0, alone, &mut kept).await? {
                refused(&mut tally, part[0].0.clone(), &answer)?;
            }
        }
    }
    if !kept.is_empty() {
        compared(cx, &alice, &repo, &mut tally, &kept).await?;
    }
    tally.settle(cx)
}

/// The answer, if the entry isn't taken.
async fn add<'c>(
    cx: &'c Ctx,
    alice: &Member,
    repo: &mut Repo,
    what: &str,
    entry: MemberEntry,
    kept: &mut Vec<(String, MemberEntry)>,
) -> Result<Option<Answer<'c>>, Stop> {
    let mut request = repo.add_request(alice);
    request.member = entry;
    let answer = cx.add(alice, &request).await?;
    if !answer.is_success() {
        return Ok(Some(answer));
    }
    repo.apply_add(&request.member);
    cx.watch(repo);
    kept.push((format!("{what}, by an addMember"), request.member));
    Ok(None)
}

/// By removeMember: all odd entries in one roster, by kinds if that is refused; and each odd envelope with a usual roster.
pub(super) async fn removed(cx: &Ctx) -> Outcome {
    let alice = cx.member().await?;
    let mut tally = Variants::default();
    let all: Vec<_> = oddities();
    let whole: Vec<_> = all.iter().map(|parts| (named(parts), changed(bystander(1), parts))).collect();
    let alone = |part: &Oddity| (part.0.clone(), changed(bystander(1), std::slice::from_ref(part)));
    let mut rosters = vec![vec![alone(&long_binding())]];
    if removal(cx, &alice, &mut tally, &whole, |_| {}).await?.is_some() {
        // Some odd parts stand with others, and a length alone.
        let (with_others, lengths): (Vec<_>, Vec<_>) = all.iter().partition(|parts| parts.len() > 1);
        for list in [with_others, lengths] {
            rosters.extend((0..3).map(|kind| list.iter().filter_map(|parts| parts.get(kind)).map(alone).collect()));
        }
    }
    for entries in rosters.into_iter().filter(|entries: &Vec<_>| !entries.is_empty()) {
        if let Some(status) = removal(cx, &alice, &mut tally, &entries, |_| {}).await? {
            tally.note(entries[0].0.clone(), not_taken(status))?;
        }
    }
    for (what, change) in envelopes() {
        let entries = [(what.clone(), bystander(1))];
        if let Some(status) = removal(cx, &alice, &mut tally, &entries, change).await? {
            tally.note(what, not_taken(status))?;
        }
    }
    tally.settle(cx)
}

/// A removal that brings these entries and an envelope; its status if it is refused.
async fn removal(
    cx: &Ctx,
    alice: &Member,
    tally: &mut Variants,
    entries: &[(String, MemberEntry)],
    change: impl Fn(&mut EncryptedEnvelope),
) -> Result<Option<u16>, Stop> {
    let leaves = cx.identity();
    let mut repo = cx.repo_with(alice, &[&leaves]).await?;
    let mut rotation = repo.rotation(alice, &[alice]);
    change(&mut rotation.envelope);
    rotation.members.extend(entries.iter().map(|(_, entry)| entry.clone()));
    let answer = cx.remove(alice, &repo.remove_request(&leaves.id, &rotation)).await?;
    if !answer.is_success() {
        return Ok(Some(answer.status));
    }
    repo.apply_rotation(&rotation);
    cx.watch(&repo);
    let named: Vec<_> = entries.iter().map(|(what, entry)| (format!("{what}, by a removal"), entry.clone())).collect();
    compared(cx, alice, &repo, tally, &named).await?;
    let outcome = cx.holds(alice, &repo, "a removal with an unusual roster or envelope").await;
    if !tally.is_broken() {
        tally.note(named[0].0.clone(), outcome)?;
    }
    Ok(None)
}

/// By createRepo: an odd entry of the creator and an odd envelope at once, each alone if that is refused.
pub(super) async fn created(cx: &Ctx) -> Outcome {
    let alice = cx.member().await?;
    let mut tally = Variants::default();
    let every = if cx.thorough() { 1 } else { 2 };
    let mut entries = oddities().into_iter().step_by(every);
    for (what, change) in envelopes() {
        let parts = entries.next().unwrap_or_default();
        let both = format!("{} and {what}", named(&parts));
        let Some(status) = creation(cx, &alice, &mut tally, both.clone(), &parts, &change).await? else { continue };
        let alone = creation(cx, &alice, &mut tally, what, &[], &change).await?;
        let entry_alone = creation(cx, &alice, &mut tally, named(&parts), &parts, &|_| {}).await?;
        if alone.is_some() && entry_alone.is_some() {
            tally.note(both, not_taken(status))?;
        }
    }
    for parts in entries {
        let what = named(&parts);
        if let Some(status) = creation(cx, &alice, &mut tally, what.clone(), &parts, &|_| {}).await? {
            tally.note(what, not_taken(status))?;
        }
    }
    tally.settle(cx)
}

/// A creation with this entry and envelope; its status if it is refused.
async fn creation(
    cx: &Ctx,
    alice: &Member,
    tally: &mut Variants,
    what: String,
    parts: &[Oddity],
    change: &(dyn Fn(&mut EncryptedEnvelope) + Send + Sync),
) -> Result<Option<u16>, Stop> {
    let mut repo = Repo::new(alice);
    for entry in &mut repo.manifest.members {
        parts.iter().for_each(|(_, odd)| odd(entry));
    }
    change(&mut repo.envelope);
    let answer = cx.create(alice, &repo.create_request()).await?;
    if !answer.is_success() {
        return Ok(Some(answer.status));
    }
    cx.watch(&repo);
    let outcome = match answer.accepted::<VaultManifest>("createRepo") {
        Ok(_) => cx.holds(alice, &repo, "createRepo with unusual texts").await,
        Err(stop) => Err(stop),
    };
    tally.note(format!("{what}, by createRepo"), outcome)?;
    Ok(None)
}
