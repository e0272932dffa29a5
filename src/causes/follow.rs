//! Why a finding follows from a cause. Each reason is a sentence.

use super::subject::needs;
use super::symptom::{Class, Kind, Symptom};
use crate::requirements::order::builds_on;
use crate::runner::Status;

/// Whether a finding follows from a cause.
pub(super) fn follows(other: &Symptom<'_>, cause: &Symptom<'_>) -> bool {
    // A warning explains no failure.
    if cause.status == Status::Warn && other.status == Status::Fail {
        return false;
    }
    is_the_same(other, cause)
        || is_about_the_same_rule(other, cause)
        || stumbles(other, cause)
        || was_not_set_up(other, cause)
        || has_a_step_that_fails(other, cause)
        || looks_at_more(other, cause)
        || builds_on_it(other, cause)
}

/// The same deviation at the same operation is one, and so is the same difference in what is served afterwards.
fn is_the_same(other: &Symptom<'_>, cause: &Symptom<'_>) -> bool {
    let shown = other.shown_by.is_some() && cause.shown_by.is_some();
    other.deviation == cause.deviation && (shown || other.operation == cause.operation)
}

/// A check that proves the broken rule as well says nothing new.
fn is_about_the_same_rule(other: &Symptom<'_>, cause: &Symptom<'_>) -> bool {
    other.check.requirements.iter().any(|rule| rule.id == cause.rule.id)
}

/// What can't be read, or comes back otherwise, is met by checks of anything.
fn stumbles(other: &Symptom<'_>, cause: &Symptom<'_>) -> bool {
    other.kind == cause.kind
        && match other.kind {
            Kind::Shape => true,
            Kind::Blob | Kind::Binding => !other.own || !other.direct,
            _ => false,
        }
}

/// A check that couldn't be set up follows from the operation that didn't work, or from one that it needs.
fn was_not_set_up(other: &Symptom<'_>, cause: &Symptom<'_>) -> bool {
    other.status == Status::Error
        && other.operation.is_none_or(|operation| {
            cause.is_about(operation) || needs(operation).iter().any(|needed| cause.is_about(needed))
        })
}

/// A check that met a failing step on its way follows from the check of that step.
fn has_a_step_that_fails(other: &Symptom<'_>, cause: &Symptom<'_>) -> bool {
    !other.direct && cause.direct && other.operation.is_some_and(|operation| cause.is_about(operation))
}

/// What looks at everything, or at the same time, follows from what fails in plain requests of a rule that it proves or builds on.
fn looks_at_more(other: &Symptom<'_>, cause: &Symptom<'_>) -> bool {
    other.class != Class::Sequential
        && other.check.requirements.iter().any(|rule| {
            builds_on(rule.id, cause.rule.id) || cause.check.requirements.iter().any(|proven| proven.id == rule.id)
        })
}

/// A rule that builds on the broken one, with the same deviation or with the same kind of it at the same operation.
fn builds_on_it(other: &Symptom<'_>, cause: &Symptom<'_>) -> bool {
    builds_on(other.rule.id, cause.rule.id)
        && (other.deviation == cause.deviation || (other.kind == cause.kind && other.operation == cause.operation))
}
