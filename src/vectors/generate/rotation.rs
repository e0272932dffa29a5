//! `rotation.json`: a repository before and after a removal, and what must stop opening.

use serde_json::Value;

use super::super::fields::{Fields, fields};
use super::super::op::CodecOp;
use super::envelopes::Wrap;
use super::{Made, case, member, ours, seed};
use crate::codec::{base64, key_wrap, signature};

/// A repository at one moment.
struct Phase {
    version: i64,
    epoch: i64,
    data_key: [u8; 32],
    text: &'static str,
    members: &'static [&'static str],
}

pub(super) fn file() -> Made<Value> {
    let everybody: &[&str] = &["alice", "bob", "carol"];
    let key = |label: &str| seed::bytes(&format!("rotation/{label}/data-key"));
    let before = Phase {
        version: 7,
        epoch: 2,
        data_key: key("before"),
        text: "{\"alts\":[],\"payloadVersion\":7}",
        members: everybody,
    };
    let after = Phase {
        version: 8,
        epoch: 3,
        data_key: key("after"),
        text: "{\"alts\":[],\"payloadVersion\":8}",
        members: &["alice", "bob"],
    };
    let one = rotation("three-members", "carol is removed: alice and bob go on with a new data key", &before, &after)?;
    let before = Phase {
        version: (1 << 53) + 1,
        epoch: (1 << 53) + 1,
        data_key: key("large-before"),
        members: everybody,
        ..before
    };
    let after = Phase {
        version: (1 << 53) + 2,
        epoch: (1 << 53) + 2,
        data_key: key("large-after"),
        members: &["alice"],
        ..after
    };
    let two = rotation(
        "large-counters",
        "counters beyond 2^53; two members go at once, one by request and one by omission",
        &before,
        &after,
    )?;
    let about = "Rotations: a repository before and after a removal, with the request that carries it out, what opens, and what \
                 must stop opening (SPEC sections 6 and 10).";
    Ok(super::file(about, vec![one, two]))
}

const REPO: &str = "3b1f9c64-0b2a-4f1e-9c3d-1a2b3c4d5e6f";

fn private(name: &str) -> [u8; 32] {
    seed::bytes(&format!("rotation/{name}/x25519-private"))
}

fn id(name: &str) -> String {
    base64::encode(&signature::public_key(&seed::bytes(&format!("rotation/{name}/ed25519-seed"))))
}

fn rotation(name: &str, reason: &str, before: &Phase, after: &Phase) -> Made<Value> {
    let people = ["alice", "bob", "carol"].map(|name| {
        fields! {
            "name": name, "ed25519PublicKey": id(name), "x25519PrivateKeyB64": base64::encode(&private(name)),
            "x25519PublicKey": base64::encode(&key_wrap::public_key(&private(name))),
        }
    });
    let (earlier, later) = (state(&format!("{name}/before"), before)?, state(&format!("{name}/after"), after)?);
    let request = fields! {
        "repoId": REPO, "removedMemberId": id("carol"), "rotatedEnvelope": member(&later, "envelope")?,
        "rewrappedMembers": member(&later, "members")?, "newKeyEpoch": after.epoch,
    };
    let failing = must_fail(before, after, &earlier, &later)?;
    Ok(case(
        name,
        reason,
        &["multi-step"],
        fields! {
            "repoId": REPO, "members": people.to_vec(), "removed": id("carol"), "before": earlier, "after": later,
            "removeMemberRequest": request, "mustFail": failing,
        },
    ))
}

/// Roster, envelope and data key of a phase.
fn state(label: &str, phase: &Phase) -> Made<Fields> {
    let entries = phase.members.iter().map(|name| -> Made<Value> {
        let wrap = Wrap {
            data_key: phase.data_key,
            recipient: private(name),
            ..Wrap::of(&format!("rotation/{label}/{name}"))
        };
        let mut wrapped = wrap.wrapped()?;
        wrapped.retain(|_, value| !value.is_null());
        Ok(fields! {
            "ed25519PublicKey": id(name), "x25519PublicKey": base64::encode(&key_wrap::public_key(&private(name))),
            "wrappedDataKey": wrapped, "keyEpoch": phase.epoch,
        }
        .into())
    });
    let iv = base64::encode(&seed::bytes::<12>(&format!("rotation/{label}/iv")));
    let input = fields! {
        "keyB64": base64::encode(&phase.data_key), "ivB64": iv.as_str(), "repoId": REPO,
        "payloadVersion": phase.version, "keyEpoch": phase.epoch, "plaintextUtf8": phase.text,
    };
    let ciphertext = member(&ours(CodecOp::Encrypt, &input)?, "ciphertextB64")?;
    let envelope = fields! {
        "repoId": REPO, "payloadVersion": phase.version, "keyEpoch": phase.epoch, "iv": iv, "ciphertext": ciphertext,
    };
    Ok(fields! {
        "payloadVersion": phase.version, "keyEpoch": phase.epoch, "dataKeyB64": base64::encode(&phase.data_key),
        "plaintextUtf8": phase.text, "members": entries.collect::<Made<Vec<_>>>()?, "envelope": envelope,
    })
}

fn must_fail(before: &Phase, after: &Phase, earlier: &Fields, later: &Fields) -> Made<Vec<Value>> {
    let mut list = Vec::new();
    let mut add = |name: &str, reason: &str, op: &str, input: Fields| {
        let mut attempt = fields! { "name": name, "reason": reason, "op": op };
        attempt.extend(input);
        list.push(Value::Object(attempt));
    };
    let opening = |key: &[u8; 32], envelope: &Value, version: i64, epoch: i64| {
        fields! {
            "keyB64": base64::encode(key), "ivB64": envelope["iv"].clone(), "repoId": REPO, "payloadVersion": version,
            "keyEpoch": epoch, "ciphertextB64": envelope["ciphertext"].clone(),
        }
    };
    let (old, new) = (member(earlier, "envelope")?, member(later, "envelope")?);
    let replayed = "an old envelope isn't replayed as a new one";
    for (name, reason, key, envelope, version, epoch) in [
        ("old data key, new envelope", "what a removed member kept opens nothing new", before, &new, after, after),
        ("new data key, old envelope", "the keys of two epochs are independent", after, &old, before, before),
        ("old envelope at the new epoch", replayed, before, &old, before, after),
        ("old envelope at the new version", replayed, before, &old, after, before),
        ("new envelope at the old epoch", "nor a new one as an old one", after, &new, after, before),
    ] {
        add(name, reason, "payload-decrypt", opening(&key.data_key, envelope, version.version, epoch.epoch));
    }
    let carol = base64::encode(&private("carol"));
    for entry in later["members"].as_array().into_iter().flatten() {
        let wrapped = &entry["wrappedDataKey"];
        let input = fields! {
            "recipientPrivateKeyB64": carol.as_str(), "ephemeralPublicKeyB64": wrapped["ephemeralPublicKey"].clone(),
            "ivB64": wrapped["iv"].clone(), "ciphertextB64": wrapped["ciphertext"].clone(),
        };
        add(
            "removed member, a wrap of somebody who stays",
            "the new data key isn't wrapped to a removed member",
            "key-unwrap",
            input,
        );
    }
    Ok(list)
}
