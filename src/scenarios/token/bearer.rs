//! What a token is and how it travels: claims, guessability, and the one place where it counts.

use serde_json::Value;

use super::forge::{from_the_id, known_secret_of};
use super::{Stage, as_jwt, body_of};
use crate::client::Repo;
use crate::scenarios::check::checks;
use crate::scenarios::{Auth, Ctx, Operation, Outcome};

checks! {
    "token/made-from-the-id", Must, "§3", [TOKEN_VERIFIED, SUBJECT_IS_CALLER], made_from_the_id,
        "Who knows a member's id can't make a token of it";
    "token/jwt-claims", Should, "§3", [TOKEN_CLAIMS], jwt_claims,
        "A JWT has the subject key: plus id, the kind keypair, and no account, email or role";
    "token/jwt-expiry", Hardening, "§3", [TOKEN_ANSWER], jwt_expiry,
        "A JWT has an exp, which is in seconds and agrees with expiresAt";
    "token/guessable", Hardening, "§3", [TOKEN_VERIFIED], guessable,
        "Tokens aren't short, numbered, or signed with a secret that everybody knows";
    "token/other-scheme", Hardening, "§3", [TOKEN_BEARER_ONLY], other_scheme,
        "A token in another scheme than Bearer, or in none, isn't accepted";
    "token/in-the-query", Hardening, "§3", [TOKEN_BEARER_ONLY], in_the_query,
        "A token in the query string isn't accepted", only = Http;
    "token/letter-case", Hardening, "§3", [TOKEN_BEARER_ONLY], letter_case,
        "A token in other letter case isn't accepted";
    "token/unauthenticated-silence", Hardening, "§3", [UNAUTHENTICATED_SILENCE], silence,
        "An answer to an unauthenticated caller is the same for a repository that exists and one that doesn't";
}

/// mallory has a token of her own to learn from, and knows alice's id, as every member of a repository does.
async fn made_from_the_id(cx: &Ctx) -> Outcome {
    let stage = Stage::set(cx, Operation::Pull).await?;
    let mallory = cx.member().await?;
    let forged = from_the_id(&mallory.token, &mallory, &stage.alice);
    stage.refuses(cx, forged.into_iter().map(|(what, token)| (what, Auth::Bearer(token))).collect()).await
}

/// Claims that would tie a member to an account.
const ACCOUNT_CLAIMS: [&str; 9] =
    ["account", "accountId", "account_id", "email", "emailVerified", "email_verified", "role", "roles", "groups"];

/// The reference token's claims.
async fn jwt_claims(cx: &Ctx) -> Outcome {
    let alice = cx.member().await?;
    let jwt = as_jwt(&alice.token)?;
    let claim = |name: &str| jwt.claims.get(name).map_or_else(|| "absent".to_owned(), Value::to_string);
    let subject = format!("key:{}", alice.id());
    if jwt.subject() != Some(&subject) {
        return Err(cx.violation(format!("the claim sub is {subject}"), claim("sub")));
    }
    if jwt.claims.get("kind").and_then(Value::as_str) != Some("keypair") {
        return Err(cx.violation("the claim kind is keypair", claim("kind")));
    }
    let Some(found) = ACCOUNT_CLAIMS.into_iter().find(|name| jwt.claims.contains_key(*name)) else { return Ok(()) };
    Err(cx.violation("no claim about an account, an email address or a role", format!("{found}: {}", claim(found))))
}

/// RFC 7519 §4.1.4; a JWT without `exp` expires by the server's own memory.
async fn jwt_expiry(cx: &Ctx) -> Outcome {
    let (alice, expires_at, answer) = super::lifetime::login(cx).await?;
    let jwt = as_jwt(&alice.token)?;
    let Some(exp) = jwt.claims.get("exp") else {
        return Err(answer.violation("a JWT says when it expires, so that whoever verifies it can know", "no exp"));
    };
    let expected = "exp is the expiry in seconds since 1970, the same as expiresAt";
    let observed = || format!("exp is {exp}, and expiresAt is {expires_at}");
    let Some(seconds) = exp.as_f64() else { return Err(answer.violation(expected, observed())) };
    // A minute of leeway between the two is nothing to complain about.
    answer.must((seconds * 1000.0 - expires_at as f64).abs() <= 60_000.0, expected, observed)
}

/// Tokens of this many keys are compared with each other.
const COMPARED: usize = 8;
/// Fewer characters than this that differ are below 60 bits even in base64.
const ENOUGH_CHARACTERS: usize = 10;

/// A random place in hexadecimal is the same in all of eight tokens with probability 16^-7; that seven of the 16 places of a 64-bit token
/// are has one below 2^-180.
async fn guessable(cx: &Ctx) -> Outcome {
    let mut tokens = Vec::new();
    for _ in 0..COMPARED {
        tokens.push(cx.member().await?.token);
    }
    let bytes: Vec<&[u8]> = tokens.iter().map(String::as_bytes).collect();
    let length = bytes.iter().map(|token| token.len()).min().unwrap_or(0);
    let varying = (0..length).filter(|&at| bytes.iter().any(|token| token[at] != bytes[0][at])).count();
    if varying < ENOUGH_CHARACTERS {
        let observed = format!("of the {length} characters of {COMPARED} tokens, {varying} differ");
        return Err(cx.violation("tokens of which no one can be guessed from another", observed));
    }
    match known_secret_of(&tokens[0]) {
        None => Ok(()),
        Some(secret) => {
            let observed = format!("a token ends in an HMAC-SHA-256 with the secret {secret:?}");
            Err(cx.violation("tokens that only this server can make", observed))
        }
    }
}

/// A real token where it doesn't belong, on an operation that only reads.
async fn refuses_token(cx: &Ctx, attempts: Vec<(&'static str, Auth, String)>) -> Outcome {
    let stage = Stage::set(cx, Operation::Pull).await?;
    for (what, auth, query) in attempts {
        let auth = match auth {
            Auth::Header(template) => Auth::Header(template.replace("{token}", &stage.alice.token)),
            other => other,
        };
        let mut call = stage.call(&auth);
        call.path.push_str(&query.replace("{token}", &crate::wire::segment(&stage.alice.token)));
        cx.call(call).await?.refused_somehow(&format!("pull with {what}"))?;
    }
    Ok(())
}

/// RFC 6750 has one scheme; its name may be in any letter case.
async fn other_scheme(cx: &Ctx) -> Outcome {
    let header = |what, template: &str| (what, Auth::Header(template.into()), String::new());
    refuses_token(
        cx,
        vec![
            header("a real token in the scheme Basic", "Basic {token}"),
            header("a real token in the scheme Token", "Token {token}"),
            header("a real token without a scheme", "{token}"),
            header("a real token after a word of our own", "Bearerx {token}"),
        ],
    )
    .await
}

/// Queries end up in logs and histories.
async fn in_the_query(cx: &Ctx) -> Outcome {
    let query = |query: &str| ("a real token in the query only", Auth::None, query.to_owned());
    refuses_token(
        cx,
        vec![query("?access_token={token}"), query("?token={token}"), query("?authorization=Bearer%20{token}")],
    )
    .await
}

/// A token compared without regard to case has far fewer bits than it shows.
async fn letter_case(cx: &Ctx) -> Outcome {
    let stage = Stage::set(cx, Operation::Pull).await?;
    let token = &stage.alice.token;
    let turned: String = token
        .chars()
        .map(|c| if c.is_ascii_lowercase() { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() })
        .collect();
    for other in [turned, token.to_ascii_lowercase(), token.to_ascii_uppercase()] {
        if other != *token {
            let answer = stage.attempt(cx, &Auth::Bearer(other)).await?;
            answer.refused_somehow("pull with a real token in other letter case")?;
        }
    }
    Ok(())
}

/// Existing and unknown, with no token and with garbage, on every operation.
async fn silence(cx: &Ctx) -> Outcome {
    let (alice, bob) = (cx.member().await?, cx.identity());
    let (existing, unknown) = (cx.repo_with(&alice, &[&bob]).await?, Repo::new(&alice));
    for operation in Operation::VAULT {
        for auth in [Auth::None, Auth::Bearer("garbage".into())] {
            let ask = |repo: &Repo| {
                let body = body_of(cx, operation, repo, &alice, &bob);
                crate::scenarios::Call::operation(operation, repo.id(), &bob.id, &auth, body)
            };
            let known = cx.call(ask(&existing)).await?;
            let other = cx.call(ask(&unknown)).await?;
            let name = operation.name();
            known.must(
                known.status == other.status,
                &format!("{name} without a valid token is answered alike, whether the repository exists or not"),
                || format!("status {} for one that exists, {} for one that doesn't", known.status, other.status),
            )?;
            // What these two send holds none of it, so it can't be an echo.
            if matches!(operation, Operation::Pull | Operation::FetchMemberKey) {
                let body = String::from_utf8_lossy(&known.body);
                let tells = body.contains(&existing.envelope.ciphertext) || body.contains(&bob.x25519_public_key);
                known.must(!tells, &format!("{name} without a valid token tells nothing of the repository"), || {
                    "the answer holds its contents".into()
                })?;
            }
        }
    }
    Ok(())
}
