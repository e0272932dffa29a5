//! Tokens last until they expire, whoever else logs in, and can't be made from what others know.

use super::Stage;
use super::hidden::{Derivation, derivation, successors};
use crate::client::{Identity, clock, random};
use crate::scenarios::attempts::Attempts;
use crate::scenarios::check::checks;
use crate::scenarios::{Answer, Auth, Ctx, Finding, Login, Member, Operation, Outcome, Stop};
use crate::wire::PullRequest;

checks! {
    "token/outlives-other-logins", Must, "§3", [TOKEN_LASTS, SUBJECT_IS_CALLER, PULL_MEMBERS_ONLY], outlives_others,
        "A token stays its own member's after dozens of others have logged in", phase = Contention;
    "token/outlives-uses", Must, "§3", [TOKEN_LASTS, ANSWERED], outlives_uses,
        "A token still works after a hundred and more requests, and they are answered as the first ones", phase = Contention;
    "token/tokens-in-run", Must, "§3", [TOKEN_LASTS], in_run,
        "The tokens of this run still work at its end, as long before their expiry as that is", phase = Finale;
    "token/outlives-newer-login", Hardening, "§3", [TOKEN_LASTS], outlives_newer,
        "A token still works after the same key has logged in again";
    "token/not-derived", Must, "§3", [TOKEN_VERIFIED, TOKEN_UNGUESSABLE], not_derived,
        "A token isn't made of nonce, signature, key, time or a counter, and doesn't follow from another's", phase = Alone;
}

/// How many others log in.
const OTHERS: usize = 24;
/// The same when there is time.
const MANY_OTHERS: usize = 1050;

/// How often a token is used.
const USES: usize = 260;
/// The same when there is time.
const MANY_USES: usize = 5_200;
/// Uses under way at once.
const AT_ONCE: usize = 8;

/// What is counted is logins, not requests: a token ends when its time is over.
async fn outlives_uses(cx: &Ctx) -> Outcome {
    let stages = [Stage::set(cx, Operation::FetchMemberKey).await?, Stage::set(cx, Operation::Pull).await?];
    let auths = stages.each_ref().map(|stage| stage.alice.auth());
    let uses = if cx.thorough() { MANY_USES } else { USES };
    let mut used = 0;
    while used < uses {
        let together = (0..AT_ONCE).map(|at| stages[at % 2].attempt(cx, &auths[at % 2]));
        let answers = futures_util::future::try_join_all(together).await?;
        if let Some(refused) = answers.iter().find(|answer| answer.status == 401) {
            let expected = "a token works until it expires, however often it is used";
            return Err(refused.violation(expected, format!("{} after some {used} requests", refused.summary())));
        }
        let is_lie = |answer: &&Answer<'_>| matches!(answer.status, 400 | 403 | 404 | 409) && answer.limit.is_none();
        if let Some(refused) = answers.iter().find(is_lie) {
            let expected = "what was answered a moment ago is answered again, or refused as one too many (429, 503)";
            return Err(refused.violation(expected, format!("{} after some {used} requests", refused.summary())));
        }
        if answers.iter().any(|answer| !answer.is_success()) {
            return Err(Stop::not_judged(format!("not all of {used} requests with one token were answered")));
        }
        used += AT_ONCE;
    }
    Ok(())
}

/// A store of sessions that is too small drops the oldest, or gives its place to somebody else.
async fn outlives_others(cx: &Ctx) -> Outcome {
    let (before, stage) = (cx.member().await?, Stage::set(cx, Operation::Pull).await?);
    let others = if cx.thorough() { MANY_OTHERS } else { OTHERS };
    let mut last = None;
    for count in 0..others {
        // Not introduced: searching for the secrets of a thousand identities would take longer than all the rest.
        match cx.authenticate(Identity::generate()).await {
            Ok(member) => last = Some(member),
            Err(_) if count > 0 => break,
            Err(stop) => return Err(stop),
        }
    }
    let answer = stage.attempt(cx, &stage.alice.auth()).await?;
    if answer.status != 429 {
        let expected = "a token works until it expires, whoever else logs in";
        answer.must(answer.is_success(), expected, || format!("{} after {others} other logins", answer.summary()))?;
    }
    let Some(last) = last else { return Ok(()) };
    // Where both get in, that is no matter of who logged in last: then `pull/non-member` says so first.
    stage.attempt(cx, &before.auth()).await?.refused("pull by a stranger who logged in before", &[403])?;
    stage.attempt(cx, &last.auth()).await?.refused("pull by a stranger who logged in last", &[403])
}

/// How many of the oldest tokens are tried, and how many of the others.
const SAMPLE: usize = 12;

/// Tokens whose expiry is far, and whose key has logged in only once.
async fn in_run(cx: &Ctx) -> Outcome {
    let fresh = cx.member().await?;
    let logins = cx.world.seen.logins.done();
    let lasts = |login: &&Login| login.lifetime > login.at.elapsed() * 4 + std::time::Duration::from_secs(5);
    let newer = |login: &Login| {
        let key = &login.request.ed25519_public_key;
        logins.iter().any(|other| other.at > login.at && other.request.ed25519_public_key == *key)
    };
    let unsuspicious = |login: &Login| cx.world.seen.logins.is_unsuspicious(&login.request.ed25519_public_key);
    let candidates: Vec<&Login> =
        logins.iter().filter(lasts).filter(|login| !newer(login) && unsuspicious(login)).collect();
    let (oldest, rest) = candidates.split_at(candidates.len().min(SAMPLE));
    let step = rest.len().div_ceil(SAMPLE).max(1);
    // Nobody's repository: a valid token gets 404, or 403 where that is hidden.
    let request = PullRequest { repo_id: random::uuid(), known_payload_version: 0 };
    let usual = cx.pull(&fresh, &request).await?.status;
    if usual == 401 {
        return Err(Stop::not_judged("a pull of an unknown repository is 401 even with a fresh token"));
    }
    let (mut dead, mut tried) = (Vec::new(), 0);
    for login in oldest.iter().chain(rest.iter().step_by(step)) {
        let holder = Member { identity: fresh.identity.clone(), token: login.token.clone() };
        let answer = cx.pull(&holder, &request).await?;
        tried += 1;
        if answer.status == 401 {
            let later = logins.iter().filter(|other| other.at > login.at).count();
            let what = format!("one of {:.1} s and {later} logins ago", login.at.elapsed().as_secs_f64());
            dead.push((what, answer.exchange.clone()));
        }
    }
    cx.remark(format!("{tried} tokens"));
    let Some((_, exchange)) = dead.first() else { return Ok(()) };
    let names: Vec<&str> = dead.iter().take(3).map(|(what, _)| what.as_str()).collect();
    let observed = format!("{} of {tried} tokens were refused with 401 long before: {}", dead.len(), names.join(", "));
    let expected = "a token works until the expiry that was announced with it";
    Err(Stop::Violation(Box::new(Finding::shown(expected, observed, exchange.clone()))))
}

/// One session for each key is a policy; members with two devices suffer from it.
async fn outlives_newer(cx: &Ctx) -> Outcome {
    let stage = Stage::set(cx, Operation::Pull).await?;
    cx.log_in(&stage.alice.identity).await?;
    let answer = stage.attempt(cx, &stage.alice.auth()).await?;
    answer.must(answer.status != 401, "a token still works after a newer login of the same key", || answer.summary())
}

/// mallory logs in just before alice does, and tries what would come next.
async fn not_derived(cx: &Ctx) -> Outcome {
    let identity = cx.identity();
    let from = clock::now_ms();
    let answer = cx.log_in(&identity).await?.1;
    let to = clock::now_ms();
    let own =
        cx.world.seen.logins.done().into_iter().rev().find(|login| login.request.ed25519_public_key == identity.id);
    let Some(own) = own else { return Ok(()) };
    let expected = "a token holds something that nobody but the server knows";
    match derivation(&own, (from, to)) {
        Some(Derivation::Public(how)) => return Err(answer.violation(expected, format!("the token is {how}"))),
        Some(Derivation::Overheard(how)) => answer.should(false, expected, || format!("the token is {how}")),
        None => {}
    }
    let stage = Stage::set(cx, Operation::Pull).await?;
    let mut tally = Attempts::new(cx);
    let guesses = successors(&own.token).into_iter().filter(|guess| *guess != own.token);
    for guess in guesses {
        tally.attempt("the token that follows another's", stage.call(&Auth::Bearer(guess))).await?;
    }
    tally.verdict("a token that was only guessed is refused")
}
