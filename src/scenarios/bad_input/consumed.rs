//! What a refused request leaves on its connection.

use std::time::Duration;

use serde_json::{Value, json};

use super::super::{Ctx, Member, Operation, Outcome, Stop};
use super::Fixture;
use crate::client::{RawRequest, Repo, random};
use crate::codec::base64;
use crate::scenarios::json_request;

/// A server that refuses early and leaves the body unread reads it as the next request. Closing the connection is fine.
pub(super) async fn body_is_consumed(cx: &Ctx) -> Outcome {
    let fixture = Fixture::new(cx).await?;
    if cx.world.target.separate_idp.is_some() {
        return Err(Stop::not_judged("challenge lives on another origin, so there is no harmless second request"));
    }
    let unknown = Repo::new(&fixture.alice);
    for (what, path, body) in [
        (
            "a push without token",
            Operation::Push.path(fixture.repo.id(), ""),
            json!(fixture.repo.push_request(&fixture.alice)),
        ),
        ("a createRepo without token", Operation::CreateRepo.path("", ""), json!(unknown.create_request())),
        ("a POST to an unknown route", "/v1/nothing-here".into(), json!(unknown.create_request())),
        ("a token request with a bad nonce", Operation::Token.path("", ""), bad_token_request(&fixture.alice)),
    ] {
        // Once may be chance (a timeout under load); twice is a habit.
        let refused = json_request(path, &body);
        if let (Left::Body(observed), Left::Body(_)) =
            (left_by(cx, &refused, fixture.alice.id()).await, left_by(cx, &refused, fixture.alice.id()).await)
        {
            return Err(cx.violation(
                "a good challenge on the same connection is answered with a nonce",
                format!(
                    "after {what} the challenge got {observed}: the refused request's body was taken for a request"
                ),
            ));
        }
    }
    Ok(())
}

/// What a refused request leaves on its connection.
pub(crate) enum Left {
    /// A connection on which the next request is answered rightly.
    Usable,
    /// A body that was taken for the next request; what a good challenge got instead of a nonce.
    Body(String),
    /// No connection, or the request wasn't refused: there is nothing to tell.
    Nothing,
}

/// Sends a request that gets refused, then a good challenge on the same connection.
pub(crate) async fn left_by(cx: &Ctx, refused: &RawRequest, key: &str) -> Left {
    let transport = &cx.world.target.vault;
    let challenge = json_request(Operation::Challenge.path("", ""), &json!({ "ed25519PublicKey": key }));
    let bound = transport.timeout().min(Duration::from_secs(3));
    let Ok((first, Some(second))) = transport.send_both(refused, &challenge, bound).await else { return Left::Nothing };
    if first.status.is_success() || first.status.as_u16() == 429 {
        return Left::Nothing;
    }
    match second {
        Ok(answer) if answer.status.is_success() => Left::Usable,
        Ok(answer) if answer.status.as_u16() == 429 => Left::Nothing,
        Ok(answer) => Left::Body(format!("status {}", answer.status.as_u16())),
        Err(error) => Left::Body(error.to_string()),
    }
}

fn bad_token_request(alice: &Member) -> Value {
    let nonce = random::bytes::<32>();
    json!({
        "ed25519PublicKey": alice.id(),
        "nonce": base64::encode(&nonce),
        "signature": base64::encode(&alice.sign(&nonce)),
    })
}
