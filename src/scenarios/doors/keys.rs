//! Idempotency keys: what keeps answers by the key alone gives a member's answer to whoever sends the key again.

use http::{HeaderName, HeaderValue};

use super::{Auth, Ctx, Operation, Outcome, Stop};
use crate::client::{Repo, random};
use crate::ground::hex;
use crate::scenarios::variants::Variants;
use crate::scenarios::{Answer, Call};

/// Names under which frameworks, gateways and libraries take such a key.
const NAMES: [&str; 4] = ["idempotency-key", "x-idempotency-key", "x-request-id", "request-id"];

/// A member's pull and fetch with a key; then the same by nobody and by a stranger, and another request of the member.
pub async fn check(cx: &Ctx) -> Outcome {
    let (alice, mallory) = (cx.member().await?, cx.member().await?);
    let (repo, other) = (cx.repo(&alice).await?, cx.repo(&alice).await?);
    let mut tally = Variants::default();
    for name in NAMES {
        for operation in [Operation::Pull, Operation::FetchMemberKey] {
            let key = hex::encode(&random::bytes::<16>());
            let ask = async |auth: &Auth, repo: &Repo| asked(cx, operation, repo, alice.id(), auth, (name, &key)).await;
            // A deployment may refuse what it doesn't know.
            if !ask(&alice.auth(), &repo).await?.is_success() {
                continue;
            }
            for (who, auth) in [("nobody", Auth::None), ("a stranger", mallory.auth())] {
                let answer = ask(&auth, &repo).await?;
                let refused = answer.refused_somehow("a request with the key of a member's");
                tally.note(format!("{} by {who} with the member's {name}", operation.name()), refused)?;
            }
            let answer = ask(&alice.auth(), &other).await?;
            let wrong = operation == Operation::Pull && answer.is_success() && !names(&answer, &other);
            let own =
                answer.must(!wrong, "another request with the same key gets its own answer, or is refused", || {
                    "the answer to the first".into()
                });
            tally.note(format!("{} of another repository with the same {name}", operation.name()), own)?;
        }
    }
    tally.settle(cx)
}

fn names(answer: &Answer<'_>, repo: &Repo) -> bool {
    answer.json().is_ok_and(|body| body["manifest"]["repoId"] == repo.id())
}

async fn asked<'c>(
    cx: &'c Ctx,
    operation: Operation,
    repo: &Repo,
    member: &str,
    auth: &Auth,
    (name, key): (&'static str, &str),
) -> Result<Answer<'c>, Stop> {
    let body = match operation {
        Operation::Pull => serde_json::to_vec(&repo.pull_request(0)).ok().map(Into::into),
        _ => None,
    };
    let mut call = Call::operation(operation, repo.id(), member, auth, body);
    if let Ok(key) = HeaderValue::from_str(key) {
        call.headers.push((HeaderName::from_static(name), key));
    }
    cx.call(call).await
}
