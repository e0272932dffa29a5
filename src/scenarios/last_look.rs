//! A last look, towards the end of the run, at what it has left behind (SPEC §6, §10): what was right at once is right a while later.

use std::collections::HashMap;

use futures_util::stream::{self, StreamExt as _};

use super::check::checks;
use super::known::KnownRepo;
use super::variants::Variants;
use super::{Auth, Ctx, Finding, Operation, Outcome, Stop};

checks! {
    "later/repositories-are-as-they-were", Must, "§10",
        [READ_YOUR_WRITES, STORED_VERBATIM, VERSION_MONOTONIC, EPOCH_RISES, REMOVE_DROPS, PUSH_ROTATES, CREATE_RETURNS, ADD_RECORDS],
        repositories, "At the end of the run, repositories are as the checks have left them", phase = Finale;
    "later/strangers-are-still-refused", Must, "§6",
        [REMOVE_REVOKES, PUSH_ROTATES, PULL_MEMBERS_ONLY, PUSH_MEMBERS_ONLY, ADD_MEMBERS_ONLY, FETCH_MEMBERS_ONLY],
        strangers, "At the end of the run, whoever was refused and isn't a member is refused still", phase = Finale;
    "later/answers-came-whole", Must, "§6", [ANSWERED],
        answers, "What the run has rightly asked for was answered, whatever it was", phase = Finale;
}

/// Repositories that are looked at for each check, and in all; with `--thorough` all that are known.
const FOR_EACH: usize = 1;
const MOST: usize = 160;
/// Repositories that are looked at together.
const AT_ONCE: usize = 8;
/// So many repositories come after the first one that is looked at: what keeps no more shows.
const CROWD: usize = 80;

/// A sample of what is known, in which every check has its part.
fn sample(cx: &Ctx, wanted: impl Fn(&KnownRepo) -> bool) -> Vec<KnownRepo> {
    let all: Vec<_> = cx.world.seen.known.all().into_iter().filter(wanted).collect();
    if cx.thorough() {
        return all;
    }
    let mut counts: HashMap<&str, usize> = HashMap::new();
    let few = all.into_iter().filter(|known| {
        let count = counts.entry(known.check).or_default();
        *count += 1;
        *count <= FOR_EACH
    });
    few.take(MOST).collect()
}

/// One answer that is missing is a finding of the check that has asked. Many, to requests of all kinds, are one of their own, of which no
/// operation is the cause.
async fn answers(cx: &Ctx) -> Outcome {
    // A whole run has asked for much; one of a few checks has to.
    let alone = cx.world.requests() < FEW_REQUESTS;
    if alone {
        for _ in 0..ROUNDS_ALONE {
            let Ok(alice) = cx.member().await else { continue };
            let Ok(mut repo) = cx.repo(&alice).await else { continue };
            cx.advance(&alice, &mut repo).await.ok();
            cx.pull_all(&alice, &repo).await.ok();
        }
    }
    let Some((observed, exchange)) = cx.world.lost_everywhere(alone) else { return Ok(()) };
    let expected = "a request that is right gets a whole answer";
    Err(Stop::Violation(Box::new(Finding::shown(expected, observed, exchange))))
}

/// So few requests tell nothing of all others.
const FEW_REQUESTS: u64 = 200;
/// How often three operations are asked for then.
const ROUNDS_ALONE: usize = 30;

fn nothing_known() -> Stop {
    Stop::not_applicable("no check has left a repository in a state that is known")
}

async fn repositories(cx: &Ctx) -> Outcome {
    let sample = sample(cx, |_| true);
    if sample.is_empty() {
        return Err(nothing_known());
    }
    let count = sample.len();
    // A whole run has left many; one of a few checks has to make them.
    if cx.thorough() {
        let alice = cx.member().await?;
        for _ in cx.world.seen.known.all().len()..CROWD {
            cx.repo(&alice).await?;
        }
    }
    let looks = sample.into_iter().map(async |known| (known.check, as_it_was(cx, known).await));
    let mut tally = Variants::default();
    let mut outcomes = stream::iter(looks).buffered(AT_ONCE);
    while let Some((check, outcome)) = outcomes.next().await {
        tally.note(format!("a repository of {check}"), outcome)?;
    }
    cx.remark(format!("{count} repositories looked at again"));
    tally.settle(cx)
}

/// The reader's token may have been ended meanwhile; then a new one does.
async fn as_it_was(cx: &Ctx, known: KnownRepo) -> Outcome {
    const AFTER: &str = "all that was right when a check looked at it";
    let KnownRepo { repo, reader, .. } = known;
    let outcome = cx.holds(&reader, &repo, AFTER).await;
    let ended = |finding: &Finding| finding.exchange.as_ref().is_some_and(|exchange| exchange.status == Some(401));
    match outcome {
        Err(Stop::Violation(finding)) if ended(&finding) => {
            let reader = cx.authenticate(reader.identity.clone()).await?;
            cx.holds(&reader, &repo, AFTER).await
        }
        other => other,
    }
}

async fn strangers(cx: &Ctx) -> Outcome {
    let sample = sample(cx, |known| !known.strangers.is_empty());
    if sample.is_empty() {
        return Err(nothing_known());
    }
    let mut tally = Variants::default();
    for known in sample {
        for (_, token) in &known.strangers {
            let auth = Auth::Bearer(token.clone());
            let request = known.repo.pull_request(0);
            let answer = cx.perform(Operation::Pull, known.repo.id(), &auth, &request).await?;
            let what = "a pull by somebody who was refused before and isn't a member";
            let outcome = answer.refused_somehow(what).and_then(|()| answer.keeps_secret(&known.repo));
            tally.note(format!("in a repository of {}", known.check), outcome)?;
        }
    }
    tally.settle(cx)
}
