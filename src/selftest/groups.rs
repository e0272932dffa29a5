//! Which servers are judged together, and which of them mostly wait.

use super::{Batch, Subject};
use crate::faults::Quirk;

/// Quirks in a group, at most: each hides a little of the others.
const TOGETHER: usize = 5;

/// Servers that answer late, or send the suite away for a while.
const WAITING: [&str; 10] = [
    "latency-50ms",
    "latency-400ms",
    "occasional-429",
    "occasional-503",
    "warming-up",
    "grpc-pushes-back",
    "grpc-restarts",
    "five-logins-a-key",
    "five-redemptions-a-key",
    "forty-pushes-a-key",
];

/// With these the others would hardly be asked anything.
const ALONE: [&str; 4] = ["single-threaded", "one-connection", "one-kept-connection", "three-kept-connections"];

/// Habits that are worth a warning, which no other is: one in a group, so that a run against a group may warn as often as against one.
const WARNED: [&str; 22] = [
    "closes-at-1-mib",
    "closes-at-2-mib",
    "created-201",
    "creator-cannot-be-removed",
    "fallback-page",
    "goes-by-path",
    "incomplete-kept",
    "integers-with-fraction",
    "occasional-503-unsaid",
    "one-connection",
    "one-kept-connection",
    "one-nonce-per-key",
    "path-parts-of-100",
    "removals-exact",
    "removed-stay-out",
    "single-threaded",
    "stranger-404",
    "strict-content-type",
    "truth-counts",
    "unknown-members-kept",
    "versions-rise-by-one",
    "writes-201",
];

/// Habits of which a server has one.
const ALTERNATIVES: [&[&str]; 12] = [
    &["errors-empty", "errors-html", "errors-problem", "errors-quote-requests", "errors-text"],
    &["reject-400", "reject-422"],
    &["stranger-404", "unknown-repo-403"],
    &["chunked", "close-delimited", "closes-at-times", "connection-close"],
    &["pretty-json", "trailing-newline"],
    &["integers-with-fraction", "numbers-from-text"],
    &["opaque-tokens", "tokens-of-4-kib"],
    &["bindings-of-its-own", "discovery-absent"],
    &[
        "bodies-of-1-mib",
        "bodies-of-100-kb",
        "bodies-of-2-mib",
        "bodies-of-64-kib",
        "closes-at-1-mib",
        "closes-at-2-mib",
    ],
    &["rosters-of-10", "rosters-of-2", "rosters-of-3", "rosters-of-50"],
    &["hundred-repos-in-all", "thirty-repos-in-all", "three-repos-a-key", "two-repos-a-key"],
    &["ids-of-40", "ids-of-64", "path-parts-of-100"],
];

/// Whether judging it is more waiting than work.
pub(super) fn mostly_waits(subject: Subject) -> bool {
    match subject {
        Subject::Quirk(quirk) => WAITING.contains(&quirk.info().name),
        Subject::AllQuirks => true,
        _ => subject.is_slow(),
    }
}

/// Whether it may be judged together with others.
pub(super) fn goes_with_others(subject: Subject) -> bool {
    subject.quirk().is_some_and(|quirk| !ALONE.contains(&quirk.info().name))
}

/// Whether it is one of those that are all judged at once: of alternatives only one, and no limits, which leave little to be seen of the
/// others.
pub(super) fn goes_with_all(quirk: &Quirk) -> bool {
    !matches!(
        quirk.info().name,
        "errors-empty"
            | "errors-html"
            | "errors-text"
            | "reject-422"
            | "unknown-repo-403"
            | "close-delimited"
            | "connection-close"
            | "pretty-json"
            | "single-threaded"
            | "one-connection"
            | "one-kept-connection"
            | "three-kept-connections"
            | "latency-400ms"
            | "warming-up"
            | "trailing-newline"
            | "integers-with-fraction"
            | "tokens-of-4-kib"
            // Beside the absence of discovery nobody could verify them.
            | "bindings-of-its-own"
    ) && !quirk.is_limit()
}

/// Groups of quirks that may be on together. Limits are with limits, since they would leave little to be seen of others.
pub(super) fn of(quirks: Batch) -> Vec<Batch> {
    let mut groups: Vec<Batch> = Vec::new();
    for (place, subject) in quirks {
        let fits =
            |group: &&mut Batch| group.len() < TOGETHER && group.iter().all(|(_, other)| goes_with(subject, *other));
        match groups.iter_mut().find(fits) {
            Some(group) => group.push((place, subject)),
            None => groups.push(vec![(place, subject)]),
        }
    }
    groups
}

/// How many warnings a run may give against subjects that are on together.
pub(super) fn warnings(subjects: impl IntoIterator<Item = Subject>) -> usize {
    let is_worth_one = |subject: Subject| subject.quirk().is_some_and(|quirk| WARNED.contains(&quirk.info().name));
    usize::from(subjects.into_iter().any(is_worth_one))
}

fn goes_with(one: Subject, other: Subject) -> bool {
    let (Some(one), Some(other)) = (one.quirk(), other.quirk()) else { return false };
    let both = |names: &[&str]| names.contains(&one.info().name) && names.contains(&other.info().name);
    one.is_limit() == other.is_limit() && !both(&WARNED) && !ALTERNATIVES.iter().any(|names| both(names))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_quirks_name_quirks() {
        for name in WAITING.iter().chain(&ALONE).chain(&WARNED).chain(ALTERNATIVES.iter().copied().flatten()) {
            assert!(Quirk::all().iter().any(|quirk| quirk.info().name == *name), "{name}");
        }
    }

    #[test]
    fn groups_hold_what_goes_together() {
        let quirks = Quirk::all().iter().copied().map(Subject::Quirk).enumerate();
        let quirks: Batch = quirks.filter(|(_, subject)| goes_with_others(*subject)).collect();
        let groups = of(quirks.clone());
        let mut placed: Vec<usize> = groups.iter().flatten().map(|(place, _)| *place).collect();
        placed.sort_unstable();
        assert_eq!(placed, quirks.iter().map(|(place, _)| *place).collect::<Vec<_>>());
        for group in &groups {
            assert!(group.len() <= TOGETHER);
            for (position, (_, one)) in group.iter().enumerate() {
                assert!(group[..position].iter().all(|(_, other)| goes_with(*one, *other)), "{}", one.name());
            }
        }
        assert!(groups.len() < quirks.len() / 3, "{} groups of {} quirks", groups.len(), quirks.len());
    }
}
