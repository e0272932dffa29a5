//! Streams that hold no whole message, and messages with fields that nobody knows.

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
                return Err(Stop::Broken(Box::new(Finding::shown(expected, "status OK", exchange))));
            }
            cx.holds(&alice, &repo, &what).await?;
        }
    }
    Ok(())
}

/// Fields with numbers that the protocol hasn't given away: texts, or numbers of every other wire type.
fn unknown(texts: bool) -> Vec<u8> {
    let mut bytes = Vec::new();
    if texts {
        // As long as a ciphertext, so that no check of sizes hides where they end up.
        let text = crate::codec::base64::encode(&[b'?'; 48]);
        for number in [13_u8, 14] {
            bytes.extend([number << 3 | 2, u8::try_from(text.len()).unwrap_or_default()]);
            bytes.extend_from_slice(text.as_bytes());
        }
        return bytes;
    }
    // Numbers 9 and 100 as varints, 15 as 64 bits, 17 as 32 bits.
    bytes.extend([9 << 3, 7, 0xa0, 0x06, 7, 15 << 3 | 1, 1, 2, 3, 4, 5, 6, 7, 8, 0x8d, 0x01, 1, 2, 3, 4]);
    bytes
}

/// A message with unknown fields in the message that is its field `number`; numbers stand in both.
fn spiked(message: &[u8], number: u8, texts: bool) -> Option<Vec<u8>> {
    let strange = unknown(texts);
    let mut out = Vec::new();
    let mut rest = message;
    while let Some((&key, _)) = rest.split_first() {
        let (field, length) = field(rest)?;
        if key == number << 3 | 2 {
            let inner = [&field[length..], strange.as_slice()].concat();
            out.push(key);
            let mut size = inner.len();
            while size > 127 {
                out.push(u8::try_from(size & 127).ok()? | 128);
                size >>= 7;
            }
            out.push(u8::try_from(size).ok()?);
            out.extend_from_slice(&inner);
        } else {
            out.extend_from_slice(field);
        }
        rest = &rest[field.len()..];
    }
    if !texts {
        out.extend_from_slice(&strange);
    }
    Some(out)
}

/// The first field of a message of ours, whole, and how many bytes of it come before what it holds.
fn field(message: &[u8]) -> Option<(&[u8], usize)> {
    let (mut at, mut value) = (1, 0);
    for shift in (0..64).step_by(7) {
        let byte = *message.get(at)?;
        at += 1;
        value |= usize::from(byte & 127).checked_shl(shift)?;
        if byte & 128 == 0 {
            break;
        }
    }
    let end = if message[0] & 7 == 2 { at.checked_add(value)? } else { at };
    Some((message.get(..end)?, at))
}

/// A newer client may send what an older server doesn't know: proto3 drops it.
pub(super) async fn unknown_fields(cx: &Ctx) -> Outcome {
    let alice = cx.member().await?;
    let mut repo = cx.repo(&alice).await?;
    for texts in [true, false] {
        let push = repo.push_request(&alice);
        let mut request = call(cx, Operation::Push, &alice, &json!(push))?;
        let Some(message) = spiked(&request.data[5..], 2, texts) else {
            return Err(cx.trouble("a message of ours", "another".into()));
        };
        request.data = framed(&message).into();
        let kind = if texts { "texts" } else { "numbers" };
        let what = format!("push with {kind} in fields that nobody knows, in its envelope");
        let (exchange, result) = make(cx, &what, &request).await;
        alive(cx, &exchange, &result).await?;
        let Ok(answer) = result else {
            let observed = exchange.error.clone().unwrap_or_default();
            return Err(Stop::Broken(Box::new(Finding::shown(format!("{what} is answered"), observed, exchange))));
        };
        let applied = answer.data.is_some_and(|data| data.first() == Some(&8));
        if answer.code == Code::OK && applied {
            repo.apply_push(&push);
        } else {
            cx.remark(format!("{kind}: refused with {}", answer.code));
        }
        cx.holds(&alice, &repo, &what).await?;
    }
    Ok(())
}
