//! Conflicts, removals, and what is tried again (SPEC §6, §10).

use std::collections::HashSet;
use std::time::Duration;

use serde_json::Value;

use super::super::evidence::{ClientJudgement, Evidence, envelope, finding};
use super::super::run::Ran;
use super::super::subject::Exit;
use super::super::vault::{Bend, Endpoint, Record, reading};
use super::{before, each, entries};
use crate::codec::DataKey;
use crate::scenarios::Finding;

/// The expected version is one that this member has read or written.
pub(in super::super) fn expects(evidence: &Evidence, _: &[Bend]) -> ClientJudgement {
    let known = |ran: &Ran, record: &Record| {
        let expected = record.field("/expectedPayloadVersion").and_then(Value::as_i64)?;
        let mut seen = before(ran, record).filter(|other| other.caller == record.caller && other.is_done());
        Some(seen.any(|other| {
            let written = envelope(other).map(|envelope| envelope.payload_version);
            other.served_version() == Some(expected) || written == Some(expected)
        }))
    };
    each(evidence, "push", "nothing is pushed", |ran, record| {
        if record.endpoint != Endpoint::Push {
            return None;
        }
        let others = ran.of(Endpoint::Push).filter(|other| other.caller == record.caller);
        // A push with a made-up version may be meant to be refused, but not if there is no other.
        let any = others.filter_map(|other| known(ran, other)).any(|known| known);
        let expected = "a push expects a version that its member has read or written";
        match known(ran, record)? {
            true => Some(Ok(())),
            false if any => None,
            false => Some(Err((expected.into(), format!("it expects {}", record.field("/expectedPayloadVersion")?)))),
        }
    })
}

/// After a conflict: pull, apply again, retry.
pub(in super::super) fn conflict(evidence: &Evidence, bends: &[Bend]) -> ClientJudgement {
    let (mut findings, mut tried) = (Vec::new(), 0);
    for ran in bends.iter().filter_map(|bend| evidence.run(*bend)) {
        // What comes back in the very run in which the client was able to read.
        if ran.bend == Bend::ConflictRead && evidence.reads() != Some(true) {
            continue;
        }
        // What can't be read can't be applied to: that is another rule's.
        let blind = evidence.reads() == Some(false);
        if let Some(outcome) = after_conflict(ran).filter(|outcome| outcome.is_ok() || !(blind && pulls_after(ran))) {
            tried += 1;
            findings.extend(outcome.err());
        }
    }
    findings.truncate(1);
    ClientJudgement::of(findings, tried, "conflict", "nothing is pushed")
}

/// What a client does after the conflict that the vault has made. Other conflicts may be meant.
fn after_conflict(ran: &Ran) -> Option<Result<(), Finding>> {
    let written = ran.keys.last()?.payload["payloadVersion"].as_i64()?;
    let made = |record: &&Record| {
        record.endpoint == Endpoint::Push
            && record.answer["conflict"] == true
            && record.served_version() == Some(written)
            && record
                .field("/expectedPayloadVersion")
                .and_then(Value::as_i64)
                // Below what it has pulled it means to be stale.
                .is_some_and(|expected| expected < written && expected >= pulled_before(ran, record))
    };
    let conflict = ran.at_vault().find(made)?;
    let at = ran.records.iter().position(|other| std::ptr::eq(other, conflict))?;
    let after: Vec<_> = ran.records[at + 1..].iter().filter(|record| record.caller == conflict.caller).collect();
    let pulled = after.iter().position(|record| record.endpoint == Endpoint::Pull && record.is_done());
    // The same bytes again are the same request, and can't do harm.
    let pushed = after.iter().position(|record| record.endpoint == Endpoint::Push && record.body != conflict.body);
    let expected = "a conflict is followed by a pull, and by a push of the change over what was pulled";
    let wrong = |record: &Record, observed: String| Some(Err(finding(ran, Some(record), expected, observed)));
    match (pulled, pushed) {
        (_, None) if pulled.is_some() => {
            wrong(conflict, format!("it pulled, but the change was never pushed again ({})", ran.exit))
        }
        (None, None) => wrong(conflict, format!("neither came ({})", ran.exit)),
        (pulled, Some(pushed)) if pulled.is_none_or(|pulled| pulled > pushed) => {
            wrong(after[pushed], "the change was pushed again without a pull".into())
        }
        _ => match after.iter().any(|record| record.endpoint == Endpoint::Push && record.is_done()) {
            true => Some(Ok(())),
            false => wrong(conflict, format!("no push was accepted afterwards ({})", ran.exit)),
        },
    }
}

/// Every conflict is followed by a pull before something else is pushed, not only the first.
pub(in super::super) fn again(evidence: &Evidence, bends: &[Bend]) -> ClientJudgement {
    let (mut findings, mut tried) = (Vec::new(), 0);
    for ran in bends.iter().filter_map(|bend| evidence.run(*bend)) {
        let overtaken = |record: &&Record| {
            let expected = record.field("/expectedPayloadVersion").and_then(Value::as_i64);
            record.endpoint == Endpoint::Push
                && record.answer["conflict"] == true
                // Below what it has pulled it means to be stale.
                && expected.is_some_and(|expected| expected >= pulled_before(ran, record))
        };
        for conflict in ran.at_vault().filter(overtaken) {
            let at = ran.records.iter().position(|other| std::ptr::eq(other, conflict)).unwrap_or_default();
            let mut after = ran.records[at + 1..].iter().filter(|record| {
                record.caller == conflict.caller && record.repo == conflict.repo && record.body != conflict.body
            });
            let Some(next) = after.find(|record| matches!(record.endpoint, Endpoint::Pull | Endpoint::Push)) else {
                continue;
            };
            tried += 1;
            if next.endpoint == Endpoint::Push && findings.is_empty() {
                let expected =
                    "a conflict is followed by a pull before anything else is pushed, however many there were";
                findings.push(finding(ran, Some(next), expected, "the change was pushed again without a pull"));
            }
        }
    }
    ClientJudgement::of(findings, tried, "conflict", "nothing is pushed again after a conflict")
}

/// Whether somebody pulls after a conflict.
fn pulls_after(ran: &Ran) -> bool {
    let conflict =
        ran.at_vault().position(|record| record.endpoint == Endpoint::Push && record.answer["conflict"] == true);
    conflict.is_some_and(|at| {
        ran.at_vault().skip(at + 1).any(|record| record.endpoint == Endpoint::Pull && record.is_done())
    })
}

/// The highest version that whoever sent a request had pulled before it.
fn pulled_before(ran: &Ran, record: &Record) -> i64 {
    let pulls =
        super::before(ran, record).filter(|other| other.endpoint == Endpoint::Pull && other.caller == record.caller);
    pulls.filter_map(Record::served_version).max().unwrap_or(i64::MIN)
}

/// Retries have an end.
pub(in super::super) fn bounded(evidence: &Evidence, bends: &[Bend]) -> ClientJudgement {
    let Some(ran) = bends.iter().find_map(|bend| evidence.run(*bend)) else {
        return ClientJudgement::NotExercised("it wasn't tried".into());
    };
    let conflicts = ran.of(Endpoint::Push).filter(|record| record.answer["conflict"] == true).count();
    let endless = conflicts >= 50 || (conflicts > 0 && ran.exit == Exit::TimedOut);
    let expected = "a client that is always too late gives up after a number of tries";
    let observed = format!("{conflicts} pushes, {}", ran.exit);
    let findings =
        endless.then(|| finding(ran, ran.of(Endpoint::Push).last(), expected, observed)).into_iter().collect();
    ClientJudgement::of(findings, conflicts, "conflict", "nothing is pushed")
}

/// A removal rotates.
pub(in super::super) fn rotates(evidence: &Evidence, _: &[Bend]) -> ClientJudgement {
    each(evidence, "removal", "no member is removed", |ran, record| {
        let manifest = served_before(ran, record);
        let roster =
            record.field("/rotatedMembers").and_then(Value::as_array).filter(|_| record.endpoint == Endpoint::Push);
        if roster.is_some_and(Vec::is_empty) {
            let expected = "a push without a rotation has no rotatedMembers: they replace the roster";
            return Some(Err((expected.into(), "it has an empty list".into())));
        }
        let done = match record.endpoint {
            Endpoint::Remove => record.status.is_some_and(|status| status < 400),
            // A push with a roster in which somebody is missing removes them, too.
            Endpoint::Push => {
                record.is_done() && !entries(record).is_empty() && gone(record, manifest).next().is_some()
            }
            _ => false,
        };
        done.then(|| removal(ran, record, manifest))
    })
}

/// The manifest that was served last before a request.
fn served_before<'r>(ran: &'r Ran, record: &'r Record) -> Option<&'r Value> {
    before(ran, record).rev().filter(|other| other.repo == record.repo && other.is_done()).find_map(|other| {
        other.answer.get("manifest").or(Some(&other.answer)).filter(|manifest| manifest["members"].is_array())
    })
}

/// Members of a manifest that aren't in the roster of a request.
fn gone<'m>(record: &Record, manifest: Option<&'m Value>) -> impl Iterator<Item = &'m str> {
    let id = |entry: &Value| entry["ed25519PublicKey"].as_str().map(ToOwned::to_owned);
    let kept: HashSet<String> = entries(record).iter().filter_map(|(_, entry)| id(entry)).collect();
    let served = manifest.and_then(|manifest| manifest["members"].as_array()).into_iter().flatten();
    served.filter_map(|entry| entry["ed25519PublicKey"].as_str()).filter(move |id| !kept.contains(*id))
}

fn removal(ran: &Ran, record: &Record, manifest: Option<&Value>) -> Result<(), (String, String)> {
    let broken = |expected: &str, observed: String| Err((expected.to_owned(), observed));
    let epoch = record.field("/newKeyEpoch").or_else(|| record.field("/envelope/keyEpoch"));
    // That an epoch is an integer is another rule's.
    if let Some(epoch) = epoch.and_then(Value::as_i64)
        && let Some(old) = manifest.and_then(|manifest| manifest["keyEpoch"].as_i64())
        && epoch <= old
    {
        return broken("a removal goes to the next epoch", format!("epoch {epoch} after {old}"));
    }
    let removed = record.field("/removedMemberId").and_then(Value::as_str).unwrap_or_default();
    let roster = entries(record);
    let ids: HashSet<_> = roster.iter().filter_map(|(_, entry)| entry["ed25519PublicKey"].as_str()).collect();
    if ids.len() < roster.iter().filter(|(_, entry)| entry["ed25519PublicKey"].is_string()).count() {
        return broken("the members of a roster are a set", "somebody is in the new one twice".into());
    }
    if ids.contains(removed) {
        return broken("the removed member is out of the new roster", "it is in it, with the new data key".into());
    }
    if record.endpoint == Endpoint::Remove && gone(record, manifest).any(|id| id != removed) {
        return broken("everybody but the removed member stays", "somebody else is out of the new roster".into());
    }
    // The same request again, say after a new login, carries the same wraps.
    let earlier: HashSet<String> = before(ran, record)
        .filter(|other| other.body != record.body)
        .flat_map(|other| {
            let served = other.answer.pointer("/manifest/members").or(other.answer.get("members"));
            let served = served.and_then(Value::as_array).cloned().unwrap_or_default();
            entries(other).into_iter().map(|(_, entry)| entry.clone()).chain(served).collect::<Vec<_>>()
        })
        .filter_map(|entry| Some(entry["wrappedDataKey"]["ciphertext"].as_str()?.to_owned()))
        .collect();
    let old_wrap = roster
        .iter()
        .find(|(_, entry)| entry["wrappedDataKey"]["ciphertext"].as_str().is_some_and(|wrap| earlier.contains(wrap)));
    if let Some((place, _)) = old_wrap {
        return broken("everybody who stays gets a new wrap of a new key", format!("{place} carries an old one"));
    }
    let Some(sealed) = envelope(record) else { return Ok(()) };
    let old_keys = ran.keys.iter().filter(|forged| forged.repo == sealed.repo_id);
    if old_keys.clone().any(|forged| reading::open(&forged.key, &sealed).is_some()) {
        return broken("a removal comes with a new data key", "the payload is under the old one".into());
    }
    let mut made = old_keys.flat_map(|forged| reading::derived(&forged.key, sealed.key_epoch));
    if made.any(|key| reading::open(&DataKey::new(key), &sealed).is_some()) {
        return broken("who goes can't make the new data key of the old one", "it is a hash of the old one".into());
    }
    Ok(())
}

/// What was refused for good isn't tried again.
pub(in super::super) fn terminal(evidence: &Evidence, bends: &[Bend]) -> ClientJudgement {
    let (mut findings, mut tried) = (Vec::new(), 0);
    for ran in bends.iter().filter_map(|bend| evidence.run(*bend)) {
        let refused: Vec<_> = ran.at_vault().filter(|record| record.status == Some(403)).collect();
        tried += refused.len();
        let again = refused.iter().enumerate().find(|(index, record)| {
            let same = |other: &&&Record| {
                (other.endpoint, &other.target, &other.caller) == (record.endpoint, &record.target, &record.caller)
                    && other.endpoint != Endpoint::Create
                    || (other.endpoint == Endpoint::Create
                        && record.endpoint == Endpoint::Create
                        && other.caller == record.caller
                        && other.body == record.body)
            };
            refused[..*index].iter().any(|other| same(&other))
        });
        if let Some((_, record)) = again {
            findings.push(finding(ran, Some(record), "a 403 is final", "the same was asked for again"));
        }
    }
    ClientJudgement::of(findings, tried, "refusal", "no operation is asked for")
}

/// `Retry-After` is heeded.
pub(in super::super) fn waits(evidence: &Evidence, bends: &[Bend]) -> ClientJudgement {
    let Some(ran) = bends.iter().find_map(|bend| evidence.run(*bend)) else {
        return ClientJudgement::NotExercised("it wasn't tried".into());
    };
    let Some(told) = ran.at_vault().position(|record| record.status == Some(429)) else {
        return ClientJudgement::NotExercised("no operation is asked for".into());
    };
    let all: Vec<_> = ran.at_vault().collect();
    let early = all[told + 1..]
        .iter()
        .find(|record| record.endpoint == all[told].endpoint && record.caller == all[told].caller);
    let early =
        early.filter(|record| record.at.saturating_sub(all[told].at + all[told].took) < Duration::from_millis(900));
    let expected = "a client that was told Retry-After: 1 comes back after a second, or not at all";
    let findings =
        early.map(|record| finding(ran, Some(record), expected, "it came back at once")).into_iter().collect();
    ClientJudgement::of(findings, 1, "case", "")
}
