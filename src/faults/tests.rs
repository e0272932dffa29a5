//! Faults deviate, and do so where they say; quirks still serve.

use std::collections::HashSet;

use super::{API_KEY, Fault, Quirk, deviation};
use crate::requirements::{self, Party, Revision};
use crate::server::tests::script::transcript;
use crate::server::{Config, Profile};

fn is_kebab(name: &str) -> bool {
    name.split('-')
        .all(|word| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'.'))
}

#[test]
fn names_are_unique_and_requirements_exist() {
    let faults = Fault::all().iter().map(|fault| fault.info().name);
    let quirks = Quirk::all().iter().map(|quirk| quirk.info().name);
    for names in [faults.collect::<Vec<_>>(), quirks.collect()] {
        assert_eq!(names.iter().collect::<HashSet<_>>().len(), names.len());
        assert!(names.iter().all(|name| is_kebab(name)), "{names:?}");
    }
    assert!(Fault::all().len() >= 150, "{}", Fault::all().len());
    for fault in Fault::all() {
        let requirement = requirements::by_id(fault.info().requirement);
        assert_eq!(requirement.map(|requirement| requirement.level), Some(fault.info().level), "{fault:?}");
        assert_eq!(Fault::by_name(fault.info().name).map(|found| *found.info()), Some(*fault.info()));
    }
}

#[test]
fn every_provable_rule_of_a_server_has_a_fault() {
    let broken: HashSet<_> = Fault::all().iter().map(|fault| fault.info().requirement).collect();
    let missing: Vec<_> = requirements::ALL
        .iter()
        .filter(|rule| matches!(rule.binds, Party::Server | Party::IdentityProvider) && rule.unprovable.is_none())
        .map(|rule| rule.id)
        .filter(|id| !broken.contains(id))
        .collect();
    // This server publishes no bindings of its own.
    assert_eq!(missing, ["AVP-9-binding-valid"]);
    assert!(requirements::ALL.iter().any(|rule| rule.since == Revision::V0_4));
}

async fn run(config: Config) -> String {
    transcript(config, &[API_KEY]).await
}

/// That every fault shows is what `avp-conform selftest` proves; here, that the server without one has no moods.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_conformant_server_repeats_itself() {
    assert_eq!(run(Config::default()).await, run(Config::default()).await);
}

/// What is slow, asks for more than the script sends, or leaves less to be carried out; the selftest judges these.
const OUT_OF_REACH: [&str; 17] = [
    "latency-50ms",
    "latency-400ms",
    "warming-up",
    "occasional-503",
    "occasional-503-unsaid",
    "needs-user-agent",
    "needs-accept",
    "strict-content-type",
    "uuid-ids-only",
    "usual-scheme-only",
    "versions-rise-by-one",
    "nobody-removes-itself",
    "removed-stay-out",
    "writes-201",
    "integers-with-fraction",
    "one-nonce-per-key",
    "canonical-keys-only",
];

fn is_in_reach(quirk: &&Quirk) -> bool {
    !quirk.is_limit() && quirk.exists_in(Profile::Http) && !OUT_OF_REACH.contains(&quirk.info().name)
}

/// Every other quirk, from the first or the second on, so that two tests share the work.
async fn quirks_serve(first: usize) {
    let quirks = Quirk::all().iter().filter(is_in_reach);
    for quirk in quirks.skip(first).step_by(2) {
        let transcript = run(Config { deviation: deviation(None, &[*quirk]), ..Config::default() }).await;
        assert!(transcript.matches("-> 200").count() > 150, "{quirk:?}\n{transcript}");
        let closes = quirk.info().name == "large-body-closes";
        assert!(closes || !transcript.contains("-> 0 "), "{quirk:?}\n{transcript}");
        assert!(!transcript.contains("-> 5"), "{quirk:?}\n{transcript}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_quirk_serves() {
    quirks_serve(0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_other_quirk_serves() {
    quirks_serve(1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn quirks_serve_together() {
    let good = |quirk: &&Quirk| {
        is_in_reach(quirk) && !["occasional-429", "tokens-of-4-kib", "trailing-newline"].contains(&quirk.info().name)
    };
    let quirks: Vec<_> = Quirk::all().iter().filter(good).copied().collect();
    let transcript = run(Config { deviation: deviation(None, &quirks), ..Config::default() }).await;
    assert!(transcript.matches("-> 200").count() > 100, "{transcript}");
}
