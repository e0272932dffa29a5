//! What there is to say of a check or a rule: what it demands, why, how it is tried, how it is usually broken, how it is mended.
//! One source for `avp-conform explain` and for the pages in `docs/checks`.

mod areas;
mod pages;

use crate::agent::Habit;
use crate::client_scenarios;
use crate::faults::Fault;
use crate::requirements::{self, Party, Requirement, Revision, reasons, why};
use crate::scenarios::{self, CheckInfo, Need, Phase};

pub use pages::pages;

/// Faults that are named as examples.
const EXAMPLES: usize = 5;

/// Every check, of servers and of clients.
pub fn checks() -> impl Iterator<Item = &'static CheckInfo> {
    scenarios::all().map(|check| &check.info).chain(client_scenarios::all().map(|check| &check.info))
}

/// An article: a head, a title, and paragraphs with a label.
#[derive(Debug)]
pub struct Article {
    /// Id of the check or rule.
    pub id: &'static str,
    /// Section, level and what else there is to say in a word.
    pub place: String,
    /// What it demands.
    pub title: &'static str,
    /// Labels and texts.
    pub paragraphs: Vec<(&'static str, String)>,
}

/// The article on a check.
pub fn of_check(check: &'static CheckInfo) -> Article {
    let rule = check.requirements[0];
    let mut paragraphs: Vec<(&str, String)> = check
        .requirements
        .iter()
        .map(|rule| ("rule", format!("{} ({}, {})", rule.text, rule.id, rule.section)))
        .collect();
    paragraphs.extend(why::why(rule).map(|text| ("why", text.to_owned())));
    paragraphs.extend(works(check).map(|text| ("how", text)));
    paragraphs.extend(wrong(check.id, rule).map(|text| ("often", text)));
    paragraphs.extend(why::mend(rule).map(|text| ("mend", text.to_owned())));
    let command = if is_of_clients(check) {
        format!("avp-conform client --only {} -- CMD {{url}}", check.id)
    } else {
        let slow = if waits(check) { " --slow" } else { "" };
        format!("avp-conform --server URL --only {}{slow}", check.id)
    };
    paragraphs.push(("run", command));
    Article {
        id: check.id,
        place: place(check.section, check.level.name(), check.since),
        title: check.title,
        paragraphs,
    }
}

/// The article on a rule.
pub fn of_rule(rule: &'static Requirement) -> Article {
    let binds = match rule.binds {
        Party::Server => "binds servers",
        Party::IdentityProvider => "binds identity providers",
        Party::Client => "binds clients",
        Party::Deployment => "binds deployments",
    };
    let mut paragraphs: Vec<(&str, String)> = Vec::new();
    paragraphs.extend(why::why(rule).map(|text| ("why", text.to_owned())));
    paragraphs.extend(wrong("", rule).map(|text| ("often", text)));
    paragraphs.extend(why::mend(rule).map(|text| ("mend", text.to_owned())));
    let proves = |check: &&CheckInfo| check.requirements.iter().any(|proved| proved.id == rule.id);
    let ids: Vec<&str> = checks().filter(proves).map(|check| check.id).collect();
    match (ids.is_empty(), rule.unprovable) {
        (false, _) => paragraphs.push(("checks", ids.join(", "))),
        (true, Some(why)) => paragraphs.push(("no check", format!("{why}."))),
        (true, None) => {}
    }
    let place = format!("{} · {binds}", place(rule.section, rule.level.name(), rule.since));
    Article { id: rule.id, place, title: rule.text, paragraphs }
}

/// The article of an id, whichever it is.
pub fn by_id(id: &str) -> Option<Article> {
    // As a run of both profiles calls it, it is the same check.
    let plain = id.split('@').next().unwrap_or(id);
    checks().find(|check| check.id == plain).map(of_check).or_else(|| requirements::by_id(id).map(of_rule))
}

fn place(section: &str, level: &str, since: Revision) -> String {
    let since = if since > Revision::default() { format!(" · since {since}") } else { String::new() };
    format!("{section} · {level}{since}")
}

fn is_of_clients(check: &CheckInfo) -> bool {
    client_scenarios::all().any(|other| other.info.id == check.id)
}

fn waits(check: &CheckInfo) -> bool {
    scenarios::all().any(|other| other.info.id == check.id && other.waits)
}

/// How the check goes about it.
fn works(check: &CheckInfo) -> Option<String> {
    let area = check.id.split('/').next().unwrap_or_default();
    let known = scenarios::all().find(|other| other.info.id == check.id);
    let phase = known.map(|check| (check.phase, check.waits));
    let more = match phase {
        _ if known.is_some_and(|check| check.needs == Need::Replica) => {
            " It needs a second process: --replica URL, or --replicas 2 with --server-cmd."
        }
        _ if known.is_some_and(|check| check.needs == Need::Stranger) => {
            " It needs another deployment: --stranger URL."
        }
        _ if known.is_some_and(|check| check.needs == Need::Profiles) => {
            " It needs both profiles: --grpc URL beside --server, or --profile both."
        }
        Some((Phase::Crash, _)) => " It needs a server that the suite starts and kills: --server-cmd.",
        Some((_, true)) => " It waits for something to expire, so it runs with --slow only.",
        Some((Phase::Parallel, _)) | None => "",
        Some((Phase::Contention, _)) => " It runs after the checks that run side by side, beside one other at most.",
        Some((Phase::Alone, _)) => " It runs by itself, after the checks that run side by side.",
        Some((Phase::Finale, _)) => " It looks at the whole run, after all others.",
        Some((Phase::Dangerous, _)) => " It runs late and by itself, and looks whether the server is still there.",
        Some((Phase::Storage, _)) => " It needs --storage, --logs, --storage-cmd or --server-pid.",
    };
    Some(format!("{}{more}", areas::works(area)?))
}

/// The usual reason, and what the built-in server or client does to break the rule, which is how others have done it.
fn wrong(check: &str, rule: &'static Requirement) -> Option<String> {
    let usual = reasons::usual(check, &[rule]).map(capital);
    let faults =
        Fault::all().iter().map(Fault::info).filter(|info| info.requirement == rule.id).map(|info| info.summary);
    let habits =
        Habit::faults().filter(|info| info.breaks.is_some_and(|broken| broken.id == rule.id)).map(|info| info.summary);
    let examples: Vec<String> = faults.chain(habits).take(EXAMPLES).map(capital).collect();
    let parts: Vec<String> = usual.into_iter().chain(examples).collect();
    (!parts.is_empty()).then(|| parts.join(" "))
}

/// A sentence of its own.
fn capital(text: &str) -> String {
    crate::report::text::sentence(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_check_and_rule_has_an_article() {
        for check in checks() {
            let article = of_check(check);
            for label in ["rule", "why", "how", "mend", "run"] {
                assert!(article.paragraphs.iter().any(|(known, _)| *known == label), "{}: {label}", check.id);
            }
        }
        for rule in requirements::ALL {
            assert!(by_id(rule.id).is_some_and(|article| !article.paragraphs.is_empty()), "{}", rule.id);
        }
        assert!(by_id("no/such-check").is_none());
    }
}
