//! Each of the six operations, with anything but a real token.

use super::forge::{forgeries, jwt_forgeries, more_jwt_forgeries};
use super::{Stage, as_jwt};
use crate::scenarios::check::checks;
use crate::scenarios::discovery::issuer_keys;
use crate::scenarios::{Auth, Call, Ctx, Operation, Outcome};

checks! {
    "token/create-requires-token", Must, "§3", [TOKEN_REQUIRED], create_requires,
        "createRepo without a token, or with garbage for one, is refused and creates nothing";
    "token/pull-requires-token", Must, "§3", [TOKEN_REQUIRED, ANSWERS_TO_ASKERS], pull_requires,
        "pull without a token, or with garbage for one, is refused";
    "token/push-requires-token", Must, "§3", [TOKEN_REQUIRED], push_requires,
        "push without a token, or with garbage for one, is refused and changes nothing";
    "token/add-requires-token", Must, "§3", [TOKEN_REQUIRED], add_requires,
        "addMember without a token, or with garbage for one, is refused and changes nothing";
    "token/remove-requires-token", Must, "§3", [TOKEN_REQUIRED], remove_requires,
        "removeMember without a token, or with garbage for one, is refused and changes nothing";
    "token/fetch-requires-token", Must, "§3", [TOKEN_REQUIRED, ANSWERS_TO_ASKERS], fetch_requires,
        "fetchMemberKey without a token, or with garbage for one, is refused";

    "token/create-refuses-forged", Must, "§3", [TOKEN_VERIFIED, TOKEN_LOCAL], create_refuses_forged,
        "createRepo with an altered token or another issuer's is refused and creates nothing";
    "token/pull-refuses-forged", Must, "§3", [TOKEN_VERIFIED, TOKEN_LOCAL], pull_refuses_forged,
        "pull with an altered token or another issuer's is refused";
    "token/push-refuses-forged", Must, "§3", [TOKEN_VERIFIED, TOKEN_LOCAL], push_refuses_forged,
        "push with an altered token or another issuer's is refused and changes nothing";
    "token/add-refuses-forged", Must, "§3", [TOKEN_VERIFIED, TOKEN_LOCAL], add_refuses_forged,
        "addMember with an altered token or another issuer's is refused and changes nothing";
    "token/remove-refuses-forged", Must, "§3", [TOKEN_VERIFIED, TOKEN_LOCAL], remove_refuses_forged,
        "removeMember with an altered token or another issuer's is refused and changes nothing";
    "token/fetch-refuses-forged", Must, "§3", [TOKEN_VERIFIED, TOKEN_LOCAL], fetch_refuses_forged,
        "fetchMemberKey with an altered token or another issuer's is refused";

    "token/create-refuses-forged-jwt", Must, "§3", [TOKEN_VERIFIED], create_refuses_jwt,
        "createRepo with a JWT that is unsigned, edited or re-signed is refused and creates nothing";
    "token/pull-refuses-forged-jwt", Must, "§3", [TOKEN_VERIFIED], pull_refuses_jwt,
        "pull with a JWT that is unsigned, edited or re-signed is refused";
    "token/push-refuses-forged-jwt", Must, "§3", [TOKEN_VERIFIED], push_refuses_jwt,
        "push with a JWT that is unsigned, edited or re-signed is refused and changes nothing";
    "token/add-refuses-forged-jwt", Must, "§3", [TOKEN_VERIFIED], add_refuses_jwt,
        "addMember with a JWT that is unsigned, edited or re-signed is refused and changes nothing";
    "token/remove-refuses-forged-jwt", Must, "§3", [TOKEN_VERIFIED], remove_refuses_jwt,
        "removeMember with a JWT that is unsigned, edited or re-signed is refused and changes nothing";
    "token/fetch-refuses-forged-jwt", Must, "§3", [TOKEN_VERIFIED], fetch_refuses_jwt,
        "fetchMemberKey with a JWT that is unsigned, edited or re-signed is refused";
}

/// One check per operation, of the function that all of them share.
macro_rules! of_each {
    ($shared:ident: $($check:ident $operation:ident),* $(,)?) => {
        $(async fn $check(cx: &Ctx) -> Outcome {
            $shared(cx, Operation::$operation).await
        })*
    };
}

of_each!(requires_token: create_requires CreateRepo, pull_requires Pull, push_requires Push,
    add_requires AddMember, remove_requires RemoveMember, fetch_requires FetchMemberKey);
of_each!(refuses_forged: create_refuses_forged CreateRepo, pull_refuses_forged Pull, push_refuses_forged Push,
    add_refuses_forged AddMember, remove_refuses_forged RemoveMember, fetch_refuses_forged FetchMemberKey);
of_each!(refuses_forged_jwt: create_refuses_jwt CreateRepo, pull_refuses_jwt Pull, push_refuses_jwt Push,
    add_refuses_jwt AddMember, remove_refuses_jwt RemoveMember, fetch_refuses_jwt FetchMemberKey);

/// Nothing, or nothing that could be a token; also where the server could answer without looking far.
async fn requires_token(cx: &Ctx, operation: Operation) -> Outcome {
    let stage = Stage::set(cx, operation).await?;
    let bearer = |token: &str| Auth::Bearer(token.into());
    let header = |value: &str| Auth::Header(value.into());
    stage
        .refuses(
            cx,
            vec![
                ("no token", Auth::None),
                ("garbage for a token", bearer("garbage")),
                ("null for a token", bearer("null")),
                ("undefined for a token", bearer("undefined")),
                ("three dotted words for a token", bearer("a.b.c")),
                ("dots for a token", bearer("..")),
                ("an empty token", header("Bearer ")),
                ("no token behind Bearer", header("Bearer")),
                ("a word for Authorization", header("garbage")),
            ],
        )
        .await?;
    if !matches!(operation, Operation::Pull | Operation::Push) {
        return Ok(());
    }
    let stage = Stage::set(cx, operation).await?;
    for (what, body) in stage.shortcuts() {
        for auth in [Auth::None, bearer("garbage")] {
            let answer = cx.call(Call { body: Some(body.clone()), ..stage.call(&auth) }).await?;
            answer.refused(&format!("{what} without a valid token"), &[401])?;
        }
    }
    stage.untouched(cx).await
}

/// A real token that is no longer whole, and whole ones that this server didn't issue.
async fn refuses_forged(cx: &Ctx, operation: Operation) -> Outcome {
    let stage = Stage::set(cx, operation).await?;
    stage.refuses(cx, forgeries(&stage.alice.token, &stage.alice)).await
}

/// The classics of JWT forgery; only where tokens are JWTs.
async fn refuses_forged_jwt(cx: &Ctx, operation: Operation) -> Outcome {
    let stage = Stage::set(cx, operation).await?;
    let real = as_jwt(&stage.alice.token)?;
    let mallory = cx.member().await?;
    let own = as_jwt(&mallory.token)?;
    let mut forged = jwt_forgeries(&real, &own, &stage.alice, &mallory);
    if operation == Operation::Pull {
        forged.extend(more_jwt_forgeries(&real, &issuer_keys(cx).await));
    }
    stage.refuses(cx, forged).await
}
