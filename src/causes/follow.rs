//! Why a finding follows from a cause. Each reason is a sentence.

use super::kind::SymptomKind;
use super::subject::needs;
use super::symptom::{Class, Symptom};
use crate::requirements as req;
use crate::requirements::order::builds_on;
use crate::runner::Status;
use crate::wire::Operation;

/// A reason: what it says to a reader, and whether it holds for a finding and a cause.
type Reason = (&'static str, fn(&Symptom<'_>, &Symptom<'_>) -> bool);

/// All reasons. The first that holds is told.
static REASONS: [Reason; 22] = [
    ("no answer came", went_unanswered),
    ("others were served at the same time", met_others),
    ("something was refused on its connection before", met_what_is_left),
    ("the same deviation", is_the_same),
    ("it proves the broken rule as well", is_about_the_same_rule),
    ("it can't read what comes back", stumbles),
    ("it couldn't be set up", was_not_set_up),
    ("a step on its way fails", has_a_step_that_fails),
    ("it looks at more than the plain requests that already fail", looks_at_more),
    ("its rule builds on the broken one", builds_on_it),
    ("it was met there", was_met_there),
    ("ids in paths don't arrive", does_not_arrive),
    ("the repository wasn't created", is_nowhere),
    ("it is in the same situation without being about it", is_in_the_situation),
    ("the operation doesn't do what it is for", needs_what_does_not_work),
    ("it counts on a version or an epoch that is another", counts_on_it),
    ("the operation lets through what it mustn't", is_let_through),
    ("rights are not what they should be", tells_of_rights),
    ("a request before it had an effect that it mustn't have", is_left_behind),
    ("the same at another operation", is_the_same_elsewhere),
    ("it is the worked example, which goes through everything", is_the_example),
    ("it is a history of all operations, one of which fails by itself", is_the_history),
];

/// Why a finding follows from a cause; `None` where it doesn't.
pub(super) fn follows(other: &Symptom<'_>, cause: &Symptom<'_>) -> Option<&'static str> {
    // A warning explains no failure.
    if cause.status == Status::Warn && other.status == Status::Fail {
        return None;
    }
    REASONS.iter().find(|(_, holds)| holds(other, cause)).map(|(reason, _)| *reason)
}

/// Answers that are missing everywhere are missing to requests of any check.
fn went_unanswered(other: &Symptom<'_>, cause: &Symptom<'_>) -> bool {
    cause.rule.id == req::ANSWERED.id && other.unanswered
}

/// Where callers are mixed up, whatever was asked beside others may have been answered as if somebody else had asked. Counters and what
/// is stored are only where it looks the same.
fn met_others(other: &Symptom<'_>, cause: &Symptom<'_>) -> bool {
    let stored = matches!(
        other.kind,
        SymptomKind::Counter
            | SymptomKind::Blob
            | SymptomKind::Binding
            | SymptomKind::Unchanged
            | SymptomKind::Conflict
    );
    cause.rule.id == req::CALLERS_KEPT_APART.id && other.beside_others && (!stored || other.kind == cause.kind)
}

/// What is left on a connection after a refusal spoils whatever is asked there next: it is refused. What is stored, and what is let
/// through, tells of something else.
fn met_what_is_left(other: &Symptom<'_>, cause: &Symptom<'_>) -> bool {
    let spoiled = matches!(other.kind, SymptomKind::Refused | SymptomKind::Other)
        || other.status == Status::Error
        || other.unanswered;
    cause.rule.id == req::CONNECTION_IN_STEP.id && spoiled
}

/// The same deviation at the same operation is one, and the same difference in what is stored is one wherever it shows.
fn is_the_same(other: &Symptom<'_>, cause: &Symptom<'_>) -> bool {
    let stored = cause.kind.is_state();
    let shown = other.shown_by.is_some() && cause.shown_by.is_some();
    // That two requests are let through is the same only where it is about the same rule.
    if cause.kind == SymptomKind::Accepted && !is_related(other, cause) {
        return false;
    }
    other.deviation == cause.deviation && (stored || shown || other.operation == cause.operation)
}

/// Whether two checks prove a rule that they share, or one that builds on one of the other's.
fn is_related(one: &Symptom<'_>, other: &Symptom<'_>) -> bool {
    let (mine, theirs) = (one.check.requirements, other.check.requirements);
    mine.iter().any(|a| theirs.iter().any(|b| a.id == b.id || builds_on(a.id, b.id) || builds_on(b.id, a.id)))
}

/// A check that proves the broken rule as well says nothing new; one that looks at more than plain requests only where it sees the
/// same kind of thing or is first of all about this rule.
fn is_about_the_same_rule(other: &Symptom<'_>, cause: &Symptom<'_>) -> bool {
    // What gets through doesn't follow from what is refused.
    if other.kind == SymptomKind::Accepted && cause.kind == SymptomKind::Refused && other.own && other.direct {
        return false;
    }
    let alike = other.class == Class::Sequential || other.kind == cause.kind || other.operation == cause.operation;
    other.rule.id == cause.rule.id || (alike && other.check.requirements.iter().any(|rule| rule.id == cause.rule.id))
}

/// What can't be read, or comes back otherwise, is met by checks of anything.
fn stumbles(other: &Symptom<'_>, cause: &Symptom<'_>) -> bool {
    // Where member ids are spelled otherwise, nobody is in the roster who should be.
    if cause.kind == SymptomKind::Shape && other.kind == SymptomKind::Roster {
        return cause.deviation.contains("ed25519PublicKey");
    }
    // What can't be read any more is met by whoever reads.
    if cause.kind == SymptomKind::Unreadable {
        return matches!(other.kind, SymptomKind::Shape | SymptomKind::Unreadable) && !(other.direct && other.own);
    }
    // A body that breaks the schema only where something stored comes back otherwise.
    if other.kind == SymptomKind::Shape
        && !other.direct
        && matches!(cause.kind, SymptomKind::Blob | SymptomKind::Binding)
    {
        return true;
    }
    other.kind == cause.kind
        && match other.kind {
            SymptomKind::Shape | SymptomKind::Leak => true,
            SymptomKind::Blob | SymptomKind::Binding => !other.own || !other.direct,
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
    let fails = |operation| cause.operation == Some(operation) || cause.names(operation);
    // What only some ids, texts or spellings meet, others meet only where it looks the same.
    let alike = cause.plain || other.kind == cause.kind;
    !other.direct && cause.direct && alike && other.operation.is_some_and(fails)
}

/// What looks at everything, or at the same time, follows from what fails in plain requests of a rule that it builds on; a failure
/// of a look at everything only where it sees the same kind of thing.
fn looks_at_more(other: &Symptom<'_>, cause: &Symptom<'_>) -> bool {
    let builds = || other.check.requirements.iter().any(|rule| builds_on(rule.id, cause.rule.id));
    let alike = other.kind == cause.kind && other.kind != SymptomKind::Other;
    let same = other.operation.is_none() || other.operation == cause.operation;
    match other.class {
        Class::Sequential => false,
        Class::RunWide => (other.status != Status::Fail || (alike && same)) && builds(),
        Class::Concurrent => (alike || same) && builds(),
        Class::Story => (alike || same || other.kind == SymptomKind::Other) && builds(),
    }
}

/// A rule that builds on the broken one, with the same deviation or with the same kind of it at the same operation. A warning says nothing
/// more while what its rule builds on fails.
fn builds_on_it(other: &Symptom<'_>, cause: &Symptom<'_>) -> bool {
    let alike = other.deviation == cause.deviation || (other.kind == cause.kind && other.operation == cause.operation);
    builds_on(other.rule.id, cause.rule.id) && (alike || (other.status == Status::Warn && cause.status == Status::Fail))
}

/// A look at the whole run names the check in which it met something first.
fn was_met_there(other: &Symptom<'_>, cause: &Symptom<'_>) -> bool {
    other.met_in == Some(cause.check.id) || other.met_in == Some(cause.check.base())
}

/// Ids that are escaped in a path and don't arrive don't arrive in other operations either.
fn does_not_arrive(other: &Symptom<'_>, cause: &Symptom<'_>) -> bool {
    let paths = [req::FETCH_ENTRY.id, req::HTTP_PROFILE.id, req::ESCAPED_PATH.id];
    paths.contains(&cause.rule.id) && [other, cause].iter().all(|it| it.escaped && it.kind == SymptomKind::Refused)
}

/// What is asked of a repository that wasn't created is refused.
fn is_nowhere(other: &Symptom<'_>, cause: &Symptom<'_>) -> bool {
    cause.plain
        && cause.rule.id == req::CREATE_RETURNS.id
        && [other, cause].iter().all(|it| it.kind == SymptomKind::Refused)
}

/// What is refused in a situation that a check is about is refused to whoever is in it.
fn is_in_the_situation(other: &Symptom<'_>, cause: &Symptom<'_>) -> bool {
    cause.situation && [other, cause].iter().all(|it| it.kind == SymptomKind::Refused)
}

/// While an operation doesn't even do what it is for, the same kind of thing at that operation follows, and so do rules that build on
/// the broken one and stories that go through all operations.
fn needs_what_does_not_work(other: &Symptom<'_>, cause: &Symptom<'_>) -> bool {
    let Some(operation) = cause.operation.filter(|_| cause.plain) else { return false };
    (other.kind == cause.kind && other.operation == cause.operation)
        || (builds_on(other.rule.id, cause.rule.id) && other.names(operation))
        || (other.class == Class::Story && other.kind == cause.kind)
        // States are compared, and no exchange shows what was carried out.
        || (other.class != Class::Sequential && other.operation.is_none())
}

/// Where an operation leaves another version or epoch than it must, the next requests count on the wrong one.
fn counts_on_it(other: &Symptom<'_>, cause: &Symptom<'_>) -> bool {
    let expects = [Operation::Push, Operation::RemoveMember, Operation::Pull].map(Operation::name);
    cause.plain
        && cause.kind == SymptomKind::Counter
        && !["status/", "errors/", "retries/"].iter().any(|area| other.check.id.starts_with(area))
        && (other.class == Class::Story || other.operation.is_some_and(|operation| expects.contains(&operation)))
        && matches!(
            other.kind,
            SymptomKind::Counter | SymptomKind::Conflict | SymptomKind::Refused | SymptomKind::Unchanged
        )
}

/// What one operation lets through that it mustn't is let through in every check.
fn is_let_through(other: &Symptom<'_>, cause: &Symptom<'_>) -> bool {
    let both = [other, cause];
    both.iter().all(|it| it.kind == SymptomKind::Accepted)
        && other.operation == cause.operation
        && other.check.requirements.iter().any(|rule| {
            rule.id == cause.rule.id || builds_on(rule.id, cause.rule.id) || builds_on(cause.rule.id, rule.id)
        })
}

/// A story of who may do what, where a plain request already lets somebody in or keeps somebody out.
fn tells_of_rights(other: &Symptom<'_>, cause: &Symptom<'_>) -> bool {
    let rights = [
        req::PULL_MEMBERS_ONLY.id,
        req::PUSH_MEMBERS_ONLY.id,
        req::ADD_MEMBERS_ONLY.id,
        req::REMOVE_MEMBERS_ONLY.id,
        req::FETCH_MEMBERS_ONLY.id,
        req::REMOVE_REVOKES.id,
        req::SUBJECT_IS_CALLER.id,
    ];
    other.check.id.starts_with("rights/") && rights.contains(&cause.rule.id)
}

/// What was let through, or left in, has changed something, which a look at the whole run meets and which other refusals tell of.
fn is_left_behind(other: &Symptom<'_>, cause: &Symptom<'_>) -> bool {
    let refusals = other.check.id.starts_with("status/")
        && matches!(cause.kind, SymptomKind::Accepted | SymptomKind::Roster)
        && builds_on(other.rule.id, cause.rule.id);
    refusals || (other.met_in.is_some() && cause.kind == SymptomKind::Accepted)
}

/// The worked example is a cause only where nothing plainer fails.
fn is_the_example(other: &Symptom<'_>, cause: &Symptom<'_>) -> bool {
    other.check.id.starts_with("example/") && cause.class == Class::Sequential && cause.status == Status::Fail
}

/// A history of many requests says that they have no order, and not which of them is wrong: it is a cause where nothing else shows it.
fn is_the_history(other: &Symptom<'_>, cause: &Symptom<'_>) -> bool {
    let elsewhere = [Operation::Challenge, Operation::Token, Operation::Discovery].map(Operation::name);
    other.check.base() == "race/history-is-linearizable"
        && cause.status == Status::Fail
        && cause.operation.is_some_and(|operation| !elsewhere.contains(&operation))
}

/// The same question at another operation, with the same answer: `pull/unknown-repository` and `push/unknown-repository`.
fn is_the_same_elsewhere(other: &Symptom<'_>, cause: &Symptom<'_>) -> bool {
    other.question() == cause.question() && other.deviation == cause.deviation
}
