//! Rules over recorded requests. Each looks at all runs in which a client does what it always does.

pub(super) mod flow;
pub(super) mod login;
pub(super) mod payloads;
pub(super) mod requests;
pub(super) mod sealed;
pub(super) mod secrets;

use super::evidence::{ClientJudgement, Evidence, finding};
use super::run::Ran;
use super::vault::{Endpoint, Record};
use crate::scenarios::Finding;

/// What a rule says of one request: that it is kept, or expectation and observation where it is broken; `None` when it has nothing to
/// say about the request.
type Ruling = Option<Result<(), (String, String)>>;

/// A rule that looks at one request after the other.
fn each(evidence: &Evidence, what: &str, missing: &str, judge: impl Fn(&Ran, &Record) -> Ruling) -> ClientJudgement {
    let (mut findings, mut tried): (Vec<Finding>, usize) = (Vec::new(), 0);
    for ran in evidence.sane() {
        for record in ran.at_vault() {
            match judge(ran, record) {
                None => {}
                Some(Ok(())) => tried += 1,
                // One mistake is told once, not for every run.
                Some(Err((expected, observed))) => {
                    tried += 1;
                    if !findings.iter().any(|known| known.expected == expected) {
                        findings.push(finding(ran, Some(record), expected, observed));
                    }
                }
            }
        }
    }
    ClientJudgement::of(findings, tried, what, missing)
}

/// Requests of members in the order of their arrival, with what came before them.
fn before<'r>(ran: &'r Ran, record: &'r Record) -> impl DoubleEndedIterator<Item = &'r Record> {
    let end = ran.records.iter().position(|other| std::ptr::eq(other, record)).unwrap_or(ran.records.len());
    ran.records[..end].iter()
}

/// The entries that a request carries, with the place of each.
pub(super) fn entries(record: &Record) -> Vec<(String, &serde_json::Value)> {
    let lists = match record.endpoint {
        Endpoint::Create => "/manifest/members",
        Endpoint::Push => "/rotatedMembers",
        Endpoint::Remove => "/rewrappedMembers",
        Endpoint::Add => {
            return record.field("/member").map(|entry| ("/member".to_owned(), entry)).into_iter().collect();
        }
        _ => return Vec::new(),
    };
    let list = record.field(lists).and_then(serde_json::Value::as_array).map(Vec::as_slice).unwrap_or_default();
    list.iter().enumerate().map(|(index, entry)| (format!("{lists}/{index}"), entry)).collect()
}
