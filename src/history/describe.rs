//! Operations and counterexamples in words.

use std::fmt::Write as _;

use super::{Counterexample, Explanation, History, HistoryOp};
use crate::model::{Action, Response, Roster, State, Symbols};
use crate::requirements::Requirement;

/// What was asked, in a few words.
pub fn call(symbols: &Symbols, op: &HistoryOp) -> String {
    match &op.invocation.action {
        Action::CreateRepo { manifest, .. } => format!("createRepo at version {}", manifest.version),
        Action::Pull { known } => format!("pull, knowing version {known}"),
        Action::Push { envelope, expected, rotated: None } => format!("push {expected} → {}", envelope.version),
        Action::Push { envelope, expected, rotated: Some(members) } => {
            let (to, epoch, members) = (envelope.version, envelope.epoch, members_in(members));
            format!("rotating push {expected} → {to}, epoch {epoch}, {members}")
        }
        Action::AddMember { entry } => format!("addMember {}", symbols.short(entry.member)),
        Action::RemoveMember { removed, envelope, epoch, .. } => {
            format!("removeMember {} → version {}, epoch {epoch}", symbols.short(*removed), envelope.version)
        }
        Action::FetchMemberKey { member } => format!("fetchMemberKey {}", symbols.short(*member)),
    }
}

/// What came of it, in a few words.
pub fn outcome(symbols: &Symbols, op: &HistoryOp) -> String {
    op.answer().map_or_else(|| "no answer".into(), |answer| symbols.answer(answer))
}

/// As [`outcome`], as short as a label.
pub fn short_outcome(op: &HistoryOp) -> String {
    match op.answer() {
        None => "no answer".into(),
        Some(Response::Manifest(manifest) | Response::Pull { manifest, .. }) => {
            let members = members_in(&manifest.members);
            format!("version {}, epoch {}, {members}", manifest.version, manifest.epoch)
        }
        Some(Response::Push { accepted, version, .. }) => {
            format!("{} at version {version}", if *accepted { "accepted" } else { "conflict" })
        }
        Some(Response::Entry(entry)) => format!("an entry of epoch {}", entry.epoch),
        Some(Response::Refused(status) | Response::Broken(status)) => format!("status {status}"),
    }
}

/// A state, as far as it fits a line.
pub fn state(state: Option<&State>) -> String {
    match state {
        None => "no repository".into(),
        Some(State { manifest, .. }) => {
            let members = members_in(&manifest.members);
            format!("version {}, epoch {}, {members}", manifest.version, manifest.epoch)
        }
    }
}

fn members_in(roster: &Roster) -> String {
    let count = roster.entries().len();
    format!("{count} member{}", if count == 1 { "" } else { "s" })
}

/// A moment after another one, in microseconds or milliseconds.
pub fn micros(time: u64, since: u64) -> String {
    let nanos = time.saturating_sub(since);
    if nanos < 1_000_000 {
        return format!("{}.{} µs", nanos / 1000, nanos % 1000 / 100);
    }
    format!("{}.{} ms", nanos / 1_000_000, nanos % 1_000_000 / 100_000)
}

impl Counterexample {
    /// The rules that the last answer breaks, whichever state it met.
    pub fn rules(&self) -> Vec<&'static Requirement> {
        let mut rules: Vec<_> = self.explanations.iter().filter_map(|explanation| explanation.rule).collect();
        rules.sort_by_key(|rule| rule.id);
        rules.dedup_by_key(|rule| rule.id);
        rules
    }

    /// Everything in a few lines: the operations in the order of their starts, then why they have no order.
    pub fn text(&self, history: &History) -> String {
        let shown = self.shown(history);
        let since = shown.iter().map(|index| history.ops[*index as usize].start).min().unwrap_or_default();
        let mut text = String::new();
        for index in shown {
            let op = &history.ops[index as usize];
            let end = op.result.as_ref().map_or_else(|| "…".into(), |done| micros(done.end, since));
            // Writing to a string can't fail.
            let _ = writeln!(
                text,
                "client {} {}–{end}: {}: {}",
                op.client,
                micros(op.start, since),
                call(&history.symbols, op),
                outcome(&history.symbols, op)
            );
        }
        for explanation in &self.explanations {
            let _ = writeln!(text, "{}", explanation.text(history, &history.ops[self.stuck as usize]));
        }
        text
    }
}

impl Explanation {
    /// One sentence: why the operation `stuck` doesn't fit this state.
    pub fn text(&self, history: &History, stuck: &HistoryOp) -> String {
        let maker = self.maker.map(|maker| call(&history.symbols, &history.ops[maker as usize]));
        let by = maker.map(|maker| format!(" (after {maker})")).unwrap_or_default();
        let asked = call(&history.symbols, stuck);
        let state = state(self.state.as_ref());
        if self.rule.is_none() {
            return format!("At {state}{by}, {asked} fits, but then others don't.");
        }
        format!(
            "At {state}{by}, {asked} can't have been answered like that: {}; allowed: {}.",
            self.observed, self.allowed
        )
    }
}
