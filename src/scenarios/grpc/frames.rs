//! Streams that hold no whole message.

use http::{HeaderName, HeaderValue};
use serde_json::json;

use super::{alive, call, make};
use crate::client::GrpcCall;
use crate::scenarios::{Ctx, Finding, Operation, Outcome, Stop};
use crate::wire::proto::{Code, framed};

/// Streams that hold no whole message, and must not be taken for one.
fn broken(call: &GrpcCall) -> Vec<(&'static str, GrpcCall)> {
    let message = &call.data[5..];
    let with = |data: Vec<u8>| GrpcCall { data: data.into(), ..call.clone() };
    let prefixed = |flag: u8, length: usize, message: &[u8]| {
        let mut data = vec![flag];
        data.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
        data.extend_from_slice(message);
        with(data)
    };
    let mut unknown = prefixed(1, message.len(), message);
    unknown.metadata.push((HeaderName::from_static("grpc-encoding"), HeaderValue::from_static("avp-none")));
    // At the end, where it takes the place of the repository's id: of a field that comes twice, the last one counts.
    let not_utf8 = [message, &[0x0a, 2, 0xff, 0xfe]].concat();
    vec![
        ("cut after half of the message", prefixed(0, message.len(), &message[..message.len() / 2])),
        ("whose length says more than there is", prefixed(0, message.len() + 9, message)),
        ("whose prefix is all there is", prefixed(0, message.len(), b"")),
        ("compressed in a way that nobody knows", unknown),
        ("that says it is compressed and isn't", prefixed(1, message.len(), &[message, &[0xff; 9]].concat())),
        ("with a text that isn't UTF-8", with(framed(&not_utf8))),
        ("of garbage", with(framed(&[0xff; 64]))),
    ]
}

pub(super) async fn broken_frames(cx: &Ctx) -> Outcome {
    let alice = cx.member().await?;
    let bob = cx.identity();
    let repo = cx.repo_with(&alice, &[&bob]).await?;
    let rotation = repo.rotation(&alice, &[&alice]);
    let writes = [
        (Operation::Push, json!(repo.push_request(&alice))),
        (Operation::RemoveMember, json!(repo.remove_request(&bob.id, &rotation))),
    ];
    for (operation, body) in writes {
        for (how, call) in broken(&call(cx, operation, &alice, &body)?) {
            let what = format!("{} {how}", operation.name());
            let (exchange, result) = make(cx, &what, &call).await;
            alive(cx, &exchange, &result).await?;
            if result.is_ok_and(|answer| answer.code == Code::OK) && !how.contains("UTF-8") {
                let expected = format!("{what} is refused: there is no whole message");
                return Err(Stop::Violation(Box::new(Finding::shown(expected, "status OK", exchange))));
            }
            cx.holds(&alice, &repo, &what).await?;
        }
    }
    Ok(())
}
