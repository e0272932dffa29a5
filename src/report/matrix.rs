//! Several reports side by side: implementations, or versions of one, by what they keep of each rule.

use std::fmt::Write as _;

use super::html::{esc, page};
use super::saved::{Saved, SavedCheck};
use super::state::{self, RuleState};
use super::style::{BOLD, DIM, GREEN, MAGENTA, RED, YELLOW, paint};
use super::text::{clean, fit};
use crate::ground::shown::count;
use crate::requirements::{self, Requirement};

/// The reports, and what each says of every rule.
#[derive(Debug)]
pub struct Matrix<'a> {
    reports: &'a [Saved],
    rows: Vec<(&'static Requirement, Vec<RuleState>)>,
}

impl<'a> Matrix<'a> {
    /// Sets reports side by side. Rules of which none says anything are left out.
    pub fn new(reports: &'a [Saved]) -> Self {
        let rows = requirements::ALL.iter().filter_map(|rule| {
            let states: Vec<RuleState> = reports.iter().map(|report| of(report, rule)).collect();
            let said = states.iter().any(|state| !matches!(state, RuleState::Untried | RuleState::Unprovable));
            said.then_some((*rule, states))
        });
        Self { reports, rows: rows.collect() }
    }

    /// How many rules are in a state, for each report.
    fn total(&self, state: RuleState) -> Vec<usize> {
        let number = |place: usize| self.rows.iter().filter(|(_, states)| states[place] == state).count();
        (0..self.reports.len()).map(number).collect()
    }

    /// For a terminal: the rows in which the reports differ (all of them with `verbose`), and totals.
    pub fn text(&self, columns: usize, verbose: bool) -> String {
        let mut out = String::new();
        for (index, report) in self.reports.iter().enumerate() {
            let line = format!(
                "{}  {} · AVP {} · {} · {}",
                index + 1,
                name(report),
                report.spec,
                report.verdict.name(),
                report.file
            );
            let _ = writeln!(out, "{}", fit(&clean(&line), columns));
        }
        let numbers: String = (1..=self.reports.len()).map(|number| format!("{number:>4}")).collect();
        let _ = writeln!(out, "\n{numbers}  {}", paint(DIM, "requirement"));
        let shown = self.rows.iter().filter(|(_, states)| verbose || differs(states));
        for (rule, states) in shown {
            let cells: String =
                states.iter().map(|state| format!("   {}", paint(style(*state), state.look().1))).collect();
            let mark = if differs(states) { "≠" } else { " " };
            let text = format!("{} {}", rule.id, rule.text);
            let _ = writeln!(out, "{cells} {mark}{}", fit(&text, columns.saturating_sub(4 * states.len() + 3)));
        }
        out.push('\n');
        for state in RuleState::ALL {
            let totals = self.total(state);
            if totals.iter().any(|number| *number > 0) {
                let numbers: String = totals.iter().map(|number| format!("{number:>4}")).collect();
                let _ = writeln!(out, "{numbers}  {} {}", paint(style(state), state.look().1), state.look().2);
            }
        }
        let same = self.rows.iter().filter(|(_, states)| !differs(states)).count();
        if same > 0 && !verbose {
            let _ = writeln!(
                out,
                "\n{}",
                paint(DIM, format!("{} the same in all of them; -v shows all", count(same, "requirement")))
            );
        }
        out
    }

    /// As a Markdown table.
    pub fn markdown(&self) -> String {
        let cell = |text: &str| super::markdown::escape(text);
        let mut out = String::from("# Implementations side by side\n\n| requirement |");
        for report in self.reports {
            let _ = write!(out, " {} |", cell(&name(report)));
        }
        out.push_str("\n| --- |");
        out.push_str(&" :-: |".repeat(self.reports.len()));
        out.push_str("\n| **verdict** |");
        for report in self.reports {
            let _ = write!(out, " {} |", report.verdict.name());
        }
        out.push('\n');
        for (rule, states) in &self.rows {
            let bold = if differs(states) { "**" } else { "" };
            let _ = write!(out, "| {bold}{}{bold} {} |", rule.id, cell(rule.text));
            for state in states {
                let _ = write!(out, " {} |", state.look().1);
            }
            out.push('\n');
        }
        for state in RuleState::ALL {
            let totals = self.total(state);
            if totals.iter().all(|number| *number == 0) {
                continue;
            }
            let (_, sign, words) = state.look();
            let _ = write!(out, "| {sign} {words} |");
            totals.iter().for_each(|number| {
                let _ = write!(out, " {number} |");
            });
            out.push('\n');
        }
        out.push_str("\nBold: they differ.\n");
        out
    }

    /// As a page of its own.
    pub fn html(&self) -> String {
        let head: String = self
            .reports
            .iter()
            .map(|report| {
                let (name, file) = (esc(&name(report)), esc(&report.file));
                format!(
                    "<th scope=\"col\">{name}<br><span class=\"dim\">AVP {} · {}<br>{file}</span></th>",
                    esc(&report.spec),
                    report.verdict.name()
                )
            })
            .collect();
        let row = |(rule, states): &(&Requirement, Vec<RuleState>)| {
            let class = if differs(states) { " class=\"differs\"" } else { "" };
            let cells: String = states.iter().map(|state| cell(*state)).collect();
            format!(
                "<tr{class}><th scope=\"row\"><code>{}</code> <span class=\"dim\">{} {}</span></th>{cells}</tr>\n",
                rule.id,
                rule.section,
                esc(rule.text)
            )
        };
        let rows: String = self.rows.iter().map(row).collect();
        let totals: String = RuleState::ALL
            .into_iter()
            .filter(|state| self.total(*state).iter().any(|number| *number > 0))
            .map(|state| {
                let (class, sign, words) = state.look();
                let numbers: String = self.total(state).iter().map(|number| format!("<td>{number}</td>")).collect();
                format!("<tr><th scope=\"row\"><span class=\"box {class}\" aria-hidden=\"true\"><span>{sign}</span></span> {words}</th>{numbers}</tr>\n")
            })
            .collect();
        let differing = self.rows.iter().filter(|(_, states)| differs(states)).count();
        let body = format!(
            "<header><h1>{} side by side</h1><p>{} differ in {}.</p></header>\n<main><section aria-labelledby=\"totals\">\
             <h2 id=\"totals\">Totals</h2><div class=\"scroll\" role=\"group\" aria-labelledby=\"totals\" tabindex=\"0\">\
             <table class=\"matrix\"><thead><tr><td></td>{head}</tr></thead><tbody>{totals}</tbody></table></div></section>\n\
             <section aria-labelledby=\"rows\"><h2 id=\"rows\">Requirements</h2>\
             <div class=\"scroll\" role=\"group\" aria-labelledby=\"rows\" tabindex=\"0\">\
             <table class=\"matrix\"><thead><tr><td></td>{head}</tr></thead><tbody>\n{rows}</tbody></table></div></section></main>",
            count(self.reports.len(), "report"),
            if self.reports.len() == 2 { "They" } else { "Some" },
            count(differing, "requirement"),
        );
        page("AVP conformance, side by side", &body, None)
    }
}

fn cell(state: RuleState) -> String {
    let (class, sign, words) = state.look();
    format!(
        "<td><span class=\"box {class}\" role=\"img\" aria-label=\"{words}\" title=\"{words}\"><span>{sign}</span></span></td>"
    )
}

/// How a report is called: by what it judged.
fn name(report: &Saved) -> String {
    report.target.clone()
}

fn differs(states: &[RuleState]) -> bool {
    states.windows(2).any(|pair| pair[0] != pair[1])
}

fn of(report: &Saved, rule: &Requirement) -> RuleState {
    let proves = |check: &&SavedCheck| check.requirements.iter().any(|id| id == rule.id);
    let seen = report.checks.iter().filter(proves).map(|check| {
        let about = check.requirements.first().is_some_and(|first| first == rule.id);
        (about, check.status, check.known.is_some())
    });
    state::of(rule, seen)
}

fn style(state: RuleState) -> anstyle::Style {
    match state {
        RuleState::Broken => RED.bold(),
        RuleState::Known | RuleState::Missed => YELLOW,
        RuleState::Unclear => MAGENTA,
        RuleState::Kept => GREEN,
        RuleState::Untried => DIM,
        RuleState::Unprovable => BOLD,
    }
}

#[cfg(test)]
mod tests {
    use super::super::Format;
    use super::super::samples;
    use super::*;

    fn saved(run: &super::super::Run) -> Saved {
        Saved::parse("r.json", &Format::Json.render(run)).unwrap()
    }

    #[test]
    fn differences_stand_out() {
        let reports = [saved(&samples::mixed()), saved(&samples::conformant())];
        let matrix = Matrix::new(&reports);
        let text = super::super::style::strip(&matrix.text(80, false));
        assert!(text.contains("   ✕   – ≠AVP-6-push-conflict-answer"), "{text}");
        assert!(!text.contains("≠AVP-6-pull-current"), "{text}");
        assert!(text.lines().all(|line| super::super::text::width(line) <= 80), "{text}");
        assert!(matrix.markdown().contains("| **AVP-6-push-conflict-answer** "), "{}", matrix.markdown());
        assert!(matrix.html().contains("<tr class=\"differs\">"));
    }

    #[test]
    fn hostile_reports_are_harmless() {
        let mut hostile = saved(&samples::hostile());
        hostile.file = samples::HOSTILE.into();
        let reports = [hostile, saved(&samples::mixed())];
        let matrix = Matrix::new(&reports);
        for text in [super::super::style::strip(&matrix.text(80, true)), matrix.markdown(), matrix.html()] {
            assert!(!text.chars().any(|c| c != '\n' && super::super::text::is_unsafe(c)));
        }
        assert!(!matrix.markdown().contains("<script>") && !matrix.html().contains("<script>"));
    }
}
