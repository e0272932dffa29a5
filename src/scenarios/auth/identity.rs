//! Who a token is for: any keypair, and only that keypair.

use bytes::Bytes;
use http::HeaderValue;
use http::header::{COOKIE, SET_COOKIE};

use super::server_now;
use crate::client::{Identity, Repo};
use crate::scenarios::check::checks;
use crate::scenarios::context::to_set_up;
use crate::scenarios::{Answer, Auth, Call, Ctx, Finding, Member, Operation, Outcome, Stop};
use crate::wire::{ChallengeResponse, TokenResponse, VaultManifest};

checks! {
    "auth/fresh-keypair", Must, "§3", [NO_ACCOUNT, PORTABLE_IDENTITY], fresh_keypair,
        "A keypair that nobody registered gets a token, and can use the vault with it at once";
    "auth/without-a-repository", Must, "§3", [NO_ACCOUNT], without_a_repository,
        "Who was removed from the only repository he was in logs in and uses the vault as anybody does";
    "auth/login-with-anothers-token", Must, "§3", [SUBJECT_IS_CALLER], with_anothers_token,
        "Who logs in with somebody else's token at hand gets a token of its own", only = Http;
    "auth/cookies-let-nobody-in", Must, "§3", [TOKEN_BEARER_ONLY, TOKEN_REQUIRED, SUBJECT_IS_CALLER], cookies,
        "A cookie that came with a login stands for no token, and for nobody beside one", only = Http;
    "auth/logins-side-by-side", Must, "§3", [NONCE_REDEEMABLE, SUBJECT_IS_CALLER], side_by_side,
        "Logins of several keys that overlap all succeed, and each token is its own key's";
    "auth/logins-of-one-key-at-once", Must, "§3", [NONCE_REDEEMABLE], at_once,
        "Logins of one key at the same moment are answered: each gets a token, or is refused";
    "auth/nonce-on-another-connection", Must, "§3", [NONCE_REDEEMABLE], other_connection,
        "A nonce is redeemed over another connection than the one that it came by", phase = Contention;
    "auth/expires-at", Must, "§3", [TOKEN_ANSWER, INT64], expires_at,
        "expiresAt is an integer number of milliseconds since 1970 that lies ahead";
}

/// Logs in; here it is the thing under test, so that a refusal breaks the rule.
async fn login(cx: &Ctx, identity: Identity) -> Result<Member, Stop> {
    let mut answer = redeemed(cx, &identity).await?;
    // One nonce in some hundreds (one that holds a zero, say) is the business of `auth/right-signatures-in-run`: where another key that
    // nobody knows gets in, this one tries again.
    if answer.is_refusal() && redeemed(cx, &cx.identity()).await?.is_success() {
        answer = redeemed(cx, &identity).await?;
    }
    let token = answer.accepted::<TokenResponse>("a rightly signed nonce of a fresh keypair")?.token;
    Ok(Member { identity, token })
}

async fn redeemed<'c>(cx: &'c Ctx, identity: &Identity) -> Result<Answer<'c>, Stop> {
    let nonce = challenge(cx, identity).await?;
    cx.token(&cx.redeem(identity, &nonce)?).await
}

async fn challenge(cx: &Ctx, identity: &Identity) -> Result<String, Stop> {
    let answer = cx.challenge(&identity.id).await?;
    Ok(answer.accepted::<ChallengeResponse>("a challenge for a fresh keypair")?.nonce)
}

/// The member's token creates a repository of its own.
async fn acts_for_itself(cx: &Ctx, member: &Member) -> Result<Repo, Stop> {
    let repo = Repo::new(member);
    cx.watch(&repo);
    let answer = cx.create(member, &repo.create_request()).await?;
    answer.accepted::<VaultManifest>("createRepo by the holder of a fresh token")?;
    Ok(repo)
}

/// Also when the server knows others already, of whom this one isn't; and when the same key comes back.
async fn fresh_keypair(cx: &Ctx) -> Outcome {
    // Half of all ids have a plus, and most a slash; a path would be another check's.
    let odd = cx.introduce(Identity::generate_with(|id| id.contains('+') && id.contains('/')));
    for identity in [cx.identity(), odd] {
        let member = login(cx, identity).await?;
        let repo = acts_for_itself(cx, &member).await?;
        cx.readable(&member, &repo, "createRepo").await?;
        let again = login(cx, member.identity).await?;
        cx.readable(&again, &repo, "a second login of the same key").await?;
    }
    Ok(())
}

/// A keypair that is in no roster any more is as good as one that never was: with a token of before, and with a new one.
async fn without_a_repository(cx: &Ctx) -> Outcome {
    let (alice, bob, carol) = (cx.member().await?, cx.member().await?, cx.member().await?);
    let mut repo = cx.repo_with(&alice, &[&bob, &carol]).await?;
    // Where nobody logs in twice, that is another check's.
    login(cx, bob.identity.clone()).await.map_err(to_set_up)?;
    cx.expel(&alice, &mut repo, bob.id(), &[&alice, &carol]).await?;
    let again = login(cx, bob.identity.clone()).await?;
    acts_for_itself(cx, &again).await?;
    cx.expel(&alice, &mut repo, carol.id(), &[&alice]).await?;
    let own = acts_for_itself(cx, &carol).await?;
    cx.holds(&carol, &own, "createRepo by a former member of another").await
}

/// Two processes of one member. A server may let only the later challenge count; what it mustn't do is stumble.
async fn at_once(cx: &Ctx) -> Outcome {
    let mut identity = cx.identity();
    for round in 0..6 {
        // Each key twice: the first time it is unknown.
        let is_known = round % 2 == 1;
        if !is_known {
            identity = cx.identity();
        }
        let nonces = [challenge(cx, &identity).await?, challenge(cx, &identity).await?];
        let bodies = [cx.redeem(&identity, &nonces[0])?, cx.redeem(&identity, &nonces[1])?];
        let bodies = bodies.map(|request| serde_json::to_vec(&request).ok().map(Bytes::from));
        let calls = bodies.map(|body| Call::operation(Operation::Token, "", "", &Auth::None, body));
        let mut granted = 0;
        for (exchange, result) in cx.send_together(&calls).await {
            let expected =
                "two logins of one key at the same moment are answered, with a token or a 4xx that is no conflict";
            let answer = match result {
                Ok(answer) => answer,
                Err(error) if error.is_unreachable() => {
                    return Err(cx.setup_failed("connections for two logins at once", cx.world.mask(error.to_string())));
                }
                Err(error) => {
                    return Err(Stop::Violation(Box::new(Finding {
                        expected: expected.into(),
                        observed: error.to_string(),
                        exchange: Some(exchange),
                        evidence: Vec::new(),
                    })));
                }
            };
            // Whoever keeps one nonce for a key has forgotten the other's (401); there is nothing that could conflict.
            let refused = answer.is_refusal() && answer.status != 409;
            answer.must(answer.is_success() || refused, expected, || answer.summary())?;
            granted += u32::from(answer.is_success() || answer.limit.is_some());
        }
        if granted == 0 && is_known {
            return Err(Stop::not_judged("a key that has logged in is refused, which is another check's business"));
        }
        if granted == 0 {
            return Err(
                cx.violation("one of two logins of one key at the same moment gets a token", "both are refused")
            );
        }
    }
    Ok(())
}

/// A client that sends its headers everywhere may be refused, but isn't taken for somebody else.
async fn with_anothers_token(cx: &Ctx) -> Outcome {
    let (alice, bob) = (cx.member().await?, cx.identity());
    let repo = cx.repo(&alice).await?;
    let (auth, nonce) = (alice.auth(), challenge(cx, &bob).await?);
    let body = serde_json::to_vec(&cx.redeem(&bob, &nonce)?).ok().map(Bytes::from);
    let answer = cx.call(Call::operation(Operation::Token, "", "", &auth, body)).await?;
    if !answer.is_success() {
        answer.refused_somehow("a login with somebody else's Authorization, unless it works,")?;
        cx.remark("refused".to_owned());
        return Ok(());
    }
    let token = answer.message::<TokenResponse>()?.token;
    let bob = Member { identity: bob, token };
    let what = "a pull with the token of a login that came with a member's Authorization";
    cx.pull(&bob, &repo.pull_request(0)).await?.refused_somehow(what)?;
    acts_for_itself(cx, &bob).await.map(drop)
}

/// Frameworks make sessions of logins. §3 knows tokens, and nothing else that says who somebody is.
async fn cookies(cx: &Ctx) -> Outcome {
    let (mallory, identity) = (cx.member().await?, cx.identity());
    let answer = redeemed(cx, &identity).await?;
    let cookies: Vec<_> = answer.headers.get_all(SET_COOKIE).iter().filter_map(|value| value.to_str().ok()).collect();
    let pairs: Vec<_> = cookies.iter().filter_map(|cookie| cookie.split(';').next()).map(str::trim).collect();
    let Ok(cookie) = HeaderValue::from_str(&pairs.join("; ")) else { return Ok(()) };
    if pairs.is_empty() {
        cx.remark("no cookie came".to_owned());
        return Ok(());
    }
    let token = answer.accepted::<TokenResponse>("a rightly signed nonce of a fresh keypair")?.token;
    let member = Member { identity, token };
    let repo = acts_for_itself(cx, &member).await?;
    let body = serde_json::to_vec(&repo.pull_request(0)).ok().map(Bytes::from);
    for (who, auth) in [("without a token", Auth::None), ("with a stranger's token", mallory.auth())] {
        let mut call = Call::operation(Operation::Pull, repo.id(), "", &auth, body.clone());
        call.headers.push((COOKIE, cookie.clone()));
        let answer = cx.call(call).await?;
        answer.refused_somehow(&format!("a pull {who} and with the cookie of a member's login"))?;
    }
    Ok(())
}

/// Three logins, each step of all of them before the next step; a server that remembers "the last one" mixes them up.
async fn side_by_side(cx: &Ctx) -> Outcome {
    let identities = [cx.identity(), cx.identity(), cx.identity()];
    let mut nonces = Vec::new();
    for identity in &identities {
        nonces.push(challenge(cx, identity).await?);
    }
    let mut members = Vec::new();
    for (identity, nonce) in identities.into_iter().zip(nonces) {
        let answer = cx.token(&cx.redeem(&identity, &nonce)?).await?;
        let what = "a rightly signed nonce, while other keys have asked for nonces too,";
        let token = answer.accepted::<TokenResponse>(what)?.token;
        members.push(Member { identity, token });
    }
    let mut repos = Vec::new();
    for member in &members {
        repos.push(acts_for_itself(cx, member).await?);
    }
    for (index, member) in members.iter().enumerate() {
        cx.holds(member, &repos[index], "createRepo with this token").await?;
        let other = &repos[(index + 1) % repos.len()];
        let answer = cx.pull(member, &other.pull_request(0)).await?;
        answer.refused("a pull with the token of another key, which isn't a member,", &[403, 404])?;
    }
    Ok(())
}

/// Logins over connections of their own.
const RECONNECTED: usize = 4;

/// Requests of one client come by any number of connections, and behind a balancer to any process of the deployment.
async fn other_connection(cx: &Ctx) -> Outcome {
    let idp = cx.world.idp();
    for _ in 0..RECONNECTED {
        let identity = cx.identity();
        idp.close_idle();
        let request = cx.redeem(&identity, &challenge(cx, &identity).await?)?;
        idp.close_idle();
        let answer = cx.token(&request).await?;
        let expected = "a rightly signed nonce buys a token, whatever connection it comes by";
        answer.must(answer.is_success(), expected, || answer.summary())?;
    }
    Ok(())
}

/// Ten years; what lies further ahead is a way to say "never".
const FAR_MS: i64 = 10 * 366 * 24 * 3600 * 1000;

/// By the server's own clock where it tells (`Date`), so that a skewed clock isn't held against it.
async fn expires_at(cx: &Ctx) -> Outcome {
    let identity = cx.identity();
    let nonce = cx.nonce(&identity).await?;
    let answer = cx.token(&cx.redeem(&identity, &nonce)?).await?;
    answer.must(answer.is_success(), "a rightly signed nonce buys a token", || answer.summary())?;
    let served = answer.json().unwrap_or_default().get("expiresAt").cloned().unwrap_or_default();
    let now = server_now(&answer);
    // `1.0` is an integer to JSON Schema, and told once (`schema/integers-without-fraction`).
    #[expect(clippy::cast_possible_truncation, reason = "only what has no fraction is cut")]
    let integral = served.as_f64().filter(|number| number.fract() == 0.0).map(|number| number as i64);
    let Some(expires_at) = served.as_i64().or(integral) else {
        return Err(answer.violation("expiresAt is a JSON integer", format!("expiresAt is {served}")));
    };
    let observed = |looks: &str| format!("expiresAt is {expires_at} and it is {now} now: {looks}");
    let expected = "expiresAt is in milliseconds since 1970, and lies ahead";
    answer.must(expires_at >= 100_000_000_000, expected, || observed("looks like seconds, or like a duration"))?;
    // `Date` counts in whole seconds, so that what is less than one ahead may as well be past.
    answer
        .must(expires_at >= now.saturating_add(1000), expected, || observed("it has expired already, or as good as"))?;
    for (unit, scale) in [("microseconds", 1_000), ("nanoseconds", 1_000_000)] {
        let is_near = (now..now + FAR_MS).contains(&(expires_at / scale));
        answer.must(!is_near, expected, || observed(&format!("looks like {unit}")))?;
    }
    answer.should(expires_at < now + FAR_MS, "a token expires within years", || observed("more than ten years ahead"));
    Ok(())
}
