//! Readers that meet a write (SPEC §10): what they see was committed, as a whole, and isn't older than what they know.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::check::checks;
use super::contention::{Fixture, Rounds, all_answered, answers, body, crowd, no_server_error, push_call};
use super::context::to_set_up;
use super::state::{compare_entry, compare_envelope, compare_manifest};
use super::{Auth, Call, Ctx, Member, Operation, Outcome, Stop};
use crate::client::{Identity, Repo};
use crate::ground::lock;
use crate::wire::{MemberEntry, PullResponse, PushResponse, VaultManifest};

checks! {
    "race/rotating-push-is-atomic-for-readers", Must, "§10", [SNAPSHOT_READS, PUSH_ROTATES], rotating_push_for_readers,
        "Reads that meet a rotating push see all of it or nothing", phase = Contention;
    "race/rotation-is-atomic-for-readers", Must, "§10", [SNAPSHOT_READS, REMOVE_ATOMIC], rotation_is_atomic_for_readers,
        "Readers never see a manifest, an envelope or an entry that is made of two states", phase = Contention;
    "race/reads-get-their-own-answers", Must, "§6", [PULL_UNCHANGED, PULL_CURRENT, FETCH_ENTRY], own_answers,
        "Who reads the same repository at the same moment gets what its own request asks for", phase = Contention;
    "race/conflicts-are-invisible", Must, "§10", [SNAPSHOT_READS, PUSH_GATED], conflicts_are_invisible,
        "Pulls that meet a stale push see nothing of it", phase = Contention;
    "race/reads-follow-writes", Must, "§10", [SNAPSHOT_READS, READ_YOUR_WRITES], reads_follow_writes,
        "Pulls right after a push was accepted see it", phase = Contention;
}

/// Pulls before, beside and behind a rotating push that takes somebody in, or leaves somebody out.
pub(super) async fn rotating_push_for_readers(cx: &Ctx) -> Outcome {
    let fixture = Fixture::new(cx).await?;
    let (alice, dave) = (&fixture.alice, &fixture.dave);
    let auths = [alice.auth(), dave.auth()];
    let mut repo = fixture.repo(cx).await?;
    let mut rounds = Rounds::of(cx);
    while rounds.next() {
        let others: &[&Identity] =
            if rounds.done.is_multiple_of(2) { &[&fixture.bob] } else { &[&fixture.bob, &fixture.carol] };
        let staying: Vec<&Identity> =
            [&alice.identity, &dave.identity].into_iter().chain(others.iter().copied()).collect();
        let rotation = repo.rotation(alice, &staying);
        let before = repo.clone();
        let pull = body(&repo.pull_request(0));
        // The window opens when the push is being served, so most of the readers come behind it at first.
        let place = crowd(cx) * (rounds.done as usize % 4).max(1) / 4;
        // Every third of them asks for the entry of one who stays. In every other round all who come before the push ask for another one's,
        // and none after it: what has been read before, and is kept after it, is the last that is kept.
        let early = !rounds.done.is_multiple_of(2);
        let asked_for = if early { &fixture.bob.id } else { dave.id() };
        let read = |number: usize| match if early { number < place } else { number % 3 == 2 } {
            true => Call::operation(Operation::FetchMemberKey, repo.id(), asked_for, &auths[0], None),
            false => Call::operation(Operation::Pull, repo.id(), "", &auths[number % 2], pull.clone()),
        };
        let mut calls: Vec<_> = (0..crowd(cx)).map(read).collect();
        calls.insert(place, push_call(&repo, &auths[0], &repo.rotating_push(&rotation)));
        repo.apply_rotation(&rotation);
        let results = cx.send_together(&calls).await;
        no_server_error(&results)?;
        for (position, answer) in answers(&results) {
            match calls[position].operation {
                Some(Operation::Push) => {
                    let response: PushResponse = answer.accepted("a rotating push")?;
                    answer.must(response.accepted, "a rotating push at the current version is accepted", || {
                        response.to_string()
                    })?;
                }
                Some(Operation::FetchMemberKey) => entry_of_one(answer, asked_for, &[&before, &repo])?,
                _ => one_of(answer, &[&before, &repo])?,
            }
        }
        if !all_answered(&results) {
            break;
        }
        // What was read before the push mustn't have been put into a cache behind it.
        entry_of_one(&cx.fetch(alice, repo.id(), asked_for).await?, asked_for, &[&repo])?;
    }
    rounds.remark(cx, &format!("{} pulls around a rotating push", crowd(cx)))
}

/// One writer rotates; readers compare what they get with the states that were ever committed.
pub(super) async fn rotation_is_atomic_for_readers(cx: &Ctx) -> Outcome {
    let fixture = Fixture::new(cx).await?;
    let mut repo = fixture.repo(cx).await?;
    let states = Mutex::new(vec![repo.clone()]);
    let writing = AtomicBool::new(true);
    let (states, writing, alice, dave) = (&states, &writing, &fixture.alice, &fixture.dave);
    let writer = async {
        let mut rounds = Rounds::of(cx);
        let mut outcome = Ok(());
        while outcome.is_ok() && rounds.next() {
            outcome = rotate_twice(cx, &fixture, &mut repo, states).await;
        }
        writing.store(false, Ordering::Relaxed);
        outcome.map(|()| rounds.done)
    };
    let reader = |who| async move {
        let (mut last, mut reads) = ((0, 0), 0_u32);
        while reads == 0 || writing.load(Ordering::Relaxed) {
            last = read_once(cx, who, states, last).await?;
            reads += 1;
        }
        Ok::<_, Stop>(reads)
    };
    let fetcher = async {
        let mut reads = 0_u32;
        while reads == 0 || writing.load(Ordering::Relaxed) {
            let id = lock(states)[0].id().to_owned();
            let answer = cx.fetch(alice, &id, dave.id()).await?;
            entry_of_one(&answer, dave.id(), &lock(states).iter().rev().collect::<Vec<_>>())?;
            reads += 1;
        }
        Ok::<_, Stop>(reads)
    };
    let (rounds, one, two, three) = tokio::join!(writer, reader(alice), reader(dave), fetcher);
    let reads = one? + two? + three?;
    cx.remark(format!("{reads} reads during {} rotations, none torn", rounds? * 2));
    Ok(())
}

/// What was committed lately, oldest first.
type States = Mutex<Vec<Repo>>;

/// States that are kept: no read that is answered is as old as half of them.
const KEPT: usize = 2048;

fn remember(states: &States, state: &Repo) {
    let mut states = lock(states);
    if states.len() == KEPT {
        states.drain(..KEPT / 2);
    }
    states.push(state.clone());
}

/// A removal, and a rotating push that takes the removed member in again.
async fn rotate_twice(cx: &Ctx, fixture: &Fixture, repo: &mut Repo, states: &States) -> Outcome {
    let (alice, dave, bob, carol) = (&fixture.alice, &fixture.dave, &fixture.bob, &fixture.carol);
    let removal = repo.rotation(alice, &[alice, dave, carol]);
    let request = repo.remove_request(&bob.id, &removal);
    repo.apply_rotation(&removal);
    // A reader may see the state before the writer hears of it.
    remember(states, repo);
    cx.remove(alice, &request).await?.accepted::<VaultManifest>("removeMember")?;
    let back = repo.rotation(dave, &[alice, dave, bob, carol]);
    let request = repo.rotating_push(&back);
    repo.apply_rotation(&back);
    remember(states, repo);
    let answer = cx.push(dave, &request).await?;
    let response: PushResponse = answer.accepted("a rotating push")?;
    answer.must(response.accepted, "a rotating push at the current version is accepted", || response.to_string())
}

/// One pull: a committed state, as a whole, and none older than what was seen before.
async fn read_once(cx: &Ctx, reader: &Member, states: &States, last: (i64, i64)) -> Result<(i64, i64), Stop> {
    let repo = lock(states)[0].clone();
    let (answer, manifest, envelope) = cx.pull_all(reader, &repo).await?;
    let seen = (manifest.payload_version, manifest.key_epoch);
    answer.must(
        seen.0 >= last.0 && seen.1 >= last.1,
        &format!("counters at or above version {} and epoch {}, seen before", last.0, last.1),
        || format!("version {} and epoch {}", seen.0, seen.1),
    )?;
    let state = lock(states).iter().find(|state| state.version() == seen.0).cloned();
    let Some(state) = state else {
        return Err(answer.violation("a version that was written", format!("version {}", seen.0)));
    };
    let torn = compare_manifest(&state.manifest, &manifest).or_else(|| compare_envelope(&state.envelope, &envelope));
    if let Some(torn) = torn {
        return Err(answer.violation(format!("manifest and envelope of version {} as it was committed", seen.0), torn));
    }
    Ok(seen)
}

/// Reads of one state by what each knows and whom each asks for: an answer that is shared by repository is right for one of them.
async fn own_answers(cx: &Ctx) -> Outcome {
    let (alice, bob) = (cx.member().await?, cx.member().await?);
    let mut repo = cx.repo_with(&alice, &[&bob]).await?;
    cx.advance(&alice, &mut repo).await?;
    let auths = [alice.auth(), bob.auth()];
    let reads: Vec<_> = [Read::New, Read::Known, Read::Entry(alice.id()), Read::Entry(bob.id())]
        .into_iter()
        .flat_map(|read| auths.iter().map(move |auth| (read, auth)))
        .collect();
    for (read, auth) in &reads {
        read.judge(&cx.call(read.call(&repo, auth)).await?, &repo).map_err(to_set_up)?;
    }
    let mut rounds = Rounds::of(cx);
    while rounds.next() {
        // Another one comes first each time: its answer is the one that would be shared.
        let first = rounds.done as usize % reads.len();
        let turned: Vec<_> = reads.iter().cycle().skip(first).take(reads.len().min(crowd(cx))).collect();
        let calls: Vec<_> = turned.iter().map(|(read, auth)| read.call(&repo, auth)).collect();
        let results = cx.send_together(&calls).await;
        no_server_error(&results)?;
        for (position, answer) in answers(&results) {
            turned[position].0.judge(answer, &repo)?;
        }
    }
    rounds.remark(cx, &format!("{} reads of one repository", reads.len()))
}

/// What is read.
#[derive(Clone, Copy)]
enum Read<'m> {
    /// All, as for somebody who knows nothing.
    New,
    /// Whether there is anything new.
    Known,
    /// A member's entry.
    Entry(&'m str),
}

impl Read<'_> {
    fn call<'a>(self, repo: &'a Repo, auth: &'a Auth) -> Call<'a>
    where
        Self: 'a,
    {
        match self {
            Self::New => Call::operation(Operation::Pull, repo.id(), "", auth, body(&repo.pull_request(0))),
            Self::Known => {
                Call::operation(Operation::Pull, repo.id(), "", auth, body(&repo.pull_request(repo.version())))
            }
            Self::Entry(member) => Call::operation(Operation::FetchMemberKey, repo.id(), member, auth, None),
        }
    }

    fn judge(self, answer: &super::Answer<'_>, repo: &Repo) -> Outcome {
        match self {
            Self::New => one_of(answer, &[repo]),
            Self::Known => {
                let pulled: PullResponse = answer.accepted("a pull at the current version")?;
                answer.must(
                    pulled.unchanged,
                    &format!("unchanged is true for who knows version {}, the current one", repo.version()),
                    || "unchanged: false".into(),
                )
            }
            Self::Entry(member) => entry_of_one(answer, member, &[repo]),
        }
    }
}

/// A write that was refused never shows, not even for a moment.
async fn conflicts_are_invisible(cx: &Ctx) -> Outcome {
    let alice = cx.member().await?;
    let auth = alice.auth();
    let mut repo = cx.repo(&alice).await?;
    cx.advance(&alice, &mut repo).await?;
    let mut rounds = Rounds::of(cx);
    while rounds.next() {
        let pull = body(&repo.pull_request(0));
        let mut calls: Vec<_> =
            (0..crowd(cx)).map(|_| Call::operation(Operation::Pull, repo.id(), "", &auth, pull.clone())).collect();
        let mut stale = repo.push_request(&alice);
        stale.expected_payload_version -= 1;
        calls.insert(crowd(cx) / 4, push_call(&repo, &auth, &stale));
        let results = cx.send_together(&calls).await;
        no_server_error(&results)?;
        for (position, answer) in answers(&results) {
            if calls[position].operation == Some(Operation::Push) {
                let response: PushResponse = answer.accepted("a stale push")?;
                answer.must(!response.accepted, "a stale push is a conflict", || response.to_string())?;
            } else {
                one_of(answer, &[&repo])?;
            }
        }
    }
    rounds.remark(cx, &format!("{} pulls around a stale push", crowd(cx)))
}

/// The pulls are ready when the write is answered: they follow within microseconds.
async fn reads_follow_writes(cx: &Ctx) -> Outcome {
    if cx.world.is_serial() {
        return Err(occupied());
    }
    let alice = cx.member().await?;
    let auth = alice.auth();
    let mut repo = cx.repo(&alice).await?;
    let mut rounds = Rounds::of(cx);
    while rounds.next() {
        let push = repo.push_request(&alice);
        let pull = body(&repo.pull_request(0));
        let calls: Vec<_> =
            (0..crowd(cx) / 2).map(|_| Call::operation(Operation::Pull, repo.id(), "", &auth, pull.clone())).collect();
        let (pushed, results) =
            cx.send_together_after(&calls, tokio::time::timeout(PATIENCE, cx.push(&alice, &push))).await;
        let Ok(pushed) = pushed else { return Err(occupied()) };
        let (pushed, response) =
            pushed.and_then(|answer| Ok((answer.clone(), answer.accepted::<PushResponse>("a push")?)))?;
        pushed.must(response.accepted, "a push at the current version is accepted", || response.to_string())?;
        repo.apply_push(&push);
        no_server_error(&results)?;
        for (_, answer) in answers(&results) {
            one_of(answer, &[&repo])?;
        }
    }
    rounds.remark(cx, "a push and pulls right after it")
}

/// How long a push may take while the pulls after it are under way already.
const PATIENCE: Duration = Duration::from_secs(1);

/// A server with few workers, or one, has none left for the push.
fn occupied() -> Stop {
    Stop::not_judged("the server answers nothing while a few other requests are under way; it needn't")
}

/// A fetch serves a member's entry of one of these states, as a whole.
pub(super) fn entry_of_one(answer: &super::Answer<'_>, member: &str, states: &[&Repo]) -> Outcome {
    let served: MemberEntry = answer.accepted("fetchMemberKey by a member")?;
    let committed = states.iter().filter_map(|state| state.manifest.member(member));
    let mut torn = None;
    for entry in committed {
        match compare_entry(entry, &served) {
            None => return Ok(()),
            // By the entry of the same epoch, if there is one.
            difference if entry.key_epoch == served.key_epoch || torn.is_none() => torn = difference,
            _ => {}
        }
    }
    let torn = torn.unwrap_or_else(|| "the entry of no member".into());
    Err(answer.violation(format!("the entry of epoch {} as it was committed", served.key_epoch), torn))
}

/// A pull serves one of these states, as a whole.
pub(super) fn one_of(answer: &super::Answer<'_>, states: &[&Repo]) -> Outcome {
    let pulled: PullResponse = answer.accepted("pull by a member")?;
    let newest = states[states.len() - 1];
    let state = states.iter().find(|state| state.version() == pulled.manifest.payload_version).unwrap_or(&newest);
    let torn = compare_manifest(&state.manifest, &pulled.manifest).or_else(|| match &pulled.envelope {
        Some(envelope) => compare_envelope(&state.envelope, envelope),
        None => Some("no envelope".into()),
    });
    match torn {
        None => Ok(()),
        Some(torn) => Err(answer.violation(format!("version {} as it was committed", state.version()), torn)),
    }
}
