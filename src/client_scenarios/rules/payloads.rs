//! What clients write inside the ciphertext, where the vault has the key (SPEC §5).

use serde_json::Value;

use super::super::evidence::{ClientJudgement, Evidence, envelope, finding};
use super::super::run::Ran;
use super::super::vault::forge::Forged;
use super::super::vault::{Bend, Endpoint, Record, reading};
use super::Ruling;
use crate::scenarios::Finding;
use crate::wire::EncryptedEnvelope;

const MISSING: &str = "nothing is pushed by a member who has read what another member wrote";

/// Pushes over what the vault's member has written, with the last of its writes before them.
fn pushes(ran: &Ran) -> Vec<(&Record, EncryptedEnvelope, Option<&Forged>)> {
    let pushes = ran.of(Endpoint::Push).filter(|record| record.status.is_some_and(|status| status < 300));
    let sealed = pushes.filter_map(|record| Some((record, envelope(record)?)));
    let with = sealed.map(|(record, envelope)| {
        let written = |forged: &&Forged| {
            let version = forged.payload["payloadVersion"].as_i64().unwrap_or_default();
            forged.repo == envelope.repo_id
                && forged.epoch == envelope.key_epoch
                && record.field("/expectedPayloadVersion").and_then(Value::as_i64).is_some_and(|over| over >= version)
        };
        let under = ran.keys.iter().rfind(written);
        (record, envelope, under)
    });
    with.collect()
}

/// A rule about what is inside of such pushes; the other runs have none, or the same again.
fn inside(
    evidence: &Evidence,
    bends: &[Bend],
    judge: impl Fn(&Value, &Forged, &EncryptedEnvelope) -> Ruling,
) -> ClientJudgement {
    let (mut findings, mut tried): (Vec<Finding>, usize) = (Vec::new(), 0);
    for ran in bends.iter().filter_map(|bend| evidence.run(*bend)) {
        for (record, envelope, under) in pushes(ran) {
            let Some(forged) = under else { continue };
            let Some(payload) = reading::open(&forged.key, &envelope) else { continue };
            match judge(&payload, forged, &envelope) {
                None => {}
                Some(Ok(())) => tried += 1,
                Some(Err((expected, observed))) => {
                    tried += 1;
                    if !findings.iter().any(|known| known.expected == expected) {
                        findings.push(finding(ran, Some(record), expected, observed));
                    }
                }
            }
        }
    }
    ClientJudgement::of(findings, tried, "payload", MISSING)
}

/// What is written over a payload of the vault's opens under its key, bound to the header of its envelope.
pub(in super::super) fn bound(evidence: &Evidence, bends: &[Bend]) -> ClientJudgement {
    let (mut findings, mut tried): (Vec<Finding>, usize) = (Vec::new(), 0);
    for ran in bends.iter().filter_map(|bend| evidence.run(*bend)) {
        // After a conflict a client may end in many ways; what it has pushed by then counts.
        let refused = ran.bend != Bend::ConflictFirst && evidence.took(ran.bend) == Some(false);
        if evidence.reads() != Some(true) || refused {
            continue;
        }
        for (record, envelope, under) in pushes(ran) {
            // Only who has pulled the vault's payload has the key.
            let reader = super::before(ran, record).any(|other| {
                other.endpoint == Endpoint::Pull
                    && other.caller == record.caller
                    && other.is_done()
                    && under
                        .is_some_and(|forged| other.answer.pointer("/manifest/keyEpoch") == Some(&forged.epoch.into()))
            });
            let Some(forged) = under.filter(|_| reader && record.is_done()) else { continue };
            if !reading::is_sealed(&envelope) {
                continue;
            }
            tried += 1;
            if reading::open(&forged.key, &envelope).is_none() && findings.is_empty() {
                let expected =
                    "a pushed payload opens under the repository's data key, bound to its id, version and epoch";
                let others: Vec<_> = ran.keys.iter().map(|other| other.key.clone()).collect();
                let observed = reading::why_not(&forged.key, &others, &envelope);
                findings.push(finding(ran, Some(record), expected, observed));
            }
        }
    }
    ClientJudgement::of(findings, tried, "payload", MISSING)
}

/// The plaintext has the members of §5.
pub(in super::super) fn shape(evidence: &Evidence, bends: &[Bend]) -> ClientJudgement {
    inside(evidence, bends, |payload, forged, _| {
        Some(shape_of(payload).and_then(|()| in_milliseconds(payload, forged)))
    })
}

/// How far from now a time in seconds may be and still be taken for one: a year.
const NEAR: i64 = 366 * 86_400;

/// Times are milliseconds (§2): of an account that the client adds, the last use is no time of today in seconds.
fn in_milliseconds(payload: &Value, forged: &Forged) -> Result<(), (String, String)> {
    let now = crate::client::clock::now_ms() / 1000;
    let added = own(payload).filter(|account| !own(&forged.payload).any(|old| old["uuid"] == account["uuid"]));
    let mut times = added.filter_map(|account| account["lastUsed"].as_i64());
    match times.find(|time| (time - now).abs() < NEAR) {
        Some(time) => Err(("times are in milliseconds".into(), format!("lastUsed is {time}, which is now in seconds"))),
        None => Ok(()),
    }
}

pub(in super::super) fn shape_of(payload: &Value) -> Result<(), (String, String)> {
    let broken = |expected: &str, observed: String| Err((expected.to_owned(), observed));
    let Some(accounts) = payload["alts"].as_array() else {
        return broken("the payload is an object with the array alts", "there is none".into());
    };
    if !payload["payloadVersion"].is_i64() {
        return broken("the payload has an integer payloadVersion", format!("it is {}", payload["payloadVersion"]));
    }
    for account in accounts {
        for name in ["uuid", "username", "accessToken", "type"] {
            if !account[name].is_string() {
                return broken(&format!("an account's {name} is a string"), format!("it is {}", account[name]));
            }
        }
        let kind = account["type"].as_str().unwrap_or_default();
        if !["MICROSOFT", "COOKIE", "SESSION", "OFFLINE"].contains(&kind) {
            return broken("an account's type is one of §5", format!("it is {kind}"));
        }
        if !account["lastUsed"].is_i64() {
            return broken("an account's lastUsed is an integer", format!("it is {}", account["lastUsed"]));
        }
        for name in ["lastUsedBy", "sourceClient", "sourceUser"] {
            if !account[name].is_null() && !account[name].is_string() {
                return broken(&format!("an account's {name} is a string or null"), format!("it is {}", account[name]));
            }
        }
        for (name, value) in [("lastUsedBy", &account["lastUsedBy"]), ("ban.observedBy", &account["ban"]["observedBy"])]
        {
            let text = value.as_str().filter(|text| !text.is_empty());
            if let Some(text) = text.filter(|text| reading::bytes_of(text).is_none_or(|bytes| bytes.len() != 32)) {
                let text: String = text.chars().take(60).collect();
                return broken(&format!("an account's {name} is a member id or null"), format!("it is {text:?}"));
            }
        }
        if !account["ban"].is_null() && !account["ban"]["banned"].is_boolean() {
            return broken("an account's ban is null or a ban record", format!("it is {}", account["ban"]));
        }
    }
    Ok(())
}

/// Accounts that a client adds say where they are from.
pub(in super::super) fn provenance(evidence: &Evidence, bends: &[Bend]) -> ClientJudgement {
    inside(evidence, bends, |payload, forged, _| {
        let known = |account: &&Value| !own(&forged.payload).any(|old| old["uuid"] == account["uuid"]);
        let mut added = own(payload).filter(known).peekable();
        added.peek()?;
        let bare = added.find(|account| account["sourceClient"].is_null() && account["sourceUser"].is_null());
        Some(match bare {
            None => Ok(()),
            Some(_) => Err(("an added account has sourceClient and sourceUser".into(), "it has neither".into())),
        })
    })
}

fn own(payload: &Value) -> impl Iterator<Item = &Value> {
    payload["alts"].as_array().into_iter().flatten()
}

/// What a client may change by using an account.
const MAY_CHANGE: [&str; 2] = ["lastUsed", "lastUsedBy"];
/// What 0.4 adds to accounts.
const LATER: [&str; 3] = ["refreshToken", "expiresAt", "bans"];

/// What of another member's accounts is missing in a payload: `wanted` says which members count.
pub(in super::super) fn lost(old: &Value, new: &Value, wanted: impl Fn(&str) -> bool) -> Option<String> {
    for account in own(old) {
        let Some(now) = own(new).find(|now| now["uuid"] == account["uuid"]) else {
            return Some("an account of another member".into());
        };
        let members = account.as_object().into_iter().flatten().filter(|(name, _)| wanted(name));
        for (name, value) in members.filter(|(name, value)| !MAY_CHANGE.contains(&name.as_str()) && !value.is_null()) {
            if now[name] != *value {
                return Some(format!("{name} of another member's account"));
            }
        }
    }
    None
}

/// Known members of an account in 0.2.
pub(in super::super) fn is_known(name: &str) -> bool {
    ["uuid", "username", "accessToken", "type", "lastUsed", "lastUsedBy", "ban", "sourceClient", "sourceUser"]
        .contains(&name)
}

/// Accounts of others are there after a write.
pub(in super::super) fn keeps(evidence: &Evidence, bends: &[Bend]) -> ClientJudgement {
    inside(evidence, bends, |payload, forged, _| {
        let lost = lost(&forged.payload, payload, is_known);
        let expected = "what other members have written is there after a push";
        Some(lost.map_or(Ok(()), |what| Err((expected.into(), format!("{what} is gone")))))
    })
}

/// What somebody else has changed, added and deleted between a pull and a push is so after the retry.
pub(in super::super) fn reapplies(evidence: &Evidence, bends: &[Bend]) -> ClientJudgement {
    let (mut findings, mut tried): (Vec<Finding>, usize) = (Vec::new(), 0);
    for ran in bends.iter().filter_map(|bend| evidence.run(*bend)) {
        for (record, envelope, under) in pushes(ran) {
            let Some(forged) = under.filter(|_| record.is_done()) else { continue };
            let earlier = ran.keys.iter().filter(|old| old.repo == forged.repo && old.epoch == forged.epoch);
            let earlier: Vec<_> = earlier.take_while(|old| !std::ptr::eq(*old, forged)).collect();
            let Some(payload) = reading::open(&forged.key, &envelope).filter(|_| !earlier.is_empty()) else { continue };
            tried += 1;
            let is_gone = |old: &&Value| !own(&forged.payload).any(|now| now["uuid"] == old["uuid"]);
            // Who changes an account that was deleted meanwhile may write it.
            let as_it_was = |old: &Value| own(&payload).any(|now| now["uuid"] == old["uuid"] && same(old, now));
            let back = earlier.iter().flat_map(|old| own(&old.payload)).filter(is_gone).any(as_it_was);
            let observed = match lost(&forged.payload, &payload, is_known) {
                Some(what) => format!("{what} is gone, or isn't what they have made it"),
                None if back => "an account is there again that somebody else had deleted".into(),
                None => continue,
            };
            if findings.is_empty() {
                let expected = "what others have changed meanwhile is so after a conflict";
                findings.push(finding(ran, Some(record), expected, observed));
            }
        }
    }
    ClientJudgement::of(findings, tried, "payload", MISSING)
}

/// Whether an account is what it was.
fn same(old: &Value, now: &Value) -> bool {
    let members = old.as_object().into_iter().flatten();
    members.filter(|(name, _)| !MAY_CHANGE.contains(&name.as_str())).all(|(name, value)| now[name] == *value)
}

/// What of the members that 0.2 doesn't know is missing in a payload, at whatever depth.
pub(in super::super) fn lost_unknown(old: &Value, new: &Value) -> Option<String> {
    let top = || {
        let gone = old.get("schema").is_some() && new.get("schema").is_none();
        gone.then(|| "a member of the payload".to_owned())
    };
    let in_ban = || {
        let mut bans = own(old).filter(|account| account["ban"]["until"].is_string());
        let gone = bans.any(|account| {
            let now = own(new).find(|now| now["uuid"] == account["uuid"]);
            // That there is no ban any longer is another rule's.
            now.is_some_and(|now| now["ban"].is_object() && now["ban"]["until"] != account["ban"]["until"])
        });
        gone.then(|| "a member of a ban".to_owned())
    };
    lost(old, new, |name| !is_known(name)).or_else(top).or_else(in_ban)
}

/// Unknown members survive.
pub(in super::super) fn keeps_unknown(evidence: &Evidence, bends: &[Bend]) -> ClientJudgement {
    inside(evidence, bends, |payload, forged, _| {
        let lost = lost_unknown(&forged.payload, payload);
        let expected = "members that 0.2 doesn't know are there after a push";
        Some(lost.map_or(Ok(()), |what| Err((expected.into(), format!("{what} is gone")))))
    })
}

/// What 0.4 adds survives.
pub(in super::super) fn keeps_later(evidence: &Evidence, bends: &[Bend]) -> ClientJudgement {
    inside(evidence, bends, |payload, forged, _| {
        let lost = lost(&forged.payload, payload, |name| LATER.contains(&name));
        let expected = "refresh tokens and bans are there after a push";
        Some(lost.map_or(Ok(()), |what| Err((expected.into(), format!("{what} is gone")))))
    })
}
