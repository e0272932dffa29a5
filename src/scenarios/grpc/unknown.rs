//! Fields that nobody knows, in every write and in every message inside it.

use serde_json::{Value, json};

use super::{alive, call, make};
use crate::client::Repo;
use crate::scenarios::{Ctx, Finding, Member, Operation, Outcome, Stop};
use crate::wire::proto::{Code, framed};

/// The messages inside a message, by the numbers of their fields.
struct Inner(&'static [(u8, Inner)]);

const LEAF: Inner = Inner(&[]);
const ENTRY: Inner = Inner(&[(3, LEAF)]);
const MANIFEST: Inner = Inner(&[(5, ENTRY)]);

const fn inner(operation: Operation) -> Inner {
    match operation {
        Operation::CreateRepo => Inner(&[(1, MANIFEST), (2, LEAF)]),
        Operation::Push => Inner(&[(2, LEAF), (4, ENTRY)]),
        Operation::AddMember => Inner(&[(2, ENTRY)]),
        Operation::RemoveMember => Inner(&[(3, LEAF), (4, ENTRY)]),
        _ => LEAF,
    }
}

/// Fields with numbers that the protocol hasn't given away: texts, or numbers of every other wire type.
fn unknown(texts: bool) -> Vec<u8> {
    let mut bytes = Vec::new();
    if texts {
        // As long as a signature or a ciphertext, so that no check of sizes hides where they end up.
        let text = crate::codec::base64::encode(&[b'?'; 64]);
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

/// A message with unknown fields at the end of each message inside it, and at its own.
fn spiked(message: &[u8], Inner(inner): &Inner, strange: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let mut rest = message;
    while let Some((&key, _)) = rest.split_first() {
        let (field, length) = field(rest)?;
        match inner.iter().find(|(number, _)| key == number << 3 | 2) {
            Some((_, below)) => {
                let held = spiked(&field[length..], below, strange)?;
                out.push(key);
                let mut size = held.len();
                while size > 127 {
                    out.push(u8::try_from(size & 127).ok()? | 128);
                    size >>= 7;
                }
                out.push(u8::try_from(size).ok()?);
                out.extend_from_slice(&held);
            }
            None => out.extend_from_slice(field),
        }
        rest = &rest[field.len()..];
    }
    out.extend_from_slice(strange);
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

/// What there is, a write to it, and what there is afterwards.
struct Write {
    before: Option<Repo>,
    body: Value,
    after: Repo,
}

async fn write(cx: &Ctx, alice: &Member, operation: Operation, rotates: bool) -> Result<Write, Stop> {
    if operation == Operation::CreateRepo {
        let after = Repo::new(alice);
        return Ok(Write { before: None, body: json!(after.create_request()), after });
    }
    let (bob, carol) = (cx.identity(), cx.identity());
    let before = cx.repo_with(alice, &[&bob, &carol]).await?;
    let mut after = before.clone();
    let body = match operation {
        Operation::AddMember => {
            let request = before.add_request(&cx.identity());
            after.apply_add(&request.member);
            json!(request)
        }
        Operation::Push if !rotates => {
            let push = before.push_request(alice);
            after.apply_push(&push);
            json!(push)
        }
        _ => {
            let rotation = before.rotation(alice, &[alice, &carol]);
            after.apply_rotation(&rotation);
            match operation {
                Operation::Push => json!(before.rotating_push(&rotation)),
                _ => json!(before.remove_request(&bob.id, &rotation)),
            }
        }
    };
    Ok(Write { before: Some(before), body, after })
}

/// A newer client may send what an older server doesn't know: proto3 drops it.
pub(super) async fn unknown_fields(cx: &Ctx) -> Outcome {
    let alice = cx.member().await?;
    let mut refused = Vec::new();
    for (operation, rotates, name) in [
        (Operation::CreateRepo, false, "createRepo"),
        (Operation::Push, false, "push"),
        (Operation::Push, true, "a rotating push"),
        (Operation::AddMember, false, "addMember"),
        (Operation::RemoveMember, false, "removeMember"),
    ] {
        for texts in [true, false] {
            let write = write(cx, &alice, operation, rotates).await?;
            cx.watch(&write.after);
            let mut request = call(cx, operation, &alice, &write.body)?;
            let Some(message) = spiked(&request.data[5..], &inner(operation), &unknown(texts)) else {
                return Err(cx.setup_failed("a message of ours", "another".into()));
            };
            request.data = framed(&message).into();
            let what = format!("{name} with {} in fields that nobody knows", if texts { "texts" } else { "numbers" });
            let (exchange, result) = make(cx, &what, &request).await;
            alive(cx, &exchange, &result).await?;
            let Ok(answer) = result else {
                let observed = exchange.error.clone().unwrap_or_default();
                return Err(Stop::Violation(Box::new(Finding::shown(
                    format!("{what} is answered"),
                    observed,
                    exchange,
                ))));
            };
            // The first field of a push's answer says whether it was accepted.
            let accepted = operation != Operation::Push || answer.data.is_some_and(|data| data.first() == Some(&8));
            if answer.code == Code::OK && accepted {
                cx.holds(&alice, &write.after, &what).await?;
            } else {
                refused.push(format!("{what} ({})", answer.code));
                if let Some(before) = &write.before {
                    cx.holds(&alice, before, &what).await?;
                }
            }
        }
    }
    if !refused.is_empty() {
        cx.remark(format!("refused: {}", refused.join("; ")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_inside_gets_them() {
        // Number 2 holds a message whose number 3 holds one; number 1 is a text.
        let message = [0x0a, 1, b'r', 0x12, 5, 0x0a, 1, b'm', 0x1a, 0];
        let spiked = spiked(&message, &inner(Operation::AddMember), &[0x48, 7]).unwrap();
        assert_eq!(spiked, [0x0a, 1, b'r', 0x12, 9, 0x0a, 1, b'm', 0x1a, 2, 0x48, 7, 0x48, 7, 0x48, 7]);
    }
}
