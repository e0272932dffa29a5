//! What a run says of a rule.

use crate::requirements::Requirement;
use crate::runner::Status;

/// What a run says of a rule, the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum RuleState {
    /// A check of it failed.
    Broken,
    /// A check of it failed, as known.
    Known,
    /// A check of it warned.
    Missed,
    /// The suite could not tell.
    Unclear,
    /// Its checks passed.
    Kept,
    /// No check of it came to a verdict.
    Untried,
    /// There can be none.
    Unprovable,
}

impl RuleState {
    pub(super) const ALL: [Self; 7] =
        [Self::Broken, Self::Known, Self::Missed, Self::Unclear, Self::Kept, Self::Untried, Self::Unprovable];

    /// Class, sign and words: nobody has to tell colours apart.
    pub(super) fn look(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Broken => ("fail", "✕", "broken"),
            Self::Known => ("known", "k", "broken, as known"),
            Self::Missed => ("warn", "!", "warned of"),
            Self::Unclear => ("error", "?", "the suite could not tell"),
            Self::Kept => ("pass", "✓", "kept, as far as the checks see"),
            Self::Untried => ("skipped", "–", "not tried, or not applicable here"),
            Self::Unprovable => ("none", "·", "no check can prove it"),
        }
    }
}

/// The state of a rule by the checks that prove it: whether each is about it (it is the first rule that the check names), how it
/// ended, and whether that is known. A failure speaks against the rule that its check is about, and of the others says nothing.
pub(super) fn of(rule: &Requirement, checks: impl Iterator<Item = (bool, Status, bool)>) -> RuleState {
    let state = |(about, status, known): (bool, Status, bool)| match status {
        Status::Pass => RuleState::Kept,
        Status::Skip => RuleState::Untried,
        _ if !about => RuleState::Untried,
        _ if known => RuleState::Known,
        Status::Fail => RuleState::Broken,
        Status::Warn => RuleState::Missed,
        Status::Error => RuleState::Unclear,
    };
    let none = if rule.unprovable.is_some() { RuleState::Unprovable } else { RuleState::Untried };
    checks.map(state).min().unwrap_or(none)
}
