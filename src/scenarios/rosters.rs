//! Long rosters (SPEC §6): whoever stands last has every right, and nobody gets lost on the way.

use super::check::checks;
use super::context::to_set_up;
use super::state::compare_entry;
use super::variants::Variants;
use super::{Answer, Ctx, Member, Outcome, Stop};
use crate::client::{Identity, Repo, Rotation, random};
use crate::codec::base64;
use crate::wire::{MemberAddRequest, MemberEntry, PushResponse, VaultManifest, WrappedKey};

checks! {
    "rosters/long-one-is-whole", Must, "§6", [PUSH_ROTATES, STORED_VERBATIM, PUSH_APPLIES, PULL_CURRENT, FETCH_ENTRY], long_one,
        "A roster of 257 is stored and served whole, and its last members pull, push and are fetched";
    "rosters/last-has-every-right", Must, "§6", [ADD_RECORDS, REMOVE_REPLACES, REMOVE_REVOKES, STORED_VERBATIM], last_has_every_right,
        "Whoever stands last in a roster of more than a hundred adds and removes members";
    "rosters/large-one-is-whole", Must, "§6", [PUSH_ROTATES, STORED_VERBATIM, PULL_CURRENT], large_one,
        "A roster of a few members and some MiB is stored and served whole";
    "rosters/entry-of-another-epoch", Must, "§6", [PUSH_ROTATES, REMOVE_REPLACES, STORED_VERBATIM], of_another_epoch,
        "A roster in which one entry is of another epoch is refused, or stored and served whole";
    "rosters/ids-alike", Must, "§6", [ADD_RECORDS, FETCH_ENTRY, PUSH_ROTATES, REMOVE_REPLACES], ids_alike,
        "Member ids that differ only in case, in punctuation or at their end are different members";
}

/// Rosters to try, the longest first: a deployment may limit them.
const LENGTHS: [usize; 5] = [257, 129, 65, 33, 11];
/// With `--thorough`.
const LONGER: [usize; 6] = [1025, 257, 129, 65, 33, 11];
/// Six of these are more than a MiB, and fit into an answer with room to spare.
const LARGE_KEY: usize = 192 << 10;
/// Positions that pages, batches and bytes end at, counted from 1.
const POSITIONS: [usize; 16] = [2, 9, 10, 11, 50, 51, 64, 65, 99, 100, 101, 128, 129, 255, 256, 257];
/// Positions whose members have a token: the first past each usual end.
const ACTING: [usize; 6] = [11, 51, 65, 101, 129, 257];

/// By a rotating push and by a removal: nobody is left out in silence.
async fn of_another_epoch(cx: &Ctx) -> Outcome {
    let alice = cx.member().await?;
    let (bob, carol) = (cx.identity(), cx.identity());
    for removes in [false, true] {
        for step in [-1, 2] {
            let mut repo = cx.repo_with(&alice, &[&bob, &carol]).await?;
            let mut rotation = repo.rotation(&alice, &[&alice, &bob]);
            rotation.members[1].key_epoch += step;
            let what = format!(
                "a {} whose roster has one entry of another epoch",
                if removes { "removal" } else { "rotating push" }
            );
            let answer = if removes {
                cx.remove(&alice, &repo.remove_request(&carol.id, &rotation)).await?
            } else {
                cx.push(&alice, &repo.rotating_push(&rotation)).await?
            };
            if answer.is_success() {
                repo.apply_rotation(&rotation);
                cx.watch(&repo);
            } else {
                answer.refused_somehow(&format!("{what}, unless it is carried out,"))?;
            }
            cx.holds(&alice, &repo, &what).await?;
        }
    }
    Ok(())
}

/// An entry of somebody who only stands there: keys like any others, wrapped to nobody. Its own private keys are forgotten at once.
pub(super) fn bystander(epoch: i64) -> MemberEntry {
    entry_like(&Identity::with_plain_id().id, epoch)
}

/// 32 bytes that could be an X25519 key: no key has the highest bit set (RFC 7748 §5), and a server may look.
fn key_like() -> [u8; 32] {
    loop {
        let mut key = random::bytes::<32>();
        key[31] &= 0x7f;
        if random::has_plain_ends(&key) {
            return key;
        }
    }
}

pub(super) fn entry_like(id: &str, epoch: i64) -> MemberEntry {
    MemberEntry {
        ed25519_public_key: id.to_owned(),
        x25519_public_key: base64::encode(&key_like()),
        wrapped_data_key: WrappedKey {
            scheme_id: crate::codec::key_wrap::SCHEME_ID.into(),
            ephemeral_public_key: base64::encode(&key_like()),
            iv: base64::encode(&random::plain::<12>()),
            ciphertext: base64::encode(&random::plain::<48>()),
        },
        key_epoch: epoch,
        key_binding_sig: None,
    }
}

/// A rotation of a repository to a roster of some length, in which the actors stand where they should.
fn long_rotation(repo: &Repo, alice: &Member, actors: &[(usize, Member)], length: usize) -> Rotation {
    let mut staying: Vec<&Identity> = vec![alice];
    staying.extend(actors.iter().filter(|(position, _)| *position <= length).map(|(_, actor)| &actor.identity));
    let mut rotation = repo.rotation(alice, &staying);
    let mut entries = std::mem::take(&mut rotation.members).into_iter();
    for position in 1..=length {
        let acts = position == 1 || actors.iter().any(|(at, _)| *at == position);
        let entry = if acts { entries.next() } else { None };
        rotation.members.push(entry.unwrap_or_else(|| bystander(repo.epoch() + 1)));
    }
    rotation
}

/// The longest roster that the server takes, put there by a push; `None` if it takes none of these.
async fn longest(
    cx: &Ctx,
    alice: &Member,
    actors: &[(usize, Member)],
    lengths: &[usize],
) -> Result<Option<Repo>, Stop> {
    let mut repo = cx.repo(alice).await?;
    for length in lengths {
        let rotation = long_rotation(&repo, alice, actors, *length);
        let answer = cx.push(alice, &repo.rotating_push(&rotation)).await?;
        if answer.is_refusal() {
            cx.remark(format!("a roster of {length} is refused with {}", answer.status));
            continue;
        }
        let pushed: PushResponse = answer.accepted("a push with a long roster")?;
        answer.must(pushed.accepted, "a push at the current version is accepted", || pushed.to_string())?;
        repo.apply_rotation(&rotation);
        cx.watch(&repo);
        return Ok(Some(repo));
    }
    Ok(None)
}

fn none_long_enough() -> Stop {
    Stop::not_applicable("the server refuses rosters of eleven and more, as a deployment may")
}

async fn actors(cx: &Ctx, positions: &[usize]) -> Result<Vec<(usize, Member)>, Stop> {
    let mut actors = Vec::new();
    for position in positions {
        actors.push((*position, cx.member().await?));
    }
    Ok(actors)
}

/// One push brings the whole roster; then each of some members uses its rights, and many are fetched.
async fn long_one(cx: &Ctx) -> Outcome {
    let alice = cx.member().await?;
    let mut positions = ACTING.to_vec();
    if cx.thorough() {
        positions.push(1025);
    }
    let actors = actors(cx, &positions).await?;
    let lengths: &[usize] = if cx.thorough() { &LONGER } else { &LENGTHS };
    let Some(mut repo) = longest(cx, &alice, &actors, lengths).await? else { return Err(none_long_enough()) };
    let length = repo.manifest.members.len();
    let mut tally = Variants::default();
    tally.note(format!("pull of a roster of {length}"), cx.readable(&alice, &repo, "a push with that roster").await)?;
    let (last, others) = split_last(&actors, length);
    for (position, actor) in others {
        let outcome = pushes(cx, actor, &mut repo).await;
        tally.note(format!("push by member {position} of {length}"), outcome)?;
    }
    let (position, actor) = last;
    tally.note(format!("push by member {position} of {length}"), pushes(cx, actor, &mut repo).await)?;
    tally.note(format!("pull by member {position} of {length}"), cx.readable(actor, &repo, "its own push").await)?;
    let last = [length];
    for position in POSITIONS.iter().filter(|position| **position < length).chain(&last) {
        let outcome = fetches(cx, actor, &repo, &repo.manifest.members[position - 1]).await;
        tally.note(format!("fetchMemberKey of member {position} of {length}"), outcome)?;
    }
    tally.settle(cx)
}

/// Stores that read by pages count bytes as well as rows. The wrapped keys are large, the members few.
async fn large_one(cx: &Ctx) -> Outcome {
    let alice = cx.member().await?;
    let mut repo = cx.repo(&alice).await?;
    let mut rotation = long_rotation(&repo, &alice, &[], 7);
    for entry in &mut rotation.members[1..] {
        let mut sealed = vec![0; LARGE_KEY];
        random::fill(&mut sealed);
        entry.wrapped_data_key.ciphertext = base64::encode(&sealed);
    }
    let answer = cx.push(&alice, &repo.rotating_push(&rotation)).await?;
    if answer.is_refusal() {
        return Err(Stop::not_applicable(format!("wrapped keys of 192 KiB are refused with {}", answer.status)));
    }
    let pushed: PushResponse = answer.accepted("a push with a large roster")?;
    answer.must(pushed.accepted, "a push at the current version is accepted", || pushed.to_string())?;
    repo.apply_rotation(&rotation);
    cx.watch(&repo);
    cx.holds(&alice, &repo, "a push with a roster of more than a MiB").await
}

/// The last of those who are in a roster of this length, and the others. The first is in every roster that is tried.
fn split_last(actors: &[(usize, Member)], length: usize) -> (&(usize, Member), &[(usize, Member)]) {
    let inside = actors.iter().filter(|(position, _)| *position <= length).count().max(1);
    (&actors[inside - 1], &actors[..inside - 1])
}

async fn pushes(cx: &Ctx, by: &Member, repo: &mut Repo) -> Outcome {
    let request = repo.push_request(by);
    let answer = cx.push(by, &request).await?;
    let pushed: PushResponse = answer.accepted("a push by a member")?;
    answer.must(pushed.accepted, "a push at the current version is accepted", || pushed.to_string())?;
    repo.apply_push(&request);
    Ok(())
}

async fn fetches(cx: &Ctx, by: &Member, repo: &Repo, expected: &MemberEntry) -> Outcome {
    let answer = cx.fetch(by, repo.id(), &expected.ed25519_public_key).await?;
    let entry: MemberEntry = answer.accepted("fetchMemberKey of a member")?;
    match compare_entry(expected, &entry) {
        None => Ok(()),
        Some(difference) => Err(answer.violation("the entry as it was sent", difference)),
    }
}

/// 99 by a push, then some more by addMember, so that both ways cross a hundred; the last one adds and removes.
async fn last_has_every_right(cx: &Ctx) -> Outcome {
    let (alice, last) = (cx.member().await?, cx.member().await?);
    let Some(mut repo) = longest(cx, &alice, &[], &[99, 31, 10]).await? else { return Err(none_long_enough()) };
    for _ in 0..2 {
        let answer = add(cx, &alice, &mut repo, bystander(1)).await?;
        if answer.is_refusal() {
            let members = repo.manifest.members.len();
            return Err(Stop::not_applicable(format!("member {} is refused with {}", members + 1, answer.status)));
        }
    }
    let entry = repo.entry_for(&last);
    let answer = add(cx, &alice, &mut repo, entry).await?;
    same_roster(&answer, &repo, "addMember to a long roster")?;
    let answer = add(cx, &last, &mut repo, bystander(1)).await?;
    if answer.is_refusal() {
        // A deployment may let only some members invite: that is asked in a small roster.
        let small = cx.repo_with(&alice, &[&last]).await?;
        let allowed = cx.add(&last, &small.add_request(&cx.identity())).await.map_err(to_set_up)?.is_success();
        answer.must(!allowed, "addMember by the last of a long roster", || answer.summary())?;
    } else {
        same_roster(&answer, &repo, "addMember by the last of a long roster")?;
    }
    removes(cx, &alice, &last, &mut repo).await?;
    cx.readable(&last, &repo, "a removal by the last of a long roster").await
}

/// addMember of a prepared entry; the repository follows unless it is refused.
async fn add<'c>(cx: &'c Ctx, by: &Member, repo: &mut Repo, member: MemberEntry) -> Result<Answer<'c>, Stop> {
    let answer = cx.add(by, &MemberAddRequest { repo_id: repo.id().into(), member: member.clone() }).await?;
    if answer.is_success() {
        repo.apply_add(&member);
    }
    Ok(answer)
}

fn same_roster(answer: &Answer<'_>, repo: &Repo, what: &str) -> Outcome {
    let manifest: VaultManifest = answer.accepted(what)?;
    match super::state::compare_manifest(&repo.manifest, &manifest) {
        None => Ok(()),
        Some(difference) => Err(answer.violation(format!("the whole roster in the answer to {what}"), difference)),
    }
}

/// The last removes the one before it; whether members may remove others at all is asked in a small roster.
async fn removes(cx: &Ctx, alice: &Member, last: &Member, repo: &mut Repo) -> Outcome {
    let removed = repo.manifest.members[1].ed25519_public_key.clone();
    let mut rotation = repo.rotation(last, &[alice, last]);
    for entry in &repo.manifest.members {
        let id = &entry.ed25519_public_key;
        if *id != removed && id != alice.id() && id != last.id() {
            let at = rotation.members.len() - 1;
            rotation.members.insert(at, entry_like(id, repo.epoch() + 1));
        }
    }
    let answer = cx.remove(last, &repo.remove_request(&removed, &rotation)).await?;
    if answer.is_refusal() {
        let carol = cx.identity();
        let small = cx.repo_with(alice, &[last, &carol]).await?;
        let request = small.remove_request(&carol.id, &small.rotation(last, &[alice, last]));
        let allowed = cx.remove(last, &request).await.map_err(to_set_up)?.is_success();
        return answer.must(!allowed, "removeMember by the last of a long roster", || answer.summary());
    }
    repo.apply_rotation(&rotation);
    cx.watch(repo);
    same_roster(&answer, repo, "removeMember by the last of a long roster")
}

/// Ids that nobody has the private key of: a server that checks the points of the curve refuses some of them.
async fn ids_alike(cx: &Ctx) -> Outcome {
    let alice = cx.member().await?;
    let mut tally = Variants::default();
    let mut refused = 0;
    for (name, twin) in TWINS {
        let bob = cx.introduce(with_twin(twin));
        let mut repo = cx.repo_with(&alice, &[&bob]).await?;
        let twin = twin(&bob.id);
        let entry = entry_like(&twin, repo.epoch());
        let answer = add(cx, &alice, &mut repo, entry).await?;
        if answer.is_refusal() {
            refused += 1;
            continue;
        }
        let outcome = async {
            same_roster(&answer, &repo, "addMember of a similar id")?;
            for entry in &repo.manifest.members {
                fetches(cx, &alice, &repo, entry).await?;
            }
            cx.readable(&alice, &repo, "addMember of a similar id").await?;
            outlives(cx, &alice, &mut repo, &bob, &twin).await
        };
        tally.note(format!("ids that differ {name}"), outcome.await)?;
    }
    if refused == 4 {
        return Err(Stop::not_applicable("the server refuses member ids that only look like keys"));
    }
    tally.settle(cx)
}

/// A roster that holds both, and then the removal of one of them, which the other outlives.
async fn outlives(cx: &Ctx, alice: &Member, repo: &mut Repo, bob: &Identity, twin: &str) -> Outcome {
    let mut rotation = repo.rotation(alice, &[alice, bob]);
    rotation.members.push(entry_like(twin, repo.epoch() + 1));
    let answer = cx.push(alice, &repo.rotating_push(&rotation)).await?;
    let pushed: PushResponse = answer.accepted("a push whose roster holds two similar ids")?;
    answer.must(pushed.accepted, "a push at the current version is accepted", || pushed.to_string())?;
    repo.apply_rotation(&rotation);
    cx.watch(repo);
    cx.holds(alice, repo, "a push whose roster holds two similar ids").await?;
    let mut rotation = repo.rotation(alice, &[alice]);
    rotation.members.push(entry_like(twin, repo.epoch() + 1));
    let answer = cx.remove(alice, &repo.remove_request(&bob.id, &rotation)).await?;
    answer.accepted::<VaultManifest>("removeMember of one of two similar ids")?;
    repo.apply_rotation(&rotation);
    cx.watch(repo);
    cx.holds(alice, repo, "removeMember of one of two similar ids").await
}

/// What an id that is like another is made of it.
pub(super) type Twin = fn(&str) -> String;

/// What ids that are alike differ in, and the other one.
pub(super) const TWINS: [(&str, Twin); 4] = [
    ("in case", swapped_case),
    ("in one letter's case", one_letter),
    ("in plus and slash", |id| swap(id, '+', '/')),
    ("in their last letters", |id| format!("{}Q=", &id[..42])),
];

/// Somebody whose id has a twin that could be a key as well.
pub(super) fn with_twin(twin: Twin) -> Identity {
    Identity::generate_with(|id| twin(id) != id && is_key(&twin(id)))
}

/// Canonical base64 of 32 bytes.
fn is_key(id: &str) -> bool {
    base64::decode_array::<32>(id).is_ok_and(|key| curve_point(&key))
}

/// Whether the bytes are the compressed form of a point, so that the strictest server takes them for a key.
fn curve_point(key: &[u8; 32]) -> bool {
    use crate::codec::signature::{SignatureError, verify};
    !matches!(verify(key, b"", b""), Err(SignatureError::PublicKey))
}

fn swapped_case(id: &str) -> String {
    let (body, end) = id.split_at(41);
    let swap = |c: char| if c.is_ascii_uppercase() { c.to_ascii_lowercase() } else { c.to_ascii_uppercase() };
    body.chars().map(swap).chain(end.chars()).collect()
}

fn one_letter(id: &str) -> String {
    let at = id.find(|c: char| c.is_ascii_alphabetic()).unwrap_or_default();
    format!("{}{}{}", &id[..at], swapped_case_of(&id[at..=at]), &id[at + 1..])
}

fn swapped_case_of(letter: &str) -> String {
    let upper = letter.to_ascii_uppercase();
    if upper == letter { letter.to_ascii_lowercase() } else { upper }
}

fn swap(id: &str, one: char, other: char) -> String {
    id.chars()
        .map(|c| {
            if c == one {
                other
            } else if c == other {
                one
            } else {
                c
            }
        })
        .collect()
}
