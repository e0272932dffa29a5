//! Methods and paths that mean nothing.

use bytes::Bytes;
use http::Method;
use serde_json::json;

use super::super::{Call, Ctx, Operation, Outcome};
use super::{Fixture, Misses};

/// 501 is what RFC 9110 §9.1 gives for a method that a server doesn't know at all.
pub(super) async fn wrong_method(cx: &Ctx) -> Outcome {
    let fixture = Fixture::new(cx).await?;
    let auth = fixture.alice.auth();
    let mut misses = Misses::default();
    for (method, operation) in [
        (Method::GET, Operation::Challenge),
        (Method::GET, Operation::Token),
        (Method::GET, Operation::CreateRepo),
        (Method::GET, Operation::Pull),
        (Method::GET, Operation::Push),
        (Method::DELETE, Operation::AddMember),
        (Method::PUT, Operation::RemoveMember),
        (Method::POST, Operation::FetchMemberKey),
    ] {
        let mut call = Call::operation(operation, fixture.repo.id(), fixture.alice.id(), &auth, None);
        call.operation = None;
        call.method = method;
        let what = format!("{} {}", call.method, call.path);
        let answer = cx.call(call).await?;
        if answer.status != 501 {
            misses.look_at(what, answer);
        }
    }
    misses.report()?;
    cx.holds(&fixture.alice, &fixture.repo, "requests with the wrong method").await
}

/// Neither a 5xx nor a page that says 200.
pub(super) async fn unknown_route(cx: &Ctx) -> Outcome {
    let fixture = Fixture::new(cx).await?;
    let mut misses = Misses::default();
    let repo = fixture.repo.id();
    for (method, path) in [
        (Method::GET, "/v1/nothing-here".to_owned()),
        (Method::POST, "/v1/nothing-here".to_owned()),
        (Method::POST, format!("/v1/repos/{repo}/frobnicate")),
        (Method::POST, format!("/v1/repos/{repo}/pull/more")),
        (Method::GET, format!("/v1/repos/{repo}/member")),
        (Method::POST, "/v1/repos//pull".to_owned()),
    ] {
        let body = (method == Method::POST).then(|| Bytes::from_static(b"{}"));
        let auth = fixture.alice.auth();
        let what = format!("{method} {path}");
        let mut call = Call::operation(Operation::Pull, repo, "", &auth, body);
        (call.operation, call.method, call.path) = (None, method, path);
        misses.look_at(what, cx.call(call).await?);
    }
    misses.report()
}

/// `%` that isn't followed by two hex digits, and bytes that aren't UTF-8.
pub(super) async fn malformed_path(cx: &Ctx) -> Outcome {
    let fixture = Fixture::new(cx).await?;
    let mut misses = Misses::default();
    for id in ["%", "%zz", "%ff%fe", "%00", "%c3%28"] {
        let auth = fixture.alice.auth();
        let mut call = Call::operation(
            Operation::Pull,
            "",
            "",
            &auth,
            Some(json!(fixture.repo.pull_request(0)).to_string().into()),
        );
        (call.operation, call.path) = (None, format!("/v1/repos/{id}/pull"));
        let what = format!("POST {}", call.path);
        misses.look_at(what, cx.call(call).await?);
    }
    misses.report()
}
