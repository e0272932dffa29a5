//! What a rule is for, and how a server or client is mended that breaks it: for `avp-conform explain` and the pages
//! that it makes. In our own words, and no claim about anybody's code.

mod keys;
mod operations;

use super::Requirement;

/// Rules that share a reason.
struct Row {
    rules: &'static [&'static Requirement],
    /// The attack or the loss behind it.
    why: &'static str,
    /// What to do.
    mend: &'static str,
}

/// The rules that share a reason, the reason, and how to mend what breaks them.
const fn row(rules: &'static [&'static Requirement], why: &'static str, mend: &'static str) -> Row {
    Row { rules, why, mend }
}

/// What a rule is for; `None` where nobody has written it down.
pub fn why(rule: &Requirement) -> Option<&'static str> {
    row_of(rule).map(|row| row.why)
}

/// What to do about it.
pub fn mend(rule: &Requirement) -> Option<&'static str> {
    row_of(rule).map(|row| row.mend)
}

fn rows() -> impl Iterator<Item = &'static Row> {
    keys::WHY.iter().chain(operations::WHY)
}

fn row_of(rule: &Requirement) -> Option<&'static Row> {
    rows().find(|row| row.rules.iter().any(|of_row| of_row.id == rule.id))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::requirements::ALL;

    #[test]
    fn every_rule_is_explained_once() {
        let rows =
            |rule: &Requirement| super::rows().flat_map(|row| row.rules).filter(|of_row| of_row.id == rule.id).count();
        let wrong: Vec<_> = ALL.iter().filter(|rule| rows(rule) != 1).map(|rule| (rule.id, rows(rule))).collect();
        assert_eq!(wrong, [], "add a row to src/requirements/why, or the rule to one");
    }

    #[test]
    fn texts_are_sentences() {
        for text in rows().flat_map(|row| [row.why, row.mend]) {
            assert!(
                text.ends_with('.') && text.starts_with(|c: char| c.is_uppercase() || c.is_ascii_digit()),
                "{text}"
            );
        }
    }
}
