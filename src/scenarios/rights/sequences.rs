//! Comings and goings in a row (SPEC §6): whoever counts grants, remembers who has left, or keeps rosters in two places goes
//! wrong only at the second or third of them.

use super::{Cast, Gain, Loss, OPERATIONS, bring_in, expel, happened, take_away, use_once};
use crate::client::Repo;
use crate::scenarios::context::to_set_up;
use crate::scenarios::state::is_entry;
use crate::scenarios::variants::Variants;
use crate::scenarios::{Ctx, Operation, Outcome, Stop};
use crate::wire::{MemberAddRequest, PushResponse};

/// One thing that happens to somebody's membership.
#[derive(Clone, Copy)]
enum MembershipStep {
    Comes(Gain),
    Goes(Loss),
    /// addMember of who is there, with the same entry: it may be refused.
    AddedOnceMore,
    /// A new roster that he is in, as he was before.
    StaysByPush,
    StaysByRemoval,
    /// Others' business, in which he has no part: it brings nobody in, nor anybody out.
    AnotherAdded,
    PlainPush,
}

use Gain::{Added, RewrappedIn, RotatedIn};
use Loss::{Himself, LeftOut, Removed, RotatedOut};
use MembershipStep::{AddedOnceMore, AnotherAdded, Comes, Goes, PlainPush, StaysByPush, StaysByRemoval};

/// What ends with a loss: whether it is one, however often and by whatever way he had come.
const ENDS: [&[MembershipStep]; 11] = [
    &[Comes(Added), AddedOnceMore, Goes(Removed)],
    &[Comes(Added), AddedOnceMore, Goes(RotatedOut)],
    &[Comes(Added), AddedOnceMore, Goes(LeftOut)],
    &[Comes(Added), StaysByPush, AddedOnceMore, StaysByRemoval, Goes(Himself)],
    &[Comes(RotatedIn), Goes(Removed), Comes(RotatedIn), Goes(RotatedOut)],
    &[Comes(RewrappedIn), Goes(RotatedOut), Comes(RewrappedIn), Goes(Removed)],
    &[Comes(Added), Goes(RotatedOut), Comes(Added), AddedOnceMore, Goes(Removed)],
    &[Comes(RotatedIn), AddedOnceMore, Goes(LeftOut)],
    &[Comes(Added), Goes(RotatedOut), AnotherAdded, PlainPush],
    &[Comes(Added), Goes(Removed), PlainPush, AnotherAdded],
    &[Comes(RotatedIn), Goes(LeftOut), AnotherAdded, PlainPush],
];

/// What ends with a gain: whether it is one, by whatever way he had gone.
const BEGINS: [&[MembershipStep]; 9] = [
    &[Comes(Added), Goes(RotatedOut), Comes(Added)],
    &[Comes(Added), Goes(LeftOut), Comes(Added)],
    &[Comes(Added), Goes(Himself), Comes(Added)],
    &[Comes(Added), Goes(Removed), Comes(RotatedIn)],
    &[Comes(RotatedIn), Goes(RotatedOut), Comes(RotatedIn)],
    &[Comes(Added), Goes(Removed), Comes(RewrappedIn), Goes(LeftOut), Comes(RewrappedIn)],
    &[Comes(RotatedIn), Goes(Removed), Comes(Added), Goes(Removed), Comes(Added)],
    &[Comes(RotatedIn), AnotherAdded, PlainPush],
    &[Comes(RewrappedIn), PlainPush, AnotherAdded],
];

pub(super) async fn end(cx: &Ctx) -> Outcome {
    play_all(cx, &ENDS, |is_in| !is_in).await
}

pub(super) async fn begin(cx: &Ctx) -> Outcome {
    play_all(cx, &BEGINS, |is_in| is_in).await
}

async fn play_all(cx: &Ctx, sequences: &[&[MembershipStep]], judged: fn(bool) -> bool) -> Outcome {
    let cast = Cast::new(cx).await?;
    let mut tally = Variants::default();
    for sequence in sequences {
        let names: Vec<_> = sequence.iter().map(|step| step.name()).collect();
        tally.note(names.join(", then "), play(cx, &cast, sequence, judged).await)?;
    }
    tally.settle(cx)
}

impl MembershipStep {
    fn name(self) -> &'static str {
        match self {
            Comes(gain) => gain.name(),
            Goes(loss) => loss.name(),
            AddedOnceMore => "being added once more",
            StaysByPush => "a push whose roster keeps him",
            StaysByRemoval => "another's removal whose roster keeps him",
            AnotherAdded => "an addMember of somebody else",
            PlainPush => "a push",
        }
    }
}

/// After each step bob's rights and everybody's view are looked at. What isn't judged here is set-up.
async fn play(cx: &Ctx, cast: &Cast, steps: &[MembershipStep], judged: fn(bool) -> bool) -> Outcome {
    let mut cast = Cast { alice: cast.alice.clone(), bob: cast.bob.clone(), carol: cast.carol.clone() };
    let mut repo = cx.repo_with(&cast.alice, &[&cast.carol]).await?;
    for step in steps {
        take(cx, &cast, &mut repo, *step).await?;
        match look(cx, &cast, &repo, *step).await {
            Err(Stop::Violation(_)) if !judged(is_in(&repo, &cast)) => {
                return Err(Stop::not_applicable(format!("{} has not the effect that it should have", step.name())));
            }
            seen => seen?,
        }
        // Where the new roster had no place for carol, somebody takes it: the next loss may name her.
        if repo.manifest.member(&cast.carol.id).is_none() {
            cast.carol = cx.identity();
            cx.enrol(&cast.alice, &mut repo, &cast.carol).await?;
        }
    }
    Ok(())
}

async fn take(cx: &Ctx, cast: &Cast, repo: &mut Repo, step: MembershipStep) -> Outcome {
    let Cast { alice, bob, carol } = cast;
    match step {
        Comes(gain) => bring_in(cx, repo, gain, cast, alice).await,
        Goes(loss) => match take_away(cx, repo, loss, cast).await {
            Err(Stop::Skip(_, reason)) if matches!(loss, Removed) && can_be_removed(cx, cast).await? => {
                Err(cx
                    .violation("a member is removed by whatever way he has come, as one is who was just added", reason))
            }
            other => other,
        },
        AddedOnceMore => {
            let Some(member) = repo.manifest.member(bob.id()).cloned() else { return Ok(()) };
            let request = MemberAddRequest { repo_id: repo.id().to_owned(), member };
            // Whatever the answer is: add-member/again-is-answered looks at it.
            cx.add(alice, &request).await.map_err(to_set_up)?;
            Ok(())
        }
        AnotherAdded => {
            let newcomer = cx.identity();
            cx.enrol(alice, repo, &newcomer).await
        }
        PlainPush => cx.advance(alice, repo).await,
        StaysByPush => {
            let rotation = repo.rotation(alice, &[alice, carol, bob]);
            happened(&cx.push(alice, &repo.rotating_push(&rotation)).await.map_err(to_set_up)?, step.name())?;
            repo.apply_rotation(&rotation);
            cx.watch(repo);
            Ok(())
        }
        StaysByRemoval => {
            let guest = cx.identity();
            cx.enrol(alice, repo, &guest).await?;
            expel(cx, alice, repo, &guest.id, &[alice, carol, bob]).await
        }
    }
}

/// Whether bob can be removed where he was added, and nothing else has happened.
async fn can_be_removed(cx: &Ctx, cast: &Cast) -> Result<bool, Stop> {
    let mut repo = cx.repo_with(&cast.alice, &[&cast.carol, &cast.bob]).await?;
    match take_away(cx, &mut repo, Removed, cast).await {
        Ok(()) => Ok(true),
        Err(Stop::Skip(..)) => Ok(false),
        Err(stop) => Err(stop),
    }
}

fn is_in(repo: &Repo, cast: &Cast) -> bool {
    repo.manifest.member(cast.bob.id()).is_some()
}

/// What bob may, and what others see of him.
async fn look(cx: &Ctx, cast: &Cast, repo: &Repo, step: MembershipStep) -> Outcome {
    let Cast { alice, bob, .. } = cast;
    let pulled = cx.pull(bob, &repo.pull_request(0)).await?;
    if !is_in(repo, cast) {
        pulled.refused_somehow("pull by a former member")?;
        pulled.keeps_secret(repo)?;
        cx.fetch(alice, repo.id(), bob.id()).await?.refused_somehow("fetchMemberKey of a former member")?;
        return cx.holds(alice, repo, step.name()).await;
    }
    pulled.must(pulled.is_success(), "pull by a member is accepted", || pulled.summary())?;
    let Some(entry) = repo.manifest.member(bob.id()) else { return Ok(()) };
    is_entry(&cx.fetch(alice, repo.id(), bob.id()).await?, entry)?;
    let own = cx.fetch(bob, repo.id(), bob.id()).await?;
    if own.is_refusal() && !matches!(step, Comes(_)) {
        return Err(Stop::not_applicable(format!("the server refuses fetchMemberKey of oneself with {}", own.status)));
    }
    is_entry(&own, entry)
}

/// What a member could do while the creator was one, he does when the creator is gone: no right comes from somebody.
pub(super) async fn without_creator(cx: &Ctx) -> Outcome {
    let cast = Cast::new(cx).await?;
    let mut tally = Variants::default();
    for operation in OPERATIONS {
        tally.note(operation.name(), go_on(cx, &cast, operation).await)?;
    }
    tally.settle(cx)
}

async fn go_on(cx: &Ctx, cast: &Cast, operation: Operation) -> Outcome {
    let Cast { alice, bob, carol } = cast;
    let mut repo = cx.repo_with(alice, &[bob, carol]).await?;
    use_once(cx, bob, &mut repo, operation, cast).await?;
    expel(cx, bob, &mut repo, alice.id(), &[bob, carol]).await?;
    let answer = match operation {
        Operation::Push => cx.push(bob, &repo.push_request(bob)).await,
        Operation::AddMember => cx.add(bob, &repo.add_request(&cx.identity())).await,
        Operation::RemoveMember => cx.remove(bob, &repo.remove_request(&carol.id, &repo.rotation(bob, &[bob]))).await,
        Operation::FetchMemberKey => cx.fetch(bob, repo.id(), &carol.id).await,
        _ => cx.pull(bob, &repo.pull_request(0)).await,
    }?;
    let what = format!("{} by a member works once the creator is gone, as it did before", operation.name());
    if operation == Operation::AddMember && answer.is_refusal() {
        // Who may invite is a policy.
        answer.should(false, &what, || answer.summary());
        return Ok(());
    }
    answer.must(answer.is_success(), &what, || answer.summary())?;
    if operation != Operation::Push {
        return Ok(());
    }
    let pushed: PushResponse = answer.accepted(&what)?;
    answer.must(pushed.accepted, &what, || pushed.to_string())
}
