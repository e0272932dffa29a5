//! A rotation: what opens before and after a removal, and what must stop opening (SPEC §6, §10).

use std::collections::HashSet;

use serde_json::Value;

use super::super::case::{Case, CaseStep};
use super::super::fields::{FieldError, Fields, array, fields, integer, object, string};
use super::super::op::CodecOp;
use super::negative;

pub(super) fn read(fields: &Fields) -> Result<Case, FieldError> {
    let mut case = Case { section: Some("§10"), ..Case::default() };
    let (before, after) = (object(fields, "before")?, object(fields, "after")?);
    let (removed, repo) = (string(fields, "removed")?, string(fields, "repoId")?);
    for (when, phase) in [("before", before), ("after", after)] {
        opens(fields, when, phase, repo, &mut case)?;
    }
    for counter in ["keyEpoch", "payloadVersion"] {
        if integer(after, counter)? <= integer(before, counter)? {
            case.wrong.push(format!("`{counter}` doesn't rise"));
        }
    }
    if before.get("dataKeyB64") == after.get("dataKeyB64") {
        case.wrong.push("the data key is the same before and after".into());
    }
    if roster(after)?.iter().any(|member| member.get("ed25519PublicKey") == Some(&removed.into())) {
        case.wrong.push("the removed member is still in the roster".into());
    }
    members_stay(before, after, removed, &mut case)?;
    fresh(before, after, &mut case)?;
    request(fields, after, &mut case)?;
    attempts(fields, &mut case)?;
    Ok(case)
}

/// Nobody but those who were members comes after a removal, and who is removed was one.
fn members_stay(before: &Fields, after: &Fields, removed: &str, case: &mut Case) -> Result<(), FieldError> {
    let ids = |phase| -> Result<HashSet<&str>, FieldError> {
        roster(phase)?.into_iter().map(|member| string(member, "ed25519PublicKey")).collect()
    };
    let (old, new) = (ids(before)?, ids(after)?);
    if !old.contains(removed) {
        case.wrong.push("the removed member isn't in the roster before the removal".into());
    }
    case.wrong.extend(new.difference(&old).map(|id| format!("{id} is a member after the removal, but wasn't before")));
    Ok(())
}

/// What must stop opening. An attempt that mixes in what occurs nowhere else in the case would fail for that alone.
fn attempts(fields: &Fields, case: &mut Case) -> Result<(), FieldError> {
    let mut known = HashSet::new();
    for phase in ["members", "before", "after", "repoId"] {
        texts(fields.get(phase).unwrap_or(&Value::Null), &mut known);
    }
    for value in array(fields, "mustFail")? {
        let Value::Object(attempt) = value else {
            return Err(FieldError::new("mustFail", "has an entry that is no object"));
        };
        let name = string(attempt, "name")?;
        let mut refused = attempt.clone();
        refused.insert("expect".into(), "reject".into());
        refused.insert("mutation".into(), name.into());
        let read = negative::read(&refused)?;
        case.unchecked.extend(read.unchecked.into_iter().map(|reason| format!("{name}: {reason}")));
        case.steps.extend(read.steps);
        for (member, value) in attempt {
            let input = ["repoId", "payloadVersion", "keyEpoch"].contains(&member.as_str()) || member.ends_with("B64");
            if input && !known.contains(&value.to_string()) {
                case.wrong.push(format!("{name}: `{member}` is nothing that occurs before or after the removal"));
            }
        }
    }
    Ok(())
}

/// Every text and number in a value.
fn texts(value: &Value, found: &mut HashSet<String>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| texts(item, found)),
        Value::Object(members) => members.values().for_each(|member| texts(member, found)),
        other => {
            found.insert(other.to_string());
        }
    }
}

fn roster(phase: &Fields) -> Result<Vec<&Fields>, FieldError> {
    let entries = array(phase, "members")?
        .iter()
        .map(|member| member.as_object().ok_or_else(|| FieldError::new("members", "has an entry that is no object")));
    entries.collect()
}

/// Every member of a phase unwraps its data key, and that opens its envelope.
fn opens(fields: &Fields, when: &str, phase: &Fields, repo: &str, case: &mut Case) -> Result<(), FieldError> {
    let key = string(phase, "dataKeyB64")?;
    let keyring = array(fields, "members")?;
    for member in roster(phase)? {
        let id = string(member, "ed25519PublicKey")?;
        let person = keyring
            .iter()
            .filter_map(Value::as_object)
            .find(|person| person.get("ed25519PublicKey") == Some(&id.into()));
        let Some(person) = person else {
            case.wrong.push(format!("the roster {when} the removal has the member {id}, which `members` hasn't"));
            continue;
        };
        let private = string(person, "x25519PrivateKeyB64")?;
        let name = person.get("name").and_then(Value::as_str).unwrap_or(id);
        let (wrapped, result) = (object(member, "wrappedDataKey")?.clone(), fields! { "dataKeyB64": key });
        if person.get("x25519PublicKey") != member.get("x25519PublicKey") {
            case.wrong.push(format!("{name} has another `x25519PublicKey` {when} the removal"));
        }
        let public = fields! { "publicKeyB64": string(member, "x25519PublicKey")? };
        let input = fields! { "recipientPrivateKeyB64": private, "wrappedKey": wrapped };
        let derive = fields! { "privateKeyB64": private };
        case.steps.push(CaseStep::gives(format!("{name}'s public key"), CodecOp::X25519PublicKey, derive, public));
        case.steps.push(CaseStep::gives(format!("{name} unwraps {when} the removal"), CodecOp::Unwrap, input, result));
        if integer(member, "keyEpoch")? != integer(phase, "keyEpoch")? {
            case.wrong.push(format!("{name}'s `keyEpoch` {when} the removal isn't the repository's"));
        }
    }
    let envelope = object(phase, "envelope")?;
    for counter in ["payloadVersion", "keyEpoch"] {
        if integer(envelope, counter)? != integer(phase, counter)? {
            case.wrong.push(format!("`{counter}` of the envelope {when} the removal isn't the repository's"));
        }
    }
    if string(envelope, "repoId")? != repo {
        case.wrong.push(format!("`repoId` of the envelope {when} the removal isn't the repository's"));
    }
    let input = fields! {
        "keyB64": key, "ivB64": string(envelope, "iv")?, "repoId": string(envelope, "repoId")?,
        "payloadVersion": integer(envelope, "payloadVersion")?, "keyEpoch": integer(envelope, "keyEpoch")?,
        "ciphertextB64": string(envelope, "ciphertext")?,
    };
    let result = fields! { "plaintextUtf8": string(phase, "plaintextUtf8")? };
    case.steps.push(CaseStep::gives(format!("the envelope {when} the removal"), CodecOp::Decrypt, input, result));
    Ok(())
}

/// Ephemeral keys and IVs are never used twice.
fn fresh(before: &Fields, after: &Fields, case: &mut Case) -> Result<(), FieldError> {
    let mut seen = HashSet::new();
    for member in roster(before)?.into_iter().chain(roster(after)?) {
        if !seen.insert(string(object(member, "wrappedDataKey")?, "ephemeralPublicKey")?) {
            case.wrong.push("an ephemeral key is used for two wraps".into());
        }
    }
    Ok(())
}

/// The request that carries the removal out is made of what comes after it.
fn request(fields: &Fields, after: &Fields, case: &mut Case) -> Result<(), FieldError> {
    let request = object(fields, "removeMemberRequest")?;
    for (name, wanted) in [
        ("repoId", fields.get("repoId")),
        ("removedMemberId", fields.get("removed")),
        ("rotatedEnvelope", after.get("envelope")),
        ("rewrappedMembers", after.get("members")),
        ("newKeyEpoch", after.get("keyEpoch")),
    ] {
        if request.get(name) != wanted {
            case.wrong.push(format!("`removeMemberRequest.{name}` isn't what comes after the removal"));
        }
    }
    Ok(())
}
