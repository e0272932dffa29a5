//! How long a token lives.

use std::time::Duration;

use super::Answer;
use crate::client::Repo;
use crate::scenarios::auth::server_now;
use crate::scenarios::check::checks;
use crate::scenarios::context::to_set_up;
use crate::scenarios::{Ctx, Finding, Member, Outcome, Stop};
use crate::wire::TokenResponse;

checks! {
    "token/short-lived", Should, "§12", [TOKEN_SHORT_LIVED], short_lived,
        "A token lives for a day at the most";
    "token/expired", Must, "§3", [TOKEN_EXPIRES], expired,
        "A token is refused after the expiry that was announced with it", waits = true;
    "token/lives-as-announced", Should, "§3", [TOKEN_ANSWER], lives,
        "A token still works after some seconds, well before the expiry that was announced", waits = true;
}

/// A member, when its token expires (epoch milliseconds), and the answer that said so.
pub(super) async fn login(cx: &Ctx) -> Result<(Member, i64, Answer<'_>), Stop> {
    let identity = cx.identity();
    let answer = cx.log_in(&identity).await?.1;
    let TokenResponse { token, expires_at } = answer.accepted("a signed nonce").map_err(to_set_up)?;
    Ok((Member { identity, token }, expires_at, answer))
}

/// Milliseconds until then by the server's clock; a little too many rather than too few.
fn remaining(answer: &Answer<'_>, expires_at: i64) -> u64 {
    u64::try_from(expires_at.saturating_sub(server_now(answer))).unwrap_or(0)
}

const DAY_MS: u64 = 24 * 3600 * 1000;

/// The specification says short; a day is where that ends for sure.
async fn short_lived(cx: &Ctx) -> Outcome {
    let (_, expires_at, answer) = login(cx).await?;
    let lifetime = remaining(&answer, expires_at);
    // Clocks may differ by some minutes.
    answer.must(lifetime <= DAY_MS + 300_000, "a token that expires within a day", || {
        format!("expiresAt is {} hours ahead", lifetime / 3_600_000)
    })
}

/// Longest lifetime that is waited for, in milliseconds.
const PATIENCE_MS: u64 = 180_000;

/// A member whose token has expired, and what it did before.
async fn outlived<T>(cx: &Ctx, before: impl AsyncFnOnce(&Member) -> Result<T, Stop>) -> Result<(Member, T), Stop> {
    let (alice, expires_at, answer) = login(cx).await?;
    let lifetime = remaining(&answer, expires_at);
    if lifetime > PATIENCE_MS {
        let reason = format!(
            "tokens live for {} s, too long to wait for; a server whose tokens live for some seconds can be tried",
            lifetime / 1000
        );
        return Err(Stop::not_judged(reason));
    }
    let done = before(&alice).await?;
    // Some servers count in whole seconds.
    tokio::time::sleep(Duration::from_millis(lifetime + 1500)).await;
    Ok((alice, done))
}

/// Clocks differ, and verifiers allow for some seconds of that; beyond this a token just doesn't expire.
const LEEWAY: Duration = Duration::from_secs(65);
/// From one look at whether it has expired to the next.
const LEEWAY_STEP: Duration = Duration::from_millis(2500);

/// Waits until a token is refused; tells how long after its expiry that was, if it wasn't at once, or that it never was.
/// `repo` is the holder's own.
async fn until_refused(cx: &Ctx, holder: &Member, repo: &Repo) -> Result<Option<Option<Duration>>, Stop> {
    let since = tokio::time::Instant::now();
    while cx.pull(holder, &repo.pull_request(0)).await?.is_success() {
        if since.elapsed() > LEEWAY {
            return Ok(Some(None));
        }
        tokio::time::sleep(LEEWAY_STEP).await;
    }
    let late = since.elapsed();
    Ok((late > LEEWAY_STEP / 2).then_some(Some(late)))
}

/// A member whose token has expired.
///
/// # Errors
/// [`Stop::Skip`] when tokens live too long to wait, or don't expire.
pub(in crate::scenarios) async fn expired_member(cx: &Ctx) -> Result<Member, Stop> {
    let (holder, repo) = outlived(cx, async |holder| cx.repo(holder).await).await?;
    match until_refused(cx, &holder, &repo).await? {
        Some(None) => Err(Stop::not_judged("tokens don't expire, which token/expired reports")),
        _ => Ok(holder),
    }
}

/// On reading and writing operations alike.
async fn expired(cx: &Ctx) -> Outcome {
    let (alice, repo) = outlived(cx, async |alice| cx.repo(alice).await).await?;
    if let Some(Some(late)) = until_refused(cx, &alice, &repo).await? {
        let observed = format!("it was refused only some {:.0} s later", late.as_secs_f64());
        cx.warn(Finding {
            expected: "a token is refused from its expiry on".into(),
            observed,
            exchange: cx.last_deed(),
            evidence: Vec::new(),
        });
    }
    cx.pull(&alice, &repo.pull_request(0)).await?.refused("pull with an expired token", &[401])?;
    cx.push(&alice, &repo.push_request(&alice)).await?.refused("push with an expired token", &[401])?;
    cx.fetch(&alice, repo.id(), alice.id()).await?.refused("fetchMemberKey with an expired token", &[401])?;
    let again = cx.authenticate(alice.identity).await?;
    cx.holds(&again, &repo, "requests with an expired token").await
}

/// A client relies on the announced expiry to know when to log in again.
async fn lives(cx: &Ctx) -> Outcome {
    let (alice, expires_at, answer) = login(cx).await?;
    let repo = cx.repo(&alice).await?;
    let wait = (remaining(&answer, expires_at) / 2).min(10_000);
    tokio::time::sleep(Duration::from_millis(wait)).await;
    let answer = cx.pull(&alice, &repo.pull_request(0)).await?;
    answer.must(answer.is_success(), &format!("a token works {wait} ms after it was issued"), || answer.summary())
}
