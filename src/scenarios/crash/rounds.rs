//! The crashes: what goes on before each, the kill, and the look afterwards.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::Instant;

use super::super::histories::{Player, stays_out};
use super::super::hosting::Host;
use super::super::{Ctx, Finding, Member, Stop};
use super::evidence::{Broken, Evidence, Missing};
use super::writer::Writer;
use crate::client::{Identity, Repo};
use crate::history::{self, HistoryOp, Linearizability};
use crate::model::Response;
use crate::wire::TokenRequest;

/// Clients that write, each into a repository of its own; and clients that do everything, all in one.
const WRITERS: usize = 4;
const PLAYERS: usize = 3;
/// The longest time from the first write to the kill, in milliseconds. It is drawn anew for each crash.
const LONGEST: usize = 90;
/// Time for each crash, on average; a server that starts slowly gets fewer of them.
const BUDGET: Duration = Duration::from_secs(3);
/// How old something must be to be kept over a plain restart.
const SETTLED: Duration = Duration::from_secs(1);
/// Nonces that are tried again after each crash.
const NONCES: usize = 4;
/// How much of a counterexample a report carries.
const SHOWN: usize = 1600;

/// Finds out whether the server keeps anything, and crashes it again and again if it does.
pub(super) async fn all(cx: &Ctx) -> Result<Arc<Evidence>, Missing> {
    let hosting = cx.world.target.hosting.clone();
    let Some(host) = hosting.as_ref().and_then(|hosting| hosting.server()) else {
        return Err(Missing::NotApplicable("it takes a server that the suite starts and kills: --server-cmd".into()));
    };
    cx.world.course.expects_silence.store(true, Ordering::Relaxed);
    let evidence = crashes(cx, host).await;
    cx.world.course.expects_silence.store(false, Ordering::Relaxed);
    evidence
}

async fn crashes(cx: &Ctx, host: &Host) -> Result<Arc<Evidence>, Missing> {
    keeps_anything(cx, host).await?;
    // From before the first repository is made.
    cx.recording();
    let mut evidence = Evidence::default();
    let mut writers = Vec::new();
    for number in 0..WRITERS {
        writers.push(Writer::new(cx, number * 6).await?);
    }
    let started = Instant::now();
    while evidence.rounds < cx.world.asked.crash_rounds
        && (evidence.rounds == 0 || started.elapsed() < BUDGET * cx.world.asked.crash_rounds)
    {
        round(cx, host, &mut writers, &mut evidence).await?;
        evidence.rounds += 1;
        if !evidence.found.is_empty() {
            break;
        }
    }
    Ok(Arc::new(evidence))
}

/// A repository that is a second old must be there after a plain restart; otherwise there is nothing for a crash to lose.
async fn keeps_anything(cx: &Ctx, host: &Host) -> Result<(), Missing> {
    let alice = cx.member().await?;
    let mut repo = cx.repo(&alice).await?;
    cx.advance(&alice, &mut repo).await?;
    tokio::time::sleep(SETTLED).await;
    cx.pull(&alice, &repo.pull_request(0)).await?;
    host.stop().await;
    again(cx, host).await?;
    let mut answer = cx.pull(&alice, &repo.pull_request(0)).await?;
    if answer.status == 401 {
        let alice = cx.authenticate(alice.identity.clone()).await?;
        answer = cx.pull(&alice, &repo.pull_request(0)).await?;
    }
    if answer.is_success() {
        return Ok(());
    }
    Err(Missing::NotApplicable(
        "the server keeps nothing over a plain restart, so that a crash has nothing to lose".into(),
    ))
}

/// Starts the server again after it was ended.
async fn again(cx: &Ctx, host: &Host) -> Result<(), Missing> {
    cx.world.forget();
    host.up_again().await.map_err(|abort| {
        Missing::SetupFailed(Box::new(Finding {
            expected: "the server starts again after it was ended".into(),
            observed: abort.reason,
            exchange: None,
            evidence: Vec::new(),
        }))
    })
}

/// Writes, the crash, and the look.
async fn round(cx: &Ctx, host: &Host, writers: &mut [Writer], evidence: &mut Evidence) -> Result<(), Missing> {
    let mut everybody: Vec<Member> = Vec::new();
    for _ in 0..PLAYERS {
        everybody.push(cx.member().await?);
    }
    let others: Vec<&Identity> = everybody[1..].iter().map(|member| &member.identity).collect();
    let shared = cx.repo_with(&everybody[0], &others).await?;
    let before: usize = writers.iter().map(|writer| writer.acknowledged).sum();
    let over = AtomicBool::new(false);
    let pause = Duration::from_millis(5 + cx.choose(LONGEST) as u64);
    let kill = async {
        tokio::time::sleep(pause).await;
        // Nobody begins anything from here on; what is under way is met.
        host.kill().await;
        over.store(true, Ordering::Relaxed);
    };
    let writing = join_all(writers.iter_mut().map(|writer| writer.write(cx, &over)));
    let playing = join_all(everybody.iter().map(|member| play(cx, member, &everybody, &shared, &over)));
    let ((), written, _, used) = tokio::join!(kill, writing, playing, log_in(cx, &over));
    written.into_iter().collect::<Result<Vec<_>, _>>()?;
    evidence.acknowledged += writers.iter().map(|writer| writer.acknowledged).sum::<usize>() - before;
    evidence.met += writers.iter().filter(|writer| writer.was_met()).count();
    again(cx, host).await?;
    for writer in writers.iter_mut() {
        if let Err(found) = writer.look(cx).await? {
            evidence.found.push(found);
        }
    }
    try_again(cx, &used, evidence).await?;
    look_at_all(cx, everybody, &shared, evidence).await
}

/// Does this and that in the shared repository, until the server is gone.
async fn play(cx: &Ctx, member: &Member, everybody: &[Member], shared: &Repo, over: &AtomicBool) {
    let mut player = Player::new(cx, member, everybody, shared.id());
    while !over.load(Ordering::Relaxed) && player.play().await.is_ok() {}
}

/// Logs in again and again; the nonces that have bought a token.
async fn log_in(cx: &Ctx, over: &AtomicBool) -> Vec<TokenRequest> {
    let mut used = Vec::new();
    while !over.load(Ordering::Relaxed) {
        let identity = cx.identity();
        match cx.log_in(&identity).await {
            Ok((request, _)) => used.push(request),
            Err(_) => break,
        }
    }
    used
}

/// The last ones were used right before the crash.
async fn try_again(cx: &Ctx, used: &[TokenRequest], evidence: &mut Evidence) -> Result<(), Stop> {
    for request in used.iter().rev().take(NONCES) {
        evidence.nonces += 1;
        let answer = cx.token(request).await?;
        if answer.is_success() {
            let expected = "a nonce that has bought a token before the crash buys none after it";
            evidence.found.push((Broken::Nonces, answer.finding(expected, "a second token")));
            return Ok(());
        }
    }
    Ok(())
}

/// Everybody pulls once more, which ends the history of this crash.
async fn look_at_all(cx: &Ctx, everybody: Vec<Member>, shared: &Repo, evidence: &mut Evidence) -> Result<(), Missing> {
    for mut member in everybody {
        if cx.pull(&member, &shared.pull_request(0)).await?.status == 401 {
            member = cx.authenticate(member.identity.clone()).await?;
            cx.pull(&member, &shared.pull_request(0)).await?;
        }
    }
    let mut history = cx.recording().history();
    let repo = history.symbols.symbol(shared.id());
    // A 401 says nothing about the repository, and does nothing to it.
    let unauthorized = |op: &HistoryOp| matches!(&op.result, Some(done) if done.answer == Response::Refused(401));
    history.ops.retain(|op| op.repo == repo && !unauthorized(op));
    if let Linearizability::NotLinearizable(counterexample) = history::check(&history)
        && !stays_out(cx).await?
    {
        let lines: Vec<String> = counterexample.text(&history).lines().map(str::to_owned).collect();
        let shown: String = lines.join("; ").chars().take(SHOWN).collect();
        let expected = "an order of all that was done before and after the crash that explains every answer";
        let finding = Finding {
            expected: expected.into(),
            observed: format!("of {} operations, these have none: {shown}", history.ops.len()),
            exchange: None,
            evidence: Vec::new(),
        };
        evidence.found.push((Broken::History, finding));
    }
    Ok(())
}
