//! The catalogue of requirements as a picture: a square for each rule, by section.

use super::super::run::Run;
use super::super::state::{self, RuleState};
use super::super::text::section_order;
use super::escape::esc;
use crate::requirements::{self, Party, Requirement};
use crate::runner::{CheckResult, Status};

/// The picture, with a legend that counts.
pub(super) fn picture(run: &Run) -> String {
    // A run of clients, or of codecs, is held to other rules than one of servers.
    let shown: Vec<&Requirement> = requirements::ALL
        .iter()
        .copied()
        .filter(|rule| rule.since <= run.info.spec && (binds(run, rule) || !checks(run, rule).is_empty()))
        .collect();
    let mut sections: Vec<&str> = shown.iter().map(|rule| rule.section).collect();
    sections.sort_by_key(|section| section_order(section));
    sections.dedup();
    let rows: String = sections.iter().map(|section| row(run, section, &shown)).collect();
    let legend: String = RuleState::ALL
        .into_iter()
        .filter_map(|state| {
            let number = shown.iter().filter(|rule| of(run, rule) == state).count();
            let (class, sign, words) = state.look();
            let entry =
                format!("<li><span class=\"box {class}\" aria-hidden=\"true\">{sign}</span> {number} {words}</li>");
            (number > 0).then_some(entry)
        })
        .collect();
    format!(
        "<section aria-labelledby=\"requirements\"><h2 id=\"requirements\">Requirements</h2>\n\
         <ul class=\"legend\">{legend}</ul>\n<table class=\"coverage\"><tbody>\n{rows}</tbody></table></section>\n"
    )
}

fn binds(run: &Run, rule: &Requirement) -> bool {
    let server = matches!(rule.binds, Party::Server | Party::IdentityProvider);
    let of_clients =
        run.results.iter().any(|result| result.check.requirements.iter().any(|rule| rule.binds == Party::Client));
    if of_clients { rule.binds == Party::Client } else { server }
}

fn checks<'a>(run: &'a Run, rule: &Requirement) -> Vec<&'a CheckResult> {
    let proves = |result: &&CheckResult| result.check.requirements.iter().any(|proved| proved.id == rule.id);
    run.results.iter().map(AsRef::as_ref).filter(proves).collect()
}

fn of(run: &Run, rule: &Requirement) -> RuleState {
    let seen = checks(run, rule)
        .into_iter()
        .map(|result| (result.check.requirements[0].id == rule.id, result.status, run.is_known(result)));
    state::of(rule, seen)
}

fn row(run: &Run, section: &str, shown: &[&Requirement]) -> String {
    let squares: String = shown.iter().filter(|rule| rule.section == section).map(|rule| square(run, rule)).collect();
    format!("<tr><th scope=\"row\">{section} {}</th><td>{squares}</td></tr>\n", esc(title(section)))
}

fn square(run: &Run, rule: &Requirement) -> String {
    let state = of(run, rule);
    let (class, sign, words) = state.look();
    let mut checks = checks(run, rule);
    // The link leads to what decided, and to a check of the rule itself before one that only touches it.
    checks.sort_by_key(|result| {
        let about = result.check.requirements[0].id == rule.id;
        (!(about && matches!(result.status, Status::Fail | Status::Warn | Status::Error)), !about)
    });
    let text = esc(&format!("{} ({}): {words}. {}", rule.id, rule.level.name(), rule.text));
    match checks.first() {
        Some(first) => format!(
            "<a class=\"box {class}\" href=\"#{}\" title=\"{text}\" aria-label=\"{text}\"><span aria-hidden=\"true\">{sign}</span></a>",
            esc(first.check.id)
        ),
        None => {
            format!("<span class=\"box {class}\" role=\"img\" title=\"{text}\" aria-label=\"{text}\">{sign}</span>")
        }
    }
}

/// What a section of the specification is about.
pub(super) fn title(section: &str) -> &'static str {
    match section {
        "§2" => "Conventions",
        "§3" => "Identity and authentication",
        "§4" => "Cryptographic envelope",
        "§5" => "Payload and provenance",
        "§6" => "Transport surface",
        "§8" => "Federation",
        "§8.1" => "Join handshake",
        "§8.2" => "Discovery",
        "§9" => "Anti-MITM key binding",
        "§10" => "Invariants",
        "§12" => "Security considerations",
        _ => "",
    }
}
