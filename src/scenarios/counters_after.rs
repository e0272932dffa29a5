//! Counters after every kind of write (SPEC §10): a gate that compares with what one operation has written last, and not with what there
//! is, lets the counters fall after another one.

use super::check::checks;
use super::context::to_set_up;
use super::push::{conflicts, not_accepted};
use super::variants::Variants;
use super::{Answer, Ctx, Member, Outcome, Stop};
use crate::client::{Identity, Repo, random};

checks! {
    "push/conflict-after-any-write", Must, "§6", [PUSH_CONFLICT], told,
        "Whatever has raised version and epoch, a conflict tells both as they are";
    "push/version-never-falls-after-any-write", Must, "§10", [VERSION_MONOTONIC, PUSH_REFUSED_WHOLE], pushes,
        "Whatever has raised the version, no push takes it back: plain or rotating, after pushes, removals or at the start";
    "remove-member/counters-rise-after-any-write", Must, "§10", [EPOCH_RISES, VERSION_MONOTONIC, REMOVE_ATOMIC], removals,
        "Whatever has raised epoch and version, no removal takes one of them back";
}

/// What has brought the counters to where they are.
#[derive(Clone, Copy, Debug)]
enum Write {
    Creation,
    Push,
    RotatingPush,
    Removal,
    PushAfterRemoval,
    RemovalAfterPush,
    /// A push without a roster, whose envelope is of a later epoch: where the server takes the epoch from it.
    PushOfLaterEpoch,
}

use Write::{Creation, Push, PushAfterRemoval, PushOfLaterEpoch, Removal, RemovalAfterPush, RotatingPush};

const ALL: [Write; 7] = [Creation, Push, RotatingPush, Removal, PushAfterRemoval, RemovalAfterPush, PushOfLaterEpoch];

/// How far the counters go in one step, where the server lets them.
const STEP: i64 = 5;

impl Write {
    fn name(self) -> &'static str {
        match self {
            Creation => "a creation",
            Push => "two pushes",
            RotatingPush => "two rotating pushes",
            Removal => "two removals",
            PushAfterRemoval => "two removals and two pushes",
            RemovalAfterPush => "a push and two removals",
            PushOfLaterEpoch => "a push of a later epoch without a roster",
        }
    }
}

/// alice, who does everything, and who is there to be removed.
struct Cast {
    alice: Member,
    bob: Identity,
    guests: [Identity; 2],
    /// Whether a stale push comes before each write, whose conflict somebody may remember.
    asks: bool,
}

async fn told(cx: &Ctx) -> Outcome {
    after_each(cx, Tried::StalePush).await
}

async fn pushes(cx: &Ctx) -> Outcome {
    after_each(cx, Tried::Push).await
}

async fn removals(cx: &Ctx) -> Outcome {
    after_each(cx, Tried::Removal).await
}

/// What is tried then.
#[derive(Clone, Copy)]
enum Tried {
    StalePush,
    Push,
    Removal,
}

/// Brings a repository to its counters by each kind of write, and tries what must not be.
async fn after_each(cx: &Ctx, tried: Tried) -> Outcome {
    let cast = Cast {
        alice: cx.member().await?,
        bob: cx.identity(),
        guests: [cx.identity(), cx.identity()],
        asks: matches!(tried, Tried::StalePush),
    };
    let mut tally = Variants::default();
    for write in ALL {
        let outcome = match (brought(cx, &cast, write).await, tried) {
            (Ok(repo), Tried::Removal) => no_removal_lowers(cx, &cast, &repo).await,
            (Ok(repo), Tried::Push) => no_push_lowers(cx, &cast, &repo).await,
            (Ok(repo), Tried::StalePush) => {
                conflicts(&repo, &cx.push(&cast.alice, &repo.stale_push(&cast.alice)).await?)
            }
            (Err(stop), _) => Err(stop),
        };
        tally.note(format!("after {}", write.name()), outcome)?;
    }
    tally.settle(cx)
}

async fn no_push_lowers(cx: &Ctx, cast: &Cast, repo: &Repo) -> Outcome {
    let Cast { alice, bob, .. } = cast;
    let lower = repo.version() - 1;
    let rotating = repo.rotating_push(&repo.rotation_to(alice, &[alice, bob], lower, repo.epoch() + 1));
    for (what, push) in [("push", repo.push_request_at(alice, lower)), ("rotating push", rotating)] {
        let answer = cx.push(alice, &push).await?;
        not_accepted(&answer, lower, repo.version())?;
        cx.holds(alice, repo, &format!("a {what} that lowers the version")).await?;
    }
    Ok(())
}

async fn no_removal_lowers(cx: &Ctx, cast: &Cast, repo: &Repo) -> Outcome {
    let Cast { alice, bob, .. } = cast;
    let (version, epoch) = (repo.version(), repo.epoch());
    for (what, version, epoch) in [("version", version - 1, epoch + 1), ("epoch", version + 1, (epoch - 1).max(0))] {
        let rotation = repo.rotation_to(alice, &[alice], version, epoch);
        let answer = cx.remove(alice, &repo.remove_request(&bob.id, &rotation)).await?;
        let what = format!("a removal that doesn't raise the {what}");
        if !answer.is_success() {
            answer.refused_somehow(&what)?;
        }
        cx.holds(alice, repo, &what).await?;
    }
    Ok(())
}

async fn brought(cx: &Ctx, cast: &Cast, write: Write) -> Result<Repo, Stop> {
    let Cast { alice, bob, guests, .. } = cast;
    if matches!(write, Creation) {
        let mut repo = Repo::with_counters(alice, &random::uuid(), 20, 10);
        let answer = cx.create(alice, &repo.create_request()).await?;
        works(&answer, "createRepo at version 20")?;
        cx.watch(&repo);
        cx.enrol(alice, &mut repo, bob).await?;
        return Ok(repo);
    }
    let mut repo = cx.repo_with(alice, &[bob, &guests[0], &guests[1]]).await?;
    if matches!(write, PushOfLaterEpoch) {
        return of_later_epoch(cx, alice, repo).await;
    }
    let mut step = STEP;
    if matches!(write, RemovalAfterPush) {
        raise(cx, cast, &mut repo, Rise::Push, &mut step).await?;
    }
    for guest in guests {
        let rise = match write {
            Push => Rise::Push,
            RotatingPush => Rise::Rotation,
            _ => Rise::Removal(guest),
        };
        raise(cx, cast, &mut repo, rise, &mut step).await?;
    }
    if matches!(write, PushAfterRemoval) {
        raise(cx, cast, &mut repo, Rise::Push, &mut step).await?;
        raise(cx, cast, &mut repo, Rise::Push, &mut step).await?;
    }
    cx.holds(alice, &repo, write.name()).await.map_err(to_set_up)?;
    Ok(repo)
}

/// No sentence says whether such a push is accepted, and whether it raises the epoch of the repository.
async fn of_later_epoch(cx: &Ctx, alice: &Member, mut repo: Repo) -> Result<Repo, Stop> {
    let mut request = repo.push_request(alice);
    request.envelope.key_epoch += STEP;
    works(&cx.push(alice, &request).await?, "a push of a later epoch without a roster")?;
    let (_, manifest, _) = cx.pull_all(alice, &repo).await?;
    if manifest.key_epoch <= repo.epoch() {
        return Err(Stop::not_applicable("a push without a roster leaves the epoch as it is"));
    }
    repo.apply_push(&request);
    repo.manifest.key_epoch = manifest.key_epoch;
    cx.watch(&repo);
    Ok(repo)
}

/// One write that raises the version, and the epoch where there is a new data key.
#[derive(Clone, Copy)]
enum Rise<'a> {
    Push,
    Rotation,
    Removal(&'a Identity),
}

/// Carries a write out: one step up where the server lets it go no further at once.
async fn raise(cx: &Ctx, cast: &Cast, repo: &mut Repo, rise: Rise<'_>, step: &mut i64) -> Outcome {
    if cast.asks {
        cx.push(&cast.alice, &repo.stale_push(&cast.alice)).await?;
    }
    let (mut answer, mut next) = attempt(cx, cast, repo, rise, *step).await?;
    if answer.is_refusal() && *step > 1 {
        *step = 1;
        (answer, next) = attempt(cx, cast, repo, rise, *step).await?;
    }
    works(&answer, "a write that raises the counters")?;
    *repo = next;
    cx.watch(repo);
    Ok(())
}

/// The answer, and the repository as it is if the write has taken effect.
async fn attempt<'c>(
    cx: &'c Ctx,
    cast: &Cast,
    repo: &Repo,
    rise: Rise<'_>,
    step: i64,
) -> Result<(Answer<'c>, Repo), Stop> {
    let Cast { alice, bob, guests, .. } = cast;
    let (version, mut next) = (repo.version() + step, repo.clone());
    let removed = match rise {
        Rise::Push => {
            let request = repo.push_request_at(alice, version);
            next.apply_push(&request);
            return Ok((cx.push(alice, &request).await?, next));
        }
        Rise::Rotation => "",
        Rise::Removal(guest) => &guest.id,
    };
    let there = guests.iter().filter(|guest| guest.id != removed && repo.manifest.member(&guest.id).is_some());
    let staying: Vec<&Identity> = [&**alice, bob].into_iter().chain(there).collect();
    let rotation = repo.rotation_to(alice, &staying, version, repo.epoch() + step);
    next.apply_rotation(&rotation);
    let answer = match rise {
        Rise::Removal(_) => cx.remove(alice, &repo.remove_request(removed, &rotation)).await?,
        _ => cx.push(alice, &repo.rotating_push(&rotation)).await?,
    };
    Ok((answer, next))
}

/// What is only set-up: a policy against it leaves nothing to be looked at.
fn works(answer: &Answer<'_>, what: &str) -> Outcome {
    if answer.is_success() {
        return Ok(());
    }
    Err(Stop::not_applicable(format!("{what} is answered with {}", answer.status)))
}
