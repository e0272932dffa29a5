//! What a refusal leaves on its connection.

use serde_json::json;

use super::{ANSWER_LIMIT, Fixture};
use crate::client::{RawAnswer, Repo, TransportError};
use crate::scenarios::by_hand::HandMade;
use crate::scenarios::{Auth, Ctx, Member, Operation, Outcome, Stop};

/// Refused requests with a body, each followed by a member's pull. A server that answers before it has read the body, and keeps the
/// connection, takes the body for the next request. Closing is fine.
pub(super) async fn in_step(cx: &Ctx) -> Outcome {
    let fixture = Fixture::set_up(cx).await?;
    let (mallory, unknown) = (cx.member().await?, Repo::new(&fixture.alice));
    for (what, refused) in requests(&fixture, &mallory, &unknown) {
        // Once may be chance; twice is a habit.
        if is_spoiled(&fixture, &refused).await?.is_some()
            && let Some((answer, observed)) = is_spoiled(&fixture, &refused).await?
        {
            let expected = "a member's pull is answered on any connection that stays open";
            let observed = format!("after {what}, which is refused, it gets {observed}");
            return Err(fixture.finding(&refused, Some(&answer), expected, observed));
        }
    }
    Ok(())
}

fn requests(fixture: &Fixture<'_>, mallory: &Member, unknown: &Repo) -> Vec<(&'static str, HandMade)> {
    let (cx, alice, repo) = (fixture.cx, &fixture.alice, &fixture.repo);
    let push = json!(repo.push_request(alice));
    let cut = push.to_string().replacen('{', "{\"", 1);
    let request = |operation: Operation, id: &str, auth: Auth, body: String| {
        HandMade::usual(cx, operation, &operation.path(id, ""), auth, Some(body.into()))
    };
    vec![
        ("a push without a token", request(Operation::Push, repo.id(), Auth::None, push.to_string())),
        ("a push by a stranger", request(Operation::Push, repo.id(), mallory.auth(), push.to_string())),
        ("an addMember by a stranger", {
            let body = json!(repo.add_request(&mallory.identity)).to_string();
            request(Operation::AddMember, repo.id(), mallory.auth(), body)
        }),
        ("a push to a repository that doesn't exist", {
            let body = json!(unknown.push_request(alice)).to_string();
            request(Operation::Push, unknown.id(), alice.auth(), body)
        }),
        ("a createRepo of an id that exists", {
            request(Operation::CreateRepo, "", alice.auth(), json!(repo.create_request()).to_string())
        }),
        ("a push that is no JSON", request(Operation::Push, repo.id(), alice.auth(), cut)),
    ]
}

/// What a right pull gets behind a refused request on one connection, if it isn't what it is for; and the answer to the refused one.
async fn is_spoiled(fixture: &Fixture<'_>, refused: &HandMade) -> Result<Option<(RawAnswer, String)>, Stop> {
    let mut connection = fixture.connect().await?;
    fixture.cx.world.target.vault.count_request();
    let first = connection.exchange(&refused.bytes(fixture.cx, false), false, ANSWER_LIMIT).await;
    let Ok(first) = first else { return Ok(None) };
    if !first.reusable || !first.answer.status.is_client_error() || first.answer.status.as_u16() == 429 {
        return Ok(None);
    }
    let second = connection.exchange(&fixture.pull().bytes(fixture.cx, true), false, ANSWER_LIMIT).await;
    let observed = match second {
        Ok(reply) if fixture.is_pulled(&reply.answer) => None,
        Ok(reply) if matches!(reply.answer.status.as_u16(), 429 | 503) => None,
        Ok(reply) => Some(format!("status {}", reply.answer.status.as_u16())),
        // It was closed; or the answer is missing, which is another rule's.
        Err(TransportError::Closed { .. }) => None,
        Err(error) => Some(error.to_string()),
    };
    Ok(observed.map(|observed| (first.answer, observed)))
}
