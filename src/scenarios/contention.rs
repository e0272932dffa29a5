//! What contention checks share: rounds within the budget, requests that become whole at the same moment, and what may be held
//! afterwards.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::time::Instant;

use super::state::{compare_envelope, compare_manifest};
use super::{Answer, Auth, Call, Ctx, Member, Operation, Outcome, Stop};
use crate::client::{FEW_CONNECTIONS, Repo, TransportError};
use crate::ground::shown::count;

/// How many requests meet: few where the server serves few connections at a time, and the others queue in its backlog.
pub(super) fn crowd(cx: &Ctx) -> usize {
    if cx.world.serves_few_connections() { FEW_CONNECTIONS } else { 12 }
}

/// How many times as long contention is provoked with `--thorough`.
const THOROUGH: u32 = 3;
/// How many times as long once another check has seen this server lose a race: what shows now and then is to show each time.
const CONTENDED: u32 = 25;

/// How long a contention check goes on, and for how many rounds at most.
pub(super) fn patience(cx: &Ctx) -> (Instant, u32) {
    let contended = cx.world.manners.contended.load(Ordering::Relaxed);
    let times = if cx.thorough() { THOROUGH } else { 1 } * if contended { CONTENDED } else { 1 };
    (Instant::now() + cx.world.asked.race_budget * times, cx.world.asked.race_rounds.max(1).saturating_mul(times))
}

/// Counts rounds within the budget of the run.
pub(super) struct Rounds {
    until: Instant,
    limit: u32,
    /// Rounds that take place however long they last.
    least: u32,
    /// Rounds that were begun.
    pub(super) done: u32,
    /// Rounds that came to their end: in the others not all requests were answered.
    complete: u32,
    ended: Arc<AtomicU32>,
}

impl Rounds {
    pub(super) fn of(cx: &Ctx) -> Self {
        let (until, limit) = patience(cx);
        Self { until, limit, least: 1, done: 0, complete: 0, ended: cx.rounds.clone() }
    }

    /// As [`Self::of`], where one round is longer than the budget and shows too little: at least `least` of them, and with `--thorough`
    /// three times as many.
    pub(super) fn at_least(cx: &Ctx, least: u32) -> Self {
        let rounds = Self::of(cx);
        let least = (least * if cx.thorough() { THOROUGH } else { 1 }).min(rounds.limit);
        Self { least, ..rounds }
    }

    /// Whether there is another round; the first one always takes place.
    pub(super) fn next(&mut self) -> bool {
        self.complete = self.done;
        let more = self.done < self.least || (self.done < self.limit && Instant::now() < self.until);
        self.ended.store(self.done, Ordering::Relaxed);
        self.done += u32::from(more);
        more
    }

    /// How often it was tried without success.
    ///
    /// # Errors
    /// [`Stop::Skip`] when not even one round came to its end: then nothing was looked at.
    pub(super) fn remark(&self, cx: &Ctx, what: &str) -> Outcome {
        if self.complete == 0 {
            return Err(Stop::not_judged(format!("not all requests were answered in any round of {what}")));
        }
        cx.remark(format!("not provoked in {} of {what}", count(self.complete as usize, "round")));
        Ok(())
    }
}

pub(super) fn body(value: &impl serde::Serialize) -> Option<bytes::Bytes> {
    serde_json::to_vec(value).ok().map(Into::into)
}

pub(super) type Sent<'c> = (Arc<crate::client::Exchange>, Result<Answer<'c>, TransportError>);
pub(super) type Results<'c> = Vec<Sent<'c>>;

/// The answers that came, with their positions. A rate limit or a connection that a busy server dropped is no answer.
pub(super) fn answers<'r, 'c>(results: &'r [Sent<'c>]) -> impl Iterator<Item = (usize, &'r Answer<'c>)> {
    results
        .iter()
        .enumerate()
        .filter_map(|(position, (_, result))| Some((position, result.as_ref().ok()?)))
        .filter(|(_, answer)| answer.status != 429 && answer.limit.is_none())
}

/// No answer at all may also have taken effect; a round with such a one proves less.
pub(super) fn all_answered(results: &[Sent<'_>]) -> bool {
    answers(results).count() == results.len()
}

/// Nor a limit of the deployment, which leaves nothing to judge.
pub(super) fn no_server_error(results: &[Sent<'_>]) -> Outcome {
    let limits = results.iter().filter_map(|(_, result)| result.as_ref().ok()?.limit.as_ref());
    if let Some(limit) = limits.into_iter().find(|limit| limit.ends_the_check()) {
        return Err(limit.stop());
    }
    for (_, answer) in answers(results) {
        answer.must(!failed(answer), "no 5xx under contention", || answer.summary())?;
    }
    Ok(())
}

/// A server error. A removal that another write got ahead of has to be refused, and there is no code for that: over gRPC a handler
/// that throws has refused it.
pub(super) fn failed(answer: &Answer<'_>) -> bool {
    let may_throw = answer.operation == Some(Operation::RemoveMember) && answer.is_refusal();
    answer.status >= 500 && !may_throw
}

/// What the rounds are tried on: four people, and a fresh repository of theirs for each.
pub(super) struct Fixture {
    pub(super) alice: Member,
    pub(super) dave: Member,
    pub(super) bob: crate::client::Identity,
    pub(super) carol: crate::client::Identity,
}

impl Fixture {
    pub(super) async fn new(cx: &Ctx) -> Result<Self, Stop> {
        Ok(Self { alice: cx.member().await?, dave: cx.member().await?, bob: cx.identity(), carol: cx.identity() })
    }

    /// A fresh repository of all four.
    pub(super) async fn repo(&self, cx: &Ctx) -> Result<Repo, Stop> {
        cx.repo_with(&self.alice, &[&self.dave, &self.bob, &self.carol]).await
    }
}

/// The server holds one of the states that are allowed.
pub(super) async fn holds_one_of(cx: &Ctx, reader: &Member, allowed: &[Repo], after: &str) -> Outcome {
    let (answer, manifest, envelope) = cx.pull_all(reader, &allowed[0]).await?;
    let mut differences = Vec::new();
    for state in allowed {
        match compare_manifest(&state.manifest, &manifest).or_else(|| compare_envelope(&state.envelope, &envelope)) {
            None => return Ok(()),
            Some(difference) => differences.push(difference),
        }
    }
    Err(answer.violation(
        format!("the state that one of the requests after the other leaves, after {after}"),
        differences.join("; or, by the other order, "),
    ))
}

/// A push, ready to be sent with others.
pub(super) fn push_call<'a>(repo: &Repo, auth: &'a Auth, push: &crate::wire::PushRequest) -> Call<'a> {
    Call::operation(Operation::Push, repo.id(), "", auth, body(push))
}

/// A nonce as it was issued, and as lenient decoders read it, too.
pub(super) fn other_spellings(nonce: &str) -> Vec<String> {
    let bare = nonce.trim_end_matches('=');
    let url = nonce.replace('+', "-").replace('/', "_");
    let mut all = vec![nonce.to_owned(), format!("{nonce} "), format!(" {nonce}"), format!("{nonce}\n")];
    for other in [bare.to_owned(), url.trim_end_matches('=').to_owned(), url] {
        if !all.contains(&other) {
            all.push(other);
        }
    }
    all
}
