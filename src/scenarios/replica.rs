//! Two processes of one deployment (SPEC §3, §6, §10): whatever one of them does, holds at the other.

use std::time::Duration;

use tokio::time::Instant;

use super::call::Place;
use super::check::checks;
use super::context::to_set_up;
use super::state::compare_state;
use super::{Answer, Auth, Call, Ctx, Member, Operation, Outcome, Stop, contention, histories, races, readers};
use crate::client::{Profile, Repo};
use crate::wire::{PullResponse, PushResponse, TokenResponse, VaultManifest};

checks! {
    "replica/nonce-of-another", Must, "§3", [NONCE_REDEEMABLE], nonce_of_another,
        "A nonce that one process has issued is worth a token at every other", phase = Contention, needs = Replica;
    "replica/nonce-used-at-another", Must, "§3", [NONCE_SINGLE_USE], nonce_used,
        "A nonce that has bought a token at one process buys none at another", phase = Contention, needs = Replica;
    "replica/nonce-redeemed-at-once", Must, "§3", [NONCE_SINGLE_USE], nonce_at_once,
        "A nonce that is redeemed at all processes at the same moment buys at most one token", phase = Contention, needs = Replica;
    "replica/token-of-another", Must, "§3", [TOKEN_LASTS, SUBJECT_IS_CALLER], token_of_another,
        "A token that one process has issued is good at every other", phase = Contention, needs = Replica;
    "replica/reads-follow-writes", Must, "§10", [READ_YOUR_WRITES, PULL_CURRENT], reads_follow_writes,
        "What one process has acknowledged, every other serves from then on", phase = Contention, needs = Replica;
    "replica/removal-shuts-out", Must, "§6", [REMOVE_REVOKES, PUSH_ROTATES], removal_shuts_out,
        "Whom one process has removed, every other refuses from then on", phase = Contention, needs = Replica;
    "replica/push-meets-the-current-version", Must, "§6", [PUSH_GATED, PUSH_CONFLICT], stale_push,
        "A push at a version that another process has replaced is a conflict", phase = Contention, needs = Replica;
    "replica/created-once", Must, "§6", [CREATE_DUPLICATE], created_once,
        "An id that was created at one process is taken at every other", phase = Contention, needs = Replica;
    "replica/push-has-one-winner", Must, "§10", [WRITES_SERIALIZED, PUSH_GATED], push_has_one_winner,
        "Of pushes at the same version, spread over all processes, one is accepted", phase = Contention, needs = Replica;
    "replica/rotation-has-one-winner", Must, "§10", [WRITES_SERIALIZED, PUSH_ROTATES], rotation_has_one_winner,
        "Of rotating pushes that are spread over all processes, one is accepted, with its own roster", phase = Contention, needs = Replica;
    "replica/create-has-one-winner", Must, "§6", [WRITES_SERIALIZED, CREATE_DUPLICATE], create_has_one_winner,
        "An id that is created at all processes at once belongs to one caller", phase = Contention, needs = Replica;
    "replica/add-member-loses-none", Must, "§10", [WRITES_SERIALIZED, ADD_RECORDS], add_member_loses_none,
        "Members added at all processes at once are all in the roster", phase = Contention, needs = Replica;
    "replica/removals-at-once", Must, "§10", [WRITES_SERIALIZED, REMOVE_ATOMIC], removals_at_once,
        "Of two removals at two processes one applies, as a whole", phase = Contention, needs = Replica;
    "replica/push-against-removal", Must, "§10", [WRITES_SERIALIZED, REMOVE_ATOMIC], push_against_removal,
        "Of a push and a removal at two processes one applies, as a whole", phase = Contention, needs = Replica;
    "replica/rotation-is-atomic-for-readers", Must, "§10", [SNAPSHOT_READS, REMOVE_ATOMIC], atomic_for_readers,
        "Readers at all processes see whole states, and none that is older than what they have seen", phase = Contention, needs = Replica;
    "replica/pulls-around-a-rotation", Must, "§10", [SNAPSHOT_READS, PUSH_ROTATES], pulls_around_a_rotation,
        "Pulls at all processes that meet a rotating push see all of it or nothing", phase = Contention, needs = Replica;
    "replica/history-is-linearizable", Must, "§10",
        [WRITES_SERIALIZED, SNAPSHOT_READS, EFFECT_AUTHORITY, READ_YOUR_WRITES], linearizable,
        "Everything that many clients did at all processes at once has an order that explains every answer", phase = Contention, needs = Replica;
}

/// How long a stale answer is followed, to say how long it was given.
const FOLLOWED: Duration = Duration::from_secs(5);

/// Every process with every other.
fn pairs(cx: &Ctx) -> Result<Vec<(Place, Place)>, Stop> {
    if cx.world.target.profiles {
        let (http, grpc) = (Place::Profile(Profile::Http), Place::Profile(Profile::Grpc));
        return Ok(vec![(http, grpc), (grpc, http)]);
    }
    let count = cx.world.target.replicas.len() + 1;
    if count < 2 {
        return Err(Stop::not_applicable(
            "it takes a second process of the deployment: --replica URL, or --replicas 2 with --server-cmd",
        ));
    }
    let all = (0..count).flat_map(|one| (0..count).map(move |other| (Place::Process(one), Place::Process(other))));
    Ok(all.filter(|(one, other)| one != other).collect())
}

/// As [`pairs`], where each process issues nonces.
fn issuers(cx: &Ctx) -> Result<Vec<(Place, Place)>, Stop> {
    if cx.world.target.separate_idp.is_some() {
        return Err(Stop::not_applicable("challenge and token live at one identity provider, whatever the process"));
    }
    pairs(cx)
}

async fn nonce_of_another(cx: &Ctx) -> Outcome {
    for (one, other) in issuers(cx)? {
        let alice = cx.identity();
        let request = cx.redeem(&alice, &cx.at(one).nonce(&alice).await?)?;
        let answer = cx.at(other).token(&request).await?;
        answer.accepted::<TokenResponse>(&format!("at {other}, a nonce of {one}"))?;
    }
    Ok(())
}

pub(super) async fn nonce_used(cx: &Ctx) -> Outcome {
    for (one, other) in issuers(cx)? {
        for (issued, first, second) in [(one, one, other), (one, other, one)] {
            let alice = cx.identity();
            let request = cx.redeem(&alice, &cx.at(issued).nonce(&alice).await?)?;
            if !cx.at(first).token(&request).await?.is_success() {
                continue;
            }
            let again = cx.at(second).token(&request).await?;
            again.must(!again.is_success(), "a used nonce buys no second token", || {
                format!("{first} gave one for it, and then {second}")
            })?;
        }
    }
    Ok(())
}

pub(super) async fn token_of_another(cx: &Ctx) -> Outcome {
    for (one, other) in issuers(cx)? {
        let alice = cx.at(one).member(&cx.identity()).await?;
        let repo = Repo::new(&alice);
        cx.watch(&repo);
        let created = cx.at(other).create(&alice, &repo.create_request()).await?;
        created.accepted::<VaultManifest>(&format!("at {other}, with a token of {one}, createRepo"))?;
        let pulled = cx.at(other).pull(&alice, &repo.pull_request(0)).await?;
        pulled.accepted::<PullResponse>(&format!("at {other}, with a token of {one}, a pull by the owner"))?;
    }
    Ok(())
}

/// A member whom every process knows, by a token that is good everywhere (or each would only be judged for that).
async fn member(cx: &Ctx) -> Result<Member, Stop> {
    let member = cx.member().await?;
    for number in 1..=cx.world.target.replicas.len() {
        let repo = Repo::new(&member);
        cx.watch(&repo);
        let answer = cx.at(Place::Process(number)).create(&member, &repo.create_request()).await.map_err(to_set_up)?;
        answer.accepted::<VaultManifest>("with a token of another process, createRepo").map_err(to_set_up)?;
    }
    Ok(member)
}

/// `place` serves `repo`; if it doesn't, until when.
async fn serves(cx: &Ctx, place: Place, reader: &Member, repo: &Repo, after: &str) -> Outcome {
    let site = cx.at(place);
    let known = repo.version() + 1;
    let differs = |answer: &Answer<'_>| -> Option<String> {
        if !answer.is_success() {
            return Some(answer.summary());
        }
        match answer.message::<PullResponse>() {
            Ok(PullResponse { manifest, envelope: Some(envelope), .. }) => compare_state(repo, &manifest, &envelope),
            _ => Some("no envelope".into()),
        }
    };
    let first = site.pull(reader, &repo.pull_request(known)).await?;
    let Some(difference) = differs(&first) else { return Ok(()) };
    let (since, mut current) = (Instant::now(), false);
    while !current && since.elapsed() < FOLLOWED {
        tokio::time::sleep(Duration::from_millis(5)).await;
        current = differs(&site.pull(reader, &repo.pull_request(known)).await?).is_none();
    }
    let until = if current {
        format!("and went on for {} ms", since.elapsed().as_millis())
    } else {
        format!("and still does after {} s", FOLLOWED.as_secs())
    };
    Err(first.violation(
        format!("{place} serves the current state from the moment at which {after}"),
        format!("it served another one ({difference}), {until}"),
    ))
}

/// Each write at one process, with the other looking before and after.
pub(super) async fn reads_follow_writes(cx: &Ctx) -> Outcome {
    let pairs = pairs(cx)?;
    let alice = member(cx).await?;
    let (bob, carol) = (cx.identity(), cx.identity());
    for (one, other) in pairs {
        let (site, reading) = (cx.at(one), cx.at(other));
        let mut repo = Repo::new(&alice);
        cx.watch(&repo);
        let answer = site.create(&alice, &repo.create_request()).await.map_err(to_set_up)?;
        answer.accepted::<VaultManifest>("createRepo").map_err(to_set_up)?;
        serves(cx, other, &alice, &repo, &format!("{one} has answered createRepo")).await?;
        for newcomer in [&bob, &carol] {
            let add = repo.add_request(newcomer);
            let answer = site.add(&alice, &add).await.map_err(to_set_up)?;
            answer.accepted::<VaultManifest>("addMember").map_err(to_set_up)?;
            repo.apply_add(&add.member);
            serves(cx, other, &alice, &repo, &format!("{one} has answered addMember")).await?;
        }
        let fetched = reading.fetch(&alice, repo.id(), &carol.id).await?;
        fetched.accepted::<crate::wire::MemberEntry>(&format!("at {other}, the key of somebody added at {one}"))?;
        let push = repo.push_request(&alice);
        applied(&site.push(&alice, &push).await.map_err(to_set_up)?)?;
        repo.apply_push(&push);
        serves(cx, other, &alice, &repo, &format!("{one} has answered push")).await?;
        let rotation = repo.rotation(&alice, &[&alice, &bob]);
        applied(&site.push(&alice, &repo.rotating_push(&rotation)).await.map_err(to_set_up)?)?;
        repo.apply_rotation(&rotation);
        serves(cx, other, &alice, &repo, &format!("{one} has answered a rotating push")).await?;
        let fetched = reading.fetch(&alice, repo.id(), &bob.id).await?;
        let entry: crate::wire::MemberEntry = fetched.accepted(&format!("at {other}, the key of a member"))?;
        fetched.must(
            Some(&entry) == repo.manifest.member(&bob.id),
            &format!("{other} serves the entry that {one} has stored"),
            || "an entry of before".into(),
        )?;
        let rotation = repo.rotation(&alice, &[&alice]);
        let answer = site.remove(&alice, &repo.remove_request(&bob.id, &rotation)).await.map_err(to_set_up)?;
        answer.accepted::<VaultManifest>("removeMember").map_err(to_set_up)?;
        repo.apply_rotation(&rotation);
        serves(cx, other, &alice, &repo, &format!("{one} has answered removeMember")).await?;
    }
    Ok(())
}

/// A push that had to apply.
fn applied(answer: &Answer<'_>) -> Outcome {
    let response: PushResponse = answer.accepted("push").map_err(to_set_up)?;
    answer.must(response.accepted, "a push at the current version applies", || response.to_string()).map_err(to_set_up)
}

/// What somebody tries who was a member a moment ago.
const TRIED: [Operation; 5] =
    [Operation::Pull, Operation::Push, Operation::AddMember, Operation::FetchMemberKey, Operation::RemoveMember];

/// Each operation, right after a removal (or a rotating push without the member) at another process, which has just seen the
/// member at work.
pub(super) async fn removal_shuts_out(cx: &Ctx) -> Outcome {
    let pairs = pairs(cx)?;
    let (alice, bob) = (member(cx).await?, member(cx).await?);
    for (one, other) in pairs {
        for (number, operation) in TRIED.into_iter().enumerate() {
            let by_push = number % 2 == 1;
            let repo = cx.repo_with(&alice, &[&bob]).await?;
            let seen = cx.at(other).pull(&bob, &repo.pull_request(0)).await.map_err(to_set_up)?;
            seen.accepted::<PullResponse>("a pull by a member").map_err(to_set_up)?;
            let rotation = repo.rotation(&alice, &[&alice]);
            let mut after = repo.clone();
            after.apply_rotation(&rotation);
            if by_push {
                applied(&cx.at(one).push(&alice, &repo.rotating_push(&rotation)).await.map_err(to_set_up)?)?;
            } else {
                let removal = repo.remove_request(bob.id(), &rotation);
                let answer = cx.at(one).remove(&alice, &removal).await.map_err(to_set_up)?;
                answer.accepted::<VaultManifest>("removeMember").map_err(to_set_up)?;
            }
            let how = if by_push { "a rotating push" } else { "a removal" };
            refused(cx, other, operation, (&alice, &bob), &after, &format!("{how} at {one}")).await?;
        }
    }
    Ok(())
}

/// bob's request for the state after his removal, so that nothing but his authority is wrong with it.
async fn refused(
    cx: &Ctx,
    place: Place,
    operation: Operation,
    (alice, bob): (&Member, &Member),
    after: &Repo,
    what: &str,
) -> Outcome {
    let body = match operation {
        Operation::Pull => contention::body(&after.pull_request(0)),
        Operation::Push => contention::body(&after.push_request(bob)),
        Operation::AddMember => contention::body(&after.add_request(bob)),
        Operation::RemoveMember => contention::body(&after.remove_request(alice.id(), &after.rotation(bob, &[bob]))),
        _ => None,
    };
    let answer = cx.at(place).send(operation, (after.id(), alice.id()), &bob.auth(), body).await?;
    if !answer.is_success() {
        return answer.refused_somehow(&format!("{} by somebody who was removed", operation.name()));
    }
    let since = Instant::now();
    let mut shut_out = false;
    while !shut_out && since.elapsed() < FOLLOWED {
        tokio::time::sleep(Duration::from_millis(5)).await;
        shut_out = !cx.at(place).pull(bob, &after.pull_request(0)).await?.is_success();
    }
    let until = if shut_out {
        format!("it served pulls for {} ms more", since.elapsed().as_millis())
    } else {
        format!("it serves pulls after {} s still", FOLLOWED.as_secs())
    };
    let observed = format!("{} is answered with {} at {place}, and {until}", operation.name(), answer.status);
    Err(answer.violation(format!("after {what}, who was removed is refused everywhere"), observed))
}

/// The process has just seen the version that another then replaces.
pub(super) async fn stale_push(cx: &Ctx) -> Outcome {
    let pairs = pairs(cx)?;
    let alice = member(cx).await?;
    for (one, other) in pairs {
        let mut repo = cx.repo(&alice).await?;
        cx.at(other).pull(&alice, &repo.pull_request(0)).await?;
        let (stale, push) = (repo.push_request(&alice), repo.push_request(&alice));
        applied(&cx.at(one).push(&alice, &push).await.map_err(to_set_up)?)?;
        repo.apply_push(&push);
        let answer = cx.at(other).push(&alice, &stale).await?;
        let response: PushResponse = answer.accepted("a stale push")?;
        let expected = format!("at {other}, a conflict with version {}, which {one} has stored", repo.version());
        let right = !response.accepted && response.conflict && response.payload_version == repo.version();
        answer.must(right, &expected, || response.to_string())?;
    }
    Ok(())
}

pub(super) async fn created_once(cx: &Ctx) -> Outcome {
    let pairs = pairs(cx)?;
    let (alice, mallory) = (member(cx).await?, member(cx).await?);
    for (one, other) in pairs {
        let repo = Repo::new(&alice);
        cx.watch(&repo);
        let answer = cx.at(one).create(&alice, &repo.create_request()).await.map_err(to_set_up)?;
        answer.accepted::<VaultManifest>("createRepo").map_err(to_set_up)?;
        let taken = Repo::with_id(&mallory, repo.id());
        let again = cx.at(other).create(&mallory, &taken.create_request()).await?;
        again.must(!again.is_success(), &format!("at {other}, an id that was created at {one} is taken"), || {
            format!("createRepo is answered with {}", again.status)
        })?;
        serves(cx, one, &alice, &repo, &format!("{other} has refused to create it again")).await?;
    }
    Ok(())
}

/// From here on, the checks of one server with their requests spread over all processes.
fn spread(cx: &Ctx) -> Outcome {
    pairs(cx)?;
    cx.spread();
    Ok(())
}

async fn nonce_at_once(cx: &Ctx) -> Outcome {
    issuers(cx)?;
    let mut rounds = contention::Rounds::of(cx);
    while rounds.next() {
        let alice = cx.identity();
        let request = contention::body(&cx.redeem(&alice, &cx.nonce(&alice).await?)?);
        let count = cx.world.target.replicas.len() + 1;
        let calls: Vec<_> = (0..count * 3)
            .map(|number| Call {
                place: Place::Process(number % count),
                ..Call::operation(Operation::Token, "", "", &Auth::None, request.clone())
            })
            .collect();
        let results = cx.send_together(&calls).await;
        let tokens: Vec<_> = contention::answers(&results).filter(|(_, answer)| answer.is_success()).collect();
        if let [_, (_, second), ..] = tokens.as_slice() {
            let observed = format!("{} tokens for one nonce, redeemed at {count} processes at once", tokens.len());
            return Err(second.violation("at most one token for one nonce", observed));
        }
        contention::no_server_error(&results)?;
    }
    rounds.remark(cx, "redemptions at all processes")
}

macro_rules! spread {
    ($($name:ident = $body:path),* $(,)?) => {
        $(pub(super) async fn $name(cx: &Ctx) -> Outcome {
            spread(cx)?;
            $body(cx).await
        })*
    };
}

spread! {
    push_has_one_winner = races::push_has_one_winner,
    rotation_has_one_winner = races::rotation_has_one_winner,
    create_has_one_winner = races::create_has_one_winner,
    add_member_loses_none = races::add_member_loses_none,
    removals_at_once = races::removals_at_once,
    push_against_removal = races::push_against_removal,
    atomic_for_readers = readers::rotation_is_atomic_for_readers,
    pulls_around_a_rotation = readers::rotating_push_for_readers,
    linearizable = histories::linearizable,
}
