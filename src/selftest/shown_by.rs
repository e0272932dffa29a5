//! Which check is asked first about a fault.

use super::Trial;
use crate::faults::Fault;

/// A line for each fault: its name, and a check that saw it. Written by `selftest --quick --save-shown-by`. A fault that isn't here, or
/// whose check sees it no longer, is judged by all checks of its rule: then the list costs time, and nothing else.
const LIST: &str = include_str!("shown_by.txt");

/// The check that saw a fault when the list was made.
pub(super) fn check(fault: Fault) -> Option<&'static str> {
    let name = fault.info().name;
    LIST.lines().filter_map(|line| line.split_once(' ')).find(|(fault, _)| *fault == name).map(|(_, check)| check)
}

/// The list as these trials make it, by name. Faults that weren't judged keep their lines.
pub fn list(trials: &[Trial]) -> String {
    let shown = |fault: Fault| {
        let name = fault.info().name;
        let judged = trials.iter().filter(|trial| trial.subject.name() == name);
        let check = judged.filter_map(|trial| trial.related.first().copied()).next().or_else(|| check(fault))?;
        Some(format!("{name} {check}\n"))
    };
    let faults = Fault::all().iter().copied();
    let mut lines: Vec<String> = faults.filter_map(shown).collect();
    lines.sort_unstable();
    lines.concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenarios;

    #[test]
    fn the_list_names_faults_and_checks_of_their_rules() {
        assert!(LIST.lines().is_sorted(), "the list isn't sorted");
        for line in LIST.lines() {
            let (name, id) = line.split_once(' ').unwrap_or((line, ""));
            let fault = Fault::all().iter().find(|fault| fault.info().name == name);
            let rule = fault.unwrap_or_else(|| panic!("{name}: no such fault")).info().requirement;
            let check = scenarios::all().find(|check| check.info.id == id);
            let rules = check.unwrap_or_else(|| panic!("{id}: no such check")).info.requirements;
            assert!(rules.iter().any(|each| each.id == rule), "{id} says nothing of {rule}, which {name} breaks");
        }
    }
}
