//! IVs, ephemeral keys, and to whom keys are wrapped (SPEC §4, §9).

use std::collections::HashMap;

use serde_json::Value;

use super::super::evidence::{ClientJudgement, Evidence, envelope, finding};
use super::super::vault::{Bend, Endpoint};
use super::entries;

/// No IV twice under a key with other content.
pub(in super::super) fn fresh_iv(evidence: &Evidence, _: &[Bend]) -> ClientJudgement {
    let (mut findings, mut tried) = (Vec::new(), 0);
    for ran in evidence.sane() {
        let mut seen: HashMap<(String, i64, String), String> = HashMap::new();
        for record in ran.at_vault() {
            let Some(sealed) = envelope(record) else { continue };
            tried += 1;
            let place = (sealed.repo_id, sealed.key_epoch, sealed.iv);
            let other = seen.insert(place, sealed.ciphertext.clone());
            // The same envelope sent again is nothing new.
            if other.is_some_and(|other| other != sealed.ciphertext) && findings.is_empty() {
                let expected = "an IV is used for one payload only";
                findings.push(finding(ran, Some(record), expected, "an earlier payload of this epoch has the same IV"));
            }
        }
    }
    ClientJudgement::of(findings, tried, "payload", "nothing is written")
}

/// Every wrap has its own ephemeral key.
pub(in super::super) fn fresh_ephemeral(evidence: &Evidence, _: &[Bend]) -> ClientJudgement {
    fresh(evidence, "ephemeralPublicKey", "every wrap has an ephemeral key of its own")
}

/// Every wrap has its own IV: the scheme picks a fresh one each time.
pub(in super::super) fn fresh_wrap_iv(evidence: &Evidence, _: &[Bend]) -> ClientJudgement {
    fresh(evidence, "iv", "every wrap has a fresh IV")
}

/// A member of wraps that no two of them share.
fn fresh(evidence: &Evidence, member: &str, expected: &str) -> ClientJudgement {
    let (mut findings, mut tried) = (Vec::new(), 0);
    for ran in evidence.sane() {
        let mut seen: HashMap<String, Value> = HashMap::new();
        for record in ran.at_vault() {
            for (_, entry) in entries(record) {
                let wrap = &entry["wrappedDataKey"];
                let Some(value) = wrap[member].as_str() else { continue };
                tried += 1;
                // The same wrap sent again is nothing new.
                let other = seen.insert(value.to_owned(), wrap.clone());
                if other.is_some_and(|other| other["ciphertext"] != wrap["ciphertext"]) && findings.is_empty() {
                    findings.push(finding(ran, Some(record), expected, "two wraps have the same"));
                }
            }
        }
    }
    ClientJudgement::of(findings, tried, "wrap", "no key is wrapped")
}

/// Nothing is wrapped to a key that somebody in the middle has put in place of a member's.
pub(in super::super) fn middle(evidence: &Evidence, _: &[Bend]) -> ClientJudgement {
    let Some(ran) = evidence.run(Bend::SwappedKeys) else {
        return ClientJudgement::NotExercised("it wasn't tried".into());
    };
    let wraps = |record: &&super::Record| {
        matches!(record.endpoint, Endpoint::Push | Endpoint::Remove | Endpoint::Add)
            && entries(record).iter().any(|(_, entry)| entry["x25519PublicKey"] == ran.middle.as_str())
    };
    let caught = ran.at_vault().find(wraps);
    // Others than the caller who stay after a removal, or who are asked for.
    let tempted = ran.at_vault().any(|record| {
        let served_to_others = record.endpoint == Endpoint::Fetch && record.is_done();
        let others = entries(record)
            .into_iter()
            .filter(|(_, entry)| record.caller.as_deref() != entry["ed25519PublicKey"].as_str());
        served_to_others || (matches!(record.endpoint, Endpoint::Remove | Endpoint::Push) && others.count() > 0)
    });
    let expected = "a key that the server names is verified (by its binding, or by what the member said) before a data key is wrapped to it";
    let findings: Vec<_> = caught
        .map(|record| finding(ran, Some(record), expected, "the data key was wrapped to it"))
        .into_iter()
        .collect();
    let tried = usize::from(tempted || !findings.is_empty() || ran.exit != super::super::subject::Exit::Code(0));
    let with_others = evidence.run(Bend::Honest).is_some_and(|honest| {
        honest.of(Endpoint::Remove).chain(honest.of(Endpoint::Push)).any(|record| entries(record).len() > 1)
            || honest.of(Endpoint::Fetch).next().is_some()
    });
    let tried = if with_others { tried } else { findings.len() };
    ClientJudgement::of(findings, tried, "removal", "no key is wrapped anew to another member (remove one of three)")
}
