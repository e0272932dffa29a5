//! Rights that come and go (SPEC §6): whatever was allowed or refused a moment ago, an answer goes by the roster of now.
//!
//! A table of every operation and every way of gaining or losing the right to it. The operation is used just before, by the
//! same token, so that whoever remembers the outcome gives it away.

pub(super) mod entries;
mod many;
mod named;
mod nearly;
mod sequences;

use super::check::checks;
use super::context::to_set_up;
use super::variants::Variants;
use super::{Answer, Ctx, Member, Operation, Outcome, Stop};
use crate::client::{Identity, Repo};
use crate::wire::PushResponse;

checks! {
    "rights/end-with-removal", Must, "§6", [REMOVE_REVOKES, REMOVE_DROPS], end_with_removal,
        "Whoever is removed, by whomever, loses every right that was used a moment ago";
    "rights/end-with-removal-roster", Must, "§6", [REMOVE_REVOKES, REMOVE_REPLACES], end_with_roster,
        "Whoever rewrappedMembers leaves out loses every right that was used a moment ago";
    "rights/end-with-push-roster", Must, "§6", [PUSH_ROTATES, REMOVE_REVOKES], end_with_push,
        "Whoever rotatedMembers leaves out loses every right that was used a moment ago";
    "rights/begin-with-add-member", Must, "§6", [ADD_RECORDS, NO_ACCOUNT], begin_with_add,
        "Whoever is added, for the first time or again, has every right that was refused a moment ago";
    "rights/begin-with-roster", Must, "§6", [PUSH_ROTATES, REMOVE_REPLACES], begin_with_roster,
        "Whoever a new roster brings in has every right that was refused a moment ago";
    "rights/end-in-any-sequence", Must, "§6", [REMOVE_REVOKES, REMOVE_DROPS, PUSH_ROTATES], sequences::end,
        "However often and by whatever way somebody has become a member: once he has left he is none";
    "rights/begin-in-any-sequence", Must, "§6", [ADD_RECORDS, PUSH_ROTATES, REMOVE_REPLACES], sequences::begin,
        "By whatever way somebody has left: once he is brought back he is a member like others";
    "rights/without-the-creator", Must, "§6", [PUSH_APPLIES, ADD_ANY_MEMBER, REMOVE_REPLACES, FETCH_ENTRY, PULL_CURRENT], sequences::without_creator,
        "What a member could do while the creator was one he still does when the creator has been removed";
    "rights/unknown-becomes-known", Must, "§6", [CREATE_RETURNS, FETCH_ENTRY, READ_YOUR_WRITES], entries::unknown_becomes_known,
        "A repository or member that was asked for too early is found once it is there";
    "rights/entries-follow-roster", Must, "§6", [FETCH_ENTRY, REMOVE_DROPS, PUSH_ROTATES, READ_YOUR_WRITES], entries::entries_follow,
        "fetchMemberKey gives the entry of now, whatever it gave a moment ago", phase = Contention;
    "rights/entries-stay-in-repository", Must, "§4", [STORED_VERBATIM, BINDING_OPAQUE], entries::entries_stay,
        "What one repository says of a member stays in it";
    "rights/refused-writes-bring-nobody-in", Must, "§6", [PULL_MEMBERS_ONLY, PUSH_REFUSED_WHOLE, FETCH_ENTRY], named::brings_nobody_in,
        "Whom only a refused request names has no right, and nobody's entry is another one after it";
    "rights/many-who-left-stay-out", Must, "§6", [REMOVE_REVOKES, PUSH_ROTATES, REMOVE_DROPS], many::all_stay_out,
        "However many have left a repository, by one push or one after the other: none of them gets in again";
    "rights/nearly-a-member", Must, "§6",
        [PULL_MEMBERS_ONLY, PUSH_MEMBERS_ONLY, ADD_MEMBERS_ONLY, REMOVE_MEMBERS_ONLY, FETCH_MEMBERS_ONLY, SUBJECT_IS_CALLER],
        nearly::check, "Whose id is only like a member's has no right";
}

const OPERATIONS: [Operation; 5] =
    [Operation::Pull, Operation::Push, Operation::AddMember, Operation::RemoveMember, Operation::FetchMemberKey];

/// How somebody comes to be a member no longer.
#[derive(Clone, Copy, Debug)]
enum Loss {
    Removed,
    Himself,
    AgainAfterReturn,
    LeftOut,
    RotatedOut,
}

impl Loss {
    fn name(self) -> &'static str {
        match self {
            Self::Removed => "a removal",
            Self::Himself => "removing himself",
            Self::AgainAfterReturn => "a second removal",
            Self::LeftOut => "another's removal whose roster leaves him out",
            Self::RotatedOut => "a push whose roster leaves him out",
        }
    }
}

/// Those who play in a table: alice stays, bob comes and goes, carol is there to be removed.
struct Cast {
    alice: Member,
    bob: Member,
    carol: Identity,
}

impl Cast {
    async fn new(cx: &Ctx) -> Result<Self, Stop> {
        Ok(Self { alice: cx.member().await?, bob: cx.member().await?, carol: cx.identity() })
    }
}

async fn end_with_removal(cx: &Ctx) -> Outcome {
    losses(cx, &[Loss::Removed, Loss::Himself, Loss::AgainAfterReturn]).await
}

async fn end_with_roster(cx: &Ctx) -> Outcome {
    losses(cx, &[Loss::LeftOut]).await
}

async fn end_with_push(cx: &Ctx) -> Outcome {
    losses(cx, &[Loss::RotatedOut]).await
}

/// Each loss for each operation, and in the end with a new token.
async fn losses(cx: &Ctx, losses: &[Loss]) -> Outcome {
    let mut cast = Cast::new(cx).await?;
    let fresh = cx.authenticate(cast.bob.identity.clone()).await?;
    if cx.pull(&cast.bob, &Repo::new(&cast.bob).pull_request(0)).await.map_err(to_set_up)?.status == 401 {
        // One session for each key: the later login has ended the earlier.
        cast.bob = fresh.clone();
    }
    let mut tally = Variants::default();
    for loss in losses {
        let variant = format!("pull with a token of the time of membership after {}", loss.name());
        tally.note(variant, lose_with_its_token(cx, &cast.alice, *loss).await)?;
        for operation in OPERATIONS {
            let variant = format!("{} after {}", operation.name(), loss.name());
            tally.note(variant, lose(cx, &cast, &fresh, *loss, operation).await)?;
        }
    }
    tally.settle(cx)
}

/// bob uses an operation, loses the right to it, and tries again: the same request and others.
async fn lose(cx: &Ctx, cast: &Cast, fresh: &Member, loss: Loss, operation: Operation) -> Outcome {
    let Cast { alice, bob, carol } = cast;
    let mut repo = cx.repo_with(alice, &[bob, carol]).await?;
    if matches!(loss, Loss::AgainAfterReturn) {
        use_once(cx, bob, &mut repo, operation, cast).await?;
        expel(cx, alice, &mut repo, bob.id(), &[alice, carol]).await?;
        bring_in(cx, &mut repo, Gain::Added, cast, alice).await?;
    }
    use_once(cx, bob, &mut repo, operation, cast).await?;
    take_away(cx, &mut repo, loss, cast).await?;
    for token in [bob, fresh] {
        let answer = attempt(cx, token, &repo, operation, cast).await?;
        answer.refused_somehow(&format!("{} by a former member", operation.name()))?;
        answer.keeps_secret(&repo)?;
    }
    if operation.is_write() { cx.holds(alice, &repo, "refused requests of a former member").await } else { Ok(()) }
}

/// bob logs in while he is a member: a token that lists his repositories would outlast his membership.
async fn lose_with_its_token(cx: &Ctx, alice: &Member, loss: Loss) -> Outcome {
    let (identity, carol) = (cx.identity(), cx.identity());
    let mut repo = cx.repo_with(alice, &[&identity, &carol]).await?;
    let bob = cx.authenticate(identity).await?;
    let cast = Cast { alice: alice.clone(), bob, carol };
    use_once(cx, &cast.bob, &mut repo, Operation::Pull, &cast).await?;
    take_away(cx, &mut repo, loss, &cast).await?;
    let answer = attempt(cx, &cast.bob, &repo, Operation::Pull, &cast).await?;
    answer.refused_somehow("pull by a former member")?;
    answer.keeps_secret(&repo)
}

/// Removes somebody, and everybody who isn't among `staying`, which a policy may forbid.
async fn expel(cx: &Ctx, by: &Member, repo: &mut Repo, id: &str, staying: &[&Identity]) -> Outcome {
    let rotation = repo.rotation(by, staying);
    let answer = cx.remove(by, &repo.remove_request(id, &rotation)).await.map_err(to_set_up)?;
    happened(&answer, "a removal that leaves out more than one")?;
    repo.apply_rotation(&rotation);
    cx.watch(repo);
    Ok(())
}

/// The loss itself. A policy may forbid it, which is its own affair.
async fn take_away(cx: &Ctx, repo: &mut Repo, loss: Loss, cast: &Cast) -> Outcome {
    let Cast { alice, bob, carol } = cast;
    let rotation = match loss {
        Loss::LeftOut => repo.rotation(alice, &[alice]),
        _ => repo.rotation(alice, &[alice, carol]),
    };
    let answer = match loss {
        Loss::Himself => cx.remove(bob, &repo.remove_request(bob.id(), &rotation)).await,
        Loss::LeftOut => cx.remove(alice, &repo.remove_request(&carol.id, &rotation)).await,
        Loss::RotatedOut => cx.push(alice, &repo.rotating_push(&rotation)).await,
        Loss::Removed | Loss::AgainAfterReturn => cx.remove(alice, &repo.remove_request(bob.id(), &rotation)).await,
    };
    happened(&answer.map_err(to_set_up)?, loss.name())?;
    repo.apply_rotation(&rotation);
    cx.watch(repo);
    Ok(())
}

/// What changes a right has happened, or is refused and can't be tried.
pub(super) fn happened(answer: &Answer<'_>, what: &str) -> Outcome {
    if answer.is_refusal() {
        return Err(Stop::not_applicable(format!("the server refuses {what} with {}", answer.status)));
    }
    if answer.operation == Some(Operation::Push) {
        let pushed: PushResponse = answer.accepted(what).map_err(to_set_up)?;
        return answer.must(pushed.accepted, what, || pushed.to_string()).map_err(to_set_up);
    }
    answer.must(answer.is_success(), what, || answer.summary()).map_err(to_set_up)
}

/// One operation by a member, which must work; the repository follows.
async fn use_once(cx: &Ctx, by: &Member, repo: &mut Repo, operation: Operation, cast: &Cast) -> Outcome {
    match operation {
        Operation::Push => cx.advance(by, repo).await,
        Operation::AddMember => {
            let request = repo.add_request(&cx.identity());
            happened(&cx.add(by, &request).await.map_err(to_set_up)?, "addMember by any member")?;
            repo.apply_add(&request.member);
            Ok(())
        }
        Operation::RemoveMember => {
            let guest = cx.identity();
            cx.enrol(&cast.alice, repo, &guest).await?;
            let rotation = repo.rotation(by, &[&cast.alice, &cast.bob, &cast.carol]);
            let answer = cx.remove(by, &repo.remove_request(&guest.id, &rotation)).await.map_err(to_set_up)?;
            happened(&answer, "removeMember by any member")?;
            repo.apply_rotation(&rotation);
            cx.watch(repo);
            Ok(())
        }
        _ => {
            let answer = attempt(cx, by, repo, operation, cast).await.map_err(to_set_up)?;
            happened(&answer, operation.name())
        }
    }
}

/// One operation as a member would do it; it isn't applied.
async fn attempt<'c>(
    cx: &'c Ctx,
    by: &Member,
    repo: &Repo,
    operation: Operation,
    cast: &Cast,
) -> Result<Answer<'c>, Stop> {
    match operation {
        Operation::Push => cx.push(by, &repo.push_request(by)).await,
        Operation::AddMember => cx.add(by, &repo.add_request(&cx.identity())).await,
        Operation::RemoveMember => {
            let removed = repo.manifest.members.iter().map(|entry| entry.ed25519_public_key.as_str());
            let removed = removed.rev().find(|id| *id != by.id()).unwrap_or_default();
            cx.remove(by, &repo.remove_request(removed, &repo.rotation(by, &[by, &cast.alice]))).await
        }
        Operation::FetchMemberKey => cx.fetch(by, repo.id(), cast.alice.id()).await,
        _ => cx.pull(by, &repo.pull_request(0)).await,
    }
}

/// How somebody comes to be a member.
#[derive(Clone, Copy, Debug)]
enum Gain {
    Added,
    AddedAgain,
    AddedAgainByAnother,
    RotatedIn,
    RewrappedIn,
}

impl Gain {
    fn name(self) -> &'static str {
        match self {
            Self::Added => "being added",
            Self::AddedAgain => "being removed and added again",
            Self::AddedAgainByAnother => "being removed and added again by another member",
            Self::RotatedIn => "a push whose roster brings him in",
            Self::RewrappedIn => "a removal whose roster brings him in",
        }
    }
}

async fn begin_with_add(cx: &Ctx) -> Outcome {
    gains(cx, &[Gain::Added, Gain::AddedAgain, Gain::AddedAgainByAnother]).await
}

async fn begin_with_roster(cx: &Ctx) -> Outcome {
    gains(cx, &[Gain::RotatedIn, Gain::RewrappedIn]).await
}

async fn gains(cx: &Ctx, gains: &[Gain]) -> Outcome {
    let cast = Cast::new(cx).await?;
    let dave = cx.member().await?;
    let mut tally = Variants::default();
    for gain in gains {
        for operation in OPERATIONS {
            let variant = format!("{} after {}", operation.name(), gain.name());
            tally.note(variant, win(cx, &cast, &dave, *gain, operation).await)?;
        }
    }
    tally.settle(cx)
}

/// bob is refused an operation, becomes a member, and does it.
async fn win(cx: &Ctx, cast: &Cast, dave: &Member, gain: Gain, operation: Operation) -> Outcome {
    let Cast { alice, bob, carol } = cast;
    let mut repo = cx.repo_with(alice, &[carol]).await?;
    match gain {
        Gain::AddedAgain => {
            cx.enrol(alice, &mut repo, bob).await?;
            use_once(cx, bob, &mut repo, operation, cast).await?;
            expel(cx, alice, &mut repo, bob.id(), &[alice, carol]).await?;
        }
        Gain::AddedAgainByAnother => {
            cx.enrol(alice, &mut repo, bob).await?;
            cx.enrol(alice, &mut repo, dave).await?;
            cx.expel(alice, &mut repo, bob.id(), &[alice, carol, dave]).await?;
        }
        _ => {}
    }
    // Whether strangers are refused is the business of others.
    attempt(cx, bob, &repo, operation, cast).await.map_err(to_set_up)?;
    bring_in(cx, &mut repo, gain, cast, dave).await?;
    let answer = attempt(cx, bob, &repo, operation, cast).await?;
    let what = format!("{} by somebody who has just become a member", operation.name());
    let by_policy = matches!(operation, Operation::RemoveMember | Operation::AddMember);
    if by_policy && answer.is_refusal() {
        // A deployment may let only some members add or remove others; then bob has the right by no way at all.
        return answer.must(!may(cx, cast, operation).await?, &what, || answer.summary());
    }
    answer.must(answer.is_success(), &what, || answer.summary())?;
    if operation == Operation::Push {
        let pushed: PushResponse = answer.accepted(&what)?;
        answer.must(pushed.accepted, &what, || pushed.to_string())?;
    }
    Ok(())
}

/// Whether somebody who was added, and never refused anything, may do this.
async fn may(cx: &Ctx, cast: &Cast, operation: Operation) -> Result<bool, Stop> {
    // With one more than the three: a deployment may refuse removals that leave out others than the one they name.
    let repo = cx.repo_with(&cast.alice, &[&cast.carol, &cx.identity(), &cast.bob]).await?;
    Ok(attempt(cx, &cast.bob, &repo, operation, cast).await.map_err(to_set_up)?.is_success())
}

async fn bring_in(cx: &Ctx, repo: &mut Repo, gain: Gain, cast: &Cast, dave: &Member) -> Outcome {
    let Cast { alice, bob, carol } = cast;
    match gain {
        Gain::Added | Gain::AddedAgain | Gain::AddedAgainByAnother => {
            let by = if matches!(gain, Gain::AddedAgainByAnother) { dave } else { alice };
            let request = repo.add_request(bob);
            happened(&cx.add(by, &request).await.map_err(to_set_up)?, gain.name())?;
            repo.apply_add(&request.member);
        }
        Gain::RotatedIn => {
            let rotation = repo.rotation(alice, &[alice, carol, bob]);
            let push = repo.rotating_push(&rotation);
            happened(&cx.push(alice, &push).await.map_err(to_set_up)?, gain.name())?;
            repo.apply_rotation(&rotation);
        }
        Gain::RewrappedIn => {
            let rotation = repo.rotation(alice, &[alice, bob]);
            let request = repo.remove_request(&carol.id, &rotation);
            happened(&cx.remove(alice, &request).await.map_err(to_set_up)?, gain.name())?;
            repo.apply_rotation(&rotation);
            // Somebody new to be removed: a policy may keep out who was a member before.
            cx.enrol(alice, repo, &cx.identity()).await?;
        }
    }
    cx.watch(repo);
    Ok(())
}
