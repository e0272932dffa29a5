//! Why a finding follows from a cause. Each reason is a sentence.

use super::subject::needs;
use super::symptom::{Class, Kind, Symptom};
use crate::requirements as req;
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
        || was_met_there(other, cause)
        || does_not_arrive(other, cause)
        || is_nowhere(other, cause)
        || needs_what_does_not_work(other, cause)
}

/// The same deviation at the same operation is one, and the same difference in what is stored is one wherever it shows.
fn is_the_same(other: &Symptom<'_>, cause: &Symptom<'_>) -> bool {
    let stored = matches!(cause.kind, Kind::Roster | Kind::Counter | Kind::Blob | Kind::Binding);
    let shown = other.shown_by.is_some() && cause.shown_by.is_some();
    other.deviation == cause.deviation && (stored || shown || other.operation == cause.operation)
}

/// A check that proves the broken rule as well says nothing new.
fn is_about_the_same_rule(other: &Symptom<'_>, cause: &Symptom<'_>) -> bool {
    other.check.requirements.iter().any(|rule| rule.id == cause.rule.id)
}

/// What can't be read, or comes back otherwise, is met by checks of anything.
fn stumbles(other: &Symptom<'_>, cause: &Symptom<'_>) -> bool {
    // A body that breaks the schema only where something stored comes back otherwise.
    if other.kind == Kind::Shape && !other.direct && cause.kind == Kind::Blob {
        return true;
    }
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

/// A look at the whole run names the check in which it met something first.
fn was_met_there(other: &Symptom<'_>, cause: &Symptom<'_>) -> bool {
    other.met_in == Some(cause.check.id)
}

/// Ids that are escaped in a path and don't arrive don't arrive in other operations either.
fn does_not_arrive(other: &Symptom<'_>, cause: &Symptom<'_>) -> bool {
    let paths = [req::FETCH_ENTRY.id, req::HTTP_PROFILE.id, req::ESCAPED_PATH.id];
    paths.contains(&cause.rule.id) && [other, cause].iter().all(|it| it.escaped && it.kind == Kind::Refused)
}

/// What is asked of a repository that wasn't created is refused.
fn is_nowhere(other: &Symptom<'_>, cause: &Symptom<'_>) -> bool {
    cause.plain && cause.rule.id == req::CREATE_RETURNS.id && [other, cause].iter().all(|it| it.kind == Kind::Refused)
}

/// While an operation doesn't even do what it is for, the same kind of thing at that operation follows, and so do rules that build on
/// the broken one and stories that go through all operations.
fn needs_what_does_not_work(other: &Symptom<'_>, cause: &Symptom<'_>) -> bool {
    let Some(operation) = cause.operation.filter(|_| cause.plain) else { return false };
    (other.kind == cause.kind && other.operation == cause.operation)
        || (builds_on(other.rule.id, cause.rule.id) && other.names(operation))
        || other.class == Class::Story
}
