//! Clients that hang up (SPEC §6): in the middle of a request, right after it, or while they are answered. A write is whole or
//! not at all, nobody gets an answer that was meant for somebody else, and the server goes on.

use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _};

use super::by_hand::HandMade;
use super::check::checks;
use super::context::to_set_up;
use super::state::{compare_envelope, compare_manifest};
use super::{Auth, Call, Ctx, Finding, Member, Operation, Outcome, Stop};
use crate::client::{Identity, Repo, VERSION_AT_CREATION, random};
use crate::wire::{EncryptedEnvelope, MemberEntry, PushResponse, VaultManifest};

checks! {
    only = Http;
    "hangups/writes-are-whole", Must, "§6", [WRITES_SERIALIZED, REMOVE_ATOMIC, PUSH_REFUSED_WHOLE, CREATE_RETURNS, HANGUPS_SURVIVED], writes,
        "A write whose client hangs up happens as a whole or not at all, and others write on", phase = Dangerous;
    "hangups/answers-to-who-asked", Must, "§6", [ANSWERS_TO_ASKERS], answers,
        "Nobody gets the answer of a client that hung up", phase = Dangerous;
    "hangups/server-goes-on", Hardening, "§6", [HANGUPS_SURVIVED], goes_on,
        "Thirty clients that hang up leave the server as it was", phase = Dangerous;
}

/// When somebody hangs up, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leave {
    AfterHead,
    MidBody,
    Politely,
    PolitelyLater,
    Reset,
    ResetLater,
    WhileAnswered,
}

impl Leave {
    fn named(self) -> &'static str {
        match self {
            Self::AfterHead => "after the head",
            Self::MidBody => "in the middle of the body",
            Self::Politely => "as soon as the request was out",
            Self::PolitelyLater => "a millisecond after the request",
            Self::Reset => "by a reset as soon as the request was out",
            Self::ResetLater => "by a reset a millisecond after the request",
            Self::WhileAnswered => "by a reset when the answer began",
        }
    }
}

/// By then most servers are at work on the request.
const LATER: Duration = Duration::from_millis(1);

/// Sends a request as far as it goes, and is gone.
async fn hang_up(cx: &Ctx, request: &HandMade, leave: Leave) -> Outcome {
    let vault = &cx.world.target.vault;
    vault.count_request();
    let opened = vault.raw(vault.timeout()).await;
    let mut connection = opened.map_err(|error| to_set_up(cx.violation("a connection", error.to_string())))?;
    let bytes = request.bytes(cx, cx.world.serves_few_connections());
    let head = bytes.windows(4).position(|window| window == b"\r\n\r\n").map_or(bytes.len(), |at| at + 4);
    let share = match leave {
        Leave::AfterHead => head,
        Leave::MidBody => head + (bytes.len() - head) / 2,
        _ => bytes.len(),
    };
    // Whoever hangs up doesn't mind that the other side has done so.
    let _ = connection.write(&bytes[..share]).await;
    match leave {
        Leave::Reset => connection.reset(),
        Leave::ResetLater => {
            tokio::time::sleep(LATER).await;
            connection.reset();
        }
        Leave::PolitelyLater => {
            tokio::time::sleep(LATER).await;
            drop(connection);
        }
        Leave::WhileAnswered => {
            connection.first_byte().await;
            connection.reset();
        }
        Leave::AfterHead | Leave::MidBody | Leave::Politely => drop(connection),
    }
    Ok(())
}

/// alice writes and hangs up, bob writes after her, carol may be removed.
struct People {
    alice: Member,
    bob: Member,
    carol: Identity,
}

async fn writes(cx: &Ctx) -> Outcome {
    use Leave::{AfterHead, MidBody, Politely, PolitelyLater, Reset, ResetLater, WhileAnswered};
    let people = People { alice: cx.member().await?, bob: cx.member().await?, carol: cx.identity() };
    let long = [AfterHead, MidBody, Politely, PolitelyLater, Reset, ResetLater, WhileAnswered];
    let brief = [MidBody, Politely, Reset];
    let mut ways = Vec::new();
    // `None` is a creation.
    for write in [Write::Push, Write::Rotation, Write::Removal, Write::Addition].map(Some).into_iter().chain([None]) {
        let all = cx.thorough() || !matches!(write, Some(Write::Addition) | None);
        ways.extend((if all { &long[..] } else { &brief[..] }).iter().map(|leave| (write, *leave)));
    }
    let people = &people;
    let tried = ways.into_iter().map(async |(write, leave)| match write {
        Some(write) => one_write(cx, people, write, leave).await,
        None => one_creation(cx, &people.alice, leave).await,
    });
    // Each has a repository of its own, and most of it is waiting.
    let at_once = if cx.world.serves_few_connections() { 1 } else { AT_ONCE };
    let mut outcomes = stream::iter(tried).buffered(at_once);
    while let Some(outcome) = outcomes.next().await {
        outcome?;
    }
    Ok(())
}

/// How many hang up at once.
const AT_ONCE: usize = 4;

/// What alice writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Write {
    Push,
    /// A push with a new roster and data key.
    Rotation,
    Removal,
    Addition,
}

impl Write {
    fn operation(self) -> Operation {
        match self {
            Self::Push | Self::Rotation => Operation::Push,
            Self::Removal => Operation::RemoveMember,
            Self::Addition => Operation::AddMember,
        }
    }
}

/// A request of alice, and the repository after it.
fn intended(cx: &Ctx, people: &People, write: Write, before: &Repo) -> (Option<Bytes>, Repo) {
    let mut after = before.clone();
    let body = match write {
        Write::Addition => {
            let request = before.add_request(&cx.identity());
            after.apply_add(&request.member);
            serde_json::to_vec(&request)
        }
        Write::Removal => {
            let rotation = before.rotation(&people.alice, &[&people.alice, &people.bob]);
            after.apply_rotation(&rotation);
            cx.watch(&after);
            serde_json::to_vec(&before.remove_request(&people.carol.id, &rotation))
        }
        Write::Rotation => {
            let rotation = before.rotation(&people.alice, &[&people.alice, &people.bob, &people.carol]);
            after.apply_rotation(&rotation);
            cx.watch(&after);
            serde_json::to_vec(&before.rotating_push(&rotation))
        }
        Write::Push => {
            let request = before.push_request(&people.alice);
            after.apply_push(&request);
            serde_json::to_vec(&request)
        }
    };
    (body.ok().map(Into::into), after)
}

async fn one_write(cx: &Ctx, people: &People, write: Write, leave: Leave) -> Outcome {
    let (alice, bob, operation) = (&people.alice, &people.bob, write.operation());
    let before = cx.repo_with(alice, &[bob, &people.carol]).await?;
    let (body, after) = intended(cx, people, write, &before);
    let path = operation.path(before.id(), "");
    hang_up(cx, &HandMade::usual(cx, operation, &path, alice.auth(), body), leave).await?;
    let kind = if write == Write::Rotation { "a rotating push".into() } else { operation.one() };
    let what = format!("{kind} whose client hung up {}", leave.named());
    let mut held = settled(cx, alice, [&before, &after], &what).await?;
    let mut push = held.push_request(bob);
    let expected = format!("another member's push after {what}");
    let mut pushed: PushResponse = cx.push(bob, &push).await?.accepted(&expected)?;
    if pushed.conflict && held.version() == before.version() {
        // It took effect just now.
        held = settled(cx, alice, [&after, &after], &what).await?;
        push = held.push_request(bob);
        pushed = cx.push(bob, &push).await?.accepted(&expected)?;
    }
    if !pushed.accepted {
        return Err(
            cx.violation(format!("{expected} is accepted"), "it conflicts with the version that was just pulled")
        );
    }
    held.apply_push(&push);
    match settled(cx, alice, [&held, &held], &what).await {
        // An addition can be late, too: it moves no counter.
        Err(Stop::Violation(_)) if write == Write::Addition => {
            let mut late = after;
            late.apply_push(&push);
            settled(cx, alice, [&late, &late], &what).await.map(drop)
        }
        result => result.map(drop),
    }
}

/// Which of two states the server serves, as a whole.
async fn settled(cx: &Ctx, reader: &Member, states: [&Repo; 2], what: &str) -> Result<Repo, Stop> {
    let (answer, manifest, envelope) = cx.pull_all(reader, states[0]).await?;
    let [first, second] = states.map(|state| difference(state, &manifest, &envelope));
    match (first, second) {
        (None, _) => Ok(states[0].clone()),
        (_, None) => Ok(states[1].clone()),
        (Some(from_before), Some(from_after)) => Err(answer.violation(
            format!("{what} has happened as a whole or not at all"),
            format!("if it hasn't happened, {from_before}; if it has, {from_after}"),
        )),
    }
}

fn difference(state: &Repo, manifest: &VaultManifest, envelope: &EncryptedEnvelope) -> Option<String> {
    compare_manifest(&state.manifest, manifest).or_else(|| compare_envelope(&state.envelope, envelope))
}

async fn one_creation(cx: &Ctx, alice: &Member, leave: Leave) -> Outcome {
    let repo = Repo::new(alice);
    cx.watch(&repo);
    let body = serde_json::to_vec(&repo.create_request()).ok().map(Into::into);
    let path = Operation::CreateRepo.path("", "");
    hang_up(cx, &HandMade::usual(cx, Operation::CreateRepo, &path, alice.auth(), body), leave).await?;
    let what = format!("a createRepo whose client hung up {}", leave.named());
    if !cx.pull(alice, &repo.pull_request(0)).await?.is_success() {
        // Sent again: either this one makes it, or the first one did meanwhile.
        let again = cx.create(alice, &repo.create_request()).await?;
        let made = again.is_success() || again.status == 409;
        again.must(made, &format!("the same request after {what} is accepted, or a duplicate"), || again.summary())?;
    }
    settled(cx, alice, [&repo, &repo], &what).await.map(drop)
}

/// How often everybody hangs up in each way.
const ROUNDS: usize = 1;

async fn answers(cx: &Ctx) -> Outcome {
    let (alice, mallory) = (cx.member().await?, cx.member().await?);
    // Large enough not to fit a socket's buffer at once together with others.
    let large = Repo::with_plaintext(&alice, &random::uuid(), VERSION_AT_CREATION, 0, vec![b'x'; 96 << 10]);
    let repo = cx.create_repo(&alice, large).await?;
    let own = cx.repo(&mallory).await?;
    let mut stale = repo.push_request(&alice);
    stale.expected_payload_version += 7;
    let usual = |operation: Operation, body: Option<Vec<u8>>| {
        let path = operation.path(repo.id(), alice.id());
        HandMade::usual(cx, operation, &path, alice.auth(), body.map(Bytes::from))
    };
    let asked = [
        usual(Operation::Pull, serde_json::to_vec(&repo.pull_request(0)).ok()),
        usual(Operation::FetchMemberKey, None),
        usual(Operation::Push, serde_json::to_vec(&stale).ok()),
        usual(Operation::Pull, serde_json::to_vec(&repo.pull_request(repo.version())).ok()),
    ];
    let rounds = if cx.thorough() { ROUNDS * 6 } else { ROUNDS };
    let leaves = [Leave::Reset, Leave::Politely, Leave::ResetLater, Leave::WhileAnswered, Leave::MidBody];
    for leave in leaves.iter().cycle().take(rounds * leaves.len()) {
        all_hang_up(cx, &asked, *leave).await?;
        its_own_answers(cx, &mallory, &own, *leave).await?;
        // The same while somebody else is being served.
        let leaving = Box::pin(all_hang_up(cx, &asked, *leave));
        let (left, got) = tokio::join!(leaving, Box::pin(its_own_answers(cx, &mallory, &own, *leave)));
        got.and(left)?;
    }
    if cx.world.target.separate_idp.is_none() {
        for leave in [Leave::Reset, Leave::ResetLater, Leave::WhileAnswered] {
            login_hung_up(cx, leave).await?;
        }
    }
    cx.remark(format!("{} clients hung up", rounds * leaves.len() * asked.len()));
    Ok(())
}

/// One client for each request, together where so many are served at once.
async fn all_hang_up(cx: &Ctx, requests: &[HandMade], leave: Leave) -> Outcome {
    let at_once = if cx.world.serves_few_connections() { 1 } else { requests.len() };
    let leaving: Vec<_> = requests.iter().map(|request| hang_up(cx, request, leave)).collect();
    let gone: Vec<_> = stream::iter(leaving).buffered(at_once).collect().await;
    gone.into_iter().collect()
}

/// mallory asks for this and that, and gets just that.
async fn its_own_answers(cx: &Ctx, mallory: &Member, own: &Repo, leave: Leave) -> Outcome {
    let after = format!("clients hung up {}", leave.named());
    cx.holds(mallory, own, &after).await?;
    let answer = cx.fetch(mallory, own.id(), mallory.id()).await?;
    let entry: MemberEntry = answer.accepted("fetchMemberKey by a member")?;
    let expected = format!("fetchMemberKey gives the entry that was asked for after {after}");
    answer.must(entry.ed25519_public_key == mallory.id(), &expected, || {
        format!("the entry of {}", entry.ed25519_public_key)
    })?;
    let unknown = cx.pull(mallory, &Repo::new(mallory).pull_request(0)).await?;
    unknown.must(unknown.is_refusal(), &format!("a pull of an unknown repository is refused after {after}"), || {
        unknown.summary()
    })?;
    let mut stale = own.push_request(mallory);
    stale.expected_payload_version += 5;
    let answer = cx.push(mallory, &stale).await?;
    let conflict: PushResponse = answer.accepted("a stale push, which is a conflict,")?;
    answer.must(
        conflict.payload_version == own.version(),
        "a conflict tells the version of the repository asked for",
        || format!("payloadVersion {}", conflict.payload_version),
    )
}

/// Somebody logs in and hangs up; the next one gets a token of its own.
async fn login_hung_up(cx: &Ctx, leave: Leave) -> Outcome {
    let (hasty, next) = (cx.identity(), cx.identity());
    let nonce = cx.nonce(&hasty).await?;
    let body = serde_json::to_vec(&cx.redeem(&hasty, &nonce)?).ok().map(Into::into);
    let path = Operation::Token.path("", "");
    hang_up(cx, &HandMade::usual(cx, Operation::Token, &path, Auth::None, body), leave).await?;
    let next = cx.authenticate(next).await?;
    let answer = cx.create(&next, &Repo::new(&next).create_request()).await?;
    answer.must(answer.is_success(), "who logs in after a client hung up gets a token of its own", || {
        format!("{}: a repository of its own can't be created with it", answer.summary())
    })
}

/// How long an answer may take after everybody has gone.
const PATIENCE: Duration = Duration::from_secs(3);

async fn goes_on(cx: &Ctx) -> Outcome {
    let alice = cx.member().await?;
    let repo = cx.repo(&alice).await?;
    let body = |bytes: serde_json::Result<Vec<u8>>| bytes.ok().map(Bytes::from);
    let push = body(serde_json::to_vec(&repo.push_request(&alice)));
    let pull = body(serde_json::to_vec(&repo.pull_request(0)));
    let by_alice =
        |operation: Operation, auth, body| HandMade::usual(cx, operation, &operation.path(repo.id(), ""), auth, body);
    let requests = [
        by_alice(Operation::Push, Auth::None, push.clone()),
        by_alice(Operation::Pull, alice.auth(), pull.clone()),
        by_alice(Operation::Push, alice.auth(), push),
    ];
    let leaves = [Leave::AfterHead, Leave::MidBody, Leave::Politely, Leave::Reset, Leave::WhileAnswered];
    for request in &requests {
        for leave in leaves.iter().cycle().take(leaves.len() * 2) {
            hang_up(cx, request, *leave).await?;
        }
    }
    let auth = alice.auth();
    let mut call = Call::operation(Operation::Pull, repo.id(), "", &auth, pull);
    call.bound = Some(PATIENCE.min(cx.world.target.vault.timeout()));
    // On a connection of its own, and so soon that nothing has timed out meanwhile.
    cx.world.target.vault.close_idle();
    let (exchange, result) = cx.try_call(call).await;
    match result {
        Ok(answer) => answer.must(answer.is_success(), "a pull works after 30 clients hung up", || answer.summary()),
        Err(error) => Err(Stop::Violation(Box::new(Finding {
            expected: "a pull is answered after 30 clients hung up".into(),
            observed: cx.world.mask(error.to_string()),
            exchange: Some(exchange),
            evidence: Vec::new(),
        }))),
    }
}
