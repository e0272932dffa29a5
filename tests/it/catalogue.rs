//! The catalogue and the checks fit together.

use std::collections::{HashMap, HashSet};

use avp_conform::client_scenarios;
use avp_conform::requirements::{self, Level, Party, Revision};
use avp_conform::scenarios::{self, Check, CheckInfo};

fn checks() -> Vec<&'static Check> {
    scenarios::all().collect()
}

/// The checks of servers and of clients.
fn all() -> impl Iterator<Item = &'static CheckInfo> {
    scenarios::all().map(|check| &check.info).chain(client_scenarios::all().map(|check| &check.info))
}

#[test]
fn every_rule_has_a_check_or_a_reason() {
    let proven: HashSet<_> = all().flat_map(|check| check.requirements).map(|requirement| requirement.id).collect();
    let missing: Vec<_> = requirements::ALL
        .iter()
        .filter(|requirement| !proven.contains(requirement.id) && requirement.unprovable.is_none())
        .map(|requirement| requirement.id)
        .collect();
    assert!(missing.is_empty(), "neither check nor reason: {missing:?}");
}

#[test]
fn no_rule_has_both_a_check_and_a_reason_why_it_cannot_have_one() {
    for check in checks() {
        for requirement in check.info.requirements {
            assert!(requirement.unprovable.is_none(), "{} proves {}", check.info.id, requirement.id);
            assert_ne!(requirement.binds, Party::Client, "{} proves {}", check.info.id, requirement.id);
        }
    }
}

#[test]
fn ids_are_unique_and_well_formed() {
    let mut seen = HashMap::new();
    for check in all() {
        let id = check.id;
        assert!(seen.insert(id, ()).is_none(), "{id} twice");
        let (area, what) = id.split_once('/').expect(id);
        for part in [area, what] {
            assert!(part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'), "{id}");
        }
        assert!(!check.requirements.is_empty(), "{id}");
        assert!(check.section.starts_with('§'), "{id}");
        assert!(!check.title.ends_with('.'), "{id}");
    }
    let ids: HashSet<_> = requirements::ALL.iter().map(|requirement| requirement.id).collect();
    assert_eq!(ids.len(), requirements::ALL.len());
    assert!(ids.iter().all(|id| id.starts_with("AVP-")));
}

/// `§8.2` is of section 8.
fn section(of: &str) -> &str {
    of.trim_start_matches('§').split('.').next().unwrap_or_default()
}

/// A check can only fail for a rule that is a MUST, and for one of the section that it names.
#[test]
fn a_must_check_proves_a_must_of_its_section() {
    for check in all().filter(|check| check.level == Level::Must) {
        let rules = check.requirements;
        let proves = |rule: &&requirements::Requirement| {
            rule.level == Level::Must && section(rule.section) == section(check.section)
        };
        assert!(rules.iter().copied().any(|rule| proves(&rule)), "{} {}", check.id, check.section);
    }
}

/// Ids say where a rule stands; hardening (H) and later revisions stand beside the sections.
#[test]
fn ids_name_their_section() {
    for rule in requirements::ALL {
        let named = rule.id.split('-').nth(1).expect(rule.id);
        let beside = named == "H" || named.contains('.');
        assert!(beside || named == section(rule.section), "{} stands in {}", rule.id, rule.section);
        assert!(named != "H" || rule.level == Level::Hardening, "{}", rule.id);
    }
}

/// A check of revision 0.2 doesn't rest on what a later one adds alone.
#[test]
fn revisions_agree() {
    for check in all() {
        let earliest = check.requirements.iter().map(|rule| rule.since).min().unwrap_or(Revision::V0_4);
        assert!(earliest <= check.since, "{}", check.id);
    }
}
